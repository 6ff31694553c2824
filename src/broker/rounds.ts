import type { BusySource } from '../../channel/channel.ts';
import type { BusyTarget } from '../../rules/free-busy.ts';
import type { BusyReading } from '../freebusy/busy.ts';
import { addressKey } from '../mail/address.ts';
import type { Log } from '../observe/log.ts';
import type { Deadline } from './deadline.ts';
import type { Memory, Part, Wanted } from './memory.ts';
import type { Inquiry } from './question.ts';
import { type Subject, urlOf } from './subject.ts';

/** How the subjects of one question are asked about. */
export type Rounds = {
  readonly memory: Memory;
  readonly sourceOf: (target: BusyTarget) => BusySource;
  readonly log: Log;
  readonly ticks: () => number;
  readonly deadline: Deadline;
  readonly question: Pick<Wanted, 'originator' | 'asker' | 'hops' | 'window' | 'fresh'>;
  /** What gives up waiting, once the question is over. */
  readonly releases: (() => void)[];
};

/** Those whom one server is asked about together. */
type Group = { readonly source: BusySource; readonly target: BusyTarget; readonly subjects: Map<string, Subject[]> };

/** Users in one batch: as many as one POST of iSchedule names, so that none waits behind another's. */
const MAX_BATCH = 64;

/**
 * Asks each subject's servers, all at once, and those whom a server does not know at their next one. What is known
 * stands in the subjects; nothing is written there once the deadline is over. Never rejects.
 */
export async function askAll(rounds: Rounds, subjects: readonly Subject[], round = 0): Promise<void> {
  await Promise.all(groupsOf(rounds, subjects, round).map((group) => askGroup(rounds, group, round)));
}

function groupsOf(rounds: Rounds, subjects: readonly Subject[], round: number): readonly Group[] {
  const groups = new Map<string, Group[]>();
  for (const subject of subjects) {
    const target = subject.targets[round];
    if (target === undefined) continue;
    const source = sourceFor(rounds, target, subject);
    if (source === undefined) continue;
    const key = `${source.protocol} ${source.destination} ${urlOf(target)}`;
    const same = groups.get(key) ?? [];
    let last = same.at(-1);
    if (last === undefined || last.subjects.size >= MAX_BATCH) {
      last = { source, target, subjects: new Map() };
      groups.set(key, [...same, last]);
    }
    const mailbox = addressKey(subject.mailbox);
    last.subjects.set(mailbox, [...(last.subjects.get(mailbox) ?? []), subject]);
  }
  return [...groups.values()].flat();
}

function sourceFor({ sourceOf, log }: Rounds, target: BusyTarget, subject: Subject): BusySource | undefined {
  try {
    return sourceOf(target);
  } catch (error) {
    log.error({ err: error, relay: urlOf(target) }, 'no way to ask this server for busy times');
    subject.reading = { kind: 'unavailable', reason: 'asking failed by a fault of this gateway' };
    return undefined;
  }
}

async function askGroup(rounds: Rounds, group: Group, round: number): Promise<void> {
  const { source, target, subjects } = group;
  const { deadline, memory, question, ticks, log } = rounds;
  const since = ticks();
  let parts: readonly Part[];
  try {
    parts = memory.ask({
      ...question,
      ...serverOf(target),
      source,
      attendees: mailboxes(group),
      leftMs: deadline.leftMs,
    });
  } catch (error) {
    log.error({ err: error, relay: source.destination }, 'asking for busy times failed');
    const reading: BusyReading = { kind: 'unavailable', reason: 'asking failed by a fault of this gateway' };
    for (const subject of [...subjects.values()].flat()) subject.reading = reading;
    return;
  }
  const pending = { server: source.destination, protocol: source.protocol, since };
  for (const subject of [...subjects.values()].flat()) subject.pending = pending;
  await Promise.all(
    parts.map(async ({ attendees, from, readings, isLate, release }) => {
      rounds.releases.push(release);
      const said = await readings;
      if (deadline.isOver) return;
      const tookMs = ticks() - since;
      const unknown: Subject[] = [];
      for (const [index, attendee] of attendees.entries()) {
        const reading = said[index];
        if (reading === undefined) continue;
        for (const subject of subjects.get(addressKey(attendee)) ?? []) {
          delete subject.pending;
          subject.inquiries.push(inquiryOf(subject, pending, reading, tookMs, from));
          if (reading.kind === 'unknown' && round + 1 < subject.targets.length) unknown.push(subject);
          else subject.reading = reading;
          if (reading.kind === 'unavailable' && isLate()) subject.isLate = true;
        }
      }
      if (unknown.length > 0 && !deadline.signal.aborted) await askAll(rounds, unknown, round + 1);
    }),
  );
}

function mailboxes({ subjects }: Group): readonly string[] {
  return [...subjects.values()].flatMap(([first]) => (first === undefined ? [] : [first.mailbox]));
}

function serverOf(target: BusyTarget): Pick<Wanted, 'server' | 'fallbacks' | 'profile'> {
  if (target.kind === 'published') return { server: new URL(target.url), profile: 'generic' };
  const { url, fallbacks, profile } = target.server;
  return {
    server: new URL(url),
    profile,
    ...(fallbacks === undefined ? {} : { fallbacks: fallbacks.map((one) => new URL(one)) }),
  };
}

function inquiryOf(
  { mailbox }: Subject,
  { server, protocol }: NonNullable<Subject['pending']>,
  reading: BusyReading,
  tookMs: number,
  from: Inquiry['from'],
): Inquiry {
  const result = reading.kind === 'periods' ? 'answered' : reading.kind;
  const reason = reading.kind === 'periods' ? {} : { reason: reading.reason };
  return { mailbox, server, protocol, result, tookMs, from, ...reason };
}

/** Of the server that is being asked still, when the question is over. */
export function lateInquiry(subject: Subject, now: number): readonly Inquiry[] {
  const { pending } = subject;
  if (pending === undefined) return [];
  const reading: BusyReading = { kind: 'unavailable', reason: 'no answer in time' };
  return [inquiryOf(subject, pending, reading, now - pending.since, 'server')];
}
