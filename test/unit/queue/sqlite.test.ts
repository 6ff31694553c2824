import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSqliteStore, type SqliteStoreOptions } from '../../../src/queue/sqlite.ts';
import { type Store, StoreFullError, StoreLockedError } from '../../../src/queue/store.ts';
import { CONTENT, DAY, DELIVERED, FAILED, incoming, MINUTE, mail, message, NOW, post } from './samples.ts';

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
      /queue\.sqlite has version 99, this program knows up to 4/,
    );
    // Nothing stays locked after the refusal.
    await expect(openSqliteStore({ folder, exclusive: true })).rejects.toThrow(/version 99/);
  });
});

describe('a queue of the version before the journal', () => {
  test('is read as it stood, and learns of meetings', async () => {
    const db = new DatabaseSync(join(folder, 'queue.sqlite'));
    for (const version of ['0001', '0002', '0003'])
      db.exec(await readFile(new URL(`../../../src/queue/schema/sqlite/${version}.sql`, import.meta.url), 'utf8'));
    const { client, envelope } = message('A1');
    db.prepare(`INSERT INTO messages
      (seq, id, received_at, calendar, mode, origin, listener, size, eight_bit, passes, body, client, envelope)
      VALUES (1, 'A1', ?, 1, 'filter', 'outside', 'mx', ?, 0, 0, 'inline', ?, ?)`).run(
      NOW,
      CONTENT.length,
      JSON.stringify(client),
      JSON.stringify(envelope),
    );
    db.prepare('INSERT INTO bodies (message, bytes) VALUES (1, ?)').run(CONTENT);
    db.exec(`INSERT INTO deliveries
        (id, message, position, kind, route, state, blocked, recipient, user, uid, created_at, due_at, attempts, held_ms)
      VALUES (1, 1, 0, 'mail', 'next-hop', 'queued', 0, 'bob@example.com', '', NULL, ${NOW}, ${NOW}, 0, 0);
      PRAGMA user_version = 3`);
    db.close();

    const store = await open();
    expect(store.message('A1')?.message).toEqual(message('A1'));
    const meeting = {
      ...{ uid: 'tea', organizer: 'ann@example.com', attendees: [{ address: 'bob@example.org' }] },
      ...{ told: { '': 'Tea' }, keepUntil: NOW },
    };
    await store.settle([{ id: 1, state: 'delivered', attempted: true, journal: { meeting } }], [], NOW);
    expect(store.meeting('tea')).toEqual(meeting);
  });
});

