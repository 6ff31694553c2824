import type { Discovered } from '../../rules/coexistence.ts';
import {
  type BusyFacts,
  type BusyPolicy,
  type BusyRoute,
  routeBusy,
  wantsBusyDiscovery,
} from '../../rules/free-busy.ts';
import type { StatusAnswer } from '../../rules/request-status.ts';
import type { Directory, Entry } from '../directory/directory.ts';
import type { Discovery } from '../flow/context.ts';
import { lookUp } from '../flow/facts.ts';
import { domainOf } from '../mail/address.ts';
import type { Step } from '../mail/disposition.ts';
import { judgeMembers, type ListVerdict } from './members.ts';
import type { BusyAsker } from './question.ts';
import type { Subject, Subjects } from './subject.ts';

/** What routes are found by. */
export type RouteSources = {
  readonly directory: Pick<Directory, 'lookup' | 'expand'>;
  readonly policy: BusyPolicy;
  readonly discovery?: Discovery;
  readonly groupLimit: number;
};

/** The lists that one question names, each expanded once: one list has any number of addresses. By DN. */
export type Lists = Map<string, Promise<ListRoute>>;

type ListRoute = { readonly verdict: ListVerdict; readonly subjects: readonly Subject[] };

export type RouteQuestion = {
  readonly asker: BusyAsker;
  readonly fresh: boolean;
  /** The deadline. */
  readonly signal: AbortSignal;
};

/** What comes of one attendee: an answer at once, or whom his servers are asked about. */
export type Routed = { readonly rule: string; readonly steps: readonly Step[]; readonly alarm?: true } & (
  | { readonly kind: 'answer'; readonly status: StatusAnswer }
  | { readonly kind: 'user'; readonly subject: Subject }
  /** Its members, each of whom has a server. */
  | { readonly kind: 'list'; readonly subjects: readonly Subject[] }
);

/**
 * Gathers what the rules need to know of one attendee, and what they say. Rejects only where something of ours is broken.
 * @param attendee mailbox
 */
export async function routeAttendee(
  sources: RouteSources,
  question: RouteQuestion & { readonly lists: Lists },
  attendee: string,
  subjects: Subjects,
): Promise<Routed> {
  const route = await routeOf(sources, question, attendee);
  const { rule, steps } = route;
  const common = { rule, steps, ...(route.alarm === undefined ? {} : { alarm: route.alarm }) };
  switch (route.kind) {
    case 'answer':
      return { ...common, kind: 'answer', status: route.status };
    case 'ask':
      return { ...common, kind: 'user', subject: subjects.of(route.mailbox, route.targets) };
    case 'expand': {
      const { dn } = route.group;
      const routing = question.lists.get(dn) ?? routeMembers(sources, question, route.group, subjects);
      question.lists.set(dn, routing);
      const {
        verdict: { found, ...verdict },
        subjects: members,
      } = await routing;
      const both = { ...common, steps: [...steps, { question: 'Who is in it?', answer: found }] };
      return verdict.kind === 'answer' ? { ...both, ...verdict } : { ...both, kind: 'list', subjects: members };
    }
  }
}

async function routeMembers(
  { directory, policy, groupLimit }: RouteSources,
  { asker, signal }: RouteQuestion,
  group: Entry,
  subjects: Subjects,
): Promise<ListRoute> {
  const verdict = judgeMembers(await directory.expand(group, signal), asker.access, policy, groupLimit);
  const members = verdict.kind === 'ask' ? verdict.members : [];
  return { verdict, subjects: members.map((one) => subjects.of(one.mailbox, one.targets)) };
}

/** The route of one attendee, by look-ups only: of a list, that it is one. */
export async function routeOf(
  sources: RouteSources,
  { asker: { access }, fresh, signal }: RouteQuestion,
  attendee: string,
): Promise<BusyRoute> {
  const { policy, discovery } = sources;
  const lookup = await lookUp(sources, attendee, signal, fresh ? { fresh } : {});
  const facts: BusyFacts = { attendee, access, ...(lookup === undefined ? {} : { lookup }) };
  if (discovery === undefined || !wantsBusyDiscovery(facts, policy)) return routeBusy(facts, policy);
  return routeBusy({ ...facts, discovered: await discover(discovery, domainOf(attendee), signal) }, policy);
}

async function discover(discovery: Discovery, domain: string, signal: AbortSignal): Promise<Discovered> {
  try {
    return await discovery.find(domain, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    return { kind: 'no-answer', reason: 'the look-up was stopped' };
  }
}
