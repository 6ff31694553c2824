import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { Readable } from 'node:stream';
import type { Outcome } from '../mail/outcome.ts';
import { Spool } from './spool.ts';
import { Checkpointer } from './sqlite-checkpoint.ts';
import { GroupCommit } from './sqlite-commit.ts';
import { type Accepted, Intake, type Lease } from './sqlite-intake.ts';
import { Journal } from './sqlite-journal.ts';
import { lockFolder, openDatabase } from './sqlite-open.ts';
import { Records } from './sqlite-records.ts';
import { Settling } from './sqlite-settle.ts';
import type {
  BodyWriter,
  Claim,
  Delivery,
  LedgerRow,
  ListFilter,
  Meeting,
  Message,
  NewMessage,
  OperatorAction,
  Sending,
  SendingFilter,
  Settlement,
  Store,
  Told,
} from './store.ts';

const LEASE_MS = 10 * 60_000;
const ORPHAN_AGE_MS = 60 * 60_000;
// Rows that one transaction of a sweep deletes: mail coming in meanwhile waits for no more than these.
const SWEEP_CHUNK = 200;

export type SqliteStoreOptions = {
  readonly folder: string;
  /** `true`: this process serves the queue. `false`: an operator's command beside it. */
  readonly exclusive: boolean;
  /** How long writes wait while another process writes; the event loop goes on meanwhile. 10 s. */
  readonly busyTimeoutMs?: number;
  /** Bodies up to this size stand in the database, larger ones in a file each. 256 KiB. */
  readonly inlineBytes?: number;
  /** Name of the holder of leases; by default one that no other process has. */
  readonly owner?: string;
  /** Tells the time that leases begin at; the system's. */
  readonly clock?: () => number;
  /** Size limit of the database in pages of 4 KiB; at it the queue is as full as on a full disk. None. */
  readonly maxPages?: number;
};

