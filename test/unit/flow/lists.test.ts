import { describe, expect, test } from 'vitest';
import { calendarObject, type EventFields, invitationMail } from '../../integration/invitations.ts';
import { DELIVERED, FAILED } from '../queue/samples.ts';
import { group, NORTH, openScene, person, type Scene } from './scene.ts';

const OLGA = 'olga@example.org';
const BOB = person('bob@example.com', { addresses: ['bob@example.com', 'robert@example.com'] });
const CARA = person('cara@example.com');
const STAFF = group('staff@example.com', { addresses: ['staff@example.com', 'everybody@example.com'] });

const event = (attendees: readonly string[], more: Partial<EventFields> = {}): EventFields => ({
  uid: 'review@example.org',
  organizer: OLGA,
  attendees,
  method: 'REQUEST',
  ...more,
});

/** Bob and Cara are the staff, with somebody of outside. */
async function openStaff(): Promise<Scene> {
  const scene = await openScene();
  scene.people.push(BOB, CARA, STAFF);
  scene.members.set(STAFF.mail, { kind: 'members', entries: [BOB, CARA], addresses: ['zoe@example.net'] });
  return scene;
}

const attendeesOf = (content: Buffer): string[] =>
  content
    .toString()
    .replaceAll('\r\n ', '')
    .split('\r\n')
    .filter((line) => line.startsWith('ATTENDEE'))
    .map((line) => line.replace(/;(?:PARTSTAT|RSVP|CUTYPE|ROLE)=[^:;]*/g, ''));

