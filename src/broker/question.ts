import type { BusyProtocol } from '../../channel/channel.ts';
import type { BusyAccess } from '../../rules/busy-access.ts';
import type { StatusAnswer } from '../../rules/request-status.ts';
import type { Period, Window } from '../freebusy/busy.ts';
import type { Step } from '../mail/disposition.ts';

/** Who asks. */
export type BusyAsker = {
  /** As configured: a peer of `ischedule`, a client of `free-busy`, or a command. */
  readonly name: string;
  readonly access: BusyAccess;
};

/** A question for the busy times of some people, in whatever protocol it came. */
export type BusyQuestion = {
  readonly asker: BusyAsker;
  /** Mailbox of whom the question speaks for; the gateway's own where the protocol names nobody. */
  readonly originator: string;
  /** Mailboxes; each is answered. Those of equal key are answered alike. */
  readonly attendees: readonly string[];
  readonly window: Window;
  /** Gateways that the question came through already, as they name themselves (`src/freebusy/hops.ts`). */
  readonly hops: readonly string[];
  /** Past the cache, and with fresh look-ups. */
  readonly fresh?: boolean;
  /** Of the deadline, what is over already: finding whom it is about took time, ms. */
  readonly spentMs?: number;
};

/** One server that was asked about one mailbox. */
export type Inquiry = {
  readonly mailbox: string;
  /** Origin or `host:port`. */
  readonly server: string;
  readonly protocol: BusyProtocol;
  readonly result: 'answered' | 'unknown' | 'refused' | 'unusable' | 'unavailable';
  readonly reason?: string;
  readonly tookMs: number;
  /** Where the answer came from; `shared`: another question that was under way asked the same. */
  readonly from: 'server' | 'shared' | 'cache';
};

/** The answer about one attendee. */
export type BusyAnswer = {
  readonly attendee: string;
  /** 2.0 alone has periods. `detail` is fit for the asker's eyes. */
  readonly status: StatusAnswer;
  /** Within `window`, ascending, not overlapping or touching one of the same type, without FREE. */
  readonly periods: readonly Period[];
  /** What the periods cover: the question's, as far as the asker may see. */
  readonly window: Window;
  readonly inquiries: readonly Inquiry[];
  /** The rule that decided, in words that do not change between versions: of `rules/free-busy.ts`, or of what came of asking. */
  readonly rule: string;
  /** For operators only. */
  readonly steps: readonly Step[];
};

/** Answers questions for busy times: the flow of one from its attendees to their servers and back. */
export type Broker = {
  /**
   * One answer for each attendee, in order, before the deadline of the configuration; whoever has none by then is 5.1.
   * Rejects only with the reason of an aborted `signal`.
   */
  ask(question: BusyQuestion, signal: AbortSignal): Promise<readonly BusyAnswer[]>;
  /** What would be said of everybody alike, whoever he is; undefined where it depends on whom the question is about. */
  refusal(question: Pick<BusyQuestion, 'asker' | 'window' | 'hops'>): StatusAnswer | undefined;
  /**
   * The front end (an URL below which WCAP commands are) of the one server that is home to all attendees; undefined
   * where they have several, it has none, or the asker may not ask about one of them.
   */
  frontEnd(question: BusyQuestion, signal: AbortSignal): Promise<string | undefined>;
  /** Whom a calendar id of v6 names: icsCalendar, else uid (`Directory.lookupName`). */
  find(name: string, signal: AbortSignal): Promise<FoundName>;
};

export type FoundName =
  | { readonly kind: 'mailbox'; readonly mailbox: string }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'no-answer'; readonly reason: string };
