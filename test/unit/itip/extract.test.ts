import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS, type ExamineLimits, Examiner, examine } from '../../../src/itip/extract.ts';
import type { Examination } from '../../../src/itip/message.ts';
import {
  calendar,
  EVENT,
  event,
  googleInvitation,
  type MimePart,
  mail,
  multipart,
  multipartMail,
  REQUEST,
} from './samples.ts';

/** METHOD of the object found, or the reason why there is none. */
function outcome(examination: Examination): string {
  return examination.kind === 'object' ? examination.object.method : examination.reason;
}

const found = async (content: Buffer, limits?: ExamineLimits) => outcome(await examine(content, limits));

const TEXT: MimePart = ['text/plain', 'You are invited.'];
const INVITATION: MimePart = ['text/calendar; charset=utf-8; method=REQUEST', REQUEST];
const ics = (object: string): MimePart => ['application/ics; name="invite.ics"', object];
const TASK = calendar(
  'REQUEST',
  ...event({ 'BEGIN:': 'BEGIN:VTODO', DTEND: 'DUE:20261124T100000Z', 'END:': 'END:VTODO' }),
);
const SEVERAL = 'several different calendar objects in the message';

describe('the samples named for their defect', () => {
  const folder = new URL('../../corpus/', import.meta.url);
  const WANTED: Readonly<Record<string, string>> = {
    'bounced-invitation.eml': 'no calendar part',
    'calendar-by-file-name-only.eml': 'no calendar part',
    'forwarded-as-attachment.eml': 'no calendar part',
    'forwarded-inline.eml': 'no calendar part',
    'ics-alone.eml': 'application/ics without a text/calendar part',
    'ics-cut-short.eml': 'REQUEST',
    'ics-with-another-start.eml': 'the application/ics part has another start',
    'latin1-without-charset.eml': 'REQUEST',
    'method-only-in-parameter.eml': 'METHOD is missing, and the method parameter does not stand in for it',
    'method-parameter-differs.eml': 'the method parameter is REPLY, METHOD is COUNTER',
    'no-method-parameter.eml': 'REQUEST',
    'publish.eml': 'METHOD PUBLISH is not scheduled by mail',
    'reply-missing-attendee.eml': 'REPLY with 0 ATTENDEEs, wanted exactly one',
    'same-invitation-twice.eml': 'REQUEST',
    'two-content-types.eml': 'a part has two Content-Type fields, and only one of them says text/calendar',
    'two-different-invitations.eml': SEVERAL,
    'underscore-in-property-name.eml': 'REQUEST',
  };

  test('all are listed here', () => {
    expect(
      readdirSync(folder)
        .filter((name) => name.endsWith('.eml'))
        .sort(),
    ).toEqual(Object.keys(WANTED));
  });

  test.each(Object.entries(WANTED))('%s: %s', async (name, wanted) => {
    expect(await found(readFileSync(new URL(name, folder)))).toBe(wanted);
  });
});

describe('where a calendar part may stand', () => {
  test.each<readonly [string, Buffer, string]>([
    ['the whole body', mail(REQUEST), 'REQUEST'],
    ['alternative', multipartMail('alternative', TEXT, INVITATION), 'REQUEST'],
    [
      'related in alternative in mixed',
      multipartMail('mixed', multipart('alternative', TEXT, multipart('related', INVITATION))),
      'REQUEST',
    ],
    ['signed', multipartMail('signed', INVITATION, ['application/pkcs7-signature', 'xyz']), 'REQUEST'],
    [
      'ten levels deep',
      multipartMail(
        'mixed',
        Array.from({ length: 10 }).reduce<MimePart>((part) => multipart('mixed', part), INVITATION),
      ),
      'REQUEST',
    ],
    [
      'too deep',
      multipartMail(
        'mixed',
        Array.from({ length: 25 }).reduce<MimePart>(
          (part, _, index) => multipart('mixed', part, ['text/plain', 'x'.repeat(index)]),
          INVITATION,
        ),
      ),
      'parts are nested deeper than 20',
    ],
    [
      'a part of a message/rfc822 with a boundary',
      multipartMail('mixed', [
        'message/rfc822; boundary=b',
        `--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n${REQUEST}\r\n--b--`,
      ]),
      'no calendar part',
    ],
    [
      'a part of a text/plain with a boundary',
      mail(
        `--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n${REQUEST}\r\n--b--\r\n`,
        'text/plain; boundary=b',
      ),
      'no calendar part',
    ],
    [
      'a report that writes its type with a comment',
      mail(
        multipart('mixed', INVITATION)[1],
        multipart('mixed', INVITATION)[0].replace('multipart/mixed', 'multipart/(x)report'),
      ),
      'no calendar part',
    ],
    [
      'no Content-Type, but a file name',
      Buffer.from(
        mail(REQUEST, 'x')
          .toString()
          .replace('Content-Type: x', 'Content-Disposition: attachment; filename="calendar.ics"'),
      ),
      'no calendar part',
    ],
  ])('%s', async (_, content, wanted) => {
    expect(await found(content)).toBe(wanted);
  });
});

