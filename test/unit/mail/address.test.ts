import { describe, expect, test } from 'vitest';
import {
  addressKey,
  calendarAddress,
  mailboxOf,
  normalizeDomain,
  parseAddress,
  splitSubAddress,
} from '../../../src/mail/address.ts';

describe('normalizeDomain', () => {
  test.each([
    ['Example.COM', 'example.com'],
    ['example.com.', 'example.com'],
    ['example.com...', 'example.com'],
    ['example.com\u3002.', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['under_score.example', 'under_score.example'],
    ['[192.0.2.1]', '[192.0.2.1]'],
    ['[IPv6:2001:db8::1]', '[IPv6:2001:db8::1]'],
    ['123', '123'],
    // Read as an IPv4 address by domainToASCII.
    ['host.0x10', ''],
    ['a--b.-c.example', 'a--b.-c.example'],
  ])('%s is %s', (given, expected) => {
    expect(normalizeDomain(given)).toBe(expected);
  });

  test.each([
    '',
    'example.com/x',
    'a%2eb',
    'example.com:25',
    'a b.example',
    'a@b.example',
    'a<b',
    'a\tb',
    'x?y',
    'x#y',
    `${'a'.repeat(60)}.`.repeat(5),
  ])('%j is no domain', (given) => {
    expect(normalizeDomain(given)).toBe('');
  });
});

describe('parseAddress', () => {
  test('parts at the last at sign and keeps the local part as written', () => {
    expect(parseAddress('"a@b"@Example.com')).toEqual({ local: '"a@b"', domain: 'example.com' });
  });

  test.each(['bob', '@example.com', 'bob@', 'bob@exa mple.com', 'bob\r\n@example.com', 'b\0b@example.com'])(
    '%j is no address',
    (given) => {
      expect(parseAddress(given)).toBeUndefined();
    },
  );
});

describe('splitSubAddress', () => {
  test('takes the detail off at the first separator', () => {
    expect(splitSubAddress('bob+work+x@example.com', '+')).toEqual({ base: 'bob@example.com', detail: 'work+x' });
  });

  test.each([
    ['bob@example.com', '+'],
    ['+bob@example.com', '+'],
    ['bob+work@example.com', ''],
    ['bob+work@example.com', '-'],
  ])('%s has none with separators %j', (address, separators) => {
    expect(splitSubAddress(address, separators)).toBeUndefined();
  });
});

describe('mailboxOf', () => {
  test.each([
    ['mailto:bob@example.com', 'bob@example.com'],
    ['MAILTO:Bob@Example.COM', 'Bob@example.com'],
    ['mailto:a%2Cb@example.com', 'a,b@example.com'],
    ['mailto:100%@example.com', '100%@example.com'],
    ['mailto:bob@example.com?subject=x', 'bob@example.com'],
    ['mailto:%22a%40b%22@example.com', '"a@b"@example.com'],
  ])('%s names %s', (uri, mailbox) => {
    expect(mailboxOf(uri)).toBe(mailbox);
  });

  test.each([
    'urn:uuid:1',
    'bob@example.com',
    'mailto:',
    'mailto:bob',
    'mailto:a%0Ab@example.com',
    'mailto:bob@example.com,eve@example.org',
    'mailto:bob@example.com%20eve@example.org',
    'mailto:bob%40example.com@example.org',
    'mailto:bob%40example.com%zz@example.org',
    'mailto:"x",bob@example.com,"y"@example.org',
  ])('%s names no mailbox', (uri) => {
    expect(mailboxOf(uri)).toBeUndefined();
  });
});

describe('calendarAddress', () => {
  test('escapes what a header list or a URI would misread, so that it comes back', () => {
    const mailbox = 'a,b;c%d?e@example.com';
    expect(calendarAddress(mailbox)).toBe('mailto:a%2Cb%3Bc%25d%3Fe@example.com');
    expect(mailboxOf(calendarAddress(mailbox))).toBe(mailbox);
  });
});

test('addresses are compared without regard to case, domains in any spelling', () => {
  expect(addressKey('BOB@BÜCHER.example')).toBe(addressKey('bob@xn--bcher-kva.example'));
});
