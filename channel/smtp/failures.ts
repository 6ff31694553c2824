import type { Outcome } from '../../src/mail/outcome.ts';
import type { PermanentStatus, SuccessStatus, TransientStatus } from '../../src/mail/status.ts';

/**
 * What a reply was about. `server`: greeting, EHLO, STARTTLS, login. `message`: MAIL, DATA, the end of the content,
 * for all recipients alike. `recipient`: RCPT, and in LMTP the end of the content.
 */
export type ReplyScope = 'server' | 'message' | 'recipient';

/** What ended a connection when it was not a reply to a command of ours. */
export type Trouble =
  | { readonly kind: 'unreachable'; readonly code: string }
  | { readonly kind: 'unresolved'; readonly code: string }
  /** The connection ended, or nothing came in time, once it stood. */
  | { readonly kind: 'lost'; readonly code: string }
  | { readonly kind: 'tls'; readonly code: string }
  /** The server spoke, but not in answer to a transaction: greeting, EHLO, STARTTLS or login refused, 421, junk. */
  | { readonly kind: 'refused'; readonly reply: string }
  | { readonly kind: 'unusable'; readonly reason: string }
  | { readonly kind: 'aborted' }
  /** Our own message could not be read to its end. */
  | { readonly kind: 'unreadable'; readonly cause: unknown };

/** Replies of one transaction, as far as they came, each with its lines joined by LF. */
export type Replies = {
  readonly mail?: string;
  /** In the order of the RCPT commands. */
  readonly recipients: readonly string[];
  readonly data?: string;
  /** SMTP: one. LMTP: one per accepted RCPT, in order (RFC 2033 §4.2). */
  readonly end: readonly string[];
  readonly trouble?: Trouble;
};

/**
 * One outcome per RCPT of a transaction, matched to the replies by order, because an address may stand twice.
 * @param relay `host:port` of the peer
 */
export function outcomesOf(
  replies: Replies,
  count: number,
  protocol: 'smtp' | 'lmtp',
  relay: string,
): readonly Outcome[] {
  let accepted = 0;
  return Array.from({ length: count }, (_, position) => {
    const silence = () => fromTrouble(replies.trouble ?? { kind: 'lost', code: 'no reply' }, relay);
    if (replies.mail === undefined) return silence();
    if (!isPositive(replies.mail)) return fromReply('message', replies.mail, relay);
    const rcpt = replies.recipients[position];
    if (rcpt === undefined) return silence();
    if (!isPositive(rcpt))
      return mayBeTooMany(rcpt, accepted) ? tooManyRecipients(rcpt, relay) : fromReply('recipient', rcpt, relay);
    const place = protocol === 'lmtp' ? accepted : 0;
    accepted++;
    if (replies.data === undefined) return silence();
    if (!/^[23]/.test(replies.data)) return fromReply('message', replies.data, relay);
    const end = replies.end[place];
    if (end !== undefined) return fromReply(protocol === 'lmtp' ? 'recipient' : 'message', end, relay);
    return replies.trouble?.kind === 'unreadable' ? silence() : inDoubt(silence());
  });
}

/** No word came after the content had begun to leave: who looks for the cause of a mail that came twice finds it here. */
function inDoubt(outcome: Outcome): Outcome {
  return { ...outcome, reason: `${outcome.reason}; it may have the message, which may arrive twice` };
}

/** The outcome of a reply. A refusal by the server as such is about our set-up, and never fails a user's mail. */
export function fromReply(scope: ReplyScope, reply: string, relay: string): Outcome {
  const code = Number(/^\d{3}/.exec(reply)?.[0] ?? 0);
  const common = { relay, answered: true, diagnostic: diagnosticOf(reply) };
  const ours = scope === 'server' ? code >= 500 : SETUP_CODES.has(code);
  if (ours)
    return {
      kind: 'deferred',
      status: '4.3.5',
      alarm: true,
      reason: 'the next hop does not accept our connection as it is set up',
      ...common,
    };
  if (code >= 200 && code < 300 && scope !== 'server') {
    return { kind: 'delivered', status: successStatus(reply), reason: 'the next hop took the message', ...common };
  }
  // 503 says that the session was out of step, not that the message was refused.
  if (code >= 500 && code < 600 && code !== 503) {
    const status = permanentStatus(scope, code, reply);
    return { kind: 'failed', status, reason: failureReason(scope, status), ...common };
  }
  if (code >= 400 && code < 500) {
    return {
      kind: 'deferred',
      status: transientStatus(code, reply),
      reason: `the next hop put off the ${scope === 'server' ? 'connection' : scope}`,
      ...common,
    };
  }
  return { kind: 'deferred', status: '4.5.0', reason: 'the next hop answered out of turn', ...common };
}

/** The outcome for a recipient about whom no reply came. */
export function fromTrouble(trouble: Trouble, relay: string): Outcome {
  const silent = { kind: 'deferred', relay, answered: false } as const;
  switch (trouble.kind) {
    case 'unreachable':
      return { ...silent, status: '4.4.1', reason: `the next hop cannot be reached (${trouble.code})` };
    case 'unresolved':
      // A name that does not exist will not begin to by waiting: somebody wrote it.
      return trouble.code === 'ENOTFOUND'
        ? { ...silent, status: '4.4.4', alarm: true, reason: 'the name of the next hop does not exist' }
        : { ...silent, status: '4.4.3', reason: `the name of the next hop cannot be looked up (${trouble.code})` };
    case 'lost':
      return { ...silent, status: '4.4.2', reason: `the connection to the next hop was lost (${trouble.code})` };
    case 'tls':
      return { ...silent, status: '4.3.5', alarm: true, reason: `no TLS with the next hop (${trouble.code})` };
    case 'refused':
      // Even a 5xx says nothing about the message here.
      return fromReply('server', trouble.reply, relay);
    case 'unusable':
      return { ...silent, status: '4.3.5', alarm: true, reason: trouble.reason };
    case 'aborted':
      return { ...silent, status: '4.4.2', reason: 'the attempt was ended before the next hop had answered' };
    case 'unreadable':
      return { ...silent, status: '4.3.0', alarm: true, reason: 'the message could not be read from the queue' };
  }
}

