import { describe, expect, test } from 'vitest';
import { TRIAL_LDIF } from '../../src/trial/people.ts';
import { type Ended, folderWith, imipd } from './cli.ts';

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

const TEAM = `
dn: cn=team,o=example.com
objectClass: inetMailGroup
cn: team
mail: team@example.com
uniqueMember: uid=alice,o=example.com
uniqueMember: uid=grace,o=example.com
mgrpRFC822MailMember: petra@example.org
`;

async function lookup(...args: readonly string[]): Promise<Ended> {
  await using site = await folderWith({
    'people.ldif': TRIAL_LDIF + TEAM,
    'imipd.yaml': lines(
      'domains: [example.com]',
      "listeners: [{name: in, address: '127.0.0.1:0'}]",
      'directory: {kind: ldif, file: people.ldif}',
      "next-hop: {address: '127.0.0.1:2'}",
    ),
  });
  return await imipd(site.path, 'directory', 'lookup', ...args);
}

describe('imipd directory lookup', () => {
  test('says which entry has an address, by what, and what it says', async () => {
    expect(await lookup('A.Adams@example.com')).toEqual({
      code: 0,
      err: '',
      out: lines(
        'A.Adams@example.com',
        '  directory: people.ldif has uid=alice,o=example.com, by mailAlternateAddress=a.adams@example.com',
        '    mail alice@example.com; also a.adams@example.com; marker north; a calendar',
      ),
    });
  });

  test('counts the members of a list, and names them when it is asked to', async () => {
    expect(await lookup('team@example.com', '--members')).toEqual({
      code: 0,
      err: '',
      out: lines(
        'team@example.com',
        '  directory: people.ldif has cn=team,o=example.com, by mail=team@example.com',
        '    mail team@example.com; a list of 2 by DN, 1 by address',
        '  members of cn=team,o=example.com: 3, 1 with a calendar, 1 not in the directory',
        '    alice@example.com  uid=alice,o=example.com',
        '    grace@example.com  uid=grace,o=example.com  (no calendar)',
        '    petra@example.org  not in the directory',
      ),
    });
  });

  test('of an address that nobody has is an answer, in JSON too', async () => {
    const { code, out } = await lookup('nobody@example.com', '--json');
    expect({ code, out: JSON.parse(out) }).toEqual({
      code: 0,
      out: { address: 'nobody@example.com', lookup: { kind: 'unknown', server: 'people.ldif' } },
    });
  });

  test('of no address is refused', async () => {
    expect(await lookup('nobody')).toEqual({
      code: 64,
      out: '',
      err: 'got nobody, want an address such as bob@example.com\n',
    });
  });
});
