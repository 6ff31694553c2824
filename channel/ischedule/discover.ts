import { domainToASCII } from 'node:url';
import type { Discovered } from '../../rules/coexistence.ts';
import type { Discovery } from '../../src/flow/context.ts';
import type { CacheBounds, DnsResolver } from '../../src/net/dns.ts';
import { isDnsName } from '../../src/net/dns-message.ts';
import type { DnsAnswer, SrvRecord } from '../../src/net/resolver.ts';
import { TtlCache } from '../../src/net/ttl-cache.ts';
import type { Log } from '../../src/observe/log.ts';
import { publicSuffixOf } from './public-suffix.ts';
import { orderTargets } from './srv-order.ts';

export type DiscoveryOptions = {
  readonly resolver: Pick<DnsResolver, 'srv' | 'strings'>;
  /**
   * Looks for `_ischedule._tcp` (up to draft -04) where there is no `_ischedules._tcp`. What it names is spoken to by https
   * all the same: at its port, or at 443 where it names port 80, which is never TLS.
   */
  readonly plainSrv: boolean;
  /** From 0 up to, not including, 1. */
  readonly random: () => number;
  /** Milliseconds that never go back. */
  readonly clock: () => number;
  readonly cache: CacheBounds;
  readonly log: Log;
};

const WELL_KNOWN = '/.well-known/ischedule';

/** Each level of a domain is one more question to the DNS. */
const MAX_LABELS = 10;

/** Targets that are tried for one post. */
const MAX_TARGETS = 8;

/** What the DNS says of a domain: its records, for their order is drawn anew at each find (RFC 2782). */
type Known =
  | {
      readonly kind: 'service';
      readonly owner: string;
      readonly targets: readonly SrvRecord[];
      readonly path: string;
      readonly secure: boolean;
    }
  | { readonly kind: 'none'; readonly reason: string };

type Answer = (Known & { readonly ttlMs: number }) | { readonly kind: 'no-answer'; readonly reason: string };

/**
 * Finds the iSchedule service of an outside domain (draft-desruisseaux-ischedule-05 §5): SRV `_ischedules._tcp` at the
 * domain, else at the domain above it, up to where strangers register names. A target `.` says that there is none, and
 * ends the search. TXT `path=` beside the SRV names the path, else it is the well-known one. All URLs are https.
 * @returns `none` too for what is no domain of the Internet; `no-answer`, never kept, where the DNS was silent
 */
export function createDiscovery(options: DiscoveryOptions): Discovery {
  const kept = new TtlCache<Known>({ maxEntries: options.cache.maxEntries, clock: options.clock });
  return {
    async find(asked, signal) {
      signal.throwIfAborted();
      const domain = domainToASCII(asked.toLowerCase());
      const unfit = whyNotSought(domain);
      if (unfit !== undefined) return { kind: 'none', reason: unfit };
      const held = kept.get(domain);
      if (held !== undefined) return present(held.value, options.random);
      const answer = await search(domain, options, signal);
      if (answer.kind === 'no-answer') return answer;
      const { ttlMs, ...known } = answer;
      kept.set(domain, known, boundedTtl(known, ttlMs, options.cache));
      options.log.debug({ domain, discovered: known }, 'looked for an iSchedule service');
      return present(known, options.random);
    },
  };
}

function whyNotSought(domain: string): string | undefined {
  // `domainToASCII` writes an IPv4 address in its dotted form and gives nothing for what is no host name.
  if (!isDnsName(domain)) return 'not a domain name';
  const labels = domain.split('.').length;
  if (labels < 2) return 'not a domain of the Internet';
  return labels > MAX_LABELS ? `a domain of more than ${MAX_LABELS} labels` : undefined;
}

/** A negative answer without SOA is not kept (RFC 2308 §5). */
function boundedTtl(known: Known, ttlMs: number, { minTtlMs, maxTtlMs, maxNegativeTtlMs }: CacheBounds): number {
  if (known.kind === 'none') return ttlMs === 0 ? 0 : Math.min(Math.max(ttlMs, minTtlMs), maxNegativeTtlMs);
  return Math.min(Math.max(ttlMs, minTtlMs), maxTtlMs);
}

