import {
  entry,
  type FakeLdap,
  type Request,
  result,
  SEARCH,
  startFakeLdap,
  UNBIND,
} from '../unit/directory/fake-ldap.ts';

/** Attributes of an entry, by name. */
export type Person = Readonly<Record<string, readonly string[]>>;

/** Stand-in for an LDAP server with people who have a calendar on back end `home`. Both fields may be changed while it runs. */
export class PeopleDirectory {
  /** Takes connections and requests, and says nothing. */
  silent = false;
  /** Entries by address. */
  readonly people: Map<string, Person>;
  #server: FakeLdap | undefined;

  private constructor(addresses: readonly string[]) {
    this.people = new Map(addresses.map((mail) => [mail, personOf(mail)]));
  }

  static async listen(addresses: readonly string[]): Promise<PeopleDirectory> {
    const directory = new PeopleDirectory(addresses);
    directory.#server = await startFakeLdap((asked) => directory.#answer(asked));
    return directory;
  }

  /** How many requests came, binds included. */
  get requests(): number {
    return this.#server?.requests.length ?? 0;
  }

  /** The section `directory` of imipd.yaml, for a gateway that does not wait for it long. */
  get yaml(): string {
    return `{kind: ldap, servers: ['${this.#server?.url}'], base: o=isp, connect-timeout: 2s, search-timeout: 2s, cache: {ttl: 0s, miss-ttl: 0s}}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  /** Binds anybody and finds every entry whose address the search names. */
  #answer(asked: Request): Buffer | undefined {
    if (this.silent || asked.tag === UNBIND) return undefined;
    const found = asked.tag === SEARCH ? [...this.people].filter(([mail]) => asked.bytes.includes(mail)) : [];
    return Buffer.concat([...found.map(([mail, one]) => entry(asked, `cn=${mail},o=isp`, one)), result(asked, 0)]);
  }
}

export function personOf(mail: string): Person {
  return { objectClass: ['inetMailUser', 'icsCalendarUser', 'davEntity'], mail: [mail], davStore: ['home'] };
}
