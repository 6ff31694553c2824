import type { SentStatus } from '../../rules/peer.ts';
import { answerFor } from '../../rules/request-status.ts';
import { addressKey } from '../mail/address.ts';
import type { Delivery, Message } from '../queue/store.ts';
import type { AcceptOptions } from './accept.ts';
import { attempt } from './attempt.ts';
import type { FlowContext } from './context.ts';
import { identify } from './facts.ts';
import type { Use } from './generation.ts';
import type { IncomingPost, PostAcceptor, RecipientAnswer } from './post-acceptor.ts';
import { composePostMessage, postDeliveries, postDigest } from './post-message.ts';
import { deliveriesByPosition, type PostWait, waitForPosts } from './post-wait.ts';
import { Session } from './sessions.ts';
import { Turns } from './turns.ts';

/** What taking posts needs beside the flow's context; as for mail. */
export type PostAcceptOptions = Pick<AcceptOptions, 'run' | 'hasRoom' | 'stopping'>;

/** Where one recipient of the request stands in the queue. */
type Place = { readonly queueId: string; readonly position: number };

/** A post that is safe: where its recipients stand, in their order, and what the answer may wait for. */
type Taken = { readonly places: readonly Place[]; readonly waits: readonly PostWait[] };

/** Told of an attempt, which may go on after the answer. */
type Until = (end: Promise<unknown>) => void;

/** From a post that its peer may make to its answer: everything that stands before the queue, and the wait behind it. */
export function createPostAcceptor(use: Use, options: PostAcceptOptions): PostAcceptor {
  const turns = new Turns();
  const post = async (context: FlowContext, incoming: IncomingPost, until: Until): Promise<RecipientAnswer[]> => {
    const { peer, messageId } = incoming;
    const take = (): Promise<Taken> => takePost(context, options, incoming, until);
    // Looked up and queued in one turn: a repeat that comes beside its first finds it.
    const taken = messageId === undefined ? await take() : await turns.run(JSON.stringify([peer, messageId]), take);
    await waitForPosts(context, options.stopping, incoming, taken.waits);
    return answersOf(context, taken, incoming.sentStatus);
  };
  return { post: (incoming) => use((context, until) => post(context, incoming, until)) };
}

/** Puts a post into the queue, but for the recipients who stand there from an earlier time that it came. */
async function takePost(
  context: FlowContext,
  options: PostAcceptOptions,
  incoming: IncomingPost,
  until: Until,
): Promise<Taken> {
  const { peer, messageId, recipients, waitMs } = incoming;
  const digest = postDigest(incoming);
  const ofThisId = messageId === undefined ? [] : context.store.posted(peer, messageId);
  const earlier = ofThisId.filter(({ posted }) => posted?.digest === digest);
  if (earlier.length === 0) {
    if (ofThisId.length > 0)
      context.log.warn(
        { peer, messageId, from: incoming.originator, queueId: ofThisId[0]?.id },
        'this iSchedule-Message-ID stands for another post already: taken as a new one',
      );
    return enqueue(context, options, incoming, digest, recipients, until);
  }
  const found = await findPlaces(context, earlier, recipients);
  const again = recipients.filter((_, index) => found[index] === undefined);
  const more = again.length === 0 ? undefined : await enqueue(context, options, incoming, digest, again, until);
  const added = [...(more?.places ?? [])];
  const places = found.flatMap((place) => place ?? added.shift() ?? []);
  context.log.info({ peer, messageId, queueId: earlier[0]?.id, again: again.length }, 'this post has come before');
  const waits = earlier.flatMap((message): PostWait[] => {
    const own = found.flatMap((place) => (place?.queueId === message.id ? [place.position] : []));
    return own.length === 0 ? [] : [{ message, positions: new Set(own) }];
  });
  context.poke();
  return { places, waits: waitMs > 0 ? [...waits, ...(more?.waits ?? [])] : [] };
}

/**
 * Where the recipients of a repeat stand, each in the latest message that has him; undefined for one who is to be sent
 * to anew. What was deferred is due at once.
 * @param earlier newest first
 */
