import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { composeError, composeReply, NAMESPACE, type RecipientResponse } from '../../channel/ischedule/wire.ts';
import { applyMessage } from '../itip/apply.ts';
import { type MessageFacts, readMessageFacts } from '../itip/describe.ts';
import { isByAttendee } from '../itip/message.ts';
import { addressKey, domainOf, mailboxOf, normalizeDomain, sameAddress } from '../mail/address.ts';
import type { Log } from '../observe/log.ts';
import { readEvent, writeEvent } from './vdir.ts';

export type TrialCalendarOptions = {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Where the calendars are: `folder/<mailbox>/default/<uid>.ics`. */
  readonly folder: string;
  /** Mail domains whose users it has. */
  readonly domains: readonly string[];
  /** Which mailboxes of those domains exist; all when absent. */
  readonly users?: (mailbox: string) => boolean;
  readonly log: Log;
};

const MAX_BODY_BYTES = 2 * 1024 * 1024;
const MAX_RECIPIENTS = 1000;
const PATHS: ReadonlySet<string> = new Set(['/ischedule', '/.well-known/ischedule']);
const METHODS = ['REQUEST', 'REPLY', 'CANCEL', 'ADD'];

/** A refusal of a whole request. */
class Refusal extends Error {
  readonly httpStatus: number;
  readonly precondition: string;

  constructor(httpStatus: number, precondition: string, message: string) {
    super(message);
    this.httpStatus = httpStatus;
    this.precondition = precondition;
  }
}

/**
 * A small iSchedule receiver that keeps its users' events as files, **for trial and tests only**: it has no access
 * rules, trusts every client, and its files are not fsynced. Headers and answers are those of the final draft.
 */
export class TrialCalendarServer {
  readonly #options: TrialCalendarOptions;
  readonly #domains: ReadonlySet<string>;
  readonly #server: Server;
  #requests = 0;

  constructor(options: TrialCalendarOptions) {
    this.#options = options;
    this.#domains = new Set(options.domains.map(normalizeDomain));
    // A Recipient header each for a large meeting passes Node's usual 16 KiB.
    this.#server = createServer({ maxHeaderSize: 256 * 1024, keepAliveTimeout: 30_000 }, (request, response) => {
      void this.#answer(request, response);
    });
  }

  /** Posts that were answered. */
  get requests(): number {
    return this.#requests;
  }

  /** @returns the URL to post to */
  async listen(): Promise<URL> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    const address = this.#server.address();
    const bound = typeof address === 'object' && address !== null ? address.port : port;
    return new URL(`http://${host.includes(':') ? `[${host}]` : host}:${bound}/ischedule`);
  }

  /** Stops listening and cuts all connections. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await this.#respond(request);
      send(request, response, 200, body);
    } catch (error) {
      if (error instanceof Refusal) {
        send(request, response, error.httpStatus, composeError(error.precondition, error.message));
      } else if (request.destroyed && !request.complete) {
        response.destroy(); // the client has gone
      } else {
        this.#options.log.error({ err: error }, 'the trial calendar server failed');
        send(request, response, 500, '');
      }
    }
  }

  async #respond(request: IncomingMessage): Promise<string> {
    const url = new URL(request.url ?? '/', 'http://trial.invalid');
    if (!PATHS.has(url.pathname.replace(/\/$/, ''))) throw new Refusal(404, 'no-such-service', 'post to /ischedule');
    if (request.method === 'GET' && url.searchParams.get('action') === 'capabilities') return CAPABILITIES;
    if (request.method !== 'POST')
      throw new Refusal(405, 'method-not-allowed', 'post here, or ask for action=capabilities');
    const headers = readHeaders(request);
    const text = (await readBody(request)).toString('utf8');
    const facts = checkMessage(headers, text);
    const answers = headers.recipients.map((recipient) => this.#schedule(recipient, facts, text));
    this.#requests += 1;
    return composeReply(answers);
  }

  #schedule(recipient: string, facts: MessageFacts, text: string): RecipientResponse {
    const mailbox = mailboxOf(recipient) ?? mailboxOf(`mailto:${recipient}`);
    if (mailbox === undefined || !this.#domains.has(domainOf(mailbox)) || this.#options.users?.(mailbox) === false) {
      return { recipient, requestStatus: '3.7;Invalid calendar user' };
    }
    const { folder, log } = this.#options;
    // Read, apply and write in one turn of the event loop: two messages about one event cannot overtake each other.
    const applied = applyMessage(readEvent(folder, mailbox, facts.uid), text, mailbox);
    log.debug({ mailbox, uid: facts.uid, method: facts.method, applied: applied.kind }, 'trial calendar');
    if (applied.kind === 'refused') {
      const requestStatus = `${applied.requestStatus};${applied.reason.replaceAll(';', ',')}`;
      return { recipient, requestStatus };
    }
    if (applied.kind === 'store') writeEvent(folder, mailbox, facts.uid, applied.text);
    return { recipient, requestStatus: '2.0;Success' };
  }
}

/** A body that was refused before its end is not waited for: the connection ends with the answer. */
function send(request: IncomingMessage, response: ServerResponse, httpStatus: number, body: string): void {
  if (response.destroyed) return;
  response.writeHead(httpStatus, {
    'iSchedule-Version': '1.0',
    'iSchedule-Capabilities': '1',
    'Cache-Control': 'no-cache, no-transform',
    'Content-Type': 'application/xml; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    ...(request.complete ? {} : { Connection: 'close' }),
  });
  response.end(body, () => {
    if (!request.complete) request.destroy();
  });
}

