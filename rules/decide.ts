import type { Entry, Expansion, Lookup } from '../src/directory/directory.ts';
import { type Examination, isByAttendee, type SchedulingObject } from '../src/itip/message.ts';
import { addressKey, domainOf, sameAddress } from '../src/mail/address.ts';
import type { Decision, Disposition } from '../src/mail/disposition.ts';
import type { LedgerRow, Mode, Origin } from '../src/queue/store.ts';
import { type Homes, homeOf } from './coexistence.ts';
import { PROFILES } from './data/profiles.ts';
import { judgeList, type ListClaim, postableMembers } from './lists.ts';
import { judgeMeaning } from './meaning.ts';
import { authorOf, judgeNews } from './news.ts';
import { judgeAuthor } from './originator.ts';
import { describeRecipient, judgeRecipient, type RecipientVerdict } from './recipient.ts';
import { type Beside, type Recorder, recorder } from './recorder.ts';

export type { ListClaim } from './lists.ts';

/** What an administrator set, as far as decisions go. */
export type Policy = {
  readonly domains: ReadonlySet<string>;
  readonly subAddressSeparators: string;
  readonly homes: Homes;
  /** What a match by catch-all alone gets: the mail only, or a post to the calendar of whoever takes the mail. */
  readonly catchAll: 'mail' | 'post';
};

/** The facts about one recipient of one message. */
export type Question = {
  readonly mode: Mode;
  readonly origin: Origin;
  /** Envelope recipient; of a post that came from a list, its member. */
  readonly recipient: string;
  readonly examination: Examination;
  /** Absent when it was not asked: nothing to schedule, or not our domain. */
  readonly lookup?: Lookup;
  /** A person let the held post go: he says that it need not wait, or that a room nobody named is meant. */
  readonly released?: boolean;
  /** Lists that ORCPT, Delivered-To or the expanded post name, and that the object has as ATTENDEE. */
  readonly lists?: readonly ListClaim[];
  /** Who is in the recipient, when he is a group that `wantsExpansion`. */
  readonly expansion?: Expansion;
  /** An earlier message with this Message-ID went to this recipient through us, and this one carries our Received. */
  readonly cameBack?: boolean;
  /** Spelling by which the author of this REPLY, one of ours, was invited. */
  readonly invitedAs?: string;
  /** What the ledger holds of (user, UID). */
  readonly ledger: readonly LedgerRow[];
};

/**
 * Who the ledger, the order of posts and `ledger` above know this recipient as: the entry's primary address; for an
 * outsider his own. Undefined while the directory has not said.
 */
export function userOf(recipient: string, lookup: Lookup | undefined, policy: Policy): string | undefined {
  if (!policy.domains.has(domainOf(recipient))) return addressKey(recipient);
  if (lookup?.kind !== 'found') return undefined;
  return addressKey(lookup.entries[0].mail);
}

/** Whether the recipient is a list whose members the decision depends on: only then it is worth expanding. */
export function wantsExpansion(question: Question, policy: Policy): boolean {
  const { expansion: _, ...rest } = question;
  return decide(rest, policy).rule === NOT_EXPANDED;
}

const NOT_EXPANDED = 'list-not-expanded';

/** The eight questions of the design, in their order, for one envelope recipient. The first answer that settles it, does. */
export function decide(question: Question, policy: Policy): Decision {
  const { note, settle, mailOnly } = recorder(question.mode);
  const { examination, recipient } = question;

  if (examination.kind === 'none') {
    note('Is there something to schedule?', `no: ${examination.reason}`);
    return mailOnly('nothing-to-schedule', examination.reason, '5.6.0', { annotate: false });
  }
  const { object } = examination;
  note('Is there something to schedule?', `yes: ${object.method} of ${object.component} ${object.uid}`);

  const ours = policy.domains.has(domainOf(recipient));
  const silent: Lookup = { kind: 'no-answer', reason: 'the directory was not asked' };
  const who = ours ? judgeRecipient(question.lookup ?? silent, policy.catchAll) : undefined;
  note('Whose recipient is it?', who === undefined ? 'of no domain of ours' : describeRecipient(who));
  if (who?.kind === 'list') return decideList(who, object, question, policy, { note, settle, mailOnly });
  if (who !== undefined && who.kind !== 'user') return settleUnusual(who, question.mode, { note, settle, mailOnly });
  const entry = who?.entry;
  const annotate = entry !== undefined;

  const isReleased = question.released === true;
  note('Is the user being moved?', describeMove(entry, isReleased));
  if (entry?.moving === true && !isReleased) return settle('moving', { kind: 'hold', reason: 'moving' }, { annotate });

  const author = judgeAuthor(object, question.origin, policy.domains, question.ledger);
  const invitedAs = author.rule === 'author-accepted' ? authorInvitedAs(object, question.invitedAs) : undefined;
  note(
    'May its author say this?',
    author.rule === 'author-accepted'
      ? `yes${invitedAs === undefined ? '' : `; ${invitedAs.from} was invited as ${invitedAs.to}`}`
      : `no: ${author.reason}`,
  );
  if (author.rule !== 'author-accepted') return mailOnly(author.rule, author.reason, '5.7.1', { annotate });

  const meant = judgeMeaning(object, entry, question, policy);
  note('Is the recipient meant?', meant.answer);
  switch (meant.kind) {
    case 'organizer':
      return settle('own-organizer', { kind: 'none', reason: meant.reason }, { annotate });
    case 'silent':
      return settle('directory-silent', { kind: 'defer', status: '4.4.3', reason: meant.reason }, { annotate });
    case 'not-meant': {
      const more = { annotate, ...(meant.alarm ? { alarm: true } : {}) };
      // A room that nobody named: a person says whether it is meant.
      if (meant.waits) return settle('not-attendee', { kind: 'hold', reason: meant.reason }, more);
      return mailOnly('not-attendee', meant.reason, '5.6.0', more);
    }
  }

  const news = judgeNews(object, question.ledger);
  note('Is it news?', news === 'news' ? 'yes' : `no: ${news}`);
  if (news !== 'news') return settle(news, { kind: 'none', reason: news }, { annotate });

  const home = homeOf(recipient, entry, policy.homes);
  note(
    'Which home server?',
    home.kind === 'server' ? `${home.server.url}, because ${home.because}` : `none: ${home.reason}`,
  );
  if (home.kind === 'none') return mailOnly(home.rule, home.reason, home.status, { annotate });
  if (home.kind === 'misconfigured') {
    const { rule, reason } = home;
    return settle(rule, { kind: 'defer', status: '4.3.5', reason, alarm: true }, { annotate, alarm: true });
  }
  if (question.cameBack === true && !isReleased) {
    const reason = `this message came back to us: two servers each take the other for the home of ${entry?.mail ?? recipient}`;
    note('Has it been here before?', `yes: ${reason}`);
    return settle('came-back', { kind: 'hold', reason }, { annotate, alarm: true });
  }

  const { profile } = home.server;
  const { methods } = PROFILES[profile];
  const taken = methods.length === 0 ? 'invitations by mail only' : methods.join(', ');
  note('What does that server take?', `profile ${profile}: ${taken}`);
  if (methods.length === 0)
    return mailOnly('by-mail', `profile ${profile} takes invitations by mail`, '5.2.1', { annotate });
  if (!methods.includes(object.method))
    return mailOnly('method-not-taken', `profile ${profile} does not take ${object.method}`, '5.6.0', { annotate });
  const from = invitedAs === undefined ? {} : { author: invitedAs };
  return settle('post', { kind: 'post', server: home.server, ...meant.target, ...from }, { annotate });
}

