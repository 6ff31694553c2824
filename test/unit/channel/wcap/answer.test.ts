import { hash } from 'node:crypto';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createWcapRoute, type WcapAnswerOptions } from '../../../../channel/wcap/answer.ts';
import type { BusyClient } from '../../../../rules/busy-client.ts';
import type { StatusAnswer } from '../../../../rules/request-status.ts';
import type { Broker, BusyAnswer, BusyQuestion, FoundName } from '../../../../src/broker/question.ts';
import type { HttpRequest } from '../../../../src/http/exchange.ts';
import { parseNetworks } from '../../../../src/mail/network.ts';
import { silentLog } from '../../../../src/observe/log.ts';
import { openListener } from '../../http/open-listener.ts';

const NOW = Date.UTC(2026, 10, 23, 12);
const at = (text: string) => Date.parse(text);
const FORM = 'application/x-www-form-urlencoded';

const CLIENT: BusyClient = {
  name: 'cs6',
  networks: parseNetworks(['10.0.0.6']),
  access: { about: ['*'], notAbout: [], pastMs: 1, aheadMs: 1, longestMs: 1, unknown: 'told' },
  protocols: ['wcap'],
  wcap: 'relay',
};

/** Answers from tables, and remembers what it was asked. */
class TableBroker implements Broker {
  readonly questions: BusyQuestion[] = [];
  readonly frontEnds: BusyQuestion[] = [];
  readonly found: string[] = [];
  readonly statuses = new Map<string, string>();
  readonly names = new Map<string, FoundName>();
  frontEndUrl: string | undefined;
  common: StatusAnswer | undefined;
  rule = 'home';

  async ask(question: BusyQuestion): Promise<readonly BusyAnswer[]> {
    this.questions.push(question);
    return question.attendees.map((attendee) => {
      const code = this.common?.code ?? this.statuses.get(attendee) ?? '2.0';
      return {
        attendee,
        status: { code, description: 'for no eyes' },
        periods:
          code === '2.0'
            ? [{ type: 'BUSY', startMs: at('2026-11-23T09:00:00Z'), endMs: at('2026-11-23T10:00:00Z') }]
            : [],
        window: question.window,
        inquiries: [],
        rule: this.rule,
        steps: [],
      };
    });
  }

  refusal(): StatusAnswer | undefined {
    return this.common;
  }

  async frontEnd(question: BusyQuestion): Promise<string | undefined> {
    this.frontEnds.push(question);
    return this.frontEndUrl;
  }

  async find(name: string): Promise<FoundName> {
    this.found.push(name);
    return this.names.get(name) ?? { kind: 'unknown' };
  }
}

function scene(options: Partial<WcapAnswerOptions> & { readonly client?: Partial<BusyClient> } = {}) {
  const broker = new TableBroker();
  const { client, ...rest } = options;
  const route = createWcapRoute({
    broker,
    clients: [{ ...CLIENT, ...client }],
    originator: 'calendar@example.com',
    maxAttendees: 100,
    clock: () => NOW,
    log: silentLog,
    ...rest,
  });
  return {
    broker,
    route,
    ask: (query: string, request: Partial<HttpRequest> = {}) =>
      route.handle({
        method: 'GET',
        path: '/get_freebusy.wcap',
        query: new URLSearchParams(query),
        rawHeaders: [],
        client: { address: '10.0.0.6', port: 4000 },
        body: Buffer.alloc(0),
        signal: new AbortController().signal,
        ...request,
      }),
    post: (query: string, form: string, type: string = FORM) => ({
      method: 'POST',
      query: new URLSearchParams(query),
      rawHeaders: ['Content-Type', type],
      body: Buffer.from(form),
    }),
  };
}

const errnos = (body: string | Buffer) =>
  [...body.toString().matchAll(/X-NSCP-WCAP-ERRNO:(-?\d+)/g)].map(([, n]) => Number(n));
const calids = (body: string | Buffer) => [...body.toString().matchAll(/RELATIVE-CALID:(.*)\r\n/g)].map(([, id]) => id);
const DAY = 'dtstart=20261123T000000Z&dtend=20261124T000000Z';

