import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { bodyHash, canonicalHeaders, mayBeSigned } from '../../../../../channel/ischedule/dkim/canonical.ts';
import { BODY, H, HEADERS, TAGS } from './worked-example.ts';

const NAMES = H.split(':');
const SIGNATURE = `${Object.entries(TAGS)
  .map(([name, value]) => `${name}=${value}`)
  .join('; ')}; b=AbCd`;

function relaxed(headers: readonly (readonly [string, string])[], names: readonly string[], signature = 'b=') {
  return canonicalHeaders(headers.flat(), names, signature, 'ischedule-relaxed')?.toString('latin1');
}

describe('ischedule-relaxed', () => {
  test('the worked example gives its 541 octets and their SHA-256', () => {
    const input = canonicalHeaders(HEADERS.flat(), NAMES, SIGNATURE, 'ischedule-relaxed') ?? Buffer.alloc(0);
    expect(input.toString('latin1')).toBe(
      [
        'content-type:text/calendar; component=VFREEBUSY; method=REQUEST; charset=utf-8',
        'ischedule-version:1.0',
        'ischedule-message-id:b7c1@gw.example.net',
        'originator:mailto:ann@example.net',
        'recipient:mailto:bob@example.com,mailto:cat@example.com,mailto:dan@example.com',
        'user-agent:gw/1',
        'dkim-signature:v=1; d=example.net; s=isched; t=1795248000; x=1795251600; a=rsa-sha256; q=dns/txt; c=ischedule-relaxed/simple; h=Content-Type:iSchedule-Version:iSchedule-Message-ID:Originator:Recipient:User-Agent; bh=9V/w/g++3+5ReAl+6PP40YBO09KxnuDaaJvsmz/lajc=; b=',
      ].join('\r\n'),
    );
    expect(input.length).toBe(541);
    expect(createHash('sha256').update(input).digest('hex')).toBe(
      '6b7ef32c0ba305f8a5d7d0d66781a447a53310a427a13db919e22a10df134094',
    );
  });

  test.each<[rule: string, value: string, canonical: string]>([
    ['a folded line is unfolded and its white space kept as one space', 'a\r\n\t b', 'x:a b\r\n'],
    ['a run of white space becomes one space', 'a \t  b\tc', 'x:a b c\r\n'],
    ['white space at both ends is deleted', ' \ta ', 'x:a\r\n'],
    ['white space about a comma is deleted', 'a , b,\tc ,', 'x:a,b,c,\r\n'],
    ['a comma between quotes is no exception', '"a , b"', 'x:"a,b"\r\n'],
    ['the value keeps its case', 'MailTo:A@EXAMPLE.com', 'x:MailTo:A@EXAMPLE.com\r\n'],
    ['an octet beyond ASCII stays what it is', '\xc3\xa9', 'x:\xc3\xa9\r\n'],
    ['an empty value leaves the colon', '', 'x:\r\n'],
  ])('%s', (_rule, value, canonical) => {
    expect(relaxed([['X', value]], ['x'])).toBe(`${canonical}dkim-signature:b=`);
  });

  test('headers of one name become one, in order of appearance, however they are spelled', () => {
    const headers = [
      ['A', '1'],
      ['B', 'x'],
      ['a', ''],
      ['A', '2 '],
    ] as const;
    expect(relaxed(headers, ['b', 'A'])).toBe('b:x\r\na:1,,2\r\ndkim-signature:b=');
  });

  test('a name without a header adds nothing', () => {
    expect(relaxed([['A', '1']], ['gone', 'a'])).toBe('a:1\r\ndkim-signature:b=');
  });

  test.each([
    ['v=1; b=abc=', 'v=1; b='],
    ['v=1; b=ab\r\n c d ; bh=x', 'v=1; b=; bh=x'],
    ['b=abc; bh=b=x; v=1', 'b=; bh=b=x; v=1'],
    ['bh=abc;\tb\t= x', 'bh=abc; b ='],
    ['bb=abc; sb=b; b=q;', 'bb=abc; sb=b; b=;'],
  ])('of %j only the contents of b are left out', (value, canonical) => {
    expect(relaxed([], [], value)).toBe(`dkim-signature:${canonical}`);
  });

  test.each(['a\r\nOriginator: b', 'a\nb', 'a\rb', 'a\0b'])('the value %j cannot be signed', (value) => {
    expect(relaxed([['X', value]], ['x'])).toBeUndefined();
  });
});

describe('simple-http', () => {
  test('names are as spelled in h and values as they came, several joined as PHP joins them', () => {
    const headers = ['HOST', 'cal.example.com', 'recipient', 'a@example.com', 'Recipient', 'b@example.com'];
    expect(canonicalHeaders(headers, ['Host', 'Recipient'], 'v=1; b=abc', 'simple-http')?.toString()).toBe(
      'Host: cal.example.com\r\nRecipient: a@example.com, b@example.com\r\nDKIM-Signature: v=1; b=',
    );
  });

  test('Host may be signed, which it may not since', () => {
    expect([mayBeSigned('host', 'simple-http'), mayBeSigned('host', 'ischedule-relaxed')]).toEqual([true, false]);
  });
});

describe('body', () => {
  const hash = (text: string) => bodyHash(Buffer.from(text), 'ischedule-relaxed').toString('base64');

  test('the worked example has its bh', () => {
    expect(bodyHash(BODY, 'ischedule-relaxed').toString('base64')).toBe(TAGS.bh);
  });

  test('an empty body counts as one line end', () => {
    expect(hash('')).toBe('frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=');
    expect(hash('\r\n\r\n')).toBe(hash(''));
  });

  test('line ends at the end count as one', () => {
    expect(hash('a')).toBe(hash('a\r\n'));
    expect(hash('a\r\n\r\n\r\n')).toBe(hash('a\r\n'));
  });

  test('a bare LF or white space at the end counts', () => {
    expect(new Set([hash('a\r\n'), hash('a\n'), hash('a \r\n'), hash('a\r\n\r\n \r\n'), hash('a\r\n\n')]).size).toBe(5);
  });

  test('simple-http takes the octets as they are', () => {
    const plain = (text: string) => bodyHash(Buffer.from(text), 'simple-http').toString('hex');
    expect(plain('a\r\n\r\n')).toBe(createHash('sha256').update('a\r\n\r\n').digest('hex'));
    expect(plain('')).toBe(createHash('sha256').digest('hex'));
  });
});
