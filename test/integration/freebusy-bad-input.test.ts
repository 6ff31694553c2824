import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  BusyPeer,
  busyCalendar,
  closed,
  composeAnswer,
  PEER_PROTOCOLS,
  type PeerCalendar,
  type PeerProtocol,
  type PeerQuestion,
} from './busy-peer.ts';
import {
  askByPost,
  Day,
  type JsonAnswer,
  type Row,
  rowsOfCalendars,
  rowsOfCommand,
  rowsOfJson,
  rowsOfResponse,
  rowsOfXml,
  wcapPath,
} from './busy-site.ts';
import { folderWith } from './cli.ts';
import { type Gateway, startGateway } from './harness.ts';
import { answered, ask } from './ischedule-peer.ts';
import { people } from './relay-site.ts';

const ALICE = 'alice@example.test';
/** Whom the hostile server is asked about, by protocol. */
const HOSTILE: Readonly<Record<PeerProtocol, string>> = {
  ischedule: 'bob@example.test',
  wcap: 'dave@example.test',
  caldav: 'carol@example.test',
  url: 'erin@example.test',
};
const NOBODY = 'nobody@example.test';
const ROOMS = Array.from({ length: 500 }, (_, index) => `room${index + 1}@example.test`);

/** Where those of the configuration connect from. */
const CAL7 = '127.0.0.2';
const CS6 = '127.0.0.3';

const day = Day.ahead(7);
const WHOLE = '00:00-24:00';
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const period = (start: number, end: number): string => `${day.at(start)}/${day.at(end)}`;

/** What the healthy server says of alice. */
const ALICES = [`FREEBUSY;FBTYPE=BUSY:${period(9, 10.5)}`, `FREEBUSY;FBTYPE=BUSY-TENTATIVE:${period(14, 15)}`];
const ALICES_TIMES = ['09:00-10:30 BUSY', '14:00-15:00 BUSY-TENTATIVE'];
const ALICES_ROW: Row = { attendee: ALICE, said: '2.0', window: WHOLE, times: ALICES_TIMES };

const open = new AsyncDisposableStack();
let healthy: BusyPeer;
let hostile: BusyPeer;
let gateway: Gateway;
let port: number;

beforeAll(async () => {
  healthy = open.use(await BusyPeer.listen());
  hostile = open.use(await BusyPeer.listen());
  gateway = open.use(await startSite());
  port = gateway.port('service');
});
afterAll(() => open.disposeAsync());
beforeEach(() => {
  healthy.answer = answerRightly;
  hostile.answer = answerRightly;
  healthy.questions.length = 0;
  hostile.questions.length = 0;
});

/** @param ischedule and `freeBusy`: further lines of these sections */
async function startSite(ischedule = '', freeBusy = ''): Promise<Gateway> {
  const users = Object.fromEntries([
    ...[ALICE, ...ROOMS].map((address) => [address, 'healthy']),
    ...PEER_PROTOCOLS.map((protocol) => [HOSTILE[protocol], protocol]),
  ]);
  const folder = open.use(await folderWith({ 'people.ldif': people(users) }));
  return await startGateway(`
hostname: imipd.example.test
domains: [example.test]
listeners: [{name: in, address: '127.0.0.1:0'}]
next-hop: {address: '127.0.0.1:9'}
directory: {kind: ldif, file: '${folder.path}/people.ldif'}
calendar:
  back-ends:
    healthy: {url: '${healthy.urlOf('ischedule')}'}
${PEER_PROTOCOLS.map((protocol) => `    ${protocol}: {url: '${hostile.urlOf(protocol)}'}`).join('\n')}
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers: [{name: cal7, origin: inside, domains: [example.test], networks: [${CAL7}]}]
${ischedule}
free-busy:
  deadline: 2s
  url: true
  breaker: {failures: 1000}
  servers:
${PEER_PROTOCOLS.map((protocol) => hostile.entryOf(protocol)).join('\n')}
  clients: [{name: cs6, networks: [${CS6}], protocols: [wcap, url], unknown: told}]
${freeBusy}
`);
}

/** Of every room an hour of its own number. */
function linesOf(attendee: string): readonly string[] {
  const room = /^room(\d+)@/.exec(attendee)?.[1];
  return room === undefined ? ALICES : [`FREEBUSY;FBTYPE=BUSY:${period(0, Number(room) / 60)}`];
}

function roomRow(attendee: string): Row {
  const minutes = Number(/\d+/.exec(attendee)?.[0]);
  const clock = [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, '0')).join(':');
  return { attendee, said: '2.0', window: WHOLE, times: [`00:00-${clock} BUSY`] };
}

