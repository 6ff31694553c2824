import { methodOf, scheduled } from '../../rules/validate.ts';
import { type Component, properties, property } from './components.ts';
import { type ContentLine, parameter, textValue } from './content-lines.ts';
import { parseDateTime } from './date-time.ts';
import type { CalendarUser, SchedulingObject } from './message.ts';
import { type CalendarText, type ReadContext, readCalendar, toObject } from './parse.ts';
import { mostInstances } from './recurrence.ts';
import { instantOf, recurrenceIdOf, summarize, zonesOf } from './summary.ts';

export const ATTACHMENT_KINDS = ['inline', 'external'] as const;
/** `external`: a URI; `inline`: the octets themselves. */
export type AttachmentKind = (typeof ATTACHMENT_KINDS)[number];

/** What a receiver's limits are about, beyond what scheduling needs. */
export type PostedFacts = {
  /** Of the times that are written down, RDATE and RECURRENCE-ID included; ms, floating time and dates read as UTC. */
  readonly earliestMs?: number;
  readonly latestMs?: number;
  /** Instances at most, without expanding any rule; a rule without end counts as one. */
  readonly instances: number;
  readonly attachments: readonly AttachmentKind[];
};

/** A question for busy times: VFREEBUSY by REQUEST (RFC 5546 §3.3.2). */
export type FreeBusyRequest = {
  readonly method: 'REQUEST';
  readonly component: 'VFREEBUSY';
  readonly uid: string;
  readonly organizer: CalendarUser;
  readonly attendees: readonly CalendarUser[];
  /** ms since the epoch; never empty or backwards. */
  readonly startMs: number;
  readonly endMs: number;
  readonly dtstamp: string;
};

/** What stands in the body of a post. */
export type Posted =
  | { readonly kind: 'object'; readonly object: SchedulingObject; readonly facts: PostedFacts }
  | { readonly kind: 'free-busy'; readonly object: FreeBusyRequest; readonly facts: PostedFacts }
  /** No iCalendar. */
  | { readonly kind: 'unreadable'; readonly reason: string }
  /** More octets than a calendar part may have: the copy in the queue could not be read again. */
  | { readonly kind: 'too-large'; readonly reason: string }
  /** iCalendar, and no iTIP message that we take. */
  | { readonly kind: 'unschedulable'; readonly reason: string };

export type PostedLimits = Omit<ReadContext, 'mailDate'> & {
  /** Of a calendar part in mail. */
  readonly maxObjectBytes: number;
};

/**
 * Reads the body of a post exactly as a mail's calendar part is read, so that the copy in the queue gives the same
 * object later. There is no Date that could stand in for a missing DTSTAMP.
 */
export function readPosted(bytes: Buffer, charset: string | undefined, limits: PostedLimits): Posted {
  const { maxObjectBytes, maxLineBytes, maxProperties, maxDepth } = limits;
  if (bytes.length > maxObjectBytes)
    return { kind: 'too-large', reason: `found ${bytes.length} octets, wanted at most ${maxObjectBytes}` };
  const read = readCalendar(bytes, charset, { maxLineBytes, maxProperties, maxDepth });
  if (read.kind === 'unreadable') return read;
  const { calendar } = read;
  const components = scheduled(calendar.calendar);
  if (components.length > 0 && components.every(({ name }) => name === 'VFREEBUSY')) return readFreeBusy(calendar);
  const result = toObject(calendar);
  if (result.kind === 'none')
    return { kind: result.unreadable === true ? 'unreadable' : 'unschedulable', reason: result.reason };
  return { kind: 'object', object: result.object, facts: factsOf(calendar.calendar, components) };
}

