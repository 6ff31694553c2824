import { CACHE_BOUNDS, type CacheBounds } from '../../src/net/dns.ts';
import type { DnsAnswer, Resolver } from '../../src/net/resolver.ts';
import { TtlCache } from '../../src/net/ttl-cache.ts';
import { parseKeyRecord } from './dkim/key-record.ts';
import { isDnsName, isDomainName } from './dkim/tags.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { KEY_METHODS, type KeyAnswer, type KeyFinder, type KeyMethod, type VerificationKey } from './keys.ts';
import { orderTargets } from './srv-order.ts';

/** Texts at one name that are read, and keys among them that a signature is tried with. */
const MAX_RECORDS = 10;
const MAX_KEYS = 4;
const MAX_DOCUMENT_BYTES = 16_384;
const MAX_REDIRECTS = 3;
const MAX_TARGETS = 3;
/** Look-ups under way at a time; beyond that a post is told to come again. */
const MAX_UNDER_WAY = 100;
const DEFAULT_TIMEOUT_MS = 10_000;
/** An answer younger than this is not asked for again, so that bad signatures cannot make us ask without end. */
const FRESH_FOR_MS = 60_000;
/** How long a document is kept that does not say so. */
const DOCUMENT_TTL_MS = 3_600_000;
const DOCUMENT_NONE_TTL_MS = 300_000;

/** A key that was agreed on outside of the protocol (`private-exchange`). */
export type PrivateKeyRecord = {
  readonly domain: string;
  readonly selector: string;
  /** Text of the key record. */
  readonly record: string;
};

export type KeyFinderOptions = {
  /** Best one that keeps nothing: what it keeps hides a changed key until its time-to-live is over. */
  readonly resolver: Resolver;
  /** Absent: `http/well-known` is not asked. */
  readonly fetch?: GuardedFetch;
  readonly privateKeys?: readonly PrivateKeyRecord[];
  /** Milliseconds that never go back. */
  readonly clock: () => number;
  readonly cache?: CacheBounds;
  /** For one look-up by one method. */
  readonly timeoutMs?: number;
  /** Draws among SRV targets of one priority, from 0 up to, not including, 1. */
  readonly random?: () => number;
};

/** What one method said, and whether the search ends with it. */
type Found = { readonly answer: KeyAnswer; readonly final: boolean };
type Kept = Found & { readonly foundAt: number };
type Looked = Found & { readonly ttlMs: number };

/**
 * Finds keys by `dns/txt` (TXT at `s._domainkey.d`), `http/well-known` (the server that SRV `_domainkey_lookup._tcp.d`
 * names, else d itself, by https) and `private-exchange`. The methods are tried in the signer's order until one has keys
 * or says that the key is revoked; a key agreed on with the peer is used last even where the signature does not name that
 * method. Answers are kept by their time-to-live; equal look-ups under way are made once.
 * @throws RangeError when a private key record cannot be used
 */
