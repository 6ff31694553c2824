import { isIP } from 'node:net';
import type { AddressPolicy } from '../../channel/ischedule/guard.ts';
import type { Resolver } from '../net/resolver.ts';
import { readAnnounced } from './capabilities-table.ts';
import { judgeHandshake } from './certificate.ts';
import { capabilitiesUrl } from './conformance-service.ts';
import type { Announced } from './conformance-target.ts';
import { type DialOptions, type Endpoint, exchange, shakeHands } from './connection.ts';
import { type Finding, note, ok, wrong } from './finding.ts';
import { type Answer, header } from './http-answer.ts';
import { endpointOf, requestHead } from './request.ts';
import { silent } from './service-records.ts';

export type ServiceCheck = {
  readonly findings: readonly Finding[];
  readonly capabilities?: Announced;
};

export type CheckSettings = {
  readonly resolver: Resolver;
  readonly dial: DialOptions;
  /** Present where somebody's DNS named the service: what our own connections to it would be bound to. */
  readonly guard?: AddressPolicy;
  readonly now: () => number;
};

const MAX_REDIRECTS = 5;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const CLOCK_NOTE_MS = 30_000;
/** Signatures from the future are refused from here on (draft-desruisseaux-ischedule-05 §7.5). */
const CLOCK_LIMIT_MS = 300_000;

/**
 * Looks at one service from its URL on: addresses, TLS, redirects, capabilities, clock. Asks by GET only.
 * @param domain whose records named it
 */
export async function checkService(
  url: URL,
  domain: string | undefined,
  settings: CheckSettings,
  signal: AbortSignal,
): Promise<ServiceCheck> {
  const findings: Finding[] = [];
  const reached = await reachOrigin(url, domain, settings, signal);
  findings.push(...reached.findings);
  if (reached.endpoint === undefined) return { findings };
  for (const layout of ['action', 'query'] as const) {
    const asked = await followed(capabilitiesUrl(url, layout), reached.endpoint, settings, signal);
    const capabilities = readAnnounced(asked.answer, layout);
    // What went wrong is told once, of the question that has the right words.
    if (capabilities === undefined && layout === 'query') break;
    if (layout === 'action' || capabilities !== undefined) findings.push(...asked.findings);
    if (layout === 'action') findings.push(...clock(url, asked.answer, asked.took, settings.now()));
    if (capabilities !== undefined) {
      return { findings: [...findings, ...judgeCapabilities(url, capabilities)], capabilities };
    }
    if (layout === 'action') findings.push(...judgeSilence(url, asked.answer));
  }
  return { findings };
}

export type Reached = { readonly findings: readonly Finding[]; readonly endpoint?: Endpoint };

/** Resolves a host, picks an address that may be used, and shakes hands where there is TLS. */
export async function reachOrigin(
  url: URL,
  domain: string | undefined,
  { resolver, dial, guard, now }: CheckSettings,
  signal: AbortSignal,
): Promise<Reached> {
  const endpoint = endpointOf(url);
  const findings: Finding[] = [];
  let chosen = endpoint;
  if (guard !== undefined) {
    const addressed = await chooseAddress(url, endpoint, guard, resolver, signal);
    findings.push(...addressed.findings);
    if (addressed.endpoint === undefined) return { findings };
    chosen = addressed.endpoint;
  }
  if (!endpoint.secure) return { findings, endpoint: chosen };
  const handshake = await shakeHands(chosen, dial);
  findings.push(...judgeHandshake(endpoint, handshake, domain, now()));
  return handshake.kind === 'agreed' ? { findings, endpoint: chosen } : { findings };
}

