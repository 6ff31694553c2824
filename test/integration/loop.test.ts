import { afterAll, beforeAll, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import type { LogLine } from './harness.ts';
import { invitationMail } from './invitations.ts';
import { type Site, startSite } from './site.ts';
import { submit } from './smtp-client.ts';

const ALICE = 'alice@example.test';
const OLGA = 'olga@outside.test';

// The transport map of one way with the addressing of the other: alice@example.test goes round.
suite(
  ['slapd', 'cyrus', 'davical', 'postfix'],
  'a Postfix whose transport map sends back what the gateway hands back',
  () => {
    let site: Site;
    beforeAll(async () => {
      site = await startSite('Through the mail host', {
        change: (file) => file.text.replace('addressing: mailhost', 'addressing: as-received'),
      });
    });
    afterAll(async () => site?.[Symbol.asyncDispose]());

    test('a message is refused 5.4.6 the fifth time, and its sender hears of it once', () =>
      expectRefusal(site, 'map@outside.test'));

    test('`imipd check --probe` says that mail comes back', async () => {
      const { code, out } = await site.gateway.command('check', '--probe', '--to', ALICE);
      expect(out).toMatch(/^error +mail loop: the probe to alice@example\.test came back/m);
      expect(code).toBe(69);
    });
  },
);

suite(['slapd', 'cyrus', 'davical', 'postfix'], 'a Postfix that filters what the gateway hands back', () => {
  let site: Site;
  beforeAll(async () => {
    site = await startSite('As received', { change: (file) => file.text.replace('no_header_body_checks,', '') });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test('an invitation is refused 5.4.6 the fifth time, and its sender hears of it once', () =>
    expectRefusal(site, 'filter@outside.test'));

  test('`imipd check --probe` says that mail comes back', async () => {
    const { code, out } = await site.gateway.command('check', '--probe', '--to', ALICE);
    expect(out).toMatch(/^error +mail loop: the probe to alice@example\.test came back/m);
    expect(code).toBe(69);
  });
});

suite(['slapd', 'cyrus', 'davical', 'postfix'], 'a Postfix that is set up as its page says', () => {
  test.each(['As received', 'Through the mail host'] as const)(
    '`imipd check --probe` finds no loop: %s',
    async (way) => {
      await using site = await startSite(way);
      const { code, out } = await site.gateway.command('check', '--probe', '--wait', '2');
      expect(out).toMatch(/^ok +mail loop: the probe to postmaster@example\.test was passed on and did not come back/m);
      expect(out).not.toMatch(/^error/m);
      expect(code).toBe(0);
    },
  );
});

async function expectRefusal(site: Site, uid: string): Promise<void> {
  const event = { uid, organizer: OLGA, attendees: [ALICE], method: 'REQUEST' } as const;
  await submit(site.postfix.entry, { from: OLGA, to: [ALICE], message: invitationMail(event) });
  const [report] = await site.world.waitFor((mail) => mail.recipients.some((to) => to.address === OLGA));
  const text = report!.content.toString().replace(/\r\n[ \t]+/g, ' ');
  expect(report!.from).toBe('');
  expect(text).toMatch(/^Status: 5\.4\.6\r$/m);
  expect(text).toMatch(/^Diagnostic-Code: smtp; 554 5\.4\.6 /m);
  expect(text.match(/^Received:.* by imipd\.example\.test /gm)).toHaveLength(4);
  const isWarning = (line: LogLine) => line.level === 'warn' && String(line.messageId).includes(uid);
  const warnings = await site.gateway.waitForLines(isWarning, 4);
  expect(warnings.map((line) => line.ownReceived)).toEqual([1, 2, 3, 4]);
  expect(site.store.mails).toEqual([]);
  expect(site.posts.posts(uid)).toHaveLength(1);
}
