import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { ConfigFolder } from './folder.ts';

let folder: ConfigFolder;
const files: Record<string, string> = {};

beforeAll(() => {
  folder = new ConfigFolder();
  const certificate = (name: string): void => {
    const out = ['-keyout', `${folder.path}/${name}.key`, '-out', `${folder.path}/${name}.pem`];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...out, '-subj', `/CN=${name}.test`], { stdio: 'ignore' });
  };
  certificate('a');
  certificate('b');
  const pem = { type: 'pkcs8', format: 'pem' } as const;
  folder.write('rsa2048.pem', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(pem));
  folder.write('rsa1024.pem', generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export(pem));
  folder.write('ed25519.pem', generateKeyPairSync('ed25519').privateKey.export(pem));
  Object.assign(files, { cert: 'a.pem', key: 'a.key' });
});
afterAll(() => folder[Symbol.dispose]());

/** Everything said of a configuration that is right but for what is put in; warnings in brackets. */
function said(changes: Readonly<Record<string, unknown>>): readonly string[] {
  const input = {
    domains: ['example.com'],
    listeners: [{ name: 'in' }],
    directory: { kind: 'ldif', file: 'people.ldif' },
    calendar: { default: { url: 'https://cal.example.com/ischedule' } },
    'next-hop': { address: '127.0.0.1:10026' },
    ...changes,
  };
  const loaded = parseConfig(input, 'x', {}, folder.path);
  const plain = (text: string): string => text.slice('x: '.length).replaceAll(`${folder.path}/`, '');
  return [...(loaded.ok ? [] : loaded.errors.map(plain)), ...loaded.warnings.map((text) => `(${plain(text)})`)];
}

const FINGERPRINT = 'ab'.repeat(32);
const service = (more: object = {}) => ({ http: { service: more } });
const tls = () => service({ tls: { ...files } });
const tlsWithClients = () => service({ tls: { ...files, 'client-ca': 'a.pem' } });
const peers = (...more: object[]) => ({
  ischedule: { peers: more.map((one, index) => ({ name: `p${index}`, domains: ['example.org'], ...one })) },
});

