import { describe, expect, test } from 'vitest';
import { MovePoller } from '../../../src/flow/moves.ts';
import { judgeRcpt } from '../../../src/flow/rcpt.ts';
import { invitationMail } from '../../integration/invitations.ts';
import { DAY, DEFERRED, DELIVERED, HOUR, MINUTE } from '../queue/samples.ts';
import { openScene, person, type Scene } from './scene.ts';

const BOB = person('bob@example.com');
const MOVING = { ...BOB, moving: true, movingBy: 'mailUserStatus=hold' };
const UID = 'review@example.org';

/** Bob is being moved, and three messages about one event have come for him. */
async function openMove(): Promise<Scene & { readonly ids: readonly string[] }> {
  const scene = await openScene();
  scene.people.push(MOVING);
  const ids: string[] = [];
  for (const [sequence, method] of (['REQUEST', 'REQUEST', 'CANCEL'] as const).entries()) {
    scene.world.now += MINUTE;
    const dtstamp = `2030010${sequence + 1}T080000Z`;
    const event = { uid: UID, organizer: 'olga@example.org', attendees: [BOB.mail], method, sequence, dtstamp };
    ids.push(await scene.arrive(invitationMail(event), [BOB.mail]));
    await scene.work();
  }
  return Object.assign(scene, { ids });
}

function pollerOf(scene: Scene): MovePoller {
  return new MovePoller({
    use: (job) => job(scene.context),
    log: scene.context.log,
    pollMs: () => MINUTE,
    holdLimitMs: () => DAY,
  });
}

const statesOf = ({ ids, post }: Scene & { readonly ids: readonly string[] }): unknown[] =>
  ids.map((id) => post(id, BOB.mail)?.state);
const eventsOf = ({ lines }: Scene): unknown[] => lines.filter(({ event }) => event !== undefined);

describe('while a user is being moved', () => {
  test('his posts wait in order, and his mail goes on annotated', async () => {
    await using scene = await openMove();
    expect(statesOf(scene)).toEqual(['held', 'queued', 'queued']);
    expect(scene.ids.map((id) => scene.post(id, BOB.mail)?.blocked)).toEqual([false, true, true]);
    expect(scene.posts).toEqual([]);
    expect(scene.mails).toHaveLength(3);
    for (const { prepend } of scene.mails) expect(prepend).toMatch(/action=pending/);
    expect(scene.mails[0]?.prepend).toMatch(/reason=moving/);
  });

  test('a message to his calendar alone is taken and held, not refused', async () => {
    await using scene = await openScene();
    scene.people.push({
      ...MOVING,
      status: [{ scope: 'calendar', attribute: 'icsAllowedServiceAccess', value: '-http:all' }],
    });
    const listener = {
      name: 'rooms',
      protocol: 'smtp',
      mode: 'final',
      origin: 'outside',
      copyDomains: new Map(),
    } as const;
    const recipient = { address: BOB.mail, received: BOB.mail };
    const never = new AbortController().signal;
    expect(await judgeRcpt(scene.context, listener, recipient, never)).toEqual({ kind: 'accepted', recipient });
    const event = { uid: UID, organizer: 'olga@example.org', attendees: [BOB.mail], method: 'REQUEST' } as const;
    const id = await scene.arrive(invitationMail(event), [BOB.mail], { mode: 'final' });
    await scene.work();
    expect(scene.post(id, BOB.mail)).toMatchObject({ state: 'held', decisions: [{ rule: 'moving' }] });
  });

  test('a round looks past the cache and changes nothing', async () => {
    await using scene = await openMove();
    scene.asked.length = 0;
    await pollerOf(scene).poll();
    expect(scene.asked).toEqual(['fresh bob@example.com']);
    expect(statesOf(scene)).toEqual(['held', 'queued', 'queued']);
    expect(eventsOf(scene)).toEqual([]);
  });

  test('a directory that does not answer has not said that the move ended', async () => {
    await using scene = await openMove();
    scene.people.splice(0, 1, BOB);
    scene.world.silent = true;
    await pollerOf(scene).poll();
    expect(statesOf(scene)).toEqual(['held', 'queued', 'queued']);
  });

  test('a person can let the posts go', async () => {
    await using scene = await openMove();
    const ids = scene.ids.map((id) => scene.post(id, BOB.mail)?.id ?? 0);
    await scene.store.operate('release', ids, scene.world.now);
    await scene.work();
    expect(scene.posts.map(({ method }) => method)).toEqual(['REQUEST', 'REQUEST', 'CANCEL']);
  });
});

