import { describe, expect, test } from 'vitest';
import type { Entry } from '../../../src/directory/directory.ts';
import { openLdapDirectory } from '../../../src/directory/ldap.ts';
import { PRESETS } from '../../../src/directory/presets.ts';
import type { SchemaMapping } from '../../../src/directory/schema.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { entry, type Request, result, SEARCH, startFakeLdap, UNBIND } from './fake-ldap.ts';

const never = new AbortController().signal;

function open(url: string, mapping: SchemaMapping, groupLimit = 5000) {
  return openLdapDirectory(
    {
      servers: [url],
      startTls: false,
      base: 'o=isp',
      mapping,
      subAddressSeparators: '+',
      connectTimeoutMs: 1000,
      searchTimeoutMs: 1000,
      maxOutstanding: 100,
      groupLimit,
    },
    silentLog,
  );
}

/** Binds anybody; `search` answers the rest. */
function binding(search: (request: Request) => Buffer | undefined) {
  return (request: Request) =>
    request.tag === SEARCH ? search(request) : request.tag === UNBIND ? undefined : result(request, 0);
}

function asksFor(request: Request, text: string): boolean {
  return request.bytes.includes(text);
}

describe('a catch-all', () => {
  const rest = { objectClass: ['inetMailUser'], mail: ['rest@example.com'], mailAlternateAddress: ['@example.com'] };
  const alice = { objectClass: ['inetMailUser'], mail: ['alice@example.com'] };

  /** Takes each search apart by what it asks for, as a directory with these two entries does. */
  async function startWithCatchAll() {
    return startFakeLdap(
      binding((request) =>
        Buffer.concat([
          ...(asksFor(request, 'alice@example.com') ? [entry(request, 'uid=alice,o=isp', alice)] : []),
          ...(asksFor(request, '\x0c@example.com') ? [entry(request, 'uid=rest,o=isp', rest)] : []),
          result(request, 0),
        ]),
      ),
    );
  }

  test('is found for an address that nobody has, and says so', async () => {
    await using server = await startWithCatchAll();
    await using directory = open(server.url, PRESETS.sun);
    expect(await directory.lookup('nobody@example.com', never)).toMatchObject({
      kind: 'found',
      filter: expect.stringContaining('(mail=@example.com)'),
      entries: [
        {
          dn: 'uid=rest,o=isp',
          catchAll: true,
          mail: 'rest@example.com',
          addresses: ['rest@example.com'],
          matchedBy: 'mailAlternateAddress=@example.com',
        },
      ],
    });
  });

  test('is not asked for when somebody has the address, with a sub-address or without', async () => {
    await using server = await startWithCatchAll();
    await using directory = open(server.url, PRESETS.sun);
    for (const address of ['alice@example.com', 'alice+x@example.com']) {
      const found = await directory.lookup(address, never);
      expect(found.kind === 'found' && found.entries.map((one) => [one.dn, one.catchAll])).toEqual([
        ['uid=alice,o=isp', undefined],
      ]);
    }
    expect(server.requests.filter((request) => asksFor(request, '\x0c@example.com'))).toEqual([]);
  });

  test('is no answer when its search fails, though the first found nobody', async () => {
    await using server = await startFakeLdap(
      binding((request) => result(request, asksFor(request, '\x0c@example.com') ? 51 : 0)),
    );
    await using directory = open(server.url, PRESETS.sun);
    expect((await directory.lookup('nobody@example.com', never)).kind).toBe('no-answer');
  });
});

