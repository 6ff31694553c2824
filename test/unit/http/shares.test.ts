import { expect, test } from 'vitest';
import { networkOf, Shares } from '../../../src/http/shares.ts';

test('a client gets no more than its share until it gives something back, and others get theirs', () => {
  const shares = new Shares(2);
  const first = shares.take('192.0.2.1');
  expect(shares.take('::ffff:192.0.2.1')).toBeDefined();
  expect(shares.take('192.0.2.1')).toBeUndefined();
  expect(shares.take('192.0.2.2')).toBeDefined();
  first?.();
  expect(shares.take('192.0.2.1')).toBeDefined();
  expect(shares.take('192.0.2.1')).toBeUndefined();
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
  ['2001:db8:1:2::9', '2001:db8:1:2::'],
  ['2001:db8::1', '2001:db8:0:0::'],
  ['2001::1:2:3:4:5:6', '2001:0:1:2::'],
  ['::1', '0:0:0:0::'],
  ['fe80::1%eth0', 'fe80:0:0:0::'],
  ['', ''],
])('%j is of %j', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
