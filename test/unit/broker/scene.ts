import { afterEach } from 'vitest';
import type { BusyPolicy } from '../../../rules/free-busy.ts';
import { type BrokerOptions, createBroker } from '../../../src/broker/broker.ts';
import type { Broker, BusyAnswer, BusyQuestion } from '../../../src/broker/question.ts';
import type { Entry } from '../../../src/directory/directory.ts';
import { addressKey } from '../../../src/mail/address.ts';
import type { Log } from '../../../src/observe/log.ts';
import { fakeDirectory, found } from '../directory/fake-directory.ts';
import { OPEN } from '../rules/open-access.ts';
import { HOUR, MONDAY, type ScriptedSource } from './scripted-source.ts';

export const V7 = { url: 'https://cal7.example.com/ischedule/', profile: 'oracle-v7' } as const;
export const V6 = { url: 'http://cs6.example.com/ischedule/', profile: 'oracle-v6' } as const;

/** A site during its move: whoever has `davStore: v7` has been moved. */
export const SITE: BusyPolicy = {
  domains: new Set(['example.com']),
  subAddressSeparators: '+',
  homes: {
    backEnds: new Map([['v7', V7]]),
    marker: 'davStore',
    domainMap: [{ domain: 'example.com', url: V6.url, line: 1 }],
  },
  catchAll: 'mail',
  publishedHosts: ['www.example.com'],
};

export type Line = { readonly level: string; readonly message: string } & Readonly<Record<string, unknown>>;

export type Scene = { readonly broker: Broker & AsyncDisposable; readonly lines: readonly Line[] };

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
});

/** A broker that asks these sources, by the URLs of their servers, about those who are in the directory. */
export function open(
  sources: Readonly<Record<string, ScriptedSource>>,
  people: readonly Entry[],
  options: Partial<BrokerOptions> = {},
): Scene {
  const lines: Line[] = [];
  const broker = createBroker({
    directory: directoryOf(people),
    policy: SITE,
    sourceOf: (target) => {
      const source = sources[target.kind === 'server' ? target.server.url : target.url];
      if (source === undefined) throw new Error('no source in this scene');
      return source;
    },
    limitsOf: () => ({ questions: 8 }),
    frontEndOf: () => undefined,
    deadlineMs: 4000,
    groupLimit: 50,
    cacheMs: 0,
    breaker: { failures: 5, pauseMs: 30_000 },
    defaultDomain: 'example.com',
    hop: 'imipd-0123456789abcdef',
    clock: () => MONDAY,
    log: recordingLog(lines),
    ...options,
  });
  opened.push(broker);
  return { broker, lines };
}

export function directoryOf(people: readonly Entry[]) {
  const byAddress = new Map(people.flatMap((entry) => entry.addresses.map((one) => [addressKey(one), entry])));
  return fakeDirectory({
    lookup: (address) => {
      const entry = byAddress.get(addressKey(address));
      return entry === undefined ? { kind: 'unknown', server: 'fake' } : found(entry);
    },
  });
}

/** About some people, on Monday from midnight to midnight. */
export function about(attendees: readonly string[], more: Partial<BusyQuestion> = {}): BusyQuestion {
  return {
    asker: { name: 'cal7', access: OPEN },
    originator: 'olga@example.com',
    attendees,
    window: { startMs: MONDAY, endMs: MONDAY + 24 * HOUR },
    hops: [],
    ...more,
  };
}

/** `bob@example.com 2.0 BUSY 9-10`, with hours of Monday. */
export function brief({ attendee, status, periods }: BusyAnswer): string {
  const hour = (ms: number): number => (ms - MONDAY) / HOUR;
  const times = periods.map(({ type, startMs, endMs }) => ` ${type} ${hour(startMs)}-${hour(endMs)}`);
  return `${attendee} ${status.code}${times.join('')}`;
}

export function recordingLog(lines: Line[]): Log {
  const at =
    (level: string) =>
    (facts: Record<string, unknown>, message: string): void => {
      lines.push({ ...facts, level, message });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } as unknown as Log;
}
