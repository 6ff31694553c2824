import { closeSync, openSync, write, writeSync } from 'node:fs';

/** Lines are written together once they are this long, or when `flush` is called. */
const BATCH_CHARACTERS = 4096;
/** Lines that wait for a disk that is full or a reader that is slow; what comes after them is lost, and counted. */
const MAX_HELD_CHARACTERS = 4_000_000;
/** How long the end of the process waits for a reader that is slow. */
const SLOW_READER_MS = 2_000;

export type LineWriterOptions = {
  /** A file that is appended to, or a descriptor. */
  readonly to: string | number;
  /** Told once when lines cannot be written any more, in a sentence. */
  readonly onTrouble: (text: string) => void;
  /** The line that stands where lines were lost. */
  readonly lostLine: (count: number) => string;
};

/**
 * Appends lines to a file or descriptor in the background. A disk that is full, a file that is gone or a reader that
 * is slow never stops or ends the process: lines are held, bounded, and written when it works again.
 */
export class LineWriter {
  readonly #options: LineWriterOptions;
  #fd: number;
  #lines: string[] = [];
  #held = 0;
  /** Octets that were taken from `#lines` and are not written yet. */
  #rest: Buffer | undefined;
  #isWriting = false;
  #isGone = false;
  #lost = 0;
  #trouble = '';
  #oldFds: number[] = [];
  #onIdle: (() => void) | undefined;

  /** @throws what the file system says when the file cannot be opened */
  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#fd = typeof options.to === 'string' ? openSync(options.to, 'a') : options.to;
    process.on('exit', this.#atExit);
  }

  write(line: string): void {
    if (this.#isGone) return;
    if (this.#held > MAX_HELD_CHARACTERS) {
      this.#lost += 1;
      return;
    }
    if (this.#lost > 0) this.#hold(this.#options.lostLine(this.#lost));
    this.#lost = 0;
    this.#hold(line);
    // After a failure only `flush` tries again: not every line shall pay for a system call that fails.
    if (this.#held >= BATCH_CHARACTERS && this.#trouble === '') this.flush();
  }

  /** Begins to write what is held. */
  flush(): void {
    if (this.#isWriting || this.#isGone) return;
    this.#closeOld();
    if (this.#rest === undefined && this.#lines.length > 0) {
      this.#rest = Buffer.from(this.#lines.join(''));
      this.#lines = [];
    }
    const batch = this.#rest;
    if (batch === undefined) return;
    this.#isWriting = true;
    write(this.#fd, batch, 0, batch.length, null, (error, written) => {
      this.#isWriting = false;
      if (error === null) this.#wrote(batch, written);
      else this.#failed(error);
      this.#onIdle?.();
    });
  }

  /** Opens the file anew, after it was renamed. Where that fails the old one stays. */
  reopen(): void {
    if (typeof this.#options.to !== 'string') return;
    try {
      const fd = openSync(this.#options.to, 'a');
      this.#oldFds.push(this.#fd);
      this.#fd = fd;
    } catch (error) {
      this.#failed(error);
    }
    this.flush();
  }

  /** Writes what is held, as far as it can be written, and closes the file. */
  async close(): Promise<void> {
    const end = performance.now() + SLOW_READER_MS;
    for (;;) {
      this.flush();
      if (!this.#isWriting) break;
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      if (this.#trouble === '') continue;
      if (this.#trouble !== 'EAGAIN' || performance.now() > end) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.#isGone = true;
    process.off('exit', this.#atExit);
    this.#closeOld();
    if (typeof this.#options.to === 'string') closeSync(this.#fd);
  }

  #hold(line: string): void {
    this.#lines.push(line);
    this.#held += line.length;
  }

  #wrote(batch: Buffer, octets: number): void {
    this.#trouble = '';
    this.#rest = octets < batch.length ? batch.subarray(octets) : undefined;
    if (this.#rest === undefined) this.#held = this.#lines.reduce((sum, line) => sum + line.length, 0);
    if (this.#rest !== undefined || this.#held >= BATCH_CHARACTERS) this.flush();
  }

  #failed(error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    // Whoever read the log has gone: nobody is left to write for.
    if (code === 'EPIPE') this.#isGone = true;
    // EAGAIN is a reader that is slow.
    else if (code !== 'EAGAIN' && code !== this.#trouble) {
      const what = typeof this.#options.to === 'string' ? `the log ${this.#options.to}` : 'the log';
      this.#options.onTrouble(`${what} cannot be written (${code}); lines are held until it can, up to 4 MB`);
    }
    this.#trouble = code;
  }

  #closeOld(): void {
    if (this.#isWriting) return;
    for (const fd of this.#oldFds) closeSync(fd);
    this.#oldFds = [];
  }

  // The end of the process without `close`: one attempt, which must not wait.
  readonly #atExit = (): void => {
    if (this.#isGone) return;
    const rest = this.#isWriting ? [] : [this.#rest ?? Buffer.alloc(0)];
    try {
      writeSync(this.#fd, Buffer.concat([...rest, Buffer.from(this.#lines.join(''))]));
    } catch (error) {
      this.#failed(error);
    }
  };
}
