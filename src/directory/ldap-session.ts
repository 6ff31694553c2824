import {
  AndFilter,
  type Client,
  EqualityFilter,
  type Filter,
  FilterParser,
  OrFilter,
  PresenceFilter,
  ResultCodeError,
  type SearchResult,
} from 'ldapts';
import type { DomainSearch } from './domains.ts';
import { type ClientOptions, dial, establish } from './ldap-client.ts';
import type { Line } from './ldap-line.ts';
import type { LdapUrl } from './ldap-url.ts';
import { type AttributeRecord, neededAttributes, ourClasses, type SchemaMapping } from './schema.ts';

export type SessionOptions = ClientOptions & { readonly searchTimeoutMs: number };

/** An error of the connection or the server in words for the log and for `imipd check`; names no host. */
export type Trouble = { readonly reason: string; readonly timedOut: boolean };

export type Opened = { readonly kind: 'open'; readonly session: LdapSession } | ({ readonly kind: 'failed' } & Trouble);

export type Answer =
  | { readonly kind: 'records'; readonly records: readonly AttributeRecord[]; readonly referred: boolean }
  /** The server answered with a result code. The session goes on. */
  | { readonly kind: 'refused'; readonly reason: string; readonly code: number }
  /** Connection lost, or no answer in time. The session is over. */
  | ({ readonly kind: 'lost' } & Trouble);

/** What stays the same in every search for one of our entries. */
export type SearchPlan = {
  readonly base: string;
  readonly attributes: readonly string[];
  readonly addressAttributes: readonly string[];
  /** Prefix of address values by attribute; none where it is not named. */
  readonly prefixes: ReadonlyMap<string, string>;
  readonly conditions: readonly Filter[];
};

/** One search, ready to be sent. */
export type Search = {
  readonly base: string;
  readonly scope: 'base' | 'one' | 'sub';
  readonly filter: Filter;
  readonly attributes: readonly string[];
  /** More entries are cut off without a sign; 0: none are. */
  readonly sizeLimit: number;
  /** Of an attribute that the server gives in ranges, further ones are asked for until there are so many values. */
  readonly mostValues: number;
};

/** @throws Error when `mapping.objectFilter` is no filter (RFC 4515) */
export function planSearch(base: string, mapping: SchemaMapping): SearchPlan {
  const classes = ourClasses(mapping).map((value) => new EqualityFilter({ attribute: 'objectClass', value }));
  const { addressAttributes, addressPrefix, prefixedAttributes = addressAttributes } = mapping;
  return {
    base,
    attributes: neededAttributes(mapping),
    addressAttributes,
    prefixes: new Map(
      addressPrefix === '' ? [] : prefixedAttributes.map((name) => [name.toLowerCase(), addressPrefix]),
    ),
    conditions: [
      ...(classes.length === 0 ? [] : [new OrFilter({ filters: classes })]),
      ...(mapping.objectFilter === '' ? [] : [FilterParser.parseString(mapping.objectFilter)]),
    ],
  };
}

/**
 * Entries under `base` that have one of the addresses. Built of objects, not of text, so that no address can become
 * syntax. The addresses come first: they select best.
 */
export function addressSearch(
  plan: SearchPlan,
  base: string,
  addresses: readonly string[],
  sizeLimit: number,
  mostValues: number,
): Search {
  const filters = plan.addressAttributes.flatMap((attribute) => {
    const prefix = plan.prefixes.get(attribute.toLowerCase());
    const spellings = prefix === undefined ? addresses : addresses.flatMap((address) => [prefix + address, address]);
    return spellings.map((value) => new EqualityFilter({ attribute, value }));
  });
  const filter = new AndFilter({ filters: [new OrFilter({ filters }), ...plan.conditions] });
  return { base, scope: 'sub', filter, attributes: plan.attributes, sizeLimit, mostValues };
}

/** Entries under `base` that a calendar id may name, with the attributes that say which. Built as in `addressSearch`. */
export function nameSearch(
  plan: SearchPlan,
  base: string,
  tiers: readonly { readonly attribute: string; readonly value: string }[],
  sizeLimit: number,
  mostValues: number,
): Search {
  const filters = tiers.map((tier) => new EqualityFilter({ attribute: tier.attribute, value: tier.value }));
  const filter = new AndFilter({ filters: [new OrFilter({ filters }), ...plan.conditions] });
  const attributes = [...new Set([...plan.attributes, ...tiers.map(({ attribute }) => attribute)])];
  return { base, scope: 'sub', filter, attributes, sizeLimit, mostValues };
}

/** The entry of a DN, if it is one of ours. */
export function entrySearch(plan: SearchPlan, dn: string, mostValues: number): Search {
  const filter = new AndFilter({ filters: [anything(), ...plan.conditions] });
  return { base: dn, scope: 'base', filter, attributes: plan.attributes, sizeLimit: 1, mostValues };
}

