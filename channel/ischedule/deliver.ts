import { errors } from 'undici';
import { PROFILES } from '../../rules/data/profiles.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { Log } from '../../src/observe/log.ts';
import type { Deliverer, PostBatch } from '../channel.ts';
import { Attempt } from './attempt.ts';
import { CapabilitiesCache, type Known } from './capabilities-cache.ts';
import { type ExchangeContext, type Posted, post } from './exchange.ts';
import { isTooManyRecipients, judge, type Verdict } from './failures.ts';
import { type Connector, Pools } from './pools.ts';
import { recipientAddresses } from './profiles.ts';
import { hostAndPort } from './route.ts';
import type { CapabilityQuery, ServerSettings } from './settings.ts';
import { type Signer, signatureFor } from './signing.ts';
import { nextShare, partMessageId } from './split.ts';
import { Targets } from './targets.ts';

export type IScheduleOptions = {
  /** The calendar server; only its origin counts, the path comes with each batch. */
  readonly server: URL;
  /** For a server without `settings`: the one deadline of an attempt, waiting, redirects and the answer's body included. */
  readonly timeoutMs: number;
  /** For a server without `settings`. */
  readonly connectTimeoutMs: number;
  /** PEM of the authorities to trust instead of the system's; for a server without `settings`. */
  readonly ca?: string;
  readonly connections: number;
  readonly maxRedirects: number;
  /** Hosts, `name` or `name:port`, that a redirect may lead to beside the server itself. */
  readonly redirectHosts: readonly string[];
  readonly userAgent: string;
  readonly maxResponseBytes: number;
  /** How this server is spoken to. */
  readonly settings?: ServerSettings;
  /** Our private keys; without it nothing is signed. */
  readonly signer?: Signer;
  /** For a server that a stranger's DNS named: makes the connections, by https, to addresses it has looked at. */
  readonly connector?: Connector;
  readonly clock?: () => number;
};

/** The part of a batch that goes into one POST, as far as it is decided. */
type Part = { readonly batch: PostBatch; readonly from: number };

/** Posts to one calendar server over pooled, kept-alive HTTP/1.1 connections (draft-desruisseaux-ischedule-05). */
export class IScheduleDeliverer implements Deliverer<PostBatch> {
  readonly channel = 'ischedule';
  readonly destination: string;
  readonly #settings: ServerSettings;
  readonly #fallbacks: readonly URL[];
  readonly #signer: Signer | undefined;
  readonly #log: Log;
  readonly #context: ExchangeContext;
  readonly #capabilities: CapabilitiesCache;
  readonly #targets = new Targets();

