import { isAscii } from 'node:buffer';
import { judgeRecipient } from '../../rules/recipient.ts';
import type { Lookup } from '../directory/directory.ts';
import { Examiner } from '../itip/extract.ts';
import type { Examination } from '../itip/message.ts';
import { addressKey, domainOf, parseAddress } from '../mail/address.ts';
import { annotationFields } from '../mail/annotate.ts';
import type { EnvelopeRecipient } from '../mail/envelope.ts';
import { MAX_HEADER_BYTES, scanHeader, withoutFields } from '../mail/header.ts';
import { isOwnReceived } from '../mail/received.ts';
import { type Reply, reply } from '../mail/status.ts';
import type { BodyWriter, Claim, Message, NewDelivery, StoredBody } from '../queue/store.ts';
import type { Acceptor, Incoming, ListenerFacts, RecipientVerdict } from './acceptor.ts';
import { attempt } from './attempt.ts';
import type { FlowContext, ReportLine } from './context.ts';
import { lookUp } from './posts.ts';
import { Session, type SessionResult } from './sessions.ts';
import { awaited, toldOf } from './settle.ts';

/** What intake needs beside the flow's context. */
export type AcceptOptions = {
  readonly replyWaitMs: number;
  /** A message is refused as looping when ours would be its Nth own Received line. */
  readonly maxOwnReceived: number;
  /** The same for Received lines of anybody. */
  readonly maxReceived: number;
  /** Runs a claim within the limit on messages in flight. @returns false when there is no room now */
  readonly run: (claim: Claim, job: (signal: AbortSignal) => Promise<void>) => boolean;
  readonly hasRoom: () => boolean;
};

/**
 * How long the commit waits for the directory to say whose calendars these are. Only the order of posts profits from
 * it (a post of a user not yet known waits for every other post of its UID), so a slow directory is not waited for.
 */
const IDENTIFY_WAIT_MS = 500;

/** From the end of RCPT to the reply after DATA: everything that stands before the queue. */
export function createAcceptor(context: FlowContext, options: AcceptOptions): Acceptor {
  const ownFields = annotationFields(context.annotation);
  return {
    recipient: (listener, recipient, signal) => judge(context, listener, recipient, signal),
    message: (incoming) => take(context, options, ownFields, incoming),
  };
}

async function judge(
  context: FlowContext,
  listener: ListenerFacts,
  recipient: EnvelopeRecipient,
  signal: AbortSignal,
): Promise<RecipientVerdict> {
  if (isPostmaster(recipient.address)) return { kind: 'accepted', recipient };
  switch (listener.mode) {
    case 'filter':
      return { kind: 'accepted', recipient };
    case 'copy': {
      const parts = parseAddress(recipient.address);
      const domain = parts === undefined ? undefined : listener.copyDomains.get(parts.domain);
      // A duplicate for a domain nobody named: the MTA's set-up is at fault, and a bounce of a copy helps no one.
      if (parts === undefined || domain === undefined)
        context.log.warn(
          { listener: listener.name, to: recipient.address },
          'copy for a domain that copy-domains does not name',
        );
      return {
        kind: 'accepted',
        recipient:
          parts === undefined || domain === undefined
            ? recipient
            : { ...recipient, address: `${parts.local}@${domain}` },
      };
    }
    case 'final':
      return judgeFinal(context, recipient, signal);
  }
}

