import type { EventFacts, Person } from '../event-facts.ts';
import { type Kind, leadOf, type Tone } from './kind.ts';
import type { Choice } from './language.ts';
import { fullName, nameOf } from './people.ts';
import { fill, foreign, oneLine, type Phrase, plain } from './phrase.ts';
import { type Row, rowsOf } from './rows.ts';
import { timesOf } from './times.ts';

/** All that a mail says, before it becomes text or HTML. */
export type Sheet = {
  readonly locale: string;
  readonly tone: Tone;
  /** `Invitation`, `Updated`… */
  readonly kind: string;
  readonly title: Phrase;
  readonly subject: string;
  readonly lead: Phrase;
  readonly notes: readonly Phrase[];
  readonly rows: readonly Row[];
  readonly footer: Phrase;
};

export type SheetContext = {
  readonly kind: Kind;
  /** What stood before an update, or stands against a COUNTER; otherwise it lends what an object leaves out. */
  readonly previous?: EventFacts;
  /** Who answers or asks, where the object names several attendees. */
  readonly author?: Person;
  readonly failure?: { readonly attendee: Person; readonly reason: string };
};

/** @param events master first, then overrides; not empty */
export function sheetOf(events: readonly [EventFacts, ...EventFacts[]], context: SheetContext, choice: Choice): Sheet {
  const { strings } = choice;
  const { kind, previous } = context;
  const [first, ...overrides] = events;
  const event = completed(first, context);
  const times = timesOf(choice);
  const { kind: kindKey, lead: leadKey, tone } = leadOf(kind, event);
  const isByAttendee = kind === 'reply' || kind === 'counter' || kind === 'refresh';
  const author = isByAttendee ? authorOf(event, context) : event.organizer;
  const who: Phrase = author === undefined ? [strings.someone] : nameOf(author);
  const titleText = oneLine(event.title);
  const title: Phrase = titleText === '' ? [strings.untitled] : foreign(titleText);
  const attendee: Phrase =
    context.failure === undefined ? [strings.someone] : fullName(context.failure.attendee, choice);
  const delegate = foreign(event.attendees[0]?.delegatedTo ?? '');

  const notes: Phrase[] = [];
  if (!isByAttendee && event.sentBy !== undefined && event.sentBy !== event.organizer?.address)
    notes.push(fill(strings.sentBy, { sender: foreign(event.sentBy), who }));
  if (event.recurrenceId !== undefined) {
    // The time below names it.
    const isZoneShown = event.start?.zone !== undefined && event.start.zone === event.recurrenceId.zone;
    const template = event.thisAndFuture ? strings.followingDates : strings.onlyDate;
    notes.push(fill(template, { date: times.moment(event.recurrenceId, isZoneShown ? 'none' : 'exact') }));
  } else if (kind === 'cancellation' && (event.rule !== undefined || event.moreDates === true)) {
    notes.push([strings.wholeSeries]);
  }
  if (kind === 'declined-counter') notes.push([strings.unchanged]);
  if (kind === 'counter') notes.push([strings.proposalAdvice]);
  if (context.failure !== undefined)
    notes.push(fill(strings.failureAdvice, { attendee: nameOf(context.failure.attendee) }));

  const isAnswered = kind === 'invitation' || kind === 'update' || kind === 'add';
  const asksAnswer = isAnswered && event.method !== 'PUBLISH' && author !== undefined;
  const kindText = strings[kindKey];
  return {
    locale: choice.locale,
    tone,
    kind: kindText,
    title,
    subject: oneLine(plain(fill(strings.subject, { kind: kindText, title }))),
    lead: fill(strings[leadKey], { who, title, attendee, delegate }),
    notes,
    rows: rowsOf(event, overrides, {
      kind,
      choice,
      times,
      ...(previous === undefined ? {} : { previous }),
      ...(context.failure === undefined ? {} : { reason: context.failure.reason }),
    }),
    footer: asksAnswer ? fill(strings.footerAnswer, { who }) : [strings.footer],
  };
}

/** CANCEL, REPLY and their like may leave out what the event is (RFC 5546 §3.2); a date of a series has times of its own. */
function completed(event: EventFacts, { kind, previous }: SheetContext): EventFacts {
  if (previous === undefined || kind === 'invitation' || kind === 'update' || kind === 'add') return event;
  const titled = event.title === '' ? { ...event, title: previous.title } : event;
  if (kind === 'counter') return titled;
  const isSame = (event.recurrenceId?.local ?? '') === (previous.recurrenceId?.local ?? '');
  // A DECLINECOUNTER may hold the times that were refused: what counts is what stands.
  const isOwn = kind !== 'declined-counter' && event.start !== undefined;
  if (isOwn || !isSame) return titled;
  const { start, end, place, rule, moreDates, fewerDates } = previous;
  return {
    ...titled,
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    ...(place === undefined ? {} : { place }),
    ...(rule === undefined ? {} : { rule }),
    ...(moreDates === undefined ? {} : { moreDates }),
    ...(fewerDates === undefined ? {} : { fewerDates }),
  };
}

function authorOf(event: EventFacts, { author }: SheetContext): Person | undefined {
  if (author !== undefined) return author;
  return event.attendees.length === 1 ? event.attendees[0] : undefined;
}
