import { createPrivateKey, X509Certificate } from 'node:crypto';
import { error, type Finding, isLoopback, reaches, warning } from './finding.ts';
import type { Config, PeerConfig, ServerConfig } from './options.ts';
import { serverFor } from './peers.ts';
import type { OptionPath } from './problem.ts';
import { checkProofs } from './proof-checks.ts';
import type { Secret } from './secrets.ts';

/** Every contradiction about who may post to us, and how we post. */
export function checkISchedule(config: Config): Finding[] {
  return [
    ...checkService(config),
    ...config.ischedule.peers.flatMap((peer, index) => checkPeer(config, peer, index)),
    ...checkAccept(config),
    ...checkKeys(config),
    ...checkServers(config),
    ...checkNotOurs(config),
    ...checkDiscovery(config),
  ];
}

const SERVICE: OptionPath = ['http', 'service'];
const PEERS: OptionPath = ['ischedule', 'peers'];

function checkService({ http: { service }, ischedule: { peers }, freeBusy }: Config): Finding[] {
  if (service === undefined) {
    if (peers.length === 0) return [];
    return [error(PEERS, 'nobody listens for them, need http.service', SERVICE)];
  }
  const found =
    peers.length + (freeBusy?.clients.length ?? 0) > 0
      ? []
      : [warning(SERVICE, 'nobody may post to it; name who may in ischedule.peers', PEERS)];
  if (service.tls === undefined) return found;
  const { cert, key } = service.tls;
  const at = { certAt: [...SERVICE, 'tls', 'cert'], keyAt: [...SERVICE, 'tls', 'key'] };
  return [...found, ...checkKeyPair({ cert, key, ...at, called: 'tls.cert' })];
}

/** A certificate and the key that goes with it, with the options that name them. */
export type KeyPair = {
  readonly cert: string;
  readonly key: Secret;
  readonly certAt: OptionPath;
  readonly keyAt: OptionPath;
  /** What the certificate's option is called, and whose it is. */
  readonly called: 'tls.cert' | 'client-cert';
};

export function checkKeyPair({ cert, key, certAt, keyAt, called }: KeyPair): Finding[] {
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key.reveal()))) return [];
    const owner = called === 'tls.cert' ? 'server' : 'client';
    return [
      error(
        keyAt,
        `is not the key of the first certificate in ${called}; that file begins with the ${owner}’s own certificate`,
        certAt,
      ),
    ];
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    return [error(keyAt, 'cannot be used, need a PEM private key without passphrase')];
  }
}

function checkPeer(config: Config, peer: PeerConfig, index: number): Finding[] {
  const at = (...rest: string[]): OptionPath => [...PEERS, index, ...rest];
  const found: Finding[] = [];
  const { networks, certificates, basic, bearer, dkim } = peer;
  const earlier = config.ischedule.peers.findIndex((other) => other.name === peer.name);
  if (earlier < index) {
    const text = `two peers are called ${peer.name}, need a name of its own`;
    found.push(error(at('name'), text, [...PEERS, earlier, 'name']));
  }
  const byAddressOrLogin = networks.length + certificates.length + basic.length + bearer.length > 0;
  if (!byAddressOrLogin && dkim === undefined) {
    const text = `has no way to prove who it is, need one of networks, certificates, basic, bearer, dkim`;
    found.push(error(at(), text));
  }
  if (peer.dialect === 'draft00' && dkim !== undefined && !byAddressOrLogin) {
    const text =
      'draft00 has no Originator that a signature could be for, need networks, certificates, basic or bearer';
    found.push(error(at('dialect'), text, at('dkim')));
  }
  // Without signers the key of the originator's own domain is enough, and whoever has a domain has one.
  const foreign = peer.domains.find((domain) => !config.domains.includes(domain.replace(/^\*\./, '')));
  if (peer.origin === 'inside' && dkim?.signers.length === 0 && foreign !== undefined) {
    const text = `whoever has a domain of ${foreign} would be one of inside by his own key, need signers`;
    found.push(error(at('dkim'), text, at('domains')));
  }
  found.push(...checkProofs(config, peer, at));
  const own = peer.origin === 'outside' ? peer.domains.filter((domain) => config.domains.includes(domain)) : [];
  if (own.length > 0) {
    const text = `${own.join(', ')} is ours, for which an outside peer may never speak; a calendar server of ours needs origin: inside`;
    found.push(warning(at('domains'), text, at('origin'), ['domains']));
  }
  if (peer.origin === 'outside' && peer.domains.includes('*') && networks.length > 0) {
    const text = 'every user of these addresses may speak for everybody; name its domains, or prove it by dkim';
    found.push(warning(at('domains'), text, at('networks')));
  }
  return found;
}

