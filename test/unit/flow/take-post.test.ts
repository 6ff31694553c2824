import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { examine } from '../../../src/itip/extract.ts';
import type { Outcome } from '../../../src/mail/outcome.ts';
import { StoreFullError } from '../../../src/queue/store.ts';
import { HOUR, NOW } from '../queue/samples.ts';
import { ALICE, BOB, EVE, incomingPost, OLGA, openPostScene, type PostScene } from './post-scene.ts';

const REFUSED: Outcome = {
  kind: 'failed',
  status: '5.1.1',
  reason: 'the calendar server knows no such user',
  requestStatus: '3.7',
  answered: true,
};
const SILENT: Outcome = { kind: 'deferred', status: '4.4.1', reason: 'no connection', answered: false };
const PENDING = expect.objectContaining({ code: '1.0' });
const SENT = expect.objectContaining({ code: '1.1' });
const SUCCESS = { code: '2.0', description: 'Success' };
const NOBODY = expect.objectContaining({ code: '3.7' });

let scene: PostScene;
beforeEach(async () => {
  scene = await openPostScene();
});
afterEach(() => scene[Symbol.asyncDispose]());

/** Lets posts go no further until it is called. */
function closeGate(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  scene.world.gate = promise;
  return resolve;
}

function codes(answers: readonly { readonly code: string }[]): readonly string[] {
  return answers.map(({ code }) => code);
}

