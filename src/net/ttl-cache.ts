import { LRUCache } from 'lru-cache';

/** What is kept no longer than its time-to-live, the least used given up first when there is too much. */
export class TtlCache<T extends object> {
  readonly #clock: () => number;
  readonly #kept: LRUCache<string, { readonly value: T; readonly until: number }> | undefined;

  /**
   * @param options.maxEntries 0: nothing is kept
   * @param options.clock milliseconds that never go back
   */
  constructor(options: { readonly maxEntries: number; readonly clock: () => number }) {
    this.#clock = options.clock;
    // Its own time-to-live takes a clock that stands at 0 for no time-to-live at all.
    this.#kept = options.maxEntries > 0 ? new LRUCache({ max: options.maxEntries }) : undefined;
  }

  /** @returns the value with the milliseconds it has left, always more than 0; undefined when it is not held */
  get(key: string): { readonly value: T; readonly ttlMs: number } | undefined {
    const found = this.#kept?.get(key);
    if (found === undefined) return undefined;
    const ttlMs = found.until - this.#clock();
    if (ttlMs > 0) return { value: found.value, ttlMs };
    this.#kept?.delete(key);
    return undefined;
  }

  /** @param ttlMs 0 or less: the value is not kept, and one held before is forgotten */
  set(key: string, value: T, ttlMs: number): void {
    if (ttlMs > 0) this.#kept?.set(key, { value, until: this.#clock() + ttlMs });
    else this.#kept?.delete(key);
  }

  clear(): void {
    this.#kept?.clear();
  }
}
