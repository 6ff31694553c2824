import type { MailBatch } from '../../channel/channel.ts';
import type { SchedulingObject } from '../itip/message.ts';
import { addressKey, domainOf, parseAddress, splitSubAddress } from '../mail/address.ts';
import { type Annotation, annotation } from '../mail/annotate.ts';
import { type EnvelopeRecipient, isNullReversePath } from '../mail/envelope.ts';
import { hasEightBit, headerBlock } from '../mail/header.ts';
import type { Outcome } from '../mail/outcome.ts';
import { receivedLine } from '../mail/received.ts';
import { isAscii } from '../mail/xtext.ts';
import type { Delivery, Message } from '../queue/store.ts';
import { composeCopy, type OutboundContext, sentAs, speaks } from './compose-copy.ts';
import type { Content, FlowContext, Hop } from './context.ts';
import { askedOnce, invitedSpelling, lookUp, onlyEntry, type Sources } from './facts.ts';
import type { Sent } from './journal.ts';
import { isPassedOn } from './returns.ts';
import type { Result } from './settle.ts';

/** A mail delivery and the annotation its copy shall carry, if any. */
export type MailCopy = { readonly delivery: Delivery; readonly annotation: Annotation | undefined };

/**
 * Passes mail on: copies that are alike together, in one transaction per hop. One by one go those that are not: what is
 * composed, what has a VERP address of its own as envelope sender, and annotated copies, since a header that names
 * another recipient would betray a Bcc.
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
    if (copy.annotation !== undefined || isOfItsOwn(context, message, content, copy)) transactions.push([copy]);
    else together.set(copy.delivery.route, [...(together.get(copy.delivery.route) ?? []), copy]);
  }
  transactions.push(...together.values());
  await Promise.all(
    transactions.map(async (transaction) => done(await transact(context, message, content, transaction, signal))),
  );
}

/** The object of a message whose copies say or carry it. */
function objectOf(
  message: Message,
  content: Content | undefined,
  { delivery }: MailCopy,
): SchedulingObject | undefined {
  if (content?.examination.kind !== 'object' || isPassedOn(message, delivery)) return undefined;
  return content.examination.object;
}

/**
 * Whether the mail is written by us: a post that goes on by mail; and a ready-made answer of a user of ours who was
 * invited by another address than his calendar server knows, since its organizer would take it for a stranger's.
 */
function isComposed(
  context: FlowContext,
  message: Message,
  content: Content | undefined,
  copy: MailCopy,
): context is OutboundContext {
  const object = objectOf(message, content, copy);
  if (!speaks(context) || object === undefined) return false;
  if (message.mode === 'relay') return true;
  return message.verp === true && copy.annotation === undefined && invitedSpelling(context, object) !== undefined;
}

function isOfItsOwn(
  context: FlowContext,
  message: Message,
  content: Content | undefined,
  copy: MailCopy,
): context is OutboundContext {
  if (isComposed(context, message, content, copy)) return true;
  if (!speaks(context) || objectOf(message, content, copy) === undefined) return false;
  // Where the invitation goes into the calendar, a bounce of the mail about it is no failure of the invitation.
  const isNotice = copy.annotation?.action === 'posted' || copy.annotation?.action === 'pending';
  return message.verp === true && !isNotice && !isNullReversePath(message.envelope);
}

async function transact(
  context: FlowContext,
  message: Message,
  content: Content | undefined,
  copies: readonly MailCopy[],
  signal: AbortSignal,
): Promise<Result[]> {
  const hop = context.hop(copies[0]?.delivery.route === 'next-hop' ? 'next-hop' : 'smart-host');
  const sources = { policy: context.policy, directory: askedOnce(context.directory) };
  const addressed = await Promise.all(
    copies.map(({ delivery }) => addressFor(sources, hop, message, delivery, signal)),
  );
  const recipients = addressed.filter((one) => 'address' in one);
  const [first] = copies;
  const isOurs = first !== undefined && isComposed(context, message, content, first);
  const languages = isOurs ? await languagesOf(sources, first.delivery, signal) : [];
  let transferMs = 0;
  let outcomes: readonly Outcome[] = [];
  if (recipients.length > 0) {
    outcomes = await context.lanes.run(hop.deliverer.destination, async () => {
      const begun = context.clock();
      // Composed when it is its turn: there may be thousands, and each is a mail of its own.
      const batch = batchOf(context, message, content, copies, recipients, languages);
      const given = await hop.deliverer.deliver(batch, signal);
      transferMs = context.clock() - begun;
      return given;
    });
  }
  let next = 0;
  return copies.map((copy, index): Result => {
    const { delivery } = copy;
    const one = addressed[index];
    const missing: Outcome = { kind: 'deferred', status: '4.3.0', reason: 'the channel gave no outcome' };
    const outcome = one !== undefined && 'address' in one ? (outcomes[next++] ?? missing) : (one ?? missing);
    const object = objectOf(message, content, copy);
    return {
      kind: 'outcome',
      delivery,
      channel: 'smtp',
      outcome,
      transferMs,
      ...(object === undefined ? {} : { object, sent: sentOf(context, message, content, copy) }),
    };
  });
}

