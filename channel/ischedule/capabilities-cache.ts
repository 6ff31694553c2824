import { errors } from 'undici';
import { readSocketError, type Silence } from '../../src/http/silence.ts';
import { type Capabilities, parseCapabilities } from './capabilities.ts';
import { type ExchangeContext, headerValue, isEncoded } from './exchange.ts';
import { isRedirect, Route } from './route.ts';
import type { CapabilityQuery } from './settings.ts';

/** What is known of a server before it gets a post. */
export type Known =
  | { readonly kind: 'capabilities'; readonly capabilities: Capabilities }
  /** It does not say, or not in time: whatever it takes, it is posted to. */
  | { readonly kind: 'unknown' }
  /** It was asked and could not even be reached. */
  | { readonly kind: 'unreachable'; readonly silence: Silence; readonly relay: string };

type Question = Exclude<CapabilityQuery, 'none'>;

type Entry = {
  readonly known: Known;
  readonly etag: string;
  readonly askedAt: number;
  freshUntil: number;
  /** The serial number that `iSchedule-Capabilities` last told; undefined before it told any. */
  serial: string | undefined;
};

type Asked = { readonly known: Known; readonly etag: string; readonly serial: string; readonly freshMs: number };

const MINUTE_MS = 60_000;
/** Bounds on what the server says, and what counts when it says nothing. */
const FRESH_MS = { min: 5 * MINUTE_MS, usual: 60 * MINUTE_MS, max: 24 * 60 * MINUTE_MS } as const;
/** How long a server that has no such document, and one that did not answer in time, is not asked again. */
const REFUSED_MS = 60 * MINUTE_MS;
const NO_ANSWER_MS = 5 * MINUTE_MS;
/** Two servers behind one name may tell two numbers in turn: they must not make each post two requests. */
const RENEWAL_MS = MINUTE_MS;
const MAX_ENTRIES = 32;
/** The question must leave most of an attempt's time to the post. */
const MAX_WAIT_MS = 10_000;

/**
 * The capabilities of servers by their URL (draft-desruisseaux-ischedule-05 §8.2), fresh as long as HTTP says, within
 * bounds, and until an answer tells another serial number. A question under way is shared by all who need its answer.
 */
export class CapabilitiesCache {
  readonly #context: ExchangeContext;
  readonly #timeoutMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #asking = new Map<string, Promise<Known>>();

  /** @param timeoutMs of a whole attempt; a question gets a quarter of it */
  constructor(context: ExchangeContext, timeoutMs: number) {
    this.#context = context;
    this.#timeoutMs = Math.min(MAX_WAIT_MS, timeoutMs / 4);
  }

  /** @returns at once when it is known, else once asked; `unknown` when `signal` ends the wait */
  async of(target: URL, question: Question, signal: AbortSignal): Promise<Known> {
    const key = `${question} ${target.href}`;
    const entry = this.#entries.get(key);
    if (entry !== undefined && this.#context.clock() < entry.freshUntil) return entry.known;
    if (signal.aborted) return { kind: 'unknown' };
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#renew(key, target, question, entry).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return unlessAborted(asking, signal);
  }

  /** Takes note of the serial number in an answer to a post; another than before makes what is known stale. */
  noteSerial(target: URL, question: Question, serial: string): void {
    const entry = this.#entries.get(`${question} ${target.href}`);
    if (entry === undefined || serial === '' || serial === entry.serial) return;
    // A server that told no number with the document, but does with its answers, has not changed.
    if (entry.serial !== undefined) entry.freshUntil = Math.min(entry.freshUntil, entry.askedAt + RENEWAL_MS);
    entry.serial = serial;
  }

  async #renew(key: string, target: URL, question: Question, old: Entry | undefined): Promise<Known> {
    const asked = await ask(target, question, old, this.#context, this.#timeoutMs);
    if (asked.known.kind === 'unreachable') return asked.known; // the next attempt finds out whether it still is
    const now = this.#context.clock();
    this.#entries.delete(key);
    this.#entries.set(key, {
      ...{ known: asked.known, etag: asked.etag, askedAt: now, freshUntil: now + asked.freshMs },
      serial: asked.serial === '' ? old?.serial : asked.serial,
    });
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    return asked.known;
  }
}

