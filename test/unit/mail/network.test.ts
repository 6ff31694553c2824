import { expect, test } from 'vitest';
import { parseNetworks } from '../../../src/mail/network.ts';

test('an address belongs to a network by its bits, in both families and IPv4-mapped', () => {
  const networks = parseNetworks(['192.0.2.0/24', ' 198.51.100.7', '2001:db8::/32', '::1']);
  const inside = ['192.0.2.0', '192.0.2.255', '198.51.100.7', '2001:db8:ffff::1', '::1', '::ffff:192.0.2.9'];
  const outside = ['192.0.3.0', '198.51.100.8', '2001:db9::1', '::2', '::ffff:192.0.3.9', 'example.org', ''];
  expect(inside.filter((address) => !networks.contains(address))).toEqual([]);
  expect(outside.filter((address) => networks.contains(address))).toEqual([]);
});

test('no networks hold nobody', () => {
  expect(parseNetworks([]).contains('127.0.0.1')).toBe(false);
});

test.each(['192.0.2.0/33', '2001:db8::/129', '192.0.2', '192.0.2.0/', '192.0.2.0/24/1', '192.0.2.0/-1', '*', ''])(
  '%j is refused by name',
  (entry) => {
    expect(() => parseNetworks([entry])).toThrow(
      `got "${entry}", need an IP address or a CIDR block such as 192.0.2.0/24`,
    );
  },
);
