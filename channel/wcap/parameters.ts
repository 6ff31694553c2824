import type { Window } from '../../src/freebusy/busy.ts';
import { hopsOfAppId } from '../../src/freebusy/hops.ts';
import { offsetAt, zoneNamed } from '../../src/imip/zone-names.ts';
import { formatUtc, parseDateTime } from '../../src/itip/date-time.ts';
import { canonicalAddress, mailboxOf, parseAddress } from '../../src/mail/address.ts';
import { WCAP_ERRNO, type WcapErrno } from './errno.ts';

const WCAP_FORMATS = ['text/calendar', 'text/xml', 'text/json'] as const;
export type WcapFormat = (typeof WCAP_FORMATS)[number];

/** A calendar whose busy times are asked for. */
export type AskedCalendar = {
  /** To the letter, as the answer has to repeat it. */
  readonly calid: string;
} & (
  | {
      readonly kind: 'address';
      readonly mailbox: string;
      /**
       * Repeated as X-S1CS-EMAIL, too. Where false, the name that v6 gives to default calendars has the same form, and
       * comes first: uid@domain.
       */
      readonly asEmail: boolean;
    }
  /** What v6 knows somebody by: for the directory to say. */
  | { readonly kind: 'name' }
  /** No calendar can have it. */
  | { readonly kind: 'illegal' }
);

/** One `get_freebusy.wcap`, read. */
export type WcapQuestion = {
  /** No two of one spelling; never empty. */
  readonly calendars: readonly AskedCalendar[];
  readonly window: Window;
  readonly busyOnly: boolean;
  readonly format: WcapFormat;
  /** The client asks for an answer, and not for where there is one. */
  readonly noRedirect: boolean;
  /** Gateways of our kind that it came through, as `appid` has them. */
  readonly hops: readonly string[];
};

export type ParametersReading =
  | { readonly kind: 'question'; readonly question: WcapQuestion }
  | { readonly kind: 'refused'; readonly errno: WcapErrno; readonly format: WcapFormat; readonly reason: string };

type Fault = { readonly kind: 'fault'; readonly errno: WcapErrno; readonly reason: string };

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** What v6 has by default (`service.wcap.freebusyduration`, `service.wcap.freebusybegin` and `…end`). */
const DEFAULT_DAYS = 60;
const DEFAULT_DAYS_AROUND = 30;
const MAX_DAYS = 36_500;
/** Beyond it a date has no four digits any more. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59);
/** Longer than any address. */
const MAX_CALID = 400;

/**
 * Reads the parameters of `get_freebusy.wcap`. One without a value is as good as none; of one that stands twice the
 * first counts, but for `calid` and `mail`, which are lists; with `calid` there, `mail` does not count. `id` is not read:
 * it is a session of another server.
 *
 * The window is `dtstart` to `dtend`, or 60 days where only one of them is given; `duration` days from `dtstart`, else
 * from now, whatever `dtend` says; else, where one of them stands there even without a value, from `freebusybegin` days
 * ago to `freebusyend` days ahead, 30 each; else 60 days from now. `tzid` is looked at where a time is without `Z`;
 * answers are in UTC, and so `tzidout` is not.
 * @param maxCalendars more of them are errno 60
 * @param now ms since the epoch
 */
export function readParameters(parameters: URLSearchParams, maxCalendars: number, now: number): ParametersReading {
  const format = readFormat(parameters);
  if (typeof format === 'object') return refused('text/calendar', format);
  const calendars = readCalendars(parameters, maxCalendars);
  if ('kind' in calendars) return refused(format, calendars);
  const window = readWindow(parameters, now);
  if ('kind' in window) return refused(format, window);
  const busyOnly = given(parameters, 'busyonly') ?? '1';
  if (busyOnly !== '0' && busyOnly !== '1') return refused(format, badArgument('busyonly', '0 or 1'));
  return {
    kind: 'question',
    question: {
      calendars,
      window,
      busyOnly: busyOnly === '1',
      format,
      noRedirect: isRelayWanted(parameters),
      hops: hopsOfAppId(given(parameters, 'appid') ?? ''),
    },
  };
}

