import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { type Slapd, startSlapd } from '../servers/servers.ts';
import { type Folder, folderWith, imipd } from './cli.ts';
import { root } from './harness.ts';
import { calendarYaml, directoryYaml } from './site.ts';

/** The first address of everybody in the sample directory, in its order. */
const EVERYBODY = [
  ...readFileSync(join(root, 'test/servers/ldap/sample.ldif'), 'utf8').matchAll(/^mail: (.*)$/gm),
].flatMap(([, address]) => address ?? []);

/** By other addresses of theirs, and nobody. */
const BESIDES = [
  'a.adams@example.test',
  'cc@example.test',
  'heidi@example.test',
  'the-team@example.test',
  'bob+work@example.test',
  'nobody@example.test',
];

suite(['slapd'], 'imipd explain of somebody in the sample directory', () => {
  let slapd: Slapd;
  let folder: Folder;
  beforeAll(async () => {
    slapd = await startSlapd();
    folder = await folderWith({
      'v6.properties':
        'example.test=http://v6.example.test:81/ischedule\nsales.test=http://v6.sales.test:81/ischedule\n',
      'imipd.yaml': `
hostname: imipd.example.test
domains: [example.test, sales.test]
listeners:
  - {name: in, address: '127.0.0.1:0'}
next-hop: {address: '127.0.0.1:2', protocol: lmtp}
${directoryYaml(slapd)}
${calendarYaml('http://v7.example.test/ischedule', 'http://v7-2.example.test/ischedule', 'http://davical.example.test/ischedule').replace('calendar:\n', 'calendar:\n  domain-map: v6.properties\n')}
`,
    });
  });
  afterAll(async () => {
    await folder?.[Symbol.asyncDispose]();
    await slapd?.[Symbol.asyncDispose]();
  });

  test.for([...EVERYBODY, ...BESIDES])('says of %s what it says here', async (address) => {
    const { code, out, err } = await imipd(folder.path, 'explain', address);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const text = out.replaceAll(slapd.url, 'ldap://directory.example.test');
    await expect(text).toMatchFileSnapshot(`fixtures/explain/${address}.txt`);
  });
});
