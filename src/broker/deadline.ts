/** Why work was stopped: its time is over. */
export const LATE = new Error('no answer in time');

/** How long before the end of a question its work is stopped, so that what is known by then still counts, ms. */
const MAX_MARGIN_MS = 100;

/** The time that one question has. To be closed when it is answered. */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  readonly #caller: AbortSignal;
  readonly #stopAt: number;
  #timer: NodeJS.Timeout;
  #isOver = false;

  /** @param caller his abort ends it at once */
  constructor(ms: number, caller: AbortSignal) {
    const marginMs = Math.min(MAX_MARGIN_MS, ms / 10);
    this.#caller = caller;
    this.#stopAt = performance.now() + ms - marginMs;
    this.#timer = setTimeout(() => {
      this.#timer = setTimeout(this.#end, marginMs);
      this.#controller.abort(LATE);
    }, ms - marginMs);
    if (caller.aborted) this.#leave();
    else caller.addEventListener('abort', this.#leave);
  }

  /** Aborted a moment before the end, by `LATE`, or by the caller's reason. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves at the end, when nothing is waited for any more, whoever still works; not where it is closed before. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Until work is stopped, ms. */
  get leftMs(): number {
    return Math.max(0, this.#stopAt - performance.now());
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#caller.removeEventListener('abort', this.#leave);
  }

  readonly #leave = (): void => {
    this.#controller.abort(this.#caller.reason);
    this.#end();
  };

  readonly #end = (): void => {
    this.#isOver = true;
    this.#over.resolve();
  };
}
