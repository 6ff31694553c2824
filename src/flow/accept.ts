import { isAscii } from 'node:buffer';
import { judgeRecipient } from '../../rules/recipient.ts';
import type { Lookup } from '../directory/directory.ts';
import { Examiner } from '../itip/extract.ts';
import type { Examination } from '../itip/message.ts';
import { addressKey, domainOf, parseAddress } from '../mail/address.ts';
import { annotationFields } from '../mail/annotate.ts';
import type { EnvelopeRecipient } from '../mail/envelope.ts';
import { HeaderFilter } from '../mail/header-filter.ts';
import { isOwnReceived } from '../mail/received.ts';
import { type Reply, reply } from '../mail/status.ts';
import type { BodyWriter, Claim, Message, NewDelivery, StoredBody } from '../queue/store.ts';
import type { Acceptor, Incoming, ListenerFacts, RecipientVerdict } from './acceptor.ts';
import { abandon, answer } from './answer.ts';
import { attempt } from './attempt.ts';
import type { FlowContext } from './context.ts';
import { lookUp } from './posts.ts';
import { Session } from './sessions.ts';
import { awaited } from './settle.ts';

/** What intake needs beside the flow's context. */
export type AcceptOptions = {
  readonly replyWaitMs: number;
  /** A message is refused as looping when ours would be its Nth own Received line. */
  readonly maxOwnReceived: number;
  /** The same for Received lines of anybody. */
  readonly maxReceived: number;
  /** Runs a claim within the limit on messages in flight. @returns false when there is no room now */
  readonly run: (claim: Claim, job: (signal: AbortSignal) => Promise<void>) => boolean;
  readonly hasRoom: () => boolean;
  /** Aborts when the gateway stops: who waits for a reply gets what is known by then. */
  readonly stopping: AbortSignal;
};

/**
 * How long the commit waits for the directory to say whose calendars these are. Only the order of posts profits from
 * it (a post of a user not yet known waits for every other post of its UID), so a slow directory is not waited for.
 */
const IDENTIFY_WAIT_MS = 500;

const MAX_LINE = 998; // RFC 5322 §2.1.1

/** From the end of RCPT to the reply after DATA: everything that stands before the queue. */
export function createAcceptor(context: FlowContext, options: AcceptOptions): Acceptor {
  const ownFields = annotationFields(context.annotation);
  return {
    recipient: (listener, recipient, signal) => judge(context, listener, recipient, signal),
    message: (incoming) => take(context, options, ownFields, incoming),
  };
}

async function judge(
  context: FlowContext,
  listener: ListenerFacts,
  recipient: EnvelopeRecipient,
  signal: AbortSignal,
): Promise<RecipientVerdict> {
  switch (listener.mode) {
    case 'filter':
      return { kind: 'accepted', recipient };
    case 'copy': {
      const parts = parseAddress(recipient.address);
      const domain = parts === undefined ? undefined : listener.copyDomains.get(parts.domain);
      // A duplicate for a domain nobody named: the MTA's set-up is at fault, and a bounce of a copy helps no one.
      if (parts === undefined || domain === undefined)
        context.log.warn(
          { listener: listener.name, to: recipient.address },
          'copy for a domain that copy-domains does not name',
        );
      return {
        kind: 'accepted',
        recipient:
          parts === undefined || domain === undefined
            ? recipient
            : { ...recipient, address: `${parts.local}@${domain}` },
      };
    }
    case 'final':
      return judgeFinal(context, recipient, signal);
  }
}

/** `final`: the calendar is all there is, so whoever has none is refused here. */
async function judgeFinal(
  context: FlowContext,
  recipient: EnvelopeRecipient,
  signal: AbortSignal,
): Promise<RecipientVerdict> {
  const domain = domainOf(recipient.address);
  const refuse = (status: Reply['status'], text: string): RecipientVerdict => ({
    kind: 'refused',
    reply: reply(status, `<${recipient.address}> ${text}`),
  });
  // Ours only (RFC 5321 §4.5.1): whoever has that name elsewhere is an outsider like any other.
  const isOurs = context.policy.domains.has(domain) || domain === context.hostname.toLowerCase();
  if (isOurs && isPostmaster(recipient.address)) return { kind: 'accepted', recipient };
  const lookup = await lookUp(context, recipient.address, signal);
  if (lookup === undefined) return refuse('5.7.1', 'relaying denied: not a domain of this gateway');
  const verdict = judgeRecipient(lookup);
  switch (verdict.kind) {
    case 'user':
      return verdict.entry.calendar ? { kind: 'accepted', recipient } : refuse('5.2.1', 'has no calendar');
    case 'ambiguous':
      return { kind: 'accepted', recipient };
    case 'unknown':
      return refuse('5.1.1', 'no such calendar');
    case 'silent':
      context.log.warn({ to: recipient.address, reason: verdict.reason }, 'directory does not answer');
      return refuse('4.4.3', 'directory does not answer, try again later');
    case 'inactive':
      return refuse('4.2.1', 'calendar is inactive');
    case 'disabled':
      return refuse('5.2.1', 'calendar is disabled');
    case 'list':
      return refuse('5.2.1', 'is a list, which has no calendar');
  }
}

