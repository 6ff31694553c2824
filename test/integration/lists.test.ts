import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import type { Store } from '../../src/queue/store.ts';
import { suite } from '../servers/installed.ts';
import { type Cyrus, type Slapd, startCyrus, startSlapd } from '../servers/servers.ts';
import { CyrusCalendar } from './caldav.ts';
import { changeEntry } from './directory-admin.ts';
import { type Gateway, startGateway } from './harness.ts';
import { HttpRecorder } from './http-recorder.ts';
import { type EventFields, invitationMail } from './invitations.ts';
import { MailSink } from './mail-sink.ts';
import { calendarYaml, directoryYaml } from './site.ts';
import { arrived, mailFor, outcomesOf, QUEUE_POLL, queueIdOf, send, statesOf } from './small-site.ts';
import type { Addressed } from './smtp-client.ts';

const ALICE = 'alice@example.test';
const BOB = 'bob@example.test';
const OLGA = 'olga@outside.test';
/** alice, bob and dave; dave is on v6. */
const TEAM = 'team@example.test';
const DAVE = 'dave@example.test';

suite(['slapd', 'cyrus'], 'events on Cyrus of users whom the mail names otherwise', () => {
  const stack = new AsyncDisposableStack();
  let slapd: Slapd;
  let cyrus: Cyrus;
  let posts: HttpRecorder;
  let mailboxes: MailSink;
  let gateway: Gateway;
  let store: Store;
  beforeAll(async () => {
    mailboxes = stack.use(await MailSink.listen('lmtp'));
    slapd = stack.use(await startSlapd());
    cyrus = stack.use(await startCyrus({ users: [ALICE, BOB] }));
    posts = stack.use(await HttpRecorder.listen(cyrus.ischedule));
    gateway = stack.use(
      await startGateway(`
hostname: imipd.example.test
domains: [example.test]
listeners:
  - {name: in, address: '127.0.0.1:0'}
next-hop: {address: '127.0.0.1:${mailboxes.port}', protocol: lmtp}
${directoryYaml(slapd)}
${calendarYaml(posts.url, cyrus.ischedule, cyrus.strictIschedule)}
`),
    );
    store = stack.use(await openSqliteStore({ folder: join(gateway.folder, 'var'), exclusive: false }));
  });
  afterAll(() => stack.disposeAsync());

  describe.for([
    ['an alias', 'a.adams@example.test'],
    ['a sub-address', 'alice+meetings@example.test'],
    ['a sub-address of an alias', 'a.adams+meetings@example.test'],
  ] as const)('who is invited by %s', ([, address]) => {
    const event = of(address, `${address}.uid`);

    test('has the event, its change and its end by the address that Cyrus knows', async () => {
      for (const [message, expected] of [
        [event, ['SUMMARY:Review', 'SEQUENCE:0']],
        [updateOf(event), ['SUMMARY:Moved', 'SEQUENCE:1']],
        [cancelOf(event), ['STATUS:CANCELLED', 'SEQUENCE:2']],
      ] as const) {
        const mail = invitationMail(message);
        const id = queueIdOf(await send({ gateway }, 'in', { from: OLGA, to: [address], message: mail }));
        expect(await outcomesOf({ store }, id)).toEqual([
          `post to ${address}: delivered`,
          `mail to ${address}: delivered`,
        ]);
        const stored = await calendarOf(ALICE).read(event.uid);
        for (const line of expected) expect(stored?.split(/\r?\n/)).toContain(line);
        expect(attendees(stored)).toEqual([expect.stringMatching(/^ATTENDEE;.*:mailto:alice@example\.test$/)]);
        const copy = arrived(await mailFor(mailboxes, address, messageIdOf(message)));
        expect(copy.message).toBe(mail);
        expect(copy.status).toContain(`recipient=${address}; action=posted; code=`);
      }
      expect(posts.posts(event.uid).map(({ body }) => attendees(body))).toEqual(
        Array(3).fill([expect.stringMatching(/:mailto:alice@example\.test$/)]),
      );
    });
  });

  // The mail server expands the list after the gateway has seen it whole, and hands each member's copy back to it.
  test('what came for a list stands in the calendars of its members, once, for all that the list server brings', async () => {
    const event = of(TEAM, 'list@outside.test');
    for (const [message, expected] of [
      [event, ['SUMMARY:Review', 'SEQUENCE:0']],
      [updateOf(event), ['SUMMARY:Moved', 'SEQUENCE:1']],
      [cancelOf(event), ['STATUS:CANCELLED', 'SEQUENCE:2']],
    ] as const) {
      const mail = invitationMail(message);
      const unexpanded = queueIdOf(await send({ gateway }, 'in', { from: OLGA, to: [TEAM], message: mail }));
      expect(await settled(unexpanded)).toEqual([
        `post to ${TEAM}: skipped`,
        `mail to ${TEAM}: delivered`,
        `post to ${ALICE}: delivered`,
        `post to ${BOB}: delivered`,
        `post to ${DAVE}: skipped`,
      ]);
      const copy = arrived(await mailFor(mailboxes, TEAM, messageIdOf(message)));
      expect(copy).toEqual({ added: ['Received'], status: undefined, message: mail });
      for (const member of [ALICE, BOB]) {
        const stored = await calendarOf(member).read(event.uid);
        for (const line of expected) expect(stored?.split(/\r?\n/)).toContain(line);
        expect(attendees(stored)).toEqual([
          expect.stringMatching(/^ATTENDEE;.*:mailto:team@example\.test$/),
          expect.stringMatching(new RegExp(`^ATTENDEE;.*MEMBER="mailto:${TEAM}".*:mailto:${member}$`)),
        ]);
      }
      for (const member of [ALICE, BOB]) {
        const to: Addressed = { address: member, params: `ORCPT=rfc822;${TEAM}` };
        const expanded = queueIdOf(await send({ gateway }, 'in', { from: OLGA, to: [to], message: mail }));
        expect(await outcomesOf({ store }, expanded)).toEqual([
          `post to ${member}: skipped`,
          `mail to ${member}: delivered`,
        ]);
        const brought = arrived(await mailFor(mailboxes, member, messageIdOf(message)));
        expect(brought.status).toBe(`${expanded}; recipient=${member}; action=skipped; reason=duplicate`);
        expect(brought.message).toBe(mail);
      }
    }
    expect(posts.posts(event.uid)).toHaveLength(6);
  });

  test('a member whose list only the original recipient of his copy names has the event, its change and its end', async () => {
    const event = of(TEAM, 'orcpt@outside.test');
    const to: Addressed = { address: BOB, params: `ORCPT=rfc822;${TEAM}` };
    for (const [message, expected] of [
      [event, 'SUMMARY:Review'],
      [updateOf(event), 'SUMMARY:Moved'],
      [cancelOf(event), 'STATUS:CANCELLED'],
    ] as const) {
      const id = queueIdOf(await send({ gateway }, 'in', { from: OLGA, to: [to], message: invitationMail(message) }));
      expect(await outcomesOf({ store }, id)).toEqual([`post to ${BOB}: delivered`, `mail to ${BOB}: delivered`]);
      const stored = await calendarOf(BOB).read(event.uid);
      expect(stored?.split(/\r?\n/)).toContain(expected);
      expect(attendees(stored)).toContainEqual(
        expect.stringMatching(new RegExp(`^ATTENDEE;.*MEMBER="mailto:${TEAM}".*:mailto:${BOB}$`)),
      );
    }
    expect(await calendarOf(ALICE).read(event.uid)).toBeUndefined();
  });

  test('who claims a list that he is not in gets no post', async () => {
    const event = of(TEAM, 'claimed@outside.test');
    const to: Addressed = { address: 'lena@example.test', params: `ORCPT=rfc822;${TEAM}` };
    const id = queueIdOf(await send({ gateway }, 'in', { from: OLGA, to: [to], message: invitationMail(event) }));
    expect(await outcomesOf({ store }, id)).toEqual([
      'post to lena@example.test: skipped',
      'mail to lena@example.test: delivered',
    ]);
    const copy = arrived(await mailFor(mailboxes, 'lena@example.test', event.uid));
    expect(copy.status).toBe(
      `${id}; recipient=lena@example.test; action=skipped; reason="the recipient is not in the list ${TEAM}"`,
    );
  });

  test('a list of 20,000 makes no posts, its mail goes on unaltered, and the log says why', async () => {
    const everyone = 'everyone@example.test';
    await changeEntry(
      slapd,
      'cn=everyone,ou=Groups,o=example.test,o=isp',
      'add: mgrpRFC822MailMember',
      ...Array.from({ length: 20_000 }, (_, index) => `mgrpRFC822MailMember: member${index}@outside.test`),
    );
    const event = of(everyone, 'twenty-thousand@outside.test');
    const mail = invitationMail(event);
    const id = queueIdOf(await send({ gateway }, 'in', { from: OLGA, to: [everyone], message: mail }));
    expect(await outcomesOf({ store }, id)).toEqual([`post to ${everyone}: skipped`, `mail to ${everyone}: delivered`]);
    expect(arrived(await mailFor(mailboxes, everyone, event.uid))).toMatchObject({
      added: ['Received'],
      message: mail,
    });
    expect(await gateway.waitForLog((line) => line.queueId === id && line.channel === 'ischedule')).toMatchObject({
      level: 'warn',
      alarm: true,
      to: everyone,
      outcome: 'skipped',
      rule: 'list-too-large',
      reason: 'the list has more than 1000 members: they get posts once the mail server has expanded it',
    });
  });

  const calendarOf = (user: string) => new CyrusCalendar(cyrus.url, user);

  /** The deliveries of a list's message, once those of its members have ended as well. */
  async function settled(id: string): Promise<readonly string[]> {
    await expect
      .poll(() => statesOf({ store }, id).filter((state) => !state.endsWith('queued')).length, QUEUE_POLL)
      .toBe(5);
    return statesOf({ store }, id);
  }
});

function of(attendee: string, uid: string): EventFields {
  return { uid, organizer: OLGA, attendees: [attendee], method: 'REQUEST' };
}

const updateOf = (event: EventFields): EventFields => ({ ...event, sequence: 1, summary: 'Moved' });
const cancelOf = (event: EventFields): EventFields => ({ ...event, method: 'CANCEL', sequence: 2, summary: 'Moved' });

/** What the header of the mail has and no other mail of the event. */
function messageIdOf({ uid, method, sequence = 0 }: EventFields): string {
  return `<${uid}.${method}.${sequence}.`;
}

/** ATTENDEE lines, unfolded, in their order. */
function attendees(object: string | undefined): readonly string[] {
  return [...(object?.replace(/\r?\n[ \t]/g, '').matchAll(/^ATTENDEE.*?(?=\r?$)/gm) ?? [])].map(([line]) => line);
}
