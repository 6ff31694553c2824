import { generateKeyPairSync, hash } from 'node:crypto';
import { connect as connectTls } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { sign } from '../../../../channel/ischedule/dkim/sign.ts';
import type { KeyAnswer } from '../../../../channel/ischedule/keys.ts';
import { createIScheduleRoutes, type IScheduleReceiverOptions } from '../../../../channel/ischedule/receive.ts';
import { ReplayMemory } from '../../../../channel/ischedule/replay-memory.ts';
import { parseReply } from '../../../../channel/ischedule/wire.ts';
import type { Peer } from '../../../../rules/peer.ts';
import type { IncomingPost, RecipientAnswer } from '../../../../src/flow/post-acceptor.ts';
import type { HttpReply, HttpRequest, Route } from '../../../../src/http/exchange.ts';
import { HttpListener } from '../../../../src/http/listener.ts';
import { DEFAULT_LIMITS } from '../../../../src/itip/extract.ts';
import { parseNetworks } from '../../../../src/mail/network.ts';
import { type Log, silentLog } from '../../../../src/observe/log.ts';
import { StoreFullError } from '../../../../src/queue/store.ts';
import { makeAuthority } from '../../../servers/authority.ts';
import { RawClient } from '../../http/raw-client.ts';

const NOW = Date.UTC(2026, 10, 21, 8);

const CYRUS: Peer = {
  name: 'cyrus',
  origin: 'inside',
  domains: ['example.net'],
  dialect: 'draft05',
  answerWaitMs: 5000,
  networks: parseNetworks(['192.0.2.7']),
};
const BASIC: Peer = {
  name: 'basic',
  origin: 'outside',
  domains: ['example.org'],
  dialect: 'draft05',
  answerWaitMs: 0,
  basic: [hash('sha256', 'ann:right', 'buffer')],
};
const OLD: Peer = {
  name: 'old',
  origin: 'inside',
  domains: ['example.net'],
  dialect: 'draft00',
  answerWaitMs: 0,
  networks: parseNetworks(['192.0.2.8']),
};

/** An acceptor that answers everybody in one way and remembers what it was handed. */
class Acceptor {
  readonly posts: IncomingPost[] = [];
  answer: (recipient: string) => RecipientAnswer = () => ({ code: '2.0', description: 'Success' });

  async post(incoming: IncomingPost): Promise<readonly RecipientAnswer[]> {
    this.posts.push(incoming);
    return incoming.recipients.map((recipient) => this.answer(recipient));
  }
}

function receiver(more: Partial<IScheduleReceiverOptions> = {}) {
  const acceptor = new Acceptor();
  const options: IScheduleReceiverOptions = {
    listener: 'service',
    peers: () => [CYRUS, BASIC, OLD],
    limits: {
      maxContentLength: 100_000,
      maxRecipients: 3,
      minDateMs: Date.UTC(2020, 0, 1),
      maxDateMs: Date.UTC(2040, 0, 1),
      maxInstances: 100,
      attachments: ['external'],
    },
    administrator: 'mailto:calmaster@example.com',
    reading: DEFAULT_LIMITS,
    keys: { find: async () => ({ kind: 'none', reason: 'no key here' }) },
    replays: new ReplayMemory(),
    acceptor,
    publishedKeys: [],
    clock: () => NOW,
    log: silentLog,
    ...more,
  };
  const routes = createIScheduleRoutes(options);
  return { acceptor, routes, service: routes[0] as Route };
}

const EVENT = [
  'BEGIN:VCALENDAR',
  'VERSION:2.0',
  'PRODID:-//example//EN',
  'METHOD:REQUEST',
  'BEGIN:VEVENT',
  'UID:meeting-1@example.net',
  'DTSTAMP:20261121T080000Z',
  'DTSTART:20261201T100000Z',
  'DTEND:20261201T110000Z',
  'SUMMARY:Budget',
  'SEQUENCE:0',
  'ORGANIZER:mailto:ann@example.net',
  'ATTENDEE:mailto:bob@example.com',
  'ATTENDEE:mailto:cat@example.com',
  'END:VEVENT',
  'END:VCALENDAR',
];
const FREE_BUSY = [
  'BEGIN:VCALENDAR',
  'VERSION:2.0',
  'PRODID:-//example//EN',
  'METHOD:REQUEST',
  'BEGIN:VFREEBUSY',
  'UID:busy-1@example.net',
  'DTSTAMP:20261121T080000Z',
  'DTSTART:20261201T000000Z',
  'DTEND:20261202T000000Z',
  'ORGANIZER:mailto:ann@example.net',
  'ATTENDEE:mailto:bob@example.com',
  'END:VFREEBUSY',
  'END:VCALENDAR',
];
const text = (lines: readonly string[]) => lines.map((line) => `${line}\r\n`).join('');
const without = (lines: readonly string[], start: string) => lines.filter((line) => !line.startsWith(start));
/** The lines with more of them put after one that begins so. */
const withMore = (start: string, ...more: readonly string[]) =>
  EVENT.flatMap((line) => (line.startsWith(start) ? [line, ...more] : [line]));

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;
type Wish = {
  /** Beside those of a post that is right; undefined leaves one out, a list repeats it. */
  readonly headers?: Headers;
  readonly body?: string | Buffer;
  readonly address?: string;
  readonly tls?: HttpRequest['client']['tls'];
};

const HEADERS: Headers = {
  'iSchedule-Version': '1.0',
  'iSchedule-Message-ID': 'b7c1@gw.example.net',
  Originator: 'mailto:ann@example.net',
  Recipient: 'mailto:bob@example.com, mailto:cat@example.com',
  'Content-Type': 'text/calendar; component=VEVENT; method=REQUEST; charset=utf-8',
};

