/** A DATE or DATE-TIME value (RFC 5545 §3.3.4, §3.3.5). */
export type DateTime = {
  /** `floating` also stands for local time of a TZID, which is not part of the value. */
  readonly kind: 'date' | 'floating' | 'utc';
  /** The digits read as if they were UTC, ms since the epoch. */
  readonly localMs: number;
};

const DATE_TIME = /^\d{8}(?:T\d{6}Z?)?$/;
const DURATION = /^([+-])?P(?:(\d{1,6})W|(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?)$/;

/** @returns undefined when the text is no such value, or names a month, day, hour, minute or second that no clock has */
export function parseDateTime(text: string): DateTime | undefined {
  if (!DATE_TIME.test(text)) return undefined;
  const isDate = text.length === 8;
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const [month, day] = [twoDigits(text, 4), twoDigits(text, 6)];
  const hour = isDate ? 0 : twoDigits(text, 9);
  const minute = isDate ? 0 : twoDigits(text, 11);
  const second = isDate ? 0 : twoDigits(text, 13);
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined;
  const localMs = Date.UTC(year, month - 1, day, hour, minute, second);
  return { kind: isDate ? 'date' : text.endsWith('Z') ? 'utc' : 'floating', localMs };
}

/** Of two ASCII digits. An answer for busy times has hundreds of dates, and groups of a match are three times as slow. */
function twoDigits(text: string, at: number): number {
  return (text.charCodeAt(at) - ZERO) * 10 + text.charCodeAt(at + 1) - ZERO;
}

const ZERO = 48;

/** Length of a DURATION value in ms (RFC 5545 §3.3.6), days taken as 24 h; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null || !/\d/.test(text)) return undefined;
  const [weeks, days, hours, minutes, seconds] = match.slice(2, 7).map((digits) => Number(digits ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const ms = ((((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
  return match[1] === '-' ? -ms : ms;
}

/** Basic UTC form, `20261121T080000Z`. */
export function formatUtc(ms: number): string {
  const at = new Date(ms);
  const year = at.getUTCFullYear();
  if (!(year >= 1000 && year <= 9999)) return `${at.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  // All that is written of busy times: a third of the time that toISOString takes.
  const date = `${year}${TWO_DIGITS[at.getUTCMonth() + 1]}${TWO_DIGITS[at.getUTCDate()]}`;
  return `${date}T${TWO_DIGITS[at.getUTCHours()]}${TWO_DIGITS[at.getUTCMinutes()]}${TWO_DIGITS[at.getUTCSeconds()]}Z`;
}

const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => `${number}`.padStart(2, '0'));
