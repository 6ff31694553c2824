import { describe, expect, test } from 'vitest';
import { type Applied, applyMessage } from '../../../src/itip/apply.ts';
import { describeStored, readMessageFacts } from '../../../src/itip/describe.ts';

const ALICE = 'alice@example.com';
const BOB = 'bob@example.com';
const OLGA = 'olga@outside.test';

const BERLIN = [
  ...['BEGIN:VTIMEZONE', 'TZID:Europe/Berlin'],
  ...[
    'BEGIN:STANDARD',
    'DTSTART:19701025T030000',
    'RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU',
    'TZOFFSETFROM:+0200',
    'TZOFFSETTO:+0100',
    'END:STANDARD',
  ],
  ...[
    'BEGIN:DAYLIGHT',
    'DTSTART:19700329T020000',
    'RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU',
    'TZOFFSETFROM:+0100',
    'TZOFFSETTO:+0200',
    'END:DAYLIGHT',
  ],
  'END:VTIMEZONE',
];

const DEFAULTS: Readonly<Record<string, string>> = {
  UID: 'e1@outside.test',
  DTSTAMP: '20300101T080000Z',
  DTSTART: '20300315T100000Z',
  DTEND: '20300315T110000Z',
  SUMMARY: 'Review',
  ORGANIZER: `mailto:${OLGA}`,
  'ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE': `mailto:${ALICE}`,
  SEQUENCE: '0',
};

/** One VEVENT: the defaults with lines replaced by their name before `;`, or left out (''). */
function event(...changes: readonly string[]): string[] {
  const changed = new Set(changes.map((line) => /^[A-Z-]+/.exec(line)?.[0] ?? ''));
  const kept = Object.entries(DEFAULTS)
    .filter(([name]) => !changed.has(name.split(';')[0] ?? ''))
    .map(([name, value]) => `${name}:${value}`);
  return ['BEGIN:VEVENT', ...kept, ...changes.filter((line) => !line.endsWith(':')), 'END:VEVENT'];
}

function message(method: string, ...components: readonly (readonly string[])[]): string {
  const head = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Example//Test//EN',
    ...(method === '' ? [] : [`METHOD:${method}`]),
  ];
  return [...head, ...components.flat(), 'END:VCALENDAR', ''].join('\r\n');
}

function stored(result: Applied): string {
  expect(result).toMatchObject({ kind: 'store' });
  return result.kind === 'store' ? result.text.replaceAll('\r\n ', '') : '';
}

/** The lines of each VEVENT that begin with one of `names`, sorted. */
function events(text: string, ...names: readonly string[]): string[][] {
  return text
    .split('BEGIN:VEVENT')
    .slice(1)
    .map((part) =>
      part
        .split('\r\n')
        .filter((line) => names.some((name) => new RegExp(`^${name}[;:]`).test(line)))
        .sort(),
    );
}

const REQUEST = message('REQUEST', event());
const STORED = stored(applyMessage(undefined, REQUEST, ALICE));
const SERIES = [
  'DTSTART;TZID=Europe/Berlin:20300315T100000',
  'DTEND;TZID=Europe/Berlin:20300315T110000',
  'RRULE:FREQ=WEEKLY',
];
const STORED_SERIES = stored(applyMessage(undefined, message('REQUEST', BERLIN, event(...SERIES)), ALICE));

function answered(partstat: string, text = STORED): string {
  return text.replaceAll('PARTSTAT=NEEDS-ACTION', `PARTSTAT=${partstat}`);
}

