import { judgeRecipient } from '../../rules/recipient.ts';
import { domainOf, parseAddress } from '../mail/address.ts';
import type { EnvelopeRecipient } from '../mail/envelope.ts';
import { type Reply, reply } from '../mail/status.ts';
import type { ListenerFacts, RecipientVerdict } from './acceptor.ts';
import type { FlowContext } from './context.ts';
import { lookUp } from './facts.ts';
import { returnAddress } from './returns.ts';

/** What a RCPT is answered, by the listener's mode. */
export async function judgeRcpt(
  context: FlowContext,
  listener: ListenerFacts,
  recipient: EnvelopeRecipient,
  signal: AbortSignal,
): Promise<RecipientVerdict> {
  const returned = returnAddress(context.outbound, recipient.address);
  if (returned?.kind === 'return') return { kind: 'accepted', recipient };
  // In `filter` too: the next hop, where the gateway's address is a sub-addressed mailbox, would take it.
  if (returned?.kind === 'forged' && listener.mode !== 'copy') return refusal(recipient, '5.1.1', 'no such address');
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
    case 'relay':
      throw new TypeError('a post by iSchedule has no RCPT');
  }
}

/** `final`: the calendar is all there is, so whoever has none is refused here. */
async function judgeFinal(
  context: FlowContext,
  recipient: EnvelopeRecipient,
  signal: AbortSignal,
): Promise<RecipientVerdict> {
  const domain = domainOf(recipient.address);
  const refuse = (status: Reply['status'], text: string): RecipientVerdict => refusal(recipient, status, text);
  // Ours only (RFC 5321 §4.5.1): whoever has that name elsewhere is an outsider like any other.
  const isOurs = context.policy.domains.has(domain) || domain === context.hostname.toLowerCase();
  if (isOurs && isPostmaster(recipient.address)) return { kind: 'accepted', recipient };
  const lookup = await lookUp(context, recipient.address, signal);
  if (lookup === undefined) return refuse('5.7.1', 'relaying denied: not a domain of this gateway');
  const verdict = judgeRecipient(lookup, context.policy.catchAll);
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

function refusal({ address }: EnvelopeRecipient, status: Reply['status'], text: string): RecipientVerdict {
  return { kind: 'refused', reply: reply(status, `<${address}> ${text}`) };
}

/** RFC 5321 §4.5.1. */
export function isPostmaster(address: string): boolean {
  return parseAddress(address)?.local.toLowerCase() === 'postmaster';
}
