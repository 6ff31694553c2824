import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AndFilter, Client, EqualityFilter, type Filter, FilterParser, OrFilter, ResultCodeError } from 'ldapts';
import { type AttributeRecord, neededAttributes, ourClasses, type SchemaMapping } from './schema.ts';

export type SessionOptions = {
  /** Ask for TLS on an `ldap://` connection before anything else is said (RFC 4511 §4.14). */
  readonly startTls: boolean;
  /** Certificates to trust, PEM; without it those of the platform. */
  readonly ca?: string;
  /** Without a name the bind is anonymous. */
  readonly bindDn?: string;
  readonly password?: string;
  /** For connection, TLS and bind together. */
  readonly connectTimeoutMs: number;
  readonly searchTimeoutMs: number;
};

/** An error of the connection or the server in words for the log and for `imipd check`; names no host. */
export type Trouble = { readonly reason: string; readonly timedOut: boolean };

export type Opened = { readonly kind: 'open'; readonly session: LdapSession } | ({ readonly kind: 'failed' } & Trouble);

export type Answer =
  | { readonly kind: 'records'; readonly records: readonly AttributeRecord[]; readonly referred: boolean }
  /** The server answered with a result code. The session goes on. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Connection lost, or no answer in time. The session is over. */
  | ({ readonly kind: 'lost' } & Trouble);

/** What stays the same in every search for an address. */
export type SearchPlan = {
  readonly base: string;
  readonly attributes: string[];
  readonly addressAttributes: readonly string[];
  readonly addressPrefix: string;
  readonly conditions: readonly Filter[];
};

/** @throws Error when `mapping.objectFilter` is no filter (RFC 4515) */
export function planSearch(base: string, mapping: SchemaMapping): SearchPlan {
  const classes = ourClasses(mapping).map((value) => new EqualityFilter({ attribute: 'objectClass', value }));
  return {
    base,
    attributes: [...neededAttributes(mapping)],
    addressAttributes: mapping.addressAttributes,
    addressPrefix: mapping.addressPrefix,
    conditions: [
      ...(classes.length === 0 ? [] : [new OrFilter({ filters: classes })]),
      ...(mapping.objectFilter === '' ? [] : [FilterParser.parseString(mapping.objectFilter)]),
    ],
  };
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
    const target = new URL(url);
    const host = target.hostname.replace(/^\[|\]$/g, '');
    const secure = target.protocol === 'ldaps:';
    const tls = { ...(options.ca === undefined ? {} : { ca: options.ca }) };
    const line = new Line();
    const client = new Client({
      url,
      timeout: options.searchTimeoutMs,
      connectTimeout: options.connectTimeoutMs,
      createConnection: (...args: unknown[]): Socket => line.connect(() => Reflect.apply(connect, undefined, args)),
      createSecureConnection: (...args: unknown[]) =>
        secure
          ? line.connect(() => Reflect.apply(connectTls, undefined, args))
          : line.upgrade(Reflect.apply(connectTls, undefined, args)),
      // Options of any kind would make ldapts speak TLS on ldap:// as well.
      ...(secure ? { tlsOptions: { host, ...tls } } : {}),
    });
    const timer = setTimeout(() => line.destroy(TIMED_OUT), options.connectTimeoutMs);
    try {
      await Promise.race([establish(client, options, secure ? undefined : { host, ...tls }), line.lost]);
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

  /**
   * Entries under the plan's base that have one of the addresses.
   * @param sizeLimit more are cut off without a sign
   */
  search(plan: SearchPlan, addresses: readonly string[], sizeLimit: number): Promise<Answer> {
    return this.#search(plan.base, 'sub', addressFilter(plan, addresses), plan.attributes, sizeLimit);
  }

  /** Whether the base is there and may be read: one record when it is. */
  readBase(plan: SearchPlan): Promise<Answer> {
    return this.#search(plan.base, 'base', FilterParser.parseString('(objectClass=*)'), ['1.1'], 1);
  }

  async #search(
    base: string,
    scope: 'sub' | 'base',
    filter: Filter,
    attributes: string[],
    sizeLimit: number,
  ): Promise<Answer> {
    if (!this.isUp) return { kind: 'lost', ...describe(new Error('closed')) };
    try {
      const result = await this.#client.search(base, {
        scope,
        filter,
        attributes,
        sizeLimit,
        timeLimit: this.#timeLimit,
      });
      return {
        kind: 'records',
        records: result.searchEntries.map(toRecord),
        referred: result.searchReferences.length > 0,
      };
    } catch (error) {
      if (error instanceof ResultCodeError) return { kind: 'refused', reason: describe(error).reason };
      this.#line.destroy();
      return { kind: 'lost', ...describe(error) };
    }
  }

  /** Says goodbye (unbind) if it still can, and closes. */
  async close(): Promise<void> {
    if (this.isUp) await this.#client.unbind().catch(() => undefined);
    this.#line.destroy();
    await this.#line.closed;
  }
}

