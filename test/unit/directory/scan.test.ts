import { describe, expect, test } from 'vitest';
import { barText } from '../../../src/commands/progress.ts';
import { formatAdditions, readAdditions } from '../../../src/directory/admin-ldif.ts';
import { Repeats } from '../../../src/directory/scan-duplicates.ts';
import { equalityIndexes } from '../../../src/directory/scan-index.ts';
import { questionFor, readPresence } from '../../../src/directory/scan-probe.ts';
import { parseV7List } from '../../../src/directory/scan-v7-list.ts';

describe('the list of who is on v7', () => {
  test.for([
    [
      'one address on a line, comments and blank lines between',
      '\uFEFF# moved\r\nAnn@Example.TEST\r\n\r\nbob@example.test\r\n',
    ],
    ['the log of a migration', '10:00 INFO user=ann@example.test done\n10:01 migrated <bob@example.test>.\n'],
    ['addresses with their scheme', 'mailto:ann@example.test\nmailto:bob@example.test'],
  ])('takes %s', ([, text = '']) => {
    expect(parseV7List(text)).toEqual({
      addresses: new Set(['ann@example.test', 'bob@example.test']),
      failedLines: 0,
    });
  });

  test('leaves out whom a line of the log names beside a failure, and not an address that only sounds like one', () => {
    expect(parseV7List('ERROR ann@example.test\nfailure@example.test\nskipped: bob@example.test\ndone')).toEqual({
      addresses: new Set(['failure@example.test']),
      failedLines: 2,
    });
  });
});

describe('the question to v6', () => {
  test('goes to WCAP below the path, forbids redirection and names the address as it has to be escaped', () => {
    expect(questionFor(new URL('http://v6.test:8080/wcap/?x=1'), 'a+b&c@example.test').href).toBe(
      'http://v6.test:8080/wcap/get_freebusy.wcap?calid=mailto%3Aa%2Bb%26c%40example.test&duration=1&fmt-out=text%2Fcalendar&noredirect=1',
    );
  });

  test.for([
    ['', { kind: 'absent' }],
    ['\r\n', { kind: 'absent' }],
    ['BEGIN:VCALENDAR\r\nX-NSCP-WCAP-ERRNO:29\r\nEND:VCALENDAR\r\n', { kind: 'absent' }],
    ['X-NSCP-WCAP-ERRNO:53', { kind: 'absent' }],
    ['BEGIN:VFREEBUSY\r\nEND:VFREEBUSY\r\nX-NSCP-WCAP-ERRNO:0\r\n', { kind: 'there' }],
    ['<X-NSCP-WCAP-ERRNO>28</X-NSCP-WCAP-ERRNO>', { kind: 'there' }],
    ['X-NSCP-WCAP-ERRNO:75', { kind: 'unclear', reason: 'it answered X-NSCP-WCAP-ERRNO 75' }],
    ['X-NSCP-WCAP-ERRNO:-1', { kind: 'unclear', reason: 'it answered X-NSCP-WCAP-ERRNO -1' }],
    ['<html>', { kind: 'unclear', reason: 'the answer is none of WCAP: it has no X-NSCP-WCAP-ERRNO' }],
  ] as const)('the answer %j means %o', ([body, presence]) => {
    expect(readPresence(body)).toEqual(presence);
  });
});

describe('repeats', () => {
  test('are those added twice, of any number of texts', () => {
    const repeats = new Repeats();
    for (let index = 0; index < 5000; index++) repeats.add(`user${index}`);
    for (const text of ['user7', 'user4999', 'user7']) repeats.add(text);
    expect(repeats.settle()).toBe(2);
    expect(['user7', 'user4999', 'user8', 'nobody'].filter((text) => repeats.isSuspect(text))).toEqual([
      'user7',
      'user4999',
    ]);
  });
});

describe('olcDbIndex', () => {
  test('names the attributes with an equality index, by the default where a line has no kinds', () => {
    expect(
      equalityIndexes(['{0}objectClass,uniqueMember eq', 'Mail eq,sub', '{2}cn', 'sn pres,sub', 'default pres,eq']),
    ).toEqual(new Set(['objectclass', 'uniquemember', 'mail', 'cn', 'default']));
    expect(equalityIndexes(['cn'])).toEqual(new Set());
  });
});

describe('LDIF of added values', () => {
  test('folds long lines, writes what is not plain as base64, and is read back as it was', async () => {
    const changes = [
      { dn: `uid=${'x'.repeat(100)},o=isp`, additions: [{ attribute: 'davUniqueId', value: 'a: b' }] },
      {
        dn: 'uid=é,o=isp',
        additions: [
          { attribute: 'objectClass', value: 'daventity' },
          { attribute: 'davUniqueId', value: ' led by a space' },
        ],
      },
    ];
    const text = changes.map(formatAdditions).join('');
    expect(text).toBe(
      [
        `dn: uid=${'x'.repeat(68)}`,
        ` ${'x'.repeat(32)},o=isp`,
        'changetype: modify',
        'add: davUniqueId',
        'davUniqueId: a: b',
        '-',
        '',
        'dn:: dWlkPcOpLG89aXNw',
        'changetype: modify',
        'add: objectClass',
        'objectClass: daventity',
        '-',
        'add: davUniqueId',
        'davUniqueId:: IGxlZCBieSBhIHNwYWNl',
        '-',
        '',
        '',
      ].join('\n'),
    );
    const read = [];
    for await (const change of readAdditions(linesOf(`version: 1\n\n${text}`))) read.push(change);
    expect(read).toEqual(changes);
  });

  test.for([
    'dn: o=isp\nchangetype: delete\n',
    'dn: o=isp\nchangetype: modify\nreplace: mail\nmail: a@b\n-\n',
    'cn: x\nchangetype: modify\n',
  ])('refuses any other record: %j', async (text) => {
    const read = async (): Promise<void> => {
      for await (const _ of readAdditions(linesOf(text)));
    };
    await expect(read()).rejects.toThrow(/^line \d+: /);
  });
});

test('the bar shows how far it is', () => {
  expect(barText('looking', 50_000, 100_000)).toBe('looking [###############...............] 50 % of 100000');
  expect(barText('looking', 0, 0)).toBe('looking [##############################] 100 % of 0');
});

async function* linesOf(text: string): AsyncGenerator<string> {
  yield* text.split('\n');
}
