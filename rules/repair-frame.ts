import { componentName } from '../src/itip/components.ts';
import { type ContentLine, writtenLine } from '../src/itip/content-lines.ts';
import { note, type RepairLog } from './repair-log.ts';

/** Text that may be joined to a line before it: nothing there decides who is invited, or when. */
const FREE_TEXT = new Set(['DESCRIPTION', 'SUMMARY', 'LOCATION', 'COMMENT', 'CONTACT', 'CATEGORIES', 'RESOURCES']);
/** A physical line this long was folded, so its continuation belongs to it without a line break between. */
const FOLDED_OCTETS = 70;

/**
 * The lines from BEGIN:VCALENDAR to its END, broken folds joined.
 * @returns the reason when that cannot be
 */
export function frame(
  source: string,
  lines: readonly ContentLine[],
  maxLineBytes: number,
  log: RepairLog,
): readonly ContentLine[] | string {
  const isFrame = (name: string) => (line: ContentLine) => line.name === name && componentName(line) === 'VCALENDAR';
  const begin = lines.findIndex(isFrame('BEGIN'));
  if (begin < 0) return 'the calendar part has no BEGIN:VCALENDAR';
  const end = lines.findIndex((line, index) => index > begin && isFrame('END')(line));
  if (end < 0) return 'END:VCALENDAR is missing, the calendar part is cut short';
  if (lines.slice(end + 1).some(isFrame('BEGIN'))) return 'more than one VCALENDAR in the calendar part';
  const before = lines[0];
  const after = lines[end + 1];
  if (begin > 0 && before !== undefined)
    note(log, 'junk-before-begin', before.line, `${begin} lines before BEGIN:VCALENDAR dropped`);
  if (after !== undefined)
    note(log, 'junk-after-end', after.line, `${lines.length - end - 1} lines after END:VCALENDAR dropped`);
  const inside = begin === 0 && after === undefined ? lines : lines.slice(begin, end + 1);
  return inside.some((line) => line.name === '') ? joinBroken(source, inside, maxLineBytes, log) : inside;
}

function joinBroken(
  source: string,
  lines: readonly ContentLine[],
  maxLineBytes: number,
  log: RepairLog,
): readonly ContentLine[] | string {
  const joined: ContentLine[] = [];
  let pieces: string[] = [];
  let lastOctets = 0;
  /** Makes the last line whole. @returns whether it is a content line now, and not too long */
  const close = (): boolean => {
    const last = joined.at(-1);
    if (last === undefined || pieces.length === 0) return last === undefined || last.name !== '';
    const whole = writtenLine(last.text + pieces.join(''), last.line);
    joined[joined.length - 1] = whole;
    pieces = [];
    return whole.name !== '' && Buffer.byteLength(whole.text) <= maxLineBytes;
  };
  for (const line of lines) {
    const before = joined.at(-1);
    const isFragment = line.name === '' && !beginsProperty(source, line);
    if (!isFragment) {
      if (!close()) return notContentLine(before ?? line);
      joined.push(line);
      lastOctets = octetsOfLastFold(source, line);
      continue;
    }
    const folded = lastOctets >= FOLDED_OCTETS;
    const isText = before !== undefined && (FREE_TEXT.has(before.name) || before.name.startsWith('X-'));
    if (before === undefined || before.name === 'BEGIN' || before.name === 'END' || !(folded || isText)) {
      return notContentLine(line);
    }
    pieces.push(folded ? line.text : `\\n${line.text}`);
    const name = before.name === '' ? before.text.slice(0, before.text.indexOf(';')) : before.name;
    note(log, 'broken-fold', line.line, `joined to ${name}${folded ? '' : ' with an escaped line break'}`);
    lastOctets = Buffer.byteLength(line.text);
  }
  return close() ? joined : notContentLine(joined.at(-1));
}

/** `ATTENDEE;CN="somebody with a long name` of full length: the colon stands behind a fold that has lost its blank. */
function beginsProperty(source: string, line: ContentLine): boolean {
  return /^[A-Z][A-Z0-9-]*;/.test(line.text) && octetsOfLastFold(source, line) >= FOLDED_OCTETS;
}

function notContentLine(line: ContentLine | undefined): string {
  return `line ${line?.line ?? 0} is no content line (name, colon, value)`;
}

function octetsOfLastFold(source: string, line: ContentLine): number {
  if (line.start < 0) return 0;
  const text = source.slice(line.start, line.end).trimEnd();
  return Buffer.byteLength(text.slice(text.lastIndexOf('\n') + 1));
}