function request(method: string, target: string, wish: Wish = {}): HttpRequest {
  const headers = method === 'POST' ? { ...HEADERS, ...wish.headers } : (wish.headers ?? {});
  const rawHeaders = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().flatMap((one) => [name, one]),
  );
  const [path = '', query = ''] = target.split('?');
  const { address = '192.0.2.7', tls, body = text(EVENT) } = wish;
  return {
    method,
    path,
    query: new URLSearchParams(query),
    rawHeaders,
    client: { address, port: 4711, ...(tls === undefined ? {} : { tls }) },
    body: method === 'POST' ? Buffer.from(body) : Buffer.alloc(0),
    signal: new AbortController().signal,
  };
}

const post = (service: Route, wish: Wish = {}) => service.handle(request('POST', '/ischedule', wish));

/** Status, precondition element or responses of a reply. */
function read(reply: HttpReply) {
  const parsed = parseReply(Buffer.from(reply.body), reply.headers['Content-Type'] ?? '');
  return { status: reply.status, ...parsed };
}

describe('a post that is right', () => {
  test('is handed over with everything that it says, and answered for each recipient in the order of the DTD', async () => {
    const { acceptor, service } = receiver();
    acceptor.answer = (recipient) =>
      recipient.startsWith('cat')
        ? { code: '3.7', description: 'Invalid calendar user', detail: 'No <such> user & here' }
        : { code: '1.0', description: 'Pending' };
    const reply = await post(service);
    expect(acceptor.posts).toEqual([
      {
        listener: 'service',
        peer: 'cyrus',
        origin: 'inside',
        client: { address: '192.0.2.7', protocol: 'HTTP' },
        messageId: 'b7c1@gw.example.net',
        originator: 'ann@example.net',
        recipients: ['bob@example.com', 'cat@example.com'],
        object: expect.objectContaining({ method: 'REQUEST', uid: 'meeting-1@example.net' }),
        content: Buffer.from(text(EVENT)),
        waitMs: 5000,
        signal: expect.any(AbortSignal),
      },
    ]);
    expect(reply).toEqual({
      status: 200,
      headers: {
        'iSchedule-Version': '1.0',
        'iSchedule-Capabilities': expect.stringMatching(/^\d+$/),
        'Cache-Control': 'no-cache, no-transform',
        'Content-Type': 'application/xml; charset=utf-8',
      },
      body: `<?xml version="1.0" encoding="utf-8"?>
<schedule-response xmlns="urn:ietf:params:xml:ns:ischedule">
  <response>
    <recipient>mailto:bob@example.com</recipient>
    <request-status>1.0;Pending</request-status>
  </response>
  <response>
    <recipient>mailto:cat@example.com</recipient>
    <request-status>3.7;Invalid calendar user</request-status>
    <response-description>No &lt;such&gt; user &amp; here</response-description>
  </response>
</schedule-response>
`,
    });
  });

  test('has its recipients echoed as they were sent, each time, and handed over once', async () => {
    const { acceptor, service } = receiver();
    const headers = { Recipient: ['MAILTO:Bob@Example.com ,cat@example.com', 'mailto:b%6Fb@example.com'] };
    const reply = read(await post(service, { headers }));
    expect(reply).toEqual({
      status: 200,
      kind: 'responses',
      responses: ['MAILTO:Bob@Example.com', 'cat@example.com', 'mailto:b%6Fb@example.com'].map((recipient) => ({
        recipient,
        requestStatus: '2.0;Success',
      })),
    });
    expect(acceptor.posts[0]?.recipients).toEqual(['Bob@example.com', 'cat@example.com']);
  });

  test('for a recipient that is no mailbox is answered 3.7 for him and done for the others', async () => {
    const { acceptor, service } = receiver();
    const body = text(withMore('ATTENDEE:mailto:cat', 'ATTENDEE:urn:uuid:1-2-3'));
    const headers = { Recipient: 'urn:uuid:1-2-3, mailto:bob@example.com' };
    expect(read(await post(service, { headers, body }))).toEqual({
      status: 200,
      kind: 'responses',
      responses: [
        {
          recipient: 'urn:uuid:1-2-3',
          requestStatus: '3.7;Invalid calendar user',
          description: 'not a mailto: address',
        },
        { recipient: 'mailto:bob@example.com', requestStatus: '2.0;Success' },
      ],
    });
    expect(acceptor.posts[0]?.recipients).toEqual(['bob@example.com']);
  });

  test.each([
    ['none', undefined],
    ['two that differ', ['a@example.net', 'b@example.net']],
  ])('with %s as iSchedule-Message-ID is handed over as one whose repeat cannot be told', async (_title, value) => {
    const { acceptor, service } = receiver();
    expect((await post(service, { headers: { 'iSchedule-Message-ID': value } })).status).toBe(200);
    expect(acceptor.posts[0]?.messageId).toBeUndefined();
  });
});

