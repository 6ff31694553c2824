import { FileWatcher } from '../config/file-watcher.ts';
import type { Loaded } from '../config/load.ts';
import type { Gateway } from '../gateway.ts';
import type { ProcessLog } from '../observe/log.ts';

/** Changes or errors that one line of the log shows; a map has thousands of lines at a large site. */
const SHOWN = 100;

type Usable = Extract<Loaded, { readonly ok: true }>;

/**
 * Brings a changed configuration to a running gateway: when it is asked to, and when a file of the site's data has
 * changed. Each time everything is read again, and all of it is taken over or nothing; the log says which.
 */
export class Reloader {
  readonly #gateway = Promise.withResolvers<Gateway>();
  readonly #log: ProcessLog;
  readonly #load: () => Loaded;
  readonly #watcher: FileWatcher;
  #warnings: readonly string[];
  #reloading: Promise<void> = Promise.resolve();
  #isStopped = false;

  private constructor(log: ProcessLog, load: () => Loaded, first: Usable) {
    this.#log = log;
    this.#load = load;
    this.#warnings = first.warnings;
    this.#watcher = new FileWatcher({
      onChange: (file) => this.#after(() => this.#reload(file)),
      onGone: (file) =>
        log.warn(
          { event: 'file-gone', file },
          'what was read from it stays in force; it is read again once it is back',
        ),
    });
  }

  /**
   * To be called before the gateway starts, so that no change while it does is overlooked.
   * @param first what it is started with
   */
  static async prepare(log: ProcessLog, load: () => Loaded, first: Usable): Promise<Reloader> {
    const reloader = new Reloader(log, load, first);
    await reloader.#watcher.watch(first.files);
    return reloader;
  }

  /** The gateway serves: what was asked for meanwhile is done now, and files are watched. */
  start(gateway: Gateway): void {
    this.#gateway.resolve(gateway);
    this.#watcher.start();
  }

  /** Reads everything now. Settles when the log has the result; never rejects. */
  reload(trigger: 'SIGHUP'): Promise<void> {
    return this.#after(async () => {
      await this.#watcher.take();
      await this.#reload(trigger);
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#watcher.stop();
    await this.#reloading;
  }

  #after(job: () => Promise<void>): Promise<void> {
    this.#reloading = this.#reloading
      .then(() => (this.#isStopped ? undefined : job()))
      .catch((error: unknown) => this.#log.error({ err: error }, 'internal error in a reload'));
    return this.#reloading;
  }

  async #reload(trigger: string): Promise<void> {
    const gateway = await this.#gateway.promise;
    const loaded = this.#load();
    // Of two files that belong together the other may be half written: it will be reported when it is whole.
    if (trigger !== 'SIGHUP' && (await this.#watcher.isBeingWritten())) return;
    const result = loaded.ok ? await gateway.reload(loaded.config) : loaded;
    if (!loaded.ok || !result.ok) {
      const errors = result.ok ? [] : result.errors;
      this.#log.error(
        { event: 'reload-refused', trigger, errors: some(errors) },
        'what was loaded before stays in force',
      );
      return;
    }
    this.#log.setLevel(loaded.config.log.level);
    await this.#watcher.watch(loaded.files);
    const warnings = loaded.warnings.filter((warning) => !this.#warnings.includes(warning));
    this.#warnings = loaded.warnings;
    this.#log.info({ event: 'reloaded', trigger, changes: some(result.changes) });
    if (warnings.length > 0) this.#log.warn({ event: 'reload-warnings', trigger, warnings: some(warnings) });
    if (result.later.length > 0) {
      this.#log.warn(
        { event: 'restart-needed', trigger, changes: some(result.later) },
        'takes effect at the next start',
      );
    }
  }
}

function some(texts: readonly string[]): readonly string[] {
  return texts.length <= SHOWN ? texts : [...texts.slice(0, SHOWN), `and ${texts.length - SHOWN} more`];
}
