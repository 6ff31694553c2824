import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { invitationMail, plainMail } from './invitations.ts';
import { PeopleDirectory } from './people-directory.ts';
import {
  ALICE,
  answers,
  BOB,
  calmDown,
  deliveriesOf,
  isAttempt,
  OLGA,
  outcomesOf,
  PETRA,
  queueIdOf,
  reportsTo,
  request,
  requestMail,
  type SmallSite,
  SPECIAL,
  send,
  startSmallSite,
  statesOf,
} from './small-site.ts';

const COPY = 'mode: copy, copy-domains: {copy.example.com: example.com}';

// The column `copy` of the design's table: duplicates, whose originals went their own way.
describe('duplicates of mail', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({
      listeners: [`name: in, ${COPY}`, `name: in-lmtp, protocol: lmtp, ${COPY}`],
      more: 'ischedule: {timeout: 1s}',
    });
  });
  afterAll(async () => {
    if (site === undefined) return;
    // Nothing that any test sent was passed on or reported.
    const passed = [...site.mailboxes.mails, ...site.world.mails].map((mail) => mail.content.toString());
    await site[Symbol.asyncDispose]();
    expect(passed).toEqual([]);
  });
  afterEach(() => calmDown(site));

  describe.for(['in', 'in-lmtp'])('by listener %s', (listener) => {
    const uid = (name: string) => `${name}.${listener}@example.org`;

    /** Sends to the duplicate's address of a user and expects 250. @returns the queue id */
    async function duplicate(to: string, message: string, from = OLGA): Promise<string> {
      const copy = to.replace('@example.com', '@copy.example.com');
      const sent = await send(site, listener, { from, to: [copy], message });
      expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
      return queueIdOf(sent);
    }

    test('an invitation is posted for the user whose duplicate it is', async () => {
      const id = await duplicate(ALICE, requestMail({ uid: uid('posted'), attendees: [ALICE] }));
      expect(await outcomesOf(site, id)).toEqual([`post to ${ALICE}: delivered`]);
      expect(site.calendar.of(uid('posted'))).toMatchObject([{ recipients: [ALICE] }]);
    });

    test.for([
      [SPECIAL.unknown, 'unknown-recipient'],
      [SPECIAL.list, 'list'],
      [SPECIAL.withoutCalendar, 'no-calendar'],
      [SPECIAL.inactive, 'inactive'],
      [SPECIAL.disabled, 'disabled'],
      [SPECIAL.ambiguous, 'ambiguous'],
    ] as const)('an invitation to %s is 250 and logged as %s', async ([to, rule]) => {
      const message = requestMail({ uid: uid(rule), attendees: [to] });
      expect(await outcomesOf(site, await duplicate(to, message))).toEqual([`post to ${to}: skipped`]);
      expect(await site.gateway.waitForLog(isAttempt('ischedule', uid(rule)))).toMatchObject({
        outcome: 'skipped',
        rule,
      });
      expect(site.calendar.of(uid(rule))).toEqual([]);
    });

    test.for([
      ['not-attendee', { attendees: [PETRA] }],
      ['author-is-ours', { attendees: [ALICE], organizer: BOB }],
    ] as const)('an invitation is 250 and logged as %s', async ([rule, fields]) => {
      const message = requestMail({ uid: uid(rule), ...fields });
      expect(await outcomesOf(site, await duplicate(ALICE, message))).toEqual([`post to ${ALICE}: skipped`]);
      expect(await site.gateway.waitForLog(isAttempt('ischedule', uid(rule)))).toMatchObject({
        outcome: 'skipped',
        rule,
      });
    });

    test.for([
      ['plain mail', (id: string) => plainMail({ from: OLGA, to: ALICE, id }), 'no calendar part'],
      [
        'a broken invitation',
        (id: string) => invitationMail(request({ uid: id, attendees: [ALICE] })).replace('METHOD:REQUEST\r\n', ''),
        'METHOD is missing, and the method parameter does not stand in for it',
      ],
    ] as const)('%s is 250 and logged, and its content is not kept', async ([what, compose, reason]) => {
      const id = await duplicate(ALICE, compose(uid(what.replaceAll(' ', '-'))));
      expect(await site.gateway.waitForLog((line) => line.queueId === id)).toMatchObject({
        msg: 'nothing to schedule',
        reason,
      });
      expect(statesOf(site, id)).toEqual([]);
      await expect(site.store.body(id)).rejects.toThrow();
    });

    test('what the calendar server refuses is 250, recorded, and told nobody', async () => {
      site.calendar.answer = () => '3.8;No authority';
      const from = uid('refused');
      const id = await duplicate(ALICE, requestMail({ uid: from, attendees: [ALICE] }), from);
      expect(await outcomesOf(site, id)).toEqual([`post to ${ALICE}: failed`]);
      expect(deliveriesOf(site, id)[0]).toMatchObject({ told: 'nobody', outcome: { status: '5.7.1' } });
      expect(reportsTo(site, from)).toEqual([]);
    });

    test.for(['answers 503', 'closes the connection', 'says nothing', 'is down'] as const)(
      'while the calendar server %s the duplicate is 250 at once, and posted later',
      async (what) => {
        const silence = Promise.withResolvers<string>();
        if (what === 'is down') await site.calendar.close();
        else
          site.calendar.answer = () =>
            what === 'answers 503' ? { httpStatus: 503 } : what === 'says nothing' ? silence.promise : 'drop';
        const text = uid(what.replaceAll(' ', '-'));
        const id = await duplicate(ALICE, requestMail({ uid: text, attendees: [ALICE] }));
        const line = await site.gateway.waitForLog(isAttempt('ischedule', text));
        expect(line).toMatchObject({ outcome: 'deferred', attempt: 1 });
        await calmDown(site);
        expect(await outcomesOf(site, id)).toEqual([`post to ${ALICE}: delivered`]);
      },
    );

    test('a repeat and an older version are 250 and not posted', async () => {
      const event = { uid: uid('repeat'), attendees: [ALICE], sequence: 2 };
      const first = await duplicate(ALICE, requestMail(event));
      await outcomesOf(site, first);
      const again = await duplicate(ALICE, requestMail(event));
      const older = await duplicate(ALICE, requestMail({ ...event, sequence: 1 }));
      expect(await outcomesOf(site, again)).toEqual([`post to ${ALICE}: skipped`]);
      expect(await outcomesOf(site, older)).toEqual([`post to ${ALICE}: skipped`]);
      expect(site.calendar.of(event.uid)).toHaveLength(1);
    });

    test('the post of a user who is being moved is held', async () => {
      const to = SPECIAL.moving;
      const id = await duplicate(to, requestMail({ uid: uid('moving'), attendees: [to] }));
      expect(await outcomesOf(site, id)).toEqual([`post to ${to}: held`]);
    });

    test('a duplicate for postmaster, or for a domain that nobody named, is 250 and dropped', async () => {
      for (const to of ['postmaster@copy.example.com', 'alice@elsewhere.example.com']) {
        const message = plainMail({ from: OLGA, to, id: uid(to) });
        const sent = await send(site, listener, { from: OLGA, to: [to], message });
        expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
        expect(statesOf(site, queueIdOf(sent))).toEqual([]);
      }
      await site.gateway.waitForLog((line) => line.level === 'warn' && line.to === 'alice@elsewhere.example.com');
    });

    test('a duplicate that goes round in circles is 250, dropped and logged', async () => {
      const message = `${'Received: from a by b with SMTP; Tue, 1 Jan 2030 08:00:00 +0000\r\n'.repeat(49)}${requestMail({ uid: uid('loop'), attendees: [ALICE] })}`;
      const sent = await send(site, listener, { from: OLGA, to: ['alice@copy.example.com'], message });
      expect(answers(sent)).toEqual(['250 2.6.0 too many hops: copy dropped']);
      const line = await site.gateway.waitForLog(
        (one) => one.msg === 'mail loop: copy dropped' && one.listener === listener,
      );
      expect(line).toMatchObject({ level: 'warn', received: 49 });
      expect(site.calendar.of(uid('loop'))).toEqual([]);
    });
  });

  test('an invitation to two users is 250 once in SMTP and twice in LMTP', async () => {
    const to = ['alice@copy.example.com', 'bob@copy.example.com'];
    for (const [listener, count] of [
      ['in', 1],
      ['in-lmtp', 2],
    ] as const) {
      const message = requestMail({ uid: `two.${listener}@example.org`, attendees: [ALICE, BOB] });
      const sent = await send(site, listener, { from: OLGA, to, message });
      expect(answers(sent)).toEqual(Array.from({ length: count }, () => `250 2.6.0 queued as ${queueIdOf(sent)}`));
      await outcomesOf(site, queueIdOf(sent));
      expect(site.calendar.of(`two.${listener}`)).toMatchObject([{ recipients: [ALICE, BOB] }]);
    }
  });
});

