import type { BusyBatch, BusySource } from '../../channel/channel.ts';
import { Limiter } from '../flow/limiter.ts';
import type { BusyReading } from '../freebusy/busy.ts';
import { orAborted } from '../net/wait.ts';
import type { Log } from '../observe/log.ts';

/** What one destination is asked at most. */
export type NeighbourLimits = {
  /** At a time. */
  readonly questions: number;
  /** Unlimited when absent; more than some 400 do not pass. */
  readonly ratePerSecond?: number;
};

export type BreakerOptions = {
  /** Questions in a row without any answer, after which the destination is left alone. */
  readonly failures: number;
  /** How long, until one question tries it again. */
  readonly pauseMs: number;
};

export type NeighbourOptions = NeighbourLimits & {
  readonly breaker: BreakerOptions;
  /** Time that a server must have had for its silence to be a failure: a question can reach it shortly before its end. */
  readonly patienceMs: number;
  /** Milliseconds that never go back. */
  readonly ticks: () => number;
  readonly log: Log;
};

/** Why a question was stopped: nobody waits for its answer any more, which says nothing of the server. */
export const ABANDONED = new Error('nobody waits for the answer any more');

/** Questions that may wait for one destination; with a deadline of seconds those behind them would wait in vain. */
const MAX_WAITING = 1000;
/** How long a source that was stopped may take to hand over what it knows, ms. */
const GRACE_MS = 50;

/** Ends a wait for a turn: it has come, or, with a reason, it never will. */
type Waiting = (refusal: string | undefined) => void;

/**
 * One destination and how it is treated: so many questions at a time and in a second, those who ask by turns and each
 * one's in order, and none for a while once it has stopped answering.
 */
export class Neighbour {
  readonly #destination: string;
  readonly #options: NeighbourOptions;
  readonly #rate: Limiter | undefined;
  /** Let through by the rate in advance: the limiter takes 5 ms, which a lone question need not wait for. */
  #pass: Promise<true | undefined> | undefined;
  /** By asker, the one whose turn was last at the end. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  #waits = 0;
  #running = 0;
  /** In a row. */
  #failures = 0;
  #breaker: 'closed' | 'open' | 'probing' = 'closed';
  #openedAt = 0;
  #openUntil = 0;

  constructor(destination: string, options: NeighbourOptions) {
    this.#destination = destination;
    this.#options = options;
    const { ratePerSecond } = options;
    this.#rate = ratePerSecond === undefined ? undefined : new Limiter({ perSecond: ratePerSecond });
    this.#pass = this.#nextPass();
  }

  get isInUse(): boolean {
    return this.#running > 0 || this.#waits > 0;
  }

  /** Whether something is known against it. */
  get isInTrouble(): boolean {
    return this.#failures > 0 || this.#breaker !== 'closed';
  }

  /**
   * Asks when it is its turn. Never rejects.
   * @param signal the deadline, or the end of interest (`ABANDONED`); what waits then is not sent
   * @param asker whose questions wait for each other, and not for long for those of others
   * @returns one for each attendee, in order
   */
  async ask(source: BusySource, batch: BusyBatch, signal: AbortSignal, asker = ''): Promise<readonly BusyReading[]> {
    const turn = this.#refusal() ?? this.#turn(signal, asker);
    const refusal = turn instanceof Promise ? await turn : turn;
    if (refusal !== undefined) return nothing(batch, refusal);
    const release = (): void => this.#end();
    const pass = this.#pass;
    if (pass !== undefined) {
      this.#pass = this.#nextPass();
      if ((await orAborted(pass, signal)) === undefined || signal.aborted) {
        // The turn is kept until the limiter has let it pass: what it holds is bounded by that.
        void pass.then(release);
        return nothing(batch, 'not asked: its time was over before the rate let it pass');
      }
    }
    const late = this.#refusal();
    if (late !== undefined) {
      release();
      return nothing(batch, late);
    }
    const isProbe = this.#breaker === 'open';
    if (isProbe) this.#breaker = 'probing';
    const sentAt = this.#options.ticks();
    try {
      const readings = (await settled(source.ask(batch, signal), signal)) ?? nothing(batch, 'no answer in time');
      if (readings.length !== batch.attendees.length)
        throw new Error(`${readings.length} readings came for ${batch.attendees.length} attendees`);
      this.#judge(readings, isProbe, signal, sentAt);
      return readings;
    } catch (error) {
      // A fault of ours, which a single question may bring about: the server is not left alone for it.
      this.#options.log.error({ err: error, relay: this.#destination, uid: batch.uid }, 'asking for busy times failed');
      if (isProbe) this.#tryAgain();
      return nothing(batch, 'asking failed by a fault of this gateway');
    } finally {
      release();
    }
  }

