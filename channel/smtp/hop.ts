import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { type Replies, type Trouble, troubleOf } from './failures.ts';
import type { Offers, Plan } from './relaying.ts';

export type SmtpHopOptions = {
  readonly host: string;
  readonly port: number;
  /** The same service elsewhere, with the same options: tried in this order where the one before cannot be used. */
  readonly fallbacks?: readonly { readonly host: string; readonly port: number }[];
  readonly protocol: 'smtp' | 'lmtp';
  /**
   * `starttls`: TLS where it is offered; the certificate is then checked only with `ca` or `auth`, since who can forge
   * one can also take the offer away. `require` and `implicit`: TLS with a valid certificate, or no mail.
   */
  readonly tls: 'none' | 'starttls' | 'require' | 'implicit';
  /** Certificates trusted instead of the system's, PEM. */
  readonly ca?: string;
  readonly auth?: { readonly user: string; readonly password: string };
  /** Connections open at once, at most. */
  readonly connections: number;
  /** From the look-up of the name to the greeting, and to the end of a STARTTLS. */
  readonly connectTimeoutMs: number;
  /** Silence after a command. */
  readonly commandTimeoutMs: number;
  /** Silence while the content goes out, and after its end. */
  readonly dataTimeoutMs: number;
  readonly maxMessagesPerConnection: number;
  /** How long an unused connection is kept; 15 s by default. */
  readonly idleTimeoutMs?: number;
  /** Our name, for EHLO. */
  readonly hostname: string;
};

/**
 * The parts of SMTPConnection (nodemailer 10.6.0, pinned) that its types leave out. The library sends one set of DSN
 * parameters for all recipients and reports refusals by address; taking commands on their way out and replies on
 * their way in, by order, mends both.
 */
type Internals = {
  readonly _supportedExtensions: readonly string[];
  readonly _maxAllowedSize: number;
  readonly _socket: Socket | false;
  readonly _currentDataStream: unknown;
  _sendCommand(line: string, logged?: string): void;
  _actionMAIL(reply: string, done: unknown): void;
  _actionRCPT(reply: string, done: unknown): void;
  _actionDATA(reply: string, done: unknown): void;
  _actionSMTPStream(reply: string, done: unknown): void;
  _actionLMTPStream(recipient: string, final: boolean, reply: string, done: unknown): void;
};

/** What SMTPConnection's errors carry. */
type HopError = Error & {
  readonly code?: string;
  readonly originalCode?: string;
  readonly response?: string;
  readonly command?: string;
};

type Running = {
  readonly plan: Plan;
  rcptsSent: number;
  readonly replies: { mail?: string; recipients: string[]; data?: string; end: string[] };
};

const QUIT_PATIENCE_MS = 1000;
/** Commands whose refusal ends a transaction and not the session. */
const TRANSACTION_COMMANDS: ReadonlySet<string> = new Set(['MAIL FROM', 'RCPT TO', 'DATA']);

/** One SMTP or LMTP session with the next hop, past EHLO and login. */
export class HopConnection {
  readonly offers: Offers;
  readonly #inner: SMTPConnection;
  readonly #internals: Internals;
  readonly #options: SmtpHopOptions;
  #served = 0;
  #running: Running | undefined;
  #needsReset = false;

  private constructor(inner: SMTPConnection, options: SmtpHopOptions) {
    this.#inner = inner;
    this.#internals = inner as unknown as Internals;
    this.#options = options;
    const extensions = this.#internals._supportedExtensions;
    this.offers = {
      dsn: extensions.includes('DSN'),
      smtpUtf8: extensions.includes('SMTPUTF8'),
      eightBitMime: extensions.includes('8BITMIME'),
      size: extensions.includes('SIZE'),
      maxSize: this.#internals._maxAllowedSize,
    };
    this.#listenIn();
  }