describe('duplicates of mail while the directory does not answer', () => {
  test('they are 250, and decided when it answers', async () => {
    await using directory = await PeopleDirectory.listen([ALICE]);
    directory.silent = true;
    await using site = await startSmallSite({
      listeners: [`name: in, ${COPY}`],
      directory: directory.yaml,
    });
    const uid = 'silent-directory@example.org';
    const sent = await send(site, 'in', {
      from: OLGA,
      to: ['alice@copy.example.com', 'nobody@copy.example.com'],
      message: requestMail({ uid, attendees: [ALICE] }),
    });
    const id = queueIdOf(sent);
    const deferred = await site.gateway.waitForLog(isAttempt('ischedule', uid));
    expect(deferred).toMatchObject({ outcome: 'deferred', status: '4.4.3', rule: 'directory-silent' });
    directory.silent = false;
    expect(await outcomesOf(site, id)).toEqual([`post to ${ALICE}: delivered`, `post to ${SPECIAL.unknown}: skipped`]);
    expect(site.calendar.of(uid)).toMatchObject([{ recipients: [ALICE] }]);
  });
});

test('a post that expires is logged and told nobody', async () => {
  await using site = await startSmallSite({ listeners: [`name: in, ${COPY}`], queue: ['post-lifetime: 1s'] });
  site.calendar.answer = () => ({ httpStatus: 503 });
  const from = 'expires@example.org';
  const message = requestMail({ uid: from, attendees: [ALICE] });
  const sent = await send(site, 'in', { from, to: ['alice@copy.example.com'], message });
  expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`post to ${ALICE}: expired`]);
  const line = await site.gateway.waitForLog((one) => isAttempt('ischedule', from)(one) && one.outcome === 'expired');
  expect(line).toMatchObject({ level: 'warn', status: '4.4.7' });
  expect(reportsTo(site, from)).toEqual([]);
});
