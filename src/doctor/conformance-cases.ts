import { CALENDAR_CASES } from './conformance-calendar.ts';
import {
  answered,
  described,
  isRefused,
  isRefusedWith,
  judged,
  refused,
  responsesOf,
  told,
} from './conformance-judges.ts';
import { harmless, harmlessPost, somebody, token } from './conformance-posts.ts';
import { SERVICE_CASES } from './conformance-service.ts';
import type { CaseRequest, ConformanceCase, Target } from './conformance-target.ts';
import type { Answer } from './http-answer.ts';

const DAY_MS = 86_400_000;
/** What is sent at most to find out whether an announced limit is kept. */
const LARGEST_BODY = 32 * 1024 * 1024;
const MOST_RECIPIENTS = 2_000;

const notOffered = (found: string) => ({ verdict: 'not offered', found }) as const;

/** A value in place of the usual one of a header; without a value, no such header. */
function withHeader(name: string, ...values: readonly string[]) {
  return (target: Target): CaseRequest => harmlessPost(target, { headers: { [name]: values } });
}

function contentType(
  target: Target,
  parameters: { readonly component?: string; readonly method?: string } = {},
): string {
  const { component, method } = { ...harmless(target), ...parameters };
  return `text/calendar; component=${component}; method=${method}`;
}

/** What makes the header of a request wrong (draft-desruisseaux-ischedule-05 §6.2). */
const HEADER_CASES: readonly ConformanceCase[] = [
  refused('version-missing', 'no iSchedule-Version', ['version-not-supported'], withHeader('iSchedule-Version')),
  refused(
    'version-unknown',
    'iSchedule-Version: 9.9',
    ['version-not-supported'],
    withHeader('iSchedule-Version', '9.9'),
  ),
  refused(
    'content-type',
    'Content-Type: text/plain',
    ['invalid-calendar-data-type'],
    withHeader('Content-Type', 'text/plain'),
  ),
  refused('content-type-missing', 'no Content-Type', ['invalid-calendar-data-type'], withHeader('Content-Type')),
  refused(
    'method-parameter',
    'Content-Type with another method than the object',
    ['invalid-scheduling-message'],
    (target) => harmlessPost(target, { headers: { 'Content-Type': [contentType(target, { method: 'REPLY' })] } }),
  ),
  refused(
    'component-parameter',
    'Content-Type with another component than the object',
    ['invalid-scheduling-message'],
    (target) => harmlessPost(target, { headers: { 'Content-Type': [contentType(target, { component: 'VTODO' })] } }),
  ),
  refused('originator-missing', 'no Originator', ['originator-missing'], withHeader('Originator')),
  refused('originators', 'two Originator headers', ['too-many-originators'], (target) =>
    harmlessPost(target, { headers: { Originator: [`mailto:${target.originator}`, `mailto:${target.originator}`] } }),
  ),
  refused(
    'originator-uri',
    'an Originator that is no URI',
    ['originator-invalid', 'originator-denied'],
    withHeader('Originator', 'nobody at all'),
  ),
  refused(
    'originator-organizer',
    'an Originator who is not the ORGANIZER',
    ['originator-invalid', 'originator-denied'],
    (target) => harmlessPost(target, { organizer: `someone-else@${target.originator.split('@')[1]}` }),
  ),
  refused('recipient-missing', 'no Recipient', ['recipient-missing'], withHeader('Recipient')),
  refused('recipient-attendee', 'a Recipient who is no ATTENDEE', ['recipient-mismatch'], (target) =>
    harmlessPost(target, {
      attendees: [`second-${target.nobody}`, `third-${target.nobody}`],
      recipients: [somebody(target)],
    }),
  ),
  refused('attendee-recipient', 'an ATTENDEE of a VFREEBUSY who is no Recipient', ['recipient-mismatch'], (target) =>
    harmless(target).component === 'VEVENT'
      ? notOffered('no VFREEBUSY is announced')
      : harmlessPost(target, { attendees: [somebody(target), `second-${target.nobody}`] }),
  ),
];

