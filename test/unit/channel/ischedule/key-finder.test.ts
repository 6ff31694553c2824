import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { GuardedFetch } from '../../../../channel/ischedule/guarded-fetch.ts';
import { createKeyFinder, type KeyFinderOptions } from '../../../../channel/ischedule/key-finder.ts';
import { CACHE_BOUNDS } from '../../../../src/net/dns.ts';
import type { DnsAnswer, Resolver, SrvRecord } from '../../../../src/net/resolver.ts';
import { RECORD, recordWith } from './dkim/worked-example.ts';

const signal = AbortSignal.timeout(30_000);
const NONE = { kind: 'none', ttlMs: 60_000 } as const;
const SILENT = { kind: 'no-answer', reason: 'no server answers' } as const;
const TXT = '_domainkey.example.net';
const records = <T>(...list: T[]): DnsAnswer<T> => ({ kind: 'records', records: list, ttlMs: 60_000 });
const srv = (target: string, port = 443, priority = 0): SrvRecord => ({ target, port, priority, weight: 0 });

type Zone = Record<string, DnsAnswer<string> | DnsAnswer<SrvRecord>>;

/** A finder over a DNS and a web that are tables, and the questions it put to them. */
function setUp({ zone = {}, web = {}, ...options }: { zone?: Zone; web?: Web } & Partial<KeyFinderOptions> = {}) {
  const asked: string[] = [];
  const time = { now: 0 };
  const answer = async (type: string, name: string) => {
    asked.push(`${type} ${name}`);
    return zone[name] ?? NONE;
  };
  const resolver: Resolver = {
    txt: (name) => answer('TXT', name) as Promise<DnsAnswer<string>>,
    srv: (name) => answer('SRV', name) as Promise<DnsAnswer<SrvRecord>>,
    addresses: async (name) => (zone[name] as DnsAnswer<string> | undefined) ?? records('192.0.2.1'),
  };
  const fetch: GuardedFetch = async (url) => {
    asked.push(`GET ${url.href}`);
    const found = web[url.href] ?? { status: 404, text: '' };
    if ('kind' in found) return found;
    const headers: Record<string, string> = { 'content-type': 'text/plain', ...found.headers };
    return { kind: 'answer', status: found.status ?? 200, headers, body: Buffer.from(found.text), url };
  };
  const finder = createKeyFinder({ resolver, fetch, clock: () => time.now, random: () => 0, ...options });
  const find = (methods: string[] = ['dns/txt'], fresh = false) =>
    finder.find('example.net', 'isched', methods, signal, { fresh });
  return { asked, time, finder, find, zone };
}
type Web = Record<
  string,
  { status?: number; text: string; headers?: Record<string, string> } | { kind: 'refused' | 'failed'; reason: string }
>;

describe('dns/txt', () => {
  test('takes all key records among the texts, and no others', async () => {
    const zone = { [`isched.${TXT}`]: records('v=spf1 -all', RECORD, 'v=DKIM1; p=AAAA', recordWith('t=y; ')) };
    const { find, asked } = setUp({ zone });
    expect(await find()).toMatchObject({
      kind: 'keys',
      keys: [
        { bits: 2048, testing: false, method: 'dns/txt' },
        { bits: 2048, testing: true, method: 'dns/txt' },
      ],
    });
    expect(asked).toEqual([`TXT isched.${TXT}`]);
  });

  test('reads ten texts and keeps four keys at most', async () => {
    const many = setUp({ zone: { [`isched.${TXT}`]: records(...Array<string>(8).fill(RECORD)) } });
    expect(await many.find()).toMatchObject({ kind: 'keys', keys: { length: 4 } });
    const late = setUp({ zone: { [`isched.${TXT}`]: records(...Array<string>(10).fill('x'), RECORD) } });
    expect(await late.find()).toEqual({ kind: 'none', reason: 'no key record there' });
  });

  test.each<[reason: string, answer: DnsAnswer<string>]>([
    [`no TXT record at isched.${TXT}`, NONE],
    ['no key record there', records('v=spf1 -all')],
    ['the key is revoked', records('v=DKIM1; p=')],
    ['p= of the key record is no RSA public key', records('v=DKIM1; p=AAAA')],
  ])('finds none: %s', async (reason, answer) => {
    expect(await setUp({ zone: { [`isched.${TXT}`]: answer } }).find()).toEqual({ kind: 'none', reason });
  });

  test('says so when the DNS is silent, and asks again the next time', async () => {
    const { find, asked } = setUp({ zone: { [`isched.${TXT}`]: SILENT } });
    expect(await find()).toEqual(SILENT);
    expect(await find()).toEqual(SILENT);
    expect(asked).toHaveLength(2);
  });

  test.each([
    ['example.net/x', 'isched'],
    ['127.0.0.1', 'isched'],
    ['example.net', '../isched'],
    ['', 'isched'],
  ])('never asks for domain %j and selector %j', async (domain, selector) => {
    const { finder, asked } = setUp();
    expect((await finder.find(domain, selector, ['dns/txt', 'http/well-known'], signal)).kind).toBe('none');
    expect(asked).toEqual([]);
  });
});

