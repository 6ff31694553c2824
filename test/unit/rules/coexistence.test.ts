import { describe, expect, test } from 'vitest';
import { type Discovered, type Home, type Homes, homeOf } from '../../../rules/coexistence.ts';
import { parseDomainMap } from '../../../rules/domain-map.ts';
import type { Entry } from '../../../src/directory/directory.ts';
import type { CalendarServer } from '../../../src/mail/disposition.ts';
import { ENTRY, NORTH } from './samples.ts';

const SOUTH: CalendarServer = { url: 'https://south.example.com/', profile: 'davical' };
const USUAL: CalendarServer = { url: 'https://usual.example.com/', profile: 'generic' };
const BACK_ENDS = new Map([
  ['north', NORTH],
  ['south', SOUTH],
]);
const map = (...lines: readonly string[]) => parseDomainMap(lines.join('\n'), 'map.properties').entries;
const { marker: _, ...WITHOUT_MARKER } = ENTRY;

type Row = readonly [title: string, entry: Entry, homes: Homes, home: Home];

const table: readonly Row[] = [
  [
    'the value of the marker names the back end',
    { ...ENTRY, marker: 'south' },
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: [] },
    { kind: 'server', server: SOUTH, because: 'davStore is south' },
  ],
  [
    'the marker wins over the line of the domain map',
    ENTRY,
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: map('example.com=http://map.example.com/') },
    { kind: 'server', server: NORTH, because: 'davStore is north' },
  ],
  [
    'a marker that no back end explains is misconfigured, in spite of map and default',
    { ...ENTRY, marker: 'west' },
    {
      marker: 'davStore',
      backEnds: BACK_ENDS,
      domainMap: map('example.com=http://map.example.com/'),
      defaultBackEnd: USUAL,
    },
    {
      kind: 'misconfigured',
      rule: 'marker-unknown',
      reason: 'davStore is west, which no calendar.back-ends line names',
    },
  ],
  [
    'without the marker the line of the domain map means v6',
    WITHOUT_MARKER,
    {
      marker: 'davStore',
      backEnds: BACK_ENDS,
      domainMap: map('# the product’s own file', 'example.com=http://v6.example.com/ischedule/'),
    },
    {
      kind: 'server',
      server: { url: 'http://v6.example.com/ischedule/', profile: 'oracle-v6' },
      because: 'domain map line 2, example.com',
    },
  ],
  [
    'a wildcard line means v6 as well',
    WITHOUT_MARKER,
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: map('*=http://v6.example.com/') },
    {
      kind: 'server',
      server: { url: 'http://v6.example.com/', profile: 'oracle-v6' },
      because: 'domain map line 1, *',
    },
  ],
  [
    'unless the line names its profile',
    WITHOUT_MARKER,
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: map('example.com=http://map.example.com/ profile=cyrus') },
    {
      kind: 'server',
      server: { url: 'http://map.example.com/', profile: 'cyrus' },
      because: 'domain map line 1, example.com',
    },
  ],
  [
    'without the marker and without a line there is no home, in spite of the default',
    WITHOUT_MARKER,
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: map('example.net=http://x/'), defaultBackEnd: USUAL },
    {
      kind: 'none',
      rule: 'no-home-server',
      status: '5.2.1',
      reason: 'no davStore, and no domain map line for example.com',
    },
  ],
  [
    'where no marker is configured the line of the domain map is taken',
    ENTRY,
    { backEnds: BACK_ENDS, domainMap: map('example.com=http://map.example.com/'), defaultBackEnd: USUAL },
    {
      kind: 'server',
      server: { url: 'http://map.example.com/', profile: 'generic' },
      because: 'domain map line 1, example.com',
    },
  ],
  [
    'where no marker is configured and no line fits, the default back end is taken',
    ENTRY,
    { backEnds: BACK_ENDS, domainMap: map('example.net=http://x/'), defaultBackEnd: USUAL },
    { kind: 'server', server: USUAL, because: 'the default back end' },
  ],
  [
    'with none of the three there is no home',
    ENTRY,
    { backEnds: new Map(), domainMap: [] },
    {
      kind: 'none',
      rule: 'no-home-server',
      status: '5.2.1',
      reason: 'no domain map line for example.com and no default back end',
    },
  ],
  [
    'an entry without calendar has no home, whatever its marker says',
    { ...ENTRY, calendar: false },
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: map('*=http://x/'), defaultBackEnd: USUAL },
    { kind: 'none', rule: 'no-calendar', status: '5.2.1', reason: 'the entry has no calendar' },
  ],
  [
    'the back end that the entry itself names wins over the marker',
    { ...ENTRY, server: 'south' },
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: [] },
    { kind: 'server', server: SOUTH, because: "the entry's own server is south" },
  ],
  [
    'the URL that the entry itself names as well, with its options',
    { ...ENTRY, server: 'https://own.example.com/ischedule profile=oracle-v6' },
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: [] },
    {
      kind: 'server',
      server: { url: 'https://own.example.com/ischedule', profile: 'oracle-v6' },
      because: "the entry's own server is https://own.example.com/ischedule profile=oracle-v6",
    },
  ],
  [
    'a URL without options is of no kind in particular',
    { ...WITHOUT_MARKER, server: 'https://own.example.com/' },
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: map('*=http://v6.example.com/') },
    {
      kind: 'server',
      server: { url: 'https://own.example.com/', profile: 'generic' },
      because: "the entry's own server is https://own.example.com/",
    },
  ],
  [
    'a back end that nobody knows is misconfigured, in spite of marker, map and default',
    { ...ENTRY, server: 'west' },
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: map('*=http://x/'), defaultBackEnd: USUAL },
    {
      kind: 'misconfigured',
      rule: 'server-unknown',
      reason: "the entry's own server is west: no calendar.back-ends line names it, and it is no URL",
    },
  ],
  [
    'a broken URL as well',
    { ...ENTRY, server: 'https://own.example.com/ profile=exchange' },
    { marker: 'davStore', backEnds: BACK_ENDS, domainMap: [] },
    {
      kind: 'misconfigured',
      rule: 'server-unknown',
      reason:
        'the entry\'s own server is https://own.example.com/ profile=exchange: got the profile "exchange", need one of generic, cyrus, oracle-v7, oracle-v6, davical, apple, bedework',
    },
  ],
  [
    'the line is that of the primary address',
    { ...WITHOUT_MARKER, mail: 'bob@corp.example.com', addresses: ['bob@corp.example.com', 'bob@example.com'] },
    { backEnds: new Map(), domainMap: map('example.com=http://a/', '*.example.com=http://b/') },
    {
      kind: 'server',
      server: { url: 'http://b/', profile: 'generic' },
      because: 'domain map line 2, *.example.com',
    },
  ],
];

