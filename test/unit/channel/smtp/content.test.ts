import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Content, ContentLostError, ContentRefusedError } from '../../../../channel/smtp/content.ts';
import { reply } from '../../../../src/mail/status.ts';

const LIMITS = { maxSizeBytes: 100_000_000, bareNewline: 'normalize' } as const;

async function read(content: Content): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('without a reader the stream is paused after 256 KiB, and a reader that comes late gets all of it', async () => {
  const stream = new PassThrough();
  const content = new Content(stream, LIMITS, () => {});
  const body = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(2000));
  for (let at = 0; at < body.length; at += 65_536) stream.write(body.subarray(at, at + 65_536));
  stream.end();
  while (!stream.isPaused()) await setImmediate();
  expect(stream.readableLength + stream.writableLength).toBeGreaterThan(body.length - 400_000);
  expect((await read(content)).equals(body)).toBe(true);
  expect(await content.settled).toBe(true);
});

test('a reader that leaves early does not keep the rest from being read off', async () => {
  const stream = new PassThrough();
  const content = new Content(stream, LIMITS, () => {});
  stream.write('first\r\n');
  for await (const chunk of content) {
    expect(chunk.toString()).toBe('first\r\n');
    break;
  }
  stream.end(Buffer.alloc(1_000_000));
  expect(await content.settled).toBe(true);
  expect(stream.readableLength).toBe(0);
});

test('an error waits for a reader that comes late', async () => {
  const stream = new PassThrough();
  const content = new Content(stream, LIMITS, () => {});
  stream.end('a\r\n');
  content.fail(new ContentRefusedError(reply('5.6.0', 'no')));
  expect(await content.settled).toBe(true);
  await expect(read(content)).rejects.toThrow(ContentRefusedError);
});

test('a stream that closes without its end, with or without an error, is a lost message', async () => {
  for (const error of [undefined, new Error('reset')]) {
    const stream = new PassThrough();
    const content = new Content(stream, LIMITS, () => {});
    stream.write('half');
    stream.destroy(error);
    await expect(read(content)).rejects.toThrow(ContentLostError);
    expect(await content.settled).toBe(false);
  }
});
