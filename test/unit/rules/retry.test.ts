import { describe, expect, test } from 'vitest';
import { type Deferral, nextAttempt, type RetryPlan } from '../../../rules/retry.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const PLAN: RetryPlan = { delaysMs: [MINUTE, 5 * MINUTE, 30 * MINUTE], lifetimeMs: 12 * HOUR };
const CREATED = 1_000_000_000_000;
const BASE: Deferral = { createdAt: CREATED, heldMs: 0, attempts: 1, now: CREATED };
const MIDDLE = 0.5; // the jitter that changes nothing

describe('the next attempt of a deferred delivery', () => {
  const table: readonly [title: string, deferral: Partial<Deferral>, jitter: number, due: number | 'expire'][] = [
    ['falls one first delay after the first attempt', { attempts: 1 }, MIDDLE, CREATED + MINUTE],
    ['falls one second delay after the second attempt', { attempts: 2 }, MIDDLE, CREATED + 5 * MINUTE],
    ['falls one last delay after the last attempt of the plan', { attempts: 3 }, MIDDLE, CREATED + 30 * MINUTE],
    ['repeats the last delay ever after', { attempts: 40 }, MIDDLE, CREATED + 30 * MINUTE],
    ['comes a tenth earlier with the lowest jitter', { attempts: 1 }, 0, CREATED + 54_000],
    ['comes nearly a tenth later with the highest jitter', { attempts: 1 }, 0.999_999, CREATED + 66_000],
    ['waits for a Retry-After longer than the delay', { retryAfterMs: HOUR }, MIDDLE, CREATED + HOUR],
    ['does not come sooner for a short Retry-After', { retryAfterMs: 1_000 }, MIDDLE, CREATED + MINUTE],
    ['ignores a Retry-After in the past', { retryAfterMs: -HOUR }, MIDDLE, CREATED + MINUTE],
    [
      'is made at the end of the lifetime when Retry-After is later',
      { retryAfterMs: 48 * HOUR },
      MIDDLE,
      CREATED + 12 * HOUR,
    ],
    [
      'is made at the end of the event when Retry-After is later',
      { retryAfterMs: 3 * HOUR, endsAtMs: CREATED + HOUR },
      MIDDLE,
      CREATED + HOUR,
    ],
    [
      'may fall on the last instant of the lifetime',
      { attempts: 3, now: CREATED + 11.5 * HOUR },
      MIDDLE,
      CREATED + 12 * HOUR,
    ],
    ['expires when it would fall past the lifetime', { attempts: 3, now: CREATED + 11.5 * HOUR + 1 }, MIDDLE, 'expire'],
    [
      'expires past the lifetime, whatever Retry-After says',
      { attempts: 3, now: CREATED + 12 * HOUR, retryAfterMs: 1 },
      MIDDLE,
      'expire',
    ],
    [
      'does not count the time spent held',
      { attempts: 3, now: CREATED + 20 * HOUR, heldMs: 9 * HOUR },
      MIDDLE,
      CREATED + 20.5 * HOUR,
    ],
    [
      'expires when time spent held has been used up too',
      { attempts: 3, now: CREATED + 20 * HOUR, heldMs: 8 * HOUR },
      MIDDLE,
      'expire',
    ],
    [
      'expires when it would fall past the end of the event',
      { attempts: 2, endsAtMs: CREATED + 4 * MINUTE },
      MIDDLE,
      'expire',
    ],
    [
      'expires at the end of the event even after a hold',
      { attempts: 2, heldMs: 99 * HOUR, endsAtMs: CREATED },
      MIDDLE,
      'expire',
    ],
    ['falls one first delay ahead when no attempt was made', { attempts: 0 }, MIDDLE, CREATED + MINUTE],
    ['is made once when the event is over', { attempts: 0, endsAtMs: CREATED - HOUR }, MIDDLE, CREATED + MINUTE],
    [
      'is made once when the lifetime is over',
      { attempts: 0, now: CREATED + 90 * HOUR },
      MIDDLE,
      CREATED + 90 * HOUR + MINUTE,
    ],
  ];
  for (const [title, deferral, jitter, due] of table) {
    test(title, () => {
      expect(nextAttempt({ ...BASE, ...deferral }, PLAN, jitter)).toEqual(
        due === 'expire' ? { kind: 'expire' } : { kind: 'retry', dueAt: due },
      );
    });
  }

  test('a plan without delays tries once more, at the end of the lifetime', () => {
    expect(nextAttempt(BASE, { delaysMs: [], lifetimeMs: HOUR }, MIDDLE)).toEqual({
      kind: 'retry',
      dueAt: CREATED + HOUR,
    });
  });
});
