import { type Dispatcher, errors } from 'undici';
import { readSocketError } from '../../src/http/silence.ts';
import type { PostBatch } from '../channel.ts';
import type { Attempt } from './attempt.ts';
import { connectMs, hasBegun } from './begun.ts';
import type { PostResult } from './failures.ts';
import type { Pools } from './pools.ts';
import { isRedirect, Route, type RouteRules } from './route.ts';
import { type Signature, signed } from './signing.ts';
import { composeRequest, parseReply, readBare } from './wire.ts';

/** What posts to one calendar server have in common. */
export type ExchangeContext = {
  readonly pools: Pools;
  readonly rules: RouteRules;
  readonly userAgent: string;
  readonly maxResponseBytes: number;
  readonly clock: () => number;
};

/** What one POST, redirects included, came to. */
export type Posted = {
  readonly result: PostResult;
  /** `host:port` that answered, or should have. */
  readonly relay: string;
  /** Whether the post may have arrived somewhere that did not send it on. */
  readonly wentOut: boolean;
  /** How long it waited for its connection, ms. */
  readonly connectMs: number;
  /** The serial number of the server's capabilities in the answer, '' when there was none. */
  readonly serial: string;
  readonly redirectedTo?: URL;
};

/**
 * Posts a batch to one target and follows its redirects.
 * @param more headers beside those that every post has, names and values in turn
 * @throws InvalidArgumentError for a post that cannot be sent as composed
 */
export async function post(
  batch: PostBatch,
  more: readonly string[],
  target: URL,
  signature: Signature | undefined,
  { pools, rules, userAgent, maxResponseBytes, clock }: ExchangeContext,
  attempt: Attempt,
): Promise<Posted> {
  const route = new Route(target, rules);
  const headers = [...composeRequest(batch, userAgent), ...more];
  const startedAt = performance.now();
  let body = ownBody(batch);
  const posted = (result: PostResult, serial: string): Posted => ({
    ...{ result, relay: route.relay, wentOut: hasBegun(body), connectMs: connectMs(body, startedAt), serial },
    ...(route.redirectedTo === undefined ? {} : { redirectedTo: route.redirectedTo }),
  });
  try {
    for (;;) {
      const { url, authorization } = route;
      const ours = authorization === undefined ? headers : [...headers, 'Authorization', authorization];
      const response = await pools.of(url).request({
        method: 'POST',
        path: url.pathname + url.search,
        // Signed anew for every host and moment: a signature names both.
        headers: signature === undefined ? ours : signed(ours, url.host, body, signature, clock()),
        body,
        signal: attempt.signal,
      });
      const httpStatus = response.statusCode;
      const serial = headerValue(response.headers['ischedule-capabilities']);
      if (!isRedirect(httpStatus)) return posted(await readAnswer(response, maxResponseBytes), serial);
      await response.body.dump();
      const why = route.follow(headerValue(response.headers.location));
      if (why !== undefined) return posted({ kind: 'redirect', httpStatus, why }, serial);
      body = ownBody(batch);
    }
  } catch (error) {
    const silence = attempt.ended ?? readSocketError(error);
    if (silence === undefined) throw error;
    return posted({ kind: 'silence', silence }, '');
  }
}

/** An object of its own for this request, by which its beginning is known; the bytes are the batch's. */
function ownBody({ content }: PostBatch): Buffer {
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
}

/** A body larger than allowed, or compressed though nobody asked for that, is read as none: the status then decides. */
async function readAnswer(response: Dispatcher.ResponseData, maxBytes: number): Promise<PostResult> {
  const httpStatus = response.statusCode;
  const retryAfter = headerValue(response.headers['retry-after']);
  const unreadable = (reason: string) =>
    ({ kind: 'answer', httpStatus, retryAfter, reply: { kind: 'unreadable', reason } }) as const;
  try {
    if (isEncoded(response)) {
      await response.body.dump();
      return unreadable('the answer is compressed');
    }
    if (Number(headerValue(response.headers['content-length'])) > maxBytes) {
      await response.body.dump({ limit: 1 }); // the rest is not read: the connection ends
      return unreadable('the answer is too large');
    }
    const body = Buffer.from(await response.body.arrayBuffer());
    const contentType = headerValue(response.headers['content-type']);
    const reply = parseReply(body, contentType);
    const bare = reply.kind === 'unreadable' ? readBare(body, contentType) : undefined;
    return { kind: 'answer', httpStatus, retryAfter, reply, ...(bare === undefined ? {} : { bare }) };
  } catch (error) {
    if (!(error instanceof errors.ResponseExceededMaxSizeError)) throw error;
    return unreadable('the answer is too large');
  }
}

/** Nothing is ever decompressed, so nothing can unfold. */
export function isEncoded(response: Dispatcher.ResponseData): boolean {
  return !/^(?:identity)?$/i.test(headerValue(response.headers['content-encoding']).trim());
}

export function headerValue(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? '';
}
