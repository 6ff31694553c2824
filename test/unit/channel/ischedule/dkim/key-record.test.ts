import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { keyPairFor, loadSigningKey } from '../../../../../channel/ischedule/dkim/key-pair.ts';
import { composeKeyRecord, parseKeyRecord } from '../../../../../channel/ischedule/dkim/key-record.ts';
import { KEYS, recordWith } from './worked-example.ts';

const P = KEYS.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const sized = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });

describe('a key record', () => {
  test('that we publish is for iSchedule and SHA-256 alone, and is read back', () => {
    const text = composeKeyRecord(KEYS.publicKey);
    expect(text).toBe(`v=DKIM1; k=rsa; h=sha256; s=ischedule; p=${P}`);
    const record = parseKeyRecord(text);
    expect(record).toMatchObject({
      kind: 'key',
      key: { bits: 2048, hashes: ['sha256'], services: ['ischedule'], testing: false, strict: false },
    });
    expect(record.kind === 'key' && record.key.key.equals(KEYS.publicKey)).toBe(true);
  });

  test('needs no more than p', () => {
    expect(parseKeyRecord(`p=${P}`)).toEqual({
      kind: 'key',
      key: { key: expect.anything(), bits: 2048, testing: false, strict: false },
    });
  });

  test('may have white space in p, the URL-safe alphabet, no padding, notes and unknown tags', () => {
    const odd = P.replaceAll('+', '-')
      .replaceAll('/', '_')
      .replace(/=+$/, '')
      .replace(/(.{60})/g, '$1 \t');
    expect(parseKeyRecord(`v=DKIM1; n=a=b; g=*; zz=1; p=${odd} ;`)).toMatchObject({ kind: 'key', key: { bits: 2048 } });
  });

  test('may hold the key as RSAPublicKey', () => {
    const p = KEYS.publicKey.export({ type: 'pkcs1', format: 'der' }).toString('base64');
    expect(parseKeyRecord(`v=DKIM1; p=${p}`)).toMatchObject({ kind: 'key', key: { bits: 2048 } });
  });

  test('has flags and lists parted by colons', () => {
    expect(parseKeyRecord(recordWith('v=DKIM1; t=y : s:z; s=email : ischedule; h=sha1:sha256; '))).toMatchObject({
      key: { testing: true, strict: true, services: ['email', 'ischedule'], hashes: ['sha1', 'sha256'] },
    });
  });

  test.each(['v=DKIM1; p=', 'p= ;', 'v=DKIM1; k=rsa; p=\t; n=gone'])('%j is revoked', (text) => {
    expect(parseKeyRecord(text)).toEqual({ kind: 'revoked' });
  });

  test.each(['', 'v=spf1 -all', 'google-site-verification=abc', 'v=DKIM2; p=AA', 'v=dkim1; p=AA', '<html>', ';;'])(
    '%j is some other text',
    (text) => {
      expect(parseKeyRecord(text)).toEqual({ kind: 'other' });
    },
  );

  const edwards = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  // An RSAPublicKey (RFC 8017 §A.1.1) of 2048 bits with another exponent: it stands at the end, three octets long.
  const withExponent = (exponent: readonly [number, number, number]) => {
    const der = KEYS.publicKey.export({ type: 'pkcs1', format: 'der' });
    return Buffer.concat([der.subarray(0, -3), Buffer.from(exponent)]).toString('base64');
  };
  const long = () => {
    const { n = '' } = KEYS.publicKey.export({ format: 'jwk' });
    return createPublicKey({ key: { kty: 'RSA', n, e: n }, format: 'jwk' })
      .export({ type: 'spki', format: 'der' })
      .toString('base64');
  };
  const EXPONENT = 'the exponent of the key is none that anybody uses, need 65537';
  const weak = sized(1023).publicKey.export({ type: 'spki', format: 'der' }).toString('base64');

  test.each([
    ['v= is not first in the key record', `k=rsa; v=DKIM1; p=${P}`],
    ['the key record has no p=', 'v=DKIM1; k=rsa'],
    ['the key record has k=ed25519, need rsa', `v=DKIM1; k=ed25519; p=${edwards}`],
    ['p= of the key record is no RSA public key', `v=DKIM1; p=${edwards}`],
    ['p= of the key record is no RSA public key', 'v=DKIM1; p=AAAA'],
    ['p= of the key record is no RSA public key', `v=DKIM1; p=${P}!`],
    ['the key has 1023 bits, need 1024 to 8192', `v=DKIM1; p=${weak}`],
    [EXPONENT, `v=DKIM1; p=${withExponent([0, 0, 1])}`],
    [EXPONENT, `v=DKIM1; p=${withExponent([1, 0, 0])}`],
    [EXPONENT, `v=DKIM1; p=${long()}`],
    ['the key record has p= twice', `v=DKIM1; p=${P}; p=${P}`],
  ])('cannot be used: %s', (reason, text) => {
    expect(parseKeyRecord(text)).toEqual({ kind: 'unusable', reason });
  });
});

describe('a key of ours', () => {
  test('is made with 2048 bits, and its PEM is taken', async () => {
    const { privateKey, publicKey } = await keyPairFor();
    const key = loadSigningKey(privateKey);
    expect(key.asymmetricKeyDetails?.modulusLength).toBe(2048);
    expect(createPublicKey(key).equals(publicKey)).toBe(true);
  });

  test('is never made smaller', async () => {
    await expect(keyPairFor(1024)).rejects.toThrow(
      'got an RSA key of 1024 bits, need at least 2048: make one with "imipd keys new"',
    );
    await expect(keyPairFor(Number.NaN)).rejects.toThrow(RangeError);
  });

  test('may be PKCS #1', () => {
    const pem = KEYS.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
    expect(loadSigningKey(pem).equals(KEYS.privateKey)).toBe(true);
  });

  const pem = (key: typeof KEYS.privateKey, cipher = {}) =>
    key.export({ type: 'pkcs8', format: 'pem', ...cipher }).toString();

  test.each([
    ['got an RSA key of 1024 bits, need at least 2048', pem(sized(1024).privateKey)],
    ['got a key of type ed25519, need an RSA key', pem(generateKeyPairSync('ed25519').privateKey)],
    ['got a public key, need the private one', KEYS.publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    ['got a private key under a passphrase', pem(KEYS.privateKey, { cipher: 'aes-128-cbc', passphrase: 'x' })],
    ['got no private key, need one in PEM', 'secret'],
    ['got no private key, need one in PEM', ''],
  ])('is refused: %s', (text, key) => {
    expect(() => loadSigningKey(key)).toThrow(text);
  });
});