/**
 * An answer is right for everybody, a redirect is not: whatever is not plainly a 0 asks for an answer. The 2005Q4
 * edition calls the switch `redirect`, and does not say which of its values is which.
 */
function isRelayWanted(parameters: URLSearchParams): boolean {
  return (given(parameters, 'noredirect') ?? '0') !== '0' || given(parameters, 'redirect') !== undefined;
}

function readFormat(parameters: URLSearchParams): WcapFormat | Fault {
  const text = given(parameters, 'fmt-out') ?? 'text/calendar';
  const wanted = text.replace(/;.*$/s, '').trim().toLowerCase();
  const format = WCAP_FORMATS.find((known) => known === wanted);
  if (format !== undefined) return format;
  return fault(WCAP_ERRNO.noSuchFormat, `found another fmt-out, wanted one of ${WCAP_FORMATS.join(', ')}`);
}

function readCalendars(parameters: URLSearchParams, most: number): readonly AskedCalendar[] | Fault {
  const calendars = new Map<string, AskedCalendar>();
  const calids = listed(parameters, 'calid');
  const [names, read] = calids.length > 0 ? [calids, calendarOf] : [listed(parameters, 'mail'), calendarOfMail];
  for (const name of names) {
    if (!calendars.has(name)) calendars.set(name, read(name));
    if (calendars.size > most)
      return fault(WCAP_ERRNO.badArguments, `found more than ${most} calendars, wanted at most that many`);
  }
  if (calendars.size === 0) return fault(WCAP_ERRNO.noCalid, 'found neither calid nor mail, wanted one of them');
  return [...calendars.values()];
}

