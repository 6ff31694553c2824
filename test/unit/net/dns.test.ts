import { createSocket } from 'node:dgram';
import { describe, expect, test } from 'vitest';
import { CACHE_BOUNDS, createResolver, type ResolverOptions } from '../../../src/net/dns.ts';
import { a, answering, cname, type DnsStandIn, type Script, soa, srv, startDnsStandIn, txt } from './dns-stand-in.ts';

const never = new AbortController().signal;

async function withServer(
  script: Script,
  body: (resolver: ReturnType<typeof createResolver>, server: DnsStandIn) => Promise<void>,
  options: Partial<ResolverOptions> = {},
): Promise<void> {
  await using server = await startDnsStandIn(script);
  await using resolver = createResolver({ servers: [server.address], timeoutMs: 300, tries: 1, ...options });
  await body(resolver, server);
}

describe('an answer', () => {
  test('of the right id and question counts, whatever the case of its letters', async () => {
    await withServer(
      (asked) => [
        answering(asked, [srv('_X._TCP.Example.COM', 'Cal.Example.COM', { priority: 1, weight: 2, port: 8443 })], {
          questions: [{ type: 'SRV', name: '_X._tcp.EXAMPLE.com' }],
        }),
      ],
      async (resolver) => {
        expect(await resolver.srv('_x._tcp.example.com', never)).toEqual({
          kind: 'records',
          records: [{ target: 'cal.example.com', port: 8443, priority: 1, weight: 2 }],
          ttlMs: 60_000,
        });
      },
    );
  });

  test('with another id, another question or no answer flag is passed over, and the right one still taken', async () => {
    await withServer(
      (asked) => {
        const name = 'example.com';
        const id = asked.packet.id ?? 0;
        return [
          answering(asked, [txt(name, 'wrong id')], { id: (id + 1) & 0xffff }),
          answering(asked, [txt(name, 'wrong name')], { questions: [{ type: 'TXT', name: 'example.org' }] }),
          answering(asked, [txt(name, 'wrong type')], { questions: [{ type: 'SRV', name }] }),
          answering(asked, [txt(name, 'wrong class')], { questions: [{ type: 'TXT', name, class: 'CH' }] }),
          answering(asked, [txt(name, 'no question')], { questions: [] }),
          asked.message,
          Buffer.from('garbage'),
          Buffer.alloc(0),
          answering(asked, [txt(name, 'right')]),
        ];
      },
      async (resolver) => {
        expect(await resolver.txt('example.com', never)).toMatchObject({ kind: 'records', records: ['right'] });
      },
    );
  });

  test('from another address does not count', async () => {
    const stranger = createSocket('udp4');
    await using server = await startDnsStandIn(() => []);
    const udp = createSocket('udp4');
    // The stranger knows everything but the server's address.
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    udp.on('message', (message, from) => {
      const packet = Buffer.from(message);
      packet.writeUInt16BE(0x8180, 2);
      stranger.send(packet, from.port, from.address);
    });
    await using resolver = createResolver({ servers: [`127.0.0.1:${udp.address().port}`], timeoutMs: 200, tries: 1 });
    expect(await resolver.txt('example.com', never)).toEqual({
      kind: 'no-answer',
      reason: 'DNS server 127.0.0.1: no answer in time',
    });
    expect(server.asked).toEqual([]);
    udp.close();
    stranger.close();
  });

  test('that cannot be read is no answer', async () => {
    await withServer(
      (asked) => [answering(asked, [srv('example.com', 'cal.example.com')]).subarray(0, -3)],
      async (resolver) => {
        expect(await resolver.srv('example.com', never)).toEqual({
          kind: 'no-answer',
          reason: 'DNS server 127.0.0.1: an answer that cannot be read',
        });
      },
    );
  });

  test('of thousands of records is not decoded', async () => {
    await withServer(
      (asked) => {
        const message = answering(asked, [txt('example.com', 'x')]);
        message.writeUInt16BE(60_000, 6);
        return [message];
      },
      async (resolver) => {
        expect(await resolver.txt('example.com', never)).toMatchObject({
          kind: 'no-answer',
          reason: 'DNS server 127.0.0.1: an answer of 60000 records',
        });
      },
    );
  });

  test('of fifty records gives the first 32, and of strings too long none', async () => {
    await withServer(
      (asked) => {
        if (asked.by === 'udp') return [answering(asked, [], { flags: 0x0380 })];
        if (asked.packet.questions?.[0]?.type === 'TXT')
          return [answering(asked, [txt('example.com', ...Array.from({ length: 100 }, () => 'x'.repeat(255)))])];
        return [
          answering(
            asked,
            Array.from({ length: 50 }, (_, n) => srv('example.com', `h${n}.example.com`)),
          ),
        ];
      },
      async (resolver) => {
        const answer = await resolver.srv('example.com', never);
        expect(answer).toMatchObject({ kind: 'records', ttlMs: 60_000 });
        expect(answer.kind === 'records' && answer.records.map(({ target }) => target)).toEqual(
          Array.from({ length: 32 }, (_, n) => `h${n}.example.com`),
        );
        expect(await resolver.txt('example.com', never)).toEqual({ kind: 'none', ttlMs: 0 });
      },
    );
  });

  test('of one long record and a short one gives the one that there is room for', async () => {
    await withServer(
      (asked) => [
        asked.by === 'udp'
          ? answering(asked, [], { flags: 0x0380 })
          : answering(asked, [
              txt('example.com', 'short'),
              txt('example.com', ...Array.from({ length: 60_000 }, () => '')),
              txt('example.com', 'too late'),
            ]),
      ],
      async (resolver) => {
        expect(await resolver.strings('example.com', never)).toMatchObject({ records: [['short']] });
      },
    );
  });
});

