import { hash } from 'node:crypto';

/** Signatures that were used, each with what it was used for. */
export class ReplayMemory {
  readonly #limit: number;
  /** In order of first use; of each purpose its digest, for it may be as long as a request's headers. */
  readonly #used = new Map<string, { readonly purpose: string; readonly expiresAt: number }>();

  /** @param limit how many signatures are kept at most; the oldest goes first, which its x makes worthless soon anyway */
  constructor(limit = 100_000) {
    this.#limit = limit;
  }

  /**
   * Notes the use of a signature.
   * @param purpose what it stands for and does not cover: the iSchedule-Message-ID, empty without one. The same signature
   *   without an id again is a repeat as well: the signature covers the whole message, and so stands in for its id
   * @param expiresAt ms since the epoch; nothing has to be remembered longer
   * @returns false when it was used before for another purpose; the same again is a repeat
   */
  admits(signature: string, purpose: string, expiresAt: number, now: number): boolean {
    const digest = hash('sha256', purpose, 'base64');
    const before = this.#used.get(signature);
    if (before !== undefined && before.expiresAt >= now) return before.purpose === digest;
    this.#used.delete(signature);
    this.#used.set(signature, { purpose: digest, expiresAt });
    for (const [oldest, { expiresAt: end }] of this.#used) {
      if (end >= now && this.#used.size <= this.#limit) break;
      this.#used.delete(oldest);
    }
    return true;
  }
}
