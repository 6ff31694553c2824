import { readFile, stat } from 'node:fs/promises';
import { addressKey, parseAddress } from '../mail/address.ts';
import type { Log } from '../observe/log.ts';

/** A list of addresses as it stands; `trouble` when it was never read, so that nobody can be said to be outside. */
export type AddressList =
  | { readonly kind: 'list'; readonly has: (address: string) => boolean }
  | { readonly kind: 'trouble'; readonly reason: string };

/** How often the file is looked at, at most, in ms. */
const LOOK_AGAIN_MS = 1000;
const MAX_FILE_BYTES = 16 * 2 ** 20;

/**
 * A file of addresses, one on a line, `#` before a comment, that is read again when it changes. A file that cannot be
 * read, or has a line that is no address, changes nothing: what was read last stays, and a warning says so once.
 */
export class AddressFile {
  readonly #path: string;
  readonly #log: Log;
  readonly #clock: () => number;
  #keys: ReadonlySet<string> | undefined;
  /** What the file looked like when it was read last, whether it could be used or not. */
  #seen = '';
  #trouble: string | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(path: string, log: Log, clock: () => number) {
    this.#path = path;
    this.#log = log;
    this.#clock = clock;
    // At once, so that a start with a wrong name is seen in the log; it does not reject.
    void this.current(true);
  }

  /** @param fresh look at the file now, else once a second at most */
  async current(fresh: boolean): Promise<AddressList> {
    if (fresh || this.#clock() - this.#lookedAt >= LOOK_AGAIN_MS) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
      await this.#looking;
    }
    const keys = this.#keys;
    return keys === undefined
      ? { kind: 'trouble', reason: this.#trouble ?? `${this.#path} was not read` }
      : { kind: 'list', has: (address) => keys.has(addressKey(address)) };
  }

  /** What is wrong with the file now; undefined when nothing is. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  async #look(): Promise<void> {
    try {
      const before = await this.#identity();
      if (before !== this.#seen) {
        const text = await readFile(this.#path, 'utf8');
        // Written to while we read it: what we have may be half of it. The next look reads it whole.
        if ((await this.#identity()) !== before) {
          if (this.#keys === undefined) this.#note(`${this.#path} changed while it was read`);
          return;
        }
        this.#seen = before;
        this.#take(text);
      }
    } catch (error) {
      this.#seen = '';
      this.#note(`${this.#path} cannot be read (${codeOf(error)})`);
    }
    this.#lookedAt = this.#clock();
  }

  #take(text: string): void {
    const read = parseAddressList(text);
    if (read.kind === 'no-list') {
      this.#note(
        `${this.#path}:${read.line}: got ${JSON.stringify(read.text.slice(0, 80))}, need one address on a line`,
      );
      return;
    }
    this.#keys = read.keys;
    this.#note(undefined);
    this.#log.info({ event: 'moving file read', file: this.#path, addresses: read.keys.size });
  }

  /** Logs a change of state only. */
  #note(trouble: string | undefined): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    if (trouble === undefined) return;
    const meanwhile =
      this.#keys === undefined ? 'look-ups get no answer until it can be used' : 'the users it named last stay';
    this.#log.warn({ event: 'moving file unusable', file: this.#path, reason: trouble }, `${trouble}; ${meanwhile}`);
  }

  async #identity(): Promise<string> {
    const { ino, size, mtimeNs, ctimeNs } = await stat(this.#path, { bigint: true });
    if (size > MAX_FILE_BYTES)
      throw Object.assign(new Error('too large'), { code: `larger than ${MAX_FILE_BYTES} bytes` });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  }
}

/** @returns the keys of the addresses, or the first line that is none, counted from 1 */
export function parseAddressList(
  text: string,
):
  | { readonly kind: 'addresses'; readonly keys: ReadonlySet<string> }
  | { readonly kind: 'no-list'; readonly line: number; readonly text: string } {
  const keys = new Set<string>();
  const lines = text.replace(/^\u{feff}/u, '').split(/\r\n|\n|\r/);
  for (const [index, line] of lines.entries()) {
    const address = line.replace(/(?:^|\s)#.*$/, '').trim();
    if (address === '') continue;
    if (/\s/.test(address) || parseAddress(address) === undefined)
      return { kind: 'no-list', line: index + 1, text: line };
    keys.add(addressKey(address));
  }
  return { kind: 'addresses', keys };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
