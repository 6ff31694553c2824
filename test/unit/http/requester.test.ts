import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect, createServer as createTcpServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type OutReply, Requester, type RequesterOptions } from '../../../src/http/requester.ts';
import { makeAuthority } from '../../servers/authority.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTP server on loopback that answers as told. */
async function startServer(answer: Answer, tls?: ServerOptions) {
  const requests: IncomingMessage[] = [];
  const connections = new Set<object>();
  const listener: RequestListener = (request, response) => {
    requests.push(request);
    request.resume();
    answer(request, response);
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.on('connection', (socket) => connections.add(socket));
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    ...{ server, requests, connections },
    url: new URL(`${tls === undefined ? 'http' : 'https'}://${tls === undefined ? '127.0.0.1' : 'localhost'}:${port}/`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function requesterWith(options: Partial<RequesterOptions> = {}): Requester {
  return new Requester({
    ...{ connections: 2, connectTimeoutMs: 2_000, maxResponseBytes: 1_000, userAgent: 'imipd/0' },
    ...options,
  });
}

const unhurried = new AbortController().signal;
const timedOut = (): DOMException => new DOMException('The operation timed out', 'TimeoutError');

function reasonOf(reply: OutReply): string {
  return reply.kind === 'silence' ? reply.reason : `an answer, ${reply.status}`;
}

describe('an answer', () => {
  test('comes with status, headers in lower case, of several the first, and the whole body', async () => {
    await using server = await startServer((_request, response) => {
      response.writeHead(200, ['Content-Type', 'text/calendar', 'X-Two', 'first', 'X-Two', 'second']);
      response.write('BEGIN:');
      response.end('VCALENDAR');
    });
    await using requester = requesterWith();
    const reply = await requester.ask({ method: 'GET', url: new URL('a.ifb?start=1', server.url) }, unhurried);
    expect(reply).toMatchObject({
      kind: 'answer',
      status: 200,
      headers: { 'content-type': 'text/calendar', 'x-two': 'first' },
      body: Buffer.from('BEGIN:VCALENDAR'),
    });
    const [request] = server.requests;
    expect([request?.method, request?.url]).toEqual(['GET', '/a.ifb?start=1']);
    expect(request?.headers).toMatchObject({ 'user-agent': 'imipd/0', 'accept-encoding': 'identity' });
  });

  test('to a POST: its body and its headers went out', async () => {
    const bodies: string[] = [];
    await using server = await startServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        bodies.push(body);
        response.end();
      });
    });
    await using requester = requesterWith();
    const headers = { 'Content-Type': 'text/calendar', Via: '1.1 imipd-0123456789abcdef' };
    const reply = await requester.ask(
      { method: 'POST', url: server.url, headers, body: Buffer.from('BEGIN:VCALENDAR') },
      unhurried,
    );
    expect(reply).toMatchObject({ kind: 'answer', status: 200, body: Buffer.alloc(0) });
    expect(bodies).toEqual(['BEGIN:VCALENDAR']);
    expect(server.requests[0]?.headers).toMatchObject({
      'content-length': '15',
      'content-type': 'text/calendar',
      via: '1.1 imipd-0123456789abcdef',
    });
  });

  test('may be a redirect, which is not followed', async () => {
    await using server = await startServer((_request, response) => {
      response.writeHead(302, { Location: 'http://elsewhere.example.com/get_freebusy.wcap' }).end();
    });
    await using requester = requesterWith();
    const reply = await requester.ask({ method: 'GET', url: server.url }, unhurried);
    expect(reply).toMatchObject({
      kind: 'answer',
      status: 302,
      headers: { location: 'http://elsewhere.example.com/get_freebusy.wcap' },
    });
    expect(server.requests).toHaveLength(1);
  });

  test('comes over a connection that was kept', async () => {
    await using server = await startServer((_request, response) => response.end('free'));
    await using requester = requesterWith({ connections: 1 });
    for (let time = 0; time < 3; time++) await requester.ask({ method: 'GET', url: server.url }, unhurried);
    expect(server.requests).toHaveLength(3);
    expect(server.connections.size).toBe(1);
  });

  test('is asked for once more where the connection ends before it begins', async () => {
    await using server = await startServer((request, response) => {
      if (server.requests.length === 1) request.socket.destroy();
      else response.end('free');
    });
    await using requester = requesterWith();
    const reply = await requester.ask({ method: 'GET', url: server.url }, unhurried);
    expect(reply).toMatchObject({ kind: 'answer', body: Buffer.from('free') });
    expect(server.requests).toHaveLength(2);
  });

  test('comes from a server whose authority is named, and the client certificate is shown to it', async () => {
    await using authority = await makeAuthority();
    const certificate = await authority.issue({ name: 'localhost' });
    const client = await authority.issue({ name: 'gateway.test', client: true });
    const tls = { ...certificate, ca: authority.pem, requestCert: true };
    await using server = await startServer((_request, response) => response.end('free'), tls);
    await using requester = requesterWith({
      ca: authority.pem,
      clientCertificate: { cert: client.cert, key: client.key },
    });
    expect(await requester.ask({ method: 'GET', url: server.url }, unhurried)).toMatchObject({ status: 200 });
    expect(server.requests[0]?.httpVersion).toBe('1.1');
  });
});

