import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { REPAIRS } from '../../../rules/data/repairs.ts';
import { type ReadContext, readCalendar, toObject } from '../../../src/itip/parse.ts';
import { calendar, EVENT, event, REQUEST } from '../itip/samples.ts';

const CONTEXT: ReadContext = {
  maxLineBytes: 65_536,
  maxProperties: 50_000,
  maxDepth: 8,
  mailDate: Date.UTC(2026, 10, 21, 8, 0, 1),
};

/** The posted text and the repairs, `name line: detail` each; or the reason why there is no object. */
function posted(source: string | Buffer, charset?: string, context = CONTEXT) {
  const read = readCalendar(Buffer.from(source as string), charset, context);
  if (read.kind === 'unreadable') return read.reason;
  const result = toObject(read.calendar);
  if (result.kind === 'none') return result.reason;
  const { content, repairs } = result.object;
  return { text: content.toString(), repairs: repairs.map(({ name, line, detail }) => `${name} ${line}: ${detail}`) };
}

const LATIN1_REQUEST = Buffer.from(REQUEST.replace('SUMMARY:Budget', 'SUMMARY:Büdget'), 'latin1');
const replaced = (found: string, by: string) => REQUEST.replace(found, by);
const request = (changes: Parameters<typeof event>[0]) => calendar('REQUEST', ...event(changes));
const HANDED_ON = 'ATTENDEE;PARTSTAT=DELEGATED;DELEGATED-TO="mailto:d@e.org":mailto:bob@e.org';
const DELEGATE = 'ATTENDEE;DELEGATED-FROM="mailto:bob@e.org":mailto:d@e.org';
const ALARM = ['BEGIN:VALARM', 'ACTION:DISPLAY', 'TRIGGER:-PT5M', 'DESCRIPTION:Budget', 'END:VALARM', 'END:VEVENT'];

test('an object that needs nothing is posted in its own octets', () => {
  const bytes = Buffer.from(
    request({ SUMMARY: ['SUMMARY:B', ' udget'], ATTENDEE: 'ATTENDEE;X-A="1^n2":mailto:bob@example.com' }),
  );
  const read = readCalendar(bytes, 'utf-8', CONTEXT);
  if (read.kind === 'unreadable') throw new Error(read.reason);
  expect(toObject(read.calendar)).toMatchObject({ object: { content: bytes, repairs: [] } });
});

