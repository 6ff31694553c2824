import { expect, test } from 'vitest';
import { buildTree } from '../../../src/itip/components.ts';
import { readLines } from '../../../src/itip/content-lines.ts';
import { parseDateTime, parseDuration } from '../../../src/itip/date-time.ts';
import { zoneOffsetAt } from '../../../src/itip/zone.ts';
import { crlf } from './samples.ts';

const HOUR = 3_600_000;

function zone(...lines: readonly string[]) {
  const read = readLines(crlf('BEGIN:VTIMEZONE', 'TZID:X', ...lines, 'END:VTIMEZONE'), {
    maxLineBytes: 10_000,
    maxProperties: 10_000,
  });
  if (read.kind === 'refused') throw new Error(read.reason);
  const tree = buildTree(read.lines, 8);
  if (tree.kind === 'refused') throw new Error(tree.reason);
  return tree.calendar;
}

const observance = (kind: string, start: string, from: string, to: string, ...more: readonly string[]) => [
  `BEGIN:${kind}`,
  `DTSTART:${start}`,
  `TZOFFSETFROM:${from}`,
  `TZOFFSETTO:${to}`,
  ...more,
  `END:${kind}`,
];

const BERLIN = zone(
  ...observance('DAYLIGHT', '19700329T020000', '+0100', '+0200', 'RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU'),
  ...observance('STANDARD', '19701025T030000', '+0200', '+0100', 'RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU'),
);
const EXCHANGE_NEW_YORK = zone(
  ...observance('STANDARD', '16010101T020000', '-0400', '-0500', 'RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=1SU;BYMONTH=11'),
  ...observance('DAYLIGHT', '16010101T020000', '-0500', '-0400', 'RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=2SU;BYMONTH=3'),
);
const DATES = zone(
  ...observance('STANDARD', '20200101T000000', '+0000', '+0300', 'RDATE:20220101T000000'),
  ...observance('DAYLIGHT', '20210101T000000', '+0300', '+0400'),
);
const DAYS_OF_MONTH = zone(
  ...observance('STANDARD', '20000101T000000', '+0200', '+0100'),
  ...observance(
    'DAYLIGHT',
    '20000312T000000',
    '+0100',
    '+0200',
    'RRULE:FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=8,9,10,11,12,13,14;BYDAY=SU;UNTIL=20041231T000000Z',
  ),
);

test.each([
  ['summer in Berlin', BERLIN, '20260701T120000', 2],
  ['winter in Berlin', BERLIN, '20261124T100000', 1],
  ['January, when the last change was a year ago', BERLIN, '20260101T000000', 1],
  ['the day of the change, after it', BERLIN, '20260329T030000', 2],
  ['before the first onset', BERLIN, '19600101T000000', 1],
  ['Exchange, winter', EXCHANGE_NEW_YORK, '20261124T100000', -5],
  ['Exchange, summer', EXCHANGE_NEW_YORK, '20260701T100000', -4],
  ['single dates', DATES, '20210601T000000', 4],
  ['single dates, a repeated one', DATES, '20230601T000000', 3],
  ['days of a month, after the rule has ended', DAYS_OF_MONTH, '20260601T000000', 2],
])('%s', (_, vtimezone, local, hours) => {
  expect(zoneOffsetAt(vtimezone, parseDateTime(local)!.localMs)).toBe(hours * HOUR);
});

test.each([
  ['no observance', zone()],
  [
    'a rule that is not yearly',
    zone(...observance('STANDARD', '16010101T000000', '+0000', '+0100', 'RRULE:FREQ=SECONDLY')),
  ],
  [
    'a rule by hours',
    zone(...observance('STANDARD', '16010101T000000', '+0000', '+0100', 'RRULE:FREQ=YEARLY;BYHOUR=1,2,3')),
  ],
  ['an offset that is none', zone(...observance('STANDARD', '16010101T000000', 'Z', '+0100'))],
  [
    'more observances than any zone has',
    zone(...Array.from({ length: 65 }, () => observance('STANDARD', '16010101T000000', '+0000', '+0100')).flat()),
  ],
])('%s says nothing', (_, vtimezone) => {
  expect(zoneOffsetAt(vtimezone, 0)).toBeUndefined();
});

test.each([
  ['20261121', { kind: 'date', localMs: Date.UTC(2026, 10, 21) }],
  ['20261121T080000', { kind: 'floating', localMs: Date.UTC(2026, 10, 21, 8) }],
  ['20261121T080000Z', { kind: 'utc', localMs: Date.UTC(2026, 10, 21, 8) }],
  ['20261121T0800', undefined],
  ['20261321T080000', undefined],
  ['20261121T250000', undefined],
  ['2026-11-21', undefined],
  ['', undefined],
])('the date-time %s', (text, expected) => {
  expect(parseDateTime(text)).toEqual(expected);
});

test.each([
  ['PT1H', HOUR],
  ['P1DT2H30M', 26.5 * HOUR],
  ['P2W', 14 * 24 * HOUR],
  ['-PT15M', -HOUR / 4],
  ['P', undefined],
  ['PT', undefined],
  ['1H', undefined],
])('the duration %s', (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});
