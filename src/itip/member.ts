import { calendarAddress, mailboxOf, sameAddress } from '../mail/address.ts';
import { type ContentLine, foldLine, parametersOf, readLines, textValue } from './content-lines.ts';

/** Parameters of the list's line that hold for each of its members; the rest (CN, CUTYPE, DELEGATED-TO …) is its own. */
const SHARED: readonly string[] = ['ROLE', 'PARTSTAT', 'RSVP'];

/**
 * Names a member of an invited list in a posted copy: in every component, after the list's own ATTENDEE line, a line
 * for him with MEMBER (RFC 5545 §3.2.11), without which a calendar server takes the object for somebody else's. Every
 * other octet stays.
 * @param content UTF-8, as `SchedulingObject.content`
 * @param list as the object spells it
 * @returns `content` itself when no line names the list, or the member stands in all components already
 */
export function addMember(content: Buffer, attendee: string, list: string): Buffer {
  const text = content.toString();
  const read = readLines(text, { maxLineBytes: Number.POSITIVE_INFINITY, maxProperties: Number.POSITIVE_INFINITY });
  if (read.kind === 'refused') throw new Error(`refused without a limit: ${read.reason}`);
  const pieces: string[] = [];
  let kept = 0;
  for (const { listLine, hasMember } of invitations(read.lines, attendee, list)) {
    if (hasMember) continue;
    const isTerminated = text.charCodeAt(listLine.end - 1) === 10;
    const added = memberLine(listLine, attendee);
    pieces.push(text.slice(kept, listLine.end), isTerminated ? added : `\r\n${added.slice(0, -2)}`);
    kept = listLine.end;
  }
  if (pieces.length === 0) return content;
  pieces.push(text.slice(kept));
  return Buffer.from(pieces.join(''));
}

type Invitation = { readonly listLine: ContentLine; readonly hasMember: boolean };

/** One for each component that has the list, in the order of their list lines. */
function invitations(lines: readonly ContentLine[], attendee: string, list: string): readonly Invitation[] {
  const found: Invitation[] = [];
  let depth = 0;
  let listLine: ContentLine | undefined;
  let hasMember = false;
  for (const line of lines) {
    if (line.name === 'BEGIN') depth++;
    else if (line.name === 'END') {
      if (depth === 2 && listLine !== undefined) found.push({ listLine, hasMember });
      if (depth === 2) [listLine, hasMember] = [undefined, false];
      depth--;
    } else if (line.name === 'ATTENDEE' && depth === 2) {
      // Deeper ones are whom a VALARM writes to.
      const mailbox = mailboxOf(textValue(line));
      if (mailbox === undefined) continue;
      if (sameAddress(mailbox, attendee)) hasMember = true;
      // Without a place in the source there is none to insert after; a repaired object has been written anew.
      if (sameAddress(mailbox, list) && line.start >= 0) listLine ??= line;
    }
  }
  return found;
}

function memberLine(listLine: ContentLine, attendee: string): string {
  // A quote in the list's address would end the parameter's value; calendarAddress escapes it.
  // So would the caret that stands for one in a parameter (RFC 6868 §3.2).
  const uri = calendarAddress(mailboxOf(textValue(listLine)) ?? '').replaceAll('^', '%5E');
  const shared = parametersOf(listLine).flatMap(({ name, values }) => {
    const [value = ''] = values ?? [];
    return SHARED.includes(name) && /^[a-z0-9-]+$/i.test(value) ? [`${name}=${value}`] : [];
  });
  const parameters = [`MEMBER="${uri}"`, ...shared];
  return foldLine(`ATTENDEE;${parameters.join(';')}:${calendarAddress(attendee)}`);
}
