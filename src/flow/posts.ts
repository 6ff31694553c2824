import { createHash } from 'node:crypto';
import type { PostBatch } from '../../channel/channel.ts';
import { asPosted } from '../../rules/correlate.ts';
import { authorOf } from '../../rules/news.ts';
import type { Lookup } from '../directory/directory.ts';
import { methodOfCopy, transform } from '../itip/adapt.ts';
import { addMember } from '../itip/member.ts';
import type { Examination, SchedulingObject } from '../itip/message.ts';
import { giveOrganizer, rewriteAddress } from '../itip/rewrite.ts';
import { addressKey, domainOf } from '../mail/address.ts';
import type { Decision, Disposition, ListMember } from '../mail/disposition.ts';
import type { Outcome } from '../mail/outcome.ts';
import type { Delivery, Message, NewDelivery } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import { askedOnce, discoveredOnce, judge } from './facts.ts';
import type { Result } from './settle.ts';

/** One post delivery with what was decided about it. */
export type DecidedPost = {
  readonly delivery: Delivery;
  readonly decision: Decision;
  readonly user: string | undefined;
};

/**
 * Decides each post anew, from the directory, the ledger and the rules as they are now.
 * @param known answers the directory gave a moment ago, by position
 */
export async function decidePosts(
  context: FlowContext,
  message: Message,
  examination: Examination,
  deliveries: readonly Delivery[],
  known: ReadonlyMap<number, Lookup>,
  signal: AbortSignal,
): Promise<DecidedPost[]> {
  const { policy, store, discovery } = context;
  const sources = {
    policy,
    store,
    directory: askedOnce(context.directory),
    ...(discovery === undefined ? {} : { discovery: discoveredOnce(discovery) }),
  };
  return Promise.all(
    deliveries.map(async (delivery) => {
      const { recipient, position, list, released } = delivery;
      const orcpt = message.envelope.recipients[position]?.orcpt;
      const post = {
        recipient,
        released,
        ...(list === undefined ? {} : { list }),
        ...(orcpt === undefined ? {} : { orcpt }),
      };
      const said = list === undefined ? known.get(position) : undefined;
      const { decision, user } = await judge(sources, message, examination, post, signal, said);
      return { delivery, decision, user };
    }),
  );
}

/** The disposition of a post. */
export type Posted = Extract<Disposition, { kind: 'post' }>;

/** Recipients of one calendar server whose posted bytes are equal. */
type Group = {
  /** Of the first of them: its bytes are posted for all. */
  readonly posted: Posted;
  readonly targets: Map<string, DecidedPost[]>;
};

/**
 * Carries out what was decided: one POST per calendar server and content, its outcome shared by every delivery whose
 * calendar it is, so that two entries of one calendar make one post.
 * @param done called with each group's results as soon as they are known
 */
