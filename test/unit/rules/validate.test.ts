import { describe, expect, test } from 'vitest';
import { validate } from '../../../rules/validate.ts';
import { readCalendar } from '../../../src/itip/parse.ts';
import { calendar, EVENT, event } from '../itip/samples.ts';

function judge(source: string): string | undefined {
  const read = readCalendar(Buffer.from(source), undefined, {
    maxLineBytes: 65_536,
    maxProperties: 50_000,
    maxDepth: 8,
    mailDate: 1,
  });
  if (read.kind === 'unreadable') throw new Error(read.reason);
  return validate(read.calendar.calendar);
}

const SECOND = event({ UID: 'UID:budget-1@example.org', SUMMARY: 'RECURRENCE-ID:20261124T090000Z' });
const BOB = 'ATTENDEE:mailto:bob@example.com';

describe('accepted', () => {
  test.each([
    ['REQUEST', calendar('REQUEST', ...EVENT)],
    [
      'REQUEST of a task',
      calendar('REQUEST', ...event({ 'BEGIN:': 'BEGIN:VTODO', DTEND: 'DUE:20261124T100000Z', 'END:': 'END:VTODO' })),
    ],
    ['REQUEST with an override', calendar('REQUEST', ...EVENT, ...SECOND)],
    [
      'REQUEST with quotes in odd places that hide nothing',
      calendar(
        'REQUEST',
        ...event({
          ORGANIZER: 'ORGANIZER;CN="The "big" boss";SENT-BY="mailto:pa@example.org":mailto:olga@example.org',
        }),
      ),
    ],
    ['REQUEST without SUMMARY, which the RFC requires', calendar('REQUEST', ...event({ SUMMARY: [] }))],
    ['REQUEST with a component nobody knows', calendar('REQUEST', ...EVENT, 'BEGIN:X-NOTE', 'X-A:1', 'END:X-NOTE')],
    ['REPLY without ORGANIZER, as Outlook sends it', calendar('REPLY', ...event({ ORGANIZER: [] }))],
    [
      'REPLY with the same ATTENDEE in two spellings',
      calendar('REPLY', ...event({ ATTENDEE: [BOB, 'ATTENDEE:MAILTO:Bob@EXAMPLE.com'] })),
    ],
    ['CANCEL without ATTENDEE and DTSTART', calendar('CANCEL', ...event({ ATTENDEE: [], DTSTART: [], DTEND: [] }))],
    ['COUNTER', calendar('COUNTER', ...EVENT)],
    ['REFRESH', calendar('REFRESH', ...event({ DTSTART: [], DTEND: [] }))],
    ['ADD', calendar('ADD', ...EVENT)],
    ['DECLINECOUNTER', calendar('DECLINECOUNTER', ...EVENT)],
  ])('%s', (_, source) => {
    expect(judge(source)).toBeUndefined();
  });
});

