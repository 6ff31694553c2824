import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { type Query, type Reply, readReply } from './dns-message.ts';

/** A DNS server by IP address. */
export type DnsServer = { readonly address: string; readonly port: number };

/** What came of asking one server one way. */
export type Exchange = Reply | { readonly kind: 'silent'; readonly reason: string };

/** Datagrams that are no answer to the query; whoever sends more is guessing, and is shaken off by TCP. */
const MAX_STRANGE_DATAGRAMS = 100;

/**
 * Asks by UDP, from a port of its own for each query: who does not see the query has to guess port and id.
 * What comes from another address never arrives; what answers another question is passed over.
 * @param signal ends the exchange as `silent`
 */
export function askByUdp(server: DnsServer, query: Query, timeoutMs: number, signal: AbortSignal): Promise<Exchange> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
    const stop = (): void => end({ kind: 'silent', reason: 'stopped' });
    const timer = setTimeout(() => end({ kind: 'silent', reason: 'no answer in time' }), timeoutMs);
    let strange = 0;
    let open = true;
    const end = (result: Exchange): void => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.close();
      resolve(result);
    };
    socket.on('error', (error) => end({ kind: 'silent', reason: codeOf(error) }));
    socket.on('message', (message) => {
      const reply = readReply(message, query);
      if (reply !== undefined) end(reply);
      else if (++strange > MAX_STRANGE_DATAGRAMS) end({ kind: 'truncated' });
    });
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    else
      socket.connect(server.port, server.address, () => {
        if (open) socket.send(query.message);
      });
  });
}

/** Asks by TCP (RFC 7766); one query, one connection. */
export function askByTcp(server: DnsServer, query: Query, timeoutMs: number, signal: AbortSignal): Promise<Exchange> {
  return new Promise((resolve) => {
    const socket = connect({ host: server.address, port: server.port });
    const stop = (): void => end({ kind: 'silent', reason: 'stopped' });
    const timer = setTimeout(() => end({ kind: 'silent', reason: 'no answer in time by TCP' }), timeoutMs);
    const received: Buffer[] = [];
    let bytes = 0;
    const end = (result: Exchange): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.destroy();
      resolve(result);
    };
    socket.on('error', (error) => end({ kind: 'silent', reason: `${codeOf(error)} by TCP` }));
    socket.on('close', () => end({ kind: 'silent', reason: 'closed the connection' }));
    socket.on('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.message.length);
      socket.write(Buffer.concat([length, query.message]));
    });
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk);
      bytes += chunk.length;
      if (bytes < 2) return;
      const whole = received.length === 1 ? chunk : Buffer.concat(received);
      const length = whole.readUInt16BE(0);
      if (bytes < 2 + length) {
        received.splice(0, received.length, whole);
        return;
      }
      const reply = readReply(whole.subarray(2, 2 + length), query);
      if (reply === undefined) end({ kind: 'unusable', reason: 'an answer to another question' });
      else end(reply.kind === 'truncated' ? { kind: 'unusable', reason: 'a truncated answer by TCP' } : reply);
    });
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
