import type { SentStatus } from '../../rules/peer.ts';
import type { SchedulingObject } from '../itip/message.ts';
import type { Client } from '../mail/envelope.ts';
import type { Origin } from '../queue/store.ts';

/** A post that a peer has handed over: its author proved, and right in itself. */
export type IncomingPost = {
  readonly listener: string;
  /** Name of the configured peer that it comes from, and whose word it is. */
  readonly peer: string;
  readonly origin: Origin;
  readonly client: Client;
  /** iSchedule-Message-ID, or what stands in for it; undefined when a repeat cannot be told. */
  readonly messageId: string | undefined;
  /** Mailbox of the calendar user the post speaks for. */
  readonly originator: string;
  /** Mailboxes, in the order of the request; never empty. */
  readonly recipients: readonly string[];
  readonly object: SchedulingObject;
  /** The body as it came. */
  readonly content: Buffer;
  /** How long the answer waits for real outcomes once the post is safe; 0 for not at all. */
  readonly waitMs: number;
  /** What 1.1 is called to this peer; `1.1` when absent. */
  readonly sentStatus?: SentStatus;
  /** Aborts when the peer has gone. */
  readonly signal: AbortSignal;
};

/** What became of one recipient so far. */
export type RecipientAnswer = {
  /** REQUEST-STATUS code, such as `2.0`, or `1.0` for what is queued here. */
  readonly code: string;
  /** Its words, without `;`. */
  readonly description: string;
  /** More for a person. */
  readonly detail?: string;
};

/** What the receiver of posts hands over to (`src/flow/take-post.ts` implements it). */
export type PostAcceptor = {
  /**
   * Takes the post whole, durably, and answers. Nothing of it is kept when this rejects. A repeat of a post that is
   * known is answered from what became of that one.
   * @returns one answer per recipient, in order
   * @throws StoreFullError when the disk is full
   */
  post(incoming: IncomingPost): Promise<readonly RecipientAnswer[]>;
};
