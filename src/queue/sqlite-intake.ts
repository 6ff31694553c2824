import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Envelope } from '../mail/envelope.ts';
import { Blocking } from './sqlite-blocking.ts';
import type { Delivery, Message, NewDelivery, NewMessage } from './store.ts';

/** Who takes a lease at intake, and until when it holds. */
export type Lease = { readonly owner: string; readonly until: number };
/** The message that a delivery is written for. */
type Parent = Pick<Message, 'id'> & Pick<Envelope, 'recipients'> & { readonly seq: number; readonly createdAt: number };
export type Accepted = { readonly deliveries: readonly Delivery[]; readonly claimed: ReadonlySet<number> };

/** Writes new messages, inside a transaction of its caller. */
export class Intake {
  readonly #message: StatementSync;
  readonly #body: StatementSync;
  readonly #delivery: StatementSync;
  readonly #stored: StatementSync;
  readonly #blocking: Blocking;

  constructor(db: DatabaseSync) {
    this.#message = db.prepare(`INSERT INTO messages
      (id, received_at, settled_at, calendar, mode, origin, listener, message_id, uid, method, ends_at, size, eight_bit,
       passes, delivered_to, from_mailbox, message_ids, verp, peer, digest, body, spool_file, client, envelope)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#body = db.prepare('INSERT INTO bodies (message, bytes) VALUES (?, ?)');
    this.#delivery = db.prepare(`INSERT INTO deliveries
      (message, position, kind, route, state, blocked, recipient, list, user, uid, created_at, due_at, lease_owner, lease_until)
      VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#stored = db.prepare('SELECT id, envelope FROM messages WHERE seq = ?');
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
      message.deliveredTo === undefined ? null : JSON.stringify(message.deliveredTo),
      message.from ?? null,
      message.references === undefined ? null : JSON.stringify(message.references),
      message.verp === true ? 1 : 0,
      message.posted?.peer ?? null,
      message.posted?.digest ?? null,
      stored ? body.kind : 'none',
      stored && body.kind === 'spool' ? body.file : null,
      JSON.stringify(message.client),
      JSON.stringify(message.envelope),
    );
    const seq = Number(lastInsertRowid);
    if (stored && body.kind === 'inline') this.#body.run(seq, body.bytes);

    const claimed = new Set<number>();
    const parent = { id: message.id, seq, recipients: message.envelope.recipients, createdAt: message.receivedAt };
    const blockedUsers = new Map<string, boolean>();
    const rows = deliveries.map((delivery): Delivery => {
      const blocked = this.#isBlocked(delivery, seq, blockedUsers);
      const taken = delivery.claim && !blocked ? lease : undefined;
      const row = this.#writeDelivery(parent, delivery, blocked, taken);
      if (taken !== undefined) claimed.add(row.id);
      return row;
    });
    return { deliveries: rows, claimed };
  }

  /**
   * Writes more deliveries of a message that is there, none leased, each in the order of its user and UID as if it had
   * come with the message: it waits for what came before, and what came later waits for it.
   * @param seq of a message that is stored
   */
  extend(seq: number, deliveries: readonly NewDelivery[], now: number): void {
    const row = this.#stored.get(seq);
    const { recipients } = JSON.parse(String(row?.envelope)) as Envelope;
    const parent = { id: String(row?.id), seq, recipients, createdAt: now };
    const known = new Map<string, boolean>();
    const usersByUid = new Map<string, Set<string>>();
    for (const delivery of deliveries) {
      this.#writeDelivery(parent, delivery, this.#isBlocked(delivery, seq, known), undefined);
      const { kind, uid, user = '' } = delivery;
      if (kind !== 'post' || uid === undefined) continue;
      const users = usersByUid.get(uid);
      if (users === undefined) usersByUid.set(uid, new Set([user]));
      else users.add(user);
    }
    for (const [uid, users] of usersByUid) this.#blocking.precede(uid, users, seq);
  }

  #writeDelivery(parent: Parent, delivery: NewDelivery, blocked: boolean, lease: Lease | undefined): Delivery {
    const { position, kind, route, list, user, uid, dueAt } = delivery;
    const { id: queueId, seq, createdAt } = parent;
    const addressed = parent.recipients[position]?.address;
    if (addressed === undefined) throw new RangeError(`message ${queueId} has no recipient at position ${position}`);
    const recipient = delivery.recipient ?? addressed;
    const { lastInsertRowid } = this.#delivery.run(
      seq,
      position,
      kind,
      route,
      Number(blocked),
      recipient,
      list ?? null,
      user ?? '',
      uid ?? null,
      createdAt,
      dueAt,
      lease?.owner ?? null,
      lease?.until ?? null,
    );
    return {
      id: Number(lastInsertRowid),
      queueId,
      position,
      kind,
      route,
      state: 'queued',
      recipient,
      ...(list !== undefined && { list }),
      ...(user !== undefined && { user }),
      ...(uid !== undefined && { uid }),
      createdAt,
      dueAt,
      blocked,
      released: false,
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