type Headers = {
  readonly originator: string;
  readonly recipients: readonly string[];
  readonly contentType: string;
};

/** From the raw headers: the joined view hides a second Originator. */
function readHeaders(request: IncomingMessage): Headers {
  const values = new Map<string, string[]>();
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = (request.rawHeaders[i] ?? '').toLowerCase();
    const list = values.get(name) ?? [];
    list.push(request.rawHeaders[i + 1] ?? '');
    values.set(name, list);
  }
  const all = (name: string): string[] => values.get(name) ?? [];
  if (all('ischedule-version').join() !== '1.0') {
    throw new Refusal(400, 'version-not-supported', 'iSchedule-Version has to be 1.0');
  }
  const [originator, second] = all('originator');
  if (originator === undefined) throw new Refusal(403, 'originator-missing', 'there is no Originator');
  if (second !== undefined) throw new Refusal(403, 'too-many-originators', 'there is more than one Originator');
  const recipients = all('recipient')
    .flatMap((value) => value.split(','))
    .map((value) => value.trim());
  if (recipients.filter((value) => value !== '').length === 0) {
    throw new Refusal(403, 'recipient-missing', 'there is no Recipient');
  }
  if (recipients.length > MAX_RECIPIENTS) throw new Refusal(403, 'max-recipients', `at most ${MAX_RECIPIENTS}`);
  const contentType = all('content-type').join(', ');
  if (!/^text\/calendar\s*(?:;|$)/i.test(contentType)) {
    throw new Refusal(403, 'invalid-calendar-data-type', 'Content-Type has to be text/calendar');
  }
  return { originator: originator.trim(), recipients: recipients.filter((value) => value !== ''), contentType };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // The iterator must not destroy the stream when the body is too large: the answer has yet to go out.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Refusal(413, 'max-content-length', `at most ${MAX_BODY_BYTES} octets`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The body has to be what the headers say it is (draft §7.1). */
function checkMessage({ originator, contentType }: Headers, text: string): MessageFacts {
  const facts = readMessageFacts(text);
  if (typeof facts === 'string') throw new Refusal(403, 'invalid-calendar-data', facts);
  if (!METHODS.includes(facts.method)) {
    throw new Refusal(403, 'invalid-scheduling-message', `METHOD ${facts.method} is not supported`);
  }
  for (const [name, value] of [
    ['method', facts.method],
    ['component', facts.component],
  ] as const) {
    const parameter = new RegExp(`;\\s*${name}\\s*=\\s*"?([^";\\s]*)`, 'i').exec(contentType)?.[1];
    if (parameter?.toUpperCase() !== value) {
      throw new Refusal(403, 'invalid-scheduling-message', `Content-Type has to have ${name}=${value}`);
    }
  }
  const speaker = mailboxOf(originator);
  if (speaker === undefined) throw new Refusal(403, 'originator-invalid', 'Originator has to be a mailto: URI');
  const author = isByAttendee(facts.method) ? facts.attendees[0] : facts.organizer;
  if (author !== undefined && !sameAddress(author, speaker)) {
    throw new Refusal(403, 'originator-invalid', `Originator differs from ${addressKey(author)}`);
  }
  return facts;
}

const COMPONENT = METHODS.map((method) => `<method name="${method}"/>`).join('');
const CAPABILITIES = `<?xml version="1.0" encoding="utf-8"?>
<query-result xmlns="${NAMESPACE}">
  <capabilities>
    <serial-number>1</serial-number>
    <versions><version>1.0</version></versions>
    <scheduling-messages>
      <component name="VEVENT">${COMPONENT}</component>
      <component name="VTODO">${COMPONENT}</component>
    </scheduling-messages>
    <calendar-data-types><calendar-data-type content-type="text/calendar" version="2.0"/></calendar-data-types>
    <max-content-length>${MAX_BODY_BYTES}</max-content-length>
    <max-recipients>${MAX_RECIPIENTS}</max-recipients>
  </capabilities>
</query-result>
`;
