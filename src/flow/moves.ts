import type { Lookup } from '../directory/directory.ts';
import { addressKey } from '../mail/address.ts';
import type { Log } from '../observe/log.ts';
import type { Delivery } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import { lookUp } from './facts.ts';

/** What a round needs of the flow's context. */
type Round = Pick<FlowContext, 'policy' | 'directory' | 'store' | 'clock' | 'log' | 'poke'>;

export type MovePollerOptions = {
  /** Runs a job with the context that is current when it begins, and keeps it open until the job has ended. */
  readonly use: <T>(job: (context: Round) => Promise<T>) => Promise<T>;
  readonly log: Log;
  /** How often each user being moved is looked up again; read before every wait. */
  readonly pollMs: () => number;
  /** A hold that lasts longer than this raises an alarm. */
  readonly holdLimitMs: () => number;
};

/** Look-ups under way at a time. */
const CONCURRENCY = 20;

/**
 * Watches what is held: posts that wait for the end of a move go on when it has ended, and a hold that outlasts its
 * limit raises an alarm, once.
 */
export class MovePoller {
  readonly #options: MovePollerOptions;
  readonly #stopping = new AbortController();
  /** Holds that an alarm was raised for. */
  #alarmed: ReadonlySet<number> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(options: MovePollerOptions) {
    this.#options = options;
  }

  /** Looks at once, since a mark may have gone while nobody looked; then again and again. */
  start(): void {
    if (this.#stopping.signal.aborted || this.#round !== undefined || this.#timer !== undefined) return;
    this.#next();
  }

  /** Resolves when the round under way, if any, has ended; it ends early. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  #next(): void {
    this.#timer = undefined;
    this.#round = this.poll()
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'held posts could not be looked at'))
      .then(() => {
        this.#round = undefined;
        if (this.#stopping.signal.aborted) return;
        this.#timer = setTimeout(() => this.#next(), this.#options.pollMs());
      });
  }

  /** One round. */
  poll(): Promise<void> {
    return this.#options.use(async (context) => {
      const held = context.store.list({ states: ['held'] });
      this.#alarm(context, held);
      await this.#resume(
        context,
        held.filter(({ kind, decisions }) => kind === 'post' && decisions.at(-1)?.rule === 'moving'),
      );
    });
  }

  #alarm({ clock, log }: Round, held: readonly Delivery[]): void {
    const before = clock() - this.#options.holdLimitMs();
    const overdue = held.filter(({ heldAt }) => heldAt !== undefined && heldAt < before);
    for (const delivery of overdue) {
      if (this.#alarmed.has(delivery.id)) continue;
      const decision = delivery.decisions.at(-1);
      const reason = decision?.post.kind === 'hold' ? decision.post.reason : delivery.outcome?.reason;
      log.warn({
        event: 'held-too-long',
        alarm: true,
        queueId: delivery.queueId,
        to: delivery.recipient,
        rule: decision?.rule,
        reason,
        heldMs: clock() - (delivery.heldAt ?? clock()),
      });
    }
    this.#alarmed = new Set(overdue.map(({ id }) => id));
  }

  async #resume(context: Round, held: readonly Delivery[]): Promise<void> {
    const waiting = Map.groupBy(held, ({ recipient }) => addressKey(recipient));
    const users = [...waiting.values()];
    const work = async (): Promise<void> => {
      for (let posts = users.shift(); posts !== undefined; posts = users.shift()) {
        if (this.#stopping.signal.aborted) return;
        await this.#resumeUser(context, posts);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, users.length) }, work));
  }

  /** @param posts of one recipient, in order of acceptance */
  async #resumeUser(context: Round, posts: readonly Delivery[]): Promise<void> {
    const recipient = posts[0]?.recipient ?? '';
    const lookup = await lookUp(context, recipient, this.#stopping.signal, { fresh: true });
    if (isStillMoving(lookup)) return;
    const ids = posts.map(({ id }) => id);
    const resumed = await context.store.operate('resume', ids, context.clock());
    if (resumed.size === 0) return;
    context.log.info({ event: 'move-ended', to: recipient, posts: resumed.size });
    context.poke();
  }
}

/** Whoever is found no longer, or twice, or is of no domain of ours any more, is not moving: his posts are decided anew. */
function isStillMoving(lookup: Lookup | undefined): boolean {
  if (lookup?.kind === 'no-answer') return true;
  return lookup?.kind === 'found' && lookup.entries.length === 1 && lookup.entries[0].moving;
}