describe('how the part is written', () => {
  const base64 = Buffer.from(REQUEST).toString('base64').replace(/.{76}/g, '$&\r\n');
  test.each<readonly [string, Buffer, string]>([
    ['base64', mail(base64, 'text/calendar; method=REQUEST', 'Content-Transfer-Encoding: BASE64'), 'REQUEST'],
    [
      'base64 with a list footer behind it',
      mail(
        `${base64}\r\n\r\n-- \r\nThe list\r\n`,
        'text/calendar; method=REQUEST',
        'Content-Transfer-Encoding: base64',
      ),
      'REQUEST',
    ],
    [
      'quoted-printable',
      mail(
        REQUEST.replace('Budget', 'B=\r\nudget')
          .replaceAll('CN=', 'CN=3D')
          .replaceAll('RSVP=', 'RSVP=3D')
          .replaceAll('PARTSTAT=', 'PARTSTAT=3D'),
        'text/calendar; method=REQUEST',
        'Content-Transfer-Encoding: quoted-printable',
      ),
      'REQUEST',
    ],
    [
      'an encoding nobody defined',
      mail(REQUEST, 'text/calendar; method=REQUEST', 'Content-Transfer-Encoding: x-uuencode'),
      'the transfer encoding of the calendar part is not known',
    ],
    ['the method in lower case', mail(REQUEST, 'text/calendar; method=request'), 'REQUEST'],
    ['comments', mail(REQUEST, 'text/calendar (x); method=REQUEST (y)'), 'REQUEST'],
    ['the method in RFC 2231 pieces', mail(REQUEST, 'text/calendar; method*0=REQ; method*1=UEST'), 'REQUEST'],
    [
      'two methods',
      mail(REQUEST, 'text/calendar; method=REPLY; method=REQUEST'),
      'the method parameter is REPLY, METHOD is REQUEST',
    ],
    [
      'two equal Content-Types',
      mail(REQUEST, 'text/calendar; method=REQUEST', 'Content-Type: text/calendar; method=REQUEST'),
      'REQUEST',
    ],
    ['no method parameter, METHOD inside', mail(REQUEST, 'text/calendar'), 'REQUEST'],
    ['no method anywhere', mail(REQUEST.replace('METHOD:REQUEST\r\n', ''), 'text/calendar'), 'METHOD is missing'],
    [
      'broken',
      mail('BEGIN:VCALENDAR\r\n', 'text/calendar; method=REQUEST'),
      'END:VCALENDAR is missing, the calendar part is cut short',
    ],
    ['empty', mail(''), 'the calendar part has no BEGIN:VCALENDAR'],
  ])('%s', async (_, content, wanted) => {
    expect(await found(content)).toBe(wanted);
  });

  test('the posted content is the decoded part, octet for octet', async () => {
    const examination = await examine(
      multipartMail('alternative', TEXT, [INVITATION[0], base64, 'Content-Transfer-Encoding: base64']),
    );
    expect(examination).toMatchObject({ kind: 'object', object: { content: Buffer.from(REQUEST), repairs: [] } });
  });

  test("a missing DTSTAMP comes from the mail's Date", async () => {
    const examination = await examine(mail(calendar('REQUEST', ...event({ DTSTAMP: [] }))));
    expect(examination).toMatchObject({ kind: 'object', object: { instances: [{ dtstamp: '20261121T080000Z' }] } });
  });
});

