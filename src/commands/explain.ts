import { signatureFor } from '../../channel/ischedule/signing.ts';
import type { Config, ListenerConfig } from '../config/options.ts';
import { discoveredSettings, settingsFor, signerOf, signingKeysOf } from '../config/peers.ts';
import { examineLimits, policyOf } from '../config/policy.ts';
import type { Lookup } from '../directory/directory.ts';
import { openDirectory } from '../directory/open.ts';
import { addresseeOf } from '../flow/addressee.ts';
import { askedOnce, type Judged, judge, type MessageFacts, type PostFacts, type Sources } from '../flow/facts.ts';
import { readAnswer, readFields } from '../flow/intake.ts';
import { composePost } from '../flow/posts.ts';
import { examine } from '../itip/extract.ts';
import type { Examination } from '../itip/message.ts';
import { type MessageOutline, readMessage } from '../itip/person.ts';
import { calendarAddress, canonicalAddress, domainOf, parseAddress } from '../mail/address.ts';
import type { Decision } from '../mail/disposition.ts';
import { scanHeader } from '../mail/header.ts';
import { readToken, tokenIn } from '../mail/verp.ts';
import { silentLog } from '../observe/log.ts';
import { readOutboundKey } from '../outbound-key.ts';
import { openOutside } from '../outside.ts';
import { decisionLines, lookupLines, postText } from './decision-text.ts';
import { CommandError, EX } from './exit.ts';
import { readMail } from './inject.ts';
import { print, printJson } from './output.ts';
import { withStore } from './queue.ts';
import { requestLines } from './request-text.ts';
import { hasQueue } from './state.ts';
import { withCrlf } from './submit.ts';

export type ExplainOptions = {
  readonly message?: string;
  readonly listener?: string;
  /** Where it was sent to at first: a list that was expanded on the way. */
  readonly orcpt?: string;
  readonly json?: boolean;
};

const LOOKUP_MS = 60_000;
/** Of a longer list the others are counted. */
const MAX_MEMBERS = 50;

/** What would happen to a message for this address, and why: the production rules on the real directory and ledger. */
export async function explain(config: Config, address: string, options: ExplainOptions): Promise<void> {
  const recipient = readAddress(address);
  const returned = await returnText(config, recipient);
  if (returned !== undefined) {
    if (options.json === true) printJson({ recipient, ...returned });
    else print(`${recipient}\n  ${returned.text}`);
    return;
  }
  const orcpt = options.orcpt === undefined ? undefined : readAddress(options.orcpt);
  const listener = listenerOf(config, options.listener);
  const invited = orcpt ?? recipient;
  const content = options.message === undefined ? typicalInvitation(invited) : withCrlf(readMail(options.message));
  const examination = await examine(content, examineLimits([listener]));
  const { fields } = scanHeader(content);
  const { messageId, deliveredTo, hops } = readFields(fields, config.hostname);
  const message: MessageFacts = {
    mode: listener.mode,
    origin: listener.origin,
    passes: hops.own,
    deliveredTo,
    ...readAnswer(fields),
    ...(messageId === undefined ? {} : { messageId }),
  };
  await using directory = await openDirectory(config, silentLog);
  await using outside = openOutside(config, silentLog);
  const object = examination.kind === 'object' ? examination.object : undefined;
  const { addressee, judged, members } = await withSources(config, async (store) => {
    const addressee = addresseeOf(config.outbound?.address, store, message, object, recipient);
    const { discovery } = outside;
    const sources = {
      ...{ policy: policyOf(config), directory: askedOnce(directory), store },
      ...(discovery === undefined ? {} : { discovery }),
    };
    const ask = (post: PostFacts): Promise<Judged> =>
      judge(sources, message, examination, post, AbortSignal.timeout(LOOKUP_MS));
    const own = await ask({ recipient: addressee, ...(orcpt === undefined ? {} : { orcpt: `rfc822;${orcpt}` }) });
    return { addressee, judged: own, members: await judgeMembers(own.decision, addressee, ask) };
  });
  const shown = options.message === undefined ? undefined : await readMessage(content);
  const request = requestOf(config, examination, judged.decision);
  if (options.json === true) {
    printJson({
      recipient,
      ...(addressee === recipient ? {} : { addressee }),
      listener: listener.name,
      message: shown,
      examination: summary(examination),
      lookup: judged.lookup,
      decision: judged.decision,
      ...(request === undefined ? {} : { request }),
      ...(members.length === 0 ? {} : { members }),
    });
    return;
  }
  print(`${recipient}, mail on listener ${listener.name} (${listener.mode}, ${listener.origin})`);
  print(`  ${messageText(shown, orcpt)}`);
  if (addressee !== recipient)
    print(`  an answer to the gateway's own mailbox: for ${addressee}, the organizer that the journal has`);
  const ours = policyOf(config).domains.has(domainOf(addressee));
  for (const line of directoryLines(judged.lookup, ours)) print(`  ${line}`);
  printRepairs(examination);
  for (const line of decisionLines(judged.decision, listener.mode)) print(`  ${line}`);
  printMembers(judged.decision, members);
  for (const line of request ?? []) print(line === '' ? '' : `    ${line}`);
}

function readAddress(address: string): string {
  if (parseAddress(address) === undefined)
    throw new CommandError(EX.USAGE, `got ${address}, want an address such as bob@example.com`);
  return canonicalAddress(address);
}

