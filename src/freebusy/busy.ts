/** Types of a FREEBUSY period (RFC 5545 §3.2.9), the one that outweighs the others first. */
export const BUSY_TYPES = ['BUSY-UNAVAILABLE', 'BUSY', 'BUSY-TENTATIVE', 'FREE'] as const;
export type BusyType = (typeof BUSY_TYPES)[number];

/** A time with a beginning and an end; ms since the epoch, the end not included, never empty. */
export type Window = { readonly startMs: number; readonly endMs: number };

export type Period = Window & { readonly type: BusyType };

/** What one server said of one user. */
export type BusyReading =
  /** As they were read: in any order, overlapping, beyond the window. What is not named is free. */
  | { readonly kind: 'periods'; readonly periods: readonly Period[] }
  /** It knows no such user. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** It knows who it is, and does not say. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It answered, and what it says of him is no busy times that can be used. Nothing is wrong with asking about others. */
  | { readonly kind: 'unusable'; readonly reason: string }
  /** No answer, not in time, or one that is about nobody in particular: the server itself is out of order. */
  | { readonly kind: 'unavailable'; readonly reason: string };
