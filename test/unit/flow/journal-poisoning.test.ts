import { describe, expect, test } from 'vitest';
import type { Outbound } from '../../../src/imip/mail.ts';
import { type EventFields, invitationMail } from '../../integration/invitations.ts';
import { openMail } from '../../integration/open-mail.ts';
import { DAY } from '../queue/samples.ts';
import { incomingPost, openPostScene } from './post-scene.ts';
import { openScene, person, type Scene } from './scene.ts';

const BOB = person('bob@example.com');
const MALLORY = person('mallory@example.com');
const OLGA = 'olga@example.org';
const EVE = 'eve@example.net';
const UID = 'planning@example.com';

const event = (method: 'REQUEST' | 'REPLY', more: Partial<EventFields> = {}): EventFields => ({
  uid: UID,
  organizer: BOB.mail,
  attendees: [OLGA],
  method,
  ...more,
});

/** Bob has invited Olga, and then Mallory, who is one of ours too, Eve under the same UID. */
async function openPoisoned(): Promise<Scene> {
  const scene = await openScene();
  scene.people.push(BOB, MALLORY);
  await scene.arrive(invitationMail(event('REQUEST')), [OLGA], { origin: 'inside', reversePath: BOB.mail });
  await scene.work();
  scene.world.now += 1000;
  const foreign = event('REQUEST', { organizer: MALLORY.mail, attendees: [EVE, OLGA] });
  await scene.arrive(invitationMail(foreign), [EVE, OLGA], { origin: 'inside', reversePath: MALLORY.mail });
  await scene.work();
  scene.posts.length = 0;
  return scene;
}

async function ruleOf(scene: Scene, mail: string, recipient: string): Promise<string | undefined> {
  const id = await scene.arrive(mail, [recipient]);
  await scene.work();
  return scene.post(id, recipient)?.decisions.at(-1)?.rule;
}

describe('an invitation that another user of ours sends under the UID of a meeting', () => {
  test('invites nobody to that meeting', async () => {
    await using scene = await openPoisoned();
    const reply = invitationMail(event('REPLY', { attendees: [EVE] }));
    expect(await ruleOf(scene, reply, BOB.mail)).toBe('never-invited');
    expect(scene.posts).toEqual([]);
  });

  test('does not get the answers to it that lack an ORGANIZER', async () => {
    await using scene = await openPoisoned();
    const lacking = invitationMail(event('REPLY')).replace(/ORGANIZER:.*\r\n/, '');
    expect(await ruleOf(scene, lacking, BOB.mail)).toBe('post');
    expect(scene.posts.at(-1)?.content.toString()).toContain('ORGANIZER:mailto:bob@example.com');
  });

  test('is answered as its own', async () => {
    await using scene = await openPoisoned();
    const reply = event('REPLY', { organizer: MALLORY.mail, attendees: [EVE] });
    expect(await ruleOf(scene, invitationMail(reply), MALLORY.mail)).toBe('post');
    expect(scene.store.meeting(UID, BOB.mail)?.attendees).toEqual([{ address: OLGA, partstat: 'NEEDS-ACTION' }]);
    expect(scene.store.meeting(UID, MALLORY.mail)?.attendees).toContainEqual({ address: EVE, partstat: 'ACCEPTED' });
  });

  test('gets an answer without ORGANIZER back when it is to that very mail', async () => {
    await using scene = await openPoisoned();
    const lacking = invitationMail(event('REPLY', { attendees: [EVE] }))
      .replace(/ORGANIZER:.*\r\n/, '')
      .replace('MIME-Version', `In-Reply-To: <${UID}.REQUEST.0.${MALLORY.mail}>\r\nMIME-Version`);
    expect(await ruleOf(scene, lacking, MALLORY.mail)).toBe('post');
    expect(scene.posts.at(-1)?.content.toString()).toContain('ORGANIZER:mailto:mallory@example.com');
  });

  test('leaves as a first mail, which neither answers nor quotes one of that meeting', async () => {
    const outbound: Outbound = {
      address: 'calendar@example.com',
      name: 'Example calendar',
      fromDomains: new Set(['example.com']),
      secret: Buffer.alloc(32, 7),
      language: 'en',
      languages: new Map(),
      journalMs: 90 * DAY,
      unknownUid: 'post',
    };
    await using scene = await openPostScene({ outbound });
    for (const originator of [BOB.mail, MALLORY.mail]) {
      const event = { organizer: originator, attendees: [EVE], summary: `Of ${originator}` };
      await scene.acceptor.post(incomingPost([EVE], { originator, messageId: `one@${originator}`, event }));
      scene.world.now += 1000;
    }
    const mail = await openMail(Buffer.from(scene.mails[1]?.content ?? ''));
    expect([mail.field('subject'), mail.field('in-reply-to')]).toEqual([`Invitation: Of ${MALLORY.mail}`, undefined]);
    expect(scene.mails[1]?.content).not.toContain(BOB.mail);
  });

  test('learns nothing of what that one told', async () => {
    await using scene = await openPoisoned();
    expect([BOB.mail, MALLORY.mail].map((organizer) => scene.store.meeting(UID, organizer)?.organizer)).toEqual([
      BOB.mail,
      MALLORY.mail,
    ]);
    expect(scene.store.meeting(UID)?.organizer).toBe(BOB.mail);
  });
});
