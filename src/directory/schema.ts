import { canonicalAddress, domainOf, parseAddress } from '../mail/address.ts';
import { acceptedLanguages } from '../mail/language-tag.ts';
import type { Entry, GroupFacts, StatusValue } from './directory.ts';

/** Whether an entry has an attribute, with one of the values when they are given. */
export type AttributeTest = { readonly attribute: string; readonly values?: readonly string[] };

/** One attribute of the status chain. */
export type StatusAttribute = {
  readonly scope: StatusValue['scope'];
  readonly attribute: string;
  /** Values that count; any other reads as absent. Without it every value counts. */
  readonly only?: readonly string[];
  /** Read only while the entry has no marker and no other attribute of its scope earlier in the chain. */
  readonly fallback?: boolean;
  /** The value is a number: with one of these bits set it reads as `disabled`, else as absent. */
  readonly disabledBits?: number;
  /** Not read on an entry that satisfies one of these: accounts of rooms are disabled by design. */
  readonly except?: readonly AttributeTest[];
};

/** Where a group entry has what; an empty list: nowhere. */
export type GroupAttributes = {
  /** DNs of members, groups among them. */
  readonly memberDns: readonly string[];
  readonly memberAddresses: readonly string[];
  /** LDAP URLs (RFC 4516) that find the members. */
  readonly memberUrls: readonly string[];
  /** Attributes that restrict who may send to it. `FALSE` and `NO_REQUIREMENTS` restrict nobody. */
  readonly restricted: readonly string[];
};

/**
 * How the entry of a mail domain is found. Its users are searched under what it names first, and anywhere below the
 * base when they are not there; its status begins their status chain.
 */
export type DomainMapping = (
  | {
      /** A tree beside that of the users: `example.com` is `dc=example,dc=com,ROOT` (Sun Schema 1). */
      readonly kind: 'dc-tree';
      readonly root: string;
      /** Attribute with the DN under which the users are. */
      readonly baseAttribute: string;
    }
  | {
      /** The organization above the users has the domain in one of `attributes`, its own name in the first (Sun Schema 2). */
      readonly kind: 'search';
      readonly attributes: readonly string[];
      readonly class: string;
      /** Where it is searched; the base of the directory when absent. */
      readonly root?: string;
    }
) & {
  /** Its status attributes, in the order of the chain. */
  readonly statusAttributes: readonly string[];
};

/**
 * How a directory spells what the gateway asks of it: attribute and class names, all compared without regard to case.
 * Plain data, so that a site overrides any of it; `presets.ts` has the usual ones.
 */
export type SchemaMapping = {
  /**
   * Where addresses stand; at least one. The primary address is the first value that begins with `primaryPrefix`
   * exactly, else the first value of the first attribute that has one.
   */
  readonly addressAttributes: readonly string[];
  /**
   * Prefix of address values, such as `smtp:`; '' for none. Values with the prefix are asked for and shown without
   * it, values without any prefix are taken as they are, values with another one (`x500:`) are no mail address.
   */
  readonly addressPrefix: string;
  /** Those of `addressAttributes` whose values may have the prefix; all when absent. */
  readonly prefixedAttributes?: readonly string[];
  /** Prefix of the one value that is the primary address, its case exact: `SMTP:`. */
  readonly primaryPrefix?: string;
  /** Whether an address `@example.com` stands for all of its domain that nobody has. */
  readonly catchAll: boolean;
  /** Further condition on entries, an LDAP filter (RFC 4515); '' for none. LDAP only. */
  readonly objectFilter: string;
  /** Classes of mail users. An entry of none of the four kinds of class is not looked at; all four empty: any entry is a user. */
  readonly userClasses: readonly string[];
  /** Classes of entries that have a calendar; empty: every user and resource has one. */
  readonly calendarClasses: readonly string[];
  readonly resourceClasses: readonly string[];
  /** Further marks of a room or equipment, any of them. */
  readonly resourceMarks?: readonly AttributeTest[];
  readonly groupClasses: readonly string[];
  readonly groups: GroupAttributes;
  /** The status chain in its order. */
  readonly statusAttributes: readonly StatusAttribute[];
  /** Its presence says that the user lives on the newer server, its value on which back end. */
  readonly markerAttribute?: string;
  /** The attribute and value that mark a user as being moved. That value is then no status. */
  readonly moving?: { readonly attribute: string; readonly value: string };
  readonly mailHostAttribute?: string;
  /** Which languages the user reads, as in Accept-Language (RFC 2798 §2.7). */
  readonly languageAttribute?: string;
  /**
   * Where calendar ids of v6 stand that are no addresses, the one that says most first: of several only the first that
   * anybody has the name in counts. Empty: nobody is found by such a name.
   */
  readonly calendarIdAttributes: readonly string[];
  /** Where he publishes his busy times (RFC 2739 §2.2.1 calFBURL). */
  readonly freeBusyUrlAttribute?: string;
  /** Overrides for one user where his calendar is: name of a back end, or a URL with options. */
  readonly serverAttribute?: string;
  /** Absent: domains have no entries. */
  readonly domains?: DomainMapping;
  /** The entry's immutable key in the calendar store. No look-up reads it. */
  readonly keyAttribute?: string;
};

