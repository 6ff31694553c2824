import { once } from 'node:events';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import {
  BusyPeer,
  busyCalendar,
  closed,
  composeAnswer,
  PEER_PROTOCOLS,
  type PeerProtocol,
  type PeerQuestion,
} from '../integration/busy-peer.ts';
import { Day, type Row, rowsOfCalendars, rowsOfJson, rowsOfResponse, rowsOfXml } from '../integration/busy-site.ts';
import { folderWith } from '../integration/cli.ts';
import { type Gateway, startGateway } from '../integration/harness.ts';
import { people } from '../integration/relay-site.ts';
import { pick, seeded } from './chaos-peers.ts';

// By hand: CHAOS_SEED repeats a run (as far as the network does), CHAOS_QUESTIONS lengthens it.
const SEED = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const QUESTIONS = Number(process.env.CHAOS_QUESTIONS ?? 400);
const ASKERS = 48;
const DAYS = [7, 8, 9].map((days) => Day.ahead(days));
const WHOLE = '00:00-24:00';

const HOMES = ['healthy', ...PEER_PROTOCOLS] as const;
const ROOMS_EACH = 6;
const ROOMS = HOMES.flatMap((home, at) =>
  Array.from({ length: ROOMS_EACH }, (_, index) => ({ home, address: room(at * ROOMS_EACH + index + 1) })),
);
const NOBODY = 'nobody@example.test';
const HEALTHY = ROOMS.filter(({ home }) => home === 'healthy').map(({ address }) => address);
const EVERYBODY = ROOMS.map(({ address }) => address);

/** Where those of the configuration connect from. */
const CAL7 = '127.0.0.2';
const CLIENTS = ['127.0.0.3', '127.0.0.4'] as const;

test(`seed ${SEED}: among servers that misbehave everybody is told the truth or nothing`, {
  timeout: 120_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const world: World = {
    ...{ random: seeded(SEED), hung: [], late: [], abortable: new Set(), asked: 0, aborted: 0, mistakes: [] },
    ...{ told: 0, calm: false },
  };
  const folder = stack.use(
    await folderWith({ 'people.ldif': people(Object.fromEntries(ROOMS.map(({ address, home }) => [address, home]))) }),
  );
  const peers = new Map<(typeof HOMES)[number], BusyPeer>();
  for (const [index, home] of HOMES.entries()) {
    const peer = stack.use(await BusyPeer.listen());
    const random = seeded(SEED + 1 + index);
    peer.answer = (question, response) => {
      giveUpSomebody(world);
      const way = world.calm || home === 'healthy' ? 'right' : pick(random, WEIGHTS);
      WAYS[way](new Turn(question, response, random), world);
    };
    peers.set(home, peer);
  }
  const configured = (more: string) => configuration(folder.path, peers, more);
  const gateway = stack.use(await startGateway(configured('')));
  const port = gateway.port('service');

  const reload = async (): Promise<void> => {
    const since = gateway.log.length;
    gateway.write(configured('  cache: 1s'));
    process.kill(gateway.pid ?? 0, 'SIGHUP');
    const line = await gateway.waitForLog(({ trigger }) => trigger === 'SIGHUP', 20_000, since);
    expect(line.event).toBe('reloaded');
  };
  await Promise.all(Array.from({ length: ASKERS }, () => asker(world, port, reload)));

  expect(world.mistakes).toEqual([]);
  // Each of them was there; how often is chance.
  const { aborted, hung, late, told } = world;
  expect(Math.min(aborted, hung.length, late.length, told)).toBeGreaterThan(0);
  await Promise.all(hung);
  for (const release of late) release();

  world.calm = true;
  for (const day of DAYS) expect(await mistakesIn(port, { day, attendees: HEALTHY, by: 'post' })).toEqual([]);
  // Those that were left alone for a while are asked again.
  const whole = { day: DAYS[0]!, attendees: EVERYBODY, by: 'post', mustTell: true } as const;
  await expect.poll(() => mistakesIn(port, whole), { timeout: 15_000, interval: 200 }).toEqual([]);
  expect(faultsOf(gateway)).toEqual([]);
  expect(await gateway.stop()).toBe(0);
});

type World = {
  readonly random: () => number;
  /** Of each answer that hangs, resolved once its connection is closed. */
  readonly hung: Promise<void>[];
  /** What sends the answers that are late. */
  readonly late: (() => void)[];
  /** Of questions that somebody may give up. */
  readonly abortable: Set<AbortController>;
  readonly mistakes: string[];
  asked: number;
  aborted: number;
  /** Attendees of servers that misbehave whose times were told. */
  told: number;
  /** The servers behave from now on. */
  calm: boolean;
};

