import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CalendarStandIn, SUCCESS } from './calendar-stand-in.ts';
import { folderWith } from './cli.ts';
import { type Gateway, type LogLine, startGateway } from './harness.ts';
import { invitationMail } from './invitations.ts';
import { MailSink } from './mail-sink.ts';
import { submit } from './smtp-client.ts';

const OLGA = 'olga@example.org';
const ALICE = 'alice@example.com';
const BOB = 'bob@example.com';

const person = (name: string): string => `
dn: uid=${name},o=isp
objectClass: inetMailUser
objectClass: icsCalendarUser
objectClass: davEntity
uid: ${name}
mail: ${name}@example.com
`;

const closing = new AsyncDisposableStack();
let gateway: Gateway;
let old: CalendarStandIn;
let next: CalendarStandIn;
/** Where the map and the directory lie. */
let folder: string;
let yaml: string;

beforeAll(async () => {
  old = closing.use(await CalendarStandIn.listen());
  next = closing.use(await CalendarStandIn.listen());
  const mailboxes = closing.use(await MailSink.listen('smtp'));
  const files = closing.use(await folderWith({ 'map.properties': mapTo(old), 'people.ldif': person('alice') }));
  folder = files.path;
  yaml = `
hostname: imipd.example.com
domains: [example.com]
listeners: [{name: in, address: '127.0.0.1:0'}]
directory: {kind: ldif, file: '${folder}/people.ldif', mapping: {marker: none}}
calendar: {domain-map: '${folder}/map.properties'}
next-hop: {address: '127.0.0.1:${mailboxes.port}'}
queue: {post-retry: [300ms], mail-retry: [300ms]}
`;
  gateway = closing.use(await startGateway(yaml));
});
afterAll(() => closing.disposeAsync());

beforeEach(async () => {
  old.answer = next.answer = () => SUCCESS;
  await reloadedBy(() => writeMap(mapTo(old)));
});

function mapTo(server: CalendarStandIn): string {
  return `example.com=${server.url} profile=generic\n`;
}
const writeMap = (text: string): void => writeFileSync(join(folder, 'map.properties'), text);
const hangUp = (): void => void process.kill(gateway.pid ?? 0, 'SIGHUP');

/** Does what leads to a reload by SIGHUP. @returns the line that says what came of it */
async function reloadedBy(change: () => void): Promise<LogLine> {
  const from = gateway.log.length;
  change();
  hangUp();
  return gateway.waitForLog((line) => line.trigger === 'SIGHUP', 20_000, from);
}

/** Does what the gateway is to notice by itself. @returns the next line with this event */
async function noticed(event: string, change: () => void | Promise<void>): Promise<LogLine> {
  const from = gateway.log.length;
  await change();
  return gateway.waitForLog((line) => line.event === event, 20_000, from);
}

/** What a line says beside level and time. */
function said({ level: _, time: __, ...facts }: LogLine): Readonly<Record<string, unknown>> {
  return facts;
}

const plain = (texts: unknown): readonly string[] => {
  const list = Array.isArray(texts) ? texts : [];
  return list.map((text) => String(text).replaceAll(`${folder}/`, '').replaceAll(gateway.config, 'imipd.yaml'));
};

async function invite(uid: string, attendee: string): Promise<void> {
  const message = invitationMail({ organizer: OLGA, method: 'REQUEST', uid, attendees: [attendee] });
  const result = await submit(gateway.port('in'), { from: OLGA, to: [attendee], message });
  expect(result.data[0]?.lines[0]).toMatch(/^250 /);
}

const isPost = (uid: string, outcome: string) => (line: LogLine) =>
  line.channel === 'ischedule' && line.uid === uid && line.outcome === outcome;

describe('a map that changes while a post is under way', () => {
  test('leaves that attempt its server; the next goes to the other, and the record has both decisions', async () => {
    const uid = 'under-way@example.org';
    const gate = Promise.withResolvers<void>();
    old.answer = async () => {
      await gate.promise;
      return { httpStatus: 503 };
    };
    await invite(uid, ALICE);
    await old.waitFor(uid);
    expect(said(await reloadedBy(() => writeMap(mapTo(next))))).toEqual({
      event: 'reloaded',
      trigger: 'SIGHUP',
      changes: [`calendar.domain-map: example.com: ${old.url} profile=generic → ${next.url} profile=generic`],
    });
    gate.resolve();

    const deferred = await gateway.waitForLog(isPost(uid, 'deferred'));
    const delivered = await gateway.waitForLog(isPost(uid, 'delivered'));
    expect([deferred.relay, delivered.relay]).toEqual([new URL(old.url).host, new URL(next.url).host]);
    expect([old.of(uid).length, next.of(uid).length]).toEqual([1, 1]);
    const { out } = await gateway.command('queue', 'show', String(delivered.queueId), '--json');
    const [post] = JSON.parse(out).deliveries;
    expect(post).toMatchObject({
      kind: 'post',
      state: 'delivered',
      decisions: [
        { rule: 'post', post: { kind: 'post', server: { url: old.url } } },
        { rule: 'post', post: { kind: 'post', server: { url: next.url } } },
      ],
    });
  });
});

