import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { composeKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import { type Authority, makeAuthority } from '../servers/authority.ts';
import { suite } from '../servers/installed.ts';
import { freePorts } from '../servers/ports.ts';
import { type Knot, startKnot } from '../servers/servers.ts';
import { CalendarStandIn } from './calendar-stand-in.ts';
import type { LogLine } from './harness.ts';
import { type EventFields, invitationMail } from './invitations.ts';
import { type RecordingProxy, startRecordingProxy } from './recording-proxy.ts';
import { deliveriesOfUid, type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { mailFor, QUEUE_POLL, send } from './small-site.ts';
import { txt } from './zone.ts';

const ALICE = 'alice@example.com';
/** The host of the receiver, and of everything else that the DNS of these tests names on 127.0.0.1. */
const HOST = 'cal.found.test';
const FOUND = ['found.test', 'second.test', 'later.test', 'loopback.test'];
/** No network allows it. */
const PRIVATE = '127.0.0.9';

suite(['knot'], 'a gateway that finds the servers of other domains', () => {
  const servers = new AsyncDisposableStack();
  let authority: Authority;
  let knot: Knot;
  let calendar: CalendarStandIn;
  /** Has the calendars of those who can be found. */
  let receiver: RelaySite;
  let sender: RelaySite;
  /** Something that listens where strangers have no business. */
  const inside = { port: 0, connections: 0 };
  /** Before the receiver: where the DNS of loopback.test leads. */
  let onLoopback: RecordingProxy;
  /** Where a server that redirects sends everybody. */
  let redirectTo = '';

  beforeAll(async () => {
    authority = servers.use(await makeAuthority());
    const folder = servers.adopt(await mkdtemp(join(tmpdir(), 'imipd-discovery-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const keyFile = join(folder, 'cal.pem');
    await writeFile(keyFile, key.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    const [port, nobody] = (await freePorts(2)) as [number, number];

    const listener = createServer((socket) => {
      inside.connections++;
      socket.destroy();
    }).listen(0, PRIVATE);
    servers.defer(() => void listener.close());
    await once(listener, 'listening');
    inside.port = (listener.address() as AddressInfo).port;

    const certificate = await authority.issue({ name: HOST });
    const redirecting = createHttpsServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
      request.resume();
      if (request.method === 'GET') response.writeHead(404).end();
      else response.writeHead(307, { Location: redirectTo }).end();
    }).listen(0, '127.0.0.1');
    servers.defer(() => {
      redirecting.closeAllConnections();
      redirecting.close();
    });
    await once(redirecting, 'listening');
    const redirectPort = (redirecting.address() as AddressInfo).port;

    onLoopback = servers.use(await startRecordingProxy(`https://127.0.0.1:${port}/`));
    knot = servers.use(
      await startKnot({
        zones: {
          'example.com': `cal._domainkey ${txt(composeKeyRecord(key.publicKey))}`,
          'found.test': `_ischedules._tcp SRV 0 0 ${port} cal\ncal A 127.0.0.1`,
          'second.test': `_ischedules._tcp SRV 10 0 ${nobody} ${HOST}.\n_ischedules._tcp SRV 20 0 ${port} ${HOST}.`,
          'no-service.test': '_ischedules._tcp SRV 0 0 0 .',
          'private.test': `_ischedules._tcp SRV 0 0 ${inside.port} cal\ncal A ${PRIVATE}`,
          'literal.test': `_ischedules._tcp SRV 0 0 ${redirectPort} ${HOST}.\ncal A ${PRIVATE}`,
          'loopback.test': `_ischedules._tcp SRV 0 0 ${new URL(onLoopback.url).port} ${HOST}.`,
        },
      }),
    );
    calendar = servers.use(await CalendarStandIn.listen());
    receiver = servers.use(
      await startRelaySite({
        domains: FOUND,
        users: Object.fromEntries(FOUND.map((domain) => [`olga@${domain}`, 'home'])),
        backEnds: { home: `url: '${calendar.url}'` },
        more: `
http: {service: {address: '127.0.0.1:${port}', tls: {cert: '${certificate.certFile}', key: '${certificate.keyFile}'}}}
dns: {servers: ['${knot.address}']}
ischedule: {peers: [{name: everybody, domains: ['*'], answer-wait: 10s, dkim: {}}]}
`,
      }),
    );
    sender = servers.use(
      await startRelaySite({
        domains: ['example.com'],
        users: {},
        backEnds: {},
        more: `
dns: {servers: ['${knot.address}']}
ischedule:
  keys: [{domain: example.com, selector: cal, key: '${keyFile}'}]
  discovery:
    domains: ['*']
    ca: '${authority.file}'
    allow-networks: [127.0.0.1]
`,
      }),
    );
  });
  afterAll(() => servers.disposeAsync());
  beforeEach(() => {
    inside.connections = 0;
  });

  /** Alice invites somebody, by mail. @returns the event and whom it is for */
  async function invite(uid: string, domain: string) {
    const olga = `olga@${domain}`;
    const fields: EventFields = { uid: `${uid}@example.com`, organizer: ALICE, attendees: [olga], method: 'REQUEST' };
    await send(sender, 'own', { from: ALICE, to: [olga], message: invitationMail(fields) });
    return { uid: fields.uid, olga };
  }

  /** The first attempt to post. */
  function attempt(of: string): Promise<LogLine> {
    return sender.gateway.waitForLog(({ channel, uid }) => channel === 'ischedule' && uid === of);
  }

  test.each([
    ['that the DNS names', 'found.test'],
    ['that is the next one, where the first is down', 'second.test'],
  ])('posts to the server %s, which believes its signature', async (_, domain) => {
    const { uid, olga } = await invite(`posted-${domain}`, domain);
    await expect.poll(() => statesOfUid(sender, uid), QUEUE_POLL).toContain(`post to ${olga}: delivered`);
    expect(calendar.of(uid).map(({ recipients }) => recipients)).toEqual([[olga]]);
    expect(await attempt(uid)).toMatchObject({ outcome: 'delivered', diagnostic: 'http; 200 2.0;Success' });
    const taken = await receiver.gateway.waitForLog((line) => line.uid === uid && line.proof !== undefined);
    expect(taken).toMatchObject({ peer: 'everybody', proof: 'dkim' });
  });

  test('sends mail alone where the DNS says that there is no service', async () => {
    const { uid, olga } = await invite('no-service', 'no-service.test');
    await mailFor(sender.world, olga, uid);
    await expect
      .poll(() => statesOfUid(sender, uid), QUEUE_POLL)
      .toEqual([`post to ${olga}: skipped`, `mail to ${olga}: delivered`]);
  });

  test('sends the mail and keeps the post while the DNS does not answer, and posts when it does', async () => {
    const { uid, olga } = await invite('later', 'later.test');
    await mailFor(sender.world, olga, uid);
    expect(statesOfUid(sender, uid)).toContain(`post to ${olga}: queued`);
    await knot.setZone('later.test', `_ischedules._tcp SRV 0 0 ${receiver.gateway.port('service')} ${HOST}.`);
    await expect.poll(() => statesOfUid(sender, uid), QUEUE_POLL).toContain(`post to ${olga}: delivered`);
  });

  test('never connects to an address that strangers have no business with, and sends the mail', async () => {
    const { uid, olga } = await invite('private', 'private.test');
    await mailFor(sender.world, olga, uid);
    const line = await attempt(uid);
    expect(line).toMatchObject({ outcome: 'deferred', status: '4.4.1' });
    expect(line.alarm).toBeUndefined(); // not ours to put right
    expect(inside.connections).toBe(0);
  });

  test.each([
    ['its address', () => `https://${PRIVATE}:${inside.port}/ischedule`],
    ['a name that has it', () => `https://cal.literal.test:${inside.port}/ischedule`],
  ])('follows no redirect there, by %s', async (title, location) => {
    redirectTo = location();
    const { uid } = await invite(`redirected-by-${title.replaceAll(' ', '-')}`, 'literal.test');
    const line = await attempt(uid);
    expect(line).toMatchObject({ outcome: 'deferred', status: '4.4.1' });
    expect(line.reason).toContain('no connection was made');
    expect(inside.connections).toBe(0);
  });

  test('connects to no loopback address at all once no network is allowed', async () => {
    const allowed = await invite('allowed', 'loopback.test');
    await expect
      .poll(() => statesOfUid(sender, allowed.uid), QUEUE_POLL)
      .toContain(`post to ${allowed.olga}: delivered`);
    const connections = onLoopback.connections();
    expect(connections).toBeGreaterThan(0);

    const { gateway } = sender;
    const yaml = await readFile(gateway.config, 'utf8');
    gateway.write(yaml.replace('    allow-networks: [127.0.0.1]\n', ''));
    const before = gateway.log.length;
    process.kill(gateway.pid ?? 0, 'SIGHUP');
    await gateway.waitForLog((line) => line.event === 'reloaded', 20_000, before);
    const refused = await invite('refused', 'loopback.test');
    const line = await attempt(refused.uid);
    expect(line).toMatchObject({ outcome: 'deferred', status: '4.4.1' });
    expect(line.reason).toContain('no connection was made');
    expect(onLoopback.connections()).toBe(connections);
    expect([deliveriesOfUid(receiver, refused.uid), calendar.of(refused.uid)]).toEqual([[], []]);
  });
});
