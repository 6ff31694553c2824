import type { Readable } from 'node:stream';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { Log } from '../../src/observe/log.ts';
import type { Deliverer, MailBatch } from '../channel.ts';
import { fromTrouble, outcomesOf, type Replies, type Trouble } from './failures.ts';
import type { SmtpHopOptions } from './hop.ts';
import { destinationOf, type HopHost, HopHosts } from './hosts.ts';
import type { Lease } from './pool.ts';
import { type Plan, planTransaction } from './relaying.ts';

/** Passes mail on to one next hop, which may be several servers, by SMTP or LMTP. */
export class SmtpDeliverer implements Deliverer<MailBatch> {
  readonly channel = 'smtp';
  /** Of the first server. */
  readonly destination: string;
  readonly #hosts: HopHosts;
  readonly #protocol: SmtpHopOptions['protocol'];
  readonly #log: Log;

  constructor(options: SmtpHopOptions, log: Log) {
    this.destination = destinationOf(options.host, options.port);
    this.#hosts = new HopHosts(options);
    this.#protocol = options.protocol;
    this.#log = log;
  }

  /**
   * One transaction for the whole batch. Where a reused connection dies before MAIL was answered, one more on a fresh
   * connection: a next hop may close an idle session at any time. Where a server cannot be used at all, or goes before
   * it has asked for the content, the next one in order: nothing has been handed over yet.
   */
  async deliver(batch: MailBatch, signal: AbortSignal): Promise<readonly Outcome[]> {
    const startedAt = performance.now();
    const hosts = this.#hosts.inOrder();
    let connectMs = 0;
    for (const [index, host] of hosts.entries()) {
      const lease = await host.pool.acquire(signal);
      connectMs = Math.round(performance.now() - startedAt);
      const tried = await this.#deliverBy(host, lease, batch, signal);
      if (tried.wentOut) this.#hosts.served(host);
      else if (!signal.aborted) {
        this.#hosts.failed(host);
        const next = hosts[index + 1];
        if (next !== undefined) {
          const [outcome] = tried.outcomes;
          const facts = { queueId: batch.queueId, relay: host.destination, reason: outcome?.reason };
          this.#log.warn({ ...facts, next: next.destination }, 'this server cannot be used: the next one is tried');
          continue;
        }
      }
      return tried.outcomes.map((outcome) => ({ ...outcome, connectMs }));
    }
    throw new Error('a hop has no server');
  }

  async #deliverBy(host: HopHost, lease: Lease | Trouble, batch: MailBatch, signal: AbortSignal): Promise<Tried> {
    if (isTrouble(lease)) return unusable(host, batch, lease);
    const attempt = await this.#attempt(host, batch, lease, signal);
    if (!lease.reused || !diedUnheard(attempt.replies)) return this.#finish(host, batch, attempt, lease);
    this.#log.debug({ queueId: batch.queueId, relay: host.destination }, 'the connection had died while unused');
    const fresh = await host.pool.renew(lease, signal);
    if (isTrouble(fresh)) return unusable(host, batch, fresh);
    return this.#finish(host, batch, await this.#attempt(host, batch, fresh, signal), fresh);
  }

  /** Says goodbye to the idle connections. Those at work close when their transaction ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hosts[Symbol.asyncDispose]();
  }

  async #attempt(host: HopHost, batch: MailBatch, lease: Lease, signal: AbortSignal): Promise<Attempt> {
    try {
      const plan = await planTransaction(batch, lease.connection.offers, host.destination);
      if (plan.recipients.length === 0) return { plan, replies: NOTHING_SENT };
      return { plan, replies: await lease.connection.transact(plan, contentOf(batch), signal) };
    } catch (error) {
      lease.connection.close();
      host.pool.release(lease);
      throw error;
    }
  }

  #finish({ destination, pool }: HopHost, batch: MailBatch, { plan, replies }: Attempt, lease: Lease): Tried {
    pool.release(lease);
    if (replies.trouble?.kind === 'unreadable')
      this.#log.error(
        { err: replies.trouble.cause, queueId: batch.queueId },
        'the message could not be read from the queue',
      );
    const answers = outcomesOf(replies, plan.recipients.length, this.#protocol, destination);
    const byPosition = new Map(plan.refused);
    for (const [index, { position }] of plan.recipients.entries()) {
      const outcome = answers[index];
      if (outcome !== undefined) byPosition.set(position, outcome);
    }
    const outcomes = batch.recipients.map((recipient, position) => {
      const outcome = byPosition.get(position) ?? fromTrouble({ kind: 'lost', code: 'no reply' }, destination);
      // RFC 3461 §5.2.2: the duty to report success ends with us then.
      const silent =
        outcome.kind === 'delivered' && !lease.connection.offers.dsn && recipient.notify?.includes('SUCCESS') === true;
      return silent ? { ...outcome, relayedWithoutDsn: true } : outcome;
    });
    return { outcomes, wentOut: !endedEarly(replies) };
  }
}

/** What came of one server. `wentOut`: it had its say about the message, or may have the content. */
type Tried = { readonly outcomes: readonly Outcome[]; readonly wentOut: boolean };

type Attempt = { readonly plan: Plan; readonly replies: Replies };

const NOTHING_SENT: Replies = { recipients: [], end: [] };

function isTrouble(result: Lease | Trouble): result is Trouble {
  return 'kind' in result;
}

function unusable({ destination }: HopHost, { recipients }: MailBatch, trouble: Trouble): Tried {
  return { outcomes: recipients.map(() => fromTrouble(trouble, destination)), wentOut: false };
}

/** Whether the session ended before the server asked for the content, so that another server cannot make it twice. */
function endedEarly({ mail, data, trouble }: Replies): boolean {
  if (data !== undefined) return false;
  return trouble?.kind === 'lost' || trouble?.kind === 'refused' || mail?.startsWith('421') === true;
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
