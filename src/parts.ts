import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Channels, openChannels } from './channels.ts';
import { changeText, differences } from './config/diff.ts';
import { directoryFiles } from './config/load.ts';
import type { Config } from './config/options.ts';
import { annotationNames, examineLimits, policyOf } from './config/policy.ts';
import type { Directory } from './directory/directory.ts';
import { openDirectory } from './directory/open.ts';
import type { FlowContext } from './flow/context.ts';
import { Lanes } from './flow/dispatch.ts';
import type { Log } from './observe/log.ts';

/** What a gateway opens for one configuration, and shares with the next one where that says the same. */
export type Parts = {
  readonly config: Config;
  readonly directory: Directory;
  /** Digest of each file that the directory was read from. */
  readonly contents: ReadonlyMap<string, string>;
  readonly channels: Channels;
  readonly lanes: Lanes;
};

/**
 * @param before open already; what is the same is taken from there
 * @throws LdifError when the directory is a file that cannot be used; nothing is open then that was not before
 */
export async function openParts(config: Config, log: Log, before?: Parts): Promise<Parts> {
  const contents = await digests(directoryFiles(config.directory));
  const touched = new Set(before && differences(before.config, config).map(({ path: [section] }) => section));
  const keeps = (...sections: string[]): boolean => !sections.some((section) => touched.has(section));
  const directory =
    before !== undefined && keeps('directory', 'domains') && changedFiles(before.contents, contents).length === 0
      ? before.directory
      : await openDirectory(config, log);
  if (before !== undefined && keeps('next-hop', 'smart-host', 'ischedule')) {
    return { config, directory, contents, channels: before.channels, lanes: before.lanes };
  }
  const channels = openChannels(config, log);
  return { config, directory, contents, channels, lanes: new Lanes(channels.lanesOf) };
}

/** @param except what stays open because these have it, too */
export async function closeParts({ directory, channels, lanes }: Parts, except?: Parts): Promise<void> {
  if (lanes !== except?.lanes) await lanes.stop();
  if (channels !== except?.channels) await channels.close();
  if (directory !== except?.directory) await directory[Symbol.asyncDispose]();
}

/** The part of the flow's context that comes from the configuration. */
export function contextOf({ config, directory, channels, lanes }: Parts) {
  const { queue } = config;
  return {
    hostname: config.hostname,
    directory,
    policy: policyOf(config),
    lanes,
    poster: channels.poster,
    hop: channels.hop,
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
