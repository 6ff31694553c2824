import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TRIAL_LDIF } from '../../src/trial/people.ts';
import { readEvent } from '../../src/trial/vdir.ts';
import { freePorts } from '../servers/ports.ts';
import { folderWith, imipd, trialCalendar } from './cli.ts';
import { type Gateway, type LogLine, startGateway } from './harness.ts';
import { type EventFields, invitationMail, plainMail } from './invitations.ts';
import { MailSink } from './mail-sink.ts';

const OLGA = 'olga@example.org';
const ALICE = 'alice@example.com';
const MIA = 'mia@example.com';
/** Mia is on her way from one calendar server to another. */
const MIA_MOVING = `
dn: uid=mia,o=example.com
objectClass: inetMailUser
objectClass: icsCalendarUser
uid: mia
mail: mia@example.com
mailAlternateAddress: m.miller@example.com
davStore: north
mailUserStatus: hold
`;

let gateway: Gateway;
let calendarPort: number;
const closing = new AsyncDisposableStack();
let mailboxes: MailSink;
let world: MailSink;
let down: number;

beforeAll(async () => {
  const [listener = 0, calendar = 0, closed = 0] = await freePorts(3);
  calendarPort = calendar;
  down = closed;
  mailboxes = closing.use(await MailSink.listen('smtp'));
  world = closing.use(await MailSink.listen('smtp'));
  const people = closing.use(await folderWith({ 'people.ldif': TRIAL_LDIF + MIA_MOVING }));
  gateway = closing.use(
    await startGateway(`
hostname: gateway.example.com
domains: [example.com]
listeners: [{name: in, address: '127.0.0.1:${listener}'}]
directory: {kind: ldif, file: '${people.path}/people.ldif'}
calendar: {back-ends: {north: {url: 'http://127.0.0.1:${calendar}/ischedule'}}}
next-hop: {address: '127.0.0.1:${mailboxes.port}'}
smart-host: {address: '127.0.0.1:${world.port}'}
queue: {post-retry: [1h], mail-retry: [1h]}
`),
  );
});
afterAll(() => closing.disposeAsync());

/** The calendar server comes up for as long as the result is in scope. */
async function calendarUp() {
  const calendar = trialCalendar(join(gateway.folder, 'calendars'), calendarPort);
  await calendar.listen();
  return calendar;
}
const stored = (user: string, uid: string): string | undefined =>
  readEvent(join(gateway.folder, 'calendars'), user, uid);

const isPost =
  (uid: string, outcome: string) =>
  (line: LogLine): boolean =>
    line.channel === 'ischedule' && line.uid === uid && line.outcome === outcome;

/** Injects a message and waits for the outcome of its post. @returns its queue id */
async function injected(event: Pick<EventFields, 'uid' | 'attendees'>, outcome: string): Promise<string> {
  const file = join(gateway.folder, `${event.uid}.eml`);
  writeFileSync(file, invitationMail({ organizer: OLGA, method: 'REQUEST', ...event }));
  const { code, out } = await gateway.command('inject', file);
  expect(code).toBe(0);
  const line = await gateway.waitForLog(isPost(event.uid, outcome));
  expect(out).toBe(
    event.attendees.map((one) => `${one}: accepted 2.6.0 smtp; 250 2.6.0 queued as ${line.queueId}\n`).join(''),
  );
  return String(line.queueId);
}

