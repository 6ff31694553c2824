import type { Socket } from 'node:net';
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { type Reply, reply } from '../../src/mail/status.ts';
import { tooBig } from './commands.ts';
import { Content, ContentLostError } from './content.ts';
import { DotReader } from './dots.ts';
import type { SmtpListener } from './listener.ts';
import { type Peer, Session } from './session.ts';

const MAX_REPLY_TEXT = 480;
const OWN_STATUS = /^[245]\.\d{1,3}\.\d{1,3} /;
const NON_ASCII = /[^\x20-\x7e]/g;

/**
 * One client's connection. smtp-server does the wire: lines, TLS, EHLO, XCLIENT, idle time; what MAIL, RCPT, DATA and
 * XFORWARD mean, the exact replies, and the deadlines are ours. This leans on internals of the pinned version:
 * `test/unit/channel/smtp/receive.test.ts` holds the exact lines of whole sessions.
 */
export class Connection extends SMTPConnection {
  readonly #listener: SmtpListener;
  readonly #session: Session;
  /** Of the message that is coming in, or is being judged. */
  #content: Content | undefined;
  /** The message is in whole, and its reply is still to come. */
  #judging = false;
  /** The session's time ended while a message was judged. */
  #overdue = false;
  #deadline: NodeJS.Timeout | undefined;

  constructor(listener: SmtpListener, socket: Socket, options?: SMTPConnectionOptions | null) {
    super(listener, socket, options);
    this.#listener = listener;
    this.#session = new Session(listener.context);
  }

