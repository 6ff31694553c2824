import { isByAttendee, type SchedulingObject } from '../src/itip/message.ts';
import { addressKey, splitSubAddress } from '../src/mail/address.ts';

/** How the object means the recipient. */
export type Attendance =
  | { readonly kind: 'meant' /** The mailbox as the object spells it. */; readonly spelling: string }
  | { readonly kind: 'organizer' }
  | { readonly kind: 'not-meant'; readonly reason: string };

/**
 * Question 5: is the recipient an ATTENDEE of what an organizer says, or the ORGANIZER of what an attendee says (RFC
 * 5546 §3.2)? By any of his addresses, or by one with a sub-address.
 * @param addresses every address of the recipient: the one his calendar server knows first, then that of the envelope
 */
export function judgeAttendance(
  object: SchedulingObject,
  addresses: readonly string[],
  subAddressSeparators: string,
): Attendance {
  const keys = addresses.map(addressKey);
  const matches = (mailbox: string | undefined): boolean => {
    if (mailbox === undefined) return false;
    if (keys.includes(addressKey(mailbox))) return true;
    const base = splitSubAddress(mailbox, subAddressSeparators)?.base;
    return base !== undefined && keys.includes(addressKey(base));
  };
  const organizer = object.organizer?.mailbox;
  if (isByAttendee(object.method)) {
    if (organizer !== undefined && matches(organizer)) return { kind: 'meant', spelling: organizer };
    return {
      kind: 'not-meant',
      reason:
        organizer === undefined
          ? `a ${object.method} without ORGANIZER names nobody`
          : `the ${object.method} is for ${organizer}`,
    };
  }
  if (matches(organizer)) return { kind: 'organizer' };
  // The spelling the server knows wins over an alias that is listed as well.
  const invited = object.attendees.flatMap((attendee) =>
    attendee.mailbox !== undefined && matches(attendee.mailbox) ? [attendee.mailbox] : [],
  );
  const best = invited.find((mailbox) => addressKey(mailbox) === keys[0]) ?? invited[0];
  if (best === undefined) return { kind: 'not-meant', reason: 'the recipient is not among the ATTENDEEs' };
  return { kind: 'meant', spelling: best };
}
