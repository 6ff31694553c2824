import { parseDateTime } from '../../itip/date-time.ts';

const WEEKDAYS = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];
const MAX_LENGTH = 500;

/** A date on which a rule falls: as many kinds as there are sentences for. */
export type RuleDate =
  | { readonly kind: 'weekday'; readonly day: number }
  | { readonly kind: 'nth'; readonly nth: number; readonly day: number; readonly month?: number }
  | { readonly kind: 'month-day'; readonly day: number }
  | { readonly kind: 'year-day'; readonly month: number; readonly day: number };

/** A recurrence rule that can be said in a sentence. */
export type Rule = {
  readonly freq: 'DAILY' | 'WEEKLY' | 'MONTHLY' | 'YEARLY';
  readonly interval: number;
  /** Empty for DAILY. */
  readonly dates: readonly RuleDate[];
  readonly count?: number;
  /** As written. */
  readonly until?: string;
};

/**
 * Reads a RRULE for people (RFC 5545 §3.3.10).
 * @param startMs DTSTART's digits read as if they were UTC; a rule takes from it what it does not say
 * @returns undefined for every rule that a plain sentence could say wrongly
 */
export function readRule(text: string, startMs: number): Rule | undefined {
  const parts = partsOf(text);
  if (parts === undefined) return undefined;
  const interval = Number(parts.get('INTERVAL') ?? 1);
  const countText = parts.get('COUNT');
  const count = countText === undefined ? undefined : Number(countText);
  const until = parts.get('UNTIL');
  if (!isCount(interval) || (count !== undefined && !isCount(count))) return undefined;
  if (until !== undefined && (parseDateTime(until) === undefined || count !== undefined)) return undefined;
  const freq = parts.get('FREQ');
  const days = weekdaysOf(parts);
  const monthDays = numbersOf(parts.get('BYMONTHDAY'));
  const months = numbersOf(parts.get('BYMONTH'));
  if (days === undefined || monthDays === undefined || months === undefined) return undefined;
  const start = new Date(startMs);
  const given = { days, monthDays, months };
  const read =
    freq === 'DAILY'
      ? daily(given, interval)
      : freq === 'WEEKLY'
        ? weekly(given, start)
        : freq === 'MONTHLY'
          ? monthly(given, start)
          : freq === 'YEARLY'
            ? yearly(given, start)
            : undefined;
  if (read === undefined) return undefined;
  return {
    ...read,
    interval,
    ...(count === undefined ? {} : { count }),
    ...(until === undefined ? {} : { until }),
  };
}

type Weekday = { readonly nth?: number; readonly day: number };
type Given = {
  readonly days: readonly Weekday[];
  readonly monthDays: readonly number[];
  readonly months: readonly number[];
};
type Read = Pick<Rule, 'freq' | 'dates'> | undefined;

function daily({ days, monthDays, months }: Given, interval: number): Read {
  if (monthDays.length > 0 || months.length > 0) return undefined;
  if (days.length === 0) return { freq: 'DAILY', dates: [] };
  // Every day that is one of these weekdays: the same as every week on them.
  return interval === 1 ? weekly({ days, monthDays, months }, new Date(0)) : undefined;
}

function weekly({ days, monthDays, months }: Given, start: Date): Read {
  if (monthDays.length > 0 || months.length > 0 || days.some(({ nth }) => nth !== undefined)) return undefined;
  const wanted = new Set(days.length === 0 ? [start.getUTCDay()] : days.map(({ day }) => day));
  // From Monday on, whatever order the rule has.
  const dates = [1, 2, 3, 4, 5, 6, 0]
    .filter((day) => wanted.has(day))
    .map((day) => ({ kind: 'weekday', day }) as const);
  return { freq: 'WEEKLY', dates };
}

