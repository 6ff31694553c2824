import { describe, expect, test } from 'vitest';
import { addressPolicy } from '../../../../channel/ischedule/guard.ts';

const policy = addressPolicy({ allow: [], own: () => ['198.35.26.96', '2a02:ec80:300:ed1a::1'] });

describe('addresses that a stranger may point us at', () => {
  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '128.0.0.1',
    '169.253.255.255',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2606:4700:4700::1111',
    '2a00:1450:4001:80b::200e',
    '::ffff:8.8.8.8',
  ])('%s', (address) => {
    expect(policy.permits(address)).toBe(true);
  });
});

describe('addresses that nobody may point us at', () => {
  test.each([
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['10.0.0.1', 'private'],
    ['10.255.255.255', 'private'],
    ['100.64.0.1', 'shared (carrier-grade NAT)'],
    ['100.127.255.255', 'shared (carrier-grade NAT)'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.0.0.1', 'reserved'],
    ['192.0.2.1', 'reserved'],
    ['192.31.196.1', 'as112'],
    ['192.52.193.1', 'amt'],
    ['192.88.99.1', 'reserved'],
    ['192.168.1.1', 'private'],
    ['192.175.48.1', 'as112'],
    ['198.18.0.1', 'reserved'],
    ['198.19.255.255', 'reserved'],
    ['198.51.100.1', 'reserved'],
    ['203.0.113.1', 'reserved'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'broadcast'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback'],
    ['::2', 'not an address of the Internet'],
    ['::127.0.0.1', 'not an address of the Internet'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::ffff:10.0.0.1', 'private'],
    ['::FFFF:A9FE:A9FE', 'link-local'],
    ['::ffff:0:127.0.0.1', 'IPv4-translated'],
    ['64:ff9b::7f00:1', 'NAT64'],
    ['64:ff9b::8.8.8.8', 'NAT64'],
    ['64:ff9b:1::1', 'NAT64'],
    ['100::1', 'discard'],
    ['2001::1', 'Teredo'],
    ['2001:2::1', 'benchmarking'],
    ['2001:10::1', 'deprecatedOrchid'],
    ['2001:20::1', 'orchid2'],
    ['2001:db8::1', 'reserved'],
    ['2002:7f00:1::', '6to4'],
    ['2002:808:808::1', '6to4'],
    ['3fff::1', 'reserved'],
    ['4000::1', 'not an address of the Internet'],
    ['5f00::1', 'segmentRouting'],
    ['fc00::1', 'private'],
    ['fd12:3456::1', 'private'],
    ['fe80::1', 'link-local'],
    ['fe80::1%lo', 'link-local'],
    ['2a00:1450::1%eth0', 'link-local'],
    ['fec0::1', 'private'],
    ['ff02::1', 'multicast'],
    ['198.35.26.96', 'one of our own'],
    ['::ffff:198.35.26.96', 'one of our own'],
    ['2a02:ec80:300:ed1a::1', 'one of our own'],
    ['2A02:EC80:300:ED1A:0:0:0:1', 'one of our own'],
    ['2130706433', 'not an IP address'],
    ['0x7f000001', 'not an IP address'],
    ['0177.0.0.1', 'not an IP address'],
    ['127.1', 'not an IP address'],
    ['[::1]', 'not an IP address'],
    ['localhost', 'not an IP address'],
    ['', 'not an IP address'],
  ])('%s: %s', (address, reason) => {
    expect(policy.permits(address)).toBe(reason);
  });
});

test('what the configuration allows is permitted, in every spelling, and nothing beside it', () => {
  const lab = addressPolicy({ allow: ['127.0.0.0/8', 'fd00::/8', '198.35.26.96'], own: () => ['198.35.26.96', '::1'] });
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', 'fd00::5', '198.35.26.96'])
    expect(lab.permits(address)).toBe(true);
  expect(lab.permits('10.0.0.1')).toBe('private');
  expect(lab.permits('::1')).toBe('loopback');
});

test('addresses of this machine are asked for anew at each judgement', () => {
  let own = ['8.8.8.8'];
  const moving = addressPolicy({ allow: [], own: () => own });
  expect(moving.permits('8.8.8.8')).toBe('one of our own');
  own = ['fe80::1%eth0', 'garbage', '8.8.4.4'];
  expect(moving.permits('8.8.8.8')).toBe(true);
  expect(moving.permits('8.8.4.4')).toBe('one of our own');
});

test('the interfaces are looked at when nothing else is said', () => {
  expect(addressPolicy({ allow: [] }).permits('127.0.0.1')).toBe('loopback');
});

test('an allowed network that is none is refused by name', () => {
  expect(() => addressPolicy({ allow: ['10.0.0.0/8', 'lab'] })).toThrow('got "lab"');
});
