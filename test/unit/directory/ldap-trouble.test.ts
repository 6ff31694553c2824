import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { type LdapOptions, openLdapDirectory } from '../../../src/directory/ldap.ts';
import { PRESETS } from '../../../src/directory/presets.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { installed } from '../../servers/installed.ts';
import { BIND, EXTENDED, entry, type Request, result, SEARCH, startFakeLdap, UNBIND } from './fake-ldap.ts';

const never = new AbortController().signal;
const alice = { objectClass: ['inetMailUser', 'icsCalendarUser'], mail: ['alice@example.com'] };

function open(servers: readonly string[], options: Partial<LdapOptions> = {}) {
  const lines: string[] = [];
  const keep = (level: string) => (object: { directory?: string; reason?: string }, text: string) =>
    void lines.push(
      `${level} ${object.directory ?? ''} ${text}${object.reason === undefined ? '' : `: ${object.reason}`}`,
    );
  const log = {
    ...silentLog,
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  } as unknown as typeof silentLog;
  const directory = openLdapDirectory(
    {
      servers,
      startTls: false,
      bindDn: 'cn=gateway,o=isp',
      password: 'secret',
      base: 'o=isp',
      mapping: PRESETS.sun,
      subAddressSeparators: '+',
      groupLimit: 1000,
      connectTimeoutMs: 2000,
      searchTimeoutMs: 2000,
      maxOutstanding: 100,
      ...options,
    },
    log,
  );
  return Object.assign(directory, { lines });
}

/** Binds anybody; `search` answers the rest. */
function binding(search: (request: Request) => Buffer | undefined) {
  return (request: Request) =>
    request.tag === SEARCH ? search(request) : request.tag === UNBIND ? undefined : result(request, 0);
}

describe('an LDAP server in trouble', () => {
  test('that accepts and never answers is no answer, said once in the log however many ask', async () => {
    let silent = true;
    await using server = await startFakeLdap((request) =>
      silent || request.tag === UNBIND ? undefined : result(request, 0),
    );
    await using directory = open([server.url], { connectTimeoutMs: 100 });
    const reason = 'the directory did not answer in time';
    const addresses = Array.from({ length: 20 }, (_, index) => `user${index}@example.com`);
    const answers = await Promise.all(addresses.map((address) => directory.lookup(address, never)));
    expect(answers).toEqual(addresses.map(() => ({ kind: 'no-answer', reason })));
    silent = false;
    expect((await directory.lookup('user1@example.com', never)).kind).toBe('unknown');
    expect(directory.lines).toEqual([
      `warn ${server.url} directory does not answer: ${reason}`,
      `info ${server.url} directory answers again`,
    ]);
  });

  test('whose kernel accepts, and no program ever, is no answer as well', async () => {
    await using server = await stalled();
    await using directory = open([server.url], { connectTimeoutMs: 100 });
    expect((await directory.lookup('alice@example.com', never)).kind).toBe('no-answer');
    expect(directory.lines).toEqual([
      `warn ${server.url} directory does not answer: the directory did not answer in time`,
    ]);
  });

  test('that closes in mid-search is no answer, not what it had said until then', async () => {
    await using server = await startFakeLdap(
      binding((request) => {
        request.socket.end(entry(request, 'uid=a,o=isp', alice));
        return undefined;
      }),
    );
    await using directory = open([server.url]);
    const reason = 'the connection to the directory was lost';
    expect(await directory.lookup('alice@example.com', never)).toEqual({ kind: 'no-answer', reason });
    expect(directory.lines).toEqual([`warn ${server.url} directory does not answer: ${reason}`]);
  });

  test('that resets the connection in mid-search leaves the look-up to the next server', async () => {
    await using broken = await startFakeLdap(
      binding((request) => {
        request.socket.resetAndDestroy();
        return undefined;
      }),
    );
    await using good = await startFakeLdap(
      binding((request) => Buffer.concat([entry(request, 'uid=a,o=isp', alice), result(request, 0)])),
    );
    await using directory = open([broken.url, good.url]);
    expect(await directory.lookup('alice@example.com', never)).toMatchObject({ kind: 'found', server: good.url });
    expect(directory.lines).toHaveLength(1);
    expect(directory.lines[0]).toContain(`warn ${broken.url} directory does not answer: the `);
  });

  test('that says half of an entry and no more is no answer in time', async () => {
    await using server = await startFakeLdap(
      binding((request) => entry(request, 'uid=a,o=isp', alice).subarray(0, 20)),
    );
    await using directory = open([server.url], { searchTimeoutMs: 100 });
    const reason = 'the directory did not answer in time';
    expect(await directory.lookup('alice@example.com', never)).toEqual({ kind: 'no-answer', reason });
    expect(directory.lines).toEqual([`warn ${server.url} directory does not answer: ${reason}`]);
  });

  test('that refuses the password is no answer, and the log says what to look at', async () => {
    await using server = await startFakeLdap((request) => result(request, request.tag === BIND ? 49 : 0));
    await using directory = open([server.url]);
    await directory.lookup('alice@example.com', never);
    expect(directory.lines).toEqual([
      `warn ${server.url} directory does not answer: the directory answered InvalidCredentials (49): bind-dn or password is wrong`,
    ]);
  });
});

