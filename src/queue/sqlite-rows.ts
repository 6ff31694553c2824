import type { Decision } from '../mail/disposition.ts';
import type { Client, Envelope } from '../mail/envelope.ts';
import type { Outcome } from '../mail/outcome.ts';
import type { Delivery, DeliveryKind, DeliveryState, LedgerRow, Message, Mode, Origin, Route, Told } from './store.ts';

// Rows as the tables of schema/sqlite give them. The tables are STRICT and only this program writes them, so a row is
// taken at its word.

export type MessageRow = {
  readonly seq: number;
  readonly id: string;
  readonly received_at: number;
  readonly calendar: number;
  readonly mode: Mode;
  readonly origin: Origin;
  readonly listener: string;
  readonly message_id: string | null;
  readonly uid: string | null;
  readonly method: string | null;
  readonly ends_at: number | null;
  readonly size: number;
  readonly eight_bit: number;
  readonly passes: number;
  readonly delivered_to: string | null;
  readonly from_mailbox: string | null;
  readonly message_ids: string | null;
  readonly verp: number;
  readonly peer: string | null;
  readonly digest: string | null;
  readonly client: string;
  readonly envelope: string;
};

export type DeliveryRow = {
  readonly id: number;
  readonly message: number;
  readonly position: number;
  readonly kind: DeliveryKind;
  readonly route: Route;
  readonly state: DeliveryState;
  readonly blocked: number;
  readonly released: number;
  readonly recipient: string;
  readonly list: string | null;
  readonly user: string;
  readonly uid: string | null;
  readonly created_at: number;
  readonly started_at: number | null;
  readonly due_at: number;
  readonly attempts: number;
  readonly answers: number;
  readonly held_at: number | null;
  readonly held_ms: number;
  readonly told: Told | null;
  readonly outcome: string | null;
  readonly decisions: string;
};

export type LedgerTableRow = {
  readonly user: string;
  readonly uid: string;
  readonly recurrence_id: string;
  readonly author: string;
  readonly organizer: string;
  readonly sequence: number;
  readonly dtstamp: string;
  readonly digest: string;
  readonly used_at: number;
};

export function messageOf(row: MessageRow): Message {
  return {
    id: row.id,
    receivedAt: row.received_at,
    listener: row.listener,
    mode: row.mode,
    origin: row.origin,
    client: JSON.parse(row.client) as Client,
    envelope: JSON.parse(row.envelope) as Envelope,
    ...(row.message_id !== null && { messageId: row.message_id }),
    size: row.size,
    eightBit: row.eight_bit === 1,
    calendar: row.calendar === 1,
    ...(row.uid !== null && { uid: row.uid }),
    ...(row.method !== null && { method: row.method }),
    ...(row.ends_at !== null && { endsAtMs: row.ends_at }),
    passes: row.passes,
    ...(row.delivered_to !== null && { deliveredTo: JSON.parse(row.delivered_to) as string[] }),
    ...(row.from_mailbox !== null && { from: row.from_mailbox }),
    ...(row.message_ids !== null && { references: JSON.parse(row.message_ids) as string[] }),
    ...(row.verp === 1 && { verp: true as const }),
    ...(row.peer !== null && row.digest !== null && { posted: { peer: row.peer, digest: row.digest } }),
  };
}

export function deliveryOf(row: DeliveryRow, queueId: string): Delivery {
  return {
    id: row.id,
    queueId,
    position: row.position,
    kind: row.kind,
    route: row.route,
    state: row.state,
    recipient: row.recipient,
    ...(row.list !== null && { list: row.list }),
    ...(row.user !== '' && { user: row.user }),
    ...(row.uid !== null && { uid: row.uid }),
    createdAt: row.created_at,
    ...(row.started_at !== null && { startedAt: row.started_at }),
    dueAt: row.due_at,
    blocked: row.blocked === 1,
    released: row.released === 1,
    attempts: row.attempts,
    answers: row.answers,
    ...(row.held_at !== null && { heldAt: row.held_at }),
    heldMs: row.held_ms,
    ...(row.outcome !== null && { outcome: JSON.parse(row.outcome) as Outcome }),
    decisions: JSON.parse(row.decisions) as Decision[],
    ...(row.told !== null && { told: row.told }),
  };
}

export function ledgerRowOf(row: LedgerTableRow): LedgerRow {
  return {
    user: row.user,
    uid: row.uid,
    recurrenceId: row.recurrence_id,
    author: row.author,
    organizer: row.organizer,
    sequence: row.sequence,
    dtstamp: row.dtstamp,
    digest: row.digest,
    usedAt: row.used_at,
  };
}

// A post whose decision alternates for days must not grow its row without end: the first and the latest are kept.
const DECISION_LIMIT = 20;

/**
 * Adds a decision to those before it. One that says the same as the latest (post, annotation, rule) takes its place.
 * @param decisions JSON, oldest first
 */
export function withDecision(decisions: string, next: Decision): string {
  if (decisions === '[]') return JSON.stringify([next]);
  const all = JSON.parse(decisions) as Decision[];
  const latest = all.at(-1);
  if (latest !== undefined && says(latest) === says(next)) all.pop();
  else if (all.length >= DECISION_LIMIT) all.splice(1, 1);
  all.push(next);
  return JSON.stringify(all);
}

function says({ post, annotate, rule }: Decision): string {
  return JSON.stringify([rule, annotate, post]);
}
