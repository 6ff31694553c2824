import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/options.ts';
import { policyOf } from '../../../src/config/policy.ts';

const NORTH = { url: 'https://north.example.com/ischedule', profile: 'cyrus' };

/** A site with these sections beside what every site needs. */
function site(sections: Readonly<Record<string, unknown>>): Config {
  const loaded = parseConfig(
    {
      domains: ['example.com', 'EXAMPLE.net'],
      listeners: [{ name: 'in', address: '127.0.0.1:10025' }],
      'next-hop': { address: '192.0.2.1:25' },
      ...sections,
    },
    'the test',
  );
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}

const directory = (more: Readonly<Record<string, unknown>> = {}) => ({ kind: 'ldif', file: '/people.ldif', ...more });

describe('what the rules know of a configuration', () => {
  test('is its domains, sub-addresses and home servers', () => {
    const config = site({
      directory: directory({ 'sub-address': '+-' }),
      calendar: { 'back-ends': { north: NORTH }, default: NORTH },
    });
    expect(policyOf(config)).toEqual({
      domains: new Set(['example.com', 'example.net']),
      subAddressSeparators: '+-',
      homes: { marker: 'davStore', backEnds: new Map([['north', NORTH]]), defaultBackEnd: NORTH, domainMap: [] },
      catchAll: 'mail',
    });
  });

  test('is which outside domains may be looked for in the DNS, and nothing where none may', () => {
    const ischedule = { discovery: { domains: ['Example.org', '*.example.org'] } };
    expect(policyOf(site({ ischedule })).discover).toEqual(['example.org', '*.example.org']);
    expect('discover' in policyOf(site({}))).toBe(false);
  });

  test('is which methods a server takes that says so itself, of several entries by the one that fits best', () => {
    const servers = [
      { url: 'https://cal.example.com/', methods: ['REQUEST', 'COUNTER'] },
      { url: 'https://cal.example.com/old/' },
    ];
    const { methodsAt } = policyOf(site({ ischedule: { servers } }));
    const urls = [
      'https://cal.example.com/ischedule',
      'https://cal.example.com/old/ischedule',
      'https://other.example',
    ];
    expect(urls.map((url) => methodsAt?.(url))).toEqual([['REQUEST', 'COUNTER'], undefined, undefined]);
  });

  test('has no separators when sub-addresses are off', () => {
    expect(policyOf(site({ directory: directory({ 'sub-address': 'none' }) })).subAddressSeparators).toBe('');
  });

  test('is whether a match by catch-all alone is posted to', () => {
    expect(policyOf(site({ directory: directory({ 'catch-all': 'post' }) })).catchAll).toBe('post');
  });

  const markers: readonly [title: string, sections: Readonly<Record<string, unknown>>, marker: string | undefined][] = [
    [
      'the marker of the preset says something where back ends explain its values',
      { directory: directory(), calendar: { 'back-ends': { north: NORTH } } },
      'davStore',
    ],
    [
      'the marker of the preset says nothing where none do',
      { directory: directory(), calendar: { default: NORTH } },
      undefined,
    ],
    [
      'a marker that a person named says something where none do: its values are unknown, and deferred',
      { directory: directory({ mapping: { marker: 'davStore' } }), calendar: { default: NORTH } },
      'davStore',
    ],
    [
      'a marker that a person turned off says nothing',
      { directory: directory({ mapping: { marker: 'none' } }), calendar: { 'back-ends': { north: NORTH } } },
      undefined,
    ],
    ['without a directory there is no marker', { calendar: { 'back-ends': { north: NORTH } } }, undefined],
  ];
  for (const [title, sections, marker] of markers) {
    test(title, () => expect(policyOf(site(sections)).homes.marker).toBe(marker));
  }
});
