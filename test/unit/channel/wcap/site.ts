import type { BusyBatch } from '../../../../channel/channel.ts';
import { type WcapOptions, WcapSource } from '../../../../channel/wcap/ask.ts';
import type { Log } from '../../../../src/observe/log.ts';
import { silentLog } from '../../../../src/observe/log.ts';
import { CalendarServer6, type Cs6Options } from '../../../peers/calendar-server-6.ts';

export const DAY = { startMs: Date.parse('2026-11-23T00:00:00Z'), endMs: Date.parse('2026-11-24T00:00:00Z') };

/** 23 November 2026. */
export function at(time: string): number {
  return Date.parse(`2026-11-23T${time}:00Z`);
}

const busy = (from: string, to: string, type?: 'BUSY-TENTATIVE') => ({
  ...{ start: `20261123T${from}00Z`, end: `20261123T${to}00Z` },
  ...(type === undefined ? {} : { type }),
});

const USERS: Cs6Options['users'] = [
  {
    uid: 'bob',
    mail: ['bob@example.com', 'robert@example.com'],
    calendars: [
      { calid: 'bob', busy: [busy('0900', '1000')] },
      { calid: 'bob:sport', busy: [busy('1700', '1800', 'BUSY-TENTATIVE')] },
      { calid: 'bob:birthdays', busy: [busy('0000', '2359')], fbinclude: false },
    ],
  },
  { uid: 'ann', mail: ['ann@example.com'], calendars: [{ calid: 'ann', busy: [] }] },
  { uid: 'sam', mail: ['sam@example.com'], calendars: [{ calid: 'sam', busy: [busy('0800', '0900')], acl: 'closed' }] },
];

/** The stand-in of Calendar Server 6.3 with a few users: Bob has two calendars that count, Sam's is closed. */
export function startServer(options: Partial<Cs6Options> = {}): Promise<CalendarServer6> {
  return CalendarServer6.listen({
    ...{ users: USERS, logins: [{ user: 'calmaster', password: 'right', overridesAcl: true }] },
    ...options,
  });
}

export const LOGIN = { user: 'calmaster', password: 'right' };

export function sourceOf(at: URL, options: Partial<WcapOptions> = {}, log: Log = silentLog): WcapSource {
  const requester = { connections: 4, connectTimeoutMs: 2_000, maxResponseBytes: 100_000, userAgent: 'imipd/0' };
  return new WcapSource({ at, requester, clock: () => DAY.startMs, ...options }, log);
}

export function batchOf(...attendees: readonly string[]): BusyBatch {
  return {
    ...{ server: new URL('http://cs6.example.com/'), profile: 'oracle-v6', uid: 'q1', originator: 'eve@example.com' },
    ...{ attendees, window: DAY, hops: ['imipd-0123456789abcdef', 'imipd-fedcba9876543210'] },
  };
}

export const unhurried = new AbortController().signal;
