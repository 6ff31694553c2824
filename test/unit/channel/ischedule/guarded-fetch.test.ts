import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Pool } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AddressPolicy, addressPolicy } from '../../../../channel/ischedule/guard.ts';
import { type GuardedConnectorOptions, guardedConnector } from '../../../../channel/ischedule/guarded-connector.ts';
import { createGuardedFetch, type FetchOptions } from '../../../../channel/ischedule/guarded-fetch.ts';
import type { DnsAnswer, Resolver } from '../../../../src/net/resolver.ts';
import { type Authority, makeAuthority } from '../../../servers/authority.ts';

const never = new AbortController().signal;
const LIMITS: FetchOptions = { maxBytes: 1000, maxRedirects: 3, timeoutMs: 5_000 };

/** Only the addresses named are permitted, so that a loopback address can stand for a public one. */
function onlyPermits(...addresses: readonly string[]): AddressPolicy & { readonly judged: string[] } {
  const judged: string[] = [];
  return {
    judged,
    permits(address) {
      judged.push(address);
      return addresses.includes(address) || 'private';
    },
  };
}

/** Each look-up of a name takes the next of its answers; the last one stays. */
function resolving(names: Readonly<Record<string, readonly DnsAnswer<string>[]>>): Resolver & { asked: string[] } {
  const asked: string[] = [];
  const none = async () => ({ kind: 'none', ttlMs: 0 }) as const;
  return {
    asked,
    srv: none,
    txt: none,
    async addresses(name) {
      const answers = names[name] ?? [];
      const before = asked.filter((other) => other === name).length;
      asked.push(name);
      return answers[Math.min(before, answers.length - 1)] ?? { kind: 'none', ttlMs: 0 };
    },
  };
}

const at = (...records: readonly string[]): DnsAnswer<string> => ({ kind: 'records', records, ttlMs: 1000 });

let authority: Authority;
let port: number;
let handle: (request: IncomingMessage, response: ServerResponse) => void;
const closing: (() => Promise<unknown>)[] = [];
const requests: string[] = [];

