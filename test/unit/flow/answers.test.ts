import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { examine } from '../../../src/itip/extract.ts';
import { type EventFields, invitationMail } from '../../integration/invitations.ts';
import { openScene, person, type Scene } from './scene.ts';

const BOB = person('bob@example.com');
const OLGA = 'olga@example.org';
const UID = 'planning@example.com';

const event = (method: 'REQUEST' | 'REPLY', more: Partial<EventFields> = {}): EventFields => ({
  uid: UID,
  organizer: BOB.mail,
  attendees: [OLGA],
  method,
  ...more,
});

/** Bob's calendar server has invited Olga, by mail through us. */
async function openInvited(more: Partial<EventFields> = {}): Promise<Scene> {
  const scene = await openScene();
  scene.people.push(BOB);
  await scene.arrive(invitationMail(event('REQUEST', more)), [OLGA], { origin: 'inside', reversePath: BOB.mail });
  await scene.work();
  return scene;
}

/** What the one post of an answer says, and by which rule. */
async function answer(
  scene: Scene,
  mail: string,
): Promise<{ readonly rule: string | undefined; readonly post: string }> {
  const id = await scene.arrive(mail, [BOB.mail]);
  await scene.work();
  const rule = scene.post(id, BOB.mail)?.decisions.at(-1)?.rule;
  return { rule, post: scene.posts.at(-1)?.content.toString() ?? '' };
}
const partstats = (scene: Scene) => scene.store.meeting(UID)?.attendees;

describe('an answer from outside to an invitation that left here', () => {
  test('is posted, and the journal knows what he said', async () => {
    await using scene = await openInvited();
    expect(partstats(scene)).toEqual([{ address: OLGA, partstat: 'NEEDS-ACTION' }]);
    expect(await answer(scene, invitationMail(event('REPLY')))).toMatchObject({ rule: 'post' });
    expect(partstats(scene)).toEqual([{ address: OLGA, partstat: 'ACCEPTED' }]);
  });

  test('is posted with the ORGANIZER that it lacks, once', async () => {
    await using scene = await openInvited();
    const lacking = invitationMail(event('REPLY')).replace(/ORGANIZER:.*\r\n/, '');
    const { rule, post } = await answer(scene, lacking);
    expect([rule, post.match(/^ORGANIZER.*$/gm)]).toEqual(['post', ['ORGANIZER:mailto:bob@example.com']]);
    expect(scene.store.ledger(BOB.mail, UID)).toMatchObject([{ author: OLGA, organizer: BOB.mail }]);
    expect((await answer(scene, lacking)).rule).toBe('duplicate');
  });

  test('is posted for whom was invited when an alias answers that very mail', async () => {
    await using scene = await openInvited();
    const mail = invitationMail(event('REPLY', { attendees: ['o.olsen@example.net'] })).replace(
      'MIME-Version',
      `In-Reply-To: <${UID}.REQUEST.0.${BOB.mail}>\r\nMIME-Version`,
    );
    const { rule, post } = await answer(scene, mail);
    expect([rule, post.match(/^ATTENDEE.*$/gm)]).toEqual([
      'post',
      ['ATTENDEE;PARTSTAT=ACCEPTED:mailto:olga@example.org'],
    ]);
    expect(scene.posts.at(-1)?.originator).toBe(OLGA);
    expect(partstats(scene)).toEqual([{ address: OLGA, partstat: 'ACCEPTED' }]);
  });

  test('is posted when he was invited by an address that is no mailbox, and mailed where EMAIL says', async () => {
    await using scene = await openScene();
    scene.people.push(BOB);
    const invited = invitationMail(event('REQUEST')).replace(`mailto:${OLGA}`, 'urn:uuid:4f1e');
    const request = invited.replace('RSVP=TRUE', `RSVP=TRUE;EMAIL=${OLGA}`);
    await scene.arrive(request, [OLGA], { origin: 'inside', reversePath: BOB.mail });
    await scene.work();
    expect(await answer(scene, invitationMail(event('REPLY')))).toMatchObject({ rule: 'post' });
    expect(partstats(scene)).toEqual([{ address: OLGA, partstat: 'ACCEPTED' }]);
  });

  test('is not posted when it is of somebody who was not invited, and its mail goes on', async () => {
    await using scene = await openInvited();
    const mail = invitationMail(event('REPLY', { attendees: ['eve@example.net'] }));
    expect(await answer(scene, mail)).toEqual({ rule: 'never-invited', post: '' });
    expect(scene.mails.at(-1)?.to).toEqual([BOB.mail]);
    expect(partstats(scene)).toEqual([{ address: OLGA, partstat: 'NEEDS-ACTION' }]);
  });

  test('of whom somebody invited sends in his place is posted as his own', async () => {
    await using scene = await openInvited();
    const delegated = invitationMail(event('REPLY', { partstat: 'DELEGATED' })).replace(
      'PARTSTAT=DELEGATED',
      'PARTSTAT=DELEGATED;DELEGATED-TO="mailto:dan@example.net"',
    );
    expect(await answer(scene, delegated)).toMatchObject({ rule: 'post' });
    expect(await answer(scene, invitationMail(event('REPLY', { attendees: ['dan@example.net'] })))).toMatchObject({
      rule: 'post',
      post: expect.stringContaining('ATTENDEE;PARTSTAT=ACCEPTED:mailto:dan@example.net'),
    });
    expect(partstats(scene)).toEqual([
      { address: OLGA, partstat: 'DELEGATED' },
      { address: 'dan@example.net', partstat: 'ACCEPTED' },
    ]);
  });
});

