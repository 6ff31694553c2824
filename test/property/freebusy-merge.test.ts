import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { BUSY_TYPES, type BusyType, type Period, type Window } from '../../src/freebusy/busy.ts';
import { freeBetween, mergePeriods } from '../../src/freebusy/merge.ts';

const MINUTE = 60_000;
const START = Date.UTC(2026, 10, 23, 8);
const LENGTH = 90;
const WINDOW: Window = { startMs: START, endMs: START + LENGTH * MINUTE };
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

afterAll(() => console.log(`freebusy-merge: SEED=${seed}`));

// From before the window to behind it, empty and backward ones among them.
const minute = fc.integer({ min: -20, max: LENGTH + 20 });
const periods = fc.array(
  fc
    .record({ from: minute, to: minute, type: fc.constantFrom(...BUSY_TYPES) })
    .map(({ from, to, type }): Period => ({ type, startMs: START + from * MINUTE, endMs: START + to * MINUTE })),
  { maxLength: 30 },
);

/** The type of each minute of the window, as one would do it by hand. */
function naive(all: readonly Period[]): readonly BusyType[] {
  return Array.from({ length: LENGTH }, (_, at) => {
    const atMs = START + at * MINUTE;
    const covering = all.filter(({ startMs, endMs }) => startMs <= atMs && atMs < endMs);
    return BUSY_TYPES.find((type) => covering.some((period) => period.type === type)) ?? 'FREE';
  });
}

test('what is merged says of each minute what the heaviest period says', () => {
  fc.assert(
    fc.property(periods, (all) => {
      expect(naive(mergePeriods(all, WINDOW))).toEqual(naive(all));
    }),
    { seed, numRuns: 500 },
  );
});

test('what is merged lies within the window, ascends, and has neighbours that differ', () => {
  fc.assert(
    fc.property(periods, (all) => {
      let before: Period = { type: 'FREE', startMs: WINDOW.startMs, endMs: WINDOW.startMs };
      for (const period of mergePeriods(all, WINDOW)) {
        expect(period.type).not.toBe('FREE');
        expect(period.startMs).toBeGreaterThanOrEqual(before.endMs);
        expect(period.endMs).toBeGreaterThan(period.startMs);
        expect(period.endMs).toBeLessThanOrEqual(WINDOW.endMs);
        if (period.startMs === before.endMs) expect(period.type).not.toBe(before.type);
        before = period;
      }
    }),
    { seed, numRuns: 500 },
  );
});

test('free and busy together are the window, and merging again changes nothing', () => {
  fc.assert(
    fc.property(periods, (all) => {
      const busy = mergePeriods(all, WINDOW);
      const whole = [...busy, ...freeBetween(busy, WINDOW)].toSorted((a, b) => a.startMs - b.startMs);
      expect(whole.map(({ endMs }) => endMs)).toEqual([...whole.slice(1).map(({ startMs }) => startMs), WINDOW.endMs]);
      expect(whole[0]?.startMs).toBe(WINDOW.startMs);
      expect(mergePeriods(whole, WINDOW)).toEqual(busy);
    }),
    { seed, numRuns: 500 },
  );
});
