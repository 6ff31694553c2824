import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus, release, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { askAll, composeQuestions, openPools, type Protocol, type Question, SERVERS } from './freebusy-load.ts';
import type { PeersCount, PeersReady } from './freebusy-peers.ts';
import { Subject } from './freebusy-subject.ts';

// Questions for busy times: of the calendar servers themselves, and of a gateway that asks them, in the same protocol.
// The load is this process, the calendar servers share another, each gateway has its own. Server and gateway take turns in
// every round; the first round is not counted.

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    questions: { type: 'string', default: '800' },
    /** One round to see that it runs. */
    quick: { type: 'boolean', default: false },
    /** Folder for profiles of the gateways. */
    profile: { type: 'string' },
  },
});
const rounds = values.quick ? 1 : Number(values.rounds);
const most = values.quick ? 100 : Number(values.questions);
const PROTOCOLS: readonly Protocol[] = ['wcap', 'ischedule'];
const NAMES = { wcap: 'WCAP', ischedule: 'iSchedule' } as const;
/** Questions of a round, by callers and by attendees. */
const LOADS = [
  { callers: 1, attendees: 1, count: Math.ceil(most / 2) },
  { callers: 1, attendees: 10, count: Math.ceil(most / 4) },
  { callers: 32, attendees: 1, count: most },
  { callers: 32, attendees: 10, count: Math.ceil(most / 2) },
] as const;
type Load = (typeof LOADS)[number];

const peers = fork(fileURLToPath(new URL('freebusy-peers.ts', import.meta.url)));
const [{ ports }] = (await once(peers, 'message')) as [PeersReady];
const profileTo = values.profile === undefined ? {} : { profileTo: values.profile };
const gateways = {
  wcap: await Subject.start({ protocol: 'wcap', cache: '0s', ports, ...profileTo }),
  ischedule: await Subject.start({ protocol: 'ischedule', cache: '0s', ports, ...profileTo }),
};
const caching = await Subject.start({ protocol: 'wcap', cache: '10s', ports, ...profileTo });

/** What one round measured. */
type Measured = { readonly perSecond: number; readonly p50: number; readonly p99: number };
type Row = {
  readonly of: readonly Measured[];
  /** Of the servers, in the same rounds. */
  readonly floor?: readonly Measured[];
  cpuMs: number;
  questions: number;
  /** That reached a calendar server. */
  requests: number;
};
const rows = new Map<string, Row & { readonly of: Measured[] }>();

async function measure(
  title: string,
  at: readonly number[],
  questions: readonly Question[],
  { callers }: Load,
  gateway?: Subject,
  floor?: readonly Measured[],
): Promise<readonly Measured[]> {
  const pools = openPools(at, callers);
  // Before the clock: each connection is opened by its first question.
  await askAll(pools, questions.slice(0, callers), callers);
  await peersCount();
  const cpuBefore = gateway?.cpuMs ?? 0;
  const began = performance.now();
  const took = await askAll(pools, questions, callers);
  const seconds = (performance.now() - began) / 1000;
  const used = (gateway?.cpuMs ?? 0) - cpuBefore;
  const requests = await peersCount();
  await Promise.all(pools.map((pool) => pool.close()));
  const row = rows.get(title) ?? {
    of: [],
    cpuMs: 0,
    questions: 0,
    requests: 0,
    ...(floor === undefined ? {} : { floor }),
  };
  rows.set(title, row);
  if (!isWarm) return row.of;
  row.of.push({ perSecond: took.length / seconds, p50: quantile(took, 0.5), p99: quantile(took, 0.99) });
  row.cpuMs += used;
  row.questions += took.length;
  row.requests += requests;
  return row.of;
}

