/**
 * Answers to an invitation as three kinds of mail program send them (shapes as observed, people and events invented).
 * CRLF, one attendee.
 */

export type Reply = {
  readonly uid: string;
  readonly summary: string;
  /** Whom the invitation named as organizer; where the answer is sent. */
  readonly organizer: string;
  readonly attendee: string;
  readonly partstat: 'ACCEPTED' | 'DECLINED' | 'TENTATIVE';
  readonly sequence?: number;
  /** Mailbox it is sent from; the attendee's when absent. */
  readonly from?: string;
  /** Message-ID of the mail that is answered, without angle brackets. */
  readonly inReplyTo?: string;
};

const WORDS = { ACCEPTED: 'Accepted', DECLINED: 'Declined', TENTATIVE: 'Tentative' } as const;

/** Google Calendar: everything twice, the second time as invite.ics. */
export function googleReply(reply: Reply): string {
  const { uid, summary, organizer, attendee, partstat, sequence = 0, from = attendee } = reply;
  const word = WORDS[partstat];
  const object = lines(
    'BEGIN:VCALENDAR',
    'PRODID:-//Google Inc//Google Calendar 70.9054//EN',
    'VERSION:2.0',
    'CALSCALE:GREGORIAN',
    'METHOD:REPLY',
    'BEGIN:VEVENT',
    'DTSTART:20300315T100000Z',
    'DTEND:20300315T110000Z',
    'DTSTAMP:20300102T081500Z',
    `ORGANIZER;CN=Alice:mailto:${organizer}`,
    `UID:${uid}`,
    `ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=${partstat};CN=Olga`,
    ` Outside;X-NUM-GUESTS=0:mailto:${attendee}`,
    'X-MICROSOFT-CDO-OWNERAPPTID:1853940521',
    'CREATED:20300101T080000Z',
    'DESCRIPTION:',
    'LAST-MODIFIED:20300102T081500Z',
    'LOCATION:',
    `SEQUENCE:${sequence}`,
    'STATUS:CONFIRMED',
    `SUMMARY:${summary}`,
    'TRANSP:OPAQUE',
    'END:VEVENT',
    'END:VCALENDAR',
  );
  return lines(
    'MIME-Version: 1.0',
    `Reply-To: Olga Outside <${from}>`,
    'Sender: Google Calendar <calendar-notification@google.com>',
    'Auto-Submitted: auto-generated',
    `Message-ID: <calendar-5c1e-${uid.split('@')[0]}@google.com>`,
    'Date: Wed, 02 Jan 2030 08:15:00 +0000',
    `Subject: ${word}: ${summary} @ Fri Mar 15, 2030 10am - 11am (UTC) (${organizer})`,
    `From: Olga Outside <${from}>`,
    `To: ${organizer}`,
    'Content-Type: multipart/mixed; boundary="0000000000008a1f5605"',
    '',
    '--0000000000008a1f5605',
    'Content-Type: multipart/alternative; boundary="0000000000008a1f5405"',
    '',
    '--0000000000008a1f5405',
    'Content-Type: text/plain; charset="UTF-8"; format=flowed; delsp=yes',
    'Content-Transfer-Encoding: base64',
    '',
    base64(`Olga Outside has ${word.toLowerCase()} this invitation.\r\n`),
    '--0000000000008a1f5405',
    'Content-Type: text/html; charset="UTF-8"',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    `<span itemscope itemtype=3D"http://schema.org/InformAction">${word}</span>`,
    '--0000000000008a1f5405',
    'Content-Type: text/calendar; charset="UTF-8"; method=REPLY',
    'Content-Transfer-Encoding: 7bit',
    '',
    object,
    '--0000000000008a1f5405--',
    '--0000000000008a1f5605',
    'Content-Type: application/ics; name="invite.ics"',
    'Content-Disposition: attachment; filename="invite.ics"',
    'Content-Transfer-Encoding: base64',
    '',
    base64(object),
    '--0000000000008a1f5605--',
  );
}

