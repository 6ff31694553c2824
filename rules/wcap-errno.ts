/**
 * What an X-NSCP-WCAP-ERRNO says (Calendar Server 6.3, WCAP reference); `gone`: what the server needs for its answers,
 * whomever they are about, its back ends or its directory, does not answer it.
 */
export type ErrnoVerdict = 'taken' | 'no-session' | 'unknown' | 'refused' | 'gone' | 'broken';

/** v6 may answer a question by iSchedule as it answers one by WCAP, so both channels read it. */
export function judgeErrno(errno: number): ErrnoVerdict {
  switch (errno) {
    case 0:
      return 'taken';
    case 1:
      return 'no-session';
    case 29:
    case 50:
    case 53:
      return 'unknown';
    case 28:
    case 75:
    case 76:
      return 'refused';
    case 48:
    case 49:
    case 51:
    case 69:
      return 'gone';
    default:
      return errno >= 11_000 ? 'gone' : 'broken';
  }
}
