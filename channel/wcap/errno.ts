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
