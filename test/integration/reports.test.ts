import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { plainMail } from './invitations.ts';
import type { SinkMail } from './mail-sink.ts';
import {
  ALICE,
  answers,
  arrived,
  BOB,
  calmDown,
  deliveriesOf,
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

const NO_DSN = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'SIZE'];
const REFUSAL = '550 5.1.1 no such mailbox';

describe('reports', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({
      listeners: [
        'name: in',
        'name: late, reply-wait: 0s',
        'name: final, mode: final',
        'name: late-final, mode: final, reply-wait: 0s',
      ],
      nextHop: { extensions: NO_DSN },
    });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());
  afterEach(() => calmDown(site));

  /** Sends and waits until nothing of it is queued. */
  async function settle(
    listener: string,
    from: string,
    to: Parameters<typeof send>[2]['to'],
    message: string,
    params = '',
  ): Promise<string> {
    const sent = await send(site, listener, { from: { address: from, params }, to, message });
    await outcomesOf(site, queueIdOf(sent));
    return queueIdOf(sent);
  }

  test('a failure after the 250 is reported from the null reverse-path, whole', async () => {
    site.mailboxes.script.rcpt = () => REFUSAL;
    const from = 'whole@example.org';
    const message = plainMail({ from, to: ALICE, id: 'whole@example.org' });
    const id = await settle(
      'late',
      from,
      [{ address: ALICE, params: 'ORCPT=rfc822;a+2Badams@example.net' }],
      message,
      'ENVID=QQ+2B314',
    );
    const report = await mailFor(site.world, from, 'Final-Recipient');
    expect(report).toMatchObject({ from: '', recipients: [{ address: from }] });
    const [reportId] = reportsTo(site, from);
    const text = withoutDates(report).replaceAll(id, 'ID').replaceAll(reportId!, 'REPORT');
    expect(text).toBe(
      [
        'Received: from unknown ([127.0.0.1])',
        '\tby imipd.example.com (imipd) with local id REPORT',
        `\tfor <${from}>;`,
        '\tDATE',
        'From: Mail Delivery System <MAILER-DAEMON@imipd.example.com>',
        `To: <${from}>`,
        'Subject: Your message could not be delivered',
        'Date: DATE',
        'Message-ID: <REPORT@imipd.example.com>',
        'References: <whole@example.org>',
        'Auto-Submitted: auto-replied',
        'MIME-Version: 1.0',
        'Content-Type: multipart/report; report-type=delivery-status;',
        '\tboundary="imipd-REPORT"',
        '',
        '--imipd-REPORT',
        'Content-Type: text/plain; charset=us-ascii',
        '',
        'This is the mail gateway at imipd.example.com. It reports on a message that',
        'came from your address on DATE.',
        '',
        `<${ALICE}>`,
        '    Could not be delivered. The next hop knows no such recipient.',
        '    It answered: 550 5.1.1 no such mailbox',
        '    What to do: check the spelling of the address, then send again.',
        '',
        'Questions go to <postmaster@imipd.example.com>; name the report REPORT.',
        'The message is attached.',
        '',
        '--imipd-REPORT',
        'Content-Description: Delivery report',
        'Content-Type: message/delivery-status',
        '',
        'Reporting-MTA: dns; imipd.example.com',
        'Original-Envelope-Id: QQ+314',
        'Arrival-Date: DATE',
        '',
        'Original-Recipient: rfc822; a+adams@example.net',
        `Final-Recipient: rfc822; ${ALICE}`,
        'Action: failed',
        'Status: 5.1.1',
        'Remote-MTA: dns; [127.0.0.1]',
        'Diagnostic-Code: smtp; 550 5.1.1 no such mailbox',
        'Last-Attempt-Date: DATE',
        '',
        '--imipd-REPORT',
        'Content-Description: Your message',
        'Content-Type: message/rfc822',
        'Content-Transfer-Encoding: 7bit',
        '',
        withoutDates({ content: Buffer.from(message) }).replace(/\r\n$/, ''),
        '',
        '--imipd-REPORT--',
        '',
      ].join('\r\n'),
    );
  });

  test.for([
    ['HDRS', 'text/rfc822-headers', false],
    ['FULL', 'message/rfc822', true],
  ] as const)('with RET=%s a report returns %s', async ([ret, type, whole]) => {
    site.mailboxes.script.rcpt = () => REFUSAL;
    const from = `ret-${ret}@example.org`;
    const text = `word ${ret} `.repeat(20_000); // without RET too long to be returned
    await settle('late', from, [ALICE], plainMail({ from, to: ALICE, id: from, text }), `RET=${ret}`);
    const report = (await mailFor(site.world, from, 'Final-Recipient')).content.toString();
    expect(report).toContain(`Content-Type: ${type}\r\n`);
    expect(report).toContain(`Message-ID: <${from}>`);
    expect(report.includes(text)).toBe(whole);
  });

  test.for([
    ['NOTIFY=NEVER', OLGA, []],
    ['NOTIFY=SUCCESS', OLGA, []],
    ['', '', []],
    ['NOTIFY=FAILURE', '', []],
    ['NOTIFY=FAILURE,DELAY', 'notify-failure@example.org', [ALICE]],
  ] as const)('of a failure with "%s" from <%s> the report names %j', async ([params, from, named]) => {
    site.mailboxes.script.rcpt = () => REFUSAL;
    const id = `notify.${params}.${from}`;
    const queueId = await settle('late', from, [{ address: ALICE, params }], plainMail({ from: OLGA, to: ALICE, id }));
    expect(deliveriesOf(site, queueId)).toMatchObject([{ state: 'failed', told: named.length > 0 ? 'dsn' : 'nobody' }]);
    if (named.length > 0)
      expect(await reported(site, from)).toEqual([
        'Final-Recipient: rfc822; alice@example.com',
        'Action: failed',
        'Status: 5.1.1',
      ]);
    else expect(reportsTo(site, from)).toEqual([]);
  });

  test('a refusal known in time is the reply even from <> and with NOTIFY=NEVER', async () => {
    site.mailboxes.script.rcpt = () => REFUSAL;
    const message = plainMail({ from: OLGA, to: ALICE, id: 'bounce@example.org' });
    for (const from of ['', OLGA]) {
      const sent = await send(site, 'in', { from, to: [{ address: ALICE, params: 'NOTIFY=NEVER' }], message });
      expect(answers(sent)).toEqual(['550 5.1.1 the next hop knows no such recipient']);
    }
  });

  test('of three recipients refused after the 250 one report names those that it may', async () => {
    site.mailboxes.script.rcpt = (address) => (address === SPECIAL.withoutCalendar ? undefined : REFUSAL);
    const from = 'three@example.org';
    const to = [ALICE, { address: BOB, params: 'NOTIFY=NEVER' }, SPECIAL.withoutCalendar];
    await settle('late', from, to, plainMail({ from, to: ALICE, id: from }));
    expect(await reported(site, from)).toEqual([
      `Final-Recipient: rfc822; ${ALICE}`,
      'Action: failed',
      'Status: 5.1.1',
    ]);
    expect(reportsTo(site, from)).toHaveLength(1);
  });

  test.for(['plain mail', 'an invitation'])(
    'NOTIFY=SUCCESS of %s that goes to a next hop without DSN is answered "relayed"',
    async (what) => {
      const from = `relayed.${what.length}@example.org`;
      const message =
        what === 'plain mail'
          ? plainMail({ from, to: ALICE, id: from })
          : requestMail({ uid: from, attendees: [ALICE] });
      await settle('in', from, [{ address: ALICE, params: 'NOTIFY=SUCCESS,FAILURE' }], message, 'RET=FULL');
      expect(await reported(site, from)).toEqual([
        `Final-Recipient: rfc822; ${ALICE}`,
        'Action: relayed',
        'Status: 2.0.0',
      ]);
      const mail = await mailFor(site.mailboxes, ALICE, from);
      expect([mail.fromParams, mail.recipients[0]?.params]).toEqual([expect.not.stringContaining('RET'), '']);
      // A report of success returns the header only (RFC 3461 §6.2).
      expect((await mailFor(site.world, from, 'Action: relayed')).content.toString()).not.toMatch(
        /Noon\?|You are invited/,
      );
    },
  );

  test('NOTIFY=SUCCESS of a calendar-only address is answered "delivered", whether the reply waited or not', async () => {
    for (const listener of ['final', 'late-final']) {
      const from = `delivered.${listener}@example.org`;
      const to = [{ address: SPECIAL.room, params: `NOTIFY=SUCCESS ORCPT=rfc822;meeting.room@example.net` }];
      await settle(listener, from, to, requestMail({ uid: from, attendees: [SPECIAL.room] }));
      const report = (await mailFor(site.world, from, 'Action: delivered')).content.toString();
      expect(report).toContain('\r\nOriginal-Recipient: rfc822; meeting.room@example.net\r\n');
      expect(await reported(site, from)).toEqual([
        `Final-Recipient: rfc822; ${SPECIAL.room}`,
        'Action: delivered',
        'Status: 2.0.0',
      ]);
    }
  });

  test('of a final post NOTIFY=NEVER reports no failure', async () => {
    site.calendar.answer = () => '3.8;No authority';
    const from = 'never.final@example.org';
    const queueId = await settle(
      'late-final',
      from,
      [{ address: ALICE, params: 'NOTIFY=NEVER' }],
      requestMail({ uid: from, attendees: [ALICE] }),
    );
    expect(deliveriesOf(site, queueId)).toMatchObject([{ state: 'failed', told: 'nobody' }]);
    expect(reportsTo(site, from)).toEqual([]);
  });

  test('a report that is refused makes no report', async () => {
    site.mailboxes.script.rcpt = () => REFUSAL;
    site.world.script.rcpt = () => REFUSAL;
    const from = 'refuses-reports@example.org';
    await settle('late', from, [ALICE], plainMail({ from, to: ALICE, id: from }));
    const [report, ...more] = reportsTo(site, from);
    expect(await outcomesOf(site, report!)).toEqual([`mail to ${from}: failed`]);
    expect(deliveriesOf(site, report!)).toMatchObject([{ told: 'nobody' }]);
    expect([more, reportsTo(site, '')]).toEqual([[], []]);
  });

  describe('of mail that goes round', () => {
    test('the second pass is warned of, the fifth refused 5.4.6', async () => {
      const id = 'round@example.org';
      let message = plainMail({ from: OLGA, to: ALICE, id });
      for (let pass = 1; pass <= 4; pass++) {
        await settle('in', OLGA, [ALICE], message);
        const [mail] = (await site.mailboxes.waitFor((one) => one.content.includes(id), pass)).slice(-1);
        message = mail!.content.toString();
      }
      const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
      expect(answers(sent)).toEqual(['554 5.4.6 too many hops: this message is going round in circles']);
      const warnings = await site.gateway.waitForLines(
        (line) => line.level === 'warn' && line.messageId === `<${id}>`,
        4,
      );
      expect(warnings.map((line) => [line.ownReceived, line.msg])).toEqual([
        ...[1, 2, 3].map((count) => [count, 'this message has passed here before: the next hop sends it back to us']),
        [4, 'mail loop: refused'],
      ]);
    });

    test.for([
      [48, /^250 2\.6\.0 /],
      [49, /^554 5\.4\.6 /],
    ] as const)('of other servers, %i Received fields are answered %s', async ([count, reply]) => {
      const received =
        'Received: from a.example.org\r\n\tby b.example.org with ESMTP; Tue, 1 Jan 2030 08:00:00 +0000\r\n';
      const message = received.repeat(count) + plainMail({ from: OLGA, to: ALICE, id: `hops-${count}@example.org` });
      const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
      expect(answers(sent)).toEqual([expect.stringMatching(reply)]);
    });

    test('Received fields that only look like ours count for nothing, nor do those of a forwarded message', async () => {
      const ours =
        'Received: from a ([127.0.0.1])\r\n\tby IMIPD.example.com (imipd) with ESMTP id X; Tue, 1 Jan 2030 08:00:00 +0000\r\n';
      const others = ours.replace('IMIPD', 'imipd.other') + ours.replace('by', 'for');
      const body = `Content-Type: message/rfc822\r\n\r\n${ours.repeat(5)}Subject: inner\r\n\r\nx`;
      const message =
        others.repeat(3) +
        plainMail({ from: OLGA, to: ALICE, id: 'alike@example.org' }).replace('\r\n\r\nNoon?', `\r\n${body}`);
      await settle('in', OLGA, [ALICE], message);
      expect(arrived(await mailFor(site.mailboxes, ALICE, 'alike@example.org')).message).toBe(message);
    });
  });
});

