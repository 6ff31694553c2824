import { describe, expect, test } from 'vitest';
import type { Window } from '../../../src/freebusy/busy.ts';
import { readingOf } from '../../../src/freebusy/reading.ts';

const DAY: Window = { startMs: Date.UTC(2026, 10, 23), endMs: Date.UTC(2026, 10, 24) };
const ASKED = { window: DAY, uid: 'q-1', attendee: 'alice@example.com', organizer: 'service@example.com' };
const BUSY = {
  kind: 'periods',
  periods: [{ startMs: Date.UTC(2026, 10, 23, 9), endMs: Date.UTC(2026, 10, 23, 10), type: 'BUSY' }],
};

function read(lines: readonly string[], asked: Parameters<typeof readingOf>[2] = ASKED) {
  const text = ['BEGIN:VCALENDAR', 'BEGIN:VFREEBUSY', ...lines, 'END:VFREEBUSY', 'END:VCALENDAR', ''].join('\r\n');
  return readingOf(Buffer.from(text), 'utf-8', asked);
}

const FREEBUSY = 'FREEBUSY:20261123T090000Z/20261123T100000Z';
const SPAN = ['DTSTART:20261123T000000Z', 'DTEND:20261124T000000Z'];

describe('an answer counts', () => {
  test.each<readonly [string, readonly string[]]>([
    ['with everything in it', ['UID:q-1', 'ATTENDEE:mailto:alice@example.com', ...SPAN, FREEBUSY]],
    ['with nothing but the times', [FREEBUSY]],
    ['with a success in so many words', ['REQUEST-STATUS:2.0;Success', FREEBUSY]],
    ['with the attendee spelled otherwise', ['ATTENDEE:MAILTO:Alice%40EXAMPLE.com', FREEBUSY]],
    ['with an attendee that is no mailbox', ['ATTENDEE:urn:uuid:0a1b', FREEBUSY]],
    ['with the asker as its ORGANIZER and no ATTENDEE', ['ORGANIZER:mailto:service@example.com', FREEBUSY]],
    ['for more than was asked', ['DTSTART:20261101T000000Z', 'DTEND:20261201T000000Z', FREEBUSY]],
    ['with a beginning and no end', ['DTSTART:20261123T120000Z', FREEBUSY]],
  ])('%s', (_, lines) => {
    expect(read(lines)).toEqual(BUSY);
  });

  test('to the second, as it is written, for a window of milliseconds', () => {
    const window = { startMs: DAY.startMs + 250, endMs: DAY.endMs + 750 };
    expect(read([...SPAN, FREEBUSY], { ...ASKED, window })).toEqual(BUSY);
  });

  test('in two calendars that follow on each other', () => {
    const half = (...lines: readonly string[]) =>
      ['BEGIN:VCALENDAR', 'BEGIN:VFREEBUSY', ...lines, 'END:VFREEBUSY', 'END:VCALENDAR', ''].join('\r\n');
    const first = half('DTSTART:20261123T120000Z', 'DTEND:20261124T000000Z');
    const second = half('DTSTART:20261123T000000Z', 'DTEND:20261123T120000Z', FREEBUSY);
    expect(readingOf(Buffer.from(first + second), undefined, ASKED)).toEqual(BUSY);
    const hole = second.replace('DTEND:20261123T120000Z', 'DTEND:20261123T110000Z');
    expect(readingOf(Buffer.from(first + hole), undefined, ASKED)).toMatchObject({ kind: 'unusable' });
  });
});

describe('nobody is taken for free because of', () => {
  test.each<readonly [string, readonly string[], string]>([
    [
      'the answer to another question',
      ['UID:q-2', FREEBUSY],
      'found the answer to another question, its UID is another',
    ],
    [
      'the times of another',
      ['ATTENDEE:mailto:bob@example.com', FREEBUSY],
      'found the times of another than was asked about',
    ],
    [
      'a refusal that stands among the times',
      ['REQUEST-STATUS:3.8;No authority', FREEBUSY],
      'found a REQUEST-STATUS that is no success in the answer',
    ],
    [
      'times that begin too late',
      ['DTSTART:20261123T080000Z', 'DTEND:20261124T000000Z', FREEBUSY],
      'found times from 2026-11-23T08:00Z to 2026-11-24T00:00Z, wanted them from 2026-11-23T00:00Z to 2026-11-24T00:00Z',
    ],
    [
      'times that end too early',
      ['DTSTART:20261101T000000Z', 'DTEND:20261123T235959Z', FREEBUSY],
      'found times from 2026-11-01T00:00Z to 2026-11-23T23:59Z, wanted them from 2026-11-23T00:00Z to 2026-11-24T00:00Z',
    ],
  ])('%s', (_, lines, reason) => {
    expect(read(lines)).toEqual({ kind: 'unusable', reason });
  });

  test.each<readonly [string, string]>([
    ['an empty answer', ''],
    ['a calendar of events', 'BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n'],
    ['an empty calendar', 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n'],
    ['an error of WCAP', 'BEGIN:VCALENDAR\r\nX-NSCP-WCAP-ERRNO:0\r\nEND:VCALENDAR\r\n'],
    ['a web page', '<html><body>Please log in</body></html>'],
    [
      'a period that cannot be read',
      'BEGIN:VCALENDAR\r\nBEGIN:VFREEBUSY\r\nFREEBUSY:soon\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n',
    ],
  ])('%s', (_, text) => {
    expect(readingOf(Buffer.from(text), 'utf-8', ASKED)).toMatchObject({ kind: 'unusable' });
  });
});
