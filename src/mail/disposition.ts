import type { PermanentStatus, TransientStatus } from './status.ts';

/** How a kind of calendar server wants to be spoken to (docs/interop.md). */
export const PROFILE_NAMES = ['generic', 'cyrus', 'oracle-v7', 'oracle-v6', 'davical', 'apple', 'bedework'] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** A calendar server as a map line or the configuration names it. */
export type CalendarServer = {
  readonly url: string;
  readonly profile: ProfileName;
  /** The same service elsewhere, tried in this order where the one before gives no answer. */
  readonly fallbacks?: readonly string[];
  /** Named by somebody else's DNS: reached by https at public addresses only, whatever its URL says. */
  readonly discovered?: true;
};

/** A member of a list by his primary address. */
export type ListMember = { readonly address: string };

/** How a posted copy differs in kind from the object (`src/itip/adapt.ts`). */
export type Transformation = 'add-as-request';

/** What the calendar gets. */
export type Disposition =
  | {
      readonly kind: 'post';
      readonly server: CalendarServer;
      /** The address the calendar server knows the recipient by. */
      readonly recipient: string;
      /** The spelling in the object that the posted copy replaces by `recipient`, when they differ. */
      readonly rewrite?: string;
      /**
       * The list, as the object spells it, that the recipient is a member of: the posted copy gains an ATTENDEE line for
       * `recipient` with MEMBER naming it (RFC 5545 §3.2.11). Never beside `rewrite`.
       */
      readonly member?: string;
      /** The author of a REPLY is known to its ORGANIZER by another spelling: the posted copy has `to` for `from`. */
      readonly author?: { readonly from: string; readonly to: string };
      /** An answer without ORGANIZER: the posted copy has this one, who was found in the journal. */
      readonly organizer?: string;
      /** The form in which the calendar server takes what it does not take as it is. */
      readonly transformation?: Transformation;
    }
  /** A list that arrived unexpanded: one post for each member who has a calendar; its own mail goes on untouched. */
  | { readonly kind: 'expand'; readonly members: readonly ListMember[] }
  /** `relay` only: the recipient gets it by mail, in place of a post. */
  | { readonly kind: 'mail'; readonly reason: string }
  | { readonly kind: 'hold'; readonly reason: string }
  | { readonly kind: 'defer'; readonly status: TransientStatus; readonly reason: string; readonly alarm?: boolean }
  | { readonly kind: 'reject'; readonly status: PermanentStatus; readonly reason: string }
  | { readonly kind: 'none'; readonly reason: string };

/** One question of `rules/decide.ts` with the answer it got, as `imipd explain` prints it. */
export type Step = { readonly question: string; readonly answer: string };

/** The answer for one recipient, stored with the queue entry. */
export type Decision = {
  readonly post: Disposition;
  /** Whether the status headers of ours stand in this recipient's mail copy. */
  readonly annotate: boolean;
  /** The rule that decided, in words that do not change between versions (`rules/decide.ts`). */
  readonly rule: string;
  readonly steps: readonly Step[];
  /** An operator should look. */
  readonly alarm?: boolean;
};
