import { describe, expect, test } from 'vitest';
import { adapt } from '../../../rules/adapt.ts';
import { decide, type Policy, type Question } from '../../../rules/decide.ts';
import { METHODS, type Method, type SchedulingObject } from '../../../src/itip/message.ts';
import { type Disposition, PROFILE_NAMES, type ProfileName } from '../../../src/mail/disposition.ts';
import type { Mode } from '../../../src/queue/store.ts';
import { calendar, event } from '../itip/samples.ts';
import { BOB, NORTH, OLGA, object, POLICY, QUESTION, REPLY, REQUEST, ROW, user } from './samples.ts';

const SECOND = '20300308T100000Z';
const THIRD = '20300315T100000Z';
const ofInstance = (recurrenceId: string): Partial<SchedulingObject> => ({
  instances: [{ recurrenceId, sequence: 1, dtstamp: '20300301T090000Z' }],
});
const ADD: SchedulingObject = { ...REQUEST, method: 'ADD', content: Buffer.from(calendar('ADD', ...event())) };
const RULE = event({ SEQUENCE: ['SEQUENCE:1', 'RRULE:FREQ=DAILY;COUNT=2'] });

/** `carry`, the name of the transformation, or the rule by which it is not posted. */
function outcome(changed: SchedulingObject, profile: ProfileName, ledger: Question['ledger'] = []): string {
  const adaptation = adapt(changed, profile, ledger);
  if (adaptation.kind === 'carry') return 'carry';
  return adaptation.kind === 'transform' ? adaptation.transformation : adaptation.rule;
}

/** What the profiles differ in. */
const TABLE: readonly (readonly [
  shape: string,
  object: SchedulingObject,
  outcomes: Partial<Record<ProfileName, string>> & { readonly others: string },
])[] = [
  ['REQUEST of a series', REQUEST, { others: 'carry' }],
  ['REQUEST of one instance', { ...REQUEST, ...ofInstance(SECOND) }, { others: 'carry' }],
  ['CANCEL of a series', { ...REQUEST, method: 'CANCEL' }, { others: 'carry' }],
  ['CANCEL of one instance', { ...REQUEST, method: 'CANCEL', ...ofInstance(SECOND) }, { others: 'carry' }],
  ['REPLY for one instance', { ...REPLY, ...ofInstance(SECOND) }, { others: 'carry' }],
  [
    'REQUEST of this and future instances',
    { ...REQUEST, ...ofInstance(`${SECOND};RANGE=THISANDFUTURE`) },
    { others: 'range-not-taken', davical: 'carry' },
  ],
  [
    'CANCEL of this and future instances',
    { ...REQUEST, method: 'CANCEL', ...ofInstance(`TZID=Europe/Berlin;${SECOND};RANGE=THISANDFUTURE`) },
    { others: 'range-not-taken', davical: 'carry' },
  ],
  [
    'REPLY for this and future instances',
    { ...REPLY, ...ofInstance(`${SECOND};RANGE=THISANDFUTURE`) },
    { others: 'range-not-taken', davical: 'carry' },
  ],
  ['ADD of one instance', ADD, { others: 'method-not-taken', cyrus: 'add-as-request' }],
  ['ADD by a rule', { ...ADD, content: Buffer.from(calendar('ADD', ...RULE)) }, { others: 'method-not-taken' }],
  ['COUNTER', { ...REPLY, method: 'COUNTER' }, { others: 'method-not-taken' }],
  ['REFRESH', { ...REPLY, method: 'REFRESH' }, { others: 'method-not-taken' }],
  ['DECLINECOUNTER', { ...REQUEST, method: 'DECLINECOUNTER' }, { others: 'method-not-taken' }],
];

describe('what becomes of it, by profile', () => {
  for (const [shape, changed, { others, ...differing }] of TABLE) {
    for (const profile of PROFILE_NAMES) {
      const wanted = profile === 'oracle-v6' ? 'by-mail' : (differing[profile] ?? others);
      test(`${shape} for ${profile}: ${wanted}`, () => expect(outcome(changed, profile)).toBe(wanted));
    }
  }
});