describe('TCP', () => {
  test('is asked when an answer did not fit, and its strings are kept apart or joined', async () => {
    await withServer(
      (asked) => [
        asked.by === 'udp'
          ? answering(asked, [], { flags: 0x0380 })
          : answering(asked, [txt('example.com', 'a'.repeat(255), 'b'.repeat(255), 'c')]),
      ],
      async (resolver, server) => {
        const whole = `${'a'.repeat(255)}${'b'.repeat(255)}c`;
        expect(await resolver.txt('example.com', never)).toMatchObject({ kind: 'records', records: [whole] });
        expect(await resolver.strings('example.com', never)).toMatchObject({
          records: [['a'.repeat(255), 'b'.repeat(255), 'c']],
        });
        expect(server.asked).toEqual(['udp TXT example.com', 'tcp TXT example.com']);
      },
    );
  });

  test.each([
    ['another id', (id: number) => ({ id: id ^ 1 }), 'an answer to another question'],
    ['the flag of truncation', () => ({ flags: 0x0380 }), 'a truncated answer by TCP'],
  ])('with %s is no answer', async (_title, changes, reason) => {
    await withServer(
      (asked) => [
        asked.by === 'udp'
          ? answering(asked, [], { flags: 0x0380 })
          : answering(asked, [txt('example.com', 'x')], changes(asked.packet.id ?? 0)),
      ],
      async (resolver) => {
        expect(await resolver.txt('example.com', never)).toEqual({
          kind: 'no-answer',
          reason: `DNS server 127.0.0.1: ${reason}`,
        });
      },
    );
  });

  test('that is closed in the middle is no answer', async () => {
    await withServer(
      (asked) => (asked.by === 'udp' ? [answering(asked, [], { flags: 0x0380 })] : []),
      async (resolver) => {
        expect(await resolver.txt('example.com', never)).toEqual({
          kind: 'no-answer',
          reason: 'DNS server 127.0.0.1: closed the connection',
        });
      },
    );
  });

  test('is asked when somebody floods us with guesses', async () => {
    await withServer(
      (asked) =>
        asked.by === 'tcp'
          ? [answering(asked, [txt('example.com', 'right')])]
          : Array.from({ length: 200 }, (_, n) =>
              answering(asked, [txt('example.com', 'forged')], { id: ((asked.packet.id ?? 0) + 1 + n) & 0xffff }),
            ),
      async (resolver) => {
        expect(await resolver.txt('example.com', never)).toMatchObject({ records: ['right'] });
      },
      { timeoutMs: 3_000 },
    );
  });
});

describe('CNAMEs', () => {
  test('are followed within an answer, the shortest time-to-live counts', async () => {
    await withServer(
      (asked) => [
        asked.packet.questions?.[0]?.type === 'AAAA'
          ? answering(asked, [cname('www.example.com', 'a.example.org')], { authorities: [soa('example.org', 90, 70)] })
          : answering(asked, [
              a('b.example.org', '192.0.2.1', 20),
              cname('a.example.org', 'B.example.org'),
              cname('www.example.com', 'a.example.org'),
              a('other.example.org', '192.0.2.9'),
            ]),
      ],
      async (resolver) => {
        expect(await resolver.addresses('www.example.com', never)).toEqual({
          kind: 'records',
          records: ['192.0.2.1'],
          ttlMs: 20_000,
        });
      },
    );
  });

  test('whose end the server does not say are asked for', async () => {
    await withServer(
      (asked) => [
        asked.packet.questions?.[0]?.name === 'www.example.com'
          ? answering(asked, [cname('www.example.com', 'host.example.org')])
          : answering(asked, [txt('host.example.org', 'found')]),
      ],
      async (resolver, server) => {
        expect(await resolver.txt('www.example.com', never)).toMatchObject({ records: ['found'] });
        expect(server.asked).toEqual(['udp TXT www.example.com', 'udp TXT host.example.org']);
      },
    );
  });

  test('that go in a circle give no answer, in one message or over several', async () => {
    await withServer(
      (asked) => [
        asked.packet.questions?.[0]?.name === 'one.example.com'
          ? answering(asked, [cname('one.example.com', 'b.example.com'), cname('b.example.com', 'one.example.com')])
          : answering(asked, [cname(asked.packet.questions?.[0]?.name ?? '', 'x.example.com')]),
      ],
      async (resolver, server) => {
        expect(await resolver.txt('one.example.com', never)).toEqual({
          kind: 'no-answer',
          reason: 'DNS server 127.0.0.1: names that refer to each other',
        });
        expect(await resolver.txt('two.example.com', never)).toMatchObject({ kind: 'no-answer' });
        expect(server.asked.length).toBeLessThan(15);
      },
    );
  });
});

