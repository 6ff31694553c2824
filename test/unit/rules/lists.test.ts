import { describe, expect, test } from 'vitest';
import { decide, type ListClaim, type Policy, type Question, wantsExpansion } from '../../../rules/decide.ts';
import { parseDomainMap } from '../../../rules/domain-map.ts';
import type { Entry, Expansion } from '../../../src/directory/directory.ts';
import type { Decision } from '../../../src/mail/disposition.ts';
import type { Mode } from '../../../src/queue/store.ts';
import { BOB, ENTRY, found, NORTH, OLGA, object, POLICY, QUESTION, REPLY, ROW, user } from './samples.ts';

const TEAM = 'team@example.com';
const GROUP: Entry = {
  dn: 'cn=team,o=example.com',
  kind: 'group',
  mail: TEAM,
  addresses: [TEAM, 'crew@example.com'],
  matchedBy: `mail=${TEAM}`,
  status: [],
  moving: false,
  calendar: false,
  group: { memberDns: [ENTRY.dn], memberAddresses: [], memberUrls: [] },
};
const person = (name: string, change: Partial<Entry> = {}): Entry => ({
  ...ENTRY,
  dn: `uid=${name},o=example.com`,
  mail: `${name}@example.com`,
  addresses: [`${name}@example.com`],
  ...change,
});
const members = (entries: readonly Entry[], addresses: readonly string[] = []): Expansion => ({
  kind: 'members',
  entries,
  addresses,
});
const TO_TEAM = object({ attendees: [user(OLGA), user(TEAM)] });

const withoutSteps = ({ steps: _, ...decision }: Decision): Omit<Decision, 'steps'> => decision;

describe('a post to a list', () => {
  const ASKED: Question = {
    ...QUESTION,
    mode: 'relay',
    recipient: TEAM,
    lookup: found(GROUP),
    examination: TO_TEAM,
  };
  const inStatus = (value: string) =>
    found({ ...GROUP, status: [{ scope: 'mail', attribute: 'inetMailGroupStatus', value }] });
  const byMail = { rule: 'list', post: { kind: 'mail', reason: 'the address is a list' }, annotate: false } as const;
  const rows: readonly (readonly [title: string, change: Partial<Question>, expected: Omit<Decision, 'steps'>])[] = [
    ['goes on by mail, which its mail server expands', {}, byMail],
    ['from one of inside as well', { origin: 'inside' }, byMail],
    ['by another address of the list as well', { recipient: 'crew@example.com' }, byMail],
    [
      'that restricts who may send goes on by mail: its mail server knows who may',
      { lookup: found({ ...GROUP, group: { memberDns: [], memberAddresses: [], memberUrls: [], restrictedBy: 'x' } }) },
      byMail,
    ],
    [
      'that is the organizer goes on by mail when an attendee answers',
      { examination: { kind: 'object', object: { ...REPLY, organizer: user(TEAM) } } },
      byMail,
    ],
    [
      'that nobody invited is refused',
      { examination: object({ attendees: [user(BOB)] }) },
      {
        rule: 'not-attendee',
        post: { kind: 'reject', status: '5.6.0', reason: 'the list is not among the ATTENDEEs' },
        annotate: false,
      },
    ],
    [
      'that is its organizer comes to nothing',
      { origin: 'inside', examination: object({ organizer: user(TEAM) }) },
      {
        rule: 'own-organizer',
        post: { kind: 'none', reason: 'the list is the ORGANIZER of this REQUEST' },
        annotate: false,
      },
    ],
    [
      'by an author who is not believed is refused',
      { examination: object({ organizer: user('anna@example.com'), attendees: [user(TEAM)] }) },
      {
        rule: 'author-is-ours',
        post: {
          kind: 'reject',
          status: '5.7.1',
          reason: 'the ORGANIZER is of our own domain example.com, the message came from outside',
        },
        annotate: false,
      },
    ],
    [
      'that is inactive is tried later',
      { lookup: inStatus('inactive') },
      {
        rule: 'inactive',
        post: { kind: 'defer', status: '4.2.1', reason: 'inetMailGroupStatus is inactive' },
        annotate: false,
      },
    ],
    [
      'that is disabled is refused',
      { lookup: inStatus('disabled') },
      {
        rule: 'disabled',
        post: { kind: 'reject', status: '5.2.1', reason: 'inetMailGroupStatus is disabled' },
        annotate: false,
      },
    ],
  ];
  for (const [title, change, expected] of rows) {
    test(title, () => {
      expect(withoutSteps(decide({ ...ASKED, ...change }, POLICY))).toEqual(expected);
      expect(wantsExpansion({ ...ASKED, ...change }, POLICY)).toBe(false);
    });
  }
});

