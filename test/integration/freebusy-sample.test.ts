import { afterEach, expect, test } from 'vitest';
import { CalendarServer6, type Cs6Options } from '../peers/calendar-server-6.ts';
import { CS7_QUESTION } from '../peers/calendar-server-7.ts';
import { RawClient } from '../unit/http/raw-client.ts';
import { Day, type Row, rowsOfResponse } from './busy-site.ts';
import { answered } from './ischedule-peer.ts';
import { type RelaySite, startRelaySite } from './relay-site.ts';

/** Where Calendar Server 7 connects from. */
const CAL7 = '127.0.0.2';
const ATTENDEE = 'cs7user@example.sun.com';
const day = new Day(Date.UTC(2004, 8, 2));

const HEAD = (host: string): string =>
  [
    'POST /ischedule/ HTTP/1.1',
    `Host: ${host}`,
    'Content-Type: text/calendar',
    `Content-Length: ${CS7_QUESTION.length}`,
    '',
    '',
  ].join('\r\n');

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

type Setting = {
  /** Whether the attendee's domain is one of the map. */
  readonly mapped: boolean;
  /** Of the peer's section `free-busy`. */
  readonly access?: string;
  readonly ischedule?: NonNullable<Cs6Options['ischedule']>;
};

async function siteWith({ mapped, access = '{}', ischedule = 'schedule-response' }: Setting) {
  const v6 = stack.use(
    await CalendarServer6.listen({
      users: [
        {
          ...{ uid: 'cs7user', mail: [ATTENDEE] },
          calendars: [
            {
              calid: 'cs7user',
              busy: [
                { start: day.at(-2), end: day.at(1) },
                { start: day.at(9), end: day.at(10.5) },
                { start: day.at(10), end: day.at(12), type: 'BUSY-TENTATIVE' },
              ],
            },
          ],
        },
      ],
      ischedule,
    }),
  );
  const site = stack.use(
    await startRelaySite({
      domains: ['example.com'],
      users: {},
      backEnds: {},
      domainMap: mapped ? [`example.sun.com=${v6.url}ischedule/`] : [],
      more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers:
    - {name: cal7, origin: inside, dialect: draft00, domains: [example.com], networks: [${CAL7}], free-busy: ${access}}
free-busy: {}
`,
    }),
  );
  return { v6, site };
}

/** Sends the sample, octet for octet, and reads one answer. */
async function sendSample({ gateway }: RelaySite): Promise<{ readonly status: number; readonly body: string }> {
  const address = `127.0.0.1:${gateway.port('service')}`;
  using client = await RawClient.open(address, CAL7);
  client.send(HEAD(address) + CS7_QUESTION);
  const head = await client.until(/\r\n\r\n/);
  const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1]);
  const start = head.indexOf('\r\n\r\n') + 4;
  const whole = await client.until(new RegExp(`^[^]{${start + length}}`));
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(whole)?.[1]), body: whole.slice(start) };
}

const FOUND: readonly Row[] = [
  {
    ...{ attendee: ATTENDEE, said: '2.0', window: '00:00-24:00' },
    times: ['00:00-01:00 BUSY', '09:00-10:30 BUSY', '10:30-12:00 BUSY-TENTATIVE'],
  },
];
/** It asks about 2004. */
const SEES_2004 = '{past: 20000d}';

test.each(['schedule-response', 'calendar'] as const)(
  'the v7 product’s sample is answered with the times of v6, which answers by a %s',
  async (ischedule) => {
    const { v6, site } = await siteWith({ mapped: true, access: SEES_2004, ischedule });
    const answer = await sendSample(site);
    expect(answer.status).toBe(200);
    expect(rowsOfResponse(day, answer.body)).toEqual(FOUND);
    // The organizer and the UID are the asker's, and the attendee as he wrote him.
    for (const line of ['UID:34222-232@example.com', 'ORGANIZER:mailto:cs7user@example.com', 'METHOD:REPLY'])
      expect(answer.body).toContain(line);
    expect(v6.asked('ischedule').filter(({ method }) => method === 'POST')).toHaveLength(1);
    expect(site.store.list({})).toEqual([]);
  },
);

test('the v7 product’s sample is answered 3.7 where no server is known for the attendee’s domain', async () => {
  const { v6, site } = await siteWith({ mapped: false, access: SEES_2004 });
  expect(answered({ ...(await sendSample(site)), headers: {} })).toEqual([`${ATTENDEE} 3.7`]);
  expect(v6.requests).toEqual([]);
});

test('the v7 product’s sample asks about 2004, which by default nobody is shown: 3.8, and how far back he may look', async () => {
  const { v6, site } = await siteWith({ mapped: true });
  const answer = await sendSample(site);
  expect(answered({ ...answer, headers: {} })).toEqual([`${ATTENDEE} 3.8`]);
  expect(answer.body).toContain('from 62 days back to 366 days ahead');
  expect(v6.requests).toEqual([]);
});
