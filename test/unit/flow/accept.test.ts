import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type AcceptOptions, createAcceptor } from '../../../src/flow/accept.ts';
import type { Incoming } from '../../../src/flow/acceptor.ts';
import type { FlowContext } from '../../../src/flow/context.ts';
import { DEFAULT_LIMITS } from '../../../src/itip/extract.ts';
import { DEFAULT_ANNOTATION_NAMES } from '../../../src/mail/annotate.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { type NewMessage, type Store, StoreFullError } from '../../../src/queue/store.ts';
import { invitationMail } from '../../integration/invitations.ts';

const ALICE = 'alice@example.com';
const QUEUED = { code: 250, status: '2.6.0', text: 'queued as Q1' };
const BROKEN = new StoreFullError('no space left');

/** A queue of one message, with the calls that a test changes. */
function scene(change: {
  store?: Partial<Store>;
  finish?: () => Promise<never>;
  lookup?: () => Promise<never>;
  attempt?: Attempt;
  stopping?: AbortSignal;
}) {
  const aborted: string[] = [];
  const stored: NewMessage[] = [];
  const store = {
    newId: () => 'Q1',
    openBody: () => ({
      write: async () => undefined,
      finish: change.finish ?? (async () => ({ kind: 'spool', file: 'f' }) as const),
      abort: async () => void aborted.push('aborted'),
    }),
    accept: async ([message]: readonly NewMessage[]) => {
      stored.push(message!);
      const deliveries = message!.deliveries.map((delivery, id) => ({ ...delivery, id, queueId: 'Q1' }));
      return [{ deliveries, claimed: new Set(deliveries.map(({ id }) => id)) }];
    },
    tell: async () => undefined,
    ...change.store,
  };
  const context = {
    hostname: 'imipd.example.com',
    log: silentLog,
    clock: Date.now,
    store,
    directory: { lookup: change.lookup ?? (async () => ({ kind: 'unknown', server: 'none' })) },
    policy: { domains: new Set(['example.com']) },
    annotation: DEFAULT_ANNOTATION_NAMES,
    examine: DEFAULT_LIMITS,
    sessions: new Map(),
    contents: new Map(),
    poke: () => undefined,
  } as unknown as FlowContext;
  const options: AcceptOptions = {
    replyWaitMs: 60_000,
    maxOwnReceived: 5,
    maxReceived: 50,
    hasRoom: () => true,
    run: () => {
      void change.attempt?.(context);
      return true;
    },
    stopping: change.stopping ?? new AbortController().signal,
  };
  return { acceptor: createAcceptor((job) => job(context, () => undefined), options), context, aborted, stored };
}

type Attempt = (context: FlowContext) => void;

function incoming(): Incoming {
  const content = invitationMail({ uid: 'u1', organizer: 'olga@example.org', attendees: [ALICE], method: 'REQUEST' });
  return {
    listener: { name: 'in', protocol: 'smtp', mode: 'filter', origin: 'outside', copyDomains: new Map() },
    client: { address: '192.0.2.1', protocol: 'ESMTP' },
    envelope: {
      reversePath: 'olga@example.org',
      recipients: [{ address: ALICE, received: ALICE }],
      smtpUtf8: false,
      body: '7BIT',
    },
    content: (async function* () {
      yield Buffer.from(content);
    })(),
    signal: new AbortController().signal,
  };
}

describe('before a message is in the queue', () => {
  test('a body that cannot be made durable is forgotten, its file closed', async () => {
    const { acceptor, aborted } = scene({ finish: () => Promise.reject(BROKEN) });
    await expect(acceptor.message(incoming())).rejects.toBe(BROKEN);
    expect(aborted).toEqual(['aborted']);
  });

  test('a look-up that breaks does not cost the message', async () => {
    const stopping = AbortSignal.abort();
    const { acceptor, stored } = scene({ lookup: () => Promise.reject(new Error('a bug')), stopping });
    expect(await acceptor.message(incoming())).toEqual([QUEUED]);
    expect(stored).toHaveLength(1);
  });
});

describe('once a message is in the queue', () => {
  const refused: Attempt = ({ sessions }) =>
    sessions.get('Q1')?.report(0, {
      deliveryId: 1,
      outcome: { kind: 'failed', status: '5.1.1', reason: 'nobody of that name' },
      committed: Promise.resolve(),
    });

  test('a refusal is answered also when it cannot be written down that it was', async () => {
    const { acceptor, context } = scene({ store: { tell: () => Promise.reject(BROKEN) }, attempt: refused });
    expect(await acceptor.message(incoming())).toEqual([{ code: 550, status: '5.1.1', text: 'nobody of that name' }]);
    expect(context.sessions.size).toBe(0);
  });

  test('the gateway stopping ends the wait for the outcome: what is queued is answered 250', async () => {
    const stopping = new AbortController();
    const { acceptor } = scene({ stopping: stopping.signal });
    const replies = acceptor.message(incoming());
    await delay(0);
    stopping.abort();
    expect(await replies).toEqual([QUEUED]);
  });
});
