import { createDiscovery } from '../channel/ischedule/discover.ts';
import { addressPolicy } from '../channel/ischedule/guard.ts';
import { guardedConnector } from '../channel/ischedule/guarded-connector.ts';
import { createGuardedFetch } from '../channel/ischedule/guarded-fetch.ts';
import { createKeyFinder } from '../channel/ischedule/key-finder.ts';
import type { KeyFinder } from '../channel/ischedule/keys.ts';
import type { Connector } from '../channel/ischedule/pools.ts';
import type { Config } from './config/options.ts';
import type { Discovery } from './flow/context.ts';
import { CACHE_BOUNDS, createResolver } from './net/dns.ts';
import type { Log } from './observe/log.ts';

/** What we learn of other domains, and how we go where it points. */
export type Outside = {
  /** Absent where the configuration allows no domain. */
  readonly discovery?: Discovery;
  readonly keys: KeyFinder;
  /** Makes connections to servers that a stranger's DNS named. */
  readonly connector: Connector;
  [Symbol.asyncDispose](): Promise<void>;
};

/** The part of the configuration that it is made of. */
export type OutsideConfig = Pick<Config, 'dns' | 'ischedule'>;

const TRIES = 2;

export function openOutside({ dns, ischedule }: OutsideConfig, log: Log): Outside {
  const { servers, timeoutMs, minTtlMs, maxTtlMs, maxNegativeTtlMs } = dns;
  const { discovery, connectTimeoutMs, userAgent, exchangedKeys } = ischedule;
  const cache = { ...CACHE_BOUNDS, minTtlMs, maxTtlMs, maxNegativeTtlMs };
  const resolver = createResolver({ servers, timeoutMs, tries: TRIES, cache });
  // For those who keep what they find themselves: kept twice it would live twice as long.
  const unkept = createResolver({ servers, timeoutMs, tries: TRIES, cache: { ...cache, maxEntries: 0 } });
  const guarded = {
    resolver,
    policy: addressPolicy({ allow: discovery.allowNetworks }),
    connectTimeoutMs,
    ...(discovery.ca === undefined ? {} : { tls: { ca: discovery.ca } }),
  };
  const clock = (): number => performance.now();
  return {
    ...(discovery.domains.length === 0
      ? {}
      : {
          discovery: createDiscovery({
            resolver: unkept,
            plainSrv: discovery.plain,
            random: Math.random,
            clock,
            cache,
            log,
          }),
        }),
    keys: createKeyFinder({
      resolver: unkept,
      fetch: createGuardedFetch({ ...guarded, userAgent }),
      privateKeys: exchangedKeys,
      clock,
      cache,
    }),
    connector: guardedConnector(guarded),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([resolver.close(), unkept.close()]);
    },
  };
}
