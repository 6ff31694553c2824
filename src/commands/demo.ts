import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Gateway, startGateway } from '../gateway.ts';
import { createLog } from '../observe/log.ts';
import type { Delivery } from '../queue/store.ts';
import { readMailbox } from '../trial/maildir.ts';
import { TRIAL_BACK_ENDS } from '../trial/people.ts';
import { OWN_MEETING, ownMeeting, type Sample, samples } from '../trial/samples.ts';
import { startTrialSite, type TrialSite } from '../trial/site.ts';
import { type CalendarFile, readCalendar, writeEvent } from '../trial/vdir.ts';
import { print, printJson } from './output.ts';
import { submit } from './submit.ts';

export type DemoOptions = { readonly keep?: boolean; readonly json?: boolean };

/** What became of one sample for one recipient. */
type Found = {
  readonly sample: string;
  readonly recipient: string;
  readonly rule: string;
  readonly answer: string;
  readonly server: string;
  readonly calendar: string;
  readonly mailbox: string;
  readonly ok: boolean;
};

/** How long all deliveries may take before the demo gives up on them. */
const PATIENCE_MS = 30_000;

/**
 * The main job on embedded servers: sends sample invitations by SMTP and looks for them in calendars and mailboxes.
 * @returns whether everything arrived
 */
export async function demo(options: DemoOptions): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'imipd-demo-'));
  const site = await startTrialSite({ folder, port: 0 });
  const log = createLog({ level: 'info', file: join(folder, 'imipd.log') });
  const gateway = await startGateway(site.config, log);
  try {
    writeEvent(join(site.calendars, TRIAL_BACK_ENDS[0]), OWN_MEETING.owner, OWN_MEETING.uid, ownMeeting());
    const found: Found[] = [];
    const all = samples();
    for (const sample of all) found.push(...(await play(gateway, site, sample, options)));
    const failed = found.filter((one) => !one.ok).length;
    if (options.json === true) printJson({ folder: options.keep === true ? folder : undefined, found, failed });
    if (options.keep === true && options.json !== true)
      print(`kept: ${folder} (calendars, mailboxes, queue, imipd.log)`);
    if (options.json !== true) print(`demo: ${found.length - failed} delivered, ${failed} failed`);
    return failed === 0;
  } finally {
    await gateway.stop();
    await site.stop();
    await log.close();
    if (options.keep !== true) await rm(folder, { recursive: true, force: true });
  }
}

async function play(gateway: Gateway, site: TrialSite, sample: Sample, options: DemoOptions): Promise<Found[]> {
  const [host = '', port = ''] = gateway.listeners.get('in')?.split(':') ?? [];
  const before = await Promise.all(
    sample.to.map(async (recipient) => (await readMailbox(site.mailboxes, recipient)).length),
  );
  const outcomes = await submit(
    { host, port: Number(port), protocol: 'smtp' },
    sample.from,
    sample.to,
    Buffer.from(sample.content),
  );
  const deliveries = await settled(gateway, sample);
  const found = await Promise.all(
    sample.to.map((recipient, index) => look(site, sample, recipient, deliveries, before[index] ?? 0)),
  );
  if (options.json !== true) {
    print(`${sample.title}: from <${sample.from}>, ${outcomes[0]?.diagnostic ?? outcomes[0]?.reason ?? ''}`);
    for (const one of found) {
      print(`  ${one.recipient.padEnd(20)} decision ${one.rule} → ${one.server}; answer ${one.answer}`);
      print(
        `  ${''.padEnd(20)} calendar: ${one.calendar}; mailbox: ${one.mailbox}${one.ok ? '' : '   NOT AS EXPECTED'}`,
      );
    }
  }
  return found;
}

/** Waits until every delivery of the sample's message is final; the queue commits each, so it is asked. */
async function settled(gateway: Gateway, sample: Sample): Promise<readonly Delivery[]> {
  const messageId = /^Message-ID: (.*)\r$/m.exec(sample.content)?.[1] ?? '';
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const message = gateway.store.byMessageId(messageId)[0];
    const deliveries = message === undefined ? [] : (gateway.store.message(message.id)?.deliveries ?? []);
    const open = deliveries.some((delivery) => delivery.state === 'queued' || delivery.state === 'held');
    if ((message !== undefined && !open) || Date.now() > end) return deliveries;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function look(
  site: TrialSite,
  sample: Sample,
  recipient: string,
  deliveries: readonly Delivery[],
  mailsBefore: number,
): Promise<Found> {
  const post = deliveries.find((delivery) => delivery.kind === 'post' && delivery.recipient === recipient);
  const decision = post?.decisions.at(-1);
  const calendar = sample.event === undefined ? undefined : await findEvent(site, recipient, sample.event.uid);
  const mails = (await readMailbox(site.mailboxes, recipient)).slice(mailsBefore);
  const annotated = mails.some((mail) =>
    /^iMIP-Gateway-Status: .*action=posted/ms.test(mail.content.toString('latin1')),
  );
  const isStored =
    sample.event === undefined ||
    (calendar !== undefined &&
      calendar.event.summary === sample.event.summary &&
      (sample.event.status === undefined || calendar.event.status === sample.event.status) &&
      (sample.event.contains === undefined ||
        calendar.event.text.replace(/\r?\n[ \t]/g, '').includes(sample.event.contains)));
  return {
    sample: sample.title,
    recipient,
    rule: decision?.rule ?? 'nothing-to-schedule',
    server: decision?.post.kind === 'post' ? decision.post.server.url : 'mailbox only',
    answer:
      post?.outcome?.requestStatus ?? (sample.event === undefined ? 'not asked' : (post?.outcome?.reason ?? 'none')),
    calendar:
      calendar === undefined
        ? 'nothing'
        : `${calendar.server}: "${calendar.event.summary}"${calendar.event.status === '' ? '' : ` ${calendar.event.status}`}`,
    mailbox: mails.length === 0 ? 'nothing' : `${mails.length} mail${annotated ? ', annotated' : ''}`,
    ok: mails.length === 1 && annotated === (sample.event !== undefined) && isStored,
  };
}

async function findEvent(
  site: TrialSite,
  recipient: string,
  uid: string,
): Promise<{ server: string; event: CalendarFile } | undefined> {
  for (const server of TRIAL_BACK_ENDS) {
    const event = (await readCalendar(join(site.calendars, server), recipient)).find((one) => one.uid === uid);
    if (event !== undefined) return { server, event };
  }
  return undefined;
}
