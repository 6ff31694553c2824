import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { type Slapd, startSlapd } from '../servers/servers.ts';
import { type Ended, type Folder, folderWith, imipd } from './cli.ts';
import { ldifOf, siteFor, user } from './directory-admin.ts';

const V7 = 'davStore: one';
const dn = (rdn: string): string => `${rdn},ou=People,o=isp`;

const SOUND = [
  user('ann', V7, 'davUniqueId: id-ann', 'icsCalendar: ann', 'icsAllowedServiceAccess: -http:all'),
  user('bob', 'davUniqueId: id-bob', 'icsCalendar: bob'),
  user('cleo', 'davStore: two', 'davUniqueId: id-cleo', 'mailAlternateAddress: c@example.test'),
  user('dan', V7, 'davUniqueId: id-dan', 'icsCalendar: dan', 'mailUserStatus: hold'),
];

const WRONG = [
  ...SOUND,
  user('eve', 'icsCalendar: eve'),
  user('fay', V7, 'davUniqueId: ID-Ann'),
  user('gil', 'davStore: three', 'davUniqueId: id-gil'),
  user('hal', V7, 'davUniqueId: id-hal', 'icsCalendar: hal'),
  user('ida', V7, 'davUniqueId: id-ida', 'icsAllowedServiceAccess: -http:all', 'mailUserStatus: hold'),
  user('jan', V7, 'davUniqueId: id-jan', 'mailEquivalentAddress: C@EXAMPLE.TEST'),
  user('kim', V7),
  [
    'cn=list',
    'objectClass: groupOfUniqueNames',
    'objectClass: inetMailGroup',
    'objectClass: davEntity',
    'cn: list',
    'mail: list@example.test',
    'davUniqueId: id-list',
    V7,
    'uniqueMember: uid=ann,ou=People,o=isp',
  ],
  [
    'cn=room',
    'objectClass: icsCalendarResource',
    'objectClass: inetMailUser',
    'cn: room',
    'mail: room@example.test',
    'icsCalendar: room',
  ],
];

/** Lines of a table, without what pads its columns. */
function table({ out }: Ended): readonly string[] {
  return out.split('\n').map((line) => line.replace(/ {2,}/g, '  '));
}

