import type { BusyProtocol } from '../../channel/channel.ts';
import type { BusyAnswer, Inquiry } from '../broker/question.ts';
import { BUSY_TYPES, type BusyType, type Period, type Window } from '../freebusy/busy.ts';
import { sameAddress } from '../mail/address.ts';

/** What a bar is drawn with. */
export type Glyphs = {
  readonly cells: Readonly<Record<BusyType, string>>;
  readonly dash: string;
  readonly arrow: string;
};

export const UNICODE: Glyphs = {
  cells: { FREE: '·', 'BUSY-TENTATIVE': '░', BUSY: '█', 'BUSY-UNAVAILABLE': '▓' },
  dash: '–',
  arrow: '→',
};
export const ASCII: Glyphs = {
  cells: { FREE: '.', 'BUSY-TENTATIVE': '?', BUSY: '#', 'BUSY-UNAVAILABLE': 'x' },
  dash: '-',
  arrow: '->',
};

const NAMES: Readonly<Record<BusyType, string>> = {
  FREE: 'free',
  'BUSY-TENTATIVE': 'tentative',
  BUSY: 'busy',
  'BUSY-UNAVAILABLE': 'unavailable',
};
const PROTOCOLS: Readonly<Record<BusyProtocol, string>> = {
  ischedule: 'iSchedule',
  wcap: 'WCAP',
  caldav: 'CalDAV',
  url: 'published URL',
};
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const CELL_MINUTES = 30;
const CELLS = (24 * 60) / CELL_MINUTES;
const MARK_HOURS = 3;
/** A month, each day of which has its line. */
const MAX_DAYS = 31;
const LABEL = 'Mon 2026-11-23'.length + 2;

/** What the environment says of the terminal: the first locale that is set counts (POSIX, 8.2). */
export function glyphsFor(env: Readonly<Record<string, string | undefined>>): Glyphs {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  return /utf-?8/i.test(locale) && env.TERM !== 'dumb' ? UNICODE : ASCII;
}

export function legendLine({ cells }: Glyphs): string {
  return BUSY_TYPES.toReversed()
    .map((type) => `${cells[type]} ${NAMES[type]}`)
    .join('  ');
}

/** One answer, as an operator reads it: the bars, the busy times, who said so, and why he was asked. */
export function answerLines(answer: BusyAnswer, asked: Window, glyphs: Glyphs): string[] {
  const { attendee, status, periods, window, inquiries, steps, rule } = answer;
  const detail = status.detail === undefined ? '' : `: ${status.detail}`;
  const bars = barLines(periods, window, glyphs);
  const isCut = window.startMs !== asked.startMs || window.endMs !== asked.endMs;
  const busy = [
    ...(isCut ? [`only ${spanText(window, glyphs)} may be asked about`] : []),
    ...(bars.length === 0 ? [`more than ${MAX_DAYS} days, not drawn`] : bars),
    ...(periods.length === 0 ? ['nothing busy'] : periodLines(periods, glyphs)),
  ];
  return [
    `${attendee}: ${status.code} ${status.description}${detail}`,
    ...[
      ...(status.code === '2.0' ? busy : []),
      ...(inquiries.length === 0 ? ['nobody was asked'] : inquiries.map((one) => inquiryText(one, attendee))),
      ...steps.map((step) => `${step.question} ${step.answer}`),
      `${glyphs.arrow} ${rule}`,
    ].map((line) => `  ${line}`),
    // Servers' words are among them, and an escape sequence would speak to the terminal.
  ].map((line) => line.replace(/\p{Cc}/gu, ''));
}

/**
 * A line for each day of the window with a cell for each half hour of the clock on the wall, under marks of its hours.
 * A cell is drawn by the heaviest period that reaches into it; what the window does not cover, and the hour that a day
 * in spring has not, is blank.
 * @param periods ascending, not overlapping
 * @returns nothing for a window of more days than a month has
 */
