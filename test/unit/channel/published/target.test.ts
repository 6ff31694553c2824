import { describe, expect, test } from 'vitest';
import { readTarget } from '../../../../channel/published/target.ts';

/** Half past eight and a bit. */
const NOW = Date.UTC(2026, 10, 21, 8, 30, 12, 345);

function read(name: string, query = '') {
  return readTarget(name, new URLSearchParams(query), NOW);
}

function spelled(query: string): string {
  const target = read('alice@example.com.ifb', query);
  if (target.kind === 'refused') return `${target.status}`;
  const { startMs, endMs } = target.window;
  return `${new Date(startMs).toISOString()} ${new Date(endMs).toISOString()}`.replaceAll(':00.000Z', 'Z');
}

describe('whose times', () => {
  test.each([
    ['alice@example.com.ifb', 'alice@example.com'],
    ['Alice%40EXAMPLE.com.IFB', 'Alice@example.com'],
    ['alice%2Bwork@example.com.ifb', 'alice+work@example.com'],
    ['a%2Fb@example.com.ifb', 'a/b@example.com'],
    ['a%2540b@example.com.ifb', 'a%40b@example.com'],
    ['alice@b%C3%BCcher.example.ifb', 'alice@xn--bcher-kva.example'],
  ])('%s is %s', (name, mailbox) => {
    expect(read(name)).toMatchObject({ kind: 'target', mailbox });
  });

  test.each([
    ['', 404],
    ['alice@example.com', 404],
    ['alice@example.com.vfb', 404],
    ['x/alice@example.com.ifb', 404],
    ['.ifb', 404],
    ['alice.ifb', 400],
    ['alice%2540example.com.ifb', 400],
    ['@example.com.ifb', 400],
    ['alice@.ifb', 400],
    ['alice@example.com@example.org.ifb', 400],
    ['alice%0D%0A@example.com.ifb', 400],
    ['alice%E0@example.com.ifb', 400],
    ['%zz@example.com.ifb', 400],
  ])('%j is refused by %i', (name, status) => {
    expect(read(name)).toMatchObject({ kind: 'refused', status });
  });
});

describe('which times', () => {
  test.each([
    ['', '2026-11-21T08:00Z 2027-01-02T08:00Z'],
    ['start=20261123T000000Z', '2026-11-23T00:00Z 2027-01-04T00:00Z'],
    ['end=20261124', '2026-11-21T08:00Z 2026-11-24T00:00Z'],
    ['start=2026-11-23&end=2026-11-24', '2026-11-23T00:00Z 2026-11-24T00:00Z'],
    ['start=2026-11-23T08:00:00Z&end=2026-11-23t09:30:00.5z', '2026-11-23T08:00Z 2026-11-23T09:30Z'],
    ['start=2026-11-23T08:00:00%2B01:00&end=2026-11-23T08:00:00-08:00', '2026-11-23T07:00Z 2026-11-23T16:00Z'],
    ['start=2026-11-23T08:00:00+01:00&period=P7D', '2026-11-23T07:00Z 2026-11-30T07:00Z'],
    ['period=PT90M', '2026-11-21T08:00Z 2026-11-21T09:30Z'],
    ['format=text/calendar&token=x&user=y&start=20261123T000000Z&period=P1W', '2026-11-23T00:00Z 2026-11-30T00:00Z'],
  ])('%j is %s', (query, window) => {
    expect(spelled(query)).toBe(window);
  });

  test.each<readonly [string, number, string]>([
    [
      'start=tomorrow',
      400,
      'found another start, wanted a time as 20261123T080000Z, 2026-11-23T08:00:00+01:00 or 2026-11-23',
    ],
    [
      'start=20261123T080000',
      400,
      'found another start, wanted a time as 20261123T080000Z, 2026-11-23T08:00:00+01:00 or 2026-11-23',
    ],
    ['start=2026-11-23T08:00:00', 400, 'found another start'],
    ['start=2026-13-23', 400, 'found another start'],
    ['start=2026-11-23T08:00:00%2B24:00', 400, 'found another start'],
    ['start=', 400, 'found another start'],
    ['end=20261123T250000Z', 400, 'found another end'],
    ['period=7', 400, 'found another period, wanted a duration as P7D or PT12H'],
    ['period=-P7D', 400, 'found an end that is not after the start'],
    ['period=PT0S', 400, 'found an end that is not after the start'],
    ['start=20261124&end=20261123', 400, 'found an end that is not after the start, wanted it later'],
    ['start=20261124&end=20261124', 400, 'found an end that is not after the start'],
    ['end=20261124&period=P7D', 400, 'found end and period, wanted one of them'],
    ['start=20261123&start=20261124', 400, 'found start more than once, wanted it once'],
    ['format=text/html', 406, 'wanted format=text/calendar, or none'],
  ])('%j is refused by %i', (query, status, reason) => {
    expect(read('alice@example.com.ifb', query)).toEqual({
      kind: 'refused',
      status,
      reason: expect.stringContaining(reason),
    });
  });
});
