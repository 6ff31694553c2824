import { hash } from 'node:crypto';

/**
 * Finds out which of very many texts occur twice, in 8 octets for each. A first pass adds all of them; a second one
 * shows those that are `suspect`: equal to another one, or, once in 2^64, only looking so.
 */
export class Repeats {
  #hashes = new BigUint64Array(1024);
  #length = 0;
  #suspects: ReadonlySet<bigint> | undefined;

  add(text: string): void {
    if (this.#length === this.#hashes.length) {
      const larger = new BigUint64Array(this.#length * 2);
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#hashes[this.#length++] = hashOf(text);
  }

  /** Ends the first pass. @returns how many suspects there are; their hashes are all that is kept */
  settle(): number {
    const sorted = this.#hashes.subarray(0, this.#length).sort();
    const suspects = new Set<bigint>();
    for (let index = 1; index < sorted.length; index++) {
      const one = sorted[index];
      if (one !== undefined && one === sorted[index - 1]) suspects.add(one);
    }
    this.#hashes = new BigUint64Array(0);
    this.#length = 0;
    this.#suspects = suspects;
    return suspects.size;
  }

  isSuspect(text: string): boolean {
    return this.#suspects !== undefined && this.#suspects.size > 0 && this.#suspects.has(hashOf(text));
  }
}

function hashOf(text: string): bigint {
  return hash('sha1', text, 'buffer').readBigUInt64LE(0);
}