export function barLines(periods: readonly Period[], window: Window, { cells }: Glyphs): string[] {
  const days = new Map<string, BusyType[]>();
  let first = 0;
  for (let atMs = window.startMs; atMs < window.endMs; ) {
    const clock = new Date(atMs);
    const endMs = Math.min(nextCell(clock), window.endMs);
    const day = dayText(clock);
    let row = days.get(day);
    if (row === undefined) {
      if (days.size === MAX_DAYS) return [];
      row = [];
      days.set(day, row);
    }
    const cell = Math.floor((clock.getHours() * 60 + clock.getMinutes()) / CELL_MINUTES);
    let heaviest = row[cell] ?? 'FREE';
    while ((periods[first]?.endMs ?? Number.POSITIVE_INFINITY) <= atMs) first++;
    for (let at = first; (periods[at]?.startMs ?? Number.POSITIVE_INFINITY) < endMs; at++)
      heaviest = heavier(heaviest, periods[at]?.type ?? 'FREE');
    row[cell] = heaviest;
    atMs = endMs;
  }
  const drawn = [...days].map(([day, row]) => {
    const bar = Array.from({ length: CELLS }, (_, at) => (row[at] === undefined ? ' ' : cells[row[at]]));
    return `${day.padEnd(LABEL)}${bar.join('')}`.trimEnd();
  });
  return drawn.length === 0 ? [] : [`${' '.repeat(LABEL)}${marks()}`, ...drawn];
}

function marks(): string {
  const width = (MARK_HOURS * 60) / CELL_MINUTES;
  return Array.from({ length: 24 / MARK_HOURS + 1 }, (_, at) => String(at * MARK_HOURS).padEnd(width))
    .join('')
    .trimEnd();
}

/** A line for each period, its type in front. */
export function periodLines(periods: readonly Period[], glyphs: Glyphs): string[] {
  const width = Math.max(...BUSY_TYPES.map((type) => NAMES[type].length)) + 2;
  return periods.map((period) => `${NAMES[period.type].padEnd(width)}${spanText(period, glyphs)}`);
}

/** `Mon 2026-11-23 09:00–10:30`; with the offset from UTC where the clock was put forward or back in between. */
export function spanText({ startMs, endMs }: Window, { dash }: Glyphs): string {
  const [start, end] = [new Date(startMs), new Date(endMs)];
  const isPutBack = start.getTimezoneOffset() !== end.getTimezoneOffset();
  const time = (clock: Date): string => `${timeText(clock)}${isPutBack ? ` ${offsetText(clock)}` : ''}`;
  const [startDay, endDay] = [dayText(start), dayText(end)];
  if (startDay === endDay) return `${startDay} ${time(start)}${dash}${time(end)}`;
  const isAtMidnight = timeText(end) === '00:00' && dayText(new Date(endMs - 1)) === startDay;
  if (isAtMidnight && !isPutBack) return `${startDay} ${time(start)}${dash}24:00`;
  return `${startDay} ${time(start)} ${dash} ${endDay} ${time(end)}`;
}

function inquiryText({ mailbox, server, protocol, result, reason, tookMs, from }: Inquiry, attendee: string): string {
  const about = sameAddress(mailbox, attendee) ? '' : ` about ${mailbox}`;
  const took = tookMs < 1 ? 'in less than 1 ms' : `in ${Math.round(tookMs)} ms`;
  const how = from === 'cache' ? 'from the cache' : from === 'shared' ? `${took}, shared with an equal question` : took;
  const why = reason === undefined ? '' : `: ${reason}`;
  return `${server} by ${PROTOCOLS[protocol]}${about}: ${result} ${how}${why}`;
}

function heavier(one: BusyType, other: BusyType): BusyType {
  return BUSY_TYPES.indexOf(one) < BUSY_TYPES.indexOf(other) ? one : other;
}

function nextCell(clock: Date): number {
  const intoMs = ((clock.getMinutes() % CELL_MINUTES) * 60 + clock.getSeconds()) * 1000 + clock.getMilliseconds();
  return clock.getTime() - intoMs + CELL_MINUTES * 60_000;
}

function dayText(clock: Date): string {
  const date = `${clock.getFullYear()}-${twoDigits(clock.getMonth() + 1)}-${twoDigits(clock.getDate())}`;
  return `${WEEKDAYS[clock.getDay()]} ${date}`;
}

function timeText(clock: Date): string {
  const time = `${twoDigits(clock.getHours())}:${twoDigits(clock.getMinutes())}`;
  return clock.getSeconds() === 0 ? time : `${time}:${twoDigits(clock.getSeconds())}`;
}

function offsetText(clock: Date): string {
  const minutes = -clock.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${twoDigits(Math.floor(size / 60))}:${twoDigits(size % 60)}`;
}

function twoDigits(count: number): string {
  return String(count).padStart(2, '0');
}
