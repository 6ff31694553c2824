import { describe, expect, test } from 'vitest';
import { readParameters, type WcapQuestion } from '../../../../channel/wcap/parameters.ts';

const NOW = Date.UTC(2026, 10, 23, 12);
const DAY = 86_400_000;
const at = (text: string) => Date.parse(text);

function read(query: string, most = 100) {
  return readParameters(new URLSearchParams(query), most, NOW);
}

function question(query: string): WcapQuestion {
  const reading = read(query);
  if (reading.kind === 'refused') throw new Error(`${reading.errno} ${reading.reason}`);
  return reading.question;
}

function errno(query: string, most = 100): number {
  const reading = read(query, most);
  return reading.kind === 'refused' ? reading.errno : 0;
}

const windowOf = (query: string) => {
  const { startMs, endMs } = question(`calid=bob&${query}`).window;
  return [new Date(startMs).toISOString(), new Date(endMs).toISOString()];
};

test('a question with everything that a client may say is read whole', () => {
  const query =
    'id=b5q2o8ve2rk02nv9t6&calid=bob%3Bmailto:Ann@EXAMPLE.com&dtstart=20261123T000000Z&' +
    'dtend=20261124T000000Z&busyonly=0&noredirect=1&fmt-out=text%2Fxml&appid=x.imipd-0123456789abcdef&tzid=Europe/Berlin&tzidout=Asia/Tokyo';
  expect(question(query)).toEqual({
    calendars: [
      { calid: 'bob', kind: 'name' },
      { calid: 'mailto:Ann@EXAMPLE.com', kind: 'address', mailbox: 'Ann@example.com', asEmail: true },
    ],
    window: { startMs: at('2026-11-23T00:00:00Z'), endMs: at('2026-11-24T00:00:00Z') },
    busyOnly: false,
    format: 'text/xml',
    noRedirect: true,
    hops: ['imipd-0123456789abcdef'],
  });
});

test('what a question leaves out is 60 days from now, only busy times, and text/calendar', () => {
  expect(question('calid=bob')).toEqual({
    calendars: [{ calid: 'bob', kind: 'name' }],
    window: { startMs: NOW, endMs: NOW + 60 * DAY },
    busyOnly: true,
    format: 'text/calendar',
    noRedirect: false,
    hops: [],
  });
});

test('a parameter without a value is as good as none', () => {
  expect(question('calid=bob&dtstart=&dtend=&duration=&busyonly=&fmt-out=&tzid=&appid=&noredirect=')).toEqual(
    question('calid=bob'),
  );
});

describe('the window is', () => {
  test.each([
    ['dtstart=20261201T080000Z&dtend=20261202T080000Z', '2026-12-01T08:00:00.000Z', '2026-12-02T08:00:00.000Z'],
    ['dtstart=20261201T080000Z', '2026-12-01T08:00:00.000Z', '2027-01-30T08:00:00.000Z'],
    ['dtend=20261201T080000Z', '2026-10-02T08:00:00.000Z', '2026-12-01T08:00:00.000Z'],
    ['duration=2', '2026-11-23T12:00:00.000Z', '2026-11-25T12:00:00.000Z'],
    ['dtstart=20261201T080000Z&duration=2', '2026-12-01T08:00:00.000Z', '2026-12-03T08:00:00.000Z'],
    [
      'dtstart=20261201T080000Z&dtend=20301201T080000Z&duration=2',
      '2026-12-01T08:00:00.000Z',
      '2026-12-03T08:00:00.000Z',
    ],
    ['duration=1&freebusybegin=9&freebusyend=9', '2026-11-23T12:00:00.000Z', '2026-11-24T12:00:00.000Z'],
    ['freebusybegin=1', '2026-11-22T12:00:00.000Z', '2026-12-23T12:00:00.000Z'],
    ['freebusyend=1', '2026-10-24T12:00:00.000Z', '2026-11-24T12:00:00.000Z'],
    ['freebusybegin=', '2026-10-24T12:00:00.000Z', '2026-12-23T12:00:00.000Z'],
    ['freebusyend=', '2026-10-24T12:00:00.000Z', '2026-12-23T12:00:00.000Z'],
    ['freebusybegin=0&freebusyend=7', '2026-11-23T12:00:00.000Z', '2026-11-30T12:00:00.000Z'],
    [
      'dtstart=20261201T080000Z&freebusyend=7&dtend=20261201T090000Z',
      '2026-12-01T08:00:00.000Z',
      '2026-12-01T09:00:00.000Z',
    ],
    ['dtstart=20280229T000000Z&duration=1', '2028-02-29T00:00:00.000Z', '2028-03-01T00:00:00.000Z'],
    [
      'dtstart=20261123T000000Z&dtstart=20991123T000000Z&duration=1',
      '2026-11-23T00:00:00.000Z',
      '2026-11-24T00:00:00.000Z',
    ],
  ])('%s', (query, start, end) => {
    expect(windowOf(query)).toEqual([start, end]);
  });
});

