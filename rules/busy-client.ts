import type { BusyAccess } from './busy-access.ts';
import { cheapProof, foundInstead, type Peer, type PeerFacts, wantedProofs } from './peer.ts';

export const BUSY_CLIENT_PROTOCOLS = ['wcap', 'url'] as const;
/** By what a client may ask: `get_freebusy.wcap`, or `/freebusy/ADDRESS.ifb`. Those who post are peers of `ischedule`. */
export type BusyClientProtocol = (typeof BUSY_CLIENT_PROTOCOLS)[number];

/** Somebody who may ask for busy times without being a peer of iSchedule, as configured. Each proof is enough by itself. */
export type BusyClient = Pick<Peer, 'name' | 'networks' | 'certificates' | 'basic' | 'bearer'> & {
  readonly access: BusyAccess;
  readonly protocols: readonly BusyClientProtocol[];
  /** `redirect`: a WCAP question about users of one server that has a front end is answered by 302 to that. */
  readonly wcap: 'relay' | 'redirect';
};

export type BusyClientVerdict =
  | { readonly kind: 'client'; readonly client: BusyClient }
  /** `challenges`: values of WWW-Authenticate; empty where no credentials would help. */
  | { readonly kind: 'stranger'; readonly challenges: readonly string[]; readonly reason: string };

/**
 * Who asks: the first client of the protocol that the request proves (RFC 9110 §11.6.1 for the challenges). Credentials
 * are neither taken nor asked for on a connection in clear.
 */
export function findBusyClient(
  clients: readonly BusyClient[],
  protocol: BusyClientProtocol,
  facts: Pick<PeerFacts, 'client' | 'authorizations'>,
): BusyClientVerdict {
  const able = clients.filter(({ protocols }) => protocols.includes(protocol));
  const client = able.find((one) => cheapProof(one, facts) !== undefined);
  if (client !== undefined) return { kind: 'client', client };

  const other = clients.find((one) => cheapProof(one, facts) !== undefined);
  const { tls } = facts.client;
  const found =
    other === undefined
      ? foundInstead(tls, facts.authorizations)
      : `client ${other.name}, whose protocols are ${other.protocols.join(', ')}`;
  const wanted = wantedProofs(able);
  const list = wanted.length === 0 ? 'a client that is known here' : wanted.join(' or ');
  return {
    kind: 'stranger',
    challenges: tls === undefined ? [] : challengesOf(able),
    reason: `found ${found}, wanted ${list} for questions by ${protocol}`,
  };
}

/** RFC 7617 §2.1, RFC 6750 §3. */
function challengesOf(clients: readonly BusyClient[]): readonly string[] {
  return [
    ...(clients.some(({ basic }) => basic !== undefined) ? ['Basic realm="free/busy", charset="UTF-8"'] : []),
    ...(clients.some(({ bearer }) => bearer !== undefined) ? ['Bearer realm="free/busy"'] : []),
  ];
}