describe('the home server of one of our own', () => {
  for (const [title, entry, homes, home] of table) {
    test(title, () => expect(homeOf(entry.mail, entry, homes)).toEqual(home));
  }
});

describe('the home server of an outsider', () => {
  const homes = (...lines: readonly string[]): Homes => ({
    marker: 'davStore',
    backEnds: BACK_ENDS,
    defaultBackEnd: USUAL,
    domainMap: map(...lines),
  });

  const home = (...lines: readonly string[]): Home => homeOf('olga@example.org', undefined, homes(...lines));

  test('is that of the line for his domain, without v6 being meant', () => {
    expect(home('example.org=https://calendar.example.org/')).toEqual({
      kind: 'server',
      server: { url: 'https://calendar.example.org/', profile: 'generic' },
      because: 'domain map line 1, example.org',
    });
  });

  test('has the profile of its line', () => {
    expect(home('*.org=https://calendar.example.org/ profile=apple')).toEqual({
      kind: 'server',
      server: { url: 'https://calendar.example.org/', profile: 'apple' },
      because: 'domain map line 1, *.org',
    });
  });

  test('is nowhere without a line: back ends and default are for our own', () => {
    expect(home('example.net=https://x/')).toEqual({
      kind: 'none',
      rule: 'external',
      status: '5.7.1',
      reason: 'the recipient is of no domain of ours',
    });
  });

  describe('when its DNS was asked', () => {
    const discovered = (answer: Discovered, ...lines: readonly string[]): Home =>
      homeOf('olga@example.org', undefined, homes(...lines), answer);
    const SERVICE: Discovered = {
      kind: 'service',
      urls: ['https://a.example.org/.well-known/ischedule', 'https://b.example.org/x'],
      because: 'SRV _ischedules._tcp.example.org',
    };

    test('is the first URL, with the others to fall back on', () => {
      expect(discovered(SERVICE)).toEqual({
        kind: 'server',
        server: {
          url: 'https://a.example.org/.well-known/ischedule',
          profile: 'generic',
          fallbacks: ['https://b.example.org/x'],
          discovered: true,
        },
        because: 'SRV _ischedules._tcp.example.org',
      });
    });

    test('has nothing to fall back on when there is one URL', () => {
      expect(discovered({ ...SERVICE, urls: ['https://a.example.org/'] })).toEqual({
        kind: 'server',
        server: { url: 'https://a.example.org/', profile: 'generic', discovered: true },
        because: 'SRV _ischedules._tcp.example.org',
      });
    });

    test('is that of the line for his domain all the same', () => {
      expect(discovered(SERVICE, 'example.org=https://calendar.example.org/')).toEqual({
        kind: 'server',
        server: { url: 'https://calendar.example.org/', profile: 'generic' },
        because: 'domain map line 1, example.org',
      });
    });

    test('is nowhere when it names no service', () => {
      expect(discovered({ kind: 'none', reason: 'no SRV record' })).toEqual({
        kind: 'none',
        rule: 'external',
        status: '5.7.1',
        reason: 'the recipient is of no domain of ours: no SRV record',
      });
    });

    test('is not known while it is silent', () => {
      expect(discovered({ kind: 'no-answer', reason: 'SERVFAIL' })).toEqual({ kind: 'silent', reason: 'SERVFAIL' });
    });

    test('says nothing of one of ours', () => {
      expect(homeOf(ENTRY.mail, ENTRY, homes(), SERVICE)).toMatchObject({ kind: 'server', server: NORTH });
    });
  });
});