function readFreeBusy({ calendar }: CalendarText): Posted {
  const wrong = (reason: string): Posted => ({ kind: 'unschedulable', reason });
  const method = methodOf(calendar);
  if (properties(calendar, 'METHOD').length !== 1 || method !== 'REQUEST')
    return wrong(`found METHOD ${method.slice(0, 40) || 'missing'} of VFREEBUSY, wanted REQUEST`);
  const components = scheduled(calendar);
  const [component] = components;
  if (component === undefined || components.length > 1)
    return wrong(`found ${components.length} VFREEBUSY components, wanted one`);
  for (const name of ['UID', 'DTSTAMP', 'ORGANIZER', 'DTSTART', 'DTEND']) {
    const count = properties(component, name).length;
    if (count !== 1) return wrong(`found ${count === 0 ? 'no' : 'more than one'} ${name} in VFREEBUSY, wanted one`);
  }
  const { uid, organizer, attendees, instances } = summarize(calendar, components);
  if (uid === '' || organizer === undefined || attendees.length === 0)
    return wrong('found a VFREEBUSY without UID, ORGANIZER or ATTENDEE, wanted all of them');
  const [startMs, endMs] = [utcOf(component, 'DTSTART'), utcOf(component, 'DTEND')];
  if (startMs === undefined || endMs === undefined)
    return wrong('found DTSTART or DTEND of VFREEBUSY without Z, wanted both in UTC');
  if (endMs <= startMs) return wrong('found DTEND of VFREEBUSY not after DTSTART, wanted a time that is not empty');
  return {
    kind: 'free-busy',
    object: {
      method,
      component: 'VFREEBUSY',
      uid,
      organizer,
      attendees,
      startMs,
      endMs,
      dtstamp: instances[0]?.dtstamp ?? '',
    },
    facts: { earliestMs: startMs, latestMs: endMs, instances: 1, attachments: [] },
  };
}

function utcOf(component: Component, name: string): number | undefined {
  const line = property(component, name);
  const time = line === undefined ? undefined : parseDateTime(textValue(line).trim());
  return time?.kind === 'utc' ? time.localMs : undefined;
}

const TIMES = ['DTSTART', 'DTEND', 'DUE', 'RECURRENCE-ID'];

function factsOf(calendar: Component, components: readonly Component[]): PostedFacts {
  const zones = zonesOf(calendar);
  const hasMaster = components.some((component) => recurrenceIdOf(component) === '');
  let earliestMs: number | undefined;
  let latestMs: number | undefined;
  let instances = 0;
  const attachments = new Set<AttachmentKind>();
  const add = (ms: number | undefined): void => {
    if (ms === undefined) return;
    if (earliestMs === undefined || ms < earliestMs) earliestMs = ms;
    if (latestMs === undefined || ms > latestMs) latestMs = ms;
  };
  for (const component of components) {
    for (const line of component.lines) {
      if (TIMES.includes(line.name)) add(instantOf(line, zones) ?? localOf(textValue(line)));
      else if (line.name === 'ATTACH') attachments.add(attachmentKind(line));
    }
    // An alarm's sound by URI is no attachment for anybody, but its octets are octets.
    for (const { lines } of component.children) {
      if (lines.some((line) => line.name === 'ATTACH' && attachmentKind(line) === 'inline')) attachments.add('inline');
    }
    const dates = properties(component, 'RDATE').flatMap((line) => textValue(line).split(','));
    for (const date of dates) add(localOf(date.split('/', 1)[0] ?? ''));
    // What an override says of an instance, the master's rule has counted.
    if (recurrenceIdOf(component) === '') instances += dates.length + ruledInstances(component);
    else if (!hasMaster) instances++;
  }
  return {
    ...(earliestMs === undefined ? {} : { earliestMs }),
    ...(latestMs === undefined ? {} : { latestMs }),
    instances,
    attachments: [...attachments],
  };
}

/** Instances of DTSTART and RRULE. */
function ruledInstances(component: Component): number {
  const start = property(component, 'DTSTART');
  const startMs = start === undefined ? undefined : localOf(textValue(start));
  const rules = properties(component, 'RRULE');
  return rules.reduce((most, line) => Math.max(most, mostInstances(textValue(line), startMs ?? 0) ?? 1), 1);
}

/** The digits as if they were UTC, which is near enough for a limit of days. */
function localOf(value: string): number | undefined {
  return parseDateTime(value.trim().toUpperCase())?.localMs;
}

function attachmentKind(line: ContentLine): AttachmentKind {
  const isBinary =
    parameter(line, 'VALUE')?.toUpperCase() === 'BINARY' || parameter(line, 'ENCODING')?.toUpperCase() === 'BASE64';
  return isBinary || /^\s*data:/i.test(textValue(line)) ? 'inline' : 'external';
}
