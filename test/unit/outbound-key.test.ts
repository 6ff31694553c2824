import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OutboundKeyError, openOutboundKey } from '../../src/outbound-key.ts';

describe('the secret of VERP addresses', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imipd-key-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('is made at the first start, for its owner alone, and read afterwards', async () => {
    const state = join(folder, 'new', 'state');
    const made = await openOutboundKey(state);
    const { mode } = await stat(join(state, 'outbound.key'));
    expect({ length: made.length, mode: mode & 0o777, again: await openOutboundKey(state) }).toEqual({
      length: 32,
      mode: 0o600,
      again: made,
    });
  });

  test('is one, although two start at the same time', async () => {
    const keys = await Promise.all([openOutboundKey(folder), openOutboundKey(folder)]);
    const kept = await readFile(join(folder, 'outbound.key'));
    expect({ keys, files: await readdir(folder) }).toEqual({ keys: [kept, kept], files: ['outbound.key'] });
  });

  const wrong: readonly [what: string, mode: number, octets: number, text: string][] = [
    [
      'others may read',
      0o644,
      32,
      'is open to others (mode 644), who could forge bounces with it; chmod 600 it, or remove it for a new one',
    ],
    [
      'the group may write',
      0o620,
      32,
      'is open to others (mode 620), who could forge bounces with it; chmod 600 it, or remove it for a new one',
    ],
    [
      'is cut short',
      0o600,
      31,
      'has 31 octets, need 32; restore it from a backup, or remove it for a new one (bounces of mail that has left already are then refused)',
    ],
  ];
  test.each(wrong)('is refused when the file %s', async (_, mode, octets, text) => {
    const path = join(folder, 'outbound.key');
    await writeFile(path, Buffer.alloc(octets, 7));
    await chmod(path, mode);
    await expect(openOutboundKey(folder)).rejects.toEqual(new OutboundKeyError(`${path} ${text}`));
  });

  test('is refused when the file is a link', async () => {
    await writeFile(join(folder, 'elsewhere'), Buffer.alloc(32), { mode: 0o600 });
    await symlink('elsewhere', join(folder, 'outbound.key'));
    await expect(openOutboundKey(folder)).rejects.toThrow('outbound.key is a link, need the file itself');
  });
});
