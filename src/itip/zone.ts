import type { Component } from './components.ts';
import { properties, property } from './components.ts';
import { textValue } from './content-lines.ts';
import { parseDateTime } from './date-time.ts';

// Bounds that no real zone comes near: a hostile object may ask for thousands of offsets.
const MAX_OBSERVANCES = 64;
const MAX_RULES = 2;
const MAX_DATES = 200;
const WEEKDAYS = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];
const DAY_MS = 86_400_000;

type Observance = {
  readonly startMs: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly dates: readonly number[];
  readonly rules: readonly Yearly[];
};

type Yearly = {
  readonly month: number;
  /** Days of the month that qualify; all of them when undefined. */
  readonly days: readonly number[] | undefined;
  readonly weekday: number | undefined;
  /** Which of the weekdays, from the front or, when negative, from the end. */
  readonly nth: number | undefined;
  readonly timeOfDay: number;
  readonly untilUtc: number | undefined;
};

const compiled = new WeakMap<Component, readonly Observance[] | undefined>();

/**
 * Offset from UTC, in ms, that a VTIMEZONE has at a local time (RFC 5545 §3.6.5).
 *
 * Computed for the year asked about. ical.js would expand every onset since DTSTART, 1601 in Exchange's zones, and
 * without end for a hostile FREQ=SECONDLY.
 * @returns undefined for a zone without observances, or with rules other than yearly ones by month and day
 */
export function zoneOffsetAt(zone: Component, localMs: number): number | undefined {
  if (!compiled.has(zone)) compiled.set(zone, compile(zone));
  let latest: { onset: number; offset: number } | undefined;
  let first: { onset: number; offset: number } | undefined;
  for (const observance of compiled.get(zone) ?? []) {
    if (first === undefined || observance.startMs < first.onset) {
      first = { onset: observance.startMs, offset: observance.fromMs };
    }
    const onset = latestOnset(observance, localMs);
    if (onset !== undefined && (latest === undefined || onset > latest.onset)) {
      latest = { onset, offset: observance.toMs };
    }
  }
  return (latest ?? first)?.offset;
}

function compile(zone: Component): readonly Observance[] | undefined {
  const children = zone.children.filter((child) => child.name === 'STANDARD' || child.name === 'DAYLIGHT');
  if (children.length > MAX_OBSERVANCES) return undefined;
  const observances: Observance[] = [];
  for (const child of children) {
    const startMs = parseDateTime(propertyValue(child, 'DTSTART'))?.localMs;
    const fromMs = parseOffset(propertyValue(child, 'TZOFFSETFROM'));
    const toMs = parseOffset(propertyValue(child, 'TZOFFSETTO'));
    if (startMs === undefined || fromMs === undefined || toMs === undefined) return undefined;
    const rules = properties(child, 'RRULE').map((line) => parseYearly(textValue(line), startMs));
    const dates = properties(child, 'RDATE').flatMap((line) => textValue(line).split(',', MAX_DATES + 1));
    if (rules.length > MAX_RULES || dates.length > MAX_DATES) return undefined;
    const known = rules.filter((rule) => rule !== undefined);
    if (known.length < rules.length) return undefined;
    const dateMs = dates.flatMap((value) => parseDateTime(value.trim())?.localMs ?? []);
    observances.push({ startMs, fromMs, toMs, dates: dateMs, rules: known });
  }
  return observances;
}

/** The last onset that is not after `localMs`; undefined when the observance begins later. */
function latestOnset({ startMs, fromMs, dates, rules }: Observance, localMs: number): number | undefined {
  if (startMs > localMs) return undefined;
  let latest = startMs;
  for (const onset of dates) if (onset <= localMs && onset > latest) latest = onset;
  for (const rule of rules) {
    const until = rule.untilUtc === undefined ? localMs : Math.min(localMs, rule.untilUtc + fromMs);
    const year = new Date(until).getUTCFullYear();
    let onset = onsetIn(year, rule);
    if (onset === undefined || onset > until) onset = onsetIn(year - 1, rule);
    if (onset !== undefined && onset <= until && onset > latest) latest = onset;
  }
  return latest;
}

function parseYearly(value: string, startMs: number): Yearly | undefined {
  const start = new Date(startMs);
  let month = start.getUTCMonth();
  let days: number[] | undefined;
  let weekday: number | undefined;
  let nth: number | undefined;
  let untilUtc: number | undefined;
  for (const part of value.trim().toUpperCase().split(';')) {
    const [name, text = ''] = part.split('=');
    if (name === 'FREQ') {
      if (text !== 'YEARLY') return undefined;
    } else if (name === 'INTERVAL') {
      if (text !== '1') return undefined;
    } else if (name === 'BYMONTH') {
      month = Number(text) - 1;
      if (!Number.isInteger(month) || month < 0 || month > 11) return undefined;
    } else if (name === 'BYMONTHDAY') {
      days = text.split(',').map(Number);
      if (days.length > 31 || !days.every((day) => Number.isInteger(day) && day >= 1 && day <= 31)) return undefined;
    } else if (name === 'BYDAY') {
      const match = /^([+-]?[1-5])?([A-Z]{2})$/.exec(text);
      weekday = WEEKDAYS.indexOf(match?.[2] ?? '');
      if (weekday < 0) return undefined;
      nth = match?.[1] === undefined ? undefined : Number(match[1]);
    } else if (name === 'UNTIL') {
      untilUtc = parseDateTime(text)?.localMs;
      if (untilUtc === undefined) return undefined;
    } else if (name !== 'WKST' && name !== '') {
      return undefined;
    }
  }
  if (days === undefined && weekday === undefined) days = [start.getUTCDate()];
  return { month, days, weekday, nth, timeOfDay: ((startMs % DAY_MS) + DAY_MS) % DAY_MS, untilUtc };
}

function onsetIn(year: number, rule: Yearly): number | undefined {
  const first = Date.UTC(year, rule.month, 1);
  const length = (Date.UTC(year, rule.month + 1, 1) - first) / DAY_MS;
  const weekdayOfFirst = new Date(first).getUTCDay();
  const matching: number[] = [];
  for (let day = 1; day <= length; day++) {
    if (rule.weekday !== undefined && (weekdayOfFirst + day - 1) % 7 !== rule.weekday) continue;
    if (rule.days !== undefined && !rule.days.includes(day)) continue;
    matching.push(day);
  }
  const day = matching.at(rule.nth === undefined ? 0 : rule.nth > 0 ? rule.nth - 1 : rule.nth);
  return day === undefined ? undefined : first + (day - 1) * DAY_MS + rule.timeOfDay;
}

/** UTC-OFFSET value in ms (RFC 5545 §3.3.14). */
function parseOffset(text: string): number | undefined {
  const match = /^([+-])(\d\d)(\d\d)(\d\d)?$/.exec(text);
  if (match === null) return undefined;
  const ms = ((Number(match[2]) * 60 + Number(match[3])) * 60 + Number(match[4] ?? 0)) * 1000;
  return match[1] === '-' ? -ms : ms;
}

function propertyValue(component: Component, name: string): string {
  const line = property(component, name);
  return line === undefined ? '' : textValue(line).trim();
}