function room(number: number): string {
  return `room${number}@example.test`;
}

// ---- servers

/** Nobody else has these, nor he himself on another day: periods of FREEBUSY, and as an answer is read. */
function truthOf(address: string, day: Day): { readonly lines: readonly string[]; readonly times: readonly string[] } {
  const minute = Number(/\d+/.exec(address)?.[0]) * 30 + DAYS.indexOf(day) * 2;
  const periods = [
    ['BUSY', minute, minute + 10],
    ['BUSY-TENTATIVE', minute + 12, minute + 17],
    ['BUSY-UNAVAILABLE', minute + 18, minute + 20],
  ] as const;
  const written = periods.map(([type, start, end]) => [type, `${day.at(start / 60)}/${day.at(end / 60)}`] as const);
  return {
    lines: written.map(([type, period]) => `FREEBUSY;FBTYPE=${type}:${period}`),
    times: written.map(([type, period]) => `${day.span(period)} ${type}`),
  };
}

/** One answer, and how it is given. */
class Turn {
  readonly protocol: PeerProtocol;
  readonly random: () => number;
  readonly response: ServerResponse;
  readonly #question: PeerQuestion;
  readonly #day: Day;

  constructor(question: PeerQuestion, response: ServerResponse, random: () => number) {
    const day = DAYS.find(({ from }) => from === question.start);
    if (day === undefined) throw new Error(`asked about ${question.start}`);
    this.protocol = question.protocol;
    this.random = random;
    this.response = response;
    this.#question = question;
    this.#day = day;
  }