function checkAccept({ ischedule: { accept } }: Config): Finding[] {
  const { minDate, maxDate } = accept;
  if (minDate === undefined || maxDate === undefined || minDate <= maxDate) return [];
  const at = (name: string): OptionPath => ['ischedule', 'accept', name];
  return [error(at('max-date'), `${maxDate} is before min-date (${minDate}), need a later day`, at('min-date'))];
}

function checkKeys({ domains, ischedule: { keys, servers } }: Config): Finding[] {
  return keys.flatMap(({ domain, selector }, index) => {
    const at = (name: string): OptionPath => ['ischedule', 'keys', index, name];
    const found: Finding[] = [];
    // One key may sign for the domains below its own, as for all of them it is found at its own.
    const isOurs = domains.some((one) => one === domain || one.endsWith(`.${domain}`) || domain.endsWith(`.${one}`));
    if (!isOurs && !servers.some(({ signAs }) => signAs === domain)) {
      found.push(
        warning(
          at('domain'),
          `is none of our domains (${domains.join(', ')}), so it signs only what originators of ${domain} send through us; name it in sign-as of a server to sign for others`,
          ['domains'],
        ),
      );
    }
    const earlier = keys.findIndex((other) => other.domain === domain && other.selector === selector);
    if (earlier < index) {
      const text = `${selector} of ${domain} stands in keys[${earlier}] already, need a selector of its own`;
      found.push(error(at('selector'), text, ['ischedule', 'keys', earlier]));
    }
    return found;
  });
}

function checkServers(config: Config): Finding[] {
  const { servers, discovery } = config.ischedule;
  const used = new Set(urlsOf(config).map((url) => serverFor(url, servers)));
  return servers.flatMap((server, index) => {
    const at = (name: string): OptionPath => ['ischedule', 'servers', index, name];
    const found = [...checkCredentials(server, at), ...checkTls(server, at)];
    if (server.sign !== undefined && server.sign !== 'none' && config.ischedule.keys.length === 0) {
      const text = `${server.sign} needs a key, and there is none; make one with imipd keys new and name it in ischedule.keys`;
      found.push(warning(at('sign'), text, ['ischedule', 'keys']));
    }
    const { signAs } = server;
    if (signAs !== undefined && !config.ischedule.keys.some(({ domain }) => domain === signAs)) {
      found.push(
        error(at('sign-as'), `there is no key of ${signAs}, need one in ischedule.keys`, ['ischedule', 'keys']),
      );
    }
    const earlier = servers.findIndex((other) => other.url === server.url);
    if (earlier < index) {
      const text = `${server.url} stands in servers[${earlier}] already, need one entry for it`;
      return [...found, error(at('url'), text, ['ischedule', 'servers', earlier, 'url'])];
    }
    if (used.has(server) || discovery.domains.length > 0) return found;
    const text = `${server.url} is the beginning of no URL of a back end or of the domain map, so the entry is never used`;
    return [...found, warning(at('url'), text, ['calendar'])];
  });
}

/** The file of a calendar server beside us may name us; in ours that line would be a circle. */
function checkNotOurs(config: Config): Finding[] {
  const { backEnds, default: usual, domainMap } = config.calendar;
  const places: readonly (readonly [OptionPath, string])[] = [
    ...[...backEnds].map(([name, { url }]) => [['calendar', 'back-ends', name, 'url'], url] as const),
    ...(usual === undefined ? [] : [[['calendar', 'default', 'url'], usual.url] as const]),
    ...(domainMap?.entries ?? []).map(({ url }) => [['calendar', 'domain-map'], url] as const),
  ];
  return places.flatMap(([path, url]) => checkCircle(config, url, path));
}

