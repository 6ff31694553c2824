import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readDsn, readMessage } from '../../../src/itip/person.ts';

const crlf = (lines: string[]) => Buffer.from(`${lines.join('\r\n')}\r\n`);

describe('readMessage', () => {
  test('lists the parts as a person sees them, a forwarded message as one part', async () => {
    const raw = crlf([
      'From: Ann <ann@example.org>',
      'To: bob@example.com, "Eve, R" <eve@example.com>',
      'Subject: =?utf-8?Q?B=C3=BCro?=',
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain',
      '',
      'hello',
      '--b',
      'Content-Type: text/calendar; method=REQUEST; charset=utf-8',
      'Content-Transfer-Encoding: base64',
      '',
      'QkVHSU46VkNBTEVOREFS',
      '--b',
      'Content-Type: message/rfc822',
      'Content-Disposition: inline',
      '',
      'Subject: inner',
      'Content-Type: text/calendar; method=CANCEL',
      '',
      'BEGIN:VCALENDAR',
      '--b--',
    ]);
    expect(await readMessage(raw)).toEqual({
      from: '"Ann" <ann@example.org>',
      senders: ['ann@example.org'],
      recipients: ['bob@example.com', 'eve@example.com'],
      subject: 'Büro',
      parts: [
        { contentType: 'text/plain', size: 5 },
        { contentType: 'text/calendar', method: 'REQUEST', size: 15 },
        { contentType: 'message/rfc822', size: 77 },
      ],
    });
  });

  const corpus = process.env.IMIPD_CORPUS ?? fileURLToPath(new URL('../../../../shared/corpus', import.meta.url));
  test.skipIf(!existsSync(corpus))('reads every real message of the corpus without a throw', async () => {
    const names = readdirSync(corpus, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.eml'));
    const unread: string[] = [];
    for (const name of names) {
      const raw = readFileSync(`${corpus}/${name}`);
      if ((await readMessage(raw)).parts.length === 0) unread.push(name);
      await readDsn(raw);
    }
    expect(names.length).toBeGreaterThan(0);
    expect(unread.length).toBeLessThan(names.length / 10);
  });
});

describe('readDsn', () => {
  test('reads past a comment behind the action, and angle brackets around the address', async () => {
    const raw = crlf([
      'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
      '',
      '--b',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.example.org',
      '',
      'Final-Recipient: rfc822;<bob@example.org>',
      'Action: failed (given up after 5 days)',
      'Status: 4.4.7 (expired)',
      '',
      '--b--',
    ]);
    expect(await readDsn(raw)).toEqual({
      recipients: [{ finalRecipient: 'bob@example.org', action: 'failed', status: '4.4.7' }],
    });
  });

  test('reads a report as another server writes it', async () => {
    const raw = crlf([
      'From: MAILER-DAEMON@mx.example.net',
      'Content-Type: multipart/report; report-type=delivery-status; boundary="B"',
      'MIME-Version: 1.0',
      '',
      '--B',
      'Content-Type: text/plain',
      '',
      'sorry',
      '--B',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.example.net',
      'Original-Envelope-Id: imip-7',
      '',
      'Final-Recipient: rfc822; bob@example.com',
      'Original-Recipient: rfc822;team@example.com',
      'Action: Failed',
      'Status: 5.1.1 (no such user)',
      'Diagnostic-Code: smtp; 550 5.1.1',
      '    unknown',
      '',
      'Final-Recipient: rfc822; eve@example.com',
      'Action: delayed',
      'Status: 4.4.1',
      '',
      '--B',
      'Content-Type: text/rfc822-headers',
      '',
      'Subject: x',
      '--B--',
    ]);
    expect(await readDsn(raw)).toEqual({
      envid: 'imip-7',
      recipients: [
        {
          finalRecipient: 'bob@example.com',
          originalRecipient: 'team@example.com',
          action: 'failed',
          status: '5.1.1',
          diagnostic: 'smtp; 550 5.1.1    unknown',
        },
        { finalRecipient: 'eve@example.com', action: 'delayed', status: '4.4.1' },
      ],
    });
  });

  const none: [string, Buffer][] = [
    ['a plain mail', crlf(['Subject: x', '', 'Final-Recipient: rfc822; a@example.com'])],
    ['a report without recipients', crlf(['Content-Type: message/delivery-status', '', 'Reporting-MTA: dns; x'])],
    ['nothing', Buffer.alloc(0)],
    [
      'a report under a header that no report has',
      crlf([
        `To: ${'a:'.repeat(50_000)}`,
        'Content-Type: message/delivery-status',
        '',
        'Reporting-MTA: dns; x',
        '',
        'Final-Recipient: rfc822; a@example.com',
      ]),
    ],
    ['a header beyond all limits', Buffer.from(`X: ${'y'.repeat(3_000_000)}`)],
  ];
  for (const [title, raw] of none)
    test(`finds none in ${title}`, async () => expect(await readDsn(raw)).toBeUndefined());
});