describe('a calendar id', () => {
  const ann = { objectClass: ['inetMailUser'], mail: ['ann@example.com'], uid: ['ann'] };

  test('is asked for once by all that it may be, however often at a time', async () => {
    await using server = await startFakeLdap(
      binding((request) => Buffer.concat([entry(request, 'uid=ann,o=isp', ann), result(request, 0)])),
    );
    await using directory = open(server.url, PRESETS.sun);
    const [first, second] = await Promise.all([1, 2].map(() => directory.lookupName('ann', 'example.com', never)));
    expect(first).toMatchObject({
      kind: 'found',
      filter: expect.stringMatching(
        /^\(&\(\|\(icsCalendar=ann\)\(icsCalendar=ann@example.com\)\(uid=ann\)\(uid=ann@example.com\)\)\(\|/,
      ),
      entries: [{ mail: 'ann@example.com', matchedBy: 'uid=ann' }],
    });
    expect(second).toEqual(first);
    const searches = server.requests.filter(({ tag }) => tag === SEARCH);
    expect(searches).toHaveLength(1);
    expect(asksFor(searches[0] as Request, 'icsCalendar')).toBe(true);
  });

  test('is no answer when the server has none, and when so many have it that the best may be cut off', async () => {
    const many = Array.from({ length: 100 }, (_, index) => ({ ...ann, mail: [`ann@d${index}.example.org`] }));
    await using server = await startFakeLdap(
      binding((request) =>
        asksFor(request, 'busy')
          ? result(request, 51)
          : Buffer.concat([
              ...many.map((one, index) => entry(request, `uid=ann,o=d${index}`, one)),
              result(request, 0),
            ]),
      ),
    );
    await using directory = open(server.url, PRESETS.sun);
    expect((await directory.lookupName('busy', 'example.com', never)).kind).toBe('no-answer');
    expect(await directory.lookupName('ann', 'example.com', never)).toEqual({
      kind: 'no-answer',
      reason: '100 entries or more have this name',
    });
  });

  test.for(['', 'a\nb', 'a'.repeat(257)])('%j is unknown without a search', async (name) => {
    await using server = await startFakeLdap(binding((request) => result(request, 0)));
    await using directory = open(server.url, PRESETS.sun);
    expect(await directory.lookupName(name, 'example.com', never)).toEqual({ kind: 'unknown', server: server.url });
    expect(server.requests).toEqual([]);
  });
});

describe('members that come in ranges, as Active Directory gives them,', () => {
  const head = { objectClass: ['group'], mail: ['all@example.com'] };
  const dns = Array.from({ length: 250 }, (_, index) => `cn=${index},o=isp`);

  /** Gives a hundred members at a time. */
  async function startWithRanges(cut?: number) {
    return startFakeLdap(
      binding((request) => {
        const from = Number(/member;range=(\d+)-/.exec(request.bytes.toString('latin1'))?.[1] ?? 0);
        if (from === cut) return result(request, 51);
        const end = from + 100 >= dns.length ? '*' : `${from + 99}`;
        const members = { [`member;range=${from}-${end}`]: dns.slice(from, from + 100) };
        const attributes = from === 0 ? { ...head, member: [], ...members } : members;
        return Buffer.concat([entry(request, 'cn=all,o=isp', attributes), result(request, 0)]);
      }),
    );
  }

  test('are read to the end', async () => {
    await using server = await startWithRanges();
    await using directory = open(server.url, PRESETS['active-directory']);
    const found = await directory.lookup('all@example.com', never);
    expect(found.kind === 'found' && found.entries[0].group?.memberDns).toEqual(dns);
    expect(server.requests.filter(({ tag }) => tag === SEARCH)).toHaveLength(3);
  });

  test('are read no further than a group may be large, and the group is too large', async () => {
    await using server = await startWithRanges();
    await using directory = open(server.url, PRESETS['active-directory'], 150);
    const found = await directory.lookup('all@example.com', never);
    expect(server.requests.filter(({ tag }) => tag === SEARCH)).toHaveLength(2);
    expect(found.kind).toBe('found');
    if (found.kind !== 'found') return;
    expect(await directory.expand(found.entries[0], never)).toEqual({ kind: 'too-large', limit: 150 });
  });

  test('are no answer when one range is not given', async () => {
    await using server = await startWithRanges(200);
    await using directory = open(server.url, PRESETS['active-directory']);
    expect((await directory.lookup('all@example.com', never)).kind).toBe('no-answer');
  });
});

describe('the expansion of a group', () => {
  const group: Entry = {
    dn: 'cn=team,o=isp',
    kind: 'group',
    mail: 'team@example.com',
    addresses: ['team@example.com'],
    matchedBy: 'mail=team@example.com',
    status: [],
    moving: false,
    calendar: false,
    group: {
      memberDns: Array.from({ length: 300 }, (_, index) => `uid=${index},o=isp`),
      memberAddresses: [],
      memberUrls: [],
    },
  };

  test('has at most half as many searches under way as are allowed, and gets them all', async () => {
    let underWay = 0;
    let most = 0;
    await using server = await startFakeLdap(
      binding((request) => {
        most = Math.max(most, ++underWay);
        setImmediate(() => {
          underWay--;
          const dn = /uid=\d+,o=isp/.exec(request.bytes.toString('latin1'))?.[0] ?? '';
          const person = { objectClass: ['inetMailUser'], mail: [`${dn.slice(4, -6)}@example.com`] };
          request.socket.write(Buffer.concat([entry(request, dn, person), result(request, 0)]));
        });
        return undefined;
      }),
    );
    await using directory = open(server.url, PRESETS.sun);
    const expansion = await directory.expand(group, never);
    expect(expansion.kind === 'members' && expansion.entries.map(({ mail }) => mail)).toEqual(
      Array.from({ length: 300 }, (_, index) => `${index}@example.com`),
    );
    expect(most).toBeGreaterThan(10);
    expect(most).toBeLessThanOrEqual(50);
    expect(server.connections()).toBe(1);
  });

  test.for([
    ['says nothing', (): undefined => undefined],
    ['is busy', (request: Request): Buffer => result(request, 51)],
    ['refuses to read', (request: Request): Buffer => result(request, 50)],
    [
      'closes in the middle',
      (request: Request): undefined => {
        request.socket.destroy();
        return undefined;
      },
    ],
  ] as const)('is no answer from a server that %s', async ([, answer]) => {
    await using server = await startFakeLdap(binding(answer));
    await using directory = open(server.url, PRESETS.sun);
    expect((await directory.expand(group, never)).kind).toBe('no-answer');
  });

  test('ends at once when it is stopped', async () => {
    const stop = new AbortController();
    await using server = await startFakeLdap(
      binding(() => {
        stop.abort();
        return undefined;
      }),
    );
    await using directory = open(server.url, PRESETS.sun);
    expect(await directory.expand(group, stop.signal)).toEqual({
      kind: 'no-answer',
      reason: 'the expansion was stopped',
    });
  });
});
