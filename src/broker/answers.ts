import type { BusyAccess } from '../../rules/busy-access.ts';
import { statusFor } from '../../rules/busy-right.ts';
import { type StatusAnswer, statusOf } from '../../rules/request-status.ts';
import type { Period, Window } from '../freebusy/busy.ts';
import { mergePeriods } from '../freebusy/merge.ts';
import type { Step } from '../mail/disposition.ts';
import type { BusyAnswer, Inquiry } from './question.ts';
import { lateInquiry } from './rounds.ts';
import type { Routed } from './routes.ts';
import type { Subject } from './subject.ts';

/** What all answers to one question have in common. */
export type Frame = {
  readonly access: BusyAccess;
  /** As far as the asker may see. */
  readonly window: Window;
  /** How it was cut. */
  readonly steps: readonly Step[];
  /** Milliseconds that never go back, at the end of the question. */
  readonly now: number;
  /** What is told of lists already, by their members. */
  readonly lists: Map<readonly Subject[], Told>;
};

/** What was found about one attendee. */
type Found = {
  readonly rule: string;
  readonly status: StatusAnswer;
  readonly periods?: readonly Period[];
  /** Absent where nobody was asked. */
  readonly inquiries?: readonly Inquiry[];
  readonly steps: readonly Step[];
};

const LATE_DETAIL = 'no answer in time';

/** The same answer about everybody, without anything being asked. */
export function answerAlike(
  attendees: readonly string[],
  window: Window,
  { rule, status, steps }: { readonly rule: string; readonly status: StatusAnswer; readonly steps: readonly Step[] },
): readonly BusyAnswer[] {
  return attendees.map((attendee) => ({ attendee, status, periods: [], window, inquiries: [], rule, steps }));
}

/**
 * The answer about one attendee, from what is known of him now.
 * @param routed absent: look-ups did not end in time
 */
export function answerOne(attendee: string, routed: Routed | undefined, frame: Frame): BusyAnswer {
  const { rule, status, periods = [], inquiries = [], steps } = findings(routed, frame);
  return {
    attendee,
    status: statusFor(frame.access, status),
    periods,
    window: frame.window,
    inquiries,
    rule,
    steps: [...frame.steps, ...steps, ...inquiries.map(stepOf)],
  };
}

/** In place of an answer for which there is no room beside those before it: one user has any number of addresses. */
export function tooLarge(answer: BusyAnswer): BusyAnswer {
  const status = statusOf('5.1', 'The answer would be too large: ask about fewer people, or about less time.');
  return { ...answer, status, periods: [], rule: 'answer-too-large' };
}

function findings(routed: Routed | undefined, { window, now, lists }: Frame): Found {
  if (routed === undefined) {
    const steps = [{ question: 'Whose address is it?', answer: 'the look-ups did not end in time' }];
    return { rule: 'deadline', status: statusOf('5.1', LATE_DETAIL), steps };
  }
  switch (routed.kind) {
    case 'answer':
      return routed;
    case 'user': {
      const { subject } = routed;
      const inquiries = [...subject.inquiries, ...lateInquiry(subject, now)];
      return { steps: routed.steps, inquiries, ...userFound(routed.rule, subject) };
    }
    case 'list': {
      const inquiries = routed.subjects.flatMap((one) => [...one.inquiries, ...lateInquiry(one, now)]);
      const told = lists.get(routed.subjects) ?? listFound(routed.rule, routed.subjects, window);
      lists.set(routed.subjects, told);
      return { steps: routed.steps, inquiries, ...told };
    }
  }
}

type Told = Pick<Found, 'rule' | 'status' | 'periods'>;

function userFound(rule: string, { reading, isLate }: Subject): Told {
  if (reading === undefined || isLate === true) return { rule: 'deadline', status: statusOf('5.1', LATE_DETAIL) };
  switch (reading.kind) {
    case 'periods':
      return { rule, status: statusOf('2.0'), periods: reading.periods };
    case 'unknown':
      return { rule: 'not-at-server', status: statusOf('3.7') };
    case 'refused':
      return { rule: 'server-refused', status: statusOf('3.8', 'The calendar server does not tell.') };
    case 'unusable':
      return { rule: 'answer-unusable', status: statusOf('5.1', 'The calendar server tells no times of this user.') };
    case 'unavailable':
      return { rule: 'server-unavailable', status: statusOf('5.1', 'The calendar server does not answer.') };
  }
}

/** Members whom no server knows are left out; whoever else is missing makes the rest worthless. */
function listFound(rule: string, subjects: readonly Subject[], window: Window): Told {
  const told = subjects.map((subject) => userFound(rule, subject));
  if (told.some(({ status }) => status.code === '3.8'))
    return { rule: 'list-member-refused', status: statusOf('3.8', 'Somebody in this list is not told about.') };
  const missing = told.find(({ status }) => status.code === '5.1');
  if (missing?.rule === 'deadline') return missing;
  if (missing !== undefined)
    return { rule: 'list-member-unavailable', status: statusOf('5.1', 'Nothing is known of somebody in this list.') };
  const known = told.flatMap(({ periods }) => (periods === undefined ? [] : [periods]));
  if (known.length === 0) return { rule: 'list-empty', status: statusOf('5.3', 'Nobody in this list has a calendar.') };
  return { rule, status: statusOf('2.0'), periods: mergePeriods(known.flat(), window) };
}

function stepOf({ mailbox, server, protocol, result, reason, tookMs, from }: Inquiry): Step {
  const why = reason === undefined ? '' : `: ${reason}`;
  const how = from === 'cache' ? ', kept from before' : from === 'shared' ? ', as another question had asked' : '';
  return {
    question: `What does ${server} say of ${mailbox}?`,
    answer: `${result} by ${protocol} in ${Math.round(tookMs)} ms${how}${why}`,
  };
}
