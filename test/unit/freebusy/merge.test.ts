import { describe, expect, test } from 'vitest';
import type { BusyType, Period, Window } from '../../../src/freebusy/busy.ts';
import { freeBetween, mergePeriods } from '../../../src/freebusy/merge.ts';

const HOUR = 3_600_000;
const MIDNIGHT = Date.UTC(2026, 10, 23);
const DAY: Window = { startMs: MIDNIGHT, endMs: MIDNIGHT + 24 * HOUR };

/** `9-10 BUSY`, in hours of the day. */
function period(text: string): Period {
  const [hours = '', type] = text.split(' ');
  const [from = '', to = ''] = hours.split('–');
  return { startMs: MIDNIGHT + Number(from) * HOUR, endMs: MIDNIGHT + Number(to) * HOUR, type: type as BusyType };
}

function written(periods: readonly Period[]): readonly string[] {
  return periods.map(
    ({ startMs, endMs, type }) => `${(startMs - MIDNIGHT) / HOUR}–${(endMs - MIDNIGHT) / HOUR} ${type}`,
  );
}

describe('merging', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['nothing is nothing', [], []],
    ['any order becomes ascending', ['14–15 BUSY', '9–10 BUSY'], ['9–10 BUSY', '14–15 BUSY']],
    ['those that touch are joined', ['9–10 BUSY', '10–11 BUSY'], ['9–11 BUSY']],
    ['those that overlap are joined', ['9–11 BUSY', '10–12 BUSY', '9.5–10 BUSY'], ['9–12 BUSY']],
    ['the same twice is once', ['9–10 BUSY', '9–10 BUSY'], ['9–10 BUSY']],
    [
      'touching ones of different types stay apart',
      ['9–10 BUSY', '10–11 BUSY-TENTATIVE'],
      ['9–10 BUSY', '10–11 BUSY-TENTATIVE'],
    ],
    [
      'busy cuts tentative in two',
      ['9–12 BUSY-TENTATIVE', '10–11 BUSY'],
      ['9–10 BUSY-TENTATIVE', '10–11 BUSY', '11–12 BUSY-TENTATIVE'],
    ],
    [
      'unavailable outweighs busy, busy tentative',
      ['0–8 BUSY-UNAVAILABLE', '7–12 BUSY', '6–13 BUSY-TENTATIVE'],
      ['0–8 BUSY-UNAVAILABLE', '8–12 BUSY', '12–13 BUSY-TENTATIVE'],
    ],
    ['free outweighs nothing', ['9–12 FREE', '10–11 BUSY-TENTATIVE'], ['10–11 BUSY-TENTATIVE']],
    ['the window cuts both ends', ['-3–1 BUSY', '23–30 BUSY', '-9–-8 BUSY', '24–25 BUSY'], ['0–1 BUSY', '23–24 BUSY']],
    ['empty and backward ones are no time', ['9–9 BUSY', '12–11 BUSY-UNAVAILABLE', '14–15 BUSY'], ['14–15 BUSY']],
    ['one that says no time is left out', ['9–NaN BUSY', '14–15 BUSY'], ['14–15 BUSY']],
    ['one that covers all is the window', ['-100–100 BUSY'], ['0–24 BUSY']],
    [
      'a lighter one comes back where two heavier ones end',
      ['8–18 BUSY-TENTATIVE', '9–10 BUSY', '9–11 BUSY', '11–12 BUSY-UNAVAILABLE'],
      ['8–9 BUSY-TENTATIVE', '9–11 BUSY', '11–12 BUSY-UNAVAILABLE', '12–18 BUSY-TENTATIVE'],
    ],
  ])('%s', (_, periods, merged) => {
    expect(written(mergePeriods(periods.map(period), DAY))).toEqual(merged);
  });

  test('a window that is empty or backward has nothing in it', () => {
    const busy = [period('0–24 BUSY')];
    expect(mergePeriods(busy, { startMs: MIDNIGHT + HOUR, endMs: MIDNIGHT + HOUR })).toEqual([]);
    expect(mergePeriods(busy, { startMs: MIDNIGHT + HOUR, endMs: MIDNIGHT })).toEqual([]);
  });

  test('twenty thousand overlapping periods become what they cover', () => {
    const many = Array.from({ length: 20_000 }, (_, at) => ({
      type: 'BUSY' as const,
      startMs: MIDNIGHT + at * 1000,
      endMs: MIDNIGHT + at * 1000 + HOUR,
    }));
    expect(mergePeriods(many.toReversed(), DAY)).toEqual([
      { type: 'BUSY', startMs: MIDNIGHT, endMs: MIDNIGHT + 19_999_000 + HOUR },
    ]);
  });
});

describe('what is free', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['all, where nothing is busy', [], ['0–24 FREE']],
    ['before, between and after', ['9–10 BUSY', '14–15 BUSY'], ['0–9 FREE', '10–14 FREE', '15–24 FREE']],
    ['nothing between those that touch', ['9–10 BUSY', '10–11 BUSY-TENTATIVE'], ['0–9 FREE', '11–24 FREE']],
    ['nothing at an end that is busy', ['0–9 BUSY', '20–24 BUSY'], ['9–20 FREE']],
    ['nothing at all, where all is busy', ['0–24 BUSY-UNAVAILABLE'], []],
  ])('%s', (_, busy, free) => {
    expect(written(freeBetween(busy.map(period), DAY))).toEqual(free);
  });
});
