import { describe, expect, test } from 'vitest';
import { examine } from '../../../src/itip/extract.ts';
import { type Posted, type PostedFacts, type PostedLimits, readPosted } from '../../../src/itip/posted.ts';
import { CS7_QUESTION } from '../../peers/calendar-server-7.ts';
import { calendar, EVENT, event, mail, REQUEST } from './samples.ts';

const LIMITS: PostedLimits = { maxObjectBytes: 100_000, maxLineBytes: 65_536, maxProperties: 50_000, maxDepth: 8 };
const read = (body: string | Buffer): Posted => readPosted(Buffer.from(body), 'utf-8', LIMITS);
const DAY = { earliestMs: Date.UTC(2026, 10, 24, 9), latestMs: Date.UTC(2026, 10, 24, 10) };

function factsOf(...lines: readonly string[]): PostedFacts {
  const posted = read(calendar('REQUEST', ...lines));
  if (posted.kind !== 'object') throw new Error(posted.kind);
  return posted.facts;
}

test('an invitation is the object that the same part of a mail is, with what limits are about', async () => {
  const posted = read(REQUEST);
  expect(posted).toEqual({
    ...(await examine(mail(REQUEST))),
    facts: { ...DAY, instances: 1, attachments: [] },
  });
});

test('what has to be repaired is repaired as in mail', async () => {
  const source = calendar('request', ...event({ SEQUENCE: 'SEQUENCE:abc' })).replaceAll('\r\n', '\n');
  const posted = read(source);
  expect(posted).toMatchObject(await examine(mail(source)));
  expect(posted).toMatchObject({ kind: 'object', object: { method: 'REQUEST' } });
});

describe('no iTIP message', () => {
  test.each<[title: string, body: string | Buffer, kind: Posted['kind'], reason: string]>([
    ['an empty body', '', 'unreadable', 'the calendar part has no BEGIN:VCALENDAR'],
    ['text', 'hello', 'unreadable', 'the calendar part has no BEGIN:VCALENDAR'],
    ['a NUL', REQUEST.replace('Budget', 'Bud\0get'), 'unreadable', 'a NUL character in the calendar part'],
    [
      'what is cut short',
      REQUEST.slice(0, 120),
      'unreadable',
      'END:VCALENDAR is missing, the calendar part is cut short',
    ],
    [
      'a missing DTSTAMP, for which there is no Date',
      calendar('REQUEST', ...event({ DTSTAMP: [] })),
      'unreadable',
      'VEVENT has no DTSTAMP, and there is no Date to take instead',
    ],
    [
      'a rule that no parser reads',
      calendar('REQUEST', ...event({ SEQUENCE: 'RRULE:FREQ=NEVER' })),
      'unreadable',
      'not readable as iCalendar: invalid frequency ',
    ],
    [
      'no METHOD',
      calendar('REQUEST', ...EVENT).replace('METHOD:REQUEST\r\n', ''),
      'unschedulable',
      'METHOD is missing',
    ],
    ['no UID', calendar('REQUEST', ...event({ UID: [] })), 'unschedulable', 'VEVENT without UID'],
    ['no ORGANIZER', calendar('REQUEST', ...event({ ORGANIZER: [] })), 'unschedulable', 'REQUEST without ORGANIZER'],
    ['PUBLISH', calendar('PUBLISH', ...EVENT), 'unschedulable', 'METHOD PUBLISH is not scheduled by mail'],
    ['VJOURNAL', REQUEST.replaceAll('VEVENT', 'VJOURNAL'), 'unschedulable', 'VJOURNAL is not scheduled by mail'],
    [
      'more than a calendar part may have',
      `${REQUEST}${'\r\n'.repeat(50_000)}`,
      'too-large',
      `found ${REQUEST.length + 100_000} octets, wanted at most 100000`,
    ],
  ])('is %s', (_, body, kind, reason) => {
    const posted = read(body);
    expect(posted).toMatchObject({ kind, reason: expect.stringContaining(reason.trim()) });
  });
});

describe('of the times that are written down', () => {
  test('the earliest and the latest are told, whatever property they stand in', () => {
    expect(
      factsOf(
        ...event({
          SEQUENCE: ['RDATE:20200101T000000Z,20261201T000000Z', 'RDATE;VALUE=PERIOD:20310101T000000Z/PT1H'],
        }),
      ),
    ).toMatchObject({ earliestMs: Date.UTC(2020, 0, 1), latestMs: Date.UTC(2031, 0, 1) });
  });

  test('those of an override count', () => {
    const override = event({ SEQUENCE: 'RECURRENCE-ID:20190101T090000Z', DTSTART: 'DTSTART:20400101T090000Z' });
    expect(factsOf(...EVENT, ...override)).toMatchObject({
      earliestMs: Date.UTC(2019, 0, 1, 9),
      latestMs: Date.UTC(2040, 0, 1, 9),
    });
  });

  test('dates and floating times are read as UTC', () => {
    expect(factsOf(...event({ DTSTART: 'DTSTART;VALUE=DATE:20261124', DTEND: [] }))).toMatchObject({
      earliestMs: Date.UTC(2026, 10, 24),
      latestMs: Date.UTC(2026, 10, 24),
    });
  });

  test('the end of a rule is none: a rule may go on for ever', () => {
    expect(factsOf(...event({ SEQUENCE: 'RRULE:FREQ=YEARLY;UNTIL=20990101T000000Z' }))).toMatchObject(DAY);
  });
});

