import { describe, expect, test } from 'vitest';
import {
  composeLine,
  foldLine,
  parameter,
  parametersOf,
  readLines,
  textValue,
  writtenLine,
} from '../../../src/itip/content-lines.ts';

const LIMITS = { maxLineBytes: 65_536, maxProperties: 50_000 };

function lines(text: string) {
  const read = readLines(text, LIMITS);
  if (read.kind === 'refused') throw new Error(read.reason);
  return read.lines;
}

describe('reading', () => {
  test('a folded line is one line, with the number and the place of its first physical line', () => {
    const text = 'BEGIN:VEVENT\r\nSUMMARY:Bud\r\n get\r\n\t 2027\r\nEND:VEVENT';
    expect(lines(text)).toEqual([
      { name: 'BEGIN', text: 'BEGIN:VEVENT', valueAt: 6, line: 1, start: 0, end: 14 },
      { name: 'SUMMARY', text: 'SUMMARY:Budget 2027', valueAt: 8, line: 2, start: 14, end: 41 },
      { name: 'END', text: 'END:VEVENT', valueAt: 4, line: 5, start: 41, end: 51 },
    ]);
  });

  test('an empty line inside a fold does not tear the line', () => {
    const read = readLines('SUMMARY:Bud\r\n\r\n get\r\nUID:1\r\n', LIMITS);
    expect(read).toMatchObject({ kind: 'lines', blanks: [2] });
    expect(lines('SUMMARY:Bud\r\n\r\n get\r\nUID:1\r\n').map(({ text, line, start }) => [text, line, start])).toEqual([
      ['SUMMARY:Budget', 1, -1],
      ['UID:1', 4, 21],
    ]);
  });

  test.each([
    ['ATTENDEE;CN="a:b;c":mailto:x@y', 'mailto:x@y'],
    ['ATTENDEE;CN=5" pipe:mailto:x@y', 'mailto:x@y'],
    ['X-LOTUS-CHILD_UID:1', '1'],
    ['attendee:mailto:x@y', 'mailto:x@y'],
    ['SUMMARY:', ''],
  ])('the value of %s is "%s"', (text, value) => {
    expect(textValue(writtenLine(text, 1))).toBe(value);
  });

  test.each(['no colon here', ': no name', 'two words: x', 'ATTENDEE;CN="never ends', 'Größe:1'])(
    '%s is no content line',
    (text) => {
      expect(writtenLine(text, 1).name).toBe('');
    },
  );

  test.each([
    ['a line over the limit', `X-A:${'a'.repeat(97)}\r\n`, 'line 1 is longer than 100 octets'],
    [
      'a line over the limit by its folds',
      `UID:1\r\nX-A:a\r\n${' aaaaaaaaa\r\n'.repeat(12)}`,
      'line 2 is longer than 100 octets',
    ],
    ['a line over the limit in octets only', `X-A:${'ä'.repeat(50)}\r\n`, 'line 1 is longer than 100 octets'],
    ['more lines than allowed', 'A:1\r\n'.repeat(5), 'more than 4 content lines'],
  ])('%s is refused', (_, text, reason) => {
    expect(readLines(text, { maxLineBytes: 100, maxProperties: 4 })).toEqual({ kind: 'refused', reason });
  });
});

describe('parameters', () => {
  const line = writtenLine('ATTENDEE;cn="Doe, John";MEMBER="mailto:a@x","mailto:b@x";RSVP;X=:mailto:bob@x', 7);

  test('names are upper case, quotes are gone, lists are split outside quotes, a missing value is told apart', () => {
    expect(parametersOf(line)).toEqual([
      { name: 'CN', text: 'cn="Doe, John"', values: ['Doe, John'] },
      { name: 'MEMBER', text: 'MEMBER="mailto:a@x","mailto:b@x"', values: ['mailto:a@x', 'mailto:b@x'] },
      { name: 'RSVP', text: 'RSVP', values: undefined },
      { name: 'X', text: 'X=', values: [''] },
    ]);
    expect(parameter(line, 'CN')).toBe('Doe, John');
    expect(parameter(line, 'TZID')).toBeUndefined();
  });

  test('a composed line keeps name, spelling and line number', () => {
    expect(composeLine(line, ['cn="Doe, John"'])).toMatchObject({
      text: 'ATTENDEE;cn="Doe, John":mailto:bob@x',
      line: 7,
      start: -1,
    });
  });
});

describe('folding', () => {
  test('lines of up to 75 octets are not folded', () => {
    expect(foldLine(`SUMMARY:${'a'.repeat(67)}`)).toBe(`SUMMARY:${'a'.repeat(67)}\r\n`);
  });

  test('no physical line is longer than 75 octets and no character is split', () => {
    const text = `SUMMARY:${'ä€😀'.repeat(60)}`;
    const folded = foldLine(text);
    const physical = folded.slice(0, -2).split('\r\n');
    expect(physical.map((piece) => Buffer.byteLength(piece)).every((octets) => octets <= 75)).toBe(true);
    expect(folded.replaceAll('\r\n ', '')).toBe(`${text}\r\n`);
    expect(folded).not.toContain('\uFFFD');
  });
});
