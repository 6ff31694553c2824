import type { PermanentStatus, SuccessStatus, TransientStatus } from '../src/mail/status.ts';

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
