import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { judgePeer } from '../../../rules/peer.ts';
import type { Config } from '../../../src/config/options.ts';
import {
  acceptLimits,
  discoveredSettings,
  peersOf,
  settingsFor,
  signerOf,
  signingKeysOf,
} from '../../../src/config/peers.ts';
import { ConfigFolder, withMinimum } from './folder.ts';

function load(folder: ConfigFolder, more: string): Config {
  const loaded = folder.load(withMinimum(more), { TOKEN: 'wort' });
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}

const DAY_MS = 86_400_000;
const USUAL = { notAbout: [], pastMs: 62 * DAY_MS, aheadMs: 366 * DAY_MS, longestMs: 430 * DAY_MS };

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

test('a peer is what is configured, passwords and tokens as digests', () => {
  using folder = new ConfigFolder();
  const [peer] = peersOf(
    load(
      folder,
      `http: {service: {address: "127.0.0.1:8008"}}
ischedule:
  peers:
    - name: cal6
      origin: inside
      domains: [Example.COM, "*.example.com"]
      dialect: draft00
      answer-wait: 2s
      networks: [192.0.2.0/24, "2001:db8::1"]
`,
    ),
  );
  expect(peer).toEqual({
    name: 'cal6',
    origin: 'inside',
    domains: ['example.com', '*.example.com'],
    dialect: 'draft00',
    answerWaitMs: 2000,
    sentStatus: '1.1',
    busy: { ...USUAL, about: ['*'], unknown: 'told' },
    networks: { contains: expect.any(Function) },
  });
  expect(['192.0.2.9', '2001:db8::1', '192.0.3.1'].map((address) => peer?.networks?.contains(address))).toEqual([
    true,
    true,
    false,
  ]);
});

test('an outside peer that may speak for everybody may not for our own domains, whatever it proves', () => {
  using folder = new ConfigFolder();
  const config = load(
    folder,
    'http: {service: {}}\nischedule: {peers: [{name: p, domains: ["*"], networks: [192.0.2.1, 192.0.2.2]}]}',
  );
  const facts = { client: { address: '192.0.2.1' }, authorizations: [], signatures: 0 };
  const verdict = (originatorDomain: string) =>
    judgePeer(peersOf(config), facts, { originatorDomain, isDraft00: false }).kind;
  expect(['example.org', 'Example.COM', 'sub.example.com'].map(verdict)).toEqual(['accepted', 'refused', 'accepted']);
});

test('fingerprints are written as openssl prints them, names in lower case, secrets as digests', () => {
  using folder = new ConfigFolder();
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  const files = ['-keyout', `${folder.path}/a.key`, '-out', `${folder.path}/a.pem`];
  execFileSync('openssl', ['req', '-x509', ...kind, ...files, '-subj', '/CN=a.test'], { stdio: 'ignore' });
  const config = load(
    folder,
    `http: {service: {tls: {cert: a.pem, key: a.key, client-ca: a.pem}}}
ischedule:
  peers:
    - name: cal
      domains: ["*"]
      certificates: ["${'ab'.repeat(32)}", "${Array(32).fill('CD').join(':')}", Cal.Example.ORG]
      basic: [{user: cal, password: geheim}]
      bearer: ["env:TOKEN"]
      dkim: {signers: [example.org]}
`,
  );
  expect(peersOf(config)).toEqual([
    {
      name: 'cal',
      origin: 'outside',
      domains: ['*'],
      notFor: new Set(['example.com']),
      dialect: 'draft05',
      answerWaitMs: 5000,
      sentStatus: '1.1',
      busy: { ...USUAL, about: ['example.com'], unknown: 'hidden' },
      certificates: [Array(32).fill('AB').join(':'), Array(32).fill('CD').join(':'), 'cal.example.org'],
      basic: [sha256('cal:geheim')],
      bearer: [sha256('wort')],
      dkim: { canonicalizations: ['ischedule-relaxed'], signers: ['example.org'] },
    },
  ]);
  expect(JSON.stringify(config)).not.toMatch(/geheim|wort/);
});

