import { parseDateTime } from '../../itip/date-time.ts';
import type { EventFacts, When } from '../event-facts.ts';
import { localMsOf } from '../read-event.ts';
import { offsetAt } from '../zone-names.ts';
import type { Choice } from './language.ts';
import { bare, fill } from './phrase.ts';
import { type Rule, type RuleDate, readRule } from './rule.ts';
import type { Times } from './times.ts';

/** How an event repeats, as a sentence without its full stop; undefined for one that does not. */
export function repeatsText(
  event: Pick<EventFacts, 'rule' | 'start' | 'moreDates' | 'fewerDates'>,
  choice: Choice,
  times: Times,
): string | undefined {
  const { strings, locale } = choice;
  const say = (template: string, values: Readonly<Record<string, string>>): string => bare(fill(template, values));
  if (event.rule === undefined) return event.moreDates === true ? capital(strings.ruleUnusual, locale) : undefined;
  const startMs = event.start === undefined ? undefined : localMsOf(event.start);
  const rule = startMs === undefined ? undefined : readRule(event.rule, startMs);
  if (rule?.count === 1 && event.moreDates !== true) return undefined;
  let text = rule === undefined ? undefined : ruleText(rule, event.start, choice, times);
  if (text === undefined) return capital(strings.ruleUnusual, locale);
  if (event.fewerDates === true) text = say(strings.fewerDates, { rule: text });
  if (event.moreDates === true) text = say(strings.moreDates, { rule: text });
  return capital(text, locale);
}

const NUMBERED = {
  DAILY: ['daily', 'dailyN'],
  WEEKLY: ['weekly', 'weeklyN'],
  MONTHLY: ['monthly', 'monthlyN'],
  YEARLY: ['yearly', 'yearlyN'],
} as const;

function ruleText(rule: Rule, start: When | undefined, { strings }: Choice, times: Times): string | undefined {
  const dates = times.list(rule.dates.map((date) => dateText(date, strings, times)));
  const [one, several] = NUMBERED[rule.freq];
  const isWorkdays =
    rule.freq === 'WEEKLY' && rule.interval === 1 && rule.dates.map((date) => date.day).join() === '1,2,3,4,5';
  const template = isWorkdays ? strings.workdays : strings[rule.interval === 1 ? one : several];
  const text = bare(fill(template, { n: String(rule.interval), days: dates, dates }));
  if (rule.count !== undefined) return bare(fill(strings.times, { rule: text, n: String(rule.count) }));
  if (rule.until === undefined) return text;
  const untilMs = start === undefined ? undefined : untilDay(rule.until, start);
  return untilMs === undefined ? undefined : bare(fill(strings.until, { rule: text, date: times.day(untilMs) }));
}

function dateText(date: RuleDate, strings: Choice['strings'], times: Times): string {
  const say = (template: string, values: Readonly<Record<string, string>>): string => bare(fill(template, values));
  switch (date.kind) {
    case 'weekday':
      return say(strings.weekday, { day: times.weekday(date.day) });
    case 'month-day':
      return date.day === -1 ? strings.lastMonthDay : say(strings.monthDay, { day: String(date.day) });
    case 'year-day':
      return say(strings.yearDate, { date: times.dayOfYear(Date.UTC(2000, date.month - 1, date.day)) });
    case 'nth': {
      const ordinals = [strings.nth1, strings.nth2, strings.nth3, strings.nth4, strings.nth5];
      const nth = ordinals[date.nth - 1] ?? strings.nthLast;
      const day = times.weekday(date.day);
      if (date.month === undefined) return say(strings.nthWeekday, { nth, day });
      return say(strings.nthWeekdayOfMonth, { nth, day, month: times.month(date.month) });
    }
  }
}

/** The day of UNTIL where the event takes place; undefined when its zone is not known. */
function untilDay(until: string, start: When): number | undefined {
  const time = parseDateTime(until);
  if (time === undefined || time.kind !== 'utc' || start.allDay) return time?.localMs;
  const offset = start.zone === undefined ? undefined : offsetAt(start.zone, time.localMs);
  if (offset !== undefined) return time.localMs + offset;
  const localMs = localMsOf(start);
  return start.atMs === undefined || localMs === undefined ? undefined : time.localMs + localMs - start.atMs;
}

function capital(text: string, locale: string): string {
  const [first = ''] = text;
  return first.toLocaleUpperCase(locale) + text.slice(first.length);
}