/** Those of our entries that an LDAP URL finds. @throws Error when its filter is none */
export function urlSearch(plan: SearchPlan, { base, scope, filter: text }: LdapUrl, mostValues: number): Search {
  const filter = new AndFilter({ filters: [FilterParser.parseString(text), ...plan.conditions] });
  return { base, scope, filter, attributes: plan.attributes, sizeLimit: 0, mostValues };
}

/** The entry of a mail domain. */
export function domainEntrySearch(plan: SearchPlan, search: DomainSearch, attributes: readonly string[]): Search {
  const rest = { attributes, sizeLimit: 10, mostValues: 0 };
  if (search.kind === 'dn') return { base: search.dn, scope: 'base', filter: anything(), ...rest };
  const isClass = new EqualityFilter({ attribute: 'objectClass', value: search.class });
  const filters = search.attributes.flatMap((attribute) =>
    search.values.map((value) => new EqualityFilter({ attribute, value })),
  );
  const filter = new AndFilter({ filters: [new OrFilter({ filters }), isClass] });
  return { base: search.root ?? plan.base, scope: 'sub', filter, ...rest };
}

/** Whether the base is there and may be read: one record when it is. */
export function baseSearch(plan: SearchPlan): Search {
  return { base: plan.base, scope: 'base', filter: anything(), attributes: ['1.1'], sizeLimit: 1, mostValues: 0 };
}

/** @returns the filter as text (RFC 4515) */
export function filterText(search: Search): string {
  return search.filter.toString();
}

function anything(): Filter {
  return new PresenceFilter({ attribute: 'objectClass' });
}

/**
 * One bound connection, from its opening to its first failure. It is never repaired: ldapts reconnects in silence, and
 * then searches anonymously and binds without StartTLS, so a lost session is thrown away and its client can by
 * construction not connect a second time.
 */
export class LdapSession {
  readonly #client: Client;
  readonly #line: Line;
  /** Seconds. The server is asked to stop a little earlier than we do, or one slow search costs all the connection. */
  readonly #timeLimit: number;

  private constructor(client: Client, line: Line, searchTimeoutMs: number) {
    this.#client = client;
    this.#line = line;
    this.#timeLimit = Math.max(1, Math.ceil(searchTimeoutMs / 1000) - 1);
  }

  /** Connects, starts TLS and binds; what fails, or takes longer than `connectTimeoutMs`, is `failed`. */
  static async open(url: string, options: SessionOptions): Promise<Opened> {
    const { client, line } = dial(url, options, options.searchTimeoutMs);
    const timer = setTimeout(() => line.destroy(true), options.connectTimeoutMs);
    try {
      await Promise.race([establish(client, url, options), line.lost]);
      if (!line.isUp) throw new Error('closed');
      return { kind: 'open', session: new LdapSession(client, line, options.searchTimeoutMs) };
    } catch (error) {
      line.destroy();
      return { kind: 'failed', ...(line.timedOut ? timeoutTrouble : describe(error)) };
    } finally {
      clearTimeout(timer);
    }
  }

  get isUp(): boolean {
    return this.#line.isUp && this.#client.isConnected;
  }

  /** One search, with the rest of values that come in ranges. */
  async search(search: Search): Promise<Answer> {
    const answer = await this.#ask(search);
    return answer.kind === 'entries' ? this.#complete(answer, search.mostValues) : answer;
  }