test('the settings of a server are those of its entry over those of all', () => {
  using folder = new ConfigFolder();
  const { ischedule } = load(
    folder,
    `ischedule:
  timeout: 20s
  servers:
    - {url: "https://cal.example.com/", sign: none, timeout: 5s}
    - {url: "https://cal.example.com/v7/", capabilities: action, token: "env:TOKEN"}
    - {url: "https://basic.example.com", user: gw, password: "pass:wort", fallbacks: ["https://b.example.com/"]}
`,
  );
  const usual = { timeoutMs: 20_000, connectTimeoutMs: 5000, headersTimeoutMs: 30_000, bodyTimeoutMs: 15_000 };
  expect(settingsFor('https://cal.example.com/ischedule', ischedule)).toEqual({
    ...usual,
    timeoutMs: 5000,
    fallbacks: [],
    sign: 'none',
  });
  const v7 = { ...usual, fallbacks: [], capabilities: 'action', authorization: 'Bearer wort' };
  expect(settingsFor('https://cal.example.com/v7/ischedule', ischedule)).toEqual(v7);
  expect(settingsFor('https://cal.example.com/v7', ischedule)).toEqual(v7);
  expect(settingsFor('https://basic.example.com/x', ischedule)).toEqual({
    ...usual,
    fallbacks: ['https://b.example.com/'],
    authorization: `Basic ${Buffer.from('gw:pass:wort').toString('base64')}`,
  });
  expect(settingsFor('https://cal.example.com:8443/v7/', ischedule)).toEqual({ ...usual, fallbacks: [] });
});

test('a server that a stranger named gets none of our credentials and authorities, whatever its URL', () => {
  using folder = new ConfigFolder();
  const { ischedule } = load(
    folder,
    'ischedule: {servers: [{url: "https://cal.example.org/", token: "env:TOKEN", min-tls: TLSv1.3}]}',
  );
  expect(discoveredSettings(ischedule)).toEqual({
    timeoutMs: 30_000,
    connectTimeoutMs: 5000,
    headersTimeoutMs: 30_000,
    bodyTimeoutMs: 15_000,
    fallbacks: [],
  });
});

test('what is accepted has its days whole', () => {
  using folder = new ConfigFolder();
  const { ischedule } = load(
    folder,
    'ischedule: {accept: {max-content-length: 2MB, max-recipients: 7, min-date: 2000-01-01, max-date: 2040-12-31, max-instances: 500, attachments: [], administrator: "mailto:a@example.com"}}',
  );
  expect(acceptLimits(ischedule)).toEqual({
    maxContentLength: 2_000_000,
    maxRecipients: 7,
    minDateMs: Date.UTC(2000, 0, 1),
    maxDateMs: Date.UTC(2040, 11, 31, 23, 59, 59),
    maxInstances: 500,
    attachments: [],
  });
});

test('a post is signed with the key of its domain, else of the nearest one above', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = (domain: string, selector: string) => ({ domain, selector, key: privateKey });
  const signer = signerOf([key('example.com', 'a'), key('eu.example.com', 'b'), key('example.com', 'new')]);
  const found = ['example.com', 'x.example.com', 'x.eu.example.com', 'notexample.com', 'com', 'example.org', ''].map(
    (domain) => signer.keyFor(domain)?.selector,
  );
  expect(found).toEqual(['a', 'a', 'b', undefined, undefined, undefined, undefined]);
});

test('receivers are told to look for a key in the DNS, at a listener with TLS as well, or where the key says', () => {
  using folder = new ConfigFolder();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  folder.write('s1.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const { ischedule } = load(
    folder,
    `ischedule:
  keys:
    - {domain: example.com, selector: s1, key: s1.pem}
    - {domain: example.org, selector: s1, key: s1.pem, lookup: [private-exchange, dns/txt]}
`,
  );
  const keys = signingKeysOf(ischedule);
  expect(signerOf(keys).methods).toEqual(['dns/txt']);
  expect(signerOf(keys, {}).methods).toEqual(['dns/txt']);
  expect(signerOf(keys, { tls: {} }).methods).toEqual(['dns/txt', 'http/well-known']);
  expect(keys.map(({ methods }) => methods)).toEqual([undefined, ['private-exchange', 'dns/txt']]);
});

test('a key of ours can sign', () => {
  using folder = new ConfigFolder();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  folder.write('s1.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const config = load(folder, 'ischedule: {keys: [{domain: example.com, selector: s1, key: s1.pem}]}');
  const [key] = signingKeysOf(config.ischedule);
  expect(key?.key.equals(privateKey)).toBe(true);
  expect([key?.domain, key?.selector]).toEqual(['example.com', 's1']);
  expect(JSON.stringify(config)).not.toContain('PRIVATE KEY');
});
