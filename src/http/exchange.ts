/** Who is at the other end of an HTTP connection. */
export type HttpClient = {
  /** IP address of the connection; IPv4-mapped ones as IPv4. */
  readonly address: string;
  readonly port: number;
  /** Absent on a connection in clear. */
  readonly tls?: {
    readonly protocol: string;
    /** The client's certificate, only when it was verified against the listener's `client-ca`. */
    readonly certificate?: {
      /** SHA-256 in upper-case hexadecimal with colons, as openssl prints it. */
      readonly fingerprint256: string;
      readonly subject: string;
      /** DNS names of its subjectAltName, in lower case. */
      readonly names: readonly string[];
    };
    /** A certificate that none of `client-ca` vouches for, and OpenSSL's word for why. */
    readonly unvouched?: { readonly fingerprint256: string; readonly code: string };
  };
};

/** One request that has come in whole. */
export type HttpRequest = {
  readonly method: string;
  /** Path without query, percent-decoding undone by nobody; without what a route of any prefix leaves open. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names and values in turn, as they came: duplicates apart, order kept. Folded lines are one value. */
  readonly rawHeaders: readonly string[];
  readonly client: HttpClient;
  /** Chunks undone; empty when there was none. */
  readonly body: Buffer;
  /** Aborts when the client has gone, or when the listener stops. */
  readonly signal: AbortSignal;
};

export type HttpReply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
};

/** What answers at a path. The listener adds Date, Content-Length and Connection. */
export type Route = {
  /**
   * `/ischedule` matches with and without a slash at its end; one that ends in `/*` matches everything below it. A `*`
   * before it stands for any prefix, also none; such a route goes before all others.
   */
  readonly path: string;
  readonly methods: readonly string[];
  readonly maxBodyBytes: number;
  /** @throws nothing for what the client did: that is a reply. A throw is our bug: 500 */
  handle(request: HttpRequest): Promise<HttpReply>;
  /**
   * The reply when the listener itself refuses: 405 (another method), 413 (body beyond `maxBodyBytes`), 415 (a
   * Content-Encoding), 400 (not HTTP), 408 (too slow), 500, 503 (stopping, or too many requests at a time).
   */
  refuse(status: number): HttpReply;
};
