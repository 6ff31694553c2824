import { createHash, verify as rsaVerify } from 'node:crypto';
import { CANONICALIZATIONS, type Canonicalization } from '../../../rules/peer.ts';
import type { KeyAnswer, KeyFinder, VerificationKey } from '../keys.ts';
import {
  bodyHash,
  canonicalHeaders,
  headerValues,
  MANDATORY_HEADERS,
  mayBeSigned,
  type RawHeaders,
} from './canonical.ts';
import { colonList, isDnsName, isDomainName, parseBase64, parseTags } from './tags.ts';

/** What a signer's clock may be ahead of ours. */
const DEFAULT_CLOCK_SKEW_MS = 300_000;
/** How long a signature holds that names no end itself. */
export const DEFAULT_LIFETIME_MS = 3_600_000;
/** No signature holds longer, whatever its x says: that long, a copy of it has to be remembered. */
export const MAX_LIFETIME_MS = 86_400_000;
const MAX_SIGNED_HEADERS = 40;
const REQUIRED_TAGS = ['v', 'a', 'b', 'bh', 'c', 'd', 'h', 's'] as const;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const SECONDS = /^[0-9]{1,11}$/;

/** By the whole value of c. The body form after the slash is `simple` where none is given (RFC 6376 §3.5). */
const CANONICALIZATION_OF: Readonly<Record<string, Canonicalization>> = {
  'ischedule-relaxed/simple': 'ischedule-relaxed',
  'ischedule-relaxed': 'ischedule-relaxed',
  'simple-http': 'simple-http',
};

/** Service types of key records, beside `*`: -01 had another word. */
const SERVICES: Readonly<Record<Canonicalization, readonly string[]>> = {
  'ischedule-relaxed': ['*', 'ischedule'],
  'simple-http': ['*', 'ischedule', 'calendar'],
};

/** What was proved, or why nothing was. Whether `domain` may speak for the Originator is for the rules to say. */
export type Verification =
  | {
      readonly kind: 'verified';
      /** d, in lower case */
      readonly domain: string;
      readonly selector: string;
      /** When the signature stops to hold, ms since the epoch: x, or where the signer set none or a far one, our bound. */
      readonly expiresAt: number;
      /** The same for every copy of this post and for no other: digest of what was signed, in base64. */
      readonly signature: string;
      /** Whether iSchedule-Message-ID is among what was signed. */
      readonly signsMessageId: boolean;
      /** `t=y` in the key record: the domain is trying DKIM out, and the post counts as unsigned (RFC 6376 §3.6.1). */
      readonly testing: boolean;
    }
  | { readonly kind: 'missing' }
  /** By a domain that is not believed, so that its key was not asked for; in lower case. */
  | { readonly kind: 'stranger'; readonly domain: string }
  /** 403 verification-failed */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Temporary: the key could not be asked for. 503. */
  | { readonly kind: 'no-answer'; readonly reason: string };

export type VerifyOptions = {
  readonly keys: KeyFinder;
  /** Those that are taken. */
  readonly canonicalizations?: readonly Canonicalization[];
  /** Whether the word of a signing domain, in lower case, would count for anything; any would when absent. */
  readonly believes?: (domain: string) => boolean;
  /** ms since the epoch */
  readonly now: number;
  readonly clockSkewMs?: number;
};

/** What the tags of a signature say, each checked by itself. */
type Signature = {
  readonly canonicalization: Canonicalization;
  readonly domain: string;
  readonly selector: string;
  /** Domain of i, d itself without one. */
  readonly identity: string;
  readonly methods: readonly string[];
  /** As spelled. */
  readonly names: readonly string[];
  readonly bodyHash: Buffer;
  readonly signature: Buffer;
  readonly length?: number;
  readonly expiresAt: number;
};

/**
 * Proves who speaks in a post (draft-desruisseaux-ischedule-05 §7, and -01 for `simple-http`).
 * @param request.rawHeaders as they came, none joined and none dropped
 * @param request.body whole, chunks undone
 * @throws what `signal` was aborted with
 */
