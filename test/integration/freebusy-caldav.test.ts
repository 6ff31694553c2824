import { afterAll, beforeAll, expect, test } from 'vitest';
import { CalDavSource } from '../../channel/caldav/ask.ts';
import type { BusyBatch } from '../../channel/channel.ts';
import { PublishedSource } from '../../channel/published/ask.ts';
import type { BusyReading, Window } from '../../src/freebusy/busy.ts';
import { mergePeriods } from '../../src/freebusy/merge.ts';
import type { RequesterOptions } from '../../src/http/requester.ts';
import type { ProfileName } from '../../src/mail/disposition.ts';
import { silentLog } from '../../src/observe/log.ts';
import { suite } from '../servers/installed.ts';
import { type Cyrus, type Davical, PASSWORD, startCyrus, startDavical } from '../servers/servers.ts';
import { CyrusCalendar, DavicalCollection } from './caldav.ts';

const ALICE = 'alice@example.test';
const BOB = 'bob@example.test';
const SERVICE = 'service@example.test';
const OLGA = 'olga@outside.test';
const NOBODY = 'nobody@example.test';

const DAY: Window = { startMs: Date.UTC(2030, 2, 15), endMs: Date.UTC(2030, 2, 16) };

/** One event of a stored calendar; `lines` beside its UID, DTSTAMP and SUMMARY. */
function stored(uid: string, ...lines: readonly string[]): string {
  return [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Example//Calendar//EN',
    'BEGIN:VEVENT',
    `UID:${uid}`,
    'DTSTAMP:20300101T080000Z',
    'SUMMARY:Secret plan',
    ...lines,
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\r\n');
}

/** A day as alice has it. */
const EVENTS: Readonly<Record<string, readonly string[]>> = {
  busy: ['DTSTART:20300315T090000Z', 'DTEND:20300315T100000Z'],
  tentative: ['DTSTART:20300315T110000Z', 'DTEND:20300315T120000Z', 'STATUS:TENTATIVE'],
  transparent: ['DTSTART:20300315T130000Z', 'DTEND:20300315T140000Z', 'TRANSP:TRANSPARENT'],
  cancelled: ['DTSTART:20300315T150000Z', 'DTEND:20300315T160000Z', 'STATUS:CANCELLED'],
  weekly: ['DTSTART:20300301T170000Z', 'DTEND:20300301T173000Z', 'RRULE:FREQ=WEEKLY'],
  midnight: ['DTSTART:20300315T230000Z', 'DTEND:20300316T010000Z'],
};

function batch(server: string, attendees: readonly string[], more: Partial<BusyBatch> = {}): BusyBatch {
  return {
    ...{ server: new URL(server), profile: 'generic', uid: 'question-1', originator: OLGA },
    ...{ attendees, window: DAY, hops: ['imipd-0123456789abcdef'] },
    ...more,
  };
}

const NOW = Date.UTC(2030, 0, 1);
const REQUESTER: RequesterOptions = {
  connections: 2,
  connectTimeoutMs: 5_000,
  maxResponseBytes: 1_000_000,
  userAgent: 'imipd/test',
};

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

type Account = { readonly user: string; readonly password?: string; readonly organizer?: string };

function sourceAt(outbox: string, { user, password = PASSWORD, organizer = SERVICE }: Account): CalDavSource {
  return new CalDavSource(
    {
      outbox: new URL(outbox),
      authorization: basic(user, password),
      organizer,
      requester: REQUESTER,
      clock: () => NOW,
    },
    silentLog,
  );
}

/** Asks with a source of its own. */
async function answers(
  outbox: string,
  account: Account,
  attendees: readonly string[],
  profile: ProfileName = 'generic',
): Promise<readonly (string | readonly string[])[]> {
  await using source = sourceAt(outbox, account);
  return told(await source.ask({ ...batch(outbox, attendees), profile }, new AbortController().signal));
}

/** `09:00-10:00 BUSY`, by the hour of the day asked about; of anything but periods its kind and reason. */
function told(readings: readonly BusyReading[]): readonly (string | readonly string[])[] {
  const hour = (ms: number) => new Date(ms).toISOString().slice(11, 16);
  return readings.map((reading) =>
    reading.kind === 'periods'
      ? mergePeriods(reading.periods, DAY).map(({ startMs, endMs, type }) => `${hour(startMs)}-${hour(endMs)} ${type}`)
      : `${reading.kind}: ${reading.reason}`,
  );
}

/** What both servers make of EVENTS: nothing of what is transparent or cancelled. */
const ALICES_DAY = ['09:00-10:00 BUSY', '11:00-12:00 BUSY-TENTATIVE', '17:00-17:30 BUSY', '23:00-00:00 BUSY'];
const WANTED = 'wanted the schedule-response of an outbox: name the schedule-outbox-URL of the service account';

suite(['cyrus'], 'Cyrus, asked by the outbox of a service account', () => {
  const servers = new AsyncDisposableStack();
  let cyrus: Cyrus;
  let home: string;
  let outbox: string;
  const account = { user: SERVICE };

  beforeAll(async () => {
    cyrus = servers.use(await startCyrus({ users: [ALICE, BOB, SERVICE] }));
    home = `${cyrus.url}/dav/calendars/user/${SERVICE}/`;
    outbox = `${home}Outbox/`;
    const alice = new CyrusCalendar(cyrus.url, ALICE);
    for (const [uid, lines] of Object.entries(EVENTS)) await alice.put(uid, stored(uid, ...lines));
  });
  afterAll(() => servers.disposeAsync());

  test('tells the times of several people in one answer', async () => {
    expect(await answers(outbox, account, [BOB, ALICE, SERVICE])).toEqual([[], ALICES_DAY, []]);
  });

  test('says of one it does not know, of another case and of another domain, that it cannot tell now', async () => {
    const nothing = 'unusable: the calendar server said 5.1;Service unavailable';
    const asked = [NOBODY, 'BOB@example.test', ALICE, OLGA];
    expect(await answers(outbox, account, asked)).toEqual([nothing, nothing, ALICES_DAY, nothing]);
  });

  test('finds a user whatever the case of his address, once it is known for what it is', async () => {
    expect(await answers(outbox, account, ['ALICE@example.test', BOB], 'cyrus')).toEqual([ALICES_DAY, []]);
  });

  test('dies of a sub-address, and tells the times of the others all the same', async () => {
    const died = 'unavailable: the calendar server closed the connection (UND_ERR_SOCKET)';
    expect(await answers(outbox, account, [BOB, 'bob+work@example.test', ALICE])).toEqual([[], died, ALICES_DAY]);
  });

  test.each([
    [
      'another ORGANIZER',
      () => answers(outbox, { user: SERVICE, organizer: OLGA }, [ALICE]),
      /403 valid-organizer for olga@outside\.test: name the address/,
    ],
    [
      'a wrong password',
      () => answers(outbox, { user: SERVICE, password: 'wrong' }, [ALICE]),
      /401, wanted credentials/,
    ],
    ['a calendar home', () => answers(home, account, [ALICE]), `found 415, ${WANTED}`],
    [
      'a principal',
      () => answers(`${cyrus.url}/dav/principals/user/${SERVICE}/`, account, [ALICE]),
      `found 405, ${WANTED}`,
    ],
    ['a calendar', () => answers(`${home}Default/`, account, [ALICE]), `found 207, ${WANTED}`],
    [
      "another's outbox",
      () => answers(`${cyrus.url}/dav/calendars/user/${ALICE}/Outbox/`, account, [BOB]),
      /a redirect to 127\.0\.0\.1:\d+ \(301\), wanted/,
    ],
  ])('refuses %s, and the reason says what is wanted', async (_, ask, reason) => {
    expect(await ask()).toEqual([expect.stringMatching(reason)]);
  });
});

suite(['davical'], 'DAViCal', () => {
  const servers = new AsyncDisposableStack();
  let davical: Davical;
  let outbox: string;
  const account = { user: 'service' };

  beforeAll(async () => {
    davical = servers.use(await startDavical({ users: ['alice', 'bob', 'service'] }));
    outbox = `${davical.url}/caldav.php/service/.out/`;
    const alice = new DavicalCollection(davical.url, 'alice', 'calendar');
    for (const [uid, lines] of Object.entries(EVENTS)) await alice.put(uid, stored(uid, ...lines));
  });
  afterAll(() => servers.disposeAsync());

  test('tells the outbox of a service account the times of several people in one answer, and whom it does not know', async () => {
    const unknown = 'unknown: the calendar server said 3.7;Invalid Calendar User';
    const asked = [BOB, NOBODY, ALICE, 'ALICE@example.test', 'bob+work@example.test'];
    expect(await answers(outbox, account, asked)).toEqual([[], unknown, ALICES_DAY, ALICES_DAY, unknown]);
  });

  test.each([
    [
      'a wrong password',
      () => answers(outbox, { user: 'service', password: 'wrong' }, [ALICE]),
      /401, wanted credentials/,
    ],
    [
      "another's outbox",
      () => answers(`${davical.url}/caldav.php/alice/.out/`, account, [BOB]),
      /403 need-privileges for service@example\.test: give the service account/,
    ],
    ['its web pages', () => answers(`${davical.url}/`, account, [ALICE]), /a web page, wanted the schedule-response/],
  ])('refuses %s in place of the outbox, and the reason says what is wanted', async (_, ask, reason) => {
    expect(await ask()).toEqual([expect.stringMatching(reason)]);
  });

  test('publishes them as documents, of which each tells its own span', async () => {
    const publishedAt = (path: string) =>
      new PublishedSource(
        {
          ...{ template: `${davical.url}/freebusy.php/${path}`, authorization: basic('service', PASSWORD) },
          ...{ hosts: [], requester: REQUESTER, clock: () => NOW },
        },
        silentLog,
      );
    const { signal } = new AbortController();
    const asked = batch(davical.url, [ALICE, NOBODY, BOB]);
    const { host } = new URL(davical.url);
    await using windowed = publishedAt('{local}/?start={start}&end={end}');
    expect(told(await windowed.ask(asked, signal))).toEqual([ALICES_DAY, `unknown: found 404 at ${host}`, []]);
    // Six weeks from today on, which is not 2030.
    await using fixed = publishedAt('{local}/');
    expect(told(await fixed.ask({ ...asked, attendees: [ALICE] }, signal))).toEqual([
      expect.stringMatching(/^unusable: found times from .* to .*, wanted them from 2030-03-15T00:00Z to/),
    ]);
  });
});
