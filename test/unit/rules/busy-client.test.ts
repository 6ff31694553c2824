import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { BusyAccess } from '../../../rules/busy-access.ts';
import { type BusyClient, type BusyClientProtocol, findBusyClient } from '../../../rules/busy-client.ts';
import { parseNetworks } from '../../../src/mail/network.ts';

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
const FINGERPRINT = Array.from({ length: 32 }, (_, at) => at.toString(16).padStart(2, '0').toUpperCase()).join(':');
const ACCESS: BusyAccess = { about: ['*'], notAbout: [], pastMs: 1, aheadMs: 1, longestMs: 1, unknown: 'told' };

function client(name: string, change: Partial<BusyClient>): BusyClient {
  return { name, access: ACCESS, protocols: ['wcap'], wcap: 'relay', ...change };
}

const NETWORK = client('cs6', { networks: parseNetworks(['192.0.2.0/24', '2001:db8::/32']) });
const CERTIFICATE = client('portal', { certificates: [FINGERPRINT, '*.cal.example.org'] });
const BASIC = client('desk', { basic: [sha256('other:x'), sha256('olga:öffne')] });
const BEARER = client('script', { protocols: ['url'], bearer: [sha256('t0ken')] });
const ALL = [NETWORK, CERTIFICATE, BASIC, BEARER];

type Facts = Parameters<typeof findBusyClient>[2];
const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`;
const clear = (address: string, ...authorizations: string[]): Facts => ({ client: { address }, authorizations });
const tls = (...authorizations: string[]): Facts => ({ client: { address: '203.0.113.9', tls: {} }, authorizations });
const certified = (fingerprint256: string, ...names: string[]): Facts => ({
  client: { address: '203.0.113.9', tls: { certificate: { fingerprint256, names } } },
  authorizations: [],
});

describe('a client is known', () => {
  test.for<[string, BusyClientProtocol, Facts, string]>([
    ['by its address', 'wcap', clear('192.0.2.6'), 'cs6'],
    ['by its IPv6 address', 'wcap', clear('2001:db8::6'), 'cs6'],
    ['by its IPv4 address in IPv6', 'wcap', clear('::ffff:192.0.2.6'), 'cs6'],
    ['by its certificate', 'wcap', certified(FINGERPRINT), 'portal'],
    ['by a name in its certificate', 'wcap', certified('00', 'a.cal.example.org'), 'portal'],
    ['by user name and password', 'wcap', tls(basic('olga:öffne')), 'desk'],
    ['by its token', 'url', tls('Bearer t0ken'), 'script'],
  ])('%s', ([, protocol, facts, name]) => {
    expect(findBusyClient(ALL, protocol, facts)).toMatchObject({ kind: 'client', client: { name } });
  });

  test('as the first that is proved, in the order of the configuration', () => {
    const facts = { client: { address: '192.0.2.6', tls: {} }, authorizations: [basic('olga:öffne')] };
    expect(findBusyClient([BASIC, NETWORK], 'wcap', facts)).toMatchObject({ client: { name: 'desk' } });
    expect(findBusyClient([NETWORK, BASIC], 'wcap', facts)).toMatchObject({ client: { name: 'cs6' } });
  });
});

describe('a stranger', () => {
  const stranger = (protocol: BusyClientProtocol, facts: Facts, clients: readonly BusyClient[] = ALL) => {
    const verdict = findBusyClient(clients, protocol, facts);
    return verdict.kind === 'stranger' ? verdict : verdict.client.name;
  };

  test('in clear is asked for no credentials, and none are taken', () => {
    for (const facts of [clear('203.0.113.9'), clear('203.0.113.9', basic('olga:öffne'))])
      expect(stranger('wcap', facts)).toMatchObject({ challenges: [] });
    expect(stranger('wcap', clear('203.0.113.9', basic('olga:öffne')))).toMatchObject({
      reason:
        'found credentials on a connection in clear, wanted HTTP credentials over TLS or a client certificate or a known address for questions by wcap',
    });
  });

  test('over TLS is asked for the credentials that a client of the protocol has', () => {
    expect(stranger('wcap', tls())).toMatchObject({ challenges: ['Basic realm="free/busy", charset="UTF-8"'] });
    expect(stranger('url', tls())).toMatchObject({ challenges: ['Bearer realm="free/busy"'] });
    expect(stranger('wcap', tls(), [NETWORK])).toMatchObject({ challenges: [] });
    expect(stranger('wcap', tls(), [])).toEqual({
      kind: 'stranger',
      challenges: [],
      reason: 'found nothing that proves who sends this, wanted a client that is known here for questions by wcap',
    });
  });

  test.for([
    ['a wrong password', 'wcap', tls(basic('olga:other')), /^found credentials that are not known here/],
    ['credentials twice', 'wcap', tls(basic('olga:öffne'), basic('olga:öffne')), /^found credentials/],
    [
      'a token where a password is wanted',
      'wcap',
      tls('Bearer t0ken'),
      /^found client script, whose protocols are url,/,
    ],
    ['another certificate', 'wcap', certified('00', 'a.example.org'), /^found a client certificate for a.example.org/],
    ['a network of another protocol', 'url', clear('192.0.2.6'), /^found client cs6, whose protocols are wcap, wanted/],
    ['no address', 'wcap', clear(''), /^found nothing that proves/],
  ] as const)('is who shows %s', ([, protocol, facts, reason]) => {
    expect(stranger(protocol, facts)).toMatchObject({ kind: 'stranger', reason: expect.stringMatching(reason) });
  });

  test('is told no secret back', () => {
    const said = JSON.stringify(stranger('wcap', tls(basic('olga:geheim'))));
    expect(said).not.toMatch(/geheim|olga|b2xnYT/);
  });
});