describe('refused', () => {
  test.each([
    ['METHOD is missing', calendar('REQUEST', ...EVENT).replace('METHOD:REQUEST\r\n', '')],
    ['METHOD stands more than once', calendar('REQUEST', 'METHOD:CANCEL', ...EVENT)],
    ['METHOD is CREATE, no method of iTIP', calendar('CREATE', ...EVENT)],
    ['METHOD PUBLISH is not scheduled by mail', calendar('PUBLISH', ...EVENT)],
    [
      'VFREEBUSY is not scheduled by mail',
      calendar('REQUEST', ...event({ 'BEGIN:': 'BEGIN:VFREEBUSY', 'END:': 'END:VFREEBUSY' })),
    ],
    [
      'VJOURNAL is not scheduled by mail',
      calendar('CANCEL', ...event({ 'BEGIN:': 'BEGIN:VJOURNAL', 'END:': 'END:VJOURNAL' })),
    ],
    ['no component to schedule in the calendar part', calendar('CANCEL')],
    [
      'components of different types: VEVENT, VTODO',
      calendar('REQUEST', ...EVENT, 'BEGIN:VTODO', 'UID:budget-1@example.org', 'SUMMARY:x', 'END:VTODO'),
    ],
    ['VEVENT without UID', calendar('REQUEST', ...event({ UID: [] }))],
    ['VEVENT without UID', calendar('REQUEST', ...EVENT, ...event({ UID: [] }))],
    ['components of different UIDs', calendar('REQUEST', ...EVENT, ...event({ UID: 'UID:other@example.org' }))],
    ['components of different UIDs', calendar('REQUEST', ...event({ UID: ['UID:a', 'UID:b'] }))],
    [
      'a UID of 1025 characters, wanted at most 1024',
      calendar('REQUEST', ...event({ UID: `UID:${'u'.repeat(1025)}` })),
    ],
    ['a control character in the UID', calendar('REQUEST', ...event({ UID: 'UID:a\u0001b' }))],
    ['REQUEST without ORGANIZER', calendar('REQUEST', ...event({ ORGANIZER: [] }))],
    // libical takes the first mailbox (up to its ?) for the ORGANIZER, we the last.
    ...[
      'ORGANIZER;CN=\\"a:mailto:ann@example.com?";X=b:mailto:olga@example.org',
      'ORGANIZER;CN="a\\";X="b:mailto:ann@example.com?":mailto:olga@example.org',
      'ORGANIZER;CN=a"b:mailto:ann@example.com?"c:mailto:olga@example.org',
    ].map((line): [string, string] => [
      'the quotes of ORGANIZER in line 12 can be read in two ways',
      calendar('REQUEST', ...event({ ORGANIZER: line })),
    ]),
    ['REQUEST without ATTENDEE', calendar('REQUEST', ...event({ ATTENDEE: [] }))],
    ['VEVENT without DTSTART', calendar('REQUEST', ...event({ DTSTART: [] }))],
    ['CANCEL without ORGANIZER', calendar('CANCEL', ...event({ ORGANIZER: [] }))],
    ['REPLY with 0 ATTENDEEs, wanted exactly one', calendar('REPLY', ...event({ ATTENDEE: [] }))],
    [
      'REPLY with 2 ATTENDEEs, wanted exactly one',
      calendar('REPLY', ...event({ ATTENDEE: [BOB, 'ATTENDEE:mailto:carol@example.com'] })),
    ],
    [
      'COUNTER with 2 ATTENDEEs, wanted exactly one',
      calendar('COUNTER', ...EVENT, ...event({ ATTENDEE: 'ATTENDEE:mailto:carol@example.com' })),
    ],
    ['REFRESH with 0 ATTENDEEs, wanted exactly one', calendar('REFRESH', ...event({ ATTENDEE: [] }))],
    [
      'components name different ORGANIZERs',
      calendar('REQUEST', ...EVENT, ...event({ ORGANIZER: 'ORGANIZER:mailto:eve@example.net' })),
    ],
    [
      'components name different ORGANIZERs',
      calendar(
        'CANCEL',
        ...event({ ORGANIZER: ['ORGANIZER:mailto:olga@example.org', 'ORGANIZER:mailto:eve@example.net'] }),
      ),
    ],
    [
      'VEVENT with more than one DTSTART',
      calendar('REQUEST', ...event({ DTSTART: ['DTSTART:20261124T090000Z', 'DTSTART:20261125T090000Z'] })),
    ],
    ['VEVENT with more than one SEQUENCE', calendar('REQUEST', ...event({ SEQUENCE: ['SEQUENCE:0', 'SEQUENCE:9'] }))],
    [
      'VEVENT with more than one DTSTAMP',
      calendar('CANCEL', ...event({ DTSTAMP: ['DTSTAMP:20261121T080000Z', 'DTSTAMP:20271121T080000Z'] })),
    ],
    ['DTEND in line 9 is no date or date-time', calendar('REQUEST', ...event({ DTEND: 'DTEND:20261124T1000000Z' }))],
  ])('%s', (reason, source) => {
    expect(judge(source)).toBe(reason);
  });
});
