import { canonicalAddress, parseAddress } from '../mail/address.ts';
import type { Entry, StatusValue } from './directory.ts';

/** One attribute of the status chain. */
export type StatusAttribute = {
  readonly scope: StatusValue['scope'];
  readonly attribute: string;
  /** Values that count; any other reads as absent. Without it every value counts. */
  readonly only?: readonly string[];
  /** Read only while the entry has no marker and no other attribute of its scope earlier in the chain. */
  readonly fallback?: boolean;
};

/**
 * How a directory spells what the gateway asks of it: attribute and class names, all compared without regard to case.
 * Plain data, so that a site overrides any of it; `presets.ts` has the usual ones.
 */
export type SchemaMapping = {
  /** Where addresses stand; the first value of the first one is the primary address. At least one. */
  readonly addressAttributes: readonly string[];
  /**
   * Prefix of address values, such as `smtp:`; '' for none. Values with the prefix are asked for and shown without
   * it, values without any prefix are taken as they are, values with another one (`x500:`) are no mail address.
   */
  readonly addressPrefix: string;
  /** Further condition on entries, an LDAP filter (RFC 4515); '' for none. LDAP only. */
  readonly objectFilter: string;
  /** Classes of mail users. An entry of none of the four kinds of class is not looked at; all four empty: any entry is a user. */
  readonly userClasses: readonly string[];
  /** Classes of entries that have a calendar; empty: every user and resource has one. */
  readonly calendarClasses: readonly string[];
  readonly resourceClasses: readonly string[];
  readonly groupClasses: readonly string[];
  /** The status chain in its order. */
  readonly statusAttributes: readonly StatusAttribute[];
  /** Its presence says that the user lives on the newer server, its value on which back end. */
  readonly markerAttribute?: string;
  /** The attribute and value that mark a user as being moved. That value is then no status. */
  readonly moving?: { readonly attribute: string; readonly value: string };
  readonly mailHostAttribute?: string;
  /** The entry's immutable key in the calendar store. No look-up reads it. */
  readonly keyAttribute?: string;
};

/** An entry as it came, from LDAP or LDIF: attribute names in lower case, without options (`;lang-en`). */
export type AttributeRecord = { readonly dn: string; readonly attributes: ReadonlyMap<string, readonly string[]> };

/** An entry read by the mapping, before it is known by which address it was asked for. */
export type MappedEntry = {
  readonly entry: Omit<Entry, 'matchedBy' | 'detail'>;
  /** `addressKey` of each address → `attribute=value` as the directory has it. */
  readonly addresses: ReadonlyMap<string, string>;
};

/** @returns the attributes a look-up reads, each once */
export function neededAttributes(mapping: SchemaMapping): readonly string[] {
  const names = [
    'objectClass',
    ...mapping.addressAttributes,
    ...mapping.statusAttributes.map(({ attribute }) => attribute),
    mapping.markerAttribute,
    mapping.moving?.attribute,
    mapping.mailHostAttribute,
  ].filter((name) => name !== undefined);
  return [...new Map(names.map((name) => [name.toLowerCase(), name])).values()];
}

/** @returns every class that makes an entry one of ours; empty when any entry is */
export function ourClasses(mapping: SchemaMapping): readonly string[] {
  const { userClasses, calendarClasses, resourceClasses, groupClasses } = mapping;
  // Without user classes any entry can be a user, whatever the other lists name.
  return userClasses.length === 0
    ? []
    : [...new Set([...userClasses, ...calendarClasses, ...resourceClasses, ...groupClasses])];
}

/**
 * Prepares a mapping for use.
 * @returns a function that reads one record; undefined for a record that is of none of our classes
 */
