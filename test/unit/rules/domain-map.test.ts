import { describe, expect, test } from 'vitest';
import { lookupDomain, parseDomainMap, patternsAbove } from '../../../rules/domain-map.ts';

const URL_A = 'http://a.example.com:8080/ischedule/';
const PROFILES = 'generic, cyrus, oracle-v7, oracle-v6, davical, apple, bedework';
const URL_B = 'https://b.example.com/ischedule/';

function parse(text: string) {
  return parseDomainMap(text, 'map.properties');
}

describe('a domain map is read as java.util.Properties reads it', () => {
  test.each([
    ['an equals sign', `example.com=${URL_A}`],
    ['a colon', `example.com:${URL_A}`],
    ['white space', `example.com \t\f${URL_A}`],
    ['an equals sign among white space', `example.com = ${URL_A}`],
    ['leading white space', ` \t\fexample.com=${URL_A}`],
    ['CRLF', `example.com=${URL_A}\r\n`],
    ['CR alone', `#comment\rexample.com=${URL_A}\r`],
    ['the escapes of the product itself', 'example.com=http\\://a.example.com\\:8080/ischedule/'],
    ['an escaped character that needs no escape', `e\\xample.com=${URL_A}`],
    ['a Unicode escape', `\\u0065xample.com=${URL_A}`],
    ['upper case', `EXAMPLE.Com=${URL_A}`],
    ['a continuation line', 'example.com=http://a.example.com\\\n   :8080/ischedule/'],
    ['a continuation within the domain', `exam\\\r\n\tple.com=${URL_A}`],
    ['a backslash at the end of the file', `example.com=${URL_A}\\`],
    ['white space among which a colon stands', `example.com\t: ${URL_A}`],
    ['an escaped separator within the domain', `example\\.com=${URL_A}`],
    ['an escaped blank that begins the URL', `example.com=\\ ${URL_A}`],
    ['lines that end in all three ways', `\r\n\r#x\n\rexample.com=\\\r${URL_A}\n\r\n`],
    ['a continuation that ends at CR', `example.com=http://a.example.com:8080\\\r/ischedule/`],
    ['three backslashes, the last of which continues', `e\\xample.com=http\\:\\\n//a.example.com:8080/ischedule/`],
    ['a continuation that an empty line ends', `example.com=${URL_A}\\\n\n# next`],
    ['a backslash before nothing', `\\\n\nexample.com=${URL_A}`],
    ['a final dot', `example.com.=${URL_A}`],
  ])('%s', (_, text) => {
    const { entries, problems } = parse(text);
    expect(problems).toEqual([]);
    expect(entries.map(({ domain, url }) => ({ domain, url }))).toEqual([{ domain: 'example.com', url: URL_A }]);
  });

  test('comments and blank lines are passed over, and a comment is not continued', () => {
    const text = ['# one \\', `a.test=${URL_A}`, '', ' \t ', '! two', `b.test=${URL_B}`, ''].join('\n');
    expect(parse(text)).toEqual({
      entries: [
        { domain: 'a.test', url: URL_A, line: 2 },
        { domain: 'b.test', url: URL_B, line: 6 },
      ],
      problems: [],
    });
  });

  test('a line after a backslash is no comment although it begins with #', () => {
    const { entries, problems } = parse(`example.com=http://a.example.com/\\\n#x`);
    expect(entries).toEqual([]);
    expect(problems).toEqual([
      { line: 1, kind: 'error', text: 'got the URL "http://a.example.com/#x", need one with http:// or https://' },
    ]);
  });

  test('an even number of backslashes does not continue the line', () => {
    const { entries } = parse(`a.test=http://a.test/x\\\\\nb.test=${URL_B}`);
    expect(entries.map(({ domain, url, line }) => [domain, url, line])).toEqual([
      ['a.test', 'http://a.test/x\\', 1],
      ['b.test', URL_B, 2],
    ]);
  });

  test('the line of a continued entry is its first one', () => {
    expect(parse(`\n\nexample.com=\\\n\\\n${URL_A}\nb.test=${URL_B}`).entries.map(({ line }) => line)).toEqual([3, 6]);
  });

  test('the last of equal domains wins, and the map says so', () => {
    expect(parse(`example.com=${URL_A}\nExample.COM=${URL_B}`)).toEqual({
      entries: [{ domain: 'example.com', url: URL_B, line: 2 }],
      problems: [{ line: 2, kind: 'note', text: 'example.com stands in line 1 too; this later line is used' }],
    });
  });

  test('a byte order mark is taken off with a note', () => {
    const { entries, problems } = parse(`\uFEFFexample.com=${URL_A}`);
    expect(entries).toEqual([{ domain: 'example.com', url: URL_A, line: 1 }]);
    expect(problems.map(({ line, kind }) => ({ line, kind }))).toEqual([{ line: 1, kind: 'note' }]);
  });

  test('an internationalised domain is kept as A-labels, whether it was written or escaped', () => {
    const { entries } = parse(`bücher.example=${URL_A}\n*.b\\u00fccher.example=${URL_B}`);
    expect(entries.map(({ domain }) => domain)).toEqual(['xn--bcher-kva.example', '*.xn--bcher-kva.example']);
  });
});