export async function verify(
  request: { readonly rawHeaders: RawHeaders; readonly body: Buffer },
  options: VerifyOptions,
  signal: AbortSignal,
): Promise<Verification> {
  const [value, ...others] = headerValues(request.rawHeaders, 'dkim-signature');
  if (value === undefined) return { kind: 'missing' };
  if (others.length > 0) return refused('more than one DKIM-Signature');
  const signature = readSignature(value, options);
  if (typeof signature === 'string') return refused(signature);
  const wrong = checkCover(request.rawHeaders, signature) ?? checkBody(request.body, signature);
  if (wrong !== undefined) return refused(wrong);
  const input = canonicalHeaders(request.rawHeaders, signature.names, value, signature.canonicalization);
  if (input === undefined) return refused('a line end or NUL in a signed header');

  const { domain, selector, methods } = signature;
  if (options.believes?.(domain) === false) return { kind: 'stranger', domain };
  let answer = await options.keys.find(domain, selector, methods, signal);
  let proof = prove(answer, signature, input);
  if (answer.kind === 'keys' && typeof proof === 'string') {
    // Keys change: the one we hold may be of yesterday.
    const fresh = await options.keys.find(domain, selector, methods, signal, { fresh: true });
    if (fresh.kind === 'no-answer') return fresh;
    if (fresh !== answer) proof = prove(fresh, signature, input);
    answer = fresh;
  }
  if (answer.kind === 'no-answer') return answer;
  if (typeof proof === 'string') return refused(proof);
  return {
    kind: 'verified',
    domain,
    selector,
    expiresAt: signature.expiresAt,
    signature: createHash('sha256').update(input).digest('base64'),
    signsMessageId: signature.names.some((name) => name.toLowerCase() === 'ischedule-message-id'),
    testing: proof.testing,
  };
}

/** @returns why not, as a string */
function readSignature(value: string, options: VerifyOptions): Signature | string {
  const parsed = parseTags(value);
  if (parsed.kind === 'malformed') return `the signature has ${parsed.reason}`;
  const { tags } = parsed;
  const missing = REQUIRED_TAGS.filter((name) => tags.get(name) === undefined);
  if (missing.length > 0) return `the signature has no ${missing.map((name) => `${name}=`).join(', ')}`;
  const tag = (name: string) => tags.get(name) ?? '';
  if (tag('v') !== '1') return `v=${tag('v')}, need 1`;
  if (tag('a') !== 'rsa-sha256') return `a=${tag('a')}, need rsa-sha256`;
  const canonicalization = Object.hasOwn(CANONICALIZATION_OF, tag('c')) ? CANONICALIZATION_OF[tag('c')] : undefined;
  const taken = options.canonicalizations ?? CANONICALIZATIONS;
  if (canonicalization === undefined || !taken.includes(canonicalization)) {
    return `c=${tag('c')}, need ${taken.map((name) => (name === 'simple-http' ? name : `${name}/simple`)).join(' or ')}`;
  }
  const domain = tag('d').toLowerCase();
  if (!isDomainName(domain)) return 'd is no domain name';
  if (!isDnsName(tag('s'))) return 's is no name for the DNS';
  const identity = readIdentity(tags.get('i'), domain);
  if (identity === undefined) return 'i is not within d';
  const names = colonList(tag('h'));
  const wrongName = checkNames(names, canonicalization);
  if (wrongName !== undefined) return wrongName;
  const expiry = readExpiry(tags.get('t'), tags.get('x'), options);
  if (typeof expiry === 'string') return expiry;
  const hash = parseBase64(tag('bh'));
  if (hash?.length !== 32) return 'bh is no SHA-256 in base64';
  const signature = parseBase64(tag('b'));
  if (signature === undefined) return 'b is not base64';
  const length = tags.get('l');
  // A signature over part of a body lets anybody write the rest. DAViCal sends l always, and then it is all of it.
  if (length !== undefined && (canonicalization !== 'simple-http' || !SECONDS.test(length))) return 'l is not taken';
  return {
    canonicalization,
    domain,
    selector: tag('s'),
    identity,
    methods: colonList(tags.get('q') ?? 'dns/txt').map((method) => method.toLowerCase()),
    names,
    bodyHash: hash,
    signature,
    ...(length === undefined ? {} : { length: Number(length) }),
    expiresAt: expiry,
  };
}