describe('each repair changes its own line and nothing else', () => {
  const CASES: readonly (readonly [
    name: string,
    source: string | Buffer,
    wanted: string,
    repairs: readonly string[],
    charset?: string,
  ])[] = [
    ['bom', `\uFEFF${REQUEST}`, REQUEST, ['bom 1: byte order mark dropped']],
    [
      'charset, by parameter',
      LATIN1_REQUEST,
      replaced('Budget', 'Büdget'),
      ['charset 1: converted from iso-8859-1 to UTF-8'],
      'ISO-8859-1',
    ],
    [
      'charset, none and no UTF-8',
      LATIN1_REQUEST,
      replaced('Budget', 'Büdget'),
      ['charset 1: not UTF-8, read as windows-1252 and converted to UTF-8'],
    ],
    ['charset, US-ASCII with UTF-8 inside', replaced('Budget', 'Büdget'), replaced('Budget', 'Büdget'), [], 'us-ascii'],
    ['charset, unknown with UTF-8 inside', replaced('Budget', 'Büdget'), replaced('Budget', 'Büdget'), [], 'x-unknown'],
    [
      'split-character',
      Buffer.from(replaced('SUMMARY:Budget', 'SUMMARY:B\xC3\r\n \xBCdget'), 'latin1'),
      replaced('Budget', 'Büdget'),
      ['split-character 1: a fold stood inside a UTF-8 character, all lines folded anew'],
    ],
    ['line-ends, LF', REQUEST.replaceAll('\r\n', '\n'), REQUEST, ['line-ends 1: line ends written as CRLF']],
    ['line-ends, CR', REQUEST.replaceAll('\r\n', '\r'), REQUEST, ['line-ends 1: line ends written as CRLF']],
    ['line-ends, CR CR LF', REQUEST.replaceAll('\r\n', '\r\r\n'), REQUEST, ['line-ends 1: line ends written as CRLF']],
    ['blank-lines', replaced('SUMMARY', '\r\n\r\nSUMMARY'), REQUEST, ['blank-lines 11: empty lines dropped']],
    [
      'blank-lines inside a fold',
      replaced('SUMMARY:Budget', 'SUMMARY:Bud\r\n\r\n get'),
      REQUEST,
      ['blank-lines 12: empty lines dropped'],
    ],
    [
      'junk-before-begin',
      `Hello,\r\nsee below:\r\n${REQUEST}`,
      REQUEST,
      ['junk-before-begin 1: 2 lines before BEGIN:VCALENDAR dropped'],
    ],
    [
      'junk-after-end',
      `${REQUEST}-- \r\nThe list\r\n`,
      REQUEST,
      ['junk-after-end 16: 2 lines after END:VCALENDAR dropped'],
    ],
    [
      'broken-fold, a text broken by hand',
      replaced('SUMMARY:Budget', 'DESCRIPTION:First\r\n\r\nsecond, third\r\nfourth\r\nSUMMARY:Budget'),
      replaced('SUMMARY:Budget', 'DESCRIPTION:First\\nsecond, third\\nfourth\r\nSUMMARY:Budget'),
      [
        'blank-lines 12: empty lines dropped',
        'broken-fold 13: joined to DESCRIPTION with an escaped line break',
        'broken-fold 14: joined to DESCRIPTION with an escaped line break',
      ],
    ],
    [
      'broken-fold, the blank of a fold lost',
      request({ ATTENDEE: [`ATTENDEE;CN="${'B'.repeat(37)}";RSVP=TRUE:mailto:bob@ex`, 'ample.com'] }),
      request({ ATTENDEE: [`ATTENDEE;CN="${'B'.repeat(37)}";RSVP=TRUE:mailto:bob@ex`, ' ample.com'] }),
      ['broken-fold 14: joined to ATTENDEE'],
    ],
    [
      'broken-fold, the blank lost before the colon',
      request({ ATTENDEE: [`ATTENDEE;CN="${'B'.repeat(60)}`, 'ob";RSVP=TRUE:mailto:bob@example.com'] }),
      request({ ATTENDEE: [`ATTENDEE;CN="${'B'.repeat(60)}ob`, ' ";RSVP=TRUE:mailto:bob@example.com'] }),
      ['broken-fold 14: joined to ATTENDEE'],
    ],
    [
      'bare-parameter, the colon of mailto',
      replaced('ORGANIZER;CN=Olga:', 'ORGANIZER;CN=Olga;'),
      REQUEST,
      ['bare-parameter 12: ORGANIZER: the value begins with mailto:'],
    ],
    [
      'bare-parameter, an unquoted semicolon',
      replaced('CN=Olga', 'CN=Olga; Ms'),
      REQUEST,
      ['bare-parameter 12: ORGANIZER: 1 parameter without value dropped'],
    ],
    [
      'rrule-case',
      replaced('SUMMARY', 'RRULE:freq=weekly;Count=3\r\nSUMMARY'),
      replaced('SUMMARY', 'RRULE:FREQ=WEEKLY;COUNT=3\r\nSUMMARY'),
      ['rrule-case 11: RRULE: written in upper case'],
    ],
    [
      'value-date',
      request({ DTSTART: 'DTSTART:20261124', DTEND: 'DTEND;TZID=Europe/Berlin:20261125' }),
      request({ DTSTART: 'DTSTART;VALUE=DATE:20261124', DTEND: 'DTEND;VALUE=DATE:20261125' }),
      ['value-date 8: DTSTART: VALUE=DATE added', 'value-date 9: DTEND: VALUE=DATE added'],
    ],
    [
      'sequence-number, no number',
      replaced('SEQUENCE:0', 'SEQUENCE:abc'),
      REQUEST,
      ['sequence-number 10: SEQUENCE: no number, read as 0'],
    ],
    [
      'sequence-number, beyond an INTEGER',
      replaced('SEQUENCE:0', 'SEQUENCE:2147483648'),
      REQUEST,
      ['sequence-number 10: SEQUENCE: no number, read as 0'],
    ],
    [
      'method-case',
      replaced('METHOD:REQUEST', 'METHOD:Request'),
      REQUEST,
      ['method-case 4: METHOD: written in upper case'],
    ],
    [
      'version-missing',
      replaced('VERSION:2.0\r\n', ''),
      replaced(
        'PRODID:-//Example//Samples//EN\r\nVERSION:2.0\r\n',
        'VERSION:2.0\r\nPRODID:-//Example//Samples//EN\r\n',
      ),
      ['version-missing 1: VERSION:2.0 added'],
    ],
    ['blank-lines, before the object', `\r\n\r\n${REQUEST}`, REQUEST, ['blank-lines 1: empty lines dropped']],
    [
      'prodid-missing',
      replaced('-//Example//Samples//EN\r\n', 'x\r\n').replace('PRODID:x\r\n', ''),
      replaced('-//Example//Samples//EN', '-//imipd//imipd//EN'),
      ['prodid-missing 1: our PRODID added'],
    ],
    [
      'prodid-missing, one without a value',
      replaced('-//Example//Samples//EN', ''),
      replaced('-//Example//Samples//EN', '-//imipd//imipd//EN'),
      ['prodid-missing 1: our PRODID added', 'empty-property 2: PRODID without a value dropped'],
    ],
    [
      'summary-missing',
      request({ SUMMARY: [] }),
      request({ UID: ['SUMMARY:(no title)', 'UID:budget-1@example.org'], SUMMARY: [] }),
      ['summary-missing 5: SUMMARY:(no title) added'],
    ],
    [
      'summary-missing, there but empty',
      request({ SUMMARY: 'SUMMARY;LANGUAGE=en:' }),
      request({ SUMMARY: 'SUMMARY;LANGUAGE=en:(no title)' }),
      ['summary-missing 11: SUMMARY is empty, (no title) written'],
    ],
    [
      'sequence-missing',
      calendar('CANCEL', ...event({ SEQUENCE: [], SUMMARY: [] })),
      calendar('CANCEL', ...event({ UID: ['SEQUENCE:0', 'UID:budget-1@example.org'], SEQUENCE: [], SUMMARY: [] })),
      ['sequence-missing 5: SEQUENCE:0 added'],
    ],
    [
      'second-organizer',
      request({ ORGANIZER: ['ORGANIZER;CN=Olga:mailto:olga@example.org', 'ORGANIZER:MAILTO:Olga@example.org'] }),
      REQUEST,
      ['second-organizer 13: ORGANIZER stands twice, the second dropped'],
    ],
    [
      'delegation',
      calendar('REPLY', ...event({ ATTENDEE: [HANDED_ON, DELEGATE] })),
      calendar('REPLY', ...event({ ATTENDEE: HANDED_ON })),
      ['delegation 14: the ATTENDEE of the other side of a delegation dropped'],
    ],
    [
      'empty-property',
      request({ SUMMARY: ['CATEGORIES:', 'X-ALT-DESC;FMTTYPE=text/html: ', 'LOCATION:', 'SUMMARY:Budget'] }),
      request({ SUMMARY: ['LOCATION:', 'SUMMARY:Budget'] }),
      [
        'empty-property 11: CATEGORIES without a value dropped',
        'empty-property 12: X-ALT-DESC without a value dropped',
      ],
    ],
    [
      'dtstamp-missing',
      request({ DTSTAMP: [] }),
      request({ UID: ['DTSTAMP:20261121T080001Z', 'UID:budget-1@example.org'], DTSTAMP: [] }),
      ["dtstamp-missing 5: DTSTAMP:20261121T080001Z added, from the mail's Date"],
    ],
    [
      'utc-with-tzid',
      request({ DTSTAMP: 'DTSTAMP;TZID="GMT, Zulu":20261121T080000Z' }),
      REQUEST,
      ['utc-with-tzid 7: DTSTAMP: TZID dropped, the value is UTC'],
    ],
    [
      'dtend-and-duration, the same',
      request({ SEQUENCE: ['DURATION:PT1H', 'SEQUENCE:0'] }),
      REQUEST,
      ['dtend-and-duration 10: DTEND 20261124T100000Z and DURATION PT1H say the same, DURATION dropped'],
    ],
    [
      'dtend-and-duration, different',
      request({ SEQUENCE: ['DURATION:PT2H', 'SEQUENCE:0'] }),
      REQUEST,
      ['dtend-and-duration 10: DTEND 20261124T100000Z and DURATION PT2H disagree, DTEND kept'],
    ],
    [
      'lower-case-time',
      replaced('DTEND:20261124T100000Z', 'DTEND:20261124t100000z'),
      REQUEST,
      ['lower-case-time 9: DTEND: T and Z written in upper case'],
    ],
    [
      'empty-component',
      calendar('REQUEST', 'BEGIN:VEVENT', 'UID:other@example.org', 'END:VEVENT', ...EVENT),
      REQUEST,
      ['empty-component 5: VEVENT without anything but UID dropped'],
    ],
    [
      'request-status',
      request({ SEQUENCE: ['REQUEST-STATUS:2.0;Success', 'SEQUENCE:0'] }),
      REQUEST,
      ['request-status 10: REQUEST-STATUS dropped'],
    ],
    [
      'alarm',
      calendar('CANCEL', ...event({ 'END:': ALARM })),
      calendar('CANCEL', ...EVENT),
      ['alarm 14: VALARM dropped'],
    ],
    [
      'schedule-parameter',
      replaced('ORGANIZER;CN=Olga', 'ORGANIZER;SCHEDULE-AGENT=CLIENT;CN=Olga;schedule-status="1.1"'),
      REQUEST,
      ['schedule-parameter 12: ORGANIZER: SCHEDULE-AGENT, SCHEDULE-STATUS dropped'],
    ],
  ];
  for (const [name, source, text, repairs, charset] of CASES) {
    test(name, () => {
      expect(posted(source, charset)).toEqual({ text, repairs });
    });
  }
});

