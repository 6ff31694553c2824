import { judgeRequestStatus, parseRequestStatus } from '../../rules/request-status.ts';
import { type Silence, silenceReason } from '../../src/http/silence.ts';
import { addressKey, mailboxOf } from '../../src/mail/address.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { PermanentStatus } from '../../src/mail/status.ts';
import type { NotFollowed } from './route.ts';
import type { BareAnswer, RecipientResponse, Reply } from './wire.ts';

/**
 * What one POST came to. `answer`: a whole HTTP response other than a redirect; `redirect`: a chain of them that we did
 * not follow to its end; `silence`: no whole response.
 */
export type PostResult =
  | {
      readonly kind: 'answer';
      readonly httpStatus: number;
      readonly retryAfter: string;
      readonly reply: Reply;
      /** Where the body is no reply. */
      readonly bare?: BareAnswer;
    }
  | { readonly kind: 'redirect'; readonly httpStatus: number; readonly why: NotFollowed }
  | { readonly kind: 'silence'; readonly silence: Silence };

/** Everything `failures.ts` says about one POST. */
export type Verdict = {
  /** One per recipient that was asked for, in that order. */
  readonly outcomes: readonly Outcome[];
  /** Of each of them, where the server said something about each. */
  readonly responses?: readonly (RecipientResponse | undefined)[];
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
  const outcomes = matched.map((response) => withContext(byRecipient(response)));
  return { outcomes, responses: matched, strangers };
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

const SILENT = {
  'no-connection': '4.4.1',
  forbidden: '4.4.1',
  lost: '4.4.2',
  'too-slow': '4.4.2',
  stopped: '4.4.2',
} as const;

function silent(silence: Silence): Outcome {
  const reason = silenceReason(silence);
  return silence.kind === 'tls' ? ourSetUp(reason) : { kind: 'deferred', status: SILENT[silence.kind], reason };
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

/** Finds the response of every recipient: as it was sent, else by the mailbox; the first one counts, and says if others differ. */
function match(
  recipients: readonly string[],
  sent: readonly string[],
  responses: readonly RecipientResponse[],
): { matched: (RecipientResponse | undefined)[]; strangers: string[] } {
  const exact = new Map<string, RecipientResponse>();
  const byMailbox = new Map<string, RecipientResponse>();
  const disputed = new Set<string>();
  for (const response of responses) {
    if (!exact.has(response.recipient)) exact.set(response.recipient, response);
    const key = mailboxKey(response.recipient);
    const first = byMailbox.get(key);
    if (first === undefined) byMailbox.set(key, response);
    else if (!isSame(first, response)) disputed.add(key);
  }
  const find = (recipient: string, index: number): RecipientResponse | undefined => {
    const key = addressKey(recipient);
    const response = exact.get(sent[index] ?? '') ?? byMailbox.get(key);
    return response !== undefined && disputed.has(key) ? { ...response, isDisputed: true } : response;
  };
  const asked = new Set(recipients.map((recipient) => addressKey(recipient)));
  return {
    matched: recipients.map(find),
    strangers: [...byMailbox.keys()].filter((key) => !asked.has(key)),
  };
}

function isSame(one: RecipientResponse, other: RecipientResponse): boolean {
  return one.requestStatus === other.requestStatus && one.calendarData === other.calendarData;
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
