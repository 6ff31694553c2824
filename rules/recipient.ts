import type { Entry, Lookup, StatusValue } from '../src/directory/directory.ts';

/** What question 2 makes of the directory's answer for one of our own addresses. */
export type RecipientVerdict =
  | { readonly kind: 'user'; readonly entry: Entry }
  | { readonly kind: 'silent'; readonly reason: string }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'ambiguous'; readonly entries: readonly Entry[] }
  | { readonly kind: 'list'; readonly entry: Entry }
  /** Temporarily off: `final` answers 450 4.2.1. */
  | { readonly kind: 'inactive'; readonly entry: Entry; readonly reason: string; readonly alarm: boolean }
  /** Off for good: `final` answers 550 5.2.1. */
  | { readonly kind: 'disabled'; readonly entry: Entry; readonly reason: string };

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

/** Question 2: one entry or several, a user or a list, and the first status of the chain that is not active. */
export function judgeRecipient(lookup: Lookup): RecipientVerdict {
  if (lookup.kind === 'no-answer') return { kind: 'silent', reason: lookup.reason };
  if (lookup.kind === 'unknown') return { kind: 'unknown' };
  const [entry, ...more] = lookup.entries;
  if (more.length > 0) return { kind: 'ambiguous', entries: lookup.entries };
  if (entry.kind === 'group') return { kind: 'list', entry };
  return judgeStatus(entry) ?? { kind: 'user', entry };
}

function judgeStatus(entry: Entry): RecipientVerdict | undefined {
  for (const status of entry.status) {
    const meaning = STATUS.get(status.value.trim().toLowerCase());
    if (meaning === 'active') continue;
    const reason = `${status.attribute} is ${status.value}`;
    if (meaning === 'disabled' || isDeniedCalendar(status, meaning)) return { kind: 'disabled', entry, reason };
    return { kind: 'inactive', entry, reason, alarm: meaning === undefined };
  }
  return undefined;
}

// A calendar that is off, for whatever time, has nobody to answer for it: there is no temporary calendar outage by
// attribute in the schema (protocols: icsStatus, icsAllowedServiceAccess).
function isDeniedCalendar(status: StatusValue, meaning: 'inactive' | undefined): boolean {
  return status.scope === 'calendar' && (meaning === 'inactive' || /^-?http(:all)?$/i.test(status.value.trim()));
}
