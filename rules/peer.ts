import { hash, timingSafeEqual } from 'node:crypto';
import { normalizeDomain } from '../src/mail/address.ts';
import type { Networks } from '../src/mail/network.ts';
import type { Origin } from '../src/queue/store.ts';
import type { BusyAccess } from './busy-access.ts';
import { patternsAbove } from './domain-map.ts';

/** What a signature may be made by: that of the last draft, and that of -01, which DAViCal speaks. */
export const CANONICALIZATIONS = ['ischedule-relaxed', 'simple-http'] as const;
export type Canonicalization = (typeof CANONICALIZATIONS)[number];

export const DIALECTS = ['draft05', 'draft00'] as const;
/** `draft00`: neither Originator nor Recipient nor iSchedule-Version nor parameters are needed (v6, early v7). */
export type Dialect = (typeof DIALECTS)[number];

/** How a peer is told that a mail has left: `1.1` is the word for it (RFC 5546 §3.6), which not every server knows. */
export const SENT_STATUSES = ['1.1', '2.0'] as const;
export type SentStatus = (typeof SENT_STATUSES)[number];

/** Somebody who may post to us, as configured. Each proof that is there is enough by itself. */
export type Peer = {
  readonly name: string;
  readonly origin: Origin;
  /** Whom it may speak for: domains of Originators, `example.com`, `*.example.com` (any subdomain) or `*`. */
  readonly domains: readonly string[];
  /** Domains that `domains` never stands for: of an outside peer, our own. Normalised. */
  readonly notFor?: ReadonlySet<string>;
  readonly dialect: Dialect;
  /** How long an answer waits for real outcomes, ms. */
  readonly answerWaitMs: number;
  /** `1.1` when absent. */
  readonly sentStatus?: SentStatus;
  /** What it may ask of busy times; absent: nothing. */
  readonly busy?: BusyAccess;
  readonly networks?: Networks;
  /** SHA-256 fingerprints, or DNS names in certificates that the listener's `client-ca` vouches for. */
  readonly certificates?: readonly string[];
  /** Taken over TLS only. Digests, SHA-256, of `user:password` and of the token: compared in constant time. */
  readonly basic?: readonly Buffer[];
  readonly bearer?: readonly Buffer[];
  readonly dkim?: {
    readonly canonicalizations: readonly Canonicalization[];
    /** Signing domains that are believed for all of `domains`; without one, d has to be the Originator's domain or above it. */
    readonly signers: readonly string[];
  };
};

/** What there is of an asker's proofs. Each is enough by itself. */
export type Proofs = Pick<Peer, 'networks' | 'certificates' | 'basic' | 'bearer'>;

/** How a peer proved who it is. */
export type Proof = 'network' | 'certificate' | 'basic' | 'bearer' | 'dkim';

/** What became of the signature. */
export type SignatureVerdict =
  | { readonly kind: 'verified'; readonly domain: string /** `t=y` in the key record. */; readonly testing: boolean }
  /** Not looked at any further: `mayVouch` says that its domain is not believed. */
  | { readonly kind: 'stranger'; readonly domain: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'no-answer'; readonly reason: string };

/** What a request shows of who sent it, before its body is looked at. */
export type PeerFacts = {
  readonly client: {
    /** IP address. */
    readonly address: string;
    /** Absent on a connection in clear; its certificate only when the listener's `client-ca` vouches for it. */
    readonly tls?: {
      readonly certificate?: { readonly fingerprint256: string; readonly names: readonly string[] };
      /** One that nobody vouches for, and OpenSSL's word for why. It proves nothing, and is for the log. */
      readonly unvouched?: { readonly fingerprint256: string; readonly code: string };
    };
  };
  /** Values of the Authorization headers. More than one proves nothing. */
  readonly authorizations: readonly string[];
  /** Number of DKIM-Signature headers. */
  readonly signatures: number;
};

