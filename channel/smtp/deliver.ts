import type { Readable } from 'node:stream';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { Log } from '../../src/observe/log.ts';
import type { Deliverer, MailBatch } from '../channel.ts';
import { fromTrouble, outcomesOf, type Replies, type Trouble } from './failures.ts';
import type { SmtpHopOptions } from './hop.ts';
import { ConnectionPool, type Lease } from './pool.ts';
import { type Plan, planTransaction } from './relaying.ts';

/** Passes mail on to one next hop, by SMTP or LMTP. */
export class SmtpDeliverer implements Deliverer<MailBatch> {
  readonly channel = 'smtp';
  readonly destination: string;
  readonly #pool: ConnectionPool;
  readonly #protocol: SmtpHopOptions['protocol'];
  readonly #log: Log;

  constructor(options: SmtpHopOptions, log: Log) {
    this.destination = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
    this.#pool = new ConnectionPool(options);
    this.#protocol = options.protocol;
    this.#log = log;
  }

  /**
   * One transaction for the whole batch. Where a reused connection dies before MAIL was answered, one more on a fresh
   * connection: a next hop may close an idle session at any time, and nothing has been handed over yet.
   */
  async deliver(batch: MailBatch, signal: AbortSignal): Promise<readonly Outcome[]> {
    const startedAt = performance.now();
    const lease = await this.#pool.acquire(signal);
    const connectMs = Math.round(performance.now() - startedAt);
    const outcomes = await this.#deliverBy(lease, batch, signal);
    return outcomes.map((outcome) => ({ ...outcome, connectMs }));
  }

  async #deliverBy(lease: Lease | Trouble, batch: MailBatch, signal: AbortSignal): Promise<readonly Outcome[]> {
    if (isTrouble(lease)) return batch.recipients.map(() => fromTrouble(lease, this.destination));
    const attempt = await this.#attempt(batch, lease, signal);
    if (!lease.reused || !diedUnheard(attempt.replies)) return this.#finish(batch, attempt, lease);
    this.#log.debug({ queueId: batch.queueId, relay: this.destination }, 'the connection had died while unused');
    const fresh = await this.#pool.renew(lease, signal);
    if (isTrouble(fresh)) return batch.recipients.map(() => fromTrouble(fresh, this.destination));
    return this.#finish(batch, await this.#attempt(batch, fresh, signal), fresh);
  }

  /** Says goodbye to the idle connections. Those at work close when their transaction ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }

  async #attempt(batch: MailBatch, lease: Lease, signal: AbortSignal): Promise<Attempt> {
    try {
      const plan = await planTransaction(batch, lease.connection.offers, this.destination);
      if (plan.recipients.length === 0) return { plan, replies: NOTHING_SENT };
      return { plan, replies: await lease.connection.transact(plan, contentOf(batch), signal) };
    } catch (error) {
      lease.connection.close();
      this.#pool.release(lease);
      throw error;
    }
  }

  #finish(batch: MailBatch, { plan, replies }: Attempt, lease: Lease): readonly Outcome[] {
    this.#pool.release(lease);
    if (replies.trouble?.kind === 'unreadable')
      this.#log.error(
        { err: replies.trouble.cause, queueId: batch.queueId },
        'the message could not be read from the queue',
      );
    const answers = outcomesOf(replies, plan.recipients.length, this.#protocol, this.destination);
    const outcomes = new Map(plan.refused);
    for (const [index, { position }] of plan.recipients.entries()) {
      const outcome = answers[index];
      if (outcome !== undefined) outcomes.set(position, outcome);
    }
    return batch.recipients.map((recipient, position) => {
      const outcome = outcomes.get(position) ?? fromTrouble({ kind: 'lost', code: 'no reply' }, this.destination);
      // RFC 3461 §5.2.2: the duty to report success ends with us then.
      const silent =
        outcome.kind === 'delivered' && !lease.connection.offers.dsn && recipient.notify?.includes('SUCCESS') === true;
      return silent ? { ...outcome, relayedWithoutDsn: true } : outcome;
    });
  }
}

type Attempt = { readonly plan: Plan; readonly replies: Replies };

const NOTHING_SENT: Replies = { recipients: [], end: [] };

function isTrouble(result: Lease | Trouble): result is Trouble {
  return 'kind' in result;
}

function diedUnheard({ mail, trouble }: Replies): boolean {
  if (mail !== undefined) return mail.startsWith('421');
  return trouble?.kind === 'lost' || trouble?.kind === 'refused';
}

/** Our header lines, then the message. */
function contentOf(batch: MailBatch): Buffer | Readable {
  const body = batch.body();
  if (Buffer.isBuffer(body)) return Buffer.concat([batch.prepend, body]);
  if (batch.prepend.length > 0) body.unshift(batch.prepend);
  return body;
}
