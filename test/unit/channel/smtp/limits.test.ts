import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { ContentLostError, ContentRefusedError } from '../../../../channel/smtp/content.ts';
import { reply } from '../../../../src/mail/status.ts';
import { greeted, type Service, serve, WireClient } from './wire-client.ts';

const OPEN = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n';

/** Resolves with what `content` threw at the acceptor. */
function contentError(service: Service): Promise<unknown> {
  const { acceptor } = service;
  const take = acceptor.message.bind(acceptor);
  return new Promise((resolve) => {
    acceptor.message = async (incoming) => {
      try {
        return await take(incoming);
      } catch (error) {
        resolve(error);
        throw error;
      }
    };
  });
}

test('a body over the limit is refused once its last octet is in, and the session goes on', async () => {
  await using service = await serve({ maxSizeBytes: 10_000 });
  const error = contentError(service);
  await using client = await greeted(service);
  client.write(`${OPEN}${'x'.repeat(98)}\r\n`.padEnd(10_001));
  client.write(`${'y'.repeat(50_000)}\r\n.\r\n${OPEN}${'x'.repeat(9_998)}\r\n.\r\n`);
  expect((await client.replies(4)).at(-1)).toBe('552 5.3.4 message is larger than 10000 octets, the most we take');
  expect((await client.replies(4)).at(-1)).toBe('250 2.6.0 queued');
  expect(await error).toBeInstanceOf(ContentRefusedError);
  expect(service.acceptor.messages.map((message) => message.content.length)).toEqual([10_000]);
});

test('a body far over the limit is cut off with 552', async () => {
  await using service = await serve({ maxSizeBytes: 10_000 });
  await using client = await greeted(service);
  client.write(OPEN);
  await client.replies(3);
  client.write(`${'x'.repeat(998)}\r\n`.repeat(1200));
  expect(await client.reply()).toBe('552 5.3.4 message is larger than 10000 octets, the most we take');
  expect(await client.reply()).toBe('');
  expect(service.acceptor.messages).toEqual([]);
});

test('a RCPT too many is 452, and the others get the mail', async () => {
  await using service = await serve({ maxRecipients: 2 });
  await using client = await greeted(service);
  client.write(`MAIL FROM:<a@example.org>\r\n${'RCPT TO:<b@example.com>\r\n'.repeat(3)}DATA\r\nx\r\n.\r\n`);
  expect((await client.replies(6)).slice(3)).toEqual([
    '452 4.5.3 too many recipients in one transaction',
    '354 end data with <CR><LF>.<CR><LF>',
    '250 2.6.0 queued',
  ]);
  expect(service.acceptor.messages[0]?.envelope.recipients).toHaveLength(2);
});

test('bare newlines become CRLF, are counted in the log once, and cannot end a message', async () => {
  const lines: unknown[] = [];
  const log = { debug: () => {}, info: (facts: unknown) => lines.push(facts), warn: () => {}, error: () => {} };
  await using service = await serve({}, log);
  await using client = await greeted(service);
  client.write(`${OPEN}a\nb\rc\r\n\n.\nMAIL FROM:<evil@example.org>\n..d\0\r\n.\r\n`);
  expect((await client.replies(4)).at(-1)).toBe('250 2.6.0 queued');
  expect(service.acceptor.messages.map((message) => message.content)).toEqual([
    'a\r\nb\r\nc\r\n\r\n.\r\nMAIL FROM:<evil@example.org>\r\n..d\0\r\n',
  ]);
  expect(lines).toEqual([{ listener: 'test', client: '127.0.0.1', from: 'a@example.org', bareNewlines: 5 }]);
});

test('with bare-newline reject such a message is 554 5.6.0, for each recipient in LMTP', async () => {
  await using service = await serve({ bareNewline: 'reject', protocol: 'lmtp' });
  await using client = await greeted(service, 'LHLO mx.example.org');
  const refusal = '554 5.6.0 the message has a bare CR or LF; lines must end in CRLF (RFC 5321 section 2.3.8)';
  for (const body of ['a\nb\r\n', 'a\rb\r\n', 'a\r\n.\nb\r\n']) {
    client.write(`MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n${body}.\r\n`);
    expect((await client.replies(6)).slice(4)).toEqual([refusal, refusal]);
  }
  client.write('MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\na\r\n.\r\n');
  expect((await client.replies(4)).at(-1)).toBe('250 2.1.5 queued for b@example.com');
});

test('a client of another network is refused at connect', async () => {
  await using service = await serve({ clients: ['192.0.2.0/24', '::1'] });
  await using client = await WireClient.open(service.address);
  expect(await client.reply()).toBe('554 5.7.1 127.0.0.1 may not connect here');
  expect(await client.reply()).toBe('');
});

