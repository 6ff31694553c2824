import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { attempt } from '../../../src/flow/attempt.ts';
import type { FlowContext } from '../../../src/flow/context.ts';
import { judgeRcpt } from '../../../src/flow/rcpt.ts';
import { reportFailures } from '../../../src/flow/tell-organizer.ts';
import type { Outbound } from '../../../src/imip/mail.ts';
import type { CalendarServer } from '../../../src/mail/disposition.ts';
import type { Outcome } from '../../../src/mail/outcome.ts';
import { mintToken, verpAddress } from '../../../src/mail/verp.ts';
import type { Delivery, Mode } from '../../../src/queue/store.ts';
import { calendar, event } from '../itip/samples.ts';
import { DELIVERED, HOUR, MINUTE, message } from '../queue/samples.ts';
import { NORTH, openScene, person, type Scene, SITE } from './scene.ts';

const OUTBOUND: Outbound = {
  address: 'calendar@example.com',
  name: 'Example calendar',
  fromDomains: new Set(['example.com']),
  secret: Buffer.from('a secret of this gateway'),
  language: 'en',
  languages: new Map(),
  journalMs: 90 * 24 * HOUR,
  unknownUid: 'post',
};
const FORGED = `calendar+${'a'.repeat(36)}b@example.com`;

const INVITATION = [
  'From: ann@example.com',
  'To: bob@example.org, carol@example.net',
  'Message-ID: <invitation@example.com>',
  'MIME-Version: 1.0',
  'Content-Type: text/calendar; charset=utf-8; method=REQUEST',
  '',
  calendar(
    'REQUEST',
    ...event({
      ORGANIZER: ['ORGANIZER:mailto:ann@example.com'],
      ATTENDEE: [
        'ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org',
        'ATTENDEE;PARTSTAT=ACCEPTED:mailto:carol@example.net',
      ],
    }),
  ),
].join('\r\n');

let scene: Scene;
beforeEach(async () => {
  scene = await openScene(SITE, { outbound: OUTBOUND });
});
afterEach(async () => scene[Symbol.asyncDispose]());

/** The VERP addresses of an invitation to bob and carol that left. */
async function invite(): Promise<{ readonly bob: string; readonly carol: string }> {
  const arrival = { origin: 'inside', verp: true, reversePath: 'server@example.com' } as const;
  await scene.arrive(INVITATION, ['bob@example.org', 'carol@example.net'], arrival);
  await scene.work();
  const senderTo = (address: string): string => scene.mails.find(({ to }) => to[0] === address)?.from ?? '';
  const addresses = { bob: senderTo('bob@example.org'), carol: senderTo('carol@example.net') };
  expect(addresses.bob).toMatch(/^calendar\+[a-z2-7]{37}@example\.com$/);
  scene.mails.length = 0;
  scene.posts.length = 0;
  scene.lines.length = 0;
  return addresses;
}

/** A report as Postfix writes it. */
function postfixDsn(address: string, entry: { readonly action?: string; readonly status?: string } = {}): string {
  const { action = 'failed', status = '5.1.1' } = entry;
  return [
    'Return-Path: <>',
    'From: MAILER-DAEMON@mx.example.org (Mail Delivery System)',
    'Subject: Undelivered Mail Returned to Sender',
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status;',
    '\tboundary="4BX1/mx.example.org"',
    '',
    'This is a MIME-encapsulated message.',
    '',
    '--4BX1/mx.example.org',
    'Content-Description: Notification',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    "I'm sorry to have to inform you that your message could not be delivered.",
    '',
    '--4BX1/mx.example.org',
    'Content-Description: Delivery report',
    'Content-Type: message/delivery-status',
    '',
    'Reporting-MTA: dns; mx.example.org',
    'X-Postfix-Queue-ID: 4BX1',
    'X-Postfix-Sender: rfc822; calendar@example.com',
    'Arrival-Date: Sat, 21 Nov 2026 08:00:00 +0000 (UTC)',
    '',
    `Final-Recipient: rfc822; ${address}`,
    `Original-Recipient: rfc822;${address}`,
    `Action: ${action}`,
    `Status: ${status}`,
    'Remote-MTA: dns; mail.example.org',
    `Diagnostic-Code: smtp; 550 5.1.1 <${address}>: Recipient address rejected: User`,
    '    unknown',
    '',
    '--4BX1/mx.example.org',
    'Content-Description: Undelivered Message',
    'Content-Type: message/rfc822',
    '',
    INVITATION,
    '',
    '--4BX1/mx.example.org--',
    '',
  ].join('\r\n');
}