describe('http/well-known', () => {
  const PATH = '/.well-known/domainkey/example.net/isched';
  const LOOKUP = '_domainkey_lookup._tcp.example.net';

  test('asks the server that SRV names, and reads a record from each line', async () => {
    const zone = { [LOOKUP]: records(srv('keys.example.org', 8443)) };
    const web = { [`https://keys.example.org:8443${PATH}`]: { text: `${RECORD}\r\n\r\n${recordWith('t=s; ')}\r\n` } };
    const { find, asked } = setUp({ zone, web });
    expect(await find(['http/well-known'])).toMatchObject({
      kind: 'keys',
      keys: [
        { strict: false, method: 'http/well-known' },
        { strict: true, method: 'http/well-known' },
      ],
    });
    expect(asked).toEqual([`SRV ${LOOKUP}`, `GET https://keys.example.org:8443${PATH}`]);
  });

  test('asks d itself without SRV', async () => {
    const { find } = setUp({ web: { [`https://example.net${PATH}`]: { text: RECORD } } });
    expect((await find(['http/well-known'])).kind).toBe('keys');
  });

  test('asks nobody without SRV where d has no address either: that is no silence', async () => {
    const web = { [`https://example.net${PATH}`]: { text: RECORD } };
    const { find, asked } = setUp({ zone: { 'example.net': NONE }, web });
    expect(await find(['http/well-known'])).toEqual({ kind: 'none', reason: 'example.net serves no keys by http' });
    expect(asked).toEqual([`SRV ${LOOKUP}`]);
  });

  test('asks nobody where the target is "."', async () => {
    const { find, asked } = setUp({ zone: { [LOOKUP]: records(srv('.')) } });
    expect(await find(['http/well-known'])).toEqual({ kind: 'none', reason: 'example.net serves no keys by http' });
    expect(asked).toEqual([`SRV ${LOOKUP}`]);
  });

  test('goes on to the next target when one gives no answer, three at most', async () => {
    const targets = ['a', 'b', 'c', 'd'].map((name, at) => srv(`${name}.example.org`, 443, at));
    const failed = { kind: 'failed', reason: 'ECONNREFUSED' } as const;
    const web = Object.fromEntries(targets.map(({ target }) => [`https://${target}${PATH}`, failed]));
    const { find, asked } = setUp({ zone: { [LOOKUP]: records(...targets) }, web });
    expect(await find(['http/well-known'])).toEqual({
      kind: 'no-answer',
      reason: 'no keys from c.example.org: ECONNREFUSED',
    });
    expect(asked).toHaveLength(4);
    const second = { ...web, [`https://b.example.org${PATH}`]: { text: RECORD } };
    expect((await setUp({ zone: { [LOOKUP]: records(...targets) }, web: second }).find(['http/well-known'])).kind).toBe(
      'keys',
    );
  });

  test.each<[kind: string, answer: Web[string]]>([
    ['none', { status: 404, text: '' }],
    ['none', { status: 403, text: RECORD }],
    ['none', { text: RECORD, headers: { 'content-type': 'text/html' } }],
    ['none', { text: '' }],
    ['none', { kind: 'refused', reason: 'an address that is not permitted' }],
    ['no-answer', { status: 503, text: '' }],
    ['no-answer', { status: 429, text: '' }],
    ['no-answer', { kind: 'failed', reason: 'too large' }],
    ['keys', { text: RECORD, headers: { 'content-type': 'text/plain; charset=utf-8' } }],
  ])('%s: %.60j', async (kind, answer) => {
    const { find } = setUp({ web: { [`https://example.net${PATH}`]: answer } });
    expect((await find(['http/well-known'])).kind).toBe(kind);
  });

  test('does not tell a stranger which inner address a name of ours has', async () => {
    const reason = 'example.net is not a public address: 10.0.0.5, private';
    const { find } = setUp({ web: { [`https://example.net${PATH}`]: { kind: 'refused', reason } } });
    expect(await find(['http/well-known'])).toEqual({
      kind: 'none',
      reason: 'no keys from example.net: it leads to where nobody is asked',
    });
  });

  test('keeps a document as long as it says', async () => {
    const headers = { 'cache-control': 'public, max-age=600' };
    const { find, asked, time } = setUp({ web: { [`https://example.net${PATH}`]: { text: RECORD, headers } } });
    await find(['http/well-known']);
    time.now = 599_000;
    await find(['http/well-known']);
    expect(asked).toHaveLength(2);
    time.now = 601_000;
    await find(['http/well-known']);
    expect(asked).toHaveLength(4);
  });
});