describe('REQUEST', () => {
  test('a new event is stored whole, without METHOD', () => {
    expect(applyMessage(undefined, REQUEST, ALICE)).toEqual({
      kind: 'store',
      text: REQUEST.replace('METHOD:REQUEST\r\n', ''),
      summary: 'Review',
    });
  });

  test('the recipient is found in any case, and has to be an attendee', () => {
    expect(applyMessage(undefined, REQUEST, 'Alice@EXAMPLE.com').kind).toBe('store');
    expect(applyMessage(undefined, REQUEST, BOB)).toMatchObject({ kind: 'refused', requestStatus: '3.8' });
  });

  test.each([
    ['a higher SEQUENCE', ['SEQUENCE:1', 'DTSTAMP:20290101T080000Z'], 'store'],
    ['a later DTSTAMP', ['DTSTAMP:20300101T080001Z'], 'store'],
    ['the same version', [], 'unchanged'],
    ['an earlier DTSTAMP', ['DTSTAMP:20300101T075959Z'], 'unchanged'],
  ])('%s: %j → %s', (_, changes, kind) => {
    expect(applyMessage(STORED, message('REQUEST', event('SUMMARY:Changed', ...changes)), ALICE).kind).toBe(kind);
  });

  test('a lower SEQUENCE loses to the stored one, however late it was written', () => {
    const update = stored(applyMessage(STORED, message('REQUEST', event('SEQUENCE:2')), ALICE));
    const late = message('REQUEST', event('SEQUENCE:1', 'DTSTAMP:20310101T000000Z'));
    expect(applyMessage(update, late, ALICE)).toMatchObject({ kind: 'unchanged' });
  });

  test('the user’s answer outlives an update that leaves the times alone', () => {
    const update = message('REQUEST', event('SEQUENCE:1', 'SUMMARY:Renamed'));
    expect(events(stored(applyMessage(answered('ACCEPTED'), update, ALICE)), 'SUMMARY', 'ATTENDEE')).toEqual([
      [`ATTENDEE;PARTSTAT=ACCEPTED;RSVP=TRUE:mailto:${ALICE}`, 'SUMMARY:Renamed'],
    ]);
  });

  test.each([['DTSTART:20300315T093000Z'], ['DTEND:20300315T120000Z'], ['RRULE:FREQ=DAILY']])(
    'the user’s answer does not outlive %s',
    (change) => {
      const update = message('REQUEST', event('SEQUENCE:1', change));
      expect(events(stored(applyMessage(answered('ACCEPTED'), update, ALICE)), 'ATTENDEE')).toEqual([
        [`ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:${ALICE}`],
      ]);
    },
  );

  test('a REQUEST after a CANCEL revives the event', () => {
    const cancelled = stored(applyMessage(answered('ACCEPTED'), message('CANCEL', event('SEQUENCE:1')), ALICE));
    const revived = applyMessage(cancelled, message('REQUEST', event('SEQUENCE:2')), ALICE);
    expect(events(stored(revived), 'STATUS', 'ATTENDEE')).toEqual([
      [`ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:${ALICE}`],
    ]);
  });

  test('another organizer cannot take the event over', () => {
    const takeover = message('REQUEST', event('SEQUENCE:9', 'ORGANIZER:mailto:mallory@outside.test'));
    expect(applyMessage(STORED, takeover, ALICE)).toMatchObject({ kind: 'refused', requestStatus: '3.8' });
  });

  test('the organizer may change the spelling of his address', () => {
    const update = message('REQUEST', event('SEQUENCE:1', 'ORGANIZER:MAILTO:Olga@OUTSIDE.test'));
    expect(applyMessage(STORED, update, ALICE).kind).toBe('store');
  });

  test('an exception joins its series and does not replace it', () => {
    const exception = event(
      ...['RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SUMMARY:Moved', 'SEQUENCE:1'],
      ...['DTSTART;TZID=Europe/Berlin:20300322T140000', 'DTEND;TZID=Europe/Berlin:20300322T150000'],
    );
    const joined = stored(applyMessage(STORED_SERIES, message('REQUEST', BERLIN, exception), ALICE));
    expect(events(joined, 'RRULE', 'RECURRENCE-ID', 'SUMMARY')).toEqual([
      ['RRULE:FREQ=WEEKLY', 'SUMMARY:Review'],
      ['RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SUMMARY:Moved'],
    ]);
    expect(joined.match(/BEGIN:VTIMEZONE/g)?.length).toBe(1);

    // The same instance, said in UTC.
    const again = event(
      'RECURRENCE-ID:20300322T090000Z',
      'SUMMARY:Moved again',
      'SEQUENCE:2',
      'DTSTART:20300322T150000Z',
      'DTEND:20300322T160000Z',
    );
    const replaced = stored(applyMessage(joined, message('REQUEST', again), ALICE));
    expect(events(replaced, 'SUMMARY')).toEqual([['SUMMARY:Review'], ['SUMMARY:Moved again']]);
  });

  test('an exception of a series the user is not invited to stands alone', () => {
    const exception = message(
      'REQUEST',
      BERLIN,
      event('RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SUMMARY:Once'),
    );
    expect(events(stored(applyMessage(undefined, exception, ALICE)), 'SUMMARY', 'RECURRENCE-ID')).toEqual([
      ['RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SUMMARY:Once'],
    ]);
  });

  test('exceptions outlive an update of the series, but not its move', () => {
    const exception = event('RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SUMMARY:Once');
    const joined = stored(applyMessage(STORED_SERIES, message('REQUEST', BERLIN, exception), ALICE));
    const renamed = message('REQUEST', BERLIN, event(...SERIES, 'SUMMARY:Renamed', 'SEQUENCE:1'));
    expect(
      events(stored(applyMessage(joined, renamed, ALICE)), 'SUMMARY')
        .flat()
        .sort(),
    ).toEqual(['SUMMARY:Once', 'SUMMARY:Renamed']);
    const moved = message(
      'REQUEST',
      BERLIN,
      event(...SERIES.slice(1), 'DTSTART;TZID=Europe/Berlin:20300316T100000', 'SEQUENCE:1'),
    );
    expect(events(stored(applyMessage(joined, moved, ALICE)), 'SUMMARY')).toEqual([['SUMMARY:Review']]);
  });

  test('an exception that the move names again is kept, although its own version is known', () => {
    const exception = event('RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SUMMARY:Once');
    const joined = stored(applyMessage(STORED_SERIES, message('REQUEST', BERLIN, exception), ALICE));
    const moved = event(...SERIES.slice(0, 2), 'RRULE:FREQ=WEEKLY;COUNT=9', 'SEQUENCE:1');
    const both = stored(applyMessage(joined, message('REQUEST', BERLIN, moved, exception), ALICE));
    expect(events(both, 'SUMMARY').flat().sort()).toEqual(['SUMMARY:Once', 'SUMMARY:Review']);
  });

  test('an exception that the series has overtaken is ignored', () => {
    const series = stored(
      applyMessage(
        undefined,
        message('REQUEST', BERLIN, event(...SERIES, 'SEQUENCE:3', 'DTSTAMP:20300201T000000Z')),
        ALICE,
      ),
    );
    const late = message('REQUEST', BERLIN, event('RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SEQUENCE:2'));
    expect(applyMessage(series, late, ALICE).kind).toBe('unchanged');
  });
});

