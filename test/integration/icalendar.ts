import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A component as python3-icalendar read it. */
export type CheckedComponent = {
  readonly name: string;
  readonly properties: readonly CheckedProperty[];
  readonly components: readonly CheckedComponent[];
};

export type CheckedProperty = {
  readonly name: string;
  /** A text unescaped, anything else as it is written. */
  readonly value: string;
  readonly params: Readonly<Record<string, string | readonly string[]>>;
};

/**
 * Has an object read by a parser that is not ours.
 * @returns its one VCALENDAR
 * @throws with the parser's words when it takes offence at anything, and when lines are not as RFC 5545 §3.1 wants them:
 * CRLF, at most 75 octets, whole UTF-8 characters
 */
export async function checkCalendar(content: Buffer | string): Promise<CheckedComponent> {
  const bytes = Buffer.from(content);
  checkLines(bytes);
  const found = JSON.parse(await ask(bytes)) as readonly (CheckedComponent & { readonly errors: readonly string[] })[];
  const [calendar, ...more] = found;
  if (calendar === undefined || more.length > 0) throw new Error(`${found.length} calendars, not one`);
  const errors = errorsOf(calendar);
  if (errors.length > 0) throw new Error(`python3-icalendar: ${errors.join('; ')}`);
  return calendar;
}

/** Components of this name, at any depth. */
export function componentsOf(component: CheckedComponent, name: string): readonly CheckedComponent[] {
  return component.components.flatMap((inner) => [
    ...(inner.name === name ? [inner] : []),
    ...componentsOf(inner, name),
  ]);
}

export function propertiesOf(component: CheckedComponent | undefined, name: string): readonly CheckedProperty[] {
  return component?.properties.filter((property) => property.name === name) ?? [];
}

/** Value of the one property of this name; undefined when there is none, or more than one. */
export function propertyValue(component: CheckedComponent | undefined, name: string): string | undefined {
  const [property, ...more] = propertiesOf(component, name);
  return more.length > 0 ? undefined : property?.value;
}

function checkLines(bytes: Buffer): void {
  const text = bytes.toString('latin1');
  if (/\r(?!\n)|(?<!\r)\n/.test(text)) throw new Error('a line does not end with CRLF');
  for (const line of text.split('\r\n')) {
    if (line.length > 75) throw new Error(`a line of ${line.length} octets: ${line}`);
    new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(line, 'latin1'));
  }
}

function errorsOf(component: CheckedComponent & { readonly errors?: readonly string[] }): readonly string[] {
  return [...(component.errors ?? []), ...component.components.flatMap(errorsOf)];
}

async function ask(bytes: Buffer): Promise<string> {
  // Debian's own interpreter: another one in front of it on the PATH has not its packages.
  const child = spawn('/usr/bin/python3', ['-I', join(import.meta.dirname, 'read-calendar.py')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.stdin.end(bytes);
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`${err.trim()}\n${bytes.toString('utf8')}`);
  return out;
}
