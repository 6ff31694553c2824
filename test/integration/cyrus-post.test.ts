import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PostBatch } from '../../channel/channel.ts';
import { IScheduleDeliverer } from '../../channel/ischedule/deliver.ts';
import { examine } from '../../src/itip/extract.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { silentLog } from '../../src/observe/log.ts';
import { suite } from '../servers/installed.ts';
import { type Cyrus, startCyrus } from '../servers/servers.ts';
import { CyrusCalendar } from './caldav.ts';
import { calendarObject, type EventFields, storedObject } from './invitations.ts';

const ALICE = 'alice@example.test';
const BOB = 'bob@example.test';
const OLGA = 'olga@outside.test';

suite(['cyrus'], 'the iSchedule channel with Cyrus', () => {
  let cyrus: Cyrus;
  let channel: IScheduleDeliverer;
  let alice: CyrusCalendar;

  function connect(url: string): IScheduleDeliverer {
    return new IScheduleDeliverer(
      {
        ...{ server: new URL(url), timeoutMs: 20_000, connectTimeoutMs: 5000, connections: 2, maxRedirects: 3 },
        ...{ redirectHosts: [], userAgent: 'imipd/test', maxResponseBytes: 1_000_000 },
      },
      silentLog,
    );
  }

  beforeAll(async () => {
    cyrus = await startCyrus({ users: [ALICE, BOB] });
    channel = connect(cyrus.ischedule);
    alice = new CyrusCalendar(cyrus.url, ALICE);
  });

  afterAll(async () => {
    await channel?.[Symbol.asyncDispose]();
    await cyrus?.[Symbol.asyncDispose]();
  });

  function event(uid: string, overrides: Partial<EventFields> = {}): EventFields {
    return { uid, organizer: OLGA, attendees: [ALICE], method: 'REQUEST', ...overrides };
  }

  async function post(
    fields: EventFields,
    overrides: Partial<PostBatch> = {},
    through = channel,
  ): Promise<readonly Outcome[]> {
    const batch: PostBatch = {
      ...{ queueId: 'Q1', server: new URL(cyrus.ischedule), profile: 'cyrus', messageId: `${fields.uid}.0` },
      ...{ originator: fields.organizer, recipients: fields.attendees, method: fields.method, component: 'VEVENT' },
      content: Buffer.from(calendarObject(fields)),
      ...overrides,
    };
    return through.deliver(batch, new AbortController().signal);
  }

  test.each(['generic', 'cyrus'] as const)('a REQUEST by profile %s stands in the calendar', async (profile) => {
    const uid = `request-${profile}@outside.test`;
    const [outcome] = await post(event(uid, { summary: 'Grüße' }), { profile });
    expect(outcome).toMatchObject({ kind: 'delivered', status: '2.0.0', requestStatus: '2.0', answered: true });
    expect(await alice.read(uid)).toContain('SUMMARY:Grüße');
  });

  test('by the well-known path, which redirects, it stands there too', async () => {
    const uid = 'well-known@outside.test';
    const [outcome] = await post(event(uid), { server: new URL('/.well-known/ischedule', cyrus.url) });
    expect(outcome).toMatchObject({ kind: 'delivered' });
    expect(await alice.read(uid)).toContain('SUMMARY:Review');
  });

  test('a CANCEL by profile cyrus marks the event, by the URI form it would be lost in silence', async () => {
    const uid = 'cancel@outside.test';
    await post(event(uid));
    const cancel = event(uid, { method: 'CANCEL', sequence: 1 });
    expect(await post(cancel, { profile: 'generic' })).toMatchObject([{ kind: 'delivered', requestStatus: '2.0' }]);
    expect(await alice.read(uid)).not.toContain('STATUS:CANCELLED');
    expect(await post(cancel)).toMatchObject([{ kind: 'delivered', requestStatus: '2.0' }]);
    expect(await alice.read(uid)).toContain('STATUS:CANCELLED');
  });

  test('two known recipients and an unknown one are answered each, whatever their case', async () => {
    const uid = 'several@outside.test';
    const attendees = [ALICE, 'zoe@example.test', 'Bob@Example.Test'];
    const outcomes = await post(event(uid, { attendees }));
    expect(outcomes.map(({ kind, requestStatus }) => [kind, requestStatus])).toEqual([
      ['delivered', '2.0'],
      ['failed', '3.7'],
      ['delivered', '2.0'],
    ]);
    expect(outcomes[1]).toMatchObject({ status: '5.1.1' });
    expect(await alice.read(uid)).toContain('SUMMARY:Review');
    expect(await new CyrusCalendar(cyrus.url, BOB).read(uid)).toContain('SUMMARY:Review');
  });

  test('a REPLY reaches the organizer’s event; to an unknown UID it fails', async () => {
    const uid = 'reply@example.test';
    const own = event(uid, { organizer: ALICE, attendees: [BOB] });
    await alice.put(uid, storedObject(own));
    const reply: EventFields = { ...own, method: 'REPLY', partstat: 'DECLINED', dtstamp: '20300102T080000Z' };
    const toAlice = { originator: BOB, recipients: [ALICE] };
    expect(await post(reply, toAlice)).toMatchObject([{ kind: 'delivered', requestStatus: '2.0' }]);
    expect(await alice.read(uid)).toMatch(/ATTENDEE;[^\r\n]*PARTSTAT=DECLINED/);
    const unknown = { ...reply, uid: 'never-seen@example.test' };
    expect(await post(unknown, toAlice)).toMatchObject([{ kind: 'failed', status: '5.3.0', requestStatus: '5.2' }]);
  });

  // Each of these is 400 from Cyrus as it came.
  test.each<readonly [string, Partial<EventFields>, (source: string) => string]>([
    ['no SUMMARY', {}, (source) => source.replace(/SUMMARY:.*\r\n/, '')],
    ['an empty SUMMARY', {}, (source) => source.replace(/SUMMARY:.*/, 'SUMMARY:')],
    ['ORGANIZER twice', {}, (source) => source.replace(/ORGANIZER:(.*)\r\n/, 'ORGANIZER:$1\r\nORGANIZER:$1\r\n')],
    ['properties without value', {}, (source) => source.replace('SUMMARY', 'CLASS:\r\nCATEGORIES:\r\nX-A:\r\nSUMMARY')],
    ['no SEQUENCE in CANCEL', { method: 'CANCEL' }, (source) => source.replace(/SEQUENCE:.*\r\n/, '')],
  ])('an object with %s is taken once it is repaired', async (name, overrides, spoil) => {
    const fields = event(`${name.replaceAll(' ', '-')}@outside.test`, overrides);
    const source = spoil(calendarObject(fields));
    expect(source).not.toBe(calendarObject(fields));
    expect(await post(fields, { content: Buffer.from(source) })).toMatchObject([{ kind: 'failed', status: '5.6.0' }]);
    const mail = `Content-Type: text/calendar; method=${fields.method}; charset=utf-8\r\n\r\n${source}`;
    const found = await examine(Buffer.from(mail));
    if (found.kind === 'none') throw new Error(found.reason);
    expect(await post(fields, { content: found.object.content })).toMatchObject([{ kind: 'delivered' }]);
  });

  test('what is not iCalendar fails', async () => {
    const outcomes = await post(event('broken@outside.test'), { content: Buffer.from('hello') });
    expect(outcomes).toMatchObject([
      { kind: 'failed', status: '5.6.0', diagnostic: 'http; 400 invalid-calendar-data' },
    ]);
  });

  test('a Cyrus that wants a signature refuses the gateway, not the mail: deferred, with an alarm', async () => {
    const strict = connect(cyrus.strictIschedule);
    try {
      const outcomes = await post(event('strict@outside.test'), { server: new URL(cyrus.strictIschedule) }, strict);
      expect(outcomes).toMatchObject([
        {
          kind: 'deferred',
          status: '4.3.5',
          alarm: true,
          answered: true,
          diagnostic: 'http; 403 verification-failed: No signature',
        },
      ]);
    } finally {
      await strict[Symbol.asyncDispose]();
    }
  });

  test('a Cyrus that dies over a sub-address in URI form is a lost connection, and the next post goes through', async () => {
    const outcomes = await post(event('crash@outside.test'), {
      profile: 'generic',
      recipients: ['alice+work@example.test'],
    });
    expect(outcomes).toMatchObject([{ kind: 'deferred', status: '4.4.2', answered: false }]);
    expect(await post(event('after-crash@outside.test'))).toMatchObject([{ kind: 'delivered' }]);
  });
});
