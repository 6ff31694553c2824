import { judgeAttendance } from '../../rules/attendance.ts';
import { type Discovered, homeOf } from '../../rules/coexistence.ts';
import type { Remembered } from '../../rules/correlate.ts';
import {
  decide,
  type ListClaim,
  type Policy,
  type Question,
  userOf,
  wantsDiscovery,
  wantsExpansion,
} from '../../rules/decide.ts';
import { authorOf } from '../../rules/news.ts';
import type { Directory, Entry, Expansion, Lookup, LookupOptions } from '../directory/directory.ts';
import { type Examination, isByAttendee, type SchedulingObject } from '../itip/message.ts';
import { addressKey, domainOf, sameAddress } from '../mail/address.ts';
import type { Decision } from '../mail/disposition.ts';
import type { Message, Store } from '../queue/store.ts';
import type { Discovery } from './context.ts';

/** What facts are gathered from. */
export type Sources = {
  readonly policy: Policy;
  readonly directory: Pick<Directory, 'lookup' | 'expand'>;
  readonly store: Pick<Store, 'ledger' | 'spelling' | 'passedTo' | 'meeting' | 'sendings'>;
  /** Absent where no rule allows to look for a service. */
  readonly discovery?: Discovery;
};

/** What a decision needs of the message; `id` once it is in the queue. */
export type MessageFacts = Pick<
  Message,
  'mode' | 'origin' | 'passes' | 'messageId' | 'deliveredTo' | 'from' | 'references'
> & {
  readonly id?: string;
};

/** What a decision needs of one recipient's post. */
export type PostFacts = {
  /** Envelope recipient; for a post that came of a list, the member. */
  readonly recipient: string;
  /** As in the envelope: `type;address`. */
  readonly orcpt?: string;
  /** The list that the post came of. */
  readonly list?: string;
  readonly released?: boolean;
};

export type Judged = {
  readonly decision: Decision;
  /** Undefined when the directory was not asked: nothing to schedule, or not our domain. */
  readonly lookup: Lookup | undefined;
  /** As {@link userOf} */
  readonly user: string | undefined;
};

/** Asks the directory about a recipient of our own; nobody else is in it. */
export async function lookUp(
  { policy, directory }: Pick<Sources, 'policy' | 'directory'>,
  recipient: string,
  signal: AbortSignal,
  options?: LookupOptions,
): Promise<Lookup | undefined> {
  return policy.domains.has(domainOf(recipient)) ? directory.lookup(recipient, signal, options) : undefined;
}

/**
 * How long the commit waits for the directory to say whose calendars these are. Only the order of posts profits from
 * it (a post of a user not yet known waits for every other post of its UID), so a slow directory is not waited for.
 */
const IDENTIFY_WAIT_MS = 500;

/**
 * Asks the directory for every recipient of our own at once, for as long as the commit may wait.
 * @returns what it said, by position
 */
export async function identify(
  sources: Pick<Sources, 'policy' | 'directory'>,
  recipients: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Lookup>> {
  const known = new Map<number, Lookup>();
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, IDENTIFY_WAIT_MS);
  const asked = recipients.map(async (address, position) => {
    const lookup = await lookUp(sources, address, signal);
    if (lookup !== undefined) known.set(position, lookup);
  });
  // A look-up that breaks is made again by the attempt; here it must not cost the message.
  await Promise.race([Promise.allSettled(asked), over.promise]);
  clearTimeout(timer);
  return new Map(known);
}

/**
 * Gathers the facts about one recipient, from the directory, the ledger and the queue as they are now, and decides.
 * Nothing is asked that the decision cannot need.
 * @param known what the directory said of the recipient a moment ago
 */
