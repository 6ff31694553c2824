import { addressKey } from '../mail/address.ts';
import type { BusyReading, Window } from './busy.ts';
import { type BusyDocument, readBusy } from './read.ts';
import { joinWindows } from './windows.ts';

/** What was asked, as far as an answer can be held to it. */
export type BusyAsked = {
  readonly window: Window;
  /** UID of the question. */
  readonly uid?: string;
  /** Mailboxes: whose times were asked for, and by whom. */
  readonly attendee?: string;
  readonly organizer?: string;
};

/**
 * What a document with VFREEBUSY says of one who was asked about. Whatever would make busy time look free is
 * `unusable`: an answer to another question, about another, for less than was asked, or without any VFREEBUSY.
 * What a document does not say (UID, ATTENDEE, DTSTART and DTEND) is not held against it.
 */
export function readingOf(bytes: Buffer, charset: string | undefined, asked: BusyAsked): BusyReading {
  const read = readBusy(bytes, charset);
  if (read.kind === 'empty') return unusable('found nothing, wanted a VFREEBUSY');
  if (read.kind === 'unreadable') return unusable(read.reason);
  return judgeDocuments(read.documents, asked);
}

/** The same of documents that are read already, each with a VFREEBUSY, and all of one user. */
export function judgeDocuments(documents: readonly BusyDocument[], asked: BusyAsked): BusyReading {
  for (const { uid, attendees, errno, requestStatus } of documents) {
    // Such a calendar may have no VFREEBUSY at all, and would read as free.
    if (errno !== undefined) return unusable(`found an answer of WCAP (errno ${errno}), wanted a VFREEBUSY`);
    if (requestStatus !== undefined && !/^\s*2\./.test(requestStatus))
      return unusable('found a REQUEST-STATUS that is no success in the answer');
    if (uid !== undefined && asked.uid !== undefined && uid !== asked.uid)
      return unusable('found the answer to another question, its UID is another');
    if (isOfAnother(attendees, asked)) return unusable('found the times of another than was asked about');
  }
  const windows = documents.flatMap(({ window }) => (window === undefined ? [] : [window]));
  if (windows.length === documents.length && !covers(windows, asked.window))
    return unusable(`found times ${windows.map(spell).join(' and ')}, wanted them ${spell(asked.window)}`);
  return { kind: 'periods', periods: documents.flatMap(({ periods }) => periods) };
}

/** A document without ATTENDEE is named by its ORGANIZER, who in an answer is the asker. Only mailboxes can be compared. */
function isOfAnother(found: readonly string[], { attendee, organizer }: BusyAsked): boolean {
  if (attendee === undefined || found.length === 0 || found.some((one) => !one.includes('@'))) return false;
  const asked = new Set([attendee, organizer ?? attendee].map(addressKey));
  return !found.some((one) => asked.has(addressKey(one)));
}

/** Whether the windows, one after the other, leave nothing of the wanted one out; to the second, as they are written. */
export function covers(windows: readonly Window[], wanted: Window): boolean {
  const wantedEnd = Math.floor(wanted.endMs / 1000);
  return joinWindows(windows).some(
    ({ startMs, endMs }) => startMs <= wanted.startMs && wantedEnd <= Math.floor(endMs / 1000),
  );
}

function spell({ startMs, endMs }: Window): string {
  return `from ${time(startMs)} to ${time(endMs)}`;
}

function time(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16)}Z`;
}

function unusable(reason: string): BusyReading {
  return { kind: 'unusable', reason };
}
