import { describe, expect, test } from 'vitest';
import { mostInstances } from '../../../src/itip/recurrence.ts';

const START = Date.UTC(2026, 10, 23, 9);

describe('the most instances of a rule', () => {
  test.each([
    ['FREQ=DAILY;COUNT=10', 10],
    ['freq=weekly;count=4;byday=MO,TU', 4],
    ['FREQ=SECONDLY;COUNT=100000000', 100_000_000],
    ['FREQ=DAILY', undefined],
    ['FREQ=WEEKLY;BYDAY=MO', undefined],
    ['FREQ=NEVER;UNTIL=20270101T000000Z', undefined],
    ['FREQ=DAILY;UNTIL=tomorrow', undefined],
    ['FREQ=DAILY;COUNT=0', undefined],
    ['', undefined],
    ['FREQ=DAILY;UNTIL=20261122T000000Z', 1],
  ])('of %j are %j', (rule, most) => {
    expect(mostInstances(rule, START)).toBe(most);
  });

  // The bound is at least what a reader of the rule makes of it, and not far above.
  test.each([
    ['FREQ=DAILY;UNTIL=20261127T090000Z', 5],
    ['FREQ=DAILY;INTERVAL=2;UNTIL=20261127T090000Z', 3],
    ['FREQ=DAILY;UNTIL=20261127', 5],
    ['FREQ=WEEKLY;UNTIL=20261221T090000Z', 5],
    ['FREQ=WEEKLY;BYDAY=MO,WE,FR;UNTIL=20261220T090000Z', 12],
    ['FREQ=MONTHLY;BYDAY=2TU;UNTIL=20270523T090000Z', 6],
    ['FREQ=MONTHLY;BYMONTHDAY=1,15;UNTIL=20270523T090000Z', 12],
    ['FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;UNTIL=20270523T090000Z', 6],
    ['FREQ=YEARLY;BYMONTH=11;BYDAY=MO;UNTIL=20291124T090000Z', 14],
    ['FREQ=HOURLY;BYMINUTE=0,30;UNTIL=20261123T120000Z', 7],
  ])('of %j is no less than %i', (rule, real) => {
    const most = mostInstances(rule, START) ?? 0;
    expect(most).toBeGreaterThanOrEqual(real);
    expect(most).toBeLessThanOrEqual(real * 3 + 6);
  });
});
