import { afterAll, beforeAll, expect, test } from 'vitest';
import { CACHE_BOUNDS, createResolver, type DnsResolver } from '../../src/net/dns.ts';
import { suite } from '../servers/installed.ts';
import { type Knot, startKnot } from '../servers/servers.ts';

const never = new AbortController().signal;

// 700 characters: more than a datagram of 512, less than one of 1232; and three of them are more than that too.
const LONG = 'k'.repeat(250);

suite(['knot'], 'the DNS client on a real server', () => {
  let knot: Knot;
  let resolver: DnsResolver;
  let now = 0;

  beforeAll(async () => {
    knot = await startKnot({
      zones: {
        'example.com': `
_ischedules._tcp 120 SRV 10 5 8443 Cal.example.com.
_ischedules._tcp 120 SRV 20 0 443 backup
cal A 192.0.2.10
cal AAAA 2001:db8::10
cal4 A 192.0.2.14
www 20 CNAME cal
out CNAME host.example.org.
loop CNAME pool
pool CNAME loop
key TXT "v=DKIM1; k=rsa; p=" "${LONG}" "${LONG}"
huge TXT ${Array.from({ length: 8 }, () => `"${LONG}"`).join(' ')}
two TXT "one"
two TXT "two"
none._tcp SRV 0 0 0 .
`,
        'example.org': 'host TXT "found elsewhere"',
      },
    });
    resolver = createResolver({ servers: [knot.address], timeoutMs: 2_000, tries: 2, clock: () => now });
  });
  afterAll(async () => {
    await resolver?.close();
    await knot?.[Symbol.asyncDispose]();
  });

  test('SRV records come with every field, the target in lower case', async () => {
    const answer = await resolver.srv('_ischedules._tcp.example.com', never);
    expect(answer.kind === 'records' && [...answer.records].sort((a, b) => a.priority - b.priority)).toEqual([
      { target: 'cal.example.com', port: 8443, priority: 10, weight: 5 },
      { target: 'backup.example.com', port: 443, priority: 20, weight: 0 },
    ]);
    expect(answer).toMatchObject({ ttlMs: 120_000 });
  });

  test('the target . stays what it is', async () => {
    expect(await resolver.srv('none._tcp.example.com', never)).toMatchObject({
      records: [{ target: '.', port: 0, priority: 0, weight: 0 }],
    });
  });

  test('addresses are those of both families, or of the one there is', async () => {
    expect(await resolver.addresses('cal.example.com', never)).toMatchObject({
      records: ['192.0.2.10', '2001:db8::10'],
    });
    expect(await resolver.addresses('cal4.example.com', never)).toMatchObject({ records: ['192.0.2.14'] });
    expect(await resolver.addresses('key.example.com', never)).toEqual({ kind: 'none', ttlMs: 30_000 });
  });

  test('TXT records of several strings are joined, several records are not', async () => {
    expect(await resolver.txt('key.example.com', never)).toMatchObject({
      records: [`v=DKIM1; k=rsa; p=${LONG}${LONG}`],
    });
    const two = await resolver.txt('two.example.com', never);
    expect(two.kind === 'records' && [...two.records].sort()).toEqual(['one', 'two']);
  });

  test('what does not fit a datagram comes by TCP', async () => {
    expect(await resolver.txt('huge.example.com', never)).toMatchObject({ records: [LONG.repeat(8)] });
  });

  test('aliases are followed, into another zone too; a circle of them is no answer', async () => {
    expect(await resolver.addresses('www.example.com', never)).toEqual({
      kind: 'records',
      records: ['192.0.2.10', '2001:db8::10'],
      ttlMs: 20_000,
    });
    expect(await resolver.txt('out.example.com', never)).toMatchObject({ records: ['found elsewhere'] });
    expect(await resolver.txt('loop.example.com', never)).toMatchObject({ kind: 'no-answer' });
  });

  test('a name that the server is not asked to know is no answer', async () => {
    expect(await resolver.txt('example.net', never)).toEqual({
      kind: 'no-answer',
      reason: 'DNS server 127.0.0.1: REFUSED',
    });
  });

  test('that there is nothing is known for as long as the SOA says, then the change is seen', async () => {
    expect(await resolver.txt('new.example.org', never)).toEqual({ kind: 'none', ttlMs: 30_000 });
    await knot.setZone('example.org', 'new TXT "here now"');
    now += 29_999;
    expect(await resolver.txt('new.example.org', never)).toEqual({ kind: 'none', ttlMs: 1 });
    now += 1;
    expect(await resolver.txt('new.example.org', never)).toMatchObject({ records: ['here now'] });
  });

  test('a zone may be added, and one that cannot be read is refused with the old one kept', async () => {
    await knot.setZone('example.test', '@ TXT "added"');
    expect(await resolver.txt('example.test', never)).toMatchObject({ records: ['added'] });
    await expect(knot.setZone('example.test', '@ NONSENSE')).rejects.toThrow('example.test');
    await using fresh = createResolver({ servers: [knot.address], timeoutMs: 2_000, tries: 1 });
    expect(await fresh.txt('example.test', never)).toMatchObject({ records: ['added'] });
  });

  test('a server that was stopped is silent, and the next one is asked', async () => {
    await using other = await startKnot({ zones: { 'example.com': '@ TXT "from the other"' } });
    const cache = { ...CACHE_BOUNDS, maxEntries: 0 };
    const servers = [other.address, knot.address];
    await using both = createResolver({ servers, timeoutMs: 2_000, tries: 1, cache });
    expect(await both.txt('example.com', never)).toMatchObject({ records: ['from the other'] });
    await other.stop();
    expect(await both.txt('two.example.com', never)).toMatchObject({ kind: 'records' });
    await using one = createResolver({ servers: [other.address], timeoutMs: 2_000, tries: 1 });
    expect(await one.txt('example.com', never)).toEqual({
      kind: 'no-answer',
      reason: 'DNS server 127.0.0.1: ECONNREFUSED',
    });
  });
});
