import { signed } from '../../channel/ischedule/signing.ts';
import { readAnnounced } from './capabilities-table.ts';
import { CONFORMANCE_CASES } from './conformance-cases.ts';
import { capabilitiesUrl } from './conformance-service.ts';
import type {
  Announced,
  CaseRequest,
  CaseResult,
  ConformanceCase,
  Session,
  Target,
  Verdict,
} from './conformance-target.ts';
import { type DialOptions, exchange } from './connection.ts';
import type { Answer } from './http-answer.ts';
import { endpointOf, requestHead } from './request.ts';

/** One row of the table. */
export type ConformanceRow = {
  readonly name: string;
  readonly sent: string;
  readonly expected: string;
  readonly found: string;
  readonly verdict: Verdict;
};

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/**
 * Runs every case against a live receiver, one after the other. It posts; nothing of it changes a calendar unless
 * `target.recipient` is there, and then only by events that are marked as a test and cancelled.
 */
export async function runConformance(
  target: Omit<Target, 'announced'>,
  options: DialOptions,
  cases: readonly ConformanceCase[] = CONFORMANCE_CASES,
): Promise<readonly ConformanceRow[]> {
  const announced = await askCapabilities(target.url, options);
  const answers: Answer[] = [];
  const whole: Target = { ...target, ...(announced === undefined ? {} : { announced }) };
  const session: Session = {
    target: whole,
    answers,
    async send(request) {
      const answer = await sendCase(whole, request, options);
      if ((request.method ?? 'POST') === 'POST' && request.malformed !== true) answers.push(answer);
      return answer;
    },
  };
  const rows: ConformanceRow[] = [];
  for (const one of cases) {
    const result: CaseResult =
      one.changesCalendar === true && target.recipient === undefined
        ? { found: 'needs --recipient', verdict: 'not run' }
        : await one.run(session);
    rows.push({ name: one.name, sent: one.title, expected: one.expected, ...result });
  }
  return rows;
}

/** Asks in the way of the last draft, then in that of the first ones. */
export async function askCapabilities(service: URL, options: DialOptions): Promise<Announced | undefined> {
  for (const layout of ['action', 'query'] as const) {
    const url = capabilitiesUrl(service, layout);
    const head = requestHead('GET', url, []);
    const ask = () =>
      exchange(endpointOf(url), { head, body: Buffer.alloc(0) }, { ...options, maxBytes: MAX_ANSWER_BYTES });
    const first = await ask();
    // Cyrus 3.6 dies of each second question.
    const answer = first.kind === 'nothing' ? await ask() : first;
    const announced = readAnnounced(answer, layout);
    if (announced !== undefined) return announced;
  }
  return undefined;
}

function sendCase(target: Target, request: CaseRequest, options: DialOptions): Promise<Answer> {
  const url = request.url ?? target.url;
  const body = request.body ?? Buffer.alloc(0);
  const hasBody = request.body !== undefined;
  const headers = [
    ...withSignature(target, request, url.host, body),
    ...(hasBody ? framing(request, body) : []),
    ...(request.awaitsContinue === true ? [['Expect', '100-continue'] as const] : []),
  ];
  const isChunked = request.framing === 'chunked' || request.framing === 'both';
  return exchange(
    endpointOf(url),
    {
      head: requestHead(request.method ?? 'POST', url, headers),
      body: isChunked ? chunks(body) : body,
      ...(request.awaitsContinue === true ? { awaitsContinue: true } : {}),
    },
    { ...options, maxBytes: MAX_ANSWER_BYTES },
  );
}

function framing(request: CaseRequest, body: Buffer): (readonly [string, string])[] {
  const length = ['Content-Length', String(body.length)] as const;
  const chunked = ['Transfer-Encoding', 'chunked'] as const;
  switch (request.framing ?? 'length') {
    case 'length':
      return [length];
    case 'chunked':
      return [chunked];
    case 'both':
      return [length, chunked];
    case 'two-lengths':
      return [length, ['Content-Length', String(Math.max(body.length - 10, 0))]];
  }
}

/** In two, so that a receiver that reads only the first is found out. */
function chunks(body: Buffer): Buffer {
  const half = body.length >> 1;
  const parts = [body.subarray(0, half), body.subarray(half)].filter((part) => part.length > 0);
  const framed = parts.flatMap((part) => [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]);
  return Buffer.concat([...framed, Buffer.from('0\r\n\r\n')]);
}

const MANDATORY: readonly string[] = ['iSchedule-Version', 'Originator', 'Recipient', 'Content-Type'];

/** A signature over nothing, for the case that has to be refused, where there is no key to make a better one. */
const NONSENSE =
  'v=1; a=rsa-sha256; q=dns/txt; c=ischedule-relaxed/simple; d=example.com; s=none; h=Content-Type:iSchedule-Version:Originator:Recipient; bh=AAAA; b=AAAA';

function withSignature(
  { signature, now }: Target,
  request: CaseRequest,
  host: string,
  body: Buffer,
): readonly (readonly [string, string])[] {
  const isPost = (request.method ?? 'POST') === 'POST';
  if (!isPost || request.signature === 'none') return request.headers;
  if (signature === undefined)
    return request.signature === 'broken' ? [...request.headers, ['DKIM-Signature', NONSENSE]] : request.headers;
  // What a case leaves out is signed as if it were there: the receiver is to miss the header, not the signature.
  const there = new Set(request.headers.map(([name]) => name.trim().toLowerCase()));
  const absent = MANDATORY.filter((name) => !there.has(name.toLowerCase()));
  const whole = [...request.headers, ...absent.map((name) => [name, 'absent'] as const)];
  // Nor does it sign octets that no header may hold: a receiver that reads them does so as blanks (RFC 9110 §5.5).
  const raw = new Map(request.headers.map((field) => [field[1].replace(/[\r\n\0]/g, ' '), field]));
  const clean = whole.flatMap(([name, value]) => [name.trim(), value.replace(/[\r\n\0]/g, ' ')]);
  const flat = signed(clean, host, body, signature, now);
  const all = Array.from({ length: flat.length / 2 }, (_, n) => [flat[2 * n] ?? '', flat[2 * n + 1] ?? ''] as const);
  const pairs = all.filter(([name]) => !absent.includes(name)).map((field) => raw.get(field[1]) ?? field);
  if (request.signature !== 'broken') return pairs;
  return pairs.map(([name, value]) => (name === 'DKIM-Signature' ? [name, flipped(value)] : [name, value]));
}

/** Another signature than the right one, by one character of b, the last tag. */
function flipped(value: string): string {
  const at = value.lastIndexOf('b=') + 12;
  return `${value.slice(0, at)}${value[at] === 'A' ? 'B' : 'A'}${value.slice(at + 1)}`;
}
