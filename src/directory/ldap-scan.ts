import { Attribute, Change, type Client, InvalidCredentialsError, ResultCodeError } from 'ldapts';
import { dial, establish } from './ldap-client.ts';
import type { Line } from './ldap-line.ts';
import type { SessionOptions } from './ldap-session.ts';
import type { AttributeRecord } from './schema.ts';

/** The directory cannot be read or written to the end. The text is for a person. */
export class ScanError extends Error {
  override readonly name = 'ScanError';
}

export type Addition = { readonly attribute: string; readonly value: string };

/** What a search through a whole tree asks for. */
export type TreeSearch = {
  readonly base: string;
  /** LDAP filter (RFC 4515). */
  readonly filter: string;
  /** Operational ones come only by name. */
  readonly attributes: readonly string[];
  readonly scope?: 'base' | 'one' | 'sub';
};

/** Larger pages outlive the garbage collector's first look: with 500, reading 100,000 entries took 1.4 to 1.9 times as long and 1.6 times the memory. */
const PAGE_ENTRIES = 100;
/** A page through an attribute without index may take the server long. */
const PAGE_TIMEOUT_MS = 120_000;
const TIME_OUT = 'it did not answer in time';

/**
 * One connection for an administrator's command that reads a whole tree or writes to it. Like `LdapSession` it is
 * never repaired: what fails ends the command.
 */
export class LdapScan {
  readonly url: string;
  readonly #client: Client;
  readonly #line: Line;
  readonly #lost: Promise<never>;

  private constructor(url: string, client: Client, line: Line) {
    this.url = url;
    this.#client = client;
    this.#line = line;
    this.#lost = line.lost;
    this.#lost.catch(() => undefined);
  }

  /**
   * Connects to the first of these servers that answers, starts TLS and binds.
   * @throws ScanError
   */
  static async open(urls: readonly string[], options: SessionOptions): Promise<LdapScan> {
    const failures: string[] = [];
    for (const url of urls) {
      try {
        return await LdapScan.#open(url, options);
      } catch (error) {
        failures.push(`${url}: ${describe(error)}`);
        // The next server would count the same wrong password against the account once more.
        if (error instanceof InvalidCredentialsError) break;
      }
    }
    throw new ScanError(`the directory cannot be read: ${failures.join('; ')}`);
  }

  static async #open(url: string, options: SessionOptions): Promise<LdapScan> {
    const { client, line } = dial(url, options, Math.max(options.searchTimeoutMs, PAGE_TIMEOUT_MS));
    const timer = setTimeout(() => line.destroy(true), options.connectTimeoutMs);
    try {
      await Promise.race([establish(client, url, options), line.lost]);
      return new LdapScan(url, client, line);
    } catch (error) {
      line.destroy();
      throw line.timedOut ? new Error(TIME_OUT, { cause: error }) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Entries, page by page as the server gives them (RFC 2696); no more than a page is held. What follows a referral is
   * not read.
   * @throws ScanError
   */
  async *pages(search: TreeSearch): AsyncGenerator<readonly AttributeRecord[], void, undefined> {
    const { base, filter, attributes, scope = 'sub' } = search;
    const pages = this.#client.searchPaginated(base, {
      scope,
      filter,
      attributes: [...attributes],
      paged: { pageSize: PAGE_ENTRIES },
    });
    try {
      for (;;) {
        const page = await this.#whileUp(pages.next());
        if (page.done === true) return;
        yield page.value.searchEntries.map(toRecord);
      }
    } catch (error) {
      throw new ScanError(`${this.url}: the search below ${base} failed: ${describe(error)}`, { cause: error });
    }
  }

  /**
   * Adds values to one entry.
   * @returns undefined when it was done, else what the server has against it
   * @throws ScanError when the server can do no more
   */
  async add(dn: string, additions: readonly Addition[]): Promise<string | undefined> {
    const changes = additions.map(
      ({ attribute, value }) =>
        new Change({ operation: 'add', modification: new Attribute({ type: attribute, values: [value] }) }),
    );
    try {
      await this.#whileUp(this.#client.modify(dn, changes));
      return undefined;
    } catch (error) {
      if (error instanceof ResultCodeError && !GENERAL_CODES.has(error.code)) return describe(error);
      throw new ScanError(`${this.url}: ${dn} cannot be changed: ${describe(error)}`, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#line.isUp) await this.#client.unbind().catch(() => undefined);
    this.#line.destroy();
  }

  /** @returns what `work` gives, or rejects when the connection goes first */
  #whileUp<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#lost]);
  }
}

/** Result codes (RFC 4511 appendix A) that the next entry would meet as well. */
const GENERAL_CODES: ReadonlySet<number> = new Set([1, 2, 8, 13, 50, 51, 52, 53]);

function toRecord({ dn, ...rest }: { readonly dn: string; readonly [name: string]: unknown }): AttributeRecord {
  const attributes = new Map<string, readonly string[]>();
  for (const name of Object.keys(rest)) {
    const value = rest[name];
    const texts = Array.isArray(value) ? (value.length === 0 ? NONE : value.map(toText)) : [toText(value)];
    const key = attributeKey(name);
    const earlier = attributes.get(key);
    attributes.set(key, earlier === undefined ? texts : [...earlier, ...texts]);
  }
  return { dn, attributes };
}

const NONE: readonly string[] = [];

function toText(value: unknown): string {
  return typeof value === 'string' ? value : Buffer.isBuffer(value) ? value.toString('latin1') : String(value);
}

/** By spelling: entries of one directory name the same attributes, each time the same way. */
const keys = new Map<string, string>();
const MAX_KEYS = 1000;

function attributeKey(name: string): string {
  let key = keys.get(name);
  if (key === undefined) {
    key = (name.split(';', 1)[0] ?? name).toLowerCase();
    if (keys.size < MAX_KEYS) keys.set(name, key);
  }
  return key;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof ResultCodeError) {
    return `the server answered ${error.name.replace(/Error$/, '')} (${error.code})${HINTS[error.code] ?? ''}`;
  }
  if (error.message === 'closed') return 'the connection was lost';
  const code = 'code' in error ? String(error.code) : '';
  if (/timed out|Connection timeout/.test(error.message) || code === 'ETIMEDOUT') return TIME_OUT;
  return code === '' || error.message.includes(code) ? error.message : `${error.message} (${code})`;
}

const HINTS: Readonly<Record<number, string>> = {
  4: '; it gives this account only so many entries: raise its size limit, or bind as one without',
  11: '; it gives this account only so many entries: raise its limits, or bind as one without',
  32: '; the base does not exist, or may not be read by this account',
  49: '; the name or the password is wrong',
  50: '; this account may not do that',
};
