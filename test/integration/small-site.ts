import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openSqliteStore } from '../../src/queue/sqlite.ts';
import type { Delivery, Store } from '../../src/queue/store.ts';
import { CalendarStandIn, SUCCESS } from './calendar-stand-in.ts';
import { type Gateway, type LogLine, startGateway } from './harness.ts';
import { type EventFields, invitationMail } from './invitations.ts';
import { MailSink, type SinkMail } from './mail-sink.ts';
import { type Submission, type SubmissionResult, submit } from './smtp-client.ts';

export const ALICE = 'alice@example.com';
export const BOB = 'bob@example.com';
/** Outsiders. */
export const OLGA = 'olga@example.org';
export const PETRA = 'petra@example.org';

/** Those of {@link people} by what is special about them. */
export const SPECIAL = {
  aliasOfAlice: 'a.adams@example.com',
  moving: 'carol@example.com',
  withoutCalendar: 'grace@example.com',
  /** Without marker: of the server that `calendar.default` names, if any. */
  unmarked: 'vera@example.com',
  room: 'room1@example.com',
  list: 'staff@example.com',
  inactive: 'ivan@example.com',
  disabled: 'dora@example.com',
  /** Two entries have it. */
  ambiguous: 'info@example.com',
  unknown: 'nobody@example.com',
} as const;

export type SmallSite = {
  readonly gateway: Gateway;
  /** The queue, opened beside the gateway. */
  readonly store: Store;
  /** The one calendar server, back end `home`. */
  readonly calendar: CalendarStandIn;
  /** The next hop. */
  readonly mailboxes: MailSink;
  /** The smart host: mail for other domains, and reports. */
  readonly world: MailSink;
  [Symbol.asyncDispose](): Promise<void>;
};

export type SmallSiteOptions = {
  /** Entries of `listeners`, one line each. */
  readonly listeners: readonly string[];
  /** Lines of `queue`; retries come soon by themselves. */
  readonly queue?: readonly string[];
  /** Lines of `calendar`, beside the back end `home`. */
  readonly calendar?: readonly string[];
  /** Replaces the LDIF file. */
  readonly directory?: string;
  /** Whole further sections. */
  readonly more?: string;
  readonly nextHop?: { readonly protocol?: 'smtp' | 'lmtp'; readonly extensions?: readonly string[] };
};

