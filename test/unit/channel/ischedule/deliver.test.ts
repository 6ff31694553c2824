import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { PostBatch } from '../../../../channel/channel.ts';
import { IScheduleDeliverer, type IScheduleOptions } from '../../../../channel/ischedule/deliver.ts';
import type { ServerSettings } from '../../../../channel/ischedule/settings.ts';
import { composeError, composeReply } from '../../../../channel/ischedule/wire.ts';
import { silentLog } from '../../../../src/observe/log.ts';
import { installed } from '../../../servers/installed.ts';

type Handler = (request: Received, response: ServerResponse) => void;
type Received = { readonly request: IncomingMessage; readonly body: string; recipients(): string[] };

let closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  const closing = closers;
  closers = [];
  for (const close of closing.reverse()) await close();
});

const CONTENT = 'BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n';

/** A server on loopback; every request's body is read before the handler runs. */
async function serve(
  handler: Handler,
  tls?: { key: string; cert: string },
): Promise<{ url: URL; requests: Received[] }> {
  const requests: Received[] = [];
  const listener = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { rawHeaders } = request;
    const received: Received = {
      request,
      body: Buffer.concat(chunks).toString(),
      recipients: () => rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1] === 'Recipient'),
    };
    requests.push(received);
    handler(received, response);
  };
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  const { port } = server.address() as AddressInfo;
  return { url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/ischedule`), requests };
}

/** To a server that is not asked for its capabilities. */
function deliverer(server: URL, overrides: Partial<IScheduleOptions> = {}, log = silentLog): IScheduleDeliverer {
  const options: IScheduleOptions = {
    ...{ server, timeoutMs: 10_000, connectTimeoutMs: 5000, connections: 2, maxRedirects: 3, redirectHosts: [] },
    ...{ userAgent: 'imipd/test', maxResponseBytes: 10_000 },
    ...overrides,
  };
  const { timeoutMs, connectTimeoutMs, ca } = options;
  const settings: ServerSettings = {
    ...{ fallbacks: [], capabilities: 'none', timeoutMs, connectTimeoutMs },
    ...{ headersTimeoutMs: timeoutMs, bodyTimeoutMs: timeoutMs },
    ...(ca === undefined ? {} : { ca }),
  };
  const made = new IScheduleDeliverer({ settings, ...options }, log);
  closers.push(() => made[Symbol.asyncDispose]());
  return made;
}

function batch(server: URL, overrides: Partial<PostBatch> = {}): PostBatch {
  return {
    ...{ queueId: 'Q1', server, profile: 'generic', messageId: 'Q1.0@gw.test', originator: 'olga@outside.test' },
    ...{ recipients: ['alice@example.com'], method: 'REQUEST', component: 'VEVENT', content: Buffer.from(CONTENT) },
    ...overrides,
  };
}

const noSignal = new AbortController().signal;

function accept({ recipients }: Received, response: ServerResponse): void {
  const all = recipients().map((recipient) => ({ recipient, requestStatus: '2.0;Success' }));
  response.writeHead(200, { 'Content-Type': 'application/xml' }).end(composeReply(all));
}

describe('a post', () => {
  test('carries all headers and the content, and answers per recipient in the order asked', async () => {
    const server = await serve(({ recipients }, response) => {
      const [alice = '', bob = ''] = recipients();
      const answers = [
        { recipient: bob, requestStatus: '3.7;Invalid calendar user' },
        { recipient: alice, requestStatus: '2.0;Success' },
      ];
      response.end(composeReply(answers));
    });
    const recipients = ['alice@example.com', 'bob@example.com'];
    const outcomes = await deliverer(server.url).deliver(batch(server.url, { recipients }), noSignal);
    expect(outcomes.map(({ kind, status, requestStatus }) => [kind, status, requestStatus])).toEqual([
      ['delivered', '2.0.0', '2.0'],
      ['failed', '5.1.1', '3.7'],
    ]);
    expect(outcomes[0]).toMatchObject({ relay: server.url.host, answered: true });
    const { request, body } = server.requests[0]!;
    expect([request.method, request.url, body]).toEqual(['POST', '/ischedule', CONTENT]);
    expect(request.rawHeaders).toEqual([
      ...['host', server.url.host],
      ...['connection', 'keep-alive'],
      ...['iSchedule-Version', '1.0'],
      ...['iSchedule-Message-ID', 'Q1.0@gw.test'],
      ...['Originator', 'mailto:olga@outside.test'],
      ...['Recipient', 'mailto:alice@example.com'],
      ...['Recipient', 'mailto:bob@example.com'],
      ...['Content-Type', 'text/calendar; component=VEVENT; method=REQUEST; charset=utf-8'],
      ...['Cache-Control', 'no-cache, no-transform'],
      ...['User-Agent', 'imipd/test'],
      ...['content-length', String(CONTENT.length)],
    ]);
  });

  test('reuses connections and never opens more than configured', async () => {
    const sockets = new Set<unknown>();
    const server = await serve((received, response) => {
      sockets.add(received.request.socket);
      accept(received, response);
    });
    const channel = deliverer(server.url);
    for (let i = 0; i < 5; i++) await Promise.all([1, 2, 3, 4].map(() => channel.deliver(batch(server.url), noSignal)));
    expect([server.requests.length, sockets.size]).toEqual([20, 2]);
  });

  test('for very many recipients goes in parts that every server takes, each with a message id of its own', async () => {
    const server = await serve(accept);
    const recipients = Array.from({ length: 150 }, (_, index) => `user${index}@example.com`);
    const outcomes = await deliverer(server.url).deliver(batch(server.url, { recipients }), noSignal);
    expect(outcomes.map(({ kind }) => kind)).toEqual(recipients.map(() => 'delivered'));
    expect(server.requests.map((received) => received.recipients().length)).toEqual([64, 64, 22]);
    expect(server.requests.flatMap((received) => received.recipients())).toEqual(
      recipients.map((one) => `mailto:${one}`),
    );
    expect(server.requests.map(({ request }) => request.headers['ischedule-message-id'])).toEqual([
      ...['Q1.0@gw.test', 'Q1.0@gw.test.1', 'Q1.0@gw.test.2'],
    ]);
  });

  test('for very many recipients ends with the first silence', async () => {
    const server = await serve((received, response) => {
      if (server.requests.length === 1) accept(received, response);
      else response.destroy();
    });
    const recipients = Array.from({ length: 200 }, (_, index) => `user${index}@example.com`);
    const outcomes = await deliverer(server.url).deliver(batch(server.url, { recipients }), noSignal);
    expect(outcomes.map(({ kind }) => kind)).toEqual(
      recipients.map((_, index) => (index < 64 ? 'delivered' : 'deferred')),
    );
    expect(server.requests.length).toBe(2);
  });

  test('without recipients asks nobody', async () => {
    const server = await serve(accept);
    expect(await deliverer(server.url).deliver(batch(server.url, { recipients: [] }), noSignal)).toEqual([]);
    expect(server.requests).toEqual([]);
  });

  test('for another server is our mistake and throws', async () => {
    const other = batch(new URL('http://127.0.0.2:1/ischedule'));
    await expect(deliverer(new URL('http://127.0.0.1:1/')).deliver(other, noSignal)).rejects.toThrow(TypeError);
  });

  test('that cannot be composed fails with an alarm and is logged as our fault', async () => {
    const server = await serve(accept);
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    const [outcome] = await deliverer(server.url, { userAgent: 'a\r\nb' }, log).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'failed', status: '5.3.5', alarm: true, answered: false });
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 50, queueId: 'Q1' });
    expect(server.requests).toEqual([]);
  });

  test('logs what the peer said in a refusal, and answers for strangers', async () => {
    const server = await serve(({ recipients }, response) => {
      if (server.requests.length === 1)
        response.writeHead(403).end(composeError('verification-failed', 'No signature'));
      else
        response.end(
          composeReply([...recipients(), 'mailto:x@y.test'].map((recipient) => ({ recipient, requestStatus: '2.0' }))),
        );
    });
    const lines: string[] = [];
    const channel = deliverer(server.url, {}, pino({}, { write: (line: string) => void lines.push(line) }));
    await channel.deliver(batch(server.url), noSignal);
    const [outcome] = await channel.deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'delivered' });
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, element: 'verification-failed', description: 'No signature', status: 403 },
      { level: 40, strangers: ['x@y.test'] },
    ]);
  });
});

describe('a redirect', () => {
  test.each([301, 302, 307, 308])('%s on the same host is followed with the same post', async (code) => {
    const server = await serve((received, response) => {
      if (received.request.url === '/ischedule') response.writeHead(code, { Location: '/deeper/?a=b' }).end('moved');
      else accept(received, response);
    });
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'delivered', relay: server.url.host });
    expect(server.requests.map(({ request, body }) => [request.method, request.url, body])).toEqual([
      ['POST', '/ischedule', CONTENT],
      ['POST', '/deeper/?a=b', CONTENT],
    ]);
  });

  test('is followed three times, not four', async () => {
    const server = await serve((_, response) =>
      response.writeHead(302, { Location: `/${server.requests.length}` }).end(),
    );
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({
      kind: 'deferred',
      status: '4.3.5',
      alarm: true,
      answered: true,
      reason: 'too many redirects',
    });
    expect(server.requests.map(({ request }) => request.url)).toEqual(['/ischedule', '/1', '/2', '/3']);
  });

  test('to another host is not followed, unless it is configured', async () => {
    const target = await serve(accept);
    const location = `http://user:secret@localhost:${target.url.port}/ischedule`;
    const server = await serve((_, response) => response.writeHead(307, { Location: location }).end());
    const [refused] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(refused).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true, diagnostic: 'http; 307' });
    expect(target.requests).toEqual([]);
    const redirectHosts = [`localhost:${target.url.port}`];
    const [followed] = await deliverer(server.url, { redirectHosts }).deliver(batch(server.url), noSignal);
    expect(followed).toMatchObject({ kind: 'delivered', relay: `localhost:${target.url.port}` });
    expect(target.requests[0]?.request.headers.authorization).toBeUndefined();
  });

  test('to another port of the same host is not followed', async () => {
    const target = await serve(accept);
    const server = await serve((_, response) => response.writeHead(307, { Location: target.url.href }).end());
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true });
    expect(target.requests).toEqual([]);
  });

  test.each([[undefined], ['http://[bad'], ['ftp://127.0.0.1/'], ['file:///etc/passwd']])(
    'to %s is our set-up',
    async (location) => {
      const headers = location === undefined ? {} : { Location: location };
      const server = await serve((_, response) => response.writeHead(302, headers).end());
      const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
      expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true });
    },
  );
});

