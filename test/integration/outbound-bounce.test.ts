import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { type Cyrus, startCyrus } from '../servers/servers.ts';
import { deliveryReport, vacationAnswer } from './bounces.ts';
import { CyrusCalendar } from './caldav.ts';
import { CalendarStandIn } from './calendar-stand-in.ts';
import { HttpRecorder } from './http-recorder.ts';
import { checkCalendar, componentsOf, propertiesOf, propertyValue } from './icalendar.ts';
import { type EventFields, plainMail, storedObject } from './invitations.ts';
import { answered, post } from './ischedule-peer.ts';
import type { SinkMail } from './mail-sink.ts';
import { openMail } from './open-mail.ts';
import { GATEWAY_ADDRESS, holds, isVerp, mailsFor, type OutboundSite, startOutboundSite } from './outbound-site.ts';
import { googleReply } from './replies.ts';
import { QUEUE_POLL } from './small-site.ts';
import { submit } from './smtp-client.ts';

const ALICE = 'alice@example.test';
/** Her calendar server records what became of an invitation. */
const ANNA = 'anna@example.test';
const OLGA = 'olga@outside.test';
const PETRA = 'petra@outside.test';
const REFUSED = '550 5.1.1 <olga> has left us';

suite(['cyrus', 'postfix', 'icalendar'], 'an invitation that Postfix cannot deliver', () => {
  const servers = new AsyncDisposableStack();
  let cyrus: Cyrus;
  /** What was posted to Cyrus. */
  let posts: HttpRecorder;
  /** Anna's calendar server, of which the profile says `apple`. */
  let apple: CalendarStandIn;
  let site: OutboundSite;
  let alice: CyrusCalendar;

  beforeAll(async () => {
    const ownPort = await freePort();
    cyrus = servers.use(await startCyrus({ users: [ALICE], smtpOut: ownPort }));
    posts = servers.use(await HttpRecorder.listen(cyrus.ischedule));
    apple = servers.use(await CalendarStandIn.listen());
    site = servers.use(
      await startOutboundSite({
        ownPort,
        users: { [ALICE]: 'cyrus', [ANNA]: 'apple' },
        backEnds: {
          cyrus: `url: '${posts.url}', profile: cyrus`,
          apple: `url: '${apple.url}', profile: apple`,
        },
        more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers: [{name: apple, origin: inside, domains: [example.test], answer-wait: 10s, networks: [127.0.0.1]}]
`,
      }),
    );
    alice = new CyrusCalendar(cyrus.url, ALICE);
  });
  afterAll(() => servers.disposeAsync());
  beforeEach(() => {
    delete site.world.script.rcpt;
  });

  function meeting(name: string, fields: Partial<EventFields> = {}): EventFields {
    return { uid: `${name}@example.test`, organizer: ALICE, attendees: [OLGA, PETRA], method: 'REQUEST', ...fields };
  }

  /** From now on the server of outside.test refuses olga. */
  function refuseOlga(): void {
    site.world.script.rcpt = (address) => (address === OLGA ? REFUSED : undefined);
  }

  async function accept(fields: EventFields): Promise<void> {
    const { uid, organizer } = fields;
    const message = googleReply({ uid, organizer, attendee: OLGA, summary: 'Review', partstat: 'ACCEPTED' });
    await submit(site.postfix.entry, { from: OLGA, to: [organizer], message });
  }

  /** The mail by which the organizer is told, once it is there: it has no calendar part. */
  async function toldTo(organizer: string, title: string, count = 1): Promise<readonly SinkMail[]> {
    return site.mailboxes.waitFor((mail) => isTold(mail, organizer, title), count);
  }

  function isTold(mail: SinkMail, organizer: string, title: string): boolean {
    return (
      mail.recipients.some(({ address }) => address === organizer) && holds(mail, title) && !holds(mail, 'METHOD:REPLY')
    );
  }

  /** Hands the gateway what a mail server of the world would, by Postfix. */
  async function arrives(message: string, from: string, to: string): Promise<void> {
    const { data } = await submit(site.postfix.entry, { from, to: [to], message });
    expect(data.map(({ code }) => code)).toEqual([250]);
  }

  /** Until the gateway is done with what came to this address. */
  async function returned(to: string, count = 1): Promise<void> {
    const done = () =>
      site.store.list({}).filter(({ recipient, state }) => recipient.toLowerCase() === to && state !== 'queued').length;
    await expect.poll(done, QUEUE_POLL).toBeGreaterThanOrEqual(count);
  }

  test('is told to its organizer with attendee, event and reason, and changes nobody’s answer on Cyrus', async () => {
    const fields = meeting('bounced', { summary: 'Budget' });
    await alice.put(fields.uid, storedObject(fields));
    await mailsFor(site.world, OLGA, fields.uid);
    await accept(fields);
    await expect.poll(() => alice.read(fields.uid), QUEUE_POLL).toMatch(/PARTSTAT=ACCEPTED[^\r\n]*:mailto:olga@/);

    refuseOlga();
    const moved = ((await alice.read(fields.uid)) ?? '').replace('SUMMARY:Budget', 'SUMMARY:Budget for all');
    await alice.put(fields.uid, moved);
    await mailsFor(site.world, PETRA, 'Budget for all');
    const after = await alice.read(fields.uid);
    expect(after).toMatch(/PARTSTAT=ACCEPTED[^\r\n]*:mailto:olga@/);
    await expect.poll(() => posts.posts(fields.uid).length, QUEUE_POLL).toBe(1);

    const [told] = await toldTo(ALICE, 'Budget for all');
    const mail = await openMail(told!.content);
    expect(told?.from).toBe('');
    expect([mail.from, mail.to]).toEqual([GATEWAY_ADDRESS, [ALICE]]);
    expect(mail.field('Auto-Submitted')).toMatch(/^auto-/);
    expect(mail.text).toContain(OLGA);
    expect(mail.text).toContain('Budget for all');
    expect(mail.text).toContain('<olga> has left us');
    expect(mail.text).not.toContain(PETRA);
    expect(mail.html ?? '').not.toContain('<olga>');
    expect(await alice.read(fields.uid)).toBe(after);
    expect(posts.posts(fields.uid)).toHaveLength(1);
  });

  test('is told once, however often it bounces', async () => {
    const fields = meeting('twice', { attendees: [OLGA], summary: 'Twice' });
    await alice.put(fields.uid, storedObject(fields));
    const [sent] = await mailsFor(site.world, OLGA, fields.uid);
    const to = sent?.from ?? '';
    const report = deliveryReport({
      to,
      recipient: OLGA,
      ...{ action: 'failed', status: '5.1.1', diagnostic: '550 5.1.1 unknown' },
    });
    await arrives(report, '', to);
    await returned(to);
    await arrives(report, '', to);
    await returned(to, 2);
    expect(await toldTo(ALICE, 'Twice')).toHaveLength(1);
  });

  test('is no failure while it is only delayed: the report goes on to the one who sent it', async () => {
    const fields = meeting('delayed', { attendees: [OLGA], summary: 'Delayed' });
    await alice.put(fields.uid, storedObject(fields));
    const [sent] = await mailsFor(site.world, OLGA, fields.uid);
    const to = sent?.from ?? '';
    const report = deliveryReport({
      to,
      recipient: OLGA,
      ...{ action: 'delayed', status: '4.4.1', diagnostic: '451 4.4.1 later' },
    });
    await arrives(report, '', to);
    const [mail] = await mailsFor(site.mailboxes, ALICE, 'still being retried');
    expect(mail?.content.toString('latin1').endsWith(report)).toBe(true);
    expect(site.mailboxes.mails.filter((one) => isTold(one, ALICE, 'SUMMARY:Delayed'))).toEqual([]);
  });

  describe('what else comes to the sender of an invitation', () => {
    let to: string;
    beforeAll(async () => {
      const fields = meeting('others', { attendees: [OLGA] });
      await alice.put(fields.uid, storedObject(fields));
      const [sent] = await mailsFor(site.world, OLGA, fields.uid);
      to = sent?.from ?? '';
      expect(to).toSatisfy(isVerp);
    });

    test.each([
      ['an automatic answer', () => vacationAnswer({ from: OLGA, to }), ''],
      [
        'what a person writes',
        () => plainMail({ from: OLGA, to, id: 'person@outside.test', text: 'May I bring Tom?' }),
        OLGA,
      ],
    ])('goes on to the one who sent it, as it is: %s', async (_, compose, from) => {
      const message = compose();
      await arrives(message, from, to);
      const [mail] = await mailsFor(site.mailboxes, ALICE, /^Message-ID: (.*)\r$/m.exec(message)?.[1] ?? '?');
      expect(mail?.content.toString('latin1').endsWith(message)).toBe(true);
    });

    test('comes in whatever case its address is written', async () => {
      const message = plainMail({ from: OLGA, to, id: 'loud@outside.test' });
      await arrives(message, OLGA, to.toUpperCase());
      await mailsFor(site.mailboxes, ALICE, 'loud@outside.test');
    });

    test('is refused when the address was made up', async () => {
      const forged = to.replace(/.@/, (last) => (last === 'a@' ? 'b@' : 'a@'));
      const message = plainMail({ from: OLGA, to: forged, id: 'forged@outside.test' });
      const direct = await submit(site.gateway.port('postfix'), {
        protocol: 'lmtp',
        from: OLGA,
        to: [forged],
        message,
      });
      expect(direct.rcpt.map(({ lines }) => lines[0])).toEqual([expect.stringMatching(/^550 5\.1\.1 /)]);
      await arrives(message, OLGA, forged);
      const [bounced] = await site.world.waitFor(
        (mail) => mail.from === '' && mail.recipients[0]?.address === OLGA && holds(mail, 'forged@outside.test'),
      );
      expect(bounced?.content.toString()).toContain('550 5.1.1');
      expect(site.mailboxes.mails.filter((mail) => holds(mail, 'forged@outside.test'))).toEqual([]);
    });
  });

  test('is answered for that attendee alone, where the organizer’s server records it: by status, not by a newer answer', async () => {
    const fields = meeting('recorded', { organizer: ANNA, summary: 'Recorded' });
    const invite = async (event: EventFields) =>
      answered(
        await post(site.gateway.port('service'), {
          event,
          originator: ANNA,
          recipients: event.attendees,
        }),
      );
    expect(await invite(fields)).toEqual([`${OLGA} 1.1`, `${PETRA} 1.1`]);
    await accept(fields);
    const [accepted] = await apple.waitFor(fields.uid);
    expect(accepted?.body).toContain('PARTSTAT=ACCEPTED');

    refuseOlga();
    const answers = { [OLGA]: 'ACCEPTED' };
    const update = {
      ...fields,
      sequence: 1,
      dtstamp: '20300103T080000Z',
      summary: 'Recorded anew',
      partstats: answers,
    };
    expect(await invite(update)).toEqual([`${OLGA} 1.1`, `${PETRA} 1.1`]);
    const [, reply] = await apple.waitFor(fields.uid, 2);
    expect(reply?.recipients).toEqual([ANNA]);
    const calendar = await checkCalendar(reply?.body ?? '');
    expect(propertyValue(calendar, 'METHOD')).toBe('REPLY');
    const [event, ...more] = componentsOf(calendar, 'VEVENT');
    expect(more).toEqual([]);
    expect(propertyValue(event, 'UID')).toBe(fields.uid);
    expect(propertyValue(event, 'ORGANIZER')).toBe(`mailto:${ANNA}`);
    expect(propertyValue(event, 'REQUEST-STATUS')).toMatch(/^(3\.7|5\.1);.*has left us/);
    expect(reply?.body).toMatch(/^REQUEST-STATUS:(3\.7|5\.1);/m);
    const [attendee, ...others] = propertiesOf(event, 'ATTENDEE');
    expect(others).toEqual([]);
    expect(attendee?.value).toBe(`mailto:${OLGA}`);
    expect(attendee?.params.PARTSTAT).toBe('ACCEPTED');
    expect(site.mailboxes.mails.filter((mail) => isTold(mail, ANNA, 'Recorded'))).toEqual([]);
    expect(apple.of(fields.uid)).toHaveLength(2);
  });
});
