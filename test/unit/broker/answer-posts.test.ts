import { describe, expect, test } from 'vitest';
import { createIScheduleRoutes } from '../../../channel/ischedule/receive.ts';
import { ReplayMemory } from '../../../channel/ischedule/replay-memory.ts';
import { parseReply, type RecipientResponse } from '../../../channel/ischedule/wire.ts';
import type { BusyAccess } from '../../../rules/busy-access.ts';
import type { Peer } from '../../../rules/peer.ts';
import { createPostAnswerer } from '../../../src/broker/answer-posts.ts';
import type { Broker, BusyAnswer, BusyQuestion } from '../../../src/broker/question.ts';
import { readBusy } from '../../../src/freebusy/read.ts';
import { DEFAULT_LIMITS } from '../../../src/itip/extract.ts';
import { parseNetworks } from '../../../src/mail/network.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { CS7_QUESTION } from '../../peers/calendar-server-7.ts';

const NOW = Date.UTC(2026, 10, 21, 8);
const DAY_MS = 86_400_000;

const ACCESS: BusyAccess = {
  ...{ about: ['*'], notAbout: [], pastMs: 62 * DAY_MS, aheadMs: 366 * DAY_MS, longestMs: 430 * DAY_MS },
  unknown: 'told',
};
const PEER: Peer = {
  ...{ name: 'cal8', origin: 'inside', domains: ['example.net'], dialect: 'draft05', answerWaitMs: 5000 },
  networks: parseNetworks(['192.0.2.7']),
  busy: ACCESS,
};
/** The v7 product, which posts as draft -00 has it. */
const OLD: Peer = {
  ...{ name: 'cal7', origin: 'inside', domains: ['example.com'], dialect: 'draft00', answerWaitMs: 5000 },
  networks: parseNetworks(['192.0.2.8']),
  busy: ACCESS,
};

type Said = Partial<BusyAnswer> & Pick<BusyAnswer, 'status'>;

/** The gateway's receiver before a broker that answers as told. */
function site(answer: (attendee: string, question: BusyQuestion) => Said, peers: readonly Peer[] = [PEER, OLD]) {
  const questions: BusyQuestion[] = [];
  const broker: Pick<Broker, 'ask'> = {
    ask: async (question) => {
      questions.push(question);
      return question.attendees.map((attendee) => ({
        ...{ attendee, periods: [], window: question.window, inquiries: [], rule: 'test', steps: [] },
        ...answer(attendee, question),
      }));
    },
  };
  const [route] = createIScheduleRoutes({
    listener: 'service',
    peers: () => peers,
    limits: { maxContentLength: 100_000, maxRecipients: 10, attachments: ['external'] },
    reading: DEFAULT_LIMITS,
    keys: { find: async () => ({ kind: 'none', reason: 'no key here' }) },
    replays: new ReplayMemory(),
    acceptor: {
      post: async () => {
        throw new Error('a question for busy times was queued');
      },
    },
    answerFreeBusy: createPostAnswerer({ broker, clock: () => NOW }),
    publishedKeys: [],
    clock: () => NOW,
    log: silentLog,
  });
  const post = async (headers: readonly string[], body: string, address = '192.0.2.7') => {
    const reply = await route?.handle({
      ...{ method: 'POST', path: '/ischedule', query: new URLSearchParams(), rawHeaders: headers },
      ...{ client: { address, port: 4711 }, body: Buffer.from(body), signal: new AbortController().signal },
    });
    const parsed = parseReply(Buffer.from(reply?.body ?? ''), reply?.headers['Content-Type'] ?? '');
    const responses: readonly RecipientResponse[] = parsed.kind === 'responses' ? parsed.responses : [];
    return { status: reply?.status, body: String(reply?.body), parsed, responses };
  };
  return { questions, post };
}

const FREE_BUSY = [
  ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//example//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY'],
  ...['UID:busy\\, 1@example.net', 'DTSTAMP:20261121T080000Z', 'DTSTART:20261201T000000Z', 'DTEND:20261202T000000Z'],
  ...['ORGANIZER;CN=Ann:MAILTO:Ann@Example.net', 'ATTENDEE;CN=Bob:mailto:B%6Fb@example.com'],
  ...['ATTENDEE;EMAIL=cat@example.com:urn:uuid:ca-7', 'END:VFREEBUSY', 'END:VCALENDAR', ''],
].join('\r\n');
const HEADERS = [
  ...[
    'iSchedule-Version',
    '1.0',
    'iSchedule-Message-ID',
    'b7c1@gw.example.net',
    'Originator',
    'mailto:ann@example.net',
  ],
  ...['Recipient', 'mailto:bob@example.com, mailto:cat@example.com'],
  ...['Content-Type', 'text/calendar; component=VFREEBUSY; method=REQUEST'],
];
const SUCCESS = { code: '2.0', description: 'Success' };
const BUSY = [
  { startMs: Date.UTC(2026, 11, 1, 9), endMs: Date.UTC(2026, 11, 1, 10), type: 'BUSY' as const },
  { startMs: Date.UTC(2026, 11, 1, 12), endMs: Date.UTC(2026, 11, 1, 13), type: 'BUSY-TENTATIVE' as const },
];