/** What makes its object wrong. */
const OBJECT_CASES: readonly ConformanceCase[] = [
  refused('body-empty', 'an empty body', ['invalid-calendar-data'], (target) =>
    harmlessPost(target, { body: Buffer.alloc(0) }),
  ),
  refused('body-garbage', 'a body that is no iCalendar', ['invalid-calendar-data'], (target) =>
    harmlessPost(target, { body: Buffer.from('this is no calendar\r\n') }),
  ),
  refused('body-cut', 'an object cut off in the middle', ['invalid-calendar-data'], (target) => {
    const whole = harmlessPost(target);
    const body = whole.body ?? Buffer.alloc(0);
    return { ...whole, body: body.subarray(0, body.length >> 1) };
  }),
  refused(
    'method-missing',
    'no METHOD in the object',
    ['invalid-scheduling-message', 'invalid-calendar-data'],
    (target) => {
      const whole = harmlessPost(target);
      return { ...whole, body: Buffer.from(String(whole.body).replace(/METHOD:.*\r\n/, '')) };
    },
  ),
  refused('method-unsupported', 'METHOD:DELEGATE, which no standard knows', ['invalid-scheduling-message'], (target) =>
    harmlessPost(target, { method: 'DELEGATE' }),
  ),
  refused('methods', 'two METHODs', ['invalid-scheduling-message', 'invalid-calendar-data'], (target) =>
    harmlessPost(target, { calendarLines: ['METHOD:REPLY'] }),
  ),
  refused('uid-missing', 'no UID', ['invalid-calendar-data', 'invalid-scheduling-message'], (target) => {
    const whole = harmlessPost(target);
    return { ...whole, body: Buffer.from(String(whole.body).replace(/UID:.*\r\n/, '')) };
  }),
];

/** The limits a receiver announces. */
const LIMIT_CASES: readonly ConformanceCase[] = [
  refused('max-content-length', 'a body larger than announced', ['max-content-length'], (target) => {
    const most = target.announced?.maxContentLength;
    if (most === undefined) return notOffered('no max-content-length is announced');
    if (most > LARGEST_BODY) return { verdict: 'not run', found: `${most} octets are announced, too many to send` };
    const line = `COMMENT:${'x'.repeat(60)}`;
    return harmlessPost(target, { lines: Array.from({ length: Math.ceil(most / line.length) }, () => line) });
  }),
  refused('max-recipients', 'more recipients than announced', ['max-recipients'], (target) => {
    const most = target.announced?.maxRecipients;
    if (most === undefined) return notOffered('no max-recipients is announced');
    if (most > MOST_RECIPIENTS) return { verdict: 'not run', found: `${most} are announced, too many to send` };
    return harmlessPost(target, { recipients: Array.from({ length: most + 1 }, (_, n) => `n${n}-${target.nobody}`) });
  }),
  refused('min-date-time', 'a date before the first announced', ['min-date-time'], (target) => {
    const first = target.announced?.minDateTime;
    return first === undefined
      ? notOffered('no min-date-time is announced')
      : harmlessPost(target, { start: first - 3 * DAY_MS });
  }),
  refused('max-date-time', 'a date after the last announced', ['max-date-time'], (target) => {
    const last = target.announced?.maxDateTime;
    return last === undefined
      ? notOffered('no max-date-time is announced')
      : harmlessPost(target, { start: last + 3 * DAY_MS });
  }),
];

/** Proof of who is speaking. */
const PROOF_CASES: readonly ConformanceCase[] = [
  told('unsigned', 'no DKIM-Signature', '4xx verification-failed', async (session) => {
    const answer = await session.send(harmlessPost(session.target, { signature: 'none' }));
    if (!isRefused(answer)) return { found: `${described(answer)}: taken without one`, verdict: 'not offered' };
    return judged(answer, isRefusedWith(answer, ['verification-failed']));
  }),
  told('signature-broken', 'a signature that is not right', '4xx verification-failed', async (session) => {
    const answer = await session.send(harmlessPost(session.target, { signature: 'broken' }));
    if (isRefused(answer)) return judged(answer, isRefusedWith(answer, ['verification-failed']));
    const unsigned = await session.send(harmlessPost(session.target, { signature: 'none' }));
    return isRefused(unsigned)
      ? judged(answer, false)
      : { found: `${described(answer)}: not looked at`, verdict: 'not offered' };
  }),
];

