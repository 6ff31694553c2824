import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Lease } from './sqlite-intake.ts';
import {
  type DeliveryRow,
  deliveryOf,
  type LedgerTableRow,
  ledgerRowOf,
  type MessageRow,
  messageOf,
} from './sqlite-rows.ts';
import {
  type Claim,
  type Delivery,
  type DeliveryState,
  type LedgerRow,
  type ListFilter,
  type Message,
  STATES,
  type StoredBody,
} from './store.ts';

const MESSAGE_COLUMNS = `seq, id, received_at, calendar, mode, origin, listener, message_id, uid, method, ends_at, size,
  eight_bit, passes, delivered_to, from_mailbox, message_ids, verp, peer, digest, client, envelope`;
const DELIVERY_COLUMNS = `id, message, position, kind, route, state, blocked, released, recipient, list, user, uid,
  created_at, started_at, due_at, attempts, answers, held_at, held_ms, told, outcome, decisions`;

/** Recipients looked through for one that a message has been to. */
const MAX_PASSED = 5000;

/** Posts of one id that are looked at for one that comes again: a peer may use an id any number of times. */
const MAX_POSTED = 20;

/** What the database knows; the one change made here is taking leases, and deleting what is past its time. */
export class Records {
  readonly #db: DatabaseSync;
  readonly #anyReady: StatementSync;
  readonly #nextDueAt: StatementSync;
  readonly #readyMessages: StatementSync;
  readonly #takeLeases: StatementSync;
  readonly #messageBySeq: StatementSync;
  readonly #messageById: StatementSync;
  readonly #messagesByMessageId: StatementSync;
  readonly #passedTo: StatementSync;
  readonly #posted: StatementSync;
  readonly #deliveries: StatementSync;
  readonly #body: StatementSync;
  readonly #ledger: StatementSync;
  readonly #spelling: StatementSync;
  readonly #counts: StatementSync;
  readonly #newestId: StatementSync;
  readonly #isSpooled: StatementSync;
  readonly #deleteSettled: StatementSync;
  readonly #deleteLedger: StatementSync;
  readonly #deleteSpellings: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    const ready = 'FROM deliveries WHERE ready_at IS NOT NULL';
    this.#anyReady = db.prepare(`SELECT 1 ${ready} AND ready_at <= ? LIMIT 1`);
    this.#nextDueAt = db.prepare(`SELECT ready_at ${ready} ORDER BY ready_at LIMIT 1`);
    this.#readyMessages = db.prepare(`SELECT message ${ready} AND ready_at <= ? ORDER BY ready_at, id`);
    // The + keeps SQLite from walking everything that is due to find what is due of one message.
    this.#takeLeases = db.prepare(`UPDATE deliveries SET lease_owner = ?, lease_until = ?
      WHERE message = ? AND +ready_at <= ? RETURNING ${DELIVERY_COLUMNS}`);
    this.#messageBySeq = db.prepare(`SELECT ${MESSAGE_COLUMNS} FROM messages WHERE seq = ?`);
    this.#messageById = db.prepare(`SELECT ${MESSAGE_COLUMNS} FROM messages WHERE id = ?`);
    this.#messagesByMessageId = db.prepare(`SELECT ${MESSAGE_COLUMNS} FROM messages WHERE message_id = ? ORDER BY seq`);
    // The order of the joins keeps the limit from being reached by sorting.
    this.#passedTo = db.prepare(`SELECT recipient FROM messages AS m CROSS JOIN deliveries AS d ON d.message = m.seq
      WHERE m.message_id = ? AND m.id < ? AND d.kind = 'post' AND d.list IS NULL ORDER BY m.seq DESC LIMIT ?`);
    this.#posted = db.prepare(`SELECT ${MESSAGE_COLUMNS} FROM messages
      WHERE message_id = ? AND peer = ? ORDER BY seq DESC LIMIT ${MAX_POSTED}`);
    this.#deliveries = db.prepare(`SELECT ${DELIVERY_COLUMNS} FROM deliveries WHERE message = ? ORDER BY id`);
    this.#body = db.prepare(
      `SELECT body, spool_file, bytes FROM messages LEFT JOIN bodies ON message = seq WHERE id = ?`,
    );
    this.#ledger = db.prepare('SELECT * FROM ledger WHERE user = ? AND uid = ? ORDER BY recurrence_id, author');
    this.#spelling = db.prepare('SELECT invited FROM spellings WHERE user = ? AND uid = ?');
    this.#counts = db.prepare(`SELECT
      count(*) FILTER (WHERE kind = 'post' AND state = 'queued') AS "post.queued",
      count(*) FILTER (WHERE kind = 'post' AND state = 'held') AS "post.held",
      count(*) FILTER (WHERE kind = 'mail' AND state = 'queued') AS "mail.queued",
      count(*) FILTER (WHERE kind = 'mail' AND state = 'held') AS "mail.held"
      FROM deliveries WHERE state IN ('queued', 'held')`);
    this.#newestId = db.prepare('SELECT id FROM messages ORDER BY id DESC LIMIT 1');
    this.#isSpooled = db.prepare('SELECT 1 FROM messages WHERE spool_file = ?');
    this.#deleteSettled = db.prepare(`DELETE FROM messages WHERE seq IN
      (SELECT seq FROM messages WHERE calendar = ? AND settled_at IS NOT NULL AND settled_at < ? LIMIT ?)`);
    this.#deleteLedger = db.prepare(`DELETE FROM ledger WHERE (user, uid, recurrence_id, author) IN
      (SELECT user, uid, recurrence_id, author FROM ledger WHERE used_at < ? LIMIT ?)`);
    this.#deleteSpellings = db.prepare(`DELETE FROM spellings WHERE (user, uid) IN
      (SELECT user, uid FROM spellings WHERE used_at < ? LIMIT ?)`);
  }

  anyReady(now: number): boolean {
    return this.#anyReady.get(now) !== undefined;
  }

  nextDueAt(): number | undefined {
    const at = this.#nextDueAt.get()?.ready_at;
    return typeof at === 'number' ? at : undefined;
  }

  /** Takes leases, inside a transaction of its caller; as `Store.claim`. */
  claim(now: number, limit: number, lease: Lease): readonly Claim[] {
    const messages = new Set<number>();
    for (const row of this.#readyMessages.iterate(now)) {
      messages.add(Number(row.message));
      if (messages.size === limit) break;
    }
    return [...messages].flatMap((seq): Claim[] => {
      const message = this.#messageBySeq.get(seq) as MessageRow | undefined;
      if (message === undefined) return [];
      const rows = this.#takeLeases.all(lease.owner, lease.until, seq, now) as DeliveryRow[];
      rows.sort((a, b) => a.id - b.id); // RETURNING promises no order
      return [{ message: messageOf(message), deliveries: rows.map((row) => deliveryOf(row, message.id)) }];
    });
  }

  message(queueId: string): Claim | undefined {
    const row = this.#messageById.get(queueId) as MessageRow | undefined;
    if (row === undefined) return undefined;
    const deliveries = this.#deliveries.all(row.seq) as DeliveryRow[];
    return { message: messageOf(row), deliveries: deliveries.map((delivery) => deliveryOf(delivery, queueId)) };
  }

  /** @throws when the body is gone, or the message unknown */
  body(queueId: string): Exclude<StoredBody, { kind: 'none' }> {
    const row = this.#body.get(queueId);
    if (row === undefined) throw new Error(`the queue knows no message ${queueId}`);
    const { bytes, spool_file: file } = row;
    if (bytes instanceof Uint8Array) {
      return { kind: 'inline', bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
    }
    if (typeof file === 'string') return { kind: 'spool', file };
    throw new Error(`the body of message ${queueId} is gone: nothing of it is left to deliver`);
  }

  ledger(user: string, uid: string): readonly LedgerRow[] {
    return (this.#ledger.all(user, uid) as LedgerTableRow[]).map(ledgerRowOf);
  }

  spelling(user: string, uid: string): string | undefined {
    const invited = this.#spelling.get(user, uid)?.invited;
    return typeof invited === 'string' ? invited : undefined;
  }

  list(filter: ListFilter): readonly (Delivery & { readonly message: Message })[] {
    const where = [
      ...isOneOf(filter.states ?? []),
      ...(filter.recipient === undefined ? [] : ['d.recipient = ? COLLATE NOCASE']),
      ...(filter.kind === undefined ? [] : ['d.kind = ?']),
      ...(filter.rule === undefined ? [] : [`json_extract(d.decisions, '$[#-1].rule') = ?`]),
    ];
    const values = [
      ...(filter.recipient === undefined ? [] : [filter.recipient]),
      ...(filter.kind === undefined ? [] : [filter.kind]),
      ...(filter.rule === undefined ? [] : [filter.rule]),
    ];
    const statement = this.#db.prepare(`SELECT ${DELIVERY_COLUMNS} FROM deliveries AS d
      ${where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`} ORDER BY d.id LIMIT ?`);
    const rows = statement.all(...values, filter.limit ?? -1) as DeliveryRow[];
    const messages = new Map<number, Message>();
    return rows.flatMap((row) => {
      const message = messages.get(row.message) ?? this.#message(row.message);
      if (message === undefined) return [];
      messages.set(row.message, message);
      return [{ ...deliveryOf(row, message.id), message }];
    });
  }

  counts(): Readonly<Record<string, number>> {
    return { ...(this.#counts.get() as Record<string, number>) };
  }

  byMessageId(messageId: string): readonly Message[] {
    return (this.#messagesByMessageId.all(messageId) as MessageRow[]).map(messageOf);
  }

  passedTo(messageId: string, before = '~'): readonly string[] {
    return this.#passedTo.all(messageId, before, MAX_PASSED).map((row) => String(row.recipient));
  }

  posted(peer: string, messageId: string): readonly Message[] {
    return (this.#posted.all(messageId, peer) as MessageRow[]).map(messageOf);
  }

  newestId(): string | undefined {
    const id = this.#newestId.get()?.id;
    return typeof id === 'string' ? id : undefined;
  }

  /** Whether a message's body is in this spool file. */
  isSpooled(file: string): boolean {
    return this.#isSpooled.get(file) !== undefined;
  }

  /** @returns how many messages were deleted, at most `limit` */
  deleteSettled(which: 'calendar' | 'plain', before: number, limit: number): number {
    return Number(this.#deleteSettled.run(which === 'calendar' ? 1 : 0, before, limit).changes);
  }

  /** @returns how many rows were deleted, at most `limit` */
  deleteLedger(before: number, limit: number): number {
    return Number(this.#deleteLedger.run(before, limit).changes);
  }

  /** @returns how many rows were deleted, at most `limit` */
  deleteSpellings(before: number, limit: number): number {
    return Number(this.#deleteSpellings.run(before, limit).changes);
  }

  #message(seq: number): Message | undefined {
    const row = this.#messageBySeq.get(seq) as MessageRow | undefined;
    return row === undefined ? undefined : messageOf(row);
  }
}

/** One state alone is written out with `=`: the index of what is held serves neither a parameter nor a list of one. */
function isOneOf(asked: readonly DeliveryState[]): readonly string[] {
  const states = STATES.filter((state) => asked.includes(state)).map((state) => `'${state}'`);
  if (states.length === 0) return [];
  return [states.length === 1 ? `d.state = ${states[0]}` : `d.state IN (${states.join(', ')})`];
}
