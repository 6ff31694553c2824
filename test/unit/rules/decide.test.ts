import { describe, expect, test } from 'vitest';
import type { Discovered, Homes } from '../../../rules/coexistence.ts';
import { decide, type Policy, type Question, wantsDiscovery } from '../../../rules/decide.ts';
import { parseDomainMap } from '../../../rules/domain-map.ts';
import type { StatusValue } from '../../../src/directory/directory.ts';
import type { Disposition, ProfileName } from '../../../src/mail/disposition.ts';
import type { PermanentStatus } from '../../../src/mail/status.ts';
import { MODES, type Mode } from '../../../src/queue/store.ts';
import { BOB, ENTRY, entry, found, NORTH, OLGA, object, POLICY, QUESTION, REPLY, ROW, user } from './samples.ts';

const { marker: _, ...UNMARKED } = ENTRY;
const OUTSIDER = 'petra@example.net';
const homes = (change: Partial<Homes>): Policy => ({ ...POLICY, homes: { ...POLICY.homes, ...change } });
const mapped = (line: string): Policy => homes({ domainMap: parseDomainMap(line, 'map.properties').entries });
const profiled = (profile: ProfileName): Policy => homes({ backEnds: new Map([['north', { ...NORTH, profile }]]) });

/** What each mode makes of it. */
type Dispositions = Readonly<Record<Mode, Disposition>>;
const always = (post: Disposition): Dispositions => ({ filter: post, final: post, copy: post, relay: post });
/** Another end where the post is all there is. */
const wherePostIsAll = (post: Disposition): Pick<Dispositions, 'final' | 'relay'> => ({ final: post, relay: post });
/** No post: a refusal where the post is all there is. */
const mailOnly = (status: PermanentStatus, reason: string): Dispositions => ({
  ...always({ kind: 'none', reason }),
  ...wherePostIsAll({ kind: 'reject', status, reason }),
});
/** No post, for no fault of anybody's: what came by post goes on by mail. */
const mailInstead = (status: PermanentStatus, reason: string): Dispositions => ({
  ...mailOnly(status, reason),
  relay: { kind: 'mail', reason },
});
/** What a peer of outside posts for somebody who is none of ours. */
const NO_RELAY: Disposition = {
  kind: 'reject',
  status: '5.7.1',
  reason: 'the recipient is of no domain of ours, and what a peer of outside posts is not relayed',
};
const POSTED = always({ kind: 'post', server: NORTH, recipient: BOB });

type Expected = {
  readonly rule: string;
  /** Where `relay` is decided by another. */
  readonly relayRule?: string;
  readonly post: Dispositions;
  readonly annotate: boolean;
  readonly alarm?: true;
};
type Row = readonly [title: string, question: Question, policy: Policy, expected: Expected];
const ask = (change: Partial<Question>): Question => ({ ...QUESTION, ...change });

const status = (scope: 'user' | 'mail' | 'calendar', value: string) =>
  entry({ status: [{ scope, attribute: `${scope}Status`, value }] });
/** {@link QUESTION} about an invited outsider, whom nobody looks up. */
const askAbout = (recipient: string): Question => {
  const { lookup: _lookup, ...rest } = QUESTION;
  return { ...rest, recipient, examination: object({ attendees: [user(recipient)] }) };
};

const discovering = (discovered: Discovered): Question => ({ ...askAbout(OUTSIDER), origin: 'inside', discovered });
const OUTSIDE = 'the recipient is of no domain of ours';
const BY_MAIL = 'profile oracle-v6 takes invitations by mail';
const NO_COUNTER = 'profile generic does not take COUNTER';

