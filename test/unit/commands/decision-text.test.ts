import { describe, expect, test } from 'vitest';
import { decisionLines, lookupLines } from '../../../src/commands/decision-text.ts';
import type { Entry } from '../../../src/directory/directory.ts';
import type { Decision, Disposition } from '../../../src/mail/disposition.ts';
import type { Mode } from '../../../src/queue/store.ts';

const server = { url: 'https://north.example.com/ischedule', profile: 'cyrus' } as const;
const POSTED = 'posted to https://north.example.com/ischedule (profile cyrus) for alice@example.com';

function decision(rule: string, post: Disposition, more: Partial<Decision> = {}): Decision {
  return { rule, post, annotate: false, steps: [], ...more };
}

describe('a decision in words', () => {
  const post = { kind: 'post', server, recipient: 'alice@example.com' } as const;
  const ends: readonly [mode: Mode, decided: Decision, says: string][] = [
    ['filter', decision('post', post, { annotate: true }), `post: ${POSTED}; the mail is passed on, annotated`],
    ['copy', decision('post', post), `post: ${POSTED}`],
    [
      'final',
      decision('post', { ...post, rewrite: 'a.adams@example.com' }),
      `post: ${POSTED}, written for a.adams@example.com`,
    ],
    [
      'final',
      decision('post', { ...post, member: 'team@example.com' }),
      `post: ${POSTED}, as a member of team@example.com`,
    ],
    [
      'final',
      decision('post', { ...post, author: { from: 'bob@example.com', to: 'b.brown@example.com' } }),
      `post: ${POSTED}, its author bob@example.com written as b.brown@example.com`,
    ],
    [
      'filter',
      decision('list', { kind: 'expand', members: [{ address: 'alice@example.com' }] }),
      'list: one post for each of 1 member of the list; the mail is passed on',
    ],
    ['copy', decision('list', { kind: 'expand', members: [] }), 'list: a list without a member who has a calendar'],
    ['copy', decision('moving', { kind: 'hold', reason: 'moving' }), 'moving: held (moving) until the move ends'],
    [
      'final',
      decision('ambiguous', { kind: 'hold', reason: 'ambiguous' }, { alarm: true }),
      'ambiguous: held (ambiguous) until released; an alarm for the administrator',
    ],
    [
      'filter',
      decision('directory-silent', { kind: 'defer', status: '4.4.3', reason: 'no answer' }, { annotate: true }),
      'directory-silent: tried again later, 4.4.3 no answer; the mail is passed on, annotated',
    ],
    [
      'final',
      decision('unknown-recipient', { kind: 'reject', status: '5.1.1', reason: 'nobody' }),
      'unknown-recipient: refused with 5.1.1 nobody',
    ],
    ['copy', decision('duplicate', { kind: 'none', reason: 'duplicate' }), 'duplicate: no post: duplicate'],
  ];
  for (const [mode, decided, says] of ends) {
    test(`ends in "${says}"`, () => {
      expect(decisionLines(decided, mode)).toEqual([`→ ${says}`]);
    });
  }

  test('tells the questions before its end', () => {
    const steps = [{ question: 'Is it news?', answer: 'no: stale' }];
    expect(decisionLines(decision('stale', { kind: 'none', reason: 'stale' }, { steps }), 'copy')).toEqual([
      'Is it news? no: stale',
      '→ stale: no post: stale',
    ]);
  });
});

describe('a look-up in words', () => {
  const mia: Entry = {
    dn: 'uid=mia,o=example.com',
    kind: 'user',
    mail: 'mia@example.com',
    addresses: ['mia@example.com', 'm.miller@example.com'],
    matchedBy: 'mailAlternateAddress=m.miller@example.com',
    detail: 'work',
    status: [{ scope: 'mail', attribute: 'mailUserStatus', value: 'hold' }],
    moving: true,
    movingBy: 'mailUserStatus=hold',
    calendar: true,
    marker: 'north',
    mailHost: 'store.example.com',
    languages: ['de-AT', 'en'],
  };
  const asked = { server: 'ldap://127.0.0.1', base: 'o=example.com', filter: '(mail=m.miller@example.com)' };

  test('says who was asked where and how, and what the entry says', () => {
    expect(lookupLines({ kind: 'found', entries: [mia], ...asked })).toEqual([
      'directory: ldap://127.0.0.1 has uid=mia,o=example.com, by mailAlternateAddress=m.miller@example.com',
      '  under o=example.com',
      '  filter (mail=m.miller@example.com)',
      '  mail mia@example.com; also m.miller@example.com; sub-address work; marker north; a calendar; being moved, by mailUserStatus=hold; mail host store.example.com; language de-AT, en; mailUserStatus hold',
    ]);
  });

  test('names every entry that has the address', () => {
    const room: Entry = {
      dn: 'cn=room,o=example.com',
      kind: 'resource',
      mail: 'room@example.com',
      addresses: ['room@example.com'],
      matchedBy: 'mail=room@example.com',
      status: [],
      moving: false,
      calendar: true,
      server: 'south',
    };
    const group: Entry = {
      ...room,
      dn: 'cn=rooms,o=example.com',
      kind: 'group',
      calendar: false,
      group: { memberDns: [], memberAddresses: [], memberUrls: ['ldap:///'], restrictedBy: 'mgrpAllowedBroadcaster' },
    };
    expect(lookupLines({ kind: 'found', entries: [room, group], server: 'people.ldif' })).toEqual([
      'directory: people.ldif has cn=room,o=example.com, by mail=room@example.com',
      '  mail room@example.com; marker none; server south; a calendar, of a resource',
      'directory: people.ldif has cn=rooms,o=example.com, by mail=room@example.com',
      '  mail room@example.com; a list of 1 by LDAP URL; restricted by mgrpAllowedBroadcaster',
    ]);
  });

  test('tells an address that nobody has from no answer', () => {
    expect(lookupLines({ kind: 'unknown', ...asked })).toEqual([
      'directory: ldap://127.0.0.1 knows no such address',
      '  under o=example.com',
      '  filter (mail=m.miller@example.com)',
    ]);
    expect(lookupLines({ kind: 'no-answer', reason: 'no server answers' })).toEqual([
      'directory: no answer: no server answers',
    ]);
  });
});
