import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/observe/log.ts';
import { TrialCalendarServer } from '../../src/trial/calendar-server.ts';
import { root } from './harness.ts';

export type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

/** Runs one command of the CLI in a process of its own, in `folder`. */
export async function imipd(folder: string, ...args: readonly string[]): Promise<Ended> {
  return run(folder, process.execPath, [join(root, 'src/main.ts'), ...args]);
}

/** Runs a program to its end. */
export async function run(folder: string, program: string, args: readonly string[]): Promise<Ended> {
  const { IMIPD_CONFIG: _, ...env } = process.env;
  const child = spawn(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, NODE_OPTIONS: '' },
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

/** A folder that goes when it is disposed of. */
export type Folder = { readonly path: string; [Symbol.asyncDispose](): Promise<void> };

/** @param files by name, such as `imipd.yaml` */
export async function folderWith(files: Readonly<Record<string, string>>): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'imipd-cli-'));
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The calendar server of `imipd demo`, which keeps its events under `folder`. */
export function trialCalendar(folder: string, port = 0): TrialCalendarServer {
  return new TrialCalendarServer({ host: '127.0.0.1', port, folder, domains: ['example.com'], log: silentLog });
}
