import type ICAL from 'ical.js';
import { mailboxOf, sameAddress } from '../mail/address.ts';
import {
  attendeeOf,
  type CalendarObject,
  compareVersions,
  copyTimeZones,
  haveSameTimes,
  instanceKey,
  makeOverride,
  masterOf,
  organizerOf,
  readObject,
  sequenceOf,
  stampOf,
  textOf,
  timeOf,
  toText,
} from './stored.ts';

/** What one iTIP message does to one user's calendar. */
export type Applied =
  /** Keep `text`, an object without METHOD, in place of what was stored. */
  | { readonly kind: 'store'; readonly text: string; readonly summary: string }
  /** Older than what is stored, a repeat of it, or about something that is not there and need not be. */
  | { readonly kind: 'unchanged'; readonly reason: string }
  /** `requestStatus` is a code of RFC 5546 §3.6. */
  | { readonly kind: 'refused'; readonly requestStatus: string; readonly reason: string };

/**
 * iTIP for one user (RFC 5546 §2.1, §3.2, §3.4): REQUEST, REPLY, CANCEL and ADD of VEVENT and VTODO. Pure.
 * Known limits: RANGE=THISANDFUTURE is refused, a delegate's REPLY too; recurrences are not expanded, so a
 * RECURRENCE-ID that is no instance of the series makes an override all the same.
 * @param stored what the user's calendar holds of this UID, if anything
 * @param incoming the message
 * @param user mailbox of the calendar's owner
 */
export function applyMessage(stored: string | undefined, incoming: string, user: string): Applied {
  try {
    return apply(stored === undefined ? undefined : readObject(stored), readObject(incoming), user);
  } catch (error) {
    // ical.js throws ParserError, Error or TypeError, for some values only when they are asked for.
    if (!(error instanceof Error)) throw error;
    return refuse('3.1', `the calendar object cannot be read: ${error.message}`);
  }
}

function apply(stored: CalendarObject | undefined, message: CalendarObject, user: string): Applied {
  if (message.items.some((item) => item.getFirstProperty('recurrence-id')?.getFirstParameter('range') !== undefined)) {
    return refuse('3.14', 'RANGE is not supported');
  }
  if (stored !== undefined && stored.component !== message.component) {
    return refuse('3.12', `the calendar has a ${stored.component} of this UID`);
  }
  switch (message.method) {
    case 'REQUEST':
      return applyRequest(stored, message, user);
    case 'ADD':
      return applyAdd(stored, message, user);
    case 'CANCEL':
      return applyCancel(stored, message);
    case 'REPLY':
      return applyReply(stored, message, user);
    default:
      return refuse('5.0', `METHOD ${message.method} is not supported`);
  }
}

function refuse(requestStatus: string, reason: string): Applied {
  return { kind: 'refused', requestStatus, reason };
}

function unchanged(reason: string): Applied {
  return { kind: 'unchanged', reason };
}

function store({ calendar }: CalendarObject): Applied {
  calendar.removeAllProperties('method');
  const items = calendar.getAllSubcomponents().filter(({ name }) => name !== 'vtimezone');
  return { kind: 'store', text: toText(calendar), summary: summaryOf(items) };
}

function summaryOf(items: readonly ICAL.Component[]): string {
  const item = masterOf(items) ?? items[0];
  return item === undefined ? '' : textOf(item, 'summary');
}

/** The stored component that speaks of the same instance. */
function counterpart(stored: CalendarObject, item: ICAL.Component): ICAL.Component | undefined {
  const key = instanceKey(item, stored.calendar);
  return stored.items.find((candidate) => instanceKey(candidate) === key);
}

function hasAnotherOrganizer(stored: CalendarObject, message: CalendarObject): boolean {
  const known = organizerOf(stored);
  const named = organizerOf(message);
  return known !== undefined && (named === undefined || !sameAddress(known, named));
}

const ANOTHER_ORGANIZER = refuse('3.8', 'the calendar has this UID from another organizer');
const NOT_INVITED = refuse('3.8', 'the user is not an attendee');

