import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { batch, deliverer, never } from './deliver-samples.ts';
import { ALL_EXTENSIONS, accepting, Peer } from './peer.ts';

describe('a message', () => {
  test('arrives byte for byte below the header lines put before it, with its leading dots', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port);
    const content = 'Subject: dots\r\n\r\n.\r\n..two\r\n \t\r\n.end\r\n';
    const outcomes = await hop.deliver(
      batch({ content, prepend: Buffer.from('X-First: 1\r\nX-Second: 2\r\n') }),
      never,
    );
    expect(outcomes).toEqual([
      {
        kind: 'delivered',
        connectMs: expect.any(Number),
        status: '2.0.0',
        reason: 'the next hop took the message',
        relay: `127.0.0.1:${peer.port}`,
        answered: true,
        diagnostic: 'smtp; 250 2.0.0 queued as 42',
      },
    ]);
    expect(peer.contents.map(({ octets }) => octets.replace(/^\.\./gm, '.'))).toEqual([
      `X-First: 1\r\nX-Second: 2\r\n${content}`,
    ]);
  });

  test('without a last line end gets one, since SMTP cannot say otherwise', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port);
    await hop.deliver(batch({ content: 'Subject: x\r\n\r\nno end' }), never);
    expect(peer.contents).toEqual([{ session: 1, octets: 'Subject: x\r\n\r\nno end\r\n' }]);
  });

  test('from a stream arrives whole, 8-bit octets and all', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port);
    const content = Buffer.from(`Subject: x\r\n\r\n${'grüße\r\n'.repeat(50_000)}`, 'utf8');
    const outcomes = await hop.deliver(
      batch({
        content,
        prepend: Buffer.from('X-Ours: 1\r\n'),
        body: () => Readable.from([content.subarray(0, 77_777), content.subarray(77_777)], { objectMode: false }),
      }),
      never,
    );
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['delivered']);
    expect(peer.contents[0]?.octets).toBe(`X-Ours: 1\r\n${content.toString('latin1')}`);
    expect(peer.transaction[0]).toBe(`MAIL FROM:<ann@example.org> SIZE=${content.length + 11} BODY=8BITMIME`);
  });

  test('that cannot be read from the queue is deferred with an alarm, and the peer gets no end of it', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port);
    const broken = new Readable({
      read() {
        this.destroy(new Error('disk'));
      },
    });
    const outcomes = await hop.deliver(batch({ body: () => broken }), never);
    expect(outcomes).toEqual([
      {
        kind: 'deferred',
        connectMs: expect.any(Number),
        status: '4.3.0',
        alarm: true,
        answered: false,
        relay: `127.0.0.1:${peer.port}`,
        reason: 'the message could not be read from the queue',
      },
    ]);
    expect(peer.contents).toEqual([]);
  });

  test('from the null reverse-path leaves from it', async () => {
    await using peer = await Peer.listen(accepting(['PIPELINING']));
    await using hop = deliverer(peer.port);
    await hop.deliver(batch({ envelope: { reversePath: '' } }), never);
    expect(peer.transaction).toEqual(['MAIL FROM:<>', 'RCPT TO:<bob@example.com>', 'DATA']);
  });
});

describe('DSN parameters', () => {
  const asked = batch({
    envelope: { envid: 'QQ+314=9', ret: 'HDRS' },
    to: [
      {
        address: 'bob@example.com',
        received: 'bob@example.com',
        notify: ['SUCCESS', 'FAILURE'],
        orcpt: 'rfc822;Bob+x=y@example.com',
      },
      { address: 'bob@example.com', received: 'bob@example.com', notify: ['NEVER'], orcpt: 'rfc822;team@example.com' },
      { address: 'eve@example.com', received: 'eve@example.com' },
    ],
  });

  for (const extensions of [ALL_EXTENSIONS, ALL_EXTENSIONS.filter((name) => name !== 'PIPELINING')]) {
    test(`go out per recipient, equal addresses apart, ${extensions.includes('PIPELINING') ? 'pipelined' : 'one by one'}`, async () => {
      await using peer = await Peer.listen(accepting(extensions));
      await using hop = deliverer(peer.port);
      const outcomes = await hop.deliver(asked, never);
      expect(peer.transaction).toEqual([
        'MAIL FROM:<ann@example.org> SIZE=25 RET=HDRS ENVID=QQ+2B314+3D9',
        'RCPT TO:<bob@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Bx+3Dy@example.com',
        'RCPT TO:<bob@example.com> NOTIFY=NEVER ORCPT=rfc822;team@example.com',
        'RCPT TO:<eve@example.com>',
        'DATA',
      ]);
      expect(outcomes.map((outcome) => outcome.kind === 'delivered' && outcome.relayedWithoutDsn)).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    });
  }

  test('stay here when the next hop knows none, and who asked for success is marked as relayed without', async () => {
    await using peer = await Peer.listen(accepting(['PIPELINING']));
    await using hop = deliverer(peer.port);
    const outcomes = await hop.deliver(asked, never);
    expect(peer.transaction).toEqual([
      'MAIL FROM:<ann@example.org>',
      'RCPT TO:<bob@example.com>',
      'RCPT TO:<bob@example.com>',
      'RCPT TO:<eve@example.com>',
      'DATA',
    ]);
    expect(outcomes.map((outcome) => outcome.kind === 'delivered' && outcome.relayedWithoutDsn)).toEqual([
      true,
      undefined,
      undefined,
    ]);
  });
});

