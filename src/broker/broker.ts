import type { BusySource } from '../../channel/channel.ts';
import { type JudgedWindow, judgeWindow } from '../../rules/busy-window.ts';
import type { BusyPolicy, BusyTarget } from '../../rules/free-busy.ts';
import { type StatusAnswer, statusOf } from '../../rules/request-status.ts';
import type { Directory, Lookup } from '../directory/directory.ts';
import type { Discovery } from '../flow/context.ts';
import { discoveredOnce } from '../flow/facts.ts';
import { MAX_HOPS } from '../freebusy/hops.ts';
import { addressKey } from '../mail/address.ts';
import type { CalendarServer } from '../mail/disposition.ts';
import type { Log } from '../observe/log.ts';
import { answerAlike, answerOne, type Frame, tooLarge } from './answers.ts';
import { Deadline } from './deadline.ts';
import { Memory } from './memory.ts';
import type { BreakerOptions, NeighbourLimits } from './neighbour.ts';
import { Neighbours } from './neighbours.ts';
import type { Broker, BusyAnswer, BusyQuestion, FoundName } from './question.ts';
import { report } from './report.ts';
import { askAll, type Rounds } from './rounds.ts';
import { type Lists, type Routed, type RouteSources, routeAttendee, routeOf } from './routes.ts';
import { Subjects } from './subject.ts';

export type BrokerOptions = {
  readonly directory: Pick<Directory, 'lookup' | 'lookupName' | 'expand'>;
  readonly policy: BusyPolicy;
  /** Absent where no rule allows to look for a service. */
  readonly discovery?: Discovery;
  /** Who asks there; the broker does not dispose of it. */
  readonly sourceOf: (target: BusyTarget) => BusySource;
  /** For its destination; asked when that is met. */
  readonly limitsOf: (source: BusySource) => NeighbourLimits;
  /** URL below which the WCAP commands of its front end are. */
  readonly frontEndOf: (server: CalendarServer) => string | undefined;
  /** For a whole question, from its look-ups to the last answer. */
  readonly deadlineMs: number;
  /** Members of a list that are asked. */
  readonly groupLimit: number;
  /** How long an answer is kept; 0: not at all. */
  readonly cacheMs: number;
  readonly breaker: BreakerOptions;
  /** Of names that are no address. */
  readonly defaultDomain: string;
  /** Our own name among gateways (`hopName`). */
  readonly hop: string;
  /** ms since the epoch */
  readonly clock: () => number;
  readonly log: Log;
};

/** To be disposed of when nothing asks it any more: whoever still waits is answered 5.1. */
export function createBroker(options: BrokerOptions): Broker & AsyncDisposable {
  return new CalendarBroker(options);
}

/** Rule of questions that have been here before. */
const LOOP = 'loop';
/** Look-ups of one question at a time. */
const WIDTH = 32;
/** How long those who are found wait for the look-ups of the others, so that each server is asked once. */
const MAX_GATHER_MS = 250;
/** Periods that one question is told: of a hundred people a year's. Some 12 MB, which half a second goes into. */
const MAX_TOLD = 200_000;
/** What a window is cut at moves in steps, or no two questions would be equal. */
const CUT_MS = 60_000;

/**
 * The way of a question: `judgeWindow` cuts it; `routes.ts` finds the servers of each attendee (`rules/free-busy.ts`);
 * `rounds.ts` sends each server one batch, by way of `memory.ts` (cache, equal questions) and `neighbour.ts` (limits,
 * breaker) to its `BusySource`, which `src/sources.ts` opens (the `ask.ts` of a channel). What that says of one user is a
 * reading, and the record of it an inquiry; `answers.ts` makes the answers of them.
 */
class CalendarBroker implements Broker, AsyncDisposable {
  readonly #options: BrokerOptions;
  readonly #neighbours: Neighbours;
  readonly #memory: Memory;

  constructor(options: BrokerOptions) {
    this.#options = options;
    const { breaker, log, cacheMs, deadlineMs } = options;
    this.#neighbours = new Neighbours(options.limitsOf, { breaker, patienceMs: deadlineMs / 2, log, ticks });
    this.#memory = new Memory(this.#neighbours, { cacheMs, ticks, log });
  }

