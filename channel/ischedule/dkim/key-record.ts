import { createPublicKey, type KeyObject } from 'node:crypto';
import type { VerificationKey } from '../keys.ts';
import { colonList, parseBase64, parseTags } from './tags.ts';

/** RFC 8301 §3.2: below this a signature proves nothing. */
export const MIN_VERIFIED_BITS = 1024;
/** Above this a check costs more than a stranger's post is worth. */
export const MAX_VERIFIED_BITS = 8192;

/**
 * Every key in use has 65537, a few 3. An exponent as long as the modulus costs twenty times as much, one of 1 proves nothing.
 */
const MAX_EXPONENT = 0xffff_ffffn;

export type KeyRecord =
  | { readonly kind: 'key'; readonly key: Omit<VerificationKey, 'method'> }
  /** `p=` empty: there was a key, and nothing may be proved by it any more. */
  | { readonly kind: 'revoked' }
  | { readonly kind: 'unusable'; readonly reason: string }
  /** Some other text at the same name, such as an SPF record. */
  | { readonly kind: 'other' };

/** Reads `v=DKIM1; k=rsa; s=ischedule; p=…` (RFC 6376 §3.6.1). */
export function parseKeyRecord(text: string): KeyRecord {
  const parsed = parseTags(text);
  if (parsed.kind === 'malformed') {
    return /^\s*v\s*=\s*DKIM1\b/.test(text) ? unusable(`the key record has ${parsed.reason}`) : { kind: 'other' };
  }
  const { tags } = parsed;
  const version = tags.get('v');
  const material = tags.get('p');
  if (version === undefined ? material === undefined : version !== 'DKIM1') return { kind: 'other' };
  if (version !== undefined && tags.keys().next().value !== 'v') return unusable('v= is not first in the key record');
  if (material === undefined) return unusable('the key record has no p=');
  if (material === '') return { kind: 'revoked' };
  const type = tags.get('k') ?? 'rsa';
  if (type !== 'rsa') return unusable(`the key record has k=${type}, need rsa`);
  const key = parsePublicKey(material);
  if (key === undefined) return unusable('p= of the key record is no RSA public key');
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < MIN_VERIFIED_BITS || bits > MAX_VERIFIED_BITS) {
    return unusable(`the key has ${bits} bits, need ${MIN_VERIFIED_BITS} to ${MAX_VERIFIED_BITS}`);
  }
  const exponent = key.asymmetricKeyDetails?.publicExponent ?? 0n;
  if (exponent < 3n || exponent > MAX_EXPONENT || exponent % 2n === 0n) {
    return unusable('the exponent of the key is none that anybody uses, need 65537');
  }
  const hashes = tags.get('h');
  const services = tags.get('s');
  const flags = colonList(tags.get('t') ?? '');
  return {
    kind: 'key',
    key: {
      key,
      bits,
      ...(hashes === undefined ? {} : { hashes: colonList(hashes) }),
      ...(services === undefined ? {} : { services: colonList(services) }),
      testing: flags.includes('y'),
      strict: flags.includes('s'),
    },
  };
}

/** The record to publish for a public key: for iSchedule alone, and for SHA-256 alone. */
export function composeKeyRecord(publicKey: KeyObject): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return `v=DKIM1; k=rsa; h=sha256; s=ischedule; p=${spki.toString('base64')}`;
}

/** SubjectPublicKeyInfo as everybody publishes it, or RSAPublicKey as RFC 6376 has it in words. */
function parsePublicKey(material: string): KeyObject | undefined {
  // Bedework's key server writes the URL-safe alphabet.
  const der = parseBase64(material.replaceAll('-', '+').replaceAll('_', '/'));
  if (der === undefined) return undefined;
  for (const type of ['spki', 'pkcs1'] as const) {
    try {
      const key = createPublicKey({ key: der, format: 'der', type });
      return key.asymmetricKeyType === 'rsa' ? key : undefined;
    } catch {
      // Not of this form. What stranger's octets make OpenSSL say is of no use to anybody.
    }
  }
  return undefined;
}

function unusable(reason: string): KeyRecord {
  return { kind: 'unusable', reason };
}
