import { readAnnounced } from './capabilities-table.ts';
import { described, judged, told } from './conformance-judges.ts';
import { harmlessPost } from './conformance-posts.ts';
import type { CaseResult, ConformanceCase, Session } from './conformance-target.ts';
import { type Answer, header } from './http-answer.ts';

/** The URL of a question for capabilities. */
export function capabilitiesUrl(service: URL, layout: 'action' | 'query'): URL {
  const url = new URL(service);
  url.searchParams.set(layout, 'capabilities');
  return url;
}

/** What a service says of itself apart from posts. */
export const SERVICE_CASES: readonly ConformanceCase[] = [
  told('capabilities', 'GET ?action=capabilities', '200 query-result', async (session) => {
    const answer = await get(session, capabilitiesUrl(session.target.url, 'action'));
    const announced = readAnnounced(answer, 'action');
    if (announced !== undefined)
      return { found: `200, serial ${announced.serial || 'absent'}`, verdict: 'as the draft says' };
    return absent(answer);
  }),
  told('capabilities-again', 'the same question three times', '200 each time', async (session) => {
    const request = { method: 'GET', url: announcedUrl(session), headers: [] };
    const found = [await session.send(request), await session.send(request), await session.send(request)].map(
      (answer) => (answer.kind === 'answer' ? String(answer.status) : answer.reason),
    );
    if (session.target.announced === undefined) return { found: found.join(', '), verdict: 'not offered' };
    const isGood = found.every((one) => one === '200');
    return { found: found.join(', '), verdict: isGood ? 'as the draft says' : 'differs' };
  }),
  told('capabilities-query', 'GET ?query=capabilities, as in -00 and -01', '200 query-result', async (session) => {
    const answer = await get(session, capabilitiesUrl(session.target.url, 'query'));
    return readAnnounced(answer, 'query') === undefined
      ? absent(answer)
      : { found: '200', verdict: 'as the draft says' };
  }),
  told('capabilities-serial', 'serial-number and iSchedule-Capabilities', 'the same number', async (session) => {
    const answer = await get(session, capabilitiesUrl(session.target.url, 'action'));
    const announced = readAnnounced(answer, 'action');
    if (announced === undefined) return absent(answer);
    const sent = header(answer, 'iSchedule-Capabilities');
    const found = `${announced.serial || 'none'} and ${sent ?? 'none'}`;
    const isSame = sent !== undefined && sent === announced.serial;
    return { found, verdict: isSame ? 'as the draft says' : 'differs' };
  }),
  told('etag', 'GET of the capabilities with If-None-Match', 'ETag, then 304', async (session) => {
    const url = announcedUrl(session);
    const first = await get(session, url);
    const etag = header(first, 'ETag');
    if (first.kind === 'nothing' || first.status !== 200) return absent(first);
    if (etag === undefined) return { found: 'no ETag', verdict: 'not offered' };
    const second = await get(session, url, [['If-None-Match', etag]]);
    const status = second.kind === 'answer' ? String(second.status) : second.reason;
    return { found: `ETag, then ${status}`, verdict: status === '304' ? 'as the draft says' : 'differs' };
  }),
  told('options', 'OPTIONS', '2xx with iSchedule-Version', async (session) => {
    const answer = await session.send({ method: 'OPTIONS', headers: [] });
    if (answer.kind === 'nothing') return judged(answer, false);
    const version = header(answer, 'iSchedule-Version');
    const isGood = answer.status < 300 && version !== undefined;
    return {
      found: `${answer.status}, ${version === undefined ? 'no iSchedule-Version' : `iSchedule-Version ${version}`}`,
      verdict: isGood ? 'as the draft says' : 'not offered',
    };
  }),
  told('http-method', 'PUT in place of POST', '4xx or 501', async (session) => {
    const answer = await session.send({ ...harmlessPost(session.target), method: 'PUT' });
    const isGood = answer.kind === 'answer' && (answer.status === 501 || (answer.status >= 400 && answer.status < 500));
    return judged(answer, isGood);
  }),
  told('well-known', 'GET /.well-known/ischedule', '200, or a redirect', async (session) => {
    const service = new URL('/.well-known/ischedule', session.target.url);
    const answer = await get(session, capabilitiesUrl(service, session.target.announced?.layout ?? 'action'));
    if (answer.kind === 'nothing') return judged(answer, false);
    const isRedirect = [301, 302, 307, 308].includes(answer.status);
    const location = header(answer, 'Location');
    return {
      found: isRedirect ? `${answer.status} to ${location ?? 'nowhere'}` : String(answer.status),
      verdict: answer.status === 200 || (isRedirect && location !== undefined) ? 'as the draft says' : 'not offered',
    };
  }),
  everyResponse('version-everywhere', 'iSchedule-Version'),
  everyResponse('capabilities-everywhere', 'iSchedule-Capabilities'),
];

const TRIES = 4;

/** Asks again where nothing came back: each process of Cyrus 3.6 dies of its second question, which is a case of its own. */
async function get(session: Session, url: URL, headers: readonly (readonly [string, string])[] = []): Promise<Answer> {
  const request = { method: 'GET', url, headers };
  let answer = await session.send(request);
  for (let tries = 1; tries < TRIES && answer.kind === 'nothing'; tries++) answer = await session.send(request);
  return answer;
}

function announcedUrl({ target }: Session): URL {
  return capabilitiesUrl(target.url, target.announced?.layout ?? 'action');
}

function absent(answer: Answer): CaseResult {
  return { found: described(answer), verdict: 'not offered' };
}

/** Judges all the answers to posts that came before, so it stands last. */
function everyResponse(name: string, wanted: string): ConformanceCase {
  return told(name, `${wanted} on every response to a post`, 'on all', async ({ answers }) => {
    const all = answers.filter((answer) => answer.kind === 'answer');
    const having = all.filter((answer) => header(answer, wanted) !== undefined);
    return {
      found: `on ${having.length} of ${all.length}`,
      verdict: having.length === all.length ? 'as the draft says' : having.length === 0 ? 'not offered' : 'differs',
    };
  });
}