function present(known: Known, random: () => number): Discovered {
  if (known.kind === 'none') return known;
  const ordered = orderTargets(known.targets, random);
  const urls = new Set(ordered.map(({ target, port }) => targetUrl(target, port, known)));
  return { kind: 'service', urls: [...urls].slice(0, MAX_TARGETS), because: `SRV ${known.owner}` };
}

function targetUrl(target: string, port: number, { path, secure }: { path: string; secure: boolean }): string {
  const https = !secure && port === 80 ? 443 : port;
  return `https://${target}${https === 443 ? '' : `:${https}`}${path}`;
}

async function search(domain: string, options: DiscoveryOptions, signal: AbortSignal): Promise<Answer> {
  let ttlMs = Number.POSITIVE_INFINITY;
  for (const level of levelsOf(domain)) {
    for (const service of options.plainSrv ? (['_ischedules', '_ischedule'] as const) : (['_ischedules'] as const)) {
      const owner = `${service}._tcp.${level}`;
      const srv = await options.resolver.srv(owner, signal);
      if (srv.kind === 'no-answer') return noAnswer(owner, srv);
      ttlMs = Math.min(ttlMs, srv.ttlMs);
      if (srv.kind === 'records') return await readService(owner, srv.records, ttlMs, options, signal);
    }
  }
  return { kind: 'none', reason: `no SRV _ischedules._tcp at ${domain}`, ttlMs };
}

/** The domain, then those above it, but none that is a public suffix. */
function levelsOf(domain: string): readonly string[] {
  const levels = [domain];
  const suffix = publicSuffixOf(domain);
  for (let level = above(domain); level.length > suffix.length; level = above(level)) levels.push(level);
  return levels;
}

function above(domain: string): string {
  const dot = domain.indexOf('.');
  return dot < 0 ? '' : domain.slice(dot + 1);
}

async function readService(
  owner: string,
  records: readonly SrvRecord[],
  srvTtlMs: number,
  options: DiscoveryOptions,
  signal: AbortSignal,
): Promise<Answer> {
  const none = (reason: string, ttlMs = srvTtlMs): Answer => ({ kind: 'none', reason: `${owner} ${reason}`, ttlMs });
  if (records.every(({ target }) => target === '.')) return none('says that there is no such service');
  const targets = records.filter(isUsable);
  if (targets.length === 0) return none('names no host that can be asked');
  const txt = await options.resolver.strings(owner, signal);
  if (txt.kind === 'no-answer') return noAnswer(owner, txt);
  // Without an SOA nothing is known of how long there will be no TXT: then the SRV's own time counts.
  const ttlMs = txt.kind === 'none' && txt.ttlMs === 0 ? srvTtlMs : Math.min(srvTtlMs, txt.ttlMs);
  const stated = txt.kind === 'records' ? txt.records.flatMap((strings) => pathOf(strings) ?? []) : [];
  const [path = WELL_KNOWN, ...others] = new Set(stated);
  if (others.length > 0) return none('has TXT records with different paths', ttlMs);
  if (!isPlainPath(path)) return none('has a TXT record whose path cannot be used', ttlMs);
  return { kind: 'service', owner, targets, path, secure: owner.startsWith('_ischedules.'), ttlMs };
}

function noAnswer(owner: string, { reason }: Extract<DnsAnswer<never>, { kind: 'no-answer' }>): Answer {
  return { kind: 'no-answer', reason: `${owner}: ${reason}` };
}

/** A host by name. `URL` is the judge: what it reads as an address (`0x7f.1`) is none. */
function isUsable({ target, port }: SrvRecord): boolean {
  if (!isDnsName(target) || port === 0) return false;
  return URL.parse(`https://${target}:${port}/`)?.hostname === target;
}

/** The first `path=` counts, in any case of its letters; one without a value is as good as none (RFC 6763 §6.4). */
function pathOf(strings: readonly string[]): string | undefined {
  const found = strings.find((text) => /^path=/i.test(text))?.slice('path='.length);
  return found === '' ? undefined : found;
}

const PATH_CHARACTERS = /^\/(?!\/)(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/;

/** Absolute, of this host, without query, and nothing in it that `URL` would read otherwise, such as `..`. */
function isPlainPath(path: string): boolean {
  return PATH_CHARACTERS.test(path) && URL.parse(path, 'https://host.invalid')?.pathname === path;
}