export function entryReader(mapping: SchemaMapping): (record: AttributeRecord) => MappedEntry | undefined {
  const ours = lowerSet(ourClasses(mapping));
  const calendar = lowerSet(mapping.calendarClasses);
  const resource = lowerSet(mapping.resourceClasses);
  const group = lowerSet(mapping.groupClasses);
  const readAddresses = addressReader(mapping);
  const readStatus = statusReader(mapping);

  return (record) => {
    const classes = values(record, 'objectClass').map((name) => name.toLowerCase());
    const isOf = (wanted: ReadonlySet<string>): boolean => classes.some((name) => wanted.has(name));
    if (ours.size > 0 && !isOf(ours)) return undefined;
    const kind = isOf(group) ? 'group' : isOf(resource) ? 'resource' : 'user';
    const found = readAddresses(record);
    const marker = firstValue(record, mapping.markerAttribute);
    const mailHost = firstValue(record, mapping.mailHostAttribute);
    const addresses = [...found.values()].map(({ address }) => address);
    return {
      entry: {
        dn: record.dn,
        kind,
        mail: addresses[0] ?? '',
        addresses,
        status: readStatus(record, marker),
        moving: mapping.moving !== undefined && hasValue(record, mapping.moving.attribute, mapping.moving.value),
        calendar: calendar.size === 0 ? kind !== 'group' : isOf(calendar),
        ...(marker === undefined ? {} : { marker }),
        ...(mailHost === undefined ? {} : { mailHost }),
      },
      addresses: new Map([...found].map(([key, { source }]) => [key, source])),
    };
  };
}

type Found = { readonly address: string; readonly source: string };

/** Values that are no address, such as the catch-all `@example.com`, are left out; of equal ones the first stays. */
function addressReader(mapping: SchemaMapping): (record: AttributeRecord) => ReadonlyMap<string, Found> {
  const prefix = mapping.addressPrefix.toLowerCase();
  const strip = (value: string): string | undefined => {
    if (prefix === '') return value;
    if (value.toLowerCase().startsWith(prefix)) return value.slice(prefix.length);
    return /^[a-z0-9]+:/i.test(value) ? undefined : value;
  };
  return (record) => {
    const found = new Map<string, Found>();
    for (const attribute of mapping.addressAttributes) {
      for (const value of values(record, attribute)) {
        const text = strip(value.trim());
        if (text === undefined || parseAddress(text) === undefined) continue;
        const address = canonicalAddress(text);
        const key = address.toLowerCase();
        if (!found.has(key)) found.set(key, { address, source: `${attribute}=${value}` });
      }
    }
    return found;
  };
}

function statusReader(
  mapping: SchemaMapping,
): (record: AttributeRecord, marker: string | undefined) => readonly StatusValue[] {
  const moving = mapping.moving && {
    attribute: mapping.moving.attribute.toLowerCase(),
    value: mapping.moving.value.toLowerCase(),
  };
  return (record, marker) => {
    const chain: StatusValue[] = [];
    for (const { scope, attribute, only, fallback } of mapping.statusAttributes) {
      if (fallback === true && (marker !== undefined || chain.some((earlier) => earlier.scope === scope))) continue;
      for (const text of values(record, attribute)) {
        const value = text.trim();
        const compared = value.toLowerCase();
        if (moving !== undefined && attribute.toLowerCase() === moving.attribute && compared === moving.value) continue;
        if (only !== undefined && !only.some((one) => one.toLowerCase() === compared)) continue;
        chain.push({ scope, attribute, value });
      }
    }
    return chain;
  };
}

function values(record: AttributeRecord, attribute: string): readonly string[] {
  return record.attributes.get(attribute.toLowerCase()) ?? [];
}

function firstValue(record: AttributeRecord, attribute: string | undefined): string | undefined {
  return attribute === undefined ? undefined : values(record, attribute)[0]?.trim();
}

function hasValue(record: AttributeRecord, attribute: string, wanted: string): boolean {
  return values(record, attribute).some((value) => value.trim().toLowerCase() === wanted.toLowerCase());
}

function lowerSet(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}
