import type { Method } from '../../src/itip/message.ts';

/** What one iTIP method asks of its components, as far as we insist on it (RFC 5546 §3.2, §3.4). */
export type MethodRule = {
  /** Whether mail of it is scheduled at all (design: Rulings on real mail). */
  readonly scheduled: boolean;
  readonly organizer: boolean;
  readonly attendees: 'any' | 'one' | 'some';
  readonly start: boolean;
  /** What the restriction tables require and real senders leave out; added to the posted copy. */
  readonly requires: readonly ('SUMMARY' | 'SEQUENCE')[];
  /** What they forbid and real senders leave in; dropped from the posted copy. */
  readonly forbids: readonly ('VALARM' | 'REQUEST-STATUS')[];
};

// Outlook's REPLY comes without ORGANIZER: it can be read, and then names nobody (`attendance.ts`), so its mail goes on.
export const METHOD_RULES: Readonly<Record<Method, MethodRule>> = {
  PUBLISH: { scheduled: false, organizer: false, attendees: 'any', start: false, requires: [], forbids: [] },
  REQUEST: {
    scheduled: true,
    organizer: true,
    attendees: 'some',
    start: true,
    requires: ['SUMMARY'],
    forbids: ['REQUEST-STATUS'],
  },
  REPLY: { scheduled: true, organizer: false, attendees: 'one', start: false, requires: [], forbids: ['VALARM'] },
  ADD: {
    scheduled: true,
    organizer: true,
    attendees: 'any',
    start: true,
    requires: ['SUMMARY', 'SEQUENCE'],
    forbids: ['REQUEST-STATUS'],
  },
  CANCEL: {
    scheduled: true,
    organizer: true,
    attendees: 'any',
    start: false,
    requires: ['SEQUENCE'],
    forbids: ['VALARM', 'REQUEST-STATUS'],
  },
  REFRESH: {
    scheduled: true,
    organizer: false,
    attendees: 'one',
    start: false,
    requires: [],
    forbids: ['VALARM', 'REQUEST-STATUS'],
  },
  COUNTER: { scheduled: true, organizer: false, attendees: 'one', start: false, requires: ['SUMMARY'], forbids: [] },
  DECLINECOUNTER: {
    scheduled: true,
    organizer: true,
    attendees: 'any',
    start: false,
    requires: ['SEQUENCE'],
    forbids: ['VALARM'],
  },
};

/** Components that are scheduled by mail. */
export const SCHEDULED_COMPONENTS: readonly string[] = ['VEVENT', 'VTODO'];

/** iTIP messages that a post to us may hold, as its capabilities announce them. */
export type AcceptedMessage = { readonly component: string; readonly methods: readonly string[] };

const SCHEDULED_METHODS = Object.entries(METHOD_RULES).flatMap(([method, rule]) => (rule.scheduled ? [method] : []));

/** What mail schedules, a post may too; where a home server does not take the method, the recipient gets it by mail. */
export const ACCEPTED_MESSAGES: readonly AcceptedMessage[] = SCHEDULED_COMPONENTS.map((component) => ({
  component,
  methods: SCHEDULED_METHODS,
}));
