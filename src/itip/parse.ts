import { hash } from 'node:crypto';
import ICAL from 'ical.js';
import { type Repaired, repair } from '../../rules/repair.ts';
import { methodOf, scheduled, validate } from '../../rules/validate.ts';
import { decodeText } from './charset.ts';
import { type Component, property } from './components.ts';
import { type ContentLine, foldLine, type LineLimits, readLines } from './content-lines.ts';
import { isMethod, type Repair, type SchedulingObject } from './message.ts';
import { summarize, uidOf } from './summary.ts';

export type ReadContext = LineLimits & {
  readonly maxDepth: number;
  /** The mail's Date, ms since the epoch; stands in for a missing DTSTAMP. */
  readonly mailDate?: number;
};

/** A calendar part after repair, before anybody asked whether it can be scheduled. */
export type CalendarText = {
  readonly bytes: Buffer;
  /** What `lines` with a `start` are slices of. */
  readonly text: string;
  readonly lines: readonly ContentLine[];
  /** The lines as they came, unfolded. */
  readonly received: readonly ContentLine[];
  readonly calendar: Component;
  readonly repairs: readonly Repair[];
  readonly unfolded: boolean;
};

export type ReadCalendar =
  | { readonly kind: 'calendar'; readonly calendar: CalendarText }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** Reads and repairs a calendar part whose transfer encoding is undone. Costs little: no ical.js yet. */
export function readCalendar(bytes: Buffer, charset: string | undefined, context: ReadContext): ReadCalendar {
  const decoded = decodeText(bytes, charset);
  const repairs = [...decoded.repairs];
  // C programs end the text there: what follows would be judged here and never seen by the server.
  if (decoded.text.includes('\0')) return { kind: 'unreadable', reason: 'a NUL character in the calendar part' };
  const text = withCrlf(decoded.text, repairs);
  const read = readLines(text, context);
  if (read.kind === 'refused') return { kind: 'unreadable', reason: read.reason };
  const repaired: Repaired = repair(text, read.lines, context);
  if (repaired.kind === 'refused') return { kind: 'unreadable', reason: repaired.reason };
  const blank = firstBlank(read.blanks, repaired.lines);
  if (blank !== undefined) repairs.push({ name: 'blank-lines', line: blank, detail: 'empty lines dropped' });
  repairs.push(...repaired.repairs);
  const { lines, calendar } = repaired;
  return {
    kind: 'calendar',
    calendar: { bytes, text, lines, received: read.lines, calendar, repairs, unfolded: decoded.unfolded },
  };
}

export type ReadObject =
  | { readonly kind: 'object'; readonly object: SchedulingObject }
  | {
      readonly kind: 'none';
      readonly reason: string;
      readonly method?: string;
      readonly uid?: string;
      /** No parser would take it for iCalendar. */
      readonly unreadable?: true;
    };

/** The scheduling object in a calendar part, or why it holds none: iTIP's rules, then ical.js' reading of it. */
export function toObject(part: CalendarText): ReadObject {
  const components = scheduled(part.calendar);
  const method = methodOf(part.calendar);
  const [first] = components;
  const uidLine = first === undefined ? undefined : property(first, 'UID');
  const facts = { ...(method === '' ? {} : { method }), ...(uidLine === undefined ? {} : { uid: uidOf(uidLine) }) };
  const reason = validate(part.calendar);
  if (reason !== undefined) return { kind: 'none', reason, ...facts };
  if (!isMethod(method) || (first?.name !== 'VEVENT' && first?.name !== 'VTODO'))
    throw new Error('validate() let an unknown method or component pass');
  const untouched = part.repairs.length === 0;
  const text = untouched ? part.text : written(part);
  const fault = faultFound(text);
  if (fault !== undefined)
    return { kind: 'none', reason: `not readable as iCalendar: ${fault}`, unreadable: true, ...facts };
  const object: SchedulingObject = {
    method,
    component: first.name,
    ...summarize(part.calendar, components),
    content: untouched ? part.bytes : Buffer.from(text),
    digest: digestOf(part.received),
    repairs: part.repairs,
  };
  return { kind: 'object', object };
}

/** SHA-256 (hex) over unfolded lines joined by LF. */
function digestOf(lines: readonly ContentLine[]): string {
  return hash('sha256', lines.map(({ text }) => text).join('\n'), 'hex');
}

function withCrlf(text: string, repairs: Repair[]): string {
  if (!/(?:^|[^\r])\n|\r(?!\n)/.test(text)) return text;
  repairs.push({ name: 'line-ends', line: 1, detail: 'line ends written as CRLF' });
  // CR CR LF comes from programs that convert twice; an empty line there would tear a fold apart.
  // Never `\r+\n`, which takes quadratic time over a megabyte of CR.
  return text.replace(/\r+\n?|\n/g, (ends) => (ends.endsWith('\n') ? '\r\n' : '\r\n'.repeat(ends.length)));
}

/** Number of the first empty line before the last line kept; those behind the object hurt nobody. */
function firstBlank(blanks: readonly number[], lines: readonly ContentLine[]): number | undefined {
  const last = lines.at(-1)?.line ?? 0;
  return blanks.find((blank) => blank < last);
}

/** The repaired text: lines that were not changed keep their octets and folds. */
function written(part: CalendarText): string {
  return part.lines
    .map((line) => {
      if (line.start < 0 || part.unfolded) return foldLine(line.text);
      const slice = part.text.slice(line.start, line.end);
      return slice.endsWith('\n') ? slice : `${slice}\r\n`;
    })
    .join('');
}

/** Names whose values ical.js reads only when asked; it takes `DTSTART:20260101T08` without a word before. */
const READ_LATE = new Set([
  'dtstart',
  'dtend',
  'due',
  'duration',
  'recurrence-id',
  'rrule',
  'dtstamp',
  'exdate',
  'rdate',
]);

/** What ical.js objects to, as a server's parser would; undefined when nothing. */
function faultFound(text: string): string | undefined {
  try {
    const parsed: unknown = ICAL.parse(text);
    if (!Array.isArray(parsed) || parsed[0] !== 'vcalendar') return 'more than one object';
    const calendar = new ICAL.Component(parsed as unknown[]);
    for (const component of calendar.getAllSubcomponents()) {
      if (component.name === 'vtimezone') continue;
      for (const line of component.getAllProperties()) if (READ_LATE.has(line.name)) line.getValues();
    }
    return undefined;
  } catch (error) {
    // ParserError, Error and TypeError all come out of ical.js for bad input; none of them says that we are at fault.
    const message = error instanceof Error ? error.message : String(error);
    return (
      message
        .split(/["'\r\n]/, 1)[0]
        ?.trim()
        .slice(0, 120) || 'unknown fault'
    ); // what it quotes may be private
  }
}
