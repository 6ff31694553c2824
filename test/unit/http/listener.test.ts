import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import type { HttpReply, HttpRequest, Route } from '../../../src/http/exchange.ts';
import type { HttpListenerOptions } from '../../../src/http/listener.ts';
import { makeAuthority } from '../../servers/authority.ts';
import { openListener } from './open-listener.ts';
import { RawClient } from './raw-client.ts';

/** A route that answers with what it was handed, and remembers it. */
class Recorder implements Route {
  readonly path: string;
  readonly methods: readonly string[];
  readonly maxBodyBytes = 1000;
  readonly requests: HttpRequest[] = [];
  answer: (request: HttpRequest) => Promise<HttpReply> = async (request) => ({
    status: 200,
    headers: { 'Content-Type': 'text/plain', 'X-Route': this.path },
    body: `${request.method} ${request.path} ${request.body.length}`,
  });

  constructor(path = '/service', methods: readonly string[] = ['GET', 'HEAD', 'POST', 'OPTIONS']) {
    this.path = path;
    this.methods = methods;
  }

  handle(request: HttpRequest): Promise<HttpReply> {
    this.requests.push(request);
    return this.answer(request);
  }

  refuse(status: number): HttpReply {
    return { status, headers: { 'X-Route': this.path }, body: `refused ${status}` };
  }
}

async function listen(options: Partial<HttpListenerOptions> = {}, routes: readonly Route[] = [new Recorder()]) {
  return { ...(await openListener(routes, options)), route: routes[0] as Recorder };
}

const post = (...lines: readonly string[]) => ['POST /service HTTP/1.1', 'Host: x', ...lines, '', ''].join('\r\n');
const statusOf = (text: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);

test('a target that names the host as well is taken for its path', async () => {
  await using it = await listen();
  using client = await RawClient.open(it.address);
  client.send('POST http://x/service?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi');
  expect(statusOf(await client.until(/POST \/service 2/))).toBe(200);
  expect(it.route.requests.map(({ path, query }) => [path, query.get('a')])).toEqual([['/service', '1']]);
});

describe('a request with folded headers', () => {
  const folded =
    post('Recipient: mailto:a@example.com,\r\n\t mailto:b@example.com\r\n  ', 'Content-Length: 15') +
    'a: b\r\n\r\n c: d\r\n';

  test('is handed over with each of them as one line, its body untouched', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(folded);
    const text = await client.ended();
    expect(statusOf(text)).toBe(200);
    const [request] = it.route.requests;
    expect(request?.rawHeaders).toEqual([
      'Host',
      'x',
      'Recipient',
      'mailto:a@example.com,\t mailto:b@example.com',
      'Content-Length',
      '15',
    ]);
    expect(request?.body.toString()).toBe('a: b\r\n\r\n c: d\r\n');
  });

  test('is read the same octet by octet, and ends its connection, so that the next one can be read as well', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    for (const octet of folded) {
      client.send(octet);
      await nextTurn();
    }
    const text = await client.ended();
    expect(statusOf(text)).toBe(200);
    expect(text).toContain('Connection: close');
    expect(it.route.requests.map(({ body }) => body.toString())).toEqual(['a: b\r\n\r\n c: d\r\n']);
  });
});