describe('several parts', () => {
  const reordered = REQUEST.replace('SEQUENCE:0\r\nSUMMARY:Budget\r\n', 'SUMMARY:Budget\r\nSEQUENCE:0\r\n');
  const other = calendar('REQUEST', ...event({ UID: 'UID:other@example.org' }));
  const local = calendar(
    'REQUEST',
    ...[
      'BEGIN:VTIMEZONE',
      'TZID:B',
      'BEGIN:STANDARD',
      'DTSTART:20251026T030000',
      'TZOFFSETFROM:+0200',
      'TZOFFSETTO:+0100',
      'END:STANDARD',
      'END:VTIMEZONE',
    ],
    ...event({ DTSTART: 'DTSTART;TZID=B:20261124T100000' }),
  );
  test.each<readonly [string, readonly MimePart[], string]>([
    ['the same object twice', [INVITATION, INVITATION], 'REQUEST'],
    ['the same object in another order of lines', [INVITATION, [INVITATION[0], reordered]], 'REQUEST'],
    ['two objects in mixed', [INVITATION, [INVITATION[0], other]], SEVERAL],
    [
      'an update beside its invitation',
      [INVITATION, [INVITATION[0], REQUEST.replace('SEQUENCE:0', 'SEQUENCE:1')]],
      SEVERAL,
    ],
    [
      'an invitation and its cancellation',
      [INVITATION, ['text/calendar; method=CANCEL', calendar('CANCEL', ...EVENT)]],
      SEVERAL,
    ],
    ['an invitation and a published calendar', [INVITATION, ['text/calendar', calendar('PUBLISH', ...EVENT)]], SEVERAL],
    [
      'an invitation and an attached calendar without METHOD',
      [INVITATION, ['text/calendar', other.replace('METHOD:REQUEST\r\n', '')]],
      'REQUEST',
    ],
    ['an invitation and a broken attachment', [INVITATION, ['text/calendar', 'nonsense']], 'REQUEST'],
    [
      'an invitation and a broken one',
      [INVITATION, [INVITATION[0], 'nonsense']],
      'the calendar part has no BEGIN:VCALENDAR',
    ],
    [
      'one without and one with method parameter, other method',
      [
        ['text/calendar', REQUEST],
        ['text/calendar; method=CANCEL', REQUEST],
      ],
      'the method parameter is CANCEL, METHOD is REQUEST',
    ],
    ['application/ics, the same', [INVITATION, ics(REQUEST)], 'REQUEST'],
    ['application/ics before it', [ics(REQUEST), INVITATION], 'REQUEST'],
    ['application/ics, the same instant in a zone', [INVITATION, ics(local)], 'REQUEST'],
    ['application/ics without METHOD', [INVITATION, ics(REQUEST.replace('METHOD:REQUEST\r\n', ''))], 'REQUEST'],
    ['application/ics, unreadable', [INVITATION, ics('nonsense')], 'REQUEST'],
    [
      'application/ics of another METHOD',
      [INVITATION, ics(calendar('CANCEL', ...EVENT))],
      'the application/ics part has another METHOD',
    ],
    [
      'application/ics of another component type',
      [INVITATION, ics(TASK)],
      'the application/ics part has another component type',
    ],
    [
      'application/ics of another start',
      [INVITATION, ics(calendar('REQUEST', ...event({ DTSTART: 'DTSTART:20261124T083000Z' })))],
      'the application/ics part has another start',
    ],
    ['application/ics of another UID with METHOD', [INVITATION, ics(other)], SEVERAL],
    [
      'application/ics of another UID without METHOD',
      [INVITATION, ics(other.replace('METHOD:REQUEST\r\n', ''))],
      'REQUEST',
    ],
    ['seventeen parts', Array.from({ length: 17 }, () => INVITATION), 'more than 16 calendar parts'],
  ])('%s', async (_, parts, wanted) => {
    expect(await found(multipartMail('mixed', TEXT, ...parts))).toBe(wanted);
  });
});

describe('what is not scheduled still says what it was', () => {
  test.each<readonly [string, Buffer, Examination]>([
    ['plain mail', mail('Lunch?', 'text/plain'), { kind: 'none', reason: 'no calendar part', calendar: false }],
    [
      'plain mail about a calendar',
      mail('My calendar is full.', 'text/plain'),
      { kind: 'none', reason: 'no calendar part', calendar: false },
    ],
    [
      'application/ics alone',
      mail(REQUEST, 'application/ics'),
      { kind: 'none', reason: 'application/ics without a text/calendar part', calendar: true },
    ],
    [
      'PUBLISH',
      mail(calendar('PUBLISH', ...EVENT), 'text/calendar; method=PUBLISH'),
      {
        kind: 'none',
        reason: 'METHOD PUBLISH is not scheduled by mail',
        calendar: true,
        method: 'PUBLISH',
        uid: 'budget-1@example.org',
      },
    ],
    [
      'a method parameter that differs',
      mail(REQUEST, 'text/calendar; method=REPLY'),
      {
        kind: 'none',
        reason: 'the method parameter is REPLY, METHOD is REQUEST',
        calendar: true,
        method: 'REQUEST',
        uid: 'budget-1@example.org',
      },
    ],
  ])('%s', async (_, content, wanted) => {
    expect(await examine(content)).toEqual(wanted);
  });
});

