import { ask } from '../observe/reach.ts';

/** What was found when a calendar server was asked. */
export type CalendarServerState =
  | { readonly kind: 'answers' }
  | { readonly kind: 'doubtful'; readonly text: string }
  | { readonly kind: 'unreachable'; readonly text: string };

/** Asks for the capabilities, as a peer may (draft-desruisseaux-ischedule-05 §5); nothing is posted. */
export async function askCalendarServer(
  url: URL,
  options: { readonly timeoutMs: number; readonly ca?: string | undefined },
): Promise<CalendarServerState> {
  const question = new URL(url);
  question.searchParams.set('action', 'capabilities');
  const { timeoutMs, ca } = options;
  const answer = await ask(question, { timeoutMs, ...(ca === undefined ? {} : { ca }) });
  if (!answer.ok)
    return { kind: 'unreachable', text: `cannot be reached: ${answer.reason.replace(/ca$/, 'ischedule.ca')}` };
  if (answer.status === 404) {
    return {
      kind: 'doubtful',
      text: `says 404 to a question for its capabilities; is ${url.pathname} the path of its iSchedule service?`,
    };
  }
  return { kind: 'answers' };
}
