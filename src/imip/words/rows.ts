import type { EventFacts, When } from '../event-facts.ts';
import type { Strings } from './en.ts';
import type { Kind } from './kind.ts';
import type { Choice } from './language.ts';
import { fullName } from './people.ts';
import { bare, fill, foreign, manyLines, oneLine, type Phrase } from './phrase.ts';
import { repeatsText } from './repeats.ts';
import type { Times } from './times.ts';

const MAX_ATTENDEES = 20;
const MAX_OVERRIDES = 10;
const MAX_LINK = 500;

export type Value =
  | { readonly kind: 'line'; readonly phrase: Phrase }
  | { readonly kind: 'list'; readonly items: readonly Phrase[] }
  /** Foreign lines, free of controls. */
  | { readonly kind: 'text'; readonly text: string }
  /** An https URL in its normal form. */
  | { readonly kind: 'link'; readonly url: string };

export type Row = {
  readonly label: string;
  readonly value: Value;
  /** What stood there; a change is marked even where it is not shown. */
  readonly change?: { readonly before?: Phrase; readonly isProposal: boolean };
  /** No longer takes place. */
  readonly struck?: true;
};

export type RowContext = {
  readonly kind: Kind;
  readonly choice: Choice;
  readonly times: Times;
  readonly previous?: EventFacts;
  readonly reason?: string;
};

export function rowsOf(event: EventFacts, overrides: readonly EventFacts[], context: RowContext): readonly Row[] {
  const { kind, choice, times, previous, reason } = context;
  const { strings } = choice;
  const rows: Row[] = [];
  const line = (label: string, phrase: Phrase | undefined): void => {
    if (phrase !== undefined && phrase.length > 0) rows.push({ label, value: { kind: 'line', phrase } });
  };
  if (reason !== undefined && oneLine(reason) !== '') line(strings.reason, foreign(oneLine(reason)));

  const compares = kind === 'update' || kind === 'counter';
  // One date of a series is no change of the whole, nor of another date.
  const isSameDate = (event.recurrenceId?.local ?? '') === (previous?.recurrenceId?.local ?? '');
  const before = compares && isSameDate ? previous : undefined;
  const mark = kind === 'counter' ? strings.proposed : strings.changed;
  // A DECLINECOUNTER without what stands may hold the times that were refused.
  const showsTimes = kind !== 'declined-counter' || previous !== undefined;
  for (const field of FIELDS) {
    if (!showsTimes && field.name !== 'title') continue;
    const now = field.read(event, choice, times);
    const then = before === undefined ? undefined : field.read(before, choice, times);
    const isChanged = before !== undefined && bare(now ?? []) !== bare(then ?? []);
    if (field.name === 'title' && !isChanged) continue;
    const label = strings[field.name];
    if (isChanged) {
      const none: Phrase = [strings.none];
      rows.push({
        label: bare(fill(mark, { label })),
        value: { kind: 'line', phrase: now ?? none },
        change: { before: then ?? none, isProposal: kind === 'counter' },
      });
    } else if (now !== undefined) {
      const struck = kind === 'cancellation' && (field.name === 'when' || field.name === 'due');
      rows.push({ label, value: { kind: 'line', phrase: now }, ...(struck ? { struck: true } : {}) });
    }
  }
  if (overrides.length > 0) rows.push({ label: strings.otherDates, value: overrideList(event, overrides, context) });

  const isByOrganizer = kind === 'invitation' || kind === 'update' || kind === 'cancellation' || kind === 'add';
  if (isByOrganizer && event.organizer !== undefined) line(strings.organizer, fullName(event.organizer, choice));
  const isListed = (isByOrganizer && kind !== 'cancellation') || event.attendees.length === 1;
  if (isListed && kind !== 'failure' && kind !== 'declined-counter' && event.attendees.length > 0)
    rows.push({
      label: event.attendees.length === 1 ? strings.attendee : strings.attendees,
      value: attendeeList(event, choice),
    });
  const url = isByOrganizer ? httpsUrl(event.url) : undefined;
  if (url !== undefined) rows.push({ label: strings.link, value: { kind: 'link', url } });
  texts(rows, event, before, context, mark);
  return rows;
}

type Field = {
  readonly name: keyof Strings & ('title' | 'when' | 'begins' | 'due' | 'repeats' | 'where');
  read(event: EventFacts, choice: Choice, times: Times): Phrase | undefined;
};

