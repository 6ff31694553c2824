import { describe, expect, test } from 'vitest';
import type { BusyAccess } from '../../../rules/busy-access.ts';
import { memberAccess, statusFor } from '../../../rules/busy-right.ts';
import type { Homes } from '../../../rules/coexistence.ts';
import {
  type BusyFacts,
  type BusyPolicy,
  type BusyRoute,
  routeBusy,
  wantsBusyDiscovery,
} from '../../../rules/free-busy.ts';
import { statusOf } from '../../../rules/request-status.ts';
import type { Entry, Lookup } from '../../../src/directory/directory.ts';
import type { CalendarServer } from '../../../src/mail/disposition.ts';
import { found, group, user } from '../directory/fake-directory.ts';
import { OPEN } from './open-access.ts';

const HIDDEN: BusyAccess = { ...OPEN, unknown: 'hidden' };

const V6: CalendarServer = { url: 'http://cs6.example.com/ischedule/', profile: 'oracle-v6' };
const V7: CalendarServer = { url: 'https://cal7.example.com/ischedule/', profile: 'oracle-v7' };
const EAST: CalendarServer = { url: 'https://east.example.com/ischedule/', profile: 'oracle-v7' };
const ORG: CalendarServer = { url: 'https://cal.example.org/ischedule/', profile: 'generic' };

/** A site in its migration: `davStore` says who is on v7. */
const MIGRATING: Homes = {
  marker: 'davStore',
  backEnds: new Map([['store1', V7]]),
  domainMap: [
    { domain: 'example.com', url: V6.url, line: 1 },
    { domain: 'example.org', url: ORG.url, line: 2 },
  ],
};
const POLICY: BusyPolicy = {
  domains: new Set(['example.com', 'example.net']),
  subAddressSeparators: '+',
  homes: MIGRATING,
  catchAll: 'mail',
  publishedHosts: ['www.example.com', 'dav.example.com:8443'],
};

const unknown: Lookup = { kind: 'unknown', server: 'test' };

function route(facts: Partial<BusyFacts> & { readonly attendee: string }, policy: BusyPolicy = POLICY): BusyRoute {
  return routeBusy({ access: OPEN, ...facts }, policy);
}

/** Of one of ours. */
function routeOf(entry: Entry, access: BusyAccess = OPEN, policy: BusyPolicy = POLICY): BusyRoute {
  return routeBusy({ attendee: entry.mail, access, lookup: found(entry) }, policy);
}

function urls(one: BusyRoute): readonly string[] {
  return one.kind === 'ask'
    ? one.targets.map((target) => (target.kind === 'server' ? target.server.url : target.url))
    : [];
}

