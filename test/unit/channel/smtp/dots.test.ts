import { expect, test } from 'vitest';
import { DotReader } from '../../../../channel/smtp/dots.ts';

/** Content and rest when `wire` arrives in these pieces; rest undefined: no end of data. */
function read(pieces: readonly string[]): { content: string; rest?: string } {
  const reader = new DotReader();
  let content = '';
  for (const [index, piece] of pieces.entries()) {
    const result = reader.push(Buffer.from(piece, 'latin1'));
    content += result.content.toString('latin1');
    if (result.rest !== undefined) {
      return { content, rest: result.rest.toString('latin1') + pieces.slice(index + 1).join('') };
    }
  }
  return { content };
}

/** Whole, octet by octet, and in every two parts. */
function cuts(wire: string): string[][] {
  const halves = Array.from(wire, (_, at) => [wire.slice(0, at), wire.slice(at)]);
  return [[wire], [...wire], ...halves];
}

const cases: [string, string, string][] = [
  ['an empty message', '.\r\nQUIT\r\n', ''],
  ['one line', 'a\r\n.\r\nQUIT\r\n', 'a\r\n'],
  ['an empty line', '\r\n.\r\nQUIT\r\n', '\r\n'],
  ['a stuffed dot', '..\r\n.\r\nQUIT\r\n', '.\r\n'],
  ['stuffed dots on every line', '..\r\n...a\r\n..\r\n.\r\nQUIT\r\n', '.\r\n..a\r\n.\r\n'],
  ['a dot that should have been stuffed', 'a\r\n.b\r\n.\r\nQUIT\r\n', 'a\r\nb\r\n'],
  ['dots within lines', 'a.\r\nb..c\r\n.\r\nQUIT\r\n', 'a.\r\nb..c\r\n'],
  ['two dots after a bare LF', 'a\n..b\r\n.\r\nQUIT\r\n', 'a\n..b\r\n'],
  ['LF . LF', 'a\n.\nMAIL FROM:<x@y>\r\n.\r\nQUIT\r\n', 'a\n.\nMAIL FROM:<x@y>\r\n'],
  ['LF . CRLF', 'a\n.\r\nMAIL FROM:<x@y>\r\n.\r\nQUIT\r\n', 'a\n.\r\nMAIL FROM:<x@y>\r\n'],
  ['CR . CR', 'a\r.\rMAIL\r\n.\r\nQUIT\r\n', 'a\r.\rMAIL\r\n'],
  ['CR . CRLF', 'a\r.\r\nMAIL\r\n.\r\nQUIT\r\n', 'a\r.\r\nMAIL\r\n'],
  ['CRLF . LF', 'a\r\n.\nMAIL\r\n.\r\nQUIT\r\n', 'a\r\n\nMAIL\r\n'],
  ['CRLF . CR', 'a\r\n.\rMAIL\r\n.\r\nQUIT\r\n', 'a\r\n\rMAIL\r\n'],
  ['CR CRLF . CRLF', 'a\r\r\n.\r\nQUIT\r\n', 'a\r\r\n'],
  ['. CR CR LF at the beginning', '.\r\r\n.\r\nQUIT\r\n', '\r\r\n'],
  ['NUL and eight bits', '\0\xff\r\n.\r\nQUIT\r\n', '\0\xff\r\n'],
];

test.each(cases)('%s: only CRLF.CRLF ends the content, however it is cut', (_, wire, content) => {
  for (const pieces of cuts(wire)) expect(read(pieces), JSON.stringify(pieces)).toEqual({ content, rest: 'QUIT\r\n' });
});

test.each(['a\r\n.\r', 'a\r\n.', 'a\r\n', 'a\n.\n', '.', '.\r', 'a\r\n.x\r\n'])('%j has no end of data yet', (wire) => {
  for (const pieces of cuts(wire)) expect(read(pieces)).not.toHaveProperty('rest');
});

test('stuffing undone is the message again, for messages of nothing but line ends and dots', () => {
  const alphabet = ['\r', '\n', '.', 'a', '\r\n', '\r\n.'];
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  for (let round = 0; round < 2000; round++) {
    const message = `${Array.from({ length: random(12) }, () => alphabet[random(alphabet.length)]).join('')}\r\n`;
    const wire = `${message.replace(/(^|\r\n)\./g, '$1..')}.\r\nrest`;
    const pieces: string[] = [];
    for (let at = 0; at < wire.length; ) {
      const length = 1 + random(5);
      pieces.push(wire.slice(at, at + length));
      at += length;
    }
    expect(read(pieces), JSON.stringify(pieces)).toEqual({ content: message, rest: 'rest' });
  }
});
