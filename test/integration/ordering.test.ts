import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { type Cyrus, type Slapd, startCyrus, startSlapd } from '../servers/servers.ts';
import { CyrusCalendar } from './caldav.ts';
import { type Gateway, type LogLine, startGateway } from './harness.ts';
import { type EventFields, invitationMail, storedObject } from './invitations.ts';
import { MailSink } from './mail-sink.ts';
import { calendarYaml, directoryYaml } from './site.ts';
import { submit } from './smtp-client.ts';

const ALICE = 'alice@example.test';
const OLGA = 'olga@outside.test';
const PETRA = 'petra@outside.test';

suite(['slapd', 'cyrus'], 'posts to one calendar user about one event', () => {
  const stack = new AsyncDisposableStack();
  let slapd: Slapd;
  let cyrus: Cyrus;
  let store: MailSink;
  let gateway: Gateway;
  let calendar: CyrusCalendar;
  beforeAll(async () => {
    store = stack.use(await MailSink.listen('lmtp'));
    slapd = stack.use(await startSlapd());
    cyrus = stack.use(await startCyrus({ users: [ALICE] }));
    gateway = stack.use(
      await startGateway(`
hostname: imipd.example.test
domains: [example.test]
listeners:
  - {name: in, address: '127.0.0.1:0'}
next-hop: {address: '127.0.0.1:${store.port}', protocol: lmtp}
${directoryYaml(slapd)}
${calendarYaml(cyrus.ischedule, cyrus.ischedule, cyrus.strictIschedule)}
`),
    );
    calendar = new CyrusCalendar(cyrus.url, ALICE);
  });
  afterAll(() => stack.disposeAsync());
  beforeEach(() => cyrus.start());

  test('an invitation while the calendar server is down and its cancellation when it is up end in a cancelled event', async () => {
    const event: EventFields = { uid: 'down@outside.test', organizer: OLGA, attendees: [ALICE], method: 'REQUEST' };
    await cyrus.stop();
    await send(event);
    await gateway.waitForLog((line) => isPost(line, event) && line.outcome === 'deferred');
    const [pending] = await store.waitFor((mail) => mail.content.includes(event.uid));
    expect(pending!.content.toString()).toContain('action=pending');

    await cyrus.start();
    await send({ ...event, method: 'CANCEL', sequence: 1, dtstamp: '20300101T090000Z' });
    await gateway.waitForLines((line) => isPost(line, event) && line.outcome === 'delivered', 2);
    expect(await calendar.read(event.uid)).toContain('STATUS:CANCELLED');
  });

  test("two attendees' replies that arrive against the order of their DTSTAMPs are both posted", async () => {
    const event: EventFields = {
      uid: 'replies@example.test',
      organizer: ALICE,
      attendees: [OLGA, PETRA],
      method: 'REQUEST',
    };
    await calendar.put(event.uid, storedObject(event));
    await send({ ...event, method: 'REPLY', attendees: [PETRA], dtstamp: '20300102T120000Z' });
    await send({ ...event, method: 'REPLY', attendees: [OLGA], dtstamp: '20300102T110000Z', partstat: 'DECLINED' });
    await gateway.waitForLines((line) => isPost(line, event) && line.outcome === 'delivered', 2);
    const stored = await calendar.read(event.uid);
    expect(stored).toMatch(/ATTENDEE[^\r\n]*PARTSTAT=ACCEPTED[^\r\n]*:mailto:petra@outside\.test/);
    expect(stored).toMatch(/ATTENDEE[^\r\n]*PARTSTAT=DECLINED[^\r\n]*:mailto:olga@outside\.test/);
  });

  test('an invitation older than the one that was posted changes nothing', async () => {
    const event: EventFields = { uid: 'older@outside.test', organizer: OLGA, attendees: [ALICE], method: 'REQUEST' };
    await send({ ...event, sequence: 2, summary: 'Newest' });
    await store.waitFor((mail) => mail.content.includes(event.uid));
    await send({ ...event, sequence: 1, summary: 'Older' });
    const [, older] = await store.waitFor((mail) => mail.content.includes(event.uid), 2);
    expect(older!.content.toString()).toContain('action=skipped');
    expect(await calendar.read(event.uid)).toContain('SUMMARY:Newest');
  });

  async function send(event: EventFields): Promise<void> {
    const from = event.method === 'REPLY' ? event.attendees[0]! : event.organizer;
    const result = await submit(gateway.port('in'), { from, to: [ALICE], message: invitationMail(event) });
    expect(result.data.map((reply) => reply.code)).toEqual([250]);
  }
});

/** A log line of an attempt to post mail that `invitationMail` made of this event. */
function isPost(line: LogLine, event: EventFields): boolean {
  return line.channel === 'ischedule' && String(line.messageId).includes(event.uid);
}
