import { randomInt } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLog } from '../../src/observe/log.ts';
import { TrialCalendarServer } from '../../src/trial/calendar-server.ts';
import { readCalendar } from '../../src/trial/vdir.ts';
import { type Gateway, startGateway } from '../integration/harness.ts';
import { invitationMail } from '../integration/invitations.ts';
import { MailSink } from '../integration/mail-sink.ts';
import { SmtpClient } from '../integration/smtp-client.ts';
import { freePort } from '../servers/ports.ts';

const ALICE = 'alice@example.com';
const OLGA = 'olga@example.org';
const MESSAGES = 500;
const SENDERS = 6;
const KILLS = 6;

describe('a gateway that is killed again and again while mail comes in', () => {
  const stack = new AsyncDisposableStack();
  /** UIDs of the mails that reached the next hop. */
  const mailed = new Set<string>();
  let folder: string;
  let port: number;
  let gateway: Gateway;
  beforeAll(async () => {
    folder = stack.adopt(await mkdtemp(join(tmpdir(), 'imipd-kill-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    await writeFile(join(folder, 'people.ldif'), LDIF);
    const calendar = stack.adopt(
      new TrialCalendarServer({ host: '127.0.0.1', port: 0, folder, domains: ['example.com'], log: silentLog }),
      (server) => server.close(),
    );
    const sink = stack.use(
      await MailSink.listen('smtp', {
        data: (mail) => {
          const uid = /^UID:(.*)\r$/m.exec(mail.content.toString('latin1'))?.[1];
          if (uid !== undefined) mailed.add(uid);
          return undefined;
        },
      }),
    );
    port = await freePort();
    gateway = stack.use(
      await startGateway(`
hostname: imipd.example.com
domains: [example.com]
listeners:
  - {name: in, address: '127.0.0.1:${port}'}
directory: {kind: ldif, preset: sun, file: '${join(folder, 'people.ldif')}'}
calendar:
  back-ends:
    trial: {url: '${await calendar.listen()}', profile: generic}
next-hop: {address: '127.0.0.1:${sink.port}'}
queue:
  post-retry: [1s]
  mail-retry: [1s]
`),
    );
  });
  afterAll(() => stack.disposeAsync());

  test('delivers every message that it answered with 250 to calendar and mailbox', { timeout: 240_000 }, async () => {
    const accepted = new Set<string>();
    let next = 0;
    let up = Promise.resolve();
    const sender = async () => {
      let client: SmtpClient | undefined;
      while (next < MESSAGES) {
        const uid = `kill-${next++}@example.org`;
        const message = invitationMail({ uid, organizer: OLGA, attendees: [ALICE], method: 'REQUEST' });
        try {
          client ??= await greeted(port);
          const result = await client.transaction({ from: OLGA, to: [ALICE], message });
          expect(result.data[0]?.code).toBe(250);
          accepted.add(uid);
        } catch (error) {
          if (!isConnectionError(error)) throw error;
          // Killed in the middle: this message was promised nothing, and is not sent again.
          client?.destroy();
          client = undefined;
          await up;
        }
      }
      await client?.quit();
    };
    const killer = async () => {
      for (let kill = 1; kill <= KILLS; kill++) {
        const at = Math.floor(((kill - 0.5) * MESSAGES) / KILLS) + randomInt(-30, 30);
        while (next < at) await delay(1);
        await delay(randomInt(0, 30));
        const restarted = Promise.withResolvers<void>();
        up = restarted.promise;
        await gateway.kill('SIGKILL');
        await gateway.restart();
        restarted.resolve();
      }
    };
    await Promise.all([killer(), ...Array.from({ length: SENDERS }, sender)]);

    expect(accepted.size).toBeGreaterThan(MESSAGES - KILLS * SENDERS * 2);
    const missing = async () => {
      const events = new Set((await readCalendar(folder, ALICE)).map((event) => event.uid));
      return {
        calendar: [...accepted].filter((uid) => !events.has(uid)),
        mailbox: [...accepted].filter((uid) => !mailed.has(uid)),
      };
    };
    await expect.poll(missing, { timeout: 90_000, interval: 500 }).toEqual({ calendar: [], mailbox: [] });
  });
});

async function greeted(port: number): Promise<SmtpClient> {
  const client = await SmtpClient.connect(port);
  await client.reply();
  await client.command('EHLO client.example.org');
  return client;
}

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && ('syscall' in error || error.message === 'connection closed before a reply');
}

const LDIF = `dn: o=isp
objectClass: organization
o: isp

dn: uid=alice,o=isp
objectClass: inetOrgPerson
objectClass: inetMailUser
objectClass: icsCalendarUser
objectClass: davEntity
uid: alice
cn: Alice Adams
sn: Adams
mail: ${ALICE}
davStore: trial
`;
