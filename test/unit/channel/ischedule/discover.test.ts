import { describe, expect, test } from 'vitest';
import { createDiscovery } from '../../../../channel/ischedule/discover.ts';
import { CACHE_BOUNDS } from '../../../../src/net/dns.ts';
import type { DnsAnswer, SrvRecord } from '../../../../src/net/resolver.ts';
import { silentLog } from '../../../../src/observe/log.ts';

const never = new AbortController().signal;
const NONE = { kind: 'none', ttlMs: 30_000 } as const;
const SILENT = { kind: 'no-answer', reason: 'no answer in time' } as const;

type Zone = {
  readonly srv?: Readonly<Record<string, DnsAnswer<SrvRecord>>>;
  readonly txt?: Readonly<Record<string, DnsAnswer<readonly string[]>>>;
};

function srv(target: string, more: Partial<SrvRecord> = {}): DnsAnswer<SrvRecord> {
  return several({ target, port: 443, priority: 0, weight: 0, ...more });
}

function several(...records: readonly SrvRecord[]): DnsAnswer<SrvRecord> {
  return { kind: 'records', records, ttlMs: 60_000 };
}

function txt(...records: readonly (readonly string[])[]): DnsAnswer<readonly string[]> {
  return { kind: 'records', records, ttlMs: 60_000 };
}

function discovering(zone: Zone, more: { plainSrv?: boolean; random?: () => number; clock?: () => number } = {}) {
  const asked: string[] = [];
  const resolver = {
    async srv(name: string) {
      asked.push(name);
      return zone.srv?.[name] ?? NONE;
    },
    async strings(name: string) {
      asked.push(`TXT ${name}`);
      return zone.txt?.[name] ?? NONE;
    },
  };
  const { plainSrv = false, random = () => 0, clock = () => 0 } = more;
  const discovery = createDiscovery({ resolver, plainSrv, random, clock, cache: CACHE_BOUNDS, log: silentLog });
  return { find: (domain: string) => discovery.find(domain, never), asked, discovery };
}

const OWNER = '_ischedules._tcp.example.com';
const service = (...urls: readonly string[]) => ({ kind: 'service', urls, because: `SRV ${OWNER}` });

describe('the path', () => {
  const at = async (records: DnsAnswer<readonly string[]>) =>
    await discovering({ srv: { [OWNER]: srv('cal.example.com', { port: 8443 }) }, txt: { [OWNER]: records } }).find(
      'example.com',
    );

  test.each<[string, DnsAnswer<readonly string[]>, string]>([
    ['none is the well-known one', NONE, '/.well-known/ischedule'],
    ['of a TXT record', txt(['path=/calendar/ischedule']), '/calendar/ischedule'],
    ['among other strings', txt(['txtvers=1', 'path=/one', 'path=/two', 'note']), '/one'],
    ['in other letters', txt(['PATH=/one']), '/one'],
    ['of one of several records', txt(['v=spf1 -all'], ['path=/one']), '/one'],
    ['the same twice', txt(['path=/one'], ['path=/one']), '/one'],
    ['with percent and slash', txt(['path=/a%20b/~c;d=e/']), '/a%20b/~c;d=e/'],
    ['alone', txt(['path=/']), '/'],
    ['without a value is none', txt(['path=']), '/.well-known/ischedule'],
    ['of another key is none', txt(['mypath=/one', 'path']), '/.well-known/ischedule'],
  ])('%s', async (_title, records, path) => {
    expect(await at(records)).toEqual(service(`https://cal.example.com:8443${path}`));
  });

  test.each([
    'one',
    '//evil.example.org/',
    '/\\evil.example.org/',
    'https://evil.example.org/',
    '/../admin',
    '/a/%2e%2e/admin',
    '/a/./b',
    '/a b',
    '/a?b=c',
    '/a#b',
    '/a\r\nHost: evil',
    '/a\0',
    '/a%',
    '/a%0',
    '/ä',
    '/a"<>',
    '@evil.example.org/',
    ':80/',
  ])('%j cannot be used, and no other is guessed', async (path) => {
    expect(await at(txt([`path=${path}`]))).toEqual({
      kind: 'none',
      reason: `${OWNER} has a TXT record whose path cannot be used`,
    });
  });

  test('is unknown while nobody answers, and where two records contradict each other there is none', async () => {
    expect(await at(SILENT)).toEqual({ kind: 'no-answer', reason: `${OWNER}: no answer in time` });
    expect(await at(txt(['path=/one'], ['path=/two']))).toMatchObject({ kind: 'none' });
  });
});

