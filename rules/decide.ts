import type { Entry, Expansion, Lookup } from '../src/directory/directory.ts';
import type { Examination, Method } from '../src/itip/message.ts';
import { addressKey, domainOf } from '../src/mail/address.ts';
import type { Decision } from '../src/mail/disposition.ts';
import type { LedgerRow, Mode, Origin } from '../src/queue/store.ts';
import { adapt } from './adapt.ts';
import { judgeAnswer } from './answer.ts';
import { type Discovered, type Homes, homeOf } from './coexistence.ts';
import type { Remembered } from './correlate.ts';
import type { ListClaim } from './lists.ts';
import { judgeMeaning } from './meaning.ts';
import { judgeNews } from './news.ts';
import { matchesDomain } from './peer.ts';
import { describeRecipient, judgeRecipient } from './recipient.ts';
import { recorder } from './recorder.ts';
import { decideUnusual, NOT_EXPANDED } from './unusual.ts';

export type { ListClaim } from './lists.ts';

/** What an administrator set, as far as decisions go. */
export type Policy = {
  readonly domains: ReadonlySet<string>;
  readonly subAddressSeparators: string;
  readonly homes: Homes;
  /** What a match by catch-all alone gets: the mail only, or a post to the calendar of whoever takes the mail. */
  readonly catchAll: 'mail' | 'post';
  /** Outside domains whose iSchedule service may be looked for: `example.com`, `*.example.com`, `*`. None when absent. */
  readonly discover?: readonly string[];
  /** The methods that the server of this URL takes, where somebody said so; else its profile does. */
  readonly methodsAt?: (url: string) => readonly Method[] | undefined;
  /** What becomes of an answer to a UID that the journal does not hold; `post` when absent. */
  readonly unknownUid?: 'post' | 'mail';
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
  /** What the DNS of the recipient's domain says, when he is an outsider that `wantsDiscovery`. */
  readonly discovered?: Discovered;
  /** What the journal holds of the UID of a REPLY, COUNTER or REFRESH; absent when nothing. */
  readonly remembered?: Remembered;
  /** Mailbox of From, and Message-IDs that the message refers to. */
  readonly from?: string;
  readonly references?: readonly string[];
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

/**
 * Whether the DNS of the recipient's domain is worth asking: an outsider in a domain of `policy.discover` whom no line
 * of the map concerns, for whom this is meant, by an author who may say it.
 *
 * What a peer of outside posts is never carried on to whoever the DNS names: that would be an open relay.
 */
export function wantsDiscovery(question: Question, policy: Policy): boolean {
  const domain = domainOf(question.recipient);
  if (policy.discover === undefined || policy.domains.has(domain) || !matchesDomain(policy.discover, domain))
    return false;
  if (isRelayedFromOutside(question)) return false;
  const { discovered: _, ...rest } = question;
  return decide(rest, policy).rule === 'external';
}

function isRelayedFromOutside({ mode, origin }: Question): boolean {
  return mode === 'relay' && origin === 'outside';
}

/** The eight questions of the design, in their order, for one envelope recipient. The first answer that settles it, does. */
export function decide(question: Question, policy: Policy): Decision {
  const record = recorder(question.mode);
  const { note, settle, mailOnly } = record;
  const { examination, recipient } = question;

  if (examination.kind === 'none') {
    note('Is there something to schedule?', `no: ${examination.reason}`);
    return mailOnly('nothing-to-schedule', examination.reason, '5.6.0', { annotate: false });
  }
  const { object: received } = examination;
  note('Is there something to schedule?', `yes: ${received.method} of ${received.component} ${received.uid}`);

  const ours = policy.domains.has(domainOf(recipient));
  const silent: Lookup = { kind: 'no-answer', reason: 'the directory was not asked' };
  const who = ours ? judgeRecipient(question.lookup ?? silent, policy.catchAll) : undefined;
  note('Whose recipient is it?', who === undefined ? 'of no domain of ours' : describeRecipient(who));
  if (who !== undefined && who.kind !== 'user') return decideUnusual(who, received, question, policy, record);
  const entry = who?.entry;
  const annotate = entry !== undefined;

  const isReleased = question.released === true;
  note('Is the user being moved?', describeMove(entry, isReleased));
  if (entry?.moving === true && !isReleased) return settle('moving', { kind: 'hold', reason: 'moving' }, { annotate });

  const author = judgeAnswer(received, question, policy);
  note('May its author say this?', author.answer);
  if (author.kind === 'refused') {
    const refuse = author.isFault ? mailOnly : record.mailInstead;
    return refuse(author.rule, author.reason, author.status, { annotate });
  }
  const { object } = author;

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

  if (!ours && isRelayedFromOutside(question)) {
    // Not even to a server that a map line names: it would be asked with our word and our credentials.
    const reason = 'the recipient is of no domain of ours, and what a peer of outside posts is not relayed';
    note('Which home server?', `none: ${reason}`);
    return mailOnly('external', reason, '5.7.1', { annotate });
  }
  const home = homeOf(recipient, entry, policy.homes, question.discovered);
  note(
    'Which home server?',
    home.kind === 'server'
      ? `${home.server.url}, because ${home.because}`
      : `${home.kind === 'silent' ? 'the DNS does not answer' : 'none'}: ${home.reason}`,
  );
  if (home.kind === 'none') return record.mailInstead(home.rule, home.reason, home.status, { annotate });
  if (home.kind === 'silent')
    return settle('discovery-silent', { kind: 'defer', status: '4.4.3', reason: home.reason }, { annotate });
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
  const adapted = adapt(object, profile, question.ledger, policy.methodsAt?.(home.server.url));
  note('What does that server take?', adapted.answer);
  if (adapted.kind === 'mail') return record.mailInstead(adapted.rule, adapted.reason, adapted.status, { annotate });
  const form = adapted.kind === 'transform' ? { transformation: adapted.transformation } : {};
  const answers = {
    ...(author.author === undefined ? {} : { author: author.author }),
    ...(author.organizer === undefined ? {} : { organizer: author.organizer }),
  };
  return settle('post', { kind: 'post', server: home.server, ...meant.target, ...answers, ...form }, { annotate });
}

function describeMove(entry: Entry | undefined, isReleased: boolean): string {
  if (entry === undefined) return 'not ours';
  if (!entry.moving) return 'no';
  return `yes${entry.movingBy === undefined ? '' : `, by ${entry.movingBy}`}${isReleased ? ', but a person let the post go' : ''}`;
}
