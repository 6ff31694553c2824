import { setImmediate as nextTurn } from 'node:timers/promises';
import { methodOf, scheduled } from '../../rules/validate.ts';
import { addressKey, mailboxOf } from '../mail/address.ts';
import { type Component, properties, property } from './components.ts';
import { parameter, textValue } from './content-lines.ts';
import type { Examination } from './message.ts';
import { type CalendarText, type ReadCalendar, type ReadContext, readCalendar, toObject } from './parse.ts';
import { instantOf, recurrenceIdOf, sequenceOf, uidOf, zonesOf } from './summary.ts';

/** A part of the message that may hold the scheduling object, its transfer encoding undone. */
export type Candidate = {
  /** `calendar` is text/calendar; `ics` is application/ics, which is only compared (a copy for people to save). */
  readonly kind: 'calendar' | 'ics';
  /** Values of the `method` parameter, in lower or upper case as written; empty when there is none. */
  readonly methods: readonly string[];
  readonly charset?: string;
  readonly bytes: Buffer;
};

type Read = { readonly part: Candidate; readonly calendar: CalendarText };

/**
 * Chooses the one scheduling object among a message's calendar parts (design: Rulings on real mail). The order of
 * the parts decides nothing. A part may take a tenth of a second: between two of them others have their turn.
 */
export async function choose(candidates: readonly Candidate[], context: ReadContext): Promise<Examination> {
  const read: Read[] = [];
  let unreadable: { reason: string; isWithMethod: boolean } | undefined;
  for (const part of candidates) {
    if (part.kind === 'ics') continue;
    if (read.length > 0) await nextTurn();
    const twin = read.find((known) => known.part.charset === part.charset && sameBytes(known.part.bytes, part.bytes));
    const result: ReadCalendar =
      twin === undefined
        ? readCalendar(part.bytes, part.charset, context)
        : { kind: 'calendar', calendar: twin.calendar };
    if (result.kind === 'calendar') read.push({ part, calendar: result.calendar });
    else if (unreadable === undefined || (part.methods.length > 0 && !unreadable.isWithMethod)) {
      unreadable = { reason: result.reason, isWithMethod: part.methods.length > 0 };
    }
  }
  // A part that says it is an invitation and cannot be read may be a different one: nothing is guessed.
  if (unreadable?.isWithMethod === true) return none(unreadable.reason);
  // Without METHOD it is an attached calendar (RFC 6047 §2.4), unless it claims a method.
  const objects = read.filter(({ part, calendar }) => methodOf(calendar.calendar) !== '' || part.methods.length > 0);
  const chosen = objects.find(({ part }) => part.methods.length > 0) ?? objects[0];
  if (chosen === undefined)
    return none(
      unreadable?.reason ?? (read.length > 0 ? 'METHOD is missing' : 'application/ics without a text/calendar part'),
    );
  const others = new Set(objects.map(({ calendar }) => calendar).filter((calendar) => calendar !== chosen.calendar));
  const identity = others.size === 0 ? '' : identityOf(chosen.calendar);
  for (const calendar of others) {
    await nextTurn();
    if (identityOf(calendar) !== identity) return none('several different calendar objects in the message');
  }
  const conflict = methodConflict(objects) ?? (await compareIcs(candidates, chosen, context));
  const result = toObject(chosen.calendar);
  if (result.kind === 'object' && conflict === undefined) return result;
  const { method, uid } = result.kind === 'object' ? result.object : result;
  return {
    ...none(conflict ?? (result.kind === 'none' ? result.reason : '')),
    ...(method === undefined ? {} : { method }),
    ...(uid === undefined ? {} : { uid }),
  };
}

function methodConflict(objects: readonly Read[]): string | undefined {
  for (const { part, calendar } of objects) {
    const method = methodOf(calendar.calendar);
    if (method === '') return 'METHOD is missing, and the method parameter does not stand in for it';
    const other = part.methods.find((candidate) => candidate.trim().toUpperCase() !== method);
    if (other !== undefined) return `the method parameter is ${other.slice(0, 40)}, METHOD is ${method.slice(0, 40)}`;
  }
  return undefined;
}

const RECURRENCE = ['RRULE', 'RDATE', 'EXDATE'];
const END = ['DTEND', 'DUE', 'DURATION', 'STATUS'];