function rightCalendars(question: PeerQuestion): readonly PeerCalendar[] {
  return question.attendees.map((attendee) => ({
    attendee,
    calendar: busyCalendar(question, attendee, linesOf(attendee)),
  }));
}

function answerRightly(question: PeerQuestion, response: ServerResponse): void {
  const { type, body } = composeAnswer(question, rightCalendars(question));
  response.writeHead(200, { 'Content-Type': type }).end(body);
}

// ---- what is asked

const QUESTION = [
  ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Free busy//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY'],
  ...['UID:question-1', 'DTSTAMP:20260101T000000Z', `DTSTART:${day.from}`, `DTEND:${day.to}`],
  ...[`ORGANIZER:mailto:${ALICE}`, `ATTENDEE:mailto:${ALICE}`, 'END:VFREEBUSY', 'END:VCALENDAR', ''],
].join('\r\n');

describe('a question by iSchedule', () => {
  const post = (body: string, attendees: readonly string[] = [ALICE]) =>
    ask(port, {
      ...{ method: 'POST', path: '/ischedule/', from: CAL7, body },
      headers: [
        ['iSchedule-Version', '1.0'],
        ['Originator', `mailto:${ALICE}`],
        ...attendees.map((attendee) => ['Recipient', `mailto:${attendee}`] as const),
        ['Content-Type', 'text/calendar; charset=utf-8; component=VFREEBUSY; method=REQUEST'],
      ],
    });
  /** @param lines in place of DTSTART and DTEND */
  const about = (lines: readonly string[], before: readonly string[] = []): string =>
    QUESTION.replace(/DTSTART.*\r\nDTEND.*\r\n/, lines.map((line) => `${line}\r\n`).join('')).replace(
      'BEGIN:VFREEBUSY',
      [...before, 'BEGIN:VFREEBUSY'].join('\r\n'),
    );
  const [start, end] = [`DTSTART:${day.from}`, `DTEND:${day.to}`];
  const local = (name: string, hours: number): string => `${name};TZID=Europe/Berlin:${day.at(hours).slice(0, -1)}`;

  test.each([
    ['of no length', [start, `DTEND:${day.from}`], [], /not after DTSTART/],
    ['that is reversed', [`DTSTART:${day.to}`, `DTEND:${day.from}`], [], /not after DTSTART/],
    ['in a time zone', [local('DTSTART', 0), local('DTEND', 24)], berlin(), /without Z/],
    ['that ends in a time zone', [start, local('DTEND', 24)], berlin(), /without Z/],
    ['in the time of no zone', [start.slice(0, -1), end.slice(0, -1)], [], /without Z/],
    ['of dates', [`DTSTART;VALUE=DATE:${day.from.slice(0, 8)}`, end], [], /without Z/],
    ['of other text', [start, 'DTEND:tomorrow'], [], /without Z/],
    ['without beginning', [end], [], /no DTSTART/],
    ['without end', [start], [], /no DTEND/],
    ['by its duration', [start, 'DURATION:P1D'], [], /no DTEND/],
    ['that is not there', [], [], /no DTSTART/],
    ['with two ends', [start, end, end], [], /more than one DTEND/],
  ] as const)('about a window %s is refused as a whole', async (_, lines, before, why) => {
    const answer = await post(about(lines, before));
    expect(answered(answer)).toEqual(['403 invalid-scheduling-message']);
    expect(answer.body).toMatch(why);
    expect(healthy.questions).toEqual([]);
  });

  test.each([
    ['100 years', 0, 36_525, '3.5'],
    ['100 years back', -36_525, 1, '3.5'],
    ['a day in 100 years', 36_525, 36_526, '3.8'],
    ['a day 100 years ago', -36_525, -36_524, '3.8'],
  ])('about %s is answered about everybody alike, and nobody is asked', async (_, first, last, said) => {
    const [from, to] = [first, last].map((days) => new Date(day.startMs + days * DAY_MS).toISOString());
    const [startText, endText] = [from, to].map((time = '') => time.replace(/[-:]|\.\d+/g, ''));
    const body = about([`DTSTART:${startText}`, `DTEND:${endText}`]).replace(
      'END:VFREEBUSY',
      `ATTENDEE:mailto:${NOBODY}\r\nEND:VFREEBUSY`,
    );
    const answer = await post(body, [ALICE, NOBODY]);
    expect(answered(answer)).toEqual([`${ALICE} ${said}`, `${NOBODY} ${said}`]);
    expect(healthy.questions).toEqual([]);
  });

  test('about 500 people is refused as a whole, and nobody is asked', async () => {
    const answer = await askByPost(port, { day, organizer: ALICE, attendees: ROOMS, from: CAL7 });
    expect(answered(answer)).toEqual(['403 max-recipients']);
    expect(healthy.questions).toEqual([]);
  });
});