test('a window around now is the same for all who ask within a minute', () => {
  const parameters = new URLSearchParams('calid=bob&duration=1');
  const early = readParameters(parameters, 100, NOW + 1);
  expect(readParameters(parameters, 100, NOW + 59_999)).toEqual(early);
  expect(early).toMatchObject({ question: { window: { startMs: NOW, endMs: NOW + DAY } } });
});

describe('a time without Z is that of its tzid', () => {
  test.each([
    ['Europe/Berlin', '20261123T090000', '2026-11-23T08:00:00.000Z'],
    ['Europe/Berlin', '20260723T090000', '2026-07-23T07:00:00.000Z'],
    ['America/New_York', '20261123T090000', '2026-11-23T14:00:00.000Z'],
    ['Asia/Kolkata', '20261123T090000', '2026-11-23T03:30:00.000Z'],
    ['UTC', '20261123T090000', '2026-11-23T09:00:00.000Z'],
    // Half past two is there twice on the day when summer ends, and not at all on the one when it begins.
    ['Europe/Berlin', '20261025T023000', '2026-10-25T00:30:00.000Z'],
    ['Europe/Berlin', '20261025T033000', '2026-10-25T02:30:00.000Z'],
    ['Europe/Berlin', '20260329T023000', '2026-03-29T01:30:00.000Z'],
    ['Europe/Berlin', '20260329T013000', '2026-03-29T00:30:00.000Z'],
    ['Europe/Berlin', '20260329T030000', '2026-03-29T01:00:00.000Z'],
    ['America/New_York', '20261101T013000', '2026-11-01T05:30:00.000Z'],
    ['America/New_York', '20260308T023000', '2026-03-08T07:30:00.000Z'],
  ])('in %s: %s', (tzid, time, start) => {
    expect(windowOf(`dtstart=${time}&duration=1&tzid=${tzid}`)[0]).toBe(start);
  });

  test('and a tzid that no time needs may be any', () => {
    expect(windowOf('dtstart=20261123T090000Z&duration=1&tzid=Nowhere/Land')[0]).toBe('2026-11-23T09:00:00.000Z');
  });
});

describe('these windows are errno 60', () => {
  test.each([
    ['zero', 'dtstart=20261123T000000Z&dtend=20261123T000000Z'],
    ['reversed', 'dtstart=20261124T000000Z&dtend=20261123T000000Z'],
    ['zero days', 'duration=0'],
    ['no days around now', 'freebusybegin=0&freebusyend=0'],
    ['negative days', 'duration=-1'],
    ['negative days before', 'freebusybegin=-5'],
    ['a part of a day', 'duration=1.5'],
    ['an exponent', 'duration=1e2'],
    ['hexadecimal', 'duration=0x10'],
    ['a giant number', 'duration=99999999999999999999999999'],
    ['more than a hundred years', 'duration=36501'],
    ['a number with six digits', 'freebusyend=100000'],
    ['words', 'freebusybegin=NaN'],
    ['infinite', 'freebusyend=Infinity'],
    ['29 February of a year that has none', 'dtstart=20270229T000000Z'],
    ['31 April', 'dtstart=20260431T000000Z'],
    ['month 13', 'dtstart=20261301T000000Z'],
    ['hour 24', 'dtend=20261123T240000Z'],
    ['second 60', 'dtend=20261123T235960Z'],
    ['a year before 100, which Date takes for another', 'dtstart=00260101T000000Z&duration=1'],
    ['a date', 'dtstart=20261123'],
    ['a time with an offset', 'dtstart=20261123T090000%2B0100'],
    ['a time of RFC 3339', 'dtstart=2026-11-23T09:00:00Z'],
    ['a lower-case z', 'dtstart=20261123T090000z'],
    ['zero for a time', 'dtstart=0'],
    ['local time in no zone', 'dtstart=20261123T090000&dtend=20261123T100000Z'],
    ['a line end in a time', 'dtstart=20261123T090000Z%0d%0aX'],
    ['an end after the year 9999', 'dtstart=99991201T000000Z'],
    ['busyonly of another kind', 'busyonly=yes'],
  ])('%s', (_, query) => {
    expect(errno(`calid=bob&${query}`)).toBe(60);
  });

  test('and a zone that is not known is errno 18', () => {
    expect(errno('calid=bob&dtstart=20261123T090000&tzid=Nowhere/Land')).toBe(18);
    expect(errno(`calid=bob&dtstart=20261123T090000&tzid=${'A/'.repeat(500)}B`)).toBe(18);
    expect(errno('calid=bob&dtstart=20261123T090000&tzid=EST')).toBe(18);
  });
});

