import type { ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { composeError } from '../../../../channel/ischedule/wire.ts';
import { accept, batchFor, delivererFor, noSignal, type Received, startPeer } from './peer.ts';

function document(children: string): string {
  return `<query-result xmlns="urn:ietf:params:xml:ns:ischedule"><capabilities>${children}</capabilities></query-result>`;
}

/** Answers a GET as told, and takes every post. */
function withDocument(get: (response: ServerResponse, received: Received) => void) {
  return (received: Received, response: ServerResponse): void => {
    if (received.method === 'GET') get(response, received);
    else accept(received, response);
  };
}

const users = (count: number) => Array.from({ length: count }, (_, index) => `user${index}@example.com`);

describe('the capabilities of a server', () => {
  test('are asked for once and split the posts', async () => {
    await using peer = await startPeer(
      withDocument((response) => response.end(document('<max-recipients>2</max-recipients>'))),
    );
    await using channel = delivererFor(peer.url, { capabilities: 'action' });
    const batch = batchFor(peer.url, { recipients: users(5) });
    const outcomes = await channel.deliver(batch, noSignal);
    await channel.deliver(batch, noSignal);
    expect(outcomes.map(({ kind }) => kind)).toEqual(users(5).map(() => 'delivered'));
    expect(peer.received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /ischedule?action=capabilities',
      ...Array.from({ length: 6 }, () => 'POST /ischedule'),
    ]);
    expect(
      peer
        .posts()
        .slice(0, 3)
        .map((post) => [...post.values('iSchedule-Message-ID'), ...post.values('Recipient')]),
    ).toEqual([
      ['Q1.0@gw.test.0-2', 'mailto:user0@example.com', 'mailto:user1@example.com'],
      ['Q1.0@gw.test.2-2', 'mailto:user2@example.com', 'mailto:user3@example.com'],
      ['Q1.0@gw.test.4-1', 'mailto:user4@example.com'],
    ]);
  });

  test('keep what it does not take from being posted, for every recipient', async () => {
    const text = document('<max-content-length>10</max-content-length>');
    await using peer = await startPeer(withDocument((response) => response.end(text)));
    await using channel = delivererFor(peer.url, { capabilities: 'action' });
    const outcomes = await channel.deliver(batchFor(peer.url, { recipients: users(70) }), noSignal);
    expect(new Set(outcomes.map(({ kind, status }) => `${kind} ${status}`))).toEqual(new Set(['failed 5.3.4']));
    expect([outcomes.length, peer.posts().length]).toEqual([70, 0]);
  });

  test.each([
    ['davical', 'GET /ischedule?query=capabilities'],
    ['generic', 'GET /ischedule?action=capabilities'],
    ['bedework', 'GET /ischedule?action=capabilities'],
  ] as const)('are asked for as the profile %s wants', async (profile, first) => {
    await using peer = await startPeer(withDocument((response) => response.writeHead(404).end()));
    const { capabilities: _, ...settings } = {
      fallbacks: [],
      timeoutMs: 9000,
      connectTimeoutMs: 5000,
      headersTimeoutMs: 9000,
      bodyTimeoutMs: 9000,
      capabilities: 'none',
    };
    await using channel = delivererFor(peer.url, {}, { settings });
    await channel.deliver(batchFor(peer.url, { profile }), noSignal);
    expect(peer.received.map(({ method, path }) => `${method} ${path}`)).toEqual([first, 'POST /ischedule']);
  });

  test.each(['cyrus', 'apple', 'oracle-v7', 'oracle-v6'] as const)(
    'are not asked for by the profile %s',
    async (profile) => {
      await using peer = await startPeer(accept);
      const settings = {
        fallbacks: [],
        timeoutMs: 9000,
        connectTimeoutMs: 5000,
        headersTimeoutMs: 9000,
        bodyTimeoutMs: 9000,
      };
      await using channel = delivererFor(peer.url, {}, { settings });
      await channel.deliver(batchFor(peer.url, { profile }), noSignal);
      expect(peer.received.map(({ method }) => method)).toEqual(['POST']);
    },
  );

  test('are asked for once by posts at the same time', async () => {
    let answer = (): void => undefined;
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let release = (): void => undefined;
    await using peer = await startPeer(
      withDocument((response) => {
        release = () => response.end(document(''));
        answer();
      }),
    );
    await using channel = delivererFor(peer.url, { capabilities: 'action' });
    const posts = [1, 2, 3].map(() => channel.deliver(batchFor(peer.url), noSignal));
    await asked;
    release();
    const outcomes = await Promise.all(posts);
    expect(outcomes.map(([one]) => one?.kind)).toEqual(['delivered', 'delivered', 'delivered']);
    expect(peer.received.filter(({ method }) => method === 'GET').length).toBe(1);
  });

  test.each([
    ['400', (response: ServerResponse) => response.writeHead(400).end()],
    ['404', (response: ServerResponse) => response.writeHead(404).end('<html>')],
    ['405', (response: ServerResponse) => response.writeHead(405).end()],
    ['an HTML page', (response: ServerResponse) => response.end('<!DOCTYPE html><html></html>')],
    ['a lost connection', (response: ServerResponse) => response.destroy()],
    ['500', (response: ServerResponse) => response.writeHead(500).end()],
    ['a redirect loop', (response: ServerResponse) => response.writeHead(302, { Location: '/ischedule' }).end()],
    [
      'a redirect to another host',
      (response: ServerResponse) => response.writeHead(302, { Location: 'http://localhost:1/' }).end(),
    ],
    [
      'a compressed document',
      (response: ServerResponse) => response.writeHead(200, { 'Content-Encoding': 'gzip' }).end('x'),
    ],
    ['a document larger than allowed', (response: ServerResponse) => response.end(document(' '.repeat(2_000_000)))],
  ])('that cannot be had, for %s, hinder no post and are not asked for again at once', async (_, get) => {
    await using peer = await startPeer(withDocument(get));
    await using channel = delivererFor(peer.url, { capabilities: 'action' });
    const [first] = await channel.deliver(batchFor(peer.url), noSignal);
    const asked = peer.received.length;
    const [second] = await channel.deliver(batchFor(peer.url), noSignal);
    expect([first?.kind, second?.kind, peer.received.length]).toEqual(['delivered', 'delivered', asked + 1]);
  });

  test('that do not come in time do not take the time of the post', async () => {
    await using peer = await startPeer(withDocument(() => undefined));
    await using channel = delivererFor(peer.url, { capabilities: 'action', timeoutMs: 2000 });
    const [first] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(first).toMatchObject({ kind: 'delivered' });
  });

  test('of a server that is down are the sign that the next one is to be tried', async () => {
    await using second = await startPeer(withDocument((response) => response.end(document(''))));
    const gone = await startPeer(accept);
    await gone[Symbol.asyncDispose]();
    await using channel = delivererFor(gone.url, { capabilities: 'action', fallbacks: [second.url.href] });
    const [outcome] = await channel.deliver(batchFor(gone.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'delivered', relay: second.url.host });
  });

  test('are followed through a redirect that loses the question', async () => {
    await using peer = await startPeer((received, response) => {
      if (received.path.startsWith('/ischedule')) response.writeHead(301, { Location: '/deeper' }).end();
      else withDocument((answer) => answer.end(document('<max-recipients>1</max-recipients>')))(received, response);
    });
    await using channel = delivererFor(peer.url, { capabilities: 'action' });
    await channel.deliver(batchFor(peer.url, { recipients: users(2) }), noSignal);
    expect(peer.received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      ...['GET /ischedule?action=capabilities', 'GET /deeper?action=capabilities'],
      ...['POST /ischedule', 'POST /deeper', 'POST /ischedule', 'POST /deeper'],
    ]);
  });
});

