/** Methods of RFC 5546 §1.4. */
export const METHODS = [
  'PUBLISH',
  'REQUEST',
  'REPLY',
  'ADD',
  'CANCEL',
  'REFRESH',
  'COUNTER',
  'DECLINECOUNTER',
] as const;
export type Method = (typeof METHODS)[number];

export function isMethod(value: string): value is Method {
  return (METHODS as readonly string[]).includes(value);
}

/** Methods whose author is the ATTENDEE; all others speak for the ORGANIZER (RFC 5546 §1.4). */
export function isByAttendee(method: Method): boolean {
  return method === 'REPLY' || method === 'COUNTER' || method === 'REFRESH';
}

/** An ORGANIZER or ATTENDEE. */
export type CalendarUser = {
  /** The value as written, such as `MAILTO:Bob@example.com`. */
  readonly uri: string;
  /** The mailbox behind a `mailto:` URI, domain normalised; undefined for any other URI. */
  readonly mailbox?: string;
  readonly sentBy?: string;
  /** Parameter EMAIL (RFC 7986 §6.2): where he is mailed, when that is not his calendar address. As written. */
  readonly email?: string;
  readonly cutype?: string;
  /** URIs as written, as are the delegators' and delegates'. */
  readonly member?: readonly string[];
  readonly delegatedFrom?: readonly string[];
  readonly delegatedTo?: readonly string[];
  readonly partstat?: string;
};

/** What ordering needs of one component (RFC 5546 §2.1.5). */
export type Instance = {
  /** RECURRENCE-ID value with its TZID and RANGE, normalised; '' for the master. */
  readonly recurrenceId: string;
  readonly sequence: number;
  /** DTSTAMP in basic UTC form, `20261121T080000Z`; '' when the object has none. */
  readonly dtstamp: string;
};

/** One defect mended in the copy that is posted; the mail itself is never altered. */
export type Repair = { readonly name: string; readonly line: number; readonly detail: string };

/** The one scheduling object of a message. */
export type SchedulingObject = {
  readonly method: Method;
  readonly component: 'VEVENT' | 'VTODO' | 'VJOURNAL' | 'VFREEBUSY';
  readonly uid: string;
  readonly organizer?: CalendarUser;
  /** Union over all components, first spelling kept. */
  readonly attendees: readonly CalendarUser[];
  readonly instances: readonly Instance[];
  /** When the last instance that is written down ends, ms since the epoch; undefined when it recurs or cannot be said. */
  readonly endsAtMs?: number;
  /** What is posted: UTF-8, CRLF. The original bytes when nothing had to be repaired. */
  readonly content: Buffer;
  /** SHA-256 (hex) over the unfolded content lines as received; equal for the same object in another folding. */
  readonly digest: string;
  readonly repairs: readonly Repair[];
};

/** What was found when a message was searched for something to schedule. */
export type Examination =
  | { readonly kind: 'object'; readonly object: SchedulingObject }
  | {
      readonly kind: 'none';
      /** Why there is nothing to schedule, for people. */
      readonly reason: string;
      /** Whether the message held any calendar part at all; plain mail's record is kept for a shorter time. */
      readonly calendar: boolean;
      readonly method?: string;
      readonly uid?: string;
    };
