import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  entry,
  type FakeLdap,
  type Request,
  result,
  SEARCH,
  startFakeLdap,
  UNBIND,
} from '../unit/directory/fake-ldap.ts';
import { invitationMail, plainMail } from './invitations.ts';
import {
  ALICE,
  ANNOTATED,
  answers,
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

  test('an annotated mail goes out once for each recipient and names no other, plain mail goes out once for all', async () => {
    const uid = 'copies@example.org';
    const message = requestMail({ uid, attendees: [ALICE, BOB] }).replace(`To: ${ALICE}, ${BOB}`, 'To: undisclosed:;');
    await send(site, 'in', { from: OLGA, to: [ALICE, BOB], message });
    const copies = (await site.mailboxes.waitFor((mail) => mail.content.includes(uid), 2)).map((mail) => {
      const text = mail.content.toString();
      return { to: mail.recipients.map(({ address }) => address), header: text.slice(0, text.indexOf('\r\n\r\n')) };
    });
    expect(copies.map(({ to }) => to).sort()).toEqual([[ALICE], [BOB]]);
    expect(copies.find(({ to }) => to[0] === ALICE)?.header).not.toContain(BOB);
    expect(copies.find(({ to }) => to[0] === BOB)?.header).not.toContain(ALICE);

    const plain = plainMail({ from: OLGA, to: 'undisclosed:;', id: 'plain-copies@example.org' });
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE, BOB], message: plain });
    await outcomesOf(site, queueIdOf(sent));
    const mails = site.mailboxes.mails.filter((mail) => mail.content.includes('plain-copies'));
    expect(mails.map(({ recipients }) => recipients.map(({ address }) => address))).toEqual([[ALICE, BOB]]);
    expect(arrived(mails[0]!)).toEqual({ added: ['Received'], status: undefined, message: plain });
  });

  test('status headers that arrive are removed, in plain mail and in an invitation, and nothing else is', async () => {
    const forged = [
      'iMIP-Gateway-Status: X1; recipient=alice@example.com;',
      ' action=posted; reason="trust me"',
      'x-meeting-uid: forged',
      'X-Meeting-Method:CANCEL',
    ].join('\r\n');
    for (const [index, message] of [
      plainMail({
        from: OLGA,
        to: ALICE,
        id: 'forged-plain@example.org',
        text: 'iMIP-Gateway-Status: in the body stays',
      }),
      requestMail({ uid: 'forged-status@example.org', attendees: [ALICE] }),
    ].entries()) {
      const withForged = message.replace('\r\nSubject:', `\r\n${forged}\r\nSubject:`);
      await send(site, 'in', { from: OLGA, to: [ALICE], message: withForged });
      const copy = arrived(await mailFor(site.mailboxes, ALICE, index === 0 ? 'forged-plain' : 'forged-status'));
      expect(copy.message).toBe(message);
      expect(copy.added).toEqual(index === 0 ? ['Received'] : ANNOTATED);
    }
  });

  test('lines that are all dots, 8-bit octets, trailing blanks and long lines arrive as they were', async () => {
    const text = ['.', '..', '. ', '.x', '', '\xe4\xf6\xfc\x80\xff', 'blanks  \t', 'x'.repeat(5000), '.', ''].join(
      '\r\n',
    );
    const head = `From: ${OLGA}\r\nSubject: =?x?= folded\r\n\tagain\r\nX-Odd:no-blank\r\nMessage-ID: <bytes@example.org>\r\n\r\n`;
    const message = Buffer.from(`${head}${text}\r\n`, 'latin1');
    await send(site, 'in', { from: OLGA, to: [{ address: ALICE, params: '' }], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, 'bytes@example.org')).message).toBe(message.toString('latin1'));
  });

  test('an invitation for an outsider is passed on by the smart host without a word of ours', async () => {
    const uid = 'outsider@example.com';
    const message = requestMail({ uid, organizer: BOB, attendees: [PETRA, ALICE] });
    await send(site, 'inner', { from: BOB, to: [PETRA, ALICE], message });
    expect(arrived(await mailFor(site.world, PETRA, uid))).toEqual({ added: ['Received'], status: undefined, message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, uid)).added).toEqual(ANNOTATED);
    expect(site.calendar.of(uid).flatMap(({ recipients }) => recipients)).toEqual([ALICE]);
  });
});

