import { isByAttendee, type SchedulingObject } from '../src/itip/message.ts';
import { addressKey, reachableAt, splitSubAddress } from '../src/mail/address.ts';

/** How the object means the recipient. */
export type Attendance =
  | {
      readonly kind: 'meant';
      /** The mailbox as the object spells it. */
      readonly spelling: string;
      /** It stands in the EMAIL parameter alone, beside a URI that is none (RFC 7986 §6.2). */
      readonly byEmail?: true;
    }
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
  const { exact, loose, byEmail } = invitedBy(object, subAddressSeparators);
  // The spelling the server knows wins over an alias that is listed as well.
  const primary = keys[0] === undefined ? undefined : exact.get(keys[0]);
  const [first] = keys.flatMap((key) => loose.get(key) ?? []).sort((a, b) => a.position - b.position);
  const best = primary ?? first?.mailbox;
  if (best === undefined) return { kind: 'not-meant', reason: 'the recipient is not among the ATTENDEEs' };
  return { kind: 'meant', spelling: best, ...(byEmail.has(best) ? { byEmail: true } : {}) };
}

type Invited = {
  readonly separators: string;
  /** By `addressKey`: the first ATTENDEE of that address. */
  readonly exact: ReadonlyMap<string, string>;
  /** The same, and by the address without its sub-address. */
  readonly loose: ReadonlyMap<string, { readonly position: number; readonly mailbox: string }>;
  /** Those of them that no URI names. */
  readonly byEmail: ReadonlySet<string>;
};

const indexed = new WeakMap<SchedulingObject, Invited>();

/** The ATTENDEEs by address, made once for all recipients of a message: both may be thousands. */
function invitedBy(object: SchedulingObject, separators: string): Invited {
  const known = indexed.get(object);
  if (known?.separators === separators) return known;
  const exact = new Map<string, string>();
  const loose = new Map<string, { position: number; mailbox: string }>();
  const byEmail = new Set<string>();
  for (const [position, { mailbox: own, email }] of object.attendees.entries()) {
    const mailbox = reachableAt({ mailbox: own, email });
    if (mailbox === undefined) continue;
    const key = addressKey(mailbox);
    const base = splitSubAddress(mailbox, separators)?.base;
    if (!exact.has(key)) {
      exact.set(key, mailbox);
      if (own === undefined) byEmail.add(mailbox);
    }
    for (const one of base === undefined ? [key] : [key, addressKey(base)])
      if (!loose.has(one)) loose.set(one, { position, mailbox });
  }
  const invited = { separators, exact, loose, byEmail };
  indexed.set(object, invited);
  return invited;
}
