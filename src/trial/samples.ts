import { randomBytes } from 'node:crypto';

/** A sample message with its envelope, and what must be found afterwards. */
export type Sample = {
  readonly title: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly content: string;
  /** The event that must stand in each recipient's calendar; none for plain mail. */
  readonly event?: {
    readonly uid: string;
    readonly summary: string;
    readonly status?: string /** What the stored event must contain besides. */;
    readonly contains?: string;
  };
};

type Meeting = {
  readonly uid: string;
  readonly summary: string;
  readonly organizer: string;
  readonly attendees: readonly string[];
  readonly sequence: number;
  readonly hour: number;
};

const crlf = (lines: readonly string[]): string => lines.map((line) => `${line}\r\n`).join('');
const at = (hour: number): string => `20300314T${String(hour).padStart(2, '0')}0000Z`;

/** What `imipd demo` sends: the usual life of meetings, from two vendors, to users of two calendar servers. */
export function samples(): Sample[] {
  const tag = randomBytes(4).toString('hex');
  const outlook: Meeting = {
    uid: `040000008200E00074C5B7101A82E008-${tag}`,
    summary: 'Budget review',
    organizer: 'olga@outside.example',
    attendees: ['alice@example.com', 'bob@example.com'],
    sequence: 0,
    hour: 9,
  };
  const google: Meeting = {
    uid: `${tag}q7k2@google.example`,
    summary: 'Design sync',
    organizer: 'gary@partner.example',
    attendees: ['carol@example.com', 'bob@example.com'],
    sequence: 0,
    hour: 11,
  };
  const moved = { ...outlook, sequence: 1, hour: 15 };
  const off = { ...google, sequence: 1 };
  return [
    {
      title: 'Outlook-style invitation',
      from: outlook.organizer,
      to: outlook.attendees,
      content: outlookMail('REQUEST', outlook),
      event: { uid: outlook.uid, summary: outlook.summary },
    },
    {
      title: 'Google-style invitation',
      from: google.organizer,
      to: google.attendees,
      content: googleMail('REQUEST', google),
      event: { uid: google.uid, summary: google.summary },
    },
    {
      title: 'update: moved to 15:00',
      from: outlook.organizer,
      to: outlook.attendees,
      content: outlookMail('REQUEST', moved),
      event: { uid: outlook.uid, summary: outlook.summary, contains: `DTSTART:${at(15)}` },
    },
    {
      title: 'cancellation',
      from: google.organizer,
      to: google.attendees,
      content: googleMail('CANCEL', off),
      event: { uid: google.uid, summary: google.summary, status: 'CANCELLED' },
    },
    {
      title: 'reply to a meeting of Alice',
      from: 'olga@outside.example',
      to: ['alice@example.com'],
      content: replyMail(),
      event: { uid: OWN_MEETING.uid, summary: OWN_MEETING.summary, contains: 'PARTSTAT=ACCEPTED' },
    },
    { title: 'plain mail', from: 'olga@outside.example', to: ['alice@example.com'], content: plainMail(tag) },
  ];
}

/** A meeting that Alice has made herself and Olga is invited to. */
export const OWN_MEETING = { owner: 'alice@example.com', uid: 'planning-1@example.com', summary: 'Planning' } as const;

/** {@link OWN_MEETING} as it stands in her calendar before Olga answers. */
export function ownMeeting(): string {
  return crlf([
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//imipd//trial//EN',
    'BEGIN:VEVENT',
    `UID:${OWN_MEETING.uid}`,
    'DTSTAMP:20300301T080000Z',
    `DTSTART:${at(13)}`,
    `DTEND:${at(14)}`,
    `SUMMARY:${OWN_MEETING.summary}`,
    'SEQUENCE:0',
    `ORGANIZER:mailto:${OWN_MEETING.owner}`,
    `ATTENDEE;PARTSTAT=ACCEPTED:mailto:${OWN_MEETING.owner}`,
    'ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:olga@outside.example',
    'END:VEVENT',
    'END:VCALENDAR',
  ]);
}

function event(method: string, prodid: string, meeting: Meeting, attendee: (address: string) => string): string {
  return crlf([
    'BEGIN:VCALENDAR',
    `PRODID:${prodid}`,
    'VERSION:2.0',
    `METHOD:${method}`,
    'BEGIN:VEVENT',
    `UID:${meeting.uid}`,
    `DTSTAMP:20300301T08000${meeting.sequence}Z`,
    `DTSTART:${at(meeting.hour)}`,
    `DTEND:${at(meeting.hour + 1)}`,
    `SUMMARY:${meeting.summary}`,
    `SEQUENCE:${meeting.sequence}`,
    ...(method === 'CANCEL' ? ['STATUS:CANCELLED'] : ['STATUS:CONFIRMED']),
    `ORGANIZER:mailto:${meeting.organizer}`,
    ...meeting.attendees.map(attendee),
    'END:VEVENT',
    'END:VCALENDAR',
  ]);
}

