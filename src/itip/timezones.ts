import { windowsZone } from './windows-zones.ts';

/** Calendar years, both included. */
export type Years = { readonly from: number; readonly to: number };

type Transition = { readonly atMs: number; readonly fromMs: number; readonly toMs: number };

/** One change of a year, local time before it, as far as it may follow a rule. */
type Rule = { readonly month: number; readonly byDay: string };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Shorter than the shortest stay at another offset that any zone has known since 1970 (Morocco's Ramadan). */
const STEP_MS = 14 * DAY_MS;
/** Years beyond the last that a rule must foretell, or that are written out one by one where there is no rule. */
const AHEAD_YEARS = 12;
/** Where ICU's history begins to be worth having, and its future ends. */
const FIRST_YEAR = 1970;
const LAST_YEAR = 2087;
/** A series may have begun under an older law and still go on: today's is looked for from here at the earliest. */
const RULES_YEAR = 2037;
const WEEKDAYS = ['SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];
const MAX_CACHED = 200;

const formats = new Map<string, Intl.DateTimeFormat | undefined>();
const zones = new Map<string, readonly string[]>();

/**
 * The IANA zone that a TZID means: a name itself in any case, one behind a vendor's prefix
 * (`/mozilla.org/20050126_1/Europe/Berlin`), or a Windows name.
 * @returns undefined when no zone is known by it
 */
export function ianaZone(tzid: string): string | undefined {
  const name = tzid.trim();
  if (name.length > 100) return undefined;
  const windows = windowsZone(name);
  if (windows !== undefined) return windows;
  if (!name.startsWith('/')) return formatOf(name) === undefined ? undefined : name;
  const parts = name.split('/');
  for (let at = Math.max(1, parts.length - 3); at < parts.length; at++) {
    const tail = parts.slice(at).join('/');
    if (tail.includes('/') && formatOf(tail) !== undefined) return tail;
  }
  return undefined;
}

/**
 * A VTIMEZONE (RFC 5545 §3.6.5) as unfolded lines, from ICU's data: rules without end where the law of the
 * zone is one, single dates until 2049 otherwise. Exact from `years.from` on, 1970 at the earliest.
 * @param tzid as the object writes it; becomes TZID to the letter
 * @returns undefined for a zone that is not known
 */
export function zoneLines(tzid: string, years: Years): readonly string[] | undefined {
  const iana = ianaZone(tzid);
  if (iana === undefined) return undefined;
  const from = Math.min(Math.max(years.from - 1, FIRST_YEAR), LAST_YEAR - AHEAD_YEARS);
  const to = Math.min(Math.max(years.to, RULES_YEAR), LAST_YEAR - AHEAD_YEARS);
  const key = `${iana} ${from} ${to}`;
  let observances = zones.get(key);
  if (observances === undefined) {
    observances = observancesOf(iana, from, to);
    const oldest = zones.size < MAX_CACHED ? undefined : zones.keys().next().value;
    if (oldest !== undefined) zones.delete(oldest);
    zones.set(key, observances);
  }
  return ['BEGIN:VTIMEZONE', `TZID:${tzid.trim()}`, ...observances, 'END:VTIMEZONE'];
}

function observancesOf(iana: string, from: number, to: number): readonly string[] {
  const startMs = Date.UTC(from, 0, 1);
  const all = transitions(iana, startMs, Date.UTC(to + 1 + AHEAD_YEARS, 0, 1));
  const lines: string[] = [];
  // Where no change comes before the meeting's first year, what holds until then is said. Elsewhere not: Outlook likes
  // zones of one STANDARD and one DAYLIGHT best.
  const [earliest] = all;
  if (earliest === undefined || earliest.atMs >= Date.UTC(from + 1, 0, 0)) {
    const initialMs = earliest?.fromMs ?? offsetAt(iana, startMs);
    lines.push(...observance('STANDARD', startMs, { fromMs: initialMs, toMs: initialMs }));
  }
  const ruled = ruledFrom(all, to);
  const single = ruled === undefined ? all : all.slice(0, ruled.index);
  for (const [kind, group] of grouped(single, all)) {
    const [first, ...rest] = group;
    if (first === undefined) continue;
    const dates = rest.map(({ atMs, fromMs }) => local(atMs + fromMs)).join(',');
    lines.push(...observance(kind, first.atMs + first.fromMs, first, ...(dates === '' ? [] : [`RDATE:${dates}`])));
  }
  for (const { rule, first } of ruled?.rules ?? []) {
    const recurrence = `RRULE:FREQ=YEARLY;BYMONTH=${rule.month};${rule.byDay}`;
    lines.push(...observance(kindOf(first, all), first.atMs + first.fromMs, first, recurrence));
  }
  return lines;
}

/** The single changes with equal offsets together, so that a zone of many years has few observances. */
function grouped(single: readonly Transition[], all: readonly Transition[]): readonly [Kind, readonly Transition[]][] {
  const groups = new Map<string, [Kind, Transition[]]>();
  for (const transition of single) {
    const kind = kindOf(transition, all);
    const key = `${kind} ${transition.fromMs} ${transition.toMs}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [kind, [transition]]);
    else group[1].push(transition);
  }
  return [...groups.values()];
}

type Kind = 'STANDARD' | 'DAYLIGHT';

/** A step forward that is taken back within a year is summer time; Casablanca's winter of one month is `STANDARD` so. */
function kindOf(transition: Transition, all: readonly Transition[]): Kind {
  if (transition.toMs <= transition.fromMs) return 'STANDARD';
  const next = all[all.indexOf(transition) + 1];
  const isTakenBack = next !== undefined && next.toMs < next.fromMs && next.atMs - transition.atMs < 365 * DAY_MS;
  return isTakenBack ? 'DAYLIGHT' : 'STANDARD';
}

/**
 * From which change on two yearly rules say everything, if they do for the years after `to`.
 * @returns undefined when there are no changes any more, or none that follow a rule
 */
function ruledFrom(
  all: readonly Transition[],
  to: number,
): { index: number; rules: readonly { rule: Rule; first: Transition }[] } | undefined {
  const ahead = all.filter((transition) => yearOf(transition) > to);
  const [odd, even] = [ahead.filter((_, at) => at % 2 === 0), ahead.filter((_, at) => at % 2 === 1)];
  if (odd.length !== AHEAD_YEARS || even.length !== AHEAD_YEARS) return undefined;
  const [oddRule, evenRule] = [ruleOf(odd), ruleOf(even)];
  if (oddRule === undefined || evenRule === undefined) return undefined;
  // Backwards as long as the rules hold, so that the years of the meeting itself need no dates of their own.
  const start = all.length - ahead.length;
  let index = start;
  while (index > 0) {
    const [before, like] = [all[index - 1], all[index + 1]];
    if (before === undefined || like === undefined) break;
    const rule = (start - (index - 1)) % 2 === 0 ? oddRule : evenRule;
    const holds =
      before.fromMs === like.fromMs &&
      before.toMs === like.toMs &&
      timeOfDay(before) === timeOfDay(like) &&
      yearOf(before) === yearOf(like) - 1 &&
      candidates(before).includes(rule.byDay) &&
      monthOf(before) === rule.month;
    if (!holds) break;
    index--;
  }
  const [first, second] = [all[index], all[index + 1]];
  if (first === undefined || second === undefined) return undefined;
  const isOdd = (start - index) % 2 === 0;
  return {
    index,
    rules: [
      { rule: isOdd ? oddRule : evenRule, first },
      { rule: isOdd ? evenRule : oddRule, first: second },
    ],
  };
}

/** The one rule that all of these changes, a year apart, follow. */
function ruleOf(changes: readonly Transition[]): Rule | undefined {
  const [first] = changes;
  if (first === undefined) return undefined;
  const isSame = changes.every(
    (change, at) =>
      change.fromMs === first.fromMs &&
      change.toMs === first.toMs &&
      timeOfDay(change) === timeOfDay(first) &&
      monthOf(change) === monthOf(first) &&
      yearOf(change) === yearOf(first) + at,
  );
  if (!isSame) return undefined;
  const byDay = changes.map(candidates).reduce((common, more) => common.filter((text) => more.includes(text)))[0];
  return byDay === undefined ? undefined : { month: monthOf(first), byDay };
}

/** The ways to say on which day of its month a change falls, those that every reader knows first. */
function candidates(change: Transition): readonly string[] {
  const date = new Date(change.atMs + change.fromMs);
  const day = date.getUTCDate();
  const weekday = WEEKDAYS[date.getUTCDay()] ?? '';
  const length = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  const found: string[] = [];
  if (day + 7 > length) found.push(`BYDAY=-1${weekday}`);
  found.push(`BYDAY=${Math.ceil(day / 7)}${weekday}`);
  // Israel's Friday before the last Sunday in March: the first on or after a date.
  for (let first = Math.max(1, day - 6); first <= day && first + 6 <= 31; first++) {
    const days = Array.from({ length: 7 }, (_, more) => first + more).join(',');
    found.push(`BYMONTHDAY=${days};BYDAY=${weekday}`);
  }
  found.push(`BYMONTHDAY=${day}`);
  return found;
}

function yearOf({ atMs, fromMs }: Transition): number {
  return new Date(atMs + fromMs).getUTCFullYear();
}

function monthOf({ atMs, fromMs }: Transition): number {
  return new Date(atMs + fromMs).getUTCMonth() + 1;
}

function timeOfDay({ atMs, fromMs }: Transition): number {
  return (((atMs + fromMs) % DAY_MS) + DAY_MS) % DAY_MS;
}

function observance(
  kind: Kind,
  startMs: number,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  ...more: readonly string[]
): readonly string[] {
  return [
    `BEGIN:${kind}`,
    `DTSTART:${local(startMs)}`,
    `TZOFFSETFROM:${offsetText(fromMs)}`,
    `TZOFFSETTO:${offsetText(toMs)}`,
    ...more,
    `END:${kind}`,
  ];
}

/** Basic form without Z. */
function local(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '');
}

/** RFC 5545 §3.3.14. */
function offsetText(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  const digits = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map((part) =>
    String(part).padStart(2, '0'),
  );
  if (digits[2] === '00') digits.pop();
  return `${ms < 0 ? '-' : '+'}${digits.join('')}`;
}

/** Every change of the offset in [fromMs, toMs), to the second. */
function transitions(iana: string, fromMs: number, toMs: number): readonly Transition[] {
  const found: Transition[] = [];
  let offset = offsetAt(iana, fromMs);
  for (let at = fromMs; at < toMs; at += STEP_MS) {
    const next = Math.min(at + STEP_MS, toMs);
    const offsetThen = offsetAt(iana, next);
    if (offsetThen === offset) continue;
    let [low, high] = [at, next];
    while (high - low > 1000) {
      const middle = low + Math.floor((high - low) / 2000) * 1000;
      if (offsetAt(iana, middle) === offset) low = middle;
      else high = middle;
    }
    found.push({ atMs: high, fromMs: offset, toMs: offsetThen });
    offset = offsetThen;
  }
  return found;
}

/** Offset from UTC in ms that ICU knows for this instant. */
function offsetAt(iana: string, ms: number): number {
  const text =
    formatOf(iana)
      ?.formatToParts(ms)
      .find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const match = /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text);
  if (match === null) throw new Error(`no offset from ICU: ${text}`);
  const offset = ((Number(match[2] ?? 0) * 60 + Number(match[3] ?? 0)) * 60 + Number(match[4] ?? 0)) * 1000;
  return match[1] === '-' ? -offset : offset;
}

/** undefined when ICU knows no such zone. */
function formatOf(iana: string): Intl.DateTimeFormat | undefined {
  if (formats.has(iana)) return formats.get(iana);
  // ICU also takes `+05:00`, and three-letter names that mean one zone in one country: EST is not New York's.
  const format = /^(?:[A-Za-z_]+(?:\/[A-Za-z0-9_+-]+)+|UTC|GMT)$/i.test(iana) ? makeFormat(iana) : undefined;
  if (formats.size >= MAX_CACHED) formats.clear();
  formats.set(iana, format);
  return format;
}

function makeFormat(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
}
