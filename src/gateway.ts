import { createReporter } from '../channel/bounce/deliver.ts';
import type { Receiver } from '../channel/channel.ts';
import { ReplayMemory } from '../channel/ischedule/replay-memory.ts';
import { SmtpReceiver } from '../channel/smtp/receive.ts';
import { changes } from './config/diff.ts';
import type { HostPort } from './config/kinds.ts';
import type { Config, ListenerConfig } from './config/options.ts';
import { examineLimits, isVerp } from './config/policy.ts';
import { LdifError } from './directory/ldif.ts';
import { createAcceptor } from './flow/accept.ts';
import { attempt } from './flow/attempt.ts';
import { Generations, type Use } from './flow/generation.ts';
import { MovePoller } from './flow/moves.ts';
import { createPostAcceptor } from './flow/take-post.ts';
import type { Log } from './observe/log.ts';
import { OutboundKeyError } from './outbound-key.ts';
import { changesOf, closeParts, contextOf, openParts, type Parts } from './parts.ts';
import { Runner } from './queue/runner.ts';
import { openSqliteStore } from './queue/sqlite.ts';
import type { Store } from './queue/store.ts';
import { createServiceListener, openService, SERVICE } from './service.ts';

/** A running gateway. */
export type Gateway = {
  /** Where mail comes in, by listener name: `host:port`; where posts do, as `service`. */
  readonly listeners: ReadonlyMap<string, string>;
  readonly store: Store;
  /** Goes over to another configuration, as far as that can be done while it runs: all of it or, when it is wrong, nothing. */
  reload(config: Config): Promise<ReloadResult>;
  /** Stops taking mail, ends the attempts under way, closes everything. What is not finished stays in the queue. */
  stop(): Promise<void>;
};

const RUNNER_POLL_MS = 2_000;
const SWEEP_MS = 10 * 60_000;
const DRAIN_MS = 30_000;

/** What reloading came to. */
export type ReloadResult =
  | {
      readonly ok: true;
      /** What is different from now on: options with old and new value. */
      readonly changes: readonly string[];
      /** What will be at the next start only, and is not before. */
      readonly later: readonly string[];
    }
  /** Nothing has changed. */
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * Builds a gateway from its configuration and starts it.
 * @throws StoreLockedError when another process serves the same queue; LdifError when the directory is a file that
 *   cannot be used; OutboundKeyError when the secret of `outbound` is no such thing; ListenError when a port is taken;
 *   what the file system says of the queue's folder
 */
