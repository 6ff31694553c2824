import { Limiter } from './limiter.ts';

type Lane = {
  readonly limiter: Limiter;
  readonly waiting: (() => Promise<void>)[];
  running: number;
  /** Somebody waited in vain, and nobody had a turn since. */
  stalled: boolean;
};

/** Destinations without work that are remembered; those that strangers' DNS names are without number. */
const MAX_IDLE = 256;

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
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const lane = this.#laneOf(destination);
    this.#queue(lane, destination, () => turn(lane, job).then(resolve, reject));
    return promise;
  }

  /**
   * As `run`, for a job whose message must not be kept by a destination that does not answer: messages in flight are
   * limited, and all of them could come to wait here.
   * @returns undefined when the job was not run: it waited for `patienceMs`, or another did and had no turn yet
   */
  runWithin<T>(destination: string, patienceMs: number, job: () => Promise<T>): Promise<T | undefined> {
    const lane = this.#laneOf(destination);
    if (lane.stalled) return Promise.resolve(undefined);
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    const start = (): Promise<void> => {
      clearTimeout(timer);
      return turn(lane, job).then(resolve, reject);
    };
    const timer = setTimeout(() => {
      lane.waiting.splice(lane.waiting.indexOf(start), 1);
      lane.stalled = true;
      resolve(undefined);
    }, patienceMs);
    this.#queue(lane, destination, start);
    return promise;
  }

  #queue(lane: Lane, destination: string, start: () => Promise<void>): void {
    lane.waiting.push(start);
    if (lane.running >= this.#perDestination(destination)) return;
    lane.running++;
    void lane.limiter.run(() => drain(lane)).then(() => this.#forget(destination, lane));
  }

  #forget(destination: string, lane: Lane): void {
    if (this.#lanes.size > MAX_IDLE && lane.running === 0 && this.#lanes.get(destination) === lane)
      this.#lanes.delete(destination);
  }

  /** Destinations that are remembered. */
  get size(): number {
    return this.#lanes.size;
  }

  #laneOf(destination: string): Lane {
    let lane = this.#lanes.get(destination);
    if (lane === undefined) {
      lane = {
        limiter: new Limiter({ atATime: this.#perDestination(destination) }),
        waiting: [],
        running: 0,
        stalled: false,
      };
      this.#lanes.set(destination, lane);
    }
    return lane;
  }

  /** Forgets the limiters; to be called when nothing runs any more. */
  async stop(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.limiter.stop()));
    this.#lanes.clear();
  }
}

async function turn<T>(lane: Lane, job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } finally {
    lane.stalled = false;
  }
}

async function drain(lane: Lane): Promise<void> {
  // The count goes down in the same turn that finds the queue empty: a job pushed later starts a lane of its own.
  for (let job = lane.waiting.shift(); job !== undefined; job = lane.waiting.shift()) await job();
  lane.running--;
}
