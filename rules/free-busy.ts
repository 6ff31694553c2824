import type { Entry, Lookup } from '../src/directory/directory.ts';
import { canonicalAddress, domainOf } from '../src/mail/address.ts';
import type { CalendarServer, Step } from '../src/mail/disposition.ts';
import type { BusyAccess } from './busy-access.ts';
import { judgeRight, statusFor } from './busy-right.ts';
import { type Discovered, type Home, homeOf } from './coexistence.ts';
import type { Policy } from './decide.ts';
import { matchesDomain } from './peer.ts';
import { describeRecipient, judgeRecipient, type RecipientVerdict } from './recipient.ts';
import { type StatusAnswer, statusOf } from './request-status.ts';

/** Where busy times can be had. */
export type BusyTarget =
  | { readonly kind: 'server'; readonly server: CalendarServer; readonly because: string }
  /** What the user publishes himself (RFC 2739 calFBURL), on a host that the configuration lets us ask. */
  | { readonly kind: 'published'; readonly url: string; readonly because: string };

/** What is to be done about one attendee. */
export type BusyRoute = {
  readonly rule: string;
  readonly steps: readonly Step[];
  /** An operator should look. */
  readonly alarm?: true;
} & (
  | {
      readonly kind: 'ask';
      /** In order: the next where the one before knows no such user. Never empty. */
      readonly targets: readonly [BusyTarget, ...BusyTarget[]];
      /** As the server knows him. */
      readonly mailbox: string;
    }
  /** A list: its members are asked about, each once, and answered for as one. */
  | { readonly kind: 'expand'; readonly group: Entry }
  | { readonly kind: 'answer'; readonly status: StatusAnswer }
);

/** What the rules need to know beside the policy of posts. */
export type BusyPolicy = Policy & {
  /** Hosts, `name` or `name:port`, whose published busy times (calFBURL) may be fetched. */
  readonly publishedHosts: readonly string[];
};

/** One attendee, and what is known of him. */
export type BusyFacts = {
  readonly attendee: string;
  readonly access: BusyAccess;
  /** Of one of ours; absent when it was not asked. */
  readonly lookup?: Lookup;
  /** Of an outsider in a domain of `policy.discover`. */
  readonly discovered?: Discovered;
};

/** Where one attendee's busy times are to be had, or what is answered about him at once. */
export function routeBusy(facts: BusyFacts, policy: BusyPolicy): BusyRoute {
  const { attendee, access } = facts;
  const steps: Step[] = [];
  const note = (question: string, answer: string): void => void steps.push({ question, answer });
  const answer: Answering = (rule, code, detail, alarm = false) => ({
    kind: 'answer',
    rule,
    status: statusFor(access, statusOf(code, detail)),
    steps,
    ...(alarm ? { alarm: true } : {}),
  });

  const domain = domainOf(attendee);
  const isOurs = policy.domains.has(domain);
  const silent: Lookup = { kind: 'no-answer', reason: 'the directory was not asked' };
  const lookup = isOurs ? (facts.lookup ?? silent) : undefined;

  const right = judgeRight(attendee, lookup, access, policy.subAddressSeparators);
  note('May this asker know about him?', right.answer);
  if (!right.granted) return answer('not-allowed', '3.8', 'You may not ask about this address.');

  // A catch-all takes mail for others; its owner's times are not theirs, whatever posts do.
  const who = lookup === undefined ? undefined : judgeRecipient(lookup, 'mail');
  const foreign = domain === '' ? 'nobody’s: it is no address' : 'of no domain of ours';
  note('Whose address is it?', who === undefined ? foreign : describeRecipient(who));
  if (who === undefined) {
    if (domain === '') return answer('unknown', '3.7', 'This is no address.');
    return routeOutsider(facts, policy, steps, answer);
  }
  if (who.kind === 'list') return routeList(who, steps, answer);
  if (who.kind !== 'user') return answerUnusual(who, answer);
  return routeUser(who.entry, policy, steps, answer);
}

