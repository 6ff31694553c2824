import { expect, test } from 'vitest';
import { orderTargets } from '../../../../channel/ischedule/srv-order.ts';

const record = (target: string, priority: number, weight: number) => ({ target, port: 443, priority, weight });

/** Numbers from 0 to 1, evenly. */
function* evenly(count: number): Generator<number> {
  for (let n = 0; n < count; n++) yield n / count;
}

test('the lower priority comes first, whatever weight and chance say', () => {
  const records = [record('c', 20, 65535), record('a', 0, 0), record('b', 10, 1)];
  for (const random of [0, 0.5, 0.999999]) {
    expect(orderTargets(records, () => random).map(({ target }) => target)).toEqual(['a', 'b', 'c']);
  }
});

test('among equals the first is drawn by weight, and weight 0 keeps a small chance', () => {
  const records = [record('heavy', 0, 75), record('light', 0, 24), record('none', 0, 0)];
  const first: Record<string, number> = {};
  for (const random of evenly(1000)) {
    const target = orderTargets(records, () => random)[0]?.target ?? '';
    first[target] = (first[target] ?? 0) + 1;
  }
  expect(first).toEqual({ none: 10, heavy: 750, light: 240 });
});

test('every target comes once, and weights of 0 alone are no trouble', () => {
  const records = Array.from({ length: 32 }, (_, n) => record(`t${n}`, n % 3, n % 2 === 0 ? 0 : n));
  for (const random of [0, 0.3, 0.7, 0.999999]) {
    const ordered = orderTargets(records, () => random).map(({ target }) => target);
    expect([...ordered].sort()).toEqual(records.map(({ target }) => target).sort());
  }
  expect(orderTargets([record('a', 0, 0), record('b', 0, 0)], () => 0.9).length).toBe(2);
  expect(orderTargets([], Math.random)).toEqual([]);
});