/** Octets that an HTTP library would not send, by which a header could be smuggled in. */
const INJECTION_CASES: readonly ConformanceCase[] = [
  smuggled('bare-cr', 'a bare CR before "Recipient:" in Originator', '\r'),
  smuggled('nul', 'a NUL in Originator', '\0'),
  told(
    'percent-crlf',
    'CR and LF percent-encoded in a Recipient',
    'refused, or taken for one name',
    async (session) => {
      const hidden = `second-${session.target.nobody}`;
      const bad = `mailto:nobody%0d%0aRecipient:%20mailto:${hidden}`;
      const answer = await session.send(harmlessPost(session.target, { headers: { Recipient: [bad] } }));
      return judged(answer, isRefused(answer) || (responsesOf(answer) !== undefined && !isAnswered(answer, hidden)));
    },
  ),
  notHttp('colon-space', 'a blank before the colon of Recipient', (target) => ({
    ...harmlessPost(target, { headers: { Recipient: [], 'Recipient ': [`mailto:${somebody(target)}`] } }),
  })),
  notHttp('two-lengths', 'two Content-Length headers that disagree', (target) =>
    harmlessPost(target, { framing: 'two-lengths' }),
  ),
  told(
    'length-and-chunked',
    'Content-Length together with chunked',
    'refused, or read as chunked and closed',
    async (session) => {
      const answer = await session.send(harmlessPost(session.target, { framing: 'both', malformed: true }));
      return judged(answer, isRefused(answer) || responsesOf(answer) !== undefined);
    },
  ),
  told('content-types', 'two Content-Type headers', 'refused', async (session) => {
    const types = [contentType(session.target), 'text/plain'];
    const answer = await session.send(harmlessPost(session.target, { headers: { 'Content-Type': types } }));
    return judged(answer, isRefused(answer));
  }),
];

/** RFC 9110 §5.5: such a value is refused, or the octet read as a blank; the hidden header is never a header. */
function smuggled(name: string, title: string, octet: string): ConformanceCase {
  return told(name, title, 'refused, or read as one value', async (session) => {
    const { target } = session;
    const hidden = `second-${target.nobody}`;
    const value = `mailto:${target.originator}${octet}Recipient: mailto:${hidden}`;
    const answer = await session.send(harmlessPost(target, { headers: { Originator: [value] }, malformed: true }));
    return judged(answer, isRefused(answer) || (answer.kind === 'answer' && !isAnswered(answer, hidden)));
  });
}

function isAnswered(answer: Answer, mailbox: string): boolean {
  return responsesOf(answer)?.some(({ recipient }) => recipient === `mailto:${mailbox}`) ?? false;
}

/** RFC 9112 §5.1, §6.3: a server answers 400, or closes the connection. */
function notHttp(name: string, title: string, build: (target: Target) => CaseRequest): ConformanceCase {
  return told(name, title, '400, or the connection closed', async (session) => {
    const answer = await session.send({ ...build(session.target), malformed: true });
    return judged(answer, answer.kind === 'nothing' || answer.status === 400);
  });
}