/**
 * Whether the DNS of the attendee's domain is worth asking: an outsider in a domain of `policy.discover`, about whom he
 * may be asked, and whom no line of the map concerns.
 */
export function wantsBusyDiscovery(facts: BusyFacts, policy: BusyPolicy): boolean {
  const domain = domainOf(facts.attendee);
  if (policy.discover === undefined || policy.domains.has(domain) || !matchesDomain(policy.discover, domain))
    return false;
  const { discovered: _, ...rest } = facts;
  return routeBusy(rest, policy).rule === 'external';
}

type Answering = (rule: string, code: string, detail?: string, alarm?: boolean) => BusyRoute & { kind: 'answer' };

type Unusual = Exclude<RecipientVerdict, { kind: 'user' | 'list' }>;

/** A disabled user is gone for good: his address is nobody's. An inactive one is somebody who is not served now. */
function answerUnusual(who: Unusual, answer: Answering): BusyRoute {
  switch (who.kind) {
    case 'silent':
      return answer('directory-silent', '5.1', 'The directory does not answer.');
    case 'unknown':
      return answer('unknown', '3.7');
    case 'ambiguous':
      return answer('ambiguous', '5.1', 'More than one user has this address.', true);
    case 'disabled':
      return answer('disabled', '3.7');
    case 'inactive':
      return answer('inactive', '5.3', 'This user is not active at present.', who.alarm);
  }
}

function routeList(
  { entry, off }: RecipientVerdict & { kind: 'list' },
  steps: readonly Step[],
  answer: Answering,
): BusyRoute {
  if (off !== undefined) return answerUnusual({ ...off, entry }, answer);
  // Who may not write to all of them has no business with when all of them are free.
  if (entry.group?.restrictedBy !== undefined)
    return answer('list-restricted', '3.8', 'Not everybody may ask about this list.');
  return { kind: 'expand', rule: 'list', group: entry, steps };
}

/**
 * One of ours: his home server first, then the one of the other generation, for a user is found where his data is while
 * the marks of a migration come late. During a move that is v6, whatever the marker says.
 */
function routeUser(entry: Entry, policy: BusyPolicy, steps: Step[], answer: Answering): BusyRoute {
  const { homes } = policy;
  const { marker, ...unmarked } = entry;
  steps.push({
    question: 'Is he being moved?',
    answer: entry.moving
      ? `yes${entry.movingBy === undefined ? '' : `, by ${entry.movingBy}`}: his data is still at the old server`
      : 'no',
  });
  const marked = homeOf(entry.mail, entry, homes);
  const isMarked = marker !== undefined && homes.marker !== undefined && entry.server === undefined;
  const other = isMarked ? homeOf(entry.mail, unmarked, homes) : otherGeneration(entry, marked, policy);
  const inOrder = isMarked && entry.moving ? [other, marked] : [marked, other];
  const servers = inOrder.filter((home) => home?.kind === 'server');
  const broken = inOrder.find((home) => home?.kind === 'misconfigured');

  const question = 'Which servers are asked?';
  const [first] = inOrder;
  if (first?.kind === 'misconfigured' || (broken !== undefined && servers.length === 0)) {
    steps.push({ question, answer: `none: ${broken?.reason}` });
    return answer(broken?.rule ?? 'server-unknown', '5.1', 'The calendar server of this user is not known.', true);
  }
  const targets = differing(servers);
  const [target, ...others] = targets;
  if (target === undefined) return routePublished(entry, marked, policy, steps, answer);
  steps.push({ question, answer: targets.map(describeTarget).join('; then ') });
  const rule = entry.moving ? 'moving' : 'home-server';
  // His marker names no back end: he is asked about at the old server all the same, and somebody should look.
  const alarm = broken === undefined ? {} : { alarm: true as const };
  return { kind: 'ask', rule, targets: [target, ...others], mailbox: entry.mail, steps, ...alarm };
}

