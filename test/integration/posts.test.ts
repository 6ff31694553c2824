import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { StandInAnswer, StandInPost } from './calendar-stand-in.ts';
import { invitationMail } from './invitations.ts';
import { PeopleDirectory } from './people-directory.ts';
import {
  ALICE,
  arrived,
  BOB,
  calmDown,
  deliveriesOf,
  isAttempt,
  mailFor,
  OLGA,
  outcomesOf,
  PETRA,
  QUEUE_POLL,
  queueIdOf,
  request,
  requestMail,
  type SmallSite,
  SPECIAL,
  send,
  startSmallSite,
  statesOf,
} from './small-site.ts';

const { aliasOfAlice } = SPECIAL;
const BUSY: StandInAnswer = { httpStatus: 503 };
const SUCCESS = '2.0;Success';

describe('posts', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({
      listeners: ['name: in', 'name: in-lmtp, protocol: lmtp', 'name: final, mode: final'],
      more: 'ischedule: {timeout: 1s}',
    });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());
  afterEach(() => calmDown(site));

  test('a cancellation waits for its invitation, its mail goes on at once as pending, and both are posted in order', async () => {
    site.calendar.answer = () => BUSY;
    const event = request({ uid: 'order@example.org', attendees: [ALICE] });
    const invited = await send(site, 'in', { from: OLGA, to: [ALICE], message: invitationMail(event) });
    const cancel = invitationMail({ ...event, method: 'CANCEL', sequence: 1 });
    const cancelled = await send(site, 'in', { from: OLGA, to: [ALICE], message: cancel });
    const copy = arrived(await mailFor(site.mailboxes, ALICE, 'METHOD:CANCEL'));
    expect(copy.status).toBe(`${queueIdOf(cancelled)}; recipient=${ALICE}; action=pending; reason=queued`);
    expect(copy.message).toBe(cancel);
    expect(site.calendar.of('METHOD:CANCEL')).toEqual([]);
    site.calendar.answer = () => SUCCESS;
    expect(await outcomesOf(site, queueIdOf(invited))).toContain(`post to ${ALICE}: delivered`);
    expect(await outcomesOf(site, queueIdOf(cancelled))).toContain(`post to ${ALICE}: delivered`);
    const methods = site.calendar.of(event.uid).map(({ body }) => /METHOD:(\w+)/.exec(body)?.[1]);
    expect(methods.slice(0, -1)).not.toContain('CANCEL');
    expect(methods.at(-1)).toBe('CANCEL');
  });

  test('a cancellation for another recipient, or of another event, does not wait', async () => {
    site.calendar.answer = ({ recipients, body }) =>
      recipients.includes(ALICE) && body.includes('apart@example.org') ? BUSY : SUCCESS;
    const event = request({ uid: 'apart@example.org', attendees: [ALICE, BOB] });
    const waiting = await send(site, 'in', { from: OLGA, to: [ALICE], message: invitationMail(event) });
    const toBob = await send(site, 'in', {
      from: OLGA,
      to: [BOB],
      message: invitationMail({ ...event, method: 'CANCEL' }),
    });
    const other = await send(site, 'in', {
      from: OLGA,
      to: [ALICE],
      message: requestMail({ uid: 'other@example.org', attendees: [ALICE] }),
    });
    expect(statesOf(site, queueIdOf(toBob))).toEqual([`post to ${BOB}: delivered`, `mail to ${BOB}: delivered`]);
    expect(statesOf(site, queueIdOf(other))).toEqual([`post to ${ALICE}: delivered`, `mail to ${ALICE}: delivered`]);
    expect(statesOf(site, queueIdOf(waiting))).toContain(`post to ${ALICE}: queued`);
    site.calendar.answer = () => SUCCESS;
    await outcomesOf(site, queueIdOf(waiting));
  });

  test('an update that waited for an invitation that was refused is posted', async () => {
    site.calendar.answer = () => BUSY;
    const event = { uid: 'after-refusal@example.org', attendees: [ALICE] };
    await send(site, 'in', { from: OLGA, to: [ALICE], message: requestMail(event) });
    const update = await send(site, 'in', { from: OLGA, to: [ALICE], message: requestMail({ ...event, sequence: 1 }) });
    site.calendar.answer = ({ body }) => (body.includes('SEQUENCE:0') ? '3.8;No authority' : SUCCESS);
    expect(await outcomesOf(site, queueIdOf(update))).toContain(`post to ${ALICE}: delivered`);
  });

  test('what comes for a held post of the same event waits behind it', async () => {
    const to = SPECIAL.moving;
    const event = request({ uid: 'held-order@example.org', attendees: [to] });
    const held = await send(site, 'in', { from: OLGA, to: [to], message: invitationMail(event) });
    expect(await outcomesOf(site, queueIdOf(held))).toContain(`post to ${to}: held`);
    const cancel = await send(site, 'in', {
      from: OLGA,
      to: [to],
      message: invitationMail({ ...event, method: 'CANCEL', sequence: 1 }),
    });
    await mailFor(site.mailboxes, to, 'held-order@example.org.CANCEL');
    expect(statesOf(site, queueIdOf(cancel))).toContain(`post to ${to}: queued`);
    expect((await site.gateway.command('queue', 'delete', queueIdOf(held))).code).toBe(0);
    expect(await outcomesOf(site, queueIdOf(cancel))).toContain(`post to ${to}: held`);
  });

  test.for(['in', 'in-lmtp'])(
    'two addresses of one calendar in one mail by listener %s are one post and two mail copies, each with its result',
    async (listener) => {
      const uid = `twice.${listener}@example.org`;
      const message = requestMail({ uid, attendees: [ALICE] });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE, aliasOfAlice], message });
      expect(sent.data).toHaveLength(listener === 'in' ? 1 : 2);
      const copies = await site.mailboxes.waitFor((mail) => mail.content.includes(uid), 2);
      const shown = copies.map((mail) => [mail.recipients.map(({ address }) => address), arrived(mail).status]);
      const status = (to: string) =>
        `${queueIdOf(sent)}; recipient=${to}; action=posted; code=2.0; reason="the calendar server took it"; server=127.0.0.1`;
      expect(new Map(shown.map(([to, text]) => [String(to), text]))).toEqual(
        new Map([ALICE, aliasOfAlice].map((to) => [to, status(to)])),
      );
      expect(site.calendar.of(uid)).toMatchObject([{ recipients: [ALICE] }]);
    },
  );

  test('one address twice in LMTP is answered twice, posted once and passed on twice', async () => {
    const uid = 'same.lmtp@example.org';
    const sent = await send(site, 'in-lmtp', {
      from: OLGA,
      to: [ALICE, ALICE],
      message: requestMail({ uid, attendees: [ALICE] }),
    });
    expect(sent.data.map(({ code }) => code)).toEqual([250, 250]);
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
      `post to ${ALICE}: delivered`,
      `mail to ${ALICE}: delivered`,
      `post to ${ALICE}: delivered`,
      `mail to ${ALICE}: delivered`,
    ]);
    expect(site.calendar.of(uid)).toHaveLength(1);
  });

  test('recipients whose posted bytes are equal share a POST, and each gets his own answer', async () => {
    const uid = 'shared@example.org';
    site.calendar.answer = () => SUCCESS;
    const message = requestMail({ uid, attendees: [ALICE, BOB, SPECIAL.room] });
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE, BOB, SPECIAL.room], message });
    await outcomesOf(site, queueIdOf(sent));
    expect(site.calendar.of(uid).map(({ recipients }) => recipients)).toEqual([[ALICE, BOB, SPECIAL.room]]);
  });

  test('who is invited by an alias is posted for apart, by the address that his calendar server knows', async () => {
    const uid = 'alias@example.org';
    const message = requestMail({ uid, attendees: [aliasOfAlice, BOB] });
    const sent = await send(site, 'in', { from: OLGA, to: [aliasOfAlice, BOB], message });
    await outcomesOf(site, queueIdOf(sent));
    const posts = [...site.calendar.of(uid)].sort((a, b) => String(a.recipients).localeCompare(String(b.recipients)));
    expect(posts.map((post) => [post.recipients, attendeesOf(post)])).toEqual([
      [[ALICE], [ALICE, BOB]],
      [[BOB], [aliasOfAlice, BOB]],
    ]);
  });

  test.for([
    ['answered 503', 'a new'],
    ['cut off', 'the same'],
    ['not answered in time', 'the same'],
  ] as const)('a POST that was %s is repeated with %s iSchedule-Message-ID', async ([how, which]) => {
    const silence = Promise.withResolvers<string>();
    site.calendar.answer = () => (how === 'answered 503' ? BUSY : how === 'cut off' ? 'drop' : silence.promise);
    const uid = `id.${how.replaceAll(' ', '-')}@example.org`;
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message: requestMail({ uid, attendees: [ALICE] }) });
    await site.calendar.waitFor(uid);
    site.calendar.answer = () => SUCCESS;
    await outcomesOf(site, queueIdOf(sent));
    const [first, second, ...more] = site.calendar.of(uid).map(({ messageId }) => messageId);
    expect(more).toEqual([]);
    expect(second !== first).toBe(which === 'a new');
  });

  test('when one of two recipients is answered and one is not, the POST for the other alone has an id of its own', async () => {
    site.calendar.answer = ({ recipients }) => (recipients.length === 2 ? SUCCESS : BUSY);
    const uid = 'half-answered@example.org';
    site.calendar.answerOnly = [ALICE];
    const message = requestMail({ uid, attendees: [ALICE, BOB] });
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE, BOB], message });
    await site.calendar.waitFor(uid, 2);
    site.calendar.answerOnly = undefined;
    site.calendar.answer = () => SUCCESS;
    await outcomesOf(site, queueIdOf(sent));
    const posts = site.calendar.of(uid);
    expect(posts[0]?.recipients).toEqual([ALICE, BOB]);
    expect(posts.slice(1).map(({ recipients }) => recipients)).toEqual(posts.slice(1).map(() => [BOB]));
    expect(new Set(posts.map(({ messageId }) => messageId)).size).toBe(posts.length);
    const first = await site.gateway.waitForLog((line) => isAttempt('ischedule', uid)(line) && line.to === BOB);
    expect(first).toMatchObject({ outcome: 'deferred', status: '4.3.2' });
  });

  test('Retry-After is waited for', async () => {
    site.calendar.answer = () => ({ httpStatus: 503, retryAfter: '2' });
    const uid = 'retry-after@example.org';
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message: requestMail({ uid, attendees: [ALICE] }) });
    await expect.poll(() => deliveriesOf(site, queueIdOf(sent))[0]?.attempts, QUEUE_POLL).toBe(1);
    const [post] = deliveriesOf(site, queueIdOf(sent));
    // 300 ms by itself; what the server asked for counts from its answer.
    expect(post!.dueAt - post!.createdAt).toBeGreaterThanOrEqual(2000);
    expect((await site.gateway.command('queue', 'delete', queueIdOf(sent))).code).toBe(0);
    site.calendar.answer = () => SUCCESS;
    const other = 'left-alone@example.org';
    const message = requestMail({ uid: other, attendees: [ALICE] });
    const meanwhile = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(await site.gateway.waitForLog(isAttempt('ischedule', other))).toMatchObject({
      ...{ outcome: 'deferred', status: '4.4.5', reason: 'the calendar server asked to be left alone for a while' },
    });
    expect(await outcomesOf(site, queueIdOf(meanwhile))).toContain(`post to ${ALICE}: delivered`);
    expect(site.calendar.of(other)).toHaveLength(1);
  });

  test('an invitation to an event that is over is posted once more, and not retried', async () => {
    site.calendar.answer = () => BUSY;
    const uid = 'over@example.org';
    const message = requestMail({ uid, attendees: [ALICE] }).replaceAll(/:20300315T/g, ':20200315T');
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
      `post to ${ALICE}: expired`,
      `mail to ${ALICE}: delivered`,
    ]);
    expect(site.calendar.of(uid)).toHaveLength(1);
  });

  test('an update or a cancellation by another organizer than the one that was posted is not', async () => {
    const event = request({ uid: 'taken-over@example.org', attendees: [ALICE] });
    await outcomesOf(
      site,
      queueIdOf(await send(site, 'in', { from: OLGA, to: [ALICE], message: invitationMail(event) })),
    );
    const cancel = invitationMail({ ...event, organizer: PETRA, method: 'CANCEL', sequence: 5 });
    const sent = await send(site, 'in', { from: PETRA, to: [ALICE], message: cancel });
    const copy = arrived(await mailFor(site.mailboxes, ALICE, 'METHOD:CANCEL\r\nBEGIN:VEVENT\r\nUID:taken-over'));
    expect(copy.status).toBe(
      `${queueIdOf(sent)}; recipient=${ALICE}; action=skipped; reason="this UID was posted before for another organizer, ${OLGA}"`,
    );
    const refused = await send(site, 'final', { from: PETRA, to: [ALICE], message: cancel });
    expect(refused.data[0]?.lines).toEqual([`550 5.7.1 this UID was posted before for another organizer, ${OLGA}`]);
    expect(site.calendar.of(event.uid)).toHaveLength(1);
  });
});

