import type { Readable } from 'node:stream';
import type { Decision } from '../mail/disposition.ts';
import type { Client, Envelope } from '../mail/envelope.ts';
import type { Outcome } from '../mail/outcome.ts';

/** `relay`: a post that came by iSchedule; no listener of mail has this mode. */
export const MODES = ['filter', 'final', 'copy', 'relay'] as const;
export type Mode = (typeof MODES)[number];
/** What a listener of mail can be. */
export const LISTENER_MODES = ['filter', 'final', 'copy'] as const satisfies readonly Mode[];
export const ORIGINS = ['outside', 'inside'] as const;
export type Origin = (typeof ORIGINS)[number];

/** A message as it was accepted; never changes. */
export type Message = {
  /** Queue id: letters and digits, unique, and ascending in order of acceptance. */
  readonly id: string;
  readonly receivedAt: number;
  readonly listener: string;
  readonly mode: Mode;
  readonly origin: Origin;
  readonly client: Client;
  readonly envelope: Envelope;
  /** Value of the Message-ID header field; of a post, its iSchedule-Message-ID. */
  readonly messageId?: string;
  /** Of a post: the peer it came from, and a digest over Originator, recipients and body, by which a repeat is known. */
  readonly posted?: { readonly peer: string; readonly digest: string };
  /** Octets of the stored body (header included, ours not). */
  readonly size: number;
  readonly eightBit: boolean;
  /** Whether it held a calendar part; decides how long its record stays. */
  readonly calendar: boolean;
  /** Of the scheduling object, when there is one; for lists and logs. */
  readonly uid?: string;
  readonly method?: string;
  /** When the object's last instance ends, ms since the epoch; no post is tried again after it. */
  readonly endsAtMs?: number;
  /** How many of our own Received lines it carried when it came. */
  readonly passes: number;
  /** Mailbox of its From field, when there is exactly one; only of mail with a scheduling object. */
  readonly from?: string;
  /** Message-IDs of its In-Reply-To and References fields, that of its parent first, at most twenty, angle brackets off. */
  readonly references?: readonly string[];
  /** Ready-made mail with a scheduling object whose copies leave with VERP addresses of ours as envelope senders. */
  readonly verp?: true;
  /** Mailboxes of its Delivered-To fields, topmost first, at most ten: a list that was expanded on the way may be one. */
  readonly deliveredTo?: readonly string[];
};

/** A recipient has up to two deliveries with lives of their own (docs: design, "up to two deliveries"). */
export type DeliveryKind = 'post' | 'mail';
/** `queued` and `held` are open; all others are final. `skipped`: decided that there is nothing to deliver. */
export const STATES = ['queued', 'held', 'delivered', 'failed', 'expired', 'skipped', 'deleted'] as const;
export type DeliveryState = (typeof STATES)[number];
/** `return`: came to a VERP address of ours; what it is, and whom it goes to, is found when it is attempted. */
export type Route = 'calendar' | 'next-hop' | 'smart-host' | 'return';
/** How a final failure was told to the sender: in the session, by a DSN, or not (null reverse-path, NOTIFY=NEVER, record only). */
export type Told = 'reply' | 'dsn' | 'nobody';

export type Delivery = {
  readonly id: number;
  readonly queueId: string;
  /** Index into `envelope.recipients`. */
  readonly position: number;
  readonly kind: DeliveryKind;
  readonly route: Route;
  readonly state: DeliveryState;
  /** Envelope address, or `NewDelivery.recipient` in its place. */
  readonly recipient: string;
  /** The list that an expanded post came from, as its envelope recipient was written. Posts only. */
  readonly list?: string;
  /** Key of the calendar user (`addressKey` of the entry's primary address); undefined while the directory has not said. Posts only. */
  readonly user?: string;
  /** UID in whose order it stands. Posts only. */
  readonly uid?: string;
  readonly createdAt: number;
  /** When the first attempt that ended in an outcome was settled: a post's lifetime counts from here. */
  readonly startedAt?: number;
  readonly dueAt: number;
  /** Waits behind an earlier post of its key. */
  readonly blocked: boolean;
  /** An operator let it go: a hold that only waits for a person, or for the end of a move, is not put on it again. */
  readonly released: boolean;
  /** Attempts that ended in an outcome. */
  readonly attempts: number;
  /** Attempts that the peer answered; goes into the iSchedule-Message-ID. */
  readonly answers: number;
  /** When it was held, while it is. */
  readonly heldAt?: number;
  /** Time spent held since `startedAt`, or since it was created while there is none; does not count against the lifetime. */
  readonly heldMs: number;
  readonly outcome?: Outcome;
  /** The latest decision, and those before it, oldest first, when a later attempt decided otherwise. Posts only. */
  readonly decisions: readonly Decision[];
  readonly told?: Told;
};

