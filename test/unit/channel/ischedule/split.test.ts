import { describe, expect, test } from 'vitest';
import type { Capabilities } from '../../../../channel/ischedule/capabilities.ts';
import { nextShare, partMessageId } from '../../../../channel/ischedule/split.ts';
import { batchFor } from './peer.ts';

const SERVER = new URL('http://cal.example.com/ischedule');
const NOTHING: Capabilities = { serial: '1', versions: ['1.0'] };

function users(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `user${index}@example.com`);
}

function object(...lines: readonly string[]): Buffer {
  return Buffer.from(['BEGIN:VCALENDAR', ...lines, 'END:VCALENDAR', ''].join('\r\n'));
}

const LONDON = ['BEGIN:VTIMEZONE', 'DTSTART:19700329T010000', 'END:VTIMEZONE'];

describe('a post is not made when the server announces', () => {
  test.each<[string, Capabilities, Buffer, string, string]>([
    [
      'other components only',
      { ...NOTHING, messages: new Map([['VTODO', new Set(['REQUEST'])]]) },
      object(),
      '5.6.0',
      'the calendar server does not announce REQUEST of VEVENT',
    ],
    [
      'other methods only',
      { ...NOTHING, messages: new Map([['VEVENT', new Set(['CANCEL'])]]) },
      object(),
      '5.6.0',
      'the calendar server does not announce REQUEST of VEVENT',
    ],
    [
      'to take less octets',
      { ...NOTHING, maxContentLength: 100 },
      object('X'.repeat(100)),
      '5.3.4',
      'the calendar object is larger than the calendar server announces to take',
    ],
    [
      'external attachments only, for one that is inline',
      { ...NOTHING, attachments: { inline: false, external: true } },
      object('ATTACH;FMTTYPE=text/plain;ENC', ' ODING=BASE64;VALUE=BINARY:VGhl'),
      '5.6.1',
      'the calendar server announces to take no inline attachment',
    ],
    [
      'an earliest date after the event’s',
      { ...NOTHING, minDateTime: Date.UTC(2020, 0, 1) },
      object('DTSTART:20191231T235959Z'),
      '5.6.0',
      'a date of the calendar object is earlier than the calendar server announces to take',
    ],
    [
      'a latest date before the event’s end',
      { ...NOTHING, maxDateTime: Date.UTC(2030, 0, 1) },
      object('DTSTART;TZID=Europe/London:20291231T220000', 'DTEND;TZID=Europe/London:20300103T010000'),
      '5.6.0',
      'a date of the calendar object is later than the calendar server announces to take',
    ],
  ])('%s', (_, capabilities, content, status, reason) => {
    expect(nextShare(batchFor(SERVER, { content }), 0, capabilities)).toEqual({
      kind: 'refused',
      outcome: { kind: 'failed', status, reason, answered: false },
    });
  });
});

describe('a post is made though the server', () => {
  test.each<[string, Capabilities | undefined, Buffer]>([
    ['announces nothing', undefined, object()],
    ['names no component', NOTHING, object()],
    ['names no method of the component', { ...NOTHING, messages: new Map([['VEVENT', new Set<string>()]]) }, object()],
    [
      'announces inline attachments only, for an external one',
      { ...NOTHING, attachments: { inline: true, external: false } },
      object('ATTACH:https://files.example.com/a.pdf'),
    ],
    [
      'announces no attachments at all, for an inline one',
      { ...NOTHING, attachments: { inline: false, external: false } },
      object('ATTACH;ENCODING=BASE64:VGhl'),
    ],
    [
      'has an earliest date after the start of a time zone',
      { ...NOTHING, minDateTime: Date.UTC(1991, 0, 1) },
      object(...LONDON, 'DTSTART;TZID=Europe/London:20261123T100000'),
    ],
    [
      'has an earliest date that a local time may just reach',
      { ...NOTHING, minDateTime: Date.UTC(2026, 10, 23) },
      object('DTSTART;VALUE=DATE:20261122'),
    ],
    [
      'has a latest date at the very end',
      { ...NOTHING, maxDateTime: Date.UTC(2030, 0, 1) },
      object('DTEND:20300101T000000Z'),
    ],
    ['takes just as many octets', { ...NOTHING, maxContentLength: object().length }, object()],
  ])('%s', (_, capabilities, content) => {
    expect(nextShare(batchFor(SERVER, { content }), 0, capabilities)).toEqual({ kind: 'part', count: 1 });
  });
});

describe('recipients are shared out', () => {
  test.each<[number, number, number | undefined, number]>([
    [3, 0, undefined, 3],
    [64, 0, undefined, 64],
    [65, 0, undefined, 64],
    [65, 64, undefined, 1],
    [10, 0, 4, 4],
    [10, 8, 4, 2],
    [1000, 0, 500, 64],
  ])('of %i from %i on where the server takes %s: %i', (total, from, maxRecipients, count) => {
    const capabilities = maxRecipients === undefined ? undefined : { ...NOTHING, maxRecipients };
    expect(nextShare(batchFor(SERVER, { recipients: users(total) }), from, capabilities)).toEqual({
      kind: 'part',
      count,
    });
  });

  test('so that very long addresses in one header stay below what servers take of a header', () => {
    const recipients = users(64).map((user) => `${'x'.repeat(200)}.${user}`);
    const batch = batchFor(SERVER, { recipients, profile: 'cyrus' });
    const share = nextShare(batch, 0, undefined);
    expect(share).toMatchObject({ kind: 'part', count: expect.any(Number) });
    const count = share.kind === 'part' ? share.count : 0;
    expect(recipients.slice(0, count).join(', ').length).toBeLessThanOrEqual(6000);
    expect(recipients.slice(0, count + 1).join(', ').length).toBeGreaterThan(6000);
  });

  test('and one address longer than that goes alone', () => {
    const recipients = [`${'x'.repeat(7000)}@example.com`, 'b@example.com'];
    expect(nextShare(batchFor(SERVER, { recipients }), 0, undefined)).toEqual({ kind: 'part', count: 1 });
  });
});

test('the message id of a part names the recipients it is for, whatever the limits were', () => {
  const batch = batchFor(SERVER, { recipients: users(130), messageId: 'Q@gw.test' });
  const whole = batchFor(SERVER, { recipients: users(5), messageId: 'Q@gw.test' });
  expect([
    ...[partMessageId(whole, 0, 5), partMessageId(whole, 0, 2), partMessageId(whole, 2, 2), partMessageId(whole, 4, 1)],
    ...[partMessageId(batch, 0, 64), partMessageId(batch, 64, 64), partMessageId(batch, 128, 2)],
    ...[partMessageId(batch, 64, 50), partMessageId(batch, 114, 16)],
  ]).toEqual([
    ...['Q@gw.test', 'Q@gw.test.0-2', 'Q@gw.test.2-2', 'Q@gw.test.4-1'],
    ...['Q@gw.test', 'Q@gw.test.1', 'Q@gw.test.2'],
    ...['Q@gw.test.64-50', 'Q@gw.test.114-16'],
  ]);
});