const rows: readonly Row[] = [
  [
    'an invitation to an attendee is posted to his home server',
    QUESTION,
    POLICY,
    { rule: 'post', post: POSTED, annotate: true },
  ],
  // 1. Is there something to schedule?
  [
    'mail without anything to schedule is mail only, and not annotated',
    ask({ examination: { kind: 'none', reason: 'METHOD PUBLISH is not scheduled by mail', calendar: true } }),
    POLICY,
    {
      rule: 'nothing-to-schedule',
      post: mailOnly('5.6.0', 'METHOD PUBLISH is not scheduled by mail'),
      annotate: false,
    },
  ],
  // 2. Whose recipient is it?
  [
    'a silent directory defers the post',
    ask({ lookup: { kind: 'no-answer', reason: 'no connection' } }),
    POLICY,
    {
      rule: 'directory-silent',
      post: always({ kind: 'defer', status: '4.4.3', reason: 'no connection' }),
      annotate: true,
    },
  ],
  [
    'an address nobody has is mail only, and not annotated: lists stand in no directory of calendars',
    ask({ lookup: { kind: 'unknown', server: 'directory.example.com' } }),
    POLICY,
    {
      rule: 'unknown-recipient',
      post: mailOnly('5.1.1', 'the directory knows no such address'),
      annotate: false,
    },
  ],
  [
    'two entries of one address are ambiguous, with an alarm; where there is no mail copy it is held',
    ask({ lookup: found(ENTRY, { ...ENTRY, dn: 'uid=bob2,o=example.com' }) }),
    POLICY,
    {
      rule: 'ambiguous',
      post: {
        ...always({ kind: 'none', reason: 'ambiguous' }),
        ...wherePostIsAll({ kind: 'hold', reason: 'ambiguous' }),
      },
      annotate: true,
      alarm: true,
    },
  ],
  [
    'an address that only a catch-all has is mail only, and not annotated',
    ask({ recipient: 'nobody@example.com', lookup: entry({ catchAll: true }) }),
    POLICY,
    { rule: 'catch-all', post: mailInstead('5.1.1', 'only a catch-all has the address'), annotate: false },
  ],
  [
    'unless catch-alls are posted to: then it is whose mail it is',
    ask({
      recipient: 'nobody@example.com',
      lookup: entry({ catchAll: true }),
      examination: object({ attendees: [user('nobody@example.com')] }),
    }),
    { ...POLICY, catchAll: 'post' },
    {
      rule: 'post',
      post: always({ kind: 'post', server: NORTH, recipient: BOB, rewrite: 'nobody@example.com' }),
      annotate: true,
    },
  ],
  [
    'an inactive user gets no post; where there is no mail copy it is tried later',
    ask({ lookup: status('user', 'inactive') }),
    POLICY,
    {
      rule: 'inactive',
      post: {
        ...always({ kind: 'none', reason: 'userStatus is inactive' }),
        ...wherePostIsAll({ kind: 'defer', status: '4.2.1', reason: 'userStatus is inactive' }),
      },
      annotate: true,
    },
  ],
  [
    'a status nobody knows counts as inactive, with an alarm',
    ask({ lookup: status('user', 'asleep') }),
    POLICY,
    {
      rule: 'inactive',
      post: {
        ...always({ kind: 'none', reason: 'userStatus is asleep' }),
        ...wherePostIsAll({ kind: 'defer', status: '4.2.1', reason: 'userStatus is asleep' }),
      },
      annotate: true,
      alarm: true,
    },
  ],
  [
    'a disabled user gets no post',
    ask({ lookup: status('user', 'deleted') }),
    POLICY,
    { rule: 'disabled', post: mailOnly('5.2.1', 'userStatus is deleted'), annotate: true },
  ],
  [
    'a calendar that is not active gets no post',
    ask({ lookup: status('calendar', 'inactive') }),
    POLICY,
    { rule: 'disabled', post: mailOnly('5.2.1', 'calendarStatus is inactive'), annotate: true },
  ],
  [
    'an overquota mailbox does not keep the event from the calendar',
    ask({ lookup: status('mail', 'overquota') }),
    POLICY,
    { rule: 'post', post: POSTED, annotate: true },
  ],
  // 3. Is the user being moved?
  [
    'the post of a user who is being moved is held, in spite of his marker',
    ask({ lookup: entry({ moving: true }) }),
    POLICY,
    { rule: 'moving', post: always({ kind: 'hold', reason: 'moving' }), annotate: true },
  ],
  [
    'also when his marker names no back end',
    ask({ lookup: entry({ moving: true, marker: 'nowhere' }) }),
    POLICY,
    { rule: 'moving', post: always({ kind: 'hold', reason: 'moving' }), annotate: true },
  ],
  [
    'until a person lets it go: then it is posted by the rules as they are',
    ask({ lookup: entry({ moving: true }), released: true }),
    POLICY,
    { rule: 'post', post: POSTED, annotate: true },
  ],
  [
    'but is for nobody who is not invited, although his post was let go',
    ask({
      mode: 'filter',
      lookup: entry({ moving: true }),
      released: true,
      examination: object({ attendees: [user('anna@example.com')] }),
    }),
    POLICY,
    {
      rule: 'not-attendee',
      post: mailOnly('5.6.0', 'the recipient is not among the ATTENDEEs'),
      annotate: true,
    },
  ],
  // 4. May its author say this?
  [
    'one of ours as ORGANIZER is not believed from outside',
    ask({ examination: object({ organizer: user('anna@example.com') }) }),
    POLICY,
    {
      rule: 'author-is-ours',
      post: mailOnly('5.7.1', 'the ORGANIZER is of our own domain example.com, the message came from outside'),
      annotate: true,
    },
  ],
  [
    'but is from inside',
    ask({ origin: 'inside', examination: object({ organizer: user('anna@example.com') }) }),
    POLICY,
    { rule: 'post', post: POSTED, annotate: true },
  ],
  [
    'one of ours as replying ATTENDEE is not believed from outside',
    ask({ examination: { kind: 'object', object: { ...REPLY, attendees: [user('anna@example.com')] } } }),
    POLICY,
    {
      rule: 'author-is-ours',
      post: mailOnly('5.7.1', 'the ATTENDEE is of our own domain example.com, the message came from outside'),
      annotate: true,
    },
  ],
  [
    'another organizer than the one who was posted before is not believed',
    ask({ examination: object({ organizer: user('mallory@example.net'), method: 'CANCEL' }), ledger: [ROW] }),
    POLICY,
    {
      rule: 'another-organizer',
      post: mailOnly('5.7.1', `this UID was posted before for another organizer, ${OLGA}`),
      annotate: true,
    },
  ],
  [
    'an ORGANIZER that is no mailto: is mail only, also from inside',
    ask({ origin: 'inside', examination: object({ organizer: { uri: 'urn:uuid:1c9f3a' } }) }),
    POLICY,
    {
      rule: 'author-not-mailto',
      post: mailOnly('5.7.1', 'the ORGANIZER is no mailto: address (RFC 6047 section 2.1)'),
      annotate: true,
    },
  ],
  // 5. Is the recipient meant?
  [
    'whoever is not invited gets the mail only',
    ask({ examination: object({ attendees: [user('anna@example.com')] }) }),
    POLICY,
    {
      rule: 'not-attendee',
      post: mailOnly('5.6.0', 'the recipient is not among the ATTENDEEs'),
      annotate: true,
    },
  ],
  [
    'the organizer of a REQUEST gets no post of it',
    ask({ origin: 'inside', examination: object({ organizer: user(BOB), attendees: [user(OLGA)] }) }),
    POLICY,
    {
      rule: 'own-organizer',
      post: always({ kind: 'none', reason: 'the recipient is the ORGANIZER of this REQUEST' }),
      annotate: true,
    },
  ],
  [
    'an attendee by alias is posted under the address that the server knows',
    ask({ recipient: 'b.brown@example.com', examination: object({ attendees: [user('b.brown@example.com')] }) }),
    POLICY,
    {
      rule: 'post',
      post: always({ kind: 'post', server: NORTH, recipient: BOB, rewrite: 'b.brown@example.com' }),
      annotate: true,
    },
  ],
  [
    'an attendee by sub-address as well',
    ask({ recipient: 'bob+work@example.com', examination: object({ attendees: [user('bob+work@example.com')] }) }),
    POLICY,
    {
      rule: 'post',
      post: always({ kind: 'post', server: NORTH, recipient: BOB, rewrite: 'bob+work@example.com' }),
      annotate: true,
    },
  ],
  [
    'also in a CANCEL',
    ask({ examination: object({ method: 'CANCEL', attendees: [user('b.brown@example.com')] }) }),
    POLICY,
    {
      rule: 'post',
      post: always({ kind: 'post', server: NORTH, recipient: BOB, rewrite: 'b.brown@example.com' }),
      annotate: true,
    },
  ],
  [
    'a REPLY to the organizer by alias as well',
    ask({ examination: { kind: 'object', object: { ...REPLY, organizer: user('b.brown@example.com') } } }),
    POLICY,
    {
      rule: 'post',
      post: always({ kind: 'post', server: NORTH, recipient: BOB, rewrite: 'b.brown@example.com' }),
      annotate: true,
    },
  ],
  [
    'mail to an alias of somebody who is invited by his own address needs no rewriting',
    ask({ recipient: 'b.brown@example.com' }),
    POLICY,
    { rule: 'post', post: POSTED, annotate: true },
  ],
  // 6. Is it news?
  [
    'what is older than what was posted is stale',
    ask({ ledger: [{ ...ROW, sequence: 2 }] }),
    POLICY,
    { rule: 'stale', post: always({ kind: 'none', reason: 'stale' }), annotate: true },
  ],
  [
    'what was posted already is a duplicate',
    ask({ ledger: [ROW] }),
    POLICY,
    { rule: 'duplicate', post: always({ kind: 'none', reason: 'duplicate' }), annotate: true },
  ],
  [
    'equal numbers with another digest are posted',
    ask({ ledger: [{ ...ROW, digest: 'd0' }] }),
    POLICY,
    { rule: 'post', post: POSTED, annotate: true },
  ],
  [
    'what came back to us is held for a person, with an alarm',
    ask({ cameBack: true }),
    POLICY,
    {
      rule: 'came-back',
      post: always({
        kind: 'hold',
        reason: 'this message came back to us: two servers each take the other for the home of bob@example.com',
      }),
      annotate: true,
      alarm: true,
    },
  ],
  [
    'also where invitations go by mail: that server does not think itself the home',
    ask({ cameBack: true }),
    profiled('oracle-v6'),
    {
      rule: 'came-back',
      post: always({
        kind: 'hold',
        reason: 'this message came back to us: two servers each take the other for the home of bob@example.com',
      }),
      annotate: true,
      alarm: true,
    },
  ],
  [
    'but is posted once a person has let it go',
    ask({ cameBack: true, released: true }),
    POLICY,
    { rule: 'post', post: POSTED, annotate: true },
  ],
  [
    'what came back after it was posted is a duplicate like any other',
    ask({ cameBack: true, ledger: [ROW] }),
    POLICY,
    { rule: 'duplicate', post: always({ kind: 'none', reason: 'duplicate' }), annotate: true },
  ],
  [
    'what came back for somebody without calendar is mail only',
    ask({ cameBack: true, lookup: entry({ calendar: false }) }),
    POLICY,
    { rule: 'no-calendar', post: mailInstead('5.2.1', 'the entry has no calendar'), annotate: true },
  ],
  // 7. Which home server?
  [
    'an entry without calendar is mail only',
    ask({ lookup: entry({ calendar: false }) }),
    POLICY,
    { rule: 'no-calendar', post: mailInstead('5.2.1', 'the entry has no calendar'), annotate: true },
  ],
  [
    'a marker that no back end explains is deferred with an alarm, and never taken for v6',
    ask({ lookup: entry({ marker: 'nowhere' }) }),
    mapped('example.com=http://v6.example.com/'),
    {
      rule: 'marker-unknown',
      post: always({
        kind: 'defer',
        status: '4.3.5',
        reason: 'davStore is nowhere, which no calendar.back-ends line names',
        alarm: true,
      }),
      annotate: true,
      alarm: true,
    },
  ],
  [
    'a server of his own that nobody can make sense of is deferred with an alarm',
    ask({ lookup: entry({ server: 'west' }) }),
    mapped('example.com=http://v6.example.com/'),
    {
      rule: 'server-unknown',
      post: always({
        kind: 'defer',
        status: '4.3.5',
        reason: "the entry's own server is west: no calendar.back-ends line names it, and it is no URL",
        alarm: true,
      }),
      annotate: true,
      alarm: true,
    },
  ],
  [
    'without the marker the line of the domain map is v6, which takes invitations by mail',
    ask({ lookup: found(UNMARKED) }),
    mapped('example.com=http://v6.example.com/'),
    { rule: 'by-mail', post: mailInstead('5.2.1', 'profile oracle-v6 takes invitations by mail'), annotate: true },
  ],
  [
    'unless the line names its profile',
    ask({ lookup: found(UNMARKED) }),
    mapped('example.com=http://map.example.com/ profile=oracle-v7'),
    {
      rule: 'post',
      post: always({
        kind: 'post',
        server: { url: 'http://map.example.com/', profile: 'oracle-v7' },
        recipient: BOB,
      }),
      annotate: true,
    },
  ],
  [
    'without marker and line one of ours has no home server',
    ask({ lookup: found(UNMARKED) }),
    POLICY,
    {
      rule: 'no-home-server',
      post: mailInstead('5.2.1', 'no davStore, and no domain map line for example.com'),
      annotate: true,
    },
  ],
  [
    'where no marker is configured the default back end takes whom no line names',
    QUESTION,
    { ...POLICY, homes: { backEnds: new Map(), domainMap: [], defaultBackEnd: NORTH } },
    { rule: 'post', post: POSTED, annotate: true },
  ],
  [
    'an outsider is mail only, and not annotated',
    askAbout(OUTSIDER),
    POLICY,
    {
      rule: 'external',
      post: { ...mailOnly('5.7.1', OUTSIDE), relay: NO_RELAY },
      annotate: false,
    },
  ],
  [
    'unless one of inside writes to him: what he posts goes on by mail',
    { ...askAbout(OUTSIDER), origin: 'inside' },
    POLICY,
    { rule: 'external', post: mailInstead('5.7.1', OUTSIDE), annotate: false },
  ],
  [
    'an outsider whose server takes invitations by mail gets none from a peer of outside',
    askAbout(OUTSIDER),
    mapped('example.net=http://calendar.example.net/ profile=oracle-v6'),
    {
      rule: 'by-mail',
      relayRule: 'external',
      post: { ...mailOnly('5.2.1', BY_MAIL), relay: NO_RELAY },
      annotate: false,
    },
  ],
  [
    'but does from one of inside',
    { ...askAbout(OUTSIDER), origin: 'inside' },
    mapped('example.net=http://calendar.example.net/ profile=oracle-v6'),
    { rule: 'by-mail', post: mailInstead('5.2.1', BY_MAIL), annotate: false },
  ],
  [
    'an outsider whose server does not take the method as well',
    {
      ...askAbout(OUTSIDER),
      examination: { kind: 'object', object: { ...REPLY, method: 'COUNTER', organizer: user(OUTSIDER) } },
    },
    mapped('example.net=https://calendar.example.net/ischedule'),
    {
      rule: 'method-not-taken',
      relayRule: 'external',
      post: { ...mailOnly('5.6.0', NO_COUNTER), relay: NO_RELAY },
      annotate: false,
    },
  ],
  // The DNS of an outside domain
  [
    'an outsider is posted to the service that his DNS names, in the order that it names',
    discovering({ kind: 'service', urls: ['https://a.example.net/i', 'https://b.example.net/i'], because: 'SRV' }),
    POLICY,
    {
      rule: 'post',
      post: always({
        kind: 'post',
        server: {
          url: 'https://a.example.net/i',
          profile: 'generic',
          fallbacks: ['https://b.example.net/i'],
          discovered: true,
        },
        recipient: OUTSIDER,
      }),
      annotate: false,
    },
  ],
  [
    'the line of the domain map wins over the DNS',
    discovering({ kind: 'service', urls: ['https://a.example.net/i'], because: 'SRV' }),
    mapped('example.net=https://calendar.example.net/ischedule'),
    {
      rule: 'post',
      post: always({
        kind: 'post',
        server: { url: 'https://calendar.example.net/ischedule', profile: 'generic' },
        recipient: OUTSIDER,
      }),
      annotate: false,
    },
  ],
  [
    'without a service in the DNS he is an outsider like any other',
    discovering({ kind: 'none', reason: 'no SRV record' }),
    POLICY,
    { rule: 'external', post: mailInstead('5.7.1', `${OUTSIDE}: no SRV record`), annotate: false },
  ],
  [
    'a peer of outside posts to nobody whom only the DNS names',
    {
      ...discovering({ kind: 'service', urls: ['https://a.example.net/i'], because: 'SRV' }),
      origin: 'outside',
    },
    POLICY,
    {
      rule: 'post',
      relayRule: 'external',
      post: {
        ...always({
          kind: 'post',
          server: { url: 'https://a.example.net/i', profile: 'generic', discovered: true },
          recipient: OUTSIDER,
        }),
        relay: NO_RELAY,
      },
      annotate: false,
    },
  ],
  [
    'a silent DNS defers the post, as a silent directory does',
    discovering({ kind: 'no-answer', reason: 'no name server answers' }),
    POLICY,
    {
      rule: 'discovery-silent',
      post: always({ kind: 'defer', status: '4.4.3', reason: 'no name server answers' }),
      annotate: false,
    },
  ],
  [
    'an outsider whose domain has a line is posted, and not annotated, but for a peer of outside',
    askAbout(OUTSIDER),
    mapped('example.net=https://calendar.example.net/ischedule'),
    {
      rule: 'post',
      relayRule: 'external',
      post: {
        ...always({
          kind: 'post',
          server: { url: 'https://calendar.example.net/ischedule', profile: 'generic' },
          recipient: OUTSIDER,
        }),
        relay: NO_RELAY,
      },
      annotate: false,
    },
  ],
  // 8. What does that server take?
  [
    'a method that the server does not take is mail only',
    ask({ examination: { kind: 'object', object: { ...REPLY, method: 'COUNTER' } } }),
    POLICY,
    { rule: 'method-not-taken', post: mailInstead('5.6.0', 'profile cyrus does not take COUNTER'), annotate: true },
  ],
  ...(['generic', 'cyrus', 'oracle-v7', 'davical', 'apple', 'bedework'] as const).map(
    (profile): Row => [
      `profile ${profile} takes a REQUEST`,
      QUESTION,
      profiled(profile),
      {
        rule: 'post',
        post: always({ kind: 'post', server: { ...NORTH, profile }, recipient: BOB }),
        annotate: true,
      },
    ],
  ),
];

