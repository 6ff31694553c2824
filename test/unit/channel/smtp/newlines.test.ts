import { expect, test } from 'vitest';
import { NewlineNormalizer } from '../../../../channel/smtp/newlines.ts';

function normalize(pieces: readonly string[]): { text: string; count: number } {
  const newlines = new NewlineNormalizer();
  const out = pieces.flatMap((piece) => newlines.push(Buffer.from(piece, 'latin1')));
  out.push(...newlines.end());
  return { text: Buffer.concat(out).toString('latin1'), count: newlines.count };
}

const cases: [string, string, number][] = [
  ['', '', 0],
  ['a\r\nb\r\n', 'a\r\nb\r\n', 0],
  ['a\nb\r\n', 'a\r\nb\r\n', 1],
  ['a\rb\r\n', 'a\r\nb\r\n', 1],
  ['a\r\r\nb', 'a\r\n\r\nb', 1],
  ['a\n\rb', 'a\r\n\r\nb', 2],
  ['a\n\nb\r\r', 'a\r\n\r\nb\r\n\r\n', 4],
  ['\r', '\r\n', 1],
  ['\n', '\r\n', 1],
  ['\0\xff\r\n', '\0\xff\r\n', 0],
];

test.each(cases)('%j becomes %j with %i mended, however it is cut', (input, text, count) => {
  const halves = Array.from(input, (_, at) => [input.slice(0, at), input.slice(at)]);
  const thirds = Array.from(input, (_, at) => [input.slice(0, at), input.slice(at, at + 1), '', input.slice(at + 1)]);
  for (const pieces of [[input], [...input], ...halves, ...thirds]) {
    expect(normalize(pieces), JSON.stringify(pieces)).toEqual({ text, count });
  }
});

test('a chunk with nothing to mend is passed on, not copied', () => {
  const chunk = Buffer.from('a\r\nb\r\n');
  expect(new NewlineNormalizer().push(chunk)[0]?.buffer).toBe(chunk.buffer);
});
