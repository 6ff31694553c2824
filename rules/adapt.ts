import { addsOneInstance } from '../src/itip/adapt.ts';
import { isByAttendee, type Method, type SchedulingObject } from '../src/itip/message.ts';
import { addressKey } from '../src/mail/address.ts';
import type { ProfileName, Transformation } from '../src/mail/disposition.ts';
import type { PermanentStatus } from '../src/mail/status.ts';
import type { LedgerRow } from '../src/queue/store.ts';
import { PROFILES } from './data/profiles.ts';
import { authorOf } from './news.ts';

/** What becomes of an object on its way to a calendar server; `answer` says for people what it takes. */
export type Adaptation = { readonly answer: string } & (
  | { readonly kind: 'carry' }
  /** Posted in a form that the server takes. */
  | { readonly kind: 'transform'; readonly transformation: Transformation }
  /** Not posted: the server would refuse it, or take it for something else. */
  | { readonly kind: 'mail'; readonly rule: string; readonly reason: string; readonly status: PermanentStatus }
);

/**
 * Question 8: what this kind of server takes, by method and by what the object says of a series (RFC 5546 §3.2).
 * @param ledger what was posted of the UID to the recipient
 * @param configured the methods that this very server takes, whatever its profile says
 */
export function adapt(
  object: SchedulingObject,
  profile: ProfileName,
  ledger: readonly LedgerRow[],
  configured?: readonly Method[],
): Adaptation {
  const { add, range, instances } = PROFILES[profile];
  const methods = configured ?? PROFILES[profile].methods;
  const { method } = object;
  const taken = methods.length === 0 ? 'invitations by mail only' : methods.join(', ');
  const answer = `profile ${profile}: ${taken}${configured === undefined ? '' : ', as configured'}`;
  const mail = (rule: string, reason: string, status: PermanentStatus = '5.6.0'): Adaptation => ({
    kind: 'mail',
    rule,
    reason: `profile ${profile} ${reason}`,
    status,
    answer,
  });
  if (methods.length === 0) return mail('by-mail', 'takes invitations by mail', '5.2.1');
  const isAdded = method === 'ADD' && add === 'as-request' && !methods.includes(method);
  if (!methods.includes(method) && !isAdded) return mail('method-not-taken', `does not take ${method}`);
  if (isAdded && !addsOneInstance(object.content))
    return mail('method-not-taken', 'takes an ADD of one instance only, and this one adds several');
  if (range !== 'kept' && object.instances.some(({ recurrenceId }) => recurrenceId.includes(';RANGE=')))
    return mail('range-not-taken', RANGES[range]);
  if (instances === 'replace' && takesThePlaceOfAnother(object, ledger))
    return mail(
      'replaces-series',
      `keeps one message per UID: this ${method} of an instance would replace an earlier one`,
    );
  if (!isAdded) return { kind: 'carry', answer };
  return {
    kind: 'transform',
    transformation: 'add-as-request',
    answer: `${answer}; ADD as the REQUEST of an instance`,
  };
}

const RANGES = {
  'one-instance': 'applies RANGE=THISANDFUTURE to one instance and leaves those after it',
  unknown: 'is not known to take RANGE=THISANDFUTURE',
} as const;

/** Whether an organizer's message about some instances comes after one about the series or other instances. */
function takesThePlaceOfAnother(object: SchedulingObject, ledger: readonly LedgerRow[]): boolean {
  const said = new Set(object.instances.map(({ recurrenceId }) => recurrenceId));
  if (isByAttendee(object.method) || said.has('')) return false;
  const author = addressKey(authorOf(object) ?? '');
  return ledger.some((row) => row.author === author && !said.has(row.recurrenceId));
}
