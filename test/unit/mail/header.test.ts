import { describe, expect, test } from 'vitest';
import { hasEightBit, headerBlock, MAX_HEADER_BYTES, scanHeader } from '../../../src/mail/header.ts';

const MAIL = Buffer.from(
  'Received: one\r\n\tfolded\r\nX-Status: a;\r\n b\r\nSUBJECT : Grüße\r\nX-Status: c\r\n\r\nX-Status: body\r\n',
);

describe('scanHeader', () => {
  test('finds every field with its place and its unfolded value', () => {
    expect(scanHeader(MAIL)).toEqual({
      end: 74,
      fields: [
        { name: 'received', start: 0, end: 24, value: 'one\tfolded' },
        { name: 'x-status', start: 24, end: 42, value: 'a; b' },
        { name: 'subject', start: 42, end: 61, value: 'Grüße' },
        { name: 'x-status', start: 61, end: 74, value: 'c' },
      ],
    });
  });

  const tolerated: [string, string, [string, string][], number][] = [
    [
      'bare LF',
      'A: 1\nB: 2\n 3\n\nC: 4\n',
      [
        ['a', '1'],
        ['b', '2 3'],
      ],
      13,
    ],
    ['an mbox line', 'From ann Mon\r\nA: 1\r\n\r\n', [['a', '1']], 20],
    [
      'junk between fields, with its continuation',
      'A: 1\r\njunk\r\n more: x\r\nB: 2\r\n\r\n',
      [
        ['a', '1'],
        ['b', '2'],
      ],
      28,
    ],
    [
      'no empty line',
      'A: 1\r\nB: 2',
      [
        ['a', '1'],
        ['b', '2'],
      ],
      10,
    ],
    ['no header', '\r\nA: 1\r\n', [], 0],
    ['nothing', '', [], 0],
    ['a continuation before any field', ' x: 1\r\nA: 1\r\n\r\n', [['a', '1']], 13],
    ['a colon in first place', ': 1\r\nA: 1\r\n\r\n', [['a', '1']], 11],
    [
      'a value without octets',
      'A:\r\nB: 2\r\n\r\n',
      [
        ['a', ''],
        ['b', '2'],
      ],
      10,
    ],
  ];
  for (const [title, content, expected, end] of tolerated) {
    test(`takes ${title}`, () => {
      const header = scanHeader(Buffer.from(content));
      expect([header.fields.map(({ name, value }) => [name, value]), header.end]).toEqual([expected, end]);
    });
  }

  test('takes no longer for lines without a colon before a long body', () => {
    const content = Buffer.concat([Buffer.from('x\n'.repeat(130_000)), Buffer.alloc(25_000_000, 'y')]);
    expect(scanHeader(content)).toEqual({ end: 260_000, fields: [] });
  });

  test('looks no further than its limit', () => {
    const content = Buffer.concat([Buffer.from('A: 1\r\n'), Buffer.from('B: 2\r\n'.repeat(MAX_HEADER_BYTES / 6 + 10))]);
    const { end, fields } = scanHeader(content);
    expect(end).toBeLessThanOrEqual(MAX_HEADER_BYTES);
    expect(fields.at(-1)?.end).toBe(end);
  });
});

test('the header block is what stands before the empty line', () => {
  expect(headerBlock(Buffer.from('A: 1\r\nB: 2\r\n\r\nbody')).toString()).toBe('A: 1\r\nB: 2\r\n');
});

test('eight bit means an octet over 127', () => {
  expect([hasEightBit(Buffer.from('\u007f~')), hasEightBit(Buffer.from([0x80]))]).toEqual([false, true]);
});
