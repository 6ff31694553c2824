import { randomInt } from 'node:crypto';
import { getServers } from 'node:dns';
import { isIP } from 'node:net';
import { askByTcp, askByUdp, type DnsServer, type Exchange } from './dns-exchange.ts';
import {
  canonicalName,
  composeQuery,
  type DnsRecord,
  isDnsName,
  type Question,
  type RecordType,
} from './dns-message.ts';
import type { DnsAnswer, Resolver, SrvRecord } from './resolver.ts';
import { TtlCache } from './ttl-cache.ts';

export type ResolverOptions = {
  /** `127.0.0.1:5353`, `[::1]:53`, an address alone; empty: those of the system, as they are when this starts. */
  readonly servers: readonly string[];
  /** How long one server is waited for. */
  readonly timeoutMs: number;
  /** Rounds over all servers. */
  readonly tries: number;
  readonly cache?: CacheBounds;
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
};

export type CacheBounds = {
  /** Answers that are kept, of each type of record. 0: none. */
  readonly maxEntries: number;
  /** What a shorter time-to-live becomes; an answer without any is not kept all the same. */
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  /** The longest that nothing is kept (RFC 2308 §5). */
  readonly maxNegativeTtlMs: number;
};

export const CACHE_BOUNDS: CacheBounds = {
  maxEntries: 2_000,
  minTtlMs: 5_000,
  maxTtlMs: 86_400_000,
  maxNegativeTtlMs: 3_600_000,
};

