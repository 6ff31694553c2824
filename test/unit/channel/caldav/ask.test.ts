import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { CalDavSource } from '../../../../channel/caldav/ask.ts';
import type { BusyBatch } from '../../../../channel/channel.ts';
import { type Log, silentLog } from '../../../../src/observe/log.ts';
import { type Asked, busyText, REQUESTER, startWebServer, type WebServer } from '../web-server.ts';

const NOW = Date.UTC(2026, 10, 21, 8);
const BATCH: BusyBatch = {
  server: new URL('https://cal.example.com/'),
  profile: 'generic',
  uid: 'q-1',
  originator: 'olga@example.org',
  attendees: ['alice@example.com', 'bob@example.com'],
  window: { startMs: Date.UTC(2026, 10, 23), endMs: Date.UTC(2026, 10, 24) },
  hops: ['imipd-0123456789abcdef', 'imipd-fedcba9876543210'],
};
const BUSY = {
  kind: 'periods',
  periods: [{ startMs: Date.UTC(2026, 10, 23, 9), endMs: Date.UTC(2026, 10, 23, 10), type: 'BUSY-TENTATIVE' }],
};
const FREE = { kind: 'periods', periods: [] };

function sourceAt({ url }: WebServer, log: Log = silentLog): CalDavSource {
  const outbox = new URL(`${url}/outbox/`);
  const options = { outbox, authorization: 'Bearer secret', organizer: 'service@example.com' };
  return new CalDavSource({ ...options, requester: REQUESTER, clock: () => NOW }, log);
}

/** Answers as a server of RFC 6638 that knows alice alone. */
function answer({ body }: Asked, response: ServerResponse): void {
  const span = ['UID:q-1', 'DTSTART:20261123T000000Z', 'DTEND:20261124T000000Z'];
  const times = busyText(...span, 'FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261123T090000Z/20261123T100000Z');
  const responses = [...body.matchAll(/ATTENDEE:(\S+)/g)].map(([, uri = '']) => {
    const data = uri.startsWith('mailto:alice') ? times : busyText(...span);
    return `<C:response><C:recipient><D:href>${uri}</D:href></C:recipient><C:request-status>2.0;Success</C:request-status><C:calendar-data>${data}</C:calendar-data></C:response>`;
  });
  response.writeHead(200, { 'Content-Type': 'application/xml' });
  response.end(
    `<C:schedule-response xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">${responses.join('')}</C:schedule-response>`,
  );
}

const unhurried = new AbortController().signal;

test('all of a batch are asked about in one POST by the service account', async () => {
  await using server = await startWebServer(answer);
  await using source = sourceAt(server);
  expect(await source.ask(BATCH, unhurried)).toEqual([BUSY, FREE]);
  expect(source).toMatchObject({ protocol: 'caldav', destination: server.url });
  expect(server.asked).toHaveLength(1);
  expect(server.asked[0]).toMatchObject({
    method: 'POST',
    path: '/outbox/',
    headers: {
      authorization: 'Bearer secret',
      'content-type': 'text/calendar; charset=utf-8; component=VFREEBUSY; method=REQUEST',
      via: '1.1 imipd-0123456789abcdef, 1.1 imipd-fedcba9876543210',
    },
    body: [
      'BEGIN:VCALENDAR',
      'VERSION:2.0',
      'PRODID:-//imipd//EN',
      'METHOD:REQUEST',
      'BEGIN:VFREEBUSY',
      'UID:q-1',
      'DTSTAMP:20261121T080000Z',
      'ORGANIZER:mailto:service@example.com',
      'ATTENDEE:mailto:alice@example.com',
      'ATTENDEE:mailto:bob@example.com',
      'DTSTART:20261123T000000Z',
      'DTEND:20261124T000000Z',
      'END:VFREEBUSY',
      'END:VCALENDAR',
      '',
    ].join('\r\n'),
  });
});

