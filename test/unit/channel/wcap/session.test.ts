import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { REQUESTER, startWebServer } from '../web-server.ts';
import { at, batchOf, DAY, LOGIN, sourceOf, startServer, unhurried } from './site.ts';

const REFUSED = 'the calendar server refused the login: look at user and password';

describe('a login', () => {
  test('lets an overriding account see what is closed; password and session stay out of every URL', async () => {
    await using server = await startServer({ anonymous: false });
    await using source = sourceOf(server.url, { login: LOGIN });
    expect(await source.ask(batchOf('sam@example.com'), unhurried)).toEqual([
      { kind: 'periods', periods: [{ startMs: at('08:00'), endMs: at('09:00'), type: 'BUSY' }] },
    ]);
    expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /login.wcap',
      'POST /get_freebusy.wcap',
    ]);
    expect(Object.fromEntries(server.requests[1]?.parameters ?? [])).toMatchObject({
      id: server.sessions[0],
      mail: 'sam@example.com',
      noredirect: '1',
    });
  });

  test('is one, however many want it at the same time, and its session is kept', async () => {
    await using server = await startServer();
    await using source = sourceOf(server.url, { login: LOGIN });
    await Promise.all([
      source.ask(batchOf('bob@example.com', 'ann@example.com'), unhurried),
      source.ask(batchOf('sam@example.com'), unhurried),
    ]);
    await source.ask(batchOf('ann@example.com'), unhurried);
    expect(server.asked('login.wcap')).toHaveLength(1);
    expect(server.asked('get_freebusy.wcap')).toHaveLength(4);
  });

  test('with a wrong password is unavailable, and not tried again before half a minute is over', async () => {
    await using server = await startServer();
    let now = DAY.startMs;
    const login = { user: 'calmaster', password: 'wrong' };
    await using source = sourceOf(server.url, { login, clock: () => now });
    const ask = () => source.ask(batchOf('bob@example.com'), unhurried);
    expect(await ask()).toEqual([{ kind: 'unavailable', reason: REFUSED }]);
    now += 29_999;
    expect(await ask()).toEqual([{ kind: 'unavailable', reason: `${REFUSED}; not tried again for the moment` }]);
    expect(server.asked('login.wcap')).toHaveLength(1);
    now += 1;
    expect(await ask()).toEqual([{ kind: 'unavailable', reason: REFUSED }]);
    expect(server.asked('login.wcap')).toHaveLength(2);
    expect(server.asked('get_freebusy.wcap')).toHaveLength(0);
  });

  test('leaves neither password nor session id in the log', async () => {
    await using server = await startServer();
    const lines: string[] = [];
    const log = pino({ level: 'debug' }, { write: (line) => lines.push(line) });
    for (const password of ['right', 'hunter2']) {
      await using source = sourceOf(server.url, { login: { user: 'calmaster', password } }, log);
      await source.ask(batchOf('bob@example.com'), unhurried);
      expect(lines.join('')).not.toMatch(new RegExp(`hunter2|${server.sessions[0] ?? 'hunter2'}`));
    }
    expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({
      event: 'wcap login failed',
      user: 'calmaster',
      reason: REFUSED,
    });
  });

  test('that hangs ends at the deadline of who waits for it; who has more time gets its session', async () => {
    let letIn = (): void => undefined;
    const slow = new Promise<'answer'>((resolve) => {
      letIn = () => resolve('answer');
    });
    await using server = await startServer({
      manner: ({ command }) => (command === 'login.wcap' ? slow : 'answer'),
    });
    await using source = sourceOf(server.url, { login: LOGIN });
    const hurried = new AbortController();
    const first = source.ask(batchOf('bob@example.com'), hurried.signal);
    const second = source.ask(batchOf('ann@example.com'), unhurried);
    hurried.abort();
    expect(await first).toEqual([
      { kind: 'unavailable', reason: 'the calendar server did not answer the login in time' },
    ]);
    letIn();
    expect(await second).toEqual([{ kind: 'periods', periods: [] }]);
    expect(server.asked('login.wcap')).toHaveLength(1);
  });
});

test('a login answer of endless blanks is read as quickly as any', async () => {
  await using server = await startWebServer((_asked, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain' }).end(`X-A:${' '.repeat(900_000)}b`);
  });
  const requester = { ...REQUESTER, maxResponseBytes: 1_000_000 };
  await using source = sourceOf(new URL(server.url), { login: LOGIN, requester });
  expect(await source.ask(batchOf('bob@example.com'), unhurried)).toEqual([
    { kind: 'unavailable', reason: 'login: the answer names no session' },
  ]);
});

describe('a session', () => {
  test('that has expired is opened anew, once for all who find out', async () => {
    await using server = await startServer();
    await using source = sourceOf(server.url, { login: LOGIN });
    await source.ask(batchOf('ann@example.com'), unhurried);
    server.expireSessions();
    const readings = await source.ask(batchOf('bob@example.com', 'ann@example.com', 'sam@example.com'), unhurried);
    expect(readings.map(({ kind }) => kind)).toEqual(['periods', 'periods', 'periods']);
    expect(server.asked('login.wcap')).toHaveLength(2);
  });

  test('that is over as soon as it is opened is not opened for ever', async () => {
    await using server = await startServer({ sessionCommands: 0 });
    await using source = sourceOf(server.url, { login: LOGIN });
    expect(await source.ask(batchOf('bob@example.com'), unhurried)).toEqual([
      {
        kind: 'unavailable',
        reason: 'the calendar server does not take the session that it has just opened (errno 1)',
      },
    ]);
    expect(server.requests.map(({ command }) => command)).toEqual([
      'login.wcap',
      'get_freebusy.wcap',
      'login.wcap',
      'get_freebusy.wcap',
    ]);
  });

  test('is logged out when the source is disposed', async () => {
    await using server = await startServer();
    {
      await using source = sourceOf(server.url, { login: LOGIN });
      await source.ask(batchOf('bob@example.com'), unhurried);
      expect(server.sessions).toHaveLength(1);
    }
    expect(server.sessions).toEqual([]);
    expect(server.requests.at(-1)).toMatchObject({ method: 'POST', command: 'logout.wcap', url: '/logout.wcap' });
  });

  test('that was never opened is not logged out', async () => {
    await using server = await startServer();
    await sourceOf(server.url, { login: LOGIN })[Symbol.asyncDispose]();
    expect(server.requests).toEqual([]);
  });
});
