import { describe, expect, test } from 'vitest';
import { readDsn, readMessage } from '../../../src/itip/person.ts';
import { composeDsn, type DsnReport, returnsContent } from '../../../src/mail/dsn.ts';
import { scanHeader } from '../../../src/mail/header.ts';

const ORIGINAL = Buffer.from(
  'From: Ann <ann@example.org>\r\nSubject: Budget\r\nMessage-ID: <m1@example.org>\r\n\r\nhello\r\n.\r\n',
);

function report(fields: Partial<DsnReport> = {}): DsnReport {
  return {
    queueId: 'Q7',
    hostname: 'gateway.example.com',
    to: 'ann@example.org',
    now: Date.UTC(2026, 10, 21, 9, 0, 5),
    arrivedAt: Date.UTC(2026, 10, 21, 8, 59, 0),
    recipients: [
      {
        address: 'bob@example.com',
        action: 'failed',
        status: '5.1.1',
        kind: 'mail',
        reason: 'the next hop knows no such recipient',
        diagnostic: 'smtp; 550 5.1.1 no such user',
        remoteMta: 'next.example.com',
        lastAttemptAt: Date.UTC(2026, 10, 21, 9, 0, 0),
        orcpt: 'rfc822;Bob+x@example.com',
      },
    ],
    original: ORIGINAL,
    originalSize: ORIGINAL.length,
    ...fields,
  };
}

function part(dsn: Buffer, type: string): string {
  const found = dsn
    .toString('latin1')
    .split('--imipd-Q7')
    .find((text) => text.includes(`Content-Type: ${type}`));
  return found?.slice(found.indexOf('\r\n\r\n') + 4).replace(/\r\n$/, '') ?? 'no such part';
}

describe('a failure report', () => {
  test('stands as a whole', () => {
    expect(composeDsn(report({ envid: 'QQ=9', messageId: '<m1@example.org>' })).toString()).toBe(
      [
        'From: Mail Delivery System <MAILER-DAEMON@gateway.example.com>',
        'To: <ann@example.org>',
        'Subject: Your message could not be delivered',
        'Date: Sat, 21 Nov 2026 09:00:05 +0000',
        'Message-ID: <Q7@gateway.example.com>',
        'References: <m1@example.org>',
        'Auto-Submitted: auto-replied',
        'MIME-Version: 1.0',
        'Content-Type: multipart/report; report-type=delivery-status;',
        '\tboundary="imipd-Q7"',
        '',
        '--imipd-Q7',
        'Content-Type: text/plain; charset=us-ascii',
        '',
        'This is the mail gateway at gateway.example.com. It reports on a message that',
        'came from your address on Sat, 21 Nov 2026 08:59:00 +0000.',
        '',
        '<bob@example.com>',
        '    Could not be delivered. The next hop knows no such recipient.',
        '    It answered: 550 5.1.1 no such user',
        '    What to do: check the spelling of the address, then send again.',
        '',
        'Questions go to <postmaster@gateway.example.com>; name the report Q7.',
        'The message is attached.',
        '',
        '--imipd-Q7',
        'Content-Description: Delivery report',
        'Content-Type: message/delivery-status',
        '',
        'Reporting-MTA: dns; gateway.example.com',
        'Original-Envelope-Id: QQ=9',
        'Arrival-Date: Sat, 21 Nov 2026 08:59:00 +0000',
        '',
        'Original-Recipient: rfc822; Bob+x@example.com',
        'Final-Recipient: rfc822; bob@example.com',
        'Action: failed',
        'Status: 5.1.1',
        'Remote-MTA: dns; next.example.com',
        'Diagnostic-Code: smtp; 550 5.1.1 no such user',
        'Last-Attempt-Date: Sat, 21 Nov 2026 09:00:00 +0000',
        '',
        '--imipd-Q7',
        'Content-Description: Your message',
        'Content-Type: message/rfc822',
        'Content-Transfer-Encoding: 7bit',
        '',
        'From: Ann <ann@example.org>',
        'Subject: Budget',
        'Message-ID: <m1@example.org>',
        '',
        'hello',
        '.',
        '',
        '--imipd-Q7--',
        '',
      ].join('\r\n'),
    );
  });

  test('is read back by our own reader', async () => {
    expect(await readDsn(composeDsn(report({ envid: 'QQ=9' })))).toEqual({
      envid: 'QQ=9',
      recipients: [
        {
          finalRecipient: 'bob@example.com',
          originalRecipient: 'Bob+x@example.com',
          action: 'failed',
          status: '5.1.1',
          diagnostic: 'smtp; 550 5.1.1 no such user',
        },
      ],
    });
  });

  test('about a post says that the calendar refused, and that nothing was entered', () => {
    const [recipient] = report().recipients;
    const dsn = composeDsn(
      report({
        recipients: [
          {
            ...recipient!,
            kind: 'post',
            status: '5.7.1',
            reason: 'the calendar server does not let this organizer write',
            diagnostic: 'http; 403 organizer-denied',
          },
        ],
      }),
    );
    const text = part(dsn, 'text/plain');
    expect(scanHeader(dsn).fields.find(({ name }) => name === 'subject')?.value).toBe(
      'Your invitation could not be entered',
    );
    expect(text).toContain(
      'The calendar of this address refused the message, and nothing was\r\n    entered. The calendar server does not let this organizer write.\r\n    It answered: 403 organizer-denied\r\n',
    );
  });

  test('about an expired one says so, with 4.4.7 as its status', () => {
    const [recipient] = report().recipients;
    const dsn = composeDsn(
      report({ recipients: [{ ...recipient!, status: '4.4.7', reason: 'no answer for five days' }] }),
    );
    expect(part(dsn, 'text/plain')).toContain(
      'Could not be delivered in time; we have given up. No answer for five\r\n    days.',
    );
    expect(part(dsn, 'message/delivery-status')).toContain('Action: failed\r\nStatus: 4.4.7\r\n');
  });

  test('takes nothing from outside as syntax', () => {
    const evil = 'x\r\nAction: delivered\r\n\r\n--imipd-Q7\r\n';
    const [recipient] = report().recipients;
    const dsn = composeDsn(
      report({
        to: `ann@example.org>${evil}`,
        envid: evil,
        messageId: evil,
        recipients: [
          {
            ...recipient!,
            address: `bob@example.com${evil}`,
            orcpt: `rfc822;${evil}`,
            diagnostic: evil,
            reason: evil,
            remoteMta: evil,
          },
        ],
      }),
    );
    expect(dsn.toString().match(/^Action: .*$/gm)).toEqual(['Action: failed']);
    expect(dsn.toString().match(/^--imipd-Q7(--)?\r$/gm)?.length).toBe(4);
  });
});

