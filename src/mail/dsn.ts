import { explainRecipient, headline } from './dsn-text.ts';
import { hasEightBit, headerBlock } from './header.ts';
import type { Status } from './status.ts';
import { embedUnicode, isAscii } from './xtext.ts';

export const DSN_ACTIONS = ['failed', 'delayed', 'relayed', 'delivered', 'expanded'] as const;
/** RFC 3464 §2.3.3. */
export type DsnAction = (typeof DSN_ACTIONS)[number];

export type DsnRecipient = {
  readonly address: string;
  /** Original recipient, `type;address`, xtext-decoded. */
  readonly orcpt?: string;
  readonly action: DsnAction;
  readonly status: Status;
  /** What was found, one short sentence for the sender. */
  readonly reason: string;
  /** What failed or was done: the mail's way to its next hop, or its post to a calendar. */
  readonly kind: 'post' | 'mail';
  /** The last word of the peer, `smtp; 550 5.1.1 …` (RFC 3464 §2.3.6). */
  readonly diagnostic?: string;
  /** Host name or IP address of the peer that said so. */
  readonly remoteMta?: string;
  /** ms since the epoch. */
  readonly lastAttemptAt?: number;
};

export type DsnReport = {
  /** Queue id of the report itself; makes its Message-ID. */
  readonly queueId: string;
  /** Name of the reporting MTA. */
  readonly hostname: string;
  /** Whom the report goes to: the reverse-path of the message it is about. */
  readonly to: string;
  /** Address of the postmaster who answers questions; `postmaster@` hostname by default. */
  readonly postmaster?: string;
  readonly now: number;
  /** When the message came, ms since the epoch. */
  readonly arrivedAt: number;
  readonly envid?: string;
  readonly ret?: 'FULL' | 'HDRS';
  /** Message-ID of the message, angle brackets included. */
  readonly messageId?: string;
  readonly recipients: readonly DsnRecipient[];
  /** The message, or as much of its beginning as holds the header; {@link returnsContent} says which is needed. */
  readonly original: Buffer;
  /** Octets of the whole message. */
  readonly originalSize: number;
};

/** Without RET, larger messages come back as their header only (RFC 3461 §4.3 leaves it to us). */
const MAX_UNASKED_RETURN = 100_000;
/** With RET=FULL too, beyond this: a report must stay a small message that any mailbox takes. */
const MAX_RETURN = 2_000_000;

/** What an unfoldable value may have for its line to stay within 998 octets (RFC 5322 §2.1.1). */
const MAX_FIELD = 900;

/** Whether the report returns the content and not only the header: failures only (RFC 3461 §6.2). */
export function returnsContent(report: Pick<DsnReport, 'ret' | 'recipients' | 'originalSize'>): boolean {
  if (report.ret === 'HDRS' || !report.recipients.some((recipient) => recipient.action === 'failed')) return false;
  return report.originalSize <= (report.ret === 'FULL' ? MAX_RETURN : MAX_UNASKED_RETURN);
}

/**
 * A delivery status notification (RFC 3464, RFC 6522), to be sent from the null reverse-path.
 *
 * It is 7-bit wherever MIME permits, so that no next hop can lose it for want of 8BITMIME: text and returned headers
 * are encoded, addresses in the machine's part use the embedded form of RFC 6533 §3. Two things cannot be: an
 * original with 8-bit body returned whole (message/rfc822 may not be encoded, RFC 2046 §5.2.1), and a `To` address
 * with a non-ASCII local part, which needs SMTPUTF8 in its envelope anyway.
 */
