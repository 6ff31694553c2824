import type { Config } from '../config/options.ts';
import { mappingOf } from '../config/policy.ts';
import type { Log } from '../observe/log.ts';
import { cached } from './cache.ts';
import type { Directory } from './directory.ts';
import { openLdapDirectory } from './ldap.ts';
import { openLdifDirectory } from './ldif.ts';
import { type Marks, marking } from './moving.ts';

type Chosen = NonNullable<Config['directory']>;

/**
 * Opens the configured directory, with its cache and the marks of users being moved; without one, every address of
 * ours is unknown.
 * @throws LdifError when the directory is a file that cannot be used
 */
export async function openDirectory(config: Config, log: Log): Promise<Directory> {
  const chosen = config.directory;
  if (chosen === undefined) return nobody;
  if (chosen.kind === 'ldif') {
    const inner = await openLdif(chosen);
    // Who is in a group of a file that is read once does not change.
    return marking(inner, marksOf(chosen, inner, Number.POSITIVE_INFINITY), log);
  }
  const server = openLdap(chosen, log);
  const { entries, ttlMs, missTtlMs } = chosen.cache;
  const inner = cached(server, { maxEntries: entries, hitTtlMs: ttlMs, missTtlMs });
  return marking(inner, marksOf(chosen, server, ttlMs), log);
}

const nobody: Directory = {
  lookup: async () => ({ kind: 'unknown', server: 'none' }),
  lookupName: async () => ({ kind: 'unknown', server: 'none' }),
  expand: async () => ({ kind: 'members', entries: [], addresses: [] }),
  probe: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

function marksOf(chosen: Chosen, from: Directory, ttlMs: number): Marks {
  const attribute = mappingOf(chosen).moving;
  const { movingGroup, movingFile } = chosen;
  return {
    ...(attribute === undefined ? {} : { attribute }),
    ...(movingGroup === undefined ? {} : { group: { name: movingGroup, from, ttlMs } }),
    ...(movingFile === undefined ? {} : { file: movingFile }),
  };
}

function openLdif(chosen: Chosen & { kind: 'ldif' }): Promise<Directory> {
  return openLdifDirectory({
    file: chosen.file,
    mapping: mappingOf(chosen),
    subAddressSeparators: separatorsOf(chosen),
    groupLimit: chosen.groupLimit,
    ...(chosen.base === undefined ? {} : { base: chosen.base }),
  });
}

function openLdap(chosen: Chosen & { kind: 'ldap' }, log: Log): Directory {
  return openLdapDirectory(
    {
      servers: chosen.servers,
      startTls: chosen.startTls,
      base: chosen.base,
      mapping: mappingOf(chosen),
      subAddressSeparators: separatorsOf(chosen),
      groupLimit: chosen.groupLimit,
      connectTimeoutMs: chosen.connectTimeoutMs,
      searchTimeoutMs: chosen.searchTimeoutMs,
      maxOutstanding: chosen.maxOutstanding,
      ...(chosen.ca === undefined ? {} : { ca: chosen.ca }),
      ...(chosen.bindDn === undefined ? {} : { bindDn: chosen.bindDn }),
      ...(chosen.password === undefined ? {} : { password: chosen.password.reveal() }),
    },
    log,
  );
}

function separatorsOf(chosen: Chosen): string {
  return chosen.subAddress === 'none' ? '' : chosen.subAddress;
}
