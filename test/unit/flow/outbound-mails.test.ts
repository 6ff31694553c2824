import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SmtpDeliverer } from '../../../channel/smtp/deliver.ts';
import type { Outbound } from '../../../src/imip/mail.ts';
import { DEFAULT_LIMITS } from '../../../src/itip/extract.ts';
import { readPosted } from '../../../src/itip/posted.ts';
import { mintToken, readToken, tokenIn } from '../../../src/mail/verp.ts';
import { silentLog } from '../../../src/observe/log.ts';
import { invitationMail, plainMail } from '../../integration/invitations.ts';
import { MailSink, type SinkMail } from '../../integration/mail-sink.ts';
import { calendarPart, type OpenedMail, openMail } from '../../integration/open-mail.ts';
import { DAY, MINUTE, NOW } from '../queue/samples.ts';
import { incomingPost, openPostScene, type PostFields, type PostScene } from './post-scene.ts';
import { openScene, person, type Scene } from './scene.ts';

const ANN = 'ann@example.com';
const EVE = 'eve@example.net';
const JUN = 'jun@example.jp';
const UID = 'review@example.org';

const OUTBOUND: Outbound = {
  address: 'calendar@example.com',
  name: 'Example calendar',
  fromDomains: new Set(['example.com']),
  secret: Buffer.alloc(32, 7),
  language: 'en',
  languages: new Map([['example.jp', 'ja']]),
  journalMs: 90 * DAY,
  unknownUid: 'post',
};

/** The recipient whom the envelope sender of a mail names. */
function named(from: string): { readonly queueId: string; readonly position: number } | undefined {
  return readToken(OUTBOUND.secret, tokenIn(from, OUTBOUND.address) ?? '');
}

function byRecipient(mails: readonly SinkMail[]): readonly SinkMail[] {
  const key = ({ recipients }: SinkMail): string => recipients[0]?.address ?? '';
  return mails.toSorted((a, b) => key(a).localeCompare(key(b)));
}

