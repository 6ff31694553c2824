import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  dialectOf,
  judgePeer,
  matchesDomain,
  type Peer,
  type PeerFacts,
  type PeerVerdict,
  type SignatureVerdict,
} from '../../../rules/peer.ts';
import { parseNetworks } from '../../../src/mail/network.ts';

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
const FINGERPRINT = Array.from({ length: 32 }, (_, at) => at.toString(16).padStart(2, '0').toUpperCase()).join(':');

function peer(change: Partial<Peer>): Peer {
  return {
    name: 'north',
    origin: 'outside',
    domains: ['example.org'],
    dialect: 'draft05',
    answerWaitMs: 5000,
    ...change,
  };
}

const NETWORK = peer({ name: 'by-network', networks: parseNetworks(['192.0.2.0/24']) });
const CERTIFICATE = peer({
  name: 'by-certificate',
  certificates: [FINGERPRINT, 'gw.example.org', '*.cal.example.org'],
});
const BASIC = peer({ name: 'by-basic', basic: [sha256('other:x'), sha256('olga:öffne')] });
const BEARER = peer({ name: 'by-bearer', bearer: [sha256('t0ken')] });
const SIGNED = peer({ name: 'by-signature', dkim: { canonicalizations: ['ischedule-relaxed'], signers: [] } });

/** A stranger who shows nothing. */
const NOBODY: PeerFacts = { client: { address: '203.0.113.9' }, authorizations: [], signatures: 0 };
const FROM_NETWORK: PeerFacts = { ...NOBODY, client: { address: '192.0.2.7' } };
const WITH_SIGNATURE: PeerFacts = { ...NOBODY, signatures: 1 };
const inTls = (change: Partial<PeerFacts> = {}): PeerFacts => ({
  ...NOBODY,
  client: { address: '203.0.113.9', tls: {} },
  ...change,
});
const certified = (fingerprint256: string, ...names: readonly string[]): PeerFacts => ({
  ...NOBODY,
  client: { address: '203.0.113.9', tls: { certificate: { fingerprint256, names } } },
});
const basic = (credentials: string): string => `Basic ${Buffer.from(credentials).toString('base64')}`;

const verified = (domain: string, testing = false): SignatureVerdict => ({ kind: 'verified', domain, testing });
const BROKEN: SignatureVerdict = { kind: 'refused', reason: 'the body was changed' };
const SILENT: SignatureVerdict = { kind: 'no-answer', reason: 'no name server answers' };

/** The verdict in few words: who by what, or what is refused. */
function said(verdict: PeerVerdict): string {
  switch (verdict.kind) {
    case 'accepted':
      return `${verdict.peer.name}, ${verdict.proof}`;
    case 'verify-signature':
      return `verify ${verdict.canonicalizations.join(' ')}`;
    case 'no-answer':
      return `no answer: ${verdict.reason}`;
    case 'refused':
      return `${verdict.precondition}${verdict.challenge === true ? ', challenge' : ''}`;
  }
}

type Row = readonly [
  title: string,
  peers: readonly Peer[],
  facts: PeerFacts,
  expected: string,
  more?: { readonly domain?: string; readonly verification?: SignatureVerdict; readonly isDraft00?: boolean },
];

function check(rows: readonly Row[]): void {
  for (const [title, peers, facts, expected, { domain = 'example.org', verification, isDraft00 = false } = {}] of rows)
    test(title, () => {
      const verdict = judgePeer(peers, facts, { originatorDomain: domain, isDraft00 }, verification);
      expect(said(verdict)).toBe(expected);
    });
}

