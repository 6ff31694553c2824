import { canonicalAddress, parseAddress } from '../mail/address.ts';
import { orAborted } from '../net/wait.ts';
import type { Directory, Entry, Expansion, Lookup, LookupOptions } from './directory.ts';

export type CacheOptions = {
  /** Directory entries held for look-ups, and as many again for the members of groups; 0: nothing is kept. */
  readonly maxEntries: number;
  /** How long an answer is kept that found somebody, or a group's members. 0: not at all. */
  readonly hitTtlMs: number;
  /** How long it is kept that nobody has an address. 0: not at all. */
  readonly missTtlMs: number;
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
};

/** Longest address that is kept, in characters: real ones are shorter, and memory is counted in entries. */
const MAX_ADDRESS_CHARACTERS = 512;

/**
 * Keeps what a directory answers for a while, the least used given up first. No answer is never kept. Equal questions
 * under way are asked once, and each who waits is cut short by his own signal alone: what was begun is finished and
 * kept, for he will ask again. A `fresh` look-up goes past what is kept and replaces it.
 *
 * Closing it closes the directory within.
 */
export function cached(directory: Directory, options: CacheOptions): Directory {
  return new CachedDirectory(directory, options);
}

class CachedDirectory implements Directory {
  readonly #inner: Directory;
  readonly #lookups: Questions<Lookup>;
  readonly #expansions: Questions<Expansion>;
  readonly #closing = new AbortController();

  constructor(inner: Directory, options: CacheOptions) {
    const { maxEntries, hitTtlMs, missTtlMs, clock = () => performance.now() } = options;
    this.#inner = inner;
    this.#lookups = new Questions(new Kept(maxEntries, clock), (answer) => ({
      ttlMs: answer.kind === 'unknown' ? missTtlMs : hitTtlMs,
      entries: answer.kind === 'found' ? answer.entries.length : 1,
    }));
    this.#expansions = new Questions(new Kept(maxEntries, clock), (answer) => ({
      ttlMs: hitTtlMs,
      entries: answer.kind === 'members' ? 1 + answer.entries.length + answer.addresses.length : 1,
    }));
  }

  lookup(address: string, signal: AbortSignal, options?: LookupOptions): Promise<Lookup> {
    // What is no address costs no search; what is too long for one is nothing to keep.
    if (address.length > MAX_ADDRESS_CHARACTERS || parseAddress(address) === undefined)
      return this.#inner.lookup(address, signal, options);
    const ask = () => this.#inner.lookup(address, this.#closing.signal, options);
    return this.#lookups.answer(canonicalAddress(address), ask, signal, options?.fresh === true);
  }

  lookupName(name: string, domain: string, signal: AbortSignal): Promise<Lookup> {
    if (name.length > MAX_ADDRESS_CHARACTERS) return this.#inner.lookupName(name, domain, signal);
    const ask = () => this.#inner.lookupName(name, domain, this.#closing.signal);
    // No address has a control character.
    return this.#lookups.answer(`${name}\0${domain}`, ask, signal, false);
  }

  expand(group: Entry, signal: AbortSignal): Promise<Expansion> {
    return this.#expansions.answer(group.dn, () => this.#inner.expand(group, this.#closing.signal), signal, false);
  }

  probe(signal: AbortSignal): Promise<string | undefined> {
    return this.#inner.probe(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#inner[Symbol.asyncDispose]();
  }
}

type NoAnswer = { readonly kind: 'no-answer'; readonly reason: string };

/** Questions of one kind: those answered not long ago, and those under way. */
class Questions<T extends Lookup | Expansion> {
  readonly #kept: Kept<T>;
  readonly #worth: (answer: Exclude<T, NoAnswer>) => Worth;
  readonly #underWay = new Map<string, Promise<T>>();

  constructor(kept: Kept<T>, worth: (answer: Exclude<T, NoAnswer>) => Worth) {
    this.#kept = kept;
    this.#worth = worth;
  }

  /** @param fresh not from what is kept; a question under way is fresh enough */
  async answer(key: string, ask: () => Promise<T>, signal: AbortSignal, fresh: boolean): Promise<T | NoAnswer> {
    const known = fresh ? undefined : this.#kept.get(key);
    if (known !== undefined) return known;
    let pending = this.#underWay.get(key);
    if (pending === undefined) {
      pending = this.#ask(key, ask).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, pending);
    }
    return (await orAborted(pending, signal)) ?? { kind: 'no-answer', reason: 'the look-up was stopped' };
  }

  async #ask(key: string, ask: () => Promise<T>): Promise<T> {
    const answer = await ask();
    if (isAnswer(answer)) this.#kept.set(key, answer, this.#worth(answer));
    return answer;
  }
}

function isAnswer<T extends Lookup | Expansion>(answer: T): answer is Exclude<T, NoAnswer> {
  return answer.kind !== 'no-answer';
}

/** How long something is kept, and what it takes up. */
type Worth = { readonly ttlMs: number; readonly entries: number };

/** A map that forgets: what is too old, and what was used longest ago when there is too much. */
class Kept<T> {
  readonly #maxEntries: number;
  readonly #clock: () => number;
  /** The least used first: a Map keeps the order of insertion. */
  readonly #values = new Map<string, { readonly value: T; readonly until: number; readonly entries: number }>();
  #entries = 0;

  constructor(maxEntries: number, clock: () => number) {
    this.#maxEntries = maxEntries;
    this.#clock = clock;
  }

  get(key: string): T | undefined {
    const found = this.#values.get(key);
    if (found === undefined) return undefined;
    if (this.#clock() >= found.until) {
      this.#drop(key);
      return undefined;
    }
    this.#values.delete(key);
    this.#values.set(key, found);
    return found.value;
  }

  set(key: string, value: T, { ttlMs, entries }: Worth): void {
    this.#drop(key);
    // What fills the cache alone would drive everything else out.
    if (ttlMs <= 0 || entries > this.#maxEntries) return;
    this.#values.set(key, { value, until: this.#clock() + ttlMs, entries });
    this.#entries += entries;
    for (const oldest of this.#values.keys()) {
      if (this.#entries <= this.#maxEntries) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#entries -= this.#values.get(key)?.entries ?? 0;
    this.#values.delete(key);
  }
}
