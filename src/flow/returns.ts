import { judgeReturn, type Returned } from '../../rules/returned.ts';
import type { Outbound } from '../imip/mail.ts';
import { readDsn } from '../itip/person.ts';
import { isNullReversePath } from '../mail/envelope.ts';
import { scanHeader } from '../mail/header.ts';
import { isOwnReceived } from '../mail/received.ts';
import { readToken, tokenIn } from '../mail/verp.ts';
import type { Delivery, Message, Sending, Store } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import type { Result } from './settle.ts';
import { isForwarded, tellFailure } from './tell-organizer.ts';
import { Turns } from './turns.ts';

/** What an address is that looks like a VERP address of ours. `forged`: its token is none that we made. */
export type ReturnAddress =
  | { readonly kind: 'return'; readonly token: string; readonly queueId: string; readonly position: number }
  | { readonly kind: 'forged' };

/** @returns undefined for any other address, the gateway's own included */
export function returnAddress(outbound: Outbound | undefined, address: string): ReturnAddress | undefined {
  const token = outbound === undefined ? undefined : tokenIn(address, outbound.address);
  if (outbound === undefined || token === undefined) return undefined;
  const target = readToken(outbound.secret, token);
  return target === undefined ? { kind: 'forged' } : { kind: 'return', token, ...target };
}

/** Whether this mail goes to another than it came for, from a VERP address or from the gateway's own: it keeps its bytes. */
export function isPassedOn({ envelope }: Message, { kind, route, position, recipient, list }: Delivery): boolean {
  if (kind !== 'mail' || route === 'return' || list !== undefined) return false;
  const came = envelope.recipients[position]?.address;
  return came !== undefined && came !== recipient;
}

/** A report stands before what it quotes: more of it says nothing new, and takes time to take apart. */
const MAX_READ = 256 * 1024;
/** Automatic mail that asks for no more of its kind, by the words in use before and beside RFC 3834. */
const AUTOMATIC_PRECEDENCE = /^(?:bulk|junk|list|auto_reply)\b/i;

/** Reports of one sending wait for one another, so that the second finds what the first has written. */
const turnsOf = new WeakMap<Store, Turns>();

/**
 * Attempts deliveries of what came to VERP addresses: finds out what each is, and settles it.
 * @param done called with each delivery's result as soon as it is known
 */
export async function takeReturns(
  context: FlowContext,
  message: Message,
  deliveries: readonly Delivery[],
  done: (results: readonly Result[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  if (deliveries.length === 0) return;
  const turns = turnsOf.get(context.store) ?? new Turns();
  turnsOf.set(context.store, turns);
  const content = await beginning(context.store, message);
  for (const delivery of deliveries) {
    const address = returnAddress(context.outbound, delivery.recipient);
    const attempt = async (): Promise<void> =>
      done([await attemptReturn(context, message, delivery, address, content, signal)]);
    await (address?.kind === 'return' ? turns.run(address.token, attempt) : attempt());
  }
}

async function attemptReturn(
  context: FlowContext,
  message: Message,
  delivery: Delivery,
  address: ReturnAddress | undefined,
  content: Buffer,
  signal: AbortSignal,
): Promise<Result> {
  const common = { delivery, channel: 'bounce' as const };
  const { outbound } = context;
  if (outbound === undefined || address?.kind !== 'return') {
    // The secret, or the gateway's address, is another than it was at RCPT.
    const reason = 'no such address: its token is none of this gateway';
    return { ...common, kind: 'outcome', outcome: { kind: 'failed', status: '5.1.1', reason } };
  }
  const sending = context.store.sending(address.token);
  const original = sending === undefined ? context.store.message(address.queueId) : undefined;
  const isUnderWay = original?.deliveries.some(
    ({ kind, position, state }) => kind === 'mail' && position === address.position && state === 'queued',
  );
  if (isUnderWay === true && delivery.attempts === 0) {
    // Faster than our own next hop's answer: the journal will know in a moment.
    const reason = 'what it answers is on its way still';
    return { ...common, kind: 'outcome', outcome: { kind: 'deferred', status: '4.4.5', reason } };
  }
  const sender = sending?.reversePath ?? original?.message.envelope.reversePath;
  const verdict = await judgeContent(context, message, content, sending, sender);
  switch (verdict.kind) {
    case 'done':
      return { ...common, kind: 'skipped', reason: `returned, ended here: ${verdict.reason}` };
    case 'refused':
      return {
        ...common,
        kind: 'outcome',
        outcome: { kind: 'failed', status: verdict.status, reason: verdict.reason },
      };
    case 'pass-on':
      return {
        ...common,
        kind: 'skipped',
        reason: `returned, passed on to ${verdict.to}: ${verdict.reason}`,
        expansion: [
          {
            position: delivery.position,
            recipient: verdict.to,
            kind: 'mail',
            route: 'smart-host',
            dueAt: context.clock(),
            claim: false,
          },
        ],
      };
    case 'failure': {
      const said = `returned, failure for ${verdict.attendee}: ${verdict.status}${verdict.reason === '' ? '' : ` ${verdict.reason}`}`;
      if (sending === undefined || sending.failedAt !== undefined)
        return { ...common, kind: 'skipped', reason: `${said}; the organizer knows already` };
      const { report, how } = await tellFailure(context, outbound, sending, verdict, signal);
      return {
        ...common,
        kind: 'skipped',
        reason: `${said}; ${how}`,
        journal: { failed: { token: sending.token } },
        reports: [report],
      };
    }
  }
}

/** Reads as much of the message as the judgement needs. */
async function judgeContent(
  { outbound, hostname, policy }: FlowContext,
  message: Message,
  content: Buffer,
  sending: Sending | undefined,
  sender: string | undefined,
): Promise<Returned> {
  const { fields } = scanHeader(content);
  const first = (name: string): string => fields.find((field) => field.name === name)?.value ?? '';
  const automatic =
    isNullReversePath(message.envelope) ||
    !/^(?:no\b|$)/i.test(first('auto-submitted')) ||
    AUTOMATIC_PRECEDENCE.test(first('precedence')) ||
    first('x-auto-response-suppress') !== '' ||
    first('x-autoreply') !== '' ||
    first('x-autorespond') !== '';
  const isReturned = (address: string): boolean => returnAddress(outbound, address)?.kind === 'return';
  const cameBack =
    isReturned(message.envelope.reversePath) ||
    fields.some(
      ({ name, value }) =>
        name === 'received' &&
        isOwnReceived(value, hostname) &&
        isReturned(/\sfor\s+<([^<>\s]+)>\s*;/i.exec(value)?.[1] ?? ''),
    );
  const isReport = /^multipart\/report\b/i.test(first('content-type'));
  const dsn = isReport ? (await readDsn(content))?.recipients : undefined;
  return judgeReturn({
    automatic,
    cameBack,
    ...(dsn === undefined ? {} : { dsn }),
    ...(sending === undefined ? {} : { sending, forwarded: isForwarded(policy, sending) }),
    ...(sender === undefined ? {} : { sender }),
  });
}

async function beginning(store: Store, message: Message): Promise<Buffer> {
  if (message.size <= MAX_READ) return store.body(message.id);
  const pieces: Buffer[] = [];
  let size = 0;
  // Leaving the loop ends the stream.
  for await (const piece of store.bodyStream(message.id) as AsyncIterable<Buffer>) {
    pieces.push(piece);
    size += piece.length;
    if (size >= MAX_READ) break;
  }
  return Buffer.concat(pieces, size).subarray(0, MAX_READ);
}