describe('a list that arrives unexpanded', () => {
  test('gets its mail once, unaltered, and each member with a calendar a post of his own', async () => {
    await using scene = await openStaff();
    const id = await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com']);
    await scene.work();
    expect(scene.mails.map(({ to }) => to)).toEqual([['staff@example.com']]);
    expect(scene.mails[0]?.prepend).not.toMatch(/iMIP-Gateway-Status|X-MEETING/);
    expect(scene.posts.map(({ recipients, content }) => [recipients, attendeesOf(content)])).toEqual([
      [
        ['bob@example.com'],
        ['ATTENDEE:mailto:staff@example.com', 'ATTENDEE;MEMBER="mailto:staff@example.com":mailto:bob@example.com'],
      ],
      [
        ['cara@example.com'],
        ['ATTENDEE:mailto:staff@example.com', 'ATTENDEE;MEMBER="mailto:staff@example.com":mailto:cara@example.com'],
      ],
    ]);
    expect(scene.store.message(id)?.deliveries).toMatchObject([
      { kind: 'post', recipient: 'staff@example.com', state: 'skipped', told: 'nobody' },
      { kind: 'mail', recipient: 'staff@example.com', state: 'delivered' },
      { kind: 'post', recipient: 'bob@example.com', list: 'staff@example.com', state: 'delivered', told: 'nobody' },
      { kind: 'post', recipient: 'cara@example.com', list: 'staff@example.com', state: 'delivered', told: 'nobody' },
    ]);
  });

  test('is expanded by the queue and not before: nothing is asked but whose address it is', async () => {
    await using scene = await openStaff();
    await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com']);
    expect(scene.asked).toEqual(['lookup staff@example.com']);
    await scene.work();
    expect(scene.asked.slice(1)).toEqual([
      'lookup staff@example.com',
      'expand staff@example.com',
      'lookup bob@example.com',
      'lookup cara@example.com',
      'lookup staff@example.com',
      'expand staff@example.com',
    ]);
  });

  test('writes a log line for each member that names it', async () => {
    await using scene = await openStaff();
    await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com']);
    await scene.work();
    const posted = scene.lines.filter(({ channel }) => channel === 'ischedule');
    expect(posted.map(({ to, list, outcome, reason }) => [to, list, outcome, reason])).toEqual([
      ['staff@example.com', undefined, 'skipped', 'expanded, members to post to: 2'],
      ['bob@example.com', 'staff@example.com', 'delivered', 'taken'],
      ['cara@example.com', 'staff@example.com', 'delivered', 'taken'],
    ]);
  });

  test('makes duplicates of what the MTA brings for the same members afterwards', async () => {
    await using scene = await openStaff();
    const mail = invitationMail(event(['staff@example.com']));
    await scene.arrive(mail, ['staff@example.com']);
    await scene.work();
    const expanded = `Delivered-To: staff@example.com\r\nReceived: from mx by gateway.example.com (imipd)\r\n${mail}`;
    const id = await scene.arrive(expanded, ['bob@example.com']);
    await scene.work();
    expect(scene.post(id, 'bob@example.com')).toMatchObject({
      state: 'skipped',
      decisions: [{ rule: 'duplicate' }],
    });
    expect(scene.posts).toHaveLength(2);
  });

  test('that restricts who may send to it makes no posts, and is not expanded', async () => {
    await using scene = await openStaff();
    const facts = { memberDns: [], memberAddresses: [], memberUrls: [], restrictedBy: 'mgrpAllowedBroadcaster' };
    scene.people.splice(2, 1, { ...STAFF, group: facts });
    await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com']);
    await scene.work();
    expect(scene.posts).toEqual([]);
    expect(scene.mails.map(({ to }) => to)).toEqual([['staff@example.com']]);
    expect(scene.asked).not.toContain('expand staff@example.com');
  });

  test('with a list inside that restricts who may send makes no posts: its mail server has not let this through', async () => {
    await using scene = await openStaff();
    const restrictedBy = 'mgrpModerator of cn=board';
    scene.members.set(STAFF.mail, { kind: 'members', entries: [BOB, CARA], addresses: [], restrictedBy });
    const id = await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com']);
    await scene.work();
    expect(scene.post(id, 'staff@example.com')?.decisions).toMatchObject([{ rule: 'list-restricted' }]);
    expect(scene.posts).toEqual([]);
  });

  test('is expanded though the object names it by a sub-address', async () => {
    await using scene = await openStaff();
    await scene.arrive(invitationMail(event(['staff+q3@example.com'])), ['staff@example.com']);
    await scene.work();
    expect(scene.posts.map(({ content }) => attendeesOf(content).at(-1))).toEqual([
      'ATTENDEE;MEMBER="mailto:staff+q3@example.com":mailto:bob@example.com',
      'ATTENDEE;MEMBER="mailto:staff+q3@example.com":mailto:cara@example.com',
    ]);
  });

  test('beside another one makes one post for who is in both', async () => {
    await using scene = await openStaff();
    scene.people.push(group('board@example.com'));
    scene.members.set('board@example.com', { kind: 'members', entries: [BOB], addresses: [] });
    const lists = ['staff@example.com', 'board@example.com'];
    await scene.arrive(invitationMail(event(lists)), lists);
    await scene.work();
    expect(scene.posts.map(({ recipients }) => recipients)).toEqual([['bob@example.com'], ['cara@example.com']]);
  });

  test('waits for the posts beside it: who is invited himself and by the list gets one', async () => {
    await using scene = await openStaff();
    const begun = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const poster = scene.context.poster(NORTH);
    const slow: typeof poster = {
      ...poster,
      deliver: async (batch, signal) => {
        begun.resolve();
        await answered.promise;
        return poster.deliver(batch, signal);
      },
    };
    Object.assign(scene.context, { poster: () => slow });
    const both = ['bob@example.com', 'staff@example.com'];
    const id = await scene.arrive(invitationMail(event(both)), both);
    const working = scene.work();
    await begun.promise;
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const meanwhile = scene.store.message(id)?.deliveries.map(({ recipient }) => recipient);
    answered.resolve();
    await working;
    expect(new Set(meanwhile)).toEqual(new Set(both));
    expect(scene.posts.map(({ recipients }) => recipients)).toEqual([['bob@example.com'], ['cara@example.com']]);
  });

  test('is expanded from a copy listener too', async () => {
    await using scene = await openStaff();
    await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com'], { mode: 'copy' });
    await scene.work();
    expect(scene.posts.map(({ recipients }) => recipients)).toEqual([['bob@example.com'], ['cara@example.com']]);
    expect(scene.mails).toEqual([]);
  });

  test('waits while the directory cannot say who is in it; its mail does not', async () => {
    await using scene = await openStaff();
    scene.members.set(STAFF.mail, { kind: 'no-answer', reason: 'time is up' });
    const id = await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com']);
    await scene.work();
    expect(scene.post(id, 'staff@example.com')).toMatchObject({ state: 'queued', outcome: { status: '4.4.3' } });
    expect(scene.mails).toHaveLength(1);
  });

  test('whose CANCEL comes while its REQUEST waits posts both to each member, in order', async () => {
    await using scene = await openStaff();
    scene.members.set(STAFF.mail, { kind: 'no-answer', reason: 'time is up' });
    await scene.arrive(invitationMail(event(['staff@example.com'])), ['staff@example.com']);
    await scene.work();
    scene.members.set(STAFF.mail, { kind: 'members', entries: [BOB], addresses: [] });
    scene.world.now += 1000;
    const cancel = event(['staff@example.com'], { method: 'CANCEL', sequence: 1, dtstamp: '20300102T080000Z' });
    await scene.arrive(invitationMail(cancel), ['staff@example.com']);
    await scene.work();
    expect(scene.posts).toEqual([]);
    scene.world.now += 60 * 60_000;
    await scene.work();
    expect(scene.posts.map(({ method, recipients }) => [method, recipients])).toEqual([
      ['REQUEST', ['bob@example.com']],
      ['CANCEL', ['bob@example.com']],
    ]);
    expect(scene.posts.map(({ content }) => attendeesOf(content).at(-1))).toEqual([
      'ATTENDEE;MEMBER="mailto:staff@example.com":mailto:bob@example.com',
      'ATTENDEE;MEMBER="mailto:staff@example.com":mailto:bob@example.com',
    ]);
  });
});

