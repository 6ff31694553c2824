/**
 * A worker thread that moves the write-ahead log into the database file, so that the event loop never waits for it.
 * `sqlite-checkpoint.ts` starts it.
 *
 * A PASSIVE checkpoint never stops a writer, but it does not bound the log either: the log starts again at its
 * beginning only when a writer finds all of it moved, and under constant load some of it never is. So once the log is
 * long the worker first moves what there is, then asks the main thread to begin no transaction, moves the rest (what
 * was written meanwhile), and lets it go on; the next writer starts at the beginning. Commits wait for some
 * milliseconds then; the event loop does not.
 */
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

export type CheckpointOptions = {
  readonly file: string;
  /** How often the log is looked at. */
  readonly intervalMs: number;
  /** Move pages once the log has grown by this much. */
  readonly startBytes: number;
  /** Make the log start at its beginning once it is this long. */
  readonly restartBytes: number;
};

/** To the main thread: begin no transaction; go on. */
export type CheckpointRequest = 'pause' | 'resume';
/** From the main thread: no transaction is open and none begins; empty the log and end. */
export type CheckpointOrder = 'paused' | 'close';

type Progress = { readonly log: number; readonly checkpointed: number };

if (parentPort !== null) run(parentPort, workerData as CheckpointOptions);

function run(port: NonNullable<typeof parentPort>, options: CheckpointOptions): void {
  const db = new DatabaseSync(options.file, { timeout: 1000 });
  // FULL also here: a page must not reach the database file before the log that holds it is on the disk.
  db.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864');
  const look = db.prepare('PRAGMA wal_checkpoint(NOOP)');
  const move = db.prepare('PRAGMA wal_checkpoint(PASSIVE)');
  const pageBytes = Number(db.prepare('PRAGMA page_size').get()?.page_size);
  let asked = false;
  let timer = setTimeout(tick, options.intervalMs);

  function tick(): void {
    const { log, checkpointed } = look.get() as Progress;
    const pendingBytes = (log - checkpointed) * pageBytes;
    if (pendingBytes > options.startBytes) move.get();
    if (!asked && pendingBytes > 0 && log * pageBytes > options.restartBytes) {
      asked = true;
      port.postMessage('pause' satisfies CheckpointRequest);
    }
    timer = setTimeout(tick, options.intervalMs);
  }

  port.on('message', (order: CheckpointOrder) => {
    if (order === 'paused') {
      move.get();
      asked = false;
      port.postMessage('resume' satisfies CheckpointRequest);
      return;
    }
    clearTimeout(timer);
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    db.close();
    port.close();
  });
}