describe('an invitation to a list that arrives unexpanded', () => {
  const ASKED: Question = { ...QUESTION, recipient: TEAM, lookup: found(GROUP), examination: TO_TEAM };
  const EXPANDED = members([ENTRY, person('anna')]);
  type Row = readonly [title: string, change: Partial<Question>, expected: Omit<Decision, 'steps'>];
  const none = (rule: string, reason: string) => ({ rule, post: { kind: 'none', reason }, annotate: false }) as const;
  const restricted = { ...GROUP, group: { memberDns: [], memberAddresses: [], memberUrls: [] } };

  const rows: readonly Row[] = [
    [
      'is expanded to those who have a calendar with us, rooms included, each once',
      {
        expansion: members(
          [
            ENTRY,
            person('room', { kind: 'resource' }),
            person('nocal', { calendar: false }),
            person('nomail', { mail: '', addresses: [] }),
            person('elsewhere', { mail: 'e@example.net' }),
            person('inner', { kind: 'group' }),
            person('again', { mail: 'BOB@example.com' }),
          ],
          ['petra@example.net'],
        ),
      },
      {
        rule: 'list',
        post: { kind: 'expand', members: [{ address: BOB }, { address: 'room@example.com' }] },
        annotate: false,
      },
    ],
    [
      'by another address of the list as well',
      { recipient: 'crew@example.com', expansion: EXPANDED },
      {
        rule: 'list',
        post: { kind: 'expand', members: [{ address: BOB }, { address: 'anna@example.com' }] },
        annotate: false,
      },
    ],
    [
      'makes no posts where nobody in it has a calendar',
      { expansion: members([], ['petra@example.net']) },
      none('list', 'nobody in the list has a calendar with us'),
    ],
    [
      'makes no posts where the list restricts who may send',
      {
        lookup: found({ ...restricted, group: { ...restricted.group, restrictedBy: 'mgrpAllowedBroadcaster' } }),
        expansion: EXPANDED,
      },
      none(
        'list-restricted',
        'mgrpAllowedBroadcaster restricts who may send to the list: its members get posts once the mail server has expanded it',
      ),
    ],
    [
      'makes no posts where the list is too large, with an alarm',
      { expansion: { kind: 'too-large', limit: 1000 } },
      {
        ...none(
          'list-too-large',
          'the list has more than 1000 members: they get posts once the mail server has expanded it',
        ),
        alarm: true,
      },
    ],
    [
      'waits while the directory does not say who is in it',
      { expansion: { kind: 'no-answer', reason: 'no connection' } },
      {
        rule: 'directory-silent',
        post: { kind: 'defer', status: '4.4.3', reason: 'no connection' },
        annotate: false,
      },
    ],
    [
      'makes no posts where the list itself is not invited',
      { examination: object({ attendees: [user(BOB)] }), expansion: EXPANDED },
      none('not-attendee', 'the list is not among the ATTENDEEs'),
    ],
    [
      'makes no posts of what an attendee says',
      { examination: { kind: 'object', object: { ...REPLY, organizer: user(TEAM) } }, expansion: EXPANDED },
      none('list', 'the address is a list, and a REPLY is for one'),
    ],
    [
      'makes no posts where the list is the organizer',
      { origin: 'inside', examination: object({ organizer: user(TEAM) }), expansion: EXPANDED },
      none('own-organizer', 'the list is the ORGANIZER of this REQUEST'),
    ],
    [
      'makes no posts of an author who is not believed',
      {
        examination: object({ organizer: user('anna@example.com'), attendees: [user(TEAM)] }),
        expansion: EXPANDED,
      },
      none('author-is-ours', 'the ORGANIZER is of our own domain example.com, the message came from outside'),
    ],
    ...(
      [
        ['inactive', 'inactive', {}],
        ['disabled', 'disabled', {}],
        ['asleep', 'inactive', { alarm: true }],
      ] as const
    ).map(
      ([value, rule, alarm]): Row => [
        `makes no posts while the list is ${value}`,
        {
          lookup: found({ ...GROUP, status: [{ scope: 'mail', attribute: 'inetMailGroupStatus', value }] }),
          expansion: EXPANDED,
        },
        { ...none(rule, `inetMailGroupStatus is ${value}`), ...alarm },
      ],
    ),
  ];
  for (const [title, change, expected] of rows) {
    for (const mode of ['filter', 'copy'] as const) {
      test(`${title} (${mode})`, () => {
        expect(withoutSteps(decide({ ...ASKED, ...change, mode }, POLICY))).toEqual(expected);
      });
    }
    test(`${title}: not asked, but refused, where there is no mail copy`, () => {
      expect(withoutSteps(decide({ ...ASKED, ...change, mode: 'final' }, POLICY))).toEqual({
        rule: 'list',
        post: { kind: 'reject', status: '5.2.1', reason: 'the address is a list' },
        annotate: false,
      });
    });
    const { expansion: _, ...unexpanded } = { ...ASKED, ...change };
    const matters = !['list-restricted', 'not-attendee', 'own-organizer', 'author-is-ours'].includes(expected.rule);
    const isOff = ['inactive', 'disabled'].includes(expected.rule) || title.includes('an attendee says');
    test(`${title}: who is in it ${matters && !isOff ? 'is' : 'is not'} asked`, () => {
      expect(wantsExpansion(unexpanded, POLICY)).toBe(matters && !isOff);
    });
  }

  test('is explained', () => {
    expect(decide({ ...ASKED, expansion: EXPANDED }, POLICY).steps).toEqual([
      { question: 'Is there something to schedule?', answer: 'yes: REQUEST of VEVENT review-1@example.org' },
      { question: 'Whose recipient is it?', answer: 'cn=team,o=example.com, a list, by mail=team@example.com' },
      { question: 'May its author say this?', answer: 'yes' },
      { question: 'Is the recipient meant?', answer: 'yes, as team@example.com' },
      { question: 'Who is in the list?', answer: '2 of its 2 members have a calendar with us' },
    ]);
  });

  test('is not expanded for anybody who is no list', () => {
    expect(wantsExpansion(QUESTION, POLICY)).toBe(false);
  });
});

