import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { describe, expect, test } from 'vitest';
import { composeWcap, type WcapAnswer } from '../../../../channel/wcap/compose.ts';
import { readWcapAnswer } from '../../../../channel/wcap/read.ts';

const at = (text: string) => Date.parse(text);
const BUSY: WcapAnswer = {
  calid: 'bob',
  errno: 0,
  busy: {
    window: { startMs: at('2026-11-23T00:00:00Z'), endMs: at('2026-11-24T00:00:00Z') },
    periods: [
      { type: 'BUSY', startMs: at('2026-11-23T09:00:00Z'), endMs: at('2026-11-23T10:00:00Z') },
      { type: 'BUSY-TENTATIVE', startMs: at('2026-11-23T12:00:00Z'), endMs: at('2026-11-23T12:30:00Z') },
    ],
  },
};
const UNKNOWN: WcapAnswer = { calid: 'mailto:ann@example.com', email: 'ann@example.com', errno: 29 };

test('text/calendar has one VCALENDAR for each calendar, errno after the component, nothing but the errno of one that failed', () => {
  expect(composeWcap([BUSY, UNKNOWN], 'text/calendar')).toEqual({
    contentType: 'text/calendar; charset=utf-8',
    body: [
      'BEGIN:VCALENDAR',
      'PRODID:-//imipd//EN',
      'METHOD:PUBLISH',
      'VERSION:2.0',
      'X-NSCP-CALPROPS-RELATIVE-CALID:bob',
      'BEGIN:VFREEBUSY',
      'DTSTART:20261123T000000Z',
      'DTEND:20261124T000000Z',
      'FREEBUSY;FBTYPE=BUSY:20261123T090000Z/20261123T100000Z',
      'FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261123T120000Z/20261123T123000Z',
      'END:VFREEBUSY',
      'X-NSCP-WCAP-ERRNO:0',
      'END:VCALENDAR',
      'BEGIN:VCALENDAR',
      'PRODID:-//imipd//EN',
      'METHOD:PUBLISH',
      'VERSION:2.0',
      'X-NSCP-CALPROPS-RELATIVE-CALID:mailto:ann@example.com',
      'X-S1CS-EMAIL:ann@example.com',
      'X-NSCP-WCAP-ERRNO:29',
      'END:VCALENDAR',
      '',
    ].join('\r\n'),
  });
});

test('text/xml has the elements of Calendar Server 6.3', () => {
  expect(composeWcap([BUSY, UNKNOWN], 'text/xml')).toEqual({
    contentType: 'text/xml; charset=utf-8',
    body: `<?xml version="1.0" encoding="UTF-8"?>
<iCalendar>
  <iCal version="2.0" prodid="-//imipd//EN" METHOD="PUBLISH">
    <X-NSCP-CALPROPS-RELATIVE-CALID>bob</X-NSCP-CALPROPS-RELATIVE-CALID>
    <FREEBUSY>
      <START>20261123T000000Z</START><END>20261124T000000Z</END>
      <FB FBTYPE="BUSY">20261123T090000Z/20261123T100000Z</FB>
      <FB FBTYPE="BUSY-TENTATIVE">20261123T120000Z/20261123T123000Z</FB>
    </FREEBUSY>
    <X-NSCP-WCAP-ERRNO>0</X-NSCP-WCAP-ERRNO>
  </iCal>
  <iCal version="2.0" prodid="-//imipd//EN" METHOD="PUBLISH">
    <X-NSCP-CALPROPS-RELATIVE-CALID>mailto:ann@example.com</X-NSCP-CALPROPS-RELATIVE-CALID>
    <X-S1CS-EMAIL>ann@example.com</X-S1CS-EMAIL>
    <X-NSCP-WCAP-ERRNO>29</X-NSCP-WCAP-ERRNO>
  </iCal>
</iCalendar>
`,
  });
});

test('text/json has the structure of the XML', () => {
  const { contentType, body } = composeWcap([BUSY, UNKNOWN], 'text/json');
  expect(contentType).toBe('text/json; charset=utf-8');
  expect(JSON.parse(body)).toEqual({
    iCalendar: {
      iCal: [
        {
          version: '2.0',
          prodid: '-//imipd//EN',
          METHOD: 'PUBLISH',
          'X-NSCP-CALPROPS-RELATIVE-CALID': 'bob',
          FREEBUSY: {
            START: '20261123T000000Z',
            END: '20261124T000000Z',
            FB: [
              { FBTYPE: 'BUSY', period: '20261123T090000Z/20261123T100000Z' },
              { FBTYPE: 'BUSY-TENTATIVE', period: '20261123T120000Z/20261123T123000Z' },
            ],
          },
          'X-NSCP-WCAP-ERRNO': 0,
        },
        {
          version: '2.0',
          prodid: '-//imipd//EN',
          METHOD: 'PUBLISH',
          'X-NSCP-CALPROPS-RELATIVE-CALID': 'mailto:ann@example.com',
          'X-S1CS-EMAIL': 'ann@example.com',
          'X-NSCP-WCAP-ERRNO': 29,
        },
      ],
    },
  });
});

