import { describe, expect, test } from 'vitest';
import type { Cs6Manner } from '../../../peers/calendar-server-6.ts';
import { at, batchOf, DAY, LOGIN, sourceOf, startServer, unhurried } from './site.ts';

const timedOut = (): DOMException => new DOMException('The operation timed out', 'TimeoutError');

describe('a question', () => {
  test('is one GET for each attendee, in UTC, and forbids to look elsewhere', async () => {
    await using server = await startServer();
    await using source = sourceOf(server.url);
    await source.ask(batchOf('ann@example.com'), unhurried);
    const [request] = server.requests;
    expect([request?.method, request?.body]).toEqual(['GET', '']);
    expect(Object.fromEntries(request?.parameters ?? [])).toEqual({
      mail: 'ann@example.com',
      dtstart: '20261123T000000Z',
      dtend: '20261124T000000Z',
      busyonly: '1',
      'fmt-out': 'text/calendar',
      noredirect: '1',
      appid: 'imipd-0123456789abcdef.imipd-fedcba9876543210',
    });
    expect(request?.headers.via).toBe('1.1 imipd-0123456789abcdef, 1.1 imipd-fedcba9876543210');
  });

  test('of all attendees opens no more connections than it may', async () => {
    await using server = await startServer();
    await using source = sourceOf(server.url);
    const attendees = Array.from({ length: 50 }, (_, index) => `user${index}@example.com`);
    const readings = await source.ask(batchOf(...attendees), unhurried);
    expect(readings.map(({ kind }) => kind)).toEqual(Array(50).fill('unknown'));
    expect(server.requests).toHaveLength(50);
    expect(server.connections).toBeLessThanOrEqual(4);
  });

  test.for([
    ['http://127.0.0.1:PORT', '/get_freebusy.wcap'],
    ['http://127.0.0.1:PORT/', '/get_freebusy.wcap'],
    ['http://127.0.0.1:PORT/davserver/wcap', '/davserver/wcap/get_freebusy.wcap'],
    ['http://127.0.0.1:PORT/davserver/wcap/', '/davserver/wcap/get_freebusy.wcap'],
  ] as const)('below %s goes to %s', async ([base, path]) => {
    await using server = await startServer();
    await using source = sourceOf(new URL(base.replace('PORT', server.url.port)));
    await source.ask(batchOf('ann@example.com'), unhurried);
    expect(server.requests[0]?.url.split('?')[0]).toBe(path);
  });

  test('is none for an address that would be read as a list', async () => {
    await using server = await startServer();
    await using source = sourceOf(server.url);
    expect(await source.ask(batchOf('x;bob@example.com', 'ann@example.com'), unhurried)).toEqual([
      { kind: 'unknown', reason: 'his address cannot be named in WCAP' },
      { kind: 'periods', periods: [] },
    ]);
    expect(server.asked('get_freebusy.wcap')).toHaveLength(1);
  });

  test('ends at the second after a window that ends within one', async () => {
    await using server = await startServer();
    await using source = sourceOf(server.url);
    const window = { startMs: DAY.startMs + 900, endMs: DAY.endMs + 100 };
    const [reading] = await source.ask({ ...batchOf('bob@example.com'), window }, unhurried);
    expect(reading).toMatchObject({ kind: 'periods' });
    expect(server.requests[0]?.parameters.get('dtstart')).toBe('20261123T000000Z');
    expect(server.requests[0]?.parameters.get('dtend')).toBe('20261124T000001Z');
  });
});

