import { randomUUID } from 'node:crypto';
import { Pool } from 'undici';
import { formatUtc } from '../src/itip/date-time.ts';

export const SERVERS = 2;
export const USERS = 64;
export type Protocol = 'wcap' | 'ischedule';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Tomorrow, midnight UTC. */
const FROM = (Math.floor(Date.now() / DAY_MS) + 1) * DAY_MS;
const DAYS = 5;
const BUSY_HOURS = [9, 11, 14];
/** Windows begin so many seconds apart, all before the first meeting. */
const MAX_SHIFT_S = 8 * 3600;

/** The server that has the user. */
export function serverOf(user: number): number {
  return user % SERVERS;
}

export function userAddress(user: number): string {
  return `u${user}@example.com`;
}

/** Three meetings a day, none of them before nine. */
export function busyTimesOf(user: number): readonly { readonly start: string; readonly end: string }[] {
  return Array.from({ length: DAYS }, (_, day) =>
    BUSY_HOURS.map((hour) => {
      const startMs = FROM + day * DAY_MS + hour * HOUR_MS + (user % 4) * (HOUR_MS / 4);
      return { start: formatUtc(startMs), end: formatUtc(startMs + HOUR_MS) };
    }),
  ).flat();
}

/** One HTTP request of a question, ready to be sent, and to which of the pools. */
type Part = {
  readonly to: number;
  readonly request: { path: string; method: 'GET' | 'POST'; headers: string[]; body?: Buffer };
  readonly attendees: number;
};
/** A question: the parts are sent at the same time, and it is answered with the last of them. */
export type Question = readonly Part[];

let shift = 0;

/**
 * Questions about five days, the same number of users of each server in each.
 * @param split each server is asked about its own users; else one gateway about all of them
 * @param repeated all of them about the same window; else no two that could be under way together
 */
export function composeQuestions(
  protocol: Protocol,
  count: number,
  attendees: number,
  { split, repeated = false }: { readonly split: boolean; readonly repeated?: boolean },
): readonly Question[] {
  return Array.from({ length: count }, (_, index) => {
    shift = (shift + 1) % MAX_SHIFT_S;
    const startMs = FROM + (repeated ? 0 : shift * 1000);
    const window = [formatUtc(startMs), formatUtc(FROM + DAYS * DAY_MS)] as const;
    const users = Array.from({ length: attendees }, (_, at) => (index + at) % USERS);
    const compose = protocol === 'wcap' ? composeWcap : composePost;
    if (!split) return [{ to: 0, request: compose(users, window), attendees }];
    return [...Map.groupBy(users, serverOf)].map(([to, some]) => ({
      to,
      request: compose(some, window),
      attendees: some.length,
    }));
  });
}

function composeWcap(users: readonly number[], [start, end]: readonly [string, string]): Part['request'] {
  const calid = users.map((user) => `mailto:${userAddress(user)}`).join(';');
  const more = { dtstart: start, dtend: end, busyonly: '1', 'fmt-out': 'text/calendar', noredirect: '1' };
  return { path: `/get_freebusy.wcap?${new URLSearchParams({ calid, ...more })}`, method: 'GET', headers: [] };
}

function composePost(users: readonly number[], [start, end]: readonly [string, string]): Part['request'] {
  const uid = randomUUID();
  const lines = [
    ...['BEGIN:VCALENDAR', 'PRODID:-//Example//Calendar server 1.0//EN', 'VERSION:2.0', 'METHOD:REQUEST'],
    ...['BEGIN:VFREEBUSY', `UID:${uid}`, `DTSTAMP:${formatUtc(FROM - DAY_MS)}`, `DTSTART:${start}`, `DTEND:${end}`],
    'ORGANIZER:mailto:ann@example.com',
    ...users.map((user) => `ATTENDEE:mailto:${userAddress(user)}`),
    ...['END:VFREEBUSY', 'END:VCALENDAR', ''],
  ];
  const headers = [
    ...['Content-Type', 'text/calendar; charset=utf-8; component=VFREEBUSY; method=REQUEST'],
    ...['iSchedule-Version', '1.0', 'iSchedule-Message-ID', uid, 'Originator', 'mailto:ann@example.com'],
    ...users.flatMap((user) => ['Recipient', `mailto:${userAddress(user)}`]),
  ];
  return { path: '/ischedule/', method: 'POST', headers, body: Buffer.from(lines.join('\r\n')) };
}

/**
 * Asks each question once, each caller the next one when its last is answered.
 * @returns how long each took, ms, ascending
 */
export async function askAll(
  pools: readonly Pool[],
  questions: readonly Question[],
  callers: number,
): Promise<readonly number[]> {
  const left = questions.values();
  const took: number[] = [];
  const call = async (): Promise<void> => {
    for (const question of left) {
      const began = performance.now();
      await Promise.all(question.map((part) => askPart(pools, part)));
      took.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  return took.sort((a, b) => a - b);
}

async function askPart(pools: readonly Pool[], { to, request, attendees }: Part): Promise<void> {
  const response = await pools[to]?.request(request);
  const text = (await response?.body.text()) ?? '';
  const periods = text.split('FREEBUSY;FBTYPE=BUSY:').length - 1;
  if (response?.statusCode !== 200 || periods !== attendees * DAYS * BUSY_HOURS.length)
    throw new Error(`got ${response?.statusCode} ${text}, want the busy times of ${attendees}`);
}

/** Connections are opened by the first questions and kept. */
export function openPools(ports: readonly number[], callers: number): readonly Pool[] {
  return ports.map((port) => new Pool(`http://127.0.0.1:${port}`, { connections: callers, allowH2: false }));
}
