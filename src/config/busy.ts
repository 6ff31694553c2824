import type { BusyClient } from '../../rules/busy-client.ts';
import type { BusyPolicy } from '../../rules/free-busy.ts';
import { clientAccessOf } from './busy-access.ts';
import type { BusyServerConfig, Config } from './options.ts';
import { proofsOf, serverFor } from './peers.ts';
import { policyOf } from './policy.ts';

/** What the rules need to know of the configuration to say who is asked for busy times. */
export function busyPolicyOf(config: Config): BusyPolicy {
  return { ...policyOf(config), publishedHosts: config.freeBusy?.publishedHosts ?? [] };
}

/** Who may ask without posting: passwords and tokens as digests only. */
export function busyClientsOf(config: Config): readonly BusyClient[] {
  return (config.freeBusy?.clients ?? []).map((client) => {
    const { name, protocols, wcap } = client;
    return { name, protocols, wcap, ...proofsOf(client), access: clientAccessOf(config, client) };
  });
}

/** How the server of this URL is asked; undefined: by iSchedule, as everybody is. */
export function busyServerFor(url: string, config: Pick<Config, 'freeBusy'>): BusyServerConfig | undefined {
  return serverFor(url, config.freeBusy?.servers ?? []);
}

/** Whom a question speaks for where the asker names nobody. */
export function busyAddressOf(config: Pick<Config, 'freeBusy' | 'outbound' | 'domains'>): string {
  return config.freeBusy?.address ?? config.outbound?.address ?? `calendar@${firstDomain(config)}`;
}

/** The domain of calendar ids without one. */
export function defaultDomainOf(config: Pick<Config, 'freeBusy' | 'domains'>): string {
  return config.freeBusy?.defaultDomain ?? firstDomain(config);
}

function firstDomain({ domains: [first] }: Pick<Config, 'domains'>): string {
  if (first === undefined) throw new Error('the configuration lets no list of domains be empty');
  return first;
}