  /** Refuses whoever waits. */
  async stop(): Promise<void> {
    this.#refuseWaiting('the gateway is stopping');
    await this.#rate?.stop(true);
  }

  /** @returns resolved to undefined when it was stopped */
  #nextPass(): Promise<true | undefined> | undefined {
    return this.#rate?.run(async () => true as const).catch(() => undefined);
  }

  /** Why it is not asked now; undefined when it may be. */
  #refusal(): string | undefined {
    if (this.#breaker === 'closed') return undefined;
    const leftMs = this.#openUntil - this.#options.ticks();
    if (this.#breaker === 'open' && leftMs <= 0) return undefined;
    const again =
      this.#breaker === 'probing' ? 'just being tried again' : `tried again in ${Math.ceil(leftMs / 1000)} s`;
    return `left alone after ${this.#failures} failures, ${again}`;
  }

  /** Waits for a turn, which `#end` gives back. @returns why there is none, undefined when there is */
  #turn(signal: AbortSignal, asker: string): Promise<string | undefined> | string | undefined {
    if (signal.aborted) return 'not asked: its time was over';
    if (this.#running < this.#options.questions) {
      this.#running++;
      return undefined;
    }
    if (this.#waits >= MAX_WAITING) return 'too many questions are waiting for this server';
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const queue = this.#waiting.get(asker) ?? new Set();
    const begin: Waiting = (refusal) => {
      queue.delete(begin);
      this.#waits--;
      const hasTurn = refusal === undefined;
      if (hasTurn || queue.size === 0) this.#waiting.delete(asker);
      // Behind everybody else who waits.
      if (hasTurn && queue.size > 0) this.#waiting.set(asker, queue);
      signal.removeEventListener('abort', giveUp);
      resolve(refusal);
    };
    const giveUp = (): void => begin('not asked: its time was over while other questions were before it');
    queue.add(begin);
    this.#waiting.set(asker, queue);
    this.#waits++;
    signal.addEventListener('abort', giveUp);
    return promise;
  }

  /** Hands the turn to the next one, who need not be counted again. */
  #end(): void {
    const [next] = this.#waiting.values().next().value ?? [];
    if (next === undefined) this.#running--;
    else next(undefined);
  }

  #judge(readings: readonly BusyReading[], isProbe: boolean, signal: AbortSignal, sentAt: number): void {
    const { ticks, patienceMs } = this.#options;
    if (readings.some(({ kind }) => kind !== 'unavailable')) this.#succeed();
    else if (!signal.aborted || (signal.reason !== ABANDONED && ticks() - sentAt >= patienceMs))
      this.#fail(isProbe, readings[0]);
    else if (isProbe) this.#tryAgain();
  }

  #succeed(): void {
    this.#failures = 0;
    if (this.#breaker === 'closed') return;
    this.#breaker = 'closed';
    const pausedMs = Math.round(this.#options.ticks() - this.#openedAt);
    this.#options.log.warn({ relay: this.#destination, pausedMs }, 'calendar server answers busy times again');
  }

  #fail(isProbe: boolean, reading: BusyReading | undefined): void {
    // What was under way when it opened says nothing new.
    if (this.#breaker !== 'closed' && !isProbe) return;
    this.#failures++;
    const { breaker, ticks, log } = this.#options;
    if (this.#breaker === 'closed') {
      if (this.#failures < breaker.failures) return;
      this.#openedAt = ticks();
      const reason = reading?.kind === 'unavailable' ? reading.reason : undefined;
      const facts = { relay: this.#destination, failures: this.#failures, pauseMs: breaker.pauseMs, reason };
      log.warn(facts, 'calendar server is left alone for busy times');
    }
    this.#breaker = 'open';
    this.#openUntil = ticks() + breaker.pauseMs;
    this.#refuseWaiting(this.#refusal());
  }

  /** The probe gave no verdict: the next question is one. */
  #tryAgain(): void {
    if (this.#breaker !== 'probing') return;
    this.#breaker = 'open';
    this.#openUntil = this.#options.ticks();
  }

  #refuseWaiting(refusal: string | undefined): void {
    for (const waiting of [...this.#waiting.values()].flatMap((queue) => [...queue])) waiting(refusal);
  }
}

function nothing(batch: BusyBatch, reason: string): readonly BusyReading[] {
  return batch.attendees.map(() => ({ kind: 'unavailable', reason }));
}

/** @returns what the promise gives; undefined when it gives nothing though it was stopped */
function settled<T>(pending: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
  let timer: NodeJS.Timeout | undefined;
  const stopped = (): void => {
    timer = setTimeout(() => resolve(undefined), GRACE_MS);
  };
  if (signal.aborted) stopped();
  else signal.addEventListener('abort', stopped, { once: true });
  pending.then(resolve, reject).finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', stopped);
  });
  return promise;
}
