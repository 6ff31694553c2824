import { userOf } from '../../rules/decide.ts';
import type { Lookup } from '../directory/directory.ts';
import { domainOf, sameAddress } from '../mail/address.ts';
import { annotationFields } from '../mail/annotate.ts';
import { type Reply, reply } from '../mail/status.ts';
import type { Claim, Delivery, Message, NewDelivery, StoredBody } from '../queue/store.ts';
import type { Acceptor, Incoming, ListenerFacts } from './acceptor.ts';
import { addresseeOf } from './addressee.ts';
import { abandon, answer } from './answer.ts';
import { attempt } from './attempt.ts';
import type { FlowContext } from './context.ts';
import { identify } from './facts.ts';
import type { Use } from './generation.ts';
import { type Received, receive } from './intake.ts';
import { isPostmaster, judgeRcpt } from './rcpt.ts';
import { returnAddress } from './returns.ts';
import { Session } from './sessions.ts';
import { awaited } from './settle.ts';

const NOBODY: ReadonlyMap<number, Lookup> = new Map();

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

/** From the end of RCPT to the reply after DATA: everything that stands before the queue. */
export function createAcceptor(use: Use, options: AcceptOptions): Acceptor {
  return {
    recipient: (listener, recipient, signal) => use((context) => judgeRcpt(context, listener, recipient, signal)),
    message: (incoming) => use((context, until) => take(context, options, incoming, until)),
  };
}

/** @param until told of the attempt, which may go on after the reply */
async function take(
  context: FlowContext,
  options: AcceptOptions,
  incoming: Incoming,
  until: (end: Promise<unknown>) => void,
): Promise<readonly Reply[]> {
  const { listener, envelope } = incoming;
  const every = (one: Reply): readonly Reply[] =>
    listener.protocol === 'lmtp' ? envelope.recipients.map(() => one) : [one];
  const receivedAt = context.clock();
  const received = await receive(context, incoming, annotationFields(context.annotation));
  const looping = judgeLoop(context, options, listener, received);
  if (looping !== undefined) {
    await received.discard();
    return every(looping);
  }
  const message = messageOf(context.store.newId(receivedAt), receivedAt, incoming, received);
  const object = received.examination.kind === 'object' ? received.examination.object : undefined;
  const own = context.outbound?.address;
  const addressees = envelope.recipients.map(({ address }) =>
    addresseeOf(own, context.store, message, object, address),
  );
  const known = message.uid === undefined ? NOBODY : await identify(context, addressees, incoming.signal);
  const deliveries = newDeliveries(context, message, addressees, known, options.hasRoom());
  logUnscheduled(context, message, received, deliveries);
  const { body, stored, claimed } = await enqueue(context, received, message, deliveries);

  const queued = reply('2.6.0', `queued as ${message.id}`);
  if (claimed.length === 0) {
    if (deliveries.length > 0) context.poke();
    return every(queued);
  }
  // One that is not claimed waits behind an earlier post, and the reply not for it.
  const session = new Session(claimed.filter((delivery) => delivery.kind === awaited(message)).length);
  const waits = options.replyWaitMs > 0 && listener.mode !== 'copy';
  if (waits) context.sessions.set(message.id, session);
  const bytes = body.kind === 'inline' ? { bytes: body.bytes } : {};
  context.contents.set(message.id, { examination: received.examination, ...bytes });
  const attempted = Promise.withResolvers<void>();
  const job = (signal: AbortSignal): Promise<void> =>
    attempt(context, { message, deliveries: claimed }, signal, known).finally(() => {
      context.contents.delete(message.id);
      attempted.resolve();
    });
  if (!options.run({ message, deliveries: claimed }, job)) {
    context.contents.delete(message.id);
    context.sessions.delete(message.id);
    return every(queued);
  }
  until(attempted.promise);
  if (!waits) return every(queued);
  const results = await session.close(options.replyWaitMs, incoming.signal, options.stopping);
  if (session.abandoned) {
    void attempted.promise.then(() => context.sessions.delete(message.id));
    await abandon(context, message, stored, results);
    return every(queued);
  }
  context.sessions.delete(message.id);
  return answer(context, message, listener, results, queued);
}

