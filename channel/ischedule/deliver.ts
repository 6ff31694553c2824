import { type Dispatcher, errors, Pool } from 'undici';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { Log } from '../../src/observe/log.ts';
import type { Deliverer, PostBatch } from '../channel.ts';
import { connectMs } from './begun.ts';
import { judge, type PostResult, readSocketError, type Silence, type Verdict } from './failures.ts';
import { recipientAddresses } from './profiles.ts';
import { composeRequest, parseReply } from './wire.ts';

export type IScheduleOptions = {
  /** The calendar server; only its origin counts, the path comes with each batch. */
  readonly server: URL;
  /** The one deadline of an attempt: waiting for a connection, redirects and the answer's body included. */
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly connections: number;
  readonly maxRedirects: number;
  /** Hosts, `name` or `name:port`, that a redirect may lead to beside the server itself. */
  readonly redirectHosts: readonly string[];
  readonly userAgent: string;
  readonly maxResponseBytes: number;
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string;
};

const FOLLOWED: ReadonlySet<number> = new Set([301, 302, 307, 308]);

/** Apache takes 100 header fields; a Recipient each and our own must fit. */
const MAX_RECIPIENTS = 64;

/** A server that redirects to ever new ports of its own must not make us keep a pool for each. */
const MAX_POOLS = 8;

/** Posts to one calendar server over pooled, kept-alive HTTP/1.1 connections (draft-desruisseaux-ischedule-05). */
export class IScheduleDeliverer implements Deliverer<PostBatch> {
  readonly channel = 'ischedule';
  readonly destination: string;
  readonly #options: IScheduleOptions;
  readonly #log: Log;
  /** By origin: the server's own, and those its redirects led to. */
  readonly #pools = new Map<string, Pool>();

  constructor(options: IScheduleOptions, log: Log) {
    this.#options = options;
    this.#log = log;
    this.destination = options.server.origin;
  }

  async deliver(batch: PostBatch, signal: AbortSignal): Promise<readonly Outcome[]> {
    if (batch.server.origin !== this.destination) {
      throw new TypeError(`a batch for ${batch.server.origin} was handed to the deliverer for ${this.destination}`);
    }
    if (batch.recipients.length === 0) return [];
    const attempt = new Attempt(signal, this.#options.timeoutMs);
    try {
      if (batch.recipients.length <= MAX_RECIPIENTS) return await this.#post(batch, attempt);
      return await this.#postInParts(batch, attempt);
    } finally {
      attempt.end();
    }
  }

  /** After a silence the rest is not tried: it would only wait for the same server. */
  async #postInParts(batch: PostBatch, attempt: Attempt): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    while (outcomes.length < batch.recipients.length) {
      const recipients = batch.recipients.slice(outcomes.length, outcomes.length + MAX_RECIPIENTS);
      const part = outcomes.length / MAX_RECIPIENTS;
      const messageId = part === 0 ? batch.messageId : `${batch.messageId}.${part}`;
      const [first, ...others] = await this.#post({ ...batch, recipients, messageId }, attempt);
      if (first === undefined) break;
      outcomes.push(first, ...others);
      if (first.answered === false) while (outcomes.length < batch.recipients.length) outcomes.push(first);
    }
    return outcomes;
  }

  async #post(batch: PostBatch, attempt: Attempt): Promise<readonly Outcome[]> {
    const exchange = new Exchange(batch.server);
    const startedAt = performance.now();
    // An object of its own for this post, by which its beginning is known; the bytes are the batch's.
    const { buffer, byteOffset, byteLength } = batch.content;
    const body = Buffer.from(buffer, byteOffset, byteLength);
    let result: PostResult;
    try {
      result = await this.#follow(batch, body, exchange, attempt);
    } catch (error) {
      if (error instanceof errors.InvalidArgumentError) return this.#ourBug(batch, error);
      const silence = attempt.ended ?? readSocketError(error);
      if (silence === undefined) throw error;
      result = { kind: 'silence', silence };
    }
    const sent = recipientAddresses(batch.profile, batch.recipients);
    const verdict = judge(result, batch.recipients, sent, exchange.relay, Date.now());
    this.#report(batch, result, verdict, exchange);
    const waited = connectMs(body, startedAt);
    return verdict.outcomes.map((outcome) => ({ ...outcome, connectMs: waited }));
  }

  async #follow(batch: PostBatch, body: Buffer, exchange: Exchange, attempt: Attempt): Promise<PostResult> {
    const headers = composeRequest(batch, this.#options.userAgent);
    for (;;) {
      const response = await this.#pool(exchange.url).request({
        method: 'POST',
        path: exchange.url.pathname + exchange.url.search,
        headers,
        body,
        signal: attempt.signal,
      });
      const httpStatus = response.statusCode;
      if (!FOLLOWED.has(httpStatus)) return await readAnswer(response);
      await response.body.dump();
      const location = exchange.locate(headerValue(response.headers.location));
      if (location === undefined) return { kind: 'redirect', httpStatus, why: 'no-location' };
      exchange.redirectedTo = location;
      if (!this.#mayFollow(exchange.url, location)) return { kind: 'redirect', httpStatus, why: 'other-host' };
      if (exchange.redirects === this.#options.maxRedirects) return { kind: 'redirect', httpStatus, why: 'too-many' };
      exchange.redirects += 1;
      exchange.url = location;
    }
  }

  /** Never from https to http: the invitation went out encrypted and has to stay so. */
  #mayFollow(from: URL, to: URL): boolean {
    if (to.protocol !== 'https:' && (to.protocol !== 'http:' || from.protocol === 'https:')) return false;
    const { server, redirectHosts } = this.#options;
    if (
      to.origin === server.origin ||
      (to.hostname === server.hostname && to.protocol === 'https:' && server.protocol === 'http:')
    ) {
      return true;
    }
    return redirectHosts.some((host) => host.toLowerCase() === to.hostname || host.toLowerCase() === hostAndPort(to));
  }

  #pool(url: URL): Pool {
    const known = this.#pools.get(url.origin);
    if (known !== undefined) return known;
    const { connections, connectTimeoutMs, maxResponseBytes, ca } = this.#options;
    const pool = new Pool(url.origin, {
      connections,
      allowH2: false, // its HTTP/2 merges Recipient headers and lower-cases all names
      headersTimeout: 0, // the attempt's own deadline counts the wait in the queue as well
      bodyTimeout: 0,
      maxResponseSize: maxResponseBytes,
      connect: { timeout: connectTimeoutMs, ...(ca === undefined ? {} : { ca }) },
    });
    this.#pools.set(url.origin, pool);
    if (this.#pools.size > MAX_POOLS) this.#closeOldest();
    return pool;
  }

  #closeOldest(): void {
    for (const [origin, pool] of this.#pools) {
      if (origin === this.destination) continue;
      this.#pools.delete(origin);
      void pool.close(); // resolves once its posts have ended; it does not reject on a pool closed once
      return;
    }
  }

  #ourBug(batch: PostBatch, error: Error): readonly Outcome[] {
    this.#log.error({ queueId: batch.queueId, channel: this.channel, err: error }, 'a post could not be composed');
    const reason = 'the gateway could not compose the post';
    return batch.recipients.map(() => ({ kind: 'failed', status: '5.3.5', reason, answered: false, alarm: true }));
  }

  /** What the outcomes do not carry: the peer's explanation, a redirect's target, answers for strangers. */
  #report(batch: PostBatch, result: PostResult, verdict: Verdict, exchange: Exchange): void {
    const facts = { queueId: batch.queueId, messageId: batch.messageId, channel: this.channel, relay: exchange.relay };
    if (result.kind === 'redirect') {
      this.#log.warn(
        { ...facts, location: exchange.redirectedTo?.href },
        'a redirect of the calendar server was not followed',
      );
    }
    if (result.kind === 'answer' && result.reply.kind === 'error') {
      const { element, description } = result.reply;
      this.#log.warn(
        { ...facts, status: result.httpStatus, element, description: description.slice(0, 500) },
        'the calendar server refused a post',
      );
    }
    if (verdict.strangers.length > 0) {
      const strangers = verdict.strangers.slice(0, 10);
      this.#log.warn({ ...facts, strangers }, 'the calendar server answered for recipients that were not asked for');
    }
  }

  /** Posts under way are cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    this.#pools.clear();
  }
}

/** Where one POST stands on its way through redirects. */
class Exchange {
  url: URL;
  redirects = 0;
  redirectedTo: URL | undefined;

