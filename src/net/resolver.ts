/** What the DNS said to one question. Only an answer of the zone's own servers is `none`. */
export type DnsAnswer<T> =
  | { readonly kind: 'records'; readonly records: readonly T[]; readonly ttlMs: number }
  /** The name, or the type at it, does not exist; `ttlMs` as RFC 2308 §5 says, 0 when the answer had no SOA. */
  | { readonly kind: 'none'; readonly ttlMs: number }
  /** Nobody answered in time, or with SERVFAIL or REFUSED: nothing is known. */
  | { readonly kind: 'no-answer'; readonly reason: string };

/** RFC 2782. `target` in lower case without the last dot; `.` itself means that there is no such service. */
export type SrvRecord = {
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
};

/** Asks the DNS. What it answers is a value; nothing here rejects but for an aborted `signal`. */
export type Resolver = {
  srv(name: string, signal: AbortSignal): Promise<DnsAnswer<SrvRecord>>;
  /** Each record as one string, its parts joined without anything between. */
  txt(name: string, signal: AbortSignal): Promise<DnsAnswer<string>>;
  /** IPv4 and IPv6 addresses; `none` only when there is neither. */
  addresses(name: string, signal: AbortSignal): Promise<DnsAnswer<string>>;
};
