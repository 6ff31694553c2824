import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildTree, type Component } from '../../../src/itip/components.ts';
import { parameter, readLines } from '../../../src/itip/content-lines.ts';
import { examine } from '../../../src/itip/extract.ts';
import type { SchedulingObject } from '../../../src/itip/message.ts';
import { type OutgoingOptions, prepareOutgoing, toOutgoing } from '../../../src/itip/outgoing.ts';
import { zonesOf } from '../../../src/itip/summary.ts';
import { ianaZone } from '../../../src/itip/timezones.ts';
import { installed } from '../../servers/installed.ts';
import { calendar, crlf, event, mail, REQUEST } from './samples.ts';

const CORPUS = process.env.IMIPD_CORPUS ?? join(import.meta.dirname, '../../../../shared/corpus');
const isThere = existsSync(join(CORPUS, 'INDEX.tsv'));

function outgoing(text: string, options: OutgoingOptions = { method: 'REQUEST' }): string {
  return toOutgoing(Buffer.from(text), options).toString();
}

/** The event's lines as they leave. */
function leaving(...lines: readonly string[]): readonly string[] {
  const before = calendar('REQUEST', ...event({ 'END:VEVENT': [...lines, 'END:VEVENT'] }));
  const bare = REQUEST.split('\r\n');
  return outgoing(before)
    .replaceAll('\r\n ', '')
    .split('\r\n')
    .filter((line) => !bare.includes(line));
}

describe('what leaves by mail', () => {
  test('is the same bytes when nothing stands against it', () => {
    const content = Buffer.from(REQUEST);
    expect(toOutgoing(content, { method: 'REQUEST' })).toBe(content);
  });

  test('has lost what is not for others, and nothing else', () => {
    expect(
      leaving(
        'X-CALENDARSERVER-PRIVATE-COMMENT:do not tell him',
        'X-MICROSOFT-CDO-BUSYSTATUS:BUSY',
        'X-MOZ-LASTACK:20261121T080000Z',
        'X-NSCP-GSE-COMPONENT-STATE:X-NSCP-GSE-COMPONENT-STATE="65538"',
        'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS="1 Main St";X-TITLE=Office:geo:48.2,16.4',
        'X-APPLE-TRAVEL-START;X-ADDRESS="my home":geo:48.1,16.3',
        'X-ALT-DESC;FMTTYPE=text/html:<b>Budget</b>',
        'X-WR-TIMEZONE:Europe/Vienna',
        'X-WR-CALNAME:My private calendar',
        'REQUEST-STATUS:2.0;Success',
        'COLOR:red',
        'ATTENDEE;SCHEDULE-AGENT=CLIENT;CN="Ann; B";SCHEDULE-STATUS="1.2";X-NUM-GUESTS=1;X-ORACLE-GUID=4711;PARTSTAT=ACCEP',
        ' TED:mailto:ann@example.com',
        'ATTENDEE;schedule-force-send=REQUEST:mailto:carl@example.com',
        'BEGIN:VALARM',
        'ACTION:DISPLAY',
        'TRIGGER:-PT15M',
        'DESCRIPTION:wake up',
        'BEGIN:X-SNOOZE',
        'X-AT:now',
        'END:X-SNOOZE',
        'END:VALARM',
        'BEGIN:VLOCATION',
        'UID:place-1',
        'NAME:Office',
        'X-ROOM-KEY:1234',
        'END:VLOCATION',
      ),
    ).toEqual([
      'X-MICROSOFT-CDO-BUSYSTATUS:BUSY',
      'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS="1 Main St";X-TITLE=Office:geo:48.2,16.4',
      'X-ALT-DESC;FMTTYPE=text/html:<b>Budget</b>',
      'X-WR-TIMEZONE:Europe/Vienna',
      'REQUEST-STATUS:2.0;Success',
      'COLOR:red',
      'ATTENDEE;CN="Ann; B";X-NUM-GUESTS=1;PARTSTAT=ACCEPTED:mailto:ann@example.com',
      'ATTENDEE:mailto:carl@example.com',
      'BEGIN:VLOCATION',
      'UID:place-1',
      'NAME:Office',
      'END:VLOCATION',
    ]);
  });

  test('has lost components beside the event that are not for others', () => {
    const text = calendar('REQUEST', ...event());
    const beside = ['BEGIN:X-STATE', 'SUMMARY:secret', 'END:X-STATE', 'BEGIN:VALARM', 'ACTION:AUDIO', 'END:VALARM', ''];
    const more = text.replace('BEGIN:VEVENT', `${beside.join('\r\n')}BEGIN:VEVENT`);
    expect(toOutgoing(Buffer.from(more), { method: 'REQUEST' }).toString()).toBe(text);
  });

  test('keeps the folds of lines that did not change', () => {
    const folded = ['DESCRIPTION:a', ' b', '\tc'];
    const text = calendar('REQUEST', ...event({ 'SUMMARY:': [...folded, 'SUMMARY:Budget', 'X-OURS:1'] }));
    expect(outgoing(text)).toBe(text.replace('X-OURS:1\r\n', ''));
  });

  test('is folded at 75 octets between characters', () => {
    const summary = `SUMMARY:${'ü€😀'.repeat(60)}`;
    const text = outgoing(calendar('REQUEST', ...event({ SUMMARY: summary })));
    expect(text.split('\r\n').filter((line) => Buffer.byteLength(line) > 75)).toEqual([]);
    expect(text).not.toContain('\ufffd');
    expect(text.replaceAll('\r\n ', '').split('\r\n')).toContain(summary);
  });

  test('of a REPLY names one attendee', () => {
    const reply = calendar(
      'REPLY',
      ...event({ ATTENDEE: ['ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.com', 'ATTENDEE:mailto:eve@example.com'] }),
    );
    expect(outgoing(reply, { method: 'REPLY' })).toBe(reply.replace('ATTENDEE:mailto:eve@example.com\r\n', ''));
  });

  test('names the recipient by a mailbox where only the EMAIL parameter had it', () => {
    const of = (uri: string): string =>
      calendar('REQUEST', ...event({ ATTENDEE: `ATTENDEE;EMAIL=Bob@example.com:${uri}` }));
    const options = { method: 'REQUEST', recipient: 'bob@example.com' } as const;
    expect(outgoing(of('urn:uuid:1'), options)).toBe(of('mailto:bob@example.com'));
    expect(outgoing(of('mailto:robert@example.com'), options)).toBe(of('mailto:robert@example.com'));
    expect(outgoing(of('urn:uuid:1'), { ...options, recipient: 'ann@example.com' })).toBe(of('urn:uuid:1'));
  });

  test('is refused when it is no calendar object', () => {
    expect(() => outgoing('Hello')).toThrow('no calendar object: line 1 stands outside VCALENDAR');
  });
});

