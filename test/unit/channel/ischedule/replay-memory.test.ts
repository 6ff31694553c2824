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
