import { isDeepStrictEqual } from 'node:util';
import { parseRequestStatus } from '../../rules/request-status.ts';
import type { BusyReading } from '../../src/freebusy/busy.ts';
import { type BusyAsked, readingOf } from '../../src/freebusy/reading.ts';
import { addressKey, mailboxOf } from '../../src/mail/address.ts';
import { childrenNamed, type Element, readDocument, textOf } from '../../src/xml/document.ts';

export type CalDavAnswer = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

export type CalDavQuestion = Required<Omit<BusyAsked, 'attendee'>> & { readonly attendees: readonly string[] };

export type CalDavReadings =
  /** One for each attendee, in order. */
  | { readonly kind: 'readings'; readonly readings: readonly BusyReading[] }
  /** Nothing about anybody; `isOurs`: the URL or the account is at fault, and asking again will not help. */
  | { readonly kind: 'refused'; readonly reason: string; readonly isOurs: boolean };

/** Reads the answer to a POST to a scheduling outbox: a CALDAV:schedule-response, or a DAV:error (RFC 6638 §5, §10). */
export function readAnswer(answer: CalDavAnswer, question: CalDavQuestion): CalDavReadings {
  const { status, body } = answer;
  const type = answer.headers['content-type'] ?? '';
  if (status !== 200) return refusal(status, preconditionOf(body, type), question);
  // With HTML it is a login page, a proxy's error, or the user interface of the server.
  if (/^\s*text\/html\b/i.test(type)) return ours(`found a web page, ${WANTED}`);
  const document = readDocument(body, type);
  if (document.kind === 'unreadable') return theirs(document.reason);
  const { root } = document;
  if (root.name !== 'schedule-response') return ours(`found ${root.name.slice(0, 40)} in the answer, ${WANTED}`);
  const responses = Map.groupBy(childrenNamed(root, 'response'), (response) =>
    keyOf(textOf(childrenNamed(response, 'recipient')[0]).trim()),
  );
  const readings = question.attendees.map((attendee) =>
    readResponses(responses.get(addressKey(attendee)), attendee, question),
  );
  return { kind: 'readings', readings };
}

/** Servers answer with or without `mailto:`, percent-encoded or not. */
function keyOf(recipient: string): string {
  return addressKey(mailboxOf(recipient) ?? mailboxOf(`mailto:${recipient}`) ?? recipient);
}

/** Of two answers that differ, whichever counted, one would hide what the other says. */
function readResponses(responses: readonly Element[] = [], attendee: string, question: CalDavQuestion): BusyReading {
  const [reading, ...others] = responses.map((response) => readResponse(response, attendee, question));
  if (reading === undefined) return { kind: 'unusable', reason: 'the calendar server did not answer for him' };
  return others.every((other) => isDeepStrictEqual(other, reading))
    ? reading
    : { kind: 'unusable', reason: 'the calendar server gave two answers for him' };
}

function readResponse(response: Element, attendee: string, question: CalDavQuestion): BusyReading {
  const requestStatus = textOf(childrenNamed(response, 'request-status')[0]).trim();
  const status = parseRequestStatus(requestStatus);
  const data = textOf(childrenNamed(response, 'calendar-data')[0]);
  const said = `the calendar server said ${printable(requestStatus) || 'nothing'}`;
  const [major, minor] = status?.code.split('.') ?? [];
  const code = `${major}.${minor}`;
  if (code === '3.7' || code === '5.3') return { kind: 'unknown', reason: said };
  if (code === '3.8') return { kind: 'refused', reason: said };
  if (major !== '2') return { kind: 'unusable', reason: said };
  if (data.trim() === '') return { kind: 'unusable', reason: `${said}, and no times` };
  const { window, uid, organizer } = question;
  return readingOf(Buffer.from(data, 'utf8'), 'utf-8', { window, uid, organizer, attendee });
}

const WANTED = 'wanted the schedule-response of an outbox: name the schedule-outbox-URL of the service account';

const ACCOUNT_AS_ORGANIZER = 'name the address of the service account, which has to be the ORGANIZER of its questions';

/** What an operator can do about preconditions that a server names (RFC 6638 §10.1, RFC 3744 §7.1.1). */
const ADVICE: Readonly<Record<string, string>> = {
  'need-privileges': 'give the service account the privilege schedule-send-freebusy on its outbox',
  'organizer-allowed': ACCOUNT_AS_ORGANIZER,
  // Cyrus' word for it.
  'valid-organizer': ACCOUNT_AS_ORGANIZER,
};

function refusal(status: number, precondition: string, { organizer }: CalDavQuestion): CalDavReadings {
  const found = `found ${status}${precondition === '' ? '' : ` ${precondition}`}`;
  const advice = ADVICE[precondition];
  if (advice !== undefined) return ours(`${found} for ${organizer}: ${advice}`);
  if (status === 401) return ours(`${found}, wanted credentials of the service account that the server takes`);
  if (status === 408 || status === 429 || status >= 500)
    return theirs(`${found}, the calendar server has no answer at the moment`);
  if (status === 403 || precondition !== '') return ours(`${found}, the server refused the question of ${organizer}`);
  return ours(`${found}, ${WANTED}`);
}

/** Name of what a DAV:error names first (RFC 4918 §16); '' where there is none. */
function preconditionOf(body: Buffer, contentType: string): string {
  const document = readDocument(body, contentType);
  if (document.kind === 'unreadable' || document.root.name !== 'error') return '';
  const named = document.root.children.find(({ name }) => name !== '' && name !== 'responsedescription');
  return printable(named?.name ?? '').slice(0, 60);
}

function ours(reason: string): CalDavReadings {
  return { kind: 'refused', reason, isOurs: true };
}

function theirs(reason: string): CalDavReadings {
  return { kind: 'refused', reason, isOurs: false };
}

/** A server's words for a reason: one line of printable ASCII, bounded. */
function printable(text: string): string {
  return text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 120);
}
