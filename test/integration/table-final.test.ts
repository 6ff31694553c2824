import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../servers/ports.ts';
import { plainMail } from './invitations.ts';
import {
  ALICE,
  answers,
  BOB,
  calmDown,
  deliveriesOf,
  isAttempt,
  mailFor,
  OLGA,
  outcomesOf,
  PETRA,
  queueIdOf,
  reportsTo,
  requestMail,
  type SmallSite,
  SPECIAL,
  send,
  startSmallSite,
  statesOf,
} from './small-site.ts';
import { dotStuffed, SmtpClient } from './smtp-client.ts';

const { room, moving } = SPECIAL;

// The column `final` of the design's table: addresses that are calendars only.
describe('mail for addresses that are calendars only', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({
      listeners: [
        'name: in, mode: final',
        'name: in-lmtp, mode: final, protocol: lmtp',
        'name: late, mode: final, reply-wait: 0s',
        'name: late-lmtp, mode: final, protocol: lmtp, reply-wait: 0s',
        'name: brief, mode: final, reply-wait: 200ms',
        'name: brief-lmtp, mode: final, protocol: lmtp, reply-wait: 200ms',
      ],
    });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());
  afterEach(() => calmDown(site));

  describe.for(['in', 'in-lmtp'])('by listener %s', (listener) => {
    const uid = (name: string) => `${name}.${listener}@example.org`;

    test.for([
      [SPECIAL.unknown, `550 5.1.1 <${SPECIAL.unknown}> no such calendar`],
      [SPECIAL.list, `550 5.2.1 <${SPECIAL.list}> is a list, which has no calendar`],
      [SPECIAL.withoutCalendar, `550 5.2.1 <${SPECIAL.withoutCalendar}> has no calendar`],
      [SPECIAL.inactive, `450 4.2.1 <${SPECIAL.inactive}> calendar is inactive`],
      [SPECIAL.disabled, `550 5.2.1 <${SPECIAL.disabled}> calendar is disabled`],
      [PETRA, `550 5.7.1 <${PETRA}> relaying denied: not a domain of this gateway`],
    ] as const)('RCPT of %s is answered %s', async ([to, reply]) => {
      const sent = await send(site, listener, { from: OLGA, to: [to], message: '' });
      expect(sent.rcpt.map(({ lines }) => lines)).toEqual([[reply]]);
    });

    test('a posted invitation is 250, and no mail goes on', async () => {
      const message = requestMail({ uid: uid('posted'), attendees: [room] });
      const sent = await send(site, listener, { from: OLGA, to: [room], message });
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`post to ${room}: delivered`]);
      expect(site.calendar.of(uid('posted'))).toMatchObject([{ recipients: [room] }]);
      expect(site.mailboxes.mails.filter((mail) => mail.content.includes(uid('posted')))).toEqual([]);
    });

    test('mail to postmaster is accepted and goes to the next hop', async () => {
      const to = 'postmaster@example.com';
      const message = plainMail({ from: OLGA, to, id: uid('postmaster') });
      const sent = await send(site, listener, { from: OLGA, to: [to], message });
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`mail to ${to}: delivered`]);
      await mailFor(site.mailboxes, to, uid('postmaster'));
    });

    test('mail to the bare postmaster goes out by the smart host', async () => {
      const message = plainMail({ from: OLGA, to: 'postmaster', id: uid('bare') });
      const sent = await send(site, listener, { from: OLGA, to: ['postmaster'], message });
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual(['mail to postmaster@imipd.example.com: delivered']);
      await mailFor(site.world, 'postmaster@imipd.example.com', uid('bare'));
    });

    test.for([
      ['plain mail', (id: string) => plainMail({ from: OLGA, to: ALICE, id }), 'no calendar part'],
      [
        'a broken invitation',
        (id: string) => requestMail({ uid: id, attendees: [ALICE] }).replace('METHOD:REQUEST\r\n', ''),
        'METHOD is missing, and the method parameter does not stand in for it',
      ],
      [
        'an invitation of somebody else',
        (id: string) => requestMail({ uid: id, attendees: [PETRA] }),
        'the recipient is not among the ATTENDEEs',
      ],
    ] as const)('%s is refused 554 5.6.0, and makes no report', async ([what, compose, reason]) => {
      const from = uid(what.replaceAll(' ', '-'));
      const sent = await send(site, listener, { from, to: [ALICE], message: compose(from) });
      expect(answers(sent)).toEqual([`554 5.6.0 ${reason}`]);
      expect(reportsTo(site, from)).toEqual([]);
      expect(site.calendar.of(from)).toEqual([]);
    });

    test('an invitation that a room is sent without being named is held for a person', async () => {
      const message = requestMail({ uid: uid('unnamed'), attendees: [ALICE] });
      const sent = await send(site, listener, { from: OLGA, to: [room], message });
      expect(statesOf(site, queueIdOf(sent))).toEqual([`post to ${room}: held`]);
      const line = await site.gateway.waitForLog(isAttempt('ischedule', uid('unnamed')));
      expect(line).toMatchObject({ level: 'warn', alarm: true, outcome: 'held', rule: 'not-attendee' });
      // It does not stop the invitation of the same UID that names the room, and is posted when a person lets it go.
      const named = requestMail({ uid: uid('unnamed'), sequence: 1, attendees: [room] });
      const next = await send(site, listener, { from: OLGA, to: [room], message: named });
      expect(statesOf(site, queueIdOf(next))).toEqual([`post to ${room}: delivered`]);
      const other = requestMail({ uid: uid('let-go'), attendees: [ALICE] });
      const held = await send(site, listener, { from: OLGA, to: [room], message: other });
      expect((await site.gateway.command('queue', 'release', queueIdOf(held))).code).toBe(0);
      expect(await outcomesOf(site, queueIdOf(held))).toEqual([`post to ${room}: delivered`]);
      expect(site.calendar.of(uid('let-go'))).toMatchObject([{ recipients: [room] }]);
    });

    test('an invitation from outside that speaks for one of ours is refused 550 5.7.1', async () => {
      const message = requestMail({ uid: uid('forged'), organizer: BOB, attendees: [ALICE] });
      const sent = await send(site, listener, { from: OLGA, to: [ALICE], message });
      expect(answers(sent)).toEqual([
        '550 5.7.1 the ORGANIZER is of our own domain example.com, the message came from outside',
      ]);
      expect(site.calendar.of(uid('forged'))).toEqual([]);
    });

    test.for([
      ['3.7;Invalid calendar user', '550 5.1.1 the calendar server knows no such user'],
      ['3.8;No authority', '550 5.7.1 the calendar server gives the originator no authority'],
    ] as const)('what the calendar server answers %s is refused %s, and makes no report', async ([status, reply]) => {
      site.calendar.answer = () => status;
      const from = uid(`no-${status.slice(0, 3)}`);
      const sent = await send(site, listener, {
        from,
        to: [ALICE],
        message: requestMail({ uid: from, attendees: [ALICE] }),
      });
      expect(answers(sent)).toEqual([reply]);
      expect(reportsTo(site, from)).toEqual([]);
    });

    test('a refusal that comes after the 250 is reported', async () => {
      const slow = Promise.withResolvers<string>();
      site.calendar.answer = () => slow.promise;
      const from = uid('late');
      const message = requestMail({ uid: from, attendees: [ALICE] });
      const late = listener === 'in' ? 'late' : 'late-lmtp';
      const sent = await send(site, late, { from, to: [ALICE], message });
      expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
      slow.resolve('3.8;No authority');
      const report = await mailFor(site.world, from, 'Final-Recipient');
      expect(report.from).toBe('');
      expect(report.content.toString()).toMatch(/^Status: 5\.7\.1\r$/m);
      expect(reportsTo(site, from)).toHaveLength(1);
    });

    test.for([503, 0])(
      'while the calendar server answers %i the message is kept, and posted later',
      async (httpStatus) => {
        if (httpStatus === 0) await site.calendar.close();
        else site.calendar.answer = () => ({ httpStatus });
        const id = uid(`down-${httpStatus}`);
        const sent = await send(site, listener, {
          from: OLGA,
          to: [ALICE],
          message: requestMail({ uid: id, attendees: [ALICE] }),
        });
        expect(statesOf(site, queueIdOf(sent))).toEqual([`post to ${ALICE}: queued`]);
        await calmDown(site);
        expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`post to ${ALICE}: delivered`]);
      },
    );

    test('a calendar server that says nothing is waited for no longer than reply-wait', async () => {
      const silence = Promise.withResolvers<string>();
      site.calendar.answer = () => silence.promise;
      const message = requestMail({ uid: uid('silent'), attendees: [ALICE, BOB] });
      const sent = await send(site, listener.replace('in', 'brief'), { from: OLGA, to: [ALICE, BOB], message });
      expect(new Set(answers(sent))).toEqual(new Set([`250 2.6.0 queued as ${queueIdOf(sent)}`]));
      expect(statesOf(site, queueIdOf(sent))).toEqual([`post to ${ALICE}: queued`, `post to ${BOB}: queued`]);
      silence.resolve('2.0;Success');
      expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
        `post to ${ALICE}: delivered`,
        `post to ${BOB}: delivered`,
      ]);
    });

    test('a repeat and an older version are 250 and not posted', async () => {
      const event = { uid: uid('repeat'), attendees: [ALICE], sequence: 2 };
      const first = await send(site, listener, { from: OLGA, to: [ALICE], message: requestMail(event) });
      const again = await send(site, listener, { from: OLGA, to: [ALICE], message: requestMail(event) });
      const older = await send(site, listener, {
        from: OLGA,
        to: [ALICE],
        message: requestMail({ ...event, sequence: 1 }),
      });
      expect([first, again, older].flatMap((sent) => statesOf(site, queueIdOf(sent)))).toEqual([
        `post to ${ALICE}: delivered`,
        `post to ${ALICE}: skipped`,
        `post to ${ALICE}: skipped`,
      ]);
      expect(site.calendar.of(event.uid)).toHaveLength(1);
    });

    test('a message for a user who is being moved is held', async () => {
      const message = requestMail({ uid: uid('moving'), attendees: [moving] });
      const sent = await send(site, listener, { from: OLGA, to: [moving], message });
      expect(statesOf(site, queueIdOf(sent))).toEqual([`post to ${moving}: held`]);
    });

    test('an address of two entries is held, with an alarm', async () => {
      const to = SPECIAL.ambiguous;
      const sent = await send(site, listener, {
        from: OLGA,
        to: [to],
        message: requestMail({ uid: uid('two'), attendees: [to] }),
      });
      expect(statesOf(site, queueIdOf(sent))).toEqual([`post to ${to}: held`]);
      expect(await site.gateway.waitForLog(isAttempt('ischedule', uid('two')))).toMatchObject({ alarm: true });
    });
  });

  test('of two recipients one refused by the calendar server: LMTP answers each', async () => {
    answerBy(site, { [BOB]: '3.7;Invalid calendar user' });
    const from = 'one-of-two.lmtp@example.org';
    // Each is posted apart when its content is: bob by his address, alice by her alias.
    const message = requestMail({ uid: from, attendees: [SPECIAL.aliasOfAlice, BOB] });
    const sent = await send(site, 'in-lmtp', { from, to: [ALICE, BOB], message });
    expect(answers(sent)).toEqual([
      `250 2.6.0 queued as ${queueIdOf(sent)}`,
      '550 5.1.1 the calendar server knows no such user',
    ]);
    expect(reportsTo(site, from)).toEqual([]);
  });

  test('of two recipients one refused by the calendar server: SMTP answers 250, and the sender hears of that one', async () => {
    answerBy(site, { [BOB]: '3.7;Invalid calendar user' });
    const from = 'one-of-two.smtp@example.org';
    const message = requestMail({ uid: from, attendees: [SPECIAL.aliasOfAlice, BOB] });
    const sent = await send(site, 'in', { from, to: [ALICE, BOB], message });
    expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
    const report = await mailFor(site.world, from, 'Final-Recipient');
    expect(report.content.toString().match(/^Final-Recipient: .*/gm)).toEqual([`Final-Recipient: rfc822; ${BOB}`]);
    expect(reportsTo(site, from)).toHaveLength(1);
  });

  test('when all of several recipients are refused SMTP answers with the refusal, and nobody is sent a report', async () => {
    site.calendar.answer = () => '3.8;No authority';
    const from = 'all-refused@example.org';
    const message = requestMail({ uid: from, attendees: [ALICE, BOB] });
    const sent = await send(site, 'in', { from, to: [ALICE, BOB], message });
    expect(answers(sent)).toEqual(['550 5.7.1 the calendar server gives the originator no authority']);
    expect(reportsTo(site, from)).toEqual([]);
  });

  test.for([
    ['at the first attempt', '3.8;No authority'],
    ['at a later one', '5.1;Later'],
  ] as const)(
    'a client that left before its reply still owns the message: what fails %s is not reported',
    async ([when, first]) => {
      const slow = Promise.withResolvers<string>();
      site.calendar.answer = () => slow.promise;
      const uid = `gone.${when.replaceAll(' ', '-')}@example.org`;
      const [id] = await leaveAfterData(site, 'in', uid);
      site.calendar.answer = () => '3.8;No authority';
      slow.resolve(first);
      expect(await outcomesOf(site, id!)).toEqual([`post to ${ALICE}: failed`]);
      expect(deliveriesOf(site, id!)[0]).toMatchObject({ told: 'nobody' });
      expect(reportsTo(site, uid)).toEqual([]);
    },
  );
});

