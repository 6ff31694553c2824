import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PostBatch } from '../../../channel/channel.ts';
import { IScheduleDeliverer } from '../../../channel/ischedule/deliver.ts';
import { parseReply } from '../../../channel/ischedule/wire.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { TrialCalendarServer } from '../../../src/trial/calendar-server.ts';
import { readCalendar, writeEvent } from '../../../src/trial/vdir.ts';

const OLGA = 'olga@outside.test';

function object(method: string, ...changes: readonly string[]): string {
  const lines = [
    ...[
      'BEGIN:VCALENDAR',
      'VERSION:2.0',
      'PRODID:-//Example//Test//EN',
      ...(method === '' ? [] : [`METHOD:${method}`]),
    ],
    ...['BEGIN:VEVENT', 'UID:e1@outside.test', 'DTSTAMP:20300101T080000Z', 'DTSTART:20300315T100000Z'],
    ...['DTEND:20300315T110000Z', 'SUMMARY:Review', `ORGANIZER:mailto:${OLGA}`, ...changes],
    ...['END:VEVENT', 'END:VCALENDAR', ''],
  ];
  return lines.join('\r\n');
}
const ALICE_AND_BOB = ['ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:alice@example.com', 'ATTENDEE:mailto:bob@example.com'];
const REQUEST = object('REQUEST', ...ALICE_AND_BOB);

let folder: string;
let server: TrialCalendarServer;
let url: URL;
let deliverer: IScheduleDeliverer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imipd-trial-'));
  server = new TrialCalendarServer({
    ...{ host: '127.0.0.1', port: 0, folder, domains: ['Example.com', 'outside.test'], log: silentLog },
    users: (mailbox) => !mailbox.startsWith('nobody'),
  });
  url = await server.listen();
  deliverer = new IScheduleDeliverer(
    {
      ...{ server: url, timeoutMs: 10_000, connectTimeoutMs: 5000, connections: 2, maxRedirects: 3, redirectHosts: [] },
      ...{ userAgent: 'imipd/test', maxResponseBytes: 100_000 },
      // It would keep from posting what this server is to refuse.
      settings: {
        ...{ fallbacks: [], capabilities: 'none', timeoutMs: 10_000, connectTimeoutMs: 5000 },
        ...{ headersTimeoutMs: 10_000, bodyTimeoutMs: 10_000 },
      },
    },
    silentLog,
  );
});

afterEach(async () => {
  await deliverer[Symbol.asyncDispose]();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

function batch(overrides: Partial<PostBatch> = {}): PostBatch {
  return {
    ...{ queueId: 'Q1', server: url, profile: 'generic', messageId: 'Q1.0@gw.test', originator: OLGA },
    ...{ recipients: ['alice@example.com'], method: 'REQUEST', component: 'VEVENT', content: Buffer.from(REQUEST) },
    ...overrides,
  };
}

async function post(overrides: Partial<PostBatch> = {}): Promise<unknown[]> {
  const outcomes = await deliverer.deliver(batch(overrides), new AbortController().signal);
  return outcomes.map(({ kind, requestStatus, diagnostic }) => [kind, requestStatus ?? diagnostic]);
}

/** Sends a request of the test's own making. */
function send(
  method: string,
  path: string,
  headers: readonly string[],
  body: string | Buffer = '',
): Promise<{ status: number; headers: unknown; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      host: url.hostname,
      port: url.port,
      method,
      path,
      headers: [...headers],
      agent: false,
    });
    request.once('error', reject).once('response', async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
    });
    request.end(body);
  });
}

const HEADERS: Readonly<Record<string, string>> = {
  Host: 'calendar.example.com',
  'iSchedule-Version': '1.0',
  Originator: `mailto:${OLGA}`,
  Recipient: 'mailto:alice@example.com',
  'Content-Type': 'text/calendar; component=VEVENT; method=REQUEST',
};

function headers(changes: Readonly<Record<string, string | undefined>>, ...more: readonly string[]): string[] {
  const all = Object.entries({ ...HEADERS, ...changes });
  return [...all.flatMap(([name, value]) => (value === undefined ? [] : [name, value])), ...more];
}

