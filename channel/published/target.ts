import type { Window } from '../../src/freebusy/busy.ts';
import { parseDateTime, parseDuration } from '../../src/itip/date-time.ts';
import { calendarAddress, mailboxOf } from '../../src/mail/address.ts';

/** Whose times a URL asks for, and which. */
export type Target =
  | { readonly kind: 'target'; readonly mailbox: string; readonly window: Window }
  | { readonly kind: 'refused'; readonly status: 400 | 404 | 406; readonly reason: string };

const HOUR_MS = 3_600_000;
/** CC/S 0903 §4 recommends six weeks at least. */
const DEFAULT_LENGTH_MS = 42 * 24 * HOUR_MS;

const WANTED_TIME = 'a time as 20261123T080000Z, 2026-11-23T08:00:00+01:00 or 2026-11-23';

/**
 * Reads `ADDRESS.ifb` and the parameters `start`, `end`, `period` and `format` of CalConnect CC/S 0903; others are not
 * looked at. Dates are days of UTC. Without `start` it is this hour, without `end` and `period` six weeks from there.
 * @param name what stands behind `/freebusy/` in the path, percent-encoded
 */
export function readTarget(name: string, query: URLSearchParams, now: number): Target {
  const encoded = /^([^/]+)\.ifb$/i.exec(name)?.[1];
  if (encoded === undefined) return refused(404, 'wanted /freebusy/ADDRESS.ifb');
  const mailbox = readMailbox(encoded);
  if (mailbox === undefined) return refused(400, 'found no mail address before .ifb, wanted one, percent-encoded');

  const given: Record<string, string> = {};
  for (const parameter of ['start', 'end', 'period', 'format']) {
    const [value, ...more] = query.getAll(parameter);
    if (more.length > 0) return refused(400, `found ${parameter} more than once, wanted it once`);
    if (value !== undefined) given[parameter] = value.trim();
  }
  const { start, end, period, format = 'text/calendar' } = given;
  if (!/^text\/calendar\s*(?:;|$)/i.test(format)) return refused(406, 'wanted format=text/calendar, or none');
  if (end !== undefined && period !== undefined) return refused(400, 'found end and period, wanted one of them');

  const startMs = start === undefined ? now - (now % HOUR_MS) : readTime(start);
  if (startMs === undefined) return refused(400, `found another start, wanted ${WANTED_TIME}`);
  const lengthMs = period === undefined ? DEFAULT_LENGTH_MS : parseDuration(period);
  if (lengthMs === undefined) return refused(400, 'found another period, wanted a duration as P7D or PT12H');
  const endMs = end === undefined ? startMs + lengthMs : readTime(end);
  if (endMs === undefined) return refused(400, `found another end, wanted ${WANTED_TIME}`);
  if (endMs <= startMs) return refused(400, 'found an end that is not after the start, wanted it later');
  return { kind: 'target', mailbox, window: { startMs, endMs } };
}

function readMailbox(encoded: string): string | undefined {
  try {
    return mailboxOf(calendarAddress(decodeURIComponent(encoded)));
  } catch (error) {
    if (!(error instanceof URIError)) throw error; // no percent-encoding, or no UTF-8
    return undefined;
  }
}

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt](\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?([Zz]|([+ -])(\d\d):(\d\d)))?$/;

/** @returns ms since the epoch, whole seconds; undefined when it is no time, or one of no zone */
function readTime(value: string): number | undefined {
  const match = RFC3339.exec(value);
  const basic = match === null ? value : `${match.slice(1, 4).join('')}${match[4] === undefined ? '' : clock(match)}`;
  const time = parseDateTime(basic.toUpperCase());
  if (time === undefined || time.kind === 'floating') return undefined;
  const [sign, hours, minutes] = [match?.[8], Number(match?.[9] ?? 0), Number(match?.[10] ?? 0)];
  if (hours > 23 || minutes > 59) return undefined;
  const offsetMs = (hours * 60 + minutes) * 60_000;
  // A plus sign that nobody encoded has become a blank.
  return sign === '-' ? time.localMs + offsetMs : time.localMs - offsetMs;
}

function clock(match: RegExpExecArray): string {
  return `T${match.slice(4, 7).join('')}Z`;
}

function refused(status: 400 | 404 | 406, reason: string): Target {
  return { kind: 'refused', status, reason };
}
