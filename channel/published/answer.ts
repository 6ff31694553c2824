import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { type BusyClient, findBusyClient } from '../../rules/busy-client.ts';
import type { StatusAnswer } from '../../rules/request-status.ts';
import type { Broker, BusyAnswer } from '../../src/broker/question.ts';
import { composePublishedBusy } from '../../src/freebusy/compose.ts';
import { hopsOfVia } from '../../src/freebusy/hops.ts';
import type { HttpReply, HttpRequest, Route } from '../../src/http/exchange.ts';
import { valuesOf } from '../../src/http/raw-headers.ts';
import { textReply } from '../../src/http/text-reply.ts';
import { calendarAddress } from '../../src/mail/address.ts';
import type { Log } from '../../src/observe/log.ts';
import { readTarget } from './target.ts';

export type PublishedAnswerOptions = {
  /** undefined: nothing is published here, and its paths are not there. */
  readonly broker: Broker | undefined;
  readonly clients: readonly BusyClient[];
  /** Mailbox whom a question speaks for: a URL names nobody. */
  readonly originator: string;
  /** ms since the epoch */
  readonly clock: () => number;
  readonly log: Log;
};

const PREFIX = '/freebusy/';
const METHODS = ['GET', 'HEAD'];
const RETRY_AFTER_S = 60;

/**
 * Busy times as a document at a URL (RFC 2739 calFBURL; its parameters: CalConnect CC/S 0903):
 * `GET /freebusy/ADDRESS.ifb?start=&end=`.
 */
export function createPublishedRoute(options: PublishedAnswerOptions): Route {
  return {
    path: `${PREFIX}*`,
    methods: METHODS,
    maxBodyBytes: 0,
    handle: (request) => answer(options, request),
    refuse: (status) =>
      options.broker === undefined
        ? notFound()
        : text(status, `${STATUS_CODES[status] ?? 'Error'}`, status === 405 ? { Allow: METHODS.join(', ') } : {}),
  };
}

/** As of any path that is not there. */
function notFound(): HttpReply {
  return textReply(404, 'Not Found');
}

async function answer(options: PublishedAnswerOptions, request: HttpRequest): Promise<HttpReply> {
  const { broker, clients, originator, clock, log } = options;
  const { client, rawHeaders, signal } = request;
  if (broker === undefined) return notFound();
  const authorizations = valuesOf(rawHeaders, 'authorization');
  const verdict = findBusyClient(clients, 'url', { client, authorizations });
  if (verdict.kind === 'stranger') {
    const { challenges, reason } = verdict;
    log.info({ protocol: 'url', client: client.address, reason }, 'free/busy refused');
    if (challenges.length === 0) return text(403, 'Forbidden');
    return text(401, 'Unauthorized', { 'WWW-Authenticate': challenges.join(', ') });
  }
  const now = clock();
  const target = readTarget(request.path.slice(PREFIX.length), request.query, now);
  const { name, access } = verdict.client;
  if (target.kind === 'refused') {
    const { status, reason } = target;
    log.info({ protocol: 'url', client: name, status, reason }, 'free/busy refused');
    return text(status, reason);
  }
  const question = {
    asker: { name, access },
    originator,
    attendees: [target.mailbox],
    window: target.window,
    hops: hopsOfVia(valuesOf(rawHeaders, 'via')),
  };
  const [found] = await broker.ask(question, signal);
  if (found === undefined) throw new Error('found no answer about the one who was asked about');
  return found.status.code === '2.0' ? document(found, now) : refusal(found.status);
}

function document({ attendee, periods, window }: BusyAnswer, now: number): HttpReply {
  const uid = randomUUID();
  return {
    status: 200,
    headers: { ...PRIVATE, 'Content-Type': 'text/calendar; charset=utf-8; method=PUBLISH' },
    body: composePublishedBusy({ uid, attendee: calendarAddress(attendee), window, periods, now }),
  };
}

/** By REQUEST-STATUS; every other one is for later. */
const HTTP_STATUS: Readonly<Record<string, number>> = { '3.7': 404, '5.3': 404, '3.8': 403, '3.5': 400 };

function refusal({ code, description, detail }: StatusAnswer): HttpReply {
  const status = HTTP_STATUS[code] ?? 503;
  const words = detail === undefined ? description : `${description}: ${detail}`;
  return text(status, words, status === 503 ? { 'Retry-After': `${RETRY_AFTER_S}` } : {});
}

/** What one may know another may not: no cache on the way keeps it. */
const PRIVATE = { 'Cache-Control': 'private, no-store' };

function text(status: number, words: string, more: Readonly<Record<string, string>> = {}): HttpReply {
  return textReply(status, words, { ...PRIVATE, ...more });
}
