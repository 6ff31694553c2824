import { isByAttendee, type SchedulingObject } from '../itip/message.ts';
import { sameAddress, splitSubAddress } from '../mail/address.ts';
import type { Store } from '../queue/store.ts';
import { type MessageFacts, recall } from './facts.ts';

/**
 * Who a recipient of a message stands for. The gateway's own mailbox is in From of what it composes in the name of
 * somebody of another domain, and some mail programs answer that, whatever Reply-To and ORGANIZER say: an answer to a
 * meeting that the journal holds is then for its organizer. Anything else there is mail for whoever reads it.
 * @param own the gateway's own mailbox, `outbound.address`
 * @param object what the message holds, if anything
 * @returns `recipient` itself when he stands for nobody else
 */
export function addresseeOf(
  own: string | undefined,
  store: Pick<Store, 'meeting' | 'sendings'>,
  message: Pick<MessageFacts, 'from' | 'references'>,
  object: SchedulingObject | undefined,
  recipient: string,
): string {
  if (own === undefined || object === undefined || !isByAttendee(object.method)) return recipient;
  if (!sameAddress(recipient, own)) return recipient;
  const organizer = recall(store, message, object)?.meeting.organizer;
  if (organizer === undefined) return recipient;
  // Who organizes by an address of the gateway's would get it back here for ever.
  return sameAddress(splitSubAddress(organizer, '+')?.base ?? organizer, own) ? recipient : organizer;
}
