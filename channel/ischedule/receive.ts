import { ACCEPTED_MESSAGES } from '../../rules/data/methods.ts';
import type { HttpReply, HttpRequest, Route } from '../../src/http/exchange.ts';
import { valuesOf } from '../../src/http/raw-headers.ts';
import { refusalWords } from '../../src/http/text-reply.ts';
import { type CapabilitiesDocument, composeCapabilities } from './capabilities-document.ts';
import type { PostResult } from './post-result.ts';
import { type PostHandling, takePost } from './receive-post.ts';
import { composeError, composeReply } from './wire.ts';

export type { AnswerFreeBusy, PostedQuestion } from './receive-post.ts';

/** A public key of ours, and its record as the DNS would hold it (RFC 6376 §3.6.1). */
export type PublishedKey = { readonly domain: string; readonly selector: string; readonly record: string };

export type IScheduleReceiverOptions = PostHandling & {
  /** URI of who runs the service, announced. */
  readonly administrator?: string;
  /** Several of one domain and selector are answered together, a line each. */
  readonly publishedKeys: readonly PublishedKey[];
};

const SERVICE_PATHS = ['/ischedule', '/.well-known/ischedule'];
const SERVICE_METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS'];
const KEYS_PATH = '/.well-known/domainkey/';
const RETRY_AFTER_S = 60;
const TEXT = 'text/plain; charset=utf-8';
const XML = 'application/xml; charset=utf-8';

/** What the receiver of posts (draft-desruisseaux-ischedule-05) answers at its paths, its published keys included. */
export function createIScheduleRoutes(options: IScheduleReceiverOptions): readonly Route[] {
  const service = new Service(options);
  return [
    ...SERVICE_PATHS.map(
      (path): Route => ({
        path,
        methods: SERVICE_METHODS,
        maxBodyBytes: options.limits.maxContentLength,
        handle: (request) => service.handle(request),
        refuse: (status) => service.refuse(status),
      }),
    ),
    createKeyRoute(options.publishedKeys),
  ];
}