describe('a peer is proved', () => {
  check([
    ['by its network', [NETWORK], FROM_NETWORK, 'by-network, network'],
    ['by its network in IPv6-mapped form', [NETWORK], at('::ffff:192.0.2.7'), 'by-network, network'],
    ['by the fingerprint of its certificate', [CERTIFICATE], certified(FINGERPRINT), 'by-certificate, certificate'],
    [
      'by the fingerprint in another spelling',
      [peer({ certificates: [FINGERPRINT.replaceAll(':', '').toLowerCase()] })],
      certified(FINGERPRINT),
      'north, certificate',
    ],
    [
      'by a name in its certificate, in any case',
      [CERTIFICATE],
      certified('AA', 'x.example.net', 'GW.example.org'),
      'by-certificate, certificate',
    ],
    [
      'by a name below a domain of its certificates',
      [CERTIFICATE],
      certified('AA', 'a.b.cal.example.org'),
      'by-certificate, certificate',
    ],
    ['by Basic over TLS', [BASIC], inTls({ authorizations: [basic('olga:öffne')] }), 'by-basic, basic'],
    [
      'by Basic in lower case',
      [BASIC],
      inTls({ authorizations: [basic('olga:öffne').replace('Basic', 'basic')] }),
      'by-basic, basic',
    ],
    ['by Bearer over TLS', [BEARER], inTls({ authorizations: ['Bearer t0ken'] }), 'by-bearer, bearer'],
    ['by its signature', [SIGNED], WITH_SIGNATURE, 'by-signature, dkim', { verification: verified('example.org') }],
    [
      'by any one of its proofs',
      [peer({ ...CERTIFICATE, name: 'north', bearer: [sha256('t0ken')], networks: parseNetworks(['192.0.2.0/24']) })],
      FROM_NETWORK,
      'north, network',
    ],
  ]);
});

function at(address: string): PeerFacts {
  return { ...NOBODY, client: { address } };
}

describe('a peer is not proved', () => {
  check([
    ['by another network', [NETWORK], at('198.51.100.1'), 'verification-failed'],
    ['by another fingerprint', [CERTIFICATE], certified('AA'), 'verification-failed'],
    ['by another name', [CERTIFICATE], certified('AA', 'gw.example.net', 'cal.example.org'), 'verification-failed'],
    [
      'by any certificate, where `*` is written',
      [peer({ certificates: ['*'] })],
      certified('AA', 'x'),
      'verification-failed',
    ],
    [
      'by Basic in clear, which is not asked for either',
      [BASIC],
      { ...NOBODY, authorizations: [basic('olga:öffne')] },
      'verification-failed',
    ],
    ['by Bearer in clear', [BEARER], { ...NOBODY, authorizations: ['Bearer t0ken'] }, 'verification-failed'],
    ['by another password', [BASIC], inTls({ authorizations: [basic('olga:x')] }), 'verification-failed, challenge'],
    [
      'by the digest of its password',
      [BASIC],
      inTls({ authorizations: [`Basic ${sha256('olga:öffne').toString('base64')}`] }),
      'verification-failed, challenge',
    ],
    [
      'by two Authorization headers, one of them right',
      [BASIC],
      inTls({ authorizations: [basic('olga:x'), basic('olga:öffne')] }),
      'verification-failed, challenge',
    ],
    [
      'by a password as a token',
      [BASIC],
      inTls({ authorizations: ['Bearer olga:öffne'] }),
      'verification-failed, challenge',
    ],
    ['by another scheme', [BASIC], inTls({ authorizations: ['Digest x'] }), 'verification-failed, challenge'],
    ['by nothing, over TLS', [BASIC], inTls(), 'verification-failed, challenge'],
    ['by nothing, over TLS, where no credentials would do', [NETWORK], inTls(), 'verification-failed'],
    ['by nothing at all', [SIGNED], NOBODY, 'verification-failed'],
    ['where there are no peers', [], NOBODY, 'verification-failed'],
  ]);

  test('and is told what was found and what would do', () => {
    const verdict = judgePeer([NETWORK, BASIC, SIGNED, CERTIFICATE], inTls({ authorizations: ['Bearer x'] }), {
      originatorDomain: 'example.org',
      isDraft00: false,
    });
    expect(verdict).toEqual({
      kind: 'refused',
      precondition: 'verification-failed',
      reason:
        'found credentials that are not known here, wanted a DKIM signature or HTTP credentials over TLS or a client certificate or a known address for Originators of example.org',
      challenge: true,
    });
  });
});

