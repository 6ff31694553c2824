import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LineWriter } from '../../../src/observe/line-writer.ts';

async function folder(): Promise<{ readonly path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'imipd-lines-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function open(to: string | number): { readonly writer: LineWriter; readonly troubles: string[] } {
  const troubles: string[] = [];
  const writer = new LineWriter({
    to,
    onTrouble: (text) => void troubles.push(text),
    lostLine: (count) => `${count} lost\n`,
  });
  return { writer, troubles };
}

describe('the writer of the log', () => {
  test('keeps lines whole and in order, over many batches', async () => {
    await using dir = await folder();
    const { writer, troubles } = open(join(dir.path, 'log'));
    const lines = Array.from({ length: 2000 }, (_, index) => `line ${index} ä\n`);
    for (const [index, line] of lines.entries()) {
      writer.write(line);
      if (index % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await writer.close();
    expect(await readFile(join(dir.path, 'log'), 'utf8')).toBe(lines.join(''));
    expect(troubles).toEqual([]);
  });

  test('says at once that a file cannot be opened', () => {
    expect(() => open('/nowhere/at/all/log')).toThrow(/ENOENT/);
  });

  test('goes on in a new file after the old one was renamed', async () => {
    await using dir = await folder();
    const file = join(dir.path, 'log');
    const { writer } = open(file);
    writer.write('before\n');
    await rename(file, `${file}.1`);
    writer.flush();
    writer.reopen();
    writer.write('after\n');
    await writer.close();
    expect(await readFile(`${file}.1`, 'utf8')).toBe('before\n');
    expect(await readFile(file, 'utf8')).toBe('after\n');
  });

  test.skipIf(!existsSync('/dev/full'))('a full disk stops nobody, and its end ends the loss', async () => {
    await using dir = await folder();
    const file = join(dir.path, 'log');
    await symlink('/dev/full', file);
    const { writer, troubles } = open(file);
    writer.write('first\n');
    writer.flush();
    await expect
      .poll(() => troubles)
      .toEqual([`the log ${file} cannot be written (ENOSPC); lines are held until it can, up to 4 MB`]);
    const long = `${'x'.repeat(999_999)}\n`;
    for (let index = 0; index < 7; index++) writer.write(long);
    writer.flush();
    await rm(file);
    writer.reopen();
    await expect.poll(async () => (await readFile(file, 'utf8')).length).toBe(4_000_006);
    writer.write('last\n');
    await writer.close();
    expect(await readFile(file, 'utf8')).toBe(`first\n${long.repeat(4)}3 lost\nlast\n`);
    expect(troubles).toHaveLength(1);
  });

  test.skipIf(!existsSync('/dev/full'))('closes although the disk is full', async () => {
    const { writer, troubles } = open('/dev/full');
    writer.write('a line\n');
    await writer.close();
    expect(troubles).toHaveLength(1);
  });
});
