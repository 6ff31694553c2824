import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { freePort } from '../servers/ports.ts';
import { folderWith, imipd, trialCalendar } from './cli.ts';

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

const site = (...more: readonly string[]): string =>
  lines(
    'domains: [example.com]',
    "listeners: [{name: in, address: '127.0.0.1:10025'}, {name: all, address: '0.0.0.0:10026'}]",
    "next-hop: {address: '127.0.0.1:2'}",
    ...more,
  );

describe('imipd map lint', () => {
  test('of a map that is well says nothing', async () => {
    await using folder = await folderWith({});
    await using calendar = trialCalendar(folder.path);
    const { origin } = await calendar.listen();
    await using here = await folderWith({
      'map.properties': `# ours\nexample.com=${origin}/ischedule\n`,
      'imipd.yaml': site('calendar: {domain-map: map.properties}'),
    });
    expect(await imipd(here.path, 'map', 'lint')).toEqual({ code: 0, out: '', err: '' });
  });

  test('names by line what is wrong in the text and with the servers', async () => {
    const closed = await freePort();
    await using here = await folderWith({
      'map.properties': lines(
        'example.net=https://calendar.example.net/ischedule',
        'example.com http://127.0.0.1:10025/',
        'example.org=http://nowhere.invalid/x profile=cyrus',
        `*.example.net=http://127.0.0.1:${closed}/`,
        'example.net=http://localhost:10026/',
        '*.example.org=ftp://x',
        `rooms.example.net=http://127.0.0.1:${closed}/`,
      ),
      'imipd.yaml': site(),
    });
    const file = 'map.properties';
    const refused = `http://127.0.0.1:${closed}/ cannot be reached: nobody listens there (ECONNREFUSED)`;
    const { code, out, err } = await imipd(here.path, 'map', 'lint', file);
    expect({ code, err }).toEqual({ code: 1, err: '' });
    expect(out.split('\n')).toEqual([
      `${file}:1: warning: this line is never used: example.net stands in line 5 again, and the last one counts`,
      `${file}:2: error: http://127.0.0.1:10025/ leads back to ourselves: 127.0.0.1:10025 is a listener of this gateway; name the calendar server`,
      expect.stringMatching(/^map\.properties:3: error: nowhere\.invalid cannot be resolved \(E[A-Z_]+\)$/),
      `${file}:4: error: ${refused}`,
      expect.stringMatching(
        /^map\.properties:5: error: http:\/\/localhost:10026\/ leads back to ourselves: localhost is (?:127\.0\.0\.1|::1), where our listener all is on port 10026; name the calendar server$/,
      ),
      `${file}:6: error: got the URL "ftp://x", need one with http:// or https://`,
      `${file}:7: warning: this line says nothing new: without it *.example.net in line 4 names the same server for rooms.example.net`,
      `${file}:7: error: ${refused}`,
      '',
    ]);
  });

  test('warns of a path that the server does not know, without an exit code for it', async () => {
    const server = createServer((_, response) => response.writeHead(404).end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await using here = await folderWith({ 'map.properties': `example.org=http://127.0.0.1:${port}/dav\n` });
    const ended = await imipd(here.path, 'map', 'lint', 'map.properties');
    server.close();
    expect(ended).toEqual({
      code: 0,
      err: '',
      out: `map.properties:1: warning: http://127.0.0.1:${port}/dav says 404 to a question for its capabilities; is /dav the path of its iSchedule service?\n`,
    });
  });

  test('asks nobody when it is offline, and tells the same in JSON', async () => {
    await using here = await folderWith({
      'map.properties': '\uFEFFexample.org=http://nowhere.invalid/\nexample.net\n',
    });
    const { code, out } = await imipd(here.path, 'map', 'lint', '--offline', '--json', 'map.properties');
    expect({ code, out: JSON.parse(out) }).toEqual({
      code: 1,
      out: [
        {
          file: 'map.properties',
          line: 1,
          kind: 'warning',
          text: 'map.properties begins with a byte order mark, which the calendar server takes for part of the first domain; save it without one',
        },
        {
          file: 'map.properties',
          line: 2,
          kind: 'error',
          text: 'example.net has no URL, need example.net=https://calendar.example.com/ischedule/',
        },
      ],
    });
  });

  test('looks at a file though the configured map is broken, and says what it then cannot see', async () => {
    await using here = await folderWith({
      'map.properties': 'example.net\n',
      'imipd.yaml': site('calendar: {domain-map: map.properties}'),
    });
    expect(await imipd(here.path, 'map', 'lint', '--offline', 'map.properties')).toEqual({
      code: 1,
      out: 'map.properties:1: error: example.net has no URL, need example.net=https://calendar.example.com/ischedule/\n',
      err: 'the configuration has errors (imipd check lists them): lines that lead back to ourselves are not looked for\n',
    });
  });

  test('without a map, or of one that is not there, is refused', async () => {
    await using here = await folderWith({ 'imipd.yaml': site() });
    expect(await imipd(here.path, 'map', 'lint')).toEqual({
      code: 64,
      out: '',
      err: 'got no domain map: name a file, or set calendar.domain-map in the configuration\n',
    });
    expect(await imipd(here.path, 'map', 'lint', 'gone')).toEqual({
      code: 66,
      out: '',
      err: 'gone: cannot be read (no such file)\n',
    });
  });
});

describe('imipd map lookup', () => {
  const map = lines(
    'example.com=http://v6.example.com/',
    '*.example.net=https://north.example.net/ profile=cyrus',
    '*=https://all.example.org/',
  );
  const yaml = site(
    'directory: {kind: ldif, file: people.ldif}',
    "calendar: {back-ends: {north: {url: 'http://127.0.0.1:1/'}}, domain-map: map.properties}",
  );
  const questions: readonly [asked: string, ...says: readonly string[]][] = [
    [
      'bob@Example.COM',
      'example.com: MAP:1: example.com, the domain itself',
      '  http://v6.example.com/',
      '  profile oracle-v6, since a marker tells who is on v7',
      '  a domain of ours: users with davStore go to the back end of its value instead',
      '  line 3, *, would be for it too, and is less exact',
    ],
    [
      'a.b.example.net',
      'a.b.example.net: MAP:2: *.example.net, the nearest domain above it',
      '  https://north.example.net/',
      '  profile cyrus, as the line says',
      '  line 3, *, would be for it too, and is less exact',
    ],
    [
      'olga@example.org',
      'example.org: MAP:3: *, every domain without a line of its own',
      '  https://all.example.org/',
      '  profile generic, since the line names none',
    ],
  ];
  for (const [asked, ...says] of questions) {
    test(`of ${asked} tells which line is for it, and why`, async () => {
      await using here = await folderWith({ 'map.properties': map, 'people.ldif': '', 'imipd.yaml': yaml });
      expect(await imipd(here.path, 'map', 'lookup', asked)).toEqual({
        code: 0,
        err: '',
        out: lines(...says).replace('MAP', join(here.path, 'map.properties')),
      });
    });
  }

  test('says that no line is for a domain, and that it gets mail only', async () => {
    const files = { 'map.properties': 'example.net=http://x.example/\n', 'people.ldif': '', 'imipd.yaml': yaml };
    await using here = await folderWith(files);
    expect((await imipd(here.path, 'map', 'lookup', 'example.org')).out).toBe(
      `example.org: no line of ${join(here.path, 'map.properties')}\n  not a domain of ours: mail only\n`,
    );
    expect(JSON.parse((await imipd(here.path, 'map', 'lookup', 'example.net', '--json')).out)).toEqual({
      domain: 'example.net',
      ours: false,
      file: join(here.path, 'map.properties'),
      line: 1,
      pattern: 'example.net',
      url: 'http://x.example/',
      profile: 'generic',
      lesser: [],
    });
  });
});
