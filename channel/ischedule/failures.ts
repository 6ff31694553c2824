import { judgeRequestStatus, parseRequestStatus } from '../../rules/request-status.ts';
import { addressKey, mailboxOf } from '../../src/mail/address.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { PermanentStatus } from '../../src/mail/status.ts';
import type { NotFollowed } from './route.ts';
import type { RecipientResponse, Reply } from './wire.ts';

/**
 * What one POST came to. `answer`: a whole HTTP response other than a redirect; `redirect`: a chain of them that we did
 * not follow to its end; `silence`: no whole response.
 */
export type PostResult =
  | { readonly kind: 'answer'; readonly httpStatus: number; readonly retryAfter: string; readonly reply: Reply }
  | { readonly kind: 'redirect'; readonly httpStatus: number; readonly why: NotFollowed }
  | { readonly kind: 'silence'; readonly silence: Silence };

/** Why there was no whole response. */
export type Silence =
  | { readonly kind: 'no-connection'; readonly code: string }
  | { readonly kind: 'lost'; readonly code: string }
  | { readonly kind: 'tls'; readonly code: string }
  /** `waitedFor` is absent when the deadline of the attempt passed, whatever it was waiting for. */
  | { readonly kind: 'too-slow'; readonly waitedFor?: 'headers' | 'body' }
  /** An address that may not be connected to, or by plain http. */
  | { readonly kind: 'forbidden'; readonly reason: string }
  | { readonly kind: 'stopped' };

/** Everything `failures.ts` says about one POST. */
export type Verdict = {
  /** One per recipient that was asked for, in that order. */
  readonly outcomes: readonly Outcome[];
  /** Recipients in the answer that nobody asked for. */
  readonly strangers: readonly string[];
  /** How long the server wants to be left alone, ms, where its trouble is not one message's. */
  readonly pauseMs?: number;
};

/**
 * The whole policy of this channel, by scope: connection, server and message give all recipients the same outcome, a
 * `schedule-response` gives each his own.
 * @param recipients mailboxes that were posted for
 * @param sent the address of each as it stood in Recipient
 * @param relay `host:port` that answered, or should have
 * @param now ms since the epoch, for a Retry-After that is a date
 */
export function judge(
  result: PostResult,
  recipients: readonly string[],
  sent: readonly string[],
  relay: string,
  now: number,
): Verdict {
  if (result.kind === 'silence') return same(recipients, { ...silent(result.silence), relay, answered: false });
  if (result.kind === 'redirect') return same(recipients, { ...redirected(result), relay, answered: true });
  const delay = retryAfterMs(result.retryAfter, now);
  const withContext = (outcome: Outcome): Outcome => ({
    ...outcome,
    ...(outcome.kind === 'deferred' && delay !== undefined ? { retryAfterMs: delay } : {}),
    relay,
    answered: true,
  });
  const { httpStatus, reply } = result;
  if (httpStatus !== 200 || reply.kind !== 'responses') {
    const verdict = same(recipients, withContext(byMessage(httpStatus, reply)));
    return delay !== undefined && isOverloaded(httpStatus) ? { ...verdict, pauseMs: delay } : verdict;
  }
  const { matched, strangers } = match(recipients, sent, reply.responses);
  return { outcomes: matched.map((response) => withContext(byRecipient(response))), strangers };
}

function same(recipients: readonly string[], outcome: Outcome): Verdict {
  return { outcomes: recipients.map(() => outcome), strangers: [] };
}

/** The post as a whole was refused for the number of its recipients: a smaller one may be taken. */
export function isTooManyRecipients(result: PostResult): boolean {
  if (result.kind !== 'answer' || result.reply.kind !== 'error') return false;
  return result.httpStatus >= 400 && result.httpStatus < 500 && result.reply.element === 'max-recipients';
}

// ---- connection

