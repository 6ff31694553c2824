import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { composeReply } from '../../channel/ischedule/wire.ts';

/** One POST as it came. */
export type StandInPost = {
  /** Values of the Recipient headers without `mailto:`. */
  readonly recipients: readonly string[];
  readonly messageId: string;
  readonly body: string;
};

/**
 * `drop` closes the connection without a word; a text is the REQUEST-STATUS that every recipient gets; `calendarData` is
 * an object for each of them, as a question for busy times is answered.
 */
export type StandInAnswer =
  | string
  | 'drop'
  | { readonly calendarData: (recipient: string) => string }
  | { readonly httpStatus: number; readonly retryAfter?: string };

/**
 * Stand-in for a calendar server: an iSchedule receiver in the test process that keeps what is posted and answers as
 * the test says. It stores no events.
 */
export class CalendarStandIn {
  /** A promise keeps the gateway waiting until it resolves. May be changed while it runs. */
  answer: (post: StandInPost) => StandInAnswer | Promise<StandInAnswer> = () => SUCCESS;
  /** Recipients that a schedule-response speaks of; all of them when undefined. */
  answerOnly: readonly string[] | undefined;
  readonly #posts: StandInPost[] = [];
  readonly #waiting = new Set<() => void>();
  #server: Server | undefined;
  #port = 0;

  static async listen(): Promise<CalendarStandIn> {
    const standIn = new CalendarStandIn();
    await standIn.open();
    return standIn;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/ischedule`;
  }

  /** All that was posted, oldest first. */
  get posts(): readonly StandInPost[] {
    return this.#posts;
  }

  /** Listens, on the same port as before if it did. */
  async open(): Promise<void> {
    const server = createServer((request, response) => void this.#serve(request, response));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Goes down: cuts every connection, and nobody can connect until `open`. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  /** Resolves with the posts whose body holds this text, once there are `count` of them. */
  async waitFor(text: string, count = 1, timeoutMs = 20_000): Promise<readonly StandInPost[]> {
    const deadline = AbortSignal.timeout(timeoutMs);
    deadline.addEventListener('abort', () => this.#wake(), { once: true });
    for (;;) {
      const found = this.of(text);
      if (found.length >= count) return found;
      if (deadline.aborted) throw new Error(`${found.length} of ${count} posts of ${text} came in ${timeoutMs} ms`);
      await new Promise<void>((wake) => this.#waiting.add(wake));
    }
  }

  /** The posts whose body holds this text, so far. */
  of(text: string): readonly StandInPost[] {
    return this.#posts.filter((post) => post.body.includes(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined); // the gateway may have gone
    if (request.method === 'GET') {
      response.writeHead(404).end(); // it has no capabilities document
      return;
    }
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return; // killed while it posted
    }
    const post = {
      recipients: headers(request, 'recipient').map((value) => value.replace(/^mailto:/, '')),
      messageId: headers(request, 'ischedule-message-id')[0] ?? '',
      body: Buffer.concat(chunks).toString('utf8'),
    };
    const answering = this.answer(post);
    this.#posts.push(post);
    this.#wake();
    const answer = await answering;
    if (answer === 'drop') {
      response.destroy();
    } else if (typeof answer === 'string' || 'calendarData' in answer) {
      const answered = post.recipients.filter((recipient) => this.answerOnly?.includes(recipient) ?? true);
      const responses = answered.map((recipient) => ({
        recipient: `mailto:${recipient}`,
        ...(typeof answer === 'string'
          ? { requestStatus: answer }
          : { requestStatus: SUCCESS, calendarData: answer.calendarData(recipient) }),
      }));
      response.writeHead(200, { 'Content-Type': 'application/xml; charset=utf-8' });
      response.end(composeReply(responses));
    } else {
      const { httpStatus, retryAfter } = answer;
      response.writeHead(httpStatus, retryAfter === undefined ? {} : { 'Retry-After': retryAfter });
      response.end();
    }
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}

export const SUCCESS = '2.0;Success';

function headers(request: IncomingMessage, name: string): readonly string[] {
  return request.rawHeaders.filter((_, at) => at % 2 === 1 && request.rawHeaders[at - 1]?.toLowerCase() === name);
}
