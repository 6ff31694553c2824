import type { Deliverer, MailBatch, PostBatch } from '../channel/channel.ts';
import { IScheduleDeliverer } from '../channel/ischedule/deliver.ts';
import type { Connector } from '../channel/ischedule/pools.ts';
import { SmtpDeliverer } from '../channel/smtp/deliver.ts';
import type { Config, HopConfig } from './config/options.ts';
import { discoveredSettings, serverFor, settingsFor, signerOf, signingKeysOf } from './config/peers.ts';
import type { Hop } from './flow/context.ts';
import type { CalendarServer } from './mail/disposition.ts';
import type { Outcome } from './mail/outcome.ts';
import type { Log } from './observe/log.ts';
import { Posters } from './posters.ts';

/** The ways out: what posts and what passes mail on, with how many attempts at a time each destination gets. */
export type Channels = {
  readonly poster: (server: CalendarServer) => Deliverer<PostBatch>;
  readonly hop: (route: 'next-hop' | 'smart-host') => Hop;
  readonly lanesOf: (destination: string) => number;
  close(): Promise<void>;
};

/** The part of the configuration that channels are made of. */
export type ChannelConfig = Pick<Config, 'hostname' | 'nextHop' | 'smartHost' | 'ischedule' | 'http'>;

/** Servers that strangers' DNS named, and to which connections are kept. */
const MAX_DISCOVERED = 64;

/** @param connector makes the connections to servers that a stranger's DNS named */
export function openChannels(config: ChannelConfig, connector: Connector, log: Log): Channels {
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
  const { poster, posters } = openPosters(config, connector, log);
  return {
    poster,
    hop: (route) => (route === 'next-hop' ? nextHopOf : smartHostOf),
    lanesOf: (destination) => hopLanes.get(destination) ?? ischedule.lanes,
    close: async () => {
      const open = [...posters, next, smart].filter((one) => one !== undefined);
      await Promise.all(open.map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

/** Those of the configuration's servers stay open, one for each origin and entry of `ischedule.servers`. */
function openPosters({ ischedule, http }: ChannelConfig, connector: Connector, log: Log) {
  const known = new Posters(Number.POSITIVE_INFINITY);
  const discovered = new Posters(MAX_DISCOVERED);
  const signer = signerOf(signingKeysOf(ischedule), http.service);
  const { connections, maxRedirects, redirectHosts, userAgent, maxResponseBytes, timeoutMs, connectTimeoutMs } =
    ischedule;
  const usual = { connections, maxRedirects, userAgent, maxResponseBytes, timeoutMs, connectTimeoutMs, signer };
  const poster = ({ url, discovered: isDiscovered }: CalendarServer): Deliverer<PostBatch> => {
    const server = new URL(url);
    if (isDiscovered === true) {
      return discovered.of(server.origin, server.origin, () => {
        const settings = discoveredSettings(ischedule);
        return new IScheduleDeliverer({ ...usual, server, redirectHosts: [], settings, connector }, log);
      });
    }
    const entry = serverFor(url, ischedule.servers);
    return known.of(`${server.origin} ${entry?.url ?? ''}`, server.origin, () => {
      const settings = settingsFor(url, ischedule);
      return new IScheduleDeliverer({ ...usual, server, redirectHosts, settings }, log);
    });
  };
  return { poster, posters: [known, discovered] };
}

function openHop({ hostname }: ChannelConfig, hop: HopConfig, log: Log): SmtpDeliverer {
  const { address, user, password, ca, lanes: _, ...rest } = hop;
  return new SmtpDeliverer(
    {
      ...rest,
      host: address.host,
      port: address.port,
      hostname,
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
