import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { journalEntry, spelledAs, toldBefore } from '../../../src/flow/journal.ts';
import type { Result } from '../../../src/flow/settle.ts';
import { DEFAULT_LIMITS } from '../../../src/itip/extract.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import { readPosted } from '../../../src/itip/posted.ts';
import type { Decision } from '../../../src/mail/disposition.ts';
import type { Delivery, Meeting, Message } from '../../../src/queue/store.ts';
import { DAY, DELIVERED, message, NOW } from '../queue/samples.ts';
import { NORTH, openScene, type Scene } from './scene.ts';

const ANN = 'ann@example.com';
const BOB = 'bob@example.net';
const CAL = 'cal@example.net';

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
});
afterEach(() => scene[Symbol.asyncDispose]());

function objectOf(lines: readonly string[], method = 'REQUEST'): SchedulingObject {
  const text = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:x', `METHOD:${method}`, ...lines, 'END:VCALENDAR', ''];
  const posted = readPosted(Buffer.from(text.join('\r\n')), 'utf-8', DEFAULT_LIMITS);
  if (posted.kind !== 'object') throw new Error(`${posted.kind}: ${JSON.stringify(posted)}`);
  return posted.object;
}

function event(...lines: readonly string[]): readonly string[] {
  return [
    'BEGIN:VEVENT',
    'UID:u1',
    'DTSTAMP:20261121T080000Z',
    `ORGANIZER:mailto:${ANN}`,
    `ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:${BOB}`,
    `ATTENDEE:mailto:${CAL}`,
    ...lines,
    'END:VEVENT',
  ];
}

const SERIES = event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'SUMMARY:Standup', 'RRULE:FREQ=WEEKLY');

function inside(id: string): Message {
  return message(id, [BOB, CAL], { origin: 'inside' });
}

function mailResult(more: Partial<Delivery> = {}): Result {
  const delivery = {
    ...{ id: 11, queueId: 'A1', position: 0, kind: 'mail', route: 'smart-host', state: 'queued', recipient: BOB },
    ...{ createdAt: NOW, dueAt: NOW, blocked: false, released: false, attempts: 0, answers: 0, heldMs: 0 },
    ...{ decisions: [] },
    ...more,
  } as Delivery;
  return {
    kind: 'outcome',
    delivery,
    channel: 'smtp',
    outcome: DELIVERED,
    sent: { reversePath: 'ann@example.org', messageId: 'm1@example.org' },
  };
}

function postResult(post: Partial<Extract<Decision['post'], { kind: 'post' }>>): Result {
  const { sent: _, ...rest } = mailResult({ kind: 'post', route: 'calendar' });
  const decision = { post: { kind: 'post', server: NORTH, recipient: BOB, ...post } } as Decision;
  return { ...rest, channel: 'ischedule', decision } as Result;
}

