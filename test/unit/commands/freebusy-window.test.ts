import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readWindow } from '../../../src/commands/freebusy-window.ts';

beforeEach(() => {
  vi.stubEnv('TZ', 'Europe/Berlin');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** 10:15 in Berlin, on the day before the clock is put back. */
const NOW = Date.UTC(2026, 9, 24, 8, 15);

test.each([
  ['nothing is today', undefined, undefined, '2026-10-23T22:00', '2026-10-24T22:00'],
  ['a date is its day, of 25 hours too', '2026-10-25', undefined, '2026-10-24T22:00', '2026-10-25T23:00'],
  ['the end may be a date', 'today', '2026-10-26', '2026-10-23T22:00', '2026-10-25T23:00'],
  ['a time has a zone', '2026-11-23T09:00+01:00', '2026-11-23T10:30:30Z', '2026-11-23T08:00', '2026-11-23T10:30:30'],
  ['a time without one is local', '2026-11-23T09:00', '2026-11-23 17:00', '2026-11-23T08:00', '2026-11-23T16:00'],
  ['west of Greenwich', '2026-11-23T09:00-0330', '+1h', '2026-11-23T12:30', '2026-11-23T13:30'],
  ['days count from today', '+2d', undefined, '2026-10-25T23:00', '2026-10-26T23:00'],
  ['weeks too, backward', '-1w', 'today', '2026-10-16T22:00', '2026-10-23T22:00'],
  ['hours count from now', '-3h', '+30m', '2026-10-24T05:15', '2026-10-24T05:45'],
  ['the end counts from the beginning', '2026-11-23', '+1w', '2026-11-22T23:00', '2026-11-29T23:00'],
  ['from now on', 'now', undefined, '2026-10-24T08:15', '2026-10-25T09:15'],
])('%s', (_, from, to, start, end) => {
  const { startMs, endMs } = readWindow(from, to, NOW);
  expect([startMs, endMs].map((ms) => new Date(ms).toISOString())).toEqual(
    [start, end].map((text) => new Date(`${text}Z`).toISOString()),
  );
});

test.each([
  ['tomorrow', undefined],
  ['2026-02-30', undefined],
  ['2026-13-01', undefined],
  ['2026-11-23T25:00Z', undefined],
  ['23.11.2026', undefined],
  ['1d', undefined],
  ['', undefined],
  ['today', 'never'],
])('from %j to %j is refused with what is wanted', (from, to) => {
  expect(() => readWindow(from, to, NOW)).toThrow(
    `--${to === undefined ? 'from' : 'to'}: got ${to ?? from}, want a date (2026-11-23), a time (2026-11-23T09:00+01:00), today, now, or a step such as +2d or -3h`,
  );
});

test.each([
  ['2026-11-23', '2026-11-23'],
  ['2026-11-23', '2026-11-22'],
  ['today', '-1d'],
])('an end that is not after the beginning is refused: %s to %s', (from, to) => {
  expect(() => readWindow(from, to, NOW)).toThrow(/got the end \S+Z, want one after the beginning \S+Z/);
});
