import type { ContentType } from '../src/itip/content-type.ts';
import { formatUtc } from '../src/itip/date-time.ts';
import { type CalendarUser, isByAttendee } from '../src/itip/message.ts';
import type { AttachmentKind, Posted, PostedFacts } from '../src/itip/posted.ts';
import { addressKey, reachableAt } from '../src/mail/address.ts';
import { ACCEPTED_MESSAGES, type AcceptedMessage } from './data/methods.ts';
import { type Precondition, type Refusal, refusal } from './data/preconditions.ts';
import type { Dialect } from './peer.ts';

/** A calendar user as a header names him; without a mailbox it is a URI of another scheme, or no address at all. */
export type HeaderUser = { readonly uri: string; readonly mailbox?: string };

/** The headers of a post as they came, duplicates and all, lists taken apart. */
export type PostHeaders = {
  readonly versions: readonly string[];
  readonly originators: readonly HeaderUser[];
  readonly recipients: readonly HeaderUser[];
  readonly contentTypes: readonly ContentType[];
  /** Name, in lower case, of a header with a control character in it. */
  readonly damaged?: string;
};

/** What a post may hold; announced as capabilities. */
export type AcceptLimits = {
  readonly maxContentLength: number;
  readonly maxRecipients: number;
  /** ms since the epoch */
  readonly minDateMs?: number;
  readonly maxDateMs?: number;
  readonly maxInstances?: number;
  readonly attachments: readonly AttachmentKind[];
  /** {@link ACCEPTED_MESSAGES} when absent. */
  readonly messages?: readonly AcceptedMessage[];
};

/** Headers with nothing wrong in them. What is undefined was missing, as draft -00 allows, and follows from the object. */
export type RightHeaders = {
  readonly kind: 'right';
  readonly originator: string | undefined;
  readonly recipients: readonly HeaderUser[] | undefined;
  readonly method: string | undefined;
  readonly component: string | undefined;
  readonly charset: string | undefined;
  /** Something is missing that only draft -00 leaves out: none but a peer of that dialect may send this. */
  readonly isDraft00: boolean;
};

/** A post that may be taken, once its peer may speak for the Originator. */
export type RightPost = {
  readonly kind: 'right';
  /** Mailbox. */
  readonly originator: string;
  /** As the headers name them, else as the object does; never empty. One without a mailbox is nobody we can reach: 3.7. */
  readonly recipients: readonly HeaderUser[];
  readonly posted: Extract<Posted, { kind: 'object' | 'free-busy' }>;
};

/** What a damaged header makes wrong. */
const DAMAGED: Readonly<Record<string, Precondition>> = {
  'ischedule-version': 'version-not-supported',
  originator: 'originator-invalid',
  recipient: 'recipient-mismatch',
  'content-type': 'invalid-calendar-data-type',
  'dkim-signature': 'verification-failed',
  authorization: 'verification-failed',
};

/**
 * Judges a post by its headers alone (draft-desruisseaux-ischedule-05 §6.1), in the order in which Cyrus does.
 * @param dialect as `dialectOf` says of who sends it
 */
export function judgeHeaders(headers: PostHeaders, dialect: Dialect, limits: AcceptLimits): RightHeaders | Refusal {
  const { versions, originators, recipients, damaged } = headers;
  const isOld = dialect === 'draft00';
  if (damaged !== undefined)
    return refusal(DAMAGED[damaged] ?? 'invalid-scheduling-message', `found a control character in ${damaged}`);

  const isVersionRight = versions.includes('1.0');
  if (!isVersionRight && !(isOld && versions.every((version) => version === '1'))) {
    const found = versions.length === 0 ? 'no iSchedule-Version' : `iSchedule-Version ${clip(versions.join(', '))}`;
    // Whoever set up a v7 reads it in the log: the address is of no peer, or its dialect was forgotten.
    const more = versions.length === 0 ? ': only peers of dialect draft00, by address, go without' : '';
    return refusal('version-not-supported', `found ${found}, wanted 1.0${more}`);
  }

  const type = judgeType(headers.contentTypes, isOld);
  if (type.kind === 'refused') return type;

  const [originator] = originators;
  if (originators.length > 1)
    return refusal('too-many-originators', `found ${originators.length} Originator headers, wanted one`);
  if (originator === undefined && !isOld)
    return refusal('originator-missing', 'found no Originator header, wanted one with a mailto: address');
  if (originator !== undefined && originator.mailbox === undefined)
    return refusal('originator-invalid', `found Originator ${clip(originator.uri)}, wanted one mailto: address`);

  if (recipients.length === 0 && !isOld)
    return refusal('recipient-missing', 'found no Recipient header, wanted at least one');
  const crowd = judgeNumber(recipients, limits);
  if (crowd !== undefined) return crowd;

  const { method, component, charset } = type;
  const isWhole = originator !== undefined && recipients.length > 0 && method !== undefined && component !== undefined;
  return {
    kind: 'right',
    originator: originator?.mailbox,
    recipients: recipients.length === 0 ? undefined : recipients,
    method,
    component,
    charset,
    isDraft00: !isVersionRight || !isWhole,
  };
}