/** Requests that are right in every way, and what has to come back. */
const ANSWER_CASES: readonly ConformanceCase[] = [
  told('free-busy', 'a free/busy question for the recipient', '200 2.x with calendar-data', async (session) => {
    if (session.target.recipient === undefined) return { found: 'needs --recipient', verdict: 'not run' };
    if (harmless(session.target).component === 'VEVENT') return notOffered('no VFREEBUSY is announced');
    const answer = await session.send(harmlessPost(session.target));
    const [response] = responsesOf(answer) ?? [];
    const hasReply = /METHOD:REPLY/.test(response?.calendarData ?? '');
    return judged(answer, hasReply && response?.requestStatus.startsWith('2.') === true);
  }),
  answered('unknown-user', 'a recipient nobody knows', ['3.7'], (target) =>
    harmlessPost(target, { recipients: [target.nobody] }),
  ),
  answered('chunked', 'a chunked body', ['2.x or 1.x or 3.7'], (target) =>
    harmlessPost(target, { framing: 'chunked' }),
  ),
  told('continue', 'Expect: 100-continue', '100, then 200', async (session) => {
    const answer = await session.send(harmlessPost(session.target, { awaitsContinue: true }));
    const interim = answer.kind === 'answer' ? answer.interim : [];
    const result = judged(answer, interim.includes(100) && responsesOf(answer)?.length === 1);
    return { ...result, found: `${interim.length === 0 ? 'no 100' : interim.join(', ')}, then ${result.found}` };
  }),
  told(
    'recipient-headers',
    'two Recipient headers, then the two joined in one',
    '200, the same both times',
    async (session) => {
      const { target } = session;
      const recipients = [somebody(target), `second-${target.nobody}`];
      const joined = recipients.map((address) => `mailto:${address}`).join(' ,\t');
      const apart = await session.send(harmlessPost(target, { recipients }));
      const together = await session.send(harmlessPost(target, { recipients, headers: { Recipient: [joined] } }));
      const result = judged(together, described(apart) === described(together) && responsesOf(together)?.length === 2);
      return { ...result, found: `${described(apart)}; ${result.found}` };
    },
  ),
  told('response-order', 'the order of elements in a response', 'as in the DTD', async (session) => {
    const answer = await session.send(harmlessPost(session.target));
    if (responsesOf(answer) === undefined || answer.kind === 'nothing') return judged(answer, false);
    const orders = elementOrders(answer.body.toString('utf8'));
    return {
      found: orders.map((order) => order.join(', ')).join('; '),
      verdict: orders.length > 0 && orders.every(isInOrder) ? 'as the draft says' : 'differs',
    };
  }),
  told('repeated-id', 'the same iSchedule-Message-ID twice', '200, the same both times', async (session) => {
    const request = harmlessPost(session.target, {
      headers: { 'iSchedule-Message-ID': [`${token(session.target)}-repeated`] },
    });
    const first = await session.send(request);
    const second = await session.send(request);
    const result = judged(second, described(first) === described(second) && responsesOf(second) !== undefined);
    return { ...result, found: `${described(first)}; ${result.found}` };
  }),
];

const RESPONSE_ELEMENTS = ['recipient', 'request-status', 'calendar-data', 'error', 'response-description'];

/** The children of each `response`, in order. */
function elementOrders(xml: string): string[][] {
  const plain = xml.replace(/<!\[CDATA\[[\s\S]*?\]\]>/g, '');
  return [...plain.matchAll(/<(?:[\w.-]+:)?response(?:\s[^>]*)?>([\s\S]*?)<\/(?:[\w.-]+:)?response\s*>/g)].map(
    ([, inside = '']) =>
      [...inside.matchAll(/<(?:[\w.-]+:)?([A-Za-z][\w.-]*)/g)]
        .map(([, name = '']) => name)
        .filter((name) => RESPONSE_ELEMENTS.includes(name)),
  );
}

function isInOrder(order: readonly string[]): boolean {
  const places = order.map((name) => RESPONSE_ELEMENTS.indexOf(name));
  return places[0] === 0 && places[1] === 1 && places.every((place, at) => at === 0 || place > (places[at - 1] ?? -1));
}

/** What anyone may ask of a receiver: `doctor --conformance` runs them in this order. */
export const CONFORMANCE_CASES: readonly ConformanceCase[] = [
  ...HEADER_CASES,
  ...OBJECT_CASES,
  ...LIMIT_CASES,
  ...PROOF_CASES,
  ...INJECTION_CASES,
  ...ANSWER_CASES,
  ...CALENDAR_CASES,
  ...SERVICE_CASES,
];
