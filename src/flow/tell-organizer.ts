import type { ReportLine } from '../../channel/channel.ts';
import { homeOf } from '../../rules/coexistence.ts';
import { PROFILES } from '../../rules/data/profiles.ts';
import { userOf } from '../../rules/decide.ts';
import { requestStatusOf } from '../../rules/returned.ts';
import type { EventFacts, Person } from '../imip/event-facts.ts';
import { failureReason } from '../imip/failure-reasons.ts';
import type { Outbound } from '../imip/mail.ts';
import { composeFailureReport } from '../imip/report.ts';
import { chooseLanguage, languageWishes } from '../imip/words/language.ts';
import { wordsFor } from '../imip/words/words.ts';
import { examine } from '../itip/extract.ts';
import { isByAttendee, isMethod } from '../itip/message.ts';
import { composeStatusReply } from '../itip/status-reply.ts';
import { addressKey, domainOf, sameAddress } from '../mail/address.ts';
import { composeImip } from '../mail/compose-imip.ts';
import { hasEightBit } from '../mail/header.ts';
import type { Outcome } from '../mail/outcome.ts';
import { isAscii } from '../mail/xtext.ts';
import type { Delivery, Message, NewDelivery, NewMessage, Sending } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import { lookUp, onlyEntry } from './facts.ts';
import { factsOf, spelledAs } from './journal.ts';

/** What an organizer is told of: his invitation, and why it did not arrive. */
type Undelivered = Pick<
  Sending,
  'uid' | 'method' | 'organizer' | 'attendee' | 'sentTo' | 'recurrenceIds' | 'sequence' | 'messageId'
> & {
  /** Of the components that were sent, the master first; empty where they are not known any more. */
  readonly facts: readonly EventFacts[];
  readonly status: string;
  /** The mail server's own words; '' when there are none. */
  readonly said: string;
};

/** Where his calendar server is found out; a directory that takes longer has him told by mail. */
const LOOKUP_MS = 5_000;

/**
 * Tells the organizer that what the journal calls a sending came back as failed.
 * @returns the message that tells him, and for the log by which way it does
 */
export async function tellFailure(
  context: FlowContext,
  outbound: Outbound,
  sending: Sending,
  failure: { readonly status: string; readonly reason: string },
  signal: AbortSignal,
): Promise<{ readonly report: NewMessage; readonly how: string }> {
  const told = context.store.meeting(sending.uid, sending.organizer)?.told ?? {};
  const { method } = sending;
  const ids = sending.recurrenceIds.toSorted((a, b) => Number(a !== '') - Number(b !== ''));
  // The journal has what was told last, which may have been to cancel what came back.
  const facts = ids.flatMap((id): EventFacts[] => {
    const last = told[id] as EventFacts | undefined;
    return last === undefined ? [] : [isMethod(method) ? { ...last, method } : last];
  });
  return tell(context, outbound, { ...sending, facts, status: failure.status, said: failure.reason }, signal);
}

/**
 * Reports failures of a message to whoever shall know: by a DSN to its sender; of an invitation that left a calendar
 * server of ours to its organizer, as when it had come back later.
 */
export async function reportFailures(
  context: FlowContext,
  message: Message,
  lines: readonly ReportLine[],
): Promise<readonly NewMessage[]> {
  const reports: NewMessage[] = [];
  const others: ReportLine[] = [];
  for (const line of lines) {
    const { delivery, outcome, action } = line;
    const report = action === 'failed' ? await returnedBySmartHost(context, message, delivery, outcome) : undefined;
    if (report === undefined) others.push(line);
    else reports.push(report);
  }
  if (others.length > 0) reports.push(await context.report(message, others));
  return reports;
}

/** @returns undefined when it is not an invitation of ours: then its sender gets a DSN as for any mail */
async function returnedBySmartHost(
  context: FlowContext,
  message: Message,
  delivery: Delivery,
  outcome: Outcome,
): Promise<NewMessage | undefined> {
  const { outbound, store, contents, policy } = context;
  if (outbound === undefined || message.origin !== 'inside' || delivery.kind !== 'mail') return undefined;
  if (message.method === undefined || !isMethod(message.method) || isByAttendee(message.method)) return undefined;
  if (isInCalendar(context, message, delivery)) return undefined;
  const examination =
    contents.get(message.id)?.examination ?? (await examine(await store.body(message.id), context.examine));
  const object = examination.kind === 'object' ? examination.object : undefined;
  const organizer = object?.organizer?.mailbox;
  if (object === undefined || organizer === undefined) return undefined;
  if (isForwarded(policy, { organizer, reversePath: message.envelope.reversePath })) return undefined;
  const { report, how } = await tell(
    context,
    outbound,
    {
      uid: object.uid,
      method: object.method,
      organizer,
      attendee: spelledAs(object, delivery.recipient, policy.subAddressSeparators),
      sentTo: delivery.recipient,
      recurrenceIds: object.instances.map(({ recurrenceId }) => recurrenceId),
      sequence: Math.max(0, ...object.instances.map(({ sequence }) => sequence)),
      messageId: '',
      facts: factsOf(object).map(([, facts]) => facts),
      status: outcome.status,
      said: wordsOf(outcome),
    },
    AbortSignal.timeout(LOOKUP_MS),
  );
  context.log.info({ queueId: message.id, to: delivery.recipient, report: report.message.id }, how);
  return report;
}

/** Whether his calendar server has what this mail only tells of, or is to get it. */
function isInCalendar({ store }: FlowContext, { id }: Message, { position }: Delivery): boolean {
  const deliveries = store.message(id)?.deliveries ?? [];
  return deliveries.some(
    (one) =>
      one.kind === 'post' &&
      one.position === position &&
      (one.state === 'delivered' || one.state === 'queued' || one.state === 'held'),
  );
}