describe('what is known of a server', () => {
  test('is renewed with its ETag after its time, bounded, and stays on a 304', async () => {
    await using peer = await startPeer(
      withDocument((response, received) => {
        if (received.values('If-None-Match')[0] === '"a"') response.writeHead(304).end();
        else
          response
            .writeHead(200, { ETag: '"a"', 'Cache-Control': 'max-age=0' })
            .end(document('<max-recipients>1</max-recipients>'));
      }),
    );
    let now = 1_000_000;
    await using channel = delivererFor(peer.url, { capabilities: 'action' }, { clock: () => now });
    const batch = batchFor(peer.url, { recipients: users(2) });
    await channel.deliver(batch, noSignal);
    now += 4 * 60_000; // it said 0, which is too often
    await channel.deliver(batch, noSignal);
    expect(peer.received.filter(({ method }) => method === 'GET').length).toBe(1);
    now += 2 * 60_000;
    await channel.deliver(batch, noSignal);
    expect(peer.received.filter(({ method }) => method === 'GET').map((get) => get.values('If-None-Match'))).toEqual([
      [],
      ['"a"'],
    ]);
    expect(peer.posts().length).toBe(6);
  });

  test('is renewed when an answer tells another serial number, though never for each post', async () => {
    let serial = '1';
    let inAnswers = '1';
    await using peer = await startPeer((received, response) => {
      response.setHeader('iSchedule-Capabilities', inAnswers);
      withDocument((answer) => answer.end(document(`<serial-number>${serial}</serial-number>`)))(received, response);
    });
    let now = 1_000_000;
    const gets = () => peer.received.filter(({ method }) => method === 'GET').length;
    await using channel = delivererFor(peer.url, { capabilities: 'action' }, { clock: () => now });
    const post = async (): Promise<void> => void (await channel.deliver(batchFor(peer.url), noSignal));
    await post();
    await post();
    expect(gets()).toBe(1);
    [serial, inAnswers] = ['2', '2'];
    now += 2 * 60_000;
    await post(); // learns of it
    expect(gets()).toBe(1);
    await post();
    expect(gets()).toBe(2);
    for (let at = 0; at < 10; at++) {
      inAnswers = String(at);
      await post();
    }
    expect(gets()).toBe(2);
  });
});

