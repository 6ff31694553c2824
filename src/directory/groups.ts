import { addressKey, canonicalAddress, mailboxOf, parseAddress } from '../mail/address.ts';
import type { Entry, Expansion, GroupFacts, Lookup } from './directory.ts';
import type { Reading } from './domains.ts';
import { dnKey, type MappedEntry } from './schema.ts';

/** Where the members of groups are read. Nothing here rejects. */
export type MemberSource = {
  /** @returns undefined for an entry that is not there, or is none of ours */
  byDn(dn: string): Promise<Reading<MappedEntry | undefined>>;
  byAddress(address: string): Promise<Lookup>;
  /** @param most entries after which it may stop */
  byUrl(url: string, most: number): Promise<Reading<readonly MappedEntry[]>>;
};

/** Of `ExpandOptions.limit`, where nothing else is configured. */
export const DEFAULT_GROUP_LIMIT = 1000;

export type ExpandOptions = {
  /** Most names to follow: members, groups within the group, and names that lead nowhere, together. */
  readonly limit: number;
  /** How many are read at a time. */
  readonly width: number;
};

/** One member as a group names it. */
type Name = { readonly kind: keyof typeof LISTS; readonly text: string; readonly group: string };

const LISTS = {
  dn: (group: GroupFacts) => group.memberDns,
  address: (group: GroupFacts) => group.memberAddresses,
  url: (group: GroupFacts) => group.memberUrls,
};

type Followed =
  | { readonly kind: 'entries'; readonly entries: readonly Unnamed[]; readonly matchedBy?: string }
  | { readonly kind: 'nobody'; readonly address: string }
  | { readonly kind: 'none'; readonly reason: string };
type Unnamed = MappedEntry['entry'] & Partial<Entry>;

/**
 * Follows a group to everybody in it, level by level, each name and each group once. Members by DN who are gone, or
 * have no address, are left out. The first thing that cannot be read ends it: half a group is no group.
 */
export async function expandGroup(
  group: Entry,
  source: MemberSource,
  { limit, width }: ExpandOptions,
  signal: AbortSignal,
): Promise<Expansion> {
  const entries = new Map<string, Entry>();
  const addresses = new Map<string, string>();
  const followed = new Set<string>([`dn ${dnKey(group.dn)}`]);
  const entered = new Set<string>([dnKey(group.dn)]);
  let count = 0;
  let restrictedBy: string | undefined;

  let level: readonly Unnamed[] = [group];
  while (level.length > 0) {
    const names: Name[] = [];
    for (const name of level.flatMap(namesIn)) {
      const key = `${name.kind} ${keyOf(name)}`;
      if (followed.has(key)) continue;
      followed.add(key);
      if (++count > limit) return { kind: 'too-large', limit };
      names.push(name);
    }
    const results = await inParallel(names, width, (name) => follow(name, source, limit), signal);
    const next: Unnamed[] = [];
    for (const result of results) {
      if (result === undefined) return { kind: 'no-answer', reason: 'the expansion was stopped' };
      if (result.kind === 'none') return { kind: 'no-answer', reason: result.reason };
      if (result.kind === 'nobody') {
        addresses.set(addressKey(result.address), result.address);
        continue;
      }
      for (const entry of result.entries) {
        const key = dnKey(entry.dn);
        if (entry.kind === 'group') {
          if (!entered.has(key)) next.push(entry);
          if (entry.group?.restrictedBy !== undefined) restrictedBy ??= `${entry.group.restrictedBy} of ${entry.dn}`;
          entered.add(key);
        } else if (entry.mail !== '' && !entries.has(key)) {
          entries.set(key, { ...entry, matchedBy: entry.matchedBy ?? result.matchedBy ?? '' });
        }
      }
      // A URL is one name, and finds many.
      if (entries.size + addresses.size + entered.size - 1 > limit) return { kind: 'too-large', limit };
    }
    level = next;
  }
  const restricted = restrictedBy === undefined ? {} : { restrictedBy };
  return { kind: 'members', entries: [...entries.values()], addresses: [...addresses.values()], ...restricted };
}

function namesIn({ dn, group }: Unnamed): readonly Name[] {
  if (group === undefined) return [];
  return (['dn', 'address', 'url'] as const).flatMap((kind) =>
    LISTS[kind](group).map((text) => ({ kind, text: text.trim(), group: dn })),
  );
}

function keyOf({ kind, text }: Name): string {
  if (kind === 'dn') return dnKey(text);
  return kind === 'address' ? addressKey(mailboxOf(text) ?? text) : text;
}

async function follow({ kind, text, group }: Name, source: MemberSource, limit: number): Promise<Followed> {
  if (kind === 'dn') {
    const read = await source.byDn(text);
    if (read.kind === 'none') return read;
    return {
      kind: 'entries',
      entries: read.value === undefined ? [] : [read.value.entry],
      matchedBy: `a member of ${group}`,
    };
  }
  const mailbox = mailboxOf(text);
  if (kind === 'url' && mailbox === undefined) {
    const read = await source.byUrl(text, limit + 1);
    if (read.kind === 'none') return { kind: 'none', reason: `${group} names its members by ${text}: ${read.reason}` };
    return { kind: 'entries', entries: read.value.map(({ entry }) => entry), matchedBy: `a match of ${text}` };
  }
  return followAddress(mailbox ?? text, source);
}

/** Of several entries with the address none is taken, and a catch-all is not who was named. */
async function followAddress(address: string, source: MemberSource): Promise<Followed> {
  if (parseAddress(address) === undefined) return { kind: 'entries', entries: [] };
  const found = await source.byAddress(address);
  if (found.kind === 'no-answer') return { kind: 'none', reason: found.reason };
  if (found.kind === 'found' && found.entries.length === 1 && found.entries[0].catchAll !== true) {
    return { kind: 'entries', entries: found.entries };
  }
  return { kind: 'nobody', address: canonicalAddress(address) };
}

/** @returns the results in the order of `items`; those not begun, since one failed or the signal came, are undefined */
async function inParallel<T>(
  items: readonly T[],
  width: number,
  run: (item: T) => Promise<Followed>,
  signal: AbortSignal,
): Promise<readonly (Followed | undefined)[]> {
  const results: (Followed | undefined)[] = items.map(() => undefined);
  let failure: Followed | undefined;
  const queue = items.entries();
  const work = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failure !== undefined || signal.aborted) return;
      const result = await run(item);
      results[index] = result;
      if (result.kind === 'none') failure ??= result;
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, work));
  return failure === undefined ? results : [failure];
}