describe('a post for people outside', () => {
  let sink: MailSink;
  let hop: SmtpDeliverer;
  let scene: PostScene;
  beforeEach(async () => {
    sink = await MailSink.listen('smtp');
    hop = new SmtpDeliverer(
      {
        host: '127.0.0.1',
        port: sink.port,
        protocol: 'smtp',
        tls: 'none',
        connections: 2,
        connectTimeoutMs: 5000,
        commandTimeoutMs: 5000,
        dataTimeoutMs: 5000,
        maxMessagesPerConnection: 100,
        hostname: 'gateway.example.com',
      },
      silentLog,
    );
    scene = await openPostScene({ outbound: OUTBOUND, hop: () => ({ deliverer: hop, addressing: 'as-received' }) });
  });
  afterEach(async () => {
    await scene[Symbol.asyncDispose]();
    await hop[Symbol.asyncDispose]();
    await sink[Symbol.asyncDispose]();
  });

  /** Posts what Ann organizes. */
  async function post(recipients: readonly string[], fields: PostFields = {}): Promise<string> {
    const event = { organizer: ANN, ...fields.event };
    await scene.acceptor.post(incomingPost(recipients, { originator: ANN, ...fields, event }));
    return scene.deliveries()[0]?.queueId ?? '';
  }

  async function opened(mail: SinkMail | undefined): Promise<OpenedMail> {
    if (mail === undefined) throw new Error('no mail');
    return openMail(mail.content);
  }

  test('leaves as one mail for each, which names no other, under an id and an envelope sender of its own', async () => {
    await post([EVE, JUN]);
    const mails = byRecipient(sink.mails);
    const queueId = scene.deliveries()[0]?.queueId ?? '';
    expect(mails.map(({ recipients, from }) => [recipients.map(({ address }) => address), named(from)])).toEqual([
      [[EVE], { queueId, position: 0 }],
      [[JUN], { queueId, position: 1 }],
    ]);
    const [forEve, forJun] = await Promise.all(mails.map(opened));
    expect([forEve, forJun].map((mail) => [mail?.from, mail?.to, mail?.field('message-id')])).toEqual([
      [ANN, [EVE], `<${queueId}.0@gateway.example.com>`],
      [ANN, [JUN], `<${queueId}.1@gateway.example.com>`],
    ]);
    expect(calendarPart(forEve!).content.toString()).toContain(
      `ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:${JUN}`,
    );
    expect([forEve, forJun].map((mail) => mail?.field('content-language'))).toEqual(['en', 'ja']);
  });

  test('is answered as sent, and each sending is in the journal', async () => {
    await post([EVE, JUN]);
    const queueId = scene.deliveries()[0]?.queueId ?? '';
    expect(scene.store.meeting(UID)).toMatchObject({
      uid: UID,
      organizer: ANN,
      attendees: [
        { address: EVE, partstat: 'NEEDS-ACTION' },
        { address: JUN, partstat: 'NEEDS-ACTION' },
      ],
      told: { '': { title: 'Review', toldIn: queueId } },
    });
    const token = mintToken(OUTBOUND.secret, queueId, 0);
    expect(scene.store.sending(token)).toEqual({
      token,
      uid: UID,
      recurrenceIds: [''],
      sequence: 0,
      method: 'REQUEST',
      attendee: EVE,
      organizer: ANN,
      sentTo: EVE,
      reversePath: ANN,
      messageId: `${queueId}.0@gateway.example.com`,
      queueId,
      sentAt: NOW,
      keepUntil: Date.UTC(2030, 2, 15, 11) + 90 * DAY,
    });
    expect(scene.store.sendings(UID)).toHaveLength(2);
  });

  test('repeated for lack of an answer is the same mail to the octet', async () => {
    let drops = 1;
    sink.script.data = () => (drops-- > 0 ? 'drop' : undefined);
    const posting = post([EVE]);
    await sink.waitFor(() => true);
    await posting;
    scene.world.now += 3 * MINUTE;
    scene.context.poke();
    const [first, second] = await sink.waitFor(() => true, 2);
    const withoutTrace = (mail?: SinkMail): unknown => ({ ...mail, answers: [] });
    expect(withoutTrace(second)).toEqual(withoutTrace(first));
    expect(scene.store.sendings(UID)).toHaveLength(0);
    await expect.poll(() => scene.store.sendings(UID).length).toBe(1);
  });

  test('by somebody whose domain is another is from the gateway in his name', async () => {
    const olga = 'olga@example.org';
    await scene.acceptor.post(incomingPost([EVE], { originator: olga }));
    const mail = await opened(sink.mails[0]);
    expect([mail.from, mail.fromName, mail.field('reply-to')]).toEqual([
      'calendar@example.com',
      'olga via Example calendar',
      `<${olga}>`,
    ]);
    expect(named(sink.mails[0]?.from ?? '')?.position).toBe(0);
  });

  test('by a delegate is from the organizer, with the delegate as Sender, and says so in words', async () => {
    const delegate = 'carol@example.com';
    const posted = incomingPost([EVE], { originator: ANN, event: { organizer: ANN } });
    const text = posted.content.toString().replace('ORGANIZER:', `ORGANIZER;CN=Ann;SENT-BY="mailto:${delegate}":`);
    const read = readPosted(Buffer.from(text), 'utf-8', DEFAULT_LIMITS);
    if (read.kind !== 'object') throw new Error(read.kind);
    await scene.acceptor.post({ ...posted, content: Buffer.from(text), object: read.object });
    const mail = await opened(sink.mails[0]);
    expect([mail.from, mail.fromName, mail.field('sender')]).toEqual([ANN, 'Ann', `<${delegate}>`]);
    expect(mail.field('auto-submitted')).toBe('auto-generated');
    expect(mail.text).toContain(`Sent by ${delegate} on behalf of Ann.`);
  });

  test('for an ATTENDEE that is no mailbox goes where his EMAIL parameter says, and names him by it', async () => {
    const posted = incomingPost([EVE], { originator: ANN, event: { organizer: ANN } });
    const text = posted.content.toString().replace(`RSVP=TRUE:mailto:${EVE}`, `RSVP=TRUE;EMAIL=${EVE}:urn:uuid:4f1e`);
    const read = readPosted(Buffer.from(text), 'utf-8', DEFAULT_LIMITS);
    if (read.kind !== 'object') throw new Error(read.kind);
    await scene.acceptor.post({ ...posted, content: Buffer.from(text), object: read.object });
    const mail = await opened(sink.mails[0]);
    expect(mail.to).toEqual([EVE]);
    const unfolded = calendarPart(mail)
      .content.toString()
      .replace(/\r?\n /g, '');
    expect(unfolded).toContain(`EMAIL=${EVE}:mailto:${EVE}`);
    expect(scene.store.meeting(UID)?.attendees).toEqual([{ address: EVE, partstat: 'NEEDS-ACTION' }]);
  });

  test('for somebody of ours who takes mail is in the language that the directory has for him', async () => {
    const lookup = scene.context.directory.lookup;
    const entry = person('vic@example.com', { calendar: false, languages: ['de-AT', 'en'] });
    Object.assign(scene.context.directory, {
      lookup: async (address: string, signal: AbortSignal) =>
        address === entry.mail ? { kind: 'found', entries: [entry], server: 'test' } : lookup(address, signal),
    });
    await post([entry.mail]);
    const mail = await opened(sink.mails[0]);
    expect([mail.subject, mail.field('content-language')]).toEqual(['Einladung: Review', 'de-AT']);
  });

  test('that is an update refers to the mail before it, and to none of another recipient', async () => {
    const first = await post([EVE], { messageId: 'one' });
    await post([EVE, JUN], { messageId: 'two', event: { sequence: 1, summary: 'Long review' } });
    const later = byRecipient(sink.mails.slice(1));
    const [forEve, forJun] = await Promise.all(later.map(opened));
    expect([forEve?.field('in-reply-to'), forJun?.field('in-reply-to')]).toEqual([
      `<${first}.0@gateway.example.com>`,
      undefined,
    ]);
  });

  test('that is an update says what is new to whom was told, however late his copy leaves', async () => {
    await post([EVE, JUN], { messageId: 'one' });
    let isBusy = true;
    sink.script.rcpt = (address) => (address === JUN && isBusy ? '450 4.2.1 busy' : undefined);
    await post([EVE, JUN], { messageId: 'two', event: { sequence: 1, summary: 'Long review' } });
    isBusy = false;
    scene.world.now += 3 * MINUTE;
    scene.context.poke();
    const late = await sink.waitFor(({ recipients }) => recipients[0]?.address === JUN, 2);
    const [eveFirst, eveLater] = sink.mails.filter(({ recipients }) => recipients[0]?.address === EVE);
    const subjects = await Promise.all([eveFirst, eveLater, late[1]].map(async (mail) => (await opened(mail)).subject));
    expect(subjects).toEqual(['Invitation: Review', 'Updated: Long review', '変更：Long review']);
  });

  test('that is an update is an invitation to whom it is new', async () => {
    await post([EVE], { messageId: 'one' });
    await post([EVE, 'fay@example.net'], { messageId: 'two', event: { sequence: 1, summary: 'Long review' } });
    const later = await Promise.all(byRecipient(sink.mails.slice(1)).map(opened));
    expect(later.map(({ subject }) => subject)).toEqual(['Updated: Long review', 'Invitation: Long review']);
  });

  test('leaves without what must not travel, and what a delivery report quotes is the object as it was posted', async () => {
    const answers = new Map([[JUN, '450 4.2.1 busy']]);
    sink.script.rcpt = (address) => answers.get(address);
    const incoming = incomingPost([EVE, JUN], { originator: ANN, event: { organizer: ANN } });
    const text = incoming.content.toString().replace('ORGANIZER:', 'ORGANIZER;SCHEDULE-AGENT=SERVER:');
    const content = Buffer.from(text);
    await scene.acceptor.post({ ...incoming, content, object: { ...incoming.object, content } });
    const [mail] = sink.mails;
    expect(calendarPart(await opened(mail)).content.toString()).not.toContain('SCHEDULE-AGENT');
    const stored = await scene.store.body(scene.deliveries()[0]?.queueId ?? '');
    expect(calendarPart(await openMail(stored)).content.toString()).toBe(text.replaceAll('\r\n', '\n'));
  });

  test('whose author was invited by another address leaves by that one', async () => {
    const olga = 'olga@example.org';
    Object.assign(scene.store, { spelling: () => 'a.adams@example.com' });
    await scene.acceptor.post(
      incomingPost([olga], {
        originator: ANN,
        messageId: 'reply',
        event: { method: 'REPLY', organizer: olga, attendees: [ANN] },
      }),
    );
    const mail = await opened(sink.mails.at(-1));
    expect([mail.from, mail.to]).toEqual(['a.adams@example.com', [olga]]);
    expect(calendarPart(mail).content.toString()).toContain('ATTENDEE;PARTSTAT=ACCEPTED:mailto:a.adams@example.com\n');
  });

  test('that cannot be composed leaves as the plain object, and an error is logged', async () => {
    const { languages } = OUTBOUND;
    Object.assign(OUTBOUND, { languages: undefined });
    await post([EVE]);
    Object.assign(OUTBOUND, { languages });
    expect(sink.mails.map(({ content }) => content.toString().includes('application/ics'))).toEqual([false]);
    expect(scene.lines.filter(({ level }) => level === 'error')).toEqual([
      expect.objectContaining({ to: EVE, uid: UID }),
    ]);
  });
});

