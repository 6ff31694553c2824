import { expect, test } from 'vitest';
import { publicSuffixOf } from '../../../../channel/ischedule/public-suffix.ts';

test.each([
  ['mail.example.com', 'com'],
  ['example.co.uk', 'co.uk'],
  ['a.b.example.co.uk', 'co.uk'],
  ['someone.github.io', 'github.io'],
  ['github.io', 'github.io'],
  ['x.city.kawasaki.jp', 'kawasaki.jp'],
  ['a.b.kobe.jp', 'b.kobe.jp'],
  ['a.example.test', 'test'],
  ['com', 'com'],
  ['xn--85x722f.com.cn', 'com.cn'],
])('strangers register names below the suffix of %s, %s', (domain, suffix) => {
  expect(publicSuffixOf(domain)).toBe(suffix);
});
