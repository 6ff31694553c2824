import { randomUUID } from 'node:crypto';
import type { BusyBatch, BusySource } from '../../channel/channel.ts';
import type { BusyReading } from '../freebusy/busy.ts';
import { mergePeriods } from '../freebusy/merge.ts';
import { addressKey, domainOf } from '../mail/address.ts';
import { TtlCache } from '../net/ttl-cache.ts';
import type { Log } from '../observe/log.ts';
import { LATE } from './deadline.ts';
import { ABANDONED } from './neighbour.ts';
import type { Neighbours } from './neighbours.ts';
import type { Inquiry } from './question.ts';

/** What one server is to be asked. */
export type Wanted = Omit<BusyBatch, 'uid'> & {
  readonly source: BusySource;
  /** Name of the asker, as configured. */
  readonly asker: string;
  /** Past the cache, which then keeps the answer; what is under way is fresh enough. */
  readonly fresh: boolean;
  /** Until the asker's deadline, ms. */
  readonly leftMs: number;
};

/** Answers that come together. */
export type Part = {
  readonly attendees: readonly string[];
  readonly from: Inquiry['from'];
  /** One for each of `attendees`, in order; periods as `mergePeriods` returns them. Never rejects. */
  readonly readings: Promise<readonly BusyReading[]>;
  /** Once they are there: whether that was only because time was over. */
  readonly isLate: () => boolean;
  /** To be called once, when they are not waited for any more. */
  readonly release: () => void;
};

/** One batch that is being asked. */
type Flight = {
  readonly readings: Promise<readonly BusyReading[]>;
  readonly stop: AbortController;
  waiting: number;
};
/** Where the answer about one attendee will be. */
type Seat = { readonly flight: Flight; readonly index: number };

const MAX_KEPT = 2_000;
/** An answer of more periods is not kept: memory is counted in answers. */
const MAX_KEPT_PERIODS = 1_000;
const MAX_UNKNOWN_MS = 10_000;

/**
 * Asks neighbours what is not known: answers are kept for a while, if so configured, and equal questions under way are
 * asked once. A question that joins another one under way shares its deadline: where that one ends without an answer,
 * this one has none either.
 */
export class Memory {
  readonly #neighbours: Neighbours;
  readonly #cacheMs: number;
  readonly #log: Log;
  readonly #kept: TtlCache<BusyReading>;
  readonly #seats = new Map<string, Seat>();
  readonly #flights = new Set<Flight>();

  /**
   * @param options.cacheMs 0: nothing is kept
   * @param options.ticks milliseconds that never go back
   */
  constructor(
    neighbours: Neighbours,
    options: { readonly cacheMs: number; readonly ticks: () => number; readonly log: Log },
  ) {
    this.#neighbours = neighbours;
    this.#cacheMs = options.cacheMs;
    this.#log = options.log;
    this.#kept = new TtlCache({ maxEntries: options.cacheMs > 0 ? MAX_KEPT : 0, clock: options.ticks });
  }