/** Of a user of v6: where he will be found once he has been moved and before the directory says so. */
function otherGeneration(entry: Entry, home: Home, { homes }: BusyPolicy): Home | undefined {
  if (home.kind !== 'server' || home.server.profile !== 'oracle-v6' || entry.server !== undefined) return undefined;
  if (homes.defaultBackEnd !== undefined)
    return { kind: 'server', server: homes.defaultBackEnd, because: 'the default back end' };
  const [only, ...more] = new Map([...homes.backEnds.values()].map((server) => [server.url, server])).values();
  return only === undefined || more.length > 0
    ? undefined
    : { kind: 'server', server: only, because: 'the only back end' };
}

function differing(homes: readonly (Home & { kind: 'server' })[]): readonly BusyTarget[] {
  const urls = new Set<string>();
  return homes.flatMap(({ server, because }) => {
    if (urls.has(server.url)) return [];
    urls.add(server.url);
    return [{ kind: 'server' as const, server, because }];
  });
}

function describeTarget(target: BusyTarget): string {
  return `${target.kind === 'server' ? target.server.url : target.url}, because ${target.because}`;
}

/** Without a server, one who publishes his busy times can be asked about yet. */
function routePublished(
  { freeBusyUrl, mail }: Entry,
  home: Home,
  { publishedHosts }: BusyPolicy,
  steps: Step[],
  answer: Answering,
): BusyRoute {
  const reason = home.kind === 'none' ? home.reason : 'no server';
  const question = 'Which servers are asked?';
  if (freeBusyUrl !== undefined && isOnHost(freeBusyUrl, publishedHosts)) {
    const target: BusyTarget = { kind: 'published', url: freeBusyUrl, because: `${reason}, and he publishes` };
    steps.push({ question, answer: describeTarget(target) });
    return { kind: 'ask', rule: 'published', targets: [target], mailbox: mail, steps };
  }
  const unlisted = freeBusyUrl === undefined ? '' : `; what he publishes is on no host of free-busy.published-hosts`;
  steps.push({ question, answer: `none: ${reason}${unlisted}` });
  return answer(home.kind === 'none' ? home.rule : 'no-home-server', '5.3', 'This user has no calendar service.');
}

/** A host without a port stands for the usual port of http and https; user names and passwords are nobody's to send. */
function isOnHost(url: string, hosts: readonly string[]): boolean {
  const parsed = URL.parse(url);
  if (parsed === null || (parsed.protocol !== 'https:' && parsed.protocol !== 'http:')) return false;
  if (parsed.username !== '' || parsed.password !== '') return false;
  const port = parsed.port === '' ? (parsed.protocol === 'https:' ? '443' : '80') : parsed.port;
  const names = [parsed.host, `${parsed.hostname}:${port}`];
  return hosts.some((host) => names.includes(host.toLowerCase()));
}

/** Everybody else: the map's line for his domain, else the service that its DNS names where a rule allows to look. */
function routeOutsider(
  { attendee, discovered }: BusyFacts,
  { homes }: BusyPolicy,
  steps: Step[],
  answer: Answering,
): BusyRoute {
  const home = homeOf(attendee, undefined, homes, discovered);
  const question = 'Which servers are asked?';
  if (home.kind !== 'server') {
    steps.push({ question, answer: `none: ${home.reason}` });
    return home.kind === 'silent'
      ? answer('discovery-silent', '5.1', 'The DNS of this domain does not answer.')
      : answer('external', '3.7', 'No calendar server is known for this domain.');
  }
  const target: BusyTarget = { kind: 'server', server: home.server, because: home.because };
  steps.push({ question, answer: describeTarget(target) });
  return { kind: 'ask', rule: 'external-server', targets: [target], mailbox: canonicalAddress(attendee), steps };
}
