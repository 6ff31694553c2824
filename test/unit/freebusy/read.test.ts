import { describe, expect, test } from 'vitest';
import type { Period } from '../../../src/freebusy/busy.ts';
import { type BusyDocuments, readBusy } from '../../../src/freebusy/read.ts';

const at = (hour: number, minute = 0) => Date.UTC(2026, 10, 23, hour, minute);
const WINDOW = { startMs: at(0), endMs: at(24) };

const crlf = (...lines: readonly string[]) => lines.map((line) => `${line}\r\n`).join('');
const read = (text: string): BusyDocuments => readBusy(Buffer.from(text), undefined);

/** What one VFREEBUSY of these lines says. */
function periodsOf(...lines: readonly string[]): readonly Period[] | string {
  const documents = read(calendar(...lines));
  return documents.kind === 'documents' ? (documents.documents[0]?.periods ?? []) : reasonOf(documents);
}

function reasonOf(documents: BusyDocuments): string {
  return documents.kind === 'unreadable' ? documents.reason : documents.kind;
}

function calendar(...lines: readonly string[]): string {
  return crlf('BEGIN:VCALENDAR', 'VERSION:2.0', 'BEGIN:VFREEBUSY', ...lines, 'END:VFREEBUSY', 'END:VCALENDAR');
}

const busy = (startMs: number, endMs: number, type: Period['type'] = 'BUSY'): Period => ({ type, startMs, endMs });
const NINE_TO_TEN = [busy(at(9), at(10))];

const WCAP_BOB = crlf(
  'BEGIN:VCALENDAR',
  'PRODID:-//Example/Calendar Server',
  'METHOD:PUBLISH',
  'VERSION:2.0',
  'X-NSCP-CALPROPS-RELATIVE-CALID:bob',
  'X-NSCP-CALPROPS-NAME:Bob',
  'X-S1CS-EMAIL:bob@example.com',
  'BEGIN:VFREEBUSY',
  'DTSTART:20261123T000000Z',
  'DTEND:20261124T000000Z',
  'FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T100000Z',
  'FREEBUSY;FBTYPE=FREE:20261123T100000Z/20261123T120000Z',
  'END:VFREEBUSY',
  'X-NSCP-WCAP-ERRNO:0',
  'END:VCALENDAR',
);
const WCAP_NOBODY = crlf(
  'BEGIN:VCALENDAR',
  'VERSION:2.0',
  'X-NSCP-CALPROPS-RELATIVE-CALID:nobody',
  'X-NSCP-WCAP-ERRNO:29',
  'END:VCALENDAR',
);
const BOB = {
  periods: [busy(at(9), at(10)), busy(at(10), at(12), 'FREE')],
  window: WINDOW,
  attendees: [],
  errno: 0,
  calid: 'bob',
  email: 'bob@example.com',
};
const NOBODY = { periods: [], attendees: [], errno: 29, calid: 'nobody' };