describe('a queue of the version before lists and moves', () => {
  /** `queue.sqlite` as that version left it: of one user a post tried once, held since, two behind it, and one mail. */
  async function writeOldQueue(): Promise<void> {
    const db = new DatabaseSync(join(folder, 'queue.sqlite'));
    db.exec(await readFile(new URL('../../../src/queue/schema/sqlite/0001.sql', import.meta.url), 'utf8'));
    const { client, envelope } = message('A1');
    const insert = db.prepare(`INSERT INTO messages
      (seq, id, received_at, calendar, mode, origin, listener, size, eight_bit, passes, body, client, envelope)
      VALUES (?, ?, ?, 1, 'filter', 'outside', 'mx', ?, 0, 0, 'inline', ?, ?)`);
    for (const [seq, id] of [
      [1, 'A1'],
      [2, 'A2'],
      [3, 'A3'],
    ] as const) {
      insert.run(seq, id, NOW, CONTENT.length, JSON.stringify(client), JSON.stringify(envelope));
      db.prepare('INSERT INTO bodies (message, bytes) VALUES (?, ?)').run(seq, CONTENT);
    }
    db.exec(`
      INSERT INTO deliveries
        (id, message, position, kind, route, state, blocked, recipient, user, uid, created_at, due_at, attempts, held_at, held_ms)
      VALUES
        (1, 1, 0, 'post', 'calendar', 'held',   0, 'bob@example.com', 'bob@example.com', 'tea', ${NOW}, ${NOW}, 1, ${NOW}, 7),
        (2, 2, 0, 'post', 'calendar', 'queued', 1, 'bob@example.com', 'bob@example.com', 'tea', ${NOW}, ${NOW}, 0, NULL,   0),
        (3, 3, 0, 'post', 'calendar', 'queued', 1, 'bob@example.com', 'bob@example.com', 'tea', ${NOW}, ${NOW}, 0, NULL,   0),
        (4, 3, 0, 'mail', 'next-hop', 'queued', 0, 'bob@example.com', '',                NULL,  ${NOW}, ${NOW}, 2, NULL,   0);
      PRAGMA user_version = 1`);
    db.close();
  }

  test('is read as it stood: what it held, in order, with the lifetime that had begun', async () => {
    await writeOldQueue();
    const store = await open();
    const common = {
      position: 0,
      kind: 'post',
      route: 'calendar',
      recipient: 'bob@example.com',
      user: 'bob@example.com',
      uid: 'tea',
      createdAt: NOW,
      dueAt: NOW,
      answers: 0,
      released: false,
      decisions: [],
    };
    expect(['A1', 'A2', 'A3'].flatMap((id) => store.message(id)?.deliveries ?? [])).toEqual([
      {
        ...common,
        id: 1,
        queueId: 'A1',
        state: 'held',
        blocked: false,
        startedAt: NOW,
        attempts: 1,
        heldAt: NOW,
        heldMs: 7,
      },
      { ...common, id: 2, queueId: 'A2', state: 'queued', blocked: true, attempts: 0, heldMs: 0 },
      { ...common, id: 3, queueId: 'A3', state: 'queued', blocked: true, attempts: 0, heldMs: 0 },
      {
        id: 4,
        queueId: 'A3',
        position: 0,
        kind: 'mail',
        route: 'next-hop',
        recipient: 'bob@example.com',
        state: 'queued',
        createdAt: NOW,
        dueAt: NOW,
        blocked: false,
        released: false,
        attempts: 2,
        answers: 0,
        heldMs: 0,
        decisions: [],
      },
    ]);
    expect(store.message('A1')?.message).toEqual(message('A1'));
  });

  test('is served: all of it is delivered, in order, and new posts stand behind it', async () => {
    await writeOldQueue();
    const store = await open({ clock: () => NOW });
    await store.accept([incoming('A4', [post({ uid: 'tea', user: 'bob@example.com' })])]);
    await store.operate('release', [1], NOW);
    const rounds: (readonly number[])[] = [];
    for (;;) {
      const ids = (await store.claim(NOW, 10)).flatMap(({ deliveries }) => deliveries.map(({ id }) => id));
      if (ids.length === 0) break;
      rounds.push(ids);
      await store.settle(
        ids.map((id) => ({ id, state: 'delivered', attempted: true })),
        [],
        NOW,
      );
    }
    expect(rounds).toEqual([[1, 4], [2], [3], [5]]);
    await expect(store.body('A1')).rejects.toThrow('the body of message A1 is gone');
  });
});

describe('a queue of the version before posts of peers', () => {
  test('is read as it stood, and takes posts', async () => {
    const db = new DatabaseSync(join(folder, 'queue.sqlite'));
    for (const script of ['0001', '0002'])
      db.exec(await readFile(new URL(`../../../src/queue/schema/sqlite/${script}.sql`, import.meta.url), 'utf8'));
    const { client, envelope } = message('A1');
    db.prepare(`INSERT INTO messages
      (seq, id, received_at, calendar, mode, origin, listener, message_id, size, eight_bit, passes, body, client, envelope)
      VALUES (1, 'A1', ?, 1, 'filter', 'outside', 'mx', '<1@example.org>', ?, 0, 0, 'inline', ?, ?)`).run(
      NOW,
      CONTENT.length,
      JSON.stringify(client),
      JSON.stringify(envelope),
    );
    db.exec('PRAGMA user_version = 2');
    db.close();
    const store = await open();
    expect(store.message('A1')?.message).toEqual(message('A1', undefined, { messageId: '<1@example.org>' }));
    const posted = { peer: 'cyrus', digest: 'abc' };
    await store.accept([
      incoming('A2', [post()], { message: { mode: 'relay', messageId: '<1@example.org>', posted } }),
    ]);
    expect(store.posted('cyrus', '<1@example.org>').map(({ id }) => id)).toEqual(['A2']);
  });

  test('finds posts by an index that knows peer and id', async () => {
    await close(await open());
    const db = new DatabaseSync(join(folder, 'queue.sqlite'));
    const plan = db
      .prepare(
        'EXPLAIN QUERY PLAN SELECT id FROM messages WHERE message_id = ? AND peer = ? ORDER BY seq DESC LIMIT 20',
      )
      .all('one', 'cyrus')
      .map(({ detail }) => detail);
    db.close();
    expect(plan).toEqual(['SEARCH messages USING INDEX messages_posted (message_id=? AND peer=?)']);
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
