import { describe, expect, test } from 'vitest';
import { changes } from '../../../src/config/diff.ts';
import { ConfigFolder, withMinimum } from './folder.ts';

type Site = { readonly yaml: string; readonly files?: Readonly<Record<string, string>> };

/** What differs between two configurations in one folder. */
function between(before: Site, after: Site): readonly string[] {
  using folder = new ConfigFolder();
  const [old, now] = [before, after].map(({ yaml, files = {} }) => {
    for (const [name, content] of Object.entries(files)) folder.write(name, content);
    const loaded = folder.load(yaml);
    if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
    return loaded.config;
  });
  return changes(old!, now!).map((text) => text.replaceAll(`${folder.path}/`, ''));
}

const options = (before: string, after: string) => between({ yaml: withMinimum(before) }, { yaml: withMinimum(after) });

describe('the changes between two configurations', () => {
  const cases: readonly [title: string, before: string, after: string, expected: readonly string[]][] = [
    ['are none when they say the same in other words', 'queue: {post-lifetime: 24h}', 'queue: {post-lifetime: 1d}', []],
    [
      'name times and sizes with their units, and lists whole',
      'queue: {post-retry: [30s, 90s]}',
      'queue: {post-lifetime: 2d, post-retry: [250ms]}\nischedule: {max-response: 2MB, redirect-hosts: [a.test]}',
      [
        'ischedule.redirect-hosts: [] → [a.test]',
        'ischedule.max-response: 1MB → 2MB',
        'queue.post-lifetime: 12h → 2d',
        'queue.post-retry: [30s, 90s] → [250ms]',
      ],
    ],
    [
      'never show a secret',
      'smart-host: {address: "127.0.0.1:2525", user: imipd, password: old-secret}',
      'smart-host: {address: "[::1]:2525", user: imipd, password: new-secret}',
      ['smart-host.address: 127.0.0.1:2525 → [::1]:2525', 'smart-host.password: changed'],
    ],
    [
      'tell of an option that is gone, and of one that is new',
      'log: {file: /var/log/imipd.log}\nannotate: {meeting-headers: false}',
      'log: {level: warn}',
      ['annotate.meeting-headers: false → true', 'log.level: info → warn', 'log.file: /var/log/imipd.log → none'],
    ],
  ];
  for (const [title, before, after, expected] of cases) {
    test(title, () => expect(options(before, after)).toEqual(expected));
  }

  test('tell of sections, back ends and listeners that come and go', () => {
    const site = (calendar: string, listeners: string, directory: string) =>
      `domains: [example.com]\nlisteners: [${listeners}]\ndirectory: ${directory}\ncalendar: ${calendar}\nnext-hop: {address: '127.0.0.1:10026'}\n`;
    const found = between(
      {
        yaml: site(
          '{back-ends: {north: {url: "http://n.test/"}, south: {url: "http://s.test/"}}}',
          '{name: in}',
          '{kind: ldif, file: people.ldif}',
        ),
      },
      {
        yaml: site(
          '{back-ends: {north: {url: "http://n.test/", profile: cyrus}, west: {url: "http://w.test/"}}}',
          '{name: in, reply-wait: 1s}',
          '{kind: ldap, servers: ["ldaps://l.test"], base: o=isp, bind-dn: cn=x, password: geheim}',
        ),
      },
    );
    expect(found.filter((text) => /^(listeners|calendar)/.test(text))).toEqual([
      'listeners[0].reply-wait: 3s → 1s',
      'calendar.back-ends.north.profile: generic → cyrus',
      'calendar.back-ends.south: {url: http://s.test/, profile: generic} → none',
      'calendar.back-ends.west: none → {url: http://w.test/, profile: generic}',
    ]);
    expect(found).toContain('directory.kind: ldif → ldap');
    expect(found).toContain('directory.file: people.ldif → none');
    expect(found).toContain('directory.password: none → [secret]');
    expect(found.join()).not.toContain('geheim');
  });

  test('tell of a domain map by domain, wherever its lines stand', () => {
    const yaml = withMinimum('').replace('calendar: {', 'calendar: {domain-map: map.properties, ');
    const map = (text: string): Site => ({ yaml, files: { 'map.properties': text } });
    expect(
      between(
        map('a.test=http://one.test/\nb.test=http://one.test/\nc.test=http://one.test/ profile=cyrus\n'),
        map('# moved\nc.test=http://one.test/ profile=generic\na.test=http://one.test/\n*=http://two.test/\n'),
      ),
    ).toEqual([
      'calendar.domain-map: b.test: http://one.test/ → none',
      'calendar.domain-map: c.test: http://one.test/ profile=cyrus → http://one.test/ profile=generic',
      'calendar.domain-map: *: none → http://two.test/',
    ]);
  });
});
