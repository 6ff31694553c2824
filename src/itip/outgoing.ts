import { componentTravels, parameterTravels, travels } from '../../rules/data/travel.ts';
import { calendarAddress, mailboxOf, sameAddress } from '../mail/address.ts';
import { buildTree, type Component } from './components.ts';
import {
  type ContentLine,
  composeLine,
  foldLine,
  parameter,
  parametersOf,
  readLines,
  textValue,
  withValue,
} from './content-lines.ts';
import { parseDateTime } from './date-time.ts';
import type { Method } from './message.ts';
import { zonesOf } from './summary.ts';
import { type Years, zoneLines } from './timezones.ts';

export type OutgoingOptions = {
  readonly method: Method;
  /** Mailbox the copy goes to: the ATTENDEE whose EMAIL parameter (RFC 7986 §6.2) names it becomes a `mailto:` URI, as RFC 6047 §2.2.1 wants. */
  readonly recipient?: string;
};

export type Outgoing = {
  readonly content: Buffer;
  /** TZIDs without a VTIMEZONE that we could not make one for: readers take such times as they like. */
  readonly unknownZones: readonly string[];
};

/** A hostile object may name thousands of zones, each of which takes milliseconds; no meeting needs so many. */
const MAX_ADDED_ZONES = 5;
const FOLD_OCTETS = 75;
const TIMES = new Set(['DTSTART', 'DTEND', 'DUE', 'RECURRENCE-ID', 'EXDATE', 'RDATE']);
const NO_LIMITS = { maxLineBytes: Number.POSITIVE_INFINITY, maxProperties: Number.POSITIVE_INFINITY };

/**
 * The object as it may leave by mail: without what must not travel (rules/data/travel.ts), with a VTIMEZONE for every
 * TZID, each line within 75 octets. Order and every other octet stay.
 * @param content as `SchedulingObject.content`
 * @returns `content` itself when nothing had to change
 * @throws when `content` is no calendar object at all: whoever read it before would have said so
 */
export function toOutgoing(content: Buffer, options: OutgoingOptions): Buffer {
  return prepareOutgoing(content, options).content;
}

/** {@link toOutgoing} with what could not be mended. */
export function prepareOutgoing(content: Buffer, { method, recipient }: OutgoingOptions): Outgoing {
  const text = content.toString();
  const read = readLines(text, NO_LIMITS);
  if (read.kind === 'refused') throw new Error(`refused without a limit: ${read.reason}`);
  const tree = buildTree(read.lines, Number.POSITIVE_INFINITY);
  if (tree.kind === 'refused') throw new Error(`no calendar object: ${tree.reason}`);
  const left = new Set<ContentLine>();
  const rewritten = new Map<ContentLine, ContentLine>();
  leaveBehind(tree.calendar, left);
  for (const component of withinOf(tree.calendar)) {
    let attendees = 0;
    for (const line of component.lines) {
      const isAttendee = line.name === 'ATTENDEE';
      // RFC 5546 §3.2.3: a REPLY speaks for one. Cyrus takes over what it says of any other.
      if (!travels(line.name) || (isAttendee && method === 'REPLY' && ++attendees > 1)) left.add(line);
      else {
        const bare = withoutPrivate(line);
        const fit = isAttendee && recipient !== undefined ? reachable(bare, recipient) : bare;
        if (fit !== line) rewritten.set(line, fit);
      }
    }
  }
  const { added, unknownZones } = missingZones(tree.calendar);
  const before = tree.calendar.children.find(({ name }) => name !== 'VTIMEZONE')?.begin;
  let changed = false;
  const pieces: string[] = [];
  for (const line of read.lines) {
    if (line === before && added.length > 0) {
      for (const one of added) pieces.push(foldLine(one));
      changed = true;
    }
    const slice = line.start < 0 ? '' : text.slice(line.start, line.end);
    const whole = rewritten.get(line) ?? line;
    if (left.has(line)) changed = true;
    else if (whole === line && isWellFolded(slice)) pieces.push(slice);
    else {
      pieces.push(foldLine(whole.text));
      changed = true;
    }
  }
  return { content: changed ? Buffer.from(pieces.join('')) : content, unknownZones };
}

/** A component with all that are in it, but for time zones. */
function withinOf(component: Component): readonly Component[] {
  return [component, ...component.children.filter(({ name }) => name !== 'VTIMEZONE').flatMap(withinOf)];
}

/** Collects the lines of components that stay at home, at any depth below `component`. */
function leaveBehind(component: Component, left: Set<ContentLine>): void {
  for (const child of component.children) {
    if (!componentTravels(child.name)) leaveWhole(child, left);
    else if (child.name !== 'VTIMEZONE') leaveBehind(child, left);
  }
}

function leaveWhole(component: Component, left: Set<ContentLine>): void {
  left.add(component.begin).add(component.end);
  for (const line of component.lines) left.add(line);
  for (const child of component.children) leaveWhole(child, left);
}

function withoutPrivate(line: ContentLine): ContentLine {
  if (line.valueAt <= line.name.length + 1) return line;
  const parameters = parametersOf(line);
  const kept = parameters.filter(({ name }) => parameterTravels(line.name, name));
  return kept.length === parameters.length
    ? line
    : composeLine(
        line,
        kept.map(({ text }) => text),
      );
}

function reachable(line: ContentLine, recipient: string): ContentLine {
  if (mailboxOf(textValue(line)) !== undefined) return line;
  const email = parameter(line, 'EMAIL');
  return email !== undefined && sameAddress(email, recipient) ? withValue(line, calendarAddress(recipient)) : line;
}

/** RFC 5545 §3.1: CRLF, and no physical line over 75 octets. */
function isWellFolded(slice: string): boolean {
  if (!slice.endsWith('\r\n')) return false;
  if (slice.length * 3 <= FOLD_OCTETS) return true;
  return slice.split('\r\n').every((line) => Buffer.byteLength(line) <= FOLD_OCTETS && !line.includes('\n'));
}

/** VTIMEZONEs, as unfolded lines, for the TZIDs that have none. */
function missingZones(calendar: Component): { added: readonly string[]; unknownZones: readonly string[] } {
  const known = zonesOf(calendar);
  const missing = new Map<string, Years>();
  for (const component of calendar.children) {
    if (component.name === 'VTIMEZONE') continue;
    for (const line of component.lines) {
      if (!TIMES.has(line.name)) continue;
      const tzid = parameter(line, 'TZID');
      if (tzid === undefined || tzid.trim() === '' || known.has(tzid.trim())) continue;
      const years = yearsOf(line, missing.get(tzid));
      if (years !== undefined) missing.set(tzid, years);
    }
  }
  const added: string[] = [];
  const unknownZones: string[] = [];
  let count = 0;
  for (const [tzid, years] of missing) {
    const lines = count < MAX_ADDED_ZONES ? zoneLines(tzid, years) : undefined;
    if (lines === undefined) unknownZones.push(tzid);
    else {
      added.push(...lines);
      count++;
    }
  }
  return { added, unknownZones };
}

/** The years that the line's values lie in, `so` far included; UTC and dates need no zone. */
function yearsOf(line: ContentLine, so: Years | undefined): Years | undefined {
  let years = so;
  for (const value of textValue(line).split(',')) {
    const time = parseDateTime(value.split('/', 1)[0]?.trim() ?? '');
    if (time?.kind !== 'floating') continue;
    const year = new Date(time.localMs).getUTCFullYear();
    years =
      years === undefined
        ? { from: year, to: year }
        : { from: Math.min(years.from, year), to: Math.max(years.to, year) };
  }
  return years;
}