/** `final`: the calendar is all there is, so whoever has none is refused here. */
async function judgeFinal(
  context: FlowContext,
  recipient: EnvelopeRecipient,
  signal: AbortSignal,
): Promise<RecipientVerdict> {
  const refuse = (status: Reply['status'], text: string): RecipientVerdict => ({
    kind: 'refused',
    reply: reply(status, `<${recipient.address}> ${text}`),
  });
  const lookup = await lookUp(context, recipient.address, signal);
  if (lookup === undefined) return refuse('5.7.1', 'relaying denied: not a domain of this gateway');
  const verdict = judgeRecipient(lookup);
  switch (verdict.kind) {
    case 'user':
      return verdict.entry.calendar ? { kind: 'accepted', recipient } : refuse('5.2.1', 'has no calendar');
    case 'ambiguous':
      return { kind: 'accepted', recipient };
    case 'unknown':
      return refuse('5.1.1', 'no such calendar');
    case 'silent':
      context.log.warn({ to: recipient.address, reason: verdict.reason }, 'directory does not answer');
      return refuse('4.4.3', 'directory does not answer, try again later');
    case 'inactive':
      return refuse('4.2.1', 'calendar is inactive');
    case 'disabled':
      return refuse('5.2.1', 'calendar is disabled');
    case 'list':
      return refuse('5.2.1', 'is a list, which has no calendar');
  }
}

async function take(
  context: FlowContext,
  options: AcceptOptions,
  ownFields: ReadonlySet<string>,
  incoming: Incoming,
): Promise<readonly Reply[]> {
  const { listener, envelope } = incoming;
  const every = (one: Reply): readonly Reply[] =>
    listener.protocol === 'lmtp' ? envelope.recipients.map(() => one) : [one];
  const receivedAt = context.clock();
  const received = await receive(context, incoming, ownFields);
  if (received.hops.own + 1 >= options.maxOwnReceived || received.hops.all + 1 >= options.maxReceived) {
    await received.discard();
    context.log.warn(
      {
        listener: listener.name,
        messageId: received.messageId,
        ownReceived: received.hops.own,
        received: received.hops.all,
      },
      'mail loop: refused',
    );
    return every(reply('5.4.6', 'too many hops: this message is going round in circles'));
  }
  if (received.hops.own > 0) {
    context.log.warn(
      { listener: listener.name, messageId: received.messageId, ownReceived: received.hops.own },
      'this message has passed here before: the next hop sends it back to us',
    );
  }

  const { examination } = received;
  const object = examination.kind === 'object' ? examination.object : undefined;
  const id = context.store.newId(receivedAt);
  const calendar = examination.kind === 'object' || examination.calendar;
  const message: Message = {
    id,
    receivedAt,
    listener: listener.name,
    mode: listener.mode,
    origin: listener.origin,
    client: incoming.client,
    envelope,
    size: received.size,
    eightBit: received.eightBit,
    calendar,
    passes: received.hops.own,
    ...(received.messageId === undefined ? {} : { messageId: received.messageId }),
    ...(object === undefined ? {} : { uid: object.uid, method: object.method }),
    ...(object?.endsAtMs === undefined ? {} : { endsAtMs: object.endsAtMs }),
  };
  const known =
    object === undefined ? new Map<number, Lookup>() : await identify(context, envelope.recipients, incoming.signal);
  const claim = options.hasRoom();
  const deliveries = newDeliveries(context, message, object?.uid, known, claim);
  const unexamined = received.size > context.examine.maxExamineBytes;
  if (examination.kind === 'none' && (examination.calendar || unexamined || deliveries.length === 0)) {
    context.log.info({ queueId: id, messageId: message.messageId, reason: examination.reason }, 'nothing to schedule');
  }

  const session = new Session(deliveries.filter((delivery) => delivery.kind === awaited(message)).length);
  const waits = claim && options.replyWaitMs > 0 && listener.mode !== 'copy';
  const body: StoredBody = deliveries.length === 0 ? { kind: 'none' } : await received.store();
  if (deliveries.length === 0) await received.discard();
  const [accepted] = await context.store.accept([{ message, body, deliveries }]).catch(async (error: unknown) => {
    await received.discard();
    throw error;
  });
  context.log.debug({ queueId: id, recipients: envelope.recipients.length }, 'queued');

  const claimed = accepted?.deliveries.filter((delivery) => accepted.claimed.has(delivery.id)) ?? [];
  if (claimed.length > 0) {
    if (waits) context.sessions.set(id, session);
    context.contents.set(id, { examination, ...(body.kind === 'inline' ? { bytes: body.bytes } : {}) });
    const job = (signal: AbortSignal): Promise<void> =>
      attempt(context, { message, deliveries: claimed }, signal, known).finally(() => context.contents.delete(id));
    if (!options.run({ message, deliveries: claimed }, job)) {
      context.contents.delete(id);
      context.sessions.delete(id);
      return every(reply('2.6.0', `queued as ${id}`));
    }
  } else if (deliveries.length > 0) {
    context.poke();
  }
  const queued = reply('2.6.0', `queued as ${id}`);
  if (!waits || claimed.length === 0) return every(queued);
  const results = await session.close(options.replyWaitMs, incoming.signal);
  context.sessions.delete(id);
  return answer(context, message, listener, results, queued);
}

