import { describe, expect, test } from 'vitest';
import type { Config } from '../../src/config/options.ts';
import { silentLog } from '../../src/observe/log.ts';
import { changesOf, closeParts, openParts } from '../../src/parts.ts';
import { ConfigFolder, withMinimum } from './config/folder.ts';

const PEERS =
  'http: {service: {}}\nischedule: {peers: [{name: p, domains: [example.org], networks: [192.0.2.1]}], accept: {max-recipients: 5}}';
/** Somebody asks for busy times, and one server is asked by WCAP. */
const ASKED = `http: {service: {}}
free-busy:
  deadline: 4s
  servers: [{url: "http://127.0.0.1:8080/", by: wcap, at: http://127.0.0.1:8081/}]
  clients: [{name: cs6, networks: [192.0.2.6]}]
`;
const PEOPLE = 'dn: uid=alice,o=isp\nobjectClass: icsCalendarUser\nuid: alice\nmail: alice@example.com\n';

function load(folder: ConfigFolder, more: string): Config {
  const loaded = folder.load(withMinimum(more));
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}

describe('what a gateway opens for a changed configuration', () => {
  const cases: readonly [change: string, more: string, people: string, opened: readonly string[]][] = [
    ['of the queue alone is nothing', 'queue: {post-lifetime: 1d}', PEOPLE, []],
    ['of the way to calendar servers is the channels', 'ischedule: {timeout: 9s}', PEOPLE, ['channels', 'lanes']],
    ['of who may post, and what, is nothing', PEERS, PEOPLE, []],
    [
      'of what is asked of the DNS is that and the channels',
      'dns: {timeout: 1s}',
      PEOPLE,
      ['outside', 'channels', 'lanes'],
    ],
    [
      'of discovery is that and the channels',
      'ischedule: {discovery: {domains: ["*"]}}',
      PEOPLE,
      ['outside', 'channels', 'lanes'],
    ],
    ['of the questions for busy times is nothing that posts go through', ASKED, PEOPLE, []],
    ['of a hop is the channels', 'smart-host: {address: "127.0.0.1:2525"}', PEOPLE, ['channels', 'lanes']],
    ['of the content of the directory’s file is the directory', '', `${PEOPLE}cn: Alice\n`, ['directory']],
  ];
  for (const [change, more, people, opened] of cases) {
    test(change, async () => {
      using folder = new ConfigFolder();
      folder.write('people.ldif', PEOPLE);
      const before = await openParts(load(folder, ''), silentLog);
      folder.write('people.ldif', people);
      const after = await openParts(load(folder, more), silentLog, before);
      const parts = ['directory', 'outside', 'channels', 'lanes'] as const;
      expect(parts.filter((part) => before[part] !== after[part])).toEqual(opened);
      await closeParts(before, after);
      await closeParts(after);
    });
  }

  const BROKERS: readonly [change: string, more: string, people: string, isKept: boolean][] = [
    ['of the queue is kept', `queue: {post-lifetime: 1d}\n${ASKED}`, PEOPLE, true],
    ['of who may ask is kept', ASKED.replace('192.0.2.6', '192.0.2.7'), PEOPLE, true],
    ['of who may post is kept', `${PEERS}\n${ASKED.replace('http: {service: {}}\n', '')}`, PEOPLE, true],
    ['of the deadline is opened anew', ASKED.replace('4s', '3s'), PEOPLE, false],
    [
      'of a server is opened anew',
      ASKED.replace('by: wcap', 'by: url').replace('/}', '/{local}.ifb"}').replace('at: ', 'at: "'),
      PEOPLE,
      false,
    ],
    ['of the way to calendar servers is opened anew', `ischedule: {timeout: 9s}\n${ASKED}`, PEOPLE, false],
    ['of the DNS is opened anew', `dns: {timeout: 1s}\n${ASKED}`, PEOPLE, false],
    ['of the directory is opened anew', ASKED, `${PEOPLE}cn: Alice\n`, false],
  ];
  for (const [change, more, people, isKept] of BROKERS) {
    test(`what answers questions for busy times, after a change ${change}`, async () => {
      using folder = new ConfigFolder();
      folder.write('people.ldif', PEOPLE);
      const before = await openParts(load(folder, ASKED), silentLog);
      folder.write('people.ldif', people);
      const after = await openParts(load(folder, more), silentLog, before);
      expect([before.broker !== undefined, after.broker === before.broker]).toEqual([true, isKept]);
      await closeParts(before, after);
      await closeParts(after);
    });
  }

  test('there is nothing that answers questions for busy times where the section is absent', async () => {
    using folder = new ConfigFolder();
    folder.write('people.ldif', PEOPLE);
    const before = await openParts(load(folder, ASKED), silentLog);
    const after = await openParts(load(folder, ''), silentLog, before);
    const again = await openParts(load(folder, ASKED), silentLog, after);
    expect([before, after, again].map(({ broker }) => broker !== undefined)).toEqual([true, false, true]);
    await closeParts(before, after);
    await closeParts(after, again);
    await closeParts(again);
  });

  test('is told with the files of the directory', async () => {
    using folder = new ConfigFolder();
    const file = folder.write('people.ldif', PEOPLE);
    const before = await openParts(load(folder, ''), silentLog);
    folder.write('people.ldif', `${PEOPLE}cn: Alice\n`);
    const after = await openParts(load(folder, 'queue: {post-lifetime: 1d}'), silentLog, before);
    expect(changesOf(before, after)).toEqual(['queue.post-lifetime: 12h → 1d', `directory: ${file} has other content`]);
    await closeParts(before, after);
    await closeParts(after);
  });
});
