import type { Delivery, Message } from '../queue/store.ts';
import { tellByDsn, unwritten } from './answer.ts';
import type { FlowContext } from './context.ts';
import type { IncomingPost } from './post-acceptor.ts';
import { Session, type SessionResult, waitFor } from './sessions.ts';

/** A message that an answer waits for. */
export type PostWait = {
  readonly message: Message;
  /** Positions of the recipients that the answer is about. */
  readonly positions: ReadonlySet<number>;
  /** Of a message that has just come, open since it is in the queue. One that was known may have a session already. */
  readonly session?: Session;
};

/** The recipient's own delivery: his post, or the mail that took its place. Members of a list have theirs beside it. */
export function deliveriesByPosition(deliveries: readonly Delivery[]): Map<number, Delivery> {
  const own = new Map<number, Delivery>();
  for (const delivery of deliveries) {
    if (delivery.list === undefined && own.get(delivery.position)?.kind !== 'mail')
      own.set(delivery.position, delivery);
  }
  return own;
}

/** Whether an attempt is under way or due: another comes only when it is time, or when what stands before it has ended. */
function isUnderWay({ state, blocked, dueAt }: Delivery, now: number): boolean {
  return state === 'queued' && !blocked && dueAt <= now;
}

/**
 * Waits until everything that is under way has an outcome, as long as the answer may wait, and writes down that the
 * answer tells the failures. Who is told of what fails later is the matter of `settle`.
 */
export async function waitForPosts(
  context: FlowContext,
  stopping: AbortSignal,
  incoming: Pick<IncomingPost, 'waitMs' | 'signal'>,
  waits: readonly PostWait[],
): Promise<void> {
  const deadline = performance.now() + incoming.waitMs;
  await Promise.all(waits.map((wait) => waitForPost(context, stopping, incoming.signal, wait, deadline)));
}

async function waitForPost(
  context: FlowContext,
  stopping: AbortSignal,
  signal: AbortSignal,
  wait: PostWait,
  deadline: number,
): Promise<void> {
  const { id } = wait.message;
  const leftMs = (): number => deadline - performance.now();
  let { session } = wait;
  if (session === undefined) {
    // Somebody else waits for the same: what he hears is what this one is told.
    let other: Session | undefined;
    while (context.sessions.get(id) !== other) {
      other = context.sessions.get(id);
      if (other !== undefined) await waitFor(other.ended, leftMs(), [signal, stopping]);
    }
    session = openSession(context, wait);
  }
  if (session === undefined) return;
  const results = await session.close(leftMs(), signal, stopping);
  if (context.sessions.get(id) === session) context.sessions.delete(id);
  await tell(context, wait.message, results, session.abandoned);
}

/** @returns undefined when nothing that the answer is about is under way */
function openSession({ store, sessions, clock }: FlowContext, { message, positions }: PostWait): Session | undefined {
  const own = deliveriesByPosition(store.message(message.id)?.deliveries ?? []);
  const now = clock();
  const expected = [...own].filter(([position, one]) => positions.has(position) && isUnderWay(one, now)).length;
  if (expected === 0) return undefined;
  const session = new Session(expected);
  sessions.set(message.id, session);
  return session;
}

/** Writes down that failures are told by the answer; when nobody is there to hear it, they go out by DSN. */
async function tell(
  context: FlowContext,
  message: Message,
  results: ReadonlyMap<number, SessionResult>,
  isAbandoned: boolean,
): Promise<void> {
  if (results.size === 0) return;
  const ids = new Set([...results.values()].map(({ deliveryId }) => deliveryId));
  const failed = (context.store.message(message.id)?.deliveries ?? []).filter(
    ({ id, state, told }) => ids.has(id) && told === undefined && (state === 'failed' || state === 'expired'),
  );
  if (failed.length === 0) return;
  const written = isAbandoned
    ? tellByDsn(
        context,
        message,
        [...results].filter(([, { deliveryId }]) => failed.some(({ id }) => id === deliveryId)),
      )
    : context.store.tell(new Map(failed.map(({ id }) => [id, 'reply' as const])), []);
  await written.catch(unwritten(context, message));
}
