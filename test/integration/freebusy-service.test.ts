import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StandInPost } from './calendar-stand-in.ts';
import type { LogLine } from './harness.ts';
import { answered, ask, type PeerAnswer } from './ischedule-peer.ts';
import { ALICE, BOB, type SmallSite, SPECIAL, startSmallSite } from './small-site.ts';

/** Where those of the configuration connect from. */
const CAL7 = '127.0.0.2';
const CS6 = '127.0.0.3';
const STRANGER = '127.0.0.4';

const FREE_BUSY = `
free-busy:
  deadline: 2s
  url: true
  clients:
    - {name: cs6, networks: [${CS6}], protocols: [wcap, url], unknown: told}
`;

const DAY_MS = 86_400_000;
/** Days from now, at midnight UTC. */
const midnight = (days: number): number => (Math.floor(Date.now() / DAY_MS) + days) * DAY_MS;
const utc = (ms: number): string => new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
const FROM = utc(midnight(1));
const TO = utc(midnight(2));
const BUSY = `${utc(midnight(1) + 9 * 3_600_000)}/${utc(midnight(1) + 10 * 3_600_000)}`;

let site: SmallSite;
let port: number;
let withFreeBusy: string;

beforeAll(async () => {
  site = await startSmallSite({
    listeners: ['name: in'],
    more: `
http:
  service: {address: '127.0.0.1:0'}
ischedule:
  peers:
    - {name: cal7, origin: inside, domains: [example.com], networks: [${CAL7}]}
${FREE_BUSY}`,
  });
  port = site.gateway.port('service');
  withFreeBusy = readFileSync(site.gateway.config, 'utf8');
  // The stand-in knows alice and bob, with the same hour busy.
  site.calendar.answer = (post) => ({ calendarData: (recipient) => replyTo(post, recipient) });
});
afterAll(async () => await site?.[Symbol.asyncDispose]());

function replyTo({ body }: StandInPost, recipient: string): string {
  const lineOf = (name: string): string => new RegExp(`^${name}[^:\\r]*:(.*)\\r$`, 'm').exec(body)?.[1] ?? '';
  return [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//test//EN', 'METHOD:REPLY', 'BEGIN:VFREEBUSY'],
    ...[`UID:${lineOf('UID')}`, 'DTSTAMP:20260101T000000Z', `DTSTART:${FROM}`, `DTEND:${TO}`],
    ...[`ORGANIZER:${lineOf('ORGANIZER')}`, `ATTENDEE:mailto:${recipient}`, `FREEBUSY;FBTYPE=BUSY:${BUSY}`],
    ...['END:VFREEBUSY', 'END:VCALENDAR', ''],
  ].join('\r\n');
}

/** A question as a calendar server posts it. */
function question(attendees: readonly string[], from = CAL7): Promise<PeerAnswer> {
  const lines = [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//test//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY', 'UID:fb-1'],
    ...['DTSTAMP:20260101T000000Z', `DTSTART:${FROM}`, `DTEND:${TO}`, 'ORGANIZER:mailto:carl@example.com'],
    ...[...attendees.map((attendee) => `ATTENDEE:mailto:${attendee}`), 'END:VFREEBUSY', 'END:VCALENDAR', ''],
  ];
  return ask(port, {
    method: 'POST',
    path: '/ischedule/',
    from,
    headers: [
      ['iSchedule-Version', '1.0'],
      ['Originator', 'mailto:carl@example.com'],
      ...attendees.map((attendee) => ['Recipient', `mailto:${attendee}`] as const),
      ['Content-Type', 'text/calendar; charset=utf-8; component=VFREEBUSY; method=REQUEST'],
    ],
    body: lines.join('\r\n'),
  });
}

const capabilities = () => ask(port, { path: '/ischedule/?action=capabilities', from: CAL7 });
const wcap = (calid: string, from = CS6) =>
  ask(port, { path: `/get_freebusy.wcap?calid=${calid}&dtstart=${FROM}&dtend=${TO}`, from });
