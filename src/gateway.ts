import { createReporter } from '../channel/bounce/deliver.ts';
import type { Deliverer, MailBatch, PostBatch, Receiver } from '../channel/channel.ts';
import { IScheduleDeliverer } from '../channel/ischedule/deliver.ts';
import { SmtpDeliverer } from '../channel/smtp/deliver.ts';
import { SmtpReceiver } from '../channel/smtp/receive.ts';
import type { Config, HopConfig, ListenerConfig } from './config/options.ts';
import { annotationNames, examineLimits, mappingOf, policyOf } from './config/policy.ts';
import type { Directory } from './directory/directory.ts';
import { openLdapDirectory } from './directory/ldap.ts';
import { openLdifDirectory } from './directory/ldif.ts';
import { createAcceptor } from './flow/accept.ts';
import { attempt } from './flow/attempt.ts';
import type { FlowContext, Hop } from './flow/context.ts';
import { Lanes } from './flow/dispatch.ts';
import type { CalendarServer } from './mail/disposition.ts';
import type { Outcome } from './mail/outcome.ts';
import type { Log } from './observe/log.ts';
import { Runner } from './queue/runner.ts';
import { openSqliteStore } from './queue/sqlite.ts';
import type { Store } from './queue/store.ts';

/** A running gateway. */
export type Gateway = {
  /** Where mail comes in, by listener name: `host:port`. */
  readonly listeners: ReadonlyMap<string, string>;
  readonly store: Store;
  /** Stops taking mail, ends the attempts under way, closes everything. What is not finished stays in the queue. */
  stop(): Promise<void>;
};

const RUNNER_POLL_MS = 2_000;
const SWEEP_MS = 10 * 60_000;
const DRAIN_MS = 30_000;

/**
 * Builds a gateway from its configuration and starts it.
 * @throws StoreLockedError when another process serves the same queue; LdifError when the directory is a file that
 *   cannot be used; ListenError when a port is taken; what the file system says of the queue's folder
 */