const NULL = { reversePath: '' } as const;
/** The log lines of what came back. */
const returned = (): unknown[] => scene.lines.flatMap(({ channel, reason }) => (channel === 'bounce' ? [reason] : []));

describe('RCPT', () => {
  const rcpt = (mode: Mode, address: string): Promise<unknown> =>
    judgeRcpt(
      scene.context,
      { name: 'mx', protocol: 'smtp', mode, origin: 'outside', copyDomains: new Map() },
      { address, received: address },
      AbortSignal.timeout(5_000),
    );
  const good = verpAddress(OUTBOUND.address, mintToken(OUTBOUND.secret, '26112108ABCDEF', 3));

  test.each(['filter', 'final', 'copy'] as const)(
    'a good token is accepted by %s, in any case of letters',
    async (mode) => {
      expect(await rcpt(mode, good)).toMatchObject({ kind: 'accepted' });
      expect(await rcpt(mode, good.toUpperCase())).toMatchObject({ kind: 'accepted' });
    },
  );

  test.each(['filter', 'final'] as const)('a forged token is nobody to %s', async (mode) => {
    for (const address of [FORGED, verpAddress(OUTBOUND.address, mintToken(Buffer.from('other'), '26112108ABCDEF', 3))])
      expect(await rcpt(mode, address)).toEqual({
        kind: 'refused',
        reply: { code: 550, status: '5.1.1', text: `<${address}> no such address` },
      });
  });

  test("the gateway's own address and its other sub-addresses are mail like any other", async () => {
    for (const address of [OUTBOUND.address, 'calendar+news@example.com', good.replace('example.com', 'example.org')])
      expect(await rcpt('filter', address)).toEqual({ kind: 'accepted', recipient: { address, received: address } });
  });
});

