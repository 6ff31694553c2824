import { parseReply, type RecipientResponse } from '../../channel/ischedule/wire.ts';
import type { CaseRequest, CaseResult, ConformanceCase, Session, Target, Verdict } from './conformance-target.ts';
import { type Answer, header } from './http-answer.ts';

/** An answer in few words: its status, and the precondition or the request-status of each recipient. */
export function described(answer: Answer): string {
  if (answer.kind === 'nothing') return answer.reason;
  const reply = read(answer);
  switch (reply.kind) {
    case 'error':
      return `${answer.status} ${reply.element || 'error without an element'}`;
    case 'responses':
      return `${answer.status} ${counted(statuses(reply.responses)) || 'no response'}`;
    case 'unreadable':
      return `${answer.status}, ${answer.body.length === 0 ? 'empty' : 'no iSchedule XML'}`;
  }
}

/** `2.0, 3.7`; `2.0 × 251` for a run of them. */
function counted(codes: readonly string[]): string {
  const runs: { code: string; count: number }[] = [];
  for (const code of codes) {
    const last = runs.at(-1);
    if (last?.code === code) last.count++;
    else runs.push({ code, count: 1 });
  }
  return runs
    .map(({ code, count }) => (count > 2 ? `${code} × ${count}` : Array(count).fill(code).join(', ')))
    .join(', ');
}

function read(answer: Extract<Answer, { kind: 'answer' }>) {
  return parseReply(answer.body, header(answer, 'Content-Type') ?? '');
}

/** The responses of an answer; undefined when it is none. */
export function responsesOf(answer: Answer): readonly RecipientResponse[] | undefined {
  if (answer.kind === 'nothing' || answer.status !== 200) return undefined;
  const reply = read(answer);
  return reply.kind === 'responses' ? reply.responses : undefined;
}

/** Codes alone: the words after them differ from server to server. */
export function statuses(responses: readonly RecipientResponse[]): string[] {
  return responses.map(({ requestStatus }) => requestStatus.split(';', 1)[0] || 'no request-status');
}

/** Whether a post was refused as a whole, in whatever words. */
export function isRefused(answer: Answer): boolean {
  return answer.kind === 'answer' && answer.status >= 400 && answer.status < 500;
}

export function judged(answer: Answer, isRight: boolean, otherwise: Verdict = 'differs'): CaseResult {
  return { found: described(answer), verdict: isRight ? 'as the draft says' : otherwise };
}

/** A request, or why there is nothing to send. */
type Build = (target: Target) => CaseRequest | { readonly verdict: 'not offered' | 'not run'; readonly found: string };

/**
 * The whole request is to be refused with one of these precondition elements. The draft and real servers differ on the
 * number (400, 403, 413), so any 4xx will do.
 */
export function refused(name: string, title: string, elements: readonly string[], build: Build): ConformanceCase {
  return {
    name,
    title,
    expected: `4xx ${elements.join(' or ')}`,
    async run(session) {
      const request = build(session.target);
      if ('verdict' in request) return request;
      const answer = await session.send(request);
      return judged(answer, isRefusedWith(answer, elements));
    },
  };
}

export function isRefusedWith(answer: Answer, elements: readonly string[]): boolean {
  if (answer.kind === 'nothing' || !isRefused(answer)) return false;
  const reply = read(answer);
  return reply.kind === 'error' && elements.includes(reply.element);
}

/** Each recipient is to be answered by itself, with a request-status that begins like this. */
export function answered(name: string, title: string, expected: readonly string[], build: Build): ConformanceCase {
  return {
    name,
    title,
    expected: `200 ${expected.join(', ')}`,
    async run(session) {
      const request = build(session.target);
      if ('verdict' in request) return request;
      const answer = await session.send(request);
      return judged(answer, isAnsweredWith(answer, expected));
    },
  };
}

/** @param expected for each recipient: a code, or the class `2.x` */
export function isAnsweredWith(answer: Answer, expected: readonly string[]): boolean {
  const found = responsesOf(answer);
  return (
    found !== undefined &&
    found.length === expected.length &&
    statuses(found).every((status, index) => matches(status, expected[index] ?? ''))
  );
}

function matches(status: string, expected: string): boolean {
  return expected
    .split(' or ')
    .some((one) => (one.endsWith('.x') ? status.startsWith(one.slice(0, -1)) : status === one));
}

/** A case that is more than one request. */
export function told(
  name: string,
  title: string,
  expected: string,
  run: (session: Session) => Promise<CaseResult>,
): ConformanceCase {
  return { name, title, expected, run };
}
