import PostalMime from 'postal-mime';
import { describe, expect, test } from 'vitest';
import { composeCalendarMail } from '../../../src/imip/compose.ts';
import type { CalendarMail } from '../../../src/imip/mail.ts';
import { examine } from '../../../src/itip/extract.ts';
import { readMessage } from '../../../src/itip/person.ts';
import { REQUEST } from '../itip/samples.ts';

const OBJECT = Buffer.from(REQUEST);
const MAIL: CalendarMail = {
  subject: 'Invitation: Budget',
  text: 'Olga invites you.\n\nBudget\n',
  html: '<!DOCTYPE html>\n<p class="title">Budget</p>\n',
  language: 'en',
  from: { name: 'Olga via Example', address: 'calendar@example.com' },
  sender: { address: 'calendar@example.com' },
  replyTo: { name: 'Olga', address: 'olga@example.net' },
  to: { name: 'Bob', address: 'bob@example.org' },
  messageId: '<Q1.0@gateway.example.com>',
  inReplyTo: '<Q0.0@gateway.example.com>',
  date: Date.UTC(2026, 10, 21, 8),
  calendar: { content: Buffer.from('BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n'), method: 'REQUEST', component: 'VEVENT' },
};

function compose(more: Partial<CalendarMail> = {}): Buffer {
  return composeCalendarMail({ ...MAIL, ...more });
}

function header(more: Partial<CalendarMail>): readonly string[] {
  return compose(more).toString().split('\r\n\r\n')[0]!.replaceAll('\r\n ', ' ').split('\r\n');
}

/** The physical lines of the header's field of that name. */
function field(name: string, more: Partial<CalendarMail>): readonly string[] {
  const text = compose(more).toString().split('\r\n\r\n')[0]!;
  return new RegExp(`^${name}:.*(?:\\r\\n[ \\t].*)*`, 'm').exec(text)?.[0].split('\r\n') ?? [];
}

describe('a mail with a calendar object', () => {
  test('is text, HTML and the object as alternatives, and the object as a file', () => {
    expect(compose().toString().split('\r\n')).toEqual([
      'From: "Olga via Example" <calendar@example.com>',
      'Sender: <calendar@example.com>',
      'Reply-To: "Olga" <olga@example.net>',
      'To: "Bob" <bob@example.org>',
      'Subject: Invitation: Budget',
      'Date: Sat, 21 Nov 2026 08:00:00 +0000',
      'Message-ID: <Q1.0@gateway.example.com>',
      'In-Reply-To: <Q0.0@gateway.example.com>',
      'References: <Q0.0@gateway.example.com>',
      'Auto-Submitted: auto-generated',
      'Content-Language: en',
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary="=_4766e18c3f2866751a4d04a8_m"',
      '',
      '--=_4766e18c3f2866751a4d04a8_m',
      'Content-Type: multipart/alternative; boundary="=_4766e18c3f2866751a4d04a8_a"',
      '',
      '--=_4766e18c3f2866751a4d04a8_a',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'Olga invites you.',
      '',
      'Budget',
      '--=_4766e18c3f2866751a4d04a8_a',
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      '<!DOCTYPE html>',
      '<p class=3D"title">Budget</p>',
      '--=_4766e18c3f2866751a4d04a8_a',
      'Content-Type: text/calendar; charset=utf-8; method=REQUEST;',
      ' component=VEVENT',
      'Content-Transfer-Encoding: base64',
      '',
      'QkVHSU46VkNBTEVOREFSDQpFTkQ6VkNBTEVOREFSDQo=',
      '--=_4766e18c3f2866751a4d04a8_a--',
      '--=_4766e18c3f2866751a4d04a8_m',
      'Content-Type: application/ics; name="invite.ics"',
      'Content-Disposition: attachment; filename="invite.ics"',
      'Content-Transfer-Encoding: base64',
      '',
      'QkVHSU46VkNBTEVOREFSDQpFTkQ6VkNBTEVOREFSDQo=',
      '--=_4766e18c3f2866751a4d04a8_m--',
      '',
    ]);
  });

  test('without an object is text and HTML', async () => {
    const { calendar: _, ...words } = MAIL;
    const { headers, text, html, attachments } = await PostalMime.parse(composeCalendarMail(words));
    expect(headers.at(-1)?.value).toMatch(/^multipart\/alternative; boundary="=_[0-9a-f]{24}"$/);
    expect({ text, html, attachments }).toEqual({
      text: 'Olga invites you.\n\nBudget\n',
      html: '<!DOCTYPE html>\n<p class="title">Budget</p>\n',
      attachments: [],
    });
  });

  test('is the same octets when it is composed again', () => {
    expect(compose()).toEqual(compose());
  });

  test('gives whoever examines it the object to the byte', async () => {
    const content = compose({ calendar: { content: OBJECT, method: 'REQUEST', component: 'VEVENT' } });
    expect(await examine(content)).toMatchObject({ kind: 'object', object: { content: OBJECT, repairs: [] } });
  });

  test('is read by two parsers as it was meant', async () => {
    const content = compose({ subject: 'Einladung: Größe', from: { name: 'Zoë Ö', address: 'zoe@example.com' } });
    const mail = await PostalMime.parse(content);
    expect(mail).toMatchObject({
      from: { name: 'Zoë Ö', address: 'zoe@example.com' },
      sender: { name: '', address: 'calendar@example.com' },
      replyTo: [{ name: 'Olga', address: 'olga@example.net' }],
      to: [{ name: 'Bob', address: 'bob@example.org' }],
      subject: 'Einladung: Größe',
      messageId: '<Q1.0@gateway.example.com>',
      inReplyTo: '<Q0.0@gateway.example.com>',
      date: '2026-11-21T08:00:00.000Z',
    });
    expect(
      mail.attachments.map(({ filename, mimeType, disposition, method }) => [filename, mimeType, disposition, method]),
    ).toEqual([
      [null, 'text/calendar', null, 'REQUEST'],
      ['invite.ics', 'application/ics', 'attachment', undefined],
    ]);
    expect(await readMessage(content)).toMatchObject({
      from: '"Zoë Ö" <zoe@example.com>',
      recipients: ['bob@example.org'],
      subject: 'Einladung: Größe',
    });
  });
});

