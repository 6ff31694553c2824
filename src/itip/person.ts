import { type AddressObject, type Attachment, type ParsedMail, simpleParser } from 'mailparser';
import { scanHeader } from '../mail/header.ts';

/** One recipient of a DSN; types (`rfc822;`, `smtp;`) are kept off addresses and on diagnostics. */
export type DsnEntry = {
  readonly finalRecipient: string;
  readonly originalRecipient?: string;
  /** In lower case: `failed`, `delayed`, `delivered`, `relayed`, `expanded`, or what else was sent. */
  readonly action: string;
  /** As sent, such as `5.1.1`; '' when there is none. */
  readonly status: string;
  readonly diagnostic?: string;
};

export type IncomingDsn = { readonly envid?: string; readonly recipients: readonly DsnEntry[] };

export type MessagePart = {
  readonly contentType: string;
  readonly filename?: string;
  /** `method` parameter, as written. */
  readonly method?: string;
  /** Octets after transfer decoding. */
  readonly size: number;
};

export type MessageOutline = {
  /** As shown to a person, `"Ann" <ann@example.org>`. */
  readonly from: string;
  /** Mailboxes of From and of To, groups expanded. */
  readonly senders: readonly string[];
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly parts: readonly MessagePart[];
};

/**
 * Reads a delivery status notification somebody sent us (RFC 3464, RFC 6533).
 * @returns undefined when the message holds no delivery report that names a recipient, or cannot be read
 */
export async function readDsn(raw: Buffer): Promise<IncomingDsn | undefined> {
  const mail = await parse(raw, { maxHeadSize: MAX_DSN_HEAD });
  const report = mail?.attachments.find((part) => /^message\/(global-)?delivery-status$/i.test(part.contentType));
  if (report === undefined) return undefined;
  const [message, ...groups] = fieldGroups(report.content);
  const envid = message?.get('original-envelope-id');
  const recipients = groups.map(dsnEntry).filter((entry) => entry !== undefined);
  return recipients.length === 0 ? undefined : { ...(envid === undefined ? {} : { envid }), recipients };
}

/**
 * A whole message as a person would see it listed. Texts of one kind are counted together, as mail readers show them.
 * @returns an outline without parts when the message cannot be read
 */
export async function readMessage(raw: Buffer): Promise<MessageOutline> {
  const mail = await parse(raw);
  if (mail === undefined) return { from: '', senders: [], recipients: [], subject: '', parts: [] };
  const parts: MessagePart[] = [];
  if (mail.text !== undefined && mail.text !== '')
    parts.push({ contentType: 'text/plain', size: Buffer.byteLength(mail.text) });
  if (typeof mail.html === 'string') parts.push({ contentType: 'text/html', size: Buffer.byteLength(mail.html) });
  parts.push(...mail.attachments.map(attachedPart));
  return {
    from: mail.from?.text ?? '',
    senders: mailboxes(mail.from),
    recipients: mailboxes(mail.to),
    subject: mail.subject ?? '',
    parts,
  };
}

/** Octets of one part's header. Reports have short ones, and long lists of addresses take long to take apart. */
const MAX_DSN_HEAD = 64 * 1024;

async function parse(raw: Buffer, limits: { readonly maxHeadSize?: number } = {}): Promise<ParsedMail | undefined> {
  try {
    // ignoreEmbedded: a message forwarded inline is a part, not more of this message. @types/mailparser lacks it and `limits`.
    const options = {
      skipHtmlToText: true,
      skipTextToHtml: true,
      skipImageLinks: true,
      skipTextLinks: true,
      keepCidLinks: true,
      keepDeliveryStatus: true,
      ignoreEmbedded: true,
      ...limits,
    };
    return await simpleParser(raw, options);
  } catch (error) {
    // Too many parts, too long a header: what a sender did is no error of ours.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function attachedPart(part: Attachment): MessagePart {
  const type = part.headers.get('content-type');
  const method = typeof type === 'object' && 'params' in type ? type.params.method : undefined;
  return {
    contentType: part.contentType,
    size: part.size,
    ...(part.filename === undefined ? {} : { filename: part.filename }),
    ...(method === undefined ? {} : { method }),
  };
}

/** The groups of fields that empty lines part, the first occurrence of a name winning (RFC 3464 §2.1). */
function fieldGroups(content: Buffer): Map<string, string>[] {
  const groups: Map<string, string>[] = [];
  let rest = content;
  while (rest.length > 0) {
    const { fields, end } = scanHeader(rest);
    const group = new Map<string, string>();
    for (const { name, value } of fields) if (!group.has(name)) group.set(name, value);
    if (group.size > 0) groups.push(group);
    const newline = rest.indexOf('\n', end);
    rest = newline < 0 ? Buffer.alloc(0) : rest.subarray(newline + 1);
  }
  return groups;
}

function dsnEntry(fields: ReadonlyMap<string, string>): DsnEntry | undefined {
  const finalRecipient = fields.get('final-recipient');
  if (finalRecipient === undefined) return undefined;
  const originalRecipient = fields.get('original-recipient');
  const diagnostic = fields.get('diagnostic-code');
  return {
    finalRecipient: untyped(finalRecipient),
    ...(originalRecipient === undefined ? {} : { originalRecipient: untyped(originalRecipient) }),
    // A comment may stand behind it (RFC 3464 §2.1.1).
    action: (/^\s*([^\s(]*)/.exec(fields.get('action') ?? '')?.[1] ?? '').toLowerCase(),
    status: /^\d\.\d{1,3}\.\d{1,3}/.exec(fields.get('status') ?? '')?.[0] ?? '',
    ...(diagnostic === undefined ? {} : { diagnostic }),
  };
}

/** `rfc822; a@b`, or `<a@b>` as some write it, → `a@b`; the embedded characters of `utf-8;` addresses come back (RFC 6533 §3). */
function untyped(typed: string): string {
  const semicolon = typed.indexOf(';');
  const address = typed
    .slice(semicolon + 1)
    .trim()
    .replace(/^<(.*)>$/s, '$1');
  if (!/^utf-8$/i.test(typed.slice(0, Math.max(semicolon, 0)).trim())) return address;
  return address.replace(/\\x\{([0-9A-F]{2,6})\}/gi, (whole, hex: string) => {
    const point = Number.parseInt(hex, 16);
    return point <= 0x10ffff && point >= 0x20 ? String.fromCodePoint(point) : whole;
  });
}

function mailboxes(field: AddressObject | AddressObject[] | undefined): string[] {
  const list = field === undefined ? [] : Array.isArray(field) ? field : [field];
  const entries = list.flatMap(({ value }) => value.flatMap((entry) => [entry, ...(entry.group ?? [])]));
  return entries.flatMap(({ address }) => (address === undefined || address === '' ? [] : [address]));
}
