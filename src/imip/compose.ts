import { hash } from 'node:crypto';
import { mailDate } from '../mail/dsn.ts';
import { base64Lines, encodeText } from '../mail/transfer-encoding.ts';
import { idField, languageField, mailboxField, unstructuredField } from './fields.ts';
import type { CalendarMail } from './mail.ts';

/**
 * A mail for one recipient, as every client shows it properly (RFC 6047, protocol digest 3.6): text, HTML and the
 * object as alternatives, the object again as a file of identical bytes. ASCII throughout, no line of text over 78 columns,
 * except that mailboxes which are not ASCII stand as they are (RFC 6532): such a mail needs SMTPUTF8.
 *
 * The same input gives the same octets, so that a repeated attempt sends the same mail.
 */
export function composeCalendarMail(mail: CalendarMail): Buffer {
  const key = hash('sha256', mail.messageId, 'hex').slice(0, 24);
  const alternatives = [textPart('plain', mail.text), textPart('html', mail.html)];
  const { calendar } = mail;
  if (calendar === undefined) return Buffer.concat([header(mail), multipart('alternative', key, alternatives)]);
  const { method, component } = calendar;
  const encoded = base64Lines(calendar.content);
  const alternative = multipart('alternative', `${key}_a`, [
    ...alternatives,
    part(
      `Content-Type: text/calendar; charset=utf-8; method=${method};\r\n component=${component}\r\n${BASE64}`,
      encoded,
    ),
  ]);
  const file = part(
    `Content-Type: application/ics; name="invite.ics"\r\nContent-Disposition: attachment; filename="invite.ics"\r\n${BASE64}`,
    encoded,
  );
  return Buffer.concat([header(mail), multipart('mixed', `${key}_m`, [alternative, file])]);
}

/** All but tab and line ends. */
const CONTROLS = /[^\P{Cc}\t\n\r]/gu;
const BASE64 = 'Content-Transfer-Encoding: base64\r\n';

function header(mail: CalendarMail): Buffer {
  return Buffer.from(
    [
      mailboxField('From', mail.from),
      mail.sender === undefined ? '' : mailboxField('Sender', mail.sender),
      mail.replyTo === undefined ? '' : mailboxField('Reply-To', mail.replyTo),
      mailboxField('To', mail.to),
      unstructuredField('Subject', mail.subject),
      `Date: ${mailDate(mail.date)}\r\n`,
      idField('Message-ID', mail.messageId),
      idField('In-Reply-To', mail.inReplyTo),
      idField('References', mail.inReplyTo),
      // No vacation notice answers it (RFC 3834 §5).
      `Auto-Submitted: ${mail.autoSubmitted ?? 'auto-generated'}\r\n`,
      languageField(mail.language),
      'MIME-Version: 1.0\r\n',
    ].join(''),
  );
}

/** An entity from its own Content-Type on; neither quoted-printable nor base64 ever holds `=_` (RFC 2045 §6.7). */
function multipart(subtype: 'mixed' | 'alternative', key: string, parts: readonly Buffer[]): Buffer {
  const boundary = `=_${key}`;
  const pieces: Buffer[] = [Buffer.from(`Content-Type: multipart/${subtype}; boundary="${boundary}"\r\n\r\n`)];
  // The CRLF that each part ends with is the boundary's (RFC 2046 §5.1.1).
  for (const one of parts) pieces.push(Buffer.from(`--${boundary}\r\n`), one);
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  return Buffer.concat(pieces);
}

function textPart(subtype: 'plain' | 'html', text: string): Buffer {
  // Escape sequences are for terminals, and some mail readers run in one.
  const { encoding, lines } = encodeText(text.toWellFormed().replace(CONTROLS, ''));
  return part(`Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n`, lines);
}

function part(fields: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${fields}\r\n`), body]);
}
