import type { Acceptor, ListenerFacts } from '../../src/flow/acceptor.ts';
import type { Client, EnvelopeRecipient } from '../../src/mail/envelope.ts';
import { type Reply, reply } from '../../src/mail/status.ts';
import type { Log } from '../../src/observe/log.ts';
import { StoreFullError } from '../../src/queue/store.ts';
import { type ForwardedClient, type MailCommand, parseForwarded, parseMail, parseRcpt } from './commands.ts';
import { type Content, ContentLostError, ContentRefusedError } from './content.ts';

/** What all sessions of one listener share. */
export type SessionContext = {
  readonly listener: ListenerFacts;
  readonly acceptor: Acceptor;
  readonly log: Log;
  readonly hostname: string;
  readonly maxSizeBytes: number;
  readonly maxRecipients: number;
};

/** What the connection itself knows of the client, at this moment. */
export type Peer = {
  readonly address: string;
  readonly helo?: string;
  /** Name and protocol only from a listed MTA (XCLIENT). */
  readonly name?: string;
  readonly protocol?: string;
  readonly esmtp: boolean;
  readonly secure: boolean;
};

type Transaction = {
  readonly mail: MailCommand;
  /** Every accepted RCPT. Equal addresses stay apart: LMTP owes a reply to each (RFC 2033 §4.2). */
  readonly recipients: EnvelopeRecipient[];
  /** Aborts when the client goes away. */
  readonly gone: AbortController;
};

/** The mail side of one connection: its transactions, one after another, and who stands behind them. */
export class Session {
  readonly #context: SessionContext;
  #transaction: Transaction | undefined;
  #forwarded: ForwardedClient = {};

  constructor(context: SessionContext) {
    this.#context = context;
  }

  get inTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  mail(line: string): Reply {
    if (this.#transaction !== undefined) return reply('5.5.1', 'a transaction is open already, RSET first');
    const { listener, maxSizeBytes } = this.#context;
    const command = parseMail(line, listener.mode === 'copy' ? Infinity : maxSizeBytes);
    if (command.kind === 'refused') return command.reply;
    const { kind: _, ...mail } = command;
    this.#transaction = { mail, recipients: [], gone: new AbortController() };
    return reply('2.1.0', 'sender accepted');
  }

  /** Never rejects: what cannot be judged is 451. */
  async rcpt(line: string): Promise<Reply> {
    const { acceptor, listener, hostname, maxRecipients } = this.#context;
    const transaction = this.#transaction;
    if (transaction === undefined) return reply('5.5.1', 'need MAIL first');
    try {
      const command = parseRcpt(line, hostname);
      if (command.kind === 'refused') return command.reply;
      if (transaction.recipients.length >= maxRecipients)
        return reply('4.5.3', 'too many recipients in one transaction');
      const verdict = await acceptor.recipient(listener, command.recipient, transaction.gone.signal);
      if (verdict.kind === 'refused') return verdict.reply;
      transaction.recipients.push(verdict.recipient);
      return reply('2.1.5', 'recipient accepted');
    } catch (error) {
      return this.#unforeseen(error, 'RCPT');
    }
  }

  /** @returns why DATA cannot follow now */
  refuseData(): Reply | undefined {
    if (this.#transaction === undefined) return reply('5.5.1', 'need MAIL first');
    return this.#transaction.recipients.length === 0 ? reply('5.5.1', 'need an accepted RCPT first') : undefined;
  }

  /**
   * Hands the message over; ends when its last octet is in and it has been judged. Never rejects.
   * @returns one reply for SMTP, for LMTP one per accepted RCPT; none when nobody is left to be answered
   */
  async message(content: Content, peer: Peer): Promise<readonly Reply[]> {
    const transaction = this.#transaction;
    if (transaction === undefined) return [];
    const { acceptor, listener, log } = this.#context;
    const wanted = listener.protocol === 'lmtp' ? transaction.recipients.length : 1;
    let replies: readonly Reply[];
    try {
      const envelope = { ...transaction.mail, recipients: transaction.recipients };
      const client = this.#client(peer, transaction.mail.smtpUtf8);
      replies = await acceptor.message({ listener, client, envelope, content, signal: transaction.gone.signal });
      if (replies.length !== wanted) throw new Error(`${replies.length} replies for ${wanted} recipients`);
    } catch (error) {
      replies = Array<Reply>(wanted).fill(this.#failure(content, error));
    }
    content.discard();
    const complete = await content.settled;
    const { bareNewlines, error } = content;
    const facts = { listener: listener.name, client: peer.address, from: transaction.mail.reversePath };
    if (bareNewlines > 0) log.info({ ...facts, bareNewlines }, 'bare CR or LF in a message');
    if (error !== undefined) log.info({ ...facts, reason: error.message }, 'message not taken');
    return complete ? replies : [];
  }

  /** Takes what a listed MTA says of its client (XFORWARD); it holds until the transaction ends. */
  forward(line: string): Reply {
    if (this.#transaction !== undefined) return reply('5.5.1', 'XFORWARD belongs before MAIL');
    const forwarded = parseForwarded(line);
    if (forwarded === undefined)
      return { code: 501, status: '5.5.4', text: 'bad attributes, need NAME=value with the value as xtext' };
    this.#forwarded = { ...this.#forwarded, ...forwarded };
    return reply('2.0.0', 'attributes taken');
  }

  /** Forgets the transaction and what was forwarded for it (RSET, EHLO, end of DATA, STARTTLS). */
  reset(): void {
    this.#transaction = undefined;
    this.#forwarded = {};
  }

  /** The client has gone: whoever works for it should know. */
  close(): void {
    this.#transaction?.gone.abort();
  }

  #client(peer: Peer, smtpUtf8: boolean): Client {
    const { address = peer.address, helo = peer.helo, name = peer.name, protocol = peer.protocol } = this.#forwarded;
    return {
      address,
      protocol: protocol ?? protocolName(this.#context.listener.protocol, peer, smtpUtf8),
      ...(name === undefined ? {} : { name }),
      ...(helo === undefined ? {} : { helo }),
    };
  }

  #failure(content: Content, error: unknown): Reply {
    const cause = content.error ?? error;
    if (cause instanceof ContentRefusedError) {
      // A refused duplicate would bounce to somebody who has not sent it.
      const isCopy = this.#context.listener.mode === 'copy';
      return isCopy ? reply('2.6.0', `copy dropped: ${cause.reply.text}`) : cause.reply;
    }
    if (cause instanceof ContentLostError) return reply('4.4.2', cause.message);
    if (cause instanceof StoreFullError) {
      this.#context.log.warn({ listener: this.#context.listener.name, err: cause }, 'no room in the queue');
      return reply('4.3.1', 'no room in the queue, try again later');
    }
    return this.#unforeseen(cause, 'DATA');
  }

  #unforeseen(error: unknown, command: string): Reply {
    this.#context.log.error({ listener: this.#context.listener.name, command, err: error }, 'a command failed');
    return reply('4.3.0', 'internal error, try again later');
  }
}

/** The with clause of Received: RFC 3848, with SMTPUTF8 RFC 6531 §4.3. */
function protocolName(protocol: 'smtp' | 'lmtp', peer: Peer, smtpUtf8: boolean): string {
  const secure = peer.secure ? 'S' : '';
  if (smtpUtf8) return `UTF8${protocol.toUpperCase()}${secure}`;
  if (protocol === 'lmtp') return `LMTP${secure}`;
  return peer.esmtp ? `ESMTP${secure}` : 'SMTP';
}
