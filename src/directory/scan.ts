import { readFile } from 'node:fs/promises';
import type { DirectoryConfig } from '../config/options.ts';
import { LdapScan } from './ldap-scan.ts';
import { parseLdif } from './ldif.ts';
import { type AttributeRecord, dnKey, neededAttributes, ourClasses, type SchemaMapping } from './schema.ts';

/** Every entry of the directory that may be a user, resource or group, from the beginning as often as asked. */
export type Scan = {
  /** Where from, as a person knows it. */
  readonly source: string;
  /** What one pass holds at a time is a page. @throws ScanError when the directory does not answer to the end */
  entries(): AsyncIterable<readonly AttributeRecord[]>;
  /** How many there are. @throws ScanError */
  count(): Promise<number>;
  /** LDAP only. */
  readonly server?: LdapScan;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Of Calendar Server 6: the user's calendar there, and what he may use. The mapping has no names for them. */
export const V6_CALENDAR = 'icsCalendar';
export const V6_ACCESS = 'icsAllowedServiceAccess';

/**
 * Opens the configured directory to be read as a whole.
 * @throws ScanError when no server answers; LdifError when the file cannot be used
 */
export async function openScan(chosen: DirectoryConfig, mapping: SchemaMapping): Promise<Scan> {
  if (chosen.kind === 'ldif') return fileScan(chosen.file, chosen.base);
  const server = await LdapScan.open(chosen.servers, {
    startTls: chosen.startTls,
    connectTimeoutMs: chosen.connectTimeoutMs,
    searchTimeoutMs: chosen.searchTimeoutMs,
    ...(chosen.ca === undefined ? {} : { ca: chosen.ca }),
    ...(chosen.bindDn === undefined ? {} : { bindDn: chosen.bindDn }),
    ...(chosen.password === undefined ? {} : { password: chosen.password.reveal() }),
  });
  const search = { base: chosen.base, filter: classFilter(mapping) };
  return {
    source: server.url,
    server,
    entries: () => server.pages({ ...search, attributes: scannedAttributes(mapping) }),
    async count() {
      let found = 0;
      for await (const page of server.pages({ ...search, attributes: ['1.1'] })) found += page.length;
      return found;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function fileScan(file: string, base: string | undefined): Promise<Scan> {
  const suffix = dnKey(base ?? '');
  const records = parseLdif(await readFile(file, 'utf8'), file).filter(({ dn }) => {
    const key = dnKey(dn);
    return suffix === '' || key === suffix || key.endsWith(`,${suffix}`);
  });
  return {
    source: file,
    async *entries() {
      yield records;
    },
    count: async () => records.length,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function classFilter(mapping: SchemaMapping): string {
  const classes = ourClasses(mapping).map((name) => `(objectClass=${name})`);
  return `(&${classes.length === 0 ? '(objectClass=*)' : `(|${classes.join('')})`}${mapping.objectFilter})`;
}

/** Without the members of groups: a list of 20,000 need not come over the wire. */
function scannedAttributes(mapping: SchemaMapping): readonly string[] {
  const { memberDns, memberAddresses, memberUrls } = mapping.groups;
  const members = new Set([...memberDns, ...memberAddresses, ...memberUrls].map((name) => name.toLowerCase()));
  const key = mapping.keyAttribute === undefined ? [] : [mapping.keyAttribute];
  const names = [...neededAttributes(mapping), ...key, V6_CALENDAR, V6_ACCESS];
  return [...new Map(names.map((name) => [name.toLowerCase(), name])).values()].filter(
    (name) => !members.has(name.toLowerCase()),
  );
}
