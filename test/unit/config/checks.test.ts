import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';

const DIRECTORY = { kind: 'ldif', file: 'people.ldif' };
const CALENDAR = { default: { url: 'http://127.0.0.1:8080/' } };
const NEXT_HOP = { address: '127.0.0.1:10026' };

/** Everything said of a configuration that is right but for what is put in; warnings in brackets. */
function said(changes: Readonly<Record<string, unknown>>): readonly string[] {
  const input = {
    hostname: 'gw.example.com',
    domains: ['example.com', 'example.org'],
    listeners: [{ name: 'in' }],
    directory: DIRECTORY,
    calendar: CALENDAR,
    'next-hop': NEXT_HOP,
    ...changes,
  };
  const loaded = parseConfig(input, 'x');
  const plain = (text: string): string => text.slice('x: '.length);
  return [...(loaded.ok ? [] : loaded.errors.map(plain)), ...loaded.warnings.map((text) => `(${plain(text)})`)];
}

test('nothing is said of a configuration without contradictions', () => {
  expect(said({})).toEqual([]);
});

describe('a copy listener', () => {
  const copy = (more: object) => said({ listeners: [{ name: 'copy', mode: 'copy', ...more }] });

  test('takes the duplicate of each of our domains', () => {
    expect(copy({ 'copy-domains': { 'Copy.example.com': 'Example.COM', 'copy.example.org': 'example.org' } })).toEqual(
      [],
    );
  });

  test('without copy-domains is refused', () => {
    expect(copy({})).toEqual([
      'listeners[0].mode: copy needs copy-domains, such as {copy.example.com: example.com}: the domain of the duplicate and that of the user',
    ]);
  });

  test('whose user domain is not ours is refused', () => {
    expect(copy({ 'copy-domains': { 'copy.example.com': 'example.net' } })).toEqual([
      'listeners[0].copy-domains.copy.example.com: got example.net, need one of domains: example.com, example.org',
    ]);
  });

  test('whose duplicates come to one of our domains is refused', () => {
    expect(copy({ 'copy-domains': { 'example.org': 'example.com' } })).toEqual([
      'listeners[0].copy-domains.example.org: is one of domains, need a domain that only duplicates are sent to',
    ]);
  });

  test('with one collecting address is refused with the reason, however it is written', () => {
    expect(copy({ collect: 'calendars@example.com' })).toEqual([
      'listeners[0].collect: a copy listener cannot have one collecting address: only the envelope tells whose calendar is meant, so the user must be the envelope recipient; send the duplicate to user@copy.example.com and set copy-domains',
    ]);
    expect(copy({ 'copy-domains': { 'copy.example.com': 'calendars@example.com' } })).toEqual([
      'listeners[0].copy-domains.copy.example.com: got the address "calendars@example.com", need a mail domain, such as example.com: one collecting address cannot serve, since only the envelope tells whose calendar is meant',
    ]);
  });

  test('that names one domain twice is refused', () => {
    expect(copy({ 'copy-domains': { 'copy.example.com': 'example.com', 'COPY.example.com': 'example.org' } })).toEqual([
      'listeners[0].copy-domains.COPY.example.com: names the mail domain "copy.example.com" a second time',
    ]);
  });

  test('is the only one that has copy-domains', () => {
    expect(said({ listeners: [{ name: 'in', 'copy-domains': { 'copy.example.com': 'example.com' } }] })).toEqual([
      'listeners[0].copy-domains: got copy-domains with mode filter, need mode: copy or no copy-domains',
    ]);
  });
});

describe('what a listener needs', () => {
  test('a final or copy listener needs a directory, a filter listener does not', () => {
    const listeners = [
      { name: 'f', mode: 'filter', address: '127.0.0.1:1' },
      { name: 'r', mode: 'final', address: '127.0.0.1:2' },
      { name: 'c', mode: 'copy', address: '127.0.0.1:3', 'copy-domains': { 'copy.example.com': 'example.com' } },
    ];
    expect(said({ listeners, directory: undefined })).toEqual([
      'listeners[1].mode: final needs a directory to know its users; add the section directory',
      'listeners[2].mode: copy needs a directory to know its users; add the section directory',
      '(directory: is not configured, so no recipient is known and nothing is ever posted)',
    ]);
  });

  test('a filter listener needs a next hop', () => {
    expect(said({ 'next-hop': undefined, 'smart-host': NEXT_HOP })).toEqual([
      'listeners[0].mode: filter passes mail on, need next-hop.address: the mail server that gets it',
    ]);
  });

  test('a final listener should have a way out for its delivery reports', () => {
    expect(said({ 'next-hop': undefined, listeners: [{ name: 'rooms', mode: 'final' }] })).toEqual([
      '(listeners[0].mode: delivery reports of this listener have no way out; add smart-host)',
    ]);
    expect(
      said({ 'next-hop': undefined, 'smart-host': NEXT_HOP, listeners: [{ name: 'rooms', mode: 'final' }] }),
    ).toEqual([]);
  });

  test('clients from everywhere are warned about', () => {
    expect(said({ listeners: [{ name: 'in', clients: ['127.0.0.1', '::/0'] }] })).toEqual([
      '(listeners[0].clients: everybody may relay through this listener; name the networks of your mail servers)',
    ]);
  });
});

