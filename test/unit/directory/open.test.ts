import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/options.ts';
import { LdifError } from '../../../src/directory/ldif.ts';
import { openDirectory } from '../../../src/directory/open.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { entry, type Request, result, SEARCH, startFakeLdap, UNBIND } from './fake-ldap.ts';

const never = new AbortController().signal;
const PEOPLE = `dn: uid=alice,o=isp
objectClass: inetMailUser
objectClass: icsCalendarUser
mail: alice@example.com
mailUserStatus: hold

dn: uid=bob,o=isp
objectClass: inetMailUser
objectClass: icsCalendarUser
mail: bob@example.com
mailAlternateAddress: b.brown@example.com

dn: uid=carol,o=isp
objectClass: inetMailUser
objectClass: icsCalendarUser
mail: carol@example.com

dn: uid=dave,o=isp
objectClass: inetMailUser
objectClass: icsCalendarUser
mail: dave@example.com

dn: cn=moving,o=isp
objectClass: inetMailGroup
mail: moving@example.com
uniqueMember: uid=carol,o=isp
`;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'imipd-open-'));
  writeFileSync(join(folder, 'people.ldif'), PEOPLE);
  writeFileSync(join(folder, 'moving.txt'), 'b.brown@example.com\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

function site(directory?: Readonly<Record<string, unknown>>): Config {
  const loaded = parseConfig(
    {
      domains: ['example.com'],
      listeners: [{ name: 'in', address: '127.0.0.1:10025' }],
      'next-hop': { address: '192.0.2.1:25' },
      ...(directory === undefined ? {} : { directory }),
    },
    'the test',
  );
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}

describe('the configured directory', () => {
  test('knows nobody when there is none', async () => {
    await using directory = await openDirectory(site(), silentLog);
    expect(await directory.lookup('alice@example.com', never)).toEqual({ kind: 'unknown', server: 'none' });
    expect(await directory.probe(never)).toBeUndefined();
  });

  test.for(['moving@example.com', 'CN=moving, o=isp'])(
    'marks the users being moved by attribute, by file and by the group %s',
    async (group) => {
      const config = site({
        kind: 'ldif',
        file: join(folder, 'people.ldif'),
        'moving-file': join(folder, 'moving.txt'),
        'moving-group': group,
      });
      await using directory = await openDirectory(config, silentLog);
      const marks: Record<string, string | undefined> = {};
      for (const name of ['alice', 'bob', 'carol', 'dave']) {
        const lookup = await directory.lookup(`${name}@example.com`, never);
        if (lookup.kind !== 'found') throw new Error(lookup.kind);
        const [{ moving, movingBy }] = lookup.entries;
        expect(moving).toBe(movingBy !== undefined);
        marks[name] = movingBy;
      }
      expect(marks).toEqual({
        alice: 'mailUserStatus=hold',
        bob: `${join(folder, 'moving.txt')} names him`,
        carol: `member of ${group}`,
        dave: undefined,
      });
      expect(await directory.probe(never)).toBeUndefined();
    },
  );

  test('of which the file is no LDIF is not opened', async () => {
    const config = site({ kind: 'ldif', file: join(folder, 'moving.txt') });
    await expect(openDirectory(config, silentLog)).rejects.toThrow(LdifError);
  });

  test('asks a server once within the time of its cache, and again for a fresh look-up', async () => {
    await using server = await startFakeLdap(answerAlice);
    await using directory = await openDirectory(
      site({ servers: [server.url], base: 'o=isp', preset: 'openldap' }),
      silentLog,
    );
    const searches = () => server.requests.filter(({ tag }) => tag === SEARCH).length;
    await directory.lookup('alice@example.com', never);
    const first = searches();
    expect((await directory.lookup('alice@example.com', never)).kind).toBe('found');
    expect(searches()).toBe(first);
    expect((await directory.lookup('alice@example.com', never, { fresh: true })).kind).toBe('found');
    expect(searches()).toBeGreaterThan(first);
  });

  test('asks a server each time when nothing is to be kept, and leaves it when closed', async () => {
    await using server = await startFakeLdap(answerAlice);
    const directory = await openDirectory(
      site({ servers: [server.url], base: 'o=isp', preset: 'openldap', cache: { entries: 0 } }),
      silentLog,
    );
    await directory.lookup('alice@example.com', never);
    const first = server.requests.filter(({ tag }) => tag === SEARCH).length;
    await directory.lookup('alice@example.com', never);
    expect(server.requests.filter(({ tag }) => tag === SEARCH).length).toBeGreaterThan(first);
    const gone = once(server.requests[0]!.socket, 'close');
    await directory[Symbol.asyncDispose]();
    await gone;
    expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
  });
});

function answerAlice(request: Request): Buffer | undefined {
  if (request.tag === UNBIND) return undefined;
  const found = { objectClass: ['inetOrgPerson'], mail: ['alice@example.com'] };
  return request.tag === SEARCH
    ? Buffer.concat([entry(request, 'uid=alice,o=isp', found), result(request, 0)])
    : result(request, 0);
}