describe('a peer', () => {
  test('from outside with a domain of ours is most likely a server of ours', () => {
    expect(said({ ...service(), ...peers({ domains: ['example.com'], networks: ['192.0.2.1'] }) })).toEqual([
      '(ischedule.peers[0].domains: example.com is ours, for which an outside peer may never speak; a calendar server of ours needs origin: inside)',
    ]);
  });

  test('with each kind of proof is taken', () => {
    const all = peers(
      { networks: ['192.0.2.1'] },
      { certificates: [FINGERPRINT, 'cal.example.org'] },
      { basic: [{ user: 'cal', password: 'geheim' }] },
      { bearer: ['geheim'] },
      { dkim: {} },
      { dialect: 'draft00', networks: ['192.0.2.2'], dkim: {} },
    );
    expect(said({ ...tlsWithClients(), ...all })).toEqual([]);
  });

  test('without any proof is refused', () => {
    expect(said({ ...service(), ...peers({}) })).toEqual([
      'ischedule.peers[0]: has no way to prove who it is, need one of networks, certificates, basic, bearer, dkim',
    ]);
  });

  test('needs a listener', () => {
    expect(said(peers({ networks: ['192.0.2.1'] }))).toEqual([
      'ischedule.peers: nobody listens for them, need http.service',
    ]);
  });

  test('of the name of another is refused', () => {
    const two = peers({ name: 'cal', networks: ['192.0.2.1'] }, { name: 'cal', networks: ['192.0.2.2'] });
    expect(said({ ...service(), ...two })).toEqual([
      'ischedule.peers[1].name: two peers are called cal, need a name of its own',
    ]);
  });

  test('with a password, token or certificate needs TLS', () => {
    const secrets = peers({ basic: [{ user: 'cal', password: 'geheim' }] }, { bearer: ['geheim'] });
    expect(said({ ...service(), ...secrets })).toEqual([
      'ischedule.peers[0].basic: would come in clear, need http.service.tls',
      'ischedule.peers[1].bearer: would come in clear, need http.service.tls',
    ]);
    const certificate = peers({ certificates: [FINGERPRINT] });
    expect([said({ ...service(), ...certificate }), said({ ...tls(), ...certificate })]).toEqual(
      Array(2).fill(['ischedule.peers[0].certificates: no client is asked for one, need http.service.tls.client-ca']),
    );
  });

  test('of draft00 that signs and has no other proof is refused', () => {
    expect(said({ ...service(), ...peers({ dialect: 'draft00', dkim: {} }) })).toEqual([
      'ischedule.peers[0].dialect: draft00 has no Originator that a signature could be for, need networks, certificates, basic or bearer',
    ]);
  });

  test('inside is no peer that proves itself by the key of a domain that is not ours', () => {
    const inside = (more: object) => said({ ...service(), ...peers({ origin: 'inside', ...more }) });
    expect(inside({ domains: ['*', 'example.com'], dkim: {} })).toEqual([
      'ischedule.peers[0].dkim: whoever has a domain of * would be one of inside by his own key, need signers',
    ]);
    expect(inside({ domains: ['*'], dkim: { signers: ['example.com'] } })).toEqual([]);
    expect(inside({ domains: ['example.com', '*.example.com'], dkim: {} })).toEqual([]);
  });

  test.each(['0.0.0.0/0', '::/0'])('that is everybody (%s) is refused', (network) => {
    expect(said({ ...service(), ...peers({ networks: [network] }) })).toEqual([
      `ischedule.peers[0].networks: ${network} is everybody, which proves nothing; name the peer’s addresses`,
    ]);
  });

  test('outside that may speak for everybody by its address alone is warned about', () => {
    expect(said({ ...service(), ...peers({ domains: ['*'], networks: ['192.0.2.1'] }) })).toEqual([
      '(ischedule.peers[0].domains: every user of these addresses may speak for everybody; name its domains, or prove it by dkim)',
    ]);
    expect(said({ ...service(), ...peers({ origin: 'inside', domains: ['*'], networks: ['192.0.2.1'] }) })).toEqual([]);
  });

  test.each([
    [
      { networks: ['192.0.2.300'] },
      'networks[0]: got "192.0.2.300", need an IP address or a network, such as 192.0.2.7 or 192.0.2.0/24',
    ],
    [
      { certificates: ['abcd'] },
      'certificates[0]: got "abcd", need a SHA-256 fingerprint (64 hexadecimal digits, colons between the pairs or not) or a DNS name',
    ],
    [{ basic: [{ user: 'a:b', password: 'x' }] }, 'basic[0].user: got "a:b", need a user name without colon'],
    [
      { dkim: { canonicalizations: [] } },
      'dkim.canonicalizations: got an empty list, need a list of at least one, each ischedule-relaxed or simple-http',
    ],
    [
      { domains: ['*example.org'], networks: ['192.0.2.1'] },
      'domains[0]: got "*example.org", need a mail domain, *. before one for its subdomains, or * for all',
    ],
    [
      { networks: ['192.0.2.1'], 'answer-wait': '1h' },
      'answer-wait: got "1h", need a time with a unit from 0s to 5m, such as 5s',
    ],
  ])('%j is refused', (more, text) => {
    expect(said({ ...service(), ...peers(more) })).toContain(`ischedule.peers[0].${text}`);
  });
});

describe('the service listener', () => {
  test('without peers is warned about', () => {
    expect(said(service())).toEqual(['(http.service: nobody may post to it; name who may in ischedule.peers)']);
  });

  test('on the address of another listener is refused', () => {
    expect(said({ ...service({ address: '0.0.0.0:10025' }), ...peers({ dkim: {} }) })).toEqual([
      'http.service.address: 0.0.0.0:10025 is taken by listener in (127.0.0.1:10025), need another address or port',
    ]);
  });

  test('has its name for itself', () => {
    expect(said({ ...service(), ...peers({ dkim: {} }), listeners: [{ name: 'service' }] })).toEqual([
      'listeners[0].name: service is what the listener of http.service is called, need another name',
    ]);
  });

  test('with the key of another certificate is refused', () => {
    expect(said({ ...service({ tls: { cert: 'a.pem', key: 'b.key' } }), ...peers({ dkim: {} }) })).toEqual([
      'http.service.tls.key: is not the key of the first certificate in tls.cert; that file begins with the server’s own certificate',
    ]);
  });
});

