import type { BusyAccess } from '../../rules/busy-access.ts';
import type { BusyClientConfig, Config, PeerConfig } from './options.ts';

/** What a peer may ask: of those inside everything, of others our own users and no more, where nothing else is said. */
export function peerAccessOf(
  { domains }: Pick<Config, 'domains'>,
  { origin, freeBusy }: Pick<PeerConfig, 'origin' | 'freeBusy'>,
): BusyAccess {
  const usual: Usual = origin === 'inside' ? { about: ['*'], unknown: 'told' } : { about: domains, unknown: 'hidden' };
  return accessOf(freeBusy, usual);
}

export function clientAccessOf({ domains }: Pick<Config, 'domains'>, client: BusyClientConfig): BusyAccess {
  return accessOf(client, { about: domains, unknown: 'hidden' });
}

type Usual = Pick<BusyAccess, 'about' | 'unknown'>;
type AccessConfig = PeerConfig['freeBusy'];

function accessOf({ about, notAbout, pastMs, aheadMs, longestMs, unknown }: AccessConfig, usual: Usual): BusyAccess {
  return { about: about ?? usual.about, notAbout, pastMs, aheadMs, longestMs, unknown: unknown ?? usual.unknown };
}
