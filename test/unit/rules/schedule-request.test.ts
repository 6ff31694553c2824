import { describe, expect, test } from 'vitest';
import { PRECONDITIONS, type Precondition, type Refusal } from '../../../rules/data/preconditions.ts';
import {
  type AcceptLimits,
  type HeaderUser,
  judgeBody,
  judgeHeaders,
  judgeLength,
  type PostHeaders,
  type RightHeaders,
  type RightPost,
} from '../../../rules/schedule-request.ts';
import { parseContentType } from '../../../src/itip/content-type.ts';
import { type PostedLimits, readPosted } from '../../../src/itip/posted.ts';
import { mailboxOf } from '../../../src/mail/address.ts';
import { calendar } from '../itip/samples.ts';

const OLGA = 'mailto:olga@example.org';
const BOB = 'mailto:bob@example.com';
const CAT = 'mailto:cat@example.com';
const LIMITS: AcceptLimits = { maxContentLength: 10_000, maxRecipients: 3, attachments: ['external'] };
const READING: PostedLimits = { maxObjectBytes: 10_000, maxLineBytes: 65_536, maxProperties: 50_000, maxDepth: 8 };

function users(...uris: readonly string[]): readonly HeaderUser[] {
  return uris.map((uri) => {
    const mailbox = mailboxOf(uri);
    return mailbox === undefined ? { uri } : { uri, mailbox };
  });
}

function refused(precondition: Precondition, description: string): Refusal {
  return { kind: 'refused', precondition, status: PRECONDITIONS[precondition], description };
}

