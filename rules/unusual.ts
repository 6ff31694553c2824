import type { SchedulingObject } from '../src/itip/message.ts';
import type { Decision, Disposition } from '../src/mail/disposition.ts';
import type { Mode } from '../src/queue/store.ts';
import type { Policy, Question } from './decide.ts';
import { judgeList, judgeRelayedList, postableMembers } from './lists.ts';
import { judgeAuthor } from './originator.ts';
import type { RecipientVerdict } from './recipient.ts';
import { type Beside, isPostAll, type Recorder } from './recorder.ts';

/** Rule of a list whose members the decision depends on, while nobody has asked for them. */
export const NOT_EXPANDED = 'list-not-expanded';
const ONLY_CATCH_ALL = 'only a catch-all has the address';

/** The rest of the decision where question 2 finds another than one user who may be posted to. */
export function decideUnusual(
  who: Exclude<RecipientVerdict, { kind: 'user' }>,
  object: SchedulingObject,
  question: Question,
  policy: Policy,
  record: Recorder,
): Decision {
  const { settle, mailOnly } = record;
  const { mode } = question;
  switch (who.kind) {
    case 'list':
      return decideList(who, object, question, policy, record);
    case 'silent':
      return settle('directory-silent', { kind: 'defer', status: '4.4.3', reason: who.reason }, { annotate: true });
    case 'unknown': {
      if (who.takenBy === undefined)
        return mailOnly('unknown-recipient', 'the directory knows no such address', '5.1.1', { annotate: false });
      if (mode === 'relay') return decideRelayedCatchAll(object, question, policy, record);
      return mailOnly('catch-all', ONLY_CATCH_ALL, '5.1.1', { annotate: false });
    }
    case 'ambiguous': {
      const reason = 'ambiguous';
      const post: Disposition = isPostAll(mode) ? { kind: 'hold', reason } : { kind: 'none', reason };
      return settle('ambiguous', post, { annotate: true, alarm: true });
    }
    case 'inactive': {
      return settleInactive(who, mode, settle, true);
    }
    case 'disabled':
      return mailOnly('disabled', who.reason, '5.2.1', { annotate: true });
  }
}

/** Whoever takes the mail of a catch-all gets what was posted to it by mail; no forged one, which the post would become. */
function decideRelayedCatchAll(
  object: SchedulingObject,
  question: Question,
  policy: Policy,
  { note, mailOnly, mailInstead }: Recorder,
): Decision {
  const annotate = false;
  const author = judgeAuthor(object, question.origin, policy.domains, question.ledger);
  note('May its author say this?', author.rule === 'author-accepted' ? 'yes' : `no: ${author.reason}`);
  return author.rule === 'author-accepted'
    ? mailInstead('catch-all', ONLY_CATCH_ALL, '5.1.1', { annotate })
    : mailOnly(author.rule, author.reason, '5.7.1', { annotate });
}

function settleInactive(
  { reason, alarm }: { readonly reason: string; readonly alarm: boolean },
  mode: Mode,
  settle: Recorder['settle'],
  annotate: boolean,
): Decision {
  const post: Disposition = isPostAll(mode) ? { kind: 'defer', status: '4.2.1', reason } : { kind: 'none', reason };
  return settle('inactive', post, { annotate, ...(alarm ? { alarm: true } : {}) });
}

/**
 * A list that arrived unexpanded: one post for each of its members, each of which is decided by itself. Its mail goes
 * on to the list as it came, so it is never annotated. What was posted to the list in `relay` it gets by mail: the mail
 * server knows who is in it, and who may write to it.
 */
function decideList(
  { entry, off }: Extract<RecipientVerdict, { kind: 'list' }>,
  object: SchedulingObject,
  question: Question,
  policy: Policy,
  { note, settle, mailOnly, mailInstead }: Recorder,
): Decision {
  const annotate = false;
  const isRelay = question.mode === 'relay';
  if (question.mode === 'final') return mailOnly('list', 'the address is a list', '5.2.1', { annotate });
  const without = (rule: string, reason: string, more: Partial<Beside> = {}): Decision =>
    settle(rule, { kind: 'none', reason }, { annotate, ...more });
  if (off !== undefined) {
    if (off.kind === 'inactive') return settleInactive(off, question.mode, settle, annotate);
    return isRelay ? mailOnly(off.kind, off.reason, '5.2.1', { annotate }) : without(off.kind, off.reason);
  }

  const author = judgeAuthor(object, question.origin, policy.domains, question.ledger);
  note('May its author say this?', author.rule === 'author-accepted' ? 'yes' : `no: ${author.reason}`);
  if (author.rule !== 'author-accepted') {
    const { rule, reason } = author;
    return isRelay ? mailOnly(rule, reason, '5.7.1', { annotate }) : without(rule, reason);
  }
  if (isRelay) {
    const { kind, answer } = judgeRelayedList(entry, question.recipient, object, policy.subAddressSeparators);
    note('Is the recipient meant?', answer);
    if (kind === 'organizer') return without('own-organizer', `the list is the ORGANIZER of this ${object.method}`);
    if (kind === 'not-meant')
      return mailOnly('not-attendee', 'the list is not among the ATTENDEEs', '5.6.0', { annotate });
    return mailInstead('list', 'the address is a list', '5.2.1', { annotate });
  }

  const invited = judgeList(entry, question.recipient, object, policy.subAddressSeparators);
  note('Is the recipient meant?', invited.kind === 'invited' ? `yes, as ${invited.spelling}` : `no: ${invited.reason}`);
  if (invited.kind === 'not-invited') return without(invited.rule, invited.reason);

  const { expansion } = question;
  const asked = 'Who is in the list?';
  if (expansion === undefined || expansion.kind === 'no-answer') {
    const reason = expansion?.reason ?? 'the list was not expanded';
    note(asked, `the directory does not answer: ${reason}`);
    const rule = expansion === undefined ? NOT_EXPANDED : 'directory-silent';
    return settle(rule, { kind: 'defer', status: '4.4.3', reason }, { annotate });
  }
  if (expansion.kind === 'too-large') {
    const reason = `the list has more than ${expansion.limit} members: they get posts once the mail server has expanded it`;
    note(asked, reason);
    return without('list-too-large', reason, { alarm: true });
  }
  if (expansion.restrictedBy !== undefined) {
    const reason = `${expansion.restrictedBy} restricts who may send to a list in this one: its members get posts once the mail server has expanded it`;
    note(asked, reason);
    return without('list-restricted', reason);
  }
  const members = postableMembers(expansion, policy.domains);
  const all = expansion.entries.length + expansion.addresses.length;
  note(asked, `${members.length} of its ${all} members have a calendar with us`);
  if (members.length === 0) return without('list', 'nobody in the list has a calendar with us');
  return settle('list', { kind: 'expand', members }, { annotate });
}
