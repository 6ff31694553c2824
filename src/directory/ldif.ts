import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Directory } from './directory.ts';
import { LdifDirectory } from './ldif-directory.ts';
import { type AttributeRecord, dnKey, type SchemaMapping } from './schema.ts';

/** One content record of a file; `line` is where its `dn:` stands, counted from 1. */
export type LdifRecord = AttributeRecord & { readonly line: number };

export type LdifProblem = { readonly line: number; readonly text: string };

/** A file that is not LDIF as it is understood here; has everything that is wrong with it. */
export class LdifError extends Error {
  readonly problems: readonly LdifProblem[];

  constructor(problems: readonly LdifProblem[], label: string, options?: ErrorOptions) {
    const shown = problems.slice(0, 20).map(({ line, text }) => `${label}:${line}: ${text}`);
    if (problems.length > shown.length) shown.push(`${label}: ${problems.length - shown.length} more`);
    super(shown.join('\n'), options);
    this.name = 'LdifError';
    this.problems = problems;
  }
}

export type LdifOptions = {
  readonly file: string;
  /** Only entries at and under this DN; all without it. */
  readonly base?: string;
  readonly mapping: SchemaMapping;
  /** Characters that begin a sub-address; '' for none. */
  readonly subAddressSeparators: string;
  /** Most names that the expansion of a group follows; 1000 without it. */
  readonly groupLimit?: number;
};

/**
 * Reads an LDIF file, once, as a directory: through the same mapping as LDAP, and with the same answers.
 * @throws LdifError when the file cannot be read or is not LDIF, or the mapping has a filter, which only LDAP evaluates
 */
export async function openLdifDirectory(options: LdifOptions): Promise<Directory> {
  const { file, mapping } = options;
  if (mapping.objectFilter !== '') {
    throw new LdifError(
      [{ line: 1, text: 'an LDIF directory takes no object-filter; leave the entries out of the file' }],
      file,
    );
  }
  const records = parseLdif(await readText(file), file);
  return new LdifDirectory(basename(file), records, options);
}

/**
 * Reads LDIF content records (RFC 2849): folded lines, base64 values, comments, `version: 1`. Attribute options are
 * dropped. Change records and values by URL (`:<`) are refused: a directory is what stands in the file.
 * @param label names the text in errors
 * @throws LdifError with every problem and its line
 */
export function parseLdif(text: string, label = 'LDIF'): LdifRecord[] {
  const problems: LdifProblem[] = [];
  const records: LdifRecord[] = [];
  const linesOfNames = new Map<string, number>();
  let open: { dn: string; line: number; attributes: Map<string, string[]> } | undefined;
  let begun = false;
  // A record that began wrongly is one problem, not one for each of its lines.
  let skipping = false;

  for (const { text: content, line } of logicalLines(text, problems)) {
    if (content === '') {
      open = undefined;
      skipping = false;
      continue;
    }
    if (skipping) continue;
    const parsed = parseLine(content);
    if ('problem' in parsed) {
      problems.push({ line, text: parsed.problem });
      skipping = open === undefined;
      continue;
    }
    const { name, value } = parsed;
    if (open === undefined && name === 'version' && !begun) {
      begun = true;
      if (value !== '1') problems.push({ line, text: `found LDIF version "${value}", only version 1 is known` });
    } else if (open === undefined && name === 'dn') {
      begun = true;
      const normal = dnKey(value);
      const earlier = linesOfNames.get(normal);
      if (earlier !== undefined)
        problems.push({ line, text: `the entry "${value}" stands already in line ${earlier}` });
      linesOfNames.set(normal, line);
      open = { dn: value, line, attributes: new Map() };
      records.push(open);
    } else if (open === undefined) {
      problems.push({ line, text: `found "${name}:" where an entry begins, want "dn:" first` });
      skipping = true;
    } else if (name === 'changetype' || name === 'control') {
      problems.push({ line, text: `found a change record ("${name}:"), want entries only; apply the changes first` });
      skipping = true;
    } else if (name === 'dn') {
      problems.push({ line, text: 'found a second "dn:" in one entry; part entries by an empty line' });
    } else {
      const values = open.attributes.get(name);
      if (values === undefined) open.attributes.set(name, [value]);
      else values.push(value);
    }
  }
  if (problems.length > 0) throw new LdifError(problems, label);
  return records;
}

/** Lines with their continuations joined and comments left out; an empty one parts records. */
function* logicalLines(
  text: string,
  problems: LdifProblem[],
): Generator<{ readonly text: string; readonly line: number }> {
  let current: { parts: string[]; line: number } | undefined;
  let line = 0;
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  for (const raw of lines) {
    line++;
    const content = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (content.startsWith(' ')) {
      if (current === undefined)
        problems.push({ line, text: 'found a continuation (a line that begins with a space) of nothing' });
      else current.parts.push(content.slice(1));
      continue;
    }
    if (current !== undefined) yield* joined(current);
    current = content === '' ? undefined : { parts: [content], line };
    if (content === '') yield { text: '', line };
  }
  if (current !== undefined) yield* joined(current);
}

function* joined({ parts, line }: { parts: string[]; line: number }): Generator<{ text: string; line: number }> {
  if (parts[0]?.startsWith('#') !== true) yield { text: parts.join(''), line };
}

function parseLine(content: string): { name: string; value: string } | { problem: string } {
  const match = /^([A-Za-z0-9][A-Za-z0-9.-]*)(?:;[A-Za-z0-9;-]*)?:([:<]?) *(.*)$/s.exec(content);
  if (match === null) return { problem: `found "${content.slice(0, 40)}", want "attribute: value"` };
  const [, name = '', mark = '', text = ''] = match;
  if (mark === '<') return { problem: `the value of ${name} is a URL; write it out, or as base64 after "::"` };
  const value = mark === ':' ? decodeBase64(text.trimEnd()) : text;
  if (value === undefined) return { problem: `the value of ${name} is no base64` };
  return { name: name.toLowerCase(), value };
}

/** As UTF-8; octets that are none, such as a photograph's, stay distinct as Latin-1. */
function decodeBase64(text: string): string | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
  const octets = Buffer.from(text, 'base64');
  const decoded = octets.toString('utf8');
  return decoded.includes('\uFFFD') ? octets.toString('latin1') : decoded;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new LdifError([{ line: 1, text: `the file cannot be read (${code})` }], file, { cause: error });
  }
}
