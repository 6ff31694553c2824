import { expect, test } from 'vitest';
import { prepareWord, WordFinder } from '../../../src/itip/prefilter.ts';

const CALENDAR = prepareWord('calendar');

test.each(['calendar', 'Content-Type: text/CALENDAR', 'calecalendar', 'xcalcalendarx', 'cCalEndArr'])(
  '%s holds the word, however it is cut',
  (text) => {
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const finder = new WordFinder(CALENDAR);
        const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)].map((piece) =>
          Buffer.from(piece),
        );
        expect(pieces.some((piece) => finder.find(piece))).toBe(true);
      }
    }
  },
);

test('one octet at a time is enough', () => {
  const finder = new WordFinder(CALENDAR);
  const found = [...Buffer.from('a calendar')].map((octet) => finder.find(Buffer.from([octet])));
  expect(found).toEqual([false, false, false, false, false, false, false, false, false, true]);
});

test.each(['calenda', 'alendar', 'calen dar', 'calenda\u0152r', ''])('"%s" does not hold it', (text) => {
  expect(new WordFinder(CALENDAR).find(Buffer.from(text))).toBe(false);
});
