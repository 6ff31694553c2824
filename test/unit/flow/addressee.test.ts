import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Outbound } from '../../../src/imip/mail.ts';
import { type EventFields, invitationMail, plainMail } from '../../integration/invitations.ts';
import { DAY, DEFERRED, MINUTE } from '../queue/samples.ts';
import { openScene, person, type Scene, SITE } from './scene.ts';

const OUTBOUND: Outbound = {
  address: 'calendar@example.com',
  name: 'Example calendar',
  fromDomains: new Set(['example.com']),
  secret: Buffer.alloc(32, 7),
  language: 'en',
  languages: new Map(),
  journalMs: 90 * DAY,
  unknownUid: 'post',
};
const GATEWAY = OUTBOUND.address;
const ANN = 'ann@example.com';
const BEN = 'ben@customer.test';
const OLGA = 'olga@example.org';
const UID = 'planning@example.com';

const event = (method: EventFields['method'], more: Partial<EventFields> = {}): EventFields => ({
  uid: UID,
  organizer: ANN,
  attendees: [OLGA],
  method,
  ...more,
});

let scene: Scene;
beforeEach(async () => {
  scene = await openScene(SITE, { outbound: OUTBOUND });
  scene.people.push(person(ANN));
});
afterEach(async () => scene[Symbol.asyncDispose]());

/** A calendar server of ours has invited Olga. */
async function invite(organizer = ANN): Promise<void> {
  const mail = invitationMail(event('REQUEST', { organizer }));
  await scene.arrive(mail, [OLGA], { origin: 'inside', reversePath: organizer });
  await scene.work();
  scene.mails.length = 0;
}

/** What became of a message: `post ann@example.com: delivered`. */
async function take(mail: string, recipients: readonly string[]): Promise<readonly string[]> {
  const id = await scene.arrive(mail, recipients);
  await scene.work();
  const { deliveries = [] } = scene.store.message(id) ?? {};
  return deliveries.map(({ kind, recipient, state }) => `${kind} ${recipient}: ${state}`);
}

