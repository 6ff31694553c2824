import type { Window } from '../freebusy/busy.ts';
import { CommandError, EX } from './exit.ts';

const WANTED = 'want a date (2026-11-23), a time (2026-11-23T09:00+01:00), today, now, or a step such as +2d or -3h';

/**
 * The window that `--from` and `--to` name, in the time zone of the process; today where they are absent, one day where
 * the end is. A step counts from the beginning of today (w, d) or from now (h, m), that of an end from the beginning.
 * @throws CommandError (EX_USAGE)
 */
export function readWindow(from: string | undefined, to: string | undefined, now: number): Window {
  const startMs = read('--from', from ?? 'today', now, { d: midnight(now), h: now });
  const endMs = read('--to', to ?? '+1d', now, { d: startMs, h: startMs });
  if (!(endMs > startMs)) {
    const text = `got the end ${new Date(endMs).toISOString()}, want one after the beginning ${new Date(startMs).toISOString()}`;
    throw new CommandError(EX.USAGE, text);
  }
  return { startMs, endMs };
}

/** Where steps of whole days and those of hours count from. */
type Bases = { readonly d: number; readonly h: number };

function read(option: string, text: string, now: number, bases: Bases): number {
  const at = text === 'now' ? now : text === 'today' ? midnight(now) : (step(text, bases) ?? instant(text));
  if (at === undefined || Number.isNaN(at)) throw new CommandError(EX.USAGE, `${option}: got ${text}, ${WANTED}`);
  return at;
}

function step(text: string, bases: Bases): number | undefined {
  const match = /^([+-]\d{1,4})([wdhm])$/.exec(text);
  if (match === null) return undefined;
  const [count, unit] = [Number(match[1]), match[2]];
  if (unit === 'h' || unit === 'm') return bases.h + count * (unit === 'h' ? 3_600_000 : 60_000);
  // By the calendar: a day may have 23 hours.
  const date = new Date(bases.d);
  date.setDate(date.getDate() + count * (unit === 'w' ? 7 : 1));
  return date.getTime();
}

/** A date is its beginning; a time without a zone is read as the terminal's. */
function instant(text: string): number | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(Z|[+-]\d\d:?\d\d)?)?$/i.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((digits) => Number(digits ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const utc = new Date(Date.UTC(year, month - 1, day));
  const isDate = utc.getUTCMonth() === month - 1 && utc.getUTCDate() === day;
  if (!isDate || hour > 23 || minute > 59 || second > 59) return undefined;
  const zone = match[7];
  if (zone === undefined) return new Date(year, month - 1, day, hour, minute, second).getTime();
  const [, sign, hours, minutes] = /^([+-])(\d\d):?(\d\d)$/.exec(zone) ?? [undefined, '+', '0', '0'];
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1);
  return utc.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 - offsetMs;
}

function midnight(now: number): number {
  return new Date(now).setHours(0, 0, 0, 0);
}
