import { createHash } from 'node:crypto';
import type { PostBatch } from '../../channel/channel.ts';
import { decide, userOf } from '../../rules/decide.ts';
import { authorOf } from '../../rules/news.ts';
import type { Lookup } from '../directory/directory.ts';
import type { Examination, SchedulingObject } from '../itip/message.ts';
import { rewriteAddress } from '../itip/rewrite.ts';
import { addressKey, domainOf } from '../mail/address.ts';
import type { CalendarServer, Decision, Disposition } from '../mail/disposition.ts';
import type { Outcome } from '../mail/outcome.ts';
import type { Delivery, Message } from '../queue/store.ts';
import type { FlowContext } from './context.ts';
import type { Result } from './settle.ts';

/** One post delivery with what was decided about it. */
export type DecidedPost = {
  readonly delivery: Delivery;
  readonly decision: Decision;
  readonly user: string | undefined;
};

/** Asks the directory about a recipient of our own; nobody else is in it. */
export async function lookUp(
  context: FlowContext,
  recipient: string,
  signal: AbortSignal,
): Promise<Lookup | undefined> {
  return context.policy.domains.has(domainOf(recipient)) ? context.directory.lookup(recipient, signal) : undefined;
}

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
  return Promise.all(
    deliveries.map(async (delivery) => {
      const lookup =
        examination.kind === 'none'
          ? undefined
          : (known.get(delivery.position) ?? (await lookUp(context, delivery.recipient, signal)));
      const user = userOf(delivery.recipient, lookup, context.policy);
      const ledger =
        user !== undefined && examination.kind === 'object' ? context.store.ledger(user, examination.object.uid) : [];
      const decision = decide(
        {
          mode: message.mode,
          origin: message.origin,
          recipient: delivery.recipient,
          examination,
          ledger,
          released: wasReleased(delivery),
          ...(lookup === undefined ? {} : { lookup }),
        },
        context.policy,
      );
      return { delivery, decision, user };
    }),
  );
}

/** A held post is attempted again only when a person released it. */
function wasReleased(delivery: Delivery): boolean {
  const last = delivery.decisions.at(-1);
  return last?.rule === 'not-attendee' && last.post.kind === 'hold';
}

/** Recipients of one calendar server whose posted bytes are equal. */
type Group = {
  readonly server: CalendarServer;
  readonly rewrite: readonly [from: string, to: string] | undefined;
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
  const settled = posts.flatMap((post) => withoutPost(post) ?? []);
  const groups = examination.kind === 'object' ? groupPosts(posts) : [];
  await Promise.all([
    settled.length > 0 ? done(settled) : undefined,
    ...groups.map(async (group) =>
      done(await postGroup(context, message, (examination as { object: SchedulingObject }).object, group, signal)),
    ),
  ]);
}

function withoutPost({ delivery, decision, user }: DecidedPost): Result | undefined {
  const common = { delivery, decision, channel: 'ischedule' as const, ...(user === undefined ? {} : { user }) };
  const { post } = decision;
  switch (post.kind) {
    case 'post':
      return undefined;
    case 'none':
      return { ...common, kind: 'skipped', reason: post.reason };
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

function groupPosts(posts: readonly DecidedPost[]): Group[] {
  const groups = new Map<string, Group>();
  for (const post of posts) {
    const disposition: Disposition = post.decision.post;
    if (disposition.kind !== 'post') continue;
    const { server, recipient, rewrite } = disposition;
    const key = JSON.stringify([
      server.url,
      server.profile,
      rewrite === undefined ? null : [addressKey(rewrite), addressKey(recipient)],
    ]);
    let group = groups.get(key);
    if (group === undefined) {
      group = { server, rewrite: rewrite === undefined ? undefined : [rewrite, recipient], targets: new Map() };
      groups.set(key, group);
    }
    const target = addressKey(recipient);
    group.targets.set(target, [...(group.targets.get(target) ?? []), post]);
  }
  return [...groups.values()];
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
  const content = group.rewrite === undefined ? object.content : rewriteAddress(object.content, ...group.rewrite);
  const targets = [...group.targets.values()];
  const recipients = targets.map(([first]) => recipientOf(first));
  const batch: PostBatch = {
    queueId: message.id,
    server: new URL(group.server.url),
    profile: group.server.profile,
    messageId: messageIdOf(context, message, targets, content),
    originator: authorOf(object) ?? '',
    recipients,
    method: object.method,
    component: object.component,
    content,
  };
  const poster = context.poster(group.server);
  let transferMs = 0;
  const given = await context.lanes.runWithin(poster.destination, TURN_WAIT_MS, async () => {
    const begun = context.clock();
    const answers = await poster.deliver(batch, signal);
    transferMs = context.clock() - begun;
    return answers;
  });
  const outcomes: readonly Outcome[] = given ?? targets.map(() => NO_TURN);
  return targets.flatMap((posts, index) =>
    posts.map(({ delivery, decision, user }): Result => {
      const outcome: Outcome = outcomes[index] ?? {
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
        object,
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
 * The iSchedule-Message-ID: a token that is the same for a POST repeated because no answer came, also after a crash,
 * and new after an answer, for other recipients or for another body. So it is computed, not remembered.
 */
function messageIdOf(
  context: FlowContext,
  message: Message,
  targets: readonly (readonly DecidedPost[])[],
  content: Buffer,
): string {
  const answers = Math.max(...targets.flat().map((post) => post.delivery.answers));
  const hash = createHash('sha256')
    .update(content)
    .update(JSON.stringify([targets.map(([first]) => recipientOf(first)), answers]));
  return `${message.id}.${hash.digest('hex').slice(0, 16)}@${context.hostname}`;
}