describe('a post that is refused names', () => {
  const many = Array.from({ length: 1000 }, (_, n) => `mailto:u${n}@example.com`).join(', ');
  const cases: readonly (readonly [string, string, number, Wish])[] = [
    ['version-not-supported', 'without iSchedule-Version', 400, { headers: { 'iSchedule-Version': undefined } }],
    ['version-not-supported', 'with another iSchedule-Version', 400, { headers: { 'iSchedule-Version': '2.0' } }],
    ['invalid-calendar-data-type', 'with another media type', 403, { headers: { 'Content-Type': 'text/plain' } }],
    ['invalid-calendar-data-type', 'without media type', 403, { headers: { 'Content-Type': undefined } }],
    [
      'invalid-calendar-data-type',
      'with two media types',
      403,
      { headers: { 'Content-Type': [HEADERS['Content-Type'] as string, 'text/html'] } },
    ],
    ['invalid-scheduling-message', 'without parameters', 403, { headers: { 'Content-Type': 'text/calendar' } }],
    [
      'invalid-scheduling-message',
      'with another method than it announces',
      403,
      { headers: { 'Content-Type': 'text/calendar; component=VEVENT; method=CANCEL' } },
    ],
    [
      'invalid-scheduling-message',
      'with PUBLISH',
      403,
      {
        headers: { 'Content-Type': 'text/calendar; component=VEVENT; method=PUBLISH' },
        body: text(EVENT).replace('METHOD:REQUEST', 'METHOD:PUBLISH'),
      },
    ],
    ['invalid-scheduling-message', 'without METHOD', 403, { body: text(without(EVENT, 'METHOD')) }],
    ['invalid-scheduling-message', 'without ORGANIZER', 403, { body: text(without(EVENT, 'ORGANIZER')) }],
    [
      'invalid-scheduling-message',
      'with a question for busy times, which nobody announced',
      403,
      {
        headers: {
          Recipient: 'mailto:bob@example.com',
          'Content-Type': 'text/calendar; component=VFREEBUSY; method=REQUEST',
        },
        body: text(FREE_BUSY),
      },
    ],
    ['originator-missing', 'without Originator', 403, { headers: { Originator: undefined } }],
    [
      'too-many-originators',
      'with two of them',
      403,
      { headers: { Originator: ['mailto:ann@example.net', 'mailto:eve@example.net'] } },
    ],
    ['originator-invalid', 'that is no mailto:', 403, { headers: { Originator: 'https://example.net/ann' } }],
    ['originator-invalid', 'that hides CR LF', 403, { headers: { Originator: 'mailto:ann%0D%0A@example.net' } }],
    [
      'originator-invalid',
      'that holds two',
      403,
      {
        headers: { Originator: 'mailto:ann@example.net,mailto:eve@example.net' },
      },
    ],
    ['originator-invalid', 'that is not the ORGANIZER', 403, { headers: { Originator: 'mailto:eve@example.net' } }],
    ['originator-invalid', 'with a control character', 403, { headers: { Originator: 'mailto:ann@example.net\x01' } }],
    [
      'originator-denied',
      'for whom the peer may not speak',
      403,
      {
        headers: { Originator: 'mailto:ann@example.com' },
        body: text(EVENT).replace('ann@example.net', 'ann@example.com'),
      },
    ],
    ['verification-failed', 'from an unknown address', 403, { address: '198.51.100.1' }],
    [
      'verification-failed',
      'with a signature that does not verify',
      403,
      {
        address: '198.51.100.1',
        headers: { 'DKIM-Signature': 'v=1; nonsense', Originator: 'mailto:dan@signed.example' },
        body: text(EVENT).replace('ann@example.net', 'dan@signed.example'),
      },
    ],
    ['recipient-missing', 'without Recipient', 403, { headers: { Recipient: undefined } }],
    ['recipient-missing', 'with an empty one', 403, { headers: { Recipient: ' , ' } }],
    ['recipient-mismatch', 'who is no ATTENDEE', 403, { headers: { Recipient: 'mailto:dan@example.com' } }],
    ['recipient-mismatch', 'that hides a NUL', 403, { headers: { Recipient: 'mailto:bob%00@example.com' } }],
    [
      'max-recipients',
      'with more than announced',
      403,
      { headers: { Recipient: ['a@x.test,b@x.test', 'c@x.test,d@x.test'] } },
    ],
    ['max-recipients', 'with 1,000', 403, { headers: { Recipient: many } }],
    ['invalid-calendar-data', 'with an empty body', 403, { body: '' }],
    ['invalid-calendar-data', 'with HTML', 403, { body: '<html><body>no</body></html>' }],
    ['invalid-calendar-data', 'with a NUL in it', 403, { body: text(EVENT).replace('Budget', 'Bud\0get') }],
    [
      'attachment-type-not-supported',
      'with an inline attachment',
      403,
      {
        body: text(withMore('SUMMARY', 'ATTACH;ENCODING=BASE64;VALUE=BINARY:AAAA')),
      },
    ],
    [
      'min-date-time',
      'before the range',
      403,
      {
        body: text(EVENT).replace('DTSTART:2026', 'DTSTART:2019').replace('DTEND:2026', 'DTEND:2019'),
      },
    ],
    ['max-date-time', 'after the range', 403, { body: text(EVENT).replace('DTEND:2026', 'DTEND:2046') }],
    ['max-instances', 'with too many of them', 403, { body: text(withMore('SUMMARY', 'RRULE:FREQ=DAILY;COUNT=101')) }],
  ];
  test.each(cases)('%s %s', async (element, _title, status, wish) => {
    const dkim: Peer = {
      name: 'signer',
      origin: 'outside',
      domains: ['signed.example'],
      dialect: 'draft05',
      answerWaitMs: 0,
      dkim: { canonicalizations: ['ischedule-relaxed'], signers: [] },
    };
    const { acceptor, service } = receiver({ peers: () => [CYRUS, BASIC, OLD, dkim] });
    const reply = await post(service, wish);
    expect(read(reply)).toEqual({ status, kind: 'error', element, description: expect.stringMatching(/\w/) });
    expect(reply.headers).toMatchObject({
      'iSchedule-Version': '1.0',
      'iSchedule-Capabilities': expect.stringMatching(/^\d+$/),
      'Cache-Control': 'no-cache, no-transform',
    });
    expect(reply.headers).not.toHaveProperty('WWW-Authenticate');
    expect(acceptor.posts).toEqual([]);
  });

  test('max-content-length where the listener has counted', () => {
    const { service } = receiver();
    expect(service.maxBodyBytes).toBe(100_000);
    expect(read(service.refuse(413))).toMatchObject({ status: 413, kind: 'error', element: 'max-content-length' });
  });

  test('version and capabilities where the listener has refused it unread', () => {
    const { service } = receiver();
    for (const status of [400, 405, 408, 413, 415, 417, 431, 500, 503]) {
      const reply = service.refuse(status);
      expect(reply.status).toBe(status);
      expect(reply.headers).toMatchObject({ 'iSchedule-Version': '1.0', 'iSchedule-Capabilities': expect.any(String) });
    }
    expect(service.refuse(503).headers).toMatchObject({ 'Retry-After': '60' });
    expect(service.refuse(405).headers).toMatchObject({ Allow: 'GET, HEAD, POST, OPTIONS' });
  });
});