/** The cells of a table, by row. */
const cells = (out: string): readonly (readonly string[])[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
const ISO = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

describe('inject', () => {
  test('takes sender and recipients from the message, or as they are named', async () => {
    const file = join(gateway.folder, 'plain.eml');
    writeFileSync(file, plainMail({ from: OLGA, to: ALICE, id: 'plain@example.org' }).replaceAll('\r\n', '\n'));
    const { code, out } = await gateway.command('inject', file);
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^alice@example\.com: accepted 2\.6\.0 smtp; 250 2\.6\.0 queued as \w+\n$/),
    });
    const named = await gateway.command('inject', file, '--from', 'petra@example.net', '--to', 'bob@example.com', MIA);
    expect(named.code).toBe(0);
    const mails = await mailboxes.waitFor((mail) => mail.content.includes('plain@example.org'), 2);
    expect(mails.map(({ from, recipients }) => [from, ...recipients.map(({ address }) => address)])).toEqual([
      [OLGA, ALICE],
      ['petra@example.net', 'bob@example.com', MIA],
    ]);
  });

  test('tells in JSON what each recipient was answered', async () => {
    const file = join(gateway.folder, 'plain.eml');
    writeFileSync(file, plainMail({ from: OLGA, to: ALICE, id: 'json@example.org' }));
    const { out } = await gateway.command('inject', file, '--json');
    expect(JSON.parse(out)).toMatchObject([{ recipient: ALICE, kind: 'delivered', status: '2.6.0' }]);
  });

  test('of a message that is not there, or without recipient, or by no listener, is refused', async () => {
    const file = join(gateway.folder, 'nobody.eml');
    writeFileSync(file, 'Subject: Lunch\r\n\r\nNoon?\r\n');
    const gone = join(gateway.folder, 'gone.eml');
    expect(await gateway.command('inject', gone)).toEqual({
      code: 66,
      out: '',
      err: `${gone}: cannot be read: ENOENT: no such file or directory, open '${gone}'\n`,
    });
    expect(await gateway.command('inject', file)).toEqual({
      code: 64,
      out: '',
      err: `${file}: got no recipient, neither --to nor a To field with an address; name them with --to\n`,
    });
    expect(await gateway.command('inject', file, '--to', ALICE, '--listener', 'out')).toEqual({
      code: 64,
      out: '',
      err: 'got listener out, want one of in\n',
    });
  });

  test('without a running gateway says so, with exit code 69', async () => {
    await using folder = await folderWith({
      'mail.eml': plainMail({ from: OLGA, to: ALICE, id: 'down@example.org' }),
      'imipd.yaml': `domains: [example.com]\nlisteners: [{name: in, address: '127.0.0.1:${down}'}]\nnext-hop: {address: '127.0.0.1:2'}\n`,
    });
    expect(await imipd(folder.path, 'inject', 'mail.eml')).toEqual({
      code: 69,
      out: `${ALICE}: deferred 4.4.1 the gateway cannot be reached (ECONNREFUSED)\n`,
      err: '',
    });
  });
});

