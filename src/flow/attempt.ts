import type { Lookup } from '../directory/directory.ts';
import { examine } from '../itip/extract.ts';
import type { SchedulingObject } from '../itip/message.ts';
import { domainOf } from '../mail/address.ts';
import type { Annotation } from '../mail/annotate.ts';
import type { Decision } from '../mail/disposition.ts';
import type { Outcome } from '../mail/outcome.ts';
import type { Claim, Delivery, DeliveryState } from '../queue/store.ts';
import type { Content, FlowContext } from './context.ts';
import { type MailCopy, passOn } from './mails.ts';
import { carryOutPosts, decidePosts } from './posts.ts';
import { isPassedOn, returnAddress, takeReturns } from './returns.ts';
import { type Result, settle } from './settle.ts';

/** What is known of a recipient's post when his mail is about to go. */
type PostView = {
  readonly state: DeliveryState;
  readonly decision?: Decision;
  readonly outcome?: Outcome;
  readonly reason?: string;
};

/**
 * One attempt for every claimed delivery of a message: posts are decided and carried out, mails follow annotated with
 * what came of them. The first time, a mail waits for its own post at most `annotateWaitMs`, whatever the post waits for.
 * @param known what the directory said of recipients a moment ago, by position
 */
export async function attempt(
  context: FlowContext,
  claim: Claim,
  signal: AbortSignal,
  known: ReadonlyMap<number, Lookup> = new Map(),
): Promise<void> {
  const { message } = claim;
  const startedAt = context.clock();
  const posts = claim.deliveries.filter((delivery) => delivery.kind === 'post');
  const mails = claim.deliveries.filter((delivery) => delivery.kind === 'mail' && delivery.route !== 'return');
  const returns = claim.deliveries.filter((delivery) => delivery.route === 'return');
  const content = await contentOf(context, claim);
  const done = async (results: readonly Result[]): Promise<void> => settle(context, message, results, startedAt);
  const views = new Map<number, PostView>();
  // The mail of a list says nothing of what its members' calendars got.
  const own = posts.filter((post) => post.list === undefined);
  const turns = new Map(own.map((post) => [post.position, Promise.withResolvers<void>()]));
  const wait = deadline(mails.some((mail) => mail.attempts === 0) ? context.annotateWaitMs : 0);

  const deciding =
    content === undefined
      ? Promise.resolve([])
      : decidePosts(context, message, content.examination, posts, known, signal);
  const posting = async (): Promise<void> => {
    const decided = await deciding;
    if (content === undefined || decided.length === 0) return;
    const settleGroup = async (results: readonly Result[]): Promise<void> => {
      for (const result of results) {
        if (result.delivery.list !== undefined) continue;
        views.set(result.delivery.position, viewOf(result));
        turns.get(result.delivery.position)?.resolve();
      }
      await done(results);
    };
    await carryOutPosts(context, message, content.examination, decided, settleGroup, signal);
  };
  const mailing = async (): Promise<void> => {
    if (mails.length === 0) return;
    const decided = await Promise.race([deciding.catch(() => undefined), wait.over]);
    for (const { delivery, decision } of decided ?? []) {
      const { position, list } = delivery;
      if (list === undefined && !views.has(position)) views.set(position, { state: 'queued', decision });
    }
    // Whose copy is not annotated need not wait for anybody's post, and goes with the others of its kind.
    const annotated = mails.filter((mail) => isAnnotated(context, claim, mail, views, known));
    const plain = mails
      .filter((mail) => !annotated.includes(mail))
      .map((delivery): MailCopy => ({ delivery, annotation: undefined }));
    await allSettled([
      passOn(context, message, content, plain, done, signal),
      ...annotated.map(async (delivery) => {
        await Promise.race([turns.get(delivery.position)?.promise, wait.over]);
        await passOn(context, message, content, [copyOf(claim, delivery, content, views, known)], done, signal);
      }),
    ]);
  };
  try {
    await allSettled([posting(), mailing(), takeReturns(context, message, returns, done, signal)]);
  } finally {
    wait.cancel();
  }
}

/** Waits for all, then throws what the first of them threw: a claim ends when each of its parts has. */
async function allSettled(parts: readonly Promise<void>[]): Promise<void> {
  const broken = (await Promise.allSettled(parts)).find((end) => end.status === 'rejected');
  if (broken !== undefined) throw broken.reason;
}

function deadline(waitMs: number): { readonly over: Promise<undefined>; cancel(): void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), waitMs);
  return { over: promise, cancel: () => clearTimeout(timer) };
}

