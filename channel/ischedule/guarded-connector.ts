import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type buildConnector, errors } from 'undici';
import type { Resolver } from '../../src/net/resolver.ts';
import type { AddressPolicy } from './guard.ts';

/** What TLS needs beside name and address. */
export type GuardedTls = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'minVersion' | 'ciphers' | 'rejectUnauthorized'
>;

export type GuardedConnectorOptions = {
  readonly resolver: Resolver;
  readonly policy: AddressPolicy;
  /** For everything: the look-up, each address in turn, TLS. */
  readonly connectTimeoutMs: number;
  readonly tls?: GuardedTls;
  /** Connections in clear are made too. */
  readonly plain?: boolean;
};

/** A connection that was not made because it must not be. */
export class ConnectionRefusedByPolicy extends Error {
  readonly code = 'EADDRREFUSED';
  readonly syscall = 'connect';
}

/** Addresses of one name that are tried. */
const MAX_ADDRESSES = 6;

/**
 * Makes the connections of an undici Pool (`connect: guardedConnector(…)`). A name is looked up once, its addresses are
 * judged, and the connection goes to one that was: there is no second look-up that could say something else. An address
 * in place of a name is judged as well. The certificate is checked against the name.
 *
 * Gives `ConnectionRefusedByPolicy` when no address is permitted, ENOTFOUND when there is none, EAI_AGAIN when the DNS
 * does not answer, UND_ERR_CONNECT_TIMEOUT, or what the last address said.
 */
export function guardedConnector(options: GuardedConnectorOptions): buildConnector.connector {
  return (target, callback) => {
    openConnection(target, options).then(
      (socket) => callback(null, socket),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    );
  };
}

async function openConnection(target: buildConnector.Options, options: GuardedConnectorOptions): Promise<Socket> {
  const host = target.hostname.replace(/^\[|\]$/g, '');
  const secure = target.protocol === 'https:';
  if (!secure && options.plain !== true) throw new ConnectionRefusedByPolicy(`${host}: only https is spoken here`);
  const port = target.port === '' ? (secure ? 443 : 80) : Number(target.port);
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.connectTimeoutMs);
  try {
    const addresses = await permittedAddresses(host, options, deadline.signal);
    let failure: unknown;
    for (const address of addresses) {
      try {
        return await connectTo(address, port, secure ? { ...options.tls, host } : undefined, deadline.signal);
      } catch (error) {
        if (deadline.signal.aborted) throw error;
        failure = error;
      }
    }
    throw failure;
  } catch (error) {
    if (!deadline.signal.aborted) throw error;
    throw new errors.ConnectTimeoutError(`${host}:${port}: no connection within ${options.connectTimeoutMs} ms`);
  } finally {
    clearTimeout(timer);
  }
}

/** @returns at least one */
async function permittedAddresses(
  host: string,
  { resolver, policy }: GuardedConnectorOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const addresses = isIP(host) !== 0 ? [host] : await lookUp(host, resolver, signal);
  const refused: string[] = [];
  const permitted: string[] = [];
  for (const address of addresses.slice(0, MAX_ADDRESSES)) {
    const verdict = policy.permits(address);
    if (verdict === true) permitted.push(address);
    else refused.push(address === host ? verdict : `${address}, ${verdict}`);
  }
  if (permitted.length > 0) return permitted;
  throw new ConnectionRefusedByPolicy(`${host} is not a public address: ${refused.join('; ')}`);
}

async function lookUp(host: string, resolver: Resolver, signal: AbortSignal): Promise<readonly string[]> {
  const answer = await resolver.addresses(host, signal);
  switch (answer.kind) {
    case 'records':
      return answer.records;
    case 'none':
      throw Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND', syscall: 'connect' });
    case 'no-answer':
      throw Object.assign(new Error(`${host}: ${answer.reason}`), { code: 'EAI_AGAIN', syscall: 'connect' });
  }
}

/** @param tls with the name that the certificate must have; undefined: in clear */
function connectTo(
  address: string,
  port: number,
  tls: (GuardedTls & { readonly host: string }) | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tls === undefined ? connectTcp({ host: address, port }) : connectSecurely(address, port, tls);
    const stop = (): void => {
      socket.destroy();
      reject(new Error('timed out'));
    };
    const done = (): void => {
      signal.removeEventListener('abort', stop);
      socket.off('error', fail);
      socket.off('close', closed);
    };
    const fail = (error: Error): void => {
      done();
      socket.destroy();
      reject(error);
    };
    const closed = (): void =>
      fail(Object.assign(new Error(`${address} closed the connection`), { code: 'ECONNRESET', syscall: 'connect' }));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.once('error', fail);
    socket.once('close', closed);
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      done();
      resolve(socket);
    });
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}

function connectSecurely(address: string, port: number, { host, ...tls }: GuardedTls & { readonly host: string }) {
  return connectTls({
    ...tls,
    host: address,
    port,
    ALPNProtocols: ['http/1.1'],
    // An address is no server name (RFC 6066 §3); the certificate is then checked against the address.
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
}