  /** Connects, says EHLO, starts TLS and logs in, as configured. */
  static async open(options: SmtpHopOptions, signal: AbortSignal): Promise<HopConnection | Trouble> {
    if (signal.aborted) return { kind: 'aborted' };
    const checksCertificate = options.tls !== 'starttls' || options.ca !== undefined || options.auth !== undefined;
    const inner = new SMTPConnection({
      host: options.host,
      port: options.port,
      name: options.hostname,
      lmtp: options.protocol === 'lmtp',
      secure: options.tls === 'implicit',
      ignoreTLS: options.tls === 'none',
      requireTLS: options.tls === 'require',
      opportunisticTLS: options.tls === 'starttls' && options.auth === undefined,
      connectionTimeout: options.connectTimeoutMs,
      greetingTimeout: options.connectTimeoutMs,
      dnsTimeout: options.connectTimeoutMs,
      socketTimeout: options.commandTimeoutMs,
      socketCloseTimeout: 0,
      tls: { rejectUnauthorized: checksCertificate, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    });
    // Errors may come between two steps, and from a socket that is closing; an unheard one would end the process.
    inner.on('error', () => undefined);
    const trouble = (await step(inner, signal, (done) => inner.connect(done))) ?? (await login(inner, options, signal));
    if (trouble === undefined) return new HopConnection(inner, options);
    inner.close();
    return trouble;
  }

  get isClosed(): boolean {
    return this.#inner.destroyed;
  }

  /** Transactions begun on it. */
  get served(): number {
    return this.#served;
  }

  /** Calls back once when the connection has ended, whoever ended it. */
  onClosed(listener: () => void): void {
    this.#inner.once('end', listener);
  }

  /**
   * One mail transaction.
   * @param content sent with dots stuffed, and with a line end at its end where it has none; a stream is destroyed
   *   when it is not wanted
   */
  async transact(plan: Plan, content: Buffer | Readable, signal: AbortSignal): Promise<Replies> {
    const running: Running = { plan, rcptsSent: 0, replies: { recipients: [], end: [] } };
    const to = plan.recipients.map((recipient) => recipient.address);
    let error: HopError | undefined;
    this.#running = running;
    this.#served++;
    const trouble = await step(this.#inner, signal, (done) => {
      this.#inner.send({ from: plan.reversePath, to }, content, (failure: unknown) => {
        if (failure instanceof Error) error = failure;
        done(error);
      });
    });
    this.#running = undefined;
    if (!Buffer.isBuffer(content)) content.destroy();
    // A reply that came before the whole content was out leaves the rest of it in the pipe: nothing can follow here.
    if (trouble?.kind === 'unreadable' || this.#internals._currentDataStream !== false) this.close();
    this.#setPatience(this.#options.commandTimeoutMs);
    this.#needsReset = running.replies.end.length === 0;
    const isRefusal = error?.response !== undefined && TRANSACTION_COMMANDS.has(error.command ?? '');
    return trouble === undefined || isRefusal ? running.replies : { ...running.replies, trouble };
  }

  /** Makes the session ready for another transaction. @returns whether it is */
  async reset(): Promise<boolean> {
    if (this.isClosed) return false;
    if (!this.#needsReset) return true;
    this.#needsReset = false;
    const trouble = await step(this.#inner, undefined, (done) => this.#inner.reset(done));
    return trouble === undefined && !this.isClosed;
  }

  /** Takes leave; closes without waiting for the answer after a second. */
  async quit(): Promise<void> {
    if (this.isClosed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.close(), QUIT_PATIENCE_MS);
      this.onClosed(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#inner.quit();
    });
  }

  close(): void {
    this.#inner.close();
  }

  #setPatience(timeoutMs: number): void {
    const socket = this.#internals._socket;
    if (socket !== false && !socket.destroyed) socket.setTimeout(timeoutMs);
  }

  #listenIn(): void {
    const internals = this.#internals;
    const { _sendCommand, _actionMAIL, _actionRCPT, _actionDATA, _actionSMTPStream, _actionLMTPStream } = internals;
    internals._sendCommand = (line, logged) => _sendCommand.call(internals, this.#ownCommand(line), logged);
    internals._actionMAIL = (reply, done) => {
      if (this.#running !== undefined) this.#running.replies.mail = reply;
      _actionMAIL.call(internals, reply, done);
    };
    internals._actionRCPT = (reply, done) => {
      this.#running?.replies.recipients.push(reply);
      _actionRCPT.call(internals, reply, done);
    };
    internals._actionDATA = (reply, done) => {
      if (this.#running !== undefined) this.#running.replies.data = reply;
      this.#setPatience(this.#options.dataTimeoutMs);
      _actionDATA.call(internals, reply, done);
    };
    internals._actionSMTPStream = (reply, done) => {
      this.#running?.replies.end.push(reply);
      _actionSMTPStream.call(internals, reply, done);
    };
    internals._actionLMTPStream = (recipient, final, reply, done) => {
      this.#running?.replies.end.push(reply);
      _actionLMTPStream.call(internals, recipient, final, reply, done);
    };
  }

  /** MAIL and RCPT in the plan's words; their order and pipelining stay the library's. */
  #ownCommand(line: string): string {
    const running = this.#running;
    if (running === undefined) return line;
    if (line.startsWith('MAIL FROM:')) return running.plan.mail;
    if (line.startsWith('RCPT TO:')) return running.plan.recipients[running.rcptsSent++]?.command ?? line;
    return line;
  }
}

async function login(
  inner: SMTPConnection,
  options: SmtpHopOptions,
  signal: AbortSignal,
): Promise<Trouble | undefined> {
  const { auth } = options;
  if (auth === undefined) return undefined;
  if (options.tls === 'starttls' && !inner.secure)
    return { kind: 'unusable', reason: 'the next hop offers no TLS, and the password is not sent in the clear' };
  return await step(inner, signal, (done) => inner.login({ user: auth.user, pass: auth.password }, done));
}

/** Runs one call of the library until it calls back, the connection ends, or the signal does. */
async function step(
  inner: SMTPConnection,
  signal: AbortSignal | undefined,
  run: (done: (error?: unknown) => void) => void,
): Promise<Trouble | undefined> {
  return await new Promise((resolve) => {
    const settle = (trouble: Trouble | undefined) => {
      inner.off('error', onError);
      inner.off('end', onEnd);
      signal?.removeEventListener('abort', onAbort);
      resolve(trouble);
    };
    const onError = (error: unknown) =>
      settle(error instanceof Error ? troubleOfError(error, inner.stage === 'connected') : undefined);
    // The library says why only after it has said that it ended.
    const onEnd = () => setImmediate(() => settle({ kind: 'lost', code: 'closed' }));
    const onAbort = () => {
      settle({ kind: 'aborted' });
      inner.close();
    };
    inner.on('error', onError);
    inner.on('end', onEnd);
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted === true) onAbort();
    else run(onError);
  });
}

function troubleOfError(error: HopError, standing: boolean): Trouble {
  if (error.code === 'ESTREAM') return { kind: 'unreadable', cause: error };
  if (error.response !== undefined) return { kind: 'refused', reply: error.response };
  if (error.code === 'EAUTH') return { kind: 'unusable', reason: 'the login to the next hop failed' };
  if (error.code === 'EDNS') return { kind: 'unresolved', code: error.originalCode ?? 'EDNS' };
  if (error.code === 'ETIMEDOUT') return troubleOf('timeout', standing);
  if (error.code === 'ECONNECTION') return troubleOf('closed', standing);
  return troubleOf(error.originalCode ?? error.code ?? error.name, standing);
}