async function take(
  context: FlowContext,
  options: AcceptOptions,
  ownFields: ReadonlySet<string>,
  incoming: Incoming,
): Promise<readonly Reply[]> {
  const { listener, envelope } = incoming;
  const every = (one: Reply): readonly Reply[] =>
    listener.protocol === 'lmtp' ? envelope.recipients.map(() => one) : [one];
  const receivedAt = context.clock();
  const received = await receive(context, incoming, ownFields);
  if (received.hops.own + 1 >= options.maxOwnReceived || received.hops.all + 1 >= options.maxReceived) {
    await received.discard();
    context.log.warn(
      {
        listener: listener.name,
        messageId: received.messageId,
        ownReceived: received.hops.own,
        received: received.hops.all,
      },
      listener.mode === 'copy' ? 'mail loop: copy dropped' : 'mail loop: refused',
    );
    // A refused duplicate would bounce to somebody who has not sent it.
    if (listener.mode === 'copy') return every(reply('2.6.0', 'too many hops: copy dropped'));
    return every(reply('5.4.6', 'too many hops: this message is going round in circles'));
  }
  if (received.hops.own > 0) {
    context.log.warn(
      { listener: listener.name, messageId: received.messageId, ownReceived: received.hops.own },
      'this message has passed here before: the next hop sends it back to us',
    );
  }

  const { examination } = received;
  const object = examination.kind === 'object' ? examination.object : undefined;
  const id = context.store.newId(receivedAt);
  const calendar = examination.kind === 'object' || examination.calendar;
  const message: Message = {
    id,
    receivedAt,
    listener: listener.name,
    mode: listener.mode,
    origin: listener.origin,
    client: incoming.client,
    envelope,
    size: received.size,
    eightBit: received.eightBit,
    calendar,
    passes: received.hops.own,
    ...(received.messageId === undefined ? {} : { messageId: received.messageId }),
    ...(object === undefined ? {} : { uid: object.uid, method: object.method }),
    ...(object?.endsAtMs === undefined ? {} : { endsAtMs: object.endsAtMs }),
  };
  const known =
    object === undefined ? new Map<number, Lookup>() : await identify(context, envelope.recipients, incoming.signal);
  const claim = options.hasRoom();
  const deliveries = newDeliveries(context, message, object?.uid, known, claim);
  const unexamined = received.size > context.examine.maxExamineBytes;
  if (examination.kind === 'none' && (examination.calendar || unexamined || deliveries.length === 0)) {
    context.log.info({ queueId: id, messageId: message.messageId, reason: examination.reason }, 'nothing to schedule');
  }

  const session = new Session(deliveries.filter((delivery) => delivery.kind === awaited(message)).length);
  const waits = claim && options.replyWaitMs > 0 && listener.mode !== 'copy';
  const discarded = async (error: unknown): Promise<never> => {
    await received.discard();
    throw error;
  };
  const body: StoredBody = deliveries.length === 0 ? { kind: 'none' } : await received.store().catch(discarded);
  if (deliveries.length === 0) await received.discard();
  const [accepted] = await context.store.accept([{ message, body, deliveries }]).catch(discarded);
  context.log.debug({ queueId: id, recipients: envelope.recipients.length }, 'queued');

  const claimed = accepted?.deliveries.filter((delivery) => accepted.claimed.has(delivery.id)) ?? [];
  const attempted = Promise.withResolvers<void>();
  if (claimed.length > 0) {
    if (waits) context.sessions.set(id, session);
    context.contents.set(id, { examination, ...(body.kind === 'inline' ? { bytes: body.bytes } : {}) });
    const job = (signal: AbortSignal): Promise<void> =>
      attempt(context, { message, deliveries: claimed }, signal, known).finally(() => {
        context.contents.delete(id);
        attempted.resolve();
      });
    if (!options.run({ message, deliveries: claimed }, job)) {
      context.contents.delete(id);
      context.sessions.delete(id);
      return every(reply('2.6.0', `queued as ${id}`));
    }
  } else if (deliveries.length > 0) {
    context.poke();
  }
  const queued = reply('2.6.0', `queued as ${id}`);
  if (!waits || claimed.length === 0) return every(queued);
  const results = await session.close(options.replyWaitMs, incoming.signal, options.stopping);
  if (session.abandoned) {
    void attempted.promise.then(() => context.sessions.delete(id));
    await abandon(context, message, accepted?.deliveries ?? [], results);
    return every(queued);
  }
  context.sessions.delete(id);
  return answer(context, message, listener, results, queued);
}