describe('an answer that comes to the mailbox of the gateway', () => {
  test('is posted to the organizer of the meeting, who gets the mail, too', async () => {
    await invite();
    const mail = invitationMail(event('REPLY'));
    expect(await take(mail, ['Calendar@example.com'])).toEqual([`post ${ANN}: delivered`, `mail ${ANN}: delivered`]);
    expect(scene.posts.map(({ originator, recipients }) => [originator, recipients])).toEqual([[OLGA, [ANN]]]);
    expect(scene.mails).toEqual([
      {
        prepend: expect.stringMatching(/^iMIP-Gateway-Status: [^;]+; recipient=ann@example\.com;\s+action=posted;/m),
        from: OLGA,
        to: [ANN],
        body: mail,
      },
    ]);
  });

  test.each(['COUNTER', 'REFRESH'])('as %s goes to the organizer', async (method) => {
    await invite();
    const mail = invitationMail(event('REPLY')).replaceAll(/(METHOD[:=])REPLY/gi, `$1${method}`);
    const id = await scene.arrive(mail, [GATEWAY]);
    await scene.work();
    expect(scene.mails.map(({ to }) => to)).toEqual([[ANN]]);
    // Cyrus takes neither.
    expect(scene.post(id, ANN)?.decisions.map(({ rule }) => rule)).toEqual([
      expect.stringMatching(/^(?!not-|unknown)/),
    ]);
  });

  test('without ORGANIZER gets him back', async () => {
    await invite();
    const mail = invitationMail(event('REPLY')).replace(/ORGANIZER:.*\r\n/, '');
    expect(await take(mail, [GATEWAY])).toEqual([`post ${ANN}: delivered`, `mail ${ANN}: delivered`]);
    expect(scene.posts[0]?.content.toString()).toContain(`ORGANIZER:mailto:${ANN}`);
  });

  test('to one of two meetings of one UID is for the organizer whose invitation it answers', async () => {
    await invite();
    await invite(BEN);
    const named = (organizer: string) => invitationMail(event('REPLY', { organizer }));
    const parent = `In-Reply-To: <${UID}.REQUEST.0.${BEN}>\r\nMIME-Version`;
    const unnamed = named(BEN)
      .replace(/ORGANIZER:.*\r\n/, '')
      .replace('MIME-Version', parent);
    for (const mail of [named(ANN), named(BEN), unnamed]) await take(mail, [GATEWAY]);
    expect(scene.mails.map(({ to }) => to)).toEqual([[ANN], [BEN], [BEN]]);
  });

  test('is in the journal as any other', async () => {
    await invite();
    await take(invitationMail(event('REPLY')), [GATEWAY]);
    expect(scene.store.meeting(UID)?.attendees).toEqual([{ address: OLGA, partstat: 'ACCEPTED' }]);
  });

  test('is for the organizer at a later attempt as well', async () => {
    await invite();
    scene.world.answer = DEFERRED;
    await take(invitationMail(event('REPLY')), [GATEWAY]);
    scene.world.answer = { kind: 'delivered', status: '2.0.0', reason: 'ok' };
    scene.world.now += 2 * MINUTE;
    await scene.work();
    expect(scene.posts.map(({ recipients }) => recipients)).toEqual([[ANN], [ANN]]);
    expect(scene.store.meeting(UID)?.attendees).toEqual([{ address: OLGA, partstat: 'ACCEPTED' }]);
  });

  test('of a meeting whose organizer is elsewhere goes on to him by mail, as it came', async () => {
    await invite(BEN);
    const mail = invitationMail(event('REPLY', { organizer: BEN }));
    expect(await take(mail, [GATEWAY])).toEqual([`post ${BEN}: skipped`, `mail ${BEN}: delivered`]);
    expect(scene.mails).toEqual([
      { prepend: expect.not.stringContaining('iMIP-Gateway-Status'), from: OLGA, to: [BEN], body: mail },
    ]);
  });

  test('by somebody who was not invited goes to the organizer as mail alone', async () => {
    await invite();
    const mail = invitationMail(event('REPLY', { attendees: ['eve@example.net'] }));
    expect(await take(mail, [GATEWAY])).toEqual([`post ${ANN}: skipped`, `mail ${ANN}: delivered`]);
    expect(scene.posts).toEqual([]);
  });

  test('and to its organizer reaches him once', async () => {
    await invite();
    const states = await take(invitationMail(event('REPLY')), [GATEWAY, ANN]);
    expect(states).toEqual([`post ${ANN}: delivered`, `mail ${ANN}: delivered`]);
    expect(scene.mails.map(({ to }) => to)).toEqual([[ANN]]);
  });

  test('is mail like any other when the journal does not hold its meeting', async () => {
    const mail = invitationMail(event('REPLY', { uid: 'other@example.com' }));
    await invite();
    expect(await take(mail, [GATEWAY])).toEqual([`post ${GATEWAY}: skipped`, `mail ${GATEWAY}: delivered`]);
    expect(scene.posts).toEqual([]);
  });

  test('is mail like any other when its organizer is the gateway itself, by whatever address', async () => {
    for (const [uid, organizer] of [
      ['a@x', 'CALENDAR@example.com'],
      ['b@x', 'calendar+room@example.com'],
    ] as const) {
      const more = { organizer, uid };
      await scene.arrive(invitationMail(event('REQUEST', more)), [OLGA], { origin: 'inside', reversePath: ANN });
      await scene.work();
      expect(await take(invitationMail(event('REPLY', more)), [GATEWAY])).toEqual([
        `post ${GATEWAY}: skipped`,
        `mail ${GATEWAY}: delivered`,
      ]);
    }
  });

  test('a second time, sent back by the mailbox of the organizer, is not posted again', async () => {
    await invite();
    const mail = invitationMail(event('REPLY'));
    await take(mail, [GATEWAY]);
    const back = `Delivered-To: ${ANN}\r\n${scene.mails[0]?.prepend ?? ''}${mail}`;
    expect(await take(back, [GATEWAY])).toEqual([`post ${ANN}: skipped`, `mail ${ANN}: delivered`]);
    expect(scene.posts).toHaveLength(1);
    expect(scene.lines.map(({ level, ownReceived }) => [level, ownReceived])).toContainEqual(['warn', 1]);
  });
});

describe('other mail to the mailbox of the gateway', () => {
  test.each([
    ['a person’s', plainMail({ from: OLGA, to: GATEWAY, id: 'a.1@example.org' }), [`mail ${GATEWAY}: delivered`]],
    [
      'an invitation',
      invitationMail(event('REQUEST', { sequence: 1 })),
      [`post ${GATEWAY}: skipped`, `mail ${GATEWAY}: delivered`],
    ],
  ])('as %s stays there', async (_, mail, expected) => {
    await invite();
    expect(await take(mail, [GATEWAY])).toEqual(expected);
    expect(scene.posts).toEqual([]);
  });
});
