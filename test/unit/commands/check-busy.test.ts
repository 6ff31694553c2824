import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkFreeBusy } from '../../../src/commands/check-busy.ts';
import { startWebServer, type WebServer } from '../channel/web-server.ts';
import { loadMinimum } from '../config/folder.ts';

let server: WebServer;
let origin: string;

beforeAll(async () => {
  // As its path says: nothing at all, as v6 does of a user whom it does not know; an error about him; a web page; silence.
  server = await startWebServer(({ path }, response) => {
    if (path.startsWith('/silent')) return;
    response.writeHead(path.startsWith('/secret') ? 403 : 200, { 'Content-Type': 'text/html' });
    if (path.startsWith('/error')) response.end('BEGIN:VCALENDAR\nX-NSCP-WCAP-ERRNO:39\nEND:VCALENDAR\n');
    else response.end(path.startsWith('/page') ? '<html>Welcome</html>' : '');
  });
  origin = server.url;
});
afterAll(() => server[Symbol.asyncDispose]());

test('nothing is said of free/busy where there is none', async () => {
  expect(await checkFreeBusy(loadMinimum(''), 1000)).toEqual([]);
});

test('who may ask is listed', async () => {
  const config = loadMinimum(`http: {service: {}}
ischedule: {peers: [{name: cal7, origin: inside, domains: [example.com], networks: [192.0.2.7]}]}
free-busy:
  url: true
  clients: [{name: cs6, networks: [192.0.2.6], protocols: [wcap, url], wcap: redirect}]
`);
  expect(await checkFreeBusy(config, 1000)).toEqual([
    { what: 'free/busy', verdict: 'ok', detail: 'may be asked by cal7 (ischedule), cs6 (wcap by redirect, url)' },
  ]);
  expect(await checkFreeBusy(loadMinimum('free-busy: {}'), 1000)).toEqual([
    { what: 'free/busy', verdict: 'ok', detail: 'asked by nobody but imipd freebusy' },
  ]);
});

test('each server that is not asked by iSchedule is asked about an hour of our own address', async () => {
  const places = ['six', 'error', 'page', 'silent'].map(
    (name) => `{url: "${origin}/${name}", by: wcap, at: "${origin}/${name}"}`,
  );
  const url = `{url: "${origin}/secret", by: url, at: "${origin}/secret/{address}.ifb"}`;
  const config = loadMinimum(`free-busy: {servers: [{url: "${origin}/v7"}, ${[...places, url].join(', ')}]}`);
  const [, ...findings] = await checkFreeBusy(config, 1000);
  expect(findings.map(({ what, verdict }) => `${verdict} ${what.replace(origin, '')}`)).toEqual([
    'ok free/busy server /six (wcap)',
    'error free/busy server /error (wcap)',
    'error free/busy server /page (wcap)',
    'error free/busy server /silent (wcap)',
    'warning free/busy server /secret/{address}.ifb (url)',
  ]);
  expect(findings.slice(0, 3).map(({ detail }) => detail)).toEqual([
    'answers (asked about calendar@example.com, which it does not know)',
    'answers, and tells no times of calendar@example.com: the calendar server failed: it could not get the busy times (errno 39)',
    'does not answer: the answer is no busy times: found an HTML page',
  ]);
});
