import type { ServerSettings } from '../../channel/ischedule/settings.ts';
import { PROFILES } from '../../rules/data/profiles.ts';
import type { CalendarServer } from '../mail/disposition.ts';
import { ask } from '../observe/reach.ts';

/** What was found when a calendar server was asked. */
export type CalendarServerState =
  | { readonly kind: 'answers' }
  | { readonly kind: 'doubtful'; readonly text: string }
  | { readonly kind: 'unreachable'; readonly text: string };

/** How a calendar server is spoken to, as far as asking it goes. */
export type AskSettings = Pick<
  ServerSettings,
  'ca' | 'clientCertificate' | 'minTls' | 'securityLevel' | 'capabilities'
>;

/**
 * Asks for the capabilities, as a peer may (draft-desruisseaux-ischedule-05 §5); nothing is posted. A server whose
 * profile wants no such question, since Cyrus dies of the second one, is asked for the path alone.
 */
export async function askCalendarServer(
  { url, profile = 'generic' }: Pick<CalendarServer, 'url'> & Partial<Pick<CalendarServer, 'profile'>>,
  options: { readonly timeoutMs: number; readonly settings?: AskSettings },
): Promise<CalendarServerState> {
  const question = new URL(url);
  const { timeoutMs, settings: { ca, clientCertificate, minTls, securityLevel, capabilities } = {} } = options;
  const query = capabilities ?? PROFILES[profile].capabilities;
  if (query !== 'none') question.searchParams.set(query, 'capabilities');
  const answer = await ask(question, {
    timeoutMs,
    ...(ca === undefined ? {} : { ca }),
    ...clientCertificate,
    ...(minTls === undefined ? {} : { minVersion: minTls }),
    ...(securityLevel === undefined ? {} : { ciphers: `DEFAULT@SECLEVEL=${securityLevel}` }),
  });
  if (!answer.ok)
    return {
      kind: 'unreachable',
      text: `cannot be reached: ${answer.reason.replace(/ca$/, 'ischedule.ca, or ca of its entry in ischedule.servers')}`,
    };
  if (answer.status === 404) {
    return {
      kind: 'doubtful',
      text: `says 404 to a question for its ${query === 'none' ? 'service' : 'capabilities'}; is ${question.pathname} the path of its iSchedule service?`,
    };
  }
  return { kind: 'answers' };
}