describe('a question by WCAP', () => {
  const wcap = (parameters: Readonly<Record<string, string>>) =>
    ask(port, { path: `/get_freebusy.wcap?${new URLSearchParams({ mail: ALICE, ...parameters })}`, from: CS6 });
  const [from, to] = [day.from, day.to];
  const [localFrom, localTo] = [from.slice(0, -1), to.slice(0, -1)];

  test.each([
    ['of no length', { dtstart: from, dtend: from }, '60'],
    ['of no days', { dtstart: from, duration: '0' }, '60'],
    ['that is reversed', { dtstart: to, dtend: from }, '60'],
    ['of more than 100 years, by its days', { dtstart: from, duration: '36525' }, '60'],
    ['in the time of no zone', { dtstart: localFrom, dtend: localTo }, '60'],
    ['in an unknown time zone', { dtstart: localFrom, dtend: localTo, tzid: 'Europe/Atlantis' }, '18'],
    ['of dates', { dtstart: from.slice(0, 8), dtend: to.slice(0, 8) }, '60'],
    ['of other text', { dtstart: 'today', dtend: 'tomorrow' }, '60'],
  ])('about a window %s is an errno of nobody in particular', async (_, parameters, errno) => {
    for (const [format, rowsOf] of FORMATS) {
      const { status, body } = await wcap({ ...parameters, 'fmt-out': format });
      expect([status, rowsOf(day, body).map(({ said, times }) => [said, times])]).toEqual([200, [[errno, []]]]);
    }
    expect(healthy.questions).toEqual([]);
  });

  test.each([
    ['of 100 years', 0, 36_525, '60'],
    ['of a day in 100 years', 36_525, 36_526, '28'],
  ])('about a window %s is an errno of each, and nobody is asked', async (_, first, last, errno) => {
    const [dtstart = '', dtend = ''] = [first, last].map((days) => day.at(days * 24));
    const { status, body } = await wcap({ mail: `${ALICE};${NOBODY}`, dtstart, dtend });
    expect([status, rowsOfCalendars(day, body)]).toEqual([
      200,
      [ALICE, NOBODY].map((attendee) => ({ attendee, said: errno, times: [] })),
    ]);
    expect(healthy.questions).toEqual([]);
  });

  test('about a window in a time zone that is known is about that time', async () => {
    const { body: text } = await wcap({ dtstart: localFrom, dtend: localTo, tzid: 'Asia/Tokyo' });
    expect(rowsOfCalendars(day, text)).toEqual([
      { attendee: ALICE, said: '0', window: '-9:00-15:00', times: ALICES_TIMES },
    ]);
  });

  test('without a window is about 60 days from now', async () => {
    const { body } = await wcap({});
    const [row] = rowsOfCalendars(day, body);
    expect(row).toMatchObject({ attendee: ALICE, said: '0', times: ALICES_TIMES });
    expect(lengthOf(body)).toBe(60 * DAY_MS);
  });

  test('about 500 people is errno 60, and nobody is asked', async () => {
    const { status, body } = await wcap({ mail: ROOMS.join(';'), dtstart: from, dtend: to });
    expect([status, rowsOfCalendars(day, body)]).toEqual([200, [{ attendee: '', said: '60', times: [] }]]);
    expect(healthy.questions).toEqual([]);
  });
});

describe('a question for what is published', () => {
  const ifb = (query: string) => ask(port, { path: `/freebusy/${ALICE}.ifb${query}`, from: CS6 });
  const [from, to] = [day.from, day.to];

  test.each([
    ['of no length', `?start=${from}&end=${from}`, /an end that is not after the start/],
    ['of no duration', `?start=${from}&period=PT0S`, /an end that is not after the start/],
    ['that is reversed', `?start=${to}&end=${from}`, /an end that is not after the start/],
    ['of 100 years', `?start=${from}&end=${day.at(36_525 * 24)}`, /The window is 36525 days long/],
    ['of 100 years, by its duration', `?start=${from}&period=P36525D`, /The window is 36525 days long/],
    ['in the time of no zone', `?start=${from.slice(0, -1)}&end=${to}`, /found another start/],
    ['of other text', `?start=${from}&end=tomorrow`, /found another end/],
    ['with two ends', `?start=${from}&end=${to}&end=${to}`, /end more than once/],
    ['with an end and a duration', `?start=${from}&end=${to}&period=P1D`, /end and period/],
  ])('about a window %s is 400, which says why', async (_, query, why) => {
    const { status, body } = await ifb(query);
    expect(status).toBe(400);
    expect(body).toMatch(why);
    expect(healthy.questions).toEqual([]);
  });

  test('about a window in an offset from UTC is about that time', async () => {
    const iso = (hours: number) => new Date(day.startMs + hours * HOUR_MS).toISOString().replace('.000Z', '+02:00');
    const { status, body } = await ifb(`?start=${iso(0)}&end=${iso(24)}`);
    expect([status, rowsOfCalendars(day, body)]).toEqual([
      200,
      [{ attendee: `mailto:${ALICE}`, said: '', window: '-2:00-22:00', times: ALICES_TIMES }],
    ]);
  });

  test('without a window is about six weeks from this hour', async () => {
    const { status, body } = await ifb('');
    expect([status, rowsOfCalendars(day, body)[0]?.times]).toEqual([200, ALICES_TIMES]);
    expect(lengthOf(body)).toBe(42 * DAY_MS);
  });
});