describe('what an organizer of ours says', () => {
  test('is remembered with everybody it names, and with the mail that left', () => {
    const object = objectOf(event('DTSTART:20261201T100000Z', 'DTEND:20261201T110000Z', 'SUMMARY:Lunch', 'SEQUENCE:3'));
    expect(journalEntry(scene.context, inside('A1'), object, mailResult())).toEqual({
      meeting: {
        uid: 'u1',
        organizer: ANN,
        attendees: [{ address: BOB, partstat: 'NEEDS-ACTION' }, { address: CAL }],
        told: { '': expect.objectContaining({ title: 'Lunch', toldIn: 'A1' }) },
        keepUntil: Date.UTC(2026, 11, 1, 11) + 90 * DAY,
      },
      sending: {
        token: 'A1.11',
        uid: 'u1',
        recurrenceIds: [''],
        sequence: 3,
        method: 'REQUEST',
        attendee: BOB,
        organizer: ANN,
        sentTo: BOB,
        reversePath: 'ann@example.org',
        messageId: 'm1@example.org',
        queueId: 'A1',
        sentAt: NOW,
        keepUntil: Date.UTC(2026, 11, 1, 11) + 90 * DAY,
      },
    });
  });

  test('is handed over once for each message, and its sendings each time', () => {
    const sent = inside('A1');
    const object = objectOf(SERIES);
    const entries = [0, 1, 2].map((position) =>
      journalEntry(scene.context, sent, object, mailResult({ id: 11 + position, position })),
    );
    expect(entries.map((entry) => [entry?.meeting !== undefined, entry?.sending?.token])).toEqual([
      [true, 'A1.11'],
      [false, 'A1.12'],
      [false, 'A1.13'],
    ]);
  });

  test('posted to somebody by another address stands as it was invited', () => {
    const { sending } =
      journalEntry(
        scene.context,
        inside('A1'),
        objectOf(SERIES),
        postResult({ recipient: 'robert@example.net', rewrite: BOB }),
      ) ?? {};
    expect([sending?.attendee, sending?.sentTo, sending?.messageId]).toEqual([BOB, 'robert@example.net', '']);
  });

  test('posted to the member of a list makes no sending, since the list was invited', () => {
    const entry = journalEntry(scene.context, inside('A1'), objectOf(SERIES), postResult({ member: CAL }));
    expect([entry?.meeting?.organizer, entry?.sending]).toEqual([ANN, undefined]);
  });

  test('from outside is nothing to remember, but for a mail that left with an address of ours', () => {
    const outside = message('A1', [BOB]);
    const object = objectOf(SERIES);
    expect(journalEntry(scene.context, outside, object, mailResult())).toBeUndefined();
    const sent = { reversePath: 'v@example.com', messageId: 'A1.0@example.com', token: 'token' };
    const entry = journalEntry(scene.context, outside, object, { ...mailResult(), sent });
    expect([entry?.meeting, entry?.sending?.token]).toEqual([undefined, 'token']);
  });

  test('from outside is remembered as long as its bounce may take, however far away its end is', () => {
    const sent = { reversePath: 'v@example.com', messageId: 'A1.0@example.com', token: 'token' };
    const far = { ...objectOf(SERIES), endsAtMs: NOW + 3650 * DAY };
    const keptFor = (origin: 'inside' | 'outside'): number => {
      const from = { ...message('A1', [BOB]), origin };
      return ((journalEntry(scene.context, from, far, { ...mailResult(), sent })?.sending?.keepUntil ?? 0) - NOW) / DAY;
    };
    expect([keptFor('inside'), keptFor('outside')]).toEqual([3740, 90]);
  });
});

describe('a REPLY', () => {
  const reply = objectOf(
    [
      'BEGIN:VEVENT',
      'UID:u1',
      'DTSTAMP:20261121T080000Z',
      `ORGANIZER:mailto:${ANN}`,
      'ATTENDEE;PARTSTAT=ACCEPTED:mailto:robert@example.net',
      'END:VEVENT',
    ],
    'REPLY',
  );

  test('that was posted is remembered as the answer of whom it was invited as', () => {
    const result = postResult({ recipient: ANN, author: { from: 'robert@example.net', to: BOB } });
    expect(journalEntry(scene.context, message('A1'), reply, result)).toEqual({
      answered: { uid: 'u1', organizer: ANN, attendee: BOB, partstat: 'ACCEPTED' },
    });
  });

  test('that only passed by mail is not', () => {
    expect(journalEntry(scene.context, message('A1'), reply, mailResult())).toBeUndefined();
  });
});

