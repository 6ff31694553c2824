import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../servers/ports.ts';
import { CalendarStandIn } from './calendar-stand-in.ts';
import type { LogLine } from './harness.ts';
import { type EventFields, invitationMail } from './invitations.ts';
import { answered, post } from './ischedule-peer.ts';
import { MailSink, type SinkMail } from './mail-sink.ts';
import { openMail } from './open-mail.ts';
import { GATEWAY_ADDRESS, holds, isVerp, mailsFor } from './outbound-site.ts';
import { deliveriesOfUid, type RelaySite, startRelaySite, statesOfUid } from './relay-site.ts';
import { answers, QUEUE_POLL, send } from './small-site.ts';

const CAROL = 'carol@example.test';
/** Has a calendar that is posted to. */
const ALICE = 'alice@example.test';
/** Has a calendar that takes mail. */
const DAVE = 'dave@example.test';
const OLGA = 'olga@outside.test';
const PETRA = 'petra@outside.test';
const QUINN = 'quinn@outside.test';

describe('an invitation for several people', () => {
  const servers = new AsyncDisposableStack();
  let calendar: CalendarStandIn;
  /** The second smart host. */
  let spare: MailSink;
  let site: RelaySite;

  beforeAll(async () => {
    calendar = servers.use(await CalendarStandIn.listen());
    spare = servers.use(await MailSink.listen('smtp', {}, await freePort()));
    site = servers.use(
      await startRelaySite({
        domains: ['example.test'],
        users: { [CAROL]: 'old', [ALICE]: 'home', [DAVE]: 'old' },
        backEnds: { home: `url: '${calendar.url}'`, old: `url: 'http://127.0.0.1:9/', profile: oracle-v6` },
        fallbacks: [spare.port],
        more: `
outbound: {address: ${GATEWAY_ADDRESS}, name: Example calendar}
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers: [{name: own, origin: inside, domains: [example.test], answer-wait: 5s, networks: [127.0.0.1]}]
`,
      }),
    );
  });
  afterAll(() => servers.disposeAsync());
  beforeEach(async () => {
    for (const sink of [site.world, spare, site.mailboxes]) {
      delete sink.script.rcpt;
      delete sink.script.data;
      delete sink.script.dropsInData;
    }
  });

  function meeting(name: string, attendees: readonly string[]): EventFields {
    return { uid: `${name}@example.test`, organizer: CAROL, attendees, method: 'REQUEST' };
  }

  /** As carol's calendar server, which mails. */
  async function mailed(fields: EventFields, to = fields.attendees): Promise<readonly string[]> {
    return answers(await send(site, 'own', { from: CAROL, to, message: invitationMail(fields) }));
  }

  /** As carol's calendar server, which posts. */
  async function posted(fields: EventFields): Promise<readonly string[]> {
    const whole = { event: fields, originator: CAROL, recipients: fields.attendees };
    return answered(await post(site.gateway.port('service'), whole));
  }

  /** Whom each mail about a UID went to. */
  function sentTo(sink: MailSink, uid: string): readonly (readonly string[])[] {
    return sink.mails.filter((mail) => holds(mail, uid)).map((mail) => mail.recipients.map(({ address }) => address));
  }

  async function settled(uid: string): Promise<readonly string[]> {
    await expect.poll(() => statesOfUid(site, uid).join(), QUEUE_POLL).not.toContain('queued');
    return statesOfUid(site, uid);
  }

  test('by mail goes three ways, each once: into a calendar, into a mailbox, and out', async () => {
    const fields = meeting('three-ways', [ALICE, DAVE, OLGA]);
    expect(await mailed(fields)).toEqual([expect.stringMatching(/^250 /)]);
    expect((await settled(fields.uid)).filter((one) => !one.endsWith(': skipped')).sort()).toEqual([
      `mail to ${ALICE}: delivered`,
      `mail to ${DAVE}: delivered`,
      `mail to ${OLGA}: delivered`,
      `post to ${ALICE}: delivered`,
    ]);
    expect(calendar.of(fields.uid).map(({ recipients }) => recipients)).toEqual([[ALICE]]);
    expect(sentTo(site.mailboxes, fields.uid).flat().sort()).toEqual([ALICE, DAVE]);
    expect(sentTo(site.world, fields.uid)).toEqual([[OLGA]]);
    const [out] = await mailsFor(site.world, OLGA, fields.uid);
    expect(out?.from).toSatisfy(isVerp);
    expect(out?.content.toString('latin1').endsWith(invitationMail(fields))).toBe(true);
    // Alice's calendar has it: a bounce of the mail about it is none of the invitation. Dave has the mail alone.
    const [[toAlice], [toDave]] = [
      await mailsFor(site.mailboxes, ALICE, fields.uid),
      await mailsFor(site.mailboxes, DAVE, fields.uid),
    ];
    expect(toAlice?.from).toBe(CAROL);
    expect(toDave?.from).toSatisfy(isVerp);
  });

  test('by mail leaves once for each outsider, with an envelope sender of his own', async () => {
    const fields = meeting('outsiders', [OLGA, PETRA, QUINN]);
    await mailed(fields);
    await settled(fields.uid);
    expect([...sentTo(site.world, fields.uid)].sort()).toEqual([[OLGA], [PETRA], [QUINN]]);
    const senders = site.world.mails.filter((mail) => holds(mail, fields.uid)).map(({ from }) => from);
    expect(new Set(senders).size).toBe(3);
  });

  test('by a post goes three ways, each once', async () => {
    const fields = meeting('posted-three-ways', [ALICE, DAVE, OLGA]);
    expect(await posted(fields)).toEqual([`${ALICE} 2.0`, `${DAVE} 1.1`, `${OLGA} 1.1`]);
    expect(calendar.of(fields.uid).map(({ recipients }) => recipients)).toEqual([[ALICE]]);
    expect(sentTo(site.mailboxes, fields.uid)).toEqual([[DAVE]]);
    expect(sentTo(site.world, fields.uid)).toEqual([[OLGA]]);
  });

  describe('whose smart host dies', () => {
    const ways = [
      ['posted', posted],
      ['mailed', mailed],
    ] as const;

    /** Each attempt for petra, once the message is settled: `deferred: reason`. */
    async function attempts(uid: string): Promise<readonly string[]> {
      await settled(uid);
      const [{ queueId = '' } = {}] = deliveriesOfUid(site, uid);
      const isHers = (entry: LogLine) => entry.queueId === queueId && entry.channel === 'smtp' && entry.to === PETRA;
      const lines = await site.gateway.waitForLines(isHers, 2);
      return lines.map(({ outcome, reason }) => `${outcome}: ${reason}`);
    }

    test.each(ways)('in mid-DATA gets it again when it was %s, and each has it once', async (way, invite) => {
      let dropped = false;
      site.world.script.dropsInData = (recipients) => {
        if (dropped || !recipients.includes(PETRA)) return false;
        dropped = true;
        return true;
      };
      const fields = meeting(`dies-${way}`, [OLGA, PETRA]);
      await invite(fields);
      expect(await attempts(fields.uid)).toEqual([
        expect.stringMatching(/^deferred: the connection to the next hop was lost \(.*may arrive twice$/),
        'delivered: the next hop took the message',
      ]);
      expect([...sentTo(site.world, fields.uid)].sort()).toEqual([[OLGA], [PETRA]]);
      expect(sentTo(spare, fields.uid)).toEqual([]);
    });

    test.each(ways)(
      'without a word about what it has gets it again when it was %s, as the same mail from the same sender',
      async (way, invite) => {
        let dropped = false;
        site.world.script.data = (mail) => {
          if (dropped || !mail.recipients.some(({ address }) => address === PETRA)) return undefined;
          dropped = true;
          return 'drop';
        };
        const fields = meeting(`silent-${way}`, [OLGA, PETRA]);
        await invite(fields);
        expect(await attempts(fields.uid)).toEqual([
          expect.stringMatching(/^deferred: .*may arrive twice$/),
          'delivered: the next hop took the message',
        ]);
        const [first, second, ...more] = await mailsFor(site.world, PETRA, fields.uid, 2);
        expect(more).toEqual([]);
        expect([first?.answers, second?.answers]).toEqual([['drop'], ['250 2.0.0 taken']]);
        expect(await same(first)).toEqual(await same(second));
        expect(first?.from).toSatisfy(isVerp);
        expect(await mailsFor(site.world, OLGA, fields.uid)).toHaveLength(1);
        expect(sentTo(spare, fields.uid)).toEqual([]);
      },
    );

    test.each(ways)('and the gateway too: it is the same mail afterwards, when it was %s', async (way, invite) => {
      site.world.script.data = () => 'drop';
      const fields = meeting(`killed-${way}`, [PETRA]);
      const answering = invite(fields).catch(() => undefined); // cut off with the gateway
      const [first] = await mailsFor(site.world, PETRA, fields.uid);
      await site.gateway.kill('SIGKILL');
      delete site.world.script.data;
      await answering;
      await site.gateway.restart();
      await settled(fields.uid);
      const mails = await mailsFor(site.world, PETRA, fields.uid);
      expect(mails.at(-1)?.answers).toEqual(['250 2.0.0 taken']);
      for (const mail of mails) expect(await same(mail)).toEqual(await same(first));
    });
  });

  describe('whom the smart host refuses one by one', () => {
    const REFUSED = '550 5.1.1 no such user here';

    function refuse(...refused: readonly string[]): void {
      site.world.script.rcpt = (address) => (refused.includes(address) ? REFUSED : undefined);
    }

    test('are told to the server that posted, each by himself', async () => {
      refuse(PETRA);
      const fields = meeting('refused-posted', [OLGA, PETRA, QUINN]);
      const said = await posted(fields);
      expect(said).toEqual([`${OLGA} 1.1`, `${PETRA} 3.7`, `${QUINN} 1.1`]);
      expect([...sentTo(site.world, fields.uid)].sort()).toEqual([[OLGA], [QUINN]]);
      // The status has said it.
      expect(site.store.list({ recipient: CAROL })).toEqual([]);
    });

    test('are told to the organizer, in words, when his server mailed', async () => {
      refuse(PETRA);
      const fields = meeting('refused-mailed', [OLGA, PETRA, QUINN]);
      expect(await mailed(fields)).toEqual([expect.stringMatching(/^250 /)]);
      expect([...sentTo(site.world, fields.uid)].sort()).toEqual([[OLGA], [QUINN]]);
      // Reports leave by the smart host, where there is one.
      const told = await site.world.waitFor(({ from, recipients }) => from === '' && recipients[0]?.address === CAROL);
      expect(told).toHaveLength(1);
      const mail = await openMail(told[0]!.content);
      expect(mail.text).toContain(PETRA);
      expect(mail.text).toContain('Review');
      expect(mail.text).toContain('no such user here');
      expect(mail.text).not.toContain(QUINN);
    });

    test('are refused in the session when it is all of them', async () => {
      refuse(OLGA, PETRA);
      expect(await mailed(meeting('refused-all', [OLGA, PETRA]))).toEqual([expect.stringMatching(/^550 5\.1\.1 /)]);
    });
  });

  test('is not told as undelivered for one whose calendar has it, when his mailbox refuses the mail about it', async () => {
    site.mailboxes.script.rcpt = (address) => (address === ALICE ? '552 5.2.2 mailbox full' : undefined);
    const fields = meeting('full-mailbox', [ALICE, OLGA]);
    await mailed(fields);
    expect((await settled(fields.uid)).filter((one) => one.includes(ALICE)).sort()).toEqual([
      `mail to ${ALICE}: failed`,
      `post to ${ALICE}: delivered`,
    ]);
    // Its sender knows that a mail of his failed, as ever.
    const [told] = await site.world.waitFor((mail) => mail.from === '' && holds(mail, 'mailbox full'));
    const { field, text } = await openMail(told!.content);
    expect(field('Content-Type')).toContain('multipart/report');
    expect(text).not.toContain('Your invitation');
  });

  // Last: for a minute from here on the first smart host is tried after the second.
  test('whose smart host cannot be reached leaves by the next one, once', async () => {
    await site.world.close();
    try {
      const fields = meeting('fallback', [OLGA, PETRA]);
      expect(await posted(fields)).toEqual([`${OLGA} 1.1`, `${PETRA} 1.1`]);
      expect([...sentTo(spare, fields.uid)].sort()).toEqual([[OLGA], [PETRA]]);
    } finally {
      await site.world.open();
    }
  });
});

/** What makes a second copy the same mail. */
async function same(mail: SinkMail | undefined): Promise<unknown> {
  const { field, parts } = await openMail(mail?.content ?? Buffer.alloc(0));
  return [mail?.from, mail?.recipients, field('Message-ID'), field('Date'), parts];
}
