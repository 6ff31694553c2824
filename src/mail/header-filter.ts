import { type HeaderField, MAX_HEADER_BYTES, scanHeader } from './header.ts';

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
/** What is held of a line whose name has not ended; a longer one is no line of mail (RFC 5322 §2.1.1). */
const MAX_NAME_BYTES = 998;
const EMPTY = Buffer.alloc(0);

/**
 * Takes header fields of given names out of a message while it arrives, each with its continuation lines; every other
 * octet stays. It sees every line up to the empty one, however long the header is and wherever the chunks end. Blank
 * lines that begin the header and continue no field go too: below the fields that we put before the message they would
 * continue ours.
 */
export class HeaderFilter {
  readonly #names: ReadonlySet<string>;
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  /** Beginning of a line of which nothing has been passed on or dropped yet. */
  #undecided: Buffer = EMPTY;
  /** Within a line, whose fate is known. */
  #inLine = false;
  #dropping = true;
  #ended = false;

  /** @param names in lower case */
  constructor(names: ReadonlySet<string>) {
    this.#names = names;
  }

  /** The fields as they came, those that are taken out included, as far as {@link MAX_HEADER_BYTES} go. */
  fields(): readonly HeaderField[] {
    return scanHeader(Buffer.concat(this.#head)).fields;
  }

  /** @returns the octets to pass on */
  push(chunk: Buffer): Buffer {
    if (this.#ended) return chunk;
    if (this.#headBytes < MAX_HEADER_BYTES) {
      this.#head.push(chunk);
      this.#headBytes += chunk.length;
    }
    const data = this.#undecided.length === 0 ? chunk : Buffer.concat([this.#undecided, chunk]);
    this.#undecided = EMPTY;
    const pieces: Buffer[] = [];
    let kept = 0;
    let at = 0;
    while (at < data.length && !this.#ended) {
      const wasDropping = this.#dropping;
      if (!this.#inLine && !this.#decide(data, at)) {
        this.#undecided = data.subarray(at);
        if (!wasDropping) pieces.push(data.subarray(kept, at));
        return joined(pieces);
      }
      if (wasDropping) kept = at;
      else if (this.#dropping) pieces.push(data.subarray(kept, at));
      if (this.#ended) break;
      const newline = data.indexOf(LF, at);
      this.#inLine = newline < 0;
      at = newline < 0 ? data.length : newline + 1;
    }
    if (!this.#dropping) pieces.push(data.subarray(kept));
    return joined(pieces);
  }

  /** @returns what was held back, once the message has ended */
  end(): Buffer {
    const rest = this.#undecided;
    this.#undecided = EMPTY;
    return rest;
  }

  /** Says in `#dropping` and `#ended` what becomes of the line at `at`. @returns false when that cannot be said yet */
  #decide(data: Buffer, at: number): boolean {
    const first = data[at];
    if (first === LF || (first === CR && data[at + 1] === LF)) {
      this.#ended = true;
      this.#dropping = false;
      return true;
    }
    if (first === CR && at + 1 === data.length) return false;
    if (first === SPACE || first === TAB) return true;
    const limit = Math.min(data.length, at + MAX_NAME_BYTES);
    let colon = at;
    while (colon < limit && data[colon] !== COLON && data[colon] !== LF) colon++;
    if (colon === data.length && limit < at + MAX_NAME_BYTES) return false;
    const name = data.toString('latin1', at, colon).replace(/[ \t]+$/, '');
    this.#dropping = data[colon] !== LF && this.#names.has(name.toLowerCase());
    return true;
  }
}

function joined(pieces: readonly Buffer[]): Buffer {
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
}
