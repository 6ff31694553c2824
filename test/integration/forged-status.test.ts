import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALICE, mailFor, OLGA, queueIdOf, requestMail, type SmallSite, send, startSmallSite } from './small-site.ts';

const FORGED = 'action=posted; code=2.0; reason=forged';

// What a mailbox reads of us is ours alone.
describe('a status that the sender wrote', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({ listeners: ['name: in'] });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test.for([
    ['beyond-256-KiB', `${'X-A: a\r\n'.repeat(40_000)}iMIP-Gateway-Status: x; ${FORGED}\r\n`],
    ['a-continuation-of-ours', ` ; ${FORGED}\r\n`],
  ] as const)('does not reach the mailbox: %s', async ([uid, before]) => {
    const message = requestMail({ uid, attendees: [ALICE] });
    await send(site, 'in', { from: OLGA, to: [ALICE], message: before + message });
    const mail = await mailFor(site.mailboxes, ALICE, uid);
    expect(mail.content.includes('forged')).toBe(false);
    expect(mail.content.includes(message)).toBe(true);
  });

  // It stands in every log line of every recipient, and `queue show` writes it to a terminal.
  test('a Message-ID is kept as one line, without what a terminal would obey', async () => {
    const message = `Message-ID: <\x1b[2J${'a'.repeat(100_000)}@example.org>\r\nSubject: x\r\n\r\nHello\r\n`;
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(site.store.message(queueIdOf(sent))?.message.messageId).toBe(`<?[2J${'a'.repeat(993)}`);
  });
});