const FORMATS = [
  ['text/calendar', rowsOfCalendars],
  ['text/xml', rowsOfXml],
  ['text/json', rowsOfJson],
] as const;

describe('500 people, where so many may be asked about', () => {
  let large: Gateway;
  beforeAll(async () => {
    large = open.use(await startSite('  accept: {max-recipients: 500}', '  max-attendees: 500'));
  });

  /** Their server was asked about each of them once, in no more posts than their length demands. */
  function expectFewPosts(): void {
    const sizes = healthy.questions.map(({ attendees }) => attendees.length);
    expect(healthy.questions.flatMap(({ attendees }) => attendees).sort()).toEqual([...ROOMS].sort());
    expect(Math.max(...sizes)).toBeLessThanOrEqual(64);
    expect(sizes.length).toBeLessThanOrEqual(10);
  }

  test('are all answered about by iSchedule, in order, and their server has posts of some dozens', async () => {
    const question = { day, organizer: ALICE, attendees: ROOMS, from: CAL7 };
    const { status, body } = await askByPost(large.port('service'), question);
    expect([status, rowsOfResponse(day, body)]).toEqual([200, ROOMS.map(roomRow)]);
    expectFewPosts();
  });

  test.each(FORMATS)('are all answered about by a WCAP form, in order, as %s', async (format, rowsOf) => {
    const form = new URLSearchParams({ mail: ROOMS.join(';'), 'fmt-out': format, dtstart: day.from, dtend: day.to });
    const { status, body } = await ask(large.port('service'), {
      ...{ method: 'POST', path: '/get_freebusy.wcap', from: CS6, body: `${form}` },
      headers: [['Content-Type', 'application/x-www-form-urlencoded']],
    });
    expect([status, rowsOf(day, body)]).toEqual([200, ROOMS.map((room) => ({ ...roomRow(room), said: '0' }))]);
    expectFewPosts();
  });

  test('are all answered about by a WCAP URL', async () => {
    const path = wcapPath(day, { mail: ROOMS.join(';') });
    const { status, body } = await ask(large.port('service'), { path, from: CS6 });
    expect([status, rowsOfCalendars(day, body).length]).toEqual([200, 500]);
  });

  test('and one more are refused by both', async () => {
    const attendees = [...ROOMS, ALICE];
    const posted = await askByPost(large.port('service'), { day, organizer: ALICE, attendees, from: CAL7 });
    expect(answered(posted)).toEqual(['403 max-recipients']);
    const path = wcapPath(day, { mail: attendees.join(';') });
    const asked = await ask(large.port('service'), { path, from: CS6 });
    expect(rowsOfCalendars(day, asked.body)).toEqual([{ attendee: '', said: '60', times: [] }]);
    expect(healthy.questions).toEqual([]);
  });

  test('are all answered about by imipd freebusy, whatever the limits for others are', async () => {
    const iso = (ms: number) => new Date(ms).toISOString().replace('.000', '');
    const window = ['--from', iso(day.startMs), '--to', iso(day.startMs + DAY_MS)];
    const { code, out, err } = await gateway.command('freebusy', ...ROOMS, ...window, '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { answers } = JSON.parse(out) as { readonly answers: readonly JsonAnswer[] };
    expect(rowsOfCommand(day, answers)).toEqual(ROOMS.map(roomRow));
    expectFewPosts();
  });
});

// ---- what is answered

/** What the gateway makes of it: a status, or the times. */
type Made = '3.7' | '5.1' | readonly string[];
type Expected = Readonly<Partial<Record<PeerProtocol, Made>>>;
type Answer = BusyPeer['answer'];

const all = (made: Made): Expected => Object.fromEntries(PEER_PROTOCOLS.map((protocol) => [protocol, made]));

/** A right answer with another calendar in it. */
function saying(compose: (question: PeerQuestion, attendee: string) => string): Answer {
  return (question, response) => {
    const calendars = question.attendees.map((attendee) => ({ attendee, calendar: compose(question, attendee) }));
    const { type, body } = composeAnswer(question, calendars);
    response.writeHead(200, { 'Content-Type': type }).end(body);
  };
}

/** A right answer with these lines instead of the times. */
function lines(some: readonly string[], more: Parameters<typeof busyCalendar>[3] = {}): Answer {
  return saying((question, attendee) => busyCalendar(question, attendee, some, more));
}

/** A right answer, its body changed. */
function body(change: (text: string, question: PeerQuestion) => string | Buffer, headers = {}): Answer {
  return (question, response) => {
    const { type, body: text } = composeAnswer(question, rightCalendars(question));
    response.writeHead(200, { 'Content-Type': type, ...headers }).end(change(text, question));
  };
}

/** By more than the attendees who were asked about. */
function withMore(...others: readonly string[]): Answer {
  return (question, response) => {
    const strangers = others.map((attendee) => ({
      attendee,
      calendar: busyCalendar(question, attendee, [`FREEBUSY:${period(1, 23)}`]),
    }));
    const { type, body: text } = composeAnswer(question, [...strangers, ...rightCalendars(question)]);
    response.writeHead(200, { 'Content-Type': type }).end(text);
  };
}

const local = (start: number, end: number, tzid?: string): string => {
  const [from, to] = [start, end].map((hours) => day.at(hours).slice(0, -1));
  return `FREEBUSY${tzid === undefined ? '' : `;TZID=${tzid}`};FBTYPE=BUSY:${from}/${to}`;
};

const ENTITIES = [
  '<!DOCTYPE schedule-response [',
  '<!ENTITY a "FREEBUSY">',
  ...Array.from('bcdefghij', (name, index) => `<!ENTITY ${name} "${`&${'abcdefghij'[index]};`.repeat(10)}">`),
  ']>',
].join('\n');
const withDoctype = (doctype: string, xml: string): string => xml.replace(/^(<\?xml.*?\?>\n?)/, `$1${doctype}\n`);

/** As Calendar Server 6 writes it. */
function wcapXml({ start, end }: PeerQuestion, times: string): string {
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n<iCalendar><iCal version="2.0" METHOD="PUBLISH">' +
    `<FREEBUSY><START>${start}</START><END>${end}</END>${times}</FREEBUSY>` +
    '<X-NSCP-WCAP-ERRNO>0</X-NSCP-WCAP-ERRNO></iCal></iCalendar>\n'
  );
}
const xml = (change: (question: PeerQuestion) => string): Answer =>
  body((_, question) => change(question), { 'Content-Type': 'text/xml; charset=utf-8' });
