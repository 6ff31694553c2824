import { lookupDomain } from '../../rules/domain-map.ts';
import type { Config } from '../config/options.ts';
import { mappingOf, policyOf } from '../config/policy.ts';
import { ask } from '../observe/reach.ts';
import type { Finding } from './check.ts';

/** What of a coexistence of v6 and v7 can be seen from here; nothing where no marker tells the two apart. */
export async function checkCoexistence(config: Config, timeoutMs: number): Promise<Finding[]> {
  const { homes, domains } = policyOf(config);
  const { marker } = homes;
  if (marker === undefined || config.directory === undefined) return [];
  const what = 'coexistence';
  const findings: Finding[] = [];
  if (homes.backEnds.size === 0) {
    findings.push({
      what,
      verdict: 'error',
      detail: `${marker} is the marker of users on v7, and calendar.back-ends has no line: every post for them is deferred; add one for each value`,
    });
  }
  const v6 = new Map<string, URL>();
  for (const domain of domains) {
    const line = lookupDomain(homes.domainMap, domain);
    if (line === undefined) continue;
    const profile = line.profile ?? 'oracle-v6';
    const isV6 = profile === 'oracle-v6';
    findings.push({
      what,
      verdict: isV6 ? 'ok' : 'warning',
      detail: isV6
        ? `users of ${domain} without ${marker} are on v6, ${line.url}, and get invitations by mail`
        : `users of ${domain} without ${marker} are posted to ${line.url} as profile ${profile}; if that is v6, say profile=oracle-v6 in line ${line.line} of the domain map`,
    });
    if (isV6) v6.set(new URL(line.url).origin, new URL(line.url));
  }
  if (v6.size === 0) return findings;
  if (!isMoveMarked(config.directory)) {
    findings.push({
      what,
      verdict: 'warning',
      detail: `nothing marks a user who is being moved, so his posts go to v7 as soon as ${marker} is set, before his data is there; set directory.mapping.moving, directory.moving-group or directory.moving-file`,
    });
  }
  return [...findings, ...(await Promise.all([...v6.values()].map((url) => checkWcap(url, timeoutMs, config))))];
}

function isMoveMarked(directory: NonNullable<Config['directory']>): boolean {
  return (
    mappingOf(directory).moving !== undefined ||
    directory.movingGroup !== undefined ||
    directory.movingFile !== undefined
  );
}

/** v6 serves WCAP and iSchedule on one port; whoever asks it for free/busy needs the first. */
async function checkWcap(url: URL, timeoutMs: number, { ischedule: { ca } }: Config): Promise<Finding> {
  const what = `WCAP of ${url.origin}`;
  const answer = await ask(new URL('/version.wcap', url), { timeoutMs, ...(ca === undefined ? {} : { ca }) });
  if (!answer.ok) return { what, verdict: 'error', detail: `cannot be reached: ${answer.reason}` };
  if (answer.status !== 200)
    return { what, verdict: 'warning', detail: `says ${answer.status} to version.wcap; is this the port of v6?` };
  return { what, verdict: 'ok', detail: 'answers' };
}
