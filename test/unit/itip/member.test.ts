import { describe, expect, test } from 'vitest';
import { addMember } from '../../../src/itip/member.ts';
import { calendar, crlf, event } from './samples.ts';

const TEAM = 'team@example.com';
const BOB = 'bob@example.com';
const LIST_LINE =
  'ATTENDEE;CUTYPE=GROUP;ROLE=OPT-PARTICIPANT;CN="The team";PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:team@example.com';
const FOLDED_LIST_LINE = [
  'ATTENDEE;CUTYPE=GROUP;ROLE=OPT-PARTICIPANT;CN="The team";PARTSTAT=NEEDS-ACT',
  ' ION;RSVP=TRUE:mailto:team@example.com',
];
const MEMBER_LINE = [
  'ATTENDEE;MEMBER="mailto:team@example.com";ROLE=OPT-PARTICIPANT;PARTSTAT=NEE',
  ' DS-ACTION;RSVP=TRUE:mailto:bob@example.com',
];

/** `before` with Bob as a member of the team. */
const added = (before: string, attendee = BOB, list = TEAM): string =>
  addMember(Buffer.from(before), attendee, list).toString();

describe('the posted copy for a member of a list', () => {
  test('has a line for him behind that of the list; every other octet stays', () => {
    const object = (...attendees: readonly string[]) =>
      calendar(
        'REQUEST',
        ...event({
          SUMMARY: ['SUMMARY:for mailto:team@example.com', 'DESCRIPTION:folded in an odd', '  place: team@example.com'],
          ATTENDEE: attendees,
        }),
      );
    const anna = 'ATTENDEE;CN=Anna:mailto:anna@example.com';
    expect(added(object(...FOLDED_LIST_LINE, anna))).toBe(object(...FOLDED_LIST_LINE, ...MEMBER_LINE, anna));
  });

  test('has one in every component that invites the list, and in no other', () => {
    const object = (...member: readonly string[]) =>
      calendar(
        'REQUEST',
        'BEGIN:VTIMEZONE',
        'TZID:Europe/Berlin',
        'END:VTIMEZONE',
        ...event({ ATTENDEE: ['ATTENDEE:MAILTO:Team@Example.com', ...member] }),
        ...event({ ATTENDEE: 'ATTENDEE:mailto:anna@example.com' }),
        ...event({ ATTENDEE: ['ATTENDEE:mailto:team@example.com', ...member] }),
      );
    const [bare, full] = [object(), object('ATTENDEE;MEMBER="mailto:team@example.com":mailto:bob@example.com')];
    // The list is named as its line spells it, with the domain in its one form.
    const spelled = full.replace('MEMBER="mailto:team@', 'MEMBER="mailto:Team@');
    expect(added(bare)).toBe(spelled);
  });

  test('has in a CANCEL what the line of the list has there', () => {
    const object = (...lines: readonly string[]) => calendar('CANCEL', ...event({ ATTENDEE: lines }));
    expect(added(object('ATTENDEE;CUTYPE=GROUP:mailto:team@example.com'))).toBe(
      object(
        'ATTENDEE;CUTYPE=GROUP:mailto:team@example.com',
        'ATTENDEE;MEMBER="mailto:team@example.com":mailto:bob@example.com',
      ),
    );
  });

  test('has nothing that belongs to the list alone, nor what cannot be read', () => {
    const object = (...lines: readonly string[]) => calendar('REQUEST', ...event({ ATTENDEE: lines }));
    const list =
      'ATTENDEE;CN=T;PARTSTAT="DELEGATED;X=1";RSVP;DELEGATED-TO="mailto:x@y.test";rsvp=false:mailto:team@example.com';
    expect(added(object(...fold(list)))).toBe(
      object(...fold(list), 'ATTENDEE;MEMBER="mailto:team@example.com";RSVP=false:mailto:bob@example.com'),
    );
  });

  test.each([
    ['Bob; "the, builder"@example.com', 'mailto:Bob%3B%20%22the%2C%20builder%22@example.com'],
    ['bücher@example.com', 'mailto:bücher@example.com'],
    ["o'hara+100%@example.com", "mailto:o'hara+100%25@example.com"],
  ])('names %s so that it ends neither parameter nor value', (address, uri) => {
    const object = (...lines: readonly string[]) => calendar('REQUEST', ...event({ ATTENDEE: lines }));
    expect(added(object(`ATTENDEE:${uri}`), BOB, address)).toBe(
      object(`ATTENDEE:${uri}`, ...fold(`ATTENDEE;MEMBER="${uri}":mailto:bob@example.com`)),
    );
    expect(added(object('ATTENDEE:mailto:team@example.com'), address)).toBe(
      object('ATTENDEE:mailto:team@example.com', ...fold(`ATTENDEE;MEMBER="mailto:team@example.com":${uri}`)),
    );
  });

  test('says nothing to those whom an alarm writes to', () => {
    const alarm = ['BEGIN:VALARM', 'ACTION:EMAIL', 'ATTENDEE:mailto:team@example.com', 'END:VALARM'];
    const object = (...member: readonly string[]) =>
      calendar('REQUEST', ...event({ ATTENDEE: ['ATTENDEE:mailto:team@example.com', ...member, ...alarm] }));
    expect(added(object())).toBe(object('ATTENDEE;MEMBER="mailto:team@example.com":mailto:bob@example.com'));
  });

  test('is the very same buffer when he stands in it already, or the list does not', () => {
    const attendees = [LIST_LINE, 'ATTENDEE:MAILTO:Bob@Example.com'];
    const content = Buffer.from(calendar('REQUEST', ...event({ ATTENDEE: attendees })));
    expect(addMember(content, BOB, TEAM)).toBe(content);
    expect(addMember(content, 'anna@example.com', 'crew@example.com')).toBe(content);
  });

  test('gains what is missing when he stands in some components', () => {
    const object = (...member: readonly string[]) =>
      calendar(
        'REQUEST',
        ...event({ ATTENDEE: ['ATTENDEE:mailto:bob@example.com', 'ATTENDEE:mailto:team@example.com'] }),
        ...event({ ATTENDEE: ['ATTENDEE:mailto:team@example.com', ...member] }),
      );
    expect(added(object())).toBe(object('ATTENDEE;MEMBER="mailto:team@example.com":mailto:bob@example.com'));
  });
});

/** As the lines of `crlf`, folded at 75 octets. */
function fold(line: string): string[] {
  const lines = [''];
  for (const char of line) {
    const last = lines.at(-1) ?? '';
    if (Buffer.byteLength(last + char) > 75) lines.push(` ${char}`);
    else lines[lines.length - 1] = last + char;
  }
  return lines;
}

test('a caret in the list is no escape in MEMBER', () => {
  const object = crlf('BEGIN:VCALENDAR', 'BEGIN:VEVENT', "ATTENDEE:mailto:team+^'@example.com", 'END:VEVENT');
  expect(addMember(Buffer.from(object), 'bob@example.com', "team+^'@example.com").toString()).toContain(
    `MEMBER="mailto:team+%5E'@example.com"`,
  );
});

test('lines that end in LF alone are kept as they are', () => {
  const lf = (text: string) => text.replaceAll('\r\n', '\n');
  const object = crlf('BEGIN:VCALENDAR', 'BEGIN:VEVENT', 'ATTENDEE:mailto:team@example.com', 'END:VEVENT');
  expect(added(`${lf(object)}END:VCALENDAR`)).toBe(
    `${lf(object).replace('END:', 'ATTENDEE;MEMBER="mailto:team@example.com":mailto:bob@example.com\r\nEND:')}END:VCALENDAR`,
  );
});