describe('two listeners', () => {
  const addresses = (first: string, second: string) =>
    said({
      'next-hop': { address: 'mail.example.com:25' },
      listeners: [
        { name: 'a', address: first },
        { name: 'b', address: second },
      ],
    });

  test.each([
    ['127.0.0.1:2500', '127.0.0.1:2500'],
    ['localhost:2500', '127.0.0.1:2500'],
    ['0.0.0.0:2500', '127.0.0.1:2500'],
    ['[::1]:2500', '[::]:2500'],
  ])('%s and %s are refused', (first, second) => {
    expect(addresses(first, second)).toEqual([
      `listeners[1].address: ${second} is taken by listener a (${first}), need another address or port`,
    ]);
  });

  test.each([
    ['127.0.0.1:2500', '127.0.0.1:2501'],
    ['127.0.0.1:2500', '127.0.0.2:2500'],
    ['127.0.0.1:0', '127.0.0.1:0'],
  ])('%s and %s are taken', (first, second) => {
    expect(addresses(first, second)).toEqual([]);
  });

  test('of one name are refused', () => {
    expect(said({ listeners: [{ name: 'in' }, { name: 'in', address: '127.0.0.1:2' }] })).toEqual([
      'listeners[1].name: two listeners are called in, need a name of its own',
    ]);
  });
});

describe('a next hop that is one of our own listeners is refused', () => {
  test.each([
    ['127.0.0.1:2500', '127.0.0.1:2500'],
    ['127.0.0.1:2500', 'LOCALHOST:2500'],
    ['0.0.0.0:2500', '127.0.0.9:2500'],
    ['[::]:2500', '[::1]:2500'],
    ['0.0.0.0:2500', 'gw.example.com:2500'],
  ])('listener %s, next hop %s', (listener, address) => {
    expect(said({ listeners: [{ name: 'in', address: listener }], 'next-hop': { address } })).toEqual([
      `next-hop.address: ${address} is our own listener in: mail would run in a circle; name the mail server behind us`,
    ]);
  });

  test.each([
    ['127.0.0.1:2500', '127.0.0.1:2501'],
    ['127.0.0.1:2500', '127.0.0.2:2500'],
    ['0.0.0.0:2500', 'mail.example.com:2500'],
  ])('listener %s with next hop %s is taken', (listener, address) => {
    expect(said({ listeners: [{ name: 'in', address: listener }], 'next-hop': { address } })).toEqual([]);
  });
});

describe('passwords', () => {
  const ldap = (more: object) => said({ directory: { servers: ['ldap://ldap.example.com'], base: 'o=isp', ...more } });
  const bind = { 'bind-dn': 'cn=imipd', password: 'geheim' };

  test('that go to the directory in clear are warned about, and only then', () => {
    expect(ldap(bind)).toEqual([
      '(directory.password: goes to ldap://ldap.example.com in clear; use ldaps:// or start-tls: true)',
    ]);
    expect([
      ldap({ ...bind, 'start-tls': true }),
      ldap({ ...bind, servers: ['ldaps://x.test'] }),
      ldap({ ...bind, servers: ['ldap://127.0.0.1:389', 'ldap://[::1]'] }),
    ]).toEqual([[], [], []]);
  });

  test('and who they belong to come in pairs', () => {
    expect(ldap({ 'bind-dn': 'cn=imipd' })).toEqual([
      'directory.bind-dn: without a password most servers bind anonymously; add password, or remove bind-dn',
    ]);
    expect(ldap({ password: 'geheim', 'start-tls': true })).toEqual([
      'directory.password: there is nobody to bind as, need bind-dn beside it',
    ]);
    expect(said({ 'next-hop': { ...NEXT_HOP, user: 'imipd' } })).toEqual([
      'next-hop.user: has no password, need password beside it',
    ]);
    expect(said({ 'smart-host': { ...NEXT_HOP, password: 'geheim' } })).toEqual([
      'smart-host.password: there is nobody to log in as, need user beside it',
    ]);
  });

  test('that may go to a mail server in clear are warned about, and only then', () => {
    const hop = (more: object) =>
      said({ 'next-hop': { address: 'mail.example.com:25', user: 'imipd', password: 'geheim', ...more } });
    const warned = ['(next-hop.password: may go to mail.example.com in clear; set tls: require or tls: implicit)'];
    expect([hop({}), hop({ tls: 'starttls' })]).toEqual([warned, warned]);
    expect([hop({ tls: 'require' }), hop({ tls: 'implicit' }), hop({ address: '127.0.0.1:25' })]).toEqual([[], [], []]);
  });
});

test('start-tls beside ldaps:// is refused', () => {
  const directory = { servers: ['ldap://a.test', 'ldaps://b.test'], base: 'o=isp', 'start-tls': true };
  expect(said({ directory })).toEqual([
    'directory.start-tls: ldaps://b.test is TLS already, need ldap:// with start-tls',
  ]);
});

test('a site without any calendar server is warned', () => {
  expect(said({ calendar: {} })).toEqual([
    '(calendar: names no calendar server, so nothing is ever posted; add back-ends, default or domain-map)',
  ]);
});
