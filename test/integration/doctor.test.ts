import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeAuthority } from '../servers/authority.ts';
import { suite } from '../servers/installed.ts';
import { startKnot } from '../servers/servers.ts';
import { folderWith, imipd } from './cli.ts';

const CAPABILITIES = `<?xml version="1.0" encoding="utf-8"?>
<query-result xmlns="urn:ietf:params:xml:ns:ischedule"><capabilities><serial-number>7</serial-number>
<versions><version>1.0</version></versions><scheduling-messages><component name="VEVENT"/></scheduling-messages>
<max-recipients>50</max-recipients></capabilities></query-result>`;

/** A calendar server by https that redirects, announces and serves keys, and was never posted to. */
async function startServer(name: string, keys: () => string) {
  const authority = await makeAuthority();
  const { cert, key } = await authority.issue({ name, days: 90 });
  const posts: string[] = [];
  const server = createServer({ cert: `${cert}${authority.pem}`, key }, (request, response) => {
    if (request.method !== 'GET') posts.push(`${request.method} ${request.url}`);
    const url = new URL(request.url ?? '/', 'https://unused.test');
    if (url.pathname === '/.well-known/ischedule') {
      response.writeHead(301, { Location: `/ischedule${url.search}` }).end();
    } else if (url.pathname === '/ischedule' && url.searchParams.get('action') === 'capabilities') {
      response.writeHead(200, { 'Content-Type': 'application/xml' }).end(CAPABILITIES);
    } else if (url.pathname.startsWith('/.well-known/domainkey/')) {
      response.writeHead(200, { 'Content-Type': 'text/plain' }).end(`${keys()}\r\n`);
    } else response.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    ca: authority.pem,
    posts,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
      await authority[Symbol.asyncDispose]();
    },
  };
}

function config(dns: string): string {
  return [
    'domains: [example.test]',
    'listeners: [{ name: in, address: "127.0.0.1:0" }]',
    'next-hop: { address: "127.0.0.1:9" }',
    `dns: { servers: ["${dns}"] }`,
    'ischedule:',
    '  keys: [{ domain: example.test, selector: cal1, key: cal1.example.test.pem }]',
    '  discovery: { ca: ca.pem, allow-networks: [127.0.0.0/8] }',
    '',
  ].join('\n');
}