describe('a refusal says what it was that proved nothing', () => {
  const at = { originatorDomain: 'example.org', isDraft00: false };
  const reasonOf = (peers: readonly Peer[], facts: PeerFacts, request = at): string => {
    const verdict = judgePeer(peers, facts, request);
    return verdict.kind === 'refused' ? verdict.reason : verdict.kind;
  };
  const fingerprint256 = 'AA:BB';

  test('the certificate of another client of the authority', () => {
    const certificate = { fingerprint256, names: ['other.example.net'] };
    const facts = { ...NOBODY, client: { address: '203.0.113.9', tls: { certificate } } };
    expect(reasonOf([CERTIFICATE], facts)).toBe(
      'found a client certificate for other.example.net (SHA-256 AA:BB) that is not known here, wanted a client certificate for Originators of example.org',
    );
  });

  test('a certificate that no authority vouches for', () => {
    const unvouched = { fingerprint256, code: 'DEPTH_ZERO_SELF_SIGNED_CERT' };
    const facts = { ...NOBODY, client: { address: '203.0.113.9', tls: { unvouched } } };
    expect(reasonOf([CERTIFICATE], facts)).toBe(
      'found a client certificate (SHA-256 AA:BB) of an authority that is not known here (DEPTH_ZERO_SELF_SIGNED_CERT), wanted a client certificate for Originators of example.org',
    );
  });

  test('a peer that may speak for other domains, where nobody may speak for this one', () => {
    expect(reasonOf([NETWORK], FROM_NETWORK, { ...at, originatorDomain: 'example.net' })).toBe(
      'found an Originator of example.net from peer by-network, wanted one of example.org',
    );
  });

  test('a peer that may speak for other domains, where somebody else may speak for this one', () => {
    const other = peer({ ...SIGNED, domains: ['*'] });
    expect(reasonOf([NETWORK, other], FROM_NETWORK, { ...at, originatorDomain: 'example.net' })).toBe(
      'found peer by-network, who may not speak for them, wanted a DKIM signature for Originators of example.net',
    );
  });

  test('an outside peer with a domain of ours', () => {
    const outside = peer({ ...NETWORK, notFor: new Set(['example.org']) });
    expect(reasonOf([outside], FROM_NETWORK)).toBe(
      'found an Originator of example.org from peer by-network, wanted one of another domain than ours, for the peer is an outside one',
    );
  });
});

describe('whom a peer may speak for', () => {
  const wide = peer({ ...NETWORK, name: 'wide', domains: ['*'] });
  const below = peer({ ...NETWORK, name: 'below', domains: ['example.net', '*.example.org'] });
  const exact = peer({ ...NETWORK, name: 'exact', domains: ['a.example.org'] });
  check([
    ['is said by its domains', [NETWORK], FROM_NETWORK, 'originator-denied', { domain: 'example.net' }],
    ['is not said by a domain above it', [NETWORK], FROM_NETWORK, 'originator-denied', { domain: 'a.example.org' }],
    ['is said by *.domain for what is below', [below], FROM_NETWORK, 'below, network', { domain: 'a.example.org' }],
    ['and not for the domain itself', [below], FROM_NETWORK, 'originator-denied'],
    ['is said in any case', [NETWORK], FROM_NETWORK, 'by-network, network', { domain: 'Example.ORG' }],
    ['is everybody by *', [wide], FROM_NETWORK, 'wide, network', { domain: 'example.net' }],
    ['is nobody where there is no domain', [wide], FROM_NETWORK, 'originator-denied', { domain: '' }],
    [
      'is for the peer that names it itself',
      [wide, below, exact],
      FROM_NETWORK,
      'exact, network',
      { domain: 'a.example.org' },
    ],
    [
      'then for the one that names it by *.',
      [wide, exact, below],
      FROM_NETWORK,
      'below, network',
      { domain: 'b.example.org' },
    ],
    [
      'then for the one that names everybody',
      [wide, exact, below],
      FROM_NETWORK,
      'wide, network',
      { domain: 'example.com' },
    ],
    [
      'is not for a peer that is not proved, however closely it names it',
      [peer({ ...BEARER, domains: ['example.org'] }), wide],
      FROM_NETWORK,
      'wide, network',
    ],
    ['of two alike, the first', [{ ...wide, name: 'first' }, wide], FROM_NETWORK, 'first, network'],
    [
      'is nothing that a signature is looked up for, where no peer has the domain',
      [SIGNED],
      WITH_SIGNATURE,
      'originator-denied',
      { domain: 'example.net' },
    ],
  ]);
});

