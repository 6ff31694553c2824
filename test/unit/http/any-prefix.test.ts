import { describe, expect, test } from 'vitest';
import type { HttpRequest, Route } from '../../../src/http/exchange.ts';
import { openListener } from './open-listener.ts';
import { RawClient } from './raw-client.ts';

/** A route that says which one it is and what it was handed. */
function route(path: string, methods: readonly string[], maxBodyBytes = 10): Route {
  return {
    path,
    methods,
    maxBodyBytes,
    handle: async ({ method, path: asked, query, body }: HttpRequest) => ({
      status: 200,
      headers: {},
      body: `${path} got ${method} ${asked} ${query} ${body}.`,
    }),
    refuse: (status) => ({ status, headers: {}, body: `${path} refused ${status}.` }),
  };
}

const ROUTES = [
  route('/ischedule', ['GET', 'POST']),
  route('/freebusy/*', ['GET']),
  route('*/ask.wcap', ['GET', 'HEAD', 'POST']),
];

/** One request on a connection of its own, and its whole reply but for Date. */
async function exchange(address: string, request: string, body = ''): Promise<string> {
  using client = await RawClient.open(address);
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  client.send(`${request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${length}\r\n${body}`);
  return (await client.ended()).replace(/^Date: .*\r\n/m, '');
}

const statusOf = (text: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
const bodyOf = (text: string) => text.slice(text.indexOf('\r\n\r\n') + 4);

describe('a route of any prefix', () => {
  test.each([
    '/ask.wcap',
    '/ask.wcap/',
    '//ask.wcap',
    '/davserver/wcap/ask.wcap',
    '/ischedule/ask.wcap',
    '/freebusy/ask.wcap',
    `/${'long/'.repeat(200)}ask.wcap`,
    '/caf%C3%A9/%zz/ask.wcap',
    'http://x:80/a/ask.wcap',
  ])('is at %s', async (path) => {
    await using it = await openListener(ROUTES);
    expect(bodyOf(await exchange(it.address, `GET ${path}?a=b%2Fc`))).toBe('*/ask.wcap got GET /ask.wcap a=b%2Fc .');
  });

  test('takes its own methods and bodies', async () => {
    await using it = await openListener(ROUTES);
    expect(bodyOf(await exchange(it.address, 'POST /x/ask.wcap', 'a=b'))).toBe('*/ask.wcap got POST /ask.wcap  a=b.');
    expect(statusOf(await exchange(it.address, 'HEAD /x/ask.wcap'))).toBe(200);
    expect(bodyOf(await exchange(it.address, 'POST /x/ask.wcap', 'a'.repeat(11)))).toBe('*/ask.wcap refused 413.');
    const refused = await exchange(it.address, 'PUT /x/ask.wcap');
    expect([statusOf(refused), bodyOf(refused)]).toEqual([405, '*/ask.wcap refused 405.']);
    expect(refused).toContain('Allow: GET, HEAD, POST\r\n');
  });
});

describe('beside a route of any prefix, all else is as without it:', () => {
  test.each([
    ['GET /ischedule'],
    ['GET /ischedule/?a=/ask.wcap'],
    ['HEAD /ischedule'],
    ['OPTIONS /ischedule'],
    ['PUT /ischedule'],
    ['GET /freebusy/bob.ifb'],
    ['POST /freebusy/bob.ifb'],
    ['GET /'],
    ['GET /unknown'],
    ['GET /%zz'],
    ['GET /xask.wcap'],
    ['GET /ask.wcap/more'],
    ['GET /ASK.WCAP'],
    ['GET /a?b=/ask.wcap'],
    ['HEAD /unknown'],
    ['OPTIONS *'],
    ['OPTIONS /unknown'],
    ['POST /unknown', 'x'.repeat(100_000)],
  ])('%s', async (request, body = '') => {
    await using beside = await openListener(ROUTES);
    await using without = await openListener(ROUTES.slice(0, 2));
    expect(await exchange(beside.address, request, body)).toBe(await exchange(without.address, request, body));
  });
});

test('a route may say of a method that it is not there at all', async () => {
  const absent: Route = {
    ...route('*/ask.wcap', ['GET']),
    refuse: () => ({ status: 404, headers: {}, body: 'Not Found\n' }),
  };
  await using it = await openListener([absent]);
  const refused = await exchange(it.address, 'PUT /ask.wcap');
  expect(statusOf(refused)).toBe(404);
  expect(refused).not.toContain('Allow');
});
