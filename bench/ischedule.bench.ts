import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { cpus, release, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { composeKeyRecord } from '../channel/ischedule/dkim/key-record.ts';
import { composePost, openPool, type Post, sendMails, sendPosts, USERS } from './ischedule-load.ts';
import type { PeersAnswer, PeersQuestion, PeersReady, Taken } from './ischedule-peers.ts';
import type { SubjectReady, SubjectUsage } from './ischedule-subject.ts';

// Posts per second that a gateway takes by iSchedule: those it posts on to a calendar server, and those it makes mails
// of. Beside them, in the same run, what the same load gets without a gateway between. The load is this process, the
// calendar server and the smart host share another, each gateway has its own. Subjects take turns in every round.

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    posts: { type: 'string', default: '1000' },
    mails: { type: 'string', default: '600' },
  },
});
const rounds = Number(values.rounds);
const CALLERS = 16;
/** Posts of a round, by callers. */
const LOADS = [
  [1, Math.ceil(Number(values.posts) / 4)],
  [CALLERS, Number(values.posts)],
] as const;
/** Mails of a round; those of each post, by subject. */
const mailCount = Number(values.mails);
const SHARES = [1, 10];
/** What goes past the gateways is sent so many times: once would be over in some milliseconds. */
const FLOOR_TIMES = 10;

const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
const peers = start('ischedule-peers.ts');
const { calendarPort, mailPort } = await reply<PeersReady>(peers);
const ports = [String(calendarPort), String(mailPort)];
const startGateway = async (name: string, ...more: readonly string[]) => {
  const child = start('ischedule-subject.ts', name, ...ports, ...more);
  return { name, child, ...(await reply<SubjectReady>(child)) };
};
type Gateway = Awaited<ReturnType<typeof startGateway>>;
const near = await startGateway('near');
const signed = await startGateway('signed', composeKeyRecord(key.publicKey));
const outbound = await startGateway('outbound');
const relay = await startGateway('relay');

type Row = { readonly rates: number[]; readonly cpuMs: number[]; readonly floor: boolean };
const rows = new Map<string, Row>();
let isWarm = false;
let mailsExpected = 0;
let postsExpected = 0;
let mailOctets = 0;

/** Does a job with the clock running. @param count of what it handles @param gateway whose CPU time counts */
async function measure(title: string, count: number, gateway: Gateway | undefined, job: () => Promise<unknown>) {
  const usedBefore = gateway === undefined ? 0 : (await usage(gateway)).cpuMs;
  const begun = performance.now();
  await job();
  const seconds = (performance.now() - begun) / 1000;
  const used = gateway === undefined ? 0 : (await usage(gateway)).cpuMs - usedBefore;
  // The first round warms the compiler up and is not counted.
  if (!isWarm) return;
  const row = rows.get(title) ?? { rates: [], cpuMs: [], floor: gateway === undefined };
  rows.set(title, row);
  row.rates.push(count / seconds);
  row.cpuMs.push(used / count);
}

async function measurePosts(callers: number, count: number): Promise<void> {
  const by = `${callers} caller${callers === 1 ? '' : 's'}`;
  const compose = (signs: boolean): Post[] =>
    Array.from({ length: count }, (_, index) =>
      composePost([`u${index % USERS}@example.com`], signs ? key.privateKey : undefined),
    );
  const direct = openPool(calendarPort, callers);
  const batch = Array<Post[]>(FLOOR_TIMES).fill(compose(false)).flat();
  await measure(`${by}: calendar server, directly`, batch.length, undefined, () =>
    sendPosts(direct, batch, callers, '2.0'),
  );
  await direct.close();
  for (const gateway of [near, signed]) {
    const pool = openPool(gateway.servicePort, callers);
    const posts = compose(gateway === signed);
    const how = gateway === signed ? 'signed posts' : 'posts';
    const send = () => sendPosts(pool, posts, callers, '2.0');
    await measure(`${by}: ${how}, posted on`, count, gateway, send);
    await measure(`${by}: the same ${how} again`, count, gateway, send);
    await pool.close();
  }
  postsExpected += batch.length + 2 * count;
}