describe('a time zone', () => {
  const BERLIN = crlf(
    'BEGIN:VTIMEZONE',
    'TZID:Europe/Berlin',
    'BEGIN:DAYLIGHT',
    'DTSTART:20250330T020000',
    'TZOFFSETFROM:+0100',
    'TZOFFSETTO:+0200',
    'RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU',
    'END:DAYLIGHT',
    'BEGIN:STANDARD',
    'DTSTART:20251026T030000',
    'TZOFFSETFROM:+0200',
    'TZOFFSETTO:+0100',
    'RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU',
    'END:STANDARD',
    'END:VTIMEZONE',
  );
  const inBerlin = calendar('REQUEST', ...event({ DTSTART: 'DTSTART;TZID=Europe/Berlin:20261124T100000' }));

  test('that is missing is put before the event', () => {
    expect(outgoing(inBerlin)).toBe(inBerlin.replace('BEGIN:VEVENT', `${BERLIN}BEGIN:VEVENT`));
  });

  test('that is there stays as it is', () => {
    const own = crlf(
      'BEGIN:VTIMEZONE',
      'TZID:Europe/Berlin',
      'X-LIC-LOCATION:Europe/Berlin',
      'BEGIN:STANDARD',
      'DTSTART:16010101T000000',
      'TZOFFSETFROM:+0100',
      'TZOFFSETTO:+0100',
      'END:STANDARD',
      'END:VTIMEZONE',
    );
    const text = inBerlin.replace('BEGIN:VEVENT', `${own}BEGIN:VEVENT`);
    expect(outgoing(text)).toBe(text);
  });

  test('is wanted for every kind of time, once for each name', () => {
    const text = calendar(
      'REQUEST',
      ...event({
        DTSTART: [
          'DTSTART;TZID=Europe/Berlin:20261124T100000',
          'RECURRENCE-ID;TZID=America/New_York:20261124T100000',
          'EXDATE;TZID="Asia/Tokyo":20261125T100000,20261126T100000',
          'RDATE;VALUE=PERIOD;TZID=Europe/Berlin:20261201T100000/PT1H',
          'DUE;TZID=W. Europe Standard Time:20261124T100000',
        ],
      }),
    );
    expect(outgoing(text).match(/^TZID:.*$/gm)).toEqual([
      'TZID:Europe/Berlin',
      'TZID:America/New_York',
      'TZID:Asia/Tokyo',
      'TZID:W. Europe Standard Time',
    ]);
  });

  test('that nobody knows stays a name, and is told', () => {
    const text = calendar('REQUEST', ...event({ DTSTART: 'DTSTART;TZID=Our office:20261124T100000' }));
    const content = Buffer.from(text);
    expect(prepareOutgoing(content, { method: 'REQUEST' })).toEqual({ content, unknownZones: ['Our office'] });
  });

  test('is made five times at most', () => {
    const zones = Intl.supportedValuesOf('timeZone')
      .filter((name) => name.startsWith('America/'))
      .slice(0, 100);
    const dates = zones.map((name) => `EXDATE;TZID=${name}:20261124T100000`);
    const text = calendar('REQUEST', ...event({ SUMMARY: [...dates, 'SUMMARY:Budget'] }));
    const { content, unknownZones } = prepareOutgoing(Buffer.from(text), { method: 'REQUEST' });
    expect(content.toString().match(/^BEGIN:VTIMEZONE/gm)).toHaveLength(5);
    expect(unknownZones).toHaveLength(95);
  });
});