function header(from: string, to: readonly string[], subject: string): string[] {
  return [
    `From: <${from}>`,
    `To: ${to.map((address) => `<${address}>`).join(', ')}`,
    `Subject: ${subject}`,
    'Date: Fri, 01 Mar 2030 08:00:00 +0000',
    `Message-ID: <${randomBytes(8).toString('hex')}@${from.slice(from.indexOf('@') + 1)}>`,
    'MIME-Version: 1.0',
  ];
}

function base64(text: string): string[] {
  return (
    Buffer.from(text)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  );
}

// multipart/alternative with the calendar last, in base64, as Exchange writes it.
function outlookMail(method: string, meeting: Meeting): string {
  const calendar = event(
    method,
    'Microsoft Exchange Server 2010',
    meeting,
    (address) => `ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:MAILTO:${address}`,
  );
  return crlf([
    ...header(meeting.organizer, meeting.attendees, meeting.summary),
    'Content-Type: multipart/alternative; boundary="_000_outlook_"',
    '',
    '--_000_outlook_',
    'Content-Type: text/plain; charset="us-ascii"',
    '',
    `${meeting.summary}, ${at(meeting.hour)}`,
    '--_000_outlook_',
    `Content-Type: text/calendar; charset="utf-8"; method=${method}`,
    'Content-Transfer-Encoding: base64',
    '',
    ...base64(calendar),
    '--_000_outlook_--',
  ]);
}

// multipart/mixed with the same object again as application/ics, as Google Calendar writes it.
function googleMail(method: string, meeting: Meeting): string {
  const calendar = event(
    method,
    '-//Google Inc//Google Calendar 70.9054//EN',
    meeting,
    (address) => `ATTENDEE;CUTYPE=INDIVIDUAL;PARTSTAT=NEEDS-ACTION;CN=${address}:mailto:${address}`,
  );
  return crlf([
    ...header(meeting.organizer, meeting.attendees, `Invitation: ${meeting.summary}`),
    'Content-Type: multipart/mixed; boundary="0000google"',
    '',
    '--0000google',
    'Content-Type: multipart/alternative; boundary="1111google"',
    '',
    '--1111google',
    'Content-Type: text/plain; charset="UTF-8"; format=flowed; delsp=yes',
    '',
    `${meeting.summary}, ${at(meeting.hour)}`,
    '--1111google',
    `Content-Type: text/calendar; charset="UTF-8"; method=${method}`,
    'Content-Transfer-Encoding: 7bit',
    '',
    ...calendar.trimEnd().split('\r\n'),
    '--1111google--',
    '--0000google',
    'Content-Type: application/ics; name="invite.ics"',
    'Content-Disposition: attachment; filename="invite.ics"',
    'Content-Transfer-Encoding: base64',
    '',
    ...base64(calendar),
    '--0000google--',
  ]);
}

function replyMail(): string {
  return crlf([
    ...header('olga@outside.example', [OWN_MEETING.owner], `Accepted: ${OWN_MEETING.summary}`),
    'Content-Type: text/calendar; charset=utf-8; method=REPLY',
    '',
    'BEGIN:VCALENDAR',
    'PRODID:-//Example Corp//Client//EN',
    'VERSION:2.0',
    'METHOD:REPLY',
    'BEGIN:VEVENT',
    `UID:${OWN_MEETING.uid}`,
    'DTSTAMP:20300302T080000Z',
    `DTSTART:${at(13)}`,
    `DTEND:${at(14)}`,
    `SUMMARY:${OWN_MEETING.summary}`,
    'SEQUENCE:0',
    `ORGANIZER:mailto:${OWN_MEETING.owner}`,
    'ATTENDEE;PARTSTAT=ACCEPTED:mailto:olga@outside.example',
    'END:VEVENT',
    'END:VCALENDAR',
  ]);
}

function plainMail(tag: string): string {
  return crlf([
    ...header('olga@outside.example', ['alice@example.com'], `Lunch ${tag}`),
    'Content-Type: text/plain',
    '',
    'Noon, at the usual place?',
  ]);
}
