import { randomBytes } from 'node:crypto';
import type { HostPort } from '../config/kinds.ts';
import type { Config, HopConfig } from '../config/options.ts';
import { settingsFor } from '../config/peers.ts';
import { LdifError } from '../directory/ldif.ts';
import { openDirectory } from '../directory/open.ts';
import type { CalendarServer } from '../mail/disposition.ts';
import { silentLog } from '../observe/log.ts';
import { reach } from '../observe/reach.ts';
import { type AskSettings, askCalendarServer } from './calendar-server.ts';
import { checkFreeBusy } from './check-busy.ts';
import { checkCoexistence } from './check-coexistence.ts';
import { CommandError, EX } from './exit.ts';
import { describeOutbound } from './outbound.ts';
import { print, printJson } from './output.ts';
import { withStore } from './queue.ts';
import { whyNotWritable } from './state.ts';
import { reachable, submit } from './submit.ts';

export type CheckOptions = {
  readonly probe?: boolean;
  readonly to?: string;
  readonly wait?: string;
  readonly json?: boolean;
};

/** One thing that was looked at. */
export type Finding = { readonly what: string; readonly verdict: 'ok' | 'warning' | 'error'; readonly detail: string };

const REACH_MS = 5_000;

/** Said wherever an administrator sets up a listener for outside mail: what stands between a forger and a calendar. */
export const AUTHORS_NOTE =
  'authors of outside mail are not verified (no DKIM, SPF or DMARC is looked at): beyond refusing our own domains as ORGANIZER or replying ATTENDEE, and an ORGANIZER other than the one who was posted before, what a mail claims is believed; let only an MTA that filters forgeries connect';

/**
 * Looks at everything a gateway needs, without starting one.
 * @returns whether nothing is wrong
 */
export async function checkSite(config: Config, warnings: readonly string[], options: CheckOptions): Promise<boolean> {
  const findings: Finding[] = [
    {
      what: 'configuration',
      verdict: 'ok',
      detail: `${counted(config.listeners.length, 'listener')}, ${counted(config.domains.length, 'domain')}`,
    },
    ...describeService(config),
    ...(await describeOutbound(config)),
    ...warnings.map((detail): Finding => ({ what: 'configuration', verdict: 'warning', detail })),
    ...(config.listeners.some((listener) => listener.origin === 'outside')
      ? [{ what: 'authors', verdict: 'warning', detail: AUTHORS_NOTE } as const]
      : []),
    checkState(config),
    await checkDirectory(config),
    ...(await Promise.all(
      calendarServers(config).map((server) => checkCalendarServer(server, settingsFor(server.url, config.ischedule))),
    )),
    ...(await checkFreeBusy(config, REACH_MS)),
    ...(await checkCoexistence(config, REACH_MS)),
    ...(await checkHops(config)),
  ];
  if (options.probe === true) findings.push(await probeLoop(config, options));
  if (options.json === true) printJson(findings);
  else for (const finding of findings) print(`${finding.verdict.padEnd(8)}${finding.what}: ${finding.detail}`);
  return findings.every((finding) => finding.verdict !== 'error');
}

