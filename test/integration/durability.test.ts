import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { plainMail } from './invitations.ts';
import {
  ALICE,
  answers,
  arrived,
  BOB,
  calmDown,
  isAttempt,
  mailFor,
  OLGA,
  outcomesOf,
  QUEUE_POLL,
  queueIdOf,
  reportsTo,
  requestMail,
  type SmallSite,
  SPECIAL,
  send,
  startSmallSite,
  statesOf,
} from './small-site.ts';
import { dotStuffed, SmtpClient } from './smtp-client.ts';

const { room } = SPECIAL;
/** A body of 400 KB in base64 lines goes to a file of the spool folder. */
const ATTACHMENT = randomBytes(300_000).toString('base64').replace(/.{76}/g, '$&\r\n');

// What was answered with 250 survives SIGKILL, and what was not makes no trouble.
describe('a gateway that is killed while its peers hang', () => {
  let site: SmallSite | undefined;
  afterEach(async () => {
    await site?.[Symbol.asyncDispose]();
    site = undefined;
  });

  /** A site whose calendar server never answers and whose next hop is down, until `recover`. */
  async function startHanging(...listeners: string[]): Promise<SmallSite> {
    const started = await startSmallSite({ listeners, queue: ['annotate-wait: 100ms'] });
    started.calendar.answer = () => new Promise(() => undefined);
    await started.mailboxes.close();
    site = started;
    return started;
  }

  async function killAndRecover(hung: SmallSite): Promise<void> {
    await hung.gateway.kill('SIGKILL');
    await calmDown(hung);
    await hung.gateway.restart();
  }

  test.for([
    ['', 'the row'],
    [ATTACHMENT, 'a spool file'],
  ] as const)('delivers plain mail that it had taken, out of %2$s, byte for byte', async ([attachment, where]) => {
    const hung = await startHanging('name: in, reply-wait: 0s');
    const message = plainMail({ from: OLGA, to: ALICE, id: 'kept@example.org', text: `.kept\r\n${attachment}` });
    const sent = await send(hung, 'in', { from: OLGA, to: [ALICE, BOB], message });
    const id = queueIdOf(sent);
    const spool = join(hung.gateway.folder, 'var', 'spool');
    expect(await readdir(spool)).toHaveLength(where === 'the row' ? 0 : 1);
    await killAndRecover(hung);
    expect(await outcomesOf(hung, id)).toEqual([`mail to ${ALICE}: delivered`, `mail to ${BOB}: delivered`]);
    const mail = await mailFor(hung.mailboxes, ALICE, 'kept@example.org');
    expect(arrived(mail)).toEqual({ added: ['Received'], status: undefined, message });
    expect(mail.recipients.map(({ address }) => address)).toEqual([ALICE, BOB]);
    await expect.poll(() => readdir(spool), QUEUE_POLL).toEqual([]);
  });

  test.for([
    ['', 'the row'],
    [ATTACHMENT, 'a spool file'],
  ] as const)(
    'posts and passes on an invitation that it had taken, out of %2$s, and repeats the id of its post',
    async ([attachment]) => {
      const hung = await startHanging('name: in, reply-wait: 0s');
      const uid = 'kept@example.org';
      const message = requestMail({ uid, attendees: [ALICE] }).replace(
        'You are invited.',
        `You are invited.\r\n${attachment}`,
      );
      const sent = await send(hung, 'in', { from: OLGA, to: [ALICE], message });
      await hung.calendar.waitFor(uid);
      await hung.gateway.waitForLog((line) => isAttempt('smtp', uid)(line) && line.outcome === 'deferred');
      await killAndRecover(hung);
      expect(await outcomesOf(hung, queueIdOf(sent))).toEqual([
        `post to ${ALICE}: delivered`,
        `mail to ${ALICE}: delivered`,
      ]);
      expect(arrived(await mailFor(hung.mailboxes, ALICE, uid)).message).toBe(message);
      // Nobody knows whether the server had it already; by the id it can tell.
      expect(new Set(hung.calendar.of(uid).map(({ messageId }) => messageId)).size).toBe(1);
      expect(hung.calendar.of(uid)).toHaveLength(2);
    },
  );

  test('posts what it had taken for a calendar-only address, and reports what is refused then', async () => {
    const hung = await startHanging('name: in, mode: final, reply-wait: 0s');
    const from = 'kept-final@example.org';
    const ids = [];
    for (const to of [room, ALICE]) {
      const message = requestMail({ uid: `${to}.${from}`, attendees: [to] });
      ids.push(queueIdOf(await send(hung, 'in', { from, to: [to], message })));
    }
    await hung.calendar.waitFor(from, 2);
    await hung.gateway.kill('SIGKILL');
    await calmDown(hung);
    hung.calendar.answer = ({ recipients }) => (recipients[0] === ALICE ? '3.8;No authority' : '2.0;Success');
    await hung.gateway.restart();
    expect(await outcomesOf(hung, ids[0]!)).toEqual([`post to ${room}: delivered`]);
    expect(await outcomesOf(hung, ids[1]!)).toEqual([`post to ${ALICE}: failed`]);
    const report = await mailFor(hung.world, from, 'Final-Recipient');
    expect(report.content.toString()).toContain(`\r\nFinal-Recipient: rfc822; ${ALICE}\r\n`);
    expect(reportsTo(hung, from)).toHaveLength(1);
  });

  test('delivers a report that it had queued', async () => {
    const hung = await startHanging('name: in, reply-wait: 0s');
    await hung.world.close();
    hung.mailboxes.script.rcpt = () => '550 5.1.1 no such mailbox';
    await hung.mailboxes.open();
    const from = 'report@example.org';
    const sent = await send(hung, 'in', { from, to: [ALICE], message: plainMail({ from, to: ALICE, id: from }) });
    expect(await outcomesOf(hung, queueIdOf(sent))).toEqual([`mail to ${ALICE}: failed`]);
    const [report] = reportsTo(hung, from);
    expect(statesOf(hung, report!)).toEqual([`mail to ${from}: queued`]);
    await killAndRecover(hung);
    expect(await outcomesOf(hung, report!)).toEqual([`mail to ${from}: delivered`]);
    expect((await mailFor(hung.world, from, 'Final-Recipient')).from).toBe('');
  });

  test('keeps the order of an invitation and its cancellation, and what it knows of earlier posts', async () => {
    const hung = await startHanging('name: in, reply-wait: 0s');
    const event = { uid: 'order@example.org', attendees: [ALICE] };
    const invited = await send(hung, 'in', { from: OLGA, to: [ALICE], message: requestMail(event) });
    await hung.calendar.waitFor(event.uid);
    const cancel = requestMail({ ...event, method: 'CANCEL', sequence: 1 });
    const cancelled = await send(hung, 'in', { from: OLGA, to: [ALICE], message: cancel });
    await killAndRecover(hung);
    await outcomesOf(hung, queueIdOf(invited));
    await outcomesOf(hung, queueIdOf(cancelled));
    expect(methodsOf(hung, event.uid)).toEqual(['REQUEST', 'REQUEST', 'CANCEL']);
    await hung.gateway.kill('SIGKILL');
    await hung.gateway.restart();
    const again = await send(hung, 'in', { from: OLGA, to: [ALICE], message: requestMail(event) });
    expect(await outcomesOf(hung, queueIdOf(again))).toContain(`post to ${ALICE}: skipped`);
    expect(methodsOf(hung, event.uid)).toHaveLength(3);
  });

  test('knows nothing of a message whose end it had not seen', async () => {
    const hung = await startHanging('name: in');
    using client = await SmtpClient.connect(hung.gateway.port('in'));
    await client.reply();
    await client.pipeline(['EHLO client.test', `MAIL FROM:<${OLGA}>`, `RCPT TO:<${ALICE}>`, 'DATA']);
    const whole = dotStuffed(plainMail({ from: OLGA, to: ALICE, id: 'half@example.org', text: ATTACHMENT }));
    client.write(whole.subarray(0, -3));
    const spool = join(hung.gateway.folder, 'var', 'spool');
    await expect.poll(() => readdir(spool), QUEUE_POLL).toHaveLength(1);
    await killAndRecover(hung);
    expect(hung.store.list({})).toEqual([]);
    expect(await readdir(spool)).toEqual([]);
  });

  test('delivers what it had committed although the client has had no reply', async () => {
    const hung = await startHanging('name: in, mode: final');
    const from = 'no-reply@example.org';
    const client = await SmtpClient.connect(hung.gateway.port('in'));
    await client.reply();
    await client.pipeline(['EHLO client.test', `MAIL FROM:<${from}>`, `RCPT TO:<${ALICE}>`, 'DATA']);
    client.write(dotStuffed(requestMail({ uid: from, attendees: [ALICE] })));
    await hung.calendar.waitFor(from);
    await hung.gateway.kill('SIGKILL');
    await expect(client.reply()).rejects.toThrow('connection closed');
    await calmDown(hung);
    await hung.gateway.restart();
    const [stored] = hung.store.byMessageId(`<${from}.REQUEST.0.${OLGA}>`);
    expect(await outcomesOf(hung, stored!.id)).toEqual([`post to ${ALICE}: delivered`]);
  });

  test('SIGTERM answers clients that wait 250, lets attempts under way end, and reports what they came to', async () => {
    const hung = await startHanging('name: in, mode: final');
    const slow = Promise.withResolvers<string>();
    hung.calendar.answer = () => slow.promise;
    const uid = 'drained@example.org';
    const sending = send(hung, 'in', { from: OLGA, to: [ALICE], message: requestMail({ uid, attendees: [ALICE] }) });
    await hung.calendar.waitFor(uid);
    process.kill(hung.gateway.pid!, 'SIGTERM');
    await hung.gateway.waitForLog((line) => line.event === 'stopping');
    const sent = await sending;
    expect(answers(sent)).toEqual([`250 2.6.0 queued as ${queueIdOf(sent)}`]);
    slow.resolve('3.8;No authority');
    await hung.gateway.waitForLog((line) => line.event === 'stopped');
    expect(statesOf(hung, queueIdOf(sent))).toEqual([`post to ${ALICE}: failed`]);
    expect(reportsTo(hung, OLGA)).toHaveLength(1);
  });
});

function methodsOf(site: SmallSite, uid: string): readonly (string | undefined)[] {
  return site.calendar.of(uid).map(({ body }) => /METHOD:(\w+)/.exec(body)?.[1]);
}
