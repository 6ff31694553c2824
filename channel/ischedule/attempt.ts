import type { Silence } from '../../src/http/silence.ts';

/**
 * The deadline of one attempt joined with the caller's signal. `AbortSignal.timeout` would keep its timer, and
 * `AbortSignal.any` its place in the caller's signal, for the whole deadline after an attempt that took milliseconds.
 */
export class Attempt {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #caller: AbortSignal;
  readonly #stopped: Silence;
  #ended: Silence | undefined;

  /** @param stopped what it means that the caller's signal ends it */
  constructor(caller: AbortSignal, timeoutMs: number, stopped: Silence = { kind: 'stopped' }) {
    this.#caller = caller;
    this.#stopped = stopped;
    this.#timer = setTimeout(() => this.#abort({ kind: 'too-slow' }), timeoutMs);
    caller.addEventListener('abort', this.#onStop);
    if (caller.aborted) this.#onStop();
  }

  readonly #onStop = (): void => this.#abort(this.#stopped);

  #abort(silence: Silence): void {
    this.#ended ??= silence;
    this.#controller.abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the attempt was cut short; undefined while it was not. */
  get ended(): Silence | undefined {
    return this.#ended;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#caller.removeEventListener('abort', this.#onStop);
  }
}
