import type { Entry, Expansion, Lookup } from '../src/directory/directory.ts';
import { isByAttendee, type SchedulingObject } from '../src/itip/message.ts';
import { addressKey, domainOf } from '../src/mail/address.ts';
import type { ListMember } from '../src/mail/disposition.ts';
import { judgeAttendance } from './attendance.ts';

/** A list that the way of the message names, as what the recipient may be a member of; it proves nothing yet. */
export type ListClaim = {
  readonly address: string;
  readonly lookup: Lookup;
  /** Of a found group. */
  readonly expansion?: Expansion;
};

/** What is asked of a list before it is worth expanding, and what it is not. */
export type Invited =
  | { readonly kind: 'invited' /** The list as the object spells it. */; readonly spelling: string }
  | {
      readonly kind: 'not-invited';
      readonly rule: 'list' | 'list-restricted' | 'not-attendee' | 'own-organizer';
      readonly reason: string;
    };

/**
 * Whether a list that arrived unexpanded is invited by what an organizer says, and may be written to by anybody. Only
 * then its members matter.
 * @param recipient as the envelope has it
 */
export function judgeList(
  group: Entry,
  recipient: string,
  object: SchedulingObject,
  subAddressSeparators: string,
): Invited {
  const refused = (rule: Extract<Invited, { kind: 'not-invited' }>['rule'], reason: string): Invited => ({
    kind: 'not-invited',
    rule,
    reason,
  });
  if (isByAttendee(object.method)) return refused('list', `the address is a list, and a ${object.method} is for one`);
  const attendance = judgeAttendance(object, addressesOf(group, recipient), subAddressSeparators);
  if (attendance.kind === 'organizer')
    return refused('own-organizer', `the list is the ORGANIZER of this ${object.method}`);
  if (attendance.kind === 'not-meant') return refused('not-attendee', 'the list is not among the ATTENDEEs');
  const restrictedBy = group.group?.restrictedBy;
  if (restrictedBy !== undefined) {
    return refused(
      'list-restricted',
      `${restrictedBy} restricts who may send to the list: its members get posts once the mail server has expanded it`,
    );
  }
  return { kind: 'invited', spelling: attendance.spelling };
}

/** Whether a list that something was posted to is meant by it; who is in it, and who may write to it, its mail server knows. */
export function judgeRelayedList(
  group: Entry,
  recipient: string,
  object: SchedulingObject,
  subAddressSeparators: string,
): { readonly kind: 'meant' | 'organizer' | 'not-meant'; readonly answer: string } {
  const attendance = judgeAttendance(object, addressesOf(group, recipient), subAddressSeparators);
  switch (attendance.kind) {
    case 'meant':
      return { kind: 'meant', answer: `yes, as ${attendance.spelling}` };
    case 'organizer':
      return { kind: 'organizer', answer: `as the ORGANIZER of its own ${object.method}` };
    case 'not-meant':
      return { kind: 'not-meant', answer: `no: ${attendance.reason}` };
  }
}

/** Those in a list who can have a calendar with us, each once, in the order of the directory. */
export function postableMembers(expansion: Members, ownDomains: ReadonlySet<string>): readonly ListMember[] {
  const members = new Map<string, ListMember>();
  for (const { kind, mail, calendar } of expansion.entries) {
    if (kind === 'group' || !calendar || !ownDomains.has(domainOf(mail))) continue;
    const key = addressKey(mail);
    if (!members.has(key)) members.set(key, { address: mail });
  }
  return [...members.values()];
}

type Members = Extract<Expansion, { kind: 'members' }>;

export type Membership =
  | {
      readonly kind: 'member' /** The list as the object spells it. */;
      readonly spelling: string;
      readonly group: Entry;
    }
  | { readonly kind: 'silent'; readonly reason: string }
  | { readonly kind: 'no-member'; readonly reason: string; readonly alarm: boolean };

/**
 * Question 5 for somebody whom the object does not name himself: is he in a list that it names? A claim that nobody
 * can confirm now outweighs those that are refuted, since it may yet be true.
 * @param recipient as the envelope has it
 * @param entry his, when he is one of ours
 * @returns undefined without a claim
 */
export function judgeMembership(
  object: SchedulingObject,
  recipient: string,
  entry: Entry | undefined,
  claims: readonly ListClaim[],
  subAddressSeparators: string,
): Membership | undefined {
  const verdicts = claims.map((claim) => judgeClaim(object, recipient, entry, claim, subAddressSeparators));
  const decisive =
    verdicts.find(({ kind }) => kind === 'member') ??
    verdicts.find(({ kind }) => kind === 'silent') ??
    verdicts.find((verdict) => verdict.kind === 'no-member' && verdict.alarm);
  return decisive ?? verdicts[0];
}

function judgeClaim(
  object: SchedulingObject,
  recipient: string,
  entry: Entry | undefined,
  { address, lookup, expansion }: ListClaim,
  subAddressSeparators: string,
): Membership {
  const refuted = (reason: string, alarm = false): Membership => ({ kind: 'no-member', reason, alarm });
  if (lookup.kind === 'no-answer') return { kind: 'silent', reason: `${address}: ${lookup.reason}` };
  if (lookup.kind === 'unknown') return refuted(`the directory knows no list ${address}`);
  const [group, ...more] = lookup.entries;
  if (more.length > 0) return refuted(`${lookup.entries.length} entries have the list address ${address}`);
  if (group.kind !== 'group' || group.catchAll === true) return refuted(`${address} is no list`);
  const attendance = judgeAttendance(object, addressesOf(group, address), subAddressSeparators);
  if (attendance.kind !== 'meant') return refuted(`the list ${address} is not among the ATTENDEEs`);
  const silent = expansion ?? { kind: 'no-answer', reason: 'it was not expanded' };
  if (silent.kind === 'no-answer') return { kind: 'silent', reason: `${address}: ${silent.reason}` };
  if (silent.kind === 'too-large')
    return refuted(`the list ${address} has more than ${silent.limit} members, too many to look for him`, true);
  return isIn(silent, recipient, entry)
    ? { kind: 'member', spelling: attendance.spelling, group }
    : refuted(`the recipient is not in the list ${address}`);
}

function isIn(members: Members, recipient: string, entry: Entry | undefined): boolean {
  const { dns, primary, addresses } = indexOf(members);
  const mail = entry === undefined || entry.mail === '' ? recipient : entry.mail;
  return (
    (entry !== undefined && dns.has(entry.dn.toLowerCase())) ||
    primary.has(addressKey(mail)) ||
    addressesOf(entry, recipient).some((address) => addresses.has(addressKey(address)))
  );
}

type Index = {
  readonly dns: ReadonlySet<string>;
  readonly primary: ReadonlySet<string>;
  readonly addresses: ReadonlySet<string>;
};

// A list of thousands is asked once for each of its members.
const indexes = new WeakMap<Members, Index>();

function indexOf(members: Members): Index {
  let index = indexes.get(members);
  if (index === undefined) {
    const { entries, addresses } = members;
    index = {
      dns: new Set(entries.map(({ dn }) => dn.toLowerCase())),
      primary: new Set(entries.flatMap(({ mail }) => (mail === '' ? [] : [addressKey(mail)]))),
      addresses: new Set(addresses.map(addressKey)),
    };
    indexes.set(members, index);
  }
  return index;
}

function addressesOf(entry: Entry | undefined, asked: string): readonly string[] {
  return entry === undefined ? [asked] : [entry.mail, ...entry.addresses, asked].filter((address) => address !== '');
}