describe('a failure report', () => {
  test('goes to the organizer as one mail that names the attendee, from nobody, and to no one else', async () => {
    const { bob } = await invite();
    await scene.arrive(postfixDsn('bob@example.org'), [bob], NULL);
    await scene.work();
    expect(scene.mails.map(({ from, to }) => ({ from, to }))).toEqual([{ from: '', to: ['ann@example.com'] }]);
    expect(scene.mails[0]?.body).toContain('Auto-Submitted: auto-replied');
    expect(scene.mails[0]?.body).toMatch(/^From: .*<calendar@example\.com>/);
    expect(scene.posts).toEqual([]);
    expect(returned()).toEqual([
      'returned, failure for bob@example.org: 5.1.1 550 5.1.1 <bob@example.org>: Recipient address rejected: User unknown; its organizer is told by mail: ann@example.com',
    ]);
  });

  test('that comes twice, even at once, is told once', async () => {
    const { bob } = await invite();
    await scene.arrive(postfixDsn('bob@example.org'), [bob, bob], NULL);
    await scene.arrive(postfixDsn('bob@example.org'), [bob], NULL);
    const claims = await scene.store.claim(scene.world.now, 10);
    expect(claims).toHaveLength(2);
    await Promise.all(claims.map((claim) => attempt(scene.context, claim, AbortSignal.timeout(5_000))));
    await scene.work();
    expect(scene.mails.map(({ to }) => to)).toEqual([['ann@example.com']]);
    expect(returned()).toHaveLength(3);
    expect(returned().slice(1)).toEqual([
      expect.stringContaining('the organizer knows already'),
      expect.stringContaining('the organizer knows already'),
    ]);
  });

  test('for each of two attendees makes two mails', async () => {
    const { bob, carol } = await invite();
    await scene.arrive(postfixDsn('bob@example.org'), [bob], NULL);
    await scene.arrive(postfixDsn('carol@example.net'), [carol], NULL);
    await scene.work();
    expect(scene.mails.map(({ to }) => to)).toEqual([['ann@example.com'], ['ann@example.com']]);
  });

  test('is a REPLY with his last answer where the organizer’s server records the status', async () => {
    scene.people.push(person('ann@example.com', { server: 'apple' }));
    const apple = { url: 'https://apple.example.com/ischedule', profile: 'apple' } as const;
    const backEnds = new Map<string, CalendarServer>([
      ['north', NORTH],
      ['apple', apple],
    ]);
    const policy = { ...SITE, homes: { ...SITE.homes, backEnds } };
    Object.assign(scene.context, { policy });
    const { carol } = await invite();
    await scene.arrive(postfixDsn('carol@example.net', { status: '5.2.1' }), [carol], NULL);
    await scene.work();
    expect(scene.mails).toEqual([]);
    expect(scene.posts.map(({ originator, recipients, method }) => ({ originator, recipients, method }))).toEqual([
      { originator: 'carol@example.net', recipients: ['ann@example.com'], method: 'REPLY' },
    ]);
    const content = scene.posts[0]?.content.toString() ?? '';
    expect(content.match(/ATTENDEE.*/g)).toEqual(['ATTENDEE;PARTSTAT=ACCEPTED:mailto:carol@example.net']);
    expect(content).toMatch(/REQUEST-STATUS:5\.1;550 5\.1\.1/);
    expect(content).toContain('UID:budget-1@example.org');
  });

  test.each([
    [
      'Exchange',
      [
        'From: postmaster@example.org',
        'MIME-Version: 1.0',
        'Content-Type: multipart/report; report-type=delivery-status; boundary="ex_1"',
        'X-MS-Exchange-Message-Is-Ndr:',
        'Content-Language: en-US',
        '',
        '--ex_1',
        'Content-Type: multipart/alternative; differences=Content-Type; boundary="ex_2"',
        '',
        '--ex_2',
        'Content-Type: text/plain; charset="us-ascii"',
        '',
        "Your message to bob@example.org couldn't be delivered.",
        '--ex_2',
        'Content-Type: text/html; charset="us-ascii"',
        '',
        '<p>Your message could not be delivered.</p>',
        '--ex_2--',
        '',
        '--ex_1',
        'Content-Type: message/delivery-status',
        '',
        'Reporting-MTA: dns;AB1.prod.example.org',
        'Received-From-MTA: dns;mx.example.com',
        'Arrival-Date: Sat, 21 Nov 2026 08:00:00 +0000',
        '',
        'Final-Recipient: rfc822;bob@example.org',
        'Action: failed',
        'Status: 5.1.10',
        'Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
        '',
        '--ex_1',
        'Content-Type: message/rfc822',
        '',
        INVITATION,
        '--ex_1--',
        '',
      ],
      '5.1.10 550 5.1.10 RESOLVER.ADR.RecipientNotFound',
    ],
    [
      'Gmail',
      [
        'From: Mail Delivery Subsystem <mailer-daemon@googlemail.test>',
        'Auto-Submitted: auto-replied',
        'X-Failed-Recipients: bob@example.org',
        'MIME-Version: 1.0',
        'Content-Type: multipart/report; boundary="0000000000008f"; report-type=delivery-status',
        '',
        '--0000000000008f',
        'Content-Type: multipart/related; boundary="0000000000009a"',
        '',
        '--0000000000009a',
        'Content-Type: text/html; charset="UTF-8"',
        '',
        '<p>Address not found</p>',
        '--0000000000009a',
        'Content-Type: image/png; name="icon.png"',
        'Content-Disposition: attachment; filename="icon.png"',
        'Content-Transfer-Encoding: base64',
        '',
        'iVBORw0KGgo=',
        '--0000000000009a--',
        '--0000000000008f',
        'Content-Type: message/delivery-status',
        '',
        'Reporting-MTA: dns; googlemail.test',
        'Arrival-Date: Sat, 21 Nov 2026 00:00:00 -0800 (PST)',
        '',
        'Final-Recipient: rfc822; bob@example.org',
        'Action: failed',
        'Status: 5.2.2',
        'Remote-MTA: dns; gmail-smtp-in.test',
        'Diagnostic-Code: smtp; 552-5.2.2 The recipient’s inbox is out of storage space.',
        'Last-Attempt-Date: Sat, 21 Nov 2026 00:00:01 -0800 (PST)',
        '',
        '--0000000000008f',
        'Content-Type: message/rfc822',
        '',
        INVITATION,
        '--0000000000008f--',
        '',
      ],
      '5.2.2 552-5.2.2 The recipient',
    ],
  ])('of %s is read', async (_name, lines, said) => {
    const { bob } = await invite();
    await scene.arrive(lines.join('\r\n'), [bob], NULL);
    await scene.work();
    expect(scene.mails.map(({ to }) => to)).toEqual([['ann@example.com']]);
    expect(returned()).toEqual([expect.stringContaining(`failure for bob@example.org: ${said}`)]);
  });

  test('is found before an original of many megabytes', async () => {
    const { bob } = await invite();
    const huge = postfixDsn('bob@example.org').replace(
      '--4BX1/mx.example.org--',
      `${'x'.repeat(70)}\r\n`.repeat(60_000),
    );
    await scene.arrive(huge, [bob], NULL);
    await scene.work();
    expect(scene.mails.map(({ to }) => to)).toEqual([['ann@example.com']]);
  });
});

