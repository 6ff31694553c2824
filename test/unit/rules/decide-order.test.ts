import { describe, expect, test } from 'vitest';
import { decide, type Policy, type Question, userOf } from '../../../rules/decide.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import type { ProfileName } from '../../../src/mail/disposition.ts';
import { MODES, type Mode } from '../../../src/queue/store.ts';
import { BOB, ENTRY, entry, found, NORTH, object, POLICY, QUESTION, REQUEST, ROW, user } from './samples.ts';

const OUTSIDER = 'petra@example.net';
const profiled = (profile: ProfileName): Policy => ({
  ...POLICY,
  homes: { ...POLICY.homes, backEnds: new Map([['north', { ...NORTH, profile }]]) },
});

/** One thing that settles a question, in the order of the questions. Any two can be true of one message. */
type Cause = {
  readonly rule: string;
  readonly entry?: Partial<typeof ENTRY>;
  readonly object?: Partial<SchedulingObject>;
  readonly none?: true;
  readonly known?: typeof ROW;
  readonly profile?: ProfileName;
};

const causes: readonly Cause[] = [
  { rule: 'nothing-to-schedule', none: true },
  { rule: 'disabled', entry: { status: [{ scope: 'user', attribute: 'inetUserStatus', value: 'deleted' }] } },
  { rule: 'moving', entry: { moving: true } },
  { rule: 'author-is-ours', object: { organizer: user('anna@example.com') } },
  { rule: 'not-attendee', object: { attendees: [user('anna@example.com')] } },
  { rule: 'stale', known: { ...ROW, sequence: 9 } },
  { rule: 'marker-unknown', entry: { marker: 'nowhere' } },
  { rule: 'by-mail', profile: 'oracle-v6' },
];

describe('of two questions that settle it, the earlier one does', () => {
  for (const [index, earlier] of causes.entries()) {
    for (const later of causes.slice(index + 1)) {
      for (const mode of MODES) {
        test(`${earlier.rule} before ${later.rule} (${mode})`, () => {
          expect(decide(...both(earlier, later, mode)).rule).toBe(earlier.rule);
        });
      }
    }
  }
});

function both(a: Cause, b: Cause, mode: Mode): [Question, Policy] {
  const examined = object({ ...a.object, ...b.object });
  const question: Question = {
    ...QUESTION,
    mode,
    lookup: entry({ ...a.entry, ...b.entry }),
    examination:
      a.none === true || b.none === true ? { kind: 'none', reason: 'no calendar part', calendar: false } : examined,
    ledger: [a.known, b.known].filter((row) => row !== undefined),
  };
  return [question, profiled(a.profile ?? b.profile ?? 'generic')];
}

describe('what `imipd explain` prints', () => {
  test('has every question with its answer, when all were asked', () => {
    expect(decide(QUESTION, POLICY).steps).toEqual([
      { question: 'Is there something to schedule?', answer: 'yes: REQUEST of VEVENT review-1@example.org' },
      { question: 'Whose recipient is it?', answer: 'uid=bob,o=example.com, by mail=bob@example.com' },
      { question: 'Is the user being moved?', answer: 'no' },
      { question: 'May its author say this?', answer: 'yes' },
      { question: 'Is the recipient meant?', answer: 'yes, as bob@example.com' },
      { question: 'Is it news?', answer: 'yes' },
      { question: 'Which home server?', answer: 'https://north.example.com/ischedule, because davStore is north' },
      { question: 'What does that server take?', answer: 'profile cyrus: REQUEST, REPLY, CANCEL' },
    ]);
  });

  test('ends with the question that settled it', () => {
    const question = { ...QUESTION, examination: object({ organizer: user('anna@example.com') }) };
    expect(decide(question, POLICY).steps).toEqual([
      { question: 'Is there something to schedule?', answer: 'yes: REQUEST of VEVENT review-1@example.org' },
      { question: 'Whose recipient is it?', answer: 'uid=bob,o=example.com, by mail=bob@example.com' },
      { question: 'Is the user being moved?', answer: 'no' },
      {
        question: 'May its author say this?',
        answer: 'no: the ORGANIZER is of our own domain example.com, the message came from outside',
      },
    ]);
  });

  test('names both entries of an ambiguous address', () => {
    const lookup = found(ENTRY, { ...ENTRY, dn: 'uid=bob2,o=example.com' });
    expect(decide({ ...QUESTION, lookup }, POLICY).steps.at(-1)).toEqual({
      question: 'Whose recipient is it?',
      answer: '2 entries have this address: uid=bob,o=example.com | uid=bob2,o=example.com',
    });
  });

  test('says of an outsider that he is none of ours', () => {
    const { lookup: _, ...rest } = QUESTION;
    const question = { ...rest, recipient: OUTSIDER, examination: object({ attendees: [user(OUTSIDER)] }) };
    expect(decide(question, POLICY).steps).toEqual([
      { question: 'Is there something to schedule?', answer: 'yes: REQUEST of VEVENT review-1@example.org' },
      { question: 'Whose recipient is it?', answer: 'of no domain of ours' },
      { question: 'Is the user being moved?', answer: 'not ours' },
      { question: 'May its author say this?', answer: 'yes' },
      { question: 'Is the recipient meant?', answer: `yes, as ${OUTSIDER}` },
      { question: 'Is it news?', answer: 'yes' },
      { question: 'Which home server?', answer: 'none: the recipient is of no domain of ours' },
    ]);
  });
});

describe('several components in one message', () => {
  const second = { recurrenceId: '20300302T100000Z', sequence: 1, dtstamp: '20300301T080000Z' };

  test('are posted when one of them is news', () => {
    const examination = object({ instances: [...REQUEST.instances, second] });
    expect(decide({ ...QUESTION, examination, ledger: [ROW] }, POLICY).rule).toBe('post');
  });

  test('are a duplicate when all of them were posted', () => {
    const examination = object({ instances: [...REQUEST.instances, second] });
    const ledger = [ROW, { ...ROW, recurrenceId: second.recurrenceId }];
    expect(decide({ ...QUESTION, examination, ledger }, POLICY).rule).toBe('duplicate');
  });
});

describe('whom the ledger knows a recipient as', () => {
  const lower = { ...ENTRY, mail: 'Bob@example.com' };
  const cases: readonly [title: string, recipient: string, lookup: Question['lookup'], user: string | undefined][] = [
    ['one of ours by alias is his primary address', 'b.brown@example.com', found(ENTRY), BOB],
    ['one of ours by sub-address is his primary address', 'bob+work@example.com', found(ENTRY), BOB],
    ['a primary address is in lower case', BOB, found(lower), BOB],
    ['one of ours is nobody while the directory is silent', BOB, { kind: 'no-answer', reason: 'down' }, undefined],
    ['one of ours whom nobody knows is nobody', BOB, { kind: 'unknown', server: 'directory' }, undefined],
    ['an outsider is his own address', 'Petra@Example.NET', undefined, 'petra@example.net'],
  ];
  for (const [title, recipient, lookup, known] of cases) {
    test(title, () => expect(userOf(recipient, lookup, POLICY)).toBe(known));
  }
});
