import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BusyAnswer } from '../../../src/broker/question.ts';
import {
  ASCII,
  answerLines,
  barLines,
  glyphsFor,
  legendLine,
  periodLines,
  UNICODE,
} from '../../../src/commands/freebusy-text.ts';
import type { BusyType, Period, Window } from '../../../src/freebusy/busy.ts';

beforeEach(() => {
  vi.stubEnv('TZ', 'Europe/Berlin');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const at = (text: string): number => Date.parse(`${text}:00Z`);
const window = (start: string, end: string): Window => ({ startMs: at(start), endMs: at(end) });
const busy = (start: string, end: string, type: BusyType = 'BUSY'): Period => ({ ...window(start, end), type });

/** Monday in Berlin. */
const MONDAY = window('2026-11-22T23:00', '2026-11-23T23:00');
const HOURS = '                0     3     6     9     12    15    18    21    24';

const PERIODS = [
  busy('2026-11-22T23:00', '2026-11-23T06:00', 'BUSY-UNAVAILABLE'),
  busy('2026-11-23T08:00', '2026-11-23T09:00'),
  busy('2026-11-23T09:00', '2026-11-23T09:10', 'BUSY-TENTATIVE'),
  busy('2026-11-23T12:20', '2026-11-23T12:25', 'BUSY-TENTATIVE'),
  busy('2026-11-23T12:25', '2026-11-23T12:40'),
  busy('2026-11-23T20:00', '2026-11-23T23:00', 'BUSY-UNAVAILABLE'),
];

describe('bars', () => {
  test('of a day without anything busy are free', () => {
    expect(barLines([], MONDAY, UNICODE)).toEqual([
      HOURS,
      'Mon 2026-11-23  ················································',
    ]);
  });

  test('of a day that is busy as a whole are busy', () => {
    expect(barLines([busy('2026-11-20T00:00', '2026-11-26T00:00')], MONDAY, UNICODE)).toEqual([
      HOURS,
      'Mon 2026-11-23  ████████████████████████████████████████████████',
    ]);
  });

  test('show every type, a cell by the heaviest period that reaches into it', () => {
    expect(barLines(PERIODS, MONDAY, UNICODE)).toEqual([
      HOURS,
      'Mon 2026-11-23  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓····██░·····██··············▓▓▓▓▓▓',
    ]);
  });

  test('can be drawn in ASCII', () => {
    expect(barLines(PERIODS, MONDAY, ASCII)).toEqual([
      HOURS,
      'Mon 2026-11-23  xxxxxxxxxxxxxx....##?.....##..............xxxxxx',
    ]);
  });

  test('are blank where the window is not', () => {
    const night = window('2026-11-23T16:00', '2026-11-24T07:45');
    expect(barLines([busy('2026-11-24T07:30', '2026-11-24T07:45')], night, UNICODE)).toEqual([
      HOURS,
      'Mon 2026-11-23                                    ··············',
      'Tue 2026-11-24  ·················█',
    ]);
  });

  test('of a day of 23 hours lack the one that it has not', () => {
    const spring = window('2026-03-28T23:00', '2026-03-29T22:00');
    expect(barLines([busy('2026-03-29T00:30', '2026-03-29T01:30')], spring, UNICODE)).toEqual([
      HOURS,
      'Sun 2026-03-29  ···█  █·········································',
    ]);
  });

  test('of a day of 25 hours show both hours of two in one', () => {
    const autumn = window('2026-10-24T22:00', '2026-10-25T23:00');
    const tentative = [
      busy('2026-10-25T00:00', '2026-10-25T00:30', 'BUSY-TENTATIVE'),
      busy('2026-10-25T01:00', '2026-10-25T01:30'),
      busy('2026-10-25T01:30', '2026-10-25T02:30', 'BUSY-TENTATIVE'),
    ];
    expect(barLines(tentative, autumn, UNICODE)).toEqual([
      HOURS,
      'Sun 2026-10-25  ····█░░·········································',
    ]);
  });

  test('are drawn for as many days as a month has, and for no more', () => {
    expect(barLines([], window('2026-11-22T23:00', '2026-12-23T23:00'), UNICODE)).toHaveLength(32);
    expect(barLines([], window('2026-11-22T23:00', '2026-12-23T23:01'), UNICODE)).toEqual([]);
  });

  test('have no line over 80 columns', () => {
    for (const line of answerLines(BOB, MONDAY, UNICODE).slice(1, 3)) expect(line.length).toBeLessThanOrEqual(80);
  });
});

describe('busy times in words', () => {
  test('name type, day and time', () => {
    expect(periodLines(PERIODS, UNICODE)).toEqual([
      'unavailable  Mon 2026-11-23 00:00–07:00',
      'busy         Mon 2026-11-23 09:00–10:00',
      'tentative    Mon 2026-11-23 10:00–10:10',
      'tentative    Mon 2026-11-23 13:20–13:25',
      'busy         Mon 2026-11-23 13:25–13:40',
      'unavailable  Mon 2026-11-23 21:00–24:00',
    ]);
  });

  test.each([
    ['over midnight', busy('2026-11-23T21:00', '2026-11-24T05:00'), 'Mon 2026-11-23 22:00 – Tue 2026-11-24 06:00'],
    ['over whole days', busy('2026-11-22T23:00', '2026-11-24T23:00'), 'Mon 2026-11-23 00:00 – Wed 2026-11-25 00:00'],
    [
      'to the second',
      { type: 'BUSY', startMs: at('2026-11-23T08:00') + 5000, endMs: at('2026-11-23T09:00') },
      'Mon 2026-11-23 09:00:05–10:00',
    ],
    [
      'over an hour that comes twice',
      busy('2026-10-25T00:30', '2026-10-25T01:30'),
      'Sun 2026-10-25 02:30 +02:00–02:30 +01:00',
    ],
  ] as const)('%s', (_, period, text) => {
    expect(periodLines([period], UNICODE)).toEqual([`busy         ${text}`]);
  });
});

const BOB: BusyAnswer = {
  attendee: 'bob@example.com',
  status: { code: '2.0', description: 'Success' },
  window: MONDAY,
  periods: [busy('2026-11-23T08:00', '2026-11-23T09:30')],
  inquiries: [
    {
      mailbox: 'bob@example.com',
      server: 'https://cal7.example.com',
      protocol: 'ischedule',
      result: 'unknown',
      reason: '3.7 Invalid calendar user',
      tookMs: 0.4,
      from: 'server',
    },
    {
      mailbox: 'b.brown@example.com',
      server: 'http://cs6.example.com',
      protocol: 'wcap',
      result: 'answered',
      tookMs: 34.4,
      from: 'shared',
    },
  ],
  rule: 'moving',
  steps: [{ question: 'Is the user being moved?', answer: 'yes, by mailUserStatus=hold' }],
};

describe('an answer', () => {
  test('has bars, times, who said so, and why he was asked', () => {
    expect(answerLines(BOB, MONDAY, UNICODE)).toEqual([
      'bob@example.com: 2.0 Success',
      `  ${HOURS}`,
      '  Mon 2026-11-23  ··················███···························',
      '  busy         Mon 2026-11-23 09:00–10:30',
      '  https://cal7.example.com by iSchedule: unknown in less than 1 ms: 3.7 Invalid calendar user',
      '  http://cs6.example.com by WCAP about b.brown@example.com: answered in 34 ms, shared with an equal question',
      '  Is the user being moved? yes, by mailUserStatus=hold',
      '  → moving',
    ]);
  });

  test('that says nothing has no bars, and tells why', () => {
    const answer: BusyAnswer = {
      ...BOB,
      status: { code: '3.7', description: 'Invalid calendar user', detail: 'The directory knows no such address.' },
      periods: [],
      inquiries: [],
      rule: 'unknown',
      steps: [],
    };
    expect(answerLines(answer, MONDAY, ASCII)).toEqual([
      'bob@example.com: 3.7 Invalid calendar user: The directory knows no such address.',
      '  nobody was asked',
      '  -> unknown',
    ]);
  });

  test('cannot speak to the terminal in words of a server', () => {
    const inquiry = { ...BOB.inquiries[0]!, reason: 'no\u001b[2J\u009b31m\r\nway' };
    const [, said] = answerLines(
      { ...BOB, status: { code: '5.1', description: 'Service unavailable' }, inquiries: [inquiry] },
      MONDAY,
      ASCII,
    );
    expect(said).toBe('  https://cal7.example.com by iSchedule: unknown in less than 1 ms: no[2J31mway');
  });

  test('about less than was asked says so, and one about years is not drawn', () => {
    const { steps: _, ...bob } = BOB;
    const year = window('2026-11-22T23:00', '2027-11-22T23:00');
    const cached = { ...BOB.inquiries[1]!, mailbox: 'bob@example.com', from: 'cache' as const };
    const answer = { ...bob, steps: [], periods: [], inquiries: [cached], window: year };
    expect(answerLines(answer, window('2026-11-22T23:00', '2036-11-22T23:00'), ASCII)).toEqual([
      'bob@example.com: 2.0 Success',
      '  only Mon 2026-11-23 00:00 - Tue 2027-11-23 00:00 may be asked about',
      '  more than 31 days, not drawn',
      '  nothing busy',
      '  http://cs6.example.com by WCAP: answered from the cache',
      '  -> moving',
    ]);
  });
});

test('the legend names every type, the lightest first', () => {
  expect(legendLine(UNICODE)).toBe('· free  ░ tentative  █ busy  ▓ unavailable');
  expect(legendLine(ASCII)).toBe('. free  ? tentative  # busy  x unavailable');
});

test.each([
  ['a UTF-8 locale', { LANG: 'de_DE.UTF-8', TERM: 'xterm' }, UNICODE],
  ['one in another spelling', { LC_CTYPE: 'C.utf8' }, UNICODE],
  ['the first that is set, not the last', { LC_ALL: 'C', LANG: 'de_DE.UTF-8' }, ASCII],
  ['an empty one as none', { LC_ALL: '', LANG: 'de_DE.UTF-8' }, UNICODE],
  ['another charset', { LANG: 'de_DE.ISO-8859-1' }, ASCII],
  ['a terminal that can do nothing', { LANG: 'C.UTF-8', TERM: 'dumb' }, ASCII],
  ['nothing', {}, ASCII],
])('what is drawn follows %s', (_, env, glyphs) => {
  expect(glyphsFor(env)).toBe(glyphs);
});
