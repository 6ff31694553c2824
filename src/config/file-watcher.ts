import { stat } from 'node:fs/promises';

const LOOK_EVERY_MS = 2_000;

export type FileWatcherOptions = {
  /** A file has another content, the same for two looks; or one that had gone is back. The next look waits for this. */
  readonly onChange: (file: string) => Promise<void>;
  /** A file has gone. */
  readonly onGone: (file: string) => void;
};

type Watched = {
  /** What the file looked like when it was taken as it is. */
  taken: string;
  /** What it looked like at the last look. */
  seen: string;
};

const GONE = 'gone';

/**
 * Looks at files again and again, by their inode, size and times: that works for files that are replaced, on network
 * file systems and for those that are not there. A file is not reported while it is being written: first it must look
 * the same twice.
 */
export class FileWatcher {
  readonly #options: FileWatcherOptions;
  #files = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: FileWatcherOptions) {
    this.#options = options;
  }

  /** Begins to look by itself. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.#looking ??= this.look().finally(() => {
        this.#looking = undefined;
      });
    }, LOOK_EVERY_MS).unref();
  }

  /** Watches these and no others; one that was not watched before is taken as it is now. */
  async watch(files: Iterable<string>): Promise<void> {
    const watched = [...new Set(files)].map(async (file): Promise<[string, Watched]> => {
      const known = this.#files.get(file);
      if (known !== undefined) return [file, known];
      const looks = await looksOf(file);
      return [file, { taken: looks, seen: looks }];
    });
    this.#files = new Map(await Promise.all(watched));
  }

  /** Takes every file as it is now: to be called before all of them are read, so that no later change is overlooked. */
  async take(): Promise<void> {
    for (const [file, watched] of this.#files) watched.taken = watched.seen = await looksOf(file);
  }

  /** Whether a file that is there is not what it was when it was taken or reported: it is being written. */
  async isBeingWritten(): Promise<boolean> {
    for (const [file, { taken }] of this.#files) {
      const looks = await looksOf(file);
      if (looks !== GONE && looks !== taken) return true;
    }
    return false;
  }

  /** One look at each file. */
  async look(): Promise<void> {
    for (const [file, watched] of this.#files) {
      const looks = await looksOf(file);
      const isSettled = looks === watched.seen;
      watched.seen = looks;
      if (!isSettled || looks === watched.taken) continue;
      watched.taken = looks;
      if (looks === GONE) this.#options.onGone(file);
      else await this.#options.onChange(file);
    }
  }

  /** Looks no more, and waits for the look under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }
}

async function looksOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return GONE;
    throw error;
  }
}