  constructor(options: IScheduleOptions, log: Log) {
    const { server, connections, maxRedirects, redirectHosts, userAgent, maxResponseBytes, signer, connector } =
      options;
    const settings = options.settings ?? settingsOf(options);
    this.#settings = settings;
    this.#fallbacks = settings.fallbacks.map((url) => new URL(url));
    this.#signer = signer;
    this.#log = log;
    this.destination = server.origin;
    const own = new Set([server, ...this.#fallbacks].map((url) => url.origin));
    const { authorization } = settings;
    this.#context = {
      pools: new Pools(
        { connections, maxResponseBytes, settings, ...(connector === undefined ? {} : { connector }) },
        own,
      ),
      rules: {
        ...{ maxRedirects, redirectHosts, own, guarded: connector !== undefined },
        ...(authorization === undefined ? {} : { authorization }),
      },
      userAgent,
      maxResponseBytes,
      clock: options.clock ?? Date.now,
    };
    this.#capabilities = new CapabilitiesCache(this.#context, settings.timeoutMs);
  }

  async deliver(batch: PostBatch, signal: AbortSignal): Promise<readonly Outcome[]> {
    if (batch.server.origin !== this.destination) {
      throw new TypeError(`a batch for ${batch.server.origin} was handed to the deliverer for ${this.destination}`);
    }
    const attempt = new Attempt(signal, this.#settings.timeoutMs);
    const outcomes: Outcome[] = [];
    try {
      while (outcomes.length < batch.recipients.length) {
        const [first, ...others] = await this.#deliverPart({ batch, from: outcomes.length }, attempt);
        if (first === undefined) break;
        outcomes.push(first, ...others);
        // After a silence the rest is not tried: it would only wait for the same server.
        if (first.answered === false) while (outcomes.length < batch.recipients.length) outcomes.push(first);
      }
      return outcomes;
    } finally {
      attempt.end();
    }
  }

  /**
   * Posts the next part to the first target that can be reached. Where the post may have arrived no other is tried in this
   * attempt: it would be a second post to the same calendars.
   */
  async #deliverPart(part: Part, attempt: Attempt): Promise<readonly Outcome[]> {
    const { clock } = this.#context;
    const { batch } = part;
    const all = [batch.server, ...(batch.fallbacks ?? []), ...this.#fallbacks];
    const targets = this.#targets.inOrder(all, clock());
    let silent: readonly Outcome[] | undefined;
    let pausedMs = Infinity;
    for (const target of targets) {
      const left = this.#targets.pausedMs(target, clock());
      if (left > 0) {
        pausedMs = Math.min(pausedMs, left);
        continue;
      }
      const { outcomes, reached } = await this.#deliverTo(part, target, attempt);
      if (reached || attempt.ended !== undefined) return outcomes;
      silent ??= outcomes;
      this.#log.debug(
        { queueId: batch.queueId, channel: this.channel, relay: outcomes[0]?.relay },
        'target not reached',
      );
    }
    return silent ?? [leftAlone(batch.server, pausedMs)];
  }

  async #deliverTo(
    { batch, from }: Part,
    target: URL,
    attempt: Attempt,
  ): Promise<{ readonly outcomes: readonly Outcome[]; readonly reached: boolean }> {
    const question = this.#settings.capabilities ?? PROFILES[batch.profile].capabilities;
    const startedAt = performance.now();
    try {
      const known = question === 'none' ? undefined : await this.#capabilities.of(target, question, attempt.signal);
      const capabilities = known?.kind === 'capabilities' ? known.capabilities : undefined;
      for (;;) {
        const share = nextShare(batch, from, capabilities, this.#targets.mostRecipients(target));
        if (share.kind === 'refused') {
          return { outcomes: [{ ...share.outcome, relay: hostAndPort(target) }], reached: true };
        }
        const messageId = partMessageId(batch, from, share.count);
        const recipients = batch.recipients.slice(from, from + share.count);
        const part: PostBatch = { ...batch, recipients, messageId };
        const posted =
          known?.kind === 'unreachable'
            ? unsent(known, startedAt)
            : await post(part, target, signatureFor(batch, this.#settings, this.#signer), this.#context, attempt);
        // Not every server announces its limit, and nobody's invitation is lost for it: fewer at a time, down to one.
        if (share.count > 1 && isTooManyRecipients(posted.result)) {
          this.#targets.refusedFor(target, share.count);
          this.#log.debug(
            { queueId: batch.queueId, channel: this.channel, relay: posted.relay, recipients: share.count },
            'too many recipients for the calendar server: trying fewer',
          );
          continue;
        }
        return { outcomes: this.#conclude(part, target, question, posted, attempt), reached: isReached(posted) };
      }
    } catch (error) {
      if (!(error instanceof errors.InvalidArgumentError)) throw error;
      return { outcomes: [this.#ourBug(batch, error)], reached: true };
    }
  }

  /** Remembers what the exchange taught about the server, logs what the outcomes do not carry, and judges it. */
  #conclude(
    part: PostBatch,
    target: URL,
    question: CapabilityQuery,
    posted: Posted,
    attempt: Attempt,
  ): readonly Outcome[] {
    const { result, relay, connectMs } = posted;
    const now = this.#context.clock();
    const sent = recipientAddresses(part.profile, part.recipients);
    const verdict = judge(result, part.recipients, sent, relay, now);
    if (result.kind === 'silence') {
      if (attempt.ended?.kind !== 'stopped') this.#targets.failed(target, now);
    } else {
      this.#targets.worked(target);
      if (question !== 'none') this.#capabilities.noteSerial(target, question, posted.serial.trim());
      if (verdict.pauseMs !== undefined) this.#targets.pause(target, verdict.pauseMs, now);
    }
    this.#report(part, posted, verdict);
    // What is wrong with a server that a stranger's DNS named is not ours to put right.
    const strange = this.#context.rules.guarded && result.kind !== 'answer';
    return verdict.outcomes.map((outcome) => ({ ...outcome, connectMs, ...(strange ? { alarm: false } : {}) }));
  }

  #ourBug({ queueId }: PostBatch, error: Error): Outcome {
    this.#log.error({ queueId, channel: this.channel, err: error }, 'a post could not be composed');
    const reason = 'the gateway could not compose the post';
    return { kind: 'failed', status: '5.3.5', reason, answered: false, alarm: true };
  }

  /** What the outcomes do not carry: the peer's explanation, a redirect's target, answers for strangers. */
  #report(part: PostBatch, { result, relay, redirectedTo }: Posted, verdict: Verdict): void {
    const facts = { queueId: part.queueId, messageId: part.messageId, channel: this.channel, relay };
    if (result.kind === 'redirect') {
      this.#log.warn({ ...facts, location: redirectedTo?.href }, 'a redirect of the calendar server was not followed');
    }
    if (result.kind === 'answer' && result.reply.kind === 'error') {
      const { element, description } = result.reply;
      this.#log.warn(
        { ...facts, status: result.httpStatus, element, description: description.slice(0, 500) },
        'the calendar server refused a post',
      );
    }
    if (verdict.strangers.length > 0) {
      const strangers = verdict.strangers.slice(0, 10);
      this.#log.warn({ ...facts, strangers }, 'the calendar server answered for recipients that were not asked for');
    }
  }

  /** Posts under way are cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.pools[Symbol.asyncDispose]();
  }
}

/** A post that was not tried, for not even the question before it got through. */
function unsent({ silence, relay }: Extract<Known, { kind: 'unreachable' }>, startedAt: number): Posted {
  const connectMs = Math.round(performance.now() - startedAt);
  return { result: { kind: 'silence', silence }, relay, wentOut: false, connectMs, serial: '' };
}

/** Whether another target must not be tried: this one answered, or may have got the post. */
function isReached({ result, wentOut }: Posted): boolean {
  return result.kind !== 'silence' || wentOut;
}

function leftAlone(server: URL, forMs: number): Outcome {
  return {
    kind: 'deferred',
    status: '4.4.5',
    reason: 'the calendar server asked to be left alone for a while',
    retryAfterMs: forMs,
    relay: hostAndPort(server),
    answered: false,
  };
}

function settingsOf({ timeoutMs, connectTimeoutMs, ca }: IScheduleOptions): ServerSettings {
  return {
    ...{ fallbacks: [], timeoutMs, connectTimeoutMs, headersTimeoutMs: timeoutMs, bodyTimeoutMs: timeoutMs },
    ...(ca === undefined ? {} : { ca }),
  };
}