describe('trouble', () => {
  test('Retry-After of a 503 is handed on', async () => {
    const server = await serve((_, response) => response.writeHead(503, { 'Retry-After': '90' }).end('busy'));
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.2', retryAfterMs: 90_000, answered: true });
  });

  test('an HTML page with 200 is no answer to our question', async () => {
    const server = await serve((_, response) => response.end('<!DOCTYPE html><html><body>Log in</body></html>'));
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.2', diagnostic: 'http; 200', answered: true });
  });

  test('an answer larger than allowed is not read to its end', async () => {
    const server = await serve((_, response) => {
      const write = (): void => {
        while (!response.destroyed && response.write(' '.repeat(10_000)));
        response.once('drain', write);
      };
      write();
    });
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({
      kind: 'deferred',
      status: '4.3.2',
      answered: true,
      reason: expect.stringContaining('too large'),
    });
  });

  test('a refusal with a body larger than allowed still counts by its status', async () => {
    const server = await serve((_, response) => response.writeHead(404).end('x'.repeat(100_000)));
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true, diagnostic: 'http; 404' });
  });

  test('a connection that closes in place of an answer is lost: deferred, not answered', async () => {
    const server = await serve((_, response) => response.destroy());
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false, relay: server.url.host });
  });

  test('a connection that closes in the middle of an answer counts as no answer', async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': '5000' });
      response.write('<schedule-response>', () => response.destroy());
    });
    const [outcome] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false });
  });

  test('a server that is no HTTP server is deferred', async () => {
    const server = createTcpServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('220 mail.example.com ESMTP\r\n'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => server.close(() => resolve())));
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const [outcome] = await deliverer(url).deliver(batch(url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false });
  });

  test('nobody listening is 4.4.1, and the post gets through once somebody does', async () => {
    const first = await serve(accept);
    await closers.pop()?.();
    const channel = deliverer(first.url);
    const [refused] = await channel.deliver(batch(first.url), noSignal);
    expect(refused).toMatchObject({ kind: 'deferred', status: '4.4.1', answered: false });
    const again = createServer((request, response) => {
      request
        .resume()
        .once('end', () => response.end(composeReply([{ recipient: 'alice@example.com', requestStatus: '2.0' }])));
    });
    await new Promise<void>((resolve) => again.listen(Number(first.url.port), '127.0.0.1', resolve));
    closers.push(async () => {
      again.closeAllConnections();
      await new Promise((resolve) => again.close(resolve));
    });
    const [delivered] = await channel.deliver(batch(first.url), noSignal);
    expect(delivered).toMatchObject({ kind: 'delivered' });
  });

  test('a server that does not answer is given up at the deadline, one that trickles too', async () => {
    const silent = await serve(() => {});
    const [first] = await deliverer(silent.url, { timeoutMs: 50 }).deliver(batch(silent.url), noSignal);
    expect(first).toMatchObject({
      kind: 'deferred',
      status: '4.4.2',
      answered: false,
      reason: expect.stringContaining('in time'),
    });
    const trickling = await serve((_, response) => {
      const timer = setInterval(() => response.write(' '), 5);
      response.once('close', () => clearInterval(timer));
    });
    const [second] = await deliverer(trickling.url, { timeoutMs: 100 }).deliver(batch(trickling.url), noSignal);
    expect(second).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false });
  });

  test('the deadline counts the wait for a free connection', async () => {
    const server = await serve(() => {});
    const channel = deliverer(server.url, { timeoutMs: 50, connections: 1 });
    const outcomes = await Promise.all([1, 2, 3].map(() => channel.deliver(batch(server.url), noSignal)));
    expect(outcomes.map(([one]) => one?.status)).toEqual(['4.4.2', '4.4.2', '4.4.2']);
  });

  test('the deadline counts redirects as well', async () => {
    const server = await serve((_, response) => {
      setTimeout(() => response.writeHead(302, { Location: '/again' }).end(), 40);
    });
    const [outcome] = await deliverer(server.url, { timeoutMs: 100, maxRedirects: 1000 }).deliver(
      batch(server.url),
      noSignal,
    );
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false });
  });

  test('the caller’s signal ends an attempt under way, and one not begun', async () => {
    const controller = new AbortController();
    const server = await serve(() => controller.abort());
    const channel = deliverer(server.url);
    const [during] = await channel.deliver(batch(server.url), controller.signal);
    const [after] = await channel.deliver(batch(server.url), controller.signal);
    for (const outcome of [during, after]) {
      expect(outcome).toMatchObject({
        kind: 'deferred',
        status: '4.4.2',
        answered: false,
        reason: expect.stringContaining('stopped'),
      });
    }
    expect(server.requests.length).toBe(1);
  });

  test('disposing cuts posts that are under way', async () => {
    const server = await serve(() => void channel[Symbol.asyncDispose]());
    const channel = deliverer(server.url);
    const [outcome] = await channel.deliver(batch(server.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false });
  });
});

