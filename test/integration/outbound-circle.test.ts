import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suite } from '../servers/installed.ts';
import { freePort } from '../servers/ports.ts';
import { type Cyrus, startCyrus } from '../servers/servers.ts';
import { CyrusCalendar } from './caldav.ts';
import { HttpRecorder } from './http-recorder.ts';
import { checkCalendar, componentsOf, propertiesOf, propertyValue } from './icalendar.ts';
import { type EventFields, storedObject } from './invitations.ts';
import { answered, ask, post } from './ischedule-peer.ts';
import { attachedObject, calendarPart, openMail } from './open-mail.ts';
import { isVerp, mailsFor, type OutboundSite, startOutboundSite } from './outbound-site.ts';
import { type RecordingProxy, startRecordingProxy } from './recording-proxy.ts';
import { appleReply, exchangeReply, googleReply, type Reply } from './replies.ts';
import { QUEUE_POLL } from './small-site.ts';
import { submit } from './smtp-client.ts';

const ALICE = 'alice@example.test';
const BOB = 'bob@example.test';
const OLGA = 'olga@outside.test';
const PETRA = 'petra@outside.test';

suite(['cyrus', 'postfix', 'icalendar'], 'a meeting of a Cyrus user with people outside', () => {
  const servers = new AsyncDisposableStack();
  let cyrus: Cyrus;
  /** What Cyrus mailed. */
  let fromCyrus: RecordingProxy;
  /** What was posted to it. */
  let posts: HttpRecorder;
  let site: OutboundSite;
  let alice: CyrusCalendar;

  beforeAll(async () => {
    const ownPort = await freePort();
    fromCyrus = servers.use(await startRecordingProxy(`smtp://127.0.0.1:${ownPort}`));
    cyrus = servers.use(await startCyrus({ users: [ALICE, BOB], smtpOut: Number(new URL(fromCyrus.url).port) }));
    posts = servers.use(await HttpRecorder.listen(cyrus.ischedule));
    site = servers.use(
      await startOutboundSite({
        ownPort,
        users: { [ALICE]: 'cyrus', [BOB]: 'cyrus' },
        backEnds: { cyrus: `url: '${posts.url}', profile: cyrus` },
        outbound: ['name: Example calendar'],
        more: `
http: {service: {address: '127.0.0.1:0'}}
ischedule:
  peers: [{name: own, origin: inside, domains: [example.test], answer-wait: 10s, networks: [127.0.0.1]}]
`,
      }),
    );
    alice = new CyrusCalendar(cyrus.url, ALICE);
  });
  afterAll(() => servers.disposeAsync());

  function meeting(name: string, fields: Partial<EventFields> = {}): EventFields {
    return { uid: `${name}@example.test`, organizer: ALICE, attendees: [OLGA], method: 'REQUEST', ...fields };
  }

  /** Alice's own program stores the event, and Cyrus mails the invitations. */
  async function invite(fields: EventFields): Promise<void> {
    await alice.put(fields.uid, storedObject(fields));
  }

  /** The answer comes by Postfix, as any mail from the world. */
  async function mailBack(message: string, from: string): Promise<void> {
    const { data } = await submit(site.postfix.entry, { from, to: [ALICE], message });
    expect(data.map(({ code }) => code)).toEqual([250]);
  }

  /** PARTSTAT of each attendee in alice's calendar. */
  async function partstats(uid: string): Promise<Readonly<Record<string, string | undefined>>> {
    const stored = (await alice.read(uid)) ?? '';
    return Object.fromEntries(
      [...stored.matchAll(/^ATTENDEE(.*):mailto:(\S+)$/gim)].map(([, parameters, address]) => [
        address,
        /;PARTSTAT=([A-Z-]+)/.exec(parameters ?? '')?.[1],
      ]),
    );
  }

  test('reaches him as Cyrus wrote it, every byte, from an envelope sender that names him', async () => {
    const fields = meeting('bytes', { attendees: [OLGA, PETRA] });
    await invite(fields);
    const [toOlga] = await mailsFor(site.world, OLGA, fields.uid);
    const [toPetra] = await mailsFor(site.world, PETRA, fields.uid);
    const written = mailsIn(fromCyrus.sent().toString('latin1')).filter((mail) => mail.includes(fields.uid));
    expect(written).toHaveLength(2);
    for (const mail of [toOlga, toPetra]) {
      const content = mail?.content.toString('latin1') ?? '';
      const text = content.slice(content.indexOf('\r\nFrom: ') + 2);
      expect(written).toContain(text);
      const above = content.slice(0, content.indexOf('\r\nFrom: ')).split('\r\n');
      expect(above.filter((line) => !/^(Received:|[ \t])/.test(line))).toEqual([]);
      expect(mail?.from).toSatisfy(isVerp);
    }
    expect(toOlga?.from).not.toBe(toPetra?.from);

    const opened = await openMail(toOlga!.content);
    expect([opened.from, opened.to]).toEqual([ALICE, [OLGA]]);
    expect(calendarPart(opened).method).toBe('REQUEST');
    const [event] = componentsOf(await checkCalendar(attachedObject(opened)), 'VEVENT');
    expect(propertyValue(event, 'UID')).toBe(fields.uid);
  });

  const styles: readonly (readonly [string, (reply: Reply) => string])[] = [
    ['Google', googleReply],
    ['Exchange, which leaves the ORGANIZER out,', exchangeReply],
    ['Apple', appleReply],
  ];

  describe('that Cyrus invited by mail', () => {
    test.each(styles)('has the answer that %s mails back', async (style, compose) => {
      const fields = meeting(`mailed-${style.split(/\W/)[0]}`, { attendees: [OLGA, PETRA] });
      await invite(fields);
      const [mail] = await mailsFor(site.world, OLGA, fields.uid);
      const { messageId } = await read(mail!.content);
      await mailBack(compose({ ...answer(fields), partstat: 'ACCEPTED', inReplyTo: messageId }), OLGA);
      await expect
        .poll(() => partstats(fields.uid), QUEUE_POLL)
        .toEqual({ [OLGA]: 'ACCEPTED', [PETRA]: 'NEEDS-ACTION' });
      await expect.poll(() => posts.posts(fields.uid).length, QUEUE_POLL).toBe(1);
      const [posted] = posts.posts(fields.uid);
      const [event] = componentsOf(await checkCalendar(posted?.body ?? ''), 'VEVENT');
      expect(propertyValue(event, 'ORGANIZER')).toBe(`mailto:${ALICE}`);
      expect(propertiesOf(event, 'ATTENDEE').map(({ value }) => value.toLowerCase())).toEqual([`mailto:${OLGA}`]);
      // The answer lies in the mailbox too.
      await mailsFor(site.mailboxes, ALICE, fields.uid);
    });

    test('has the answer of one who writes from another address, by the mail that he answers', async () => {
      const fields = meeting('alias', { attendees: [OLGA, PETRA] });
      await invite(fields);
      const [mail] = await mailsFor(site.world, PETRA, fields.uid);
      const { messageId } = await read(mail!.content);
      const other = 'p.p@elsewhere.test';
      await mailBack(
        exchangeReply({ ...answer(fields), attendee: other, partstat: 'DECLINED', inReplyTo: messageId }),
        other,
      );
      await expect
        .poll(() => partstats(fields.uid), QUEUE_POLL)
        .toEqual({ [OLGA]: 'NEEDS-ACTION', [PETRA]: 'DECLINED' });
    });

    test('does not get an attendee from the answer of somebody who was never invited', async () => {
      const fields = meeting('crasher');
      await invite(fields);
      await mailsFor(site.world, OLGA, fields.uid);
      const before = await alice.read(fields.uid);
      const crasher = 'mallory@elsewhere.test';
      await mailBack(googleReply({ ...answer(fields), attendee: crasher, partstat: 'ACCEPTED' }), crasher);
      const [mail] = await mailsFor(site.mailboxes, ALICE, fields.uid);
      expect(mail?.content.toString()).toMatch(
        /^iMIP-Gateway-Status: .*\r\n action=skipped;\r\n reason=.*was not invited/m,
      );
      expect(await alice.read(fields.uid)).toBe(before);
      expect(posts.posts(fields.uid)).toEqual([]);
    });
  });

  describe('that a calendar server posted to the gateway', () => {
    /** Posts as alice's calendar server would; Cyrus itself, which mails, has the event without sending it. */
    async function posted(fields: EventFields): Promise<readonly string[]> {
      const silent = storedObject(fields).replaceAll('ATTENDEE;', 'ATTENDEE;SCHEDULE-AGENT=NONE;');
      await alice.put(fields.uid, silent);
      const whole = { event: fields, originator: fields.organizer, recipients: fields.attendees };
      return answered(await post(site.gateway.port('service'), whole));
    }

    test('is a mail of its own for each, from the organizer, that two parsers read', async () => {
      const fields = meeting('composed', { attendees: [OLGA, PETRA] });
      expect(await posted(fields)).toEqual([`${OLGA} 1.1`, `${PETRA} 1.1`]);
      const senders = new Set<string>();
      for (const recipient of fields.attendees) {
        const [mail, ...more] = await mailsFor(site.world, recipient, fields.uid);
        expect(more).toEqual([]);
        expect(mail?.recipients.map(({ address }) => address)).toEqual([recipient]);
        expect(mail?.from).toSatisfy(isVerp);
        senders.add(mail?.from ?? '');
        const opened = await openMail(mail!.content);
        expect([opened.from, opened.to]).toEqual([ALICE, [recipient]]);
        expect(opened.field('Auto-Submitted')).toBe('auto-generated');
        expect([opened.subject, opened.text, opened.html]).toEqual([
          expect.stringContaining('Review'),
          expect.stringContaining('Review'),
          expect.stringContaining('Review'),
        ]);
        expect(opened.parts.map(({ type, method }) => [type, method])).toEqual([
          ['text/calendar', 'REQUEST'],
          ['application/ics', undefined],
        ]);
        const checked = await checkCalendar(attachedObject(opened));
        expect(propertyValue(checked, 'METHOD')).toBe('REQUEST');
        const [event, ...others] = componentsOf(checked, 'VEVENT');
        expect(others).toEqual([]);
        expect(propertiesOf(event, 'ATTENDEE').map(({ value }) => value)).toEqual([
          `mailto:${OLGA}`,
          `mailto:${PETRA}`,
        ]);
      }
      expect(senders.size).toBe(2);
    });

    test.each(styles)('has the answer that %s mails back', async (style, compose) => {
      const fields = meeting(`posted-${style.split(/\W/)[0]}`);
      expect(await posted(fields)).toEqual([`${OLGA} 1.1`]);
      const [mail] = await mailsFor(site.world, OLGA, fields.uid);
      const { messageId } = await read(mail!.content);
      await mailBack(compose({ ...answer(fields), partstat: 'TENTATIVE', inReplyTo: messageId }), OLGA);
      await expect.poll(() => partstats(fields.uid), QUEUE_POLL).toEqual({ [OLGA]: 'TENTATIVE' });
    });
  });

  test('leaves without what must not travel, with its time zone, and nothing in it becomes markup or a header', async () => {
    const uid = 'odd@example.test';
    const crowd = Array.from({ length: 1000 }, (_, at) => `ATTENDEE;PARTSTAT=ACCEPTED:mailto:guest${at}@example.test`);
    const body = [
      ...['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Example//Odd//EN', 'METHOD:REQUEST', 'X-WR-CALNAME:private'],
      ...['BEGIN:VEVENT', `UID:${uid}`, 'DTSTAMP:20300101T080000Z', 'SEQUENCE:0'],
      ...['DTSTART;TZID=Europe/Berlin:20300315T100000', 'DTEND;TZID=Europe/Berlin:20300315T110000'],
      'SUMMARY:Plan\\nBcc: eve@evil.test <script>alert(1)</script>',
      'LOCATION:<img src=x onerror=alert(1)> \u202eneffo',
      `ORGANIZER;CN="Alice^nBcc: eve^'s list \u202e":mailto:${ALICE}`,
      `ATTENDEE;SCHEDULE-STATUS=1.1;CN="^'Olga^' <b>";EMAIL=${OLGA}:mailto:${OLGA}`,
      'ATTENDEE;CUTYPE=ROOM:urn:uuid:5d5b4b0a-6c5e-4b1e-9a3e-0b1a2c3d4e5f',
      ...crowd,
      ...['X-PRIVATE-NOTE:not for others', 'BEGIN:VALARM', 'ACTION:DISPLAY', 'DESCRIPTION:Wake up', 'TRIGGER:-PT10M'],
      ...['END:VALARM', 'END:VEVENT', 'END:VCALENDAR', ''],
    ].join('\r\n');
    const said = await ask(site.gateway.port('service'), {
      method: 'POST',
      path: '/ischedule/',
      headers: [
        ['iSchedule-Version', '1.0'],
        ['Originator', `mailto:${ALICE}`],
        ['Recipient', `mailto:${OLGA}`],
        ['Content-Type', 'text/calendar; charset=utf-8; component=VEVENT; method=REQUEST'],
      ],
      body,
    });
    expect(answered(said)).toEqual([`${OLGA} 1.1`]);
    const [mail, ...more] = await mailsFor(site.world, OLGA, uid);
    expect(more).toEqual([]);
    const opened = await openMail(mail!.content);
    expect([opened.from, opened.to, opened.field('Bcc')]).toEqual([ALICE, [OLGA], undefined]);
    const shown = [opened.subject, opened.fromName].join();
    expect(shown).toContain('Plan');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(shown).not.toMatch(/[\x00-\x1f\u202a-\u202e\u2066-\u2069]/);
    expect(opened.html).toMatch(/(&lt;|&#60;)script/);
    expect(opened.html).not.toMatch(/<script|<img|<b>/);

    const object = attachedObject(opened);
    expect(object.toString()).not.toMatch(/SCHEDULE-STATUS|X-PRIVATE|X-WR-|VALARM/);
    const calendar = await checkCalendar(object);
    const [event] = componentsOf(calendar, 'VEVENT');
    expect(propertiesOf(event, 'ATTENDEE')).toHaveLength(1002);
    expect(propertiesOf(event, 'DTSTART').map(({ value, params }) => [value, params.TZID])).toEqual([
      ['20300315T100000', 'Europe/Berlin'],
    ]);
    expect(componentsOf(calendar, 'VTIMEZONE').map((zone) => propertyValue(zone, 'TZID'))).toEqual(['Europe/Berlin']);
  });

  function answer({ uid, organizer }: EventFields) {
    return { uid, organizer, attendee: OLGA, summary: 'Review' } as const;
  }
});

/** Message-ID of a mail, without angle brackets. */
async function read(content: Buffer): Promise<{ readonly messageId: string }> {
  const { field } = await openMail(content);
  return { messageId: (field('Message-ID') ?? '').replace(/^<|>$/g, '') };
}

/**
 * Contents of the mails in what a client sent, dots un-stuffed. Cyrus ends some lines with LF alone, which no mail server
 * may pass on (RFC 5321 §2.3.8).
 */
function mailsIn(sent: string): readonly string[] {
  return [...sent.matchAll(/\r\nDATA\r\n([\s\S]*?\r\n)\.\r\n/g)].map(([, content = '']) =>
    content.replace(/^\.\./gm, '.').replace(/\r?\n/g, '\r\n'),
  );
}
