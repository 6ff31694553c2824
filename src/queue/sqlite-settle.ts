import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Outcome } from '../mail/outcome.ts';
import { Blocking, type EndedPost } from './sqlite-blocking.ts';
import type { Intake } from './sqlite-intake.ts';
import type { Journal } from './sqlite-journal.ts';
import { withDecision } from './sqlite-rows.ts';
import type { DeliveryState, LedgerRow, OperatorAction, Settlement, Told } from './store.ts';

const OPEN = `('queued', 'held')`;
const STAYS_OPEN: ReadonlySet<OperatorAction> = new Set(['retry', 'release', 'resume']);

type OpenRow = {
  readonly message: number;
  readonly kind: string;
  readonly uid: string | null;
  readonly user: string;
  readonly decisions: string;
};

/** What a transaction of settlements leaves to do before it commits. */
type Aftermath = {
  /** Messages that may be done with. */
  readonly messages: Set<number>;
  /** Posts that stopped being open, or changed their user, by UID and former user: what they blocked may go. */
  readonly ended: Map<string, EndedPost>;
};

/** Writes what attempts and operators change, inside a transaction of its caller. */
export class Settling {
  readonly #open: StatementSync;
  readonly #settle: StatementSync;
  readonly #told: StatementSync;
  readonly #operate: Readonly<Record<OperatorAction, StatementSync>>;
  readonly #free: StatementSync;
  readonly #raise: StatementSync;
  readonly #spell: StatementSync;
  readonly #intake: Intake;
  readonly #journal: Journal;
  readonly #blocking: Blocking;
  readonly #anyOpen: StatementSync;
  readonly #anyUntold: StatementSync;
  readonly #untold: StatementSync;
  readonly #releaseLeases: StatementSync;
  readonly #unsettled: StatementSync;
  readonly #dropBody: StatementSync;
  readonly #close: StatementSync;

