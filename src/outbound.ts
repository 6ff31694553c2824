import type { Config } from './config/options.ts';
import type { Outbound } from './imip/mail.ts';
import { openOutboundKey } from './outbound-key.ts';

/**
 * How mail that we compose speaks under this configuration; undefined where it says nothing of that.
 * @param before what counted until now: its secret stays
 * @throws OutboundKeyError when the secret's file cannot be used; what the file system says of the state folder
 */
export async function openOutbound(
  config: Pick<Config, 'outbound' | 'domains' | 'state'>,
  before?: Outbound,
): Promise<Outbound | undefined> {
  const { outbound, domains, state } = config;
  if (outbound === undefined) return undefined;
  const { fromDomains = domains, templates, ...rest } = outbound;
  return {
    ...rest,
    fromDomains: new Set(fromDomains),
    secret: before?.secret ?? (await openOutboundKey(state)),
    ...(templates === undefined ? {} : { templates: templates.templates }),
  };
}
