/** Numbers of X-NSCP-WCAP-ERRNO (Calendar Server 6.3, WCAP reference), those that are answered here. */
export const WCAP_ERRNO = {
  ok: 0,
  badTzid: 18,
  accessDenied: 28,
  noSuchCalendar: 29,
  illegalCalid: 30,
  noCalid: 38,
  freeBusyFailed: 39,
  groupClipped: 43,
  noSuchFormat: 58,
  badArguments: 60,
  directoryFailed: 69,
} as const;
export type WcapErrno = (typeof WCAP_ERRNO)[keyof typeof WCAP_ERRNO];

/** Those that an administrator may meet in answers to these questions. */
const ERRNO_WORDS: Readonly<Record<number, string>> = {
  1: 'the session is not valid',
  18: 'it knows no such time zone',
  28: 'access to the calendar is denied',
  29: 'the calendar does not exist',
  30: 'it takes this for no calendar id',
  34: 'the calendar is disabled',
  37: 'it cannot write text/calendar',
  38: 'it found no calendar id in the question',
  39: 'it could not get the busy times',
  46: 'it wants more parameters',
  48: 'it cannot connect to the calendar database on another host',
  49: 'it has no more connections to the calendar database on another host',
  50: 'it cannot find on which host the calendar is',
  51: 'it got bad data from the calendar database on another host',
  52: 'it takes this for no command',
  53: 'not found',
  58: 'it cannot write text/calendar',
  60: 'it does not take the parameters',
  69: 'its directory does not answer',
  75: 'it wants a login: set user and password of this server',
  76: 'access is denied',
  78: 'its database is read-only',
  11000: 'it has no more connections to a back end',
  11001: 'it cannot connect to a back end',
  11002: 'it cannot find a back end',
};

/** An X-NSCP-WCAP-ERRNO with its meaning, for a log line. */
export function wordsOf(errno: number): string {
  const words = ERRNO_WORDS[errno];
  return words === undefined ? `errno ${errno}` : `${words} (errno ${errno})`;
}
