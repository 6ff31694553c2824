import { decodeText } from '../itip/charset.ts';
import { buildTree, type Component, componentName, properties, property } from '../itip/components.ts';
import { type ContentLine, parameter, readLines, textValue } from '../itip/content-lines.ts';
import { zonesOf } from '../itip/summary.ts';
import { mailboxOf, reachableAt } from '../mail/address.ts';
import type { Period, Window } from './busy.ts';
import { PeriodReader } from './read-period.ts';
import { joinWindows } from './windows.ts';

/** One VFREEBUSY of an answer, in whatever protocol it came. */
export type BusyDocument = {
  readonly periods: readonly Period[];
  readonly uid?: string;
  /** What it covers without a gap. */
  readonly window?: Window;
  /** Mailboxes, or URIs of another scheme, of its ATTENDEE; ORGANIZER where there is none. */
  readonly attendees: readonly string[];
  /** X-NSCP-WCAP-ERRNO of the calendar, wherever it stands in it. */
  readonly errno?: number;
  /** X-NSCP-CALPROPS-RELATIVE-CALID, X-S1CS-EMAIL (also X-SICS-EMAIL). */
  readonly calid?: string;
  readonly email?: string;
  /** REQUEST-STATUS, as it stands. */
  readonly requestStatus?: string;
};

export type BusyDocuments =
  /** One for each VCALENDAR (one without a VFREEBUSY has no periods, and an errno), in order. */
  | { readonly kind: 'documents'; readonly documents: readonly BusyDocument[] }
  /** Nothing at all. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'unreadable'; readonly reason: string };

export type BusyReadLimits = { readonly maxBytes: number; readonly maxPeriods: number };

const DEFAULT_LIMITS: BusyReadLimits = { maxBytes: 1_048_576, maxPeriods: 20_000 };
/** Beside those of FREEBUSY: a WCAP server writes some twenty for each calendar. */
const MAX_OTHER_LINES = 20_000;
const MAX_DEPTH = 8;
/** Some of it is the server's own text. */
const MAX_REASON = 200;
const SWALLOWED = /FREEBUSY[;:]/i;

/**
 * Reads iCalendar with VFREEBUSY as servers really write it: FREEBUSY in UTC, by DURATION, in a local time zone (TZID with
 * or without VTIMEZONE), several to a line; FBTYPE missing (BUSY) or unknown (BUSY, RFC 5545 §3.2.9). A period that cannot
 * be read makes the whole document unreadable: what it says would be taken for free. So does one in local time of no
 * zone, an end that is missing, and a calendar of events instead of busy times.
 */
export function readBusy(
  bytes: Buffer,
  charset: string | undefined,
  limits: BusyReadLimits = DEFAULT_LIMITS,
): BusyDocuments {
  if (bytes.length > limits.maxBytes)
    return unreadable(`found ${bytes.length} octets, wanted at most ${limits.maxBytes}`);
  const { text } = decodeText(bytes, charset);
  if (text.trim() === '') return { kind: 'empty' };
  if (text.includes('\0')) return unreadable('found a NUL character, wanted iCalendar');
  const foreign = foreignText(text);
  if (foreign !== undefined) return unreadable(`found ${foreign}, wanted iCalendar`);
  const read = readLines(text, {
    maxLineBytes: limits.maxBytes,
    maxProperties: limits.maxPeriods + MAX_OTHER_LINES,
  });
  if (read.kind === 'refused') return unreadable(read.reason);
  const split = splitCalendars(read.lines.filter((line) => line.name !== '' || line.text.trim() !== ''));
  if (typeof split === 'string') return unreadable(split);
  const documents: BusyDocument[] = [];
  let left = limits.maxPeriods;
  for (const { lines, after } of split) {
    const tree = buildTree(lines, MAX_DEPTH);
    if (tree.kind === 'refused') return unreadable(tree.reason);
    const document = readCalendar(tree.calendar, after, left);
    if (typeof document === 'string') return unreadable(document);
    left -= document.periods.length;
    documents.push(document);
  }
  return { kind: 'documents', documents };
}

/** Lines of one VCALENDAR, BEGIN and END included, and what stands behind it up to the next. */
type CalendarLines = { readonly lines: ContentLine[]; readonly after: ContentLine[] };

/** @returns why not, where a line stands in no calendar that is no extension */
function splitCalendars(lines: readonly ContentLine[]): readonly CalendarLines[] | string {
  const calendars: CalendarLines[] = [];
  let depth = 0;
  for (const line of lines) {
    const current = calendars.at(-1);
    if (depth > 0) {
      current?.lines.push(line);
      if (line.name === 'BEGIN') depth++;
      else if (line.name === 'END') depth--;
    } else if (line.name === 'BEGIN' && componentName(line) === 'VCALENDAR') {
      calendars.push({ lines: [line], after: [] });
      depth = 1;
    } else if (current !== undefined && line.name.startsWith('X-')) {
      current.after.push(line);
    } else {
      return `line ${line.line} stands outside VCALENDAR`;
    }
  }
  return calendars;
}