/** WCAP's lists are parted by `;`, and their empty items are none. */
function listed(parameters: URLSearchParams, name: string): readonly string[] {
  return parameters
    .getAll(name)
    .flatMap((value) => value.split(';'))
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function calendarOf(calid: string): AskedCalendar {
  if (isIllegal(calid)) return { calid, kind: 'illegal' };
  if (/^mailto:/i.test(calid)) return addressed(calid, mailboxOf(calid), true);
  // `bob@example.com:holidays` is the second calendar of one who is known by an address.
  const isAddress = !/[\s:]/.test(calid) && parseAddress(calid) !== undefined;
  return isAddress ? addressed(calid, canonicalAddress(calid), false) : { calid, kind: 'name' };
}

function calendarOfMail(mail: string): AskedCalendar {
  if (isIllegal(mail)) return { calid: mail, kind: 'illegal' };
  const isAddress = !/\s/.test(mail) && parseAddress(mail) !== undefined;
  return addressed(
    mail,
    /^mailto:/i.test(mail) ? mailboxOf(mail) : isAddress ? canonicalAddress(mail) : undefined,
    true,
  );
}

function addressed(calid: string, mailbox: string | undefined, asEmail: boolean): AskedCalendar {
  return mailbox === undefined ? { calid, kind: 'illegal' } : { calid, kind: 'address', mailbox, asEmail };
}

function isIllegal(calid: string): boolean {
  return calid.length > MAX_CALID || /[\p{Cc}\p{Cs}\u2028\u2029]/u.test(calid);
}

function readWindow(parameters: URLSearchParams, now: number): Window | Fault {
  const start = readTime(parameters, 'dtstart');
  const end = readTime(parameters, 'dtend');
  const days = readDays(parameters, 'duration');
  const isAround = parameters.has('freebusybegin') || parameters.has('freebusyend');
  const before = readDays(parameters, 'freebusybegin') ?? (isAround ? DEFAULT_DAYS_AROUND : undefined);
  const after = readDays(parameters, 'freebusyend') ?? (isAround ? DEFAULT_DAYS_AROUND : undefined);
  for (const value of [start, end, days, before, after]) if (typeof value === 'object') return value;
  // By the minute: no two questions would be equal otherwise, and none could share the answer to another.
  const minute = Math.floor(now / MINUTE_MS) * MINUTE_MS;
  return bounded(windowOf({ start, end, days, before, after } as Range, minute));
}

/** Instants in ms, and numbers of days. */
type Range = { readonly [name in 'start' | 'end' | 'days' | 'before' | 'after']: number | undefined };

function windowOf({ start, end, days, before, after }: Range, now: number): Window {
  if (days !== undefined) return lasting(start ?? now, days);
  if (start !== undefined) return end === undefined ? lasting(start, DEFAULT_DAYS) : { startMs: start, endMs: end };
  if (end !== undefined) return { startMs: end - DEFAULT_DAYS * DAY_MS, endMs: end };
  if (before === undefined || after === undefined) return lasting(now, DEFAULT_DAYS);
  return { startMs: now - before * DAY_MS, endMs: now + after * DAY_MS };
}

function lasting(startMs: number, days: number): Window {
  return { startMs, endMs: startMs + days * DAY_MS };
}

function bounded(window: Window): Window | Fault {
  if (window.startMs >= window.endMs)
    return fault(
      WCAP_ERRNO.badArguments,
      'found a window that ends where it begins or before, wanted one with a length',
    );
  if (window.endMs > LAST_MS) return fault(WCAP_ERRNO.badArguments, 'found a window that ends after the year 9999');
  return window;
}

function readDays(parameters: URLSearchParams, name: string): number | undefined | Fault {
  const text = given(parameters, name);
  if (text === undefined) return undefined;
  const days = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  return days <= MAX_DAYS ? days : badArgument(name, `a number of days from 0 to ${MAX_DAYS}`);
}

function readTime(parameters: URLSearchParams, name: string): number | undefined | Fault {
  const text = given(parameters, name);
  if (text === undefined) return undefined;
  const time = parseDateTime(text);
  // A month is not longer than it is: 29 February of another year would be read as 1 March.
  const isReal =
    time !== undefined && time.kind !== 'date' && formatUtc(time.localMs).slice(0, 15) === text.slice(0, 15);
  if (!isReal) return badArgument(name, 'a time such as 20261123T090000Z');
  if (time.kind === 'utc') return time.localMs;
  const tzid = given(parameters, 'tzid');
  if (tzid === undefined) return badArgument(name, 'a time in UTC, such as 20261123T090000Z, or a tzid beside it');
  const zone = zoneNamed(tzid, undefined);
  const ms = zone === undefined ? undefined : instantAt(zone, time.localMs);
  return ms ?? fault(WCAP_ERRNO.badTzid, 'found a tzid that is not known, wanted an IANA name such as Europe/Berlin');
}

/**
 * The instant of a local time; of one that there is twice the first, and of one that there is not what it would have
 * been without the change (RFC 5545 §3.3.5).
 */
function instantAt(zone: string, localMs: number): number | undefined {
  const before = offsetAt(zone, localMs - DAY_MS);
  const after = offsetAt(zone, localMs + DAY_MS);
  if (before === undefined || after === undefined) return undefined;
  const early = localMs - before;
  const late = localMs - after;
  const isLate = offsetAt(zone, early) !== before && offsetAt(zone, late) === after;
  return isLate ? late : early;
}

/** The first value, without the white space around it; undefined when there is nothing else. */
function given(parameters: URLSearchParams, name: string): string | undefined {
  const value = parameters.get(name)?.trim() ?? '';
  return value === '' ? undefined : value;
}

function badArgument(name: string, wanted: string): Fault {
  return fault(WCAP_ERRNO.badArguments, `found ${name} with another value, wanted ${wanted}`);
}

function fault(errno: WcapErrno, reason: string): Fault {
  return { kind: 'fault', errno, reason };
}

function refused(format: WcapFormat, { errno, reason }: Fault): ParametersReading {
  return { kind: 'refused', errno, format, reason };
}