test('connections are limited in all and per client, and a place is free again when one has closed', async () => {
  for (const [limits, expected] of [
    [{ maxConnections: 1 }, '421 4.3.2 too many connections, try again later'],
    [{ maxConnectionsPerClient: 1 }, '421 4.7.0 too many connections from your address, try again later'],
  ] as const) {
    await using service = await serve(limits);
    await using first = await WireClient.open(service.address);
    expect(await first.reply()).toBe('220 gw.example.com ESMTP imipd');
    await using second = await WireClient.open(service.address);
    expect(await second.replies(2)).toEqual([expected, '']);
    expect(await first.ask('QUIT')).toBe('221 2.0.0 Bye');
    expect(await first.reply()).toBe('');
    await using third = await WireClient.open(service.address);
    expect(await third.reply()).toBe('220 gw.example.com ESMTP imipd');
  }
});

test('a silent client, a slow message and a long session end with 421 4.4.2', async () => {
  await using idle = await serve({ idleTimeoutMs: 30 });
  await using silent = await WireClient.open(idle.address);
  expect(await silent.replies(2)).toEqual(['220 gw.example.com ESMTP imipd', '421 4.4.2 Timeout - closing connection']);

  await using data = await serve({ dataTimeoutMs: 30 });
  const error = contentError(data);
  await using slow = await greeted(data);
  slow.write(`${OPEN}Subject: never`);
  expect((await slow.replies(5)).slice(3)).toEqual(['421 4.4.2 message took too long', '']);
  expect(await error).toBeInstanceOf(ContentLostError);

  await using session = await serve({ sessionTimeoutMs: 60 });
  await using busy = await WireClient.open(session.address);
  let last = await busy.reply();
  while (!last.startsWith('421')) last = await busy.ask('NOOP');
  expect(last).toBe('421 4.4.2 session took too long');
});

test('a session whose time ends while its message is judged still gets the reply', async () => {
  await using service = await serve({ sessionTimeoutMs: 500 });
  service.acceptor.onMessage = async () => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    return [reply('2.6.0', 'queued after all')];
  };
  await using client = await greeted(service);
  client.write(`${OPEN}x\r\n.\r\n`);
  expect((await client.replies(6)).slice(3)).toEqual([
    '250 2.6.0 queued after all',
    '421 4.4.2 session took too long',
    '',
  ]);
});

test('a client gone within the message leaves an error at the acceptor and no message', async () => {
  await using service = await serve();
  const error = contentError(service);
  const client = await greeted(service);
  client.write(`${OPEN}Subject: half\r\n`);
  await client.replies(3);
  client.destroy();
  expect(await error).toBeInstanceOf(ContentLostError);
  expect(service.acceptor.messages).toEqual([]);
});

test.each([10, 3_000_000])('a client gone after the final dot of %i octets aborts the signal', async (size) => {
  await using service = await serve({ maxSizeBytes: 10_000_000 });
  const { promise: judged, resolve: judge } = Promise.withResolvers<void>();
  const aborted = new Promise((resolve) => {
    service.acceptor.onMessage = ({ signal }) =>
      new Promise((answer) => {
        judge();
        signal.addEventListener('abort', () => {
          resolve('aborted');
          answer([reply('5.7.1', 'nobody hears this')]);
        });
      });
  });
  const client = await greeted(service);
  client.write(`${OPEN}${'x'.repeat(size)}\r\n.\r\n`);
  await judged;
  client.destroy();
  expect(await aborted).toBe('aborted');
});

test('a client gone during RCPT aborts the signal of the look-up', async () => {
  await using service = await serve();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const aborted = new Promise((resolve) => {
    service.acceptor.onRecipient = (recipient, signal) =>
      new Promise((answer) => {
        ask();
        signal.addEventListener('abort', () => {
          resolve('aborted');
          answer({ kind: 'accepted', recipient });
        });
      });
  });
  const client = await greeted(service);
  client.write('MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n');
  await asked;
  client.destroy();
  expect(await aborted).toBe('aborted');
});

test('close sends idle clients away at once and lets an open transaction end', async () => {
  const service = await serve({ closeTimeoutMs: 10_000 });
  await using idle = await greeted(service);
  await using busy = await greeted(service);
  expect(await busy.ask('MAIL FROM:<a@example.org>')).toMatch(/^250/);
  const closed = service.receiver.close();
  expect(await idle.replies(2)).toEqual(['421 4.3.2 shutting down', '']);
  await expect(WireClient.open(service.address)).rejects.toThrow('ECONNREFUSED');
  busy.write('RCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n');
  expect(await busy.replies(5)).toEqual([
    '250 2.1.5 recipient accepted',
    '354 end data with <CR><LF>.<CR><LF>',
    '250 2.6.0 queued',
    '421 4.3.2 shutting down',
    '',
  ]);
  await closed;
});

test('close ends a transaction that takes longer than it may', async () => {
  const service = await serve({ closeTimeoutMs: 30 });
  const error = contentError(service);
  await using client = await greeted(service);
  client.write(`${OPEN}Subject: never`);
  await client.replies(3);
  await service.receiver.close();
  expect(await client.replies(2)).toEqual(['421 4.3.2 shutting down', '']);
  expect(await error).toBeInstanceOf(ContentLostError);
});

test('listening on an address in use is an error that names it', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await expect(serve({ port })).rejects.toThrow(`EADDRINUSE: address already in use 127.0.0.1:${port}`);
  other.close();
});
