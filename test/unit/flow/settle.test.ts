import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createReporter } from '../../../channel/bounce/deliver.ts';
import type { FlowContext } from '../../../src/flow/context.ts';
import { Lanes } from '../../../src/flow/dispatch.ts';
import { Session } from '../../../src/flow/sessions.ts';
import { awaited, type Result, settle } from '../../../src/flow/settle.ts';
import { DEFAULT_LIMITS } from '../../../src/itip/extract.ts';
import type { Outcome } from '../../../src/mail/outcome.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { openSqliteStore } from '../../../src/queue/sqlite.ts';
import type { Delivery, Message, Store } from '../../../src/queue/store.ts';
import { DELIVERED, decision, FAILED, HOUR, incoming, MINUTE, mail, NOW, post } from '../queue/samples.ts';
import { POLICY, REQUEST } from '../rules/samples.ts';

const NEVER = new AbortController().signal;
const SILENT: Outcome = { kind: 'deferred', status: '4.4.1', reason: 'no connection', relay: '192.0.2.9:443' };

let folder: string;
let store: Store;
let lines: { readonly level: string; readonly line: Record<string, unknown> }[];
let context: FlowContext;
let pokes: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imipd-settle-'));
  store = await openSqliteStore({ folder, exclusive: true, clock: () => NOW });
  lines = [];
  pokes = 0;
  const unused = (): never => {
    throw new Error('settling delivers nothing');
  };
  const write = (level: string) => (line: unknown) => void lines.push({ level, line: line as Record<string, unknown> });
  context = {
    hostname: 'gateway.example.com',
    log: { ...silentLog, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    clock: () => NOW + MINUTE,
    random: () => 0.5,
    store,
    directory: {
      lookup: unused,
      lookupName: unused,
      expand: unused,
      probe: unused,
      [Symbol.asyncDispose]: async () => undefined,
    },
    policy: POLICY,
    lanes: new Lanes(() => 1),
    poster: unused,
    hop: unused,
    report: createReporter({ hostname: 'gateway.example.com', store, clock: () => NOW + MINUTE }),
    retry: {
      post: { delaysMs: [MINUTE, 5 * MINUTE], lifetimeMs: 12 * HOUR },
      mail: { delaysMs: [2 * MINUTE], lifetimeMs: 5 * 24 * HOUR },
    },
    annotation: {},
    annotateWaitMs: 5_000,
    examine: DEFAULT_LIMITS,
    sessions: new Map(),
    contents: new Map(),
    poke: () => {
      pokes++;
    },
  };
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Takes a message in with a post and a mail, both claimed; `final` and `copy` have the post only. */
async function take(more: Partial<Message> = {}): Promise<{ message: Message; post: Delivery; mail: Delivery }> {
  const deliveries = [post({ uid: REQUEST.uid, claim: true })];
  if ((more.mode ?? 'filter') === 'filter') deliveries.push(mail({ claim: true }));
  const [accepted] = await store.accept([
    incoming('A1', deliveries, { message: { uid: REQUEST.uid, method: 'REQUEST', ...more } }),
  ]);
  const message = store.message('A1')?.message;
  const [first, second] = accepted?.deliveries ?? [];
  if (message === undefined || first === undefined) throw new Error('not accepted');
  return { message, post: first, mail: second ?? first };
}

function outcome(delivery: Delivery, given: Outcome): Result {
  return { kind: 'outcome', delivery, channel: delivery.kind === 'post' ? 'ischedule' : 'smtp', outcome: given };
}

const stored = (kind: 'post' | 'mail'): Delivery | undefined =>
  store.message('A1')?.deliveries.find((delivery) => delivery.kind === kind);
/** Reports that were queued: whom they go to. */
const reports = (): readonly string[] =>
  store.list({}).flatMap(({ message, recipient }) => (message.envelope.reversePath === '' ? [recipient] : []));

/** With the reverse-path, NOTIFY or event that the test is about. */
function envelope(more: Partial<Message['envelope']>, notify?: 'NEVER' | 'SUCCESS'): Pick<Message, 'envelope'> {
  const recipient = { address: 'bob@example.com', received: 'bob@example.com' };
  return {
    envelope: {
      reversePath: 'ann@example.org',
      recipients: [notify === undefined ? recipient : { ...recipient, notify: [notify] }],
      smtpUtf8: false,
      body: '7BIT',
      ...more,
    },
  };
}

describe('what an attempt gave', () => {
  test('a delivered post is final and raises the ledger', async () => {
    const { message, post: delivery } = await take();
    const result = {
      ...outcome(delivery, DELIVERED),
      decision: decision('post'),
      user: 'bob@example.com',
      object: REQUEST,
    };
    await settle(context, message, [result], NOW);
    expect(stored('post')).toMatchObject({
      state: 'delivered',
      outcome: DELIVERED,
      attempts: 1,
      user: 'bob@example.com',
    });
    expect(stored('post')?.decisions).toEqual([decision('post')]);
    expect(store.ledger('bob@example.com', REQUEST.uid)).toEqual([
      {
        user: 'bob@example.com',
        uid: REQUEST.uid,
        recurrenceId: '',
        author: 'olga@example.org',
        organizer: 'olga@example.org',
        sequence: 1,
        dtstamp: '20300301T080000Z',
        digest: 'd1',
        usedAt: NOW + MINUTE,
      },
    ]);
  });

  for (const [title, given] of [
    ['refused', FAILED],
    ['deferred', SILENT],
  ] as const) {
    test(`a ${title} post leaves the ledger alone: nobody has seen it`, async () => {
      const { message, post: delivery } = await take();
      const result = { ...outcome(delivery, given), user: 'bob@example.com', object: REQUEST };
      await settle(context, message, [result], NOW);
      expect(store.ledger('bob@example.com', REQUEST.uid)).toEqual([]);
    });
  }

  test('a deferred post is due after the first pause of its plan, a deferred mail after that of its own', async () => {
    const { message, ...deliveries } = await take();
    await settle(context, message, [outcome(deliveries.post, SILENT), outcome(deliveries.mail, SILENT)], NOW);
    expect(stored('post')).toMatchObject({ state: 'queued', attempts: 1, dueAt: NOW + 2 * MINUTE, outcome: SILENT });
    expect(stored('mail')).toMatchObject({ state: 'queued', attempts: 1, dueAt: NOW + 3 * MINUTE, outcome: SILENT });
    expect(pokes).toBe(1);
  });

  test('a deferred post is not due before the server wants it', async () => {
    const { message, post: delivery } = await take();
    await settle(context, message, [outcome(delivery, { ...SILENT, retryAfterMs: HOUR })], NOW);
    expect(stored('post')?.dueAt).toBe(NOW + MINUTE + HOUR);
  });

  test('a post whose event is over is given up with what was seen last; the mail is not', async () => {
    const { message, ...deliveries } = await take({ endsAtMs: NOW });
    await settle(context, message, [outcome(deliveries.post, SILENT), outcome(deliveries.mail, SILENT)], NOW);
    expect(stored('post')).toMatchObject({
      state: 'expired',
      outcome: { ...SILENT, status: '4.4.7', reason: 'given up after 1 attempts: no connection' },
    });
    expect(stored('mail')?.state).toBe('queued');
  });

  for (const kind of ['held', 'skipped'] as const) {
    test(`a ${kind} post counts no attempt and keeps its decision`, async () => {
      const { message, post: delivery } = await take();
      const decided = decision('moving');
      const result: Result = { kind, reason: 'moving', delivery, channel: 'ischedule', decision: decided };
      await settle(context, message, [result], NOW);
      expect(stored('post')).toMatchObject({ state: kind, attempts: 0, decisions: [decided] });
    });
  }

  test('nothing is nothing to commit', async () => {
    const { message } = await take();
    await settle(context, message, [], NOW);
    expect({ lines, pokes }).toEqual({ lines: [], pokes: 0 });
  });
});

describe('who is told', () => {
  test('nobody of a post that failed in filter: the mail went on', async () => {
    const { message, post: delivery } = await take();
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('post')).toMatchObject({ state: 'failed', told: 'nobody' });
    expect(reports()).toEqual([]);
  });

  test('the sender by a report when the mail failed and no client waits', async () => {
    const { message, mail: delivery } = await take();
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('mail')).toMatchObject({ state: 'failed', told: 'dsn' });
    expect(reports()).toEqual(['ann@example.org']);
  });

  test('the sender by a report when a post failed in final', async () => {
    const { message, post: delivery } = await take({ mode: 'final' });
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('post')).toMatchObject({ state: 'failed', told: 'dsn' });
    expect(reports()).toEqual(['ann@example.org']);
  });

  test('nobody when a post failed in copy', async () => {
    const { message, post: delivery } = await take({ mode: 'copy' });
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('post')).toMatchObject({ state: 'failed', told: 'nobody' });
    expect(reports()).toEqual([]);
  });

  test('nobody when the message came from the null reverse-path', async () => {
    const { message, mail: delivery } = await take(envelope({ reversePath: '' }));
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('mail')).toMatchObject({ state: 'failed', told: 'nobody' });
    expect(store.list({}).map(({ queueId }) => queueId)).toEqual(['A1', 'A1']);
  });

  test('nobody when the sender asked for NOTIFY=NEVER', async () => {
    const { message, mail: delivery } = await take(envelope({}, 'NEVER'));
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('mail')).toMatchObject({ state: 'failed', told: 'nobody' });
    expect(reports()).toEqual([]);
  });

  test('the sender of a success that nobody after us will report, when he asked for it', async () => {
    const { message, mail: delivery } = await take(envelope({}, 'SUCCESS'));
    const given: Outcome = { kind: 'delivered', status: '2.0.0', reason: 'taken', relayedWithoutDsn: true };
    await settle(context, message, [outcome(delivery, given)], NOW);
    expect(stored('mail')).toMatchObject({ state: 'delivered', told: 'dsn' });
    expect(reports()).toEqual(['ann@example.org']);
  });

  test('nobody of a deferral', async () => {
    const { message, mail: delivery } = await take();
    await settle(context, message, [outcome(delivery, SILENT)], NOW);
    expect(stored('mail')?.told).toBeUndefined();
    expect(reports()).toEqual([]);
  });
});

