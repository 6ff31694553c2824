import { matchesDomain } from '../../rules/peer.ts';
import { domainOf } from '../mail/address.ts';
import { busyServerFor } from './busy.ts';
import { error, type Finding, isLoopback, warning } from './finding.ts';
import { type At, checkCircle, checkLogin, checkTls, urlsOf } from './ischedule-checks.ts';
import type { BusyClientConfig, BusyServerConfig, Config, FreeBusyConfig } from './options.ts';
import { mappingOf } from './policy.ts';
import type { OptionPath } from './problem.ts';
import { checkProofs } from './proof-checks.ts';

const SECTION: OptionPath = ['free-busy'];
const SERVERS: OptionPath = [...SECTION, 'servers'];
const CLIENTS: OptionPath = [...SECTION, 'clients'];
const SERVICE: OptionPath = ['http', 'service'];
const PEERS: OptionPath = ['ischedule', 'peers'];

/** Every contradiction about who may ask for busy times, and who is asked. */
export function checkFreeBusy(config: Config): Finding[] {
  const { freeBusy } = config;
  const about = config.ischedule.peers.flatMap(({ freeBusy: { about = [], notAbout } }, index) =>
    checkAbout(config, [...about, ...notAbout], [...PEERS, index, 'free-busy', 'about']),
  );
  if (freeBusy === undefined) return about;
  const used = new Set(urlsOf(config).map((url) => busyServerFor(url, config)));
  return [
    ...about,
    ...checkAskers(config, freeBusy),
    ...freeBusy.clients.flatMap((client, index) => checkClient(config, freeBusy, client, index)),
    ...freeBusy.servers.flatMap((server, index) => checkServer(config, freeBusy, server, index, used)),
    ...checkPublished(config, freeBusy),
  ];
}

function checkAskers({ http: { service }, ischedule: { peers } }: Config, { clients, url }: FreeBusyConfig): Finding[] {
  if (service === undefined && clients.length > 0)
    return [error(CLIENTS, 'nobody listens for them, need http.service', SERVICE)];
  const found: Finding[] = [];
  if (clients.length + peers.length === 0) {
    const text = 'nobody may ask; name who may in ischedule.peers or free-busy.clients';
    found.push(warning(SECTION, text, PEERS, CLIENTS));
  }
  const byUrl = clients.findIndex(({ protocols }) => protocols.includes('url'));
  if (url && byUrl < 0) {
    const text = 'no client has url among its protocols, so every question is refused; name it in one of clients';
    found.push(warning([...SECTION, 'url'], text, CLIENTS));
  }
  if (!url && byUrl >= 0) {
    const text = 'nothing is served at /freebusy/; set free-busy.url: true';
    found.push(warning([...CLIENTS, byUrl, 'protocols'], text, [...SECTION, 'url']));
  }
  return found;
}

function checkClient(
  config: Config,
  { servers, clients }: FreeBusyConfig,
  client: BusyClientConfig,
  index: number,
): Finding[] {
  const { name, networks, certificates, basic, bearer, about = [], notAbout } = client;
  const clientAt = (...rest: string[]): OptionPath => [...CLIENTS, index, ...rest];
  const at: At = (option) => clientAt(option);
  const found = [...checkProofs(config, client, at), ...checkAbout(config, [...about, ...notAbout], at('about'))];
  if (networks.length + certificates.length + basic.length + bearer.length === 0) {
    const text = 'has no way to prove who it is, need one of networks, certificates, basic, bearer';
    found.push(error(clientAt(), text));
  }
  if (client.wcap === 'redirect' && !servers.some(({ frontEnd }) => frontEnd !== undefined)) {
    const text = 'redirect sends nobody anywhere; set front-end for one of servers';
    found.push(warning(at('wcap'), text, SERVERS));
  }
  const earlier = clients.findIndex((other) => other.name === name);
  if (earlier < index) {
    const text = `two clients are called ${name}, need a name of its own`;
    found.push(error(at('name'), text, [...CLIENTS, earlier, 'name']));
  }
  const peer = config.ischedule.peers.findIndex((other) => other.name === name);
  if (peer >= 0) {
    const text = `a peer of ischedule is called ${name}, too, need a name of its own`;
    found.push(error(at('name'), text, [...PEERS, peer, 'name']));
  }
  return found;
}

/** Of a domain that nobody knows the way to everybody is unknown. */
function checkAbout({ domains, calendar, ischedule }: Config, about: readonly string[], at: OptionPath): Finding[] {
  const known = [
    ...domains,
    ...(calendar.domainMap?.entries ?? []).map(({ domain }) => domain),
    ...ischedule.discovery.domains,
  ];
  return about.flatMap((one) => {
    if (one === '*') return [];
    const domain = one.includes('@') ? domainOf(one) : one.replace(/^\*\./, '');
    const isBelow = one.startsWith('*.') && known.some((other) => other.endsWith(`.${domain}`));
    if (isBelow || matchesDomain(known, domain)) return [];
    const text = `${one}: ${domain} is none of domains, of the domain map or of ischedule.discovery, so all of it is unknown anyway`;
    return [warning(at, text, ['domains'])];
  });
}

