/** Where redirects of a calendar server may lead, and who sees our credentials. */
export type RouteRules = {
  readonly maxRedirects: number;
  /** Hosts, `name` or `name:port`, that a redirect may lead to beside the server itself. */
  readonly redirectHosts: readonly string[];
  /** Every address is looked at before it is connected to: any host may be named then, by https only. */
  readonly guarded: boolean;
  /** Origins of the service as configured: nobody else gets `authorization`. */
  readonly own: ReadonlySet<string>;
  readonly authorization?: string;
};

export type NotFollowed = 'too-many' | 'other-host' | 'no-location';

const FOLLOWED: ReadonlySet<number> = new Set([301, 302, 307, 308]);

export function isRedirect(httpStatus: number): boolean {
  return FOLLOWED.has(httpStatus);
}

/** The way of one request to a target, through redirects. */
export class Route {
  readonly #rules: RouteRules;
  readonly #target: URL;
  #url: URL;
  #redirects = 0;
  #redirectedTo: URL | undefined;

  constructor(target: URL, rules: RouteRules) {
    this.#target = target;
    this.#url = target;
    this.#rules = rules;
  }

  /** Where the request goes now. */
  get url(): URL {
    return this.#url;
  }

  /** `host:port` that answers, or should. */
  get relay(): string {
    return hostAndPort(this.#url);
  }

  /** Where the last redirect pointed to, followed or not. */
  get redirectedTo(): URL | undefined {
    return this.#redirectedTo;
  }

  /** The value of Authorization for the request that goes out now: by https, to the target's own origin, or not at all. */
  get authorization(): string | undefined {
    const { origin, protocol } = this.#url;
    const entitled = protocol === 'https:' && origin === this.#target.origin && this.#rules.own.has(origin);
    return entitled ? this.#rules.authorization : undefined;
  }

  /** @returns why the redirect is not followed; undefined when `url` is where it leads */
  follow(location: string): NotFollowed | undefined {
    const to = locate(location, this.#url);
    if (to === undefined) return 'no-location';
    this.#redirectedTo = to;
    if (!this.#mayFollow(this.#url, to)) return 'other-host';
    if (this.#redirects === this.#rules.maxRedirects) return 'too-many';
    this.#redirects += 1;
    this.#url = to;
    return undefined;
  }

  /** Never from https to http: the invitation went out encrypted and has to stay so. */
  #mayFollow(from: URL, to: URL): boolean {
    const { redirectHosts, guarded } = this.#rules;
    if (to.protocol !== 'https:' && (guarded || to.protocol !== 'http:' || from.protocol === 'https:')) return false;
    if (guarded || to.origin === this.#target.origin) return true;
    const { hostname, protocol } = this.#target;
    if (to.hostname === hostname && to.protocol === 'https:' && protocol === 'http:') return true;
    return redirectHosts.some((host) => host.toLowerCase() === to.hostname || host.toLowerCase() === hostAndPort(to));
  }
}

function locate(location: string, from: URL): URL | undefined {
  if (location === '') return undefined;
  const url = URL.parse(location, from.href) ?? undefined;
  if (url === undefined) return undefined;
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

/** `host:port` of a URL, the port also where it is the usual one. */
export function hostAndPort(url: URL): string {
  return `${url.hostname}:${url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80'}`;
}