test('a REQUEST keeps its VALARM, a REPLY its REQUEST-STATUS, and X- parameters travel', () => {
  const request1 = calendar('REQUEST', ...event({ 'END:': ALARM }));
  const reply = calendar(
    'REPLY',
    ...event({
      SEQUENCE: ['REQUEST-STATUS:2.0;Success', 'SEQUENCE:0'],
      ATTENDEE: 'ATTENDEE;X-NUM-GUESTS=0;PARTSTAT=ACCEPTED:mailto:bob@example.com',
    }),
  );
  expect(posted(request1)).toEqual({ text: request1, repairs: [] });
  expect(posted(reply)).toEqual({ text: reply, repairs: [] });
});

test('lines that a repair does not touch keep their folds', () => {
  const folded = ['DESCRIPTION:short', '  pieces', ' \tthat nobody else would fold', 'SUMMARY:Budget'];
  expect(posted(request({ SUMMARY: folded, SEQUENCE: 'SEQUENCE:x' }))).toMatchObject({
    text: request({ SUMMARY: folded }),
  });
});

test('several repairs of one line are all made', () => {
  expect(posted(request({ DTSTART: 'DTSTART;TZID=UTC;JUNK:20261124t090000z' }))).toEqual({
    text: REQUEST,
    repairs: [
      'bare-parameter 8: DTSTART: 1 parameter without value dropped',
      'lower-case-time 8: DTSTART: T and Z written in upper case',
      'utc-with-tzid 8: DTSTART: TZID dropped, the value is UTC',
    ],
  });
});