describe('a VFREEBUSY', () => {
  test('is asked of the broker as it came, with the gateways that it passed', async () => {
    const { questions, post } = site(() => ({ status: SUCCESS }));
    const via = ['Via', '1.0 proxy, 1.1 imipd-0123456789abcdef', 'via', '1.1 imipd-fedcba9876543210 (x)'];
    await post([...HEADERS, ...via], FREE_BUSY);
    expect(questions).toEqual([
      {
        asker: { name: 'cal8', access: ACCESS },
        originator: 'ann@example.net',
        attendees: ['bob@example.com', 'cat@example.com'],
        window: { startMs: Date.UTC(2026, 11, 1), endMs: Date.UTC(2026, 11, 2) },
        hops: ['imipd-0123456789abcdef', 'imipd-fedcba9876543210'],
      },
    ]);
  });

  test('that passed very many gateways is told of one more than may be', async () => {
    const { questions, post } = site(() => ({ status: SUCCESS }));
    await post([...HEADERS, 'Via', '1.1 imipd-0123456789abcdef,'.repeat(100)], FREE_BUSY);
    expect(questions[0]?.hops.length).toBe(5);
  });

  test('is answered by a REPLY for each, with the names of the question and the window that it covers', async () => {
    const window = { startMs: Date.UTC(2026, 11, 1, 6), endMs: Date.UTC(2026, 11, 2) };
    const { post } = site((attendee) => ({ status: SUCCESS, window, periods: attendee.startsWith('bob') ? BUSY : [] }));
    const { responses } = await post(HEADERS, FREE_BUSY);
    const reply = (attendee: string, ...busy: readonly string[]) =>
      [
        ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//imipd//EN', 'METHOD:REPLY', 'BEGIN:VFREEBUSY'],
        ...['UID:busy\\, 1@example.net', 'DTSTAMP:20261121T080000Z', 'ORGANIZER:MAILTO:Ann@Example.net'],
        ...[`ATTENDEE:${attendee}`, 'DTSTART:20261201T060000Z', 'DTEND:20261202T000000Z'],
        ...[...busy, 'END:VFREEBUSY', 'END:VCALENDAR', ''],
      ].join('\r\n');
    expect(responses).toEqual([
      {
        recipient: 'mailto:bob@example.com',
        requestStatus: '2.0;Success',
        calendarData: reply(
          'mailto:B%6Fb@example.com',
          'FREEBUSY;FBTYPE=BUSY:20261201T090000Z/20261201T100000Z',
          'FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261201T120000Z/20261201T130000Z',
        ),
      },
      { recipient: 'mailto:cat@example.com', requestStatus: '2.0;Success', calendarData: reply('urn:uuid:ca-7') },
    ]);
  });

  test('is answered with the codes of those who have no answer, and no calendar', async () => {
    const { post } = site((attendee) => ({
      status: attendee.startsWith('bob')
        ? { code: '3.7', description: 'Invalid calendar user' }
        : { code: '5.1', description: 'Service unavailable', detail: 'Not in time.' },
      periods: BUSY,
    }));
    expect((await post(HEADERS, FREE_BUSY)).responses).toEqual([
      { recipient: 'mailto:bob@example.com', requestStatus: '3.7;Invalid calendar user' },
      { recipient: 'mailto:cat@example.com', requestStatus: '5.1;Service unavailable', description: 'Not in time.' },
    ]);
  });

  test('of a peer that may not ask is 3.8 for everybody alike, and nobody is asked', async () => {
    const { busy: _, ...mute } = PEER;
    const { questions, post } = site(() => ({ status: SUCCESS }), [mute]);
    const description = 'This server may not ask for busy times here.';
    expect((await post(HEADERS, FREE_BUSY)).responses).toEqual(
      ['bob', 'cat'].map((name) => ({
        recipient: `mailto:${name}@example.com`,
        requestStatus: '3.8;No authority',
        description,
      })),
    );
    expect(questions).toEqual([]);
  });

  test('that comes again under the same id is asked again: busy times change', async () => {
    const { questions, post } = site(() => ({ status: SUCCESS }));
    const answers = [await post(HEADERS, FREE_BUSY), await post(HEADERS, FREE_BUSY)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(questions.length).toBe(2);
  });

  test('cannot end the calendar data early by what it holds', async () => {
    const { post } = site(() => ({ status: SUCCESS, periods: BUSY }));
    const evil = 'x]]></calendar-data><b>&amp;';
    const { responses, body } = await post(HEADERS, FREE_BUSY.replace('busy\\, 1@example.net', evil));
    expect(body).not.toContain('<b>');
    const read = readBusy(Buffer.from(responses[0]?.calendarData ?? ''), undefined);
    expect(read).toMatchObject({ kind: 'documents', documents: [{ uid: evil, periods: BUSY }] });
  });

  test.each([
    [
      'of no time at all',
      'DTEND:20261201T000000Z',
      'found DTEND of VFREEBUSY not after DTSTART, wanted a time that is not empty',
    ],
    [
      'that is reversed',
      'DTEND:20261130T000000Z',
      'found DTEND of VFREEBUSY not after DTSTART, wanted a time that is not empty',
    ],
    [
      'in a time zone',
      'DTEND;TZID=Europe/Berlin:20261202T000000',
      'found DTSTART or DTEND of VFREEBUSY without Z, wanted both in UTC',
    ],
    ['in local time', 'DTEND:20261202T000000', 'found DTSTART or DTEND of VFREEBUSY without Z, wanted both in UTC'],
    ['of a date', 'DTEND;VALUE=DATE:20261202', 'found DTSTART or DTEND of VFREEBUSY without Z, wanted both in UTC'],
    ['without end', 'X-NO-END:1', 'found no DTEND in VFREEBUSY, wanted one'],
  ])('for a window %s is refused with what is wrong', async (_, end, description) => {
    const { questions, post } = site(() => ({ status: SUCCESS }));
    const { status, parsed } = await post(HEADERS, FREE_BUSY.replace('DTEND:20261202T000000Z', end));
    expect({ status, parsed }).toEqual({
      status: 403,
      parsed: { kind: 'error', element: 'invalid-scheduling-message', description },
    });
    expect(questions).toEqual([]);
  });

  test('for a hundred years is the broker’s to judge', async () => {
    const { questions, post } = site(() => ({ status: { code: '3.8', description: 'No authority' } }));
    const { responses } = await post(HEADERS, FREE_BUSY.replace('DTEND:2026', 'DTEND:2126'));
    expect(responses.map(({ requestStatus }) => requestStatus)).toEqual(['3.8;No authority', '3.8;No authority']);
    expect(questions[0]?.window.endMs).toBe(Date.UTC(2126, 11, 2));
  });
});

describe('the sample of the v7 product', () => {
  const BARE = [
    'Host',
    'cs6server.example.com',
    'Content-Type',
    'text/calendar',
    'Content-Length',
    `${CS7_QUESTION.length}`,
  ];

  test('is answered for whom it names, with his busy times', async () => {
    const busy = { startMs: Date.UTC(2004, 8, 2, 9), endMs: Date.UTC(2004, 8, 2, 10), type: 'BUSY' as const };
    const { questions, post } = site(() => ({ status: SUCCESS, periods: [busy] }));
    const { status, responses } = await post(BARE, CS7_QUESTION, '192.0.2.8');
    expect(questions).toMatchObject([
      { asker: { name: 'cal7' }, originator: 'cs7user@example.com', attendees: ['cs7user@example.sun.com'], hops: [] },
    ]);
    expect([status, responses]).toEqual([
      200,
      [
        {
          recipient: 'mailto:cs7user@example.sun.com',
          requestStatus: '2.0;Success',
          calendarData: [
            ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//imipd//EN', 'METHOD:REPLY', 'BEGIN:VFREEBUSY'],
            ...['UID:34222-232@example.com', 'DTSTAMP:20261121T080000Z', 'ORGANIZER:mailto:cs7user@example.com'],
            ...['ATTENDEE:mailto:cs7user@example.sun.com', 'DTSTART:20040902T000000Z', 'DTEND:20040903T000000Z'],
            ...['FREEBUSY;FBTYPE=BUSY:20040902T090000Z/20040902T100000Z', 'END:VFREEBUSY', 'END:VCALENDAR', ''],
          ].join('\r\n'),
        },
      ],
    ]);
  });

  test('about somebody whom nobody knows is 3.7, and 200', async () => {
    const { post } = site(() => ({ status: { code: '3.7', description: 'Invalid calendar user' } }));
    const { status, responses } = await post(BARE, CS7_QUESTION, '192.0.2.8');
    expect([status, responses]).toEqual([
      200,
      [{ recipient: 'mailto:cs7user@example.sun.com', requestStatus: '3.7;Invalid calendar user' }],
    ]);
  });

  test('from a peer of today needs its headers', async () => {
    const { questions, post } = site(() => ({ status: SUCCESS }));
    const { status, parsed } = await post(BARE, CS7_QUESTION, '192.0.2.7');
    expect([status, parsed, questions]).toMatchObject([400, { element: 'version-not-supported' }, []]);
  });
});