test.each([
  ['smtp; 550 5.1.1 no such user', 'Diagnostic-Code: smtp; 550 5.1.1 no such user'],
  ['http; 503', 'Diagnostic-Code: x-http; 503'],
])('a diagnostic of no registered type is a private one: %s (RFC 3464 §9.2)', (diagnostic, field) => {
  const [recipient] = report().recipients;
  const dsn = composeDsn(report({ recipients: [{ ...recipient!, diagnostic }] }));
  expect(dsn.toString().match(/^Diagnostic-Code: .*(?=\r)/gm)).toEqual([field]);
});

test.each([
  ['192.0.2.1', '[192.0.2.1]'],
  ['2001:db8::1', '[IPv6:2001:db8::1]'],
  ['[2001:db8::1]', '[IPv6:2001:db8::1]'],
])('the address %s of a peer is the literal %s in Remote-MTA (RFC 5321 §4.1.3)', (remoteMta, literal) => {
  const [recipient] = report().recipients;
  const dsn = composeDsn(report({ recipients: [{ ...recipient!, remoteMta }] }));
  expect(dsn.toString().match(/^Remote-MTA: .*(?=\r)/gm)).toEqual([`Remote-MTA: dns; ${literal}`]);
});

test('a message that holds the boundary of its own report stays one part of it', async () => {
  const original = Buffer.from('Subject: x\r\n\r\n--imipd-Q7--\r\n--imipd-Q7-1\r\n');
  const dsn = composeDsn(report({ original, originalSize: original.length }));
  expect((await readMessage(dsn)).parts.map(({ contentType }) => contentType)).toEqual([
    'text/plain',
    'message/delivery-status',
    'message/rfc822',
  ]);
});

describe('success', () => {
  const [recipient] = report().recipients;
  const { diagnostic: _, ...plain } = recipient!;

  test('relayed returns the header only, whatever RET says', () => {
    const dsn = composeDsn(report({ ret: 'FULL', recipients: [{ ...plain, action: 'relayed', status: '2.0.0' }] }));
    expect(part(dsn, 'text/rfc822-headers')).toBe(
      'From: Ann <ann@example.org>\r\nSubject: Budget\r\nMessage-ID: <m1@example.org>\r\n',
    );
    expect(part(dsn, 'text/plain')).toContain('That server does not report\r\n    deliveries, so you');
  });

  test('of a post is called entered', () => {
    expect(
      part(
        composeDsn(report({ recipients: [{ ...plain, action: 'delivered', status: '2.0.0', kind: 'post' }] })),
        'text/plain',
      ),
    ).toContain('<bob@example.com>\r\n    Entered in the calendar of this address.\r\n');
  });
});

