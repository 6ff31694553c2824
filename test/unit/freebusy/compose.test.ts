import { describe, expect, test } from 'vitest';
import type { Period, Window } from '../../../src/freebusy/busy.ts';
import { composeBusyReply, composeBusyRequest, composePublishedBusy } from '../../../src/freebusy/compose.ts';
import { readBusy } from '../../../src/freebusy/read.ts';
import { readPosted } from '../../../src/itip/posted.ts';
import { checkCalendar, componentsOf, propertiesOf, propertyValue } from '../../integration/icalendar.ts';
import { installed } from '../../servers/installed.ts';

const at = (hour: number, minute = 0) => Date.UTC(2026, 10, 23, hour, minute);
const WINDOW: Window = { startMs: at(0), endMs: at(24) };
const NOW = Date.UTC(2026, 10, 21, 17);
const PERIODS: readonly Period[] = [
  { type: 'BUSY-UNAVAILABLE', startMs: at(0), endMs: at(8) },
  { type: 'BUSY', startMs: at(9), endMs: at(10, 30) },
  { type: 'BUSY-TENTATIVE', startMs: at(10, 30), endMs: at(11) },
];
const REPLY = {
  uid: '34222-232@example.com',
  organizer: 'mailto:ann@example.com',
  attendee: 'mailto:bob@example.org',
  window: WINDOW,
  now: NOW,
  periods: PERIODS,
};
const EVIL = 'bob@example.org\r\nATTENDEE:mailto:eve@example.net\u0085\u2028\0';
const LONG = `${'b'.repeat(60)}@${'long.'.repeat(12)}example.org`;

const crlf = (...lines: readonly string[]) => lines.map((line) => `${line}\r\n`).join('');

describe('composing', () => {
  test('a question for two attendees of one server', () => {
    expect(
      composeBusyRequest({
        uid: 'q-1',
        organizer: 'ann@example.com',
        attendees: ['bob@example.org', 'carla?x@example.org'],
        window: WINDOW,
        now: NOW,
      }).toString(),
    ).toBe(
      crlf(
        'BEGIN:VCALENDAR',
        'VERSION:2.0',
        'PRODID:-//imipd//EN',
        'METHOD:REQUEST',
        'BEGIN:VFREEBUSY',
        'UID:q-1',
        'DTSTAMP:20261121T170000Z',
        'ORGANIZER:mailto:ann@example.com',
        'ATTENDEE:mailto:bob@example.org',
        'ATTENDEE:mailto:carla%3Fx@example.org',
        'DTSTART:20261123T000000Z',
        'DTEND:20261124T000000Z',
        'END:VFREEBUSY',
        'END:VCALENDAR',
      ),
    );
  });

  test('the answer for one attendee, a line for each period', () => {
    expect(composeBusyReply(REPLY).toString()).toBe(
      crlf(
        'BEGIN:VCALENDAR',
        'VERSION:2.0',
        'PRODID:-//imipd//EN',
        'METHOD:REPLY',
        'BEGIN:VFREEBUSY',
        'UID:34222-232@example.com',
        'DTSTAMP:20261121T170000Z',
        'ORGANIZER:mailto:ann@example.com',
        'ATTENDEE:mailto:bob@example.org',
        'DTSTART:20261123T000000Z',
        'DTEND:20261124T000000Z',
        'FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261123T000000Z/20261123T080000Z',
        'FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T103000Z',
        'FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261123T103000Z/20261123T110000Z',
        'END:VFREEBUSY',
        'END:VCALENDAR',
      ),
    );
  });

  test('a published document has an ORGANIZER and no ATTENDEE (RFC 5546 §3.3.1)', () => {
    const { organizer: _, ...published } = REPLY;
    expect(composePublishedBusy({ ...published, periods: [] }).toString()).toBe(
      crlf(
        'BEGIN:VCALENDAR',
        'VERSION:2.0',
        'PRODID:-//imipd//EN',
        'METHOD:PUBLISH',
        'BEGIN:VFREEBUSY',
        'UID:34222-232@example.com',
        'DTSTAMP:20261121T170000Z',
        'ORGANIZER:mailto:bob@example.org',
        'DTSTART:20261123T000000Z',
        'DTEND:20261124T000000Z',
        'END:VFREEBUSY',
        'END:VCALENDAR',
      ),
    );
  });

  test('a time between two seconds is busy for all of the second', () => {
    const text = composeBusyReply({
      ...REPLY,
      periods: [{ type: 'BUSY', startMs: at(9) + 500, endMs: at(10) + 1 }],
    }).toString();
    expect(text).toContain('FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T100001Z\r\n');
  });

  test('the UID of a question comes back as it was read', () => {
    const uid = 'a;b,c\\d';
    expect(readBusy(composeBusyReply({ ...REPLY, uid }), 'utf-8')).toMatchObject({ documents: [{ uid }] });
  });
});