describe('a request that is right', () => {
  test('is handed over whole, with both of two equal headers', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(
      'POST /service/?a=1&a=2 HTTP/1.1\r\nHost: x\r\nOriginator: mailto:a@example.com\r\nOriginator: mailto:b@example.com\r\n' +
        'Recipient: mailto:c@example.com,\t mailto:d@example.com\r\nContent-Type: text/calendar; ;=broken\r\nContent-Length: 5\r\n\r\nhello',
    );
    const text = await client.until(/POST \/service/);
    expect(statusOf(text)).toBe(200);
    const [request] = it.route.requests;
    expect(request?.rawHeaders.slice(2, 8)).toEqual([
      'Originator',
      'mailto:a@example.com',
      'Originator',
      'mailto:b@example.com',
      'Recipient',
      'mailto:c@example.com,\t mailto:d@example.com',
    ]);
    expect(request).toMatchObject({ method: 'POST', path: '/service/', client: { address: '127.0.0.1' } });
    expect(request?.query.getAll('a')).toEqual(['1', '2']);
    expect(request?.body.toString()).toBe('hello');
    expect(request?.client.tls).toBeUndefined();
  });

  test('in chunks has its chunks undone', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(`${post('Transfer-Encoding: chunked')}3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n`);
    await client.until(/POST \/service 7/);
    expect(it.route.requests[0]?.body.toString()).toBe('abcdefg');
  });

  test('without a body, or with the target in absolute form, is handed over too', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(`${post()}GET http://x:80/service?q HTTP/1.1\r\nHost: x\r\n\r\n`);
    await client.until(/GET \/service 0/);
    expect(it.route.requests.map(({ method, path, body }) => [method, path, body.length])).toEqual([
      ['POST', '/service', 0],
      ['GET', '/service', 0],
    ]);
  });

  test('is answered in its turn where several come in one packet', async () => {
    await using it = await listen();
    const late = Promise.withResolvers<void>();
    it.route.answer = async (request) => {
      if (request.body.toString() === '1') await late.promise;
      return { status: 200, headers: {}, body: `answer ${request.body}` };
    };
    using client = await RawClient.open(it.address);
    client.send([1, 2, 3].map((n) => `${post('Content-Length: 1')}${n}`).join(''));
    while (it.route.requests.length < 3) await nextTurn();
    late.resolve();
    const text = await client.until(/answer 3/);
    expect(text.match(/answer \d/g)).toEqual(['answer 1', 'answer 2', 'answer 3']);
  });

  test('is told to continue where it asks first', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(post('Content-Length: 5', 'Expect: 100-continue'));
    await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send('hello');
    await client.until(/POST \/service 5/);
  });

  test('by HEAD gets the headers of the answer and no body', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send('HEAD /service HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const text = await client.ended();
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)*Content-Length: 15\r\n(?:.+\r\n)*\r\n$/);
  });

  test('whose handler throws gets 500 in the words of its route', async () => {
    await using it = await listen();
    it.route.answer = async () => Promise.reject(new Error('a bug'));
    using client = await RawClient.open(it.address);
    client.send(post());
    expect(statusOf(await client.until(/refused 500$/))).toBe(500);
  });

  test('of a client that goes away has its signal aborted', async () => {
    await using it = await listen();
    const aborted = Promise.withResolvers<void>();
    it.route.answer = async (request) => {
      request.signal.addEventListener('abort', () => aborted.resolve());
      client.socket.destroy();
      await aborted.promise;
      return { status: 200, headers: {}, body: '' };
    };
    using client = await RawClient.open(it.address);
    client.send(post());
    await aborted.promise;
  });
});

