import type { Outcome } from '../../src/mail/outcome.ts';
import type { Log } from '../../src/observe/log.ts';
import type { Deliverer, PostBatch } from '../channel.ts';
import { Attempt } from './attempt.ts';
import { IScheduleClient, type IScheduleOptions } from './client.ts';

export type { IScheduleOptions } from './client.ts';

/** Posts what mail brought to one calendar server. */
export class IScheduleDeliverer implements Deliverer<PostBatch> {
  readonly channel = 'ischedule';
  readonly destination: string;
  readonly #client: IScheduleClient;

  constructor(options: IScheduleOptions, log: Log) {
    this.#client = new IScheduleClient(options, log);
    this.destination = this.#client.destination;
  }

  async deliver(batch: PostBatch, signal: AbortSignal): Promise<readonly Outcome[]> {
    const attempt = new Attempt(signal, this.#client.settings.timeoutMs);
    try {
      const work = { batch, isRepeatable: false, label: { queueId: batch.queueId } };
      return (await this.#client.bring(work, attempt)).map(({ outcome }) => outcome);
    } finally {
      attempt.end();
    }
  }

  /** Posts under way are cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}
