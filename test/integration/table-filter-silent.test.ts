import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { plainMail } from './invitations.ts';
import { PeopleDirectory, personOf } from './people-directory.ts';
import {
  ALICE,
  answers,
  arrived,
  BOB,
  calmDown,
  deliveriesOf,
  isAttempt,
  mailFor,
  OLGA,
  outcomesOf,
  queueIdOf,
  reportsTo,
  requestMail,
  type SmallSite,
  SPECIAL,
  send,
  startSmallSite,
} from './small-site.ts';

// annotate-wait is short here, so that nothing but the silence of a peer is waited for.
describe('mail in line while directory or calendar server do not answer', () => {
  let directory: PeopleDirectory;
  let site: SmallSite;
  beforeAll(async () => {
    directory = await PeopleDirectory.listen([ALICE, BOB]);
    site = await startSmallSite({
      listeners: ['name: in', 'name: in-lmtp, protocol: lmtp'],
      directory: directory.yaml,
      queue: ['annotate-wait: 400ms', 'move-poll: 1s'],
      more: 'ischedule: {timeout: 1s}',
    });
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });
  afterEach(() => {
    directory.silent = false;
    return calmDown(site);
  });

  test('plain mail asks the directory nothing', async () => {
    directory.silent = true;
    const before = directory.requests;
    const message = plainMail({ from: OLGA, to: ALICE, id: 'no-look-up@example.org' });
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, 'no-look-up')).added).toEqual(['Received']);
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: delivered`]);
    expect(directory.requests).toBe(before);
  });

  test.for(['in', 'in-lmtp'])(
    'while the directory is silent an invitation by listener %s is passed on as pending, and posted once it answers',
    async (listener) => {
      directory.silent = true;
      const uid = `silent-directory.${listener}@example.org`;
      const message = requestMail({ uid, attendees: [ALICE] });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
      const copy = arrived(await mailFor(site.mailboxes, ALICE, uid));
      expect(copy.status).toBe(`${queueIdOf(sent)}; recipient=${ALICE}; action=pending; reason=queued`);
      expect(copy.message).toBe(message);
      const line = await site.gateway.waitForLog(
        (one) => isAttempt('ischedule', uid)(one) && one.outcome === 'deferred',
      );
      expect(line).toMatchObject({ status: '4.4.3', rule: 'directory-silent' });
      directory.silent = false;
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
        `post to ${ALICE}: delivered`,
        `mail to ${ALICE}: delivered`,
      ]);
      expect(site.calendar.of(uid)).toHaveLength(1);
      expect(site.mailboxes.mails.filter((mail) => mail.content.includes(uid))).toHaveLength(1);
    },
  );

  test('a user unknown to a directory that answers again is not posted to', async () => {
    directory.silent = true;
    const uid = 'silent-unknown@example.org';
    const to = SPECIAL.unknown;
    const sent = await send(site, 'in', { from: OLGA, to: [to], message: requestMail({ uid, attendees: [to] }) });
    directory.silent = false;
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`post to ${to}: skipped`, `mail to ${to}: delivered`]);
  });

  test('while the calendar server is silent the mail goes on as pending, and the post is repeated with the same id', async () => {
    const hung = Promise.withResolvers<string>();
    site.calendar.answer = () => hung.promise;
    const uid = 'silent-calendar@example.org';
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message: requestMail({ uid, attendees: [ALICE] }) });
    const copy = arrived(await mailFor(site.mailboxes, ALICE, uid));
    expect(copy.status).toBe(`${queueIdOf(sent)}; recipient=${ALICE}; action=pending; reason=queued; server=127.0.0.1`);
    await site.calendar.waitFor(uid, 2);
    site.calendar.answer = () => ({ httpStatus: 503 });
    await site.calendar.waitFor(uid, 3);
    site.calendar.answer = () => '2.0;Success';
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
      `post to ${ALICE}: delivered`,
      `mail to ${ALICE}: delivered`,
    ]);
    hung.resolve('2.0;Success');
    const ids = site.calendar.of(uid).map(({ messageId }) => messageId);
    // Silence keeps the id, also for the one that was answered 503 then; the answer makes the next one new.
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).toBe(ids[0]);
    expect(ids[3]).not.toBe(ids[0]);
  });

  test('a post that fails after the mail went on is recorded and logged; no second mail, no report', async () => {
    const slow = Promise.withResolvers<string>();
    site.calendar.answer = () => slow.promise;
    const uid = 'fails-late@example.org';
    const sent = await send(site, 'in', { from: uid, to: [ALICE], message: requestMail({ uid, attendees: [ALICE] }) });
    await mailFor(site.mailboxes, ALICE, uid);
    site.calendar.answer = () => '3.7;Invalid calendar user';
    slow.resolve('3.7;Invalid calendar user');
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
      `post to ${ALICE}: failed`,
      `mail to ${ALICE}: delivered`,
    ]);
    const line = await site.gateway.waitForLog((one) => isAttempt('ischedule', uid)(one) && one.outcome === 'failed');
    expect(line).toMatchObject({ queueId: queueIdOf(sent), to: ALICE, status: '5.1.1' });
    expect(deliveriesOf(site, queueIdOf(sent))[0]).toMatchObject({ told: 'nobody', outcome: { requestStatus: '3.7' } });
    expect(reportsTo(site, uid)).toEqual([]);
    expect(site.mailboxes.mails.filter((mail) => mail.content.includes(uid))).toHaveLength(1);
  });

  test('a post held for a move is posted when the move ends', async () => {
    const carol = SPECIAL.moving;
    directory.people.set(carol, { ...personOf(carol), mailUserStatus: ['hold'] });
    const uid = 'moved@example.org';
    const sent = await send(site, 'in', { from: OLGA, to: [carol], message: requestMail({ uid, attendees: [carol] }) });
    const id = queueIdOf(sent);
    expect(await outcomesOf(site, id)).toEqual([`post to ${carol}: held`, `mail to ${carol}: delivered`]);
    expect(site.calendar.of(uid)).toEqual([]);
    directory.people.set(carol, personOf(carol));
    await site.gateway.waitForLog((line) => line.event === 'move-ended' && line.to === carol);
    expect(await outcomesOf(site, id)).toEqual([`post to ${carol}: delivered`, `mail to ${carol}: delivered`]);
    expect(site.calendar.of(uid)).toMatchObject([{ recipients: [carol] }]);
  });

  test('a post held for a move is posted when a person releases it, though the mark still stands', async () => {
    const carol = SPECIAL.moving;
    directory.people.set(carol, { ...personOf(carol), mailUserStatus: ['hold'] });
    const uid = 'released@example.org';
    const sent = await send(site, 'in', { from: OLGA, to: [carol], message: requestMail({ uid, attendees: [carol] }) });
    const id = queueIdOf(sent);
    expect(await outcomesOf(site, id)).toEqual([`post to ${carol}: held`, `mail to ${carol}: delivered`]);
    expect((await site.gateway.command('queue', 'release', id)).code).toBe(0);
    expect(await outcomesOf(site, id)).toEqual([`post to ${carol}: delivered`, `mail to ${carol}: delivered`]);
    expect(site.calendar.of(uid)).toMatchObject([{ recipients: [carol] }]);
  });
});