describe('a request that is refused', () => {
  const refusals: readonly (readonly [string, string, number])[] = [
    ['at a path nobody serves', 'GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n', 404],
    ['by a method the route does not have', 'DELETE /service HTTP/1.1\r\nHost: x\r\n\r\n', 405],
    ['by a method nobody knows', 'PROPFIND /service HTTP/1.1\r\nHost: x\r\n\r\n', 405],
    ['for a body that is announced as too long', post('Content-Length: 1001'), 413],
    ['for a body that is announced as 100 MB', post('Content-Length: 100000000'), 413],
    ['for a body too long that it asks for first', post('Content-Length: 1001', 'Expect: 100-continue'), 413],
    ['for an expectation nobody knows', post('Content-Length: 3', 'Expect: miracles'), 417],
    ['for a compressed body', `${post('Content-Encoding: gzip', 'Content-Length: 3')}abc`, 415],
    ['for a compressed body in chunks', post('Content-Encoding: br', 'Transfer-Encoding: chunked'), 415],
    ['for a second transfer coding', post('Transfer-Encoding: gzip, chunked'), 400],
    ['for chunks in HTTP/1.0', post('Transfer-Encoding: chunked').replace('HTTP/1.1', 'HTTP/1.0'), 400],
    ['for a transfer coding that is not chunked', post('Transfer-Encoding: gzip'), 400],
    ['for two lengths', post('Content-Length: 3', 'Content-Length: 4'), 400],
    ['for the same length twice', post('Content-Length: 3', 'Content-Length: 3'), 400],
    ['for a length beside chunks', post('Content-Length: 3', 'Transfer-Encoding: chunked'), 400],
    ['for a length that is no number', post('Content-Length: 3x'), 400],
    ['for a length below nothing', post('Content-Length: -3'), 400],
    ['for a size of a chunk that is none', `${post('Transfer-Encoding: chunked')}zz\r\n`, 400],
    ['for a bare CR in a header', post('Originator: mailto:a@example.com\rX: y'), 400],
    ['for a first header that is folded', post().replace('Host', ' Host'), 400],
    ['for a header folded by a bare line feed', post('Recipient: mailto:a@example.com,\n mailto:b@example.com'), 400],
    ['for a NUL in a header', post('Originator: mailto:a\0@example.com'), 400],
    ['for a space before the colon', post('Originator : mailto:a@example.com'), 400],
    ['without Host', 'GET /service HTTP/1.1\r\n\r\n', 400],
    ['with two of Host', post('Host: y'), 400],
    ['by GET with a body', 'GET /service HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc', 400],
    ['for a target that cannot be decoded', 'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['for what is not HTTP', 'EHLO client.example.com\r\n\r\n', 400],
    ['for TLS spoken to a listener in clear', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['for 2001 headers', post(...Array.from({ length: 2001 }, (_, n) => `X-${n}: y`)), 431],
    ['for 300 KB of headers', post(`X-Long: ${'x'.repeat(300_000)}`), 431],
  ];
  test.each(refusals)('%s gets its status and reaches no handler', async (_title, bytes, status) => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(Buffer.from(bytes, 'latin1'));
    const text = await client.until(/\r\n\r\n/);
    expect(statusOf(text)).toBe(status);
    expect(text).not.toContain('100 Continue');
    // At no path of ours there is no route to find the words.
    if (!/^GET \/(?:nowhere|%zz) /.test(bytes)) expect(text).toContain('X-Route: /service');
    expect(it.route.requests).toEqual([]);
  });

  test('by its method is told which methods there are', async () => {
    await using it = await listen({}, [new Recorder('/service', ['GET', 'HEAD']), new Recorder('/other/*', ['POST'])]);
    using client = await RawClient.open(it.address);
    client.send(
      'POST /service/ HTTP/1.1\r\nHost: x\r\n\r\nGET /other/a/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    );
    const text = await client.ended();
    expect(text.match(/^(?:Allow|X-Route): .*$/gm)).toEqual([
      'X-Route: /service',
      'Allow: GET, HEAD',
      'X-Route: /other/*',
      'Allow: POST',
    ]);
  });

  test('for its length ends the connection, and the reply arrives although the client goes on sending', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(post('Content-Length: 500000'));
    client.send(Buffer.alloc(400_000, 'x'));
    await client.until(/refused 413$/);
    client.send(Buffer.alloc(100_000, 'x'));
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 413 (?:.+\r\n)*Connection: close\r\n/);
  });

  test('because its chunks grow beyond the limit holds no more than the limit of them', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(post('Transfer-Encoding: chunked'));
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65536, 'x'), Buffer.from('\r\n')]);
    const before = process.memoryUsage().arrayBuffers;
    let sent = 0;
    let peak = 0;
    while (sent < 100_000_000 && client.socket.writable) {
      sent += chunk.length;
      await client.drained(chunk);
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 413 [\s\S]*refused 413$/);
    expect(sent).toBeLessThan(50_000_000);
    expect(peak).toBeLessThan(20_000_000);
    expect(it.route.requests).toEqual([]);
  });

  test('because one client has three quarters of all that may run is told so, and another is served', async () => {
    await using it = await listen({ maxRequests: 4 });
    const free = Promise.withResolvers<void>();
    it.route.answer = async () => {
      await free.promise;
      return { status: 200, headers: {}, body: 'done' };
    };
    const port = it.address.slice(it.address.lastIndexOf(':'));
    const open = async (from: string) => RawClient.open(`127.0.0.1${port}`, from);
    await using clients = new AsyncDisposableStack();
    const send = async (from: string) => {
      const client = clients.use(await open(from));
      client.send(post());
      return client;
    };
    for (let running = 1; running <= 3; running++) {
      await send('127.0.0.1');
      while (it.route.requests.length < running) await nextTurn();
    }
    await (await send('127.0.0.1')).until(/refused 503$/);
    const other = await send('127.0.0.2');
    while (it.route.requests.length < 4) await nextTurn();
    free.resolve();
    await other.until(/done$/);
  });

  test('because too many run at a time is told when to come again, and runs later', async () => {
    await using it = await listen({ maxRequests: 1 });
    const free = Promise.withResolvers<void>();
    it.route.answer = async () => {
      await free.promise;
      return { status: 200, headers: {}, body: 'done' };
    };
    using first = await RawClient.open(it.address);
    using second = await RawClient.open(it.address);
    first.send(post());
    while (it.route.requests.length < 1) await nextTurn();
    second.send(post());
    expect(await second.until(/refused 503$/)).toMatch(/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: \d+\r\n/);
    free.resolve();
    await first.until(/done$/);
    second.send(post());
    await second.until(/done$/);
  });
});