describe('a question', () => {
  test('is put to the broker as the client asked it, in the name of the gateway', async () => {
    const { broker, ask } = scene();
    const gateways = ['imipd-0123456789abcdef', 'imipd-fedcba9876543210'];
    await ask(`id=secret&calid=mailto:bob@EXAMPLE.com%3Bann@example.com&${DAY}&appid=${gateways[1]}`, {
      rawHeaders: ['Via', `1.1 proxy, 1.1 ${gateways[0]}`],
    });
    expect(broker.questions).toEqual([
      {
        asker: { name: 'cs6', access: CLIENT.access },
        originator: 'calendar@example.com',
        attendees: ['bob@example.com', 'ann@example.com'],
        window: { startMs: at('2026-11-23T00:00:00Z'), endMs: at('2026-11-24T00:00:00Z') },
        hops: gateways,
        spentMs: expect.any(Number),
      },
    ]);
  });

  test('is answered with a 200 that nobody keeps, and that sets no cookie', async () => {
    const { ask } = scene();
    expect(await ask(`calid=mailto:bob@example.com&${DAY}`)).toEqual({
      status: 200,
      headers: { 'Content-Type': 'text/calendar; charset=utf-8', 'Cache-Control': 'no-store' },
      body: [
        'BEGIN:VCALENDAR',
        'PRODID:-//imipd//EN',
        'METHOD:PUBLISH',
        'VERSION:2.0',
        'X-NSCP-CALPROPS-RELATIVE-CALID:mailto:bob@example.com',
        'X-S1CS-EMAIL:bob@example.com',
        'BEGIN:VFREEBUSY',
        'DTSTART:20261123T000000Z',
        'DTEND:20261124T000000Z',
        'FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T100000Z',
        'END:VFREEBUSY',
        'X-NSCP-WCAP-ERRNO:0',
        'END:VCALENDAR',
        '',
      ].join('\r\n'),
    });
  });

  test('with busyonly=0 is answered with the free times between, in order', async () => {
    const { ask } = scene();
    const { body } = await ask(`calid=bob@example.com&${DAY}&busyonly=0`);
    expect(body.toString().match(/FREEBUSY;.*/g)).toEqual([
      'FREEBUSY;FBTYPE=FREE:20261123T000000Z/20261123T090000Z',
      'FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T100000Z',
      'FREEBUSY;FBTYPE=FREE:20261123T100000Z/20261124T000000Z',
    ]);
  });

  test('in another format is answered in that', async () => {
    const { ask } = scene();
    const xml = await ask(`calid=bob@example.com&${DAY}&fmt-out=text/xml`);
    expect(xml.headers['Content-Type']).toBe('text/xml; charset=utf-8');
    expect(xml.body).toContain('<FB FBTYPE="BUSY">20261123T090000Z/20261123T100000Z</FB>');
    const json = await ask(`calid=bob@example.com&${DAY}&fmt-out=text/json`);
    expect(json.headers['Content-Type']).toBe('text/json; charset=utf-8');
    expect(JSON.parse(json.body.toString()).iCalendar.iCal[0].FREEBUSY.FB).toEqual([
      { FBTYPE: 'BUSY', period: '20261123T090000Z/20261123T100000Z' },
    ]);
  });
});

