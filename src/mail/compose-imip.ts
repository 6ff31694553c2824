import { mailDate } from './dsn.ts';
import { textField } from './encoded-word.ts';
import { base64Lines } from './transfer-encoding.ts';

/** A calendar object that goes on by mail. */
export type ImipMail = {
  /** Makes its Message-ID. */
  readonly queueId: string;
  readonly hostname: string;
  /** ms since the epoch. */
  readonly date: number;
  /** Mailbox of the calendar user it speaks for. */
  readonly from: string;
  readonly to: readonly string[];
  /** Any text: controls are taken out. */
  readonly subject: string;
  /** METHOD of the object. */
  readonly method: string;
  /** The object, UTF-8. */
  readonly content: Buffer;
};

/** A header beyond 256 KiB is read by nobody, ourselves included. */
const MAX_TO = 64 * 1024;

/**
 * A calendar object as the one part of a mail (RFC 6047 §2.4): the object stands in it to the byte, so whoever examines
 * the mail finds what was posted. Mailboxes that are not ASCII stand as they are (RFC 6532): such a mail needs SMTPUTF8.
 */
export function composeImip(mail: ImipMail): Buffer {
  const header = [
    `From: <${addrSpec(mail.from)}>\r\n`,
    `To: ${addressList(mail.to)}\r\n`,
    textField('Subject', mail.subject),
    `Date: ${mailDate(mail.date)}\r\n`,
    `Message-ID: <${mail.queueId}@${mail.hostname}>\r\n`,
    // No vacation notice answers it (RFC 3834 §5).
    'Auto-Submitted: auto-generated\r\n',
    'MIME-Version: 1.0\r\n',
    `Content-Type: text/calendar; charset=utf-8; method=${mail.method}\r\n`,
    'Content-Transfer-Encoding: base64\r\n',
    '\r\n',
  ];
  return Buffer.concat([Buffer.from(header.join('')), base64Lines(mail.content)]);
}

function addressList(mailboxes: readonly string[]): string {
  const list = mailboxes.map((mailbox) => `<${addrSpec(mailbox)}>`).join(',\r\n ');
  return Buffer.byteLength(list) <= MAX_TO ? list : 'undisclosed-recipients:;';
}

/** RFC 5322 §3.4.1: a local part that is no dot-atom is quoted. */
export function addrSpec(mailbox: string): string {
  const clean = mailbox.replace(/\p{Cc}/gu, '');
  const at = clean.lastIndexOf('@');
  const local = clean.slice(0, at);
  if (/^[^\s"(),.:;<>@[\\\]]+(?:\.[^\s"(),.:;<>@[\\\]]+)*$/.test(local)) return clean;
  if (/^"(?:[^"\\]|\\.)*"$/.test(local)) return clean;
  return `"${local.replace(/["\\]/g, '\\$&')}"${clean.slice(at)}`;
}
