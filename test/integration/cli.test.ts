import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { readMailbox } from '../../src/trial/maildir.ts';
import { readEvent } from '../../src/trial/vdir.ts';
import { folderWith, imipd, run } from './cli.ts';
import { root } from './harness.ts';
import { invitationMail } from './invitations.ts';
import { submit } from './smtp-client.ts';

const OLGA = 'olga@example.org';
const ALICE = 'alice@example.com';

describe('a command line', () => {
  const commands: readonly (readonly string[])[] = [
    [],
    ['serve'],
    ['demo'],
    ['check'],
    ['explain'],
    ['inject'],
    ['queue'],
    ['queue', 'list'],
    ['queue', 'show'],
    ['queue', 'retry'],
    ['queue', 'release'],
    ['queue', 'bounce'],
    ['queue', 'delete'],
  ];
  for (const command of commands) {
    test(`${['imipd', ...command].join(' ')} --help says how it is used`, async () => {
      const { code, out, err } = await imipd('.', ...command, '--help');
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out.split('\n')[0]).toMatch(new RegExp(`^Usage: ${['imipd', ...command].join(' ')} `));
    });
  }

  test('imipd --version prints the version of the package', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    expect(await imipd('.', '--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });

  const wrong: readonly [title: string, args: readonly string[], says: string][] = [
    ['an unknown command', ['frobnicate'], "error: unknown command 'frobnicate'\n"],
    ['a misspelled command', ['chek'], "error: unknown command 'chek'\n(Did you mean check?)\n"],
    ['an unknown command of the queue', ['queue', 'empty'], "error: unknown command 'empty'\n"],
    ['an unknown option', ['check', '--fast'], "error: unknown option '--fast'\n(Did you mean --wait?)\n"],
    ['a missing argument', ['explain'], "error: missing required argument 'address'\n"],
    [
      'an unknown kind of delivery',
      ['queue', 'retry', 'X', '--kind', 'letter'],
      "error: option '--kind <kind>' argument 'letter' is invalid. Allowed choices are post, mail.\n",
    ],
  ];
  for (const [title, args, says] of wrong) {
    test(`with ${title} is refused with exit code 64`, async () => {
      expect(await imipd('.', ...args)).toEqual({ code: 64, out: '', err: says });
    });
  }

  test('of a command that needs a configuration says where one was looked for', async () => {
    await using folder = await folderWith({});
    expect(await imipd(folder.path, 'check')).toEqual({
      code: 78,
      out: '',
      err: 'no configuration: there is neither imipd.yaml nor /etc/imipd/imipd.yaml; write one (docs/config.md) or name it with --config\n',
    });
  });

  for (const command of [['check'], ['explain', ALICE], ['inject', 'mail.eml'], ['queue', 'list'], ['serve']]) {
    test(`${command.join(' ')} with a wrong configuration names every error with file and line`, async () => {
      await using folder = await folderWith({
        'imipd.yaml': [
          'domains: [example.com]',
          'listener:',
          '  - {name: in}',
          'next-hop: {address: mailhost}',
          'queue: {post-retry: [30]}',
          '',
        ].join('\n'),
      });
      const { code, out, err } = await imipd(folder.path, ...command);
      expect({ code, out }).toEqual({ code: 78, out: '' });
      expect(err.split('\n').map((line) => line.split(/: (?=got|missing|unknown)/)[0])).toEqual([
        'imipd.yaml:1: listeners',
        'imipd.yaml:2: listener',
        'imipd.yaml:4: next-hop.address',
        'imipd.yaml:5: queue.post-retry[0]',
        '',
      ]);
    });
  }

  for (const command of [['serve'], ['explain', ALICE]]) {
    test(`${command[0]} with a directory file that is broken names its lines, and shows no stack`, async () => {
      await using folder = await folderWith({
        'imipd.yaml': [
          'domains: [example.com]',
          "listeners: [{name: in, address: '127.0.0.1:0'}]",
          "next-hop: {address: '127.0.0.1:2'}",
          'directory: {kind: ldif, file: people.ldif}',
          '',
        ].join('\n'),
        'people.ldif': 'dn: uid=bob\nmail bob\n\nuid: x\n',
      });
      const { code, out, err } = await imipd(folder.path, ...command);
      const file = join(folder.path, 'people.ldif');
      expect({ code, out }).toEqual({ code: 78, out: '' });
      expect(err).toContain(
        `${file}:2: found "mail bob", want "attribute: value"\n${file}:4: found "uid:" where an entry begins, want "dn:" first\n`,
      );
      expect(err).not.toContain('    at ');
    });
  }

  test('serve on a port that is taken says so in one line', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    await using folder = await folderWith({
      'imipd.yaml': [
        'domains: [example.com]',
        `listeners: [{name: in, address: '127.0.0.1:${port}'}]`,
        "next-hop: {address: '127.0.0.1:2'}",
        'log: {level: silent}',
        '',
      ].join('\n'),
    });
    const { code, out, err } = await imipd(folder.path, 'serve');
    server.close();
    await once(server, 'close');
    expect({ code, out, last: err.split('\n').at(-2) }).toEqual({
      code: 69,
      out: '',
      last: `cannot start: listener in: 127.0.0.1:${port} is taken by another process (EADDRINUSE); stop that one, or give this listener another address`,
    });
  });
});

describe('serve without a configuration', () => {
  test('runs a trial site in the folder it was started in, and says where mail goes in; SIGHUP ends it', async () => {
    await using folder = await folderWith({});
    const child = spawn(process.execPath, [join(root, 'src/main.ts')], {
      cwd: folder.path,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const ended = once(child, 'close');
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line.includes('"event":"ready"')) break;
    }
    try {
      const site = join(folder.path, 'imipd-trial');
      expect(lines.filter((line) => !line.startsWith('{'))).toEqual([
        'No configuration found: this is a trial site, with a directory, calendar servers and mailboxes of its own.',
        '  mail goes in    127.0.0.1:10025 (SMTP)',
        '  for             alice@example.com, bob@example.com, carol@example.com, room1@example.com',
        `  calendars are   ${site}/calendars/SERVER/USER/default/*.ics`,
        `  mailboxes are   ${site}/mailboxes/USER/new/*.eml`,
        'Ctrl-C ends it. For your own site write imipd.yaml (docs/config.md).',
      ]);
      const event = { uid: 'trial@example.org', organizer: OLGA, attendees: [ALICE], method: 'REQUEST' } as const;
      const sent = await submit(10025, { from: OLGA, to: [ALICE], message: invitationMail(event) });
      expect(sent.data[0]?.code).toBe(250);
      expect(readEvent(join(site, 'calendars', 'north'), ALICE, event.uid)).toContain('SUMMARY:Review');
      expect(await readMailbox(join(site, 'mailboxes'), ALICE)).toHaveLength(1);
    } finally {
      child.kill('SIGHUP');
    }
    expect(await ended).toEqual([0, null]);
  });
});

describe('the program imipd', () => {
  const program = join(root, 'bin/imipd.mjs');
  const advice = 'install it, or run "npm ci" and start with "npm start", which brings a fitting Node';

  test('runs the commands', async () => {
    const { code, out } = await run('.', process.execPath, [program, '--help']);
    expect({ code, usage: out.split('\n')[0] }).toEqual({ code: 0, usage: 'Usage: imipd [options] [command]' });
  });

  test('without a command says how to find them', async () => {
    expect(await run('.', process.execPath, [program])).toEqual({
      code: 64,
      out: '',
      err: 'imipd: no command given; imipd --help lists them\n',
    });
  });

  test('says in one line that its Node is too old', async () => {
    const old = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.1.0" } })';
    const args = ['--import', `data:text/javascript,${encodeURIComponent(old)}`, program, 'check'];
    expect(await run('.', process.execPath, args)).toEqual({
      code: 69,
      out: '',
      err: `imipd: found Node 20.1.0, need Node 26 or newer: ${advice}\n`,
    });
  });

  test('as an installed package, says only that a newer Node is to be installed', async () => {
    await using folder = await folderWith({});
    const installed = join(folder.path, 'node_modules/imipd/bin/imipd.mjs');
    await mkdir(dirname(installed), { recursive: true });
    await copyFile(program, installed);
    const old = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.1.0" } })';
    const args = ['--import', `data:text/javascript,${encodeURIComponent(old)}`, installed, 'check'];
    expect(await run('.', process.execPath, args)).toEqual({
      code: 69,
      out: '',
      err: 'imipd: found Node 20.1.0, need Node 26 or newer: install it\n',
    });
  });

  test('says the same by every Node of this machine that is too old', async () => {
    for (const node of ['/usr/bin/node', '/usr/local/bin/node']) {
      if (!existsSync(node)) continue;
      const { out: version } = await run('.', node, ['--print', 'process.versions.node']);
      if (Number.parseInt(version, 10) >= 26) continue;
      expect(await run('.', node, [program, 'check'])).toEqual({
        code: 69,
        out: '',
        err: `imipd: found Node ${version.trim()}, need Node 26 or newer: ${advice}\n`,
      });
    }
  });
});