export async function startGateway(config: Config, log: Log): Promise<Gateway> {
  let parts = await openParts(config, log);
  const store = await openStore(config.state, parts);
  const stopping = new AbortController();
  const shared = {
    log,
    clock: Date.now,
    random: Math.random,
    store,
    report: createReporter({ hostname: config.hostname, store, clock: Date.now }),
    sessions: new Map(),
    contents: new Map(),
    poke: () => runner.poke(),
  };
  const generations = new Generations({ ...shared, ...contextOf(parts) });
  const { use } = generations;
  const runner = new Runner({
    store,
    attempt: (claim, signal) => use((context) => attempt(context, claim, signal)),
    concurrency: config.queue.concurrency,
    pollMs: RUNNER_POLL_MS,
    clock: Date.now,
    log,
  });
  const moves = new MovePoller({
    use,
    log,
    pollMs: () => parts.config.queue.movePollMs,
    holdLimitMs: () => parts.config.queue.holdLimitMs,
  });
  const acceptor = createPostAcceptor(use, {
    run: (claim, job) => runner.run(claim, job),
    hasRoom: () => runner.hasRoom(),
    stopping: stopping.signal,
  });
  const posting = { acceptor, replays: new ReplayMemory(), log };
  let service = openService(parts, posting);
  const receivers: NamedReceiver[] = config.listeners.map((listener) => ({
    name: listener.name,
    address: listener.address,
    receiver: openReceiver(listener, () => parts.config, use, runner, stopping.signal, log),
  }));
  if (config.http.service !== undefined) {
    const receiver = createServiceListener(config.http.service, () => service, use, DRAIN_MS, log);
    receivers.push({ name: SERVICE, address: config.http.service.address, receiver });
  }
  const sweep = (): void =>
    void store
      .sweep(Date.now(), {
        historyMs: parts.config.queue.historyMs,
        plainHistoryMs: parts.config.queue.plainHistoryMs,
        ledgerMs: parts.config.queue.ledgerMs,
      })
      .catch((error: unknown) => log.error({ err: error }, 'sweep failed'));
  const sweeper = setInterval(sweep, SWEEP_MS);

  const reloadNow = async (wanted: Config): Promise<ReloadResult> => {
    const before = parts;
    const next = withoutRestart(wanted, before.config);
    try {
      parts = await openParts(next, log, before);
    } catch (error) {
      if (!(error instanceof LdifError || error instanceof OutboundKeyError)) throw error;
      return { ok: false, errors: error.message.split('\n') };
    }
    const after = parts;
    service = openService(after, posting);
    generations.replace({ ...shared, ...contextOf(after) }, () => closeParts(before, after));
    return { ok: true, changes: changesOf(before, after), later: changes(next, wanted) };
  };
  let reloading: Promise<unknown> = Promise.resolve();
  const reload = (wanted: Config): Promise<ReloadResult> => {
    const result = reloading.then(() => reloadNow(wanted));
    reloading = result.catch(() => undefined);
    return result;
  };

  const stop = async (): Promise<void> => {
    clearInterval(sweeper);
    stopping.abort();
    await reloading;
    await Promise.all(receivers.map(({ receiver }) => receiver.close()));
    await moves.stop();
    await runner.stop(DRAIN_MS);
    await generations[Symbol.asyncDispose]();
    await closeParts(parts);
    await store[Symbol.asyncDispose]();
  };
  const listeners = new Map<string, string>();
  try {
    for (const receiver of receivers) {
      const { name } = receiver;
      const address = await listen(receiver);
      listeners.set(name, address);
      log.info({ event: 'listening', listener: name, address });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  sweep();
  runner.start();
  moves.start();
  return { listeners, store, reload, stop };
}

/** `wanted`, with what cannot change before the next start as it is. */
function withoutRestart(wanted: Config, running: Config): Config {
  const { hostname, state, listeners, http, log } = running;
  const { maxContentLengthBytes } = running.ischedule.accept;
  return {
    ...wanted,
    hostname,
    state,
    listeners,
    http,
    ischedule: { ...wanted.ischedule, accept: { ...wanted.ischedule.accept, maxContentLengthBytes } },
    log: { level: wanted.log.level, ...(log.file === undefined ? {} : { file: log.file }) },
    queue: { ...wanted.queue, concurrency: running.queue.concurrency },
  };
}

/** A listener with where it is to listen. */
type NamedReceiver = { readonly name: string; readonly address: HostPort; readonly receiver: Receiver };

/** A listener that cannot begin; the message names it and says what to change. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

async function listen({ name, address: { host, port }, receiver }: NamedReceiver): Promise<string> {
  try {
    return await receiver.listen();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    throw new ListenError(`listener ${name}: ${where} ${whyNotListening(error.code)}`, {
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

async function openStore(folder: string, parts: Parts): Promise<Store> {
  try {
    return await openSqliteStore({ folder, exclusive: true });
  } catch (error) {
    await closeParts(parts);
    throw error;
  }
}

function openReceiver(
  listener: ListenerConfig,
  running: () => Config,
  use: Use,
  runner: Runner,
  stopping: AbortSignal,
  log: Log,
): Receiver {
  const examine = examineLimits([listener]);
  const acceptor = createAcceptor((job) => use((context, until) => job({ ...context, examine }, until)), {
    replyWaitMs: listener.replyWaitMs,
    get maxOwnReceived() {
      return running().ownReceivedLimit;
    },
    get maxReceived() {
      return running().receivedLimit;
    },
    run: (claim, job) => runner.run(claim, job),
    hasRoom: () => runner.hasRoom(),
    stopping,
  });
  const { tls, address, copyDomains, ...rest } = listener;
  return new SmtpReceiver(
    {
      ...rest,
      verp: isVerp(listener),
      hostname: running().hostname,
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
