import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Broker } from './broker/question.ts';
import { openBroker } from './busy.ts';
import { type Channels, openChannels } from './channels.ts';
import { changeText, differences } from './config/diff.ts';
import { directoryFiles } from './config/load.ts';
import type { Config } from './config/options.ts';
import { annotationNames, examineLimits, policyOf } from './config/policy.ts';
import type { OptionPath } from './config/problem.ts';
import type { Directory } from './directory/directory.ts';
import { openDirectory } from './directory/open.ts';
import type { FlowContext } from './flow/context.ts';
import { Lanes } from './flow/dispatch.ts';
import type { Outbound } from './imip/mail.ts';
import type { Log } from './observe/log.ts';
import { openOutbound } from './outbound.ts';
import { type Outside, openOutside } from './outside.ts';

/** What a gateway opens for one configuration, and shares with the next one where that says the same. */
export type Parts = {
  readonly config: Config;
  readonly directory: Directory;
  /** Digest of each file that the directory was read from. */
  readonly contents: ReadonlyMap<string, string>;
  readonly outside: Outside;
  readonly channels: Channels;
  readonly lanes: Lanes;
  /** Answers questions for busy times. Absent where the configuration has no section for them. */
  readonly broker?: Broker & AsyncDisposable;
  /** Absent where none is configured. */
  readonly outbound?: Outbound;
};

/**
 * @param before open already; what is the same is taken from there
 * @throws LdifError when the directory is a file that cannot be used, OutboundKeyError when the secret of `outbound` is
 *   no such thing; nothing is open then that was not before
 */
export async function openParts(config: Config, log: Log, before?: Parts): Promise<Parts> {
  const contents = await digests(directoryFiles(config.directory));
  const changed = before === undefined ? [] : differences(before.config, config).map(({ path }) => path);
  /** What of `before` still counts, none of these options being different. */
  const keeps = <T>(part: T | undefined, ...options: OptionPath[]): T | undefined =>
    changed.some((path) => options.some((option) => isWithin(path, option))) ? undefined : part;
  const outbound = await openOutbound(config, before?.outbound);
  const outboundPart = outbound === undefined ? {} : { outbound };
  const directory =
    (changedFiles(before?.contents ?? contents, contents).length === 0
      ? keeps(before?.directory, ['directory'], ['domains'])
      : undefined) ?? (await openDirectory(config, log));
  const outside = keeps(before?.outside, ...OUTSIDE) ?? openOutside(config, log);
  const sameOutside = outside === before?.outside;
  const broker =
    (config.freeBusy !== undefined && sameOutside && directory === before?.directory
      ? keeps(before?.broker, ...ASKING)
      : undefined) ?? openBroker(config, { directory, outside, log });
  const common = { config, directory, contents, outside, ...(broker === undefined ? {} : { broker }), ...outboundPart };
  if (before !== undefined && sameOutside && keeps(true, ['next-hop'], ['smart-host'], ...POSTING)) {
    const { channels, lanes } = before;
    return { ...common, channels, lanes };
  }
  const channels = openChannels(config, outside.connector, log);
  return { ...common, channels, lanes: new Lanes(channels.lanesOf) };
}

const ischedule = (...options: readonly string[]): readonly OptionPath[] =>
  options.map((option) => ['ischedule', option]);

const OUTSIDE: readonly OptionPath[] = [
  ['dns'],
  ...ischedule('discovery', 'exchanged-keys', 'connect-timeout', 'user-agent'),
];

/** All of `ischedule` but who may post to us, and what. */
const POSTING = ischedule(
  ...['timeout', 'connect-timeout', 'headers-timeout', 'body-timeout', 'ca', 'connections', 'lanes', 'max-redirects'],
  ...['redirect-hosts', 'user-agent', 'max-response', 'servers', 'keys'],
);

/** What says who is asked for busy times, and how. Who may ask is looked at with each question. */
const ASKING: readonly OptionPath[] = [
  ...['deadline', 'address', 'default-domain', 'group-limit', 'cache', 'breaker', 'published-hosts', 'servers'].map(
    (option) => ['free-busy', option],
  ),
  ['outbound'],
  ['calendar'],
  ['domains'],
  ...POSTING,
];

function isWithin(path: OptionPath, option: OptionPath): boolean {
  return option.every((step, index) => path[index] === step);
}

/** @param except what stays open because these have it, too */
export async function closeParts(
  { directory, outside, channels, lanes, broker }: Parts,
  except?: Parts,
): Promise<void> {
  if (broker !== except?.broker) await broker?.[Symbol.asyncDispose]();
  if (lanes !== except?.lanes) await lanes.stop();
  if (channels !== except?.channels) await channels.close();
  if (outside !== except?.outside) await outside[Symbol.asyncDispose]();
  if (directory !== except?.directory) await directory[Symbol.asyncDispose]();
}

/** The part of the flow's context that comes from the configuration. */
export function contextOf({ config, directory, outside, channels, lanes, outbound }: Parts) {
  const { queue } = config;
  return {
    hostname: config.hostname,
    directory,
    policy: policyOf(config),
    lanes,
    ...(outside.discovery === undefined ? {} : { discovery: outside.discovery }),
    poster: channels.poster,
    hop: channels.hop,
    ...(outbound === undefined ? {} : { outbound }),
    retry: {
      post: { delaysMs: queue.postRetryMs, lifetimeMs: queue.postLifetimeMs },
      mail: { delaysMs: queue.mailRetryMs, lifetimeMs: queue.mailLifetimeMs },
    },
    annotation: annotationNames(config),
    annotateWaitMs: queue.annotateWaitMs,
    examine: examineLimits(config.listeners),
  } satisfies Partial<FlowContext>;
}

/** What is different, in words: options, lines of the domain map, files of the directory. */
export function changesOf(before: Parts, after: Parts): readonly string[] {
  return [
    ...differences(before.config, after.config).map(changeText),
    ...changedFiles(before.contents, after.contents).map((file) => `directory: ${file} has other content`),
  ];
}

function changedFiles(before: Parts['contents'], after: Parts['contents']): readonly string[] {
  return [...after].flatMap(([file, digest]) => (before.has(file) && before.get(file) !== digest ? [file] : []));
}

async function digests(files: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const digest = async (file: string): Promise<string> => {
    try {
      return createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
    } catch (error) {
      // Whether the directory can do without is its own affair.
      if (!(error instanceof Error && 'code' in error)) throw error;
      return String(error.code);
    }
  };
  return new Map(await Promise.all(files.map(async (file) => [file, await digest(file)] as const)));
}