export async function startGateway(config: Config, log: Log): Promise<Gateway> {
  const directory = await openDirectory(config, log);
  const store = await openStore(config, directory);
  const channels = openChannels(config, log);
  const lanes = new Lanes(channels.lanesOf);
  const stopping = new AbortController();
  let runner: Runner | undefined;

  const context: FlowContext = {
    hostname: config.hostname,
    log,
    clock: Date.now,
    random: Math.random,
    store,
    directory,
    policy: policyOf(config),
    lanes,
    poster: channels.poster,
    hop: channels.hop,
    report: createReporter({ hostname: config.hostname, store, clock: Date.now }),
    retry: {
      post: { delaysMs: config.queue.postRetryMs, lifetimeMs: config.queue.postLifetimeMs },
      mail: { delaysMs: config.queue.mailRetryMs, lifetimeMs: config.queue.mailLifetimeMs },
    },
    annotation: annotationNames(config),
    annotateWaitMs: config.queue.annotateWaitMs,
    examine: examineLimits(config.listeners),
    sessions: new Map(),
    contents: new Map(),
    poke: () => runner?.poke(),
  };
  runner = new Runner({
    store,
    attempt: (claim, signal) => attempt(context, claim, signal),
    concurrency: config.queue.concurrency,
    pollMs: RUNNER_POLL_MS,
    clock: Date.now,
    log,
  });
  const running = runner;
  const receivers = config.listeners.map((listener) =>
    openReceiver(config, listener, context, running, stopping.signal, log),
  );
  const keep = {
    historyMs: config.queue.historyMs,
    plainHistoryMs: config.queue.plainHistoryMs,
    ledgerMs: config.queue.ledgerMs,
  };
  const sweep = (): void =>
    void store.sweep(Date.now(), keep).catch((error: unknown) => log.error({ err: error }, 'sweep failed'));
  const sweeper = setInterval(sweep, SWEEP_MS);

  const stop = async (): Promise<void> => {
    clearInterval(sweeper);
    stopping.abort();
    await Promise.all(receivers.map((receiver) => receiver.close()));
    await running.stop(DRAIN_MS);
    await lanes.stop();
    await channels.close();
    await directory[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  };
  const listeners = new Map<string, string>();
  try {
    for (const [index, receiver] of receivers.entries()) {
      const name = config.listeners[index]?.name ?? '';
      const address = await listen(receiver, config.listeners[index]);
      listeners.set(name, address);
      log.info({ event: 'listening', listener: name, address });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  sweep();
  runner.start();
  return { listeners, store, stop };
}

/** A listener that cannot begin; the message names it and says what to change. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

async function listen(receiver: Receiver, listener: ListenerConfig | undefined): Promise<string> {
  try {
    return await receiver.listen();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const { host = '', port = 0 } = listener?.address ?? {};
    const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    throw new ListenError(`listener ${listener?.name ?? ''}: ${where} ${whyNotListening(error.code)}`, {
      cause: error,
    });
  }
}

function whyNotListening(code: unknown): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'is taken by another process (EADDRINUSE); stop that one, or give this listener another address';
    case 'EADDRNOTAVAIL':
      return 'is no address of this machine (EADDRNOTAVAIL); give this listener one that is';
    case 'EACCES':
      return 'may not be listened on by this user (EACCES); take a port from 1024 up, or grant CAP_NET_BIND_SERVICE';
    case 'ENOTFOUND':
      return 'has a host name that cannot be resolved (ENOTFOUND); give this listener an IP address of this machine';
    default:
      return `cannot be listened on (${String(code)})`;
  }
}

async function openStore(config: Config, directory: Directory): Promise<Store> {
  try {
    return await openSqliteStore({ folder: config.state, exclusive: true });
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}

/** Opens the configured directory; without one, every address of ours is unknown. */
export async function openDirectory(config: Config, log: Log): Promise<Directory> {
  const chosen = config.directory;
  if (chosen === undefined) {
    return {
      lookup: async () => ({ kind: 'unknown', server: 'none' }),
      probe: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const mapping = mappingOf(chosen);
  const subAddressSeparators = chosen.subAddress === 'none' ? '' : chosen.subAddress;
  if (chosen.kind === 'ldif') {
    return openLdifDirectory({
      file: chosen.file,
      mapping,
      subAddressSeparators,
      ...(chosen.base === undefined ? {} : { base: chosen.base }),
    });
  }
  return openLdapDirectory(
    {
      servers: chosen.servers,
      startTls: chosen.startTls,
      base: chosen.base,
      mapping,
      subAddressSeparators,
      connectTimeoutMs: chosen.connectTimeoutMs,
      searchTimeoutMs: chosen.searchTimeoutMs,
      maxOutstanding: chosen.maxOutstanding,
      ...(chosen.ca === undefined ? {} : { ca: chosen.ca }),
      ...(chosen.bindDn === undefined ? {} : { bindDn: chosen.bindDn }),
      ...(chosen.password === undefined ? {} : { password: chosen.password.reveal() }),
    },
    log,
  );
}

type Channels = {
  readonly poster: (server: CalendarServer) => Deliverer<PostBatch>;
  readonly hop: (route: 'next-hop' | 'smart-host') => Hop;
  readonly lanesOf: (destination: string) => number;
  close(): Promise<void>;
};

function openChannels(config: Config, log: Log): Channels {
  const posters = new Map<string, IScheduleDeliverer>();
  const { nextHop, smartHost, ischedule } = config;
  const next = nextHop === undefined ? undefined : openHop(config, nextHop, log);
  const smart = smartHost === undefined ? undefined : openHop(config, smartHost, log);
  const hopLanes = new Map<string, number>();
  if (next !== undefined && nextHop !== undefined) hopLanes.set(next.destination, nextHop.lanes);
  if (smart !== undefined && smartHost !== undefined) hopLanes.set(smart.destination, smartHost.lanes);
  const nowhere: Hop = { deliverer: new Nowhere(), addressing: 'as-received' };
  const nextHopOf: Hop =
    next === undefined ? nowhere : { deliverer: next, addressing: nextHop?.addressing ?? 'as-received' };
  const smartHostOf: Hop = smart === undefined ? nextHopOf : { deliverer: smart, addressing: 'as-received' };
  return {
    poster: (server) => {
      const { origin } = new URL(server.url);
      let poster = posters.get(origin);
      if (poster === undefined) {
        poster = new IScheduleDeliverer({ server: new URL(server.url), ...ischedule }, log);
        posters.set(origin, poster);
      }
      return poster;
    },
    hop: (route) => (route === 'next-hop' ? nextHopOf : smartHostOf),
    lanesOf: (destination) => hopLanes.get(destination) ?? ischedule.lanes,
    close: async () => {
      const open = [...posters.values(), next, smart].filter((one) => one !== undefined);
      await Promise.all(open.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

function openHop(config: Config, hop: HopConfig, log: Log): SmtpDeliverer {
  const { address, user, password, ca, lanes: _, ...rest } = hop;
  return new SmtpDeliverer(
    {
      ...rest,
      host: address.host,
      port: address.port,
      hostname: config.hostname,
      ...(ca === undefined ? {} : { ca }),
      ...(user === undefined || password === undefined ? {} : { auth: { user, password: password.reveal() } }),
    },
    log,
  );
}

/** Stands where a hop is needed and none is configured: the mail waits for an administrator. */
class Nowhere implements Deliverer<MailBatch> {
  readonly channel = 'smtp';
  readonly destination = 'none';

  async deliver(batch: MailBatch): Promise<readonly Outcome[]> {
    const reason = 'no next-hop and no smart-host is configured; set one';
    return batch.recipients.map(() => ({ kind: 'deferred', status: '4.3.5', reason, alarm: true }));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function openReceiver(
  config: Config,
  listener: ListenerConfig,
  context: FlowContext,
  runner: Runner,
  stopping: AbortSignal,
  log: Log,
): Receiver {
  const acceptor = createAcceptor(
    { ...context, examine: examineLimits([listener]) },
    {
      replyWaitMs: listener.replyWaitMs,
      maxOwnReceived: config.ownReceivedLimit,
      maxReceived: config.receivedLimit,
      run: (claim, job) => runner.run(claim, job),
      hasRoom: () => runner.hasRoom(),
      stopping,
    },
  );
  const { tls, address, copyDomains, ...rest } = listener;
  return new SmtpReceiver(
    {
      ...rest,
      hostname: config.hostname,
      host: address.host,
      port: address.port,
      copyDomains,
      closeTimeoutMs: DRAIN_MS,
      ...(tls === undefined ? {} : { tls: { kind: tls.mode, cert: tls.cert, key: tls.key.reveal() } }),
    },
    acceptor,
    log,
  );
}
