import type { When } from '../event-facts.ts';
import { localMsOf } from '../read-event.ts';
import { isZone } from '../zone-names.ts';
import type { Strings } from './en.ts';
import type { Choice } from './language.ts';
import { fill, foreign, type Phrase } from './phrase.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const MAX_ZONE = 60;

/** The zone's name as it is at that time, such as Central European Standard Time; as it is all the year; or left out. */
export type ZoneForm = 'exact' | 'generic' | 'none';

/** Texts of dates in one language. All digits are those of the object; nothing is converted to another zone. */
export type Times = {
  /** From start to end. */
  span(start: When, end: When | undefined, form: ZoneForm): Phrase;
  moment(when: When, form: ZoneForm): Phrase;
  /** The day alone. */
  day(localMs: number): string;
  /** `23 November`. */
  dayOfYear(localMs: number): string;
  /** 0 is Sunday. */
  weekday(day: number): string;
  /** From 1. */
  month(month: number): string;
  list(items: readonly string[]): string;
};

const known = new Map<string, Times>();
/** Locales come from directories. */
const MAX_KNOWN = 50;

export function timesOf({ locale, strings, language }: Choice): Times {
  const key = `${language} ${locale}`;
  const found = known.get(key);
  // A site's strings may differ from the ones known under the same language.
  if (found !== undefined && ownersOf.get(found) === strings) return found;
  if (known.size >= MAX_KNOWN) known.clear();
  const times = newTimes(locale, strings);
  ownersOf.set(times, strings);
  known.set(key, times);
  return times;
}

const ownersOf = new WeakMap<Times, Strings>();

function newTimes(locale: string, strings: Strings): Times {
  const timeZone = 'UTC';
  // Where the weekday follows in brackets, its short form is the usual one: 2026年11月23日(月).
  const weekdayForm = /^(?:ja|zh|ko)\b/.test(locale) ? 'short' : 'long';
  const dateFormat = new Intl.DateTimeFormat(locale, {
    timeZone,
    weekday: weekdayForm,
    year: 'numeric',
    month: 'long',
    day: 'numeric',
  });
  const timeFormat = new Intl.DateTimeFormat(locale, { timeZone, timeStyle: 'short' });
  const dayOfYearFormat = new Intl.DateTimeFormat(locale, { timeZone, day: 'numeric', month: 'long' });
  const weekdayFormat = new Intl.DateTimeFormat(locale, { timeZone, weekday: 'long' });
  const monthFormat = new Intl.DateTimeFormat(locale, { timeZone, month: 'long' });
  const listFormat = new Intl.ListFormat(locale, { type: 'conjunction' });

  const day = (localMs: number): string => ordinary(dateFormat.format(localMs));
  const time = (localMs: number): string => ordinary(timeFormat.format(localMs));
  const unzoned = (when: When): Phrase => {
    const ms = localMsOf(when);
    if (ms === undefined) return foreign(when.local);
    return when.allDay ? [day(ms)] : fill(strings.time, { date: day(ms), from: time(ms) });
  };
  const zoneOf = (when: When, form: ZoneForm): Phrase => {
    const ms = localMsOf(when) ?? 0;
    if (when.zone === undefined) return [strings.localTime];
    if (isZone(when.zone)) {
      // The generic name of UTC is its offset in most languages.
      const style = form === 'generic' && when.zone !== 'UTC' ? 'longGeneric' : 'long';
      const name = zoneName(locale, when.zone, style, when.atMs ?? ms);
      return fill(strings.zone, { name, id: when.zone });
    }
    const offset = when.atMs === undefined ? undefined : offsetText(ms - when.atMs);
    const id = when.zone.includes('://') || when.zone.length > MAX_ZONE ? undefined : when.zone;
    if (offset === undefined) return foreign(when.zone.slice(0, MAX_ZONE));
    return id === undefined ? [offset] : fill(strings.zone, { name: offset, id: foreign(id) });
  };
  const zoned = (text: Phrase, when: When, form: ZoneForm): Phrase =>
    form === 'none' ? text : fill(strings.inZone, { time: text, zone: zoneOf(when, form) });
  const moment = (when: When, form: ZoneForm): Phrase =>
    when.allDay ? unzoned(when) : zoned(unzoned(when), when, form);

  const span = (start: When, end: When | undefined, form: ZoneForm): Phrase => {
    const from = localMsOf(start);
    const to = end === undefined ? undefined : localMsOf(end);
    if (start.allDay) {
      // DTEND of a day is the day after (RFC 5545 §3.6.1).
      const last = to === undefined || end?.allDay !== true ? undefined : to - DAY_MS;
      if (from === undefined) return unzoned(start);
      const days =
        last === undefined || last <= from ? [day(from)] : fill(strings.range, { from: day(from), to: day(last) });
      return fill(strings.allDay, { date: days });
    }
    if (from === undefined || to === undefined || end === undefined || end.allDay || end.local === start.local)
      return moment(start, form);
    if (end.zone !== start.zone) return fill(strings.range, { from: moment(start, form), to: moment(end, form) });
    if (to < from) return moment(start, form);
    const both =
      Math.floor(from / DAY_MS) === Math.floor(to / DAY_MS)
        ? fill(strings.timeRange, { date: day(from), from: time(from), to: time(to) })
        : fill(strings.range, { from: unzoned(start), to: unzoned(end) });
    return zoned(both, start, form);
  };

  return {
    span,
    moment,
    day,
    dayOfYear: (localMs) => dayOfYearFormat.format(localMs),
    // 4 January 1970 was a Sunday.
    weekday: (number) => weekdayFormat.format((3 + number) * DAY_MS),
    month: (number) => monthFormat.format(Date.UTC(1970, number - 1, 1)),
    list: (items) => listFormat.format(items),
  };
}

/** Without the spaces that Intl writes before AM and around dashes, and some programs show as boxes. */
function ordinary(text: string): string {
  return text.replace(/[\u2009\u202f]/g, ' ');
}

function zoneName(locale: string, timeZone: string, timeZoneName: 'long' | 'longGeneric', atMs: number): string {
  const parts = new Intl.DateTimeFormat(locale, { timeZone, timeZoneName }).formatToParts(atMs);
  return ordinary(parts.find(({ type }) => type === 'timeZoneName')?.value ?? timeZone);
}

/** `UTC+1`, `UTC−3:30`. */
function offsetText(offsetMs: number): string | undefined {
  const minutes = Math.round(Math.abs(offsetMs) / MINUTE_MS);
  if (minutes > 26 * 60) return undefined;
  const rest = minutes % 60 === 0 ? '' : `:${String(minutes % 60).padStart(2, '0')}`;
  return minutes === 0 ? 'UTC' : `UTC${offsetMs < 0 ? '−' : '+'}${Math.floor(minutes / 60)}${rest}`;
}
