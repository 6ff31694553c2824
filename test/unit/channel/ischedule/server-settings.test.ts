import { connect } from 'node:net';
import { buildConnector } from 'undici';
import { describe, expect, test } from 'vitest';
import { makeAuthority } from '../../../servers/authority.ts';
import { installed } from '../../../servers/installed.ts';
import { accept, batchFor, delivererFor, noSignal, startPeer } from './peer.ts';

describe('time runs out', () => {
  test('for the headers of the answer, and that is what is told', async () => {
    await using peer = await startPeer(() => undefined);
    await using channel = delivererFor(peer.url, { headersTimeoutMs: 200 });
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({
      ...{ kind: 'deferred', status: '4.4.2', answered: false },
      reason: 'the calendar server did not begin its answer in time',
    });
  });

  test('for the rest of the answer, and that is what is told', async () => {
    await using peer = await startPeer((_, response) => void response.writeHead(200).write('<schedule-response>'));
    await using channel = delivererFor(peer.url, { bodyTimeoutMs: 200 });
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({
      ...{ kind: 'deferred', status: '4.4.2', answered: false },
      reason: 'the calendar server did not go on with its answer in time',
    });
  });

  test('for a server that takes the connection and says nothing of TLS: no connection, and the next is tried', async () => {
    await using next = await startPeer(accept);
    const { createServer } = await import('node:net');
    const mute = createServer((socket) => socket.on('error', () => undefined).resume());
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    try {
      const url = new URL(`https://127.0.0.1:${(mute.address() as { port: number }).port}/`);
      await using channel = delivererFor(url, { connectTimeoutMs: 300, fallbacks: [next.url.href] });
      const [outcome] = await channel.deliver(batchFor(url), noSignal);
      expect(outcome).toMatchObject({ kind: 'delivered', relay: next.url.host });
    } finally {
      mute.close();
    }
  });
});

describe.skipIf(!installed('openssl'))('TLS', () => {
  test('a certificate for another name is refused, and the next target is tried', async () => {
    await using authority = await makeAuthority();
    await using wrong = await startPeer(
      accept,
      await authority.issue({ name: 'other.test', addresses: ['192.0.2.1'] }),
    );
    await using right = await startPeer(accept, await authority.issue({ name: 'localhost' }));
    await using alone = delivererFor(wrong.url, { ca: authority.pem });
    const [refused] = await alone.deliver(batchFor(wrong.url), noSignal);
    expect(refused).toMatchObject({
      ...{ kind: 'deferred', status: '4.3.5', alarm: true, answered: false },
      reason:
        'TLS with the calendar server failed (ERR_TLS_CERT_ALTNAME_INVALID: its certificate is for another name than that of the URL)',
    });
    await using both = delivererFor(wrong.url, { ca: authority.pem, fallbacks: [right.url.href] });
    const [delivered] = await both.deliver(batchFor(wrong.url), noSignal);
    expect(delivered).toMatchObject({ kind: 'delivered', relay: right.url.host });
    expect(wrong.received).toEqual([]);
  });

  test('our client certificate is shown to the server, and not to where it redirects', async () => {
    await using authority = await makeAuthority();
    const asking = {
      ...(await authority.issue({ name: 'localhost' })),
      ca: authority.pem,
      requestCert: true,
      rejectUnauthorized: false,
    };
    await using target = await startPeer(accept, asking);
    await using peer = await startPeer(
      (_, response) => response.writeHead(307, { Location: target.url.href }).end(),
      asking,
    );
    const clientCertificate = await authority.issue({ name: 'gateway.test', client: true });
    await using channel = delivererFor(
      peer.url,
      { ca: authority.pem, clientCertificate: { cert: clientCertificate.cert, key: clientCertificate.key } },
      { redirectHosts: [target.url.host] },
    );
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'delivered' });
    expect([peer.received[0]?.client, target.received[0]?.client]).toEqual(['gateway.test', undefined]);
  });

  test('a server that wants a client certificate and gets none is our set-up', async () => {
    await using authority = await makeAuthority();
    const tls = { ...(await authority.issue({ name: 'localhost' })), ca: authority.pem, requestCert: true };
    await using peer = await startPeer(accept, tls);
    await using channel = delivererFor(peer.url, { ca: authority.pem });
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', answered: false });
    expect(peer.received).toEqual([]);
  });

  test('a server that speaks TLS 1.0 only is posted to where both settings allow it, and not else', async () => {
    await using authority = await makeAuthority();
    const old = {
      ...(await authority.issue({ name: 'localhost' })),
      ...({ minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const),
    };
    await using peer = await startPeer(accept, old);
    await using strict = delivererFor(peer.url, { ca: authority.pem });
    const [refused] = await strict.deliver(batchFor(peer.url), noSignal);
    expect(refused).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true, answered: false });
    await using lax = delivererFor(peer.url, { ca: authority.pem, minTls: 'TLSv1', securityLevel: 0 });
    const [delivered] = await lax.deliver(batchFor(peer.url), noSignal);
    expect(delivered).toMatchObject({ kind: 'delivered' });
  });

  test('a server of TLS 1.2 is not posted to where 1.3 is the lowest', async () => {
    await using authority = await makeAuthority();
    await using peer = await startPeer(accept, {
      ...(await authority.issue({ name: 'localhost' })),
      maxVersion: 'TLSv1.2',
    });
    await using channel = delivererFor(peer.url, { ca: authority.pem, minTls: 'TLSv1.3' });
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true });
  });

  test('a client key that is none is our set-up, not the mail’s end', async () => {
    await using authority = await makeAuthority();
    await using peer = await startPeer(accept, await authority.issue({ name: 'localhost' }));
    await using channel = delivererFor(peer.url, {
      ca: authority.pem,
      clientCertificate: { cert: 'none', key: 'none' },
    });
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: true });
  });
});