/**
 * Opens the queue in a folder: `queue.sqlite` and `spool/`. A store that serves (`exclusive`) first puts right what a
 * process that died left: its leases are given back, failures that no sender was told of belong to the client that got
 * no reply (RFC 5321 §4.2.5) and are told to nobody, spool files without a row are deleted.
 * @throws StoreLockedError when another process serves the folder
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const lock = options.exclusive ? lockFolder(options.folder) : undefined;
  const clock = options.clock ?? Date.now;
  try {
    const { db, file } = openDatabase(options.folder);
    try {
      if (options.maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${Math.trunc(options.maxPages)}`);
      const spool = new Spool(join(options.folder, 'spool'), {
        prefix: options.exclusive ? 'serve-' : 'tool-',
        inlineBytes: options.inlineBytes ?? 256 * 1024,
      });
      await spool.prepare();
      const records = new Records(db);
      const intake = new Intake(db);
      const journal = new Journal(db);
      const settling = new Settling(db, intake, journal);
      if (options.exclusive) {
        db.exec('BEGIN IMMEDIATE');
        settling.recover(clock()); // the files that this drops are orphans below
        db.exec('COMMIT');
        await spool.deleteOrphans((name) => records.isSpooled(name), 'own-kind');
      }
      return new SqliteStore({ db, file, lock, spool, records, journal, intake, settling, clock, options });
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    lock?.close();
    throw error;
  }
}

type Parts = {
  readonly db: DatabaseSync;
  readonly file: string;
  readonly lock: DatabaseSync | undefined;
  readonly spool: Spool;
  readonly records: Records;
  readonly journal: Journal;
  readonly intake: Intake;
  readonly settling: Settling;
  readonly clock: () => number;
  readonly options: SqliteStoreOptions;
};

class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #lock: DatabaseSync | undefined;
  readonly #spool: Spool;
  readonly #records: Records;
  readonly #journal: Journal;
  readonly #commits: GroupCommit;
  readonly #checkpointer: Checkpointer | undefined;
  readonly #intake: Intake;
  readonly #settling: Settling;
  readonly #clock: () => number;
  readonly #owner: string;
  readonly #idSuffix = toBase36(randomBytes(4).readUInt32BE(), 3);
  #idTime: number;
  #idCount = 0;

  constructor({ db, file, lock, spool, records, journal, intake, settling, clock, options }: Parts) {
    this.#db = db;
    this.#clock = clock;
    this.#lock = lock;
    this.#spool = spool;
    this.#records = records;
    this.#journal = journal;
    this.#commits = new GroupCommit(db, { busyTimeoutMs: options.busyTimeoutMs ?? 10_000 });
    this.#checkpointer = options.exclusive ? new Checkpointer(file, db, this.#commits) : undefined;
    this.#intake = intake;
    this.#settling = settling;
    this.#owner = options.owner ?? `${process.pid}-${randomBytes(6).toString('hex')}`;
    this.#idTime = timeOfId(records.newestId());
  }

  accept(messages: readonly NewMessage[]): Promise<readonly Accepted[]> {
    const lease = this.#lease(this.#clock());
    // A message without deliveries is a record only: the file of its body is not wanted.
    const unwanted = messages.flatMap(({ body, deliveries }) =>
      body.kind === 'spool' && deliveries.length === 0 ? [body.file] : [],
    );
    return this.#commits.run(
      () => messages.map((message) => this.#intake.write(message, lease)),
      () => this.#spool.drop(unwanted),
    );
  }

  async claim(now: number, limit: number): Promise<readonly Claim[]> {
    if (limit < 1 || !this.#records.anyReady(now)) return []; // the usual answer costs no transaction
    return this.#commits.run(() => this.#records.claim(now, limit, this.#lease(now)));
  }

  nextDueAt(): number | undefined {
    return this.#records.nextDueAt();
  }

  settle(settlements: readonly Settlement[], dsns: readonly NewMessage[], now: number): Promise<void> {
    return this.#change(() => {
      const dropped = this.#settling.settle(settlements, now);
      this.#queue(dsns);
      return { dropped, value: undefined };
    });
  }

  tell(told: ReadonlyMap<number, Told>, dsns: readonly NewMessage[]): Promise<void> {
    return this.#change(() => {
      const dropped = this.#settling.tell(told, this.#clock());
      this.#queue(dsns);
      return { dropped, value: undefined };
    });
  }

  operate(
    action: OperatorAction,
    ids: readonly number[],
    now: number,
    failure?: { outcome: Outcome; told: Told; dsns: readonly NewMessage[] },
  ): Promise<ReadonlySet<number>> {
    if (action === 'fail' && failure === undefined) throw new TypeError('an operator fails deliveries with an outcome');
    const dsns = failure?.dsns ?? [];
    return this.#change(() => {
      if (dsns.length > 0 && !this.#settling.areFree(ids, now)) return { dropped: [], value: new Set<number>() };
      const { changed, dropped } = this.#settling.operate(action, ids, now, failure);
      this.#queue(dsns);
      return { dropped, value: changed };
    });
  }

  ledger(user: string, uid: string): readonly LedgerRow[] {
    return this.#records.ledger(user, uid);
  }

  spelling(user: string, uid: string): string | undefined {
    return this.#records.spelling(user, uid);
  }

  meeting(uid: string, organizer?: string): Meeting | undefined {
    return this.#journal.meeting(uid, organizer);
  }

  sendings(uid: string, filter?: SendingFilter): readonly Sending[] {
    return this.#journal.sendings(uid, filter);
  }

  sending(token: string): Sending | undefined {
    return this.#journal.sending(token);
  }

  message(queueId: string): { readonly message: Message; readonly deliveries: readonly Delivery[] } | undefined {
    return this.#records.message(queueId);
  }

  async body(queueId: string): Promise<Buffer> {
    const body = this.#records.body(queueId);
    return body.kind === 'inline' ? body.bytes : this.#spool.read(body.file);
  }

  bodyStream(queueId: string): Readable {
    const body = this.#records.body(queueId);
    return body.kind === 'inline' ? Readable.from([body.bytes], { objectMode: false }) : this.#spool.stream(body.file);
  }

  list(filter: ListFilter): readonly (Delivery & { readonly message: Message })[] {
    return this.#records.list(filter);
  }

  counts(): Readonly<Record<string, number>> {
    return this.#records.counts();
  }

  byMessageId(messageId: string): readonly Message[] {
    return this.#records.byMessageId(messageId);
  }

  passedTo(messageId: string, before?: string): readonly string[] {
    return this.#records.passedTo(messageId, before);
  }

  posted(peer: string, messageId: string): readonly Message[] {
    return this.#records.posted(peer, messageId);
  }

  async sweep(
    now: number,
    keep: { readonly historyMs: number; readonly plainHistoryMs: number; readonly ledgerMs: number },
  ): Promise<void> {
    const records = this.#records;
    const journal = this.#journal;
    const steps = [
      () => records.deleteSettled('calendar', now - keep.historyMs, SWEEP_CHUNK),
      () => records.deleteSettled('plain', now - keep.plainHistoryMs, SWEEP_CHUNK),
      () => records.deleteLedger(now - keep.ledgerMs, SWEEP_CHUNK),
      () => records.deleteSpellings(now - keep.ledgerMs, SWEEP_CHUNK),
      () => journal.deleteMeetings(now, SWEEP_CHUNK),
      () => journal.deleteSendings(now, SWEEP_CHUNK),
    ];
    for (const step of steps) while ((await this.#commits.run(step)) === SWEEP_CHUNK);
    await this.#spool.deleteOrphans((file) => records.isSpooled(file), now - ORPHAN_AGE_MS);
  }

  openBody(): BodyWriter {
    return this.#spool.openBody();
  }

  /**
   * Milliseconds, a counter within them and three digits of this process, in base 36. The clock may go back: ids do
   * not, not even over a restart.
   */
  newId(now: number): string {
    if (now > this.#idTime) {
      this.#idTime = now;
      this.#idCount = 0;
    } else if (++this.#idCount === 36 ** 2) {
      this.#idTime++;
      this.#idCount = 0;
    }
    return toBase36(this.#idTime, 9) + toBase36(this.#idCount, 2) + this.#idSuffix;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#commits.drain();
    await this.#checkpointer?.[Symbol.asyncDispose]();
    await this.#spool[Symbol.asyncDispose]();
    this.#db.close();
    this.#lock?.close();
  }

  #lease(now: number): Lease {
    return { owner: this.#owner, until: now + LEASE_MS };
  }

  /** New messages that no caller takes a lease of. */
  #queue(messages: readonly NewMessage[]): void {
    for (const message of messages) this.#intake.write(message, undefined);
  }

  /** A transaction that may drop bodies; their files go once it has committed. */
  async #change<T>(work: () => { readonly dropped: readonly string[]; readonly value: T }): Promise<T> {
    return (await this.#commits.run(work, ({ dropped }) => this.#spool.drop(dropped))).value;
  }
}

function toBase36(value: number, digits: number): string {
  return value.toString(36).toUpperCase().padStart(digits, '0').slice(-digits);
}

/** When an id was made, 0 for none. */
function timeOfId(id: string | undefined): number {
  const time = Number.parseInt(id?.slice(0, 9) ?? '', 36);
  return Number.isSafeInteger(time) ? time : 0;
}
