import { BUSY_TYPES, type BusyType, type Period, type Window } from '../../src/freebusy/busy.ts';
import type { BusyDocument, BusyDocuments } from '../../src/freebusy/read.ts';
import { joinWindows } from '../../src/freebusy/windows.ts';
import { parseDateTime, parseDuration } from '../../src/itip/date-time.ts';
import { childrenNamed, type Element, readDocument, textOf } from '../../src/xml/document.ts';

/** As many as are read of iCalendar. */
const MAX_PERIODS = 20_000;

/**
 * Reads the text/xml of `get_freebusy.wcap`: an `iCal` for each calendar, with START, END and FB of its FREEBUSY and an
 * errno of its own. As with iCalendar, a period that cannot be read makes all of it unreadable.
 * @param contentType value of the Content-Type header, '' when absent
 */
export function readBusyXml(body: Buffer, contentType: string): BusyDocuments {
  const read = readDocument(body, contentType, { attributes: true });
  if (read.kind === 'unreadable') return unreadable(read.reason);
  const { root } = read;
  if (!/^icalendar$/i.test(root.name)) return unreadable(`found <${root.name.slice(0, 40)}>, wanted <iCalendar>`);
  const calendars = childrenNamed(root, 'iCal', 'ical');
  // A failure of the whole question has its number beside no calendar.
  const documents = (calendars.length > 0 ? calendars : [root]).map(readCalendar);
  const fault = documents.find((document) => typeof document === 'string');
  if (fault !== undefined) return unreadable(fault);
  return { kind: 'documents', documents: documents.filter((document) => typeof document !== 'string') };
}

/** Of a body that begins with `<`. */
export function isHtml(body: Buffer): boolean {
  return /<(?:!doctype\s+)?html\b/i.test(body.toString('latin1', 0, 1000));
}

/** @returns why not, where it would be misread */
function readCalendar(calendar: Element): BusyDocument | string {
  const busy = childrenNamed(calendar, 'FREEBUSY', 'VFREEBUSY');
  const errno = errnoOf(calendar, busy);
  if (busy.length === 0 && errno === undefined) return 'found a calendar without FREEBUSY';
  const periods: Period[] = [];
  for (const element of busy.flatMap((component) => childrenNamed(component, 'FB'))) {
    const fault = addPeriods(element, periods);
    if (fault !== undefined) return fault;
  }
  const window = windowOf(busy);
  return {
    periods,
    attendees: [],
    ...(window === undefined ? {} : { window }),
    ...(errno === undefined ? {} : { errno }),
  };
}

/** @returns why not */
function addPeriods(element: Element, periods: Period[]): string | undefined {
  const type = typeOf(element.attributes?.get('FBTYPE'));
  for (const text of textOf(element)
    .trim()
    .toUpperCase()
    .split(/[\s,]+/)) {
    if (text === '') continue;
    const [start = '', end = '', ...more] = text.split('/');
    const startMs = instant(start);
    const durationMs = parseDuration(end);
    const endMs = durationMs === undefined || startMs === undefined ? instant(end) : startMs + durationMs;
    if (startMs === undefined || endMs === undefined || more.length > 0)
      return `found the period ${text.replace(/[^\x20-\x7e]/g, '').slice(0, 40)}, wanted start/end in UTC`;
    if (periods.length >= MAX_PERIODS) return 'found more periods than are read of one answer';
    if (endMs > startMs) periods.push({ type, startMs, endMs });
  }
  return undefined;
}

/** RFC 5545 §3.2.9: BUSY where it is missing, and where it is none that we know. */
function typeOf(value: string | undefined): BusyType {
  const name = value?.trim().toUpperCase();
  return BUSY_TYPES.find((type) => type === name) ?? 'BUSY';
}

/** Undefined for a date, and for local time: a zone was not asked for. */
function instant(text: string): number | undefined {
  const time = parseDateTime(text);
  return time?.kind === 'utc' ? time.localMs : undefined;
}

/** From the first START on, as far as what follows leaves no gap; undefined when none of them says an instant. */
function windowOf(busy: readonly Element[]): Window | undefined {
  const windows = busy.flatMap((component): Window[] => {
    const at = (name: string) => instant(textOf(childrenNamed(component, name)[0]).trim().toUpperCase());
    const [startMs, endMs] = [at('START'), at('END')];
    return startMs === undefined || endMs === undefined || endMs <= startMs ? [] : [{ startMs, endMs }];
  });
  return joinWindows(windows)[0];
}

/** Of several the first that is not 0. */
function errnoOf(calendar: Element, busy: readonly Element[]): number | undefined {
  const values = [calendar, ...busy]
    .flatMap((element) => childrenNamed(element, 'X-NSCP-WCAP-ERRNO'))
    .map((element) => textOf(element).trim())
    .filter((text) => /^-?\d{1,9}$/.test(text))
    .map(Number);
  return values.find((errno) => errno !== 0) ?? values[0];
}

function unreadable(reason: string): BusyDocuments {
  return { kind: 'unreadable', reason };
}