describe('who may ask about whom', () => {
  const alias = user('ann@example.com', { addresses: ['ann@example.com', 'boss@example.net'], calendar: false });
  const granted = (about: readonly string[], notAbout: readonly string[], attendee: string, lookup?: Lookup) =>
    routeBusy({ attendee, access: { ...OPEN, about, notAbout }, ...(lookup === undefined ? {} : { lookup }) }, POLICY)
      .rule !== 'not-allowed';

  test.for([
    [['*'], [], 'ann@example.com', true],
    [[], [], 'ann@example.com', false],
    [['example.com'], [], 'ann@example.com', true],
    [['example.com'], [], 'ann@EXAMPLE.com', true],
    [['example.com'], [], 'ann@sub.example.com', false],
    [['*.example.com'], [], 'ann@sub.example.com', true],
    [['*.example.com'], [], 'ann@example.com', false],
    [['Ann@Example.com'], [], 'ann@example.com', true],
    [['ben@example.com'], [], 'ann@example.com', false],
    [['*'], ['ann@example.com'], 'Ann@example.COM', false],
    [['*'], ['example.com'], 'ann@example.com', false],
    [['*'], ['*'], 'ann@example.com', false],
    [['ann@example.com'], ['example.com'], 'ann@example.com', false],
    [['*'], ['ann@example.org'], 'ann+x@example.org', false],
    [['*'], ['ann@example.org'], '"ann"@example.org', false],
    [['*'], ['ann@example.org'], '"an\\n"@example.org', false],
    [['*'], ['ann@example.org'], ' ann@example.org', false],
    [['*'], ['ann@example.org'], '"ann+x"@example.org', false],
    [['*'], ['ann@example.org'], 'ann\u0085@example.org', false],
    [['*'], ['ann@example.org'], 'a\u200bnn@example.org', false],
    [['*'], ['jörg@example.org'], 'jo\u0308rg@example.org', false],
    [['*'], ['ann@example.org'], '"a nn"@example.org', true],
    [['ann@example.com'], [], 'boss@example.net', true],
    [['boss@example.net'], [], 'boss@example.net', true],
    [['boss@example.net'], [], 'ann@example.com', false],
    [['*'], ['ann@example.com'], 'boss@example.net', false],
    [['*'], ['boss@example.net'], 'ann@example.com', false],
    [['*'], ['example.net'], 'ann@example.com', false],
  ] as const)('about %j, not about %j: %s is %s', ([about, notAbout, attendee, wanted]) => {
    const isOurs = /@example\.(com|net)$/i.test(attendee);
    expect(granted(about, notAbout, attendee, isOurs ? found(alias) : undefined)).toBe(wanted);
  });

  test('an address of several entries is one that must not be asked about, when one of them must not', () => {
    const lookup = found(user('ann@example.com'), user('ben@example.com'));
    expect(granted(['*'], ['ben@example.com'], 'both@example.com', lookup)).toBe(false);
  });

  test('whose catch-all takes the mail is not who is asked about', () => {
    const lookup = found(user('ann@example.com', { catchAll: true }));
    expect(granted(['*'], ['ann@example.com'], 'nobody@example.com', lookup)).toBe(true);
    expect(granted(['ann@example.com'], [], 'nobody@example.com', lookup)).toBe(false);
  });
});