describe('a signature', () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const SIGNER: Peer = {
    name: 'signer',
    origin: 'outside',
    domains: ['signed.example'],
    dialect: 'draft05',
    answerWaitMs: 0,
    dkim: { canonicalizations: ['ischedule-relaxed'], signers: [] },
  };
  const body = text(EVENT).replace('ann@example.net', 'dan@signed.example');
  const known: KeyAnswer = {
    kind: 'keys',
    keys: [{ key: pair.publicKey, bits: 2048, testing: false, strict: false, method: 'dns/txt' }],
  };
  const setUp = (answer: KeyAnswer) => receiver({ peers: () => [CYRUS, SIGNER], keys: { find: async () => answer } });

  /** A post from anywhere, signed; `more` is changed after that. */
  function signed(more: Headers = {}, domain = 'signed.example', of = 'signed.example'): Wish {
    const headers = { ...HEADERS, Originator: `mailto:dan@${of}` };
    const content = body.replace('dan@signed.example', `dan@${of}`);
    const signature = sign(Object.entries(headers) as [string, string][], Buffer.from(content), {
      key: { domain, selector: 'isched', key: pair.privateKey },
      canonicalization: 'ischedule-relaxed',
      now: NOW,
    });
    return { address: '198.51.100.1', headers: { ...headers, 'DKIM-Signature': signature, ...more }, body: content };
  }

  test('proves its peer, and again when the same post comes again', async () => {
    const { acceptor, service } = setUp(known);
    for (const _time of [1, 2]) expect((await post(service, signed())).status).toBe(200);
    expect(acceptor.posts).toMatchObject([{ peer: 'signer' }, { peer: 'signer' }]);
  });

  test('over a question for busy times has it answered, and again when the same comes again', async () => {
    const asked: string[] = [];
    const { service } = receiver({
      peers: () => [SIGNER],
      keys: { find: async () => known },
      answerFreeBusy: async ({ peer, recipients }) => {
        asked.push(peer.name);
        return recipients.map(() => ({ code: '2.0', description: 'Success' }));
      },
    });
    const content = text(FREE_BUSY).replace('ann@example.net', 'dan@signed.example');
    const headers = {
      ...{ ...HEADERS, Originator: 'mailto:dan@signed.example', Recipient: 'mailto:bob@example.com' },
      'Content-Type': 'text/calendar; component=VFREEBUSY; method=REQUEST',
    };
    const signature = sign(Object.entries(headers), Buffer.from(content), {
      key: { domain: 'signed.example', selector: 'isched', key: pair.privateKey },
      canonicalization: 'ischedule-relaxed',
      now: NOW,
    });
    const wish = { address: '198.51.100.1', headers: { ...headers, 'DKIM-Signature': signature }, body: content };
    for (const _time of [1, 2]) expect((await post(service, wish)).status).toBe(200);
    expect(asked).toEqual(['signer', 'signer']);
  });

  test('that is good is refused where it stands over another body, recipient or domain', async () => {
    const { acceptor, service } = setUp(known);
    const wishes: readonly (readonly [Wish, string])[] = [
      [{ ...signed(), body: body.replace('Budget', 'Budgex') }, 'verification-failed'],
      [signed({ Recipient: 'mailto:bob@example.com' }), 'verification-failed'],
      [signed({}, 'other.example'), 'originator-denied'],
    ];
    for (const [wish, element] of wishes)
      expect(read(await post(service, wish))).toMatchObject({ status: 403, element });
    expect(acceptor.posts).toEqual([]);
  });

  test('of a domain whose word would not count has nobody asked for its key', async () => {
    const asked: string[] = [];
    const find = async (domain: string): Promise<KeyAnswer> => {
      asked.push(domain);
      return { kind: 'none', reason: 'no key here' };
    };
    const believing: Peer = {
      ...SIGNER,
      dkim: { canonicalizations: ['ischedule-relaxed'], signers: ['agent.example'] },
    };
    const { service } = receiver({ peers: () => [believing], keys: { find } });
    expect(read(await post(service, signed({}, 'intranet.example')))).toMatchObject({ element: 'originator-denied' });
    expect(asked).toEqual([]);
    await post(service, signed({}, 'agent.example'));
    expect(asked).toEqual(['agent.example']);
  });

  test('whose key nobody can be asked for is answered 503 with when to come again', async () => {
    const { acceptor, service } = setUp({ kind: 'no-answer', reason: 'the DNS is silent' });
    const reply = await post(service, signed());
    expect(reply).toMatchObject({ status: 503, headers: { 'iSchedule-Version': '1.0' } });
    expect(reply.headers).not.toHaveProperty('Retry-After');
    expect(acceptor.posts).toEqual([]);
  });

  const { 'iSchedule-Message-ID': _id, ...withoutId } = HEADERS;
  /** A signature that covers no iSchedule-Message-ID, with headers added after it was made. */
  function signedWithoutId(more: Headers = {}): Wish {
    const headers = { ...withoutId, Originator: 'mailto:dan@signed.example' };
    const signature = sign(Object.entries(headers) as [string, string][], Buffer.from(body), {
      key: { domain: 'signed.example', selector: 'isched', key: pair.privateKey },
      canonicalization: 'ischedule-relaxed',
      now: NOW,
    });
    const sent = { ...headers, 'iSchedule-Message-ID': undefined, 'DKIM-Signature': signature, ...more };
    return { address: '198.51.100.1', headers: sent, body };
  }

  test('stands in for an iSchedule-Message-ID that is missing, so that a captured copy is a repeat', async () => {
    const { acceptor, service } = setUp(known);
    for (const _time of [1, 2]) expect((await post(service, signedWithoutId())).status).toBe(200);
    const [first, second] = acceptor.posts;
    expect(first?.messageId).toMatch(/^dkim:[A-Za-z0-9+/=]{44}$/);
    expect(second?.messageId).toBe(first?.messageId);
  });

  test('of a domain that others register below is refused', async () => {
    const peer: Peer = { ...SIGNER, domains: ['*'] };
    const { acceptor, service } = receiver({ peers: () => [peer], keys: { find: async () => known } });
    expect(read(await post(service, signed({}, 'co.uk', 'signed.co.uk')))).toMatchObject({
      status: 403,
      element: 'verification-failed',
    });
    expect(acceptor.posts).toEqual([]);
  });

  test('that does not cover iSchedule-Message-ID is not good for a second one', async () => {
    const { acceptor, service } = setUp(known);
    const ask = (id: string): Wish => signedWithoutId({ 'iSchedule-Message-ID': id });
    expect((await post(service, ask('one@x'))).status).toBe(200);
    expect((await post(service, ask('one@x'))).status).toBe(200);
    expect(read(await post(service, ask('two@x')))).toMatchObject({ status: 403, element: 'verification-failed' });
    expect(acceptor.posts).toHaveLength(2);
  });
});