function applyRequest(stored: CalendarObject | undefined, message: CalendarObject, user: string): Applied {
  if (!message.items.some((item) => attendeeOf(item, user) !== undefined)) return NOT_INVITED;
  if (stored === undefined) return store(message);
  if (hasAnotherOrganizer(stored, message)) return ANOTHER_ORGANIZER;
  const fresh = message.items.filter((item) => !isStale(stored, item));
  if (fresh.length === 0) return unchanged('the calendar has this version or a later one');

  const master = masterOf(fresh);
  const known = masterOf(stored.items);
  if (master !== undefined && known !== undefined && !standsFor(known, master)) {
    // The series was moved or revived: exceptions that the message does not name again belong to the old one.
    const named = new Set(message.items.map((item) => instanceKey(item, stored.calendar)));
    for (const item of stored.items) {
      if (!named.has(instanceKey(item))) stored.calendar.removeSubcomponent(item);
    }
  }
  for (const item of fresh) {
    const previous = counterpart(stored, item);
    if (previous !== undefined) {
      keepAnswer(previous, item, user);
      stored.calendar.removeSubcomponent(previous);
    }
  }
  copyTimeZones(message.calendar, stored.calendar);
  for (const item of fresh) stored.calendar.addSubcomponent(item);
  return store(stored);
}

function standsFor(known: ICAL.Component, next: ICAL.Component): boolean {
  return haveSameTimes(known, next) && textOf(known, 'status').toUpperCase() !== 'CANCELLED';
}

/** Equal versions are stale too: applying a repeat would lose nothing but the user's answer. */
function isStale(stored: CalendarObject, item: ICAL.Component): boolean {
  const previous = counterpart(stored, item);
  if (previous !== undefined) return compareVersions(item, previous) <= 0;
  // An exception that the series has overtaken: its sequence is lower and it was written earlier.
  const master = masterOf(stored.items);
  return master !== undefined && sequenceOf(item) < sequenceOf(master) && stampOf(item) < stampOf(master);
}

/** An answer holds for an update that leaves the times alone (RFC 5546 §3.2.2.1: only then need nobody reply again). */
function keepAnswer(previous: ICAL.Component, next: ICAL.Component, user: string): void {
  const answer: unknown = attendeeOf(previous, user)?.getFirstParameter('partstat');
  const attendee = attendeeOf(next, user);
  if (attendee === undefined || typeof answer !== 'string' || answer.toUpperCase() === 'NEEDS-ACTION') return;
  if (standsFor(previous, next)) attendee.setParameter('partstat', answer);
}

function applyAdd(stored: CalendarObject | undefined, message: CalendarObject, user: string): Applied {
  const [item] = message.items;
  if (item === undefined || message.items.length !== 1) return refuse('3.11', 'ADD has to have exactly one component');
  const master = stored === undefined ? undefined : masterOf(stored.items);
  if (stored === undefined || master === undefined) return refuse('5.2', 'the calendar has no series of this UID');
  if (hasAnotherOrganizer(stored, message)) return ANOTHER_ORGANIZER;
  if (attendeeOf(master, user) === undefined && attendeeOf(item, user) === undefined) return NOT_INVITED;
  const start = timeOf(item, 'dtstart', stored.calendar);
  const override = start === undefined ? undefined : makeOverride(master, start);
  const recurrenceId = override?.getFirstProperty('recurrence-id');
  if (start === undefined || recurrenceId == null) return refuse('3.5', 'DTSTART does not suit the series');
  copyTimeZones(message.calendar, stored.calendar);
  item.addProperty(recurrenceId);
  if (counterpart(stored, item) !== undefined) return unchanged('the calendar has this instance');
  const date = master.addPropertyWithValue('rdate', recurrenceId.getFirstValue());
  const tzid: unknown = recurrenceId.getFirstParameter('tzid');
  if (typeof tzid === 'string') date.setParameter('tzid', tzid);
  if (start.isDate) date.resetType('date');
  stored.calendar.addSubcomponent(item);
  return store(stored);
}