describe('one of ours', () => {
  const off = (scope: 'user' | 'mail' | 'calendar', value: string) => ({
    status: [{ scope, attribute: 'inetUserStatus', value }],
  });

  test.for<[string, Lookup, string, string, boolean]>([
    ['nobody has', unknown, 'unknown', '3.7', false],
    ['only a catch-all takes', found(user('ben@example.com', { catchAll: true })), 'unknown', '3.7', false],
    ['two entries have', found(user('a@example.com'), user('b@example.com')), 'ambiguous', '5.1', true],
    ['the directory does not answer for', { kind: 'no-answer', reason: 'down' }, 'directory-silent', '5.1', false],
    ['is of a disabled user', found(user('ann@example.com', off('user', 'deleted'))), 'disabled', '3.7', false],
    [
      'is of a user without calendar rights',
      found(user('ann@example.com', off('calendar', 'http'))),
      'disabled',
      '3.7',
      false,
    ],
    ['is of an inactive user', found(user('ann@example.com', off('mail', 'inactive'))), 'inactive', '5.3', false],
    ['has a status nobody knows', found(user('ann@example.com', off('mail', 'odd'))), 'inactive', '5.3', true],
    ['is of a user without calendar', found(user('ann@example.com', { calendar: false })), 'no-calendar', '5.3', false],
    ['is of a store nobody knows', found(user('ann@example.com', { marker: 'lost' })), 'marker-unknown', '5.1', true],
    ['is of a server nobody knows', found(user('ann@example.com', { server: 'lost' })), 'server-unknown', '5.1', true],
    ['is of a domain without a server', found(user('ann@example.net')), 'no-home-server', '5.3', false],
  ])('an address that %s is answered', ([, lookup, rule, code, alarm]) => {
    const answer = route({ attendee: 'ann@example.com', lookup });
    expect(answer).toMatchObject({ kind: 'answer', rule, status: { code } });
    expect(answer.alarm ?? false).toBe(alarm);
  });

  test('is not answered for as unknown when the directory was not asked', () => {
    expect(route({ attendee: 'ann@example.com' })).toMatchObject({ rule: 'directory-silent', status: { code: '5.1' } });
  });

  const v7 = { marker: 'store1' };
  const unmarked: Homes = {
    backEnds: new Map([['main', V7]]),
    defaultBackEnd: V7,
    domainMap: [{ domain: 'example.com', url: V6.url, profile: 'oracle-v6', line: 1 }],
  };
  const twoStores: Homes = {
    ...MIGRATING,
    backEnds: new Map([
      ['store1', V7],
      ['store2', EAST],
    ]),
  };
  const oneStoreTwice: Homes = {
    ...MIGRATING,
    backEnds: new Map([
      ['store1', V7],
      ['store2', V7],
    ]),
  };
  const onlyMarked: Homes = { ...MIGRATING, domainMap: [] };
  const sameServer: Homes = { ...MIGRATING, domainMap: [{ domain: 'example.com', url: V7.url, line: 1 }] };

  test.for<[string, Partial<Entry>, Homes, string, readonly string[]]>([
    ['of v7 is asked about there, then at v6', v7, MIGRATING, 'home-server', [V7.url, V6.url]],
    ['of v6 is asked about there, then at v7', {}, MIGRATING, 'home-server', [V6.url, V7.url]],
    ['of v6 is asked about there alone where v7 is several', {}, twoStores, 'home-server', [V6.url]],
    ['of v6 is asked about at the one back end of two names', {}, oneStoreTwice, 'home-server', [V6.url, V7.url]],
    ['of v6 by the map is then asked about at the default', {}, unmarked, 'home-server', [V6.url, V7.url]],
    ['of v7 without a line for v6 is asked about there alone', v7, onlyMarked, 'home-server', [V7.url]],
    ['is asked about once where both are one server', v7, sameServer, 'home-server', [V7.url]],
    [
      'with a server of his own is asked about there alone',
      { ...v7, server: 'store1' },
      MIGRATING,
      'home-server',
      [V7.url],
    ],
    ['being moved is asked about at v6 first', { ...v7, moving: true }, MIGRATING, 'moving', [V6.url, V7.url]],
    ['being moved before he is marked, too', { moving: true }, MIGRATING, 'moving', [V6.url, V7.url]],
    ['being moved is asked about at v7 where nothing says v6', { ...v7, moving: true }, onlyMarked, 'moving', [V7.url]],
  ])('a user %s', ([, more, homes, rule, wanted]) => {
    const one = routeOf(user('ann@example.com', more), OPEN, { ...POLICY, homes });
    expect(one).toMatchObject({ kind: 'ask', rule, mailbox: 'ann@example.com' });
    expect(urls(one)).toEqual(wanted);
    expect(one).not.toHaveProperty('alarm');
  });

  test('a user being moved to a store that no line names is asked about at v6, and somebody should look', () => {
    const one = routeOf(user('ann@example.com', { marker: 'lost', moving: true }));
    expect(urls(one)).toEqual([V6.url]);
    expect(one.alarm).toBe(true);
  });

  test('a user whom the move has closed v6 to is asked about there', () => {
    const status = [{ scope: 'calendar', attribute: 'icsAllowedServiceAccess', value: '-http:all' }] as const;
    expect(routeOf(user('ann@example.com', { status, moving: true })).rule).toBe('moving');
    expect(routeOf(user('ann@example.com', { status })).rule).toBe('disabled');
  });

  test('is asked about by his primary address, however he was written', () => {
    const entry = user('ann@example.com', { addresses: ['ann@example.com', 'a@example.com'], detail: 'x' });
    expect(route({ attendee: 'A+x@Example.com', lookup: found(entry) })).toMatchObject({ mailbox: 'ann@example.com' });
  });

  test.for([
    ['https://www.example.com/ann.ifb', true],
    ['http://WWW.example.com/ann.ifb', true],
    ['https://www.example.com:443/ann.ifb', true],
    ['https://www.example.com:8443/ann.ifb', false],
    ['https://dav.example.com:8443/ann.ifb', true],
    ['https://dav.example.com/ann.ifb', false],
    ['https://www.example.com.example.org/ann.ifb', false],
    ['https://www.example.com@example.org/ann.ifb', false],
    ['https://ann:secret@www.example.com/ann.ifb', false],
    ['ftp://www.example.com/ann.ifb', false],
    ['file:///etc/passwd', false],
    ['www.example.com', false],
  ] as const)('without a calendar, what he publishes at %s is fetched: %s', ([freeBusyUrl, fetched]) => {
    const one = routeOf(user('ann@example.com', { calendar: false, freeBusyUrl }));
    if (fetched) expect(one).toMatchObject({ rule: 'published', targets: [{ kind: 'published', url: freeBusyUrl }] });
    else expect(one).toMatchObject({ rule: 'no-calendar', status: { code: '5.3' } });
  });

  test('without a home server is asked about by what he publishes, and with one is not', () => {
    const freeBusyUrl = 'https://www.example.com/ann.ifb';
    expect(routeOf(user('ann@example.net', { freeBusyUrl })).rule).toBe('published');
    expect(urls(routeOf(user('ann@example.com', { freeBusyUrl })))).toEqual([V6.url, V7.url]);
  });

  test('the path of a decision is recorded whole', () => {
    expect(routeOf(user('ann@example.com', v7))).toEqual({
      kind: 'ask',
      rule: 'home-server',
      mailbox: 'ann@example.com',
      targets: [
        { kind: 'server', server: V7, because: 'davStore is store1' },
        { kind: 'server', server: V6, because: 'domain map line 1, example.com' },
      ],
      steps: [
        { question: 'May this asker know about him?', answer: 'yes: about has *' },
        { question: 'Whose address is it?', answer: 'mail=ann@example.com,o=isp, by mail=ann@example.com' },
        { question: 'Is he being moved?', answer: 'no' },
        {
          question: 'Which servers are asked?',
          answer: `${V7.url}, because davStore is store1; then ${V6.url}, because domain map line 1, example.com`,
        },
      ],
    });
  });
});

