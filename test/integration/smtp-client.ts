import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';

/** One reply, exactly as it came: `lines` without CRLF, code and separator included. */
export type ClientReply = { readonly code: number; readonly lines: readonly string[] };

/** RCPT or MAIL parameters, such as `NOTIFY=NEVER ORCPT=rfc822;a@example.com`. */
export type Addressed = string | { readonly address: string; readonly params: string };

export type Submission = {
  readonly protocol?: 'smtp' | 'lmtp';
  readonly from: Addressed;
  readonly to: readonly Addressed[];
  /** With CRLF line ends; dots are stuffed here. */
  readonly message: string | Buffer;
};

/** `data` has one reply, in LMTP one for each accepted recipient; it is empty when no DATA was sent. */
export type SubmissionResult = {
  readonly mail: ClientReply;
  readonly rcpt: readonly ClientReply[];
  readonly data: readonly ClientReply[];
};

/** An SMTP and LMTP client that hides nothing: what is sent and what comes back are lines. */
export class SmtpClient {
  readonly #socket: Socket;
  #text = '';
  readonly #replies: ClientReply[] = [];
  #lines: string[] = [];
  #ended = false;
  #notify: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.setNoDelay(true);
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', () => undefined); // 'close' follows, and every waiting read then rejects
    socket.on('close', () => {
      this.#ended = true;
      this.#notify?.();
    });
  }

  /** @returns a client whose greeting has not been read yet */
  static async connect(port: number): Promise<SmtpClient> {
    const socket = connectSocket(port, '127.0.0.1');
    await once(socket, 'connect');
    return new SmtpClient(socket);
  }

  /** @throws when the connection ends before a whole reply */
  async reply(): Promise<ClientReply> {
    while (this.#replies.length === 0) {
      if (this.#ended) throw new Error('connection closed before a reply');
      await new Promise<void>((resolve) => {
        this.#notify = resolve;
      });
    }
    return this.#replies.shift()!;
  }

  /** Sends without waiting. */
  write(data: string | Buffer): void {
    if (typeof data === 'string') this.#socket.write(data, 'latin1');
    else this.#socket.write(data);
  }

  async command(line: string): Promise<ClientReply> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** Sends all lines in one packet (RFC 2920). @returns their replies, in order */
  async pipeline(lines: readonly string[]): Promise<readonly ClientReply[]> {
    this.write(lines.map((line) => `${line}\r\n`).join(''));
    const replies: ClientReply[] = [];
    for (const _ of lines) replies.push(await this.reply());
    return replies;
  }

  /** One whole transaction, MAIL, RCPTs and DATA in one packet. */
  async transaction(submission: Submission): Promise<SubmissionResult> {
    const commands = [
      `MAIL FROM:${path(submission.from)}`,
      ...submission.to.map((to) => `RCPT TO:${path(to)}`),
      'DATA',
    ];
    const replies = await this.pipeline(commands);
    const mail = replies[0]!;
    const rcpt = replies.slice(1, -1);
    const accepted = rcpt.filter((reply) => reply.code === 250).length;
    if (replies.at(-1)!.code !== 354) return { mail, rcpt, data: [] };
    this.write(dotStuffed(submission.message));
    const data: ClientReply[] = [];
    const expected = submission.protocol === 'lmtp' ? accepted : 1;
    while (data.length < expected) data.push(await this.reply());
    return { mail, rcpt, data };
  }

  /** QUIT, then the end of the connection. */
  async quit(): Promise<void> {
    if (!this.#ended) {
      this.write('QUIT\r\n');
      await this.reply().catch(() => undefined);
    }
    this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #take(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf('\r\n'); end >= 0; end = this.#text.indexOf('\r\n')) {
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      this.#lines.push(line);
      if (line[3] === '-') continue;
      this.#replies.push({ code: Number(line.slice(0, 3)), lines: this.#lines });
      this.#lines = [];
    }
    this.#notify?.();
  }
}

/** Connects, greets, sends one message and quits. */
export async function submit(port: number, submission: Submission): Promise<SubmissionResult> {
  using client = await SmtpClient.connect(port);
  await client.reply();
  await client.command(submission.protocol === 'lmtp' ? 'LHLO client.test' : 'EHLO client.test');
  const result = await client.transaction(submission);
  await client.quit();
  return result;
}

function path(addressed: Addressed): string {
  return typeof addressed === 'string' ? `<${addressed}>` : `<${addressed.address}> ${addressed.params}`;
}

/** Content as it goes over the wire, with the final dot (RFC 5321 §4.5.2). */
export function dotStuffed(message: string | Buffer): Buffer {
  const text =
    typeof message === 'string' ? Buffer.from(message, 'utf8').toString('latin1') : message.toString('latin1');
  const ended = text.endsWith('\r\n') ? text : `${text}\r\n`;
  return Buffer.from(`${ended.replace(/(^|\r\n)\./g, '$1..')}.\r\n`, 'latin1');
}
