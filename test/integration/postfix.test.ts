import { afterAll, beforeAll, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { calendarObject, type EventFields, invitationMail, plainMail, storedObject } from './invitations.ts';
import type { SinkMail } from './mail-sink.ts';
import { type Site, startSite } from './site.ts';
import { type Addressed, submit } from './smtp-client.ts';

const OLGA = 'olga@outside.test';
const ALICE = 'alice@example.test';

suite(['slapd', 'cyrus', 'davical', 'postfix'], 'mail that Postfix hands over and takes back, as received', () => {
  let site: Site;
  beforeAll(async () => {
    site = await startSite('As received', { aliases: { 'boss@example.test': ALICE } });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test('an invitation to users of two back ends stands in both calendars before the mail is in the mailbox', async () => {
    const event = invitation('two-back-ends', [ALICE, 'lena@example.test']);
    const [toAlice, toLena] = await deliver(site, event, [ALICE, 'lena@example.test']);
    expect(await site.calendars.alice.read(event.uid)).toContain('SUMMARY:Review');
    expect(await site.calendars.lena.read(event.uid)).toContain('SUMMARY:Review');
    expect(status(toAlice)).toMatch(/^[A-Za-z0-9]+; recipient=alice@example\.test; action=posted; code=2\.0/);
    expect(status(toLena)).toMatch(/^[A-Za-z0-9]+; recipient=lena@example\.test; action=posted; code=2\.0/);
    expect(field(toAlice, 'X-MEETING-UID')).toBe(event.uid);
    expect(field(toAlice, 'X-MEETING-METHOD')).toBe('REQUEST');
  });

  test('the mail arrives byte for byte below header lines that were put before it', async () => {
    const event = invitation('bytes', [ALICE]);
    const [mail] = await deliver(site, event, [ALICE]);
    const content = mail!.content.toString();
    expect(content.slice(content.indexOf(`From: ${OLGA}`))).toBe(invitationMail(event));
  });

  test('an update changes the event and a cancellation cancels it', async () => {
    const event = invitation('life', [ALICE]);
    await deliver(site, event, [ALICE]);
    await deliver(site, { ...event, sequence: 1, summary: 'Review, moved', dtstamp: '20300101T090000Z' }, [ALICE]);
    expect(await site.calendars.alice.read(event.uid)).toContain('SUMMARY:Review\\, moved');
    const [mail] = await deliver(site, { ...event, method: 'CANCEL', sequence: 2, dtstamp: '20300101T100000Z' }, [
      ALICE,
    ]);
    expect(await site.calendars.alice.read(event.uid)).toContain('STATUS:CANCELLED');
    expect(field(mail, 'X-MEETING-METHOD')).toBe('CANCEL');
  });

  test("a reply sets its attendee's answer in the organizer's event", async () => {
    const event = { ...invitation('answered', [OLGA]), organizer: ALICE };
    await site.calendars.alice.put(event.uid, storedObject(event));
    await deliver(site, { ...event, method: 'REPLY', partstat: 'TENTATIVE' }, [ALICE], OLGA);
    expect(await site.calendars.alice.read(event.uid)).toMatch(
      /ATTENDEE[^\r\n]*PARTSTAT=TENTATIVE[^\r\n]*:mailto:olga@outside\.test/,
    );
  });

  test('an invitation to an alternate address is in the calendar of its owner, and its mail keeps the address', async () => {
    const event = invitation('alternate', ['a.adams@example.test']);
    const [mail] = await deliver(site, event, ['a.adams@example.test']);
    expect(status(mail)).toContain('action=posted');
    expect(mail!.recipients.map((to) => to.address)).toEqual(['a.adams@example.test']);
    expect(await site.calendars.alice.read(event.uid)).toContain('mailto:alice@example.test');
    await deliver(site, { ...event, method: 'CANCEL', sequence: 1 }, ['a.adams@example.test']);
    expect(await site.calendars.alice.read(event.uid)).toContain('STATUS:CANCELLED');
  });

  test('an invitation to a sub-address is in the calendar of its owner, and its mail keeps the sub-address', async () => {
    const event = invitation('sub', ['alice+work@example.test']);
    const [mail] = await deliver(site, event, ['alice+work@example.test']);
    expect(status(mail)).toContain('action=posted');
    expect(mail!.recipients.map((to) => to.address)).toEqual(['alice+work@example.test']);
    expect(await site.calendars.alice.read(event.uid)).toContain('SUMMARY:Review');
  });

  test('a user named directly and through a virtual alias gets two mails, two answers and one post', async () => {
    const event = invitation('twice', [ALICE]);
    const mails = await deliver(site, event, [ALICE, 'boss@example.test'], OLGA, 2);
    expect(
      mails
        .flatMap((mail) => mail.recipients)
        .map((to) => `${to.address} ${to.params}`)
        .sort(),
    ).toEqual([
      'alice@example.test ORCPT=rfc822;alice@example.test',
      'alice@example.test ORCPT=rfc822;boss@example.test',
    ]);
    expect(site.posts.posts(event.uid)).toHaveLength(1);
    expect(await site.calendars.alice.read(event.uid)).toContain('SUMMARY:Review');
  });

  test('a calendar server that refuses an unsigned post raises an alarm, and the mail goes on', async () => {
    const event = invitation('signed', ['kate@example.test']);
    const [mail] = await deliver(site, event, ['kate@example.test']);
    expect(status(mail)).toMatch(/recipient=kate@example\.test; action=pending/);
    const line = await site.gateway.waitForLog(
      (entry) => entry.channel === 'ischedule' && isFor(entry, 'kate@example.test'),
    );
    expect(line).toMatchObject({ level: 'warn', outcome: 'deferred', status: '4.3.5', alarm: true });
  });

  test('mail without a calendar part never sees the gateway', async () => {
    await submit(site.postfix.entry, {
      from: OLGA,
      to: [ALICE],
      message: plainMail({ from: OLGA, to: ALICE, id: 'plain@outside.test' }),
    });
    const [mail] = await site.store.waitFor((entry) => entry.content.includes('<plain@outside.test>'));
    expect(mail!.content.toString()).not.toMatch(/imipd|iMIP-Gateway-Status/i);
  });

  test('an invitation to one of our users and an outsider reaches both, annotated for the user alone', async () => {
    const event = invitation('mixed', [ALICE, 'petra@outside.test']);
    await submitEvent(site, event, [ALICE, 'petra@outside.test']);
    const [toAlice] = await site.store.waitFor((mail) => isOf(mail, event));
    const [toPetra] = await site.world.waitFor((mail) => isOf(mail, event));
    expect(status(toAlice)).toContain('recipient=alice@example.test');
    expect(toPetra!.content.toString()).not.toContain('iMIP-Gateway-Status');
  });
});

suite(
  ['slapd', 'cyrus', 'davical', 'postfix'],
  'mail that Postfix hands over and takes back, through the mail host',
  () => {
    let site: Site;
    beforeAll(async () => {
      site = await startSite('Through the mail host', { aliases: { 'boss@example.test': ALICE } });
    });
    afterAll(async () => site?.[Symbol.asyncDispose]());

    test('an invitation stands in the calendar, and its mail comes back to the public address once', async () => {
      const event = invitation('host', [ALICE]);
      const [mail] = await deliver(site, event, [ALICE]);
      expect(status(mail)).toContain('action=posted');
      expect(mail!.recipients.map((to) => to.address)).toEqual([ALICE]);
      expect(await site.calendars.alice.read(event.uid)).toContain('SUMMARY:Review');
    });

    test('a user named directly and through a virtual alias gets two mails and one post', async () => {
      const event = invitation('host-twice', [ALICE]);
      await deliver(site, event, [ALICE, 'boss@example.test'], OLGA, 2);
      expect(site.posts.posts(event.uid)).toHaveLength(1);
    });

    test('a sub-address stays in the mail that is handed back', async () => {
      const event = invitation('host-sub', ['alice+work@example.test']);
      const [mail] = await deliver(site, event, ['alice+work@example.test']);
      expect(mail!.recipients.map((to) => to.address)).toEqual(['alice+work@example.test']);
    });

    test('plain mail goes through the gateway and arrives as it was sent', async () => {
      const message = plainMail({
        from: OLGA,
        to: ALICE,
        id: 'host-plain@outside.test',
        text: 'Noon?\r\n.dot\r\n  trailing  ',
      });
      await submit(site.postfix.entry, { from: OLGA, to: [ALICE], message });
      const [mail] = await site.store.waitFor((entry) => entry.content.includes('<host-plain@outside.test>'));
      const content = mail!.content.toString();
      expect(content.slice(content.indexOf(`From: ${OLGA}`))).toBe(message);
    });
  },
);

suite(['slapd', 'cyrus', 'davical', 'postfix'], 'mail that Postfix hands over by content_filter', () => {
  let site: Site;
  beforeAll(async () => {
    site = await startSite('As received', {
      change: ({ name, text }, ports) =>
        name === 'main.cf'
          ? text.replace(/^mime_header_checks.*$/m, `content_filter = imipd:[127.0.0.1]:${ports.gateway}`)
          : text.replace('no_header_body_checks,', ''),
    });
  });
  afterAll(async () => site?.[Symbol.asyncDispose]());

  test('an invitation stands in the calendar, and its mail arrives once', async () => {
    const event = invitation('content-filter', [ALICE]);
    const [mail] = await deliver(site, event, [ALICE]);
    expect(status(mail)).toContain('action=posted');
    expect(mail!.content.toString().match(/by imipd\.example\.test /g)).toHaveLength(1);
    expect(await site.calendars.alice.read(event.uid)).toContain('SUMMARY:Review');
  });

  test('plain mail goes through the gateway once, too', async () => {
    const message = plainMail({ from: OLGA, to: ALICE, id: 'filtered-plain@outside.test' });
    await submit(site.postfix.entry, { from: OLGA, to: [ALICE], message });
    const [mail] = await site.store.waitFor((entry) => entry.content.includes('<filtered-plain@outside.test>'));
    expect(mail!.content.toString().match(/by imipd\.example\.test /g)).toHaveLength(1);
  });
});

function invitation(name: string, attendees: readonly string[]): EventFields {
  return { uid: `${name}@outside.test`, organizer: OLGA, attendees, method: 'REQUEST' };
}

async function submitEvent(site: Site, event: EventFields, to: readonly Addressed[], from = OLGA): Promise<void> {
  const result = await submit(site.postfix.entry, { from, to, message: invitationMail(event) });
  expect(result.data.map((reply) => reply.code)).toEqual([250]);
}

/** Mails it in by Postfix. @returns what reached the store, by recipient in the order of `to` where there is one each */
async function deliver(
  site: Site,
  event: EventFields,
  to: readonly string[],
  from = OLGA,
  copies = to.length,
): Promise<readonly SinkMail[]> {
  const fits = (mail: SinkMail) => isOf(mail, event);
  const before = site.store.mails.filter(fits).length;
  await submitEvent(site, event, to, from);
  const mails = (await site.store.waitFor(fits, before + copies)).slice(before);
  const order = (mail: SinkMail) => to.indexOf(mail.recipients[0]?.address ?? '');
  return mails.toSorted((a, b) => order(a) - order(b));
}

function isOf(mail: SinkMail, event: EventFields): boolean {
  return mail.content.includes(`UID:${event.uid}\r\n`) && mail.content.includes(calendarObject(event));
}

function isFor(line: Readonly<Record<string, unknown>>, address: string): boolean {
  return JSON.stringify(line.to ?? '').includes(address);
}

/** Value of a header field, unfolded. */
function field(mail: SinkMail | undefined, name: string): string | undefined {
  const header =
    mail?.content
      .toString()
      .split('\r\n\r\n', 1)[0]
      ?.replace(/\r\n[ \t]+/g, ' ') ?? '';
  return new RegExp(`^${name}: (.*)$`, 'im').exec(header)?.[1];
}

function status(mail: SinkMail | undefined): string | undefined {
  return field(mail, 'iMIP-Gateway-Status');
}
