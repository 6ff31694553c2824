import { describe, expect, test } from 'vitest';
import { addsOneInstance, methodOfCopy, transform } from '../../../src/itip/adapt.ts';
import { calendar, crlf, event } from './samples.ts';

const add = (changes: Parameters<typeof event>[0] = {}) => calendar('ADD', ...event(changes));
const asRequest = (source: string) => transform(Buffer.from(source), 'add-as-request').toString();

describe('an ADD as the REQUEST of the instance that it adds', () => {
  test('names it by its start, and is the same in every other octet', () => {
    const source = add({ SUMMARY: ['SUMMARY:B', ' udget'] });
    expect(asRequest(source)).toBe(
      calendar(
        'REQUEST',
        ...event({
          SUMMARY: ['SUMMARY:B', ' udget'],
          DTSTART: ['DTSTART:20261124T090000Z', 'RECURRENCE-ID:20261124T090000Z'],
        }),
      ),
    );
  });

  test.each([
    ['with the zone of the start', 'DTSTART;TZID=Europe/Berlin:20261124T090000', ';TZID=Europe/Berlin:20261124T090000'],
    ['as a day where the start is one', 'DTSTART;VALUE=DATE:20261124', ';VALUE=DATE:20261124'],
    ['without what else stands at the start', 'DTSTART;X-A=";b":20261124T090000Z', ':20261124T090000Z'],
  ])('%s', (_, start, wanted) => {
    expect(asRequest(add({ DTSTART: start }))).toBe(
      calendar('REQUEST', ...event({ DTSTART: [start, `RECURRENCE-ID${wanted}`] })),
    );
  });

  test('takes the start of the event, not those of its time zone', () => {
    const zone = [
      'BEGIN:VTIMEZONE',
      'TZID:Somewhere',
      ...['BEGIN:STANDARD', 'DTSTART:19700101T000000', 'TZOFFSETFROM:+0100', 'TZOFFSETTO:+0100', 'END:STANDARD'],
      'END:VTIMEZONE',
    ];
    const start = 'DTSTART;TZID=Somewhere:20261124T090000';
    const source = calendar('ADD', ...zone, ...event({ DTSTART: start }));
    const named = [start, 'RECURRENCE-ID;TZID=Somewhere:20261124T090000'];
    expect(addsOneInstance(Buffer.from(source))).toBe(true);
    expect(asRequest(source)).toBe(calendar('REQUEST', ...zone, ...event({ DTSTART: named })));
  });

  test('has REQUEST for the method of the post, and only it', () => {
    expect(methodOfCopy('ADD', 'add-as-request')).toBe('REQUEST');
    expect(methodOfCopy('ADD', undefined)).toBe('ADD');
  });

  test('reads METHOD and names in any case', () => {
    const source = crlf(
      ...['begin:vcalendar', 'method:add', 'begin:vevent', 'uid:a@example.org', 'dtstart:20261124T090000Z'],
      ...['end:vevent', 'end:vcalendar'],
    );
    expect(asRequest(source)).toBe(
      crlf(
        ...['begin:vcalendar', 'method:REQUEST', 'begin:vevent', 'uid:a@example.org', 'dtstart:20261124T090000Z'],
        ...['RECURRENCE-ID:20261124T090000Z', 'end:vevent', 'end:vcalendar'],
      ),
    );
  });
});

describe('an ADD adds one instance', () => {
  test.each([
    ['when it has a start and nothing that recurs', add(), true],
    ['not by a rule', add({ SEQUENCE: ['SEQUENCE:0', 'RRULE:FREQ=DAILY;COUNT=2'] }), false],
    ['not by dates', add({ SEQUENCE: ['SEQUENCE:0', 'RDATE:20261125T090000Z'] }), false],
    ['not when it names one that is there', add({ SEQUENCE: 'RECURRENCE-ID:20261125T090000Z' }), false],
    ['not in two components', calendar('ADD', ...event(), ...event()), false],
    ['not without a start', add({ DTSTART: [] }), false],
  ])('%s', (_, source, wanted) => expect(addsOneInstance(Buffer.from(source))).toBe(wanted));
});
