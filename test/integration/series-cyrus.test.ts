import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { type Cyrus, startCyrus } from '../servers/servers.ts';
import { CyrusCalendar } from './caldav.ts';
import { HttpRecorder } from './http-recorder.ts';
import { answered, ask } from './ischedule-peer.ts';
import { type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import {
  ADDED,
  componentsOf,
  FIRST,
  SECOND,
  type SeriesEvent,
  seriesMail,
  seriesObject,
  THIRD,
  WEEKLY,
} from './series.ts';
import { arrived, mailFor, QUEUE_POLL, send } from './small-site.ts';

const ALICE = 'alice@example.test';
const OLGA = 'olga@outside.test';
const PETRA = 'petra@outside.test';
const DORA = 'dora@outside.test';

suite(['cyrus'], 'a series in Cyrus', () => {
  const servers = new AsyncDisposableStack();
  let cyrus: Cyrus;
  /** What was posted to it. */
  let posts: HttpRecorder;
  let site: RelaySite;
  let alice: CyrusCalendar;

  beforeAll(async () => {
    cyrus = servers.use(await startCyrus({ users: [ALICE] }));
    posts = servers.use(await HttpRecorder.listen(cyrus.ischedule));
    site = servers.use(
      await startRelaySite({
        domains: ['example.test'],
        users: { [ALICE]: 'cyrus' },
        backEnds: { cyrus: `url: '${posts.url}', profile: cyrus` },
        more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule: {peers: [{name: partner, domains: [outside.test], answer-wait: 10s, networks: [127.0.0.1]}]}
`,
      }),
    );
    alice = new CyrusCalendar(cyrus.url, ALICE);
  });
  afterAll(() => servers.disposeAsync());

  const invited = (uid: string, fields: Partial<SeriesEvent> = {}): SeriesEvent => ({
    ...{ uid: `${uid}@outside.test`, organizer: OLGA, attendees: [ALICE, PETRA] },
    ...fields,
  });
  /** Of alice's own series. */
  const organized = (uid: string, fields: Partial<SeriesEvent> = {}): SeriesEvent => ({
    ...{ uid: `${uid}@example.test`, organizer: ALICE, attendees: [OLGA, PETRA] },
    ...fields,
  });

  /** Mails it to alice, and waits until nothing of it is under way any more. @returns what became of the last post */
  async function mail(
    method: string,
    ...events: readonly [SeriesEvent, ...SeriesEvent[]]
  ): Promise<string | undefined> {
    const [{ uid }] = events;
    const before = statesOfUid(site, uid).length;
    const object = seriesObject(method, ...events);
    await send(site, 'in', { from: OLGA, to: [ALICE], message: seriesMail(OLGA, ALICE, method, object) });
    await expect.poll(() => statesOfUid(site, uid).length, QUEUE_POLL).toBeGreaterThan(before);
    await expect.poll(() => statesOfUid(site, uid).join(), QUEUE_POLL).not.toContain('queued');
    return statesOfUid(site, uid).findLast((state) => state.startsWith('post'));
  }

  /** The status in the mail about this event that alice has. */
  async function annotation(uid: string): Promise<string | undefined> {
    return arrived(await mailFor(site.mailboxes, ALICE, `Message-ID: <${uid}.`)).status;
  }

  /** Alice was invited to the series, and comes. @returns her copy of it */
  async function seed(uid: string): Promise<readonly string[]> {
    expect(await mail('REQUEST', invited(uid, { more: [WEEKLY] }))).toBe(`post to ${ALICE}: delivered`);
    const stored = (await alice.read(`${uid}@outside.test`)) ?? '';
    const coming = stored.replace(/PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:alice/, 'PARTSTAT=ACCEPTED:mailto:alice');
    expect(coming).not.toBe(stored);
    await alice.put(`${uid}@outside.test`, coming);
    return componentsOf(await alice.read(`${uid}@outside.test`)).get('') ?? [];
  }

  const stored = async (uid: string) => componentsOf(await alice.read(uid));

  describe('stands as it was, her answer with it,', () => {
    test('when one instance of it is changed', async () => {
      const series = await seed('changed');
      await mail('REQUEST', invited('changed', { instance: `:${SECOND}`, start: '20300322T120000Z', sequence: 1 }));
      const components = await stored('changed@outside.test');
      expect([...components.keys()]).toEqual(['', `:${SECOND}`]);
      expect(components.get('')).toEqual(series);
      expect(components.get(`:${SECOND}`)).toContain('DTSTART:20300322T120000Z');
    });

    test('when two are, in one message', async () => {
      const series = await seed('two');
      const second = invited('two', { instance: `:${SECOND}`, summary: 'Second', sequence: 1 });
      await mail('REQUEST', second, { ...second, instance: `:${THIRD}`, summary: 'Third' });
      const components = await stored('two@outside.test');
      expect([...components.keys()]).toEqual(['', `:${SECOND}`, `:${THIRD}`]);
      expect(components.get('')).toEqual(series);
    });

    test('when one is cancelled: it has a date less, and nothing else is different', async () => {
      const series = await seed('less');
      await mail('CANCEL', invited('less', { instance: `:${SECOND}`, start: SECOND, sequence: 1 }));
      const components = await stored('less@outside.test');
      expect([...components.keys()]).toEqual(['']);
      expect(components.get('')?.filter((line) => line !== '')).toEqual(
        [...series, `EXDATE:${SECOND}`].filter((line) => line !== ''),
      );
    });

    test('when an instance that was changed is cancelled', async () => {
      const series = await seed('undone');
      await mail('REQUEST', invited('undone', { instance: `:${SECOND}`, start: '20300322T120000Z', sequence: 1 }));
      await mail('CANCEL', invited('undone', { instance: `:${SECOND}`, start: SECOND, sequence: 2 }));
      const components = await stored('undone@outside.test');
      expect(components.get('')).toEqual(series);
      expect(components.get(`:${SECOND}`)).toContain('STATUS:CANCELLED');
    });

    test('when somebody else is taken off it', async () => {
      const series = await seed('other');
      expect(await mail('CANCEL', invited('other', { attendees: [PETRA], sequence: 1 }))).toBe(
        `post to ${ALICE}: skipped`,
      );
      expect((await stored('other@outside.test')).get('')).toEqual(series);
    });

    test('when an instance is added, which is posted as the REQUEST of one', async () => {
      const series = await seed('added');
      expect(await mail('ADD', invited('added', { start: ADDED, sequence: 1 }))).toBe(`post to ${ALICE}: delivered`);
      const components = await stored('added@outside.test');
      expect([...components.keys()]).toEqual(['', `:${ADDED}`]);
      expect(components.get('')).toEqual(series);
      const [, posted] = posts.posts('added@outside.test');
      expect(posted?.rawHeaders).toContainEqual(expect.stringContaining('method=REQUEST'));
    });

    test.each(['REQUEST', 'CANCEL'])(
      'when a %s is for this and future instances: the mail alone says so',
      async (method) => {
        const uid = `range-${method.toLowerCase()}`;
        const series = await seed(uid);
        const instance = `;RANGE=THISANDFUTURE:${THIRD}`;
        expect(await mail(method, invited(uid, { instance, start: THIRD, sequence: 1 }))).toBe(
          `post to ${ALICE}: skipped`,
        );
        const components = await stored(`${uid}@outside.test`);
        expect([...components.keys()]).toEqual(['']);
        expect(components.get('')).toEqual(series);
        expect(posts.posts(`${uid}@outside.test`)).toHaveLength(1);
      },
    );

    test('when a proposal of hers is declined', async () => {
      const series = await seed('declined');
      expect(await mail('DECLINECOUNTER', invited('declined', { sequence: 0 }))).toBe(`post to ${ALICE}: skipped`);
      expect((await stored('declined@outside.test')).get('')).toEqual(series);
    });
  });

  test('joins the instance that alice was invited to before', async () => {
    const uid = 'joined@outside.test';
    await mail('REQUEST', invited('joined', { instance: `:${SECOND}`, start: SECOND, summary: 'Only this' }));
    expect([...(await stored(uid)).keys()]).toEqual([`:${SECOND}`]);
    await mail('REQUEST', invited('joined', { more: [WEEKLY], sequence: 1 }));
    expect([...(await stored(uid)).keys()].sort()).toEqual(['', `:${SECOND}`]);
  });

  test('does not come to be by the CANCEL of one of its instances', async () => {
    await mail('CANCEL', invited('never', { instance: `:${SECOND}`, start: SECOND, sequence: 1 }));
    expect(await alice.read('never@outside.test')).toBeUndefined();
  });

  test('is cancelled with all its instances, and not deleted', async () => {
    await seed('ended');
    await mail('REQUEST', invited('ended', { instance: `:${SECOND}`, start: '20300322T120000Z', sequence: 1 }));
    await mail('CANCEL', invited('ended', { sequence: 2 }));
    const components = await stored('ended@outside.test');
    expect([...components.keys()]).toEqual(['', `:${SECOND}`]);
    for (const lines of components.values()) expect(lines).toContain('STATUS:CANCELLED');
  });

  describe('of alice’s own', () => {
    async function own(uid: string): Promise<void> {
      await alice.put(`${uid}@example.test`, seriesObject(undefined, organized(uid, { more: [WEEKLY] })));
    }
    const attendee = async (uid: string, mailbox: string, instance = '') =>
      (await stored(`${uid}@example.test`)).get(instance)?.find((line) => line.endsWith(`:mailto:${mailbox}`));

    test('has an answer to one instance there alone', async () => {
      await own('single');
      const line = `ATTENDEE;PARTSTAT=DECLINED:mailto:${OLGA}`;
      await mail('REPLY', organized('single', { attendees: [line], instance: `:${SECOND}`, start: SECOND }));
      expect(await attendee('single', OLGA, `:${SECOND}`)).toContain('PARTSTAT=DECLINED');
      expect(await attendee('single', OLGA)).toContain('PARTSTAT=NEEDS-ACTION');
      expect(await attendee('single', PETRA, `:${SECOND}`)).toContain('PARTSTAT=NEEDS-ACTION');
    });

    test('has the answer of a REPLY with REQUEST-STATUS, not its status', async () => {
      await own('status');
      const line = `ATTENDEE;PARTSTAT=ACCEPTED:mailto:${OLGA}`;
      await mail('REPLY', organized('status', { attendees: [line], more: ['REQUEST-STATUS:2.0;Success'] }));
      expect(await attendee('status', OLGA)).toContain('PARTSTAT=ACCEPTED');
      expect(await alice.read('status@example.test')).not.toContain('REQUEST-STATUS');
    });

    test('learns who handed on, from a REPLY that names both, and then the delegate’s answer', async () => {
      await own('handed');
      const from = `ATTENDEE;PARTSTAT=DELEGATED;DELEGATED-TO="mailto:${DORA}":mailto:${OLGA}`;
      const to = `DELEGATED-FROM="mailto:${OLGA}":mailto:${DORA}`;
      await mail('REPLY', organized('handed', { attendees: [from, `ATTENDEE;PARTSTAT=NEEDS-ACTION;${to}`] }));
      expect(await attendee('handed', OLGA)).toContain('PARTSTAT=DELEGATED');
      await mail('REPLY', organized('handed', { attendees: [`ATTENDEE;PARTSTAT=ACCEPTED;${to}`, from] }));
      expect(await attendee('handed', DORA)).toMatch(/PARTSTAT=ACCEPTED/);
      expect(await attendee('handed', DORA)).toContain(`DELEGATED-FROM="mailto:${OLGA}"`);
      expect(await attendee('handed', PETRA)).toContain('PARTSTAT=NEEDS-ACTION');
    });

    test.each(['COUNTER', 'REFRESH'])('stands as it was when a %s comes: alice has it as mail', async (method) => {
      const uid = `asked-${method.toLowerCase()}`;
      await own(uid);
      const before = await alice.read(`${uid}@example.test`);
      const line = `ATTENDEE:mailto:${OLGA}`;
      expect(await mail(method, organized(uid, { attendees: [line], start: ADDED }))).toBe(`post to ${ALICE}: skipped`);
      expect(await annotation(uid)).toContain(`reason="profile cyrus does not take ${method}"`);
      expect(await alice.read(`${uid}@example.test`)).toBe(before);
    });

    test('stands as it was when a peer posts a COUNTER: alice has it as mail', async () => {
      await own('proposed');
      const before = await alice.read('proposed@example.test');
      const attendees = [`ATTENDEE:mailto:${OLGA}`];
      const answer = await ask(site.gateway.port('service'), {
        method: 'POST',
        path: '/ischedule/',
        headers: [
          ['iSchedule-Version', '1.0'],
          ['Originator', `mailto:${OLGA}`],
          ['Recipient', `mailto:${ALICE}`],
          ['Content-Type', 'text/calendar; charset=utf-8; component=VEVENT; method=COUNTER'],
        ],
        body: seriesObject('COUNTER', organized('proposed', { attendees, start: ADDED })),
      });
      expect(answered(answer)).toEqual([expect.stringMatching(`^${ALICE} 1\\.[01]$`)]);
      await expect
        .poll(() => statesOfUid(site, 'proposed@example.test'), QUEUE_POLL)
        .toEqual([`post to ${ALICE}: skipped`, `mail to ${ALICE}: delivered`]);
      expect(await alice.read('proposed@example.test')).toBe(before);
    });
  });

  describe('is misread by Cyrus itself', () => {
    /** Posted past the gateway. */
    async function direct(method: string, event: SeriesEvent): Promise<readonly string[]> {
      const answer = await ask(Number(new URL(cyrus.url).port), {
        method: 'POST',
        path: '/ischedule',
        headers: [
          ['iSchedule-Version', '1.0'],
          ['Originator', `mailto:${OLGA}`],
          ['Recipient', ALICE],
          ['Content-Type', `text/calendar; charset=utf-8; component=VEVENT; method=${method}`],
        ],
        body: seriesObject(method, event),
      });
      return answered(answer);
    }

    test('the CANCEL of this and future instances takes one away', async () => {
      await seed('one-less');
      const instance = `;RANGE=THISANDFUTURE:${THIRD}`;
      expect(await direct('CANCEL', invited('one-less', { instance, start: THIRD, sequence: 1 }))).toEqual([
        `${ALICE} 2.0`,
      ]);
      const series = (await stored('one-less@outside.test')).get('') ?? [];
      expect(series.filter((line) => /^(?:EXDATE|RRULE|STATUS)/.test(line))).toEqual([WEEKLY, `EXDATE:${THIRD}`]);
    });

    test('a REPLY to one instance is lost where the rule has COUNT', async () => {
      const uid = 'counted@example.test';
      await alice.put(uid, seriesObject(undefined, organized('counted', { more: [`${WEEKLY};COUNT=6`] })));
      const before = await alice.read(uid);
      const attendees = [`ATTENDEE;PARTSTAT=DECLINED:mailto:${OLGA}`];
      const reply = organized('counted', { attendees, instance: `:${SECOND}`, start: SECOND });
      expect(await direct('REPLY', reply)).toEqual([`${ALICE} 2.0`]);
      expect(await alice.read(uid)).toBe(before);
    });

    test.each([
      ['ADD', '400 invalid-scheduling-message'],
      ['COUNTER', '400 invalid-scheduling-message'],
      ['REFRESH', '400 invalid-scheduling-message'],
      ['DECLINECOUNTER', '400 invalid-calendar-data'],
    ])('%s is refused', async (method, wanted) => {
      expect(await direct(method, invited(`refused-${method}`, { attendees: [ALICE], start: FIRST }))).toEqual([
        wanted,
      ]);
    });
  });
});
