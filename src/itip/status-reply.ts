import { calendarAddress } from '../mail/address.ts';
import { foldLine } from './content-lines.ts';
import { formatUtc } from './date-time.ts';
import { toOutgoing } from './outgoing.ts';

/** That an invitation did not reach one attendee, for his organizer's calendar server. */
export type StatusReply = {
  readonly uid: string;
  readonly component: 'VEVENT' | 'VTODO';
  /** Mailboxes, as the invitation spelled them. */
  readonly organizer: string;
  readonly attendee: string;
  /** His answer as it was last seen; NEEDS-ACTION when absent. */
  readonly partstat?: string;
  readonly sequence: number;
  /** As `Instance.recurrenceId`; '' for the series. */
  readonly recurrenceIds: readonly string[];
  /** REQUEST-STATUS (RFC 5546 §3.6): code and what it means. */
  readonly status: { readonly code: string; readonly text: string };
  /** ms since the epoch */
  readonly now: number;
};

/** A series with more overrides than anybody writes by hand is answered as a whole by its first. */
const MAX_INSTANCES = 100;

/**
 * A REPLY (RFC 5546 §3.2.3) that brings REQUEST-STATUS for one attendee and changes no answer of his.
 */
export function composeStatusReply(reply: StatusReply): Buffer {
  const instances = reply.recurrenceIds.includes('') ? [''] : reply.recurrenceIds.slice(0, MAX_INSTANCES);
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//imipd//EN',
    'METHOD:REPLY',
    ...(instances.length === 0 ? [''] : instances).flatMap((recurrenceId) => componentLines(reply, recurrenceId)),
    'END:VCALENDAR',
  ];
  // With the VTIMEZONE of a RECURRENCE-ID's TZID.
  return toOutgoing(Buffer.from(lines.map(foldLine).join('')), { method: 'REPLY' });
}

function componentLines(reply: StatusReply, recurrenceId: string): string[] {
  const { component, uid, organizer, attendee, partstat, sequence, status, now } = reply;
  return [
    `BEGIN:${component}`,
    `UID:${textOf(uid)}`,
    `DTSTAMP:${formatUtc(now)}`,
    ...(sequence > 0 ? [`SEQUENCE:${sequence}`] : []),
    ...(recurrenceId === '' ? [] : [recurrenceLine(recurrenceId)]),
    `ORGANIZER:${calendarAddress(organizer)}`,
    `ATTENDEE;PARTSTAT=${token(partstat) ?? 'NEEDS-ACTION'}:${calendarAddress(attendee)}`,
    `REQUEST-STATUS:${status.code};${textOf(status.text)}`,
    `END:${component}`,
  ];
}

/** `20261123T100000;TZID=Europe/Berlin` as it stood; RANGE has no place in an answer (RFC 5546 §3.2.3). */
function recurrenceLine(recurrenceId: string): string {
  const value = /^[^;]*/.exec(recurrenceId)?.[0] ?? '';
  const zone = /;TZID=([^;]*(?:;(?!RANGE=)[^;]*)*)/.exec(recurrenceId)?.[1];
  if (zone !== undefined) return `RECURRENCE-ID;TZID=${parameterValue(zone)}:${value}`;
  return value.includes('T') ? `RECURRENCE-ID:${value}` : `RECURRENCE-ID;VALUE=DATE:${value}`;
}

/** RFC 5545 §3.3.11. */
function textOf(text: string): string {
  return text
    .replace(/\r?\n/g, ' ')
    .replace(/\p{Cc}/gu, '')
    .replace(/[\\;,]/g, '\\$&');
}

function parameterValue(value: string): string {
  const clean = value.replace(/["\p{Cc}]/gu, '');
  return /[:;,]/.test(clean) ? `"${clean}"` : clean;
}

/** A PARTSTAT that is none would break its line. */
function token(value: string | undefined): string | undefined {
  return value !== undefined && /^[A-Za-z0-9-]+$/.test(value) ? value.toUpperCase() : undefined;
}
