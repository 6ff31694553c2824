import { Client, type Dispatcher } from 'undici';
import type { Resolver } from '../../src/net/resolver.ts';
import type { AddressPolicy } from './guard.ts';
import { ConnectionRefusedByPolicy, type GuardedTls, guardedConnector } from './guarded-connector.ts';

export type FetchOptions = {
  readonly maxBytes: number;
  readonly maxRedirects: number;
  /** For everything, redirects included. */
  readonly timeoutMs: number;
  /** Media types, as in Accept. */
  readonly accept?: string;
};

export type Fetched =
  | {
      readonly kind: 'answer';
      readonly status: number;
      /** Names in lower case; of several the first. */
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Buffer;
      /** The last one, after redirects. */
      readonly url: URL;
    }
  /** We would not go there: not https, or no address that is permitted. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** No whole answer, or one that is too large, too slow or redirected without end. */
  | { readonly kind: 'failed'; readonly reason: string };

/**
 * GETs what a stranger's DNS or document points at: by https only, at permitted addresses only, each redirect judged
 * anew. No cookies, no credentials, no decompression.
 *
 * Rejects with the reason of `signal` when that aborts, and for nothing else.
 */
export type GuardedFetch = (url: URL, options: FetchOptions, signal: AbortSignal) => Promise<Fetched>;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MAX_HEADER_BYTES = 16_384;

export function createGuardedFetch(options: {
  readonly resolver: Resolver;
  readonly policy: AddressPolicy;
  readonly connectTimeoutMs: number;
  readonly userAgent: string;
  readonly tls?: GuardedTls;
}): GuardedFetch {
  const connect = guardedConnector(options);

  const get = async (url: URL, { maxBytes, accept = '*/*' }: FetchOptions, signal: AbortSignal): Promise<Fetched> => {
    const client = new Client(url.origin, {
      connect,
      allowH2: false,
      headersTimeout: 0, // the one deadline counts
      bodyTimeout: 0,
      maxHeaderSize: MAX_HEADER_BYTES,
    });
    try {
      const response = await client.request({
        method: 'GET',
        path: url.pathname + url.search,
        headers: { accept, 'accept-encoding': 'identity', 'user-agent': options.userAgent },
        signal,
      });
      const headers = firstOfEach(response.headers);
      const status = response.statusCode;
      if (REDIRECTS.has(status)) return { kind: 'answer', status, headers, body: Buffer.alloc(0), url };
      const encoding = headers['content-encoding'] ?? 'identity';
      if (encoding.trim().toLowerCase() !== 'identity') return failed(`an answer encoded as ${encoding.slice(0, 40)}`);
      const body = await readBody(response.body, maxBytes);
      if (body === undefined) return failed(`an answer of more than ${maxBytes} bytes`);
      return { kind: 'answer', status, headers, body, url };
    } finally {
      await client.destroy();
    }
  };

  return async (asked, limits, caller) => {
    caller.throwIfAborted();
    const deadline = AbortSignal.timeout(limits.timeoutMs);
    const signal = AbortSignal.any([caller, deadline]);
    let url = asked;
    try {
      for (let redirects = 0; redirects <= limits.maxRedirects; redirects++) {
        const unfit = whyNotFetched(url);
        if (unfit !== undefined) return { kind: 'refused', reason: unfit };
        const answer = await get(url, limits, signal);
        if (answer.kind !== 'answer' || !REDIRECTS.has(answer.status)) return answer;
        const next = URL.parse(answer.headers.location ?? '', url.href);
        if (answer.headers.location === undefined || next === null) return failed('a redirect to nowhere');
        next.hash = '';
        url = next;
      }
      return failed(`more than ${limits.maxRedirects} redirects`);
    } catch (error) {
      caller.throwIfAborted();
      if (error instanceof ConnectionRefusedByPolicy) return { kind: 'refused', reason: error.message };
      return failed(deadline.aborted ? `no whole answer within ${limits.timeoutMs} ms` : describe(error));
    }
  };
}

function failed(reason: string): Fetched {
  return { kind: 'failed', reason };
}

/** @returns undefined when it may be fetched as far as the URL itself goes */
function whyNotFetched(url: URL): string | undefined {
  if (url.protocol !== 'https:') return `${url.protocol}//${url.host} is not https`;
  if (url.username !== '' || url.password !== '') return `the URL at ${url.host} has a user name or password in it`;
  return undefined;
}

/** @returns undefined when there is more than that */
async function readBody(body: Dispatcher.ResponseData['body'], maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function firstOfEach(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const first: Record<string, string> = Object.create(null);
  for (const [name, value] of Object.entries(headers)) {
    const one = Array.isArray(value) ? value[0] : value;
    if (one !== undefined) first[name.toLowerCase()] = one;
  }
  return first;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';
  return `${error.message}${code}`;
}
