import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { CalendarServer6 } from '../peers/calendar-server-6.ts';
import { suite } from '../servers/installed.ts';
import { PASSWORD, startCyrus, startDavical } from '../servers/servers.ts';
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
import { CyrusCalendar, DavicalCollection } from './caldav.ts';
import { folderWith } from './cli.ts';
import { type Gateway, startGateway } from './harness.ts';
import { HttpRecorder } from './http-recorder.ts';
import { ask } from './ischedule-peer.ts';
import { people } from './relay-site.ts';

const [ALICE, BOB] = ['alice@example.test', 'bob@example.test'];
const CAROL = 'carol@example.test';
const DAVE = 'dave@example.test';
const NOBODY = 'nobody@example.test';
const LENA = 'lena@example.test';
const SERVICE = 'service@example.test';
const SIX = [ALICE, BOB, CAROL, DAVE, NOBODY, LENA];

/** Where those of the configuration connect from. */
const CAL7 = '127.0.0.2';
const CS6 = '127.0.0.3';

const day = Day.ahead(7);

type Events = Readonly<Record<string, readonly string[]>>;
const from = (start: number, end: number, ...more: readonly string[]): readonly string[] => [
  `DTSTART:${day.at(start)}`,
  `DTEND:${day.at(end)}`,
  ...more,
];

/** Two on DAViCal. */
const ALICES: Events = {
  night: from(-1, 1),
  first: from(9, 10),
  overlapping: from(9.5, 11),
  maybe: from(10.5, 12, 'STATUS:TENTATIVE'),
  transparent: from(13, 14, 'TRANSP:TRANSPARENT'),
  'next day': from(30, 31),
};
const BOBS: Events = {
  maybe: from(8, 9, 'STATUS:TENTATIVE'),
  within: from(14, 17),
  'all of it in another': from(15, 16),
  night: from(22, 26),
};
/** One on Cyrus. */
const CAROLS: Events = {
  maybe: from(11, 12, 'STATUS:TENTATIVE'),
  cancelled: from(15, 16, 'STATUS:CANCELLED'),
  weekly: from(17 - 14 * 24, 17.5 - 14 * 24, 'RRULE:FREQ=WEEKLY'),
  night: from(23, 25),
};
/** One on v6. */
const DAVES = [
  { start: day.at(-2), end: day.at(2), type: 'BUSY-TENTATIVE' },
  { start: day.at(8), end: day.at(9) },
  { start: day.at(8.5), end: day.at(10), type: 'BUSY-TENTATIVE' },
  { start: day.at(20), end: day.at(30), type: 'BUSY-UNAVAILABLE' },
] as const;

const WHOLE = '00:00-24:00';
/** What everybody is told, in whatever protocol. */
const EXPECTED: readonly Row[] = [
  {
    ...{ attendee: ALICE, said: '2.0', window: WHOLE },
    times: ['00:00-01:00 BUSY', '09:00-11:00 BUSY', '11:00-12:00 BUSY-TENTATIVE'],
  },
  {
    ...{ attendee: BOB, said: '2.0', window: WHOLE },
    times: ['08:00-09:00 BUSY-TENTATIVE', '14:00-17:00 BUSY', '22:00-24:00 BUSY'],
  },
  {
    ...{ attendee: CAROL, said: '2.0', window: WHOLE },
    times: ['11:00-12:00 BUSY-TENTATIVE', '17:00-17:30 BUSY', '23:00-24:00 BUSY'],
  },
  {
    ...{ attendee: DAVE, said: '2.0', window: WHOLE },
    times: [
      ...['00:00-02:00 BUSY-TENTATIVE', '08:00-09:00 BUSY', '09:00-10:00 BUSY-TENTATIVE', '15:00-16:00 BUSY'],
      '20:00-24:00 BUSY-UNAVAILABLE',
    ],
  },
  { attendee: NOBODY, said: '3.7', times: [] },
  { attendee: LENA, said: '5.1', times: [] },
];
const ERRNO: Readonly<Record<string, string>> = { '2.0': '0', '3.7': '29', '5.1': '39' };
const inWcap = (prefix = ''): readonly Row[] =>
  EXPECTED.map((row) => ({ ...row, attendee: `${prefix}${row.attendee}`, said: ERRNO[row.said] ?? '' }));

