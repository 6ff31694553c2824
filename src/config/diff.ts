import type { DomainMapEntry } from '../../rules/domain-map.ts';
import { type AnyField, type Fields, isRecord, nameInConfig } from './field.ts';
import type { Site } from './kinds.ts';
import type { DomainMap } from './map-file.ts';
import { type Config, options } from './options.ts';
import { type OptionPath, pathText, shown } from './problem.ts';
import { Secret } from './secrets.ts';

/** One option that differs, with the old value and the new in words; of a secret only that it changed. */
export type Change = { readonly path: OptionPath; readonly text: string };

const nowhere: Site = { hostname: 'localhost', env: {}, absolute: (path) => path, readText: () => '' };
const ROOT = options(nowhere);

/** Everything in which two configurations differ, in the order of the documentation. */
export function differences(before: Config, after: Config): readonly Change[] {
  return compare([], ROOT, before, after);
}

/** The same, one text each, such as `queue.post-lifetime: 12h → 1d` or `calendar.domain-map: example.com: URL → URL`. */
export function changes(before: Config, after: Config): readonly string[] {
  return differences(before, after).map(changeText);
}

export function changeText({ path, text }: Change): string {
  return `${pathText(path)}: ${text}`;
}

function compare(path: OptionPath, field: AnyField, before: unknown, after: unknown): Change[] {
  if (before === undefined && after === undefined) return [];
  if (isDomainMap(before) && isDomainMap(after)) return compareMaps(path, before, after);
  const { shape } = field;
  switch (shape.kind) {
    case 'section':
      if (!isRecord(before) || !isRecord(after)) break;
      return compareFields(path, shape.fields, before, after);
    case 'variants': {
      if (!isRecord(before) || !isRecord(after)) break;
      const kinds = [before, after].map((one) => String(one[shape.key]));
      const [was = '', is = ''] = kinds;
      const parts = kinds.map((kind) => fieldsOf(shape.of[kind]));
      return [
        ...(was === is ? [] : [{ path: [...path, shape.key], text: `${was} → ${is}` }]),
        ...compareFields(path, Object.assign({}, ...parts), before, after),
      ];
    }
    case 'list':
      if (!Array.isArray(before) || !Array.isArray(after) || shape.item.shape.kind === 'value') break;
      return Array.from({ length: Math.max(before.length, after.length) }, (_, index) =>
        compare([...path, index], shape.item, before[index], after[index]),
      ).flat();
    case 'map':
      if (!(before instanceof Map) || !(after instanceof Map)) break;
      return [...new Set([...before.keys(), ...after.keys()])].flatMap((key) =>
        compare([...path, String(key)], shape.item, before.get(key), after.get(key)),
      );
    default:
  }
  if (isSame(before, after)) return [];
  const [was, is] = [words(field, before), words(field, after)];
  return [{ path, text: was === is ? 'changed' : `${was} → ${is}` }];
}

function fieldsOf(field: AnyField | undefined): Fields {
  return field?.shape.kind === 'section' ? field.shape.fields : {};
}

function compareFields(
  path: OptionPath,
  fields: Fields,
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): Change[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const key = nameInConfig(name, field);
    return compare([...path, name], field, before[key], after[key]);
  });
}

/** By domain: where its line stands, and in which of two files, is no difference. */
function compareMaps(path: OptionPath, before: DomainMap, after: DomainMap): Change[] {
  const file = before.file === after.file ? [] : [{ path, text: `${before.file} → ${after.file}` }];
  const old = new Map(before.entries.map((entry) => [entry.domain, lineText(entry)]));
  const now = new Map(after.entries.map((entry) => [entry.domain, lineText(entry)]));
  const lines = [...new Set([...old.keys(), ...now.keys()])]
    .filter((domain) => old.get(domain) !== now.get(domain))
    .map((domain) => ({ path, text: `${domain}: ${old.get(domain) ?? 'none'} → ${now.get(domain) ?? 'none'}` }));
  return [...file, ...lines];
}

function lineText({ domain: _, line: __, url, ...options }: DomainMapEntry): string {
  return [url, ...Object.entries(options).map(([name, value]) => `${name}=${String(value)}`)].join(' ');
}

function isDomainMap(found: unknown): found is DomainMap {
  return isRecord(found) && Array.isArray(found.entries) && Array.isArray(found.notes);
}

function isSame(a: unknown, b: unknown): boolean {
  if (a instanceof Secret && b instanceof Secret) return a.reveal() === b.reveal();
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  if (isRecord(a) && isRecord(b)) {
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => isSame(a[name], b[name]));
  }
  return a === b;
}

/** A value as an administrator writes it. */
function words(field: AnyField, found: unknown): string {
  if (found === undefined) return 'none';
  if (found instanceof Secret) return '[secret]';
  if (isDomainMap(found)) return found.file;
  const { shape } = field;
  if (Array.isArray(found)) {
    const item = shape.kind === 'list' ? shape.item : field;
    return `[${found.map((one) => words(item, one)).join(', ')}]`;
  }
  if (found instanceof Map) {
    const item = shape.kind === 'map' ? shape.item : field;
    return `{${[...found].map(([key, value]) => `${String(key)}: ${words(item, value)}`).join(', ')}}`;
  }
  if (isRecord(found)) return recordWords(field, found);
  if (typeof found === 'number' && field.suffix === 'Ms') return measured(found, TIMES);
  if (typeof found === 'number' && field.suffix === 'Bytes') return measured(found, SIZES);
  if (typeof found !== 'string') return String(found);
  if (found.includes('\n')) return '[the content of the file]';
  return found === '' || /[\s,]/.test(found) ? shown(found) : found;
}

function recordWords(field: AnyField, found: Readonly<Record<string, unknown>>): string {
  const { shape } = field;
  if (shape.kind === 'value') {
    if (typeof found.host === 'string') {
      return `${found.host.includes(':') ? `[${found.host}]` : found.host}:${String(found.port)}`;
    }
    return typeof found.folder === 'string' ? found.folder : JSON.stringify(found);
  }
  const variant = shape.kind === 'variants' ? String(found[shape.key]) : undefined;
  const fields = shape.kind === 'variants' && variant !== undefined ? fieldsOf(shape.of[variant]) : fieldsOf(field);
  const parts = Object.entries(fields).flatMap(([name, part]) => {
    const value = found[nameInConfig(name, part)];
    return value === undefined ? [] : [`${name}: ${words(part, value)}`];
  });
  return `{${[...(variant === undefined || shape.kind !== 'variants' ? [] : [`${shape.key}: ${variant}`]), ...parts].join(', ')}}`;
}

const TIMES: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
];
const SIZES: readonly (readonly [string, number])[] = [
  ['GiB', 2 ** 30],
  ['GB', 1e9],
  ['MiB', 2 ** 20],
  ['MB', 1e6],
  ['KiB', 2 ** 10],
  ['KB', 1e3],
];

function measured(amount: number, units: readonly (readonly [string, number])[]): string {
  const smallest = units === TIMES ? 'ms' : 'B';
  const [unit, size] = units.find(([, one]) => amount !== 0 && amount % one === 0) ?? [smallest, 1];
  return `${amount / size}${unit}`;
}