describe('hostile text', () => {
  test.each([
    ['in an attendee', composeBusyReply({ ...REPLY, attendee: `mailto:${EVIL}` })],
    ['in an organizer', composeBusyReply({ ...REPLY, organizer: `mailto:${EVIL}` })],
    ['in a UID', composeBusyReply({ ...REPLY, uid: EVIL })],
    ['in a mailbox', composeBusyRequest({ ...REPLY, organizer: 'ann@example.com', attendees: [EVIL] })],
  ])('%s begins no line', (_, bytes) => {
    const lines = bytes.toString().replaceAll('\r\n ', '').split('\r\n');
    expect(lines.filter((line) => line.startsWith('ATTENDEE'))).toHaveLength(1);
    expect(bytes.toString()).not.toMatch(/[\u0085\u2028\0]|(?<!\r)\n|\r(?!\n)/);
  });
});

test('our own readers take what is composed', () => {
  expect(readBusy(composeBusyReply(REPLY), 'utf-8')).toEqual({
    kind: 'documents',
    documents: [{ uid: REPLY.uid, window: WINDOW, attendees: ['bob@example.org'], periods: PERIODS }],
  });
  const posted = readPosted(
    composeBusyRequest({ ...REPLY, organizer: 'ann@example.com', attendees: ['bob@example.org'] }),
    'utf-8',
    { maxObjectBytes: 10_000, maxLineBytes: 10_000, maxProperties: 100, maxDepth: 8 },
  );
  expect(posted).toMatchObject({
    kind: 'free-busy',
    object: {
      uid: REPLY.uid,
      startMs: WINDOW.startMs,
      endMs: WINDOW.endMs,
      attendees: [{ mailbox: 'bob@example.org' }],
    },
  });
});

describe.skipIf(!installed('icalendar'))('python3-icalendar', () => {
  test.each([
    [
      'a question',
      composeBusyRequest({ ...REPLY, organizer: 'ann@example.com', attendees: [LONG, EVIL] }),
      'REQUEST',
      0,
    ],
    ['an answer', composeBusyReply({ ...REPLY, attendee: `mailto:${LONG}` }), 'REPLY', 3],
    ['a document at a URL', composePublishedBusy({ ...REPLY, uid: 'Bücher; '.repeat(20) }), 'PUBLISH', 3],
  ])('takes no offence at %s', async (_, bytes, method, periods) => {
    const calendar = await checkCalendar(bytes);
    const [component, ...more] = componentsOf(calendar, 'VFREEBUSY');
    expect(more).toEqual([]);
    expect(propertyValue(calendar, 'METHOD')).toBe(method);
    expect(propertyValue(component, 'DTSTART')).toBe('20261123T000000Z');
    expect(propertyValue(component, 'DTEND')).toBe('20261124T000000Z');
    expect(propertiesOf(component, 'FREEBUSY')).toHaveLength(periods);
  });
});
