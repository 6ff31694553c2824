import type { Entry, Lookup, StatusValue } from '../src/directory/directory.ts';

/** An entry that its status keeps from being posted to. */
export type Off =
  /** Temporarily off: `final` answers 450 4.2.1. */
  | { readonly kind: 'inactive'; readonly reason: string; readonly alarm: boolean }
  /** Off for good: `final` answers 550 5.2.1. */
  | { readonly kind: 'disabled'; readonly reason: string };

/** What question 2 makes of the directory's answer for one of our own addresses. */
export type RecipientVerdict =
  | { readonly kind: 'user'; readonly entry: Entry }
  | { readonly kind: 'silent'; readonly reason: string }
  /** `takenBy`: whose catch-all takes its mail, where that is no reason to post. */
  | { readonly kind: 'unknown'; readonly takenBy?: Entry }
  | { readonly kind: 'ambiguous'; readonly entries: readonly Entry[] }
  | { readonly kind: 'list'; readonly entry: Entry; readonly off?: Off }
  | (Off & { readonly entry: Entry });

/** What a status value means; overquota concerns the mailbox, not the calendar. Anything unlisted counts as inactive. */
const STATUS: ReadonlyMap<string, 'active' | 'inactive' | 'disabled'> = new Map([
  ['', 'active'],
  ['active', 'active'],
  ['overquota', 'active'],
  ['inactive', 'inactive'],
  ['hold', 'inactive'],
  ['deleted', 'disabled'],
  ['removed', 'disabled'],
  ['disabled', 'disabled'],
]);

/**
 * Question 2: one entry or several, a user or a list, and the first status of the chain that is not active.
 * @param catchAll whether a match by catch-all alone is a calendar user
 */
export function judgeRecipient(lookup: Lookup, catchAll: 'mail' | 'post'): RecipientVerdict {
  if (lookup.kind === 'no-answer') return { kind: 'silent', reason: lookup.reason };
  if (lookup.kind === 'unknown') return { kind: 'unknown' };
  const [entry, ...more] = lookup.entries;
  if (catchAll === 'mail' && lookup.entries.every((one) => one.catchAll === true))
    return { kind: 'unknown', takenBy: entry };
  if (more.length > 0) return { kind: 'ambiguous', entries: lookup.entries };
  // A move closes v6 to the user before the marker says v7; his posts wait for its end.
  const off = judgeStatus(entry.moving ? entry.status.filter((one) => !isClosedToV6(one)) : entry.status);
  if (entry.kind === 'group') return { kind: 'list', entry, ...(off === undefined ? {} : { off }) };
  return off === undefined ? { kind: 'user', entry } : { ...off, entry };
}

/** The verdict in words, for `imipd explain`. */
export function describeRecipient(who: RecipientVerdict): string {
  switch (who.kind) {
    case 'user':
      return describeEntry(who.entry);
    case 'silent':
      return `the directory does not answer: ${who.reason}`;
    case 'unknown':
      return who.takenBy === undefined
        ? 'the directory knows no such address'
        : `nobody has the address; its mail is for ${describeEntry(who.takenBy)}`;
    case 'ambiguous':
      return `${who.entries.length} entries have this address: ${who.entries.map((entry) => entry.dn).join(' | ')}`;
    case 'list': {
      const { entry, off } = who;
      return `${entry.dn}, a list, by ${entry.matchedBy}${off === undefined ? '' : `; ${off.reason}`}`;
    }
    case 'inactive':
    case 'disabled':
      return `${describeEntry(who.entry)}; ${who.reason}`;
  }
}

function describeEntry({ dn, matchedBy, detail, catchAll }: Entry): string {
  const without = detail === undefined ? '' : `, without the detail ${detail}`;
  return `${dn}, by ${catchAll === true ? 'the catch-all ' : ''}${matchedBy}${without}`;
}

function judgeStatus(chain: readonly StatusValue[]): Off | undefined {
  for (const status of chain) {
    const meaning = STATUS.get(status.value.trim().toLowerCase());
    if (meaning === 'active') continue;
    const reason = `${status.attribute} is ${status.value}`;
    if (meaning === 'disabled' || isDeniedCalendar(status, meaning)) return { kind: 'disabled', reason };
    return { kind: 'inactive', reason, alarm: meaning === undefined };
  }
  return undefined;
}

// A calendar that is off, for whatever time, has nobody to answer for it: there is no temporary calendar outage by
// attribute in the schema (protocols: icsStatus, icsAllowedServiceAccess).
function isDeniedCalendar(status: StatusValue, meaning: 'inactive' | undefined): boolean {
  return status.scope === 'calendar' && (meaning === 'inactive' || isClosedToV6(status));
}

function isClosedToV6({ scope, value }: StatusValue): boolean {
  return scope === 'calendar' && /^-?http(:all)?$/i.test(value.trim());
}
