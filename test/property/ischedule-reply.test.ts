import fc from 'fast-check';
import { expect, test } from 'vitest';
import { composeReply, parseReply } from '../../channel/ischedule/wire.ts';

const ANSWER = Buffer.from(
  composeReply([
    { recipient: 'mailto:a&b@example.com', requestStatus: '2.0;Success', calendarData: 'BEGIN:VCALENDAR\r\n' },
    { recipient: 'mailto:c@example.com', requestStatus: '3.7;No', error: 'recipient-invalid', description: '<none>' },
  ]).replace('2.0;Success', '<![CDATA[2.0;Success]]>'),
);
const KINDS = ['responses', 'error', 'unreadable'];

test('no bytes make the reader of answers throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.string(), (bytes, contentType) => {
      expect(KINDS).toContain(parseReply(Buffer.from(bytes), contentType).kind);
    }),
  );
});

test('an answer that was cut, spliced or overwritten anywhere does not make it throw', () => {
  const place = fc.nat(ANSWER.length);
  const markup = fc.constantFrom(
    '<',
    '>',
    '&',
    ']]>',
    '<![CDATA[',
    '<!--',
    '<?',
    '</',
    '/>',
    '\0',
    '"',
    "='",
    ' xmlns:a=""',
    'é',
  );
  fc.assert(
    fc.property(place, place, fc.oneof(markup, fc.string({ maxLength: 5 })), (from, to, put) => {
      const body = Buffer.concat([ANSWER.subarray(0, from), Buffer.from(put), ANSWER.subarray(to)]);
      expect(KINDS).toContain(parseReply(body, 'application/xml').kind);
    }),
    { numRuns: 1000 },
  );
});

test('what is composed is read back', () => {
  const text = fc.string({ unit: 'grapheme' }).map((value) => value.trim());
  const response = fc.record({ recipient: text, requestStatus: text, description: text });
  fc.assert(
    fc.property(fc.array(response, { maxLength: 4 }), (responses) => {
      expect(parseReply(Buffer.from(composeReply(responses)), 'application/xml')).toEqual({
        kind: 'responses',
        responses,
      });
    }),
  );
});