describe('what the next hop does not offer', () => {
  test('SMTPUTF8: a domain goes as A-label, a non-ASCII local part fails alone', async () => {
    await using peer = await Peer.listen(accepting(['PIPELINING', '8BITMIME']));
    await using hop = deliverer(peer.port);
    const outcomes = await hop.deliver(
      batch({ envelope: { smtpUtf8: true }, to: ['a@bücher.example', 'jürgen@example.com'] }),
      never,
    );
    expect(peer.transaction).toEqual(['MAIL FROM:<ann@example.org>', 'RCPT TO:<a@xn--bcher-kva.example>', 'DATA']);
    expect(outcomes.map(({ kind, status }) => [kind, status])).toEqual([
      ['delivered', '2.0.0'],
      ['failed', '5.6.7'],
    ]);
  });

  test('SMTPUTF8: a header in UTF-8 fails all, a plain one marked SMTPUTF8 goes on', async () => {
    await using peer = await Peer.listen(accepting(['8BITMIME']));
    await using hop = deliverer(peer.port);
    const utf8 = await hop.deliver(
      batch({
        envelope: { smtpUtf8: true },
        content: 'Subject: Grüße\r\n\r\nx\r\n',
        to: ['a@example.com', 'b@example.com'],
      }),
      never,
    );
    const body = Buffer.from('Subject: x\r\n\r\nGrüße\r\n');
    const plain = await hop.deliver(
      batch({ envelope: { smtpUtf8: true }, content: body, body: () => Readable.from([body], { objectMode: false }) }),
      never,
    );
    expect(utf8.map(({ kind, status }) => [kind, status])).toEqual([
      ['failed', '5.6.7'],
      ['failed', '5.6.7'],
    ]);
    expect(plain.map(({ kind }) => kind)).toEqual(['delivered']);
    expect(peer.contents.length).toBe(1);
  });

  test('SMTPUTF8 that is offered is asked for when the client did, with ASCII addresses too', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port);
    await hop.deliver(batch({ envelope: { smtpUtf8: true, body: '8BITMIME' }, to: ['jürgen@example.com'] }), never);
    await hop.deliver(batch({ envelope: { smtpUtf8: true, body: '8BITMIME' } }), never);
    expect(peer.transaction.filter((line) => line.startsWith('MAIL'))).toEqual(
      Array(2).fill('MAIL FROM:<ann@example.org> SIZE=25 BODY=8BITMIME SMTPUTF8'),
    );
    expect(peer.transaction[1]).toBe(`RCPT TO:<${Buffer.from('jürgen@example.com').toString('latin1')}>`);
  });

  test('8BITMIME: 8-bit content fails 5.6.3, 7-bit content declared 8BITMIME goes on', async () => {
    await using peer = await Peer.listen(accepting(['PIPELINING']));
    await using hop = deliverer(peer.port);
    const eightBit = await hop.deliver(batch({ content: 'Subject: x\r\n\r\nGrüße\r\n' }), never);
    const sevenBit = await hop.deliver(batch({ envelope: { body: '8BITMIME' } }), never);
    expect(eightBit.map(({ kind, status }) => [kind, status])).toEqual([['failed', '5.6.3']]);
    expect(sevenBit.map(({ kind }) => kind)).toEqual(['delivered']);
    expect(peer.transaction).toEqual(['MAIL FROM:<ann@example.org>', 'RCPT TO:<bob@example.com>', 'DATA']);
  });

  test('room: a message over the announced SIZE fails 5.3.4 without a word', async () => {
    await using peer = await Peer.listen(accepting(['SIZE 20']));
    await using hop = deliverer(peer.port);
    const outcomes = await hop.deliver(batch(), never);
    expect(outcomes).toEqual([
      {
        kind: 'failed',
        connectMs: expect.any(Number),
        status: '5.3.4',
        relay: `127.0.0.1:${peer.port}`,
        reason: 'the message has 25 octets, the next hop takes 20',
      },
    ]);
    expect(peer.transaction).toEqual([]);
  });

  test('an address that would end the command fails 5.1.3 alone', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port);
    const outcomes = await hop.deliver(batch({ to: ['"x>\r\nRSET"@example.com', 'bob@example.com'] }), never);
    expect(outcomes.map(({ kind, status }) => [kind, status])).toEqual([
      ['failed', '5.1.3'],
      ['delivered', '2.0.0'],
    ]);
    expect(peer.transaction.filter((line) => line.startsWith('R'))).toEqual(['RCPT TO:<bob@example.com>']);
  });
});