describe('a client that does not get on', () => {
  test('and does not read its answer loses its connection when its time is over, and gives its place to others', async () => {
    await using it = await listen({ maxRequests: 1, requestTimeoutMs: 200 });
    it.route.answer = async ({ path }) => ({ status: 200, headers: {}, body: path.repeat(2_000_000) });
    using idle = await RawClient.open(it.address);
    idle.socket.pause();
    idle.send(post());
    while (it.route.requests.length < 1) await nextTurn();
    it.route.answer = async () => ({ status: 200, headers: {}, body: 'done' });
    for (;;) {
      using next = await RawClient.open(it.address);
      next.send(post('Connection: close'));
      if (statusOf(await next.ended()) === 200) break;
    }
    expect(it.route.requests).toHaveLength(2);
  });

  test('and sends nonsense behind a good request has that answered, and no more', async () => {
    await using it = await listen();
    const late = Promise.withResolvers<void>();
    it.route.answer = async () => {
      await late.promise;
      return { status: 200, headers: {}, body: 'done' };
    };
    using client = await RawClient.open(it.address);
    client.send(`${post()}NONSENSE\r\n\r\n`);
    while (it.route.requests.length < 1) await nextTurn();
    late.resolve();
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 200 (?:.+\r\n)*Connection: close\r\n(?:.+\r\n)*\r\ndone$/);
  });

  test('and ends before its body is whole has nothing handed on', async () => {
    await using it = await listen();
    using client = await RawClient.open(it.address);
    client.send(`${post('Content-Length: 10')}hello`);
    client.socket.end();
    await client.ended();
    client.socket.destroy();
    using next = await RawClient.open(it.address);
    next.send(post());
    await next.until(/POST \/service 0$/);
    expect(it.route.requests).toHaveLength(1);
  });

  test('and sends its headers too slowly gets 408', async () => {
    await using it = await listen({ headersTimeoutMs: 100, requestTimeoutMs: 200 });
    using client = await RawClient.open(it.address);
    client.send('POST /service HTTP/1.1\r\nHost: x\r\n');
    const timer = setInterval(() => client.send('X: y\r\n'), 20);
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 408 [\s\S]*refused 408$/);
    clearInterval(timer);
    expect(it.route.requests).toEqual([]);
  });

  test('and sends its body too slowly gets 408, with no handler run', async () => {
    await using it = await listen({ headersTimeoutMs: 100, requestTimeoutMs: 200 });
    using client = await RawClient.open(it.address);
    client.send(post('Content-Length: 1000'));
    const timer = setInterval(() => client.send('x'), 20);
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 408 [\s\S]*refused 408$/);
    clearInterval(timer);
    expect(it.route.requests).toEqual([]);
  });

  test('and says nothing at all is cut off', async () => {
    await using it = await listen({ headersTimeoutMs: 100, requestTimeoutMs: 100 });
    using client = await RawClient.open(it.address);
    await client.ended();
  });

  test('and stays silent after a reply is cut off', async () => {
    await using it = await listen({ idleTimeoutMs: 50 });
    using client = await RawClient.open(it.address);
    client.send(post());
    expect(statusOf(await client.ended())).toBe(200);
  });

  test('is not let in beyond its share of connections, and is again when one has ended', async () => {
    await using it = await listen({ maxConnectionsPerClient: 1 });
    using first = await RawClient.open(it.address);
    first.send(post());
    await first.until(/service 0$/);
    using second = await RawClient.open(it.address);
    expect(await second.ended()).toBe('');
    first.socket.destroy();
    for (;;) {
      using third = await RawClient.open(it.address);
      third.send(post());
      if ((await Promise.race([third.until(/service 0$/), third.ended()]).catch(() => '')) !== '') break;
    }
  });
});