export type NewDelivery = {
  readonly position: number;
  /**
   * In place of the envelope's address: with `list` a member of the list at `position`, without one whoever the mail
   * that came to an address of the gateway's is passed on to.
   */
  readonly recipient?: string;
  readonly list?: string;
  readonly kind: DeliveryKind;
  readonly route: Route;
  readonly user?: string;
  readonly uid?: string;
  readonly dueAt: number;
  /** Take the lease at once, unless an earlier post of the same key is open. */
  readonly claim: boolean;
};

/**
 * Where a body's bytes are: in the row up to 256 KiB, else in a file of the spool folder that was fsynced before.
 * `none`: nothing will ever need it.
 */
export type StoredBody =
  | { readonly kind: 'inline'; readonly bytes: Buffer }
  | { readonly kind: 'spool'; readonly file: string }
  | { readonly kind: 'none' };

export type NewMessage = {
  readonly message: Message;
  readonly body: StoredBody;
  readonly deliveries: readonly NewDelivery[];
};

/** Highest (SEQUENCE, DTSTAMP) posted for one key, and its digest (design: Ordering and repeats). */
export type LedgerRow = {
  readonly user: string;
  readonly uid: string;
  readonly recurrenceId: string;
  /** `addressKey` of the ORGANIZER, for REPLY, COUNTER and REFRESH of the ATTENDEE. */
  readonly author: string;
  /** `addressKey` of the ORGANIZER the object named, '' when none. */
  readonly organizer: string;
  readonly sequence: number;
  readonly dtstamp: string;
  readonly digest: string;
  readonly usedAt: number;
};

/** What one attempt changes about one delivery; all of a `settle` call in one durable transaction. */
export type Settlement = {
  readonly id: number;
  readonly state: DeliveryState;
  /** When `queued` again. */
  readonly dueAt?: number;
  readonly outcome?: Outcome;
  readonly decision?: Decision;
  readonly user?: string;
  readonly told?: Told;
  /**
   * Takes a post out of the order of its UID for good: one that waits for a person because it may not be meant for
   * this calendar must not stop those that are.
   */
  readonly unordered?: boolean;
  /** Whether this counts as an attempt (a hold or a skip does not). */
  readonly attempted: boolean;
  /** What the journal learns: kept in the same transaction. */
  readonly journal?: JournalEntry;
  /** Rows to raise; a row already there that is higher by (sequence, dtstamp) stays. */
  readonly ledger?: readonly LedgerRow[];
  /** The post was written for another address than the object named: what to undo in his REPLY. */
  readonly spelling?: Spelling;
  /**
   * What takes this post's place: posts for the members of its list, each in the order of its own user with the rest
   * of the UID, as if its message had come with them; or the mail that its recipient gets instead. Queued in the same
   * transaction, unclaimed. Only beside a final `state`: settled a second time, a post is not replaced again.
   */
  readonly expansion?: readonly NewDelivery[];
};

