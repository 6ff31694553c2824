import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FileWatcher } from '../../../src/config/file-watcher.ts';
import { ConfigFolder } from './folder.ts';

/** A watcher of `map`, and what it has reported. */
async function scene(folder: ConfigFolder) {
  const map = folder.write('map', 'one');
  const reported: string[] = [];
  const watcher = new FileWatcher({
    onChange: async () => void reported.push('changed'),
    onGone: () => void reported.push('gone'),
  });
  await watcher.watch([map]);
  return { map, watcher, reported };
}

describe('a watched file', () => {
  test('that stays as it is is not reported', async () => {
    using folder = new ConfigFolder();
    const { watcher, reported } = await scene(folder);
    for (let look = 0; look < 3; look++) await watcher.look();
    expect(reported).toEqual([]);
  });

  test('is reported once, when it looks the same for the second time', async () => {
    using folder = new ConfigFolder();
    const { watcher, reported } = await scene(folder);
    for (const half of ['two', 'two and', 'two and three']) {
      folder.write('map', half);
      await watcher.look();
      expect(reported).toEqual([]);
    }
    for (let look = 0; look < 3; look++) await watcher.look();
    expect(reported).toEqual(['changed']);
  });

  test('that vanishes is reported gone once, and changed when it is back', async () => {
    using folder = new ConfigFolder();
    const { map, watcher, reported } = await scene(folder);
    rmSync(map);
    for (let look = 0; look < 3; look++) await watcher.look();
    expect(reported).toEqual(['gone']);
    folder.write('map', 'one');
    for (let look = 0; look < 3; look++) await watcher.look();
    expect(reported).toEqual(['gone', 'changed']);
  });

  test('that is away only while another takes its place is not gone', async () => {
    using folder = new ConfigFolder();
    const { map, watcher, reported } = await scene(folder);
    rmSync(map);
    await watcher.look();
    folder.write('map', 'two');
    for (let look = 0; look < 2; look++) await watcher.look();
    expect(reported).toEqual(['changed']);
  });

  test('that was taken as it is now is not reported for what it was before', async () => {
    using folder = new ConfigFolder();
    const { watcher, reported } = await scene(folder);
    folder.write('map', 'two');
    await watcher.take();
    for (let look = 0; look < 3; look++) await watcher.look();
    expect(reported).toEqual([]);
    expect(await watcher.isBeingWritten()).toBe(false);
    folder.write('map', 'and more');
    expect(await watcher.isBeingWritten()).toBe(true);
  });
});