describe('a calendar that is named otherwise than by an address', () => {
  test('is looked up, and answered as it was asked, without the address that was found', async () => {
    const { broker, ask } = scene();
    broker.names.set('bob', { kind: 'mailbox', mailbox: 'robert.secret@example.com' });
    const { body } = await ask(`calid=bob&${DAY}`);
    expect(broker.questions[0]?.attendees).toEqual(['robert.secret@example.com']);
    expect(calids(body)).toEqual(['bob']);
    expect(errnos(body)).toEqual([0]);
    expect(body).not.toContain('secret');
  });

  test('is errno 29 where nobody knows it, 69 where the directory is silent, and the others are answered', async () => {
    const { broker, ask } = scene();
    broker.names.set('ann', { kind: 'no-answer', reason: 'ldap.example.com refused' });
    const { body } = await ask(`calid=nobody;ann;bob@example.com&${DAY}`);
    expect(calids(body)).toEqual(['nobody', 'ann', 'bob@example.com']);
    expect(errnos(body)).toEqual([29, 69, 0]);
    expect(body).not.toContain('ldap');
    expect(broker.questions[0]?.attendees).toEqual(['bob@example.com']);
  });

  test('is whom v6 knows by it, though another has it as an address: jsmith@example.com is uid and domain', async () => {
    const { broker, ask } = scene();
    broker.names.set('jsmith@example.com', { kind: 'mailbox', mailbox: 'john.smith@example.com' });
    broker.names.set('ann@example.com', { kind: 'no-answer', reason: 'ldap.example.com refused' });
    const { body } = await ask(`calid=jsmith@example.com;mailto:jsmith@example.com;ann@example.com&${DAY}`);
    expect(broker.questions[0]?.attendees).toEqual(['john.smith@example.com', 'jsmith@example.com']);
    expect(broker.found).toEqual(['jsmith@example.com', 'ann@example.com']);
    expect(calids(body)).toEqual(['jsmith@example.com', 'mailto:jsmith@example.com', 'ann@example.com']);
    // Whose it is nobody can say now: who has it as an address may be another.
    expect(errnos(body)).toEqual([0, 0, 69]);
    expect(body.toString().match(/X-S1CS-EMAIL:.*/g)).toEqual(['X-S1CS-EMAIL:jsmith@example.com']);
  });

  test('that is all there is, and unknown, costs no question, and the answer is empty', async () => {
    const { broker, ask } = scene();
    expect(await ask('calid=nobody')).toMatchObject({ status: 200, body: '' });
    expect(broker.questions).toEqual([]);
  });
});

test.each([
  ['2.0', 0],
  ['3.7', 29],
  ['3.8', 28],
  ['5.3', 29],
  ['3.5', 60],
  ['5.1', 39],
  ['9.9', 39],
])('what is %s to iSchedule is errno %i here, beside the other answers', async (code, errno) => {
  const { broker, ask } = scene();
  broker.statuses.set('bob@example.com', code);
  const { body } = await ask(`calid=ann@example.com;bob@example.com;cy@example.com&${DAY}`);
  expect(errnos(body)).toEqual([0, errno, 0]);
  expect(body).not.toContain('for no eyes');
});

test.each([
  ['5.3', 43],
  ['3.7', 29],
])('a list that is too large and told as %s is errno %i', async (code, errno) => {
  const { broker, ask } = scene();
  broker.statuses.set('all@example.com', code);
  broker.rule = 'list-too-large';
  expect(errnos((await ask(`calid=all@example.com;bob@example.com&${DAY}`)).body)).toEqual([errno, 0]);
});

test.each([
  ['3.5', 60],
  ['3.8', 28],
  ['5.1', 39],
] as const)(
  'where %s is said of everybody, a name that there is and one that is none are answered alike',
  async (code, errno) => {
    const { broker, ask } = scene({ client: { access: { ...CLIENT.access, unknown: 'hidden' } } });
    broker.names.set('bob', { kind: 'mailbox', mailbox: 'bob@example.com' });
    broker.common = { code, description: 'for no eyes' };
    const said = async (calid: string) => String((await ask(`calid=${calid}`)).body).replaceAll(calid, 'NAME');
    expect(await said('bob')).toContain(`X-NSCP-WCAP-ERRNO:${errno}\r\n`);
    expect(await said('bub')).toBe(await said('bob'));
    expect(broker.found).toEqual([]);
  },
);

