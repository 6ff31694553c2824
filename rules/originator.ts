import type { SchedulingObject } from '../src/itip/message.ts';
import { isByAttendee } from '../src/itip/message.ts';
import { addressKey, domainOf } from '../src/mail/address.ts';
import type { LedgerRow, Origin } from '../src/queue/store.ts';
import { authorOf } from './news.ts';

export type AuthorVerdict =
  | { readonly rule: 'author-accepted' }
  | { readonly rule: 'author-is-ours' | 'another-organizer' | 'author-not-mailto'; readonly reason: string };

/**
 * Question 4, "may its author say this?" (RFC 6047 §3, RFC 5546 §6). On a listener for outside mail nobody from
 * outside speaks for one of our own users, and nobody but its organizer changes a meeting we have posted. Authors are
 * not verified further: nothing here looks at DKIM or SPF.
 * @param rows of the recipient and this UID
 */
export function judgeAuthor(
  object: SchedulingObject,
  origin: Origin,
  ownDomains: ReadonlySet<string>,
  rows: readonly LedgerRow[],
): AuthorVerdict {
  const role = isByAttendee(object.method) ? 'ATTENDEE' : 'ORGANIZER';
  const author = authorOf(object);
  if (author === undefined)
    return { rule: 'author-not-mailto', reason: `the ${role} is no mailto: address (RFC 6047 section 2.1)` };
  if (origin === 'inside') return { rule: 'author-accepted' };
  if (ownDomains.has(domainOf(author))) {
    return {
      rule: 'author-is-ours',
      reason: `the ${role} is of our own domain ${domainOf(author)}, the message came from outside`,
    };
  }
  if (role === 'ORGANIZER') {
    const organizer = addressKey(author);
    const named = rows.filter((row) => row.organizer !== '');
    // What an attendee's REPLY says of the organizer counts only while no organizer has spoken: else anybody who knows
    // the UID could name the recipient himself, and shut out the real one.
    const spoke = named.filter((row) => row.author === row.organizer);
    const other = (spoke.length > 0 ? spoke : named).find((row) => row.organizer !== organizer);
    if (other !== undefined)
      return {
        rule: 'another-organizer',
        reason: `this UID was posted before for another organizer, ${other.organizer}`,
      };
  }
  return { rule: 'author-accepted' };
}
