import type { BusySource } from '../../channel/channel.ts';
import { Neighbour, type NeighbourLimits, type NeighbourOptions } from './neighbour.ts';

/** Destinations that are remembered, beside those in trouble: strangers' DNS names are without number. */
const MAX_IDLE = 256;
/** Those in trouble, too: a stranger's need never be well again. */
const MAX_KNOWN = 1024;

/** The neighbours that have been asked, by destination. */
export class Neighbours {
  /** In the order of their last use. */
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #options: Omit<NeighbourOptions, keyof NeighbourLimits>;
  readonly #limitsOf: (source: BusySource) => NeighbourLimits;

  /** @param limitsOf asked when a destination is met */
  constructor(
    limitsOf: (source: BusySource) => NeighbourLimits,
    options: Omit<NeighbourOptions, keyof NeighbourLimits>,
  ) {
    this.#limitsOf = limitsOf;
    this.#options = options;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#neighbours.size;
  }

  of(source: BusySource): Neighbour {
    const { destination } = source;
    const known = this.#neighbours.get(destination);
    if (known === undefined && this.#neighbours.size >= MAX_IDLE) this.#forget();
    const neighbour = known ?? new Neighbour(destination, { ...this.#options, ...this.#limitsOf(source) });
    this.#neighbours.delete(destination);
    this.#neighbours.set(destination, neighbour);
    return neighbour;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#neighbours.values()].map((neighbour) => neighbour.stop()));
  }

  /** Those whom nothing is known against; and of the others, while there are too many, those that nobody asks now. */
  #forget(): void {
    for (const [destination, neighbour] of this.#neighbours) {
      if (neighbour.isInUse || (neighbour.isInTrouble && this.#neighbours.size < MAX_KNOWN)) continue;
      this.#neighbours.delete(destination);
      void neighbour.stop();
    }
  }
}
