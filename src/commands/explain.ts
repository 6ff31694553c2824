import { decide, userOf } from '../../rules/decide.ts';
import type { Config, ListenerConfig } from '../config/options.ts';
import { examineLimits, policyOf } from '../config/policy.ts';
import type { Lookup } from '../directory/directory.ts';
import { openDirectory } from '../gateway.ts';
import { examine } from '../itip/extract.ts';
import type { Examination } from '../itip/message.ts';
import { readMessage } from '../itip/person.ts';
import { calendarAddress, canonicalAddress, domainOf, parseAddress } from '../mail/address.ts';
import type { Decision } from '../mail/disposition.ts';
import { silentLog } from '../observe/log.ts';
import { CommandError, EX } from './exit.ts';
import { readMail } from './inject.ts';
import { print, printJson } from './output.ts';
import { withStore } from './queue.ts';
import { hasQueue } from './state.ts';
import { withCrlf } from './submit.ts';

export type ExplainOptions = { readonly message?: string; readonly listener?: string; readonly json?: boolean };

/** What would happen to a message for this address, and why: the production rules on the real directory and ledger. */
export async function explain(config: Config, address: string, options: ExplainOptions): Promise<void> {
  if (parseAddress(address) === undefined)
    throw new CommandError(EX.USAGE, `got ${address}, want an address such as bob@example.com`);
  const recipient = canonicalAddress(address);
  const listener = listenerOf(config, options.listener);
  const content = options.message === undefined ? typicalInvitation(recipient) : withCrlf(readMail(options.message));
  const examination = await examine(content, examineLimits([listener]));
  const policy = policyOf(config);
  await using directory = await openDirectory(config, silentLog);
  const lookup = policy.domains.has(domainOf(recipient))
    ? await directory.lookup(recipient, AbortSignal.timeout(60_000))
    : undefined;
  const user = userOf(recipient, lookup, policy);
  const ledger =
    user === undefined || examination.kind === 'none' || !hasQueue(config)
      ? []
      : await withStore(config, (store) => store.ledger(user, examination.object.uid));
  const decision = decide(
    {
      mode: listener.mode,
      origin: listener.origin,
      recipient,
      examination,
      ledger,
      ...(lookup === undefined ? {} : { lookup }),
    },
    policy,
  );
  const shown = options.message === undefined ? undefined : await readMessage(content);
  if (options.json === true) {
    printJson({
      recipient,
      listener: listener.name,
      message: shown,
      examination: summary(examination),
      lookup,
      decision,
    });
    return;
  }
  print(`${recipient}, mail on listener ${listener.name} (${listener.mode}, ${listener.origin})`);
  if (shown === undefined) print('  with a typical invitation from outside; --message FILE takes a real one');
  else
    print(
      `  message: from ${shown.from || 'nobody'}, "${shown.subject}", parts ${shown.parts.map((part) => part.contentType).join(', ')}`,
    );
  printDirectory(lookup);
  printExamination(examination);
  for (const step of decision.steps) print(`  ${step.question} ${step.answer}`);
  print(`  → ${decision.rule}: ${consequence(decision, listener)}`);
}

function listenerOf(config: Config, name: string | undefined): ListenerConfig {
  const listener = name === undefined ? config.listeners[0] : config.listeners.find((one) => one.name === name);
  if (listener !== undefined) return listener;
  throw new CommandError(
    EX.USAGE,
    `got listener ${name ?? 'none'}, want one of ${config.listeners.map((one) => one.name).join(', ')}`,
  );
}

function printDirectory(lookup: Lookup | undefined): void {
  if (lookup === undefined) {
    print('  directory: not asked, the address is of no domain of ours');
    return;
  }
  if (lookup.kind === 'no-answer') {
    print(`  directory: no answer: ${lookup.reason}`);
    return;
  }
  if (lookup.kind === 'unknown') {
    print(`  directory: ${lookup.server} knows no such address`);
    return;
  }
  for (const entry of lookup.entries) {
    print(`  directory: ${lookup.server} has ${entry.dn}, by ${entry.matchedBy}`);
    print(
      `    mail ${entry.mail}; marker ${entry.marker ?? 'none'}; ${entry.calendar ? 'a calendar' : 'no calendar'}${entry.status.map((one) => `; ${one.attribute} ${one.value}`).join('')}`,
    );
  }
}

function printExamination(examination: Examination): void {
  if (examination.kind === 'none') return;
  for (const repair of examination.object.repairs)
    print(`  repair: ${repair.name}, line ${repair.line}: ${repair.detail}`);
}

function summary(examination: Examination): unknown {
  if (examination.kind === 'none') return examination;
  const { content: _, ...object } = examination.object;
  return { kind: 'object', object };
}

function consequence(decision: Decision, listener: ListenerConfig): string {
  const mail = listener.mode === 'filter' ? `; the mail is passed on${decision.annotate ? ', annotated' : ''}` : '';
  const { post } = decision;
  switch (post.kind) {
    case 'post':
      return `posted to ${post.server.url} (profile ${post.server.profile}) for ${post.recipient}${post.rewrite === undefined ? '' : `, written for ${post.rewrite}`}${mail}`;
    case 'hold':
      return `held (${post.reason}) until released${mail}`;
    case 'defer':
      return `tried again later, ${post.status} ${post.reason}${mail}`;
    case 'reject':
      return `refused with ${post.status} ${post.reason}`;
    case 'none':
      return `no post: ${post.reason}${mail}`;
  }
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
