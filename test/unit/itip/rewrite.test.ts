import { describe, expect, test } from 'vitest';
import { giveOrganizer, rewriteAddress } from '../../../src/itip/rewrite.ts';
import { calendar, event } from './samples.ts';

const OBJECT = calendar(
  'REQUEST',
  ...event({
    SUMMARY: [
      'SUMMARY:write to mailto:bob@example.com',
      'DESCRIPTION:a long line that its sender has folded in an odd',
      '  place: bob@example.com',
    ],
    ATTENDEE: [
      'ATTENDEE;CN="Bob: at work";ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TR',
      ' UE:MAILTO:Bob@Example.COM',
      'ATTENDEE;SENT-BY="mailto:bob@example.com":mailto:carol@example.com',
    ],
  }),
);

test('only the value of the matching line changes, every other octet stays', () => {
  const rewritten = rewriteAddress(
    Buffer.from(OBJECT),
    'bob@example.com',
    'robert.longname@calendar.example.com',
  ).toString();
  expect(rewritten).toBe(
    OBJECT.replace(
      'ATTENDEE;CN="Bob: at work";ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TR\r\n UE:MAILTO:Bob@Example.COM\r\n',
      'ATTENDEE;CN="Bob: at work";ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=\r\n TRUE:mailto:robert.longname@calendar.example.com\r\n',
    ),
  );
});

test('the ORGANIZER is rewritten too', () => {
  const rewritten = rewriteAddress(Buffer.from(OBJECT), 'OLGA@example.org', 'o@example.org').toString();
  expect(rewritten).toBe(
    OBJECT.replace('ORGANIZER;CN=Olga:mailto:olga@example.org', 'ORGANIZER;CN=Olga:mailto:o@example.org'),
  );
});

test('an ATTENDEE whose URI is no mailbox is found by EMAIL, and one who has a mailbox is not', () => {
  const lines = [
    'ATTENDEE;EMAIL=Bob@example.com:urn:uuid:1',
    'ATTENDEE;EMAIL=bob@example.com:mailto:carol@example.com',
  ];
  const object = calendar('REQUEST', ...event({ ATTENDEE: lines }));
  expect(rewriteAddress(Buffer.from(object), 'bob@example.com', 'bob@example.com').toString()).toBe(
    object.replace('urn:uuid:1', 'mailto:bob@example.com'),
  );
});

test('when nobody matches the very same buffer comes back', () => {
  const content = Buffer.from(OBJECT);
  expect(rewriteAddress(content, 'dora@example.com', 'd@example.com')).toBe(content);
});

test('a last line without line end gets none', () => {
  const rewritten = rewriteAddress(Buffer.from('ATTENDEE:mailto:bob@example.com'), 'bob@example.com', 'b@example.com');
  expect(rewritten.toString()).toBe('ATTENDEE:mailto:b@example.com');
});

describe('an answer without ORGANIZER', () => {
  const component = (name: string, ...lines: readonly string[]) => [`BEGIN:${name}`, ...lines, `END:${name}`];
  const objectOf = (...lines: readonly string[]) =>
    ['BEGIN:VCALENDAR', 'METHOD:REPLY', ...lines, 'END:VCALENDAR', ''].join('\r\n');
  const zone = component('VTIMEZONE', 'TZID:X', ...component('STANDARD', 'TZOFFSETTO:+0100'));
  const given = (source: string) => giveOrganizer(Buffer.from(source), 'ann@example.com').toString();
  const ORGANIZER = 'ORGANIZER:mailto:ann@example.com';

  test('gets one in every component that has none, and every other octet stays', () => {
    const alarm = component('VALARM', 'ORGANIZER:mailto:nobody@example.net');
    const before = objectOf(
      ...zone,
      ...component('VEVENT', 'UID:1', 'SUMMARY:folded', '  here', ...alarm),
      ...component('VEVENT', 'UID:1', 'RECURRENCE-ID:20300301', 'ORGANIZER:mailto:bob@example.com'),
      ...component('vevent', 'UID:1', 'RECURRENCE-ID:20300302'),
    );
    expect(given(before)).toBe(
      objectOf(
        ...zone,
        ...component('VEVENT', ORGANIZER, 'UID:1', 'SUMMARY:folded', '  here', ...alarm),
        ...component('VEVENT', 'UID:1', 'RECURRENCE-ID:20300301', 'ORGANIZER:mailto:bob@example.com'),
        ...component('vevent', ORGANIZER, 'UID:1', 'RECURRENCE-ID:20300302'),
      ),
    );
  });

  test('is not touched when it has one', () => {
    const content = Buffer.from(objectOf(...component('VTODO', 'ORGANIZER:mailto:bob@example.com', 'UID:1')));
    expect(giveOrganizer(content, 'ann@example.com')).toBe(content);
  });

  test('gets an address that cannot break out of its line', () => {
    const content = Buffer.from(objectOf(...component('VEVENT', 'UID:1')));
    expect(giveOrganizer(content, '"a b;c"@example.com').toString()).toContain(
      '\r\nORGANIZER:mailto:%22a%20b%3Bc%22@example.com\r\n',
    );
  });
});