describe('a list', () => {
  const staff = group('staff@example.com', ['cn=x']);
  const restricted: Entry = {
    ...staff,
    group: { memberDns: [], memberAddresses: [], memberUrls: [], restrictedBy: 'mgrpModerator' },
  };

  test('is expanded', () => {
    expect(routeOf(staff)).toEqual({
      kind: 'expand',
      rule: 'list',
      group: staff,
      steps: [
        { question: 'May this asker know about him?', answer: 'yes: about has *' },
        {
          question: 'Whose address is it?',
          answer: 'mail=staff@example.com,o=isp, a list, by mail=staff@example.com',
        },
      ],
    });
  });

  test.for([
    ['not everybody may write to', restricted, 'list-restricted', '3.8'],
    ['is off for now', { ...staff, status: [{ scope: 'mail', attribute: 's', value: 'inactive' }] }, 'inactive', '5.3'],
    ['is gone', { ...staff, status: [{ scope: 'mail', attribute: 's', value: 'deleted' }] }, 'disabled', '3.7'],
  ] as const)('that %s is not', ([, entry, rule, code]) => {
    expect(routeOf(entry as Entry)).toMatchObject({ kind: 'answer', rule, status: { code } });
    expect(routeOf(entry as Entry, HIDDEN)).toMatchObject({ rule, status: statusOf('3.7') });
  });

  test('a member is routed by the right to its list, unless he must not be asked about', () => {
    const access = { ...HIDDEN, about: ['staff@example.com'], notAbout: ['boss@example.com'] };
    expect(routeOf(user('ann@example.com'), access).rule).toBe('not-allowed');
    expect(routeOf(user('ann@example.com'), memberAccess(access)).kind).toBe('ask');
    expect(routeOf(user('boss@example.com'), memberAccess(access))).toMatchObject({
      rule: 'not-allowed',
      status: { code: '3.8' },
    });
  });
});

