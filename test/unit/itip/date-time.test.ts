import { describe, expect, test } from 'vitest';
import { formatUtc, parseDateTime } from '../../../src/itip/date-time.ts';

describe('parseDateTime', () => {
  test.each([
    ['20261123', 'date', '2026-11-23T00:00:00Z'],
    ['20261123T094501', 'floating', '2026-11-23T09:45:01Z'],
    ['20261123T094501Z', 'utc', '2026-11-23T09:45:01Z'],
    ['09991231T235959Z', 'utc', '0999-12-31T23:59:59Z'],
    // A leap second, and a day that its month does not have, are what comes after.
    ['20161231T235960Z', 'utc', '2017-01-01T00:00:00Z'],
    ['20260230', 'date', '2026-03-02T00:00:00Z'],
  ] as const)('%s is a %s', (text, kind, iso) => {
    expect(parseDateTime(text)).toEqual({ kind, localMs: Date.parse(iso) });
  });

  test.each([
    '',
    '2026112',
    '202611231',
    '2026112٣',
    '20261123T',
    '20261123Z',
    '20261123T0945',
    '20261123T094501z',
    '20261123T094501Z\n',
    ' 20261123T094501Z',
    '2026-11-23',
    '20260023',
    '20261323',
    '20261100',
    '20261132',
    '20261123T244501Z',
    '20261123T096001Z',
    '20261123T094561Z',
  ])('%j is no date', (text) => {
    expect(parseDateTime(text)).toBeUndefined();
  });
});

describe('formatUtc', () => {
  test.each([
    ['2026-01-02T03:04:05.999Z', '20260102T030405Z'],
    ['2026-11-23T23:59:59Z', '20261123T235959Z'],
    ['2024-02-29T00:00:00Z', '20240229T000000Z'],
    ['1969-12-31T23:59:59.5Z', '19691231T235959Z'],
    ['9999-12-31T23:59:59Z', '99991231T235959Z'],
    ['0999-12-31T23:59:59Z', '09991231T235959Z'],
  ])('writes %s as %s', (iso, text) => {
    expect(formatUtc(Date.parse(iso))).toBe(text);
  });

  test('throws for what is no instant', () => {
    expect(() => formatUtc(Number.NaN)).toThrow(RangeError);
  });
});
