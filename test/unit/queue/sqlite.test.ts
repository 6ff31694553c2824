import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSqliteStore, type SqliteStoreOptions } from '../../../src/queue/sqlite.ts';
import { type Store, StoreFullError, StoreLockedError } from '../../../src/queue/store.ts';
import { DAY, DELIVERED, FAILED, incoming, MINUTE, mail, NOW } from './samples.ts';

let folder: string;
const opened: Store[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imipd-sqlite-'));
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function open(options: Partial<SqliteStoreOptions> = {}): Promise<Store> {
  const store = await openSqliteStore({ folder, exclusive: true, ...options });
  opened.push(store);
  return store;
}
async function close(store: Store): Promise<void> {
  opened.splice(opened.indexOf(store), 1);
  await store[Symbol.asyncDispose]();
}
async function spooled(): Promise<readonly string[]> {
  return readdir(join(folder, 'spool'));
}
async function bigBody(store: Store, bytes = 400_000) {
  const writer = store.openBody();
  await writer.write(Buffer.alloc(bytes, 'x'));
  return { writer, body: await writer.finish() };
}

describe('the lock', () => {
  test('a folder that is served is refused to a second server, with what to do', async () => {
    await open();
    const second = openSqliteStore({ folder, exclusive: true });
    await expect(second).rejects.toThrow(StoreLockedError);
    await expect(second).rejects.toThrow(`the queue in ${folder} is served by another process: stop that one first`);
  });

  test('a folder can be served again once its server has closed it', async () => {
    await close(await open());
    await open();
  });

  test('an operator’s command opens a folder that is served, and takes no lease away', async () => {
    const server = await open();
    await server.accept([incoming('A1', [mail({ claim: true, dueAt: 0 })])]);
    const tool = await open({ exclusive: false });
    expect(tool.message('A1')?.deliveries).toHaveLength(1);
    expect(await tool.claim(Date.now(), 10)).toEqual([]);
  });

  test('two processes write the same queue without losing anything', async () => {
    const stores = [await open(), await open({ exclusive: false })];
    await Promise.all(
      stores.flatMap((store, s) =>
        Array.from({ length: 50 }, (_, i) => turn().then(() => store.accept([incoming(`S${s}N${i}`)]))),
      ),
    );
    expect(stores[0]?.counts()['mail.queued']).toBe(100);
  });
});

describe('the files', () => {
  test('are for their owner only', async () => {
    const store = await open({ folder: join(folder, 'state') });
    await store.accept([incoming('A1')]);
    await bigBody(store);
    const modes = new Map<string, string>();
    for (const name of await readdir(join(folder, 'state'), { recursive: true })) {
      modes.set(name.replace(/serve-.*/, '*'), ((await stat(join(folder, 'state', name))).mode & 0o777).toString(8));
    }
    expect(((await stat(join(folder, 'state'))).mode & 0o777).toString(8)).toBe('700');
    expect(Object.fromEntries(modes)).toEqual({
      'queue.sqlite': '600',
      'queue.sqlite-shm': '600',
      'queue.sqlite-wal': '600',
      'serve.lock': '600',
      spool: '700',
      'spool/*': '600',
    });
  });

  test('of a newer version are refused by name and version', async () => {
    await close(await open());
    const db = new DatabaseSync(join(folder, 'queue.sqlite'));
    db.exec('PRAGMA user_version = 99');
    db.close();
    await expect(openSqliteStore({ folder, exclusive: true })).rejects.toThrow(
      /queue\.sqlite has version 99, this program knows up to 1/,
    );
    // Nothing stays locked after the refusal.
    await expect(openSqliteStore({ folder, exclusive: true })).rejects.toThrow(/version 99/);
  });
});

describe('the spool', () => {
  test('loses the file of a large body once its message is settled', async () => {
    const store = await open();
    const { body } = await bigBody(store);
    const [accepted] = await store.accept([incoming('A1', [mail()], { body })]);
    expect(await spooled()).toEqual([body.kind === 'spool' && body.file]);
    await store.settle(
      [{ id: accepted!.deliveries[0]!.id, state: 'delivered', outcome: DELIVERED, attempted: true }],
      [],
      NOW,
    );
    await close(store);
    expect(await spooled()).toEqual([]);
  });

  test('keeps the file when the settlement cannot be stored', async () => {
    const store = await open();
    const { body } = await bigBody(store);
    const [accepted] = await store.accept([incoming('A1', [mail()], { body })]);
    const settlement = { id: accepted!.deliveries[0]!.id, state: 'delivered' as const, attempted: true };
    await expect(store.settle([settlement], [incoming('D1', [mail({ position: 9 })])], NOW)).rejects.toThrow(
      RangeError,
    );
    expect(await store.body('A1')).toHaveLength(400_000);
  });

  test('has no file for a body that was given up', async () => {
    const store = await open();
    const { writer } = await bigBody(store);
    await writer.abort();
    expect(await spooled()).toEqual([]);
  });

  test('at the start of a server loses the orphans of the one before, and no file that is owned or an operator’s', async () => {
    const before = await open();
    const { body } = await bigBody(before);
    await before.accept([incoming('A1', [mail()], { body })]);
    await bigBody(before); // never accepted
    await close(before);
    await writeFile(join(folder, 'spool', 'tool-1'), 'being written by a command');
    const server = await open();
    expect(await spooled()).toEqual([body.kind === 'spool' && body.file, 'tool-1']);
    await server.sweep(Date.now() + DAY, { historyMs: DAY, plainHistoryMs: DAY, ledgerMs: DAY });
    expect(await spooled()).toEqual([body.kind === 'spool' && body.file]);
  });
});

// A full disk is played by a limit on the pages of the database: SQLite reports both as SQLITE_FULL, and a small file
// system cannot be mounted on every machine that runs the tests.
describe('a full queue', () => {
  async function fill(store: Store): Promise<{ readonly accepted: string[]; readonly error: unknown }> {
    const accepted: string[] = [];
    for (let i = 0; ; i++) {
      const id = `A${String(i).padStart(4, '0')}`;
      try {
        await store.accept([incoming(id, [mail()], { body: { kind: 'inline', bytes: Buffer.alloc(20_000) } })]);
        accepted.push(id);
      } catch (error) {
        return { accepted, error };
      }
    }
  }

  test('refuses with StoreFullError, keeps what it has, nothing half, and takes mail again once there is room', async () => {
    const store = await open({ maxPages: 200 });
    const { accepted, error } = await fill(store);
    expect(error).toBeInstanceOf(StoreFullError);
    expect(accepted.length).toBeGreaterThan(5);
    expect(store.list({}).map(({ queueId }) => queueId)).toEqual(accepted);
    for (const id of accepted) expect(await store.body(id)).toHaveLength(20_000);

    const settled = store.list({}).map(({ id }) => ({ id, state: 'delivered' as const, attempted: true }));
    await store.settle(settled, [], NOW);
    await store.accept([incoming('B1')]);
    expect(store.message('B1')).toBeDefined();
  });

  test('fails only what does not fit of concurrent calls', async () => {
    const store = await open({ maxPages: 200 });
    await fill(store);
    const large = store.accept([
      incoming('LARGE', [mail()], { body: { kind: 'inline', bytes: Buffer.alloc(200_000) } }),
    ]);
    const [id] = store.list({ limit: 1 }).map((delivery) => delivery.id);
    const settling = store.settle(
      [{ id: id!, state: 'failed', outcome: FAILED, told: 'nobody', attempted: true }],
      [],
      NOW,
    );
    await expect(large).rejects.toThrow(StoreFullError);
    await settling;
    expect(store.list({ states: ['failed'] })).toHaveLength(1);
  });
});

describe('writing while another process writes', () => {
  test('waits without stopping the loop, and succeeds when the other is done', async () => {
    const store = await open();
    const other = new DatabaseSync(join(folder, 'queue.sqlite'));
    other.exec('BEGIN IMMEDIATE');
    const accepting = store.accept([incoming('A1')]);
    let turns = 0;
    for (; turns < 100; turns++) await turn();
    expect(store.message('A1')).toBeUndefined();
    other.exec('COMMIT');
    other.close();
    await accepting;
    expect(store.message('A1')).toBeDefined();
  });

  test('rejects when the other holds on for too long, and stores nothing', async () => {
    const store = await open({ busyTimeoutMs: 0 });
    const other = new DatabaseSync(join(folder, 'queue.sqlite'));
    other.exec('BEGIN IMMEDIATE');
    await expect(store.accept([incoming('A1')])).rejects.toThrow('locked');
    other.exec('COMMIT');
    other.close();
    expect(store.message('A1')).toBeUndefined();
    await store.accept([incoming('A1')]);
  });
});

describe('the write-ahead log', () => {
  test('is emptied into the database at the end', async () => {
    const store = await open();
    await store.accept([incoming('A1')]);
    await close(store);
    expect(await readdir(folder)).toEqual(['queue.sqlite', 'serve.lock', 'spool']);
  });

  test('stays bounded while messages never stop coming', async () => {
    const store = await open();
    const body = { kind: 'inline' as const, bytes: Buffer.alloc(200_000) };
    let largest = 0;
    // 300 MB through a log that starts again at 32 MB.
    for (let i = 0; i < 1500; i++) {
      const [accepted] = await store.accept([incoming(`A${i}`, [mail()], { body })]);
      await store.settle([{ id: accepted!.deliveries[0]!.id, state: 'delivered', attempted: true }], [], NOW + MINUTE);
      if (i % 50 === 0) largest = Math.max(largest, (await stat(join(folder, 'queue.sqlite-wal'))).size);
    }
    expect(largest).toBeGreaterThan(32 << 20);
    expect(largest).toBeLessThan(100 << 20);
  });
});
