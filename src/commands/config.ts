import { statSync } from 'node:fs';
import { DEFAULT_FILES, type Loaded, loadConfig } from '../config/load.ts';
import { CommandError, EX } from './exit.ts';

/** Whether there is any configuration to use; without one `serve` runs a trial site. */
export function hasConfig(file: string | undefined): boolean {
  return (
    file !== undefined ||
    process.env.IMIPD_CONFIG !== undefined ||
    DEFAULT_FILES.some((name) => statSync(name, { throwIfNoEntry: false })?.isFile())
  );
}

/**
 * The configuration a command works with, and what an administrator should know about it.
 * @throws CommandError (EX_CONFIG) with every error, when it cannot be used
 */
export function requireConfig(file: string | undefined): Extract<Loaded, { readonly ok: true }> {
  const loaded = loadConfig(file, process.env);
  if (!loaded.ok) throw new CommandError(EX.CONFIG, loaded.errors.join('\n'));
  return loaded;
}
