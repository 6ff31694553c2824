import type { BusyAccess } from '../../rules/busy-access.ts';
import { memberAccess } from '../../rules/busy-right.ts';
import { type BusyPolicy, type BusyRoute, routeBusy } from '../../rules/free-busy.ts';
import { type StatusAnswer, statusOf } from '../../rules/request-status.ts';
import type { Entry, Expansion } from '../directory/directory.ts';

/** What comes of a list; `found` says who is in it, for operators. */
export type ListVerdict = { readonly found: string } & (
  | { readonly kind: 'ask'; readonly members: readonly (BusyRoute & { readonly kind: 'ask' })[] }
  | { readonly kind: 'answer'; readonly rule: string; readonly status: StatusAnswer; readonly alarm?: true }
);

/**
 * Everybody in a list, each routed as if he were asked about alone. Those without an address or a calendar here have no
 * times to tell and are left out. One who may not be asked about keeps the whole list untold, and so does one whose
 * server is not known: half a list's times would be taken for all of them.
 */
export function judgeMembers(
  expansion: Expansion,
  access: BusyAccess,
  policy: BusyPolicy,
  groupLimit: number,
): ListVerdict {
  const answer = (rule: string, code: string, detail: string, found: string): ListVerdict & { kind: 'answer' } => ({
    kind: 'answer',
    rule,
    status: statusOf(code, detail),
    found,
  });
  if (expansion.kind === 'no-answer') {
    const found = `the directory does not answer: ${expansion.reason}`;
    return answer('directory-silent', '5.1', 'The directory does not answer.', found);
  }
  if (expansion.kind === 'too-large' || expansion.entries.length > groupLimit) {
    const many = expansion.kind === 'too-large' ? `more than ${expansion.limit}` : `${expansion.entries.length}`;
    const found = `${many} members, and ${groupLimit} at most are asked about`;
    return answer('list-too-large', '5.3', 'This list is too large to be asked about.', found);
  }
  const { entries, addresses, restrictedBy } = expansion;
  if (restrictedBy !== undefined) {
    const found = `a list within it is restricted: ${restrictedBy}`;
    return answer('list-restricted', '3.8', 'Not everybody may ask about this list.', found);
  }

  const routed = entries.map((entry) => ({ entry, route: routeMember(entry, access, policy) }));
  const members = routed.flatMap(({ route }) => (route.kind === 'ask' ? [route] : []));
  const untold = routed.flatMap(({ entry, route }) =>
    route.kind === 'answer' && !isLeftOut(route.status) ? [{ entry, route }] : [],
  );
  const left = routed.length - members.length - untold.length + addresses.length;
  const found = `${members.length} who can be asked about, ${left} without a calendar here`;
  const refused = untold.find(({ route }) => route.status.code === '3.8');
  const first = refused ?? untold[0];
  if (first !== undefined) {
    const { entry, route } = first;
    const why = `${found}; ${entry.mail} is ${route.status.code} by rule ${route.rule}`;
    const verdict =
      refused === undefined
        ? answer('list-member-unavailable', '5.1', 'Nothing is known of somebody in this list.', why)
        : answer('list-member-refused', '3.8', 'Somebody in this list is not told about.', why);
    return { ...verdict, ...(route.alarm === undefined ? {} : { alarm: true }) };
  }
  if (members.length === 0) return answer('list-empty', '5.3', 'Nobody in this list has a calendar.', found);
  return { kind: 'ask', members, found };
}

function routeMember(entry: Entry, access: BusyAccess, policy: BusyPolicy): BusyRoute {
  const lookup = { kind: 'found', entries: [entry], server: 'the directory' } as const;
  return routeBusy({ attendee: entry.mail, access: memberAccess(access), lookup }, policy);
}

function isLeftOut({ code }: StatusAnswer): boolean {
  return code === '3.7' || code === '5.3';
}