describe('a client that still waits for its reply', () => {
  test('is told of a failure, and no report is made', async () => {
    const { message, mail: delivery } = await take();
    const session = new Session(1);
    context.sessions.set(message.id, session);
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    const results = await session.close(0, NEVER);
    expect([results.get(0)?.deliveryId, results.get(0)?.outcome]).toEqual([delivery.id, FAILED]);
    expect(stored('mail')).toMatchObject({ state: 'failed' });
    expect(stored('mail')?.told).toBeUndefined();
    expect(reports()).toEqual([]);
  });

  test('is not told of what fails after its reply: the sender has a report', async () => {
    const { message, mail: delivery } = await take();
    const session = new Session(1);
    context.sessions.set(message.id, session);
    await session.close(0, NEVER);
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('mail')).toMatchObject({ state: 'failed', told: 'dsn' });
    expect(reports()).toEqual(['ann@example.org']);
  });

  test('and left before it had one still owns the message: nobody is told', async () => {
    const { message, mail: delivery } = await take();
    const session = new Session(1);
    context.sessions.set(message.id, session);
    await session.close(0, AbortSignal.abort());
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(stored('mail')).toMatchObject({ state: 'failed', told: 'nobody' });
    expect(reports()).toEqual([]);
  });

  test('hears nothing of a post in filter, whose reply is about the mail', async () => {
    const { message, post: delivery } = await take();
    const session = new Session(1);
    context.sessions.set(message.id, session);
    await settle(context, message, [outcome(delivery, FAILED)], NOW);
    expect(await session.close(0, NEVER)).toEqual(new Map());
    expect(stored('post')).toMatchObject({ state: 'failed', told: 'nobody' });
  });

  // A reply is 250 or 5xx once the message is committed, and what expired has a temporary status.
  test('is not told of what was given up at once: the sender has a report', async () => {
    const { message, post: delivery } = await take({ mode: 'final', endsAtMs: NOW });
    const session = new Session(1);
    context.sessions.set(message.id, session);
    await settle(context, message, [outcome(delivery, SILENT)], NOW);
    expect((await session.close(0, NEVER)).get(0)?.outcome?.kind).toBe('deferred');
    expect(stored('post')).toMatchObject({ state: 'expired', told: 'dsn' });
    expect(reports()).toEqual(['ann@example.org']);
  });

  test('hears nothing of what could not be committed, which is tried again', async () => {
    const { message, mail: delivery } = await take();
    const session = new Session(1);
    const full = { ...store, settle: async () => Promise.reject(new Error('disk I/O error')) };
    const broken: FlowContext = { ...context, store: full, sessions: new Map([[message.id, session]]) };
    await expect(settle(broken, message, [outcome(delivery, FAILED)], NOW)).rejects.toThrow('disk I/O error');
    expect(await session.close(0, NEVER)).toEqual(new Map());
    expect(stored('mail')?.state).toBe('queued');
  });

  test('waits for the mail in filter and for the post elsewhere', () => {
    expect((['filter', 'final', 'copy'] as const).map((mode) => awaited({ mode }))).toEqual(['mail', 'post', 'post']);
  });
});

