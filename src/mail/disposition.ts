import type { PermanentStatus, TransientStatus } from './status.ts';

/** How a kind of calendar server wants to be spoken to (docs/interop.md). */
export const PROFILE_NAMES = ['generic', 'cyrus', 'oracle-v7', 'oracle-v6', 'davical', 'apple', 'bedework'] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** A calendar server as a map line or the configuration names it. */
export type CalendarServer = { readonly url: string; readonly profile: ProfileName };

/** What the calendar gets. */
export type Disposition =
  | {
      readonly kind: 'post';
      readonly server: CalendarServer;
      /** The address the calendar server knows the recipient by. */
      readonly recipient: string;
      /** The spelling in the object that the posted copy replaces by `recipient`, when they differ. */
      readonly rewrite?: string;
    }
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
