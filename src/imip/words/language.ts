import { domainOf } from '../../mail/address.ts';
import { acceptedLanguages } from '../../mail/language-tag.ts';
import type { Outbound } from '../mail.ts';
import { de } from './de.ts';
import { en, type Strings } from './en.ts';
import { es } from './es.ts';
import { fr } from './fr.ts';
import { ja } from './ja.ts';

/** The strings of each language that has words of ours, by its tag. */
export const OWN_STRINGS: ReadonlyMap<string, Strings> = new Map(Object.entries({ en, de, fr, es, ja }));

export type Choice = {
  /** BCP 47, for dates and the `lang` attribute. */
  readonly locale: string;
  readonly strings: Strings;
  /** The tag under which the strings stand. */
  readonly language: string;
};

/**
 * The first language of the wishes that there are words for: each tag itself, then its base (`de-AT`, `de`), then
 * English. A wish may be a list as in Accept-Language.
 */
export function chooseLanguage(
  wishes: readonly (string | undefined)[],
  available: ReadonlyMap<string, Strings> = OWN_STRINGS,
): Choice {
  for (const wish of wishes) {
    for (const tag of acceptedLanguages(wish ?? '')) {
      const base = tag.split('-', 1)[0] ?? tag;
      for (const language of [tag, base]) {
        const strings = available.get(language);
        if (strings !== undefined) return { locale: tag, strings, language };
      }
    }
  }
  return { locale: 'en', strings: available.get('en') ?? en, language: 'en' };
}

/**
 * In which languages to write to somebody, the best first: what he reads himself, as far as the directory says, that of
 * his domain, and the configured one.
 */
export function languageWishes(
  { languages, language }: Pick<Outbound, 'languages' | 'language'>,
  address: string,
  own: readonly string[] = [],
): readonly string[] {
  const ofDomain = languages.get(domainOf(address));
  return [...own, ...(ofDomain === undefined ? [] : [ofDomain]), language];
}