describe('streaming', () => {
  async function inPieces(content: Buffer, octets: number, limits = DEFAULT_LIMITS): Promise<Examination> {
    const examiner = new Examiner(limits);
    for (let at = 0; at < content.length; at += octets) await examiner.write(content.subarray(at, at + octets));
    return examiner.finish();
  }

  test.each([1, 7, 100, 4096])('a message in pieces of %i octets gives what it gives whole', async (octets) => {
    for (const content of [
      googleInvitation(),
      multipartMail('mixed', TEXT, INVITATION),
      mail('Lunch?', 'text/plain'),
    ]) {
      expect(await inPieces(content, octets)).toEqual(await examine(content));
    }
  });

  test('a calendar part far behind the prefilter is found, and the writer is made to wait', async () => {
    const content = multipartMail('mixed', ['application/octet-stream', 'QUJD\r\n'.repeat(200_000)], INVITATION);
    const examiner = new Examiner(DEFAULT_LIMITS);
    let waits = 0;
    for (let at = 0; at < content.length; at += 65_536) {
      const behind = examiner.write(content.subarray(at, at + 65_536));
      if (behind !== undefined) waits++;
      await behind;
    }
    expect(outcome(await examiner.finish())).toBe('REQUEST');
    expect(waits).toBeGreaterThan(0);
  });

  test('destroy() in the middle leaves nothing to wait for', async () => {
    const examiner = new Examiner(DEFAULT_LIMITS);
    const behind = examiner.write(multipartMail('mixed', INVITATION, ['text/plain', 'x\r\n'.repeat(100_000)]));
    examiner.destroy();
    await behind;
    expect(examiner.write(Buffer.from('more'))).toBeUndefined();
    expect(await examiner.finish()).toEqual({ kind: 'none', reason: 'not examined', calendar: false });
  });
});

describe('limits', () => {
  const limits = (changes: Partial<ExamineLimits>): ExamineLimits => ({ ...DEFAULT_LIMITS, ...changes });
  const long = (lines: number) =>
    calendar('REQUEST', ...event({ SUMMARY: Array.from({ length: lines }, (_, index) => `COMMENT:${index}`) }));
  test.each<readonly [string, Buffer, Partial<ExamineLimits>, string]>([
    ['maxExamineBytes', mail(REQUEST), { maxExamineBytes: 100 }, 'the message is larger than max-examine (100 octets)'],
    [
      'maxObjectBytes, decoded',
      mail(Buffer.from(long(80)).toString('base64'), 'text/calendar', 'Content-Transfer-Encoding: base64'),
      { maxObjectBytes: 1000 },
      'the calendar part is larger than 1000 octets',
    ],
    [
      'maxObjectBytes, while it arrives',
      mail(long(5000)),
      { maxObjectBytes: 1000 },
      'the calendar part is larger than 1000 octets',
    ],
    [
      'maxObjectBytes, of application/ics: ignored',
      multipartMail('mixed', INVITATION, ics(long(5000))),
      { maxObjectBytes: 1000 },
      'REQUEST',
    ],
    [
      'maxLineBytes',
      mail(calendar('REQUEST', ...event({ SUMMARY: `SUMMARY:${'x'.repeat(200)}` }))),
      { maxLineBytes: 200 },
      'line 11 is longer than 200 octets',
    ],
    ['maxDepth', mail(REQUEST), { maxDepth: 1 }, 'components are nested deeper than 1'],
    ['maxProperties', mail(long(50)), { maxProperties: 40 }, 'more than 40 content lines'],
    [
      'MIME parts',
      multipartMail('mixed', ...Array.from({ length: 1200 }, () => TEXT), INVITATION),
      {},
      'a limit of MIME was passed: Max allowed child nodes exceeded',
    ],
    [
      'MIME header',
      mail(REQUEST, 'text/calendar', `X-Long: ${'x'.repeat(300_000)}`),
      {},
      'a limit of MIME was passed: Max header size for a MIME node exceeded',
    ],
  ])('%s', async (_, content, changes, wanted) => {
    expect(await found(content, limits(changes))).toBe(wanted);
  });
});
