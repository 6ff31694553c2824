import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { crossCheck } from './checks.ts';
import { check, isRecord } from './field.ts';
import type { Finding } from './finding.ts';
import type { Site } from './kinds.ts';
import { type Config, options } from './options.ts';
import { type OptionPath, type Problem, pathText } from './problem.ts';
import { fileErrorText } from './secrets.ts';
import { parseYaml } from './source.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The configuration, or every error in it. Each text begins with file and line. `files` are those with a site's data
 * that change while the gateway runs: domain map, directory, templates, who is being moved.
 */
export type Loaded =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly warnings: readonly string[];
      readonly files: readonly string[];
    }
  | { readonly ok: false; readonly errors: readonly string[]; readonly warnings: readonly string[] };

/** Where the configuration is looked for when nobody names a file. */
export const DEFAULT_FILES = ['imipd.yaml', '/etc/imipd/imipd.yaml'] as const;

// A configuration, map, certificate or password is small; a device or a mailbox named by mistake is not.
const MAX_FILE_BYTES = 16_000_000;
// Of options within sections.
const MAX_DEPTH = 8;

/**
 * Reads and checks the configuration with every file it names. Relative paths start at its folder.
 * @param file as named on the command line; otherwise `IMIPD_CONFIG`, otherwise the first of `DEFAULT_FILES` that exists
 */
export function loadConfig(file: string | undefined, env: Environment): Loaded {
  const name =
    file ??
    env.IMIPD_CONFIG ??
    DEFAULT_FILES.find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile());
  if (name === undefined)
    return failed([
      `no configuration: there is neither ${DEFAULT_FILES.join(' nor ')}; write one (docs/config.md) or name it with --config`,
    ]);
  let text: string;
  try {
    text = decodeUtf8(readBounded(name));
  } catch (error) {
    if (error instanceof TypeError) return failed([`${name}: not UTF-8; save it as UTF-8`]);
    return failed([`${name}: cannot be read (${fileErrorText(error)}); name the configuration with --config`]);
  }
  const parsed = parseYaml(text);
  if (!parsed.ok) return failed(parsed.problems.map((problem) => `${name}:${problem.line}: ${problem.text}`));
  const { input, lineOf } = parsed.source;
  return checkAll(input, siteOf(dirname(resolve(name)), env), (path) => ({
    label: `${name}:${lineOf(path)}`,
    order: lineOf(path),
  }));
}

/**
 * Checks a configuration that stands in code, written as the YAML would be; the same checks as for a file.
 * @param label what stands in place of file and line
 * @param folder where relative paths start
 */
export function parseConfig(
  input: unknown,
  label: string,
  env: Environment = {},
  folder: string = process.cwd(),
): Loaded {
  return checkAll(input, siteOf(folder, env), () => ({ label, order: 0 }));
}

type Place = (path: OptionPath) => { readonly label: string; readonly order: number };

function checkAll(input: unknown, site: Site, place: Place): Loaded {
  const root = options(site);
  const result = check(root, input);
  const problems: readonly Problem[] = result.ok ? [] : result.problems;
  const { config, gone } = result.ok ? { config: result.value, gone: [] } : soundPart(root, input, problems);
  // What rests on an option that is itself wrong would be a guess.
  const certain = (finding: Finding): boolean =>
    !finding.about.some((path) => gone.some((wrong) => isWithin(wrong, path) || isWithin(path, wrong)));
  const findings = config === undefined ? [] : crossCheck(config).filter(certain);
  const errors = [...problems, ...findings.filter((finding) => finding.level === 'error')];
  const warnings = inOrder(
    findings.filter((finding) => finding.level === 'warning'),
    place,
  );
  if (!result.ok || errors.length > 0) return { ok: false, errors: inOrder(errors, place), warnings };
  return { ok: true, config: deepFreeze(result.value), warnings, files: dataFiles(result.value) };
}

function dataFiles({ calendar, directory, outbound }: Config): readonly string[] {
  const map = calendar.domainMap?.file;
  return [
    ...(map === undefined ? [] : [map]),
    ...directoryFiles(directory),
    ...(outbound?.templates === undefined ? [] : outbound.templates.files),
  ];
}

/** Files that the directory is read from when it is opened. */
export function directoryFiles(directory: Config['directory']): readonly string[] {
  return directory?.kind === 'ldif' ? [directory.file] : [];
}

/**
 * What is left of a wrong configuration when the wrong parts are taken out, so that its other contradictions show in
 * the same run.
 * @returns no config when too little is left; `gone` is what cannot be spoken of
 */
function soundPart(
  root: ReturnType<typeof options>,
  input: unknown,
  problems: readonly Problem[],
): { readonly config?: Config; readonly gone: readonly OptionPath[] } {
  let gone: OptionPath[] = problems.flatMap(({ path, meant }) => [
    wholeList(path),
    ...(meant === undefined ? [] : [meant]),
  ]);
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const result = check(root, without(input, gone));
    if (result.ok) return { config: result.value, gone };
    // Something that is needed has gone: what needs it goes too.
    gone = [...gone, ...result.problems.map(({ path }) => wholeList(path.slice(0, -1)))];
  }
  return { gone };
}

// Without one item the places of the others would shift.
function wholeList(path: OptionPath): OptionPath {
  return typeof path.at(-1) === 'number' ? path.slice(0, -1) : path;
}

function inOrder(problems: readonly Problem[], place: Place): string[] {
  return problems
    .map(({ path, text }) => ({ ...place(path), text: path.length === 0 ? text : `${pathText(path)}: ${text}` }))
    .sort((a, b) => a.order - b.order)
    .map(({ label, text }) => `${label}: ${text}`);
}

function isWithin(path: OptionPath, outer: OptionPath): boolean {
  return path.length >= outer.length && outer.every((step, index) => step === path[index]);
}

function without(input: unknown, gone: readonly OptionPath[], at: OptionPath = []): unknown {
  if (gone.some((path) => isWithin(at, path))) return undefined;
  if (Array.isArray(input)) return input.map((item, index) => without(item, gone, [...at, index]));
  if (!isRecord(input)) return input;
  const parts = Object.entries(input).map(([name, item]) => [name, without(item, gone, [...at, name])] as const);
  return Object.fromEntries(parts.filter(([, item]) => item !== undefined));
}

function siteOf(folder: string, env: Environment): Site {
  return {
    env,
    hostname: hostname(),
    absolute: (path) => resolve(folder, path),
    readText: (path) => {
      const bytes = readBounded(path);
      try {
        return decodeUtf8(bytes);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        return bytes.toString('latin1'); // the encoding of Java's own properties files
      }
    },
  };
}

function readBounded(path: string): Buffer {
  const stat = statSync(path);
  if (stat.isCharacterDevice() || stat.isBlockDevice())
    throw Object.assign(new Error(path), { code: 'it is a device' });
  if (stat.size > MAX_FILE_BYTES) {
    throw Object.assign(new Error(path), { code: `it is larger than ${MAX_FILE_BYTES / 1e6} MB` });
  }
  return readFileSync(path);
}

/** @throws TypeError when it is not UTF-8 */
function decodeUtf8(bytes: Buffer): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

function failed(errors: readonly string[]): Loaded {
  return { ok: false, errors, warnings: [] };
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of value instanceof Map ? value.values() : Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
