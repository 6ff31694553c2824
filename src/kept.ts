/** One that is open, and how many use it. */
type Open<T> = { readonly one: T; uses: number };

/**
 * What exists while it is used, and some time longer: only so many are kept as `limit` says, the one used last the
 * longest, so that nobody's records can make us keep thousands of connections.
 */
export class Kept<T extends AsyncDisposable> implements AsyncDisposable {
  readonly #limit: number;
  /** In the order of their last use. */
  readonly #open = new Map<string, Open<T>>();
  readonly #closing = new Set<Promise<void>>();

  /** @param limit of those that are open without a use under way */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * @param key those of equal keys are one
   * @param open called when it is needed and not open
   */
  async use<R>(key: string, open: () => T, job: (one: T) => Promise<R>): Promise<R> {
    const used = this.#open.get(key) ?? { one: open(), uses: 0 };
    this.#open.delete(key);
    this.#open.set(key, used);
    used.uses++;
    try {
      return await job(used.one);
    } finally {
      used.uses--;
      this.#closeIdle();
    }
  }

  #closeIdle(): void {
    for (const [key, { one, uses }] of this.#open) {
      if (this.#open.size <= this.#limit) return;
      if (uses > 0) continue;
      this.#open.delete(key);
      const closing = Promise.resolve(one[Symbol.asyncDispose]()).finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all([...open.map(({ one }) => one[Symbol.asyncDispose]()), ...this.#closing]);
  }
}