export type PeerVerdict =
  | { readonly kind: 'accepted'; readonly peer: Peer; readonly proof: Proof }
  /** The signature decides: verify it by one of these, which any of the peers in question takes, and ask again. */
  | {
      readonly kind: 'verify-signature';
      readonly canonicalizations: readonly Canonicalization[];
      /** Whose signature is worth a look-up of its key, as `mayVouch` asks. */
      readonly signers: readonly string[];
    }
  /** Nobody could be asked for the signer's key: the same post may be taken later. */
  | { readonly kind: 'no-answer'; readonly reason: string }
  | {
      readonly kind: 'refused';
      readonly precondition: 'verification-failed' | 'originator-denied';
      readonly reason: string;
      /** User name and password, or a token, would be taken: 401 with WWW-Authenticate. */
      readonly challenge?: true;
    };

/**
 * Whether a request that lacks what only draft -00 leaves out may be read as one: it comes from a peer of that dialect
 * that its address, certificate or credentials prove.
 */
export function dialectOf(peers: readonly Peer[], facts: PeerFacts): Dialect {
  const isOld = peers.some((peer) => peer.dialect === 'draft00' && cheapProof(peer, facts) !== undefined);
  return isOld ? 'draft00' : 'draft05';
}

/**
 * Who posts, and whether he may speak for this Originator. Of several peers that are proved it is the one whose
 * `domains` name the Originator's most closely.
 *
 * A peer with `dkim` is held to its signature where one stands, whatever else proves it: a broken one means that the
 * post was changed on its way. A key under test (`t=y`) proves nothing and breaks nothing.
 * @param request `originatorDomain`: of the mailbox behind Originator; `isDraft00`: it lacks what only that dialect
 * leaves out, so that none but such a peer may send it
 * @param verification what came of the signature, once this has asked for it
 */
export function judgePeer(
  peers: readonly Peer[],
  facts: PeerFacts,
  request: { readonly originatorDomain: string; readonly isDraft00: boolean },
  verification?: SignatureVerdict,
): PeerVerdict {
  const domain = normalizeDomain(request.originatorDomain);
  const able = request.isDraft00 ? peers.filter(({ dialect }) => dialect === 'draft00') : peers;
  const speakers = speakersFor(able, domain);
  if (speakers.length === 0) return deny(able, facts, domain);

  const canonicalizations = unique(speakers.flatMap(({ dkim }) => dkim?.canonicalizations ?? []));
  const refusals: Refusal[] = [];
  for (const peer of speakers) {
    const proof = cheapProof(peer, facts);
    if (peer.dkim === undefined || facts.signatures === 0) {
      if (proof !== undefined) return { kind: 'accepted', peer, proof };
      continue;
    }
    if (verification === undefined) {
      const signers = unique(speakers.flatMap(({ dkim }) => dkim?.signers ?? []));
      return { kind: 'verify-signature', canonicalizations, signers };
    }
    const signature = judgeSignature(peer.dkim.signers, domain, verification);
    switch (signature.kind) {
      case 'proved':
        if (!request.isDraft00) return { kind: 'accepted', peer, proof: 'dkim' };
        if (proof !== undefined) return { kind: 'accepted', peer, proof };
        refusals.push(refused('verification-failed', 'no Originator header stands there for the signature to cover'));
        break;
      case 'proves-nothing':
        if (proof !== undefined) return { kind: 'accepted', peer, proof };
        refusals.push(signature.refusal);
        break;
      case 'broken':
        // Its other proof says that this peer is meant, so nobody else is asked.
        if (proof !== undefined) return signature.refusal;
        refusals.push(signature.refusal);
    }
  }
  return (
    refusals.find(({ kind }) => kind === 'no-answer') ??
    refusals[0] ??
    unproved(speakers, facts, domain, provenPeer(able, facts))
  );
}

/**
 * How closely patterns of domains name this one: 0 for itself, then one more for each label that `*.` stands for, and
 * `*` last.
 * @param domain normalised
 * @returns undefined when none does
 */
export function closeness(patterns: readonly string[], domain: string): number | undefined {
  if (domain === '') return undefined;
  const known = new Set(patterns);
  const rank = [domain, ...patternsAbove(domain)].findIndex((pattern) => known.has(pattern));
  return rank < 0 ? undefined : rank;
}

/** Whether `example.com`, `*.example.com` (any subdomain, not itself) or `*` among the patterns covers the domain. */
export function matchesDomain(patterns: readonly string[], domain: string): boolean {
  return closeness(patterns, normalizeDomain(domain)) !== undefined;
}