type Received = {
  readonly examination: Examination;
  readonly messageId: string | undefined;
  readonly size: number;
  readonly eightBit: boolean;
  readonly hops: { readonly own: number; readonly all: number };
  /** fsyncs what is not in memory. */
  store(): Promise<StoredBody>;
  discard(): Promise<void>;
};

/** Reads the content once: into the queue's body writer and the examiner at the same time. */
async function receive(context: FlowContext, incoming: Incoming, ownFields: ReadonlySet<string>): Promise<Received> {
  const writer = context.store.openBody();
  const examiner = new Examiner(context.examine);
  let size = 0;
  let eightBit = false;
  const feed = async (chunk: Buffer): Promise<void> => {
    size += chunk.length;
    eightBit ||= !isAscii(chunk);
    const examining = examiner.write(chunk);
    await writer.write(chunk);
    if (examining !== undefined) await examining;
  };
  const header = new HeaderFilter(ownFields);
  try {
    for await (const chunk of incoming.content) {
      const kept = header.push(chunk);
      if (kept.length > 0) await feed(kept);
    }
    const rest = header.end();
    if (rest.length > 0) await feed(rest);
  } catch (error) {
    examiner.destroy();
    await writer.abort();
    throw error;
  }
  const fields = header.fields();
  const hops = fields.filter((field) => field.name === 'received');
  return {
    examination: await examination(examiner),
    messageId: shownMessageId(fields.find((field) => field.name === 'message-id')?.value),
    size,
    eightBit,
    hops: { own: hops.filter((field) => isOwnReceived(field.value, context.hostname)).length, all: hops.length },
    store: () => writer.finish(),
    discard: () => discard(writer),
  };
}

async function discard(writer: BodyWriter): Promise<void> {
  await writer.abort();
}

/** As it goes into the queue and every log line: no longer than a line may be, nothing that a terminal would obey. */
function shownMessageId(value: string | undefined): string | undefined {
  return value?.slice(0, MAX_LINE).replace(/\p{Cc}/gu, '?');
}

/** A parser that breaks makes a decision, mail only; nothing stands between the message and the queue. */
async function examination(examiner: Examiner): Promise<Examination> {
  try {
    return await examiner.finish();
  } catch (error) {
    return {
      kind: 'none',
      reason: `could not be examined: ${error instanceof Error ? error.message : String(error)}`,
      calendar: true,
    };
  }
}

/** Asks the directory for every recipient of our own at once, for as long as the commit may wait. */
async function identify(
  context: FlowContext,
  recipients: readonly EnvelopeRecipient[],
  signal: AbortSignal,
): Promise<Map<number, Lookup>> {
  const known = new Map<number, Lookup>();
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, IDENTIFY_WAIT_MS);
  const asked = recipients.map(async ({ address }, position) => {
    const lookup = await lookUp(context, address, signal);
    if (lookup !== undefined) known.set(position, lookup);
  });
  // A look-up that breaks is made again by the attempt; here it must not cost the message.
  await Promise.race([Promise.allSettled(asked), over.promise]);
  clearTimeout(timer);
  return new Map(known);
}

function newDeliveries(
  context: FlowContext,
  message: Message,
  uid: string | undefined,
  known: ReadonlyMap<number, Lookup>,
  claim: boolean,
): NewDelivery[] {
  const { mode, envelope, receivedAt } = message;
  return envelope.recipients.flatMap(({ address }, position): NewDelivery[] => {
    const common = { position, dueAt: receivedAt, claim };
    const ours = context.policy.domains.has(domainOf(address));
    const mail: NewDelivery = { ...common, kind: 'mail', route: ours ? 'next-hop' : 'smart-host' };
    if (mode === 'final' && isPostmaster(address)) return [mail];
    const lookup = known.get(position);
    const user = ours
      ? lookup?.kind === 'found'
        ? addressKey(lookup.entries[0].mail)
        : undefined
      : addressKey(address);
    const post: NewDelivery = {
      ...common,
      kind: 'post',
      route: 'calendar',
      ...(uid === undefined ? {} : { uid }),
      ...(user === undefined ? {} : { user }),
    };
    if (uid === undefined) return mode === 'filter' ? [mail] : mode === 'final' ? [post] : [];
    return mode === 'filter' ? [post, mail] : [post];
  });
}

function isPostmaster(address: string): boolean {
  return parseAddress(address)?.local.toLowerCase() === 'postmaster';
}
