import { isByAttendee, isMethod } from '../src/itip/message.ts';
import type { DsnEntry } from '../src/itip/person.ts';
import { sameAddress } from '../src/mail/address.ts';
import type { PermanentStatus, Status } from '../src/mail/status.ts';
import type { Sending } from '../src/queue/store.ts';

/** What is known of a message that came to a VERP address of ours. */
export type ReturnFacts = {
  /** What its delivery report says (RFC 3464); absent when it is none, whatever a mailer daemon wrote in its text. */
  readonly dsn?: readonly DsnEntry[];
  /** The sending that the token of the address names; absent when it is forgotten, or was not journaled. */
  readonly sending?: Sending;
  /** Envelope sender of what it answers, from the journal or the queue; '' when null, absent when forgotten. */
  readonly sender?: string;
  /** Says of itself that no person wrote it (RFC 3834), or came from the null reverse-path. */
  readonly automatic: boolean;
  /** The invitation is of an organizer elsewhere, and one of ours has passed it on: that is nothing to tell him. */
  readonly forwarded?: boolean;
  /** Came to a VERP address of ours before, or from one. */
  readonly cameBack: boolean;
};

/** What comes of it. */
export type Returned =
  | {
      readonly kind: 'failure';
      /** As it was invited. */
      readonly attendee: string;
      readonly status: Status;
      /** The last word of the MTA that gave up, without its type; '' when it said none. */
      readonly reason: string;
    }
  | { readonly kind: 'pass-on'; readonly to: string; readonly reason: string }
  | { readonly kind: 'done'; readonly reason: string }
  /** A person wrote it, and nobody is there who could get it: he shall know. */
  | { readonly kind: 'refused'; readonly status: PermanentStatus; readonly reason: string };

/** A diagnostic is for a person: one long enough to hold a policy text with its address, and no longer. */
const MAX_REASON = 300;

/**
 * Judges what came to a VERP address: the failure report of one invitation, or anything else, which goes on to whom the
 * invitation's envelope named as its sender. The token names the attendee: the report may name him by an address that
 * his was forwarded to.
 */
export function judgeReturn(facts: ReturnFacts): Returned {
  const { dsn, sending, sender, automatic, cameBack } = facts;
  if (cameBack) return { kind: 'done', reason: 'it has been returned here before' };
  const entry = dsn === undefined || sending === undefined ? undefined : entryFor(dsn, sending);
  // The failure of an answer concerns whoever answered, and his mail server's report is the one he knows.
  const isInvitation = sending !== undefined && isMethod(sending.method) && !isByAttendee(sending.method);
  if (isInvitation && facts.forwarded !== true && entry?.action === 'failed')
    return { kind: 'failure', attendee: sending.attendee, status: statusOf(entry), reason: diagnosticOf(entry) };
  const what = describe(facts, entry);
  if (sender !== undefined && sender !== '') return { kind: 'pass-on', to: sender, reason: what };
  const nobody = sender === undefined ? 'what it answers is not remembered' : 'what it answers had no sender';
  return automatic || dsn !== undefined
    ? { kind: 'done', reason: `${what}, and ${nobody}` }
    : { kind: 'refused', status: '5.1.1', reason: `no such address: ${nobody}` };
}

/** REQUEST-STATUS of a failure: an address that cannot be, or a service that did not take it (RFC 5546 §3.6). */
export function requestStatusOf(status: string): '3.7' | '5.1' {
  return /^5\.1\./.test(status) ? '3.7' : '5.1';
}

/** The entry that is about the sending: by its address, else the only one. */
function entryFor(entries: readonly DsnEntry[], { sentTo, attendee }: Sending): DsnEntry | undefined {
  const isHis = ({ finalRecipient, originalRecipient = '' }: DsnEntry): boolean =>
    [sentTo, attendee].some((own) => sameAddress(own, finalRecipient) || sameAddress(own, originalRecipient));
  const his = entries.filter(isHis);
  if (his.length > 0) return his.find(({ action }) => action === 'failed') ?? his[0];
  return entries.length === 1 ? entries[0] : undefined;
}

/**
 * Given up is given up: a queue that ran out of time reports its last temporary status (Postfix: `failed`, 4.4.1). A
 * report without a status, or with one that its action belies, says only that it failed (RFC 3463 §3.1).
 */
function statusOf({ status }: DsnEntry): Status {
  return /^[45]\.\d{1,3}\.\d{1,3}$/.test(status) ? (status as Status) : '5.0.0';
}

function diagnosticOf({ diagnostic = '' }: DsnEntry): string {
  const text = diagnostic
    .replace(/^\s*[a-z0-9-]+\s*;/i, '')
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return text.length <= MAX_REASON ? text : `${text.slice(0, MAX_REASON).trimEnd()}…`;
}

function describe({ dsn, sending, automatic }: ReturnFacts, entry: DsnEntry | undefined): string {
  if (entry !== undefined) return `a delivery report: ${entry.action === '' ? 'no action' : entry.action}`;
  if (dsn !== undefined) return sending === undefined ? 'a delivery report' : 'a delivery report for others';
  return automatic ? 'an automatic message, no failure report' : 'a message, no failure report';
}
