import { createBroker } from './broker/broker.ts';
import type { Broker } from './broker/question.ts';
import { busyPolicyOf, defaultDomainOf } from './config/busy.ts';
import type { Config } from './config/options.ts';
import type { Directory } from './directory/directory.ts';
import { hopName } from './freebusy/hops.ts';
import type { Log } from './observe/log.ts';
import type { Outside } from './outside.ts';
import { openSources } from './sources.ts';

/** What an open broker rests on; whoever opened these closes them, after it. */
export type BrokerBase = {
  readonly directory: Directory;
  readonly outside: Pick<Outside, 'connector' | 'discovery'>;
  readonly log: Log;
};

/**
 * Opens what answers questions for busy times.
 * @returns undefined where the configuration has no section `free-busy`
 */
export function openBroker(
  config: Config,
  { directory, outside, log }: BrokerBase,
): (Broker & AsyncDisposable) | undefined {
  const { freeBusy } = config;
  if (freeBusy === undefined) return undefined;
  const { deadlineMs, groupLimit, cacheMs, breaker } = freeBusy;
  const sources = openSources(config, outside, log);
  const { sourceOf, limitsOf, frontEndOf } = sources;
  const broker = createBroker({
    directory,
    policy: busyPolicyOf(config),
    ...(outside.discovery === undefined ? {} : { discovery: outside.discovery }),
    sourceOf,
    limitsOf,
    frontEndOf,
    deadlineMs,
    groupLimit,
    cacheMs,
    breaker,
    defaultDomain: defaultDomainOf(config),
    hop: hopName(config.hostname),
    clock: Date.now,
    log,
  });
  return {
    ask: (question, signal) => broker.ask(question, signal),
    refusal: (question) => broker.refusal(question),
    frontEnd: (question, signal) => broker.frontEnd(question, signal),
    find: (name, signal) => broker.find(name, signal),
    [Symbol.asyncDispose]: async () => {
      await broker[Symbol.asyncDispose]();
      await sources[Symbol.asyncDispose]();
    },
  };
}