describe('an answer', () => {
  test('to a mail address tells of all calendars that count, to another who is unknown, free or closed', async () => {
    await using server = await startServer();
    await using source = sourceOf(server.url);
    const asked = batchOf('bob@example.com', 'nobody@example.com', 'ann@example.com', 'sam@example.com');
    expect(await source.ask(asked, unhurried)).toEqual([
      {
        kind: 'periods',
        periods: [
          { startMs: at('09:00'), endMs: at('10:00'), type: 'BUSY' },
          { startMs: at('17:00'), endMs: at('18:00'), type: 'BUSY-TENTATIVE' },
        ],
      },
      { kind: 'unknown', reason: 'the calendar server answered with nothing, as it does for unknown users' },
      { kind: 'periods', periods: [] },
      { kind: 'refused', reason: 'the calendar server does not say: access to the calendar is denied (errno 28)' },
    ]);
  });

  test('with a calendar for each of his is merged from all of them', async () => {
    await using server = await startServer({ mailAnswer: 'each' });
    await using source = sourceOf(server.url);
    expect(await source.ask(batchOf('bob@example.com'), unhurried)).toEqual([
      {
        kind: 'periods',
        periods: [
          { startMs: at('09:00'), endMs: at('10:00'), type: 'BUSY' },
          { startMs: at('17:00'), endMs: at('18:00'), type: 'BUSY-TENTATIVE' },
        ],
      },
    ]);
  });

  test('with errno 29 in place of the empty body is of an unknown user, too', async () => {
    await using server = await startServer({ unknown: 'errno' });
    await using source = sourceOf(server.url);
    expect(await source.ask(batchOf('nobody@example.com'), unhurried)).toEqual([
      {
        kind: 'unknown',
        reason: 'the calendar server knows no such user: the calendar does not exist (errno 29)',
      },
    ]);
  });

  test('with errno 75 says that a login is wanted', async () => {
    await using server = await startServer({ anonymous: false });
    await using source = sourceOf(server.url);
    expect(await source.ask(batchOf('bob@example.com'), unhurried)).toEqual([
      {
        kind: 'refused',
        reason: 'the calendar server does not say: it wants a login: set user and password of this server (errno 75)',
      },
    ]);
  });

  test('that redirects in spite of noredirect is of an unknown user, and is not followed', async () => {
    const redirect = { url: 'http://gateway.example.com/wcap/', by: '302' } as const;
    await using server = await startServer({ redirect, ignoresNoRedirect: true });
    await using source = sourceOf(server.url);
    expect(await source.ask(batchOf('nobody@example.com', 'ann@example.com'), unhurried)).toEqual([
      {
        kind: 'unknown',
        reason: 'the calendar server does not have the user, and names another in spite of noredirect (HTTP 302)',
      },
      { kind: 'periods', periods: [] },
    ]);
    expect(server.requests).toHaveLength(2);
  });

  test('that redirects to https on the same host says nothing of the user', async () => {
    await using server = await startServer({
      redirect: { url: 'https://127.0.0.1/', by: '302' },
      ignoresNoRedirect: true,
    });
    await using source = sourceOf(server.url);
    expect(await source.ask(batchOf('nobody@example.com'), unhurried)).toEqual([
      {
        kind: 'unavailable',
        reason: 'the calendar server wants to be asked by https (HTTP 302): look at the URL',
      },
    ]);
  });

  test('that an HTML page is with status 200 is none, and the others’ stand', async () => {
    await using server = await startServer({
      manner: ({ parameters }) => (parameters.get('mail') === 'bob@example.com' ? 'html' : 'answer'),
    });
    await using source = sourceOf(server.url);
    expect(await source.ask(batchOf('bob@example.com', 'ann@example.com'), unhurried)).toEqual([
      { kind: 'unavailable', reason: 'the answer is no busy times: found an HTML page' },
      { kind: 'periods', periods: [] },
    ]);
  });

  test('that is too large cannot be used, and says nothing against the server', async () => {
    await using server = await startServer();
    const requester = { connections: 4, connectTimeoutMs: 2_000, maxResponseBytes: 50, userAgent: 'imipd/0' };
    await using source = sourceOf(server.url, { requester });
    expect(await source.ask(batchOf('bob@example.com'), unhurried)).toEqual([
      { kind: 'unusable', reason: 'the answer is too large' },
    ]);
  });

  test('that begins and never goes on ends at the deadline, and the others’ stand', async () => {
    const deadline = new AbortController();
    let served = 0;
    const manner = ({ parameters }: { readonly parameters: URLSearchParams }): Cs6Manner => {
      served++;
      return parameters.get('mail') === 'bob@example.com' ? 'hang-after-headers' : 'answer';
    };
    await using server = await startServer({ manner });
    await using source = sourceOf(server.url);
    const asked = source.ask(batchOf('bob@example.com', 'ann@example.com'), deadline.signal);
    await expect.poll(() => served, { interval: 5 }).toBe(2);
    // One more that is answered: the others’ answers have come by then.
    await source.ask(batchOf('ann@example.com'), unhurried);
    deadline.abort(timedOut());
    expect(await asked).toEqual([
      { kind: 'unavailable', reason: 'the calendar server did not answer in time' },
      { kind: 'periods', periods: [] },
    ]);
  });

  test('that is none since nobody listens is unavailable for all', async () => {
    const gone = await startServer();
    await gone[Symbol.asyncDispose]();
    await using source = sourceOf(gone.url, { login: LOGIN });
    expect(await source.ask(batchOf('bob@example.com', 'ann@example.com'), unhurried)).toEqual([
      { kind: 'unavailable', reason: 'login: no connection to the calendar server (ECONNREFUSED)' },
      { kind: 'unavailable', reason: 'login: no connection to the calendar server (ECONNREFUSED)' },
    ]);
  });

  test('from a path without WCAP says where to look', async () => {
    await using server = await startServer();
    await using source = sourceOf(new URL('ischedule/', server.url));
    expect(await source.ask(batchOf('bob@example.com'), unhurried)).toEqual([
      {
        kind: 'unavailable',
        reason: 'the calendar server has no WCAP service there (HTTP 404): look at the URL',
      },
    ]);
  });
});