  /** The right answer, save for what is changed in the question, whose times are told, and in whose name. */
  compose(changed: Partial<PeerQuestion> = {}, whose: Whose = himself, inNameOf: Whose = whose): string {
    const question = { ...this.#question, ...changed };
    const calendars = question.attendees.map((attendee) => ({
      attendee,
      calendar: busyCalendar(question, inNameOf(attendee), truthOf(whose(attendee), this.#day).lines),
    }));
    return composeAnswer(question, calendars).body;
  }

  get reversed(): Partial<PeerQuestion> {
    return { attendees: this.#question.attendees.toReversed() };
  }

  get onAnotherDay(): Partial<PeerQuestion> {
    const next = DAYS[(DAYS.indexOf(this.#day) + 1) % DAYS.length] ?? this.#day;
    return { start: next.from, end: next.to };
  }

  /** Whether answers say to which question, and about whom. */
  get isNamed(): boolean {
    return this.protocol === 'ischedule' || this.protocol === 'caldav';
  }

  send(body: string): void {
    const isXml = this.isNamed;
    this.response.writeHead(200, { 'Content-Type': isXml ? 'application/xml' : 'text/calendar' }).end(body);
  }

  /** A beginning of a text, at least one character. */
  cut(text: string): string {
    return text.slice(0, 1 + Math.floor(this.random() * (text.length - 1)));
  }

  hang({ hung }: World): void {
    hung.push(closed(this.response));
  }
}

type Whose = (attendee: string) => string;
const himself: Whose = (attendee) => attendee;
const predecessor: Whose = (attendee) => EVERYBODY[EVERYBODY.indexOf(attendee) - 1] ?? '';

const WAYS = {
  right: (turn) => turn.send(turn.compose()),
  inAnotherOrder: (turn) => turn.send(turn.compose(turn.reversed)),
  error: ({ response }) => response.writeHead(500).end('no'),
  busy: ({ response }) => response.writeHead(503, { 'Retry-After': '1' }).end(),
  // WCAP and what is published name neither a question nor a user.
  toAnother: (turn) =>
    turn.send(turn.compose(turn.isNamed ? { uid: 'another-question' } : turn.onAnotherDay, predecessor, himself)),
  anotherDay: (turn) => turn.send(turn.compose(turn.onAnotherDay)),
  anotherUser: (turn) =>
    turn.send(turn.isNamed ? turn.compose({}, predecessor) : turn.compose(turn.onAnotherDay, predecessor)),
  page: (turn) => turn.send('<html><body>Busy</body></html>'),
  half: (turn) => turn.send(turn.cut(turn.compose())),
  cutShort: (turn) => {
    const body = turn.compose();
    turn.response.writeHead(200, { 'Content-Length': `${body.length}` });
    turn.response.write(turn.cut(body.slice(1)), () => turn.response.destroy());
  },
  close: ({ response }) => response.destroy(),
  reset: ({ response }) => response.socket?.resetAndDestroy(),
  late: (turn, world) => {
    world.late.push(() => turn.send(turn.compose()));
    turn.hang(world);
  },
  hang: (turn, world) => turn.hang(world),
  hangAfterHeaders: (turn, world) => {
    turn.response.writeHead(200).flushHeaders();
    turn.hang(world);
  },
} satisfies Readonly<Record<string, (turn: Turn, world: World) => unknown>>;

const WEIGHTS: Readonly<Record<keyof typeof WAYS, number>> = {
  ...{ right: 50, inAnotherOrder: 8, error: 4, busy: 3, toAnother: 4, anotherDay: 4, anotherUser: 4, page: 4 },
  ...{ half: 8, cutShort: 4, close: 4, reset: 4, late: 3, hang: 3, hangAfterHeaders: 3 },
};

// ---- askers

/** Asks one question after another. */
async function asker(world: World, port: number, reload: () => Promise<void>): Promise<void> {
  const { random, abortable } = world;
  while (world.asked < QUESTIONS) {
    if (++world.asked === Math.floor(QUESTIONS / 2)) await reload();
    const by = pick(random, { post: 5, 'text/calendar': 2, 'text/xml': 1, 'text/json': 1, url: 2 });
    const number = by === 'url' ? 1 : 1 + Math.floor(random() * 8);
    const day = DAYS[Math.floor(random() * DAYS.length)]!;
    const attendees = someOf(random, [...EVERYBODY, NOBODY], number);
    const giveUp = new AbortController();
    if (random() < 0.15) abortable.add(giveUp);
    try {
      world.mistakes.push(...(await mistakesIn(port, { day, attendees, by }, giveUp.signal, world)));
    } catch (error) {
      if (!giveUp.signal.aborted) throw error;
      world.aborted++;
    } finally {
      abortable.delete(giveUp);
    }
  }
}

/** When a server is asked, one of the clients may have gone meanwhile. */
function giveUpSomebody({ abortable, random }: World): void {
  const [oldest] = abortable;
  if (oldest === undefined || random() < 0.5) return;
  abortable.delete(oldest);
  oldest.abort();
}

function someOf(random: () => number, from: readonly string[], number: number): readonly string[] {
  const left = [...from];
  return Array.from({ length: number }, () => left.splice(Math.floor(random() * left.length), 1)[0] ?? '');
}

type Question = {
  readonly day: Day;
  readonly attendees: readonly string[];
  readonly by: 'post' | 'text/calendar' | 'text/xml' | 'text/json' | 'url';
  /** Nobody may be missing. */
  readonly mustTell?: boolean;
};

/** What is wrong with the answer to one question. */
async function mistakesIn(
  port: number,
  question: Question,
  signal?: AbortSignal,
  world?: World,
): Promise<readonly string[]> {
  const { day, attendees, by, mustTell = false } = question;
  const { status, rows } = await ask(port, question, signal);
  const text = `${by} about ${attendees.join(' ')} on ${day.from}`;
  if (status !== 200) return [`status ${status} by ${text}`];
  if (rows.map(({ attendee }) => attendee).join(' ') !== attendees.join(' '))
    return [`answered about ${rows.map(({ attendee }) => attendee).join(' ')} by ${text}`];
  return rows.flatMap((row) => {
    const { attendee, said, window, times } = row;
    const { home } = ROOMS.find(({ address }) => address === attendee) ?? {};
    const isTold = said === '2.0' || said === '0';
    if (isTold && home !== undefined && home !== 'healthy' && world !== undefined) world.told++;
    const statuses =
      home === undefined ? ['3.7', '29'] : home === 'healthy' || mustTell ? ['2.0', '0'] : ['2.0', '0', '5.1', '39'];
    const right = isTold ? truthOf(attendee, day).times : [];
    const isRight = statuses.includes(said) && window === (isTold ? WHOLE : undefined) && times.join() === right.join();
    return isRight ? [] : [`${JSON.stringify(row)} of ${home} by ${text}`];
  });
}

const READERS = {
  ...{ post: rowsOfResponse, 'text/calendar': rowsOfCalendars, 'text/xml': rowsOfXml, 'text/json': rowsOfJson },
} as const;

async function ask(
  port: number,
  question: Question,
  signal?: AbortSignal,
): Promise<{ readonly status: number; readonly rows: readonly Row[] }> {
  const { day, attendees, by } = question;
  const { status, body } = await exchange(port, question, signal);
  // What v6 says of one who is unknown, as text/calendar and alone.
  const isNothing = by === 'text/calendar' && attendees.length === 1 && body === '';
  if (status === 200 && isNothing) return { status, rows: [{ attendee: attendees[0] ?? '', said: '29', times: [] }] };
  if (by !== 'url') return { status, rows: status === 200 ? READERS[by](day, body) : [] };
  // One document, or a status that says why there is none.
  const [attendee = ''] = attendees;
  const said = { 200: '2.0', 404: '3.7', 503: '5.1' }[status];
  if (said === undefined) return { status, rows: [] };
  const rows = status === 200 ? rowsOfCalendars(day, body) : [{ attendee: `mailto:${attendee}`, said, times: [] }];
  return { status: 200, rows: rows.map((row) => ({ ...row, said, attendee: row.attendee.replace(/^mailto:/, '') })) };
}

/** One request of its own connection. Rejects when it is given up. */
async function exchange(
  port: number,
  { day, attendees, by }: Question,
  signal?: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  const [attendee = ''] = attendees;
  const wcap = new URLSearchParams({ mail: attendees.join(';'), 'fmt-out': by, dtstart: day.from, dtend: day.to });
  const body = by === 'post' ? objectOf(day, attendees) : '';
  const sent = request({
    ...{ host: '127.0.0.1', port, agent: false, method: by === 'post' ? 'POST' : 'GET' },
    localAddress: by === 'post' ? CAL7 : (CLIENTS[by === 'url' ? 0 : 1] ?? CAL7),
    path:
      by === 'post'
        ? '/ischedule/'
        : by === 'url'
          ? `/freebusy/${attendee}.ifb?start=${day.from}&end=${day.to}`
          : `/get_freebusy.wcap?${wcap}`,
    headers: by === 'post' ? headersOf(port, attendees, body) : ['Host', `127.0.0.1:${port}`],
    ...(signal === undefined ? {} : { signal }),
  });
  sent.end(body);
  const [answered] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answered) chunks.push(chunk as Buffer);
  return { status: answered.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
}

function headersOf(port: number, attendees: readonly string[], body: string): readonly string[] {
  return [
    ...['Host', `127.0.0.1:${port}`, 'iSchedule-Version', '1.0', 'Originator', `mailto:${HEALTHY[0]}`],
    ...attendees.flatMap((attendee) => ['Recipient', `mailto:${attendee}`]),
    ...['Content-Type', 'text/calendar; charset=utf-8; component=VFREEBUSY; method=REQUEST'],
    ...['Content-Length', `${Buffer.byteLength(body)}`],
  ];
}

function objectOf(day: Day, attendees: readonly string[]): string {
  return [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Free busy//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY'],
    ...['UID:question-1', 'DTSTAMP:20260101T000000Z', `DTSTART:${day.from}`, `DTEND:${day.to}`],
    ...[`ORGANIZER:mailto:${HEALTHY[0]}`, ...attendees.map((attendee) => `ATTENDEE:mailto:${attendee}`)],
    ...['END:VFREEBUSY', 'END:VCALENDAR', ''],
  ].join('\r\n');
}

// ---- the gateway

function faultsOf({ log }: Gateway): readonly unknown[] {
  return log.filter(({ level }) => level === 'error' || level === 'fatal');
}

function configuration(folder: string, peers: ReadonlyMap<(typeof HOMES)[number], BusyPeer>, more: string): string {
  const protocolOf = (home: (typeof HOMES)[number]) => (home === 'healthy' ? 'ischedule' : home);
  const each = (line: (home: (typeof HOMES)[number], peer: BusyPeer) => string): string =>
    [...peers].map(([home, peer]) => line(home, peer)).join('\n');
  return `
hostname: imipd.example.test
domains: [example.test]
listeners: [{name: in, address: '127.0.0.1:0'}]
next-hop: {address: '127.0.0.1:9'}
directory: {kind: ldif, file: '${folder}/people.ldif'}
calendar:
  back-ends:
${each((home, peer) => `    ${home}: {url: '${peer.urlOf(protocolOf(home))}'}`)}
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers: [{name: cal7, origin: inside, domains: [example.test], networks: [${CAL7}]}]
free-busy:
  deadline: 2s
  url: true
  breaker: {pause: 1s}
  servers:
${each((home, peer) => peer.entryOf(protocolOf(home)))}
  clients:
    - {name: page, networks: [${CLIENTS[0]}], protocols: [url], unknown: told}
    - {name: cs6, networks: [${CLIENTS[1]}], unknown: told}
${more}
`;
}