describe('a configuration that is wrong', () => {
  test('is refused as a whole on SIGHUP, with every error, and what was loaded before stays', async () => {
    const line = await reloadedBy(() => {
      writeMap(`${mapTo(next)}example.net\nexample.org=ftp://a.test/\n`);
      gateway.write(yaml.replace('300ms', 'soon'));
    });
    gateway.write(yaml);
    expect(line).toMatchObject({ level: 'error', event: 'reload-refused' });
    expect(plain(line.errors)).toEqual([
      expect.stringMatching(/^imipd\.yaml:6: calendar\.domain-map: map\.properties:2: example\.net has no URL/),
      expect.stringMatching(/^imipd\.yaml:6: calendar\.domain-map: map\.properties:3: got the URL "ftp:\/\/a\.test\/"/),
      expect.stringMatching(/^imipd\.yaml:8: queue\.post-retry\[0\]: got "soon"/),
    ]);
    await invite('refused@example.org', ALICE);
    await old.waitFor('refused@example.org');
  });

  test('is refused when it is the directory that cannot be read', async () => {
    const line = await reloadedBy(() => writeFileSync(join(folder, 'people.ldif'), `${person('alice')}nonsense\n`));
    writeFileSync(join(folder, 'people.ldif'), person('alice'));
    expect(line.event).toBe('reload-refused');
    expect(plain(line.errors)).toEqual([expect.stringMatching(/^people\.ldif:8: /)]);
    await invite('no-directory@example.org', ALICE);
    await old.waitFor('no-directory@example.org');
  });

  test('is taken over except for what needs a restart', async () => {
    const from = gateway.log.length;
    gateway.write(
      yaml
        .replace('imipd.example.com', 'other.example.com')
        .replace('queue: {', 'queue: {concurrency: 7, annotate-wait: 4s, '),
    );
    hangUp();
    const later = await gateway.waitForLog((line) => line.event === 'restart-needed', 20_000, from);
    expect(later).toMatchObject({
      level: 'warn',
      msg: 'takes effect at the next start',
      changes: ['hostname: imipd.example.com → other.example.com', 'queue.concurrency: 200 → 7'],
    });
    const reloaded = await gateway.waitForLog((line) => line.event === 'reloaded', 20_000, from);
    expect(reloaded.changes).toEqual(['queue.annotate-wait: 5s → 4s']);
    expect((await reloadedBy(() => gateway.write(yaml))).changes).toEqual(['queue.annotate-wait: 4s → 5s']);
    expect((await reloadedBy(() => undefined)).changes).toEqual([]);
  });
});

describe('without a signal', () => {
  test('a map with a byte order mark and CRLF is taken over, with a warning', async () => {
    const line = await noticed('reloaded', () => writeMap(`\uFEFF${mapTo(next).replace('\n', '\r\n')}# end\r\n`));
    expect(plain([line.trigger])).toEqual(['map.properties']);
    expect(line.changes).toEqual([
      `calendar.domain-map: example.com: ${old.url} profile=generic → ${next.url} profile=generic`,
    ]);
    const { warnings } = await gateway.waitForLog((one) => one.event === 'reload-warnings');
    expect(plain(warnings)).toEqual([expect.stringMatching(/map\.properties begins with a byte order mark/)]);
    await invite('bom@example.org', ALICE);
    await next.waitFor('bom@example.org');
  });

  test('a wrong map is refused with file and line', async () => {
    const line = await noticed('reload-refused', () => writeMap(`${mapTo(next)}example.net\n`));
    expect(plain([line.trigger])).toEqual(['map.properties']);
    expect(plain(line.errors)).toEqual([expect.stringMatching(/map\.properties:2: example\.net has no URL/)]);
    await invite('wrong@example.org', ALICE);
    await old.waitFor('wrong@example.org');
  });

  test('a map that vanishes leaves the old one in force, with one warning, and is taken over when it is back', async () => {
    const gone = await noticed('file-gone', () => rmSync(join(folder, 'map.properties')));
    expect([gone.level, ...plain([gone.file])]).toEqual(['warn', 'map.properties']);
    await invite('vanished@example.org', ALICE);
    await old.waitFor('vanished@example.org');
    const from = gateway.log.length;
    const back = await noticed('reloaded', () => writeMap(mapTo(next)));
    expect(back.changes).toHaveLength(1);
    expect(gateway.log.slice(from).filter((line) => line.event === 'file-gone')).toEqual([]);
  });

  test('a map that is still being written is not read', async () => {
    const from = gateway.log.length;
    const done = `# generated\n${mapTo(next)}`;
    // For longer than it takes to notice a change, each half of it a map that would be refused.
    const reloaded = await noticed('reloaded', async () => {
      for (let written = 0; written < 16; written++) {
        writeMap(`# generated\nexample.com\n${'#'.repeat(written)}`);
        await delay(400);
      }
      writeMap(done);
    });
    expect(reloaded.changes).toHaveLength(1);
    expect(gateway.log.slice(from).filter((line) => line.event === 'reload-refused')).toEqual([]);
  });

  test('a directory in a file is read anew when the file changes', async () => {
    const line = await noticed('reloaded', () =>
      writeFileSync(join(folder, 'people.ldif'), `${person('alice')}${person('bob')}`),
    );
    expect(plain(line.changes)).toEqual(['directory: people.ldif has other content']);
    await invite('new-user@example.org', BOB);
    await old.waitFor('new-user@example.org');
  });
});