function checkServer(
  config: Config,
  { servers, clients, address }: FreeBusyConfig,
  server: BusyServerConfig,
  index: number,
  used: ReadonlySet<BusyServerConfig | undefined>,
): Finding[] {
  const at: At = (option) => [...SERVERS, index, option];
  const { url, by, frontEnd } = server;
  const found = by === 'ischedule' ? checkUnused(server, at) : checkAsked(config, server, address, at);
  if (frontEnd !== undefined) {
    if (!clients.some(({ wcap }) => wcap === 'redirect')) {
      const text = 'nobody is ever sent there; set wcap: redirect for one of clients';
      found.push(warning(at('front-end'), text, CLIENTS));
    }
    found.push(...checkCircle(config, frontEnd, at('front-end')));
  }
  const earlier = servers.findIndex((other) => other.url === url);
  if (earlier < index) {
    const text = `${url} stands in servers[${earlier}] already, need one entry for it`;
    return [...found, error(at('url'), text, [...SERVERS, earlier, 'url'])];
  }
  if (used.has(server)) return found;
  const known = [...new Set(urlsOf(config))];
  const some = `${known.slice(0, MAX_NAMED).join(', ')}${known.length > MAX_NAMED ? ' …' : ''}`;
  const those = known.length === 0 ? 'there are none' : `those are ${some}`;
  const text = `${url} is the beginning of no URL of a back end or of the domain map, so the entry is never used; ${those}`;
  return [...found, warning(at('url'), text, ['calendar'])];
}

/** URLs that a finding names. */
const MAX_NAMED = 5;

const OF_ISCHEDULE = [
  ...(['user', 'password', 'token', 'ca', 'client-cert', 'client-key', 'min-tls', 'security-level'] as const),
  'connect-timeout',
] as const;

/** WCAP and documents name nobody, and iSchedule names the asker. */
function checkAs({ by, as }: BusyServerConfig, at: At): Finding[] {
  if (as === undefined || by === 'caldav') return [];
  return [error(at('as'), `does not go with by: ${by}, need by: caldav or no as`, at('by'))];
}

/** How a server is spoken to by iSchedule stands in one place. */
function checkUnused(server: BusyServerConfig, at: At): Finding[] {
  const { at: place, user, password, token, ca, clientCert, clientKey, minTls, securityLevel } = server;
  const given = [user, password, token, ca, clientCert, clientKey, minTls, securityLevel, server.connectTimeoutMs];
  const found = OF_ISCHEDULE.flatMap((name, index) =>
    given[index] === undefined
      ? []
      : [error(at(name), 'does not go with by: ischedule, need it in ischedule.servers', at('by'))],
  );
  if (place !== undefined) {
    const text = `got ${place} with by: ischedule, which asks at the URL of the server itself; need by: wcap, caldav or url, or no at`;
    found.push(error(at('at'), text, at('by')));
  }
  return [...found, ...checkAs(server, at)];
}

function checkAsked(config: Config, server: BusyServerConfig, usualAddress: string | undefined, at: At): Finding[] {
  const { by, at: place, user, password, token, as } = server;
  const found = [
    ...checkLogin(server, at),
    ...checkAs(server, at),
    ...checkTls({ ...server, url: place ?? server.url }, at),
  ];
  if (place === undefined) found.push(error(at('at'), `missing, need ${WANTED[by]}`, at('by')));
  if (place !== undefined && by === 'url' && !/\{(address|local)\}/.test(place)) {
    const text = `got ${place}, which is the same for all users, need {address} or {local} in it`;
    found.push(error(at('at'), text, at('by')));
  }
  if (place !== undefined && /[{}]/.test(URL.parse(place)?.host ?? '')) {
    const text = `got ${place}, where the host depends on the user, need one host for all`;
    found.push(error(at('at'), text));
  }
  const command = by === 'wcap' && place !== undefined ? /^(.*\/)\w+\.wcap(?:[?#].*)?$/.exec(place) : null;
  if (command !== null) {
    const text = `got ${place}, which is a command, need the URL that commands are below: ${command[1]}`;
    found.push(error(at('at'), text, at('by')));
  }
  if (by === 'wcap' && token !== undefined)
    found.push(error(at('token'), 'does not go with by: wcap, need user and password', at('by')));
  if (by === 'caldav' && user === undefined && token === undefined) {
    const text = 'by: caldav asks as a service account, need user and password, or token';
    found.push(error(at('by'), text, at('user'), at('token')));
  }
  if (by === 'caldav' && as === undefined && usualAddress === undefined) {
    const text = 'by: caldav needs as: the own mail address of the service account, with which ORGANIZER is compared';
    found.push(error(at('by'), text, at('as'), [...SECTION, 'address']));
  }
  if (place === undefined) return found;
  const to = URL.parse(place);
  const secret = token === undefined ? 'password' : 'token';
  if (to?.protocol === 'http:' && !isLoopback(to.hostname) && (password !== undefined || token !== undefined))
    found.push(warning(at(secret), `goes to ${to.host} in clear; use https://`, at('at')));
  return [...found, ...checkCircle(config, place, at('at'))];
}

const WANTED = {
  ischedule: 'none',
  wcap: 'the URL that WCAP commands are below, such as http://cs6.example.com/',
  caldav: 'the URL of the scheduling outbox of user',
  url: 'the URL of the document, such as https://calendar.example.com/{address}.ifb',
} as const;

function checkPublished({ directory }: Config, { publishedHosts }: FreeBusyConfig): Finding[] {
  const at: OptionPath = [...SECTION, 'published-hosts'];
  if (publishedHosts.length === 0) return [];
  if (directory !== undefined && mappingOf(directory).freeBusyUrlAttribute !== undefined) return [];
  const text = 'the directory names no such URL; set directory.mapping.free-busy-url';
  return [warning(at, text, ['directory', 'mapping', 'free-busy-url'])];
}