/** Question 2 where the answer is not one user who may be posted to. */
function settleUnusual(
  who: Exclude<RecipientVerdict, { kind: 'user' | 'list' }>,
  mode: Mode,
  { settle, mailOnly }: Recorder,
): Decision {
  switch (who.kind) {
    case 'silent':
      return settle('directory-silent', { kind: 'defer', status: '4.4.3', reason: who.reason }, { annotate: true });
    case 'unknown': {
      if (who.takenBy === undefined)
        return mailOnly('unknown-recipient', 'the directory knows no such address', '5.1.1', { annotate: false });
      return mailOnly('catch-all', 'only a catch-all has the address', '5.1.1', { annotate: false });
    }
    case 'ambiguous': {
      const reason = 'ambiguous';
      const post: Disposition = mode === 'final' ? { kind: 'hold', reason } : { kind: 'none', reason };
      return settle('ambiguous', post, { annotate: true, alarm: true });
    }
    case 'inactive': {
      const { reason } = who;
      const post: Disposition =
        mode === 'final' ? { kind: 'defer', status: '4.2.1', reason } : { kind: 'none', reason };
      return settle('inactive', post, { annotate: true, ...(who.alarm ? { alarm: true } : {}) });
    }
    case 'disabled':
      return mailOnly('disabled', who.reason, '5.2.1', { annotate: true });
  }
}

/**
 * A list that arrived unexpanded: one post for each of its members, each of which is decided by itself. Its mail goes
 * on to the list as it came, so it is never annotated.
 */
function decideList(
  { entry, off }: Extract<RecipientVerdict, { kind: 'list' }>,
  object: SchedulingObject,
  question: Question,
  policy: Policy,
  { note, settle, mailOnly }: Recorder,
): Decision {
  const annotate = false;
  if (question.mode === 'final') return mailOnly('list', 'the address is a list', '5.2.1', { annotate });
  const without = (rule: string, reason: string, more: Partial<Beside> = {}): Decision =>
    settle(rule, { kind: 'none', reason }, { annotate, ...more });
  if (off !== undefined) {
    const alarm = off.kind === 'inactive' && off.alarm ? { alarm: true } : {};
    return without(off.kind, off.reason, alarm);
  }

  const author = judgeAuthor(object, question.origin, policy.domains, question.ledger);
  note('May its author say this?', author.rule === 'author-accepted' ? 'yes' : `no: ${author.reason}`);
  if (author.rule !== 'author-accepted') return without(author.rule, author.reason);

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

function describeMove(entry: Entry | undefined, isReleased: boolean): string {
  if (entry === undefined) return 'not ours';
  if (!entry.moving) return 'no';
  return `yes${entry.movingBy === undefined ? '' : `, by ${entry.movingBy}`}${isReleased ? ', but a person let the post go' : ''}`;
}

/** The author of a REPLY was invited by another address than the one that his calendar server puts there. */
function authorInvitedAs(
  object: SchedulingObject,
  invitedAs: string | undefined,
): { readonly from: string; readonly to: string } | undefined {
  const from = authorOf(object);
  if (!isByAttendee(object.method) || from === undefined || invitedAs === undefined) return undefined;
  return sameAddress(from, invitedAs) ? undefined : { from, to: invitedAs };
}
