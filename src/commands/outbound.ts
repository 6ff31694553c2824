import type { Config } from '../config/options.ts';
import { isVerp } from '../config/policy.ts';
import { fileErrorText } from '../config/secrets.ts';
import { verpAddress } from '../mail/verp.ts';
import { OutboundKeyError, readOutboundKey } from '../outbound-key.ts';
import type { Finding } from './check.ts';

/** How invitations leave, and whether the secret of their envelope senders can be used. */
export async function describeOutbound(config: Config): Promise<Finding[]> {
  const { outbound, domains, listeners, smartHost, nextHop, state } = config;
  const what = 'outbound';
  if (outbound === undefined) return [];
  const { address, name, fromDomains = domains, language, languages } = outbound;
  const verp = listeners.filter(isVerp).map((listener) => listener.name);
  const way = smartHost !== undefined ? 'the smart host' : nextHop !== undefined ? 'the next hop' : 'nobody';
  const others = [...languages].map(([domain, tag]) => `${domain} ${tag}`);
  const details = [
    `${name} <${address}>, by ${way}`,
    `envelope senders ${verpAddress(address, 'TOKEN')}${verp.length === 0 ? '' : ` (also of ready-made mail on ${verp.join(', ')})`}`,
    `From the user for ${fromDomains.length === 0 ? 'nobody' : fromDomains.join(', ')}`,
    `language ${[language, ...others].join(', ')}`,
  ];
  const described: Finding = { what, verdict: 'ok', detail: details.join('; ') };
  const trouble = await keyTrouble(state);
  return trouble === undefined ? [described] : [described, { what, verdict: 'error', detail: trouble }];
}

async function keyTrouble(folder: string): Promise<string | undefined> {
  try {
    await readOutboundKey(folder);
    return undefined;
  } catch (error) {
    if (error instanceof OutboundKeyError) return error.message;
    return `the secret in ${folder} cannot be read (${fileErrorText(error)}); run this as the user who owns the folder`;
  }
}
