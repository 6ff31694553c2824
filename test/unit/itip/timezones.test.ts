import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildTree, type Component } from '../../../src/itip/components.ts';
import { readLines } from '../../../src/itip/content-lines.ts';
import { ianaZone, zoneLines } from '../../../src/itip/timezones.ts';
import { zoneOffsetAt } from '../../../src/itip/zone.ts';
import { installed } from '../../servers/installed.ts';
import { crlf } from './samples.ts';

const HOUR = 3_600_000;
const ZONES = [
  'Europe/Berlin',
  'Europe/Dublin',
  'America/New_York',
  'America/Santiago',
  'America/Sao_Paulo',
  'Asia/Jerusalem',
  'Asia/Kolkata',
  'Asia/Tehran',
  'Asia/Tokyo',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Australia/Lord_Howe',
  'Australia/Sydney',
  'Europe/Istanbul',
  'Europe/Moscow',
  'Pacific/Apia',
  'Pacific/Chatham',
  'America/St_Johns',
  'Etc/UTC',
];

function component(lines: readonly string[] | undefined): Component {
  const read = readLines(crlf(...(lines ?? [])), { maxLineBytes: 10_000, maxProperties: 10_000 });
  if (read.kind === 'refused') throw new Error(read.reason);
  const tree = buildTree(read.lines, 8);
  if (tree.kind === 'refused') throw new Error(tree.reason);
  return tree.calendar;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

/** What ICU says, by another way than the code takes: the clock on the wall. */
function offsetOf(timeZone: string, ms: number): number {
  const clock = clocks.get(timeZone) ?? makeClock(timeZone);
  clocks.set(timeZone, clock);
  const parts = clock.formatToParts(ms);
  const of = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
  return Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second')) - ms;
}

function makeClock(timeZone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
}

/** Whether the clock is being changed about now, when local time does not say which offset is meant. */
function isChanging(name: string, at: number): boolean {
  return offsetOf(name, at - 3 * HOUR) !== offsetOf(name, at + 3 * HOUR);
}

/** Every fifth day at an odd hour, `from` to `to`, both years whole. */
function instants(from: number, to: number): readonly number[] {
  const found: number[] = [];
  for (let at = Date.UTC(from, 0, 1, 11, 17); at < Date.UTC(to + 1, 0, 1); at += 5 * 24 * HOUR + HOUR) found.push(at);
  return found;
}

describe('a VTIMEZONE that we make', () => {
  test('is two rules without end where the years agree', () => {
    expect(zoneLines('Europe/Berlin', { from: 2026, to: 2026 })).toEqual([
      'BEGIN:VTIMEZONE',
      'TZID:Europe/Berlin',
      'BEGIN:DAYLIGHT',
      'DTSTART:20250330T020000',
      'TZOFFSETFROM:+0100',
      'TZOFFSETTO:+0200',
      'RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU',
      'END:DAYLIGHT',
      'BEGIN:STANDARD',
      'DTSTART:20251026T030000',
      'TZOFFSETFROM:+0200',
      'TZOFFSETTO:+0100',
      'RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU',
      'END:STANDARD',
      'END:VTIMEZONE',
    ]);
  });

  test('is one offset where the clock never changes', () => {
    expect(zoneLines('Asia/Tokyo', { from: 2026, to: 2026 })).toEqual([
      'BEGIN:VTIMEZONE',
      'TZID:Asia/Tokyo',
      'BEGIN:STANDARD',
      'DTSTART:20250101T000000',
      'TZOFFSETFROM:+0900',
      'TZOFFSETTO:+0900',
      'END:STANDARD',
      'END:VTIMEZONE',
    ]);
  });

  test('names single dates before the rules of today began', () => {
    expect(zoneLines('America/New_York', { from: 2006, to: 2008 })).toEqual([
      'BEGIN:VTIMEZONE',
      'TZID:America/New_York',
      'BEGIN:DAYLIGHT',
      'DTSTART:20050403T020000',
      'TZOFFSETFROM:-0500',
      'TZOFFSETTO:-0400',
      'RDATE:20060402T020000',
      'END:DAYLIGHT',
      'BEGIN:STANDARD',
      'DTSTART:20051030T020000',
      'TZOFFSETFROM:-0400',
      'TZOFFSETTO:-0500',
      'RDATE:20061029T020000',
      'END:STANDARD',
      'BEGIN:DAYLIGHT',
      'DTSTART:20070311T020000',
      'TZOFFSETFROM:-0500',
      'TZOFFSETTO:-0400',
      'RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU',
      'END:DAYLIGHT',
      'BEGIN:STANDARD',
      'DTSTART:20071104T020000',
      'TZOFFSETFROM:-0400',
      'TZOFFSETTO:-0500',
      'RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU',
      'END:STANDARD',
      'END:VTIMEZONE',
    ]);
  });

  test.each(ZONES)(
    'gives %s the offsets of ICU from the first year to 2045, also of a series that began long ago',
    (name) => {
      for (const [from, to] of [
        [2005, 2005],
        [2026, 2026],
      ] as const) {
        const zone = component(zoneLines(name, { from, to }));
        const wrong = instants(from, 2045).filter((at) => {
          const offset = offsetOf(name, at);
          return zoneOffsetAt(zone, at + offset) !== offset && !isChanging(name, at);
        });
        expect(wrong.map((at) => new Date(at).toISOString())).toEqual([]);
      }
    },
  );

  test('of a hostile span of years is bounded', () => {
    expect(zoneLines('America/New_York', { from: 1, to: 9999 })?.length).toBeLessThan(100);
  });

  test.skipIf(!installed('icalendar'))(
    'is read by others as the offsets of the tz database',
    { timeout: 60_000 },
    () => {
      // Zones whose law has not changed since Debian 12's tz database.
      const names = ZONES.filter((name) => !['Africa/Casablanca'].includes(name));
      const cases = names.map((name) => [zoneLines(name, { from: 2024, to: 2026 }), name, instants(2024, 2034)]);
      const { status, stdout, stderr } = spawnSync('/usr/bin/python3', [join(import.meta.dirname, 'timezones.py')], {
        input: JSON.stringify(cases),
        encoding: 'utf8',
      });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const found = (JSON.parse(stdout) as string[][]).map((list, at) => [names[at], list.slice(0, 3)]);
      expect(found).toEqual(names.map((name) => [name, []]));
    },
  );
});

describe('the zone that a TZID means', () => {
  test.each([
    ['Europe/Berlin', 'Europe/Berlin'],
    ['UTC', 'UTC'],
    ['US/Pacific', 'US/Pacific'],
    ['W. Europe Standard Time', 'Europe/Berlin'],
    ['/mozilla.org/20050126_1/America/Indiana/Knox', 'America/Indiana/Knox'],
    ['/freeassociation.sourceforge.net/Europe/Vienna', 'Europe/Vienna'],
    // One country's abbreviation, a fixed offset, a person's own name for it: nobody can say what is meant.
    ['EST', undefined],
    ['+05:00', undefined],
    ['Customized Time Zone', undefined],
    ['constructor', undefined],
    ['Europe/Atlantis', undefined],
    ['', undefined],
    ['Europe/Berlin\r\nX', undefined],
  ])('%j', (tzid, iana) => {
    expect(ianaZone(tzid)).toBe(iana);
  });

  test('stands in the VTIMEZONE as the object writes it', () => {
    expect(zoneLines('Romance Standard Time', { from: 2026, to: 2026 })?.slice(0, 2)).toEqual([
      'BEGIN:VTIMEZONE',
      'TZID:Romance Standard Time',
    ]);
  });
});
