import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type BodyWriter, type StoredBody, StoreFullError } from './store.ts';

/**
 * The folder of bodies too large for a row. A file is whole and durable before the row that names it is written; a
 * file no row names is an orphan of a process that died, or of a message that was never accepted.
 */
export class Spool {
  readonly #folder: string;
  readonly #prefix: string;
  readonly #inlineBytes: number;
  readonly #deletions = new Set<Promise<void>>();

  /**
   * @param prefix begins the name of every file written here, so that a starting server deletes its predecessor's
   *   orphans and not what an operator's command beside it is writing
   */
  constructor(folder: string, options: { readonly prefix: string; readonly inlineBytes: number }) {
    this.#folder = folder;
    this.#prefix = options.prefix;
    this.#inlineBytes = options.inlineBytes;
  }

  /** Creates the folder where it is missing. */
  async prepare(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }

  openBody(): BodyWriter {
    return new SpoolWriter(this.#folder, `${this.#prefix}${randomBytes(12).toString('hex')}`, this.#inlineBytes);
  }

  read(file: string): Promise<Buffer> {
    return readFile(join(this.#folder, file));
  }

  stream(file: string): Readable {
    return createReadStream(join(this.#folder, file), { highWaterMark: 1 << 18 });
  }

  /** Deletes files that no row names any more; nobody waits for it. A file that stays is an orphan of the next sweep. */
  drop(files: readonly string[]): void {
    for (const file of files) {
      const deletion = this.#unlink(file).finally(() => this.#deletions.delete(deletion));
      this.#deletions.add(deletion);
    }
  }

  /**
   * @param isOwned whether a row names the file
   * @param which `own-kind`: every file that a process of this kind wrote; else those last written before that time
   */
  async deleteOrphans(isOwned: (file: string) => boolean, which: 'own-kind' | number): Promise<void> {
    for (const file of await readdir(this.#folder)) {
      if (which === 'own-kind') {
        if (file.startsWith(this.#prefix) && !isOwned(file)) await this.#unlink(file);
        continue;
      }
      const writtenAt = await writtenAtMs(join(this.#folder, file));
      // The row is asked last: a file so old gets no row any more, one without a row a moment ago may have one now.
      if (writtenAt !== undefined && writtenAt < which && !isOwned(file)) await this.#unlink(file);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#deletions);
  }

  async #unlink(file: string): Promise<void> {
    try {
      await unlink(join(this.#folder, file));
    } catch (error) {
      // Gone already, or not ours to delete: the row that named it is gone either way, and a sweep tries again.
      if (errorCode(error) === undefined) throw error;
    }
  }
}

class SpoolWriter implements BodyWriter {
  readonly #folder: string;
  readonly #file: string;
  readonly #inlineBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #handle: FileHandle | undefined;

  constructor(folder: string, file: string, inlineBytes: number) {
    this.#folder = folder;
    this.#file = file;
    this.#inlineBytes = inlineBytes;
  }

  async write(chunk: Buffer): Promise<void> {
    this.#bytes += chunk.length;
    if (this.#bytes <= this.#inlineBytes) {
      this.#chunks.push(chunk);
      return;
    }
    try {
      if (this.#handle === undefined) {
        this.#handle = await open(join(this.#folder, this.#file), 'wx', 0o600);
        const kept = Buffer.concat(this.#chunks);
        this.#chunks = [];
        await this.#handle.writeFile(kept);
      }
      await this.#handle.writeFile(chunk);
    } catch (error) {
      throw asStoreError(error);
    }
  }

  async finish(): Promise<StoredBody> {
    if (this.#handle === undefined) return { kind: 'inline', bytes: Buffer.concat(this.#chunks, this.#bytes) };
    try {
      await this.#handle.datasync();
      await this.#close();
      await syncFolder(this.#folder);
    } catch (error) {
      throw asStoreError(error);
    }
    return { kind: 'spool', file: this.#file };
  }

  async abort(): Promise<void> {
    this.#chunks = [];
    await this.#close();
    if (this.#bytes <= this.#inlineBytes) return;
    try {
      await unlink(join(this.#folder, this.#file));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

/** Makes the names in a folder durable; without it a crash of the machine may lose a file whose content was synced. */
async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

async function writtenAtMs(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

/** A full disk or quota as the StoreFullError it is; any other error as it came. */
function asStoreError(error: unknown): unknown {
  const code = errorCode(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new StoreFullError('no space left for the body of a message', { cause: error });
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
