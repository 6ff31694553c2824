import { afterEach, describe, expect, test } from 'vitest';
import { Lanes } from '../../../src/flow/dispatch.ts';

const opened: Lanes[] = [];
afterEach(async () => {
  for (const lanes of opened.splice(0)) await lanes.stop();
});

function open(perDestination: (destination: string) => number = () => 2): Lanes {
  const lanes = new Lanes(perDestination);
  opened.push(lanes);
  return lanes;
}

/** Jobs that begin when a lane lets them and end when the test does. */
class Jobs {
  readonly begun: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<string>>();
  readonly #watchers = new Set<() => void>();

  run(lanes: Lanes, destination: string, name: string): Promise<string> {
    const end = Promise.withResolvers<string>();
    this.#ends.set(name, end);
    return lanes.run(destination, () => {
      this.begun.push(name);
      for (const watcher of this.#watchers) watcher();
      return end.promise;
    });
  }

  end(...names: readonly string[]): void {
    for (const name of names) this.#ends.get(name)?.resolve(name);
  }

  fail(name: string, error: Error): void {
    this.#ends.get(name)?.reject(error);
  }

  /** Resolves once `count` jobs have begun. */
  async whenBegun(count: number): Promise<readonly string[]> {
    while (this.begun.length < count) {
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
    return this.begun;
  }
}

describe('the lanes of one destination', () => {
  test('run as many jobs at once as it may have, the others in order', async () => {
    const lanes = open();
    const jobs = new Jobs();
    const done = ['a', 'b', 'c', 'd', 'e'].map((name) => jobs.run(lanes, 'north', name));
    expect(await jobs.whenBegun(2)).toEqual(['a', 'b']);
    jobs.end('b');
    expect(await jobs.whenBegun(3)).toEqual(['a', 'b', 'c']);
    jobs.end('a', 'c');
    expect(await jobs.whenBegun(5)).toEqual(['a', 'b', 'c', 'd', 'e']);
    jobs.end('d', 'e');
    expect(await Promise.all(done)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('never run more at once, however many come', async () => {
    const lanes = open(() => 3);
    const three = Promise.withResolvers<void>();
    let running = 0;
    let most = 0;
    const job = async (): Promise<void> => {
      most = Math.max(most, ++running);
      if (running === 3) three.resolve();
      await three.promise;
      await new Promise((resolve) => setImmediate(resolve));
      running--;
    };
    await Promise.all(Array.from({ length: 200 }, () => lanes.run('north', job)));
    expect(most).toBe(3);
  });

  test('go on after a job that failed, which fails alone', async () => {
    const lanes = open(() => 1);
    const jobs = new Jobs();
    const done = Promise.allSettled(['a', 'b', 'c'].map((name) => jobs.run(lanes, 'north', name)));
    await jobs.whenBegun(1);
    const error = new Error('a bug');
    jobs.fail('a', error);
    jobs.end('b', 'c');
    expect(await done).toEqual([
      { status: 'rejected', reason: error },
      { status: 'fulfilled', value: 'b' },
      { status: 'fulfilled', value: 'c' },
    ]);
  });

  // A lane ends some turns of the microtask queue after its last job: each of them is tried.
  for (const turns of [0, 1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`run a job that comes ${turns} turns after the last one has ended`, async () => {
      const lanes = open(() => 1);
      await lanes.run('north', async () => undefined);
      for (let turn = 0; turn < turns; turn++) await undefined;
      expect(await lanes.run('north', async () => 'late')).toBe('late');
    });
  }

  test('run a job that another one of the same destination waits for', async () => {
    const lanes = open(() => 2);
    expect(await lanes.run('north', () => lanes.run('north', async () => 'inner'))).toBe('inner');
  });
});

describe('the lanes of several destinations', () => {
  test('do not wait for each other', async () => {
    const lanes = open(() => 1);
    const jobs = new Jobs();
    const slow = jobs.run(lanes, 'slow', 'slow 1');
    const behind = jobs.run(lanes, 'slow', 'slow 2');
    const fast = jobs.run(lanes, 'fast', 'fast 1');
    await jobs.whenBegun(2);
    jobs.end('fast 1');
    expect(await fast).toBe('fast 1');
    expect(jobs.begun).toEqual(['slow 1', 'fast 1']);
    jobs.end('slow 1', 'slow 2');
    expect(await Promise.all([slow, behind])).toEqual(['slow 1', 'slow 2']);
  });

  test('are as many for each as it may have', async () => {
    const lanes = open((destination) => (destination === 'wide' ? 3 : 1));
    const jobs = new Jobs();
    const done = ['a', 'b', 'c', 'd'].flatMap((name) => [
      jobs.run(lanes, 'wide', `wide ${name}`),
      jobs.run(lanes, 'narrow', `narrow ${name}`),
    ]);
    expect([...(await jobs.whenBegun(4))].sort()).toEqual(['narrow a', 'wide a', 'wide b', 'wide c']);
    jobs.end(...['a', 'b', 'c', 'd'].flatMap((name) => [`wide ${name}`, `narrow ${name}`]));
    expect(await Promise.all(done)).toHaveLength(8);
  });
});

describe('a job that waits for its turn only so long', () => {
  test('is not run when nobody before it ends in time, and neither is one that comes after it', async () => {
    const lanes = open(() => 1);
    const jobs = new Jobs();
    const first = jobs.run(lanes, 'north', 'first');
    await jobs.whenBegun(1);
    const ran: string[] = [];
    const late = async (name: string): Promise<string> => {
      ran.push(name);
      return name;
    };
    expect(await lanes.runWithin('north', 1, () => late('second'))).toBeUndefined();
    expect(await lanes.runWithin('north', 60_000, () => late('third'))).toBeUndefined();
    jobs.end('first');
    await first;
    expect(ran).toEqual([]);
  });

  test('is run again once somebody had a turn', async () => {
    const lanes = open(() => 1);
    const jobs = new Jobs();
    const first = jobs.run(lanes, 'north', 'first');
    await jobs.whenBegun(1);
    expect(await lanes.runWithin('north', 1, async () => 'second')).toBeUndefined();
    jobs.end('first');
    await first;
    expect(await lanes.runWithin('north', 60_000, async () => 'third')).toBe('third');
  });

  test('keeps nobody of another destination waiting', async () => {
    const lanes = open(() => 1);
    const jobs = new Jobs();
    const first = jobs.run(lanes, 'north', 'first');
    await jobs.whenBegun(1);
    expect(await lanes.runWithin('north', 1, async () => 'second')).toBeUndefined();
    expect(await lanes.runWithin('south', 60_000, async () => 'third')).toBe('third');
    jobs.end('first');
    await first;
  });
});

test('thousands of destinations are not remembered, and one with work is', async () => {
  const lanes = open(() => 1);
  const jobs = new Jobs();
  const slow = jobs.run(lanes, 'slow', 'slow');
  const many = Array.from({ length: 600 }, (_, index) => lanes.run(`d${index}`, async () => undefined));
  await Promise.all(many);
  await lanes.run('last', async () => undefined);
  expect(lanes.size).toBeLessThan(300);
  const behind = jobs.run(lanes, 'slow', 'behind');
  await lanes.run('other', async () => undefined);
  expect(jobs.begun).toEqual(['slow']);
  jobs.end('slow');
  await slow;
  jobs.end('behind');
  await behind;
  expect(jobs.begun).toEqual(['slow', 'behind']);
});