type Refusal = Extract<PeerVerdict, { kind: 'refused' | 'no-answer' }>;
type SignatureUse =
  | { readonly kind: 'proved' }
  | { readonly kind: 'proves-nothing' | 'broken'; readonly refusal: Refusal };

/** Peers that may speak for the domain, those that name it most closely first, else as configured. */
function speakersFor(peers: readonly Peer[], domain: string): readonly Peer[] {
  return peers
    .flatMap((peer) => {
      const rank = peer.notFor?.has(domain) === true ? undefined : closeness(peer.domains, domain);
      return rank === undefined ? [] : [{ peer, rank }];
    })
    .sort((a, b) => a.rank - b.rank)
    .map(({ peer }) => peer);
}

/** What proves a peer without a look at the signature; Basic and Bearer over TLS alone. */
export function cheapProof(
  peer: Proofs,
  { client, authorizations }: Pick<PeerFacts, 'client' | 'authorizations'>,
): Exclude<Proof, 'dkim'> | undefined {
  const { tls } = client;
  if (tls?.certificate !== undefined && isCertified(peer.certificates ?? [], tls.certificate)) return 'certificate';
  const [authorization, ...more] = authorizations;
  if (tls !== undefined && authorization !== undefined && more.length === 0) {
    const given = readAuthorization(authorization);
    if (given !== undefined && isKnown(given.digest, peer[given.scheme] ?? [])) return given.scheme;
  }
  return peer.networks?.contains(client.address) === true ? 'network' : undefined;
}

function isCertified(
  known: readonly string[],
  { fingerprint256, names }: { readonly fingerprint256: string; readonly names: readonly string[] },
): boolean {
  const fingerprint = digitsOf(fingerprint256);
  return known.some((one) => digitsOf(one) === fingerprint || names.some((name) => covers(one.toLowerCase(), name)));
}

function covers(pattern: string, name: string): boolean {
  const given = name.toLowerCase();
  // `*` alone would take every certificate of the authority.
  return pattern === given || (pattern.startsWith('*.') && patternsAbove(given).includes(pattern));
}

function digitsOf(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toUpperCase();
}

/** RFC 7617, RFC 6750 §2.1. */
function readAuthorization(
  value: string,
): { readonly scheme: 'basic' | 'bearer'; readonly digest: Buffer } | undefined {
  const match = /^(basic|bearer) +([^\s,]+)$/i.exec(value.trim());
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  const isBasic = match[1].toLowerCase() === 'basic';
  const secret = isBasic ? Buffer.from(match[2], 'base64') : Buffer.from(match[2], 'utf8');
  return { scheme: isBasic ? 'basic' : 'bearer', digest: hash('sha256', secret, 'buffer') };
}

/** Looks at all of them, so that the time tells nothing. */
function isKnown(digest: Buffer, known: readonly Buffer[]): boolean {
  let found = false;
  for (const one of known) if (one.length === digest.length && timingSafeEqual(one, digest)) found = true;
  return found;
}

/** What a signature is worth to a peer (draft-desruisseaux-ischedule-05 §7: d is the Originator's domain or above it). */
function judgeSignature(signers: readonly string[], domain: string, verification: SignatureVerdict): SignatureUse {
  switch (verification.kind) {
    case 'missing':
      return { kind: 'broken', refusal: refused('verification-failed', 'found no signature that can be read') };
    case 'refused':
      return { kind: 'broken', refusal: refused('verification-failed', verification.reason) };
    case 'no-answer':
      return { kind: 'broken', refusal: { kind: 'no-answer', reason: verification.reason } };
  }
  if (verification.kind === 'verified' && verification.testing) {
    const reason = 'the key of the signature is under test (t=y) and proves nothing';
    return { kind: 'proves-nothing', refusal: refused('verification-failed', reason) };
  }
  const signer = normalizeDomain(verification.domain);
  if (verification.kind === 'verified' && mayVouch(signers, signer, domain)) return { kind: 'proved' };
  const reason = `found a signature of ${signer.slice(0, 253)}, wanted one of ${domain} or of a domain above it`;
  return { kind: 'proves-nothing', refusal: refused('originator-denied', reason) };
}