/** The resolver with what only the DNS client itself can say. */
export type DnsResolver = Resolver & {
  /** TXT records with their strings apart, as DNS-SD has them (RFC 6763 §6.1). */
  strings(name: string, signal: AbortSignal): Promise<DnsAnswer<readonly string[]>>;
  /** Ends every question as `no-answer`. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** CNAMEs from answer to answer; those within one answer are bounded there. */
const MAX_ALIASES = 8;

/** Questions that may be under way at a time; beyond that nothing is known. */
const MAX_UNDER_WAY = 1_000;

/**
 * Asks DNS servers that resolve for us, by UDP and, where the answer does not fit, by TCP. Neither the hosts file nor a
 * search domain is looked at. A name that the DNS cannot hold is `none`. Equal questions under way are asked once.
 * @throws RangeError naming the first of `servers` that is no IP address with or without a port
 */
export function createResolver(options: ResolverOptions): DnsResolver {
  return new DnsClient(options);
}

class DnsClient implements DnsResolver {
  readonly #closing = new AbortController();
  readonly #srv: Questions<SrvRecord>;
  readonly #txt: Questions<readonly string[]>;
  readonly #a: Questions<string>;
  readonly #aaaa: Questions<string>;

  constructor(options: ResolverOptions) {
    const servers = (options.servers.length > 0 ? options.servers : getServers()).map(parseServer);
    const asking = new Servers(servers, options, this.#closing.signal);
    const kept = { bounds: options.cache ?? CACHE_BOUNDS, clock: options.clock ?? (() => performance.now()) };
    this.#srv = new Questions('SRV', (record) => (record.type === 'SRV' ? srvOf(record) : undefined), asking, kept);
    this.#txt = new Questions('TXT', (record) => (record.type === 'TXT' ? record.strings : undefined), asking, kept);
    this.#a = new Questions('A', addressOf, asking, kept);
    this.#aaaa = new Questions('AAAA', addressOf, asking, kept);
  }

  srv(name: string, signal: AbortSignal): Promise<DnsAnswer<SrvRecord>> {
    return this.#srv.answer(name, signal);
  }

  strings(name: string, signal: AbortSignal): Promise<DnsAnswer<readonly string[]>> {
    return this.#txt.answer(name, signal);
  }

  async txt(name: string, signal: AbortSignal): Promise<DnsAnswer<string>> {
    const answer = await this.#txt.answer(name, signal);
    if (answer.kind !== 'records') return answer;
    return { ...answer, records: answer.records.map((strings) => strings.join('')) };
  }

  async addresses(name: string, signal: AbortSignal): Promise<DnsAnswer<string>> {
    const [a, aaaa] = await Promise.all([this.#a.answer(name, signal), this.#aaaa.answer(name, signal)]);
    if (a.kind === 'records' && aaaa.kind === 'records') {
      return { kind: 'records', records: [...a.records, ...aaaa.records], ttlMs: Math.min(a.ttlMs, aaaa.ttlMs) };
    }
    if (a.kind === 'records') return a;
    if (aaaa.kind === 'records') return aaaa;
    if (a.kind === 'no-answer') return a;
    if (aaaa.kind === 'no-answer') return aaaa;
    return { kind: 'none', ttlMs: Math.min(a.ttlMs, aaaa.ttlMs) };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#srv.ended(), this.#txt.ended(), this.#a.ended(), this.#aaaa.ended()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function srvOf({ target, port, priority, weight }: SrvRecord): SrvRecord {
  return { target, port, priority, weight };
}

function addressOf(record: DnsRecord): string | undefined {
  return record.type === 'A' || record.type === 'AAAA' ? record.address : undefined;
}

/** Questions for one type of record: those answered not long ago, and those under way. */
class Questions<T> {
  readonly #type: RecordType;
  readonly #pick: (record: DnsRecord) => T | undefined;
  readonly #servers: Servers;
  readonly #bounds: CacheBounds;
  readonly #kept: TtlCache<DnsAnswer<T>>;
  readonly #underWay = new Map<string, Promise<DnsAnswer<T>>>();

  constructor(
    type: RecordType,
    pick: (record: DnsRecord) => T | undefined,
    servers: Servers,
    kept: { readonly bounds: CacheBounds; readonly clock: () => number },
  ) {
    this.#type = type;
    this.#pick = pick;
    this.#servers = servers;
    this.#bounds = kept.bounds;
    this.#kept = new TtlCache({ maxEntries: kept.bounds.maxEntries, clock: kept.clock });
  }

  async answer(asked: string, signal: AbortSignal): Promise<DnsAnswer<T>> {
    signal.throwIfAborted();
    const name = canonicalName(asked);
    if (!isDnsName(name)) return { kind: 'none', ttlMs: 0 };
    const known = this.#kept.get(name);
    if (known !== undefined) return withTtl(known.value, known.ttlMs);
    let pending = this.#underWay.get(name);
    if (pending === undefined) {
      if (this.#underWay.size >= MAX_UNDER_WAY) return { kind: 'no-answer', reason: 'too many questions at a time' };
      pending = this.#ask(name).finally(() => this.#underWay.delete(name));
      this.#underWay.set(name, pending);
    }
    return await unlessAborted(pending, signal);
  }

  async ended(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
    this.#kept.clear();
  }

  async #ask(name: string): Promise<DnsAnswer<T>> {
    const answer = await this.#follow(name);
    if (answer.kind === 'no-answer') return answer;
    const ttlMs = this.#bounded(answer);
    this.#kept.set(name, answer, ttlMs);
    return withTtl(answer, ttlMs);
  }

  async #follow(asked: string): Promise<DnsAnswer<T>> {
    let name = asked;
    let ttlMs = Number.POSITIVE_INFINITY;
    for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
      const reply = await this.#servers.ask({ name, type: this.#type });
      if (reply.kind === 'no-answer') return reply;
      ttlMs = Math.min(ttlMs, reply.ttlMs);
      if (reply.kind === 'none') return { kind: 'none', ttlMs };
      if (reply.kind === 'records') {
        const records = reply.records.map(this.#pick).filter((record) => record !== undefined);
        return { kind: 'records', records, ttlMs };
      }
      if (!isDnsName(reply.target)) return { kind: 'none', ttlMs };
      name = reply.target;
    }
    return { kind: 'no-answer', reason: `${asked}: too many aliases` };
  }

  #bounded(answer: Exclude<DnsAnswer<T>, { kind: 'no-answer' }>): number {
    const { minTtlMs, maxTtlMs, maxNegativeTtlMs } = this.#bounds;
    if (answer.kind === 'records') return Math.min(Math.max(answer.ttlMs, minTtlMs), maxTtlMs);
    return answer.ttlMs === 0 ? 0 : Math.min(Math.max(answer.ttlMs, minTtlMs), maxNegativeTtlMs);
  }
}

function withTtl<T>(answer: DnsAnswer<T>, ttlMs: number): DnsAnswer<T> {
  return answer.kind === 'no-answer' ? answer : { ...answer, ttlMs };
}

type Found = Extract<Exchange, { kind: 'records' | 'none' | 'alias' }> | { kind: 'no-answer'; reason: string };

/** The servers, asked in turn. The one that answered last comes first. */
class Servers {
  readonly #servers: readonly DnsServer[];
  readonly #timeoutMs: number;
  readonly #tries: number;
  readonly #closing: AbortSignal;
  #first = 0;

  constructor(
    servers: readonly DnsServer[],
    options: { readonly timeoutMs: number; readonly tries: number },
    closing: AbortSignal,
  ) {
    this.#servers = servers;
    this.#timeoutMs = options.timeoutMs;
    this.#tries = options.tries;
    this.#closing = closing;
  }

  async ask(question: Question): Promise<Found> {
    const from = this.#first;
    const count = this.#servers.length;
    const reasons = new Set<string>();
    for (let turn = 0; turn < count * this.#tries && !this.#closing.aborted; turn++) {
      const index = (from + turn) % count;
      const server = this.#servers[index];
      if (server === undefined) break;
      const said = await this.#exchange(server, question);
      if (said.kind === 'records' || said.kind === 'none' || said.kind === 'alias') {
        this.#first = index;
        return said;
      }
      reasons.add(`DNS server ${server.address}: ${'reason' in said ? said.reason : said.kind}`);
    }
    const reason = this.#closing.aborted ? 'the resolver is closed' : [...reasons].join('; ');
    return { kind: 'no-answer', reason: reason === '' ? 'no DNS server is configured' : reason };
  }

  async #exchange(server: DnsServer, question: Question): Promise<Exchange> {
    const ask = async (edns: boolean): Promise<Exchange> => {
      const query = composeQuery(question, randomInt(0x1_0000), edns);
      const said = await askByUdp(server, query, this.#timeoutMs, this.#closing);
      return said.kind === 'truncated' ? await askByTcp(server, query, this.#timeoutMs, this.#closing) : said;
    };
    const said = await ask(true);
    const again = said.kind === 'no-edns' ? await ask(false) : said;
    return again.kind === 'no-edns' ? { kind: 'unusable', reason: 'FORMERR' } : again;
  }
}

function parseServer(text: string): DnsServer {
  const [, bracketed, plain = text, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  const number = port === undefined ? 53 : Number(port);
  if (isIP(address) === 0 || number < 1 || number > 65_535) {
    throw new RangeError(`got "${text}", need the IP address of a DNS server, with or without a port: 127.0.0.1:53`);
  }
  return { address, port: number };
}

/** @throws the signal's reason when that comes first */
function unlessAborted<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
