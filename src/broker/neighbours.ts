import type { BusySource } from '../../channel/channel.ts';
import { Neighbour, type NeighbourLimits, type NeighbourOptions } from './neighbour.ts';

/** Destinations that are remembered, beside those in use or in trouble: strangers' DNS names are without number. */
const MAX_IDLE = 256;

/** The neighbours that have been asked, by destination. */
export class Neighbours {
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

  of(source: BusySource): Neighbour {
    const { destination } = source;
    const known = this.#neighbours.get(destination);
    if (known !== undefined) return known;
    if (this.#neighbours.size >= MAX_IDLE) this.#forgetIdle();
    const neighbour = new Neighbour(destination, { ...this.#options, ...this.#limitsOf(source) });
    this.#neighbours.set(destination, neighbour);
    return neighbour;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#neighbours.values()].map((neighbour) => neighbour.stop()));
  }

  #forgetIdle(): void {
    for (const [destination, neighbour] of this.#neighbours) {
      if (!neighbour.isIdle) continue;
      this.#neighbours.delete(destination);
      void neighbour.stop();
    }
  }
}