describe('our own additions to the format', () => {
  test('any subdomain, any domain, and a profile', () => {
    expect(parse(`*.example.com=${URL_A} profile=cyrus\n*=${URL_B}\t profile=oracle-v6`)).toEqual({
      entries: [
        { domain: '*.example.com', url: URL_A, profile: 'cyrus', line: 1 },
        { domain: '*', url: URL_B, profile: 'oracle-v6', line: 2 },
      ],
      problems: [],
    });
  });
});

describe('a line that cannot be used is left out with the reason', () => {
  test.each([
    ['example.com', 'example.com has no URL, need example.com=https://calendar.example.com/ischedule/'],
    ['example.com=', 'example.com has no URL, need example.com=https://calendar.example.com/ischedule/'],
    ['=http://a.test/', 'got the domain "", need a mail domain, *.domain or *'],
    ['a b.test=http://a.test/', 'got the URL "b.test=http://a.test/", need one with http:// or https://'],
    ['bob@a.test=http://a.test/', 'got the domain "bob@a.test", need a mail domain, *.domain or *'],
    ['*a.test=http://a.test/', 'got the domain "*a.test", need a mail domain, *.domain or *'],
    ['*.*=http://a.test/', 'got the domain "*.*", need a mail domain, *.domain or *'],
    ['a.test=ftp://a.test/', 'got the URL "ftp://a.test/", need one with http:// or https://'],
    ['a.test=a.test:8080/ischedule', 'got the URL "a.test:8080/ischedule", need one with http:// or https://'],
    ['a.test=http://', 'got the URL "http://", need one with http:// or https://'],
    [
      'a.test=http://bob:geheim@a.test/',
      'got a URL with a user name or password in it, need one without: URLs are logged',
    ],
    ['a.test=http://a.test/ profil=cyrus', 'got the option "profil=cyrus", need profile=NAME'],
    ['a.test=http://a.test/ cyrus', 'got the option "cyrus", need profile=NAME'],
    ['a.test=http://a.test/ profile=exchange', `got the profile "exchange", need one of ${PROFILES}`],
    ['a.test=http://a.test/x\\ny', 'got the URL "http://a.test/x\\ny", need one with http:// or https://'],
    ['a.test==http://a.test/', 'got the URL "=http://a.test/", need one with http:// or https://'],
    ['a.test=http://a.test/ profile=cyrus=x', `got the profile "cyrus=x", need one of ${PROFILES}`],
    ['a.test=http://a.test/\\u+123', 'got a broken \\u escape, need \\u and four hexadecimal digits'],
    ['a.test=http://a.test/\\u12', 'got a broken \\u escape, need \\u and four hexadecimal digits'],
  ])('%s', (text, reason) => {
    expect(parse(`# first\n${text}\n`)).toEqual({ entries: [], problems: [{ line: 2, kind: 'error', text: reason }] });
  });
});

describe('looking a domain up', () => {
  const { entries } = parse(
    [
      `example.com=${URL_A}`,
      `*.example.com=${URL_A} profile=generic`,
      `*.sales.example.com=${URL_A} profile=cyrus`,
      `*=${URL_B} profile=apple`,
    ].join('\n'),
  );

  test.each([
    ['example.com', 1],
    ['EXAMPLE.com.', 1],
    ['a.example.com', 2],
    ['sales.example.com', 2],
    ['eu.sales.example.com', 3],
    ['a.eu.sales.example.com', 3],
    ['badexample.com', 4],
    ['com', 4],
  ])('%s is answered by line %i', (domain, line) => {
    expect(lookupDomain(entries, domain)?.line).toBe(line);
  });

  test('without * a domain that no line covers has no entry', () => {
    const own = entries.filter(({ domain }) => domain !== '*');
    expect(lookupDomain(own, 'example.org')).toBeUndefined();
    expect(lookupDomain([], 'example.com')).toBeUndefined();
  });

  test.each([
    ['a.b.example.com', ['*.b.example.com', '*.example.com', '*.com', '*']],
    ['*.example.com', ['*.com', '*']],
    ['com', ['*']],
    ['*', []],
  ])('above %s stand, the nearest first, the lines that cover it too', (domain, above) => {
    expect(patternsAbove(domain)).toEqual(above);
  });

  test('what is no domain has no entry, even with *', () => {
    expect(lookupDomain(entries, '')).toBeUndefined();
  });
});
