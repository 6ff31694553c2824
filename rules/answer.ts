import { isByAttendee, type SchedulingObject } from '../src/itip/message.ts';
import { domainOf, sameAddress } from '../src/mail/address.ts';
import type { PermanentStatus } from '../src/mail/status.ts';
import { asPosted, correlate, EVIDENCE_WORDS, mailboxIn } from './correlate.ts';
import type { Policy, Question } from './decide.ts';
import { authorOf } from './news.ts';
import { type AuthorVerdict, judgeAuthor } from './originator.ts';

/** The author of an answer by the address he was invited by, where it is another than the one he answers from. */
export type InvitedAs = { readonly from: string; readonly to: string };

/** Question 4 with its answer in words. */
export type Author = { readonly answer: string } & (
  | {
      readonly kind: 'accepted';
      /** What the later questions are asked of: with the ORGANIZER it lacked and the ATTENDEE that was invited. */
      readonly object: SchedulingObject;
      readonly organizer?: string;
      readonly author?: InvitedAs;
    }
  | {
      readonly kind: 'refused';
      readonly rule: string;
      readonly reason: string;
      readonly status: PermanentStatus;
      /** Whether it is to be held against its author, or only not known enough of to be posted. */
      readonly isFault: boolean;
    }
);

/**
 * Question 4, and whose answer an answer is: it finds its attendee and its organizer in the journal. Whom nobody invited
 * does not get to the organizer's calendar server, which would add him to the meeting; what one of our own servers says
 * of its user is taken as it says.
 */
export function judgeAnswer(object: SchedulingObject, question: Question, policy: Policy): Author {
  const { origin, ledger } = question;
  const verdict = judgeAuthor(object, origin, policy.domains, ledger);
  if (verdict.rule !== 'author-accepted') return refusedBy(verdict);
  const from = authorOf(object);
  if (!isByAttendee(object.method) || from === undefined) return { kind: 'accepted', object, answer: 'yes' };
  const spelled = question.invitedAs;
  const known = spelled === undefined || sameAddress(from, spelled) ? undefined : { from, to: spelled };

  const asked = known === undefined ? object : asPosted(object, { author: known });
  const found = correlate(asked, question.remembered, question, policy.subAddressSeparators);
  const words = known === undefined ? 'yes' : `yes; ${from} was invited as ${known.to}`;
  if (found.kind === 'unknown-uid') return judgeUnknown(object, question, policy, words, known);
  const organizer = object.organizer === undefined ? found.organizer : undefined;
  const given = organizer === undefined ? '' : `; it has no ORGANIZER, and the journal knows ${organizer}`;
  if (found.kind === 'never-invited') {
    const { reason } = found;
    if (origin === 'outside') return neverInvited(reason);
    return accepted(object, `${words}; ${reason}, but our own server says so${given}`, organizer, known);
  }
  if (origin === 'outside') {
    const { delegatedFrom, member } = object.attendees[0] ?? {};
    // Had he been, our user's own server would have said so, and the journal would know him.
    const delegator = found.evidence === 'delegated' ? ownOf(delegatedFrom, policy) : undefined;
    if (delegator !== undefined)
      return neverInvited(`${from} was not invited: nothing says that ${delegator}, who is ours, has delegated to him`);
    // Who is in a list of ours is not for whoever claims to be.
    const list = found.evidence === 'list-member' ? ownOf(member, policy) : undefined;
    if (list !== undefined)
      return neverInvited(`${from} was not invited: nothing says that he is in ${list}, which is ours`);
  }
  const author = isPlain(object) && sameAddress(from, found.attendee) ? undefined : { from, to: found.attendee };
  const answered = asPosted(object, author === undefined ? {} : { author });
  // He who forges a mail from one of ours by way of the journal is still no one of ours.
  const again = judgeAuthor(answered, origin, policy.domains, ledger);
  if (again.rule !== 'author-accepted') return refusedBy(again);
  const isHimself = found.evidence === 'attendee';
  const evidence = isHimself ? '' : `; matched to ${found.attendee} by ${EVIDENCE_WORDS[found.evidence]}`;
  return accepted(object, `${words}${evidence}${given}`, organizer, author);
}

function neverInvited(reason: string): Author {
  return { kind: 'refused', rule: 'never-invited', reason, status: '5.7.1', isFault: true, answer: `no: ${reason}` };
}

/** Whether the author stands there so that a calendar server, which compares texts, takes him for whom we do. */
function isPlain({ attendees }: SchedulingObject): boolean {
  const { uri = '', mailbox = '' } = attendees[0] ?? {};
  return uri.trim().toLowerCase() === `mailto:${mailbox}`.toLowerCase();
}

/** The first mailbox of our own among these. */
function ownOf(uris: readonly string[] = [], { domains }: Policy): string | undefined {
  return uris.map(mailboxIn).find((mailbox) => domains.has(domainOf(mailbox)));
}

function judgeUnknown(
  object: SchedulingObject,
  { origin }: Question,
  { unknownUid = 'post' }: Policy,
  words: string,
  author: InvitedAs | undefined,
): Author {
  // Of a meeting that somebody outside has made nothing left from here.
  if (origin === 'inside') return accepted(object, words, undefined, author);
  const reason = `nothing of UID ${object.uid} is in the journal`;
  if (unknownUid === 'mail' && object.organizer !== undefined)
    return { kind: 'refused', rule: 'unknown-uid', reason, status: '5.7.1', isFault: false, answer: `no: ${reason}` };
  return accepted(object, `${words}; ${reason}`, undefined, author);
}

function accepted(
  object: SchedulingObject,
  answer: string,
  organizer: string | undefined,
  author: InvitedAs | undefined,
): Author {
  const found = {
    ...(organizer === undefined ? {} : { organizer }),
    ...(author === undefined ? {} : { author }),
  };
  return { kind: 'accepted', object: asPosted(object, found), answer, ...found };
}

function refusedBy(verdict: Exclude<AuthorVerdict, { rule: 'author-accepted' }>): Author {
  const { rule, reason } = verdict;
  return { kind: 'refused', rule, reason, status: '5.7.1', isFault: true, answer: `no: ${reason}` };
}
