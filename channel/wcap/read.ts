import { type ErrnoVerdict, judgeErrno } from '../../rules/wcap-errno.ts';
import type { BusyReading, Window } from '../../src/freebusy/busy.ts';
import { type BusyDocument, type BusyDocuments, readBusy } from '../../src/freebusy/read.ts';
import { covers } from '../../src/freebusy/reading.ts';
import { charsetOf } from '../../src/itip/content-type.ts';
import { wordsOf } from './errno.ts';
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
  return readBusy(body, charsetOf(contentType));
}

function isMarkup(body: Buffer): boolean {
  return /^(?:\xef\xbb\xbf)?\s*</.test(body.toString('latin1', 0, 200));
}

function judge(documents: readonly BusyDocument[], window: Window): WcapReading {
  const of = (kind: ErrnoVerdict) => documents.find(({ errno = 0 }) => judgeErrno(errno) === kind)?.errno ?? 0;
  const has = (kind: ErrnoVerdict) => documents.some(({ errno = 0 }) => judgeErrno(errno) === kind);
  if (has('no-session')) return { kind: 'no-session' };
  if (has('gone')) return unavailable(`the calendar server failed: ${wordsOf(of('gone'))}`);
  if (has('broken')) return unusable(`the calendar server failed: ${wordsOf(of('broken'))}`);
  const answered = documents.filter(({ errno = 0 }) => judgeErrno(errno) === 'taken');
  const partial = answered.find((document) => document.window !== undefined && !covers([document.window], window));
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

function unknown(reason: string): WcapReading {
  return { kind: 'reading', reading: { kind: 'unknown', reason } };
}

function unavailable(reason: string): WcapReading {
  return { kind: 'reading', reading: { kind: 'unavailable', reason } };
}

function unusable(reason: string): WcapReading {
  return { kind: 'reading', reading: { kind: 'unusable', reason } };
}
