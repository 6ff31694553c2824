import { errors } from 'undici';
import { PROFILES } from '../../rules/data/profiles.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import type { Log } from '../../src/observe/log.ts';
import type { PostBatch } from '../channel.ts';
import type { Attempt } from './attempt.ts';
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
import type { BareAnswer, RecipientResponse } from './wire.ts';

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

/** What one attempt is to bring to a calendar server, in as many POSTs as its limits want. */
export type Work = {
  /** Its `content` is that of a POST for all recipients, and what the server's limits are compared with. */
  readonly batch: PostBatch;
  /** The content of a POST for some of the recipients only, where it is not the same. */
  readonly contentFor?: (recipients: readonly string[]) => Buffer;
  /** Beside those that every POST has: names and values in turn. */
  readonly headers?: readonly string[];
  /** It changes nothing there, so that another target may be tried although this one may have got it. */
  readonly isRepeatable: boolean;
  /** What the log calls it. */
  readonly label: Readonly<Record<string, string>>;
};

/** What one attempt gave one recipient. */
export type Received = {
  readonly outcome: Outcome;
  /** The server's words about him. */
  readonly response?: RecipientResponse;
  /** A `schedule-response` came; one without `response` leaves him out. */
  readonly isTold?: true;
  /** iCalendar that came in place of a `schedule-response`; `isOnly`: the POST was for him alone. */
  readonly bare?: { readonly answer: BareAnswer; readonly isOnly: boolean };
};

/** Recipients before `from` are done. */
type Part = { readonly work: Work; readonly from: number };

/**
 * Speaks to one calendar server over pooled, kept-alive HTTP/1.1 connections (draft-desruisseaux-ischedule-05): what it
 * takes, where else it can be reached, and when it wants to be left alone.
 */
export class IScheduleClient {
  readonly destination: string;
  readonly settings: ServerSettings;
  readonly #fallbacks: readonly URL[];
  readonly #signer: Signer | undefined;
  readonly #log: Log;
  readonly #context: ExchangeContext;
  readonly #capabilities: CapabilitiesCache;
  readonly #targets = new Targets();

  /** @param patienceMs how long an attempt usually may take; of that, a quarter may go on the server's capabilities */
  constructor(options: IScheduleOptions, log: Log, patienceMs = Infinity) {
    const { server, connections, maxRedirects, redirectHosts, userAgent, maxResponseBytes, signer, connector } =
      options;
    const settings = options.settings ?? settingsOf(options);
    this.settings = settings;
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
    this.#capabilities = new CapabilitiesCache(this.#context, Math.min(settings.timeoutMs, patienceMs));
  }

  /** @returns one for each recipient of the batch, in order */
  async bring(work: Work, attempt: Attempt): Promise<readonly Received[]> {
    const { server, recipients } = work.batch;
    if (server.origin !== this.destination) {
      throw new TypeError(`a batch for ${server.origin} was handed to the client of ${this.destination}`);
    }
    const received: Received[] = [];
    while (received.length < recipients.length) {
      const [first, ...others] = await this.#bringPart({ work, from: received.length }, attempt);
      if (first === undefined) break;
      received.push(first, ...others);
      // After a silence the rest is not tried: it would only wait for the same server.
      if (first.outcome.answered === false) while (received.length < recipients.length) received.push(first);
    }
    return received;
  }

  /**
   * Brings the next part to the first target that can be reached. Where a post may have arrived no other is tried in this
   * attempt: it would be a second post to the same calendars.
   */
  async #bringPart(part: Part, attempt: Attempt): Promise<readonly Received[]> {
    const { clock } = this.#context;
    const { batch, label } = part.work;
    const all = [batch.server, ...(batch.fallbacks ?? []), ...this.#fallbacks];
    const targets = this.#targets.inOrder(all, clock());
    let silent: readonly Received[] | undefined;
    let pausedMs = Infinity;
    for (const target of targets) {
      const left = this.#targets.pausedMs(target, clock());
      if (left > 0) {
        pausedMs = Math.min(pausedMs, left);
        continue;
      }
      const { received, reached } = await this.#bringTo(part, target, attempt);
      if (reached || attempt.ended !== undefined) return received;
      silent ??= received;
      this.#log.debug({ ...label, channel: 'ischedule', relay: received[0]?.outcome.relay }, 'target not reached');
    }
    return silent ?? [{ outcome: leftAlone(batch.server, pausedMs) }];
  }

