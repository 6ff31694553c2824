import { type BusyClient, findBusyClient } from '../../rules/busy-client.ts';
import type { StatusAnswer } from '../../rules/request-status.ts';
import type { Broker, BusyAnswer, BusyQuestion, FoundName } from '../../src/broker/question.ts';
import { hopsOfVia } from '../../src/freebusy/hops.ts';
import { freeBetween } from '../../src/freebusy/merge.ts';
import type { HttpReply, HttpRequest, Route } from '../../src/http/exchange.ts';
import { valuesOf } from '../../src/http/raw-headers.ts';
import { refusalWords, textReply } from '../../src/http/text-reply.ts';
import { parseContentType } from '../../src/itip/content-type.ts';
import type { Log } from '../../src/observe/log.ts';
import { composeWcap, type WcapAnswer } from './compose.ts';
import { WCAP_ERRNO, type WcapErrno } from './errno.ts';
import { type AskedCalendar, type ParametersReading, readParameters, type WcapQuestion } from './parameters.ts';

export type WcapAnswerOptions = {
  /** undefined: there is no free/busy service, and its paths are not there. */
  readonly broker: Broker | undefined;
  readonly clients: readonly BusyClient[];
  /** Mailbox whom a question speaks for: WCAP names nobody. */
  readonly originator: string;
  /** Calendars that one question may name. */
  readonly maxAttendees: number;
  /** ms since the epoch */
  readonly clock: () => number;
  readonly log: Log;
};

const COMMAND = 'get_freebusy.wcap';
const METHODS = ['GET', 'HEAD', 'POST'];
const MAX_FORM_BYTES = 64 * 1024;
const RETRY_AFTER_S = 30;
const FORM = 'application/x-www-form-urlencoded';

/**
 * Answers `get_freebusy.wcap` under any prefix, by GET and by POST of a form, as Calendar Server 6.3 does: what is wrong
 * with a question is an X-NSCP-WCAP-ERRNO in a 200. Of a form with a query both count, the form's first.
 */
export function createWcapRoute(options: WcapAnswerOptions): Route {
  return {
    path: `*/${COMMAND}`,
    methods: METHODS,
    maxBodyBytes: MAX_FORM_BYTES,
    handle: (request) => handle(options, request),
    refuse: (status) => (options.broker === undefined ? notFound() : refuse(status)),
  };
}

async function handle(options: WcapAnswerOptions, request: HttpRequest): Promise<HttpReply> {
  const { broker } = options;
  if (broker === undefined) return notFound();
  const verdict = findBusyClient(options.clients, 'wcap', {
    client: request.client,
    authorizations: valuesOf(request.rawHeaders, 'authorization'),
  });
  if (verdict.kind === 'stranger') {
    options.log.info({ protocol: 'wcap', client: request.client.address, reason: verdict.reason }, 'free/busy refused');
    return forbidden(verdict.challenges);
  }
  const { client } = verdict;
  const reading = read(options, request);
  if (reading.kind === 'refused') {
    const { errno, reason, format } = reading;
    options.log.info({ protocol: 'wcap', client: client.name, errno, reason }, 'free/busy refused');
    return reply([{ errno }], format);
  }
  return answer(broker, client, options, reading.question, request);
}

function read({ maxAttendees, clock }: WcapAnswerOptions, request: HttpRequest): ParametersReading {
  const parameters = parametersOf(request);
  if (parameters !== undefined) return readParameters(parameters, maxAttendees, clock());
  const reason = `found a body of another type, wanted a form (${FORM})`;
  return { kind: 'refused', errno: WCAP_ERRNO.badArguments, format: 'text/calendar', reason };
}

