import type { ChannelName, Deliverer, PostBatch } from '../channel/channel.ts';
import type { Outcome } from './mail/outcome.ts';

type Open = { readonly deliverer: Deliverer<PostBatch>; uses: number };

/**
 * Deliverers that exist while they are used, and some time longer. Whom the configuration names stay; of servers that a
 * stranger's DNS named only so many are kept as `limit` says, the one used last the longest, so that nobody's records
 * can make us keep thousands of connections.
 */
export class Posters implements AsyncDisposable {
  readonly #limit: number;
  /** In the order of their last use. */
  readonly #open = new Map<string, Open>();
  readonly #closing = new Set<Promise<void>>();

  /** @param limit of those that are open without a post under way */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * @param key deliverers of equal keys are one
   * @param open called when a post needs it and it is not open
   */
  of(key: string, destination: string, open: () => Deliverer<PostBatch>): Deliverer<PostBatch> {
    return new Poster(destination, (batch, signal) => this.#deliver(key, open, batch, signal));
  }

  async #deliver(
    key: string,
    open: () => Deliverer<PostBatch>,
    batch: PostBatch,
    signal: AbortSignal,
  ): Promise<readonly Outcome[]> {
    const used = this.#open.get(key) ?? { deliverer: open(), uses: 0 };
    this.#open.delete(key);
    this.#open.set(key, used);
    used.uses++;
    try {
      return await used.deliverer.deliver(batch, signal);
    } finally {
      used.uses--;
      this.#closeIdle();
    }
  }

  #closeIdle(): void {
    for (const [key, { deliverer, uses }] of this.#open) {
      if (this.#open.size <= this.#limit) return;
      if (uses > 0) continue;
      this.#open.delete(key);
      const closing = deliverer[Symbol.asyncDispose]().finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all([...open.map(({ deliverer }) => deliverer[Symbol.asyncDispose]()), ...this.#closing]);
  }
}

/** Stands for one that may not be open yet, or no more. */
class Poster implements Deliverer<PostBatch> {
  readonly channel: ChannelName = 'ischedule';
  readonly destination: string;
  readonly deliver: Deliverer<PostBatch>['deliver'];

  constructor(destination: string, deliver: Deliverer<PostBatch>['deliver']) {
    this.destination = destination;
    this.deliver = deliver;
  }

  /** What it stands for is closed by `Posters`. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
