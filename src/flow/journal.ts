import { answeredBy } from '../../rules/correlate.ts';
import { authorOf } from '../../rules/news.ts';
import type { EventFacts } from '../imip/event-facts.ts';
import { eventFacts } from '../imip/read-event.ts';
import { parseDateTime } from '../itip/date-time.ts';
import { isByAttendee, type SchedulingObject } from '../itip/message.ts';
import { addressKey, reachableAt, splitSubAddress } from '../mail/address.ts';
import type { JournalEntry, Meeting, Message, Sending } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import type { Result } from './settle.ts';

/** How a mail left, as its bounce and its answer name it. */
export type Sent = {
  /** Envelope sender it left with. */
  readonly reversePath: string;
  /** Of the mail that left, angle brackets off; '' when it has none. */
  readonly messageId: string;
  /** Of its VERP address, when it left with one. */
  readonly token?: string;
};

/**
 * What was told of one component last, as `Meeting.told` holds it: without its attendees where they are many. `before`:
 * what had been told of it before that message, so that a copy of it that leaves late is worded as the others.
 */
export type Told = EventFacts & { readonly toldIn: string; readonly before?: EventFacts };

const DAY_MS = 86_400_000;
/** Without the section `outbound`; the default of its `journal`. */
const DEFAULT_JOURNAL_MS = 90 * DAY_MS;
/** What COUNT or RDATE ends, by an estimate, is remembered at least as long as the ledger. */
const SERIES_MS = 400 * DAY_MS;
/** A series without end; and nobody answers a meeting of the year 9999. */
const MAX_KEEP_MS = 4000 * DAY_MS;
/** Components of one meeting whose words are kept; a series has rarely more overrides. */
const MAX_TOLD = 50;
const MAX_TOLD_ATTENDEES = 100;

/** Facts of an object's components, the master first, each with its RECURRENCE-ID ('' for the series). */
type Keyed = readonly (readonly [recurrenceId: string, facts: EventFacts])[];

const readOnce = new WeakMap<SchedulingObject, Keyed>();
/** Messages whose meeting has been handed to the journal. */
const journaled = new WeakSet<Message>();

/** As {@link eventFacts}, read once for all recipients of a message. */
export function factsOf(object: SchedulingObject): Keyed {
  const known = readOnce.get(object);
  if (known !== undefined) return known;
  const facts = eventFacts(object);
  const ids = object.instances.map(({ recurrenceId }) => recurrenceId);
  const ordered = [...ids.filter((id) => id === ''), ...ids.filter((id) => id !== '')];
  const keyed = facts.map((one, index) => [ordered[index] ?? '', one] as const);
  readOnce.set(object, keyed);
  return keyed;
}

/** What had been told of a component before this message, by RECURRENCE-ID; undefined where nothing had. */
export function toldBefore(
  meeting: Meeting | undefined,
  { id }: Pick<Message, 'id'>,
  recurrenceId: string,
): EventFacts | undefined {
  const told = meeting?.told[recurrenceId] as Told | undefined;
  if (told === undefined) return undefined;
  if (told.toldIn === id) return told.before;
  // Told in a later message: what this one changed cannot be said any more.
  if (told.toldIn > id) return undefined;
  const { toldIn: _, before: __, ...facts } = told;
  return facts;
}

/**
 * What the journal learns of a delivery that was made: the meeting, once for each message, when a calendar server of
 * ours sent what its ORGANIZER says; that this recipient's copy left, by which address and under which id; and what a
 * REPLY said that was posted.
 * @returns undefined when it is nothing to remember
 */
export function journalEntry(
  context: FlowContext,
  message: Message,
  object: SchedulingObject,
  result: Result,
): JournalEntry | undefined {
  const isOrganizers = message.origin === 'inside' && !isByAttendee(object.method);
  const answered = result.delivery.kind === 'post' ? answerIn(object, result) : undefined;
  if (!isOrganizers && result.sent?.token === undefined) return answered === undefined ? undefined : { answered };
  const now = context.clock();
  // What somebody outside sends is here for its bounce alone, however far away he puts its end.
  const keepUntil = message.origin === 'inside' ? keepUntilOf(context, object, now) : now + journalMsOf(context);
  const meeting = isOrganizers && !journaled.has(message) ? meetingOf(context, message, object, keepUntil) : undefined;
  // Where this is not committed, its delivery is claimed once more, with the message read anew.
  journaled.add(message);
  const sending = sendingOf(context, message, object, result, now, keepUntil);
  const entry: JournalEntry = {
    ...(meeting === undefined ? {} : { meeting }),
    ...(sending === undefined ? {} : { sending }),
    ...(answered === undefined ? {} : { answered }),
  };
  return Object.keys(entry).length === 0 ? undefined : entry;
}

/** What a posted REPLY says, by the address that its ORGANIZER invited. */
function answerIn(object: SchedulingObject, { decision }: Result): JournalEntry['answered'] {
  const answered = answeredBy(object);
  const author = decision?.post.kind === 'post' ? decision.post.author : undefined;
  return answered === undefined || author === undefined ? answered : { ...answered, attendee: author.to };
}

