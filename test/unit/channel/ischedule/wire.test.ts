import { describe, expect, test } from 'vitest';
import type { PostBatch } from '../../../../channel/channel.ts';
import {
  composeError,
  composeReply,
  composeRequest,
  parseReply,
  type Reply,
} from '../../../../channel/ischedule/wire.ts';

function batch(overrides: Partial<PostBatch> = {}): PostBatch {
  return {
    queueId: 'Q1',
    server: new URL('http://calendar.example.com/ischedule'),
    profile: 'generic',
    messageId: 'Q1.1@gw.example.com',
    originator: 'olga@outside.test',
    recipients: ['alice@example.com', 'bob@example.com'],
    method: 'REQUEST',
    component: 'VEVENT',
    content: Buffer.from(''),
    ...overrides,
  };
}

function header(headers: readonly string[], name: string): string[] {
  return headers.filter((_, index) => index % 2 === 1 && headers[index - 1] === name);
}

describe('composeRequest', () => {
  test('the headers of the final draft go out in their order, a Recipient each', () => {
    expect(composeRequest(batch(), 'imipd/1')).toEqual([
      ...['iSchedule-Version', '1.0'],
      ...['iSchedule-Message-ID', 'Q1.1@gw.example.com'],
      ...['Originator', 'mailto:olga@outside.test'],
      ...['Recipient', 'mailto:alice@example.com'],
      ...['Recipient', 'mailto:bob@example.com'],
      ...['Content-Type', 'text/calendar; component=VEVENT; method=REQUEST; charset=utf-8'],
      ...['Cache-Control', 'no-cache, no-transform'],
      ...['User-Agent', 'imipd/1'],
    ]);
  });

  test('Cyrus gets bare lower-case addresses in one Recipient, and the Originator as a URI', () => {
    const headers = composeRequest(
      batch({ profile: 'cyrus', recipients: ['Alice@Example.com', 'bob@example.com'] }),
      'x',
    );
    expect(header(headers, 'Recipient')).toEqual(['alice@example.com, bob@example.com']);
    expect(header(headers, 'Originator')).toEqual(['mailto:olga@outside.test']);
  });

  test.each([
    ['a comma does not make a second recipient', 'a,b@example.com', 'mailto:a%2Cb@example.com'],
    ['what is not ASCII is percent-encoded UTF-8', 'jürgen@example.com', 'mailto:j%C3%BCrgen@example.com'],
    ['half a surrogate pair does not throw', 'a\ud800b@example.com', 'mailto:a%EF%BF%BDb@example.com'],
    ['a line end does not end the header', 'a\r\nX: y@example.com', 'mailto:a%0D%0AX:%20y@example.com'],
    ['NUL does not get through', 'a\0b@example.com', 'mailto:a%00b@example.com'],
  ])('%s', (_, address, expected) => {
    const headers = composeRequest(batch({ recipients: [address], originator: address }), 'x');
    expect(header(headers, 'Recipient')).toEqual([expected]);
    expect(header(headers, 'Originator')).toEqual([expected]);
  });

  test('method, component and message id cannot add a header', () => {
    const headers = composeRequest(batch({ method: 'X\r\nY: z', component: 'V;E', messageId: '<a b\r\nc>' }), 'x');
    expect(header(headers, 'Content-Type')).toEqual(['text/calendar; component=VE; method=XYz; charset=utf-8']);
    expect(header(headers, 'iSchedule-Message-ID')).toEqual(['<abc>']);
  });
});

function responses(xml: string, contentType = 'application/xml; charset=utf-8'): unknown {
  const reply = parseReply(Buffer.from(xml), contentType);
  return reply.kind === 'responses' ? reply.responses : reply;
}

