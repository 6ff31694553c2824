import type { Lookup } from '../src/directory/directory.ts';
import type { Examination, SchedulingObject } from '../src/itip/message.ts';
import { addressKey, domainOf, sameAddress } from '../src/mail/address.ts';
import type { CalendarServer, Decision, Disposition, Step } from '../src/mail/disposition.ts';
import type { PermanentStatus } from '../src/mail/status.ts';
import type { LedgerRow, Mode, Origin } from '../src/queue/store.ts';
import { judgeAttendance } from './attendance.ts';
import { type Homes, homeOfOutsider, homeOfUser } from './coexistence.ts';
import { PROFILES } from './data/profiles.ts';
import { judgeNews } from './news.ts';
import { judgeAuthor } from './originator.ts';
import { judgeRecipient, type RecipientVerdict } from './recipient.ts';

/** What an administrator set, as far as decisions go. */
export type Policy = {
  readonly domains: ReadonlySet<string>;
  readonly subAddressSeparators: string;
  readonly homes: Homes;
};

/** The facts about one recipient of one message. */
export type Question = {
  readonly mode: Mode;
  readonly origin: Origin;
  /** Envelope recipient. */
  readonly recipient: string;
  readonly examination: Examination;
  /** Absent when it was not asked: nothing to schedule, or not our domain. */
  readonly lookup?: Lookup;
  /** A person has looked at the held post and let it go: he, not question 5, says that the recipient is meant. */
  readonly released?: boolean;
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

/** The eight questions of the design, in their order, for one envelope recipient. The first answer that settles it, does. */
export function decide(question: Question, policy: Policy): Decision {
  const steps: Step[] = [];
  const note = (asked: string, answer: string): void => void steps.push({ question: asked, answer });
  const settle = (rule: string, post: Disposition, more: { annotate: boolean; alarm?: boolean }): Decision => ({
    post,
    rule,
    steps,
    ...more,
  });
  /** No post: in `final` a refusal, since there the post is all there is. */
  const mailOnly = (
    rule: string,
    reason: string,
    status: PermanentStatus,
    more: { annotate: boolean; alarm?: boolean },
  ): Decision =>
    settle(rule, question.mode === 'final' ? { kind: 'reject', status, reason } : { kind: 'none', reason }, more);

  const { examination } = question;
  if (examination.kind === 'none') {
    note('Is there something to schedule?', `no: ${examination.reason}`);
    return mailOnly('nothing-to-schedule', examination.reason, '5.6.0', { annotate: false });
  }
  const { object } = examination;
  note('Is there something to schedule?', `yes: ${object.method} of ${object.component} ${object.uid}`);

  const ours = policy.domains.has(domainOf(question.recipient));
  const who = ours
    ? judgeRecipient(question.lookup ?? { kind: 'no-answer', reason: 'the directory was not asked' })
    : undefined;
  note('Whose recipient is it?', who === undefined ? 'of no domain of ours' : describeRecipient(who));
  if (who !== undefined && who.kind !== 'user') return settleUnusual(who, question, settle, mailOnly);
  const entry = who?.entry;

  note('Is the user being moved?', entry === undefined ? 'not ours' : entry.moving ? 'yes' : 'no');
  if (entry?.moving === true) {
    return settle('moving', { kind: 'hold', reason: 'moving' }, { annotate: true });
  }
  const annotate = entry !== undefined;

  const author = judgeAuthor(object, question.origin, policy.domains, question.ledger);
  note('May its author say this?', author.rule === 'author-accepted' ? 'yes' : `no: ${author.reason}`);
  if (author.rule !== 'author-accepted') return mailOnly(author.rule, author.reason, '5.7.1', { annotate });

  const known = entry?.mail ?? question.recipient;
  const attendance = judgeAttendance(
    object,
    [known, ...(entry?.addresses ?? []), question.recipient],
    policy.subAddressSeparators,
  );
  if (attendance.kind === 'organizer') {
    note('Is the recipient meant?', `as the ORGANIZER of his own ${object.method}`);
    return settle(
      'own-organizer',
      { kind: 'none', reason: `the recipient is the ORGANIZER of this ${object.method}` },
      { annotate },
    );
  }
  const isReleased = attendance.kind === 'not-meant' && question.released === true;
  note(
    'Is the recipient meant?',
    attendance.kind === 'meant'
      ? `yes, as ${attendance.spelling}`
      : `${isReleased ? 'yes, says who released it' : 'no'}: ${attendance.reason}`,
  );
  if (attendance.kind === 'not-meant' && !isReleased) {
    if (question.mode === 'final' && entry?.kind === 'resource') {
      return settle('not-attendee', { kind: 'hold', reason: attendance.reason }, { annotate, alarm: true });
    }
    return mailOnly('not-attendee', attendance.reason, '5.6.0', { annotate });
  }

  const news = judgeNews(object, question.ledger);
  note('Is it news?', news === 'news' ? 'yes' : `no: ${news}`);
  if (news !== 'news') return settle(news, { kind: 'none', reason: news }, { annotate });

  let server: CalendarServer | undefined;
  if (entry === undefined) {
    server = homeOfOutsider(question.recipient, policy.homes);
    note('Which home server?', server === undefined ? 'none: external' : `${server.url}, by the domain map`);
    if (server === undefined)
      return mailOnly('external', 'the recipient is of no domain of ours', '5.7.1', { annotate: false });
  } else {
    const home = homeOfUser(entry, policy.homes);
    note(
      'Which home server?',
      home.kind === 'server' ? `${home.server.url}, because ${home.because}` : `none: ${home.reason}`,
    );
    if (home.kind === 'none') return mailOnly(home.rule, home.reason, '5.2.1', { annotate });
    if (home.kind === 'misconfigured') {
      return settle(
        'marker-unknown',
        { kind: 'defer', status: '4.3.5', reason: home.reason, alarm: true },
        { annotate, alarm: true },
      );
    }
    server = home.server;
  }
  return decideProfile(server, object, attendance.kind === 'meant' ? attendance.spelling : known, known, annotate);

  function decideProfile(
    home: CalendarServer,
    of: SchedulingObject,
    spelling: string,
    recipient: string,
    annotated: boolean,
  ): Decision {
    const { methods } = PROFILES[home.profile];
    const taken = methods.includes(of.method);
    note(
      'What does that server take?',
      `profile ${home.profile}: ${methods.length === 0 ? 'invitations by mail only' : methods.join(', ')}`,
    );
    if (methods.length === 0)
      return mailOnly('by-mail', `profile ${home.profile} takes invitations by mail`, '5.2.1', { annotate: annotated });
    if (!taken)
      return mailOnly('method-not-taken', `profile ${home.profile} does not take ${of.method}`, '5.6.0', {
        annotate: annotated,
      });
    // Recipient as ATTENDEE or ORGANIZER spells it: Bedework compares the two exactly.
    const target = sameAddress(spelling, recipient) ? { recipient: spelling } : { recipient, rewrite: spelling };
    return settle('post', { kind: 'post', server: home, ...target }, { annotate: annotated });
  }
}

type Settle = (rule: string, post: Disposition, more: { annotate: boolean; alarm?: boolean }) => Decision;
type MailOnly = (
  rule: string,
  reason: string,
  status: PermanentStatus,
  more: { annotate: boolean; alarm?: boolean },
) => Decision;

function settleUnusual(
  who: Exclude<RecipientVerdict, { kind: 'user' }>,
  question: Question,
  settle: Settle,
  mailOnly: MailOnly,
): Decision {
  switch (who.kind) {
    case 'silent':
      return settle('directory-silent', { kind: 'defer', status: '4.4.3', reason: who.reason }, { annotate: true });
    case 'unknown':
      return mailOnly('unknown-recipient', 'the directory knows no such address', '5.1.1', { annotate: false });
    case 'ambiguous': {
      const reason = 'ambiguous';
      const post: Disposition = question.mode === 'final' ? { kind: 'hold', reason } : { kind: 'none', reason };
      return settle('ambiguous', post, { annotate: true, alarm: true });
    }
    case 'list':
      return mailOnly('list', 'the address is a list', '5.2.1', { annotate: false });
    case 'inactive': {
      const post: Disposition =
        question.mode === 'final'
          ? { kind: 'defer', status: '4.2.1', reason: who.reason }
          : { kind: 'none', reason: who.reason };
      return settle('inactive', post, { annotate: true, ...(who.alarm ? { alarm: true } : {}) });
    }
    case 'disabled':
      return mailOnly('disabled', who.reason, '5.2.1', { annotate: true });
  }
}

function describeRecipient(who: RecipientVerdict): string {
  switch (who.kind) {
    case 'user':
      return `${who.entry.dn}, by ${who.entry.matchedBy}`;
    case 'silent':
      return `the directory does not answer: ${who.reason}`;
    case 'unknown':
      return 'the directory knows no such address';
    case 'ambiguous':
      return `${who.entries.length} entries have this address: ${who.entries.map((entry) => entry.dn).join(' | ')}`;
    case 'list':
      return `${who.entry.dn}, a list, by ${who.entry.matchedBy}`;
    case 'inactive':
    case 'disabled':
      return `${who.entry.dn}, by ${who.entry.matchedBy}; ${who.reason}`;
  }
}