suite(['knot'], 'imipd doctor and keys', () => {
  test('a new key is written for its owner alone, once, with everything to publish', async () => {
    await using folder = await folderWith({});
    const args = [
      'keys',
      'new',
      '--domain',
      'Example.test',
      '--selector',
      'cal1',
      '--host',
      'gw.example.test',
      '--json',
    ];
    const made = await imipd(folder.path, ...args);
    const file = join(folder.path, 'cal1.example.test.pem');
    const pem = readFileSync(file, 'utf8');
    const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' }).toString('base64');
    const { records } = JSON.parse(made.out) as { records: { name: string; line: string }[] };
    const [key, service, lookup] = records;
    expect(made.code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(key?.name).toBe('cal1._domainkey.example.test.');
    const strings = [...(key?.line.matchAll(/"([^"]*)"/g) ?? [])].map(([, text = '']) => text);
    expect(strings.join('')).toBe(`v=DKIM1; k=rsa; h=sha256; s=ischedule; p=${spki}`);
    expect(strings.every((text) => text.length <= 255)).toBe(true);
    expect([service?.line, lookup?.line]).toEqual([
      '_ischedules._tcp.example.test. IN SRV 0 0 443 gw.example.test.',
      '_domainkey_lookup._tcp.example.test. IN SRV 0 0 443 gw.example.test.',
    ]);
    const again = await imipd(folder.path, ...args);
    expect([again.code, again.err]).toEqual([
      64,
      'cal1.example.test.pem is there already, and a key is never overwritten; name another by --out\n',
    ]);
    expect(readFileSync(file, 'utf8')).toBe(pem);
  });

  test('a domain with everything published is refused nothing, and never posted to', async () => {
    let record = '';
    await using server = await startServer('cal.example.test', () => record);
    await using knot = await startKnot({ zones: { 'example.test': 'cal A 127.0.0.1' } });
    await using folder = await folderWith({ 'ca.pem': server.ca, 'imipd.yaml': config(knot.address) });
    await imipd(folder.path, 'keys', 'new', '--domain', 'example.test', '--selector', 'cal1');
    const printed = JSON.parse((await imipd(folder.path, 'keys', 'dns', '--json')).out) as { line: string }[];
    const [line = ''] = printed.map((one) => one.line);
    record = [...line.matchAll(/"([^"]*)"/g)].map(([, text]) => text).join('');
    const missing = await imipd(folder.path, 'keys', 'dns', '--check');
    expect([missing.code, missing.out.split('\n')[0]]).toEqual([
      1,
      'refused  keys cal1._domainkey.example.test: no TXT record',
    ]);
    // As printed, into a zone.
    const zone = [
      'cal A 127.0.0.1',
      line,
      `_ischedules._tcp SRV 0 0 ${server.port} cal`,
      `_domainkey_lookup._tcp SRV 0 0 ${server.port} cal`,
    ];
    await knot.setZone('example.test', zone.join('\n'));
    const checked = await imipd(folder.path, 'keys', 'dns', '--check');
    expect([checked.code, checked.out]).toEqual([
      0,
      'ok       keys cal1._domainkey.example.test: RSA, 2048 bits, s=ischedule, ours\n',
    ]);
    const said = await imipd(folder.path, 'doctor', 'example.test', '--json');
    const { findings, services } = JSON.parse(said.out) as {
      findings: { area: string; verdict: string; what: string; found: string }[];
      services: unknown[];
    };
    expect(findings.filter(({ verdict }) => verdict === 'refused' || verdict === 'warning')).toEqual([]);
    expect(said.code).toBe(0);
    const told = findings.map(({ area, found }) => `${area}: ${found}`);
    expect(told).toEqual(
      expect.arrayContaining([
        `dns: SRV 0 0 ${server.port} cal.example.test, for 60 s`,
        'address: 127.0.0.1',
        `well-known: 301 to https://cal.example.test:${server.port}/ischedule?action=capabilities`,
        'keys: RSA, 2048 bits, s=ischedule, ours',
      ]),
    );
    expect(services).toMatchObject([
      {
        url: `https://cal.example.test:${server.port}/.well-known/ischedule`,
        capabilities: { serial: '7', versions: ['1.0'], maxRecipients: 50, messages: { VEVENT: [] } },
      },
    ]);
    expect(server.posts).toEqual([]);
  });

  test('a loopback address, a strange authority and a revoked key are each refused by name, without a configuration', async () => {
    await using server = await startServer('cal.example.test', () => '');
    await using knot = await startKnot({
      zones: {
        'example.test': [
          'cal A 127.0.0.1',
          `_ischedules._tcp SRV 0 0 ${server.port} cal`,
          'old._domainkey TXT "v=DKIM1; p="',
        ].join('\n'),
      },
    });
    await using folder = await folderWith({});
    const said = await imipd(folder.path, 'doctor', 'example.test', '--dns', knot.address, '--selector', 'old');
    expect(said.code).toBe(1);
    const lines = said.out.split('\n');
    expect(lines.filter((line) => line.startsWith('refused'))).toEqual([
      'refused  address cal.example.test: 127.0.0.1, which is loopback',
      `refused  tls cal.example.test:${server.port}: issued by CN=imipd test authority, which is not trusted (SELF_SIGNED_CERT_IN_CHAIN)`,
      'refused  keys old._domainkey.example.test: a revoked key: p= is empty',
    ]);
    expect(lines).toContain(
      '         do: publish the public address; in a laboratory add the network to ischedule.discovery.allow-networks',
    );
    expect(lines).toContain('Refused would be 3 things:');
  });

  test('a domain nobody published anything of is told so', async () => {
    await using knot = await startKnot({ zones: { 'example.test': 'mail A 127.0.0.1' } });
    await using folder = await folderWith({});
    const said = await imipd(folder.path, 'doctor', 'example.test', '--dns', knot.address);
    expect([said.code, said.out.split('\n').find((line) => line.startsWith('refused'))]).toEqual([
      1,
      'refused  dns example.test: no SRV record of iSchedule, here or above',
    ]);
  });
});