/** The queue where there is one; a gateway that never ran remembers nothing. */
async function withSources<T>(config: Config, job: (store: Sources['store']) => Promise<T>): Promise<T> {
  if (hasQueue(config)) return withStore(config, job);
  return job({
    ledger: () => [],
    spelling: () => undefined,
    passedTo: () => [],
    meeting: () => undefined,
    sendings: () => [],
  });
}

/** What comes to an envelope sender of ours, of which mail is passed on or ends here, whatever it holds. */
async function returnText(
  { outbound, state }: Config,
  recipient: string,
): Promise<{ readonly kind: 'return' | 'refused'; readonly queueId?: string; readonly text: string } | undefined> {
  const token = outbound === undefined ? undefined : tokenIn(recipient, outbound.address);
  if (token === undefined) return undefined;
  const secret = await readOutboundKey(state);
  const target = secret === undefined ? undefined : readToken(secret, token);
  if (target === undefined) {
    return { kind: 'refused', text: '→ refused at RCPT with 5.1.1: its token is none of this gateway' };
  }
  const { queueId } = target;
  const text = `→ return: envelope sender of ${queueId}; a failure report is told to the organizer, anything else goes on to whom ${queueId} came from`;
  return { kind: 'return', queueId, text };
}

type JudgedMember = { readonly recipient: string } & Pick<Judged, 'decision'>;

/** What becomes of the posts for the members of a list, once its own has been expanded. */
async function judgeMembers(
  { post }: Decision,
  list: string,
  ask: (post: PostFacts) => Promise<Judged>,
): Promise<JudgedMember[]> {
  if (post.kind !== 'expand') return [];
  return Promise.all(
    post.members.slice(0, MAX_MEMBERS).map(async ({ address: recipient }) => {
      const { decision } = await ask({ recipient, list });
      return { recipient, decision };
    }),
  );
}

function printMembers({ post }: Decision, members: readonly JudgedMember[]): void {
  if (post.kind !== 'expand') return;
  for (const { recipient, decision } of members) print(`    ${recipient} → ${decision.rule}: ${postText(decision)}`);
  const more = post.members.length - members.length;
  if (more > 0) print(`    and ${more} more; imipd directory lookup --members names them`);
}

/** The request of the first attempt, as far as it depends on this recipient alone. */
function requestOf(config: Config, examination: Examination, { post }: Decision): string[] | undefined {
  if (post.kind !== 'post' || examination.kind === 'none') return undefined;
  const batch = composePost(config.hostname, 'QUEUE-ID', examination.object, post, [post.recipient], 0);
  const { ischedule, http } = config;
  const settings =
    post.server.discovered === undefined ? settingsFor(post.server.url, ischedule) : discoveredSettings(ischedule);
  const signature = signatureFor(batch, settings, signerOf(signingKeysOf(ischedule), http.service));
  return requestLines(batch, ischedule.userAgent, signature);
}

function messageText(shown: MessageOutline | undefined, list: string | undefined): string {
  if (shown === undefined) {
    const invited = list === undefined ? '' : ` to ${list}`;
    return `with a typical invitation from outside${invited}; --message FILE takes a real one`;
  }
  const parts = shown.parts.map((part) => part.contentType).join(', ');
  return `message: from ${shown.from || 'nobody'}, "${shown.subject}", parts ${parts}`;
}

function directoryLines(lookup: Lookup | undefined, ours: boolean): string[] {
  if (lookup !== undefined) return lookupLines(lookup);
  return [`directory: not asked, ${ours ? 'there is nothing to schedule' : 'the address is of no domain of ours'}`];
}

function listenerOf(config: Config, name: string | undefined): ListenerConfig {
  const listener = name === undefined ? config.listeners[0] : config.listeners.find((one) => one.name === name);
  if (listener !== undefined) return listener;
  const wanted = `want one of ${config.listeners.map((one) => one.name).join(', ')}`;
  const posts = name === 'service' ? '; `imipd queue show ID` explains what was posted to the service' : '';
  throw new CommandError(EX.USAGE, `got listener ${name ?? 'none'}, ${wanted}${posts}`);
}

function printRepairs(examination: Examination): void {
  if (examination.kind === 'none') return;
  for (const repair of examination.object.repairs)
    print(`  repair: ${repair.name}, line ${repair.line}: ${repair.detail}`);
}

function summary(examination: Examination): unknown {
  if (examination.kind === 'none') return examination;
  const { content: _, ...object } = examination.object;
  return { kind: 'object', object };
}

function typicalInvitation(recipient: string): Buffer {
  const lines = [
    'From: <organizer@outside.invalid>',
    `To: <${recipient}>`,
    'Subject: Invitation',
    'Message-ID: <explain@outside.invalid>',
    'MIME-Version: 1.0',
    'Content-Type: text/calendar; charset=utf-8; method=REQUEST',
    '',
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//imipd//explain//EN',
    'METHOD:REQUEST',
    'BEGIN:VEVENT',
    'UID:explain@outside.invalid',
    'DTSTAMP:20300101T000000Z',
    'DTSTART:20300102T090000Z',
    'DTEND:20300102T100000Z',
    'SUMMARY:Invitation',
    'SEQUENCE:0',
    'ORGANIZER:mailto:organizer@outside.invalid',
    `ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:${calendarAddress(recipient)}`,
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ];
  return Buffer.from(lines.join('\r\n'));
}