/** The message's bytes and what stands in them: kept from intake on the first attempt, else read again. */
async function contentOf(context: FlowContext, { message, deliveries }: Claim): Promise<Content | undefined> {
  const kept = context.contents.get(message.id);
  if (kept !== undefined) return kept;
  // What came back is read for another purpose.
  if (deliveries.every(({ route }) => route === 'return')) return undefined;
  // Mail that is only passed on is streamed.
  if (message.uid === undefined && !deliveries.some((delivery) => delivery.kind === 'post')) return undefined;
  const bytes = await context.store.body(message.id);
  return { bytes, examination: await examine(bytes, context.examine) };
}

function viewOf(result: Result): PostView {
  const decision = result.decision === undefined ? {} : { decision: result.decision };
  if (result.kind !== 'outcome') return { state: result.kind, reason: result.reason, ...decision };
  const state = result.outcome.kind === 'deferred' ? 'queued' : result.outcome.kind;
  return { state, outcome: result.outcome, ...decision };
}

/** Whether this mail copy is for a mailbox of our own that an invitation came to. */
function isAnnotated(
  context: FlowContext,
  claim: Claim,
  mail: Delivery,
  views: Map<number, PostView>,
  known: ReadonlyMap<number, Lookup>,
): boolean {
  // What goes by mail in place of a post has no calendar entry to tell of.
  if (claim.message.uid === undefined || claim.message.mode === 'relay') return false;
  // What came to a VERP address has no post; an answer to the gateway's own mailbox has one.
  const came = claim.message.envelope.recipients[mail.position]?.address ?? '';
  if (isPassedOn(claim.message, mail) && returnAddress(context.outbound, came) !== undefined) return false;
  const view = views.get(mail.position) ?? storedView(context, claim, mail);
  if (view !== undefined) views.set(mail.position, view);
  if (view?.decision !== undefined) return view.decision.annotate;
  // Undecided: its post waits behind an earlier one, or for the directory. An address of ours is taken for a mailbox.
  if (!context.policy.domains.has(domainOf(mail.recipient))) return false;
  const lookup = known.get(mail.position);
  return (
    lookup === undefined ||
    lookup.kind === 'no-answer' ||
    (lookup.kind === 'found' && lookup.entries[0].kind !== 'group')
  );
}

/** A later attempt of the mail finds in the queue what came of the post. */
function storedView(context: FlowContext, { message, deliveries }: Claim, mail: Delivery): PostView | undefined {
  const isOwnPost = ({ kind, position, list }: Delivery): boolean =>
    kind === 'post' && position === mail.position && list === undefined;
  if (deliveries.some(isOwnPost)) return undefined;
  const post = context.store.message(message.id)?.deliveries.find(isOwnPost);
  if (post === undefined) return undefined;
  const decision = post.decisions.at(-1);
  return {
    state: post.state,
    ...(decision === undefined ? {} : { decision }),
    ...(post.outcome === undefined ? {} : { outcome: post.outcome }),
  };
}

function copyOf(
  { message }: Claim,
  delivery: Delivery,
  content: Content | undefined,
  views: ReadonlyMap<number, PostView>,
  known: ReadonlyMap<number, Lookup>,
): MailCopy {
  const object: SchedulingObject | undefined =
    content?.examination.kind === 'object' ? content.examination.object : undefined;
  const view = views.get(delivery.position) ?? { state: 'queued' };
  // Undecided behind an earlier post, which waits for the same end of a move as this one.
  const waitsFor = view.decision === undefined && isMoving(known.get(delivery.position)) ? { reason: 'moving' } : {};
  return {
    delivery,
    annotation: {
      queueId: message.id,
      recipient: delivery.recipient,
      ...describe({ ...waitsFor, ...view }),
      ...(object === undefined ? {} : { object }),
    },
  };
}

function isMoving(lookup: Lookup | undefined): boolean {
  return lookup?.kind === 'found' && lookup.entries.length === 1 && lookup.entries[0].moving;
}

type Said = Pick<Annotation, 'action' | 'code' | 'reason' | 'server'>;

function describe(view: PostView): Said {
  const { decision, outcome } = view;
  const disposition = decision?.post;
  const server = disposition?.kind === 'post' ? { server: new URL(disposition.server.url).hostname } : {};
  const code = outcome?.requestStatus === undefined ? {} : { code: outcome.requestStatus };
  const reason =
    outcome?.reason ??
    view.reason ??
    (disposition !== undefined && 'reason' in disposition ? disposition.reason : 'queued');
  switch (view.state) {
    case 'delivered':
      return { action: 'posted', reason, ...server, ...code };
    case 'skipped':
    case 'deleted':
      return { action: 'skipped', reason };
    case 'failed':
    case 'expired':
      return { action: 'refused', reason, ...server, ...code };
    case 'queued':
    case 'held':
      return { action: 'pending', reason, ...server, ...code };
  }
}
