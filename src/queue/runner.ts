import type { Outcome } from '../mail/outcome.ts';
import type { Log } from '../observe/log.ts';
import { type Claim, type Delivery, type Settlement, type Store, StoreFullError } from './store.ts';

const CRASH_PAUSE_MS = 60_000;
const CRASH_LIMIT = 5;
// When what is due cannot be claimed, or a claim failed: not before.
const LEAST_WAIT_MS = 50;
// For attempts that do not end although their signal has aborted.
const ABORT_GRACE_MS = 5_000;

export type RunnerOptions = {
  readonly store: Store;
  /** One attempt for all deliveries of the claim: settles each. A throw is our bug. */
  readonly attempt: (claim: Claim, signal: AbortSignal) => Promise<void>;
  /** Messages in flight at most. */
  readonly concurrency: number;
  /** How often the queue is looked at although nothing is due: an operator's command may have changed it. */
  readonly pollMs: number;
  readonly clock: () => number;
  readonly log: Log;
};

/** Claims what falls due and sees to it that each claim is attempted, so many messages at a time. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #abort = new AbortController();
  readonly #running = new Set<Promise<void>>();
  /** Deliveries under way here, as they were claimed. */
  readonly #underWay = new Map<number, Delivery>();
  /** How often in a row the attempt of a delivery has thrown. */
  readonly #crashes = new Map<number, number>();
  #state: 'new' | 'started' | 'stopped' = 'new';
  #claiming: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Begins to claim. Claims handed over by `run` are attempted before that, too. */
  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'started';
    this.poke();
  }

  /** Something may have fallen due. Costs little when nothing has. */
  poke(): void {
    if (this.#state !== 'started') return;
    // A claim under way looks again when it has ended, and so does every attempt.
    if (this.#claiming !== undefined || !this.hasRoom()) return;
    const dueAt = this.#options.store.nextDueAt();
    const now = this.#options.clock();
    if (dueAt !== undefined && dueAt <= now) this.#claim();
    else this.#wakeIn(dueAt === undefined ? Infinity : dueAt - now);
  }

  /** Whether one more message can be in flight. */
  hasRoom(): boolean {
    return this.#state !== 'stopped' && this.#running.size < this.#options.concurrency;
  }

  /**
   * Attempts a claim that `Store.accept` has just taken.
   * @param job in place of the attempt of every other claim
   * @returns whether it runs; when there is no room its lease is given back, so that it is claimed as soon as there is
   */
  run(claim: Claim, job?: (signal: AbortSignal) => Promise<void>): boolean {
    if (this.hasRoom()) {
      this.#launch(claim, job);
      return true;
    }
    const settlements = claim.deliveries.map(({ id }): Settlement => ({ id, state: 'queued', attempted: false }));
    this.#options.store.settle(settlements, [], this.#options.clock()).then(
      () => this.poke(),
      (error: unknown) =>
        this.#options.log.error({ queueId: claim.message.id, err: error }, 'a lease was not given back'),
    );
    return false;
  }

  /**
   * Claims nothing more and waits for the attempts under way; those that last longer than `graceMs` are aborted. What
   * is not settled then is attempted again by the next process.
   */
  async stop(graceMs: number): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#timer);
    await this.#claiming;
    if (await this.#endWithin(graceMs)) return;
    this.#abort.abort();
    if (await this.#endWithin(ABORT_GRACE_MS)) return;
    this.#options.log.warn({ messages: this.#running.size }, 'attempts did not end when they were aborted');
  }

  async #endWithin(ms: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    const over = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => over.resolve(false), ms);
    const ended = Promise.all(this.#running).then(() => true);
    const inTime = await Promise.race([ended, over.promise]);
    clearTimeout(timer);
    return inTime;
  }

  #claim(): void {
    this.#claiming = this.#claimDue().then((leastMs) => {
      this.#claiming = undefined;
      if (this.#state !== 'started') return;
      if (leastMs > 0) this.#wakeIn(leastMs);
      else this.poke();
    });
  }

  /** @returns how long not to claim again, in ms */
  async #claimDue(): Promise<number> {
    const { store, log, concurrency, clock } = this.#options;
    try {
      const claims = await store.claim(clock(), concurrency - this.#running.size);
      for (const claim of claims) this.#launch(claim, undefined);
      return claims.length === 0 ? LEAST_WAIT_MS : 0;
    } catch (error) {
      log.error({ err: error }, 'the queue could not be claimed from');
      return this.#options.pollMs;
    }
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.poke(), Math.min(ms, this.#options.pollMs));
  }

  #launch(claim: Claim, job: ((signal: AbortSignal) => Promise<void>) | undefined): void {
    // One that its attempt has not settled yet, only its lease ran out: taking it again has renewed it, and that is all.
    // One that was deferred, and is due again before the rest of its message has ended, is to be attempted.
    const deliveries = claim.deliveries.filter((delivery) => {
      const before = this.#underWay.get(delivery.id);
      return before === undefined || !isUnchanged(before, delivery);
    });
    if (deliveries.length === 0) return;
    for (const delivery of deliveries) this.#underWay.set(delivery.id, delivery);
    const running = this.#attempt({ message: claim.message, deliveries }, job).finally(() => {
      for (const delivery of deliveries) {
        if (this.#underWay.get(delivery.id) === delivery) this.#underWay.delete(delivery.id);
      }
      this.#running.delete(running);
      this.poke();
    });
    this.#running.add(running);
  }

  async #attempt(claim: Claim, job: ((signal: AbortSignal) => Promise<void>) | undefined): Promise<void> {
    const { signal } = this.#abort;
    try {
      await (job === undefined ? this.#options.attempt(claim, signal) : job(signal));
      for (const { id } of claim.deliveries) this.#crashes.delete(id);
    } catch (error) {
      await this.#settleCrash(claim, error);
    }
  }

  /** Gives back the leases of what a crashed attempt has not settled. */
  async #settleCrash(claim: Claim, error: unknown): Promise<void> {
    const { store, log, clock } = this.#options;
    const queueId = claim.message.id;
    log.error({ queueId, err: error }, 'internal error in an attempt');
    try {
      const now = clock();
      const stored = new Map(store.message(queueId)?.deliveries.map((delivery) => [delivery.id, delivery]));
      const unsettled = claim.deliveries.filter((delivery) => isUnchanged(delivery, stored.get(delivery.id)));
      // A full disk is no fault of the message: it does not count towards the hold.
      const settlements = unsettled.map(({ id }) => this.#crashed(id, now, !(error instanceof StoreFullError)));
      await store.settle(settlements, [], now);
      const held = settlements.filter(({ state }) => state === 'held').length;
      if (held > 0) log.error({ queueId, deliveries: held }, `held after ${CRASH_LIMIT} internal errors in a row`);
    } catch (second) {
      log.error({ queueId, err: second }, 'the internal error could not be recorded; its lease will run out');
    }
  }

  #crashed(id: number, now: number, counts: boolean): Settlement {
    const outcome: Outcome = { kind: 'deferred', status: '4.3.0', reason: 'internal error' };
    const crashes = (this.#crashes.get(id) ?? 0) + Number(counts);
    if (crashes >= CRASH_LIMIT) {
      this.#crashes.delete(id);
      return { id, state: 'held', outcome, attempted: true };
    }
    this.#crashes.set(id, crashes);
    return { id, state: 'queued', dueAt: now + CRASH_PAUSE_MS, outcome, attempted: true };
  }
}

/** Whether nothing was settled for a delivery since it was claimed. */
function isUnchanged(claimed: Delivery, stored: Delivery | undefined): boolean {
  return stored?.state === 'queued' && stored.attempts === claimed.attempts && stored.dueAt === claimed.dueAt;
}
