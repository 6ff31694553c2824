/** Scheduling mail that the tests send: invented, CRLF, one event per UID. */

export type EventFields = {
  readonly uid: string;
  readonly organizer: string;
  readonly attendees: readonly string[];
  readonly method: 'REQUEST' | 'CANCEL' | 'REPLY';
  readonly summary?: string;
  readonly sequence?: number;
  readonly dtstamp?: string;
  /** For REPLY. */
  readonly partstat?: string;
  /** By attendee, for the others: who has answered already. */
  readonly partstats?: Readonly<Record<string, string>>;
};

/** The object alone. A REPLY's one attendee is the first of `attendees`. */
export function calendarObject(event: EventFields): string {
  const attendees = event.method === 'REPLY' ? event.attendees.slice(0, 1) : event.attendees;
  const parameters = (attendee: string) =>
    event.method === 'REPLY'
      ? `;PARTSTAT=${event.partstat ?? 'ACCEPTED'}`
      : `;PARTSTAT=${event.partstats?.[attendee] ?? 'NEEDS-ACTION'};RSVP=TRUE`;
  return lines(
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Example//Invitations//EN',
    `METHOD:${event.method}`,
    'BEGIN:VEVENT',
    `UID:${event.uid}`,
    `DTSTAMP:${event.dtstamp ?? '20300101T080000Z'}`,
    'DTSTART:20300315T100000Z',
    'DTEND:20300315T110000Z',
    `SUMMARY:${event.summary ?? 'Review'}`,
    `ORGANIZER:mailto:${event.organizer}`,
    ...attendees.map((attendee) => `ATTENDEE${parameters(attendee)}:mailto:${attendee}`),
    `SEQUENCE:${event.sequence ?? 0}`,
    ...(event.method === 'CANCEL' ? ['STATUS:CANCELLED'] : []),
    'END:VEVENT',
    'END:VCALENDAR',
  );
}

/** An object that an organizer's own program stores: no METHOD. */
export function storedObject(event: EventFields): string {
  return calendarObject({ ...event, method: 'REQUEST' }).replace('METHOD:REQUEST\r\n', '');
}

/** The mail that carries it, from the organizer (REPLY: from the attendee), multipart/alternative. */
export function invitationMail(event: EventFields): string {
  const from = event.method === 'REPLY' ? event.attendees[0]! : event.organizer;
  const to = event.method === 'REPLY' ? [event.organizer] : event.attendees;
  return lines(
    `From: ${from}`,
    `To: ${to.join(', ')}`,
    `Subject: ${event.method}: ${event.summary ?? 'Review'}`,
    `Message-ID: <${event.uid}.${event.method}.${event.sequence ?? 0}.${from}>`,
    'Date: Tue, 01 Jan 2030 08:00:00 +0000',
    'MIME-Version: 1.0',
    'Content-Type: multipart/alternative; boundary=b1',
    '',
    '--b1',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'You are invited.',
    '.a line that begins with a dot',
    '',
    '--b1',
    `Content-Type: text/calendar; charset=utf-8; method=${event.method}`,
    '',
    `${calendarObject(event)}`,
    '--b1--',
  );
}

/** Mail without a calendar part. */
export function plainMail(fields: {
  readonly from: string;
  readonly to: string;
  readonly id: string;
  readonly text?: string;
}): string {
  return lines(
    `From: ${fields.from}`,
    `To: ${fields.to}`,
    'Subject: Lunch',
    `Message-ID: <${fields.id}>`,
    'Date: Tue, 01 Jan 2030 08:00:00 +0000',
    '',
    fields.text ?? 'Noon?',
  );
}

function lines(...all: readonly string[]): string {
  return `${all.join('\r\n')}\r\n`;
}
