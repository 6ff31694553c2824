import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createReporter } from '../../../channel/bounce/deliver.ts';
import type { Deliverer, MailBatch, PostBatch } from '../../../channel/channel.ts';
import type { Policy } from '../../../rules/decide.ts';
import { attempt } from '../../../src/flow/attempt.ts';
import type { Discovery, FlowContext } from '../../../src/flow/context.ts';
import { Lanes } from '../../../src/flow/dispatch.ts';
import type { IncomingPost, PostAcceptor } from '../../../src/flow/post-acceptor.ts';
import { createPostAcceptor } from '../../../src/flow/take-post.ts';
import type { Outbound } from '../../../src/imip/mail.ts';
import { DEFAULT_LIMITS } from '../../../src/itip/extract.ts';
import { readPosted } from '../../../src/itip/posted.ts';
import { addressKey } from '../../../src/mail/address.ts';
import { DEFAULT_ANNOTATION_NAMES } from '../../../src/mail/annotate.ts';
import type { CalendarServer } from '../../../src/mail/disposition.ts';
import type { Outcome } from '../../../src/mail/outcome.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { Runner } from '../../../src/queue/runner.ts';
import { openSqliteStore } from '../../../src/queue/sqlite.ts';
import type { Delivery, Store } from '../../../src/queue/store.ts';
import { calendarObject, type EventFields } from '../../integration/invitations.ts';
import { DELIVERED, HOUR, MINUTE, NOW } from '../queue/samples.ts';
import { person, SITE } from './scene.ts';

export const OLGA = 'olga@example.org';
export const ALICE = 'alice@example.com';
export const BOB = 'bob@example.com';
export const EVE = 'eve@example.net';
/** Longer than any test waits. */
export const FOREVER = 600_000;

export type PostFields = Partial<Omit<IncomingPost, 'content' | 'object'>> & { readonly event?: Partial<EventFields> };

/** A post of Olga's for these recipients, who are its attendees. */
export function incomingPost(recipients: readonly string[], { event, ...more }: PostFields = {}): IncomingPost {
  const attendees = [...new Set(recipients)];
  const fields: EventFields = { uid: 'review@example.org', organizer: OLGA, attendees, method: 'REQUEST', ...event };
  const content = Buffer.from(calendarObject(fields));
  const posted = readPosted(content, 'utf-8', DEFAULT_LIMITS);
  if (posted.kind !== 'object') throw new Error(`not to be posted: ${posted.kind}`);
  return {
    listener: 'service',
    peer: 'cyrus',
    origin: 'inside',
    client: { address: '192.0.2.1', protocol: 'HTTPS' },
    messageId: 'one@cyrus.example.org',
    originator: OLGA,
    recipients,
    object: posted.object,
    content,
    waitMs: FOREVER,
    signal: new AbortController().signal,
    ...more,
  };
}

/**
 * The flow of posts with the real queue and its runner; the directory, the calendar server and the hops are the test's.
 */
export type PostScene = {
  readonly folder: string;
  readonly store: Store;
  readonly context: FlowContext;
  readonly acceptor: PostAcceptor;
  readonly posts: PostBatch[];
  /** Where each of `posts` went. */
  readonly servers: CalendarServer[];
  readonly mails: { readonly route: string; readonly to: readonly string[]; readonly content: string }[];
  readonly lines: (Record<string, unknown> & { readonly level: string })[];
  /** What calendar server and hops answer, by recipient; everybody else's takes what it gets. */
  readonly answers: Map<string, Outcome>;
  /** What the next post, and the next mail, waits for. */
  readonly world: { gate: Promise<void>; mailGate: Promise<void>; now: number };
  readonly stopping: AbortController;
  /** What the queue has, as `queue id: recipient kind state`, with the queue ids counted from 1. */
  queue(): readonly string[];
  deliveries(): readonly Delivery[];
  [Symbol.asyncDispose](): Promise<void>;
};

