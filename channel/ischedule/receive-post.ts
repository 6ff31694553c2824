import { dialectOf, type Peer, type PeerFacts, type Proof } from '../../rules/peer.ts';
import {
  type AcceptLimits,
  type HeaderUser,
  judgeBody,
  judgeHeaders,
  judgeLength,
  type RightHeaders,
  type RightPost,
} from '../../rules/schedule-request.ts';
import type { PostAcceptor } from '../../src/flow/post-acceptor.ts';
import { hopsOfVia, MAX_HOPS } from '../../src/freebusy/hops.ts';
import type { HttpRequest } from '../../src/http/exchange.ts';
import { type FreeBusyRequest, type PostedLimits, readPosted } from '../../src/itip/posted.ts';
import { addressKey, domainOf } from '../../src/mail/address.ts';
import type { Log } from '../../src/observe/log.ts';
import { StoreFullError } from '../../src/queue/store.ts';
import { type Author, isConfigured, judgeAuthor, type ProofOptions } from './author.ts';
import type { Answer, PostResult, Refused } from './post-result.ts';
import { readScheduleHeaders, type ScheduleHeaders } from './request-headers.ts';

/** A question for busy times that a peer has posted. */
export type PostedQuestion = {
  readonly peer: Peer;
  readonly originator: string;
  /** Mailboxes, no two of them equal. */
  readonly recipients: readonly string[];
  readonly object: FreeBusyRequest;
  /** Gateways of our kind that it came through (Via). */
  readonly hops: readonly string[];
  readonly signal: AbortSignal;
};

/** Answers a question for busy times: one answer for each recipient, in order. Never queues. */
export type AnswerFreeBusy = (question: PostedQuestion) => Promise<readonly Omit<Answer, 'recipient'>[]>;

export type PostHandling = ProofOptions & {
  /** Name of the listener, for the record. */
  readonly listener: string;
  /** As configured now. */
  readonly peers: () => readonly Peer[];
  readonly limits: AcceptLimits;
  readonly reading: PostedLimits;
  readonly acceptor: PostAcceptor;
  /** Absent: VFREEBUSY is neither announced nor taken. */
  readonly answerFreeBusy?: AnswerFreeBusy;
  readonly log: Log;
};

/** A request, with what is known of it so far. */
type Incoming = {
  readonly request: HttpRequest;
  readonly headers: ScheduleHeaders;
  readonly peers: readonly Peer[];
  readonly peerFacts: PeerFacts;
  /** For its line in the log. */
  readonly found: { peer?: string; proof?: Proof; method?: string; uid?: string };
};

const MAX_MESSAGE_ID = 998;

/**
 * Takes one post, judging it in the order in which Cyrus does: headers, who sends it, what stands in it. Nothing of it is
 * kept unless it is answered recipient by recipient.
 */
export async function takePost(handling: PostHandling, request: HttpRequest): Promise<PostResult> {
  const headers = readScheduleHeaders(request.rawHeaders, handling.limits.maxRecipients);
  const { authorizations, signatures } = headers;
  const peerFacts = { client: request.client, authorizations, signatures };
  const incoming: Incoming = { request, headers, peers: handling.peers(), peerFacts, found: {} };
  const result = await judge(handling, incoming);
  report(handling, incoming, result);
  return result;
}

async function judge(handling: PostHandling, incoming: Incoming): Promise<PostResult> {
  const { request, headers, peers, peerFacts, found } = incoming;
  const { limits } = handling;
  const right = judgeHeaders(headers, dialectOf(peers, peerFacts), limits);
  if (right.kind === 'refused') return right;
  const long = judgeLength(request.body.length, limits);
  if (long !== undefined) return long;
  if (request.body.length === 0) {
    const description = 'found an empty body, wanted iCalendar';
    return { kind: 'refused', precondition: 'invalid-calendar-data', status: 403, description };
  }

  // A post of draft -00 says nowhere but in its object who speaks. Only a peer that is proved already gets this far.
  const early = right.originator === undefined ? readBody(handling, request, right) : undefined;
  if (early?.kind === 'refused') return early;
  const originatorDomain = domainOf(early?.originator ?? right.originator ?? '');
  const speaker = { originatorDomain, isDraft00: right.isDraft00 };
  const author = await judgeAuthor(handling, peers, peerFacts, speaker, request, headers.messageIds);
  if (author.kind !== 'accepted') return author;
  found.peer = author.peer.name;
  found.proof = author.proof;

  const post = early ?? readBody(handling, request, right);
  if (post.kind === 'refused') return post;
  found.method = post.posted.object.method;
  found.uid = post.posted.object.uid;
  return await handOver(handling, incoming, author, post);
}

