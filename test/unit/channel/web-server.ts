import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RequesterOptions } from '../../../src/http/requester.ts';

export type Asked = {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
};

export type WebServer = {
  readonly url: string;
  readonly asked: readonly Asked[];
  [Symbol.asyncDispose](): Promise<void>;
};

/** A stand-in for an HTTP server, on loopback, that answers as told once a request is there as a whole. */
export async function startWebServer(answer: (asked: Asked, response: ServerResponse) => void): Promise<WebServer> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url: path = '', headers } = request;
    const one = { method, path, headers, body: Buffer.concat(chunks).toString('utf8') };
    asked.push(one);
    answer(one, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export const REQUESTER: RequesterOptions = {
  connections: 4,
  connectTimeoutMs: 5_000,
  maxResponseBytes: 100_000,
  userAgent: 'imipd/test',
};

/** Content lines of a calendar with one VFREEBUSY. */
export function busyText(...lines: readonly string[]): string {
  const own = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'BEGIN:VFREEBUSY', ...lines, 'END:VFREEBUSY', 'END:VCALENDAR', ''];
  return own.join('\r\n');
}
