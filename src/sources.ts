import { CalDavSource } from '../channel/caldav/ask.ts';
import type { BusyBatch, BusyProtocol, BusySource } from '../channel/channel.ts';
import { IScheduleSource } from '../channel/ischedule/ask.ts';
import { PublishedSource } from '../channel/published/ask.ts';
import { WcapSource } from '../channel/wcap/ask.ts';
import type { BusyTarget } from '../rules/free-busy.ts';
import type { NeighbourLimits } from './broker/neighbour.ts';
import { busyAddressOf, busyServerFor } from './config/busy.ts';
import type { BusyServerConfig, Config } from './config/options.ts';
import {
  authorizationOf,
  discoveredSettings,
  serverFor,
  settingsFor,
  signerOf,
  signingKeysOf,
} from './config/peers.ts';
import type { BusyReading } from './freebusy/busy.ts';
import type { RequesterOptions } from './http/requester.ts';
import { Kept } from './kept.ts';
import type { CalendarServer } from './mail/disposition.ts';
import type { Log } from './observe/log.ts';
import type { Outside } from './outside.ts';

/** Who asks each calendar server for busy times, and how much at a time. */
export type Sources = AsyncDisposable & {
  readonly sourceOf: (target: BusyTarget) => BusySource;
  readonly limitsOf: (source: BusySource) => NeighbourLimits;
  readonly frontEndOf: (server: CalendarServer) => string | undefined;
};

/** The part of the configuration that sources are made of. */
export type SourcesConfig = Pick<Config, 'freeBusy' | 'ischedule' | 'http' | 'outbound' | 'domains'>;

/** Servers that the DNS of strangers or the directory named, and to which connections are kept. */
const MAX_STRANGERS = 64;

/** @param outside makes the connections to servers that a stranger's DNS named */
export function openSources(config: SourcesConfig, { connector }: Pick<Outside, 'connector'>, log: Log): Sources {
  const { ischedule, http } = config;
  const known = new Kept<BusySource>(Number.POSITIVE_INFINITY);
  const strangers = new Kept<BusySource>(MAX_STRANGERS);
  const signer = signerOf(signingKeysOf(ischedule), http.service);
  const usual: NeighbourLimits = { questions: ischedule.lanes };
  const { connections, maxRedirects, redirectHosts, userAgent, maxResponseBytes, timeoutMs, connectTimeoutMs } =
    ischedule;
  const posting = { connections, maxRedirects, userAgent, maxResponseBytes, timeoutMs, connectTimeoutMs, signer };

  const discovered = (server: URL): BusySource =>
    new StandIn('ischedule', server.origin, usual, (job) => {
      const settings = discoveredSettings(ischedule);
      const open = () => new IScheduleSource({ ...posting, server, redirectHosts: [], settings, connector }, log);
      return strangers.use(`ischedule ${server.origin}`, open, job);
    });
  const published = ({ origin }: URL): BusySource =>
    new StandIn('url', origin, usual, (job) =>
      strangers.use(`url ${origin}`, () => openPublished(config, origin, log), job),
    );
  const posted = (url: string, entry: BusyServerConfig | undefined): BusySource => {
    const server = new URL(url);
    const key = `ischedule ${server.origin} ${serverFor(url, ischedule.servers)?.url ?? ''}`;
    return new StandIn('ischedule', server.origin, entry === undefined ? usual : limitsOf(entry), (job) => {
      const settings = settingsFor(url, ischedule);
      return known.use(key, () => new IScheduleSource({ ...posting, server, redirectHosts, settings }, log), job);
    });
  };
  const configured = (url: string): BusySource => {
    const entry = busyServerFor(url, config);
    if (entry === undefined || entry.by === 'ischedule') return posted(url, entry);
    const { by, at = entry.url } = entry;
    return new StandIn(by, new URL(at).origin, limitsOf(entry), (job) =>
      known.use(`${by} ${entry.url}`, () => openAsked(by, at, entry, config, log), job),
    );
  };

  const byUrl = new Map<string, BusySource>();
  return {
    sourceOf: (target) => {
      if (target.kind === 'published') return published(new URL(target.url));
      const { url, discovered: isDiscovered } = target.server;
      if (isDiscovered === true) return discovered(new URL(url));
      const source = byUrl.get(url) ?? configured(url);
      byUrl.set(url, source);
      return source;
    },
    limitsOf: (source) => (source instanceof StandIn ? source.limits : usual),
    frontEndOf: ({ url, discovered: isDiscovered }) =>
      isDiscovered === true ? undefined : busyServerFor(url, config)?.frontEnd,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([known, strangers].map((one) => one[Symbol.asyncDispose]()));
    },
  };
}

function openAsked(
  by: Exclude<BusyProtocol, 'ischedule'>,
  at: string,
  entry: BusyServerConfig,
  config: SourcesConfig,
  log: Log,
): BusySource {
  const { user, password, token, as = busyAddressOf(config) } = entry;
  const requester = requesterOf(config, entry);
  const authorization = authorizationOf(user, password, token);
  const authorized = authorization === undefined ? {} : { authorization };
  switch (by) {
    case 'wcap': {
      const login =
        user === undefined || password === undefined ? {} : { login: { user, password: password.reveal() } };
      return new WcapSource({ at: new URL(at), ...login, requester, clock: Date.now }, log);
    }
    case 'caldav':
      return new CalDavSource({ outbox: new URL(at), ...authorized, organizer: as, requester, clock: Date.now }, log);
    case 'url':
      return new PublishedSource({ template: at, ...authorized, hosts: [], requester }, log);
  }
}

function openPublished(config: SourcesConfig, destination: string, log: Log): BusySource {
  const hosts = config.freeBusy?.publishedHosts ?? [];
  return new PublishedSource({ hosts, destination, requester: requesterOf(config) }, log);
}

function requesterOf({ ischedule }: SourcesConfig, entry?: BusyServerConfig): RequesterOptions {
  const { ca = ischedule.ca, clientCert, clientKey, minTls, securityLevel } = entry ?? {};
  return {
    connections: entry?.questions ?? ischedule.connections,
    connectTimeoutMs: entry?.connectTimeoutMs ?? ischedule.connectTimeoutMs,
    maxResponseBytes: ischedule.maxResponseBytes,
    userAgent: ischedule.userAgent,
    ...(ca === undefined ? {} : { ca }),
    ...(clientCert === undefined || clientKey === undefined
      ? {}
      : { clientCertificate: { cert: clientCert, key: clientKey.reveal() } }),
    ...(minTls === undefined ? {} : { minTls }),
    ...(securityLevel === undefined ? {} : { securityLevel }),
  };
}

function limitsOf({ questions, rate }: BusyServerConfig): NeighbourLimits {
  return { questions, ...(rate === undefined ? {} : { ratePerSecond: rate }) };
}

type Job = (source: BusySource) => Promise<readonly BusyReading[]>;

/** Stands for one that may not be open yet, or no more. */
class StandIn implements BusySource {
  readonly protocol: BusyProtocol;
  readonly destination: string;
  readonly limits: NeighbourLimits;
  readonly #withSource: (job: Job) => Promise<readonly BusyReading[]>;

  constructor(
    protocol: BusyProtocol,
    destination: string,
    limits: NeighbourLimits,
    withSource: (job: Job) => Promise<readonly BusyReading[]>,
  ) {
    this.protocol = protocol;
    this.destination = destination;
    this.limits = limits;
    this.#withSource = withSource;
  }

  ask(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]> {
    return this.#withSource((source) => source.ask(batch, signal));
  }

  /** What it stands for is closed by `Sources`. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