  /** @returns every attendee once, grouped by when and where the answers come from */
  ask(wanted: Wanted): readonly Part[] {
    const cached: { attendee: string; reading: BusyReading }[] = [];
    const joined = new Map<Flight, { attendee: string; index: number }[]>();
    const unasked: string[] = [];
    for (const attendee of wanted.attendees) {
      const known = wanted.fresh || this.#cacheMs === 0 ? undefined : this.#kept.get(cacheKey(wanted, attendee));
      const seat = known === undefined ? this.#seats.get(flightKey(wanted, attendee)) : undefined;
      if (known !== undefined) cached.push({ attendee, reading: known.value });
      else if (seat === undefined) unasked.push(attendee);
      else joined.set(seat.flight, [...(joined.get(seat.flight) ?? []), { attendee, index: seat.index }]);
    }
    const parts: Part[] = [];
    if (cached.length > 0) {
      const readings = Promise.resolve(cached.map(({ reading }) => reading));
      const attendees = cached.map(({ attendee }) => attendee);
      parts.push({ attendees, from: 'cache', readings, isLate: () => false, release: () => {} });
    }
    for (const [flight, seats] of joined) {
      const attendees = seats.map(({ attendee }) => attendee);
      const readings = flight.readings.then((all) => seats.map(({ index }) => all[index] ?? MISSING));
      parts.push({ attendees, from: 'shared', readings, ...this.#board(flight) });
    }
    if (unasked.length > 0) {
      const flight = this.#send({ ...wanted, attendees: unasked });
      const { readings } = flight;
      parts.push({ attendees: unasked, from: 'server', readings, ...this.#board(flight) });
    }
    return parts;
  }

  /** Stops what is under way. */
  stop(): void {
    for (const { stop } of this.#flights) stop.abort(ABANDONED);
    this.#kept.clear();
  }

  #board(flight: Flight): Pick<Part, 'isLate' | 'release'> {
    flight.waiting++;
    return {
      isLate: () => flight.stop.signal.reason === LATE,
      release: () => {
        if (--flight.waiting === 0) flight.stop.abort(ABANDONED);
      },
    };
  }

  #send(wanted: Wanted): Flight {
    const { source, asker, fresh: _fresh, leftMs, ...question } = wanted;
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(LATE), leftMs);
    const keys = wanted.attendees.map((attendee) => flightKey(wanted, attendee));
    const batch: BusyBatch = { ...question, uid: randomUUID() };
    const asked = this.#neighbours.of(source).ask(source, batch, stop.signal, asker);
    const readings = asked
      .then((all) => this.#keep(wanted, all))
      .catch((error: unknown) => {
        this.#log.error({ err: error, relay: source.destination, uid: batch.uid }, 'busy times could not be merged');
        return wanted.attendees.map(() => MISSING);
      });
    const flight: Flight = { readings, stop, waiting: 0 };
    this.#flights.add(flight);
    for (const [index, key] of keys.entries()) this.#seats.set(key, { flight, index });
    const unseat = (): void => {
      for (const key of keys) if (this.#seats.get(key)?.flight === flight) this.#seats.delete(key);
    };
    // Nobody joins a question that is over, even where the source is slow to notice.
    stop.signal.addEventListener('abort', unseat, { once: true });
    void readings.finally(() => {
      clearTimeout(timer);
      unseat();
      this.#flights.delete(flight);
    });
    return flight;
  }

  #keep(wanted: Wanted, readings: readonly BusyReading[]): readonly BusyReading[] {
    const merged = readings.map((reading): BusyReading => {
      if (reading.kind !== 'periods') return reading;
      return { kind: 'periods', periods: mergePeriods(reading.periods, wanted.window) };
    });
    if (this.#cacheMs === 0) return merged;
    for (const [index, attendee] of wanted.attendees.entries())
      this.#kept.set(cacheKey(wanted, attendee), merged[index] ?? MISSING, this.#keepMs(merged[index] ?? MISSING));
    return merged;
  }

  #keepMs(reading: BusyReading): number {
    if (reading.kind === 'unknown') return Math.min(this.#cacheMs, MAX_UNKNOWN_MS);
    return reading.kind === 'periods' && reading.periods.length <= MAX_KEPT_PERIODS ? this.#cacheMs : 0;
  }
}

const MISSING: BusyReading = { kind: 'unavailable', reason: 'no answer about this one' };

/**
 * For whomever an asker speaks within one domain. Not for other askers: those by WCAP and URL all speak for the gateway's
 * own address, and are not shown what a server told somebody of its domain.
 */
function cacheKey({ server, originator, asker, window }: Wanted, attendee: string): string {
  return JSON.stringify([asker, domainOf(originator), server.href, addressKey(attendee), window.startMs, window.endMs]);
}

/**
 * By asker, too: a question of another one may be the same one on its way back to us from the server that is being
 * asked, and would wait for itself.
 */
function flightKey({ server, originator, asker, window }: Wanted, attendee: string): string {
  const who = [asker, addressKey(originator), server.href, addressKey(attendee)];
  return JSON.stringify([...who, window.startMs, window.endMs]);
}