describe('of calids', () => {
  test('500 are errno 60, and nobody is asked or looked up', async () => {
    const { broker, ask } = scene();
    const { status, body } = await ask(`calid=${Array.from({ length: 500 }, (_, n) => `user${n}`).join(';')}`);
    expect([status, errnos(body)]).toEqual([200, [60]]);
    expect([broker.questions, broker.found]).toEqual([[], []]);
  });

  test('one that stands twice is asked about and answered once', async () => {
    const { broker, ask } = scene();
    broker.names.set('bob', { kind: 'mailbox', mailbox: 'bob@example.com' });
    const { body } = await ask(`calid=bob;ann@example.com;bob;;&calid=bob&${DAY}`);
    expect(calids(body)).toEqual(['bob', 'ann@example.com']);
    expect(broker.questions[0]?.attendees).toEqual(['bob@example.com', 'ann@example.com']);
    expect(broker.found).toEqual(['bob', 'ann@example.com']);
  });

  test('one with a line end is errno 30 on lines of its own, and asked about nowhere', async () => {
    const { broker, ask } = scene();
    const { body } = await ask(`calid=bob%0d%0aX:1;ann@example.com&${DAY}`);
    expect(calids(body)).toEqual(['bobX:1', 'ann@example.com']);
    expect(errnos(body)).toEqual([30, 0]);
    expect(body).not.toMatch(/^X:1/m);
    expect(broker.found).toEqual(['ann@example.com']);
  });

  test('one with the syntax of XML stays text', async () => {
    const { ask } = scene();
    const { body } = await ask(`calid=${encodeURIComponent('<a b="c">&</a>')}&fmt-out=text/xml`);
    expect(body).toContain('<X-NSCP-CALPROPS-RELATIVE-CALID>&lt;a b=&quot;c&quot;&gt;&amp;&lt;/a&gt;</X');
  });

  test('none at all is errno 38', async () => {
    const { ask } = scene();
    expect(errnos((await ask('id=secret')).body)).toEqual([38]);
  });
});

describe('a form', () => {
  test('counts as a query does, before the query, in UTF-8', async () => {
    const { broker, ask, post } = scene();
    const form = 'calid=j%C3%B6rg@example.com&dtstart=20261123T000000Z&duration=1';
    const { body } = await ask('', post('calid=ann@example.com&duration=7', form));
    expect(calids(body)).toEqual(['jörg@example.com', 'ann@example.com']);
    expect(broker.questions[0]?.window.endMs).toBe(at('2026-11-24T00:00:00Z'));
  });

  test('may leave all to the query', async () => {
    const { ask, post } = scene();
    expect(errnos((await ask('', { ...post(`calid=bob@example.com&${DAY}`, ''), rawHeaders: [] })).body)).toEqual([0]);
  });

  test.each(['text/calendar', 'application/json', '', `${FORM}; charset=utf-16`])(
    'of the type "%s" is errno 60',
    async (type) => {
      const { broker, ask, post } = scene();
      const { status, body } = await ask('', post('calid=bob@example.com', `calid=bob@example.com&${DAY}`, type));
      expect([status, errnos(body), broker.questions]).toEqual([200, [60], []]);
    },
  );

  test('may name its charset', async () => {
    const { ask, post } = scene();
    const form = post('', `calid=bob@example.com&${DAY}`, `${FORM};charset="UTF-8"`);
    expect(errnos((await ask('', form)).body)).toEqual([0]);
  });
});

test('over HTTP a query and a form are answered alike, and one of more than 64 KB is refused', async () => {
  const { route } = scene({ client: { networks: parseNetworks(['127.0.0.1']) } });
  await using listener = await openListener([route]);
  const url = `http://${listener.address}/davserver/wcap/get_freebusy.wcap`;
  const question = `id=secret&calid=mailto:bob@example.com;ann@example.com&${DAY}`;
  const post = (body: string) => fetch(url, { method: 'POST', headers: { 'Content-Type': FORM }, body });
  const replies = await Promise.all([fetch(`${url}?${question}`), post(question)]);
  const bodies = await Promise.all(replies.map((one) => one.text()));
  expect(errnos(bodies[0] ?? '')).toEqual([0, 0]);
  expect(bodies[1]).toBe(bodies[0]);
  expect(replies.map(({ headers }) => [headers.get('content-type'), headers.get('set-cookie')])).toEqual([
    ['text/calendar; charset=utf-8', null],
    ['text/calendar; charset=utf-8', null],
  ]);
  const long = await post(`calid=${'x'.repeat(65_536)}`);
  expect([long.status, await long.text()]).toEqual([413, 'found a longer form, wanted at most 65536 octets\n']);
});

