import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS, examine } from '../../../src/itip/extract.ts';
import { readPosted } from '../../../src/itip/posted.ts';
import { composeImip, type ImipMail } from '../../../src/mail/compose-imip.ts';
import { calendarObject } from '../../integration/invitations.ts';
import { NOW } from '../queue/samples.ts';

const INVITATION = {
  uid: 'u1@example.org',
  organizer: 'olga@example.org',
  attendees: ['bob@example.com'],
  method: 'REQUEST',
} as const;
const OBJECT = calendarObject(INVITATION);
const CORPUS = process.env.IMIPD_CORPUS ?? join(import.meta.dirname, '../../../../shared/corpus');

function compose(more: Partial<ImipMail> = {}): Buffer {
  return composeImip({
    queueId: 'Q1',
    hostname: 'gateway.example.com',
    date: NOW,
    from: 'olga@example.org',
    to: ['bob@example.com', 'carol@example.net'],
    subject: 'Review',
    method: 'REQUEST',
    content: Buffer.from(OBJECT),
    ...more,
  });
}

function header(more: Partial<ImipMail> = {}): readonly string[] {
  return compose(more).toString().split('\r\n\r\n')[0]!.split('\r\n');
}

describe('a calendar object as mail', () => {
  test('is one part, ASCII, with the object to the byte', () => {
    const text = compose({ content: Buffer.from('BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n') }).toString();
    expect(text).toBe(
      [
        'From: <olga@example.org>',
        'To: <bob@example.com>,',
        ' <carol@example.net>',
        'Subject: Review',
        'Date: Sat, 21 Nov 2026 08:00:00 +0000',
        'Message-ID: <Q1@gateway.example.com>',
        'Auto-Submitted: auto-generated',
        'MIME-Version: 1.0',
        'Content-Type: text/calendar; charset=utf-8; method=REQUEST',
        'Content-Transfer-Encoding: base64',
        '',
        'QkVHSU46VkNBTEVOREFSDQpNRVRIT0Q6UkVRVUVTVA0KRU5EOlZDQUxFTkRBUg0K',
        '',
      ].join('\r\n'),
    );
  });

  test.each([
    ['Budget\r\nBcc: eve@example.org', 'Subject: Budget Bcc: eve@example.org'],
    ['Jause im Café', 'Subject: =?UTF-8?B?SmF1c2UgaW0gQ2Fmw6k=?='],
    ['=?utf-8?q?Budget?=', 'Subject: =?UTF-8?B?PT91dGYtOD9xP0J1ZGdldD89?='],
  ])('with the subject %j has one line for it', (subject, line) => {
    expect(header({ subject }).filter((one) => one.startsWith('Subject:') || one.startsWith('Bcc'))).toEqual([line]);
  });

  test.each([
    ['olga.smith@example.org', 'From: <olga.smith@example.org>'],
    ['olga smith@example.org', 'From: <"olga smith"@example.org>'],
    ['"olga smith"@example.org', 'From: <"olga smith"@example.org>'],
    ['olga>,eve@example.org', 'From: <"olga>,eve"@example.org>'],
    ['olga"@example.org', 'From: <"olga\\""@example.org>'],
    ['olga\r\nBcc: eve@example.org', 'From: <"olgaBcc: eve"@example.org>'],
    ['zoë@example.org', 'From: <zoë@example.org>'],
  ])('from %j has that one author', (from, line) => {
    expect(header({ from })[0]).toBe(line);
  });

  test('to so many that no header holds them names nobody', () => {
    const to = Array.from({ length: 3000 }, (_, index) => `somebody.number.${index}@example.com`);
    expect(header({ to })[1]).toBe('To: undisclosed-recipients:;');
  });
});

describe('who examines such a mail finds what was posted', () => {
  const variants: Readonly<Record<string, Buffer>> = {
    'an invitation': Buffer.from(OBJECT),
    'a cancellation': Buffer.from(calendarObject({ ...INVITATION, method: 'CANCEL' })),
    'a reply': Buffer.from(calendarObject({ ...INVITATION, method: 'REPLY' })),
    'bare line feeds': Buffer.from(OBJECT.replaceAll('\r\n', '\n')),
    'a byte order mark': Buffer.from(`\uFEFF${OBJECT}`),
    'no line end at the end': Buffer.from(OBJECT.trimEnd()),
    'windows-1252': Buffer.from(OBJECT.replace('Review', 'Caf\u00e9'), 'latin1'),
    'junk behind its end': Buffer.from(`${OBJECT}\r\n\r\n`),
    'a long folded line': Buffer.from(OBJECT.replace('Review', `Review${'\r\n  of it all'.repeat(40)}`)),
    'a line of 60,000 octets': Buffer.from(OBJECT.replace('Review', 'x'.repeat(60_000))),
  };
  const files = existsSync(CORPUS) ? corpusFiles() : [];

  test.each(Object.entries(variants))('%s', async (_, content) => expect(await expectSame(content)).toBe(true));

  test.skipIf(files.length === 0)('every object of the corpus', { timeout: 60_000 }, async () => {
    let found = 0;
    for (const file of files) if (await expectSame(readFileSync(join(CORPUS, file)))) found++;
    expect(found).toBeGreaterThan(10);
  });
});

/** @returns false when nothing can be posted of it */
async function expectSame(content: Buffer): Promise<boolean> {
  const posted = readPosted(content, 'utf-8', DEFAULT_LIMITS);
  if (posted.kind !== 'object') return false;
  const { object } = posted;
  expect(await examine(compose({ method: object.method, content }))).toEqual({ kind: 'object', object });
  return true;
}

function corpusFiles(): readonly string[] {
  return readdirSync(CORPUS, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ics'));
}
