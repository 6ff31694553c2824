import { describe, expect, test } from 'vitest';
import {
  answerFor,
  type DeliveryFacts,
  judgeRequestStatus,
  parseRequestStatus,
  type StatusAnswer,
} from '../../../rules/request-status.ts';
import type { Disposition } from '../../../src/mail/disposition.ts';
import type { PermanentStatus } from '../../../src/mail/status.ts';

describe('parseRequestStatus', () => {
  test.each([
    ['2.0;Success', { code: '2.0', description: 'Success' }],
    ['3.7;Invalid calendar user;ATTENDEE:mailto:a@example.com', { code: '3.7', description: 'Invalid calendar user' }],
    ['3.7', { code: '3.7', description: '' }],
    [' 2.8.1 ; Success ', { code: '2.8.1', description: 'Success' }],
    ['', undefined],
    ['Success', undefined],
    ['2', undefined],
    ['2.0 Success', undefined],
    ['2.0.0.0;x', undefined],
    ['-2.0;x', undefined],
  ])('%j is read as %j', (text, expected) => {
    expect(parseRequestStatus(text)).toEqual(expected);
  });
});

describe('judgeRequestStatus', () => {
  test.each([
    ['1.0', 'delivered', '2.0.0'],
    ['1.2', 'delivered', '2.0.0'],
    ['2.0', 'delivered', '2.0.0'],
    ['2.11', 'delivered', '2.0.0'],
    ['2.0.1', 'delivered', '2.0.0'],
    ['3.0', 'failed', '5.6.0'],
    ['3.7', 'failed', '5.1.1'],
    ['3.7.1', 'failed', '5.1.1'],
    ['3.8', 'failed', '5.7.1'],
    ['3.10', 'failed', '5.3.4'],
    ['3.14', 'failed', '5.6.0'],
    ['4.0', 'failed', '5.2.0'],
    ['4.2', 'failed', '5.7.1'],
    ['5.0', 'failed', '5.3.3'],
    ['5.1', 'deferred', '4.3.2'],
    ['5.2', 'failed', '5.3.0'],
    ['5.3', 'failed', '5.2.1'],
  ])('%s is %s with %s', (code, kind, status) => {
    expect(judgeRequestStatus(code)).toMatchObject({ kind, status });
  });

  test.each(['5.4', '5.10', '0.0', '6.0', '9.9'])('%s means nothing', (code) => {
    expect(judgeRequestStatus(code)).toBeUndefined();
  });
});