describe('credentials', () => {
  const body = text(EVENT).replace('ann@example.net', 'ann@example.org');
  const ask = (credentials: string, tls: boolean) => ({
    address: '198.51.100.1',
    headers: {
      Originator: 'mailto:ann@example.org',
      Authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
    },
    body,
    ...(tls ? { tls: { protocol: 'TLSv1.3' } } : {}),
  });

  test('that are right over TLS prove the peer', async () => {
    const { acceptor, service } = receiver();
    expect((await post(service, ask('ann:right', true))).status).toBe(200);
    expect(acceptor.posts).toMatchObject([{ peer: 'basic', client: { protocol: 'HTTPS' }, waitMs: 0 }]);
  });

  test('that are wrong over TLS get 401 with what would be taken', async () => {
    const { acceptor, service } = receiver();
    const reply = await post(service, ask('ann:wrong', true));
    expect(read(reply)).toMatchObject({ status: 401, element: 'verification-failed' });
    expect(reply.headers).toMatchObject({ 'WWW-Authenticate': 'Basic realm="iSchedule", charset="UTF-8"' });
    expect(acceptor.posts).toEqual([]);
  });

  test('that are missing over TLS are asked for, for clients that send none before', async () => {
    const { acceptor, service } = receiver();
    const { headers, ...rest } = ask('', true);
    const reply = await post(service, { ...rest, headers: { ...headers, Authorization: undefined } });
    expect(read(reply)).toMatchObject({ status: 401, element: 'verification-failed' });
    expect(reply.headers).toMatchObject({ 'WWW-Authenticate': 'Basic realm="iSchedule", charset="UTF-8"' });
    expect(acceptor.posts).toEqual([]);
  });

  test('that are missing are not asked for where a signature would do as well, or for a domain of nobody', async () => {
    const { headers, ...rest } = ask('', true);
    const nothing = { ...rest, headers: { ...headers, Authorization: undefined } };
    const signed = { ...CYRUS, name: 'signs', domains: ['example.org'], dkim: { canonicalizations: [], signers: [] } };
    for (const peers of [[BASIC, signed], [{ ...BASIC, domains: ['example.test'] }]]) {
      const reply = await post(receiver({ peers: () => peers }).service, nothing);
      expect(read(reply)).toMatchObject({ status: 403, element: 'verification-failed' });
      expect(reply.headers).not.toHaveProperty('WWW-Authenticate');
    }
  });

  test('that are right in clear are refused without a challenge to send them again', async () => {
    const { acceptor, service } = receiver();
    const reply = await post(service, ask('ann:right', false));
    expect(read(reply)).toMatchObject({ status: 403, element: 'verification-failed' });
    expect(reply.headers).not.toHaveProperty('WWW-Authenticate');
    expect(acceptor.posts).toEqual([]);
  });
});

describe('a post of the first draft', () => {
  const bare = {
    'iSchedule-Version': undefined,
    'iSchedule-Message-ID': undefined,
    Originator: undefined,
    Recipient: undefined,
    'Content-Type': 'text/calendar',
  };

  test('is taken from a peer of that dialect, its Originator and recipients read from the object', async () => {
    const { acceptor, service } = receiver();
    const reply = await post(service, { headers: bare, address: '192.0.2.8' });
    expect(read(reply)).toMatchObject({
      status: 200,
      responses: [{ recipient: 'mailto:bob@example.com' }, { recipient: 'mailto:cat@example.com' }],
    });
    expect(acceptor.posts).toMatchObject([
      { peer: 'old', originator: 'ann@example.net', recipients: ['bob@example.com', 'cat@example.com'] },
    ]);
  });

  test('is refused from any other', async () => {
    const { acceptor, service } = receiver();
    for (const address of ['192.0.2.7', '198.51.100.1']) {
      const reply = await post(service, { headers: bare, address });
      expect(read(reply)).toMatchObject({ status: 400, element: 'version-not-supported' });
    }
    expect(acceptor.posts).toEqual([]);
  });
});

