import type { Log } from '../observe/log.ts';
import { type Answer, LdapSession, type Opened, type Search, type SessionOptions } from './ldap-session.ts';
import type { AttributeRecord } from './schema.ts';

/** How long a server that failed is left alone while another one answers. */
const PAUSE_MS = 10_000;
/** Entries in a page: fewer than any server known to us refuses. */
const PAGE_SIZE = 500;

export type ServerOptions = SessionOptions & {
  /** Searches under way at a server at the same time. OpenLDAP closes a connection that has too many. */
  readonly maxOutstanding: number;
};

/** One server: its session, made anew when it is lost, and the number of searches it is given at a time. */
export class LdapServer {
  readonly url: string;
  readonly #options: ServerOptions;
  readonly #log: Log;
  readonly #slots: Slots;
  #session: LdapSession | undefined;
  #opening: Promise<Opened> | undefined;
  #pausedUntil = 0;
  #trouble: string | undefined;
  #closed = false;

  constructor(url: string, options: ServerOptions, log: Log) {
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
  search(search: Search, deadline: number): Promise<Answer> {
    return this.#inSlot(search, deadline, (session) => session.search(search));
  }

  /** One search in pages, ended when there are more than `most` entries. */
  searchPaged(search: Search, most: number, deadline: number): Promise<Answer> {
    return this.#inSlot(search, deadline, async (session) => {
      const records: AttributeRecord[] = [];
      let referred = false;
      for await (const page of session.pages(search, PAGE_SIZE)) {
        if (page.kind !== 'records') return page;
        records.push(...page.records);
        referred ||= page.referred;
        if (records.length > most) break;
      }
      return { kind: 'records', records, referred };
    });
  }

  async #inSlot(search: Search, deadline: number, ask: (session: LdapSession) => Promise<Answer>): Promise<Answer> {
    await this.#slots.take();
    try {
      let answer: Answer = { kind: 'lost', reason: 'too many look-ups wait for the directory', timedOut: true };
      for (let attempt = 0; attempt < 2 && performance.now() < deadline; attempt++) {
        const reused = this.isConnected;
        const opened = await this.#open();
        if (opened.kind === 'failed') return { ...opened, kind: 'lost' };
        answer = await ask(opened.session);
        if (!isAboutEntry(search, answer)) this.#note(answer);
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
      this.#note(opened);
    } else {
      this.#session = opened.session;
    }
    return opened;
  }

  #pause(): void {
    this.#pausedUntil = performance.now() + PAUSE_MS;
  }

  /** Logs a change of state only: a look-up that fails a thousand times a second says nothing new. */
  #note(answer: Answer | (Opened & { kind: 'failed' })): void {
    const trouble = answer.kind === 'records' ? undefined : answer.reason;
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

/** That one entry is not there (32), or its DN is none (34), says nothing of the server. */
function isAboutEntry({ scope }: Search, answer: Answer): boolean {
  return scope === 'base' && answer.kind === 'refused' && (answer.code === 32 || answer.code === 34);
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