describe('instances', () => {
  test.each<[title: string, lines: readonly string[], instances: number]>([
    ['are one of an event', EVENT, 1],
    ['are as many as COUNT says', event({ SEQUENCE: 'RRULE:FREQ=DAILY;COUNT=400' }), 400],
    ['are one of a rule without end, and never expanded', event({ SEQUENCE: 'RRULE:FREQ=SECONDLY' }), 1],
    ['are one for each RDATE more', event({ SEQUENCE: 'RDATE:20261201T000000Z,20261202T000000Z' }), 3],
    [
      'are not more for an override',
      [...event({ SEQUENCE: 'RRULE:FREQ=DAILY;COUNT=3' }), ...event({ SEQUENCE: 'RECURRENCE-ID:20261125T090000Z' })],
      3,
    ],
    [
      'are the overrides where there is no master',
      [
        ...event({ SEQUENCE: 'RECURRENCE-ID:20261124T090000Z' }),
        ...event({ SEQUENCE: 'RECURRENCE-ID:20261125T090000Z' }),
      ],
      2,
    ],
  ])('%s', (_, lines, instances) => {
    expect(factsOf(...lines).instances).toBe(instances);
  });
});

describe('an attachment', () => {
  test.each<[line: string, kinds: PostedFacts['attachments']]>([
    ['ATTACH:https://example.org/a.pdf', ['external']],
    ['ATTACH;FMTTYPE=text/plain;VALUE=URI:ftp://example.org/a', ['external']],
    ['ATTACH;ENCODING=BASE64;VALUE=BINARY:QUJD', ['inline']],
    ['ATTACH;VALUE=binary;ENCODING=base64:QUJD', ['inline']],
    ['ATTACH:data:text/plain,hello', ['inline']],
    ['ATTACH:CID:part1@example.org', ['external']],
    ['ATTACH:https://example.org/a\r\nATTACH;ENCODING=BASE64;VALUE=BINARY:QUJD', ['external', 'inline']],
    ['BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nATTACH;VALUE=URI:Basso\r\nEND:VALARM', []],
    [
      'BEGIN:VALARM\r\nACTION:AUDIO\r\nTRIGGER:-PT5M\r\nATTACH;ENCODING=BASE64;VALUE=BINARY:QUJD\r\nEND:VALARM',
      ['inline'],
    ],
  ])('%s is %j', (line, kinds) => {
    expect(factsOf(...event({ SEQUENCE: line.split('\r\n') })).attachments).toEqual(kinds);
  });
});

describe('a question for busy times', () => {
  const LINES: readonly string[] = [
    'BEGIN:VFREEBUSY',
    'UID:fb-1@example.org',
    'DTSTAMP:20261121T080000Z',
    'DTSTART:20261123T000000Z',
    'DTEND:20261124T000000Z',
    'ORGANIZER:mailto:olga@example.org',
    'ATTENDEE:mailto:bob@example.com',
    'END:VFREEBUSY',
  ];
  const asked = (changes: Readonly<Record<string, readonly string[]>> = {}): readonly string[] =>
    LINES.flatMap((line) => changes[line.split(/[:;]/, 1)[0] ?? ''] ?? line);

  test('is read, not scheduled', () => {
    expect(read(calendar('REQUEST', ...LINES))).toEqual({
      kind: 'free-busy',
      object: {
        method: 'REQUEST',
        component: 'VFREEBUSY',
        uid: 'fb-1@example.org',
        organizer: { uri: 'mailto:olga@example.org', mailbox: 'olga@example.org' },
        attendees: [{ uri: 'mailto:bob@example.com', mailbox: 'bob@example.com' }],
        startMs: Date.UTC(2026, 10, 23),
        endMs: Date.UTC(2026, 10, 24),
        dtstamp: '20261121T080000Z',
      },
      facts: {
        earliestMs: Date.UTC(2026, 10, 23),
        latestMs: Date.UTC(2026, 10, 24),
        instances: 1,
        attachments: [],
      },
    });
  });

  test('of the v7 product is read', () => {
    expect(read(CS7_QUESTION)).toMatchObject({ kind: 'free-busy', object: { uid: '34222-232@example.com' } });
  });

  test.each<[title: string, body: string, reason: string]>([
    ['by another METHOD', calendar('REPLY', ...LINES), 'found METHOD REPLY of VFREEBUSY, wanted REQUEST'],
    ['in two components', calendar('REQUEST', ...LINES, ...LINES), 'found 2 VFREEBUSY components, wanted one'],
    ['without UID', calendar('REQUEST', ...asked({ UID: [] })), 'found no UID in VFREEBUSY, wanted one'],
    [
      'with two ORGANIZERs',
      calendar('REQUEST', ...asked({ ORGANIZER: ['ORGANIZER:mailto:a@x.test', 'ORGANIZER:mailto:b@x.test'] })),
      'found more than one ORGANIZER in VFREEBUSY, wanted one',
    ],
    [
      'without ATTENDEE',
      calendar('REQUEST', ...asked({ ATTENDEE: [] })),
      'found a VFREEBUSY without UID, ORGANIZER or ATTENDEE, wanted all of them',
    ],
    [
      'in local time',
      calendar('REQUEST', ...asked({ DTSTART: ['DTSTART:20261123T000000'] })),
      'found DTSTART or DTEND of VFREEBUSY without Z, wanted both in UTC',
    ],
    [
      'of no time',
      calendar('REQUEST', ...asked({ DTEND: ['DTEND:20261123T000000Z'] })),
      'found DTEND of VFREEBUSY not after DTSTART, wanted a time that is not empty',
    ],
  ])('%s is none', (_, body, reason) => {
    expect(read(body)).toEqual({ kind: 'unschedulable', reason });
  });
});
