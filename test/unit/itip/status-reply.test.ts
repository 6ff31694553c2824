import { describe, expect, test } from 'vitest';
import { examine } from '../../../src/itip/extract.ts';
import { composeStatusReply, type StatusReply } from '../../../src/itip/status-reply.ts';
import { composeImip } from '../../../src/mail/compose-imip.ts';

const REPLY: StatusReply = {
  uid: 'budget@example.com',
  component: 'VEVENT',
  organizer: 'ann@example.com',
  attendee: 'bob@example.org',
  partstat: 'ACCEPTED',
  sequence: 2,
  recurrenceIds: [''],
  status: { code: '3.7', text: 'no such user' },
  now: Date.UTC(2026, 10, 21, 17, 0, 0),
};

test('the organizer is told of one attendee, with the answer that he had given', () => {
  expect(composeStatusReply(REPLY).toString()).toBe(
    [
      'BEGIN:VCALENDAR',
      'VERSION:2.0',
      'PRODID:-//imipd//EN',
      'METHOD:REPLY',
      'BEGIN:VEVENT',
      'UID:budget@example.com',
      'DTSTAMP:20261121T170000Z',
      'SEQUENCE:2',
      'ORGANIZER:mailto:ann@example.com',
      'ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org',
      'REQUEST-STATUS:3.7;no such user',
      'END:VEVENT',
      'END:VCALENDAR',
      '',
    ].join('\r\n'),
  );
});

describe('PARTSTAT', () => {
  test.each([
    [undefined, 'NEEDS-ACTION'],
    ['tentative', 'TENTATIVE'],
    ['X:mailto:eve@example.net', 'NEEDS-ACTION'],
  ])('%j is written as %s', (partstat, written) => {
    const { partstat: _, ...rest } = REPLY;
    const text = composeStatusReply({ ...rest, ...(partstat === undefined ? {} : { partstat }) }).toString();
    expect(text).toContain(`ATTENDEE;PARTSTAT=${written}:mailto:bob@example.org\r\n`);
  });
});

describe('the instances that were sent', () => {
  test('each have their component, in the form that RECURRENCE-ID had, without RANGE', () => {
    const recurrenceIds = [
      '20261123T100000;TZID=Europe/Berlin;RANGE=THISANDFUTURE',
      '20261124T090000Z',
      '20261125',
      '20261126T100000;TZID=a;b',
    ];
    expect(
      composeStatusReply({ ...REPLY, recurrenceIds })
        .toString()
        .match(/RECURRENCE-ID.*/g),
    ).toEqual([
      'RECURRENCE-ID;TZID=Europe/Berlin:20261123T100000',
      'RECURRENCE-ID:20261124T090000Z',
      'RECURRENCE-ID;VALUE=DATE:20261125',
      'RECURRENCE-ID;TZID="a;b":20261126T100000',
    ]);
  });

  test('come with the time zone that they name, once', () => {
    const recurrenceIds = ['20261123T100000;TZID=Europe/Berlin', '20261124T100000;TZID=Europe/Berlin'];
    const text = composeStatusReply({ ...REPLY, recurrenceIds }).toString();
    expect(text.match(/BEGIN:VTIMEZONE|TZID:.*|BEGIN:VEVENT/g)).toEqual([
      'BEGIN:VTIMEZONE',
      'TZID:Europe/Berlin',
      'BEGIN:VEVENT',
      'BEGIN:VEVENT',
    ]);
  });

  test('are the series where it was sent', () => {
    const text = composeStatusReply({ ...REPLY, recurrenceIds: ['20261123T100000Z', ''] }).toString();
    expect(text.match(/BEGIN:VEVENT/g)).toHaveLength(1);
    expect(text).not.toContain('RECURRENCE-ID');
  });
});

test('nothing foreign becomes a property', () => {
  const text = composeStatusReply({
    ...REPLY,
    uid: 'a\r\nATTENDEE:mailto:eve@example.net',
    status: { code: '5.1', text: 'said; a,b\\c\r\nORGANIZER:mailto:eve@example.net\u0000' },
  }).toString();
  expect(text).toContain('UID:a ATTENDEE:mailto:eve@example.net\r\n');
  expect(text).toContain('REQUEST-STATUS:5.1;said\\; a\\,b\\\\c ORGANIZER:mailto:eve@example.net\r\n');
});

test('lines are folded at 75 octets', () => {
  const lines = composeStatusReply({ ...REPLY, status: { code: '5.1', text: 'ß'.repeat(300) } })
    .toString()
    .split('\r\n');
  expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThanOrEqual(75);
});

test('our own reading finds a REPLY of that attendee without a defect', async () => {
  const mail = composeImip({
    queueId: 'Q1',
    hostname: 'gateway.example.com',
    date: REPLY.now,
    from: REPLY.attendee,
    to: [REPLY.organizer],
    subject: 'status',
    method: 'REPLY',
    content: composeStatusReply({ ...REPLY, recurrenceIds: ['20261124T090000Z'] }),
  });
  expect(await examine(mail)).toMatchObject({
    kind: 'object',
    object: {
      method: 'REPLY',
      uid: 'budget@example.com',
      organizer: { mailbox: 'ann@example.com' },
      attendees: [{ mailbox: 'bob@example.org', partstat: 'ACCEPTED' }],
      instances: [{ recurrenceId: '20261124T090000Z', sequence: 2, dtstamp: '20261121T170000Z' }],
      repairs: [],
    },
  });
});