/** @returns why not, where it would be misread */
function readCalendar(calendar: Component, after: readonly ContentLine[], maxPeriods: number): BusyDocument | string {
  const busy = calendar.children.filter(({ name }) => name === 'VFREEBUSY');
  const own = [...calendar.lines, ...busy.flatMap(({ lines }) => lines), ...after];
  const errno = errnoOf(own);
  const other = calendar.children.find(({ name }) => name !== 'VFREEBUSY' && name !== 'VTIMEZONE');
  if (busy.length === 0 && (other !== undefined || errno === undefined))
    return `found a calendar ${other === undefined ? 'with nothing in it' : `of ${other.name.slice(0, 20)}`}, wanted VFREEBUSY`;
  const reader = new PeriodReader(zonesOf(calendar), maxPeriods);
  for (const component of busy) {
    for (const line of component.lines) {
      // One that was broken without a fold: its beginning was read as if it were whole.
      if (line.name === '') return `line ${line.line} is no content line`;
      // One that the line before has taken for its own, its line end lost or a blank put in front.
      if (SWALLOWED.test(textValue(line))) return `line ${line.line}: found FREEBUSY within ${line.name.slice(0, 20)}`;
      const fault = line.name === 'FREEBUSY' ? reader.add(line) : undefined;
      if (fault !== undefined) return fault;
    }
  }
  const window = windowOf(busy, reader);
  const uid = textOf(own, 'UID')?.replace(/\\([\\;,])/g, '$1');
  const calid = textOf(own, 'X-NSCP-CALPROPS-RELATIVE-CALID');
  const email = textOf(own, 'X-S1CS-EMAIL') ?? textOf(own, 'X-SICS-EMAIL');
  const requestStatus = textOf(own, 'REQUEST-STATUS');
  return {
    periods: reader.periods,
    ...(uid === undefined ? {} : { uid }),
    ...(window === undefined ? {} : { window }),
    attendees: attendeesOf(busy),
    ...(errno === undefined ? {} : { errno }),
    ...(calid === undefined ? {} : { calid }),
    ...(email === undefined ? {} : { email: mailboxOf(email) ?? email }),
    ...(requestStatus === undefined ? {} : { requestStatus }),
  };
}

/** From the first DTSTART on, as far as what follows leaves no gap; undefined when none of them says an instant. */
function windowOf(busy: readonly Component[], reader: PeriodReader): Window | undefined {
  const windows = busy.flatMap((component): Window[] => {
    const [start, end] = [property(component, 'DTSTART'), property(component, 'DTEND')];
    const startMs = start === undefined ? undefined : reader.instant(start);
    const endMs = end === undefined ? undefined : reader.instant(end);
    return startMs === undefined || endMs === undefined || endMs <= startMs ? [] : [{ startMs, endMs }];
  });
  return joinWindows(windows)[0];
}

function attendeesOf(busy: readonly Component[]): readonly string[] {
  const of = (name: string) => new Set(busy.flatMap((component) => properties(component, name).map(userOf)));
  const attendees = of('ATTENDEE');
  return [...(attendees.size > 0 ? attendees : of('ORGANIZER'))];
}

function userOf(line: ContentLine): string {
  const uri = textValue(line).trim();
  // Some leave the scheme out.
  const mailbox = mailboxOf(uri.includes(':') ? uri : `mailto:${uri}`);
  return reachableAt({ mailbox, email: parameter(line, 'EMAIL') }) ?? uri;
}

/** Of several the first that is not 0: one thing went wrong. */
function errnoOf(lines: readonly ContentLine[]): number | undefined {
  const values = lines
    .filter(({ name }) => name === 'X-NSCP-WCAP-ERRNO')
    .map((line) => textValue(line).trim())
    .filter((text) => /^-?\d{1,9}$/.test(text))
    .map(Number);
  return values.find((errno) => errno !== 0) ?? values[0];
}

function textOf(lines: readonly ContentLine[], name: string): string | undefined {
  const line = lines.find((candidate) => candidate.name === name);
  const text = line === undefined ? '' : textValue(line).trim();
  return text === '' ? undefined : text;
}

/** What answers instead of a calendar, by its first character. */
function foreignText(text: string): string | undefined {
  const start = text.trimStart();
  if (start.startsWith('<')) return 'an HTML or XML page';
  if (/^[{[]/.test(start)) return 'JSON';
  return /^BEGIN[ \t]*:/i.test(start) ? undefined : 'some other text';
}

function unreadable(reason: string): BusyDocuments {
  return { kind: 'unreadable', reason: reason.replace(/\p{Cc}/gu, '').slice(0, MAX_REASON) };
}