/** What makes two parts the same object: METHOD, type, UID and, per component, order, times and who is in it with what answer. */
function identityOf({ calendar }: CalendarText): string {
  const zones = zonesOf(calendar);
  const components = scheduled(calendar).map((component) => {
    const stamp = property(component, 'DTSTAMP');
    return [
      component.name,
      uidOfComponent(component),
      recurrenceIdOf(component),
      sequenceOf(component),
      stamp === undefined ? '' : textValue(stamp),
      startOf(component, zones),
      ...END.map((name) => valuesOf(component, name, zones)),
      ...RECURRENCE.map((name) => valuesOf(component, name, zones)),
      usersOf(component, 'ORGANIZER'),
      usersOf(component, 'ATTENDEE'),
    ].join('\n');
  });
  return [methodOf(calendar), ...components.sort()].join('\n\n');
}

/** @returns why an application/ics part contradicts the chosen object */
async function compareIcs(
  candidates: readonly Candidate[],
  chosen: Read,
  context: ReadContext,
): Promise<string | undefined> {
  for (const part of candidates) {
    if (part.kind !== 'ics' || sameBytes(part.bytes, chosen.part.bytes)) continue;
    await nextTurn();
    const result = readCalendar(part.bytes, part.charset, context);
    if (result.kind === 'unreadable') continue;
    const reason = contradiction(result.calendar.calendar, chosen.calendar.calendar);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function contradiction(copy: Component, chosen: Component): string | undefined {
  const [ours, theirs] = [scheduled(chosen), scheduled(copy)];
  const method = methodOf(copy);
  if (theirs.length === 0) return undefined; // nothing but time zones: no second opinion
  if (ours[0] === undefined || theirs[0] === undefined || uidOfComponent(theirs[0]) !== uidOfComponent(ours[0])) {
    // Another object with a METHOD is a second invitation; without one it is a calendar somebody attached.
    return method === '' ? undefined : 'several different calendar objects in the message';
  }
  if (method !== '' && method !== methodOf(chosen)) return 'the application/ics part has another METHOD';
  if (theirs.some(({ name }) => name !== ours[0]?.name)) return 'the application/ics part has another component type';
  return starts(copy) === starts(chosen) ? undefined : 'the application/ics part has another start';
}

function starts(calendar: Component): string {
  const zones = zonesOf(calendar);
  return scheduled(calendar)
    .map((component) => startOf(component, zones))
    .sort()
    .join('\n');
}

function valuesOf(component: Component, name: string, zones: ReadonlyMap<string, Component>): string {
  return properties(component, name)
    .map((line) => String(instantOf(line, zones) ?? textValue(line).trim()))
    .sort()
    .join('|');
}

function usersOf(component: Component, name: 'ORGANIZER' | 'ATTENDEE'): string {
  return properties(component, name)
    .map((line) => {
      const uri = textValue(line).trim();
      return `${addressKey(mailboxOf(uri) ?? uri)} ${parameter(line, 'PARTSTAT')?.toUpperCase() ?? 'NEEDS-ACTION'}`;
    })
    .sort()
    .join('|');
}

/** DTSTART as an instant where its zone is known, so that UTC and local time can be the same. */
function startOf(component: Component, zones: ReadonlyMap<string, Component>): string {
  const line = property(component, 'DTSTART');
  return line === undefined ? '' : String(instantOf(line, zones) ?? textValue(line).trim());
}

function uidOfComponent(component: Component): string {
  const line = property(component, 'UID');
  return line === undefined ? '' : uidOf(line);
}

/** Equal but for line ends at the end: those belong to the boundary in one encoding and to the part in another. */
function sameBytes(a: Buffer, b: Buffer): boolean {
  const [lengthA, lengthB] = [trimmedLength(a), trimmedLength(b)];
  return lengthA === lengthB && a.compare(b, 0, lengthB, 0, lengthA) === 0;
}

function trimmedLength(bytes: Buffer): number {
  let length = bytes.length;
  while (length > 0 && (bytes[length - 1] === 10 || bytes[length - 1] === 13)) length--;
  return length;
}

function none(reason: string): Extract<Examination, { kind: 'none' }> {
  return { kind: 'none', reason, calendar: true };
}
