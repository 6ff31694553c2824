import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answered, ask, type PeerPost, post } from './ischedule-peer.ts';
import type { SinkMail } from './mail-sink.ts';
import {
  ALICE,
  BOB,
  calmDown,
  OLGA,
  outcomesOf,
  QUEUE_POLL,
  request,
  type SmallSite,
  SPECIAL,
  startSmallSite,
  statesOf,
} from './small-site.ts';

/** Where the peers of {@link peers} connect from. */
const INSIDE = '127.0.0.2';
const OUTSIDE = '127.0.0.3';
const STRANGER = '127.0.0.4';

let site: SmallSite;
let port: number;

beforeAll(async () => {
  site = await startSmallSite({
    listeners: ['name: in'],
    calendar: [`default: {url: 'http://127.0.0.1:9/ischedule', profile: oracle-v6}`],
    more: `
http:
  service: {address: '127.0.0.1:0'}
ischedule:
  peers:
    - {name: cal7, origin: inside, domains: [example.com], networks: [${INSIDE}], answer-wait: 2s}
    - {name: partner, domains: ['*'], networks: [${OUTSIDE}], answer-wait: 2s}
  accept: {max-recipients: 5}
`,
  });
  port = site.gateway.port('service');
});
afterAll(async () => await site?.[Symbol.asyncDispose]());
beforeEach(async () => await calmDown(site));

/** A REQUEST of olga, posted by the server of her domain. */
function fromOlga(uid: string, recipients: readonly string[], more: Partial<PeerPost> = {}): PeerPost {
  return {
    event: request({ uid, attendees: recipients }),
    originator: OLGA,
    recipients,
    messageId: `${uid}.1`,
    ...more,
  };
}

/** The calendar object of a mail that holds nothing else. */
function objectIn({ content }: SinkMail): string {
  const text = content.toString('latin1');
  return Buffer.from(text.slice(text.indexOf('\r\n\r\n')), 'base64').toString('utf8');
}

/** The queue ids of the messages with this UID, oldest first. */
function queued(uid: string): readonly string[] {
  const all = site.store.list({}).filter(({ message }) => message.uid === uid);
  return [...new Set(all.map(({ queueId }) => queueId))];
}

