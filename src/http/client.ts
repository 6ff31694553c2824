import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { HttpClient } from './exchange.ts';

/** Known once per connection: a certificate is not taken apart for each of its requests. */
const known = new WeakMap<Socket, HttpClient>();

/** Who is at the other end of a connection whose TLS handshake, if any, is over. */
export function clientOf(socket: Socket): HttpClient {
  const found = known.get(socket);
  if (found !== undefined) return found;
  const client: HttpClient = {
    address: addressOf(socket),
    port: socket.remotePort ?? 0,
    ...(socket instanceof TLSSocket ? { tls: { protocol: socket.getProtocol() ?? '', ...certificateOf(socket) } } : {}),
  };
  known.set(socket, client);
  return client;
}

/** IP address of the other end; IPv4-mapped ones as IPv4. */
export function addressOf(socket: Socket): string {
  return (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
}

function certificateOf(socket: TLSSocket): Pick<NonNullable<HttpClient['tls']>, 'certificate' | 'unvouched'> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return {};
  const { fingerprint256, subject, subjectAltName } = certificate;
  if (!socket.authorized) return { unvouched: { fingerprint256, code: `${socket.authorizationError}` } };
  return { certificate: { fingerprint256, subject, names: dnsNames(subjectAltName ?? '') } };
}

/** Node quotes an entry that holds anything unusual, which no DNS name does, and writes its commas as `\u002c`. */
function dnsNames(subjectAltName: string): readonly string[] {
  return subjectAltName.split(', ').flatMap((entry) => /^DNS:([a-z0-9._-]+)$/i.exec(entry)?.[1]?.toLowerCase() ?? []);
}
