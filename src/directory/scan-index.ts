import { type LdapScan, ScanError } from './ldap-scan.ts';
import { type AttributeRecord, dnKey, type SchemaMapping, values } from './schema.ts';

/** Attributes that are searched by and have no equality index; or why that cannot be told. */
export type Unindexed =
  | { readonly kind: 'known'; readonly attributes: readonly string[] }
  | { readonly kind: 'unknown'; readonly reason: string };

/** Asks an OpenLDAP server for its indexes (`olcDbIndex`, slapd-config(5)), which this account has to be allowed to read. */
export async function findUnindexed(server: LdapScan, base: string, mapping: SchemaMapping): Promise<Unindexed> {
  const databases: AttributeRecord[] = [];
  try {
    const attributes = ['olcSuffix', 'olcDbIndex'];
    for await (const page of server.pages({ base: 'cn=config', filter: '(olcSuffix=*)', attributes })) {
      databases.push(...page);
    }
  } catch (error) {
    if (!(error instanceof ScanError)) throw error;
    return { kind: 'unknown', reason: error.message };
  }
  const home = databases
    .map((record) => ({ record, suffix: longestSuffix(record, base) }))
    .filter(({ suffix }) => suffix !== undefined)
    .sort((a, b) => (b.suffix ?? '').length - (a.suffix ?? '').length)[0]?.record;
  if (home === undefined) return { kind: 'unknown', reason: `no database in cn=config that holds ${base} can be read` };
  const indexed = equalityIndexes(values(home, 'olcDbIndex'));
  return { kind: 'known', attributes: searchedAttributes(mapping).filter((name) => !indexed.has(name.toLowerCase())) };
}

function longestSuffix(record: AttributeRecord, base: string): string | undefined {
  const key = dnKey(base);
  return values(record, 'olcSuffix')
    .map(dnKey)
    .filter((suffix) => key === suffix || key.endsWith(`,${suffix}`))
    .sort((a, b) => b.length - a.length)[0];
}

/** @param lines such as `{0}mail,uid eq,sub`, `default eq`, `cn` @returns names in lower case */
export function equalityIndexes(lines: readonly string[]): ReadonlySet<string> {
  const parsed = lines.map((line) => {
    const [names = '', kinds] = line
      .replace(/^\{\d+\}/, '')
      .trim()
      .split(/\s+/);
    return { names: names.toLowerCase().split(','), kinds: kinds?.toLowerCase().split(',') };
  });
  const usual = parsed.find(({ names }) => names.includes('default'))?.kinds ?? [];
  return new Set(parsed.flatMap(({ names, kinds = usual }) => (kinds.includes('eq') ? names : [])));
}

/** What look-ups name in their filters: addresses, and domains where they have entries. */
function searchedAttributes(mapping: SchemaMapping): readonly string[] {
  return [...mapping.addressAttributes, ...(mapping.domains?.kind === 'search' ? mapping.domains.attributes : [])];
}
