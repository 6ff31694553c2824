import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { IScheduleDeliverer } from '../../channel/ischedule/deliver.ts';
import { composeKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import { signerOf } from '../../src/config/peers.ts';
import { examine } from '../../src/itip/extract.ts';
import { silentLog } from '../../src/observe/log.ts';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { type Davical, type Knot, startDavical, startKnot } from '../servers/servers.ts';
import { DavicalCollection } from './caldav.ts';
import { CalendarStandIn } from './calendar-stand-in.ts';
import { HttpRecorder, type RecordedPost } from './http-recorder.ts';
import { type EventFields, invitationMail, storedObject } from './invitations.ts';
import { answered, ask, post } from './ischedule-peer.ts';
import { deliveriesOfUid, type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { QUEUE_POLL, send } from './small-site.ts';
import { txt } from './zone.ts';

const ALICE = 'alice@example.test';
const OLGA = 'olga@outside.test';
/** Of a domain that has no iSchedule. */
const ZOE = 'zoe@mail-only.test';
const PETRA = 'petra@outside.test';

/** One octet is another one, and the length the same. */
const flipped = (body: Buffer): Buffer => Buffer.from(body.toString('latin1').replace('Review', 'Revier'), 'latin1');

suite(['davical', 'knot'], 'DAViCal, which signs and verifies', () => {
  const servers = new AsyncDisposableStack();
  let knot: Knot;
  let davical: Davical;
  /** The gateway of example.test, before DAViCal. */
  let inner: RelaySite;
  /** Between it and DAViCal. */
  let toDavical: HttpRecorder;
  /** The gateway of outside.test, to which DAViCal posts. */
  let outer: RelaySite;
  /** Between DAViCal and that one. */
  let fromDavical: HttpRecorder;
  /** The calendar server of outside.test. */
  let outside: CalendarStandIn;

  beforeAll(async () => {
    knot = servers.use(await startKnot({ zones: { 'example.test': '' } }));
    outside = servers.use(await CalendarStandIn.listen());
    const port = await freePort();
    outer = servers.use(
      await startRelaySite({
        domains: ['outside.test'],
        users: { [OLGA]: 'outside', [PETRA]: 'old' },
        backEnds: { outside: `url: '${outside.url}'`, old: `url: 'http://127.0.0.1:9/', profile: oracle-v6` },
        more: `
http: {service: {address: '127.0.0.1:${port}'}}
dns: {servers: ['${knot.address}'], timeout: 500ms}
ischedule:
  peers:
    - {name: davical, domains: [example.test], answer-wait: 5s, dkim: {canonicalizations: [simple-http]}}
`,
      }),
    );
    fromDavical = servers.use(await HttpRecorder.listen(`http://127.0.0.1:${port}/.well-known/ischedule`));
    davical = servers.use(
      await startDavical({ users: ['alice', 'bob'], remotePort: Number(new URL(fromDavical.url).port) }),
    );
    toDavical = servers.use(await HttpRecorder.listen(davical.ischedule));
    inner = servers.use(
      await startRelaySite({
        domains: ['example.test'],
        users: { [ALICE]: 'davical' },
        backEnds: { davical: `url: '${toDavical.url}', profile: davical` },
        more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  keys:
    - {domain: outside.test, selector: cal, key: '${davical.key}'}
    - {domain: example.test, selector: cal, key: '${davical.key}'}
  servers: [{url: '${toDavical.url}', sign-as: example.test}]
  peers: [{name: partner, domains: [outside.test], answer-wait: 10s, networks: [127.0.0.1]}]
`,
      }),
    );
  });
  afterAll(() => servers.disposeAsync());
  beforeEach(() => {
    toDavical.tamper = undefined;
    fromDavical.tamper = undefined;
  });

  function event(uid: string, fields: Partial<EventFields> = {}): EventFields {
    return { uid: `${uid}@outside.test`, organizer: OLGA, attendees: [ALICE], method: 'REQUEST', ...fields };
  }

  /** What lies in alice's scheduling Inbox. */
  function inbox(uid: string): Promise<string | undefined> {
    return new DavicalCollection(davical.url, 'alice', '.in').read(uid);
  }

  test.each([
    ['REQUEST', event('mail-request'), OLGA],
    ['CANCEL', event('mail-cancel', { method: 'CANCEL', sequence: 1 }), OLGA],
    ['REPLY', event('mail-reply', { method: 'REPLY', organizer: ALICE, attendees: [OLGA] }), OLGA],
  ] as const)('takes a %s that came by mail, with our signature', async (method, fields, from) => {
    await send(inner, 'in', { from, to: [ALICE], message: invitationMail(fields) });
    await expect.poll(() => statesOfUid(inner, fields.uid), QUEUE_POLL).toContain(`post to ${ALICE}: delivered`);
    expect(await inbox(fields.uid)).toContain(`METHOD:${method}`);
    const [posted] = toDavical.posts(fields.uid);
    expect(posted?.rawHeaders).toContain('DKIM-Signature');
  });

  test.each([
    ['REQUEST', event('post-request'), OLGA],
    ['CANCEL', event('post-cancel', { method: 'CANCEL', sequence: 1 }), OLGA],
    ['REPLY', event('post-reply', { method: 'REPLY', organizer: ALICE, attendees: [OLGA] }), OLGA],
  ] as const)('takes a %s that another server posted to us, with our signature', async (method, fields, originator) => {
    const answer = await post(inner.gateway.port('service'), { event: fields, originator, recipients: [ALICE] });
    expect(answered(answer)).toEqual([`${ALICE} 2.0`]);
    expect(await inbox(fields.uid)).toContain(`METHOD:${method}`);
  });

  test('takes a REQUEST by somebody whose key nobody here has, with the signature of the gateway’s own domain', async () => {
    const fields = event('foreign', { organizer: ZOE });
    await send(inner, 'in', { from: ZOE, to: [ALICE], message: invitationMail(fields) });
    await expect.poll(() => statesOfUid(inner, fields.uid), QUEUE_POLL).toContain(`post to ${ALICE}: delivered`);
    expect(await inbox(fields.uid)).toContain(`ORGANIZER:mailto:${ZOE}`);
    const [posted] = toDavical.posts(fields.uid);
    expect(posted?.rawHeaders.join('\n')).toContain('; d=example.test; ');
  });

  test('answers our signed VFREEBUSY with the times that its user is busy', async () => {
    const busy = event('busy', { organizer: ALICE, attendees: [] });
    await new DavicalCollection(davical.url, 'alice', 'calendar').put(busy.uid, storedObject(busy));
    // Mail never asks for busy times, so the flow posts no VFREEBUSY: this is the channel by itself.
    const server = new URL(toDavical.url);
    const key = createPrivateKey(readFileSync(davical.key));
    await using channel = new IScheduleDeliverer(
      {
        ...{ server, timeoutMs: 20_000, connectTimeoutMs: 5000, connections: 1, maxRedirects: 3, redirectHosts: [] },
        ...{ userAgent: 'imipd/test', maxResponseBytes: 1_000_000 },
        signer: signerOf([{ domain: 'outside.test', selector: 'cal', key }]),
      },
      silentLog,
    );
    const outcomes = await channel.deliver(
      {
        ...{ queueId: 'Q1', server, profile: 'davical', messageId: 'freebusy.1', originator: OLGA },
        ...{ recipients: [ALICE], method: 'REQUEST', component: 'VFREEBUSY' },
        content: Buffer.from(freeBusyRequest('freebusy@outside.test')),
      },
      new AbortController().signal,
    );
    expect(outcomes).toMatchObject([{ kind: 'delivered', requestStatus: '2.0' }]);
    const [posted] = toDavical.posts('freebusy@outside.test');
    expect(posted?.answer).toContain('METHOD:REPLY');
    expect(posted?.answer).toMatch(/FREEBUSY[^\r\n]*:20300315T100000Z\/(20300315T110000Z|PT1H)/);
  });

  test('refuses what was changed after we signed it: an alarm, the post stays, and goes through unchanged', async () => {
    toDavical.tamper = flipped;
    const fields = event('tampered');
    await send(inner, 'in', { from: OLGA, to: [ALICE], message: invitationMail(fields) });
    const line = await inner.gateway.waitForLog(
      (entry) => entry.channel === 'ischedule' && entry.alarm === true && String(entry.uid) === fields.uid,
    );
    expect(line).toMatchObject({ outcome: 'deferred', status: '4.3.5', diagnostic: 'http; 412' });
    expect(await inbox(fields.uid)).toBeUndefined();
    expect(statesOfUid(inner, fields.uid)).toContain(`post to ${ALICE}: queued`);
    toDavical.tamper = undefined;
    await expect.poll(() => statesOfUid(inner, fields.uid), QUEUE_POLL).toContain(`post to ${ALICE}: delivered`);
    expect(await inbox(fields.uid)).toContain('SUMMARY:Review');
  });

  // ---- its own posts

  /** What the DNS says from now on; the gateway of outside.test has not asked before. */
  async function publish(records: string): Promise<void> {
    await knot.setZone('example.test', records);
    await outer.gateway.restart();
  }

  /** The key that DAViCal signs with, as its administrator would publish it. */
  function itsKey(): string {
    const record = composeKeyRecord(createPublicKey(readFileSync(davical.key)));
    return `cal._domainkey ${txt(record)}`;
  }

  /**
   * Alice, by her own program, puts an event into her calendar; before it answers, DAViCal posts to us.
   * @returns what DAViCal was answered for that post, and what it noted with the attendee
   */
  async function invite(uid: string, attendee: string) {
    const calendar = new DavicalCollection(davical.url, 'alice', 'calendar');
    const fields = event(uid, { organizer: ALICE, attendees: [attendee] });
    await calendar.put(fields.uid, storedObject(fields));
    const [posted, ...more] = fromDavical.posts(`UID:${fields.uid}`);
    expect(more).toEqual([]);
    const noted = /^ATTENDEE;.*SCHEDULE-STATUS="?([^":]*)/m.exec((await calendar.read(fields.uid)) ?? '')?.[1];
    return { answer: answered({ status: posted?.status ?? 0, headers: {}, body: posted?.answer ?? '' }), noted };
  }

  test('posts with a signature whose key we find in the DNS, and the post goes on to the calendar server', async () => {
    await publish(itsKey());
    expect(await invite('own', OLGA)).toEqual({ answer: [`${OLGA} 2.0`], noted: '2.0;Success' });
    const [onward] = outside.of('own@outside.test');
    expect(onward?.recipients).toEqual([OLGA]);
    expect(onward?.body).toContain('METHOD:REQUEST');
    await outer.gateway.waitForLog((line) => line.proof === 'dkim' && line.peer === 'davical');
  });

  test('posts for one whose calendar takes mail, who gets one', async () => {
    await publish(itsKey());
    expect(await invite('own-mailed', PETRA)).toEqual({ answer: [`${PETRA} 1.1`], noted: '1.1;Sent' });
    const [mail] = await outer.mailboxes.waitFor(({ recipients }) =>
      recipients.some(({ address }) => address === PETRA),
    );
    const found = await examine(mail?.content ?? Buffer.alloc(0));
    const [posted] = fromDavical.posts('own-mailed');
    expect([mail?.from, found.kind === 'object' && found.object.content.toString('utf8')]).toEqual([
      ALICE,
      posted?.body,
    ]);
  });

  test('posts what nobody can use a second time: a copy is answered as it was, under another id it is refused', async () => {
    await publish(itsKey());
    await invite('own-copied', OLGA);
    const [{ rawHeaders, body }] = fromDavical.posts('own-copied') as [RecordedPost];
    const pairs = rawHeaders.flatMap((name, at): [string, string][] =>
      at % 2 ? [] : [[name, rawHeaders[at + 1] ?? '']],
    );
    const headers = pairs.filter(([name]) => !/^(host|content-length)$/i.test(name));
    const copy = (more: readonly [string, string][] = []) =>
      ask(outer.gateway.port('service'), {
        ...{ method: 'POST', path: '/.well-known/ischedule', headers: [...headers, ...more], body },
      });
    expect(answered(await copy())).toEqual([`${OLGA} 2.0`]);
    expect(answered(await copy([['iSchedule-Message-ID', 'another.1']]))).toEqual(['403 verification-failed']);
    expect(outside.of('own-copied')).toHaveLength(1);
  });

  test('is refused when a byte was changed on the way', async () => {
    await publish(itsKey());
    fromDavical.tamper = flipped;
    expect(await invite('own-tampered', OLGA)).toEqual({ answer: ['403 verification-failed'], noted: '3.7' });
    expect(deliveriesOfUid(outer, 'own-tampered@outside.test')).toEqual([]);
  });

  test('is refused when the key in the DNS is another', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await publish(`cal._domainkey ${txt(composeKeyRecord(publicKey))}`);
    expect(await invite('own-other-key', OLGA)).toEqual({ answer: ['403 verification-failed'], noted: '3.7' });
    expect(deliveriesOfUid(outer, 'own-other-key@outside.test')).toEqual([]);
  });

  test('is refused when there is no key in the DNS', async () => {
    await publish('');
    expect(await invite('own-no-key', OLGA)).toEqual({ answer: ['403 verification-failed'], noted: '3.7' });
    expect(deliveriesOfUid(outer, 'own-no-key@outside.test')).toEqual([]);
  });

  test('is told to come again while the DNS is silent, and nothing of it is kept', async () => {
    await knot.stop();
    const silent = createSocket('udp4').bind(knot.port, '127.0.0.1');
    try {
      await once(silent, 'listening');
      await outer.gateway.restart();
      const { answer } = await invite('own-silent', OLGA);
      expect(answer).toMatchObject([expect.stringMatching(/^503 /)]);
      expect(deliveriesOfUid(outer, 'own-silent@outside.test')).toEqual([]);
    } finally {
      silent.close();
      await once(silent, 'close');
      await knot.start();
    }
  });
});

function freeBusyRequest(uid: string): string {
  return [
    ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Free busy//EN', 'METHOD:REQUEST', 'BEGIN:VFREEBUSY'],
    ...[`UID:${uid}`, 'DTSTAMP:20300101T080000Z', 'DTSTART:20300315T000000Z', 'DTEND:20300316T000000Z'],
    ...[`ORGANIZER:mailto:${OLGA}`, `ATTENDEE:mailto:${ALICE}`, 'END:VFREEBUSY', 'END:VCALENDAR', ''],
  ].join('\r\n');
}
