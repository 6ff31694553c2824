import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Log, silentLog } from '../../../src/observe/log.ts';
import { Runner, type RunnerOptions } from '../../../src/queue/runner.ts';
import { openSqliteStore } from '../../../src/queue/sqlite.ts';
import { type Claim, type Store, StoreFullError } from '../../../src/queue/store.ts';
import { DELIVERED, HOUR, incoming, MINUTE, mail, NOW, post } from './samples.ts';

let folder: string;
let store: Store;
let now: number;
let runner: Runner;

beforeEach(async () => {
  now = NOW;
  folder = await mkdtemp(join(tmpdir(), 'imipd-runner-'));
  store = await openSqliteStore({ folder, exclusive: true, clock: () => now });
});
afterEach(async () => {
  await runner.stop(0);
  await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** A runner that looks at the queue by itself only when something is due or poked. */
function start(attempt: RunnerOptions['attempt'], more: Partial<RunnerOptions> = {}): Runner {
  runner = new Runner({ store, attempt, concurrency: 10, pollMs: HOUR, clock: () => now, log: silentLog, ...more });
  runner.start();
  return runner;
}

async function deliver(claim: Claim): Promise<void> {
  const settlements = claim.deliveries.map(({ id }) => ({
    id,
    state: 'delivered' as const,
    outcome: DELIVERED,
    attempted: true,
  }));
  await store.settle(settlements, [], now);
}

/** Resolves once so many calls have been made of what it wraps. */
function counted<A extends readonly unknown[]>(times: number, call: (...args: A) => Promise<void>) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  const wrapped = async (...args: A): Promise<void> => {
    calls++;
    try {
      await call(...args);
    } finally {
      if (calls === times) resolve();
    }
  };
  return { wrapped, all: promise };
}

/** A log that keeps what is said at `error`. */
function errorsOf(lines: unknown[][]): Log {
  return {
    ...silentLog,
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (...args: unknown[]) => void lines.push(args),
  };
}

describe('a runner', () => {
  test('attempts what is due when it starts, a message at a time', async () => {
    await store.accept([incoming('A1', [post({ uid: 'x' }), mail()]), incoming('A2')]);
    const claims: string[][] = [];
    const { wrapped, all } = counted(2, async (claim: Claim) => {
      claims.push([claim.message.id, ...claim.deliveries.map(({ kind }) => kind)]);
      await deliver(claim);
    });
    start(wrapped);
    await all;
    expect(claims).toEqual([
      ['A1', 'post', 'mail'],
      ['A2', 'mail'],
    ]);
  });

  test('attempts nothing before it is started', async () => {
    await store.accept([incoming('A1')]);
    runner = new Runner({ store, attempt: deliver, concurrency: 1, pollMs: 1, clock: () => now, log: silentLog });
    runner.poke();
    await runner.stop(0);
    expect(store.counts()['mail.queued']).toBe(1);
  });

  test('attempts what is accepted later when it is poked', async () => {
    const { wrapped, all } = counted(1, deliver);
    start(wrapped);
    await store.accept([incoming('A1')]);
    runner.poke();
    await all;
    expect(store.counts()['mail.queued']).toBe(0);
  });

  test('sees by itself what another process has made due', async () => {
    const [accepted] = await store.accept([incoming('A1', [mail({ dueAt: NOW + HOUR })])]);
    const { wrapped, all } = counted(1, deliver);
    start(wrapped, { pollMs: 5 });
    await store.operate('retry', [accepted!.deliveries[0]!.id], now);
    await all;
  });

  test('wakes when something falls due', async () => {
    await store.accept([incoming('A1', [mail({ dueAt: Date.now() + 30 })])]);
    const { wrapped, all } = counted(1, deliver);
    start(wrapped, { clock: Date.now });
    await all;
  });

  test('goes on with a blocked post as soon as the one before it is settled', async () => {
    const uid = 'lunch@example.org';
    await store.accept([
      incoming('A1', [post({ uid })]),
      incoming('A2', [post({ uid })]),
      incoming('A3', [post({ uid })]),
    ]);
    const order: string[] = [];
    const { wrapped, all } = counted(3, async (claim: Claim) => {
      order.push(claim.message.id);
      await deliver(claim);
    });
    start(wrapped);
    await all;
    expect(order).toEqual(['A1', 'A2', 'A3']);
  });

  test('never has more messages in flight than it may, and gets through them all', async () => {
    await store.accept(Array.from({ length: 20 }, (_, i) => incoming(`A${i}`)));
    let inFlight = 0;
    let most = 0;
    const { wrapped, all } = counted(20, async (claim: Claim) => {
      most = Math.max(most, ++inFlight);
      await deliver(claim);
      inFlight--;
    });
    start(wrapped, { concurrency: 3 });
    await all;
    expect(most).toBe(3);
  });

  test('runs a claim handed over at once, by the job that came with it', async () => {
    start(() => Promise.reject(new Error('not this one')));
    const [accepted] = await store.accept([incoming('A1', [mail({ claim: true })])]);
    const claim = { message: store.message('A1')!.message, deliveries: accepted!.deliveries };
    const { wrapped, all } = counted(1, () => deliver(claim));
    expect(runner.run(claim, wrapped)).toBe(true);
    await all;
    expect(store.counts()['mail.queued']).toBe(0);
  });

  test('without room gives a claim back, and attempts it when there is room', async () => {
    const gate = Promise.withResolvers<void>();
    const { wrapped, all } = counted(2, async (claim: Claim) => {
      if (claim.message.id === 'A1') await gate.promise;
      await deliver(claim);
    });
    await store.accept([incoming('A1')]);
    const [claim] = await store.claim(now, 1);
    start(wrapped, { concurrency: 1 });
    expect(runner.run(claim!)).toBe(true);
    expect(runner.hasRoom()).toBe(false);
    await store.accept([incoming('A2', [mail({ claim: true })])]);
    const stored = store.message('A2')!;
    expect(runner.run(stored)).toBe(false);
    gate.resolve();
    await all;
    expect(store.counts()['mail.queued']).toBe(0);
  });

  test('does not attempt a delivery twice at the same time when its lease runs out', async () => {
    const gate = Promise.withResolvers<void>();
    const attempted: string[] = [];
    const { wrapped, all } = counted(2, async (claim: Claim) => {
      attempted.push(claim.message.id);
      if (claim.message.id === 'A1') await gate.promise;
      await deliver(claim);
      if (claim.message.id === 'A2') gate.resolve();
    });
    await store.accept([incoming('A1')]);
    start(wrapped);
    now = NOW + HOUR;
    await store.accept([incoming('A2')]);
    runner.poke();
    await all;
    expect(attempted).toEqual(['A1', 'A2']);
  });

  test('attempts a deferred delivery again although the rest of its message is still under way', async () => {
    const gate = Promise.withResolvers<void>();
    const again = Promise.withResolvers<readonly string[]>();
    await store.accept([incoming('A1', [post({ uid: 'x' }), mail()])]);
    start(async ({ deliveries }) => {
      if (deliveries.length === 1) return again.resolve(deliveries.map(({ kind }) => kind));
      const [first] = deliveries;
      await store.settle([{ id: first!.id, state: 'queued', dueAt: NOW + 1, attempted: true }], [], now);
      now = NOW + 1;
      runner.poke();
      await gate.promise;
    });
    expect(await again.promise).toEqual(['post']);
    gate.resolve();
  });

  test('takes up by itself what nobody settled once its lease has run out', async () => {
    await store.accept([incoming('A1', [mail({ claim: true })])]);
    now = NOW + HOUR;
    const { wrapped, all } = counted(1, deliver);
    start(wrapped, { pollMs: 5 });
    await all;
    expect(store.counts()['mail.queued']).toBe(0);
  });

  describe('when an attempt throws', () => {
    test('logs the stack and tries again in a minute', async () => {
      await store.accept([incoming('A1')]);
      const bug = new Error('a bug');
      const lines: unknown[][] = [];
      const { wrapped, all } = counted(1, () => Promise.reject(bug));
      start(wrapped, { log: errorsOf(lines) });
      await all;
      await runner.stop(1000);
      expect(lines).toEqual([[{ queueId: 'A1', err: bug }, 'internal error in an attempt']]);
      expect(store.list({})[0]).toMatchObject({
        state: 'queued',
        dueAt: NOW + MINUTE,
        attempts: 1,
        outcome: { kind: 'deferred', status: '4.3.0', reason: 'internal error' },
      });
    });

    test('leaves alone what the attempt had settled', async () => {
      const [accepted] = await store.accept([incoming('A1', [mail(), mail(), mail()])]);
      const [one, two, three] = accepted!.deliveries.map(({ id }) => id);
      const { wrapped, all } = counted(1, async () => {
        await store.settle(
          [
            { id: one!, state: 'delivered', attempted: true },
            { id: two!, state: 'queued', dueAt: NOW + HOUR, attempted: true },
          ],
          [],
          now,
        );
        throw new Error('a bug');
      });
      start(wrapped);
      await all;
      await runner.stop(1000);
      expect(store.list({}).map(({ id, state, dueAt }) => [id, state, dueAt])).toEqual([
        [one, 'delivered', NOW],
        [two, 'queued', NOW + HOUR],
        [three, 'queued', NOW + MINUTE],
      ]);
    });

    /** Every look at the clock finds it a minute later, so that what waits for a minute is due. */
    async function crashInOneRunner(times: number, error: Error): Promise<void> {
      const { wrapped, all } = counted(times, () => Promise.reject(error));
      const clock = (): number => {
        now += MINUTE;
        return now;
      };
      start(wrapped, { pollMs: 1, clock });
      await all;
      await runner.stop(1000);
    }

    test('holds the delivery after the fifth time in a row', async () => {
      await store.accept([incoming('A1')]);
      await crashInOneRunner(5, new Error('a bug'));
      expect(store.list({})[0]).toMatchObject({ state: 'held', attempts: 5, outcome: { status: '4.3.0' } });
    });

    test('does not hold it for a full disk', async () => {
      await store.accept([incoming('A1')]);
      await crashInOneRunner(6, new StoreFullError('no space left'));
      expect(store.list({})[0]).toMatchObject({ state: 'queued', attempts: 6 });
    });
  });

  describe('stopping', () => {
    test('waits for the attempts under way and claims nothing more', async () => {
      const gate = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<void>();
      await store.accept([incoming('A1'), incoming('A2')]);
      start(
        async (claim) => {
          begun.resolve();
          await gate.promise;
          await deliver(claim);
        },
        { concurrency: 1 },
      );
      await begun.promise;
      const stopped = runner.stop(HOUR);
      gate.resolve();
      await stopped;
      expect(store.list({}).map(({ state }) => state)).toEqual(['delivered', 'queued']);
      expect(runner.hasRoom()).toBe(false);
    });

    test('aborts the attempts that last longer than the grace', async () => {
      const begun = Promise.withResolvers<void>();
      await store.accept([incoming('A1')]);
      let aborted = false;
      start(async (_claim, signal) => {
        begun.resolve();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        aborted = true;
      });
      await begun.promise;
      await runner.stop(1);
      expect(aborted).toBe(true);
    });
  });
});
