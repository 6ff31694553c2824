import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import type {
  Delivery,
  DeliveryState,
  JournalEntry,
  Meeting,
  NewDelivery,
  NewMessage,
  Sending,
  SendingFilter,
  Settlement,
  Store,
} from '../../src/queue/store.ts';
import {
  CONTENT,
  DAY,
  DEFERRED,
  DELIVERED,
  decision,
  FAILED,
  HOUR,
  incoming,
  ledgerRow,
  MINUTE,
  mail,
  message,
  NOW,
  post,
} from '../unit/queue/samples.ts';

type Opener = (
  folder: string,
  options: { readonly inlineBytes: number; readonly clock: () => number },
) => Promise<Store>;

const STORES: readonly [name: string, open: Opener][] = [
  ['SQLite', (folder, options) => openSqliteStore({ folder, exclusive: true, ...options })],
];
const LEASE_MS = 10 * MINUTE;
const UID = 'lunch@example.org';
const KEEP = { historyMs: 7 * DAY, plainHistoryMs: DAY, ledgerMs: 400 * DAY };

describe.each(STORES)('a queue in %s', (_, open) => {
  let folder: string;
  let store: Store;
  let now: number;

  beforeEach(async () => {
    now = NOW;
    folder = await mkdtemp(join(tmpdir(), 'imipd-queue-'));
    store = await open(folder, { inlineBytes: 1000, clock: () => now });
  });
  afterEach(async () => {
    await store[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function accept(...messages: readonly NewMessage[]): Promise<readonly Delivery[]> {
    return (await store.accept(messages)).flatMap(({ deliveries }) => deliveries);
  }
  async function settle(id: number, state: DeliveryState, more: Partial<Settlement> = {}): Promise<void> {
    await store.settle([{ id, state, attempted: true, ...more }], [], now);
  }
  function stored(id: number): Delivery | undefined {
    return store.list({}).find((delivery) => delivery.id === id);
  }
  async function claimedIds(limit = 100): Promise<readonly number[]> {
    return (await store.claim(now, limit)).flatMap(({ deliveries }) => deliveries.map(({ id }) => id));
  }
  async function bodyIsGone(queueId: string): Promise<boolean> {
    return store.body(queueId).then(
      () => false,
      () => true,
    );
  }
  /** An open post of `user` for the usual UID; undefined when the directory has not said who that is. */
  function postOf(id: string, user: string | undefined, more: Partial<NewDelivery> = {}): NewMessage {
    return incoming(id, [post({ uid: UID, ...(user !== undefined && { user }), ...more })]);
  }

  describe('accepting', () => {
    test('a message with everything optional is read back as it was given', async () => {
      const full = message('A1', ['bob@example.com', 'Bob@example.com'], {
        mode: 'final',
        origin: 'inside',
        client: { address: '2001:db8::1', name: 'mx.example.org', helo: 'mx', protocol: 'ESMTPS' },
        envelope: {
          reversePath: '',
          recipients: [
            {
              address: 'bob@example.com',
              received: 'bob@copy.example.com',
              orcpt: 'rfc822;bob@b\u00fccher.test',
              notify: ['NEVER'],
            },
            { address: 'Bob@example.com', received: 'Bob@example.com' },
          ],
          envid: 'QQ314159',
          ret: 'HDRS',
          smtpUtf8: true,
          body: '8BITMIME',
        },
        messageId: '<1@example.org>',
        eightBit: true,
        uid: UID,
        method: 'REQUEST',
        endsAtMs: NOW + HOUR,
        passes: 2,
        from: 'ann@example.org',
        references: ['invitation-1@example.com', 'thread@example.com'],
        verp: true,
        deliveredTo: ['bob@example.com', 'staff@example.com'],
        posted: { peer: 'cyrus', digest: 'abc' },
      });
      await store.accept([{ message: full, body: { kind: 'inline', bytes: CONTENT }, deliveries: [mail()] }]);
      expect(store.message('A1')?.message).toEqual(full);
    });

    test('a message with nothing optional is read back as it was given', async () => {
      await accept(incoming('A1'));
      expect(store.message('A1')?.message).toEqual(message('A1'));
    });

    test('the deliveries that are returned are those that are stored', async () => {
      const [accepted] = await store.accept([
        incoming(
          'A1',
          [post({ uid: UID, user: 'bob@example.com' }), mail({ position: 1, dueAt: NOW + 5, route: 'smart-host' })],
          {
            recipients: ['bob@example.com', 'eve@example.net'],
          },
        ),
      ]);
      const common = {
        queueId: 'A1',
        state: 'queued',
        createdAt: NOW,
        blocked: false,
        released: false,
        attempts: 0,
        answers: 0,
        heldMs: 0,
        decisions: [],
      };
      expect(accepted?.deliveries).toEqual([
        {
          ...common,
          id: expect.any(Number),
          position: 0,
          kind: 'post',
          route: 'calendar',
          recipient: 'bob@example.com',
          user: 'bob@example.com',
          uid: UID,
          dueAt: NOW,
        },
        {
          ...common,
          id: expect.any(Number),
          position: 1,
          kind: 'mail',
          route: 'smart-host',
          recipient: 'eve@example.net',
          dueAt: NOW + 5,
        },
      ]);
      expect(store.message('A1')?.deliveries).toEqual(accepted?.deliveries);
    });

    test('a post to a member of a list names him and his list', async () => {
      const members = ['bob@example.com', 'carol@example.com'].map((recipient) =>
        post({ uid: UID, user: recipient, recipient, list: 'staff@example.com' }),
      );
      const deliveries = await accept(incoming('A1', members, { recipients: ['Staff@example.com'] }));
      expect(deliveries.map(({ position, recipient, list }) => ({ position, recipient, list }))).toEqual([
        { position: 0, recipient: 'bob@example.com', list: 'staff@example.com' },
        { position: 0, recipient: 'carol@example.com', list: 'staff@example.com' },
      ]);
      expect(store.message('A1')?.deliveries).toEqual(deliveries);
      expect(store.list({ recipient: 'bob@example.com' }).map(({ id }) => id)).toEqual([deliveries[0]?.id]);
    });

    test('only what asks to be claimed is claimed, and no claim takes it a second time', async () => {
      const [accepted] = await store.accept([incoming('A1', [post({ uid: UID, claim: true }), mail()])]);
      expect([...(accepted?.claimed ?? [])]).toEqual([accepted?.deliveries[0]?.id]);
      expect(await claimedIds()).toEqual([accepted?.deliveries[1]?.id]);
    });

    test('several messages of one call are all stored or none is', async () => {
      const broken = incoming('A2', [mail({ position: 7 })]);
      await expect(store.accept([incoming('A1'), broken])).rejects.toThrow(RangeError);
      expect(store.message('A1')).toBeUndefined();
      expect(store.message('A2')).toBeUndefined();
    });

    test('a call that fails does not take concurrent ones with it', async () => {
      const calls = [incoming('A1'), incoming('A2', [mail({ position: 7 })]), incoming('A3')].map((one) =>
        store.accept([one]),
      );
      expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      expect(store.list({}).map(({ queueId }) => queueId)).toEqual(['A1', 'A3']);
    });

    test('a message without deliveries is a record only, without a body', async () => {
      await accept(incoming('A1', []));
      expect(store.message('A1')?.deliveries).toEqual([]);
      expect(await bodyIsGone('A1')).toBe(true);
    });

    test('a queue id that is taken is refused', async () => {
      await accept(incoming('A1'));
      await expect(store.accept([incoming('A1')])).rejects.toThrow();
    });
  });

  describe('an open post', () => {
    const table: readonly [title: string, earlier: string | undefined, later: string | undefined, blocked: boolean][] =
      [
        ['blocks a later one of the same user', 'bob@example.com', 'bob@example.com', true],
        ['does not block one of another user', 'bob@example.com', 'carol@example.com', false],
        ['of a user not known yet blocks everybody', undefined, 'carol@example.com', true],
        ['blocks a later one of a user not known yet', 'bob@example.com', undefined, true],
        ['of a user not known yet blocks one not known yet', undefined, undefined, true],
      ];
    test.each(table)('%s', async (_title, earlier, later, blocked) => {
      const [first] = await accept(postOf('A1', earlier));
      const [accepted] = await store.accept([postOf('A2', later, { claim: true })]);
      expect(accepted?.claimed.size).toBe(blocked ? 0 : 1);
      expect([accepted?.deliveries[0]?.blocked, stored(accepted!.deliveries[0]!.id)?.blocked]).toEqual([
        blocked,
        blocked,
      ]);
      expect(await claimedIds()).toEqual([first?.id]);
      await settle(first!.id, 'delivered');
      expect(stored(accepted!.deliveries[0]!.id)?.blocked).toBe(false);
      expect(await claimedIds()).toEqual(blocked ? [accepted?.deliveries[0]?.id] : []);
    });

    test('blocks while it waits to be tried again', async () => {
      const [first] = await accept(postOf('A1', 'bob@example.com', { claim: true }));
      await accept(postOf('A2', 'bob@example.com'));
      await settle(first!.id, 'queued', { dueAt: NOW + HOUR, outcome: DEFERRED });
      expect(await claimedIds()).toEqual([]);
      expect(store.nextDueAt()).toBe(NOW + HOUR);
    });

    test('blocks while it is held', async () => {
      const [first] = await accept(postOf('A1', 'bob@example.com', { claim: true }));
      await accept(postOf('A2', 'bob@example.com'));
      await settle(first!.id, 'held', { attempted: false });
      expect(await claimedIds()).toEqual([]);
      expect(store.nextDueAt()).toBeUndefined();
    });

    test('blocks no longer once it is held out of order, nor after its release', async () => {
      const [first] = await accept(postOf('A1', 'bob@example.com', { claim: true }));
      const [second] = await accept(postOf('A2', 'bob@example.com'));
      await settle(first!.id, 'held', { attempted: false, unordered: true });
      expect(await claimedIds()).toEqual([second?.id]);
      await store.operate('release', [first!.id], NOW);
      expect(await claimedIds()).toEqual([first?.id]);
    });

    test('waits for nothing once it is taken out of order', async () => {
      await accept(postOf('A1', 'bob@example.com', { claim: true }));
      const [second] = await accept(postOf('A2', 'bob@example.com'));
      await settle(second!.id, 'queued', { attempted: false, unordered: true, dueAt: NOW });
      expect(await claimedIds()).toEqual([second?.id]);
    });

    test.each(['settlement', 'operator'] as const)(
      'that was blocked is so no longer when its %s ends it',
      async (who) => {
        const [, second] = await accept(postOf('A1', 'bob@example.com'), postOf('A2', 'bob@example.com'));
        if (who === 'operator') await store.operate('delete', [second!.id], now);
        else await settle(second!.id, 'deleted', { attempted: false });
        expect(stored(second!.id)).toMatchObject({ state: 'deleted', blocked: false });
      },
    );

    test('does not block one of another UID, one without a UID, or any mail', async () => {
      await accept(postOf('A1', 'bob@example.com', { claim: true }));
      const others = await accept(
        postOf('A2', 'bob@example.com', { uid: 'other@example.org' }),
        incoming('A3', [post({ user: 'bob@example.com' }), mail()]),
      );
      expect(await claimedIds()).toEqual(others.map(({ id }) => id));
    });

    test('does not block the other posts of its message', async () => {
      const both = [post({ uid: UID, position: 0 }), post({ uid: UID, position: 1 })];
      const deliveries = await accept(incoming('A1', both, { recipients: ['bob@example.com', 'carol@example.com'] }));
      expect(await claimedIds()).toEqual(deliveries.map(({ id }) => id));
    });

    test('blocks a later message of the same call', async () => {
      const [first] = await accept(postOf('A1', undefined), postOf('A2', undefined));
      expect(await claimedIds()).toEqual([first?.id]);
    });

    test('lets three messages of one key go one after the other, in order of arrival', async () => {
      // The ids do not ascend: what counts is the order of acceptance.
      const order = await accept(
        postOf('C', 'bob@example.com'),
        postOf('A', 'bob@example.com'),
        postOf('B', 'bob@example.com'),
      );
      for (const { id } of order) {
        expect(await claimedIds()).toEqual([id]);
        await settle(id, 'delivered');
      }
    });

    test('blocks only its own user once the directory has said who that is', async () => {
      const [first] = await accept(postOf('A1', undefined, { claim: true }));
      const [, carols] = await accept(postOf('A2', 'bob@example.com'), postOf('A3', 'carol@example.com'));
      await settle(first!.id, 'queued', { dueAt: NOW + HOUR, user: 'bob@example.com' });
      expect(await claimedIds()).toEqual([carols?.id]);
    });

    test('that turns out to be of another user blocks what that user has waiting', async () => {
      const [first] = await accept(postOf('A1', 'bob@example.com', { claim: true }));
      const [bobs, carols] = await accept(postOf('A2', 'bob@example.com'), postOf('A3', 'carol@example.com'));
      await settle(first!.id, 'queued', { dueAt: NOW + HOUR, user: 'carol@example.com' });
      expect(await claimedIds()).toEqual([bobs?.id]);
      await settle(first!.id, 'delivered');
      expect(await claimedIds()).toEqual([carols?.id]);
    });

    test.each(['delete', 'fail'] as const)('blocks no longer after an operator’s %s', async (action) => {
      const [first] = await accept(postOf('A1', 'bob@example.com'));
      const [second] = await accept(postOf('A2', 'bob@example.com'));
      await store.operate(action, [first!.id], now, { outcome: FAILED, told: 'nobody', dsns: [] });
      expect(await claimedIds()).toEqual([second?.id]);
    });
  });

  describe('claiming', () => {
    test('takes what is due, oldest due first, and leaves what is not', async () => {
      const [late, early] = await accept(
        incoming('A1', [mail({ dueAt: NOW })]),
        incoming('A2', [mail({ dueAt: NOW - HOUR })]),
        incoming('A3', [mail({ dueAt: NOW + 1 })]),
      );
      expect(await claimedIds()).toEqual([early?.id, late?.id]);
    });

    test('takes at most so many messages, each with all that is due of it', async () => {
      const deliveries = await accept(
        incoming('A1', [post({ uid: UID }), mail(), mail({ dueAt: NOW + HOUR })]),
        incoming('A2', [mail({ dueAt: NOW })]),
      );
      expect(await store.claim(NOW, 1)).toEqual([{ message: message('A1'), deliveries: deliveries.slice(0, 2) }]);
      expect(await store.claim(NOW, 1)).toEqual([{ message: message('A2'), deliveries: deliveries.slice(3) }]);
      expect(await store.claim(NOW, 1)).toEqual([]);
    });

    test('takes nothing when nothing may be taken', async () => {
      await accept(incoming('A1'));
      expect(await store.claim(NOW, 0)).toEqual([]);
    });

    test('takes a lease that ran out, and not before', async () => {
      const [delivery] = await accept(incoming('A1', [mail({ claim: true })]));
      now = NOW + LEASE_MS - 1;
      expect(await claimedIds()).toEqual([]);
      now = NOW + LEASE_MS;
      expect(await claimedIds()).toEqual([delivery?.id]);
    });
  });

  describe('the next due time', () => {
    test('is undefined for an empty queue', () => {
      expect(store.nextDueAt()).toBeUndefined();
    });

    test('is the earliest of what is queued, a leased one when its lease runs out, and passes over what is blocked, held or final', async () => {
      const [leased, , held, final] = await accept(
        postOf('A1', 'bob@example.com', { claim: true }),
        postOf('A2', 'bob@example.com'),
        incoming('A3'),
        incoming('A4'),
        incoming('A5', [mail({ dueAt: NOW + HOUR })]),
        incoming('A6', [mail({ dueAt: NOW + 2 * HOUR })]),
      );
      await settle(held!.id, 'held');
      await settle(final!.id, 'delivered');
      expect(store.nextDueAt()).toBe(NOW + LEASE_MS);
      await settle(leased!.id, 'delivered');
      expect(store.nextDueAt()).toBe(NOW);
    });
  });

  describe('settling', () => {
    test('a deferred recipient is queued again with its outcome, and its delivered sibling is final', async () => {
      const [one, two] = await accept(
        incoming('A1', [mail(), mail({ position: 1 })], { recipients: ['bob@example.com', 'carol@example.com'] }),
      );
      await store.claim(now, 1);
      await store.settle(
        [
          { id: one!.id, state: 'queued', dueAt: NOW + MINUTE, outcome: DEFERRED, attempted: true },
          { id: two!.id, state: 'delivered', outcome: DELIVERED, attempted: true },
        ],
        [],
        now,
      );
      expect(stored(one!.id)).toMatchObject({
        state: 'queued',
        dueAt: NOW + MINUTE,
        outcome: DEFERRED,
        attempts: 1,
        answers: 0,
      });
      expect(stored(two!.id)).toMatchObject({ state: 'delivered', outcome: DELIVERED, attempts: 1, answers: 1 });
      now = NOW + MINUTE;
      expect(await claimedIds()).toEqual([one!.id]);
    });

    test('what was no attempt counts neither as attempt nor as answer', async () => {
      const [delivery] = await accept(incoming('A1'));
      await settle(delivery!.id, 'queued', { dueAt: NOW, attempted: false, outcome: DELIVERED });
      expect(stored(delivery!.id)).toMatchObject({ attempts: 0, answers: 0 });
    });

    test('an outcome, a user and a decision stay when later settlements name none', async () => {
      const [delivery] = await accept(incoming('A1', [post({ uid: UID })]));
      await settle(delivery!.id, 'queued', {
        outcome: DEFERRED,
        user: 'bob@example.com',
        decision: decision('home-server'),
        dueAt: NOW,
      });
      await settle(delivery!.id, 'held', { attempted: false });
      expect(stored(delivery!.id)).toMatchObject({
        outcome: DEFERRED,
        user: 'bob@example.com',
        decisions: [decision('home-server')],
      });
    });

    test('decisions are kept oldest first, and one that says the same takes the place of the latest', async () => {
      const [delivery] = await accept(incoming('A1', [post({ uid: UID })]));
      const decisions = [
        decision('moving', 'a'),
        decision('moving', 'b'),
        decision('home-server', 'c'),
        decision('moving', 'd'),
      ];
      for (const one of decisions) await settle(delivery!.id, 'queued', { decision: one, dueAt: NOW });
      expect(stored(delivery!.id)?.decisions).toEqual([
        decision('moving', 'b'),
        decision('home-server', 'c'),
        decision('moving', 'd'),
      ]);
    });

    test('decisions that alternate for ever are bounded, the first is kept', async () => {
      const [delivery] = await accept(incoming('A1', [post({ uid: UID })]));
      for (let i = 0; i < 50; i++)
        await settle(delivery!.id, 'queued', { decision: decision(`rule-${i}`), dueAt: NOW });
      const rules = stored(delivery!.id)?.decisions.map(({ rule }) => rule);
      expect(rules).toHaveLength(20);
      expect([rules?.[0], rules?.at(-1)]).toEqual(['rule-0', 'rule-49']);
    });

    test('time spent held is added up, over several holds', async () => {
      const [delivery] = await accept(incoming('A1'));
      await settle(delivery!.id, 'held');
      expect(stored(delivery!.id)).toMatchObject({ state: 'held', heldAt: NOW, heldMs: 0 });
      now = NOW + HOUR;
      await settle(delivery!.id, 'held'); // held still: since when does not change
      expect(stored(delivery!.id)).toMatchObject({ heldAt: NOW, heldMs: 0 });
      await store.operate('release', [delivery!.id], now);
      now = NOW + 2 * HOUR;
      await settle(delivery!.id, 'held');
      now = NOW + 4 * HOUR;
      await settle(delivery!.id, 'queued', { dueAt: now });
      expect(stored(delivery!.id)).toMatchObject({ state: 'queued', heldMs: 3 * HOUR });
      expect(stored(delivery!.id)?.heldAt).toBeUndefined();
    });

    test('a post starts when its first attempt is settled: what it waited and was held before does not age it', async () => {
      const [delivery] = await accept(postOf('A1', 'bob@example.com'));
      await settle(delivery!.id, 'held', { attempted: false });
      now = NOW + HOUR;
      await store.operate('resume', [delivery!.id], now);
      await settle(delivery!.id, 'queued', { attempted: false, dueAt: now });
      expect(stored(delivery!.id)).toMatchObject({ heldMs: HOUR });
      expect(stored(delivery!.id)?.startedAt).toBeUndefined();
      now = NOW + 2 * HOUR;
      await settle(delivery!.id, 'queued', { outcome: DEFERRED, dueAt: now });
      expect(stored(delivery!.id)).toMatchObject({ startedAt: NOW + 2 * HOUR, heldMs: 0 });
    });

    test('a post that has started keeps its start, and what it is held then is added up', async () => {
      const [delivery] = await accept(postOf('A1', 'bob@example.com'));
      await settle(delivery!.id, 'held', { outcome: DEFERRED });
      now = NOW + HOUR;
      await store.operate('resume', [delivery!.id], now);
      await settle(delivery!.id, 'queued', { outcome: DEFERRED, dueAt: now });
      expect(stored(delivery!.id)).toMatchObject({ startedAt: NOW, heldMs: HOUR, attempts: 2 });
    });

    test('mail ages from its acceptance: its attempts start nothing', async () => {
      const [delivery] = await accept(incoming('A1'));
      await settle(delivery!.id, 'queued', { outcome: DEFERRED, dueAt: NOW });
      expect(stored(delivery!.id)?.startedAt).toBeUndefined();
    });

    test('what is final already stays as it is', async () => {
      const [delivery] = await accept(incoming('A1'));
      await settle(delivery!.id, 'delivered', { outcome: DELIVERED });
      await settle(delivery!.id, 'queued', { outcome: DEFERRED, dueAt: NOW });
      expect(stored(delivery!.id)).toMatchObject({ state: 'delivered', outcome: DELIVERED, attempts: 1 });
      expect(await claimedIds()).toEqual([]);
    });

    test('DSNs are queued in the same transaction: one that cannot be stored undoes the settlement', async () => {
      const [delivery] = await accept(incoming('A1'));
      const failed: Settlement = { id: delivery!.id, state: 'failed', outcome: FAILED, told: 'dsn', attempted: true };
      await expect(store.settle([failed], [incoming('D1', [mail({ position: 3 })])], now)).rejects.toThrow(RangeError);
      expect(stored(delivery!.id)?.state).toBe('queued');
      await store.settle([failed], [incoming('D1', [mail({ claim: true })])], now);
      expect(stored(delivery!.id)).toMatchObject({ state: 'failed', outcome: FAILED, told: 'dsn' });
      // Whoever settles gets no claim, so nobody would attempt a DSN that was claimed.
      expect((await store.claim(now, 10)).map((claim) => claim.message.id)).toEqual(['D1']);
    });

    test.each(['delivered', 'skipped', 'deleted'] as const)(
      'the body goes when the last delivery is %s, the record stays',
      async (state) => {
        const [one, two] = await accept(incoming('A1', [post({ uid: UID }), mail()]));
        await settle(one!.id, state);
        expect(await store.body('A1')).toEqual(CONTENT);
        await settle(two!.id, state);
        expect(await bodyIsGone('A1')).toBe(true);
        expect(store.message('A1')?.deliveries.map((delivery) => delivery.state)).toEqual([state, state]);
      },
    );

    test('the body of a message with a held delivery stays', async () => {
      const [one, two] = await accept(incoming('A1', [post({ uid: UID }), mail()]));
      await settle(one!.id, 'held');
      await settle(two!.id, 'delivered');
      expect(await store.body('A1')).toEqual(CONTENT);
    });

    test('the body of a failed message stays until the failure has been told', async () => {
      const [delivery] = await accept(incoming('A1'));
      await settle(delivery!.id, 'failed', { outcome: FAILED });
      expect(await store.body('A1')).toEqual(CONTENT);
      await store.tell(new Map([[delivery!.id, 'dsn']]), [incoming('D1')]);
      expect(await bodyIsGone('A1')).toBe(true);
      expect(stored(delivery!.id)?.told).toBe('dsn');
      expect(store.message('D1')?.deliveries).toHaveLength(1);
    });

    test('telling drops no body while a sibling is open', async () => {
      const [one, two] = await accept(incoming('A1', [mail(), mail()]));
      await settle(one!.id, 'failed', { outcome: FAILED });
      await store.tell(new Map([[one!.id, 'reply']]), []);
      expect(await store.body('A1')).toEqual(CONTENT);
      await settle(two!.id, 'delivered');
      expect(await bodyIsGone('A1')).toBe(true);
    });
  });

  describe('expanding a list', () => {
    const BOB = member('bob@example.com');
    const CAROL = member('carol@example.com');

    /** A post to a member, as a settlement queues it. */
    function member(recipient: string, more: Partial<NewDelivery> = {}): NewDelivery {
      return post({ uid: UID, user: recipient, recipient, list: 'staff@example.com', ...more });
    }
    function toStaff(id: string, more: Partial<NewDelivery> = {}): NewMessage {
      return incoming(id, [post({ uid: UID, ...more })], { recipients: ['staff@example.com'] });
    }
    async function expand(id: number, ...expansion: readonly NewDelivery[]): Promise<void> {
      await settle(id, 'skipped', { attempted: false, expansion });
    }
    function blockedIds(): readonly string[] {
      return store
        .list({ states: ['queued', 'held'] })
        .flatMap((d) => (d.blocked ? [`${d.queueId} ${d.recipient}`] : []));
    }

    test('puts a post for each member in place of the list’s', async () => {
      const [list] = await accept(toStaff('A1', { claim: true }));
      now = NOW + MINUTE;
      await expand(list!.id, { ...BOB, dueAt: now, claim: true });
      const common = { queueId: 'A1', position: 0, kind: 'post', route: 'calendar', uid: UID, blocked: false };
      expect(store.message('A1')?.deliveries).toEqual([
        { ...list, state: 'skipped' },
        {
          ...common,
          id: expect.any(Number),
          state: 'queued',
          recipient: 'bob@example.com',
          list: 'staff@example.com',
          user: 'bob@example.com',
          createdAt: now,
          dueAt: now,
          released: false,
          attempts: 0,
          answers: 0,
          heldMs: 0,
          decisions: [],
        },
      ]);
      // Whoever settles gets no claim.
      expect(
        (await store.claim(now, 10)).map(({ deliveries }) => deliveries.map(({ recipient }) => recipient)),
      ).toEqual([['bob@example.com']]);
    });

    test('keeps the body until the last member has his post', async () => {
      const [list] = await accept(toStaff('A1'));
      await expand(list!.id, BOB, CAROL);
      for (const { id } of store.list({ states: ['queued'] })) {
        expect(await bodyIsGone('A1')).toBe(false);
        await settle(id, 'delivered');
      }
      expect(await bodyIsGone('A1')).toBe(true);
    });

    test('without members drops the body as any last settlement does', async () => {
      const [list] = await accept(toStaff('A1'));
      await expand(list!.id);
      expect(await bodyIsGone('A1')).toBe(true);
    });

    test('happens once: a list that is closed is not expanded again', async () => {
      const [list] = await accept(toStaff('A1'));
      await expand(list!.id, BOB);
      await expand(list!.id, BOB, CAROL);
      expect(store.message('A1')?.deliveries).toHaveLength(2);
    });

    test('is refused beside a state that is not final', async () => {
      const [list] = await accept(toStaff('A1'));
      await expect(settle(list!.id, 'queued', { expansion: [BOB] })).rejects.toThrow(TypeError);
      expect(store.message('A1')?.deliveries).toEqual([list]);
    });

    test('is all or nothing: a member at a position the envelope does not have undoes the settlement', async () => {
      const [list] = await accept(toStaff('A1'));
      await expect(expand(list!.id, BOB, member('carol@example.com', { position: 3 }))).rejects.toThrow(RangeError);
      expect(store.message('A1')?.deliveries).toEqual([list]);
    });

    test('lets later posts go to whoever is no member, and keeps members in order', async () => {
      const [list] = await accept(toStaff('A1'));
      const [bobs, eves] = await accept(postOf('A2', 'bob@example.com'), postOf('A3', 'eve@example.com'));
      expect(await claimedIds()).toEqual([list?.id]);
      await expand(list!.id, BOB);
      const [, bobsFirst] = store.message('A1')?.deliveries ?? [];
      expect(await claimedIds()).toEqual([eves?.id, bobsFirst?.id]);
      await settle(bobsFirst!.id, 'delivered');
      expect(await claimedIds()).toEqual([bobs?.id]);
    });

    test('makes a member wait for an earlier post of his, and the others not', async () => {
      const [earlier] = await accept(postOf('A1', 'bob@example.com'));
      // The list's own post waits for everybody's; an operator took it out of the order.
      const [list] = await accept(toStaff('A2'));
      await settle(list!.id, 'queued', { attempted: false, unordered: true, dueAt: NOW });
      await expand(list!.id, BOB, CAROL);
      expect(blockedIds()).toEqual(['A2 bob@example.com']);
      await settle(earlier!.id, 'delivered');
      expect(blockedIds()).toEqual([]);
    });

    test('blocks posts of later messages that are there already, of members and of users not known', async () => {
      const [list] = await accept(toStaff('A1'));
      await settle(list!.id, 'held', { attempted: false, unordered: true });
      await accept(postOf('A2', 'bob@example.com'), postOf('A3', 'eve@example.com'));
      await accept(incoming('A4', [post({ uid: 'other@example.org' })]));
      await accept(incoming('A5', [post({ uid: 'tea@example.org' })]));
      expect(blockedIds()).toEqual([]);
      await expand(list!.id, BOB, member('carol@example.com', { uid: 'tea@example.org' }));
      expect(blockedIds()).toEqual(['A2 bob@example.com', 'A5 bob@example.com']);
    });

    test('to a member the directory has not named blocks every later post', async () => {
      const [list] = await accept(toStaff('A1'));
      await settle(list!.id, 'held', { attempted: false, unordered: true });
      await accept(postOf('A2', 'bob@example.com'), postOf('A3', undefined));
      await expand(list!.id, post({ uid: UID, recipient: 'new@example.com', list: 'staff@example.com' }));
      expect(blockedIds()).toEqual(['A2 bob@example.com', 'A3 bob@example.com']);
    });
  });

  describe('a post that goes by mail instead', () => {
    const INSTEAD: NewDelivery = { position: 1, kind: 'mail', route: 'smart-host', dueAt: NOW, claim: false };

    async function relayed(): Promise<readonly Delivery[]> {
      return accept(
        incoming('A1', [post({ uid: UID }), post({ uid: UID, position: 1 })], {
          recipients: ['bob@example.com', 'eve@example.net'],
          message: { mode: 'relay', posted: { peer: 'cyrus', digest: 'abc' } },
        }),
      );
    }

    test('is replaced by the mail to the same recipient, which can be claimed at once', async () => {
      const [bobs, eves] = await relayed();
      now = NOW + MINUTE;
      await settle(bobs!.id, 'held', { attempted: false });
      await settle(eves!.id, 'skipped', { attempted: false, expansion: [INSTEAD] });
      const claims = await store.claim(now, 10);
      expect(claims.map(({ deliveries }) => deliveries)).toEqual([
        [
          {
            id: expect.any(Number),
            queueId: 'A1',
            position: 1,
            kind: 'mail',
            route: 'smart-host',
            state: 'queued',
            recipient: 'eve@example.net',
            createdAt: now,
            dueAt: NOW,
            blocked: false,
            released: false,
            attempts: 0,
            answers: 0,
            heldMs: 0,
            decisions: [],
          },
        ],
      ]);
    });

    test('lets later posts of its UID go: a mail stands in no order', async () => {
      const [, eves] = await relayed();
      await settle(eves!.id, 'skipped', { attempted: false, expansion: [INSTEAD] });
      const [later] = await accept(
        incoming('A2', [post({ uid: UID, user: 'eve@example.net' })], { recipients: ['eve@example.net'] }),
      );
      expect(later?.blocked).toBe(true); // behind the one to Bob, whom the directory has not named
      await settle(store.list({ recipient: 'bob@example.com' })[0]!.id, 'delivered');
      expect(stored(later!.id)?.blocked).toBe(false);
    });

    test('keeps the body until the mail has gone', async () => {
      const [bobs, eves] = await relayed();
      await settle(bobs!.id, 'delivered');
      await settle(eves!.id, 'skipped', { attempted: false, expansion: [INSTEAD] });
      expect(await bodyIsGone('A1')).toBe(false);
      await settle(store.list({ kind: 'mail' })[0]!.id, 'delivered');
      expect(await bodyIsGone('A1')).toBe(true);
    });
  });

  describe('a spelling', () => {
    const invited = { user: 'bob@example.com', uid: UID, invited: 'Bob.Brown@example.com' };

    test('is remembered for its user and UID, and for no other', async () => {
      const [one] = await accept(postOf('A1', 'bob@example.com'));
      await settle(one!.id, 'delivered', { spelling: invited });
      expect(store.spelling('bob@example.com', UID)).toBe('Bob.Brown@example.com');
      expect(store.spelling('bob@example.com', 'other@example.org')).toBeUndefined();
      expect(store.spelling('carol@example.com', UID)).toBeUndefined();
    });

    test('gives way to the one he was invited by last', async () => {
      const [one, two] = await accept(postOf('A1', 'bob@example.com'), postOf('A2', 'bob@example.com'));
      await settle(one!.id, 'delivered', { spelling: invited });
      await settle(two!.id, 'delivered', { spelling: { ...invited, invited: 'bob+work@example.com' } });
      expect(store.spelling('bob@example.com', UID)).toBe('bob+work@example.com');
    });

    test('of a post that is final already is not remembered', async () => {
      const [one] = await accept(postOf('A1', 'bob@example.com'));
      await settle(one!.id, 'delivered');
      await settle(one!.id, 'delivered', { spelling: invited });
      expect(store.spelling('bob@example.com', UID)).toBeUndefined();
    });
  });

  describe('the journal', () => {
    const BOB_INVITED = { address: 'Bob@example.org', partstat: 'NEEDS-ACTION' };
    const meeting: Meeting = {
      uid: UID,
      organizer: 'ann@example.com',
      attendees: [BOB_INVITED],
      told: { '': { title: 'Lunch' } },
      keepUntil: NOW + DAY,
    };
    const sending: Sending = {
      token: 't1',
      uid: UID,
      recurrenceIds: ['', '20261128T110000Z'],
      sequence: 2,
      method: 'REQUEST',
      attendee: 'Bob@example.org',
      organizer: 'ann@example.com',
      sentTo: 'Bob@mail.example.org',
      reversePath: 'ann@example.com',
      messageId: 'invitation-1@example.com',
      queueId: 'A1',
      sentAt: NOW,
      keepUntil: NOW + DAY,
    };
    let count = 0;
    async function learn(...entries: readonly JournalEntry[]): Promise<void> {
      for (const journal of entries) {
        const [one] = await accept(incoming(`J${count++}`));
        await settle(one!.id, 'delivered', { journal });
      }
    }

    test('holds a meeting and a sending as they were given, by UID and by token', async () => {
      await learn({ meeting, sending });
      expect(store.meeting(UID)).toEqual(meeting);
      expect(store.sendings(UID)).toEqual([sending]);
      expect(store.sending('t1')).toEqual(sending);
      expect([store.meeting('other'), store.sendings('other'), store.sending('other')]).toEqual([
        undefined,
        [],
        undefined,
      ]);
    });

    test('learns nothing from a delivery that is final already', async () => {
      const [one] = await accept(incoming('A1'));
      await settle(one!.id, 'delivered');
      await settle(one!.id, 'delivered', { journal: { meeting, sending } });
      expect([store.meeting(UID), store.sending('t1')]).toEqual([undefined, undefined]);
    });

    test('learns nothing from a settlement that is undone', async () => {
      const [one] = await accept(incoming('A1'));
      const settling = store.settle(
        [{ id: one!.id, state: 'delivered', attempted: true, journal: { meeting, sending } }],
        [incoming('A1')],
        now,
      );
      await expect(settling).rejects.toThrow();
      expect([store.meeting(UID), store.sending('t1')]).toEqual([undefined, undefined]);
    });

    test('adds attendees to those known, keeps their first spelling and takes the latest of everything else', async () => {
      await learn(
        { meeting },
        {
          meeting: {
            uid: UID,
            organizer: 'Ann@example.com',
            attendees: [{ address: 'bob@EXAMPLE.org', partstat: 'ACCEPTED' }, { address: 'eve@example.net' }],
            told: { '20261128T110000Z': { title: 'Late lunch' } },
            keepUntil: NOW,
          },
        },
        {
          meeting: { ...meeting, attendees: [{ address: 'eve@example.net', partstat: 'DECLINED' }], told: { '': 'x' } },
        },
      );
      expect(store.meeting(UID)).toEqual({
        uid: UID,
        organizer: 'ann@example.com',
        attendees: [
          { address: 'Bob@example.org', partstat: 'ACCEPTED' },
          { address: 'eve@example.net', partstat: 'DECLINED' },
        ],
        told: { '': 'x', '20261128T110000Z': { title: 'Late lunch' } },
        keepUntil: NOW + DAY,
      });
    });

    test('keeps apart what several organizers say under one UID, and finds the first where none is asked for', async () => {
      const evil = { ...meeting, organizer: 'Eve@example.net', attendees: [{ address: 'mallory@example.net' }] };
      await learn(
        { meeting },
        { meeting: evil },
        { answered: { uid: UID, organizer: 'eve@example.net', attendee: 'mallory@example.net', partstat: 'ACCEPTED' } },
        { answered: { uid: UID, organizer: 'else@example.com', attendee: 'bob@example.org', partstat: 'DECLINED' } },
      );
      expect(store.meeting(UID)?.attendees).toEqual([{ address: 'Bob@example.org', partstat: 'DECLINED' }]);
      expect(store.meeting(UID, 'ANN@example.com')).toEqual(store.meeting(UID));
      expect(store.meeting(UID, 'eve@example.net')?.attendees).toEqual([
        { address: 'mallory@example.net', partstat: 'ACCEPTED' },
      ]);
      expect(store.meeting(UID, 'else@example.com')).toBeUndefined();
    });

    test('takes the rest of the copies of a message for what they are: an answer to the first of them stays', async () => {
      const answered = { uid: UID, attendee: 'bob@example.org', partstat: 'ACCEPTED' };
      await learn({ meeting }, { answered }, { meeting: structuredClone(meeting) });
      expect(store.meeting(UID)?.attendees).toEqual([{ address: 'Bob@example.org', partstat: 'ACCEPTED' }]);
    });

    test('keeps the first sending of a token', async () => {
      await learn({ sending }, { sending: { ...sending, sentTo: 'else@example.org', sentAt: NOW + 1 } });
      expect(store.sendings(UID)).toEqual([sending]);
    });

    test('has an answer of an attendee, and adds a delegate and one who speaks for the first time', async () => {
      await learn(
        { meeting },
        { answered: { uid: UID, attendee: 'bob@example.org', partstat: 'DELEGATED', delegates: ['carl@example.org'] } },
        { answered: { uid: UID, attendee: 'dora@example.org', partstat: 'TENTATIVE' } },
        { answered: { uid: UID, attendee: 'bob@example.org' } },
        { answered: { uid: 'nobody knows it', attendee: 'bob@example.org', partstat: 'DECLINED' } },
      );
      expect(store.meeting(UID)?.attendees).toEqual([
        { address: 'Bob@example.org', partstat: 'DELEGATED' },
        { address: 'carl@example.org' },
        { address: 'dora@example.org', partstat: 'TENTATIVE' },
      ]);
      expect(store.meeting('nobody knows it')).toBeUndefined();
    });

    test('has room for whom the organizer invites, however many delegates answers name', async () => {
      const delegates = Array.from({ length: 6000 }, (_, index) => `delegate-${index}@example.org`);
      const later = { ...meeting, attendees: [{ address: 'late@example.org' }] };
      await learn({ meeting }, { answered: { uid: UID, attendee: 'bob@example.org', delegates } }, { meeting: later });
      expect(store.meeting(UID)?.attendees).toContainEqual({ address: 'late@example.org' });
    });

    test('has when the failure of a sending was first told', async () => {
      await learn({ sending });
      now = NOW + 1;
      await learn({ failed: { token: 't1' } });
      now = NOW + 2;
      await learn({ failed: { token: 't1' } }, { failed: { token: 'unknown' } });
      expect(store.sending('t1')).toEqual({ ...sending, failedAt: NOW + 1 });
    });

    test('gives the sendings under some Message-IDs or to some mailboxes, newest first', async () => {
      const more = (token: string, change: Partial<Sending>) => ({ sending: { ...sending, token, ...change } });
      await learn(
        more('bob', { messageId: 'm1' }),
        more('eve', { messageId: 'm2', sentTo: 'eve@example.net' }),
        more('both', { messageId: 'm2' }),
        more('another meeting', { uid: 'other', messageId: 'm2' }),
      );
      const found = (filter?: SendingFilter) => store.sendings(UID, filter).map(({ token }) => token);
      expect(found()).toEqual(['both', 'eve', 'bob']);
      expect(found({ messageIds: ['m2', 'm3'], sentTo: [] })).toEqual(['both', 'eve']);
      expect(found({ messageIds: [], sentTo: ['EVE@Example.net'] })).toEqual(['eve']);
      expect(found({ messageIds: ['m1'], sentTo: ['eve@example.net'] })).toEqual(['eve', 'bob']);
      expect(found({ messageIds: [], sentTo: [] })).toEqual([]);
    });

    test('finds one of thousands of sendings, and lists the newest hundreds', async () => {
      const [one, ...rest] = await accept(
        incoming(
          'A1',
          Array.from({ length: 1000 }, (_, position) => mail({ position })),
          { recipients: Array.from({ length: 1000 }, (_, i) => `a${i}@example.org`) },
        ),
      );
      await store.settle(
        [one!, ...rest].map(({ id, recipient }) => ({
          id,
          state: 'delivered' as const,
          attempted: true,
          journal: { sending: { ...sending, token: recipient, messageId: `${id}@x`, sentTo: recipient } },
        })),
        [],
        now,
      );
      expect(store.sendings(UID)).toHaveLength(300);
      expect(store.sendings(UID, { messageIds: [`${one!.id}@x`], sentTo: [] }).map(({ token }) => token)).toEqual([
        'a0@example.org',
      ]);
    });

    test('stays bounded: attendees, instances that were told, and the length of what was told', async () => {
      const crowd = Array.from({ length: 6000 }, (_, i) => ({ address: `a${i}@example.org` }));
      const instances = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`2026${1000 + i}T110000Z`, { i }]));
      await learn(
        { meeting: { ...meeting, attendees: crowd, told: { '': 'series' } } },
        { meeting: { ...meeting, told: instances } },
      );
      const known = store.meeting(UID);
      expect(known?.attendees).toHaveLength(5000);
      const told = Object.keys(known?.told ?? {});
      expect(told).toHaveLength(100);
      expect(told).toContain('');
      expect(told).toContain('20261199T110000Z');
      expect(told).not.toContain('20261000T110000Z');
      await learn({ meeting: { ...meeting, told: { '': 'x'.repeat(600_000), '20270101': 'short' } } });
      expect(Object.keys(store.meeting(UID)?.told ?? {})).toContain('20270101');
      expect(Object.keys(store.meeting(UID)?.told ?? {})).not.toContain('');
    });
  });

  describe('the ledger', () => {
    const rows: readonly [
      title: string,
      raised: Parameters<typeof ledgerRow>[0],
      kept: Parameters<typeof ledgerRow>[0],
    ][] = [
      [
        'is raised by a higher sequence, whatever its stamp',
        { sequence: 2, dtstamp: '20260101T000000Z', digest: 'two' },
        { sequence: 2, dtstamp: '20260101T000000Z', digest: 'two' },
      ],
      [
        'is raised by a later stamp of the same sequence',
        { dtstamp: '20261122T000000Z', digest: 'two' },
        { dtstamp: '20261122T000000Z', digest: 'two' },
      ],
      [
        'takes another digest of the same sequence and stamp',
        { digest: 'two', organizer: 'new@example.org' },
        { digest: 'two', organizer: 'new@example.org' },
      ],
      ['is not lowered by an earlier stamp', { dtstamp: '20261120T000000Z', digest: 'two' }, {}],
      [
        'is not lowered by a lower sequence',
        { sequence: 0, dtstamp: '20270101T000000Z', digest: 'two', organizer: 'new@example.org' },
        {},
      ],
    ];
    test.each(rows)('%s, and its last use is raised each time', async (_title, raised, kept) => {
      const [one, two] = await accept(incoming('A1', [post({ uid: UID }), mail()]));
      await settle(one!.id, 'delivered', { ledger: [ledgerRow()] });
      await settle(two!.id, 'delivered', { ledger: [ledgerRow({ ...raised, usedAt: NOW + HOUR })] });
      expect(store.ledger('bob@example.com', UID)).toEqual([ledgerRow({ ...kept, usedAt: NOW + HOUR })]);
    });

    test('keeps its last use when an older one is recorded later', async () => {
      const [one] = await accept(incoming('A1'));
      await settle(one!.id, 'delivered', { ledger: [ledgerRow(), ledgerRow({ usedAt: NOW - HOUR })] });
      expect(store.ledger('bob@example.com', UID)).toEqual([ledgerRow()]);
    });

    test('gives every row of the user and UID, and none of another', async () => {
      const mine = [
        ledgerRow(),
        ledgerRow({ author: 'carol@example.com' }),
        ledgerRow({ recurrenceId: '20261128T080000Z' }),
      ];
      const others = [ledgerRow({ user: 'carol@example.com' }), ledgerRow({ uid: 'other@example.org' })];
      const [one] = await accept(incoming('A1'));
      await settle(one!.id, 'delivered', { ledger: [...others, ...mine] });
      expect(store.ledger('bob@example.com', UID)).toEqual(mine);
      expect(store.ledger('nobody@example.com', UID)).toEqual([]);
    });
  });

  describe('bodies', () => {
    const SIZES = [0, 999, 1000, 1001, 300_000];
    test.each(SIZES)(
      'of %i bytes are read back whole, at once and as a stream, and go when they are settled',
      async (size) => {
        const bytes = Buffer.alloc(size, 'imip');
        const writer = store.openBody();
        for (let at = 0; at < size; at += 700) await writer.write(bytes.subarray(at, at + 700));
        const body = await writer.finish();
        expect(body.kind).toBe(size <= 1000 ? 'inline' : 'spool');
        const [delivery] = await accept(incoming('A1', [mail()], { body }));
        expect((await store.body('A1')).equals(bytes)).toBe(true);
        expect((await buffer(store.bodyStream('A1'))).equals(bytes)).toBe(true);
        await settle(delivery!.id, 'delivered');
        expect(await bodyIsGone('A1')).toBe(true);
        expect(() => store.bodyStream('A1')).toThrow('the body of message A1 is gone');
      },
    );

    test('that were given up leave nothing', async () => {
      const writer = store.openBody();
      await writer.write(Buffer.alloc(5000));
      const body = await writer.finish();
      await writer.abort();
      await writer.abort();
      await accept(incoming('A1', [mail()], { body }));
      expect(await bodyIsGone('A1')).toBe(true);
    });

    test('of a message nobody knows are refused', async () => {
      await expect(store.body('A1')).rejects.toThrow('knows no message A1');
      expect(() => store.bodyStream('A1')).toThrow('knows no message A1');
    });
  });

  describe('looking', () => {
    test('an unknown message is undefined', () => {
      expect(store.message('A1')).toBeUndefined();
    });

    test('a list is filtered by state, recipient and kind, in order of arrival, and limited', async () => {
      const [a, b, c, d] = await accept(
        incoming('A1', [post({ uid: UID }), mail()]),
        incoming('A2', [mail()], { recipients: ['carol@example.com'] }),
        incoming('A3', [mail()]),
      );
      await settle(c!.id, 'held');
      await settle(d!.id, 'delivered');
      const ids = (filter: Parameters<Store['list']>[0]): readonly number[] => store.list(filter).map(({ id }) => id);
      expect(ids({})).toEqual([a!.id, b!.id, c!.id, d!.id]);
      expect(ids({ states: ['queued', 'held'] })).toEqual([a!.id, b!.id, c!.id]);
      expect(ids({ recipient: 'Bob@Example.com' })).toEqual([a!.id, b!.id, d!.id]);
      expect(ids({ kind: 'mail', recipient: 'bob@example.com', states: ['queued'] })).toEqual([b!.id]);
      expect(ids({ limit: 2 })).toEqual([a!.id, b!.id]);
      expect(store.list({ states: ['held'] })).toEqual([
        { ...stored(c!.id), message: message('A2', ['carol@example.com']) },
      ]);
    });

    test('a list by rule has those whose latest decision is by it', async () => {
      const [was, is, open] = await accept(
        ...['A1', 'A2', 'A3', 'A4'].map((id, n) => incoming(id, [post({ user: `user${n}@example.com` })])),
      );
      for (const one of [was, is]) await settle(one!.id, 'held', { attempted: false, decision: decision('moving') });
      await settle(open!.id, 'queued', { attempted: false, dueAt: NOW, decision: decision('moving') });
      await settle(was!.id, 'held', { attempted: false, decision: decision('not-attendee') });
      const ids = (filter: Parameters<Store['list']>[0]): readonly number[] => store.list(filter).map(({ id }) => id);
      expect(ids({ rule: 'moving' })).toEqual([is?.id, open?.id]);
      expect(ids({ rule: 'moving', states: ['held'], kind: 'post' })).toEqual([is?.id]);
      expect(ids({ rule: 'not-attendee' })).toEqual([was?.id]);
      expect(ids({ rule: 'home-server' })).toEqual([]);
    });

    test('counts are of what is open, by kind and state', async () => {
      const [, , held, done] = await accept(
        incoming('A1', [post(), mail()]),
        incoming('A2', [post()]),
        incoming('A3', [mail()]),
      );
      await settle(held!.id, 'held');
      await settle(done!.id, 'delivered');
      expect(store.counts()).toEqual({ 'post.queued': 1, 'post.held': 1, 'mail.queued': 1, 'mail.held': 0 });
    });

    test('who got posts of a Message-ID before is known, of the latest five thousand', async () => {
      const same = { message: { messageId: '<probe@example.com>' } };
      const [first] = await accept(incoming('A', [post(), mail()], same));
      await accept(incoming('B', [mail()], same), incoming('C', [post()]), incoming('D', [post()], same));
      expect(store.passedTo('<probe@example.com>')).toEqual([first!.recipient, first!.recipient]);
      expect(store.passedTo('<probe@example.com>', 'D')).toEqual([first!.recipient]);
      expect(store.passedTo('<probe@example.com>', 'A')).toEqual([]);
      const flood = Array.from({ length: 60 }, (_, index) =>
        incoming(
          `F${index}`,
          Array.from({ length: 100 }, () => post()),
          same,
        ),
      );
      await accept(...flood);
      expect(store.passedTo('<probe@example.com>')).toHaveLength(5000);
    });

    test('posts of a peer are found by their id, newest first and no more than twenty', async () => {
      const posted = (id: string, peer: string, digest: string, messageId = 'one'): NewMessage =>
        incoming(id, [post()], { message: { mode: 'relay', messageId, posted: { peer, digest } } });
      await accept(
        posted('A1', 'cyrus', 'abc'),
        posted('A2', 'cyrus', 'def'),
        posted('A3', 'davical', 'abc'),
        posted('A4', 'cyrus', 'abc', 'two'),
        incoming('A5', [post()], { message: { messageId: 'one' } }),
      );
      expect(store.posted('cyrus', 'one').map(({ id, posted }) => [id, posted])).toEqual([
        ['A2', { peer: 'cyrus', digest: 'def' }],
        ['A1', { peer: 'cyrus', digest: 'abc' }],
      ]);
      expect(store.posted('apple', 'one')).toEqual([]);
      await accept(...Array.from({ length: 3000 }, (_, n) => posted(`B${n}`, 'cyrus', `digest ${n}`)));
      const ids = store.posted('cyrus', 'one').map(({ id }) => id);
      expect(ids).toEqual(Array.from({ length: 20 }, (_, n) => `B${2999 - n}`));
    });

    test('messages are found by their Message-ID, oldest first', async () => {
      const same = { message: { messageId: '<probe@example.com>' } };
      await accept(
        incoming('B', [mail()], same),
        incoming('C', [mail()], { message: { messageId: '<x@example.com>' } }),
        incoming('A', [mail()], same),
      );
      expect(store.byMessageId('<probe@example.com>').map(({ id }) => id)).toEqual(['B', 'A']);
      expect(store.byMessageId('<none@example.com>')).toEqual([]);
    });
  });

  describe('an operator', () => {
    async function oneOfEach(): Promise<Record<'queued' | 'leased' | 'held' | 'final', number>> {
      const [queued, leased, held, final] = await accept(
        incoming('A1', [mail({ dueAt: NOW + HOUR })]),
        incoming('A2', [mail({ claim: true })]),
        incoming('A3'),
        incoming('A4'),
      );
      await settle(held!.id, 'held');
      await settle(final!.id, 'delivered');
      return { queued: queued!.id, leased: leased!.id, held: held!.id, final: final!.id };
    }
    const failure = { outcome: FAILED, told: 'dsn' as const, dsns: [incoming('D1')] };

    test('retries what is queued, due now', async () => {
      const { queued, ...others } = await oneOfEach();
      expect(await store.operate('retry', [queued, ...Object.values(others)], now)).toEqual(new Set([queued]));
      expect(stored(queued)?.dueAt).toBe(NOW);
    });

    test('releases what is held, due now', async () => {
      const { held, ...others } = await oneOfEach();
      now = NOW + HOUR;
      expect(await store.operate('release', [...Object.values(others), held], now)).toEqual(new Set([held]));
      expect(stored(held)).toMatchObject({ state: 'queued', dueAt: now, heldMs: HOUR, released: true });
    });

    test('releases what is blocked where it stands: it still waits, and when', async () => {
      const [first] = await accept(postOf('A1', 'bob@example.com'));
      const [blocked] = await accept(postOf('A2', 'bob@example.com', { dueAt: NOW - MINUTE }));
      now = NOW + HOUR;
      expect(await store.operate('release', [first!.id, blocked!.id], now)).toEqual(new Set([blocked!.id]));
      expect(stored(blocked!.id)).toEqual({ ...blocked, released: true, message: message('A2') });
      expect(stored(first!.id)?.released).toBe(false);
      expect(await claimedIds()).toEqual([first?.id]);
    });

    test('resumes what is held, due now, without the mark of a release, and nothing else', async () => {
      const { held, ...others } = await oneOfEach();
      const [, blocked] = await accept(postOf('B1', 'bob@example.com'), postOf('B2', 'bob@example.com'));
      now = NOW + HOUR;
      expect(await store.operate('resume', [...Object.values(others), held, blocked!.id], now)).toEqual(
        new Set([held]),
      );
      expect(stored(held)).toMatchObject({ state: 'queued', dueAt: now, heldMs: HOUR, released: false });
    });

    test('leaves the mark of a release through later settlements', async () => {
      const { held } = await oneOfEach();
      await store.operate('release', [held], now);
      await settle(held, 'held', { attempted: false });
      await store.operate('resume', [held], now);
      expect(stored(held)?.released).toBe(true);
    });

    test('deletes what is open, without a word, and its body', async () => {
      const { queued, held, ...others } = await oneOfEach();
      expect(await store.operate('delete', [queued, held, ...Object.values(others)], now)).toEqual(
        new Set([queued, held]),
      );
      expect(stored(queued)).toMatchObject({ state: 'deleted' });
      expect(stored(queued)?.told).toBeUndefined();
      expect(await bodyIsGone('A1')).toBe(true);
      expect(await store.body('A2')).toEqual(CONTENT);
    });

    test('fails what is open, told as he says, with the DSNs of it', async () => {
      const { queued, held, leased, final } = await oneOfEach();
      expect(await store.operate('fail', [queued, held], now, failure)).toEqual(new Set([queued, held]));
      expect(stored(held)).toMatchObject({ state: 'failed', outcome: FAILED, told: 'dsn' });
      expect([stored(leased)?.state, stored(final)?.state]).toEqual(['queued', 'delivered']);
      expect(store.message('D1')).toBeDefined();
    });

    test('fails nothing when the DSN names one that an attempt holds', async () => {
      const { queued, leased } = await oneOfEach();
      expect(await store.operate('fail', [queued, leased], now, failure)).toEqual(new Set());
      expect(stored(queued)?.state).toBe('queued');
      expect(store.message('D1')).toBeUndefined();
    });

    test('can change what was leased once the lease has run out', async () => {
      const { leased } = await oneOfEach();
      now = NOW + LEASE_MS;
      expect(await store.operate('delete', [leased], now)).toEqual(new Set([leased]));
    });

    test('changes nothing of a delivery that does not exist', async () => {
      expect(await store.operate('delete', [4711], now)).toEqual(new Set());
    });
  });

  describe('sweeping', () => {
    test('deletes records past their time, of plain mail sooner, and never what is open', async () => {
      const plain = { message: { calendar: false } };
      const deliveries = await accept(
        incoming('PLAIN', [mail()], plain),
        incoming('INVITATION'),
        incoming('OPEN', [mail()], plain),
        incoming('NONE', [], plain),
      );
      for (const { id, queueId } of deliveries) if (queueId !== 'OPEN') await settle(id, 'delivered');
      const left = (): readonly string[] =>
        ['PLAIN', 'INVITATION', 'OPEN', 'NONE'].filter((id) => store.message(id) !== undefined);
      await store.sweep(NOW + DAY, KEEP);
      expect(left()).toEqual(['PLAIN', 'INVITATION', 'OPEN', 'NONE']);
      await store.sweep(NOW + DAY + 1, KEEP);
      expect(left()).toEqual(['INVITATION', 'OPEN']);
      await store.sweep(NOW + 7 * DAY + 1, KEEP);
      expect(left()).toEqual(['OPEN']);
      expect(store.list({}).map(({ queueId }) => queueId)).toEqual(['OPEN']);
    });

    test('deletes ledger rows by their last use', async () => {
      const [one] = await accept(incoming('A1'));
      await settle(one!.id, 'delivered', {
        ledger: [ledgerRow(), ledgerRow({ author: 'carol@example.com', usedAt: NOW + DAY })],
      });
      await store.sweep(NOW + 400 * DAY + 1, KEEP);
      expect(store.ledger('bob@example.com', UID).map(({ author }) => author)).toEqual(['carol@example.com']);
    });

    test('deletes spellings with the ledger’s time, by their last use', async () => {
      const [one, two] = await accept(postOf('A1', 'bob@example.com'), postOf('A2', 'carol@example.com'));
      const spelling = (user: string) => ({ user, uid: UID, invited: 'staff@example.com' });
      await settle(one!.id, 'delivered', { spelling: spelling('bob@example.com') });
      now = NOW + DAY;
      await settle(two!.id, 'delivered', { spelling: spelling('carol@example.com') });
      await store.sweep(NOW + 400 * DAY + 1, KEEP);
      expect(store.spelling('bob@example.com', UID)).toBeUndefined();
      expect(store.spelling('carol@example.com', UID)).toBe('staff@example.com');
    });

    test('deletes meetings and sendings once the time that they are kept is over', async () => {
      const meeting = (uid: string, keepUntil: number): Meeting => ({
        ...{ uid, organizer: 'ann@example.com', attendees: [], told: {}, keepUntil },
      });
      const sending = (token: string, keepUntil: number): Sending => ({
        ...{ token, uid: UID, recurrenceIds: [''], method: 'REQUEST', attendee: 'a@b.test', organizer: 'c@d.test' },
        ...{ sentTo: 'a@b.test', reversePath: '', messageId: 'm@x', queueId: 'A1', sentAt: NOW, keepUntil },
      });
      const [one, two] = await accept(incoming('A1'), incoming('A2'));
      await settle(one!.id, 'delivered', {
        journal: { meeting: meeting('early', NOW), sending: sending('early', NOW) },
      });
      await settle(two!.id, 'delivered', {
        journal: { meeting: meeting('late', NOW + 1), sending: sending('late', NOW + 1) },
      });
      await store.sweep(NOW + 1, KEEP);
      expect(['early', 'late'].map((uid) => store.meeting(uid)?.uid)).toEqual([undefined, 'late']);
      expect(['early', 'late'].map((token) => store.sending(token)?.token)).toEqual([undefined, 'late']);
    });

    test('deletes more than one transaction takes', async () => {
      await accept(...Array.from({ length: 450 }, (_, i) => incoming(`A${i}`, [])));
      await store.sweep(NOW + 8 * DAY, KEEP);
      expect(store.message('A0')).toBeUndefined();
      expect(store.message('A449')).toBeUndefined();
    });

    test('keeps the file of a large body that is still to be delivered', async () => {
      const writer = store.openBody();
      await writer.write(Buffer.alloc(5000));
      await accept(incoming('A1', [mail()], { body: await writer.finish() }));
      await store.sweep(Date.now() + 30 * DAY, KEEP);
      expect(await store.body('A1')).toHaveLength(5000);
    });

    test('deletes the file of a large body that nobody owns', async () => {
      const writer = store.openBody();
      await writer.write(Buffer.alloc(5000));
      const body = await writer.finish();
      await store.sweep(Date.now() + 2 * HOUR, KEEP);
      await accept(incoming('A1', [mail()], { body }));
      expect(await bodyIsGone('A1')).toBe(true);
    });
  });

  describe('queue ids', () => {
    test('are letters and digits, unique and ascending, also within one millisecond and when the clock goes back', () => {
      const ids = [
        ...Array.from({ length: 3000 }, () => store.newId(NOW)),
        store.newId(NOW - DAY),
        store.newId(NOW + DAY),
      ];
      expect(ids.every((id) => /^[0-9A-Z]+$/.test(id))).toBe(true);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.toSorted()).toEqual(ids);
    });
  });

  describe('a restart', () => {
    async function restart(): Promise<void> {
      await store[Symbol.asyncDispose]();
      store = await open(folder, { inlineBytes: 1000, clock: () => now });
    }

    test('finds messages, deliveries, bodies and ledger as they were', async () => {
      const [one] = await accept(incoming('A1', [post({ uid: UID }), mail()]));
      await settle(one!.id, 'queued', {
        dueAt: NOW + HOUR,
        outcome: DEFERRED,
        decision: decision('home-server'),
        ledger: [ledgerRow()],
      });
      const before = store.message('A1');
      await restart();
      expect(store.message('A1')).toEqual(before);
      expect(await store.body('A1')).toEqual(CONTENT);
      expect(store.ledger('bob@example.com', UID)).toEqual([ledgerRow()]);
    });

    test('gives back the leases of the process before', async () => {
      const [one] = await accept(incoming('A1', [mail({ claim: true })]));
      expect(await claimedIds()).toEqual([]);
      await restart();
      expect(await claimedIds()).toEqual([one?.id]);
    });

    test('takes failures whose session died for told to nobody', async () => {
      const [filter, final, copy, expired] = await accept(
        incoming('A1'),
        incoming('A2', [mail()], { message: { mode: 'final' } }),
        incoming('A3', [mail()], { message: { mode: 'copy' } }),
        incoming('A4'),
      );
      for (const { id } of [filter!, final!, copy!]) await settle(id, 'failed', { outcome: FAILED });
      await settle(expired!.id, 'expired', { outcome: DEFERRED, told: 'dsn' });
      await restart();
      expect(store.list({}).map(({ told }) => told)).toEqual(['nobody', 'nobody', 'nobody', 'dsn']);
      expect(await bodyIsGone('A1')).toBe(true);
    });

    test('makes no queue id that sorts before one in the queue, even when the clock went back', async () => {
      const before = store.newId(NOW);
      await accept(incoming(before));
      await restart();
      expect(store.newId(NOW - DAY) > before).toBe(true);
    });
  });
});
