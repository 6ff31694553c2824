import type { ChannelName, ReportLine } from '../../channel/channel.ts';
import { ledgerRows } from '../../rules/news.ts';
import { type Telling, whoIsTold } from '../../rules/notify.ts';
import { nextAttempt } from '../../rules/retry.ts';
import type { SchedulingObject } from '../itip/message.ts';
import { addressKey } from '../mail/address.ts';
import type { Decision } from '../mail/disposition.ts';
import { isNullReversePath } from '../mail/envelope.ts';
import type { Outcome } from '../mail/outcome.ts';
import type { Delivery, JournalEntry, Message, NewDelivery, NewMessage, Settlement, Spelling } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import { journalEntry, type Sent } from './journal.ts';
import type { Session, SessionResult } from './sessions.ts';
import { reportFailures } from './tell-organizer.ts';

/** What one attempt found out about one delivery. */
export type Result = {
  readonly delivery: Delivery;
  readonly channel: ChannelName;
  readonly decision?: Decision;
  readonly user?: string;
  /** Of a post: raises the ledger when delivered. Of both: is journaled then. */
  readonly object?: SchedulingObject;
  /** Of a mail with an object. */
  readonly sent?: Sent;
  readonly transferMs?: number;
  /** What the journal learns from a mail that came back. */
  readonly journal?: JournalEntry;
  /** Messages that tell of it, queued in the same transaction. */
  readonly reports?: readonly NewMessage[];
} & (
  | { readonly kind: 'outcome'; readonly outcome: Outcome }
  | { readonly kind: 'held'; readonly reason: string }
  | {
      readonly kind: 'skipped';
      readonly reason: string;
      /** Posts that take the place of a list's, or the mail in place of a post. */
      readonly expansion?: readonly NewDelivery[];
    }
);

/**
 * Commits what an attempt gave: states, next attempts, ledger, and who is told of a failure, in one transaction; then
 * writes the log line of each recipient.
 */
export async function settle(
  context: FlowContext,
  message: Message,
  results: readonly Result[],
  startedAt: number,
): Promise<void> {
  if (results.length === 0) return;
  const now = context.clock();
  const session = context.sessions.get(message.id);
  const committed = Promise.withResolvers<void>();
  // Whoever waits for this settlement waits in `Session.close`; a failed commit is reported by the throw below.
  committed.promise.catch(() => undefined);
  const settlements: Settlement[] = [];
  const awaitedResults: (readonly [position: number, result: SessionResult])[] = [];
  const report: ReportLine[] = [];

  for (const result of results) {
    const { delivery } = result;
    const step =
      result.kind === 'outcome'
        ? afterOutcome(context, message, delivery, result.outcome, now)
        : { state: result.kind };
    const outcome = step.state === 'expired' ? step.outcome : result.kind === 'outcome' ? result.outcome : undefined;
    const isWanted = isAwaited(message, result);
    if (isWanted)
      awaitedResults.push([delivery.position, { deliveryId: delivery.id, outcome, committed: committed.promise }]);
    const waits = session?.open === true && isWanted;
    const client = clientOf(message, waits, step.state, session);
    const told = toldOf(message, delivery, step.state, outcome, client);
    const reported = outcome ?? (result.kind === 'skipped' ? withoutPost(result.reason) : undefined);
    if (told?.told === 'dsn' && reported !== undefined)
      report.push({ delivery, outcome: reported, action: told.action });
    const { object } = result;
    const journal =
      step.state === 'delivered' && object !== undefined
        ? journalEntry(context, message, object, result)
        : result.journal;
    settlements.push({
      id: delivery.id,
      state: step.state,
      attempted: result.kind === 'outcome',
      ...('dueAt' in step ? { dueAt: step.dueAt } : {}),
      ...(outcome === undefined ? {} : { outcome }),
      ...(result.decision === undefined ? {} : { decision: result.decision }),
      ...(result.user === undefined ? {} : { user: result.user }),
      ...(result.kind === 'held' && result.decision?.rule !== 'moving' ? { unordered: true } : {}),
      ...(told !== undefined && told.told !== 'reply' ? { told: told.told } : {}),
      ...(step.state === 'delivered' && result.object !== undefined && result.user !== undefined
        ? { ledger: ledgerRows(result.object, result.user, now), ...spellingOf(context, result) }
        : {}),
      ...(journal === undefined ? {} : { journal }),
      ...(result.kind === 'skipped' && result.expansion !== undefined ? { expansion: result.expansion } : {}),
    });
    logAttempt(context, message, result, step.state, outcome, startedAt, now);
  }
  for (const [position, result] of awaitedResults) session?.report(position, result);
  try {
    const told = report.length === 0 ? [] : await reportFailures(context, message, report);
    const dsns = [...told, ...results.flatMap(({ reports = [] }) => reports)];
    await context.store.settle(settlements, dsns, now);
    committed.resolve();
  } catch (error) {
    committed.reject(error);
    throw error;
  }
  // Whoever began to wait while this was written, for a post that came again, waits no longer.
  const late = context.sessions.get(message.id);
  if (late !== session) for (const [position, result] of awaitedResults) late?.report(position, result);
  context.poke();
}

