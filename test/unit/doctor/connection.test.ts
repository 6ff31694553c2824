import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TlsOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judgeHandshake } from '../../../src/doctor/certificate.ts';
import { type DialOptions, type Endpoint, exchange, shakeHands } from '../../../src/doctor/connection.ts';
import { type Authority, makeAuthority } from '../../servers/authority.ts';

let authority: Authority;
const servers: Server[] = [];
beforeAll(async () => {
  authority = await makeAuthority();
});
afterAll(async () => {
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  await authority[Symbol.asyncDispose]();
});

async function listen(options: TlsOptions, name = 'cal.example.test'): Promise<Endpoint> {
  const server = createServer(options, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n'));
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return { secure: true, host: name, port: (server.address() as AddressInfo).port, address: '127.0.0.1' };
}

const options = (): DialOptions => ({ timeoutMs: 5_000, ca: authority.pem });

async function judge(endpoint: Endpoint, domain?: string, how = options()) {
  const findings = judgeHandshake(endpoint, await shakeHands(endpoint, how), domain, Date.now());
  return findings.map(({ verdict, found, advice }) => [verdict, found, ...(advice === undefined ? [] : [advice])]);
}

describe('a TLS handshake', () => {
  test('with everything right is found right', async () => {
    const { cert, key } = await authority.issue({ name: 'cal.example.test', days: 90 });
    const said = await judge(await listen({ cert: `${cert}${authority.pem}`, key }));
    expect(said.map(([verdict]) => verdict)).toEqual(['ok', 'ok', 'ok', 'ok', 'note', 'note']);
    expect(said[5]?.[1]).toMatch(/^issuer CN=imipd test authority, until /);
    expect(said[0]?.[1]).toMatch(/^TLSv1\.3, TLS_/);
    expect(said[1]?.[1]).toMatch(/, (89|90) days left$/);
    expect(said[2]?.[1]).toBe('issued by CN=imipd test authority, which is trusted');
    expect(said[3]?.[1]).toBe('name matches cal.example.test (DNS:cal.example.test, IP Address:127.0.0.1)');
    expect(said[4]?.[1]).toBe('key ec prime256v1');
  });

  test('with a certificate that has expired is refused for its date alone', async () => {
    const { cert, key } = await authority.issue({ name: 'cal.example.test', days: -1 });
    const said = await judge(await listen({ cert, key }));
    expect(said.filter(([verdict]) => verdict === 'refused')).toEqual([
      ['refused', expect.stringMatching(/^certificate from .*: expired$/), 'renew it, and reload the server'],
    ]);
  });

  test('with a certificate about to expire is warned of', async () => {
    const { cert, key } = await authority.issue({ name: 'cal.example.test', days: 3 });
    const said = await judge(await listen({ cert, key }));
    expect(said.filter(([verdict]) => verdict === 'warning')).toEqual([
      ['warning', expect.stringMatching(/, [23] days left$/), 'renew it'],
    ]);
  });

  test('with an authority nobody trusts is refused', async () => {
    const { cert, key } = await authority.issue({ name: 'cal.example.test', days: 90 });
    const said = await judge(await listen({ cert, key }), undefined, { timeoutMs: 5_000 });
    expect(said.filter(([verdict]) => verdict === 'refused').map(([, found]) => found)).toEqual([
      expect.stringMatching(/^issued by CN=imipd test authority; the server does not send that one’s certificate/),
    ]);
  });

  test('with a certificate of the domain in place of the host is refused, as our own connections refuse it', async () => {
    const { cert, key } = await authority.issue({ name: 'example.test', days: 90 });
    const said = await judge(await listen({ cert, key }), 'example.test');
    expect(said[3]).toEqual([
      'refused',
      'certificate is for DNS:example.test, IP Address:127.0.0.1',
      'get a certificate with that name',
    ]);
  });

  test('says whether the certificate is for the domain as well', async () => {
    const { cert, key } = await authority.issue({ name: 'cal.example.test', days: 90 });
    const said = await judge(await listen({ cert, key }), 'example.test');
    expect(said[3]?.[1]).toMatch(/^name matches cal\.example\.test, but not the domain example\.test /);
  });

  test('with a certificate of another name is refused', async () => {
    const { cert, key } = await authority.issue({ name: 'other.test', days: 90 });
    const said = await judge(await listen({ cert, key }));
    expect(said.filter(([verdict]) => verdict === 'refused').map(([, found]) => found)).toEqual([
      'certificate is for DNS:other.test, IP Address:127.0.0.1',
    ]);
  });

  test('with a peer of TLS 1.0 alone is refused, naming the settings it would need', async () => {
    const { cert, key } = await authority.issue({ name: 'cal.example.test', days: 90 });
    const endpoint = await listen({
      cert,
      key,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const [first] = await judge(endpoint);
    expect(first).toEqual([
      'refused',
      expect.stringMatching(/^TLSv1, TLS_.*: agreed to only after concessions$/),
      'renew that server; or, knowing the risk, set in its entry of ischedule.servers: min-tls: TLSv1, security-level: 0',
    ]);
    // So doctor says of it what `imipd check` says.
    const [configured] = await judge(endpoint, undefined, { ...options(), minTls: 'TLSv1', securityLevel: 0 });
    expect(configured?.slice(0, 2)).toEqual([
      'warning',
      expect.stringMatching(/^TLSv1, TLS_.*: protects little \(RFC 8996\), and is spoken because min-tls allows it$/),
    ]);
  });

  test('where nobody listens says so', async () => {
    const endpoint = await listen({});
    servers.at(-1)?.close();
    servers.pop();
    expect(await judge(endpoint)).toEqual([
      [
        'refused',
        'no TLS connection: nobody listens there (ECONNREFUSED)',
        'look whether the port and the host are right, and whether a firewall is in between',
      ],
    ]);
  });

  test('carries octets as they were given, and brings back the answer', async () => {
    const { cert, key } = await authority.issue({ name: 'cal.example.test', days: 90 });
    const endpoint = await listen({ cert, key });
    const request = { head: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', body: Buffer.alloc(0) };
    expect(await exchange(endpoint, request, { ...options(), maxBytes: 1_000 })).toMatchObject({
      kind: 'answer',
      status: 204,
    });
  });
});