describe('a member of an invited list', () => {
  const claim = (expansion?: Expansion, group: Entry = GROUP, address = group.mail): ListClaim => ({
    address,
    lookup: found(group),
    ...(expansion === undefined ? {} : { expansion }),
  });
  const ASKED: Question = { ...QUESTION, examination: TO_TEAM };
  const POSTED = {
    rule: 'post',
    post: { kind: 'post', server: NORTH, recipient: BOB, member: TEAM },
    annotate: true,
  } as const;
  const notMeant = (reason: string) =>
    ({ rule: 'not-attendee', post: { kind: 'none', reason }, annotate: true }) as const;
  const silent = (reason: string) =>
    ({ rule: 'directory-silent', post: { kind: 'defer', status: '4.4.3', reason }, annotate: true }) as const;
  const OTHER: Entry = { ...GROUP, dn: 'cn=other,o=example.com', mail: 'other@example.com', addresses: [] };
  const NOT_IN = 'the recipient is not in the list team@example.com';

  type Row = readonly [title: string, change: Partial<Question>, expected: Omit<Decision, 'steps'>];
  const rows: readonly Row[] = [
    ['is posted to, by the DN of his entry', { lists: [claim(members([ENTRY]))] }, POSTED],
    [
      'also in another case',
      { lists: [claim(members([{ ...ENTRY, dn: 'UID=Bob,O=example.com', mail: '' }]))] },
      POSTED,
    ],
    ['by his primary address', { lists: [claim(members([{ ...ENTRY, dn: 'uid=other,o=x' }]))] }, POSTED],
    ['by an address of his that stands in the list', { lists: [claim(members([], ['B.Brown@Example.com']))] }, POSTED],
    [
      'also in a CANCEL',
      { examination: object({ method: 'CANCEL', attendees: [user(TEAM)] }), lists: [claim(members([ENTRY]))] },
      POSTED,
    ],
    [
      'under the spelling of the list in the object, whatever address of it the mail took',
      {
        examination: object({ attendees: [user('Crew@example.com')] }),
        lists: [claim(members([ENTRY]), GROUP, 'team+archive@example.com')],
      },
      { ...POSTED, post: { ...POSTED.post, member: 'Crew@example.com' } },
    ],
    [
      'is posted to as himself where he is invited himself too',
      { examination: object({ attendees: [user(TEAM), user(BOB)] }), lists: [claim(members([ENTRY]))] },
      { ...POSTED, post: { kind: 'post', server: NORTH, recipient: BOB } },
    ],
    ['is one of several claims that hold', { lists: [claim(members([]), OTHER), claim(members([ENTRY]))] }, POSTED],
    ['also beside one that nobody can confirm', { lists: [claim(undefined, OTHER), claim(members([ENTRY]))] }, POSTED],
    [
      'gets what was not posted before only',
      { lists: [claim(members([ENTRY]))], ledger: [ROW] },
      {
        rule: 'duplicate',
        post: { kind: 'none', reason: 'duplicate' },
        annotate: true,
      },
    ],
    [
      'is not whoever claims to be',
      { lists: [claim(members([person('anna')], ['eve@example.com']))] },
      notMeant(NOT_IN),
    ],
    [
      'is nobody whose entry has no address',
      { lists: [claim(members([{ ...person('anna'), mail: '' }]))] },
      notMeant(NOT_IN),
    ],
    [
      'of a list that is not invited is not meant',
      { lists: [claim(members([ENTRY]), OTHER)] },
      notMeant('the list other@example.com is not among the ATTENDEEs'),
    ],
    [
      'of what is no list is not meant',
      { lists: [claim(members([ENTRY]), { ...GROUP, kind: 'user' })] },
      notMeant('team@example.com is no list'),
    ],
    [
      'of a list that only a catch-all has is not meant',
      { lists: [claim(members([ENTRY]), { ...GROUP, catchAll: true })] },
      notMeant('team@example.com is no list'),
    ],
    [
      'of a list that nobody knows is not meant',
      { lists: [{ address: TEAM, lookup: { kind: 'unknown', server: 'directory' } }] },
      notMeant('the directory knows no list team@example.com'),
    ],
    [
      'of a list that two entries have is not meant',
      { lists: [{ address: TEAM, lookup: found(GROUP, OTHER), expansion: members([ENTRY]) }] },
      notMeant('2 entries have the list address team@example.com'),
    ],
    [
      'of a list that is too large is not meant, with an alarm',
      { lists: [claim(members([]), OTHER), claim({ kind: 'too-large', limit: 1000 })] },
      {
        ...notMeant('the list team@example.com has more than 1000 members, too many to look for him'),
        alarm: true,
      },
    ],
    [
      'waits while the directory does not know the list',
      { lists: [claim(members([])), { address: TEAM, lookup: { kind: 'no-answer', reason: 'timed out' } }] },
      silent('team@example.com: timed out'),
    ],
    [
      'waits while the directory does not say who is in it',
      { lists: [claim({ kind: 'no-answer', reason: 'timed out' })] },
      silent('team@example.com: timed out'),
    ],
    [
      'is not meant by a REPLY to the list',
      {
        examination: { kind: 'object', object: { ...REPLY, organizer: user(TEAM) } },
        lists: [claim(members([ENTRY]))],
      },
      notMeant(`the REPLY is for ${TEAM}`),
    ],
  ];
  for (const [title, change, expected] of rows) {
    test(title, () => expect(withoutSteps(decide({ ...ASKED, ...change }, POLICY))).toEqual(expected));
  }

  test('is refused, where there is no mail copy, when the directory knows better', () => {
    const question: Question = { ...ASKED, mode: 'final', lists: [claim(members([]))] };
    expect(withoutSteps(decide(question, POLICY))).toEqual({
      rule: 'not-attendee',
      post: { kind: 'reject', status: '5.6.0', reason: NOT_IN },
      annotate: true,
    });
  });

  test('of no domain of ours is posted to by the domain map', () => {
    const { lookup: _, ...rest } = ASKED;
    const policy: Policy = {
      ...POLICY,
      homes: { ...POLICY.homes, domainMap: parseDomainMap('example.net=https://x/', 'map').entries },
    };
    const question: Question = {
      ...rest,
      recipient: 'petra@example.net',
      lists: [claim(members([], ['petra@example.net']))],
    };
    expect(withoutSteps(decide(question, policy))).toEqual({
      rule: 'post',
      post: {
        kind: 'post',
        server: { url: 'https://x/', profile: 'generic' },
        recipient: 'petra@example.net',
        member: TEAM,
      },
      annotate: false,
    });
  });

  test('is explained by the list and its entry', () => {
    expect(decide({ ...ASKED, lists: [claim(members([ENTRY]))] }, POLICY).steps).toContainEqual({
      question: 'Is the recipient meant?',
      answer: 'yes, as a member of team@example.com: he is in cn=team,o=example.com',
    });
  });
});

test('who is in a list is read once for all its members', () => {
  let reads = 0;
  const entry = {
    ...ENTRY,
    get dn() {
      reads++;
      return ENTRY.dn;
    },
  };
  const lists: readonly ListClaim[] = [{ address: TEAM, lookup: found(GROUP), expansion: members([entry]) }];
  const modes: readonly Mode[] = ['filter', 'copy', 'final'];
  const rules = modes.map((mode) => decide({ ...QUESTION, mode, examination: TO_TEAM, lists }, POLICY).rule);
  expect([rules, reads]).toEqual([['post', 'post', 'post'], 1]);
});
