import type { CalendarUser, SchedulingObject } from '../src/itip/message.ts';
import { addressKey, calendarAddress, domainOf, mailboxOf, sameAddress, splitSubAddress } from '../src/mail/address.ts';
import type { Disposition } from '../src/mail/disposition.ts';
import type { JournalEntry, Meeting, Sending } from '../src/queue/store.ts';

/** By what a reply was found to be that of somebody invited. */
export type Evidence = 'attendee' | 'email' | 'sub-address' | 'list-member' | 'in-reply-to' | 'sent-to' | 'delegated';

/** What the journal says of a REPLY, COUNTER or REFRESH. */
export type Correlation =
  /** Nothing of this UID has left through us, or so long ago that it is forgotten. */
  | { readonly kind: 'unknown-uid' }
  | {
      readonly kind: 'invited';
      /** Mailbox as it was invited; of a delegate and of a member of a list, which speak for themselves, their own. */
      readonly attendee: string;
      readonly organizer: string;
      readonly evidence: Evidence;
    }
  | { readonly kind: 'never-invited'; readonly organizer: string; readonly reason: string };

/** What the journal holds of a UID. */
export type Remembered = { readonly meeting: Meeting; readonly sendings: readonly Sending[] };

/** What the mail itself says of who answers what. */
export type AnswerMail = {
  /** Mailbox of From. */
  readonly from?: string;
  /** Message-IDs that it refers to, that of its parent first. */
  readonly references?: readonly string[];
};

/** How each evidence reads in a decision: `bob@example.org, by …`. */
export const EVIDENCE_WORDS: Readonly<Record<Evidence, string>> = {
  attendee: 'his address',
  email: 'the EMAIL parameter',
  'sub-address': 'his address without its sub-address',
  'list-member': 'MEMBER, which names an invited list',
  'in-reply-to': 'In-Reply-To',
  'sent-to': 'the address that the invitation was sent to',
  delegated: 'DELEGATED-FROM, which names somebody invited',
};

/**
 * Whose answer this is: what the ATTENDEE line says comes first, so that an answer of somebody who is invited never
 * counts for another. What the mail says of itself counts only for an ATTENDEE that nobody invited, and only when all of
 * it names the same one: a reply to the invitation itself (one to a mail that a person forwarded has another parent), or
 * an author to whom the invitation went.
 */
export function correlate(
  object: Pick<SchedulingObject, 'attendees' | 'method'>,
  remembered: Remembered | undefined,
  message: AnswerMail,
  subAddressSeparators: string,
): Correlation {
  if (remembered === undefined) return { kind: 'unknown-uid' };
  const { organizer } = remembered.meeting;
  const [attendee] = object.attendees;
  const own = attendee?.mailbox;
  if (attendee === undefined || own === undefined)
    return { kind: 'never-invited', organizer, reason: `the ATTENDEE of the ${object.method} is no mailto: address` };
  const invited = new Map(remembered.meeting.attendees.map(({ address }) => [addressKey(address), address]));
  const found = ownWord(attendee, own, invited, subAddressSeparators) ?? mailsWord(own, remembered, invited, message);
  if (found.kind === 'one') return { kind: 'invited', attendee: found.attendee, organizer, evidence: found.evidence };
  return { kind: 'never-invited', organizer, reason: `${own} was not invited: ${found.reason}` };
}

/**
 * The object as it is posted when the journal knows whom it is for and whose it is: what the questions after the
 * author's, and the ledger, are asked of.
 */
export function asPosted(
  object: SchedulingObject,
  { organizer, author }: Pick<Extract<Disposition, { kind: 'post' }>, 'organizer' | 'author'>,
): SchedulingObject {
  const [attendee, ...others] = object.attendees;
  return {
    ...object,
    ...(organizer === undefined || object.organizer !== undefined ? {} : { organizer: named(organizer) }),
    ...(author === undefined || attendee === undefined
      ? {}
      : { attendees: [{ ...attendee, ...named(author.to) }, ...others] }),
  };
}

function named(mailbox: string): CalendarUser {
  return { uri: calendarAddress(mailbox), mailbox };
}

/** What the journal learns of a REPLY that was posted; undefined for anything else. */
export function answeredBy(object: SchedulingObject): JournalEntry['answered'] {
  const [attendee] = object.attendees;
  if (object.method !== 'REPLY' || attendee?.mailbox === undefined) return undefined;
  const delegates = (attendee.delegatedTo ?? []).flatMap((uri) => mailboxOf(uri) ?? []).slice(0, MAX_DELEGATES);
  // The ATTENDEE is that of the first component.
  const isOfAll = object.instances[0]?.recurrenceId === '';
  return {
    uid: object.uid,
    ...(object.organizer?.mailbox === undefined ? {} : { organizer: object.organizer.mailbox }),
    attendee: attendee.mailbox,
    ...(isOfAll && attendee.partstat !== undefined ? { partstat: attendee.partstat } : {}),
    ...(delegates.length === 0 ? {} : { delegates }),
  };
}

