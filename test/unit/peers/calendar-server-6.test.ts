import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { CalendarServer6, type Cs6Options } from '../../peers/calendar-server-6.ts';

const USERS: Cs6Options['users'] = [
  {
    uid: 'bob',
    mail: ['bob@example.com', 'robert@example.com'],
    calendars: [
      {
        calid: 'bob',
        name: 'Bob',
        busy: [
          { start: '20261123T090000Z', end: '20261123T100000Z' },
          { start: '20261123T093000Z', end: '20261123T110000Z', type: 'BUSY-TENTATIVE' },
        ],
      },
    ],
  },
  { uid: 'sam', mail: ['sam@example.com'], calendars: [{ calid: 'sam', busy: [], acl: 'closed' }] },
];
const DAY = 'dtstart=20261123T000000Z&dtend=20261124T000000Z';

function startServer(options: Partial<Cs6Options> = {}): Promise<CalendarServer6> {
  return CalendarServer6.listen({ users: USERS, ...options });
}

async function ask(server: CalendarServer6, command: string, init: RequestInit = {}) {
  const headers = { Connection: 'close', ...init.headers };
  const response = await fetch(new URL(command, server.url), { redirect: 'manual', ...init, headers });
  return { status: response.status, location: response.headers.get('location'), body: await response.text() };
}