describe('the decision for one recipient', () => {
  for (const [title, question, policy, { post, ...expected }] of rows) {
    for (const mode of MODES) {
      test(`${title} (${mode})`, () => {
        const { steps: _steps, ...decision } = decide({ ...question, mode }, policy);
        const rule = expected.relayRule !== undefined && mode === 'relay' ? expected.relayRule : expected.rule;
        const { relayRule: _relayRule, ...rest } = expected;
        expect(decision).toEqual({ ...rest, rule, post: post[mode] });
      });
    }
  }

  describe('a status that is not active', () => {
    type Kind = 'active' | 'inactive' | 'inactive, alarm' | 'disabled';
    const table: readonly [scope: StatusValue['scope'], value: string, kind: Kind][] = [
      ['domain', 'active', 'active'],
      ['domain', 'inactive', 'inactive'],
      ['domain', 'hold', 'inactive'],
      ['domain', 'disabled', 'disabled'],
      ['domain', 'deleted', 'disabled'],
      ['domain', 'removed', 'disabled'],
      ['domain', 'overquota', 'active'],
      ['domain', 'asleep', 'inactive, alarm'],
      ['user', 'active', 'active'],
      ['user', 'inactive', 'inactive'],
      ['user', 'deleted', 'disabled'],
      ['user', 'removed', 'disabled'],
      ['user', 'asleep', 'inactive, alarm'],
      ['mail', 'active', 'active'],
      ['mail', 'inactive', 'inactive'],
      ['mail', 'hold', 'inactive'],
      ['mail', 'overquota', 'active'],
      ['mail', 'disabled', 'disabled'],
      ['mail', 'deleted', 'disabled'],
      ['mail', 'removed', 'disabled'],
      ['mail', 'asleep', 'inactive, alarm'],
      ['calendar', 'active', 'active'],
      ['calendar', 'inactive', 'disabled'],
      ['calendar', 'deleted', 'disabled'],
      ['calendar', 'removed', 'disabled'],
      ['calendar', 'asleep', 'inactive, alarm'],
    ];
    for (const [scope, value, kind] of table) {
      const reason = `${scope}Status is ${value}`;
      const lookup = entry({ status: [{ scope, attribute: `${scope}Status`, value }] });
      const off = kind === 'disabled' ? 'disabled' : 'inactive';
      const alarm = kind === 'inactive, alarm' ? { alarm: true } : {};
      const posted = { rule: 'post', post: POSTED.filter };
      const refused =
        off === 'disabled' ? { kind: 'reject', status: '5.2.1', reason } : { kind: 'defer', status: '4.2.1', reason };
      const postIsAll = kind === 'active' ? posted : { rule: off, post: refused, ...alarm };
      const expected: Record<'filter' | 'final' | 'relay', object> = {
        filter: kind === 'active' ? posted : { rule: off, post: { kind: 'none', reason }, ...alarm },
        final: postIsAll,
        relay: postIsAll,
      };
      for (const mode of ['filter', 'final', 'relay'] as const) {
        test(`of the ${scope}, ${value}, is ${kind} (${mode})`, () => {
          const { steps: _steps, ...decision } = decide({ ...QUESTION, mode, lookup }, POLICY);
          expect(decision).toEqual({ ...expected[mode], annotate: true });
        });
      }
    }

    const SCOPES = ['domain', 'user', 'mail', 'calendar'] as const;
    for (const [index, first] of SCOPES.entries()) {
      test(`of the ${first} decides before those after it, and after those before it`, () => {
        const status = SCOPES.map((scope, at) => ({
          scope,
          attribute: `${scope}Status`,
          value: at < index ? 'active' : 'deleted',
        }));
        expect(decide({ ...QUESTION, lookup: entry({ status }) }, POLICY).post).toEqual({
          kind: 'none',
          reason: `${first}Status is deleted`,
        });
      });
    }
  });

  describe('a REPLY of one of ours who was invited by another address', () => {
    const ask = (invitedAs: string, from: string): Question => ({
      ...QUESTION,
      origin: 'inside',
      examination: { kind: 'object', object: { ...REPLY, attendees: [user(from)] } },
      invitedAs,
    });

    test('is posted under the address that was invited', () => {
      const { steps, ...decision } = decide(ask('team-lead@example.com', 'anna@example.com'), POLICY);
      expect(decision).toEqual({
        rule: 'post',
        post: {
          kind: 'post',
          server: NORTH,
          recipient: BOB,
          author: { from: 'anna@example.com', to: 'team-lead@example.com' },
        },
        annotate: true,
      });
      expect(steps).toContainEqual({
        question: 'May its author say this?',
        answer: 'yes; anna@example.com was invited as team-lead@example.com',
      });
    });

    test('is left alone when it is the same address', () => {
      expect(decide(ask('Anna@example.com', 'anna@example.com'), POLICY).post).toEqual({
        kind: 'post',
        server: NORTH,
        recipient: BOB,
      });
    });

    test('means nothing to what an organizer says', () => {
      const question: Question = { ...QUESTION, invitedAs: 'o@example.org' };
      expect(decide(question, POLICY).post).toEqual({ kind: 'post', server: NORTH, recipient: BOB });
    });
  });

  test('what marks a user as being moved is told, and so is who let his post go', () => {
    const lookup = entry({ moving: true, movingBy: 'mailUserStatus=hold' });
    const told = (released: boolean) =>
      decide({ ...QUESTION, lookup, released }, POLICY).steps.find(({ question }) => question.includes('moved'));
    expect([told(false)?.answer, told(true)?.answer]).toEqual([
      'yes, by mailUserStatus=hold',
      'yes, by mailUserStatus=hold, but a person let the post go',
    ]);
  });

  describe('a room that nobody invited', () => {
    const question = {
      ...QUESTION,
      lookup: entry({ kind: 'resource' }),
      examination: object({ attendees: [user('anna@example.com')] }),
    };
    const reason = 'the recipient is not among the ATTENDEEs';

    test('has its message held for a person, with an alarm, where there is no mail copy', () => {
      const { steps: _steps, ...decision } = decide({ ...question, mode: 'final' }, POLICY);
      expect(decision).toEqual({
        rule: 'not-attendee',
        post: { kind: 'hold', reason },
        annotate: true,
        alarm: true,
      });
    });

    test('has it posted once a person has let it go', () => {
      const { steps, ...decision } = decide({ ...question, mode: 'final', released: true }, POLICY);
      expect(decision).toMatchObject({ rule: 'post', post: { kind: 'post' } });
      expect(steps).toContainEqual({
        question: 'Is the recipient meant?',
        answer: `yes, says who released it: ${reason}`,
      });
    });

    for (const mode of ['filter', 'copy'] as const) {
      test(`is like anybody else whom nobody invited, where there is one (${mode})`, () => {
        const { steps: _steps, ...decision } = decide({ ...question, mode }, POLICY);
        expect(decision).toEqual({ rule: 'not-attendee', post: { kind: 'none', reason }, annotate: true });
      });
    }
  });

  test('a room that nobody invited is refused to who posts to it: no person is asked', () => {
    const question: Question = {
      ...QUESTION,
      mode: 'relay',
      lookup: entry({ kind: 'resource' }),
      examination: object({ attendees: [user('anna@example.com')] }),
    };
    const { steps: _steps, ...decision } = decide(question, POLICY);
    expect(decision).toEqual({
      rule: 'not-attendee',
      post: { kind: 'reject', status: '5.6.0', reason: 'the recipient is not among the ATTENDEEs' },
      annotate: true,
    });
  });

  test('no mail is made of a post for a catch-all whose author is not believed', () => {
    const question: Question = {
      ...QUESTION,
      mode: 'relay',
      recipient: 'nobody@example.com',
      lookup: entry({ catchAll: true }),
      examination: object({ organizer: user('anna@example.com'), attendees: [user('nobody@example.com')] }),
    };
    const { steps: _steps, ...decision } = decide(question, POLICY);
    expect(decision).toEqual({
      rule: 'author-is-ours',
      post: {
        kind: 'reject',
        status: '5.7.1',
        reason: 'the ORGANIZER is of our own domain example.com, the message came from outside',
      },
      annotate: false,
    });
  });

  test('one of ours whom the directory was not asked about is deferred, not unknown', () => {
    const { lookup: _lookup, ...question } = QUESTION;
    expect(decide(question, POLICY)).toMatchObject({
      rule: 'directory-silent',
      post: { kind: 'defer', status: '4.4.3', reason: 'the directory was not asked' },
    });
  });
});