describe('replies', () => {
  for (const extensions of [['PIPELINING'], []]) {
    test(`to each recipient stay his own, equal addresses too (${extensions.length === 0 ? 'one by one' : 'pipelined'})`, async () => {
      let rcpt = 0;
      const answers = ['250 2.1.5 ok', '450 4.2.1 later', '250 2.1.5 ok', '550-5.1.1 no such\n550 5.1.1 user'];
      await using peer = await Peer.listen(
        accepting(extensions, (line) => (line.startsWith('RCPT') ? answers[rcpt++] : undefined)),
      );
      await using hop = deliverer(peer.port);
      const outcomes = await hop.deliver(
        batch({ to: ['bob@example.com', 'bob@example.com', 'eve@example.com', 'bob@example.com'] }),
        never,
      );
      expect(outcomes.map(({ kind, status, diagnostic }) => [kind, status, diagnostic])).toEqual([
        ['delivered', '2.0.0', 'smtp; 250 2.0.0 queued as 42'],
        ['deferred', '4.2.1', 'smtp; 450 4.2.1 later'],
        ['delivered', '2.0.0', 'smtp; 250 2.0.0 queued as 42'],
        ['failed', '5.1.1', 'smtp; 550 5.1.1 no such user'],
      ]);
    });
  }

  test('of an LMTP peer after the content belong to the accepted recipients in order, equal addresses too', async () => {
    let rcpt = 0;
    await using peer = await Peer.listen(
      accepting(['PIPELINING'], (line) => {
        if (line.startsWith('RCPT')) return ['250 ok', '550 5.1.1 unknown', '250 ok', '250 ok'][rcpt++];
        return line === '.' ? '250 2.0.0 stored\n552 5.2.2 mailbox full\n451 4.3.0 try later' : undefined;
      }),
    );
    await using hop = deliverer(peer.port, { protocol: 'lmtp' });
    const outcomes = await hop.deliver(
      batch({ to: ['bob@example.com', 'nobody@example.com', 'bob@example.com', 'bob@example.com'] }),
      never,
    );
    expect(outcomes.map(({ kind, status }) => [kind, status])).toEqual([
      ['delivered', '2.0.0'],
      ['failed', '5.1.1'],
      ['failed', '5.2.2'],
      ['deferred', '4.3.0'],
    ]);
    expect(peer.commands[0]).toBe('LHLO gateway.example.com');
  });

  test('of an LMTP peer that hangs up after the first leave the others deferred', async () => {
    await using peer = await Peer.listen(
      accepting(['PIPELINING'], (line) => (line === '.' ? '250 2.0.0 stored' : undefined)),
    );
    await using hop = deliverer(peer.port, { protocol: 'lmtp', dataTimeoutMs: 50 });
    const outcomes = await hop.deliver(batch({ to: ['bob@example.com', 'eve@example.com'] }), never);
    expect(outcomes.map(({ kind, status, answered }) => [kind, status, answered])).toEqual([
      ['delivered', '2.0.0', true],
      ['deferred', '4.4.2', false],
    ]);
  });

  test('to MAIL, DATA and the content hold for all recipients that were left', async () => {
    const stages: [string, string][] = [
      ['MAIL', '550 5.7.1 not you'],
      ['DATA', '451 4.3.0 not now'],
      ['.', '554 5.6.0 no'],
    ];
    const seen: unknown[] = [];
    for (const [stage, reply] of stages) {
      await using peer = await Peer.listen(
        accepting(['PIPELINING'], (line) => (line.startsWith(stage) ? reply : undefined)),
      );
      await using hop = deliverer(peer.port);
      const outcomes = await hop.deliver(batch({ to: ['bob@example.com', 'eve@example.com'] }), never);
      seen.push(outcomes.map(({ kind, status }) => `${kind} ${status}`));
    }
    expect(seen).toEqual([
      ['failed 5.7.1', 'failed 5.7.1'],
      ['deferred 4.3.0', 'deferred 4.3.0'],
      ['failed 5.6.0', 'failed 5.6.0'],
    ]);
  });

  test('with 421 in the midst of the recipients defer those not answered', async () => {
    await using peer = await Peer.listen(
      accepting([], (line) => (line.startsWith('RCPT TO:<eve') ? '421 4.3.2 closing down' : undefined)),
    );
    await using hop = deliverer(peer.port);
    const outcomes = await hop.deliver(batch({ to: ['bob@example.com', 'eve@example.com', 'joe@example.com'] }), never);
    expect(outcomes.map(({ kind, status, diagnostic }) => [kind, status, diagnostic])).toEqual(
      Array(3).fill(['deferred', '4.3.2', 'smtp; 421 4.3.2 closing down']),
    );
  });
});

