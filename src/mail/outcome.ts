import type { PermanentStatus, SuccessStatus, TransientStatus } from './status.ts';

/** What every outcome may carry beside its status. */
type Detail = {
  /** One short sentence for the log, the DSN and the operator; no host names or paths of ours. */
  readonly reason: string;
  /** The peer's own words: `smtp; 550 5.1.1 …` or `http; 403 verification-failed` (RFC 3464 §2.3.6). */
  readonly diagnostic?: string;
  /** iCalendar REQUEST-STATUS code that the calendar server gave, such as `2.0` or `3.7`. */
  readonly requestStatus?: string;
  /** `host:port` of the peer that answered, for the log. */
  readonly relay?: string;
  /** Whether the peer answered at all; a repeat after silence keeps its iSchedule-Message-ID. */
  readonly answered?: boolean;
  /** How long the attempt waited for its connection, ms. */
  readonly connectMs?: number;
  /** An operator should look: our credentials, trust or configuration are at fault. */
  readonly alarm?: boolean;
};

/** What one attempt gave one recipient. What a peer or the network does is an outcome, never an exception. */
export type Outcome =
  | ({ readonly kind: 'delivered'; readonly status: SuccessStatus; readonly relayedWithoutDsn?: boolean } & Detail)
  | ({ readonly kind: 'deferred'; readonly status: TransientStatus; readonly retryAfterMs?: number } & Detail)
  | ({ readonly kind: 'failed'; readonly status: PermanentStatus } & Detail);