describe('a list that was expanded on the way', () => {
  const mail = invitationMail(event(['staff@example.com']));
  const MEMBER = 'ATTENDEE;MEMBER="mailto:staff@example.com":mailto:bob@example.com';

  for (const [title, content, orcpt] of [
    ['ORCPT', mail, 'rfc822;staff@example.com'],
    ['ORCPT, by another of its addresses', mail, 'rfc822;everybody@example.com'],
    ['Delivered-To', `Delivered-To: staff@example.com\r\n${mail}`, undefined],
  ] as const) {
    test(`is found by ${title}, and its member confirmed in the directory`, async () => {
      await using scene = await openStaff();
      await scene.arrive(content, ['bob@example.com'], orcpt === undefined ? {} : { orcpt });
      await scene.work();
      expect(scene.posts.map(({ recipients, content }) => [recipients, attendeesOf(content).at(-1)])).toEqual([
        [['bob@example.com'], MEMBER],
      ]);
      expect(scene.mails[0]?.prepend).toContain('action=posted');
    });
  }

  test('makes no post for somebody who is not in it', async () => {
    await using scene = await openStaff();
    scene.members.set(STAFF.mail, { kind: 'members', entries: [CARA], addresses: [] });
    const id = await scene.arrive(mail, ['bob@example.com'], { orcpt: 'rfc822;staff@example.com' });
    await scene.work();
    expect(scene.post(id, 'bob@example.com')?.decisions).toMatchObject([{ rule: 'not-attendee' }]);
    expect(scene.posts).toEqual([]);
  });

  test('is expanded once for all its members in one message', async () => {
    await using scene = await openStaff();
    await scene.arrive(mail, ['bob@example.com', 'cara@example.com'], { orcpt: 'rfc822;staff@example.com' });
    await scene.work();
    expect(scene.posts).toHaveLength(2);
    expect(scene.asked.filter((one) => one.endsWith('staff@example.com'))).toEqual([
      'lookup staff@example.com',
      'expand staff@example.com',
    ]);
  });

  test('is not asked about when the recipient is invited himself, nor when the object invites no such list', async () => {
    await using scene = await openStaff();
    await scene.arrive(invitationMail(event(['staff@example.com', 'bob@example.com'])), ['bob@example.com'], {
      orcpt: 'rfc822;staff@example.com',
    });
    await scene.arrive(
      `Delivered-To: staff@example.com\r\n${invitationMail(event(['zoe@example.net'], { uid: 'other@example.org' }))}`,
      ['cara@example.com'],
    );
    await scene.work();
    expect(scene.asked.filter((one) => one.startsWith('expand'))).toEqual([]);
  });

  test('of another domain is never asked about', async () => {
    await using scene = await openStaff();
    const foreign = invitationMail(event(['all@example.net']));
    await scene.arrive(foreign, ['bob@example.com'], { orcpt: 'rfc822;all@example.net' });
    await scene.work();
    expect(new Set(scene.asked)).toEqual(new Set(['lookup bob@example.com']));
  });
});

describe('the Delivered-To fields of a message', () => {
  test('are kept with it: ten mailboxes at most, each once, none that is no address', async () => {
    await using scene = await openStaff();
    const fields = [
      'Delivered-To: Staff@Example.COM',
      'Delivered-To: <all@bücher.example>',
      'Delivered-To: mailing list all@example.org',
      'Delivered-To: nobody',
      'delivered-to: Staff@example.com',
      ...Array.from({ length: 12 }, (_, index) => `Delivered-To: list${index}@example.org`),
    ];
    const id = await scene.arrive(`${fields.join('\r\n')}\r\n${invitationMail(event([BOB.mail]))}`, [BOB.mail]);
    expect(scene.store.message(id)?.message.deliveredTo).toEqual([
      'Staff@example.com',
      'all@xn--bcher-kva.example',
      ...Array.from({ length: 8 }, (_, index) => `list${index}@example.org`),
    ]);
  });
});