describe('mail in line with limits of size', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({ listeners: ['name: in, max-size: 400KB, max-examine: 64KB'] });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test('a message over max-examine is passed on unexamined', async () => {
    const uid = 'large@example.org';
    const message = requestMail({ uid, attendees: [ALICE] }).replace(
      'You are invited.',
      'You are invited.\r\n'.repeat(5000),
    );
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, uid))).toEqual({
      added: ['Received'],
      status: undefined,
      message,
    });
    expect(statesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: delivered`]);
    const line = await site.gateway.waitForLog(
      (one) => one.queueId === queueIdOf(sent) && one.msg === 'nothing to schedule',
    );
    expect(line.reason).toBe('the message is larger than max-examine (64000 octets)');
    expect(site.calendar.posts).toEqual([]);
  });

  test('a message over max-size is refused 552 5.3.4, as announced and as sent', async () => {
    const message = plainMail({ from: OLGA, to: ALICE, id: 'huge@example.org', text: 'x'.repeat(400_000) });
    const announced = await send(site, 'in', {
      from: { address: OLGA, params: 'SIZE=400001' },
      to: [ALICE],
      message: '',
    });
    expect(announced.mail.lines[0]).toMatch(/^552 5\.3\.4 /);
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(answers(sent)).toEqual([expect.stringMatching(/^552 5\.3\.4 /)]);
    expect(site.store.list({}).filter(({ message: { messageId } }) => messageId === '<huge@example.org>')).toEqual([]);
  });
});

// annotate-wait is short here, so that nothing but the silence of a peer is waited for.
describe('mail in line while directory or calendar server do not answer', () => {
  /** Entries by address; `silent` leaves every request unanswered. */
  const directory = { silent: false, entries: new Map([ALICE, BOB].map((mail) => [mail, personOf(mail)])) };
  let ldap: FakeLdap;
  let site: SmallSite;
  beforeAll(async () => {
    ldap = await startFakeLdap((asked) => (directory.silent ? undefined : answerOf(asked, directory.entries)));
    site = await startSmallSite({
      listeners: ['name: in', 'name: in-lmtp, protocol: lmtp'],
      directory: `{kind: ldap, servers: ['${ldap.url}'], base: o=isp, connect-timeout: 1s, search-timeout: 1s}`,
      queue: ['annotate-wait: 400ms'],
      more: 'ischedule: {timeout: 1s}',
    });
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await ldap?.[Symbol.asyncDispose]();
  });
  afterEach(() => {
    directory.silent = false;
    return calmDown(site);
  });

  test('plain mail asks the directory nothing', async () => {
    directory.silent = true;
    const before = ldap.requests.length;
    const message = plainMail({ from: OLGA, to: ALICE, id: 'no-look-up@example.org' });
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, 'no-look-up')).added).toEqual(['Received']);
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: delivered`]);
    expect(ldap.requests.length).toBe(before);
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

  test('a held post is posted when it is released after the move, and held again before', async () => {
    const carol = SPECIAL.moving;
    directory.entries.set(carol, { ...personOf(carol), mailUserStatus: ['hold'] });
    const uid = 'moved@example.org';
    const sent = await send(site, 'in', { from: OLGA, to: [carol], message: requestMail({ uid, attendees: [carol] }) });
    const id = queueIdOf(sent);
    const held = [`post to ${carol}: held`, `mail to ${carol}: delivered`];
    expect(await outcomesOf(site, id)).toEqual(held);
    expect((await site.gateway.command('queue', 'release', id)).code).toBe(0);
    expect(await outcomesOf(site, id)).toEqual(held);
    directory.entries.set(carol, personOf(carol));
    expect((await site.gateway.command('queue', 'release', id)).code).toBe(0);
    expect(await outcomesOf(site, id)).toEqual([`post to ${carol}: delivered`, `mail to ${carol}: delivered`]);
    expect(site.calendar.of(uid)).toMatchObject([{ recipients: [carol] }]);
  });
});

type Attributes = Readonly<Record<string, readonly string[]>>;

function personOf(mail: string): Attributes {
  return { objectClass: ['inetMailUser', 'icsCalendarUser', 'davEntity'], mail: [mail], davStore: ['home'] };
}

/** Binds anybody and finds every entry whose address the search names. */
function answerOf(asked: Request, entries: ReadonlyMap<string, Attributes>): Buffer | undefined {
  if (asked.tag === UNBIND) return undefined;
  const found =
    asked.tag === SEARCH
      ? [...entries]
          .filter(([mail]) => asked.bytes.includes(mail))
          .map(([mail, one]) => entry(asked, `cn=${mail},o=isp`, one))
      : [];
  return Buffer.concat([...found, result(asked, 0)]);
}

function twoObjects(id: string): string {
  const [first, second] = [id, `other.${id}`].map((uid) => requestMail({ uid, attendees: [ALICE] }));
  const part = /--b1\r\nContent-Type: text\/calendar[\s\S]*?(?=--b1--)/.exec(second!)?.[0] ?? '';
  return first!.replace('--b1--', `${part}--b1--`);
}