/** @param bytes of the body, or what Content-Length says of it */
export function judgeLength(bytes: number, { maxContentLength }: AcceptLimits): Refusal | undefined {
  return bytes > maxContentLength
    ? refusal('max-content-length', `found ${bytes} octets, wanted at most ${maxContentLength}`)
    : undefined;
}

/**
 * Judges a post by what stands in it: a message that we take, the one that the headers announce, from who sends it and
 * for those whom it names (protocols: which addresses must match the body), within the limits.
 *
 * A REQUEST or CANCEL need not go to all its ATTENDEEs: those of another server, or who were removed, get their own.
 */
export function judgeBody(posted: Posted, headers: RightHeaders, limits: AcceptLimits): RightPost | Refusal {
  if (posted.kind === 'too-large') return refusal('max-content-length', posted.reason);
  if (posted.kind === 'unreadable') return refusal('invalid-calendar-data', posted.reason);
  if (posted.kind === 'unschedulable') return refusal('invalid-scheduling-message', posted.reason);
  const { method, component } = posted.object;

  for (const [name, said, found] of [
    ['method', headers.method, method],
    ['component', headers.component, component],
  ] as const) {
    if (said !== undefined && said.toUpperCase() !== found) {
      const text = `found ${name}=${clip(said)} in Content-Type and ${found} in the body, wanted the same`;
      return refusal('invalid-scheduling-message', text);
    }
  }
  const taken = (limits.messages ?? ACCEPTED_MESSAGES).find((one) => one.component === component)?.methods ?? [];
  if (!taken.includes(method)) {
    const other = component === 'VFREEBUSY' ? 'another component: no busy times are told here' : 'another component';
    const wanted = taken.length === 0 ? other : `one of ${taken.join(', ')}`;
    return refusal('invalid-scheduling-message', `found ${method} of ${component}, wanted ${wanted}`);
  }
  const { organizer } = posted.object;
  if (organizer === undefined)
    return refusal('invalid-scheduling-message', `found a ${method} without ORGANIZER, wanted one`);

  const originator = judgeOriginator(posted, organizer, headers.originator);
  if (originator.kind === 'refused') return originator;
  const recipients = judgeRecipients(posted, organizer, headers.recipients, limits);
  if ('kind' in recipients) return recipients;
  return judgeFacts(posted.facts, limits) ?? { kind: 'right', originator: originator.mailbox, recipients, posted };
}

type RightType = {
  readonly kind: 'right';
  readonly method: string | undefined;
  readonly component: string | undefined;
  readonly charset: string | undefined;
};

function judgeType(contentTypes: readonly ContentType[], isOld: boolean): RightType | Refusal {
  const [contentType, ...more] = contentTypes;
  const wrong = (found: string): Refusal =>
    refusal('invalid-calendar-data-type', `found ${found}, wanted text/calendar`);
  if (contentType === undefined) return wrong('no Content-Type');
  if (more.length > 0) return wrong(`${contentTypes.length} Content-Type headers`);
  if (contentType.type !== 'text/calendar') return wrong(clip(contentType.type) || 'a Content-Type that is none');

  const { parameters } = contentType;
  for (const name of ['component', 'method', 'charset']) {
    const values = parameters.get(name) ?? [];
    if (values.length > 1)
      return refusal('invalid-scheduling-message', `found ${values.length} ${name} parameters in Content-Type`);
  }
  const charset = parameters.get('charset')?.[0]?.trim();
  if (charset !== undefined && !/^(?:utf-?8|us-ascii)$/i.test(charset))
    return refusal('invalid-calendar-data-type', `found charset=${clip(charset)}, wanted utf-8`);
  const [component, method] = ['component', 'method'].map((name) => parameters.get(name)?.[0]?.trim() || undefined);
  if (!isOld && (component === undefined || method === undefined)) {
    const missing = component === undefined ? 'component' : 'method';
    return refusal(
      'invalid-scheduling-message',
      `found no ${missing} parameter in Content-Type, wanted text/calendar; component=…; method=…`,
    );
  }
  return { kind: 'right', method, component, charset };
}