describe('what is accepted', () => {
  const accept = (more: object) => said({ ischedule: { accept: more } });

  test('begins before it ends', () => {
    expect(accept({ 'min-date': '2000-01-01', 'max-date': '2000-01-01' })).toEqual([]);
    expect(accept({ 'min-date': '2040-01-01', 'max-date': '2039-12-31' })).toEqual([
      'ischedule.accept.max-date: 2039-12-31 is before min-date (2040-01-01), need a later day',
    ]);
  });

  test.each(['2040', '2040-02-30', '2040-1-1', 'tomorrow'])('a date %s is refused', (given) => {
    expect(accept({ 'max-date': given })).toEqual([
      `ischedule.accept.max-date: got "${given}", need a date, such as 2040-12-31`,
    ]);
  });
});

describe('a signing key', () => {
  const keys = (...more: object[]) =>
    said({ ischedule: { keys: more.map((one) => ({ domain: 'example.com', selector: 's1', ...one })) } });

  test('of 2048 bits for one of our domains is taken', () => {
    expect(keys({ key: 'rsa2048.pem' })).toEqual([]);
  });

  test.each([
    ['rsa1024.pem', 'got an RSA key of 1024 bits, need at least 2048: make one with "imipd keys new"'],
    ['ed25519.pem', 'got a key of type ed25519, need an RSA key: make one with "imipd keys new"'],
    ['a.pem', 'got no private key, need one in PEM: "-----BEGIN PRIVATE KEY-----"'],
  ])('%s is refused, and the file named', (file, why) => {
    expect(keys({ key: file })).toEqual([`ischedule.keys[0].key: ${file}: ${why}`]);
  });

  test('for a domain that is not ours is warned about', () => {
    expect(keys({ key: 'rsa2048.pem', domain: 'example.org' })).toEqual([
      '(ischedule.keys[0].domain: is none of our domains (example.com), so it signs only what originators of example.org send through us; name it in sign-as of a server to sign for others)',
    ]);
  });

  test('whose selector stands there already is refused', () => {
    expect(keys({ key: 'rsa2048.pem' }, { key: 'rsa2048.pem' })).toEqual([
      'ischedule.keys[1].selector: s1 of example.com stands in keys[0] already, need a selector of its own',
    ]);
  });
});

test.each([
  [
    'v=DKIM1; p=',
    'got a record that takes its key back (p= is empty), need a key record, such as "v=DKIM1; k=rsa; p=MIIB…"',
  ],
  ['v=spf1 -all', 'got "v=spf1 -all", need a key record, such as "v=DKIM1; k=rsa; p=MIIB…"'],
  [
    'v=DKIM1; k=ed25519; p=AAAA',
    'the key record has k=ed25519, need rsa; need a key record, such as "v=DKIM1; k=rsa; p=MIIB…"',
  ],
])('an exchanged key %s is refused', (record, why) => {
  const ischedule = { 'exchanged-keys': [{ domain: 'example.org', selector: 's', record }] };
  expect(said({ ischedule })).toEqual([`ischedule.exchanged-keys[0].record: ${why}`]);
});