describe('when the move has ended', () => {
  test('the posts go to the back end he then has, in order', async () => {
    await using scene = await openMove();
    scene.people.splice(0, 1, BOB);
    const before = scene.world.pokes;
    await pollerOf(scene).poll();
    expect(scene.world.pokes).toBe(before + 1);
    expect(eventsOf(scene)).toEqual([{ level: 'info', event: 'move-ended', to: BOB.mail, posts: 1 }]);
    await scene.work();
    expect(statesOf(scene)).toEqual(['delivered', 'delivered', 'delivered']);
    expect(scene.posts.map(({ method, content }) => [method, /SEQUENCE:\d/.exec(content.toString())?.[0]])).toEqual([
      ['REQUEST', 'SEQUENCE:0'],
      ['REQUEST', 'SEQUENCE:1'],
      ['CANCEL', 'SEQUENCE:2'],
    ]);
    expect(scene.post(scene.ids[0]!, BOB.mail)?.decisions.map(({ rule }) => rule)).toEqual(['moving', 'post']);
  });

  test('the posts of many users and events go on, each of a user in order', async () => {
    await using scene = await openScene();
    const users = Array.from({ length: 50 }, (_, index) => person(`user${index}@example.com`, { moving: true }));
    scene.people.push(...users);
    for (const uid of ['a@example.org', 'b@example.org']) {
      for (const sequence of [0, 1]) {
        const dtstamp = `2030010${sequence + 1}T080000Z`;
        const attendees = users.map(({ mail }) => mail);
        const event = { uid, organizer: 'olga@example.org', attendees, method: 'REQUEST', sequence, dtstamp } as const;
        await scene.arrive(invitationMail(event), attendees);
      }
    }
    await scene.work();
    scene.people.splice(0, 50, ...users.map((user) => ({ ...user, moving: false })));
    await pollerOf(scene).poll();
    await scene.work();
    const got = new Map<string, string[]>();
    for (const { recipients, content } of scene.posts) {
      const [, uid = ''] = /UID:(.*)\r/.exec(content.toString()) ?? [];
      const [, sequence = ''] = /SEQUENCE:(.*)\r/.exec(content.toString()) ?? [];
      for (const one of recipients) got.set(`${one} ${uid}`, [...(got.get(`${one} ${uid}`) ?? []), sequence]);
    }
    expect(got.size).toBe(100);
    expect(new Set([...got.values()].map((one) => one.join()))).toEqual(new Set(['0,1']));
  });

  test('back to a server that takes no posts, they are dropped with a record', async () => {
    await using scene = await openMove();
    scene.people.splice(0, 1, { ...BOB, calendar: false });
    await pollerOf(scene).poll();
    await scene.work();
    expect(statesOf(scene)).toEqual(['skipped', 'skipped', 'skipped']);
    expect(scene.mails).toHaveLength(3);
  });

  test('and nobody or two have the address, the posts are decided anew', async () => {
    await using scene = await openMove();
    scene.people.length = 0;
    await pollerOf(scene).poll();
    await scene.work();
    expect(scene.ids.map((id) => scene.post(id, BOB.mail)?.decisions.at(-1)?.rule)).toEqual([
      'unknown-recipient',
      'unknown-recipient',
      'unknown-recipient',
    ]);
  });

  test('a post has its whole lifetime, however long it was held', async () => {
    await using scene = await openMove();
    scene.world.now += 3 * DAY;
    scene.people.splice(0, 1, BOB);
    scene.world.answer = DEFERRED;
    await pollerOf(scene).poll();
    await scene.work();
    expect(scene.post(scene.ids[0]!, BOB.mail)).toMatchObject({ state: 'queued', attempts: 1, heldMs: 0 });
    scene.world.now += 11 * HOUR;
    await scene.work();
    scene.world.answer = DELIVERED;
    scene.world.now += HOUR;
    await scene.work();
    expect(statesOf(scene)).toEqual(['delivered', 'delivered', 'delivered']);
  });

  test('a post that stood behind another starts to age at its own first attempt', async () => {
    await using scene = await openMove();
    scene.people.splice(0, 1, BOB);
    scene.world.answer = DEFERRED;
    await pollerOf(scene).poll();
    await scene.work();
    scene.world.now += 13 * HOUR;
    await scene.work();
    expect(statesOf(scene)).toEqual(['expired', 'queued', 'queued']);
    expect(scene.post(scene.ids[1]!, BOB.mail)).toMatchObject({ attempts: 1, startedAt: scene.world.now });
  });
});

describe('a hold that outlasts its limit', () => {
  test('raises one alarm, whatever it waits for', async () => {
    await using scene = await openMove();
    const poller = pollerOf(scene);
    await poller.poll();
    expect(eventsOf(scene)).toEqual([]);
    scene.world.now += 2 * DAY;
    await poller.poll();
    await poller.poll();
    expect(eventsOf(scene)).toEqual([
      {
        level: 'warn',
        event: 'held-too-long',
        alarm: true,
        queueId: scene.ids[0],
        to: BOB.mail,
        rule: 'moving',
        reason: 'moving',
        heldMs: 2 * DAY + 2 * MINUTE,
      },
    ]);
  });
});

describe('the rounds', () => {
  test('begin at the start, go on after a failure, and end when they are stopped', async () => {
    await using scene = await openMove();
    let rounds = 0;
    const third = Promise.withResolvers<void>();
    const poller = new MovePoller({
      use: async (job) => {
        rounds++;
        if (rounds === 1) throw new Error('a bug');
        if (rounds === 3) third.resolve();
        return job(scene.context);
      },
      log: scene.context.log,
      pollMs: () => 1,
      holdLimitMs: () => DAY,
    });
    poller.start();
    await third.promise;
    await poller.stop();
    const ended = rounds;
    scene.people.splice(0, 1, BOB);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(rounds).toBe(ended);
    expect(scene.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(statesOf(scene)).toEqual(['held', 'queued', 'queued']);
  });

  test('that are stopped in the middle release nobody else', async () => {
    await using scene = await openMove();
    scene.people.splice(0, 1, BOB);
    const asked = Promise.withResolvers<void>();
    const lookup: typeof scene.context.directory.lookup = (_, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ kind: 'no-answer', reason: 'aborted' }));
        asked.resolve();
      });
    const poller = new MovePoller({
      use: (job) => job({ ...scene.context, directory: { ...scene.context.directory, lookup } }),
      log: scene.context.log,
      pollMs: () => MINUTE,
      holdLimitMs: () => DAY,
    });
    poller.start();
    await asked.promise;
    await poller.stop();
    expect(statesOf(scene)).toEqual(['held', 'queued', 'queued']);
  });
});
