import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { composeKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { type Cyrus, type Davical, startCyrus, startDavical } from '../servers/servers.ts';
import { deliveryReport } from './bounces.ts';
import { CyrusCalendar, DavicalCollection } from './caldav.ts';
import { HttpRecorder } from './http-recorder.ts';
import { checkCalendar, componentsOf, propertyValue } from './icalendar.ts';
import { type EventFields, invitationMail, storedObject } from './invitations.ts';
import { attachedObject, openMail } from './open-mail.ts';
import { isVerp, mailsFor } from './outbound-site.ts';
import { type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { appleReply } from './replies.ts';
import { QUEUE_POLL, send } from './small-site.ts';

const ALICE = 'alice@cyrus.test';
const DORA = 'dora@dav.test';
const OLGA = 'olga@outside.test';
const ADDRESS = 'calendar@cyrus.test';

suite(['cyrus', 'davical', 'icalendar'], 'one gateway between a domain on Cyrus and one on DAViCal', () => {
  const servers = new AsyncDisposableStack();
  let cyrus: Cyrus;
  let davical: Davical;
  /** What was posted to each. */
  let toCyrus: HttpRecorder;
  let toDavical: HttpRecorder;
  /** What DAViCal posted. */
  let fromDavical: HttpRecorder;
  let site: RelaySite;
  let alice: CyrusCalendar;
  let dora: DavicalCollection;
  /** What was posted to dora. */
  let inbox: DavicalCollection;

  beforeAll(async () => {
    const [ownPort, servicePort] = [await freePort(), await freePort()];
    fromDavical = servers.use(await HttpRecorder.listen(`http://127.0.0.1:${servicePort}/.well-known/ischedule`));
    [cyrus, davical] = await Promise.all([
      startCyrus({ users: [ALICE], domains: ['cyrus.test'], smtpOut: ownPort }),
      startDavical({
        ...{ users: ['dora'], domain: 'dav.test', remotes: ['cyrus.test', 'outside.test'] },
        remotePort: Number(new URL(fromDavical.url).port),
      }),
    ]);
    servers.use(cyrus);
    servers.use(davical);
    toCyrus = servers.use(await HttpRecorder.listen(cyrus.ischedule));
    toDavical = servers.use(await HttpRecorder.listen(davical.ischedule));
    const record = composeKeyRecord(createPublicKey(readFileSync(davical.key)));
    site = servers.use(
      await startRelaySite({
        domains: ['cyrus.test', 'dav.test'],
        users: { [ALICE]: 'cyrus', [DORA]: 'davical' },
        backEnds: {
          cyrus: `url: '${toCyrus.url}', profile: cyrus`,
          davical: `url: '${toDavical.url}', profile: davical`,
        },
        ownPort,
        more: `
outbound: {address: ${ADDRESS}, name: Example calendar}
http: {service: {address: '127.0.0.1:${servicePort}'}}
ischedule:
  keys:
    - {domain: cyrus.test, selector: cal, key: '${davical.key}'}
    - {domain: outside.test, selector: cal, key: '${davical.key}'}
  exchanged-keys:
    - {domain: dav.test, selector: cal, record: '${record}'}
  peers:
    - {name: davical, origin: inside, domains: [dav.test], answer-wait: 10s, dkim: {canonicalizations: [simple-http]}}
`,
      }),
    );
    alice = new CyrusCalendar(cyrus.url, ALICE);
    dora = new DavicalCollection(davical.url, 'dora', 'calendar');
    inbox = new DavicalCollection(davical.url, 'dora', '.in');
  });
  afterAll(() => servers.disposeAsync());

  function meeting(name: string, organizer: string, attendees: readonly string[]): EventFields {
    return { uid: `${name}@${organizer.split('@')[1]}`, organizer, attendees, method: 'REQUEST' };
  }

  test('a user of Cyrus invites one of DAViCal, whose answer is in the calendar on Cyrus', async () => {
    const fields = meeting('to-davical', ALICE, [DORA]);
    await alice.put(fields.uid, storedObject(fields));
    await expect.poll(() => inbox.read(fields.uid), QUEUE_POLL).toContain('METHOD:REQUEST');
    await expect.poll(() => toDavical.posts(fields.uid).length, QUEUE_POLL).toBe(1);
    const [posted] = toDavical.posts(fields.uid);
    expect(posted?.rawHeaders.join('\n')).toContain('; d=cyrus.test; ');
    await checkCalendar(posted?.body ?? '');
    await mailsFor(site.mailboxes, DORA, fields.uid);

    // DAViCal sends no answer to an organizer elsewhere: dora's mail program does.
    await dora.put(fields.uid, storedObject(fields).replace('NEEDS-ACTION', 'ACCEPTED'));
    expect(fromDavical.posts(fields.uid)).toEqual([]);
    const reply: EventFields = { ...fields, method: 'REPLY', partstat: 'ACCEPTED', dtstamp: '20300102T080000Z' };
    await send(site, 'own', { from: DORA, to: [ALICE], message: invitationMail(reply) });
    await expect.poll(() => alice.read(fields.uid), QUEUE_POLL).toMatch(/PARTSTAT=ACCEPTED[^\r\n]*:mailto:dora@dav/);
  });

  test('a user of DAViCal invites one of Cyrus, and Cyrus’ own answer is in the Inbox on DAViCal', async () => {
    const fields = meeting('to-cyrus', DORA, [ALICE]);
    await dora.put(fields.uid, storedObject(fields));
    expect(await noted(fields.uid, ALICE)).toBe('2.0;Success');
    const invited = (await alice.read(fields.uid)) ?? '';
    expect(invited).toContain(`ORGANIZER:mailto:${DORA}`);

    await alice.put(fields.uid, invited.replace('PARTSTAT=NEEDS-ACTION', 'PARTSTAT=DECLINED'));
    await expect.poll(() => inbox.read(fields.uid), QUEUE_POLL).toContain('METHOD:REPLY');
    expect(await inbox.read(fields.uid)).toMatch(
      /^ATTENDEE[^\r\n]*PARTSTAT=DECLINED[^\r\n]*:mailto:alice@cyrus\.test/m,
    );
    await expect.poll(() => toDavical.posts(fields.uid).length, QUEUE_POLL).toBe(1);
    const [posted] = toDavical.posts(fields.uid);
    const [event] = componentsOf(await checkCalendar(posted?.body ?? ''), 'VEVENT');
    expect(propertyValue(event, 'ORGANIZER')).toBe(`mailto:${DORA}`);
    expect(statesOfUid(site, fields.uid)).toEqual(
      expect.arrayContaining([`post to ${ALICE}: delivered`, `post to ${DORA}: delivered`]),
    );
  });

  test('a user of Cyrus moves and cancels what he invited one of DAViCal to', async () => {
    const fields = meeting('life', ALICE, [DORA]);
    await alice.put(fields.uid, storedObject(fields));
    await expect.poll(() => inbox.read(fields.uid), QUEUE_POLL).toContain('SUMMARY:Review');
    await alice.put(fields.uid, storedObject({ ...fields, sequence: 1, summary: 'Review\\, moved' }));
    await expect.poll(() => inbox.read(fields.uid), QUEUE_POLL).toContain('SUMMARY:Review\\, moved');
    await alice.remove(fields.uid);
    await expect.poll(() => inbox.read(fields.uid), QUEUE_POLL).toContain('METHOD:CANCEL');
    await expect.poll(() => toDavical.posts(fields.uid).length, QUEUE_POLL).toBe(3);
    for (const { body } of toDavical.posts(fields.uid)) await checkCalendar(body);
  });

  test('a user of DAViCal invites an outsider, who gets a mail, and whose answer is in the Inbox', async () => {
    const fields = meeting('to-outside', DORA, [OLGA]);
    await dora.put(fields.uid, storedObject(fields));
    expect(await noted(fields.uid, OLGA)).toBe('1.1;Sent');
    const [mail] = await mailsFor(site.world, OLGA, fields.uid);
    expect(mail?.from).toSatisfy((from: string) => isVerp(from, ADDRESS));
    const opened = await openMail(mail!.content);
    expect([opened.from, opened.to]).toEqual([DORA, [OLGA]]);
    const [event] = componentsOf(await checkCalendar(attachedObject(opened)), 'VEVENT');
    expect(propertyValue(event, 'UID')).toBe(fields.uid);

    const { uid, organizer } = fields;
    const message = appleReply({ uid, organizer, attendee: OLGA, summary: 'Review', partstat: 'TENTATIVE' });
    await send(site, 'in', { from: OLGA, to: [DORA], message });
    await expect.poll(() => inbox.read(uid), QUEUE_POLL).toContain('PARTSTAT=TENTATIVE');

    // DAViCal would only file a REPLY with REQUEST-STATUS: dora is told by mail.
    await expect.poll(() => toDavical.posts(uid).length, QUEUE_POLL).toBe(1);
    const diagnostic = '550 5.2.1 closed for good';
    const report = deliveryReport({ to: mail!.from, recipient: OLGA, action: 'failed', status: '5.2.1', diagnostic });
    await send(site, 'in', { from: '', to: [mail!.from], message: report });
    const [told] = await site.world.waitFor(({ from, recipients }) => from === '' && recipients[0]?.address === DORA);
    expect((await openMail(told!.content)).text).toMatch(new RegExp(`${OLGA}[\\s\\S]*closed for good`));
    expect(toDavical.posts(uid)).toHaveLength(1);
  });

  /** What DAViCal noted with the attendee of its user's event. */
  async function noted(uid: string, attendee: string): Promise<string | undefined> {
    const stored = (await dora.read(uid)) ?? '';
    const line = stored.split(/\r?\n/).find((one) => one.startsWith('ATTENDEE') && one.endsWith(`:mailto:${attendee}`));
    return /SCHEDULE-STATUS="?([^":]*)/.exec(line ?? '')?.[1];
  }
});
