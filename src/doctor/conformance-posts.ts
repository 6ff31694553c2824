import { randomUUID } from 'node:crypto';
import type { CaseRequest, Target } from './conformance-target.ts';

/** What makes one posted object differ from a flawless one. */
export type ObjectFlaws = {
  readonly organizer?: string;
  readonly attendees?: readonly string[];
  readonly method?: string;
  /** Added to the component. */
  readonly lines?: readonly string[];
  /** Added to the calendar, after METHOD. */
  readonly calendarLines?: readonly string[];
  /** ms since the epoch */
  readonly start?: number;
};

/** What makes one post differ; a header without a value is left out, one with several is repeated. */
export type PostFlaws = {
  readonly headers?: Readonly<Record<string, readonly string[]>>;
  readonly body?: Buffer;
  readonly recipients?: readonly string[];
} & Omit<CaseRequest, 'headers' | 'body'> &
  ObjectFlaws;

const DAY_MS = 86_400_000;

/** Whom a harmless post is for: the calendar user who was named, or nobody. */
export function somebody(target: Target): string {
  return target.recipient ?? target.nobody;
}

/**
 * What changes no calendar, even where its flaw goes unseen: a free/busy question, or for those who announce that they
 * take none, the CANCEL of an event that never was.
 */
export function harmless(target: Target): { readonly component: 'VFREEBUSY' | 'VEVENT'; readonly method: string } {
  const { messages } = target.announced ?? {};
  return messages === undefined || messages.has('VFREEBUSY')
    ? { component: 'VFREEBUSY', method: 'REQUEST' }
    : { component: 'VEVENT', method: 'CANCEL' };
}

/** Such a post, whole and right but for its flaws. */
export function harmlessPost(target: Target, flaws: PostFlaws = {}): CaseRequest {
  const { component } = harmless(target);
  if (component === 'VEVENT') return eventPost(target, `${token(target)}-${randomUUID()}`, 'CANCEL', flaws);
  const recipients = flaws.recipients ?? [somebody(target)];
  const start = flaws.start ?? tomorrow(target.now);
  const lines = [
    `DTSTART:${utc(start)}`,
    `DTEND:${utc(start + DAY_MS)}`,
    ...people(target, flaws, recipients),
    ...(flaws.lines ?? []),
  ];
  return post(target, flaws, recipients, component, lines);
}

/** An event marked as a test, for the calendar user who was named. */
export function eventPost(
  target: Target,
  uid: string,
  method: 'REQUEST' | 'CANCEL',
  flaws: PostFlaws = {},
): CaseRequest {
  const recipients = flaws.recipients ?? [somebody(target)];
  const start = flaws.start ?? tomorrow(target.now) + 4 * 3_600_000;
  const lines = [
    `DTSTART:${utc(start)}`,
    `DTEND:${utc(start + 900_000)}`,
    `SEQUENCE:${method === 'CANCEL' ? 1 : 0}`,
    'SUMMARY:imipd conformance test - cancelled at once',
    'TRANSP:TRANSPARENT',
    ...(method === 'CANCEL' ? ['STATUS:CANCELLED'] : []),
    ...people(target, flaws, recipients),
    ...(flaws.lines ?? []),
  ];
  return post(target, { ...flaws, method: flaws.method ?? method }, recipients, 'VEVENT', lines, uid);
}

function people(target: Target, flaws: ObjectFlaws, recipients: readonly string[]): string[] {
  return [
    `ORGANIZER:mailto:${flaws.organizer ?? target.originator}`,
    ...(flaws.attendees ?? recipients).map((address) => `ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:${address}`),
  ];
}

function post(
  target: Target,
  flaws: PostFlaws,
  recipients: readonly string[],
  component: 'VFREEBUSY' | 'VEVENT',
  lines: readonly string[],
  uid = `${token(target)}-fb`,
): CaseRequest {
  const method = flaws.method ?? 'REQUEST';
  const body =
    flaws.body ??
    calendar([
      `METHOD:${method}`,
      ...(flaws.calendarLines ?? []),
      `BEGIN:${component}`,
      `UID:${uid}`,
      `DTSTAMP:${utc(target.now)}`,
      ...lines,
      `END:${component}`,
    ]);
  const usual: Record<string, readonly string[]> = {
    'iSchedule-Version': ['1.0'],
    'iSchedule-Message-ID': [`${token(target)}-${randomUUID()}`],
    Originator: [`mailto:${target.originator}`],
    Recipient: recipients.map((address) => `mailto:${address}`),
    'Content-Type': [`text/calendar; component=${component}; method=${method}; charset=utf-8`],
    'Cache-Control': ['no-cache, no-transform'],
    ...flaws.headers,
  };
  return {
    headers: Object.entries(usual).flatMap(([name, values]) => values.map((value) => [name, value] as const)),
    body,
    ...(flaws.framing === undefined ? {} : { framing: flaws.framing }),
    ...(flaws.awaitsContinue === undefined ? {} : { awaitsContinue: flaws.awaitsContinue }),
    ...(flaws.signature === undefined ? {} : { signature: flaws.signature }),
    ...(flaws.malformed === undefined ? {} : { malformed: flaws.malformed }),
  };
}

/** Names a thing of this run, unlike any other. */
export function token(target: Target): string {
  return `imipd-conformance-${target.run}`;
}

function calendar(lines: readonly string[]): Buffer {
  const all = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//imipd//conformance//EN', ...lines, 'END:VCALENDAR', ''];
  return Buffer.from(all.map(fold).join('\r\n'));
}

/** RFC 5545 §3.1; what is written here is ASCII. */
function fold(line: string): string {
  return (line.match(/^.{1,75}|.{1,74}/g) ?? []).join('\r\n ');
}

function tomorrow(now: number): number {
  return Math.floor(now / DAY_MS) * DAY_MS + DAY_MS;
}

/** RFC 5545 §3.3.5, form 2. */
export function utc(ms: number): string {
  return `${new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '')}`;
}