/** Faults of the senders, which we carry as they are. */
const REFUSED: readonly string[] = [
  'itip/webex/zm-soap-harness--webexmeet.ics', // TZOFFSETFROM in minutes
  'mail/zimbra/zm-selenium--parsingErrorWhileAcceptingInvite_Bug38564.txt.eml', // blanks before a parameter's name
];

describe.skipIf(!isThere)(`every object of the corpus${isThere ? '' : ' (not found; set IMIPD_CORPUS)'}`, () => {
  test('leaves without what must not travel, with its zones, and is the same event', async () => {
    const objects = await corpusObjects();
    expect(objects.length).toBeGreaterThan(80);
    for (const { path, object } of objects) {
      const { content, unknownZones } = prepareOutgoing(object.content, object);
      const again = await examine(mail(content, `text/calendar; charset=utf-8; method=${object.method}`));
      if (again.kind === 'none') throw new Error(`${path}: ${again.reason}`);
      expect({ path, ...said(again.object) }).toEqual({ path, ...said(object) });
      expect(again.object.repairs).toEqual([]);
      expect(again.object.content).toEqual(content);
      const text = content.toString().replaceAll(/\r\n[ \t]/g, '');
      expect(text).not.toMatch(/SCHEDULE-(?:AGENT|STATUS|FORCE-SEND)|BEGIN:VALARM|^X-(?:MOZ|NSCP|CALENDARSERVER)/m);
      expect(
        content
          .toString()
          .split('\r\n')
          .filter((line) => Buffer.byteLength(line) > 75),
      ).toEqual([]);
      expect(zonesWithout(content), path).toEqual(unknownZones);
      expect(unknownZones.filter((name) => ianaZone(name) !== undefined)).toEqual([]);
      expect(toOutgoing(content, object)).toBe(content);
    }
  });

  test.skipIf(!installed('icalendar'))('is read by python3-icalendar', { timeout: 60_000 }, async () => {
    const objects = await corpusObjects();
    const before = complaints(objects.map(({ object }) => object.content));
    const after = complaints(objects.map(({ object }) => toOutgoing(object.content, object)));
    const ours = objects.flatMap(({ path }, at) => {
      // What it had against the object before is the sender's.
      const fresh = after[at]!.filter((complaint) => !before[at]!.includes(complaint));
      return fresh.length === 0 ? [] : [[path, ...fresh]];
    });
    expect(ours).toEqual([]);
    const refused = objects.flatMap(({ path }, at) => (after[at]!.length === 0 ? [] : [path]));
    expect(refused).toEqual(REFUSED);
  });
});

/** What an object says to whoever schedules by it. */
function said({ method, component, uid, organizer, attendees, instances }: SchedulingObject): object {
  return { method, component, uid, organizer, attendees, instances };
}

async function corpusObjects(): Promise<readonly { path: string; object: SchedulingObject }[]> {
  const found: { path: string; object: SchedulingObject }[] = [];
  for (const path of readdirSync(CORPUS, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!/\.(eml|ics)$/.test(path)) continue;
    const bytes = readFileSync(join(CORPUS, path));
    const method = /^METHOD:([A-Z]+)/im.exec(bytes.toString('latin1'))?.[1];
    const content = path.endsWith('.eml') ? bytes : mail(bytes, `text/calendar; method=${method}`);
    const examination = await examine(content);
    if (examination.kind === 'object') found.push({ path, object: examination.object });
  }
  return found;
}

function complaints(objects: readonly Buffer[]): readonly (readonly string[])[] {
  const { status, stdout, stderr } = spawnSync('/usr/bin/python3', [join(import.meta.dirname, 'outgoing.py')], {
    input: JSON.stringify(objects.map((content) => content.toString('base64'))),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as string[][];
}

function zonesWithout(content: Buffer): readonly string[] {
  const read = readLines(content.toString(), { maxLineBytes: 1 << 22, maxProperties: 1 << 20 });
  if (read.kind === 'refused') throw new Error(read.reason);
  const tree = buildTree(read.lines, 8);
  if (tree.kind === 'refused') throw new Error(tree.reason);
  const known = zonesOf(tree.calendar);
  const named = new Set<string>();
  for (const { name, lines } of tree.calendar.children as readonly Component[]) {
    if (name === 'VTIMEZONE') continue;
    for (const line of lines) {
      if (!/^(?:DTSTART|DTEND|DUE|RECURRENCE-ID|EXDATE|RDATE)$/.test(line.name) || !/T\d{6}$/.test(line.text)) continue;
      const tzid = parameter(line, 'TZID') ?? '';
      if (tzid !== '' && !known.has(tzid)) named.add(tzid);
    }
  }
  return [...named];
}
