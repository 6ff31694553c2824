import { readFileSync } from 'node:fs';
import { domainToASCII } from 'node:url';
import { addressPolicy } from '../../channel/ischedule/guard.ts';
import { publicSuffixOf } from '../../channel/ischedule/public-suffix.ts';
import type { ServerSettings } from '../../channel/ischedule/settings.ts';
import type { Config } from '../config/options.ts';
import { settingsFor } from '../config/peers.ts';
import { capabilityRows } from '../doctor/capabilities-table.ts';
import type { DialOptions } from '../doctor/connection.ts';
import type { Finding } from '../doctor/finding.ts';
import { checkKey, checkKeyServer, type KeyQuestion } from '../doctor/key-check.ts';
import { type CheckSettings, checkService, type ServiceCheck } from '../doctor/service-check.ts';
import { findServices } from '../doctor/service-records.ts';
import type { DnsResolver } from '../net/dns.ts';
import { hasConfig, requireConfig } from './config.ts';
import { printFindings } from './doctor-text.ts';
import { CommandError, EX } from './exit.ts';
import { publicHalf } from './keys.ts';
import { print, printJson, printTable } from './output.ts';
import { openResolver } from './resolver.ts';

export type DoctorOptions = {
  readonly config?: string;
  readonly ca?: string;
  readonly dns?: readonly string[];
  readonly selector?: readonly string[];
  readonly timeout: string;
  readonly json?: boolean;
};

/** The services that were looked at, and everything found on the way. */
type Diagnosis = {
  readonly findings: readonly Finding[];
  readonly services: readonly (ServiceCheck & { readonly url: string })[];
};

/** The longest that one diagnosis may take, whatever the DNS and servers do. */
const DEADLINE_MS = 300_000;

/**
 * Looks at how a domain, or one service by its URL, can be reached by iSchedule, and what would be refused. It asks the
 * DNS and asks by GET; it posts nothing.
 * @returns whether nothing would be refused
 */
export async function diagnose(given: string, options: DoctorOptions): Promise<boolean> {
  const config = hasConfig(options.config) ? requireConfig(options.config).config : undefined;
  await using resolver = openResolver(options.dns ?? [], config);
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const url = /^https?:\/\//i.test(given) ? URL.parse(given) : undefined;
  const { findings, services } =
    url === undefined || url === null
      ? await diagnoseDomain(requireDomain(given), config, options, resolver, signal)
      : await diagnoseUrl(url, config, options, resolver, signal);
  const refused = findings.filter(({ verdict }) => verdict === 'refused');
  if (options.json === true) printJson({ findings, services: services.map(serviceJson) });
  else report(findings, services, refused);
  return refused.length === 0;
}

function serviceJson({ url, capabilities }: Diagnosis['services'][number]): unknown {
  if (capabilities === undefined) return { url };
  const messages = [...(capabilities.messages ?? [])].map(([component, methods]) => [component, [...methods]]);
  return { url, capabilities: { ...capabilities, messages: Object.fromEntries(messages) } };
}

function requireDomain(given: string): string {
  const domain = domainToASCII(given.toLowerCase().replace(/\.$/, ''));
  if (/^(?=.{1,253}$)[a-z0-9_-]+(?:\.[a-z0-9_-]+)+$/.test(domain)) return domain;
  throw new CommandError(EX.USAGE, `got ${given}, want a domain such as example.com, or the URL of a service`);
}

async function diagnoseDomain(
  domain: string,
  config: Config | undefined,
  options: DoctorOptions,
  resolver: DnsResolver,
  signal: AbortSignal,
): Promise<Diagnosis> {
  const named = await findServices(domain, resolver, (name) => publicSuffixOf(name) === name, signal);
  const findings: Finding[] = [...named.findings];
  const services: (ServiceCheck & { url: string })[] = [];
  const guard = addressPolicy({ allow: config?.ischedule.discovery.allowNetworks ?? [] });
  for (const service of named.services) {
    const settings = {
      resolver,
      guard,
      dial: dialOptions(undefined, config, options),
      now: () => Date.now(),
    };
    const check = await checkService(service.url, service.domain, settings, signal);
    services.push({ ...check, url: service.url.href });
    findings.push(...check.findings);
  }
  const dial = dialOptions(undefined, config, options);
  findings.push(
    ...(await checkKeys(domain, config, options, { resolver, guard, dial, now: () => Date.now() }, signal)),
  );
  return { findings, services };
}

