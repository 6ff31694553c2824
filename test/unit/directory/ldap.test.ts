import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { type LdapOptions, openLdapDirectory } from '../../../src/directory/ldap.ts';
import { PRESETS } from '../../../src/directory/presets.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { BIND, EXTENDED, entry, type Request, reference, result, SEARCH, startFakeLdap, UNBIND } from './fake-ldap.ts';

const never = new AbortController().signal;
/** One search for an address that nobody has, not two. */
const sun = { ...PRESETS.sun, catchAll: false };
const alice = { objectClass: ['inetMailUser', 'icsCalendarUser'], mail: ['alice@example.com'] };

function open(servers: readonly string[], options: Partial<LdapOptions> = {}) {
  return openLdapDirectory(
    {
      servers,
      startTls: false,
      bindDn: 'cn=gateway,o=isp',
      password: 'secret',
      base: 'o=isp',
      mapping: sun,
      subAddressSeparators: '+',
      connectTimeoutMs: 2000,
      searchTimeoutMs: 2000,
      maxOutstanding: 100,
      ...options,
    },
    silentLog,
  );
}

/** Binds anybody; `search` answers the rest. */
function binding(search: (request: Request) => Buffer | undefined) {
  return (request: Request) =>
    request.tag === SEARCH ? search(request) : request.tag === UNBIND ? undefined : result(request, 0);
}

function searches(requests: readonly Request[]): number {
  return requests.filter(({ tag }) => tag === SEARCH).length;
}

