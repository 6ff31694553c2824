import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { newKey } from '../../../src/commands/keys.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imipd-keys-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

test('a new key is for its owner alone, and its records stand as a zone file takes them', async () => {
  let printed = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text;
    return true;
  });
  const out = join(folder, 'key.pem');
  const names = { domain: 'example.com', selector: 'cal1', host: 'gateway.example.com' };
  await newKey({ ...names, bits: '2048', port: '443', path: '/ischedule', out });
  expect(statSync(out).mode & 0o777).toBe(0o600);
  const [, zone = ''] = printed.split('In the DNS:\n');
  const owners = zone.split('\n').filter((line) => line.includes(' IN '));
  expect(owners.map((line) => line.slice(0, line.indexOf(' IN ')))).toEqual([
    'cal1._domainkey.example.com.',
    '_ischedules._tcp.example.com.',
    '_ischedules._tcp.example.com.',
    '_domainkey_lookup._tcp.example.com.',
  ]);
  // All that a person has to know first stands in comments.
  const rest = zone.split('Once they are published')[0]?.split('\n') ?? [];
  expect(rest.filter((line) => line !== '' && !/^(?:;|\S+ IN | {4}")/.test(line))).toEqual([]);
});