async function answer(
  broker: Broker,
  client: BusyClient,
  { originator, log }: WcapAnswerOptions,
  question: WcapQuestion,
  request: HttpRequest,
): Promise<HttpReply> {
  const { signal } = request;
  const began = performance.now();
  const frame: Omit<BusyQuestion, 'attendees'> = {
    asker: { name: client.name, access: client.access },
    originator,
    window: question.window,
    hops: [...hopsOfVia(valuesOf(request.rawHeaders, 'via')), ...question.hops],
  };
  // Names are not looked up then: which of them there are would show in who is refused.
  const refusal = broker.refusal(frame);
  const found = await Promise.all(
    question.calendars.map(async (calendar) => ({ calendar, whose: await resolve(broker, calendar, refusal, signal) })),
  );
  const attendees = found.flatMap(({ whose }) => (whose.kind === 'mailbox' ? [whose.mailbox] : []));
  const asked: BusyQuestion = { ...frame, attendees };
  const sinceThen = () => ({ spentMs: performance.now() - began });
  const isRedirected = client.wcap === 'redirect' && !question.noRedirect && request.method !== 'POST';
  if (isRedirected && asked.attendees.length === found.length) {
    const frontEnd = await broker.frontEnd({ ...asked, ...sinceThen() }, signal);
    if (frontEnd !== undefined) {
      const { name } = client;
      log.info({ protocol: 'wcap', client: name, attendees: found.length, to: frontEnd }, 'free/busy question sent on');
      return redirect(frontEnd, request.query);
    }
  }
  if (refusal === undefined) reportUnfound(log, client.name, found);
  // One that is refused as a whole is reported there, though it may be about nobody.
  const isNobodys = attendees.length === 0 && refusal === undefined;
  const answers = isNobodys ? [] : await broker.ask({ ...asked, ...sinceThen() }, signal);
  const byMailbox = new Map(answers.map((one) => [one.attendee, one]));
  return reply(
    found.map(({ calendar, whose }) => ({
      calid: calendar.calid,
      ...(calendar.kind === 'address' && calendar.asEmail ? { email: calendar.mailbox } : {}),
      ...(whose.kind === 'mailbox'
        ? answerOf(byMailbox.get(whose.mailbox), question.busyOnly)
        : { errno: whose.errno }),
    })),
    question.format,
  );
}

/** Nobody else hears of them: the broker is asked about mailboxes. */
function reportUnfound(
  log: Log,
  client: string,
  found: readonly { readonly calendar: AskedCalendar; readonly whose: Resolved }[],
): void {
  const errnos: Record<number, number> = {};
  for (const { calendar, whose } of found) {
    if (whose.kind === 'mailbox') continue;
    const { errno } = whose;
    errnos[errno] = (errnos[errno] ?? 0) + 1;
    log.debug({ protocol: 'wcap', client, calid: calendar.calid, errno }, 'calendar id not found');
  }
  if (Object.keys(errnos).length > 0) log.info({ protocol: 'wcap', client, errnos }, 'calendar ids not found');
}

type Resolved =
  | { readonly kind: 'mailbox'; readonly mailbox: string }
  | { readonly kind: 'errno'; readonly errno: WcapErrno };

/** @param refusal what everybody is answered */
async function resolve(
  broker: Broker,
  calendar: AskedCalendar,
  refusal: StatusAnswer | undefined,
  signal: AbortSignal,
): Promise<Resolved> {
  switch (calendar.kind) {
    case 'address': {
      const isName = !calendar.asEmail && refusal === undefined;
      const found = isName ? await broker.find(calendar.calid, signal) : undefined;
      if (found === undefined || found.kind === 'unknown') return { kind: 'mailbox', mailbox: calendar.mailbox };
      // While nobody can say whose name it is, the address may be another's.
      return found.kind === 'mailbox' ? found : { kind: 'errno', errno: ERRNO_OF_NAME[found.kind] };
    }
    case 'illegal':
      return { kind: 'errno', errno: WCAP_ERRNO.illegalCalid };
    case 'name': {
      if (refusal !== undefined) return { kind: 'errno', errno: errnoOf(refusal) };
      const found = await broker.find(calendar.calid, signal);
      return found.kind === 'mailbox' ? found : { kind: 'errno', errno: ERRNO_OF_NAME[found.kind] };
    }
  }
}