describe('a post whose calendar server is down', () => {
  test('is listed and shown, and delivered by retry once the server is up', async () => {
    const id = await injected({ uid: 'retry@example.org', attendees: [ALICE] }, 'deferred');

    const list = await gateway.command('queue', 'list');
    expect(list.code).toBe(0);
    expect(cells(list.out)).toEqual([
      ['ID', 'KIND', 'STATE', 'RECIPIENT', 'FROM', 'RECEIVED', 'TRIES', 'NEXT', 'METHOD', 'REASON'],
      [id, 'post', 'queued', ALICE, OLGA, ISO, '1', ISO, 'REQUEST', expect.stringMatching(/\S/)],
    ]);
    const json = JSON.parse((await gateway.command('queue', 'list', '--json')).out);
    expect(json).toMatchObject([{ queueId: id, kind: 'post', state: 'queued', recipient: ALICE, attempts: 1 }]);

    const shown = await gateway.command('queue', 'show', id);
    expect(shown.code).toBe(0);
    expect(shown.out.split('\n')).toEqual([
      `${id}  <retry@example.org.REQUEST.0.${OLGA}>`,
      expect.stringMatching(/^ {2}received \S+Z on in \(filter, outside\) from 127\.0\.0\.1, \d+ octets$/),
      `  from <${OLGA}>, REQUEST retry@example.org`,
      expect.stringMatching(/^ {2}post for alice@example\.com: queued, 1 attempt, next \S+Z$/),
      expect.stringMatching(/^ {4}last: deferred 4\.4\.1 \S/),
      '    decided: post',
      '      Is there something to schedule? yes: REQUEST of VEVENT retry@example.org',
      '      Whose recipient is it? uid=alice,o=example.com, by mail=alice@example.com',
      '      Is the user being moved? no',
      '      May its author say this? yes',
      '      Is the recipient meant? yes, as alice@example.com',
      '      Is it news? yes',
      `      Which home server? http://127.0.0.1:${calendarPort}/ischedule, because davStore is north`,
      '      What does that server take? profile generic: REQUEST, REPLY, CANCEL',
      `      → post: posted to http://127.0.0.1:${calendarPort}/ischedule (profile generic) for ${ALICE}; the mail is passed on, annotated`,
      expect.stringMatching(/^ {2}mail for alice@example\.com: delivered, 1 attempt$/),
      expect.stringMatching(/^ {4}last: delivered 2\.0\.0 \S/),
      '    told: nobody',
      '',
    ]);
    const asJson = JSON.parse((await gateway.command('queue', 'show', id, '--json')).out);
    expect(asJson).toMatchObject({ message: { id, uid: 'retry@example.org' }, deliveries: [{ kind: 'post' }, {}] });

    await using _calendar = await calendarUp();
    expect(await gateway.command('queue', 'retry', id)).toEqual({
      code: 0,
      out: `${id} post ${ALICE}: retry done\n`,
      err: '',
    });
    await gateway.waitForLog(isPost('retry@example.org', 'delivered'));
    expect(stored(ALICE, 'retry@example.org')).toContain('SUMMARY:Review');
    expect((await gateway.command('queue', 'list')).out).toBe('The queue is empty.\n');
    expect((await gateway.command('queue', 'retry', id)).out).toBe('nothing to retry\n');

    const all = cells((await gateway.command('queue', 'list', '--all', '--recipient', ALICE)).out);
    expect(all.filter(([first]) => first === id).map((row) => row.slice(1, 3))).toEqual([
      ['post', 'delivered'],
      ['mail', 'delivered'],
    ]);
    const delivered = await gateway.command('queue', 'list', '--state', 'delivered', '--json');
    expect(JSON.parse(delivered.out).map((row: { state: string }) => row.state)).not.toContain('queued');
  });

  test('is known to explain, once it was posted', async () => {
    await using _calendar = await calendarUp();
    await injected({ uid: 'again@example.org', attendees: [ALICE] }, 'delivered');
    const file = join(gateway.folder, 'again@example.org.eml');
    const { out } = await gateway.command('explain', ALICE, '--message', file);
    expect(out.split('\n').at(-2)).toBe('  → duplicate: no post: duplicate; the mail is passed on, annotated');
  });

  test('is given up by delete without a word', async () => {
    const id = await injected({ uid: 'delete@example.org', attendees: [ALICE, 'carol@example.com'] }, 'deferred');
    await gateway.waitForLines(isPost('delete@example.org', 'deferred'), 2);
    expect(await gateway.command('queue', 'delete', id, '--recipient', 'Carol@example.com', '--kind', 'mail')).toEqual({
      code: 0,
      out: 'nothing to delete\n',
      err: '',
    });
    const { out } = await gateway.command('queue', 'delete', '--recipient', 'Carol@example.com', '--json');
    expect(JSON.parse(out)).toEqual([{ queueId: id, kind: 'post', recipient: 'carol@example.com', changed: true }]);
    expect(
      cells((await gateway.command('queue', 'list')).out)
        .slice(1)
        .map((row) => row.slice(0, 4)),
    ).toEqual([[id, 'post', 'queued', ALICE]]);
    expect((await gateway.command('queue', 'delete', id)).out).toBe(`${id} post ${ALICE}: delete done\n`);
    expect((await gateway.command('queue', 'list')).out).toBe('The queue is empty.\n');
    expect((await gateway.command('queue', 'show', id)).out).toMatch(/^ {2}post for alice@example\.com: deleted/m);
  });

  test('is given up by bounce without a report: the mail has gone on', async () => {
    const id = await injected({ uid: 'bounce@example.org', attendees: [ALICE] }, 'deferred');
    expect((await gateway.command('queue', 'bounce', id)).out).toBe(`${id} post ${ALICE}: bounce done\n`);
    const { out } = await gateway.command('queue', 'show', id);
    expect(out).toContain('    last: failed 5.0.0 returned by the administrator\n    told: nobody\n');
    expect(world.mails).toEqual([]);
  });
});

describe('mail whose next hop is down', () => {
  test('is given up by bounce with a report to its sender', async () => {
    await mailboxes.close();
    const file = join(gateway.folder, 'returned.eml');
    writeFileSync(file, plainMail({ from: OLGA, to: ALICE, id: 'returned@example.org' }));
    expect((await gateway.command('inject', file)).code).toBe(0);
    const line = await gateway.waitForLog(
      (one) => one.messageId === '<returned@example.org>' && one.outcome === 'deferred',
    );
    const id = String(line.queueId);
    expect((await gateway.command('queue', 'bounce', id, '--kind', 'post')).out).toBe('nothing to bounce\n');
    expect((await gateway.command('queue', 'bounce', id)).out).toBe(`${id} mail ${ALICE}: bounce done\n`);
    const [report] = await world.waitFor((mail) => mail.content.includes('returned@example.org'));
    await mailboxes.open();
    expect([report?.from, report?.recipients.map(({ address }) => address)]).toEqual(['', [OLGA]]);
    const content = report?.content.toString() ?? '';
    for (const field of ['Final-Recipient: rfc822;alice@example.com', 'Action: failed', 'Status: 5.0.0'])
      expect(content.replace(/; /g, ';')).toContain(`\r\n${field}\r\n`);
    expect((await gateway.command('queue', 'show', id)).out).toContain('    told: dsn\n');
  });
});