/** What a connection to a host that somebody's DNS named is bound to: https, at a public address. */
async function chooseAddress(
  url: URL,
  endpoint: Endpoint,
  guard: AddressPolicy,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<Reached> {
  const { host } = endpoint;
  const findings: Finding[] = [];
  if (!endpoint.secure) {
    findings.push(
      wrong(
        'refused',
        'address',
        url.origin,
        'http',
        'https',
        'offer the service by https: nothing is posted in clear to it',
      ),
    );
  }
  const resolved = isIP(host) === 0 ? await resolver.addresses(host, signal) : undefined;
  if (resolved?.kind === 'no-answer') return { findings: [...findings, silent(host, resolved.reason)] };
  const addresses = resolved === undefined ? [host] : resolved.kind === 'records' ? resolved.records : [];
  const judged = addresses.map((address) => ({ address, verdict: guard.permits(address) }));
  findings.push(
    ...judged.map(({ address, verdict }) =>
      verdict === true
        ? ok('address', host, address)
        : wrong(
            'refused',
            'address',
            host,
            `${address}, which is ${verdict}`,
            'a public address: nothing is posted to another one that a stranger’s DNS names',
            'publish the public address; in a laboratory add the network to ischedule.discovery.allow-networks',
          ),
    ),
  );
  // Even a forbidden one is looked at further: its owner wants to know what else is wrong.
  const chosen = judged.find(({ verdict }) => verdict === true) ?? judged[0];
  if (chosen !== undefined) return { findings, endpoint: { ...endpoint, address: chosen.address } };
  const none = wrong(
    'refused',
    'address',
    host,
    'no address in the DNS',
    'an A or AAAA record',
    'add one, or correct the target of the SRV record',
  );
  return { findings: [...findings, none] };
}

type Followed = { readonly findings: readonly Finding[]; readonly answer: Answer; readonly took: number };

/** GET, and where a redirect leads; each other origin is looked at like the first one. */
async function followed(
  start: URL,
  endpoint: Endpoint,
  settings: CheckSettings,
  signal: AbortSignal,
): Promise<Followed> {
  const findings: Finding[] = [];
  let url = start;
  let at = endpoint;
  for (let redirects = 0; ; redirects++) {
    const began = settings.now();
    const first = await get(url, at, settings.dial);
    const answer = first.kind === 'nothing' ? await get(url, at, settings.dial) : first;
    if (first.kind === 'nothing' && answer.kind === 'answer') findings.push(brittle(url, first.reason));
    const took = settings.now() - began;
    const location = redirectOf(answer, url);
    if (location === undefined) {
      if (redirects === 0) return { findings, answer, took };
      return { findings: [...findings, ok('well-known', start.href, `leads to ${url.href}`)], answer, took };
    }
    findings.push(note('well-known', url.href, `${answer.kind === 'answer' ? answer.status : ''} to ${location.href}`));
    if (redirects === MAX_REDIRECTS || location.href === url.href) {
      findings.push(
        wrong(
          'refused',
          'well-known',
          start.href,
          'redirects without end',
          `${MAX_REDIRECTS} at most`,
          'correct what that server redirects',
        ),
      );
      return { findings, answer, took };
    }
    if (url.protocol === 'https:' && location.protocol === 'http:') {
      findings.push(
        wrong(
          'refused',
          'well-known',
          url.href,
          `a redirect to ${location.origin}, in clear`,
          'https',
          'correct what that server redirects',
        ),
      );
      return { findings, answer, took };
    }
    if (location.origin !== url.origin) {
      const reached = await reachOrigin(location, undefined, settings, signal);
      findings.push(...reached.findings);
      if (reached.endpoint === undefined) return { findings, answer, took };
      at = reached.endpoint;
    }
    url = location;
  }
}

function get(url: URL, endpoint: Endpoint, dial: DialOptions): Promise<Answer> {
  const head = requestHead('GET', url, [['Accept', 'application/xml, text/xml']]);
  return exchange(endpoint, { head, body: Buffer.alloc(0) }, { ...dial, maxBytes: MAX_ANSWER_BYTES });
}

/** Cyrus 3.6 does this: the process that is asked a second time dies. */
function brittle(url: URL, reason: string): Finding {
  return wrong(
    'warning',
    'capabilities',
    url.href,
    `${reason}; a second question was answered`,
    'an answer each time',
    'look into the log of that server; where capabilities are asked for in vain, set `capabilities: none` in its entry of ischedule.servers',
  );
}

function redirectOf(answer: Answer, base: URL): URL | undefined {
  if (answer.kind === 'nothing' || ![301, 302, 303, 307, 308].includes(answer.status)) return undefined;
  const location = header(answer, 'Location');
  const target = location === undefined ? undefined : URL.parse(location, base);
  return target?.protocol === 'https:' || target?.protocol === 'http:' ? target : undefined;
}

function judgeCapabilities(url: URL, announced: Announced): readonly Finding[] {
  const how = announced.layout === 'action' ? 'action=capabilities' : 'query=capabilities, the layout of -00 and -01';
  const found = ok('capabilities', url.href, `announced by ${how}`);
  const takes = (method: string): boolean => {
    const methods = announced.messages?.get('VEVENT');
    return announced.messages === undefined || (methods !== undefined && (methods.size === 0 || methods.has(method)));
  };
  const missing = ['REQUEST', 'REPLY', 'CANCEL'].filter((method) => !takes(method));
  const isOther = announced.versions.length > 0 && !announced.versions.some((version) => /^1(\.0)?$/.test(version));
  return [
    found,
    ...(missing.length === 0
      ? []
      : [
          wrong(
            'refused',
            'capabilities',
            url.href,
            `no VEVENT ${missing.join(', ')}`,
            'VEVENT REQUEST, REPLY and CANCEL',
            'switch them on there; until then these go by mail',
          ),
        ]),
    ...(isOther
      ? [
          wrong(
            'refused',
            'capabilities',
            url.href,
            `versions ${announced.versions.join(', ')}`,
            '1.0',
            'ask that server’s administrator: no other version is known',
          ),
        ]
      : []),
  ];
}

/** A server need not announce anything; one that has no service at the path says so by 404. */
function judgeSilence(url: URL, answer: Answer): readonly Finding[] {
  if (answer.kind === 'nothing') {
    return [
      wrong(
        'refused',
        'capabilities',
        url.href,
        answer.reason,
        'an answer',
        'look whether that server runs and serves this URL',
      ),
    ];
  }
  const advice = 'check the path; what it takes can only be found out by posting';
  const wanted = '200 with a query-result';
  const verdict = answer.status === 404 || answer.status === 410 ? 'refused' : 'warning';
  const found = answer.status === 200 ? '200, but not a capabilities document' : String(answer.status);
  return [wrong(verdict, 'capabilities', url.href, found, wanted, advice)];
}

function clock(url: URL, answer: Answer, took: number, now: number): readonly Finding[] {
  const date = Date.parse(header(answer, 'Date') ?? '');
  if (Number.isNaN(date)) return answer.kind === 'answer' ? [note('clock', url.host, 'no Date in its answers')] : [];
  // Date has whole seconds, and was written somewhere between question and answer.
  const apart = Math.max(Math.abs(now - took / 2 - date) - took / 2 - 1_000, 0);
  const found = `${Math.round(apart / 1000)} s from ours`;
  if (apart < CLOCK_NOTE_MS) return [ok('clock', url.host, found)];
  return [
    wrong(
      apart < CLOCK_LIMIT_MS ? 'warning' : 'refused',
      'clock',
      url.host,
      found,
      `less than ${CLOCK_NOTE_MS / 1000} s; from ${CLOCK_LIMIT_MS / 1000} s on signatures are refused as not yet valid or expired`,
      'synchronize both clocks by NTP',
    ),
  ];
}