describe('a post', () => {
  test('is answered for each recipient in order, as his calendar server answered', async () => {
    scene.answers.set(ALICE, REFUSED);
    expect(await scene.acceptor.post(incomingPost([BOB, ALICE]))).toEqual([SUCCESS, NOBODY]);
    expect(scene.queue()).toEqual([`1: ${BOB} post delivered`, `1: ${ALICE} post failed`]);
  });

  test('stands in the queue as a message with a mail that holds the same object', async () => {
    const open = closeGate();
    const incoming = incomingPost([BOB], { event: { summary: 'Café' } });
    const answer = scene.acceptor.post(incoming);
    await expect.poll(() => scene.posts.length).toBe(1);
    const [delivery] = scene.deliveries();
    const { message } = scene.store.message(delivery!.queueId)!;
    const body = await scene.store.body(message.id);
    expect(message).toEqual({
      id: delivery!.queueId,
      receivedAt: NOW,
      listener: 'service',
      mode: 'relay',
      origin: 'inside',
      client: { address: '192.0.2.1', protocol: 'HTTPS' },
      envelope: {
        reversePath: OLGA,
        recipients: [{ address: BOB, received: BOB }],
        smtpUtf8: false,
        body: '7BIT',
      },
      messageId: 'one@cyrus.example.org',
      posted: { peer: 'cyrus', digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
      size: body.length,
      eightBit: false,
      calendar: true,
      uid: 'review@example.org',
      method: 'REQUEST',
      endsAtMs: Date.UTC(2030, 2, 15, 11),
      passes: 0,
    });
    expect(await examine(body)).toEqual({ kind: 'object', object: incoming.object });
    expect(body.toString()).toContain('Subject: =?UTF-8?B?Q2Fmw6k=?=\r\n');
    open();
    expect(await answer).toEqual([SUCCESS]);
  });

  test('for one recipient twice is made once and answered twice', async () => {
    expect(await scene.acceptor.post(incomingPost([BOB, ALICE, BOB]))).toEqual([SUCCESS, SUCCESS, SUCCESS]);
    expect(scene.posts.map(({ recipients }) => recipients)).toEqual([[BOB, ALICE]]);
  });

  test('that waits for nothing is pending, and tried all the same', async () => {
    expect(await scene.acceptor.post(incomingPost([BOB], { waitMs: 0 }))).toEqual([PENDING]);
    await expect.poll(scene.queue).toEqual([`1: ${BOB} post delivered`]);
  });

  test('whose calendar server is too slow is pending; what it refuses later is told by mail, once', async () => {
    const open = closeGate();
    scene.answers.set(BOB, REFUSED);
    expect(await scene.acceptor.post(incomingPost([BOB, ALICE], { waitMs: 30 }))).toEqual([PENDING, PENDING]);
    open();
    await expect.poll(() => scene.mails).toHaveLength(1);
    expect(scene.mails[0]).toMatchObject({ route: 'smart-host', to: [OLGA] });
    expect(scene.mails[0]?.content).toContain(`Final-Recipient: rfc822; ${BOB}\r\nAction: failed\r\nStatus: 5.1.1\r\n`);
    expect(scene.mails[0]?.content).not.toContain('References:');
  });

  test('that its calendar server refuses at once is told by the answer and by nobody else', async () => {
    scene.answers.set(BOB, REFUSED);
    await scene.acceptor.post(incomingPost([BOB]));
    expect(scene.deliveries().map(({ told }) => told)).toEqual(['reply']);
    expect(scene.mails).toEqual([]);
  });

  test('that nobody takes at once is pending, and stays queued', async () => {
    scene.answers.set(BOB, SILENT);
    expect(await scene.acceptor.post(incomingPost([BOB]))).toEqual([PENDING]);
    expect(scene.queue()).toEqual([`1: ${BOB} post queued`]);
  });

  test('of an event that is over is answered when its one attempt fails', async () => {
    scene.world.now = Date.UTC(2031, 1, 1);
    scene.answers.set(BOB, SILENT);
    expect(await scene.acceptor.post(incomingPost([BOB]))).toEqual([expect.objectContaining({ code: '5.1' })]);
    expect(scene.deliveries().map(({ state, told }) => [state, told])).toEqual([['expired', 'reply']]);
  });

  test('behind an earlier one of its UID is pending without waiting', async () => {
    const open = closeGate();
    const first = scene.acceptor.post(incomingPost([BOB]));
    await expect.poll(() => scene.posts.length).toBe(1);
    const cancel = incomingPost([BOB], { messageId: 'two', event: { method: 'CANCEL', sequence: 1 } });
    expect(await scene.acceptor.post(cancel)).toEqual([PENDING]);
    open();
    expect(await first).toEqual([SUCCESS]);
    await expect.poll(() => scene.posts.map(({ method }) => method)).toEqual(['REQUEST', 'CANCEL']);
  });

  test('that cannot be stored rejects, and nothing of it is kept', async () => {
    const full = new StoreFullError('no space left');
    vi.spyOn(scene.store, 'accept').mockRejectedValueOnce(full);
    await expect(scene.acceptor.post(incomingPost([BOB]))).rejects.toBe(full);
    expect(scene.queue()).toEqual([]);
    // The id is not taken for a known one.
    expect(await scene.acceptor.post(incomingPost([BOB]))).toEqual([SUCCESS]);
  });

  test('is answered with what is known when the gateway stops', async () => {
    const open = closeGate();
    const answer = scene.acceptor.post(incomingPost([BOB]));
    await expect.poll(() => scene.posts.length).toBe(1);
    scene.stopping.abort();
    expect(await answer).toEqual([PENDING]);
    open();
  });

  test('of a peer that has gone stays ours: its failure is told by mail', async () => {
    const open = closeGate();
    const gone = new AbortController();
    scene.answers.set(BOB, REFUSED);
    const answer = scene.acceptor.post(incomingPost([BOB], { signal: gone.signal }));
    await expect.poll(() => scene.posts.length).toBe(1);
    gone.abort();
    expect(await answer).toEqual([PENDING]);
    open();
    await expect.poll(() => scene.mails.map(({ to }) => to)).toEqual([[OLGA]]);
  });
});

describe('a recipient who gets mail instead', () => {
  test('is answered when his mail has gone, which holds the object', async () => {
    const incoming = incomingPost([BOB, EVE]);
    expect(await scene.acceptor.post(incoming)).toEqual([SUCCESS, SENT]);
    expect(scene.queue()).toEqual([`1: ${BOB} post delivered`, `1: ${EVE} post skipped`, `1: ${EVE} mail delivered`]);
    expect(scene.mails.map(({ route, to }) => ({ route, to }))).toEqual([{ route: 'smart-host', to: [EVE] }]);
    expect(await examine(Buffer.from(scene.mails[0]!.content))).toEqual({ kind: 'object', object: incoming.object });
  });

  test('with others of his kind gets one mail with them', async () => {
    const others = Array.from({ length: 20 }, (_, index) => `guest${index}@example.net`);
    expect(codes(await scene.acceptor.post(incomingPost(others)))).toEqual(others.map(() => '1.1'));
    expect(scene.mails.map(({ to }) => to)).toEqual([others]);
  });

  test('is refused by the answer when the next hop refuses him', async () => {
    scene.answers.set(EVE, { kind: 'failed', status: '5.1.1', reason: 'no such mailbox', answered: true });
    expect(await scene.acceptor.post(incomingPost([EVE]))).toEqual([NOBODY]);
    expect(scene.deliveries().map(({ kind, told }) => [kind, told])).toEqual([
      ['post', 'nobody'],
      ['mail', 'reply'],
    ]);
    expect(scene.mails).toHaveLength(1); // and no report
  });

  test('is pending while the next hop is silent', async () => {
    scene.answers.set(EVE, SILENT);
    expect(await scene.acceptor.post(incomingPost([EVE]))).toEqual([PENDING]);
  });
});

describe('a post that comes again', () => {
  test('is answered as before, and made once', async () => {
    scene.answers.set(ALICE, REFUSED);
    const incoming = incomingPost([BOB, ALICE, EVE]);
    const first = await scene.acceptor.post(incoming);
    expect(codes(first)).toEqual(['2.0', '3.7', '1.1']);
    expect(await scene.acceptor.post(incoming)).toEqual(first);
    expect(scene.posts).toHaveLength(1);
    expect(scene.mails).toHaveLength(1);
  });

  test('with its recipients in another order gets its answers in that order', async () => {
    scene.answers.set(ALICE, REFUSED);
    const [incoming, turned] = [incomingPost([BOB, ALICE]), incomingPost([BOB, ALICE], { recipients: [ALICE, BOB] })];
    expect(codes(await scene.acceptor.post(incoming))).toEqual(['2.0', '3.7']);
    expect(codes(await scene.acceptor.post(turned))).toEqual(['3.7', '2.0']);
    expect(scene.posts).toHaveLength(1);
  });

  test('after a restart is answered as before', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'imipd-posts-'));
    const incoming = incomingPost([BOB, EVE]);
    {
      await using before = await openPostScene({ folder });
      expect(codes(await before.acceptor.post(incoming))).toEqual(['2.0', '1.1']);
    }
    await using after = await openPostScene({ folder });
    expect(codes(await after.acceptor.post(incoming))).toEqual(['2.0', '1.1']);
    expect([after.posts, after.mails]).toEqual([[], []]);
    await rm(folder, { recursive: true });
  });

  test('while the first is under way waits with it', async () => {
    const open = closeGate();
    const incoming = incomingPost([BOB]);
    const answers = [scene.acceptor.post(incoming), scene.acceptor.post(incoming), scene.acceptor.post(incoming)];
    await expect.poll(() => scene.posts.length).toBe(1);
    open();
    expect(await Promise.all(answers)).toEqual([[SUCCESS], [SUCCESS], [SUCCESS]]);
    expect(scene.queue()).toEqual([`1: ${BOB} post delivered`]);
  });

  test('goes on waiting when the first has gone, and is told the refusal in its place', async () => {
    const open = closeGate();
    const gone = new AbortController();
    scene.answers.set(BOB, REFUSED);
    const first = scene.acceptor.post(incomingPost([BOB], { signal: gone.signal }));
    await expect.poll(() => scene.posts.length).toBe(1);
    const second = scene.acceptor.post(incomingPost([BOB]));
    gone.abort();
    expect(await first).toEqual([PENDING]);
    await expect.poll(() => scene.context.sessions.size).toBe(1);
    open();
    expect(await second).toEqual([NOBODY]);
    expect(scene.deliveries().map(({ told }) => told)).toEqual(['reply']);
    expect(scene.mails).toEqual([]);
  });

  test('while the outcome of the first is being written waits for no other', async () => {
    const { settle } = scene.store;
    const written = Promise.withResolvers<void>();
    const settling = vi.spyOn(scene.store, 'settle').mockImplementation(async (...given) => {
      await written.promise;
      return settle.apply(scene.store, given);
    });
    await scene.acceptor.post(incomingPost([BOB], { waitMs: 0 }));
    await expect.poll(() => settling.mock.calls.length).toBe(1);
    const second = scene.acceptor.post(incomingPost([BOB]));
    await expect.poll(() => scene.context.sessions.size).toBe(1);
    written.resolve();
    expect(await second).toEqual([SUCCESS]);
  });

  test('tries at once those who were deferred', async () => {
    scene.answers.set(BOB, SILENT);
    const incoming = incomingPost([BOB, ALICE]);
    expect(await scene.acceptor.post(incoming)).toEqual([PENDING, SUCCESS]);
    scene.answers.clear();
    scene.world.now += 1000;
    expect(await scene.acceptor.post(incoming)).toEqual([SUCCESS, SUCCESS]);
    expect(scene.posts.map(({ recipients }) => recipients)).toEqual([[BOB, ALICE], [BOB]]);
    expect(scene.queue()).toEqual([`1: ${BOB} post delivered`, `1: ${ALICE} post delivered`]);
  });

  test('goes anew to those only whom it could not reach in time', async () => {
    scene.answers.set(BOB, SILENT).set(EVE, REFUSED);
    const incoming = incomingPost([ALICE, BOB, EVE], { waitMs: 50 });
    expect(codes(await scene.acceptor.post(incoming))).toEqual(['2.0', '1.0', '3.7']);
    scene.world.now += 13 * HOUR;
    scene.context.poke();
    await expect.poll(scene.queue).toContain(`1: ${BOB} post expired`);
    scene.answers.clear();
    const again = { ...incoming, waitMs: 60_000 };
    expect(codes(await scene.acceptor.post(again))).toEqual(['2.0', '2.0', '3.7']);
    expect(codes(await scene.acceptor.post(again))).toEqual(['2.0', '2.0', '3.7']);
    const anew = scene.deliveries().at(-1);
    expect(anew).toMatchObject({ recipient: BOB, kind: 'post', state: 'delivered' });
    expect(scene.store.message(anew!.queueId)?.deliveries).toHaveLength(1);
  });

  test('with another body is a new message, and is logged', async () => {
    await scene.acceptor.post(incomingPost([BOB]));
    const other = incomingPost([BOB], { event: { sequence: 1 } });
    expect(await scene.acceptor.post(other)).toEqual([SUCCESS]);
    expect(scene.posts).toHaveLength(2);
    expect(scene.lines.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        peer: 'cyrus',
        messageId: 'one@cyrus.example.org',
        from: OLGA,
        queueId: scene.deliveries()[0]?.queueId,
      },
    ]);
    // Both are known from now on.
    expect(await scene.acceptor.post(incomingPost([BOB]))).toEqual([SUCCESS]);
    expect(await scene.acceptor.post(other)).toEqual([SUCCESS]);
    expect(scene.posts).toHaveLength(2);
  });

  test.each([
    ['another Originator', { originator: 'otto@example.org' }],
    ['more recipients', { recipients: [BOB, ALICE] }],
    ['another peer', { peer: 'davical' }],
    ['no id', { messageId: undefined }],
  ])('with %s is a new message, which the ledger keeps from harm', async (_, more) => {
    await scene.acceptor.post(incomingPost([BOB, ALICE], { recipients: [BOB] }));
    const second = await scene.acceptor.post({ ...incomingPost([BOB, ALICE], { recipients: [BOB] }), ...more });
    expect(second[0]).toEqual(SUCCESS);
    expect(new Set(scene.deliveries().map(({ queueId }) => queueId)).size).toBe(2);
    expect(scene.posts.filter(({ recipients }) => recipients.includes(BOB))).toHaveLength(1);
  });
});

