import { extname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import type { CheckpointOptions, CheckpointOrder, CheckpointRequest } from './checkpoint.ts';
import type { GroupCommit } from './sqlite-commit.ts';

// The log stays below restartBytes and what the fastest writer adds in one interval and one pass.
const DEFAULTS = { intervalMs: 100, startBytes: 4 << 20, restartBytes: 32 << 20 };
// Longest time commits wait for the worker; a disk that takes longer lets the log grow instead.
const PAUSE_LIMIT_MS = 2000;

/** Keeps the write-ahead log short by a worker thread (`checkpoint.ts`). */
export class Checkpointer {
  readonly #worker: Worker;
  readonly #commits: GroupCommit;
  readonly #exited: Promise<void>;
  #guard: NodeJS.Timeout | undefined;

  constructor(file: string, db: DatabaseSync, commits: GroupCommit) {
    this.#commits = commits;
    // `.ts` in a checkout, `.js` in the package.
    const program = new URL(`./checkpoint${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(program, { workerData: { file, ...DEFAULTS } satisfies CheckpointOptions });
    this.#worker.unref();
    this.#worker.on('message', (request: CheckpointRequest) => (request === 'pause' ? this.#pause() : this.#resume()));
    // Without the worker the log would grow for ever: SQLite's own checkpoints, on the main thread, are slower but right.
    this.#worker.on('error', () => {
      db.exec('PRAGMA wal_autocheckpoint = 1000');
      this.#resume();
    });
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
  }

  /** Moves the whole log into the database file and ends the worker. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.ref();
    this.#order('close');
    await this.#exited;
    this.#resume();
  }

  #pause(): void {
    this.#commits.pause();
    this.#guard = setTimeout(() => this.#resume(), PAUSE_LIMIT_MS);
    this.#order('paused'); // a transaction never outlives a turn of the loop, so none is open here
  }

  #resume(): void {
    clearTimeout(this.#guard);
    this.#commits.resume();
  }

  #order(order: CheckpointOrder): void {
    this.#worker.postMessage(order);
  }
}