describe('the header', () => {
  test.each([
    ['Olga', 'From: "Olga" <a@example.com>'],
    ['Olga "O" \\ Smith, Ltd. <x>', 'From: "Olga \\"O\\" \\\\ Smith, Ltd. <x>" <a@example.com>'],
    ['Olga\r\nBcc: eve@example.org', 'From: "Olga Bcc: eve@example.org" <a@example.com>'],
    ['Olga\n\u2028\u0085\u0000Smith', 'From: "Olga Smith" <a@example.com>'],
    ['\u202eaglO\u202c', 'From: "aglO" <a@example.com>'],
    ['=?utf-8?q?Olga?=', 'From: =?UTF-8?B?PT91dGYtOD9xP09sZ2E/PQ==?= <a@example.com>'],
    ['Zoë', 'From: =?UTF-8?B?Wm/Dqw==?= <a@example.com>'],
    ['lone \ud800 half', 'From: =?UTF-8?B?bG9uZSDvv70gaGFsZg==?= <a@example.com>'],
    [' \u200f\r\n ', 'From: <a@example.com>'],
    ['', 'From: <a@example.com>'],
  ])('names %j in one field', (name, line) => {
    expect(header({ from: { name, address: 'a@example.com' } })[0]).toBe(line);
  });

  test.each([
    ['zoë@example.com', 'To: <zoë@example.com>'],
    ['bob@[IPv6:::1]', 'To: <bob@[IPv6:::1]>'],
    ['a b@example.com', 'To: <"a b"@example.com>'],
    ['a>,eve@example.com', 'To: <"a,eve"@example.com>'],
    ['a\r\nBcc: eve@example.com', 'To: <"aBcc: eve"@example.com>'],
    ['a@exam ple.com>\r\nBcc: <eve', 'To: <a@example.comBcceve>'],
  ])('has the one mailbox %j', (address, line) => {
    expect(header({ to: { address } })[3]).toBe(line);
  });

  test.each([
    ['Budget\r\nBcc: eve@example.org', ['Subject: Budget Bcc: eve@example.org']],
    ['Budget\r\n\r\n<script>', ['Subject: Budget <script>']],
    ['\u2067Budget\u2069 \u202e2026', ['Subject: Budget 2026']],
    [
      'Budget meeting of the whole company about everything that was not said in the last one of them',
      ['Subject: Budget meeting of the whole company about everything that was not', ' said in the last one of them'],
    ],
    [
      'Besprechung über die Größe der Räume für die Sitzung über die Größe der Räume',
      [
        'Subject: =?UTF-8?B?QmVzcHJlY2h1bmcgw7xiZXIgZGllIEdyw7bDn2UgZGVyIFLDpHVt?=',
        ' =?UTF-8?B?ZSBmw7xyIGRpZSBTaXR6dW5nIMO8YmVyIGRpZSBHcsO2w59lIGRlciBSw6R1?=',
        ' =?UTF-8?B?bWU=?=',
      ],
    ],
  ])('has the subject %j', (subject, lines) => {
    expect(field('Subject', { subject })).toEqual(lines);
  });

  test('leaves out an id or a language that is none', () => {
    const lines = header({ inReplyTo: '<a@b>\r\nBcc: <eve@example.org>', language: 'en\r\nBcc: eve@example.org' });
    expect(lines.filter((line) => /^(?:In-Reply-To|References|Content-Language|Bcc)/.test(line))).toEqual([]);
  });

  test('of the longest hostile words has no line that a relay would break', () => {
    const long = 'x'.repeat(100_000);
    const person = { name: `${long} ä ${'"\\'.repeat(5000)}`, address: `${'ü"\\'.repeat(200)}@${'a.'.repeat(100)}com` };
    const content = compose({
      subject: long,
      from: person,
      sender: person,
      replyTo: person,
      to: person,
      text: long,
      html: long,
    });
    const lengths = content
      .toString('latin1')
      .split('\r\n')
      .map((line) => line.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(998);
    expect(content.length).toBeLessThan(250_000);
  });
});

describe('the text', () => {
  test.each([
    ['ends lines with CRLF', 'a\nb\rc\r\nd', 'quoted-printable', 'a\nb\nc\nd'],
    ['loses terminal controls', 'a\u001b[31m\u0000b\u0085\tc', 'quoted-printable', 'a[31mb\tc'],
    ['keeps blanks at an end of line', 'a \nb\t\n', 'quoted-printable', 'a \nb\t'],
    ['keeps lines that programs alter', 'From me\n.\n..\n--=_x', 'quoted-printable', 'From me\n.\n..\n--=_x'],
    ['keeps long lines', `${'x '.repeat(200)}=ä`, 'quoted-printable', `${'x '.repeat(200)}=ä`],
    ['is base64 in Japanese', '会議の招待\n', 'base64', '会議の招待'],
  ])('%s', async (_, text, encoding, read) => {
    const content = compose({ text });
    expect(content.toString()).toContain(`text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n`);
    expect(content.toString('latin1')).toMatch(/^(?:[\t -~]{0,78}\r\n)*$/);
    const { text: found } = await PostalMime.parse(content);
    expect(found?.replaceAll('\r\n', '\n')).toBe(`${read}\n`);
  });
});