class Service {
  readonly #handling: PostHandling;
  readonly #documents: ReadonlyMap<string, CapabilitiesDocument>;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(options: IScheduleReceiverOptions) {
    const { limits, answerFreeBusy, administrator } = options;
    const messages = [
      ...(limits.messages ?? ACCEPTED_MESSAGES),
      ...(answerFreeBusy === undefined ? [] : [{ component: 'VFREEBUSY', methods: ['REQUEST'] }]),
    ];
    const accepted = { ...limits, messages };
    this.#handling = { ...options, limits: accepted };
    const { serial, action, query } = composeCapabilities({
      ...accepted,
      ...(administrator === undefined ? {} : { administrator }),
    });
    this.#documents = new Map([
      ['action', action],
      ['query', query],
    ]);
    // On every answer, whatever it says.
    this.#headers = {
      'iSchedule-Version': '1.0',
      'iSchedule-Capabilities': serial,
      'Cache-Control': 'no-cache, no-transform',
    };
  }

  async handle(request: HttpRequest): Promise<HttpReply> {
    switch (request.method) {
      case 'POST':
        return this.#compose(await takePost(this.#handling, request));
      case 'OPTIONS':
        return this.#reply(200, '', { Allow: SERVICE_METHODS.join(', ') });
      default:
        return this.#capabilities(request);
    }
  }

  /** What the listener refuses before anybody has read it. */
  refuse(status: number): HttpReply {
    switch (status) {
      case 405:
        return this.#text(status, `wanted one of ${SERVICE_METHODS.join(', ')}`, { Allow: SERVICE_METHODS.join(', ') });
      case 413: {
        const { maxContentLength } = this.#handling.limits;
        return this.#error(
          status,
          'max-content-length',
          `found a longer body, wanted at most ${maxContentLength} octets`,
        );
      }
      case 415:
        return this.#error(status, 'invalid-calendar-data-type', 'found a Content-Encoding, wanted none', {
          'Accept-Encoding': 'identity', // RFC 9110 §12.5.3: it is the coding, and not the media type
        });
      case 503:
        return this.#text(status, refusalWords(status), { 'Retry-After': `${RETRY_AFTER_S}` });
      default:
        return this.#text(status, refusalWords(status));
    }
  }

  #compose(result: PostResult): HttpReply {
    switch (result.kind) {
      case 'answers': {
        const responses = result.answers.map(({ recipient, code, description, detail, calendarData }) => ({
          recipient,
          requestStatus: `${code};${description}`,
          ...(calendarData === undefined ? {} : { calendarData }),
          ...(detail === undefined ? {} : { description: detail }),
        }));
        return this.#reply(200, composeReply(responses), { 'Content-Type': XML });
      }
      case 'refused': {
        const { challenges = [] } = result;
        const more = challenges.length === 0 ? {} : { 'WWW-Authenticate': challenges.join(', ') };
        return this.#error(result.status, result.precondition, result.description, more);
      }
      case 'later':
        // 503 is about the key of one signer: a Retry-After would have his server hold back everybody's posts.
        return this.#text(
          result.status,
          result.description,
          result.status === 507 ? { 'Retry-After': `${RETRY_AFTER_S}` } : {},
        );
    }
  }

  #capabilities(request: HttpRequest): HttpReply {
    const asked = [...this.#documents].find(([name]) => request.query.get(name) === 'capabilities');
    if (asked === undefined) return this.#text(400, 'found no question, wanted ?action=capabilities');
    const [, { body, etag }] = asked;
    if (matches(request.rawHeaders, etag)) return this.#reply(304, '', { ETag: etag });
    return this.#reply(200, body, { 'Content-Type': XML, ETag: etag });
  }

  #error(
    status: number,
    precondition: string,
    description: string,
    more: Readonly<Record<string, string>> = {},
  ): HttpReply {
    return this.#reply(status, composeError(precondition, description), { 'Content-Type': XML, ...more });
  }

  #text(status: number, text: string, more: Readonly<Record<string, string>> = {}): HttpReply {
    return this.#reply(status, `${text}\n`, { 'Content-Type': TEXT, ...more });
  }

  #reply(status: number, body: string, more: Readonly<Record<string, string>>): HttpReply {
    return { status, headers: { ...this.#headers, ...more }, body };
  }
}

/** RFC 9110 §13.1.2: the comparison is weak. */
function matches(rawHeaders: readonly string[], etag: string): boolean {
  return valuesOf(rawHeaders, 'if-none-match')
    .flatMap((value) => value.split(','))
    .map((item) => item.trim().replace(/^W\//, ''))
    .some((item) => item === '*' || item === etag);
}

/** `http/well-known` of draft-desruisseaux-ischedule-05 §7.3: text, a record on each line. */
function createKeyRoute(keys: readonly PublishedKey[]): Route {
  const methods = ['GET', 'HEAD'];
  const name = (domain: string, selector: string) => `${domain.toLowerCase()}/${selector.toLowerCase()}`;
  const byName = Map.groupBy(keys, ({ domain, selector }) => name(domain, selector));
  const text = (status: number, body: string, more: Readonly<Record<string, string>> = {}): HttpReply => ({
    status,
    headers: { 'Content-Type': TEXT, ...more },
    body,
  });
  return {
    path: `${KEYS_PATH}*`,
    methods,
    maxBodyBytes: 0,
    async handle({ path }) {
      const [domain = '', selector = '', ...more] = path.slice(KEYS_PATH.length).split('/');
      const found = more.length === 0 ? byName.get(name(domain, selector)) : undefined;
      if (found === undefined) return text(404, 'no such key\n');
      const records = found.map(({ record }) => `${record}\r\n`).join('');
      return text(200, records, { 'Cache-Control': 'max-age=3600' });
    },
    refuse: (status) => text(status, 'the request was refused\n', status === 405 ? { Allow: methods.join(', ') } : {}),
  };
}
