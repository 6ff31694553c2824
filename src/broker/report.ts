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
  for (const { attendee, status, rule, inquiries } of answers) {
    counts[countOf(status.code)]++;
    for (const inquiry of inquiries) {
      const name = `${inquiry.server} ${inquiry.protocol}`;
      servers.set(name, Math.max(servers.get(name) ?? 0, Math.round(inquiry.tookMs)));
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