describe('a signature', () => {
  const signers = (...list: readonly string[]): Peer =>
    peer({ dkim: { canonicalizations: ['ischedule-relaxed', 'simple-http'], signers: list }, domains: ['*'] });
  const both = peer({ ...NETWORK, ...SIGNED, name: 'both' });
  const signedFromNetwork: PeerFacts = { ...FROM_NETWORK, signatures: 1 };
  check([
    ['is verified before anything is accepted', [SIGNED], WITH_SIGNATURE, 'verify ischedule-relaxed'],
    [
      'is verified by whatever any of those in question takes',
      [SIGNED, signers()],
      WITH_SIGNATURE,
      'verify ischedule-relaxed simple-http',
    ],
    ['is verified although another proof holds', [both], signedFromNetwork, 'verify ischedule-relaxed'],
    ['is not looked at for a peer without dkim', [NETWORK], signedFromNetwork, 'by-network, network'],
    ['that is missing leaves the other proof', [both], FROM_NETWORK, 'both, network'],
    [
      'that is broken is refused although another proof holds',
      [both],
      signedFromNetwork,
      'verification-failed',
      { verification: BROKEN },
    ],
    [
      'that is broken is refused although another peer would be proved',
      [both, peer({ ...NETWORK, name: 'wide', domains: ['*'] })],
      signedFromNetwork,
      'verification-failed',
      { verification: BROKEN },
    ],
    [
      'that is broken is nothing to a peer that it was not looked at for',
      [SIGNED, peer({ ...NETWORK, name: 'wide', domains: ['*'] })],
      signedFromNetwork,
      'wide, network',
      { verification: BROKEN },
    ],
    ['that is broken is refused', [SIGNED], WITH_SIGNATURE, 'verification-failed', { verification: BROKEN }],
    [
      'that cannot be read is refused',
      [SIGNED],
      WITH_SIGNATURE,
      'verification-failed',
      { verification: { kind: 'missing' } },
    ],
    [
      'whose key nobody answers for is for later',
      [SIGNED],
      WITH_SIGNATURE,
      'no answer: no name server answers',
      { verification: SILENT },
    ],
    [
      'whose key nobody answers for is for later although another proof holds',
      [both],
      signedFromNetwork,
      'no answer: no name server answers',
      { verification: SILENT },
    ],
    [
      'by a key under test proves nothing',
      [SIGNED],
      WITH_SIGNATURE,
      'verification-failed',
      { verification: verified('example.org', true) },
    ],
    [
      'by a key under test breaks nothing',
      [both],
      signedFromNetwork,
      'both, network',
      { verification: verified('example.org', true) },
    ],
    [
      'of a domain above the Originator is believed',
      [peer({ ...SIGNED, domains: ['a.example.org'] })],
      WITH_SIGNATURE,
      'by-signature, dkim',
      { domain: 'a.example.org', verification: verified('Example.org') },
    ],
    [
      'of a domain below the Originator is not',
      [SIGNED],
      WITH_SIGNATURE,
      'originator-denied',
      { verification: verified('a.example.org') },
    ],
    [
      'of a domain that only ends alike is not',
      [peer({ ...SIGNED, domains: ['badexample.org'] })],
      WITH_SIGNATURE,
      'originator-denied',
      { domain: 'badexample.org', verification: verified('example.org') },
    ],
    ['of a top-level domain is not', [SIGNED], WITH_SIGNATURE, 'originator-denied', { verification: verified('org') }],
    [
      'of a stranger is not',
      [signers()],
      WITH_SIGNATURE,
      'originator-denied',
      { verification: verified('example.net') },
    ],
    [
      'of a stranger leaves the other proof: it is not broken',
      [both],
      signedFromNetwork,
      'both, network',
      { verification: verified('example.net') },
    ],
    [
      'of a signer who is believed is',
      [signers('Hosting.example.net')],
      WITH_SIGNATURE,
      'north, dkim',
      { verification: verified('hosting.example.net') },
    ],
    [
      'of a signer who is believed is good for the domains of that peer only',
      [peer({ ...signers('hosting.example.net'), domains: ['example.com'] })],
      WITH_SIGNATURE,
      'originator-denied',
      { verification: verified('hosting.example.net') },
    ],
  ]);
});

