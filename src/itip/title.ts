import { readLines, textValue } from './content-lines.ts';
import type { SchedulingObject } from './message.ts';

/** Characters; more does not fit into a subject line that anybody reads. */
const MAX_TITLE = 200;

/** The first SUMMARY of a scheduling object as plain text, cut where it is very long; '' when there is none. */
export function titleOf({ content }: Pick<SchedulingObject, 'content'>): string {
  const read = readLines(content.toString(), { maxLineBytes: Infinity, maxProperties: Infinity });
  if (read.kind === 'refused') return '';
  let depth = 0;
  for (const line of read.lines) {
    if (line.name === 'BEGIN') depth++;
    else if (line.name === 'END') depth--;
    // Deeper ones are of alarms.
    else if (line.name === 'SUMMARY' && depth === 2) return cut(plainText(textValue(line)));
  }
  return '';
}

/** TEXT without its escapes (RFC 5545 §3.3.11). */
function plainText(value: string): string {
  return value.replace(/\\(.)/gs, (_, char: string) => (char === 'n' || char === 'N' ? '\n' : char)).trim();
}

function cut(text: string): string {
  const characters = [...text.slice(0, 2 * MAX_TITLE + 1)];
  return characters.length <= MAX_TITLE ? text : `${characters.slice(0, MAX_TITLE - 1).join('')}…`;
}