const MAX_DELEGATES = 10;
/** Attendees that a reason names. */
const MAX_SHOWN = 3;

/** By `addressKey`, as invited. */
type Invited = ReadonlyMap<string, string>;

type Found =
  | { readonly kind: 'one'; readonly attendee: string; readonly evidence: Evidence }
  | { readonly kind: 'none'; readonly reason: string };

/** What the ATTENDEE line says. */
function ownWord(attendee: CalendarUser, own: string, invited: Invited, separators: string): Found | undefined {
  const exact = invited.get(addressKey(own));
  if (exact !== undefined) return { kind: 'one', attendee: exact, evidence: 'attendee' };
  const email = attendee.email === undefined ? undefined : invited.get(addressKey(mailboxIn(attendee.email)));
  if (email !== undefined) return { kind: 'one', attendee: email, evidence: 'email' };
  const bySubAddress = withoutSubAddress(own, invited, separators);
  if (bySubAddress !== undefined) return bySubAddress;
  const names = (uris: readonly string[] = []) => uris.some((uri) => invited.has(addressKey(mailboxIn(uri))));
  if (names(attendee.delegatedFrom)) return { kind: 'one', attendee: own, evidence: 'delegated' };
  if (names(attendee.member)) return { kind: 'one', attendee: own, evidence: 'list-member' };
  return undefined;
}

/** `bob+work@` answers for the invited `bob@`, and the other way round, but not for `bob+home@`. */
function withoutSubAddress(own: string, invited: Invited, separators: string): Found | undefined {
  const evidence = 'sub-address';
  const base = splitSubAddress(own, separators)?.base;
  const plain = base === undefined ? undefined : invited.get(addressKey(base));
  if (plain !== undefined) return { kind: 'one', attendee: plain, evidence };
  const key = addressKey(own);
  const domain = domainOf(own);
  const detailed: string[] = [];
  for (const [invitedKey, address] of invited) {
    if (!invitedKey.endsWith(domain)) continue;
    const one = splitSubAddress(address, separators)?.base;
    if (one !== undefined && addressKey(one) === key) detailed.push(address);
  }
  const [first, ...others] = detailed;
  if (first === undefined) return undefined;
  return others.length === 0 ? { kind: 'one', attendee: first, evidence } : several(detailed);
}

/** What the mail around it says. */
function mailsWord(
  own: string,
  { sendings }: Remembered,
  invited: Invited,
  { from, references = [] }: AnswerMail,
): Found {
  const [parent] = references;
  const answered = attendeesOf(
    sendings.filter(({ messageId }) => messageId !== '' && messageId === parent),
    invited,
  );
  const mailboxes = [own, ...(from === undefined ? [] : [from])].map(addressKey);
  const reached = attendeesOf(
    sendings.filter(({ sentTo }) => mailboxes.includes(addressKey(sentTo))),
    invited,
  );
  const author = from === undefined ? undefined : invited.get(addressKey(from));
  if (author !== undefined && !reached.some((one) => sameAddress(one, author))) reached.push(author);

  // One mail to several, or one mailbox of several, says only that it was one of them.
  const [first, second = first] = [answered, reached].filter((clue) => clue.length > 0);
  if (first === undefined || second === undefined)
    return { kind: 'none', reason: 'neither his address nor what the mail answers is that of anybody invited' };
  const named = first.filter((one) => second.includes(one));
  const [attendee, ...others] = named;
  if (attendee === undefined)
    return { kind: 'none', reason: `the mail answers one to ${first[0]}, and its author is ${second[0]}` };
  if (others.length > 0) return several(named);
  return { kind: 'one', attendee, evidence: answered.length === 1 ? 'in-reply-to' : 'sent-to' };
}

/** For whom of those invited these went, each once, as invited. */
function attendeesOf(sendings: readonly Sending[], invited: Invited): string[] {
  return [...new Set(sendings.flatMap(({ attendee }) => invited.get(addressKey(attendee)) ?? []))];
}

function several(attendees: readonly string[]): Found {
  const shown = attendees.slice(0, MAX_SHOWN).join(', ');
  const more = attendees.length > MAX_SHOWN ? ` or ${attendees.length - MAX_SHOWN} more` : '';
  return { kind: 'none', reason: `he may be any of ${shown}${more}` };
}

/** The mailbox of a parameter that may be a URI or an address. */
export function mailboxIn(value: string): string {
  return mailboxOf(value) ?? value;
}