describe('what is no failure report goes on with every octet to the sender of the invitation', () => {
  const vacation = (...fields: readonly string[]): string =>
    ['From: bob@example.org', 'Subject: Out of office', ...fields, '', 'Back on Monday.', ''].join('\r\n');
  const inner = postfixDsn('bob@example.org');
  test.each([
    ['a delayed report', postfixDsn('bob@example.org', { action: 'delayed', status: '4.4.1' })],
    ['a success report', postfixDsn('bob@example.org', { action: 'delivered', status: '2.0.0' })],
    ['a vacation answer (RFC 3834)', vacation('Auto-Submitted: auto-replied')],
    ['a vacation answer of old', vacation('Precedence: bulk')],
    ['a text of a mailer daemon', vacation('From: MAILER-DAEMON@example.org').replace('Back', 'failed: bob')],
    ['a report without its part', inner.replace('message/delivery-status', 'text/plain')],
    ['a report within a forwarded message', `Subject: Fwd\r\nContent-Type: message/rfc822\r\n\r\n${inner}`],
    ['a report whose boundary never comes', inner.replaceAll('--4BX1', '--5CY2')],
    ['nothing at all', ''],
    [
      'a REPLY of a client that answers the envelope',
      [
        'From: bob@example.org',
        'MIME-Version: 1.0',
        'Content-Type: text/calendar; method=REPLY',
        '',
        calendar(
          'REPLY',
          ...event({
            ORGANIZER: ['ORGANIZER:mailto:ann@example.com'],
            ATTENDEE: ['ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org'],
          }),
        ),
      ].join('\r\n'),
    ],
  ])('%s', async (_name, content) => {
    const { bob } = await invite();
    const id = await scene.arrive(content, [bob], NULL);
    await scene.work();
    expect(scene.mails.map(({ from, to, body }) => ({ from, to, body }))).toEqual([
      { from: '', to: ['server@example.com'], body: content },
    ]);
    expect(scene.mails[0]?.prepend).toMatch(/^Received: (?:[^\r]*\r\n\s)*[^\r]*\r\n$/);
    expect(scene.posts).toEqual([]);
    expect(scene.store.message(id)?.deliveries.map(({ kind, route, state }) => [kind, route, state])).toEqual([
      ['mail', 'return', 'skipped'],
      ['mail', 'smart-host', 'delivered'],
    ]);
  });

  test('a person’s mail keeps its envelope sender', async () => {
    const { bob } = await invite();
    await scene.arrive('Subject: Late\r\n\r\nI come at ten.\r\n', [bob], { reversePath: 'bob@example.org' });
    await scene.work();
    expect(scene.mails.map(({ from, to }) => ({ from, to }))).toEqual([
      { from: 'bob@example.org', to: ['server@example.com'] },
    ]);
  });

  test('from a listener that makes VERP addresses too, without one', async () => {
    const { bob } = await invite();
    const arrival = { origin: 'inside', verp: true, reversePath: 'bob@example.com' } as const;
    await scene.arrive(INVITATION.replaceAll('REQUEST', 'REPLY'), [bob], arrival);
    await scene.work();
    expect(scene.mails.map(({ from, to }) => ({ from, to }))).toEqual([
      { from: 'bob@example.com', to: ['server@example.com'] },
    ]);
  });

  test.each(['final', 'copy'] as const)('at a %s listener as well', async (mode) => {
    const { bob } = await invite();
    await scene.arrive(vacation('Auto-Submitted: auto-replied'), [bob], { ...NULL, mode });
    await scene.work();
    expect(scene.mails.map(({ to }) => to)).toEqual([['server@example.com']]);
  });

  test('what comes back from there to a VERP address ends', async () => {
    const { bob } = await invite();
    await scene.arrive(vacation('Auto-Submitted: auto-replied'), [bob], NULL);
    await scene.work();
    const again = `${scene.mails[0]?.prepend}${scene.mails[0]?.body}`;
    scene.mails.length = 0;
    await scene.arrive(again, [bob], NULL);
    await scene.arrive(vacation('Auto-Submitted: auto-replied'), [bob], { reversePath: bob });
    await scene.work();
    expect(scene.mails).toEqual([]);
    expect(returned().slice(1)).toEqual([
      'returned, ended here: it has been returned here before',
      'returned, ended here: it has been returned here before',
    ]);
  });
});