describe('parseReply', () => {
  const plain = { recipient: 'mailto:bob@example.com', requestStatus: '2.0;Success' };

  test('the answer of the final draft is read whole', () => {
    const xml = `<?xml version="1.0" encoding="utf-8"?>
<schedule-response xmlns="urn:ietf:params:xml:ns:ischedule">
  <response>
    <recipient>mailto:bob@example.com</recipient>
    <request-status>2.0;Success</request-status>
    <calendar-data>BEGIN:VCALENDAR
END:VCALENDAR
</calendar-data>
  </response>
  <response>
    <recipient>mailto:cat@example.com</recipient>
    <request-status>3.7;Invalid calendar user</request-status>
    <error><recipient-invalid/></error>
    <response-description>No such user here</response-description>
  </response>
</schedule-response>`;
    expect(responses(xml)).toEqual([
      { ...plain, calendarData: 'BEGIN:VCALENDAR\nEND:VCALENDAR\n' },
      {
        recipient: 'mailto:cat@example.com',
        requestStatus: '3.7;Invalid calendar user',
        error: 'recipient-invalid',
        description: 'No such user here',
      },
    ]);
  });

  test.each([
    [
      'children in another order, the first draft’s names, a prefix',
      '<C:schedule-response xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:D="DAV:"><C:response>' +
        '<C:responsedescription>fine</C:responsedescription><C:request-status>2.0;Success</C:request-status>' +
        '<C:recipient><D:href>mailto:bob@example.com</D:href></C:recipient></C:response></C:schedule-response>',
      [{ ...plain, description: 'fine' }],
    ],
    [
      'CDATA beside text, where references are no references',
      '<schedule-response><response><recipient>mailto:<![CDATA[a&amp;b]]>@example.com</recipient>' +
        '<request-status><![CDATA[2.0;Success]]></request-status></response></schedule-response>',
      [{ recipient: 'mailto:a&amp;b@example.com', requestStatus: '2.0;Success' }],
    ],
    [
      'references by name and by number',
      '<schedule-response><response><recipient>mailto:o&apos;hara&#43;x&amp;j&#xFC;@example.com</recipient>' +
        '<request-status>2.0;&unknown;&#0;</request-status></response></schedule-response>',
      [{ recipient: "mailto:o'hara+x&jü@example.com", requestStatus: '2.0;&unknown;\uFFFD' }],
    ],
    ['no recipient at all', '<schedule-response/>', []],
    [
      'a response without children',
      '<schedule-response><response/></schedule-response>',
      [{ recipient: '', requestStatus: '' }],
    ],
    ['white space and a comment before the root', '\r\n <!-- hi --><schedule-response/>', []],
  ])('%s', (_, xml, expected) => {
    expect(responses(xml)).toEqual(expected);
  });

  test.each([
    [
      'windows-1252',
      'application/xml; charset=windows-1252',
      Buffer.from(
        '<schedule-response><response><recipient>j\u00fc</recipient></response></schedule-response>',
        'latin1',
      ),
    ],
    [
      'ISO-8859-1 by declaration',
      'text/xml',
      Buffer.from(
        '<?xml version="1.0" encoding="ISO-8859-1"?><schedule-response><response><recipient>j\u00fc</recipient></response></schedule-response>',
        'latin1',
      ),
    ],
    [
      'UTF-8 with a byte order mark',
      '',
      Buffer.from('\uFEFF<schedule-response><response><recipient>j\u00fc</recipient></response></schedule-response>'),
    ],
    [
      'UTF-16',
      'application/xml',
      Buffer.from(
        '\uFEFF<schedule-response><response><recipient>j\u00fc</recipient></response></schedule-response>',
        'utf16le',
      ),
    ],
    [
      'a charset nobody knows is read as UTF-8',
      'text/xml; charset=nonsense',
      Buffer.from('<schedule-response><response><recipient>j\u00fc</recipient></response></schedule-response>'),
    ],
  ])('charset: %s', (_, contentType, body) => {
    expect(parseReply(body, contentType)).toEqual({
      kind: 'responses',
      responses: [{ recipient: 'jü', requestStatus: '' }],
    });
  });

  test.each<[string, Reply]>([
    [
      '<error xmlns="urn:ietf:params:xml:ns:ischedule"><verification-failed/><response-description>No signature</response-description></error>',
      { kind: 'error', element: 'verification-failed', description: 'No signature' },
    ],
    [
      '<x:error xmlns:x="u"><x:response-description>later</x:response-description><x:max-recipients>3</x:max-recipients></x:error>',
      { kind: 'error', element: 'max-recipients', description: 'later' },
    ],
    ['<error/>', { kind: 'error', element: '', description: '' }],
  ])('the error %s is read', (xml, expected) => {
    expect(parseReply(Buffer.from(xml), 'application/xml')).toEqual(expected);
  });

  test.each([
    ['nothing', ''],
    ['text', 'Bad Gateway'],
    ['an HTML page', '<!DOCTYPE html><html><body>Log in</body></html>'],
    ['XHTML', '<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>'],
    ['entities that expand', '<!DOCTYPE a [<!ENTITY x "xxxx">]><schedule-response>&x;</schedule-response>'],
    ['an element that does not end', '<schedule-response><response><recipient>mailto:a@example.com</recipient>'],
    ['crossed elements', '<schedule-response><response></schedule-response></response>'],
    ['depth', `<schedule-response>${'<a>'.repeat(1000)}${'</a>'.repeat(1000)}</schedule-response>`],
    [
      'a name the parser must not use as a key',
      '<schedule-response><response><__proto__>x</__proto__></response></schedule-response>',
    ],
    ['JSON', '{"a": 1}'],
  ])('%s is not an answer', (_, body) => {
    expect(parseReply(Buffer.from(body), 'application/xml').kind).toBe('unreadable');
  });
});

describe('composeReply', () => {
  test('children stand in the order of the DTD, and come back as they went', () => {
    const sent = [
      {
        description: 'a "b" <c> & d\r\n',
        calendarData: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n',
        requestStatus: '2.0;Success',
        recipient: 'mailto:a&b@example.com',
      },
      { recipient: 'mailto:c@example.com', requestStatus: '3.7;Invalid calendar user', error: 'recipient-invalid' },
    ];
    const xml = composeReply(sent);
    expect([...xml.matchAll(/<([a-z-]+)>/g)].map((match) => match[1])).toEqual([
      ...['response', 'recipient', 'request-status', 'calendar-data', 'response-description'],
      ...['response', 'recipient', 'request-status', 'error'],
    ]);
    expect(responses(xml)).toEqual([{ ...sent[0], description: 'a "b" <c> & d' }, sent[1]]);
  });

  test('characters that XML cannot carry are dropped', () => {
    expect(responses(composeReply([{ recipient: 'a\0\u0001\ud800b\u{1F600}', requestStatus: '' }]))).toEqual([
      { recipient: 'a\uFFFDb\u{1F600}', requestStatus: '' },
    ]);
  });
});

test('composeError names one precondition', () => {
  expect(composeError('invalid-calendar-data', 'no <UID>')).toBe(
    '<?xml version="1.0" encoding="utf-8"?>\n<error xmlns="urn:ietf:params:xml:ns:ischedule">\n    <invalid-calendar-data/>\n' +
      '    <response-description>no &lt;UID&gt;</response-description>\n</error>\n',
  );
});

test('an answer of more tags than any answer has is not read', () => {
  const answer = (count: number) =>
    Buffer.from(`<schedule-response>${'<response/>'.repeat(count)}</schedule-response>`);
  expect(parseReply(answer(19_998), 'application/xml')).toMatchObject({ kind: 'responses' });
  expect(parseReply(answer(19_999), 'application/xml')).toEqual({
    kind: 'unreadable',
    reason: 'the answer has more than 20000 tags',
  });
});
