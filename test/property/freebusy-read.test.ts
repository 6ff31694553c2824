import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { BUSY_TYPES, type Period, type Window } from '../../src/freebusy/busy.ts';
import { composeBusyReply } from '../../src/freebusy/compose.ts';
import { readBusy } from '../../src/freebusy/read.ts';

const SECOND = 1000;
const START = Date.UTC(2026, 10, 23, 8);
const WINDOW: Window = { startMs: START, endMs: START + 86_400 * SECOND };
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

afterAll(() => console.log(`freebusy-read: SEED=${seed}`));

const periods = fc.array(
  fc
    .record({ from: fc.nat(80_000), length: fc.integer({ min: 1, max: 6000 }), type: fc.constantFrom(...BUSY_TYPES) })
    .map(
      ({ from, length, type }): Period => ({
        type,
        startMs: START + from * SECOND,
        endMs: START + (from + length) * SECOND,
      }),
    ),
  { maxLength: 10 },
);
const composed = fc.record({ uid: fc.string({ minLength: 1, unit: 'grapheme' }), periods }).map(({ uid, periods }) => ({
  uid,
  periods,
  bytes: composeBusyReply({
    ...{ uid, periods, window: WINDOW, now: START },
    ...{ organizer: 'mailto:ann@example.com', attendee: 'mailto:bob@example.org' },
  }),
}));

function periodsIn(bytes: Buffer): readonly Period[] | undefined {
  const read = readBusy(bytes, 'utf-8');
  return read.kind === 'documents' ? read.documents.flatMap((document) => document.periods) : undefined;
}

test('what is composed is read back', () => {
  fc.assert(
    fc.property(composed, ({ bytes, periods }) => {
      expect(readBusy(bytes, 'utf-8')).toMatchObject({
        documents: [{ window: WINDOW, attendees: ['bob@example.org'], periods }],
      });
    }),
    { seed },
  );
});

test('a calendar that is cut short anywhere is never read as less busy', () => {
  fc.assert(
    fc.property(composed, fc.nat(), ({ bytes, periods }, at) => {
      const found = periodsIn(bytes.subarray(0, at % bytes.length));
      if (found !== undefined) expect(found).toEqual(periods);
    }),
    { seed, numRuns: 500 },
  );
});

test('a line end lost or put in anywhere loses no period without a word', () => {
  fc.assert(
    fc.property(composed, fc.nat(), fc.boolean(), ({ bytes, periods }, at, isLost) => {
      const text = bytes.toString();
      const ends = [...text.matchAll(/\r\n/g)].map(({ index }) => index);
      const place = isLost ? (ends[at % ends.length] ?? 0) : text.indexOf('DTSTART') + (at % 400);
      const torn = isLost
        ? text.slice(0, place) + text.slice(place + 2)
        : `${text.slice(0, place)}\r\n${text.slice(place)}`;
      const found = periodsIn(Buffer.from(torn));
      if (found !== undefined) expect(found.length).toBe(periods.length);
    }),
    { seed, numRuns: 500 },
  );
});

test('no bytes make it throw', () => {
  const markup = fc.constantFrom(
    '\0',
    '\r',
    '\n ',
    ';',
    ':',
    '"',
    ',',
    '/',
    'TZID=Europe/Berlin:',
    'END:VFREEBUSY\r\n',
  );
  fc.assert(
    fc.property(composed, fc.nat(), fc.oneof(markup, fc.string({ maxLength: 5 })), ({ bytes }, at, put) => {
      const place = at % bytes.length;
      const spliced = Buffer.concat([bytes.subarray(0, place), Buffer.from(put), bytes.subarray(place + 1)]);
      expect(['documents', 'empty', 'unreadable']).toContain(readBusy(spliced, undefined).kind);
    }),
    { seed, numRuns: 500 },
  );
});
