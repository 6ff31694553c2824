import { domainOf } from '../mail/address.ts';
import { orAborted } from '../net/wait.ts';
import type { Log } from '../observe/log.ts';
import type { Asked, Directory, Entry, Expansion, Lookup, LookupOptions } from './directory.ts';
import { type DomainFacts, domainAttributes, findDomain, NO_DOMAIN, type Reading } from './domains.ts';
import { DEFAULT_GROUP_LIMIT, expandGroup } from './groups.ts';
import { LdapServer, type ServerOptions } from './ldap-server.ts';
import {
  type Answer,
  addressSearch,
  baseSearch,
  domainEntrySearch,
  entrySearch,
  filterText,
  LdapSession,
  nameSearch,
  planSearch,
  type Search,
  type SearchPlan,
  urlSearch,
} from './ldap-session.ts';
import { parseLdapUrl } from './ldap-url.ts';
import { catchAllQuestion, choose, chooseCatchAll, hasExact, type Question, question } from './match.ts';
import { chooseNamed, type NameQuestion, namedEntry, nameQuestion } from './match-name.ts';
import { dnKey, entryReader, type MappedEntry, type SchemaMapping } from './schema.ts';

export type LdapOptions = ServerOptions & {
  /** `ldap://` or `ldaps://` URLs, the preferred one first. */
  readonly servers: readonly string[];
  readonly base: string;
  readonly mapping: SchemaMapping;
  /** Characters that begin a sub-address; '' for none. */
  readonly subAddressSeparators: string;
  /** Most names that the expansion of a group follows. */
  readonly groupLimit?: number;
};

