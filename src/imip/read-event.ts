import { buildTree, type Component, properties, property } from '../itip/components.ts';
import { type ContentLine, parameter, parametersOf, readLines, textValue } from '../itip/content-lines.ts';
import { parseDateTime, parseDuration } from '../itip/date-time.ts';
import type { SchedulingObject } from '../itip/message.ts';
import { zonesOf } from '../itip/summary.ts';
import { zoneOffsetAt } from '../itip/zone.ts';
import { mailboxOf } from '../mail/address.ts';
import type { EventFacts, Person, When } from './event-facts.ts';
import { offsetAt, zoneNamed } from './zone-names.ts';

/** Characters. What is longer is cut with an ellipsis: the object in the mail holds all of it. */
const MAX_TITLE = 200;
const MAX_PLACE = 500;
const MAX_TEXT = 4000;
const MAX_NAME = 200;
const MAX_ADDRESS = 320;
const MAX_URL = 2000;
/** The object was read before with the limits of the configuration; this one only ends recursion. */
const MAX_DEPTH = 16;
const DAY_MS = 86_400_000;

type Zones = ReadonlyMap<string, Component>;

/**
 * What a person wants to know of each component of an object, the master first, then the overrides in their order.
 * Reads content lines and expands no recurrence, so that the cost grows with the object's size and nothing else.
 *
 * @returns empty when the bytes are no calendar
 */
export function eventFacts(
  object: Pick<SchedulingObject, 'method' | 'component' | 'uid' | 'content'>,
): readonly EventFacts[] {
  const read = readLines(object.content.toString(), { maxLineBytes: Infinity, maxProperties: Infinity });
  if (read.kind === 'refused') return [];
  const begin = read.lines.findIndex((line) => line.name === 'BEGIN');
  const tree = begin < 0 ? undefined : buildTree(read.lines.slice(begin), MAX_DEPTH);
  if (tree?.kind !== 'tree') return [];
  const zones = zonesOf(tree.calendar);
  const components = tree.calendar.children.filter((child) => child.name === object.component);
  const isOverride = (component: Component): boolean => property(component, 'RECURRENCE-ID') !== undefined;
  const ordered = [
    ...components.filter((component) => !isOverride(component)),
    ...components.filter((component) => isOverride(component)),
  ];
  return ordered.map((component) => factsOf(object, component, zones));
}

type Writable<T> = { -readonly [key in keyof T]: T[key] };

function factsOf(
  { method, component: name, uid }: Pick<SchedulingObject, 'method' | 'component' | 'uid'>,
  component: Component,
  zones: Zones,
): EventFacts {
  const recurrence = property(component, 'RECURRENCE-ID');
  const facts: Writable<EventFacts> = {
    method,
    component: name,
    uid,
    title: textOf(component, 'SUMMARY', MAX_TITLE) ?? '',
    thisAndFuture: recurrence !== undefined && parameter(recurrence, 'RANGE')?.trim().toUpperCase() === 'THISANDFUTURE',
    attendees: properties(component, 'ATTENDEE').map(attendeeOf),
  };
  const startLine = property(component, 'DTSTART');
  const start = startLine === undefined ? undefined : whenOf(startLine, zones);
  if (start !== undefined) facts.start = start;
  const end = endOf(component, start, zones);
  if (end !== undefined) facts.end = end;
  const recurrenceId = recurrence === undefined ? undefined : whenOf(recurrence, zones);
  if (recurrenceId !== undefined) facts.recurrenceId = recurrenceId;
  const organizer = property(component, 'ORGANIZER');
  if (organizer !== undefined) {
    facts.organizer = personOf(organizer);
    const sentBy = parameter(organizer, 'SENT-BY');
    if (sentBy !== undefined) facts.sentBy = addressOf(sentBy);
  }
  const rule = property(component, 'RRULE');
  if (rule !== undefined) facts.rule = textValue(rule).trim();
  if (property(component, 'RDATE') !== undefined) facts.moreDates = true;
  if (property(component, 'EXDATE') !== undefined) facts.fewerDates = true;
  const place = textOf(component, 'LOCATION', MAX_PLACE);
  if (place !== undefined) facts.place = place;
  const description = textOf(component, 'DESCRIPTION', MAX_TEXT);
  if (description !== undefined) facts.description = description;
  const comment = textOf(component, 'COMMENT', MAX_TEXT);
  if (comment !== undefined) facts.comment = comment;
  const url = property(component, 'URL');
  if (url !== undefined && url.text.length <= MAX_URL) facts.url = textValue(url).trim();
  const status = property(component, 'STATUS');
  if (status !== undefined) facts.status = textValue(status).trim().toUpperCase();
  return facts;
}

