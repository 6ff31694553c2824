import { describe, expect, test } from 'vitest';
import { judgeRecipient } from '../../../rules/recipient.ts';
import type { StatusValue } from '../../../src/directory/directory.ts';
import { ENTRY, entry, found } from './samples.ts';

describe('whose recipient it is', () => {
  test('an entry without any status is a user', () => {
    expect(judgeRecipient(found(ENTRY))).toEqual({ kind: 'user', entry: ENTRY });
  });

  test('a room is a user as far as its status goes', () => {
    expect(judgeRecipient(entry({ kind: 'resource' }))).toEqual({
      kind: 'user',
      entry: { ...ENTRY, kind: 'resource' },
    });
  });

  test('no answer is not an unknown recipient', () => {
    expect(judgeRecipient({ kind: 'no-answer', reason: 'connection lost' })).toEqual({
      kind: 'silent',
      reason: 'connection lost',
    });
  });

  test('an address nobody has is unknown', () => {
    expect(judgeRecipient({ kind: 'unknown', server: 'directory.example.com' })).toEqual({ kind: 'unknown' });
  });

  test('two entries are ambiguous, whatever their status', () => {
    const off = { ...ENTRY, status: [{ scope: 'user', attribute: 'inetUserStatus', value: 'deleted' }] } as const;
    expect(judgeRecipient(found(ENTRY, off))).toEqual({ kind: 'ambiguous', entries: [ENTRY, off] });
  });

  test('a group is a list, whatever its status', () => {
    const list = {
      ...ENTRY,
      kind: 'group',
      status: [{ scope: 'mail', attribute: 'inetMailGroupStatus', value: 'disabled' }],
    } as const;
    expect(judgeRecipient(found(list))).toEqual({ kind: 'list', entry: list });
  });
});

describe('the status of a user', () => {
  type Verdict = 'user' | 'disabled' | 'inactive' | 'inactive with alarm';
  const table: readonly [scope: StatusValue['scope'], value: string, verdict: Verdict][] = [
    ['domain', 'active', 'user'],
    ['domain', 'inactive', 'inactive'],
    ['domain', 'deleted', 'disabled'],
    ['user', '', 'user'],
    ['user', 'active', 'user'],
    ['user', ' Active ', 'user'],
    ['user', 'inactive', 'inactive'],
    ['user', 'INACTIVE', 'inactive'],
    ['user', 'deleted', 'disabled'],
    ['user', 'removed', 'disabled'],
    ['user', 'disabled', 'disabled'],
    ['user', 'asleep', 'inactive with alarm'],
    ['user', 'constructor', 'inactive with alarm'],
    ['mail', 'overquota', 'user'],
    ['mail', 'hold', 'inactive'],
    ['mail', 'disabled', 'disabled'],
    ['mail', 'unused', 'inactive with alarm'],
    // What a service attribute of the mailbox lists is no access to the calendar.
    ['mail', 'http', 'inactive with alarm'],
    ['calendar', 'active', 'user'],
    ['calendar', 'inactive', 'disabled'],
    ['calendar', 'deleted', 'disabled'],
    ['calendar', 'http', 'disabled'],
    ['calendar', '-http', 'disabled'],
    ['calendar', '-http:ALL', 'disabled'],
    ['calendar', 'asleep', 'inactive with alarm'],
  ];
  for (const [scope, value, verdict] of table) {
    test(`${scope} status "${value}" makes it ${verdict}`, () => {
      const status = [{ scope, attribute: 'someStatus', value }];
      const about = { entry: { ...ENTRY, status }, reason: `someStatus is ${value}` };
      expect(judgeRecipient(entry({ status }))).toEqual(
        {
          user: { kind: 'user', entry: about.entry },
          disabled: { kind: 'disabled', ...about },
          inactive: { kind: 'inactive', ...about, alarm: false },
          'inactive with alarm': { kind: 'inactive', ...about, alarm: true },
        }[verdict],
      );
    });
  }

  test('the first of the chain that is not active decides', () => {
    const status: readonly StatusValue[] = [
      { scope: 'domain', attribute: 'inetDomainStatus', value: 'active' },
      { scope: 'user', attribute: 'inetUserStatus', value: 'inactive' },
      { scope: 'mail', attribute: 'mailUserStatus', value: 'deleted' },
    ];
    expect(judgeRecipient(entry({ status }))).toEqual({
      kind: 'inactive',
      entry: { ...ENTRY, status },
      reason: 'inetUserStatus is inactive',
      alarm: false,
    });
  });

  test('an overquota mailbox does not hide a deleted calendar', () => {
    const status: readonly StatusValue[] = [
      { scope: 'mail', attribute: 'mailUserStatus', value: 'overquota' },
      { scope: 'calendar', attribute: 'icsStatus', value: 'deleted' },
    ];
    expect(judgeRecipient(entry({ status }))).toEqual({
      kind: 'disabled',
      entry: { ...ENTRY, status },
      reason: 'icsStatus is deleted',
    });
  });
});
