import type { Entry, Lookup } from '../directory/directory.ts';
import type { Decision, Transformation } from '../mail/disposition.ts';
import type { Mode } from '../queue/store.ts';

/** A decision as a person reads it, of a message that has not come yet or of one in the queue: each question, then the end. */
export function decisionLines(decision: Decision, mode: Mode): string[] {
  return [
    ...decision.steps.map((step) => `${step.question} ${step.answer}`),
    `→ ${decision.rule}: ${consequence(decision, mode)}`,
  ];
}

/** What comes of a decision, for the calendar and for the mail. */
function consequence(decision: Decision, mode: Mode): string {
  const alarm = decision.alarm === true ? '; an alarm for the administrator' : '';
  const mail = mode === 'filter' ? `; the mail is passed on${decision.annotate ? ', annotated' : ''}` : '';
  return `${postText(decision)}${decision.post.kind === 'reject' ? '' : mail}${alarm}`;
}

const TRANSFORMED: Readonly<Record<Transformation, string>> = { 'add-as-request': 'its ADD written as a REQUEST' };

/** What the calendar gets. */
export function postText({ post, rule }: Decision): string {
  switch (post.kind) {
    case 'post': {
      const rewritten = post.rewrite === undefined ? '' : `, written for ${post.rewrite}`;
      const member = post.member === undefined ? '' : `, as a member of ${post.member}`;
      const author = post.author === undefined ? '' : `, its author ${post.author.from} written as ${post.author.to}`;
      const organizer = post.organizer === undefined ? '' : `, with the ORGANIZER ${post.organizer}`;
      const form = post.transformation === undefined ? '' : `, ${TRANSFORMED[post.transformation]}`;
      return `posted to ${post.server.url} (profile ${post.server.profile}) for ${post.recipient}${rewritten}${member}${author}${organizer}${form}`;
    }
    case 'expand': {
      const count = post.members.length;
      return count === 0
        ? 'a list without a member who has a calendar'
        : `one post for each of ${count} member${count === 1 ? '' : 's'} of the list`;
    }
    case 'mail':
      return `sent by mail: ${post.reason}`;
    case 'hold':
      return `held (${post.reason}) until ${rule === 'moving' ? 'the move ends' : 'released'}`;
    case 'defer':
      return `tried again later, ${post.status} ${post.reason}`;
    case 'reject':
      return `refused with ${post.status} ${post.reason}`;
    case 'none':
      return `no post: ${post.reason}`;
  }
}

/** What the directory said: who was asked, where and how, and which entry it has by which attribute. */
export function lookupLines(lookup: Lookup): string[] {
  if (lookup.kind === 'no-answer') return [`directory: no answer: ${lookup.reason}`];
  const asked = [
    ...(lookup.base === undefined ? [] : [`  under ${lookup.base}`]),
    ...(lookup.filter === undefined ? [] : [`  filter ${lookup.filter}`]),
  ];
  if (lookup.kind === 'unknown') return [`directory: ${lookup.server} knows no such address`, ...asked];
  const [first, ...others] = lookup.entries.map((entry) => [
    `directory: ${lookup.server} has ${entry.dn}, by ${entry.matchedBy}`,
    `  ${factsText(entry)}`,
  ]);
  return [...(first?.slice(0, 1) ?? []), ...asked, ...(first?.slice(1) ?? []), ...others.flat()];
}

/** What an entry says, on one line. */
export function factsText(entry: Entry): string {
  const others = entry.addresses.slice(1);
  return [
    `mail ${entry.mail}`,
    ...(others.length === 0 ? [] : [`also ${others.join(', ')}`]),
    ...(entry.detail === undefined ? [] : [`sub-address ${entry.detail}`]),
    ...(entry.catchAll === true ? ['by the catch-all of its domain'] : []),
    ...(entry.kind === 'group' ? groupTexts(entry) : calendarTexts(entry)),
    ...(entry.mailHost === undefined ? [] : [`mail host ${entry.mailHost}`]),
    ...(entry.languages === undefined ? [] : [`language ${entry.languages.join(', ')}`]),
    ...entry.status.map((one) => `${one.attribute} ${one.value}`),
  ].join('; ');
}

function calendarTexts(entry: Entry): string[] {
  return [
    `marker ${entry.marker ?? 'none'}`,
    ...(entry.server === undefined ? [] : [`server ${entry.server}`]),
    entry.calendar ? (entry.kind === 'resource' ? 'a calendar, of a resource' : 'a calendar') : 'no calendar',
    ...(entry.moving ? [`being moved${entry.movingBy === undefined ? '' : `, by ${entry.movingBy}`}`] : []),
  ];
}

function groupTexts({ group }: Entry): string[] {
  if (group === undefined) return ['a list'];
  const named: readonly (readonly [string, number])[] = [
    ['by DN', group.memberDns.length],
    ['by address', group.memberAddresses.length],
    ['by LDAP URL', group.memberUrls.length],
  ];
  const members = named.filter(([, count]) => count > 0).map(([how, count]) => `${count} ${how}`);
  return [
    `a list${members.length === 0 ? ' without members' : ` of ${members.join(', ')}`}`,
    ...(group.restrictedBy === undefined ? [] : [`restricted by ${group.restrictedBy}`]),
  ];
}
