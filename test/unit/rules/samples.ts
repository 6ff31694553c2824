import type { Policy, Question } from '../../../rules/decide.ts';
import type { Entry } from '../../../src/directory/directory.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import type { CalendarServer } from '../../../src/mail/disposition.ts';
import type { LedgerRow } from '../../../src/queue/store.ts';

/** Olga of outside invites Bob of ours; the calendar server `north` owns him. */
export const OLGA = 'olga@example.org';
export const BOB = 'bob@example.com';
export const NORTH: CalendarServer = { url: 'https://north.example.com/ischedule', profile: 'cyrus' };

export const ENTRY: Entry = {
  dn: 'uid=bob,o=example.com',
  kind: 'user',
  mail: BOB,
  addresses: [BOB, 'b.brown@example.com'],
  matchedBy: `mail=${BOB}`,
  status: [],
  moving: false,
  calendar: true,
  marker: 'north',
};

export const REQUEST: SchedulingObject = {
  method: 'REQUEST',
  component: 'VEVENT',
  uid: 'review-1@example.org',
  organizer: user(OLGA),
  attendees: [user(BOB)],
  instances: [{ recurrenceId: '', sequence: 1, dtstamp: '20300301T080000Z' }],
  content: Buffer.from('BEGIN:VCALENDAR\r\n'),
  digest: 'd1',
  repairs: [],
};

/** Olga answers Bob's own meeting. */
export const REPLY: SchedulingObject = {
  ...REQUEST,
  method: 'REPLY',
  uid: 'planning-1@example.com',
  organizer: user(BOB),
  attendees: [{ ...user(OLGA), partstat: 'ACCEPTED' }],
};

/** That {@link REQUEST} was posted to Bob. */
export const ROW: LedgerRow = {
  user: BOB,
  uid: REQUEST.uid,
  recurrenceId: '',
  author: OLGA,
  organizer: OLGA,
  sequence: 1,
  dtstamp: '20300301T080000Z',
  digest: 'd1',
  usedAt: 0,
};

export const POLICY: Policy = {
  domains: new Set(['example.com']),
  subAddressSeparators: '+',
  homes: { marker: 'davStore', backEnds: new Map([['north', NORTH]]), domainMap: [] },
  catchAll: 'mail',
};

export const QUESTION: Question = {
  mode: 'filter',
  origin: 'outside',
  recipient: BOB,
  examination: { kind: 'object', object: REQUEST },
  lookup: found(ENTRY),
  ledger: [],
};

export function user(mailbox: string): { readonly uri: string; readonly mailbox: string } {
  return { uri: `mailto:${mailbox}`, mailbox };
}

export function found(first: Entry, ...more: readonly Entry[]): NonNullable<Question['lookup']> {
  return { kind: 'found', entries: [first, ...more], server: 'directory.example.com' };
}

export function entry(change: Partial<Entry>): NonNullable<Question['lookup']> {
  return found({ ...ENTRY, ...change });
}

export function object(change: Partial<SchedulingObject>): Question['examination'] {
  return { kind: 'object', object: { ...REQUEST, ...change } };
}
