/**
 * Accepts messages as fast as it can until it is killed, and prints the id of each one whose acceptance was promised.
 * Every tenth has a body that is spooled; every third is settled at once and printed again, with an exclamation mark.
 */
import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import { DELIVERED, incoming, mail } from '../unit/queue/samples.ts';

const CALLERS = 16;
const [folder = '', inlineBytes = '0'] = process.argv.slice(2);
const store = await openSqliteStore({ folder, exclusive: true, inlineBytes: Number(inlineBytes) });
let count = 0;

async function run(): Promise<void> {
  for (;;) {
    const n = count++;
    const id = store.newId(Date.now());
    const writer = store.openBody();
    await writer.write(Buffer.from(`Subject: ${id}\r\n\r\n`));
    await writer.write(Buffer.alloc(n % 10 === 0 ? Number(inlineBytes) : 1000, id));
    const body = await writer.finish();
    const [accepted] = await store.accept([incoming(id, [mail({ claim: true })], { body })]);
    writeSync(1, `${id}\n`); // a pipe's buffer outlives the process
    if (n % 3 !== 0) continue;
    const settlements = (accepted?.deliveries ?? []).map((delivery) => ({
      id: delivery.id,
      state: 'delivered' as const,
      outcome: DELIVERED,
      attempted: true,
    }));
    await store.settle(settlements, [], Date.now());
    writeSync(1, `${id}!\n`);
  }
}

await Promise.all(Array.from({ length: CALLERS }, run));
