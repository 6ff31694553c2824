import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
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

const DAVE = 'dave@example.test';
const IVAN = 'ivan@sales.test';
const OLGA = 'olga@outside.test';
const DN = {
  [DAVE]: 'uid=dave,ou=People,o=example.test,o=isp',
  [IVAN]: 'uid=ivan,ou=People,o=sales.test,o=isp',
} as const;
type User = keyof typeof DN;

suite(['slapd', 'cyrus'], 'a user who goes from v6 to v7', () => {
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
    cyrus = stack.use(await startCyrus({ users: [DAVE, IVAN], domains: ['example.test', 'sales.test'] }));
    posts = stack.use(await HttpRecorder.listen(cyrus.ischedule));
    gateway = stack.use(
      await startGateway(`
hostname: imipd.example.test
domains: [example.test, sales.test]
listeners:
  - {name: in, address: '127.0.0.1:0'}
next-hop: {address: '127.0.0.1:${mailboxes.port}', protocol: lmtp}
${directoryYaml(slapd)}
  cache: {ttl: 0s, miss-ttl: 0s}
${calendarYaml(posts.url, cyrus.ischedule, cyrus.strictIschedule)}
  move-poll: 1s
`),
    );
    store = stack.use(await openSqliteStore({ folder: join(gateway.folder, 'var'), exclusive: false }));
  });
  afterAll(() => stack.disposeAsync());

  test('gets what came while he was moving in order when the move ends, and keeps nothing that was cancelled', async () => {
    const event = of(DAVE, 'moved@outside.test');
    const invited = await arrive(event);
    expect(invited.status).toBe(
      `${invited.id}; recipient=${DAVE}; action=skipped; reason="no davStore, and no domain map line for example.test"`,
    );

    await beginMove(DAVE);
    const first = await arrive({ ...event, sequence: 1, summary: 'First update' });
    // The procedure sets the marker before it copies the data.
    await setMarker(DAVE);
    const second = await arrive({ ...event, sequence: 2, summary: 'Second update' });
    await gateway.kill('SIGKILL');
    await gateway.restart();
    const cancel = await arrive({ ...event, method: 'CANCEL', sequence: 3, summary: 'Second update' });
    const during = [first, second, cancel];
    expect(during.map(({ status }) => status)).toEqual(
      during.map(({ id }) => `${id}; recipient=${DAVE}; action=pending; reason=moving`),
    );
    const held = await gateway.command('queue', 'list', '--held');
    const shown = held.out.match(/^\w+ .*(?:REQUEST|CANCEL).*/gm)?.map((line) => line.split(/ {2,}/));
    expect(shown?.map((cells) => [cells[0], cells.at(-1)])).toEqual([
      [first.id, 'moving'],
      [second.id, 'behind an earlier post'],
      [cancel.id, 'behind an earlier post'],
    ]);
    expect(posts.posts(event.uid)).toEqual([]);

    await endMove(DAVE);
    for (const { id } of during)
      expect(await settled(id)).toEqual([`post to ${DAVE}: delivered`, `mail to ${DAVE}: delivered`]);
    expect(posts.posts(event.uid).map(({ body }) => body.match(/^(?:METHOD|SEQUENCE):.*(?=\r)/gm))).toEqual([
      ['METHOD:REQUEST', 'SEQUENCE:1'],
      ['METHOD:REQUEST', 'SEQUENCE:2'],
      ['METHOD:CANCEL', 'SEQUENCE:3'],
    ]);
    const stored = await new CyrusCalendar(cyrus.url, DAVE).read(event.uid);
    expect(stored).toContain('STATUS:CANCELLED');
    expect(stored).toContain('SEQUENCE:3');
    expect(stored).toContain('SUMMARY:Second update');
  });

  test('has a post that a person lets go before the move ends, and the next one waits again', async () => {
    const event = of(IVAN, 'released@outside.test');
    await beginMove(IVAN);
    await setMarker(IVAN);
    const invited = await arrive(event);
    await expect.poll(() => statesOf({ store }, invited.id), QUEUE_POLL).toContain(`post to ${IVAN}: held`);
    const released = await gateway.command('queue', 'release', '--recipient', IVAN);
    expect(released).toEqual({ code: 0, out: `${invited.id} post ${IVAN}: release done\n`, err: '' });
    expect(await outcomesOf({ store }, invited.id)).toContain(`post to ${IVAN}: delivered`);
    expect(await new CyrusCalendar(cyrus.url, IVAN).read(event.uid)).toContain('SUMMARY:Review');

    const update = await arrive({ ...event, sequence: 1 });
    expect(update.status).toBe(`${update.id}; recipient=${IVAN}; action=pending; reason=moving`);
    await clearMarker(IVAN);
    await endMove(IVAN);
    await settled(update.id);
  });

  test('who stays on v6 after all gets no post, and the record says why', async () => {
    const event = of(IVAN, 'stayed@outside.test');
    await beginMove(IVAN);
    await setMarker(IVAN);
    const { id } = await arrive(event);
    await clearMarker(IVAN);
    await endMove(IVAN);
    expect(await settled(id)).toEqual([`post to ${IVAN}: skipped`, `mail to ${IVAN}: delivered`]);
    const decisions = store.message(id)?.deliveries.find(({ kind }) => kind === 'post')?.decisions;
    expect(decisions?.map(({ rule, post }) => ({ rule, post }))).toEqual([
      { rule: 'moving', post: { kind: 'hold', reason: 'moving' } },
      {
        rule: 'no-home-server',
        post: { kind: 'none', reason: 'no davStore, and no domain map line for sales.test' },
      },
    ]);
    expect(posts.posts(event.uid)).toEqual([]);
  });

  /** Sends, and takes the mail copy as it reaches the mailbox: it waits for no move. */
  async function arrive(event: EventFields): Promise<{ readonly id: string; readonly status: string | undefined }> {
    const message = invitationMail(event);
    const to = event.attendees[0]!;
    const id = queueIdOf(await send({ gateway }, 'in', { from: OLGA, to: [to], message }));
    const copy = arrived(await mailFor(mailboxes, to, `<${event.uid}.${event.method}.${event.sequence ?? 0}.`));
    expect(copy.message).toBe(message);
    return { id, status: copy.status };
  }

  /** The deliveries of a message, once none is held any more. */
  async function settled(id: string): Promise<readonly string[]> {
    await expect
      .poll(() => store.message(id)?.deliveries.map(({ state }) => state), QUEUE_POLL)
      .not.toEqual(expect.arrayContaining([expect.stringMatching(/held|queued/)]));
    return statesOf({ store }, id);
  }

  const beginMove = (user: User) => changeEntry(slapd, DN[user], 'replace: mailUserStatus', 'mailUserStatus: hold');
  const endMove = (user: User) => changeEntry(slapd, DN[user], 'replace: mailUserStatus', 'mailUserStatus: active');
  const setMarker = (user: User) =>
    changeEntry(
      slapd,
      DN[user],
      'add: objectClass',
      'objectClass: davEntity',
      '-',
      'add: davStore',
      'davStore: defaultbackend',
    );
  const clearMarker = (user: User) =>
    changeEntry(slapd, DN[user], 'delete: davStore', '-', 'delete: objectClass', 'objectClass: davEntity');
});

function of(user: User, uid: string): EventFields {
  return { uid, organizer: OLGA, attendees: [user], method: 'REQUEST' };
}