describe('a post that cannot be decided now', () => {
  test('because the disk is full gets 507 and when to come again', async () => {
    const acceptor = { post: () => Promise.reject(new StoreFullError('the disk is full')) };
    const { service } = receiver({ acceptor });
    const reply = await post(service);
    expect(reply).toMatchObject({ status: 507, headers: { 'Retry-After': '60', 'iSchedule-Version': '1.0' } });
  });

  test('because of a fault of ours throws, for the listener to answer', async () => {
    const { service } = receiver({ acceptor: { post: () => Promise.reject(new Error('a bug')) } });
    await expect(post(service)).rejects.toThrow('a bug');
  });
});

describe('a question for busy times', () => {
  test('is answered by the hook, with its calendar data in place, and never queued', async () => {
    const { acceptor, service } = receiver({
      answerFreeBusy: async ({ peer, originator, recipients, object }) =>
        recipients.map((recipient) => ({
          code: '2.0',
          description: 'Success',
          calendarData: `${peer.name} ${originator} ${recipient} ${object.uid}\r\n`,
        })),
    });
    const headers = {
      Recipient: 'mailto:bob@example.com',
      'Content-Type': 'text/calendar; component=VFREEBUSY; method=REQUEST',
    };
    const reply = await post(service, { headers, body: text(FREE_BUSY) });
    expect(reply.body).toContain(
      '<request-status>2.0;Success</request-status>\n    <calendar-data>cyrus ann@example.net bob@example.com busy-1@example.net&#13;\n</calendar-data>',
    );
    expect(acceptor.posts).toEqual([]);
    const capabilities = await service.handle(request('GET', '/ischedule?action=capabilities'));
    expect(capabilities.body).toContain('<component name="VFREEBUSY"><method name="REQUEST"/></component>');
  });
});

describe('capabilities', () => {
  const get = (service: Route, target: string, headers: Headers = {}) =>
    service.handle(request('GET', target, { headers, address: '198.51.100.1' }));

  test('are told to anybody in the order of the DTD', async () => {
    const { service } = receiver();
    const reply = await get(service, '/ischedule?action=capabilities');
    const serial = reply.headers['iSchedule-Capabilities'];
    expect(reply.headers).toEqual({
      'iSchedule-Version': '1.0',
      'iSchedule-Capabilities': expect.stringMatching(/^\d{1,10}$/),
      'Cache-Control': 'no-cache, no-transform',
      'Content-Type': 'application/xml; charset=utf-8',
      ETag: `"${serial}"`,
    });
    const methods = ['REQUEST', 'REPLY', 'ADD', 'CANCEL', 'REFRESH', 'COUNTER', 'DECLINECOUNTER']
      .map((name) => `<method name="${name}"/>`)
      .join('');
    expect(reply.body).toBe(`<?xml version="1.0" encoding="utf-8"?>
<query-result xmlns="urn:ietf:params:xml:ns:ischedule">
  <capabilities>
    <serial-number>${serial}</serial-number>
    <versions><version>1.0</version></versions>
    <scheduling-messages><component name="VEVENT">${methods}</component><component name="VTODO">${methods}</component></scheduling-messages>
    <calendar-data-types><calendar-data-type content-type="text/calendar" version="2.0"/></calendar-data-types>
    <attachments><external/></attachments>
    <max-content-length>100000</max-content-length>
    <min-date-time>20200101T000000Z</min-date-time>
    <max-date-time>20400101T000000Z</max-date-time>
    <max-instances>100</max-instances>
    <max-recipients>3</max-recipients>
    <administrator>mailto:calmaster@example.com</administrator>
  </capabilities>
</query-result>
`);
  });

  test('are told in the layout of the first drafts to who asks as they do', async () => {
    const { service } = receiver();
    const reply = await get(service, '/.well-known/ischedule?query=capabilities');
    expect(reply.status).toBe(200);
    expect(reply.body).toContain('<capability-set>\n    <supported-version-set><version>1.0</version>');
    expect(reply.body).toContain('<supported-scheduling-message-set><comp name="VEVENT"><method name="REQUEST"/>');
    expect(reply.body).toContain('<supported-attachment-values><external-attachment/></supported-attachment-values>');
  });

  test('have a serial that stays while they do, and is another when one limit changes', async () => {
    const serialOf = async (more: Partial<IScheduleReceiverOptions> = {}) =>
      (await get(receiver(more).service, '/ischedule?action=capabilities')).headers['iSchedule-Capabilities'];
    const serial = await serialOf();
    expect(await serialOf()).toBe(serial);
    expect(await serialOf({ limits: { maxContentLength: 100_001, maxRecipients: 3, attachments: [] } })).not.toBe(
      serial,
    );
    expect(await serialOf({ administrator: 'mailto:other@example.com' })).not.toBe(serial);
  });

  test('that a client has already are not sent again', async () => {
    const { service } = receiver();
    const { headers } = await get(service, '/ischedule?action=capabilities');
    for (const value of [headers.ETag, `"other", W/${headers.ETag}`, '*']) {
      const reply = await get(service, '/ischedule?action=capabilities', { 'If-None-Match': value });
      expect(reply).toMatchObject({
        status: 304,
        body: '',
        headers: { ETag: headers.ETag, 'iSchedule-Version': '1.0' },
      });
    }
    for (const target of ['/ischedule?action=capabilities', '/ischedule?query=capabilities']) {
      const reply = await get(service, target, { 'If-None-Match': '"other"' });
      expect(reply.status).toBe(200);
    }
  });

  test('are what is to be asked for: any other question gets 400', async () => {
    const { service } = receiver();
    for (const target of ['/ischedule', '/ischedule?action=other', '/ischedule?capabilities']) {
      expect((await get(service, target)).status).toBe(400);
    }
  });

  test('have a place that OPTIONS tells the methods of', async () => {
    const { service } = receiver();
    const reply = await service.handle(request('OPTIONS', '/ischedule'));
    expect(reply).toMatchObject({
      status: 200,
      headers: { Allow: 'GET, HEAD, POST, OPTIONS', 'iSchedule-Version': '1.0' },
    });
  });
});

