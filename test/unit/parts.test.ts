import { describe, expect, test } from 'vitest';
import type { Config } from '../../src/config/options.ts';
import { silentLog } from '../../src/observe/log.ts';
import { changesOf, closeParts, openParts } from '../../src/parts.ts';
import { ConfigFolder, withMinimum } from './config/folder.ts';

const PEERS =
  'http: {service: {}}\nischedule: {peers: [{name: p, domains: [example.org], networks: [192.0.2.1]}], accept: {max-recipients: 5}}';
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
