import type { Entry } from '../src/directory/directory.ts';
import { domainOf } from '../src/mail/address.ts';
import type { CalendarServer } from '../src/mail/disposition.ts';
import { type DomainMapEntry, lookupDomain } from './domain-map.ts';

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
  | { readonly kind: 'none'; readonly rule: 'no-calendar' | 'no-home-server'; readonly reason: string }
  | { readonly kind: 'misconfigured'; readonly reason: string };

/** Question 7 for one of our own: marker present → the back end of its value; else the map's line; else the default. */
export function homeOfUser(entry: Entry, homes: Homes): Home {
  if (!entry.calendar) return { kind: 'none', rule: 'no-calendar', reason: 'the entry has no calendar' };
  if (homes.marker !== undefined && entry.marker !== undefined) {
    const server = homes.backEnds.get(entry.marker);
    // Never v6 by default: the attribute says that the user has left it.
    if (server === undefined)
      return {
        kind: 'misconfigured',
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
  return {
    kind: 'none',
    rule: 'no-home-server',
    reason:
      homes.marker === undefined
        ? `no domain map line for ${domain} and no default back end`
        : `no ${homes.marker}, and no domain map line for ${domain}`,
  };
}

/** Question 7 for everybody else: the map's line for the domain, or mail. */
export function homeOfOutsider(recipient: string, homes: Homes): CalendarServer | undefined {
  const line = lookupDomain(homes.domainMap, domainOf(recipient));
  return line === undefined ? undefined : { url: line.url, profile: line.profile ?? 'generic' };
}
