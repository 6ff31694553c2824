import type { FlowContext } from './context.ts';

/**
 * Runs a job with what is configured now, and with that to its end whatever is configured meanwhile.
 * @param job `until` makes what goes on after the job has ended, such as an attempt whose client has its reply, part
 *   of the use
 */
export type Use = <T>(job: (context: FlowContext, until: (end: Promise<unknown>) => void) => Promise<T>) => Promise<T>;

type Generation = { readonly context: FlowContext; uses: number };
type Replaced = { readonly generation: Generation; readonly dispose: () => Promise<void> };

/** What the flow works with, from one configuration to the next: what began under one ends under it. */
export class Generations implements AsyncDisposable {
  #current: Generation;
  /** Oldest first. What a generation shared with the one before it is closed no sooner than that one's. */
  readonly #replaced: Replaced[] = [];
  readonly #closing = new Set<Promise<void>>();

  constructor(context: FlowContext) {
    this.#current = { context, uses: 0 };
  }

  readonly use: Use = async (job) => {
    const generation = this.#current;
    generation.uses++;
    const rest: Promise<unknown>[] = [];
    const end = (): void => {
      generation.uses--;
      this.#closeUnused();
    };
    try {
      return await job(generation.context, (more) => rest.push(more));
    } finally {
      if (rest.length === 0) end();
      else void Promise.allSettled(rest).then(end);
    }
  };

  /**
   * Uses from now on get `context`.
   * @param dispose closes what only earlier contexts have; called once, when their last use has ended
   */
  replace(context: FlowContext, dispose: () => Promise<void>): void {
    this.#replaced.push({ generation: this.#current, dispose });
    this.#current = { context, uses: 0 };
    this.#closeUnused();
  }

  /** Closes what was replaced, whether or not it is still in use. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const replaced of this.#replaced.splice(0)) this.#close(replaced);
    await Promise.all(this.#closing);
  }

  #closeUnused(): void {
    for (let oldest = this.#replaced[0]; oldest?.generation.uses === 0; oldest = this.#replaced[0]) {
      this.#replaced.shift();
      this.#close(oldest);
    }
  }

  #close({ generation: { context }, dispose }: Replaced): void {
    const closing = dispose()
      .catch((error: unknown) => context.log.error({ err: error }, 'what was replaced could not be closed'))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
