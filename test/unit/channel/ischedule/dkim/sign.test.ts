import { createVerify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { sign } from '../../../../../channel/ischedule/dkim/sign.ts';
import { BODY, check, H, HEADERS, KEYS, NOW, SIGNED_AT } from './worked-example.ts';

const KEY = { domain: 'example.net', selector: 'isched', key: KEYS.privateKey };
const OPTIONS = { key: KEY, canonicalization: 'ischedule-relaxed', now: SIGNED_AT * 1000 } as const;

/** What OpenSSL is given to verify, written out by hand. */
const CANONICAL = [
  'content-type:text/calendar; component=VFREEBUSY; method=REQUEST; charset=utf-8',
  'ischedule-version:1.0',
  'ischedule-message-id:b7c1@gw.example.net',
  'originator:mailto:ann@example.net',
  'recipient:mailto:bob@example.com,mailto:cat@example.com,mailto:dan@example.com',
  'user-agent:gw/1',
].join('\r\n');

describe('a signature', () => {
  test('has the tags of the worked example on one line, b last, and is RSASSA-PKCS1-v1_5 over its canonical form', () => {
    const value = sign(HEADERS, BODY, OPTIONS);
    const at = value.lastIndexOf('b=') + 2;
    expect(value.slice(0, at)).toBe(
      `v=1; d=example.net; s=isched; t=1795248000; x=1795251600; a=rsa-sha256; q=dns/txt; c=ischedule-relaxed/simple; h=${H}; bh=9V/w/g++3+5ReAl+6PP40YBO09KxnuDaaJvsmz/lajc=; b=`,
    );
    const verifier = createVerify('RSA-SHA256').update(`${CANONICAL}\r\ndkim-signature:${value.slice(0, at)}`);
    expect(verifier.verify(KEYS.publicKey, value.slice(at), 'base64')).toBe(true);
  });

  test.each(['ischedule-relaxed', 'simple-http'] as const)('by %s is verified by our own reader', async (c) => {
    const headers = [['Host', 'cal.example.com'], ...HEADERS.slice(0, 4), ...HEADERS.slice(5)] as const;
    const value = sign(headers, BODY, { ...OPTIONS, canonicalization: c });
    const rawHeaders = [...headers.flat(), 'DKIM-Signature', value];
    expect(await check({ rawHeaders, body: BODY })).toMatchObject({ kind: 'verified', signsMessageId: true });
  });

  test('covers Authorization where it is sent, and nothing that changes on the way', () => {
    const more = ['Authorization', 'Cache-Control', 'Connection', 'Content-Length', 'Date', 'Host', 'Expect'];
    const value = sign([...HEADERS, ...more.map((name) => [name, '1'] as const)], BODY, OPTIONS);
    expect(value).toContain(`; h=${H}:Authorization; `);
  });

  test('covers only what is there', () => {
    const headers = HEADERS.filter(([name]) => name !== 'User-Agent' && name !== 'iSchedule-Message-ID');
    expect(sign(headers, BODY, OPTIONS)).toContain('; h=Content-Type:iSchedule-Version:Originator:Recipient; ');
  });

  test('names the methods it is told, in that order, and dns/txt alone for simple-http', () => {
    const methods = ['private-exchange', 'http/well-known'] as const;
    expect(sign(HEADERS, BODY, { ...OPTIONS, methods })).toContain('; q=private-exchange:http/well-known; ');
    const hosted = [...HEADERS, ['Host', 'a']] as const;
    const simple = sign(hosted.slice(1).concat([HEADERS[0]]), BODY, {
      ...OPTIONS,
      canonicalization: 'simple-http',
      methods,
    });
    expect(simple).toMatch(/; q=dns\/txt; c=simple-http; h=Host:/);
  });

  test('lasts as long as it is told, and never less than a minute', () => {
    const value = sign(HEADERS, BODY, { ...OPTIONS, now: NOW + 999, lifetimeMs: 300_000 });
    expect(value).toContain('; t=1795248005; x=1795248305; ');
    expect(() => sign(HEADERS, BODY, { ...OPTIONS, lifetimeMs: 59_999 })).toThrow(
      'got a lifetime of 59999 ms, need at least 60000',
    );
  });

  test('is not made without what it has to cover', () => {
    expect(() => sign(HEADERS.slice(1, 3), BODY, OPTIONS)).toThrow(
      'cannot sign without content-type, ischedule-version, recipient',
    );
    expect(() => sign(HEADERS, BODY, { ...OPTIONS, canonicalization: 'simple-http' })).toThrow(
      'cannot sign without host',
    );
  });

  test('is not made over a value with a line end', () => {
    expect(() => sign([...HEADERS, ['User-Agent', 'a\r\nX: b']], BODY, OPTIONS)).toThrow(/line end or NUL/);
  });
});
