import type { Entry } from '../src/directory/directory.ts';
import { domainOf } from '../src/mail/address.ts';
import type { CalendarServer } from '../src/mail/disposition.ts';
import type { PermanentStatus } from '../src/mail/status.ts';
import { type DomainMapEntry, lookupDomain, readServer } from './domain-map.ts';

/** What names the home servers of a site. */
export type Homes = {
  /** Name of the marker attribute (`davStore`), when one is configured. */
  readonly marker?: string;
  readonly backEnds: ReadonlyMap<string, CalendarServer>;
  readonly defaultBackEnd?: CalendarServer;
  readonly domainMap: readonly DomainMapEntry[];
};

export type Home =
  | { readonly kind: 'server'; readonly server: CalendarServer; readonly because: string }
  | {
      readonly kind: 'none';
      readonly rule: 'no-calendar' | 'no-home-server' | 'external';
      readonly status: PermanentStatus;
      readonly reason: string;
    }
  /** The DNS of an outside domain gives no answer: whether it has a service is not known. */
  | { readonly kind: 'silent'; readonly reason: string }
  | { readonly kind: 'misconfigured'; readonly rule: 'server-unknown' | 'marker-unknown'; readonly reason: string };

/** What the DNS of an outside domain says of its iSchedule service (draft-desruisseaux-ischedule-05 §5). */
export type Discovered =
  /** `urls`: in the order in which they are to be tried, never empty. */
  | { readonly kind: 'service'; readonly urls: readonly string[]; readonly because: string }
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'no-answer'; readonly reason: string };

/**
 * Question 7.
 * @param entry of one of ours
 * @param discovered of the domain of an outsider whom no line of the map concerns
 */
export function homeOf(recipient: string, entry: Entry | undefined, homes: Homes, discovered?: Discovered): Home {
  return entry === undefined ? homeOfOutsider(recipient, homes, discovered) : homeOfUser(entry, homes);
}

/**
 * One of our own: the server his entry names; else, marker present, the back end of its value; else the map's line;
 * else the default.
 */
function homeOfUser(entry: Entry, homes: Homes): Home {
  const nowhere = (rule: 'no-calendar' | 'no-home-server', reason: string): Home => ({
    kind: 'none',
    rule,
    status: '5.2.1',
    reason,
  });
  if (!entry.calendar) return nowhere('no-calendar', 'the entry has no calendar');
  if (entry.server !== undefined) return ownServer(entry.server, homes);
  if (homes.marker !== undefined && entry.marker !== undefined) {
    const server = homes.backEnds.get(entry.marker);
    // Never v6 by default: the attribute says that the user has left it.
    if (server === undefined)
      return {
        kind: 'misconfigured',
        rule: 'marker-unknown',
        reason: `${homes.marker} is ${entry.marker}, which no calendar.back-ends line names`,
      };
    return { kind: 'server', server, because: `${homes.marker} is ${entry.marker}` };
  }
  const domain = domainOf(entry.mail);
  const line = lookupDomain(homes.domainMap, domain);
  if (line !== undefined) {
    // The v7 product's own file has no profiles; where a marker tells v7 users, its lines for our domains mean v6.
    const profile = line.profile ?? (homes.marker === undefined ? 'generic' : 'oracle-v6');
    return {
      kind: 'server',
      server: { url: line.url, profile },
      because: `domain map line ${line.line}, ${line.domain}`,
    };
  }
  if (homes.marker === undefined && homes.defaultBackEnd !== undefined) {
    return { kind: 'server', server: homes.defaultBackEnd, because: 'the default back end' };
  }
  return nowhere(
    'no-home-server',
    homes.marker === undefined
      ? `no domain map line for ${domain} and no default back end`
      : `no ${homes.marker}, and no domain map line for ${domain}`,
  );
}

/** What the entry itself says wins over everything, and is never passed over when it cannot be understood. */
function ownServer(named: string, homes: Homes): Home {
  const because = `the entry's own server is ${named}`;
  const backEnd = homes.backEnds.get(named);
  if (backEnd !== undefined) return { kind: 'server', server: backEnd, because };
  const wrong = (reason: string): Home => ({
    kind: 'misconfigured',
    rule: 'server-unknown',
    reason: `${because}: ${reason}`,
  });
  if (!named.includes(':')) return wrong('no calendar.back-ends line names it, and it is no URL');
  const read = readServer(named);
  if (read.kind === 'wrong') return wrong(read.reason);
  return { kind: 'server', server: { url: read.url, profile: read.profile ?? 'generic' }, because };
}

/** Everybody else: the map's line for the domain, the service that its DNS names, or mail. */
function homeOfOutsider(recipient: string, homes: Homes, discovered: Discovered | undefined): Home {
  const line = lookupDomain(homes.domainMap, domainOf(recipient));
  if (line !== undefined) {
    return {
      kind: 'server',
      server: { url: line.url, profile: line.profile ?? 'generic' },
      because: `domain map line ${line.line}, ${line.domain}`,
    };
  }
  const outside = 'the recipient is of no domain of ours';
  if (discovered === undefined) return { kind: 'none', rule: 'external', status: '5.7.1', reason: outside };
  if (discovered.kind === 'no-answer') return { kind: 'silent', reason: discovered.reason };
  const [url, ...fallbacks] = discovered.kind === 'service' ? discovered.urls : [];
  if (discovered.kind === 'none' || url === undefined) {
    const reason = discovered.kind === 'none' ? discovered.reason : 'its DNS names no URL';
    return { kind: 'none', rule: 'external', status: '5.7.1', reason: `${outside}: ${reason}` };
  }
  return {
    kind: 'server',
    server: { url, profile: 'generic', ...(fallbacks.length === 0 ? {} : { fallbacks }), discovered: true },
    because: discovered.because,
  };
}