test('what is faster than the journal waits for it once', async () => {
  const arrival = { origin: 'inside', verp: true, reversePath: 'server@example.com' } as const;
  const id = await scene.arrive(INVITATION, ['bob@example.org'], arrival);
  const bob = verpAddress(OUTBOUND.address, mintToken(OUTBOUND.secret, id, 0));
  const [invitation] = await scene.store.claim(scene.world.now, 1);
  await scene.arrive(postfixDsn('bob@example.org'), [bob], NULL);
  await scene.work();
  expect(scene.mails).toEqual([]);
  expect(scene.lines.at(-1)).toMatchObject({ outcome: 'deferred', reason: 'what it answers is on its way still' });
  if (invitation === undefined) throw new Error('nothing was claimed');
  await attempt(scene.context, invitation, AbortSignal.timeout(5_000));
  scene.world.now += 10 * MINUTE;
  await scene.work();
  expect(scene.mails.map(({ to }) => to)).toEqual([['bob@example.org'], ['ann@example.com']]);
});

describe('a token of ours that nobody remembers', () => {
  const lost = verpAddress(OUTBOUND.address, mintToken(OUTBOUND.secret, '26012108ABCDEF', 0));

  test('ends a report', async () => {
    await scene.arrive(postfixDsn('bob@example.org'), [lost], NULL);
    await scene.work();
    expect(scene.mails).toEqual([]);
    expect(returned()).toEqual(['returned, ended here: a delivery report, and what it answers is not remembered']);
  });

  test('refuses a person', async () => {
    const id = await scene.arrive('Subject: Late\r\n\r\nSorry.\r\n', [lost], { mode: 'copy' });
    await scene.work();
    expect(scene.store.message(id)?.deliveries[0]).toMatchObject({ state: 'failed', outcome: { status: '5.1.1' } });
  });
});

