import type { ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { BusyBatch } from '../../../../channel/channel.ts';
import { type PublishedOptions, PublishedSource } from '../../../../channel/published/ask.ts';
import { silentLog } from '../../../../src/observe/log.ts';
import { busyText, REQUESTER, startWebServer } from '../web-server.ts';

const BATCH: BusyBatch = {
  server: new URL('https://cal.example.com/'),
  profile: 'generic',
  uid: 'q-1',
  originator: 'olga@example.org',
  attendees: ['alice@example.com'],
  window: { startMs: Date.UTC(2026, 10, 23), endMs: Date.UTC(2026, 10, 24) },
  hops: ['imipd-0123456789abcdef'],
};
const FREEBUSY = 'FREEBUSY:20261123T090000Z/20261123T100000Z';
const BUSY = {
  kind: 'periods',
  periods: [{ startMs: Date.UTC(2026, 10, 23, 9), endMs: Date.UTC(2026, 10, 23, 10), type: 'BUSY' }],
};

function sourceWith(options: Partial<PublishedOptions>): PublishedSource {
  return new PublishedSource({ hosts: [], requester: REQUESTER, ...options }, silentLog);
}

function calendar(response: ServerResponse, ...lines: readonly string[]): void {
  response.writeHead(200, { 'Content-Type': 'text/calendar; charset=utf-8' }).end(busyText(...lines));
}

const unhurried = new AbortController().signal;

describe('the URL of a template', () => {
  test.each<readonly [string, string, string]>([
    ['/fb/{address}.ifb', 'alice@example.com', '/fb/alice%40example.com.ifb'],
    ['/{domain}/{local}.ifb', 'alice@Example.COM', '/example.com/alice.ifb'],
    ['/fb?u={local}&s={start}&e={end}', 'a&b=c@example.com', '/fb?u=a%26b%3Dc&s=20261123T000000Z&e=20261124T000000Z'],
    ['/{local}/fb', 'a/../../b?c#d%2f@example.com', '/a%2F..%2F..%2Fb%3Fc%23d%252f/fb'],
    ['/{local}/fb', '{domain}@example.com', '/%7Bdomain%7D/fb'],
    ['/{local}/fb', 'jörg@example.com', '/j%C3%B6rg/fb'],
  ])('%s is filled for %s', async (template, attendee, path) => {
    await using server = await startWebServer((_asked, response) => calendar(response, FREEBUSY));
    await using source = sourceWith({ template: `${server.url}${template}` });
    expect(await source.ask({ ...BATCH, attendees: [attendee] }, unhurried)).toEqual([BUSY]);
    expect(server.asked[0]).toMatchObject({
      method: 'GET',
      path,
      headers: { accept: 'text/calendar', via: '1.1 imipd-0123456789abcdef' },
    });
  });

  test.each(['..', '\ud800'])('leads nowhere else for the local part %j', async (local) => {
    await using server = await startWebServer((_asked, response) => calendar(response));
    await using source = sourceWith({ template: `${server.url}/private/{local}/fb` });
    expect(await source.ask({ ...BATCH, attendees: [`${local}@example.com`] }, unhurried)).toEqual([
      { kind: 'unknown', reason: 'his address cannot stand in a URL' },
    ]);
    expect(server.asked).toEqual([]);
  });

  test.each(['https://{domain}/fb', 'https://{local}.example.com/', 'fb/{address}'])(
    'cannot be made of %s',
    (template) => {
      expect(() => sourceWith({ template })).toThrow(TypeError);
    },
  );
});

test('each attendee has a document of his own, and one that fails takes no other with it', async () => {
  await using server = await startWebServer(({ path }, response) => {
    if (path.includes('alice')) calendar(response, FREEBUSY);
    else if (path.includes('bob')) calendar(response);
    else if (path.includes('carol')) response.writeHead(404).end();
    else response.destroy();
  });
  await using source = sourceWith({ template: `${server.url}/{local}.ifb` });
  const attendees = ['dave@example.com', 'alice@example.com', 'carol@example.com', 'bob@example.com'];
  expect(await source.ask({ ...BATCH, attendees }, unhurried)).toEqual([
    expect.objectContaining({ kind: 'unavailable' }),
    BUSY,
    { kind: 'unknown', reason: `found 404 at ${new URL(server.url).host}` },
    { kind: 'periods', periods: [] },
  ]);
});

test('without a template it is the URL of the batch, fetched once', async () => {
  await using server = await startWebServer((_asked, response) => calendar(response, FREEBUSY));
  await using source = sourceWith({ destination: 'www.example.com', authorization: 'Bearer secret' });
  const attendees = ['alice@example.com', 'alice@example.net'];
  const batch = { ...BATCH, attendees, server: new URL(`${server.url}/~alice/free.ifb?key=1`) };
  expect(await source.ask(batch, unhurried)).toEqual([BUSY, BUSY]);
  expect(source).toMatchObject({ protocol: 'url', destination: 'www.example.com' });
  expect(server.asked.map(({ path }) => path)).toEqual(['/~alice/free.ifb?key=1']);
  expect(server.asked[0]?.headers.authorization).toBeUndefined();
});

test.each(['ftp://example.com/alice.ifb', 'https://user:password@example.com/alice.ifb'])(
  'nothing is fetched from %s',
  async (url) => {
    await using source = sourceWith({});
    expect(await source.ask({ ...BATCH, server: new URL(url) }, unhurried)).toMatchObject([{ kind: 'unusable' }]);
  },
);

describe('credentials and redirects', () => {
  test('credentials go to the origin of the template, and to no other', async () => {
    await using other = await startWebServer((_asked, response) => calendar(response, FREEBUSY));
    await using server = await startWebServer(({ path }, response) => {
      const Location = path === '/first' ? '/second' : other.url;
      response.writeHead(302, { Location }).end();
    });
    const hosts = [new URL(other.url).host];
    await using source = sourceWith({ template: `${server.url}/first`, authorization: 'Bearer secret', hosts });
    expect(await source.ask(BATCH, unhurried)).toEqual([BUSY]);
    expect(server.asked.map(({ headers }) => headers.authorization)).toEqual(['Bearer secret', 'Bearer secret']);
    expect(other.asked.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test('a redirect leads to another host only where that is listed', async () => {
    await using other = await startWebServer((_asked, response) => calendar(response, FREEBUSY));
    const elsewhere = other.url.replace('127.0.0.1', 'localhost');
    await using server = await startWebServer((_asked, response) => {
      response.writeHead(301, { Location: `${elsewhere}/x?token=1` }).end();
    });
    const template = `${server.url}/{local}`;
    const host = new URL(elsewhere).host;
    await using refusing = sourceWith({ template, hosts: ['www.example.com'] });
    expect(await refusing.ask(BATCH, unhurried)).toEqual([
      {
        kind: 'unusable',
        reason: `found a redirect to ${host}, wanted ${new URL(server.url).host} or a host that is listed`,
      },
    ]);
    expect(other.asked).toEqual([]);
    await using following = sourceWith({ template, hosts: [host] });
    expect(await following.ask(BATCH, unhurried)).toEqual([BUSY]);
  });

  test('a redirect leads to another port of the same host only where that is listed', async () => {
    await using other = await startWebServer((_asked, response) => calendar(response, FREEBUSY));
    await using server = await startWebServer((_asked, response) => {
      response.writeHead(302, { Location: other.url }).end();
    });
    await using source = sourceWith({ template: `${server.url}/{local}`, hosts: ['127.0.0.1'] });
    expect(await source.ask(BATCH, unhurried)).toMatchObject([{ kind: 'unusable' }]);
    expect(other.asked).toEqual([]);
  });

  test.each<readonly [string, string | undefined, string]>([
    ['without end', '/again', 'found more than 3 redirects'],
    ['to nowhere', undefined, 'found a redirect to nowhere (302)'],
    ['to a file', 'file:///etc/hostname', 'found a URL that is neither https nor http'],
  ])('a redirect %s is not followed', async (_, location, reason) => {
    await using server = await startWebServer((_asked, response) => {
      response.writeHead(302, location === undefined ? {} : { Location: location }).end();
    });
    await using source = sourceWith({ template: `${server.url}/{local}` });
    expect(await source.ask(BATCH, unhurried)).toEqual([{ kind: 'unusable', reason }]);
  });
});

describe('what is found there', () => {
  test.each<readonly [number, string, string, string]>([
    [404, '', '', 'unknown'],
    [410, '', '', 'unknown'],
    [401, '', '', 'refused'],
    [403, '', '', 'refused'],
    [500, '', '', 'unavailable'],
    [429, '', '', 'unavailable'],
    [400, '', '', 'unusable'],
    [204, '', '', 'unusable'],
    [200, 'text/html; charset=utf-8', busyText(FREEBUSY), 'unusable'],
    [200, 'text/calendar', '<html></html>', 'unusable'],
    [200, 'text/calendar', '', 'unusable'],
    [200, 'text/calendar', 'BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n', 'unusable'],
    [200, '', busyText(FREEBUSY), 'periods'],
    [200, 'text/plain', busyText('ORGANIZER:mailto:another@example.com', FREEBUSY), 'periods'],
    [200, 'text/calendar', ' '.repeat(REQUESTER.maxResponseBytes + 1), 'unusable'],
  ])('%i %s %j is %s', async (status, type, body, kind) => {
    await using server = await startWebServer((_asked, response) => {
      response.writeHead(status, type === '' ? {} : { 'Content-Type': type }).end(body);
    });
    await using source = sourceWith({ template: `${server.url}/{local}` });
    expect(await source.ask(BATCH, unhurried)).toMatchObject([{ kind }]);
  });

  test.each<readonly [string, string, string]>([
    ['20261101T000000Z', '20270101T000000Z', 'periods'],
    ['20261123T000000Z', '20261124T000000Z', 'periods'],
    ['20261123T060000Z', '20270101T000000Z', 'unusable'],
    ['20261001T000000Z', '20261123T180000Z', 'unusable'],
    ['20260101T000000Z', '20260301T000000Z', 'unusable'],
  ])('published from %s to %s is %s for 23 November: beyond it nothing is known', async (start, end, kind) => {
    await using server = await startWebServer((_asked, response) =>
      calendar(response, `DTSTART:${start}`, `DTEND:${end}`, FREEBUSY),
    );
    await using source = sourceWith({ template: `${server.url}/{local}` });
    expect(await source.ask(BATCH, unhurried)).toMatchObject([{ kind }]);
  });
});

test('a server that says nothing is given up at the deadline', async () => {
  const deadline = new AbortController();
  await using server = await startWebServer(() => deadline.abort(new DOMException('too late', 'TimeoutError')));
  await using source = sourceWith({ template: `${server.url}/{local}` });
  expect(await source.ask(BATCH, deadline.signal)).toEqual([
    { kind: 'unavailable', reason: 'the calendar server did not answer in time' },
  ]);
});
