import type { Outcome } from '../mail/outcome.ts';

/** What the first attempt gave one recipient, as the waiting session is told it. */
export type SessionResult = {
  readonly deliveryId: number;
  readonly outcome: Outcome | undefined;
  readonly committed: Promise<void>;
};

/**
 * A client that still waits for the reply to its message. While it is open, a failure belongs to the reply and makes
 * no DSN; from the moment it closes, a failure is told by DSN. Closing is one synchronous step, so that each failure
 * is told exactly once.
 */
export class Session {
  readonly #results = new Map<number, SessionResult>();
  readonly #expected: number;
  readonly #complete = Promise.withResolvers<void>();
  #open = true;

  /** @param expected how many recipients owe a result */
  constructor(expected: number) {
    this.#expected = expected;
    if (expected === 0) this.#complete.resolve();
  }

  get open(): boolean {
    return this.#open;
  }

  /** @param position index of the recipient; ignored once closed */
  report(position: number, result: SessionResult): void {
    if (!this.#open) return;
    this.#results.set(position, result);
    if (this.#results.size === this.#expected) this.#complete.resolve();
  }

  /**
   * Waits until every recipient has a result or `waitMs` is over, then closes. Results are committed when this resolves.
   * @returns what is known, by position
   */
  async close(waitMs: number, signal: AbortSignal): Promise<ReadonlyMap<number, SessionResult>> {
    if (waitMs > 0 && !signal.aborted) {
      const over = Promise.withResolvers<void>();
      const timer = setTimeout(over.resolve, waitMs);
      const gone = (): void => over.resolve();
      signal.addEventListener('abort', gone, { once: true });
      await Promise.race([this.#complete.promise, over.promise]);
      clearTimeout(timer);
      signal.removeEventListener('abort', gone);
    }
    this.#open = false;
    await Promise.all([...this.#results.values()].map((result) => result.committed));
    return this.#results;
  }
}