  // Without the fixed 100 ms before the greeting; who speaks before it still gets 421.
  override init(): void {
    const refusal = this.#listener.admit(this);
    this._setListeners(() => {
      if (refusal !== undefined) {
        this.#answer(refusal);
        this.close();
        return;
      }
      this.#deadline = setTimeout(
        () => this.#expire('session took too long'),
        this.#listener.settings.sessionTimeoutMs,
      );
      this.#deadline.unref();
      this.connectionReady();
    });
  }

  // A text that carries its own x.y.z must not get a second one by guess.
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const text = (Array.isArray(data) ? data[0] : data) ?? '';
    if (OWN_STATUS.test(text)) super.send(code, data, false);
    // smtp-server gives every 421 the status of a timeout; its others are about clients that misbehave.
    else if (code === 421) super.send(code, `${text.startsWith('Timeout') ? '4.4.2' : '4.7.0'} ${text}`, false);
    else super.send(code, data, context);
  }

  /** Sends the client away unless it is in a transaction; then after that. */
  endWhenIdle(): void {
    if (!this.#session.inTransaction && !this.#judging) this.#answer(unavailable('shutting down'));
  }

  /** Ends the connection whatever it is doing. */
  endNow(): void {
    this.#content?.fail(new ContentLostError('shutting down'));
    this.#answer(unavailable('shutting down'));
    this._socket.destroySoon();
  }

  override _createParser(): SMTPStream {
    const parser = new DataParser({ maxCommandLength: this._server.options.maxCommandLength });
    parser.oncommand = (command, callback) => this._onCommand(command, callback);
    parser.on('error', (error) => this.send(421, `Error: ${error.message}`));
    return parser;
  }

  override _onCommand(command: Buffer, callback?: () => void): void {
    if (this.#listener.closing && this._ready && !this._upgrading && !this.#session.inTransaction) {
      this.#answer(unavailable('shutting down'));
      callback?.();
      return;
    }
    super._onCommand(command, callback);
  }

  override _resetSession(): void {
    super._resetSession();
    this.#session.reset();
  }

  override close(): void {
    super.close();
    this.#listener.release(this);
  }

  override _onClose(): void {
    super._onClose();
    clearTimeout(this.#deadline);
    this.#session.close();
    this.#listener.forget(this);
  }

  // By network, not only by exact address, and never for a client that a proxy has handed over (XCLIENT ADDR).
  override _proxyCommandAllowed(command: string): boolean {
    return !this._xClient.has('ADDR') && this.#listener.mayForward(this._originalRemoteAddress, command);
  }

  override handler_MAIL(line: Buffer, next: () => void): void {
    const answer = this.#session.mail(line.toString());
    // smtp-server looks here for an open transaction: XCLIENT is refused within one, a lost connection is reported.
    if (this.#session.inTransaction) this.session.envelope.mailFrom = { address: '', args: false };
    this.#answer(answer);
    next();
  }

  override handler_RCPT(line: Buffer, next: () => void): void {
    void this.#session.rcpt(line.toString()).then((answer) => {
      this.#answer(answer);
      next();
    });
  }

  // RFC 5321 §3.5.3. The library's 2.1.5 would say that the address is valid (RFC 3463 §3.2).
  override handler_VRFY(line: Buffer, next: () => void): void {
    const argument = line.toString().trim().split(/\s+/)[1];
    if (argument === undefined) this.#answer({ code: 501, status: '5.5.4', text: 'VRFY needs an address' });
    else this.#answer({ code: 252, status: '2.0.0', text: 'not verified here, send the message to find out' });
    next();
  }

  override handler_XFORWARD(line: Buffer, next: () => void): void {
    if (this._proxyCommandAllowed('XFORWARD')) this.#answer(this.#session.forward(line.toString()));
    else this.#answer({ code: 550, status: '5.7.0', text: 'XFORWARD is not for you' });
    next();
  }

  override handler_DATA(line: Buffer, next: () => void): void {
    const parser = this._parser;
    const refusal = line.toString().trim().length > 4 ? NO_ARGUMENT : this.#session.refuseData();
    if (refusal !== undefined || parser === false) {
      if (refusal !== undefined) this.#answer(refusal);
      next();
      return;
    }
    const { settings } = this.#listener;
    const stream = parser.startDataMode();
    const content = new Content(stream, settings, () => this.#cut());
    this._dataStream = stream;
    this.#content = content;
    const deadline = setTimeout(() => this.#expire('message took too long'), settings.dataTimeoutMs);
    void content.settled.then((complete) => {
      clearTimeout(deadline);
      this.#judging = complete;
      // The parser waits for our reply and holds the socket back; it must still be read, or the client's leaving goes unseen.
      if (complete && this._socket.isPaused()) this._socket.resume();
    });
    void this.#session.message(content, this.#peer()).then((replies) => this.#conclude(replies));
    this.send(354, 'end data with <CR><LF>.<CR><LF>');
    next();
  }

  #conclude(replies: readonly Reply[]): void {
    this._dataStream = false;
    this.#content = undefined;
    this.#judging = false;
    for (const answer of replies) this.#answer(answer);
    this._transactionCounter++;
    this._unrecognizedCommands = 0;
    this._resetSession();
    if (this.#overdue) this.#expire('session took too long');
    else if (this.#listener.closing) this.endWhenIdle();
    if (this._parser !== false) this._parser.continue();
  }

  #answer({ code, status, text }: Reply): void {
    const line = text.slice(0, MAX_REPLY_TEXT).replace(/\s+/g, ' ').replace(NON_ASCII, '?');
    this.send(code, `${status} ${line}`);
  }

  #expire(reason: string): void {
    if (this.#judging) {
      this.#overdue = true;
      return;
    }
    this.#content?.fail(new ContentLostError(reason));
    this.#answer({ code: 421, status: '4.4.2', text: reason });
  }

  /** The client goes on sending far beyond the limit: it gets its answer before the end, and no more is read. */
  #cut(): void {
    // A duplicate is never refused: it is read to its end, which the deadline for DATA bounds, and dropped.
    if (this.#listener.settings.mode === 'copy') return;
    this.#answer(tooBig(this.#listener.settings.maxSizeBytes));
    this.#content?.fail(new ContentLostError('message far over the limit'));
    this.close();
  }

  #peer(): Peer {
    const helo = text(this._xClient.get('HELO')) ?? text(this.hostNameAppearsAs);
    const name = text(this._xClient.get('NAME'));
    const protocol = text(this._xClient.get('PROTO'))?.toUpperCase();
    return {
      address: this.remoteAddress,
      esmtp: this.openingCommand !== 'HELO',
      secure: this.secure,
      ...(helo === undefined ? {} : { helo }),
      ...(name === undefined ? {} : { name }),
      ...(protocol === undefined ? {} : { protocol }),
    };
  }
}

/** 421 for reasons of ours: the service goes, or has no room. */
export function unavailable(text: string): Reply {
  return { ...reply('4.3.2', text), code: 421 };
}

const NO_ARGUMENT: Reply = { code: 501, status: '5.5.4', text: 'DATA takes no argument' };

/**
 * smtp-server's own reading of dots takes one away after a bare LF too, which changes content, and spends a turn of the
 * event loop on each: 6.5 s for 10 MB of them.
 */
class DataParser extends SMTPStream {
  #dots = new DotReader();

  override startDataMode(): ReturnType<SMTPStream['startDataMode']> {
    this.#dots = new DotReader();
    return super.startDataMode();
  }

  override _feedDataStream(chunk: Buffer, done: (error?: Error | null) => void): void {
    const stream = this._dataStream;
    if (stream === null) {
      done();
      return;
    }
    const { content, rest } = this.#dots.push(chunk);
    this._countDataBytes(content.length);
    if (rest !== undefined) {
      this._endDataMode(content, rest, done);
      return;
    }
    if (content.length === 0 || !stream.writable || stream.write(content) || stream.destroyed) {
      done();
      return;
    }
    const go = (): void => {
      stream.off('drain', go);
      stream.off('close', go);
      done();
    };
    stream.on('drain', go);
    stream.on('close', go);
  }
}

/** XCLIENT's attributes: false or empty when the proxy does not know. */
function text(value: string | number | false | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