suite(['slapd'], 'imipd directory verify', () => {
  let sound: Slapd;
  let wrong: Slapd;
  let files: Folder;

  beforeAll(async () => {
    files = await folderWith({ 'sound.ldif': ldifOf(SOUND), 'wrong.ldif': ldifOf(WRONG) });
    sound = await startSlapd({ ldif: `${files.path}/sound.ldif` });
    wrong = await startSlapd({ ldif: `${files.path}/wrong.ldif` });
  });
  afterAll(async () => {
    await sound?.[Symbol.asyncDispose]();
    await wrong?.[Symbol.asyncDispose]();
    await files?.[Symbol.asyncDispose]();
  });

  test('of a directory in order finds nothing and exits 0', async () => {
    await using site = await siteFor(sound);
    expect(await imipd(site.path, 'directory', 'verify')).toEqual({
      code: 0,
      out: '',
      err: `4 users, resources and groups of ${sound.url}: no findings\n`,
    });
  });

  test('names each finding with its entry, whether marks agree with each other, and exits 1', async () => {
    await using site = await siteFor(wrong, {
      directory: [
        'mapping: {address-attributes: [mail, mailAlternateAddress, mailEquivalentAddress, mailLocalAddress]}',
      ],
    });
    const ended = await imipd(site.path, 'directory', 'verify');
    expect({ ...ended, out: table(ended) }).toEqual({
      code: 1,
      err: `13 users, resources and groups of ${wrong.url}: 10 findings\n`,
      out: [
        'FINDING  ENTRY  DETAIL',
        'no-index  -  look-ups search by mailLocalAddress, which has no equality index',
        `id-missing  ${dn('uid=eve')}  a user without davUniqueId`,
        `marker-unknown  ${dn('uid=gil')}  davStore=three, which no calendar.back-ends line names`,
        `v6-access  ${dn('uid=hal')}  davStore=one, had a calendar on v6, and may still use it: no icsAllowedServiceAccess=-http:all`,
        `moving-finished  ${dn('uid=ida')}  davStore=one and icsAllowedServiceAccess=-http:all, but still marked as being moved`,
        `id-missing  ${dn('uid=kim')}  a user without davUniqueId, but it has davStore=one`,
        `marker-without-calendar  ${dn('cn=list')}  davStore=one, but a group has no calendar`,
        `id-missing  ${dn('cn=room')}  a resource without davUniqueId`,
        `id-repeated  ${dn('uid=fay')}  davUniqueId=ID-Ann is of ${dn('uid=ann')} as well`,
        `address-repeated  ${dn('uid=jan')}  mailEquivalentAddress=C@EXAMPLE.TEST is of ${dn('uid=cleo')} as well`,
        '',
      ],
    });
  });

  test('with --json prints one array, with --v7 holds the markers against the list', async () => {
    const master = [
      '2026-11-20 10:00:01 INFO ann@example.test migrated to one',
      '2026-11-20 10:00:02 INFO migrated mailto:bob@example.test',
      '2026-11-20 10:00:03 SEVERE user cleo@example.test: migration failed',
      '2026-11-20 10:00:04 INFO nobody@example.test migrated',
    ].join('\n');
    await using site = await siteFor(sound, {}, { master_log: master });
    const { code, out, err } = await imipd(site.path, 'directory', 'verify', '--json', '--v7', 'master_log');
    expect({ code, err, out: JSON.parse(out) }).toEqual({
      code: 1,
      err: `master_log: 1 line speaks of a failure; who stands there counts as not on v7\n4 users, resources and groups of ${sound.url}: 3 findings\n`,
      out: [
        { kind: 'marker-missing', dn: dn('uid=bob'), detail: 'on v7 by the list, but without davStore' },
        { kind: 'marker-unexpected', dn: dn('uid=cleo'), detail: 'davStore=two, but not on v7 by the list' },
        { kind: 'v7-unknown', dn: '', detail: 'on v7 by the list, but nobody has nobody@example.test' },
      ],
    });
  });

  test('with --probe-v6 asks v6 for each user who is not being moved, without redirection', async () => {
    const asked: string[] = [];
    const answers: Readonly<Record<string, string>> = {
      'ann@example.test': 'BEGIN:VCALENDAR\r\nX-NSCP-WCAP-ERRNO:0\r\nEND:VCALENDAR\r\n',
      'bob@example.test': 'BEGIN:VCALENDAR\r\nX-NSCP-WCAP-ERRNO:29\r\nEND:VCALENDAR\r\n',
      'cleo@example.test': '',
    };
    const v6 = createServer((request, response) => {
      const url = new URL(request.url ?? '', 'http://v6.test');
      asked.push(`${url.pathname}${url.search}`);
      response.end(answers[url.searchParams.get('calid')?.replace('mailto:', '') ?? '']);
    }).listen(0, '127.0.0.1');
    await once(v6, 'listening');
    await using site = await siteFor(sound);
    const url = `http://127.0.0.1:${(v6.address() as AddressInfo).port}/`;
    const args = ['--probe-v6', '--probe-url', url, '--probe-rate', '1000'];
    const ended = await imipd(site.path, 'directory', 'verify', ...args);
    v6.close();
    expect({ ...ended, out: table(ended) }).toEqual({
      code: 1,
      err: `4 users, resources and groups of ${sound.url}: 2 findings\n`,
      out: [
        'FINDING  ENTRY  DETAIL',
        `on-both  ${dn('uid=ann')}  davStore=one, and v6 has a calendar of ann@example.test`,
        `on-neither  ${dn('uid=bob')}  no davStore, and v6 has no calendar of bob@example.test`,
        '',
      ],
    });
    expect(asked).toEqual(
      ['ann', 'bob', 'cleo'].map(
        (name) =>
          `/get_freebusy.wcap?calid=mailto%3A${name}%40example.test&duration=1&fmt-out=text%2Fcalendar&noredirect=1`,
      ),
    );
  });

  test('says when the account may not read the indexes', async () => {
    await using site = await siteFor(sound, { bindDn: 'cn=admin,o=isp' });
    const { code, err } = await imipd(site.path, 'directory', 'verify');
    expect({ code, err }).toEqual({
      code: 0,
      err: [
        `the indexes of ${sound.url} cannot be read: ${sound.url}: the search below cn=config failed: the server answered NoSuchObject (32); the base does not exist, or may not be read by this account`,
        `4 users, resources and groups of ${sound.url}: no findings`,
        '',
      ].join('\n'),
    });
  });

  test('with a wrong password, or a list that names nobody, says what to do and exits with their codes', async () => {
    await using site = await siteFor(sound, { directory: ['connect-timeout: 2s'] }, { empty: '# none\n' });
    expect(await imipd(site.path, 'directory', 'verify', '--v7', 'empty')).toEqual({
      code: 65,
      out: '',
      err: 'empty: no address found; want one on a line, or a master_log that names them\n',
    });
    await using stranger = await siteFor(sound, { bindDn: 'cn=stranger,o=isp' });
    expect(await imipd(stranger.path, 'directory', 'verify')).toEqual({
      code: 69,
      out: '',
      err: `the directory cannot be read: ${sound.url}: the server answered InvalidCredentials (49); the name or the password is wrong\n`,
    });
  });
});