describe('no answer', () => {
  test.for<[what: string, answer: Answer, reason: string]>([
    [
      'one that is compressed, small as it is',
      (_request, response) => response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync('free')),
      'the answer is compressed',
    ],
    [
      'one that says it is too large',
      (_request, response) => response.end(Buffer.alloc(1_001)),
      'the answer is too large',
    ],
    [
      'one that becomes too large',
      (_request, response) => {
        response.write(Buffer.alloc(600));
        response.end(Buffer.alloc(600));
      },
      'the answer is too large',
    ],
    [
      'one that is cut short',
      (request, response) => {
        response.writeHead(200, { 'Content-Length': '100' });
        response.write('half', () => request.socket.destroy());
      },
      'the calendar server closed the connection (UND_ERR_SOCKET)',
    ],
    [
      'a connection that ends, twice',
      (request) => request.socket.destroy(),
      'the calendar server closed the connection (UND_ERR_SOCKET)',
    ],
  ])('is %s', async ([, answer, reason]) => {
    await using server = await startServer(answer);
    await using requester = requesterWith();
    expect(reasonOf(await requester.ask({ method: 'GET', url: server.url }, unhurried))).toBe(reason);
  });

  test('is what is not HTTP', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('220 mail.example.com ESMTP\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await using requester = requesterWith();
    const { port } = server.address() as AddressInfo;
    const reply = await requester.ask({ method: 'GET', url: new URL(`http://127.0.0.1:${port}/`) }, unhurried);
    expect(reasonOf(reply)).toBe('the calendar server closed the connection (not HTTP)');
    server.close();
  });

  test('comes from a port where nobody listens', async () => {
    const gone = await startServer(() => undefined);
    await gone[Symbol.asyncDispose]();
    await using requester = requesterWith();
    const reply = await requester.ask({ method: 'GET', url: gone.url }, unhurried);
    expect(reasonOf(reply)).toBe('no connection to the calendar server (ECONNREFUSED)');
  });

  test('comes from a server that a stranger vouches for, and the reason says what to do', async () => {
    await using authority = await makeAuthority();
    await using server = await startServer(() => undefined, await authority.issue({ name: 'localhost' }));
    await using requester = requesterWith();
    expect(reasonOf(await requester.ask({ method: 'GET', url: server.url }, unhurried))).toMatch(
      /^TLS with the calendar server failed \([A-Z_]+: its certificate is of no authority that is trusted; name that one with ca\)$/,
    );
  });

  test('never names what was sent, a password in the URL least of all', async () => {
    const gone = await startServer(() => undefined);
    await gone[Symbol.asyncDispose]();
    await using requester = requesterWith();
    const url = new URL('/x?password=hunter2', gone.url);
    const headers = { Authorization: 'Bearer hunter2' };
    expect(reasonOf(await requester.ask({ method: 'GET', url, headers }, unhurried))).not.toContain('hunter2');
  });
});

