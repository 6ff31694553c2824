import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import type { DeliveryState, Store } from '../../src/queue/store.ts';
import { incoming, NOW, post } from '../unit/queue/samples.ts';

const USERS = [undefined, 'bob@example.com', 'carol@example.com', 'dave@example.com'] as const;
const UIDS = ['lunch@example.org', 'tea@example.org'] as const;

type Step =
  | { readonly kind: 'accept'; readonly uid: string; readonly users: readonly (string | undefined)[] }
  | {
      readonly kind: 'settle';
      readonly picks: readonly number[];
      readonly state: DeliveryState;
      readonly user: string | undefined;
      readonly unordered: boolean;
    }
  | {
      readonly kind: 'expand';
      readonly pick: number;
      readonly uid: string;
      readonly users: readonly (string | undefined)[];
    }
  | { readonly kind: 'operate'; readonly pick: number; readonly action: 'delete' | 'release' | 'resume' };

const user = fc.constantFrom(...USERS);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('accept' as const),
    uid: fc.constantFrom(...UIDS),
    users: fc.array(user, { minLength: 1, maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant('settle' as const),
    picks: fc.array(fc.nat(1000), { minLength: 1, maxLength: 4 }),
    state: fc.constantFrom<DeliveryState[]>('delivered', 'delivered', 'queued', 'held', 'skipped'),
    user,
    unordered: fc.constantFrom(false, false, false, true),
  }),
  fc.record({
    kind: fc.constant('expand' as const),
    pick: fc.nat(1000),
    uid: fc.constantFrom(...UIDS),
    users: fc.array(user, { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant('operate' as const),
    pick: fc.nat(1000),
    action: fc.constantFrom('delete' as const, 'release' as const, 'resume' as const),
  }),
);

type Row = {
  readonly id: number;
  readonly message: number;
  readonly uid: string | null;
  readonly user: string;
  readonly blocked: number;
};

/** The rule as `Store.accept` words it. */
function isBlocked(row: Row, open: readonly Row[]): boolean {
  return open.some(
    (other) =>
      other.uid !== null &&
      other.uid === row.uid &&
      other.message < row.message &&
      (other.user === '' || row.user === '' || other.user === row.user),
  );
}

async function run(
  store: Store,
  open: readonly Row[],
  { step, n }: { readonly step: Step; readonly n: number },
): Promise<void> {
  const pick = (at: number): readonly number[] => (open.length === 0 ? [] : [open[at % open.length]!.id]);
  if (step.kind === 'accept') {
    const posts = step.users.map((name, position) =>
      post({ position, uid: step.uid, ...(name !== undefined && { user: name }) }),
    );
    await store.accept([
      incoming(`A${n}`, posts, { recipients: step.users.map((name) => name ?? 'alias@example.com') }),
    ]);
  } else if (step.kind === 'settle') {
    const ids = [...new Set(step.picks.flatMap(pick))];
    const known = step.user === undefined ? {} : { user: step.user };
    await store.settle(
      ids.map((id) => ({ id, state: step.state, attempted: true, unordered: step.unordered, ...known })),
      [],
      NOW,
    );
  } else if (step.kind === 'expand') {
    const expansion = step.users.map((name) =>
      post({ uid: step.uid, recipient: name ?? 'alias@example.com', ...(name !== undefined && { user: name }) }),
    );
    const settlements = pick(step.pick).map((id) => ({ id, state: 'skipped' as const, attempted: false, expansion }));
    await store.settle(settlements, [], NOW);
  } else {
    await store.operate(step.action, pick(step.pick), NOW);
  }
}

test('after any course of events exactly those posts are blocked that an earlier open one blocks', {
  timeout: 60_000,
}, async () => {
  const run40 = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
    const folder = await mkdtemp(join(tmpdir(), 'imipd-blocking-'));
    const store = await openSqliteStore({ folder, exclusive: false });
    const db = new DatabaseSync(join(folder, 'queue.sqlite'), { readOnly: true });
    const rows = db.prepare(
      `SELECT id, message, uid, user, blocked FROM deliveries WHERE state IN ('queued', 'held') ORDER BY id`,
    );
    try {
      for (const [n, one] of steps.entries()) {
        await run(store, rows.all() as Row[], { step: one, n });
        const open = rows.all() as Row[];
        expect(open.filter(({ blocked }) => blocked === 1).map(({ id }) => id)).toEqual(
          open.filter((row) => isBlocked(row, open)).map(({ id }) => id),
        );
      }
    } finally {
      db.close();
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    }
  });
  // fast-check prints the seed of a failure.
  await fc.assert(run40, { numRuns: 60 });
});
