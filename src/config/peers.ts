import { createHash, createPublicKey } from 'node:crypto';
import { loadSigningKey } from '../../channel/ischedule/dkim/key-pair.ts';
import { composeKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import type { SigningKey } from '../../channel/ischedule/keys.ts';
import type { PublishedKey } from '../../channel/ischedule/receive.ts';
import type { ServerSettings } from '../../channel/ischedule/settings.ts';
import type { Signer } from '../../channel/ischedule/signing.ts';
import type { Peer } from '../../rules/peer.ts';
import type { AcceptLimits } from '../../rules/schedule-request.ts';
import { parseNetworks } from '../mail/network.ts';
import { peerAccessOf } from './busy-access.ts';
import type { Config, PeerConfig } from './options.ts';
import type { Secret } from './secrets.ts';

/** Who may post to us, as the rules and the receiver see them: passwords and tokens as digests only. */
export function peersOf(config: Config): readonly Peer[] {
  const ours = new Set(config.domains);
  return config.ischedule.peers.map(({ freeBusy, networks, certificates, basic, bearer, ...rest }) => ({
    ...rest,
    ...proofsOf({ networks, certificates, basic, bearer }),
    busy: peerAccessOf(config, { origin: rest.origin, freeBusy }),
    ...(rest.origin === 'outside' ? { notFor: ours } : {}),
  }));
}

/** How somebody proves who he is, by anything but a signature; what there is none of is left out. */
export function proofsOf({
  networks,
  certificates,
  basic,
  bearer,
}: Pick<PeerConfig, 'networks' | 'certificates' | 'basic' | 'bearer'>): Proofs {
  return {
    ...(networks.length === 0 ? {} : { networks: parseNetworks(networks) }),
    ...(certificates.length === 0 ? {} : { certificates }),
    ...(basic.length === 0 ? {} : { basic: basic.map(({ user, password }) => digest(`${user}:${password.reveal()}`)) }),
    ...(bearer.length === 0 ? {} : { bearer: bearer.map((token) => digest(token.reveal())) }),
  };
}

type Proofs = Pick<Peer, 'networks' | 'certificates' | 'basic' | 'bearer'>;

function digest(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

/** Our keys, ready to sign with. */
export function signingKeysOf({ keys }: Config['ischedule']): readonly SigningKey[] {
  return keys.map(({ domain, selector, key, lookup }) => ({
    domain,
    selector,
    key: loadSigningKey(key.reveal()),
    ...(lookup.length === 0 ? {} : { methods: lookup }),
  }));
}

/** Their public halves, as they are published. */
export function publishedKeysOf(ischedule: Config['ischedule']): readonly PublishedKey[] {
  return signingKeysOf(ischedule).map(({ domain, selector, key }) => ({
    domain,
    selector,
    record: composeKeyRecord(createPublicKey(key)),
  }));
}

/**
 * Finds the key to sign with: that of the originator's domain, else of the nearest one above it.
 * @param service where the public halves are served, if at all: by TLS alone others look there
 */
export function signerOf(keys: readonly SigningKey[], service?: { readonly tls?: unknown }): Signer {
  return {
    methods: service?.tls === undefined ? ['dns/txt'] : ['dns/txt', 'http/well-known'],
    keyFor: (domain) => {
      for (let rest = domain; rest !== ''; rest = rest.slice(rest.indexOf('.') + 1)) {
        const key = keys.find((one) => one.domain === rest);
        if (key !== undefined || !rest.includes('.')) return key;
      }
      return undefined;
    },
  };
}

/** What a post may hold, as the rules know it. */
export function acceptLimits({ accept }: Config['ischedule']): AcceptLimits {
  const { maxContentLengthBytes, minDate, maxDate, administrator: _, ...rest } = accept;
  return {
    ...rest,
    maxContentLength: maxContentLengthBytes,
    ...(minDate === undefined ? {} : { minDateMs: Date.parse(`${minDate}T00:00:00Z`) }),
    ...(maxDate === undefined ? {} : { maxDateMs: Date.parse(`${maxDate}T23:59:59Z`) }),
  };
}

/**
 * How we speak to the server of this URL: the entry of `ischedule.servers` that fits best, over what `ischedule` says
 * of all.
 */
export function settingsFor(url: string, ischedule: Config['ischedule']): ServerSettings {
  const chosen = serverFor(url, ischedule.servers);
  const { ca } = ischedule;
  const usual = { ...timeoutsOf(ischedule), ...(ca === undefined ? {} : { ca }) };
  if (chosen === undefined) return { ...usual, fallbacks: [] };
  const { url: _, methods: __, clientCert, clientKey, user, password, token, ...rest } = chosen;
  const authorization = authorizationOf(user, password, token);
  return {
    ...usual,
    ...rest,
    ...(clientCert === undefined || clientKey === undefined
      ? {}
      : { clientCertificate: { cert: clientCert, key: clientKey.reveal() } }),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

/**
 * How we speak to a server that a stranger's DNS named: with no credentials of ours and no leniency, whatever
 * `ischedule.servers` says of its URL. Its fallbacks come with each batch.
 */
export function discoveredSettings(ischedule: Config['ischedule']): ServerSettings {
  const { ca } = ischedule.discovery;
  return { ...timeoutsOf(ischedule), fallbacks: [], ...(ca === undefined ? {} : { ca }) };
}

function timeoutsOf({ timeoutMs, connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs }: Config['ischedule']) {
  return { timeoutMs, connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs };
}

export function authorizationOf(user: string | undefined, password: Secret | undefined, token: Secret | undefined) {
  if (token !== undefined) return `Bearer ${token.reveal()}`;
  if (user === undefined || password === undefined) return undefined;
  return `Basic ${Buffer.from(`${user}:${password.reveal()}`, 'utf8').toString('base64')}`;
}

/** The entry whose `url` is the longest beginning of this one. */
export function serverFor<S extends { readonly url: string }>(url: string, servers: readonly S[]): S | undefined {
  const wanted = new URL(url);
  let best: { readonly server: S; readonly length: number } | undefined;
  for (const server of servers) {
    const entry = new URL(server.url);
    if (entry.origin !== wanted.origin || !isBelow(wanted.pathname, entry.pathname)) continue;
    if (best === undefined || entry.pathname.length > best.length) best = { server, length: entry.pathname.length };
  }
  return best?.server;
}

/** `/ischedule` covers itself, `/ischedule/` and what is below, not `/ischedule2`. */
function isBelow(path: string, beginning: string): boolean {
  const plain = beginning.replace(/\/+$/, '');
  return path === plain || path.startsWith(`${plain}/`);
}
