import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LdifError, openLdifDirectory, parseLdif } from '../../../src/directory/ldif.ts';
import { PRESETS } from '../../../src/directory/presets.ts';

const never = new AbortController().signal;
const sample = join(import.meta.dirname, '../../servers/ldap/sample.ldif');

function problems(text: string): readonly string[] {
  try {
    parseLdif(text);
    return [];
  } catch (error) {
    if (!(error instanceof LdifError)) throw error;
    return error.problems.map(({ line, text: problem }) => `${line}: ${problem}`);
  }
}

describe('LDIF', () => {
  test('folded lines, base64, comments, options and a byte order mark are read as RFC 2849 has them', () => {
    const text = [
      '\uFEFF# people of',
      '  example.com',
      'version: 1',
      '',
      'dn: uid=jörg,',
      ' o=isp',
      'Mail;x-main: jo',
      ' erg@example.com',
      'mail:second@example.com',
      '# in between',
      'cn:: SsO2cmc=',
      'description:',
      'labeledURI:  https://example.com/: x ',
      'jpegPhoto:: /9j/',
      '',
      '',
      'dn:: dWlkPWFubixvPWlzcA==',
      'cn: Ann',
    ].join('\r\n');
    expect(
      parseLdif(text).map(({ dn, line, attributes }) => ({ dn, line, ...Object.fromEntries(attributes) })),
    ).toEqual([
      {
        dn: 'uid=jörg,o=isp',
        line: 5,
        mail: ['joerg@example.com', 'second@example.com'],
        cn: ['Jörg'],
        description: [''],
        labeleduri: ['https://example.com/: x '],
        jpegphoto: ['\u00ff\u00d8\u00ff'],
      },
      { dn: 'uid=ann,o=isp', line: 17, cn: ['Ann'] },
    ]);
  });

  test('an empty text, or one of comments, has no entries', () => {
    expect(parseLdif('')).toEqual([]);
    expect(parseLdif('# nothing\n\nversion: 1\n\n')).toEqual([]);
  });

  test.for([
    ['version: 2\n\ndn: o=a\n', ['1: found LDIF version "2", only version 1 is known']],
    ['cn: x\nsn: y\n', ['1: found "cn:" where an entry begins, want "dn:" first']],
    ['dn: o=a\nno colon\n', ['2: found "no colon", want "attribute: value"']],
    ['dn: o=a\ncn:: ?\n', ['2: the value of cn is no base64']],
    ['dn: o=a\ncn:: YQ\n', ['2: the value of cn is no base64']],
    [
      'dn: o=a\nphoto:< file:///etc/passwd\n',
      ['2: the value of photo is a URL; write it out, or as base64 after "::"'],
    ],
    ['dn: o=a\ndn: o=b\n', ['2: found a second "dn:" in one entry; part entries by an empty line']],
    ['dn: o=a\n\ndn: O = A\n', ['3: the entry "O = A" stands already in line 1']],
    [
      'dn: o=a\nchangetype: modify\nreplace: mail\nmail: x\n-\n',
      ['2: found a change record ("changetype:"), want entries only; apply the changes first'],
    ],
    [' x\ndn: o=a\n', ['1: found a continuation (a line that begins with a space) of nothing']],
    [
      'dn: o=a\n\n: x\n\ndn: o=b\n:y\n',
      ['3: found ": x", want "attribute: value"', '6: found ":y", want "attribute: value"'],
    ],
  ] as const)('%j is refused with its lines', ([text, expected]) => {
    expect(problems(text)).toEqual(expected);
  });

  test('an error names the file, and says how much more there is', () => {
    const text = Array.from({ length: 25 }, () => 'x\n').join('\n');
    expect(() => parseLdif(text, 'people.ldif')).toThrow(/^people.ldif:1: found "x".*\n(.*\n){19}people.ldif: 5 more$/);
  });

  test('a text of a million folds is read in one pass', () => {
    const [record] = parseLdif(`dn: o=a\ncn: ${'x\n '.repeat(1_000_000)}x\n`);
    expect(record?.attributes.get('cn')?.[0]).toHaveLength(1_000_001);
  });
});

describe('a directory in an LDIF file', () => {
  const options = { file: sample, base: 'o=isp', mapping: PRESETS.sun, subAddressSeparators: '+' };

  test('answers with the entry, by primary address, alias and sub-address', async () => {
    await using directory = await openLdifDirectory(options);
    const alice = {
      dn: 'uid=alice,ou=People,o=example.test,o=isp',
      kind: 'user',
      mail: 'alice@example.test',
      addresses: ['alice@example.test', 'a.adams@example.test', 'alice.adams@example.test'],
      status: [
        { scope: 'mail', attribute: 'mailUserStatus', value: 'active' },
        { scope: 'calendar', attribute: 'icsStatus', value: 'active' },
      ],
      moving: false,
      calendar: true,
      marker: 'defaultbackend',
      mailHost: 'store.example.test',
    };
    expect(await directory.lookup('ALICE@Example.Test', never)).toEqual({
      kind: 'found',
      server: 'sample.ldif',
      entries: [{ ...alice, matchedBy: 'mail=alice@example.test' }],
    });
    expect(await directory.lookup('a.adams+x@example.test', never)).toEqual({
      kind: 'found',
      server: 'sample.ldif',
      entries: [{ ...alice, matchedBy: 'mailAlternateAddress=a.adams@example.test', detail: 'x' }],
    });
  });

  test.for(['nobody@example.test', 'alice@sales.test', 'alice', '', '*@example.test'])(
    '%j is unknown',
    async (address) => {
      await using directory = await openLdifDirectory(options);
      expect(await directory.lookup(address, never)).toEqual({ kind: 'unknown', server: 'sample.ldif' });
    },
  );

  test('entries outside the base are not there', async () => {
    await using directory = await openLdifDirectory({ ...options, base: 'O=Sales.Test, o=isp' });
    expect((await directory.lookup('heidi@example.test', never)).kind).toBe('found');
    expect((await directory.lookup('alice@example.test', never)).kind).toBe('unknown');
  });

  test('two entries of one address are found both', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'imipd-ldif-'));
    try {
      const file = join(folder, 'two.ldif');
      await writeFile(
        file,
        'dn: uid=a,o=isp\nobjectClass: inetMailUser\nmail: x@example.com\n\ndn: uid=b,o=isp\nobjectClass: inetMailUser\nmail: b@example.com\nmailEquivalentAddress: X@example.com\n',
      );
      await using directory = await openLdifDirectory({ ...options, file });
      const answer = await directory.lookup('x@example.com', never);
      expect(answer.kind === 'found' && answer.entries.map(({ dn }) => dn)).toEqual(['uid=a,o=isp', 'uid=b,o=isp']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a file that is not there, and a filter it cannot apply, are refused at start', async () => {
    await expect(openLdifDirectory({ ...options, file: '/nonexistent.ldif' })).rejects.toThrow(
      '/nonexistent.ldif:1: the file cannot be read (ENOENT)',
    );
    await expect(
      openLdifDirectory({ ...options, mapping: { ...PRESETS.sun, objectFilter: '(ou=x)' } }),
    ).rejects.toThrow(LdifError);
  });
});
