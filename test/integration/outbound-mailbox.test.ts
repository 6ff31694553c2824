import { afterAll, beforeAll, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { CalendarStandIn } from './calendar-stand-in.ts';
import { type EventFields, invitationMail, plainMail } from './invitations.ts';
import { GATEWAY_ADDRESS, mailsFor, type OutboundSite, startOutboundSite } from './outbound-site.ts';
import { googleReply } from './replies.ts';
import { submit } from './smtp-client.ts';

const ANN = 'ann@example.test';
const OLGA = 'olga@outside.test';

suite(['postfix'], 'the mailbox of the gateway behind Postfix', () => {
  let calendar: CalendarStandIn;
  let site: OutboundSite;
  let ownPort: number;

  beforeAll(async () => {
    calendar = await CalendarStandIn.listen();
    ownPort = await freePort();
    site = await startOutboundSite({
      ownPort,
      users: { [ANN]: 'north' },
      backEnds: { north: `url: '${calendar.url}', profile: generic` },
    });
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await calendar?.[Symbol.asyncDispose]();
  });

  async function write(message: string, to = GATEWAY_ADDRESS): Promise<void> {
    const { data } = await submit(site.postfix.entry, { from: OLGA, to: [to], message });
    expect(data.map(({ code }) => code)).toEqual([250]);
  }

  test.each([GATEWAY_ADDRESS, GATEWAY_ADDRESS.replace('@', '+lunch@')])(
    'gets what a person writes to %s',
    async (to) => {
      await write(plainMail({ from: OLGA, to, id: `1.${to.length}@outside.test`, text: 'Who are you?' }), to);
      const [mail] = await mailsFor(site.mailboxes, to, 'Who are you?');
      expect(mail?.from).toBe(OLGA);
    },
  );

  test('gets an answer to a meeting that nobody knows', async () => {
    const answered = { uid: 'unknown@example.test', summary: 'Review', organizer: ANN, attendee: OLGA };
    await write(googleReply({ ...answered, partstat: 'ACCEPTED' }));
    await mailsFor(site.mailboxes, GATEWAY_ADDRESS, 'unknown@example.test');
    expect(calendar.of('unknown@example.test')).toEqual([]);
  });

  test('gives an answer to a meeting that has left to its organizer', async () => {
    const event: EventFields = { uid: 'left@example.test', organizer: ANN, attendees: [OLGA], method: 'REQUEST' };
    await submit(ownPort, { from: ANN, to: [OLGA], message: invitationMail(event) });
    await mailsFor(site.world, OLGA, event.uid);
    const answered = { uid: event.uid, summary: 'Review', organizer: ANN, attendee: OLGA };
    await write(googleReply({ ...answered, partstat: 'ACCEPTED' }));
    const [posted] = await calendar.waitFor(event.uid);
    expect(posted?.body).toMatch(/ATTENDEE[^:]*PARTSTAT=ACCEPTED[^:]*:mailto:olga@outside\.test/s);
    expect(await mailsFor(site.mailboxes, ANN, event.uid)).toHaveLength(1);
  });
});
