import { domainToUnicode } from 'node:url';
import { normalizeDomain } from '../mail/address.ts';
import type { StatusValue } from './directory.ts';
import { type AttributeRecord, type DomainMapping, dnKey, values } from './schema.ts';

/** What the directory says about a mail domain. */
export type DomainFacts = {
  /** DN under which its users are; undefined when nothing says so. */
  readonly base?: string;
  /** Its own name, when the asked one is another name of it: its users have addresses in either. */
  readonly canonical?: string;
  readonly status: readonly StatusValue[];
};

/** How a domain's entry is asked for: by its DN, or as an entry of a class that has one of the values. */
export type DomainSearch =
  | { readonly kind: 'dn'; readonly dn: string }
  | {
      readonly kind: 'values';
      readonly root?: string;
      readonly class: string;
      readonly attributes: readonly string[];
      readonly values: readonly string[];
    };

/** Something read from a directory, or why it could not be read. */
export type Reading<T> =
  | { readonly kind: 'got'; readonly value: T }
  | { readonly kind: 'none'; readonly reason: string };

export const NO_DOMAIN: DomainFacts = { status: [] };

const ALIASED_OBJECT = 'aliasedObjectName';
const CANONICAL_NAME = 'inetCanonicalDomainName';

/** @returns the attributes that are read of a domain's entry */
export function domainAttributes(mapping: DomainMapping): readonly string[] {
  return [
    ...(mapping.kind === 'dc-tree' ? [mapping.baseAttribute, ALIASED_OBJECT, CANONICAL_NAME] : mapping.attributes),
    ...mapping.statusAttributes,
  ];
}

/**
 * Finds a domain's entry and reads it. Of a node of a DC tree that is another name of a domain, the domain is read. When
 * several organizations claim the domain, its users are searched everywhere and each one's status counts.
 * @param read gives the entries found; no entry is no fault
 */
export async function findDomain(
  mapping: DomainMapping,
  domain: string,
  read: (search: DomainSearch) => Promise<Reading<readonly AttributeRecord[]>>,
): Promise<Reading<DomainFacts>> {
  if (domain.startsWith('[')) return { kind: 'got', value: NO_DOMAIN };
  if (mapping.kind === 'search') {
    const found = await read({
      kind: 'values',
      class: mapping.class,
      attributes: mapping.attributes,
      values: [...new Set([domain, domainToUnicode(domain) || domain])],
      ...(mapping.root === undefined ? {} : { root: mapping.root }),
    });
    if (found.kind === 'none') return found;
    const [first, ...more] = found.value;
    if (first === undefined) return { kind: 'got', value: NO_DOMAIN };
    if (more.length > 0)
      return { kind: 'got', value: { status: found.value.flatMap((one) => statusOf(mapping, one)) } };
    const preferred = firstOf(first, mapping.attributes[0]);
    const value = { base: first.dn, status: statusOf(mapping, first), ...otherName(domain, preferred) };
    return { kind: 'got', value };
  }

  let node: Reading<readonly AttributeRecord[]> = await read({ kind: 'dn', dn: nodeOf(domain, mapping.root) });
  let canonical: string | undefined;
  if (node.kind === 'got' && node.value[0] !== undefined) {
    const aliased = firstOf(node.value[0], ALIASED_OBJECT);
    canonical = firstOf(node.value[0], CANONICAL_NAME) ?? (aliased && domainOfNode(aliased, mapping.root));
    const target =
      aliased ?? (otherName(domain, canonical).canonical && nodeOf(normalizeDomain(canonical ?? ''), mapping.root));
    if (target !== undefined) node = await read({ kind: 'dn', dn: target });
  }
  if (node.kind === 'none') return node;
  const record = node.value[0];
  if (record === undefined) return { kind: 'got', value: NO_DOMAIN };
  const base = firstOf(record, mapping.baseAttribute);
  const status = statusOf(mapping, record);
  return { kind: 'got', value: { ...(base === undefined ? {} : { base }), status, ...otherName(domain, canonical) } };
}

/** No label of a normalised domain has a character that a DN would read as syntax. */
function nodeOf(domain: string, root: string): string {
  const labels = domain.split('.').map((label) => `dc=${label}`);
  return [...labels, ...(root === '' ? [] : [root])].join(',');
}

function domainOfNode(dn: string, root: string): string | undefined {
  const key = dnKey(dn);
  const suffix = root === '' ? '' : `,${dnKey(root)}`;
  if (!key.endsWith(suffix)) return undefined;
  const names = key.slice(0, key.length - suffix.length).split(',');
  return names.every((name) => name.startsWith('dc=')) ? names.map((name) => name.slice(3)).join('.') : undefined;
}

function otherName(domain: string, name: string | undefined): { canonical?: string } {
  const canonical = name === undefined ? '' : normalizeDomain(name);
  return canonical === '' || canonical === domain ? {} : { canonical };
}

function statusOf(mapping: DomainMapping, record: AttributeRecord): readonly StatusValue[] {
  return mapping.statusAttributes.flatMap((attribute) =>
    values(record, attribute).map((value) => ({ scope: 'domain' as const, attribute, value: value.trim() })),
  );
}

function firstOf(record: AttributeRecord, attribute: string | undefined): string | undefined {
  const value = attribute === undefined ? undefined : values(record, attribute)[0]?.trim();
  return value === '' ? undefined : value;
}