describe('REPLY', () => {
  const own = message(
    '',
    event(
      'ATTENDEE:',
      `ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:${ALICE}`,
      `ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:${BOB}`,
    ),
  );

  function reply(from: string, partstat: string, ...changes: readonly string[]): string {
    return message('REPLY', event('SUMMARY:', `ATTENDEE;PARTSTAT=${partstat}:mailto:${from}`, ...changes));
  }

  test('sets the PARTSTAT of its attendee and of nobody else', () => {
    expect(events(stored(applyMessage(own, reply(ALICE, 'accepted'), OLGA)), 'ATTENDEE')).toEqual([
      [
        `ATTENDEE;PARTSTAT=ACCEPTED;X-IMIPD-REPLIED=20300101T080000Z:mailto:${ALICE}`,
        `ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:${BOB}`,
      ],
    ]);
  });

  test('of two attendees in any order of DTSTAMP both count', () => {
    const first = stored(applyMessage(own, reply(ALICE, 'ACCEPTED', 'DTSTAMP:20300105T000000Z'), OLGA));
    const second = stored(applyMessage(first, reply(BOB, 'DECLINED', 'DTSTAMP:20300102T000000Z'), OLGA));
    expect(events(second, 'ATTENDEE')[0]?.map((line) => /PARTSTAT=([A-Z-]+)/.exec(line)?.[1])).toEqual([
      'ACCEPTED',
      'DECLINED',
    ]);
  });

  test('of one attendee the one written later counts, whichever comes first', () => {
    const later = stored(applyMessage(own, reply(ALICE, 'ACCEPTED', 'DTSTAMP:20300105T000000Z'), OLGA));
    expect(applyMessage(later, reply(ALICE, 'DECLINED', 'DTSTAMP:20300104T000000Z'), OLGA).kind).toBe('unchanged');
    expect(applyMessage(later, reply(ALICE, 'ACCEPTED', 'DTSTAMP:20300105T000000Z'), OLGA).kind).toBe('unchanged');
    expect(applyMessage(later, reply(ALICE, 'DECLINED', 'DTSTAMP:20300106T000000Z'), OLGA).kind).toBe('store');
  });

  test('to an older version is ignored; one without SEQUENCE is not', () => {
    const updated = own.replace('SEQUENCE:0', 'SEQUENCE:2');
    expect(applyMessage(updated, reply(ALICE, 'ACCEPTED', 'SEQUENCE:1'), OLGA).kind).toBe('unchanged');
    expect(applyMessage(updated, reply(ALICE, 'ACCEPTED', 'SEQUENCE:'), OLGA).kind).toBe('store');
  });

  test('for one instance makes an exception of the same length, and leaves the series alone', () => {
    // No VTIMEZONE in the reply: many clients leave it out.
    const one = reply(ALICE, 'DECLINED', 'RECURRENCE-ID;TZID=Europe/Berlin:20300405T100000', 'DTSTART:', 'DTEND:');
    const both = stored(applyMessage(STORED_SERIES, one, OLGA));
    expect(events(both, 'ATTENDEE', 'DTSTART', 'DTEND', 'RECURRENCE-ID', 'RRULE')).toEqual([
      [
        `ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:${ALICE}`,
        ...[
          'DTEND;TZID=Europe/Berlin:20300315T110000',
          'DTSTART;TZID=Europe/Berlin:20300315T100000',
          'RRULE:FREQ=WEEKLY',
        ],
      ],
      [
        `ATTENDEE;PARTSTAT=DECLINED;X-IMIPD-REPLIED=20300101T080000Z:mailto:${ALICE}`,
        ...['DTEND;TZID=Europe/Berlin:20300405T110000', 'DTSTART;TZID=Europe/Berlin:20300405T100000'],
        'RECURRENCE-ID;TZID=Europe/Berlin:20300405T100000',
      ],
    ]);
    // The instance in UTC: ten o'clock of summer time.
    const inUtc = reply(ALICE, 'TENTATIVE', 'RECURRENCE-ID:20300405T080000Z', 'DTSTAMP:20300102T000000Z');
    expect(
      events(stored(applyMessage(both, inUtc, OLGA)), 'ATTENDEE').map(
        ([line]) => /PARTSTAT=([A-Z-]+)/.exec(line ?? '')?.[1],
      ),
    ).toEqual([...['NEEDS-ACTION', 'TENTATIVE']]);
  });

  test.each([
    ['an unknown UID', undefined, reply(ALICE, 'ACCEPTED'), OLGA, '5.2'],
    ['a replier nobody invited', own, reply('mallory@outside.test', 'ACCEPTED'), OLGA, '3.8'],
    ['somebody else’s event', own, reply(ALICE, 'ACCEPTED'), BOB, '3.8'],
    ['no ATTENDEE', own, message('REPLY', event('ATTENDEE:')), OLGA, '3.11'],
    ['no PARTSTAT', own, message('REPLY', event(`ATTENDEE:mailto:${ALICE}`)), OLGA, '3.11'],
    [
      'a date as instance of a series with times',
      STORED_SERIES,
      reply(ALICE, 'ACCEPTED', 'RECURRENCE-ID;VALUE=DATE:20300405'),
      OLGA,
      '3.5',
    ],
  ])('with %s is refused', (_, calendar, incoming, user, requestStatus) => {
    expect(applyMessage(calendar, incoming, user)).toMatchObject({ kind: 'refused', requestStatus });
  });
});

