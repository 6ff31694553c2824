import { createHash } from 'node:crypto';
import { userOf } from '../../rules/decide.ts';
import type { Lookup } from '../directory/directory.ts';
import { titleOf } from '../itip/title.ts';
import { addressKey, canonicalAddress } from '../mail/address.ts';
import { composeImip } from '../mail/compose-imip.ts';
import type { Envelope, EnvelopeRecipient } from '../mail/envelope.ts';
import { hasEightBit } from '../mail/header.ts';
import { isAscii } from '../mail/xtext.ts';
import type { Message, NewDelivery } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import type { IncomingPost } from './post-acceptor.ts';
import { queueIdOf } from './posts.ts';

/** The message that a post becomes, and its body: a mail that holds the object to the byte. */
export function composePostMessage(
  { hostname, store, log }: FlowContext,
  incoming: IncomingPost,
  digest: string,
  recipients: readonly string[],
  receivedAt: number,
): { readonly message: Message; readonly bytes: Buffer } {
  const { listener, peer, origin, client, messageId, originator, object } = incoming;
  const id = store.newId(receivedAt);
  const ourId = messageId === undefined ? undefined : queueIdOf(hostname, messageId);
  const isOurs = ourId !== undefined && store.message(ourId) !== undefined;
  if (isOurs) log.warn({ queueId: id, peer, messageId }, 'a post of ours comes back to us');
  const bytes = composeImip({
    queueId: id,
    hostname,
    date: receivedAt,
    from: originator,
    to: recipients,
    subject: titleOf(object) || object.method,
    method: object.method,
    content: incoming.content,
  });
  const eightBit = hasEightBit(bytes);
  const envelope: Envelope = {
    reversePath: originator,
    recipients: recipients.map((received): EnvelopeRecipient => ({ address: canonicalAddress(received), received })),
    smtpUtf8: ![originator, ...recipients].every(isAscii),
    body: eightBit ? '8BITMIME' : '7BIT',
  };
  const message: Message = {
    id,
    receivedAt,
    listener,
    mode: 'relay',
    origin,
    client,
    envelope,
    ...(messageId === undefined ? {} : { messageId }),
    posted: { peer, digest },
    size: bytes.length,
    eightBit,
    calendar: true,
    uid: object.uid,
    method: object.method,
    ...(object.endsAtMs === undefined ? {} : { endsAtMs: object.endsAtMs }),
    passes: isOurs ? 1 : 0,
  };
  return { message, bytes };
}

/** One post for each recipient; equal addresses stay apart. */
export function postDeliveries(
  { policy }: FlowContext,
  { envelope, receivedAt, uid }: Message,
  known: ReadonlyMap<number, Lookup>,
  claim: boolean,
): NewDelivery[] {
  return envelope.recipients.map(({ address }, position): NewDelivery => {
    const user = userOf(address, known.get(position), policy);
    const key = { ...(uid === undefined ? {} : { uid }), ...(user === undefined ? {} : { user }) };
    return { position, kind: 'post', route: 'calendar', dueAt: receivedAt, claim, ...key };
  });
}

/** Equal for posts of the same Originator, recipients and body, whatever the order of the recipients. */
export function postDigest({ originator, recipients, content }: IncomingPost): string {
  const people = JSON.stringify([addressKey(originator), recipients.map(addressKey).sort()]);
  return createHash('sha256').update(people).update(content).digest('hex');
}