test('one with a sub-address is asked about by himself, and takes nobody with him where the server dies of it', async () => {
  await using server = await startWebServer((asked, response) => {
    if (asked.body.includes('bob+work')) response.destroy();
    else answer(asked, response);
  });
  await using source = sourceAt(server);
  const attendees = ['bob+work@example.com', 'alice@example.com', 'alice+x@example.com', 'carol@example.com'];
  const [bob, ...others] = await source.ask({ ...BATCH, attendees }, unhurried);
  expect(bob).toMatchObject({ kind: 'unavailable' });
  expect(others).toEqual([BUSY, BUSY, FREE]);
});

test.each([307, 308])('a redirect by %i is followed within the origin', async (status) => {
  await using server = await startWebServer((asked, response) => {
    if (asked.path === '/outbox/') response.writeHead(status, { Location: '/moved/' }).end();
    else answer(asked, response);
  });
  await using source = sourceAt(server);
  expect(await source.ask(BATCH, unhurried)).toEqual([BUSY, FREE]);
  expect(server.asked.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /outbox/', 'POST /moved/']);
});

test.each<readonly [string, number, string | undefined, string]>([
  ['one that makes a GET of it', 301, '/moved/', 'a redirect to HOST (301)'],
  ['the same by 302', 302, '/login?secret=1', 'a redirect to HOST (302)'],
  ['one to another host', 307, 'https://elsewhere.example.org/x?token=1', 'a redirect to elsewhere.example.org (307)'],
  ['one to nowhere', 307, undefined, 'a redirect to nowhere (307)'],
  ['one that goes round', 308, '/outbox/', 'more than 3 redirects'],
])('a redirect is not followed: %s', async (_, status, location, found) => {
  await using server = await startWebServer((_asked, response) => {
    response.writeHead(status, location === undefined ? {} : { Location: location }).end();
  });
  await using source = sourceAt(server);
  const host = new URL(server.url).host;
  const reason = `found ${found.replace('HOST', host)}, wanted the schedule-outbox-URL of the service account`;
  expect(await source.ask(BATCH, unhurried)).toEqual([
    { kind: 'unavailable', reason },
    { kind: 'unavailable', reason },
  ]);
});

test('an operator is told once of what is wrong with the outbox, and again after it was right', async () => {
  const told: unknown[] = [];
  const log = { ...silentLog, warn: (facts: { readonly reason: string }) => told.push(facts.reason) } as unknown as Log;
  let isRight = false;
  await using server = await startWebServer((asked, response) => {
    if (isRight) answer(asked, response);
    else response.writeHead(405).end();
  });
  await using source = sourceAt(server, log);
  for (const right of [false, false, true, false]) {
    isRight = right;
    await source.ask(BATCH, unhurried);
  }
  const reason =
    'found 405, wanted the schedule-response of an outbox: name the schedule-outbox-URL of the service account';
  expect(told).toEqual([reason, reason]);
});

test('a server that hangs is given up at the deadline, and nobody is free for it', async () => {
  const deadline = new AbortController();
  await using server = await startWebServer((_asked, response) => {
    response.writeHead(200, { 'Content-Type': 'application/xml' });
    response.write('<schedule-response>');
    deadline.abort(new DOMException('The operation timed out', 'TimeoutError'));
  });
  await using source = sourceAt(server);
  const late = { kind: 'unavailable', reason: 'the calendar server did not answer in time' };
  expect(await source.ask(BATCH, deadline.signal)).toEqual([late, late]);
});

test('an answer beyond the limit is none', async () => {
  await using server = await startWebServer((_asked, response) => {
    response.writeHead(200, { 'Content-Type': 'application/xml' });
    response.end(`<schedule-response>${' '.repeat(REQUESTER.maxResponseBytes)}</schedule-response>`);
  });
  await using source = sourceAt(server);
  const large = { kind: 'unavailable', reason: 'the answer is too large' };
  expect(await source.ask(BATCH, unhurried)).toEqual([large, large]);
});
