import { describe, expect, test } from 'vitest';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import { annotation, annotationFields, DEFAULT_ANNOTATION_NAMES } from '../../../src/mail/annotate.ts';
import { scanHeader } from '../../../src/mail/header.ts';

const OBJECT: SchedulingObject = {
  method: 'REQUEST',
  component: 'VEVENT',
  uid: '040000008200E00074C5B7101A82E008@example.org',
  attendees: [],
  instances: [
    { recurrenceId: '20261121T080000Z', sequence: 3, dtstamp: '20261120T070000Z' },
    { recurrenceId: '', sequence: 2, dtstamp: '20261119T070000Z' },
  ],
  content: Buffer.alloc(0),
  digest: '',
  repairs: [],
};

function fields(lines: string) {
  return scanHeader(Buffer.from(lines)).fields.map(({ name, value }) => [name, value]);
}

describe('the status headers', () => {
  test('say what happened, and what the invitation is', () => {
    const lines = annotation(
      {
        queueId: 'Q1ab',
        recipient: 'bob@example.com',
        action: 'posted',
        code: '2.0',
        reason: 'posted',
        server: 'https://user:secret@cal.example.com:8443/ischedule?x=1',
        object: OBJECT,
      },
      DEFAULT_ANNOTATION_NAMES,
    );
    expect(lines).toBe(
      [
        'iMIP-Gateway-Status: Q1ab; recipient=bob@example.com; action=posted; code=2.0;',
        ' reason=posted; server=cal.example.com',
        'X-MEETING-UID: 040000008200E00074C5B7101A82E008@example.org',
        'X-MEETING-METHOD: REQUEST',
        'X-MEETING-SEQUENCE: 2',
        'X-MEETING-DTSTAMP: 20261119T070000Z',
        '',
      ].join('\r\n'),
    );
  });

  test('name the instance when the object is about one only', () => {
    const object = { ...OBJECT, instances: OBJECT.instances.slice(0, 1) };
    const lines = annotation(
      { queueId: 'Q1', recipient: 'b@example.com', action: 'pending', reason: 'x', object },
      { recurrenceId: 'X-MEETING-RECURRENCE-ID', sequence: 'X-Seq' },
    );
    expect(lines).toBe('X-MEETING-RECURRENCE-ID: 20261121T080000Z\r\nX-Seq: 3\r\n');
  });

  test('quote what holds spaces, quotes or semicolons, and fold between parameters', () => {
    const lines = annotation(
      {
        queueId: 'Q1',
        recipient: '"a b"@example.com',
        action: 'skipped',
        reason: 'author "x"; not trusted',
        server: 'cal.example.com:443',
      },
      DEFAULT_ANNOTATION_NAMES,
    );
    expect(lines).toBe(
      'iMIP-Gateway-Status: Q1; recipient="\\"a b\\"@example.com"; action=skipped;\r\n reason="author \\"x\\"; not trusted"; server=cal.example.com\r\n',
    );
  });

  test('cannot be broken out of, whatever stands in the message', () => {
    const evil = 'x\r\nBcc: eve@example.org\r\n\r\nbody\u0000\u0085\u2028y';
    const object = { ...OBJECT, uid: evil, instances: [{ recurrenceId: evil, sequence: 0, dtstamp: evil }] };
    const lines = annotation(
      { queueId: 'Q1', recipient: evil, action: 'refused', code: evil, reason: evil, server: evil, object },
      DEFAULT_ANNOTATION_NAMES,
    );
    expect(fields(lines).map(([name]) => name)).toEqual([
      'imip-gateway-status',
      'x-meeting-uid',
      'x-meeting-method',
      'x-meeting-recurrence-id',
      'x-meeting-sequence',
      'x-meeting-dtstamp',
    ]);
    expect(/^[\r\n\x20-\x7e]*$/.test(lines)).toBe(true);
    expect(
      lines
        .split('\r\n')
        .slice(0, -1)
        .every((line) => line.length > 0 && line.length < 998 && !/[\r\n]/.test(line)),
    ).toBe(true);
  });

  test('carry a non-ASCII UID as encoded words, none over 75 characters', () => {
    const uid = `${'Besprechung-ü-'.repeat(10)}end`;
    const lines = annotation(
      { queueId: 'Q1', recipient: 'b@example.com', action: 'posted', reason: 'x', object: { ...OBJECT, uid } },
      { uid: 'X-MEETING-UID' },
    );
    const words = [...lines.matchAll(/=\?UTF-8\?B\?([^?]*)\?=/g)];
    expect(words.every(([word]) => word.length <= 75)).toBe(true);
    expect(words.map(([, base64]) => Buffer.from(base64!, 'base64').toString()).join('')).toBe(uid);
  });

  test('carry a non-ASCII recipient in ASCII', () => {
    expect(
      annotation({ queueId: 'Q1', recipient: 'jürgen@example.com', action: 'posted', reason: 'ok' }, { status: 'S' }),
    ).toBe('S: Q1; recipient="j\\\\x{FC}rgen@example.com"; action=posted; reason=ok\r\n');
  });

  test('leave out a UID that no header could hold', () => {
    expect(
      annotation(
        {
          queueId: 'Q1',
          recipient: 'b@example.com',
          action: 'posted',
          reason: 'x',
          object: { ...OBJECT, uid: 'u'.repeat(3000) },
        },
        { uid: 'X-MEETING-UID' },
      ),
    ).toBe('');
  });
});

test('the names to strip are those that are written, in lower case', () => {
  expect(annotationFields({ status: 'X-Cal-Status', uid: 'X-Cal-UID' })).toEqual(
    new Set(['x-cal-status', 'x-cal-uid']),
  );
});