describe('the DNS of a domain is worth asking', () => {
  const DISCOVERING: Policy = { ...POLICY, discover: ['example.net'] };
  const QUESTIONED: Question = { ...askAbout(OUTSIDER), origin: 'inside' };
  const invitation = (recipient: string): Question => ({ ...askAbout(recipient), origin: 'inside' });
  const discover = (...patterns: readonly string[]): Policy => ({ ...POLICY, discover: patterns });

  const table: readonly [title: string, question: Question, policy: Policy, wanted: boolean][] = [
    ['for an invited outsider of a domain that a rule names', QUESTIONED, DISCOVERING, true],
    ['for every outsider where the rule is *', QUESTIONED, discover('*'), true],
    ['for a subdomain where the rule is *.domain', invitation('p@cal.example.net'), discover('*.example.net'), true],
    ['not for the domain itself there', QUESTIONED, discover('*.example.net'), false],
    ['not without a rule', QUESTIONED, POLICY, false],
    ['not for another domain', invitation('petra@example.org'), DISCOVERING, false],
    ['not for one of ours', QUESTION, discover('*'), false],
    ['not for one of ours whom nobody knows', ask({ lookup: { kind: 'unknown', server: 'd' } }), discover('*'), false],
    [
      'not where a line of the map names the server',
      QUESTIONED,
      { ...mapped('example.net=https://calendar.example.net/'), discover: ['*'] },
      false,
    ],
    [
      'not where there is nothing to schedule',
      { ...QUESTIONED, examination: { kind: 'none', reason: 'METHOD is missing', calendar: true } },
      DISCOVERING,
      false,
    ],
    [
      'not where he is not invited',
      { ...QUESTIONED, examination: object({ attendees: [user(BOB)] }) },
      DISCOVERING,
      false,
    ],
    [
      'not for the word of an author who is not believed',
      {
        ...QUESTIONED,
        origin: 'outside',
        examination: object({ organizer: user('anna@example.com'), attendees: [user(OUTSIDER)] }),
      },
      DISCOVERING,
      false,
    ],
    ['not for what is no news', { ...QUESTIONED, ledger: [ROW] }, DISCOVERING, false],
    ['not for what a peer of outside posts', { ...QUESTIONED, mode: 'relay', origin: 'outside' }, DISCOVERING, false],
    ['for what a peer of inside posts', { ...QUESTIONED, mode: 'relay' }, DISCOVERING, true],
    [
      'whatever it said before',
      { ...QUESTIONED, discovered: { kind: 'no-answer', reason: 'no name server answers' } },
      DISCOVERING,
      true,
    ],
  ];
  for (const [title, question, policy, wanted] of table)
    test(title, () => expect(wantsDiscovery(question, policy)).toBe(wanted));
});