/**
 * What has to be undone in the recipient's REPLY: his calendar server saw him invited by an address of his that the
 * organizer did not write. A later invitation by the address his server knows ends that.
 */
function spellingOf({ store }: FlowContext, { decision, object }: Result): { readonly spelling?: Spelling } {
  const post = decision?.post;
  if (post?.kind !== 'post' || post.member !== undefined || object?.method !== 'REQUEST') return {};
  const user = addressKey(post.recipient);
  const { uid } = object;
  if (post.rewrite !== undefined) return { spelling: { user, uid, invited: post.rewrite } };
  return store.spelling(user, uid) === undefined ? {} : { spelling: { user, uid, invited: post.recipient } };
}

/** What a report says of a message that was accepted and left nothing to do: a duplicate, or older than what was posted. */
function withoutPost(reason: string): Outcome {
  return { kind: 'delivered', status: '2.0.0', reason };
}

/** Which of a recipient's two deliveries the session's reply is about. */
export function awaited(message: Pick<Message, 'mode'>): 'post' | 'mail' {
  return message.mode === 'filter' ? 'mail' : 'post';
}

/** Whether this result is what the session waits for from a recipient. */
function isAwaited(message: Message, { delivery, decision }: Result): boolean {
  if (delivery.list !== undefined) return false;
  if (message.mode === 'relay') return decision?.post.kind !== 'mail';
  return delivery.kind === awaited(message);
}

function clientOf(
  message: Message,
  waits: boolean,
  state: Settlement['state'],
  session: Session | undefined,
): 'waits' | 'answered' | 'gone' {
  // A peer's answer has a word for everything, and a post stays ours when its peer leaves: it is known when it comes again.
  if (message.mode === 'relay') return waits ? 'waits' : 'answered';
  // A reply tells refusals only: what was given up for lack of an answer goes out as a DSN after a 250.
  if (waits && state !== 'expired') return 'waits';
  return session?.abandoned === true ? 'gone' : 'answered';
}

type Step =
  | { readonly state: 'delivered' | 'failed' | 'held' | 'skipped' }
  | { readonly state: 'queued'; readonly dueAt: number }
  | { readonly state: 'expired'; readonly outcome: Outcome };

function afterOutcome(context: FlowContext, message: Message, delivery: Delivery, outcome: Outcome, now: number): Step {
  if (outcome.kind !== 'deferred') return { state: outcome.kind };
  const next = nextAttempt(
    {
      ...lifeOf(delivery, now),
      attempts: delivery.attempts + 1,
      now,
      ...(outcome.retryAfterMs === undefined ? {} : { retryAfterMs: outcome.retryAfterMs }),
      ...(delivery.kind === 'post' && message.endsAtMs !== undefined ? { endsAtMs: message.endsAtMs } : {}),
    },
    context.retry[delivery.kind],
    context.random(),
  );
  if (next.kind === 'retry') return { state: 'queued', dueAt: next.dueAt };
  return {
    state: 'expired',
    outcome: {
      ...outcome,
      status: '4.4.7',
      reason: `given up after ${delivery.attempts + 1} attempts: ${outcome.reason}`,
    },
  };
}

