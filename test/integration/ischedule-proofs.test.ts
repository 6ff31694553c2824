import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PostBatch } from '../../channel/channel.ts';
import { IScheduleDeliverer, type IScheduleOptions } from '../../channel/ischedule/deliver.ts';
import { composeKeyRecord } from '../../channel/ischedule/dkim/key-record.ts';
import type { SigningKey } from '../../channel/ischedule/keys.ts';
import type { Outcome } from '../../src/mail/outcome.ts';
import { silentLog } from '../../src/observe/log.ts';
import { type Authority, makeAuthority } from '../servers/authority.ts';
import { suite } from '../servers/installed.ts';
import { freePorts } from '../servers/ports.ts';
import { type Knot, startKnot } from '../servers/servers.ts';
import { CalendarStandIn } from './calendar-stand-in.ts';
import { calendarObject, type EventFields, invitationMail } from './invitations.ts';
import { startRecordingProxy } from './recording-proxy.ts';
import { deliveriesOfUid, type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { QUEUE_POLL, send } from './small-site.ts';
import { txt } from './zone.ts';

/** Where the peer that its address proves connects from. */
const KNOWN = '127.0.0.2';

/** Recipient domains of the receiver, each behind an address of its own, by how the sender proves itself there. */
const WAYS = [
  ...['plain', 'certificate', 'foreign-certificate', 'other-name', 'basic', 'wrong-password', 'bearer', 'wrong-token'],
  ...['network', 'untrusted'],
] as const;
type Way = (typeof WAYS)[number];

suite(['knot'], 'a gateway that posts to another by TLS', () => {
  const servers = new AsyncDisposableStack();
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 });
  let authority: Authority;
  let knot: Knot;
  let calendar: CalendarStandIn;
  let receiver: RelaySite;
  let sender: RelaySite;
  /** The receiver, as the sender reaches it. */
  let url: Readonly<Record<Way, string>>;

  beforeAll(async () => {
    authority = servers.use(await makeAuthority());
    const otherAuthority = servers.use(await makeAuthority());
    const folder = servers.adopt(await mkdtemp(join(tmpdir(), 'imipd-proofs-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const keyFile = join(folder, 'cal.pem');
    await writeFile(keyFile, key.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    const [receiverPort, senderPort] = (await freePorts(2)) as [number, number];
    calendar = servers.use(await CalendarStandIn.listen());

    const record = composeKeyRecord(key.publicKey);
    const otherRecord = composeKeyRecord(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey);
    knot = servers.use(
      await startKnot({
        zones: {
          'example.org': [
            `cal._domainkey.dns ${txt(record)}`,
            `cal._domainkey.revoked ${txt('v=DKIM1; k=rsa; p=')}`,
            `cal._domainkey.other-key ${txt(otherRecord)}`,
            `_domainkey_lookup._tcp.web SRV 0 0 ${senderPort} keys`,
            'keys A 127.0.0.1',
          ].join('\n'),
        },
      }),
    );

    const server = await authority.issue({ name: 'receiver.example.com' });
    receiver = servers.use(
      await startRelaySite({
        domains: WAYS.map((way) => `${way}.example.com`),
        users: Object.fromEntries(WAYS.map((way) => [`alice@${way}.example.com`, 'home'])),
        backEnds: { home: `url: '${calendar.url}'` },
        more: `
http:
  service:
    address: 127.0.0.1:${receiverPort}
    tls: {cert: '${server.certFile}', key: '${server.keyFile}', client-ca: '${authority.file}'}
dns: {servers: ['${knot.address}']}
ischedule:
  peers:
    - {name: signs, domains: ['*.example.org'], answer-wait: 10s, dkim: {}}
    - {name: shows, domains: [example.org], answer-wait: 10s, certificates: [sender.example.org]}
    - {name: logs-in, domains: [example.org], answer-wait: 10s, basic: [{user: cal, password: swordfish}]}
    - {name: has-token, domains: [example.org], answer-wait: 10s, bearer: [t0ken]}
    - {name: is-near, domains: [example.org], answer-wait: 10s, networks: [${KNOWN}]}
  exchanged-keys: [{domain: agreed.example.org, selector: cal, record: '${record}'}]
  discovery: {ca: '${authority.file}', allow-networks: [127.0.0.0/8]}
`,
      }),
    );

    const proxies = await Promise.all(
      WAYS.map(async (way) => {
        const target = `https://127.0.0.1:${receiverPort}/ischedule`;
        const proxy = servers.use(await startRecordingProxy(target, way === 'network' ? { from: KNOWN } : {}));
        return [way, proxy.url] as const;
      }),
    );
    url = Object.fromEntries(proxies) as Record<Way, string>;
    const own = await authority.issue({ name: 'sender.example.org', client: true });
    const foreign = await otherAuthority.issue({ name: 'sender.example.org', client: true });
    const otherName = await authority.issue({ name: 'somebody.example.org', client: true });
    const keys = await authority.issue({ name: 'keys.example.org' });
    const settings: Readonly<Partial<Record<Way, string>>> = {
      certificate: `client-cert: '${own.certFile}', client-key: '${own.keyFile}'`,
      'foreign-certificate': `client-cert: '${foreign.certFile}', client-key: '${foreign.keyFile}'`,
      'other-name': `client-cert: '${otherName.certFile}', client-key: '${otherName.keyFile}'`,
      basic: 'user: cal, password: swordfish',
      'wrong-password': 'user: cal, password: sword',
      bearer: 'token: t0ken',
      'wrong-token': 'token: t0k',
      untrusted: `ca: '${otherAuthority.file}'`,
    };
    const signing = ['dns', 'web', 'agreed', 'revoked', 'other-key', 'nowhere'].map((name) => `${name}.example.org`);
    sender = servers.use(
      await startRelaySite({
        domains: ['example.org', ...signing],
        users: {},
        backEnds: {},
        domainMap: WAYS.map((way) => `${way}.example.com=${url[way]}`),
        more: `
http:
  service:
    address: 127.0.0.1:${senderPort}
    tls: {cert: '${keys.certFile}', key: '${keys.keyFile}'}
ischedule:
  ca: '${authority.file}'
  keys:
${signing.map((domain) => `    - {domain: ${domain}, selector: cal, key: '${keyFile}'}`).join('\n')}
  servers:
${Object.entries(settings)
  .map(([way, fields]) => `    - {url: '${url[way as Way]}', ${fields}}`)
  .join('\n')}
`,
      }),
    );
  });
  afterAll(() => servers.disposeAsync());

  function event(uid: string, organizer: string, way: Way): EventFields {
    return { uid: `${uid}@example.org`, organizer, attendees: [`alice@${way}.example.com`], method: 'REQUEST' };
  }

  /** A user of the sender invites one of the receiver's, by mail as his program does. */
  async function invite(fields: EventFields): Promise<void> {
    await send(sender, 'own', { from: fields.organizer, to: fields.attendees, message: invitationMail(fields) });
  }

  test.each<readonly [string, string, Way, string, string]>([
    ['a signature whose key is in the DNS', 'olga@dns.example.org', 'plain', 'signs', 'dkim'],
    ['a signature whose key the sender serves itself', 'olga@web.example.org', 'plain', 'signs', 'dkim'],
    ['a signature whose key was handed over before', 'olga@agreed.example.org', 'plain', 'signs', 'dkim'],
    ['a client certificate', 'olga@example.org', 'certificate', 'shows', 'certificate'],
    ['user name and password', 'olga@example.org', 'basic', 'logs-in', 'basic'],
    ['a token', 'olga@example.org', 'bearer', 'has-token', 'bearer'],
    ['the address that it comes from', 'olga@example.org', 'network', 'is-near', 'network'],
  ])('is believed by %s', async (title, organizer, way, peer, proof) => {
    const fields = event(title.replaceAll(' ', '-'), organizer, way);
    await invite(fields);
    const [recipient] = fields.attendees;
    await expect.poll(() => statesOfUid(sender, fields.uid), QUEUE_POLL).toContain(`post to ${recipient}: delivered`);
    expect(deliveriesOfUid(sender, fields.uid)[0]?.outcome).toMatchObject({ kind: 'delivered', requestStatus: '2.0' });
    expect(calendar.of(fields.uid).map(({ recipients }) => recipients)).toEqual([[recipient]]);
    const taken = await receiver.gateway.waitForLog((line) => line.uid === fields.uid && line.proof !== undefined);
    expect(taken).toMatchObject({ peer, proof });
  });

  test.each<readonly [string, string, Way, RegExp]>([
    ['a signature by another key than the DNS has', 'olga@other-key.example.org', 'plain', /^403 .* not by the key/],
    ['a signature by a key that was revoked', 'olga@revoked.example.org', 'plain', /^403 .* the key is revoked/],
    ['a signature by a key that is nowhere', 'olga@nowhere.example.org', 'plain', /^403 .* serves no keys/],
    [
      'a certificate of another authority',
      'olga@example.org',
      'foreign-certificate',
      /^40[13] .* of an authority that is not known/,
    ],
    [
      'a certificate of another name',
      'olga@example.org',
      'other-name',
      /^40[13] .* found a client certificate for somebody\.example\.org/,
    ],
    ['a wrong password', 'olga@example.org', 'wrong-password', /^401 .* found credentials that are not known/],
    ['a wrong token', 'olga@example.org', 'wrong-token', /^401 .* found credentials that are not known/],
    ['an address that no peer has', 'olga@example.org', 'plain', /^40[13] .* found nothing/],
  ])('is not believed by %s: an alarm, and the invitation waits', async (title, organizer, way, answer) => {
    const fields = event(title.replaceAll(' ', '-'), organizer, way);
    await invite(fields);
    const line = await sender.gateway.waitForLog(({ channel, uid }) => channel === 'ischedule' && uid === fields.uid);
    expect(line).toMatchObject({ outcome: 'deferred', status: '4.3.5', alarm: true });
    const said = String(line.diagnostic).replace(/^http; /, '');
    expect(said).toMatch(/^\d+ verification-failed: /);
    expect(said).toMatch(answer);
    expect(statesOfUid(sender, fields.uid)).toContain(`post to ${fields.attendees[0]}: queued`);
    expect([deliveriesOfUid(receiver, fields.uid), calendar.of(fields.uid)]).toEqual([[], []]);
  });

  test('does not post where the server’s certificate is of an authority that it does not trust', async () => {
    const fields = event('untrusted', 'olga@example.org', 'untrusted');
    await invite(fields);
    const line = await sender.gateway.waitForLog(({ channel, uid }) => channel === 'ischedule' && uid === fields.uid);
    expect(line).toMatchObject({ ...{ outcome: 'deferred', status: '4.3.5', alarm: true } });
    expect(line.reason).toContain('TLS with the calendar server failed');
    expect([deliveriesOfUid(receiver, fields.uid), calendar.of(fields.uid)]).toEqual([[], []]);
  });

  // What our own gateway never does: the channel by itself, with a key or a clock that is wrong.
  describe('is not believed by', () => {
    const signing = (domain: string): SigningKey => ({ domain, selector: 'cal', key: key.privateKey });

    async function post(fields: EventFields, more: Partial<IScheduleOptions>): Promise<readonly Outcome[]> {
      const server = new URL(url.plain);
      await using channel = new IScheduleDeliverer(
        {
          ...{ server, timeoutMs: 20_000, connectTimeoutMs: 5000, connections: 1, maxRedirects: 0, redirectHosts: [] },
          ...{ userAgent: 'imipd/test', maxResponseBytes: 1_000_000, ca: authority.pem },
          ...more,
        },
        silentLog,
      );
      const batch: PostBatch = {
        ...{ queueId: 'Q1', server, profile: 'generic', messageId: `${fields.uid}.1`, originator: fields.organizer },
        ...{ recipients: fields.attendees, method: fields.method, component: 'VEVENT' },
        content: Buffer.from(calendarObject(fields)),
      };
      return await channel.deliver(batch, new AbortController().signal);
    }

    test('a signature of two hours ago, while one of now would do', async () => {
      const signer = { keyFor: signing };
      const late = event('late', 'olga@dns.example.org', 'plain');
      const clock = () => Date.now() - 2 * 3_600_000;
      expect(await post(late, { signer, clock })).toMatchObject([
        {
          kind: 'deferred',
          status: '4.3.5',
          alarm: true,
          diagnostic: expect.stringContaining('http; 403 verification-failed: '),
        },
      ]);
      expect(deliveriesOfUid(receiver, late.uid)).toEqual([]);
      expect(await post(late, { signer })).toMatchObject([{ kind: 'delivered' }]);
    });

    test('a right signature of another domain', async () => {
      const borrowed = event('borrowed', 'olga@agreed.example.org', 'plain');
      const signer = { keyFor: () => signing('dns.example.org') };
      expect(await post(borrowed, { signer })).toMatchObject([
        {
          kind: 'deferred',
          status: '4.3.5',
          alarm: true,
          diagnostic: expect.stringContaining('http; 403 originator-denied: '),
        },
      ]);
      expect(deliveriesOfUid(receiver, borrowed.uid)).toEqual([]);
    });
  });
});
