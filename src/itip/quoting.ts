import type { ContentLine } from './content-lines.ts';

const QUOTE = 34;
const COLON = 58;
const BACKSLASH = 92;

type Reading = {
  /** A quote after a backslash is none: libical, and so Cyrus. */
  readonly escapes: boolean;
  /** A quote opens only where a parameter's value begins: ical.js. */
  readonly opensAtValue: boolean;
};

const READINGS: readonly Reading[] = [
  { escapes: false, opensAtValue: false },
  { escapes: true, opensAtValue: false },
  { escapes: false, opensAtValue: true },
  { escapes: true, opensAtValue: true },
];

/**
 * Whether every reader of iCalendar sees this line's value begin where we do. Quotes that RFC 5545 §3.2 does not allow
 * are read in several ways, so that `ORGANIZER;CN=\"a:mailto:x@example.com?";X=b:mailto:y@example.org` names y to us
 * and x to the calendar server. A reader that finds no value at all misleads nobody.
 */
export function isValueClear(line: ContentLine): boolean {
  if (!line.text.includes('"')) return true;
  return READINGS.every((reading) => {
    const colon = colonBeforeValue(line.text, line.name.length, reading);
    return colon < 0 || colon === line.valueAt - 1;
  });
}

function colonBeforeValue(text: string, from: number, { escapes, opensAtValue }: Reading): number {
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COLON && !quoted) return at;
    if (code !== QUOTE || (escapes && text.charCodeAt(at - 1) === BACKSLASH)) continue;
    if (quoted) quoted = false;
    else quoted = !opensAtValue || '=,'.includes(text.charAt(at - 1));
  }
  return -1;
}
