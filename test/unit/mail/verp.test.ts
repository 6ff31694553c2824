import { describe, expect, test } from 'vitest';
import { MAX_VERP_LOCAL, mintToken, readToken, tokenIn, verpAddress, verpProblem } from '../../../src/mail/verp.ts';

const SECRET = Buffer.alloc(32, 7);
const BASE = 'calendar@example.com';
const ID = '0MH3K2A9Z00123';

describe('a token', () => {
  test('says which recipient of which message it was made for, and is the same each time', () => {
    const token = mintToken(SECRET, ID, 999);
    expect(token).toBe(mintToken(SECRET, ID, 999));
    expect(token).toMatch(/^[a-z2-7]{37}$/);
    expect(readToken(SECRET, token)).toEqual({ queueId: ID, position: 999 });
  });

  test('is another for every recipient, every message and every secret', () => {
    const tokens = [
      mintToken(SECRET, ID, 0),
      mintToken(SECRET, ID, 1),
      mintToken(SECRET, '0MH3K2A9Z00124', 0),
      mintToken(Buffer.alloc(32, 8), ID, 0),
    ];
    expect(new Set(tokens).size).toBe(4);
  });

  test.each(['0', '00', 'Z', '00000000000001', 'ZZZZZZZZZZZZZZ', '0'.repeat(26)])(
    'keeps the queue id %s',
    (queueId) => {
      expect(readToken(SECRET, mintToken(SECRET, queueId, 5))).toEqual({ queueId, position: 5 });
    },
  );

  test('survives a host that folds case', () => {
    expect(readToken(SECRET, mintToken(SECRET, ID, 3).toUpperCase())).toEqual({ queueId: ID, position: 3 });
  });

  test('with any one character changed, left out or added is none', () => {
    const token = mintToken(SECRET, ID, 3);
    const forged = new Set<string>();
    for (let at = 0; at < token.length; at++) {
      for (const char of 'abcdefghijklmnopqrstuvwxyz234567')
        forged.add(token.slice(0, at) + char + token.slice(at + 1));
      forged.add(token.slice(0, at) + token.slice(at + 1));
      forged.add(`${token.slice(0, at)}a${token.slice(at)}`);
    }
    forged.delete(token);
    const read = [...forged].filter((one) => readToken(SECRET, one) !== undefined);
    expect([forged.size > 1000, read]).toEqual([true, []]);
  });

  test('of another secret, and what is no token at all, is none', () => {
    const others = [mintToken(Buffer.alloc(32, 8), ID, 3), '', 'a', 'a'.repeat(37), 'ä'.repeat(37), '1'.repeat(37)];
    expect(others.map((token) => readToken(SECRET, token))).toEqual(others.map(() => undefined));
  });

  test('is not made for what is no queue id or no position', () => {
    expect(() => mintToken(SECRET, 'a b', 0)).toThrow('no queue id: a b');
    expect(() => mintToken(SECRET, ID, -1)).toThrow('no position: -1');
    expect(() => mintToken(SECRET, ID, 2 ** 24)).toThrow('no position: 16777216');
  });
});

describe('a VERP address', () => {
  const token = mintToken(SECRET, ID, 0);

  test('is the base with the token as its detail, and gives the token back in any case', () => {
    const address = verpAddress(BASE, token);
    expect(address).toBe(`calendar+${token}@example.com`);
    expect([address, address.toUpperCase()].map((one) => tokenIn(one, BASE))).toEqual([token, token]);
  });

  test('is no other address', () => {
    const others = [
      BASE,
      'calendar+@example.com',
      'calendar+holidays@example.com',
      `calendars+${token}@example.com`,
      `calendar+${token}@example.org`,
      `calendar-${token}@example.com`,
      `calendar+${token}+more@example.com`,
      token,
      '',
    ];
    expect(others.map((address) => tokenIn(address, BASE))).toEqual(others.map(() => undefined));
  });

  test('of a base of the greatest length has a local part of 64 octets', () => {
    const base = `${'c'.repeat(MAX_VERP_LOCAL)}@example.com`;
    expect(verpProblem(base)).toBeUndefined();
    expect(verpAddress(base, token).indexOf('@')).toBe(64);
  });

  test.each([
    ['calendar', 'got "calendar", need a mailbox such as calendar@example.com'],
    [
      'calendar+x@example.com',
      'the part before the @ is "calendar+x"; need plain letters, digits and - _ . without a +, since + and a token are put behind it',
    ],
    [
      '"the calendar"@example.com',
      'the part before the @ is "\\"the calendar\\""; need plain letters, digits and - _ . without a +, since + and a token are put behind it',
    ],
    [
      `${'c'.repeat(27)}@example.com`,
      'the part before the @ has 27 characters; need 26 at most, since + and a token of 37 are put behind it (RFC 5321 §4.5.3.1.1)',
    ],
  ])('cannot be made of %s', (base, problem) => {
    expect(verpProblem(base)).toBe(problem);
  });
});
