import { BlockList, isIP } from 'node:net';

export type Networks = {
  /** Whether the address, IPv4, IPv6 or IPv4-mapped, belongs to one of the networks. False for what is no address. */
  contains(address: string): boolean;
};

/**
 * Networks from addresses and CIDR blocks such as `192.0.2.0/24`, `2001:db8::/32`, `::1`.
 * @throws RangeError naming the first entry that is neither
 */
export function parseNetworks(entries: readonly string[]): Networks {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', prefix, ...rest] = entry.trim().split('/');
    const family = isIP(address);
    const bits = prefix === undefined ? undefined : Number(prefix);
    const wrong = family === 0 || rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix));
    if (wrong || (bits ?? 0) > (family === 4 ? 32 : 128)) {
      throw new RangeError(`got "${entry}", need an IP address or a CIDR block such as 192.0.2.0/24`);
    }
    const type = family === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, type);
    else list.addSubnet(address, bits, type);
  }
  return {
    contains(address) {
      const family = isIP(address);
      return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
    },
  };
}
