import { describe, expect, test } from 'vitest';
import { eventFacts } from '../../../src/imip/read-event.ts';
import { factsOf } from './words/samples.ts';

describe('facts of an event', () => {
  test('all that a person wants to know is read, unescaped', () => {
    expect(
      factsOf('REQUEST', [
        `UID:budget@example.com
DTSTART;TZID=Europe/Berlin:20260723T140000
DURATION:PT90M
RRULE:FREQ=DAILY;COUNT=3
EXDATE:20260724T120000Z
SUMMARY:Budget\\, third
LOCATION:Room 5\\; east
DESCRIPTION:One\\nTwo \\\\ three
COMMENT:Bring it
URL:https://example.com/x
STATUS:confirmed
ORGANIZER;CN="Bloggs, Ann";SENT-BY="mailto:sam@example.com":MAILTO:ann@EXAMPLE.com
ATTENDEE;PARTSTAT=delegated;DELEGATED-TO="mailto:erin@example.org";CN=B^'o^'b^nx:mailto:bob@example.org
ATTENDEE;CN=Room Five;EMAIL=room5@example.org:urn:uuid:4f1e
ATTENDEE:/principals/carol
BEGIN:VALARM
DESCRIPTION:not this
END:VALARM`,
      ]),
    ).toEqual([
      {
        method: 'REQUEST',
        component: 'VEVENT',
        uid: 'budget@example.com',
        title: 'Budget, third',
        thisAndFuture: false,
        start: {
          local: '2026-07-23T14:00:00',
          allDay: false,
          zone: 'Europe/Berlin',
          atMs: Date.UTC(2026, 6, 23, 12),
        },
        end: {
          local: '2026-07-23T15:30:00',
          allDay: false,
          zone: 'Europe/Berlin',
          atMs: Date.UTC(2026, 6, 23, 13, 30),
        },
        rule: 'FREQ=DAILY;COUNT=3',
        fewerDates: true,
        place: 'Room 5; east',
        description: 'One\nTwo \\ three',
        comment: 'Bring it',
        url: 'https://example.com/x',
        status: 'CONFIRMED',
        organizer: { name: 'Bloggs, Ann', address: 'ann@example.com' },
        sentBy: 'sam@example.com',
        attendees: [
          { name: 'B"o"b\nx', address: 'bob@example.org', partstat: 'DELEGATED', delegatedTo: 'erin@example.org' },
          { name: 'Room Five', address: 'room5@example.org' },
          { address: '/principals/carol' },
        ],
      },
    ]);
  });

  test('the master comes first, whatever the order in the object', () => {
    const facts = factsOf('REQUEST', [
      'SUMMARY:one date\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261201T090000Z\nDTSTART:20261201T100000Z',
      'SUMMARY:series\nDTSTART:20261124T090000Z\nRRULE:FREQ=WEEKLY',
    ]);
    expect(facts.map(({ title, thisAndFuture }) => [title, thisAndFuture])).toEqual([
      ['series', false],
      ['one date', true],
    ]);
  });

  test.each([
    ['DTSTART;VALUE=DATE:20261130', { local: '2026-11-30', allDay: true }],
    ['DTSTART:20261123T140000', { local: '2026-11-23T14:00:00', allDay: false }],
    [
      'DTSTART;TZID=America/New_York:20261123T140000',
      { local: '2026-11-23T14:00:00', allDay: false, zone: 'America/New_York', atMs: Date.UTC(2026, 10, 23, 19) },
    ],
    [
      'DTSTART;TZID="W. Europe Standard Time":20260723T140000',
      { local: '2026-07-23T14:00:00', allDay: false, zone: 'Europe/Berlin', atMs: Date.UTC(2026, 6, 23, 12) },
    ],
    [
      'DTSTART;TZID=/freeassociation.sourceforge.net/Asia/Tokyo:20260723T140000',
      { local: '2026-07-23T14:00:00', allDay: false, zone: 'Asia/Tokyo', atMs: Date.UTC(2026, 6, 23, 5) },
    ],
    ['DTSTART;TZID=Our place:20260723T140000', { local: '2026-07-23T14:00:00', allDay: false, zone: 'Our place' }],
    ['DTSTART;TZID=__proto__:20260723T140000', { local: '2026-07-23T14:00:00', allDay: false, zone: '__proto__' }],
    ['DTSTART:20261399T140000', undefined],
  ])('%s', (line, start) => {
    expect(factsOf('REQUEST', [`SUMMARY:x\n${line}`])[0]?.start).toEqual(start);
  });

  test('an hour of elapsed time over the end of summer time ends on the same hour of the wall', () => {
    const [facts] = factsOf('REQUEST', ['SUMMARY:x\nDTSTART;TZID=Europe/Berlin:20261025T023000\nDURATION:PT2H']);
    expect(facts?.end?.local).toBe('2026-10-25T03:30:00');
  });

  test('a day without an end is that day', () => {
    const [facts] = factsOf('REQUEST', ['SUMMARY:x\nDTSTART;VALUE=DATE:20261130']);
    expect(facts?.end).toEqual({ local: '2026-12-01', allDay: true });
  });

  test('bytes that are no calendar hold no event', () => {
    const content = Buffer.from('BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n');
    expect(eventFacts({ method: 'REQUEST', component: 'VEVENT', uid: '1', content })).toEqual([]);
  });
});
