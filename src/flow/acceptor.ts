import type { Client, Envelope, EnvelopeRecipient } from '../mail/envelope.ts';
import type { Reply } from '../mail/status.ts';
import type { Mode, Origin } from '../queue/store.ts';

/** What the flow needs to know of the listener a message came in by. */
export type ListenerFacts = {
  readonly name: string;
  readonly protocol: 'smtp' | 'lmtp';
  readonly mode: Mode;
  readonly origin: Origin;
  /** Whether calendar mail that came in by it leaves with VERP addresses as envelope senders. */
  readonly verp?: boolean;
  /** `copy` only: domain of the duplicate → domain of the user. */
  readonly copyDomains: ReadonlyMap<string, string>;
};

/** One RCPT judged: either the recipient as it will be kept, or the refusal. */
export type RecipientVerdict =
  | { readonly kind: 'accepted'; readonly recipient: EnvelopeRecipient }
  | { readonly kind: 'refused'; readonly reply: Reply };

/** A message on its way in. */
export type Incoming = {
  readonly listener: ListenerFacts;
  readonly client: Client;
  readonly envelope: Envelope;
  /** The content with CRLF line ends. Rejects when the client goes away, a limit is passed or a deadline ends. */
  readonly content: AsyncIterable<Buffer>;
  /** Aborts when the client has gone; the reply can then not be written. */
  readonly signal: AbortSignal;
};

/** What a receiver hands over to (`accept.ts` implements it). */
export type Acceptor = {
  recipient(listener: ListenerFacts, recipient: EnvelopeRecipient, signal: AbortSignal): Promise<RecipientVerdict>;
  /**
   * Takes the message whole, durably, and answers. Nothing of it is kept when this rejects.
   * @returns one reply for SMTP; for LMTP one per `envelope.recipients`, in order
   * @throws what `content` threw, after cleaning up
   */
  message(incoming: Incoming): Promise<readonly Reply[]>;
};