describe('a listener that stops', () => {
  test('lets the running request end, and cuts connections that have none', async () => {
    const it = await listen();
    const free = Promise.withResolvers<void>();
    it.route.answer = async () => {
      await free.promise;
      return { status: 200, headers: {}, body: 'done' };
    };
    using idle = await RawClient.open(it.address);
    using busy = await RawClient.open(it.address);
    busy.send(post());
    while (it.route.requests.length < 1) await nextTurn();
    const closed = it.listener.close();
    await idle.ended();
    free.resolve();
    expect(await busy.ended()).toMatch(/^HTTP\/1\.1 200 [\s\S]*Connection: close[\s\S]*done$/);
    await closed;
    await expect(RawClient.open(it.address)).rejects.toThrow('ECONNREFUSED');
  });

  test('aborts what still runs at its deadline', async () => {
    const it = await listen({ closeTimeoutMs: 30 });
    const aborted = Promise.withResolvers<void>();
    it.route.answer = async ({ signal }) => {
      signal.addEventListener('abort', () => aborted.resolve());
      await aborted.promise;
      return { status: 200, headers: {}, body: '' };
    };
    using client = await RawClient.open(it.address);
    client.send(post());
    while (it.route.requests.length < 1) await nextTurn();
    await it.listener.close();
    await aborted.promise;
    await client.ended();
  });
});

describe('over TLS', () => {
  test('a client certificate of the configured authority is known, another or none is not', async () => {
    await using ca = await makeAuthority();
    await using stranger = await makeAuthority();
    const [server, ours, theirs, expired] = await Promise.all([
      ca.issue({ name: 'gateway.example.com' }),
      ca.issue({ name: 'calendar.example.com', client: true }),
      stranger.issue({ name: 'calendar.example.com', client: true }),
      ca.issue({ name: 'calendar.example.com', client: true, days: -1 }),
    ]);
    await using it = await listen({ tls: { cert: server.cert, key: server.key, clientCa: ca.pem } });
    for (const identity of [ours, theirs, expired, undefined]) {
      const port = Number(it.address.split(':').at(-1));
      const socket = connectTls({
        host: '127.0.0.1',
        port,
        ca: ca.pem,
        servername: 'gateway.example.com',
        ...identity,
      });
      socket.write(post('Connection: close'));
      socket.resume();
      await once(socket, 'close');
    }
    const [known, ...unknown] = it.route.requests.map(({ client }) => client.tls);
    expect(known).toEqual({
      protocol: 'TLSv1.3',
      certificate: {
        fingerprint256: ours.fingerprint256,
        subject: 'CN=calendar.example.com',
        names: ['calendar.example.com'],
      },
    });
    expect(unknown).toEqual([
      {
        protocol: 'TLSv1.3',
        unvouched: { fingerprint256: theirs.fingerprint256, code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
      },
      { protocol: 'TLSv1.3', unvouched: { fingerprint256: expired.fingerprint256, code: 'CERT_HAS_EXPIRED' } },
      { protocol: 'TLSv1.3' },
    ]);
  });

  test('a client that speaks in clear, or nothing, is cut off and the next is served', async () => {
    await using ca = await makeAuthority();
    const { cert, key } = await ca.issue({ name: 'gateway.example.com' });
    await using it = await listen({ tls: { cert, key }, headersTimeoutMs: 100 });
    using clear = await RawClient.open(it.address);
    using silent = await RawClient.open(it.address);
    clear.send(post());
    expect([await clear.ended(), await silent.ended()]).toEqual(['', '']);
  });

  test('a handshake that does not get on does not hold up the end beyond its deadline', async () => {
    await using ca = await makeAuthority();
    const { cert, key } = await ca.issue({ name: 'gateway.example.com' });
    const it = await listen({ tls: { cert, key }, closeTimeoutMs: 50 });
    using silent = await RawClient.open(it.address);
    await it.listener.close();
    expect(await silent.ended()).toBe('');
  });
});