describe('with our own deliverer', () => {
  test.each(['generic', 'cyrus'] as const)(
    'each recipient is answered and gets the event, by profile %s',
    async (profile) => {
      const recipients = [
        'alice@example.com',
        'nobody@example.com',
        'bob@example.com',
        'carl@elsewhere.test',
        'dora@example.com',
      ];
      expect(await post({ profile, recipients })).toEqual([
        ['delivered', '2.0'],
        ['failed', '3.7'],
        ['delivered', '2.0'],
        ['failed', '3.7'],
        ['failed', '3.8'],
      ]);
      const text = REQUEST.replace('METHOD:REQUEST\r\n', '');
      const seen = { uid: 'e1@outside.test', summary: 'Review', status: '', text };
      expect(await readCalendar(folder, 'alice@example.com')).toEqual([seen]);
      expect(await readCalendar(folder, 'Bob@Example.com')).toEqual([seen]);
      expect(await readCalendar(folder, 'dora@example.com')).toEqual([]);
      expect(server.requests).toBe(1);
    },
  );

  test('a cancellation marks the event', async () => {
    await post();
    const content = Buffer.from(object('CANCEL', 'SEQUENCE:1', ...ALICE_AND_BOB));
    expect(await post({ method: 'CANCEL', content })).toEqual([['delivered', '2.0']]);
    expect(await readCalendar(folder, 'alice@example.com')).toMatchObject([{ summary: 'Review', status: 'CANCELLED' }]);
  });

  test('a reply changes the organizer’s event, and is refused when he has none', async () => {
    const reply = {
      ...{ method: 'REPLY', originator: 'alice@example.com', recipients: [OLGA] },
      content: Buffer.from(object('REPLY', 'ATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@example.com')),
    };
    expect(await post(reply)).toEqual([['failed', '5.2']]);
    writeEvent(folder, OLGA, 'e1@outside.test', object('', ...ALICE_AND_BOB));
    expect(await post(reply)).toEqual([['delivered', '2.0']]);
    const [event] = await readCalendar(folder, OLGA);
    expect(event?.text.replaceAll('\r\n ', '')).toMatch(
      /^ATTENDEE;PARTSTAT=ACCEPTED;X-IMIPD-REPLIED=20300101T080000Z:mailto:alice@/m,
    );
  });

  test('fifty posts at once about one event all arrive, and the highest SEQUENCE stays', async () => {
    const sequences = Array.from({ length: 50 }, (_, index) => (index * 7) % 50);
    const outcomes = await Promise.all(
      sequences.map((sequence) =>
        post({ content: Buffer.from(object('REQUEST', `SEQUENCE:${sequence}`, ...ALICE_AND_BOB)) }),
      ),
    );
    expect(outcomes).toEqual(sequences.map(() => [['delivered', '2.0']]));
    const [event] = await readCalendar(folder, 'alice@example.com');
    expect(event?.text).toContain('\r\nSEQUENCE:49\r\n');
  });

  test.each<[string, Partial<PostBatch>, [string, string]]>([
    [
      'another originator',
      { originator: 'mallory@outside.test' },
      ['deferred', 'http; 403 originator-invalid: Originator differs from olga@outside.test'],
    ],
    [
      'another method in the header',
      { method: 'CANCEL' },
      ['failed', 'http; 403 invalid-scheduling-message: Content-Type has to have method=REQUEST'],
    ],
    [
      'a method it does not take',
      { content: Buffer.from(object('COUNTER')), method: 'COUNTER' },
      ['failed', 'http; 403 invalid-scheduling-message: METHOD COUNTER is not supported'],
    ],
    [
      'no calendar',
      { content: Buffer.from('hello') },
      ['failed', 'http; 403 invalid-calendar-data: invalid line (no token ";" or ":") "hello"'],
    ],
    [
      'too much',
      { content: Buffer.alloc(3_000_000, ' ') },
      ['failed', 'http; 413 max-content-length: at most 2097152 octets'],
    ],
    [
      'another path',
      { server: new URL('http://placeholder.invalid/elsewhere') },
      ['deferred', 'http; 404 no-such-service: post to /ischedule'],
    ],
  ])('%s is refused', async (_, overrides, expected) => {
    const target = overrides.server === undefined ? url : new URL(overrides.server.pathname, url);
    expect(await post({ ...overrides, server: target })).toEqual([expected]);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the wire', () => {
  test.each([
    ['no version', headers({ 'iSchedule-Version': undefined }), 400, 'version-not-supported'],
    ['version 2.0', headers({ 'iSchedule-Version': '2.0' }), 400, 'version-not-supported'],
    ['no Originator', headers({ Originator: undefined }), 403, 'originator-missing'],
    ['two Originators', headers({}, 'Originator', 'mailto:x@y.test'), 403, 'too-many-originators'],
    ['an Originator that is no mailto:', headers({ Originator: 'urn:x' }), 403, 'originator-invalid'],
    ['no Recipient', headers({ Recipient: undefined }), 403, 'recipient-missing'],
    ['an empty Recipient', headers({ Recipient: ' , ' }), 403, 'recipient-missing'],
    ['JSON', headers({ 'Content-Type': 'application/json' }), 403, 'invalid-calendar-data-type'],
    ['no parameters', headers({ 'Content-Type': 'text/calendar' }), 403, 'invalid-scheduling-message'],
    [
      'another component',
      headers({ 'Content-Type': 'text/calendar; component=VTODO; method=REQUEST' }),
      403,
      'invalid-scheduling-message',
    ],
  ])('%s is refused', async (_, list, status, element) => {
    const answer = await send('POST', '/ischedule', list, REQUEST);
    expect([answer.status, parseReply(answer.body, '')]).toEqual([
      status,
      { kind: 'error', element, description: expect.any(String) },
    ]);
  });

  test('every answer carries the draft’s headers; recipients may share a header; the well-known path serves too', async () => {
    const list = headers(
      { Recipient: 'mailto:alice@example.com ,\t mailto:nobody@example.com' },
      'Recipient',
      'mailto:bob@example.com',
    );
    const answer = await send('POST', '/.well-known/ischedule', list, REQUEST);
    expect(answer.headers).toMatchObject({
      ...{ 'ischedule-version': '1.0', 'ischedule-capabilities': '1', 'cache-control': 'no-cache, no-transform' },
      'content-type': 'application/xml; charset=utf-8',
    });
    expect(parseReply(answer.body, '')).toEqual({
      kind: 'responses',
      responses: [
        { recipient: 'mailto:alice@example.com', requestStatus: '2.0;Success' },
        { recipient: 'mailto:nobody@example.com', requestStatus: '3.7;Invalid calendar user' },
        { recipient: 'mailto:bob@example.com', requestStatus: '2.0;Success' },
      ],
    });
  });

  test('the capabilities name what it takes', async () => {
    const answer = await send('GET', '/ischedule?action=capabilities', ['Host', 'x']);
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toContain('<component name="VEVENT"><method name="REQUEST"/><method name="REPLY"/>');
    expect((await send('GET', '/ischedule', ['Host', 'x'])).status).toBe(405);
  });

  test('a recipient cannot lead out of the folder', async () => {
    const dots = 'mailto:..%2F..%2Fescape@example.com';
    const request = object('REQUEST', `ATTENDEE:${dots}`);
    const answer = await send('POST', '/ischedule', headers({ Recipient: dots }), request);
    expect(parseReply(answer.body, '')).toMatchObject({ responses: [{ requestStatus: '2.0;Success' }] });
    expect(readdirSync(folder)).toEqual(['%2E.%2F..%2Fescape@example.com']);
  });
});

describe('the folder', () => {
  test('is a vdir: a file per event and a display name', async () => {
    await post();
    const calendar = join(folder, 'alice@example.com', 'default');
    expect(readdirSync(calendar).sort()).toEqual(['displayname', 'e1@outside.test.ics']);
    expect(readFileSync(join(calendar, 'displayname'), 'utf8')).toBe('alice@example.com');
  });

  test.each(['../../x', 'a/b', '.hidden', '', 'ü', 'x'.repeat(500), 'a\0b', 'CON:'])(
    'takes an event of UID %j',
    async (uid) => {
      const text = object('', ...ALICE_AND_BOB);
      writeEvent(folder, 'alice@example.com', uid, text);
      writeEvent(folder, 'alice@example.com', uid, text);
      const names = readdirSync(join(folder, 'alice@example.com', 'default'));
      expect(names.length).toBe(2);
      expect(names).toContainEqual(expect.stringMatching(/^[0-9a-f]{64}\.ics$/));
    },
  );

  test('shows a file it cannot read by its name', async () => {
    writeEvent(folder, 'alice@example.com', 'broken', 'hello');
    expect(await readCalendar(folder, 'alice@example.com')).toEqual([
      { uid: 'broken.ics', summary: '', status: '', text: 'hello' },
    ]);
  });

  test('holds no calendar for somebody who got nothing', async () => {
    expect(await readCalendar(folder, 'zoe@example.com')).toEqual([]);
  });
});