describe('the deadline', () => {
  test.for<[what: string, hang: (response: ServerResponse) => void]>([
    ['before the headers', () => undefined],
    ['after the headers', (response) => response.flushHeaders()],
    ['in the body', (response) => response.write('BEGIN:VCALENDAR')],
  ])('ends a request whose server hangs %s', async ([, hang]) => {
    const deadline = new AbortController();
    await using server = await startServer((_request, response) => {
      hang(response);
      setImmediate(() => deadline.abort(timedOut()));
    });
    await using requester = requesterWith();
    const reply = await requester.ask({ method: 'GET', url: server.url }, deadline.signal);
    expect(reasonOf(reply)).toBe('the calendar server did not answer in time');
  });

  test('counts the wait for a connection', async () => {
    await using server = await startServer(() => undefined);
    await using requester = requesterWith({ connections: 1 });
    const other = new AbortController();
    const first = requester.ask({ method: 'GET', url: server.url }, other.signal);
    await once(server.server, 'request');
    const deadline = new AbortController();
    const second = requester.ask({ method: 'GET', url: server.url }, deadline.signal);
    deadline.abort(timedOut());
    expect(reasonOf(await second)).toBe('the calendar server did not answer in time');
    expect(server.requests).toHaveLength(1);
    other.abort(timedOut());
    await first;
  });

  test('is told from somebody who gave up', async () => {
    await using server = await startServer(() => undefined);
    await using requester = requesterWith();
    const reply = await requester.ask({ method: 'GET', url: server.url }, AbortSignal.abort());
    expect(reasonOf(reply)).toBe('the attempt was stopped before the calendar server answered');
    expect(server.requests).toHaveLength(0);
  });
});

describe('a requester', () => {
  test('has no more connections to an origin than it may', async () => {
    const waiting: ServerResponse[] = [];
    await using server = await startServer((_request, response) => {
      waiting.push(response);
      if (waiting.length === 2) for (const one of waiting.splice(0)) one.end('free');
    });
    await using requester = requesterWith({ connections: 2 });
    const replies = Array.from({ length: 6 }, () => requester.ask({ method: 'GET', url: server.url }, unhurried));
    expect((await Promise.all(replies)).map(reasonOf)).toEqual(Array(6).fill('an answer, 200'));
    expect(server.connections.size).toBe(2);
  });

  test('keeps no connections to ever more origins: the one that lay idle longest is closed', async () => {
    await using server = await startServer((_request, response) => response.end('free'));
    const sockets: Socket[] = [];
    // Whatever the name, it is this server.
    const connector: RequesterOptions['connector'] = (_target, callback) => {
      const socket = connect(Number(server.url.port), '127.0.0.1', () => callback(null, socket));
      sockets.push(socket);
    };
    await using requester = requesterWith({ connector });
    const ask = (host: number) =>
      requester.ask({ method: 'GET', url: new URL(`http://host${host}.example.com/`) }, unhurried);
    for (let host = 0; host < 32; host++) await ask(host);
    await ask(0);
    expect(sockets.filter(({ destroyed }) => destroyed)).toEqual([]);
    const second = sockets[1];
    const closed = new Promise((resolve) => second?.once('close', resolve));
    await ask(32);
    await closed;
    expect(sockets.filter(({ destroyed }) => destroyed)).toEqual([second]);
  });

  test('ends what is under way when it is disposed, and asks nothing after that', async () => {
    await using server = await startServer(() => undefined);
    const requester = requesterWith();
    const asked = requester.ask({ method: 'GET', url: server.url }, unhurried);
    await once(server.server, 'request');
    await requester[Symbol.asyncDispose]();
    const stopped = 'the attempt was stopped before the calendar server answered';
    expect(reasonOf(await asked)).toBe(stopped);
    expect(reasonOf(await requester.ask({ method: 'GET', url: server.url }, unhurried))).toBe(stopped);
    expect(server.requests).toHaveLength(1);
  });
});
