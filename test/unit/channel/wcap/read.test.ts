import { describe, expect, test } from 'vitest';
import { readWcapAnswer, type WcapReading } from '../../../../channel/wcap/read.ts';
import { at, DAY } from './site.ts';

function readText(lines: string, contentType = 'text/calendar; charset=UTF-8'): WcapReading {
  return readWcapAnswer({ body: Buffer.from(lines.replace(/\n/g, '\r\n')), contentType }, DAY);
}

function calendar(errno: number | undefined, busy: readonly string[] = []): string {
  const component =
    errno === 0 || errno === undefined
      ? [
          ...['BEGIN:VFREEBUSY', 'DTSTART:20261123T000000Z', 'DTEND:20261124T000000Z'],
          ...busy.map((period) => `FREEBUSY;FBTYPE=BUSY:${period}`),
          'END:VFREEBUSY',
        ]
      : [];
  const number = errno === undefined ? [] : [`X-NSCP-WCAP-ERRNO:${errno}`];
  return [
    ...['BEGIN:VCALENDAR', 'PRODID:-//Example/Calendar Server', 'METHOD:PUBLISH', 'VERSION:2.0'],
    ...[...component, ...number, 'END:VCALENDAR', ''],
  ].join('\n');
}

const NINE = '20261123T090000Z/20261123T100000Z';
const TEN = '20261123T100000Z/PT1H';
const nine = { startMs: at('09:00'), endMs: at('10:00'), type: 'BUSY' };
const ten = { startMs: at('10:00'), endMs: at('11:00'), type: 'BUSY' };

const periods = (...found: readonly object[]) => ({ kind: 'reading', reading: { kind: 'periods', periods: found } });
const unknown = (reason: string) => ({ kind: 'reading', reading: { kind: 'unknown', reason } });
const refused = (reason: string) => ({ kind: 'reading', reading: { kind: 'refused', reason } });
const unusable = (reason: string) => ({ kind: 'reading', reading: { kind: 'unusable', reason } });
const unavailable = (reason: string) => ({ kind: 'reading', reading: { kind: 'unavailable', reason } });

describe('calendars of an answer', () => {
  test.for<[what: string, text: string, reading: object]>([
    ['errno 0 is taken', calendar(0, [NINE]), periods(nine)],
    ['no errno, but a VFREEBUSY, is taken', calendar(undefined, [NINE]), periods(nine)],
    ['several are merged', calendar(0, [NINE]) + calendar(0, [TEN]), periods(nine, ten)],
    ['one that is closed leaves the others', calendar(28) + calendar(0, [NINE]), periods(nine)],
    ['one that does not exist leaves the others', calendar(0, [NINE]) + calendar(29), periods(nine)],
    [
      'one that failed makes all unusable: what it has would be taken for free',
      calendar(0, [NINE]) + calendar(39),
      unusable('the calendar server failed: it could not get the busy times (errno 39)'),
    ],
    [
      'all closed are refused, even beside one that does not exist',
      calendar(28) + calendar(29),
      refused('the calendar server does not say: access to the calendar is denied (errno 28)'),
    ],
    [
      'without a VFREEBUSY and errno there is no answer',
      'BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n',
      unusable('the answer is no busy times: found a calendar with nothing in it, wanted VFREEBUSY'),
    ],
    [
      'nothing at all is an unknown user',
      '\n  \n',
      unknown('the calendar server answered with nothing, as it does for unknown users'),
    ],
    [
      'times of less than was asked are none',
      calendar(0).replace('DTEND:20261124T000000Z', 'DTEND:20261123T235959Z'),
      unusable('the calendar server answered for less time than was asked for'),
    ],
    ['times without a window are taken', calendar(0, [NINE]).replace(/DT(?:START|END):.*\n/g, ''), periods(nine)],
    [
      'the number may stand after the component, or behind the calendar',
      `${calendar(undefined)}X-NSCP-WCAP-ERRNO:29\n`,
      unknown('the calendar server knows no such user: the calendar does not exist (errno 29)'),
    ],
  ])('%s', ([, text, reading]) => {
    expect(readText(text)).toEqual(reading);
  });

  test('with a local time of no zone are unreadable rather than an hour off', () => {
    const reading = readText(calendar(0, ['20261123T090000/20261123T100000']));
    expect(reading).toMatchObject({ reading: { kind: 'unusable' } });
  });
});

describe('errno', () => {
  test.for<[errno: number, kind: string]>([
    ...[29, 50, 53].map((errno): [number, string] => [errno, 'unknown']),
    ...[28, 75, 76].map((errno): [number, string] => [errno, 'refused']),
    ...[-1, 2, 30, 34, 39, 52, 60, 78, 4711].map((errno): [number, string] => [errno, 'unusable']),
    // Its back ends, or its directory, whomever it is asked about.
    ...[48, 49, 51, 69, 11000, 11001, 11002, 11008].map((errno): [number, string] => [errno, 'unavailable']),
  ])('%d is %s, and the reason names it', ([errno, kind]) => {
    expect(readText(calendar(errno))).toEqual({
      kind: 'reading',
      reading: { kind, reason: expect.stringContaining(`errno ${errno}`) },
    });
  });

  test('1 is no reading: the session is over', () => {
    expect(readText(calendar(1))).toEqual({ kind: 'no-session' });
  });
});