describe('a meeting is kept', () => {
  const keepUntil = (...lines: readonly string[]): number | undefined =>
    journalEntry(scene.context, inside('A1'), objectOf(event('SUMMARY:x', ...lines)), mailResult())?.meeting?.keepUntil;

  test.each<readonly [what: string, lines: readonly string[], until: number]>([
    [
      'for the journal time after its end',
      ['DTSTART:20270101T100000Z', 'DTEND:20270101T110000Z'],
      Date.UTC(2027, 0, 1, 11) + 90 * DAY,
    ],
    ['from now on when it is over', ['DTSTART:20200101T100000Z', 'DTEND:20200101T110000Z'], NOW + 90 * DAY],
    [
      'after the last instance when the rule says which it is',
      ['DTSTART:20261201T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=DAILY;UNTIL=20300101T000000Z'],
      Date.UTC(2030, 0, 1) + 90 * DAY,
    ],
    [
      'after the last instance when the rule says how many there are',
      ['DTSTART:20261201T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=YEARLY;COUNT=5'],
      Date.UTC(2026, 11, 1, 11) + (5 * 366 + 90) * DAY,
    ],
    [
      'for a year and longer when it names single dates',
      ['DTSTART:20261201T100000Z', 'DURATION:PT1H', 'RDATE:20271001T100000Z'],
      Date.UTC(2026, 11, 1, 11) + 490 * DAY,
    ],
    [
      'for years when it never ends',
      ['DTSTART:20261201T100000Z', 'DURATION:PT1H', 'RRULE:FREQ=DAILY'],
      NOW + 4000 * DAY,
    ],
    ['for years at most', ['DTSTART:99981201T100000Z', 'DURATION:PT1H'], NOW + 4000 * DAY],
  ])('%s', (_, lines, until) => {
    expect(keepUntil(...lines)).toBe(until);
  });
});

describe('what was told before', () => {
  /** Journals what each message told, one after the other. */
  async function tell(...titles: readonly string[]): Promise<Meeting | undefined> {
    for (const [index, title] of titles.entries()) {
      const object = objectOf(event('DTSTART:20261201T100000Z', 'DURATION:PT1H', `SUMMARY:${title}`));
      const entry = journalEntry(scene.context, inside(`A${index + 1}`), object, mailResult());
      const id = await scene.arrive('Subject: x\r\n\r\nx\r\n', [BOB]);
      const delivery = scene.store.message(id)?.deliveries[0];
      await scene.store.settle(
        [
          {
            id: delivery?.id ?? 0,
            state: 'delivered',
            attempted: true,
            ...(entry === undefined ? {} : { journal: entry }),
          },
        ],
        [],
        NOW + index,
      );
    }
    return scene.store.meeting('u1');
  }

  test('is what an earlier message said, for every copy of this one', async () => {
    const meeting = await tell('First', 'Second');
    expect([
      toldBefore(meeting, { id: 'A3' }, '')?.title,
      toldBefore(meeting, { id: 'A2' }, '')?.title,
      toldBefore(meeting, { id: 'A1' }, ''),
    ]).toEqual(['Second', 'First', undefined]);
  });

  test('is nothing of an instance that nothing was told of', async () => {
    expect(toldBefore(await tell('First'), { id: 'A2' }, '20261208T100000Z')).toBeUndefined();
    expect(toldBefore(undefined, { id: 'A2' }, '')).toBeUndefined();
  });

  test('is not kept with its attendees where they are many', () => {
    const crowd = Array.from({ length: 101 }, (_, index) => `ATTENDEE:mailto:p${index}@example.net`);
    const object = objectOf(event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'SUMMARY:x', ...crowd));
    const entry = journalEntry(scene.context, inside('A1'), object, mailResult());
    expect(entry?.meeting?.told['']).toMatchObject({ title: 'x', attendees: [] });
    expect(entry?.meeting?.attendees).toHaveLength(103);
  });
});

test('a recipient is spelled as the object has him, by his own address before that of his mailbox', () => {
  const object = objectOf([
    ...event('DTSTART:20261201T100000Z', 'DURATION:PT1H', 'ATTENDEE:mailto:Dora+work@Example.net', 'SUMMARY:x'),
  ]);
  const asked = ['BOB@example.NET', 'bob+lists@example.net', 'dora@example.net', 'eve@example.net'];
  expect(asked.map((recipient) => spelledAs(object, recipient, '+'))).toEqual([
    BOB,
    BOB,
    'Dora+work@example.net',
    'eve@example.net',
  ]);
});
