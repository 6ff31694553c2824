import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ALICE,
  arrived,
  mailFor,
  OLGA,
  outcomesOf,
  queueIdOf,
  reportsTo,
  requestMail,
  type SmallSite,
  send,
  startSmallSite,
} from './small-site.ts';

describe('what standards ask for beyond the table', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({ listeners: ['name: in', 'name: final, mode: final'] });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  // RFC 5321 §4.5.1 speaks of the domains that a server takes mail for.
  test('final takes mail for the postmaster of its own domains and relays to no other', async () => {
    const to = ['postmaster', 'Postmaster@Example.com', 'postmaster@imipd.example.com', 'postmaster@elsewhere.test'];
    const sent = await send(site, 'final', { from: OLGA, to, message: 'Subject: help\r\n\r\nhelp\r\n' });
    expect(sent.rcpt.map(({ lines }) => lines.join())).toEqual([
      '250 2.1.5 recipient accepted',
      '250 2.1.5 recipient accepted',
      '250 2.1.5 recipient accepted',
      '550 5.7.1 <postmaster@elsewhere.test> relaying denied: not a domain of this gateway',
    ]);
  });

  // RFC 3461 §4.1: whoever asked for SUCCESS hears of it, though the calendar had it before.
  test('NOTIFY=SUCCESS of a duplicate in final is answered by a delivered DSN that says so', async () => {
    const from = 'again@example.org';
    const message = requestMail({ uid: 'again@example.org', attendees: [ALICE] });
    const first = await send(site, 'final', { from, to: [ALICE], message });
    await outcomesOf(site, queueIdOf(first));
    expect(reportsTo(site, from)).toEqual([]);
    const to = [{ address: ALICE, params: 'NOTIFY=SUCCESS ORCPT=rfc822;al@example.com' }];
    const second = await send(site, 'final', { from, to, message });
    expect(await outcomesOf(site, queueIdOf(second))).toEqual([`post to ${ALICE}: skipped`]);
    const report = (await mailFor(site.world, from, 'Final-Recipient')).content.toString();
    expect(report).toMatch(/\r\n {4}Accepted; nothing had to be entered in the calendar\. Duplicate\.\r\n/);
    expect(report.match(/^(Original-Recipient|Final-Recipient|Action|Status|Remote-MTA): .*/gm)).toEqual([
      'Original-Recipient: rfc822; al@example.com',
      `Final-Recipient: rfc822; ${ALICE}`,
      'Action: delivered',
      'Status: 2.0.0',
    ]);
  });

  // A server that takes the first of the two would believe that a stranger is one of our own users.
  test('an ORGANIZER of two mailboxes, one of them ours, is nobody, and its mail goes on unposted', async () => {
    const uid = 'two-mailboxes@example.org';
    const message = requestMail({ uid, attendees: [ALICE], organizer: 'bob@example.com,eve@example.org' });
    await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, uid)).status).toMatch(
      /action=skipped; reason="the ORGANIZER is no mailto: address \(RFC 6047 section 2\.1\)"/,
    );
    expect(site.calendar.of(uid)).toEqual([]);
  });

  // The draft binds Recipient to ATTENDEE; Bedework compares the two exactly.
  test('Recipient is spelled as ATTENDEE is, and the object stays as it came', async () => {
    const uid = 'spelling@example.org';
    const message = requestMail({ uid, attendees: ['Alice@example.com'] });
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    await outcomesOf(site, queueIdOf(sent));
    const [post] = site.calendar.of(uid);
    expect(post?.recipients).toEqual(['Alice@example.com']);
    expect(message).toContain(post?.body);
  });
});
