import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { ReplayMemory } from '../../../../channel/ischedule/replay-memory.ts';

test('a signature is good for the message it was first used for, until it expires', () => {
  const memory = new ReplayMemory();
  expect(memory.admits('s', 'one', 2000, 1000)).toBe(true);
  expect(memory.admits('s', 'one', 2000, 1500)).toBe(true);
  expect(memory.admits('s', 'two', 2000, 2000)).toBe(false);
  expect(memory.admits('s', 'two', 3000, 2001)).toBe(true);
});

test('no more signatures are kept than the limit, and the oldest goes first', () => {
  const memory = new ReplayMemory(2);
  for (const signature of ['a', 'b', 'c']) memory.admits(signature, 'one', 2000, 1000);
  expect(['b', 'c'].map((signature) => memory.admits(signature, 'two', 2000, 1000))).toEqual([false, false]);
  expect(memory.admits('a', 'two', 2000, 1000)).toBe(true);
});

test('what a signature was used for takes the same room however long it is', () => {
  const memory = new ReplayMemory();
  const purpose = (at: number) => Buffer.alloc(100_000, `${at} `).toString('latin1');
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < 2000; at++) memory.admits(`${at}`, purpose(at), 2000, 1000);
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(20_000_000);
  expect(memory.admits('7', purpose(7), 2000, 1000)).toBe(true);
  expect(memory.admits('7', purpose(8), 2000, 1000)).toBe(false);
});
