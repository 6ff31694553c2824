import { normalizeDomain } from '../src/mail/address.ts';
import { hasControl } from '../src/mail/control.ts';
import { PROFILE_NAMES, type ProfileName } from '../src/mail/disposition.ts';

/** One line of a domain map. `domain` is normalised: `example.com`, `*.example.com` (any subdomain) or `*`. */
export type DomainMapEntry = {
  readonly domain: string;
  readonly url: string;
  readonly profile?: ProfileName;
  readonly line: number;
};

/** `error`: the line is left out, the map is not to be used; `note`: an operator should look, the map stands. */
export type DomainMapProblem = { readonly line: number; readonly kind: 'error' | 'note'; readonly text: string };

/**
 * Reads a domain map in the format of the v7 product's `ischeduledomainmap.properties`: `domain=URL` lines in the
 * syntax of Java's Properties.load. Ours are `*.domain`, `*`, and options after the URL (`profile=cyrus`).
 * @param file its name, for texts
 */
export function parseDomainMap(
  text: string,
  file: string,
): { readonly entries: readonly DomainMapEntry[]; readonly problems: readonly DomainMapProblem[] } {
  const { entries: all, problems } = readDomainMap(text, file);
  const entries = new Map<string, DomainMapEntry>();
  for (const entry of all) {
    const earlier = entries.get(entry.domain);
    if (earlier !== undefined) {
      problems.push({
        line: entry.line,
        kind: 'note',
        text: `${entry.domain} stands in line ${earlier.line} too; this later line is used`,
      });
    }
    entries.set(entry.domain, entry);
  }
  return { entries: [...entries.values()], problems: problems.sort((a, b) => a.line - b.line) };
}

/** Every usable line in the order of the file, those that a later one takes the place of included. */
export function readDomainMap(
  text: string,
  file: string,
): { readonly entries: readonly DomainMapEntry[]; readonly problems: DomainMapProblem[] } {
  const problems: DomainMapProblem[] = [];
  let content = text;
  if (content.startsWith('\uFEFF')) {
    content = content.slice(1);
    problems.push({
      line: 1,
      kind: 'note',
      text: `${file} begins with a byte order mark, which the calendar server takes for part of the first domain; save it without one`,
    });
  }
  const entries: DomainMapEntry[] = [];
  for (const { key, value, line } of readProperties(content, problems)) {
    const entry = readEntry(key, value, line, problems);
    if (entry !== undefined) entries.push(entry);
  }
  return { entries, problems };
}

