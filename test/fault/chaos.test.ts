import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import type { Delivery } from '../../src/queue/store.ts';
import { type Gateway, startGateway } from '../integration/harness.ts';
import { invitationMail, plainMail } from '../integration/invitations.ts';
import { dotStuffed, SmtpClient } from '../integration/smtp-client.ts';
import { freePort } from '../servers/ports.ts';
import {
  type Arrival,
  chaosCalendar,
  chaosHop,
  type Doom,
  isWhollyDoomed,
  keyOf,
  type Peer,
  pick,
  type Report,
  seeded,
} from './chaos-peers.ts';

// By hand: CHAOS_SEED repeats a run (as far as the network does), CHAOS_MESSAGES lengthens it.
const SEED = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const MESSAGES = Number(process.env.CHAOS_MESSAGES ?? 120);
const CLIENTS = 8;
const STOPS = ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const;
/** 30 s for clients, 30 s for attempts; the peers' time limits of one second let it come much sooner. */
const STOP_LIMIT_MS = 20_000;
const LISTENERS = ['filter-smtp', 'filter-lmtp', 'final-smtp', 'final-lmtp'] as const;
type ListenerName = (typeof LISTENERS)[number];
const OLGA = 'olga@example.org';
const OURS = ['alice@example.com', 'bob@example.com', 'carol@example.com'];
const OTHERS = ['list@example.com', 'zoe@example.net'];

/** `promised` 250, `refused` 5xx, `put off` 4xx, all after the final dot; `unknown`: the reply was not seen. */
type Word = 'promised' | 'refused' | 'put off' | 'unknown';
type Sent = {
  readonly message: number;
  readonly listener: ListenerName;
  readonly uid: string | undefined;
  /** Accepted recipients with the word that was given on each. */
  readonly words: Map<string, Word>;
};

describe.each(['smtp', 'lmtp'] as const)(`seed ${SEED}, peers that misbehave, next hop by %s`, (protocol) => {
  test('every recipient is delivered, refused or reported, once and in order', { timeout: 900_000 }, async () => {
    await using stack = new AsyncDisposableStack();
    const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'imipd-chaos-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    await writeFile(join(folder, 'people.ldif'), people());
    const seed = protocol === 'smtp' ? SEED : SEED + 1;
    const mailDoom: Doom = (message, recipient) =>
      isWhollyDoomed(message) || mixed(seed, message, recipient) % 10 === 0;
    const postDoom: Doom = (message, recipient) => mixed(seed + 1, message, recipient) % 10 === 0;
    const calendar = stack.use(await chaosCalendar(seeded(seed + 2), postDoom));
    const nextHop = stack.use(await chaosHop(protocol, seeded(seed + 3), mailDoom));
    const smartHost = stack.use(await chaosHop('smtp', seeded(seed + 4), mailDoom));
    const ports = new Map<ListenerName, number>();
    for (const name of LISTENERS) ports.set(name, await freePort());
    const gateway = stack.use(await startGateway(configuration(folder, ports, protocol, calendar, nextHop, smartHost)));
    const begun = footprint(gateway);

    const world: World = { random: seeded(seed + 5), gateway, ports, sent: [], next: 1, up: Promise.resolve() };
    const stops: Stop[] = [];
    await Promise.all([
      stopAgainAndAgain(world, seeded(seed + 6), stops),
      ...Array.from({ length: CLIENTS }, () => client(world)),
    ]);
    for (const peer of [calendar, nextHop, smartHost]) peer.calm();
    const store = stack.use(await openSqliteStore({ folder: join(gateway.folder, 'var'), exclusive: false }));
    const open = () => store.list({ states: ['queued', 'held'] }).map(describeOpen);
    await expect.poll(open, { timeout: 30_000, interval: 100 }).toEqual([]);

    const kills = stops.filter(({ signal }) => signal === 'SIGKILL').length;
    expect(stops.filter(({ signal, code, ms }) => signal === 'SIGTERM' && (code !== 0 || ms > STOP_LIMIT_MS))).toEqual(
      [],
    );
    expect(gateway.log.filter((line) => line.level === 'error')).toEqual([]);
    expect(
      mistakesIn(world.sent, { mails: [nextHop, smartHost], posts: calendar, reports: smartHost.reports, kills }),
    ).toEqual([]);
    expect(disorderIn(calendar.arrivals)).toEqual([]);
    expect(world.sent.length).toBeGreaterThan(MESSAGES / 2);

    for (const peer of [calendar, nextHop, smartHost]) peer.hangUp();
    await expect.poll(() => footprint(gateway).descriptors, { timeout: 10_000 }).toBe(begun.descriptors);
    expect(footprint(gateway).spool).toEqual([]);
    const stop = Date.now();
    expect(await gateway.stop()).toBe(0);
    expect(Date.now() - stop).toBeLessThan(5_000);
  });
});

type World = {
  readonly random: () => number;
  readonly gateway: Gateway;
  readonly ports: ReadonlyMap<ListenerName, number>;
  readonly sent: Sent[];
  next: number;
  /** Resolves when the gateway serves again. */
  up: Promise<void>;
};