/** Draft -00 has no Originator header: then it is whoever the object speaks for. */
function judgeOriginator(
  { kind, object }: RightPost['posted'],
  organizer: CalendarUser,
  originator: string | undefined,
): Refusal | { readonly kind: 'right'; readonly mailbox: string } {
  const byAttendee = kind === 'object' && isByAttendee(object.method);
  const role = byAttendee ? 'ATTENDEE' : 'ORGANIZER';
  const author = byAttendee ? object.attendees[0] : organizer;
  if (author?.mailbox === undefined)
    return refusal('originator-invalid', `found ${role} ${clip(author?.uri ?? '')}, wanted a mailto: address`);
  if (originator !== undefined && addressKey(originator) !== addressKey(author.mailbox)) {
    const found = `Originator ${clip(originator)} and ${role} ${clip(author.mailbox)}`;
    return refusal('originator-invalid', `found ${found}, wanted the same in a ${object.method}`);
  }
  return { kind: 'right', mailbox: originator ?? author.mailbox };
}

/** Draft -00 has no Recipient header: then it is for all whom the object means. */
function judgeRecipients(
  { kind, object }: RightPost['posted'],
  organizer: CalendarUser,
  recipients: readonly HeaderUser[] | undefined,
  limits: AcceptLimits,
): Refusal | readonly HeaderUser[] {
  const { method } = object;
  const toOrganizer = kind === 'object' && isByAttendee(object.method);
  const meant: readonly CalendarUser[] = toOrganizer ? [organizer] : object.attendees;
  if (recipients === undefined) {
    if (meant.length === 0)
      return refusal('recipient-missing', `found neither Recipient nor ATTENDEE in a ${method}, wanted at least one`);
    return judgeNumber(meant, limits) ?? meant.map(headerUser);
  }
  const role = toOrganizer ? 'the ORGANIZER' : 'an ATTENDEE';
  const users = new Map(meant.map(headerUser).flatMap((user) => keysOf(user).map((key) => [key, user] as const)));
  const stranger = recipients.find((recipient) => !users.has(userKey(recipient)));
  if (stranger !== undefined)
    return refusal('recipient-mismatch', `found Recipient ${clip(stranger.uri)}, wanted ${role} of the ${method}`);
  if (kind === 'free-busy') {
    const asked = new Set(recipients.map(userKey));
    const left = meant.find((user) => !keysOf(headerUser(user)).some((key) => asked.has(key)));
    if (left !== undefined)
      return refusal(
        'recipient-mismatch',
        `found ATTENDEE ${clip(left.uri)} of VFREEBUSY, wanted a Recipient for each`,
      );
  }
  return recipients.map((recipient) => {
    const mailbox = recipient.mailbox ?? users.get(userKey(recipient))?.mailbox;
    return mailbox === undefined ? recipient : { ...recipient, mailbox };
  });
}

function judgeNumber(recipients: readonly unknown[], { maxRecipients }: AcceptLimits): Refusal | undefined {
  return recipients.length > maxRecipients
    ? refusal('max-recipients', `found more than ${maxRecipients} recipients, wanted at most that many`)
    : undefined;
}

function judgeFacts(facts: PostedFacts, limits: AcceptLimits): Refusal | undefined {
  const { minDateMs, maxDateMs, maxInstances } = limits;
  const { earliestMs, latestMs, instances } = facts;
  if (minDateMs !== undefined && earliestMs !== undefined && earliestMs < minDateMs)
    return refusal('min-date-time', `found ${formatUtc(earliestMs)}, wanted nothing before ${formatUtc(minDateMs)}`);
  if (maxDateMs !== undefined && latestMs !== undefined && latestMs > maxDateMs)
    return refusal('max-date-time', `found ${formatUtc(latestMs)}, wanted nothing after ${formatUtc(maxDateMs)}`);
  if (maxInstances !== undefined && instances > maxInstances)
    return refusal('max-instances', `found up to ${instances} instances, wanted at most ${maxInstances}`);
  const kind = facts.attachments.find((one) => !limits.attachments.includes(one));
  if (kind === undefined) return undefined;
  const wanted = limits.attachments.length === 0 ? 'none' : `${limits.attachments.join(' and ')} ones only`;
  return refusal('attachment-type-not-supported', `found an ${kind} attachment, wanted ${wanted}`);
}

/** With the mailbox of his EMAIL parameter where his URI is none (RFC 7986 §6.2). */
function headerUser(user: CalendarUser): HeaderUser {
  const { uri } = user;
  const mailbox = reachableAt(user);
  return mailbox === undefined ? { uri } : { uri, mailbox };
}

/** He may be named by his URI or by where he is mailed. */
function keysOf({ uri, mailbox }: HeaderUser): readonly string[] {
  return mailbox === undefined ? [uri.toLowerCase()] : [uri.toLowerCase(), addressKey(mailbox)];
}

function userKey({ uri, mailbox }: HeaderUser): string {
  return mailbox === undefined ? uri.toLowerCase() : addressKey(mailbox);
}

function clip(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
