import { foldLine } from '../itip/content-lines.ts';
import { formatUtc } from '../itip/date-time.ts';
import { calendarAddress } from '../mail/address.ts';
import type { Period, Window } from './busy.ts';

/** VFREEBUSY REQUEST (RFC 5546 §3.3.2): for several attendees of one server. */
export type BusyRequestText = {
  readonly uid: string;
  /** Mailboxes. */
  readonly organizer: string;
  readonly attendees: readonly string[];
  readonly window: Window;
  /** ms since the epoch */
  readonly now: number;
};

/** VFREEBUSY REPLY (RFC 5546 §3.3.3): for one attendee. */
export type BusyReplyText = Omit<BusyRequestText, 'organizer' | 'attendees'> & {
  /** Calendar addresses as the question spelled them, and their parameters left out. */
  readonly organizer: string;
  readonly attendee: string;
  /** As `mergePeriods` returns them. */
  readonly periods: readonly Period[];
};

export function composeBusyRequest({ organizer, attendees, ...rest }: BusyRequestText): Buffer {
  const users = [`ORGANIZER:${calendarAddress(organizer)}`];
  for (const attendee of attendees) users.push(`ATTENDEE:${calendarAddress(attendee)}`);
  return compose('REQUEST', { ...rest, users, periods: [] });
}

export function composeBusyReply({ organizer, attendee, ...rest }: BusyReplyText): Buffer {
  return compose('REPLY', { ...rest, users: [`ORGANIZER:${organizer}`, `ATTENDEE:${attendee}`] });
}

/** VFREEBUSY PUBLISH (RFC 5546 §3.3.1), as a document at a URL: of the attendee as ORGANIZER. */
export function composePublishedBusy({ attendee, ...rest }: Omit<BusyReplyText, 'organizer'>): Buffer {
  return compose('PUBLISH', { ...rest, users: [`ORGANIZER:${attendee}`] });
}

type BusyText = Omit<BusyReplyText, 'organizer' | 'attendee'> & {
  /** Lines of ORGANIZER and ATTENDEE. */
  readonly users: readonly string[];
};

function compose(method: 'REQUEST' | 'REPLY' | 'PUBLISH', text: BusyText): Buffer {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//imipd//EN',
    `METHOD:${method}`,
    'BEGIN:VFREEBUSY',
    `UID:${text.uid.replace(/[\\;,]/g, '\\$&')}`,
    `DTSTAMP:${formatUtc(text.now)}`,
    ...text.users,
    `DTSTART:${formatUtc(text.window.startMs)}`,
    `DTEND:${endOf(text.window)}`,
    // A line for each: readers exist that take the first value of a list for all of it.
    ...text.periods.map((period) => `FREEBUSY;FBTYPE=${period.type}:${formatUtc(period.startMs)}/${endOf(period)}`),
    'END:VFREEBUSY',
    'END:VCALENDAR',
  ];
  // What an address or a UID of others brings along must not begin a line of its own.
  return Buffer.from(lines.map((line) => foldLine(line.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ''))).join(''));
}

/** Rounded up to the second: what is busy for a part of it is not free. */
function endOf({ endMs }: Window): string {
  return formatUtc(Math.ceil(endMs / 1000) * 1000);
}
