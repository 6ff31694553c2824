import { type Scan, V6_ACCESS, V6_CALENDAR } from './scan.ts';
import { Repeats } from './scan-duplicates.ts';
import type { Presence } from './scan-probe.ts';
import { type AttributeRecord, entryReader, type MappedEntry, type SchemaMapping, values } from './schema.ts';

export const FINDING_KINDS = [
  'id-missing',
  'id-repeated',
  'address-repeated',
  'marker-unknown',
  'marker-missing',
  'marker-unexpected',
  'v7-unknown',
  'on-both',
  'on-neither',
  'probe-unclear',
  'marker-without-calendar',
  'v6-access',
  'moving-finished',
  'no-index',
] as const;

/** One thing that is not as it should be. */
export type Finding = {
  readonly kind: (typeof FINDING_KINDS)[number];
  /** Of the entry; empty when it is about none. */
  readonly dn: string;
  readonly detail: string;
};

export type VerifyOptions = {
  readonly mapping: SchemaMapping;
  /** Values the marker may have; undefined: it is not used to find back ends. */
  readonly backEnds?: ReadonlySet<string>;
  /** Who is on v7, by `addressKey`. */
  readonly v7?: ReadonlySet<string>;
  /** Asks v6 whether somebody has a calendar there. */
  readonly probe?: (address: string) => Promise<Presence>;
  /** Marks that stand outside of the entry. */
  readonly isMoving: (entry: MappedEntry['entry']) => Promise<boolean>;
  readonly report: (finding: Finding) => void;
  /** Called for each page, with its entries and the pass (1 or 2). */
  readonly onPage: (entries: number, pass: number) => void;
};

/** The value with which the migration keeps a user off Calendar Server 6. */
const V6_DENIED = '-http:all';

/**
 * Looks through every user, resource and group. Kept of each are 8 octets for each address and id; the directory is
 * read a second time only when some of them occur twice.
 * @returns how many users, resources and groups there are
 * @throws ScanError
 */
export async function verifyEntries(scan: Scan, options: VerifyOptions): Promise<number> {
  const { mapping, report } = options;
  const read = entryReader(mapping, 0);
  const idOf = (record: AttributeRecord): string | undefined =>
    mapping.keyAttribute === undefined ? undefined : values(record, mapping.keyAttribute)[0]?.trim() || undefined;
  const addresses = new Repeats();
  const ids = new Repeats();
  const unseen = new Set(options.v7);
  let entries = 0;

  for await (const page of scan.entries()) {
    for (const record of page) {
      const mapped = read(record);
      if (mapped === undefined) continue;
      entries++;
      const id = idOf(record);
      if (id !== undefined) ids.add(id.toLowerCase());
      for (const key of mapped.addresses.keys()) {
        addresses.add(key);
        unseen.delete(key);
      }
      for (const finding of await judgeEntry(record, mapped, id, options)) report(finding);
    }
    options.onPage(page.length, 1);
  }
  for (const key of unseen) report({ kind: 'v7-unknown', dn: '', detail: `on v7 by the list, but nobody has ${key}` });
  const suspects = addresses.settle() + ids.settle();
  if (suspects === 0) return entries;

  const first = { address: new Map<string, string>(), id: new Map<string, string>() };
  const again = (kind: 'address' | 'id', text: string, key: string, dn: string): void => {
    const earlier = first[kind].get(key);
    if (earlier === undefined) first[kind].set(key, dn);
    else report({ kind: `${kind}-repeated`, dn, detail: `${text} is of ${earlier} as well` });
  };
  for await (const page of scan.entries()) {
    for (const record of page) {
      const mapped = read(record);
      if (mapped === undefined) continue;
      const id = idOf(record);
      if (id !== undefined && ids.isSuspect(id.toLowerCase()))
        again('id', `${mapping.keyAttribute}=${id}`, id.toLowerCase(), record.dn);
      for (const [key, source] of mapped.addresses) {
        if (addresses.isSuspect(key)) again('address', source, key, record.dn);
      }
    }
    options.onPage(page.length, 2);
  }
  return entries;
}

/** What can be said of one entry by itself. */
async function judgeEntry(
  record: AttributeRecord,
  { entry, addresses }: MappedEntry,
  id: string | undefined,
  options: VerifyOptions,
): Promise<readonly Finding[]> {
  const { mapping, backEnds, v7, probe } = options;
  const { dn, marker } = entry;
  const found: Finding[] = [];
  const add = (kind: Finding['kind'], detail: string): void => void found.push({ kind, dn, detail });
  const marked = `${mapping.markerAttribute}=${marker}`;
  if (mapping.keyAttribute !== undefined && id === undefined) {
    const beside = marker === undefined ? '' : `, but it has ${marked}`;
    add('id-missing', `a ${entry.kind} without ${mapping.keyAttribute}${beside}`);
  }
  if (marker !== undefined && backEnds?.has(marker) === false)
    add('marker-unknown', `${marked}, which no calendar.back-ends line names`);

  const isMoving = await options.isMoving(entry);
  if (v7 !== undefined && !isMoving) {
    const isListed = [...addresses.keys()].some((key) => v7.has(key));
    if (isListed && marker === undefined)
      add('marker-missing', `on v7 by the list, but without ${mapping.markerAttribute}`);
    if (!isListed && marker !== undefined) add('marker-unexpected', `${marked}, but not on v7 by the list`);
  }
  if (probe !== undefined && !isMoving && entry.kind !== 'group' && entry.calendar && entry.mail !== '') {
    const presence = await probe(entry.mail);
    if (presence.kind === 'unclear') add('probe-unclear', `v6 was asked for ${entry.mail}: ${presence.reason}`);
    else if (marker !== undefined && presence.kind === 'there')
      add('on-both', `${marked}, and v6 has a calendar of ${entry.mail}`);
    else if (marker === undefined && presence.kind === 'absent')
      add('on-neither', `no ${mapping.markerAttribute}, and v6 has no calendar of ${entry.mail}`);
  }
  if (v7 !== undefined || probe !== undefined || marker === undefined) return found;

  // Nobody said who is on v7: what can be seen is whether the marks agree with each other.
  const isDenied = values(record, V6_ACCESS).some((value) => value.trim().toLowerCase() === V6_DENIED);
  if (entry.kind === 'group' || !entry.calendar) {
    const what = entry.kind === 'group' ? 'a group has no calendar' : 'it is of no class of calendar users';
    add('marker-without-calendar', `${marked}, but ${what}`);
  }
  if (values(record, V6_CALENDAR).length > 0 && !isDenied && !isMoving)
    add('v6-access', `${marked}, had a calendar on v6, and may still use it: no ${V6_ACCESS}=${V6_DENIED}`);
  if (isMoving && isDenied)
    add('moving-finished', `${marked} and ${V6_ACCESS}=${V6_DENIED}, but still marked as being moved`);
  return found;
}