describe('the log line', () => {
  test('of a delivered post tells who, where, what and how long', async () => {
    const { message, post: delivery } = await take({ messageId: '<m1@example.org>' });
    const given = { ...DELIVERED, relay: '192.0.2.9:443' };
    await settle(
      context,
      message,
      [{ ...outcome(delivery, given), decision: decision('post'), transferMs: 40 }],
      NOW + 1_000,
    );
    expect(lines).toMatchObject([
      {
        level: 'info',
        line: {
          queueId: 'A1',
          messageId: '<m1@example.org>',
          from: 'ann@example.org',
          to: 'bob@example.com',
          origTo: 'bob@example.com',
          channel: 'ischedule',
          relay: '192.0.2.9:443',
          attempt: 1,
          outcome: 'delivered',
          status: '2.0.0',
          reason: 'taken',
          rule: 'post',
          uid: REQUEST.uid,
          method: 'REQUEST',
          delayMs: MINUTE,
          delays: { intake: 0, queue: 1_000, transfer: 40 },
        },
      },
    ]);
    expect(lines[0]?.line).not.toHaveProperty('alarm');
  });

  const skipped = (delivery: Delivery): Result => ({
    kind: 'skipped',
    reason: 'stale',
    delivery,
    channel: 'ischedule',
  });
  const levels: readonly [title: string, result: (delivery: Delivery) => Result, level: string, shown: string][] = [
    ['of a deferral is no warning', (one) => outcome(one, SILENT), 'info', 'deferred'],
    ['of a deferral that is our fault is one', (one) => outcome(one, { ...SILENT, alarm: true }), 'warn', 'deferred'],
    ['of a post that was not needed is none', skipped, 'info', 'skipped'],
    [
      'of a decision that an operator should see is one',
      (one) => ({ ...skipped(one), decision: { ...decision('ambiguous'), alarm: true } }),
      'warn',
      'skipped',
    ],
  ];
  for (const [title, result, level, shown] of levels) {
    test(title, async () => {
      const { message, post: delivery } = await take();
      await settle(context, message, [result(delivery)], NOW);
      expect(lines.map((one) => [one.level, one.line.outcome])).toEqual([[level, shown]]);
    });
  }

  test('of what was given up is a warning', async () => {
    const { message, post: delivery } = await take({ endsAtMs: NOW });
    await settle(context, message, [outcome(delivery, SILENT)], NOW);
    expect(lines).toMatchObject([
      {
        level: 'warn',
        line: { outcome: 'expired', status: '4.4.7', reason: 'given up after 1 attempts: no connection' },
      },
    ]);
  });
});
