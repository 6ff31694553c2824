import type { Log } from '../observe/log.ts';
import type { Directory, Entry, Lookup } from './directory.ts';
import {
  type Answer,
  LdapSession,
  type Opened,
  planSearch,
  type SearchPlan,
  type SessionOptions,
} from './ldap-session.ts';
import { choose, hasExact, type Question, question } from './match.ts';
import { entryReader, type MappedEntry, type SchemaMapping } from './schema.ts';

export type LdapOptions = SessionOptions & {
  /** `ldap://` or `ldaps://` URLs, the preferred one first. */
  readonly servers: readonly string[];
  readonly base: string;
  readonly mapping: SchemaMapping;
  /** Characters that begin a sub-address; '' for none. */
  readonly subAddressSeparators: string;
  /** Searches under way at a server at the same time. OpenLDAP closes a connection that has too many. */
  readonly maxOutstanding: number;
};

/** How long a server that failed is left alone while another one answers. */
const PAUSE_MS = 10_000;
/** Entries fetched for a question. Two show that it is ambiguous; the rest leaves room for both of its addresses. */
const SIZE_LIMIT = 10;

/**
 * A directory on LDAP servers, one connection to each that is in use. The first server that answers, in the order
 * given, is the one that is asked; what fails at one is tried at the next within the same look-up. A result code is
 * never read as "unknown": only a search that succeeded and found nothing is.
 * @throws Error when the options cannot work: no server, a URL or filter that is none, a name to bind without password
 */
export function openLdapDirectory(options: LdapOptions, log: Log): Directory {
  return new LdapDirectory(options, log);
}

class LdapDirectory implements Directory {
  readonly #options: LdapOptions;
  readonly #log: Log;
  readonly #plan: SearchPlan;
  readonly #read: ReturnType<typeof entryReader>;
  readonly #servers: readonly LdapServer[];
  readonly #deadlineMs: number;
  /** Look-ups under way, by address: equal ones share one search. */
  readonly #pending = new Map<string, Promise<Lookup>>();
  #closed = false;

  constructor(options: LdapOptions, log: Log) {
    checkOptions(options);
    this.#options = options;
    this.#log = log;
    this.#plan = planSearch(options.base, options.mapping);
    this.#read = entryReader(options.mapping);
    this.#servers = options.servers.map((url) => new LdapServer(url, options, log));
    this.#deadlineMs = options.servers.length * (options.connectTimeoutMs + options.searchTimeoutMs);
  }