describe('the order of methods', () => {
  const web = { 'https://example.net/.well-known/domainkey/example.net/isched': { text: recordWith('t=s; ') } };
  const agreed = [{ domain: 'Example.net', selector: 'ISCHED', record: recordWith('t=y; ') }];
  const zone = { [`isched.${TXT}`]: records(RECORD) };
  const methodOf = async (finding: Promise<unknown>) => (await finding) as { keys: { method: string }[] };

  test.each([
    ['dns/txt', ['dns/txt', 'http/well-known']],
    ['http/well-known', ['later/x', 'http/well-known', 'dns/txt']],
    ['private-exchange', ['private-exchange', 'dns/txt']],
    ['private-exchange', []],
  ])('%s comes first with %j', async (first, methods) => {
    const { find } = setUp({ zone, web, privateKeys: agreed });
    expect((await methodOf(find(methods))).keys[0]?.method).toBe(first);
  });

  test('goes on where one method has none or is silent', async () => {
    const silent = setUp({ zone: { [`isched.${TXT}`]: SILENT }, web });
    expect((await methodOf(silent.find(['dns/txt', 'http/well-known']))).keys[0]?.method).toBe('http/well-known');
  });

  test('silence of one method outweighs that another has none', async () => {
    expect(await setUp({ zone: { [`isched.${TXT}`]: SILENT } }).find(['dns/txt', 'http/well-known'])).toEqual(SILENT);
  });

  test('ends where a key is revoked', async () => {
    const { find } = setUp({ zone: { [`isched.${TXT}`]: records('v=DKIM1; p=') }, web, privateKeys: agreed });
    expect(await find(['dns/txt', 'http/well-known'])).toEqual({ kind: 'none', reason: 'the key is revoked' });
  });

  test('a key agreed on serves in the end although q does not name it', async () => {
    const { find } = setUp({ privateKeys: agreed });
    expect((await methodOf(find(['dns/txt']))).keys[0]?.method).toBe('private-exchange');
  });

  test('with no method that is known there is none', async () => {
    expect((await setUp().find(['later/x'])).kind).toBe('none');
  });

  test('a key agreed on that cannot be used is an error at the start', () => {
    expect(() => setUp({ privateKeys: [{ domain: 'example.net', selector: 'a', record: 'v=DKIM1; p=' }] })).toThrow(
      'key of example.net, selector a: got an empty p=, need "v=DKIM1; k=rsa; p=…"',
    );
  });
});