/** @param folder of a queue that is there, and stays; by default a new one that goes with the scene */
export async function openPostScene(
  options: {
    folder?: string;
    policy?: Policy;
    discovery?: Discovery;
    outbound?: Outbound;
    hop?: FlowContext['hop'];
  } = {},
): Promise<PostScene> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'imipd-posts-')));
  const world: PostScene['world'] = {
    gate: Promise.resolve(),
    mailGate: Promise.resolve(),
    now: NOW,
  };
  const clock = (): number => world.now;
  const store = await openSqliteStore({ folder, exclusive: true, clock });
  const people = [ALICE, BOB].map((mail) => person(mail));
  const posts: PostBatch[] = [];
  const servers: CalendarServer[] = [];
  const mails: PostScene['mails'] = [];
  const lines: PostScene['lines'] = [];
  const answers: PostScene['answers'] = new Map();
  const write = (level: string) => (line: unknown) => void lines.push({ level, ...(line as Record<string, unknown>) });
  const log = { ...silentLog, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const outcome = (recipient: string): Outcome => answers.get(recipient) ?? DELIVERED;
  const poster = (server: CalendarServer): Deliverer<PostBatch> => ({
    channel: 'ischedule',
    destination: server.url,
    deliver: async (batch) => {
      posts.push(batch);
      servers.push(server);
      await world.gate;
      return batch.recipients.map(outcome);
    },
    [Symbol.asyncDispose]: async () => undefined,
  });
  const hop = (route: string): Deliverer<MailBatch> => ({
    channel: 'smtp',
    destination: route,
    deliver: async ({ recipients, body }) => {
      const bytes = body();
      const content = (Buffer.isBuffer(bytes) ? bytes : await buffer(bytes)).toString();
      mails.push({ route, to: recipients.map(({ address }) => address), content });
      await world.mailGate;
      return recipients.map(({ address }) => outcome(address));
    },
    [Symbol.asyncDispose]: async () => undefined,
  });
  const context: FlowContext = {
    hostname: 'gateway.example.com',
    log,
    clock,
    random: () => 0.5,
    store,
    directory: {
      lookup: async (address) => {
        const entry = people.find(({ mail }) => addressKey(mail) === addressKey(address));
        return entry === undefined
          ? { kind: 'unknown', server: 'test' }
          : { kind: 'found', entries: [entry], server: 'test' };
      },
      lookupName: async () => ({ kind: 'unknown', server: 'test' }),
      expand: async () => ({ kind: 'members', entries: [], addresses: [] }),
      probe: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    },
    policy: options.policy ?? SITE,
    lanes: new Lanes(() => 5),
    ...(options.discovery === undefined ? {} : { discovery: options.discovery }),
    poster,
    hop: options.hop ?? ((route) => ({ deliverer: hop(route), addressing: 'as-received' })),
    ...(options.outbound === undefined ? {} : { outbound: options.outbound }),
    report: createReporter({ hostname: 'gateway.example.com', store, clock }),
    retry: {
      post: { delaysMs: [MINUTE, 5 * MINUTE], lifetimeMs: 12 * HOUR },
      mail: { delaysMs: [2 * MINUTE], lifetimeMs: 5 * 24 * HOUR },
    },
    annotation: DEFAULT_ANNOTATION_NAMES,
    annotateWaitMs: 5_000,
    examine: DEFAULT_LIMITS,
    sessions: new Map(),
    contents: new Map(),
    poke: () => runner.poke(),
  };
  const runner = new Runner({
    store,
    attempt: (claim, signal) => attempt(context, claim, signal),
    concurrency: 10,
    pollMs: FOREVER,
    clock,
    log,
  });
  runner.start();
  const stopping = new AbortController();
  const acceptor = createPostAcceptor((job) => job(context, () => undefined), {
    run: (claim, job) => runner.run(claim, job),
    hasRoom: () => runner.hasRoom(),
    stopping: stopping.signal,
  });
  const deliveries = (): readonly Delivery[] => store.list({});
  return {
    folder,
    store,
    context,
    acceptor,
    posts,
    servers,
    mails,
    lines,
    answers,
    world,
    stopping,
    deliveries,
    queue: () => {
      const ids = [...new Set(deliveries().map(({ queueId }) => queueId))];
      return deliveries().map(
        ({ queueId, recipient, kind, state }) => `${ids.indexOf(queueId) + 1}: ${recipient} ${kind} ${state}`,
      );
    },
    [Symbol.asyncDispose]: async () => {
      await runner.stop(5_000);
      await context.lanes.stop();
      await store[Symbol.asyncDispose]();
      if (options.folder === undefined) await rm(folder, { recursive: true });
    },
  };
}
