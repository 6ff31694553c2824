import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batch, deliverer, never } from './deliver-samples.ts';

type Certificate = { readonly key: string; readonly cert: string };

/** A real server of its own kind: smtp-server on a free port; `seen` says for each message whether TLS and a login were used. */
async function serve(options: SMTPServerOptions) {
  const seen: { secure: boolean; user: string | undefined }[] = [];
  const server = new SMTPServer({
    authOptional: true,
    logger: false,
    onAuth: (auth, _session, done) =>
      auth.password === 'right' ? done(null, { user: auth.username }) : done(new Error('wrong password')),
    onData: (stream, session, done) => {
      seen.push({ secure: session.secure, user: typeof session.user === 'string' ? session.user : undefined });
      stream.on('end', () => done());
      stream.resume();
    },
    ...options,
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  return {
    port: (server.server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const OPENSSL = ['/usr/bin/openssl', '/bin/openssl', '/usr/local/bin/openssl'].find((path) => existsSync(path));

describe.skipIf(OPENSSL === undefined)('TLS and login (certificates by openssl)', () => {
  let certificate: Certificate;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imipd-tls-'));
    execFileSync(
      OPENSSL ?? 'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=next.example.com',
        '-addext',
        'subjectAltName=IP:127.0.0.1',
        '-keyout',
        join(folder, 'key.pem'),
        '-out',
        join(folder, 'cert.pem'),
      ],
      { stdio: 'ignore' },
    );
    certificate = {
      key: await readFile(join(folder, 'key.pem'), 'utf8'),
      cert: await readFile(join(folder, 'cert.pem'), 'utf8'),
    };
  });
  afterAll(() => rm(folder, { recursive: true }));

  const delivered = 'delivered 2.0.0';
  const refused = 'deferred 4.3.5 alarm';
  const auth = { user: 'gateway', password: 'right' };
  const table = [
    [
      'starttls takes an unknown certificate, since a forger could take the offer away too',
      { tls: 'starttls' },
      {},
      delivered,
      [{ secure: true, user: undefined }],
    ],
    [
      'starttls goes on in the clear where TLS is not offered',
      { tls: 'starttls' },
      { hideSTARTTLS: true, disabledCommands: ['STARTTLS', 'AUTH'] },
      delivered,
      [{ secure: false, user: undefined }],
    ],
    ['require refuses an unknown certificate', { tls: 'require' }, {}, refused, []],
    [
      'require takes a certificate of its own CA',
      { tls: 'require', ca: 'own' },
      {},
      delivered,
      [{ secure: true, user: undefined }],
    ],
    [
      'require sends nothing where TLS is not offered',
      { tls: 'require' },
      { hideSTARTTLS: true, disabledCommands: ['STARTTLS', 'AUTH'] },
      refused,
      [],
    ],
    ['implicit refuses an unknown certificate', { tls: 'implicit' }, { secure: true }, refused, []],
    [
      'implicit takes a certificate of its own CA',
      { tls: 'implicit', ca: 'own' },
      { secure: true },
      delivered,
      [{ secure: true, user: undefined }],
    ],
    ['implicit to a server that speaks plainly is our set-up', { tls: 'implicit', ca: 'own' }, {}, refused, []],
    ['a login is made', { tls: 'require', ca: 'own', auth }, {}, delivered, [{ secure: true, user: 'gateway' }]],
    [
      'a refused login is our set-up',
      { tls: 'require', ca: 'own', auth: { ...auth, password: 'wrong' } },
      {},
      refused,
      [],
    ],
    [
      'a password is not sent in the clear because TLS is not offered',
      { tls: 'starttls', auth },
      { hideSTARTTLS: true, allowInsecureAuth: true },
      refused,
      [],
    ],
  ] as const;
  for (const [title, hopOptions, serverOptions, expected, seen] of table) {
    test(title, async () => {
      await using server = await serve({
        ...certificate,
        ...serverOptions,
        ...('disabledCommands' in serverOptions ? { disabledCommands: [...serverOptions.disabledCommands] } : {}),
      } as SMTPServerOptions);
      await using hop = deliverer(server.port, {
        ...hopOptions,
        ...('ca' in hopOptions ? { ca: certificate.cert } : {}),
      });
      const outcomes = await hop.deliver(batch(), never);
      expect(outcomes.map(({ kind, status, alarm }) => `${kind} ${status}${alarm === true ? ' alarm' : ''}`)).toEqual([
        expected,
      ]);
      expect(server.seen).toEqual(seen);
    });
  }
});

const SINK = ['/usr/sbin/smtp-sink', '/usr/bin/smtp-sink'].find((path) => existsSync(path));

/** Debian's smtp-sink; dumps every transaction into a file of its own. */
async function sink(port: number, ...options: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'imipd-sink-'));
  const asRoot = process.getuid?.() === 0 ? ['-u', 'root'] : [];
  const child = spawn(SINK ?? '', [...asRoot, '-d', `${folder}/%s.`, ...options, `127.0.0.1:${port}`, '100'], {
    stdio: 'ignore',
  });
  while (!(await accepts(port))) if (child.exitCode !== null) throw new Error(`smtp-sink ended with ${child.exitCode}`);
  return {
    async dumps() {
      return await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'latin1')));
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      if (child.exitCode === null) await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('data', () => socket.end('QUIT\r\n'));
  });
}

