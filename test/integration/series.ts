/** A weekly meeting, of which the tests change single instances: invented, CRLF. */

export type SeriesEvent = {
  readonly uid: string;
  readonly organizer: string;
  /** Mailboxes, or whole ATTENDEE lines. */
  readonly attendees: readonly string[];
  /** What stands behind `RECURRENCE-ID`, its `:` or `;` included; the series when absent. */
  readonly instance?: string;
  readonly start?: string;
  readonly summary?: string;
  readonly sequence?: number;
  readonly more?: readonly string[];
};

/** The first three Fridays of the series. */
export const FIRST = '20300315T100000Z';
export const SECOND = '20300322T100000Z';
export const THIRD = '20300329T100000Z';
/** No day of the series. */
export const ADDED = '20300401T100000Z';
/** As RRULE of the series. `COUNT` would do, but for what Cyrus makes of an answer to one instance of it. */
export const WEEKLY = 'RRULE:FREQ=WEEKLY';

/** An object of these components; without METHOD it is one that an organizer's own program stores. */
export function seriesObject(method: string | undefined, ...events: readonly SeriesEvent[]): string {
  return lines(
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Series//EN'],
    ...(method === undefined ? [] : [`METHOD:${method}`]),
    ...events.flatMap((event) => component(method, event)),
    'END:VCALENDAR',
  );
}

/** DTSTAMPs rise by a second from one component to the next. */
let stamps = 0;

function component(method: string | undefined, event: SeriesEvent): readonly string[] {
  const { uid, organizer, attendees, instance, start, summary = 'Weekly', sequence = 0, more = [] } = event;
  const stamp = new Date(Date.UTC(2030, 0, 1, 8, 0, stamps++)).toISOString().replace(/[-:]|\.000/g, '');
  const isBare = method === 'REFRESH';
  return [
    ...['BEGIN:VEVENT', `UID:${uid}`, `DTSTAMP:${stamp}`],
    ...(instance === undefined ? [] : [`RECURRENCE-ID${instance}`]),
    ...(isBare ? [] : [`DTSTART:${start ?? FIRST}`, 'DURATION:PT1H', `SUMMARY:${summary}`, `SEQUENCE:${sequence}`]),
    ...more,
    `ORGANIZER:mailto:${organizer}`,
    ...attendees.map((one) =>
      one.startsWith('ATTENDEE') ? one : `ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:${one}`,
    ),
    ...(method === 'CANCEL' ? ['STATUS:CANCELLED'] : []),
    'END:VEVENT',
  ];
}

/** The mail that carries it. */
export function seriesMail(from: string, to: string, method: string, object: string): string {
  const id = /^UID:(.*)@/m.exec(object)?.[1];
  return lines(
    ...[`From: ${from}`, `To: ${to}`, `Subject: ${method}`, `Message-ID: <${id}.${stamps}@outside.test>`],
    ...['Date: Tue, 01 Jan 2030 08:00:00 +0000', 'MIME-Version: 1.0'],
    `Content-Type: text/calendar; charset=utf-8; method=${method}`,
    '',
    object.trimEnd(),
  );
}

/** The components of a stored object as their lines, RECURRENCE-ID of the override before them; `''` for the series. */
export function componentsOf(stored: string | undefined): ReadonlyMap<string, readonly string[]> {
  const events = (stored ?? '').matchAll(/BEGIN:VEVENT\r?\n([\s\S]*?)END:VEVENT/g);
  return new Map(
    [...events].map(([, text = '']) => {
      const own = text.split(/\r?\n/);
      return [own.find((line) => line.startsWith('RECURRENCE-ID'))?.slice(13) ?? '', own];
    }),
  );
}

function lines(...all: readonly string[]): string {
  return `${all.join('\r\n')}\r\n`;
}
