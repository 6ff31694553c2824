import { expect, test } from 'vitest';
import { examine } from '../../../src/itip/extract.ts';
import { calendar, event, multipartMail } from './samples.ts';

const REPLY_BY_BOB = calendar('REPLY', ...event({ ATTENDEE: 'ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.com' }));
const REQUEST = calendar('REQUEST', ...event());

// RFC 6047 §2.4: parts of one message may be different objects; which of them was meant is not for us to guess.
test.each<readonly [string, string, string]>([
  [
    'a reply by somebody else',
    REPLY_BY_BOB,
    calendar('REPLY', ...event({ ATTENDEE: 'ATTENDEE;PARTSTAT=ACCEPTED:mailto:carol@example.com' })),
  ],
  ['another answer of the same attendee', REPLY_BY_BOB, REPLY_BY_BOB.replace('ACCEPTED', 'DECLINED')],
  [
    'another organizer',
    REQUEST,
    calendar('REQUEST', ...event({ ORGANIZER: 'ORGANIZER;CN=Olga:mailto:eve@example.net' })),
  ],
  ['another attendee', REQUEST, REQUEST.replace('bob@example.com', 'carol@example.com')],
  ['another end', REQUEST, REQUEST.replace('DTEND:20261124T100000Z', 'DTEND:20261124T170000Z')],
  ['a recurrence', REQUEST, REQUEST.replace('SEQUENCE:0', 'SEQUENCE:0\r\nRRULE:FREQ=DAILY')],
])('two parts that differ in %s are two objects, in whatever order they stand', async (_, one, other) => {
  const method = /METHOD:(\w+)/.exec(one)?.[1];
  const type = `text/calendar; charset=utf-8; method=${method}`;
  for (const pair of [
    [one, other],
    [other, one],
  ] as const) {
    expect(await examine(multipartMail('mixed', [type, pair[0]], [type, pair[1]]))).toMatchObject({
      kind: 'none',
      reason: 'several different calendar objects in the message',
    });
  }
});

test.each<readonly [string, string]>([
  ['the case of an address', REQUEST.replace('mailto:bob@example.com', 'MAILTO:Bob@Example.com')],
  ['words for people', REQUEST.replace('SUMMARY:Budget', 'SUMMARY:Budget\r\nDESCRIPTION:Room 1')],
  ['an answer that is the default', REQUEST.replace(';PARTSTAT=NEEDS-ACTION', '')],
])('two parts that differ in %s are one object', async (_, other) => {
  const type = 'text/calendar; charset=utf-8; method=REQUEST';
  expect(await examine(multipartMail('mixed', [type, REQUEST], [type, other]))).toMatchObject({ kind: 'object' });
});

test('others have their turn between the parts of a message', async () => {
  let turns = 0;
  let over = false;
  const turn = (): void => {
    turns++;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  const parts = ['a', 'b', 'c', 'd'].map((text) => `text/calendar; method=REQUEST\r\n\r\n${REQUEST}COMMENT:${text}`);
  const found = await examine(
    Buffer.from(
      `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${parts.map((part) => `--b\r\nContent-Type: ${part}\r\n`).join('')}--b--\r\n`,
    ),
  );
  over = true;
  expect(found.kind).toBe('object');
  expect(turns).toBeGreaterThanOrEqual(6); // four parts read, and three of them compared with the first
});
