import type { Outcome } from '../mail/outcome.ts';

/** What the first attempt gave one recipient, as the waiting session is told it. */
export type SessionResult = {
  readonly deliveryId: number;
  readonly outcome: Outcome | undefined;
  readonly committed: Promise<void>;
};

/**
 * A client that still waits for the reply to its message. While it is open, a failure belongs to the reply and makes
 * no DSN; from the moment it closes, a failure is told by DSN, or to nobody when the client left without its reply.
 * Closing is one synchronous step, so that each failure is told exactly once.
 */
export class Session {
  readonly #results = new Map<number, SessionResult>();
  readonly #expected: number;
  readonly #complete = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #state: 'open' | 'closed' | 'abandoned' = 'open';

  /** @param expected how many recipients owe a result */
  constructor(expected: number) {
    this.#expected = expected;
    if (expected === 0) this.#complete.resolve();
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Whether the client left before it had a reply: it still owns the message (RFC 5321 §4.2.5). */
  get abandoned(): boolean {
    return this.#state === 'abandoned';
  }

  /** Resolves when it is open no longer, and its results are committed. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** @param position index of the recipient; ignored once closed */
  report(position: number, result: SessionResult): void {
    if (!this.open) return;
    this.#results.set(position, result);
    if (this.#results.size === this.#expected) this.#complete.resolve();
  }

  /**
   * Waits until every recipient has a result, `waitMs` is over or we stop, then closes. Results are committed when this resolves.
   * @param signal aborts when the client has gone
   * @returns what is known, by position; a result that could not be committed is not, its delivery is attempted again
   */
  async close(
    waitMs: number,
    signal: AbortSignal,
    stopping?: AbortSignal,
  ): Promise<ReadonlyMap<number, SessionResult>> {
    const ends = stopping === undefined ? [signal] : [signal, stopping];
    if (waitMs > 0 && !ends.some((one) => one.aborted)) await waitFor(this.#complete.promise, waitMs, ends);
    this.#state = signal.aborted ? 'abandoned' : 'closed';
    const results = [...this.#results];
    const commits = await Promise.allSettled(results.map(([, result]) => result.committed));
    this.#ended.resolve();
    return new Map(results.filter((_, index) => commits[index]?.status === 'fulfilled'));
  }
}

/** Resolves with `event`, after `waitMs`, or when one of `ends` aborts, whichever comes first; it never rejects. */
export async function waitFor(event: Promise<void>, waitMs: number, ends: readonly AbortSignal[]): Promise<void> {
  if (waitMs <= 0 || ends.some((one) => one.aborted)) return;
  const over = Promise.withResolvers<void>();
  const end = (): void => over.resolve();
  const timer = setTimeout(end, waitMs);
  for (const one of ends) one.addEventListener('abort', end, { once: true });
  await Promise.race([event, over.promise]);
  clearTimeout(timer);
  for (const one of ends) one.removeEventListener('abort', end);
}
