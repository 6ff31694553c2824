import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { userName } from '../../src/commands/state.ts';
import { freePort } from '../servers/ports.ts';
import { folderWith, imipd } from './cli.ts';
import { root, startGateway } from './harness.ts';
import { plainMail } from './invitations.ts';
import { MailSink } from './mail-sink.ts';
import { submit } from './smtp-client.ts';

const OLGA = 'olga@example.org';
const ALICE = 'alice@example.com';

function yaml(nextHop: number): string {
  return `
domains: [example.com]
listeners:
  - {name: in, address: '127.0.0.1:0'}
next-hop: {address: '127.0.0.1:${nextHop}'}
queue: {mail-retry: [1s]}
`;
}

describe('the process of the gateway', () => {
  test('ends with exit code 0 on SIGTERM', async () => {
    await using gateway = await startGateway(yaml(await freePort()));
    expect(await gateway.stop()).toBe(0);
    expect(gateway.log.map((line) => line.event)).toEqual(['listening', 'ready', 'stopping', 'stopped']);
  });

  test('refuses a wrong configuration with every error, file and line, and exit code 78', async () => {
    await using gateway = await startGateway(yaml(await freePort()));
    await gateway.stop();
    gateway.write(`domains: [example.com]\nlisteners:\n  - {name: in, address: nowhere, mode: filtre}\nnext-hop: {}\n`);
    const { code, err } = await gateway.command('serve');
    expect(code).toBe(78);
    expect(err.split('\n').map((line) => line.split(', need ')[0]?.replace(gateway.config, 'imipd.yaml'))).toEqual([
      'imipd.yaml:3: listeners[0].address: got "nowhere"',
      'imipd.yaml:3: listeners[0].mode: got "filtre"',
      'imipd.yaml:4: next-hop.address: missing',
      '',
    ]);
  });

  test('that cannot write its log says so in one line, with exit code 78', async () => {
    await using folder = await folderWith({
      'imipd.yaml': `${yaml(await freePort())}log: {file: none/imipd.log}\n`,
    });
    const { code, err } = await imipd(folder.path, 'serve');
    expect(code).toBe(78);
    expect(err.split('\n').slice(-2)).toEqual([
      `log.file: cannot write ${folder.path}/none/imipd.log (no such file), need a file in a folder that ${userName()} may write`,
      '',
    ]);
  });

  test('opens its log anew on SIGHUP, and reads its configuration again', async () => {
    await using folder = await folderWith({ 'imipd.yaml': `${yaml(await freePort())}log: {file: imipd.log}\n` });
    const log = join(folder.path, 'imipd.log');
    const child = spawn(process.execPath, [join(root, 'src/main.ts'), 'serve'], { cwd: folder.path });
    const events = async (file: string) =>
      (await readFile(file, 'utf8').catch(() => '')).match(/(?<="event":")[^"]*/g) ?? [];
    await expect.poll(() => events(log), { timeout: 20_000 }).toEqual(['listening', 'ready']);
    await rename(log, `${log}.1`);
    child.kill('SIGHUP');
    await expect.poll(() => events(log), { timeout: 20_000 }).toEqual(['reloaded']);
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(await events(log)).toEqual(['reloaded', 'stopping', 'stopped']);
  });

  test.skipIf(!existsSync('/dev/full'))('serves and ends although its log cannot be written', async () => {
    const sink = await MailSink.listen('smtp');
    await using _sink = sink;
    const port = await freePort();
    await using folder = await folderWith({
      'imipd.yaml': `${yaml(sink.port).replace('127.0.0.1:0', `127.0.0.1:${port}`)}log: {file: /dev/full}\n`,
    });
    const child = spawn(process.execPath, [join(root, 'src/main.ts'), 'serve'], { cwd: folder.path });
    const said = once(child.stderr.setEncoding('utf8'), 'data');
    const message = plainMail({ from: OLGA, to: ALICE, id: 'full@example.org' });
    await expect
      .poll(() => submit(port, { from: OLGA, to: [ALICE], message }).then(() => 'taken', String), { timeout: 20_000 })
      .toBe('taken');
    await sink.waitFor(() => true);
    expect(String(await said)).not.toContain('    at ');
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([0, null]);
  });

  test('a second process on the same queue does not start', async () => {
    await using gateway = await startGateway(yaml(await freePort()));
    const { code, err } = await gateway.command('serve');
    expect(code).toBe(75);
    expect(err).toMatch(/queue/);
  });

  test('mail taken while the next hop is down is delivered by the process that comes after', async () => {
    const sink = await MailSink.listen('smtp');
    await sink.close();
    await using gateway = await startGateway(yaml(sink.port));
    const message = plainMail({ from: OLGA, to: ALICE, id: 'later@example.org' });
    const result = await submit(gateway.port('in'), { from: OLGA, to: [ALICE], message });
    expect(result.data[0]?.lines[0]).toMatch(/^250 2\.\d\.\d /);
    await gateway.waitForLog((line) => line.channel === 'smtp' && line.outcome === 'deferred');
    expect(await gateway.stop()).toBe(0);
    await sink.open();
    await using _sink = sink;
    await gateway.restart();
    const [mail] = await sink.waitFor(() => true);
    const content = mail!.content.toString();
    expect(content.slice(content.indexOf('From: '))).toBe(message);
  });
});