type Stop = { readonly signal: string; readonly code: number | undefined; readonly ms: number };

async function stopAgainAndAgain(world: World, random: () => number, stops: Stop[]): Promise<void> {
  for (const [index, signal] of STOPS.entries()) {
    const at = ((index + 0.5 + random() * 0.5) * MESSAGES) / STOPS.length;
    while (world.next < at) await delay(5);
    await delay(random() * 50);
    const restarted = Promise.withResolvers<void>();
    world.up = restarted.promise;
    const begun = Date.now();
    const code = await world.gateway.kill(signal);
    stops.push({ signal, code, ms: Date.now() - begun });
    await world.gateway.restart();
    restarted.resolve();
  }
}

/** Sends meetings (invitation, update, cancellation) and plain mail, one after another. */
async function client(world: World): Promise<void> {
  const { random } = world;
  while (world.next <= MESSAGES) {
    const listener = LISTENERS[Math.floor(random() * LISTENERS.length)] ?? 'filter-smtp';
    const everybody = listener.startsWith('filter') ? [...OURS, ...OTHERS] : OURS;
    const to = everybody.filter(() => random() < 0.4);
    if (to.length === 0) to.push(OURS[0]!);
    if (listener.startsWith('filter') && random() < 0.3) {
      await send(world, listener, undefined, to, (message) =>
        plainMail({
          from: OLGA,
          to: to.join(', '),
          id: `chaos-${message}@example.org`,
          text: 'Noon?\r\n'.repeat(random() < 0.1 ? 60_000 : 3),
        }),
      );
      continue;
    }
    const uid = `chaos-${world.next}-${random()}@example.org`;
    for (const [sequence, method] of (['REQUEST', 'REQUEST', 'CANCEL'] as const).entries()) {
      const word = await send(world, listener, uid, to, (message) => {
        const dtstamp = `20300101T08000${sequence}Z`;
        return invitationMail({
          uid,
          organizer: OLGA,
          attendees: to,
          method,
          sequence,
          dtstamp,
          summary: `chaos-${message}`,
        });
      });
      // Whether an earlier message of the meeting is in, and when, must be known for the order to be known.
      if (!word) break;
    }
  }
}

/** @returns whether the reply was seen */
async function send(
  world: World,
  listener: ListenerName,
  uid: string | undefined,
  to: readonly string[],
  compose: (message: number) => string,
): Promise<boolean> {
  const { random } = world;
  const message = world.next++;
  const words = new Map<string, Word>();
  const way = pick(random, { whole: 82, inPieces: 6, vanishWithin: 6, vanishAfter: 6 });
  await world.up;
  let connection: SmtpClient | undefined;
  let sent = false;
  try {
    connection = await SmtpClient.connect(world.ports.get(listener)!);
    expectCode(await connection.reply(), 220);
    expectCode(await connection.command(listener.endsWith('lmtp') ? 'LHLO client.test' : 'EHLO client.test'), 250);
    const commands = [`MAIL FROM:<s${message}@example.org>`, ...to.map((address) => `RCPT TO:<${address}>`), 'DATA'];
    for (const reply of await connection.pipeline(commands)) if (reply.code !== 354) expectCode(reply, 250);
    const content = dotStuffed(`X-Chaos: ${message}\r\n${compose(message)}`);
    if (way === 'vanishWithin') {
      connection.write(content.subarray(0, content.length - 20));
      await delay(random() * 20);
      return false;
    }
    world.sent.push({ message, listener, uid, words });
    for (const address of to) words.set(address, 'unknown');
    sent = true;
    const border = way === 'inPieces' ? Math.floor(random() * content.length) : content.length;
    connection.write(content.subarray(0, border));
    if (border < content.length) {
      await delay(random() * 20);
      connection.write(content.subarray(border));
    }
    if (way === 'vanishAfter') {
      await delay(random() * 300);
      return false;
    }
    if (listener.endsWith('lmtp')) for (const address of to) words.set(address, wordOf(await connection.reply()));
    else {
      const word = wordOf(await connection.reply());
      for (const address of to) words.set(address, word);
    }
    return true;
  } catch (error) {
    if (!(error instanceof Error && ('syscall' in error || /^connection closed|^going away/.test(error.message))))
      throw error;
    if (!sent) await delay(5); // the gateway is down, or stops
    return false;
  } finally {
    connection?.destroy();
  }
}

function expectCode(reply: { readonly code: number; readonly lines: readonly string[] }, wanted: number): void {
  if (reply.code === 421) throw new Error('going away');
  if (reply.code !== wanted) throw new Error(`got ${reply.lines.join(' | ')}, want ${wanted}`);
}

function wordOf({ code }: { readonly code: number }): Word {
  return code === 250 ? 'promised' : code >= 500 ? 'refused' : 'put off';
}

type Facts = {
  readonly mails: readonly Peer[];
  readonly posts: Peer;
  readonly reports: readonly Report[];
  readonly kills: number;
};

