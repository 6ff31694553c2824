import { lookup as lookupHost } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { DomainMapEntry } from '../../rules/domain-map.ts';
import type { HostPort } from '../config/kinds.ts';
import type { ProfileName } from '../mail/disposition.ts';
import { offersTls } from '../observe/reach.ts';
import { type AskSettings, askCalendarServer } from './calendar-server.ts';

/** What was found wrong in a line of a domain map. */
export type MapFinding = { readonly line: number; readonly kind: 'error' | 'warning'; readonly text: string };

export type HostOptions = {
  /** Our own, to which no line may lead. */
  readonly listeners: readonly { readonly name: string; readonly address: HostPort }[];
  readonly settings: (url: string) => AskSettings;
  readonly timeoutMs: number;
  /** Servers asked at a time. */
  readonly concurrency: number;
};

/** Resolves and reaches every calendar server of a map, each once, and says so of every line that names it. */
export async function lintHosts(entries: readonly DomainMapEntry[], options: HostOptions): Promise<MapFinding[]> {
  const byUrl = Map.groupBy(entries, (entry) => new URL(entry.url).href);
  const findings: MapFinding[] = [];
  const waiting = byUrl.entries();
  const worker = async (): Promise<void> => {
    for (const [href, lines] of waiting) {
      const said = await lintUrl(new URL(href), lines[0]?.profile, options);
      findings.push(...lines.flatMap(({ line }) => said.map((one) => ({ line, ...one }))));
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return findings.sort((a, b) => a.line - b.line);
}

type Said = Omit<MapFinding, 'line'>;

async function lintUrl(url: URL, profile: ProfileName | undefined, options: HostOptions): Promise<Said[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = await resolve(host, options.timeoutMs);
  if (typeof addresses === 'string') return [{ kind: 'error', text: addresses }];
  const loop = loopOf(url, host, addresses, options);
  if (loop !== undefined) return [{ kind: 'error', text: loop }];
  const [state, clear] = await Promise.all([
    askCalendarServer(
      { url: url.href, ...(profile === undefined ? {} : { profile }) },
      { timeoutMs: options.timeoutMs, settings: options.settings(url.href) },
    ),
    clearText(url, host, options),
  ]);
  return [
    ...(state.kind === 'unreachable' ? [{ kind: 'error', text: `${url.href} ${state.text}` } as const] : []),
    ...(state.kind === 'doubtful' ? [{ kind: 'warning', text: `${url.href} ${state.text}` } as const] : []),
    ...(clear === undefined ? [] : [{ kind: 'warning', text: clear } as const]),
  ];
}

/** @returns the addresses of a host, or why there is none */
async function resolve(host: string, timeoutMs: number): Promise<readonly string[] | string> {
  if (isIP(host) !== 0) return [host];
  const { promise, resolve: late } = Promise.withResolvers<string>();
  const timer = setTimeout(() => late(`${host} cannot be resolved: no answer within ${timeoutMs / 1000} s`), timeoutMs);
  try {
    return await Promise.race([
      promise,
      lookupHost(host, { all: true }).then((found) => found.map(({ address }) => address)),
    ]);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    return `${host} cannot be resolved (${String(error.code)})`;
  } finally {
    clearTimeout(timer);
  }
}

const ANYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** The text of the map cannot tell: what its names resolve to may be an address of ours. */
function loopOf(url: URL, host: string, addresses: readonly string[], options: HostOptions): string | undefined {
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  for (const { name, address } of options.listeners) {
    if (address.port !== port) continue;
    const ours = ANYWHERE.has(address.host) ? ownAddresses() : [address.host];
    const same = addresses.find((one) => ours.includes(one));
    if (same === undefined) continue;
    return `${url.href} leads back to ourselves: ${host} is ${same}, where our listener ${name} is on port ${port}; name the calendar server`;
  }
  return undefined;
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address));
}

/** Whether invitations go out in the clear although the same host takes TLS. */
async function clearText(url: URL, host: string, { timeoutMs }: HostOptions): Promise<string | undefined> {
  if (url.protocol !== 'http:') return undefined;
  const written = Number(url.port || 80);
  for (const port of new Set([written, 443])) {
    if (!(await offersTls({ host, port, timeoutMs }))) continue;
    const better = new URL(url.href.replace(/^http:/, 'https:'));
    better.port = port === 443 ? '' : String(port);
    return `${url.href} goes out in the clear, and ${host} offers TLS on port ${port}; ${better.href} may serve as well`;
  }
  return undefined;
}
