import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TRIAL_LDIF } from '../../src/trial/people.ts';
import { type Ended, folderWith, imipd } from './cli.ts';

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

const BOB = [
  'BEGIN:VCALENDAR',
  'VERSION:2.0',
  'BEGIN:VFREEBUSY',
  'DTSTART:20260101T000000Z',
  'DTEND:20270101T000000Z',
  'FREEBUSY:20261123T080000Z/PT90M',
  'FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261123T130000Z/PT90M',
  'FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261123T190000Z/20261124T060000Z',
  'END:VFREEBUSY',
  'END:VCALENDAR',
  '',
].join('\r\n');

let server: Server;
let origin: string;

beforeEach(async () => {
  vi.stubEnv('TZ', 'Europe/Berlin');
  vi.stubEnv('LC_ALL', 'C.UTF-8');
  vi.stubEnv('TERM', 'xterm');
  // A stand-in of a server that publishes one user's busy times, and breaks down over another's.
  server = createServer(({ url = '' }, response) => {
    response.statusCode = url.startsWith('/bob.ifb') ? 200 : 503;
    response.setHeader('Content-Type', 'text/calendar');
    response.end(response.statusCode === 200 ? BOB : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

/** Runs the command at a site whose users of davStore south publish at the stand-in. */
async function freebusy(...args: readonly string[]): Promise<Ended> {
  await using site = await folderWith({
    'people.ldif': TRIAL_LDIF,
    'imipd.yaml': lines(
      'domains: [example.com]',
      "listeners: [{name: in, address: '127.0.0.1:0'}]",
      "http: {service: {address: '127.0.0.1:0'}}",
      'directory: {kind: ldif, file: people.ldif}',
      "next-hop: {address: '127.0.0.1:2'}",
      `calendar: {back-ends: {south: {url: '${origin}/'}}}`,
      'free-busy:',
      `  servers: [{url: '${origin}/', by: url, at: '${origin}/{local}.ifb'}]`,
      "  clients: [{name: stranger, networks: [127.0.0.1], protocols: [url], not-about: ['bob@example.com']}]",
    ),
    'without.yaml': lines(
      'domains: [example.com]',
      "listeners: [{name: in, address: '127.0.0.1:0'}]",
      "next-hop: {address: '127.0.0.1:2'}",
    ),
  });
  return await imipd(site.path, 'freebusy', ...args);
}

/** Without the questions of the decision paths, which have tests of their own, and without how long it took. */
function withoutSteps(out: string): readonly string[] {
  return out
    .split('\n')
    .filter((line) => !/^ {2}[A-Z].*\? /.test(line))
    .map((line) => line.replace(/in (?:less than )?\d+ ms/, 'in N ms').replaceAll(origin, 'ORIGIN'));
}

describe('imipd freebusy', () => {
  test('draws the days of each attendee, says who answered, and ends well when all are known', async () => {
    const { code, err, out } = await freebusy('bob@example.com', '--from', '2026-11-23', '--to', '+2d');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(withoutSteps(out)).toEqual([
      'Mon 2026-11-23 00:00 – Wed 2026-11-25 00:00 (Europe/Berlin), asked by cli, for calendar@example.com',
      '· free  ░ tentative  █ busy  ▓ unavailable',
      '',
      'bob@example.com: 2.0 Success',
      '                  0     3     6     9     12    15    18    21    24',
      '  Mon 2026-11-23  ··················███·······░░░·········▓▓▓▓▓▓▓▓',
      '  Tue 2026-11-24  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓··································',
      '  busy         Mon 2026-11-23 09:00–10:30',
      '  tentative    Mon 2026-11-23 14:00–15:30',
      '  unavailable  Mon 2026-11-23 20:00 – Tue 2026-11-24 07:00',
      '  ORIGIN by published URL: answered in N ms',
      '  → home-server',
      '',
    ]);
    expect(out).toContain('  Whose address is it? uid=bob,o=example.com, by mail=bob@example.com\n');
  });

  test('answers about one although another is unknown and a server breaks down, and ends in 69', async () => {
    const { code, out } = await freebusy(
      ...['bob@example.com', 'room1@example.com', 'nobody@example.com', '--from', '2026-11-23', '--json'],
    );
    expect(code).toBe(69);
    expect(JSON.parse(out)).toMatchObject({
      asker: 'cli',
      originator: 'calendar@example.com',
      window: { start: '2026-11-22T23:00:00.000Z', end: '2026-11-23T23:00:00.000Z' },
      answers: [
        {
          attendee: 'bob@example.com',
          status: { code: '2.0', description: 'Success' },
          window: { start: '2026-11-22T23:00:00.000Z', end: '2026-11-23T23:00:00.000Z' },
          periods: [
            { start: '2026-11-23T08:00:00.000Z', end: '2026-11-23T09:30:00.000Z', type: 'BUSY' },
            { start: '2026-11-23T13:00:00.000Z', end: '2026-11-23T14:30:00.000Z', type: 'BUSY-TENTATIVE' },
            { start: '2026-11-23T19:00:00.000Z', end: '2026-11-23T23:00:00.000Z', type: 'BUSY-UNAVAILABLE' },
          ],
          inquiries: [{ server: origin, protocol: 'url', result: 'answered', from: 'server' }],
        },
        { attendee: 'room1@example.com', status: { code: '5.1' }, periods: [], inquiries: [{ result: 'unavailable' }] },
        { attendee: 'nobody@example.com', status: { code: '3.7' }, periods: [], inquiries: [] },
      ],
    });
  });

  test('asks as one of the clients, who is told no more than he may know', async () => {
    const { code, out } = await freebusy('bob@example.com', 'nobody@example.com', '--as', 'stranger', '--json');
    expect(code).toBe(69);
    const { answers } = JSON.parse(out) as { answers: readonly { status: unknown; inquiries: unknown }[] };
    expect(answers[0]?.inquiries).toEqual([]);
    expect(answers[0]?.status).toEqual(answers[1]?.status);
  });

  test.each([
    [['bob'], 64, 'got bob, want an address such as bob@example.com\n'],
    [['bob@example.com', '--as', 'strangr'], 64, '--as: got strangr, want one of stranger\n'],
    [
      ['bob@example.com', '--from', '-2h', '--to', 'never'],
      64,
      '--to: got never, want a date (2026-11-23), a time (2026-11-23T09:00+01:00), today, now, or a step such as +2d or -3h\n',
    ],
    [
      ['bob@example.com', '--config', 'without.yaml'],
      78,
      'got no section free-busy; add `free-busy: {}` to the configuration, beside `domains`\n',
    ],
  ] as const)('refuses %j', async (args, code, err) => {
    expect(await freebusy(...args)).toEqual({ code, out: '', err });
  });
});
