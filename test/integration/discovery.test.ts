import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDiscovery } from '../../channel/ischedule/discover.ts';
import { addressPolicy } from '../../channel/ischedule/guard.ts';
import { createGuardedFetch } from '../../channel/ischedule/guarded-fetch.ts';
import { CACHE_BOUNDS, createResolver, type DnsResolver } from '../../src/net/dns.ts';
import { silentLog } from '../../src/observe/log.ts';
import { makeAuthority } from '../servers/authority.ts';
import { suite } from '../servers/installed.ts';
import { type Knot, startKnot } from '../servers/servers.ts';

const never = new AbortController().signal;

suite(['knot'], 'discovery with a real DNS server', () => {
  let knot: Knot;
  let resolver: DnsResolver;
  let now = 0;
  let random = 0;

  beforeAll(async () => {
    knot = await startKnot({
      zones: {
        'example.com': `
_ischedules._tcp SRV 20 0 443 last
_ischedules._tcp SRV 10 70 8443 often
_ischedules._tcp SRV 10 30 8443 seldom
_ischedules._tcp TXT "txtvers=1" "path=/calendar" "note=several strings"
_ischedules._tcp.no SRV 0 0 0 .
_ischedules._tcp.bad SRV 0 0 443 cal
_ischedules._tcp.bad TXT "path=//elsewhere.example.net/"
old A 127.0.0.1
_ischedule._tcp.old SRV 0 0 80 cal
`,
        // A whole registry with a service of its own, which those who registered below it did not ask for.
        'co.uk': `
_ischedules._tcp SRV 0 0 443 registry
example A 127.0.0.1
`,
        'example.org': 'later A 127.0.0.1',
      },
    });
    resolver = createResolver({ servers: [knot.address], timeoutMs: 2_000, tries: 1, clock: () => now });
  });
  afterAll(async () => {
    await resolver?.close();
    await knot?.[Symbol.asyncDispose]();
  });

  const discovery = (plainSrv = false) =>
    createDiscovery({
      resolver,
      plainSrv,
      random: () => random,
      clock: () => now,
      cache: CACHE_BOUNDS,
      log: silentLog,
    });
  const urls = (...hosts: readonly string[]) => hosts.map((host) => `https://${host}.example.com`);

  test('targets come by priority and weight, with the path that the TXT record names', async () => {
    const { find } = discovery();
    const [often, seldom, last] = urls('often', 'seldom', 'last');
    random = 0.5; // often, whichever of the two the server names first
    expect(await find('example.com', never)).toEqual({
      kind: 'service',
      urls: [`${often}:8443/calendar`, `${seldom}:8443/calendar`, `${last}/calendar`],
      because: 'SRV _ischedules._tcp.example.com',
    });
    const firsts = new Set<string | undefined>();
    for (random = 0; random < 1; random += 0.1) {
      const found = await find('example.com', never);
      firsts.add(found.kind === 'service' ? found.urls[0] : found.kind);
    }
    expect([...firsts].sort()).toEqual([`${often}:8443/calendar`, `${seldom}:8443/calendar`]);
  });

  test('a domain below is served by the one above, one that says no is not', async () => {
    const { find } = discovery();
    expect(await find('a.b.example.com', never)).toMatchObject({
      kind: 'service',
      because: 'SRV _ischedules._tcp.example.com',
    });
    expect(await find('no.example.com', never)).toMatchObject({ kind: 'none' });
    expect(await find('mail.no.example.com', never)).toEqual({
      kind: 'none',
      reason: '_ischedules._tcp.no.example.com says that there is no such service',
    });
    expect(await find('bad.example.com', never)).toMatchObject({ kind: 'none' });
  });

  test('the search stops before a public suffix, although that has a service', async () => {
    const { find } = discovery();
    expect(await find('example.co.uk', never)).toEqual({
      kind: 'none',
      reason: 'no SRV _ischedules._tcp at example.co.uk',
    });
  });

  test('the old name counts where it is allowed', async () => {
    expect(await discovery(true).find('old.example.com', never)).toMatchObject({
      urls: ['https://cal.example.com/.well-known/ischedule'],
    });
  });

  test('that there is no service is known until its time is over', async () => {
    const { find } = discovery();
    expect(await find('example.org', never)).toMatchObject({ kind: 'none' });
    await knot.setZone('example.org', '_ischedules._tcp SRV 0 0 443 cal');
    now += 29_999;
    expect(await find('example.org', never)).toMatchObject({ kind: 'none' });
    now += 1;
    expect(await find('example.org', never)).toMatchObject({
      urls: ['https://cal.example.org/.well-known/ischedule'],
    });
  });

  test('a domain that the DNS says nothing of is not decided', async () => {
    expect(await discovery().find('example.net', never)).toEqual({
      kind: 'no-answer',
      reason: '_ischedules._tcp.example.net: DNS server 127.0.0.1: REFUSED',
    });
  });

  test('a service on an address of ours is found, but nobody goes there unless its network is allowed', async () => {
    await using authority = await makeAuthority();
    const { cert, key } = await authority.issue({ name: 'cal.example.test' });
    const server = createServer({ cert, key }, (_request, response) => void response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await knot.setZone('example.test', `cal A 127.0.0.1\n_ischedules._tcp SRV 0 0 ${port} cal`);
    const found = await discovery().find('example.test', never);
    expect(found).toMatchObject({ urls: [`https://cal.example.test:${port}/.well-known/ischedule`] });
    const url = new URL(found.kind === 'service' ? (found.urls[0] ?? '') : '');
    const get = async (allow: readonly string[]) => {
      const policy = addressPolicy({ allow });
      const tls = { ca: authority.pem };
      const fetch = createGuardedFetch({ resolver, policy, connectTimeoutMs: 2_000, userAgent: 'test/1', tls });
      return await fetch(url, { maxBytes: 100, maxRedirects: 0, timeoutMs: 5_000 }, never);
    };
    expect(await get([])).toEqual({
      kind: 'refused',
      reason: 'cal.example.test is not a public address: 127.0.0.1, loopback',
    });
    expect(await get(['127.0.0.0/8'])).toMatchObject({ kind: 'answer', body: Buffer.from('hello') });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});
