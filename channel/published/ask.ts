import type { BusyReading, Window } from '../../src/freebusy/busy.ts';
import { viaOf } from '../../src/freebusy/hops.ts';
import { readingOf } from '../../src/freebusy/reading.ts';
import { type OutReply, Requester, type RequesterOptions } from '../../src/http/requester.ts';
import { charsetOf } from '../../src/itip/content-type.ts';
import { formatUtc } from '../../src/itip/date-time.ts';
import { domainOf } from '../../src/mail/address.ts';
import type { Log } from '../../src/observe/log.ts';
import type { BusyBatch, BusySource } from '../channel.ts';

export type PublishedOptions = {
  /**
   * URL of anybody's document, with `{address}`, `{local}` and `{domain}` for who, and `{start}` and `{end}` (UTC, basic
   * form) for servers that take a window. Not in its host. Absent: each question brings the user's own URL.
   */
  readonly template?: string;
  /** Value of Authorization; sent to the template's origin only. */
  readonly authorization?: string;
  /** `host` or `host:port` that a redirect may lead to, beside the host that was asked. */
  readonly hosts: readonly string[];
  /** What `destination` says where there is no template. */
  readonly destination?: string;
  readonly requester: RequesterOptions;
};

const MAX_REDIRECTS = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Fetches busy times that are published as documents (RFC 5546 §3.3.1, RFC 2739 calFBURL). */
export class PublishedSource implements BusySource {
  readonly protocol = 'url';
  readonly destination: string;
  readonly #options: PublishedOptions;
  /** Of the template: the one place that credentials go to. */
  readonly #origin: string | undefined;
  readonly #requester: Requester;
  readonly #log: Log;

  /** @throws TypeError when the template is no URL, or has a placeholder in its host */
  constructor(options: PublishedOptions, log: Log) {
    this.#options = options;
    this.#origin = options.template === undefined ? undefined : originOf(options.template);
    this.destination = this.#origin ?? options.destination ?? 'published';
    this.#requester = new Requester(options.requester);
    this.#log = log;
  }

  async ask(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]> {
    const headers = {
      Accept: 'text/calendar',
      ...(batch.hops.length === 0 ? {} : { Via: viaOf(batch.hops) }),
    };
    // Some publish one document for several of them.
    const fetched = new Map<string, Promise<BusyReading>>();
    return Promise.all(
      batch.attendees.map((attendee) => {
        const url = this.#urlOf(attendee, batch);
        if (url === undefined) return { kind: 'unknown', reason: 'his address cannot stand in a URL' } as const;
        const shared = fetched.get(url.href) ?? this.#fetch(url, headers, batch.window, signal);
        fetched.set(url.href, shared);
        return shared;
      }),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#requester[Symbol.asyncDispose]();
  }

  /** @returns undefined when the address would lead elsewhere than to a document of its own */
  #urlOf(attendee: string, { server, window }: BusyBatch): URL | undefined {
    const { template } = this.#options;
    if (template === undefined) return server;
    const domain = domainOf(attendee);
    const local = attendee.slice(0, attendee.lastIndexOf('@'));
    // As segments of a path these are steps upwards; half a surrogate pair has no percent-encoding.
    if (domain === '' || local === '.' || local === '..' || !attendee.isWellFormed()) return undefined;
    return new URL(fill(template, { address: attendee, local, domain, ...spelled(window) }));
  }

  async #fetch(
    first: URL,
    headers: Readonly<Record<string, string>>,
    window: Window,
    signal: AbortSignal,
  ): Promise<BusyReading> {
    let url = first;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const fault = this.#faultOf(url, first);
      if (fault !== undefined) return unusable(fault);
      const { authorization } = this.#options;
      const mayKnow = authorization !== undefined && url.origin === this.#origin;
      const own = mayKnow ? { ...headers, Authorization: authorization } : headers;
      const reply = await this.#requester.ask({ method: 'GET', url, headers: own }, signal);
      if (reply.kind === 'silence')
        return reply.isTooLarge === true ? unusable(reply.reason) : unavailable(reply.reason);
      if (!REDIRECTS.has(reply.status)) return this.#read(reply, window, url);
      const { location } = reply.headers;
      const next = location === undefined ? null : URL.parse(location, url);
      if (next === null) return unusable(`found a redirect to nowhere (${reply.status})`);
      next.hash = '';
      url = next;
    }
    return unusable(`found more than ${MAX_REDIRECTS} redirects`);
  }

  /** Why nothing is fetched from there. */
  #faultOf(url: URL, first: URL): string | undefined {
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'found a URL that is neither https nor http';
    if (url.username !== '' || url.password !== '') return `found a user name or password in the URL at ${url.host}`;
    if (url === first) return undefined;
    const { hosts } = this.#options;
    // Another port is another service, which may take a GET from this machine for more than a question.
    const names = url.port === '' ? [url.host, `${url.host}:${url.protocol === 'https:' ? 443 : 80}`] : [url.host];
    if (!names.includes(first.host) && !names.includes(first.hostname) && !names.some((name) => hosts.includes(name)))
      return `found a redirect to ${url.host}, wanted ${first.host} or a host that is listed`;
    if (url.protocol === 'http:' && first.protocol === 'https:') return `found a redirect to http at ${url.host}`;
    return undefined;
  }

  #read({ status, headers, body }: Extract<OutReply, { kind: 'answer' }>, window: Window, url: URL): BusyReading {
    const found = `found ${status} at ${url.host}`;
    if (status === 404 || status === 410) return { kind: 'unknown', reason: found };
    if (status === 401 || status === 403) {
      // With credentials of ours it is not the user who refuses.
      if (this.#options.authorization !== undefined)
        this.#log.warn({ protocol: 'url', relay: url.host, reason: found }, 'free/busy: our credentials were refused');
      return { kind: 'refused', reason: found };
    }
    if (status >= 500 || status === 408 || status === 429) return unavailable(found);
    if (status !== 200) return unusable(found);
    const type = headers['content-type'] ?? '';
    if (/^\s*text\/html\b/i.test(type)) return unusable(`found a web page at ${url.host}, wanted text/calendar`);
    return readingOf(body, charsetOf(type), { window });
  }
}

const PLACEHOLDER = /\{(address|local|domain|start|end)\}/g;

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(PLACEHOLDER, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}

function spelled({ startMs, endMs }: Window): { readonly start: string; readonly end: string } {
  return { start: formatUtc(startMs), end: formatUtc(endMs) };
}

function originOf(template: string): string {
  const one = new URL(fill(template, { address: 'a', local: 'a', domain: 'a', start: 'a', end: 'a' }));
  const other = new URL(fill(template, { address: 'b', local: 'b', domain: 'b', start: 'b', end: 'b' }));
  if (one.origin !== other.origin) throw new TypeError('found a placeholder in the host of a template');
  return one.origin;
}

function unavailable(reason: string): BusyReading {
  return { kind: 'unavailable', reason };
}

/** What one user has published; there is nothing against the others of that server. */
function unusable(reason: string): BusyReading {
  return { kind: 'unusable', reason };
}
