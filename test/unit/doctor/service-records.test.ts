import { describe, expect, test } from 'vitest';
import { findServices } from '../../../src/doctor/service-records.ts';
import type { DnsResolver } from '../../../src/net/dns.ts';
import type { DnsAnswer, SrvRecord } from '../../../src/net/resolver.ts';

type Zone = {
  readonly srv?: Readonly<Record<string, readonly SrvRecord[] | 'silent'>>;
  readonly txt?: Readonly<Record<string, readonly string[]>>;
};

/** A DNS with these records, that remembers what it was asked. */
function dns(zone: Zone): DnsResolver & { readonly asked: string[] } {
  const asked: string[] = [];
  const records = <T>(found: readonly T[] | 'silent' | undefined): DnsAnswer<T> => {
    if (found === 'silent') return { kind: 'no-answer', reason: '127.0.0.1: SERVFAIL' };
    return found === undefined ? { kind: 'none', ttlMs: 60_000 } : { kind: 'records', records: found, ttlMs: 300_000 };
  };
  return {
    asked,
    srv: async (name) => {
      asked.push(name);
      return records(zone.srv?.[name]);
    },
    txt: async (name) => records(zone.txt?.[name]),
    strings: async (name) => records(zone.txt?.[name]?.map((text) => [text])),
    addresses: async () => ({ kind: 'none', ttlMs: 0 }),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

const host = (target: string, more: Partial<SrvRecord> = {}): SrvRecord => ({
  target,
  port: 443,
  priority: 0,
  weight: 0,
  ...more,
});
const find = (domain: string, resolver: DnsResolver) =>
  findServices(domain, resolver, (name) => ['test', 'co.test'].includes(name), new AbortController().signal);

describe('services in the DNS', () => {
  test('come by priority, with the well-known path', async () => {
    const resolver = dns({
      srv: {
        '_ischedules._tcp.example.test': [
          host('two.example.test', { priority: 20, port: 8443 }),
          host('one.example.test', { priority: 10 }),
        ],
      },
    });
    const { findings, services } = await find('example.test', resolver);
    expect(services.map(({ url }) => url.href)).toEqual([
      'https://one.example.test/.well-known/ischedule',
      'https://two.example.test:8443/.well-known/ischedule',
    ]);
    expect(findings.map(({ verdict, found }) => `${verdict} ${found}`)).toEqual([
      'ok SRV 10 0 443 one.example.test, for 300 s',
      'ok SRV 20 0 8443 two.example.test, for 300 s',
      'ok no TXT path, so /.well-known/ischedule',
      'note no SRV record',
    ]);
  });

  test('have the path of the TXT record', async () => {
    const resolver = dns({
      srv: { '_ischedules._tcp.example.test': [host('cal.example.test')] },
      txt: { '_ischedules._tcp.example.test': ['path=/ischedule'] },
    });
    const { services } = await find('example.test', resolver);
    expect(services.map(({ url }) => url.href)).toEqual(['https://cal.example.test/ischedule']);
  });

  test('with a path that is none keep the well-known one, and the record is warned of', async () => {
    const resolver = dns({
      srv: { '_ischedules._tcp.example.test': [host('cal.example.test')] },
      txt: { '_ischedules._tcp.example.test': ['path=ischedule'] },
    });
    const { findings, services } = await find('example.test', resolver);
    expect(services.map(({ url }) => url.pathname)).toEqual(['/.well-known/ischedule']);
    expect(findings.find(({ verdict }) => verdict === 'warning')).toMatchObject({
      found: 'TXT path=ischedule',
      wanted: 'a path that begins with "/"',
    });
  });

  test('are looked for above the domain, and never at a public suffix', async () => {
    const resolver = dns({});
    const { findings, services } = await find('a.b.example.co.test', resolver);
    expect(services).toEqual([]);
    expect(resolver.asked).toEqual([
      '_ischedules._tcp.a.b.example.co.test',
      '_ischedule._tcp.a.b.example.co.test',
      '_ischedules._tcp.b.example.co.test',
      '_ischedule._tcp.b.example.co.test',
      '_ischedules._tcp.example.co.test',
      '_ischedule._tcp.example.co.test',
    ]);
    expect(findings.at(-1)).toMatchObject({
      verdict: 'refused',
      found: 'no SRV record of iSchedule, here or above',
      wanted: 'SRV at _ischedules._tcp.a.b.example.co.test, for others to find its calendars',
    });
  });

  test('a target "." ends the search, though there is one above', async () => {
    const resolver = dns({
      srv: {
        '_ischedules._tcp.mail.example.test': [host('.')],
        '_ischedules._tcp.example.test': [host('cal.example.test')],
      },
    });
    const { findings, services } = await find('mail.example.test', resolver);
    expect(services).toEqual([]);
    expect(findings.filter(({ verdict }) => verdict === 'refused').map(({ found }) => found)).toEqual([
      'SRV with the target ".": no such service',
    ]);
  });

  test('a service in clear only is found, and would be refused', async () => {
    const resolver = dns({ srv: { '_ischedule._tcp.example.test': [host('cal.example.test', { port: 80 })] } });
    const { findings, services } = await find('example.test', resolver);
    expect(services.map(({ url }) => url.href)).toEqual(['http://cal.example.test/.well-known/ischedule']);
    expect(findings.at(-1)).toMatchObject({ verdict: 'refused', found: 'a service in clear only' });
  });

  test('a silent DNS is refused with its reason, and nobody above is asked', async () => {
    const resolver = dns({ srv: { '_ischedules._tcp.mail.example.test': 'silent' } });
    const { findings } = await find('mail.example.test', resolver);
    expect(findings[0]).toMatchObject({ verdict: 'refused', found: 'no answer: 127.0.0.1: SERVFAIL' });
    expect(resolver.asked).not.toContain('_ischedules._tcp.example.test');
  });
});