const published = (address: string, from = CS6) =>
  ask(port, { path: `/freebusy/${address}.ifb?start=${FROM}&end=${TO}`, from });

/** Goes over to another configuration. @returns the line that says so */
async function reload(yaml: string): Promise<LogLine> {
  const since = site.gateway.log.length;
  site.gateway.write(yaml);
  process.kill(site.gateway.pid ?? 0, 'SIGHUP');
  return await site.gateway.waitForLog(
    ({ event }) => event === 'reloaded' || event === 'reload-refused',
    20_000,
    since,
  );
}

describe('a gateway with free-busy', () => {
  test('announces VFREEBUSY, and answers it with what the calendar server says', async () => {
    expect((await capabilities()).body).toMatch(/<component name="VFREEBUSY">\s*<method name="REQUEST"\/>/);
    const answer = await question([ALICE, SPECIAL.unknown, BOB]);
    expect(answered(answer)).toEqual([`${ALICE} 2.0`, `${SPECIAL.unknown} 3.7`, `${BOB} 2.0`]);
    expect(answer.body.match(/^FREEBUSY[^&]*/gm)).toEqual([
      `FREEBUSY;FBTYPE=BUSY:${BUSY}`,
      `FREEBUSY;FBTYPE=BUSY:${BUSY}`,
    ]);
    const posts = site.calendar.of('BEGIN:VFREEBUSY');
    expect(posts.map(({ recipients }) => [...recipients].sort())).toEqual([[ALICE, BOB]]);
  });

  test('answers WCAP and published busy times to its clients, and to nobody else', async () => {
    const [asked, refused] = [await wcap(`mailto:${ALICE}`), await wcap(`mailto:${ALICE}`, STRANGER)];
    expect([asked.status, refused.status]).toEqual([200, 403]);
    expect(asked.body).toContain(BUSY);
    expect(asked.body).toContain('X-NSCP-WCAP-ERRNO:0');
    const [given, withheld] = [await published(ALICE), await published(ALICE, STRANGER)];
    expect(given.status).toBe(200);
    expect(given.body).toContain(BUSY);
    expect(withheld.status).not.toBe(200);
    expect(withheld.body).not.toContain('FREEBUSY:');
  });

  test('puts nothing of it into the queue', () => {
    expect(site.store.list({})).toEqual([]);
  });
});

describe('a reload', () => {
  test('that turns it off takes VFREEBUSY out of the capabilities, and the other paths are not there', async () => {
    const without = withFreeBusy.replace(FREE_BUSY, '');
    expect(await reload(without)).toMatchObject({ event: 'reloaded' });
    expect((await capabilities()).body).not.toContain('VFREEBUSY');
    expect(answered(await question([ALICE]))).toEqual(['403 invalid-scheduling-message']);
    expect([(await wcap(`mailto:${ALICE}`)).status, (await published(ALICE)).status]).toEqual([404, 404]);
  });

  test('that turns it on again brings all of it back', async () => {
    expect(await reload(withFreeBusy)).toMatchObject({ event: 'reloaded' });
    expect((await capabilities()).body).toContain('VFREEBUSY');
    expect(answered(await question([ALICE]))).toEqual([`${ALICE} 2.0`]);
    expect((await wcap(`mailto:${ALICE}`)).status).toBe(200);
  });

  test('does not cut off a question that is under way', async () => {
    const arrived = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    site.calendar.answer = async (post) => {
      arrived.resolve();
      await gate.promise;
      return { calendarData: (recipient) => replyTo(post, recipient) };
    };
    const asked = question([BOB]);
    await Promise.race([arrived.promise, asked]);
    await reload(withFreeBusy.replace('deadline: 2s', 'deadline: 3s'));
    gate.resolve();
    expect(answered(await asked)).toEqual([`${BOB} 2.0`]);
  });
});