  constructor(url: URL) {
    this.url = url;
  }

  get relay(): string {
    return hostAndPort(this.url);
  }

  locate(location: string): URL | undefined {
    if (location === '') return undefined;
    const url = URL.parse(location, this.url.href) ?? undefined;
    if (url === undefined) return undefined;
    url.username = '';
    url.password = '';
    return url;
  }
}

/**
 * The deadline of one attempt joined with the caller's signal. `AbortSignal.timeout` would keep its timer, and
 * `AbortSignal.any` its place in the caller's signal, for the whole deadline after an attempt that took milliseconds.
 */
class Attempt {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #caller: AbortSignal;
  #ended: Silence | undefined;

  constructor(caller: AbortSignal, timeoutMs: number) {
    this.#caller = caller;
    this.#timer = setTimeout(() => this.#abort({ kind: 'too-slow' }), timeoutMs);
    caller.addEventListener('abort', this.#onStop);
    if (caller.aborted) this.#onStop();
  }

  readonly #onStop = (): void => this.#abort({ kind: 'stopped' });

  #abort(silence: Silence): void {
    this.#ended ??= silence;
    this.#controller.abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the attempt was cut short; undefined while it was not. */
  get ended(): Silence | undefined {
    return this.#ended;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#caller.removeEventListener('abort', this.#onStop);
  }
}

/** A body larger than allowed is read as none: the status alone then decides. */
async function readAnswer(response: Dispatcher.ResponseData): Promise<PostResult> {
  const httpStatus = response.statusCode;
  const retryAfter = headerValue(response.headers['retry-after']);
  try {
    const body = Buffer.from(await response.body.arrayBuffer());
    const reply = parseReply(body, headerValue(response.headers['content-type']));
    return { kind: 'answer', httpStatus, retryAfter, reply };
  } catch (error) {
    if (!(error instanceof errors.ResponseExceededMaxSizeError)) throw error;
    return { kind: 'answer', httpStatus, retryAfter, reply: { kind: 'unreadable', reason: 'the answer is too large' } };
  }
}

function headerValue(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

function hostAndPort(url: URL): string {
  return `${url.hostname}:${url.port !== '' ? url.port : url.protocol === 'https:' ? '443' : '80'}`;
}