export async function judge(
  sources: Sources,
  message: MessageFacts,
  examination: Examination,
  post: PostFacts,
  signal: AbortSignal,
  known?: Lookup,
): Promise<Judged> {
  const { policy, directory, store } = sources;
  const { mode, origin } = message;
  const { recipient } = post;
  const common = { mode, origin, recipient, examination, released: post.released === true };
  if (examination.kind === 'none') {
    return {
      decision: decide({ ...common, ledger: [] }, policy),
      lookup: undefined,
      user: userOf(recipient, undefined, policy),
    };
  }
  const { object } = examination;
  const lookup = known ?? (await lookUp(sources, recipient, signal));
  const user = userOf(recipient, lookup, policy);
  const lists = await claimLists(sources, message, object, post, lookup, signal);
  const invitedAs = invitedSpelling(sources, object);
  const remembered = recall(store, message, object);
  const { from, references } = message;
  const question: Question = {
    ...common,
    ...(remembered === undefined ? {} : { remembered }),
    ...(from === undefined ? {} : { from }),
    ...(references === undefined ? {} : { references }),
    ledger: user === undefined ? [] : store.ledger(user, object.uid),
    ...(lookup === undefined ? {} : { lookup }),
    ...(lists.length === 0 ? {} : { lists }),
    ...(hasPassedBefore(store, message, post) ? { cameBack: true } : {}),
    ...(invitedAs === undefined ? {} : { invitedAs }),
  };
  if (sources.discovery !== undefined && wantsDiscovery(question, policy)) {
    const discovered = await sources.discovery.find(domainOf(recipient), signal);
    return { decision: decide({ ...question, discovered }, policy), lookup, user };
  }
  const group = onlyEntry(lookup);
  if (group?.kind !== 'group' || !wantsExpansion(question, policy))
    return { decision: decide(question, policy), lookup, user };
  const expansion = await directory.expand(group, signal);
  const decision = decide({ ...question, expansion }, policy);
  return { decision, lookup, user };
}

/**
 * A directory that is asked for the same thing once: many recipients of one message are members of the same list.
 * Made for one round of decisions, and forgotten with it.
 */
export function askedOnce(directory: Pick<Directory, 'lookup' | 'expand'>): Pick<Directory, 'lookup' | 'expand'> {
  const lookups = new Map<string, Promise<Lookup>>();
  const expansions = new Map<string, Promise<Expansion>>();
  return {
    lookup: (address, signal) => once(lookups, addressKey(address), () => directory.lookup(address, signal)),
    expand: (group, signal) => once(expansions, group.dn, () => directory.expand(group, signal)),
  };
}

/** The same for what the DNS says: many recipients are of the same domain. */
export function discoveredOnce(discovery: Discovery): Discovery {
  const found = new Map<string, Promise<Discovered>>();
  return { find: (domain, signal) => once(found, domain, () => discovery.find(domain, signal)) };
}

function once<T>(asked: Map<string, Promise<T>>, key: string, ask: () => Promise<T>): Promise<T> {
  const known = asked.get(key);
  if (known !== undefined) return known;
  const answer = ask();
  asked.set(key, answer);
  return answer;
}

/** The one entry that a look-up found, when it found one. */
export function onlyEntry(lookup: Lookup | undefined): Entry | undefined {
  return lookup?.kind === 'found' && lookup.entries.length === 1 ? lookup.entries[0] : undefined;
}

function isMeant(object: SchedulingObject, addresses: readonly string[], { subAddressSeparators }: Policy): boolean {
  return judgeAttendance(object, addresses, subAddressSeparators).kind !== 'not-meant';
}

/**
 * The lists that the way of the message names and the object invites. Anybody can write these names: that the
 * recipient is a member is for the directory to say. Nobody is asked about a recipient who is invited himself.
 */
async function claimLists(
  sources: Sources,
  { deliveredTo = [] }: MessageFacts,
  object: SchedulingObject,
  { recipient, orcpt, list }: PostFacts,
  lookup: Lookup | undefined,
  signal: AbortSignal,
): Promise<ListClaim[]> {
  const { policy, directory } = sources;
  if (isByAttendee(object.method)) return [];
  const entry = onlyEntry(lookup);
  if (policy.domains.has(domainOf(recipient))) {
    if (entry === undefined || entry.kind === 'group') return [];
  } else if (homeOf(recipient, undefined, policy.homes).kind === 'none') return [];
  if (isMeant(object, [...(entry === undefined ? [] : [entry.mail, ...entry.addresses]), recipient], policy)) return [];

  const named = [list, originalMailbox(orcpt), ...deliveredTo].filter((one) => one !== undefined);
  const candidates = new Map(named.map((address) => [addressKey(address), address]));
  candidates.delete(addressKey(recipient));
  const claims = await Promise.all(
    [...candidates.values()].map(async (address): Promise<ListClaim | undefined> => {
      if (!policy.domains.has(domainOf(address))) return undefined;
      const answer = await directory.lookup(address, signal);
      if (answer.kind === 'no-answer') return { address, lookup: answer };
      const group = onlyEntry(answer);
      // The list may be invited by another of its addresses than the one that the mail took.
      if (group?.kind !== 'group' || !isMeant(object, [group.mail, ...group.addresses, address], policy))
        return undefined;
      return { address, lookup: answer, expansion: await directory.expand(group, signal) };
    }),
  );
  return claims.filter((claim) => claim !== undefined);
}

