import { readFileSync } from 'node:fs';
import { lookupDomain, parseDomainMap, patternsAbove } from '../../rules/domain-map.ts';
import { lintDomainMap, type MapSurroundings } from '../../rules/domain-map-lint.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/options.ts';
import { settingsFor } from '../config/peers.ts';
import { policyOf } from '../config/policy.ts';
import { fileErrorText } from '../config/secrets.ts';
import { domainOf, normalizeDomain, parseAddress } from '../mail/address.ts';
import { hasConfig, requireConfig } from './config.ts';
import { CommandError, EX } from './exit.ts';
import { lintHosts, type MapFinding } from './map-hosts.ts';
import { print, printJson, warn } from './output.ts';

export type LintOptions = { readonly config?: string; readonly offline?: boolean; readonly json?: boolean };

const REACH_MS = 5_000;
const CONCURRENCY = 16;

/**
 * Looks for what is wrong in a domain map: in its text, and with the servers it names.
 * @param file the configured map when undefined
 * @returns whether no error was found; warnings do not count
 */
export async function lintMap(file: string | undefined, options: LintOptions): Promise<boolean> {
  const config = configFor(file, options);
  const map = file ?? config?.calendar.domainMap?.file;
  if (map === undefined)
    throw new CommandError(EX.USAGE, 'got no domain map: name a file, or set calendar.domain-map in the configuration');
  const text = readMap(map);
  const found: MapFinding[] = lintDomainMap(text, map, surroundings(config)).map((problem) => ({
    ...problem,
    kind: problem.kind === 'error' ? 'error' : 'warning',
  }));
  if (options.offline !== true) {
    const broken = new Set(found.filter(({ kind }) => kind === 'error').map(({ line }) => line));
    const lines = parseDomainMap(text, map).entries.filter(({ line }) => !broken.has(line));
    const hosts = {
      listeners: config?.listeners ?? [],
      settings: (url: string) => (config === undefined ? {} : settingsFor(url, config.ischedule)),
      timeoutMs: REACH_MS,
      concurrency: CONCURRENCY,
    };
    found.push(...(await lintHosts(lines, hosts)));
  }
  const findings = found.sort((a, b) => a.line - b.line);
  if (options.json === true) printJson(findings.map((finding) => ({ file: map, ...finding })));
  else for (const { line, kind, text } of findings) print(`${map}:${line}: ${kind}: ${text}`);
  return findings.every((finding) => finding.kind !== 'error');
}

/** A named file is looked at without a configuration too: then without ours to compare with. */
function configFor(file: string | undefined, options: LintOptions): Config | undefined {
  if (file === undefined) return requireConfig(options.config).config;
  if (!hasConfig(options.config)) return undefined;
  const loaded = loadConfig(options.config, process.env);
  if (loaded.ok) return loaded.config;
  warn('the configuration has errors (imipd check lists them): lines that lead back to ourselves are not looked for');
  return undefined;
}

function surroundings(config: Config | undefined): MapSurroundings {
  if (config === undefined) return { ownEndpoints: [] };
  const { default: defaultBackEnd } = config.calendar;
  const { marker } = policyOf(config).homes;
  return {
    ownEndpoints: config.listeners.flatMap(({ address: { host, port } }) =>
      [host.includes(':') ? `[${host}]` : host, config.hostname].map((name) => `${name}:${port}`),
    ),
    ...(defaultBackEnd === undefined ? {} : { defaultBackEnd }),
    ...(marker === undefined ? {} : { marker }),
  };
}

function readMap(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(EX.NOINPUT, `${file}: cannot be read (${fileErrorText(error)})`);
  }
}

/** Which line of the configured map is for an address or a domain, and why it and no other. */
export function lookupMap(config: Config, asked: string, options: { readonly json?: boolean }): void {
  const map = config.calendar.domainMap;
  if (map === undefined)
    throw new CommandError(EX.USAGE, 'got no domain map to look into; set calendar.domain-map in the configuration');
  const domain = asked.includes('@') && parseAddress(asked) !== undefined ? domainOf(asked) : normalizeDomain(asked);
  if (domain === '')
    throw new CommandError(EX.USAGE, `got ${asked}, want an address such as bob@example.com, or a domain`);
  const found = lookupDomain(map.entries, domain);
  const above = found === undefined ? [] : patternsAbove(found.domain);
  const lesser = above.flatMap((pattern) => map.entries.filter((entry) => entry.domain === pattern));
  const { homes, domains } = policyOf(config);
  const ours = domains.has(domain);
  const profile = found?.profile ?? (ours && homes.marker !== undefined ? 'oracle-v6' : 'generic');
  if (options.json === true) {
    printJson({
      domain,
      ours,
      file: map.file,
      ...(found === undefined ? {} : { line: found.line, pattern: found.domain, url: found.url, profile, lesser }),
    });
    return;
  }
  if (found === undefined) {
    print(`${domain}: no line of ${map.file}`);
    if (!ours) print('  not a domain of ours: mail only');
    return;
  }
  print(`${domain}: ${map.file}:${found.line}: ${found.domain}, ${whyThis(found.domain, domain)}`);
  print(`  ${found.url}`);
  print(`  profile ${profile}, ${whyProfile(found.profile, profile)}`);
  if (ours && homes.marker !== undefined)
    print(`  a domain of ours: users with ${homes.marker} go to the back end of its value instead`);
  for (const one of lesser) print(`  line ${one.line}, ${one.domain}, would be for it too, and is less exact`);
}

function whyThis(pattern: string, domain: string): string {
  if (pattern === domain) return 'the domain itself';
  return pattern === '*' ? 'every domain without a line of its own' : 'the nearest domain above it';
}

function whyProfile(written: string | undefined, profile: string): string {
  if (written !== undefined) return 'as the line says';
  return profile === 'oracle-v6' ? 'since a marker tells who is on v7' : 'since the line names none';
}