describe('an answer', () => {
  test('of iSchedule says whose, what and when', () => {
    const text = crlf(
      'BEGIN:VCALENDAR',
      'VERSION:2.0',
      'PRODID:-//Example//EN',
      'METHOD:REPLY',
      'BEGIN:VFREEBUSY',
      'UID:34222\\,232@example.com',
      'DTSTAMP:20261121T170000Z',
      'ORGANIZER;CN="Ann: boss":mailto:ann@example.com',
      'ATTENDEE;CN=Bob:mailto:Bob@Example.ORG',
      'DTSTART:20261123T000000Z',
      'DTEND:20261124T000000Z',
      'REQUEST-STATUS:2.0;Success',
      'FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261123T090000Z/PT1H,20261123T130000Z/2026',
      ' 1123T140000Z',
      'END:VFREEBUSY',
      'END:VCALENDAR',
    );
    expect(read(text)).toEqual({
      kind: 'documents',
      documents: [
        {
          uid: '34222,232@example.com',
          attendees: ['Bob@example.org'],
          window: WINDOW,
          requestStatus: '2.0;Success',
          periods: [busy(at(9), at(10), 'BUSY-TENTATIVE'), busy(at(13), at(14), 'BUSY-TENTATIVE')],
        },
      ],
    });
  });

  test('of WCAP has a calendar for each calid, and its errno in or behind it', () => {
    expect(read(WCAP_BOB + WCAP_NOBODY)).toEqual({ kind: 'documents', documents: [BOB, NOBODY] });
    expect(read(`${WCAP_NOBODY}\r\n\r\n${WCAP_BOB}`)).toEqual({ kind: 'documents', documents: [NOBODY, BOB] });
    const behind = `${WCAP_BOB.replace('X-NSCP-WCAP-ERRNO:0\r\n', '')}X-NSCP-WCAP-ERRNO:28\r\n`;
    expect(read(behind)).toEqual({ kind: 'documents', documents: [{ ...BOB, errno: 28 }] });
  });

  test('of WCAP in an older spelling is the same', () => {
    expect(read(WCAP_BOB.replace('S1CS', 'SICS'))).toEqual({ kind: 'documents', documents: [BOB] });
  });

  test.each([
    ['a byte order mark', `\uFEFF${WCAP_BOB}`],
    ['bare LF', WCAP_BOB.replaceAll('\r\n', '\n')],
    ['CR CR LF', WCAP_BOB.replaceAll('\r\n', '\r\r\n')],
    ['lower case', WCAP_BOB.toLowerCase()],
    ['no end of the last line', WCAP_BOB.trimEnd()],
    ['empty lines', WCAP_BOB.replaceAll('\r\n', '\r\n\r\n')],
    ['folds everywhere', WCAP_BOB.replaceAll(/(?<=[^\r\n]{9})(?=[^\r\n])/g, '\r\n ')],
  ])('with %s is the same', (_, text) => {
    expect(read(text)).toEqual({ kind: 'documents', documents: [BOB] });
  });

  test('in the charset of its Content-Type is the same', () => {
    const text = WCAP_BOB.replace('NAME:Bob', 'NAME:Böb');
    for (const charset of ['iso-8859-1', undefined])
      expect(readBusy(Buffer.from(text, 'latin1'), charset)).toEqual({ kind: 'documents', documents: [BOB] });
  });

  test('of several VFREEBUSY in one calendar covers no time between them that none of them is about', () => {
    const part = (start: string, end: string) =>
      ['BEGIN:VFREEBUSY', `DTSTART:${start}`, ...(end === '' ? [] : [`DTEND:${end}`]), 'END:VFREEBUSY'] as const;
    const covered = (...parts: readonly (readonly [start: string, end: string])[]) => {
      const lines = parts.flatMap(([start, end]) => part(start, end));
      const documents = read(crlf('BEGIN:VCALENDAR', ...lines, 'END:VCALENDAR'));
      return documents.kind === 'documents' ? documents.documents[0]?.window : documents;
    };
    const [first, second] = [
      ['20261123T000000Z', '20261123T060000Z'] as const,
      ['20261123T180000Z', '20261124T000000Z'] as const,
    ];
    expect(covered(second, first)).toEqual({ startMs: at(0), endMs: at(6) });
    expect(covered(second, ['20261123T060000Z', '20261123T180000Z'], first)).toEqual(WINDOW);
    expect(covered(first, ['20261123T060000Z', ''])).toEqual({ startMs: at(0), endMs: at(6) });
  });

  test('of several VFREEBUSY in one calendar is one, from the first beginning to the last end', () => {
    const day = (date: string) => [
      'BEGIN:VFREEBUSY',
      'ATTENDEE:mailto:bob@example.com',
      `DTSTART:${date}T000000Z`,
      `DTEND:${date}T235959Z`,
      `FREEBUSY:${date}T090000Z/PT1H`,
      'END:VFREEBUSY',
    ];
    expect(read(crlf('BEGIN:VCALENDAR', ...day('20261124'), ...day('20261123'), 'END:VCALENDAR'))).toEqual({
      kind: 'documents',
      documents: [
        {
          attendees: ['bob@example.com'],
          window: { startMs: at(0), endMs: at(48) - 1000 },
          periods: [busy(at(33), at(34)), ...NINE_TO_TEN],
        },
      ],
    });
  });

  test('that says nothing at all is empty', () => {
    for (const text of ['', ' \r\n\r\n', '\uFEFF']) expect(read(text)).toEqual({ kind: 'empty' });
  });
});

describe('whose it is', () => {
  test.each([
    [
      'ATTENDEE outweighs ORGANIZER',
      ['ORGANIZER:mailto:ann@example.com', 'ATTENDEE:MAILTO:bob@example.com'],
      ['bob@example.com'],
    ],
    ['ORGANIZER stands in', ['ORGANIZER:mailto:ann@example.com'], ['ann@example.com']],
    ['a scheme that is missing is mailto', ['ATTENDEE:bob@example.com'], ['bob@example.com']],
    ['EMAIL says who a URN is', ['ATTENDEE;EMAIL=bob@example.com:urn:uuid:1'], ['bob@example.com']],
    ['another URI stays', ['ATTENDEE:/principals/bob', 'ATTENDEE:urn:uuid:1'], ['/principals/bob', 'urn:uuid:1']],
    ['nobody says so', [], []],
  ])('%s', (_, lines, attendees) => {
    expect(read(calendar(...lines))).toMatchObject({ documents: [{ attendees }] });
  });
});

