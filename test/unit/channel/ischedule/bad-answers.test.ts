import { type AddressInfo, createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { composeReply } from '../../../../channel/ischedule/wire.ts';
import { accept, batchFor, delivererFor, noSignal, startPeer } from './peer.ts';

type RawPeer = { readonly url: URL; readonly connections: () => number; [Symbol.asyncDispose](): Promise<void> };

/** Takes one request per connection and answers with these very bytes. */
async function startRaw(answer: (socket: Socket) => void): Promise<RawPeer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    let seen = '';
    const onData = (chunk: Buffer): void => {
      seen += chunk.toString('latin1');
      if (!seen.endsWith('END:VCALENDAR\r\n')) return;
      socket.off('data', onData).resume();
      answer(socket);
    };
    socket.on('data', onData);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/ischedule`),
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function outcomeOf(url: URL, settings: Parameters<typeof delivererFor>[1] = {}) {
  await using channel = delivererFor(url, settings);
  const [outcome] = await channel.deliver(batchFor(url), noSignal);
  return outcome;
}

const TAKEN = composeReply([{ recipient: 'mailto:alice@example.com', requestStatus: '2.0;Success' }]);

function http(headers: readonly string[], body: string): string {
  return ['HTTP/1.1 200 OK', ...headers, '', body].join('\r\n');
}

const NO_ANSWER = { kind: 'deferred', status: '4.3.2', diagnostic: 'http; 200', answered: true };

describe('an answer that is none defers the post', () => {
  const entities = Array.from({ length: 30 }, (_, at) => `<!ENTITY e${at + 1} "&e${at};&e${at};">`).join('');
  test.each([
    [
      'an XML bomb',
      `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "ha">${entities}]><schedule-response>&e30;</schedule-response>`,
      'the answer has a DOCTYPE',
    ],
    ['an external entity', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><schedule-response/>', 'the answer has a DOCTYPE'],
    ['ten thousand levels', `${'<a>'.repeat(10_000)}${'</a>'.repeat(10_000)}`, 'the answer is not well-formed XML'],
    [
      'HTML in place of XML',
      '<html><head><title>Log in</title></head><body><br></body></html>',
      'the answer is not well-formed XML',
    ],
    ['well-formed HTML', '<html><body/></html>', 'the answer is not a schedule-response'],
    ['a calendar in place of XML', 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n', 'the answer is not XML'],
    ['nothing at all', '', 'the answer is empty'],
  ])('%s', async (_, body, reason) => {
    await using peer = await startPeer((_received, response) => response.end(body));
    expect(await outcomeOf(peer.url)).toMatchObject({ ...NO_ANSWER, reason: `no schedule-response: ${reason}` });
  });

  test('one of 50 MB, of which no more is read than allowed', async () => {
    const piece = Buffer.alloc(64 * 1024, ' ');
    let written = 0;
    await using peer = await startPeer((_, response) => {
      const write = (): void => {
        while (written < 50_000_000 && !response.destroyed) {
          written += piece.length;
          if (!response.write(piece)) return void response.once('drain', write);
        }
        response.end();
      };
      write();
    });
    expect(await outcomeOf(peer.url)).toMatchObject({
      ...NO_ANSWER,
      reason: 'no schedule-response: the answer is too large',
    });
    expect(written).toBeLessThan(20_000_000);
  });

  test('one that announces 50 MB', async () => {
    await using peer = await startRaw((socket) => socket.write(http(['Content-Length: 50000000'], '<a>')));
    expect(await outcomeOf(peer.url)).toMatchObject({
      ...NO_ANSWER,
      reason: 'no schedule-response: the answer is too large',
    });
  });

  test.each(['gzip', 'deflate', 'br', 'x-unheard-of'])(
    'one encoded as %s, which is never unfolded',
    async (encoding) => {
      const bomb = gzipSync(Buffer.alloc(50_000_000));
      await using peer = await startPeer((_, response) =>
        response.writeHead(200, { 'Content-Encoding': encoding }).end(bomb),
      );
      expect(await outcomeOf(peer.url)).toMatchObject({
        ...NO_ANSWER,
        reason: 'no schedule-response: the answer is compressed',
      });
    },
  );

  test('one with a Content-Length that is too short', async () => {
    await using peer = await startRaw((socket) => socket.end(http([`Content-Length: ${TAKEN.length - 30}`], TAKEN)));
    expect(await outcomeOf(peer.url)).toMatchObject({ kind: 'deferred' });
  });

  test.each([
    ['with a Content-Length that is too long', http([`Content-Length: ${TAKEN.length + 30}`], TAKEN)],
    ['cut off within a chunk', http(['Transfer-Encoding: chunked'], `ffff\r\n${TAKEN}`)],
    [
      'cut off before the last chunk',
      http(['Transfer-Encoding: chunked'], `${TAKEN.length.toString(16)}\r\n${TAKEN}\r\n`),
    ],
    ['with two lengths', http(['Content-Length: 5', `Content-Length: ${TAKEN.length}`], TAKEN)],
    ['with a length that is no number', http(['Content-Length: many'], TAKEN)],
    ['with a header that never ends', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(200_000)}`],
    ['in no HTTP at all', '220 mail.example.com ESMTP\r\n'],
  ])('one %s: it may have been cut anywhere', async (_, bytes) => {
    await using peer = await startRaw((socket) => socket.end(bytes));
    expect(await outcomeOf(peer.url)).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false });
  });
});