describe('what is answered here is understood where such answers are read:', () => {
  const { window, periods } = BUSY.busy!;

  test.each(['text/calendar', 'text/xml'] as const)('%s', (format) => {
    const read = (answer: WcapAnswer) => {
      const { body, contentType } = composeWcap([answer], format);
      return readWcapAnswer({ body: Buffer.from(body), contentType }, window);
    };
    expect(read(BUSY)).toEqual({ kind: 'reading', reading: { kind: 'periods', periods } });
    expect(read(UNKNOWN)).toMatchObject({ kind: 'reading', reading: { kind: 'unknown' } });
    expect(read({ calid: 'bob', errno: 28 })).toMatchObject({ kind: 'reading', reading: { kind: 'refused' } });
    expect(read({ calid: 'bob', errno: 39 })).toMatchObject({ kind: 'reading', reading: { kind: 'unusable' } });
  });
});

describe('of one calendar alone that does not exist', () => {
  test('the answer in text/calendar is empty', () => {
    expect(composeWcap([UNKNOWN], 'text/calendar').body).toBe('');
  });

  test('the others say errno 29, and so does text/calendar of two', () => {
    expect(composeWcap([UNKNOWN], 'text/xml').body).toContain('<X-NSCP-WCAP-ERRNO>29</X-NSCP-WCAP-ERRNO>');
    expect(composeWcap([UNKNOWN], 'text/json').body).toContain('"X-NSCP-WCAP-ERRNO":29');
    expect(composeWcap([UNKNOWN, UNKNOWN], 'text/calendar').body.match(/ERRNO:29\r\n/g)).toHaveLength(2);
  });

  test('and one that may not be seen is not', () => {
    expect(composeWcap([{ calid: 'bob', errno: 28 }], 'text/calendar').body).toContain('X-NSCP-WCAP-ERRNO:28\r\n');
  });
});

test('the answer to a question that is wrong as a whole names no calendar', () => {
  expect(composeWcap([{ errno: 60 }], 'text/calendar').body).toBe(
    'BEGIN:VCALENDAR\r\nPRODID:-//imipd//EN\r\nMETHOD:PUBLISH\r\nVERSION:2.0\r\nX-NSCP-WCAP-ERRNO:60\r\nEND:VCALENDAR\r\n',
  );
});

describe('whatever is in a calid', () => {
  const HOSTILE = [
    'bob\r\nX-EVIL:1',
    'bob\nEND:VCALENDAR',
    'bob\rX:1',
    'bob\u0085X:1\u2028Y:2\u2029',
    'b\u0000\u0008\u001b\u007fb',
    ']]><x a="1">&amp;\'</x><!--',
    '\ud800\uffff\ufffe\u{1F600}',
    '日本語'.repeat(80),
    '__proto__',
  ];

  test.each(HOSTILE)('it ends no line of text/calendar: %j', (calid) => {
    const { body } = composeWcap([{ calid, email: calid, errno: 28 }], 'text/calendar');
    const lines = body.split('\r\n');
    expect(lines.every((line) => Buffer.byteLength(line) <= 75)).toBe(true);
    expect(body.replaceAll('\r\n', '')).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
    const unfolded = body.replaceAll('\r\n ', '').split('\r\n');
    expect(unfolded.map((line) => line.slice(0, line.indexOf(':')))).toEqual([
      'BEGIN',
      'PRODID',
      'METHOD',
      'VERSION',
      'X-NSCP-CALPROPS-RELATIVE-CALID',
      'X-S1CS-EMAIL',
      'X-NSCP-WCAP-ERRNO',
      'END',
      '',
    ]);
  });

  test.each(HOSTILE)('it stays text in XML and a string in JSON: %j', (calid) => {
    const xml = composeWcap([{ calid, errno: 28 }], 'text/xml').body;
    expect(XMLValidator.validate(xml)).toBe(true);
    expect(Object.keys(new XMLParser().parse(xml).iCalendar.iCal)).toEqual([
      'X-NSCP-CALPROPS-RELATIVE-CALID',
      'X-NSCP-WCAP-ERRNO',
    ]);
    const [json] = JSON.parse(composeWcap([{ calid, errno: 28 }], 'text/json').body).iCalendar.iCal;
    expect(Object.keys(json).length).toBe(5);
  });
});