const xml = (content: string) => `<?xml version="1.0" encoding="UTF-8"?>\n<iCalendar>${content}</iCalendar>\n`;
const BOB = '<X-NSCP-CALPROPS-RELATIVE-CALID>bob</X-NSCP-CALPROPS-RELATIVE-CALID>';
const RANGE = '<START>20261123T000000Z</START><END>20261124T000000Z</END>';
const OK = '<X-NSCP-WCAP-ERRNO>0</X-NSCP-WCAP-ERRNO>';

describe('XML, though iCalendar was asked for', () => {
  test.for<[what: string, text: string, reading: object]>([
    [
      'is read, FBTYPE of every period',
      xml(
        `<iCal version="2.0" prodid="x" METHOD="PUBLISH">${BOB}<FREEBUSY>${RANGE}<FB FBTYPE="BUSY-TENTATIVE">${NINE}</FB>` +
          `<FB FBTYPE="FREE">20261123T120000Z/PT1H</FB><FB>${TEN}</FB></FREEBUSY>${OK}</iCal>`,
      ),
      periods({ ...nine, type: 'BUSY-TENTATIVE' }, { startMs: at('12:00'), endMs: at('13:00'), type: 'FREE' }, ten),
    ],
    [
      'has entities of numbers and names, and CDATA',
      xml(
        `<iCal>${BOB}<FREEBUSY>${RANGE}<FB FBTYPE="BUSY&#45;TENTATIVE">20261123T09&#48;000Z/20261123T&#x31;00000Z</FB>` +
          `<FB><![CDATA[${TEN}]]></FB></FREEBUSY>${OK}<X-NSCP-CALPROPS-NAME>Bob &amp; Ann&#233;</X-NSCP-CALPROPS-NAME></iCal>`,
      ),
      periods({ ...nine, type: 'BUSY-TENTATIVE' }, ten),
    ],
    [
      'has an errno for each calendar',
      xml(
        `<iCal><FREEBUSY>${RANGE}<FB>${NINE}</FB></FREEBUSY>${OK}</iCal><iCal><X-NSCP-WCAP-ERRNO>28</X-NSCP-WCAP-ERRNO></iCal>`,
      ),
      periods(nine),
    ],
    [
      'may have an errno and no calendar',
      xml('<X-NSCP-WCAP-ERRNO>29</X-NSCP-WCAP-ERRNO>'),
      unknown('the calendar server knows no such user: the calendar does not exist (errno 29)'),
    ],
    [
      'with errno 1 says that the session is over',
      xml('<iCal><X-NSCP-WCAP-ERRNO>1</X-NSCP-WCAP-ERRNO></iCal>'),
      { kind: 'no-session' },
    ],
    [
      'of another kind is none',
      '<error>no</error>',
      unusable('the answer is no busy times: found <error>, wanted <iCalendar>'),
    ],
    [
      'with entities of its own is none',
      '<!DOCTYPE iCalendar [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><iCalendar>&b;</iCalendar>',
      unusable('the answer is no busy times: the answer has a DOCTYPE'),
    ],
    [
      'that is cut short is none',
      `<iCalendar><iCal><FREEBUSY>${RANGE}<FB>${NINE}</FB>`,
      unusable('the answer is no busy times: the answer is not well-formed XML'),
    ],
    [
      'with a period in local time is none',
      xml(`<iCal><FREEBUSY>${RANGE}<FB>20261123T090000/20261123T100000</FB></FREEBUSY>${OK}</iCal>`),
      unusable(
        'the answer is no busy times: found the period 20261123T090000/20261123T100000, wanted start/end in UTC',
      ),
    ],
    [
      'without FREEBUSY and errno is none',
      xml(`<iCal>${BOB}</iCal>`),
      unusable('the answer is no busy times: found a calendar without FREEBUSY'),
    ],
    [
      'of less time than was asked is none',
      xml(
        `<iCal><FREEBUSY>${RANGE.replace('20261124', '20261123')}</FREEBUSY>${OK}</iCal>`.replace(
          'T000000Z</END>',
          'T120000Z</END>',
        ),
      ),
      unusable('the calendar server answered for less time than was asked for'),
    ],
    [
      'of two times between which nothing is said is none',
      xml(
        `<iCal><FREEBUSY>${RANGE.replace('20261124T00', '20261123T06')}</FREEBUSY>` +
          `<FREEBUSY>${RANGE.replace('20261123T00', '20261123T18')}</FREEBUSY>${OK}</iCal>`,
      ),
      unusable('the calendar server answered for less time than was asked for'),
    ],
  ])('%s', ([, text, reading]) => {
    expect(readText(text, 'text/xml; charset=UTF-8')).toEqual(reading);
    expect(readText(text, 'text/calendar')).toEqual(reading);
  });
});

describe('HTML', () => {
  test.for([
    '<html><body>Please log in</body></html>',
    '<!DOCTYPE html>\n<title>Error</title><p>broken & unclosed',
    '\uFEFF  <HTML><HEAD>',
    '<!-- front page --><html lang="en"></html>',
  ])('%s is no answer of the server, be it about whom it may', (text) => {
    const reading = unavailable('the answer is no busy times: found an HTML page');
    expect(readText(text, 'text/calendar')).toEqual(reading);
    expect(readText(text, 'text/html')).toEqual(reading);
  });
});
