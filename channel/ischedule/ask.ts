import { namesAt } from '../../rules/data/profiles.ts';
import type { BusyReading } from '../../src/freebusy/busy.ts';
import { composeBusyRequest } from '../../src/freebusy/compose.ts';
import { viaOf } from '../../src/freebusy/hops.ts';
import type { Log } from '../../src/observe/log.ts';
import type { BusyBatch, BusySource, PostBatch } from '../channel.ts';
import { Attempt } from './attempt.ts';
import { BareReader, readReceived } from './busy-answer.ts';
import { IScheduleClient, type IScheduleOptions } from './client.ts';

/** Whoever asks waits some seconds: how long a server may take to say what it takes is a part of these. */
const PATIENCE_MS = 4000;

/**
 * Asks one calendar server for busy times by VFREEBUSY REQUEST, one POST for as many as it takes
 * (draft-desruisseaux-ischedule-05 §6). It has connections of its own, so that no question waits behind posts.
 */
export class IScheduleSource implements BusySource {
  readonly protocol = 'ischedule';
  readonly destination: string;
  readonly #client: IScheduleClient;
  readonly #clock: () => number;

  constructor(options: IScheduleOptions, log: Log) {
    this.#client = new IScheduleClient(options, log, PATIENCE_MS);
    this.#clock = options.clock ?? Date.now;
    this.destination = this.#client.destination;
  }

  async ask(batch: BusyBatch, signal: AbortSignal): Promise<readonly BusyReading[]> {
    const { server, fallbacks, profile, uid, originator, attendees, window, hops } = batch;
    const now = this.#clock();
    const contentFor = (some: readonly string[]): Buffer =>
      composeBusyRequest({ uid, organizer: originator, attendees: namesAt(profile, some), window, now });
    const post: PostBatch = {
      ...{ queueId: uid, messageId: uid, server, profile, originator, recipients: attendees },
      ...{ method: 'REQUEST', component: 'VFREEBUSY', content: contentFor(attendees) },
      ...(fallbacks === undefined ? {} : { fallbacks }),
    };
    const headers = hops.length === 0 ? [] : ['Via', viaOf(hops)];
    // The signal is the deadline of the question, and who let it pass is the server.
    const attempt = new Attempt(signal, this.#client.settings.timeoutMs, { kind: 'too-slow' });
    try {
      const work = { batch: post, contentFor, headers, isRepeatable: true, label: { question: uid } };
      const received = await this.#client.bring(work, attempt);
      const bare = new BareReader();
      return received.map((one, index) => {
        const asked = { uid, organizer: originator, attendee: attendees[index] ?? '', window };
        return one.bare === undefined ? readReceived(one, asked) : bare.readingOf(one.bare, asked);
      });
    } finally {
      attempt.end();
    }
  }

  /** Questions under way are cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}