const FIELDS: readonly Field[] = [
  {
    name: 'title',
    read: ({ title }) => (oneLine(title) === '' ? undefined : foreign(oneLine(title))),
  },
  {
    name: 'when',
    read: (event, _, times) =>
      event.component === 'VTODO' || event.start === undefined
        ? undefined
        : times.span(event.start, event.end, zoneForm(event)),
  },
  { name: 'begins', read: (event, _, times) => ofTask(event, event.start, times) },
  { name: 'due', read: (event, _, times) => ofTask(event, event.end, times) },
  {
    name: 'repeats',
    read: (event, choice, times) => {
      const text = repeatsText(event, choice, times);
      return text === undefined ? undefined : [text];
    },
  },
  {
    name: 'where',
    read: ({ place = '' }) => (oneLine(place) === '' ? undefined : foreign(oneLine(place))),
  },
];

function ofTask(event: EventFacts, when: When | undefined, times: Times): Phrase | undefined {
  return event.component !== 'VTODO' || when === undefined ? undefined : times.moment(when, zoneForm(event));
}

/** Dates of a series are on both sides of a change of the clock. */
function zoneForm({ rule, moreDates }: EventFacts): 'exact' | 'generic' {
  return rule !== undefined || moreDates === true ? 'generic' : 'exact';
}

function overrideList(master: EventFacts, overrides: readonly EventFacts[], { choice, times }: RowContext): Value {
  const { strings } = choice;
  const formOf = (zone: string | undefined): 'exact' | 'none' =>
    zone !== undefined && zone === master.start?.zone ? 'none' : 'exact';
  const items: Phrase[] = overrides.slice(0, MAX_OVERRIDES).map(({ recurrenceId, start, end, status, ...override }) => {
    const date: Phrase = recurrenceId === undefined ? [] : times.moment(recurrenceId, formOf(recurrenceId.zone));
    if (status === 'CANCELLED') return fill(strings.row, { label: date, value: strings.cancelledDate });
    let now: Phrase = start === undefined ? date : times.span(start, end, formOf(start.zone));
    for (const name of ['title', 'place'] as const) {
      const text = oneLine(override[name] ?? '');
      if (text !== '' && text !== oneLine(master[name] ?? ''))
        now = fill(strings.also, { first: now, second: foreign(text) });
    }
    return [...date, ' → ', ...now];
  });
  const left = overrides.length - items.length;
  if (left > 0) items.push(fill(strings.moreChanges, { n: String(left) }));
  return { kind: 'list', items };
}

const STATUS: Readonly<Record<string, 'isAccepted' | 'isDeclined' | 'isTentative' | 'isDelegated'>> = {
  ACCEPTED: 'isAccepted',
  DECLINED: 'isDeclined',
  TENTATIVE: 'isTentative',
  DELEGATED: 'isDelegated',
};

function attendeeList(event: EventFacts, choice: Choice): Value {
  const { strings } = choice;
  const items: Phrase[] = event.attendees.slice(0, MAX_ATTENDEES).map((attendee) => {
    const status = STATUS[attendee.partstat ?? ''];
    const person = fullName(attendee, choice);
    return status === undefined ? person : fill(strings[status], { person });
  });
  const left = event.attendees.length - items.length;
  if (left > 0) items.push(fill(strings.more, { n: String(left) }));
  return { kind: 'list', items };
}

function texts(
  rows: Row[],
  event: EventFacts,
  before: EventFacts | undefined,
  context: RowContext,
  mark: string,
): void {
  const { strings } = context.choice;
  const comment = manyLines(event.comment ?? '');
  if (comment !== '') rows.push({ label: strings.comment, value: { kind: 'text', text: comment } });
  const { kind } = context;
  if (kind !== 'invitation' && kind !== 'update' && kind !== 'add' && kind !== 'counter') return;
  const text = manyLines(event.description ?? '');
  const isChanged = before !== undefined && text !== manyLines(before.description ?? '');
  if (text === '' && !isChanged) return;
  const label = strings.description;
  const value: Value = text === '' ? { kind: 'line', phrase: [strings.none] } : { kind: 'text', text };
  rows.push(
    isChanged
      ? { label: bare(fill(mark, { label })), value, change: { isProposal: kind === 'counter' } }
      : { label, value },
  );
}

/** Only https, and nothing that pretends to be another host. */
function httpsUrl(text: string | undefined): string | undefined {
  if (text === undefined || text.length > MAX_LINK) return undefined;
  const url = URL.parse(text);
  if (url === null || url.protocol !== 'https:' || url.username !== '' || url.password !== '') return undefined;
  return url.href;
}