export function createKeyFinder({
  resolver,
  fetch,
  privateKeys = [],
  clock,
  cache: bounds = CACHE_BOUNDS,
  timeoutMs = DEFAULT_TIMEOUT_MS,
  random = Math.random,
}: KeyFinderOptions): KeyFinder {
  const agreed = readPrivateKeys(privateKeys);
  const cache = new TtlCache<Kept>({ maxEntries: bounds.maxEntries, clock });
  const underWay = new Map<string, Promise<Found>>();

  const look = async (method: KeyMethod, domain: string, selector: string, signal: AbortSignal): Promise<Looked> => {
    if (method === 'dns/txt') return lookUpTxt(resolver, domain, selector, signal);
    if (fetch === undefined) return looked(none('keys by http/well-known are not asked for here'), 0);
    return lookUpWellKnown({ resolver, fetch, timeoutMs, random }, domain, selector, signal);
  };

  const ask = async (method: KeyMethod, domain: string, selector: string, key: string): Promise<Found> => {
    // Several posts may wait for it: it ends by its own time, not with the first of them.
    const deadline = AbortSignal.timeout(timeoutMs);
    const { ttlMs, ...found } = await abortable(look(method, domain, selector, deadline), deadline).catch(
      (error: unknown) => {
        if (!deadline.aborted) throw error;
        return looked(noAnswer(`no answer about the key within ${timeoutMs} ms`), 0);
      },
    );
    // Not even the end of an old answer follows from silence.
    if (found.answer.kind !== 'no-answer') cache.set(key, { ...found, foundAt: clock() }, keepMs(found, ttlMs, bounds));
    return found;
  };

  const find = (method: KeyMethod, domain: string, selector: string, fresh: boolean): Found | Promise<Found> => {
    const key = `${method} ${domain} ${selector}`;
    if (method === 'private-exchange') return agreed.get(`${domain} ${selector.toLowerCase()}`) ?? NOT_AGREED;
    const kept = cache.get(key)?.value;
    if (kept !== undefined && (!fresh || clock() - kept.foundAt < FRESH_FOR_MS)) return kept;
    const already = underWay.get(key);
    if (already !== undefined) return already;
    if (underWay.size >= MAX_UNDER_WAY) return { answer: noAnswer('too many keys are being asked for'), final: false };
    const asked = ask(method, domain, selector, key).finally(() => underWay.delete(key));
    underWay.set(key, asked);
    return asked;
  };

  return {
    async find(domainAsSpelled, selector, methods, signal, { fresh = false } = {}) {
      signal.throwIfAborted();
      const domain = domainAsSpelled.toLowerCase();
      if (!isDomainName(domain) || !isDnsName(selector)) return none('d or s is no name for the DNS');
      const failures: Exclude<KeyAnswer, { kind: 'keys' }>[] = [];
      for (const method of order(methods)) {
        const isAgreed = agreed.has(`${domain} ${selector.toLowerCase()}`);
        if (method === 'private-exchange' && failures.length > 0 && !isAgreed) continue;
        const { answer, final } = await abortable(find(method, domain, selector, fresh), signal);
        if (answer.kind === 'keys' || final) return answer;
        failures.push(answer);
      }
      if (failures.length === 0) return none('q names no method of finding keys that is known');
      // While one of them may still know the key, nobody can say that there is none.
      const kind = failures.some((failure) => failure.kind === 'no-answer') ? 'no-answer' : 'none';
      const reasons = failures.filter((failure) => failure.kind === kind).map(({ reason }) => reason);
      return { kind, reason: reasons.join('; ') };
    },
  };
}

const NOT_AGREED: Found = { answer: none('no key was agreed on for this domain and selector'), final: false };

function order(methods: readonly string[]): readonly KeyMethod[] {
  const known = KEY_METHODS.filter((method) => methods.includes(method));
  const wanted = known.sort((a, b) => methods.indexOf(a) - methods.indexOf(b));
  return wanted.includes('private-exchange') ? wanted : [...wanted, 'private-exchange'];
}

function readPrivateKeys(records: readonly PrivateKeyRecord[]): ReadonlyMap<string, Found> {
  const texts = new Map<string, string[]>();
  for (const { domain, selector, record } of records) {
    const read = parseKeyRecord(record);
    if (read.kind !== 'key') {
      const wrong = read.kind === 'unusable' ? read.reason : read.kind === 'revoked' ? 'an empty p=' : 'no key record';
      throw new RangeError(`key of ${domain}, selector ${selector}: got ${wrong}, need "v=DKIM1; k=rsa; p=…"`);
    }
    const key = `${domain.toLowerCase()} ${selector.toLowerCase()}`;
    texts.set(key, [...(texts.get(key) ?? []), record]);
  }
  return new Map([...texts].map(([key, all]) => [key, readRecords(all, 'private-exchange')]));
}

async function lookUpTxt(resolver: Resolver, domain: string, selector: string, signal: AbortSignal): Promise<Looked> {
  const name = `${selector}._domainkey.${domain}`;
  const answer: DnsAnswer<string> = await resolver.txt(name, signal);
  if (answer.kind === 'no-answer') return looked(noAnswer(answer.reason), 0);
  if (answer.kind === 'none') return looked(none(`no TXT record at ${name}`), answer.ttlMs);
  return { ...readRecords(answer.records, 'dns/txt'), ttlMs: answer.ttlMs };
}

