import ICAL from 'ical.js';
import { mailboxOf, sameAddress } from '../mail/address.ts';

/** A VCALENDAR with the events (or to-dos) of one UID: an iTIP message, or what a calendar keeps of it. */
export type CalendarObject = {
  readonly calendar: ICAL.Component;
  /** Upper case; '' for a stored object. */
  readonly method: string;
  readonly component: 'VEVENT' | 'VTODO';
  readonly uid: string;
  readonly items: readonly ICAL.Component[];
};

const DATES = ['dtstamp', 'dtstart', 'dtend', 'due', 'recurrence-id'];

/** Reads an object. @throws Error, in ical.js' words or ours, when it is not one VCALENDAR of one UID */
export function readObject(text: string): CalendarObject {
  const parsed: unknown = ICAL.parse(text);
  // Two VCALENDARs come back as an array of arrays.
  if (!Array.isArray(parsed) || parsed[0] !== 'vcalendar') throw new Error('it is not one VCALENDAR');
  const calendar = new ICAL.Component(parsed);
  const items = calendar.getAllSubcomponents().filter(({ name }) => name !== 'vtimezone');
  const name = items[0]?.name;
  if (name !== 'vevent' && name !== 'vtodo') throw new Error('it holds neither VEVENT nor VTODO');
  if (items.some((item) => item.name !== name)) throw new Error('it holds several kinds of component');
  const uids = new Set(items.map((item) => textOf(item, 'uid')));
  const [uid = ''] = uids;
  if (uids.size !== 1 || uid === '') throw new Error('it does not hold exactly one UID');
  // ical.js complains about a broken date only when it is asked for; unasked it would write it back more broken still.
  for (const item of items) for (const name of DATES) item.getFirstPropertyValue(name);
  const method = textOf(calendar, 'method').toUpperCase();
  return { calendar, method, component: name === 'vevent' ? 'VEVENT' : 'VTODO', uid, items };
}

/** The first value of a property as text; '' when the component has none. */
export function textOf(component: ICAL.Component, name: string): string {
  return String(component.getFirstPropertyValue(name) ?? '');
}

/** The component that stands for the whole series, or for the one event. */
export function masterOf(items: readonly ICAL.Component[]): ICAL.Component | undefined {
  return items.find((item) => !item.hasProperty('recurrence-id'));
}

/** Mailbox of the ORGANIZER; undefined when there is none or it is no `mailto:` URI. */
export function organizerOf(object: CalendarObject): string | undefined {
  for (const item of object.items) {
    const value = textOf(item, 'organizer');
    if (value !== '') return mailboxOf(value);
  }
  return undefined;
}

export function attendeeOf(item: ICAL.Component, mailbox: string): ICAL.Property | undefined {
  return item.getAllProperties('attendee').find((attendee) => {
    const address = mailboxOf(String(attendee.getFirstValue()));
    return address !== undefined && sameAddress(address, mailbox);
  });
}

/**
 * The instant a DATE or DATE-TIME property means, with the zone it names. A REPLY often has the TZID and no VTIMEZONE;
 * the stored object's is then meant.
 */
export function timeOf(item: ICAL.Component, name: string, zones?: ICAL.Component): ICAL.Time | undefined {
  const property = item.getFirstProperty(name);
  const value: unknown = property?.getFirstValue();
  if (!(value instanceof ICAL.Time)) return undefined;
  const tzid: unknown = property?.getFirstParameter('tzid');
  if (zones !== undefined && typeof tzid === 'string' && !value.isDate && isFloating(value)) {
    const zone: ICAL.Timezone | null = zones.getTimeZoneByID(tzid);
    if (zone !== null) value.zone = zone;
  }
  return value;
}

function isFloating(time: ICAL.Time): boolean {
  return time.zone === ICAL.Timezone.localTimezone || time.zone.tzid === 'floating';
}

/** Which instance a component speaks of, in a form that can be compared: '' for the master, a date, or UTC. */
export function instanceKey(item: ICAL.Component, zones?: ICAL.Component): string {
  const time = timeOf(item, 'recurrence-id', zones);
  if (time === undefined) return '';
  return time.isDate || isFloating(time) ? time.toString() : time.convertToZone(ICAL.Timezone.utcTimezone).toString();
}

/** Negative when `a` is the older message about the same instance (RFC 5546 §2.1.5): SEQUENCE, then DTSTAMP. */
export function compareVersions(a: ICAL.Component, b: ICAL.Component): number {
  return sequenceOf(a) - sequenceOf(b) || stampOf(a) - stampOf(b);
}

export function sequenceOf(item: ICAL.Component): number {
  const sequence = Number(item.getFirstPropertyValue('sequence') ?? 0);
  return Number.isFinite(sequence) ? sequence : 0;
}

export function stampOf(item: ICAL.Component): number {
  return timeOf(item, 'dtstamp')?.toUnixTime() ?? 0;
}

const TIMES = ['dtstart', 'dtend', 'duration', 'due', 'rrule', 'rdate', 'exdate'];

/** Whether both say the same about when: an answer to one then stands for the other. */
export function haveSameTimes(a: ICAL.Component, b: ICAL.Component): boolean {
  return TIMES.every((name) => spelling(a, name) === spelling(b, name));
}

function spelling(item: ICAL.Component, name: string): string {
  const values = item.getAllProperties(name).map((property) => JSON.stringify(property.jCal));
  return values.sort().join();
}

/**
 * An override for one instance of a series, made from its master: same length, at the time of `recurrenceId`.
 * @returns undefined when that is a date and the series has times, or the other way round
 */
export function makeOverride(master: ICAL.Component, recurrenceId: ICAL.Time): ICAL.Component | undefined {
  const start = timeOf(master, 'dtstart');
  if (start === undefined || start.isDate !== recurrenceId.isDate) return undefined;
  const at = start.isDate || isFloating(start) ? recurrenceId : recurrenceId.convertToZone(start.zone);
  const override = new ICAL.Component(structuredClone(master.jCal));
  for (const name of ['rrule', 'exrule', 'rdate', 'exdate']) override.removeAllProperties(name);
  for (const name of ['dtend', 'due']) {
    const end = timeOf(master, name);
    if (end === undefined) continue;
    const moved = at.clone();
    moved.addDuration(end.subtractDateTz(start));
    setTime(override, name, end.isDate || isFloating(end) ? moved : moved.convertToZone(end.zone));
  }
  setTime(override, 'dtstart', at);
  const property = new ICAL.Property('recurrence-id', override);
  property.setValue(at);
  const tzid: unknown = master.getFirstProperty('dtstart')?.getFirstParameter('tzid');
  if (typeof tzid === 'string') property.setParameter('tzid', tzid);
  override.addProperty(property);
  return override;
}

/** Sets the value and leaves the parameters: the TZID stays. */
function setTime(item: ICAL.Component, name: string, time: ICAL.Time): void {
  item.getFirstProperty(name)?.setValue(time);
}

/** Adds the time zones that `to` lacks. */
export function copyTimeZones(from: ICAL.Component, to: ICAL.Component): void {
  const known = new Set(to.getAllSubcomponents('vtimezone').map((zone) => textOf(zone, 'tzid')));
  for (const zone of from.getAllSubcomponents('vtimezone')) {
    if (!known.has(textOf(zone, 'tzid'))) to.addSubcomponent(new ICAL.Component(structuredClone(zone.jCal)));
  }
}

/** iCalendar text with CRLF line ends, the last line included. */
export function toText(calendar: ICAL.Component): string {
  return `${calendar.toString()}\r\n`;
}