/** What became of each recipient, compared with what was said about him; each line is a broken promise. */
function mistakesIn(sent: readonly Sent[], { mails, posts, reports, kills }: Facts): string[] {
  const count = (peers: readonly Peer[], which: 'taken' | 'untold', key: string) =>
    peers.reduce((sum, { book }) => sum + (book[which].get(key) ?? 0), 0);
  return sent.flatMap(({ message, listener, uid, words }) =>
    [...words].flatMap(([recipient, word]) => {
      const key = keyOf(message, recipient);
      const peers = listener.startsWith('filter') ? mails : [posts];
      const delivered = count(peers, 'taken', key);
      // One attempt more is due to each that the peer did not confirm, or that a kill kept us from writing down.
      const allowed = 1 + count(peers, 'untold', key) + kills;
      // A kill may repeat a report, but not make a second one.
      const reported = new Set(
        reports
          .filter(({ to, content }) => to === `s${message}@example.org` && content.includes(`; ${recipient}\r\n`))
          .map(({ content }) => /^Message-ID: (.*)$/im.exec(content)?.[1]),
      ).size;
      const posted = uid === undefined || !OURS.includes(recipient) ? undefined : count([posts], 'taken', key);
      const facts = `${key} by ${listener}: ${word}, delivered ${delivered} (at most ${allowed}), reported ${reported}, posted ${posted}`;
      const wrong = [
        delivered > 0 && reported > 0 && 'delivered and reported as failed',
        delivered > allowed && 'delivered too often',
        reported > 1 && 'reported twice',
        word === 'promised' && delivered + reported === 0 && 'lost',
        word === 'refused' && delivered + reported > 0 && 'refused, and then delivered or reported',
        word === 'put off' && delivered + reported + (posted ?? 0) > 0 && 'put off, and yet taken',
      ].filter((claim) => claim !== false);
      return wrong.map((claim) => `${claim}: ${facts}`);
    }),
  );
}

function describeOpen({ queueId, kind, recipient, state, attempts, dueAt, outcome }: Delivery): string {
  const due = `due in ${dueAt - Date.now()} ms`;
  return `${queueId} ${kind} to ${recipient}: ${state}, ${attempts} attempts, ${due}, ${JSON.stringify(outcome)}`;
}

/** Posts of one meeting and recipient that came after a later one. */
function disorderIn(arrivals: readonly Arrival[]): string[] {
  const latest = new Map<string, number>();
  return arrivals.flatMap(({ uid, recipient, message }) => {
    const before = latest.get(`${uid} ${recipient}`) ?? 0;
    latest.set(`${uid} ${recipient}`, Math.max(before, message));
    return message < before ? [`${recipient} got message ${message} of ${uid} after ${before}`] : [];
  });
}

/** Sockets and bodies that the process has open, and bodies in files. */
function footprint(gateway: Gateway): { readonly descriptors: number; readonly spool: readonly string[] } {
  const folder = `/proc/${gateway.pid}/fd`;
  const descriptors = process.platform === 'linux' ? readdirSync(folder).map((name) => linkOf(join(folder, name))) : [];
  return {
    // The database's own come and go with its worker.
    descriptors: descriptors.filter((target) => target.startsWith('socket:') || target.includes('/spool/')).length,
    spool: readdirSync(join(gateway.folder, 'var/spool')),
  };
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return 'closed meanwhile';
  }
}

function mixed(seed: number, message: number, recipient: string): number {
  let hash = seed ^ (message * 0x9e3779b1);
  for (const char of recipient) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function configuration(
  folder: string,
  ports: ReadonlyMap<ListenerName, number>,
  protocol: 'smtp' | 'lmtp',
  ...[calendar, nextHop, smartHost]: readonly [Peer, Peer, Peer]
): string {
  const listeners = [...ports].map(([name, port]) => {
    const [mode, speaks] = name.split('-');
    return `  - {name: ${name}, address: '127.0.0.1:${port}', mode: ${mode}, protocol: ${speaks}, reply-wait: 1s}`;
  });
  return `
hostname: imipd.example.com
domains: [example.com]
listeners:
${listeners.join('\n')}
directory: {kind: ldif, file: '${join(folder, 'people.ldif')}'}
calendar:
  back-ends:
    home: {url: 'http://127.0.0.1:${calendar.port}/ischedule'}
ischedule: {timeout: 1s}
next-hop: {address: '127.0.0.1:${nextHop.port}', protocol: ${protocol}, command-timeout: 1s, data-timeout: 1s}
smart-host: {address: '127.0.0.1:${smartHost.port}', command-timeout: 1s, data-timeout: 1s}
queue:
  post-retry: [100ms]
  mail-retry: [100ms]
  annotate-wait: 500ms
`;
}

function people(): string {
  const users = ['alice', 'bob', 'carol'].map((name) =>
    [
      `dn: uid=${name},o=isp`,
      'objectClass: inetMailUser\nobjectClass: icsCalendarUser\nobjectClass: davEntity',
      `uid: ${name}\ncn: ${name}\nmail: ${name}@example.com\ndavStore: home`,
    ].join('\n'),
  );
  return ['dn: o=isp\nobjectClass: organization\no: isp', ...users, ''].join('\n\n');
}
