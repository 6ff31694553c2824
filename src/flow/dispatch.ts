import Bottleneck from 'bottleneck';

type Lane = { readonly limiter: Bottleneck; readonly waiting: (() => Promise<void>)[]; running: number };

/**
 * Runs attempts by destination, so many side by side that none waits for another destination and none floods its own.
 * A lane, once admitted, works until its destination's queue is empty: the limiter passes only some 400 jobs a second
 * and adds 5 ms to each (bottleneck 2.19), which one job per attempt would make the gateway's ceiling.
 */
export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  readonly #perDestination: (destination: string) => number;

  /** @param perDestination how many attempts may run at once towards a destination */
  constructor(perDestination: (destination: string) => number) {
    this.#perDestination = perDestination;
  }

  /** Runs `job` when its destination has a free lane; settles as the job does. */
  run<T>(destination: string, job: () => Promise<T>): Promise<T> {
    const lane = this.#laneOf(destination);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    lane.waiting.push(() => job().then(resolve, reject));
    if (lane.running < this.#perDestination(destination)) {
      lane.running++;
      void lane.limiter.schedule(() => drain(lane));
    }
    return promise;
  }

  #laneOf(destination: string): Lane {
    let lane = this.#lanes.get(destination);
    if (lane === undefined) {
      lane = { limiter: new Bottleneck({ maxConcurrent: this.#perDestination(destination) }), waiting: [], running: 0 };
      this.#lanes.set(destination, lane);
    }
    return lane;
  }

  /** Forgets the limiters; to be called when nothing runs any more. */
  async stop(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.limiter.stop({ dropWaitingJobs: false })));
    this.#lanes.clear();
  }
}

async function drain(lane: Lane): Promise<void> {
  // The count goes down in the same turn that finds the queue empty: a job pushed later starts a lane of its own.
  for (let job = lane.waiting.shift(); job !== undefined; job = lane.waiting.shift()) await job();
  lane.running--;
}