describe('a recipient who was invited by another address than his calendar server knows', () => {
  test('gets a copy for the address it knows, and his REPLY leaves with the one that was invited', async () => {
    await using scene = await openStaff();
    const map = [{ domain: 'example.org', url: 'https://calendar.example.org/ischedule', line: 1 }];
    const homes = { ...scene.context.policy.homes, domainMap: map };
    Object.assign(scene.context, { policy: { ...scene.context.policy, homes } });
    await scene.arrive(invitationMail(event(['robert@example.com'])), ['robert@example.com']);
    await scene.work();
    expect(attendeesOf(scene.posts[0]!.content)).toEqual(['ATTENDEE:mailto:bob@example.com']);
    expect(scene.store.spelling('bob@example.com', 'review@example.org')).toBe('robert@example.com');

    const reply = event(['bob@example.com'], { method: 'REPLY', dtstamp: '20300103T080000Z' });
    await scene.arrive(invitationMail(reply), [OLGA], { origin: 'inside' });
    await scene.work();
    expect(scene.posts[1]).toMatchObject({ originator: 'robert@example.com', recipients: [OLGA] });
    expect(scene.posts[1]?.content.toString()).toBe(calendarObject({ ...reply, attendees: ['robert@example.com'] }));
  });

  test('and by the one it knows later on replies with that', async () => {
    await using scene = await openStaff();
    await scene.arrive(invitationMail(event(['robert@example.com'])), ['robert@example.com']);
    await scene.work();
    const update = event(['bob@example.com'], { sequence: 1, dtstamp: '20300102T080000Z' });
    await scene.arrive(invitationMail(update), ['bob@example.com']);
    await scene.work();
    expect(scene.store.spelling('bob@example.com', 'review@example.org')).toBe('bob@example.com');
  });
});

describe('a message that comes back', () => {
  const first = invitationMail(event(['bob@example.com']));
  const OURS = 'Received: from mx by gateway.example.com (imipd) with ESMTP id X\r\n';

  test('is held for a person while its mail goes on, and posted when he lets it go', async () => {
    await using scene = await openStaff();
    scene.world.answer = FAILED;
    await scene.arrive(first, ['bob@example.com']);
    await scene.work();
    scene.world.answer = DELIVERED;
    const id = await scene.arrive(`${OURS}${first}`, ['bob@example.com']);
    await scene.work();
    const held = scene.post(id, 'bob@example.com');
    expect(held).toMatchObject({ state: 'held', decisions: [{ rule: 'came-back', alarm: true }] });
    expect(scene.mails).toHaveLength(2);
    await scene.store.operate('release', [held!.id], scene.world.now);
    await scene.work();
    expect(scene.post(id, 'bob@example.com')).toMatchObject({ state: 'delivered', released: true });
  });

  test('after it was posted is a duplicate', async () => {
    await using scene = await openStaff();
    await scene.arrive(first, ['bob@example.com']);
    const id = await scene.arrive(`${OURS}${first}`, ['bob@example.com']);
    await scene.work();
    expect(scene.post(id, 'bob@example.com')).toMatchObject({ state: 'skipped', decisions: [{ rule: 'duplicate' }] });
  });

  test('for another recipient than it went to has not been here for him', async () => {
    await using scene = await openStaff();
    const both = invitationMail(event(['bob@example.com', 'cara@example.com']));
    await scene.arrive(both, ['bob@example.com']);
    await scene.work();
    const id = await scene.arrive(`${OURS}${both}`, ['cara@example.com']);
    await scene.work();
    expect(scene.post(id, 'cara@example.com')?.state).toBe('delivered');
  });

  test('by a list that went the same way has not come back: he was invited twice', async () => {
    await using scene = await openStaff();
    const homes = { backEnds: new Map(), domainMap: [], defaultBackEnd: { ...NORTH, profile: 'oracle-v6' as const } };
    Object.assign(scene.context, { policy: { ...scene.context.policy, homes } });
    const both = invitationMail(event(['bob@example.com', 'staff@example.com']));
    await scene.arrive(both, ['bob@example.com', 'staff@example.com']);
    await scene.work();
    const expanded = await scene.arrive(`${OURS}${both}`, ['bob@example.com'], { orcpt: 'rfc822;staff@example.com' });
    const looping = await scene.arrive(`${OURS}${both}`, ['bob@example.com']);
    await scene.work();
    expect(scene.post(expanded, 'bob@example.com')?.decisions).toMatchObject([{ rule: 'by-mail' }]);
    expect(scene.post(looping, 'bob@example.com')?.decisions).toMatchObject([{ rule: 'came-back' }]);
  });
});