/** Whether what is sent to this URL comes in at `http.service`. */
export function checkCircle({ http: { service }, hostname }: Config, url: string, at: OptionPath): Finding[] {
  const to = URL.parse(url);
  if (service === undefined || to === null) return [];
  const port = Number(to.port || (to.protocol === 'https:' ? 443 : 80));
  const host = to.hostname.replace(/^\[|\]$/g, '');
  if (!reaches({ host, port }, service.address, hostname)) return [];
  const text = `${url} is our own listener, so what is sent there runs in a circle; name the calendar server`;
  return [error(at, text, [...SERVICE, 'address'])];
}

/** Of every calendar server that the configuration names. */
export function urlsOf({ calendar: { backEnds, default: usual, domainMap } }: Config): readonly string[] {
  return [...backEnds.values(), ...(usual === undefined ? [] : [usual]), ...(domainMap?.entries ?? [])].map(
    ({ url }) => url,
  );
}

export type At = (name: string) => OptionPath;

function checkCredentials(server: ServerConfig, at: At): Finding[] {
  const { url, fallbacks, password, token } = server;
  const found = checkLogin(server, at);
  const open = [url, ...fallbacks].find((one) => one.startsWith('http:'));
  if (open !== undefined && (password !== undefined || token !== undefined)) {
    const name = token === undefined ? 'password' : 'token';
    found.push(error(at(name), `would go to ${open} in clear, need https://`, at('url'), at('fallbacks')));
  }
  return found;
}

/** User and password go together, and a token without them. */
export function checkLogin(
  { user, password, token }: Pick<ServerConfig, 'user' | 'password' | 'token'>,
  at: At,
): Finding[] {
  const found: Finding[] = [];
  if (user !== undefined && password === undefined)
    found.push(error(at('user'), 'has no password, need password beside it', at('password')));
  if (password !== undefined && user === undefined)
    found.push(error(at('password'), 'there is nobody to log in as, need user beside it', at('user')));
  if (token !== undefined && (user !== undefined || password !== undefined))
    found.push(
      error(at('token'), 'stands beside user and password, need one way to log in', at('user'), at('password')),
    );
  return found;
}

export function checkTls(
  server: Pick<ServerConfig, 'url' | 'clientCert' | 'clientKey' | 'minTls' | 'securityLevel'>,
  at: At,
): Finding[] {
  const { url, clientCert, clientKey, minTls, securityLevel } = server;
  const found: Finding[] = [];
  if (clientCert !== undefined && clientKey === undefined)
    found.push(error(at('client-cert'), 'has no key, need client-key beside it', at('client-key')));
  if (clientKey !== undefined && clientCert === undefined)
    found.push(error(at('client-key'), 'has no certificate, need client-cert beside it', at('client-cert')));
  if (clientCert !== undefined && clientKey !== undefined) {
    const names = { certAt: at('client-cert'), keyAt: at('client-key'), called: 'client-cert' } as const;
    found.push(...checkKeyPair({ cert: clientCert, key: clientKey, ...names }));
  }
  if (minTls === 'TLSv1' || minTls === 'TLSv1.1') {
    found.push(
      securityLevel === 0
        ? warning(at('min-tls'), `${minTls} protects little (RFC 8996); only for a server that speaks nothing newer`)
        : warning(
            at('min-tls'),
            `OpenSSL refuses ${minTls} at its usual security level; set security-level: 0`,
            at('security-level'),
          ),
    );
  } else if (securityLevel === 0 && !isLoopback(URL.parse(url)?.hostname ?? '')) {
    found.push(
      warning(at('security-level'), 'takes short keys and broken hashes; only for a server that has no others'),
    );
  }
  return found;
}

function checkDiscovery({ domains, dns, ischedule: { discovery } }: Config): Finding[] {
  const at = (name: string): OptionPath => ['ischedule', 'discovery', name];
  const found: Finding[] = [];
  if (dns.minTtlMs > dns.maxTtlMs)
    found.push(error(['dns', 'max-ttl'], 'is less than min-ttl, need more', ['dns', 'min-ttl']));
  const own = discovery.domains.filter((pattern) => domains.includes(pattern.replace(/^\*\./, '')));
  if (own.length > 0) {
    const text = `${own.join(', ')} is ours, and our own users are found in the directory; name domains of others`;
    found.push(warning(at('domains'), text, ['domains']));
  }
  if (discovery.allowNetworks.length > 0) {
    const text = `a stranger’s DNS may lead us to ${discovery.allowNetworks.join(', ')}; only for a laboratory`;
    found.push(warning(at('allow-networks'), text));
  }
  return found;
}