describe('a period', () => {
  const zone = [
    'BEGIN:VTIMEZONE',
    'TZID:Somewhere',
    'BEGIN:STANDARD',
    'DTSTART:19700101T000000',
    'TZOFFSETFROM:+0300',
    'TZOFFSETTO:+0300',
    'END:STANDARD',
    'END:VTIMEZONE',
  ];
  test.each<[string, readonly string[], readonly Period[]]>([
    ['by its end', ['FREEBUSY:20261123T090000Z/20261123T100000Z'], NINE_TO_TEN],
    ['by its duration', ['FREEBUSY:20261123T090000Z/PT60M'], NINE_TO_TEN],
    ['in small letters', ['FREEBUSY:20261123t090000z/pt1h'], NINE_TO_TEN],
    ['with blanks', ['FREEBUSY: 20261123T090000Z / PT1H , '], NINE_TO_TEN],
    ['in the time of an IANA zone', ['FREEBUSY;TZID=Europe/Berlin:20261123T100000/20261123T110000'], NINE_TO_TEN],
    ['in the time of a Windows zone', ['FREEBUSY;TZID="W. Europe Standard Time":20261123T100000/PT1H'], NINE_TO_TEN],
    [
      'begun in local time and ended in UTC',
      ['FREEBUSY;TZID=Europe/Berlin:20261123T100000/20261123T100000Z'],
      NINE_TO_TEN,
    ],
    [
      'in summer time',
      ['FREEBUSY;TZID=Europe/Berlin:20260701T110000/PT1H'],
      [busy(Date.UTC(2026, 6, 1, 9), Date.UTC(2026, 6, 1, 10))],
    ],
    ['in UTC beside a TZID', ['FREEBUSY;TZID=Nowhere:20261123T090000Z/PT1H'], NINE_TO_TEN],
    ['without a type is BUSY', ['FREEBUSY;X-A=b:20261123T090000Z/PT1H'], NINE_TO_TEN],
    ['of an unknown type is BUSY', ['FREEBUSY;FBTYPE=X-LUNCH:20261123T090000Z/PT1H'], NINE_TO_TEN],
    [
      'of a quoted type',
      ['FREEBUSY;FBTYPE="busy-unavailable":20261123T090000Z/PT1H'],
      [busy(at(9), at(10), 'BUSY-UNAVAILABLE')],
    ],
    ['of FREE', ['FREEBUSY;FBTYPE=FREE:20261123T090000Z/PT1H'], [busy(at(9), at(10), 'FREE')]],
    [
      'of no length or less is none',
      ['FREEBUSY:20261123T100000Z/20261123T090000Z,20261123T090000Z/PT0S,20261123T090000Z/-PT1H'],
      [],
    ],
    ['that is not there is none', ['FREEBUSY:', 'FREEBUSY;FBTYPE=BUSY: ,'], []],
  ])('%s', (_, lines, periods) => {
    expect(periodsOf(...lines)).toEqual(periods);
  });

  test('in the time of a VTIMEZONE of the answer', () => {
    const lines = ['BEGIN:VFREEBUSY', 'FREEBUSY;TZID=Somewhere:20261123T120000/20261123T130000', 'END:VFREEBUSY'];
    for (const order of [
      [...zone, ...lines],
      [...lines, ...zone],
    ])
      expect(read(crlf('BEGIN:VCALENDAR', ...order, 'END:VCALENDAR'))).toMatchObject({
        documents: [{ periods: NINE_TO_TEN }],
      });
  });

  test.each([
    [
      'FREEBUSY:20261123T090000/PT1H',
      'line 4: found the period 20261123T090000/PT1H in local time of no zone, wanted UTC',
    ],
    [
      'FREEBUSY:20261123T090000Z/20261123T100000',
      'line 4: found the period 20261123T090000Z/20261123T100000 in local time of no zone, wanted UTC',
    ],
    [
      'FREEBUSY;TZID=Nowhere:20261123T090000/PT1H',
      'line 4: found the period 20261123T090000/PT1H in the time zone Nowhere, which is not known',
    ],
    [
      'FREEBUSY:20261123/20261124',
      'line 4: found the period 20261123/20261124, wanted start/end or start/duration in UTC',
    ],
    [
      'FREEBUSY:20261123T090000Z',
      'line 4: found the period 20261123T090000Z, wanted start/end or start/duration in UTC',
    ],
    [
      'FREEBUSY:20261123T990000Z/PT1H',
      'line 4: found the period 20261123T990000Z/PT1H, wanted start/end or start/duration in UTC',
    ],
    ['FREEBUSY:all day', 'line 4: found the period ALL DAY, wanted start/end or start/duration in UTC'],
  ])('that cannot be placed makes the answer unreadable: %s', (line, reason) => {
    expect(periodsOf(line, 'FREEBUSY:20261123T120000Z/PT1H')).toBe(reason);
  });

  test.each(['DTEND:20261124T000000Z FREEBUSY:20261123T090000Z/PT1H', 'DTEND:20261124T000000Z\r\n  FREEBUSY;X=y:'])(
    'on a line that another has swallowed makes the answer unreadable: %j',
    (line) => {
      expect(periodsOf(line)).toBe('line 4: found FREEBUSY within DTEND');
    },
  );

  test('on a line that was broken without a fold makes the answer unreadable', () => {
    expect(periodsOf('FREEBUSY:20261123T090000Z/PT1H', ',20261123T120000Z/PT1H')).toBe('line 5 is no content line');
  });
});