  async ask(question: BusyQuestion, signal: AbortSignal): Promise<readonly BusyAnswer[]> {
    signal.throwIfAborted();
    const began = ticks();
    const answers = await this.#answer(question, signal);
    report(this.#options.log, question, answers, ticks() - began);
    return answers;
  }

  refusal(question: Pick<BusyQuestion, 'asker' | 'window' | 'hops'>): StatusAnswer | undefined {
    const judged = this.#judge(question);
    return judged.kind === 'refused' ? judged.status : undefined;
  }

  async frontEnd(question: BusyQuestion, signal: AbortSignal): Promise<string | undefined> {
    signal.throwIfAborted();
    const { deadlineMs, frontEndOf, directory, policy, groupLimit, log } = this.#options;
    const { asker, attendees, fresh = false, spentMs = 0 } = question;
    if (this.#judge(question).kind === 'refused') return undefined;
    using deadline = new Deadline(Math.max(0, deadlineMs - spentMs), signal);
    const frontEnds = new Set<string | undefined>();
    // No DNS is asked: what it names has no front end of ours.
    const sources = { directory, policy, groupLimit };
    const routing = eachOf([...byKey(attendees).values()], async (attendee) => {
      try {
        const route = await routeOf(sources, { asker, fresh, signal: deadline.signal }, attendee);
        const target = route.kind === 'ask' ? route.targets[0] : undefined;
        frontEnds.add(target?.kind === 'server' ? frontEndOf(target.server) : undefined);
      } catch (error) {
        log.error({ err: error, asker: asker.name, to: attendee }, 'no front end could be found');
        frontEnds.add(undefined);
      }
      return frontEnds.size === 1 && !frontEnds.has(undefined);
    });
    await this.#inTime(routing, deadline, signal);
    const [only] = frontEnds;
    return deadline.signal.aborted || frontEnds.size > 1 ? undefined : only;
  }

  async find(name: string, signal: AbortSignal): Promise<FoundName> {
    signal.throwIfAborted();
    const { directory, defaultDomain, deadlineMs } = this.#options;
    using deadline = new Deadline(deadlineMs, signal);
    let lookup: Lookup = { kind: 'no-answer', reason: 'no answer in time' };
    const looking = directory.lookupName(name, defaultDomain, deadline.signal).then((found) => {
      lookup = found;
    });
    await this.#inTime(looking, deadline, signal);
    return foundName(lookup);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#memory.stop();
    await this.#neighbours.stop();
  }

  async #answer(question: BusyQuestion, signal: AbortSignal): Promise<readonly BusyAnswer[]> {
    const { log, deadlineMs } = this.#options;
    const { asker, attendees, window: asked, spentMs = 0 } = question;
    const seen = this.#judge(question);
    if (seen.kind === 'refused') {
      if (seen.rule === LOOP) {
        const hops = firstOf(question.hops);
        log.warn({ alarm: true, asker: asker.name, hops, rule: LOOP }, 'a question for busy times goes in circles');
      }
      return answerAlike(attendees, asked, seen);
    }

    using deadline = new Deadline(Math.max(0, deadlineMs - spentMs), signal);
    const routed = new Map<string, Routed>();
    const rounds = this.#roundsOf({ ...question, window: seen.window }, deadline);
    try {
      await this.#inTime(this.#work(question, routed, rounds), deadline, signal);
    } finally {
      for (const release of rounds.releases) release();
    }
    const { window, steps } = seen;
    const frame: Frame = { access: asker.access, window, steps, now: ticks(), lists: new Map() };
    const known = new Map<string, BusyAnswer>();
    let left = MAX_TOLD;
    return attendees.map((attendee) => {
      const key = addressKey(attendee);
      const found = known.get(key) ?? answerOne(attendee, routed.get(key), frame);
      known.set(key, found);
      const answer = found.periods.length > left ? tooLarge(found) : found;
      left -= answer.periods.length;
      return answer.attendee === attendee ? answer : { ...answer, attendee };
    });
  }

  /** What is told of a question, whomever it is about. */
  #judge({ asker, window, hops }: Pick<BusyQuestion, 'asker' | 'window' | 'hops'>): JudgedWindow {
    const { hop, clock } = this.#options;
    if (!hops.includes(hop) && hops.length <= MAX_HOPS)
      return judgeWindow(window, asker.access, Math.floor(clock() / CUT_MS) * CUT_MS);
    const answer = `yes: it came through ${firstOf(hops).join(', ')}`;
    const steps = [{ question: 'Has it been here before?', answer }];
    return { kind: 'refused', rule: LOOP, status: statusOf('5.1', 'This question goes in circles.'), steps };
  }

