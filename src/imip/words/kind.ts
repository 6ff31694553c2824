import type { Method } from '../../itip/message.ts';
import type { EventFacts } from '../event-facts.ts';
import type { Strings } from './en.ts';

/** What a mail is to the one who reads it. */
export type Kind =
  | 'invitation'
  | 'update'
  | 'cancellation'
  | 'reply'
  | 'counter'
  | 'declined-counter'
  | 'refresh'
  | 'add'
  | 'failure';

/** @param known whether the recipient was sent this event before */
export function kindOf(method: Method, known: boolean): Kind {
  switch (method) {
    case 'PUBLISH':
    case 'REQUEST':
      return known ? 'update' : 'invitation';
    case 'CANCEL':
      return 'cancellation';
    case 'REPLY':
      return 'reply';
    case 'COUNTER':
      return 'counter';
    case 'DECLINECOUNTER':
      return 'declined-counter';
    case 'REFRESH':
      return 'refresh';
    case 'ADD':
      return 'add';
  }
}

/** Colour and emphasis. */
export type Tone = 'new' | 'changed' | 'cancelled' | 'answer';

export type Lead = { readonly kind: keyof Strings; readonly lead: keyof Strings; readonly tone: Tone };

const ANSWERS: Readonly<Record<string, Lead>> = {
  ACCEPTED: { kind: 'kindAccepted', lead: 'leadAccepted', tone: 'answer' },
  DECLINED: { kind: 'kindDeclined', lead: 'leadDeclined', tone: 'cancelled' },
  TENTATIVE: { kind: 'kindTentative', lead: 'leadTentative', tone: 'changed' },
  DELEGATED: { kind: 'kindDelegated', lead: 'leadDelegated', tone: 'changed' },
  COMPLETED: { kind: 'kindCompleted', lead: 'leadCompleted', tone: 'answer' },
};

/** Which words and which tone a mail begins with. */
export function leadOf(kind: Kind, event: EventFacts): Lead {
  switch (kind) {
    case 'invitation':
      if (event.method === 'PUBLISH') return { kind: 'kindPublication', lead: 'leadPublication', tone: 'new' };
      if (event.component === 'VTODO') return { kind: 'kindTask', lead: 'leadTask', tone: 'new' };
      return { kind: 'kindInvitation', lead: 'leadInvitation', tone: 'new' };
    case 'update':
      return { kind: 'kindUpdate', lead: 'leadUpdate', tone: 'changed' };
    case 'cancellation':
      // Without STATUS:CANCELLED it tells one attendee that he is no longer wanted (RFC 5546 §3.2.5).
      return event.status === 'CANCELLED' || event.recurrenceId !== undefined
        ? { kind: 'kindCancellation', lead: 'leadCancellation', tone: 'cancelled' }
        : { kind: 'kindWithdrawal', lead: 'leadWithdrawal', tone: 'cancelled' };
    case 'reply': {
      const [attendee] = event.attendees;
      const answer = ANSWERS[attendee?.partstat ?? ''];
      if (answer?.kind === 'kindDelegated' && attendee?.delegatedTo !== undefined)
        return { ...answer, lead: 'leadDelegatedTo' };
      return answer ?? { kind: 'kindAnswer', lead: 'leadAnswer', tone: 'answer' };
    }
    case 'counter':
      return { kind: 'kindCounter', lead: 'leadCounter', tone: 'changed' };
    case 'declined-counter':
      return { kind: 'kindDeclinedCounter', lead: 'leadDeclinedCounter', tone: 'cancelled' };
    case 'refresh':
      return { kind: 'kindRefresh', lead: 'leadRefresh', tone: 'answer' };
    case 'add':
      return { kind: 'kindAdd', lead: 'leadAdd', tone: 'new' };
    case 'failure':
      return { kind: 'kindFailure', lead: failureLead(event.method), tone: 'cancelled' };
  }
}

function failureLead(method: Method): keyof Strings {
  if (method === 'REQUEST') return 'leadFailureInvitation';
  return method === 'CANCEL' ? 'leadFailureCancellation' : 'leadFailureOther';
}