/** Takes every request, and answers none. */
class SilentServer implements AsyncDisposable {
  requests = 0;
  readonly #server: Server = createServer(() => {
    this.requests++;
  });

  async listen(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ischedule`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

suite(
  ['cyrus', 'davical'],
  'a question about two on DAViCal, one on Cyrus, one on v6, one unknown and one whose server hangs',
  () => {
    const servers = new AsyncDisposableStack();
    let toDavical: HttpRecorder;
    let v6: CalendarServer6;
    let hanging: SilentServer;
    let gateway: Gateway;
    let port: number;

    beforeAll(async () => {
      hanging = servers.use(await new SilentServer().listen());
      v6 = servers.use(
        await CalendarServer6.listen({
          users: [
            {
              ...{ uid: 'dave', mail: [DAVE] },
              calendars: [
                { calid: 'dave', busy: DAVES },
                { calid: 'dave:private', acl: 'closed', busy: [{ start: day.at(15), end: day.at(16) }] },
              ],
            },
          ],
          // Only who logs in is answered.
          anonymous: false,
          logins: [{ user: 'calmaster', password: PASSWORD, overridesAcl: true }],
        }),
      );
      const starting = [startDavical({ users: ['alice', 'bob'] }), startCyrus({ users: [CAROL, SERVICE] })] as const;
      for (const result of await Promise.allSettled(starting)) {
        if (result.status === 'fulfilled') servers.use(result.value);
      }
      const [davical, cyrus] = await Promise.all(starting);
      toDavical = servers.use(await HttpRecorder.listen(davical.ischedule));
      for (const [calendar, events] of [
        [new DavicalCollection(davical.url, 'alice', 'calendar'), ALICES],
        [new DavicalCollection(davical.url, 'bob', 'calendar'), BOBS],
        [new CyrusCalendar(cyrus.url, CAROL), CAROLS],
      ] as const) {
        for (const [name, lines] of Object.entries(events))
          await calendar.put(`${name}@example.test`, stored(name, lines));
      }

      const users = { [ALICE]: 'davical', [BOB]: 'davical', [CAROL]: 'cyrus', [LENA]: 'hanging' };
      const folder = servers.use(
        await folderWith({
          'people.ldif': `${people(users)}\n${UNMARKED}`,
          'map.properties': `example.test=${v6.url}ischedule/\n`,
        }),
      );
      gateway = servers.use(
        await startGateway(`
hostname: imipd.example.test
domains: [example.test]
listeners: [{name: in, address: '127.0.0.1:0'}]
next-hop: {address: '127.0.0.1:9'}
directory: {kind: ldif, file: '${folder.path}/people.ldif'}
calendar:
  back-ends:
    davical: {url: '${toDavical.url}', profile: davical}
    cyrus: {url: '${cyrus.ischedule}', profile: cyrus}
    hanging: {url: '${hanging.url}'}
  domain-map: '${folder.path}/map.properties'
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  keys: [{domain: example.test, selector: cal, key: '${davical.key}'}]
  peers: [{name: cal7, origin: inside, domains: [example.test], networks: [${CAL7}]}]
free-busy:
  deadline: 3s
  url: true
  breaker: {failures: 1000}
  servers:
    - url: ${cyrus.url}/
      by: caldav
      at: ${cyrus.url}/dav/calendars/user/${SERVICE}/Outbox/
      user: ${SERVICE}
      password: ${PASSWORD}
      as: ${SERVICE}
    - {url: '${v6.url}', by: wcap, at: '${v6.url}', user: calmaster, password: ${PASSWORD}}
  clients:
    - {name: cs6, networks: [${CS6}], protocols: [wcap, url], unknown: told}
`),
      );
      port = gateway.port('service');
    });
    afterAll(() => servers.disposeAsync());
    beforeEach(() => {
      hanging.requests = 0;
    });

    const wcap = (parameters: Readonly<Record<string, string>>) =>
      ask(port, { path: wcapPath(day, parameters), from: CS6 });

    test('is answered by iSchedule about each as it is, and DAViCal has one post for both of its users', async () => {
      const before = toDavical.posts('BEGIN:VFREEBUSY').length;
      const { status, body } = await askByPost(port, { day, organizer: ALICE, attendees: SIX, from: CAL7 });
      expect([status, rowsOfResponse(day, body)]).toEqual([200, EXPECTED]);
      expect(hanging.requests).toBeGreaterThan(0);
      const posts = toDavical.posts('BEGIN:VFREEBUSY').slice(before);
      const valuesOf = (name: string) =>
        posts.map(({ rawHeaders }) => rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1] === name));
      expect(valuesOf('Recipient').map((values) => values.join(', ').split(', ').sort())).toEqual([
        [`mailto:${ALICE}`, `mailto:${BOB}`],
      ]);
      expect(valuesOf('DKIM-Signature').flat()).toEqual([expect.stringContaining('d=example.test;')]);
    });

    test.each([
      ['text/calendar', rowsOfCalendars],
      ['text/xml', rowsOfXml],
      ['text/json', rowsOfJson],
    ] as const)('is answered by WCAP as %s about each as it is', async (format, rowsOf) => {
      const byCalid = await wcap({ calid: SIX.map((one) => `mailto:${one}`).join(';'), 'fmt-out': format });
      expect(byCalid.headers['content-type']).toMatch(format);
      expect(rowsOf(day, byCalid.body)).toEqual(inWcap('mailto:'));
      const byMail = await wcap({ mail: SIX.join(';'), 'fmt-out': format });
      expect(rowsOf(day, byMail.body)).toEqual(inWcap());
      expect(hanging.requests).toBeGreaterThan(1);
    });

    test.each(EXPECTED)(
      'is answered about $attendee alone, who is $said, at his URL',
      async ({ attendee, said, window, times }) => {
        const path = `/freebusy/${attendee}.ifb?start=${day.from}&end=${day.to}`;
        const { status, body } = await ask(port, { path, from: CS6 });
        expect(status).toBe({ '2.0': 200, '3.7': 404, '5.1': 503 }[said]);
        const document = { attendee: `mailto:${attendee}`, said: '', window, times };
        expect(rowsOfCalendars(day, body)).toEqual(status === 200 ? [document] : []);
      },
    );

    test('is answered by imipd freebusy about each as it is, with who said so and how', async () => {
      const iso = (ms: number) => new Date(ms).toISOString().replace('.000', '');
      const window = ['--from', iso(day.startMs), '--to', iso(day.startMs + 86_400_000)];
      const { code, out, err } = await gateway.command('freebusy', ...SIX, ...window, '--json');
      expect({ code, err }).toEqual({ code: 69, err: '' });
      const { answers } = JSON.parse(out) as { readonly answers: readonly JsonAnswer[] };
      expect(rowsOfCommand(day, answers)).toEqual(EXPECTED);
      expect(answers.map(({ inquiries }) => inquiries.map(({ protocol, result }) => `${protocol} ${result}`))).toEqual([
        ['ischedule answered'],
        ['ischedule answered'],
        ['caldav answered'],
        ['wcap answered'],
        [],
        ['ischedule unavailable'],
      ]);
    });
  },
);

/** An event in a stored calendar. */
function stored(name: string, lines: readonly string[]): string {
  return [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Calendar//EN', 'BEGIN:VEVENT'],
    ...[`UID:${name}@example.test`, 'DTSTAMP:20260101T000000Z', `SUMMARY:${name}`, ...lines],
    ...['END:VEVENT', 'END:VCALENDAR', ''],
  ].join('\r\n');
}

/** A user whom the domain map concerns: v6's. */
const UNMARKED = [
  `dn: mail=${DAVE},o=isp`,
  ...['inetOrgPerson', 'inetMailUser', 'icsCalendarUser'].map((name) => `objectClass: ${name}`),
  ...['uid: dave', 'cn: dave', `mail: ${DAVE}`, ''],
].join('\n');