/** Outlook by Exchange: no ORGANIZER, METHOD first, a Windows zone, `MAILTO:`. */
export function exchangeReply(reply: Reply): string {
  const { uid, summary, organizer, attendee, partstat, sequence = 0, from = attendee, inReplyTo } = reply;
  const word = WORDS[partstat];
  const object = lines(
    'BEGIN:VCALENDAR',
    'METHOD:REPLY',
    'PRODID:Microsoft Exchange Server 2010',
    'VERSION:2.0',
    'BEGIN:VTIMEZONE',
    'TZID:UTC',
    'BEGIN:STANDARD',
    'DTSTART:16010101T000000',
    'TZOFFSETFROM:+0000',
    'TZOFFSETTO:+0000',
    'END:STANDARD',
    'BEGIN:DAYLIGHT',
    'DTSTART:16010101T000000',
    'TZOFFSETFROM:+0000',
    'TZOFFSETTO:+0000',
    'END:DAYLIGHT',
    'END:VTIMEZONE',
    'BEGIN:VEVENT',
    `ATTENDEE;PARTSTAT=${partstat};CN=Olga Outside:MAILTO:${attendee}`,
    'COMMENT;LANGUAGE=en-US:\\n',
    `UID:${uid}`,
    `SUMMARY;LANGUAGE=en-US:${word}: ${summary}`,
    'DTSTART;TZID=UTC:20300315T100000',
    'DTEND;TZID=UTC:20300315T110000',
    'CLASS:PUBLIC',
    'PRIORITY:5',
    'DTSTAMP:20300102T082000Z',
    'TRANSP:OPAQUE',
    'STATUS:CONFIRMED',
    `SEQUENCE:${sequence}`,
    'LOCATION;LANGUAGE=en-US:',
    'X-MICROSOFT-CDO-APPT-SEQUENCE:0',
    'X-MICROSOFT-CDO-OWNERAPPTID:0',
    'X-MICROSOFT-CDO-BUSYSTATUS:BUSY',
    'X-MICROSOFT-CDO-INTENDEDSTATUS:BUSY',
    'X-MICROSOFT-CDO-ALLDAYEVENT:FALSE',
    'X-MICROSOFT-CDO-IMPORTANCE:1',
    'X-MICROSOFT-CDO-INSTTYPE:0',
    'X-MICROSOFT-DISALLOW-COUNTER:FALSE',
    'END:VEVENT',
    'END:VCALENDAR',
  );
  return lines(
    `From: Olga Outside <${from}>`,
    `To: ${organizer}`,
    `Subject: ${word}: ${summary}`,
    `Thread-Topic: ${summary}`,
    'Date: Wed, 2 Jan 2030 08:20:00 +0000',
    `Message-ID: <AM0PR04MB6289.${uid.split('@')[0]}@AM0PR04MB6289.eurprd04.prod.outlook.com>`,
    ...(inReplyTo === undefined ? [] : [`References: <${inReplyTo}>`, `In-Reply-To: <${inReplyTo}>`]),
    'Accept-Language: en-US',
    'Content-Language: en-US',
    'Content-Class: urn:content-classes:calendarmessage',
    'Content-Type: multipart/alternative;',
    '\tboundary="_000_AM0PR04MB6289"',
    'MIME-Version: 1.0',
    '',
    '--_000_AM0PR04MB6289',
    'Content-Type: text/plain; charset="iso-8859-1"',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    '',
    '--_000_AM0PR04MB6289',
    'Content-Type: text/html; charset="iso-8859-1"',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    '<html><body></body></html>',
    '--_000_AM0PR04MB6289',
    'Content-Type: text/calendar; charset="utf-8"; method=REPLY',
    'Content-Transfer-Encoding: base64',
    '',
    base64(object),
    '--_000_AM0PR04MB6289--',
  );
}

/** Apple Calendar: EMAIL parameters beside the addresses. */
export function appleReply(reply: Reply): string {
  const { uid, summary, organizer, attendee, partstat, sequence = 0, from = attendee } = reply;
  const word = WORDS[partstat];
  const object = lines(
    'BEGIN:VCALENDAR',
    'CALSCALE:GREGORIAN',
    'PRODID:-//Apple Inc.//macOS 15.5//EN',
    'VERSION:2.0',
    'METHOD:REPLY',
    'BEGIN:VEVENT',
    'CREATED:20300101T080000Z',
    `ATTENDEE;CN="Olga Outside";CUTYPE=INDIVIDUAL;EMAIL="${attendee}";`,
    ` PARTSTAT=${partstat};ROLE=REQ-PARTICIPANT:mailto:${attendee}`,
    'DTEND:20300315T110000Z',
    'DTSTAMP:20300102T082500Z',
    'DTSTART:20300315T100000Z',
    'LAST-MODIFIED:20300102T082500Z',
    `ORGANIZER;CN="Alice";EMAIL="${organizer}":mailto:${organizer}`,
    `SEQUENCE:${sequence}`,
    `SUMMARY:${summary}`,
    'TRANSP:OPAQUE',
    `UID:${uid}`,
    'END:VEVENT',
    'END:VCALENDAR',
  );
  return lines(
    `From: Olga Outside <${from}>`,
    'Content-Type: multipart/alternative;',
    ' boundary="Apple-Mail=_0A7C3E52"',
    'MIME-Version: 1.0 (Mac OS X Mail 16.0)',
    `Subject: ${word}: ${summary}`,
    `Message-ID: <8A6F2F0E-${uid.split('@')[0]}@outside.test>`,
    'Date: Wed, 2 Jan 2030 09:25:00 +0100',
    `To: ${organizer}`,
    'X-Mailer: Apple Mail (2.3826)',
    '',
    '--Apple-Mail=_0A7C3E52',
    'Content-Transfer-Encoding: 7bit',
    'Content-Type: text/plain;',
    '\tcharset=us-ascii',
    '',
    `Olga Outside has ${word.toLowerCase()} your invitation.`,
    '--Apple-Mail=_0A7C3E52',
    'Content-Disposition: attachment;',
    '\tfilename=iCal-20300102-092500.ics',
    'Content-Type: text/calendar;',
    '\tx-mac-type=69637320;',
    '\tx-unix-mode=0644;',
    '\tname="iCal-20300102-092500.ics";',
    '\tmethod=REPLY;',
    '\tcharset=utf-8',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    quotedPrintable(object),
    '--Apple-Mail=_0A7C3E52--',
  );
}

function quotedPrintable(text: string): string {
  return text
    .replaceAll('=', '=3D')
    .split('\r\n')
    .map((line) => line.replace(/(?:=[0-9A-F]{2}|[^=]){1,60}(?=.)/g, '$&=\r\n'))
    .join('\r\n');
}

function base64(text: string): string {
  return Buffer.from(text)
    .toString('base64')
    .replace(/.{76}(?=.)/g, '$&\r\n');
}

function lines(...all: readonly string[]): string {
  return `${all.join('\r\n')}\r\n`;
}
