import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { invitationMail, plainMail } from './invitations.ts';
import {
  ALICE,
  ANNOTATED,
  answers,
  arrived,
  BOB,
  calmDown,
  deliveriesOf,
  mailFor,
  OLGA,
  outcomesOf,
  PETRA,
  QUEUE_POLL,
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

// The column `filter` of the design's table: what happens, by mode.
describe('mail in line', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({
      listeners: ['name: in', 'name: in-lmtp, protocol: lmtp', 'name: inner, origin: inside'],
    });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());
  afterEach(() => calmDown(site));

  describe.for(['in', 'in-lmtp'])('by listener %s', (listener) => {
    const uid = (name: string) => `${name}.${listener}@example.org`;

    test('an invitation is posted and passed on with what was done, all of it', async () => {
      const message = requestMail({ uid: uid('posted'), attendees: [ALICE] });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      const copy = arrived(await mailFor(site.mailboxes, ALICE, uid('posted')));
      expect(copy.status).toBe(
        `${queueIdOf(sent)}; recipient=${ALICE}; action=posted; code=2.0; reason="the calendar server took it"; server=127.0.0.1`,
      );
      expect(copy.added).toEqual(ANNOTATED);
      expect(copy.message).toBe(message);
      expect(site.calendar.of(uid('posted'))).toMatchObject([{ recipients: [ALICE] }]);
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
        `post to ${ALICE}: delivered`,
        `mail to ${ALICE}: delivered`,
      ]);
    });

    test.for([SPECIAL.unknown, SPECIAL.list])(
      'an invitation to %s, whom no calendar can be, is passed on as mail',
      async (to) => {
        const message = requestMail({ uid: uid(`no-calendar.${to}`), attendees: [to] });
        const sent = await send(site, listener, { from: OLGA, to: [to], message });
        expect(arrived(await mailFor(site.mailboxes, to, uid(`no-calendar.${to}`)))).toEqual({
          added: ['Received'],
          status: undefined,
          message,
        });
        expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`post to ${to}: skipped`, `mail to ${to}: delivered`]);
        expect(site.calendar.of(uid(`no-calendar.${to}`))).toEqual([]);
      },
    );

    test.for(['postmaster@example.com', 'Postmaster'])('mail to %s is passed on', async (to) => {
      const message = plainMail({ from: OLGA, to, id: uid('postmaster') });
      const sent = await send(site, listener, { from: OLGA, to: [to], message });
      expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
      const [delivery] = deliveriesOf(site, queueIdOf(sent));
      expect(delivery).toMatchObject({ kind: 'mail', state: 'delivered' });
    });

    test.for([
      ['no calendar part', (id: string) => plainMail({ from: OLGA, to: ALICE, id })],
      [
        'broken iCalendar',
        (id: string) =>
          invitationMail(request({ uid: id, attendees: [ALICE] })).replace('BEGIN:VEVENT', 'BEGIN:VEVENT:;'),
      ],
      [
        'no end of its MIME parts',
        (id: string) =>
          requestMail({ uid: id, attendees: [ALICE] }).replace(/BEGIN:VCALENDAR[\s\S]*/, 'BEGIN:VCAL\r\n'),
      ],
      [
        'a transfer encoding that nobody knows',
        (id: string) =>
          requestMail({ uid: id, attendees: [ALICE] }).replace(
            'Content-Type: text/calendar',
            'Content-Transfer-Encoding: x-odd\r\nContent-Type: text/calendar',
          ),
      ],
      ['two different objects', twoObjects],
    ] as const)('a message with %s is passed on byte for byte', async ([what, compose]) => {
      const id = uid(what.replaceAll(' ', '-'));
      const message = compose(id);
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      expect(arrived(await mailFor(site.mailboxes, ALICE, id))).toEqual({
        added: ['Received'],
        status: undefined,
        message,
      });
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: delivered`]);
      expect(site.calendar.of(id)).toEqual([]);
    });

    test('an invitation that does not mean its recipient is passed on as skipped', async () => {
      const message = requestMail({ uid: uid('not-meant'), attendees: [PETRA] });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      const copy = arrived(await mailFor(site.mailboxes, ALICE, uid('not-meant')));
      expect(copy.status).toBe(
        `${queueIdOf(sent)}; recipient=${ALICE}; action=skipped; reason="the recipient is not among the ATTENDEEs"`,
      );
      expect(copy.message).toBe(message);
      expect(site.calendar.of(uid('not-meant'))).toEqual([]);
    });

    test('an invitation from outside that speaks for one of ours is passed on as skipped', async () => {
      const message = requestMail({ uid: uid('forged'), organizer: BOB, attendees: [ALICE] });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      const copy = arrived(await mailFor(site.mailboxes, ALICE, uid('forged')));
      expect(copy.status).toBe(
        `${queueIdOf(sent)}; recipient=${ALICE}; action=skipped; reason="the ORGANIZER is of our own domain example.com, the message came from outside"`,
      );
      expect(copy.message).toBe(message);
      expect(site.calendar.of(uid('forged'))).toEqual([]);
    });

    test('what the calendar server refuses is passed on as refused, and nobody else hears of it', async () => {
      site.calendar.answer = () => '3.8;No authority';
      const from = `refused.${listener}@example.org`;
      const message = requestMail({ uid: uid('refused'), attendees: [ALICE] });
      const sent = await send(site, listener, { from, to: [ALICE], message });
      const copy = arrived(await mailFor(site.mailboxes, ALICE, uid('refused')));
      expect(copy.status).toBe(
        `${queueIdOf(sent)}; recipient=${ALICE}; action=refused; code=3.8; reason="the calendar server gives the originator no authority"; server=127.0.0.1`,
      );
      expect(copy.message).toBe(message);
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
        `post to ${ALICE}: failed`,
        `mail to ${ALICE}: delivered`,
      ]);
      expect(deliveriesOf(site, queueIdOf(sent))[0]).toMatchObject({ told: 'nobody' });
      expect(reportsTo(site, from)).toEqual([]);
    });

    test.for(['answers 503', 'closes the connection', 'is down'] as const)(
      'while the calendar server %s the invitation is passed on as pending, and is posted later',
      async (what) => {
        const id = uid(what.replaceAll(' ', '-'));
        if (what === 'is down') await site.calendar.close();
        else site.calendar.answer = () => (what === 'answers 503' ? { httpStatus: 503 } : 'drop');
        const message = requestMail({ uid: id, attendees: [ALICE] });
        const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
        const copy = arrived(await mailFor(site.mailboxes, ALICE, id));
        const reason = {
          'answers 503': 'the calendar server failed',
          'closes the connection': 'the calendar server closed the connection (UND_ERR_SOCKET)',
          'is down': 'no connection to the calendar server (ECONNREFUSED)',
        }[what];
        expect(copy.status).toBe(
          `${queueIdOf(sent)}; recipient=${ALICE}; action=pending; reason="${reason}"; server=127.0.0.1`,
        );
        expect(copy.message).toBe(message);
        await calmDown(site);
        expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
          `post to ${ALICE}: delivered`,
          `mail to ${ALICE}: delivered`,
        ]);
        expect(site.mailboxes.mails.filter((mail) => mail.content.includes(id))).toHaveLength(1);
      },
    );

    test('a repeat and an older version are passed on as skipped and not posted', async () => {
      const event = { uid: uid('repeat'), attendees: [ALICE], sequence: 2 };
      await send(site, listener, { from: OLGA, to: [ALICE], message: requestMail(event) });
      const again = await send(site, listener, { from: OLGA, to: [ALICE], message: requestMail(event) });
      const older = await send(site, listener, {
        from: OLGA,
        to: [ALICE],
        message: requestMail({ ...event, sequence: 1 }),
      });
      const copies = await site.mailboxes.waitFor((mail) => mail.content.includes(event.uid), 3);
      expect(copies.slice(1).map((mail) => arrived(mail).status)).toEqual([
        `${queueIdOf(again)}; recipient=${ALICE}; action=skipped; reason=duplicate`,
        `${queueIdOf(older)}; recipient=${ALICE}; action=skipped; reason=stale`,
      ]);
      expect(site.calendar.of(event.uid)).toHaveLength(1);
    });

    test('the post of a user who is being moved is held, the mail goes on as pending', async () => {
      const to = SPECIAL.moving;
      const message = requestMail({ uid: uid('moving'), attendees: [to] });
      const sent = await send(site, listener, { from: OLGA, to: [to], message });
      const copy = arrived(await mailFor(site.mailboxes, to, uid('moving')));
      expect(copy.status).toBe(`${queueIdOf(sent)}; recipient=${to}; action=pending; reason=moving`);
      expect(copy.message).toBe(message);
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`post to ${to}: held`, `mail to ${to}: delivered`]);
    });

    test.for([
      [SPECIAL.withoutCalendar, 'the entry has no calendar'],
      [SPECIAL.inactive, 'inetUserStatus is inactive'],
      [SPECIAL.disabled, 'inetUserStatus is deleted'],
      [SPECIAL.ambiguous, 'ambiguous'],
    ] as const)('an invitation to %s is passed on as skipped: %s', async ([to, reason]) => {
      const id = uid(`state.${to}`);
      const message = requestMail({ uid: id, attendees: [to] });
      const sent = await send(site, listener, { from: OLGA, to: [to], message });
      expect(arrived(await mailFor(site.mailboxes, to, id))).toEqual({
        added: ANNOTATED,
        status: `${queueIdOf(sent)}; recipient=${to}; action=skipped; reason=${reason.includes(' ') ? `"${reason}"` : reason}`,
        message,
      });
      expect(site.calendar.of(id)).toEqual([]);
    });

    test('a refusal by the next hop is the reply, and makes no report', async () => {
      site.mailboxes.script.rcpt = () => '550 5.1.1 no such mailbox';
      const from = `rejected.${listener}@example.org`;
      const message = requestMail({ uid: uid('rejected'), attendees: [ALICE] });
      const sent = await send(site, listener, { from, to: [ALICE], message });
      expect(answers(sent)).toEqual(['550 5.1.1 the next hop knows no such recipient']);
      expect(reportsTo(site, from)).toEqual([]);
    });

    test('while the next hop is down mail is queued, and it is delivered once', async () => {
      await site.mailboxes.close();
      const message = plainMail({ from: OLGA, to: ALICE, id: uid('hop-down') });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      expect(statesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: queued`]);
      await site.mailboxes.open();
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: delivered`]);
      const [mail, ...more] = site.mailboxes.mails.filter((one) => one.content.includes(uid('hop-down')));
      expect(more).toEqual([]);
      expect(arrived(mail!).message).toBe(message);
    });

    test('an annotated mail that the next hop puts off tells, when it comes, what became of its post meanwhile', async () => {
      site.mailboxes.script.rcpt = () => '450 4.2.0 later';
      site.calendar.answer = () => ({ httpStatus: 503 });
      const message = requestMail({ uid: uid('put-off'), attendees: [ALICE] });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      site.calendar.answer = () => '2.0;Success';
      const now = (wanted: 'post' | 'mail') => deliveriesOf(site, queueIdOf(sent)).find(({ kind }) => kind === wanted);
      await expect.poll(() => now('post')?.state, QUEUE_POLL).toBe('delivered');
      // An attempt of the mail that began before may still be under way.
      const attempts = now('mail')?.attempts ?? 0;
      await expect.poll(() => now('mail')?.attempts, QUEUE_POLL).toBeGreaterThan(attempts);
      delete site.mailboxes.script.rcpt;
      expect(arrived(await mailFor(site.mailboxes, ALICE, uid('put-off'))).status).toMatch(
        /; action=posted; code=2\.0; /,
      );
    });
  });

  test('an invitation of one of ours is posted when it comes from inside', async () => {
    const uid = 'inside@example.com';
    const message = requestMail({ uid, organizer: BOB, attendees: [ALICE] });
    await send(site, 'inner', { from: BOB, to: [ALICE], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, uid)).status).toMatch(/; action=posted; /);
  });

  test('of two recipients one refused by the next hop: LMTP answers each', async () => {
    site.mailboxes.script.rcpt = (address) => (address === BOB ? '550 5.1.1 no such mailbox' : undefined);
    const from = 'one-of-two.lmtp@example.org';
    const message = requestMail({ uid: 'one-of-two.lmtp@example.org', attendees: [ALICE, BOB] });
    const sent = await send(site, 'in-lmtp', { from, to: [ALICE, BOB], message });
    expect(answers(sent)).toEqual([
      `250 2.6.0 queued as ${queueIdOf(sent)}`,
      '550 5.1.1 the next hop knows no such recipient',
    ]);
    expect(reportsTo(site, from)).toEqual([]);
  });

  test.for(['plain mail', 'an invitation'])(
    'of two recipients of %s one refused by the next hop: SMTP answers 250, and the sender hears of that one',
    async (what) => {
      site.mailboxes.script.rcpt = (address) => (address === BOB ? '550 5.1.1 no such mailbox' : undefined);
      const id = `one-of-two.${what.length}@example.org`;
      const message =
        what === 'plain mail'
          ? plainMail({ from: id, to: ALICE, id })
          : requestMail({ uid: id, attendees: [ALICE, BOB] });
      const sent = await send(site, 'in', { from: id, to: [ALICE, BOB], message });
      expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
      const report = await mailFor(site.world, id, 'Final-Recipient');
      expect(report.from).toBe('');
      expect(report.content.toString().match(/^(Final-Recipient|Action|Status): .*/gm)).toEqual([
        `Final-Recipient: rfc822; ${BOB}`,
        'Action: failed',
        'Status: 5.1.1',
      ]);
      expect(reportsTo(site, id)).toHaveLength(1);
    },
  );
});

describe('mail in line before a next hop that speaks LMTP', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({
      listeners: ['name: in', 'name: in-lmtp, protocol: lmtp'],
      nextHop: { protocol: 'lmtp' },
    });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test.for(['plain mail', 'an invitation'])(
    'what it refuses of %s after the content is told for each recipient',
    async (what) => {
      site.mailboxes.script.data = (_, address) => (address === BOB ? '552 5.2.2 mailbox full' : undefined);
      const compose = (id: string) =>
        what === 'plain mail'
          ? plainMail({ from: id, to: ALICE, id })
          : requestMail({ uid: id, attendees: [ALICE, BOB] });

      const byReply = `reply.${what.length}@example.org`;
      const inLmtp = await send(site, 'in-lmtp', { from: byReply, to: [ALICE, BOB], message: compose(byReply) });
      expect(answers(inLmtp)).toEqual([`250 2.6.0 queued as ${queueIdOf(inLmtp)}`, '550 5.2.2 the mailbox is full']);
      expect(reportsTo(site, byReply)).toEqual([]);

      const byReport = `report.${what.length}@example.org`;
      const inSmtp = await send(site, 'in', { from: byReport, to: [ALICE, BOB], message: compose(byReport) });
      expect(answers(inSmtp)).toEqual([`250 2.6.0 queued as ${queueIdOf(inSmtp)}`]);
      const report = (await mailFor(site.world, byReport, 'Final-Recipient')).content.toString();
      expect(report.match(/^(Final-Recipient|Diagnostic-Code): .*/gm)).toEqual([
        `Final-Recipient: rfc822; ${BOB}`,
        'Diagnostic-Code: smtp; 552 5.2.2 mailbox full',
      ]);
    },
  );
});

function twoObjects(id: string): string {
  const [first, second] = [id, `other.${id}`].map((uid) => requestMail({ uid, attendees: [ALICE] }));
  const part = /--b1\r\nContent-Type: text\/calendar[\s\S]*?(?=--b1--)/.exec(second!)?.[0] ?? '';
  return first!.replace('--b1--', `${part}--b1--`);
}
