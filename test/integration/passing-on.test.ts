import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainMail } from './invitations.ts';
import {
  ALICE,
  ANNOTATED,
  answers,
  arrived,
  BOB,
  mailFor,
  OLGA,
  outcomesOf,
  PETRA,
  queueIdOf,
  requestMail,
  type SmallSite,
  send,
  startSmallSite,
  statesOf,
} from './small-site.ts';

// What the next hop gets is what came, below header lines of ours.
describe('mail that is passed on', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({ listeners: ['name: in', 'name: inner, origin: inside'] });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test('an annotated mail goes out once for each recipient and names no other, plain mail goes out once for all', async () => {
    const uid = 'copies@example.org';
    const message = requestMail({ uid, attendees: [ALICE, BOB] }).replace(`To: ${ALICE}, ${BOB}`, 'To: undisclosed:;');
    await send(site, 'in', { from: OLGA, to: [ALICE, BOB], message });
    const copies = (await site.mailboxes.waitFor((mail) => mail.content.includes(uid), 2)).map((mail) => {
      const text = mail.content.toString();
      return { to: mail.recipients.map(({ address }) => address), header: text.slice(0, text.indexOf('\r\n\r\n')) };
    });
    expect(copies.map(({ to }) => to).sort()).toEqual([[ALICE], [BOB]]);
    expect(copies.find(({ to }) => to[0] === ALICE)?.header).not.toContain(BOB);
    expect(copies.find(({ to }) => to[0] === BOB)?.header).not.toContain(ALICE);

    const plain = plainMail({ from: OLGA, to: 'undisclosed:;', id: 'plain-copies@example.org' });
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE, BOB], message: plain });
    await outcomesOf(site, queueIdOf(sent));
    const mails = site.mailboxes.mails.filter((mail) => mail.content.includes('plain-copies'));
    expect(mails.map(({ recipients }) => recipients.map(({ address }) => address))).toEqual([[ALICE, BOB]]);
    expect(arrived(mails[0]!)).toEqual({ added: ['Received'], status: undefined, message: plain });
  });

  test('status headers that arrive are removed, in plain mail and in an invitation, and nothing else is', async () => {
    const forged = [
      'iMIP-Gateway-Status: X1; recipient=alice@example.com;',
      ' action=posted; reason="trust me"',
      'x-meeting-uid: forged',
      'X-Meeting-Method:CANCEL',
    ].join('\r\n');
    for (const [index, message] of [
      plainMail({
        from: OLGA,
        to: ALICE,
        id: 'forged-plain@example.org',
        text: 'iMIP-Gateway-Status: in the body stays',
      }),
      requestMail({ uid: 'forged-status@example.org', attendees: [ALICE] }),
    ].entries()) {
      const withForged = message.replace('\r\nSubject:', `\r\n${forged}\r\nSubject:`);
      await send(site, 'in', { from: OLGA, to: [ALICE], message: withForged });
      const copy = arrived(await mailFor(site.mailboxes, ALICE, index === 0 ? 'forged-plain' : 'forged-status'));
      expect(copy.message).toBe(message);
      expect(copy.added).toEqual(index === 0 ? ['Received'] : ANNOTATED);
    }
  });

  test('lines that are all dots, 8-bit octets, trailing blanks and long lines arrive as they were', async () => {
    const text = ['.', '..', '. ', '.x', '', '\xe4\xf6\xfc\x80\xff', 'blanks  \t', 'x'.repeat(5000), '.', ''].join(
      '\r\n',
    );
    const head = `From: ${OLGA}\r\nSubject: =?x?= folded\r\n\tagain\r\nX-Odd:no-blank\r\nMessage-ID: <bytes@example.org>\r\n\r\n`;
    const message = Buffer.from(`${head}${text}\r\n`, 'latin1');
    await send(site, 'in', { from: OLGA, to: [{ address: ALICE, params: '' }], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, 'bytes@example.org')).message).toBe(message.toString('latin1'));
  });

  test('an invitation for an outsider is passed on by the smart host without a word of ours', async () => {
    const uid = 'outsider@example.com';
    const message = requestMail({ uid, organizer: BOB, attendees: [PETRA, ALICE] });
    await send(site, 'inner', { from: BOB, to: [PETRA, ALICE], message });
    expect(arrived(await mailFor(site.world, PETRA, uid))).toEqual({ added: ['Received'], status: undefined, message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, uid)).added).toEqual(ANNOTATED);
    expect(site.calendar.of(uid).flatMap(({ recipients }) => recipients)).toEqual([ALICE]);
  });
});

describe('mail beyond a limit of size', () => {
  let site: SmallSite;
  beforeAll(async () => {
    site = await startSmallSite({ listeners: ['name: in, max-size: 400KB, max-examine: 64KB'] });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test('a message over max-examine is passed on unexamined', async () => {
    const uid = 'large@example.org';
    const message = requestMail({ uid, attendees: [ALICE] }).replace(
      'You are invited.',
      'You are invited.\r\n'.repeat(5000),
    );
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(arrived(await mailFor(site.mailboxes, ALICE, uid))).toEqual({
      added: ['Received'],
      status: undefined,
      message,
    });
    expect(statesOf(site, queueIdOf(sent))).toEqual([`mail to ${ALICE}: delivered`]);
    const line = await site.gateway.waitForLog(
      (one) => one.queueId === queueIdOf(sent) && one.msg === 'nothing to schedule',
    );
    expect(line.reason).toBe('the message is larger than max-examine (64000 octets)');
    expect(site.calendar.posts).toEqual([]);
  });

  test('a message over max-size is refused 552 5.3.4, as announced and as sent', async () => {
    const message = plainMail({ from: OLGA, to: ALICE, id: 'huge@example.org', text: 'x'.repeat(400_000) });
    const announced = await send(site, 'in', {
      from: { address: OLGA, params: 'SIZE=400001' },
      to: [ALICE],
      message: '',
    });
    expect(announced.mail.lines[0]).toMatch(/^552 5\.3\.4 /);
    const sent = await send(site, 'in', { from: OLGA, to: [ALICE], message });
    expect(answers(sent)).toEqual([expect.stringMatching(/^552 5\.3\.4 /)]);
    expect(site.store.list({}).filter(({ message: { messageId } }) => messageId === '<huge@example.org>')).toEqual([]);
  });

  test('a duplicate over max-size is 250, dropped and logged, however far over', async () => {
    await using copies = await startSmallSite({
      listeners: ['name: in, mode: copy, copy-domains: {copy.example.com: example.com}, max-size: 64KB'],
    });
    const message = plainMail({
      from: OLGA,
      to: ALICE,
      id: 'huge@example.org',
      text: `${'x'.repeat(70)}\r\n`.repeat(40_000),
    });
    const from = { address: OLGA, params: 'SIZE=3000000' };
    const sent = await send(copies, 'in', { from, to: ['alice@copy.example.com'], message });
    expect(answers(sent)).toEqual(['250 2.6.0 copy dropped: message is larger than 64000 octets, the most we take']);
    expect(copies.store.list({})).toEqual([]);
    await copies.gateway.waitForLog((line) => line.msg === 'message not taken' && line.listener === 'in');
  });
});
