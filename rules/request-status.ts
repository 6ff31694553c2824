import type { Decision } from '../src/mail/disposition.ts';
import type { Outcome } from '../src/mail/outcome.ts';
import type { PermanentStatus, SuccessStatus, TransientStatus } from '../src/mail/status.ts';
import type { DeliveryKind, DeliveryState } from '../src/queue/store.ts';
import type { SentStatus } from './peer.ts';

/** A REQUEST-STATUS value taken apart (RFC 5545 §3.8.8.3). */
export type RequestStatus = {
  /** `2.0`, `3.7`, `3.10` or with a third number. */
  readonly code: string;
  readonly description: string;
};

/** What a REQUEST-STATUS code means for the post that it answers. */
export type RequestStatusVerdict =
  | { readonly kind: 'delivered'; readonly status: SuccessStatus; readonly reason: string }
  | { readonly kind: 'deferred'; readonly status: TransientStatus; readonly reason: string }
  | { readonly kind: 'failed'; readonly status: PermanentStatus; readonly reason: string };

type Refusal = readonly [PermanentStatus, string];

// Codes that say more than their class does (RFC 5546 §3.6, RFC 6638 §3.2.9).
const REFUSALS: Readonly<Record<string, Refusal>> = {
  '3.7': ['5.1.1', 'the calendar server knows no such user'],
  '3.8': ['5.7.1', 'the calendar server gives the originator no authority'],
  '3.10': ['5.3.4', 'the calendar object is too large for the calendar server'],
  // Bedework's `4.2;No Access`, which no specification has.
  '4.2': ['5.7.1', 'the calendar server gives the originator no authority'],
  '5.0': ['5.3.3', 'the calendar server does not support the request'],
  '5.2': ['5.3.0', 'the calendar server has no service for the request'],
  '5.3': ['5.2.1', 'the user has no scheduling at the calendar server'],
};
const DATA_REFUSED: Refusal = ['5.6.0', 'the calendar server refused the calendar object'];
const CONFLICT: Refusal = ['5.2.0', 'the calendar server reported a scheduling conflict'];

/** @returns undefined when the text does not begin with a status code */
export function parseRequestStatus(text: string): RequestStatus | undefined {
  const match = /^\s*(\d{1,3}(?:\.\d{1,3}){1,2})\s*(?:;([^;]*)|$)/.exec(text);
  return match?.[1] === undefined ? undefined : { code: match[1], description: (match[2] ?? '').trim() };
}

/**
 * The meaning of a code. Only 5.1 may pass by itself; 3.x, 4.x, 5.0, 5.2 and 5.3 stay as they are however often the
 * post is repeated.
 * @param code `major.minor` or `major.minor.detail`; the detail is not looked at
 * @returns undefined for a code that no specification gives a meaning to
 */
export function judgeRequestStatus(code: string): RequestStatusVerdict | undefined {
  const [major, minor] = code.split('.');
  if (major === '1' || major === '2') {
    return { kind: 'delivered', status: '2.0.0', reason: 'the calendar server took it' };
  }
  const key = `${major}.${minor}`;
  if (key === '5.1') return { kind: 'deferred', status: '4.3.2', reason: 'the calendar service is not available' };
  const refusal = REFUSALS[key] ?? (major === '3' ? DATA_REFUSED : major === '4' ? CONFLICT : undefined);
  return refusal === undefined ? undefined : { kind: 'failed', status: refusal[0], reason: refusal[1] };
}

/** What is known of one recipient of a post to us when it is answered, or answered again. */
export type DeliveryFacts = {
  /** `mail`: what went out in place of a post. */
  readonly kind: DeliveryKind;
  readonly state: DeliveryState;
  readonly outcome?: Outcome;
  /** The latest. */
  readonly decision?: Pick<Decision, 'post' | 'rule'>;
};

/** REQUEST-STATUS of one recipient; `description` has no `;`. */
export type StatusAnswer = { readonly code: string; readonly description: string; readonly detail?: string };

/** RFC 5546 §3.6, RFC 6638 §3.2.9. */
const WORDS: Readonly<Record<string, string>> = {
  '1.0': 'Pending',
  '1.1': 'Sent',
  '1.2': 'Delivered',
  '2.0': 'Success',
  '3.0': 'Invalid property name',
  '3.1': 'Invalid property value',
  '3.2': 'Invalid property parameter',
  '3.3': 'Invalid property parameter value',
  '3.4': 'Invalid calendar component sequence',
  '3.5': 'Invalid date or time',
  '3.6': 'Invalid rule',
  '3.7': 'Invalid calendar user',
  '3.8': 'No authority',
  '3.9': 'Unsupported version',
  '3.10': 'Request entity too large',
  '3.11': 'Required component or property missing',
  '3.12': 'Unknown component or property found',
  '3.13': 'Unsupported component or property found',
  '3.14': 'Unsupported capability',
  '4.0': 'Event conflict',
  '5.0': 'Request not supported',
  '5.1': 'Service unavailable',
  '5.2': 'Invalid calendar service',
  '5.3': 'No scheduling support for user',
};
const CLASS_WORDS: Readonly<Record<string, string>> = {
  '1': 'Pending',
  '2': 'Success',
  '3': 'Invalid request',
  '4': 'Event conflict',
  '5': 'Service failure',
};

