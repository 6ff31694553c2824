import type { ServerResponse } from 'node:http';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import type { BusyBatch } from '../../../../channel/channel.ts';
import { IScheduleSource } from '../../../../channel/ischedule/ask.ts';
import type { IScheduleOptions } from '../../../../channel/ischedule/deliver.ts';
import type { ServerSettings } from '../../../../channel/ischedule/settings.ts';
import { composeError, composeReply, type RecipientResponse } from '../../../../channel/ischedule/wire.ts';
import type { BusyReading, Period } from '../../../../src/freebusy/busy.ts';
import { composeBusyReply } from '../../../../src/freebusy/compose.ts';
import { silentLog } from '../../../../src/observe/log.ts';
import { noSignal, type Peer, type Received, startPeer } from './peer.ts';

const closers = new Set<AsyncDisposable>();
afterEach(async () => {
  for (const one of closers) await one[Symbol.asyncDispose]();
  closers.clear();
});

const WINDOW = { startMs: Date.UTC(2026, 11, 1), endMs: Date.UTC(2026, 11, 2) };
const NOW = Date.UTC(2026, 10, 21, 8);
const hour = (from: number): Period => ({
  startMs: Date.UTC(2026, 11, 1, from),
  endMs: Date.UTC(2026, 11, 1, from + 1),
  type: 'BUSY',
});
const [ANN, BOB] = ['ann@example.com', 'bob@example.com'];

async function serve(answer: (received: Received, response: ServerResponse) => void): Promise<Peer> {
  const peer = await startPeer(answer);
  closers.add(peer);
  return peer;
}

function source(
  server: URL,
  settings: Partial<ServerSettings> = {},
  options: Partial<IScheduleOptions> = {},
  log = silentLog,
) {
  const made = new IScheduleSource(
    {
      ...{ server, timeoutMs: 20_000, connectTimeoutMs: 5000, connections: 2, maxRedirects: 3, redirectHosts: [] },
      ...{ userAgent: 'imipd/test', maxResponseBytes: 100_000, clock: () => NOW },
      settings: {
        ...{ fallbacks: [], capabilities: 'none', timeoutMs: 20_000, connectTimeoutMs: 5000 },
        ...{ headersTimeoutMs: 20_000, bodyTimeoutMs: 20_000 },
        ...settings,
      },
      ...options,
    },
    log,
  );
  closers.add(made);
  return made;
}

function batch(server: URL, overrides: Partial<BusyBatch> = {}): BusyBatch {
  return {
    ...{ server, profile: 'generic', uid: 'q1-busy', originator: 'olga@example.org', attendees: [ANN] },
    ...{ window: WINDOW, hops: ['imipd-00000000000000aa', 'imipd-00000000000000bb'] },
    ...overrides,
  };
}

/** VFREEBUSY REPLY as the question wants it. */
function reply(attendee: string, periods: readonly Period[], overrides: { uid?: string; window?: typeof WINDOW } = {}) {
  return composeBusyReply({
    ...{ uid: 'q1-busy', organizer: 'mailto:olga@example.org', attendee: `mailto:${attendee}`, now: NOW },
    ...{ window: WINDOW, periods, ...overrides },
  }).toString();
}

const xml = (response: ServerResponse, responses: readonly RecipientResponse[]): void =>
  void response.writeHead(200, { 'Content-Type': 'application/xml' }).end(composeReply(responses));

/** An answer that is the same whatever was asked. */
async function answeredBy(
  answer: (response: ServerResponse) => void,
  overrides: Partial<BusyBatch> = {},
): Promise<readonly BusyReading[]> {
  const peer = await serve((_, response) => answer(response));
  return source(peer.url).ask(batch(peer.url, overrides), noSignal);
}

/** Only kind and reason, or the periods. */
async function readingOf(responses: readonly RecipientResponse[], overrides: Partial<BusyBatch> = {}) {
  return (await answeredBy((response) => xml(response, responses), overrides))[0];
}

