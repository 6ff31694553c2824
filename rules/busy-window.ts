import type { Window } from '../src/freebusy/busy.ts';
import type { Step } from '../src/mail/disposition.ts';
import type { BusyAccess } from './busy-access.ts';
import { type StatusAnswer, statusOf } from './request-status.ts';

/** The window an asker gets to see: cut to what he may, or refused as a whole. */
export type JudgedWindow =
  | { readonly kind: 'window'; readonly window: Window; readonly steps: readonly Step[] }
  | { readonly kind: 'refused'; readonly rule: string; readonly status: StatusAnswer; readonly steps: readonly Step[] };

const DAY_MS = 86_400_000;

/**
 * What of a window an asker may look at. The limits are no secret: whoever is refused reads them.
 * @param now ms since the epoch
 */
export function judgeWindow(window: Window, access: BusyAccess, now: number): JudgedWindow {
  const steps: Step[] = [];
  const refuse = (rule: string, code: string, detail: string): JudgedWindow => ({
    kind: 'refused',
    rule,
    status: statusOf(code, detail),
    steps,
  });
  const lengthMs = window.endMs - window.startMs;
  if (!(lengthMs > 0)) {
    steps.push({ question: 'Is there a window?', answer: 'no: it ends before it begins' });
    return refuse('window-empty', '3.5', 'The window ends where it begins or before; its end has to be later.');
  }
  const long = lengthMs > access.longestMs;
  const most = `${days(access.longestMs)} at most`;
  steps.push({
    question: 'Is the window short enough?',
    answer: `${long ? 'no' : 'yes'}: ${days(lengthMs)}, ${most}`,
  });
  if (long) return refuse('window-too-long', '3.5', `The window is ${days(lengthMs)} long, and may be ${most}.`);

  const first = now - access.pastMs;
  const last = now + access.aheadMs;
  const seen = { startMs: Math.max(window.startMs, first), endMs: Math.min(window.endMs, last) };
  const horizon = `from ${days(access.pastMs)} back to ${days(access.aheadMs)} ahead`;
  const question = 'How much of it may he see?';
  if (seen.startMs >= seen.endMs) {
    steps.push({ question, answer: `nothing: it is not ${horizon}` });
    return refuse('beyond-horizon', '3.8', `Busy times are shown ${horizon}.`);
  }
  const whole = seen.startMs === window.startMs && seen.endMs === window.endMs;
  steps.push({
    question,
    answer: whole ? 'all' : `what lies ${horizon}: ${isoOf(seen.startMs)} to ${isoOf(seen.endMs)}`,
  });
  return { kind: 'window', window: whole ? window : seen, steps };
}

/** To the thousandth of a day, a minute and a half. */
function days(ms: number): string {
  const number = Number((ms / DAY_MS).toFixed(3));
  return `${number} ${number === 1 ? 'day' : 'days'}`;
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
