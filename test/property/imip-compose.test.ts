import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import PostalMime from 'postal-mime';
import { expect, test } from 'vitest';
import { composeCalendarMail } from '../../src/imip/compose.ts';

const NAMES = [
  'from',
  'sender',
  'reply-to',
  'to',
  'subject',
  'date',
  'message-id',
  'auto-submitted',
  'content-language',
  'mime-version',
  'content-type',
];

/** Text as a calendar object may bring it. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.constantFrom(
        '\r\n',
        '\n',
        '\r',
        '\r\n\r\n',
        '\r\nBcc: eve@example.org',
        '\u2028',
        '\u202e',
        '\u200f',
        '\ud800',
        '"',
        '\\',
        '=?utf-8?q?x?=',
        '=?',
        '<eve@example.org>',
        ', eve@example.org',
        '; ',
        '--=_',
        '.',
        'From ',
        ' '.repeat(90),
        'x'.repeat(90),
      ),
    ),
    { maxLength: 8 },
  )
  .map((pieces) => pieces.join(''));

/** How a header field shows the text: one line, no marks of direction. */
function asShown(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '')
    .replace(/[\p{Cc}\u2028\u2029 ]+/gu, ' ')
    .trim();
}

function asRead(text: string): string {
  const plain = text.toWellFormed().replace(/[^\P{Cc}\t\n\r]/gu, '');
  return plain.replace(/\r\n|\r|\n/g, '\n').replace(/\n$/, '');
}

test('hostile words come back as they were, and never become a header', async () => {
  await fc.assert(
    fc.asyncProperty(
      hostile,
      hostile,
      hostile,
      hostile,
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      async (...input) => {
        const [name, subject, text, html, octets] = input;
        fc.pre(asShown(name).length <= 120 && asShown(subject).length <= 400);
        const person = { name, address: 'ann@example.com' };
        const content = Buffer.from(octets);
        const mail = composeCalendarMail({
          subject,
          text: `${text}.`,
          html: `${html}.`,
          language: 'en',
          from: person,
          sender: person,
          replyTo: person,
          to: person,
          messageId: '<Q1.0@gateway.example.com>',
          date: Date.UTC(2026, 10, 21, 8),
          calendar: { content, method: 'REQUEST', component: 'VEVENT' },
        });
        expect(mail.toString('latin1')).toMatch(/^(?:[\t -~]{0,998}\r\n)*$/);
        const read = await PostalMime.parse(mail);
        expect(read.headers.map(({ key }) => key)).toEqual(NAMES);
        const shown = { name: asShown(name), address: 'ann@example.com' };
        expect([read.from, read.sender, read.replyTo, read.to]).toEqual([shown, shown, [shown], [shown]]);
        expect(read.subject ?? '').toBe(asShown(subject));
        expect(asRead(read.text ?? '')).toBe(asRead(`${text}.`));
        expect(asRead(read.html ?? '')).toBe(asRead(`${html}.`));
        // postal-mime gives calendars as text with line ends of its own.
        const { attachments } = await simpleParser(mail);
        expect(attachments.map((one) => one.content)).toEqual([content, content]);
      },
    ),
    { numRuns: 400 },
  );
});

test('a hostile address stays one mailbox of one field', async () => {
  await fc.assert(
    fc.asyncProperty(hostile, hostile, async (local, domain) => {
      const mail = composeCalendarMail({
        subject: 'Budget',
        text: 'Budget',
        html: 'Budget',
        language: 'en',
        from: { address: `${local}@${domain}` },
        to: { name: 'Bob', address: 'bob@example.org' },
        messageId: '<Q1.0@gateway.example.com>',
        date: 0,
      });
      const read = await PostalMime.parse(mail);
      const keys = ['from', 'to', 'subject', 'date', 'message-id', 'auto-submitted'];
      expect(read.headers.map(({ key }) => key).slice(0, 6)).toEqual(keys);
      expect(read.to).toEqual([{ name: 'Bob', address: 'bob@example.org' }]);
      expect(read.from?.group).toBeUndefined();
    }),
    { numRuns: 300 },
  );
});
