import { describe, expect, test } from 'vitest';
import { readCalendar, toObject } from '../../../src/itip/parse.ts';
import { calendar, event } from '../itip/samples.ts';

const CAROL = 'ATTENDEE;PARTSTAT=DELEGATED;DELEGATED-TO="mailto:dora@example.org":mailto:carol@example.org';
const ASKED = 'ATTENDEE;PARTSTAT=NEEDS-ACTION;DELEGATED-FROM="mailto:carol@example.org":mailto:dora@example.org';
const UNSAID = 'ATTENDEE;DELEGATED-FROM="mailto:carol@example.org":MAILTO:Dora@example.org';
const COMING = 'ATTENDEE;PARTSTAT=ACCEPTED;DELEGATED-FROM="mailto:carol@example.org":mailto:dora@example.org';

/** The ATTENDEEs of the posted copy, or why there is none. */
function attendees(method: string, ...lines: readonly string[]): readonly string[] | string {
  const source = calendar(method, ...event({ ATTENDEE: lines }));
  const read = readCalendar(Buffer.from(source), 'utf-8', { maxLineBytes: 65_536, maxProperties: 500, maxDepth: 8 });
  if (read.kind === 'unreadable') return read.reason;
  const result = toObject(read.calendar);
  if (result.kind === 'none') return result.reason;
  const unfolded = result.object.content.toString().replaceAll('\r\n ', '');
  return unfolded.split('\r\n').filter((line) => line.startsWith('ATTENDEE'));
}

describe('a REPLY that names both sides of a delegation', () => {
  test.each([
    ['is his who hands on, while the delegate has not answered', [CAROL, ASKED], [CAROL]],
    ['in either order', [ASKED, CAROL], [CAROL]],
    ['and where the delegate has no PARTSTAT', [CAROL, UNSAID], [CAROL]],
    ['is the delegate’s once he answers', [CAROL, COMING], [COMING]],
    ['in either order too', [COMING, CAROL], [COMING]],
    [
      'with the link at one of the two only',
      ['ATTENDEE;PARTSTAT=DELEGATED:mailto:carol@example.org', COMING],
      [COMING],
    ],
  ] as const)('%s', (_, lines, wanted) => {
    expect(attendees('REPLY', ...lines)).toEqual(wanted);
  });

  test.each([
    ['when nobody delegated', ['ATTENDEE;PARTSTAT=ACCEPTED:mailto:carol@example.org', COMING]],
    ['when the two are strangers', [CAROL, COMING.replaceAll('dora@', 'emil@').replaceAll('carol@', 'fritz@')]],
    ['when both hand on', [CAROL, COMING.replace('ACCEPTED', 'DELEGATED')]],
  ])('is refused %s', (_, lines) => {
    expect(attendees('REPLY', ...lines)).toBe('REPLY with 2 ATTENDEEs, wanted exactly one');
  });

  test('is no matter of a REQUEST, which names everybody', () => {
    expect(attendees('REQUEST', CAROL, ASKED)).toEqual([CAROL, ASKED]);
  });
});
