import type { ChannelName, Deliverer, PostBatch } from '../channel/channel.ts';
import { Kept } from './kept.ts';

/**
 * Deliverers that exist while they are used, and some time longer. Whom the configuration names stay; of servers that a
 * stranger's DNS named only so many are kept as `limit` says.
 */
export class Posters implements AsyncDisposable {
  readonly #kept: Kept<Deliverer<PostBatch>>;

  /** @param limit of those that are open without a post under way */
  constructor(limit: number) {
    this.#kept = new Kept(limit);
  }

  /** How many are open. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * @param key deliverers of equal keys are one
   * @param open called when a post needs it and it is not open
   */
  of(key: string, destination: string, open: () => Deliverer<PostBatch>): Deliverer<PostBatch> {
    return new Poster(destination, (batch, signal) =>
      this.#kept.use(key, open, (deliverer) => deliverer.deliver(batch, signal)),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#kept[Symbol.asyncDispose]();
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
