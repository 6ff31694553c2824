import { judgeRequestStatus, parseRequestStatus } from '../../rules/request-status.ts';
import { judgeErrno } from '../../rules/wcap-errno.ts';
import type { BusyReading } from '../../src/freebusy/busy.ts';
import { type BusyDocument, type BusyDocuments, readBusy } from '../../src/freebusy/read.ts';
import { type BusyAsked, judgeDocuments } from '../../src/freebusy/reading.ts';
import { addressKey, mailboxOf } from '../../src/mail/address.ts';
import type { Received } from './client.ts';
import type { BareAnswer } from './wire.ts';

/** One attendee of a question, which the answer is held to. */
type Asked = Required<BusyAsked>;

/** What the server said of one attendee in its `schedule-response`, or why it said nothing of him. */
export function readReceived({ outcome, response, isTold }: Received, asked: Asked): BusyReading {
  const { requestStatus, reason } = outcome;
  // Whichever counted, what the other says may be hidden by it.
  if (response?.isDisputed === true) return unusable('the calendar server gave two answers for the attendee');
  if (requestStatus === undefined) {
    // What fails for good is wrong with this question, as a window beyond the server's limits is.
    const isOfThis = isTold === true || outcome.kind === 'failed';
    return isOfThis ? unusable(reason) : { kind: 'unavailable', reason };
  }
  const refused = statusReading(requestStatus, reason);
  if (refused !== undefined) return refused;
  const { calendarData = '' } = response ?? {};
  if (calendarData.trim() === '') return unusable(WITHOUT);
  const read = readBusy(Buffer.from(calendarData), 'utf-8');
  return read.kind === 'documents' ? readDocuments(read.documents, asked) : unreadable(read);
}

/** Reads answers that are iCalendar: one document for each attendee, found by whom it names, and each answer only once. */
export class BareReader {
  readonly #read = new Map<BareAnswer, BusyDocuments>();

  readingOf({ answer, isOnly }: NonNullable<Received['bare']>, asked: Asked): BusyReading {
    const read = this.#read.get(answer) ?? readBusy(answer.content, answer.charset);
    this.#read.set(answer, read);
    if (read.kind !== 'documents') return unreadable(read);
    const { documents } = read;
    // One that names nobody is about him.
    if (isOnly) return readDocuments(documents, asked);
    const key = addressKey(asked.attendee);
    const his = documents.filter((document) => namesOf(document).every((name) => addressKey(name) === key));
    return his.length === 0
      ? unusable('the calendar server did not answer for the attendee')
      : readDocuments(his, asked);
  }
}

/** v6 names nobody as ATTENDEE, but the calendar itself. */
function namesOf({ attendees, email, calid }: BusyDocument): readonly string[] {
  if (attendees.length > 0) return attendees;
  const name = email ?? calid ?? '';
  return [mailboxOf(name) ?? name];
}

const WITHOUT = 'the calendar server answered without busy times';

function readDocuments(documents: readonly BusyDocument[], asked: Asked): BusyReading {
  for (const { errno, requestStatus, window, periods } of documents) {
    if (errno !== undefined && errno !== 0) return errnoReading(errno);
    // A calendar with an errno may stand there without any VFREEBUSY.
    if (errno === 0 && window === undefined && periods.length === 0) return unusable(WITHOUT);
    const code = parseRequestStatus(requestStatus ?? '')?.code;
    const refused = code === undefined ? undefined : statusReading(code, judgeRequestStatus(code)?.reason);
    if (refused !== undefined) return refused;
  }
  return judgeDocuments(
    documents.map(({ errno: _, ...document }) => document),
    asked,
  );
}

/** @returns undefined for success, after which there must be busy times */
function statusReading(code: string, reason = `the calendar server answered ${code}`): BusyReading | undefined {
  if (code.startsWith('2.')) return undefined;
  switch (code.split('.', 2).join('.')) {
    case '3.7':
    // Known there and without calendar: during a move his times may be at the other system.
    case '5.3':
      return { kind: 'unknown', reason };
    case '3.8':
    case '4.2':
      return { kind: 'refused', reason };
    default:
      return unusable(code.startsWith('1.') ? WITHOUT : reason);
  }
}

/** Of v6, in case its answer by iSchedule is the one it gives by WCAP. */
function errnoReading(errno: number): BusyReading {
  const reason = `the calendar server answered with error ${errno}`;
  switch (judgeErrno(errno)) {
    case 'unknown':
      return { kind: 'unknown', reason };
    case 'refused':
      return { kind: 'refused', reason };
    case 'gone':
      return { kind: 'unavailable', reason };
    default:
      return unusable(reason);
  }
}

function unreadable(read: Exclude<BusyDocuments, { kind: 'documents' }>): BusyReading {
  return unusable(read.kind === 'empty' ? WITHOUT : `the busy times cannot be read: ${read.reason}`);
}

function unusable(reason: string): BusyReading {
  return { kind: 'unusable', reason };
}
