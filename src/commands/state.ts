import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Config } from '../config/options.ts';
import { fileErrorText } from '../config/secrets.ts';
import { CommandError, EX } from './exit.ts';

/**
 * Whether a gateway has ever been started on this configuration's state.
 * @throws CommandError (EX_NOPERM) when this user may not look
 */
export function hasQueue(config: Config): boolean {
  try {
    return statSync(join(config.state, 'queue.sqlite'), { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw stateError(config, error);
  }
}

/**
 * What a person is told when the queue cannot be opened.
 * @returns the error itself when it is neither the file system's nor SQLite's
 */
export function stateError(config: Config, error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error)) return error;
  if (error.code === 'EACCES' || error.code === 'EPERM' || isOpeningError(error)) {
    return new CommandError(
      EX.NOPERM,
      `state: ${config.state} may not be read and written by ${userName()} (${error.message}); run this as the user who owns the folder, or give the folder with all files in it to this user`,
    );
  }
  if (!('syscall' in error) && error.code !== 'ERR_SQLITE_ERROR') return error;
  return new CommandError(
    EX.UNAVAILABLE,
    `state: ${config.state} cannot be used (${error.message}); name a folder on a disk of this machine that has room and may be written`,
  );
}

/** What is wrong with what an option names. */
export type OptionTrouble = { readonly option: string; readonly text: string };

/** @returns why this user could not serve on the queue's folder or write the log; nothing is made or changed */
export function whyNotWritable(config: Config): OptionTrouble | undefined {
  const { state, log } = config;
  const queue = join(state, 'queue.sqlite');
  const trouble = existsSync(queue)
    ? cannotWrite('state', queue, 'file')
    : cannotWrite('state', nearest(state), 'folder');
  if (trouble !== undefined || log.file === undefined) return trouble;
  return existsSync(log.file)
    ? cannotWrite('log.file', log.file, 'file')
    : cannotWrite('log.file', dirname(log.file), 'folder');
}

function cannotWrite(option: string, path: string, wanted: 'file' | 'folder'): OptionTrouble | undefined {
  try {
    accessSync(path, constants.W_OK);
    const found = statSync(path).isDirectory() ? 'folder' : 'file';
    return found === wanted ? undefined : { option, text: `${path} is a ${found}, need a ${wanted}` };
  } catch (error) {
    return { option, text: `${userName()} cannot write ${path} (${fileErrorText(error)})` };
  }
}

// What does not exist yet is made by `serve`, folders above included.
function nearest(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearest(dirname(path));
}

// SQLITE_PERM, SQLITE_READONLY, SQLITE_CANTOPEN
function isOpeningError(error: Error): boolean {
  return 'errcode' in error && [3, 8, 14].includes(Number(error.errcode) & 0xff);
}

/** Who runs this process, as a person would say it. */
export function userName(): string {
  try {
    return `user ${userInfo().username}`;
  } catch {
    return `user ${process.getuid?.() ?? 'of this process'}`; // a container's user need not have a name
  }
}
