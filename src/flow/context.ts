import type { Deliverer, MailBatch, PostBatch, ReportLine } from '../../channel/channel.ts';
import type { Discovered } from '../../rules/coexistence.ts';
import type { Policy } from '../../rules/decide.ts';
import type { RetryPlan } from '../../rules/retry.ts';
import type { Directory } from '../directory/directory.ts';
import type { Outbound } from '../imip/mail.ts';
import type { ExamineLimits } from '../itip/extract.ts';
import type { Examination } from '../itip/message.ts';
import type { AnnotationNames } from '../mail/annotate.ts';
import type { CalendarServer } from '../mail/disposition.ts';
import type { Log } from '../observe/log.ts';
import type { Message, NewMessage, Store } from '../queue/store.ts';
import type { Lanes } from './dispatch.ts';
import type { Session } from './sessions.ts';

/** Where a mail copy goes, and how recipients are addressed there. */
export type Hop = { readonly deliverer: Deliverer<MailBatch>; readonly addressing: 'as-received' | 'mailhost' };

/** A message in flight whose bytes and examination need not be fetched again. */
export type Content = { readonly examination: Examination; readonly bytes?: Buffer };

/** Asks the DNS and caches; never rejects but for an aborted `signal`. */
export type Discovery = { find(domain: string, signal: AbortSignal): Promise<Discovered> };

/** Everything a message needs on its way; `gateway.ts` fills it in. */
export type FlowContext = {
  readonly hostname: string;
  readonly log: Log;
  readonly clock: () => number;
  readonly random: () => number;
  readonly store: Store;
  readonly directory: Directory;
  readonly policy: Policy;
  readonly lanes: Lanes;
  /** Finds the iSchedule service of an outside domain; absent where no rule allows that. */
  readonly discovery?: Discovery;
  readonly poster: (server: CalendarServer) => Deliverer<PostBatch>;
  readonly hop: (route: 'next-hop' | 'smart-host') => Hop;
  /** Composes a DSN as a message to be queued, from the null reverse-path. */
  readonly report: (message: Message, lines: readonly ReportLine[]) => Promise<NewMessage>;
  /** How mail that we compose speaks; absent where none is configured: then what is mailed is the plain object. */
  readonly outbound?: Outbound;
  readonly retry: { readonly post: RetryPlan; readonly mail: RetryPlan };
  readonly annotation: AnnotationNames;
  readonly annotateWaitMs: number;
  readonly examine: ExamineLimits;
  /** Clients that wait for their reply, by queue id. */
  readonly sessions: Map<string, Session>;
  /** Messages whose first attempt is under way, by queue id. */
  readonly contents: Map<string, Content>;
  /** Something may have fallen due. */
  readonly poke: () => void;
};
