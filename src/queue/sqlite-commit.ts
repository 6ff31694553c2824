import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { StoreFullError } from './store.ts';

// Work that one transaction takes at most: the loop stands still from BEGIN to the end of the fsync.
const GROUP_LIMIT = 64;
const BUSY_PAUSE_MS = 10;
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

type Work = { readonly attempt: () => void; readonly resolve: () => void; readonly reject: (error: unknown) => void };

/**
 * Group commit: what is asked for in one turn of the event loop is written in one transaction with one fsync.
 * With one fsync each, 32 sessions would share what one disk gives one session.
 */
export class GroupCommit {
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #db: DatabaseSync;
  readonly #busyTimeoutMs: number;
  #waiting: Work[] = [];
  #scheduled = false;
  #paused = false;
  #busySince: number | undefined;
  #idle: (() => void)[] = [];

  /** @param options.busyTimeoutMs how long writes wait for another process that writes, before they reject */
  constructor(db: DatabaseSync, options: { readonly busyTimeoutMs: number }) {
    this.#db = db;
    this.#busyTimeoutMs = options.busyTimeoutMs;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
    this.#rollback = db.prepare('ROLLBACK');
  }

  /**
   * Runs `work` in a transaction it may share with others. It runs again, alone, when another of them throws, so it
   * keeps nothing from its first run.
   * @param committed called once its changes are durable, before the promise resolves
   * @returns what `work` returned; rejects with what it threw, and then nothing of it is stored
   */
  run<T>(work: () => T, committed?: (value: T) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let value: T;
      this.#waiting.push({
        attempt: () => {
          value = work();
        },
        resolve: () => {
          committed?.(value);
          resolve(value);
        },
        reject,
      });
      this.#schedule();
    });
  }

  /** Begins no transaction until `resume`; the loop goes on. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#schedule();
  }

  /** Resolves when nothing waits to be written. */
  drain(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#paused) return;
    const group = this.#waiting.splice(0, GROUP_LIMIT);
    if (!this.#write(group)) return;
    if (this.#waiting.length > 0) this.#schedule();
    else for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** @returns false when the group went back to wait for another process */
  #write(group: readonly Work[]): boolean {
    try {
      this.#begin.run();
      this.#busySince = undefined;
    } catch (error) {
      if (isBusy(error) && this.#waitForOther(group)) return false;
      for (const work of group) work.reject(asStoreError(error));
      return true;
    }
    try {
      for (const work of group) work.attempt();
      this.#commit.run();
    } catch (error) {
      // SQLite has rolled back by itself after some errors, a full disk among them.
      if (this.#db.isTransaction) this.#rollback.run();
      const only = group.length === 1 ? group[0] : undefined;
      if (only !== undefined) only.reject(asStoreError(error));
      // One of them is at fault: each alone, so that the others are not.
      else this.#writeEach(group);
      return true;
    }
    for (const work of group) work.resolve();
    return true;
  }

  #writeEach(group: readonly Work[]): void {
    for (const [index, work] of group.entries()) {
      if (this.#write([work])) continue;
      this.#waiting.splice(1, 0, ...group.slice(index + 1)); // the one that waits stands first
      return;
    }
  }

  /** Puts the group back for a moment. SQLite's own waiting would stop the event loop. */
  #waitForOther(group: readonly Work[]): boolean {
    const now = performance.now();
    this.#busySince ??= now;
    if (now - this.#busySince >= this.#busyTimeoutMs) {
      this.#busySince = undefined;
      return false;
    }
    this.#waiting.unshift(...group);
    this.#scheduled = true;
    setTimeout(() => this.#flush(), BUSY_PAUSE_MS);
    return true;
  }
}

function isBusy(error: unknown): boolean {
  return resultCode(error) === SQLITE_BUSY;
}

/** A full disk as the StoreFullError it is; any other error as it came. */
export function asStoreError(error: unknown): unknown {
  if (resultCode(error) !== SQLITE_FULL) return error;
  return new StoreFullError('no space left for the queue', { cause: error });
}

/** SQLite's primary result code; undefined when the error is none of SQLite's. */
function resultCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;
}
