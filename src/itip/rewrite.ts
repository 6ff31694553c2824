import { calendarAddress, mailboxOf, sameAddress } from '../mail/address.ts';
import { type ContentLine, foldLine, readLines, textValue } from './content-lines.ts';

/**
 * Replaces a mailbox in the ATTENDEE and ORGANIZER lines of a posted copy, so that the calendar server finds its
 * user there (design: The posted copy is ours). Every other octet stays; only the changed lines are folded anew.
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

function names(line: ContentLine, mailbox: string): boolean {
  if ((line.name !== 'ATTENDEE' && line.name !== 'ORGANIZER') || line.start < 0) return false;
  const found = mailboxOf(textValue(line));
  return found !== undefined && sameAddress(found, mailbox);
}
