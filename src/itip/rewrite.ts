import { calendarAddress, mailboxOf, reachableAt, sameAddress } from '../mail/address.ts';
import { type ContentLine, foldLine, parameter, readLines, textValue } from './content-lines.ts';

/**
 * Replaces a mailbox in the ATTENDEE and ORGANIZER lines of a posted copy, so that the calendar server finds its
 * user there (design: The posted copy is ours); an ATTENDEE whose URI is none is found by his EMAIL parameter. Every
 * other octet stays; only the changed lines are folded anew.
 * @param content UTF-8, as `SchedulingObject.content`
 * @returns `content` itself when no line names `from`
 */
export function rewriteAddress(content: Buffer, from: string, to: string): Buffer {
  const text = content.toString();
  const read = readLines(text, { maxLineBytes: Number.POSITIVE_INFINITY, maxProperties: Number.POSITIVE_INFINITY });
  if (read.kind === 'refused') throw new Error(`refused without a limit: ${read.reason}`);
  const value = calendarAddress(to);
  const pieces: string[] = [];
  let kept = 0;
  for (const line of read.lines) {
    if (!names(line, from)) continue;
    const folded = foldLine(`${line.text.slice(0, line.valueAt)}${value}`);
    const isTerminated = text.charCodeAt(line.end - 1) === 10;
    pieces.push(text.slice(kept, line.start), isTerminated ? folded : folded.slice(0, -2));
    kept = line.end;
  }
  if (pieces.length === 0) return content;
  pieces.push(text.slice(kept));
  return Buffer.from(pieces.join(''));
}

/**
 * Gives back the ORGANIZER to an answer that came without: in every component that has none, after its first line.
 * Every other octet stays.
 * @param content UTF-8, as `SchedulingObject.content`
 * @returns `content` itself when every component has one
 */
export function giveOrganizer(content: Buffer, organizer: string): Buffer {
  const text = content.toString();
  const read = readLines(text, { maxLineBytes: Number.POSITIVE_INFINITY, maxProperties: Number.POSITIVE_INFINITY });
  if (read.kind === 'refused') throw new Error(`refused without a limit: ${read.reason}`);
  const added = foldLine(`ORGANIZER:${calendarAddress(organizer)}`);
  const pieces: string[] = [];
  let kept = 0;
  let depth = 0;
  let begin: ContentLine | undefined;
  for (const line of read.lines) {
    if (line.name === 'BEGIN') {
      if (++depth === 2) begin = ORGANIZED.has(textValue(line).trim().toUpperCase()) ? line : undefined;
    } else if (line.name === 'ORGANIZER' && depth === 2) begin = undefined;
    else if (line.name === 'END' && depth-- === 2 && begin !== undefined) {
      pieces.push(text.slice(kept, begin.end), added);
      kept = begin.end;
    }
  }
  if (pieces.length === 0) return content;
  pieces.push(text.slice(kept));
  return Buffer.from(pieces.join(''));
}

/** Components that are about a meeting. */
const ORGANIZED: ReadonlySet<string> = new Set(['VEVENT', 'VTODO', 'VJOURNAL', 'VFREEBUSY']);

function names(line: ContentLine, mailbox: string): boolean {
  if ((line.name !== 'ATTENDEE' && line.name !== 'ORGANIZER') || line.start < 0) return false;
  const own = mailboxOf(textValue(line));
  const found = own ?? (line.name === 'ATTENDEE' ? reachableAt({ email: parameter(line, 'EMAIL') }) : undefined);
  return found !== undefined && sameAddress(found, mailbox);
}