  #roundsOf(question: BusyQuestion, deadline: Deadline): Rounds {
    const { sourceOf, log, hop } = this.#options;
    const { asker, originator, window, hops, fresh = false } = question;
    return {
      memory: this.#memory,
      sourceOf,
      log,
      ticks,
      deadline,
      question: { asker: asker.name, originator, window, hops: [...hops, hop], fresh },
      releases: [],
    };
  }

  /**
   * Routes the attendees and asks whom they lead to: once all are routed, but those who are, do not wait for long for
   * look-ups that hang.
   */
  async #work({ asker, attendees, fresh = false }: BusyQuestion, routed: Map<string, Routed>, rounds: Rounds) {
    const { log, deadlineMs } = this.#options;
    const sources = this.#sources();
    const lists: Lists = new Map();
    const { signal } = rounds.deadline;
    const subjects = new Subjects();
    const asks: Promise<void>[] = [];
    const ask = (): void => {
      const unasked = subjects.takeUnasked();
      if (unasked.length > 0 && !signal.aborted) asks.push(askAll(rounds, unasked));
    };
    const gathering = setInterval(ask, Math.min(MAX_GATHER_MS, deadlineMs / 8));
    signal.addEventListener('abort', () => clearInterval(gathering), { once: true });
    await eachOf([...byKey(attendees)], async ([key, attendee]) => {
      try {
        const route = await routeAttendee(sources, { asker, fresh, signal, lists }, attendee, subjects);
        // What look-ups say that were cut short is no word of theirs.
        if (!signal.aborted || route.kind !== 'answer' || route.status.code !== '5.1') routed.set(key, route);
        if (route.alarm === true)
          log.warn({ alarm: true, asker: asker.name, to: attendee, rule: route.rule }, 'busy times of one need a look');
      } catch (error) {
        log.error({ err: error, asker: asker.name, to: attendee }, 'no route for a question for busy times');
        const status = statusOf('5.1', 'This gateway has a fault.');
        routed.set(key, { kind: 'answer', rule: 'fault', status, steps: [] });
      }
      return !signal.aborted;
    });
    clearInterval(gathering);
    ask();
    await Promise.all(asks);
  }

  #sources(): RouteSources {
    const { directory, policy, groupLimit, discovery } = this.#options;
    const once = discovery === undefined ? {} : { discovery: discoveredOnce(discovery) };
    return { directory, policy, groupLimit, ...once };
  }

  /** Waits for the work, until its deadline at most. @throws the caller's reason, when he left */
  async #inTime(work: Promise<unknown>, deadline: Deadline, caller: AbortSignal): Promise<void> {
    work.catch(() => undefined);
    await Promise.race([work, deadline.over]);
    caller.throwIfAborted();
  }
}

/** As many as say that there are too many: an asker may have sent thousands. */
function firstOf(hops: readonly string[]): readonly string[] {
  return hops.slice(0, MAX_HOPS + 1);
}

/** Milliseconds that never go back. */
function ticks(): number {
  return performance.now();
}

/** The first spelling of each. */
function byKey(attendees: readonly string[]): ReadonlyMap<string, string> {
  const first = new Map<string, string>();
  for (const attendee of attendees) {
    const key = addressKey(attendee);
    if (!first.has(key)) first.set(key, attendee);
  }
  return first;
}

/** Runs `job` for each, `WIDTH` at a time, until one says that no more need be. */
async function eachOf<T>(items: readonly T[], job: (item: T) => Promise<boolean>): Promise<void> {
  const left = items.values();
  let goesOn = true;
  const work = async (): Promise<void> => {
    for (const item of left) {
      if (!goesOn) return;
      if (!(await job(item))) goesOn = false;
    }
  };
  await Promise.all(Array.from({ length: Math.min(WIDTH, items.length) }, work));
}

function foundName(lookup: Lookup): FoundName {
  if (lookup.kind !== 'found') return lookup.kind === 'unknown' ? { kind: 'unknown' } : lookup;
  const [entry, ...more] = lookup.entries;
  return more.length > 0 ? { kind: 'no-answer', reason: 'ambiguous' } : { kind: 'mailbox', mailbox: entry.mail };
}
