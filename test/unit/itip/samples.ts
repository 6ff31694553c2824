/** Lines with CRLF ends, as they stand in a mail. */
export function crlf(...lines: readonly string[]): string {
  return lines.map((line) => `${line}\r\n`).join('');
}

/** A VCALENDAR with a METHOD around these lines. */
export function calendar(method: string, ...lines: readonly string[]): string {
  return crlf(
    'BEGIN:VCALENDAR',
    'PRODID:-//Example//Samples//EN',
    'VERSION:2.0',
    `METHOD:${method}`,
    ...lines,
    'END:VCALENDAR',
  );
}

export const EVENT: readonly string[] = [
  'BEGIN:VEVENT',
  'UID:budget-1@example.org',
  'DTSTAMP:20261121T080000Z',
  'DTSTART:20261124T090000Z',
  'DTEND:20261124T100000Z',
  'SEQUENCE:0',
  'SUMMARY:Budget',
  'ORGANIZER;CN=Olga:mailto:olga@example.org',
  'ATTENDEE;CN=Bob;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob@example.com',
  'END:VEVENT',
];

/** EVENT with lines replaced by the name they begin with; an empty replacement drops the line. */
export function event(changes: Readonly<Record<string, string | readonly string[]>> = {}): readonly string[] {
  return EVENT.flatMap((line) => {
    const name = Object.keys(changes).find((key) => line.startsWith(key));
    return name === undefined ? line : (changes[name] ?? []);
  });
}

export const REQUEST = calendar('REQUEST', ...EVENT);

/** A mail whose whole body is the calendar part. */
export function mail(
  body: string | Buffer,
  contentType = 'text/calendar; charset=utf-8; method=REQUEST',
  ...fields: readonly string[]
): Buffer {
  const header = crlf(
    'From: Olga <olga@example.org>',
    'To: bob@example.com',
    'Subject: Budget',
    'Date: Sat, 21 Nov 2026 09:00:00 +0100',
    'MIME-Version: 1.0',
    `Content-Type: ${contentType}`,
    ...fields,
    '',
  );
  return Buffer.concat([Buffer.from(header), Buffer.from(body)]);
}

export type MimePart = readonly [contentType: string, body: string, ...fields: readonly string[]];

/** A multipart body and its Content-Type. */
export function multipart(subtype: string, ...parts: readonly MimePart[]): MimePart {
  const boundary = `=_${subtype.replace('/', '_')}_${parts.length}_${parts.reduce((sum, [, body]) => sum + body.length, 0)}`;
  const body = parts
    .map(([type, text, ...fields]) => `${crlf(`--${boundary}`, `Content-Type: ${type}`, ...fields, '')}${text}\r\n`)
    .join('');
  return [`multipart/${subtype}; boundary="${boundary}"`, `${body}--${boundary}--\r\n`];
}

export function multipartMail(subtype: string, ...parts: readonly MimePart[]): Buffer {
  const [type, body, ...fields] = multipart(subtype, ...parts);
  return mail(body, type, ...fields);
}

/** As Google sends them: about 11 KB, the object as text/calendar and again as application/ics. */
export function googleInvitation(): Buffer {
  const object = calendar(
    'REQUEST',
    'CALSCALE:GREGORIAN',
    'BEGIN:VTIMEZONE',
    'TZID:Europe/Berlin',
    'X-LIC-LOCATION:Europe/Berlin',
    'BEGIN:DAYLIGHT',
    'TZOFFSETFROM:+0100',
    'TZOFFSETTO:+0200',
    'TZNAME:GMT+2',
    'DTSTART:19700329T020000',
    'RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU',
    'END:DAYLIGHT',
    'BEGIN:STANDARD',
    'TZOFFSETFROM:+0200',
    'TZOFFSETTO:+0100',
    'TZNAME:GMT+1',
    'DTSTART:19701025T030000',
    'RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU',
    'END:STANDARD',
    'END:VTIMEZONE',
    'BEGIN:VEVENT',
    'DTSTART;TZID=Europe/Berlin:20261124T100000',
    'DTEND;TZID=Europe/Berlin:20261124T110000',
    'DTSTAMP:20261121T080000Z',
    'ORGANIZER;CN=Olga Example:mailto:olga@example.org',
    'UID:3f0c8a1b2c3d4e5f6071829304@calendar.example.org',
    'ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=TRUE',
    ' ;CN=Olga Example;X-NUM-GUESTS=0:mailto:olga@example.org',
    'ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=',
    ' TRUE;CN=bob@example.com;X-NUM-GUESTS=0:mailto:bob@example.com',
    'X-GOOGLE-CONFERENCE:https://meet.example.org/abc-defg-hij',
    'CREATED:20261120T080000Z',
    'DESCRIPTION:Quarterly figures\\n\\n-::~:~::~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~:~',
    ` ${'Join the meeting from a browser: https://meet.example.org/abc-defg-hij'}`,
    ` ${'\\n\\nPlease do not edit this section of the description.'}`,
    'LAST-MODIFIED:20261121T080000Z',
    'LOCATION:Room 1',
    'SEQUENCE:0',
    'STATUS:CONFIRMED',
    'SUMMARY:Budget',
    'TRANSP:OPAQUE',
    'END:VEVENT',
  );
  const html = `${'<tr><td style="padding:4px 0">Tuesday, 24 November 2026, 10:00 to 11:00</td></tr>\r\n'.repeat(78)}`;
  const alternative = multipart(
    'alternative',
    [
      'text/plain; charset="UTF-8"; format=flowed; delsp=yes',
      'You have been invited to the following event.\r\n'.repeat(8),
    ],
    ['text/html; charset="UTF-8"', html, 'Content-Transfer-Encoding: quoted-printable'],
    ['text/calendar; charset="UTF-8"; method=REQUEST', object, 'Content-Transfer-Encoding: 7bit'],
  );
  const base64 = Buffer.from(object).toString('base64').replace(/.{76}/g, '$&\r\n');
  return multipartMail('mixed', alternative, [
    'application/ics; name="invite.ics"',
    base64,
    'Content-Disposition: attachment; filename="invite.ics"',
    'Content-Transfer-Encoding: base64',
  ]);
}