describe('a connection', () => {
  test('is used again, with RSET after a transaction that came to nothing', async () => {
    await using peer = await Peer.listen(
      accepting(['PIPELINING'], (line) =>
        line.includes('nobody')
          ? '550 5.1.1 unknown'
          : line === 'DATA' && peer.commands.at(-2)?.includes('nobody')
            ? '554 no'
            : undefined,
      ),
    );
    await using hop = deliverer(peer.port, { connections: 1 });
    const kinds: string[] = [];
    for (const to of ['bob@example.com', 'nobody@example.com', 'eve@example.com'])
      kinds.push(...(await hop.deliver(batch({ to: [to] }), never)).map(({ kind }) => kind));
    expect(kinds).toEqual(['delivered', 'failed', 'delivered']);
    expect(peer.sessions).toBe(1);
    expect(peer.commands.filter((line) => !/^(MAIL|RCPT)/.test(line))).toEqual([
      'EHLO gateway.example.com',
      'DATA',
      'DATA',
      'RSET',
      'DATA',
    ]);
  });

  test('serves no more than its number of messages', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port, { connections: 1, maxMessagesPerConnection: 2 });
    for (let i = 0; i < 5; i++) await hop.deliver(batch(), never);
    expect(peer.contents.map(({ session }) => session)).toEqual([1, 1, 2, 2, 3]);
  });

  test('is opened no more often than allowed, the rest wait for their turn', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port, { connections: 2 });
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => hop.deliver(batch(), never)));
    expect(outcomes.flat().filter(({ kind }) => kind === 'delivered').length).toBe(20);
    expect(peer.sessions).toBe(2);
  });

  test('that is unused takes leave', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port, { idleTimeoutMs: 10 });
    await hop.deliver(batch(), never);
    const [socket] = peer.sockets;
    if (socket !== undefined) await once(socket, 'close');
    expect(peer.commands.at(-1)).toBe('QUIT');
  });

  test('that the peer closed while it was unused costs nothing', async () => {
    await using peer = await Peer.listen(accepting());
    await using hop = deliverer(peer.port, { connections: 1 });
    await hop.deliver(batch(), never);
    for (const socket of peer.sockets) socket.destroy();
    const outcomes = await hop.deliver(batch(), never);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered']);
    expect(peer.contents.map(({ session }) => session)).toEqual([1, 2]);
  });

  for (const farewell of ['close', '421 4.4.2 idle too long']) {
    test(`that dies at its second MAIL (${farewell}) is replaced once inside the attempt`, async () => {
      let mails = 0;
      await using peer = await Peer.listen(
        accepting(['PIPELINING'], (line) => (line.startsWith('MAIL') && ++mails > 1 ? farewell : undefined)),
      );
      await using hop = deliverer(peer.port, { connections: 1 });
      await hop.deliver(batch(), never);
      const outcomes = await hop.deliver(batch(), never);
      expect(outcomes.map(({ kind, status }) => [kind, status])).toEqual([['deferred', '4.4.2']]);
      expect([peer.sessions, mails]).toEqual([2, 3]);
    });
  }

  test('that is new and dies at MAIL is not replaced', async () => {
    await using peer = await Peer.listen(
      accepting(['PIPELINING'], (line) => (line.startsWith('MAIL') ? 'close' : undefined)),
    );
    await using hop = deliverer(peer.port);
    const outcomes = await hop.deliver(batch(), never);
    expect(outcomes.map(({ kind, status, answered }) => [kind, status, answered])).toEqual([
      ['deferred', '4.4.2', false],
    ]);
    expect(peer.sessions).toBe(1);
  });

  test('is closed when the attempt is called off, and the next one gets its place', async () => {
    const call = new AbortController();
    await using peer = await Peer.listen((line, session) => {
      if (line !== '.' || session > 1) return accepting()(line, session);
      call.abort();
      return undefined;
    });
    await using hop = deliverer(peer.port, { connections: 1 });
    const outcomes = await hop.deliver(batch({ to: ['bob@example.com', 'eve@example.com'] }), call.signal);
    expect(outcomes.map(({ kind, status }) => [kind, status])).toEqual(Array(2).fill(['deferred', '4.4.2']));
    expect((await hop.deliver(batch(), call.signal)).map(({ kind }) => kind)).toEqual(['deferred']);
    expect((await hop.deliver(batch(), never)).map(({ kind }) => kind)).toEqual(['delivered']);
    expect(peer.sessions).toBe(2);
  });
});