describe('a post', () => {
  test('for a user with a calendar is posted onward and answered with what the calendar server said', async () => {
    const answer = await post(port, fromOlga('onward', [ALICE]), OUTSIDE);
    expect(answered(answer)).toEqual([`${ALICE} 2.0`]);
    const [posted, ...more] = site.calendar.of('onward');
    expect([posted?.recipients, more]).toEqual([[ALICE], []]);
    expect(posted?.body).toContain('METHOD:REQUEST');
  });

  test('for a user of v6, and for one without a calendar, goes on as mail and is answered 1.1', async () => {
    const recipients = [SPECIAL.unmarked, SPECIAL.withoutCalendar];
    const answer = await post(port, fromOlga('by-mail', recipients), OUTSIDE);
    expect(answered(answer)).toEqual(recipients.map((recipient) => `${recipient} 1.1`));
    const [mail] = await site.mailboxes.waitFor((one) => objectIn(one).includes('UID:by-mail\r\n'));
    expect(mail?.recipients.map(({ address }) => address)).toEqual(recipients);
    expect(mail?.from).toBe(OLGA);
    expect(site.calendar.of('by-mail')).toEqual([]);
  });

  test('for nobody that the directory knows is answered 3.7, and the others all the same', async () => {
    const answer = await post(port, fromOlga('unknown', [SPECIAL.unknown, BOB]), OUTSIDE);
    expect(answered(answer)).toEqual([`${SPECIAL.unknown} 3.7`, `${BOB} 2.0`]);
    expect(site.calendar.of('unknown').map(({ recipients }) => recipients)).toEqual([[BOB]]);
  });

  test('for a user who is being moved is held and answered 1.0', async () => {
    const answer = await post(port, fromOlga('moving', [SPECIAL.moving]), OUTSIDE);
    expect(answered(answer)).toEqual([`${SPECIAL.moving} 1.0`]);
    expect(queued('moving').flatMap((id) => statesOf(site, id))).toEqual([`post to ${SPECIAL.moving}: held`]);
    expect(site.calendar.of('moving')).toEqual([]);
  });

  test('to a calendar server that is down is answered 1.0 and delivered once it is back', async () => {
    await site.calendar.close();
    const answer = await post(port, fromOlga('down', [ALICE]), OUTSIDE);
    expect(answered(answer)).toEqual([`${ALICE} 1.0`]);
    await site.calendar.open();
    await site.calendar.waitFor('down');
    const [id = ''] = queued('down');
    expect(await outcomesOf(site, id)).toEqual([`post to ${ALICE}: delivered`]);
  });

  test('to a calendar server that takes long is answered 1.0 after the wait of its peer, and posted once', async () => {
    const release = Promise.withResolvers<string>();
    site.calendar.answer = () => release.promise;
    const answer = await post(port, fromOlga('slow', [ALICE]), OUTSIDE);
    expect(answered(answer)).toEqual([`${ALICE} 1.0`]);
    release.resolve('2.0;Success');
    const [id = ''] = queued('slow');
    expect(await outcomesOf(site, id)).toEqual([`post to ${ALICE}: delivered`]);
    expect(site.calendar.of('slow')).toHaveLength(1);
  });

  test('that the calendar server refuses is answered with its refusal', async () => {
    site.calendar.answer = () => '3.8;No authority';
    const answer = await post(port, fromOlga('refused', [ALICE]), OUTSIDE);
    expect(answered(answer)).toEqual([`${ALICE} 3.8`]);
  });

  test('of one of our own users, by his calendar server, reaches an outsider by mail', async () => {
    const event = request({ uid: 'out', organizer: ALICE, attendees: [OLGA] });
    const own = { event, originator: ALICE, recipients: [OLGA], messageId: 'out.1' };
    expect(answered(await post(port, own, INSIDE))).toEqual([`${OLGA} 1.1`]);
    const [mail] = await site.world.waitFor((one) => objectIn(one).includes('UID:out\r\n'));
    expect([mail?.from, mail?.recipients.map(({ address }) => address)]).toEqual([ALICE, [OLGA]]);
  });
});

describe('a repeated post', () => {
  test('is answered as before, without another delivery', async () => {
    const one = fromOlga('repeat', [ALICE, SPECIAL.unknown]);
    const [first, second] = [await post(port, one, OUTSIDE), await post(port, one, OUTSIDE)];
    expect([answered(first), answered(second)]).toEqual(Array(2).fill([`${ALICE} 2.0`, `${SPECIAL.unknown} 3.7`]));
    expect([site.calendar.of('repeat').length, queued('repeat').length]).toEqual([1, 1]);
  });

  test('of the same id with other content is another, and the log says so', async () => {
    await post(port, fromOlga('same-id-a', [ALICE], { messageId: 'same-id' }), OUTSIDE);
    const second = await post(port, fromOlga('same-id-b', [ALICE], { messageId: 'same-id' }), OUTSIDE);
    expect(answered(second)).toEqual([`${ALICE} 2.0`]);
    await site.gateway.waitForLog((line) => line.messageId === 'same-id' && line.level === 'warn');
    expect(site.calendar.of('same-id-b')).toHaveLength(1);
  });

  test('is known after a restart', async () => {
    const one = fromOlga('restart', [ALICE]);
    expect(answered(await post(port, one, OUTSIDE))).toEqual([`${ALICE} 2.0`]);
    await site.gateway.restart();
    port = site.gateway.port('service');
    expect(answered(await post(port, one, OUTSIDE))).toEqual([`${ALICE} 2.0`]);
    expect(site.calendar.of('restart')).toHaveLength(1);
  });
});