describe('posts of users whom a silent directory has not named', () => {
  test('two addresses of one user are posted in the order in which they came', async () => {
    await using directory = await PeopleDirectory.listen([ALICE]);
    directory.silent = true;
    await using site = await startSmallSite({
      listeners: ['name: in'],
      directory: directory.yaml,
      queue: ['annotate-wait: 100ms'],
    });
    const event = request({ uid: 'unnamed@example.org', attendees: [ALICE] });
    const first = await send(site, 'in', { from: OLGA, to: [ALICE], message: invitationMail(event) });
    const second = await send(site, 'in', {
      from: OLGA,
      to: ['alice+work@example.com'],
      message: invitationMail({ ...event, method: 'CANCEL', sequence: 1 }),
    });
    directory.silent = false;
    await outcomesOf(site, queueIdOf(first));
    await outcomesOf(site, queueIdOf(second));
    const methods = site.calendar
      .of(event.uid)
      .map(({ body, recipients }) => [/METHOD:(\w+)/.exec(body)?.[1], recipients]);
    expect(methods).toEqual([
      ['REQUEST', [ALICE]],
      ['CANCEL', [ALICE]],
    ]);
  });
});

function attendeesOf(post: StandInPost): readonly string[] {
  return [...post.body.replace(/\r\n[ \t]/g, '').matchAll(/^ATTENDEE.*:mailto:(.*)\r$/gm)].map(
    (match) => match[1] ?? '',
  );
}
