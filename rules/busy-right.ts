import type { Lookup } from '../src/directory/directory.ts';
import { addressKey, domainOf, splitSubAddress } from '../src/mail/address.ts';
import type { BusyAccess } from './busy-access.ts';
import { patternsAbove } from './domain-map.ts';
import { type StatusAnswer, statusOf } from './request-status.ts';

/**
 * Whether the asker may know of him at all. `about` has to have the asked address or the primary one; `notAbout` counts
 * for every address of the entry, so that nobody is got at by another of his addresses.
 * @param lookup of one of ours; without an entry it is the asked address alone that counts
 */
export function judgeRight(
  attendee: string,
  lookup: Lookup | undefined,
  { about, notAbout }: BusyAccess,
  separators: string,
): { readonly granted: boolean; readonly answer: string } {
  // Whose catch-all takes the mail is somebody else.
  const entries = lookup?.kind === 'found' ? lookup.entries.filter(({ catchAll }) => catchAll !== true) : [];
  const own = entries.flatMap(({ mail, addresses }) => [mail, ...addresses]);
  const plain = plainOf(attendee);
  const mailbox = splitSubAddress(plain, separators)?.base;
  const all = [attendee, plain, ...(mailbox === undefined ? [] : [mailbox]), ...own];
  const not = patternFor(notAbout, all);
  if (not !== undefined) return { granted: false, answer: `no: not-about has ${not}` };
  const by = patternFor(about, [attendee, ...entries.map(({ mail }) => mail)]);
  return by === undefined
    ? { granted: false, answer: 'no: about has neither the address nor its domain' }
    : { granted: true, answer: `yes: about has ${by}` };
}

/**
 * As a server may read it: without the quotes of its local part (RFC 5321 §4.1.2), blanks around that and what nobody
 * sees, in one form.
 */
function plainOf(address: string): string {
  const at = address.lastIndexOf('@');
  const local = address
    .slice(0, Math.max(0, at))
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
    .trim();
  const bare = /^"(.*)"$/s.exec(local)?.[1]?.replace(/\\(.)/gs, '$1').trim() ?? local;
  return `${bare.normalize('NFC')}${address.slice(Math.max(0, at))}`;
}

/** The first pattern, whole addresses before domains, that stands for one of the addresses. */
function patternFor(patterns: readonly string[], addresses: readonly string[]): string | undefined {
  if (patterns.length === 0) return undefined;
  const known = indexOf(patterns);
  if (known.has('*')) return '*';
  for (const address of addresses) {
    const domain = domainOf(address);
    if (domain === '') continue;
    const found = [addressKey(address), domain, ...patternsAbove(domain)].find((pattern) => known.has(pattern));
    if (found !== undefined) return found;
  }
  return undefined;
}

// A site with hundreds of domains is asked about somebody with every attendee; its patterns change with a reload.
const indexes = new WeakMap<readonly string[], ReadonlySet<string>>();

function indexOf(patterns: readonly string[]): ReadonlySet<string> {
  let index = indexes.get(patterns);
  if (index === undefined) {
    index = new Set(patterns.map((pattern) => (pattern.includes('@') ? addressKey(pattern) : pattern.toLowerCase())));
    indexes.set(patterns, index);
  }
  return index;
}

/**
 * The access by which each member of a list is routed whose asker may ask about the list: `about` need not name him,
 * `notAbout` counts, and what is found is told plainly, for the list's answer is what the asker sees (`statusFor`).
 */
export function memberAccess(access: BusyAccess): BusyAccess {
  return { ...access, about: EVERYBODY, unknown: 'told' };
}

const EVERYBODY: readonly string[] = ['*'];

/**
 * A status as the asker may see it. Where he is not to know who exists, all that says no for good is the one answer
 * that an unknown address gets; 5.1 stays, for it is said of servers.
 */
export function statusFor(access: BusyAccess, status: StatusAnswer): StatusAnswer {
  if (access.unknown === 'told' || !HIDDEN.has(status.code)) return status;
  return statusOf('3.7');
}

const HIDDEN: ReadonlySet<string> = new Set(['3.7', '3.8', '5.3']);