describe('targets', () => {
  test('a single one named . says that there is no service, and ends the search', async () => {
    const { find, asked } = discovering({
      srv: { '_ischedules._tcp.a.example.com': srv('.'), [OWNER]: srv('cal.example.com') },
    });
    expect(await find('a.example.com')).toEqual({
      kind: 'none',
      reason: '_ischedules._tcp.a.example.com says that there is no such service',
    });
    expect(asked).toEqual(['_ischedules._tcp.a.example.com']);
  });

  test('come in the order of their priority, and at each find drawn anew by weight', async () => {
    const record = (target: string, priority: number) => ({ target, port: 443, priority, weight: 10 });
    let random = 0;
    const { find, asked } = discovering(
      {
        srv: { [OWNER]: several(record('c.example.com', 20), record('a.example.com', 0), record('b.example.com', 0)) },
      },
      { random: () => random },
    );
    const [a, b, c] = ['a', 'b', 'c'].map((host) => `https://${host}.example.com/.well-known/ischedule`);
    expect(await find('example.com')).toMatchObject({ urls: [a, b, c] });
    random = 0.99;
    expect(await find('example.com')).toMatchObject({ urls: [b, a, c] });
    expect(asked).toEqual([OWNER, `TXT ${OWNER}`]);
  });

  test('that are addresses, no names or have no port are left out', async () => {
    const record = (target: string, port = 443) => ({ target, port, priority: 0, weight: 0 });
    const bad = [
      record('127.0.0.1'),
      record('0x7f.1'),
      record('0x7f000001'),
      record('::1'),
      record('a b.example.com'),
      record('evil.example.org/x'),
      record('a@evil.example.org'),
      record('a:b'),
      record(''),
      record('.'),
      record('cal.example.com', 0),
    ];
    expect(
      await discovering({ srv: { [OWNER]: several(...bad, record('ok.example.com')) } }).find('example.com'),
    ).toEqual(service('https://ok.example.com/.well-known/ischedule'));
    expect(await discovering({ srv: { [OWNER]: several(...bad) } }).find('example.com')).toEqual({
      kind: 'none',
      reason: `${OWNER} names no host that can be asked`,
    });
  });

  test('are eight at most, each once', async () => {
    const records = Array.from({ length: 32 }, (_, n) => ({
      target: `h${Math.floor(n / 2)}.example.com`,
      port: 443,
      priority: n,
      weight: 0,
    }));
    const found = await discovering({ srv: { [OWNER]: several(...records) } }).find('example.com');
    expect(found.kind === 'service' && found.urls).toEqual(
      Array.from({ length: 8 }, (_, n) => `https://h${n}.example.com/.well-known/ischedule`),
    );
  });
});

describe('the search', () => {
  test.each([
    ['example.com', ['example.com']],
    ['a.b.example.com', ['a.b.example.com', 'b.example.com', 'example.com']],
    ['a.b.example.co.uk', ['a.b.example.co.uk', 'b.example.co.uk', 'example.co.uk']],
    ['a.someone.github.io', ['a.someone.github.io', 'someone.github.io']],
    ['co.uk', ['co.uk']],
    ['A.Bücher.Example', ['a.xn--bcher-kva.example', 'xn--bcher-kva.example']],
  ])('goes up from %s, but never to where strangers register names', async (domain, levels) => {
    const { find, asked } = discovering({});
    expect(await find(domain)).toMatchObject({ kind: 'none' });
    expect(asked).toEqual(levels.map((level) => `_ischedules._tcp.${level}`));
  });

  test('ends at the first level that has a service', async () => {
    const { find, asked } = discovering({ srv: { [OWNER]: srv('cal.example.com') } });
    expect(await find('a.b.example.com')).toEqual(service('https://cal.example.com/.well-known/ischedule'));
    expect(asked).toEqual([
      '_ischedules._tcp.a.b.example.com',
      '_ischedules._tcp.b.example.com',
      OWNER,
      `TXT ${OWNER}`,
    ]);
  });

  test('ends where the DNS is silent: what is above it does not count then', async () => {
    const { find } = discovering({
      srv: { '_ischedules._tcp.a.example.com': SILENT, [OWNER]: srv('cal.example.com') },
    });
    expect(await find('a.example.com')).toEqual({
      kind: 'no-answer',
      reason: '_ischedules._tcp.a.example.com: no answer in time',
    });
  });

  test.each([
    '',
    'localhost',
    '[192.0.2.1]',
    '192.0.2.1',
    '0x7f.1',
    '[IPv6:2001:db8::1]',
    '2001:db8::1',
    'a..b',
    'a b.com',
    'a/b.com',
    'a.b.c.d.e.f.g.h.i.example.com',
    `${'a'.repeat(64)}.com`,
  ])('%j is not looked for at all', async (domain) => {
    const { find, asked } = discovering({});
    expect(await find(domain)).toMatchObject({ kind: 'none' });
    expect(asked).toEqual([]);
  });
});

