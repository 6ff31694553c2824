import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import type { Route } from '../../../src/http/exchange.ts';
import { HttpListener, type HttpListenerOptions } from '../../../src/http/listener.ts';
import type { Log } from '../../../src/observe/log.ts';
import { makeAuthority } from '../../servers/authority.ts';

const ROUTE: Route = {
  path: '/service',
  methods: ['POST'],
  maxBodyBytes: 10,
  handle: async () => ({ status: 200, headers: {}, body: '' }),
  refuse: (status) => ({ status, headers: {}, body: '' }),
};

/** Sends each text by a connection of its own. @returns the lines that were logged */
async function logged(texts: readonly string[], options: Partial<HttpListenerOptions> = {}): Promise<unknown[]> {
  const lines: unknown[] = [];
  const keep = (level: string) => (facts: object, message: string) => lines.push({ level, ...facts, message });
  const log = { debug: () => {}, info: keep('info'), warn: keep('warn'), error: keep('error') } as unknown as Log;
  const listener = new HttpListener(
    {
      name: 'service',
      host: '::',
      port: 0,
      maxConnections: 10,
      maxConnectionsPerClient: 10,
      maxRequests: 10,
      requestTimeoutMs: 10_000,
      headersTimeoutMs: 10_000,
      idleTimeoutMs: 10_000,
      closeTimeoutMs: 1000,
      ...options,
    },
    [ROUTE],
    log,
  );
  const port = Number((await listener.listen()).split(':').at(-1));
  try {
    for (const text of texts) {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      socket.end(text);
      socket.resume();
      await once(socket, 'close');
    }
  } finally {
    await listener.close();
  }
  return lines;
}

const post = (path: string, ...lines: readonly string[]) =>
  [`POST ${path} HTTP/1.1`, 'Host: x', 'Connection: close', ...lines, '', ''].join('\r\n');

test('what is refused before a route sees it has a line, but for what is not there', async () => {
  const texts = [
    post('/service', 'Content-Length: 0'),
    post('/service', 'Content-Encoding: gzip', 'Content-Length: 1'),
    post('/service', 'Content-Length: 11'),
    post('/elsewhere', 'Content-Length: 0'),
  ];
  const shared = { level: 'info', listener: 'service', client: '127.0.0.1', message: 'request refused' };
  expect(await logged(texts)).toEqual([
    { ...shared, method: 'POST', path: '/service', status: 415 },
    { ...shared, method: 'POST', path: '/service', status: 413 },
  ]);
});

test('what is not HTTP has a line with the reason', async () => {
  expect(await logged(['POST /service HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n'])).toEqual([
    {
      level: 'info',
      listener: 'service',
      client: '127.0.0.1',
      code: expect.stringMatching(/^HPE_/),
      status: 400,
      message: 'request refused',
    },
  ]);
});

test('a request in clear where TLS is spoken has a line', async () => {
  await using authority = await makeAuthority();
  const { cert, key } = await authority.issue({ name: 'gateway.example.com' });
  expect(await logged([post('/service', 'Content-Length: 0')], { tls: { cert, key } })).toEqual([
    {
      level: 'info',
      listener: 'service',
      client: '127.0.0.1',
      code: 'ERR_SSL_HTTP_REQUEST',
      message: 'TLS handshake failed',
    },
  ]);
});
