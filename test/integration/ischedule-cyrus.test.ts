import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askCalendarServer } from '../../src/commands/calendar-server.ts';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { type Cyrus, startCyrus } from '../servers/servers.ts';
import { CyrusCalendar } from './caldav.ts';
import { CalendarStandIn } from './calendar-stand-in.ts';
import { HttpRecorder } from './http-recorder.ts';
import { type EventFields, storedObject } from './invitations.ts';
import { answered, type PeerPost, post } from './ischedule-peer.ts';
import { deliveriesOfUid, type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { mailFor, QUEUE_POLL } from './small-site.ts';

const ALICE = 'alice@example.test';
const BOB = 'bob@example.test';
/** Cyrus dies of this address where it stands as a URI. */
const FATAL = 'alice+work@example.test';
const OLGA = 'olga@outside.test';
const PETRA = 'petra@outside.test';
/** Outside, and no line of the domain map concerns it. */
const MARY = 'mary@mail-only.test';

/** Where the server of outside.test connects from, and somebody else. */
const PARTNER = '127.0.0.2';
const STRANGER = '127.0.0.3';

suite(['cyrus'], 'Cyrus behind a gateway that is posted to', () => {
  const servers = new AsyncDisposableStack();
  let cyrus: Cyrus;
  /** What was posted to it. */
  let posts: HttpRecorder;
  let site: RelaySite;
  /** The calendar server of outside.test. */
  let outside: CalendarStandIn;
  let alice: CyrusCalendar;
  let bob: CyrusCalendar;

  beforeAll(async () => {
    const ownPort = await freePort();
    cyrus = servers.use(await startCyrus({ users: [ALICE, BOB], smtpOut: ownPort }));
    posts = servers.use(await HttpRecorder.listen(cyrus.ischedule));
    outside = servers.use(await CalendarStandIn.listen());
    site = servers.use(
      await startRelaySite({
        domains: ['example.test'],
        users: { [ALICE]: 'cyrus', [BOB]: 'cyrus', [FATAL]: 'fatal' },
        backEnds: { cyrus: `url: '${posts.url}', profile: cyrus`, fatal: `url: '${posts.url}', profile: generic` },
        domainMap: [`outside.test=${outside.url}`],
        ownPort,
        more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers: [{name: partner, domains: [outside.test], answer-wait: 10s, networks: [${PARTNER}]}]
`,
      }),
    );
    alice = new CyrusCalendar(cyrus.url, ALICE);
    bob = new CyrusCalendar(cyrus.url, BOB);
  });
  afterAll(() => servers.disposeAsync());

  function event(uid: string, fields: Partial<EventFields> = {}): EventFields {
    return { uid: `${uid}@outside.test`, organizer: OLGA, attendees: [ALICE], method: 'REQUEST', ...fields };
  }

  /** Posts as the server of outside.test does, for the organizer to the attendees unless told otherwise. */
  async function relay(fields: EventFields, more: Partial<PeerPost> = {}, from = PARTNER): Promise<readonly string[]> {
    const whole = { event: fields, originator: fields.organizer, recipients: fields.attendees, ...more };
    return answered(await post(site.gateway.port('service'), whole, from));
  }

  test('has what was invited, changed and cancelled', async () => {
    const fields = event('life', { attendees: [ALICE, BOB] });
    const all = [`${ALICE} 2.0`, `${BOB} 2.0`];
    expect(await relay(fields)).toEqual(all);
    for (const calendar of [alice, bob]) expect(await calendar.read(fields.uid)).toContain('SUMMARY:Review');

    const later = { sequence: 1, dtstamp: '20300101T090000Z', summary: 'Review, moved' };
    expect(await relay({ ...fields, ...later })).toEqual(all);
    for (const calendar of [alice, bob]) expect(await calendar.read(fields.uid)).toContain('SUMMARY:Review\\, moved');

    const last = { method: 'CANCEL', sequence: 2, dtstamp: '20300101T100000Z' } as const;
    expect(await relay({ ...fields, ...last })).toEqual(all);
    for (const calendar of [alice, bob]) expect(await calendar.read(fields.uid)).toContain('STATUS:CANCELLED');
  });

  test('has the answer of one who was invited', async () => {
    const own = event('answer', { organizer: ALICE, attendees: [OLGA] });
    await alice.put(own.uid, storedObject(own));
    const reply: EventFields = { ...own, method: 'REPLY', partstat: 'DECLINED', dtstamp: '20300102T080000Z' };
    expect(await relay(reply, { originator: OLGA, recipients: [ALICE] })).toEqual([`${ALICE} 2.0`]);
    expect(await alice.read(own.uid)).toMatch(/ATTENDEE;[^\r\n]*PARTSTAT=DECLINED[^\r\n]*:mailto:olga@outside\.test/);
  });

  test('may be asked whether it is there as often as an administrator likes', async () => {
    const answers = [];
    // One httpd process answers several of them, and dies of its second question for capabilities.
    for (let time = 0; time < 8; time++)
      answers.push(await askCalendarServer({ url: cyrus.ischedule, profile: 'cyrus' }, { timeoutMs: 10_000 }));
    expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['answers']));
  });

  describe('is not changed by', () => {
    const uid = 'safe@outside.test';
    const now: EventFields = { ...event('safe'), sequence: 3, dtstamp: '20300103T080000Z' };
    const forged = { sequence: 9, dtstamp: '20300109T080000Z', summary: 'Forged' };

    beforeAll(async () => {
      expect(await relay(now)).toEqual([`${ALICE} 2.0`]);
    });

    test.each<readonly [string, () => Promise<readonly string[]>, readonly string[]]>([
      [
        'somebody from an address that no peer has',
        () => relay({ ...now, ...forged }, {}, STRANGER),
        ['403 verification-failed'],
      ],
      [
        'a peer that speaks for one of ours',
        () => relay({ ...now, ...forged, organizer: BOB }),
        ['403 originator-denied'],
      ],
      [
        'a post in the name of another than its organizer',
        () => relay({ ...now, ...forged }, { originator: PETRA }),
        ['403 originator-invalid'],
      ],
      [
        'a post for one who is not invited',
        () => relay({ ...now, ...forged, attendees: [BOB] }, { recipients: [ALICE] }),
        ['403 recipient-mismatch'],
      ],
      [
        'an older version, which has been there',
        () => relay({ ...now, sequence: 2, summary: 'Old' }),
        [`${ALICE} 2.0`],
      ],
      [
        'a CANCEL by another organizer',
        () => relay({ ...now, ...forged, organizer: PETRA, method: 'CANCEL' }),
        [`${ALICE} 3.8`],
      ],
    ])('%s', async (_, attempt, answer) => {
      const before = await alice.read(uid);
      const posted = posts.posts(uid).length;
      expect(before).toContain('SUMMARY:Review');
      expect(await attempt()).toEqual(answer);
      expect(await alice.read(uid)).toBe(before);
      expect(posts.posts(uid)).toHaveLength(posted);
    });
  });

  test('sends invitations to outsiders by mail, and the gateway posts them where the domain map says', async () => {
    const own = event('out', { organizer: ALICE, attendees: [OLGA, MARY] });
    await alice.put(own.uid, storedObject(own));
    const [posted] = await outside.waitFor(own.uid);
    expect(posted?.recipients).toEqual([OLGA]);
    expect(posted?.body).toContain('METHOD:REQUEST');
    const mail = await mailFor(site.world, MARY, 'Review');
    expect(mail.from).toBe(ALICE);
  });

  // Last: from here on it dies again and again.
  test('dies of one recipient: his post is not lost and tried again, and the others have theirs', async () => {
    const fields = event('fatal', { attendees: [FATAL, BOB] });
    expect(await relay(fields)).toEqual([`${FATAL} 1.0`, `${BOB} 2.0`]);
    expect(await bob.read(fields.uid)).toContain('SUMMARY:Review');
    const attempts = await site.gateway.waitForLines((line) => line.channel === 'ischedule' && line.to === FATAL, 3);
    for (const line of attempts) expect(line).toMatchObject({ outcome: 'deferred', status: '4.4.2' });
    expect(posts.posts(fields.uid).filter(({ status }) => status === 0).length).toBeGreaterThan(1);
    expect(statesOfUid(site, fields.uid)).toEqual([`post to ${FATAL}: queued`, `post to ${BOB}: delivered`]);

    expect(await relay(event('after-fatal', { attendees: [BOB] }))).toEqual([`${BOB} 2.0`]);
    const [{ queueId = '' } = {}] = deliveriesOfUid(site, fields.uid);
    // A delivery is left alone while an attempt of it is under way: the command is then given again.
    const deleted = async (): Promise<readonly string[]> => {
      expect(await site.gateway.command('queue', 'delete', queueId)).toMatchObject({ code: 0 });
      return statesOfUid(site, fields.uid);
    };
    await expect.poll(deleted, QUEUE_POLL).toContain(`post to ${FATAL}: deleted`);
  });
});
