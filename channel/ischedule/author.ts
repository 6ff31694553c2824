import {
  judgePeer,
  matchesDomain,
  mayVouch,
  type Peer,
  type PeerFacts,
  type PeerVerdict,
  provenPeer,
} from '../../rules/peer.ts';
import type { HttpRequest } from '../../src/http/exchange.ts';
import { type Verification, verify } from './dkim/verify.ts';
import type { KeyFinder } from './keys.ts';
import type { Later, Refused } from './post-result.ts';
import { publicSuffixOf } from './public-suffix.ts';
import type { ReplayMemory } from './replay-memory.ts';

export type ProofOptions = {
  readonly keys: KeyFinder;
  readonly replays: ReplayMemory;
  readonly clock: () => number;
};

/** Who the post claims to speak for, as `judgePeer` asks. */
export type Speaker = Parameters<typeof judgePeer>[2];

/** A peer that is proved; with the signature where that is the proof, which then can stand in for a missing id. */
export type Author = Extract<PeerVerdict, { kind: 'accepted' }> & { readonly signature?: string };

/**
 * Finds out who posts, and whether he may speak for the Originator. Only where the signature decides, keys are asked for.
 * @param messageIds of the request: a signature that was used before is good for the same message alone
 */
export async function judgeAuthor(
  { keys, replays, clock }: ProofOptions,
  peers: readonly Peer[],
  facts: PeerFacts,
  speaker: Speaker,
  request: Pick<HttpRequest, 'rawHeaders' | 'body' | 'signal'>,
  messageIds: readonly string[],
): Promise<Author | Refused | Later> {
  let verdict = judgePeer(peers, facts, speaker);
  let verification: Verification | undefined;
  if (verdict.kind === 'verify-signature') {
    const { canonicalizations, signers } = verdict;
    const believes = (domain: string): boolean => mayVouch(signers, domain, speaker.originatorDomain);
    verification = await verify(request, { keys, canonicalizations, believes, now: clock() }, request.signal);
    if (verification.kind === 'verified' && publicSuffixOf(verification.domain) === verification.domain)
      return refused('verification-failed', `found the signature of ${verification.domain}, wanted one domain's own`);
    verdict = judgePeer(peers, facts, speaker, verification);
  }
  switch (verdict.kind) {
    case 'accepted': {
      if (verdict.proof !== 'dkim' || verification?.kind !== 'verified') return verdict;
      // One that came before word for word is a repeat, which the flow answers as it answered then.
      const { signature, expiresAt } = verification;
      if (replays.admits(signature, messageIds.join('\n'), expiresAt, clock())) return { ...verdict, signature };
      return refused('verification-failed', 'found a signature that was used before for another message');
    }
    case 'refused': {
      const refusal = refused(verdict.precondition, verdict.reason);
      const isAsked = facts.authorizations.length > 0 || takesCredentialsOnly(peers, speaker.originatorDomain);
      return verdict.challenge === true && isAsked
        ? { ...refusal, status: 401, challenges: challengesOf(peers) }
        : refusal;
    }
    case 'no-answer':
      return { kind: 'later', status: 503, description: verdict.reason };
    case 'verify-signature':
      throw new Error('judgePeer() asked twice for one signature');
  }
}

/**
 * Whether a peer that is configured seems to be at the other end, whomever it speaks for: an operator should hear when it
 * is refused.
 */
export function isConfigured(peers: readonly Peer[], facts: PeerFacts, domain: string): boolean {
  if (provenPeer(peers, facts) !== undefined) return true;
  return judgePeer(peers, facts, { originatorDomain: domain, isDraft00: false }).kind === 'verify-signature';
}

function refused(precondition: Refused['precondition'], description: string): Refused {
  return { kind: 'refused', precondition, status: 403, description };
}

/**
 * Then they are asked for where none came: most clients send them only once they are (RFC 9110 §11.6.1). Where a signature
 * would do as well, the draft has 403 for one that is missing.
 */
function takesCredentialsOnly(peers: readonly Peer[], originatorDomain: string): boolean {
  const speakers = peers.filter(({ domains }) => matchesDomain(domains, originatorDomain));
  return (
    speakers.length > 0 && speakers.every(({ dkim, certificates, networks }) => !(dkim ?? certificates ?? networks))
  );
}

function challengesOf(peers: readonly Peer[]): readonly string[] {
  const basic = peers.some((peer) => peer.basic !== undefined);
  const bearer = peers.some((peer) => peer.bearer !== undefined);
  return [
    ...(basic ? ['Basic realm="iSchedule", charset="UTF-8"'] : []),
    ...(bearer ? ['Bearer realm="iSchedule"'] : []),
  ];
}
