import { domainOf } from '../mail/address.ts';
import type { Directory, Entry, Expansion, Lookup } from './directory.ts';
import { type DomainFacts, type DomainSearch, findDomain, NO_DOMAIN, type Reading } from './domains.ts';
import { DEFAULT_GROUP_LIMIT, expandGroup, type MemberSource } from './groups.ts';
import { catchAllQuestion, choose, chooseCatchAll, question } from './match.ts';
import { chooseNamed, type NamedEntry, namedEntry, nameQuestion } from './match-name.ts';
import { type AttributeRecord, dnKey, entryReader, type MappedEntry, type SchemaMapping, values } from './schema.ts';

/** Entries of a file as a directory: what LDAP answers, without a server. Only members by LDAP URL it does not find. */
export class LdifDirectory implements Directory {
  readonly #server: string;
  readonly #mapping: SchemaMapping;
  readonly #separators: string;
  readonly #groupLimit: number;
  readonly #byAddress = new Map<string, MappedEntry[]>();
  readonly #byName = new Map<string, NamedEntry[]>();
  readonly #byDn = new Map<string, MappedEntry>();
  /** What may be a domain's entry, which may stand outside of the base. */
  readonly #domainEntries: ReadonlyMap<string, AttributeRecord>;

  /** @param server what look-ups say answered them */
  constructor(
    server: string,
    records: readonly AttributeRecord[],
    options: {
      readonly base?: string;
      readonly mapping: SchemaMapping;
      readonly subAddressSeparators: string;
      readonly groupLimit?: number;
    },
  ) {
    this.#server = server;
    this.#mapping = options.mapping;
    this.#separators = options.subAddressSeparators;
    this.#groupLimit = options.groupLimit ?? DEFAULT_GROUP_LIMIT;
    const byDn = records.map((record) => [dnKey(record.dn), record] as const);
    const { domains } = options.mapping;
    this.#domainEntries = new Map(
      byDn.filter(([dn, record]) =>
        domains?.kind === 'search'
          ? isOfClass(record, domains.class)
          : domains !== undefined && isUnder(dn, domains.root),
      ),
    );
    const read = entryReader(options.mapping, this.#groupLimit + 1);
    for (const [dn, record] of byDn) {
      const mapped = isUnder(dn, options.base) ? read(record) : undefined;
      if (mapped === undefined) continue;
      this.#byDn.set(dn, mapped);
      for (const key of mapped.addresses.keys()) put(this.#byAddress, key, mapped);
      const named = namedEntry(mapped, record, options.mapping);
      for (const key of new Set(named.keys)) put(this.#byName, key, named);
    }
  }

  async lookup(address: string): Promise<Lookup> {
    const { base, canonical, status } = await this.#domainOf(domainOf(address));
    const asked = question(address, this.#separators, canonical);
    if (asked === undefined) return { kind: 'unknown', server: this.#server };
    const found = [base, undefined].map((under) => choose(asked, this.#having(asked.tiers, under)));
    const catchAlls = catchAllQuestion(asked);
    const all = [...found, chooseCatchAll(catchAlls, this.#having(catchAlls))];
    return this.#found(all.find((entries) => entries.length > 0) ?? [], status);
  }

  async lookupName(name: string, domain: string): Promise<Lookup> {
    const asked = nameQuestion(name, domain, this.#mapping);
    if (asked === undefined) return { kind: 'unknown', server: this.#server };
    const { base, canonical, status } = await this.#domainOf(asked.domain);
    const named = new Set(asked.tiers.flatMap(({ key }) => this.#byName.get(key) ?? []));
    const found = [base, undefined].map((under) =>
      chooseNamed(
        asked,
        [...named].filter(({ mapped }) => isUnder(dnKey(mapped.entry.dn), under)),
        canonical,
      ),
    );
    return this.#found(found.find((entries) => entries.length > 0) ?? [], status);
  }

  expand(group: Entry, signal: AbortSignal): Promise<Expansion> {
    const source: MemberSource = {
      byDn: async (dn) => ({ kind: 'got', value: this.#byDn.get(dnKey(dn)) }),
      byAddress: (address) => this.lookup(address),
      byUrl: async () => ({
        kind: 'none',
        reason: 'only an LDAP server finds members by URL; the directory is a file',
      }),
    };
    return expandGroup(group, source, { limit: this.#groupLimit, width: 1 }, signal);
  }

  async probe(): Promise<undefined> {
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #found([first, ...rest]: readonly Entry[], status: DomainFacts['status']): Lookup {
    if (first === undefined) return { kind: 'unknown', server: this.#server };
    const whole = (entry: Entry): Entry => ({ ...entry, status: [...status, ...entry.status] });
    return { kind: 'found', entries: [whole(first), ...rest.map(whole)], server: this.#server };
  }

  /** Entries that have the first of the keys that anybody has. */
  #having(keys: readonly { readonly key: string }[], under?: string): readonly MappedEntry[] {
    for (const { key } of keys) {
      const entries = this.#byAddress.get(key)?.filter(({ entry }) => isUnder(dnKey(entry.dn), under)) ?? [];
      if (entries.length > 0) return entries;
    }
    return [];
  }

  async #domainOf(domain: string): Promise<DomainFacts> {
    const { domains } = this.#mapping;
    if (domains === undefined) return NO_DOMAIN;
    const read = async (search: DomainSearch): Promise<Reading<readonly AttributeRecord[]>> => ({
      kind: 'got',
      value: this.#domainRecords(search),
    });
    const facts = await findDomain(domains, domain, read);
    return facts.kind === 'got' ? facts.value : NO_DOMAIN;
  }

  #domainRecords(search: DomainSearch): readonly AttributeRecord[] {
    if (search.kind === 'dn') {
      const record = this.#domainEntries.get(dnKey(search.dn));
      return record === undefined ? [] : [record];
    }
    return [...this.#domainEntries.values()].filter((record) =>
      search.attributes.some((attribute) =>
        values(record, attribute).some((value) => search.values.includes(value.trim().toLowerCase())),
      ),
    );
  }
}

function put<T>(index: Map<string, T[]>, key: string, one: T): void {
  const all = index.get(key);
  if (all === undefined) index.set(key, [one]);
  else all.push(one);
}

function isOfClass(record: AttributeRecord, name: string): boolean {
  return values(record, 'objectClass').some((value) => value.toLowerCase() === name.toLowerCase());
}

/** @param dn as `dnKey` gives it */
function isUnder(dn: string, base: string | undefined): boolean {
  const suffix = dnKey(base ?? '');
  return suffix === '' || dn === suffix || dn.endsWith(`,${suffix}`);
}
