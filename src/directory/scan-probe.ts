import { Agent as HttpAgent, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';

/** Whether Calendar Server 6 has a calendar. */
export type Presence =
  | { readonly kind: 'there' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unclear'; readonly reason: string };

export type ProbeOptions = {
  /** Where WCAP is, such as `http://v6.example.com/`. */
  readonly url: URL;
  /** At most so many questions in a second. */
  readonly perSecond: number;
  readonly timeoutMs: number;
};

const MAX_ANSWER_OCTETS = 1_000_000;

/** Asks Calendar Server 6 by WCAP, one question at a time over one connection and no faster than it was told. */
export class V6Probe {
  readonly #options: ProbeOptions;
  readonly #agent: HttpAgent;
  #nextMs = 0;

  constructor(options: ProbeOptions) {
    this.#options = options;
    const keep = { keepAlive: true, maxSockets: 1 };
    this.#agent = options.url.protocol === 'https:' ? new HttpsAgent(keep) : new HttpAgent(keep);
  }

  /** Whether the user with this address has a calendar there. Never rejects. */
  async ask(address: string): Promise<Presence> {
    const nowMs = performance.now();
    const waitMs = this.#nextMs - nowMs;
    this.#nextMs = Math.max(nowMs, this.#nextMs) + 1000 / this.#options.perSecond;
    if (waitMs > 0) await delay(waitMs);
    const answer = await this.#get(questionFor(this.#options.url, address));
    return typeof answer === 'string' ? readPresence(answer) : { kind: 'unclear', reason: answer.failure };
  }

  #get(url: URL): Promise<string | { readonly failure: string }> {
    const { promise, resolve } = Promise.withResolvers<string | { failure: string }>();
    const secure = url.protocol === 'https:';
    const request = (secure ? requestHttps : requestHttp)(url, { agent: this.#agent });
    const timer = setTimeout(() => request.destroy(new Error('no answer in time')), this.#options.timeoutMs);
    request.once('close', () => {
      clearTimeout(timer);
      resolve({ failure: 'it closed the connection' });
    });
    request.once('error', (error) => resolve({ failure: error.message }));
    request.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
        if (body.length > MAX_ANSWER_OCTETS) request.destroy(new Error('its answer is too long'));
      });
      response.once('end', () =>
        resolve(response.statusCode === 200 ? body : { failure: `HTTP ${response.statusCode}` }),
      );
    });
    request.end();
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** One day of free and busy time, without the answer of another server that v6 may name in place of its own. */
export function questionFor(base: URL, address: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/get_freebusy.wcap`;
  url.search = new URLSearchParams({
    calid: `mailto:${address}`,
    duration: '1',
    'fmt-out': 'text/calendar',
    noredirect: '1',
  }).toString();
  return url;
}

/** No such calendar: 29, 53; 50: the host of its back end is not known. Denied or switched off, it is there: 0, 28, 34. */
const ABSENT: ReadonlySet<number> = new Set([29, 50, 53]);
const THERE: ReadonlySet<number> = new Set([0, 28, 34]);

/** Reads an answer to `get_freebusy.wcap`. One without any content is what v6 says of a user it does not know. */
export function readPresence(body: string): Presence {
  if (body.trim() === '') return { kind: 'absent' };
  const errno = /X-NSCP-WCAP-ERRNO\s*[:>]\s*(-?\d+)/i.exec(body)?.[1];
  if (errno === undefined)
    return { kind: 'unclear', reason: 'the answer is none of WCAP: it has no X-NSCP-WCAP-ERRNO' };
  if (ABSENT.has(Number(errno))) return { kind: 'absent' };
  if (THERE.has(Number(errno))) return { kind: 'there' };
  return { kind: 'unclear', reason: `it answered X-NSCP-WCAP-ERRNO ${errno}` };
}