/** A meeting of which invitations have left, or answers come, through us: what one organizer says under a UID. */
export type Meeting = {
  readonly uid: string;
  /** Mailbox as the latest REQUEST spelled it. */
  readonly organizer: string;
  /** Everybody any REQUEST of it named, as first spelled, with the PARTSTAT last seen. */
  readonly attendees: readonly { readonly address: string; readonly partstat?: string }[];
  /** What was told of it last, by RECURRENCE-ID ('' for the series): to mark what an update changes. JSON of `EventFacts`. */
  readonly told: Readonly<Record<string, unknown>>;
  /** ms since the epoch; forgotten afterwards. */
  readonly keepUntil: number;
};

/** One message of a meeting that left for one recipient. */
export type Sending = {
  /** Of its VERP address; unique. */
  readonly token: string;
  readonly uid: string;
  readonly recurrenceIds: readonly string[];
  /** Highest SEQUENCE in it; 0 when absent. */
  readonly sequence?: number;
  readonly method: string;
  /** Mailbox as the object spells it. */
  readonly attendee: string;
  readonly organizer: string;
  /** Where it went. */
  readonly sentTo: string;
  /** Envelope sender that the message came with; '' when null. */
  readonly reversePath: string;
  /** Message-ID of the mail that left, angle brackets off. */
  readonly messageId: string;
  readonly queueId: string;
  readonly sentAt: number;
  readonly keepUntil: number;
  /** When a failure of it was told to the organizer: a second report of it is not. */
  readonly failedAt?: number;
};

/** Either: under one of these Message-IDs, or to one of these mailboxes. */
export type SendingFilter = { readonly messageIds: readonly string[]; readonly sentTo: readonly string[] };

/**
 * What one delivery adds to the journal. Attendees are added to those known, and none is taken away; of what is told,
 * only the newest instances are kept. An entry equal to the latest of its UID changes nothing. A sending whose token is
 * known stays as it is.
 */
export type JournalEntry = {
  readonly meeting?: Meeting;
  readonly sending?: Sending;
  /** What a REPLY says of one attendee, who is added if he is new, as a delegate is. Nothing for a UID that is not known. */
  readonly answered?: {
    readonly uid: string;
    /** Whose meeting of this UID; that of the first who used it when absent or not known. */
    readonly organizer?: string;
    readonly attendee: string;
    /** Absent when it is about single instances only. */
    readonly partstat?: string;
    /** Whom he sends in his place. */
    readonly delegates?: readonly string[];
  };
  /** A sending that is told to have failed: `failedAt` of it is now, unless it has one already. */
  readonly failed?: { readonly token: string };
};

/** By which address a calendar user was invited, where his calendar server knows him by another. */
export type Spelling = {
  /** `addressKey` of the address his calendar server knows. */
  readonly user: string;
  readonly uid: string;
  /** The mailbox as the invitation spelled it. */
  readonly invited: string;
};

/** A message with deliveries of it that this process holds the lease of. */
export type Claim = { readonly message: Message; readonly deliveries: readonly Delivery[] };

export type ListFilter = {
  readonly states?: readonly DeliveryState[];
  readonly recipient?: string;
  readonly kind?: DeliveryKind;
  /** Only those whose latest decision is by this rule. */
  readonly rule?: string;
  readonly limit?: number;
};

/** What an operator can do to deliveries that no attempt holds at the moment. */
export type OperatorAction = 'retry' | 'release' | 'resume' | 'delete' | 'fail';

/**
 * The queue. Every promise that resolves has been committed durably (fsync); concurrent calls share a commit.
 * @throws StoreFullError when the disk is full; nothing of the call is then stored
 */
