import { describe, expect, test } from 'vitest';
import { Session, type SessionResult } from '../../../src/flow/sessions.ts';
import type { Outcome } from '../../../src/mail/outcome.ts';

/** Longer than any test may last: what ends the wait is never the time. */
const FOREVER = 600_000;
const NEVER = new AbortController().signal;
const FAILED: Outcome = { kind: 'failed', status: '5.1.1', reason: 'no such user' };
const DELIVERED: Outcome = { kind: 'delivered', status: '2.0.0', reason: 'taken' };

const result = (deliveryId: number, outcome: Outcome, committed = Promise.resolve()): SessionResult => ({
  deliveryId,
  outcome,
  committed,
});

/** @returns whether it has settled by the time everything that is ready has run */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

describe('a client that waits for its reply', () => {
  test('has it when every recipient has a result', async () => {
    const session = new Session(2);
    const closing = session.close(FOREVER, NEVER);
    session.report(1, result(11, FAILED));
    expect(await isSettled(closing)).toBe(false);
    session.report(0, result(10, DELIVERED));
    const results = await closing;
    expect([...results].map(([position, { outcome }]) => [position, outcome])).toEqual([
      [1, FAILED],
      [0, DELIVERED],
    ]);
    expect(session.open).toBe(false);
  });

  test('has it when the results came before it began to wait', async () => {
    const session = new Session(1);
    session.report(0, result(10, FAILED));
    expect((await session.close(FOREVER, NEVER)).get(0)?.outcome).toEqual(FAILED);
  });

  test('does not take two results of one recipient for those of two', async () => {
    const session = new Session(2);
    const closing = session.close(FOREVER, NEVER);
    session.report(0, result(10, DELIVERED));
    session.report(0, result(10, DELIVERED));
    expect(await isSettled(closing)).toBe(false);
    session.report(1, result(11, DELIVERED));
    await closing;
  });

  test('does not wait where nobody owes a result', async () => {
    expect(await new Session(0).close(FOREVER, NEVER)).toEqual(new Map());
  });

  test('has what is known when its time is over', async () => {
    const session = new Session(2);
    session.report(0, result(10, FAILED));
    expect([...(await session.close(1, NEVER)).keys()]).toEqual([0]);
    expect(session.open).toBe(false);
    expect(session.abandoned).toBe(false);
  });

  test('waits until its results are committed', async () => {
    const session = new Session(1);
    const commit = Promise.withResolvers<void>();
    const closing = session.close(FOREVER, NEVER);
    session.report(0, result(10, FAILED, commit.promise));
    expect(await isSettled(closing)).toBe(false);
    commit.resolve();
    expect([...(await closing).keys()]).toEqual([0]);
  });

  test('is told nothing of a result that could not be committed', async () => {
    const session = new Session(2);
    const commit = Promise.withResolvers<void>();
    session.report(0, result(10, FAILED, commit.promise));
    session.report(1, result(11, DELIVERED));
    const closing = session.close(FOREVER, NEVER);
    commit.reject(new Error('disk I/O error'));
    expect([...(await closing).keys()]).toEqual([1]);
  });
});

describe('closing', () => {
  test('is one step: what is reported in the same turn comes too late', async () => {
    const abort = new AbortController();
    const session = new Session(2);
    session.report(0, result(10, FAILED));
    const closing = session.close(0, abort.signal);
    expect(session.open).toBe(false);
    session.report(1, result(11, FAILED));
    expect([...(await closing).keys()]).toEqual([0]);
  });

  test('waits for the commits of what it knows, and for no later one', async () => {
    const session = new Session(2);
    const commit = Promise.withResolvers<void>();
    session.report(0, result(10, FAILED, commit.promise));
    const closing = session.close(0, NEVER);
    session.report(1, result(11, FAILED, new Promise(() => undefined)));
    expect(await isSettled(closing)).toBe(false);
    commit.resolve();
    expect([...(await closing).keys()]).toEqual([0]);
  });
});

describe('whoever waits for the same', () => {
  test('hears of the end when the results are committed', async () => {
    const session = new Session(1);
    const commit = Promise.withResolvers<void>();
    session.report(0, result(10, DELIVERED, commit.promise));
    const closing = session.close(FOREVER, NEVER);
    expect(await isSettled(session.ended)).toBe(false);
    commit.resolve();
    await closing;
    await session.ended;
  });
});

describe('a client that leaves', () => {
  test('ends the wait, and has abandoned its message', async () => {
    const abort = new AbortController();
    const session = new Session(2);
    const closing = session.close(FOREVER, abort.signal);
    session.report(0, result(10, DELIVERED));
    expect(await isSettled(closing)).toBe(false);
    abort.abort();
    expect([...(await closing).keys()]).toEqual([0]);
    expect({ open: session.open, abandoned: session.abandoned }).toEqual({ open: false, abandoned: true });
  });

  test('before the wait began is not waited for', async () => {
    const session = new Session(1);
    expect(await session.close(FOREVER, AbortSignal.abort())).toEqual(new Map());
    expect(session.abandoned).toBe(true);
  });
});
