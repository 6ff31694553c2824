import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { parseNetworks } from '../../src/mail/network.ts';

/** Which addresses a connection may go to when a stranger chose the name. */
export type AddressPolicy = {
  /**
   * @param address IPv4 or IPv6 without brackets
   * @returns true, or why not: `loopback`, `private`, `one of our own` …
   */
  permits(address: string): true | string;
};

/** All of IPv6 that is handed out to networks (RFC 4291 §2.4); what lies outside is no address of a server. */
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3');

/**
 * Permits plain public unicast addresses and nothing else: no loopback, link-local, private, shared, multicast, reserved or
 * documentation range, no form that carries another address within (IPv4-mapped ones are judged as IPv4; NAT64, 6to4,
 * Teredo and IPv4-compatible ones are refused), and none of our own.
 * @param options.allow addresses and CIDR blocks that are permitted all the same
 * @param options.own addresses of this machine, asked at each judgement for they change; its interfaces' when absent
 * @throws RangeError naming the first of `allow` that is neither
 */
export function addressPolicy(options: {
  readonly allow: readonly string[];
  readonly own?: () => readonly string[];
}): AddressPolicy {
  const allowed = parseNetworks(options.allow);
  const own = options.own ?? interfaceAddresses;
  return {
    permits(address) {
      // Only the strict spellings: what `isIP` takes is what a socket would connect to.
      if (isIP(address) === 0) return 'not an IP address';
      if (address.includes('%')) return 'link-local';
      const parsed = parse(address);
      const plain = parsed.toString();
      if (allowed.contains(plain)) return true;
      const range = parsed.range();
      if (range !== 'unicast') return WORDS[range] ?? range;
      if (parsed.kind() === 'ipv6' && !parsed.match(GLOBAL_UNICAST)) return 'not an address of the Internet';
      return own().some((mine) => isIP(mine) !== 0 && !mine.includes('%') && parse(mine).toString() === plain)
        ? 'one of our own'
        : true;
    },
  };
}

/** @param address that `isIP` takes, without zone; an IPv4-mapped one becomes IPv4 */
function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  // ipaddr.js would read `::127.0.0.1` as 127.0.0.1; a socket does not. In hexadecimal they agree.
  const plain = isIP(address) === 6 ? new URL(`http://[${address}]/`).hostname.slice(1, -1) : address;
  return ipaddr.process(plain);
}

const WORDS: Readonly<Record<string, string>> = {
  linkLocal: 'link-local',
  carrierGradeNat: 'shared (carrier-grade NAT)',
  uniqueLocal: 'private',
  deprecatedSiteLocal: 'private',
  rfc6052: 'NAT64',
  rfc6145: 'IPv4-translated',
  teredo: 'Teredo',
};

/** Addresses of this machine's interfaces. */
export function interfaceAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}