describe('a post that is held', () => {
  test('is released by any address of its user, with what waits behind it, though the move lasts', async () => {
    const id = await injected({ uid: 'held@example.org', attendees: [MIA] }, 'held');
    const update = join(gateway.folder, 'update.eml');
    const alias = 'm.miller@example.com';
    const change = { uid: 'held@example.org', sequence: 1, summary: 'Moved' };
    writeFileSync(update, invitationMail({ organizer: OLGA, method: 'REQUEST', attendees: [alias], ...change }));
    const later = /queued as (\w+)/.exec((await gateway.command('inject', update)).out)?.[1] ?? '';
    const holds = await gateway.command('queue', 'list', '--held', '--recipient', MIA);
    expect(cells(holds.out)).toEqual([
      ['ID', 'KIND', 'RECIPIENT', 'FROM', 'METHOD', 'HELD SINCE', 'FOR', 'REASON'],
      [id, 'post', MIA, OLGA, 'REQUEST', ISO, expect.stringMatching(/^\d+[sm]$/), 'moving'],
      [later, 'post', alias, OLGA, 'REQUEST', '-', '-', 'behind an earlier post'],
    ]);
    const [asJson] = JSON.parse((await gateway.command('queue', 'list', '--held', '--json')).out);
    expect(asJson).toMatchObject({ queueId: id, state: 'held', heldAt: expect.any(Number) });
    expect((await gateway.command('queue', 'show', later)).out).toMatch(
      /^ {2}post for m\.miller@example\.com: queued, 0 attempts, behind an earlier post$/m,
    );
    expect((await gateway.command('queue', 'retry', id)).out).toBe('nothing to retry\n');

    await using _calendar = await calendarUp();
    expect((await gateway.command('queue', 'release', '--recipient', MIA)).out).toBe(
      `${id} post ${MIA}: release done\n${later} post ${alias}: release done\n`,
    );
    await gateway.waitForLines(isPost('held@example.org', 'delivered'), 2);
    expect(stored(MIA, 'held@example.org')).toContain('SUMMARY:Moved');
    const { out } = await gateway.command('queue', 'show', id);
    expect(out.match(/^ {4}decided: .*$/gm)).toEqual(['    decided: moving', '    decided: post']);
    expect(out).toContain(`  post for ${MIA}: delivered, 1 attempt, released by a person\n`);
  });
});

describe('a command of the queue', () => {
  const unknown = 'got queue id NOPE, which the queue does not know; imipd queue list --all shows what it does\n';
  const wrong: readonly [args: readonly string[], code: number, says: string][] = [
    [['show', 'NOPE'], 65, unknown],
    [['retry', 'NOPE'], 65, unknown],
    [['bounce', 'NOPE'], 65, unknown],
    [['release'], 64, 'got nothing to act on; name queue ids, or a recipient with --recipient ADDRESS\n'],
    [
      ['list', '--state', 'lost'],
      64,
      'got --state lost, want one of queued, held, delivered, failed, expired, skipped, deleted\n',
    ],
  ];
  for (const [args, code, says] of wrong) {
    test(`${args.join(' ')} is refused`, async () => {
      expect(await gateway.command('queue', ...args)).toEqual({ code, out: '', err: says });
    });
  }

  test('does not make a queue where no gateway has run', async () => {
    await using folder = await folderWith({
      'imipd.yaml':
        "domains: [example.com]\nlisteners: [{name: in, address: '127.0.0.1:0'}]\nnext-hop: {address: '127.0.0.1:2'}\n",
    });
    const { code, err } = await imipd(folder.path, 'queue', 'list');
    expect({ code, err }).toEqual({
      code: 66,
      err: `${folder.path}/var: holds no queue; start imipd serve first, or name the configuration it runs with by --config\n`,
    });
  });
});
