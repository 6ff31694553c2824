import { describe, expect, test } from 'vitest';
import { type AnswerMail, answeredBy, asPosted, type Correlation, correlate } from '../../../rules/correlate.ts';
import type { CalendarUser } from '../../../src/itip/message.ts';
import type { Sending } from '../../../src/queue/store.ts';
import { BOB, OLGA, REPLY, user } from './samples.ts';

/** Bob invited these. */
const ATTENDEES = [OLGA, 'Paul@example.net', 'staff@lists.example.net', 'quinn+work@example.net', 'ruth+a@example.net'];
const INVITED = [...ATTENDEES, 'ruth+b@example.net'];

const sending = (attendee: string, messageId: string, sentTo = attendee): Sending => ({
  token: `${attendee}-${messageId}`,
  uid: REPLY.uid,
  recurrenceIds: [''],
  method: 'REQUEST',
  attendee,
  organizer: BOB,
  sentTo,
  reversePath: BOB,
  messageId,
  queueId: 'A1',
  sentAt: 0,
  keepUntil: 1,
});
const SENDINGS = [
  sending(OLGA, 'to-olga@example.com'),
  sending('paul@example.net', 'to-paul@example.com', 'paul@mail.example.net'),
  sending('quinn+work@example.net', 'to-both@example.com'),
  sending('paul@example.net', 'to-both@example.com', 'paul@mail.example.net'),
  sending('quinn+work@example.net', 'to-quinn@example.com', 'office@example.net'),
  sending('ruth+a@example.net', 'to-ruth@example.com', 'office@example.net'),
  sending('blind@example.net', 'to-blind@example.com'),
  sending('ruth+b@example.net', ''),
];
const REMEMBERED = {
  meeting: {
    uid: REPLY.uid,
    organizer: BOB,
    attendees: INVITED.map((address) => ({ address })),
    told: {},
    keepUntil: 1,
  },
  sendings: SENDINGS,
};

const ask = (attendee: CalendarUser, mail: AnswerMail = {}): Correlation =>
  correlate({ ...REPLY, attendees: [attendee] }, REMEMBERED, mail, '+');
const invited = (attendee: string, evidence: string) => ({ kind: 'invited', attendee, organizer: BOB, evidence });
const never = (attendee: string, why: string) => ({
  kind: 'never-invited',
  organizer: BOB,
  reason: `${attendee} was not invited: ${why}`,
});
const NOTHING = 'neither his address nor what the mail answers is that of anybody invited';
const ALIAS = 'o.olsen@example.org';

