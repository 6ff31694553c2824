import { expect, test } from 'vitest';
import { titleOf } from '../../../src/itip/title.ts';

function title(...lines: readonly string[]): string {
  const all = ['BEGIN:VCALENDAR', ...lines, 'END:VCALENDAR', ''];
  return titleOf({ content: Buffer.from(all.join('\r\n')) });
}

test.each([
  ['SUMMARY:Budget\\, second part\\; \\\\ \\nand lunch', 'Budget, second part; \\ \nand lunch'],
  ['SUMMARY;LANGUAGE=de;X-A="a:b":Jause', 'Jause'],
  ['SUMMARY:Bud\r\n get', 'Budget'],
  ['SUMMARY:', ''],
  ['DESCRIPTION:Budget', ''],
  [`SUMMARY:${'é'.repeat(201)}`, `${'é'.repeat(199)}…`],
  [`SUMMARY:${'😀'.repeat(200)}`, '😀'.repeat(200)],
])('the title of an event with %j is %j', (line, expected) => {
  expect(title('BEGIN:VEVENT', line, 'END:VEVENT')).toBe(expected);
});

test('neither an alarm nor the calendar itself gives an event its title', () => {
  const alarm = ['BEGIN:VALARM', 'SUMMARY:Ring', 'END:VALARM'];
  expect(title('SUMMARY:Work', 'BEGIN:VEVENT', ...alarm, 'SUMMARY:Budget', 'END:VEVENT')).toBe('Budget');
});