/** The mailbox of an original recipient (RFC 3461 §4.2, RFC 6533 §3). */
function originalMailbox(orcpt: string | undefined): string | undefined {
  return orcpt === undefined ? undefined : /^(?:rfc822|utf-8);(.+)$/i.exec(orcpt)?.[1];
}

const passed = new WeakMap<MessageFacts, ReadonlySet<string>>();

/** Whether an earlier message of this Message-ID went to this very recipient through us, and this one says it did. */
function hasPassedBefore(store: Sources['store'], message: MessageFacts, post: PostFacts): boolean {
  // A post carries no trace of its way but its id (`take-post.ts`).
  if (message.mode === 'relay') return message.passes > 0;
  // A member of a list that went on unexpanded comes back by himself, which is what the list server is for.
  if (message.passes < 1 || post.list !== undefined) return false;
  let recipients = passed.get(message);
  if (recipients === undefined) {
    const { id, messageId } = message;
    recipients = new Set(messageId === undefined ? [] : store.passedTo(messageId, id).map(addressKey));
    passed.set(message, recipients);
  }
  const recipient = addressKey(post.recipient);
  const way = [originalMailbox(post.orcpt), ...(message.deliveredTo ?? [])].flatMap((one) => one ?? []).map(addressKey);
  // So does one who was invited beside it: this is the copy that the list made of the message.
  const isByList = way.some((one) => one !== recipient && recipients.has(one));
  return !isByList && recipients.has(recipient);
}

const recalled = new WeakMap<
  Pick<MessageFacts, 'from' | 'references'>,
  { readonly remembered: Remembered | undefined }
>();

/** What the journal holds of that which a message answers: looked up once for all its recipients. */
export function recall(
  store: Pick<Store, 'meeting' | 'sendings'>,
  message: Pick<MessageFacts, 'from' | 'references'>,
  object: SchedulingObject,
): Remembered | undefined {
  if (!isByAttendee(object.method)) return undefined;
  const known = recalled.get(message);
  if (known !== undefined) return known.remembered;
  const remembered = recallNow(store, message, object);
  recalled.set(message, { remembered });
  return remembered;
}

function recallNow(
  store: Pick<Store, 'meeting' | 'sendings'>,
  message: Pick<MessageFacts, 'from' | 'references'>,
  object: SchedulingObject,
): Remembered | undefined {
  const { uid } = object;
  const { references = [], from } = message;
  const [parent] = references;
  const sentTo = [authorOf(object), from].filter((one) => one !== undefined);
  const sendings = store.sendings(uid, { messageIds: references, sentTo });
  const answered = sendings.find(({ messageId }) => messageId !== '' && messageId === parent);
  const asked = object.organizer?.mailbox ?? answered?.organizer;
  // He may be named by another address of his, or not at all.
  const meeting = (asked === undefined ? undefined : store.meeting(uid, asked)) ?? store.meeting(uid);
  if (meeting === undefined) return undefined;
  const { organizer } = meeting;
  return { meeting, sendings: sendings.filter((one) => sameAddress(one.organizer, organizer)) };
}

/** By which address the author, one of ours, was invited to what he answers. */
export function invitedSpelling(
  { policy, store }: Pick<Sources, 'policy'> & { readonly store: Pick<Store, 'spelling'> },
  object: SchedulingObject,
): string | undefined {
  const author = isByAttendee(object.method) ? authorOf(object) : undefined;
  if (author === undefined || !policy.domains.has(domainOf(author))) return undefined;
  const invitedAs = store.spelling(addressKey(author), object.uid);
  return invitedAs === undefined || sameAddress(invitedAs, author) ? undefined : invitedAs;
}