type Row = readonly [title: string, attendee: CalendarUser, mail: AnswerMail, expected: unknown];
const table: readonly Row[] = [
  ['he was invited by his address', user(OLGA), {}, invited(OLGA, 'attendee')],
  ['in whatever case', user('PAUL@Example.NET'), {}, invited('Paul@example.net', 'attendee')],
  ['the EMAIL parameter is his address', { ...user(ALIAS), email: 'olga@example.org' }, {}, invited(OLGA, 'email')],
  ['the EMAIL parameter is his URI', { ...user(ALIAS), email: 'mailto:olga@example.org' }, {}, invited(OLGA, 'email')],
  ['he answers from a sub-address', user('olga+cal@example.org'), {}, invited(OLGA, 'sub-address')],
  ['he was invited by a sub-address', user('quinn@example.net'), {}, invited('quinn+work@example.net', 'sub-address')],
  [
    'he was invited by two sub-addresses, and nobody can say which is meant',
    user('ruth@example.net'),
    {},
    never('ruth@example.net', 'he may be any of ruth+a@example.net, ruth+b@example.net'),
  ],
  ['one sub-address is not another', user('quinn+home@example.net'), {}, never('quinn+home@example.net', NOTHING)],
  ['the same local part elsewhere is somebody else', user('olga@example.net'), {}, never('olga@example.net', NOTHING)],
  [
    'he is a member of an invited list, and speaks for himself',
    { ...user('mia@example.net'), member: ['mailto:other@example.net', 'mailto:Staff@lists.example.net'] },
    {},
    invited('mia@example.net', 'list-member'),
  ],
  [
    'a member of a list that nobody invited',
    { ...user('mia@example.net'), member: ['mailto:other@example.net'] },
    {},
    never('mia@example.net', NOTHING),
  ],
  [
    'somebody invited has sent him, and he speaks for himself',
    { ...user('dan@example.net'), delegatedFrom: ['mailto:olga@example.org'] },
    {},
    invited('dan@example.net', 'delegated'),
  ],
  [
    'a delegate of nobody',
    { ...user('dan@example.net'), delegatedFrom: ['mailto:eve@example.net'] },
    {},
    never('dan@example.net', NOTHING),
  ],
  [
    'he answers the very mail that went to one',
    user(ALIAS),
    { references: ['to-olga@example.com', 'older@example.com'] },
    invited(OLGA, 'in-reply-to'),
  ],
  [
    'what he answers is a mail of somebody who forwarded the invitation',
    user('eve@example.net'),
    { from: 'eve@example.net', references: ['forward@example.org', 'to-olga@example.com'] },
    never('eve@example.net', NOTHING),
  ],
  [
    'he answers a mail that went to two',
    user(ALIAS),
    { references: ['to-both@example.com'] },
    never(ALIAS, 'he may be any of quinn+work@example.net, Paul@example.net'),
  ],
  [
    'he answers a mail that went to two, and wrote from where it reached one of them',
    user(ALIAS),
    { from: 'paul@mail.example.net', references: ['to-both@example.com'] },
    invited('Paul@example.net', 'sent-to'),
  ],
  [
    'his address is where the invitation went',
    user('Paul@mail.example.net'),
    {},
    invited('Paul@example.net', 'sent-to'),
  ],
  [
    'he wrote from where the invitation went',
    user('pp@example.test'),
    { from: 'paul@mail.example.net' },
    invited('Paul@example.net', 'sent-to'),
  ],
  ['he wrote from the address that was invited', user(ALIAS), { from: OLGA }, invited(OLGA, 'sent-to')],
  [
    'he wrote from where the invitations of two went',
    user(ALIAS),
    { from: 'office@example.net' },
    never(ALIAS, 'he may be any of quinn+work@example.net, ruth+a@example.net'),
  ],
  [
    'where the invitations of two went, what he answers tells which',
    user(ALIAS),
    { from: 'office@example.net', references: ['to-ruth@example.com'] },
    invited('ruth+a@example.net', 'in-reply-to'),
  ],
  [
    'somebody invited writes for an unknown one, about the invitation of a third',
    user(ALIAS),
    { from: OLGA, references: ['to-paul@example.com'] },
    never(ALIAS, `the mail answers one to Paul@example.net, and its author is ${OLGA}`),
  ],
  [
    'what somebody invited says counts for himself, whatever his mail answers and wherever it comes from',
    user(OLGA),
    { from: 'paul@mail.example.net', references: ['to-paul@example.com'] },
    invited(OLGA, 'attendee'),
  ],
  [
    'what somebody invited says counts for himself, whatever his parameters claim',
    { ...user(OLGA), email: 'paul@example.net', delegatedFrom: ['mailto:paul@example.net'] },
    {},
    invited(OLGA, 'attendee'),
  ],
  [
    'a copy that went to somebody whom the object does not name invites nobody',
    user('blind@example.net'),
    { from: 'blind@example.net', references: ['to-blind@example.com'] },
    never('blind@example.net', NOTHING),
  ],
  ['an invitation without Message-ID is answered by no mail', user(ALIAS), { references: [''] }, never(ALIAS, NOTHING)],
  ['nothing speaks for him', user('eve@example.net'), { from: 'eve@example.net' }, never('eve@example.net', NOTHING)],
  [
    'he is no mailbox',
    { uri: 'urn:uuid:1' },
    { from: OLGA },
    { kind: 'never-invited', organizer: BOB, reason: 'the ATTENDEE of the REPLY is no mailto: address' },
  ],
];

describe('an answer to a meeting that the journal holds', () => {
  test.each(table)('%s', (_, attendee, mail, expected) => {
    expect(ask(attendee, mail)).toEqual(expected);
  });
});

test('an answer to a meeting that it does not hold is to an unknown UID', () => {
  expect(correlate(REPLY, undefined, { from: OLGA }, '+')).toEqual({ kind: 'unknown-uid' });
});

describe('what is posted', () => {
  const { organizer: _, ...lacking } = REPLY;

  test('has the ORGANIZER it lacked and the ATTENDEE that was invited, with his parameters', () => {
    const found = asPosted(lacking, { organizer: BOB, author: { from: OLGA, to: 'o@example.org' } });
    expect(found).toEqual({ ...REPLY, attendees: [{ ...user('o@example.org'), partstat: 'ACCEPTED' }] });
  });

  test('keeps the ORGANIZER it has', () => {
    expect(asPosted(REPLY, { organizer: 'other@example.com' })).toEqual(REPLY);
  });
});

describe('what the journal learns', () => {
  const answered = { uid: REPLY.uid, organizer: BOB, attendee: OLGA };

  test('of a REPLY is the PARTSTAT', () => {
    expect(answeredBy(REPLY)).toEqual({ ...answered, partstat: 'ACCEPTED' });
  });

  test('of one to a single instance is only that he spoke', () => {
    const instances = [{ recurrenceId: '20300301T080000Z', sequence: 1, dtstamp: '' }];
    expect(answeredBy({ ...REPLY, instances })).toEqual(answered);
  });

  test('of a delegator is whom he sends', () => {
    const attendees = [{ ...user(OLGA), partstat: 'DELEGATED', delegatedTo: ['mailto:dan@example.net', 'urn:x'] }];
    expect(answeredBy({ ...REPLY, attendees })).toEqual({
      ...answered,
      partstat: 'DELEGATED',
      delegates: ['dan@example.net'],
    });
  });

  test('of a COUNTER is nothing', () => {
    expect(answeredBy({ ...REPLY, method: 'COUNTER' })).toBeUndefined();
  });
});
