import { parseDateTime } from './date-time.ts';

const DAY_MS = 86_400_000;
/** The shortest that a period of each frequency can be. */
const PERIOD_MS: Readonly<Record<string, number>> = {
  SECONDLY: 1000,
  MINUTELY: 60_000,
  HOURLY: 3_600_000,
  DAILY: DAY_MS,
  WEEKLY: 7 * DAY_MS,
  MONTHLY: 28 * DAY_MS,
  YEARLY: 365 * DAY_MS,
};
/** Parts that make several instances of one period (RFC 5545 §3.3.10, table of expansions); all others only take away. */
const EXPANDS: Readonly<Record<string, readonly string[]>> = {
  SECONDLY: [],
  MINUTELY: ['BYSECOND'],
  HOURLY: ['BYMINUTE', 'BYSECOND'],
  DAILY: ['BYHOUR', 'BYMINUTE', 'BYSECOND'],
  WEEKLY: ['BYDAY', 'BYHOUR', 'BYMINUTE', 'BYSECOND'],
  MONTHLY: ['BYMONTHDAY', 'BYDAY', 'BYHOUR', 'BYMINUTE', 'BYSECOND'],
  YEARLY: ['BYMONTH', 'BYWEEKNO', 'BYYEARDAY', 'BYMONTHDAY', 'BYDAY', 'BYHOUR', 'BYMINUTE', 'BYSECOND'],
};
/** How often a weekday without number comes in one period. */
const WEEKDAYS: Readonly<Record<string, number>> = { WEEKLY: 1, MONTHLY: 5, YEARLY: 53 };

/**
 * How many instances a recurrence rule makes at most, computed from its parts: nothing is expanded.
 * @param rule value of RRULE
 * @param startMs of DTSTART
 * @returns COUNT where it stands, else a bound by UNTIL; undefined for a rule without end or one that cannot be read
 */
export function mostInstances(rule: string, startMs: number): number | undefined {
  const parts = new Map<string, string>();
  for (const part of rule.trim().toUpperCase().split(';', 32)) {
    const [name = '', value = ''] = part.split(/=(.*)/s);
    parts.set(name.trim(), value.trim());
  }
  const count = wholeNumber(parts.get('COUNT'));
  if (count !== undefined) return count;
  const until = parseDateTime(parts.get('UNTIL') ?? '');
  const frequency = parts.get('FREQ') ?? '';
  const period = PERIOD_MS[frequency];
  if (until === undefined || period === undefined) return undefined;
  // A date as UNTIL has its whole day in it.
  const spanMs = until.localMs + (until.kind === 'date' ? DAY_MS : 0) - startMs;
  if (spanMs < 0) return 1;
  // The first and the last period may both be begun.
  const periods = Math.floor(spanMs / (period * (wholeNumber(parts.get('INTERVAL')) ?? 1))) + 2;
  const perPeriod = (EXPANDS[frequency] ?? []).reduce((all, name) => all * timesOf(name, parts, frequency), 1);
  const picked = parts.get('BYSETPOS');
  return periods * Math.min(perPeriod, picked === undefined ? perPeriod : picked.split(',').length);
}

function timesOf(name: string, parts: ReadonlyMap<string, string>, frequency: string): number {
  const value = parts.get(name);
  if (value === undefined) return 1;
  const items = value.split(',');
  if (name !== 'BYDAY') return items.length;
  // Beside days of a month or year, weekdays take away.
  if (frequency !== 'WEEKLY' && (parts.has('BYMONTHDAY') || parts.has('BYYEARDAY'))) return 1;
  const plain = frequency === 'YEARLY' && parts.has('BYMONTH') ? 5 : parts.has('BYWEEKNO') ? 1 : WEEKDAYS[frequency];
  return items.reduce((all, item) => all + (/\d/.test(item) ? 1 : (plain ?? 1)), 0);
}

function wholeNumber(text: string | undefined): number | undefined {
  const value = text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : undefined;
}
