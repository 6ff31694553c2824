import { hash } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createPublishedRoute, type PublishedAnswerOptions } from '../../../../channel/published/answer.ts';
import type { BusyClient } from '../../../../rules/busy-client.ts';
import type { StatusAnswer } from '../../../../rules/request-status.ts';
import type { Broker, BusyAnswer, BusyQuestion } from '../../../../src/broker/question.ts';
import type { HttpReply, HttpRequest } from '../../../../src/http/exchange.ts';
import { parseNetworks } from '../../../../src/mail/network.ts';
import { silentLog } from '../../../../src/observe/log.ts';
import { openListener } from '../../http/open-listener.ts';

const NOW = Date.UTC(2026, 10, 21, 8);
const ACCESS: BusyClient['access'] = {
  about: ['*'],
  notAbout: [],
  pastMs: 0,
  aheadMs: 0,
  longestMs: 0,
  unknown: 'told',
};
const OFFICE: BusyClient = {
  name: 'office',
  access: ACCESS,
  protocols: ['url'],
  wcap: 'relay',
  networks: parseNetworks(['192.0.2.7', '127.0.0.1']),
};
const PERSON: BusyClient = {
  name: 'person',
  access: ACCESS,
  protocols: ['url'],
  wcap: 'relay',
  basic: [hash('sha256', 'ann:right', 'buffer')],
};
const OLD: BusyClient = { ...OFFICE, name: 'cs6', protocols: ['wcap'], networks: parseNetworks(['192.0.2.8']) };

/** A broker that answers everybody in one way and remembers what it was asked. */
class AnsweringBroker implements Broker {
  readonly questions: BusyQuestion[] = [];
  status: StatusAnswer = { code: '2.0', description: 'Success' };

  async ask(question: BusyQuestion): Promise<readonly BusyAnswer[]> {
    this.questions.push(question);
    const { window } = question;
    const { status } = this;
    const busy = { startMs: window.startMs + 3_600_000, endMs: window.startMs + 7_200_000, type: 'BUSY' } as const;
    const periods = status.code === '2.0' ? [busy] : [];
    return question.attendees.map((attendee) => {
      return { attendee, status, periods, window, inquiries: [], rule: 'ask', steps: [] };
    });
  }

  refusal(): undefined {}

  async frontEnd(): Promise<undefined> {}

  async find(): Promise<{ kind: 'unknown' }> {
    return { kind: 'unknown' };
  }
}

function scene(more: Partial<PublishedAnswerOptions> = {}) {
  const broker = new AnsweringBroker();
  const route = createPublishedRoute({
    broker,
    clients: [OLD, OFFICE, PERSON],
    originator: 'calendar@example.com',
    clock: () => NOW,
    log: silentLog,
    ...more,
  });
  return { broker, route };
}

function request(target: string, more: Partial<HttpRequest> = {}): HttpRequest {
  const [path = '', query] = target.split('?');
  return {
    method: 'GET',
    path,
    query: new URLSearchParams(query),
    rawHeaders: [],
    client: { address: '192.0.2.7', port: 4711 },
    body: Buffer.alloc(0),
    signal: new AbortController().signal,
    ...more,
  };
}

function spelled({ status, headers, body }: HttpReply) {
  return { status, type: headers['Content-Type'], body: body.toString() };
}

const ALICE = '/freebusy/alice%40example.com.ifb?start=20261123T000000Z&end=20261124T000000Z';

test('busy times are a document that is published, and no cache keeps it', async () => {
  const { broker, route } = scene();
  const via = ['Via', '1.1 proxy, 1.1 imipd-0123456789abcdef', 'via', '1.1 imipd-fedcba9876543210'];
  const reply = await route.handle(request(ALICE, { rawHeaders: via }));
  expect(reply).toMatchObject({
    status: 200,
    headers: {
      'Content-Type': 'text/calendar; charset=utf-8; method=PUBLISH',
      'Cache-Control': 'private, no-store',
    },
  });
  expect(reply.body.toString().replace(/UID:[0-9a-f-]{36}/, 'UID:one')).toBe(
    [
      'BEGIN:VCALENDAR',
      'VERSION:2.0',
      'PRODID:-//imipd//EN',
      'METHOD:PUBLISH',
      'BEGIN:VFREEBUSY',
      'UID:one',
      'DTSTAMP:20261121T080000Z',
      'ORGANIZER:mailto:alice@example.com',
      'DTSTART:20261123T000000Z',
      'DTEND:20261124T000000Z',
      'FREEBUSY;FBTYPE=BUSY:20261123T010000Z/20261123T020000Z',
      'END:VFREEBUSY',
      'END:VCALENDAR',
      '',
    ].join('\r\n'),
  );
  expect(broker.questions).toEqual([
    {
      asker: { name: 'office', access: ACCESS },
      originator: 'calendar@example.com',
      attendees: ['alice@example.com'],
      window: { startMs: Date.UTC(2026, 10, 23), endMs: Date.UTC(2026, 10, 24) },
      hops: ['imipd-0123456789abcdef', 'imipd-fedcba9876543210'],
    },
  ]);
});