test('a post of our own that comes back is held, and logged', async () => {
  const open = closeGate();
  const first = scene.acceptor.post(incomingPost([BOB], { waitMs: 10 }));
  await expect.poll(() => scene.posts.length).toBe(1);
  await first;
  const back = incomingPost([ALICE], { peer: 'north', messageId: scene.posts[0]!.messageId, event: { uid: 'other' } });
  expect(await scene.acceptor.post(back)).toEqual([PENDING]);
  expect(scene.queue()).toEqual([`1: ${BOB} post queued`, `2: ${ALICE} post held`]);
  expect(scene.deliveries()[1]?.decisions.at(-1)?.rule).toBe('came-back');
  open();
});

test('a thousand recipients are answered one by one, with one post and one mail', async () => {
  const guests = Array.from({ length: 998 }, (_, index) => `guest${index}@example.net`);
  const incoming = incomingPost([BOB, ...guests, ALICE]);
  expect(codes(await scene.acceptor.post(incoming))).toEqual(['2.0', ...guests.map(() => '1.1'), '2.0']);
  expect(scene.posts.map(({ recipients }) => recipients)).toEqual([[BOB, ALICE]]);
  expect(scene.mails.map(({ to }) => to)).toEqual([guests]);
});

test('an id that only looks like one of ours stops nothing', async () => {
  const messageId = 'NOSUCHMESSAGE.0123456789abcdef@gateway.example.com';
  expect(await scene.acceptor.post(incomingPost([BOB], { messageId }))).toEqual([SUCCESS]);
});