export async function carryOutPosts(
  context: FlowContext,
  message: Message,
  examination: Examination,
  posts: readonly DecidedPost[],
  done: (results: readonly Result[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const now = context.clock();
  const settled = posts.flatMap((post) => withoutPost(context, post, message, now) ?? []);
  const groups = examination.kind === 'object' ? groupPosts(posts) : [];
  const isExpanded = ({ decision }: Result): boolean => decision?.post.kind === 'expand';
  const lists = settled.filter(isExpanded);
  const others = settled.filter((result) => !isExpanded(result));
  await Promise.all([
    others.length > 0 ? done(others) : undefined,
    ...groups.map(async (group) =>
      done(await postGroup(context, message, (examination as { object: SchedulingObject }).object, group, signal)),
    ),
  ]);
  // Afterwards: the ledger knows by then who has been posted to himself, and is a member as well.
  if (lists.length > 0) await done(lists);
}

function withoutPost(
  { policy }: FlowContext,
  { delivery, decision, user }: DecidedPost,
  message: Message,
  now: number,
): Result | undefined {
  const common = { delivery, decision, channel: 'ischedule' as const, ...(user === undefined ? {} : { user }) };
  const { post } = decision;
  switch (post.kind) {
    case 'post':
      return undefined;
    case 'none':
      return { ...common, kind: 'skipped', reason: post.reason };
    case 'expand':
      return {
        ...common,
        kind: 'skipped',
        reason: `expanded, members to post to: ${post.members.length}`,
        expansion: post.members.map((member) => memberPost(member, delivery, message, now)),
      };
    case 'mail': {
      const isOurs = policy.domains.has(domainOf(delivery.recipient));
      const route = isOurs ? 'next-hop' : 'smart-host';
      const mail: NewDelivery = { position: delivery.position, kind: 'mail', route, dueAt: now, claim: false };
      return { ...common, kind: 'skipped', reason: post.reason, expansion: [mail] };
    }
    case 'hold':
      return { ...common, kind: 'held', reason: post.reason };
    case 'defer':
      return {
        ...common,
        kind: 'outcome',
        outcome: {
          kind: 'deferred',
          status: post.status,
          reason: post.reason,
          ...(post.alarm === true ? { alarm: true } : {}),
        },
      };
    case 'reject':
      return { ...common, kind: 'outcome', outcome: { kind: 'failed', status: post.status, reason: post.reason } };
  }
}

function memberPost({ address }: ListMember, list: Delivery, { uid }: Message, now: number): NewDelivery {
  return {
    position: list.position,
    recipient: address,
    list: list.recipient,
    kind: 'post',
    route: 'calendar',
    user: addressKey(address),
    dueAt: now,
    claim: false,
    ...(uid === undefined ? {} : { uid }),
  };
}

function groupPosts(posts: readonly DecidedPost[]): Group[] {
  const groups = new Map<string, Group>();
  // Whoever is in two lists, or invited by two of his addresses, has one calendar: the first copy stands for all.
  const byCalendar = new Map<string, Group>();
  for (const post of posts) {
    const disposition: Disposition = post.decision.post;
    if (disposition.kind !== 'post') continue;
    const key = bytesKey(disposition);
    const target = addressKey(disposition.recipient);
    const calendar = `${disposition.server.url}\n${target}`;
    let group = byCalendar.get(calendar) ?? groups.get(key);
    if (group === undefined) {
      group = { posted: disposition, targets: new Map() };
      groups.set(key, group);
    }
    byCalendar.set(calendar, group);
    const same = group.targets.get(target);
    if (same === undefined) group.targets.set(target, [post]);
    else same.push(post);
  }
  return [...groups.values()];
}

/** Equal for posts that one request can carry. */
function bytesKey({ server, recipient, rewrite, member, author, organizer, transformation }: Posted): string {
  return JSON.stringify([
    server.url,
    server.profile,
    server.fallbacks ?? [],
    server.discovered === true,
    rewrite === undefined ? null : [addressKey(rewrite), addressKey(recipient)],
    member === undefined ? null : [addressKey(member), addressKey(recipient)],
    author === undefined ? null : [addressKey(author.from), addressKey(author.to)],
    organizer === undefined ? null : addressKey(organizer),
    transformation ?? null,
  ]);
}

/** The copy that is posted: with the addresses its receiver knows (design: The posted copy is ours). */
function postedCopy({ content }: SchedulingObject, posted: Posted): Buffer {
  const { recipient, rewrite, member, author, organizer, transformation } = posted;
  let copy = content;
  if (organizer !== undefined) copy = giveOrganizer(copy, organizer);
  if (rewrite !== undefined) copy = rewriteAddress(copy, rewrite, recipient);
  if (member !== undefined) copy = addMember(copy, recipient, member);
  if (author !== undefined) copy = rewriteAddress(copy, author.from, author.to);
  return transformation === undefined ? copy : transform(copy, transformation);
}

/** A post that its calendar server has no time for gives its place to other mail. */
const TURN_WAIT_MS = 10_000;
const NO_TURN: Outcome = {
  kind: 'deferred',
  status: '4.4.5',
  reason: 'the calendar server is busy with earlier posts',
  answered: false,
};

async function postGroup(
  context: FlowContext,
  message: Message,
  object: SchedulingObject,
  group: Group,
  signal: AbortSignal,
): Promise<Result[]> {
  const { posted } = group;
  const asSent = asPosted(object, posted);
  const targets = [...group.targets.values()];
  const recipients = targets.map(([first]) => recipientOf(first));
  const answers = Math.max(...targets.flat().map((post) => post.delivery.answers));
  const poster = context.poster(posted.server);
  let transferMs = 0;
  const outcomes = await context.lanes.runWithin(poster.destination, TURN_WAIT_MS, async () => {
    const begun = context.clock();
    // Composed when it is its turn: the members of a list may be thousands, and each has a copy of his own.
    const batch = composePost(context.hostname, message.id, object, posted, recipients, answers);
    const given = await poster.deliver(batch, signal);
    transferMs = context.clock() - begun;
    return given;
  });
  return targets.flatMap((posts, index) =>
    posts.map(({ delivery, decision, user }): Result => {
      const outcome: Outcome = (outcomes === undefined ? NO_TURN : outcomes[index]) ?? {
        kind: 'deferred',
        status: '4.3.0',
        reason: 'the channel gave no outcome',
      };
      return {
        kind: 'outcome',
        delivery,
        decision,
        channel: 'ischedule',
        outcome,
        object: asSent,
        transferMs,
        ...(user === undefined ? {} : { user }),
      };
    }),
  );
}

function recipientOf(post: DecidedPost | undefined): string {
  return post?.decision.post.kind === 'post' ? post.decision.post.recipient : '';
}

/**
 * One post as it goes out: the copy of the object with what its receiver needs, and who it is for.
 * @param answers attempts that the calendar server has answered so far
 */
export function composePost(
  hostname: string,
  queueId: string,
  object: SchedulingObject,
  posted: Posted,
  recipients: readonly string[],
  answers: number,
): PostBatch {
  const content = postedCopy(object, posted);
  const { url, profile, fallbacks } = posted.server;
  return {
    queueId,
    server: new URL(url),
    ...(fallbacks === undefined ? {} : { fallbacks: fallbacks.map((fallback) => new URL(fallback)) }),
    profile,
    messageId: messageIdOf(hostname, queueId, recipients, answers, content),
    originator: posted.author?.to ?? authorOf(object) ?? '',
    recipients,
    method: methodOfCopy(object.method, posted.transformation),
    component: object.component,
    content,
  };
}

/** The message that {@link messageIdOf} gave this id to, when it is one of ours. */
export function queueIdOf(hostname: string, messageId: string): string | undefined {
  const [, queueId, by] = /^([0-9A-Z]+)\.[0-9a-f]{16}@(.+)$/.exec(messageId) ?? [];
  return by?.toLowerCase() === hostname.toLowerCase() ? queueId : undefined;
}

/**
 * The iSchedule-Message-ID: a token that is the same for a POST repeated because no answer came, also after a crash,
 * and new after an answer, for other recipients or for another body. So it is computed, not remembered.
 */
function messageIdOf(
  hostname: string,
  queueId: string,
  recipients: readonly string[],
  answers: number,
  content: Buffer,
): string {
  const hash = createHash('sha256')
    .update(content)
    .update(JSON.stringify([recipients, answers]));
  return `${queueId}.${hash.digest('hex').slice(0, 16)}@${hostname}`;
}