/** How a copy leaves: as it came, by an envelope sender of its own, or as a mail of its own. */
function sentOf(context: FlowContext, message: Message, content: Content | undefined, copy: MailCopy): Sent {
  const { reversePath } = message.envelope;
  const asItCame = { reversePath, messageId: message.messageId?.replace(/^<(.*)>$/s, '$1') ?? '' };
  if (!isOfItsOwn(context, message, content, copy)) {
    return message.mode === 'relay' ? { reversePath, messageId: `${message.id}@${context.hostname}` } : asItCame;
  }
  const own = sentAs(context, message, copy.delivery);
  return isComposed(context, message, content, copy) ? own : { ...own, messageId: asItCame.messageId };
}

function batchOf(
  context: FlowContext,
  message: Message,
  content: Content | undefined,
  copies: readonly MailCopy[],
  recipients: readonly EnvelopeRecipient[],
  languages: readonly string[],
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
  const batch: MailBatch = {
    queueId: message.id,
    envelope,
    recipients,
    prepend: Buffer.from(received + status),
    body: () => bytes ?? context.store.bodyStream(message.id),
    size: message.size,
    eightBit: message.eightBit,
  };
  const [copy] = copies;
  if (copy === undefined || !isOfItsOwn(context, message, content, copy)) return batch;
  const { reversePath } = sentOf(context, message, content, copy);
  const own = { ...batch, envelope: { ...envelope, reversePath } };
  const isOurs = isComposed(context, message, content, copy);
  const composed = isOurs ? composedBody(context, message, content, copy, languages) : undefined;
  if (composed === undefined) return own;
  // Below the header it is ASCII.
  const eightBit = hasEightBit(headerBlock(composed));
  return {
    ...own,
    envelope: { ...own.envelope, smtpUtf8: eightBit || !isAscii(reversePath), body: eightBit ? '8BITMIME' : '7BIT' },
    body: () => composed,
    size: composed.length,
    eightBit,
  };
}

/** @returns undefined when it cannot be composed: the plain mail that holds the object goes in its place */
function composedBody(
  context: OutboundContext,
  message: Message,
  content: Content | undefined,
  copy: MailCopy,
  languages: readonly string[],
): Buffer | undefined {
  const object = objectOf(message, content, copy);
  if (object === undefined) return undefined;
  try {
    return composeCopy(context, message, object, copy.delivery, languages);
  } catch (error) {
    const facts = { queueId: message.id, to: copy.delivery.recipient, uid: message.uid, err: error };
    context.log.error(facts, 'this mail could not be composed: the plain object goes in its place');
    return undefined;
  }
}

/** What the directory says that a recipient of ours reads; nothing while it does not answer, and no mail waits for it. */
async function languagesOf(
  sources: Pick<Sources, 'policy' | 'directory'>,
  delivery: Delivery | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const lookup = delivery === undefined ? undefined : await lookUp(sources, delivery.recipient, signal);
  return onlyEntry(lookup)?.languages ?? [];
}

/** The recipient as the hop shall see it, or the outcome when that cannot be said. */
async function addressFor(
  { policy, directory }: Pick<Sources, 'policy' | 'directory'>,
  hop: Hop,
  message: Message,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<EnvelopeRecipient | Outcome> {
  const own: EnvelopeRecipient = { address: delivery.recipient, received: delivery.recipient };
  // What is passed on from an address of ours was asked for by nobody: it has no parameters.
  const recipient = isPassedOn(message, delivery) ? own : (message.envelope.recipients[delivery.position] ?? own);
  if (hop.addressing === 'as-received' || !policy.domains.has(domainOf(recipient.address))) return recipient;
  const lookup = await directory.lookup(recipient.address, signal);
  if (lookup.kind === 'no-answer') return { kind: 'deferred', status: '4.4.3', reason: lookup.reason };
  // Lists and addresses that the directory does not know keep their own: only the next hop can say what they are. So
  // does what a catch-all takes, whose owner would not see for whom it was.
  const entry = onlyEntry(lookup);
  if (entry === undefined || entry.kind === 'group' || entry.catchAll === true || entry.mailHost === undefined)
    return recipient;
  const mailbox = mailboxAt(
    entry.mail,
    entry.mailHost,
    recipient.address,
    policy.subAddressSeparators,
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
