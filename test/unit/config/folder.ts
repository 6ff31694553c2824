import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Environment, type Loaded, loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/options.ts';

/** A folder of its own for one test, with files in it; gone when the test is over. */
export class ConfigFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'imipd-config-'));

  write(name: string, content: string | Buffer): string {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  }

  /** Loads the text as `imipd.yaml`; the folder's path is taken out of what is said. */
  load(yaml: string | Buffer, env: Environment = {}): Loaded {
    const loaded = loadConfig(this.write('imipd.yaml', yaml), env);
    const plain = (texts: readonly string[]): string[] => texts.map((text) => text.replaceAll(`${this.path}/`, ''));
    const warnings = plain(loaded.warnings);
    return loaded.ok ? { ...loaded, warnings } : { ok: false, errors: plain(loaded.errors), warnings };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** What a YAML text is refused for; empty when it is taken. */
export function errorsOf(
  yaml: string,
  files: Readonly<Record<string, string>> = {},
  env: Environment = {},
): readonly string[] {
  using folder = new ConfigFolder();
  for (const [name, content] of Object.entries(files)) folder.write(name, content);
  const loaded = folder.load(yaml, env);
  return loaded.ok ? [] : loaded.errors;
}

/** The smallest configuration that is right; `more` is put behind it. */
export function withMinimum(more: string): string {
  return `domains: [example.com]
listeners: [{name: in}]
directory: {kind: ldif, file: people.ldif}
calendar: {default: {url: "http://127.0.0.1:8080/"}}
next-hop: {address: "127.0.0.1:10026"}
${more}`;
}

/** Loads {@link withMinimum}, and its directory of nobody. @throws Error when it is refused */
export function loadMinimum(more: string): Config {
  using folder = new ConfigFolder();
  folder.write('people.ldif', '');
  const loaded = folder.load(withMinimum(more));
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}
