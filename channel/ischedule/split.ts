import type { Outcome } from '../../src/mail/outcome.ts';
import type { PermanentStatus } from '../../src/mail/status.ts';
import type { PostBatch } from '../channel.ts';
import type { Capabilities } from './capabilities.ts';
import { recipientAddresses } from './profiles.ts';

/** How many of the recipients go into the next post, or why the server would take none. */
export type Share =
  | { readonly kind: 'part'; readonly count: number }
  | { readonly kind: 'refused'; readonly outcome: Outcome };

/** Apache takes 100 header fields of 8 KiB; a Recipient each, or all in one, and our own must fit. */
const MAX_RECIPIENTS = 64;
const MAX_RECIPIENT_OCTETS = 6000;
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * The next part of a batch by what the server announced. An announcement forbids only what it clearly forbids: for the
 * rest the server is asked, by the post itself.
 * @param from recipients before this one are done
 * @param learned most recipients of a post, as far as refusals have taught it
 */
export function nextShare(
  batch: PostBatch,
  from: number,
  capabilities: Capabilities | undefined,
  learned = MAX_RECIPIENTS,
): Share {
  const reason = capabilities === undefined ? undefined : refusal(batch, capabilities);
  if (reason !== undefined) return { kind: 'refused', outcome: { kind: 'failed', answered: false, ...reason } };
  const most = Math.min(MAX_RECIPIENTS, learned, capabilities?.maxRecipients ?? MAX_RECIPIENTS);
  const rest = recipientAddresses(batch.profile, batch.recipients.slice(from, from + most));
  let octets = 0;
  const full = rest.findIndex((address) => {
    octets += address.length + 2;
    return octets > MAX_RECIPIENT_OCTETS;
  });
  return { kind: 'part', count: full === -1 ? rest.length : Math.max(full, 1) };
}

/**
 * The iSchedule-Message-ID of a part. It stays the same while the same recipients are posted to, and differs for others,
 * also where the server's limits, and with them the parts, change between two attempts.
 */
export function partMessageId({ messageId, recipients }: PostBatch, from: number, count: number): string {
  const usual = from % MAX_RECIPIENTS === 0 && count === Math.min(MAX_RECIPIENTS, recipients.length - from);
  if (!usual) return `${messageId}.${from}-${count}`;
  return from === 0 ? messageId : `${messageId}.${from / MAX_RECIPIENTS}`;
}

type Refusal = { readonly status: PermanentStatus; readonly reason: string };

function refusal(batch: PostBatch, capabilities: Capabilities): Refusal | undefined {
  const { messages, maxContentLength, attachments, minDateTime, maxDateTime } = capabilities;
  const method = batch.method.toUpperCase();
  const component = batch.component.toUpperCase();
  if (messages !== undefined) {
    const methods = messages.get(component);
    if (methods === undefined || (methods.size > 0 && !methods.has(method))) {
      return { status: '5.6.0', reason: `the calendar server does not announce ${method} of ${component}` };
    }
  }
  if (maxContentLength !== undefined && batch.content.length > maxContentLength) {
    return { status: '5.3.4', reason: 'the calendar object is larger than the calendar server announces to take' };
  }
  // What it says of external ones is not heeded: Cyrus announces inline ones only, and takes both.
  const checksInline = attachments?.inline === false && attachments.external;
  if (!checksInline && minDateTime === undefined && maxDateTime === undefined) return undefined;
  const facts = factsOf(batch.content);
  if (checksInline && facts.inline) {
    return { status: '5.6.1', reason: 'the calendar server announces to take no inline attachment' };
  }
  const early = minDateTime !== undefined && facts.latestMin < minDateTime;
  const late = maxDateTime !== undefined && facts.earliestMax > maxDateTime;
  if (!early && !late) return undefined;
  const limit = early ? 'earlier' : 'later';
  return {
    status: '5.6.0',
    reason: `a date of the calendar object is ${limit} than the calendar server announces to take`,
  };
}

/** Of the dates in an object, as sure as they are without their time zones; ms since the epoch. */
type ObjectFacts = {
  readonly inline: boolean;
  /** The earliest date is at this moment or before. */
  readonly latestMin: number;
  /** The latest date is at this moment or after. */
  readonly earliestMax: number;
};

/** Parts of one batch share their bytes. */
const known = new WeakMap<Buffer, ObjectFacts>();

const LINES =
  /^(?:(BEGIN|END):(VTIMEZONE)[ \t]*$|ATTACH(;[^:\r\n]*)|(?:DTSTART|DTEND|DUE|RECURRENCE-ID)[;:].*?(\d{8})(?:T(\d{6})(Z)?)?[ \t]*\r?$)/gim;

function factsOf(content: Buffer): ObjectFacts {
  const before = known.get(content);
  if (before !== undefined) return before;
  let [inline, zones, latestMin, earliestMax] = [false, 0, Infinity, -Infinity];
  for (const [, edge, zone, parameters, date, time, utc] of content
    .toString('latin1')
    .replace(/\r?\n[ \t]/g, '')
    .replace(/\r\n/g, '\n')
    .matchAll(LINES)) {
    if (zone !== undefined) zones += edge?.toUpperCase() === 'BEGIN' ? 1 : -1;
    else if (parameters !== undefined) inline ||= /;ENCODING="?BASE64/i.test(parameters);
    else if (date !== undefined && zones === 0) {
      const at = moment(date, time ?? '000000');
      // Without its zone a local time may be half a day off in either direction, a date a whole one.
      const doubt = utc === undefined ? DAY_MS : 0;
      latestMin = Math.min(latestMin, at + doubt);
      earliestMax = Math.max(earliestMax, at - doubt);
    }
  }
  const facts = { inline, latestMin, earliestMax };
  known.set(content, facts);
  return facts;
}

function moment(date: string, time: string): number {
  const part = (text: string, from: number, length: number): number => Number(text.slice(from, from + length));
  return Date.UTC(
    part(date, 0, 4),
    part(date, 4, 2) - 1,
    part(date, 6, 2),
    part(time, 0, 2),
    part(time, 2, 2),
    part(time, 4, 2),
  );
}
