import type { Readable } from 'node:stream';
import { type Reply, reply } from '../../src/mail/status.ts';
import { tooBig } from './commands.ts';
import { NewlineNormalizer } from './newlines.ts';

/** What is kept of a message that its reader has not asked for yet, before the client is made to wait. */
const HIGH_WATER_BYTES = 256 * 1024;
/** Least that is still read of a message beyond the limit before the connection is closed on it. */
const LEAST_EXCESS_BYTES = 1024 * 1024;

/** The message cannot be taken; `reply` says so once its last octet is in. */
export class ContentRefusedError extends Error {
  override readonly name = 'ContentRefusedError';
  readonly reply: Reply;

  constructor(answer: Reply) {
    super(answer.text);
    this.reply = answer;
  }
}

/** The end of the message will never come: client gone, or a deadline over. Nobody is left to be answered. */
export class ContentLostError extends Error {
  override readonly name = 'ContentLostError';
}

export type ContentLimits = {
  readonly maxSizeBytes: number;
  readonly bareNewline: 'normalize' | 'reject';
};

/**
 * The content of one message while it comes in: limits, line ends, and a bounded buffer towards one reader. Whatever
 * becomes of the reader, the rest is read off the wire, so that the reply comes after the end of data.
 */
export class Content implements AsyncIterable<Buffer> {
  /** Resolves when the end of data was seen (true), or will never be (false). */
  readonly settled: Promise<boolean>;
  readonly #stream: Readable;
  readonly #limits: ContentLimits;
  readonly #newlines = new NewlineNormalizer();
  readonly #onExcess: () => void;
  #settle: (complete: boolean) => void = () => {};
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #receivedBytes = 0;
  #error: ContentRefusedError | ContentLostError | undefined;
  #ended = false;
  #discarding = false;
  #wake: (() => void) | undefined;

  /** @param onExcess the client sends on far beyond the limit: close the connection */
  constructor(stream: Readable, limits: ContentLimits, onExcess: () => void) {
    this.#stream = stream;
    this.#limits = limits;
    this.#onExcess = onExcess;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    stream.on('data', (chunk: Buffer) => this.#take(chunk));
    stream.on('end', () => this.#end());
    stream.on('error', () => this.fail(new ContentLostError('the client went away within the message')));
    stream.on('close', () => {
      if (!this.#ended) this.fail(new ContentLostError('the client went away within the message'));
    });
  }

  /** Why the content cannot be had whole, once that is known. */
  get error(): ContentRefusedError | ContentLostError | undefined {
    return this.#error;
  }

  /** Bare CR and LF that became CRLF. */
  get bareNewlines(): number {
    return this.#newlines.count;
  }

  /** Gives the reader this error in place of the rest, unless the end of data was seen; after a {@link ContentLostError} no more is awaited. */
  fail(error: ContentRefusedError | ContentLostError): void {
    if (this.#ended) return;
    this.#error ??= error;
    this.discard();
    this.#wake?.();
    if (error instanceof ContentLostError) this.#settle(false);
  }

  /** Nobody reads any more: what is still to come is read off and dropped. */
  discard(): void {
    this.#discarding = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  /** @throws ContentRefusedError, ContentLostError */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (;;) {
        if (this.#error !== undefined) throw this.#error;
        const ready = this.#queue;
        if (ready.length > 0) {
          this.#queue = [];
          this.#queuedBytes = 0;
          if (this.#stream.isPaused()) this.#stream.resume();
          for (const chunk of ready) yield chunk;
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.discard();
    }
  }

  #take(chunk: Buffer): void {
    const { maxSizeBytes, bareNewline } = this.#limits;
    this.#receivedBytes += chunk.length;
    if (this.#receivedBytes > maxSizeBytes) {
      if (this.#error === undefined) this.fail(new ContentRefusedError(tooBig(maxSizeBytes)));
      if (this.#receivedBytes > maxSizeBytes + Math.max(maxSizeBytes, LEAST_EXCESS_BYTES)) this.#onExcess();
      return;
    }
    if (this.#discarding) return;
    this.#keep(this.#newlines.push(chunk));
    if (bareNewline === 'reject' && this.#newlines.count > 0) this.#refuseBareNewline();
  }

  #end(): void {
    if (!this.#discarding) this.#keep(this.#newlines.end());
    if (this.#limits.bareNewline === 'reject' && this.#newlines.count > 0) this.#refuseBareNewline();
    this.#ended = true;
    this.#wake?.();
    this.#settle(true);
  }

  #keep(pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      this.#queue.push(piece);
      this.#queuedBytes += piece.length;
    }
    if (this.#queuedBytes > HIGH_WATER_BYTES) this.#stream.pause();
    this.#wake?.();
  }

  #refuseBareNewline(): void {
    if (this.#error !== undefined) return;
    const text = 'the message has a bare CR or LF; lines must end in CRLF (RFC 5321 section 2.3.8)';
    this.fail(new ContentRefusedError(reply('5.6.0', text)));
  }
}
