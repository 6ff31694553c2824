import { randomBytes } from 'node:crypto';
import { busyAddressOf } from '../config/busy.ts';
import type { BusyServerConfig, Config } from '../config/options.ts';
import { hopName } from '../freebusy/hops.ts';
import { silentLog } from '../observe/log.ts';
import { openOutside } from '../outside.ts';
import { openSources, type Sources } from '../sources.ts';
import type { Finding } from './check.ts';

const HOUR_MS = 3_600_000;

/** Who may ask for busy times, and whether those answer who are not asked by iSchedule. */
export async function checkFreeBusy(config: Config, timeoutMs: number): Promise<readonly Finding[]> {
  const { freeBusy } = config;
  if (freeBusy === undefined) return [];
  const asked = freeBusy.servers.filter(({ by }) => by !== 'ischedule');
  if (asked.length === 0) return [describe(config)];
  await using outside = openOutside(config, silentLog);
  await using sources = openSources(config, outside, silentLog);
  return [
    describe(config),
    ...(await Promise.all(asked.map((entry) => checkServer(sources, config, entry, timeoutMs)))),
  ];
}

function describe({ freeBusy, ischedule: { peers } }: Config): Finding {
  const clients = freeBusy?.clients.map(({ name, protocols, wcap }) => {
    const how = protocols.map((protocol) =>
      protocol === 'wcap' && wcap === 'redirect' ? 'wcap by redirect' : protocol,
    );
    return `${name} (${how.join(', ')})`;
  });
  const names = [...peers.map(({ name }) => `${name} (ischedule)`), ...(clients ?? [])];
  const detail = names.length === 0 ? 'asked by nobody but imipd freebusy' : `may be asked by ${names.join(', ')}`;
  return { what: 'free/busy', verdict: 'ok', detail };
}

/** Asks about an hour of the gateway's own address, which shows as much as any other and needs nobody's permission. */
async function checkServer(
  { sourceOf }: Sources,
  config: Config,
  { url, by, at = url }: BusyServerConfig,
  timeoutMs: number,
): Promise<Finding> {
  const what = `free/busy server ${at} (${by})`;
  const source = sourceOf({ kind: 'server', server: { url, profile: 'generic' }, because: 'free-busy.servers' });
  const now = Math.floor(Date.now() / 1000) * 1000;
  const own = busyAddressOf(config);
  const batch = {
    server: new URL(url),
    profile: 'generic',
    uid: `check-${randomBytes(8).toString('hex')}@${config.hostname}`,
    originator: own,
    attendees: [own],
    window: { startMs: now, endMs: now + HOUR_MS },
    hops: [hopName(config.hostname)],
  } as const;
  const [reading] = await source.ask(batch, AbortSignal.timeout(timeoutMs));
  switch (reading?.kind) {
    case 'periods':
      return { what, verdict: 'ok', detail: 'answers' };
    case 'unknown':
      return { what, verdict: 'ok', detail: `answers (asked about ${own}, which it does not know)` };
    case 'refused':
      return { what, verdict: 'warning', detail: `answers, and refuses to say anything of ${own}: ${reading.reason}` };
    case 'unusable':
      return { what, verdict: 'error', detail: `answers, and tells no times of ${own}: ${reading.reason}` };
    default:
      return { what, verdict: 'error', detail: `does not answer: ${reading?.reason ?? 'nothing came'}` };
  }
}
