import { createIScheduleRoutes } from '../channel/ischedule/receive.ts';
import type { ReplayMemory } from '../channel/ischedule/replay-memory.ts';
import type { Config, ServiceConfig } from './config/options.ts';
import { acceptLimits, peersOf, publishedKeysOf } from './config/peers.ts';
import type { Use } from './flow/generation.ts';
import type { PostAcceptor } from './flow/post-acceptor.ts';
import type { Route } from './http/exchange.ts';
import { HttpListener } from './http/listener.ts';
import { DEFAULT_LIMITS } from './itip/extract.ts';
import type { Log } from './observe/log.ts';
import type { Outside } from './outside.ts';

/** What the log, the queue and `Gateway.listeners` call the listener of `http.service`. */
export const SERVICE = 'service';

/** What answers on the service listener under one configuration. */
export type Service = { readonly routes: readonly Route[] };

/** What stays from one configuration to the next. */
export type ServiceShared = {
  readonly acceptor: PostAcceptor;
  readonly replays: ReplayMemory;
  readonly log: Log;
};

export function openService(config: Config, { keys }: Outside, shared: ServiceShared): Service {
  const { ischedule } = config;
  const { administrator } = ischedule.accept;
  const peers = peersOf(config);
  return {
    routes: createIScheduleRoutes({
      ...shared,
      listener: SERVICE,
      peers: () => peers,
      limits: acceptLimits(ischedule),
      reading: DEFAULT_LIMITS,
      keys,
      publishedKeys: publishedKeysOf(ischedule),
      clock: Date.now,
      ...(administrator === undefined ? {} : { administrator }),
    }),
  };
}

/**
 * The listener of `http.service`. Each request is answered by what is configured when it comes, to its end.
 * @param current what is configured now; it always has the same routes as at the start
 */
export function createServiceListener(
  { address, tls, ...rest }: ServiceConfig,
  current: () => Service,
  use: Use,
  closeTimeoutMs: number,
  log: Log,
): HttpListener {
  const routes = current().routes.map((first, index): Route => {
    const now = (): Route => current().routes[index] ?? first;
    return {
      path: first.path,
      methods: first.methods,
      maxBodyBytes: first.maxBodyBytes,
      // What answers belongs to a generation, and stays open as long as that is in use.
      handle: (request) => use(() => now().handle(request)),
      refuse: (status) => now().refuse(status),
    };
  });
  const { host, port } = address;
  return new HttpListener(
    {
      ...rest,
      name: SERVICE,
      host,
      port,
      closeTimeoutMs,
      ...(tls === undefined
        ? {}
        : {
            tls: {
              cert: tls.cert,
              key: tls.key.reveal(),
              ...(tls.clientCa === undefined ? {} : { clientCa: tls.clientCa }),
            },
          }),
    },
    routes,
    log,
  );
}
