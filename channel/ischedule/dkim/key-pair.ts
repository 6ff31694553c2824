import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

/** Below this no key of ours is made or used (RFC 8301 §3.2). */
export const MIN_SIGNING_BITS = 2048;

/**
 * Makes an RSA key pair; 4096 bits take seconds.
 * @returns the private key as PEM (PKCS #8, not encrypted), to be written with mode 0600
 * @throws RangeError below {@link MIN_SIGNING_BITS} bits
 */
export async function keyPairFor(
  bits: number = MIN_SIGNING_BITS,
): Promise<{ readonly privateKey: string; readonly publicKey: KeyObject }> {
  if (!(bits >= MIN_SIGNING_BITS)) throw new RangeError(tooShort(bits));
  const pair = await promisify(generateKeyPair)('rsa', { modulusLength: bits });
  return { privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), publicKey: pair.publicKey };
}

/**
 * A private key of ours from PEM, PKCS #8 or PKCS #1.
 * @throws RangeError saying what was found and what is needed
 */
export function loadSigningKey(pem: string): KeyObject {
  const key = readPrivateKey(pem);
  if (key.asymmetricKeyType !== 'rsa') {
    throw new RangeError(`got a key of type ${key.asymmetricKeyType}, need an RSA key: make one with "imipd keys new"`);
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < MIN_SIGNING_BITS) throw new RangeError(tooShort(bits));
  return key;
}

function readPrivateKey(pem: string): KeyObject {
  if (/^-----BEGIN (RSA )?PUBLIC KEY-----/m.test(pem)) {
    throw new RangeError('got a public key, need the private one of the pair, in PEM');
  }
  if (/^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    throw new RangeError('got a private key under a passphrase, need one without, in a file that only imipd can read');
  }
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new RangeError('got no private key, need one in PEM: "-----BEGIN PRIVATE KEY-----"', { cause });
  }
}

function tooShort(bits: number): string {
  return `got an RSA key of ${bits} bits, need at least ${MIN_SIGNING_BITS}: make one with "imipd keys new"`;
}