describe('ready-made mail from inside', () => {
  let scene: Scene;
  beforeEach(async () => {
    scene = await openScene(undefined, { outbound: OUTBOUND });
    scene.people.push(person(ANN));
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  const event = { uid: UID, organizer: ANN, attendees: [EVE, JUN], method: 'REQUEST' } as const;
  const inside = { origin: 'inside', reversePath: ANN, verp: true } as const;

  test('keeps every byte and leaves for each recipient with an envelope sender of his', async () => {
    const id = await scene.arrive(invitationMail(event), [EVE, JUN], inside);
    await scene.work();
    expect(scene.mails.map(({ from, to, body }) => [named(from), to, body])).toEqual([
      [{ queueId: id, position: 0 }, [EVE], invitationMail(event)],
      [{ queueId: id, position: 1 }, [JUN], invitationMail(event)],
    ]);
    expect(scene.store.sending(mintToken(OUTBOUND.secret, id, 1))).toMatchObject({
      attendee: JUN,
      reversePath: ANN,
      messageId: `${UID}.REQUEST.0.${ANN}`,
    });
  });

  test('that is a REPLY has an envelope sender of ours as well, and makes no meeting', async () => {
    const id = await scene.arrive(
      invitationMail({ uid: UID, organizer: EVE, attendees: [ANN], method: 'REPLY' }),
      [EVE],
      inside,
    );
    await scene.work();
    expect(scene.mails.map(({ from }) => named(from))).toEqual([{ queueId: id, position: 0 }]);
    expect(scene.store.sending(mintToken(OUTBOUND.secret, id, 0))?.reversePath).toBe(ANN);
    expect(scene.store.meeting(UID)).toBeUndefined();
  });

  test('is written anew where its author was invited by an address that his calendar server does not know', async () => {
    const reply = { uid: UID, organizer: EVE, attendees: [ANN], method: 'REPLY' } as const;
    Object.assign(scene.store, { spelling: () => 'a.adams@example.com' });
    const id = await scene.arrive(invitationMail(reply), [EVE], inside);
    await scene.work();
    const [mail] = scene.mails;
    expect([named(mail?.from ?? ''), mail?.to]).toEqual([{ queueId: id, position: 0 }, [EVE]]);
    const read = await openMail(Buffer.from(mail?.body ?? ''));
    expect([read.from, read.to]).toEqual(['a.adams@example.com', [EVE]]);
    expect(calendarPart(read).content.toString()).toContain('mailto:a.adams@example.com\n');
    expect(calendarPart(read).content.toString()).not.toContain(ANN);
    expect(scene.store.sending(mintToken(OUTBOUND.secret, id, 0))?.messageId).toMatch(new RegExp(`^${id}\\.0@`));
  });

  test.each([
    ['without the option', invitationMail(event), { ...inside, verp: false }, ANN],
    ['from the null reverse-path', invitationMail(event), { ...inside, reversePath: '' }, ''],
    ['without a scheduling object', plainMail({ from: ANN, to: EVE, id: 'p@example.com' }), inside, ANN],
  ] as const)('%s keeps its envelope sender, in one transaction', async (_, content, arrival, from) => {
    await scene.arrive(content, [EVE, JUN], arrival);
    await scene.work();
    expect(scene.mails.map((mail) => [mail.from, mail.to])).toEqual([[from, [EVE, JUN]]]);
  });

  test('is in the journal also without an envelope sender of ours', async () => {
    await scene.arrive(invitationMail(event), [EVE], { ...inside, verp: false });
    await scene.work();
    expect(scene.store.meeting(UID)?.organizer).toBe(ANN);
    expect(scene.store.sendings(UID).map(({ sentTo, messageId }) => [sentTo, messageId])).toEqual([
      [EVE, `${UID}.REQUEST.0.${ANN}`],
    ]);
  });

  test('that a stranger sent is in no journal', async () => {
    await scene.arrive(invitationMail(event), [EVE], { reversePath: ANN });
    await scene.work();
    expect([scene.store.meeting(UID), scene.store.sendings(UID)]).toEqual([undefined, []]);
  });
});
