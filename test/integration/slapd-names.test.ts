import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lookup } from '../../src/directory/directory.ts';
import { openLdapDirectory } from '../../src/directory/ldap.ts';
import { openLdifDirectory } from '../../src/directory/ldif.ts';
import { PRESETS } from '../../src/directory/presets.ts';
import type { SchemaMapping } from '../../src/directory/schema.ts';
import { silentLog } from '../../src/observe/log.ts';
import { suite } from '../servers/installed.ts';
import { PASSWORD, type Slapd, startSlapd } from '../servers/servers.ts';

const never = new AbortController().signal;
const file = join(import.meta.dirname, '../servers/ldap/names.ldif');

/** Servers give several entries in an order of their own. */
function byDn(lookup: Lookup) {
  if (lookup.kind !== 'found') return lookup;
  return { ...lookup, entries: lookup.entries.toSorted((a, b) => (a.dn < b.dn ? -1 : 1)) };
}

suite(['slapd'], 'calendar ids on a real slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({ ldif: file });
  });
  afterAll(async () => {
    await slapd?.[Symbol.asyncDispose]();
  });

  function open(mapping: SchemaMapping) {
    return openLdapDirectory(
      {
        servers: [slapd.url],
        startTls: false,
        bindDn: slapd.bindDn,
        password: PASSWORD,
        base: 'o=isp',
        mapping,
        subAddressSeparators: '+',
        connectTimeoutMs: 5000,
        searchTimeoutMs: 5000,
        maxOutstanding: 100,
      },
      silentLog,
    );
  }

  /** What LDAP answers, having made sure that the file it was loaded from answers the same. */
  async function ask(name: string, domain: string, mapping: SchemaMapping): Promise<Lookup> {
    await using ldap = open(mapping);
    await using ldif = await openLdifDirectory({ file, base: 'o=isp', mapping, subAddressSeparators: '+' });
    const answer = await ldap.lookupName(name, domain, never);
    const { base: _, filter: __, ...asLdif } = { base: '', filter: '', ...answer, server: 'names.ldif' };
    expect(byDn(await ldif.lookupName(name, domain, never))).toEqual(byDn(asLdif as Lookup));
    return answer;
  }

  test.for([
    ['bob', 'example.test', 'icsCalendar=bob', ['robert@example.test']],
    ['bob2', 'example.test', 'icsCalendar=bob2@example.test', ['bob@example.test']],
    ['bob', 'sales.test', 'icsCalendar=bob@sales.test', ['bob@sales.test']],
    ['bob@sales.test', 'example.test', 'icsCalendar=bob@sales.test', ['bob@sales.test']],
    ['carl', 'example.test', 'uid=carl', ['carl@example.test']],
    ['CARL', 'example.test', 'uid=CARL', ['carl@example.test']],
    ['carl@example.test', 'sales.test', 'uid=carl', ['carl@example.test']],
    ['carl:work', 'example.test', 'icsCalendar=carl:work', ['carl@example.test']],
    ['desk', 'example.test', 'icsCalendar=desk@example.test', ['dirk@example.test', 'dora@example.test']],
    ['a*b', 'example.test', 'uid=a*b', ['star@example.test']],
  ] as const)('%s of %s is found by %s', async ([name, domain, matchedBy, mails]) => {
    for (const mapping of [PRESETS.sun, PRESETS['sun-schema2']]) {
      const found = await ask(name, domain, mapping);
      expect(found.kind === 'found' && found.entries.map(({ mail }) => mail).sort()).toEqual(mails);
      expect(found.kind === 'found' && found.entries.every((entry) => entry.matchedBy === matchedBy)).toBe(true);
    }
  });

  test.for([
    ['nobody', 'example.test'],
    ['gina', 'example.test'],
    ['carl', 'sales.test'],
    ['carl:home', 'example.test'],
    ['bob:bob', 'example.test'],
    ['print', 'example.test'],
    ['*', 'example.test'],
    ['c*', 'example.test'],
    ['a\\2ab', 'example.test'],
    ['carl)(uid=*', 'example.test'],
    ['carl\0', 'example.test'],
    ['', 'example.test'],
    ['carl', ''],
    ['\ud800', 'example.test'],
    ['ä'.repeat(256), 'example.test'],
  ] as const)('%j of %j is unknown', async ([name, domain]) => {
    expect((await ask(name, domain, PRESETS.sun)).kind).toBe('unknown');
  });

  test('a user is found by the other name of his domain, and the search begins in its tree', async () => {
    expect(await ask('carl', 'other.test', PRESETS.sun)).toMatchObject({ kind: 'unknown' });
    expect(await ask('carl', 'other.test', PRESETS['sun-schema2'])).toMatchObject({
      kind: 'found',
      base: 'o=example.test,o=isp',
      filter: expect.stringContaining('(icsCalendar=carl@other.test)'),
      entries: [{ status: [{ scope: 'domain', attribute: 'inetDomainStatus', value: 'active' }] }],
    });
  });

  test('the URL that a user publishes at is read without its label', async () => {
    expect(await ask('robert', 'example.test', PRESETS.sun)).toMatchObject({
      entries: [{ freeBusyUrl: 'https://www.example.test/robert.ifb' }],
    });
  });

  test('a silent directory is no answer', async () => {
    await using directory = open({ ...PRESETS.sun });
    const stopped = AbortSignal.abort();
    expect(await directory.lookupName('carl', 'example.test', stopped)).toEqual({
      kind: 'no-answer',
      reason: 'the look-up was stopped',
    });
  });
});
