/** How much of a message is ever looked at as its header; more is no header but an attack. */
export const MAX_HEADER_BYTES = 256 * 1024;

export type HeaderField = {
  /** In lower case. */
  readonly name: string;
  /** Octet offsets of the whole field: first of its name, first after its last line end. */
  readonly start: number;
  readonly end: number;
  /** Unfolded (RFC 5322 §2.2.3), without white space at its ends; octets that are no UTF-8 become U+FFFD. */
  readonly value: string;
};

type FieldSpan = { readonly name: string; readonly start: number; readonly colon: number; readonly end: number };

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;

/**
 * Reads the header block of a message. A line that is no field and continues none (an mbox `From ` line, junk) is
 * passed over, as mail readers do, so that nothing can hide behind it. Bare LF counts as a line end.
 * @returns the fields in their order, and where the block ends: the empty line, the end of the content, or the last
 *   whole line within {@link MAX_HEADER_BYTES}
 */
export function scanHeader(content: Buffer): { readonly end: number; readonly fields: readonly HeaderField[] } {
  const { end, spans } = scanSpans(content);
  const fields = spans.map((span) => ({
    name: span.name,
    start: span.start,
    end: span.end,
    value: content
      .toString('utf8', span.colon + 1, span.end)
      .replace(/\r?\n/g, '')
      .trim(),
  }));
  return { end, fields };
}

/** The header block itself, without the empty line that ends it. */
export function headerBlock(content: Buffer): Buffer {
  return content.subarray(0, scanSpans(content).end);
}

/** Whether any octet is over 127, so that 8BITMIME is needed (RFC 6152). */
export function hasEightBit(content: Buffer): boolean {
  for (let i = 0; i < content.length; i++) if ((content[i] ?? 0) > 0x7f) return true;
  return false;
}

function scanSpans(content: Buffer): { end: number; spans: FieldSpan[] } {
  const limit = Math.min(content.length, MAX_HEADER_BYTES);
  const spans: { name: string; start: number; colon: number; end: number }[] = [];
  let field: (typeof spans)[number] | undefined;
  let start = 0;
  while (start < limit) {
    const first = content[start];
    if (first === LF || (first === CR && content[start + 1] === LF)) return { end: start, spans };
    const newline = content.indexOf(LF, start);
    const end = newline < 0 ? content.length : newline + 1;
    if (end > limit) break;
    if (first === SPACE || first === TAB) {
      if (field !== undefined) field.end = end;
    } else {
      // Within the line: a message may hold 130,000 lines and no colon.
      const colon = start + content.subarray(start, end).indexOf(COLON);
      const name = colon < start ? undefined : fieldName(content, start, colon);
      field = name === undefined ? undefined : { name, start, colon, end };
      if (field !== undefined) spans.push(field);
    }
    start = end;
  }
  return { end: start, spans };
}

/** The field name in lower case; undefined when these octets can be none (RFC 5322 §2.2, white space before the colon allowed as in §4.5.3). */
function fieldName(content: Buffer, start: number, colon: number): string | undefined {
  let end = colon;
  while (end > start && (content[end - 1] === SPACE || content[end - 1] === TAB)) end--;
  if (end === start) return undefined;
  for (let i = start; i < end; i++) {
    const octet = content[i] ?? 0;
    if (octet <= SPACE || octet >= 0x7f) return undefined;
  }
  return content.toString('latin1', start, end).toLowerCase();
}