const ERRNO_OF_NAME: Readonly<Record<Exclude<FoundName['kind'], 'mailbox'>, WcapErrno>> = {
  unknown: WCAP_ERRNO.noSuchCalendar,
  'no-answer': WCAP_ERRNO.directoryFailed,
};

/** By REQUEST-STATUS. 39 and no other for what may pass by itself: those that v6 has for it speak of its own servers. */
const ERRNO_OF_STATUS: Readonly<Record<string, WcapErrno>> = {
  '2.0': WCAP_ERRNO.ok,
  '3.5': WCAP_ERRNO.badArguments,
  '3.7': WCAP_ERRNO.noSuchCalendar,
  '3.8': WCAP_ERRNO.accessDenied,
  '5.3': WCAP_ERRNO.noSuchCalendar,
};

function errnoOf({ code }: StatusAnswer): WcapErrno {
  return ERRNO_OF_STATUS[code] ?? WCAP_ERRNO.freeBusyFailed;
}

function answerOf(answer: BusyAnswer | undefined, busyOnly: boolean): Omit<WcapAnswer, 'calid' | 'email'> {
  if (answer === undefined) return { errno: WCAP_ERRNO.freeBusyFailed };
  const { status, rule, window, periods } = answer;
  // Where he may not know that there is such a list, the status is another.
  if (status.code === '5.3' && rule === 'list-too-large') return { errno: WCAP_ERRNO.groupClipped };
  const errno = errnoOf(status);
  if (errno !== WCAP_ERRNO.ok) return { errno };
  if (busyOnly) return { errno, busy: { window, periods } };
  const all = [...periods, ...freeBetween(periods, window)].sort((a, b) => a.startMs - b.startMs);
  return { errno, busy: { window, periods: all } };
}

/** Query and form together; undefined when what was posted is no form. */
function parametersOf(request: HttpRequest): URLSearchParams | undefined {
  if (request.body.length === 0) return request.query;
  const types = valuesOf(request.rawHeaders, 'content-type').map(parseContentType);
  const [type, ...more] = types;
  const charset = type?.parameters.get('charset')?.join() ?? 'utf-8';
  if (type?.type !== FORM || more.length > 0 || !/^(?:utf-?8|us-ascii)$/i.test(charset)) return undefined;
  return new URLSearchParams([...new URLSearchParams(request.body.toString('utf8')), ...request.query]);
}

function reply(answers: readonly WcapAnswer[], format: WcapQuestion['format']): HttpReply {
  const { contentType, body } = composeWcap(answers, format);
  return { status: 200, headers: { 'Content-Type': contentType, 'Cache-Control': 'no-store' }, body };
}

/**
 * To the same command of the front end, by which nobody is sent on again. The session in `id` is left out: it is one of
 * another server, and none of that one's business.
 */
function redirect(frontEnd: string, query: URLSearchParams): HttpReply {
  const parameters = new URLSearchParams(query);
  parameters.delete('id');
  parameters.set('noredirect', '1');
  const location = `${frontEnd.replace(/\/*$/, '/')}${COMMAND}?${parameters}`;
  return textReply(302, 'the answer is at another server', { Location: location, 'Cache-Control': 'no-store' });
}

/** What the listener itself says of a path that is not there. */
function notFound(): HttpReply {
  return textReply(404, 'Not Found');
}

function forbidden(challenges: readonly string[]): HttpReply {
  if (challenges.length === 0) return textReply(403, 'wanted a client that may ask for free/busy times here');
  return textReply(401, 'wanted credentials that are known here', { 'WWW-Authenticate': challenges.join(', ') });
}

function refuse(status: number): HttpReply {
  const more: Readonly<Record<string, string>> =
    status === 405 ? { Allow: METHODS.join(', ') } : status === 503 ? { 'Retry-After': `${RETRY_AFTER_S}` } : {};
  return textReply(status, REFUSALS[status] ?? refusalWords(status), more);
}

const REFUSALS: Readonly<Record<number, string>> = {
  405: `wanted one of ${METHODS.join(', ')}`,
  413: `found a longer form, wanted at most ${MAX_FORM_BYTES} octets`,
};
