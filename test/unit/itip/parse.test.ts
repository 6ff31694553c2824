import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type ReadContext, readCalendar, toObject } from '../../../src/itip/parse.ts';
import { calendar, EVENT, event, REQUEST } from './samples.ts';

const CONTEXT: ReadContext = { maxLineBytes: 65_536, maxProperties: 50_000, maxDepth: 8 };

function read(source: string) {
  const result = readCalendar(Buffer.from(source), 'utf-8', CONTEXT);
  if (result.kind === 'unreadable') throw new Error(result.reason);
  const object = toObject(result.calendar);
  if (object.kind === 'none') throw new Error(object.reason);
  return object.object;
}

const request = (changes: Parameters<typeof event>[0], ...before: readonly string[]) =>
  read(calendar('REQUEST', ...before, ...event(changes)));
const OVERRIDE = event({
  SUMMARY: 'RECURRENCE-ID;RANGE=thisandfuture;TZID="Europe/Berlin":20261124t100000',
  SEQUENCE: 'SEQUENCE: 3',
  DTSTAMP: 'DTSTAMP:20261122T080000',
});
const BERLIN = [
  'BEGIN:VTIMEZONE',
  'TZID:Berlin',
  'BEGIN:STANDARD',
  'DTSTART:20251026T030000',
  'TZOFFSETFROM:+0200',
  'TZOFFSETTO:+0100',
  'END:STANDARD',
  'END:VTIMEZONE',
];

test('a megabyte of CR is read as fast as any other', () => {
  const source = REQUEST.replace('END:VEVENT', `${'\r'.repeat(1_000_000)}END:VEVENT`);
  expect(read(source)).toMatchObject({ method: 'REQUEST', uid: 'budget-1@example.org' });
});

test('an invitation whole', () => {
  expect(read(REQUEST)).toEqual({
    method: 'REQUEST',
    component: 'VEVENT',
    uid: 'budget-1@example.org',
    organizer: { uri: 'mailto:olga@example.org', mailbox: 'olga@example.org' },
    attendees: [{ uri: 'mailto:bob@example.com', mailbox: 'bob@example.com', partstat: 'NEEDS-ACTION' }],
    instances: [{ recurrenceId: '', sequence: 0, dtstamp: '20261121T080000Z' }],
    endsAtMs: Date.UTC(2026, 10, 24, 10),
    content: Buffer.from(REQUEST),
    digest: createHash('sha256').update(REQUEST.trimEnd().replaceAll('\r\n', '\n')).digest('hex'),
    repairs: [],
  });
});

test('attendees of all components are one list, the first spelling kept, parameters read', () => {
  const source = calendar(
    'REQUEST',
    ...event({
      ATTENDEE: [
        'ATTENDEE;CUTYPE=room;MEMBER="mailto:a@x.test","mailto:b@x.test":MAILTO:Room1@Example.COM',
        'ATTENDEE:urn:uuid:1',
      ],
    }),
    ...event({
      SUMMARY: 'RECURRENCE-ID:20261124T090000Z',
      ATTENDEE: [
        'ATTENDEE:mailto:room1@example.com',
        'ATTENDEE;SENT-BY="mailto:s@example.com":mailto:bob%2Bx@example.com',
      ],
    }),
  );
  expect(read(source).attendees).toEqual([
    {
      uri: 'MAILTO:Room1@Example.COM',
      mailbox: 'Room1@example.com',
      cutype: 'ROOM',
      member: ['mailto:a@x.test', 'mailto:b@x.test'],
    },
    { uri: 'urn:uuid:1' },
    { uri: 'mailto:bob%2Bx@example.com', mailbox: 'bob+x@example.com', sentBy: 'mailto:s@example.com' },
  ]);
});

test('each component is an instance with its own order', () => {
  expect(read(calendar('REQUEST', ...event({ SEQUENCE: [] }), ...OVERRIDE)).instances).toEqual([
    { recurrenceId: '', sequence: 0, dtstamp: '20261121T080000Z' },
    {
      recurrenceId: '20261124T100000;TZID=Europe/Berlin;RANGE=THISANDFUTURE',
      sequence: 3,
      dtstamp: '20261122T080000Z',
    },
  ]);
});

