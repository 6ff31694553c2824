import { afterAll, beforeAll, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { type Cyrus, type Sogo, startCyrus, startSogo } from '../servers/servers.ts';
import { CyrusCalendar, SogoCalendar } from './caldav.ts';
import { HttpRecorder } from './http-recorder.ts';
import { checkCalendar, componentsOf, propertyValue } from './icalendar.ts';
import { type EventFields, storedObject } from './invitations.ts';
import { attachedObject, calendarPart, openMail } from './open-mail.ts';
import { GATEWAY_ADDRESS, isVerp, mailsFor } from './outbound-site.ts';
import { type RecordingProxy, startRecordingProxy } from './recording-proxy.ts';
import { type RelaySite, startRelaySite } from './relay-site.ts';
import { QUEUE_POLL } from './small-site.ts';

const ANN = 'ann@sogo.test';
const ALICE = 'alice@example.test';
const OLGA = 'olga@outside.test';

suite(['sogo', 'cyrus', 'icalendar'], 'SOGo, which mails its invitations through the gateway', () => {
  const servers = new AsyncDisposableStack();
  let sogo: Sogo;
  let cyrus: Cyrus;
  /** What SOGo mailed. */
  let fromSogo: RecordingProxy;
  /** What was posted to Cyrus. */
  let toCyrus: HttpRecorder;
  let site: RelaySite;
  let ann: SogoCalendar;
  let alice: CyrusCalendar;

  beforeAll(async () => {
    const ownPort = await freePort();
    fromSogo = servers.use(await startRecordingProxy(`smtp://127.0.0.1:${ownPort}`));
    [sogo, cyrus] = await Promise.all([
      startSogo({ users: [ANN], smtpOut: Number(new URL(fromSogo.url).port) }),
      startCyrus({ users: [ALICE], smtpOut: ownPort }),
    ]);
    servers.use(sogo);
    servers.use(cyrus);
    toCyrus = servers.use(await HttpRecorder.listen(cyrus.ischedule));
    site = servers.use(
      await startRelaySite({
        domains: ['example.test', 'sogo.test'],
        // SOGo takes invitations by mail alone.
        users: { [ALICE]: 'cyrus', [ANN]: 'sogo' },
        backEnds: {
          cyrus: `url: '${toCyrus.url}', profile: cyrus`,
          sogo: `url: '${sogo.url}', profile: oracle-v6`,
        },
        ownPort,
        more: `outbound: {address: ${GATEWAY_ADDRESS}, name: Example calendar}`,
      }),
    );
    ann = new SogoCalendar(sogo.url, ANN);
    alice = new CyrusCalendar(cyrus.url, ALICE);
  });
  afterAll(() => servers.disposeAsync());

  function meeting(name: string, attendees: readonly string[]): EventFields {
    return { uid: `${name}@sogo.test`, organizer: ANN, attendees, method: 'REQUEST' };
  }

  test('reaches an outsider with the mail as it wrote it, from an envelope sender that names him', async () => {
    const fields = meeting('outsider', [OLGA]);
    await ann.put(fields.uid, storedObject(fields));
    const [mail, ...more] = await mailsFor(site.world, OLGA, fields.uid);
    expect(more).toEqual([]);
    expect(mail?.from).toSatisfy(isVerp);
    const content = mail!.content.toString('latin1');
    const written = content.slice(content.indexOf('\r\nFrom: ') + 2);
    // It ends lines of its parts with LF alone, which no mail server may pass on (RFC 5321 §2.3.8).
    expect(fromSogo.sent().toString('latin1').replace(/\r?\n/g, '\r\n')).toContain(`\r\n${written}.\r\n`);
    const opened = await openMail(mail!.content);
    expect([opened.from, opened.to]).toEqual([ANN, [OLGA]]);
    expect(opened.field('X-SOGo-Message-Type')).toBe('calendar:invitation');
    expect(calendarPart(opened)).toMatchObject({ type: 'text/calendar', method: 'REQUEST' });
  });

  test('invites, moves and cancels for a user of Cyrus, in whose calendar it stands', async () => {
    const fields = meeting('life', [ALICE, OLGA]);
    await ann.put(fields.uid, storedObject(fields));
    await expect.poll(() => alice.read(fields.uid), QUEUE_POLL).toContain('SUMMARY:Review');
    await mailsFor(site.mailboxes, ALICE, fields.uid);
    await mailsFor(site.world, OLGA, fields.uid);

    const stored = (await ann.read(fields.uid)) ?? '';
    await ann.put(
      fields.uid,
      stored.replace('DTSTART:20300315T100000Z', 'DTSTART:20300315T103000Z').replace(/\r?\n/g, '\r\n'),
    );
    await expect.poll(() => alice.read(fields.uid), QUEUE_POLL).toContain('DTSTART:20300315T103000Z');
    await ann.remove(fields.uid);
    await expect.poll(() => alice.read(fields.uid), QUEUE_POLL).toContain('STATUS:CANCELLED');
    await expect.poll(() => toCyrus.posts(fields.uid).length, QUEUE_POLL).toBe(3);
    for (const { body } of toCyrus.posts(fields.uid)) await checkCalendar(body);
    const mails = await mailsFor(site.world, OLGA, fields.uid, 3);
    const methods = await Promise.all(mails.map(async ({ content }) => calendarPart(await openMail(content)).method));
    expect(methods).toEqual(['REQUEST', 'REQUEST', 'CANCEL']);
  });

  test('has the answer of a user of Cyrus in its user’s mailbox, since it takes answers by mail', async () => {
    const fields = meeting('answer', [ALICE]);
    await ann.put(fields.uid, storedObject(fields));
    await expect.poll(() => alice.read(fields.uid), QUEUE_POLL).toContain('SUMMARY:Review');
    await alice.put(
      fields.uid,
      ((await alice.read(fields.uid)) ?? '').replace('PARTSTAT=NEEDS-ACTION', 'PARTSTAT=ACCEPTED'),
    );
    const [mail] = await mailsFor(site.mailboxes, ANN, fields.uid);
    const opened = await openMail(mail!.content);
    expect(calendarPart(opened).method).toBe('REPLY');
    const [event] = componentsOf(await checkCalendar(attachedObject(opened)), 'VEVENT');
    expect(propertyValue(event, 'ORGANIZER')).toBe(`mailto:${ANN}`);
  });
});
