import { expect, test } from 'vitest';
import { embedUnicode, encodeOrcpt, encodeXtext } from '../../../src/mail/xtext.ts';

test('xtext escapes +, =, spaces, controls and octets over 126', () => {
  expect(encodeXtext('a+b=c d\r\n\u007fü~!')).toBe('a+2Bb+3Dc+20d+0D+0A+7F+C3+BC~!');
});

test('ORCPT stays ASCII: rfc822 in xtext, internationalized addresses in the embedded form', () => {
  expect(
    [
      'rfc822;Bob+x@example.com',
      'utf-8;jürgen+x@example.com',
      'rfc822;jürgen@example.com',
      'utf-8;j\\x{FC}rgen@example.com',
    ].map(encodeOrcpt),
  ).toEqual([
    'rfc822;Bob+2Bx@example.com',
    'utf-8;j\\x{FC}rgen\\x{2B}x@example.com',
    'utf-8;j\\x{FC}rgen@example.com',
    'utf-8;j\\x{FC}rgen@example.com',
  ]);
});

test('the embedded form reaches beyond the basic plane', () => {
  expect(embedUnicode('a ü 😀\n')).toBe('a \\x{FC} \\x{1F600}\\x{0A}');
});