function meetingOf(
  { store }: FlowContext,
  message: Message,
  object: SchedulingObject,
  keepUntil: number,
): Meeting | undefined {
  const organizer = object.organizer?.mailbox;
  if (organizer === undefined) return undefined;
  const known = store.meeting(object.uid, organizer);
  const told: Record<string, unknown> = { ...known?.told };
  for (const [recurrenceId, facts] of factsOf(object).slice(0, MAX_TOLD)) {
    const last = told[recurrenceId] as Told | undefined;
    if (last !== undefined && last.toldIn >= message.id) continue;
    const before = toldBefore(known, message, recurrenceId);
    // Told last stands last: what goes for lack of room is what was told longest ago.
    delete told[recurrenceId];
    told[recurrenceId] = {
      ...small(facts),
      toldIn: message.id,
      ...(before === undefined ? {} : { before }),
    } satisfies Told;
  }
  return {
    uid: object.uid,
    organizer,
    // Who is mailed answers from where he was: his mail client does not know the URI.
    attendees: object.attendees.flatMap((attendee) => {
      const { partstat } = attendee;
      const address = reachableAt(attendee);
      return address === undefined ? [] : [{ address, ...(partstat === undefined ? {} : { partstat }) }];
    }),
    told: bounded(told),
    keepUntil: Math.max(keepUntil, known?.keepUntil ?? 0),
  };
}

function small(facts: EventFacts): EventFacts {
  return facts.attendees.length <= MAX_TOLD_ATTENDEES ? facts : { ...facts, attendees: [] };
}

function bounded(told: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const entries = Object.entries(told);
  if (entries.length <= MAX_TOLD) return told;
  const overrides = entries.filter(([recurrenceId]) => recurrenceId !== '');
  const series = entries.filter(([recurrenceId]) => recurrenceId === '');
  return Object.fromEntries([...series, ...overrides.slice(series.length - MAX_TOLD)]);
}

function sendingOf(
  { policy }: FlowContext,
  message: Message,
  object: SchedulingObject,
  { delivery, decision, sent }: Result,
  now: number,
  keepUntil: number,
): Sending | undefined {
  const post = decision?.post.kind === 'post' ? decision.post : undefined;
  // Invited as one of a list, he stands in the meeting by the list alone.
  if (delivery.list !== undefined || post?.member !== undefined) return undefined;
  const { recipient } = delivery;
  return {
    token: sent?.token ?? `${message.id}.${delivery.id}`,
    uid: object.uid,
    recurrenceIds: [...new Set(object.instances.map(({ recurrenceId }) => recurrenceId))].slice(0, MAX_TOLD),
    sequence: Math.max(...object.instances.map(({ sequence }) => sequence), 0),
    method: object.method,
    attendee: post?.rewrite ?? spelledAs(object, recipient, policy.subAddressSeparators),
    organizer: object.organizer?.mailbox ?? authorOf(object) ?? message.envelope.reversePath,
    sentTo: post?.recipient ?? recipient,
    reversePath: message.envelope.reversePath,
    messageId: sent?.messageId ?? '',
    queueId: message.id,
    sentAt: now,
    keepUntil,
  };
}

type Spellings = { readonly own: ReadonlyMap<string, string>; readonly bases: ReadonlyMap<string, string> };

/** Of a thousand recipients each would look at a thousand attendees. */
const spellings = new WeakMap<SchedulingObject, Spellings>();

/** The mailbox of a recipient as the object has it: his own, or the one that his is a sub-address of, or the other way. */
export function spelledAs(object: SchedulingObject, recipient: string, separators: string): string {
  let known = spellings.get(object);
  if (known === undefined) {
    const mailboxes = object.attendees.flatMap(({ mailbox }) => mailbox ?? []).reverse();
    known = {
      own: new Map(mailboxes.map((mailbox) => [addressKey(mailbox), mailbox])),
      bases: new Map(mailboxes.map((mailbox) => [baseOf(mailbox, separators), mailbox])),
    };
    spellings.set(object, known);
  }
  return known.own.get(addressKey(recipient)) ?? known.bases.get(baseOf(recipient, separators)) ?? recipient;
}

function baseOf(address: string, separators: string): string {
  return addressKey(splitSubAddress(address, separators)?.base ?? address);
}

function journalMsOf({ outbound }: FlowContext): number {
  return outbound?.journalMs ?? DEFAULT_JOURNAL_MS;
}

function keepUntilOf(context: FlowContext, object: SchedulingObject, now: number): number {
  const journalMs = journalMsOf(context);
  const endsAt = object.endsAtMs ?? seriesEnd(object, now);
  const longest = now + Math.max(journalMs, MAX_KEEP_MS);
  return Math.min(longest, Math.max(now, endsAt) + journalMs);
}

/** When the last instance is over, by UNTIL or COUNT; a series without end, as far as anything is kept. */
function seriesEnd(object: SchedulingObject, now: number): number {
  let latest = now;
  for (const [, { rule, end, moreDates }] of factsOf(object)) {
    const first = Math.max(now, end?.atMs ?? now);
    // Dates of RDATE are not read here.
    latest = Math.max(latest, moreDates === true ? first + SERIES_MS : first);
    if (rule === undefined) continue;
    const until = parseDateTime(partOf(rule, 'UNTIL') ?? '');
    latest = Math.max(latest, until?.localMs ?? first + countedMs(rule));
  }
  return latest;
}

/** How long the instances that COUNT gives go on: at least one falls into each step of the rule, but for odd ones. */
function countedMs(rule: string): number {
  const count = Number.parseInt(partOf(rule, 'COUNT') ?? '', 10);
  const interval = Number.parseInt(partOf(rule, 'INTERVAL') ?? '1', 10);
  const days = STEP_DAYS[partOf(rule, 'FREQ')?.toUpperCase() ?? ''] ?? 1;
  const span = count * interval * days * DAY_MS;
  return Number.isFinite(span) ? Math.max(span, SERIES_MS) : MAX_KEEP_MS;
}

const STEP_DAYS: Readonly<Record<string, number>> = { YEARLY: 366, MONTHLY: 31, WEEKLY: 7 };

function partOf(rule: string, name: string): string | undefined {
  return new RegExp(`(?:^|;)${name}=([^;]*)`, 'i').exec(rule)?.[1];
}