describe('_ischedule._tcp', () => {
  const plain = '_ischedule._tcp.example.com';

  test('counts only where it is allowed, after the other at each level, and is spoken to by https', async () => {
    const zone = { srv: { [plain]: srv('cal.example.com', { port: 8008 }) } };
    expect(await discovering(zone).find('example.com')).toMatchObject({ kind: 'none' });
    const { find, asked } = discovering(zone, { plainSrv: true });
    expect(await find('a.example.com')).toEqual({
      kind: 'service',
      urls: ['https://cal.example.com:8008/.well-known/ischedule'],
      because: `SRV ${plain}`,
    });
    expect(asked).toEqual([
      '_ischedules._tcp.a.example.com',
      '_ischedule._tcp.a.example.com',
      OWNER,
      plain,
      `TXT ${plain}`,
    ]);
  });

  test('at port 80 is asked for at 443', async () => {
    const { find } = discovering({ srv: { [plain]: srv('cal.example.com', { port: 80 }) } }, { plainSrv: true });
    expect(await find('example.com')).toMatchObject({ urls: ['https://cal.example.com/.well-known/ischedule'] });
  });

  test('is not asked for where the other says that there is no service', async () => {
    const { find } = discovering({ srv: { [OWNER]: srv('.'), [plain]: srv('cal.example.com') } }, { plainSrv: true });
    expect(await find('example.com')).toMatchObject({ kind: 'none' });
  });
});

describe('what is kept', () => {
  test('lives as long as the shortest of the answers it came from', async () => {
    let now = 0;
    const zone = {
      srv: { [OWNER]: { ...srv('cal.example.com'), ttlMs: 50_000 } as DnsAnswer<SrvRecord> },
      txt: { [OWNER]: { ...txt(['path=/x']), ttlMs: 40_000 } as DnsAnswer<readonly string[]> },
    };
    const { find, asked } = discovering(zone, { clock: () => now });
    await find('a.example.com');
    now = 29_999;
    await find('A.example.com');
    expect(asked.length).toBe(3);
    now = 30_000; // that a.example.com has none was good for 30 s
    await find('a.example.com');
    expect(asked.length).toBe(6);
    await find('example.com');
    now = 69_999;
    await find('example.com');
    expect(asked.length).toBe(8);
    now = 70_000;
    await find('example.com');
    expect(asked.length).toBe(10);
  });

  test('that there is none is kept too, silence is not', async () => {
    let now = 0;
    const { find, asked } = discovering({ srv: { '_ischedules._tcp.b.com': SILENT } }, { clock: () => now });
    await find('a.com');
    now = 29_999;
    expect(await find('a.com')).toEqual({ kind: 'none', reason: 'no SRV _ischedules._tcp at a.com' });
    expect(asked.length).toBe(1);
    now = 30_000;
    await find('a.com');
    expect(asked.length).toBe(2);
    await find('b.com');
    await find('b.com');
    expect(asked.length).toBe(4);
  });

  test('an aborted caller gets his reason', async () => {
    const { discovery } = discovering({});
    await expect(discovery.find('a.com', AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
  });
});
