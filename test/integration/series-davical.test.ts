import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { type Davical, startDavical } from '../servers/servers.ts';
import { DavicalCollection } from './caldav.ts';
import { HttpRecorder } from './http-recorder.ts';
import { answered, ask } from './ischedule-peer.ts';
import { type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { ADDED, componentsOf, SECOND, type SeriesEvent, seriesMail, seriesObject, THIRD, WEEKLY } from './series.ts';
import { arrived, mailFor, QUEUE_POLL, send } from './small-site.ts';

const ALICE = 'alice@example.test';
const OLGA = 'olga@outside.test';
const DELIVERED = `post to ${ALICE}: delivered`;
const SKIPPED = `post to ${ALICE}: skipped`;

suite(['davical'], 'a series in the scheduling Inbox of DAViCal, which has one file per UID', () => {
  const servers = new AsyncDisposableStack();
  let posts: HttpRecorder;
  let site: RelaySite;
  let inbox: DavicalCollection;

  beforeAll(async () => {
    const davical: Davical = servers.use(await startDavical({ users: ['alice'] }));
    posts = servers.use(await HttpRecorder.listen(davical.ischedule));
    site = servers.use(
      await startRelaySite({
        domains: ['example.test'],
        users: { [ALICE]: 'davical' },
        backEnds: { davical: `url: '${posts.url}', profile: davical` },
        more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  keys: [{domain: outside.test, selector: cal, key: '${davical.key}'}]
  peers: [{name: partner, domains: [outside.test], answer-wait: 10s, networks: [127.0.0.1]}]
`,
      }),
    );
    inbox = new DavicalCollection(davical.url, 'alice', '.in');
  });
  afterAll(() => servers.disposeAsync());

  const event = (uid: string, fields: Partial<SeriesEvent> = {}): SeriesEvent => ({
    ...{ uid: `${uid}@outside.test`, organizer: OLGA, attendees: [ALICE] },
    ...fields,
  });
  const instance = (uid: string, fields: Partial<SeriesEvent> = {}): SeriesEvent =>
    event(uid, { instance: `:${SECOND}`, start: SECOND, sequence: 1, ...fields });

  /** Mails it to alice, and waits until nothing of it is under way any more. @returns what became of the last post */
  async function mail(method: string, changed: SeriesEvent): Promise<string | undefined> {
    const { uid } = changed;
    const before = statesOfUid(site, uid).length;
    const message = seriesMail(OLGA, ALICE, method, seriesObject(method, changed));
    await send(site, 'in', { from: OLGA, to: [ALICE], message });
    await expect.poll(() => statesOfUid(site, uid).length, QUEUE_POLL).toBeGreaterThan(before);
    await expect.poll(() => statesOfUid(site, uid).join(), QUEUE_POLL).not.toContain('queued');
    return statesOfUid(site, uid).findLast((state) => state.startsWith('post'));
  }

  /** Of which instances the message in the Inbox speaks. */
  async function filed(uid: string): Promise<readonly string[]> {
    return [...componentsOf(await inbox.read(`${uid}@outside.test`)).keys()];
  }

  describe('is still there', () => {
    test.each([
      ['a changed instance', 'changed', 'REQUEST', {}],
      ['a cancelled instance', 'cancelled', 'CANCEL', {}],
      ['a change to this and future ones', 'ranged', 'REQUEST', { instance: `;RANGE=THISANDFUTURE:${SECOND}` }],
    ])('after %s, which alice has as mail', async (_, uid, method, fields) => {
      expect(await mail('REQUEST', event(uid, { more: [WEEKLY] }))).toBe(DELIVERED);
      const series = await inbox.read(`${uid}@outside.test`);
      expect(await mail(method, instance(uid, { summary: `Only ${uid}`, ...fields }))).toBe(SKIPPED);
      expect(await inbox.read(`${uid}@outside.test`)).toBe(series);
      const { status } = arrived(await mailFor(site.mailboxes, ALICE, `SUMMARY:Only ${uid}`));
      expect(status).toContain(`profile davical keeps one message per UID: this ${method} of an instance would`);
    });

    test('after a changed instance that a peer posts: alice has it as mail', async () => {
      const uid = 'posted';
      await mail('REQUEST', event(uid, { more: [WEEKLY] }));
      const series = await inbox.read(`${uid}@outside.test`);
      const answer = await ask(site.gateway.port('service'), {
        method: 'POST',
        path: '/ischedule/',
        headers: [
          ['iSchedule-Version', '1.0'],
          ['Originator', `mailto:${OLGA}`],
          ['Recipient', `mailto:${ALICE}`],
          ['Content-Type', 'text/calendar; charset=utf-8; component=VEVENT; method=REQUEST'],
        ],
        body: seriesObject('REQUEST', instance(uid)),
      });
      expect(answered(answer)).toEqual([expect.stringMatching(`^${ALICE} 1\\.[01]$`)]);
      const mailed = () => statesOfUid(site, `${uid}@outside.test`).filter((state) => state.startsWith('mail'));
      await expect.poll(mailed, QUEUE_POLL).toEqual(Array(2).fill(`mail to ${ALICE}: delivered`));
      expect(await inbox.read(`${uid}@outside.test`)).toBe(series);
    });

    test.each(['ADD', 'DECLINECOUNTER'])('after %s, which alice has as mail', async (method) => {
      await mail('REQUEST', event(`kept-${method}`, { more: [WEEKLY] }));
      expect(await mail(method, event(`kept-${method}`, { start: ADDED, sequence: 1 }))).toBe(SKIPPED);
      expect(await filed(`kept-${method}`)).toEqual(['']);
    });
  });

  test('takes the place of an instance that was there alone', async () => {
    expect(await mail('REQUEST', instance('alone'))).toBe(DELIVERED);
    expect(await filed('alone')).toEqual([`:${SECOND}`]);
    expect(await mail('REQUEST', event('alone', { more: [WEEKLY], sequence: 2 }))).toBe(DELIVERED);
    expect(await filed('alone')).toEqual(['']);
  });

  test('an instance takes the place of what was said of it, and of no other', async () => {
    expect(await mail('REQUEST', instance('single'))).toBe(DELIVERED);
    expect(await mail('CANCEL', instance('single', { sequence: 2 }))).toBe(DELIVERED);
    expect(await inbox.read('single@outside.test')).toContain('METHOD:CANCEL');
    expect(await mail('REQUEST', instance('single', { instance: `:${THIRD}`, sequence: 3 }))).toBe(SKIPPED);
    expect(await filed('single')).toEqual([`:${SECOND}`]);
  });

  test('this and future instances stand in it as they came, for alice’s own program to read', async () => {
    const ranged = `;RANGE=THISANDFUTURE:${SECOND}`;
    expect(await mail('REQUEST', instance('future', { instance: ranged }))).toBe(DELIVERED);
    expect(await filed('future')).toEqual([ranged]);
  });
});