function monthly({ days, monthDays, months }: Given, start: Date): Read {
  if (months.length > 0 || (days.length > 0 && monthDays.length > 0)) return undefined;
  if (days.length > 0) {
    const dates = days.flatMap(({ nth, day }) => (nth === undefined ? [] : [{ kind: 'nth', nth, day } as const]));
    return dates.length === days.length ? { freq: 'MONTHLY', dates } : undefined;
  }
  const wanted = monthDays.length === 0 ? [start.getUTCDate()] : monthDays;
  if (!wanted.every((day) => day === -1 || (day >= 1 && day <= 31))) return undefined;
  return { freq: 'MONTHLY', dates: wanted.map((day) => ({ kind: 'month-day', day }) as const) };
}

function yearly({ days, monthDays, months }: Given, start: Date): Read {
  // BYMONTHDAY alone means that day of every month, and BYDAY alone weeks of the year.
  if (months.length === 0 && (days.length > 0 || monthDays.length > 0)) return undefined;
  if (!months.every((month) => month >= 1 && month <= 12) || (days.length > 0 && monthDays.length > 0))
    return undefined;
  const [month = start.getUTCMonth() + 1, ...more] = months;
  if (days.length > 0) {
    const dates = days.flatMap(({ nth, day }) =>
      nth === undefined ? [] : [{ kind: 'nth', nth, day, month } as const],
    );
    return dates.length === days.length && more.length === 0 ? { freq: 'YEARLY', dates } : undefined;
  }
  const [day = start.getUTCDate(), ...moreDays] = monthDays;
  if (moreDays.length > 0 || day < 1 || day > 31) return undefined;
  const dates = [month, ...more].map((each) => ({ kind: 'year-day', month: each, day }) as const);
  return dates.every((date) => exists(date.month, date.day)) ? { freq: 'YEARLY', dates } : undefined;
}

/** In a leap year. */
function exists(month: number, day: number): boolean {
  return new Date(Date.UTC(2000, month - 1, day)).getUTCMonth() === month - 1;
}

/** Parts there are no sentences for make a rule unusual; WKST changes no sentence but with several weeks and days. */
const SAID = new Set(['FREQ', 'INTERVAL', 'COUNT', 'UNTIL', 'BYDAY', 'BYMONTHDAY', 'BYMONTH', 'BYSETPOS', 'WKST']);

function partsOf(text: string): ReadonlyMap<string, string> | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const parts = new Map<string, string>();
  for (const part of text.toUpperCase().split(';')) {
    const equals = part.indexOf('=');
    const name = part.slice(0, equals).trim();
    if (equals < 0 || !SAID.has(name) || parts.has(name)) return undefined;
    parts.set(name, part.slice(equals + 1).trim());
  }
  return parts;
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 100_000;
}

function numbersOf(text: string | undefined): readonly number[] | undefined {
  const numbers = text === undefined ? [] : text.split(',').map(Number);
  return numbers.every((number) => Number.isInteger(number) && number !== 0) ? [...new Set(numbers)] : undefined;
}

/** BYDAY; Outlook's BYDAY=MO;BYSETPOS=1 is 1MO. */
function weekdaysOf(parts: ReadonlyMap<string, string>): readonly Weekday[] | undefined {
  const days: Weekday[] = [];
  for (const text of parts.get('BYDAY')?.split(',') ?? []) {
    const match = /^([+-]?\d{1,2})?([A-Z]{2})$/.exec(text.trim());
    const day = WEEKDAYS.indexOf(match?.[2] ?? '');
    if (match === null || day < 0) return undefined;
    const nth = match[1] === undefined ? undefined : Number(match[1]);
    if (nth !== undefined && !isNth(nth)) return undefined;
    days.push(nth === undefined ? { day } : { nth, day });
  }
  const position = parts.get('BYSETPOS');
  if (position === undefined) return days;
  const [only, ...more] = days;
  const nth = Number(position);
  const isMonthly =
    parts.get('FREQ') === 'MONTHLY' || (parts.get('FREQ') === 'YEARLY' && !/,/.test(parts.get('BYMONTH') ?? ','));
  if (only === undefined || more.length > 0 || only.nth !== undefined || !isNth(nth) || !isMonthly) return undefined;
  return [{ nth, day: only.day }];
}

function isNth(nth: number): boolean {
  return nth === -1 || (nth >= 1 && nth <= 5);
}
