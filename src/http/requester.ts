import { type buildConnector, type Dispatcher, errors, Pool } from 'undici';
import { orAborted } from '../net/wait.ts';
import { readSocketError, type Silence, silenceReason } from './silence.ts';
import { connectOptions, type TlsOptions } from './tls-options.ts';

export type RequesterOptions = TlsOptions & {
  /** Connections to one origin. */
  readonly connections: number;
  readonly maxResponseBytes: number;
  readonly userAgent: string;
  /** Makes the connections in place of undici's own. */
  readonly connector?: buildConnector.connector;
};

export type OutRequest = {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  /** Beside Host, User-Agent, Accept-Encoding and Content-Length. Names in any case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
};

export type OutReply =
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** Names in lower case; of several the first. */
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Buffer;
    }
  /** No whole answer: `reason` is fit for a log line, without secrets. `isTooLarge`: one began, and was not read. */
  | { readonly kind: 'silence'; readonly reason: string; readonly isTooLarge?: true };

/** One who publishes at ever new origins must not make us keep a pool for each. */
const MAX_POOLS = 32;

/**
 * Asks other servers by HTTP/1.1: kept-alive connections, answers bounded and whole, nothing decompressed, no redirect
 * followed, no cookie kept. Whatever peer or network does is a reply.
 */
export class Requester implements AsyncDisposable {
  readonly #options: RequesterOptions;
  /** By origin, the one used last at the end. */
  readonly #pools = new Map<string, Pool>();
  #disposed = false;

  constructor(options: RequesterOptions) {
    this.#options = options;
  }

  /**
   * @param signal the deadline, from the wait for a connection to the last octet
   * @throws InvalidArgumentError for a header that cannot be sent
   */
  async ask(request: OutRequest, signal: AbortSignal): Promise<OutReply> {
    if (signal.aborted) return ended(signal);
    // undici looks at the signal of a request that waits for its connection only when it has one.
    return (await orAborted(this.#ask(request, signal), signal)) ?? ended(signal);
  }

  async #ask(request: OutRequest, signal: AbortSignal): Promise<OutReply> {
    const reply = await this.#try(request, signal);
    // A kept connection may have been closed just as it was used. All requests here are questions, whatever their method.
    return reply === 'lost' ? await this.#try(request, signal, { last: true }) : reply;
  }

  #try(request: OutRequest, signal: AbortSignal): Promise<OutReply | 'lost'>;
  #try(request: OutRequest, signal: AbortSignal, attempt: { readonly last: true }): Promise<OutReply>;
  async #try(request: OutRequest, signal: AbortSignal, attempt?: { readonly last: true }): Promise<OutReply | 'lost'> {
    // A pool made now would outlive us.
    if (this.#disposed) return silence({ kind: 'stopped' });
    const { userAgent, maxResponseBytes } = this.#options;
    let begun = false;
    try {
      const response = await this.#pool(request.url).request({
        method: request.method,
        path: request.url.pathname + request.url.search,
        headers: { ...request.headers, 'User-Agent': userAgent, 'Accept-Encoding': 'identity' },
        body: request.body ?? null,
        signal,
      });
      begun = true;
      return await readWhole(response, maxResponseBytes);
    } catch (error) {
      if (signal.aborted) return ended(signal);
      if (this.#disposed) return silence({ kind: 'stopped' });
      if (error instanceof errors.ResponseExceededMaxSizeError) return TOO_LARGE;
      const found = readSocketError(error);
      if (found === undefined) throw error;
      const again = found.kind === 'lost' && CLOSED.has(found.code) && !begun && attempt === undefined;
      return again ? 'lost' : silence(found);
    }
  }

  #pool({ origin }: URL): Pool {
    const pool = this.#pools.get(origin) ?? this.#open(origin);
    this.#pools.delete(origin);
    this.#pools.set(origin, pool);
    if (this.#pools.size > MAX_POOLS) this.#closeOldest();
    return pool;
  }

  #open(origin: string): Pool {
    const { connections, maxResponseBytes, connector } = this.#options;
    return new Pool(origin, {
      connections,
      allowH2: false, // a peer that offers it need not get it right
      headersTimeout: 0, // the signal is the one deadline
      bodyTimeout: 0,
      maxResponseSize: maxResponseBytes,
      connect: connector ?? connectOptions(this.#options, true),
    });
  }

  /** The one that lay idle longest; where none does, the one used longest ago, whose requests still end. */
  #closeOldest(): void {
    const others = [...this.#pools].slice(0, -1);
    const oldest = others.find(([, { stats }]) => stats.running + stats.pending === 0) ?? others[0];
    if (oldest === undefined) return;
    this.#pools.delete(oldest[0]);
    void oldest[1].close();
  }

  /** Requests under way are cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
    this.#pools.clear();
  }
}

/** A connection that ended before the answer began, rather than an answer that is none. */
const CLOSED: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

const TOO_LARGE: OutReply = { kind: 'silence', reason: 'the answer is too large', isTooLarge: true };

async function readWhole(response: Dispatcher.ResponseData, maxBytes: number): Promise<OutReply> {
  const headers = firstOfEach(response.headers);
  // Nothing is ever decompressed, so nothing can unfold.
  if (!/^(?:identity)?$/i.test((headers['content-encoding'] ?? '').trim())) {
    await response.body.dump({ limit: 1 });
    return { kind: 'silence', reason: 'the answer is compressed' };
  }
  if (Number(headers['content-length']) > maxBytes) {
    await response.body.dump({ limit: 1 }); // the rest is not read: the connection ends
    return TOO_LARGE;
  }
  return {
    kind: 'answer',
    status: response.statusCode,
    headers,
    body: Buffer.from(await response.body.arrayBuffer()),
  };
}

function firstOfEach(headers: Dispatcher.ResponseData['headers']): Readonly<Record<string, string>> {
  const entries = Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function silence(found: Silence): OutReply {
  return { kind: 'silence', reason: silenceReason(found) };
}

/** A deadline that passed, or somebody who gave up. */
function ended({ reason }: AbortSignal): OutReply {
  const isTimeout = reason instanceof DOMException && reason.name === 'TimeoutError';
  return silence({ kind: isTimeout ? 'too-slow' : 'stopped' });
}
