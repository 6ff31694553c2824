const LF = 0x0a;
const CR = 0x0d;
const CRLF = Buffer.from('\r\n');

/**
 * Makes every bare CR and every bare LF of a stream a CRLF and leaves CRLF as it is, also where it falls across two
 * chunks. A message has one line end (RFC 5321 §2.3.8); a bare one is a line end to some readers and to others not,
 * which is how one message is made to look like two.
 */
export class NewlineNormalizer {
  /** Bare CR and bare LF seen so far. */
  count = 0;
  #heldCr = false;

  /**
   * @returns the normalised octets in order, `chunk` itself when it has nothing to mend; a CR at its end is held back
   *   until what follows is known
   */
  push(chunk: Buffer): readonly Buffer[] {
    if (chunk.length === 0) return [];
    const pieces: Buffer[] = [];
    let start = 0;
    if (this.#heldCr) {
      pieces.push(CRLF);
      if (chunk[0] === LF) start = 1;
      else this.count++;
    }
    this.#heldCr = chunk.length > start && chunk[chunk.length - 1] === CR;
    const end = this.#heldCr ? chunk.length - 1 : chunk.length;
    if (end > start) pieces.push(this.#mend(chunk.subarray(start, end)));
    return pieces;
  }

  /** Ends the stream. @returns what was held back */
  end(): readonly Buffer[] {
    if (!this.#heldCr) return [];
    this.#heldCr = false;
    this.count++;
    return [CRLF];
  }

  #mend(piece: Buffer): Buffer {
    const bare = countBare(piece);
    if (bare === 0) return piece;
    this.count += bare;
    const mended = Buffer.allocUnsafe(piece.length + bare);
    let at = 0;
    for (let i = 0; i < piece.length; i++) {
      const octet = piece[i] ?? 0;
      if (octet !== CR && octet !== LF) {
        mended[at++] = octet;
        continue;
      }
      if (octet === CR && piece[i + 1] === LF) i++;
      mended[at++] = CR;
      mended[at++] = LF;
    }
    return mended;
  }
}

/** Bare CR and LF of a piece that neither begins after nor ends in a CR. */
function countBare(piece: Buffer): number {
  let bare = 0;
  let lf = piece.indexOf(LF);
  let cr = piece.indexOf(CR);
  while (lf >= 0 || cr >= 0) {
    if (cr >= 0 && lf === cr + 1) {
      lf = piece.indexOf(LF, lf + 1);
      cr = piece.indexOf(CR, cr + 1);
    } else {
      bare++;
      if (cr >= 0 && (lf < 0 || cr < lf)) cr = piece.indexOf(CR, cr + 1);
      else lf = piece.indexOf(LF, lf + 1);
    }
  }
  return bare;
}