/** Never rejects but for a mistake of ours. */
async function ask(
  target: URL,
  question: Question,
  old: Entry | undefined,
  { pools, rules, userAgent, clock }: ExchangeContext,
  timeoutMs: number,
): Promise<Asked> {
  const route = new Route(target, rules);
  const headers = ['User-Agent', userAgent, 'Accept', 'application/xml, text/xml'];
  if (old?.known.kind === 'capabilities' && old.etag !== '') headers.push('If-None-Match', old.etag);
  const none = (freshMs: number): Asked => ({ known: { kind: 'unknown' }, etag: '', serial: '', freshMs });
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  try {
    for (;;) {
      const { url, authorization } = route;
      const response = await pools.of(url).request({
        method: 'GET',
        path: url.pathname + withQuestion(url.search, question),
        headers: authorization === undefined ? headers : [...headers, 'Authorization', authorization],
        signal: deadline.signal,
      });
      const { statusCode } = response;
      if (isRedirect(statusCode)) {
        await response.body.dump();
        if (route.follow(headerValue(response.headers.location)) !== undefined) return none(REFUSED_MS);
        continue;
      }
      const freshMs = freshness(headerValue(response.headers['cache-control']), headerValue(response.headers.age));
      const etag = headerValue(response.headers.etag);
      const serial = headerValue(response.headers['ischedule-capabilities']).trim();
      if (statusCode === 304 && old !== undefined) {
        await response.body.dump();
        return { known: old.known, etag: etag === '' ? old.etag : etag, serial, freshMs };
      }
      if (statusCode !== 200 || isEncoded(response)) {
        await response.body.dump();
        return statusCode >= 500 || statusCode === 429 ? still(old, clock()) : none(REFUSED_MS);
      }
      const body = Buffer.from(await response.body.arrayBuffer());
      const reading = parseCapabilities(body, headerValue(response.headers['content-type']));
      if (reading.kind === 'unreadable') return none(REFUSED_MS);
      const { capabilities } = reading;
      return {
        ...{ known: { kind: 'capabilities', capabilities }, etag, freshMs },
        serial: serial === '' ? capabilities.serial : serial,
      };
    }
  } catch (error) {
    if (error instanceof errors.ResponseExceededMaxSizeError) return none(REFUSED_MS);
    if (deadline.signal.aborted) return still(old, clock());
    const silence = readSocketError(error);
    if (silence === undefined) throw error;
    if (silence.kind === 'lost' || silence.kind === 'too-slow') return still(old, clock());
    return { ...none(0), known: { kind: 'unreachable', silence, relay: route.relay } };
  } finally {
    clearTimeout(timer);
  }
}

/** No answer for now: what was known counts a while longer. */
function still(old: Entry | undefined, now: number): Asked {
  const kept = old !== undefined && now - old.askedAt < FRESH_MS.max;
  return {
    known: kept ? old.known : { kind: 'unknown' },
    etag: kept ? old.etag : '',
    serial: '',
    freshMs: NO_ANSWER_MS,
  };
}

/** A redirect may lose the query. */
function withQuestion(search: string, question: Question): string {
  const asked = `${question}=capabilities`;
  if (search.slice(1).split('&').includes(asked)) return search;
  return search === '' ? `?${asked}` : `${search}&${asked}`;
}

/** RFC 9111 §5.2.2: ms from max-age less Age, within bounds; `no-cache` and `no-store` mean the least. */
function freshness(cacheControl: string, age: string): number {
  const found = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl)?.[1];
  if (/(?:^|[\s,])no-(?:cache|store)(?:$|[\s,=])/i.test(cacheControl)) return FRESH_MS.min;
  if (found === undefined) return FRESH_MS.usual;
  const left = Number(found) - (/^\d{1,9}$/.test(age) ? Number(age) : 0);
  return Math.min(Math.max(left * 1000, FRESH_MS.min), FRESH_MS.max);
}

function unlessAborted(asking: Promise<Known>, signal: AbortSignal): Promise<Known> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve({ kind: 'unknown' });
    signal.addEventListener('abort', onAbort, { once: true });
    asking.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
