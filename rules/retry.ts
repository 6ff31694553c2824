/**
 * Delays by attempt, the last one repeating; the lifetime counts from acceptance, without the time spent held.
 */
export type RetryPlan = { readonly delaysMs: readonly number[]; readonly lifetimeMs: number };

/** What is known of a deferred delivery. Times are ms since the epoch. */
export type Deferral = {
  readonly createdAt: number;
  readonly heldMs: number;
  /** Attempts that ended in an outcome, the one just deferred included; 0 when it was deferred before any could be made. */
  readonly attempts: number;
  /** What the peer asked for (RFC 9110 §10.2.3). */
  readonly retryAfterMs?: number;
  /** Posts: when the event is over; nobody needs the invitation afterwards. */
  readonly endsAtMs?: number;
  readonly now: number;
};

export type NextAttempt = { readonly kind: 'retry'; readonly dueAt: number } | { readonly kind: 'expire' };

/**
 * When to try a deferred delivery again. One that was never tried does not expire: an invitation to an event that is
 * already over is still posted once.
 * @param jitter from 0 up to, not including, 1; spreads the delay over 90 to 110 percent, so that what failed together
 *   does not return together
 * @returns `expire` once the next attempt would fall past the lifetime (RFC 5321 §4.5.4.1) or the event's end. A
 *   Retry-After beyond the end does not expire it: the last attempt is then made at the end
 */
export function nextAttempt(deferral: Deferral, plan: RetryPlan, jitter: number): NextAttempt {
  const { now, attempts } = deferral;
  const end = attempts === 0 ? Infinity : endOf(deferral, plan);
  const delayMs = plan.delaysMs[Math.min(Math.max(attempts, 1), plan.delaysMs.length) - 1] ?? plan.lifetimeMs;
  const scheduledAt = now + Math.round(delayMs * (0.9 + 0.2 * jitter));
  if (scheduledAt > end) return { kind: 'expire' };
  const askedAt = now + (deferral.retryAfterMs ?? 0);
  return { kind: 'retry', dueAt: Math.max(scheduledAt, Math.min(askedAt, end)) };
}

function endOf(deferral: Deferral, plan: RetryPlan): number {
  return Math.min(deferral.createdAt + deferral.heldMs + plan.lifetimeMs, deferral.endsAtMs ?? Infinity);
}