describe('a server that a stranger’s DNS named', () => {
  const toLoopback = (ca: string) => buildConnector({ ca });

  test('is never posted to by http, not by a redirect either', async () => {
    await using plain = await startPeer(accept);
    let connections = 0;
    const connector: buildConnector.connector = (options, callback) => {
      connections += 1;
      if (options.protocol === 'https:') callback(null, connect(Number(options.port), '127.0.0.1'));
      else callback(Object.assign(new Error('only https'), { code: 'EADDRREFUSED', syscall: 'connect' }), null);
    };
    await using channel = delivererFor(plain.url, {}, { connector });
    const [outcome] = await channel.deliver(batchFor(plain.url), noSignal);
    expect(outcome).toMatchObject({
      ...{ kind: 'deferred', status: '4.4.1', answered: false },
      reason: 'no connection was made: only https',
    });
    expect([connections, plain.received]).toEqual([1, []]);
  });

  test.skipIf(!installed('openssl'))('may redirect to any host by https, through the same guard', async () => {
    await using authority = await makeAuthority();
    const tls = await authority.issue({ name: 'localhost' });
    await using target = await startPeer(accept, tls);
    await using peer = await startPeer((received, response) => {
      const location = received.path === '/ischedule' ? target.url.href : target.url.href.replace('https:', 'http:');
      response.writeHead(307, { Location: location }).end();
    }, tls);
    const hosts: string[] = [];
    const open = toLoopback(authority.pem);
    const connector: buildConnector.connector = (options, callback) => {
      hosts.push(`${options.hostname}:${options.port}`);
      open(options, callback);
    };
    await using channel = delivererFor(peer.url, {}, { connector });
    const [delivered] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(delivered).toMatchObject({ kind: 'delivered', relay: target.url.host });
    expect(hosts).toEqual([peer.url.host, target.url.host]);
    const [refused] = await channel.deliver(batchFor(new URL('/down', peer.url)), noSignal);
    expect(refused).toMatchObject({ kind: 'deferred', status: '4.3.5', answered: true });
  });

  test.skipIf(!installed('openssl'))('and whose certificate is bad alarms nobody', async () => {
    await using authority = await makeAuthority();
    await using peer = await startPeer(accept, await authority.issue({ name: 'localhost', addresses: ['192.0.2.1'] }));
    await using channel = delivererFor(peer.url, {}, { connector: toLoopback(authority.pem) });
    const [outcome] = await channel.deliver(batchFor(peer.url), noSignal);
    expect(outcome).toMatchObject({ kind: 'deferred', status: '4.3.5', alarm: false });
  });
});