type Received = {
  readonly examination: Examination;
  readonly messageId: string | undefined;
  readonly size: number;
  readonly eightBit: boolean;
  readonly hops: { readonly own: number; readonly all: number };
  /** fsyncs what is not in memory. */
  store(): Promise<StoredBody>;
  discard(): Promise<void>;
};

/** Reads the content once: into the queue's body writer and the examiner at the same time. */
async function receive(context: FlowContext, incoming: Incoming, ownFields: ReadonlySet<string>): Promise<Received> {
  const writer = context.store.openBody();
  const examiner = new Examiner(context.examine);
  let size = 0;
  let eightBit = false;
  const feed = async (chunk: Buffer): Promise<void> => {
    size += chunk.length;
    eightBit ||= !isAscii(chunk);
    const examining = examiner.write(chunk);
    await writer.write(chunk);
    if (examining !== undefined) await examining;
  };
  let header: ReturnType<typeof scanHeader> | undefined;
  let head: Buffer[] = [];
  let headSize = 0;
  const feedHead = async (): Promise<void> => {
    const whole = head.length === 1 && head[0] !== undefined ? head[0] : Buffer.concat(head);
    head = [];
    header = scanHeader(whole);
    await feed(withoutFields(whole, ownFields));
  };
  try {
    for await (const chunk of incoming.content) {
      if (header !== undefined) {
        await feed(chunk);
        continue;
      }
      head.push(chunk);
      headSize += chunk.length;
      if (headSize > MAX_HEADER_BYTES || endsHeader(head)) await feedHead();
    }
    if (header === undefined) await feedHead();
  } catch (error) {
    examiner.destroy();
    await writer.abort();
    throw error;
  }
  const fields = header?.fields ?? [];
  const hops = fields.filter((field) => field.name === 'received');
  return {
    examination: await examination(examiner),
    messageId: fields.find((field) => field.name === 'message-id')?.value.trim(),
    size,
    eightBit,
    hops: { own: hops.filter((field) => isOwnReceived(field.value, context.hostname)).length, all: hops.length },
    store: () => writer.finish(),
    discard: () => discard(writer),
  };
}

async function discard(writer: BodyWriter): Promise<void> {
  await writer.abort();
}

/** A parser that breaks makes a decision, mail only; nothing stands between the message and the queue. */
async function examination(examiner: Examiner): Promise<Examination> {
  try {
    return await examiner.finish();
  } catch (error) {
    return {
      kind: 'none',
      reason: `could not be examined: ${error instanceof Error ? error.message : String(error)}`,
      calendar: true,
    };
  }
}

/** Whether an empty line stands in what has come so far; looks back over the border of chunks. */
function endsHeader(head: readonly Buffer[]): boolean {
  const last = head.at(-1);
  if (last === undefined) return false;
  if (last.includes('\r\n\r\n')) return true;
  if (head.length === 1) return last.indexOf('\r\n') === 0;
  const border = Buffer.concat([...head.slice(0, -1).map((chunk) => chunk.subarray(-3)), last.subarray(0, 3)]);
  return border.includes('\r\n\r\n');
}

