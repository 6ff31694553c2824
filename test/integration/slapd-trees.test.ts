import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Lookup } from '../../src/directory/directory.ts';
import { type LdapOptions, openLdapDirectory } from '../../src/directory/ldap.ts';
import { openLdifDirectory } from '../../src/directory/ldif.ts';
import { PRESETS, type PresetName } from '../../src/directory/presets.ts';
import { silentLog } from '../../src/observe/log.ts';
import { suite } from '../servers/installed.ts';
import { PASSWORD, type Slapd, startSlapd } from '../servers/servers.ts';

const never = new AbortController().signal;
const file = join(import.meta.dirname, '../servers/ldap/trees.ldif');

const schema1 = {
  base: 'o=users1,o=isp',
  mapping: {
    ...PRESETS['sun-schema1'],
    domains: {
      ...(PRESETS['sun-schema1'].domains as NonNullable<(typeof PRESETS)[PresetName]['domains']>),
      root: 'o=internet,o=isp',
    },
  },
};
const schema2 = { base: 'o=tree2,o=isp', mapping: PRESETS['sun-schema2'] };
const ad = { base: 'ou=ad,o=isp', mapping: PRESETS['active-directory'] };
const openldap = { base: 'ou=open,o=isp', mapping: { ...PRESETS.openldap, serverAttribute: 'labeledURI' } };
type Tree = Pick<LdapOptions, 'base' | 'mapping'>;

