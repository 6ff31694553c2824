import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Deliverer, MailBatch, PostBatch } from '../../../channel/channel.ts';
import type { Policy } from '../../../rules/decide.ts';
import type { Entry, Expansion, Lookup, LookupOptions } from '../../../src/directory/directory.ts';
import { createAcceptor } from '../../../src/flow/accept.ts';
import { attempt } from '../../../src/flow/attempt.ts';
import type { FlowContext } from '../../../src/flow/context.ts';
import { Lanes } from '../../../src/flow/dispatch.ts';
import { DEFAULT_LIMITS } from '../../../src/itip/extract.ts';
import { addressKey } from '../../../src/mail/address.ts';
import { DEFAULT_ANNOTATION_NAMES } from '../../../src/mail/annotate.ts';
import type { Outcome } from '../../../src/mail/outcome.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { openSqliteStore } from '../../../src/queue/sqlite.ts';
import type { Delivery, Mode, Origin, Store } from '../../../src/queue/store.ts';
import { DELIVERED, HOUR, MINUTE, NOW } from '../queue/samples.ts';

export const NORTH = { url: 'https://north.example.com/ischedule', profile: 'cyrus' } as const;

export const SITE: Policy = {
  domains: new Set(['example.com']),
  subAddressSeparators: '+',
  homes: { backEnds: new Map([['north', NORTH]]), defaultBackEnd: NORTH, domainMap: [] },
  catchAll: 'mail',
};

/** Somebody of ours with a calendar. */
export function person(mail: string, more: Partial<Entry> = {}): Entry {
  return {
    dn: `mail=${mail},o=example`,
    kind: 'user',
    mail,
    addresses: [mail],
    matchedBy: `mail=${mail}`,
    status: [],
    moving: false,
    calendar: true,
    ...more,
  };
}

export function group(mail: string, more: Partial<Entry> = {}): Entry {
  const facts = { memberDns: [], memberAddresses: [], memberUrls: [] };
  return person(mail, { kind: 'group', calendar: false, group: facts, ...more });
}

/** How a message comes in; by default through a `filter` listener for outside mail. */
export type Arrival = {
  readonly mode?: Mode;
  readonly origin?: Origin;
  readonly orcpt?: string;
  /** Whether its copies leave with VERP addresses. */
  readonly verp?: boolean;
  /** Envelope sender; olga@example.org when absent. */
  readonly reversePath?: string;
};

/** One mail transaction: header lines put before the mail, its envelope, and what follows the lines. */
export type SentMail = {
  readonly prepend: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly body: string;
};

/**
 * The flow from the end of DATA to the settled delivery, with the real queue; the directory, the calendar server and
 * the next hop are the test's.
 */
export type Scene = {
  readonly store: Store;
  readonly context: FlowContext;
  /** Who is in the directory; changed as the test goes on. */
  readonly people: Entry[];
  /** Members of each group, by its primary address. */
  readonly members: Map<string, Expansion>;
  /** What the directory was asked, in order: `lookup bob@…`, `fresh bob@…`, `expand staff@…`. */
  readonly asked: string[];
  readonly posts: PostBatch[];
  readonly mails: SentMail[];
  readonly lines: (Record<string, unknown> & { readonly level: string })[];
  /** What the calendar server and the next hop answer; `now` is what the clock says, and all may be changed. */
  readonly world: { answer: Outcome; hopAnswer: Outcome; silent: boolean; now: number; pokes: number };
  /** Takes one message in. @returns its queue id */
  arrive(content: string, recipients: readonly string[], arrival?: Arrival): Promise<string>;
  /** Attempts everything that is due until nothing is. */
  work(): Promise<void>;
  /** The post for one recipient of a message. */
  post(queueId: string, recipient: string): Delivery | undefined;
  [Symbol.asyncDispose](): Promise<void>;
};