describe('a question', () => {
  test('for several is one POST with all headers, by way of all gateways, and one VFREEBUSY', async () => {
    const peer = await serve((_, response) =>
      xml(response, [
        { recipient: `mailto:${BOB}`, requestStatus: '2.0;Success', calendarData: reply(BOB, []) },
        { recipient: `mailto:${ANN}`, requestStatus: '2.0;Success', calendarData: reply(ANN, [hour(9), hour(11)]) },
      ]),
    );
    const readings = await source(peer.url).ask(batch(peer.url, { attendees: [ANN, BOB] }), noSignal);
    expect(readings).toEqual([
      { kind: 'periods', periods: [hour(9), hour(11)] },
      { kind: 'periods', periods: [] },
    ]);
    const [{ rawHeaders, body, path }, ...more] = peer.received as [Received];
    expect([path, more]).toEqual(['/ischedule', []]);
    expect(rawHeaders).toEqual([
      ...['host', peer.url.host],
      ...['connection', 'keep-alive'],
      ...['iSchedule-Version', '1.0'],
      ...['iSchedule-Message-ID', 'q1-busy'],
      ...['Originator', 'mailto:olga@example.org'],
      ...['Recipient', `mailto:${ANN}`],
      ...['Recipient', `mailto:${BOB}`],
      ...['Content-Type', 'text/calendar; component=VFREEBUSY; method=REQUEST; charset=utf-8'],
      ...['Cache-Control', 'no-cache, no-transform'],
      ...['User-Agent', 'imipd/test'],
      ...['Via', '1.1 imipd-00000000000000aa, 1.1 imipd-00000000000000bb'],
      ...['content-length', String(body.length)],
    ]);
    expect(body.toString().split('\r\n')).toEqual([
      ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//imipd//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY', 'UID:q1-busy'],
      ...['DTSTAMP:20261121T080000Z', 'ORGANIZER:mailto:olga@example.org'],
      ...[`ATTENDEE:mailto:${ANN}`, `ATTENDEE:mailto:${BOB}`],
      ...['DTSTART:20261201T000000Z', 'DTEND:20261202T000000Z', 'END:VFREEBUSY', 'END:VCALENDAR', ''],
    ]);
  });

  test('to a v6 server has the full set of headers as well, and no capabilities are asked for', async () => {
    const peer = await serve((_, response) =>
      xml(response, [{ recipient: ANN, requestStatus: '2.0', calendarData: reply(ANN, []) }]),
    );
    const { capabilities: _, ...settings } = settingsWithoutCapabilities();
    await source(peer.url, {}, { settings }).ask(batch(peer.url, { profile: 'oracle-v6' }), noSignal);
    expect(peer.received.map(({ method }) => method)).toEqual(['POST']);
    expect(['iSchedule-Version', 'Originator', 'Recipient'].flatMap((name) => peer.received[0]?.values(name))).toEqual([
      ...['1.0', 'mailto:olga@example.org', `mailto:${ANN}`],
    ]);
  });

  test('to Cyrus names its users bare and in lower case in the header, in lower case in the body', async () => {
    const peer = await serve((_, response) =>
      xml(response, [
        { recipient: ANN, requestStatus: '2.0', calendarData: reply(ANN, [hour(9)]) },
        { recipient: BOB, requestStatus: '3.7' },
      ]),
    );
    const attendees = ['Ann@example.com', 'BOB@example.com'];
    const readings = await source(peer.url).ask(batch(peer.url, { profile: 'cyrus', attendees }), noSignal);
    expect(readings.map(({ kind }) => kind)).toEqual(['periods', 'unknown']);
    expect(peer.received[0]?.values('Recipient')).toEqual([`${ANN}, ${BOB}`]);
    expect(peer.received[0]?.body.toString()).toContain(`ATTENDEE:mailto:${ANN}\r\nATTENDEE:mailto:${BOB}\r\n`);
  });

  test('for very many goes in parts, each with those recipients alone in its body', async () => {
    const peer = await serve((received, response) =>
      xml(
        response,
        received.values('Recipient').map((recipient) => ({
          ...{ recipient, requestStatus: '2.0', calendarData: reply(recipient.slice('mailto:'.length), [hour(9)]) },
        })),
      ),
    );
    const attendees = Array.from({ length: 150 }, (_, index) => `user${index}@example.com`);
    const readings = await source(peer.url).ask(batch(peer.url, { attendees }), noSignal);
    expect(readings).toEqual(attendees.map(() => ({ kind: 'periods', periods: [hour(9)] })));
    expect(peer.received.map((one) => one.values('Recipient').length)).toEqual([64, 64, 22]);
    for (const one of peer.received) {
      expect([...one.body.toString().matchAll(/^ATTENDEE:(.*)\r$/gm)].map(([, uri]) => uri)).toEqual(
        one.values('Recipient'),
      );
    }
  });

  test('that is for too many is asked again for fewer at a time', async () => {
    const peer = await serve((received, response) => {
      const recipients = received.values('Recipient');
      if (recipients.length > 1) response.writeHead(403).end(composeError('max-recipients'));
      else xml(response, [{ recipient: recipients[0] ?? '', requestStatus: '3.7' }]);
    });
    const readings = await source(peer.url).ask(batch(peer.url, { attendees: [ANN, BOB] }), noSignal);
    expect(readings.map(({ kind }) => kind)).toEqual(['unknown', 'unknown']);
    expect(peer.received.map((one) => one.body.toString().match(/^ATTENDEE/gm)?.length)).toEqual([2, 1, 1]);
  });

  test('is followed to where a redirect on the same host leads', async () => {
    const peer = await serve(({ path }, response) =>
      path === '/ischedule'
        ? void response.writeHead(307, { Location: '/deeper' }).end()
        : xml(response, [{ recipient: ANN, requestStatus: '2.0', calendarData: reply(ANN, [hour(9)]) }]),
    );
    expect(await source(peer.url).ask(batch(peer.url), noSignal)).toEqual([{ kind: 'periods', periods: [hour(9)] }]);
  });

  test('for another server is our mistake and throws', async () => {
    await expect(
      source(new URL('http://127.0.0.1:1/')).ask(batch(new URL('http://127.0.0.2:1/')), noSignal),
    ).rejects.toThrow(TypeError);
  });

  function settingsWithoutCapabilities(): ServerSettings {
    return {
      ...{ fallbacks: [], timeoutMs: 20_000, connectTimeoutMs: 5000 },
      ...{ headersTimeoutMs: 20_000, bodyTimeoutMs: 20_000 },
    };
  }
});