describe('the LDAP directory', () => {
  test('a search that succeeds and finds nothing is the only unknown', async () => {
    await using server = await startFakeLdap(binding((request) => result(request, 0)));
    await using directory = open([server.url]);
    expect(await directory.lookup('nobody@example.com', never)).toEqual({
      kind: 'unknown',
      server: server.url,
      base: 'o=isp',
      filter: expect.stringMatching(/^\(&\(\|\(mail=nobody@example\.com\)/),
    });
  });

  test.for([1, 2, 3, 8, 10, 11, 12, 13, 16, 21, 32, 34, 50, 51, 52, 53, 80, 119])(
    'result code %i to a search is no answer, and the connection goes on',
    async (code) => {
      await using server = await startFakeLdap(binding((request) => result(request, code)));
      await using directory = open([server.url]);
      expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
      expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
      expect(server.connections()).toBe(1);
    },
  );

  test.for([1, 7, 8, 13, 48, 49, 51, 52, 53])(
    'result code %i to a bind is no answer, and nothing is searched',
    async (code) => {
      await using server = await startFakeLdap((request) => result(request, request.tag === BIND ? code : 0));
      await using directory = open([server.url]);
      expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
      expect(searches(server.requests)).toBe(0);
    },
  );

  test('a size limit that is reached shows the entries that came, as several', async () => {
    await using server = await startFakeLdap(
      binding((request) =>
        Buffer.concat([entry(request, 'uid=a,o=isp', alice), entry(request, 'uid=b,o=isp', alice), result(request, 4)]),
      ),
    );
    await using directory = open([server.url]);
    const answer = await directory.lookup('alice@example.com', never);
    expect(answer.kind === 'found' && answer.entries.map(({ dn }) => dn)).toEqual(['uid=a,o=isp', 'uid=b,o=isp']);
  });

  test('many entries of the mailbox do not hide the one of the very address', async () => {
    const others = Array.from({ length: 10 }, (_, index) => `uid=${index},o=isp`);
    await using server = await startFakeLdap(
      binding((request) => {
        const both = request.bytes.includes('alice@example.com');
        const found = both
          ? others.map((dn) => entry(request, dn, alice))
          : [entry(request, 'uid=work,o=isp', { ...alice, mail: ['alice+work@example.com'] })];
        return Buffer.concat([...found, result(request, both ? 4 : 0)]);
      }),
    );
    await using directory = open([server.url]);
    const answer = await directory.lookup('alice+work@example.com', never);
    expect(answer.kind === 'found' && answer.entries.map(({ dn }) => dn)).toEqual(['uid=work,o=isp']);
  });

  test('nothing found beside a reference to another server is no answer; the very address found is found', async () => {
    await using server = await startFakeLdap(
      binding((request) =>
        Buffer.concat([
          ...(request.bytes.includes('alice@') ? [entry(request, 'uid=a,o=isp', alice)] : []),
          reference(request, 'ldap://other.example.com/o=isp'),
          result(request, 0),
        ]),
      ),
    );
    await using directory = open([server.url]);
    expect((await directory.lookup('nobody@example.com', never)).kind).toBe('no-answer');
    expect((await directory.lookup('alice@example.com', never)).kind).toBe('found');
  });

  test('an entry found by an attribute that may not be read is known by the address that was asked', async () => {
    await using server = await startFakeLdap(
      binding((request) =>
        Buffer.concat([entry(request, 'uid=a,o=isp', { objectClass: ['inetMailUser'] }), result(request, 0)]),
      ),
    );
    await using directory = open([server.url]);
    expect(await directory.lookup('alice@example.com', never)).toMatchObject({
      kind: 'found',
      entries: [{ mail: 'alice@example.com', addresses: ['alice@example.com'] }],
    });
  });

  test('equal look-ups under way share one search, on one connection', async () => {
    await using server = await startFakeLdap(binding((request) => result(request, 0)));
    await using directory = open([server.url]);
    await Promise.all(Array.from({ length: 20 }, () => directory.lookup('alice@example.com', never)));
    expect(searches(server.requests)).toBe(1);
    await Promise.all(Array.from({ length: 20 }, (_, index) => directory.lookup(`user${index}@example.com`, never)));
    expect(searches(server.requests)).toBe(21);
    expect(server.connections()).toBe(1);
  });

  test('no more searches are under way than allowed, and all are answered', async () => {
    let underWay = 0;
    let most = 0;
    await using server = await startFakeLdap(
      binding((request) => {
        most = Math.max(most, ++underWay);
        setImmediate(() => {
          underWay--;
          request.socket.write(result(request, 0));
        });
        return undefined;
      }),
    );
    await using directory = open([server.url], { maxOutstanding: 4 });
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => directory.lookup(`user${index}@example.com`, never)),
    );
    expect(answers.map(({ kind }) => kind)).toEqual(Array(60).fill('unknown'));
    expect(most).toBe(4);
  });

  test('a server that binds and then is silent is no answer, and the next one is asked', async () => {
    await using silent = await startFakeLdap(binding(() => undefined));
    await using good = await startFakeLdap(
      binding((request) => Buffer.concat([entry(request, 'uid=a,o=isp', alice), result(request, 0)])),
    );
    await using alone = open([silent.url], { searchTimeoutMs: 100 });
    expect(await alone.lookup('alice@example.com', never)).toEqual({
      kind: 'no-answer',
      reason: 'the directory did not answer in time',
    });
    await using both = open([silent.url, good.url], { searchTimeoutMs: 100 });
    expect(await both.lookup('alice@example.com', never)).toMatchObject({ kind: 'found', server: good.url });
  });

  test.for([
    ['accepts and says nothing', () => undefined, false],
    ['agrees to StartTLS and then says nothing', (request: Request) => result(request, 0), true],
  ] as const)('a server that %s is no answer', async ([, answer, startTls]) => {
    await using server = await startFakeLdap(answer);
    await using directory = open([server.url], { startTls, connectTimeoutMs: 100 });
    expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
  });

  test('a server that refuses StartTLS gets no password', async () => {
    await using server = await startFakeLdap((request) => result(request, request.tag === EXTENDED ? 2 : 0));
    await using directory = open([server.url], { startTls: true });
    expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
    expect(server.requests.map(({ tag }) => tag)).toEqual([EXTENDED]);
  });

  test('bytes that are no LDAP are no answer', async () => {
    await using server = await startFakeLdap(binding(() => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')));
    await using directory = open([server.url], { searchTimeoutMs: 200 });
    expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
  });

  test('a connection that the server closed is replaced by a bound one before the next search', async () => {
    await using server = await startFakeLdap(binding((request) => result(request, 0)));
    await using directory = open([server.url]);
    await directory.lookup('one@example.com', never);
    server.requests[0]!.socket.destroy();
    expect((await directory.lookup('two@example.com', never)).kind).toBe('unknown');
    expect(server.requests.map(({ tag }) => tag)).toEqual([BIND, SEARCH, BIND, SEARCH]);
  });

  test('a server that nobody listens on is passed over for the next one', async () => {
    await using good = await startFakeLdap(binding((request) => result(request, 0)));
    await using directory = open([await closedPort(), good.url]);
    expect(await directory.lookup('alice@example.com', never)).toMatchObject({ kind: 'unknown', server: good.url });
    await using neither = open([await closedPort()]);
    expect(await neither.lookup('alice@example.com', never)).toEqual({
      kind: 'no-answer',
      reason: 'the directory cannot be reached (ECONNREFUSED)',
    });
  });

  test('a preferred server that is back takes over again once its pause is over', async () => {
    let code = 52;
    const finding = (request: Request) => Buffer.concat([entry(request, 'uid=a,o=isp', alice), result(request, 0)]);
    await using first = await startFakeLdap((request) =>
      request.tag === SEARCH ? finding(request) : result(request, code),
    );
    await using second = await startFakeLdap(binding(finding));
    await using directory = open([first.url, second.url]);
    const server = async () => {
      const answer = await directory.lookup('alice@example.com', never);
      return answer.kind === 'found' && answer.server;
    };
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      expect(await server()).toBe(second.url);
      code = 0;
      expect(await server()).toBe(second.url);
      expect(first.connections()).toBe(1);
      vi.advanceTimersByTime(60_000);
      expect(await server()).toBe(second.url); // nobody waits for the first one to be connected
      await expect.poll(server).toBe(first.url);
    } finally {
      vi.useRealTimers();
    }
  });

  test('an aborted look-up ends at once with no answer; another caller of the same one gets his', async () => {
    let asked: (request: Request) => void = () => undefined;
    const searched = new Promise<Request>((resolve) => {
      asked = resolve;
    });
    await using server = await startFakeLdap(
      binding((request) => {
        asked(request);
        return undefined;
      }),
    );
    await using directory = open([server.url]);
    const controller = new AbortController();
    const given = directory.lookup('alice@example.com', controller.signal);
    const other = directory.lookup('alice@example.com', never);
    const request = await searched;
    controller.abort();
    expect(await given).toEqual({ kind: 'no-answer', reason: 'the look-up was stopped' });
    request.socket.write(result(request, 0));
    expect((await other).kind).toBe('unknown');
    expect((await directory.lookup('bob@example.com', AbortSignal.abort())).kind).toBe('no-answer');
  });

  test('what is no address is nobody, and is not asked for', async () => {
    await using server = await startFakeLdap(() => undefined);
    await using directory = open([server.url]);
    for (const address of [
      '',
      'alice',
      '@example.com',
      'alice@',
      'a\0b@example.com',
      `${'a'.repeat(10_000)}@example.com`,
    ]) {
      expect((await directory.lookup(address, never)).kind).toBe('unknown');
    }
    expect(server.connections()).toBe(0);
  });

  test('a directory that was closed gives no answer', async () => {
    await using server = await startFakeLdap(binding((request) => result(request, 0)));
    const directory = open([server.url]);
    await directory.lookup('alice@example.com', never);
    const gone = once(server.requests[0]!.socket, 'close');
    await directory[Symbol.asyncDispose]();
    expect(await directory.lookup('alice@example.com', never)).toEqual({
      kind: 'no-answer',
      reason: 'the directory is closed',
    });
    await gone;
    expect(server.requests.at(-1)?.tag).toBe(UNBIND);
  });

  test('a probe names each server that is wrong, and says why', async () => {
    await using wrong = await startFakeLdap((request) => result(request, request.tag === BIND ? 49 : 0));
    await using empty = await startFakeLdap(binding((request) => result(request, 0)));
    await using good = await startFakeLdap(
      binding((request) => Buffer.concat([entry(request, 'o=isp', {}), result(request, 0)])),
    );
    await using directory = open([wrong.url, empty.url, good.url]);
    expect(await directory.probe(never)).toBe(
      `${wrong.url}: the directory answered InvalidCredentials (49): bind-dn or password is wrong; ` +
        `${empty.url}: the search base o=isp cannot be read`,
    );
    await using healthy = open([good.url]);
    expect(await healthy.probe(never)).toBeUndefined();
    expect(await healthy.probe(AbortSignal.abort())).toBe('stopped before the directory had answered');
  });

  test.for([
    [{ servers: [] }, 'no LDAP server is configured'],
    [{ servers: ['http://127.0.0.1'] }, '"http://127.0.0.1" is no ldap:// or ldaps:// URL'],
    [{ password: '' }, 'bind-dn needs a password'],
    [{ mapping: { ...PRESETS.sun, objectFilter: '(mail=' } }, 'Unbalanced parens'],
  ] as const)('options that cannot work are refused at once: %o', ([options, message]) => {
    expect(() => open(['ldap://127.0.0.1'], options)).toThrow(message);
  });
});

async function closedPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `ldap://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 1}`;
}