/** An entry as it came, from LDAP or LDIF: attribute names in lower case, without options (`;lang-en`). */
export type AttributeRecord = { readonly dn: string; readonly attributes: ReadonlyMap<string, readonly string[]> };

/** An entry read by the mapping, before it is known by which address it was asked for. */
export type MappedEntry = {
  readonly entry: Omit<Entry, 'matchedBy' | 'detail' | 'catchAll'>;
  /** `addressKey` of each address, and `@domain` of a catch-all → `attribute=value` as the directory has it. */
  readonly addresses: ReadonlyMap<string, string>;
};

/** @returns the attributes a look-up reads, each once */
export function neededAttributes(mapping: SchemaMapping): readonly string[] {
  const { groups } = mapping;
  const names = [
    'objectClass',
    ...mapping.addressAttributes,
    ...mapping.statusAttributes.flatMap(({ attribute, except = [] }) => [attribute, ...except.map(testedAttribute)]),
    ...(mapping.resourceMarks ?? []).map(testedAttribute),
    mapping.markerAttribute,
    mapping.moving?.attribute,
    mapping.serverAttribute,
    mapping.mailHostAttribute,
    mapping.languageAttribute,
    mapping.freeBusyUrlAttribute,
    ...groups.memberDns,
    ...groups.memberAddresses,
    ...groups.memberUrls,
    ...groups.restricted,
  ].filter((name) => name !== undefined);
  return [...new Map(names.map((name) => [name.toLowerCase(), name])).values()];
}

