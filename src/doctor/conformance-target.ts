import type { Capabilities } from '../../channel/ischedule/capabilities.ts';
import type { Signature } from '../../channel/ischedule/signing.ts';
import type { Answer } from './http-answer.ts';

/** What a receiver announces of itself; `layout` is the question it answered. */
export type Announced = Capabilities & { readonly layout: 'action' | 'query' };

/** The receiver under test, and in whose name it is spoken to. */
export type Target = {
  readonly url: URL;
  /** Mailbox of a user of ours. */
  readonly originator: string;
  /** Mailbox of a calendar user there; without one nothing is sent that could change a calendar. */
  readonly recipient?: string;
  /** Mailbox nobody has there. */
  readonly nobody: string;
  readonly announced?: Announced;
  /** Absent: requests go out unsigned. */
  readonly signature?: Signature;
  /** Part of every UID and message id of this run. */
  readonly run: string;
  /** ms since the epoch */
  readonly now: number;
};

/** One request of a case. */
export type CaseRequest = {
  readonly method?: string;
  /** The service's own when absent. */
  readonly url?: URL;
  /** Values may hold octets that no HTTP library would send. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: Buffer;
  readonly framing?: 'length' | 'chunked' | 'both' | 'two-lengths';
  readonly awaitsContinue?: boolean;
  readonly signature?: 'none' | 'broken';
  /** Not HTTP as it should be: whoever answers it need not be the service. */
  readonly malformed?: true;
};

export const VERDICTS = ['as the draft says', 'differs', 'not offered', 'not run'] as const;
export type Verdict = (typeof VERDICTS)[number];
export type CaseResult = { readonly found: string; readonly verdict: Verdict };

/** What a case may do with the receiver. */
export type Session = {
  readonly target: Target;
  send(request: CaseRequest): Promise<Answer>;
  /** Every answer to a post of this run so far, but to malformed ones. */
  readonly answers: readonly Answer[];
};

export type ConformanceCase = {
  readonly name: string;
  /** What is sent. */
  readonly title: string;
  readonly expected: string;
  /** Sends an event to a real user, and its CANCEL at once. */
  readonly changesCalendar?: true;
  run(session: Session): Promise<CaseResult>;
};