async function diagnoseUrl(
  url: URL,
  config: Config | undefined,
  options: DoctorOptions,
  resolver: DnsResolver,
  signal: AbortSignal,
): Promise<Diagnosis> {
  const settings: CheckSettings = { resolver, dial: dialOptions(url, config, options), now: () => Date.now() };
  const check = await checkService(url, undefined, settings, signal);
  return { findings: check.findings, services: [{ ...check, url: url.href }] };
}

/** Keys of ours for this domain, those of the selectors that were named, and where the domain serves keys by https. */
async function checkKeys(
  domain: string,
  config: Config | undefined,
  options: DoctorOptions,
  settings: CheckSettings,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const ours = (config?.ischedule.keys ?? []).filter((key) => key.domain === domain);
  const others = (options.selector ?? []).filter((one) => !ours.some(({ selector }) => selector === one));
  const questions: readonly KeyQuestion[] = [
    ...ours.map(({ selector, key }) => ({ domain, selector, ours: publicHalf(key.reveal()) })),
    ...others.map((selector) => ({ domain, selector })),
  ];
  const found = await Promise.all(questions.map((question) => checkKey(question, settings.resolver, signal)));
  return [...found.flat(), ...(await checkKeyServer(domain, questions, settings, signal))];
}

/**
 * What the configuration says of this server, and above that what was said on the command line. A server that the DNS
 * named, a key server among them, has no entry of its own: no leniency is for strangers.
 * @param url absent: of no server in particular
 */
export function dialOptions(
  url: URL | undefined,
  config: Config | undefined,
  options: { readonly ca?: string; readonly timeout: string },
): DialOptions {
  const seconds = Number(options.timeout);
  if (!(seconds > 0 && seconds <= 300))
    throw new CommandError(EX.USAGE, `got --timeout ${options.timeout}, want a number of seconds, such as 10`);
  const settings = settingsOf(url, config);
  return {
    timeoutMs: seconds * 1000,
    ...(settings.ca === undefined ? {} : { ca: settings.ca }),
    ...(settings.clientCertificate === undefined ? {} : { clientCertificate: settings.clientCertificate }),
    ...(settings.minTls === undefined ? {} : { minTls: settings.minTls }),
    ...(settings.securityLevel === undefined ? {} : { securityLevel: settings.securityLevel }),
    ...(options.ca === undefined ? {} : { ca: readInput(options.ca) }),
  };
}

function settingsOf(url: URL | undefined, config: Config | undefined): Partial<ServerSettings> {
  if (config === undefined) return {};
  if (url !== undefined) return settingsFor(url.href, config.ischedule);
  const { ca } = config.ischedule.discovery;
  return ca === undefined ? {} : { ca };
}

/** @throws CommandError (EX_NOINPUT) */
export function readInput(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw new CommandError(EX.NOINPUT, `${file} cannot be read (${String(error.code)}); name a file that is there`);
  }
}

function report(findings: readonly Finding[], services: Diagnosis['services'], refused: readonly Finding[]): void {
  printFindings(findings);
  for (const { url, capabilities } of services) {
    if (capabilities === undefined) continue;
    print();
    print(`What ${url} announces:`);
    printTable(['', ''], capabilityRows(capabilities));
  }
  print();
  if (refused.length === 0) {
    print('Nothing would be refused.');
    return;
  }
  print(`Refused would be ${refused.length === 1 ? 'one thing' : `${refused.length} things`}:`);
  for (const { area, what, found, advice } of refused) print(`  ${area} ${what}: ${found}; ${advice ?? ''}`);
}