function testedAttribute({ attribute }: AttributeTest): string {
  return attribute;
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
 * @param mostMembers values of each kind that are kept of a group's members; more say nothing but that it is too large
 * @returns a function that reads one record; undefined for a record that is of none of our classes
 */
export function entryReader(
  mapping: SchemaMapping,
  mostMembers = Number.POSITIVE_INFINITY,
): (record: AttributeRecord) => MappedEntry | undefined {
  const ours = lowerSet(ourClasses(mapping));
  const calendar = lowerSet(mapping.calendarClasses);
  const resource = lowerSet(mapping.resourceClasses);
  const group = lowerSet(mapping.groupClasses);
  const { moving, resourceMarks = [] } = mapping;
  const readAddresses = addressReader(mapping);
  const readStatus = statusReader(mapping);

  return (record) => {
    const classes = values(record, 'objectClass').map((name) => name.toLowerCase());
    const isOf = (wanted: ReadonlySet<string>): boolean => classes.some((name) => wanted.has(name));
    if (ours.size > 0 && !isOf(ours)) return undefined;
    const isResource = isOf(resource) || resourceMarks.some((mark) => satisfies(record, mark));
    const kind = isOf(group) ? 'group' : isResource ? 'resource' : 'user';
    const { addresses, sources } = readAddresses(record);
    const marker = firstValue(record, mapping.markerAttribute);
    const server = firstValue(record, mapping.serverAttribute);
    const mailHost = firstValue(record, mapping.mailHostAttribute);
    const languages = acceptedLanguages(firstValue(record, mapping.languageAttribute) ?? '');
    // A label may stand behind it, as in labeledURI (RFC 2079).
    const [freeBusyUrl = ''] = (firstValue(record, mapping.freeBusyUrlAttribute) ?? '').split(/\s/, 1);
    const isMoving = moving !== undefined && satisfies(record, { attribute: moving.attribute, values: [moving.value] });
    return {
      entry: {
        dn: record.dn,
        kind,
        mail: addresses[0] ?? '',
        addresses,
        status: readStatus(record, marker),
        moving: isMoving,
        ...(isMoving ? { movingBy: `${moving.attribute}=${moving.value}` } : {}),
        calendar: calendar.size === 0 ? kind !== 'group' : isOf(calendar),
        ...(marker === undefined ? {} : { marker }),
        ...(server === undefined || server === '' ? {} : { server }),
        ...(mailHost === undefined ? {} : { mailHost }),
        ...(freeBusyUrl === '' ? {} : { freeBusyUrl }),
        ...(languages.length === 0 ? {} : { languages }),
        ...(kind === 'group' ? { group: groupFacts(record, mapping.groups, mostMembers) } : {}),
      },
      addresses: sources,
    };
  };
}

function groupFacts(record: AttributeRecord, names: GroupAttributes, most: number): GroupFacts {
  const all = (attributes: readonly string[]): readonly string[] =>
    attributes.flatMap((attribute) => values(record, attribute)).slice(0, most);
  const restrictedBy = names.restricted.find((attribute) =>
    values(record, attribute).some((value) => !/^(?:|false|no_requirements)$/i.test(value.trim())),
  );
  return {
    memberDns: all(names.memberDns),
    memberAddresses: all(names.memberAddresses),
    memberUrls: all(names.memberUrls),
    ...(restrictedBy === undefined ? {} : { restrictedBy }),
  };
}

type FoundAddresses = {
  /** The primary one first. */
  readonly addresses: readonly string[];
  readonly sources: ReadonlyMap<string, string>;
};

/** Values that are no address are left out; of equal ones the first stays. */
function addressReader(mapping: SchemaMapping): (record: AttributeRecord) => FoundAddresses {
  const prefix = mapping.addressPrefix.toLowerCase();
  const prefixed = mapping.prefixedAttributes && lowerSet(mapping.prefixedAttributes);
  const strip = (attribute: string, value: string): string | undefined => {
    if (prefix === '' || prefixed?.has(attribute.toLowerCase()) === false) return value;
    if (value.toLowerCase().startsWith(prefix)) return value.slice(prefix.length);
    return /^[a-z0-9]+:/i.test(value) ? undefined : value;
  };
  return (record) => {
    const addresses = new Map<string, string>();
    const sources = new Map<string, string>();
    let primary: string | undefined;
    for (const attribute of mapping.addressAttributes) {
      for (const written of values(record, attribute)) {
        const value = written.trim();
        const text = strip(attribute, value);
        if (text === undefined) continue;
        const address = parseAddress(text) === undefined ? undefined : canonicalAddress(text);
        const key = address?.toLowerCase() ?? (mapping.catchAll ? catchAllKey(text) : undefined);
        if (key === undefined) continue;
        if (!sources.has(key)) sources.set(key, `${attribute}=${written}`);
        if (address === undefined) continue;
        if (!addresses.has(key)) addresses.set(key, address);
        if (mapping.primaryPrefix !== undefined && value.startsWith(mapping.primaryPrefix)) primary ??= key;
      }
    }
    const first = primary === undefined ? undefined : addresses.get(primary);
    if (primary !== undefined) addresses.delete(primary);
    return { addresses: [...(first === undefined ? [] : [first]), ...addresses.values()], sources };
  };
}

/** @returns the key of `@example.com`, its domain normalised; undefined for any other text */
function catchAllKey(text: string): string | undefined {
  const domain = text.startsWith('@') ? domainOf(`x${text}`) : '';
  return domain === '' ? undefined : `@${domain}`.toLowerCase();
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
    for (const { scope, attribute, only, fallback, disabledBits, except } of mapping.statusAttributes) {
      if (fallback === true && (marker !== undefined || chain.some((earlier) => earlier.scope === scope))) continue;
      if (except?.some((test) => satisfies(record, test)) === true) continue;
      for (const text of values(record, attribute)) {
        if (disabledBits !== undefined) {
          if ((Number(text) & disabledBits) !== 0) chain.push({ scope, attribute, value: 'disabled' });
          continue;
        }
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

/** Values of an attribute, whatever the case of its name; none when it is absent. */
export function values(record: AttributeRecord, attribute: string): readonly string[] {
  return record.attributes.get(attribute.toLowerCase()) ?? [];
}

function firstValue(record: AttributeRecord, attribute: string | undefined): string | undefined {
  return attribute === undefined ? undefined : values(record, attribute)[0]?.trim();
}

function satisfies(record: AttributeRecord, test: AttributeTest): boolean {
  const found = values(record, test.attribute);
  if (test.values === undefined) return found.length > 0;
  return test.values.some((wanted) => found.some((value) => value.trim().toLowerCase() === wanted.toLowerCase()));
}

function lowerSet(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

/** A form of a DN to compare by: case and the blanks around separators do not count. Other spellings stay apart. */
export function dnKey(dn: string): string {
  return dn
    .trim()
    .toLowerCase()
    .replace(/\s*([,=+])\s*/g, '$1');
}
