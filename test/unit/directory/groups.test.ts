import { describe, expect, test } from 'vitest';
import type { Entry, GroupFacts, Lookup } from '../../../src/directory/directory.ts';
import { expandGroup, type MemberSource } from '../../../src/directory/groups.ts';
import type { MappedEntry } from '../../../src/directory/schema.ts';

const never = new AbortController().signal;
const nobody = { memberDns: [], memberAddresses: [], memberUrls: [] };

function entryOf(dn: string, more: Partial<Entry> = {}): Entry {
  const mail = `${dn.replace(/^\w+=/, '')}@example.com`;
  return {
    dn,
    kind: 'user',
    mail,
    addresses: [mail],
    matchedBy: '',
    status: [],
    moving: false,
    calendar: true,
    ...more,
  };
}

function groupOf(dn: string, members: Partial<GroupFacts>): Entry {
  return entryOf(dn, { kind: 'group', calendar: false, group: { ...nobody, ...members } });
}

/** A directory of these entries, which counts what it is asked and how much of that at a time. */
function sourceOf(entries: readonly Entry[], urls: Readonly<Record<string, readonly Entry[]>> = {}) {
  const asked: string[] = [];
  let underWay = 0;
  const seen = { most: 0 };
  const ask = async <T>(name: string, value: T): Promise<T> => {
    asked.push(name);
    seen.most = Math.max(seen.most, ++underWay);
    await new Promise(setImmediate);
    underWay--;
    return value;
  };
  const mapped = (entry: Entry): MappedEntry => ({ entry, addresses: new Map() });
  const source: MemberSource = {
    byDn: (dn) => {
      const entry = entries.find((one) => one.dn.toLowerCase() === dn.toLowerCase());
      return ask(dn, { kind: 'got', value: entry && mapped(entry) });
    },
    byAddress: (address) => {
      const [first, ...rest] = entries.filter((entry) => entry.addresses.includes(address));
      const found: Lookup = first
        ? { kind: 'found', entries: [first, ...rest], server: 's' }
        : { kind: 'unknown', server: 's' };
      return ask(address, found);
    },
    byUrl: (url) => {
      const found = urls[url];
      return ask(url, found ? { kind: 'got', value: found.map(mapped) } : { kind: 'none', reason: 'it is down' });
    },
  };
  return { source, asked, seen };
}

async function expand(group: Entry, source: MemberSource, limit = 100) {
  const expansion = await expandGroup(group, source, { limit, width: 8 }, never);
  if (expansion.kind !== 'members') return expansion;
  return { entries: expansion.entries.map(({ dn }) => dn), addresses: expansion.addresses };
}

describe('a group is expanded', () => {
  test('by DN, by address and by URL, groups within it too, each member once', async () => {
    const inner = groupOf('cn=inner', { memberDns: ['uid=a', 'UID=B'], memberAddresses: ['x@example.org'] });
    const outer = groupOf('cn=outer', {
      memberDns: ['uid=a', 'cn=inner'],
      memberAddresses: ['c@example.com', 'mailto:X@example.org'],
      memberUrls: ['ldap:///o=isp'],
    });
    const { source } = sourceOf([entryOf('uid=a'), entryOf('uid=b'), entryOf('uid=c'), inner], {
      'ldap:///o=isp': [entryOf('uid=d'), entryOf('uid=a')],
    });
    expect(await expand(outer, source)).toEqual({
      entries: ['uid=a', 'uid=c', 'uid=d', 'uid=b'],
      addresses: ['X@example.org'],
    });
  });

  test('with word of a group inside that restricts who may send', async () => {
    const inner = groupOf('cn=inner', { memberDns: ['uid=a'], restrictedBy: 'mgrpModerator' });
    const { source } = sourceOf([entryOf('uid=a'), inner]);
    const outer = groupOf('cn=outer', { memberDns: ['cn=inner'] });
    expect(await expandGroup(outer, source, { limit: 9, width: 8 }, never)).toMatchObject({
      kind: 'members',
      entries: [{ dn: 'uid=a' }],
      restrictedBy: 'mgrpModerator of cn=inner',
    });
  });

  test('to its end when groups contain each other and themselves', async () => {
    const a = groupOf('cn=a', { memberDns: ['cn=A', 'cn=b'], memberAddresses: ['a@example.com'] });
    const b = groupOf('cn=b', { memberDns: ['cn = a', 'uid=x'], memberAddresses: ['a@example.com'] });
    const { source, asked } = sourceOf([a, b, entryOf('uid=x')]);
    expect(await expand(a, source)).toEqual({ entries: ['uid=x'], addresses: [] });
    expect(asked).toEqual(['cn=b', 'a@example.com', 'uid=x']);
  });

  test('without members who are gone, or have no address', async () => {
    const group = groupOf('cn=g', { memberDns: ['uid=gone', 'uid=mute'], memberAddresses: ['no address'] });
    const { source } = sourceOf([entryOf('uid=mute', { mail: '', addresses: [] })]);
    expect(await expand(group, source)).toEqual({ entries: [], addresses: [] });
  });

  test('with an address that two entries have, or a catch-all alone, as nobody’s', async () => {
    const shared = ['s@example.com'];
    const group = groupOf('cn=g', { memberAddresses: ['s@example.com', 'c@example.com'] });
    const { source } = sourceOf([
      entryOf('uid=a', { addresses: shared }),
      entryOf('uid=b', { addresses: shared }),
      entryOf('uid=c', { catchAll: true }),
    ]);
    expect(await expand(group, source)).toEqual({ entries: [], addresses: ['s@example.com', 'c@example.com'] });
  });

  test('up to its limit, and not one name further, without a single question for more', async () => {
    const dns = Array.from({ length: 100 }, (_, index) => `uid=${index}`);
    const people = dns.map((dn) => entryOf(dn));
    const whole = sourceOf(people);
    expect(await expand(groupOf('cn=g', { memberDns: dns }), whole.source)).toMatchObject({ entries: dns });
    expect(whole.seen.most).toBe(8);
    const larger = sourceOf(people);
    expect(await expand(groupOf('cn=g', { memberDns: [...dns, 'uid=x'] }), larger.source)).toEqual({
      kind: 'too-large',
      limit: 100,
    });
    expect(larger.asked).toEqual([]);
    const { source } = sourceOf([], { 'ldap:///': [...people, entryOf('uid=x')] });
    expect(await expand(groupOf('cn=g', { memberUrls: ['ldap:///'] }), source)).toMatchObject({ kind: 'too-large' });
  });

  test('not at all when a part of it cannot be read, and the reason names it', async () => {
    const group = groupOf('cn=g', { memberDns: ['uid=a'], memberUrls: ['ldap:///o=x'] });
    const { source } = sourceOf([entryOf('uid=a')]);
    expect(await expand(group, source)).toEqual({
      kind: 'no-answer',
      reason: 'cn=g names its members by ldap:///o=x: it is down',
    });
    const stopped = await expandGroup(group, source, { limit: 10, width: 1 }, AbortSignal.abort());
    expect(stopped).toEqual({ kind: 'no-answer', reason: 'the expansion was stopped' });
  });
});