/** Sorts a socket's, resolver's or TLS library's error code. @param standing whether the connection stood already */
export function troubleOf(code: string, standing: boolean): Trouble {
  if (TLS_CODE.test(code)) return { kind: 'tls', code };
  if (!standing && RESOLVER_CODES.has(code)) return { kind: 'unresolved', code };
  return standing ? { kind: 'lost', code } : { kind: 'unreachable', code };
}

const TLS_CODE =
  /^(ETLS|EPROTO|ERR_TLS_|ERR_SSL_|ERR_OSSL|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|ERROR_IN_CERT)/;
const RESOLVER_CODES: ReadonlySet<string> = new Set([
  'EDNS',
  'ENOTFOUND',
  'ENODATA',
  'ESERVFAIL',
  'EAI_AGAIN',
  'EREFUSED',
  'ETIMEOUT',
  'ECANCELLED',
]);

/** RFC 4954 §6: the server wants a login, or another one. No message can be at fault. */
const SETUP_CODES: ReadonlySet<number> = new Set([530, 534, 535, 538]);

// Where the peer gave no enhanced status, the one that says what RFC 5321 §4.2.2 lets the code mean.
const PERMANENT: Readonly<Record<'message' | 'recipient', Readonly<Record<number, PermanentStatus>>>> = {
  message: { 500: '5.5.2', 501: '5.5.4', 502: '5.5.1', 504: '5.5.4', 552: '5.3.4', 555: '5.5.4', 556: '5.1.10' },
  recipient: { 501: '5.1.3', 550: '5.2.0', 551: '5.1.6', 552: '5.2.2', 553: '5.1.3', 555: '5.5.4', 556: '5.1.10' },
};
const TRANSIENT: Readonly<Record<number, TransientStatus>> = {
  421: '4.3.2',
  450: '4.2.0',
  451: '4.3.0',
  452: '4.3.1',
  454: '4.7.0',
};

function successStatus(reply: string): SuccessStatus {
  const status = enhancedStatus(reply);
  return status?.startsWith('2.') === true ? (status as SuccessStatus) : '2.0.0';
}

function permanentStatus(scope: ReplyScope, code: number, reply: string): PermanentStatus {
  const status = enhancedStatus(reply);
  if (status?.startsWith('5.') === true) return status as PermanentStatus;
  return (scope === 'server' ? undefined : PERMANENT[scope][code]) ?? '5.0.0';
}

function transientStatus(code: number, reply: string): TransientStatus {
  const status = enhancedStatus(reply);
  if (status?.startsWith('4.') === true) return status as TransientStatus;
  return TRANSIENT[code] ?? '4.0.0';
}

/** RFC 2034 §4: at the beginning of each line's text. */
function enhancedStatus(reply: string): string | undefined {
  return /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})(?= |\r|\n|$)/.exec(reply)?.[1];
}

function failureReason(scope: ReplyScope, status: PermanentStatus): string {
  if (status === '5.1.1') return 'the next hop knows no such recipient';
  if (status === '5.2.2') return 'the mailbox is full';
  if (status === '5.3.4') return 'the message is too big for the next hop';
  return `the next hop refused the ${scope}`;
}

/**
 * RFC 5321 §4.5.3.1.10: 552 after other recipients were accepted may mean "too many"; the rest is tried again alone,
 * where a mailbox that is really full says so once more.
 */
function mayBeTooMany(reply: string, accepted: number): boolean {
  const status = enhancedStatus(reply);
  return /^552/.test(reply) && accepted > 0 && (status === undefined || status === '5.5.3');
}

function tooManyRecipients(reply: string, relay: string): Outcome {
  return {
    kind: 'deferred',
    status: '4.5.3',
    reason: 'the next hop takes no more recipients at once',
    relay,
    answered: true,
    diagnostic: diagnosticOf(reply),
  };
}

/** `smtp; 550 5.1.1 …` in one line: the code, and its enhanced status, once (RFC 3464 §2.3.6). */
function diagnosticOf(reply: string): string {
  const [first = '', ...rest] = reply.split('\n').map((line) => line.trim());
  const code = `${first.slice(0, 3)} `;
  const status = enhancedStatus(first);
  const texts = rest
    .map((line) => line.replace(/^\d{3}[ -]/, ''))
    .map((text) => (status !== undefined && text.startsWith(`${status} `) ? text.slice(status.length + 1) : text));
  let line = '';
  for (const char of [code + first.slice(4), ...texts].join(' ')) {
    const point = char.codePointAt(0) ?? 0;
    line += point < 0x20 || (point >= 0x7f && point < 0xa0) ? ' ' : char;
  }
  return `smtp; ${line.replace(/ +/g, ' ').trim().slice(0, 500)}`;
}

function isPositive(reply: string): boolean {
  return reply.startsWith('2');
}