/** @returns the reply to a message that goes round in circles; undefined for any other */
function judgeLoop(
  context: FlowContext,
  options: AcceptOptions,
  listener: ListenerFacts,
  { hops, messageId }: Received,
): Reply | undefined {
  if (hops.own === 0 && hops.all + 1 < options.maxReceived) return undefined;
  const facts = { listener: listener.name, messageId, ownReceived: hops.own, received: hops.all };
  if (hops.own + 1 < options.maxOwnReceived && hops.all + 1 < options.maxReceived) {
    context.log.warn(facts, 'this message has passed here before: the next hop sends it back to us');
    return undefined;
  }
  if (listener.mode === 'copy') {
    // A refused duplicate would bounce to somebody who has not sent it.
    context.log.warn(facts, 'mail loop: copy dropped');
    return reply('2.6.0', 'too many hops: copy dropped');
  }
  context.log.warn(facts, 'mail loop: refused');
  return reply('5.4.6', 'too many hops: this message is going round in circles');
}

function messageOf(
  id: string,
  receivedAt: number,
  { listener, client, envelope }: Incoming,
  received: Received,
): Message {
  const { examination, messageId, deliveredTo, answer: answered, size, eightBit, hops } = received;
  const object = examination.kind === 'object' ? examination.object : undefined;
  return {
    id,
    receivedAt,
    listener: listener.name,
    mode: listener.mode,
    origin: listener.origin,
    client,
    envelope,
    size,
    eightBit,
    calendar: examination.kind === 'object' || examination.calendar,
    passes: hops.own,
    ...(messageId === undefined ? {} : { messageId }),
    ...(object === undefined ? {} : { uid: object.uid, method: object.method }),
    ...(object === undefined || listener.verp !== true ? {} : { verp: true }),
    ...answered,
    ...(object === undefined || deliveredTo.length === 0 ? {} : { deliveredTo }),
    ...(object?.endsAtMs === undefined ? {} : { endsAtMs: object.endsAtMs }),
  };
}

/** Why a calendar part, a message too large to look into, or a duplicate that is dropped, came to nothing. */
function logUnscheduled(
  context: FlowContext,
  { id, messageId }: Message,
  { examination, size }: Received,
  deliveries: readonly NewDelivery[],
): void {
  if (examination.kind !== 'none') return;
  const isPlain = !examination.calendar && size <= context.examine.maxExamineBytes && deliveries.length > 0;
  if (!isPlain) context.log.info({ queueId: id, messageId, reason: examination.reason }, 'nothing to schedule');
}

/** Puts the message into the queue, durably. Nothing of it is kept when this rejects. */
async function enqueue(
  context: FlowContext,
  received: Received,
  message: Message,
  deliveries: readonly NewDelivery[],
): Promise<{ readonly body: StoredBody; readonly stored: readonly Delivery[]; readonly claimed: readonly Delivery[] }> {
  try {
    const body: StoredBody = deliveries.length === 0 ? { kind: 'none' } : await received.store();
    if (body.kind === 'none') await received.discard();
    const [accepted] = await context.store.accept([{ message, body, deliveries }]);
    context.log.debug({ queueId: message.id, recipients: message.envelope.recipients.length }, 'queued');
    const stored = accepted?.deliveries ?? [];
    return { body, stored, claimed: stored.filter((delivery) => accepted?.claimed.has(delivery.id)) };
  } catch (error) {
    await received.discard();
    throw error;
  }
}

/** @param addressees who each recipient stands for, by position */
function newDeliveries(
  context: FlowContext,
  message: Message,
  addressees: readonly string[],
  known: ReadonlyMap<number, Lookup>,
  claim: boolean,
): NewDelivery[] {
  const { mode, envelope, receivedAt, uid } = message;
  return envelope.recipients.flatMap(({ address }, position): NewDelivery[] => {
    const addressee = addressees[position] ?? address;
    const isAnother = addressee !== address;
    // Who is named himself gets it once.
    if (isAnother && envelope.recipients.some((one) => sameAddress(one.address, addressee))) return [];
    const common = { position, dueAt: receivedAt, claim, ...(isAnother ? { recipient: addressee } : {}) };
    // Whatever the message holds: what came back is no calendar's, and a forged address, which only `copy` takes, nobody's.
    const returned = returnAddress(context.outbound, address);
    if (returned !== undefined) return returned.kind === 'forged' ? [] : [{ ...common, kind: 'mail', route: 'return' }];
    const ours = context.policy.domains.has(domainOf(addressee));
    const mail: NewDelivery = { ...common, kind: 'mail', route: ours ? 'next-hop' : 'smart-host' };
    if (mode === 'final' && isPostmaster(address)) return [mail];
    const user = userOf(addressee, known.get(position), context.policy);
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