describe('what is kept', () => {
  const zone = () => ({ [`isched.${TXT}`]: records(RECORD) as DnsAnswer<string> });

  test('an answer by its time-to-live, however the domain is spelled', async () => {
    const { finder, asked, time } = setUp({ zone: zone() });
    const first = await finder.find('example.net', 'isched', ['dns/txt'], signal);
    time.now = 59_999;
    expect(await finder.find('EXAMPLE.net', 'isched', ['dns/txt'], signal)).toBe(first);
    time.now = 60_000;
    expect(await finder.find('example.net', 'isched', ['dns/txt'], signal)).not.toBe(first);
    expect(asked).toHaveLength(2);
  });

  test('within the bounds, and that there is none no longer than that', async () => {
    const cache = { ...CACHE_BOUNDS, minTtlMs: 10_000, maxTtlMs: 100_000, maxNegativeTtlMs: 20_000 };
    for (const [answer, keptMs] of [
      [{ kind: 'records', records: [RECORD], ttlMs: 0 }, 10_000],
      [{ kind: 'records', records: [RECORD], ttlMs: 999_000 }, 100_000],
      [{ kind: 'none', ttlMs: 999_000 }, 20_000],
      [{ kind: 'none', ttlMs: 0 }, 10_000],
    ] as const) {
      const { find, asked, time } = setUp({ zone: { [`isched.${TXT}`]: answer }, cache });
      await find();
      time.now = keptMs - 1;
      await find();
      expect(asked).toHaveLength(1);
      time.now = keptMs;
      await find();
      expect(asked).toHaveLength(2);
    }
  });

  test('no more selectors than the bound', async () => {
    const { finder, asked } = setUp({ cache: { ...CACHE_BOUNDS, maxEntries: 2 } });
    for (const selector of ['a', 'b', 'c', 'a', 'c']) await finder.find('example.net', selector, ['dns/txt'], signal);
    expect(asked.map((question) => question.slice(4, 5))).toEqual(['a', 'b', 'c', 'a']);
  });

  test('a fresh answer is asked for once a minute, and takes the place of the old one', async () => {
    const { find, asked, time, zone: dns } = setUp({ zone: zone() });
    const first = await find();
    time.now = 30_000;
    expect(await find(['dns/txt'], true)).toBe(first);
    time.now = 59_999;
    const other = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'der' });
    dns[`isched.${TXT}`] = { kind: 'records', records: [`p=${other.toString('base64')}`], ttlMs: 600_000 };
    expect(await find(['dns/txt'], true)).toBe(first);
    time.now = 60_000;
    await find(['dns/txt'], true);
    time.now = 120_001;
    dns[`isched.${TXT}`] = records(RECORD);
    expect(await find()).toMatchObject({ keys: [{ bits: 1024 }] });
    expect(await find(['dns/txt'], true)).toMatchObject({ keys: [{ bits: 2048 }] });
    expect(await find()).toMatchObject({ keys: [{ bits: 2048 }] });
    expect(asked).toHaveLength(3);
  });

  test('equal questions under way are asked once, and one that is given up leaves the others their answer', async () => {
    let answer: (records: DnsAnswer<string>) => void = () => {};
    let asked = 0;
    const resolver: Resolver = {
      txt: () => {
        asked++;
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
      srv: async () => NONE,
      addresses: async () => NONE,
    };
    const { finder } = setUp({ resolver });
    const first = new AbortController();
    const given = finder.find('example.net', 'isched', ['dns/txt'], first.signal);
    const waiting = finder.find('example.net', 'isched', ['dns/txt'], signal);
    first.abort(new Error('gone'));
    await expect(given).rejects.toThrow('gone');
    answer(records(RECORD));
    expect((await waiting).kind).toBe('keys');
    expect(asked).toBe(1);
  });

  test('a look-up that does not end is no answer, and a hundred are the most under way', async () => {
    const never = new Promise<never>(() => {});
    const resolver: Resolver = { txt: () => never, srv: () => never, addresses: () => never };
    const { finder } = setUp({ resolver, timeoutMs: 50 });
    const all = Array.from({ length: 101 }, (_, at) => finder.find('example.net', `s${at}`, ['dns/txt'], signal));
    const answers = await Promise.all(all);
    expect(answers[0]).toEqual({ kind: 'no-answer', reason: 'no answer about the key within 50 ms' });
    expect(answers[100]).toEqual({ kind: 'no-answer', reason: 'too many keys are being asked for' });
  });
});