/** By enhanced status, exact or `class.subject`: what a refusal is to the server that posted. */
const REFUSED_AS: Readonly<Record<string, string>> = {
  '5.1': '3.7',
  '5.1.7': '3.8',
  '5.1.8': '3.8',
  '5.2': '5.3',
  '5.2.0': '4.0',
  '5.2.3': '3.10',
  '5.3.3': '5.0',
  '5.3.4': '3.10',
  '5.4.7': '5.1',
  '5.6': '3.1',
  '5.6.7': '3.7',
  '5.7': '3.8',
};

/** Rules that say more than the status they are refused with. */
const REFUSED_BY_RULE: Readonly<Record<string, string>> = { 'method-not-taken': '3.14' };

/**
 * What a recipient of a post is answered: the word of his own server where there is one, else what became of him here.
 * Nothing is said of names and settings of ours: details are the outcome's, or general.
 * @param sentStatus how this peer is told that a mail has left
 */
export function answerFor(
  { kind, state, outcome, decision }: DeliveryFacts,
  sentStatus: SentStatus = '1.1',
): StatusAnswer {
  switch (state) {
    case 'queued':
      return statusOf(
        '1.0',
        outcome === undefined ? 'It is queued here.' : `It will be tried again${cause(outcome, decision)}`,
      );
    case 'held':
      return statusOf('1.0', pendingDetail(decision));
    case 'delivered':
      if (outcome?.requestStatus !== undefined) return statusOf(outcome.requestStatus);
      return kind === 'mail' ? statusOf(sentStatus, 'It went by mail.') : statusOf('2.0');
    case 'skipped':
      return skipped(decision);
    case 'failed':
      return failed(outcome, decision);
    case 'expired':
      return statusOf('5.1', `It was given up${cause(outcome, decision)}`);
    case 'deleted':
      return statusOf('5.2', 'An operator took it out of the queue.');
  }
}

function skipped(decision: DeliveryFacts['decision']): StatusAnswer {
  if (decision?.post.kind === 'reject') return refusedWith(decision.post.status, decision.rule);
  if (decision?.post.kind === 'mail') return statusOf('1.0', 'It goes by mail.');
  // Stale, a duplicate or the organizer's own: his calendar has what it should have.
  return statusOf('2.0');
}

function failed(outcome: Outcome | undefined, decision: DeliveryFacts['decision']): StatusAnswer {
  if (outcome?.requestStatus !== undefined) return statusOf(outcome.requestStatus, sentence(outcome.reason));
  const status =
    outcome?.kind === 'failed' ? outcome.status : decision?.post.kind === 'reject' ? decision.post.status : '';
  const isDecided = decision?.post.kind === 'reject';
  const { code } = refusedWith(status, decision?.rule ?? '');
  return isDecided || outcome === undefined ? statusOf(code) : statusOf(code, sentence(outcome.reason));
}

function refusedWith(status: string, rule: string): StatusAnswer {
  const subject = status.split('.', 2).join('.');
  return statusOf(REFUSED_BY_RULE[rule] ?? REFUSED_AS[status] ?? REFUSED_AS[subject] ?? '5.2');
}

/** Why an attempt came to nothing, where it was one: our own deferrals name settings of ours. */
function cause(outcome: Outcome | undefined, decision: DeliveryFacts['decision']): string {
  return outcome === undefined || decision?.post.kind === 'defer' ? '.' : `: ${outcome.reason}.`;
}

function pendingDetail(decision: DeliveryFacts['decision']): string {
  return decision?.rule === 'moving'
    ? 'It waits until the user has been moved to another calendar server.'
    : 'It is held for an administrator to look at.';
}

/** A status code in the words of its specification; one that none of them has, in those of its class. */
export function statusOf(code: string, detail?: string): StatusAnswer {
  const known = code.split('.', 2).join('.');
  const description = WORDS[known] ?? CLASS_WORDS[code.charAt(0)] ?? 'Unknown status';
  return { code, description, ...(detail === undefined ? {} : { detail }) };
}

function sentence(reason: string): string {
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
}