describe('what a recipient of a post is answered', () => {
  const POST = { kind: 'post' } as const;
  const decided = (rule: string, post: Disposition) => ({ decision: { rule, post } });
  const failed = (status: PermanentStatus, requestStatus?: string): DeliveryFacts => ({
    ...POST,
    state: 'failed',
    outcome: { kind: 'failed', status, reason: 'the server said no', ...(requestStatus ? { requestStatus } : {}) },
  });
  const rejected = (status: PermanentStatus, rule = 'a-rule'): DeliveryFacts => ({
    ...failed(status),
    ...decided(rule, { kind: 'reject', status, reason: 'ou=secret,o=example.com' }),
  });
  const deferred = { kind: 'deferred', status: '4.4.1', reason: 'no connection' } as const;
  const delivered = (requestStatus?: string): DeliveryFacts => ({
    ...POST,
    state: 'delivered',
    outcome: {
      kind: 'delivered',
      status: '2.0.0',
      reason: 'the calendar server took it',
      ...(requestStatus ? { requestStatus } : {}),
    },
  });
  const silent: Disposition = { kind: 'defer', status: '4.3.5', reason: 'davStore is nowhere' };

  const table: readonly (readonly [title: string, facts: DeliveryFacts, expected: StatusAnswer])[] = [
    [
      'queued is pending',
      { ...POST, state: 'queued' },
      { code: '1.0', description: 'Pending', detail: 'It is queued here.' },
    ],
    [
      'deferred is pending, with what its server did',
      { ...POST, state: 'queued', outcome: deferred },
      { code: '1.0', description: 'Pending', detail: 'It will be tried again: no connection.' },
    ],
    [
      'deferred by a rule is pending, without our settings',
      { ...POST, state: 'queued', outcome: deferred, ...decided('marker-unknown', silent) },
      { code: '1.0', description: 'Pending', detail: 'It will be tried again.' },
    ],
    [
      'held for a move is pending',
      { ...POST, state: 'held', ...decided('moving', { kind: 'hold', reason: 'moving' }) },
      {
        code: '1.0',
        description: 'Pending',
        detail: 'It waits until the user has been moved to another calendar server.',
      },
    ],
    [
      'held for a person is pending',
      { ...POST, state: 'held', ...decided('ambiguous', { kind: 'hold', reason: 'ambiguous' }) },
      { code: '1.0', description: 'Pending', detail: 'It is held for an administrator to look at.' },
    ],
    ['posted is success', delivered(), { code: '2.0', description: 'Success' }],
    ['posted with 2.0 is that', delivered('2.0'), { code: '2.0', description: 'Success' }],
    ['posted with 2.8 is that', delivered('2.8'), { code: '2.8', description: 'Success' }],
    ['posted with 1.2 is that', delivered('1.2'), { code: '1.2', description: 'Delivered' }],
    [
      'mailed is sent: nobody knows what becomes of it',
      { ...delivered(), kind: 'mail' },
      { code: '1.1', description: 'Sent', detail: 'It went by mail.' },
    ],
    [
      'a mail that waits is pending',
      { kind: 'mail', state: 'queued' },
      { code: '1.0', description: 'Pending', detail: 'It is queued here.' },
    ],
    [
      'a post that became a mail is pending while nothing is said of the mail',
      { ...POST, state: 'skipped', ...decided('by-mail', { kind: 'mail', reason: 'profile oracle-v6' }) },
      { code: '1.0', description: 'Pending', detail: 'It goes by mail.' },
    ],
    ...['duplicate', 'stale', 'own-organizer'].map(
      (rule) =>
        [
          `${rule} is success`,
          { ...POST, state: 'skipped', ...decided(rule, { kind: 'none', reason: rule }) },
          { code: '2.0', description: 'Success' },
        ] as const,
    ),
    ...(
      [
        ['3.7', 'Invalid calendar user', '5.1.1'],
        ['3.8', 'No authority', '5.7.1'],
        ['3.10', 'Request entity too large', '5.3.4'],
        ['3.11', 'Required component or property missing', '5.6.0'],
        ['4.0', 'Event conflict', '5.2.0'],
        ['5.0', 'Request not supported', '5.3.3'],
        ['5.2', 'Invalid calendar service', '5.3.0'],
        ['5.3', 'No scheduling support for user', '5.2.1'],
      ] as const
    ).map(
      ([code, description, status]) =>
        [
          `a refusal with ${code} is passed on`,
          failed(status, code),
          { code, description, detail: 'The server said no.' },
        ] as const,
    ),
    ...(
      [
        ['5.1.1', '3.7', 'Invalid calendar user'],
        ['5.1.3', '3.7', 'Invalid calendar user'],
        ['5.1.8', '3.8', 'No authority'],
        ['5.2.0', '4.0', 'Event conflict'],
        ['5.2.1', '5.3', 'No scheduling support for user'],
        ['5.2.2', '5.3', 'No scheduling support for user'],
        ['5.3.0', '5.2', 'Invalid calendar service'],
        ['5.3.3', '5.0', 'Request not supported'],
        ['5.3.4', '3.10', 'Request entity too large'],
        ['5.4.6', '5.2', 'Invalid calendar service'],
        ['5.4.7', '5.1', 'Service unavailable'],
        ['5.5.0', '5.2', 'Invalid calendar service'],
        ['5.6.0', '3.1', 'Invalid property value'],
        ['5.6.7', '3.7', 'Invalid calendar user'],
        ['5.7.1', '3.8', 'No authority'],
        ['5.7.8', '3.8', 'No authority'],
      ] as const
    ).flatMap(
      ([status, code, description]) =>
        [
          [`a failure with ${status}`, failed(status), { code, description, detail: 'The server said no.' }],
          [`our own refusal with ${status}, without its reason`, rejected(status), { code, description }],
        ] as const,
    ),
    [
      'a method that nobody takes',
      rejected('5.6.0', 'method-not-taken'),
      { code: '3.14', description: 'Unsupported capability' },
    ],
    [
      'a refusal that made no delivery',
      { ...rejected('5.7.1'), state: 'skipped' },
      { code: '3.8', description: 'No authority' },
    ],
    [
      'expired is unavailable',
      { ...POST, state: 'expired', outcome: deferred },
      { code: '5.1', description: 'Service unavailable', detail: 'It was given up: no connection.' },
    ],
    [
      'expired without an attempt is unavailable',
      { ...POST, state: 'expired' },
      { code: '5.1', description: 'Service unavailable', detail: 'It was given up.' },
    ],
    [
      'deleted by an operator',
      { ...POST, state: 'deleted' },
      { code: '5.2', description: 'Invalid calendar service', detail: 'An operator took it out of the queue.' },
    ],
    ['a status of no known meaning is passed on', delivered('2.77'), { code: '2.77', description: 'Success' }],
  ];
  for (const [title, facts, expected] of table) test(title, () => expect(answerFor(facts)).toEqual(expected));
});

test('a mail that has left is answered 1.1, and 2.0 to a peer that wants it so; what is queued is 1.0 to both', () => {
  const code = (state: 'delivered' | 'queued', sentStatus?: '1.1' | '2.0') =>
    answerFor({ kind: 'mail', state }, sentStatus).code;
  expect([code('delivered'), code('delivered', '2.0'), code('queued'), code('queued', '2.0')]).toEqual([
    '1.1',
    '2.0',
    '1.0',
    '1.0',
  ]);
});