describe('mail for calendars while directory or calendar server do not answer', () => {
  test.for(['nobody listens', 'the server accepts and says nothing'])(
    'RCPT is 451 4.4.3 when %s, and postmaster is accepted all the same',
    async (how) => {
      await using stack = new AsyncDisposableStack();
      const port = how === 'nobody listens' ? await freePort() : await mute(stack);
      const site = stack.use(
        await startSmallSite({
          listeners: ['name: in, mode: final', 'name: in-lmtp, mode: final, protocol: lmtp'],
          directory: `{kind: ldap, servers: ['ldap://127.0.0.1:${port}'], base: o=isp, connect-timeout: 200ms, search-timeout: 200ms}`,
        }),
      );
      for (const listener of ['in', 'in-lmtp']) {
        const sent = await send(site, listener, {
          from: OLGA,
          to: [ALICE, 'postmaster@example.com'],
          message: plainMail({ from: OLGA, to: ALICE, id: 'x@example.org' }),
        });
        expect(sent.rcpt.map(({ lines }) => lines)).toEqual([
          [`451 4.4.3 <${ALICE}> directory does not answer, try again later`],
          ['250 2.1.5 recipient accepted'],
        ]);
      }
    },
  );

  test('a post that expires is reported, with the last word of the calendar server', async () => {
    await using site = await startSmallSite({
      listeners: ['name: in, mode: final, reply-wait: 0s'],
      queue: ['post-lifetime: 1s'],
    });
    site.calendar.answer = () => ({ httpStatus: 503 });
    const from = 'expires@example.org';
    const sent = await send(site, 'in', { from, to: [ALICE], message: requestMail({ uid: from, attendees: [ALICE] }) });
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`post to ${ALICE}: expired`]);
    const report = await mailFor(site.world, from, 'Final-Recipient');
    expect(report.from).toBe('');
    expect(report.content.toString().match(/^(Final-Recipient|Action|Status|Diagnostic-Code): .*/gm)).toEqual([
      `Final-Recipient: rfc822; ${ALICE}`,
      'Action: failed',
      'Status: 4.4.7',
      'Diagnostic-Code: x-http; 503',
    ]);
    expect(reportsTo(site, from)).toHaveLength(1);
  });
});

/** Listens and never says a word. */
async function mute(stack: AsyncDisposableStack): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<{ destroy(): unknown }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  stack.defer(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return (server.address() as { port: number }).port;
}

/** Each recipient gets his own answer, alone in his POST. */
function answerBy(site: SmallSite, by: Readonly<Record<string, string>>): void {
  site.calendar.answer = ({ recipients }) => by[recipients[0] ?? ''] ?? '2.0;Success';
}

/** Sends an invitation to alice whole, and leaves once it is being posted. @returns queue ids of it */
async function leaveAfterData(site: SmallSite, listener: string, uid: string): Promise<readonly string[]> {
  const client = await SmtpClient.connect(site.gateway.port(listener));
  await client.reply();
  await client.pipeline(['EHLO client.test', `MAIL FROM:<${uid}>`, `RCPT TO:<${ALICE}>`, 'DATA']);
  client.write(dotStuffed(requestMail({ uid, attendees: [ALICE] })));
  await site.calendar.waitFor(uid);
  client.destroy();
  // Whoever is answered now comes after the end of that connection.
  await send(site, listener, { from: OLGA, to: [PETRA], message: '' });
  return site.store.byMessageId(`<${uid}.REQUEST.0.${OLGA}>`).map((message) => message.id);
}