suite(['slapd'], 'directories of several kinds on a real slapd', () => {
  let slapd: Slapd;
  beforeAll(async () => {
    slapd = await startSlapd({ ldif: file });
  });
  afterAll(async () => {
    await slapd?.[Symbol.asyncDispose]();
  });

  function open(tree: Tree) {
    return openLdapDirectory(
      {
        servers: [slapd.url],
        startTls: false,
        bindDn: slapd.bindDn,
        password: PASSWORD,
        subAddressSeparators: '+',
        connectTimeoutMs: 5000,
        searchTimeoutMs: 5000,
        maxOutstanding: 100,
        ...tree,
      },
      silentLog,
    );
  }

  /** What LDAP answers, having made sure that the file it was loaded from answers the same. */
  async function ask(tree: Tree, address: string): Promise<Lookup> {
    await using ldap = open(tree);
    await using ldif = await openLdifDirectory({ file, subAddressSeparators: '+', ...tree });
    const answer = await ldap.lookup(address, never);
    const { base: _, filter: __, ...asLdif } = { base: '', filter: '', ...answer, server: 'trees.ldif' };
    expect(await ldif.lookup(address, never)).toEqual(asLdif);
    return answer;
  }

  async function expand(tree: Tree, address: string) {
    await using directory = open(tree);
    const found = await directory.lookup(address, never);
    if (found.kind !== 'found') return found;
    const expansion = await directory.expand(found.entries[0], never);
    if (expansion.kind !== 'members') return expansion;
    return { entries: expansion.entries.map(({ mail }) => mail), addresses: expansion.addresses };
  }

  const active = { scope: 'domain', attribute: 'inetDomainStatus', value: 'active' };
  const inOne = { base: 'o=one.test,o=users1,o=isp' };

  describe('Schema 1', () => {
    test.for([
      [
        'ann+x@one.test',
        {
          ...inOne,
          entries: [{ mail: 'ann@one.test', detail: 'x', status: [active, { attribute: 'mailDomainStatus' }] }],
        },
      ],
      ['ann@un.test', { ...inOne, entries: [{ matchedBy: 'mail=ann@one.test' }] }],
      ['ann@uno.test', { ...inOne, entries: [{ matchedBy: 'mail=ann@one.test', status: [active, {}] }] }],
      ['bea@off.test', { entries: [{ status: [active, { scope: 'domain', value: 'inactive' }] }] }],
      ['ann@two.test', { base: 'o=users1,o=isp', entries: [{ mail: 'ann@one.test', status: [] }] }],
    ])('finds %s, with the status of the domain first', async ([address, expected]) => {
      expect(await ask(schema1, address as string)).toMatchObject({ kind: 'found', ...(expected as object) });
    });

    test('knows nobody by an address that is in neither tree', async () => {
      expect((await ask(schema1, 'nobody@one.test')).kind).toBe('unknown');
      expect((await ask(schema1, 'ann@elsewhere.test')).kind).toBe('unknown');
    });
  });

  describe('Schema 2', () => {
    const cem = [active, { attribute: 'icsStatus', scope: 'domain' }, { scope: 'mail', value: 'active' }];
    test.for([
      [
        'cem@three.test',
        { base: 'o=three.test,o=tree2,o=isp', entries: [{ dn: 'uid=cem,o=three.test,o=tree2,o=isp', status: cem }] },
      ],
      ['CEM+a@drei.test', { entries: [{ mail: 'cem@three.test', detail: 'a', status: cem }] }],
      ['cem@bücher.test', { entries: [{ mail: 'cem@three.test' }] }],
      [
        'dan@four.test',
        { entries: [{ status: [{ scope: 'domain', attribute: 'inetDomainStatus', value: 'deleted' }] }] },
      ],
      ['nobody@three.test', { entries: [{ mail: 'rest@three.test', catchAll: true }] }],
      ['nobody@drei.test', { entries: [{ mail: 'rest@three.test', catchAll: true }] }],
    ])('finds %s', async ([address, expected]) => {
      expect(await ask(schema2, address as string)).toMatchObject({ kind: 'found', ...(expected as object) });
    });

    test.for([
      'nobody@four.test',
      '*@four.test',
      'dan)(uid=*@four.test',
      'dan\0@four.test',
      'dän@four.test',
      'dan@[192.0.2.1]',
      'dan@*.test',
    ])('has nobody by the address %j', async (address) => {
      expect((await ask(schema2, address)).kind).toBe('unknown');
    });

    test.for([
      ['local part', `${'d'.repeat(10_000)}@four.test`],
      ['domain', `dan@${'x'.repeat(10_000)}.test`],
    ])('has nobody by an address with 10,000 characters in its %s', async ([, address]) => {
      expect((await ask(schema2, address!)).kind).toBe('unknown');
    });

    test('the filter is shown as it was sent, with its metacharacters escaped', async () => {
      const answer = await ask(schema2, 'a(*)\\b@four.test');
      expect(answer).toMatchObject({ kind: 'unknown', base: 'o=tree2,o=isp' });
      expect(answer.kind === 'unknown' && answer.filter).toMatch(/^\(&\(\|\(mail=a\\28\\2a\\29\\5cb@four\.test\)/);
    });

    test('a list is expanded by DN, address and URL, without those who are gone or have no address', async () => {
      expect(await ask(schema2, 'staff@three.test')).toMatchObject({
        entries: [{ kind: 'group', group: { restrictedBy: 'mgrpAllowedBroadcaster' } }],
      });
      expect(await expand(schema2, 'staff@three.test')).toEqual({
        entries: ['cem@three.test', 'dan@four.test'],
        addresses: ['guest@outside.test'],
      });
    });

    test.for([
      ['elsewhere@four.test', /: its server directory\.outside\.test is none of directory\.servers$/],
      ['wrong@four.test', /: \(\(uid=\*\) is no filter \(RFC 4515\)$/],
    ] as const)('%s cannot be expanded, and it says why', async ([address, reason]) => {
      expect(await expand(schema2, address)).toEqual({ kind: 'no-answer', reason: expect.stringMatching(reason) });
    });
  });

  describe('Active Directory', () => {
    test.for([
      [
        'eva@five.test',
        { kind: 'user', mail: 'Eva@five.test', matchedBy: 'proxyAddresses=SMTP:Eva@five.test', status: [] },
      ],
      ['EVA.OLD@five.test', { mail: 'Eva@five.test' }],
      ['eva@mail.five.test', { mail: 'Eva@five.test' }],
      ['e123@corp.five.test', { mail: 'Eva@five.test' }],
      ['finn@five.test', { status: [{ scope: 'user', attribute: 'userAccountControl', value: 'disabled' }] }],
      ['hall@five.test', { kind: 'resource', calendar: true, status: [] }],
    ] as const)('finds %s as %o', async ([address, expected]) => {
      expect(await ask(ad, address)).toMatchObject({ kind: 'found', entries: [expected] });
    });

    test('expands a group', async () => {
      expect(await expand(ad, 'crew@five.test')).toEqual({
        entries: ['Eva@five.test', 'hall@five.test'],
        addresses: [],
      });
    });
  });

  test('OpenLDAP’s people are found, with the server of a single one, and their groups are expanded', async () => {
    expect(await ask(openldap, 'g.us@six.test')).toMatchObject({
      kind: 'found',
      entries: [{ mail: 'gus@six.test', server: 'https://cal.six.test/ischedule profile=cyrus' }],
    });
    expect(await expand(openldap, 'all@six.test')).toEqual({ entries: ['gus@six.test'], addresses: [] });
  });

  test('the groups of the sample directory, on a file: nested, in a ring', async () => {
    const sample = join(import.meta.dirname, '../servers/ldap/sample.ldif');
    await using directory = await openLdifDirectory({ file: sample, mapping: PRESETS.sun, subAddressSeparators: '+' });
    for (const [address, members, others] of [
      ['everyone@example.test', ['carol', 'heidi', 'alice', 'bob', 'dave'], ['olga@outside.test']],
      ['ring-a@sales.test', ['heidi', 'ivan'], []],
    ] as const) {
      const found = await directory.lookup(address, never);
      if (found.kind !== 'found') throw new Error(found.kind);
      const expansion = await directory.expand(found.entries[0], never);
      expect(expansion).toMatchObject({ kind: 'members', addresses: others });
      expect(expansion.kind === 'members' && expansion.entries.map(({ mail }) => mail.replace(/@.*/, ''))).toEqual(
        members,
      );
    }
  });
});
