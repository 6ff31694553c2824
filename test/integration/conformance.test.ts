import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CONFORMANCE_CASES } from '../../src/doctor/conformance-cases.ts';
import { type ConformanceRow, runConformance } from '../../src/doctor/conformance-run.ts';
import type { Verdict } from '../../src/doctor/conformance-target.ts';
import { keyRecord } from '../../src/doctor/key-records.ts';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { type Cyrus, startCyrus, startDavical, startKnot } from '../servers/servers.ts';
import { folderWith } from './cli.ts';
import { Gateway } from './harness.ts';

const RUN = { originator: 'olga@outside.test', nobody: 'imipd-nobody@example.test', recipient: 'alice@example.test' };
const PATIENCE = { timeoutMs: 20_000 };
/** How docs/interop.md marks a verdict. */
const MARKS: Readonly<Record<Verdict, string>> = {
  'as the draft says': '✓',
  differs: '✗',
  'not offered': '–',
  'not run': '·',
};

/** The table of docs/interop.md: `name mark` of each case, in the column of one server. */
function documented(server: string): string[] {
  const text = readFileSync(join(import.meta.dirname, '../../docs/interop.md'), 'utf8');
  const table = text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const head = table.find((cells) => cells[1] === 'case');
  const column = head?.findIndex((cell) => cell.startsWith(server)) ?? -1;
  const names = new Set(CONFORMANCE_CASES.map(({ name }) => `\`${name}\``));
  return table
    .filter((cells) => names.has(cells[1] ?? ''))
    .map((cells) => `${cells[1]?.replaceAll('`', '')} ${cells[column]?.[0]}`);
}

function marked(rows: readonly ConformanceRow[]): string[] {
  return rows.map(({ name, verdict }) => `${name} ${MARKS[verdict]}`);
}

function found(rows: readonly ConformanceRow[], ...names: readonly string[]): string[] {
  return rows.filter(({ name }) => names.includes(name)).map(({ name, found: text }) => `${name}: ${text}`);
}

suite(['cyrus'], 'Cyrus under the conformance cases', () => {
  test('does as docs/interop.md says', async () => {
    await using cyrus = await startCyrus({ users: ['alice@example.test'] });
    const url = new URL(cyrus.ischedule);
    const rows = await runConformance({ ...RUN, url, run: 'cyrus', now: Date.now() }, PATIENCE);
    expect(found(rows, 'version-missing', 'originators', 'originator-organizer', 'unsigned', 'unknown-user')).toEqual([
      'version-missing: 400 version-not-supported',
      'originators: 400 too-many-originators',
      'originator-organizer: 200 2.0',
      'unsigned: 200 2.0: taken without one',
      'unknown-user: 200 3.7',
    ]);
    expect(marked(rows)).toEqual(documented('Cyrus'));
  });

  test('that demands signatures it cannot check refuses every post', async () => {
    await using cyrus = await startCyrus({ users: ['alice@example.test'] });
    const url = new URL(cyrus.strictIschedule);
    const rows = await runConformance({ ...RUN, url, run: 'strict', now: Date.now() }, PATIENCE);
    expect(found(rows, 'unsigned', 'signature-broken', 'free-busy')).toEqual([
      'unsigned: 403 verification-failed',
      'signature-broken: 403 verification-failed',
      'free-busy: 403 verification-failed',
    ]);
  });
});

suite(['davical'], 'DAViCal under the conformance cases', () => {
  test('does as docs/interop.md says', async () => {
    await using davical = await startDavical({ users: ['alice'] });
    const url = new URL(davical.ischedule);
    const key = createPrivateKey(readFileSync(join(davical.folder, 'dkim.key')));
    const signature = {
      key: { domain: 'outside.test', selector: 'cal', key },
      canonicalization: 'simple-http',
    } as const;
    const rows = await runConformance({ ...RUN, url, signature, run: 'davical', now: Date.now() }, PATIENCE);
    expect(found(rows, 'unsigned', 'signature-broken', 'free-busy', 'event', 'event-cancelled')).toEqual([
      'unsigned: 403, no iSchedule XML',
      'signature-broken: 412, no iSchedule XML',
      'free-busy: 200 2.0',
      'event: 200 2.0',
      'event-cancelled: 200 2.0',
    ]);
    expect(marked(rows)).toEqual(documented('DAViCal'));
  });
});

/** Our own gateway, in front of Cyrus: it believes whoever signs for outside.test, by the key in the DNS. */
async function startReceiver(cyrus: Cyrus, dns: string, port: number, people: string): Promise<Gateway> {
  return await Gateway.start(
    [
      'hostname: imipd.example.test',
      'domains: [example.test]',
      `listeners: [{name: in, address: '127.0.0.1:0'}]`,
      `next-hop: {address: '127.0.0.1:9'}`,
      `directory: {kind: ldif, file: '${people}'}`,
      `calendar: {back-ends: {north: {url: '${cyrus.ischedule}', profile: cyrus}}}`,
      `http: {service: {address: '127.0.0.1:${port}'}}`,
      `dns: {servers: ['${dns}']}`,
      'ischedule:',
      '  accept: {max-recipients: 20, max-instances: 100, min-date: 2000-01-01, max-date: 2039-12-31}',
      '  peers:',
      '    - name: outside',
      '      origin: outside',
      '      domains: [outside.test]',
      '      answer-wait: 10s',
      '      dkim: {canonicalizations: [ischedule-relaxed]}',
      'free-busy:',
      '  servers:',
      `    - {url: '${cyrus.ischedule}', by: caldav, at: '${cyrus.url}/dav/calendars/user/alice@example.test/Outbox/',`,
      '       user: alice@example.test, password: secret, as: alice@example.test}',
      '',
    ].join('\n'),
  );
}

const PEOPLE = `dn: o=example.test
objectClass: organization
o: example.test

dn: uid=alice,o=example.test
objectClass: inetOrgPerson
objectClass: inetMailUser
objectClass: icsCalendarUser
objectClass: davEntity
uid: alice
cn: Alice
mail: alice@example.test
davStore: north
`;

suite(['cyrus', 'knot'], 'imipd under the conformance cases', () => {
  test('does as the draft says in all of them', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const zone = keyRecord('outside.test', 'cal', publicKey).line;
    await using knot = await startKnot({ zones: { 'outside.test': zone } });
    await using cyrus = await startCyrus({ users: ['alice@example.test'] });
    const port = await freePort();
    await using folder = await folderWith({ 'people.ldif': PEOPLE });
    await using _ = await startReceiver(cyrus, knot.address, port, join(folder.path, 'people.ldif'));
    const url = new URL(`http://127.0.0.1:${port}/.well-known/ischedule`);
    const key = { domain: 'outside.test', selector: 'cal', key: privateKey };
    const signature = { key, canonicalization: 'ischedule-relaxed' } as const;
    const rows = await runConformance({ ...RUN, url, signature, run: 'imipd', now: Date.now() }, PATIENCE);
    expect(rows.filter(({ verdict }) => verdict === 'differs')).toEqual([]);
    expect(marked(rows)).toEqual(documented('imipd'));
  });
});

describe('the conformance cases', () => {
  test('stand in docs/interop.md, all of them and in their order', () => {
    expect(documented('case').map((row) => row.split(' ')[0])).toEqual(CONFORMANCE_CASES.map(({ name }) => name));
  });
});