function silent(silence: Silence): Outcome {
  switch (silence.kind) {
    case 'no-connection':
      return { kind: 'deferred', status: '4.4.1', reason: `no connection to the calendar server (${silence.code})` };
    case 'lost':
      return {
        kind: 'deferred',
        status: '4.4.2',
        reason: `the calendar server closed the connection (${silence.code})`,
      };
    case 'tls':
      return ourSetUp(`TLS with the calendar server failed (${silence.code}${TLS_WANTED[silence.code] ?? ''})`);
    case 'too-slow':
      return { kind: 'deferred', status: '4.4.2', reason: TOO_SLOW[silence.waitedFor ?? 'all'] };
    case 'forbidden':
      // A stranger's DNS is at fault; it may be put right, and nobody here has to look.
      return { kind: 'deferred', status: '4.4.1', reason: `no connection was made: ${silence.reason}` };
    case 'stopped':
      return {
        kind: 'deferred',
        status: '4.4.2',
        reason: 'the attempt was stopped before the calendar server answered',
      };
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
  // `guarded-connector.ts` made no connection, on purpose.
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

// ---- server

const REDIRECTS: Readonly<Record<NotFollowed, string>> = {
  'too-many': 'too many redirects',
  'other-host': 'redirected to a host that is not allowed',
  'no-location': 'redirected to nowhere',
};

function redirected(result: Extract<PostResult, { kind: 'redirect' }>): Outcome {
  return ourSetUp(REDIRECTS[result.why], `http; ${result.httpStatus}`);
}

/** Our credentials, trust or addresses are at fault, which must not bounce anybody's mail. */
function ourSetUp(reason: string, diagnostic?: string): Outcome {
  return {
    kind: 'deferred',
    status: '4.3.5',
    reason,
    ...(diagnostic === undefined ? {} : { diagnostic }),
    alarm: true,
  };
}

/** These speak of the server, not of the message. */
function isOverloaded(httpStatus: number): boolean {
  return httpStatus === 429 || httpStatus >= 500;
}

function unavailable(reason: string, diagnostic: string): Outcome {
  return { kind: 'deferred', status: '4.3.2', reason, diagnostic };
}

// ---- message

type Refusal = readonly [element: RegExp, status: PermanentStatus, reason: string];

// Preconditions that a repeat of the same message cannot meet. Everything else in a 4xx is about us, not about the mail.
const REFUSALS: readonly Refusal[] = [
  [/^max-content-length$/, '5.3.4', 'the calendar object is too large for the calendar server'],
  [/^max-recipients$/, '5.5.3', 'too many recipients for the calendar server'],
  [/^(?:max|min)-/, '5.6.0', 'the calendar object is beyond a limit of the calendar server'],
  [/^attachment-/, '5.6.1', 'the calendar server takes no such attachment'],
  // `valid-` and `supported-` as -00 named what was not met.
  [/^(?:invalid-|valid-|supported-calendar-data$)/, '5.6.0', 'the calendar server refused the calendar object'],
  [/^recipient-/, '5.5.0', 'the calendar server refused the recipients of the post'],
];
const SET_UP: Readonly<Record<number, string>> = {
  401: 'the calendar server wants credentials',
  404: 'the calendar server has no iSchedule service there',
  405: 'the calendar server has no iSchedule service there',
};

function byMessage(httpStatus: number, reply: Reply): Outcome {
  const { element, description } = reply.kind === 'error' ? reply : { element: '', description: '' };
  const words = [element, description].map(printable).filter((text) => text !== '');
  const diagnostic = `http; ${httpStatus} ${words.join(': ')}`.trimEnd();
  if (httpStatus >= 200 && httpStatus < 300) {
    const found = reply.kind === 'unreadable' ? reply.reason : 'the answer is not what was asked for';
    return unavailable(`no schedule-response: ${found}`, diagnostic);
  }
  if (httpStatus === 507) {
    return { kind: 'deferred', status: '4.3.1', reason: 'the calendar server has no room', diagnostic };
  }
  if (httpStatus >= 500) return unavailable('the calendar server failed', diagnostic);
  if (httpStatus === 408) return unavailable('the calendar server did not wait for the request', diagnostic);
  if (httpStatus === 429) return unavailable('the calendar server is too busy', diagnostic);
  const setUp = SET_UP[httpStatus];
  if (setUp !== undefined) return ourSetUp(setUp, diagnostic);
  const refusal = REFUSALS.find(([pattern]) => pattern.test(element));
  if (refusal !== undefined) return { kind: 'failed', status: refusal[1], reason: refusal[2], diagnostic };
  return ourSetUp('the calendar server refused the gateway', diagnostic);
}

// ---- recipient

function byRecipient(response: RecipientResponse | undefined): Outcome {
  if (response === undefined) {
    return unavailable('the calendar server did not answer for the recipient', 'http; 200');
  }
  const { requestStatus } = response;
  const diagnostic = `http; 200 ${printable(requestStatus)}`.trimEnd();
  const parsed = parseRequestStatus(requestStatus);
  const verdict = parsed === undefined ? undefined : judgeRequestStatus(parsed.code);
  if (parsed === undefined || verdict === undefined) {
    return unavailable('the calendar server gave no request status that means anything', diagnostic);
  }
  return { ...verdict, diagnostic, requestStatus: parsed.code };
}

/** Finds the response of every recipient: as it was sent, else by the mailbox; the first one counts. */
function match(
  recipients: readonly string[],
  sent: readonly string[],
  responses: readonly RecipientResponse[],
): { matched: (RecipientResponse | undefined)[]; strangers: string[] } {
  const exact = new Map<string, RecipientResponse>();
  const byMailbox = new Map<string, RecipientResponse>();
  for (const response of responses) {
    if (!exact.has(response.recipient)) exact.set(response.recipient, response);
    const key = mailboxKey(response.recipient);
    if (!byMailbox.has(key)) byMailbox.set(key, response);
  }
  const asked = new Set(recipients.map((recipient) => addressKey(recipient)));
  return {
    matched: recipients.map((recipient, index) => exact.get(sent[index] ?? '') ?? byMailbox.get(addressKey(recipient))),
    strangers: [...byMailbox.keys()].filter((key) => !asked.has(key)),
  };
}

/** Servers answer with or without `mailto:`, decoded or not. */
function mailboxKey(address: string): string {
  return addressKey(mailboxOf(address) ?? mailboxOf(`mailto:${address}`) ?? address);
}

// ---- words

/** Peers' words for a diagnostic: one line of printable ASCII, bounded. */
function printable(text: string): string {
  return text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 200);
}

/**
 * RFC 9110 §10.2.3: seconds, or an HTTP date in any of its three forms (§5.6.7).
 * @returns undefined when it is neither; 0 for a date that has passed
 */
export function retryAfterMs(value: string, now: number): number | undefined {
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  if (!/^[A-Z][a-z]{2,8},? .*\d\d:\d\d:\d\d/.test(text)) return undefined;
  // The oldest form names no zone and means GMT; `Date.parse` would take ours.
  const at = Date.parse(/ \d{4}$/.test(text) ? `${text} GMT` : text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
