import { described, isAnsweredWith, isRefusedWith, judged } from './conformance-judges.ts';
import { eventPost, type ObjectFlaws, token } from './conformance-posts.ts';
import type { CaseResult, ConformanceCase, Session } from './conformance-target.ts';
import type { Answer } from './http-answer.ts';

/** Cases that put an event into a real calendar, marked as a test, and cancel it at once. */
export const CALENDAR_CASES: readonly ConformanceCase[] = [
  changing('event', 'REQUEST of a new event', '200 2.x or 1.x', {}, (answer) =>
    judged(answer, isAnsweredWith(answer, ['2.x or 1.x'])),
  ),
  {
    name: 'event-cancelled',
    title: 'CANCEL of an event',
    expected: '200 2.x or 1.x',
    changesCalendar: true,
    async run(session) {
      const uid = `${token(session.target)}-cancelled`;
      const asked = await session.send(eventPost(session.target, uid, 'REQUEST'));
      if (!isAnsweredWith(asked, ['2.x or 1.x']))
        return { found: `the REQUEST before it: ${described(asked)}`, verdict: 'not run' };
      const answer = await session.send(eventPost(session.target, uid, 'CANCEL'));
      await cancelBare(session, uid);
      return judged(answer, isAnsweredWith(answer, ['2.x or 1.x']));
    },
  },
  changing(
    'attachment-inline',
    'an inline attachment',
    '4xx attachment-type-not-supported unless announced',
    { lines: ['ATTACH;ENCODING=BASE64;VALUE=BINARY;FMTTYPE=text/plain:aGVsbG8='] },
    (answer, session) => judgeAttachment(answer, session, 'inline'),
  ),
  changing(
    'attachment-external',
    'an external attachment',
    '4xx attachment-type-not-supported unless announced',
    { lines: ['ATTACH:https://example.com/agenda.txt'] },
    (answer, session) => judgeAttachment(answer, session, 'external'),
  ),
  {
    name: 'max-instances',
    title: 'an event that recurs more often than announced',
    expected: '4xx max-instances',
    changesCalendar: true,
    async run(session) {
      const most = session.target.announced?.maxInstances;
      if (most === undefined) return { found: 'no max-instances is announced', verdict: 'not offered' };
      return withEvent(session, 'recurring', { lines: [`RRULE:FREQ=DAILY;COUNT=${most + 1}`] }, (answer) =>
        judged(answer, isRefusedWith(answer, ['max-instances'])),
      );
    },
  },
];

type Judge = (answer: Answer, session: Session) => CaseResult;

function changing(name: string, title: string, expected: string, flaws: ObjectFlaws, judge: Judge): ConformanceCase {
  return {
    name,
    title,
    expected,
    changesCalendar: true,
    run: (session) => withEvent(session, name, flaws, (answer) => judge(answer, session)),
  };
}

/** Sends an event, and takes it back whatever was said. */
async function withEvent(
  session: Session,
  name: string,
  flaws: ObjectFlaws,
  judge: (answer: Answer) => CaseResult,
): Promise<CaseResult> {
  const uid = `${token(session.target)}-${name}`;
  const answer = await session.send(eventPost(session.target, uid, 'REQUEST', flaws));
  await session.send(eventPost(session.target, uid, 'CANCEL'));
  await cancelBare(session, uid);
  return judge(answer);
}

/** Cyrus cancels nothing for a recipient who is written as a URI; those who are strict refuse this one. */
async function cancelBare(session: Session, uid: string): Promise<void> {
  const { target } = session;
  if (target.recipient === undefined) return;
  await session.send(eventPost(target, uid, 'CANCEL', { headers: { Recipient: [target.recipient] } }));
}

function judgeAttachment(answer: Answer, session: Session, kind: 'inline' | 'external'): CaseResult {
  const { announced } = session.target;
  if (announced === undefined) return { found: `${described(answer)}; nothing is announced`, verdict: 'not offered' };
  return announced.attachments?.[kind] === true
    ? judged(answer, isAnsweredWith(answer, ['2.x or 1.x']))
    : judged(answer, isRefusedWith(answer, ['attachment-type-not-supported']));
}
