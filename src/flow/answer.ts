import type { ReportLine } from '../../channel/channel.ts';
import { type Reply, reply } from '../mail/status.ts';
import type { Delivery, Message } from '../queue/store.ts';
import type { ListenerFacts } from './acceptor.ts';
import type { FlowContext } from './context.ts';
import type { SessionResult } from './sessions.ts';
import { toldOf } from './settle.ts';
import { reportFailures } from './tell-organizer.ts';

/**
 * The session's reply: what is known by now; failures it does not tell go out by DSN (RFC 5321 §6.1, RFC 2033 §4.2).
 * The message is in the queue, so this never rejects: a 4xx would have the client send again what is delivered.
 */
export async function answer(
  context: FlowContext,
  message: Message,
  listener: ListenerFacts,
  results: ReadonlyMap<number, SessionResult>,
  queued: Reply,
): Promise<readonly Reply[]> {
  const failures = [...results].filter(([, result]) => result.outcome?.kind === 'failed');
  const refusal = (result: SessionResult | undefined): Reply =>
    result?.outcome?.kind === 'failed' ? reply(result.outcome.status, result.outcome.reason) : queued;
  const { recipients } = message.envelope;
  if (failures.length === 0) return listener.protocol === 'lmtp' ? recipients.map(() => queued) : [queued];
  const toldByReply = listener.protocol === 'lmtp' || failures.length === recipients.length;
  if (toldByReply) {
    const told = new Map(failures.map(([, result]) => [result.deliveryId, 'reply' as const]));
    // The reply tells it, whether or not that can be written down.
    await context.store.tell(told, []).catch(unwritten(context, message));
    return listener.protocol === 'lmtp'
      ? recipients.map((_, position) => refusal(results.get(position)))
      : [refusal(failures[0]?.[1])];
  }
  await tellByDsn(context, message, failures).catch(unwritten(context, message));
  return [queued];
}

/** Marks what is not delivered yet as told to nobody: its client left without a reply, and still owns the message. */
export async function abandon(
  context: FlowContext,
  message: Message,
  deliveries: readonly Delivery[],
  results: ReadonlyMap<number, SessionResult>,
): Promise<void> {
  const unknown = deliveries.filter(({ position }) => results.get(position)?.outcome?.kind !== 'delivered');
  const told = new Map(unknown.map(({ id }) => [id, 'nobody' as const]));
  await context.store.tell(told, []).catch(unwritten(context, message));
}

/** Takes note of a failure that was told, or not, without a record of it. */
export function unwritten(context: FlowContext, message: Message): (error: unknown) => void {
  return (error) =>
    context.log.error({ queueId: message.id, err: error }, 'who was told of a failure could not be written down');
}

/** Reports failures that no reply tells, and writes down that it does. */
export async function tellByDsn(
  context: FlowContext,
  message: Message,
  failures: readonly (readonly [number, SessionResult])[],
): Promise<void> {
  const stored = context.store.message(message.id);
  const lines = failures.flatMap(([, result]): ReportLine[] => {
    const delivery = stored?.deliveries.find((one) => one.id === result.deliveryId);
    if (delivery === undefined || result.outcome === undefined) return [];
    return toldOf(message, delivery, 'failed', result.outcome, 'answered')?.told === 'dsn'
      ? [{ delivery, outcome: result.outcome, action: 'failed' }]
      : [];
  });
  const told = new Map(
    failures.map(([, { deliveryId }]) => [
      deliveryId,
      lines.some((line) => line.delivery.id === deliveryId) ? ('dsn' as const) : ('nobody' as const),
    ]),
  );
  await context.store.tell(told, lines.length === 0 ? [] : await reportFailures(context, message, lines));
  context.poke();
}
