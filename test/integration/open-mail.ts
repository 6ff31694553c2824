import PostalMime, { type Email } from 'postal-mime';

/** A mail as a parser that is not ours sees it. */
export type OpenedMail = {
  /** Value of a header field, undefined when there is none. @throws when there are several */
  field(name: string): string | undefined;
  readonly from: string;
  readonly fromName: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  /** Every other part: `text/calendar; method=REQUEST`, `application/ics`. */
  readonly parts: readonly OpenedPart[];
  /** The whole mail. */
  readonly raw: string;
};

export type OpenedPart = {
  readonly type: string;
  readonly method: string | undefined;
  readonly fileName: string | null;
  /** Decoded. postal-mime ends the lines of a calendar object with LF, whatever they ended with. */
  readonly content: Buffer;
};

/** @throws when it is not what it should be: one From */
export async function openMail(content: Buffer): Promise<OpenedMail> {
  const mail: Email = await PostalMime.parse(content, { attachmentEncoding: 'arraybuffer' });
  const field = (name: string) => {
    const [first, ...more] = mail.headers.filter(({ key }) => key === name.toLowerCase());
    if (more.length > 0) throw new Error(`${more.length + 1} fields ${name}`);
    return first?.value;
  };
  return {
    field,
    raw: content.toString('latin1'),
    from: mail.from?.address ?? '',
    fromName: mail.from?.name ?? '',
    to: (mail.to ?? []).flatMap(({ address }) => address ?? []),
    subject: mail.subject ?? '',
    text: mail.text,
    html: mail.html,
    parts: mail.attachments.map(({ mimeType, method, filename, content: part }) => ({
      ...{ type: mimeType, method, fileName: filename },
      content: typeof part === 'string' ? Buffer.from(part) : Buffer.from(part as ArrayBuffer),
    })),
  };
}

/** The part that a mail program acts on. @throws unless there is exactly one with a method */
export function calendarPart(mail: OpenedMail): OpenedPart {
  const [part, ...more] = mail.parts.filter(({ type, method }) => type === 'text/calendar' && method !== undefined);
  if (part === undefined || more.length > 0) throw new Error(`calendar parts: ${JSON.stringify(mail.parts)}`);
  return part;
}

/**
 * The object of a mail that has it as a part and as a base64 file, as its octets are in the file.
 * @throws when the two differ
 */
export function attachedObject(mail: OpenedMail): Buffer {
  const [file, ...more] = mail.parts.filter(({ type }) => type === 'application/ics');
  if (file === undefined || more.length > 0) throw new Error(`files: ${JSON.stringify(mail.parts)}`);
  const part = calendarPart(mail).content;
  if (!file.content.equals(part)) throw new Error(`file and part differ:\n${file.content}\n${part}`);
  // postal-mime changed the line ends of both, so these octets are fetched by hand.
  const raw = /\r\nContent-Type: application\/ics[\s\S]*?\r\n\r\n([A-Za-z0-9+/=\r\n]+)\r\n--/i.exec(mail.raw)?.[1];
  const octets = Buffer.from(raw ?? '', 'base64');
  if (octets.toString().replaceAll('\r\n', '\n') !== part.toString()) throw new Error(`octets differ:\n${octets}`);
  return octets;
}
