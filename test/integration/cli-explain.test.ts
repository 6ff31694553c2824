import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { TRIAL_LDIF } from '../../src/trial/people.ts';
import { type Ended, type Folder, folderWith, imipd } from './cli.ts';
import { type EventFields, invitationMail } from './invitations.ts';

const OLGA = 'olga@example.org';
const ALICE = 'alice@example.com';
const NORTH = 'http://127.0.0.1:1/ischedule';
const MAP = 'https://calendar.example.net/ischedule';
const lines = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

/** Nobody need answer: `explain` asks the directory, which is a file, and nobody else. */
function site(files: Readonly<Record<string, string>> = {}): Promise<Folder> {
  return folderWith({
    'people.ldif': `${TRIAL_LDIF}
dn: uid=mia,o=example.com
objectClass: inetMailUser
objectClass: icsCalendarUser
uid: mia
mail: mia@example.com
mailUserStatus: hold
davStore: north

dn: cn=team,o=example.com
objectClass: inetMailGroup
cn: team
mail: team@example.com
uniqueMember: uid=alice,o=example.com
uniqueMember: uid=bob,o=example.com
mgrpRFC822MailMember: petra@example.org
`,
    'calendars.properties': `example.net=${MAP}\n`,
    'imipd.yaml': lines(
      'hostname: gateway.example.com',
      'domains: [example.com]',
      'listeners:',
      "  - {name: in, address: '127.0.0.1:0'}",
      "  - {name: rooms, address: '127.0.0.1:0', mode: final}",
      'directory: {kind: ldif, file: people.ldif}',
      `calendar: {back-ends: {north: {url: '${NORTH}'}}, domain-map: calendars.properties}`,
      "next-hop: {address: '127.0.0.1:2'}",
    ),
    ...files,
  });
}