/** Whether the whole object goes or only the attendee, his copy says CANCELLED: he shall see that it does not take place for him. */
function applyCancel(stored: CalendarObject | undefined, message: CalendarObject): Applied {
  if (stored === undefined) return unchanged('the calendar has nothing of this UID to cancel');
  if (hasAnotherOrganizer(stored, message)) return ANOTHER_ORGANIZER;
  let changed = false;
  for (const item of message.items) {
    if (!item.hasProperty('recurrence-id')) {
      const whole = masterOf(stored.items) ?? stored.items[0];
      if (whole !== undefined && compareVersions(item, whole) < 0) continue;
      for (const target of stored.items) changed = cancel(target, item) || changed;
      continue;
    }
    const target = counterpart(stored, item) ?? addOverride(stored, item);
    if (target === 'unsuitable') return refuse('3.5', 'RECURRENCE-ID does not suit the series');
    if (target === undefined || compareVersions(item, target) < 0) continue;
    changed = cancel(target, item) || changed;
  }
  return changed ? store(stored) : unchanged('the calendar has a later version, or it is cancelled already');
}

/** @returns whether anything changed */
function cancel(target: ICAL.Component, message: ICAL.Component): boolean {
  if (textOf(target, 'status').toUpperCase() === 'CANCELLED' && compareVersions(message, target) <= 0) return false;
  target.updatePropertyWithValue('status', 'CANCELLED');
  target.updatePropertyWithValue('sequence', sequenceOf(message));
  const stamp = message.getFirstPropertyValue('dtstamp');
  if (stamp !== null) target.updatePropertyWithValue('dtstamp', stamp);
  return true;
}

/**
 * Gives a series an override for the instance that `item` speaks of.
 * @returns undefined when there is no series, `unsuitable` when the RECURRENCE-ID cannot be one of its
 */
function addOverride(stored: CalendarObject, item: ICAL.Component): ICAL.Component | 'unsuitable' | undefined {
  const master = masterOf(stored.items);
  const recurrenceId = timeOf(item, 'recurrence-id', stored.calendar);
  if (master === undefined || recurrenceId === undefined) return undefined;
  const override = makeOverride(master, recurrenceId);
  if (override === undefined) return 'unsuitable';
  return stored.calendar.addSubcomponent(override);
}

/** DTSTAMP of the attendee's last REPLY stands on his ATTENDEE, since the order is kept for each of them (RFC 5546 §2.1.5). */
const REPLIED = 'x-imipd-replied';

function applyReply(stored: CalendarObject | undefined, message: CalendarObject, user: string): Applied {
  if (stored === undefined) return refuse('5.2', 'the calendar has nothing of this UID');
  const organizer = organizerOf(stored);
  if (organizer === undefined || !sameAddress(organizer, user)) return refuse('3.8', 'the user is not the organizer');
  let changed = false;
  for (const item of message.items) {
    const reply = item.getFirstProperty('attendee');
    const replier = mailboxOf(String(reply?.getFirstValue() ?? ''));
    const partstat: unknown = reply?.getFirstParameter('partstat');
    if (reply === null || replier === undefined || typeof partstat !== 'string') {
      return refuse('3.11', 'a REPLY has to have an ATTENDEE with a PARTSTAT');
    }
    const invited = counterpart(stored, item) ?? masterOf(stored.items);
    if (invited === undefined) return refuse('5.2', 'the calendar has no such instance');
    if (attendeeOf(invited, replier) === undefined) return refuse('3.8', 'the replier is not an attendee');
    // The attendee answered an older version; the SEQUENCE of many clients' replies is missing, not low.
    if (item.hasProperty('sequence') && sequenceOf(item) < sequenceOf(invited)) continue;
    const target = counterpart(stored, item) ?? addOverride(stored, item);
    if (target === 'unsuitable') return refuse('3.5', 'RECURRENCE-ID does not suit the series');
    const attendee = target === undefined ? undefined : attendeeOf(target, replier);
    if (attendee !== undefined) changed = answer(attendee, partstat, textOf(item, 'dtstamp')) || changed;
  }
  return changed ? store(stored) : unchanged('the calendar has a later answer or a later version');
}

/** @returns whether this reply is newer than the last one */
function answer(attendee: ICAL.Property, partstat: string, dtstamp: string): boolean {
  const last: unknown = attendee.getFirstParameter(REPLIED);
  const stamp = dtstamp.replace(/[:-]/g, '');
  // Both are UTC in the basic form, whose order is the order of time.
  if (typeof last === 'string' && stamp <= last) return false;
  attendee.setParameter('partstat', partstat.toUpperCase());
  attendee.removeParameter('rsvp');
  if (stamp !== '') attendee.setParameter(REPLIED, stamp);
  return true;
}
