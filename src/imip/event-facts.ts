import type { Method } from '../itip/message.ts';

/** A moment or a day, as the object says it. */
export type When = {
  /** `2026-11-23` or `2026-11-23T10:00:00`, in `zone`. */
  readonly local: string;
  readonly allDay: boolean;
  /** IANA name where one is known, `UTC`, else the TZID as written; undefined: floating. */
  readonly zone?: string;
  /** ms since the epoch; undefined where it cannot be said. */
  readonly atMs?: number;
};

/** Somebody in a meeting. */
export type Person = { readonly name?: string; readonly address: string };

/** What a person wants to know of one component; texts unescaped, nothing in them is markup. */
export type EventFacts = {
  readonly method: Method;
  readonly component: 'VEVENT' | 'VTODO' | 'VJOURNAL' | 'VFREEBUSY';
  readonly uid: string;
  readonly title: string;
  readonly start?: When;
  /** Exclusive for days, as in iCalendar. DTEND, DUE, or start and DURATION. */
  readonly end?: When;
  readonly place?: string;
  readonly description?: string;
  /** RRULE as written. */
  readonly rule?: string;
  /** There are RDATEs, or EXDATEs. */
  readonly moreDates?: boolean;
  readonly fewerDates?: boolean;
  readonly recurrenceId?: When;
  readonly thisAndFuture: boolean;
  readonly organizer?: Person;
  /** ORGANIZER's SENT-BY. */
  readonly sentBy?: string;
  readonly attendees: readonly (Person & { readonly partstat?: string; readonly delegatedTo?: string })[];
  readonly url?: string;
  readonly comment?: string;
  readonly status?: string;
};