async function measureMails(): Promise<void> {
  let composed: readonly Taken[] = [];
  for (const share of SHARES) {
    const posts = Array.from({ length: mailCount / share }, (_, post) =>
      composePost(Array.from({ length: share }, (_, index) => `p${post}.${index}@partner.example`)),
    );
    const pool = openPool(outbound.servicePort, CALLERS);
    await measure(`posts for ${share} outside, a mail each`, mailCount, outbound, async () => {
      await sendPosts(pool, posts, CALLERS, '1.1');
      const { taken } = await arrived(true);
      if (share === 1) composed = taken;
    });
    await pool.close();
  }
  mailOctets = composed.reduce((sum, { content }) => sum + content.length, 0) / composed.length;
  // Another gateway: this one knows these meetings.
  await measure('those mails by SMTP, inside listener', mailCount, relay, async () => {
    await sendMails(relay.insidePort, composed, CALLERS);
    await arrived(false);
  });
  const many = Array<readonly Taken[]>(FLOOR_TIMES).fill(composed).flat();
  await measure('those mails by SMTP, sink directly', many.length, undefined, async () => {
    await sendMails(mailPort, many, CALLERS);
    await arrived(false, many.length);
  });
}

/** Waits until the smart host has all mails of one subject. */
async function arrived(take: boolean, count = mailCount): Promise<PeersAnswer> {
  mailsExpected += count;
  return ask<PeersAnswer>(peers, { mails: mailsExpected, take } satisfies PeersQuestion);
}

for (let round = 0; round <= rounds; round++) {
  isWarm = round > 0;
  for (const [callers, count] of LOADS) await measurePosts(callers, count);
  await measureMails();
}
const { posts } = await ask<PeersAnswer>(peers, { mails: 0, take: false } satisfies PeersQuestion);
if (posts !== postsExpected) throw new Error(`the calendar server got ${posts} posts, want ${postsExpected}`);
const peaks: string[] = [];
for (const gateway of [near, signed, outbound, relay])
  peaks.push(`${gateway.name} ${Math.round((await usage(gateway)).peakMb)}`);
for (const { child } of [near, signed, outbound, relay]) child.disconnect();
peers.kill();

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${release()}`;
console.log(`ischedule, commit ${commit}, Node ${process.versions.node}, ${machine}, state below ${tmpdir()}`);
const octets = composePost(['u1@example.com']).body.length;
console.log(`${rounds} rounds, ${LOADS.map(([callers, count]) => `${count} posts by ${callers}`).join(' and ')};`);
console.log(`object ${octets} octets, one recipient; ${mailCount} mails of ${Math.round(mailOctets)} octets`);
console.log(
  'defaults but: profile cyrus (no questions to the calendar server), one peer, a directory in a file, outbound;',
);
console.log('per second; CPU of the gateway in ms for each; cores is what that comes to at the median');
const columns = ['median', 'lowest', 'highest', 'CPU ms', 'cores'];
console.log('subject'.padEnd(48) + columns.map((title) => title.padStart(9)).join(''));
for (const [title, { rates, cpuMs, floor }] of rows) {
  const sorted = rates.toSorted((a, b) => a - b);
  const [rate, cpu] = [median(rates), median(cpuMs)];
  const shown = [rate, sorted[0] ?? 0, sorted.at(-1) ?? 0].map((one) => String(Math.round(one)));
  const used = floor ? ['', ''] : [cpu.toFixed(2), ((rate * cpu) / 1000).toFixed(2)];
  console.log(title.padEnd(48) + [...shown, ...used].map((one) => one.padStart(9)).join(''));
}
console.log(`peak resident memory of the gateways, MiB: ${peaks.join(', ')}`);

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

function start(file: string, ...args: readonly string[]): ChildProcess {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args);
  child.on('exit', (code) => {
    if (code === null || code === 0) return;
    console.error(`${file} ${args[0] ?? ''} ended with ${code}`);
    process.exit(1);
  });
  return child;
}

async function reply<Answer>(child: ChildProcess): Promise<Answer> {
  const [answer] = (await once(child, 'message')) as [Answer];
  return answer;
}

async function ask<Answer>(child: ChildProcess, question: object): Promise<Answer> {
  const answer = reply<Answer>(child);
  child.send(question);
  return answer;
}

async function usage({ child }: Gateway): Promise<SubjectUsage> {
  return ask<SubjectUsage>(child, {});
}