/** Who may post to us, and what is open to the DNS of others. */
function describeService({ http: { service }, ischedule: { peers, keys, discovery } }: Config): Finding[] {
  const ok = (what: string, detail: string): Finding => ({ what, verdict: 'ok', detail });
  const found: Finding[] = [];
  if (service !== undefined) {
    const { address, tls } = service;
    const where = `${tls === undefined ? 'http' : 'https'}://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
    const names = peers.map(({ name, origin }) => `${name} (${origin})`).join(', ');
    found.push(
      ok(
        'service listener',
        `${where}/ischedule/, ${counted(peers.length, 'peer')}${names === '' ? '' : `: ${names}`}`,
      ),
    );
  }
  for (const { domain, selector } of keys) found.push(ok('signing key', `${selector} of ${domain}`));
  if (discovery.domains.length > 0) found.push(ok('discovery', `on for ${discovery.domains.join(', ')}`));
  return found;
}

function checkState(config: Config): Finding {
  const trouble = whyNotWritable(config);
  if (trouble !== undefined) return { what: trouble.option, verdict: 'error', detail: trouble.text };
  return { what: 'state', verdict: 'ok', detail: `${config.state} can be written` };
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

async function checkDirectory(config: Config): Promise<Finding> {
  if (config.directory === undefined)
    return {
      what: 'directory',
      verdict: 'warning',
      detail: 'none is configured: every recipient is unknown, all mail is passed on',
    };
  const wrong = await probeDirectory(config);
  return wrong === undefined
    ? { what: 'directory', verdict: 'ok', detail: 'answers' }
    : { what: 'directory', verdict: 'error', detail: wrong };
}

async function probeDirectory(config: Config): Promise<string | undefined> {
  try {
    await using directory = await openDirectory(config, silentLog);
    return await directory.probe(AbortSignal.timeout(30_000));
  } catch (error) {
    if (!(error instanceof LdifError)) throw error;
    return error.message;
  }
}

/** Each once, by its URL. */
function calendarServers(config: Config): readonly CalendarServer[] {
  const { backEnds, default: usual, domainMap } = config.calendar;
  const servers = [...backEnds.values(), ...(usual === undefined ? [] : [usual]), ...(domainMap?.entries ?? [])];
  const byUrl = new Map<string, CalendarServer>();
  for (const { url: written, profile = 'generic' } of servers) {
    const { href: url } = new URL(written);
    if (!byUrl.has(url)) byUrl.set(url, { url, profile });
  }
  return [...byUrl.values()];
}

async function checkCalendarServer(server: CalendarServer, settings: AskSettings): Promise<Finding> {
  const what = `calendar server ${server.url}`;
  const state = await askCalendarServer(server, { timeoutMs: REACH_MS, settings });
  switch (state.kind) {
    case 'answers':
      return { what, verdict: 'ok', detail: 'answers' };
    case 'doubtful':
      return { what, verdict: 'warning', detail: state.text };
    case 'unreachable':
      return { what, verdict: 'error', detail: state.text };
  }
}

async function checkHops({ nextHop, smartHost }: Config): Promise<Finding[]> {
  const checks = [
    ...(nextHop === undefined ? [] : [checkHop('next hop', nextHop, nextHop.address)]),
    ...(smartHost === undefined
      ? []
      : [smartHost.address, ...smartHost.fallbacks].map((address) => checkHop('smart host', smartHost, address))),
  ];
  return Promise.all(checks);
}

async function checkHop(kind: string, hop: HopConfig, { host, port }: HostPort): Promise<Finding> {
  const what = `${kind} ${host}:${port}`;
  const tls = hop.tls === 'implicit' ? { tls: hop.ca === undefined ? {} : { ca: hop.ca } } : {};
  const reached = await reach({ host, port, timeoutMs: REACH_MS, ...tls });
  if (!reached.ok) {
    const reason = reached.reason.replace(/ca$/, `${kind.replace(' ', '-')}.ca`);
    return { what, verdict: 'error', detail: `cannot be reached: ${reason}` };
  }
  if (!reached.greeting.startsWith('220'))
    return { what, verdict: 'error', detail: `greets with "${reached.greeting}", want 220` };
  return { what, verdict: 'ok', detail: reached.greeting };
}

/**
 * Sends one message through the running gateway and watches the queue for its return: a next hop that sends our mail
 * back to us would send every mail round in circles.
 */
async function probeLoop(config: Config, options: CheckOptions): Promise<Finding> {
  const what = 'mail loop';
  const listener = config.listeners.find((one) => one.mode === 'filter');
  if (listener === undefined) return { what, verdict: 'ok', detail: 'no filter listener, so no mail is passed on' };
  const to = options.to ?? `postmaster@${config.domains[0] ?? config.hostname}`;
  const waitMs = Number(options.wait ?? '15') * 1000;
  if (!Number.isFinite(waitMs) || waitMs <= 0)
    throw new CommandError(EX.USAGE, `got --wait ${options.wait ?? ''}, want a number of seconds, such as 15`);
  const messageId = `<probe-${randomBytes(8).toString('hex')}@${config.hostname}>`;
  const content = probeMail(config.hostname, to, messageId);
  const entrance = { host: reachable(listener.address.host), port: listener.address.port, protocol: listener.protocol };
  const [outcome] = await submit(entrance, '', [to], content);
  if (outcome?.kind !== 'delivered') {
    return {
      what,
      verdict: 'error',
      detail: `the probe was not accepted on listener ${listener.name}: ${outcome?.diagnostic ?? outcome?.reason ?? 'no answer'}; is the gateway running?`,
    };
  }
  const end = Date.now() + waitMs;
  for (;;) {
    const passes = await withStore(config, (store) => store.byMessageId(messageId));
    if (passes.length > 1) {
      return {
        what,
        verdict: 'error',
        detail: `the probe to ${to} came back to us: the next hop sends what we pass on to this gateway again; see docs/mta/postfix.md, Loops`,
      };
    }
    if (Date.now() >= end)
      return {
        what,
        verdict: 'ok',
        detail: `the probe to ${to} was passed on and did not come back within ${waitMs / 1000} s`,
      };
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/**
 * The probe looks like an invitation, since an MTA may send only those to us, and schedules nothing: PUBLISH is never
 * posted.
 */
function probeMail(hostname: string, to: string, messageId: string): Buffer {
  const lines = [
    `From: <postmaster@${hostname}>`,
    `To: <${to}>`,
    'Subject: imipd mail loop probe',
    `Message-ID: ${messageId}`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="probe"',
    '',
    '--probe',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'Sent by imipd check --probe, to see whether mail that is passed on comes back.',
    '--probe',
    'Content-Type: text/calendar; charset=utf-8; method=PUBLISH',
    '',
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//imipd//probe//EN',
    'METHOD:PUBLISH',
    'BEGIN:VEVENT',
    `UID:${messageId.slice(1, -1)}`,
    'DTSTAMP:20000101T000000Z',
    'DTSTART:20000101T000000Z',
    'SUMMARY:imipd mail loop probe',
    `ORGANIZER:mailto:postmaster@${hostname}`,
    'END:VEVENT',
    'END:VCALENDAR',
    '--probe--',
    '',
  ];
  return Buffer.from(lines.join('\r\n'));
}