describe('the stand-in of Calendar Server 6.3', () => {
  test('writes busy times as that does: no UID or ATTENDEE, the number after the component, BUSY over TENTATIVE', async () => {
    await using server = await startServer();
    expect(await ask(server, `get_freebusy.wcap?calid=mailto:robert@example.com&${DAY}`)).toEqual({
      status: 200,
      location: null,
      body: [
        ...['BEGIN:VCALENDAR', 'PRODID:-//Sun/Calendar Server', 'METHOD:PUBLISH', 'VERSION:2.0'],
        ...['X-S1CS-EMAIL:bob@example.com', 'X-NSCP-CALPROPS-RELATIVE-CALID:bob', 'X-NSCP-CALPROPS-NAME:Bob'],
        ...['X-NSCP-CALPROPS-PRIMARY-OWNER:bob', 'X-NSCP-CALPROPS-ACCESS-CONTROL-ENTRY:@@o^a^r^g'],
        ...['BEGIN:VFREEBUSY', 'DTSTART:20261123T000000Z', 'DTEND:20261124T000000Z'],
        'FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T100000Z',
        'FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261123T100000Z/20261123T110000Z',
        ...['END:VFREEBUSY', 'X-NSCP-WCAP-ERRNO:0', 'END:VCALENDAR', ''],
      ].join('\r\n'),
    });
  });

  test('writes XML with the same, and what is free where busyonly is 0', async () => {
    await using server = await startServer();
    const { body } = await ask(server, `get_freebusy.wcap?mail=bob@example.com&${DAY}&busyonly=0&fmt-out=text/xml`);
    expect(body).toContain('<START>20261123T000000Z</START>\n<END>20261124T000000Z</END>');
    expect(body.match(/<FB .*<\/FB>/g)).toEqual([
      '<FB FBTYPE="FREE">20261123T000000Z/20261123T090000Z</FB>',
      '<FB FBTYPE="BUSY">20261123T090000Z/20261123T100000Z</FB>',
      '<FB FBTYPE="BUSY-TENTATIVE">20261123T100000Z/20261123T110000Z</FB>',
      '<FB FBTYPE="FREE">20261123T110000Z/20261124T000000Z</FB>',
    ]);
    expect(body).toContain('<X-NSCP-WCAP-ERRNO>0</X-NSCP-WCAP-ERRNO>');
  });

  test('answers with status 200 and a calendar for each of a list', async () => {
    await using server = await startServer();
    const { status, body } = await ask(server, `get_freebusy.wcap?calid=bob%3Bsam%3Bnobody&${DAY}`);
    expect(status).toBe(200);
    expect(body.match(/X-NSCP-WCAP-ERRNO:\d+/g)).toEqual([
      'X-NSCP-WCAP-ERRNO:0',
      'X-NSCP-WCAP-ERRNO:28',
      'X-NSCP-WCAP-ERRNO:29',
    ]);
  });

  test('answers about an unknown user with an empty body', async () => {
    await using server = await startServer();
    const answer = await ask(server, `get_freebusy.wcap?mail=nobody@example.com&${DAY}`);
    expect(answer).toEqual({ status: 200, location: null, body: '' });
  });

  test.for([
    ['duration=2', '20261120T120000Z', '20261122T120000Z'],
    ['duration=2&dtstart=20261123T000000Z&dtend=20261223T000000Z', '20261123T000000Z', '20261125T000000Z'],
    ['freebusybegin=1&freebusyend=2', '20261119T120000Z', '20261122T120000Z'],
    ['freebusybegin=', '20261021T120000Z', '20261220T120000Z'],
    ['', '20261120T120000Z', '20270119T120000Z'],
  ] as const)('takes the range of %s', async ([range, start, end]) => {
    await using server = await startServer({ clock: () => Date.parse('2026-11-20T12:00:00Z') });
    const { body } = await ask(server, `get_freebusy.wcap?calid=bob&${range}`);
    expect(body).toContain(`DTSTART:${start}\r\nDTEND:${end}\r\n`);
  });

  test('redirects to where redirecturl points, with the question as it came, unless noredirect is 1', async () => {
    await using server = await startServer({ redirect: { url: 'http://gateway.example.com/wcap/', by: '302' } });
    const question = `get_freebusy.wcap?mail=nobody@example.com&${DAY}`;
    const { status, location } = await ask(server, question);
    expect(status).toBe(302);
    expect(location).toBe(
      'http://gateway.example.com/wcap/get_freebusy.wcap?mail=nobody%40example.com&dtstart=20261123T000000Z&dtend=20261124T000000Z',
    );
    expect(await ask(server, `${question}&noredirect=1`)).toMatchObject({ status: 200, body: '' });
    expect(await ask(server, question.replace('nobody', 'bob'))).toMatchObject({ status: 200 });
  });

  test('relays what it is answered there, if that is how it does it', async () => {
    const asked: string[] = [];
    const other = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end('BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n');
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/any/get_freebusy.wcap`;
    await using server = await startServer({ redirect: { url, by: 'relay' } });
    expect(await ask(server, `get_freebusy.wcap?mail=new@example.com&${DAY}`)).toMatchObject({
      status: 200,
      body: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n',
    });
    expect(asked).toEqual([
      '/any/get_freebusy.wcap?mail=new%40example.com&dtstart=20261123T000000Z&dtend=20261124T000000Z',
    ]);
    other.close();
  });

  test('opens a session, checks it, ends it', async () => {
    const logins = [{ user: 'calmaster', password: 'right' }];
    await using server = await startServer({ logins, anonymous: false });
    const form = { method: 'POST', body: new URLSearchParams({ user: 'calmaster', password: 'right' }) };
    const { body } = await ask(server, 'login.wcap', form);
    const id = /^X-NSCP-WCAP-SESSION-ID:(\w+)\r$/m.exec(body)?.[1] ?? '';
    expect(server.sessions).toEqual([id]);
    const question = `get_freebusy.wcap?calid=bob&${DAY}`;
    expect((await ask(server, question)).body).toContain('X-NSCP-WCAP-ERRNO:75');
    expect((await ask(server, `${question}&id=${id}`)).body).toContain('X-NSCP-WCAP-ERRNO:0');
    expect((await ask(server, `check_id.wcap?id=${id}`)).body).toContain('X-NSCP-WCAP-CHECK-ID:1');
    expect((await ask(server, `logout.wcap?id=${id}&fmt-out=text/xml`)).body).toContain(
      '<X-NSCP-WCAP-ERRNO>-1</X-NSCP-WCAP-ERRNO>',
    );
    expect((await ask(server, `check_id.wcap?id=${id}`)).body).toContain('X-NSCP-WCAP-CHECK-ID:0');
    expect((await ask(server, `${question}&id=${id}`)).body).toContain('X-NSCP-WCAP-ERRNO:1');
    expect((await ask(server, 'login.wcap?user=calmaster&password=wrong')).body).toContain('X-NSCP-WCAP-ERRNO:1');
  });

  const request = [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY'],
    ...['DTSTAMP:20261120T200200Z', 'ORGANIZER:mailto:eve@example.com', 'DTSTART:20261123T000000Z'],
    ...['DTEND:20261124T000000Z', 'UID:34222-232@example.com', 'ATTENDEE;CN="Bob: the;one":mailto:bob@example.com'],
    ...['ATTENDEE:mailto:nobody@example.com', 'ATTENDEE:mailto:sam@example.com'],
    ...['END:VFREEBUSY', 'END:VCALENDAR', ''],
  ].join('\r\n');
  const post = { method: 'POST', headers: { 'Content-Type': 'text/calendar' }, body: request };

  test('answers an iSchedule question without Originator and Recipient', async () => {
    await using server = await startServer();
    const { status, body } = await ask(server, 'ischedule/', post);
    expect(status).toBe(200);
    expect(
      [...body.matchAll(/<recipient>(.*)<\/recipient>\n<request-status>(.*)<\//g)].map((one) => one.slice(1)),
    ).toEqual([
      ['mailto:bob@example.com', '2.0;Success'],
      ['mailto:nobody@example.com', '3.7;Invalid calendar user'],
      ['mailto:sam@example.com', '3.8;No authority'],
    ]);
    expect(body).toContain('FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T100000Z\r\n');
  });

  test('answers it with a bare calendar, if that is how it does it', async () => {
    await using server = await startServer({ ischedule: 'calendar' });
    const { body } = await ask(server, 'ischedule/', post);
    expect(body).toMatch(/^BEGIN:VCALENDAR\r\n/);
    expect(body.match(/^(?:METHOD|UID|ATTENDEE).*$/gm)).toEqual([
      'METHOD:REPLY',
      'UID:34222-232@example.com',
      'ATTENDEE:mailto:bob@example.com',
    ]);
  });

  test('takes no invitation by iSchedule', async () => {
    await using server = await startServer();
    const body = request.replaceAll('VFREEBUSY', 'VEVENT');
    expect(await ask(server, 'ischedule/', { ...post, body })).toMatchObject({ status: 403 });
  });
});
