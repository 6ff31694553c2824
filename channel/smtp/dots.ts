const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const LINE_WITH_DOT = Buffer.from('\r\n.');

/** What one chunk gave: content, and, once the end of data was seen, the octets after it. */
export type DotResult = { readonly content: Buffer; readonly rest?: Buffer };

/**
 * Takes the transparency of DATA away (RFC 5321 §4.5.2): only CRLF.CRLF ends the content, or .CRLF at its beginning, and
 * a dot is removed only at the beginning of a line, after CRLF. A bare LF or CR begins no line, whatever follows it: a
 * reader that disagrees with the sender here can be made to see a second message inside the first.
 */
export class DotReader {
  /** What cannot be judged before the next chunk: the beginning of a CRLF.CRLF. */
  #held: Buffer | undefined;
  #atStart = true;

  push(chunk: Buffer): DotResult {
    const data = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = undefined;
    const pieces: Buffer[] = [];
    let start = 0;
    let dot = this.#atStart && data[0] === DOT ? 0 : dotAfter(data, 0);
    while (dot >= 0) {
      if (data[dot + 1] === CR && data[dot + 2] === LF) {
        pieces.push(data.subarray(start, dot));
        return { content: joined(pieces), rest: data.subarray(dot + 3) };
      }
      const undecided = dot + 1 === data.length || (data[dot + 1] === CR && dot + 2 === data.length);
      if (undecided) {
        const from = dot === 0 ? 0 : dot - 2;
        this.#held = data.subarray(from);
        // A dot at the very beginning is held with nothing before it, and judged again with the next chunk.
        if (from > start) pieces.push(data.subarray(start, from));
        if (pieces.length > 0) this.#atStart = false;
        return { content: joined(pieces) };
      }
      pieces.push(data.subarray(start, dot));
      this.#atStart = false;
      start = dot + 1;
      dot = dotAfter(data, start);
    }
    const end = data.length - lineEndAtEnd(data, start);
    if (end < data.length) this.#held = data.subarray(end);
    if (end > start) {
      pieces.push(data.subarray(start, end));
      this.#atStart = false;
    }
    return { content: joined(pieces) };
  }
}

/** Index of the next dot that begins a line, or -1. */
function dotAfter(data: Buffer, from: number): number {
  const at = data.indexOf(LINE_WITH_DOT, from);
  return at < 0 ? -1 : at + 2;
}

/** How many octets at the end may be the CRLF before a dot. */
function lineEndAtEnd(data: Buffer, start: number): number {
  const { length } = data;
  if (length - start >= 1 && data[length - 1] === CR) return 1;
  if (length - start >= 2 && data[length - 2] === CR && data[length - 1] === LF) return 2;
  return 0;
}

function joined(pieces: readonly Buffer[]): Buffer {
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
}