describe('of calendars', () => {
  test('a list is parted by semicolons, its empty pieces are none, and calid may stand twice', () => {
    const { calendars } = question('calid=;;bob;;%3Bann@example.com; &calid=cy');
    expect(calendars.map(({ calid }) => calid)).toEqual(['bob', 'ann@example.com', 'cy']);
    expect(question('mail=;dee@example.com;').calendars.map(({ calid }) => calid)).toEqual(['dee@example.com']);
  });

  test('mail counts only where calid names nobody', () => {
    const named = (query: string) => question(query).calendars.map(({ calid }) => calid);
    expect(named('mail=ann@example.com&calid=bob')).toEqual(['bob']);
    expect(named('calid=;%20;&mail=ann@example.com')).toEqual(['ann@example.com']);
  });

  test('one that is named twice is asked about once, at its first place', () => {
    const { calendars } = question('calid=bob;ann;bob&calid=ann;cy');
    expect(calendars.map(({ calid }) => calid)).toEqual(['bob', 'ann', 'cy']);
  });

  test('mailto: is known in any case, an address stands by itself, anything else is a name', () => {
    const { calendars } = question(
      'calid=MAILTO:bob%2540home@example.com;o%27neil@example.com;bob@example.com:work;bob:work;uid 7',
    );
    expect(calendars).toEqual([
      { calid: 'MAILTO:bob%40home@example.com', kind: 'illegal' },
      { calid: "o'neil@example.com", kind: 'address', mailbox: "o'neil@example.com", asEmail: false },
      { calid: 'bob@example.com:work', kind: 'name' },
      { calid: 'bob:work', kind: 'name' },
      { calid: 'uid 7', kind: 'name' },
    ]);
  });

  test.each([
    ['a line end', 'bob%0d%0aX:1'],
    ['NUL', 'bob%00'.concat('x')],
    ['a line end of Unicode', 'bob%E2%80%A8X:1'],
    ['NEL', 'bob%C2%85X:1'],
    ['a line end behind mailto:', 'mailto:bob%250d%250aX@example.com'],
    ['mailto: without an address', 'mailto:bob'],
    ['mailto: with two', 'mailto:bob@example.com,ann@example.com'],
    ['more than an address can be long', 'b'.repeat(401)],
  ])('one with %s is illegal, and asked about nowhere', (_, calid) => {
    expect(question(`calid=${calid}`).calendars).toMatchObject([{ kind: 'illegal' }]);
  });

  test('a mail that is no address is illegal', () => {
    expect(question('mail=bob').calendars).toEqual([{ calid: 'bob', kind: 'illegal' }]);
    expect(question('mail=mailto:bob@example.com').calendars).toEqual([
      { calid: 'mailto:bob@example.com', kind: 'address', mailbox: 'bob@example.com', asEmail: true },
    ]);
  });

  test('none at all is errno 38, more than may be is errno 60', () => {
    expect(errno('')).toBe(38);
    expect(errno('calid=;;&mail=')).toBe(38);
    const many = Array.from({ length: 500 }, (_, at) => `user${at}@example.com`).join('%3B');
    expect(errno(`calid=${many}`, 100)).toBe(60);
    expect(errno(`calid=${many}`, 500)).toBe(0);
    expect(errno('mail=a@example.com;b@example.com;c@example.com', 2)).toBe(60);
    expect(errno(`calid=${'a;'.repeat(500)}b`, 2)).toBe(0);
  });
});

test.each([
  ['text/html', 58],
  ['text/js', 58],
  ['constructor', 58],
  ['TEXT/XML; charset=utf-8', 0],
  ['text/json', 0],
])('fmt-out %s is errno %i', (format, expected) => {
  expect(errno(`calid=bob&fmt-out=${encodeURIComponent(format)}`)).toBe(expected);
});

test('a refusal comes in the format that was asked for, where that is one', () => {
  expect(read('calid=bob&fmt-out=text/xml&duration=0')).toMatchObject({
    kind: 'refused',
    format: 'text/xml',
    errno: 60,
  });
  expect(read('calid=bob&fmt-out=text/html')).toMatchObject({ kind: 'refused', format: 'text/calendar', errno: 58 });
});

test.each([
  ['noredirect=1', true],
  ['noredirect=true', true],
  ['noredirect=0', false],
  ['redirect=0', true],
  ['redirect=1', true],
  ['', false],
])('%s: an answer is asked for, and no redirect: %s', (query, expected) => {
  expect(question(`calid=bob&${query}`).noRedirect).toBe(expected);
});

test('broken percent-encoding is taken as it is written', () => {
  expect(question('calid=100%zz').calendars).toEqual([{ calid: '100%zz', kind: 'name' }]);
});