async function lookUpWellKnown(
  {
    resolver,
    fetch,
    timeoutMs,
    random,
  }: { resolver: Resolver; fetch: GuardedFetch; timeoutMs: number; random: () => number },
  domain: string,
  selector: string,
  signal: AbortSignal,
): Promise<Looked> {
  const servers = await resolver.srv(`_domainkey_lookup._tcp.${domain}`, signal);
  if (servers.kind === 'no-answer') return looked(noAnswer(servers.reason), 0);
  if (servers.kind === 'none') {
    // Where no server can be meant, that there is none is no silence.
    const own = await resolver.addresses(domain, signal);
    if (own.kind === 'none') {
      return looked(none(`${domain} serves no keys by http`), Math.min(servers.ttlMs, own.ttlMs));
    }
  }
  const targets =
    servers.kind === 'none'
      ? [domain]
      : orderTargets(
          servers.records.filter(({ target }) => target !== '.'),
          random,
        ).map(({ target, port }) => `${target}:${port}`);
  let last = looked(none(`${domain} serves no keys by http`), servers.ttlMs);
  for (const target of targets.slice(0, MAX_TARGETS)) {
    const address = `https://${target}/.well-known/domainkey/${domain}/${selector}`;
    if (!URL.canParse(address)) continue;
    last = await fetchKeys(fetch, new URL(address), timeoutMs, signal);
    if (last.answer.kind !== 'no-answer') break;
  }
  return last;
}

async function fetchKeys(fetch: GuardedFetch, url: URL, timeoutMs: number, signal: AbortSignal): Promise<Looked> {
  const options = { maxBytes: MAX_DOCUMENT_BYTES, maxRedirects: MAX_REDIRECTS, timeoutMs, accept: 'text/plain' };
  const fetched = await fetch(url, options, signal);
  if (fetched.kind === 'failed') return looked(noAnswer(`no keys from ${url.host}: ${fetched.reason}`), 0);
  // Its reason holds addresses that our DNS may know and a stranger not; this one goes into the answer to the post.
  if (fetched.kind === 'refused')
    return looked(none(`no keys from ${url.host}: it leads to where nobody is asked`), DOCUMENT_NONE_TTL_MS);
  const { status, headers, body } = fetched;
  if (status >= 500 || status === 408 || status === 429) {
    return looked(noAnswer(`no keys from ${url.host}: status ${status}`), 0);
  }
  if (status !== 200) return looked(none(`no keys from ${url.host}: status ${status}`), DOCUMENT_NONE_TTL_MS);
  const type = headers['content-type'] ?? 'text/plain';
  if (!/^\s*text\/plain\s*(;|$)/i.test(type)) {
    return looked(none(`no keys from ${url.host}: not text/plain`), DOCUMENT_NONE_TTL_MS);
  }
  const lines = body
    .toString('latin1')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
  return { ...readRecords(lines, 'http/well-known'), ttlMs: ttlOf(headers['cache-control']) };
}

/** Usable keys where there are any; a revoked key ends the search, or an older copy elsewhere would make it good again. */
function readRecords(texts: readonly string[], method: KeyMethod): Found {
  const keys: VerificationKey[] = [];
  let reason = 'no key record there';
  let revoked = false;
  for (const text of texts.slice(0, MAX_RECORDS)) {
    const record = parseKeyRecord(text);
    if (record.kind === 'key' && keys.length < MAX_KEYS) keys.push({ ...record.key, method });
    else if (record.kind === 'revoked') revoked = true;
    else if (record.kind === 'unusable') reason = record.reason;
  }
  if (keys.length > 0) return { answer: { kind: 'keys', keys }, final: true };
  return { answer: none(revoked ? 'the key is revoked' : reason), final: revoked };
}

function keepMs({ answer }: Found, ttlMs: number, { minTtlMs, maxTtlMs, maxNegativeTtlMs }: CacheBounds): number {
  const most = answer.kind === 'none' ? Math.min(maxNegativeTtlMs, maxTtlMs) : maxTtlMs;
  return Math.min(Math.max(ttlMs, minTtlMs), most);
}

/** max-age of a document, ms. */
function ttlOf(cacheControl: string | undefined): number {
  if (cacheControl === undefined) return DOCUMENT_TTL_MS;
  if (/\bno-(?:store|cache)\b/i.test(cacheControl)) return 0;
  const [, seconds] = /\bmax-age="?(\d{1,9})/i.exec(cacheControl) ?? [];
  return seconds === undefined ? DOCUMENT_TTL_MS : Number(seconds) * 1000;
}

/** Rejects as soon as `signal` aborts; what was waited for goes on. */
async function abortable<T>(waited: T | Promise<T>, signal: AbortSignal): Promise<T> {
  if (!(waited instanceof Promise)) return waited;
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    waited.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function none(reason: string): KeyAnswer {
  return { kind: 'none', reason };
}

function noAnswer(reason: string): KeyAnswer {
  return { kind: 'no-answer', reason };
}

function looked(answer: KeyAnswer, ttlMs: number): Looked {
  return { answer, final: false, ttlMs };
}
