import { describe, expect, test } from 'vitest';
import { type CacheOptions, cached } from '../../../src/directory/cache.ts';
import type { Directory, Lookup } from '../../../src/directory/directory.ts';
import { fakeDirectory, found, group, user } from './fake-directory.ts';

const never = new AbortController().signal;
const unknown: Lookup = { kind: 'unknown', server: 'fake' };

function keeping(directory: Directory, options: Partial<CacheOptions> = {}) {
  let now = 0;
  const cache = cached(directory, { maxEntries: 100, hitTtlMs: 60, missTtlMs: 30, clock: () => now, ...options });
  return Object.assign(cache, {
    pass: (ms: number) => {
      now += ms;
    },
  });
}

const anybody = (address: string) => found(user(address));

describe('the directory cache', () => {
  test('an entry is asked for again after its time, and not before', async () => {
    const inner = fakeDirectory({ lookup: anybody });
    const cache = keeping(inner);
    expect(await cache.lookup('a@example.com', never)).toEqual(found(user('a@example.com')));
    cache.pass(59);
    expect(await cache.lookup('a@example.com', never)).toEqual(found(user('a@example.com')));
    expect(inner.asked).toEqual(['a@example.com']);
    cache.pass(1);
    await cache.lookup('a@example.com', never);
    expect(inner.asked).toEqual(['a@example.com', 'a@example.com']);
  });

  test('a name is kept apart from an address, and apart in each domain', async () => {
    const inner = fakeDirectory({ lookup: anybody, lookupName: (name, domain) => found(user(`${name}@${domain}`)) });
    const cache = keeping(inner);
    for (let round = 0; round < 2; round++) {
      expect(await cache.lookupName('a', 'example.com', never)).toEqual(found(user('a@example.com')));
      expect(await cache.lookupName('a', 'example.org', never)).toEqual(found(user('a@example.org')));
      expect(await cache.lookup('a@example.com', never)).toEqual(found(user('a@example.com')));
    }
    expect(inner.asked).toEqual(['name a of example.com', 'name a of example.org', 'a@example.com']);
  });

  test('a name that nobody has is kept as long as such an address, and one that is too long is not kept', async () => {
    const inner = fakeDirectory({});
    const cache = keeping(inner);
    const long = 'a'.repeat(1000);
    for (const name of ['a', long, 'a', long]) expect(await cache.lookupName(name, 'x', never)).toEqual(unknown);
    expect(inner.asked).toEqual(['name a of x', `name ${long} of x`, `name ${long} of x`]);
    cache.pass(30);
    await cache.lookupName('a', 'x', never);
    expect(inner.asked).toHaveLength(4);
  });

  test('that nobody has an address is kept for a time of its own', async () => {
    const inner = fakeDirectory({});
    const cache = keeping(inner);
    expect(await cache.lookup('a@example.com', never)).toEqual(unknown);
    cache.pass(29);
    expect(await cache.lookup('a@example.com', never)).toEqual(unknown);
    expect(inner.asked).toHaveLength(1);
    cache.pass(1);
    await cache.lookup('a@example.com', never);
    expect(inner.asked).toHaveLength(2);
  });

  test('no answer is never kept, neither as itself nor as unknown', async () => {
    let down = true;
    const inner = fakeDirectory({
      lookup: (address) => (down ? { kind: 'no-answer', reason: 'down' } : anybody(address)),
      expand: () => (down ? { kind: 'no-answer', reason: 'down' } : { kind: 'members', entries: [], addresses: [] }),
    });
    const cache = keeping(inner);
    expect(await cache.lookup('a@example.com', never)).toEqual({ kind: 'no-answer', reason: 'down' });
    expect(await cache.expand(group('list@example.com'), never)).toEqual({ kind: 'no-answer', reason: 'down' });
    down = false;
    expect((await cache.lookup('a@example.com', never)).kind).toBe('found');
    expect((await cache.expand(group('list@example.com'), never)).kind).toBe('members');
  });

  test('a fresh look-up goes past what is kept and replaces it; without an answer it leaves it', async () => {
    let answer: Lookup = found(user('a@example.com', { moving: true }));
    const inner = fakeDirectory({ lookup: () => answer });
    const cache = keeping(inner);
    await cache.lookup('a@example.com', never);
    answer = found(user('a@example.com'));
    expect(await cache.lookup('a@example.com', never, { fresh: true })).toEqual(answer);
    expect(inner.asked).toEqual(['a@example.com', 'a@example.com fresh']);
    expect(await cache.lookup('a@example.com', never)).toEqual(answer);
    const kept = answer;
    answer = { kind: 'no-answer', reason: 'down' };
    expect(await cache.lookup('a@example.com', never, { fresh: true })).toEqual(answer);
    expect(await cache.lookup('a@example.com', never)).toEqual(kept);
    expect(inner.asked).toHaveLength(3);
  });

  test('the spelling of the domain does not count, that of the local part does', async () => {
    const inner = fakeDirectory({ lookup: anybody });
    const cache = keeping(inner);
    for (const address of ['a+Work@EXAMPLE.com', 'a+Work@example.com', 'a+work@example.com'])
      await cache.lookup(address, never);
    expect(inner.asked).toEqual(['a+Work@EXAMPLE.com', 'a+work@example.com']);
  });

  test('what was used longest ago is given up first', async () => {
    const inner = fakeDirectory({ lookup: anybody });
    const cache = keeping(inner, { maxEntries: 2 });
    for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await cache.lookup(`${name}@example.com`, never);
    expect(inner.asked.map((address) => address[0]).join('')).toBe('abcb');
  });

  test('ten thousand strangers leave no more than the cache may hold', async () => {
    const inner = fakeDirectory({});
    const cache = keeping(inner, { maxEntries: 10 });
    for (let index = 0; index < 10_000; index++) await cache.lookup(`u${index}@example.com`, never);
    const before = inner.asked.length;
    for (let index = 9990; index < 10_000; index++) await cache.lookup(`u${index}@example.com`, never);
    expect(inner.asked.length).toBe(before);
    await cache.lookup('u9989@example.com', never);
    expect(inner.asked.length).toBe(before + 1);
  });

  test('a group counts with its members, and one that fills the cache is not kept', async () => {
    const inner = fakeDirectory({
      expand: ({ mail }) => ({
        kind: 'members',
        entries: Array.from({ length: mail.startsWith('big') ? 10 : 4 }, (_, index) => user(`m${index}@example.com`)),
        addresses: [],
      }),
    });
    const cache = keeping(inner, { maxEntries: 10 });
    const [small, other, big] = [group('small@example.com'), group('other@example.com'), group('big@example.com')];
    for (const one of [small, other, small, other, big, big, small, other]) await cache.expand(one, never);
    expect(inner.asked).toEqual([small.dn, other.dn, big.dn, big.dn]);
    const third = group('third@example.com');
    for (const one of [third, other, small]) await cache.expand(one, never);
    expect(inner.asked.slice(4)).toEqual([third.dn, small.dn]);
  });

  test('that a group is too large is kept as its members are', async () => {
    const inner = fakeDirectory({ expand: () => ({ kind: 'too-large', limit: 5 }) });
    const cache = keeping(inner);
    await cache.expand(group('list@example.com'), never);
    expect(await cache.expand(group('list@example.com'), never)).toEqual({ kind: 'too-large', limit: 5 });
    expect(inner.asked).toHaveLength(1);
  });

  test('equal look-ups under way are asked once, and each who waits is cut short by his own signal', async () => {
    const answer = Promise.withResolvers<Lookup>();
    const inner = fakeDirectory({ lookup: () => answer.promise });
    const cache = keeping(inner);
    const impatient = new AbortController();
    const first = cache.lookup('a@example.com', impatient.signal);
    const second = cache.lookup('a@example.com', never);
    const third = cache.lookup('a@example.com', never, { fresh: true });
    impatient.abort();
    expect(await first).toEqual({ kind: 'no-answer', reason: 'the look-up was stopped' });
    answer.resolve(anybody('a@example.com'));
    expect((await second).kind).toBe('found');
    expect((await third).kind).toBe('found');
    expect(inner.asked).toEqual(['a@example.com']);
  });

  test('a look-up that nobody waits for any more is finished and kept', async () => {
    const answer = Promise.withResolvers<Lookup>();
    const inner = fakeDirectory({ lookup: () => answer.promise });
    const cache = keeping(inner);
    const impatient = new AbortController();
    const alone = cache.lookup('a@example.com', impatient.signal);
    impatient.abort();
    await alone;
    answer.resolve(anybody('a@example.com'));
    expect((await cache.lookup('a@example.com', never)).kind).toBe('found');
    expect(inner.asked).toEqual(['a@example.com']);
  });

  test.for([{ maxEntries: 0 }, { hitTtlMs: 0, missTtlMs: 0 }])('nothing is kept with %o', async (options) => {
    const inner = fakeDirectory({ lookup: anybody });
    const cache = keeping(inner, options);
    await cache.lookup('a@example.com', never);
    await cache.lookup('a@example.com', never);
    expect(inner.asked).toHaveLength(2);
  });

  test.for(['', 'alice', 'a\0b@example.com', `${'a'.repeat(10_000)}@example.com`])(
    'what is no address one could have is not kept: %s',
    async (address) => {
      const inner = fakeDirectory({});
      const cache = keeping(inner);
      await cache.lookup(address, never);
      expect(await cache.lookup(address, never)).toEqual(unknown);
      expect(inner.asked).toHaveLength(2);
    },
  );

  test('closing it stops what is under way and closes the directory within', async () => {
    const inner = fakeDirectory({
      lookup: (_, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve({ kind: 'no-answer', reason: 'stopped' }));
        }),
    });
    const cache = keeping(inner);
    const pending = cache.lookup('a@example.com', never);
    await cache[Symbol.asyncDispose]();
    expect(await pending).toEqual({ kind: 'no-answer', reason: 'stopped' });
    expect(inner.closed()).toBe(true);
  });

  test('a probe goes to the directory', async () => {
    expect(await keeping(fakeDirectory({ probe: 'wrong' })).probe(never)).toBe('wrong');
  });
});