/** Entries fetched for a question. Two show that it is ambiguous; the rest leaves room for both of its addresses. */
const SIZE_LIMIT = 10;
/** The same for a name, which every domain of a tree may have. */
const NAME_SIZE_LIMIT = 100;
/** How long what a domain's entry says is remembered, and of how many domains. */
const DOMAIN_MS = 60_000;
const MOST_DOMAINS = 1000;

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
  readonly #groupLimit: number;
  /** Look-ups under way, by address or name: equal ones share one search. */
  readonly #pending = new Map<string, Promise<Lookup>>();
  readonly #domains = new Map<string, { readonly facts: Promise<Reading<DomainFacts>>; readonly until: number }>();
  #closed = false;

  constructor(options: LdapOptions, log: Log) {
    checkOptions(options);
    this.#options = options;
    this.#log = log;
    this.#plan = planSearch(options.base, options.mapping);
    this.#groupLimit = options.groupLimit ?? DEFAULT_GROUP_LIMIT;
    this.#read = entryReader(options.mapping, this.#groupLimit + 1);
    this.#servers = options.servers.map((url) => new LdapServer(url, options, log));
    this.#deadlineMs = options.servers.length * (options.connectTimeoutMs + options.searchTimeoutMs);
  }

  async lookup(address: string, signal: AbortSignal, { fresh = false }: LookupOptions = {}): Promise<Lookup> {
    const asked = question(address, this.#options.subAddressSeparators);
    if (asked === undefined) return { kind: 'unknown', server: this.#servers[0]?.url ?? '' };
    // One that began before a fresh look-up was asked for is not fresh.
    const key = fresh ? `fresh ${asked.address}` : asked.address;
    return unlessAborted(
      this.#once(key, (server, deadline) => this.#lookup(server, asked, fresh, deadline)),
      signal,
    );
  }

  async lookupName(name: string, domain: string, signal: AbortSignal): Promise<Lookup> {
    const asked = nameQuestion(name, domain, this.#options.mapping);
    if (asked === undefined) return { kind: 'unknown', server: this.#servers[0]?.url ?? '' };
    // No address has a control character.
    const key = `${asked.name}\0${asked.domain}`;
    return unlessAborted(
      this.#once(key, (server, deadline) => this.#lookupName(server, asked, deadline)),
      signal,
    );
  }

  async expand(group: Entry, signal: AbortSignal): Promise<Expansion> {
    const source = {
      byDn: (dn: string) => this.#inTime((server, deadline) => this.#entry(server, dn, deadline)),
      byAddress: (address: string) => this.lookup(address, signal),
      byUrl: (url: string, most: number) =>
        this.#inTime((server, deadline) => this.#byUrl(server, url, most, deadline)),
    };
    // Half of the searches that are allowed at a time, so that a large group does not hold up every look-up.
    const width = Math.max(1, Math.floor(this.#options.maxOutstanding / 2));
    const expansion = expandGroup(group, source, { limit: this.#groupLimit, width }, signal);
    return (await orAborted(expansion, signal)) ?? { kind: 'no-answer', reason: 'the expansion was stopped' };
  }

  /** Asks every server for the base, by a connection of its own. */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    const problems = this.#servers.map(async ({ url }) => {
      const opened = await LdapSession.open(url, this.#options);
      if (opened.kind === 'failed') return `${url}: ${opened.reason}`;
      const answer = await opened.session.search(baseSearch(this.#plan));
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

  /** A look-up, begun unless an equal one is under way. */
  #once(key: string, ask: (server: LdapServer, deadline: number) => Promise<Reading<Lookup>>): Promise<Lookup> {
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = this.#inTime(ask)
        .then((read): Lookup => (read.kind === 'got' ? read.value : noAnswer(read.reason)))
        .finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  /** Asks one server after the other until one answers, and gives up when the time for all of them is over. */
  #inTime<T>(ask: (server: LdapServer, deadline: number) => Promise<Reading<T>>): Promise<Reading<T>> {
    if (this.#closed) return Promise.resolve({ kind: 'none', reason: 'the directory is closed' });
    const deadline = performance.now() + this.#deadlineMs;
    const tooLate = { kind: 'none', reason: 'the directory did not answer in time' } as const;
    const askAll = async (): Promise<Reading<T>> => {
      let answer: Reading<T> = tooLate;
      for (const server of this.#inOrder()) {
        answer = await ask(server, deadline);
        if (answer.kind === 'got') break;
      }
      return answer;
    };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(tooLate), this.#deadlineMs);
      askAll()
        .catch((error: unknown): Reading<T> => {
          this.#log.error({ err: error }, 'a look-up failed by a fault of ours');
          return { kind: 'none', reason: 'internal error' };
        })
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }

  async #lookup(server: LdapServer, { address }: Question, fresh: boolean, deadline: number): Promise<Reading<Lookup>> {
    const domain = await this.#domainOf(server, domainOf(address), fresh, deadline);
    if (domain.kind === 'none') return domain;
    const { base, canonical, status } = domain.value;
    const asked = question(address, this.#options.subAddressSeparators, canonical);
    if (asked === undefined) return { kind: 'got', value: { kind: 'unknown', server: server.url } };

    let where: Asked = { server: server.url };
    for (const under of this.#basesWith(base)) {
      const found = await this.#search(server, asked, under, deadline);
      if (found.kind === 'none') return found;
      where = found.value.where;
      const lookup = foundOf(found.value.entries, where, status);
      if (lookup !== undefined) return { kind: 'got', value: lookup };
    }
    if (this.#options.mapping.catchAll) {
      for (const under of this.#basesWith(base)) {
        const found = await this.#searchCatchAll(server, asked, under, deadline);
        if (found.kind === 'none') return found;
        const lookup = foundOf(found.value.entries, found.value.where, status);
        if (lookup !== undefined) return { kind: 'got', value: lookup };
      }
    }
    return { kind: 'got', value: { kind: 'unknown', ...where } };
  }

  async #lookupName(server: LdapServer, asked: NameQuestion, deadline: number): Promise<Reading<Lookup>> {
    const domain = await this.#domainOf(server, asked.domain, false, deadline);
    if (domain.kind === 'none') return domain;
    const { base, canonical, status } = domain.value;
    let where: Asked = { server: server.url };
    for (const under of this.#basesWith(base)) {
      const search = nameSearch(this.#plan, under, asked.tiers, NAME_SIZE_LIMIT, this.#groupLimit + 1);
      const answer = await server.search(search, deadline);
      if (answer.kind !== 'records') return { kind: 'none', reason: answer.reason };
      // Who has it best may have been cut off.
      if (answer.records.length >= NAME_SIZE_LIMIT)
        return { kind: 'none', reason: `${NAME_SIZE_LIMIT} entries or more have this name` };
      where = whereOf(server, search);
      const candidates = answer.records.flatMap((record) => {
        const mapped = this.#read(record);
        return mapped === undefined ? [] : [namedEntry(mapped, record, this.#options.mapping)];
      });
      const lookup = foundOf(chooseNamed(asked, candidates, canonical), where, status);
      if (lookup !== undefined) return { kind: 'got', value: lookup };
      if (answer.referred) return elsewhere;
    }
    return { kind: 'got', value: { kind: 'unknown', ...where } };
  }

  /** The domain's own part of the tree first, since that is where its users belong, then all of it. */
  #basesWith(domainBase: string | undefined): readonly string[] {
    const { base } = this.#plan;
    return domainBase === undefined || dnKey(domainBase) === dnKey(base) ? [base] : [domainBase, base];
  }

  async #search(server: LdapServer, asked: Question, base: string, deadline: number): Promise<Reading<Matches>> {
    const spellings = asked.tiers.flatMap((tier) => tier.spellings);
    const search = this.#addressSearch(base, spellings);
    let answer = await server.search(search, deadline);
    if (answer.kind !== 'records') return { kind: 'none', reason: answer.reason };
    let candidates = this.#readAll(answer);
    // So many entries share the mailbox's address that the very address may have been cut off.
    if (asked.tiers.length > 1 && answer.records.length >= SIZE_LIMIT && !hasExact(asked, candidates)) {
      answer = await server.search(this.#addressSearch(base, asked.tiers[0].spellings), deadline);
      if (answer.kind !== 'records') return { kind: 'none', reason: answer.reason };
      candidates = [...this.#readAll(answer), ...candidates];
    }
    // A part of the tree is elsewhere and was not searched: what we did not find may be there.
    if (answer.referred && !hasExact(asked, candidates)) return elsewhere;
    return { kind: 'got', value: { entries: choose(asked, candidates), where: whereOf(server, search) } };
  }

  async #searchCatchAll(
    server: LdapServer,
    asked: Question,
    base: string,
    deadline: number,
  ): Promise<Reading<Matches>> {
    const domains = catchAllQuestion(asked);
    const search = this.#addressSearch(
      base,
      domains.flatMap(({ spellings }) => spellings),
    );
    const answer = await server.search(search, deadline);
    if (answer.kind !== 'records') return { kind: 'none', reason: answer.reason };
    const entries = chooseCatchAll(domains, this.#readAll(answer));
    return { kind: 'got', value: { entries, where: whereOf(server, search) } };
  }

  #addressSearch(base: string, spellings: readonly string[]): Search {
    return addressSearch(this.#plan, base, spellings, SIZE_LIMIT, this.#groupLimit + 1);
  }

  #domainOf(server: LdapServer, domain: string, fresh: boolean, deadline: number): Promise<Reading<DomainFacts>> {
    const mapping = this.#options.mapping.domains;
    if (mapping === undefined) return Promise.resolve({ kind: 'got', value: NO_DOMAIN });
    const known = this.#domains.get(domain);
    if (!fresh && known !== undefined && performance.now() < known.until) return known.facts;
    const facts = findDomain(mapping, domain, async (search) => {
      const answer = await server.search(domainEntrySearch(this.#plan, search, domainAttributes(mapping)), deadline);
      if (answer.kind === 'records') return answer.referred ? elsewhere : { kind: 'got', value: answer.records };
      return isMissing(answer) ? { kind: 'got', value: [] } : { kind: 'none', reason: answer.reason };
    });
    const entry = { facts, until: performance.now() + DOMAIN_MS };
    this.#domains.delete(domain);
    this.#domains.set(domain, entry);
    const [oldest] = this.#domains.keys();
    if (this.#domains.size > MOST_DOMAINS && oldest !== undefined) this.#domains.delete(oldest);
    const forget = (): void => {
      if (this.#domains.get(domain) === entry) this.#domains.delete(domain);
    };
    facts.then(({ kind }) => kind === 'none' && forget(), forget);
    return facts;
  }

  async #entry(server: LdapServer, dn: string, deadline: number): Promise<Reading<MappedEntry | undefined>> {
    const answer = await server.search(entrySearch(this.#plan, dn, this.#groupLimit + 1), deadline);
    if (answer.kind !== 'records') {
      return isMissing(answer) ? { kind: 'got', value: undefined } : { kind: 'none', reason: answer.reason };
    }
    return answer.referred ? elsewhere : { kind: 'got', value: this.#readAll(answer)[0] };
  }

  async #byUrl(
    server: LdapServer,
    text: string,
    most: number,
    deadline: number,
  ): Promise<Reading<readonly MappedEntry[]>> {
    const url = parseLdapUrl(text);
    if ('problem' in url) return { kind: 'none', reason: url.problem };
    if (url.host !== '' && !this.#servers.some((one) => isHostOf(one.url, url.host))) {
      return { kind: 'none', reason: `its server ${url.host} is none of directory.servers` };
    }
    let search: Search;
    try {
      search = urlSearch(this.#plan, url, this.#groupLimit + 1);
    } catch {
      return { kind: 'none', reason: `${url.filter} is no filter (RFC 4515)` };
    }
    const answer = await server.searchPaged(search, most, deadline);
    if (answer.kind !== 'records') return { kind: 'none', reason: answer.reason };
    return answer.referred ? elsewhere : { kind: 'got', value: this.#readAll(answer) };
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

type Matches = { readonly entries: readonly Entry[]; readonly where: Asked };

const elsewhere = { kind: 'none', reason: 'the directory refers to another server for part of the tree' } as const;

function foundOf(entries: readonly Entry[], where: Asked, status: DomainFacts['status']): Lookup | undefined {
  const [first, ...rest] =
    status.length === 0 ? entries : entries.map((entry) => ({ ...entry, status: [...status, ...entry.status] }));
  return first === undefined ? undefined : { kind: 'found', entries: [first, ...rest], ...where };
}

function whereOf(server: LdapServer, search: Search): Asked {
  return { server: server.url, base: search.base, filter: filterText(search) };
}

/** No such object, or a name that is no DN: there is no such entry. */
function isMissing(answer: Answer): boolean {
  return answer.kind === 'refused' && (answer.code === 32 || answer.code === 34);
}

/** @param host lower case, with a port or without */
function isHostOf(server: string, host: string): boolean {
  const { hostname, port } = new URL(server);
  return host === hostname.toLowerCase() || host === `${hostname.toLowerCase()}:${port || 389}`;
}

function noAnswer(reason: string): Lookup {
  return { kind: 'no-answer', reason };
}

async function unlessAborted(pending: Promise<Lookup>, signal: AbortSignal): Promise<Lookup> {
  return (await orAborted(pending, signal)) ?? noAnswer('the look-up was stopped');
}
