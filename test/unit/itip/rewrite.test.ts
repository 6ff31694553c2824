import { expect, test } from 'vitest';
import { rewriteAddress } from '../../../src/itip/rewrite.ts';
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

test('when nobody matches the very same buffer comes back', () => {
  const content = Buffer.from(OBJECT);
  expect(rewriteAddress(content, 'dora@example.com', 'd@example.com')).toBe(content);
});

test('a last line without line end gets none', () => {
  const rewritten = rewriteAddress(Buffer.from('ATTENDEE:mailto:bob@example.com'), 'bob@example.com', 'b@example.com');
  expect(rewritten.toString()).toBe('ATTENDEE:mailto:b@example.com');
});
