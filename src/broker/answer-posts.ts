import type { AnswerFreeBusy, PostedQuestion } from '../../channel/ischedule/receive.ts';
import { composeBusyReply } from '../freebusy/compose.ts';
import { addressKey, calendarAddress, reachableAt } from '../mail/address.ts';
import type { Broker, BusyAnswer } from './question.ts';

export type PostAnswererOptions = {
  readonly broker: Pick<Broker, 'ask'>;
  readonly clock: () => number;
};

/** Answers VFREEBUSY that other calendar servers post (draft-desruisseaux-ischedule-05 §5; RFC 5546 §3.3.3). */
export function createPostAnswerer({ broker, clock }: PostAnswererOptions): AnswerFreeBusy {
  return async (question) => {
    const { peer, originator, recipients, object, hops, signal } = question;
    if (peer.busy === undefined) return recipients.map(() => NOT_ALLOWED);
    const answers = await broker.ask(
      {
        asker: { name: peer.name, access: peer.busy },
        originator,
        attendees: recipients,
        window: { startMs: object.startMs, endMs: object.endMs },
        hops,
      },
      signal,
    );
    const spelled = spellings(question);
    return answers.map((answer) =>
      answer.status.code === '2.0'
        ? { ...answer.status, calendarData: replyOf(answer, question, spelled, clock()) }
        : answer.status,
    );
  };
}

/** Everybody alike, so that it tells nothing about anybody. */
const NOT_ALLOWED = {
  code: '3.8',
  description: 'No authority',
  detail: 'This server may not ask for busy times here.',
};

/** Those who ask compare addresses as strings: each is named as the question names him. */
function spellings({ object }: PostedQuestion): ReadonlyMap<string, string> {
  const spelled = new Map<string, string>();
  for (const user of object.attendees) {
    const mailbox = reachableAt(user);
    if (mailbox !== undefined && !spelled.has(addressKey(mailbox))) spelled.set(addressKey(mailbox), user.uri);
  }
  return spelled;
}

function replyOf(
  { attendee, periods, window }: BusyAnswer,
  { object }: PostedQuestion,
  spelled: ReadonlyMap<string, string>,
  now: number,
): string {
  const reply = composeBusyReply({
    uid: object.uid,
    organizer: object.organizer.uri,
    attendee: spelled.get(addressKey(attendee)) ?? calendarAddress(attendee),
    window,
    periods,
    now,
  });
  return reply.toString('utf8');
}
