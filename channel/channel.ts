import type { Readable } from 'node:stream';
import type { BusyReading, Window } from '../src/freebusy/busy.ts';
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

export const BUSY_PROTOCOLS = ['ischedule', 'wcap', 'caldav', 'url'] as const;
/** How busy times are asked for; `url`: a document that is published (RFC 5546 §3.3.1). */
export type BusyProtocol = (typeof BUSY_PROTOCOLS)[number];

/** Users of one calendar server whose busy times are asked for together. */
export type BusyBatch = {
  /** Of the server, as its map line or back end names it; of one who publishes, his own. */
  readonly server: URL;
  readonly fallbacks?: readonly URL[];
  readonly profile: ProfileName;
  /** Token without blanks: UID of the VFREEBUSY, and what the log calls the question. */
  readonly uid: string;
  /** Mailbox of whom the question speaks for. */
  readonly originator: string;
  /** Mailboxes as the server knows them, no two of them equal; never empty. */
  readonly attendees: readonly string[];
  readonly window: Window;
  /** Gateways that the question came through, ourselves last (`src/freebusy/hops.ts`). */
  readonly hops: readonly string[];
};

/** Asks one calendar server. */
export type BusySource = {
  readonly protocol: BusyProtocol;
  /** Origin that this one speaks to; questions to one destination share its limits. */
  readonly destination: string;
  /**
   * Asks once. What the server or the network does is a reading; a throw is our bug.
   * @param signal the deadline, too: what is not known when it aborts is `unavailable`
   * @returns one for each attendee, in order
   */
  ask(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]>;
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
