import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CommandError, EX } from '../../../src/commands/exit.ts';
import { hasQueue, stateError, userName, whyNotWritable } from '../../../src/commands/state.ts';
import { parseConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/options.ts';

async function site(): Promise<{
  path: string;
  config(more?: object): Config;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const path = await mkdtemp(join(tmpdir(), 'imipd-state-'));
  return {
    path,
    config: (more = {}) => {
      const loaded = parseConfig(
        {
          domains: ['example.com'],
          listeners: [{ name: 'in' }],
          'next-hop': { address: '127.0.0.1:25' },
          state: join(path, 'deep', 'state'),
          ...more,
        },
        'test',
      );
      if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
      return loaded.config;
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

describe('the folder of the queue', () => {
  test('that another user owns is told from one that holds no queue', async () => {
    await using here = await site();
    const config = here.config();
    expect(hasQueue(config)).toBe(false);
    for (const denied of [
      Object.assign(new Error('EACCES: permission denied, open'), { code: 'EACCES', syscall: 'open' }),
      Object.assign(new Error('unable to open database file'), { code: 'ERR_SQLITE_ERROR', errcode: 14 }),
      Object.assign(new Error('attempt to write a readonly database'), { code: 'ERR_SQLITE_ERROR', errcode: 1544 }),
    ]) {
      const told = stateError(config, denied);
      expect(told).toBeInstanceOf(CommandError);
      expect(told).toMatchObject({
        exitCode: EX.NOPERM,
        message: `state: ${config.state} may not be read and written by ${userName()} (${denied.message}); run this as the user who owns the folder, or give the folder with all files in it to this user`,
      });
    }
  });

  test('does not hide a fault of ours', async () => {
    await using here = await site();
    const fault = new TypeError('not a function');
    expect(stateError(here.config(), fault)).toBe(fault);
  });

  test('may be missing where it can be made', async () => {
    await using here = await site();
    expect(whyNotWritable(here.config())).toBeUndefined();
  });

  test('is no file, nor below one', async () => {
    await using here = await site();
    writeFileSync(join(here.path, 'deep'), '');
    expect(whyNotWritable(here.config())).toEqual({
      option: 'state',
      text: `${here.path}/deep is a file, need a folder`,
    });
  });
});

describe('the log’s file', () => {
  test('is no folder, and its folder must be there', async () => {
    await using here = await site();
    mkdirSync(join(here.path, 'logs'));
    const why = (file: string) => whyNotWritable(here.config({ log: { file: join(here.path, file) } }));
    expect(why('logs/imipd.log')).toBeUndefined();
    expect(why('logs')).toEqual({ option: 'log.file', text: `${here.path}/logs is a folder, need a file` });
    expect(why('none/imipd.log')).toEqual({
      option: 'log.file',
      text: `${userName()} cannot write ${here.path}/none (no such file)`,
    });
  });
});
