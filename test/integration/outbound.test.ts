import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CalendarStandIn } from './calendar-stand-in.ts';
import { type EventFields, invitationMail, plainMail } from './invitations.ts';
import { answered, post } from './ischedule-peer.ts';
import type { SinkMail } from './mail-sink.ts';
import { type OpenedMail, openMail } from './open-mail.ts';
import { deliveriesOfUid, type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { exchangeReply, googleReply } from './replies.ts';
import { type SubmissionResult, submit } from './smtp-client.ts';

const ANN = 'ann@example.com';
const BEN = 'ben@customer.test';
const OLGA = 'olga@example.org';
const PETRA = 'petra@example.org';
const MALLORY = 'mallory@elsewhere.test';
const VERP = /^calendar\+[a-z2-7]{37}@example\.com$/;

let calendar: CalendarStandIn;
let site: RelaySite;

beforeAll(async () => {
  calendar = await CalendarStandIn.listen();
  site = await startRelaySite({
    domains: ['example.com'],
    users: { [ANN]: 'north' },
    backEnds: { north: `url: '${calendar.url}', profile: generic` },
    more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers:
    - {name: cal, origin: inside, domains: ['*'], answer-wait: 10s, networks: [127.0.0.1]}
    - {name: old, origin: inside, domains: ['*'], answer-wait: 10s, networks: [127.0.0.2], sent-status: '2.0'}
outbound: {address: calendar@example.com, name: Example calendar}
`,
  });
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  await calendar?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  site.world.script.rcpt = () => undefined;
});

/** An invitation of Ann's calendar server. */
function meeting(name: string, more: Partial<EventFields> = {}): EventFields {
  return { uid: `${name}@example.com`, organizer: ANN, attendees: [OLGA], method: 'REQUEST', ...more };
}

/** Posts as Ann's calendar server does. @returns what each recipient was answered */
async function invite(event: EventFields, from?: string): Promise<readonly string[]> {
  const whole = { event, originator: event.organizer, recipients: event.attendees };
  return answered(await post(site.gateway.port('service'), whole, from));
}

/** The mail that left for one recipient of a meeting, read by another parser. */
async function left(to: string, uid: string): Promise<{ readonly sent: SinkMail; readonly mail: OpenedMail }> {
  const [id = ''] = deliveriesOfUid(site, uid).map(({ queueId }) => queueId);
  const isIts = (one: SinkMail): boolean =>
    one.recipients.some(({ address }) => address === to) && one.content.includes(`Message-ID: <${id}.`);
  const [sent] = await site.world.waitFor(isIts);
  if (sent === undefined) throw new Error(`nothing left for ${to}`);
  return { sent, mail: await openMail(sent.content) };
}

function mailIn(from: string, to: string, message: string): Promise<SubmissionResult> {
  return submit(site.gateway.port('in'), { from, to: [to], message });
}

function codes({ rcpt, data }: SubmissionResult): readonly number[] {
  return [...rcpt, ...data].map(({ code }) => code);
}

describe('an invitation that a calendar server posts for an outsider', () => {
  test('is answered 1.1 and leaves as a mail for people and programs, from an envelope sender that names him', async () => {
    const event = meeting('composed', { attendees: [OLGA, PETRA] });
    expect(await invite(event)).toEqual([`${OLGA} 1.1`, `${PETRA} 1.1`]);
    const [first, second] = [await left(OLGA, event.uid), await left(PETRA, event.uid)];
    expect([first.sent.from, second.sent.from]).toEqual([expect.stringMatching(VERP), expect.stringMatching(VERP)]);
    expect(first.sent.from).not.toBe(second.sent.from);
    expect([first.sent.recipients.length, second.sent.recipients.length]).toEqual([1, 1]);
    expect([first.mail.from, first.mail.to]).toEqual([ANN, [OLGA]]);
    expect(first.mail.parts.map(({ type }) => type)).toEqual(['text/calendar', 'application/ics']);
    expect(first.mail.text).toContain('Review');
  });

  test('is answered 2.0 where the peer wants that for what was sent', async () => {
    expect(await invite(meeting('old-peer'), '127.0.0.2')).toEqual([`${OLGA} 2.0`]);
  });

  test('is from the gateway, with answers to the organizer, when we may not speak for his domain', async () => {
    const event = meeting('via', { organizer: BEN });
    expect(await invite(event)).toEqual([`${OLGA} 1.1`]);
    const { mail } = await left(OLGA, event.uid);
    expect([mail.from, mail.field('From'), mail.field('Reply-To')]).toEqual([
      'calendar@example.com',
      expect.stringContaining('via Example calendar'),
      expect.stringContaining(BEN),
    ]);
  });
});

describe('what comes back to its envelope sender', () => {
  test('with a token that is not ours is refused', async () => {
    const result = await mailIn('', `calendar+${'a'.repeat(37)}@example.com`, dsn(OLGA, 'failed', '5.1.1'));
    expect(result.rcpt.map(({ code, lines }) => [code, lines.join(' ')])).toEqual([
      [550, expect.stringContaining('5.1.1')],
    ]);
  });

  test('as a failure report becomes a mail to the organizer that names attendee and event, once', async () => {
    const event = meeting('bounced', { summary: 'Budget of the year', attendees: [OLGA, PETRA] });
    await invite(event);
    const { sent } = await left(OLGA, event.uid);
    expect(codes(await mailIn('', sent.from, dsn(OLGA, 'failed', '5.1.1')))).toEqual([250, 250]);
    const isTold = (one: SinkMail): boolean => one.from === '' && one.recipients.some(({ address }) => address === ANN);
    const [told] = await waitAnywhere(isTold);
    const mail = await openMail(told!.content);
    expect(mail.text).toContain('Budget of the year');
    expect(mail.text).toContain(OLGA);
    expect(mail.text).not.toContain(PETRA);
    expect(calendar.of(event.uid)).toEqual([]);
    expect(codes(await mailIn('', sent.from, dsn(OLGA, 'failed', '5.1.1')))).toEqual([250, 250]);
    await expect.poll(() => openReturns(sent.from), { timeout: 10_000 }).toEqual([]);
    expect([...site.mailboxes.mails, ...site.world.mails].filter(isTold)).toHaveLength(1);
  });

  test('as a vacation notice, or “delayed”, goes on to the organizer', async () => {
    const event = meeting('away');
    await invite(event);
    const { sent } = await left(OLGA, event.uid);
    const notice = plainMail({ from: OLGA, to: ANN, id: 'away.1@example.org', text: 'I am away.' });
    expect(codes(await mailIn('', sent.from, `Auto-Submitted: auto-replied\r\n${notice}`))).toEqual([250, 250]);
    expect(codes(await mailIn('', sent.from, dsn(OLGA, 'delayed', '4.4.1')))).toEqual([250, 250]);
    const toAnn = (text: string) => (one: SinkMail) =>
      one.recipients.some(({ address }) => address === ANN) && one.content.includes(text);
    const passed = [...(await waitAnywhere(toAnn('I am away.'))), ...(await waitAnywhere(toAnn('Action: delayed')))];
    expect(passed).toHaveLength(2);
    expect(calendar.of(event.uid)).toEqual([]);
  });
});

describe('the answer of an outsider', () => {
  test('is posted to the calendar of the organizer', async () => {
    const event = meeting('answered');
    await invite(event);
    await left(OLGA, event.uid);
    await mailIn(OLGA, ANN, googleReply(replyTo(event, { attendee: OLGA, partstat: 'ACCEPTED' })));
    const [posted] = await calendar.waitFor(event.uid);
    expect(posted?.body).toMatch(/ATTENDEE[^:]*PARTSTAT=ACCEPTED[^:]*:mailto:olga@example\.org/s);
    const shown = await site.gateway.command('journal', 'show', event.uid, '--json');
    expect(JSON.parse(shown.out)).toMatchObject({
      meeting: { organizer: ANN, attendees: [{ address: OLGA, partstat: 'ACCEPTED' }] },
      sendings: [{ attendee: OLGA, sentTo: OLGA, method: 'REQUEST' }],
    });
    const { out } = await site.gateway.command('journal', 'show', event.uid);
    expect(out.replace(/\d{4}-\d\d-\d\dT[\d:]+Z/g, 'TIME').replace(/\b0[0-9A-Z]{13}\b/g, 'ID')).toBe(`${event.uid}
  organizer ${ANN}
  invited to the series or single event
  remembered until TIME

ATTENDEE          ANSWER
${OLGA}  ACCEPTED

LEFT                  METHOD   ATTENDEE          SENT TO           INSTANCE  ID              FAILED  MESSAGE-ID
TIME  REQUEST  ${OLGA}  ${OLGA}  -         ID  -       ID.0@host.example.com
`);
  });

  test('without ORGANIZER gets him back', async () => {
    const event = meeting('no-organizer');
    await invite(event);
    await left(OLGA, event.uid);
    const reply = exchangeReply(replyTo(event, { attendee: OLGA, partstat: 'DECLINED' }));
    expect(reply).not.toMatch(/^ORGANIZER/m);
    await mailIn(OLGA, ANN, reply);
    const [posted] = await calendar.waitFor(event.uid);
    expect(posted?.body).toContain(`ORGANIZER:mailto:${ANN}`);
  });

  test('from another address is written for the attendee whose invitation it answers', async () => {
    const event = meeting('alias');
    await invite(event);
    const { mail } = await left(OLGA, event.uid);
    const inReplyTo = (mail.field('Message-ID') ?? '').replace(/^<|>$/g, '');
    const other = 'o.outside@elsewhere.test';
    const reply = replyTo(event, { attendee: other, partstat: 'TENTATIVE' });
    await mailIn(other, ANN, googleReply(reply).replace('MIME-Version', `In-Reply-To: <${inReplyTo}>\r\nMIME-Version`));
    const [posted] = await calendar.waitFor(event.uid);
    expect(posted?.body.replaceAll('\r\n ', '')).toMatch(
      /ATTENDEE[^\r\n]*PARTSTAT=TENTATIVE[^\r\n]*:mailto:olga@example\.org/,
    );
    const [id = ''] = deliveriesOfUid(site, event.uid)
      .slice(-1)
      .map(({ queueId }) => queueId);
    expect((await site.gateway.command('queue', 'show', id)).out).toContain(`matched to ${OLGA} by In-Reply-To`);
  });

  test('to the mailbox of the gateway goes to the organizer and into his calendar', async () => {
    const event = meeting('answers-from');
    await invite(event);
    await left(OLGA, event.uid);
    const before = site.mailboxes.mails.length;
    const answer = replyTo(event, { attendee: OLGA, partstat: 'ACCEPTED' });
    expect(codes(await mailIn(OLGA, 'calendar@example.com', googleReply(answer)))).toEqual([250, 250]);
    const [posted] = await calendar.waitFor(event.uid);
    expect(posted?.body).toMatch(/ATTENDEE[^:]*PARTSTAT=ACCEPTED[^:]*:mailto:olga@example\.org/s);
    expect(statesOfUid(site, event.uid).filter((state) => state.includes('example.com'))).toEqual([
      `post to ${ANN}: delivered`,
      `mail to ${ANN}: delivered`,
    ]);
    expect(
      site.mailboxes.mails.slice(before).map(({ recipients }) => recipients.map(({ address }) => address)),
    ).toEqual([[ANN]]);
    const file = join(site.gateway.folder, 'answer.eml');
    await writeFile(file, googleReply({ ...answer, partstat: 'DECLINED', sequence: 1 }));
    const explained = await site.gateway.command('explain', 'calendar@example.com', '--message', file);
    expect(explained.out).toContain(
      `an answer to the gateway's own mailbox: for ${ANN}, the organizer that the journal has`,
    );
  });

  test('to the mailbox of the gateway goes on to an organizer elsewhere, as it came', async () => {
    const event = meeting('answers-via', { organizer: BEN });
    await invite(event);
    const { mail } = await left(OLGA, event.uid);
    expect(mail.from).toBe('calendar@example.com');
    const reply = googleReply(replyTo(event, { attendee: OLGA, partstat: 'ACCEPTED' }));
    expect(codes(await mailIn(OLGA, 'calendar@example.com', reply))).toEqual([250, 250]);
    const [passed] = await waitAnywhere((one) => one.recipients.some(({ address }) => address === BEN));
    expect([passed?.from, passed?.content.toString().endsWith(reply)]).toEqual([OLGA, true]);
  });

  test('to the mailbox of the gateway about a meeting that nobody knows stays there', async () => {
    const event = meeting('answers-unknown');
    const reply = googleReply(replyTo(event, { attendee: OLGA, partstat: 'ACCEPTED' }));
    await mailIn(OLGA, 'calendar@example.com', reply);
    expect(statesOfUid(site, event.uid)).toContain('mail to calendar@example.com: delivered');
    expect(calendar.of(event.uid)).toEqual([]);
  });

  test('who was never invited is not posted', async () => {
    const event = meeting('crashed');
    await invite(event);
    await left(OLGA, event.uid);
    const reply = googleReply(replyTo(event, { attendee: MALLORY, partstat: 'ACCEPTED' }));
    expect(codes(await mailIn(MALLORY, ANN, reply))).toEqual([250, 250]);
    expect(statesOfUid(site, event.uid).filter((state) => state.includes(ANN))).toEqual([
      `post to ${ANN}: skipped`,
      `mail to ${ANN}: delivered`,
    ]);
    expect(calendar.of(event.uid)).toEqual([]);
  });

  test('to a meeting that never left through us is posted', async () => {
    const event = meeting('unknown');
    await mailIn(OLGA, ANN, googleReply(replyTo(event, { attendee: OLGA, partstat: 'ACCEPTED' })));
    expect(await calendar.waitFor(event.uid)).toHaveLength(1);
  });
});

