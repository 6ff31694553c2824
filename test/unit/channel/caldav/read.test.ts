import { describe, expect, test } from 'vitest';
import { readAnswer } from '../../../../channel/caldav/read.ts';
import type { BusyReading } from '../../../../src/freebusy/busy.ts';
import { busyText } from '../web-server.ts';

const QUESTION = {
  uid: 'q-1',
  organizer: 'service@example.com',
  attendees: ['alice@example.com'],
  window: { startMs: Date.UTC(2026, 10, 23), endMs: Date.UTC(2026, 10, 24) },
};
const TIMES = busyText(
  'UID:q-1',
  'DTSTART:20261123T000000Z',
  'DTEND:20261124T000000Z',
  'FREEBUSY:20261123T090000Z/PT1H',
);
const BUSY: BusyReading = {
  kind: 'periods',
  periods: [{ startMs: Date.UTC(2026, 10, 23, 9), endMs: Date.UTC(2026, 10, 23, 10), type: 'BUSY' }],
};

function response(recipient: string, status: string, data?: string): string {
  const times = data === undefined ? '' : `<C:calendar-data>${data}</C:calendar-data>`;
  return `<C:response><C:recipient>${recipient}</C:recipient><C:request-status>${status}</C:request-status>${times}</C:response>`;
}

function answered(...responses: readonly string[]): Buffer {
  return Buffer.from(
    `<?xml version="1.0"?><C:schedule-response xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">${responses.join('')}</C:schedule-response>`,
  );
}

function readings(body: Buffer, attendees = QUESTION.attendees) {
  return readAnswer({ status: 200, headers: { 'content-type': 'application/xml' }, body }, { ...QUESTION, attendees });
}

describe('who is answered for', () => {
  test.each([
    '<D:href>mailto:alice@example.com</D:href>',
    'mailto:alice@example.com',
    'alice@example.com',
    'MAILTO:Alice%40Example.COM',
    ' \n<D:href> mailto:alice@example.com </D:href>\n',
  ])('is found as %j', (recipient) => {
    const body = answered(response(recipient, '2.0;Success', `<![CDATA[${TIMES}]]>`));
    expect(readings(body)).toEqual({ kind: 'readings', readings: [BUSY] });
  });

  test('has his own answer, in the order of the question and not of the answer', () => {
    const body = answered(
      response('mailto:carol@example.com', '3.7;Invalid Calendar User'),
      response('mailto:stranger@example.com', '2.0;Success', TIMES),
      response('mailto:alice@example.com', '2.0;Success', TIMES),
    );
    expect(readings(body, ['alice@example.com', 'bob@example.com', 'carol@example.com'])).toEqual({
      kind: 'readings',
      readings: [
        BUSY,
        { kind: 'unusable', reason: 'the calendar server did not answer for him' },
        { kind: 'unknown', reason: 'the calendar server said 3.7;Invalid Calendar User' },
      ],
    });
  });

  test('has none where there are two that differ: the one may hide what the other says', () => {
    const body = answered(
      response('mailto:alice@example.com', '2.0;Success', TIMES.replace(/FREEBUSY[;:].*\r\n/, '')),
      response('alice@example.com', '2.0;Success', TIMES),
      response('mailto:bob@example.com', '3.7;Invalid Calendar User'),
      response('mailto:bob@example.com', '3.7;Invalid Calendar User'),
    );
    expect(readings(body, ['alice@example.com', 'bob@example.com'])).toEqual({
      kind: 'readings',
      readings: [
        { kind: 'unusable', reason: 'the calendar server gave two answers for him' },
        { kind: 'unknown', reason: 'the calendar server said 3.7;Invalid Calendar User' },
      ],
    });
  });
});

test.each<readonly [string, string, BusyReading['kind'], string | undefined]>([
  ['2.0;Success', 'times', 'periods', TIMES],
  ['2.8;Success, with a fallback', 'times', 'periods', TIMES],
  ['2.0;Success', 'nothing', 'unusable', undefined],
  ['2.0;Success', 'blanks', 'unusable', '  '],
  ['2.0;Success', 'times of another UID', 'unusable', TIMES.replace('UID:q-1', 'UID:q-2')],
  ['2.0;Success', 'half of the times', 'unusable', TIMES.replace('DTEND:20261124T00', 'DTEND:20261123T12')],
  ['2.0;Success', 'a web page', 'unusable', '&lt;html/&gt;'],
  ['3.7;Invalid Calendar User', 'nothing', 'unknown', undefined],
  ['3.7.1;more', 'nothing', 'unknown', undefined],
  ['5.3;No scheduling support for user', 'nothing', 'unknown', undefined],
  ['3.8;No authority', 'times', 'refused', TIMES],
  ['5.1;Service unavailable', 'nothing', 'unusable', undefined],
  ['1.0;Pending', 'times', 'unusable', TIMES],
  ['3.10;Request entity too large', 'nothing', 'unusable', undefined],
  ['4.0;Event conflict', 'nothing', 'unusable', undefined],
  ['Success', 'times', 'unusable', TIMES],
  ['', 'times', 'unusable', TIMES],
])('request-status %j with %s is %s', (status, _, kind, data) => {
  const found = readings(answered(response('mailto:alice@example.com', status, data)));
  expect(found.kind === 'readings' && found.readings.map((reading) => reading.kind)).toEqual([kind]);
});

describe('an answer about nobody says what was found and what to do', () => {
  const wanted = 'wanted the schedule-response of an outbox: name the schedule-outbox-URL of the service account';
  const error = (element: string) =>
    `<D:error xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">${element}</D:error>`;

  test.each<readonly [number, string, string, boolean, string]>([
    [200, 'text/html', '<!DOCTYPE html><html></html>', true, `found a web page, ${wanted}`],
    [200, 'application/xml', error('<C:x/>'), true, `found error in the answer, ${wanted}`],
    [200, 'application/xml', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', false, 'the answer has a DOCTYPE'],
    [200, '', '', false, 'the answer is empty'],
    [207, 'application/xml', '<multistatus/>', true, `found 207, ${wanted}`],
    [401, '', '', true, 'found 401, wanted credentials of the service account that the server takes'],
    [403, 'text/plain', 'no', true, 'found 403, the server refused the question of service@example.com'],
    [
      403,
      'text/xml',
      error('<D:need-privileges><D:resource/></D:need-privileges>'),
      true,
      'found 403 need-privileges for service@example.com: give the service account the privilege schedule-send-freebusy on its outbox',
    ],
    [
      403,
      'text/xml',
      error('<C:organizer-allowed/><D:responsedescription>no</D:responsedescription>'),
      true,
      'found 403 organizer-allowed for service@example.com: name the address of the service account, which has to be the ORGANIZER of its questions',
    ],
    [
      400,
      'text/xml',
      error('\n<C:valid-scheduling-message/>'),
      true,
      'found 400 valid-scheduling-message, the server refused the question of service@example.com',
    ],
    [404, 'text/html', '<html/>', true, `found 404, ${wanted}`],
    [405, '', '', true, `found 405, ${wanted}`],
    [429, '', '', false, 'found 429, the calendar server has no answer at the moment'],
    [503, 'text/html', '<html/>', false, 'found 503, the calendar server has no answer at the moment'],
  ])('%i %s %s', (status, type, body, isOurs, reason) => {
    const answer = { status, headers: type === '' ? {} : { 'content-type': type }, body: Buffer.from(body) };
    expect(readAnswer(answer, QUESTION)).toEqual({ kind: 'refused', reason, isOurs });
  });
});