/**
 * Whether a signature of this domain counts for an Originator's.
 * @param signer in lower case
 * @param domain of the Originator
 */
export function mayVouch(signers: readonly string[], signer: string, domain: string): boolean {
  return signers.some((one) => normalizeDomain(one) === signer) || isAtOrAbove(signer, normalizeDomain(domain));
}

/** A single label is a top-level domain, which vouches for nobody below it. */
function isAtOrAbove(signer: string, domain: string): boolean {
  return signer === domain || (signer.includes('.') && domain.endsWith(`.${signer}`));
}

/** Nobody may speak for the domain. Who proves himself is told so; no key of a stranger is looked up for the others. */
function deny(peers: readonly Peer[], facts: PeerFacts, domain: string): PeerVerdict {
  const known = provenPeer(peers, facts);
  if (known !== undefined) {
    const wanted =
      known.notFor?.has(domain) === true
        ? 'wanted one of another domain than ours, for the peer is an outside one'
        : `wanted one of ${known.domains.slice(0, 5).join(', ')}${known.domains.length > 5 ? ' …' : ''}`;
    return refused('originator-denied', `found an Originator of ${domain} from peer ${known.name}, ${wanted}`);
  }
  if (facts.signatures > 0) return refused('originator-denied', `no peer may speak for Originators of ${domain} here`);
  return unproved(peers, facts, domain);
}

/** The peer that its address, certificate or credentials prove, whomever it may speak for. */
export function provenPeer(peers: readonly Peer[], facts: PeerFacts): Peer | undefined {
  return peers.find((peer) => cheapProof(peer, facts) !== undefined);
}

/**
 * Nothing that the request shows is a proof of one of these.
 * @param other whom it proves instead, who may not speak for the domain
 */
function unproved(
  peers: readonly Peer[],
  { client, authorizations }: PeerFacts,
  domain: string,
  other?: Peer,
): PeerVerdict {
  const takesCredentials = peers.some(({ basic, bearer }) => basic !== undefined || bearer !== undefined);
  const isOffered = takesCredentials && client.tls !== undefined;
  const found =
    other === undefined ? foundInstead(client.tls, authorizations) : `peer ${other.name}, who may not speak for them`;
  const wanted = [
    ...(peers.some(({ dkim }) => dkim !== undefined) ? ['a DKIM signature'] : []),
    ...wantedProofs(peers),
  ];
  const list = wanted.length === 0 ? 'a peer that is known here' : wanted.join(' or ');
  const reason = `found ${found}, wanted ${list} for Originators of ${domain}`;
  return { ...refused('verification-failed', reason), ...(isOffered ? { challenge: true } : {}) };
}

/** What `cheapProof` would take of one of these, in words for both sides. */
export function wantedProofs(known: readonly Proofs[]): readonly string[] {
  return [
    ...(known.some(({ basic, bearer }) => basic !== undefined || bearer !== undefined)
      ? ['HTTP credentials over TLS']
      : []),
    ...(known.some(({ certificates }) => certificates !== undefined) ? ['a client certificate'] : []),
    ...(known.some(({ networks }) => networks !== undefined) ? ['a known address'] : []),
  ];
}

/** What there is that proves nothing, in words for both sides. */
export function foundInstead(tls: PeerFacts['client']['tls'], authorizations: PeerFacts['authorizations']): string {
  if (authorizations.length > 0)
    return tls === undefined ? 'credentials on a connection in clear' : 'credentials that are not known here';
  if (tls?.unvouched !== undefined) {
    const { fingerprint256, code } = tls.unvouched;
    return `a client certificate (SHA-256 ${fingerprint256}) of an authority that is not known here (${code})`;
  }
  if (tls?.certificate === undefined) return 'nothing that proves who sends this';
  const { fingerprint256, names } = tls.certificate;
  const named = names.length === 0 ? '' : ` for ${names.slice(0, 3).join(', ').slice(0, 200)}`;
  return `a client certificate${named} (SHA-256 ${fingerprint256}) that is not known here`;
}

function refused(
  precondition: 'verification-failed' | 'originator-denied',
  reason: string,
): Extract<PeerVerdict, { kind: 'refused' }> {
  return { kind: 'refused', precondition, reason };
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}
