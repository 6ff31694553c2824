import Bottleneck from 'bottleneck';

/** Lets jobs begin so many at a time, and so many in a second. Each waits some 5 ms for it, and 400 pass in a second. */
export class Limiter {
  readonly #limiter: Bottleneck;

  constructor(limits: { readonly atATime?: number; readonly perSecond?: number }) {
    const { atATime, perSecond } = limits;
    this.#limiter = new Bottleneck({
      ...(atATime === undefined ? {} : { maxConcurrent: atATime }),
      ...(perSecond === undefined
        ? {}
        : { reservoir: perSecond, reservoirRefreshAmount: perSecond, reservoirRefreshInterval: 1000 }),
    });
  }

  /** Settles as the job does; rejects without running it once `stop` was called. */
  run<T>(job: () => Promise<T>): Promise<T> {
    return this.#limiter.schedule(job);
  }

  /** @param drop jobs that wait are not run, and reject; else this waits for them */
  async stop(drop = false): Promise<void> {
    await this.#limiter.stop({ dropWaitingJobs: drop });
    await this.#limiter.disconnect(false);
  }
}