/** One server on all of 127/8; the certificate is for names below example.com and for 127.0.0.1. */
beforeAll(async () => {
  authority = await makeAuthority();
  const { cert, key } = await authority.issue({ name: '*.example.com' });
  const server = createServer({ cert, key }, (request, response) => {
    requests.push(`${request.socket.localAddress} ${request.headers.host} ${request.url}`);
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  port = (server.address() as AddressInfo).port;
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
});
afterAll(async () => {
  await Promise.all(closing.map((close) => close()));
  await authority?.[Symbol.asyncDispose]();
});

function fetching(resolver: Resolver, policy: AddressPolicy) {
  const tls = { ca: authority.pem };
  const fetch = createGuardedFetch({ resolver, policy, connectTimeoutMs: 2_000, userAgent: 'test/1', tls });
  return async (url: string, limits: Partial<FetchOptions> = {}, signal = never) => {
    requests.length = 0;
    const answer = await fetch(new URL(url), { ...LIMITS, ...limits }, signal);
    return answer.kind === 'answer' ? { ...answer, body: answer.body.toString(), url: answer.url.href } : answer;
  };
}

describe('what is fetched', () => {
  test('comes from the address that was judged, with a plain request', async () => {
    let seen: IncomingMessage['headers'] = {};
    handle = (request, response) => {
      seen = request.headers;
      response.setHeader('Set-Cookie', 'a=b');
      response.end('hello');
    };
    const resolver = resolving({ 'cal.example.com': [at('127.0.0.5')] });
    const get = fetching(resolver, onlyPermits('127.0.0.5'));
    expect(await get(`https://cal.example.com:${port}/key?x=1`, { accept: 'text/plain' })).toMatchObject({
      kind: 'answer',
      status: 200,
      headers: { 'set-cookie': 'a=b' },
      body: 'hello',
      url: `https://cal.example.com:${port}/key?x=1`,
    });
    expect(requests).toEqual([`127.0.0.5 cal.example.com:${port} /key?x=1`]);
    expect(seen).toEqual({
      accept: 'text/plain',
      'accept-encoding': 'identity',
      connection: 'keep-alive',
      host: `cal.example.com:${port}`,
      'user-agent': 'test/1',
    });
  });

  test('never comes from an address that was not judged: a second look-up cannot say something else', async () => {
    handle = (_request, response) => void response.end('hello');
    const resolver = resolving({ 'cal.example.com': [at('127.0.0.5'), at('127.0.0.1')] });
    const policy = onlyPermits('127.0.0.5');
    const get = fetching(resolver, policy);
    expect(await get(`https://cal.example.com:${port}/`)).toMatchObject({ kind: 'answer', body: 'hello' });
    expect(requests).toEqual([`127.0.0.5 cal.example.com:${port} /`]);
    expect(resolver.asked).toEqual(['cal.example.com']);
    expect(policy.judged).toEqual(['127.0.0.5']);
    expect(await get(`https://cal.example.com:${port}/`)).toEqual({
      kind: 'refused',
      reason: 'cal.example.com is not a public address: 127.0.0.1, private',
    });
    expect(requests).toEqual([]);
  });

  test('comes from the permitted ones among several addresses, the next when one is dead', async () => {
    handle = (_request, response) => void response.end('hello');
    const get = fetching(
      resolving({ 'cal.example.com': [at('10.0.0.1', '::1', '127.0.0.5', '127.0.0.6')] }),
      onlyPermits('::1', '127.0.0.6'), // nothing listens on ::1
    );
    expect(await get(`https://cal.example.com:${port}/`)).toMatchObject({ kind: 'answer' });
    expect(requests).toEqual([`127.0.0.6 cal.example.com:${port} /`]);
  });
});

describe('a redirect', () => {
  const resolver = () =>
    resolving({
      'a.example.com': [at('127.0.0.5')],
      'b.example.com': [at('127.0.0.6')],
      'inside.example.com': [at('127.0.0.1')],
    });
  const redirect = (to: (url: string) => string) => {
    handle = (request, response) => {
      if (request.url === '/end') response.end('end');
      else response.writeHead(307, { Location: to(request.url ?? '') }).end();
    };
  };

  test('to another permitted host is followed, and to a path of its own', async () => {
    redirect((url) => (url === '/' ? `https://b.example.com:${port}/two` : '/end#part'));
    const get = fetching(resolver(), onlyPermits('127.0.0.5', '127.0.0.6'));
    expect(await get(`https://a.example.com:${port}/`)).toMatchObject({
      body: 'end',
      url: `https://b.example.com:${port}/end`,
    });
    expect(requests).toEqual([
      `127.0.0.5 a.example.com:${port} /`,
      `127.0.0.6 b.example.com:${port} /two`,
      `127.0.0.6 b.example.com:${port} /end`,
    ]);
  });

  test.each([
    ['to http', () => `http://b.example.com:${port}/end`, /^http:\/\/b\.example\.com:\d+ is not https$/],
    ['to a file', () => 'file:///etc/passwd', /^file:\/\/ is not https$/],
    ['to data', () => 'data:text/plain,hello', /is not https$/],
    ['to loopback', () => `https://127.0.0.1:${port}/end`, /^127\.0\.0\.1 is not a public address: private$/],
    ['to loopback as a number', () => `https://2130706433:${port}/end`, /^127\.0\.0\.1 is not a public address/],
    ['to loopback in IPv6', () => `https://[::ffff:127.0.0.1]:${port}/end`, /^::ffff:7f00:1 is not a public address/],
    ['to a name that is loopback', () => `https://inside.example.com:${port}/end`, /127\.0\.0\.1, private$/],
    ['with a password', () => `https://a:b@b.example.com:${port}/end`, /user name or password/],
  ])('%s is refused', async (_title, to, reason) => {
    redirect(to);
    const get = fetching(resolver(), onlyPermits('127.0.0.5', '127.0.0.6'));
    expect(await get(`https://a.example.com:${port}/`)).toEqual({
      kind: 'refused',
      reason: expect.stringMatching(reason),
    });
    expect(requests).toEqual([`127.0.0.5 a.example.com:${port} /`]);
  });

  test.each([
    ['in a circle', () => '/again', 'more than 3 redirects', 4],
    ['to nowhere', () => 'https://[', 'a redirect to nowhere', 1],
  ])('%s fails', async (_title, to, reason, times) => {
    redirect(to);
    const get = fetching(resolver(), onlyPermits('127.0.0.5'));
    expect(await get(`https://a.example.com:${port}/`)).toEqual({ kind: 'failed', reason });
    expect(requests.length).toBe(times);
  });
});

describe('an answer that we do not take', () => {
  const resolver = resolving({ 'a.example.com': [at('127.0.0.5')], 'a.example.org': [at('127.0.0.5')] });
  const get = (path = '/', limits: Partial<FetchOptions> = {}, signal = never) =>
    fetching(resolver, onlyPermits('127.0.0.5'))(`https://a.example.com:${port}${path}`, limits, signal);

  test('one that is too large is cut off, with a length or without end', async () => {
    handle = (_request, response) => void response.end('x'.repeat(1001));
    expect(await get()).toEqual({ kind: 'failed', reason: 'an answer of more than 1000 bytes' });
    let gone = false;
    handle = (_request, response) => {
      response.on('close', () => {
        gone = true;
      });
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(100)));
        response.once('drain', more);
      };
      more();
    };
    expect(await get()).toEqual({ kind: 'failed', reason: 'an answer of more than 1000 bytes' });
    await expect.poll(() => gone).toBe(true);
    handle = (_request, response) => void response.end('x'.repeat(1000));
    expect(await get()).toMatchObject({ kind: 'answer', body: 'x'.repeat(1000) });
  });

  test('one that is compressed is not unpacked', async () => {
    handle = (_request, response) =>
      void response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(Buffer.alloc(100_000)));
    expect(await get()).toEqual({ kind: 'failed', reason: 'an answer encoded as gzip' });
  });

  test('one that stops in the middle, or never begins, ends at the deadline', async () => {
    handle = (_request, response) => void response.write('x');
    expect(await get('/', { timeoutMs: 300 })).toEqual({ kind: 'failed', reason: 'no whole answer within 300 ms' });
    handle = () => {};
    expect(await get('/', { timeoutMs: 300 })).toEqual({ kind: 'failed', reason: 'no whole answer within 300 ms' });
  });

  test('the caller who gives up gets his own reason', async () => {
    const stop = new AbortController();
    handle = () => stop.abort(new Error('enough'));
    await expect(get('/', {}, stop.signal)).rejects.toThrow('enough');
    await expect(get('/', {}, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
  });

  test('one under a certificate for another name, or of an unknown authority', async () => {
    handle = (_request, response) => void response.end('x');
    const elsewhere = await fetching(resolver, onlyPermits('127.0.0.5'))(`https://a.example.org:${port}/`);
    expect(elsewhere).toEqual({ kind: 'failed', reason: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID') });
    const policy = onlyPermits('127.0.0.5');
    const untrusting = createGuardedFetch({ resolver, policy, connectTimeoutMs: 2_000, userAgent: 'test/1' });
    expect(await untrusting(new URL(`https://a.example.com:${port}/`), LIMITS, never)).toEqual({
      kind: 'failed',
      reason: expect.stringContaining('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    });
  });

  test('of a name without address, and of a silent DNS', async () => {
    const silence = { kind: 'no-answer', reason: 'no answer in time' } as const;
    const names = fetching(resolving({ 'b.example.com': [silence] }), onlyPermits('127.0.0.5'));
    expect(await names(`https://a.example.com:${port}/`)).toEqual({
      kind: 'failed',
      reason: 'a.example.com has no address (ENOTFOUND)',
    });
    expect(await names(`https://b.example.com:${port}/`)).toEqual({
      kind: 'failed',
      reason: 'b.example.com: no answer in time (EAI_AGAIN)',
    });
  });
});

describe('a connection of a pool', () => {
  async function request(url: string, options: Partial<GuardedConnectorOptions>) {
    const defaults = { resolver: resolving({}), policy: addressPolicy({ allow: [] }), connectTimeoutMs: 1_000 };
    const pool = new Pool(url, { connect: guardedConnector({ ...defaults, ...options }), allowH2: false });
    try {
      const response = await pool.request({ method: 'GET', path: '/' });
      return await response.body.text();
    } catch (error) {
      return (error as { code?: string }).code;
    } finally {
      await pool.destroy();
    }
  }

  test('to an address in place of a name is judged, and its certificate has to name the address', async () => {
    handle = (_request, response) => void response.end('hello');
    const tls = { ca: authority.pem };
    const lab = addressPolicy({ allow: ['127.0.0.0/8'] });
    expect(await request(`https://127.0.0.1:${port}`, { tls })).toBe('EADDRREFUSED');
    expect(await request(`https://[::1]:${port}`, { tls })).toBe('EADDRREFUSED');
    expect(await request(`https://127.0.0.1:${port}`, { tls, policy: lab })).toBe('hello');
    expect(await request(`https://127.0.0.2:${port}`, { tls, policy: lab })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('in clear is made only where that is asked for', async () => {
    const lab = addressPolicy({ allow: ['127.0.0.0/8'] });
    let taken = 0;
    const plain = createHttpServer((_request, response) => {
      taken++;
      response.end('hello');
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(plain.address() as AddressInfo).port}`;
    expect(await request(url, { policy: lab })).toBe('EADDRREFUSED');
    expect(taken).toBe(0);
    expect(await request(url, { policy: lab, plain: true })).toBe('hello');
    await new Promise((resolve) => plain.close(resolve));
  });

  test('that is never made ends in time: silence in TLS, a DNS that hangs', async () => {
    const sockets: Socket[] = [];
    const mute = createTcpServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const lab = addressPolicy({ allow: ['127.0.0.0/8'] });
    const mutePort = (mute.address() as AddressInfo).port;
    const options = { policy: lab, connectTimeoutMs: 200 };
    expect(await request(`https://127.0.0.1:${mutePort}`, options)).toBe('UND_ERR_CONNECT_TIMEOUT');
    const hanging: Resolver = {
      ...resolving({}),
      addresses: (_name, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    };
    expect(await request('https://a.example.com', { ...options, resolver: hanging })).toBe('UND_ERR_CONNECT_TIMEOUT');
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => mute.close(resolve));
    const refused = await request(`https://127.0.0.1:${mutePort}`, options);
    expect(refused).toBe('ECONNREFUSED');
  });
});

test('a name of a hundred addresses is tried at six of them', async () => {
  const many = Array.from({ length: 100 }, (_, n) => `127.0.1.${n + 1}`);
  const policy = onlyPermits();
  const get = fetching(resolving({ 'a.example.com': [at(...many)] }), policy);
  expect(await get(`https://a.example.com:${port}/`)).toMatchObject({ kind: 'refused' });
  expect(policy.judged).toEqual(many.slice(0, 6));
});
