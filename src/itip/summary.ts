import { mailboxOf } from '../mail/address.ts';
import { type Component, properties, property } from './components.ts';
import { type ContentLine, parameter, parametersOf, textValue } from './content-lines.ts';
import { type DateTime, formatUtc, parseDateTime, parseDuration } from './date-time.ts';
import type { CalendarUser, Instance } from './message.ts';
import { zoneOffsetAt } from './zone.ts';

/** Added where a time's zone is not known: no place on Earth is further from UTC, with room to spare. */
const UNKNOWN_ZONE_SLACK_MS = 26 * 3_600_000;
const DAY_MS = 86_400_000;

/** What the components of a valid object say, in the words of `SchedulingObject`. */
export type Summary = {
  readonly uid: string;
  readonly organizer?: CalendarUser;
  readonly attendees: readonly CalendarUser[];
  readonly instances: readonly Instance[];
  readonly endsAtMs?: number;
};

/** @param components those to schedule, of one UID; at least one */
export function summarize(calendar: Component, components: readonly Component[]): Summary {
  const zones = zonesOf(calendar);
  const first = components[0];
  const uidLine = first === undefined ? undefined : property(first, 'UID');
  const organizer = components.flatMap((component) => property(component, 'ORGANIZER') ?? [])[0];
  const endsAtMs = latestEnd(components, zones);
  return {
    uid: uidLine === undefined ? '' : uidOf(uidLine),
    ...(organizer === undefined ? {} : { organizer: calendarUser(organizer) }),
    attendees: attendeesOf(components),
    instances: components.map((component) => instanceOf(component, zones)),
    ...(endsAtMs === undefined ? {} : { endsAtMs }),
  };
}

/** UID is a TEXT value: escapes undone, so that two spellings of one UID are one. */
export function uidOf(line: ContentLine): string {
  return textValue(line)
    .trim()
    .replace(/\\([\\;,])/g, '$1');
}

/** RECURRENCE-ID with its TZID and RANGE; '' for the master. */
export function recurrenceIdOf(component: Component): string {
  const line = property(component, 'RECURRENCE-ID');
  if (line === undefined) return '';
  const zone = parameter(line, 'TZID');
  const range = parameter(line, 'RANGE');
  const parts = [textValue(line).trim().toUpperCase()];
  if (zone !== undefined) parts.push(`TZID=${zone}`);
  if (range !== undefined) parts.push(`RANGE=${range.toUpperCase()}`);
  return parts.join(';');
}

/** SEQUENCE, 0 when it is missing (RFC 5546 §2.1.4). */
export function sequenceOf(component: Component): number {
  const line = property(component, 'SEQUENCE');
  const value = line === undefined ? 0 : Number(textValue(line));
  return Number.isInteger(value) && value > 0 ? value : 0;
}

type Zones = ReadonlyMap<string, Component>;

/** The VTIMEZONEs by TZID. */
export function zonesOf(calendar: Component): Zones {
  const zones = new Map<string, Component>();
  for (const child of calendar.children) {
    const line = child.name === 'VTIMEZONE' ? property(child, 'TZID') : undefined;
    if (line !== undefined) zones.set(textValue(line).trim(), child);
  }
  return zones;
}

/** The instant of a DATE-TIME line; undefined for a date, for floating time and where the zone is not known. */
export function instantOf(line: ContentLine, zones: Zones): number | undefined {
  const time = parseDateTime(textValue(line).trim());
  return time === undefined ? undefined : resolve(time, line, zones);
}

function resolve(time: DateTime, line: ContentLine, zones: Zones): number | undefined {
  if (time.kind === 'utc') return time.localMs;
  if (time.kind === 'date') return undefined;
  const zone = zones.get(parameter(line, 'TZID') ?? '');
  const offset = zone === undefined ? undefined : zoneOffsetAt(zone, time.localMs);
  return offset === undefined ? undefined : time.localMs - offset;
}

function instanceOf(component: Component, zones: Zones): Instance {
  return {
    recurrenceId: recurrenceIdOf(component),
    sequence: sequenceOf(component),
    dtstamp: dtstampOf(component, zones),
  };
}

/** DTSTAMP in UTC; one without Z or zone is taken for UTC, which RFC 5545 §3.8.7.2 asks for. */
function dtstampOf(component: Component, zones: Zones): string {
  const line = property(component, 'DTSTAMP');
  const time = line === undefined ? undefined : parseDateTime(textValue(line).trim());
  if (line === undefined || time === undefined) return '';
  return formatUtc(resolve(time, line, zones) ?? time.localMs);
}

function attendeesOf(components: readonly Component[]): readonly CalendarUser[] {
  const known = new Map<string, CalendarUser>();
  for (const component of components) {
    for (const line of properties(component, 'ATTENDEE')) {
      const user = calendarUser(line);
      const key = (user.mailbox ?? user.uri).toLowerCase();
      if (!known.has(key)) known.set(key, user);
    }
  }
  return [...known.values()];
}

function calendarUser(line: ContentLine): CalendarUser {
  const uri = textValue(line).trim();
  const mailbox = mailboxOf(uri);
  const user: { -readonly [key in keyof CalendarUser]: CalendarUser[key] } = { uri };
  if (mailbox !== undefined) user.mailbox = mailbox;
  for (const { name, values } of parametersOf(line)) {
    const [value] = values ?? [];
    if (values === undefined || value === undefined) continue;
    if (name === 'SENT-BY') user.sentBy = value;
    else if (name === 'CUTYPE') user.cutype = value.toUpperCase();
    else if (name === 'MEMBER') user.member = values;
    else if (name === 'EMAIL') user.email = value;
    else if (name === 'DELEGATED-FROM') user.delegatedFrom = values;
    else if (name === 'DELEGATED-TO') user.delegatedTo = values;
    else if (name === 'PARTSTAT') user.partstat = value.toUpperCase();
  }
  return user;
}

function latestEnd(components: readonly Component[], zones: Zones): number | undefined {
  let latest: number | undefined;
  for (const component of components) {
    const end = endOf(component, zones);
    if (end === undefined) return undefined;
    latest = latest === undefined ? end : Math.max(latest, end);
  }
  return latest;
}

/** When a component ends; undefined when it recurs or does not say. */
function endOf(component: Component, zones: Zones): number | undefined {
  for (const name of ['RRULE', 'RDATE']) if (property(component, name) !== undefined) return undefined;
  if (recurrenceIdOf(component).includes(';RANGE=')) return undefined;
  const end = property(component, component.name === 'VTODO' ? 'DUE' : 'DTEND');
  if (end !== undefined) return endOfLine(end, 0, zones);
  const start = property(component, 'DTSTART');
  if (start === undefined) return undefined;
  const duration = property(component, 'DURATION');
  if (duration !== undefined) return endOfLine(start, parseDuration(textValue(duration).trim()) ?? 0, zones);
  const isDate = parseDateTime(textValue(start).trim())?.kind === 'date';
  return endOfLine(start, isDate ? DAY_MS : 0, zones); // a date alone lasts that day (RFC 5545 §3.6.1)
}

function endOfLine(line: ContentLine, addMs: number, zones: Zones): number | undefined {
  const time = parseDateTime(textValue(line).trim());
  if (time === undefined) return undefined;
  return addMs + (resolve(time, line, zones) ?? time.localMs + UNKNOWN_ZONE_SLACK_MS);
}