describe('nothing', () => {
  test.each([
    ['NXDOMAIN with SOA', { rcode: 3, authorities: [soa('example.com', 600, 90)] }, { kind: 'none', ttlMs: 90_000 }],
    ['no data with SOA', { authorities: [soa('example.com', 40, 90)] }, { kind: 'none', ttlMs: 40_000 }],
    ['NXDOMAIN without SOA', { rcode: 3 }, { kind: 'none', ttlMs: 0 }],
    ['no data without SOA', {}, { kind: 'none', ttlMs: 0 }],
    [
      'a referral',
      { authorities: [{ type: 'NS', name: 'com', ttl: 9, data: 'ns.example.net' } as const] },
      { kind: 'no-answer', reason: 'DNS server 127.0.0.1: a referral' },
    ],
    ['SERVFAIL', { rcode: 2 }, { kind: 'no-answer', reason: 'DNS server 127.0.0.1: SERVFAIL' }],
    ['REFUSED', { rcode: 5 }, { kind: 'no-answer', reason: 'DNS server 127.0.0.1: REFUSED' }],
  ])('%s', async (_title, changes, expected) => {
    await withServer(
      (asked) => [answering(asked, [], changes)],
      async (resolver) => {
        expect(await resolver.txt('nobody.example.com', never)).toEqual(expected);
      },
    );
  });

  test.each([
    '',
    '.',
    'exa mple.com',
    'a..b',
    '.example.com',
    `${'a'.repeat(64)}.com`,
    `${'abcdefg.'.repeat(32)}com`,
    'bücher.example',
    '127.0.0.1',
    '-a.example.com',
    'a\0b.example.com',
    'a\\.example.com',
    '::1',
  ])('%j is no name, and nobody is asked', async (name) => {
    await withServer(
      () => [],
      async (resolver, server) => {
        expect(await resolver.addresses(name, never)).toEqual({ kind: 'none', ttlMs: 0 });
        expect(server.asked).toEqual([]);
      },
    );
  });

  test('is asked for with a search domain or in the hosts file', async () => {
    await withServer(
      (asked) => [answering(asked, [], { rcode: 3 })],
      async (resolver, server) => {
        expect(await resolver.addresses('localhost', never)).toEqual({ kind: 'none', ttlMs: 0 });
        expect([...server.asked].sort()).toEqual(['udp A localhost', 'udp AAAA localhost']);
      },
    );
  });
});

describe('several servers', () => {
  test('the next one is asked after silence, SERVFAIL or REFUSED, and stays the first to be asked', async () => {
    await using silent = await startDnsStandIn(() => []);
    await using failing = await startDnsStandIn((asked) => [answering(asked, [], { rcode: 2 })]);
    await using refusing = await startDnsStandIn((asked) => [answering(asked, [], { rcode: 5 })]);
    await using good = await startDnsStandIn((asked) => [
      answering(asked, [txt(asked.packet.questions?.[0]?.name ?? '', 'good')]),
    ]);
    const servers = [silent, failing, refusing, good].map(({ address }) => address);
    await using resolver = createResolver({ servers, timeoutMs: 100, tries: 1 });
    expect(await resolver.txt('a.example.com', never)).toMatchObject({ records: ['good'] });
    expect(await resolver.txt('b.example.com', never)).toMatchObject({ records: ['good'] });
    expect([silent, failing, refusing, good].map(({ asked }) => asked.length)).toEqual([1, 1, 1, 2]);
  });

  test('all silent are no answer that names each, after as many rounds as configured', async () => {
    await using silent = await startDnsStandIn(() => []);
    await using failing = await startDnsStandIn((asked) => [answering(asked, [], { rcode: 2 })]);
    await using resolver = createResolver({ servers: [silent.address, failing.address], timeoutMs: 50, tries: 2 });
    expect(await resolver.txt('a.example.com', never)).toEqual({
      kind: 'no-answer',
      reason: 'DNS server 127.0.0.1: no answer in time; DNS server 127.0.0.1: SERVFAIL',
    });
    expect([silent.asked.length, failing.asked.length]).toEqual([2, 2]);
  });

  test('one that knows no EDNS is asked without', async () => {
    await withServer(
      (asked) =>
        (asked.packet.additionals ?? []).length > 0
          ? [answering(asked, [], { rcode: 1, questions: [] })]
          : [answering(asked, [txt('example.com', 'old')])],
      async (resolver, server) => {
        expect(await resolver.txt('example.com', never)).toMatchObject({ records: ['old'] });
        expect(server.asked.length).toBe(2);
      },
    );
  });

  test.each(['localhost', '127.0.0.1:0', '127.0.0.1:70000', '[::1', 'ns.example.com:53', ''])(
    '%j is refused by name',
    (server) => {
      expect(() => createResolver({ servers: [server], timeoutMs: 1, tries: 1 })).toThrow(
        `got "${server}", need the IP`,
      );
    },
  );
});