describe('a server that keeps one message per UID (davical)', () => {
  const instance = { ...REQUEST, ...ofInstance(SECOND) };
  const cases: readonly [title: string, object: SchedulingObject, ledger: Question['ledger'], wanted: string][] = [
    ['an instance does not replace its series', instance, [ROW], 'replaces-series'],
    ['nor does its CANCEL', { ...instance, method: 'CANCEL' }, [ROW], 'replaces-series'],
    ['nor another instance', instance, [{ ...ROW, recurrenceId: THIRD }], 'replaces-series'],
    ['an instance replaces what was said of itself', instance, [{ ...ROW, recurrenceId: SECOND }], 'carry'],
    ['an instance of which nothing was posted is posted', instance, [], 'carry'],
    ['what another author said of the UID is not its series', instance, [{ ...ROW, author: 'x@example.org' }], 'carry'],
    ['a series replaces its instances', REQUEST, [{ ...ROW, recurrenceId: THIRD }], 'carry'],
    [
      'an answer for an instance is no word of the organizer',
      { ...REPLY, ...ofInstance(SECOND) },
      [{ ...ROW, author: OLGA }],
      'carry',
    ],
  ];
  test.each(cases)('%s', (_, changed, ledger, wanted) => expect(outcome(changed, 'davical', ledger)).toBe(wanted));

  test('is told apart from one that merges', () => expect(outcome(instance, 'cyrus', [ROW])).toBe('carry'));
});

describe('a decision', () => {
  const policy = (profile: ProfileName): Policy => ({
    ...POLICY,
    homes: { ...POLICY.homes, backEnds: new Map([['north', { ...NORTH, profile }]]) },
  });
  const server = { ...NORTH, profile: 'cyrus' as const };
  const reason = 'profile cyrus applies RANGE=THISANDFUTURE to one instance and leaves those after it';
  const ranged = object(ofInstance(`${SECOND};RANGE=THISANDFUTURE`));
  const cases: readonly [mode: Mode, Disposition][] = [
    ['filter', { kind: 'none', reason }],
    ['copy', { kind: 'none', reason }],
    ['relay', { kind: 'mail', reason }],
    ['final', { kind: 'reject', status: '5.6.0', reason }],
  ];
  test.each(cases)('in %s says what becomes of what the server would misread', (mode, post) => {
    expect(decide({ ...QUESTION, mode, examination: ranged }, policy('cyrus'))).toMatchObject({
      rule: 'range-not-taken',
      post,
      annotate: true,
    });
  });

  test('names the form that is posted, and why', () => {
    const decision = decide({ ...QUESTION, examination: { kind: 'object', object: ADD } }, policy('cyrus'));
    expect(decision).toMatchObject({ rule: 'post', post: { kind: 'post', server, transformation: 'add-as-request' } });
    expect(decision.steps.at(-1)).toEqual({
      question: 'What does that server take?',
      answer: 'profile cyrus: REQUEST, REPLY, CANCEL; ADD as the REQUEST of an instance',
    });
  });

  describe('about a REQUEST by which an attendee hands on', () => {
    const handed = (organizer: string): SchedulingObject => ({
      ...REQUEST,
      organizer: user(organizer),
      attendees: [{ ...user('carol@example.net'), partstat: 'DELEGATED' }, user(BOB)],
    });
    const cases: readonly [title: string, Partial<Question>, organizer: string, rule: string][] = [
      ['gives it to the delegate’s calendar', {}, OLGA, 'post'],
      ['gives only the mail where one of ours is its ORGANIZER', {}, 'anna@example.com', 'author-is-ours'],
      ['gives its ORGANIZER nothing: it would be his whole event', { origin: 'inside' }, BOB, 'own-organizer'],
    ];
    test.each(cases)('%s', (_, more, organizer, rule) => {
      const examination = { kind: 'object', object: handed(organizer) } as const;
      expect(decide({ ...QUESTION, ...more, examination }, policy('cyrus')).rule).toBe(rule);
    });
  });

  test('has a reason for each method that is not posted', () => {
    const others: readonly Method[] = METHODS.filter(
      (method) => !['REQUEST', 'REPLY', 'CANCEL', 'ADD'].includes(method),
    );
    for (const method of others)
      expect(adapt({ ...REQUEST, method }, 'cyrus', [])).toMatchObject({
        reason: `profile cyrus does not take ${method}`,
      });
  });

  test('what a server is configured to take is posted to it, and nothing else', () => {
    const taken = (method: Method) => adapt({ ...REQUEST, method }, 'generic', [], ['REQUEST', 'COUNTER']);
    expect(taken('COUNTER')).toEqual({ kind: 'carry', answer: 'profile generic: REQUEST, COUNTER, as configured' });
    expect(taken('CANCEL')).toMatchObject({ kind: 'mail', rule: 'method-not-taken' });
  });

  test('a COUNTER is posted to an organizer whose server takes it', () => {
    const examination = { kind: 'object', object: { ...REPLY, method: 'COUNTER' } } as const;
    const methodsAt = (url: string) => (url === NORTH.url ? (['REQUEST', 'COUNTER'] as const) : undefined);
    expect(decide({ ...QUESTION, examination }, POLICY).rule).toBe('method-not-taken');
    expect(decide({ ...QUESTION, examination }, { ...POLICY, methodsAt }).rule).toBe('post');
  });
});
