import type { Precondition } from '../../rules/data/preconditions.ts';
import type { RecipientAnswer } from '../../src/flow/post-acceptor.ts';

/** What one recipient is answered. */
export type Answer = RecipientAnswer & {
  /** As it was sent. */
  readonly recipient: string;
  /** Of a question for busy times. */
  readonly calendarData?: string;
};

/** The post as a whole is refused for good. */
export type Refused = {
  readonly kind: 'refused';
  readonly precondition: Precondition;
  /** HTTP */
  readonly status: number;
  readonly description: string;
  /** Values of WWW-Authenticate: credentials would be taken, and right ones were not there. */
  readonly challenges?: readonly string[];
};

/** Nothing was decided: 503 because somebody does not answer, 507 because the disk is full. */
export type Later = { readonly kind: 'later'; readonly status: 503 | 507; readonly description: string };

/** What a post came to. */
export type PostResult = { readonly kind: 'answers'; readonly answers: readonly Answer[] } | Refused | Later;
