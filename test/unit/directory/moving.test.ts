import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Directory, Expansion, Lookup } from '../../../src/directory/directory.ts';
import { type Marks, marking } from '../../../src/directory/moving.ts';
import { parseAddressList } from '../../../src/directory/moving-file.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { fakeDirectory, found, group, user } from './fake-directory.ts';

const never = new AbortController().signal;
const alice = user('alice@example.com', { addresses: ['alice@example.com', 'a.adams@example.com'] });
const bob = user('bob@example.com');

function known(address: string): Lookup {
  const one = [alice, bob].find(({ addresses }) => addresses.includes(address));
  return one === undefined ? { kind: 'unknown', server: 'fake' } : found(one);
}

function open(marks: Marks, inner: Directory = fakeDirectory({ lookup: known })) {
  let now = 0;
  const lines: string[] = [];
  const keep = (level: string) => (object: { event: string; reason?: string }) =>
    void lines.push(`${level} ${object.event}${object.reason === undefined ? '' : `: ${object.reason}`}`);
  const log = { ...silentLog, info: keep('info'), warn: keep('warn') } as unknown as typeof silentLog;
  const directory = marking(inner, marks, log, () => now);
  return {
    lines,
    directory,
    pass: (ms: number) => {
      now += ms;
    },
    /** What says that he is being moved; `no` when nothing does. */
    mark: async (address: string, fresh = false) => {
      const lookup = await directory.lookup(address, never, { fresh });
      if (lookup.kind !== 'found') return lookup;
      const { moving, movingBy } = lookup.entries[0];
      return moving ? movingBy : 'no';
    },
  };
}

describe('a mark in an attribute', () => {
  const marks = { attribute: { attribute: 'mailUserStatus', value: 'hold' } };

  test('is spelled as it is configured, unless the entry says how it was found', async () => {
    const plain = open(marks, fakeDirectory({ lookup: () => found(user('a@example.com', { moving: true })) }));
    expect(await plain.mark('a@example.com')).toBe('mailUserStatus=hold');
    const named = user('a@example.com', { moving: true, movingBy: 'mailUserStatus=HOLD' });
    expect(await open(marks, fakeDirectory({ lookup: () => found(named) })).mark('a@example.com')).toBe(
      'mailUserStatus=HOLD',
    );
    expect(await open(marks).mark('alice@example.com')).toBe('no');
  });

  test('marks who is found by a name as well', async () => {
    const inner = fakeDirectory({ lookupName: () => found(user('a@example.com', { moving: true })) });
    const { directory } = open(marks, inner);
    expect(await directory.lookupName('a', 'example.com', never)).toMatchObject({
      kind: 'found',
      entries: [{ moving: true, movingBy: 'mailUserStatus=hold' }],
    });
    expect(inner.asked).toEqual(['name a of example.com']);
  });

  test('marks each of the entries, and the members of a group', async () => {
    const moved = user('b@example.com', { moving: true });
    const inner = fakeDirectory({
      lookup: () => found(bob, moved),
      expand: () => ({ kind: 'members', entries: [bob, moved], addresses: ['x@example.org'] }),
    });
    const { directory } = open(marks, inner);
    const marked = [bob, { ...moved, movingBy: 'mailUserStatus=hold' }];
    expect(await directory.lookup('b@example.com', never)).toEqual({
      kind: 'found',
      entries: marked,
      server: 'fake',
    });
    expect(await directory.expand(group('list@example.com'), never)).toEqual({
      kind: 'members',
      entries: marked,
      addresses: ['x@example.org'],
    });
  });

  test('nobody and no answer stay what they are', async () => {
    expect(await open(marks).mark('nobody@example.com')).toEqual({ kind: 'unknown', server: 'fake' });
    const down: Lookup = { kind: 'no-answer', reason: 'down' };
    expect(await open(marks, fakeDirectory({ lookup: () => down })).mark('a@example.com')).toEqual(down);
  });
});

