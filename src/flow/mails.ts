import type { MailBatch } from '../../channel/channel.ts';
import { addressKey, domainOf, parseAddress, splitSubAddress } from '../mail/address.ts';
import { type Annotation, annotation } from '../mail/annotate.ts';
import type { EnvelopeRecipient } from '../mail/envelope.ts';
import type { Outcome } from '../mail/outcome.ts';
import { receivedLine } from '../mail/received.ts';
import type { Delivery, Message } from '../queue/store.ts';
import type { Content, FlowContext, Hop } from './context.ts';
import type { Result } from './settle.ts';

/** A mail delivery and the annotation its copy shall carry, if any. */
export type MailCopy = { readonly delivery: Delivery; readonly annotation: Annotation | undefined };

/**
 * Passes mail on: copies without annotation together, in one transaction per hop; annotated copies one by one, since a
 * header that names another recipient would betray a Bcc.
 * @param done called with each transaction's results as soon as they are known
 */
export async function passOn(
  context: FlowContext,
  message: Message,
  content: Content | undefined,
  copies: readonly MailCopy[],
  done: (results: readonly Result[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const transactions: MailCopy[][] = [];
  const together = new Map<string, MailCopy[]>();
  for (const copy of copies) {
    if (copy.annotation !== undefined) transactions.push([copy]);
    else together.set(copy.delivery.route, [...(together.get(copy.delivery.route) ?? []), copy]);
  }
  transactions.push(...together.values());
  await Promise.all(
    transactions.map(async (transaction) => done(await transact(context, message, content, transaction, signal))),
  );
}

async function transact(
  context: FlowContext,
  message: Message,
  content: Content | undefined,
  copies: readonly MailCopy[],
  signal: AbortSignal,
): Promise<Result[]> {
  const hop = context.hop(copies[0]?.delivery.route === 'next-hop' ? 'next-hop' : 'smart-host');
  const addressed = await Promise.all(
    copies.map(({ delivery }) => addressFor(context, hop, message, delivery, signal)),
  );
  const recipients = addressed.filter((one) => 'address' in one);
  let transferMs = 0;
  let outcomes: readonly Outcome[] = [];
  if (recipients.length > 0) {
    const batch = batchOf(context, message, content, copies, recipients);
    outcomes = await context.lanes.run(hop.deliverer.destination, async () => {
      const begun = context.clock();
      const given = await hop.deliverer.deliver(batch, signal);
      transferMs = context.clock() - begun;
      return given;
    });
  }
  let next = 0;
  return copies.map(({ delivery }, index): Result => {
    const one = addressed[index];
    const missing: Outcome = { kind: 'deferred', status: '4.3.0', reason: 'the channel gave no outcome' };
    const outcome = one !== undefined && 'address' in one ? (outcomes[next++] ?? missing) : (one ?? missing);
    return { kind: 'outcome', delivery, channel: 'smtp', outcome, transferMs };
  });
}

function batchOf(
  context: FlowContext,
  message: Message,
  content: Content | undefined,
  copies: readonly MailCopy[],
  recipients: readonly EnvelopeRecipient[],
): MailBatch {
  const { recipients: all, ...envelope } = message.envelope;
  const received = receivedLine({
    client: message.client,
    hostname: context.hostname,
    queueId: message.id,
    date: new Date(message.receivedAt),
    ...(all.length === 1 && all[0] !== undefined ? { recipient: all[0].address } : {}),
  });
  const status = copies
    .map((copy) => (copy.annotation === undefined ? '' : annotation(copy.annotation, context.annotation)))
    .join('');
  const bytes = content?.bytes;
  return {
    queueId: message.id,
    envelope,
    recipients,
    prepend: Buffer.from(received + status),
    body: () => bytes ?? context.store.bodyStream(message.id),
    size: message.size,
    eightBit: message.eightBit,
  };
}

/** The recipient as the hop shall see it, or the outcome when that cannot be said. */
async function addressFor(
  context: FlowContext,
  hop: Hop,
  message: Message,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<EnvelopeRecipient | Outcome> {
  const recipient = message.envelope.recipients[delivery.position] ?? {
    address: delivery.recipient,
    received: delivery.recipient,
  };
  if (hop.addressing === 'as-received' || !context.policy.domains.has(domainOf(recipient.address))) return recipient;
  const lookup = await context.directory.lookup(recipient.address, signal);
  if (lookup.kind === 'no-answer') return { kind: 'deferred', status: '4.4.3', reason: lookup.reason };
  // Lists and addresses that the directory does not know keep their own: only the next hop can say what they are. So
  // does what a catch-all takes, whose owner would not see for whom it was.
  const entry = lookup.kind === 'found' && lookup.entries.length === 1 ? lookup.entries[0] : undefined;
  if (entry === undefined || entry.kind === 'group' || entry.catchAll === true || entry.mailHost === undefined)
    return recipient;
  const mailbox = mailboxAt(
    entry.mail,
    entry.mailHost,
    recipient.address,
    context.policy.subAddressSeparators,
    entry.addresses,
  );
  // The address a DSN must name is the one the sender used (RFC 3461 §5.2.1).
  return { ...recipient, address: mailbox, orcpt: recipient.orcpt ?? `rfc822;${recipient.address}` };
}

function mailboxAt(
  mail: string,
  mailHost: string,
  asked: string,
  separators: string,
  addresses: readonly string[],
): string {
  const local = parseAddress(mail)?.local ?? mail;
  const sub = splitSubAddress(asked, separators);
  const isWhole = addresses.some((address) => addressKey(address) === addressKey(asked));
  const detail =
    sub === undefined || isWhole ? '' : asked.slice(parseAddress(sub.base)?.local.length ?? 0, asked.lastIndexOf('@'));
  return `${local}${detail}@${mailHost}`;
}
