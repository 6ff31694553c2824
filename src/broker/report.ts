import type { Log } from '../observe/log.ts';
import type { BusyAnswer, BusyQuestion } from './question.ts';

/** Servers that a line names; a question that reaches more says how many. */
const MAX_SERVERS = 20;

type Count = 'answered' | 'unknown' | 'refused' | 'unavailable';

/** One line for the question, and for those who want them one for each attendee. */
export function report(
  log: Log,
  { asker, originator }: BusyQuestion,
  answers: readonly BusyAnswer[],
  tookMs: number,
): void {
  const counts: Record<Count, number> = { answered: 0, unknown: 0, refused: 0, unavailable: 0 };
  const servers = new Map<string, number>();
  const reasons = new Map<string, string>();
  for (const { attendee, status, rule, inquiries } of answers) {
    counts[countOf(status.code)]++;
    for (const inquiry of inquiries) {
      const name = `${inquiry.server} ${inquiry.protocol}`;
      servers.set(name, Math.max(servers.get(name) ?? 0, Math.round(inquiry.tookMs)));
      const { result, reason } = inquiry;
      if (result !== 'answered' && result !== 'unknown' && reason !== undefined) reasons.set(name, reason);
    }
    const asked = inquiries.map(({ server, result, reason }) => ({ relay: server, result, reason }));
    log.debug({ asker: asker.name, to: attendee, status: status.code, rule, asked }, 'busy times of one');
  }
  log.info(
    {
      asker: asker.name,
      from: originator,
      attendees: answers.length,
      ...counts,
      tookMs: Math.round(tookMs),
      servers: Object.fromEntries([...servers].slice(0, MAX_SERVERS)),
      ...(reasons.size === 0 ? {} : { reasons: Object.fromEntries([...reasons].slice(0, MAX_SERVERS)) }),
      ...(servers.size > MAX_SERVERS ? { moreServers: servers.size - MAX_SERVERS } : {}),
    },
    'busy times asked',
  );
}

function countOf(code: string): Count {
  if (code === '2.0') return 'answered';
  if (code === '5.1') return 'unavailable';
  return code === '3.7' || code === '5.3' ? 'unknown' : 'refused';
}
