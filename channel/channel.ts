import type { Readable } from 'node:stream';
import type { ProfileName } from '../src/mail/disposition.ts';
import type { Envelope, EnvelopeRecipient } from '../src/mail/envelope.ts';
import type { Outcome } from '../src/mail/outcome.ts';
import type { Delivery } from '../src/queue/store.ts';

export const CHANNEL_NAMES = ['smtp', 'ischedule', 'bounce'] as const;
export type ChannelName = (typeof CHANNEL_NAMES)[number];

/** Recipients of one calendar server whose posted bytes are equal. */
export type PostBatch = {
  readonly queueId: string;
  readonly server: URL;
  /** The same service elsewhere, tried in this order where the one before gives no answer. */
  readonly fallbacks?: readonly URL[];
  readonly profile: ProfileName;
  /** Token; kept for a POST repeated because no answer came (docs/design of the queue: `flow/attempt.ts`). */
  readonly messageId: string;
  /** Mailbox of the calendar user the post speaks for, without `mailto:`. */
  readonly originator: string;
  /** Mailboxes, without `mailto:`, as the calendar server knows them. */
  readonly recipients: readonly string[];
  readonly method: string;
  readonly component: string;
  readonly content: Buffer;
};

/** Recipients that get the same bytes from the same next hop in one transaction. */
export type MailBatch = {
  readonly queueId: string;
  readonly envelope: Omit<Envelope, 'recipients'>;
  /** Addressed as the next hop shall see them. */
  readonly recipients: readonly EnvelopeRecipient[];
  /** Header lines put before the message, each ending in CRLF. */
  readonly prepend: Buffer;
  /** The message as it was received after bare newlines were normalised; a fresh stream, or the bytes, at each call. */
  readonly body: () => Buffer | Readable;
  /** Octets of `body`. */
  readonly size: number;
  /** Whether the content has octets over 127. */
  readonly eightBit: boolean;
};

export type Deliverer<Batch> = {
  readonly channel: ChannelName;
  /** `host:port` or origin this one speaks to; batches of one destination share its lanes. */
  readonly destination: string;
  /**
   * One attempt for recipients that share a destination. What peer or network did is an outcome; a throw is our bug.
   * @returns one outcome per recipient, in the order of `batch.recipients`
   */
  deliver(batch: Batch, signal: AbortSignal): Promise<readonly Outcome[]>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** One recipient that a DSN reports on. */
export type ReportLine = {
  readonly delivery: Delivery;
  readonly outcome: Outcome;
  readonly action: 'failed' | 'relayed' | 'delivered';
};

/** Takes messages in and hands them to the flow. */
export type Receiver = {
  /** @returns the address it listens on, `host:port`, once it does */
  listen(): Promise<string>;
  /** Stops taking new connections, lets running transactions end, then closes. */
  close(): Promise<void>;
};