describe('a next hop that', () => {
  const greetings: [string, string, object][] = [
    [
      'refuses with 554 in its greeting is our set-up',
      '554 5.7.1 not you',
      { kind: 'deferred', status: '4.3.5', alarm: true, diagnostic: 'smtp; 554 5.7.1 not you' },
    ],
    [
      'is busy in its greeting is tried again',
      '421 4.3.2 busy',
      { kind: 'deferred', status: '4.3.2', diagnostic: 'smtp; 421 4.3.2 busy' },
    ],
    ['speaks another protocol is tried again', 'HTTP/1.1 400 Bad Request', { kind: 'deferred', status: '4.5.0' }],
  ];
  for (const [title, greeting, expected] of greetings) {
    test(title, async () => {
      await using peer = await Peer.listen(accepting(), greeting);
      await using hop = deliverer(peer.port);
      expect(await hop.deliver(batch(), never)).toEqual([expect.objectContaining(expected)]);
    });
  }

  test('does not listen cannot be reached', async () => {
    const peer = await Peer.listen(accepting());
    const { port } = peer;
    await peer[Symbol.asyncDispose]();
    await using hop = deliverer(port);
    expect(await hop.deliver(batch(), never)).toEqual([
      {
        kind: 'deferred',
        connectMs: expect.any(Number),
        status: '4.4.1',
        answered: false,
        relay: `127.0.0.1:${port}`,
        reason: 'the next hop cannot be reached (ECONNREFUSED)',
      },
    ]);
  });

  test('says nothing times out, at its greeting and after a command', async () => {
    await using mute = await Peer.listen(() => undefined, '');
    await using deaf = await Peer.listen(accepting([], (line) => (line.startsWith('RCPT') ? '' : undefined)));
    await using toMute = deliverer(mute.port, { connectTimeoutMs: 50 });
    await using toDeaf = deliverer(deaf.port, { commandTimeoutMs: 50 });
    expect(
      [await toMute.deliver(batch(), never), await toDeaf.deliver(batch(), never)]
        .flat()
        .map(({ kind, status }) => [kind, status]),
    ).toEqual(Array(2).fill(['deferred', '4.4.2']));
  });

  test('knows no EHLO is spoken to with HELO, and offers nothing', async () => {
    await using peer = await Peer.listen(accepting([], (line) => (line.startsWith('EHLO') ? '502 what?' : undefined)));
    await using hop = deliverer(peer.port);
    expect((await hop.deliver(batch({ envelope: { ret: 'FULL' } }), never)).map(({ kind }) => kind)).toEqual([
      'delivered',
    ]);
    expect(peer.commands).toEqual([
      'EHLO gateway.example.com',
      'HELO gateway.example.com',
      'MAIL FROM:<ann@example.org>',
      'RCPT TO:<bob@example.com>',
      'DATA',
    ]);
  });
});