/** Asks the directory for every recipient of our own at once, for as long as the commit may wait. */
async function identify(
  context: FlowContext,
  recipients: readonly EnvelopeRecipient[],
  signal: AbortSignal,
): Promise<Map<number, Lookup>> {
  const known = new Map<number, Lookup>();
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, IDENTIFY_WAIT_MS);
  const asked = recipients.map(async ({ address }, position) => {
    const lookup = await lookUp(context, address, signal);
    if (lookup !== undefined) known.set(position, lookup);
  });
  await Promise.race([Promise.all(asked), over.promise]);
  clearTimeout(timer);
  return new Map(known);
}

function newDeliveries(
  context: FlowContext,
  message: Message,
  uid: string | undefined,
  known: ReadonlyMap<number, Lookup>,
  claim: boolean,
): NewDelivery[] {
  const { mode, envelope, receivedAt } = message;
  return envelope.recipients.flatMap(({ address }, position): NewDelivery[] => {
    const common = { position, dueAt: receivedAt, claim };
    const ours = context.policy.domains.has(domainOf(address));
    const mail: NewDelivery = { ...common, kind: 'mail', route: ours ? 'next-hop' : 'smart-host' };
    if (mode === 'final' && isPostmaster(address)) return [mail];
    const lookup = known.get(position);
    const user = ours
      ? lookup?.kind === 'found'
        ? addressKey(lookup.entries[0].mail)
        : undefined
      : addressKey(address);
    const post: NewDelivery = {
      ...common,
      kind: 'post',
      route: 'calendar',
      ...(uid === undefined ? {} : { uid }),
      ...(user === undefined ? {} : { user }),
    };
    if (uid === undefined) return mode === 'filter' ? [mail] : mode === 'final' ? [post] : [];
    return mode === 'filter' ? [post, mail] : [post];
  });
}

/** The session's reply: what is known by now; failures it does not tell go out by DSN (RFC 5321 §6.1, RFC 2033 §4.2). */
async function answer(
  context: FlowContext,
  message: Message,
  listener: ListenerFacts,
  results: ReadonlyMap<number, SessionResult>,
  queued: Reply,
): Promise<readonly Reply[]> {
  const failures = [...results].filter(([, result]) => result.outcome?.kind === 'failed');
  const refusal = (result: SessionResult | undefined): Reply =>
    result?.outcome?.kind === 'failed' ? reply(result.outcome.status, result.outcome.reason) : queued;
  const { recipients } = message.envelope;
  if (failures.length === 0) return listener.protocol === 'lmtp' ? recipients.map(() => queued) : [queued];
  const toldByReply = listener.protocol === 'lmtp' || failures.length === recipients.length;
  if (toldByReply) {
    await context.store.tell(new Map(failures.map(([, result]) => [result.deliveryId, 'reply'])), []);
    return listener.protocol === 'lmtp'
      ? recipients.map((_, position) => refusal(results.get(position)))
      : [refusal(failures[0]?.[1])];
  }
  await tellByDsn(context, message, failures);
  return [queued];
}

async function tellByDsn(
  context: FlowContext,
  message: Message,
  failures: readonly (readonly [number, SessionResult])[],
): Promise<void> {
  const stored = context.store.message(message.id);
  const lines = failures.flatMap(([, result]): ReportLine[] => {
    const delivery = stored?.deliveries.find((one) => one.id === result.deliveryId);
    if (delivery === undefined || result.outcome === undefined) return [];
    return toldOf(message, delivery, 'failed', result.outcome, false)?.told === 'dsn'
      ? [{ delivery, outcome: result.outcome, action: 'failed' }]
      : [];
  });
  const told = new Map(
    failures.map(([, { deliveryId }]) => [
      deliveryId,
      lines.some((line) => line.delivery.id === deliveryId) ? ('dsn' as const) : ('nobody' as const),
    ]),
  );
  await context.store.tell(told, lines.length === 0 ? [] : [await context.report(message, lines)]);
  context.poke();
}

function isPostmaster(address: string): boolean {
  return parseAddress(address)?.local.toLowerCase() === 'postmaster';
}