describe('what the server says of an attendee', () => {
  const data = (calendarData: string): RecipientResponse[] => [
    { recipient: `mailto:${ANN}`, requestStatus: '2.0;Success', calendarData },
  ];

  test.each([
    ['without mailto:', ANN],
    ['in other letters', 'MAILTO:Ann@EXAMPLE.com'],
  ])('is his with his address %s', async (_, recipient) => {
    expect(await readingOf([{ recipient, requestStatus: '2.0', calendarData: reply(ANN, [hour(9)]) }])).toEqual({
      kind: 'periods',
      periods: [hour(9)],
    });
  });

  test.each([
    ['3.7;Invalid calendar user', 'unknown', 'the calendar server knows no such user'],
    ['5.3;No scheduling support for user', 'unknown', 'the user has no scheduling at the calendar server'],
    ['3.8;No authority', 'refused', 'the calendar server gives the originator no authority'],
    ['4.2;No Access', 'refused', 'the calendar server gives the originator no authority'],
    ['5.1;Service unavailable', 'unusable', 'the calendar service is not available'],
    ['3.1;Invalid property value', 'unusable', 'the calendar server refused the calendar object'],
    ['9.9;Whatever', 'unusable', 'the calendar server gave no request status that means anything'],
    ['', 'unusable', 'the calendar server gave no request status that means anything'],
    ['2.0;Success', 'unusable', 'the calendar server answered without busy times'],
    ['1.2;Delivered', 'unusable', 'the calendar server answered without busy times'],
  ] as const)('%s is %s', async (requestStatus, kind, reason) => {
    expect(await readingOf([{ recipient: ANN, requestStatus }])).toEqual({ kind, reason });
  });

  test.each([
    ['about somebody else', reply(BOB, []), 'found the times of another than was asked about'],
    [
      'to another question',
      reply(ANN, [], { uid: 'other' }),
      'found the answer to another question, its UID is another',
    ],
    [
      'for less than was asked',
      reply(ANN, [], { window: { startMs: WINDOW.startMs, endMs: WINDOW.endMs - 3_600_000 } }),
      'found times from 2026-12-01T00:00Z to 2026-12-01T23:00Z, wanted them from 2026-12-01T00:00Z to 2026-12-02T00:00Z',
    ],
    ['that is empty', ' ', 'the calendar server answered without busy times'],
    [
      'that is a page',
      '<html>Log in</html>',
      'the busy times cannot be read: found an HTML or XML page, wanted iCalendar',
    ],
  ])('with an answer %s is none', async (_, calendarData, reason) => {
    expect(await readingOf(data(calendarData))).toEqual({ kind: 'unusable', reason });
  });

  test.each([
    ['a period that cannot be read', reply(ANN, [hour(9)]).replace('T090000Z', 'T99')],
    [
      'events in place of busy times',
      'BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:q1-busy\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n',
    ],
    ['nothing in it', 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n'],
  ])('with %s is not taken for free', async (_, calendarData) => {
    expect(await readingOf(data(calendarData))).toMatchObject({ kind: 'unusable' });
  });

  test('counts less than the status of the answer itself', async () => {
    const refused = reply(ANN, []).replace('UID', 'REQUEST-STATUS:3.8;No authority\r\nUID');
    expect(await readingOf(data(refused))).toMatchObject({ kind: 'refused' });
  });

  test('is nothing where there are two answers that differ, and the others’ stand', async () => {
    const readings = await answeredBy(
      (response) =>
        xml(response, [
          { recipient: ANN, requestStatus: '2.0', calendarData: reply(ANN, []) },
          { recipient: BOB, requestStatus: '2.0', calendarData: reply(BOB, [hour(9)]) },
          { recipient: `mailto:${ANN}`, requestStatus: '2.0', calendarData: reply(ANN, [hour(9)]) },
          { recipient: BOB, requestStatus: '2.0', calendarData: reply(BOB, [hour(9)]) },
        ]),
      { attendees: [ANN, BOB] },
    );
    expect(readings).toEqual([
      { kind: 'unusable', reason: 'the calendar server gave two answers for the attendee' },
      { kind: 'periods', periods: [hour(9)] },
    ]);
  });

  test('spoils nothing for the others, as little as one who is missing', async () => {
    const attendees = [ANN, BOB, 'cat@example.com', 'dan@example.com'];
    const readings = await answeredBy(
      (response) =>
        xml(response, [
          { recipient: ANN, requestStatus: '2.0', calendarData: 'BEGIN:VCALENDAR\r\nnonsense' },
          { recipient: BOB, requestStatus: '2.0', calendarData: reply(BOB, [hour(9)]) },
          { recipient: 'dan@example.com', requestStatus: '3.7' },
        ]),
      { attendees },
    );
    expect(readings).toMatchObject([
      { kind: 'unusable' },
      { kind: 'periods', periods: [hour(9)] },
      { kind: 'unusable', reason: 'the calendar server did not answer for the recipient' },
      { kind: 'unknown' },
    ]);
  });
});

describe('iCalendar in place of XML', () => {
  /** As v6 writes by WCAP: neither UID nor ATTENDEE. */
  const NAMELESS = [
    ...['BEGIN:VCALENDAR', 'METHOD:REPLY', 'BEGIN:VFREEBUSY', 'DTSTART:20261201T000000Z', 'DTEND:20261202T000000Z'],
    ...['FREEBUSY;FBTYPE=BUSY:20261201T090000Z/20261201T100000Z', 'END:VFREEBUSY', 'X-NSCP-WCAP-ERRNO:0'],
    ...['END:VCALENDAR', ''],
  ].join('\r\n');
  const bare = (body: string, type?: string) => (response: ServerResponse) =>
    void response.writeHead(200, type === undefined ? {} : { 'Content-Type': type }).end(body);

  test.each([
    ['text/calendar', NAMELESS],
    ['text/calendar; charset=utf-8; method=REPLY', `\r\n \uFEFF${reply(ANN, [hour(9)])}`.trimStart()],
    ['application/xml', NAMELESS],
    [undefined, reply(ANN, [hour(9)])],
  ])('labelled %s is the answer about the one who was asked about', async (type, body) => {
    expect(await answeredBy(bare(body, type))).toEqual([{ kind: 'periods', periods: [hour(9)] }]);
  });

  test('is parted by ATTENDEE, and whom none names has no answer', async () => {
    const both = `${reply(BOB, [hour(11)])}${reply('ANN@example.com', [hour(9)])}${NAMELESS}`;
    const attendees = [ANN, BOB, 'cat@example.com'];
    expect(await answeredBy(bare(both, 'text/calendar'), { attendees })).toEqual([
      { kind: 'periods', periods: [hour(9)] },
      { kind: 'periods', periods: [hour(11)] },
      { kind: 'unusable', reason: 'the calendar server did not answer for the attendee' },
    ]);
  });

  test('is parted by calendar where it is one of v6', async () => {
    const of = (calid: string, start: string) =>
      NAMELESS.replace('BEGIN:VFREEBUSY', `X-NSCP-CALPROPS-RELATIVE-CALID:${calid}\r\nBEGIN:VFREEBUSY`).replace(
        'T09',
        start,
      );
    const body = `${of(`mailto:${BOB}`, 'T08')}${of(ANN, 'T09')}${of('ann', 'T07')}`;
    const readings = await answeredBy(bare(body, 'text/calendar'), { attendees: [ANN, BOB] });
    const early = { ...hour(8), endMs: hour(9).endMs };
    expect(readings).toEqual([hour(9), early].map((period) => ({ kind: 'periods', periods: [period] })));
  });

  test('that names two in one VFREEBUSY is an answer about neither', async () => {
    const both = reply(ANN, [hour(9)]).replace('ATTENDEE:', `ATTENDEE:mailto:${BOB}\r\nATTENDEE:`);
    const readings = await answeredBy(bare(both, 'text/calendar'), { attendees: [ANN, BOB] });
    expect(readings.map(({ kind }) => kind)).toEqual(['unusable', 'unusable']);
  });

  test.each([
    ['29', 'unknown'],
    ['28', 'refused'],
    ['39', 'unusable'],
    ['69', 'unavailable'],
    ['11001', 'unavailable'],
  ])('without busy times and with error %s of v6 is %s', async (errno, kind) => {
    const body = `BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-NSCP-WCAP-ERRNO:${errno}\r\nEND:VCALENDAR\r\n`;
    const [reading] = await answeredBy(bare(body, 'text/calendar'));
    expect(reading).toEqual({ kind, reason: `the calendar server answered with error ${errno}` });
  });

  test('without busy times and without an error is not taken for free', async () => {
    const body = 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-NSCP-WCAP-ERRNO:0\r\nEND:VCALENDAR\r\n';
    const reason = 'the calendar server answered without busy times';
    expect(await answeredBy(bare(body, 'text/calendar'))).toEqual([{ kind: 'unusable', reason }]);
  });

  test('labelled so, and XML all the same, is read as XML', async () => {
    const body = composeReply([{ recipient: ANN, requestStatus: '3.7;Invalid calendar user' }]);
    expect(await answeredBy(bare(body, 'text/calendar'))).toMatchObject([{ kind: 'unknown' }]);
  });

  test('with an error status counts by that', async () => {
    expect(await answeredBy((response) => void response.writeHead(500).end(NAMELESS))).toEqual([
      { kind: 'unavailable', reason: 'the calendar server failed' },
    ]);
  });
});

describe('no answer for anybody', () => {
  const page =
    (status: number, body: string, headers: Record<string, string> = {}) =>
    (response: ServerResponse) =>
      void response.writeHead(status, headers).end(body);
  const bomb = `<!DOCTYPE r [<!ENTITY a "aaaa">]><schedule-response>&a;</schedule-response>`;
  const html = '<html><body>Please log in</body></html>';

  test.each([
    [
      'an HTML page with 200',
      page(200, html, { 'Content-Type': 'text/html' }),
      'no schedule-response: the answer is not a schedule-response',
    ],
    ['XML with entities', page(200, bomb), 'no schedule-response: the answer has a DOCTYPE'],
    ['nothing', page(200, ''), 'no schedule-response: the answer is empty'],
    ['JSON', page(200, '{}'), 'no schedule-response: the answer is not XML'],
    [
      'something compressed',
      page(200, 'x', { 'Content-Encoding': 'gzip' }),
      'no schedule-response: the answer is compressed',
    ],
    ['too much', page(200, 'x'.repeat(200_000)), 'no schedule-response: the answer is too large'],
    [
      'a redirect elsewhere',
      page(302, '', { Location: 'http://other.example.net/' }),
      'redirected to a host that is not allowed',
    ],
    ['401', page(401, ''), 'the calendar server wants credentials'],
    ['404', page(404, ''), 'the calendar server has no iSchedule service there'],
    ['410', page(410, ''), 'the calendar server refused the gateway'],
    ['429', page(429, ''), 'the calendar server is too busy'],
    ['500', page(500, html), 'the calendar server failed'],
    ['originator-denied', page(403, composeError('originator-denied')), 'the calendar server refused the gateway'],
    [
      'a closed connection',
      (response: ServerResponse) => void response.destroy(),
      'the calendar server closed the connection (UND_ERR_SOCKET)',
    ],
  ])('comes with %s', async (_, answer, reason) => {
    const readings = await answeredBy(answer, { attendees: [ANN, BOB] });
    expect(readings).toEqual([ANN, BOB].map(() => ({ kind: 'unavailable', reason })));
  });

  test('that refuses this question for good says nothing against the server', async () => {
    const readings = await answeredBy(page(403, composeError('max-date-time')), { attendees: [ANN, BOB] });
    const reason = 'the calendar object is beyond a limit of the calendar server';
    expect(readings).toEqual([ANN, BOB].map(() => ({ kind: 'unusable', reason })));
  });

  test.each([
    ['does not answer', () => undefined],
    ['hangs after its headers', (response: ServerResponse) => response.writeHead(200).flushHeaders()],
  ])('comes from one that %s until the question is over', async (_, answer) => {
    const over = new AbortController();
    const peer = await serve((_received, response) => {
      answer(response);
      over.abort();
    });
    const readings = await source(peer.url).ask(batch(peer.url, { attendees: [ANN, BOB] }), over.signal);
    const reason = 'the calendar server did not answer in time';
    expect(readings).toEqual([ANN, BOB].map(() => ({ kind: 'unavailable', reason })));
  });

  test('comes from one that asked to be left alone, and it is', async () => {
    const peer = await serve((_, response) => response.writeHead(503, { 'Retry-After': '90' }).end());
    const asking = source(peer.url);
    expect(await asking.ask(batch(peer.url), noSignal)).toEqual([
      { kind: 'unavailable', reason: 'the calendar server failed' },
    ]);
    expect(await asking.ask(batch(peer.url), noSignal)).toEqual([
      { kind: 'unavailable', reason: 'the calendar server asked to be left alone for a while' },
    ]);
    expect(peer.received.length).toBe(1);
  });

  test('leaves what was answered before as it is', async () => {
    const peer = await serve((received, response) => {
      if (peer.received.length > 1) response.destroy();
      else
        xml(
          response,
          received.values('Recipient').map((recipient) => ({ recipient, requestStatus: '3.7' })),
        );
    });
    const attendees = Array.from({ length: 130 }, (_, index) => `user${index}@example.com`);
    const readings = await source(peer.url).ask(batch(peer.url, { attendees }), noSignal);
    expect(readings.map(({ kind }) => kind)).toEqual(attendees.map((_, at) => (at < 64 ? 'unknown' : 'unavailable')));
    expect(peer.received.length).toBe(2);
  });
});

describe('the same service elsewhere', () => {
  const right = (received: Received, response: ServerResponse): void =>
    xml(response, [
      { recipient: received.values('Recipient')[0] ?? '', requestStatus: '2.0', calendarData: reply(ANN, [hour(9)]) },
    ]);

  test('is asked although the first may have got the question, and first from then on', async () => {
    const first = await serve((_, response) => void response.destroy());
    const second = await serve(right);
    const asking = source(first.url);
    const both = batch(first.url, { fallbacks: [second.url] });
    for (let time = 0; time < 2; time++) {
      expect(await asking.ask(both, noSignal)).toEqual([{ kind: 'periods', periods: [hour(9)] }]);
    }
    expect([first.received.length, second.received.length]).toEqual([1, 2]);
  });

  test('is asked first after a question that the other let pass', async () => {
    const over = new AbortController();
    const first = await serve(() => over.abort());
    const second = await serve(right);
    const asking = source(first.url, { fallbacks: [second.url.href] });
    expect(await asking.ask(batch(first.url), over.signal)).toMatchObject([{ kind: 'unavailable' }]);
    expect(await asking.ask(batch(first.url), noSignal)).toEqual([{ kind: 'periods', periods: [hour(9)] }]);
    expect(first.received.length).toBe(1);
  });

  test('is not asked where the first has answered', async () => {
    const first = await serve((_, response) => xml(response, [{ recipient: ANN, requestStatus: '3.7' }]));
    const second = await serve(right);
    const readings = await source(first.url).ask(batch(first.url, { fallbacks: [second.url] }), noSignal);
    expect([readings[0]?.kind, second.received.length]).toEqual(['unknown', 0]);
  });
});

test('capabilities are asked for once, and what they rule out is not asked', async () => {
  const peer = await serve(({ method }, response) => {
    if (method === 'POST') xml(response, [{ recipient: ANN, requestStatus: '2.0', calendarData: reply(ANN, []) }]);
    else
      response.end(
        '<query-result xmlns="urn:ietf:params:xml:ns:ischedule"><capabilities><serial-number>1</serial-number>' +
          '<max-date-time>20261231T000000Z</max-date-time></capabilities></query-result>',
      );
  });
  const asking = source(peer.url, { capabilities: 'action' });
  const later = { startMs: Date.UTC(2027, 1, 1), endMs: Date.UTC(2027, 1, 2) };
  const readings = [
    ...(await asking.ask(batch(peer.url), noSignal)),
    ...(await asking.ask(batch(peer.url, { window: later }), noSignal)),
  ];
  expect(readings).toEqual([
    { kind: 'periods', periods: [] },
    {
      kind: 'unusable',
      reason: 'a date of the calendar object is later than the calendar server announces to take',
    },
  ]);
  expect(peer.received.map(({ method }) => method)).toEqual(['GET', 'POST']);
});

test('the log calls a question by its name, and holds nobody’s busy times', async () => {
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  const peer = await serve((_, response) =>
    xml(response, [
      { recipient: ANN, requestStatus: '2.0', calendarData: reply(ANN, [hour(9)]) },
      { recipient: 'eve@example.net', requestStatus: '2.0', calendarData: reply('eve@example.net', [hour(9)]) },
    ]),
  );
  await source(peer.url, {}, {}, log).ask(batch(peer.url), noSignal);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { question: 'q1-busy', strangers: ['eve@example.net'] },
  ]);
  expect(lines.join()).not.toContain('20261201');
});
