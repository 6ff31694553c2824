/**
 * What Calendar Server 7 sends to Calendar Server 6, from the chapter on coexistence of its installation guide: there with a
 * Host, a Content-Type and a Content-Length, and no other header.
 */
export const CS7_QUESTION = [
  'BEGIN:VCALENDAR',
  'VERSION:2.0',
  'PRODID:-//Sun Microsystems/Sun Calendar Server 7.0-0.13//EN',
  'METHOD:REQUEST',
  'BEGIN:VFREEBUSY',
  'DTSTAMP:20040901T200200Z',
  'ORGANIZER:mailto:cs7user@example.com',
  'DTSTART:20040902T000000Z',
  'DTEND:20040903T000000Z',
  'UID:34222-232@example.com',
  'ATTENDEE;CN=Cal7 User:mailto:cs7user@example.sun.com',
  'END:VFREEBUSY',
  'END:VCALENDAR',
  '',
].join('\r\n');