describe('a server that we post to', () => {
  const servers = (...more: object[]) =>
    said({ ischedule: { servers: more.map((one) => ({ url: 'https://cal.example.com/', ...one })) } });

  test('cannot get signatures without a key', () => {
    expect(servers({ sign: 'none' })).toEqual([]);
    expect(servers({ sign: 'simple-http' })).toEqual([
      '(ischedule.servers[0].sign: simple-http needs a key, and there is none; make one with imipd keys new and name it in ischedule.keys)',
    ]);
  });

  test('cannot get signatures of a domain that has no key', () => {
    expect(servers({ 'sign-as': 'example.com' })).toEqual([
      'ischedule.servers[0].sign-as: there is no key of example.com, need one in ischedule.keys',
    ]);
  });

  test('whose URL begins that of a back end is taken', () => {
    expect(servers({ 'client-cert': 'a.pem', 'client-key': 'a.key', token: 'geheim' })).toEqual([]);
    expect(servers({ url: 'https://cal.example.com/ischedule' })).toEqual([]);
  });

  test.each(['https://other.example.com/', 'https://cal.example.com/ische', 'http://cal.example.com/'])(
    'whose URL %s begins none is warned about',
    (url) => {
      expect(servers({ url })).toEqual([
        `(ischedule.servers[0].url: ${url} is the beginning of no URL of a back end or of the domain map, so the entry is never used)`,
      ]);
    },
  );

  test('that stands there twice is refused', () => {
    expect(servers({}, {})).toContain(
      'ischedule.servers[1].url: https://cal.example.com/ stands in servers[0] already, need one entry for it',
    );
  });

  test('gets no password in clear', () => {
    const calendar = { default: { url: 'http://cal.example.com/' } };
    const one = (more: object) =>
      said({ calendar, ischedule: { servers: [{ url: 'http://cal.example.com/', ...more }] } });
    expect(one({ user: 'gw', password: 'geheim' })).toEqual([
      'ischedule.servers[0].password: would go to http://cal.example.com/ in clear, need https://',
    ]);
    expect(one({ token: 'geheim' })).toEqual([
      'ischedule.servers[0].token: would go to http://cal.example.com/ in clear, need https://',
    ]);
    expect(servers({ token: 'geheim', fallbacks: ['http://cal2.example.com/'] })).toEqual([
      'ischedule.servers[0].token: would go to http://cal2.example.com/ in clear, need https://',
    ]);
  });

  test('has one whole way to log in', () => {
    expect(servers({ user: 'gw' })).toEqual(['ischedule.servers[0].user: has no password, need password beside it']);
    expect(servers({ password: 'geheim' })).toEqual([
      'ischedule.servers[0].password: there is nobody to log in as, need user beside it',
    ]);
    expect(servers({ user: 'gw', password: 'geheim', token: 'geheim' })).toEqual([
      'ischedule.servers[0].token: stands beside user and password, need one way to log in',
    ]);
    expect(servers({ 'client-cert': 'a.pem' })).toEqual([
      'ischedule.servers[0].client-cert: has no key, need client-key beside it',
    ]);
    expect(servers({ 'client-key': 'a.key' })).toEqual([
      'ischedule.servers[0].client-key: has no certificate, need client-cert beside it',
    ]);
    expect(servers({ 'client-cert': 'a.pem', 'client-key': 'b.key' })).toEqual([
      'ischedule.servers[0].client-key: is not the key of the first certificate in client-cert; that file begins with the client’s own certificate',
    ]);
  });

  test('that speaks old TLS only is warned about', () => {
    expect(servers({ 'min-tls': 'TLSv1', 'security-level': 0 })).toEqual([
      '(ischedule.servers[0].min-tls: TLSv1 protects little (RFC 8996); only for a server that speaks nothing newer)',
    ]);
    expect(servers({ 'min-tls': 'TLSv1.1' })).toEqual([
      '(ischedule.servers[0].min-tls: OpenSSL refuses TLSv1.1 at its usual security level; set security-level: 0)',
    ]);
    expect(servers({ 'security-level': 0 })).toEqual([
      '(ischedule.servers[0].security-level: takes short keys and broken hashes; only for a server that has no others)',
    ]);
    expect(servers({ 'min-tls': 'TLSv1.3', 'security-level': 2 })).toEqual([]);
  });
});

describe('discovery', () => {
  const discovery = (more: object) => said({ ischedule: { discovery: more } });

  test('of everybody is taken', () => {
    expect(discovery({ domains: ['*'] })).toEqual([]);
  });

  test('of our own domains is warned about', () => {
    expect(discovery({ domains: ['example.org', '*.example.com'] })).toEqual([
      '(ischedule.discovery.domains: *.example.com is ours, and our own users are found in the directory; name domains of others)',
    ]);
  });

  test('that may lead into our own network is warned about', () => {
    expect(discovery({ domains: ['*'], 'allow-networks': ['10.0.0.0/8'] })).toEqual([
      '(ischedule.discovery.allow-networks: a stranger’s DNS may lead us to 10.0.0.0/8; only for a laboratory)',
    ]);
  });
});

test('DNS answers are kept for a time that there is', () => {
  expect(said({ dns: { 'min-ttl': '1h', 'max-ttl': '1m' } })).toEqual(['dns.max-ttl: is less than min-ttl, need more']);
});

test.each(['ns.example.com', '127.0.0.1:0', '[::1', '127.0.0.1:70000'])('a DNS server %s is refused', (server) => {
  expect(said({ dns: { servers: ['127.0.0.1', '127.0.0.1:5353', '::1', '[::1]:5353', server] } })).toEqual([
    `dns.servers[4]: got "${server}", need an IP address, or address:port, such as 127.0.0.1:5353`,
  ]);
});