describe('CANCEL', () => {
  test('marks the event, and repeats change nothing', () => {
    const cancel = message('CANCEL', event('SEQUENCE:1', 'DTSTAMP:20300102T000000Z', 'STATUS:CANCELLED'));
    const marked = stored(applyMessage(STORED, cancel, ALICE));
    expect(events(marked, 'STATUS', 'SEQUENCE', 'DTSTAMP', 'SUMMARY')).toEqual([
      ['DTSTAMP:20300102T000000Z', 'SEQUENCE:1', 'STATUS:CANCELLED', 'SUMMARY:Review'],
    ]);
    expect(applyMessage(marked, cancel, ALICE).kind).toBe('unchanged');
  });

  test('with the SEQUENCE and DTSTAMP of the event cancels it: many senders raise neither', () => {
    expect(applyMessage(STORED, message('CANCEL', event()), ALICE).kind).toBe('store');
  });

  test('older than the event is ignored', () => {
    const updated = STORED.replace('SEQUENCE:0', 'SEQUENCE:2');
    expect(applyMessage(updated, message('CANCEL', event('SEQUENCE:1')), ALICE).kind).toBe('unchanged');
  });

  test('of an unknown UID changes nothing', () => {
    expect(applyMessage(undefined, message('CANCEL', event()), ALICE).kind).toBe('unchanged');
  });

  test('by another organizer, or without one, is refused', () => {
    for (const organizer of ['ORGANIZER:mailto:mallory@outside.test', 'ORGANIZER:']) {
      const cancel = message('CANCEL', event('SEQUENCE:5', organizer));
      expect(applyMessage(STORED, cancel, ALICE)).toMatchObject({ kind: 'refused', requestStatus: '3.8' });
    }
  });

  test('of one instance leaves the series alone', () => {
    const cancel = message('CANCEL', BERLIN, event('RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SEQUENCE:1'));
    expect(events(stored(applyMessage(STORED_SERIES, cancel, ALICE)), 'STATUS', 'RECURRENCE-ID', 'RRULE')).toEqual([
      ['RRULE:FREQ=WEEKLY'],
      ['RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'STATUS:CANCELLED'],
    ]);
  });

  test('of a series takes its exceptions along', () => {
    const exception = event('RECURRENCE-ID;TZID=Europe/Berlin:20300322T100000', 'SUMMARY:Once', 'SEQUENCE:7');
    const joined = stored(applyMessage(STORED_SERIES, message('REQUEST', BERLIN, exception), ALICE));
    const cancelled = stored(applyMessage(joined, message('CANCEL', event('SEQUENCE:1')), ALICE));
    expect(events(cancelled, 'STATUS')).toEqual([['STATUS:CANCELLED'], ['STATUS:CANCELLED']]);
  });
});

describe('ADD', () => {
  const added = event(
    'DTSTART;TZID=Europe/Berlin:20300318T150000',
    'DTEND;TZID=Europe/Berlin:20300318T160000',
    'SUMMARY:Extra',
    'SEQUENCE:1',
  );

  test('puts one more instance into the series', () => {
    const both = stored(applyMessage(STORED_SERIES, message('ADD', BERLIN, added), ALICE));
    expect(events(both, 'RDATE', 'SUMMARY', 'RECURRENCE-ID')).toEqual([
      ['RDATE;TZID=Europe/Berlin:20300318T150000', 'SUMMARY:Review'],
      ['RECURRENCE-ID;TZID=Europe/Berlin:20300318T150000', 'SUMMARY:Extra'],
    ]);
    expect(applyMessage(both, message('ADD', BERLIN, added), ALICE).kind).toBe('unchanged');
  });

  test.each([
    ['an unknown series', undefined, message('ADD', BERLIN, added), ALICE, '5.2'],
    ['somebody who is in neither', STORED_SERIES, message('ADD', BERLIN, added), BOB, '3.8'],
    ['two components', STORED_SERIES, message('ADD', BERLIN, added, added), ALICE, '3.11'],
    [
      'a date in a series with times',
      STORED_SERIES,
      message('ADD', event('DTSTART;VALUE=DATE:20300318', 'DTEND:')),
      ALICE,
      '3.5',
    ],
  ])('with %s is refused', (_, calendar, incoming, user, requestStatus) => {
    expect(applyMessage(calendar, incoming, user)).toMatchObject({ kind: 'refused', requestStatus });
  });
});

describe('what is not applied', () => {
  const todo = [
    'BEGIN:VTODO',
    'UID:e1@outside.test',
    `ORGANIZER:mailto:${OLGA}`,
    `ATTENDEE:mailto:${ALICE}`,
    'END:VTODO',
  ];

  test.each([
    ['PUBLISH', message('PUBLISH', event()), '5.0'],
    ['COUNTER', message('COUNTER', event()), '5.0'],
    ['no METHOD', message('', event()), '5.0'],
    ['RANGE', message('REQUEST', event('RECURRENCE-ID;RANGE=THISANDFUTURE:20300322T100000Z')), '3.14'],
    ['a to-do of the UID of an event', message('REQUEST', todo), '3.12'],
    ['two UIDs', message('REQUEST', event(), event('UID:e2@outside.test')), '3.1'],
    ['no UID', message('REQUEST', event('UID:')), '3.1'],
    ['no event', message('REQUEST', BERLIN), '3.1'],
    ['two calendars', REQUEST + REQUEST, '3.1'],
    ['a card', 'BEGIN:VCARD\r\nVERSION:4.0\r\nFN:x\r\nEND:VCARD\r\n', '3.1'],
    ['no calendar', 'hello', '3.1'],
    ['nothing', '', '3.1'],
    ['a date that is none', message('REQUEST', event('DTSTAMP:yesterday', 'SEQUENCE:1')), '3.1'],
  ])('%s is refused', (_, incoming, requestStatus) => {
    expect(applyMessage(STORED, incoming, ALICE)).toMatchObject({ kind: 'refused', requestStatus });
  });

  test('a to-do of its own is stored', () => {
    expect(applyMessage(undefined, message('REQUEST', todo), ALICE).kind).toBe('store');
  });
});

describe('reading', () => {
  test('the facts of a message', () => {
    expect(readMessageFacts(REQUEST)).toEqual({
      ...{ method: 'REQUEST', component: 'VEVENT', uid: 'e1@outside.test', organizer: OLGA, attendees: [ALICE] },
    });
    expect(readMessageFacts(STORED)).toBe('it has no METHOD');
    expect(readMessageFacts(message('X-FOO', event()))).toBe('METHOD X-FOO is unknown');
    expect(typeof readMessageFacts('hello')).toBe('string');
  });

  test('a line for a list', () => {
    const cancelled = stored(applyMessage(STORED, message('CANCEL', event()), ALICE));
    expect(describeStored(STORED)).toEqual({ uid: 'e1@outside.test', summary: 'Review', status: '' });
    expect(describeStored(cancelled)).toEqual({ uid: 'e1@outside.test', summary: 'Review', status: 'CANCELLED' });
    expect(describeStored('hello')).toBeUndefined();
  });
});