describe('a server that announces no limit and has one', () => {
  /** Takes posts for three recipients at most. */
  const narrow = (received: Received, response: ServerResponse): void => {
    if (received.values('Recipient').length <= 3) accept(received, response);
    else response.writeHead(403, { 'Content-Type': 'application/xml' }).end(composeError('max-recipients'));
  };
  const users = Array.from({ length: 10 }, (_, index) => `user${index}@example.com`);

  test('gets fewer recipients at a time until it takes them, and no more from then on', async () => {
    await using peer = await startPeer(narrow);
    await using channel = delivererFor(peer.url);
    const batch = batchFor(peer.url, { recipients: users });
    const outcomes = await channel.deliver(batch, noSignal);
    expect(outcomes.map(({ kind }) => kind)).toEqual(users.map(() => 'delivered'));
    const sizes = () => peer.received.map((received) => received.values('Recipient').length);
    expect(sizes()).toEqual([10, 5, 2, 2, 2, 2, 2]);
    const ids = peer.received.flatMap((received) => received.values('iSchedule-Message-ID'));
    expect(new Set(ids).size).toBe(7);
    await channel.deliver(batch, noSignal);
    expect(sizes().slice(7)).toEqual([2, 2, 2, 2, 2]);
  });

  test('and refuses one recipient as too many is not asked again', async () => {
    await using peer = await startPeer((_, response) => response.writeHead(403).end(composeError('max-recipients')));
    await using channel = delivererFor(peer.url);
    const outcomes = await channel.deliver(batchFor(peer.url, { recipients: users.slice(0, 2) }), noSignal);
    expect(outcomes.map(({ kind, status }) => `${kind} ${status}`)).toEqual(['failed 5.5.3', 'failed 5.5.3']);
    expect(peer.received).toHaveLength(3);
  });
});