async function findPlaces(
  { store, clock }: FlowContext,
  earlier: readonly Message[],
  recipients: readonly string[],
): Promise<readonly (Place | undefined)[]> {
  const known = earlier.map(({ id, envelope }) => ({
    queueId: id,
    positions: Map.groupBy(envelope.recipients.keys(), (index) =>
      addressKey(envelope.recipients[index]?.address ?? ''),
    ),
    own: deliveriesByPosition(store.message(id)?.deliveries ?? []),
  }));
  const now = clock();
  const deferred: number[] = [];
  const times = new Map<string, number>();
  const places = recipients.map((recipient): Place | undefined => {
    const key = addressKey(recipient);
    // One who stands there twice has a place for each time.
    const time = times.get(key) ?? 0;
    times.set(key, time + 1);
    for (const { queueId, positions, own } of known) {
      const his = positions.get(key);
      const position = his?.[Math.min(time, his.length - 1)];
      const delivery = position === undefined ? undefined : own.get(position);
      if (position === undefined || delivery === undefined) continue;
      if (isTemporary(delivery)) return undefined;
      if (delivery.state === 'queued' && !delivery.blocked && delivery.dueAt > now) deferred.push(delivery.id);
      return { queueId, position };
    }
    return undefined;
  });
  if (deferred.length > 0) await store.operate('retry', deferred, now);
  return places;
}

/** Puts a post for these recipients into the queue, durably, and begins its first attempt. */
async function enqueue(
  context: FlowContext,
  options: PostAcceptOptions,
  incoming: IncomingPost,
  digest: string,
  recipients: readonly string[],
  until: Until,
): Promise<Taken> {
  const { store, contents, sessions } = context;
  const { object, signal, waitMs } = incoming;
  const receivedAt = context.clock();
  const { message, bytes } = composePostMessage(context, incoming, digest, recipients, receivedAt);
  const known = await identify(
    context,
    message.envelope.recipients.map(({ address }) => address),
    signal,
  );
  const deliveries = postDeliveries(context, message, known, options.hasRoom());
  const writer = store.openBody();
  let stored: readonly Delivery[];
  let claimed: readonly Delivery[];
  try {
    await writer.write(bytes);
    const [accepted] = await store.accept([{ message, body: await writer.finish(), deliveries }]);
    stored = accepted?.deliveries ?? [];
    claimed = stored.filter(({ id }) => accepted?.claimed.has(id));
  } catch (error) {
    await writer.abort();
    throw error;
  }
  context.log.debug({ queueId: message.id, peer: incoming.peer, recipients: stored.length }, 'queued');

  const places = stored.map(({ position }) => ({ queueId: message.id, position }));
  const waits: PostWait[] = [];
  // One that is blocked waits behind an earlier post, which may be held for days, and the answer not for it.
  const expected = stored.filter(({ blocked }) => !blocked).length;
  if (waitMs > 0 && expected > 0) {
    const session = new Session(expected);
    sessions.set(message.id, session);
    waits.push({ message, positions: new Set(places.map(({ position }) => position)), session });
  }
  if (claimed.length === 0) {
    context.poke();
    return { places, waits };
  }
  contents.set(message.id, { examination: { kind: 'object', object }, bytes });
  const attempted = Promise.withResolvers<void>();
  const job = (stop: AbortSignal): Promise<void> =>
    attempt(context, { message, deliveries: claimed }, stop, known).finally(() => {
      contents.delete(message.id);
      attempted.resolve();
    });
  if (options.run({ message, deliveries: claimed }, job)) until(attempted.promise);
  else contents.delete(message.id);
  return { places, waits };
}

/** What is answered, from what stands in the queue; so a repeat is answered as its first. */
function answersOf(
  { store }: FlowContext,
  { places, waits }: Taken,
  sentStatus: SentStatus | undefined,
): RecipientAnswer[] {
  const fresh = new Set(waits.flatMap(({ message, session }) => (session === undefined ? [] : [message.id])));
  const queueIds = new Set(places.map(({ queueId }) => queueId));
  const known = new Map([...queueIds].map((id) => [id, deliveriesByPosition(store.message(id)?.deliveries ?? [])]));
  return places.map(({ queueId, position }) => {
    const delivery = known.get(queueId)?.get(position);
    // What failed when the wait was just over was told by DSN, and is not told twice.
    const isPending = delivery === undefined || (fresh.has(queueId) && delivery.told === 'dsn');
    return isPending ? answerFor({ kind: 'post', state: 'queued' }) : currentAnswer(delivery, sentStatus);
  });
}

function currentAnswer({ kind, state, outcome, decisions }: Delivery, sentStatus?: SentStatus): RecipientAnswer {
  const decision = decisions.at(-1);
  const facts = {
    kind,
    state,
    ...(outcome === undefined ? {} : { outcome }),
    ...(decision === undefined ? {} : { decision }),
  };
  return answerFor(facts, sentStatus);
}

/** Whether it has ended with an answer that another time may be another. */
function isTemporary(delivery: Delivery): boolean {
  const { state } = delivery;
  return (state === 'expired' || state === 'failed') && currentAnswer(delivery).code === '5.1';
}
