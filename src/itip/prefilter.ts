/** A word made ready to be searched for. */
export type Word = { readonly octets: Buffer; readonly skip: Uint8Array };

const EMPTY = Buffer.alloc(0);

/** @param text ASCII in lower case, at most 255 octets */
export function prepareWord(text: string): Word {
  const octets = Buffer.from(text, 'latin1');
  return { octets, skip: skipTable(octets) };
}

/**
 * Finds one ASCII word, whatever its case, in bytes that come in pieces (Horspool's search: it looks at about one
 * octet in eight, so that plain mail costs next to nothing).
 */
export class WordFinder {
  readonly #word: Buffer;
  readonly #skip: Uint8Array;
  #tail: Buffer = EMPTY;

  constructor(word: Word) {
    this.#word = word.octets;
    this.#skip = word.skip;
  }

  /** Whether the word stands in this piece, or ends in it. */
  find(piece: Buffer): boolean {
    const overlap = this.#word.length - 1;
    if (this.#tail.length > 0 && this.#search(Buffer.concat([this.#tail, piece.subarray(0, overlap)]))) return true;
    if (this.#search(piece)) return true;
    const end = piece.length >= overlap ? piece : Buffer.concat([this.#tail, piece]);
    this.#tail = end.subarray(Math.max(0, end.length - overlap));
    return false;
  }

  #search(bytes: Buffer): boolean {
    const word = this.#word;
    const last = word.length - 1;
    for (let at = last; at < bytes.length; ) {
      const skip = this.#skip[bytes[at] ?? 0] ?? 1;
      if (skip > 0) {
        at += skip;
        continue;
      }
      let match = last;
      while (match >= 0 && lower(bytes[at - last + match] ?? 0) === word[match]) match--;
      if (match < 0) return true;
      at++;
    }
    return false;
  }
}

/** How far the word may move when this octet stands under its last one; 0 when it is the last one. */
function skipTable(word: Buffer): Uint8Array {
  const table = new Uint8Array(256).fill(word.length);
  for (const [at, octet] of word.entries()) {
    const skip = word.length - 1 - at;
    table[octet] = skip;
    if (octet >= 97 && octet <= 122) table[octet - 32] = skip;
  }
  return table;
}

function lower(octet: number): number {
  return octet >= 65 && octet <= 90 ? octet + 32 : octet;
}
