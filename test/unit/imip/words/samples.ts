import type { EventFacts } from '../../../../src/imip/event-facts.ts';
import type { CalendarMail } from '../../../../src/imip/mail.ts';
import { eventFacts } from '../../../../src/imip/read-event.ts';
import type { WordsContext } from '../../../../src/imip/words/words.ts';
import type { Method } from '../../../../src/itip/message.ts';

export const BERLIN = `BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:DAYLIGHT
DTSTART:19810329T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
BEGIN:STANDARD
DTSTART:19961027T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE
`;

/** Facts of an object made of these component texts, each without BEGIN and END. */
export function factsOf(
  method: Method,
  components: readonly string[],
  component: 'VEVENT' | 'VTODO' = 'VEVENT',
  zones: string = BERLIN,
): readonly EventFacts[] {
  const body = components.map((text) => `BEGIN:${component}\n${text.trim()}\nEND:${component}\n`).join('');
  const text = `BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:${method}\n${zones}${body}END:VCALENDAR\n`;
  const content = Buffer.from(text.replaceAll('\n', '\r\n'));
  const facts = eventFacts({ method, component, uid: 'budget@example.com', content });
  OBJECTS.set(facts, { method, component, content });
  return facts;
}

/** The object that facts of {@link factsOf} were read from, as a mail carries it. */
export const OBJECTS = new WeakMap<readonly EventFacts[], NonNullable<CalendarMail['calendar']>>();

const PEOPLE = `ORGANIZER;CN=Ann Example:mailto:ann@example.com
ATTENDEE;CN=Bob Sample;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:bob@example.org
ATTENDEE;CN=Carol;PARTSTAT=ACCEPTED:mailto:carol@example.net
ATTENDEE;PARTSTAT=TENTATIVE:mailto:dave@example.net`;

const BUDGET = `UID:budget@example.com
DTSTAMP:20261120T090000Z
DTSTART;TZID=Europe/Berlin:20261123T140000
DTEND;TZID=Europe/Berlin:20261123T153000
SUMMARY:Budget
LOCATION:Room 5\\, second floor
DESCRIPTION:Please bring the figures of the third quarter.\\n\\n1. Travel\\n2. Hardware
${PEOPLE}`;

const MOVED = `UID:budget@example.com
DTSTAMP:20261120T100000Z
SEQUENCE:1
DTSTART;TZID=Europe/Berlin:20261124T093000
DTEND;TZID=Europe/Berlin:20261124T110000
SUMMARY:Budget
LOCATION:Room 7
DESCRIPTION:Please bring the figures of the third quarter.
${PEOPLE}`;

const SERIES = `UID:budget@example.com
DTSTAMP:20261120T090000Z
DTSTART;TZID=Europe/Berlin:20261123T140000
DTEND;TZID=Europe/Berlin:20261123T150000
RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=WE,MO;UNTIL=20270331T120000Z
EXDATE;TZID=Europe/Berlin:20261221T140000
SUMMARY:Team meeting
URL:https://meet.example.com/team?a=1&b=2
${PEOPLE}`;

const ONE_DATE = `UID:budget@example.com
DTSTAMP:20261120T090000Z
RECURRENCE-ID;TZID=Europe/Berlin:20261207T140000
DTSTART;TZID=Europe/Berlin:20261207T160000
DTEND;TZID=Europe/Berlin:20261207T170000
SUMMARY:Team meeting
LOCATION:Room 7
${PEOPLE}`;

const answer = (partstat: string, more = ''): string => `UID:budget@example.com
DTSTAMP:20261120T110000Z
DTSTART;TZID=Europe/Berlin:20261123T140000
DTEND;TZID=Europe/Berlin:20261123T153000
SUMMARY:Budget
ORGANIZER;CN=Ann Example:mailto:ann@example.com
ATTENDEE;CN=Bob Sample;PARTSTAT=${partstat}:mailto:bob@example.org
${more}`;

const BOB = { name: 'Bob Sample', address: 'bob@example.org' };
const ANN = { name: 'Ann Example', address: 'ann@example.com' };

type Sample = { readonly events: readonly EventFacts[]; readonly context: Omit<WordsContext, 'language'> };

function previous(component: string): { previous?: EventFacts } {
  const [first] = factsOf('REQUEST', [component]);
  return first === undefined ? {} : { previous: first };
}