describe('the headers of a post', () => {
  const HEADERS: PostHeaders = {
    versions: ['1.0'],
    originators: users(OLGA),
    recipients: users(BOB, CAT),
    contentTypes: [parseContentType('text/calendar; component=VEVENT; method=REQUEST; charset=utf-8')],
  };
  const RIGHT: RightHeaders = {
    kind: 'right',
    originator: 'olga@example.org',
    recipients: users(BOB, CAT),
    method: 'REQUEST',
    component: 'VEVENT',
    charset: 'utf-8',
    isDraft00: false,
  };
  const typed = (...values: readonly string[]): Partial<PostHeaders> => ({
    contentTypes: values.map(parseContentType),
  });
  const PARAMETERS = 'wanted text/calendar; component=…; method=…';

  type Row = readonly [
    title: string,
    change: Partial<PostHeaders>,
    draft05: RightHeaders | Refusal,
    draft00?: RightHeaders | Refusal,
  ];
  const rows: readonly Row[] = [
    ['are right', {}, RIGHT],
    ['are right with an iSchedule-Version among others', { versions: ['0.9', '1.0'] }, RIGHT],
    [
      'are right without a charset, and with parameters in any case',
      typed('Text/Calendar; METHOD=request; component=vevent'),
      { ...RIGHT, method: 'request', component: 'vevent', charset: undefined },
    ],
    [
      'are right with a recipient of another scheme',
      { recipients: users('urn:uuid:1') },
      { ...RIGHT, recipients: users('urn:uuid:1') },
    ],
    // version-not-supported
    [
      'without iSchedule-Version',
      { versions: [] },
      refused(
        'version-not-supported',
        'found no iSchedule-Version, wanted 1.0: only peers of dialect draft00, by address, go without',
      ),
      { ...RIGHT, isDraft00: true },
    ],
    [
      'with the version of -00',
      { versions: ['1'] },
      refused('version-not-supported', 'found iSchedule-Version 1, wanted 1.0'),
      { ...RIGHT, isDraft00: true },
    ],
    [
      'with another version',
      { versions: ['2.0'] },
      refused('version-not-supported', 'found iSchedule-Version 2.0, wanted 1.0'),
    ],
    // invalid-calendar-data-type
    [
      'without Content-Type',
      typed(),
      refused('invalid-calendar-data-type', 'found no Content-Type, wanted text/calendar'),
    ],
    [
      'with two of them',
      typed('text/calendar; component=VEVENT; method=REQUEST', 'text/calendar'),
      refused('invalid-calendar-data-type', 'found 2 Content-Type headers, wanted text/calendar'),
    ],
    [
      'with another media type',
      typed('application/calendar+json; component=VEVENT; method=REQUEST'),
      refused('invalid-calendar-data-type', 'found application/calendar+json, wanted text/calendar'),
    ],
    [
      'with another charset',
      typed('text/calendar; component=VEVENT; method=REQUEST; charset=iso-8859-1'),
      refused('invalid-calendar-data-type', 'found charset=iso-8859-1, wanted utf-8'),
    ],
    // invalid-scheduling-message
    [
      'without method',
      typed('text/calendar; component=VEVENT; charset=utf-8'),
      refused('invalid-scheduling-message', `found no method parameter in Content-Type, ${PARAMETERS}`),
      { ...RIGHT, method: undefined, isDraft00: true },
    ],
    [
      'without component',
      typed('text/calendar; method=REQUEST; charset=utf-8'),
      refused('invalid-scheduling-message', `found no component parameter in Content-Type, ${PARAMETERS}`),
      { ...RIGHT, component: undefined, isDraft00: true },
    ],
    [
      'with two methods',
      typed('text/calendar; component=VEVENT; method=REQUEST; method=CANCEL'),
      refused('invalid-scheduling-message', 'found 2 method parameters in Content-Type'),
    ],
    // originator-missing, too-many-originators, originator-invalid
    [
      'without Originator',
      { originators: [] },
      refused('originator-missing', 'found no Originator header, wanted one with a mailto: address'),
      { ...RIGHT, originator: undefined, isDraft00: true },
    ],
    [
      'with two Originators, though equal',
      { originators: users(OLGA, OLGA) },
      refused('too-many-originators', 'found 2 Originator headers, wanted one'),
    ],
    [
      'with two in one',
      { originators: users(`${OLGA}, ${BOB}`) },
      refused('originator-invalid', `found Originator ${OLGA}, ${BOB}, wanted one mailto: address`),
    ],
    [
      'with an Originator of another scheme',
      { originators: users('urn:uuid:1') },
      refused('originator-invalid', 'found Originator urn:uuid:1, wanted one mailto: address'),
    ],
    [
      'with a line end hidden in the Originator',
      { originators: users('mailto:olga%0D%0Ax@example.org') },
      refused('originator-invalid', 'found Originator mailto:olga%0D%0Ax@example.org, wanted one mailto: address'),
    ],
    [
      'with a NUL hidden in the Originator',
      { originators: users('mailto:olga%00@example.org') },
      refused('originator-invalid', 'found Originator mailto:olga%00@example.org, wanted one mailto: address'),
    ],
    // recipient-missing, max-recipients
    [
      'without Recipient',
      { recipients: [] },
      refused('recipient-missing', 'found no Recipient header, wanted at least one'),
      { ...RIGHT, recipients: undefined, isDraft00: true },
    ],
    [
      'with too many Recipients',
      { recipients: users(BOB, BOB, BOB, BOB) },
      refused('max-recipients', 'found more than 3 recipients, wanted at most that many'),
    ],
    // Damage
    ...(
      [
        ['ischedule-version', 'version-not-supported'],
        ['originator', 'originator-invalid'],
        ['recipient', 'recipient-mismatch'],
        ['content-type', 'invalid-calendar-data-type'],
        ['dkim-signature', 'verification-failed'],
        ['authorization', 'verification-failed'],
        ['ischedule-message-id', 'invalid-scheduling-message'],
      ] as const
    ).map(
      ([damaged, precondition]): Row => [
        `with a control character in ${damaged}`,
        { damaged },
        refused(precondition, `found a control character in ${damaged}`),
      ],
    ),
    // The order of Cyrus
    [
      'with nothing right say the version first',
      { versions: [], contentTypes: [], originators: [], recipients: [] },
      refused(
        'version-not-supported',
        'found no iSchedule-Version, wanted 1.0: only peers of dialect draft00, by address, go without',
      ),
      refused('invalid-calendar-data-type', 'found no Content-Type, wanted text/calendar'),
    ],
    [
      'without users say the Originator first',
      { originators: [], recipients: [] },
      refused('originator-missing', 'found no Originator header, wanted one with a mailto: address'),
      { ...RIGHT, originator: undefined, recipients: undefined, isDraft00: true },
    ],
  ];
  for (const [title, change, draft05, draft00 = draft05] of rows) {
    test(`${title} (draft05)`, () =>
      expect(judgeHeaders({ ...HEADERS, ...change }, 'draft05', LIMITS)).toEqual(draft05));
    test(`${title} (draft00)`, () =>
      expect(judgeHeaders({ ...HEADERS, ...change }, 'draft00', LIMITS)).toEqual(draft00));
  }

  test('of the v7 product’s sample need no more than their media type from a peer of draft -00', () => {
    const bare: PostHeaders = {
      versions: [],
      originators: [],
      recipients: [],
      contentTypes: [parseContentType('text/calendar')],
    };
    expect(judgeHeaders(bare, 'draft00', LIMITS)).toEqual({
      kind: 'right',
      originator: undefined,
      recipients: undefined,
      method: undefined,
      component: undefined,
      charset: undefined,
      isDraft00: true,
    });
  });
});