  async lookup(address: string, signal: AbortSignal): Promise<Lookup> {
    if (this.#closed) return noAnswer('the directory is closed');
    const asked = question(address, this.#options.subAddressSeparators);
    if (asked === undefined) return { kind: 'unknown', server: this.#servers[0]?.url ?? '' };
    let pending = this.#pending.get(asked.address);
    if (pending === undefined) {
      pending = this.#lookupInTime(asked).finally(() => this.#pending.delete(asked.address));
      this.#pending.set(asked.address, pending);
    }
    return unlessAborted(pending, signal);
  }

  /** Asks every server for the base, by a connection of its own. */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    const problems = this.#servers.map(async ({ url }) => {
      const opened = await LdapSession.open(url, this.#options);
      if (opened.kind === 'failed') return `${url}: ${opened.reason}`;
      const answer = await opened.session.readBase(this.#plan);
      await opened.session.close();
      if (answer.kind !== 'records') return `${url}: ${answer.reason}`;
      return answer.records.length > 0 ? undefined : `${url}: the search base ${this.#plan.base} cannot be read`;
    });
    const found = Promise.all(problems).then((all) => all.filter((problem) => problem !== undefined));
    const result = await orAborted(found, signal);
    if (result === undefined) return 'stopped before the directory had answered';
    return result.length === 0 ? undefined : result.join('; ');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  #lookupInTime(asked: Question): Promise<Lookup> {
    const deadline = performance.now() + this.#deadlineMs;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(noAnswer('the directory did not answer in time')), this.#deadlineMs);
      this.#lookup(asked, deadline)
        .catch((error: unknown) => {
          this.#log.error({ err: error }, 'a look-up failed by a fault of ours');
          return noAnswer('internal error');
        })
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  async #lookup(asked: Question, deadline: number): Promise<Lookup> {
    let reason = 'the directory did not answer in time';
    for (const server of this.#inOrder()) {
      const answer = await this.#ask(server, asked, deadline);
      if (answer.kind === 'entries') {
        const [first, ...rest] = answer.entries;
        return first === undefined
          ? { kind: 'unknown', server: server.url }
          : { kind: 'found', entries: [first, ...rest], server: server.url };
      }
      reason = answer.reason;
    }
    return noAnswer(reason);
  }

  async #ask(
    server: LdapServer,
    asked: Question,
    deadline: number,
  ): Promise<{ kind: 'entries'; entries: readonly Entry[] } | { kind: 'none'; reason: string }> {
    const spellings = asked.base === undefined ? asked.spellings : [...asked.spellings, ...asked.base.spellings];
    let answer = await server.search(this.#plan, spellings, deadline);
    if (answer.kind !== 'records') return { kind: 'none', reason: answer.reason };
    let candidates = this.#readAll(answer);
    // So many entries share the mailbox's address that the very address may have been cut off.
    if (asked.base !== undefined && answer.records.length >= SIZE_LIMIT && !hasExact(asked, candidates)) {
      answer = await server.search(this.#plan, asked.spellings, deadline);
      if (answer.kind !== 'records') return { kind: 'none', reason: answer.reason };
      candidates = [...this.#readAll(answer), ...candidates];
    }
    // A part of the tree is elsewhere and was not searched: what we did not find may be there.
    if (answer.referred && !hasExact(asked, candidates)) {
      return { kind: 'none', reason: 'the directory refers to another server for part of the tree' };
    }
    return { kind: 'entries', entries: choose(asked, candidates) };
  }

  #readAll(answer: Answer & { kind: 'records' }): readonly MappedEntry[] {
    return answer.records.map(this.#read).filter((entry) => entry !== undefined);
  }

  /**
   * Connected servers, then those not yet tried, then those that failed a moment ago. A server that is preferred to
   * the connected one is reconnected meanwhile, at nobody's expense.
   */
  #inOrder(): readonly LdapServer[] {
    if (this.#servers.length === 1) return this.#servers;
    const connected = this.#servers.filter((server) => server.isConnected);
    const waiting = this.#servers.filter((server) => !server.isConnected && !server.isPaused);
    const paused = this.#servers.filter((server) => !server.isConnected && server.isPaused);
    for (const server of this.#servers) {
      if (connected.length === 0 || server.isConnected) break;
      if (!server.isPaused) server.connectAhead();
    }
    return [...connected, ...waiting, ...paused];
  }
}

/** One server: its session, made anew when it is lost, and the number of searches it is given at a time. */
class LdapServer {
  readonly url: string;
  readonly #options: LdapOptions;
  readonly #log: Log;
  readonly #slots: Slots;
  #session: LdapSession | undefined;
  #opening: Promise<Opened> | undefined;
  #pausedUntil = 0;
  #trouble: string | undefined;
  #closed = false;

  constructor(url: string, options: LdapOptions, log: Log) {
    this.url = url;
    this.#options = options;
    this.#log = log;
    this.#slots = new Slots(options.maxOutstanding);
  }

  get isConnected(): boolean {
    return this.#session?.isUp === true;
  }

  get isPaused(): boolean {
    return performance.now() < this.#pausedUntil;
  }

  connectAhead(): void {
    void this.#open();
  }

  /** One search. A session found closed when it was used is replaced once. */
  async search(plan: SearchPlan, addresses: readonly string[], deadline: number): Promise<Answer> {
    await this.#slots.take();
    try {
      let answer: Answer = { kind: 'lost', reason: 'too many look-ups wait for the directory', timedOut: true };
      for (let attempt = 0; attempt < 2 && performance.now() < deadline; attempt++) {
        const reused = this.isConnected;
        const opened = await this.#open();
        if (opened.kind === 'failed') return { ...opened, kind: 'lost' };
        answer = await opened.session.search(plan, addresses, SIZE_LIMIT);
        this.#note(answer.kind === 'records' ? undefined : answer.reason);
        if (answer.kind !== 'lost') return answer;
        if (answer.timedOut) this.#pause();
        if (answer.timedOut || !reused) return answer;
      }
      return answer;
    } finally {
      this.#slots.give();
    }
  }

  /** The session in use, or a new one; who asks meanwhile waits for the same one. */
  #open(): Promise<Opened> {
    if (this.#opening !== undefined) return this.#opening;
    if (this.#session?.isUp === true) return Promise.resolve({ kind: 'open', session: this.#session });
    this.#opening = this.#openNew().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openNew(): Promise<Opened> {
    if (this.#closed) return { kind: 'failed', reason: 'the directory is closed', timedOut: false };
    const opened = await LdapSession.open(this.url, this.#options);
    if (opened.kind === 'failed') {
      this.#pause();
      this.#note(opened.reason);
    } else {
      this.#session = opened.session;
    }
    return opened;
  }

  #pause(): void {
    this.#pausedUntil = performance.now() + PAUSE_MS;
  }

  /** Logs a change of state only: a look-up that fails a thousand times a second says nothing new. */
  #note(trouble: string | undefined): void {
    if (trouble === this.#trouble) return;
    if (trouble === undefined) this.#log.info({ directory: this.url }, 'directory answers again');
    else this.#log.warn({ directory: this.url, reason: trouble }, 'directory does not answer');
    this.#trouble = trouble;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening;
    await this.#session?.close();
  }
}

/** Lets so many through at a time, the others in order of arrival. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

function checkOptions(options: LdapOptions): void {
  if (options.servers.length === 0) throw new Error('no LDAP server is configured');
  for (const url of options.servers) {
    const protocol = URL.parse(url)?.protocol;
    if (protocol !== 'ldap:' && protocol !== 'ldaps:') throw new Error(`"${url}" is no ldap:// or ldaps:// URL`);
  }
  // Servers take a name without a password for an anonymous bind, and say yes (RFC 4513 §5.1.2).
  if (options.bindDn !== undefined && options.bindDn !== '' && (options.password ?? '') === '') {
    throw new Error('bind-dn needs a password');
  }
}

function noAnswer(reason: string): Lookup {
  return { kind: 'no-answer', reason };
}

async function unlessAborted(pending: Promise<Lookup>, signal: AbortSignal): Promise<Lookup> {
  return (await orAborted(pending, signal)) ?? noAnswer('the look-up was stopped');
}

/** @returns what the promise gives, or undefined when the signal comes first */
function orAborted<T>(pending: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined);
    signal.addEventListener('abort', stop, { once: true });
    pending.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
