import { once } from 'node:events';
import { createServer as createWebServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ask, reach } from '../../../src/observe/reach.ts';

async function listening(server: Server): Promise<{ readonly port: number; [Symbol.asyncDispose](): Promise<void> }> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

const TIME = { timeoutMs: 5_000 };

describe('a server that speaks first', () => {
  test('is known by its first line', async () => {
    await using peer = await listening(createServer((socket) => void socket.end('220 mx ESMTP\r\n')));
    expect(await reach({ host: '127.0.0.1', port: peer.port, ...TIME })).toEqual({
      ok: true,
      greeting: '220 mx ESMTP',
    });
  });

  test('that speaks no TLS is told from one that cannot be reached, also by its IP address', async () => {
    await using peer = await listening(createServer((socket) => void socket.end('220 mx ESMTP\r\n')));
    expect(await reach({ host: '127.0.0.1', port: peer.port, tls: {}, ...TIME })).toEqual({
      ok: false,
      reason: 'it speaks no TLS on this port (ERR_SSL_WRONG_VERSION_NUMBER)',
    });
  });
});

describe('a web server', () => {
  test('is asked for a URL, and its status is told', async () => {
    const server = createWebServer((request, response) => {
      response.statusCode = request.url === '/ischedule?action=capabilities' ? 200 : 404;
      response.end('much');
    });
    await using peer = await listening(server);
    const at = (path: string) => ask(new URL(path, `http://127.0.0.1:${peer.port}`), TIME);
    expect(await at('/ischedule?action=capabilities')).toEqual({ ok: true, status: 200 });
    expect(await at('/other')).toEqual({ ok: true, status: 404 });
  });

  test('that speaks no TLS, is not there, or has no name, is told in words', async () => {
    const server = createServer((socket) => void socket.end('220 mx ESMTP\r\n'));
    let url = '';
    {
      await using peer = await listening(server);
      url = `https://127.0.0.1:${peer.port}/`;
      expect(await ask(new URL(url), TIME)).toEqual({ ok: false, reason: 'it speaks no TLS on this port (EPROTO)' });
    }
    {
      await using peer = await listening(createServer((socket) => void socket.resetAndDestroy()));
      expect(await ask(new URL(`http://127.0.0.1:${peer.port}/`), TIME)).toEqual({
        ok: false,
        reason:
          'it closed the connection without an answer; look whether it wants https on this port, and into its log',
      });
    }
    expect(await ask(new URL(url), TIME)).toEqual({ ok: false, reason: 'nobody listens there (ECONNREFUSED)' });
    expect(await ask(new URL('http://no.such.host.invalid/'), TIME)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/cannot be resolved \(ENOTFOUND\)|EAI_AGAIN/),
    });
  });
});
