import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { StoreLockedError } from './store.ts';

// Readers meet a lock only while another process opens or closes the file for the first or last time. Writers wait
// without stopping the loop (sqlite-commit.ts), so SQLite's own waiting, which does stop it, stays short.
const LOCK_WAIT_MS = 100;
const OPENING_WAIT_MS = 5000;
const SCHEMA = fileURLToPath(new URL('./schema/sqlite/', import.meta.url));

/**
 * Opens the queue's database, creating folder (0700), file (0600) and tables where they are missing.
 * @throws when the file was written by a newer version
 */
export function openDatabase(folder: string): { readonly db: DatabaseSync; readonly file: string } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'queue.sqlite');
  createPrivately(file);
  const db = new DatabaseSync(file, { timeout: OPENING_WAIT_MS });
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY`);
    migrate(db, file);
    db.exec(`PRAGMA busy_timeout = ${LOCK_WAIT_MS}`);
  } catch (error) {
    db.close();
    throw error;
  }
  return { db, file };
}

/**
 * Takes the right to serve this folder; the system takes it back when the process ends, however it ends.
 * @returns the lock, held until it is closed
 * @throws StoreLockedError when another process holds it
 */
export function lockFolder(folder: string): DatabaseSync {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'serve.lock');
  createPrivately(file);
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE'); // nothing is ever written, so no journal file either
  } catch (error) {
    lock.close();
    if (!(error instanceof Error && error.message.includes('locked'))) throw error;
    throw new StoreLockedError(
      `the queue in ${folder} is served by another process: stop that one first, or give this one a folder of its own`,
      { cause: error },
    );
  }
  return lock;
}

/** SQLite gives its log and index the mode of the file. One that stands is not opened: closing it would drop its locks. */
function createPrivately(file: string): void {
  try {
    closeSync(openSync(file, 'ax', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

/** Runs the numbered files above the version the database has. */
function migrate(db: DatabaseSync, file: string): void {
  const scripts = readdirSync(SCHEMA)
    .filter((name) => /^\d{4}\.sql$/.test(name))
    .sort();
  const newest = Number(scripts.at(-1)?.slice(0, 4) ?? 0);
  if (versionOf(db) === newest) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = versionOf(db); // again: another process may have been here first
    if (version > newest) {
      throw new Error(`${file} has version ${version}, this program knows up to ${newest}: start the newer program`);
    }
    for (const name of scripts) {
      if (Number(name.slice(0, 4)) > version) db.exec(readFileSync(join(SCHEMA, name), 'utf8'));
    }
    db.exec(`PRAGMA user_version = ${newest}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.user_version);
}