test.each<readonly [StatusAnswer, number, string]>([
  [{ code: '3.7', description: 'Invalid calendar user' }, 404, 'Invalid calendar user\n'],
  [{ code: '5.3', description: 'No scheduling support for user' }, 404, 'No scheduling support for user\n'],
  [{ code: '3.8', description: 'No authority', detail: 'Not about him.' }, 403, 'No authority: Not about him.\n'],
  [{ code: '3.5', description: 'Invalid date or time' }, 400, 'Invalid date or time\n'],
  [{ code: '5.1', description: 'Service unavailable' }, 503, 'Service unavailable\n'],
  [{ code: '5.0', description: 'Request not supported' }, 503, 'Request not supported\n'],
])('%j is %i', async (status, expected, body) => {
  const { broker, route } = scene();
  broker.status = status;
  const reply = await route.handle(request(ALICE));
  expect(spelled(reply)).toEqual({ status: expected, type: 'text/plain; charset=utf-8', body });
  expect(reply.headers['Retry-After']).toBe(expected === 503 ? '60' : undefined);
});

test('without free/busy its path is as any other that is not there, however it is asked for', async () => {
  const { route } = scene({ broker: undefined });
  const missing = { status: 404, type: 'text/plain; charset=utf-8', body: 'Not Found\n' };
  expect(spelled(await route.handle(request(ALICE)))).toEqual(missing);
  for (const status of [400, 405, 413, 415, 417]) {
    const reply = route.refuse(status);
    expect(spelled(reply)).toEqual(missing);
    expect(reply.headers).not.toHaveProperty('Allow');
  }
});

test.each([
  ['/freebusy/alice.ifb', 400, 'found no mail address before .ifb, wanted one, percent-encoded\n'],
  ['/freebusy/alice@example.com', 404, 'wanted /freebusy/ADDRESS.ifb\n'],
  ['/freebusy/alice@example.com.ifb?end=soon', 400, /^found another end, wanted a time as 20261123T080000Z/],
])('%s is refused by %i, and nobody is asked', async (target, status, body) => {
  const { broker, route } = scene();
  const reply = await route.handle(request(target));
  expect(spelled(reply)).toMatchObject({ status, body: expect.stringMatching(body) });
  expect(broker.questions).toEqual([]);
});

describe('a stranger', () => {
  const clear = { address: '198.51.100.1', port: 4711 };
  const secure = { ...clear, tls: { protocol: 'TLSv1.3' } };

  test('is refused in clear, whatever he asks', async () => {
    const { broker, route } = scene();
    for (const target of [ALICE, '/freebusy/nobody', '/freebusy/x.ifb?start=soon'])
      expect(spelled(await route.handle(request(target, { client: clear })))).toMatchObject({ status: 403 });
    expect(broker.questions).toEqual([]);
  });

  test('is asked for credentials over TLS, and let in with the right ones', async () => {
    const { broker, route } = scene();
    const reply = await route.handle(request(ALICE, { client: secure }));
    expect(reply).toMatchObject({
      status: 401,
      headers: { 'WWW-Authenticate': 'Basic realm="free/busy", charset="UTF-8"' },
    });
    const login = (password: string) => ['Authorization', `Basic ${Buffer.from(`ann:${password}`).toString('base64')}`];
    const wrong = await route.handle(request(ALICE, { client: secure, rawHeaders: login('wrong') }));
    expect(wrong.status).toBe(401);
    const right = await route.handle(request(ALICE, { client: secure, rawHeaders: login('right') }));
    expect(right.status).toBe(200);
    expect(broker.questions).toMatchObject([{ asker: { name: 'person' } }]);
  });

  test('is a client of another protocol, too', async () => {
    const { route } = scene();
    const reply = await route.handle(request(ALICE, { client: { address: '192.0.2.8', port: 4711 } }));
    expect(reply.status).toBe(403);
  });
});

test('HEAD has the headers of GET and no body; POST is told what there is', async () => {
  const { route } = scene();
  await using listener = await openListener([route]);
  const port = Number(listener.address.split(':').at(-1));
  const say = async (method: string) => {
    const socket = connect(port, '127.0.0.1');
    socket.end(`${method} ${ALICE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    return text(socket);
  };
  const [head, get, post] = [await say('HEAD'), await say('GET'), await say('POST')];
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s);
  const headers = (reply: string) => reply.split('\r\n\r\n', 1)[0]?.replace(/\r\nDate: .*/, '');
  expect(headers(head)).toBe(headers(get));
  expect(get).toContain('BEGIN:VFREEBUSY');
  expect(post).toMatch(/^HTTP\/1\.1 405 .*\r\nAllow: GET, HEAD\r\n/s);
});

test('the log has a line of a question that makes no sense, without what it says', async () => {
  const lines: string[] = [];
  const { route } = scene({ log: pino({ base: null }, { write: (line: string) => void lines.push(line) }) });
  await route.handle(request('/freebusy/alice@example.com.ifb?end=soon'));
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    {
      protocol: 'url',
      client: 'office',
      status: 400,
      reason: expect.stringContaining('wanted'),
      msg: 'free/busy refused',
    },
  ]);
  expect(lines.join('')).not.toMatch(/alice|soon/);
});