/** @param more what the context has beside, or in place of, the usual */
export async function openScene(policy: Policy = SITE, more: Partial<FlowContext> = {}): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'imipd-flow-'));
  const world: Scene['world'] = { answer: DELIVERED, hopAnswer: DELIVERED, silent: false, now: NOW, pokes: 0 };
  const store = await openSqliteStore({ folder, exclusive: true, clock: () => world.now });
  const people: Entry[] = [];
  const members = new Map<string, Expansion>();
  const asked: string[] = [];
  const posts: PostBatch[] = [];
  const mails: SentMail[] = [];
  const lines: Scene['lines'] = [];
  const write = (level: string) => (line: unknown) => void lines.push({ level, ...(line as Record<string, unknown>) });
  const lookup = async (address: string, _: AbortSignal, options?: LookupOptions): Promise<Lookup> => {
    asked.push(`${options?.fresh === true ? 'fresh' : 'lookup'} ${address}`);
    if (world.silent) return { kind: 'no-answer', reason: 'nobody is there' };
    const [first, ...more] = people.filter((one) =>
      one.addresses.some((own) => addressKey(own) === addressKey(address)),
    );
    return first === undefined
      ? { kind: 'unknown', server: 'test' }
      : { kind: 'found', entries: [first, ...more], server: 'test' };
  };
  const poster: Deliverer<PostBatch> = {
    channel: 'ischedule',
    destination: 'north.example.com',
    deliver: async (batch) => {
      posts.push(batch);
      return batch.recipients.map(() => world.answer);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const hop: Deliverer<MailBatch> = {
    channel: 'smtp',
    destination: 'next-hop',
    deliver: async ({ prepend, envelope, recipients, body }) => {
      const to = recipients.map(({ address }) => address);
      const content = await textOf(body());
      mails.push({ prepend: prepend.toString(), from: envelope.reversePath, to, body: content });
      return recipients.map(() => world.hopAnswer);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const lanes = new Lanes(() => 5);
  const context: FlowContext = {
    hostname: 'gateway.example.com',
    log: { ...silentLog, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    clock: () => world.now,
    random: () => 0.5,
    store,
    directory: {
      lookup,
      lookupName: async () => ({ kind: 'unknown', server: 'test' }),
      expand: async ({ mail }) => {
        asked.push(`expand ${mail}`);
        return members.get(mail) ?? { kind: 'members', entries: [], addresses: [] };
      },
      probe: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    },
    policy,
    lanes,
    poster: () => poster,
    hop: () => ({ deliverer: hop, addressing: 'as-received' }),
    report: async () => {
      throw new Error('nobody is told anything here');
    },
    retry: {
      post: { delaysMs: [MINUTE, 5 * MINUTE], lifetimeMs: 12 * HOUR },
      mail: { delaysMs: [2 * MINUTE], lifetimeMs: 5 * 24 * HOUR },
    },
    annotation: DEFAULT_ANNOTATION_NAMES,
    annotateWaitMs: 5_000,
    examine: DEFAULT_LIMITS,
    sessions: new Map(),
    contents: new Map(),
    poke: () => void world.pokes++,
    ...more,
  };
  const never = new AbortController().signal;
  const acceptor = createAcceptor((job) => job(context, () => undefined), {
    replyWaitMs: 0,
    maxOwnReceived: 5,
    maxReceived: 50,
    run: () => false,
    hasRoom: () => false,
    stopping: never,
  });
  return {
    store,
    context,
    people,
    members,
    asked,
    posts,
    mails,
    lines,
    world,
    arrive: async (
      content,
      recipients,
      { mode = 'filter', origin = 'outside', orcpt, reversePath = 'olga@example.org', verp = false } = {},
    ) => {
      const [reply] = await acceptor.message({
        listener: { name: 'mx', protocol: 'smtp', mode, origin, verp, copyDomains: new Map() },
        client: { address: '192.0.2.1', protocol: 'ESMTP' },
        envelope: {
          reversePath,
          recipients: recipients.map((address) => ({
            address,
            received: address,
            ...(orcpt === undefined ? {} : { orcpt }),
          })),
          smtpUtf8: false,
          body: '7BIT',
        },
        content: (async function* () {
          yield Buffer.from(content);
        })(),
        signal: never,
      });
      const id = /^queued as (\w+)$/.exec(reply?.text ?? '')?.[1];
      if (id === undefined) throw new Error(`not queued: ${reply?.text}`);
      return id;
    },
    work: async () => {
      for (;;) {
        const claims = await store.claim(world.now, 10);
        if (claims.length === 0) return;
        for (const claim of claims) await attempt(context, claim, never);
      }
    },
    post: (queueId, recipient) =>
      store.message(queueId)?.deliveries.find((one) => one.kind === 'post' && one.recipient === recipient),
    [Symbol.asyncDispose]: async () => {
      await lanes.stop();
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

async function textOf(body: Buffer | AsyncIterable<Buffer>): Promise<string> {
  if (Buffer.isBuffer(body)) return body.toString();
  return Buffer.concat(await Array.fromAsync(body)).toString();
}