describe('the original', () => {
  const failed = report().recipients;
  const rows: [string, Parameters<typeof returnsContent>[0], boolean][] = [
    ['small, no RET', { recipients: failed, originalSize: 100_000 }, true],
    ['large, no RET', { recipients: failed, originalSize: 100_001 }, false],
    ['small, RET=HDRS', { ret: 'HDRS', recipients: failed, originalSize: 10 }, false],
    ['large, RET=FULL', { ret: 'FULL', recipients: failed, originalSize: 2_000_000 }, true],
    ['huge, RET=FULL', { ret: 'FULL', recipients: failed, originalSize: 2_000_001 }, false],
  ];
  for (const [title, facts, expected] of rows) {
    test(`${title}: ${expected ? 'comes back whole' : 'comes back as its header'}`, () =>
      expect(returnsContent(facts)).toBe(expected));
  }

  test('of which only the beginning is at hand comes back as its header', () => {
    expect(
      part(
        composeDsn(report({ original: ORIGINAL.subarray(0, 80), originalSize: ORIGINAL.length })),
        'text/rfc822-headers',
      ),
    ).toMatch(/^From: Ann/);
  });

  const eightBit: [string, Buffer, 'FULL' | 'HDRS', string, boolean][] = [
    [
      'with an 8-bit body goes as 8bit',
      Buffer.from('Subject: x\r\n\r\nGrüße\r\n'),
      'FULL',
      'message/rfc822\r\nContent-Transfer-Encoding: 8bit',
      true,
    ],
    [
      'with a header in UTF-8 goes as message/global, encoded',
      Buffer.from('Subject: Grüße\r\n\r\nGrüße\r\n'),
      'FULL',
      'message/global\r\nContent-Transfer-Encoding: base64',
      false,
    ],
    [
      'with a header in UTF-8 gives message/global-headers, encoded',
      Buffer.from('Subject: Grüße\r\n\r\nx\r\n'),
      'HDRS',
      'message/global-headers\r\nContent-Transfer-Encoding: base64',
      false,
    ],
    [
      'with raw Latin-1 in its header gives encoded headers',
      Buffer.from('Subject: Gr\xfc\xdfe\r\n\r\nx\r\n', 'latin1'),
      'HDRS',
      'text/rfc822-headers\r\nContent-Transfer-Encoding: base64',
      false,
    ],
  ];
  for (const [title, original, ret, expected, is8bit] of eightBit) {
    test(title, async () => {
      const dsn = composeDsn(report({ original, originalSize: original.length, ret }));
      expect(dsn.toString('latin1')).toContain(`Content-Type: ${expected}`);
      expect(dsn.some((octet) => octet > 127)).toBe(is8bit);
      expect(scanHeader(dsn).fields.some(({ name }) => name === 'content-transfer-encoding')).toBe(is8bit);
      expect((await readMessage(dsn)).parts.map(({ contentType }) => contentType)).toEqual([
        'text/plain',
        'message/delivery-status',
        expected.slice(0, expected.indexOf('\r')),
      ]);
    });
  }
});

test('a non-ASCII recipient is named in ASCII for machines and as it is for people', async () => {
  const [recipient] = report().recipients;
  const dsn = composeDsn(
    report({ recipients: [{ ...recipient!, address: 'jürgen@example.com', orcpt: 'utf-8;jürgen@example.com' }] }),
  );
  expect(part(dsn, 'message/delivery-status')).toContain(
    'Original-Recipient: utf-8; j\\x{FC}rgen@example.com\r\nFinal-Recipient: utf-8; j\\x{FC}rgen@example.com\r\n',
  );
  expect(Buffer.from(part(dsn, 'text/plain'), 'base64').toString()).toContain('<jürgen@example.com>');
  expect((await readDsn(dsn))?.recipients[0]).toMatchObject({
    finalRecipient: 'jürgen@example.com',
    originalRecipient: 'jürgen@example.com',
  });
});

test('several recipients stand in one report, each with his own story', async () => {
  const [recipient] = report().recipients;
  const dsn = composeDsn(
    report({
      recipients: [
        recipient!,
        { address: 'eve@example.com', action: 'delivered', status: '2.0.0', kind: 'mail', reason: 'ok' },
      ],
    }),
  );
  expect((await readDsn(dsn))?.recipients.map(({ finalRecipient, action }) => [finalRecipient, action])).toEqual([
    ['bob@example.com', 'failed'],
    ['eve@example.com', 'delivered'],
  ]);
  expect(scanHeader(dsn).fields.find(({ name }) => name === 'subject')?.value).toBe('What became of your message');
});
