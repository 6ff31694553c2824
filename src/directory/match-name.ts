import { addressKey, domainOf, normalizeDomain, parseAddress } from '../mail/address.ts';
import { hasControl } from '../mail/control.ts';
import type { Entry } from './directory.ts';
import { type AttributeRecord, type MappedEntry, type SchemaMapping, values } from './schema.ts';

/** One thing that a name may stand for: the value of an attribute. */
export type NameTier = {
  readonly attribute: string;
  readonly value: string;
  /** As `NamedEntry` has it. */
  readonly key: string;
  /** Counts for entries alone whose primary address is in the domain of the question. */
  readonly inDomain: boolean;
};

/** What is asked for one calendar id that is no address. */
export type NameQuestion = {
  readonly name: string;
  /** Normalised: the one that the name itself has, else the default domain. */
  readonly domain: string;
  /** The first that anybody has counts. */
  readonly tiers: readonly [NameTier, ...NameTier[]];
};

/** Longest name that is asked for, in characters: a path of RFC 5321 §4.5.3.1.3, and longer than any calendar id. */
const MAX_NAME_CHARACTERS = 256;

/**
 * What to ask a directory about a calendar id, for each attribute of the mapping in turn: a bare name as it is and with
 * the default domain; one with a domain as it is and, in that domain, without it. `bob:work`, a second calendar of bob's,
 * is nobody's name but where an attribute has all of it: what is in it is not when bob is busy.
 * @returns undefined when no entry can have the name
 */
export function nameQuestion(name: string, defaultDomain: string, mapping: SchemaMapping): NameQuestion | undefined {
  if (name.trim() === '' || name.length > MAX_NAME_CHARACTERS || hasControl(name)) return undefined;
  const parts = parseAddress(name);
  const domain = parts?.domain ?? normalizeDomain(defaultDomain);
  const spellings =
    parts !== undefined
      ? [
          { value: name, inDomain: false },
          { value: parts.local, inDomain: true },
        ]
      : name.includes('@')
        ? [{ value: name, inDomain: false }]
        : [
            { value: name, inDomain: true },
            { value: `${name}@${domain}`, inDomain: true },
          ];
  const [first, ...rest] = mapping.calendarIdAttributes.flatMap((attribute) =>
    spellings.map((spelling) => ({ attribute, ...spelling, key: keyOf(attribute, spelling.value) })),
  );
  if (domain === '' || first === undefined) return undefined;
  return { name, domain, tiers: [first, ...rest] };
}

/** An entry with what `chooseNamed` finds it by. */
export type NamedEntry = { readonly mapped: MappedEntry; readonly keys: readonly string[] };

export function namedEntry(mapped: MappedEntry, record: AttributeRecord, mapping: SchemaMapping): NamedEntry {
  const keys = mapping.calendarIdAttributes.flatMap((attribute) =>
    values(record, attribute).map((value) => keyOf(attribute, value.trim())),
  );
  return { mapped, keys };
}

/**
 * Chooses those that have what the first tier says that anybody has; an entry without an address is nobody to ask about.
 * Last come entries of the domain that the directory found by a wider rule than ours, or by an attribute that may be
 * searched but not read: its word stands, as in `choose`.
 * @param canonical the name of the domain that the question's is another name of
 */
export function chooseNamed(
  asked: NameQuestion,
  candidates: readonly NamedEntry[],
  canonical?: string,
): readonly Entry[] {
  const known = candidates.filter(({ mapped }) => mapped.entry.mail !== '');
  const inDomain = known.filter(({ mapped }) => {
    const own = domainOf(mapped.entry.mail);
    return own === asked.domain || own === canonical;
  });
  for (const { attribute, value, key, ...tier } of asked.tiers) {
    const found = (tier.inDomain ? inDomain : known).filter(({ keys }) => keys.includes(key));
    if (found.length > 0) return entriesOf(found, `${attribute}=${value}`);
  }
  const wanted = new Set(asked.tiers.map(({ key }) => key));
  const unseen = inDomain.filter(({ keys }) => !keys.some((key) => wanted.has(key)));
  return entriesOf(unseen, `the directory's own matching of ${asked.name}`);
}

function entriesOf(found: readonly NamedEntry[], matchedBy: string): readonly Entry[] {
  return found.map(({ mapped }) => ({ ...mapped.entry, matchedBy }));
}

/** Attributes of names are compared without regard to case, as in every schema we know. */
function keyOf(attribute: string, value: string): string {
  return `${attribute.toLowerCase()}=${value.includes('@') ? addressKey(value) : value.toLowerCase()}`;
}