/** One mail of each kind, and of each shape an event takes. */
export const SAMPLES: Readonly<Record<string, Sample>> = {
  invitation: { events: factsOf('REQUEST', [BUDGET]), context: { recipient: BOB, kind: 'invitation' } },
  'invitation-series': {
    events: factsOf('REQUEST', [SERIES, ONE_DATE]),
    context: { recipient: BOB, kind: 'invitation' },
  },
  'invitation-days': {
    events: factsOf('REQUEST', [
      `UID:budget@example.com
DTSTART;VALUE=DATE:20261130
DTEND;VALUE=DATE:20261203
RRULE:FREQ=YEARLY;COUNT=3
SUMMARY:Fair
LOCATION:Hall 3
ORGANIZER;CN=Ann Example;SENT-BY="mailto:sam@example.com":mailto:ann@example.com
ATTENDEE;CN=Bob Sample:mailto:bob@example.org`,
    ]),
    context: { recipient: BOB, kind: 'invitation' },
  },
  task: {
    events: factsOf(
      'REQUEST',
      [
        `UID:budget@example.com
DUE;VALUE=DATE:20261204
SUMMARY:Write the report
ORGANIZER;CN=Ann Example:mailto:ann@example.com
ATTENDEE;CN=Bob Sample:mailto:bob@example.org`,
      ],
      'VTODO',
    ),
    context: { recipient: BOB, kind: 'invitation' },
  },
  publication: { events: factsOf('PUBLISH', [BUDGET]), context: { recipient: BOB, kind: 'invitation' } },
  update: { events: factsOf('REQUEST', [MOVED]), context: { recipient: BOB, kind: 'update', ...previous(BUDGET) } },
  'update-one-date': { events: factsOf('REQUEST', [ONE_DATE]), context: { recipient: BOB, kind: 'update' } },
  cancellation: {
    events: factsOf('CANCEL', [`${BUDGET}\nSTATUS:CANCELLED\nCOMMENT:We meet next year.`]),
    context: { recipient: BOB, kind: 'cancellation' },
  },
  'cancellation-series': {
    events: factsOf('CANCEL', [`${SERIES}\nSTATUS:CANCELLED`]),
    context: { recipient: BOB, kind: 'cancellation' },
  },
  'cancellation-later-dates': {
    events: factsOf('CANCEL', [
      `UID:budget@example.com
RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20261207T140000
STATUS:CANCELLED
ORGANIZER;CN=Ann Example:mailto:ann@example.com
ATTENDEE;CN=Bob Sample:mailto:bob@example.org`,
    ]),
    context: { recipient: BOB, kind: 'cancellation', ...previous(SERIES) },
  },
  withdrawal: { events: factsOf('CANCEL', [BUDGET]), context: { recipient: BOB, kind: 'cancellation' } },
  add: { events: factsOf('ADD', [MOVED]), context: { recipient: BOB, kind: 'add' } },
  'reply-accepted': {
    events: factsOf('REPLY', [answer('ACCEPTED', 'COMMENT:I come ten minutes later.')]),
    context: { recipient: ANN, kind: 'reply' },
  },
  'reply-declined': { events: factsOf('REPLY', [answer('DECLINED')]), context: { recipient: ANN, kind: 'reply' } },
  'reply-tentative': { events: factsOf('REPLY', [answer('TENTATIVE')]), context: { recipient: ANN, kind: 'reply' } },
  'reply-delegated': {
    events: factsOf('REPLY', [answer('DELEGATED;DELEGATED-TO="mailto:erin@example.org"')]),
    context: { recipient: ANN, kind: 'reply' },
  },
  counter: {
    events: factsOf('COUNTER', [`${MOVED}\nCOMMENT:Could we move it?`]),
    context: { recipient: ANN, kind: 'counter', author: BOB, ...previous(BUDGET) },
  },
  'declined-counter': {
    events: factsOf('DECLINECOUNTER', [`${MOVED}\nCOMMENT:The others cannot.`]),
    context: { recipient: BOB, kind: 'declined-counter', ...previous(BUDGET) },
  },
  refresh: { events: factsOf('REFRESH', [answer('NEEDS-ACTION')]), context: { recipient: ANN, kind: 'refresh' } },
  failure: {
    events: factsOf('REQUEST', [BUDGET]),
    context: {
      recipient: ANN,
      kind: 'failure',
      failure: { attendee: BOB, reason: '550 5.1.1 <bob@example.org>: no such user' },
    },
  },
};