/**
 * Since when a delivery is tried. A mail's time runs from acceptance, as its sender expects; a post's from its first
 * attempt, since one that waits behind another of its UID, which may be held for days, has not been tried at all.
 */
function lifeOf(delivery: Delivery, now: number): { readonly createdAt: number; readonly heldMs: number } {
  if (delivery.kind === 'mail') return { createdAt: delivery.createdAt, heldMs: delivery.heldMs };
  if (delivery.startedAt === undefined) return { createdAt: now, heldMs: 0 };
  return { createdAt: delivery.startedAt, heldMs: delivery.heldMs };
}

/** Who is told how a delivery ended; undefined while it has not. */
export function toldOf(
  message: Message,
  delivery: Delivery,
  state: Settlement['state'],
  outcome: Outcome | undefined,
  client: 'waits' | 'answered' | 'gone',
): Telling | undefined {
  if (state === 'queued' || state === 'held' || state === 'deleted') return undefined;
  // The sender wrote to the list, and its own mail has gone on.
  if (delivery.list !== undefined) return { told: 'nobody', why: 'the post is for a member of a list' };
  const notify = message.envelope.recipients[delivery.position]?.notify;
  return whoIsTold({
    mode: message.mode,
    kind: delivery.kind,
    outcomeKind: state === 'skipped' ? 'delivered' : state,
    nullReversePath: isNullReversePath(message.envelope),
    relayedWithoutDsn: outcome?.kind === 'delivered' && outcome.relayedWithoutDsn === true,
    sessionWaits: client === 'waits',
    clientGone: client === 'gone' || delivery.told === 'nobody',
    ...(notify === undefined ? {} : { notify }),
  });
}

/** One line per recipient per attempt; the keys and their meaning stand in docs/log.md. */
function logAttempt(
  context: FlowContext,
  message: Message,
  result: Result,
  state: Settlement['state'],
  outcome: Outcome | undefined,
  startedAt: number,
  now: number,
): void {
  const { delivery } = result;
  const recipient = message.envelope.recipients[delivery.position];
  const shown = state === 'expired' ? state : (outcome?.kind ?? state);
  const alarm = outcome?.alarm === true || result.decision?.alarm === true;
  const level = alarm || shown === 'expired' ? 'warn' : 'info';
  context.log[level]({
    queueId: message.id,
    messageId: message.messageId,
    ...(message.posted === undefined ? {} : { peer: message.posted.peer }),
    from: message.envelope.reversePath,
    to: delivery.recipient,
    ...(delivery.list === undefined ? {} : { list: delivery.list }),
    origTo: recipient?.orcpt ?? recipient?.received,
    channel: result.channel,
    relay: outcome?.relay ?? 'none',
    attempt: delivery.attempts + (result.kind === 'outcome' ? 1 : 0),
    outcome: shown,
    status: outcome?.status,
    reason: result.kind === 'outcome' ? outcome?.reason : result.reason,
    rule: result.decision?.rule,
    ...(outcome?.diagnostic === undefined ? {} : { diagnostic: outcome.diagnostic }),
    ...(alarm ? { alarm: true } : {}),
    ...(delivery.kind === 'mail' || message.uid === undefined ? {} : { uid: message.uid, method: message.method }),
    delayMs: now - message.receivedAt,
    delays: {
      intake: delivery.createdAt - message.receivedAt,
      queue: startedAt - delivery.createdAt,
      connect: outcome?.connectMs ?? 0,
      transfer: Math.max(0, (result.transferMs ?? 0) - (outcome?.connectMs ?? 0)),
    },
  });
}
