import type { Addition } from './ldap-scan.ts';

/** Values that are added to one entry. */
export type EntryAdditions = { readonly dn: string; readonly additions: readonly Addition[] };

const MAX_LINE_OCTETS = 76;

/** One LDIF change record (RFC 2849) with the empty line that ends it. */
export function formatAdditions({ dn, additions }: EntryAdditions): string {
  const lines = [
    ...attributeLines('dn', dn),
    'changetype: modify',
    ...additions.flatMap(({ attribute, value }) => [`add: ${attribute}`, ...attributeLines(attribute, value), '-']),
  ];
  return `${lines.join('\n')}\n\n`;
}

/** What may stand as it is: US-ASCII without line ends and NUL, not beginning or ending in what a reader would drop. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the ranges are those of SAFE-STRING.
const SAFE = /^(?![ :<])[\u0001-\u0009\u000b\u000c\u000e-\u007f]*(?<! )$/;

function attributeLines(name: string, value: string): string[] {
  const line = SAFE.test(value) ? `${name}: ${value}` : `${name}:: ${Buffer.from(value, 'utf8').toString('base64')}`;
  const lines = [line.slice(0, MAX_LINE_OCTETS)];
  for (let at = MAX_LINE_OCTETS; at < line.length; at += MAX_LINE_OCTETS - 1)
    lines.push(` ${line.slice(at, at + MAX_LINE_OCTETS - 1)}`);
  return lines;
}

/**
 * Reads back what `formatAdditions` wrote; other LDIF is not understood.
 * @throws Error naming the line
 */
export async function* readAdditions(lines: AsyncIterable<string>): AsyncGenerator<EntryAdditions, void, undefined> {
  let record: string[] = [];
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.startsWith('#') || line === 'version: 1') continue;
    if (line.startsWith(' ')) record.push(`${record.pop() ?? ''}${line.slice(1)}`);
    else if (line !== '') record.push(line);
    else if (record.length > 0) {
      yield parseRecord(record, number);
      record = [];
    }
  }
  if (record.length > 0) yield parseRecord(record, number);
}

function parseRecord([first = '', kind, ...rest]: readonly string[], number: number): EntryAdditions {
  const additions: Addition[] = [];
  for (let at = 0; at < rest.length; at += 3) {
    const [head = '', body = '', end] = rest.slice(at, at + 3);
    const attribute = /^add: (.+)$/.exec(head)?.[1];
    if (attribute === undefined || end !== '-') throw new Error(`line ${number}: not a record of added values`);
    additions.push({ attribute, value: readValue(body, attribute, number) });
  }
  if (kind !== 'changetype: modify') throw new Error(`line ${number}: not a record of added values`);
  return { dn: readValue(first, 'dn', number), additions };
}

function readValue(line: string, name: string, number: number): string {
  if (line.startsWith(`${name}:: `)) return Buffer.from(line.slice(name.length + 3), 'base64').toString('utf8');
  if (line.startsWith(`${name}: `)) return line.slice(name.length + 2);
  throw new Error(`line ${number}: found "${line.slice(0, 40)}", want "${name}: value"`);
}