describe('mail that its next hop does not take in time', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({
      listeners: ['name: in', 'name: in-lmtp, protocol: lmtp'],
      queue: ['mail-lifetime: 1s'],
    });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());
  afterEach(() => calmDown(site));

  test.for(['in', 'in-lmtp'])('sent by listener %s, is reported when it expires', async (listener) => {
    await site.mailboxes.close();
    const from = `expires.${listener}@example.org`;
    const message = plainMail({ from, to: ALICE, id: from });
    const sent = await send(site, listener, { from, to: [ALICE, { address: BOB, params: 'NOTIFY=NEVER' }], message });
    expect(new Set(answers(sent))).toEqual(new Set([`250 2.6.0 queued as ${queueIdOf(sent)}`]));
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: expired`, `mail to ${BOB}: expired`]);
    expect(await reported(site, from)).toEqual([
      `Final-Recipient: rfc822; ${ALICE}`,
      'Action: failed',
      'Status: 4.4.7',
    ]);
    expect((await mailFor(site.world, from, 'Final-Recipient')).from).toBe('');
    expect(reportsTo(site, from)).toHaveLength(1);
  });

  test('is not delivered, although its invitation was posted', async () => {
    site.mailboxes.script.rcpt = () => '450 4.2.0 busy';
    const from = 'posted@example.org';
    const sent = await send(site, 'in', { from, to: [ALICE], message: requestMail({ uid: from, attendees: [ALICE] }) });
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
      `post to ${ALICE}: delivered`,
      `mail to ${ALICE}: expired`,
    ]);
    const report = (await mailFor(site.world, from, 'Final-Recipient')).content.toString();
    expect(report).toContain('\r\nDiagnostic-Code: smtp; 450 4.2.0 busy\r\n');
  });

  test('NOTIFY=SUCCESS is left to a next hop that knows DSN, with ENVID, RET and ORCPT', async () => {
    const from = 'carried@example.org';
    const to = [
      { address: ALICE, params: 'NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Badams@example.net' },
      { address: BOB, params: 'NOTIFY=NEVER' },
    ];
    const message = plainMail({ from, to: ALICE, id: from });
    const sent = await send(site, 'in', { from: { address: from, params: 'RET=HDRS ENVID=QQ+2B314' }, to, message });
    expect(await outcomesOf(site, queueIdOf(sent))).toEqual([
      `mail to ${ALICE}: delivered`,
      `mail to ${BOB}: delivered`,
    ]);
    const mail = await mailFor(site.mailboxes, ALICE, from);
    expect(mail.fromParams).toMatch(/ RET=HDRS ENVID=QQ\+2B314$/);
    expect(mail.recipients).toEqual(to);
    expect(reportsTo(site, from)).toEqual([]);
  });
});

/** Recipient, action and status of each recipient in the reports that reached a sender, in order. */
async function reported(site: SmallSite, sender: string): Promise<readonly string[]> {
  const report = await mailFor(site.world, sender, 'Final-Recipient');
  return report.content.toString().match(/^(Final-Recipient|Action|Status): .*/gm) ?? [];
}

function withoutDates(mail: Pick<SinkMail, 'content'>): string {
  return mail.content.toString().replace(/[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} [+-]\d{4}/g, 'DATE');
}