describe.skipIf(SINK === undefined)('smtp-sink', () => {
  test('gets what was sent, by SMTP with pipelining', async () => {
    await using server = await sink(27_011);
    await using hop = deliverer(27_011);
    const content = 'Subject: dots\r\n\r\n.\r\n..two\r\nend\r\n';
    const outcomes = await hop.deliver(
      batch({ content, prepend: Buffer.from('X-Ours: 1\r\n'), to: ['bob@example.com', 'eve@example.com'] }),
      never,
    );
    expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered']);
    const dumps = await server.dumps();
    expect(dumps.length).toBe(1);
    expect(dumps[0]?.replaceAll('\r\n', '\n')).toContain('X-Ours: 1\nSubject: dots\n\n.\n..two\nend\n');
    expect(dumps[0]?.match(/^X-Rcpt-Args: .*$/gm)?.map((line) => line.trim())).toEqual([
      'X-Rcpt-Args: <bob@example.com>',
      'X-Rcpt-Args: <eve@example.com>',
    ]);
  });

  test('answers LMTP once per recipient', async () => {
    await using _server = await sink(27_012, '-L');
    await using hop = deliverer(27_012, { protocol: 'lmtp' });
    const outcomes = await hop.deliver(batch({ to: ['bob@example.com', 'bob@example.com', 'eve@example.com'] }), never);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered', 'delivered']);
  });

  test('that refuses or hangs up at each command makes the outcome of that command', async () => {
    const rows: [number, string[], string][] = [
      [27_013, ['-f', 'rcpt'], 'failed 5.3.0'],
      [27_014, ['-r', 'rcpt'], 'deferred 4.3.0'],
      [27_015, ['-f', '.'], 'failed 5.3.0'],
      [27_016, ['-r', 'data'], 'deferred 4.3.0'],
      [27_017, ['-q', 'mail'], 'deferred 4.4.2'],
      [27_018, ['-q', '.'], 'deferred 4.4.2'],
      [27_019, ['-f', 'ehlo,helo'], 'deferred 4.3.5'],
    ];
    const seen: string[] = [];
    for (const [port, options] of rows) {
      await using _server = await sink(port, ...options);
      await using hop = deliverer(port);
      seen.push(...(await hop.deliver(batch(), never)).map(({ kind, status }) => `${kind} ${status}`));
    }
    expect(seen).toEqual(rows.map(([, , expected]) => expected));
  });
});