async function explain(files: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ended> {
  await using folder = await site(files);
  const before = await readdir(folder.path);
  const ended = await imipd(folder.path, 'explain', ...args);
  expect(await readdir(folder.path)).toEqual(before);
  return ended;
}

const event = (change: Partial<EventFields>): EventFields => ({
  uid: 'review@example.org',
  organizer: OLGA,
  attendees: [ALICE],
  method: 'REQUEST',
  ...change,
});

/** What stands before the request that would be sent. */
const consequenceOf = (out: string): string | undefined => out.split('\n').find((line) => line.startsWith('  →'));

/** The request of the typical invitation; the token is a digest of the body. */
const typicalRequest = (length: number, ...attendees: readonly string[]): string[] => [
  '    POST /ischedule HTTP/1.1',
  '    Host: 127.0.0.1:1',
  '    iSchedule-Version: 1.0',
  expect.stringMatching(/^ {4}iSchedule-Message-ID: QUEUE-ID\.[0-9a-f]{16}@gateway\.example\.com$/),
  '    Originator: mailto:organizer@outside.invalid',
  '    Recipient: mailto:alice@example.com',
  '    Content-Type: text/calendar; component=VEVENT; method=REQUEST; charset=utf-8',
  '    Cache-Control: no-cache, no-transform',
  '    User-Agent: imipd',
  `    Content-Length: ${length}`,
  '',
  '    BEGIN:VCALENDAR',
  '    VERSION:2.0',
  '    PRODID:-//imipd//explain//EN',
  '    METHOD:REQUEST',
  '    BEGIN:VEVENT',
  '    UID:explain@outside.invalid',
  '    DTSTAMP:20300101T000000Z',
  '    DTSTART:20300102T090000Z',
  '    DTEND:20300102T100000Z',
  '    SUMMARY:Invitation',
  '    SEQUENCE:0',
  '    ORGANIZER:mailto:organizer@outside.invalid',
  ...attendees.map((line) => `    ${line}`),
  '    END:VEVENT',
  '    END:VCALENDAR',
];
const AS_ALICE = 'ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:alice@example.com';

const TYPICAL = '  with a typical invitation from outside; --message FILE takes a real one';
const SOMETHING = '  Is there something to schedule? yes: REQUEST of VEVENT explain@outside.invalid';

describe('imipd explain', () => {
  test('tells every question and its answer, what would be posted where, and changes nothing', async () => {
    const { code, err, out } = await explain({}, ALICE);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.split('\n')).toEqual([
      'alice@example.com, mail on listener in (filter, outside)',
      TYPICAL,
      '  directory: people.ldif has uid=alice,o=example.com, by mail=alice@example.com',
      '    mail alice@example.com; also a.adams@example.com; marker north; a calendar',
      SOMETHING,
      '  Whose recipient is it? uid=alice,o=example.com, by mail=alice@example.com',
      '  Is the user being moved? no',
      '  May its author say this? yes',
      '  Is the recipient meant? yes, as alice@example.com',
      '  Is it news? yes',
      `  Which home server? ${NORTH}, because davStore is north`,
      '  What does that server take? profile generic: REQUEST, REPLY, CANCEL',
      `  → post: posted to ${NORTH} (profile generic) for alice@example.com; the mail is passed on, annotated`,
      ...typicalRequest(365, AS_ALICE),
      '',
    ]);
  });

  test('shows the copy that a member of a list gets', async () => {
    const { out } = await explain({}, ALICE, '--orcpt', 'team@example.com');
    expect(out.split('\n')).toEqual([
      'alice@example.com, mail on listener in (filter, outside)',
      '  with a typical invitation from outside to team@example.com; --message FILE takes a real one',
      '  directory: people.ldif has uid=alice,o=example.com, by mail=alice@example.com',
      '    mail alice@example.com; also a.adams@example.com; marker north; a calendar',
      SOMETHING,
      '  Whose recipient is it? uid=alice,o=example.com, by mail=alice@example.com',
      '  Is the user being moved? no',
      '  May its author say this? yes',
      '  Is the recipient meant? yes, as a member of team@example.com: he is in cn=team,o=example.com',
      '  Is it news? yes',
      `  Which home server? ${NORTH}, because davStore is north`,
      '  What does that server take? profile generic: REQUEST, REPLY, CANCEL',
      `  → post: posted to ${NORTH} (profile generic) for alice@example.com, as a member of team@example.com; the mail is passed on, annotated`,
      ...typicalRequest(
        467,
        'ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:team@example.com',
        'ATTENDEE;MEMBER="mailto:team@example.com";PARTSTAT=NEEDS-ACTION;RSVP=TRUE:m',
        ' ailto:alice@example.com',
      ),
      '',
    ]);
  });

  test('of a list names the members who would get posts, and what becomes of each', async () => {
    expect(await explain({}, 'team@example.com')).toEqual({
      code: 0,
      err: '',
      out: lines(
        'team@example.com, mail on listener in (filter, outside)',
        TYPICAL,
        '  directory: people.ldif has cn=team,o=example.com, by mail=team@example.com',
        '    mail team@example.com; a list of 2 by DN, 1 by address',
        SOMETHING,
        '  Whose recipient is it? cn=team,o=example.com, a list, by mail=team@example.com',
        '  May its author say this? yes',
        '  Is the recipient meant? yes, as team@example.com',
        '  Who is in the list? 2 of its 3 members have a calendar with us',
        '  → list: one post for each of 2 members of the list; the mail is passed on',
        `    alice@example.com → post: posted to ${NORTH} (profile generic) for alice@example.com, as a member of team@example.com`,
        '    bob@example.com → marker-unknown: tried again later, 4.3.5 davStore is south, which no calendar.back-ends line names',
      ),
    });
  });

  test('reads a message, and tells by which alias its recipient is meant', async () => {
    const message = invitationMail(event({ attendees: ['a.adams@example.com'] }));
    const { code, err, out } = await explain({ 'mail.eml': message }, 'A.Adams@EXAMPLE.com', '--message', 'mail.eml');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.split('\n').slice(0, 13)).toEqual([
      'A.Adams@example.com, mail on listener in (filter, outside)',
      '  message: from olga@example.org, "REQUEST: Review", parts text/plain, text/calendar',
      '  directory: people.ldif has uid=alice,o=example.com, by mailAlternateAddress=a.adams@example.com',
      '    mail alice@example.com; also a.adams@example.com; marker north; a calendar',
      '  Is there something to schedule? yes: REQUEST of VEVENT review@example.org',
      '  Whose recipient is it? uid=alice,o=example.com, by mailAlternateAddress=a.adams@example.com',
      '  Is the user being moved? no',
      '  May its author say this? yes',
      '  Is the recipient meant? yes, as a.adams@example.com',
      '  Is it news? yes',
      `  Which home server? ${NORTH}, because davStore is north`,
      '  What does that server take? profile generic: REQUEST, REPLY, CANCEL',
      `  → post: posted to ${NORTH} (profile generic) for alice@example.com, written for a.adams@example.com; the mail is passed on, annotated`,
    ]);
    expect(out.match(/^ {4}ATTENDEE.*$/gm)).toEqual([expect.stringMatching(/:mailto:alice@example\.com$/)]);
  });

  test('reads a message whose lines end in LF alone', async () => {
    const message = invitationMail(event({})).replaceAll('\r\n', '\n');
    const { out } = await explain({ 'mail.eml': message }, ALICE, '--message', 'mail.eml');
    expect(consequenceOf(out)).toMatch(/^ {2}→ post: posted to /);
  });

  test('names the repairs of a message', async () => {
    const message = invitationMail(event({})).replace('PRODID:-//Example//Invitations//EN\r\n', '');
    const { out } = await explain({ 'mail.eml': message }, ALICE, '--message', 'mail.eml');
    expect(out).toMatch(/^ {2}repair: prodid-missing, line \d+: our PRODID added$/m);
  });

  const plain = lines('From: olga@example.org', 'To: alice@example.com', 'Subject: Lunch', '', 'Noon?');
  const consequences: readonly [title: string, args: readonly string[], file: string, says: string][] = [
    [
      'plain mail is passed on as it is',
      [ALICE, '--message', 'mail.eml'],
      plain,
      'nothing-to-schedule: no post: no calendar part; the mail is passed on',
    ],
    [
      'a recipient nobody knows gets his mail only',
      ['nobody@example.com'],
      '',
      'unknown-recipient: no post: the directory knows no such address; the mail is passed on',
    ],
    [
      'and is refused where the calendar is all there is',
      ['nobody@example.com', '--listener', 'rooms'],
      '',
      'unknown-recipient: refused with 5.1.1 the directory knows no such address',
    ],
    [
      'a recipient without calendar gets his mail only',
      ['grace@example.com'],
      '',
      'no-calendar: no post: the entry has no calendar; the mail is passed on, annotated',
    ],
    [
      'a recipient who is being moved has his post held',
      ['mia@example.com'],
      '',
      'moving: held (moving) until the move ends; the mail is passed on, annotated',
    ],
    [
      'a recipient whose marker names no back end has his post deferred',
      ['bob@example.com'],
      '',
      'marker-unknown: tried again later, 4.3.5 davStore is south, which no calendar.back-ends line names; the mail is passed on, annotated; an alarm for the administrator',
    ],
    [
      'an outsider gets his mail only',
      ['petra@example.org'],
      '',
      'external: no post: the recipient is of no domain of ours; the mail is passed on',
    ],
    [
      'an outsider whose domain has a line is posted',
      ['petra@example.net'],
      '',
      `post: posted to ${MAP} (profile generic) for petra@example.net; the mail is passed on`,
    ],
    [
      'one of ours is not believed from outside',
      [ALICE, '--message', 'mail.eml'],
      invitationMail(event({ organizer: 'bob@example.com' })),
      'author-is-ours: no post: the ORGANIZER is of our own domain example.com, the message came from outside; the mail is passed on, annotated',
    ],
    [
      'a room that nobody invited holds the message for a person',
      ['room1@example.com', '--listener', 'rooms', '--message', 'mail.eml'],
      invitationMail(event({})),
      'not-attendee: held (the recipient is not among the ATTENDEEs) until released; an alarm for the administrator',
    ],
  ];
  for (const [title, args, file, says] of consequences) {
    test(`tells that ${title}`, async () => {
      const { code, out, err } = await explain({ 'mail.eml': file }, ...args);
      expect({ code, err, says: consequenceOf(out) }).toEqual({ code: 0, err: '', says: `  → ${says}` });
    });
  }

  test('says whom the directory was not asked about', async () => {
    const { out } = await explain({}, 'petra@example.org');
    expect(out.split('\n')[2]).toBe('  directory: not asked, the address is of no domain of ours');
  });

  test('tells the same in JSON', async () => {
    const message = invitationMail(event({}));
    const { code, out } = await explain({ 'mail.eml': message }, ALICE, '--message', 'mail.eml', '--json');
    const told = JSON.parse(out);
    expect(code).toBe(0);
    expect(told).toMatchObject({
      recipient: ALICE,
      listener: 'in',
      message: { from: 'olga@example.org', subject: 'REQUEST: Review' },
      examination: { kind: 'object', object: { method: 'REQUEST', uid: 'review@example.org' } },
      lookup: { kind: 'found', server: 'people.ldif', entries: [{ dn: 'uid=alice,o=example.com' }] },
      decision: {
        rule: 'post',
        post: { kind: 'post', server: { url: NORTH, profile: 'generic' }, recipient: ALICE },
        annotate: true,
      },
      request: expect.arrayContaining(['POST /ischedule HTTP/1.1', 'Recipient: mailto:alice@example.com']),
    });
    expect(told.decision.steps).toHaveLength(8);
    expect(told.examination.object).not.toHaveProperty('content');
  });

  const wrong: readonly [title: string, args: readonly string[], code: number, says: string][] = [
    ['no address', ['alice'], 64, 'got alice, want an address such as bob@example.com\n'],
    ['no list', [ALICE, '--orcpt', 'team'], 64, 'got team, want an address such as bob@example.com\n'],
    [
      'a message that is not there',
      [ALICE, '--message', 'gone.eml'],
      66,
      "gone.eml: cannot be read: ENOENT: no such file or directory, open 'gone.eml'\n",
    ],
    ['a listener that is not there', [ALICE, '--listener', 'out'], 64, 'got listener out, want one of in, rooms\n'],
  ];
  for (const [title, args, code, says] of wrong) {
    test(`of ${title} is refused`, async () => {
      expect(await explain({}, ...args)).toEqual({ code, out: '', err: says });
    });
  }
});