test('a UID is read with its escapes undone', () => {
  expect(request({ UID: 'UID:a\\,b\\;c\\\\d ' }).uid).toBe('a,b;c\\d');
});

describe('the digest', () => {
  test('is the same for another folding and another line end', () => {
    const folded = REQUEST.replace('SUMMARY:Budget', 'SUMMARY:Bud\r\n get');
    expect(read(folded).digest).toBe(read(REQUEST).digest);
    expect(read(REQUEST.replaceAll('\r\n', '\n')).digest).toBe(read(REQUEST).digest);
  });

  test('is that of the object as it came, not as it was repaired', () => {
    expect(read(REQUEST.replace('SEQUENCE:0', 'SEQUENCE:x')).digest).not.toBe(read(REQUEST).digest);
  });
});

describe('the end', () => {
  const hours = (count: number) => count * 3_600_000;
  test.each([
    ['DTEND in UTC', request({}), Date.UTC(2026, 10, 24, 10)],
    ['DTSTART and DURATION', request({ DTEND: 'DURATION:PT90M' }), Date.UTC(2026, 10, 24, 10, 30)],
    ['DTSTART alone', request({ DTEND: [] }), Date.UTC(2026, 10, 24, 9)],
    [
      'a zone that is there',
      request({ DTEND: 'DTEND;TZID=Berlin:20261124T110000' }, ...BERLIN),
      Date.UTC(2026, 10, 24, 10),
    ],
    [
      'a zone that is missing: 26 hours of slack',
      request({ DTEND: 'DTEND;TZID=Berlin:20261124T110000' }),
      Date.UTC(2026, 10, 24, 11) + hours(26),
    ],
    ['floating time', request({ DTEND: 'DTEND:20261124T110000' }), Date.UTC(2026, 10, 24, 11) + hours(26)],
    ['a day', request({ DTSTART: 'DTSTART;VALUE=DATE:20261124', DTEND: [] }), Date.UTC(2026, 10, 25) + hours(26)],
    [
      'days',
      request({ DTSTART: 'DTSTART;VALUE=DATE:20261124', DTEND: 'DTEND;VALUE=DATE:20261127' }),
      Date.UTC(2026, 10, 27) + hours(26),
    ],
    [
      'the latest of the components',
      read(
        calendar(
          'REQUEST',
          ...EVENT,
          ...event({ SUMMARY: 'RECURRENCE-ID:20261124T090000Z', DTEND: 'DTEND:20261201T100000Z' }),
        ),
      ),
      Date.UTC(2026, 11, 1, 10),
    ],
    [
      'DUE of a task',
      read(
        calendar('REQUEST', ...event({ 'BEGIN:': 'BEGIN:VTODO', DTEND: 'DUE:20261130T100000Z', 'END:': 'END:VTODO' })),
      ),
      Date.UTC(2026, 10, 30, 10),
    ],
    ['a series', request({ SUMMARY: 'RRULE:FREQ=DAILY;COUNT=2' }), undefined],
    ['dates', request({ SUMMARY: 'RDATE:20270101T090000Z' }), undefined],
    ['the rest of a series', read(calendar('REQUEST', ...OVERRIDE)), undefined],
    ['no time at all', read(calendar('CANCEL', ...event({ DTSTART: [], DTEND: [] }))), undefined],
  ])('%s', (_, object, endsAtMs) => {
    expect(object.endsAtMs).toBe(endsAtMs);
  });
});

test('a NUL character makes a part unreadable: programs in C would see its beginning only', () => {
  const source = Buffer.from(calendar('REQUEST', ...event({ SUMMARY: 'SUMMARY:a\u0000b' })));
  expect(readCalendar(source, 'utf-8', CONTEXT)).toEqual({
    kind: 'unreadable',
    reason: 'a NUL character in the calendar part',
  });
});