test('of one repair at most ten are listed, then how many more there were', () => {
  const attendees = Array.from(
    { length: 30 },
    (_, index) => `ATTENDEE;SCHEDULE-STATUS=1.2:mailto:user${index}@example.com`,
  );
  const result = posted(request({ ATTENDEE: attendees }));
  if (typeof result === 'string') throw new Error(result);
  expect(result.repairs).toHaveLength(11);
  expect(result.repairs.at(-1)).toBe('schedule-parameter 23: and 20 more');
  expect(result.text).not.toContain('SCHEDULE-STATUS');
});

describe('what is beyond repair', () => {
  test.each<readonly [string, string, string]>([
    ['no VCALENDAR', 'Hello\r\n', 'the calendar part has no BEGIN:VCALENDAR'],
    ['nothing', '', 'the calendar part has no BEGIN:VCALENDAR'],
    ['cut short', REQUEST.slice(0, -20), 'END:VCALENDAR is missing, the calendar part is cut short'],
    [
      'a component that is not closed',
      replaced('END:VEVENT\r\n', ''),
      'line 14: found END:VCALENDAR, wanted END:VEVENT',
    ],
    ['components that cross', replaced('END:VEVENT', 'END:VTODO'), 'line 14: found END:VTODO, wanted END:VEVENT'],
    ['two VCALENDARs', REQUEST + REQUEST, 'more than one VCALENDAR in the calendar part'],
    ['vCalendar 1.0', replaced('VERSION:2.0', 'VERSION:1.0'), 'VERSION is 1.0, wanted 2.0'],
    ['two versions', replaced('VERSION:2.0', 'VERSION:2.0\r\nVERSION:1.0'), 'VERSION is 1.0, wanted 2.0'],
    [
      'a stray line behind UID',
      replaced('DTSTAMP', 'stray text\r\nDTSTAMP'),
      'line 7 is no content line (name, colon, value)',
    ],
    [
      'a long line that never gets its colon',
      request({ ATTENDEE: `ATTENDEE;CN="${'B'.repeat(70)}` }),
      'line 13 is no content line (name, colon, value)',
    ],
    [
      'a stray line behind BEGIN',
      replaced('UID', 'stray text\r\nUID'),
      'line 6 is no content line (name, colon, value)',
    ],
    [
      'components nested too deeply',
      calendar(
        'REQUEST',
        ...Array.from({ length: 8 }, () => 'BEGIN:X-A'),
        ...Array.from({ length: 8 }, () => 'END:X-A'),
      ),
      'components are nested deeper than 8',
    ],
    [
      'a rule that ical.js cannot read',
      replaced('SUMMARY', 'RRULE:FREQ=NEVER\r\nSUMMARY'),
      'not readable as iCalendar: invalid frequency',
    ],
  ])('%s', (_, source, reason) => {
    expect(posted(source)).toBe(reason);
  });

  test('a missing DTSTAMP, when the mail has no Date either', () => {
    const { mailDate: _, ...withoutDate } = CONTEXT;
    expect(posted(request({ DTSTAMP: [] }), 'utf-8', withoutDate)).toBe(
      'VEVENT has no DTSTAMP, and there is no Date to take instead',
    );
  });
});

test('every repair has a test above and a line that says who needs it', () => {
  const source = readFileSync(new URL(import.meta.url), 'utf8');
  for (const [name, need] of Object.entries(REPAIRS)) {
    expect(source).toMatch(new RegExp(`['"\`]${name} \\d+: `));
    expect(need).toMatch(/[A-Z]/);
  }
});
