import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { foldLine, readLines } from '../../src/itip/content-lines.ts';
import { DEFAULT_LIMITS, Examiner, examine } from '../../src/itip/extract.ts';
import { isMethod } from '../../src/itip/message.ts';
import { rewriteAddress } from '../../src/itip/rewrite.ts';
import { googleInvitation, type MimePart, mail, multipart, multipartMail, REQUEST } from '../unit/itip/samples.ts';

const LIMITS = { maxLineBytes: 1 << 20, maxProperties: 1 << 20 };

/** Examines, and holds what comes back to what everybody relies on. */
async function examineStrictly(content: Buffer): Promise<void> {
  const examination = await examine(content);
  if (examination.kind === 'none') {
    expect(examination.reason).not.toBe('');
    return;
  }
  const { object } = examination;
  expect(isMethod(object.method)).toBe(true);
  expect(object.uid).not.toBe('');
  expect(object.instances.length).toBeGreaterThan(0);
  // Unfolded: a line may be folded anywhere (RFC 5545 §3.1), also within BEGIN.
  expect(object.content.toString().replace(/\r\n[ \t]/g, '')).toMatch(/^BEGIN:VCALENDAR\r\n/i);
  // What was repaired once needs no repair again, and is the same object.
  if (object.repairs.length === 0) return;
  const again = await examine(mail(object.content, 'text/calendar; charset=utf-8'));
  expect(again).toMatchObject({
    kind: 'object',
    object: { repairs: [], uid: object.uid, method: object.method, content: object.content },
  });
}

const mutation = fc.record({
  at: fc.nat(),
  remove: fc.integer({ min: 0, max: 40 }),
  insert: fc.oneof(
    fc.string({ maxLength: 5 }),
    fc.constantFrom(
      '\r\n',
      '\n',
      '\r',
      ' ',
      '\r\n ',
      ':',
      ';',
      '"',
      ',',
      'BEGIN:VEVENT\r\n',
      'END:VEVENT\r\n',
      'TZID=',
      'VALUE=DATE',
      '\u0000',
      'ä',
      '\uD83D\uDE00',
    ),
    fc.constantFrom(
      'RRULE:freq=daily\r\n',
      'DURATION:PT1H\r\n',
      'SEQUENCE:x\r\n',
      'BEGIN:VALARM\r\nEND:VALARM\r\n',
      'METHOD:CANCEL\r\n',
      'text\r\n',
      '\r\n\r\n',
    ),
  ),
});

function mutate(text: string, mutations: readonly { at: number; remove: number; insert: string }[]): string {
  return mutations.reduce((current, { at, remove, insert }) => {
    const place = current.length === 0 ? 0 : at % current.length;
    return current.slice(0, place) + insert + current.slice(place + remove);
  }, text);
}

const contentType = fc.constantFrom(
  'text/plain',
  'text/calendar; method=REQUEST',
  'text/calendar',
  'application/ics; name=a.ics',
  'message/rfc822',
  'message/rfc822; boundary=b',
  'multipart/mixed',
  'text/calendar; method=REQUEST; charset=utf-16',
  'text/calendar; method*0=RE; method*1=QUEST',
);
const encoding = fc.constantFrom('7bit', 'base64', 'quoted-printable', 'x-unknown', '');
const leaf = fc
  .record({
    type: contentType,
    body: fc.constantFrom(REQUEST, 'x', '', '--b\r\n\r\nx\r\n--b--', googleInvitation().toString()),
    encoding,
  })
  .map(
    ({ type, body, encoding: cte }): MimePart => [
      type,
      body,
      ...(cte === '' ? [] : [`Content-Transfer-Encoding: ${cte}`]),
    ],
  );
const { part } = fc.letrec<{ part: MimePart }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    leaf,
    fc
      .record({
        kind: fc.constantFrom('mixed', 'alternative', 'report', 'digest', 'signed'),
        parts: fc.array(tie('part'), { minLength: 1, maxLength: 4 }),
      })
      .map(({ kind, parts }) => multipart(kind, ...parts)),
  ),
}));

describe('the examiner never throws', () => {
  test('for random octets, with a calendar type before them or not', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), async (octets, typed) => {
        await examineStrictly(typed ? mail(Buffer.from(octets)) : Buffer.from(octets));
      }),
      { numRuns: 300 },
    );
  });

  test('for random MIME trees', async () => {
    await fc.assert(
      fc.asyncProperty(part, async (tree) => {
        await examineStrictly(multipartMail('mixed', tree));
      }),
      { numRuns: 200 },
    );
  });

  test('for calendars with random changes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 6 }), async (mutations) => {
        await examineStrictly(mail(mutate(REQUEST, mutations)));
      }),
      { numRuns: 1000 },
    );
  });

  test('for whole mails with random changes, however they are cut', async () => {
    const source = googleInvitation().toString('latin1');
    await fc.assert(
      fc.asyncProperty(
        fc.array(mutation, { maxLength: 4 }),
        fc.integer({ min: 1, max: 20_000 }),
        async (mutations, octets) => {
          const content = Buffer.from(mutate(source, mutations), 'latin1');
          const examiner = new Examiner(DEFAULT_LIMITS);
          for (let at = 0; at < content.length; at += octets) await examiner.write(content.subarray(at, at + octets));
          expect(await examiner.finish()).toEqual(await examine(content));
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('content lines', () => {
  const line = fc
    .string({ unit: 'binary', maxLength: 300 })
    .map((text) => `X-A:${text.replace(/[\r\n]/g, '')}`.toWellFormed());

  test('what is folded unfolds to itself, in lines of at most 75 octets', () => {
    fc.assert(
      fc.property(line, (text) => {
        const folded = foldLine(text);
        expect(readLines(folded, LIMITS)).toMatchObject({ lines: [{ text, start: 0, end: folded.length }] });
        for (const physical of folded.split('\r\n')) expect(Buffer.byteLength(physical)).toBeLessThanOrEqual(75);
      }),
    );
  });

  test('the lines of any text cover it, apart from empty lines', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            line.map((text) => `${text}\r\n`),
            fc.constantFrom('\r\n', ' x\r\n', 'text\r\n', '\n'),
          ),
          { maxLength: 20 },
        ),
        (pieces) => {
          const text = pieces.join('');
          const read = readLines(text, LIMITS);
          if (read.kind === 'refused') throw new Error(read.reason);
          let at = 0;
          for (const { start, end } of read.lines) {
            if (start < 0) return;
            expect(text.slice(at, start)).toMatch(/^[\r\n]*$/);
            at = end;
          }
          expect(text.slice(at)).toMatch(/^[\r\n]*$/);
        },
      ),
    );
  });

  test('rewriting there and back leaves every octet of a canonical object as it was', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9.+-]{1,90}$/), (local) => {
        const there = rewriteAddress(Buffer.from(REQUEST), 'bob@example.com', `x${local}@example.net`);
        expect(rewriteAddress(there, `x${local}@example.net`, 'bob@example.com').toString()).toBe(REQUEST);
      }),
    );
  });
});
