import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { BusyBatch } from '../../channel/channel.ts';
import type { BusyTarget } from '../../rules/free-busy.ts';
import { silentLog } from '../../src/observe/log.ts';
import { openSources, type Sources } from '../../src/sources.ts';
import { startWebServer, type WebServer } from './channel/web-server.ts';
import { loadMinimum } from './config/folder.ts';

/** What was asked, as `GET /path login`, of a server that knows nobody, whatever it is asked. */
const requests: string[] = [];
let server: WebServer;
let origin: string;

beforeAll(async () => {
  server = await startWebServer(({ method, path, headers }, response) => {
    requests.push(`${method} ${path.replace(/\?.*$/, '')} ${headers.authorization ?? '-'}`);
    response.writeHead(method === 'GET' ? 404 : 500).end();
  });
  origin = server.url;
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => void requests.splice(0));

/** Stands for the way to strangers, on which nothing gets through. */
const connector = (_: unknown, callback: (error: Error, socket: null) => void): void => {
  requests.push('guarded');
  callback(Object.assign(new Error('closed'), { code: 'ECONNREFUSED' }), null);
};
const open = (more: string): Sources => openSources(loadMinimum(more), { connector: connector as never }, silentLog);

const at = (url: string, discovered?: true): BusyTarget => ({
  kind: 'server',
  server: { url, profile: 'generic', ...(discovered === undefined ? {} : { discovered }) },
  because: 'a test',
});

/** @returns what came of a question to this target, and what was asked of whom */
async function ask({ sourceOf }: Sources, target: BusyTarget): Promise<readonly string[]> {
  const batch: BusyBatch = {
    server: new URL(target.kind === 'server' ? target.server.url : target.url),
    profile: 'generic',
    uid: 'fb-1',
    originator: 'calendar@example.com',
    attendees: ['ann@example.com'],
    window: { startMs: Date.UTC(2026, 10, 23), endMs: Date.UTC(2026, 10, 24) },
    hops: ['imipd-0123456789abcdef'],
  };
  const source = sourceOf(target);
  const readings = await source.ask(batch, AbortSignal.timeout(5000));
  return [`${source.protocol} ${readings.map(({ kind }) => kind).join()}`, ...requests.splice(0)];
}

describe('a calendar server is asked', () => {
  test('as the entry says whose URL is the longest beginning of its own, else by iSchedule', async () => {
    await using sources = open(`free-busy:
  servers:
    - {url: "${origin}/v6/", by: wcap, at: "${origin}/six"}
    - {url: "${origin}/dav/", by: caldav, at: "${origin}/outbox/", user: svc, password: x, as: svc@example.com}
    - {url: "${origin}/doc/", by: url, at: "${origin}/fb/{local}.ifb", token: wort}
`);
    expect(await ask(sources, at(`${origin}/v6/ischedule/`))).toEqual([
      'wcap unavailable',
      'GET /six/get_freebusy.wcap -',
    ]);
    const basic = `Basic ${Buffer.from('svc:x').toString('base64')}`;
    expect(await ask(sources, at(`${origin}/dav/ischedule/`))).toEqual([
      'caldav unavailable',
      `POST /outbox/ ${basic}`,
    ]);
    expect(await ask(sources, at(`${origin}/doc/ischedule/`))).toEqual(['url unknown', 'GET /fb/ann.ifb Bearer wort']);
    expect((await ask(sources, at(`${origin}/v7/ischedule/`))).filter((one) => !one.startsWith('GET'))).toEqual([
      'ischedule unavailable',
      'POST /v7/ischedule/ -',
    ]);
  });

  test('by the way to strangers, and as no entry says, when a stranger’s DNS named it', async () => {
    await using sources = open(`free-busy: {servers: [{url: "${origin}/", by: wcap, at: "${origin}/six"}]}`);
    expect(await ask(sources, at(`${origin}/ischedule/`, true))).toEqual(['ischedule unavailable', 'guarded']);
    expect(sources.frontEndOf({ url: `${origin}/`, profile: 'generic', discovered: true })).toBeUndefined();
  });

  test('at the user’s own URL where he publishes it', async () => {
    await using sources = open('free-busy: {published-hosts: [127.0.0.1]}');
    const target = { kind: 'published', url: `${origin}/~ann/busy.ifb`, because: 'a test' } as const;
    expect(await ask(sources, target)).toEqual(['url unknown', 'GET /~ann/busy.ifb -']);
  });
});

test('a server has the limits of its entry, else those of posts', async () => {
  await using sources = open(`ischedule: {lanes: 3}
free-busy:
  servers: [{url: "${origin}/v6/", by: wcap, at: "${origin}/", questions: 2, rate: 50}, {url: "${origin}/v7/", questions: 5}]
`);
  const limits = [`${origin}/v6/`, `${origin}/v7/`, `${origin}/`].map((url) =>
    sources.limitsOf(sources.sourceOf(at(url))),
  );
  expect(limits).toEqual([{ questions: 2, ratePerSecond: 50 }, { questions: 5 }, { questions: 3 }]);
});

test('the front end of a server is that of its entry', async () => {
  await using sources = open(
    `free-busy: {servers: [{url: "${origin}/v7/", front-end: "https://cal7.example.com/wcap/"}]}`,
  );
  const frontEnds = [`${origin}/v7/ischedule/`, `${origin}/v6/`].map((url) =>
    sources.frontEndOf({ url, profile: 'generic' }),
  );
  expect(frontEnds).toEqual(['https://cal7.example.com/wcap/', undefined]);
});

test('one source stands for all questions to a server', async () => {
  await using sources = open('free-busy: {}');
  expect(sources.sourceOf(at(`${origin}/a`))).toBe(sources.sourceOf(at(`${origin}/a`)));
});
