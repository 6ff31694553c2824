import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lookup } from '../../src/directory/directory.ts';
import { type LdapOptions, openLdapDirectory } from '../../src/directory/ldap.ts';
import { openLdifDirectory } from '../../src/directory/ldif.ts';
import { PRESETS } from '../../src/directory/presets.ts';
import { silentLog } from '../../src/observe/log.ts';
import { suite } from '../servers/installed.ts';
import { type Slapd, startSlapd } from '../servers/servers.ts';
import { startRecordingProxy } from './recording-proxy.ts';

const never = new AbortController().signal;
const PASSWORD = 'secret';

suite(['slapd'], 'the directory on a real slapd', () => {
  let slapd: Slapd;
  let ca: string;

  beforeAll(async () => {
    slapd = await startSlapd();
    ca = readFileSync(slapd.ca, 'utf8');
  });
  afterAll(async () => {
    await slapd?.[Symbol.asyncDispose]();
  });

  function open(options: Partial<LdapOptions> = {}) {
    return openLdapDirectory(
      {
        servers: [slapd.url],
        startTls: false,
        bindDn: slapd.bindDn,
        password: PASSWORD,
        base: slapd.base,
        mapping: PRESETS.sun,
        subAddressSeparators: '+',
        connectTimeoutMs: 5000,
        searchTimeoutMs: 5000,
        maxOutstanding: 100,
        ...options,
      },
      silentLog,
    );
  }

  async function ask(address: string, options: Partial<LdapOptions> = {}): Promise<Lookup> {
    await using directory = open(options);
    return await directory.lookup(address, never);
  }

  test('every address of the sample directory is answered as the LDIF file it was loaded from answers', async () => {
    const file = join(import.meta.dirname, '../servers/ldap/sample.ldif');
    await using ldif = await openLdifDirectory({ file, mapping: PRESETS.sun, subAddressSeparators: '+' });
    await using ldap = open();
    const addresses = [...readFileSync(file, 'utf8').matchAll(/^mail(?:\w+Address)?: (.*)$/gm)].map(
      ([, value]) => value!,
    );
    expect(addresses.length).toBeGreaterThan(15);
    for (const address of [...addresses, 'alice+work@example.test', 'ALICE@EXAMPLE.TEST', 'nobody@example.test']) {
      const { server, ...expected } = (await ldif.lookup(address, never)) as Lookup & { server: string };
      expect(server).toBe('sample.ldif');
      expect(await ldap.lookup(address, never)).toEqual({
        ...expected,
        server: slapd.url,
        base: 'o=isp',
        filter: expect.stringMatching(/^\(&\(\|\(mail=/),
      });
    }
  });

  test.for([
    ['erin@example.test', { kind: 'user', moving: true, calendar: true, languages: ['de-AT', 'en'] }],
    ['grace@example.test', { kind: 'user', moving: false, calendar: false }],
    ['room1+x@example.test', { kind: 'resource', calendar: true, marker: 'defaultbackend', detail: 'x' }],
    ['the-team@example.test', { kind: 'group', calendar: false, mail: 'team@example.test' }],
    ['heidi@example.test', { mail: 'heidi@sales.test', matchedBy: 'mailAlternateAddress=heidi@example.test' }],
  ] as const)('%s is found as %o', async ([address, entry]) => {
    expect(await ask(address)).toMatchObject({ kind: 'found', entries: [entry] });
  });

  test.for([
    'alice*@example.test',
    '*@example.test',
    'alice)(objectClass=*@example.test',
    '*)(|(mail=*@example.test',
    'alice\\2a@example.test',
    'alice\\@example.test',
    'alice\0@example.test',
    'älice@example.test',
    'alice@exämple.test',
    '\ud800@example.test',
    `${'a'.repeat(4000)}@example.test`,
    `${'a'.repeat(10_000)}@example.test`,
    `${'(*)\\'.repeat(1000)}@example.test`,
  ])('%j is unknown, no syntax, and no harm to the connection', async (address) => {
    await using directory = open();
    expect((await directory.lookup(address, never)).kind).toBe('unknown');
    expect((await directory.lookup('alice@example.test', never)).kind).toBe('found');
  });

  test('a further condition leaves entries out', async () => {
    const mapping = { ...PRESETS.sun, objectFilter: '(!(icsDWPHost=*))' };
    expect((await ask('dave@example.test', { mapping })).kind).toBe('unknown');
    expect((await ask('alice@example.test', { mapping })).kind).toBe('found');
  });

  test('the OpenLDAP preset finds its users there', async () => {
    expect(await ask('bob@example.test', { mapping: PRESETS.openldap })).toMatchObject({
      kind: 'found',
      entries: [{ kind: 'user', calendar: true, mail: 'bob@example.test' }],
    });
  });

  test.for([
    ['StartTLS', () => ({ startTls: true, ca })],
    ['StartTLS by name', () => ({ servers: [slapd.url.replace('127.0.0.1', 'localhost')], startTls: true, ca })],
    ['ldaps', () => ({ servers: [slapd.ldapsUrl], ca })],
    ['ldaps by IP address', () => ({ servers: [slapd.ldapsUrl.replace('localhost', '127.0.0.1')], ca })],
  ] as const)('alice is found over %s with its CA', async ([, options]) => {
    expect((await ask('alice@example.test', options())).kind).toBe('found');
  });

  test.for([
    ['a wrong password', () => ({ password: 'wrong' }), /\(49\): bind-dn or password is wrong$/],
    ['a name that is not there', () => ({ bindDn: 'cn=nobody,o=isp' }), /\(49\)/],
    ['an anonymous bind', () => ({ bindDn: '', password: '' }), /\(48\): it does not allow an anonymous bind/],
    ['a base that is not there', () => ({ base: 'o=elsewhere' }), /\(32\): the search base does not exist/],
    ['a base that is no DN', () => ({ base: 'elsewhere' }), /\(34\)/],
    ['StartTLS without the CA', () => ({ startTls: true }), /^TLS with the directory failed \(/],
    ['ldaps without the CA', () => ({ servers: [slapd.ldapsUrl] }), /^TLS with the directory failed \(/],
    ['ldap on the port of ldaps', () => ({ servers: [slapd.ldapsUrl.replace('ldaps', 'ldap')] }), /lost|in time/],
    [
      'ldaps on the port of ldap',
      () => ({ servers: [slapd.url.replace('ldap', 'ldaps')], ca, connectTimeoutMs: 500 }),
      /./,
    ],
  ] as const)('%s is no answer', async ([, options, reason]) => {
    await using directory = open({ connectTimeoutMs: 2000, ...options() });
    expect(await directory.lookup('alice@example.test', never)).toEqual({
      kind: 'no-answer',
      reason: expect.stringMatching(reason),
    });
    expect(await directory.probe(never)).toMatch(/^ldaps?:/);
  });

  test('a probe of a directory that is well finds nothing', async () => {
    await using directory = open({ startTls: true, ca });
    expect(await directory.probe(never)).toBeUndefined();
  });

  test('after a StartTLS connection drops, the password is never on the wire', async () => {
    await using proxy = await startRecordingProxy(slapd.url);
    {
      await using plain = open({ servers: [proxy.url] });
      await plain.lookup('alice@example.test', never);
      expect(proxy.sent().includes(PASSWORD)).toBe(true); // the recorder does see one that is sent in clear
    }
    const before = proxy.sent().length;
    await using directory = open({ servers: [proxy.url], startTls: true, ca });
    for (let round = 0; round < 3; round++) {
      expect((await directory.lookup('alice@example.test', never)).kind).toBe('found');
      const running = Array.from({ length: 20 }, (_, n) => directory.lookup(`bob+${n}@example.test`, never));
      await proxy.drop();
      for (const { kind } of await Promise.all(running)) expect(kind).toMatch(/^(found|no-answer)$/);
    }
    expect((await directory.lookup('alice@example.test', never)).kind).toBe('found');
    expect(proxy.connections()).toBeGreaterThanOrEqual(5);
    const wire = proxy.sent().subarray(before);
    expect(wire.length).toBeGreaterThan(1000);
    expect(wire.includes(PASSWORD)).toBe(false);
    expect(wire.includes('cn=gateway')).toBe(false);
  });

  test.for(['SIGTERM', 'SIGKILL'] as const)(
    '50 look-ups at a time across %s and a new start: the right entry or no answer, and no hang',
    async (signal) => {
      await using directory = open({ startTls: true, ca });
      expect((await directory.lookup('alice@example.test', never)).kind).toBe('found');
      const users = ['alice', 'bob', 'carol', 'dave', 'heidi'];
      const wrong: Lookup[] = [];
      const seen = { found: 0, 'no-answer': 0, unknown: 0 };
      let stopping = false;
      const worker = async (index: number) => {
        for (let round = 0; !stopping; round++) {
          const user = users[(index + round) % users.length];
          const answer = await directory.lookup(`${user}+${index}-${round}@example.test`, never);
          seen[answer.kind]++;
          const right =
            answer.kind === 'found' && answer.entries.length === 1 && answer.entries[0].dn.startsWith(`uid=${user},`);
          if (!right && answer.kind !== 'no-answer') wrong.push(answer);
          // A user of a directory that is down does not ask without a pause either.
          if (answer.kind === 'no-answer') await delay(10);
        }
      };
      const workers = Array.from({ length: 50 }, (_, index) => worker(index));
      await expect.poll(() => seen.found).toBeGreaterThan(500);
      const pid = Number(readFileSync(join(slapd.folder, 'slapd.pid'), 'utf8'));
      process.kill(pid, signal);
      await slapd.stop();
      await expect.poll(() => seen['no-answer']).toBeGreaterThan(0);
      await slapd.start();
      const before = seen.found;
      await expect.poll(() => seen.found, { timeout: 20_000 }).toBeGreaterThan(before + 200);
      stopping = true;
      await Promise.all(workers);
      expect(wrong).toEqual([]);
      expect((await directory.lookup('nobody@example.test', never)).kind).toBe('unknown');
    },
  );

  test('the second server answers when the first is gone', async () => {
    await using proxy = await startRecordingProxy(slapd.url);
    await using directory = open({ servers: [proxy.url, slapd.url] });
    expect(await directory.lookup('alice@example.test', never)).toMatchObject({ kind: 'found', server: proxy.url });
    await proxy.refuse();
    expect(await directory.lookup('alice@example.test', never)).toMatchObject({ kind: 'found', server: slapd.url });
    expect(await directory.lookup('nobody@example.test', never)).toMatchObject({ kind: 'unknown', server: slapd.url });
  });
});