async function establish(client: Client, options: SessionOptions, tls?: { host: string; ca?: string }): Promise<void> {
  if (options.startTls && tls !== undefined) {
    // Both: the server name goes over the wire, and the host is what a certificate for an IP address is checked against.
    await client.startTLS({ ...tls, ...(isIP(tls.host) === 0 ? { servername: tls.host } : {}) });
  }
  await client.bind(options.bindDn ?? '', options.password ?? '');
}

const TIMED_OUT = 'timed out';
const timeoutTrouble: Trouble = { reason: 'the directory did not answer in time', timedOut: true };

/**
 * The one network connection of a client. ldapts does not notice when a connection closes after StartTLS: this
 * one ends both sockets when either ends, which makes it give its waiting searches up.
 */
class Line {
  #raw: Socket | undefined;
  #secure: Socket | undefined;
  #up = true;
  #timedOut = false;
  readonly #closed = Promise.withResolvers<void>();

  /** @throws Error at the second call */
  connect<S extends Socket>(dial: () => S): S {
    if (this.#raw !== undefined || !this.#up) throw new Error('an LDAP client connects once');
    const socket = dial();
    this.#raw = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    this.#watch(socket);
    return socket;
  }

  upgrade<S extends Socket>(socket: S): S {
    this.#secure = socket;
    this.#watch(socket);
    return socket;
  }

  get isUp(): boolean {
    return this.#up;
  }

  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** Rejects when the connection is gone: ldapts itself waits for ever when that happens in a TLS handshake. */
  get lost(): Promise<never> {
    return this.#closed.promise.then(() => {
      throw new Error('closed');
    });
  }

  /** Resolves when the connection is gone, at once when there was none. */
  get closed(): Promise<void> {
    return this.#raw === undefined ? Promise.resolve() : this.#closed.promise;
  }

  destroy(why?: typeof TIMED_OUT): void {
    if (why !== undefined && this.#up) this.#timedOut = true;
    this.#up = false;
    for (const socket of [this.#secure, this.#raw]) {
      // ldapts takes its listeners off a socket that it gives up; a late error would then end the process.
      socket?.off('error', ignore).on('error', ignore);
      socket?.destroy();
    }
  }

  #watch(socket: Socket): void {
    socket.once('close', () => {
      this.destroy();
      if (socket === this.#raw) this.#closed.resolve();
    });
  }
}

function ignore(): void {}

/** Built as objects, not as text, so that no address can become syntax. The addresses come first: they select best. */
function addressFilter(plan: SearchPlan, addresses: readonly string[]): Filter {
  const values =
    plan.addressPrefix === '' ? addresses : addresses.flatMap((address) => [plan.addressPrefix + address, address]);
  const filters = plan.addressAttributes.flatMap((attribute) =>
    values.map((value) => new EqualityFilter({ attribute, value })),
  );
  return new AndFilter({ filters: [new OrFilter({ filters }), ...plan.conditions] });
}

function toRecord({ dn, ...rest }: { readonly dn: string; readonly [name: string]: unknown }): AttributeRecord {
  const attributes = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(rest)) {
    const key = (name.split(';', 1)[0] ?? name).toLowerCase();
    const texts = (Array.isArray(value) ? value : [value]).map(toText);
    const earlier = attributes.get(key);
    attributes.set(key, earlier === undefined ? texts : [...earlier, ...texts]);
  }
  return { dn, attributes };
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
    const what = UNTRUSTED.test(code)
      ? ': its certificate is of no authority that is trusted; name that one with directory.ca'
      : '';
    return { reason: `TLS with the directory failed (${code})${what}`, timedOut: false };
  }
  if (code !== '') return { reason: `the directory cannot be reached (${code})`, timedOut: false };
  return { reason: 'the connection to the directory was lost', timedOut: false };
}

function hint(code: number): string {
  if (code === 32) return ': the search base does not exist, or may not be read by this account';
  if (code === 48) return ': it does not allow an anonymous bind; set bind-dn and password';
  if (code === 49) return ': bind-dn or password is wrong';
  return '';
}