describe('published keys', () => {
  test('are served as text, a record on each line, and only under their own name', async () => {
    const { routes } = receiver({
      publishedKeys: [
        { domain: 'example.com', selector: 'isched', record: 'v=DKIM1; k=rsa; s=ischedule; p=AAAA' },
        { domain: 'example.com', selector: 'isched', record: 'v=DKIM1; k=rsa; s=ischedule; p=BBBB' },
      ],
    });
    const route = routes.find(({ path }) => path === '/.well-known/domainkey/*') as Route;
    const get = (path: string) => route.handle(request('GET', `/.well-known/domainkey/${path}`));
    expect(await get('Example.com/isched')).toEqual({
      status: 200,
      headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'max-age=3600' },
      body: 'v=DKIM1; k=rsa; s=ischedule; p=AAAA\r\nv=DKIM1; k=rsa; s=ischedule; p=BBBB\r\n',
    });
    for (const path of ['example.com/other', 'example.com', 'example.com/isched/x', '', '__proto__/x']) {
      expect((await get(path)).status).toBe(404);
    }
  });
});

describe('through the listener', () => {
  const SETTINGS = {
    name: 'service',
    host: '127.0.0.1',
    port: 0,
    maxConnections: 10,
    maxConnectionsPerClient: 10,
    requestTimeoutMs: 30_000,
    headersTimeoutMs: 30_000,
    idleTimeoutMs: 30_000,
    maxRequests: 10,
    closeTimeoutMs: 1000,
  };
  const bytes = (path: string, lines: readonly string[], body = '') =>
    [`POST ${path} HTTP/1.1`, 'Host: gateway.example.com', ...lines, '', body].join('\r\n');
  const headerLines = (headers: Headers) => Object.entries(headers).map(([name, value]) => `${name}: ${value}`);

  test('every path answers a post, and every refusal speaks iSchedule', async () => {
    const { routes, acceptor } = receiver({ peers: () => [{ ...CYRUS, networks: parseNetworks(['127.0.0.1']) }] });
    const listener = new HttpListener(SETTINGS, routes, silentLog);
    const address = await listener.listen();
    const body = text(EVENT);
    for (const path of ['/ischedule', '/ischedule/', '/.well-known/ischedule', '/.well-known/ischedule/']) {
      using client = await RawClient.open(address);
      client.send(bytes(path, [...headerLines(HEADERS), `Content-Length: ${body.length}`, 'Connection: close'], body));
      expect(await client.ended()).toMatch(/^HTTP\/1\.1 200 OK\r\niSchedule-Version: 1\.0\r\n/);
    }
    expect(acceptor.posts).toHaveLength(4);
    for (const line of ['Content-Length: 100000000', 'Content-Length: x', 'Transfer-Encoding: gzip', 'X: a\rb']) {
      using client = await RawClient.open(address);
      client.send(bytes('/ischedule', [...headerLines(HEADERS), line]));
      const answer = await client.until(/\r\n\r\n/);
      expect(answer).toMatch(/^HTTP\/1\.1 4\d\d .*\r\niSchedule-Version: 1\.0\r\niSchedule-Capabilities: \d+\r\n/);
    }
    await listener.close();
    expect(acceptor.posts).toHaveLength(4);
  });

  test('a post may go to where the capabilities were asked for, as Bedework sends it', async () => {
    const { routes, acceptor } = receiver({ peers: () => [{ ...CYRUS, networks: parseNetworks(['127.0.0.1']) }] });
    const listener = new HttpListener(SETTINGS, routes, silentLog);
    using client = await RawClient.open(await listener.listen());
    const body = text(EVENT);
    const lines = [...headerLines(HEADERS), `Content-Length: ${body.length}`, 'Connection: close'];
    client.send(bytes('/.well-known/ischedule?action=capabilities', lines, body));
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*<schedule-response /);
    await listener.close();
    expect(acceptor.posts).toHaveLength(1);
  });

  test('a connection goes on after a refusal, a HEAD and a 304, and says so of a compressed body', async () => {
    const { routes, acceptor } = receiver({ peers: () => [{ ...CYRUS, networks: parseNetworks(['127.0.0.1']) }] });
    const listener = new HttpListener(SETTINGS, routes, silentLog);
    using client = await RawClient.open(await listener.listen());
    const body = text(EVENT);
    const length = `Content-Length: ${body.length}`;
    const ask = (method: string, ...lines: string[]) =>
      client.send([`${method} /ischedule?action=capabilities HTTP/1.1`, 'Host: x', ...lines, '', ''].join('\r\n'));
    const answers = () => client.text.split(/(?=HTTP\/1\.1 )/);

    client.send(
      bytes('/ischedule', [...headerLines({ ...HEADERS, Originator: 'mailto:eve@example.net' }), length], body),
    );
    await client.until(/<\/error>\n$/);
    ask('HEAD');
    await client.until(/ETag: "\d+"\r\n[\s\S]*\r\n\r\n$/);
    const etag = /ETag: ("\d+")/.exec(client.text)?.[1];
    ask('GET', `If-None-Match: W/"x", ${etag}`);
    await client.until(/HTTP\/1\.1 304 [\s\S]*\r\n\r\n$/);
    client.send(bytes('/ischedule', [...headerLines(HEADERS), length], body));
    await client.until(/<\/schedule-response>\n$/);
    client.send(bytes('/ischedule', [...headerLines(HEADERS), length, 'Content-Encoding: gzip'], body));
    await client.until(/<\/error>\n$/);

    const [refused = '', head = '', unchanged = '', taken = '', compressed = ''] = answers();
    expect(refused).toMatch(/^HTTP\/1\.1 403 [\s\S]*<originator-invalid\/>/);
    expect(head).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\nContent-Length: \d{3,}\r\n[\s\S]*\r\n\r\n$/);
    expect(unchanged).toContain(`\r\nETag: ${etag}\r\n`);
    expect(unchanged).not.toMatch(/Content-(?:Length|Type)/);
    expect(taken).toMatch(/^HTTP\/1\.1 200 /);
    expect(compressed).toMatch(
      /^HTTP\/1\.1 415 [\s\S]*\r\nAccept-Encoding: identity\r\n[\s\S]*<invalid-calendar-data-type\/>/,
    );
    for (const answer of answers())
      expect(answer).toMatch(/\r\niSchedule-Version: 1\.0\r\niSchedule-Capabilities: \d+\r\n/);
    await listener.close();
    expect(acceptor.posts).toHaveLength(1);
  });

  test('a certificate proves its peer by fingerprint or by name, and another does not', async () => {
    await using ca = await makeAuthority();
    const [server, byPrint, byName, other] = await Promise.all([
      ca.issue({ name: 'gateway.example.com' }),
      ca.issue({ name: 'one.example.com', client: true }),
      ca.issue({ name: 'two.example.com', client: true }),
      ca.issue({ name: 'three.example.com', client: true }),
    ]);
    const { networks: _networks, ...known } = CYRUS;
    const peers = [{ ...known, certificates: [byPrint.fingerprint256, 'two.example.com'] }];
    const { routes, acceptor } = receiver({ peers: () => peers });
    const tls = { cert: server.cert, key: server.key, clientCa: ca.pem };
    const listener = new HttpListener({ ...SETTINGS, tls }, routes, silentLog);
    const port = Number((await listener.listen()).split(':').at(-1));
    const body = text(EVENT);
    const statuses: string[] = [];
    for (const identity of [byPrint, byName, other, undefined]) {
      const socket = connectTls({
        host: '127.0.0.1',
        port,
        ca: ca.pem,
        servername: 'gateway.example.com',
        ...identity,
      });
      socket.write(
        bytes('/ischedule', [...headerLines(HEADERS), `Content-Length: ${body.length}`, 'Connection: close'], body),
      );
      let answer = '';
      for await (const chunk of socket) answer += chunk;
      statuses.push(`${/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]} ${/<verification-failed\/>/.exec(answer)?.[0] ?? ''}`);
    }
    await listener.close();
    expect(statuses).toEqual(['200 ', '200 ', '403 <verification-failed/>', '403 <verification-failed/>']);
    expect(acceptor.posts).toHaveLength(2);
  });
});