describe('a redirect', () => {
  const FRONT_END = 'https://cal7.example.com/davserver/wcap/';
  const redirecting = () => {
    const it = scene({ client: { wcap: 'redirect' } });
    it.broker.frontEndUrl = FRONT_END;
    return it;
  };

  test('leads to the front end with the question as it was asked, without the session, and once', async () => {
    const { broker, ask } = redirecting();
    const { status, headers } = await ask(
      `id=secret&calid=mailto:bob@example.com%3Bann@example.com&${DAY}&x=a%0d%0aB:%20c`,
    );
    expect(status).toBe(302);
    expect(headers['Cache-Control']).toBe('no-store');
    expect(headers.Location).toBe(
      `${FRONT_END}get_freebusy.wcap?calid=mailto%3Abob%40example.com%3Bann%40example.com&` +
        'dtstart=20261123T000000Z&dtend=20261124T000000Z&x=a%0D%0AB%3A+c&noredirect=1',
    );
    expect([broker.questions, broker.frontEnds[0]?.attendees]).toEqual([[], ['bob@example.com', 'ann@example.com']]);
  });

  test('is for names as well, and for a front end that is configured without its slash', async () => {
    const { broker, ask } = redirecting();
    broker.frontEndUrl = 'https://cal7.example.com/wcap';
    broker.names.set('bob', { kind: 'mailbox', mailbox: 'bob@example.com' });
    expect((await ask('calid=bob')).headers.Location).toBe(
      'https://cal7.example.com/wcap/get_freebusy.wcap?calid=bob&noredirect=1',
    );
  });

  test.each([
    ['the client asks for none', 'noredirect=1'],
    ['the client asks for none in the words of 2005Q4', 'redirect=0'],
    ['one of the calendars is not known', 'calid=nobody'],
    ['one of the calendars is illegal', 'calid=mailto:nobody'],
  ])('is none where %s', async (_, query) => {
    const { ask, broker } = redirecting();
    expect((await ask(`calid=bob@example.com&${query}&${DAY}`)).status).toBe(200);
    expect(broker.questions).toHaveLength(1);
  });

  test('is none of a form', async () => {
    const { ask, post } = redirecting();
    expect((await ask('', post('', `calid=bob@example.com&${DAY}`))).status).toBe(200);
  });

  test('is none where the users have no front end in common', async () => {
    const { broker, ask } = redirecting();
    broker.frontEndUrl = undefined;
    expect((await ask(`calid=bob@example.com&${DAY}`)).status).toBe(200);
  });

  test('is none for a client that is to be relayed', async () => {
    const { broker, ask } = scene();
    broker.frontEndUrl = FRONT_END;
    expect((await ask(`calid=bob@example.com&${DAY}`)).status).toBe(200);
    expect(broker.frontEnds).toEqual([]);
  });
});

describe('who is no client', () => {
  test('is told so, and nothing else', async () => {
    const { broker, ask } = scene();
    expect(await ask('calid=bob', { client: { address: '10.0.0.7', port: 1 } })).toEqual({
      status: 403,
      headers: { 'Content-Type': 'text/plain; charset=utf-8' },
      body: 'wanted a client that may ask for free/busy times here\n',
    });
    expect([broker.questions, broker.found]).toEqual([[], []]);
  });

  test('is challenged where credentials would help', async () => {
    const secret = hash('sha256', Buffer.from('cs6:secret'), 'buffer');
    const { networks: _, ...rest } = CLIENT;
    const { ask } = scene({ clients: [{ ...rest, basic: [secret] }] });
    const client = { address: '10.0.0.7', port: 1, tls: { protocol: 'TLSv1.3' } };
    const { status, headers } = await ask('calid=bob', { client });
    expect(status).toBe(401);
    expect(headers['WWW-Authenticate']).toMatch(/^Basic /);
    const authorization = `Basic ${Buffer.from('cs6:secret').toString('base64')}`;
    expect(await ask('calid=bob', { client, rawHeaders: ['authorization', authorization] })).toMatchObject({
      status: 200,
    });
  });

  test('is a client of another protocol, too', async () => {
    const { ask } = scene({ client: { protocols: ['url'] } });
    expect((await ask('calid=bob')).status).toBe(403);
  });
});

