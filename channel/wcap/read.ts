import type { BusyReading, Window } from '../../src/freebusy/busy.ts';
import { type BusyDocument, type BusyDocuments, readBusy } from '../../src/freebusy/read.ts';
import { isHtml, readBusyXml } from './read-xml.ts';

/** What is read of an HTTP answer to a WCAP command. */
export type WcapBody = { readonly body: Buffer /** '' when absent. */; readonly contentType: string };

export type WcapReading =
  | { readonly kind: 'reading'; readonly reading: BusyReading }
  /** The session is not, or no more, valid: log in and ask again. */
  | { readonly kind: 'no-session' };

/**
 * What an answer to `get_freebusy.wcap` with status 200 says of the one user who was asked about. It has a calendar for
 * each of his; all of them count, those that are closed to us left out.
 */
export function readWcapAnswer(answer: WcapBody, window: Window): WcapReading {
  // Of a front end in maintenance, or one that wants a login: of nobody in particular.
  if (isMarkup(answer.body) && isHtml(answer.body))
    return unavailable('the answer is no busy times: found an HTML page');
  const read = readDocuments(answer);
  if (read.kind === 'empty') return unknown('the calendar server answered with nothing, as it does for unknown users');
  if (read.kind === 'unreadable') return unusable(`the answer is no busy times: ${read.reason}`);
  return judge(read.documents, window);
}

/** By what it is, whatever Content-Type says. */
function readDocuments({ body, contentType }: WcapBody): BusyDocuments {
  if (isMarkup(body)) return readBusyXml(body, contentType);
  return readBusy(body, /;\s*charset\s*=\s*"?([\w.:-]+)/i.exec(contentType)?.[1]);
}

function isMarkup(body: Buffer): boolean {
  return /^(?:\xef\xbb\xbf)?\s*</.test(body.toString('latin1', 0, 200));
}

function judge(documents: readonly BusyDocument[], window: Window): WcapReading {
  const of = (kind: Verdict) => documents.find(({ errno = 0 }) => verdictOf(errno) === kind)?.errno ?? 0;
  const has = (kind: Verdict) => documents.some(({ errno = 0 }) => verdictOf(errno) === kind);
  if (has('no-session')) return { kind: 'no-session' };
  if (has('gone')) return unavailable(`the calendar server failed: ${wordsOf(of('gone'))}`);
  if (has('broken')) return unusable(`the calendar server failed: ${wordsOf(of('broken'))}`);
  const answered = documents.filter(({ errno = 0 }) => verdictOf(errno) === 'taken');
  const partial = answered.find((document) => document.window !== undefined && !covers(document.window, window));
  if (partial !== undefined) return unusable('the calendar server answered for less time than was asked for');
  // A calendar with errno 0 and nothing else says of no time that it is free.
  if (answered.some(({ window, periods }) => window === undefined && periods.length === 0))
    return unusable('the calendar server answered without busy times');
  if (answered.length > 0) {
    return { kind: 'reading', reading: { kind: 'periods', periods: answered.flatMap(({ periods }) => periods) } };
  }
  if (has('refused')) {
    const reason = `the calendar server does not say: ${wordsOf(of('refused'))}`;
    return { kind: 'reading', reading: { kind: 'refused', reason } };
  }
  return has('unknown')
    ? unknown(`the calendar server knows no such user: ${wordsOf(of('unknown'))}`)
    : unusable('the answer has no calendar');
}

/** `gone`: what it needs for its answers, whomever they are about, its back ends or its directory. */
type Verdict = 'taken' | 'no-session' | 'unknown' | 'refused' | 'gone' | 'broken';

function verdictOf(errno: number): Verdict {
  switch (errno) {
    case 0:
      return 'taken';
    case 1:
      return 'no-session';
    case 29:
    case 50:
    case 53:
      return 'unknown';
    case 28:
    case 75:
    case 76:
      return 'refused';
    case 48:
    case 49:
    case 51:
    case 69:
      return 'gone';
    default:
      return errno >= 11_000 ? 'gone' : 'broken';
  }
}

/** Those that an administrator may meet in answers to these questions. */
const ERRNO_WORDS: Readonly<Record<number, string>> = {
  1: 'the session is not valid',
  18: 'it knows no such time zone',
  28: 'access to the calendar is denied',
  29: 'the calendar does not exist',
  30: 'it takes this for no calendar id',
  34: 'the calendar is disabled',
  37: 'it cannot write text/calendar',
  38: 'it found no calendar id in the question',
  39: 'it could not get the busy times',
  46: 'it wants more parameters',
  48: 'it cannot connect to the calendar database on another host',
  49: 'it has no more connections to the calendar database on another host',
  50: 'it cannot find on which host the calendar is',
  51: 'it got bad data from the calendar database on another host',
  52: 'it takes this for no command',
  53: 'not found',
  58: 'it cannot write text/calendar',
  60: 'it does not take the parameters',
  69: 'its directory does not answer',
  75: 'it wants a login: set user and password of this server',
  76: 'access is denied',
  78: 'its database is read-only',
  11000: 'it has no more connections to a back end',
  11001: 'it cannot connect to a back end',
  11002: 'it cannot find a back end',
};

/** An X-NSCP-WCAP-ERRNO with its meaning, for a log line. */
export function wordsOf(errno: number): string {
  const words = ERRNO_WORDS[errno];
  return words === undefined ? `errno ${errno}` : `${words} (errno ${errno})`;
}

function covers(found: Window, wanted: Window): boolean {
  return floorSecond(found.startMs) <= floorSecond(wanted.startMs) && found.endMs >= floorSecond(wanted.endMs);
}

function floorSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

function unknown(reason: string): WcapReading {
  return { kind: 'reading', reading: { kind: 'unknown', reason } };
}

function unavailable(reason: string): WcapReading {
  return { kind: 'reading', reading: { kind: 'unavailable', reason } };
}

function unusable(reason: string): WcapReading {
  return { kind: 'reading', reading: { kind: 'unusable', reason } };
}
