import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Targets } from '../../../../channel/ischedule/targets.ts';
import { accept, batchFor, delivererFor, noSignal, startPeer } from './peer.ts';

/** An address of loopback where nobody listens. */
async function deadUrl(): Promise<URL> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return new URL(`http://127.0.0.1:${port}/ischedule`);
}

describe('of several targets', () => {
  test('the next is tried when nobody listens at the first, with the same post, and first for a while', async () => {
    await using second = await startPeer(accept);
    const dead = await deadUrl();
    let now = 1_000_000;
    await using channel = delivererFor(dead, { fallbacks: [second.url.href] }, { clock: () => now });
    const [outcome] = await channel.deliver(batchFor(dead), noSignal);
    expect(outcome).toMatchObject({ kind: 'delivered', relay: second.url.host });
    expect(second.posts().map((post) => post.values('iSchedule-Message-ID'))).toEqual([['Q1.0@gw.test']]);
    await using revived = await reviveAt(dead);
    await channel.deliver(batchFor(dead), noSignal);
    expect([second.posts().length, revived.posts]).toEqual([2, 0]);
    now += 10 * 60_000;
    await channel.deliver(batchFor(dead), noSignal);
    expect([second.posts().length, revived.posts]).toEqual([2, 1]);
  });

  test('those of the batch come before those of the settings, each once', async () => {
    await using third = await startPeer(accept);
    const [dead, alsoDead] = [await deadUrl(), await deadUrl()];
    await using channel = delivererFor(dead, { fallbacks: [alsoDead.href, third.url.href] });
    const [outcome] = await channel.deliver(batchFor(dead, { fallbacks: [dead, alsoDead] }), noSignal);
    expect(outcome).toMatchObject({ kind: 'delivered', relay: third.url.host });
  });

  test('none is tried after a post that may have arrived; the next attempt begins with the other', async () => {
    await using first = await startPeer((_, response) => response.destroy());
    await using second = await startPeer(accept);
    await using channel = delivererFor(first.url, { fallbacks: [second.url.href] });
    const [lost] = await channel.deliver(batchFor(first.url), noSignal);
    expect(lost).toMatchObject({ kind: 'deferred', status: '4.4.2', answered: false, relay: first.url.host });
    expect(second.posts()).toEqual([]);
    const [delivered] = await channel.deliver(batchFor(first.url), noSignal);
    expect(delivered).toMatchObject({ kind: 'delivered', relay: second.url.host });
    expect(second.posts()[0]?.values('iSchedule-Message-ID')).toEqual(first.posts()[0]?.values('iSchedule-Message-ID'));
  });

  test('none is tried after a refusal: it was an answer', async () => {
    await using first = await startPeer((_, response) => response.writeHead(503).end());
    await using second = await startPeer(accept);
    await using channel = delivererFor(first.url, { fallbacks: [second.url.href] });
    const [outcome] = await channel.deliver(batchFor(first.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.2', answered: true });
    expect(second.posts()).toEqual([]);
  });

  test('where none is reached the first one’s failure is what is told', async () => {
    const [dead, alsoDead] = [await deadUrl(), await deadUrl()];
    await using channel = delivererFor(dead, { fallbacks: [alsoDead.href] });
    const outcomes = await channel.deliver(batchFor(dead, { recipients: ['a@x.test', 'b@x.test'] }), noSignal);
    expect(outcomes).toMatchObject([
      { kind: 'deferred', status: '4.4.1', answered: false, relay: dead.host },
      { kind: 'deferred', status: '4.4.1', answered: false, relay: dead.host },
    ]);
  });

  async function reviveAt(url: URL): Promise<{ posts: number; [Symbol.asyncDispose](): Promise<void> }> {
    const { createServer: createHttp } = await import('node:http');
    const state = { posts: 0 };
    const server = createHttp((request, response) => {
      state.posts += 1;
      request.resume().once('end', () => response.writeHead(503).end());
    });
    await new Promise<void>((resolve) => server.listen(Number(url.port), '127.0.0.1', resolve));
    return {
      get posts() {
        return state.posts;
      },
      async [Symbol.asyncDispose]() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }
});

describe('a server that asks to be left alone', () => {
  test.each([429, 503, 507, 500])('with %i and Retry-After is not connected to until then', async (httpStatus) => {
    let busy = true;
    await using peer = await startPeer((received, response) => {
      if (busy) response.writeHead(httpStatus, { 'Retry-After': '120' }).end();
      else accept(received, response);
    });
    let now = 5_000_000;
    await using channel = delivererFor(peer.url, {}, { clock: () => now });
    const [first] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(first).toMatchObject({ kind: 'deferred', retryAfterMs: 120_000, answered: true });
    busy = false;
    now += 50_000;
    const second = await channel.deliver(batchFor(peer.url, { recipients: ['a@x.test', 'b@x.test'] }), noSignal);
    const left = {
      ...{ kind: 'deferred', status: '4.4.5', retryAfterMs: 70_000, answered: false, relay: peer.url.host },
      reason: 'the calendar server asked to be left alone for a while',
    };
    expect(second).toEqual([left, left]);
    expect(peer.posts().length).toBe(1);
    now += 70_000;
    const [third] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(third).toMatchObject({ kind: 'delivered' });
  });

  test('for a day is tried again after an hour', async () => {
    await using peer = await startPeer((_, response) => response.writeHead(503, { 'Retry-After': '86400' }).end());
    let now = 5_000_000;
    await using channel = delivererFor(peer.url, {}, { clock: () => now });
    await channel.deliver(batchFor(peer.url), noSignal);
    now += 3_600_000;
    await channel.deliver(batchFor(peer.url), noSignal);
    expect(peer.posts().length).toBe(2);
  });

  test('in one recipient’s name only, by Retry-After on a 200, is not left alone', async () => {
    await using peer = await startPeer((received, response) => {
      response.setHeader('Retry-After', '60');
      accept(received, response);
    });
    await using channel = delivererFor(peer.url);
    await channel.deliver(batchFor(peer.url), noSignal);
    const [second] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(second).toMatchObject({ kind: 'delivered' });
  });

  test('ends the parts of a post that were still to come', async () => {
    await using peer = await startPeer((_, response) => response.writeHead(503, { 'Retry-After': '5' }).end());
    await using channel = delivererFor(peer.url);
    const recipients = Array.from({ length: 130 }, (_, index) => `u${index}@example.com`);
    const outcomes = await channel.deliver(batchFor(peer.url, { recipients }), noSignal);
    expect(outcomes.map(({ status }) => status)).toEqual(recipients.map((_, at) => (at < 64 ? '4.3.2' : '4.4.5')));
    expect(peer.posts().length).toBe(1);
  });
});

test('what a server takes at most only gets smaller, whatever is refused later', () => {
  const targets = new Targets();
  const url = new URL('https://cal.example.com/ischedule');
  const seen = [10, 64, 1].map((refused) => {
    targets.refusedFor(url, refused);
    return targets.mostRecipients(url);
  });
  expect(seen).toEqual([5, 5, 1]);
  expect(targets.mostRecipients(new URL('https://other.example.com/ischedule'))).toBeUndefined();
});

test('the memory for targets is bounded: the oldest is forgotten', () => {
  const targets = new Targets();
  for (let at = 0; at < 1000; at++) targets.pause(new URL(`https://h${at}.test/`), 60_000, 0);
  expect(targets.pausedMs(new URL('https://h0.test/'), 1)).toBe(0);
  expect(targets.pausedMs(new URL('https://h999.test/'), 1)).toBe(59_999);
});