describe('the cache', () => {
  const counting = (ttl: number): Script => {
    let n = 0;
    return (asked) => [answering(asked, [{ ...txt('example.com', `${++n}`), ttl }])];
  };

  test('keeps an answer for its time-to-live, and says what is left of it', async () => {
    let now = 0;
    await withServer(
      counting(60),
      async (resolver, server) => {
        expect(await resolver.txt('example.com', never)).toEqual({ kind: 'records', records: ['1'], ttlMs: 60_000 });
        now = 59_999;
        expect(await resolver.txt('EXAMPLE.com.', never)).toEqual({ kind: 'records', records: ['1'], ttlMs: 1 });
        now = 60_000;
        expect(await resolver.txt('example.com', never)).toEqual({ kind: 'records', records: ['2'], ttlMs: 60_000 });
        expect(server.asked.length).toBe(2);
      },
      { clock: () => now },
    );
  });

  test.each([
    [0, 5_000],
    [4_000_000_000, 5_000],
    [2_000_000, 86_400_000],
  ])('a time-to-live of %d seconds counts as %d ms', async (ttl, ttlMs) => {
    await withServer(counting(ttl), async (resolver) => {
      expect(await resolver.txt('example.com', never)).toMatchObject({ ttlMs });
    });
  });

  test('keeps that there is nothing as long as the SOA says, and not at all without', async () => {
    let now = 0;
    await withServer(
      (asked) => [
        answering(asked, [], {
          rcode: 3,
          authorities: asked.packet.questions?.[0]?.name === 'a.example.com' ? [soa('example.com', 600, 30)] : [],
        }),
      ],
      async (resolver, server) => {
        await resolver.txt('a.example.com', never);
        now = 29_999;
        expect(await resolver.txt('a.example.com', never)).toEqual({ kind: 'none', ttlMs: 1 });
        expect(server.asked.length).toBe(1);
        now = 30_000;
        await resolver.txt('a.example.com', never);
        expect(server.asked.length).toBe(2);
        await resolver.txt('b.example.com', never);
        await resolver.txt('b.example.com', never);
        expect(server.asked.length).toBe(4);
      },
      { clock: () => now },
    );
  });

  test('holds no more answers than it may', async () => {
    await withServer(
      (asked) => [answering(asked, [txt(asked.packet.questions?.[0]?.name ?? '', 'x')])],
      async (resolver, server) => {
        for (const name of ['a.test', 'b.test', 'c.test', 'a.test']) await resolver.txt(name, never);
        expect(server.asked).toEqual(['udp TXT a.test', 'udp TXT b.test', 'udp TXT c.test', 'udp TXT a.test']);
      },
      { cache: { ...CACHE_BOUNDS, maxEntries: 2 } },
    );
  });

  test('equal questions under way are asked once, and who gives up does not take the answer from the others', async () => {
    await withServer(counting(60), async (resolver, server) => {
      const impatient = new AbortController();
      const given = resolver.txt('example.com', impatient.signal);
      const waiting = [1, 2, 3].map(() => resolver.txt('example.com', never));
      impatient.abort(new Error('gave up'));
      await expect(given).rejects.toThrow('gave up');
      for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject({ records: ['1'] });
      expect(server.asked.length).toBe(1);
      await expect(resolver.txt('example.com', AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
    });
  });

  test('a closed resolver has no answer, for questions under way either', async () => {
    await using server = await startDnsStandIn(() => []);
    const resolver = createResolver({ servers: [server.address], timeoutMs: 60_000, tries: 3 });
    const pending = resolver.txt('example.com', never);
    await resolver.close();
    expect(await pending).toEqual({ kind: 'no-answer', reason: 'the resolver is closed' });
    expect(await resolver.txt('example.com', never)).toEqual({ kind: 'no-answer', reason: 'the resolver is closed' });
  });
});
