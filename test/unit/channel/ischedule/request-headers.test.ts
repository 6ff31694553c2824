import { describe, expect, test } from 'vitest';
import { readScheduleHeaders } from '../../../../channel/ischedule/request-headers.ts';

describe('the headers of a post', () => {
  test('are read with duplicates, lists and both ways to write Recipient', () => {
    const raw = [
      ['ISCHEDULE-VERSION', '1.0'],
      ['originator', ' MAILTO:Ann@Example.NET '],
      ['Originator', 'mailto:eve@example.net'],
      ['Recipient', 'mailto:bob@example.com ,\tmailto:c%2Cat@example.com,,'],
      ['X-Other', 'mailto:no@example.com'],
      ['Recipient', 'bob@example.com'],
      ['Content-Type', 'text/calendar; method="REQUEST"; component=VEVENT'],
      ['DKIM-Signature', 'v=1'],
      ['Authorization', 'Bearer x'],
      ['iSchedule-Message-ID', '<a@b>'],
      ['via', '1.1 a, 1.0 b (c)'],
      ['Via', '1.1 d'],
    ].flat();
    expect(readScheduleHeaders(raw, 10)).toEqual({
      versions: ['1.0'],
      messageIds: ['<a@b>'],
      originators: [
        { uri: 'MAILTO:Ann@Example.NET', mailbox: 'Ann@example.net' },
        { uri: 'mailto:eve@example.net', mailbox: 'eve@example.net' },
      ],
      recipients: [
        { uri: 'mailto:bob@example.com', mailbox: 'bob@example.com' },
        { uri: 'mailto:c%2Cat@example.com', mailbox: 'c,at@example.com' },
        { uri: 'bob@example.com', mailbox: 'bob@example.com' },
      ],
      contentTypes: [
        {
          type: 'text/calendar',
          parameters: new Map([
            ['method', ['REQUEST']],
            ['component', ['VEVENT']],
          ]),
        },
      ],
      signatures: 1,
      authorizations: ['Bearer x'],
      vias: ['1.1 a, 1.0 b (c)', '1.1 d'],
    });
  });

  test.each([
    'mailto:a%0d%0aBcc:b@example.com',
    'mailto:a%00@example.com',
    'mailto:a@example.com,b@example.com',
    'http://example.com/a@b',
    'urn:uuid:1',
    'mailto:',
    'a@b@example.com',
    '',
    `mailto:${'a'.repeat(320)}@example.com`,
    `mailto:a@${'b'.repeat(300)}.example.com`,
  ])('name no mailbox by %j', (value) => {
    const { originators } = readScheduleHeaders(['Originator', value], 10);
    expect(originators).toEqual([{ uri: value }]);
  });

  test.each([
    ['NUL', '\0'],
    ['CR', '\r'],
    ['LF', '\n'],
    ['BEL', '\x07'],
    ['DEL', '\x7f'],
  ])('are damaged by %s', (_name, char) => {
    expect(readScheduleHeaders(['Recipient', `mailto:a@example.com${char}x`], 10).damaged).toBe('recipient');
  });

  test('may be folded by a tab, and in UTF-8', () => {
    const utf8 = Buffer.from('mailto:jürgen@example.com').toString('latin1');
    const headers = readScheduleHeaders(['Recipient', `a@example.com,\t${utf8}`], 10);
    expect(headers.damaged).toBeUndefined();
    expect(headers.recipients.map(({ mailbox }) => mailbox)).toEqual(['a@example.com', 'jürgen@example.com']);
  });

  test('are not read further than one recipient beyond the limit', () => {
    const value = Array.from({ length: 1000 }, (_, n) => `u${n}@example.com`).join();
    expect(readScheduleHeaders(['Recipient', value, 'Recipient', value], 5).recipients).toHaveLength(6);
  });
});

test('a header of nothing but dots is read as fast as any other', () => {
  const dots = '.'.repeat(250_000);
  const raw = ['Originator', `mailto:a@b${dots}c`, 'Recipient', `a@b${dots}c`];
  expect(readScheduleHeaders(raw, 10)).toMatchObject({
    originators: [{ uri: `mailto:a@b${dots}c` }],
    recipients: [{ uri: `a@b${dots}c` }],
  });
});
