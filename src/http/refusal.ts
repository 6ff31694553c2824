import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { HttpReply, Route } from './exchange.ts';

/** What is read and thrown away of a body after its refusal, so that a reset does not take the reply from the client. */
const LINGER_BYTES = 1024 * 1024;
const LINGER_MS = 2000;
const RETRY_AFTER_S = 30;

const STATUS_OF_FAULT: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
};

/** @param code of an error of Node's parser */
export function statusOfFault(code: string): number {
  return STATUS_OF_FAULT[code] ?? 400;
}

/**
 * The refusal in the words of the route that it is meant for.
 * @param here all routes at the request's path, whose methods a 405 names
 */
export function composeRefusal(route: Route | undefined, status: number, here: readonly Route[]): HttpReply {
  const reply = route?.refuse(status) ?? {
    status,
    headers: { 'Content-Type': 'text/plain; charset=utf-8' },
    body: `${STATUS_CODES[status] ?? 'Error'}\n`,
  };
  const headers: Record<string, string> = { ...reply.headers };
  // A route may say that it is not there.
  if (reply.status === 405) headers.Allow ??= [...new Set(here.flatMap(({ methods }) => methods))].join(', ');
  if (reply.status === 503) headers['Retry-After'] ??= `${RETRY_AFTER_S}`;
  return { ...reply, headers };
}

/** The last reply of a connection, for where there is no request that Node would answer. */
export function replyBytes(reply: HttpReply): Buffer {
  const body = Buffer.from(reply.body);
  const headers = {
    ...reply.headers,
    Date: new Date().toUTCString(),
    'Content-Length': body.length,
    Connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ''}\r\n${lines.join('')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

/** Reads on, within bounds, until the client has seen the reply and stops. */
export function linger(request: IncomingMessage, done: () => void): void {
  let left = LINGER_BYTES;
  const timer = setTimeout(finish, LINGER_MS);
  function finish(): void {
    clearTimeout(timer);
    request.off('data', count).off('end', finish).off('close', finish);
    done();
  }
  function count(chunk: Buffer): void {
    left -= chunk.length;
    if (left < 0) finish();
  }
  request.on('data', count).once('end', finish).once('close', finish).on('error', ignore).resume();
}

/** The connection broke: `close` follows. */
function ignore(): void {}
