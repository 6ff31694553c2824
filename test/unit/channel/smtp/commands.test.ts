import { describe, expect, test } from 'vitest';
import { parseForwarded, parseMail, parseRcpt } from '../../../../channel/smtp/commands.ts';

function answerTo(result: ReturnType<typeof parseMail> | ReturnType<typeof parseRcpt>): string {
  return result.kind === 'refused' ? `${result.reply.code} ${result.reply.status}` : 'accepted';
}

describe('MAIL', () => {
  const cases: [string, string][] = [
    ['MAIL FROM:<>', 'accepted'],
    ['mail from: <a@example.org>', 'accepted'],
    ['MAIL FROM:<a@example.org> ', 'accepted'],
    ['MAIL FROM:<a@example.org> SIZE=1000000', 'accepted'],
    ['MAIL FROM:<a@example.org> SIZE=1000001', '552 5.3.4'],
    ['MAIL FROM:<a@example.org> SIZE=99999999999999999999', '552 5.3.4'],
    ['MAIL FROM:<a@example.org> SIZE=1k', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> SIZE', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> BODY=BINARYMIME', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> SMTPUTF8=yes', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> RET=ALL', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> RET=FULL RET=HDRS', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> ENVID=a+0D+0Ab', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> ENVID=a+zz', '501 5.5.4'],
    ['MAIL FROM:<a@example.org> AUTH=<>', '555 5.5.4'],
    ['MAIL FROM:<a@example.org> REQUIRETLS', '555 5.5.4'],
    ['MAIL FROM:<a@example.org> NOTIFY=NEVER', '555 5.5.4'],
    ['MAIL FROM:<a@example.org> CONSTRUCTOR=1', '555 5.5.4'],
    ['MAIL FROM:<a@example.org> __proto__=1', '555 5.5.4'],
    ['MAIL FROM:<a@example.org>BODY=7BIT', '501 5.1.7'],
    ['MAIL FROM:a@example.org', '501 5.1.7'],
    ['MAIL FROM:<root>', '501 5.1.7'],
    ['MAIL TO:<a@example.org>', '501 5.1.7'],
    ['MAIL', '501 5.1.7'],
  ];
  test.each(cases)('%s is answered %s', (line, expected) => {
    expect(answerTo(parseMail(line, 1_000_000))).toBe(expected);
  });
});

describe('RCPT', () => {
  const cases: [string, string][] = [
    ['RCPT TO:<bob@example.com>', 'bob@example.com'],
    ['RCPT TO:<"a b"@example.com>', '"a b"@example.com'],
    ['RCPT TO:<"a@b>c"@example.com>', '"a@b>c"@example.com'],
    ['RCPT TO:<user.@example.com>', 'user.@example.com'],
    ['RCPT TO:<a..b@example.com>', 'a..b@example.com'],
    ['RCPT TO:<bob@under_score.example.com>', 'bob@under_score.example.com'],
    ['RCPT TO:<bob@[192.0.2.1]>', 'bob@[192.0.2.1]'],
    ['RCPT TO:<bob@[IPv6:2001:db8::1]>', 'bob@[IPv6:2001:db8::1]'],
    ['RCPT TO:<@a.example,@b.example:bob@example.com>', 'bob@example.com'],
    ['RCPT TO:<postmaster>', 'postmaster@gw.example.com'],
    ['RCPT TO:<bob@Example.COM>', 'bob@example.com'],
    ['RCPT TO:<>', '501 5.1.3'],
    ['RCPT TO:<bob>', '501 5.1.3'],
    ['RCPT TO:<bob@>', '501 5.1.3'],
    ['RCPT TO:<@example.com>', '501 5.1.3'],
    ['RCPT TO:<bob@example..com>', '501 5.1.3'],
    ['RCPT TO:<bob@example.com/x>', '501 5.1.3'],
    ['RCPT TO:<bob@[300.1.1.1]>', '501 5.1.3'],
    ['RCPT TO:<a b@example.com>', '501 5.1.3'],
    ['RCPT TO:<bob@example.com', '501 5.1.3'],
    ['RCPT TO:<bob\u0001@example.com>', '501 5.1.3'],
    ['RCPT TO:<b\ufffdb@example.com>', '501 5.1.3'],
    [`RCPT TO:<${'x'.repeat(600)}@example.com>`, '501 5.1.3'],
    ['RCPT TO:<bob@example.com> NOTIFY=NEVER,SUCCESS', '501 5.5.4'],
    ['RCPT TO:<bob@example.com> NOTIFY=', '501 5.5.4'],
    ['RCPT TO:<bob@example.com> ORCPT=bob@example.com', '501 5.5.4'],
    ['RCPT TO:<bob@example.com> ORCPT=rfc822;bob+tag@example.com', '501 5.5.4'],
    ['RCPT TO:<bob@example.com> FOO=BAR', '555 5.5.4'],
    ['RCPT TO:<bob@example.com> SIZE=1', '555 5.5.4'],
  ];
  test.each(cases)('%s gives %s', (line, expected) => {
    const result = parseRcpt(line, 'gw.example.com');
    expect(result.kind === 'rcpt' ? result.recipient.address : answerTo(result)).toBe(expected);
  });

  test('ORCPT is decoded from xtext, UTF-8 octets included, and an RFC 6533 address stays as it is', () => {
    const orcpt = (value: string) => {
      const result = parseRcpt(`RCPT TO:<bob@example.com> ORCPT=${value}`, 'gw.example.com');
      return result.kind === 'rcpt' ? result.recipient.orcpt : undefined;
    };
    expect(orcpt('rfc822;bob+2Btag+3dx@example.com')).toBe('rfc822;bob+tag=x@example.com');
    expect(orcpt('rfc822;j+C3+B6rg@example.com')).toBe('rfc822;jörg@example.com');
    expect(orcpt('utf-8;j\\x{F6}rg@example.com')).toBe('utf-8;j\\x{F6}rg@example.com');
    expect(orcpt('rfc822;j+F6rg@example.com')).toBeUndefined();
  });
});

test('a long line that almost parses is refused in no time', () => {
  for (const path of ['"'.repeat(8000), '"\\'.repeat(4000), 'a.'.repeat(4000), '@a:'.repeat(2700), ' '.repeat(8000)]) {
    expect(answerTo(parseRcpt(`RCPT TO:<${path}`, 'gw.example.com'))).toBe('501 5.1.3');
    expect(answerTo(parseRcpt(`RCPT TO:<${path}>`, 'gw.example.com'))).toBe('501 5.1.3');
  }
});

describe('XFORWARD', () => {
  test('gives what is known and leaves out what is not', () => {
    const line =
      'XFORWARD NAME=mx+2Dout.example.org ADDR=IPv6:2001:db8::7 PORT=4711 PROTO=esmtp HELO=[UNAVAILABLE] IDENT=4A SOURCE=REMOTE';
    expect(parseForwarded(line)).toEqual({ name: 'mx-out.example.org', address: '2001:db8::7', protocol: 'ESMTP' });
    expect(parseForwarded('XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]')).toEqual({});
  });
  test.each([
    'XFORWARD',
    'XFORWARD FOO=bar',
    'XFORWARD ADDR=example.org',
    'XFORWARD NAME=a+0Db',
    'XFORWARD NAME',
    'XFORWARD HELO=a=b',
  ])('%s is refused', (line) => {
    expect(parseForwarded(line)).toBeUndefined();
  });
});