describe('an answer counts for those it was asked for', () => {
  test('and for nobody else; who is missing is deferred; the first of a hundred answers is his', async () => {
    const [alice, bob, carol] = ['mailto:alice@example.com', 'mailto:bob@example.com', 'mailto:carol@example.com'];
    const strangers = Array.from({ length: 500 }, (_, at) => ({
      recipient: `mailto:x${at}@other.test`,
      requestStatus: '3.7',
    }));
    const hundred = Array.from({ length: 100 }, (_, at) => ({
      recipient: bob,
      requestStatus: at === 0 ? '2.0;Success' : '3.8;No',
    }));
    await using peer = await startPeer((_, response) =>
      response.end(composeReply([...strangers, ...hundred, { recipient: alice, requestStatus: '3.7;No' }])),
    );
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    await using channel = delivererFor(peer.url, {}, {}, log);
    const recipients = [alice, bob, carol].map((address) => address.slice('mailto:'.length));
    const outcomes = await channel.deliver(batchFor(peer.url, { recipients }), noSignal);
    expect(outcomes).toMatchObject([
      { kind: 'failed', status: '5.1.1', requestStatus: '3.7' },
      { kind: 'delivered', status: '2.0.0' },
      { kind: 'deferred', status: '4.3.2', reason: 'the calendar server did not answer for the recipient' },
    ]);
    expect(lines.map((line) => JSON.parse(line).strangers.length)).toEqual([10]);
  });
});

describe('what a peer does afterwards', () => {
  test('an answer after we gave up is nobody’s: the next post gets its own', async () => {
    const late: (() => void)[] = [];
    await using peer = await startPeer((received, response) => {
      if (late.length === 0) late.push(() => response.end(TAKEN));
      else accept(received, response);
    });
    await using channel = delivererFor(peer.url, {}, { connections: 1 });
    const controller = new AbortController();
    const first = channel.deliver(batchFor(peer.url), controller.signal);
    while (late.length === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    expect(await first).toMatchObject([{ kind: 'deferred', status: '4.4.2', answered: false }]);
    late[0]?.();
    const [second] = await channel.deliver(batchFor(peer.url, { recipients: ['bob@example.com'] }), noSignal);
    expect(second).toMatchObject({ kind: 'delivered' });
  });

  test('bytes after the answer, or a second one, count for no other post', async () => {
    const refusal = composeReply([{ recipient: 'mailto:alice@example.com', requestStatus: '3.7;No' }]);
    const one = (body: string): string => http([`Content-Length: ${body.length}`], body);
    await using peer = await startRaw((socket) => socket.write(one(TAKEN) + one(refusal)));
    await using channel = delivererFor(peer.url, {}, { connections: 1 });
    const first = await channel.deliver(batchFor(peer.url), noSignal);
    const second = await channel.deliver(batchFor(peer.url), noSignal);
    expect([...first, ...second].map(({ kind }) => kind)).not.toContain('failed');
  });

  test('a redirect loop ends, and is our set-up', async () => {
    await using peer = await startPeer((_, response) => response.writeHead(308, { Location: '/ischedule' }).end());
    expect(await outcomeOf(peer.url)).toMatchObject({
      ...{ kind: 'deferred', status: '4.3.5', alarm: true, answered: true, reason: 'too many redirects' },
    });
    expect(peer.posts().length).toBe(4);
  });

  test.each(['verification-failed', 'originator-denied'])(
    'a 403 with %s is our set-up, with an alarm',
    async (element) => {
      const body = `<error xmlns="urn:ietf:params:xml:ns:ischedule"><${element}/></error>`;
      await using peer = await startPeer((_, response) => response.writeHead(403).end(body));
      expect(await outcomeOf(peer.url)).toMatchObject({
        ...{ kind: 'deferred', status: '4.3.5', alarm: true, diagnostic: `http; 403 ${element}` },
      });
    },
  );
});

test('a hundred huge answers are not all in memory at once', async () => {
  const body = Buffer.alloc(900_000, ' ');
  await using peer = await startPeer((_, response) => response.end(body));
  await using channel = delivererFor(peer.url);
  const post = async (): Promise<void> => void (await channel.deliver(batchFor(peer.url), noSignal));
  for (let at = 0; at < 5; at++) await post();
  const before = process.memoryUsage().arrayBuffers;
  for (let at = 0; at < 100; at++) await post();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(90_000_000);
});