export function composeDsn(report: DsnReport): Buffer {
  const original = returnedPart(report);
  const boundary = boundaryFor(report.queueId, original.part);
  const lines = [
    `From: Mail Delivery System <MAILER-DAEMON@${report.hostname}>`,
    `To: <${headerText(report.to)}>`,
    `Subject: ${headline(report.recipients)}`,
    `Date: ${mailDate(report.now)}`,
    `Message-ID: <${report.queueId}@${report.hostname}>`,
    ...(report.messageId === undefined ? [] : [`References: ${machineText(report.messageId)}`]),
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="${boundary}"`,
    ...(original.eightBit ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
    `--${boundary}`,
    textPart(humanText(report)),
    `--${boundary}`,
    'Content-Description: Delivery report',
    'Content-Type: message/delivery-status',
    '',
    statusFields(report),
    `--${boundary}`,
    '',
  ];
  return Buffer.concat([
    Buffer.from(lines.join('\r\n'), 'utf8'),
    original.part,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
}

/** Queue ids can be guessed, so a message may have been made to hold the boundary of its own report. */
function boundaryFor(queueId: string, returned: Buffer): string {
  let boundary = `imipd-${queueId}`;
  for (let n = 1; returned.includes(`--${boundary}`); n++) boundary = `imipd-${queueId}-${n}`;
  return boundary;
}

function humanText(report: DsnReport): string {
  const paragraphs = [
    `This is the mail gateway at ${report.hostname}. It reports on a message that`,
    `came from your address on ${mailDate(report.arrivedAt)}.`,
    '',
    ...report.recipients.flatMap((recipient) => [...explainRecipient(recipient), '']),
    `Questions go to <${headerText(report.postmaster ?? `postmaster@${report.hostname}`)}>; name the report ${report.queueId}.`,
    returnsContent(report) ? 'The message is attached.' : 'The header of the message is attached.',
  ];
  return `${paragraphs.join('\r\n')}\r\n`;
}

function textPart(text: string): string {
  if (isAscii(text)) return `Content-Type: text/plain; charset=us-ascii\r\n\r\n${text}`;
  return `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64Lines(Buffer.from(text, 'utf8'))}`;
}

function statusFields(report: DsnReport): string {
  const groups = [
    [
      `Reporting-MTA: dns; ${report.hostname}`,
      ...(report.envid === undefined ? [] : [`Original-Envelope-Id: ${machineText(report.envid)}`]),
      `Arrival-Date: ${mailDate(report.arrivedAt)}`,
    ],
    ...report.recipients.map((recipient) => [
      ...(recipient.orcpt === undefined ? [] : [`Original-Recipient: ${typedAddress(recipient.orcpt)}`]),
      `Final-Recipient: ${typedAddress(`rfc822;${recipient.address}`)}`,
      `Action: ${recipient.action}`,
      `Status: ${recipient.status}`,
      ...(recipient.remoteMta === undefined ? [] : [`Remote-MTA: dns; ${mtaName(recipient.remoteMta)}`]),
      ...(recipient.diagnostic === undefined
        ? []
        : [`Diagnostic-Code: ${folded(machineText(registeredType(recipient.diagnostic)), 17)}`]),
      ...(recipient.lastAttemptAt === undefined ? [] : [`Last-Attempt-Date: ${mailDate(recipient.lastAttemptAt)}`]),
    ]),
  ];
  return groups.map((fields) => `${fields.join('\r\n')}\r\n`).join('\r\n');
}

/** `rfc822; a@b`, or `utf-8; …` with the non-ASCII characters embedded (RFC 6533 §3). */
function typedAddress(typed: string): string {
  const semicolon = typed.indexOf(';');
  const address = headerText(typed.slice(semicolon + 1)).trim();
  const type = isAscii(address) ? machineText(typed.slice(0, semicolon)).trim() || 'rfc822' : 'utf-8';
  return `${type}; ${embedUnicode(address).slice(0, MAX_FIELD)}`;
}

/** `smtp` is the one type registered that we write; all others are private (RFC 3464 §2.3, §9.2): `http; 503` → `x-http; 503`. */
function registeredType(diagnostic: string): string {
  return /^(?:smtp|x-[a-z0-9-]+);/i.test(diagnostic) ? diagnostic : `x-${diagnostic}`;
}

/** RFC 3464 §2.1.2: a domain, or an address literal. */
function mtaName(host: string): string {
  const name = machineText(host);
  if (/^[\d.]+$/.test(name)) return `[${name}]`;
  const bare = name.replace(/^\[(?!IPv6:)(.*)\]$/i, '$1');
  return bare.includes(':') && !bare.startsWith('[') ? `[IPv6:${bare}]` : name;
}

/** The last body part with its own header. */
function returnedPart(report: DsnReport): { part: Buffer; eightBit: boolean } {
  const header = headerBlock(report.original);
  const whole = returnsContent(report) && report.original.length === report.originalSize;
  const content = whole ? report.original : header;
  // Header fields in UTF-8 make it an internationalized message (RFC 6532); raw octets of older charsets do not.
  const global = hasEightBit(header) && isUtf8(header);
  const type = whole
    ? global
      ? 'message/global'
      : 'message/rfc822'
    : global
      ? 'message/global-headers'
      : 'text/rfc822-headers';
  const eightBit = hasEightBit(content);
  const encoding = !eightBit ? '7bit' : type === 'message/rfc822' ? '8bit' : 'base64';
  const part = [
    `Content-Description: ${whole ? 'Your message' : 'Header of your message'}`,
    `Content-Type: ${type}`,
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    '',
  ].join('\r\n');
  const body = encoding === 'base64' ? Buffer.from(base64Lines(content)) : content;
  return { part: Buffer.concat([Buffer.from(part), body]), eightBit: encoding === '8bit' };
}

function isUtf8(octets: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(octets);
    return true;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return false;
  }
}

function base64Lines(octets: Buffer): string {
  return octets.toString('base64').replace(/.{76}/g, '$&\r\n').trimEnd();
}

/** Without what could end a line or close the brackets around it. */
function headerText(text: string): string {
  let clean = '';
  for (const char of text) {
    const code = char.charCodeAt(0);
    if (code >= 0x20 && code !== 0x7f) clean += char;
  }
  return clean;
}

/** One line of ASCII: what a machine-readable field may hold (RFC 3464 §2.1). */
function machineText(text: string): string {
  return embedUnicode(text.replace(/[\r\n\t]+/g, ' ')).slice(0, MAX_FIELD);
}

/** Folds at spaces so that lines stay within 78 octets where they can. */
function folded(text: string, used: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const room = 78 - (lines.length === 0 ? used : 4);
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\r\n    ');
}

/** RFC 5322 §3.3, in UTC. */
export function mailDate(at: number): string {
  return new Date(at).toUTCString().replace('GMT', '+0000');
}