const fb = (start: number, end: number, type = 'BUSY'): string => `<FB FBTYPE="${type}">${period(start, end)}</FB>`;

const MERGED = ['08:00-09:00 BUSY', '09:00-11:00 BUSY-UNAVAILABLE', '11:00-12:00 BUSY', '12:00-13:00 BUSY-TENTATIVE'];
/** More than 2 MB. */
const TOO_MUCH = Array.from({ length: 60_000 }, () => `FREEBUSY:${period(8, 9)}`);
const LATE_DAY = new Day(day.startMs + DAY_MS);

const TABLE: readonly (readonly [string, Answer, Expected])[] = [
  ['the truth', answerRightly, all(ALICES_TIMES)],
  [
    'another UID',
    body((text) => text.replace(/UID:.*?(?=\r|&#13;)/g, 'UID:another-question')),
    { ischedule: '5.1', caldav: '5.1' },
  ],
  [
    'somebody else’s times',
    body((text) => text.replace(/ATTENDEE:.*?(?=\r|&#13;)/g, `ATTENDEE:mailto:${NOBODY}`)),
    { ischedule: '5.1', caldav: '5.1' },
  ],
  [
    'times of another window',
    body((text) => text.replaceAll(day.from, LATE_DAY.from).replaceAll(/DTEND:\w+/g, `DTEND:${LATE_DAY.to}`)),
    all('5.1'),
  ],
  ['times of half the window', body((text) => text.replace(/DTEND:\w+/, `DTEND:${day.at(12)}`)), all('5.1')],
  [
    'periods outside the window',
    lines([`FREEBUSY:${period(-5, -4)},${period(30, 31)}`, `FREEBUSY:${period(-2, 1)},${period(23, 26)}`]),
    all(['00:00-01:00 BUSY', '23:00-24:00 BUSY']),
  ],
  [
    'overlapping periods',
    lines([
      `FREEBUSY;FBTYPE=BUSY-TENTATIVE:${period(10, 13)}`,
      `FREEBUSY;FBTYPE=BUSY:${period(8, 10)},${period(9.5, 12)}`,
      `FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:${period(9, 11)}`,
      `FREEBUSY;FBTYPE=FREE:${period(8, 13)}`,
    ]),
    all(MERGED),
  ],
  [
    'negative and empty periods',
    lines([`FREEBUSY:${period(12, 8)},${period(9, 9)},${period(15, 16)}`, `FREEBUSY:${day.at(3)}/-PT1H`]),
    all(['15:00-16:00 BUSY']),
  ],
  [
    'the local time of a zone that it describes',
    lines([local(9, 10, 'Example/Two')], { zones: zone('Example/Two') }),
    all(['07:00-08:00 BUSY']),
  ],
  ['the local time of a zone that is well known', lines([local(9, 10, 'Asia/Tokyo')]), all(['00:00-01:00 BUSY'])],
  ['the local time of a zone that nobody knows', lines([...ALICES, local(9, 10, 'Example/Two')]), all('5.1')],
  ['the local time of no zone', lines([...ALICES, local(9, 10)]), all('5.1')],
  ['a period that is none', lines([...ALICES, 'FREEBUSY:all day']), all('5.1')],
  [
    'a page of HTML with status 200',
    body(() => '<!DOCTYPE html><html><body>Busy</body></html>', { 'Content-Type': 'text/html' }),
    all('5.1'),
  ],
  ['a page of HTML that says it is what was asked for', body(() => '<html><body>Sign in</body></html>'), all('5.1')],
  ['half a calendar', saying((...args) => half(busyCalendar(args[0], args[1], ALICES))), all('5.1')],
  ['half an answer', body((text) => half(text)), all('5.1')],
  ['half of what it announces', cutShort, all('5.1')],
  ['2 MB of periods', lines(TOO_MUCH), all('5.1')],
  ['2 MB of periods, piece by piece', inPieces(lines(TOO_MUCH)), all('5.1')],
  ['gzip', body((text) => gzipSync(text), { 'Content-Encoding': 'gzip' }), all('5.1')],
  ['gzip that is not named', body((text) => gzipSync(text)), all('5.1')],
  ['nothing', body(() => ''), { ...all('5.1'), wcap: '3.7' }],
  ['NUL', body((text) => text.replace('VERSION', '\0VERSION')), all('5.1')],
  ['no calendar in the calendar data', saying(() => ''), { ischedule: '5.1', caldav: '5.1' }],
  ['a calendar without VFREEBUSY', saying(() => 'BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n'), all('5.1')],
  ['status 500', (_, response) => void response.writeHead(500).end('no'), all('5.1')],
  ['status 204', (_, response) => void response.writeHead(204).end(), all('5.1')],
  ['a closed connection', (_, response) => void response.destroy(), all('5.1')],
  ['a connection that is reset', (_, response) => void response.socket?.resetAndDestroy(), all('5.1')],
  ['headers without measure', body((text) => text, { 'X-Filler': 'x'.repeat(100_000) }), all('5.1')],
  ['another protocol', raw(['101 Switching Protocols', 'Connection: upgrade', 'Upgrade: tls'], ''), all('5.1')],
  [
    'a hundred continues',
    raw([...Array.from({ length: 100 }, () => '100 Continue\r\n\r\nHTTP/1.1'), '200'], ''),
    all('5.1'),
  ],
  ['chunks that are none', raw(['200 OK', 'Transfer-Encoding: chunked'], 'zz\r\nBEGIN'), all('5.1')],
  ['two lengths', raw(['200 OK', 'Content-Length: 5', 'Content-Length: 6'], 'BEGIN:'), all('5.1')],
  ['a status that is none', raw(['0 OK', 'Content-Length: 0'], ''), all('5.1')],
  ['a length that is none', raw(['200 OK', 'Content-Length: -1'], 'BEGIN:'), all('5.1')],
  ['no HTTP', (_, response) => void response.socket?.end('* OK IMAP4rev1 ready\r\n'), all('5.1')],
  [
    'one more recipient, who is told by another server',
    withMore(ALICE),
    { ischedule: ALICES_TIMES, caldav: ALICES_TIMES },
  ],
  ['one more recipient, whom nobody knows', withMore(NOBODY), { ischedule: ALICES_TIMES, caldav: ALICES_TIMES }],
  [
    'no recipient',
    (question, response) => void answerAbout(question, response, []),
    { ischedule: '5.1', caldav: '5.1' },
  ],
  [
    'another recipient',
    (question, response) => void answerAbout(question, response, [ALICE]),
    { ischedule: '5.1', caldav: '5.1' },
  ],
  ['a DOCTYPE', body((text) => withDoctype('<!DOCTYPE schedule-response>', text)), { ischedule: '5.1', caldav: '5.1' }],
  [
    'entities that grow',
    body((text) => withDoctype(ENTITIES, text).replaceAll('FREEBUSY', '&j;')),
    { ischedule: '5.1', caldav: '5.1' },
  ],
  [
    'an entity of a file',
    body((text) =>
      withDoctype('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>', text).replace('VERSION', '&a;VERSION'),
    ),
    { ischedule: '5.1', caldav: '5.1' },
  ],
  [
    'an entity that nobody declared',
    body((text) => text.replaceAll('BEGIN', '&busy;BEGIN')),
    { ischedule: '5.1', caldav: '5.1' },
  ],
  ['WCAP’s XML', xml((question) => wcapXml(question, fb(9, 10))), { wcap: ['09:00-10:00 BUSY'] }],
  [
    'WCAP’s XML with overlapping, negative and outlying periods',
    xml((question) =>
      wcapXml(
        question,
        [
          fb(10, 13, 'BUSY-TENTATIVE'),
          fb(8, 10),
          fb(9.5, 12),
          fb(9, 11, 'BUSY-UNAVAILABLE'),
          fb(15, 14),
          fb(30, 31),
        ].join(''),
      ),
    ),
    { wcap: MERGED },
  ],
  [
    'WCAP’s XML of another window',
    xml((question) => wcapXml({ ...question, start: LATE_DAY.from, end: LATE_DAY.to }, fb(9, 10))),
    { wcap: '5.1' },
  ],
  [
    'WCAP’s XML in local time',
    xml((question) => wcapXml(question, fb(9, 10).replaceAll(/(\d{6})Z/g, '$1'))),
    { wcap: '5.1' },
  ],
  [
    'WCAP’s XML with entities that grow',
    xml((question) => withDoctype(ENTITIES, wcapXml(question, '&j;'))),
    { wcap: '5.1' },
  ],
  ['half of WCAP’s XML', xml((question) => half(wcapXml(question, fb(9, 10)))), { wcap: '5.1' }],
  ['WCAP’s XML and no end of periods', xml((question) => wcapXml(question, fb(8, 9).repeat(40_000))), { wcap: '5.1' }],
  [
    'errno 0 and no times',
    xml(() => '<iCalendar><iCal><X-NSCP-WCAP-ERRNO>0</X-NSCP-WCAP-ERRNO></iCal></iCalendar>'),
    { wcap: '5.1' },
  ],
  [
    'errno 29',
    xml(() => '<iCalendar><iCal><X-NSCP-WCAP-ERRNO>29</X-NSCP-WCAP-ERRNO></iCal></iCalendar>'),
    { wcap: '3.7' },
  ],
  [
    'errno 39',
    xml(() => '<iCalendar><iCal><X-NSCP-WCAP-ERRNO>39</X-NSCP-WCAP-ERRNO></iCal></iCalendar>'),
    { wcap: '5.1' },
  ],
];

/** In one question with alice, whose server is healthy. @returns what is said of all of them but her */
async function madeOf(protocols: readonly PeerProtocol[]): Promise<Expected> {
  const attendees = [ALICE, ...protocols.map((protocol) => HOSTILE[protocol])];
  const { status, body: text } = await askByPost(port, { day, organizer: ALICE, attendees, from: CAL7 });
  const [first, ...rows] = rowsOfResponse(day, text);
  expect([status, first, rows.map(({ attendee }) => attendee)]).toEqual([200, ALICES_ROW, attendees.slice(1)]);
  expect(healthy.questions.map((question) => question.attendees)).toEqual([[ALICE]]);
  expect(new Set(hostile.questions.map(({ protocol }) => protocol))).toEqual(new Set(protocols));
  return Object.fromEntries(
    rows.map((row, index) => {
      // Whoever has no times has no object at all.
      const isTold = row.said === '2.0' && row.window === WHOLE;
      return [protocols[index], isTold ? row.times : row.times.length + (row.window?.length ?? 0) > 0 ? row : row.said];
    }),
  );
}

const protocolsOf = (expected: Expected) => PEER_PROTOCOLS.filter((protocol) => expected[protocol] !== undefined);

describe('a server that answers with', () => {
  test.each(TABLE)('%s spoils nobody else’s answer', async (_, answer, expected) => {
    hostile.answer = answer;
    expect(await madeOf(protocolsOf(expected))).toEqual(expected);
  });

  test.each([301, 302, 303, 307, 308])('%d to another server leads nowhere', async (status) => {
    hostile.answer = ({ protocol }, response) =>
      void response.writeHead(status, { Location: healthy.urlOf(protocol) }).end();
    // Calendar Server 6 sends on whom it does not know, though it is asked not to.
    expect(await madeOf([...PEER_PROTOCOLS])).toEqual({ ...all('5.1'), wcap: '3.7' });
  });

  test('the truth and an answer more does not answer the next question with that', async () => {
    hostile.answer = (question, response) => {
      const { type, body: text } = composeAnswer(question, rightCalendars(question));
      const other = composeAnswer(
        question,
        question.attendees.map((attendee) => ({ attendee, calendar: busyCalendar(question, attendee, []) })),
      );
      const whole = [text, other.body].map(
        (one) => `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(one)}\r\n\r\n${one}`,
      );
      response.socket?.write(whole.join(''));
    };
    const first = await madeOf([...PEER_PROTOCOLS]);
    healthy.questions.length = 0;
    const second = await madeOf([...PEER_PROTOCOLS]);
    expect([first, second]).toEqual([all(ALICES_TIMES), all(ALICES_TIMES)]);
  });

  test('a redirect to itself is not followed for ever', async () => {
    hostile.answer = ({ protocol, attendees: [attendee = ''] }, response) =>
      void response
        .writeHead(307, { Location: `${hostile.urlOf(protocol)}${protocol === 'url' ? attendee : ''}` })
        .end();
    expect(await madeOf(['ischedule', 'caldav', 'url'])).toEqual({ ischedule: '5.1', caldav: '5.1', url: '5.1' });
    expect(hostile.questions.length).toBeLessThan(20);
  });

  test.each([
    ['nothing at all', (_: ServerResponse) => undefined],
    ['headers, and then nothing', (response: ServerResponse) => void response.writeHead(200).flushHeaders()],
    [
      'half a body, and then nothing',
      (response: ServerResponse) => void response.writeHead(200, { 'Content-Type': 'text/calendar' }).write('BEGIN:VC'),
    ],
  ])('%s is late alone, and its connections are closed', async (_, hang) => {
    const closings: Promise<void>[] = [];
    hostile.answer = (__, response) => {
      closings.push(closed(response));
      hang(response);
    };
    expect(await madeOf([...PEER_PROTOCOLS])).toEqual(all('5.1'));
    expect(closings).toHaveLength(PEER_PROTOCOLS.length);
    await Promise.all(closings);
  });

  test('all of that leaves no error in the log, and no server is given up', async () => {
    expect(await madeOf([...PEER_PROTOCOLS])).toEqual(all(ALICES_TIMES));
    expect(gateway.log.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  });
});

function answerAbout(question: PeerQuestion, response: ServerResponse, attendees: readonly string[]): void {
  const { type, body: text } = composeAnswer(question, rightCalendars({ ...question, attendees }));
  response.writeHead(200, { 'Content-Type': type }).end(text);
}

/** Ends in the middle of a body whose length it has named. */
function cutShort(question: PeerQuestion, response: ServerResponse): void {
  const { type, body: text } = composeAnswer(question, rightCalendars(question));
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': `${Buffer.byteLength(text)}` });
  response.write(half(text), () => response.destroy());
}

/** Without a Content-Length. */
function inPieces(answer: Answer): Answer {
  return (question, response) => {
    const { end } = response;
    response.end = ((text: string) => {
      for (let at = 0; at < text.length && !response.destroyed; at += 65_536)
        response.write(text.slice(at, at + 65_536));
      return end.call(response, undefined, 'utf8', () => undefined);
    }) as typeof response.end;
    answer(question, response);
  };
}

/** Octets of its own. @param head status and headers */
function raw(head: readonly string[], text: string): Answer {
  return (_, response) => void response.socket?.end(`HTTP/1.1 ${head.join('\r\n')}\r\n\r\n${text}`);
}

function half(text: string): string {
  return text.slice(0, text.length / 2);
}

function lengthOf(calendar: string): number {
  const [start = 0, end = 0] = ['DTSTART', 'DTEND'].map((name) => {
    const text = new RegExp(`^${name}:(.*)\\r$`, 'm').exec(calendar)?.[1] ?? '';
    return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  });
  return end - start;
}

/** A zone two hours ahead of UTC. */
function zone(tzid: string): readonly string[] {
  return [
    ...['BEGIN:VTIMEZONE', `TZID:${tzid}`, 'BEGIN:STANDARD', 'DTSTART:19700101T000000'],
    ...['TZOFFSETFROM:+0200', 'TZOFFSETTO:+0200', 'END:STANDARD', 'END:VTIMEZONE'],
  ];
}

function berlin(): readonly string[] {
  return zone('Europe/Berlin');
}