  constructor(db: DatabaseSync, intake: Intake, journal: Journal) {
    this.#intake = intake;
    this.#journal = journal;
    // A post does not age before its first attempt: not while it waited behind others, nor while it was held.
    const starts = `kind = 'post' AND :attempted = 1 AND started_at IS NULL`;
    this.#open = db.prepare(
      `SELECT message, kind, uid, user, decisions FROM deliveries WHERE id = ? AND state IN ${OPEN}`,
    );
    this.#settle = db.prepare(`UPDATE deliveries SET
      state = :state, blocked = iif(:uid IS NULL OR :state NOT IN ${OPEN}, 0, blocked),
      due_at = coalesce(:dueAt, due_at), attempts = attempts + :attempted, answers = answers + :answered,
      started_at = iif(${starts}, :now, started_at),
      held_ms = iif(${starts}, 0, held_ms + iif(state = 'held' AND :state <> 'held', :now - held_at, 0)),
      held_at = iif(:state = 'held', coalesce(held_at, :now), NULL),
      outcome = coalesce(:outcome, outcome), decisions = :decisions, user = :user, uid = :uid, told = coalesce(:told, told),
      lease_owner = NULL, lease_until = NULL
      WHERE id = :id`);
    this.#told = db.prepare('UPDATE deliveries SET told = ? WHERE id = ? RETURNING message');
    const unleased = '(lease_until IS NULL OR lease_until <= :now)';
    const unhold = 'held_ms = held_ms + iif(held_at IS NULL, 0, :now - held_at), held_at = NULL';
    const final = (state: DeliveryState, more = '') =>
      db.prepare(`UPDATE deliveries SET
      state = '${state}', blocked = 0, ${unhold}, lease_owner = NULL, lease_until = NULL ${more}
      WHERE id = :id AND state IN ${OPEN} AND ${unleased} RETURNING message, kind, uid, user`);
    this.#free = db.prepare(`SELECT 1 FROM deliveries WHERE id = :id AND state IN ${OPEN} AND ${unleased}`);
    this.#operate = {
      retry: db.prepare(`UPDATE deliveries SET due_at = :now, lease_owner = NULL, lease_until = NULL
        WHERE id = :id AND state = 'queued' AND ${unleased} RETURNING message, kind, uid, user`),
      release: db.prepare(`UPDATE deliveries SET
        state = 'queued', due_at = iif(state = 'held', :now, due_at), released = 1, ${unhold}
        WHERE id = :id AND (state = 'held' OR state = 'queued' AND blocked = 1) AND ${unleased}
        RETURNING message, kind, uid, user`),
      resume: db.prepare(`UPDATE deliveries SET state = 'queued', due_at = :now, ${unhold}
        WHERE id = :id AND state = 'held' AND ${unleased} RETURNING message, kind, uid, user`),
      delete: final('deleted'),
      fail: final('failed', ', outcome = :outcome, told = :told'),
    };
    const raised = (column: string) =>
      `${column} = iif((excluded.sequence, excluded.dtstamp) >= (sequence, dtstamp), excluded.${column}, ${column})`;
    this.#raise = db.prepare(`INSERT INTO ledger
      (user, uid, recurrence_id, author, organizer, sequence, dtstamp, digest, used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET used_at = max(used_at, excluded.used_at),
        ${['organizer', 'sequence', 'dtstamp', 'digest'].map(raised).join(', ')}`);
    this.#spell = db.prepare(`INSERT INTO spellings (user, uid, invited, used_at) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET invited = excluded.invited, used_at = max(used_at, excluded.used_at)`);
    this.#blocking = new Blocking(db);
    this.#anyOpen = db.prepare(`SELECT 1 FROM deliveries WHERE message = ? AND state IN ${OPEN} LIMIT 1`);
    this.#anyUntold = db.prepare(
      `SELECT 1 FROM deliveries WHERE message = ? AND told IS NULL AND state IN ('failed', 'expired') LIMIT 1`,
    );
    this.#untold = db.prepare(`SELECT id FROM deliveries WHERE told IS NULL AND state IN ('failed', 'expired')`);
    this.#releaseLeases = db.prepare(
      `UPDATE deliveries SET lease_owner = NULL, lease_until = NULL WHERE state IN ${OPEN} AND lease_until IS NOT NULL`,
    );
    this.#unsettled = db.prepare('SELECT spool_file FROM messages WHERE seq = ? AND settled_at IS NULL');
    this.#dropBody = db.prepare('DELETE FROM bodies WHERE message = ?');
    this.#close = db.prepare(`UPDATE messages SET body = 'none', spool_file = NULL, settled_at = ? WHERE seq = ?`);
  }

  /**
   * Writes outcomes. A delivery that is final already, or unknown, is left as it is.
   * @returns spool files that no row names any more, to be deleted after the commit
   */
  settle(settlements: readonly Settlement[], now: number): string[] {
    const aftermath: Aftermath = { messages: new Set(), ended: new Map() };
    for (const settlement of settlements) {
      const row = this.#open.get(settlement.id) as OpenRow | undefined;
      if (row === undefined) continue;
      const { state, outcome, decision, attempted } = settlement;
      const user = settlement.user ?? row.user;
      const uid = settlement.unordered === true ? null : row.uid;
      this.#settle.run({
        id: settlement.id,
        state,
        now,
        dueAt: settlement.dueAt ?? null,
        attempted: Number(attempted),
        answered: Number(attempted && outcome?.answered === true),
        outcome: outcome === undefined ? null : JSON.stringify(outcome),
        decisions: decision === undefined ? row.decisions : withDecision(row.decisions, decision),
        user,
        uid,
        told: settlement.told ?? null,
      });
      for (const raised of settlement.ledger ?? []) this.#raiseLedger(raised);
      const { spelling, journal, expansion } = settlement;
      if (spelling !== undefined) this.#spell.run(spelling.user, spelling.uid, spelling.invited, now);
      if (journal !== undefined) this.#journal.write(journal, now);
      const closed = state !== 'queued' && state !== 'held';
      if (expansion !== undefined) {
        if (!closed) throw new TypeError('a post is replaced once: it ends with its expansion');
        this.#intake.extend(row.message, expansion, now);
      }
      if (closed) aftermath.messages.add(row.message);
      if (closed || user !== row.user || uid !== row.uid) note(aftermath, row);
      if (!closed && user !== row.user && uid !== null) this.#blocking.revise(uid, user);
    }
    return this.#finish(aftermath, now);
  }

  /**
   * Records how failures were told.
   * @returns spool files as `settle` does
   */
  tell(told: ReadonlyMap<number, Told>, now: number): string[] {
    const aftermath: Aftermath = { messages: new Set(), ended: new Map() };
    for (const [id, how] of told) {
      const message = this.#told.get(how, id)?.message;
      if (typeof message === 'number') aftermath.messages.add(message);
    }
    return this.#finish(aftermath, now);
  }

  /**
   * Puts right what a serving process that died left: its leases end, and failures that it told nobody of stay untold,
   * since the client that got no reply still owns its message (RFC 5321 §4.2.5).
   * @returns spool files as `settle` does
   */
  recover(now: number): string[] {
    this.#releaseLeases.run();
    return this.tell(new Map(this.#untold.all().map((row) => [Number(row.id), 'nobody'])), now);
  }

  /** Whether an operator can change all of these. */
  areFree(ids: readonly number[], now: number): boolean {
    return ids.every((id) => this.#free.get({ id, now }) !== undefined);
  }

  /** @returns the ids that were changed, and spool files as `settle` does */
  operate(
    action: OperatorAction,
    ids: readonly number[],
    now: number,
    failure?: { readonly outcome: Outcome; readonly told: Told },
  ): { readonly changed: Set<number>; readonly dropped: string[] } {
    const aftermath: Aftermath = { messages: new Set(), ended: new Map() };
    const changed = new Set<number>();
    const more = action === 'fail' ? { outcome: JSON.stringify(failure?.outcome), told: failure?.told ?? null } : {};
    for (const id of ids) {
      const row = this.#operate[action].get({ id, now, ...more }) as Omit<OpenRow, 'decisions'> | undefined;
      if (row === undefined) continue;
      changed.add(id);
      if (STAYS_OPEN.has(action)) continue;
      aftermath.messages.add(row.message);
      note(aftermath, row);
    }
    return { changed, dropped: this.#finish(aftermath, now) };
  }

  #raiseLedger(row: LedgerRow): void {
    this.#raise.run(
      row.user,
      row.uid,
      row.recurrenceId,
      row.author,
      row.organizer,
      row.sequence,
      row.dtstamp,
      row.digest,
      row.usedAt,
    );
  }

  #finish({ messages, ended }: Aftermath, now: number): string[] {
    for (const post of ended.values()) this.#blocking.release(post);
    const dropped: string[] = [];
    for (const seq of messages) {
      if (this.#anyOpen.get(seq) !== undefined || this.#anyUntold.get(seq) !== undefined) continue;
      const row = this.#unsettled.get(seq);
      if (row === undefined) continue; // done with before
      const file = row.spool_file;
      if (typeof file === 'string') dropped.push(file);
      else this.#dropBody.run(seq);
      this.#close.run(now, seq);
    }
    return dropped;
  }
}

function note({ ended }: Aftermath, { kind, uid, user, message }: Omit<OpenRow, 'decisions'>): void {
  if (kind === 'post' && uid !== null) ended.set(`${message}\n${user}\n${uid}`, { uid, user, message });
}