/** @returns the domain of i, or undefined when it is neither d nor below it */
function readIdentity(identity: string | undefined, domain: string): string | undefined {
  if (identity === undefined) return domain;
  const at = identity.lastIndexOf('@');
  const found = identity.slice(at + 1).toLowerCase();
  if (at < 0 || !isDomainName(found)) return undefined;
  return found === domain || found.endsWith(`.${domain}`) ? found : undefined;
}

function checkNames(names: readonly string[], canonicalization: Canonicalization): string | undefined {
  if (names.length > MAX_SIGNED_HEADERS) return `h has more than ${MAX_SIGNED_HEADERS} names`;
  if (!names.every((name) => TOKEN.test(name))) return 'h has what is no header name';
  const lower = names.map((name) => name.toLowerCase());
  const twice = lower.find((name, at) => lower.indexOf(name) !== at);
  if (twice !== undefined) return `h has ${twice} twice`;
  const forbidden = lower.find((name) => !mayBeSigned(name, canonicalization));
  if (forbidden !== undefined) return `h has ${forbidden}, which must not be signed`;
  const missing = MANDATORY_HEADERS.filter((name) => !lower.includes(name));
  return missing.length > 0 ? `h is without ${missing.join(', ')}` : undefined;
}

/** @returns when the signature stops to hold, ms since the epoch; or why it does not hold now */
function readExpiry(
  signedAt: string | undefined,
  expires: string | undefined,
  { now, clockSkewMs = DEFAULT_CLOCK_SKEW_MS }: VerifyOptions,
): number | string {
  if (signedAt !== undefined && !SECONDS.test(signedAt)) return 't is no time in seconds';
  if (expires !== undefined && !SECONDS.test(expires)) return 'x is no time in seconds';
  const t = signedAt === undefined ? undefined : Number(signedAt) * 1000;
  const x = expires === undefined ? undefined : Number(expires) * 1000;
  if (t === undefined && x === undefined) return 'neither t nor x: its age cannot be told';
  if (t !== undefined && t > now + clockSkewMs) {
    return `t is ${Math.ceil((t - now) / 1000)} s ahead, ${Math.floor(clockSkewMs / 1000)} s are allowed`;
  }
  if (t !== undefined && x !== undefined && x <= t) return 'x is not after t';
  if (x !== undefined && x <= now) return 'x has passed';
  // Without t nothing else bounds how long copies of it have to be remembered.
  if (t === undefined)
    return x !== undefined && x <= now + MAX_LIFETIME_MS ? x : 'x is more than a day ahead, without t';
  const until = Math.min(x ?? t + DEFAULT_LIFETIME_MS, t + MAX_LIFETIME_MS);
  return until > now ? until : 'it was signed too long ago';
}

function checkCover(headers: RawHeaders, { names }: Signature): string | undefined {
  const signsIt = names.some((name) => name.toLowerCase() === 'authorization');
  return !signsIt && headerValues(headers, 'authorization').length > 0 ? 'h is without authorization' : undefined;
}

function checkBody(body: Buffer, signature: Signature): string | undefined {
  if (signature.length !== undefined && signature.length !== body.length) return 'l is not the length of the body';
  const same = bodyHash(body, signature.canonicalization).equals(signature.bodyHash);
  return same ? undefined : 'the body is not the one that was signed';
}

/** @returns the key that made the signature, or why none did */
function prove(answer: KeyAnswer, signature: Signature, input: Buffer): VerificationKey | string {
  if (answer.kind !== 'keys') return answer.reason;
  let reason = 'the signature is not by the key of its domain and selector, or a signed header was changed';
  for (const key of answer.keys) {
    const wrong = checkKey(key, signature);
    if (wrong !== undefined) reason = wrong;
    else if (rsaVerify('sha256', input, key.key, signature.signature)) return key;
  }
  return reason;
}

function checkKey(key: VerificationKey, signature: Signature): string | undefined {
  if (key.hashes !== undefined && !key.hashes.includes('sha256')) return 'the key is not for SHA-256';
  const services = SERVICES[signature.canonicalization];
  if (key.services !== undefined && !key.services.some((service) => services.includes(service))) {
    return 'the key is not for iSchedule';
  }
  if (key.strict && signature.identity !== signature.domain) return 'the key is for d alone, and i is below it';
  return undefined;
}

function refused(reason: string): Verification {
  return { kind: 'refused', reason };
}