describe('a strange address', () => {
  test.for([
    '*@example.com',
    'a)(mail=*@example.com',
    'a\\2a@example.com',
    '(|(a=b))@example.com',
    'a&!=~<>@example.com',
  ])('goes to the server as it is, never as syntax: %s', async (address) => {
    await using server = await startFakeLdap(binding((request) => result(request, 0)));
    await using directory = open([server.url]);
    expect((await directory.lookup(address, never)).kind).toBe('unknown');
    const search = server.requests.find(({ tag }) => tag === SEARCH);
    expect(search?.bytes.includes(octetString(address))).toBe(true);
  });
});

describe.skipIf(!installed('openssl'))('a certificate', () => {
  const UNTRUSTED =
    'TLS with the directory failed (DEPTH_ZERO_SELF_SIGNED_CERT): its certificate is of no authority that is trusted; name that one with directory.ca';
  const OTHER_HOST =
    'TLS with the directory failed (ERR_TLS_CERT_ALTNAME_INVALID): its certificate is for another host; write the name that it has in directory.servers';

  test('of no trusted authority is no answer by ldaps, and no password is sent', async () => {
    const { key, cert } = certificate('IP:127.0.0.1');
    let said = 0;
    const server = createTlsServer({ key, cert }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => said++);
    }).listen(0, '127.0.0.1');
    server.on('tlsClientError', () => undefined);
    await once(server, 'listening');
    const url = `ldaps://127.0.0.1:${(server.address() as AddressInfo).port}`;
    {
      await using directory = open([url]);
      expect(await directory.lookup('alice@example.com', never)).toEqual({ kind: 'no-answer', reason: UNTRUSTED });
      expect(directory.lines).toEqual([`warn ${url} directory does not answer: ${UNTRUSTED}`]);
    }
    expect(said).toBe(0);
    server.close();
    await once(server, 'close');
  });

  test.for([
    ['of no trusted authority', 'IP:127.0.0.1', false, UNTRUSTED],
    ['of another host', 'DNS:ldap.example.com', true, OTHER_HOST],
  ] as const)('%s is no answer after StartTLS, and no password is sent', async ([, name, trusted, reason]) => {
    const { key, cert } = certificate(name);
    await using server = await startFakeLdap((request) => {
      if (request.tag !== EXTENDED) return undefined;
      request.socket.write(result(request, 0), () => {
        request.socket.removeAllListeners('data');
        new TLSSocket(request.socket, { isServer: true, key, cert }).on('error', () => undefined);
      });
      return undefined;
    });
    await using directory = open([server.url], { startTls: true, ...(trusted ? { ca: cert } : {}) });
    expect(await directory.lookup('alice@example.com', never)).toEqual({ kind: 'no-answer', reason });
    expect(directory.lines).toEqual([`warn ${server.url} directory does not answer: ${reason}`]);
    expect(server.requests.map(({ tag }) => tag)).toEqual([EXTENDED]);
  });

  function certificate(name: string): { key: string; cert: string } {
    const folder = mkdtempSync(join(tmpdir(), 'imipd-tls-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=directory', '-addext', `subjectAltName=${name}`];
    const options = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
    execFileSync('openssl', [...options, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const made = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
    rmSync(folder, { recursive: true });
    return made;
  }
});

/** Takes connections and does nothing at all with them. */
async function stalled(): Promise<{ readonly url: string } & AsyncDisposable> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ldap://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** As BER has it (RFC 4511 §5.1): with its length, so that nothing longer or shorter passes for it. */
function octetString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x04, bytes.length]), bytes]);
}