describe('an invitation that a calendar server mails', () => {
  test('leaves with every byte, one by one, and only its envelope sender is ours', async () => {
    const event = meeting('ready-made', { attendees: [OLGA, PETRA] });
    const message = invitationMail(event);
    const sent = await submit(site.gateway.port('own'), { from: ANN, to: [OLGA, PETRA], message });
    expect(codes(sent)).toEqual([250, 250, 250]);
    const mails = await site.world.waitFor((one) => one.content.includes(event.uid), 2);
    expect(mails.map(({ from }) => from)).toEqual([expect.stringMatching(VERP), expect.stringMatching(VERP)]);
    expect(mails.flatMap(({ recipients }) => recipients.map(({ address }) => address)).sort()).toEqual([OLGA, PETRA]);
    for (const { content } of mails) expect(content.toString().endsWith(message)).toBe(true);
  });
});

function replyTo(
  { uid, organizer }: EventFields,
  more: { readonly attendee: string; readonly partstat: 'ACCEPTED' | 'DECLINED' | 'TENTATIVE' },
) {
  return { uid, organizer, summary: 'Review', ...more };
}

/** Deliveries that came to this address and are not settled. */
function openReturns(address: string): readonly string[] {
  return site.store
    .list({ states: ['queued', 'held'] })
    .filter(({ recipient }) => recipient === address)
    .map(({ state }) => state);
}

/** A mail that may leave by either hop. */
function waitAnywhere(wanted: (mail: SinkMail) => boolean): Promise<readonly SinkMail[]> {
  return Promise.any([site.mailboxes.waitFor(wanted), site.world.waitFor(wanted)]);
}

/** A delivery report (RFC 3464). */
function dsn(recipient: string, action: string, status: string): string {
  return [
    'From: MAILER-DAEMON@mx.example.org',
    'To: sender',
    'Subject: Delivery report',
    `Message-ID: <${action}.${Math.trunc(performance.now())}@mx.example.org>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status; boundary=r',
    '',
    '--r',
    'Content-Type: text/plain',
    '',
    'A report.',
    '--r',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; mx.example.org',
    '',
    `Final-Recipient: rfc822; ${recipient}`,
    `Action: ${action}`,
    `Status: ${status}`,
    'Diagnostic-Code: smtp; 550 5.1.1 no such user',
    '',
    '--r--',
    '',
  ].join('\r\n');
}
