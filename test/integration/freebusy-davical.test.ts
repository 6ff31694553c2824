import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BusyBatch } from '../../channel/channel.ts';
import { IScheduleSource } from '../../channel/ischedule/ask.ts';
import { signerOf } from '../../src/config/peers.ts';
import type { BusyReading } from '../../src/freebusy/busy.ts';
import { mergePeriods } from '../../src/freebusy/merge.ts';
import { silentLog } from '../../src/observe/log.ts';
import { suite } from '../servers/installed.ts';
import { type Davical, startDavical } from '../servers/servers.ts';
import { DavicalCollection } from './caldav.ts';
import { storedObject } from './invitations.ts';

const OLGA = 'olga@outside.test';
const [ALICE, BOB, NOBODY] = ['alice@example.test', 'bob@example.test', 'nobody@example.test'];
const DAY = { startMs: Date.UTC(2030, 2, 15), endMs: Date.UTC(2030, 2, 16) };

suite(['davical'], 'DAViCal, asked for busy times by iSchedule', () => {
  let davical: Davical;
  let source: IScheduleSource;

  beforeAll(async () => {
    davical = await startDavical({ users: ['alice', 'bob'] });
    const key = createPrivateKey(readFileSync(davical.key));
    source = new IScheduleSource(
      {
        ...{ server: new URL(davical.ischedule), timeoutMs: 20_000, connectTimeoutMs: 5000, connections: 2 },
        ...{ maxRedirects: 3, redirectHosts: [], userAgent: 'imipd/test', maxResponseBytes: 1_000_000 },
        signer: signerOf([{ domain: 'outside.test', selector: 'cal', key }]),
      },
      silentLog,
    );
    // From 10:00 to 11:00 UTC.
    const event = { uid: 'busy@example.test', organizer: ALICE, attendees: [], method: 'REQUEST' as const };
    await new DavicalCollection(davical.url, 'alice', 'calendar').put(event.uid, storedObject(event));
  });
  afterAll(async () => {
    await source?.[Symbol.asyncDispose]();
    await davical?.[Symbol.asyncDispose]();
  });

  let questions = 0;
  async function ask(overrides: Partial<BusyBatch>): Promise<readonly BusyReading[]> {
    const batch: BusyBatch = {
      ...{ server: new URL(davical.ischedule), profile: 'davical', uid: `question-${questions++}`, originator: OLGA },
      ...{ attendees: [ALICE], window: DAY, hops: ['imipd-0123456789abcdef'] },
      ...overrides,
    };
    return await source.ask(batch, new AbortController().signal);
  }

  /** As the gateway would tell them. */
  function busy(reading: BusyReading | undefined, window = DAY): readonly string[] | BusyReading | undefined {
    if (reading?.kind !== 'periods') return reading;
    return mergePeriods(reading.periods, window).map(
      ({ startMs, endMs, type }) => `${type} ${new Date(startMs).toISOString()} ${new Date(endMs).toISOString()}`,
    );
  }

  test('tells the times of the one who is busy, and that the other is free', async () => {
    const readings = await ask({ attendees: [BOB, ALICE] });
    expect(readings.map((reading) => busy(reading))).toEqual([
      [],
      ['BUSY 2030-03-15T10:00:00.000Z 2030-03-15T11:00:00.000Z'],
    ]);
  });

  test('takes one whom it does not know for everybody: only whom the directory knows may be asked about', async () => {
    const [nobody, bob] = await ask({ attendees: [NOBODY, BOB] });
    expect([busy(nobody), busy(bob)]).toEqual([['BUSY 2030-03-15T10:00:00.000Z 2030-03-15T11:00:00.000Z'], []]);
  });

  test('tells what overlaps the window', async () => {
    const window = { startMs: Date.UTC(2030, 2, 15, 10, 30), endMs: Date.UTC(2030, 2, 15, 12) };
    const [alice] = await ask({ window });
    expect(busy(alice, window)).toEqual(['BUSY 2030-03-15T10:30:00.000Z 2030-03-15T11:00:00.000Z']);
  });

  test('tells nothing to somebody whose signature it cannot check', async () => {
    const [alice] = await ask({ originator: 'eve@elsewhere.test' });
    expect(alice).toMatchObject({ kind: 'unavailable' });
  });
});
