/** Tags looked at in one value: anybody writes anything into a directory. */
const MAX_TAGS = 10;
const MAX_CHARACTERS = 500;

/** `DE_at` → `de-AT`; undefined for what is no language tag. Extensions, such as another calendar, are dropped. */
export function canonicalTag(tag: string): string | undefined {
  try {
    return new Intl.Locale(tag.replaceAll('_', '-')).baseName;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * The languages of a list as in Accept-Language (RFC 9110 §12.5.4), which LDAP's preferredLanguage is (RFC 2798 §2.7);
 * one tag alone and the name of a POSIX locale are read as well.
 * @returns canonical tags, the most wished first
 */
export function acceptedLanguages(list: string): readonly string[] {
  const wishes = list
    .slice(0, MAX_CHARACTERS)
    .split(',', MAX_TAGS)
    .flatMap((part) => {
      const [name = '', ...parameters] = part.split(';').map((one) => one.trim());
      const tag = canonicalTag(name.replace(/[.@].*$/s, ''));
      const quality = parameters.flatMap((one) => /^q\s*=\s*([\d.]+)$/i.exec(one)?.[1] ?? [])[0];
      const weight = quality === undefined ? 1 : Number(quality) || 0;
      return tag === undefined || weight === 0 ? [] : [{ tag, weight }];
    });
  return [...new Set(wishes.toSorted((a, b) => b.weight - a.weight).map(({ tag }) => tag))];
}
