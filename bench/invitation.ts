import { randomBytes } from 'node:crypto';

/** Recipients that `subject.ts` knows. */
export const USERS = 64;

/** A Google-style invitation of about 11 KB for one user, UID and Message-ID unique, ready for DATA (no dots to stuff). */
export function invitation(user: number): Buffer {
  const uid = `${randomBytes(12).toString('hex')}@google.example`;
  const calendar = [
    'BEGIN:VCALENDAR',
    'PRODID:-//Google Inc//Google Calendar 70.9054//EN',
    'VERSION:2.0',
    'CALSCALE:GREGORIAN',
    'METHOD:REQUEST',
    'BEGIN:VEVENT',
    'DTSTART:20300314T090000Z',
    'DTEND:20300314T100000Z',
    'DTSTAMP:20300301T080000Z',
    'ORGANIZER;CN=Gary:mailto:gary@partner.example',
    `UID:${uid}`,
    `ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=\r\n TRUE;CN=u${user};X-NUM-GUESTS=0:mailto:u${user}@example.com`,
    `DESCRIPTION:${'Agenda and minutes stand in the usual place. '.repeat(12)}`.match(/.{1,70}/g)?.join('\r\n ') ?? '',
    'LOCATION:Room 1',
    'SEQUENCE:0',
    'STATUS:CONFIRMED',
    'SUMMARY:Design sync',
    'TRANSP:OPAQUE',
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\r\n');
  const encoded = (
    Buffer.from(calendar)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  ).join('\r\n');
  const html = `<div style=3D"font-family:Roboto">Design sync on Thursday</div>=\r\n`.repeat(100);
  return Buffer.from(
    [
      'From: Gary <gary@partner.example>',
      `To: u${user}@example.com`,
      'Reply-To: Gary <gary@partner.example>',
      'Sender: Calendar <calendar-notification@google.example>',
      `Message-ID: <calendar-${uid}>`,
      'Date: Fri, 01 Mar 2030 08:00:00 +0000',
      'Subject: Invitation: Design sync @ Thu Mar 14, 2030',
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary="000000000000google"',
      '',
      '--000000000000google',
      'Content-Type: multipart/alternative; boundary="111111111111google"',
      '',
      '--111111111111google',
      'Content-Type: text/plain; charset="UTF-8"; format=flowed; delsp=yes',
      'Content-Transfer-Encoding: base64',
      '',
      Buffer.from('You have been invited to the following event: Design sync. ').toString('base64'),
      '--111111111111google',
      'Content-Type: text/html; charset="UTF-8"',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      html,
      '--111111111111google',
      'Content-Type: text/calendar; charset="UTF-8"; method=REQUEST',
      'Content-Transfer-Encoding: 7bit',
      '',
      calendar,
      '--111111111111google--',
      '--000000000000google',
      'Content-Type: application/ics; name="invite.ics"',
      'Content-Disposition: attachment; filename="invite.ics"',
      'Content-Transfer-Encoding: base64',
      '',
      encoded,
      '--000000000000google--',
      '',
    ].join('\r\n'),
  );
}
