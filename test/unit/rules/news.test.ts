import { describe, expect, test } from 'vitest';
import { authorOf, judgeNews, ledgerRows, type News } from '../../../rules/news.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import type { LedgerRow } from '../../../src/queue/store.ts';
import { BOB, OLGA, REPLY, REQUEST, ROW, user } from './samples.ts';

const EARLIER = '20300301T070000Z';
const SAME = '20300301T080000Z';
const LATER = '20300301T090000Z';
const SECOND_OF_MARCH = '20300302T100000Z';
const THIRD_OF_MARCH = '20300303T100000Z';

const master = (sequence: number, dtstamp = SAME) => ({ recurrenceId: '', sequence, dtstamp });
const instance = (recurrenceId: string, sequence: number, dtstamp = SAME) => ({ recurrenceId, sequence, dtstamp });

type Row = readonly [
  title: string,
  object: Partial<SchedulingObject>,
  known: readonly Partial<LedgerRow>[],
  verdict: News,
];

/** {@link ROW} stands for (SEQUENCE 1, DTSTAMP at eight, digest d1) by Olga. */
const table: readonly Row[] = [
  ['what was never posted is news', { instances: [master(0)] }, [], 'news'],
  ['a higher SEQUENCE is news', { instances: [master(2)] }, [{}], 'news'],
  ['a higher SEQUENCE with an earlier DTSTAMP is news', { instances: [master(2, EARLIER)] }, [{}], 'news'],
  ['a lower SEQUENCE is stale', { instances: [master(0)] }, [{}], 'stale'],
  ['a lower SEQUENCE with a later DTSTAMP is stale', { instances: [master(0, LATER)] }, [{}], 'stale'],
  ['an equal SEQUENCE with a later DTSTAMP is news', { instances: [master(1, LATER)] }, [{}], 'news'],
  ['an equal SEQUENCE with an earlier DTSTAMP is stale', { instances: [master(1, EARLIER)] }, [{}], 'stale'],
  ['the same again is a duplicate', { instances: [master(1)] }, [{}], 'duplicate'],
  ['equal numbers with another digest are news', { instances: [master(1)], digest: 'd2' }, [{}], 'news'],
  ['a lower SEQUENCE with another digest is stale', { instances: [master(0)], digest: 'd2' }, [{}], 'stale'],
  ['a CANCEL with the numbers of its REQUEST is news', { method: 'CANCEL', digest: 'd2' }, [{}], 'news'],
  ['the organizer in another spelling is the same author', { organizer: user('OLGA@example.org') }, [{}], 'duplicate'],
  ['what another author posted is not compared', {}, [{ author: 'petra@example.net', sequence: 9 }], 'news'],
  ['an instance is not compared with its master', { instances: [instance(SECOND_OF_MARCH, 0)] }, [{}], 'news'],
  [
    'an instance is compared with itself',
    { instances: [instance(SECOND_OF_MARCH, 0)] },
    [{ recurrenceId: SECOND_OF_MARCH }],
    'stale',
  ],
  [
    'one component that is news makes the whole message news',
    { instances: [master(0), instance(SECOND_OF_MARCH, 2)] },
    [{}, { recurrenceId: SECOND_OF_MARCH }],
    'news',
  ],
  [
    'one component that was never posted makes the whole message news',
    { instances: [master(1), instance(THIRD_OF_MARCH, 0)] },
    [{}, { recurrenceId: SECOND_OF_MARCH }],
    'news',
  ],
  [
    'components that are stale or repeated are stale together',
    { instances: [master(1), instance(SECOND_OF_MARCH, 0)] },
    [{}, { recurrenceId: SECOND_OF_MARCH }],
    'stale',
  ],
  [
    'components that are all repeated are a duplicate',
    { instances: [master(1), instance(SECOND_OF_MARCH, 1)] },
    [{}, { recurrenceId: SECOND_OF_MARCH }],
    'duplicate',
  ],
  ['a component without DTSTAMP is compared by SEQUENCE', { instances: [master(2, '')] }, [{}], 'news'],
];

describe('whether it is news', () => {
  for (const [title, change, known, verdict] of table) {
    test(title, () => {
      const rows = known.map((row) => ({ ...ROW, ...row }));
      expect(judgeNews({ ...REQUEST, ...change }, rows)).toBe(verdict);
    });
  }

  test('two attendees who answer against the order of their DTSTAMPs are both news', () => {
    const posted = { ...ROW, uid: REPLY.uid, author: 'petra@example.net', organizer: BOB, dtstamp: LATER };
    expect(judgeNews(REPLY, [posted])).toBe('news');
  });

  test('an attendee who answers again with an earlier DTSTAMP is stale', () => {
    const posted = { ...ROW, uid: REPLY.uid, author: OLGA, organizer: BOB, dtstamp: LATER };
    expect(judgeNews(REPLY, [posted])).toBe('stale');
  });
});

describe('the author', () => {
  for (const method of ['PUBLISH', 'REQUEST', 'ADD', 'CANCEL', 'DECLINECOUNTER'] as const) {
    test(`of a ${method} is its ORGANIZER`, () => expect(authorOf({ ...REQUEST, method })).toBe(OLGA));
  }
  for (const method of ['REPLY', 'COUNTER', 'REFRESH'] as const) {
    test(`of a ${method} is its ATTENDEE`, () => expect(authorOf({ ...REPLY, method })).toBe(OLGA));
  }
});

describe('the rows that a posted message raises', () => {
  test('of a REQUEST name the organizer twice, one for each component', () => {
    const object = {
      ...REQUEST,
      organizer: user('Olga@Example.org'),
      instances: [master(1), instance(SECOND_OF_MARCH, 2, LATER)],
    };
    const common = { user: BOB, uid: 'review-1@example.org', author: OLGA, organizer: OLGA, digest: 'd1', usedAt: 42 };
    expect(ledgerRows(object, BOB, 42)).toEqual([
      { ...common, recurrenceId: '', sequence: 1, dtstamp: SAME },
      { ...common, recurrenceId: SECOND_OF_MARCH, sequence: 2, dtstamp: LATER },
    ]);
  });

  test('of a REPLY name attendee and organizer', () => {
    expect(ledgerRows(REPLY, BOB, 42)).toEqual([
      {
        user: BOB,
        uid: 'planning-1@example.com',
        recurrenceId: '',
        author: OLGA,
        organizer: BOB,
        sequence: 1,
        dtstamp: SAME,
        digest: 'd1',
        usedAt: 42,
      },
    ]);
  });

  test('make the same message a duplicate', () => {
    expect(judgeNews(REQUEST, ledgerRows(REQUEST, BOB, 42))).toBe('duplicate');
  });
});
