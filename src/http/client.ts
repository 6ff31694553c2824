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
    address: (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, ''),
    port: socket.remotePort ?? 0,
    ...(socket instanceof TLSSocket ? { tls: { protocol: socket.getProtocol() ?? '', ...certificateOf(socket) } } : {}),
  };
  known.set(socket, client);
  return client;
}

function certificateOf(socket: TLSSocket): Pick<NonNullable<HttpClient['tls']>, 'certificate'> {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return {};
  const { fingerprint256, subject, subjectAltName } = certificate;
  return { certificate: { fingerprint256, subject, names: dnsNames(subjectAltName ?? '') } };
}

/** Node quotes an entry that holds anything unusual, which no DNS name does. */
function dnsNames(subjectAltName: string): readonly string[] {
  return subjectAltName.split(', ').flatMap((entry) => /^DNS:([a-z0-9._-]+)$/i.exec(entry)?.[1]?.toLowerCase() ?? []);
}
