import type { DsnRecipient } from './dsn.ts';

/** Subject of a report. */
export function headline(recipients: readonly DsnRecipient[]): string {
  const actions = new Set(recipients.map((recipient) => recipient.action));
  if (actions.size > 1) return 'What became of your message';
  if (actions.has('failed')) {
    return recipients.every((recipient) => recipient.kind === 'post')
      ? 'Your invitation could not be entered'
      : 'Your message could not be delivered';
  }
  if (actions.has('delayed')) return 'Your message is delayed';
  if (actions.has('relayed')) return 'Your message was passed on';
  return 'Your message was delivered';
}

/** What was found for one recipient and what its sender can do, as lines without line ends. */
export function explainRecipient(recipient: DsnRecipient): string[] {
  const lines = [`<${printable(recipient.address)}>`, ...wrapped(found(recipient))];
  if (recipient.diagnostic !== undefined && recipient.action !== 'delivered') {
    lines.push(...wrapped(`It answered: ${printable(recipient.diagnostic.replace(/^[a-z0-9-]+; */i, ''))}`));
  }
  const advice = whatToDo(recipient);
  return advice === undefined ? lines : [...lines, ...wrapped(advice)];
}

function found(recipient: DsnRecipient): string {
  switch (recipient.action) {
    case 'failed':
      return `${recipient.kind === 'post' ? calendarFailure(recipient) : mailFailure(recipient)} ${sentence(recipient.reason)}`;
    case 'delayed':
      return `Not delivered yet: ${sentence(recipient.reason)} We go on trying; you need do nothing.`;
    case 'relayed':
      return 'Passed on to the next mail server. That server does not report deliveries, so you will hear of it again only if it fails.';
    case 'delivered':
      if (recipient.kind === 'mail') return 'Delivered.';
      return recipient.remoteMta === undefined
        ? `Accepted; nothing had to be entered in the calendar. ${sentence(recipient.reason)}`
        : 'Entered in the calendar of this address.';
    case 'expanded':
      return 'Passed on to the members of this list.';
  }
}

function calendarFailure(recipient: DsnRecipient): string {
  if (recipient.status === EXPIRED)
    return 'The calendar of this address could not be reached in time, and nothing was entered.';
  return 'The calendar of this address refused the message, and nothing was entered.';
}

function mailFailure(recipient: DsnRecipient): string {
  return recipient.status === EXPIRED ? 'Could not be delivered in time; we have given up.' : 'Could not be delivered.';
}

const EXPIRED = '4.4.7';

// The first entry whose beginning fits; RFC 3463 §3.
const ADVICE: readonly (readonly [status: string, advice: string])[] = [
  ['5.1.7', 'What to do: check the sender address that your mail program uses.'],
  ['5.1.8', 'What to do: check the sender address that your mail program uses.'],
  ['5.1.', 'What to do: check the spelling of the address, then send again.'],
  ['5.2.2', 'What to do: the mailbox is full; try again later, or reach its owner another way.'],
  ['5.2.3', 'What to do: send it again smaller, for instance without attachments.'],
  ['5.3.4', 'What to do: send it again smaller, for instance without attachments.'],
  ['5.2.', 'What to do: the address is not in use at the moment; reach its owner another way.'],
  ['5.4.6', 'What to do: tell the postmaster named below; mail for this address runs in a circle.'],
  [
    '5.6.7',
    'What to do: a mail server on the way cannot carry internationalized addresses; ask for an address in plain letters.',
  ],
  [
    '5.6.3',
    'What to do: a mail server on the way carries 7-bit mail only; send it again without accented letters or binary parts.',
  ],
  ['5.6.', 'What to do: make the invitation anew in your calendar program and send that.'],
  ['5.7.', 'What to do: the receiving side does not permit it; ask the recipient, or the postmaster named below.'],
  [EXPIRED, 'What to do: send it again later, or reach the recipient another way.'],
];

function whatToDo(recipient: DsnRecipient): string | undefined {
  if (recipient.action !== 'failed') return undefined;
  const entry = ADVICE.find(([status]) => recipient.status.startsWith(status));
  return entry?.[1] ?? 'What to do: send it again; if it fails again, ask the postmaster named below.';
}

/** With a capital and a full stop. */
function sentence(text: string): string {
  const clean = printable(text).trim();
  if (clean === '') return '';
  return `${clean.charAt(0).toUpperCase()}${clean.slice(1)}${/[.!?]$/.test(clean) ? '' : '.'}`;
}

function printable(text: string): string {
  let clean = '';
  for (const char of text) {
    const code = char.charCodeAt(0);
    clean += code < 0x20 || code === 0x7f ? ' ' : char;
  }
  return clean;
}

/** Indented by four, broken at spaces within 76 characters. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/ +/)) {
    if (word === '') continue;
    if (line !== '' && line.length + 1 + word.length > 72) {
      lines.push(`    ${line}`);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return line === '' ? lines : [...lines, `    ${line}`];
}