describe('an invitation that the smart host refuses for good', () => {
  const arrival = { origin: 'inside', verp: true, reversePath: 'server@example.com' } as const;
  /** Refuses the first mail, and takes those that tell of it. */
  const refuseOnce = (): void => {
    let refused = false;
    const answer: Outcome = {
      kind: 'failed',
      status: '5.1.1',
      reason: 'refused',
      diagnostic: 'smtp; 550 5.1.1 no such user',
    };
    Object.defineProperty(scene.world, 'hopAnswer', {
      get: () => {
        if (refused) return DELIVERED;
        refused = true;
        return answer;
      },
    });
  };

  test('is told to its organizer as if it had come back', async () => {
    refuseOnce();
    const id = await scene.arrive(INVITATION, ['bob@example.org'], arrival);
    await scene.work();
    expect(scene.mails.map(({ from, to }) => [from === '' ? 'null' : 'VERP', ...to])).toEqual([
      ['VERP', 'bob@example.org'],
      ['null', 'ann@example.com'],
    ]);
    expect(decoded(scene.mails[1]?.body)).toMatch(/bob@example\.org[\s\S]*There is no such address[\s\S]*no such user/);
    const mail = scene.store.message(id)?.deliveries.find(({ kind }) => kind === 'mail');
    expect(mail).toMatchObject({ state: 'failed', told: 'dsn' });
    expect(scene.store.sendings('budget-1@example.org', { messageIds: [], sentTo: ['bob@example.org'] })).toEqual([]);
  });

  test('makes an ordinary report where no mail of ours speaks', async () => {
    const { outbound: _, ...rest } = scene.context;
    const lines: string[] = [];
    const report: FlowContext['report'] = async (_message, told) => {
      lines.push(...told.map(({ delivery }) => delivery.recipient));
      throw new Error('as far as this test goes');
    };
    const delivery = { recipient: 'bob@example.org', kind: 'mail' } as Delivery;
    const told = [{ delivery, outcome: DELIVERED, action: 'failed' }] as const;
    await expect(reportFailures({ ...rest, report }, message('Q1'), told)).rejects.toThrow('as far');
    expect(lines).toEqual(['bob@example.org']);
  });
});

describe('an invitation from elsewhere that one of ours has forwarded', () => {
  const FORWARDED = INVITATION.replaceAll('ann@example.com', 'olga@example.net');
  const arrival = { origin: 'inside', verp: true, reversePath: 'dora@example.com' } as const;

  test('that comes back goes to whom it came from, and its organizer does not learn of it', async () => {
    await scene.arrive(FORWARDED, ['bob@example.org'], arrival);
    await scene.work();
    const verp = scene.mails[0]?.from ?? '';
    await scene.arrive(postfixDsn('bob@example.org'), [verp], NULL);
    await scene.work();
    expect(scene.mails.slice(1).map(({ to }) => to)).toEqual([['dora@example.com']]);
  });

  test('that the smart host refuses is reported to whom it came from', async () => {
    const told: string[] = [];
    const report: FlowContext['report'] = async ({ envelope }) => {
      told.push(envelope.reversePath);
      throw new Error('as far as this test goes');
    };
    const id = await scene.arrive(FORWARDED, ['bob@example.org'], arrival);
    const found = scene.store.message(id);
    const delivery = found?.deliveries.find(({ kind }) => kind === 'mail');
    const line = { delivery: delivery!, outcome: DELIVERED, action: 'failed' } as const;
    await expect(reportFailures({ ...scene.context, report }, found!.message, [line])).rejects.toThrow('as far');
    expect(told).toEqual(['dora@example.com']);
  });
});

/** The parts of a mail, their base64 and quoted-printable undone as far as a test reads them. */
function decoded(mail = ''): string {
  const blocks = mail.split(/\r\n\r\n/);
  return blocks
    .map((block) => (/^[A-Za-z0-9+/=\r\n]+(?:--|$)/.test(block) ? Buffer.from(block, 'base64').toString() : block))
    .join('\n')
    .replace(/=\r\n/g, '');
}
