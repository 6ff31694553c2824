import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { SmtpListenerOptions } from '../../../../channel/smtp/receive.ts';
import { SmtpReceiver } from '../../../../channel/smtp/receive.ts';
import type { Acceptor, Incoming, ListenerFacts, RecipientVerdict } from '../../../../src/flow/acceptor.ts';
import type { EnvelopeRecipient } from '../../../../src/mail/envelope.ts';
import { type Reply, reply } from '../../../../src/mail/status.ts';
import { type Log, silentLog } from '../../../../src/observe/log.ts';

/** Speaks bytes and reads lines; the tests say what the lines mean. */
export class WireClient implements AsyncDisposable {
  #socket: Socket;
  #received = '';
  #ended = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.#socket = this.#listen(socket);
  }

  static async open(address: string, tls = false): Promise<WireClient> {
    const port = Number(address.slice(address.lastIndexOf(':') + 1));
    const socket = tls
      ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      : connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise((resolve, reject) =>
      socket.once(tls ? 'secureConnect' : 'connect', resolve).once('error', reject),
    );
    return new WireClient(socket);
  }

  write(text: string | Buffer): void {
    this.#socket.write(text);
  }

  /** The next reply's lines, joined by LF; '' when the server has closed. */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(this.#received);
      if (match !== null) {
        this.#received = this.#received.slice(match[0].length);
        return match[0].trimEnd().replaceAll('\r\n', '\n');
      }
      if (this.#ended) return this.#received;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Sends one command and reads its reply. */
  async ask(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  async replies(count: number): Promise<string[]> {
    const replies: string[] = [];
    while (replies.length < count) replies.push(await this.reply());
    return replies;
  }

  /** Goes on within TLS. */
  async upgrade(): Promise<void> {
    this.#socket.removeAllListeners();
    const secure = connectTls({ socket: this.#socket, rejectUnauthorized: false });
    await new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject));
    this.#socket = this.#listen(secure);
  }

  /** Leaves without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.destroy();
    });
  }

  #listen(socket: Socket): Socket {
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString();
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
    return socket;
  }
}

export type Recorded = Omit<Incoming, 'content' | 'signal'> & { readonly content: string };

/** Takes everything, or answers as its handlers say, and remembers what came. */
export class RecordingAcceptor implements Acceptor {
  readonly messages: Recorded[] = [];
  onRecipient: (recipient: EnvelopeRecipient, signal: AbortSignal) => RecipientVerdict | Promise<RecipientVerdict> = (
    recipient,
  ) => ({
    kind: 'accepted',
    recipient,
  });
  onMessage: (incoming: Incoming, content: string) => readonly Reply[] | Promise<readonly Reply[]> = (incoming) =>
    incoming.listener.protocol === 'smtp'
      ? [reply('2.6.0', 'queued')]
      : incoming.envelope.recipients.map((recipient) =>
          reply('2.1.5', `queued for ${recipient.orcpt ?? recipient.address}`),
        );

  recipient(_listener: ListenerFacts, recipient: EnvelopeRecipient, signal: AbortSignal): Promise<RecipientVerdict> {
    return Promise.try(() => this.onRecipient(recipient, signal));
  }

  async message(incoming: Incoming): Promise<readonly Reply[]> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming.content) chunks.push(chunk);
    const { listener, client, envelope } = incoming;
    const content = Buffer.concat(chunks).toString('latin1');
    this.messages.push({ listener, client, envelope, content });
    return this.onMessage(incoming, content);
  }
}

export type Service = AsyncDisposable & {
  readonly address: string;
  readonly acceptor: RecordingAcceptor;
  readonly receiver: SmtpReceiver;
};

/** A receiver on a free loopback port, with limits that no test meets by accident. */
export async function serve(changes: Partial<SmtpListenerOptions> = {}, log: Log = silentLog): Promise<Service> {
  const acceptor = new RecordingAcceptor();
  const options: SmtpListenerOptions = {
    name: 'test',
    hostname: 'gw.example.com',
    host: '127.0.0.1',
    port: 0,
    protocol: 'smtp',
    mode: 'filter',
    origin: 'outside',
    copyDomains: new Map(),
    clients: ['127.0.0.0/8'],
    xforward: [],
    xclient: [],
    bareNewline: 'normalize',
    maxSizeBytes: 1_000_000,
    maxConnections: 100,
    maxConnectionsPerClient: 100,
    maxRecipients: 100,
    idleTimeoutMs: 20_000,
    dataTimeoutMs: 20_000,
    sessionTimeoutMs: 20_000,
    closeTimeoutMs: 100,
    ...changes,
  };
  const receiver = new SmtpReceiver(options, acceptor, log);
  const address = await receiver.listen();
  return { address, acceptor, receiver, [Symbol.asyncDispose]: () => receiver.close() };
}

/** Greeting and EHLO or LHLO done. */
export async function greeted(service: Service, hello = 'EHLO mx.example.org'): Promise<WireClient> {
  const client = await WireClient.open(service.address);
  await client.reply();
  await client.ask(hello);
  return client;
}