describe('the log', () => {
  test('warns of a peer that speaks for a domain it may not speak for', async () => {
    const lines: unknown[] = [];
    const warn = (facts: object) => lines.push(facts);
    const log = { debug: () => {}, info: () => {}, warn, error: () => {} } as unknown as Log;
    const { service } = receiver({ log, peers: () => [{ ...CYRUS, domains: ['example.edu'] }] });
    await post(service);
    expect(lines).toMatchObject([
      {
        precondition: 'originator-denied',
        reason: 'found an Originator of example.net from peer cyrus, wanted one of example.edu',
      },
    ]);
  });

  test('has one line for each post, warns of the refusals of configured peers only, and holds no body', async () => {
    const lines: unknown[] = [];
    const keep = (level: string) => (facts: object, message: string) => lines.push({ level, ...facts, message });
    const log = {
      debug: keep('debug'),
      info: keep('info'),
      warn: keep('warn'),
      error: keep('error'),
    } as unknown as Log;
    const { service } = receiver({ log });
    await post(service);
    await post(service, { headers: { Recipient: 'mailto:dan@example.com' } });
    await post(service, { address: '198.51.100.1' });
    const shared = { listener: 'service', messageId: 'b7c1@gw.example.net', from: 'ann@example.net' };
    const ours = { ...shared, client: '192.0.2.7', peer: 'cyrus', proof: 'network' };
    expect(lines).toEqual([
      {
        ...ours,
        level: 'info',
        method: 'REQUEST',
        uid: 'meeting-1@example.net',
        recipients: 2,
        status: 200,
        message: 'post answered',
      },
      {
        ...ours,
        level: 'warn',
        recipients: 1,
        status: 403,
        precondition: 'recipient-mismatch',
        reason: expect.stringContaining('dan@example.com'),
        message: 'post refused',
      },
      {
        ...shared,
        level: 'info',
        client: '198.51.100.1',
        recipients: 2,
        status: 403,
        precondition: 'verification-failed',
        reason: expect.any(String),
        message: 'post refused',
      },
    ]);
  });
});
