import type { Entry } from '../src/directory/directory.ts';
import { isByAttendee, type SchedulingObject } from '../src/itip/message.ts';
import { sameAddress } from '../src/mail/address.ts';
import type { Disposition } from '../src/mail/disposition.ts';
import { judgeAttendance } from './attendance.ts';
import type { Policy, Question } from './decide.ts';
import { judgeMembership } from './lists.ts';

/** Whom the post is for, and what its copy says in place of the object. */
type Target = Pick<Extract<Disposition, { kind: 'post' }>, 'recipient' | 'rewrite' | 'member'>;

/** Question 5 with its answer in words. */
export type Meaning = { readonly answer: string } & (
  | { readonly kind: 'meant'; readonly target: Target }
  | { readonly kind: 'organizer'; readonly reason: string }
  | { readonly kind: 'silent'; readonly reason: string }
  /** `waits`: for a person to say otherwise. */
  | { readonly kind: 'not-meant'; readonly reason: string; readonly alarm: boolean; readonly waits: boolean }
);

/**
 * Question 5: by an address of his own, as a confirmed member of an invited list, or, a room that nobody named, by the
 * word of a person who has let its post go.
 * @param entry his, when he is one of ours
 */
export function judgeMeaning(
  object: SchedulingObject,
  entry: Entry | undefined,
  question: Question,
  { subAddressSeparators }: Policy,
): Meaning {
  const { recipient } = question;
  const known = entry?.mail ?? recipient;
  const attendance = judgeAttendance(object, [known, ...(entry?.addresses ?? []), recipient], subAddressSeparators);
  if (attendance.kind === 'organizer') {
    const answer = `as the ORGANIZER of his own ${object.method}`;
    return { kind: 'organizer', reason: `the recipient is the ORGANIZER of this ${object.method}`, answer };
  }
  if (attendance.kind === 'meant') {
    const { spelling, byEmail } = attendance;
    // Recipient as ATTENDEE or ORGANIZER spells it: Bedework compares the two exactly.
    const isKnown = sameAddress(spelling, known) && byEmail !== true;
    const target = isKnown ? { recipient: spelling } : { recipient: known, rewrite: spelling };
    return { kind: 'meant', target, answer: `yes, as ${spelling}` };
  }

  const claims = isByAttendee(object.method) ? [] : (question.lists ?? []);
  const membership = judgeMembership(object, recipient, entry, claims, subAddressSeparators);
  if (membership?.kind === 'member') {
    const { spelling, group } = membership;
    const answer = `yes, as a member of ${spelling}: he is in ${group.dn}`;
    return { kind: 'meant', target: { recipient: known, member: spelling }, answer };
  }
  if (membership?.kind === 'silent') {
    const { reason } = membership;
    return { kind: 'silent', reason, answer: `the directory does not answer: ${reason}` };
  }
  const reason = membership?.reason ?? attendance.reason;
  const isRoom = question.mode === 'final' && entry?.kind === 'resource';
  if (isRoom && question.released === true)
    return { kind: 'meant', target: { recipient: known }, answer: `yes, says who released it: ${reason}` };
  const alarm = isRoom || membership?.alarm === true;
  return { kind: 'not-meant', reason, alarm, waits: isRoom, answer: `no: ${reason}` };
}