describe('not taken for free', () => {
  test.each([
    ['an HTML page', '<!DOCTYPE html>\n<html><body>503</body></html>', 'found an HTML or XML page, wanted iCalendar'],
    ['JSON', ' {"error": 29}', 'found JSON, wanted iCalendar'],
    ['some text', 'Service unavailable', 'found some other text, wanted iCalendar'],
    ['a NUL', WCAP_BOB.replace('Bob', 'B\0b'), 'found a NUL character, wanted iCalendar'],
    ['a calendar cut short', WCAP_BOB.slice(0, 330), 'END:VFREEBUSY is missing, the calendar part is cut short'],
    [
      'the second of two cut short',
      WCAP_BOB + WCAP_NOBODY.slice(0, 60),
      'END:VCALENDAR is missing, the calendar part is cut short',
    ],
    [
      'an END of another',
      WCAP_BOB.replace('END:VFREEBUSY', 'END:VEVENT'),
      'line 13: found END:VEVENT, wanted END:VFREEBUSY',
    ],
    [
      'a calendar of events',
      WCAP_BOB.replaceAll('VFREEBUSY', 'VEVENT'),
      'found a calendar of VEVENT, wanted VFREEBUSY',
    ],
    [
      'one calendar of events of two',
      WCAP_BOB + WCAP_BOB.replaceAll('VFREEBUSY', 'VEVENT'),
      'found a calendar of VEVENT, wanted VFREEBUSY',
    ],
    [
      'a calendar of nothing',
      crlf('BEGIN:VCALENDAR', 'VERSION:2.0', 'END:VCALENDAR'),
      'found a calendar with nothing in it, wanted VFREEBUSY',
    ],
    ['a VFREEBUSY in no calendar', crlf('BEGIN:VFREEBUSY', 'END:VFREEBUSY'), 'line 1 stands outside VCALENDAR'],
    ['a page behind the calendar', `${WCAP_BOB}<html>`, 'line 16 stands outside VCALENDAR'],
    [
      'components in components',
      crlf(...Array.from({ length: 9 }, () => 'BEGIN:VCALENDAR')),
      'components are nested deeper than 8',
    ],
  ])('%s', (_, text, reason) => {
    expect(read(text)).toEqual({ kind: 'unreadable', reason });
  });

  test('more octets or periods than are read', () => {
    const text = calendar('FREEBUSY:20261123T090000Z/PT1H,20261123T110000Z/PT1H', 'FREEBUSY:20261123T130000Z/PT1H');
    const limited = (maxBytes: number, maxPeriods: number) =>
      readBusy(Buffer.from(text), undefined, { maxBytes, maxPeriods });
    expect(limited(text.length, 3).kind).toBe('documents');
    expect(limited(text.length - 1, 3)).toEqual({
      kind: 'unreadable',
      reason: `found ${text.length} octets, wanted at most ${text.length - 1}`,
    });
    expect(limited(text.length, 2)).toEqual({
      kind: 'unreadable',
      reason: 'line 5: found more periods than are read of one answer',
    });
    expect(readBusy(Buffer.from(text + text), undefined, { maxBytes: 1000, maxPeriods: 5 }).kind).toBe('unreadable');
  });
});

describe('errno', () => {
  test.each([
    ['the first that is not 0', ['X-NSCP-WCAP-ERRNO:0', 'X-NSCP-WCAP-ERRNO: 28 '], 28],
    ['one that is negative', ['X-NSCP-WCAP-ERRNO:-1'], -1],
    ['one that is no number is none', ['X-NSCP-WCAP-ERRNO:bad'], undefined],
  ])('%s', (_, lines, errno) => {
    const documents = read(calendar(...lines));
    expect(documents.kind === 'documents' && documents.documents[0]?.errno).toBe(errno);
  });
});
