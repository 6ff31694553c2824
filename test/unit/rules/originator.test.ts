import { describe, expect, test } from 'vitest';
import { type AuthorVerdict, judgeAuthor } from '../../../rules/originator.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import type { LedgerRow, Origin } from '../../../src/queue/store.ts';
import { BOB, OLGA, REPLY, REQUEST, ROW, user } from './samples.ts';

const OURS = new Set(['example.com']);
const ACCEPTED: AuthorVerdict = { rule: 'author-accepted' };
const ANNA = 'anna@example.com';

const organizerIsOurs: AuthorVerdict = {
  rule: 'author-is-ours',
  reason: 'the ORGANIZER is of our own domain example.com, the message came from outside',
};
const attendeeIsOurs: AuthorVerdict = {
  rule: 'author-is-ours',
  reason: 'the ATTENDEE is of our own domain example.com, the message came from outside',
};
const anotherOrganizer: AuthorVerdict = {
  rule: 'another-organizer',
  reason: `this UID was posted before for another organizer, ${OLGA}`,
};

const byAnna = { organizer: user(ANNA) };
const byMallory = { organizer: user('mallory@example.net') };
const replyOfAnna = { attendees: [user(ANNA)] };

type Row = readonly [
  title: string,
  origin: Origin,
  object: SchedulingObject,
  rows: readonly LedgerRow[],
  verdict: AuthorVerdict,
];

const table: readonly Row[] = [
  ['an organizer of outside invites', 'outside', REQUEST, [], ACCEPTED],
  ['an attendee of outside answers', 'outside', REPLY, [], ACCEPTED],
  ['our own organizer may not come from outside', 'outside', { ...REQUEST, ...byAnna }, [], organizerIsOurs],
  [
    'nor with his domain in capitals',
    'outside',
    { ...REQUEST, organizer: user('Anna@EXAMPLE.COM') },
    [],
    organizerIsOurs,
  ],
  ['nor cancel from there', 'outside', { ...REQUEST, ...byAnna, method: 'CANCEL' }, [], organizerIsOurs],
  ['nor add from there', 'outside', { ...REQUEST, ...byAnna, method: 'ADD' }, [], organizerIsOurs],
  [
    'nor decline a counter from there',
    'outside',
    { ...REQUEST, ...byAnna, method: 'DECLINECOUNTER' },
    [],
    organizerIsOurs,
  ],
  ['our own attendee may not answer from outside', 'outside', { ...REPLY, ...replyOfAnna }, [], attendeeIsOurs],
  ['nor counter from there', 'outside', { ...REPLY, ...replyOfAnna, method: 'COUNTER' }, [], attendeeIsOurs],
  ['nor ask again from there', 'outside', { ...REPLY, ...replyOfAnna, method: 'REFRESH' }, [], attendeeIsOurs],
  ['the organizer of ours is no author of a REPLY', 'outside', { ...REPLY, organizer: user(BOB) }, [], ACCEPTED],
  ['a subdomain of ours is not ours', 'outside', { ...REQUEST, organizer: user('x@sub.example.com') }, [], ACCEPTED],
  ['our own organizer may come from inside', 'inside', { ...REQUEST, ...byAnna }, [], ACCEPTED],
  ['our own attendee may answer from inside', 'inside', { ...REPLY, ...replyOfAnna }, [], ACCEPTED],
  ['the organizer who was posted before updates', 'outside', REQUEST, [ROW], ACCEPTED],
  ['and in another spelling', 'outside', { ...REQUEST, organizer: user('Olga@Example.ORG') }, [ROW], ACCEPTED],
  [
    'the organizer who was posted before updates, whomever a REPLY named since',
    'outside',
    REQUEST,
    [ROW, { ...ROW, author: 'mallory@example.net', organizer: BOB }],
    ACCEPTED,
  ],
  [
    'another organizer may not update what only REPLYs are known of',
    'outside',
    { ...REQUEST, ...byMallory },
    [{ ...ROW, author: 'mallory@example.net' }],
    anotherOrganizer,
  ],
  ['another organizer may not update', 'outside', { ...REQUEST, ...byMallory }, [ROW], anotherOrganizer],
  ['nor cancel', 'outside', { ...REQUEST, ...byMallory, method: 'CANCEL' }, [ROW], anotherOrganizer],
  [
    'nor when only one instance of the meeting was posted',
    'outside',
    { ...REQUEST, ...byMallory },
    [{ ...ROW, recurrenceId: '20300302T080000Z' }],
    anotherOrganizer,
  ],
  [
    'nor when an answer named the organizer',
    'outside',
    { ...REQUEST, ...byMallory },
    [{ ...ROW, author: 'petra@example.net' }],
    anotherOrganizer,
  ],
  [
    'an answer without ORGANIZER says nothing about who may update',
    'outside',
    { ...REQUEST, ...byMallory },
    [{ ...ROW, author: 'petra@example.net', organizer: '' }],
    ACCEPTED,
  ],
  [
    'an answer that names another organizer does not shut out the one who was posted before',
    'outside',
    REQUEST,
    [{ ...ROW, author: 'mallory@example.net', organizer: 'mallory2@example.net' }, ROW],
    ACCEPTED,
  ],
  [
    'nor does it let that other one in',
    'outside',
    { ...REQUEST, ...byMallory },
    [{ ...ROW, author: 'petra@example.net', organizer: 'mallory@example.net' }, ROW],
    anotherOrganizer,
  ],
  ['another organizer from inside is let through', 'inside', { ...REQUEST, ...byMallory }, [ROW], ACCEPTED],
  ['an attendee answers, whoever the organizer was', 'outside', REPLY, [ROW], ACCEPTED],
  ['our own domain is looked at before the ledger', 'outside', { ...REQUEST, ...byAnna }, [ROW], organizerIsOurs],
];

describe('whether its author may say this', () => {
  for (const [title, origin, object, rows, verdict] of table) {
    test(title, () => expect(judgeAuthor(object, origin, OURS, rows)).toEqual(verdict));
  }

  for (const origin of ['outside', 'inside'] as const) {
    test(`an ORGANIZER that is no mailto: may not, from ${origin}`, () => {
      const object: SchedulingObject = { ...REQUEST, organizer: { uri: 'urn:uuid:1c9f3a' } };
      expect(judgeAuthor(object, origin, OURS, [])).toEqual({
        rule: 'author-not-mailto',
        reason: 'the ORGANIZER is no mailto: address (RFC 6047 section 2.1)',
      });
    });

    test(`a replying ATTENDEE that is no mailto: may not, from ${origin}`, () => {
      const object: SchedulingObject = { ...REPLY, attendees: [{ uri: '/principals/olga' }] };
      expect(judgeAuthor(object, origin, OURS, [])).toEqual({
        rule: 'author-not-mailto',
        reason: 'the ATTENDEE is no mailto: address (RFC 6047 section 2.1)',
      });
    });
  }
});