/** The entry for a domain: its own, else that of the nearest `*.parent`, else `*`. */
export function lookupDomain(map: readonly DomainMapEntry[], domain: string): DomainMapEntry | undefined {
  const name = normalizeDomain(domain);
  if (name === '') return undefined;
  const byDomain = indexOf(map);
  for (const pattern of [name, ...patternsAbove(name)]) {
    const entry = byDomain.get(pattern);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

/** What else covers a domain or `*.domain` than a line of its own, the nearest first; `*` comes last. */
export function patternsAbove(domain: string): readonly string[] {
  if (domain === '*') return [];
  const name = domain.startsWith('*.') ? domain.slice(2) : domain;
  const patterns: string[] = [];
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) patterns.push(`*${name.slice(dot)}`);
  return [...patterns, '*'];
}

// A map has thousands of lines at a large site and is asked once per recipient; it never changes once it is read.
const indexes = new WeakMap<readonly DomainMapEntry[], ReadonlyMap<string, DomainMapEntry>>();

function indexOf(map: readonly DomainMapEntry[]): ReadonlyMap<string, DomainMapEntry> {
  let index = indexes.get(map);
  if (index === undefined) {
    index = new Map(map.map((entry) => [entry.domain, entry]));
    indexes.set(map, index);
  }
  return index;
}

function readEntry(key: string, value: string, line: number, problems: DomainMapProblem[]): DomainMapEntry | undefined {
  const wrong = (text: string): undefined => {
    problems.push({ line, kind: 'error', text });
  };
  const domain = readDomain(key);
  if (domain === undefined) return wrong(`got the domain ${JSON.stringify(key)}, need a mail domain, *.domain or *`);
  if (value.trim() === '') return wrong(`${domain} has no URL, need ${domain}=https://calendar.example.com/ischedule/`);
  const server = readServer(value);
  if (server.kind === 'wrong') return wrong(server.reason);
  const { url, profile } = server;
  return { domain, url, ...(profile === undefined ? {} : { profile }), line };
}

/** A URL with options after it, as a map line and a user's own entry have it. */
export type ReadServer =
  | { readonly kind: 'server'; readonly url: string; readonly profile?: ProfileName }
  | { readonly kind: 'wrong'; readonly reason: string };

/** Reads `URL profile=NAME`. */
export function readServer(value: string): ReadServer {
  const wrong = (reason: string): ReadServer => ({ kind: 'wrong', reason });
  const [url = '', ...options] = value.split(/[ \t\f]+/).filter((word) => word !== '');
  const parsed = URL.parse(url);
  if (
    parsed === null ||
    (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') ||
    parsed.hash !== '' ||
    hasControl(url) // which URL drops in silence
  ) {
    return wrong(`got the URL ${JSON.stringify(url)}, need one with http:// or https://`);
  }
  if (parsed.username !== '' || parsed.password !== '')
    return wrong('got a URL with a user name or password in it, need one without: URLs are logged');
  let profile: ProfileName | undefined;
  for (const option of options) {
    const [name = '', setting = ''] = option.split(/=(.*)/s);
    if (name !== 'profile') return wrong(`got the option ${JSON.stringify(option)}, need profile=NAME`);
    profile = PROFILE_NAMES.find((known) => known === setting);
    if (profile === undefined)
      return wrong(`got the profile ${JSON.stringify(setting)}, need one of ${PROFILE_NAMES.join(', ')}`);
  }
  return { kind: 'server', url, ...(profile === undefined ? {} : { profile }) };
}

function readDomain(key: string): string | undefined {
  if (key === '*') return key;
  const wild = key.startsWith('*.');
  const domain = normalizeDomain(wild ? key.slice(2) : key);
  if (!/^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(domain)) return undefined;
  return wild ? `*.${domain}` : domain;
}

type Property = { readonly key: string; readonly value: string; readonly line: number };

// java.util.Properties.load: lines end in LF, CR or CRLF; a logical line is continued by an odd number of backslashes
// before the line end, and the continuation's leading white space is dropped; a comment is never continued, and a
// continuation that begins with # is no comment.
function* readProperties(text: string, problems: DomainMapProblem[]): Generator<Property> {
  const lines = text.split(/\r\n|\r|\n/);
  const trimmed = (index: number): string => (lines[index] ?? '').replace(/^[ \t\f]+/, '');
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1;
    let piece = trimmed(index);
    if (piece.startsWith('#') || piece.startsWith('!')) continue;
    let logical = '';
    while (/(?<!\\)(?:\\\\)*\\$/.test(piece)) {
      logical += piece.slice(0, -1);
      index++;
      piece = trimmed(index);
    }
    logical += piece;
    if (logical === '') continue;
    const { key, value } = splitProperty(logical);
    const [plainKey, plainValue] = [unescapeProperty(key), unescapeProperty(value)];
    if (plainKey === undefined || plainValue === undefined) {
      problems.push({ line, kind: 'error', text: 'got a broken \\u escape, need \\u and four hexadecimal digits' });
    } else yield { key: plainKey, value: plainValue, line };
  }
}

/** The key ends at the first unescaped white space, `=` or `:`; one `=` or `:` among the white space after it belongs to neither. */
function splitProperty(logical: string): { readonly key: string; readonly value: string } {
  let end = 0;
  while (end < logical.length && !' \t\f=:'.includes(logical.charAt(end))) end += logical.charAt(end) === '\\' ? 2 : 1;
  const separator = /^[ \t\f]*[=:]?[ \t\f]*/.exec(logical.slice(end))?.[0] ?? '';
  return { key: logical.slice(0, end), value: logical.slice(end + separator.length) };
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' };

/** @returns undefined for a broken `\u`; Java throws there */
function unescapeProperty(escaped: string): string | undefined {
  if (/(?<!\\)(?:\\\\)*\\u(?![0-9a-fA-F]{4})/.test(escaped)) return undefined;
  return escaped.replace(/\\(?:u([0-9a-fA-F]{4})|(.)|$)/gs, (_, hex: string | undefined, char: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return char === undefined ? '' : (ESCAPES[char] ?? char);
  });
}
