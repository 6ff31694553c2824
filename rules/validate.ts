import type { Component } from '../src/itip/components.ts';
import { properties, property } from '../src/itip/components.ts';
import { type ContentLine, textValue } from '../src/itip/content-lines.ts';
import { parseDateTime } from '../src/itip/date-time.ts';
import { isMethod } from '../src/itip/message.ts';
import { isValueClear } from '../src/itip/quoting.ts';
import { addressKey, mailboxOf } from '../src/mail/address.ts';
import { hasControl } from '../src/mail/control.ts';
import { METHOD_RULES, type MethodRule, SCHEDULED_COMPONENTS } from './data/methods.ts';

/** RFC 7986 §5.3 asks for at most 255; anything near this was made to trouble somebody. */
const MAX_UID_LENGTH = 1024;
/** Top-level components that carry no scheduling of their own. */
const BYSTANDERS = new Set(['VTIMEZONE', 'VALARM']);

/**
 * Whether a repaired calendar is an iTIP message we post (RFC 5546 §3), lenient where real senders are sloppy and no
 * one is misled by it.
 * @returns the reason when it is not
 */
export function validate(calendar: Component): string | undefined {
  const methods = properties(calendar, 'METHOD');
  const method = methods.length === 1 ? methodOf(calendar) : '';
  if (methods.length === 0) return 'METHOD is missing';
  if (methods.length > 1) return 'METHOD stands more than once';
  if (!isMethod(method)) return `METHOD is ${method.slice(0, 40)}, no method of iTIP`;
  const components = scheduled(calendar);
  const types = new Set(components.map(({ name }) => name));
  const [type, ...otherTypes] = types;
  if (type === undefined) return 'no component to schedule in the calendar part';
  if (otherTypes.length > 0) return `components of different types: ${[...types].join(', ').slice(0, 80)}`;
  const rule = METHOD_RULES[method];
  if (!rule.scheduled) return `METHOD ${method} is not scheduled by mail`;
  if (!SCHEDULED_COMPONENTS.includes(type)) return `${type.slice(0, 40)} is not scheduled by mail`;
  return judgeIdentity(components) ?? judgeUsers(method, rule, components) ?? judgeTimes(rule, components);
}

/** METHOD's value in upper case; '' when there is none. */
export function methodOf(calendar: Component): string {
  const line = property(calendar, 'METHOD');
  return line === undefined ? '' : textValue(line).trim().toUpperCase();
}

/** The components that say something about a meeting: all but time zones and private ones. */
export function scheduled(calendar: Component): readonly Component[] {
  return calendar.children.filter(({ name }) => !BYSTANDERS.has(name) && !name.startsWith('X-'));
}

function judgeIdentity(components: readonly Component[]): string | undefined {
  const uids = new Set<string>();
  for (const component of components) {
    const lines = properties(component, 'UID');
    if (lines.length === 0 || lines.some((line) => textValue(line).trim() === ''))
      return `${component.name} without UID`;
    for (const line of lines) uids.add(textValue(line).trim());
  }
  if (uids.size > 1) return 'components of different UIDs';
  const [uid = ''] = uids;
  if (uid.length > MAX_UID_LENGTH) return `a UID of ${uid.length} characters, wanted at most ${MAX_UID_LENGTH}`;
  return hasControl(uid) ? 'a control character in the UID' : undefined;
}

function judgeUsers(method: string, rule: MethodRule, components: readonly Component[]): string | undefined {
  const users = ['ORGANIZER', 'ATTENDEE'].flatMap((name) => components.flatMap((one) => properties(one, name)));
  const unclear = users.find((line) => !isValueClear(line));
  if (unclear !== undefined) return `the quotes of ${unclear.name} in line ${unclear.line} can be read in two ways`;
  const organizers = distinctUsers(components.flatMap((component) => properties(component, 'ORGANIZER')));
  // A master by one ORGANIZER with an override by another would be judged by the first alone.
  if (organizers.size > 1) return 'components name different ORGANIZERs';
  if (rule.organizer && organizers.size === 0) return `${method} without ORGANIZER`;
  const attendees = distinctUsers(components.flatMap((component) => properties(component, 'ATTENDEE')));
  if (rule.attendees === 'some' && attendees.size === 0) return `${method} without ATTENDEE`;
  if (rule.attendees === 'one') {
    const everyone = components.every((component) => property(component, 'ATTENDEE') !== undefined);
    if (attendees.size !== 1 || !everyone) return `${method} with ${attendees.size} ATTENDEEs, wanted exactly one`;
  }
  return undefined;
}

function judgeTimes(rule: MethodRule, components: readonly Component[]): string | undefined {
  for (const component of components) {
    const start = property(component, 'DTSTART');
    if (rule.start && start === undefined) return `${component.name} without DTSTART`;
    // Readers differ in which of two they take, and order (RFC 5546 §2.1.5) would be judged by the other one.
    for (const name of ['SEQUENCE', 'DTSTAMP'])
      if (properties(component, name).length > 1) return `${component.name} with more than one ${name}`;
    for (const name of ['DTSTART', 'DTEND', 'DUE', 'RECURRENCE-ID']) {
      const lines = properties(component, name);
      if (lines.length > 1) return `${component.name} with more than one ${name}`;
      const [line] = lines;
      if (line !== undefined && parseDateTime(textValue(line).trim()) === undefined)
        return `${name} in line ${line.line} is no date or date-time`;
    }
  }
  return undefined;
}

function distinctUsers(lines: readonly ContentLine[]): ReadonlySet<string> {
  return new Set(
    lines.map((line) => {
      const uri = textValue(line).trim();
      const mailbox = mailboxOf(uri);
      return mailbox === undefined ? uri.toLowerCase() : addressKey(mailbox);
    }),
  );
}
