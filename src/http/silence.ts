/** Why there was no whole answer to an HTTP request. */
export type Silence =
  | { readonly kind: 'no-connection'; readonly code: string }
  | { readonly kind: 'lost'; readonly code: string }
  | { readonly kind: 'tls'; readonly code: string }
  /** `waitedFor` is absent when the deadline of the attempt passed, whatever it was waiting for. */
  | { readonly kind: 'too-slow'; readonly waitedFor?: 'headers' | 'body' }
  /** An address that may not be connected to, or by plain http. */
  | { readonly kind: 'forbidden'; readonly reason: string }
  | { readonly kind: 'stopped' };

/** For a log line. */
export function silenceReason(silence: Silence): string {
  switch (silence.kind) {
    case 'no-connection':
      return `no connection to the calendar server (${silence.code})`;
    case 'lost':
      return `the calendar server closed the connection (${silence.code})`;
    case 'tls':
      return `TLS with the calendar server failed (${silence.code}${TLS_WANTED[silence.code] ?? ''})`;
    case 'too-slow':
      return TOO_SLOW[silence.waitedFor ?? 'all'];
    case 'forbidden':
      // A stranger's DNS is at fault; it may be put right, and nobody here has to look.
      return `no connection was made: ${silence.reason}`;
    case 'stopped':
      return 'the attempt was stopped before the calendar server answered';
  }
}

const OTHER_AUTHORITY = ': its certificate is of no authority that is trusted; name that one with ca';

/** What an operator can do about the frequent ones. */
const TLS_WANTED: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: OTHER_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: OTHER_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: OTHER_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: OTHER_AUTHORITY,
  ERR_TLS_CERT_ALTNAME_INVALID: ': its certificate is for another name than that of the URL',
  CERT_HAS_EXPIRED: ': its certificate is out of date',
  ERR_SSL_WRONG_VERSION_NUMBER: ': it speaks no TLS there; look whether the URL should be http, or name another port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: ': it speaks no TLS there; look whether the URL should be http, or name another port',
};

const TOO_SLOW = {
  all: 'the calendar server did not answer in time',
  headers: 'the calendar server did not begin its answer in time',
  body: 'the calendar server did not go on with its answer in time',
} as const;

const NO_CONNECTION: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const CONNECTING_CALLS: ReadonlySet<string> = new Set(['connect', 'getaddrinfo']);
// OpenSSL's verification errors have no common prefix; these are all that Node passes on.
const TLS =
  /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$|CERT_|CRL_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|ERROR_IN_CE?RL?|INVALID_(?:CA|PURPOSE)$|PATH_LENGTH_|HOSTNAME_MISMATCH$)/;

/**
 * What an error of the HTTP client says about the connection.
 * @returns undefined when it says nothing about it: a mistake of ours
 */
export function readSocketError(error: unknown): Silence | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error.name === 'HTTPParserError') return { kind: 'lost', code: 'not HTTP' };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const syscall = 'syscall' in error && typeof error.syscall === 'string' ? error.syscall : '';
  // A guarding connector made no connection, on purpose.
  if (code === 'EADDRREFUSED') return { kind: 'forbidden', reason: error.message };
  if (TLS.test(code)) return { kind: 'tls', code };
  if (NO_CONNECTION.has(code) || CONNECTING_CALLS.has(syscall)) return { kind: 'no-connection', code };
  if (code === 'UND_ERR_INVALID_ARG') return undefined;
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return { kind: 'too-slow', waitedFor: 'headers' };
  if (code === 'UND_ERR_BODY_TIMEOUT') return { kind: 'too-slow', waitedFor: 'body' };
  // An unknown error of a socket or of the client: the request may have arrived, so it counts as lost.
  return syscall !== '' || code.startsWith('UND_ERR_') || code === 'ECONNRESET' || code === 'EPIPE'
    ? { kind: 'lost', code }
    : undefined;
}
