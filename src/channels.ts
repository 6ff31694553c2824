import type { Deliverer, MailBatch, PostBatch } from '../channel/channel.ts';
import { IScheduleDeliverer } from '../channel/ischedule/deliver.ts';
import { SmtpDeliverer } from '../channel/smtp/deliver.ts';
import type { Config, HopConfig } from './config/options.ts';
import type { Hop } from './flow/context.ts';
import type { CalendarServer } from './mail/disposition.ts';
import type { Outcome } from './mail/outcome.ts';
import type { Log } from './observe/log.ts';

/** The ways out: what posts and what passes mail on, with how many attempts at a time each destination gets. */
export type Channels = {
  readonly poster: (server: CalendarServer) => Deliverer<PostBatch>;
  readonly hop: (route: 'next-hop' | 'smart-host') => Hop;
  readonly lanesOf: (destination: string) => number;
  close(): Promise<void>;
};

/** The part of the configuration that channels are made of. */
export type ChannelConfig = Pick<Config, 'hostname' | 'nextHop' | 'smartHost' | 'ischedule'>;

export function openChannels(config: ChannelConfig, log: Log): Channels {
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