test('without a free/busy service there is no such path, whoever asks and however', async () => {
  const { ask, route } = scene({ broker: undefined });
  const missing = { status: 404, headers: { 'Content-Type': 'text/plain; charset=utf-8' }, body: 'Not Found\n' };
  expect(await ask('calid=bob')).toEqual(missing);
  expect(await ask('calid=bob', { client: { address: '10.0.0.7', port: 1 } })).toEqual(missing);
  expect(route.refuse(405)).toEqual(missing);
});

test('what the listener refuses is said in words', () => {
  const { route } = scene();
  expect(route.refuse(405)).toMatchObject({ status: 405, headers: { Allow: 'GET, HEAD, POST' } });
  expect(route.refuse(413)).toMatchObject({ status: 413, body: 'found a longer form, wanted at most 65536 octets\n' });
  expect(route.refuse(503)).toMatchObject({ status: 503, headers: { 'Retry-After': '30' } });
  expect(route.refuse(408)).toMatchObject({ status: 408, body: 'the request took too long to come\n' });
});

test('the log has a line of each refusal, none of them with a session, a credential or a calendar', async () => {
  const lines: string[] = [];
  const { ask } = scene({ log: pino({ base: null }, { write: (line: string) => void lines.push(line) }) });
  await ask(`id=s3cret&calid=bob@example.com&${DAY}`);
  await ask('id=s3cret&calid=bob@example.com&duration=0');
  await ask('id=s3cret&calid=bob@example.com', { client: { address: '10.0.0.7', port: 1 } });
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { protocol: 'wcap', client: 'cs6', errno: 60, reason: expect.stringContaining('window') },
    { protocol: 'wcap', client: '10.0.0.7', reason: expect.stringContaining('wanted') },
  ]);
  expect(lines.join('')).not.toMatch(/s3cret|bob@/);
});

test('the log has a line of a question that is sent on and of calendar ids that are nobody’s, which are no other line’s', async () => {
  const lines: string[] = [];
  const log = pino({ base: null, level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const { broker, ask } = scene({ log, client: { wcap: 'redirect' } });
  broker.frontEndUrl = 'https://cal7.example.com/wcap/';
  await ask(`id=s3cret&calid=bob@example.com&${DAY}`);
  broker.names.set('ann', { kind: 'no-answer', reason: 'the directory does not answer' });
  await ask(`id=s3cret&calid=zed;bob@example.com;yan;ann;mailto:x&${DAY}`);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 30, protocol: 'wcap', client: 'cs6', attendees: 1, to: 'https://cal7.example.com/wcap/' },
    { level: 20, protocol: 'wcap', client: 'cs6', calid: 'zed', errno: 29 },
    { level: 20, calid: 'yan', errno: 29 },
    { level: 20, calid: 'ann' },
    { level: 20, calid: 'mailto:x' },
    { level: 30, protocol: 'wcap', client: 'cs6', errnos: { 29: 2 }, msg: 'calendar ids not found' },
  ]);
  expect(lines.join('')).not.toContain('s3cret');
  expect(lines.filter((line) => line.includes('"level":30')).join('')).not.toMatch(/zed|bob@/);
});

test('the client that goes away ends the question', async () => {
  const gone = new AbortController();
  const asked = Promise.withResolvers<void>();
  const waiting: Broker = {
    ask: (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        asked.resolve();
      }),
    refusal: () => undefined,
    frontEnd: async () => undefined,
    find: async () => ({ kind: 'unknown' }),
  };
  const { ask } = scene({ broker: waiting });
  const answer = ask(`calid=bob@example.com&${DAY}`, { signal: gone.signal });
  await asked.promise;
  gone.abort(new Error('nobody waits'));
  await expect(answer).rejects.toThrow('nobody waits');
});
