import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { Blocking } from './sqlite-blocking.ts';
import type { Delivery, NewDelivery, NewMessage } from './store.ts';

/** Who takes a lease at intake, and until when it holds. */
export type Lease = { readonly owner: string; readonly until: number };
export type Accepted = { readonly deliveries: readonly Delivery[]; readonly claimed: ReadonlySet<number> };

/** Writes new messages, inside a transaction of its caller. */
export class Intake {
  readonly #message: StatementSync;
  readonly #body: StatementSync;
  readonly #delivery: StatementSync;
  readonly #blocking: Blocking;

  constructor(db: DatabaseSync) {
    this.#message = db.prepare(`INSERT INTO messages
      (id, received_at, settled_at, calendar, mode, origin, listener, message_id, uid, method, ends_at, size, eight_bit,
       passes, body, spool_file, client, envelope)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#body = db.prepare('INSERT INTO bodies (message, bytes) VALUES (?, ?)');
    this.#delivery = db.prepare(`INSERT INTO deliveries
      (message, position, kind, route, state, blocked, recipient, user, uid, created_at, due_at, lease_owner, lease_until)
      VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#blocking = new Blocking(db);
  }

  /**
   * Writes one message whole.
   * @param lease taken for deliveries that ask for it and are not blocked; undefined: for none
   * @throws RangeError for a delivery to a position that the envelope does not have
   */
  write({ message, body, deliveries }: NewMessage, lease: Lease | undefined): Accepted {
    const stored = deliveries.length > 0;
    const { lastInsertRowid } = this.#message.run(
      message.id,
      message.receivedAt,
      stored ? null : message.receivedAt,
      Number(message.calendar),
      message.mode,
      message.origin,
      message.listener,
      message.messageId ?? null,
      message.uid ?? null,
      message.method ?? null,
      message.endsAtMs ?? null,
      message.size,
      Number(message.eightBit),
      message.passes,
      stored ? body.kind : 'none',
      stored && body.kind === 'spool' ? body.file : null,
      JSON.stringify(message.client),
      JSON.stringify(message.envelope),
    );
    const seq = Number(lastInsertRowid);
    if (stored && body.kind === 'inline') this.#body.run(seq, body.bytes);

    const claimed = new Set<number>();
    const blockedUsers = new Map<string, boolean>();
    const rows = deliveries.map((delivery): Delivery => {
      const blocked = this.#isBlocked(delivery, seq, blockedUsers);
      const taken = delivery.claim && !blocked ? lease : undefined;
      const row = this.#writeDelivery(message, seq, delivery, blocked, taken);
      if (taken !== undefined) claimed.add(row.id);
      return row;
    });
    return { deliveries: rows, claimed };
  }

  #writeDelivery(
    message: NewMessage['message'],
    seq: number,
    delivery: NewDelivery,
    blocked: boolean,
    lease: Lease | undefined,
  ): Delivery {
    const { position, kind, route, user, uid, dueAt } = delivery;
    const recipient = message.envelope.recipients[position]?.address;
    if (recipient === undefined) throw new RangeError(`message ${message.id} has no recipient at position ${position}`);
    const { lastInsertRowid } = this.#delivery.run(
      seq,
      position,
      kind,
      route,
      Number(blocked),
      recipient,
      user ?? '',
      uid ?? null,
      message.receivedAt,
      dueAt,
      lease?.owner ?? null,
      lease?.until ?? null,
    );
    return {
      id: Number(lastInsertRowid),
      queueId: message.id,
      position,
      kind,
      route,
      state: 'queued',
      recipient,
      ...(user !== undefined && { user }),
      ...(uid !== undefined && { uid }),
      createdAt: message.receivedAt,
      dueAt,
      attempts: 0,
      answers: 0,
      heldMs: 0,
      decisions: [],
    };
  }

  /** @param known answers for this message by uid and user; a message to a thousand asks once */
  #isBlocked({ kind, uid, user }: NewDelivery, seq: number, known: Map<string, boolean>): boolean {
    if (kind !== 'post' || uid === undefined) return false;
    const key = `${user ?? ''}\n${uid}`;
    const answer = known.get(key);
    if (answer !== undefined) return answer;
    const blocked = this.#blocking.isBlocked(uid, user, seq);
    known.set(key, blocked);
    return blocked;
  }
}
