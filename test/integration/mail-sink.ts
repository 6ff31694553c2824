import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export type SinkRecipient = { readonly address: string; readonly params: string };

/** One transaction that came in, also one that was refused in the end. */
export type SinkMail = {
  readonly from: string;
  readonly fromParams: string;
  /** Those that were accepted at RCPT. */
  readonly recipients: readonly SinkRecipient[];
  /** Content with dots un-stuffed. */
  readonly content: Buffer;
  /** What was answered after DATA: one line, in LMTP one for each recipient. */
  readonly answers: readonly string[];
};

/** What the stand-in answers; a function that returns undefined accepts. May be changed while it runs. */
export type SinkScript = {
  rcpt?: (address: string) => string | undefined;
  /** Whether the connection is closed when the first line of the content is there; such mail is not kept. */
  dropsInData?: (recipients: readonly string[]) => boolean;
  /** `drop` closes the connection without an answer. */
  data?: (mail: Omit<SinkMail, 'answers'>, address: string) => string | undefined;
};

/**
 * Stand-in for a next hop: an SMTP or LMTP server in the test process that keeps what it gets and answers as the
 * test says.
 */
export class MailSink {
  readonly protocol: 'smtp' | 'lmtp';
  readonly extensions: readonly string[];
  readonly script: SinkScript;
  readonly #mails: SinkMail[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  #server: Server | undefined;
  #port: number;

  constructor(
    protocol: 'smtp' | 'lmtp',
    script: SinkScript = {},
    extensions: readonly string[] = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES', 'SIZE'],
    port = 0,
  ) {
    this.protocol = protocol;
    this.script = script;
    this.extensions = extensions;
    this.#port = port;
  }

  static async listen(protocol: 'smtp' | 'lmtp', script: SinkScript = {}, port = 0): Promise<MailSink> {
    const sink = new MailSink(protocol, script, undefined, port);
    await sink.open();
    return sink;
  }

  get port(): number {
    return this.#port;
  }

  /** All that came in, oldest first. */
  get mails(): readonly SinkMail[] {
    return this.#mails;
  }

  /** Listens, on the same port as before if it did. */
  async open(): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
    this.#port = (server.address() as { port: number }).port;
  }

  /** Goes down: nobody can connect until `open`. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Resolves with the mails that fit, once there are `count` of them. */
  async waitFor(fits: (mail: SinkMail) => boolean, count = 1, timeoutMs = 20_000): Promise<readonly SinkMail[]> {
    const deadline = AbortSignal.timeout(timeoutMs);
    deadline.addEventListener('abort', () => this.#wake(), { once: true });
    for (;;) {
      const found = this.#mails.filter(fits);
      if (found.length >= count) return found;
      if (deadline.aborted)
        throw new Error(`${found.length} of ${count} mails came in ${timeoutMs} ms; all: ${this.#describe()}`);
      await new Promise<void>((wake) => this.#waiting.add(wake));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  #describe(): string {
    return this.#mails
      .map(
        (mail) => `<${mail.from}> → ${mail.recipients.map((to) => to.address).join(', ')}: ${mail.answers.join(' | ')}`,
      )
      .join('\n');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined); // a client that resets is what some tests are about
    socket.setEncoding('latin1');
    socket.setNoDelay(true);
    const say = (line: string) => socket.write(`${line}\r\n`);
    let pending = '';
    let content: string[] | undefined;
    let from: SinkRecipient | undefined;
    let recipients: SinkRecipient[] = [];
    const finish = (lines: string[]) => {
      const mail = {
        from: from?.address ?? '',
        fromParams: from?.params ?? '',
        recipients,
        content: Buffer.from(lines.map((line) => `${line.replace(/^\./, '')}\r\n`).join(''), 'latin1'),
      };
      const answered = this.protocol === 'lmtp' ? recipients : recipients.slice(0, 1);
      const answers = answered.map((to) => this.script.data?.(mail, to.address) ?? '250 2.0.0 taken');
      from = undefined;
      recipients = [];
      this.#mails.push({ ...mail, answers });
      if (answers.includes('drop')) socket.destroy();
      else for (const answer of answers) say(answer);
      this.#wake();
    };
    const command = (line: string) => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO' || verb === 'LHLO') {
        const names = ['sink.test', ...this.extensions];
        for (const [index, name] of names.entries()) say(`250${index < names.length - 1 ? '-' : ' '}${name}`);
      } else if (verb === 'MAIL') {
        from = addressed(line);
        recipients = [];
        say('250 2.1.0 sender ok');
      } else if (verb === 'RCPT') {
        const to = addressed(line);
        const refusal = this.script.rcpt?.(to.address);
        if (refusal === undefined) recipients.push(to);
        say(refusal ?? '250 2.1.5 recipient ok');
      } else if (verb === 'DATA') {
        if (recipients.length === 0) return say('503 5.5.1 no valid recipients');
        content = [];
        say('354 go on');
      } else if (verb === 'QUIT') {
        socket.end('221 2.0.0 bye\r\n');
      } else if (verb === 'RSET' || verb === 'NOOP' || verb === 'HELO') {
        if (verb === 'RSET') recipients = [];
        say('250 2.0.0 ok');
      } else say('500 5.5.2 unknown command');
      return undefined;
    };
    socket.on('data', (text: string) => {
      const lines = (pending + text).split('\r\n');
      pending = lines.pop() ?? '';
      for (const line of lines) {
        if (content === undefined) command(line);
        else if (line === '.') {
          const whole = content;
          content = undefined;
          finish(whole);
        } else {
          content.push(line);
          if (content.length > 1) continue;
          if (this.script.dropsInData?.(recipients.map(({ address }) => address)) === true) {
            socket.destroy();
            return;
          }
        }
      }
    });
    say(`220 sink.test ${this.protocol.toUpperCase()}`);
  }
}

function addressed(line: string): SinkRecipient {
  const match = /<([^>]*)>\s*(.*)$/.exec(line);
  return { address: match?.[1] ?? '', params: match?.[2] ?? '' };
}