describe('who may post', () => {
  test('is none that the configuration does not name', async () => {
    const answer = await post(port, fromOlga('stranger', [ALICE]), STRANGER);
    expect(answer.status).toBe(403);
    expect(queued('stranger')).toEqual([]);
  });

  test('is no outside peer for one of our own domains, though it may speak for everybody', async () => {
    const event = request({ uid: 'forged', organizer: BOB, attendees: [ALICE] });
    const forged = { event, originator: BOB, recipients: [ALICE], messageId: 'forged.1' };
    expect((await post(port, forged, OUTSIDE)).status).toBe(403);
    expect([queued('forged'), site.calendar.of('forged')]).toEqual([[], []]);
  });

  test('is no inside peer for a domain that it may not speak for', async () => {
    expect((await post(port, fromOlga('foreign', [ALICE]), INSIDE)).status).toBe(403);
    expect(queued('foreign')).toEqual([]);
  });

  test('can change while the gateway runs, and its address cannot', async () => {
    const { gateway } = site;
    const before = gateway.log.length;
    const yaml = readFileSync(gateway.config, 'utf8');
    gateway.write(
      yaml
        .replace(`networks: [${OUTSIDE}]`, `networks: [${STRANGER}]`)
        .replace("service: {address: '127.0.0.1:0'}", "service: {address: '127.0.0.1:7'}"),
    );
    try {
      process.kill(gateway.pid ?? 0, 'SIGHUP');
      await gateway.waitForLog((line) => line.event === 'reloaded', 20_000, before);
      const later = await gateway.waitForLog((line) => line.event === 'restart-needed', 20_000, before);
      expect(later.changes).toEqual(['http.service.address: 127.0.0.1:0 → 127.0.0.1:7']);
      expect(answered(await post(port, fromOlga('new-peer', [ALICE]), STRANGER))).toEqual([`${ALICE} 2.0`]);
      expect((await post(port, fromOlga('old-peer', [ALICE]), OUTSIDE)).status).toBe(403);
    } finally {
      gateway.write(yaml);
      process.kill(gateway.pid ?? 0, 'SIGHUP');
      await gateway.waitForLines((line) => line.event === 'reloaded', 2, 20_000, before);
    }
  });
});

describe('the service', () => {
  test('announces what it takes, and says when that has not changed', async () => {
    const first = await ask(port, { path: '/ischedule/?action=capabilities' });
    expect([first.status, first.headers['content-type']]).toEqual([200, 'application/xml; charset=utf-8']);
    expect(first.body).toContain('<max-recipients>5</max-recipients>');
    expect(first.body).toContain(`<serial-number>${first.headers['ischedule-capabilities']}</serial-number>`);
    const etag = String(first.headers.etag);
    const again = await ask(port, {
      path: '/.well-known/ischedule?action=capabilities',
      headers: [['If-None-Match', etag]],
    });
    expect([again.status, again.body]).toEqual([304, '']);
  });

  test('refuses more recipients than it announces', async () => {
    const many = Array.from({ length: 6 }, (_, index) => `user${index}@example.com`);
    expect(answered(await post(port, fromOlga('many', many), OUTSIDE))).toEqual(['403 max-recipients']);
  });

  test('ends what waits for its answer when the gateway stops', async () => {
    const release = Promise.withResolvers<string>();
    site.calendar.answer = () => release.promise;
    const waiting = post(port, fromOlga('stopping', [ALICE]), OUTSIDE);
    await site.calendar.waitFor('stopping');
    const stopped = site.gateway.stop();
    expect(answered(await waiting)).toEqual([`${ALICE} 1.0`]);
    release.resolve('2.0;Success');
    await stopped;
    await site.gateway.restart();
    port = site.gateway.port('service');
    await expect
      .poll(() => queued('stopping').flatMap((id) => statesOf(site, id)), QUEUE_POLL)
      .toEqual([`post to ${ALICE}: delivered`]);
  });
});
