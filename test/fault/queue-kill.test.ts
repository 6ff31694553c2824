import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSqliteStore } from '../../src/queue/sqlite.ts';

const CHILD = fileURLToPath(new URL('./queue-kill-child.ts', import.meta.url));
const INLINE_BYTES = 50_000;
const ROUNDS = 8;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imipd-kill-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Lets a child accept messages into the folder and kills it at a random moment. @returns the lines it printed */
async function killedAtRandom(): Promise<readonly string[]> {
  const child = spawn(process.execPath, [CHILD, folder, String(INLINE_BYTES)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  const rest = text(child.stdout);
  await wait(Math.random() * 400);
  child.kill('SIGKILL');
  const [, signal] = await ended;
  expect(signal).toBe('SIGKILL'); // else it had ended by itself, and nothing was tested
  return `${first.toString()}${await rest}`.split('\n').filter((line) => line !== '');
}

test('whatever a killed process had promised is in the queue, whole, and nothing else is left', {
  timeout: 120_000,
}, async () => {
  const accepted = new Set<string>();
  const settled = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const lines = await killedAtRandom();
    for (const line of lines) (line.endsWith('!') ? settled : accepted).add(line.replace('!', ''));

    const db = new DatabaseSync(join(folder, 'queue.sqlite'));
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
    db.close();
  }
  expect(accepted.size).toBeGreaterThan(ROUNDS);

  const store = await openSqliteStore({ folder, exclusive: true, inlineBytes: INLINE_BYTES });
  const missing: string[] = [];
  let large = 0;
  for (const id of accepted) {
    const found = store.message(id);
    const state = found?.deliveries[0]?.state;
    // A settlement may have been committed without a word of it; never the other way round.
    if (state === 'delivered' && !settled.has(id)) continue;
    if (state !== (settled.has(id) ? 'delivered' : 'queued')) missing.push(`${id}: ${state}`);
    if (state !== 'queued') continue;
    const body = await store.body(id);
    if (!body.toString('latin1').startsWith(`Subject: ${id}\r\n\r\n${id}`)) missing.push(`${id}: another body`);
    if (body.length > INLINE_BYTES) large++;
  }
  expect(missing).toEqual([]);
  expect(large).toBeGreaterThan(0);

  // No file that nobody owns, no lease of the dead: what is open can be claimed.
  const open = store.list({ states: ['queued'] });
  const spooled = await Promise.all(open.map(async ({ queueId }) => (await store.body(queueId)).length > INLINE_BYTES));
  expect(await readdir(join(folder, 'spool'))).toHaveLength(spooled.filter(Boolean).length);
  expect(await store.claim(Date.now(), open.length + 1)).toHaveLength(open.length);
  await store[Symbol.asyncDispose]();
});