describe.skipIf(!installed('openssl'))('TLS', () => {
  function certificate(): { key: string; cert: string } {
    const folder = mkdtempSync(join(tmpdir(), 'imipd-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const options = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
    execFileSync('openssl', [...options, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const made = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
    rmSync(folder, { recursive: true });
    return made;
  }

  test('a certificate we do not trust is our set-up; with its authority configured the post goes through', async () => {
    const tls = certificate();
    const server = await serve(accept, tls);
    const [refused] = await deliverer(server.url).deliver(batch(server.url), noSignal);
    expect(refused).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true, answered: false });
    const [delivered] = await deliverer(server.url, { ca: tls.cert }).deliver(batch(server.url), noSignal);
    expect(delivered).toMatchObject({ kind: 'delivered' });
  });

  test('a redirect from http to https of the same name is followed, one back to http is not', async () => {
    const tls = certificate();
    const secure = await serve((received, response) => {
      if (received.request.url === '/back') response.writeHead(301, { Location: `${plain.url.origin}/` }).end();
      else accept(received, response);
    }, tls);
    const plain = await serve(({ request }, response) => {
      response.writeHead(301, { Location: new URL(request.url ?? '', secure.url).href }).end();
    });
    const channel = deliverer(plain.url, { ca: tls.cert });
    const [followed] = await channel.deliver(batch(plain.url), noSignal);
    expect(followed).toMatchObject({ kind: 'delivered', relay: secure.url.host });
    const [refused] = await channel.deliver(batch(new URL('/back', plain.url)), noSignal);
    expect(refused).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true });
  });

  test('https to a server that speaks http is our set-up', async () => {
    const plain = await serve(accept);
    const url = new URL(plain.url.href.replace('http:', 'https:'));
    const [outcome] = await deliverer(url).deliver(batch(url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true, answered: false });
  });
});

test('the wait for the only connection is counted as connecting, the wait for the answer is not', async () => {
  const answers: (() => void)[] = [];
  const server = await serve(({ recipients }, response) => {
    const body = composeReply(recipients().map((recipient) => ({ recipient, requestStatus: '2.0;Success' })));
    answers.push(() => response.setHeader('Content-Type', 'application/xml').end(body));
    // Each answer comes only after the other post was made, so that the second has waited for the first.
    setTimeout(() => answers.shift()?.(), 100);
  });
  const one = deliverer(server.url, { connections: 1 });
  const content = Buffer.from(CONTENT);
  const never = new AbortController().signal;
  const [[first], [second]] = await Promise.all([
    one.deliver(batch(server.url, { content }), never),
    one.deliver(batch(server.url, { content, messageId: 'Q2.0@gw.test' }), never),
  ]);
  expect(server.requests).toHaveLength(2);
  expect(second!.connectMs!).toBeGreaterThan(first!.connectMs!);
});
