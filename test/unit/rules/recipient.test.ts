import { describe, expect, test } from 'vitest';
import { judgeRecipient } from '../../../rules/recipient.ts';
import type { StatusValue } from '../../../src/directory/directory.ts';
import { ENTRY, entry, found } from './samples.ts';

describe('whose recipient it is', () => {
  test('an entry without any status is a user', () => {
    expect(judgeRecipient(found(ENTRY), 'mail')).toEqual({ kind: 'user', entry: ENTRY });
  });

  test('a room is a user as far as its status goes', () => {
    expect(judgeRecipient(entry({ kind: 'resource' }), 'mail')).toEqual({
      kind: 'user',
      entry: { ...ENTRY, kind: 'resource' },
    });
  });

  test('no answer is not an unknown recipient', () => {
    expect(judgeRecipient({ kind: 'no-answer', reason: 'connection lost' }, 'mail')).toEqual({
      kind: 'silent',
      reason: 'connection lost',
    });
  });

  test('an address nobody has is unknown', () => {
    expect(judgeRecipient({ kind: 'unknown', server: 'directory.example.com' }, 'mail')).toEqual({ kind: 'unknown' });
  });

  test('two entries are ambiguous, whatever their status', () => {
    const off = { ...ENTRY, status: [{ scope: 'user', attribute: 'inetUserStatus', value: 'deleted' }] } as const;
    expect(judgeRecipient(found(ENTRY, off), 'mail')).toEqual({ kind: 'ambiguous', entries: [ENTRY, off] });
  });

  test('a group is a list', () => {
    const list = { ...ENTRY, kind: 'group' } as const;
    expect(judgeRecipient(found(list), 'mail')).toEqual({ kind: 'list', entry: list });
  });

  test('a group that is off is a list that is off', () => {
    const list = {
      ...ENTRY,
      kind: 'group',
      status: [{ scope: 'mail', attribute: 'inetMailGroupStatus', value: 'disabled' }],
    } as const;
    expect(judgeRecipient(found(list), 'mail')).toEqual({
      kind: 'list',
      entry: list,
      off: { kind: 'disabled', reason: 'inetMailGroupStatus is disabled' },
    });
  });

  test('a match by catch-all alone is nobody, unless catch-alls are posted to', () => {
    const taker = { ...ENTRY, catchAll: true } as const;
    expect(judgeRecipient(found(taker), 'mail')).toEqual({ kind: 'unknown', takenBy: taker });
    expect(judgeRecipient(found(taker), 'post')).toEqual({ kind: 'user', entry: taker });
  });

  test('two catch-alls of one domain are nobody too, and two calendars where they are posted to', () => {
    const [one, other] = [
      { ...ENTRY, catchAll: true },
      { ...ENTRY, dn: 'uid=eve,o=example.com', catchAll: true },
    ] as const;
    expect(judgeRecipient(found(one, other), 'mail')).toEqual({ kind: 'unknown', takenBy: one });
    expect(judgeRecipient(found(one, other), 'post')).toEqual({ kind: 'ambiguous', entries: [one, other] });
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
      expect(judgeRecipient(entry({ status }), 'mail')).toEqual(
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
    expect(judgeRecipient(entry({ status }), 'mail')).toEqual({
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
    expect(judgeRecipient(entry({ status }), 'mail')).toEqual({
      kind: 'disabled',
      entry: { ...ENTRY, status },
      reason: 'icsStatus is deleted',
    });
  });

  test('v6 closed to a user who is being moved keeps nothing from him; a calendar that is off does', () => {
    const closed: StatusValue = { scope: 'calendar', attribute: 'icsAllowedServiceAccess', value: '-http:all' };
    const off: StatusValue = { scope: 'calendar', attribute: 'icsStatus', value: 'deleted' };
    expect(judgeRecipient(entry({ status: [closed], moving: true }), 'mail').kind).toBe('user');
    expect(judgeRecipient(entry({ status: [closed] }), 'mail').kind).toBe('disabled');
    expect(judgeRecipient(entry({ status: [off, closed], moving: true }), 'mail').kind).toBe('disabled');
  });
});