describe('a group of the users being moved', () => {
  const members: Expansion = { kind: 'members', entries: [alice], addresses: ['BOB@example.com'] };
  const list = group('moving@example.com', [alice.dn]);
  const grouped = (source: Directory, name = 'moving@example.com', ttlMs = 60_000) =>
    open({ group: { name, from: source, ttlMs } });

  test('named by address marks its members, whether the directory has them or only the group does', async () => {
    const source = fakeDirectory({ lookup: () => found(list), expand: () => members });
    const { mark, lines } = grouped(source);
    expect(await mark('a.adams@example.com')).toBe('member of moving@example.com');
    expect(await mark('bob@example.com')).toBe('member of moving@example.com');
    expect(source.asked).toEqual(['moving@example.com fresh', list.dn]);
    expect(lines).toEqual([]);
  });

  test('named by DN is expanded as the one member of a group around it', async () => {
    let expanded: unknown;
    const source = fakeDirectory({
      expand: (one) => {
        expanded = one.group;
        return members;
      },
    });
    const { mark } = grouped(source, 'cn=moving@isp,o=isp');
    expect(await mark('alice@example.com')).toBe('member of cn=moving@isp,o=isp');
    expect(expanded).toEqual({ memberDns: ['cn=moving@isp,o=isp'], memberAddresses: [], memberUrls: [] });
  });

  test('is read again after its time; a fresh look-up lets it be one second old', async () => {
    let now: Expansion = { kind: 'members', entries: [], addresses: [] };
    const source = fakeDirectory({ lookup: () => found(list), expand: () => now });
    const { mark, pass } = grouped(source);
    expect(await mark('alice@example.com')).toBe('no');
    now = members;
    expect(await mark('alice@example.com', true)).toBe('no');
    pass(1000);
    expect(await mark('alice@example.com')).toBe('no');
    expect(await mark('alice@example.com', true)).toBe('member of moving@example.com');
    now = { kind: 'members', entries: [], addresses: [] };
    pass(59_999);
    expect(await mark('alice@example.com')).toBe('member of moving@example.com');
    pass(1);
    expect(await mark('alice@example.com')).toBe('no');
  });

  test('without members marks nobody, and a line in the log says so each time it becomes empty', async () => {
    let now: Expansion = { kind: 'members', entries: [], addresses: [] };
    const { mark, pass, lines } = grouped(fakeDirectory({ expand: () => now }), 'cn=movng,o=isp');
    const again = async () => {
      pass(60_000);
      return await mark('alice@example.com');
    };
    expect(await again()).toBe('no');
    expect(await again()).toBe('no');
    now = members;
    expect(await again()).toBe('member of cn=movng,o=isp');
    now = { kind: 'members', entries: [], addresses: [] };
    expect(await again()).toBe('no');
    expect(lines).toEqual(Array(2).fill('warn moving group empty'));
  });

  test('is read once for all who ask at the same time', async () => {
    const source = fakeDirectory({ lookup: () => found(list), expand: () => members });
    const { mark } = grouped(source);
    await Promise.all(Array.from({ length: 20 }, () => mark('alice@example.com')));
    expect(source.asked).toHaveLength(2);
  });

  test.for<[string, Lookup, Expansion, string]>([
    ['does not answer', { kind: 'no-answer', reason: 'down' }, members, 'down'],
    ['cannot be expanded', found(list), { kind: 'no-answer', reason: 'half' }, 'half'],
    [
      'is too large',
      found(list),
      { kind: 'too-large', limit: 1000 },
      'has more than 1000 members; set directory.group-limit higher',
    ],
    [
      'is not there',
      { kind: 'unknown', server: 'fake' },
      members,
      'nobody in the directory has this address; create the group, or remove the option',
    ],
    ['is several', found(list, alice), members, '2 entries have this address, need one'],
    ['is a user', found(alice), members, 'mail=alice@example.com,o=isp is a user, need a group'],
  ])('that %s is no answer, and a line in the log', async ([, lookup, expansion, why]) => {
    const source = fakeDirectory({ lookup: () => lookup, expand: () => expansion });
    const { mark, lines, directory } = grouped(source);
    const reason = `moving-group moving@example.com: ${why}`;
    expect(await mark('alice@example.com')).toEqual({ kind: 'no-answer', reason });
    expect(await mark('alice@example.com')).toEqual({ kind: 'no-answer', reason });
    expect(lines).toEqual([`warn moving group unusable: ${reason}`]);
    expect(await directory.probe(never)).toBe(reason);
    const listed = fakeDirectory({ expand: () => members });
    const outer = open({ group: { name: 'moving@example.com', from: source, ttlMs: 60_000 } }, listed);
    expect(await outer.directory.expand(list, never)).toEqual({ kind: 'no-answer', reason });
  });

  test('that fails after it was read is no answer once its time is over, and marks again when it is back', async () => {
    let now: Expansion = members;
    const source = fakeDirectory({ lookup: () => found(list), expand: () => now });
    const { mark, pass, lines } = grouped(source);
    await mark('alice@example.com');
    now = { kind: 'no-answer', reason: 'down' };
    expect(await mark('alice@example.com')).toBe('member of moving@example.com');
    pass(60_000);
    expect(await mark('bob@example.com')).toMatchObject({ kind: 'no-answer' });
    now = members;
    expect(await mark('alice@example.com')).toBe('member of moving@example.com');
    expect(lines).toEqual([
      'warn moving group unusable: moving-group moving@example.com: down',
      'info moving group read',
    ]);
  });

  test('is waited for no longer than the signal says', async () => {
    const stop = new AbortController();
    const source = fakeDirectory({
      lookup: () => {
        stop.abort();
        return new Promise(() => undefined);
      },
    });
    const { directory } = grouped(source);
    expect(await directory.lookup('alice@example.com', stop.signal)).toEqual({
      kind: 'no-answer',
      reason: 'the look-up was stopped',
    });
  });

  test('is not asked for a list, nor for an entry that is marked already', async () => {
    const source = fakeDirectory({});
    const inner = fakeDirectory({
      lookup: (address) => found(address.startsWith('list') ? group(address) : user(address, { moving: true })),
    });
    const { directory } = open({ group: { name: 'moving@example.com', from: source, ttlMs: 1 } }, inner);
    await directory.lookup('list@example.com', never);
    await directory.lookup('alice@example.com', never);
    expect(source.asked).toEqual([]);
  });
});