test('an invitation of one whose URI is no mailbox is posted under the one that EMAIL has', async () => {
  await using scene = await openScene();
  scene.people.push(BOB);
  const fields: EventFields = { uid: UID, organizer: OLGA, attendees: [BOB.mail], method: 'REQUEST' };
  const mail = invitationMail(fields).replace(`RSVP=TRUE:mailto:${BOB.mail}`, `RSVP=TRUE;EMAIL=${BOB.mail}:urn:uuid:1`);
  await scene.arrive(mail, [BOB.mail]);
  await scene.work();
  expect(scene.posts.map(({ recipients }) => recipients)).toEqual([[BOB.mail]]);
  expect(scene.posts[0]?.content.toString().replaceAll('\r\n ', '')).toContain(`EMAIL=${BOB.mail}:mailto:${BOB.mail}`);
});

test('an answer to what the journal does not hold is posted and leaves nothing there', async () => {
  await using scene = await openScene();
  scene.people.push(BOB);
  expect(await answer(scene, invitationMail(event('REPLY')))).toMatchObject({ rule: 'post' });
  expect(scene.store.meeting(UID)).toBeUndefined();
});

test('an answer to many is looked up in the journal once', async () => {
  await using scene = await openInvited();
  let asked = 0;
  const { meeting } = scene.store;
  scene.store.meeting = (uid) => {
    asked++;
    return meeting.call(scene.store, uid);
  };
  await scene.arrive(invitationMail(event('REPLY')), [BOB.mail, 'cara@example.com', 'dora@example.com']);
  await scene.work();
  expect(asked).toBe(1);
});

const CORPUS = process.env.IMIPD_CORPUS ?? join(import.meta.dirname, '../../../../shared/corpus');

/** REPLYs that real programs sent without ORGANIZER. */
describe.skipIf(!existsSync(CORPUS))('a real answer without ORGANIZER', () => {
  test.each([
    ['mail/bluemind/bluemind--bm4.mapi.reply.accept.eml', 'of Outlook by MAPI'],
    ['mail/outlook/zm-mailbox--bug-69862-reply.txt.eml', 'of Outlook'],
  ])('%s, %s, gets him back and is otherwise posted as it came', async (path) => {
    const mail = readFileSync(join(CORPUS, path), 'utf8').replace(/\r\n|\r|\n/g, '\r\n');
    const examination = await examine(Buffer.from(mail));
    if (examination.kind !== 'object') throw new Error(examination.reason);
    const { uid, attendees, content } = examination.object;
    const invited = attendees.flatMap(({ mailbox }) => mailbox ?? []);
    await using scene = await openInvited({ uid, attendees: invited });
    const { rule, post } = await answer(scene, mail);
    expect(rule).toBe('post');
    expect(post).toBe(content.toString().replace('BEGIN:VEVENT\r\n', `$&ORGANIZER:mailto:${BOB.mail}\r\n`));
  });
});
