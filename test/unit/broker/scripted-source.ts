import type { BusyBatch, BusyProtocol, BusySource } from '../../../channel/channel.ts';
import type { BusyReading, BusyType, Period } from '../../../src/freebusy/busy.ts';

export const HOUR = 3_600_000;
/** 2026-11-23 00:00 UTC, a Monday. */
export const MONDAY = Date.UTC(2026, 10, 23);

/** Busy from one hour of Monday to another. */
export function busy(fromHour: number, toHour: number, type: BusyType = 'BUSY'): Period {
  return { type, startMs: MONDAY + fromHour * HOUR, endMs: MONDAY + toHour * HOUR };
}

export function periods(...all: readonly Period[]): BusyReading {
  return { kind: 'periods', periods: all };
}

export const UNKNOWN: BusyReading = { kind: 'unknown', reason: 'no such user' };
export const REFUSED: BusyReading = { kind: 'refused', reason: 'no authority' };
export const UNUSABLE: BusyReading = { kind: 'unusable', reason: 'found a web page' };
export const UNAVAILABLE: BusyReading = { kind: 'unavailable', reason: 'connection refused' };

type Script = (batch: BusyBatch, signal: AbortSignal) => readonly BusyReading[] | Promise<readonly BusyReading[]>;

/** A source that says what the test says. */
export class ScriptedSource implements BusySource {
  readonly protocol: BusyProtocol;
  readonly destination: string;
  /** What it was asked, in order, and with which signal. */
  readonly batches: BusyBatch[] = [];
  readonly signals: AbortSignal[] = [];
  script: Script;
  readonly #watchers = new Set<() => void>();

  constructor(destination: string, script: Script, protocol: BusyProtocol = 'ischedule') {
    this.destination = destination;
    this.script = script;
    this.protocol = protocol;
  }

  ask(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]> {
    this.batches.push(batch);
    this.signals.push(signal);
    for (const watcher of this.#watchers) watcher();
    return Promise.resolve(this.script(batch, signal));
  }

  /** Whom it was asked about, batch by batch. */
  get asked(): readonly (readonly string[])[] {
    return this.batches.map(({ attendees }) => attendees);
  }

  /** Resolves once it was asked so often. */
  async whenAsked(times: number): Promise<void> {
    while (this.batches.length < times) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#watchers.add(resolve);
      await promise;
      this.#watchers.delete(resolve);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Answers by mailbox; nobody else is known. */
export function knows(users: Readonly<Record<string, BusyReading>>): Script {
  return ({ attendees }) => attendees.map((attendee) => users[attendee] ?? UNKNOWN);
}

/** Answers everybody alike. */
export function alike(reading: BusyReading): Script {
  return ({ attendees }) => attendees.map(() => reading);
}

/** Says nothing until it is stopped, and then what it knows by then. */
export function hangs(known: Readonly<Record<string, BusyReading>> = {}): Script {
  return ({ attendees }, signal) =>
    new Promise((resolve) => {
      const stop = (): void =>
        resolve(attendees.map((one) => known[one] ?? { kind: 'unavailable', reason: 'no answer in time' }));
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
}