describe('a file of the users being moved', () => {
  let folder = '';
  let file = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'imipd-moving-'));
    file = join(folder, 'moving.txt');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('marks an entry by any of its addresses', async () => {
    writeFileSync(file, '# wave 1\r\nA.Adams@Example.com # Alice\r\n\r\n');
    const { mark } = open({ file });
    expect(await mark('alice@example.com')).toBe(`${file} names him`);
    expect(await mark('bob@example.com')).toBe('no');
  });

  test('is read again when it changes: within a second, and at once for a fresh look-up', async () => {
    writeFileSync(file, 'bob@example.com\n');
    const { mark, pass, lines } = open({ file });
    expect(await mark('alice@example.com')).toBe('no');
    writeFileSync(file, 'bob@example.com\nalice@example.com\n');
    expect(await mark('alice@example.com')).toBe('no');
    pass(1000);
    expect(await mark('alice@example.com')).toBe(`${file} names him`);
    writeFileSync(file, 'bob@example.com\n');
    expect(await mark('alice@example.com', true)).toBe('no');
    pass(5000);
    await mark('alice@example.com');
    expect(lines).toEqual(Array(3).fill('info moving file read'));
  });

  test('that vanishes or is half written leaves those it named last, with one warning each', async () => {
    writeFileSync(file, 'alice@example.com\n');
    const { mark, lines, directory } = open({ file });
    await mark('alice@example.com', true);
    renameSync(file, `${file}.old`);
    expect(await mark('alice@example.com', true)).toBe(`${file} names him`);
    expect(await mark('alice@example.com', true)).toBe(`${file} names him`);
    expect(await directory.probe(never)).toBe(`${file} cannot be read (ENOENT)`);
    writeFileSync(file, 'bob@example.com\nali');
    expect(await mark('alice@example.com', true)).toBe(`${file} names him`);
    expect(await mark('bob@example.com', true)).toBe('no');
    writeFileSync(file, 'bob@example.com\nalan@example.com\n');
    expect(await mark('alice@example.com', true)).toBe('no');
    expect(await mark('bob@example.com', true)).toBe(`${file} names him`);
    expect(await directory.probe(never)).toBeUndefined();
    expect(lines).toEqual([
      'info moving file read',
      `warn moving file unusable: ${file} cannot be read (ENOENT)`,
      `warn moving file unusable: ${file}:2: got "ali", need one address on a line`,
      'info moving file read',
    ]);
  });

  test('that was there before it vanished and comes back unchanged is read', async () => {
    writeFileSync(file, 'alice@example.com\n');
    const { mark, lines } = open({ file });
    await mark('alice@example.com');
    renameSync(file, `${file}.old`);
    await mark('alice@example.com', true);
    renameSync(`${file}.old`, file);
    await mark('alice@example.com', true);
    expect(lines.map((line) => line.slice(0, 25))).toEqual([
      'info moving file read',
      'warn moving file unusable',
      'info moving file read',
    ]);
  });

  test('that could never be read is no answer, not "not moving", and the log says so without a look-up', async () => {
    const { mark, lines } = open({ file });
    const reason = `${file} cannot be read (ENOENT)`;
    await vi.waitFor(() => expect(lines).toEqual([`warn moving file unusable: ${reason}`]));
    expect(await mark('alice@example.com', true)).toEqual({ kind: 'no-answer', reason });
    expect(await mark('nobody@example.com')).toEqual({ kind: 'unknown', server: 'fake' });
    expect(lines).toHaveLength(1);
    writeFileSync(file, '');
    expect(await mark('alice@example.com', true)).toBe('no');
  });

  test.for<[string, string[]]>([
    ['', []],
    ['\u{feff}a@example.com', ['a@example.com']],
    ['a@example.com\r\nB@EXAMPLE.COM.\rc@example.com', ['a@example.com', 'b@example.com', 'c@example.com']],
    ['  a@example.com \t# him\n#b@example.com\n\n', ['a@example.com']],
    ['a#1@example.com', ['a#1@example.com']],
    ['jürgen@bücher.example', ['jürgen@xn--bcher-kva.example']],
  ])('%j names %j', ([text, keys]) => {
    const read = parseAddressList(text);
    expect(read.kind === 'addresses' ? [...read.keys] : read).toEqual(keys);
  });

  test.for<[string, number]>([
    ['alice', 1],
    ['a@example.com\n\nmailto: b@example.com', 3],
    ['a@example.com b@example.com', 1],
    ['a@example.com\n@example.com', 2],
    ['a@example.com\n\0\0\0', 2],
  ])('%j is refused for line %i', ([text, line]) => {
    expect(parseAddressList(text)).toMatchObject({ kind: 'no-list', line });
  });
});

test('a directory that is wrong is all that a probe tells, and closing closes it', async () => {
  const inner = fakeDirectory({ probe: 'down' });
  const { directory } = open({ group: { name: 'moving@example.com', from: inner, ttlMs: 1 } }, inner);
  expect(await directory.probe(never)).toBe('down');
  await directory[Symbol.asyncDispose]();
  expect(inner.closed()).toBe(true);
});
