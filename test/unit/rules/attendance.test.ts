import { describe, expect, test } from 'vitest';
import { type Attendance, judgeAttendance } from '../../../rules/attendance.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import { BOB, OLGA, REPLY, REQUEST, user } from './samples.ts';

const ALIAS = 'b.brown@example.com';
/** Primary address, alias, and what stood in RCPT. */
const ADDRESSES = [BOB, ALIAS, BOB];

const invites = (...mailboxes: readonly string[]): SchedulingObject => ({ ...REQUEST, attendees: mailboxes.map(user) });
const meant = (spelling: string): Attendance => ({ kind: 'meant', spelling });
const NOT_INVITED: Attendance = { kind: 'not-meant', reason: 'the recipient is not among the ATTENDEEs' };

type Row = readonly [title: string, object: SchedulingObject, addresses: readonly string[], attendance: Attendance];

const table: readonly Row[] = [
  ['an attendee is meant', invites('petra@example.net', BOB), ADDRESSES, meant(BOB)],
  ['an attendee in capitals is meant, as spelled', invites('BOB@Example.com'), ADDRESSES, meant('BOB@Example.com')],
  ['an attendee by alias is meant', invites(ALIAS), ADDRESSES, meant(ALIAS)],
  ['an attendee by sub-address is meant', invites('bob+work@example.com'), ADDRESSES, meant('bob+work@example.com')],
  [
    'an attendee by sub-address of an alias is meant',
    invites('b.brown+x@example.com'),
    ADDRESSES,
    meant('b.brown+x@example.com'),
  ],
  [
    'an attendee by the sub-address the mail came to is meant',
    invites('bob+work@example.com'),
    [BOB, 'bob+work@example.com'],
    meant('bob+work@example.com'),
  ],
  ['mail to a sub-address of an attendee is meant', invites(BOB), [BOB, 'bob+work@example.com'], meant(BOB)],
  ['the primary address wins over an alias before it', invites(ALIAS, BOB), ADDRESSES, meant(BOB)],
  ['the first of two aliases wins', invites('bob+a@example.com', ALIAS), ADDRESSES, meant('bob+a@example.com')],
  [
    'an attendee whose URI is no mailbox is meant by the one that EMAIL has',
    { ...REQUEST, attendees: [{ uri: 'urn:uuid:1', email: BOB }] },
    ADDRESSES,
    { kind: 'meant', spelling: BOB, byEmail: true },
  ],
  [
    'whoever stands in the EMAIL of another one’s mailbox is not meant',
    { ...REQUEST, attendees: [{ ...user('petra@example.net'), email: BOB }] },
    ADDRESSES,
    NOT_INVITED,
  ],
  ['whoever is not invited is not meant', invites('petra@example.net'), ADDRESSES, NOT_INVITED],
  ['the longer name of another is not meant', invites('bobby@example.com'), ADDRESSES, NOT_INVITED],
  ['the same name elsewhere is not meant', invites('bob@example.net'), ADDRESSES, NOT_INVITED],
  ['nobody is meant where nobody is invited', invites(), ADDRESSES, NOT_INVITED],
  [
    'an ATTENDEE that is no mailto: means nobody',
    { ...REQUEST, attendees: [{ uri: 'urn:uuid:bob' }] },
    ADDRESSES,
    NOT_INVITED,
  ],
  ['the organizer of a REQUEST is its organizer', REQUEST, [OLGA], { kind: 'organizer' }],
  ['also when he is among its attendees', invites(OLGA, BOB), [OLGA], { kind: 'organizer' }],
  ['also by alias', { ...REQUEST, organizer: user(ALIAS) }, ADDRESSES, { kind: 'organizer' }],
  ['the organizer of a CANCEL is its organizer', { ...REQUEST, method: 'CANCEL' }, [OLGA], { kind: 'organizer' }],
  ['the attendee of a CANCEL is meant', { ...REQUEST, method: 'CANCEL' }, ADDRESSES, meant(BOB)],
  ['the organizer is meant by a REPLY', REPLY, ADDRESSES, meant(BOB)],
  ['the organizer by alias is meant by a REPLY', { ...REPLY, organizer: user(ALIAS) }, ADDRESSES, meant(ALIAS)],
  [
    'the organizer by sub-address is meant by a REPLY',
    { ...REPLY, organizer: user('bob+plans@example.com') },
    ADDRESSES,
    meant('bob+plans@example.com'),
  ],
  ['the organizer is meant by a COUNTER', { ...REPLY, method: 'COUNTER' }, ADDRESSES, meant(BOB)],
  ['the organizer is meant by a REFRESH', { ...REPLY, method: 'REFRESH' }, ADDRESSES, meant(BOB)],
  [
    'a REPLY to another organizer is not meant for its reader',
    { ...REPLY, organizer: user('anna@example.com') },
    ADDRESSES,
    { kind: 'not-meant', reason: 'the REPLY is for anna@example.com' },
  ],
  [
    'the attendee of a REPLY is not meant by it',
    REPLY,
    [OLGA],
    { kind: 'not-meant', reason: `the REPLY is for ${BOB}` },
  ],
];

describe('whether the recipient is meant', () => {
  for (const [title, object, addresses, attendance] of table) {
    test(title, () => expect(judgeAttendance(object, addresses, '+')).toEqual(attendance));
  }

  test('a REPLY without ORGANIZER names nobody', () => {
    const { organizer: _, ...object } = REPLY;
    expect(judgeAttendance(object, ADDRESSES, '+')).toEqual({
      kind: 'not-meant',
      reason: 'a REPLY without ORGANIZER names nobody',
    });
  });

  test('without separators a plus is part of the name', () => {
    expect(judgeAttendance(invites('bob+work@example.com'), ADDRESSES, '')).toEqual(NOT_INVITED);
  });

  test('other separators are as good as a plus', () => {
    expect(judgeAttendance(invites('bob-work@example.com'), ADDRESSES, '+-')).toEqual(meant('bob-work@example.com'));
  });
});

test('the ATTENDEEs are read once for all recipients of a message', () => {
  let reads = 0;
  const attendee = (address: string) => ({
    uri: `mailto:${address}`,
    get mailbox() {
      reads++;
      return address;
    },
  });
  const object = { ...REQUEST, attendees: ['ann@example.com', 'bob+x@example.com'].map(attendee) };
  const judged = ['ann@example.com', 'bob@example.com', 'eve@example.com'].map(
    (recipient) => judgeAttendance(object, [recipient], '+').kind,
  );
  expect([judged, reads]).toEqual([['meant', 'meant', 'not-meant'], 2]);
});