let isWarm = false;
for (let round = 0; round <= rounds; round++) {
  isWarm = round > 0;
  for (const protocol of PROTOCOLS) {
    for (const load of LOADS) {
      const { callers, attendees, count } = load;
      const by = `${NAMES[protocol]}, ${callers} caller${callers === 1 ? '' : 's'}, ${attendees} attendee${attendees === 1 ? '' : 's'}`;
      const direct = composeQuestions(protocol, count, attendees, { split: true });
      const floor = await measure(`${by}: directly`, ports, direct, load);
      const gateway = gateways[protocol];
      const through = composeQuestions(protocol, count, attendees, { split: false });
      await measure(`${by}: gateway`, [gateway.port], through, load, gateway, floor);
      if (protocol !== 'wcap' || callers === 1) continue;
      const again = composeQuestions(protocol, count, attendees, { split: false, repeated: true });
      await measure(`${by}: gateway, cache 10s`, [caching.port], again, load, caching, floor);
    }
  }
}
for (const [title, { questions, requests }] of rows) {
  if (title.includes('cache')) continue;
  const [, attendees = ''] = /(\d+) attendee/.exec(title) ?? [];
  const parts = attendees === '1' ? 1 : title.startsWith('WCAP') && title.endsWith('gateway') ? 10 : SERVERS;
  if (requests !== questions * parts)
    throw new Error(`${title}: the calendar servers got ${requests} requests for ${questions} questions`);
}
const peaks = [gateways.wcap, gateways.ischedule, caching].map(({ peakMb }) => Math.round(peakMb));
for (const gateway of [gateways.wcap, gateways.ischedule, caching]) await gateway[Symbol.asyncDispose]();
peers.disconnect();

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${release()}`;
console.log(`freebusy, commit ${commit}, Node ${process.versions.node}, ${machine}, state below ${tmpdir()}`);
console.log(
  `${rounds} rounds; ${LOADS.map(({ callers, attendees, count }) => `${count} questions by ${callers} about ${attendees}`).join(', ')}`,
);
console.log(
  'five days with 15 busy times of each attendee; a user’s server is one of two stand-ins of Calendar Server 6;',
);
console.log('defaults but: two back ends with profile oracle-v6, one peer, one client, a directory in a file');
console.log(
  'median (lowest–highest) of the rounds; p50, p99 and what the gateway adds to p99 in ms; its CPU in ms for each',
);
const columns = ['per second', 'p50', 'p99', 'p99 added', 'CPU ms'] as const;
console.log(''.padEnd(52) + columns.map((title) => title.padStart(22)).join(''));
for (const [title, { of, floor, cpuMs, questions }] of rows) {
  const added = floor === undefined ? undefined : of.map(({ p99 }, round) => p99 - (floor[round]?.p99 ?? 0));
  const cells = [
    spread(
      of.map(({ perSecond }) => perSecond),
      0,
    ),
    spread(
      of.map(({ p50 }) => p50),
      2,
    ),
    spread(
      of.map(({ p99 }) => p99),
      2,
    ),
    added === undefined ? '' : spread(added, 2),
    added === undefined ? '' : (cpuMs / questions).toFixed(2),
  ];
  console.log(title.padEnd(52) + cells.map((cell) => cell.padStart(22)).join(''));
}
for (const [title, { questions, requests }] of rows)
  if (title.includes('cache'))
    console.log(`${title}: ${requests} requests reached a server for ${questions} questions`);
console.log(`peak resident memory of the gateways, MiB: ${peaks.join(', ')}`);

function spread(numbers: readonly number[], digits: number): string {
  const sorted = numbers.toSorted((a, b) => a - b);
  const [lowest, highest] = [sorted[0] ?? 0, sorted.at(-1) ?? 0];
  return `${quantile(sorted, 0.5).toFixed(digits)} (${lowest.toFixed(digits)}–${highest.toFixed(digits)})`;
}

/** @param sorted ascending */
function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

/** Requests that the calendar servers had since this was last asked. */
async function peersCount(): Promise<number> {
  peers.send({});
  const [{ requests }] = (await once(peers, 'message')) as [PeersCount];
  return requests;
}
