import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalTag } from '../mail/language-tag.ts';
import { en, type Strings } from './words/en.ts';
import { OWN_STRINGS } from './words/language.ts';
import { placeholdersOf } from './words/phrase.ts';

/** What a site puts around every mail; HTML as it stands, with `{recipient}` filled in. */
export type Frame = {
  readonly headerText?: string;
  readonly headerHtml?: string;
  readonly footerText?: string;
  readonly footerHtml?: string;
};

/** A site's words: ours with its own in their place, and its own languages. */
export type SiteTemplates = {
  readonly languages: ReadonlyMap<string, Strings>;
  /** By language; '' is for all languages that have none of their own. */
  readonly frames: ReadonlyMap<string, Frame>;
};

/** Templates that cannot be used, with every fault that was found, one per line. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

const FRAME_FILE = /^(?:(.+)\.)?(header|footer)\.(txt|html)$/;
const FRAME_KEYS = {
  'header.txt': 'headerText',
  'header.html': 'headerHtml',
  'footer.txt': 'footerText',
  'footer.html': 'footerHtml',
} as const;
const MAX_FILE = 256 * 1024;

/**
 * Reads a folder of templates: `de.json` with any of the keys of `words/en.ts` (all of them for a language we do not
 * have), `header.txt`, `header.html`, `footer.txt`, `footer.html` for every language, `de.footer.html` for one.
 * Files with other names are left alone.
 * @throws TemplateError naming file and key
 */
export function loadTemplates(folder: string): SiteTemplates {
  const faults: string[] = [];
  const languages = new Map(OWN_STRINGS);
  const frames = new Map<string, Frame>();
  for (const file of namesIn(folder)) {
    const frame = FRAME_FILE.exec(file);
    const isJson = file.endsWith('.json');
    if (frame === null && !isJson) continue;
    const written = frame === null ? file.slice(0, -'.json'.length) : (frame[1] ?? '');
    const language = written === '' ? '' : canonicalTag(written);
    if (language === undefined) {
      faults.push(`${file}: got "${written}" as language, need a tag such as de or pt-BR`);
      continue;
    }
    const text = readText(folder, file, faults);
    if (text === undefined) continue;
    if (frame === null) {
      const strings = readStrings(file, text, languages.get(language) ?? languages.get(baseOf(language)), faults);
      if (strings !== undefined) languages.set(language, strings);
    } else {
      checkPlaceholders(file, text, ['recipient'], faults);
      const key = FRAME_KEYS[`${frame[2]}.${frame[3]}` as keyof typeof FRAME_KEYS];
      frames.set(language, { ...frames.get(language), [key]: text });
    }
  }
  if (faults.length > 0) throw new TemplateError(faults.join('\n'));
  return { languages, frames };
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (error) {
    throw new TemplateError(`${folder}: cannot be read as a folder of templates`, { cause: error });
  }
}

function readText(folder: string, file: string, faults: string[]): string | undefined {
  try {
    const bytes = readFileSync(join(folder, file));
    if (bytes.length <= MAX_FILE) return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    faults.push(`${file}: got ${bytes.length} octets, need at most ${MAX_FILE}`);
  } catch (error) {
    faults.push(`${file}: ${error instanceof TypeError ? 'is not UTF-8' : 'cannot be read'}`);
  }
  return undefined;
}

function readStrings(file: string, text: string, ours: Strings | undefined, faults: string[]): Strings | undefined {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (error) {
    faults.push(`${file}: is no JSON: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
  if (typeof read !== 'object' || read === null || Array.isArray(read)) {
    faults.push(`${file}: need an object of texts by key`);
    return undefined;
  }
  const given = new Map<string, unknown>(Object.entries(read));
  const strings: Record<string, string> = { ...ours };
  for (const [key, value] of given) {
    if (!Object.hasOwn(en, key)) faults.push(`${file}: ${key}: unknown key`);
    else if (typeof value !== 'string' || value === '') faults.push(`${file}: ${key}: need a text that is not empty`);
    else {
      checkPlaceholders(`${file}: ${key}`, value, placeholdersOf(en[key as keyof Strings]), faults);
      if (/[\r\n]/.test(value)) faults.push(`${file}: ${key}: need one line`);
      strings[key] = value;
    }
  }
  const missing = Object.keys(en).filter((key) => strings[key] === undefined);
  if (missing.length === 0) return strings as Strings;
  faults.push(`${file}: a language of its own needs all keys, these are missing: ${missing.join(', ')}`);
  return undefined;
}

function checkPlaceholders(where: string, text: string, known: readonly string[], faults: string[]): void {
  for (const name of new Set(placeholdersOf(text))) {
    if (known.includes(name)) continue;
    const wanted =
      known.length === 0 ? 'none is known there' : `known are ${known.map((each) => `{${each}}`).join(' ')}`;
    faults.push(`${where}: unknown placeholder {${name}}, ${wanted}`);
  }
}

function baseOf(language: string): string {
  return language.split('-', 1)[0] ?? language;
}