describe('draft -00', () => {
  const old = peer({ ...NETWORK, name: 'old', dialect: 'draft00' });
  const oldByKey = peer({ ...SIGNED, name: 'old-by-key', dialect: 'draft00' });

  const dialects: readonly (readonly [title: string, peers: readonly Peer[], facts: PeerFacts, dialect: string])[] = [
    ['is spoken by a peer of that dialect that its address proves', [NETWORK, old], FROM_NETWORK, 'draft00'],
    [
      'and by one that its token proves',
      [peer({ ...BEARER, dialect: 'draft00' })],
      inTls({ authorizations: ['Bearer t0ken'] }),
      'draft00',
    ],
    ['not by a stranger', [old], NOBODY, 'draft05'],
    ['not by a peer of another dialect', [NETWORK], FROM_NETWORK, 'draft05'],
    ['not by one that only a signature proves', [oldByKey], WITH_SIGNATURE, 'draft05'],
  ];
  for (const [title, peers, facts, dialect] of dialects)
    test(title, () => expect(dialectOf(peers, facts)).toBe(dialect));

  const isDraft00 = true;
  check([
    ['is taken from such a peer', [old], FROM_NETWORK, 'old, network', { isDraft00 }],
    ['is taken for its domains only', [old], FROM_NETWORK, 'originator-denied', { isDraft00, domain: 'example.net' }],
    [
      'is not taken from another peer of the same network',
      [NETWORK],
      FROM_NETWORK,
      'verification-failed',
      { isDraft00 },
    ],
    [
      'is taken from no peer that only a signature proves',
      [oldByKey],
      WITH_SIGNATURE,
      'verification-failed',
      { isDraft00, verification: verified('example.org') },
    ],
    ['leaves such a peer free to write everything', [old], FROM_NETWORK, 'old, network'],
  ]);
});

describe('a domain is covered', () => {
  const table: readonly (readonly [patterns: readonly string[], domain: string, covered: boolean])[] = [
    [['example.com'], 'example.com', true],
    [['example.com'], 'EXAMPLE.com.', true],
    [['example.com'], 'a.example.com', false],
    [['*.example.com'], 'a.example.com', true],
    [['*.example.com'], 'a.b.example.com', true],
    [['*.example.com'], 'example.com', false],
    [['*.example.com'], 'badexample.com', false],
    [['*'], 'example.com', true],
    [['*'], '', false],
    [[], 'example.com', false],
  ];
  for (const [patterns, domain, covered] of table)
    test(`by [${patterns}]: ${domain || 'none'} is ${covered ? '' : 'not '}`, () =>
      expect(matchesDomain(patterns, domain)).toBe(covered));
});