  /** One search in pages (RFC 2696), each an answer; what is no page is the last. */
  async *pages(search: Search, pageSize: number): AsyncGenerator<Answer> {
    if (!this.isUp) return yield { kind: 'lost', ...describe(new Error('closed')) };
    const { base, scope, filter, sizeLimit, mostValues } = search;
    try {
      const pages = this.#client.searchPaginated(base, {
        scope,
        filter,
        attributes: [...search.attributes],
        sizeLimit,
        timeLimit: this.#timeLimit,
        paged: { pageSize },
      });
      for await (const page of pages) {
        const answer = await this.#complete(toEntries(page), mostValues);
        yield answer;
        if (answer.kind !== 'records') return;
      }
    } catch (error) {
      yield this.#failed(error);
    }
  }

  async #ask(search: Search): Promise<Entries | (Answer & { kind: 'refused' | 'lost' })> {
    if (!this.isUp) return { kind: 'lost', ...describe(new Error('closed')) };
    const { base, scope, filter, sizeLimit } = search;
    try {
      const attributes = [...search.attributes];
      return toEntries(
        await this.#client.search(base, { scope, filter, attributes, sizeLimit, timeLimit: this.#timeLimit }),
      );
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): Answer & { kind: 'refused' | 'lost' } {
    if (error instanceof ResultCodeError) {
      return { kind: 'refused', reason: describe(error).reason, code: error.code };
    }
    this.#line.destroy();
    return { kind: 'lost', ...describe(error) };
  }

  /** Active Directory gives 1,500 values of an attribute at a time and says how far it came in the attribute's name. */
  async #complete({ entries, referred }: Entries, mostValues: number): Promise<Answer> {
    const records: AttributeRecord[] = [];
    for (const { record, more } of entries) {
      for (let range = more; range !== undefined; ) {
        const known = record.attributes.get(range.attribute) ?? [];
        if (known.length >= mostValues) break;
        const name = `${range.attribute};range=${range.from}-*`;
        const answer = await this.#ask({
          base: record.dn,
          scope: 'base',
          filter: anything(),
          attributes: [name],
          sizeLimit: 1,
          mostValues,
        });
        if (answer.kind !== 'entries') return answer;
        const next = answer.entries[0];
        record.attributes.set(range.attribute, [...known, ...(next?.record.attributes.get(range.attribute) ?? [])]);
        // A server that gives the same range again would be asked for ever.
        range = next?.more !== undefined && next.more.from > range.from ? next.more : undefined;
      }
      records.push(record);
    }
    return { kind: 'records', records, referred };
  }

  /** Says goodbye (unbind) if it still can, and closes. */
  async close(): Promise<void> {
    if (this.isUp) await this.#client.unbind().catch(() => undefined);
    this.#line.destroy();
    await this.#line.closed;
  }
}

const timeoutTrouble: Trouble = { reason: 'the directory did not answer in time', timedOut: true };

/** What a search gave, before values that come in ranges are complete. */
type Entries = { readonly kind: 'entries'; readonly entries: readonly RawEntry[]; readonly referred: boolean };
type RawEntry = {
  readonly record: { readonly dn: string; readonly attributes: Map<string, readonly string[]> };
  /** An attribute of which there are more values, from this one on. */
  readonly more?: { readonly attribute: string; readonly from: number };
};

function toEntries(result: SearchResult): Entries {
  return {
    kind: 'entries',
    entries: result.searchEntries.map(toEntry),
    referred: result.searchReferences.length > 0,
  };
}

function toEntry({ dn, ...rest }: { readonly dn: string; readonly [name: string]: unknown }): RawEntry {
  const attributes = new Map<string, readonly string[]>();
  let more: RawEntry['more'];
  for (const [name, value] of Object.entries(rest)) {
    const texts = (Array.isArray(value) ? value : [value]).map(toText);
    // ldapts adds the asked name without values when another range than that one came.
    if (texts.length === 0 && name.includes(';')) continue;
    const key = (name.split(';', 1)[0] ?? name).toLowerCase();
    const end = /;range=\d+-(\d+)$/i.exec(name)?.[1];
    if (end !== undefined) more ??= { attribute: key, from: Number(end) + 1 };
    const earlier = attributes.get(key);
    attributes.set(key, earlier === undefined ? texts : [...earlier, ...texts]);
  }
  return { record: { dn, attributes }, ...(more === undefined ? {} : { more }) };
}

/** Octets that are not UTF-8 come as a Buffer; as Latin-1 they stay distinct and match nothing by accident. */
function toText(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : String(value);
}

const CERTIFICATE_ERROR = /CERT|VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER|ERR_TLS|ERR_SSL|EPROTO/;
const UNTRUSTED = /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_UNTRUSTED)/;

function describe(error: unknown): Trouble {
  if (error instanceof ResultCodeError) {
    return {
      reason: `the directory answered ${error.name.replace(/Error$/, '')} (${error.code})${hint(error.code)}`,
      timedOut: false,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/timed out|Connection timeout/.test(message) || code === 'ETIMEDOUT') return timeoutTrouble;
  if (CERTIFICATE_ERROR.test(code)) {
    return { reason: `TLS with the directory failed (${code})${certificateHint(code)}`, timedOut: false };
  }
  if (code !== '') return { reason: `the directory cannot be reached (${code})`, timedOut: false };
  return { reason: 'the connection to the directory was lost', timedOut: false };
}

function certificateHint(code: string): string {
  if (UNTRUSTED.test(code))
    return ': its certificate is of no authority that is trusted; name that one with directory.ca';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return ': its certificate is for another host; write the name that it has in directory.servers';
  if (code === 'CERT_HAS_EXPIRED') return ': its certificate has expired; renew it there';
  return '';
}

function hint(code: number): string {
  if (code === 32) return ': the search base does not exist, or may not be read by this account';
  if (code === 48) return ': it does not allow an anonymous bind; set bind-dn and password';
  if (code === 49) return ': bind-dn or password is wrong';
  return '';
}
