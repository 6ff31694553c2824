import type { DnsResolver } from '../net/dns.ts';
import type { SrvRecord } from '../net/resolver.ts';

import { type Finding, note, ok, wrong } from './finding.ts';

/** A service that the DNS names. */
export type NamedService = {
  /** Whose records they are: the domain itself, or one above it. */
  readonly domain: string;
  readonly target: string;
  readonly port: number;
  /** `_ischedules`; the other one is of the older drafts, in clear. */
  readonly secure: boolean;
  readonly url: URL;
};

export type ServiceRecords = { readonly findings: readonly Finding[]; readonly services: readonly NamedService[] };

/**
 * Looks for the iSchedule service of a domain (draft-desruisseaux-ischedule-05 §5), then of the domains above it.
 * @param domain lower case
 * @param isSuffix whether a name is a public suffix: nobody is asked there
 */
export async function findServices(
  domain: string,
  resolver: DnsResolver,
  isSuffix: (name: string) => boolean,
  signal: AbortSignal,
): Promise<ServiceRecords> {
  const findings: Finding[] = [];
  for (const name of upwards(domain, isSuffix)) {
    const secure = await look(name, '_ischedules._tcp', resolver, signal);
    findings.push(...secure.findings);
    if (secure.isSilent) return { findings, services: [] };
    const plain = await look(name, '_ischedule._tcp', resolver, signal);
    findings.push(...plain.findings);
    const services = [...secure.services, ...plain.services];
    if (secure.isDenied || services.length > 0) {
      if (services.length > 0 && secure.services.length === 0) findings.push(plainOnly(name));
      return { findings, services };
    }
  }
  findings.push(
    wrong(
      'refused',
      'dns',
      domain,
      'no SRV record of iSchedule, here or above',
      `SRV at _ischedules._tcp.${domain}, for others to find its calendars`,
      'publish one (`imipd keys new` shows it), or name the server in the domain map: without either its people get mail only',
    ),
  );
  return { findings, services: [] };
}

/** The domain, then each above it, without public suffixes. */
function upwards(domain: string, isSuffix: (name: string) => boolean): string[] {
  const labels = domain.split('.');
  return labels
    .map((_, from) => labels.slice(from).join('.'))
    .filter((name, from) => from === 0 || (name.includes('.') && !isSuffix(name)));
}

function plainOnly(domain: string): Finding {
  return wrong(
    'refused',
    'dns',
    `_ischedules._tcp.${domain}`,
    'a service in clear only',
    'one by https: nothing is posted in clear to a server that the DNS names',
    `publish SRV at _ischedules._tcp.${domain} for a port with TLS; where that port takes TLS already, ischedule.discovery.plain makes us try it by https`,
  );
}

type Looked = ServiceRecords & {
  /** One record with the target `.`: no such service, and nobody above is asked. */
  readonly isDenied: boolean;
  readonly isSilent: boolean;
};

async function look(domain: string, label: string, resolver: DnsResolver, signal: AbortSignal): Promise<Looked> {
  const name = `${label}.${domain}`;
  const secure = label === '_ischedules._tcp';
  const answer = await resolver.srv(name, signal);
  const nothing = { services: [], isDenied: false, isSilent: false };
  switch (answer.kind) {
    case 'none':
      return { ...nothing, findings: [note('dns', name, 'no SRV record')] };
    case 'no-answer':
      return { ...nothing, isSilent: true, findings: [silent(name, answer.reason)] };
    case 'records': {
      if (answer.records.every(({ target }) => target === '.')) {
        const denied = wrong(
          'refused',
          'dns',
          name,
          'SRV with the target ".": no such service',
          'a host, if invitations are to be taken',
          'leave it where mail is meant to be the only way',
        );
        return { ...nothing, isDenied: secure, findings: [secure ? denied : note('dns', name, denied.found)] };
      }
      const { path, finding } = await pathOf(name, resolver, signal);
      const records = answer.records.filter(({ target }) => target !== '.').toSorted(byPriority);
      return {
        ...nothing,
        findings: [...records.map((record) => ok('dns', name, srvText(record, answer.ttlMs))), finding],
        services: records.map(({ target, port }) => ({
          domain,
          target,
          port,
          secure,
          url: new URL(`${secure ? 'https' : 'http'}://${target}:${port}${path ?? '/.well-known/ischedule'}`),
        })),
      };
    }
  }
}

/** RFC 2782: weight is a matter of chance, so only priority gives an order. */
function byPriority(a: SrvRecord, b: SrvRecord): number {
  return a.priority - b.priority || b.weight - a.weight;
}

function srvText({ target, port, priority, weight }: SrvRecord, ttlMs: number): string {
  return `SRV ${priority} ${weight} ${port} ${target}, for ${Math.round(ttlMs / 1000)} s`;
}

export function silent(name: string, reason: string): Finding {
  return wrong(
    'refused',
    'dns',
    name,
    `no answer: ${reason}`,
    'an answer, even if it is that there is nothing',
    'try again; ask the servers of the zone, or name others with --dns',
  );
}

/** RFC 6763 §6.3: `path=…` in a TXT record at the owner name of the SRV record. */
async function pathOf(
  name: string,
  resolver: DnsResolver,
  signal: AbortSignal,
): Promise<{ readonly path?: string; readonly finding: Finding }> {
  const answer = await resolver.strings(name, signal);
  if (answer.kind === 'no-answer') return { finding: silent(name, answer.reason) };
  const record = answer.kind === 'records' ? answer.records.flat().find((text) => /^path=/i.test(text)) : undefined;
  if (record === undefined) return { finding: ok('dns', name, 'no TXT path, so /.well-known/ischedule') };
  const path = record.slice('path='.length);
  if (/^\/[\x21-\x7e]*$/.test(path)) return { path, finding: ok('dns', name, `TXT ${record}`) };
  return {
    finding: wrong(
      'warning',
      'dns',
      name,
      `TXT ${record}`,
      'a path that begins with "/"',
      'correct the record; /.well-known/ischedule is used',
    ),
  };
}
