import { createIScheduleRoutes } from '../channel/ischedule/receive.ts';
import type { ReplayMemory } from '../channel/ischedule/replay-memory.ts';
import { createPublishedRoute } from '../channel/published/answer.ts';
import { createWcapRoute } from '../channel/wcap/answer.ts';
import { createPostAnswerer } from './broker/answer-posts.ts';
import type { Broker } from './broker/question.ts';
import { busyAddressOf, busyClientsOf } from './config/busy.ts';
import type { Config, ServiceConfig } from './config/options.ts';
import { acceptLimits, peersOf, publishedKeysOf } from './config/peers.ts';
import type { Use } from './flow/generation.ts';
import type { PostAcceptor } from './flow/post-acceptor.ts';
import type { Route } from './http/exchange.ts';
import { HttpListener } from './http/listener.ts';
import { DEFAULT_LIMITS } from './itip/extract.ts';
import type { Log } from './observe/log.ts';
import type { Parts } from './parts.ts';

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

/** Without a broker VFREEBUSY is neither announced nor taken, and the other two protocols are not there. */
export function openService(
  { config, outside: { keys }, broker }: Pick<Parts, 'config' | 'outside' | 'broker'>,
  shared: ServiceShared,
): Service {
  const { ischedule } = config;
  const { administrator } = ischedule.accept;
  const peers = peersOf(config);
  const posts = createIScheduleRoutes({
    ...shared,
    listener: SERVICE,
    peers: () => peers,
    limits: acceptLimits(ischedule),
    reading: DEFAULT_LIMITS,
    keys,
    publishedKeys: publishedKeysOf(ischedule),
    clock: Date.now,
    ...(administrator === undefined ? {} : { administrator }),
    ...(broker === undefined ? {} : { answerFreeBusy: createPostAnswerer({ broker, clock: Date.now }) }),
  });
  return { routes: [...posts, ...openQuestions(config, broker, shared.log)] };
}

/** What takes questions for busy times from those who do not post. */
function openQuestions(config: Config, broker: Broker | undefined, log: Log): readonly Route[] {
  const common = { clients: busyClientsOf(config), originator: busyAddressOf(config), clock: Date.now, log };
  const { freeBusy } = config;
  return [
    createPublishedRoute({ ...common, broker: freeBusy?.url === true ? broker : undefined }),
    createWcapRoute({ ...common, broker, maxAttendees: freeBusy?.maxAttendees ?? 0 }),
  ];
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
