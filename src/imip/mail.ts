import type { Method } from '../itip/message.ts';
import type { Person } from './event-facts.ts';
import type { SiteTemplates } from './templates.ts';

/** Languages that have words of our own; a site's templates may add more. */
export const LANGUAGES = ['en', 'de', 'fr', 'es', 'ja'] as const;
export type Language = (typeof LANGUAGES)[number];

/** What a person reads: texts as they are to be shown, `html` a whole document in which everything foreign is escaped. */
export type Words = { readonly subject: string; readonly text: string; readonly html: string };

/** One mail with a calendar object, ready to be composed (RFC 6047; protocol digest 3.6). */
export type CalendarMail = Words & {
  readonly language: string;
  readonly from: Person;
  readonly sender?: Person;
  readonly replyTo?: Person;
  readonly to: Person;
  /** With angle brackets. */
  readonly messageId: string;
  readonly inReplyTo?: string;
  /** ms since the epoch */
  readonly date: number;
  /** RFC 3834 §5; `auto-generated` when absent. `auto-replied`: it answers a message, such as one that came back. */
  readonly autoSubmitted?: 'auto-replied';
  /** Absent: a mail that only tells something, such as an invitation that could not be delivered. */
  readonly calendar?: { readonly content: Buffer; readonly method: Method; readonly component: string };
};

/** How mail that we compose speaks, as configured. */
export type Outbound = {
  /** The gateway's own mailbox: From where we may not use the user's, and what VERP addresses are made of. */
  readonly address: string;
  readonly name: string;
  /** Domains whose users we may put in From. */
  readonly fromDomains: ReadonlySet<string>;
  /** Makes VERP tokens that nobody else can. */
  readonly secret: Buffer;
  readonly language: Language;
  /** By recipient domain. */
  readonly languages: ReadonlyMap<string, string>;
  /** A site's own words, and what it puts around every mail. */
  readonly templates?: SiteTemplates;
  /** How long after its end a meeting is remembered, ms. */
  readonly journalMs: number;
  /** What becomes of a REPLY to a UID that the journal does not hold. */
  readonly unknownUid: 'post' | 'mail';
};