test('a body of more octets than announced is too long, one of as many is not', () => {
  expect(judgeLength(10_000, LIMITS)).toBeUndefined();
  expect(judgeLength(10_001, LIMITS)).toEqual({
    kind: 'refused',
    precondition: 'max-content-length',
    status: 413,
    description: 'found 10001 octets, wanted at most 10000',
  });
});

describe('the body of a post', () => {
  type Parts = {
    readonly component?: string;
    readonly organizer?: string | undefined;
    readonly attendees?: readonly string[];
    readonly more?: readonly string[];
  };

  function body(
    method: string,
    { component = 'VEVENT', organizer = OLGA, attendees = [BOB, CAT], more = [] }: Parts = {},
  ) {
    return calendar(
      method,
      `BEGIN:${component}`,
      'UID:budget-1@example.org',
      'DTSTAMP:20261121T080000Z',
      ...(component === 'VFREEBUSY'
        ? ['DTSTART:20261124T090000Z', 'DTEND:20261124T100000Z']
        : ['SUMMARY:Budget', 'SEQUENCE:1', 'DTSTART:20261124T090000Z']),
      ...(organizer === '' ? [] : [`ORGANIZER:${organizer}`]),
      ...attendees.map((uri) => `ATTENDEE:${uri}`),
      ...more,
      `END:${component}`,
    );
  }

  function headers(change: Partial<RightHeaders> = {}): RightHeaders {
    return {
      kind: 'right',
      originator: 'olga@example.org',
      recipients: users(BOB),
      method: undefined,
      component: undefined,
      charset: 'utf-8',
      isDraft00: false,
      ...change,
    };
  }

  function judge(source: string, right: RightHeaders, limits: AcceptLimits = LIMITS) {
    return judgeBody(readPosted(Buffer.from(source), right.charset, READING), right, limits);
  }

  /** Who speaks to whom, or why nothing is taken. */
  function said(verdict: RightPost | Refusal): string {
    if (verdict.kind === 'refused') return `${verdict.precondition}: ${verdict.description}`;
    return `${verdict.originator} → ${verdict.recipients.map(({ uri }) => uri).join(' ')}`;
  }

  const fromBob = headers({ originator: 'bob@example.com', recipients: users(OLGA) });
  const ALL = {
    ...LIMITS,
    messages: ['VEVENT', 'VTODO', 'VFREEBUSY'].map((component) => ({
      component,
      methods: ['REQUEST', 'REPLY', 'CANCEL'],
    })),
  };
  const derived = headers({ originator: undefined, recipients: undefined, isDraft00: true });

  type Row = readonly [title: string, source: string, right: RightHeaders, expected: string, limits?: AcceptLimits];
  const rows: readonly Row[] = [
    // Who may speak to whom
    ...(['REQUEST', 'ADD', 'CANCEL', 'DECLINECOUNTER'] as const).flatMap((method): Row[] => [
      [`${method} goes from the ORGANIZER to an ATTENDEE`, body(method), headers(), `olga@example.org → ${BOB}`],
      [
        `${method} does not go from an ATTENDEE`,
        body(method),
        headers({ originator: 'bob@example.com' }),
        `originator-invalid: found Originator bob@example.com and ORGANIZER olga@example.org, wanted the same in a ${method}`,
      ],
      [
        `${method} does not go to a stranger`,
        body(method),
        headers({ recipients: users(BOB, 'mailto:mallory@example.net') }),
        `recipient-mismatch: found Recipient mailto:mallory@example.net, wanted an ATTENDEE of the ${method}`,
      ],
      [
        `${method} does not go to its ORGANIZER, who is no ATTENDEE`,
        body(method),
        headers({ recipients: users(OLGA) }),
        `recipient-mismatch: found Recipient ${OLGA}, wanted an ATTENDEE of the ${method}`,
      ],
      [`${method} of draft -00 goes to all ATTENDEEs`, body(method), derived, `olga@example.org → ${BOB} ${CAT}`],
    ]),
    ...(['REPLY', 'REFRESH', 'COUNTER'] as const).flatMap((method): Row[] => [
      [
        `${method} goes from the ATTENDEE to the ORGANIZER`,
        body(method, { attendees: [BOB] }),
        fromBob,
        `bob@example.com → ${OLGA}`,
      ],
      [
        `${method} does not go from the ORGANIZER`,
        body(method, { attendees: [BOB] }),
        headers({ recipients: users(OLGA) }),
        `originator-invalid: found Originator olga@example.org and ATTENDEE bob@example.com, wanted the same in a ${method}`,
      ],
      [
        `${method} does not go to another ATTENDEE`,
        body(method, { attendees: [BOB] }),
        headers({ originator: 'bob@example.com', recipients: users(OLGA, CAT) }),
        `recipient-mismatch: found Recipient ${CAT}, wanted the ORGANIZER of the ${method}`,
      ],
      [
        `${method} of draft -00 goes from its ATTENDEE to its ORGANIZER`,
        body(method, { attendees: [BOB] }),
        derived,
        `bob@example.com → ${OLGA}`,
      ],
      [
        `${method} of two ATTENDEEs speaks for nobody`,
        body(method),
        fromBob,
        `invalid-scheduling-message: ${method} with 2 ATTENDEEs, wanted exactly one`,
      ],
    ]),
    ['VTODO goes as VEVENT does', body('REQUEST', { component: 'VTODO' }), headers(), `olga@example.org → ${BOB}`],
    [
      'addresses are the same in any case and spelling',
      body('REQUEST', { organizer: 'MAILTO:Olga@Example.ORG', attendees: ['mailto:B%6Fb@example.com'] }),
      headers({ recipients: users('Mailto:BOB@EXAMPLE.com') }),
      'olga@example.org → Mailto:BOB@EXAMPLE.com',
    ],
    [
      'a bare address is the same as its mailto:',
      body('REQUEST'),
      headers({ recipients: [{ uri: 'bob@example.com', mailbox: 'bob@example.com' }] }),
      'olga@example.org → bob@example.com',
    ],
    [
      'a Recipient twice is no mismatch',
      body('REQUEST'),
      headers({ recipients: users(BOB, BOB) }),
      `olga@example.org → ${BOB} ${BOB}`,
    ],
    [
      'an ATTENDEE of another scheme may be meant, though we cannot reach him',
      body('REQUEST', { attendees: ['urn:uuid:AA', BOB] }),
      headers({ recipients: users('urn:uuid:aa') }),
      'olga@example.org → urn:uuid:aa',
    ],
    [
      'an ATTENDEE of another scheme is reached where EMAIL says, by either name',
      body('REQUEST', { attendees: ['urn:uuid:AA'] }).replace('ATTENDEE:', 'ATTENDEE;EMAIL=bob@example.com:'),
      headers({ recipients: users('urn:uuid:aa', BOB) }),
      `olga@example.org → urn:uuid:aa ${BOB}`,
    ],
    [
      'EMAIL of an ATTENDEE who has a mailbox names nobody else',
      body('REQUEST', { attendees: [BOB] }).replace('ATTENDEE:', 'ATTENDEE;EMAIL=cat@example.com:'),
      headers({ recipients: users(CAT) }),
      `recipient-mismatch: found Recipient ${CAT}, wanted an ATTENDEE of the REQUEST`,
    ],
    [
      'a Recipient that is no address is nobody’s',
      body('REQUEST'),
      headers({ recipients: users('mailto:bob%0A@example.com') }),
      'recipient-mismatch: found Recipient mailto:bob%0A@example.com, wanted an ATTENDEE of the REQUEST',
    ],
    [
      'an ORGANIZER of another scheme speaks for nobody',
      body('REQUEST', { organizer: 'urn:uuid:1' }),
      headers(),
      'originator-invalid: found ORGANIZER urn:uuid:1, wanted a mailto: address',
    ],
    [
      'an ORGANIZER of another scheme speaks for nobody in draft -00 either',
      body('REQUEST', { organizer: 'urn:uuid:1' }),
      derived,
      'originator-invalid: found ORGANIZER urn:uuid:1, wanted a mailto: address',
    ],
    [
      'a replying ATTENDEE of another scheme speaks for nobody',
      body('REPLY', { attendees: ['/principals/bob'] }),
      fromBob,
      'originator-invalid: found ATTENDEE /principals/bob, wanted a mailto: address',
    ],
    [
      'a REPLY without ORGANIZER is for nobody',
      body('REPLY', { organizer: '', attendees: [BOB] }),
      fromBob,
      'invalid-scheduling-message: found a REPLY without ORGANIZER, wanted one',
    ],
    [
      'a CANCEL without ATTENDEE is for nobody',
      body('CANCEL', { attendees: [] }),
      headers(),
      `recipient-mismatch: found Recipient ${BOB}, wanted an ATTENDEE of the CANCEL`,
    ],
    [
      'a CANCEL without ATTENDEE of draft -00 is for nobody',
      body('CANCEL', { attendees: [] }),
      derived,
      'recipient-missing: found neither Recipient nor ATTENDEE in a CANCEL, wanted at least one',
    ],
    [
      'draft -00 with an Originator is held to it',
      body('REQUEST'),
      headers({ originator: 'bob@example.com', recipients: undefined, isDraft00: true }),
      'originator-invalid: found Originator bob@example.com and ORGANIZER olga@example.org, wanted the same in a REQUEST',
    ],
    [
      'draft -00 has the same limit of recipients',
      body('REQUEST', { attendees: ['a', 'b', 'c', 'd'].map((name) => `mailto:${name}@example.com`) }),
      derived,
      'max-recipients: found more than 3 recipients, wanted at most that many',
    ],
    // What it is
    ['what is no iCalendar', 'hello', headers(), 'invalid-calendar-data: the calendar part has no BEGIN:VCALENDAR'],
    [
      'a body larger than a calendar part',
      `${body('REQUEST')}${'\r\n'.repeat(5000)}`,
      headers(),
      `max-content-length: found ${body('REQUEST').length + 10_000} octets, wanted at most 10000`,
    ],
    ['PUBLISH', body('PUBLISH'), headers(), 'invalid-scheduling-message: METHOD PUBLISH is not scheduled by mail'],
    [
      'a method parameter that says otherwise',
      body('REQUEST'),
      headers({ method: 'CANCEL', component: 'VEVENT' }),
      'invalid-scheduling-message: found method=CANCEL in Content-Type and REQUEST in the body, wanted the same',
    ],
    [
      'a component parameter that says otherwise',
      body('REQUEST'),
      headers({ method: 'REQUEST', component: 'VTODO' }),
      'invalid-scheduling-message: found component=VTODO in Content-Type and VEVENT in the body, wanted the same',
    ],
    [
      'parameters in lower case',
      body('REQUEST'),
      headers({ method: 'request', component: 'vevent' }),
      `olga@example.org → ${BOB}`,
    ],
    [
      'a method that is not announced',
      body('ADD'),
      headers(),
      'invalid-scheduling-message: found ADD of VEVENT, wanted one of REQUEST, REPLY, CANCEL',
      ALL,
    ],
    [
      'a component that is not announced',
      body('REQUEST', { component: 'VFREEBUSY' }),
      headers(),
      'invalid-scheduling-message: found REQUEST of VFREEBUSY, wanted another component: no busy times are told here',
    ],
    // VFREEBUSY
    [
      'VFREEBUSY for each ATTENDEE',
      body('REQUEST', { component: 'VFREEBUSY' }),
      headers({ recipients: users(CAT, BOB) }),
      `olga@example.org → ${CAT} ${BOB}`,
      ALL,
    ],
    [
      'VFREEBUSY for some of its ATTENDEEs',
      body('REQUEST', { component: 'VFREEBUSY' }),
      headers(),
      `recipient-mismatch: found ATTENDEE ${CAT} of VFREEBUSY, wanted a Recipient for each`,
      ALL,
    ],
    [
      'VFREEBUSY for more than its ATTENDEEs',
      body('REQUEST', { component: 'VFREEBUSY', attendees: [BOB] }),
      headers({ recipients: users(BOB, CAT) }),
      `recipient-mismatch: found Recipient ${CAT}, wanted an ATTENDEE of the REQUEST`,
      ALL,
    ],
    [
      'VFREEBUSY by another than its ORGANIZER',
      body('REQUEST', { component: 'VFREEBUSY' }),
      headers({ originator: 'bob@example.com' }),
      'originator-invalid: found Originator bob@example.com and ORGANIZER olga@example.org, wanted the same in a REQUEST',
      ALL,
    ],
    [
      'VFREEBUSY of draft -00',
      body('REQUEST', { component: 'VFREEBUSY' }),
      derived,
      `olga@example.org → ${BOB} ${CAT}`,
      ALL,
    ],
    // Limits
    [
      'what begins before the first day',
      body('REQUEST'),
      headers(),
      'min-date-time: found 20261124T090000Z, wanted nothing before 20261125T000000Z',
      { ...LIMITS, minDateMs: Date.UTC(2026, 10, 25) },
    ],
    [
      'what begins after the last day',
      body('REQUEST'),
      headers(),
      'max-date-time: found 20261124T090000Z, wanted nothing after 20261123T235959Z',
      { ...LIMITS, maxDateMs: Date.UTC(2026, 10, 23, 23, 59, 59) },
    ],
    [
      'what is between them',
      body('REQUEST'),
      headers(),
      `olga@example.org → ${BOB}`,
      { ...LIMITS, minDateMs: Date.UTC(2026, 10, 24, 9), maxDateMs: Date.UTC(2026, 10, 24, 9) },
    ],
    [
      'what recurs too often',
      body('REQUEST', { more: ['RRULE:FREQ=DAILY;COUNT=11'] }),
      headers(),
      'max-instances: found up to 11 instances, wanted at most 10',
      { ...LIMITS, maxInstances: 10 },
    ],
    [
      'what recurs for ever',
      body('REQUEST', { more: ['RRULE:FREQ=DAILY'] }),
      headers(),
      `olga@example.org → ${BOB}`,
      { ...LIMITS, maxInstances: 10 },
    ],
    [
      'an attachment of octets',
      body('REQUEST', { more: ['ATTACH;ENCODING=BASE64;VALUE=BINARY:QUJD'] }),
      headers(),
      'attachment-type-not-supported: found an inline attachment, wanted external ones only',
    ],
    [
      'an attachment by URI',
      body('REQUEST', { more: ['ATTACH:https://example.org/a'] }),
      headers(),
      `olga@example.org → ${BOB}`,
    ],
    [
      'any attachment where none is taken',
      body('REQUEST', { more: ['ATTACH:https://example.org/a'] }),
      headers(),
      'attachment-type-not-supported: found an external attachment, wanted none',
      { ...LIMITS, attachments: [] },
    ],
    [
      'what Apple alone refuses',
      body('REQUEST', { more: ['X-CALENDARSERVER-ACCESS:PRIVATE'] }),
      headers(),
      `olga@example.org → ${BOB}`,
    ],
  ];
  for (const [title, source, right, expected, limits] of rows)
    test(title, () => expect(said(judge(source, right, limits))).toBe(expected));

  test('names the mailbox of a Recipient of another scheme, where EMAIL has one', () => {
    const source = body('REQUEST', { attendees: ['urn:uuid:AA'] }).replace(
      'ATTENDEE:',
      'ATTENDEE;EMAIL=bob@example.com:',
    );
    expect(judge(source, headers({ recipients: users('urn:uuid:aa') }))).toMatchObject({
      recipients: [{ uri: 'urn:uuid:aa', mailbox: 'bob@example.com' }],
    });
  });

  test('that is right comes back whole', () => {
    const source = body('REQUEST');
    const posted = readPosted(Buffer.from(source), 'utf-8', READING);
    expect(judgeBody(posted, headers(), LIMITS)).toEqual({
      kind: 'right',
      originator: 'olga@example.org',
      recipients: users(BOB),
      posted,
    });
  });
});