function readBody(handling: PostHandling, request: HttpRequest, right: RightHeaders): RightPost | Refused {
  return judgeBody(readPosted(request.body, right.charset, handling.reading), right, handling.limits);
}

/** Each mailbox is handed over once, however often it is named, and each name is answered. */
async function handOver(
  handling: PostHandling,
  incoming: Incoming,
  author: Author,
  post: RightPost,
): Promise<PostResult> {
  const mailboxes = new Map<string, string>();
  for (const { mailbox } of post.recipients) {
    if (mailbox !== undefined && !mailboxes.has(addressKey(mailbox))) mailboxes.set(addressKey(mailbox), mailbox);
  }
  let answers: Awaited<ReturnType<AnswerFreeBusy>> = [];
  if (mailboxes.size > 0) {
    try {
      answers = await ask(handling, incoming, author, post, [...mailboxes.values()]);
    } catch (error) {
      if (!(error instanceof StoreFullError)) throw error;
      return { kind: 'later', status: 507, description: 'no room for this post at the moment' };
    }
    if (answers.length !== mailboxes.size)
      throw new Error(`${answers.length} answers came for ${mailboxes.size} recipients`);
  }
  const byKey = new Map([...mailboxes.keys()].map((key, index) => [key, answers[index]]));
  const answerTo = ({ mailbox }: HeaderUser): Omit<Answer, 'recipient'> =>
    (mailbox === undefined ? undefined : byKey.get(addressKey(mailbox))) ?? NOBODY;
  return {
    kind: 'answers',
    answers: post.recipients.map((recipient) => ({ recipient: recipient.uri, ...answerTo(recipient) })),
  };
}

/** There is no calendar user behind a URI of another scheme. */
const NOBODY = { code: '3.7', description: 'Invalid calendar user', detail: 'not a mailto: address' };

async function ask(
  handling: PostHandling,
  { request, headers }: Incoming,
  { peer, signature }: Author,
  { originator, posted }: RightPost,
  recipients: readonly string[],
): ReturnType<AnswerFreeBusy> {
  const { client, body, signal } = request;
  if (posted.kind === 'free-busy') {
    if (handling.answerFreeBusy === undefined)
      throw new Error('judgeBody() let a VFREEBUSY pass that nobody announced');
    // One more than may be is enough to see that there are too many.
    const hops = hopsOfVia(headers.vias).slice(0, MAX_HOPS + 1);
    return handling.answerFreeBusy({ peer, originator, recipients, object: posted.object, hops, signal });
  }
  return handling.acceptor.post({
    listener: handling.listener,
    peer: peer.name,
    origin: peer.origin,
    client: { address: client.address, protocol: client.tls === undefined ? 'HTTP' : 'HTTPS' },
    // A copy of a signed post is a repeat of it, whether or not it has an id.
    messageId: messageIdOf(headers) ?? (signature === undefined ? undefined : `dkim:${signature}`),
    originator,
    recipients,
    object: posted.object,
    content: body,
    waitMs: peer.answerWaitMs,
    ...(peer.sentStatus === undefined ? {} : { sentStatus: peer.sentStatus }),
    signal,
  });
}

/** Of two that differ nobody can say which one a repeat will carry. */
function messageIdOf({ messageIds }: ScheduleHeaders): string | undefined {
  const [messageId = '', ...more] = new Set(messageIds);
  return messageId === '' || more.length > 0 || messageId.length > MAX_MESSAGE_ID ? undefined : messageId;
}

/** One line for each post. A configured peer that is refused has something to mend; a stranger is only noted. */
function report(
  { listener, log }: PostHandling,
  { request, headers, peers, peerFacts, found }: Incoming,
  result: PostResult,
): void {
  const from = headers.originators[0]?.mailbox;
  const facts = { listener, client: request.client.address, ...found, messageId: messageIdOf(headers), from };
  if (result.kind === 'answers') {
    log.info({ ...facts, recipients: result.answers.length, status: 200 }, 'post answered');
    return;
  }
  const { status, description: reason } = result;
  const precondition = result.kind === 'refused' ? result.precondition : undefined;
  const known = found.peer !== undefined || isConfigured(peers, peerFacts, domainOf(from ?? ''));
  log[result.kind === 'later' || known ? 'warn' : 'info'](
    { ...facts, recipients: headers.recipients.length, status, precondition, reason },
    'post refused',
  );
}