/** DTEND, DUE, or DTSTART and DURATION; a day alone ends with that day (RFC 5545 §3.6.1). */
function endOf(component: Component, start: When | undefined, zones: Zones): When | undefined {
  const line = property(component, component.name === 'VTODO' ? 'DUE' : 'DTEND');
  if (line !== undefined) return whenOf(line, zones);
  const localMs = start === undefined ? undefined : localMsOf(start);
  if (start === undefined || localMs === undefined) return undefined;
  const duration = property(component, 'DURATION');
  const lengthMs = duration === undefined ? undefined : parseDuration(textValue(duration).trim());
  if (lengthMs === undefined || lengthMs < 0)
    return start.allDay && component.name === 'VEVENT' ? moved(start, localMs + DAY_MS) : undefined;
  if (start.allDay || start.atMs === undefined || start.zone === undefined) return moved(start, localMs + lengthMs);
  // Elapsed time, not time on the wall: over a change of the clock they differ. Zones known by VTIMEZONE alone keep
  // the offset of the start.
  const atMs = start.atMs + lengthMs;
  const offset = offsetAt(start.zone, atMs) ?? localMs - start.atMs;
  return { ...moved(start, atMs + offset), atMs };
}

function moved(from: When, localMs: number): When {
  const { atMs: _, ...rest } = from;
  return { ...rest, local: localOf(localMs, from.allDay) };
}

function whenOf(line: ContentLine, zones: Zones): When | undefined {
  const time = parseDateTime(textValue(line).trim());
  if (time === undefined) return undefined;
  const local = localOf(time.localMs, time.kind === 'date');
  if (time.kind === 'date') return { local, allDay: true };
  if (time.kind === 'utc') return { local, allDay: false, zone: 'UTC', atMs: time.localMs };
  const tzid = parameter(line, 'TZID')?.trim();
  if (tzid === undefined || tzid === '') return { local, allDay: false };
  const definition = zones.get(tzid);
  const known = zoneNamed(tzid, definition);
  const zone = known ?? bounded(tzid, MAX_NAME);
  const offset = definition === undefined ? undefined : zoneOffsetAt(definition, time.localMs);
  if (offset !== undefined) return { local, allDay: false, zone, atMs: time.localMs - offset };
  if (known === undefined) return { local, allDay: false, zone };
  // Twice, because the first guess may stand on the other side of a change of the clock.
  const guess = time.localMs - (offsetAt(known, time.localMs) ?? 0);
  return { local, allDay: false, zone, atMs: time.localMs - (offsetAt(known, guess) ?? 0) };
}

function localOf(ms: number, allDay: boolean): string {
  return new Date(ms).toISOString().slice(0, allDay ? 10 : 19);
}

/** The digits of `local` read as if they were UTC; undefined for what is no time. */
export function localMsOf({ local, allDay }: When): number | undefined {
  const ms = Date.parse(allDay ? `${local}T00:00:00Z` : `${local}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function attendeeOf(line: ContentLine): EventFacts['attendees'][number] {
  const partstat = parameter(line, 'PARTSTAT')?.trim().toUpperCase();
  const delegate = parameter(line, 'DELEGATED-TO');
  return {
    ...personOf(line),
    ...(partstat === undefined ? {} : { partstat: bounded(partstat, MAX_NAME) }),
    ...(delegate === undefined || delegate === '' ? {} : { delegatedTo: addressOf(delegate) }),
  };
}

function personOf(line: ContentLine): Person {
  const parameters = parametersOf(line);
  const textOfParameter = (name: string): string | undefined =>
    // Unquoted commas are common in CN, as in CN=Bloggs, Ann.
    parameters.find((candidate) => candidate.name === name)?.values?.join(',');
  const uri = textValue(line).trim();
  const email = textOfParameter('EMAIL')?.trim();
  const address =
    mailboxOf(uri) === undefined && email !== undefined && mailboxOf(`mailto:${email}`) !== undefined
      ? email
      : addressOf(uri);
  // Cut first: what is escaped is two characters of one.
  const name = decodeCaret((textOfParameter('CN') ?? '').slice(0, 4 * MAX_NAME))
    .replace(/\\([\\;,"])/g, '$1')
    .trim();
  return { address, ...(name === '' ? {} : { name: bounded(name, MAX_NAME) }) };
}

/** The mailbox of a `mailto:` URI (quoted or not), any other URI as it is. */
function addressOf(uri: string): string {
  return bounded(mailboxOf(uri) ?? uri.trim(), MAX_ADDRESS);
}

/** RFC 6868. */
function decodeCaret(value: string): string {
  return value.replace(/\^([n'^])/g, (_, code: string) => (code === 'n' ? '\n' : code === "'" ? '"' : '^'));
}

/** A TEXT value without its escapes (RFC 5545 §3.3.11); undefined when there is none or it is blank. */
function textOf(component: Component, name: string, max: number): string | undefined {
  const line = property(component, name);
  if (line === undefined) return undefined;
  // Cut first: an escape is two characters of one.
  const raw = line.text.slice(line.valueAt, line.valueAt + 2 * max + 2);
  const text = raw.replace(/\\(.)/gs, (_, char: string) => (char === 'n' || char === 'N' ? '\n' : char)).trim();
  return text === '' ? undefined : bounded(text, max);
}

function bounded(text: string, max: number): string {
  if (text.length <= max) return text;
  return `${text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
