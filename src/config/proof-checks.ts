import { error, type Finding } from './finding.ts';
import type { Config, PeerConfig } from './options.ts';
import type { OptionPath } from './problem.ts';

type Proofs = Pick<PeerConfig, 'networks' | 'certificates' | 'basic' | 'bearer'>;

const TLS: OptionPath = ['http', 'service', 'tls'];

/** What of the proofs of a peer or client proves nothing, or cannot come. */
export function checkProofs(
  { http: { service } }: Pick<Config, 'http'>,
  proofs: Proofs,
  at: (name: string) => OptionPath,
): Finding[] {
  const { networks, certificates } = proofs;
  const found = networks.flatMap((network) =>
    /\/0+$/.test(network)
      ? [error(at('networks'), `${network} is everybody, which proves nothing; name the peer’s addresses`)]
      : [],
  );
  if (service === undefined) return found;
  if (service.tls === undefined) {
    for (const name of ['basic', 'bearer'] as const) {
      if (proofs[name].length > 0) found.push(error(at(name), 'would come in clear, need http.service.tls', TLS));
    }
  }
  if (certificates.length > 0 && service.tls?.clientCa === undefined) {
    const text = 'no client is asked for one, need http.service.tls.client-ca';
    found.push(error(at('certificates'), text, [...TLS, 'client-ca']));
  }
  return found;
}
