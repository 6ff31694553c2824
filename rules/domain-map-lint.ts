import type { CalendarServer } from '../src/mail/disposition.ts';
import { type DomainMapEntry, type DomainMapProblem, patternsAbove, readDomainMap } from './domain-map.ts';

/** What a map is held against. */
export type MapSurroundings = {
  /** Where we listen ourselves, `host:port` (`[::1]:8080`), in any case. */
  readonly ownEndpoints: readonly string[];
  readonly defaultBackEnd?: CalendarServer;
  /** Name of the marker attribute, when one is configured. */
  readonly marker?: string;
};

/**
 * Everything about a map that can be said without asking anybody: lines that cannot be read, that can never be used,
 * that say nothing new, that lead back to ourselves, that use http where another uses https.
 * @param file its name, for texts
 * @returns in the order of lines; empty for a map that is well
 */
export function lintDomainMap(text: string, file: string, around: MapSurroundings): readonly DomainMapProblem[] {
  const { entries, problems } = readDomainMap(text, file);
  const used = new Map(entries.map((entry) => [entry.domain, entry]));
  const own = new Set(around.ownEndpoints.map((endpoint) => endpoint.toLowerCase()));
  const https = new Map<string, DomainMapEntry>();
  for (const entry of used.values()) {
    const { protocol, hostname } = new URL(entry.url);
    if (protocol === 'https:' && !https.has(hostname)) https.set(hostname, entry);
  }
  const found = entries.flatMap((entry) => {
    const last = used.get(entry.domain);
    if (last !== undefined && last !== entry) return [shadowed(entry, last)];
    return [loop(entry, own), redundant(entry, used), unencrypted(entry, https)].filter((one) => one !== undefined);
  });
  return [...problems, ...found, ...unusedDefault(used.get('*'), around)].sort((a, b) => a.line - b.line);
}

/** `host:port` of a URL, the port spelled out, as `ownEndpoints` has it. */
export function endpointOf(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname.replace(/\.$/, '')}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`;
}

function shadowed(entry: DomainMapEntry, last: DomainMapEntry): DomainMapProblem {
  const { domain, line } = entry;
  const text = isSame(entry, last)
    ? `${domain} stands in line ${last.line} again, with the same server; take one of them out`
    : `this line is never used: ${domain} stands in line ${last.line} again, and the last one counts`;
  return { line, kind: 'note', text };
}

function loop({ url, line }: DomainMapEntry, own: ReadonlySet<string>): DomainMapProblem | undefined {
  const endpoint = endpointOf(url);
  if (!own.has(endpoint)) return undefined;
  return {
    line,
    kind: 'error',
    text: `${url} leads back to ourselves: ${endpoint} is a listener of this gateway; name the calendar server`,
  };
}

function redundant(entry: DomainMapEntry, used: ReadonlyMap<string, DomainMapEntry>): DomainMapProblem | undefined {
  const above = patternsAbove(entry.domain).find((pattern) => used.has(pattern));
  const next = above === undefined ? undefined : used.get(above);
  if (next === undefined || !isSame(entry, next)) return undefined;
  return {
    line: entry.line,
    kind: 'note',
    text: `this line says nothing new: without it ${next.domain} in line ${next.line} names the same server for ${entry.domain}`,
  };
}

function unencrypted(
  { url, line }: DomainMapEntry,
  https: ReadonlyMap<string, DomainMapEntry>,
): DomainMapProblem | undefined {
  const { protocol, hostname } = new URL(url);
  const other = protocol === 'http:' ? https.get(hostname) : undefined;
  if (other === undefined) return undefined;
  return { line, kind: 'note', text: `${url} is not encrypted, where line ${other.line} has ${other.url}` };
}

function unusedDefault(all: DomainMapEntry | undefined, around: MapSurroundings): readonly DomainMapProblem[] {
  if (all === undefined || around.defaultBackEnd === undefined || around.marker !== undefined) return [];
  return [
    { line: all.line, kind: 'note', text: '* takes every domain, so that calendar.default is never used; keep one' },
  ];
}

function isSame(a: DomainMapEntry, b: DomainMapEntry): boolean {
  return a.url === b.url && a.profile === b.profile;
}