/** Whether this is another's invitation, which one of ours has passed on: what becomes of that is for him to know. */
export function isForwarded(
  { domains }: FlowContext['policy'],
  { organizer, reversePath }: Pick<Sending, 'organizer' | 'reversePath'>,
): boolean {
  return !domains.has(domainOf(organizer)) && !sameAddress(organizer, reversePath);
}

/** What the mail server said, without the type of its words. */
function wordsOf({ diagnostic, reason }: Outcome): string {
  return diagnostic?.replace(/^\s*[a-z0-9-]+\s*;\s*/i, '') ?? reason;
}

async function tell(
  context: FlowContext,
  outbound: Outbound,
  undelivered: Undelivered,
  signal: AbortSignal,
): Promise<{ readonly report: NewMessage; readonly how: string }> {
  const { organizer, method } = undelivered;
  const lookup = await lookUp(context, organizer, signal);
  const entry = onlyEntry(lookup);
  const home = entry === undefined && lookup !== undefined ? undefined : homeOf(organizer, entry, context.policy.homes);
  // Of a CANCEL there is nothing to record: he is no attendee any more.
  if (method === 'REQUEST' && home?.kind === 'server' && PROFILES[home.server.profile].recordsStatus) {
    const user = userOf(organizer, lookup, context.policy);
    return {
      report: statusReply(context, undelivered, user),
      how: `its organizer's calendar server is told: REQUEST-STATUS ${requestStatusOf(undelivered.status)}`,
    };
  }
  return {
    report: failureMail(context, outbound, undelivered, entry?.languages),
    how: `its organizer is told by mail: ${organizer}`,
  };
}

/** @param languages what the directory says that the organizer reads */
function failureMail(
  context: FlowContext,
  outbound: Outbound,
  undelivered: Undelivered,
  languages: readonly string[] | undefined,
): NewMessage {
  const { organizer, attendee, status, said, messageId, facts } = undelivered;
  const now = context.clock();
  const queueId = context.store.newId(now);
  const { address, name, templates } = outbound;
  const wishes = languageWishes(outbound, organizer, languages);
  const { language, locale } = chooseLanguage(wishes, templates?.languages);
  const people = facts.flatMap((one) => [one.organizer ?? [], one.attendees].flat());
  const personOf = (mailbox: string): Person =>
    people.find((person) => sameAddress(person.address, mailbox)) ?? { address: mailbox };
  const words = wordsFor(facts, {
    kind: 'failure',
    language: locale,
    recipient: personOf(organizer),
    failure: { attendee: personOf(attendee), reason: failureReason(status, said, language) },
    ...(templates === undefined ? {} : { templates }),
  });
  const bytes = composeFailureReport({
    gateway: { name, address },
    words,
    to: { address: organizer },
    queueId,
    hostname: context.hostname,
    about: messageId,
    now,
  });
  const mail: NewDelivery = { position: 0, kind: 'mail', route: 'smart-host', dueAt: now, claim: false };
  return queueable(context, { queueId, now, to: organizer, bytes, mode: 'filter', delivery: mail });
}

function statusReply(context: FlowContext, undelivered: Undelivered, user: string | undefined): NewMessage {
  const { uid, organizer, attendee, recurrenceIds, sequence = 0, status, said, facts } = undelivered;
  const now = context.clock();
  const queueId = context.store.newId(now);
  const code = requestStatusOf(status);
  const partstat = context.store
    .meeting(uid, organizer)
    ?.attendees.find(({ address }) => addressKey(address) === addressKey(attendee))?.partstat;
  const content = composeStatusReply({
    uid,
    component: facts[0]?.component === 'VTODO' ? 'VTODO' : 'VEVENT',
    organizer,
    attendee,
    ...(partstat === undefined ? {} : { partstat }),
    sequence,
    recurrenceIds,
    status: { code, text: said === '' ? failureReason(status, '', 'en') : said },
    now,
  });
  const bytes = composeImip({
    queueId,
    hostname: context.hostname,
    date: now,
    from: attendee,
    to: [organizer],
    subject: `REQUEST-STATUS ${code}`,
    method: 'REPLY',
    content,
  });
  const post: NewDelivery = {
    position: 0,
    kind: 'post',
    route: 'calendar',
    uid,
    dueAt: now,
    claim: false,
    ...(user === undefined ? {} : { user }),
  };
  const about = { calendar: true, uid, method: 'REPLY' };
  return queueable(context, { queueId, now, to: organizer, bytes, mode: 'relay', delivery: post, about });
}

/** A message of the gateway's own, from the null reverse-path. */
function queueable(
  { hostname }: FlowContext,
  report: {
    readonly queueId: string;
    readonly now: number;
    readonly to: string;
    readonly bytes: Buffer;
    readonly mode: 'filter' | 'relay';
    readonly delivery: NewDelivery;
    readonly about?: Pick<Message, 'calendar' | 'uid' | 'method'>;
  },
): NewMessage {
  const { queueId, now, to, bytes, mode, delivery, about = { calendar: false } } = report;
  const eightBit = hasEightBit(bytes);
  return {
    message: {
      id: queueId,
      receivedAt: now,
      listener: 'returns',
      mode,
      origin: 'inside',
      client: { address: '127.0.0.1', protocol: 'local' },
      envelope: {
        reversePath: '',
        recipients: [{ address: to, received: to }],
        smtpUtf8: !isAscii(to),
        body: eightBit ? '8BITMIME' : '7BIT',
      },
      ...(mode === 'relay' ? {} : { messageId: `<${queueId}@${hostname}>` }),
      size: bytes.length,
      eightBit,
      ...about,
      passes: 0,
    },
    body: { kind: 'inline', bytes },
    deliveries: [delivery],
  };
}
