import { describe, expect, test } from 'vitest';
import { MAX_HEADER_BYTES } from '../../../src/mail/header.ts';
import { HeaderFilter } from '../../../src/mail/header-filter.ts';

const OURS = new Set(['x-status']);

/** What is passed on of a message that comes in these pieces. */
function filtered(...pieces: readonly string[]): string {
  const filter = new HeaderFilter(OURS);
  const passed = pieces.map((piece) => filter.push(Buffer.from(piece, 'latin1')));
  return Buffer.concat([...passed, filter.end()]).toString('latin1');
}

const TABLE: readonly (readonly [title: string, content: string, expected: string])[] = [
  [
    'a field with its continuations',
    'A: 1\r\nX-Status: f\r\n\tg\r\n h\r\nB: 2\r\n\r\nbody',
    'A: 1\r\nB: 2\r\n\r\nbody',
  ],
  ['two in a row, in odd case', 'x-STATUS: f\r\nX-Status: g\r\nB: 2\r\n\r\nbody', 'B: 2\r\n\r\nbody'],
  ['the last field, without an empty line', 'A: 1\r\nX-Status: f', 'A: 1\r\n'],
  ['one with blanks before the colon', 'X-Status \t : f\r\n\r\nbody', '\r\nbody'],
  ['one with more blanks than a line may have', `X-Status${' '.repeat(5000)}: f\r\nA: 1\r\n\r\n`, 'A: 1\r\n\r\n'],
  ['one behind a line that is no field', 'A: 1\r\n-- junk --\r\nX-Status: f\r\n\r\n', 'A: 1\r\n-- junk --\r\n\r\n'],
  ['lines that would continue what we put before them', ' f\r\n\tg\r\nA: 1\r\n  2\r\n\r\n', 'A: 1\r\n  2\r\n\r\n'],
];
const UNTOUCHED: readonly (readonly [title: string, content: string])[] = [
  ['the body', 'A: 1\r\n\r\nX-Status: body\r\n\r\n f\r\n'],
  ['a body without a header', '\r\nX-Status: body\r\n'],
  ['a name that only begins alike', 'X-Status-Of: 1\r\nX-Stat: 2\r\nX-Status\r\n : 3\r\n\r\n'],
  ['a continuation that looks like the field', 'A: 1\r\n X-Status: f\r\n\r\n'],
  ['an unfinished name', 'X-Sta'],
  ['nothing', ''],
];

describe('own fields in a message that comes in', () => {
  for (const [title, content, expected] of TABLE) {
    test(`takes out ${title}, wherever its octets are parted`, () => {
      expect(filtered(content)).toBe(expected);
      expect(filtered(...content)).toBe(expected);
      for (let at = 1; at < Math.min(content.length, 60); at++)
        expect(filtered(content.slice(0, at), content.slice(at))).toBe(expected);
    });
  }

  for (const [title, content] of UNTOUCHED) {
    test(`leaves ${title}`, () => {
      expect([filtered(content), filtered(...content)]).toEqual([content, content]);
    });
  }

  test('are taken out behind line ends that close three pieces in turn', () => {
    expect(filtered('A: 1\r\n', 'B: 2\r\nC', ': 3\r\n', 'X-Status: f\r\n\r\n')).toBe('A: 1\r\nB: 2\r\nC: 3\r\n\r\n');
  });

  test('are taken out behind more header than is looked at for anything else', () => {
    const long = 'A: 1\r\n'.repeat(MAX_HEADER_BYTES / 5);
    const filter = new HeaderFilter(OURS);
    expect(filter.push(Buffer.from(`${long}X-Status: f\r\n\r\nbody`)).toString()).toBe(`${long}\r\nbody`);
    expect(filter.fields().length).toBeLessThan(MAX_HEADER_BYTES / 6 + 1);
  });

  test('are told among the fields that came', () => {
    const filter = new HeaderFilter(OURS);
    filter.push(Buffer.from('Received: a\r\nX-Sta'));
    filter.push(Buffer.from('tus: f\r\n\r\nB: body'));
    expect(filter.fields().map(({ name, value }) => [name, value])).toEqual([
      ['received', 'a'],
      ['x-status', 'f'],
    ]);
  });
});