describe('an outsider', () => {
  const discover: BusyPolicy = { ...POLICY, discover: ['*.test'] };
  const service = {
    kind: 'service',
    urls: ['https://a.test/', 'https://b.test/'],
    because: 'the DNS of a.test',
  } as const;

  test('of a domain in the map is asked about there', () => {
    expect(route({ attendee: 'Olga@Example.ORG' })).toMatchObject({
      kind: 'ask',
      rule: 'external-server',
      mailbox: 'Olga@example.org',
      targets: [{ kind: 'server', server: ORG, because: 'domain map line 2, example.org' }],
    });
  });

  test('of any other domain is unknown', () => {
    expect(route({ attendee: 'olga@a.test' })).toMatchObject({ rule: 'external', status: { code: '3.7' } });
  });

  test.for([
    ['olga@a.test', discover, OPEN, true],
    ['olga@a.test', POLICY, OPEN, false],
    ['olga@test', discover, OPEN, false],
    ['olga@example.org', { ...discover, discover: ['*'] }, OPEN, false],
    ['ann@example.com', { ...discover, discover: ['*'] }, OPEN, false],
    ['olga@a.test', discover, { ...OPEN, about: ['example.com'] }, false],
    ['olga@a.test', discover, { ...HIDDEN, notAbout: ['a.test'] }, false],
    ['olga', discover, OPEN, false],
  ] as const)('%s: whether the DNS is asked (case %#)', ([attendee, policy, access, wanted]) => {
    expect(wantsBusyDiscovery({ attendee, access }, policy)).toBe(wanted);
  });

  test('with a discovered service is asked about there', () => {
    const one = route({ attendee: 'olga@a.test', discovered: service }, discover);
    expect(one).toMatchObject({
      rule: 'external-server',
      targets: [{ server: { url: 'https://a.test/', fallbacks: ['https://b.test/'], discovered: true } }],
    });
  });

  test('without a service is unknown, and with a silent DNS not available', () => {
    const found = (discovered: BusyFacts['discovered'] & object) =>
      route({ attendee: 'olga@a.test', discovered }, discover);
    expect(found({ kind: 'none', reason: 'no SRV' })).toMatchObject({ rule: 'external', status: { code: '3.7' } });
    expect(found({ kind: 'no-answer', reason: 'timeout' })).toMatchObject({
      rule: 'discovery-silent',
      status: { code: '5.1' },
    });
  });

  test.for(['olga', '', '@example.com', 'a\0b@example.com', 'mailto:'])('%j is no address, and unknown', (attendee) => {
    expect(route({ attendee })).toMatchObject({ rule: 'unknown', status: { code: '3.7' } });
  });
});

describe('who is not to know who exists', () => {
  const off = { status: [{ scope: 'user', attribute: 's', value: 'inactive' }] } as const;
  const only = { ...HIDDEN, about: ['example.com'], notAbout: ['boss@example.com'] };

  test.for<[string, Lookup | undefined, string]>([
    ['nobody@example.com', unknown, 'unknown'],
    ['boss@example.com', found(user('boss@example.com')), 'not-allowed'],
    ['boss@example.com', unknown, 'not-allowed'],
    ['ann@example.net', found(user('ann@example.net')), 'not-allowed'],
    ['ann@example.com', found(user('ann@example.com', { calendar: false })), 'no-calendar'],
    ['ann@example.com', found(user('ann@example.com', off)), 'inactive'],
    [
      'ann@example.com',
      found(user('ann@example.com', { status: [{ scope: 'user', attribute: 's', value: 'deleted' }] })),
      'disabled',
    ],
    ['olga@example.org', undefined, 'not-allowed'],
    ['no address', undefined, 'not-allowed'],
  ])('reads one and the same of %s (case %#)', ([attendee, lookup, rule]) => {
    const answer = routeBusy({ attendee, access: only, ...(lookup === undefined ? {} : { lookup }) }, POLICY);
    expect(answer).toMatchObject({ kind: 'answer', rule });
    expect(answer.kind === 'answer' && answer.status).toEqual({ code: '3.7', description: 'Invalid calendar user' });
  });

  test('reads of a server that does not answer what everybody reads', () => {
    for (const status of [statusOf('5.1', 'Late.'), statusOf('2.0'), statusOf('3.5', 'Too long.')])
      expect(statusFor(HIDDEN, status)).toEqual(status);
  });

  test('reads nothing of what a server says for good', () => {
    for (const code of ['3.7', '3.8', '5.3']) expect(statusFor(HIDDEN, statusOf(code, 'x'))).toEqual(statusOf('3.7'));
    expect(statusFor(OPEN, statusOf('3.8', 'x'))).toEqual(statusOf('3.8', 'x'));
  });
});

test('no answer names a server, an attribute or an entry', () => {
  const answers = [
    route({ attendee: 'ann@example.com', lookup: found(user('a@example.com'), user('b@example.com')) }),
    route({ attendee: 'ann@example.com', lookup: { kind: 'no-answer', reason: 'ldap.example.com refused' } }),
    routeOf(user('ann@example.com', { marker: 'lost' })),
    routeOf(user('ann@example.com', { calendar: false })),
    routeOf(user('ann@example.net')),
  ];
  for (const answer of answers) {
    expect(answer.kind).toBe('answer');
    expect(JSON.stringify(answer.kind === 'answer' && answer.status)).not.toMatch(/davStore|ldap|mail=|http|lost/);
  }
});