export type Store = {
  /**
   * Commits messages whole. An open post blocks every later post of another message with the same uid, unless both
   * users are known and differ; a blocked one is not claimed.
   * @returns the deliveries of each message with what was claimed, in order
   */
  accept(
    messages: readonly NewMessage[],
  ): Promise<readonly { readonly deliveries: readonly Delivery[]; readonly claimed: ReadonlySet<number> }[]>;
  /** Takes the lease of due, unblocked deliveries, oldest due first, at most `limit` messages. */
  claim(now: number, limit: number): Promise<readonly Claim[]>;
  /** When the next queued and unblocked delivery can be claimed: is due, or its lease runs out; undefined when there is none. */
  nextDueAt(): number | undefined;
  /**
   * Writes outcomes, raises the ledger, gives the lease back, queues `dsns` and, when a message has no open delivery
   * left and no failure that is still to be told (a DSN quotes the body), drops its body: one transaction. A delivery
   * that is final already stays as it is.
   */
  settle(settlements: readonly Settlement[], dsns: readonly NewMessage[], now: number): Promise<void>;
  /** Records how failures were told, queues the DSNs that tell them, drops bodies as `settle` does: one transaction. */
  tell(told: ReadonlyMap<number, Told>, dsns: readonly NewMessage[]): Promise<void>;
  /** @returns every row of (user, uid) */
  ledger(user: string, uid: string): readonly LedgerRow[];
  /** By which address this user was invited to this UID, when it was another than the one in the posted copy. */
  spelling(user: string, uid: string): string | undefined;
  /** What the journal holds of a UID as this organizer uses it; of several, without one, as the first of them does. */
  meeting(uid: string, organizer?: string): Meeting | undefined;
  /** Messages of a meeting that left, newest first, at most some hundred; with a filter only those that it names. */
  sendings(uid: string, filter?: SendingFilter): readonly Sending[];
  sending(token: string): Sending | undefined;
  /** @returns undefined when no such message is known */
  message(queueId: string): { readonly message: Message; readonly deliveries: readonly Delivery[] } | undefined;
  /** The whole body. @throws when it is gone */
  body(queueId: string): Promise<Buffer>;
  bodyStream(queueId: string): Readable;
  list(filter: ListFilter): readonly (Delivery & { readonly message: Message })[];
  /** Counts of open deliveries by kind and state: `post.queued`, `post.held`, `mail.queued`, `mail.held`. */
  counts(): Readonly<Record<string, number>>;
  /** Messages whose Message-ID header field is this, oldest first (`imipd check --probe`). */
  byMessageId(messageId: string): readonly Message[];
  /**
   * Envelope recipients whom messages of this Message-ID had a post for, of the latest some thousand only: anybody can
   * send any number of messages under one.
   * @param before a queue id: only messages accepted before it
   */
  passedTo(messageId: string, before?: string): readonly string[];
  /** Posts that this peer handed over under this id, newest first, the latest twenty only. */
  posted(peer: string, messageId: string): readonly Message[];
  /**
   * `retry`: due now; `release`: a held one is queued, due now, and marked as let go by a person, and so is one that is
   * blocked, where it stands; `resume`: as `release`, without the mark, since what it waited for has ended; `delete`: final without a word; `fail`: final with
   * `outcome`, told as the caller says.
   * @returns ids that were changed; one that an attempt holds, or that is final, is not. With `dsns`, which name their
   *   recipients already, either all are changed or none
   */
  operate(
    action: OperatorAction,
    ids: readonly number[],
    now: number,
    failure?: { outcome: Outcome; told: Told; dsns: readonly NewMessage[] },
  ): Promise<ReadonlySet<number>>;
  /** Deletes what is past its time: records, ledger rows, meetings, spool files nobody owns. */
  sweep(
    now: number,
    keep: { readonly historyMs: number; readonly plainHistoryMs: number; readonly ledgerMs: number },
  ): Promise<void>;
  /** Opens a writer for a body of unknown length. */
  openBody(): BodyWriter;
  /** A fresh queue id. */
  newId(now: number): string;
  [Symbol.asyncDispose](): Promise<void>;
};

/** Takes a body piece by piece: in memory up to 256 KiB, then into a spool file. */
export type BodyWriter = {
  write(chunk: Buffer): Promise<void>;
  /** fsyncs a spool file and its folder, then says where the body is. */
  finish(): Promise<StoredBody>;
  /** Forgets everything written. */
  abort(): Promise<void>;
};

/** The disk, or the quota, is full: 452 4.3.1. */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError';
}

/** Another process serves this queue. */
export class StoreLockedError extends Error {
  override readonly name = 'StoreLockedError';
}
