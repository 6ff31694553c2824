import { describe, expect, test } from 'vitest';
import type { BusyAccess } from '../../../rules/busy-access.ts';
import { judgeWindow } from '../../../rules/busy-window.ts';
import { OPEN } from './open-access.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 23);

const HIDDEN: BusyAccess = { ...OPEN, unknown: 'hidden' };

describe('a window', () => {
  const days = (from: number, to: number) => ({ startMs: NOW + from * DAY, endMs: NOW + to * DAY });

  test.for([
    ['within the horizon stays as it is', days(-1, 7), days(-1, 7)],
    ['that begins too far back begins at the horizon', days(-100, 1), days(-62, 1)],
    ['that ends too far ahead ends at the horizon', days(365, 500), days(365, 366)],
    ['as long as is allowed is cut at both ends', days(-63, 367), days(-62, 366)],
    ['of a millisecond is one', { startMs: NOW, endMs: NOW + 1 }, { startMs: NOW, endMs: NOW + 1 }],
  ] as const)('%s', ([, asked, seen]) => {
    expect(judgeWindow(asked, OPEN, NOW)).toMatchObject({ kind: 'window', window: seen });
  });

  test.for([
    [
      'of a hundred years',
      days(-1, 36_500),
      'window-too-long',
      '3.5',
      /^The window is 36501 days long, and may be 430/,
    ],
    [
      'a minute too long',
      { startMs: NOW, endMs: NOW + 430 * DAY + 60_000 },
      'window-too-long',
      '3.5',
      /is 430\.001 days long/,
    ],
    [
      'in the last century',
      days(-12_000, -11_990),
      'beyond-horizon',
      '3.8',
      /^Busy times are shown from 62 days back to/,
    ],
    ['that ends where the horizon begins', days(-63, -62), 'beyond-horizon', '3.8', /./],
    ['that begins where the horizon ends', days(366, 367), 'beyond-horizon', '3.8', /./],
    ['of no length', days(1, 1), 'window-empty', '3.5', /./],
    ['that ends before it begins', days(2, 1), 'window-empty', '3.5', /./],
    ['of no number', { startMs: Number.NaN, endMs: NOW }, 'window-empty', '3.5', /./],
  ] as const)('%s is refused', ([, asked, rule, code, detail]) => {
    for (const access of [OPEN, HIDDEN]) {
      expect(judgeWindow(asked, access, NOW)).toMatchObject({
        kind: 'refused',
        rule,
        status: { code, detail: expect.stringMatching(detail) },
      });
    }
  });

  test('says what was cut off', () => {
    expect(judgeWindow(days(-100, 1), OPEN, NOW).steps).toEqual([
      { question: 'Is the window short enough?', answer: 'yes: 101 days, 430 days at most' },
      {
        question: 'How much of it may he see?',
        answer: 'what lies from 62 days back to 366 days ahead: 2026-09-22T00:00:00.000Z to 2026-11-24T00:00:00.000Z',
      },
    ]);
  });
});
