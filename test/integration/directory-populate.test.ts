import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { startSlapd } from '../servers/servers.ts';
import { folderWith, imipd, run } from './cli.ts';
import { ldifOf, user } from './directory-admin.ts';

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;

const PEOPLE = [
  user('ann', 'davUniqueId: id-ann'),
  user('bob', 'nsUniqueId: 1f2e3d4c-11112222-33334444-55556666'),
  user('cleo'),
  [
    'uid=dän',
    ...['inetOrgPerson', 'inetMailUser'].map((name) => `objectClass: ${name}`),
    'uid: dän',
    'cn: dän',
    'sn: dän',
    'mail: dan@example.test',
  ],
];

suite(['slapd'], 'imipd directory populate-davuniqueid', () => {
  test('shows what it will do, writes LDIF that ldapmodify takes, and changes nothing', async () => {
    await using folder = await folderWith({ 'people.ldif': ldifOf(PEOPLE), password: 'secret\n' });
    await using slapd = await startSlapd({ ldif: `${folder.path}/people.ldif` });
    const port = slapd.url.split(':').at(-1) ?? '';
    const account = ['-h', '127.0.0.1', '-p', port, '-D', 'cn=admin,o=isp', '-j', 'password', '-b', 'o=isp'];
    const populate = (...args: readonly string[]) =>
      imipd(folder.path, 'directory', 'populate-davuniqueid', ...account, ...args);
    const filter = '(objectClass=inetMailUser)';

    expect(await populate('-f', filter, '-O', '-o', 'out.ldif')).toEqual({
      code: 0,
      err: '',
      out: [
        `server   ${slapd.url}, as cn=admin,o=isp`,
        'search   (&(!(davUniqueId=*))(objectClass=inetMailUser)) below o=isp',
        'changes  add davUniqueId: the value of nsUniqueId, or a new UUID',
        '         add objectClass daventity where it is absent',
        'written  to out.ldif',
        'applied  no (give -x to apply)',
        'found    3 without davUniqueId: 1 with nsUniqueId, 2 get a new UUID',
        '',
      ].join('\n'),
    });
    const written = await readFile(join(folder.path, 'out.ldif'), 'utf8');
    expect(written.match(UUID)).toHaveLength(2);
    expect(written.replace(UUID, 'UUID')).toBe(
      [
        'version: 1',
        '',
        'dn: uid=bob,ou=People,o=isp',
        'changetype: modify',
        'add: davUniqueId',
        'davUniqueId: 1f2e3d4c-11112222-33334444-55556666',
        '-',
        '',
        'dn: uid=cleo,ou=People,o=isp',
        'changetype: modify',
        'add: davUniqueId',
        'davUniqueId: UUID',
        '-',
        '',
        'dn:: dWlkPWTDpG4sb3U9UGVvcGxlLG89aXNw',
        'changetype: modify',
        'add: objectClass',
        'objectClass: daventity',
        '-',
        'add: davUniqueId',
        'davUniqueId: UUID',
        '-',
        '',
        '',
      ].join('\n'),
    );
    expect((await stat(join(folder.path, 'out.ldif'))).mode & 0o777).toBe(0o600);

    // What an earlier run wrote is not written over.
    expect(await populate('-o', 'out.ldif')).toMatchObject({
      code: 64,
      err: 'out.ldif: cannot be written (it exists already; move it away or name another with -o)\n',
    });
    const modify = ['-x', '-H', slapd.url, '-D', 'cn=admin,o=isp', '-w', 'secret', '-f', 'out.ldif'];
    expect(await run(folder.path, 'ldapmodify', modify)).toMatchObject({ code: 0, err: '' });
    expect((await populate('-o', 'none.ldif')).out).toContain('found    0 without davUniqueId');
  });

  test('with -x applies what it wrote, names what was refused and exits 1, and a further run does the rest', async () => {
    await using folder = await folderWith({ 'people.ldif': ldifOf(PEOPLE) });
    await using slapd = await startSlapd({ ldif: `${folder.path}/people.ldif` });
    const ca = ['--start-tls', '--ca', slapd.ca];
    const account = ['-h', slapd.url, ...ca, '-D', 'cn=admin,o=isp', '-w', 'secret', '-b', 'o=isp', '-x', '-v'];
    const populate = (...args: readonly string[]) =>
      imipd(folder.path, 'directory', 'populate-davuniqueid', ...account, ...args);
    const warning =
      '-w shows the password to everybody on this machine; put it in a file (-j) or in IMIPD_LDAP_PASSWORD\n';

    const first = await populate('-o', 'first.ldif');
    expect({ ...first, out: changes(first.out) }).toEqual({
      code: 1,
      err: `${warning}failed   uid=dän,ou=People,o=isp: the server answered ObjectClassViolation (65) (give -O to add the class)\n`,
      out: [
        'entry    uid=bob,ou=People,o=isp: davUniqueId=1f2e3d4c-11112222-33334444-55556666',
        'entry    uid=cleo,ou=People,o=isp: davUniqueId=UUID',
        'entry    uid=dän,ou=People,o=isp: davUniqueId=UUID',
        'found    3 without davUniqueId: 1 with nsUniqueId, 2 get a new UUID',
        'changed  uid=bob,ou=People,o=isp',
        'changed  uid=cleo,ou=People,o=isp',
        'changed  2 of 3, 1 failed',
        '',
      ],
    });
    expect(first.out).not.toContain('secret');

    const second = await populate('-O', '-o', 'second.ldif');
    expect({ ...second, out: changes(second.out) }).toEqual({
      code: 0,
      err: warning,
      out: [
        'entry    uid=dän,ou=People,o=isp: objectClass=daventity, davUniqueId=UUID',
        'found    1 without davUniqueId: 0 with nsUniqueId, 1 get a new UUID',
        'changed  uid=dän,ou=People,o=isp',
        'changed  1 of 1',
        '',
      ],
    });
  });

  test('will not bind without a password, a name or a base', async () => {
    await using folder = await folderWith({ empty: '\n' });
    const populate = (...args: readonly string[]) => imipd(folder.path, 'directory', 'populate-davuniqueid', ...args);
    expect(await populate('-D', 'cn=x', '-b', 'o=isp', '-j', 'empty')).toEqual({
      code: 64,
      out: '',
      err: 'no password; put it in a file and name that with -j, or in IMIPD_LDAP_PASSWORD\n',
    });
    expect(await populate('-b', 'o=isp')).toMatchObject({ code: 64, err: 'no account to bind as; name it with -D\n' });
    expect(await populate('-D', 'cn=x')).toMatchObject({
      code: 64,
      err: 'no base; name it with -b, such as -b o=isp\n',
    });
  });
});

/** What comes after the announcement, its random ids made equal. */
function changes(out: string): readonly string[] {
  return out
    .slice(out.indexOf('applied'))
    .split('\n')
    .slice(1)
    .map((line) => line.replace(UUID, 'UUID'));
}