  async #bringTo(
    { work, from }: Part,
    target: URL,
    attempt: Attempt,
  ): Promise<{ readonly received: readonly Received[]; readonly reached: boolean }> {
    const { batch, contentFor, headers = [], isRepeatable, label } = work;
    const question = this.settings.capabilities ?? PROFILES[batch.profile].capabilities;
    const startedAt = performance.now();
    try {
      const known = question === 'none' ? undefined : await this.#capabilities.of(target, question, attempt.signal);
      const capabilities = known?.kind === 'capabilities' ? known.capabilities : undefined;
      for (;;) {
        const share = nextShare(batch, from, capabilities, this.#targets.mostRecipients(target));
        if (share.kind === 'refused') {
          return { received: [{ outcome: { ...share.outcome, relay: hostAndPort(target) } }], reached: true };
        }
        const messageId = partMessageId(batch, from, share.count);
        const recipients = batch.recipients.slice(from, from + share.count);
        const isWhole = contentFor === undefined || share.count === batch.recipients.length;
        const content = isWhole ? batch.content : contentFor(recipients);
        const part: PostBatch = { ...batch, recipients, messageId, content };
        const posted =
          known?.kind === 'unreachable'
            ? unsent(known, startedAt)
            : await post(
                part,
                headers,
                target,
                signatureFor(batch, this.settings, this.#signer),
                this.#context,
                attempt,
              );
        // Not every server announces its limit, and nobody's invitation is lost for it: fewer at a time, down to one.
        if (share.count > 1 && isTooManyRecipients(posted.result)) {
          this.#targets.refusedFor(target, share.count);
          this.#log.debug(
            { ...label, channel: 'ischedule', relay: posted.relay, recipients: share.count },
            'too many recipients for the calendar server: trying fewer',
          );
          continue;
        }
        const reached = posted.result.kind !== 'silence' || (posted.wentOut && !isRepeatable);
        return { received: this.#conclude(part, label, target, question, posted, attempt), reached };
      }
    } catch (error) {
      if (!(error instanceof errors.InvalidArgumentError)) throw error;
      return { received: [{ outcome: this.#ourBug(label, error) }], reached: true };
    }
  }

  /** Remembers what the exchange taught about the server, logs what the outcomes do not carry, and judges it. */
  #conclude(
    part: PostBatch,
    label: Work['label'],
    target: URL,
    question: CapabilityQuery,
    posted: Posted,
    attempt: Attempt,
  ): readonly Received[] {
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
    this.#report(part, label, posted, verdict);
    // What is wrong with a server that a stranger's DNS named is not ours to put right.
    const strange = this.#context.rules.guarded && result.kind !== 'answer';
    const bare = result.kind === 'answer' && result.httpStatus === 200 ? result.bare : undefined;
    return verdict.outcomes.map((outcome, index) => {
      const response = verdict.responses?.[index];
      return {
        outcome: { ...outcome, connectMs, ...(strange ? { alarm: false } : {}) },
        ...(response === undefined ? {} : { response }),
        ...(verdict.responses === undefined ? {} : { isTold: true }),
        ...(bare === undefined ? {} : { bare: { answer: bare, isOnly: part.recipients.length === 1 } }),
      };
    });
  }

  #ourBug(label: Work['label'], error: Error): Outcome {
    this.#log.error({ ...label, channel: 'ischedule', err: error }, 'a post could not be composed');
    const reason = 'the gateway could not compose the post';
    return { kind: 'failed', status: '5.3.5', reason, answered: false, alarm: true };
  }

  /** What the outcomes do not carry: the peer's explanation, a redirect's target, answers for strangers. */
  #report(part: PostBatch, label: Work['label'], { result, relay, redirectedTo }: Posted, verdict: Verdict): void {
    const facts = { ...label, messageId: part.messageId, channel: 'ischedule', relay };
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