/** A gateway whose peers are all stand-ins in the test process, save the directory, which is a file. */
export async function startSmallSite(options: SmallSiteOptions): Promise<SmallSite> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'imipd-site-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const ldif = join(folder, 'people.ldif');
  await writeFile(ldif, people());
  const calendar = stack.use(await CalendarStandIn.listen());
  const { protocol = 'smtp', extensions } = options.nextHop ?? {};
  const mailboxes = stack.use(new MailSink(protocol, {}, extensions));
  await mailboxes.open();
  const world = stack.use(await MailSink.listen('smtp'));
  const gateway = stack.use(
    await startGateway(`
hostname: imipd.example.com
domains: [example.com]
listeners:
${options.listeners.map((line) => `  - {address: '127.0.0.1:0', ${line}}`).join('\n')}
directory: ${options.directory ?? `{kind: ldif, file: '${ldif}'}`}
calendar:
  back-ends:
    home: {url: '${calendar.url}'}
${(options.calendar ?? []).map((line) => `  ${line}`).join('\n')}
next-hop: {address: '127.0.0.1:${mailboxes.port}', protocol: ${protocol}}
smart-host: {address: '127.0.0.1:${world.port}'}
queue:
  post-retry: [300ms]
  mail-retry: [300ms]
${(options.queue ?? []).map((line) => `  ${line}`).join('\n')}
${options.more ?? ''}
`),
  );
  const store = stack.use(await openSqliteStore({ folder: join(gateway.folder, 'var'), exclusive: false }));
  const owned = stack.move();
  return { gateway, store, calendar, mailboxes, world, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Every stand-in answers as by default again; those that are down come up. */
export async function calmDown({ calendar, mailboxes, world }: SmallSite): Promise<void> {
  calendar.answer = () => SUCCESS;
  calendar.answerOnly = undefined;
  for (const sink of [mailboxes, world]) {
    delete sink.script.rcpt;
    delete sink.script.data;
    await sink.close();
    await sink.open();
  }
  await calendar.close();
  await calendar.open();
}

/** Submits by one of the site's listeners; LMTP when its name says so. */
export async function send(
  site: Pick<SmallSite, 'gateway'>,
  listener: string,
  submission: Omit<Submission, 'protocol'>,
): Promise<SubmissionResult> {
  const protocol = listener.includes('lmtp') ? 'lmtp' : 'smtp';
  return await submit(site.gateway.port(listener), { ...submission, protocol });
}

/** What was answered after DATA: one line, in LMTP one for each recipient. */
export function answers(result: SubmissionResult): readonly string[] {
  return result.data.map((reply) => reply.lines.join('\n'));
}

/** The queue id that the answer to a message names. */
export function queueIdOf(result: SubmissionResult): string {
  const id = /^250 2\.6\.0 queued as (\w+)$/.exec(answers(result)[0] ?? '')?.[1];
  if (id === undefined) throw new Error(`no queue id in ${JSON.stringify(result.data)}`);
  return id;
}

/** A REQUEST from olga, with the fields that a test is about. */
export function request(fields: Partial<EventFields> & Pick<EventFields, 'uid' | 'attendees'>): EventFields {
  return { organizer: OLGA, method: 'REQUEST', ...fields };
}

export function requestMail(fields: Partial<EventFields> & Pick<EventFields, 'uid' | 'attendees'>): string {
  return invitationMail(request(fields));
}

/** A mail as it reached the next hop, taken apart into what the gateway put before it and the rest. */
export type Arrived = {
  /** Names of our header fields, in their order. */
  readonly added: readonly string[];
  /** Value of our status header, unfolded. */
  readonly status: string | undefined;
  /** Everything below our header fields. */
  readonly message: string;
};

const OURS = /^(Received|iMIP-Gateway-Status|X-MEETING-[A-Z-]+): ((?:[^\r]|\r\n[ \t])*)\r\n/;

export function arrived(mail: SinkMail): Arrived {
  let message = mail.content.toString('latin1');
  const added: string[] = [];
  let status: string | undefined;
  for (let field = OURS.exec(message); field !== null; field = OURS.exec(message)) {
    const [whole, name = '', value = ''] = field;
    // What came with trace fields of its own has them below ours.
    if (name === 'Received' && added.length > 0) break;
    added.push(name);
    if (name === 'iMIP-Gateway-Status') status = value.replace(/\r\n[ \t]/g, ' ');
    message = message.slice(whole.length);
  }
  return { added, status, message };
}

/** Header fields of an annotated copy of what `invitationMail` makes. */
export const ANNOTATED = [
  'Received',
  'iMIP-Gateway-Status',
  'X-MEETING-UID',
  'X-MEETING-METHOD',
  'X-MEETING-SEQUENCE',
  'X-MEETING-DTSTAMP',
] as const;

/** Waits until the next hop has a mail for this recipient that holds `text`. */
export async function mailFor(sink: MailSink, recipient: string, text: string): Promise<SinkMail> {
  const [mail] = await sink.waitFor(
    (one) => one.recipients.some(({ address }) => address === recipient) && one.content.includes(text),
  );
  if (mail === undefined) throw new Error('unreachable: waitFor resolves with at least one');
  return mail;
}

/** Each delivery of a message as `post to a@b: state`, once none of them is `queued` any more. */
export async function outcomesOf(site: Pick<SmallSite, 'store'>, queueId: string): Promise<readonly string[]> {
  await expect.poll(() => deliveriesOf(site, queueId).map(({ state }) => state), QUEUE_POLL).not.toContain('queued');
  return statesOf(site, queueId);
}

/** Each delivery of a message as `post to a@b: state`, now. */
export function statesOf(site: Pick<SmallSite, 'store'>, queueId: string): readonly string[] {
  return deliveriesOf(site, queueId).map(({ kind, recipient, state }) => `${kind} to ${recipient}: ${state}`);
}

export function deliveriesOf(site: Pick<SmallSite, 'store'>, queueId: string): readonly Delivery[] {
  return site.store.message(queueId)?.deliveries ?? [];
}

/** Reports that were queued so far for this sender, sent or not: their queue ids. */
export function reportsTo(site: SmallSite, sender: string): readonly string[] {
  return site.store
    .list({ recipient: sender })
    .filter(({ message }) => message.listener === 'bounce')
    .map(({ queueId }) => queueId);
}

/** A log line about an attempt, by channel and text that its message-id holds. */
export function isAttempt(channel: 'ischedule' | 'smtp', text: string): (line: LogLine) => boolean {
  return (line) => line.channel === channel && String(line.messageId).includes(text);
}

export const QUEUE_POLL = { timeout: 15_000, interval: 50 };

const USER =
  'objectClass: inetOrgPerson\nobjectClass: inetMailUser\nobjectClass: icsCalendarUser\nobjectClass: davEntity';

function people(): string {
  const user = (name: string, ...more: string[]) =>
    [
      `dn: uid=${name},o=isp`,
      USER,
      `uid: ${name}`,
      `cn: ${name}`,
      `mail: ${name}@example.com`,
      'davStore: home',
      ...more,
    ].join('\n');
  return [
    'dn: o=isp\nobjectClass: organization\no: isp',
    user('alice', `mailAlternateAddress: ${SPECIAL.aliasOfAlice}`),
    user('bob'),
    user('carol', 'mailUserStatus: hold'),
    user('ivan', 'inetUserStatus: inactive'),
    user('dora', 'inetUserStatus: deleted'),
    user('info1', `mailAlternateAddress: ${SPECIAL.ambiguous}`),
    user('info2', `mailAlternateAddress: ${SPECIAL.ambiguous}`),
    'dn: uid=grace,o=isp\nobjectClass: inetMailUser\nuid: grace\nmail: grace@example.com',
    'dn: uid=vera,o=isp\nobjectClass: inetOrgPerson\nobjectClass: inetMailUser\nobjectClass: icsCalendarUser\nuid: vera\ncn: vera\nmail: vera@example.com',
    'dn: cn=room1,o=isp\nobjectClass: icsCalendarResource\nobjectClass: inetMailUser\nobjectClass: davEntity\ncn: room1\nmail: room1@example.com\ndavStore: home',
    'dn: cn=staff,o=isp\nobjectClass: inetMailGroup\ncn: staff\nmail: staff@example.com',
    '',
  ].join('\n\n');
}
