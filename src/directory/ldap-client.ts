import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Client } from 'ldapts';
import { Line } from './ldap-line.ts';

export type ClientOptions = {
  /** Ask for TLS on an `ldap://` connection before anything else is said (RFC 4511 §4.14). */
  readonly startTls: boolean;
  /** Certificates to trust, PEM; without it those of the platform. */
  readonly ca?: string;
  /** Without a name the bind is anonymous. */
  readonly bindDn?: string;
  readonly password?: string;
  /** For connection, TLS and bind together. */
  readonly connectTimeoutMs: number;
};

/**
 * A client that connects once. ldapts reconnects in silence, and then searches anonymously and binds without StartTLS;
 * the second connection of this one throws.
 * @param timeoutMs for one operation
 */
export function dial(
  url: string,
  options: ClientOptions,
  timeoutMs: number,
): { readonly client: Client; readonly line: Line } {
  const secure = isSecure(url);
  const line = new Line();
  const client = new Client({
    url,
    timeout: timeoutMs,
    connectTimeout: options.connectTimeoutMs,
    createConnection: (...args: unknown[]): Socket => line.connect(() => Reflect.apply(connect, undefined, args)),
    createSecureConnection: (...args: unknown[]) =>
      secure
        ? line.connect(() => Reflect.apply(connectTls, undefined, args))
        : line.upgrade(Reflect.apply(connectTls, undefined, args)),
    // Options of any kind would make ldapts speak TLS on ldap:// as well.
    ...(secure ? { tlsOptions: tlsOptions(url, options) } : {}),
  });
  return { client, line };
}

/** StartTLS where it is wanted, then the bind. @throws what the server or the connection has against it */
export async function establish(client: Client, url: string, options: ClientOptions): Promise<void> {
  if (options.startTls && !isSecure(url)) {
    const tls = tlsOptions(url, options);
    // Both: the server name goes over the wire, and the host is what a certificate for an IP address is checked against.
    await client.startTLS({ ...tls, ...(isIP(tls.host) === 0 ? { servername: tls.host } : {}) });
  }
  await client.bind(options.bindDn ?? '', options.password ?? '');
}

function isSecure(url: string): boolean {
  return new URL(url).protocol === 'ldaps:';
}

function tlsOptions(url: string, { ca }: ClientOptions): { readonly host: string; readonly ca?: string } {
  return { host: new URL(url).hostname.replace(/^\[|\]$/g, ''), ...(ca === undefined ? {} : { ca }) };
}
